/* One connection: its states, its sending half, and in which order it ends. Receiving is conn_rx.c,
 * TLS conn_tls.c; the bytes' meaning is the owner's, timeouts too (but for those of a connection
 * that nobody owns any more).
 *
 * Sending. One operation is in flight; what is appended meanwhile goes with the next one. Output is
 * started in the flush phase only, so a tick's events leave together.
 *
 * Ending. Every way leads to CLOSING: nothing is armed any more, what is armed is cancelled, and
 * when the last operation has ended (and no handshake job is out) the descriptor is closed; the
 * slot is freed by that operation's result, which nobody else waits for. */
#include "r2a/net/conn.h"

#include <errno.h>
#include <string.h>

#include "conn_priv.h"
#include "r2a/core/check.h"
#include "r2a/limits.h"

#define BIT(state) (1u << (state))

/* The drawing in conn.h as a table: what may follow. */
static const uint32_t successors[CONN_STATES] = {
    [CONN_FREE] = BIT(CONN_CONNECTING) | BIT(CONN_OPEN),
    [CONN_CONNECTING] = BIT(CONN_HANDSHAKE) | BIT(CONN_OPEN) | BIT(CONN_CLOSING),
    [CONN_HANDSHAKE] = BIT(CONN_OPEN) | BIT(CONN_CLOSING),
    [CONN_OPEN] = BIT(CONN_FLUSHING) | BIT(CONN_CLOSING),
    [CONN_FLUSHING] = BIT(CONN_LINGERING) | BIT(CONN_CLOSING),
    [CONN_LINGERING] = BIT(CONN_CLOSING),
    [CONN_CLOSING] = BIT(CONN_FREE),
};

static const struct conn_calls no_calls;

static void on_sent(struct op *op, struct op_result result);
static void on_control(struct op *op, struct op_result result);
static void flush(struct loop_dirty *dirty);

/* The only writer of the state. */
static void enter(struct conn *conn, enum conn_state next)
{
    check(successors[conn->state] & BIT(next));
    conn->state = (uint8_t)next;
}

/* --- sending --- */

static struct rope *wire_rope(struct conn *conn)
{
    return conn_is_plain(conn) ? &conn->out : &conn->tls->cipher;
}

size_t conn_out_bytes(const struct conn *conn)
{
    return conn->out.bytes + (conn->tls != NULL ? conn->tls->cipher.bytes : 0);
}

bool conn_is_congested(const struct conn *conn)
{
    return conn_out_bytes(conn) >= CONN_HIGH_BYTES;
}

static void wait_for_end(struct conn *conn);

static void tell_writable(struct conn *conn)
{
    if (conn->state != CONN_OPEN || conn->writable_at == CONN_NO_WATER ||
        conn_out_bytes(conn) > conn->writable_at)
        return;
    conn->writable_at = CONN_NO_WATER;
    if (conn->calls->on_writable != NULL)
        conn->calls->on_writable(conn);
}

/* Everything was sent and the owner has said goodbye: our FIN, then the peer's. */
static void finish_flushing(struct conn *conn)
{
    if (conn->has_eof || conn->is_upstream) {
        conn_enter_closing(conn, false);
        return;
    }
    enter(conn, CONN_LINGERING);
    wait_for_end(conn);
    conn->ctl_op.kind = OP_SHUTDOWN;
    conn->ctl_op.len = SHUT_WR;
    conn->ctl_op.handle = conn->handle;
    conn->ctl_op.fn = on_control;
    conn_arm(conn, &conn->ctl_op);
    conn_update_receive(conn);
}

static void send_some(struct conn *conn)
{
    struct iovec vecs[ENGINE_VECS_MAX];
    struct rope *rope;

    if (conn->tx_op.state == OP_ARMED || conn->tx_failed)
        return;
    if (conn->state != CONN_HANDSHAKE && conn->out.err != R2A_OK) {
        conn_fail(conn, conn->out.err, 0); /* bytes are missing: nothing sound can be sent */
        return;
    }
    if (!conn_is_plain(conn) && !conn_tls_fill(conn))
        return;
    rope = wire_rope(conn);
    if (rope->bytes == 0) {
        if (conn->state == CONN_FLUSHING)
            finish_flushing(conn);
        return;
    }
    conn->tx_op.kind = OP_SEND;
    conn->tx_op.handle = conn->handle;
    conn->tx_op.fn = on_sent;
    conn->tx_op.ptr = vecs;
    conn->tx_op.len = rope_peek(rope, vecs, ENGINE_VECS_MAX);
    conn->rx_runs = 0; /* what comes now is another answer */
    check(conn->tx_op.len > 0);
    conn_arm(conn, &conn->tx_op);
}

static void on_sent(struct op *op, struct op_result result)
{
    struct conn *conn = container_of(op, struct conn, tx_op);

    check(conn->ops_count > 0);
    check(result.is_last);
    conn->ops_count--;
    if (result.res > 0) {
        rope_consume(wire_rope(conn), (size_t)result.res);
        conn->tx_bytes += (uint64_t)result.res;
    }
    if (conn->state == CONN_CLOSING) {
        conn_join(conn);
        return;
    }
    if (result.res < 0 && result.res != -EAGAIN && result.res != -EINTR) {
        if (conn->is_upstream && conn->state == CONN_OPEN && !conn->has_eof) {
            /* A server may answer and hang up before it has read the request: its answer is still
             * to be had. The receive tells how this ends. */
            conn->tx_failed = true;
            return;
        }
        conn_fail(conn, r2a_err_from_errno(-result.res), -result.res);
        return;
    }
    if (conn->state == CONN_FLUSHING) {
        wait_for_end(conn); /* progress */
        conn_mark_dirty(conn);
        return;
    }
    if (conn_out_bytes(conn) > 0)
        conn_mark_dirty(conn);
    tell_writable(conn);
}

/* The flush phase: what waits to be offered again, then output. */
static void flush(struct loop_dirty *dirty)
{
    struct conn *conn = container_of(dirty, struct conn, dirty);

    if (conn->redeliver)
        conn_redeliver(conn);
    tell_writable(conn);
    if (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN || conn->state == CONN_FLUSHING)
        send_some(conn);
    if (conn->state != CONN_CLOSING)
        conn_update_receive(conn);
}

void conn_flush(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_OPEN)
        conn_mark_dirty(conn);
}

void conn_want_writable(struct conn *conn, uint32_t bytes)
{
    conn->writable_at = bytes;
    if (bytes != CONN_NO_WATER)
        conn_flush(conn);
}

/* --- ends --- */

static void release(struct conn *conn)
{
    struct conns *conns = conn->conns;

    check(conn->ops_count == 0);
    conn_drop_kept(conn);
    if (conn->tls != NULL)
        conn_tls_free(conn);
    rope_clear(&conn->out);
    conn->into = NULL;
    conn->into_left = 0;
    list_remove(&conn->node);
    list_remove(&conn->dirty.node);
    if (conn->calls->on_released != NULL)
        conn->calls->on_released(conn);
    enter(conn, CONN_FREE);
    conns->open_count--;
    slab_give(&conns->slab, conn);
}

void conn_join(struct conn *conn)
{
    check(conn->state == CONN_CLOSING);
    if (conn->ops_count > 0 || (conn->tls != NULL && conn_tls_is_out(conn)))
        return;
    if (conn->tls != NULL)
        conn_tls_stop(conn); /* else a job that waits for the flush phase goes out meanwhile */
    check(conn->ctl_op.kind != OP_CLOSE);
    conn->ctl_op.kind = OP_CLOSE;
    conn->ctl_op.handle = conn->handle;
    conn->ctl_op.fn = on_control;
    conn_arm(conn, &conn->ctl_op);
}

/* Cancelling ends a receive, a blocked send and a hanging connect alike. An operation that ended
 * already is not found, which is as good. */
void conn_enter_closing(struct conn *conn, bool wants_reset)
{
    struct engine *engine = conn_loop(conn)->engine;

    enter(conn, CONN_CLOSING);
    conn_move(conn, &conn->conns->open);
    list_remove(&conn->dirty.node);
    conn_cancel_receive(conn);
    if (conn->tx_op.state == OP_ARMED)
        engine_cancel(engine, &conn->tx_op);
    if (conn->ctl_op.state == OP_ARMED) {
        if (conn->ctl_op.kind == OP_CONNECT)
            engine_cancel(engine, &conn->ctl_op);
    } else if (wants_reset) {
        conn->ctl_op.kind = OP_RESET;
        conn->ctl_op.handle = conn->handle;
        conn->ctl_op.fn = on_control;
        conn_arm(conn, &conn->ctl_op);
    }
    conn_join(conn);
}

void conn_fail(struct conn *conn, enum r2a_err err, int32_t errnum)
{
    bool is_owned = conn->state <= CONN_OPEN;

    if (conn->state == CONN_CLOSING)
        return;
    conn->errnum = errnum;
    conn_enter_closing(conn, false);
    if (is_owned && conn->calls->on_closed != NULL)
        conn->calls->on_closed(conn, err);
}

void conn_abort(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_CLOSING)
        return;
    conn->conns->aborted++;
    conn_enter_closing(conn, conn->state >= CONN_HANDSHAKE);
}

void conn_close(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_CONNECTING || conn->state == CONN_HANDSHAKE) {
        conn_enter_closing(conn, false);
        return;
    }
    if (conn->state != CONN_OPEN)
        return;
    if (conn->tx_failed) {
        conn_enter_closing(conn, false);
        return;
    }
    enter(conn, CONN_FLUSHING);
    conn_leave_starved(conn);
    wait_for_end(conn);
    conn_mark_dirty(conn);
}

void conn_detach(struct conn *conn)
{
    check(conn->state > CONN_OPEN);
    conn->calls = &no_calls;
    conn->owner = NULL;
}

static void on_connected(struct conn *conn, int32_t res)
{
    if (res < 0) {
        enum r2a_err err = res == -ETIMEDOUT ? R2A_ERR_TIMEOUT : R2A_ERR_CONNECT;

        conn_fail(conn, err, -res);
        return;
    }
    conn->conns->connected++;
    conn->rx_empty = true;
    if (conn_is_plain(conn)) {
        conn_enter_open(conn);
    } else {
        enter(conn, CONN_HANDSHAKE);
        conn_tls_start(conn);
        conn_mark_dirty(conn);
    }
    if (conn->state != CONN_CLOSING)
        conn_update_receive(conn);
}

void conn_enter_open(struct conn *conn)
{
    enter(conn, CONN_OPEN);
    if (conn->out.bytes > 0 || conn->out.err != R2A_OK)
        conn_mark_dirty(conn);
    if (conn->calls->on_connected != NULL)
        conn->calls->on_connected(conn);
}

static void on_control(struct op *op, struct op_result result)
{
    struct conn *conn = container_of(op, struct conn, ctl_op);
    enum op_kind kind = (enum op_kind)op->kind;

    check(conn->ops_count > 0);
    check(result.is_last);
    conn->ops_count--;
    if (kind == OP_CLOSE) {
        release(conn);
        return;
    }
    if (conn->state == CONN_CLOSING) {
        conn_join(conn);
        return;
    }
    if (kind == OP_CONNECT)
        on_connected(conn, result.res);
    else if (result.res < 0) /* shutdown: the peer is gone already */
        conn_enter_closing(conn, false);
}

/* --- connections without an owner --- */

static uint32_t end_clock(const struct conns *conns)
{
    return (uint32_t)(loop_now_ms(conns->loop) / CONN_END_UNIT_MS);
}

/* Milliseconds until a connection's time is up; <= 0: it is. */
static int32_t end_left_ms(const struct conn *conn)
{
    return (int32_t)(conn->end_at - end_clock(conn->conns)) * (int32_t)CONN_END_UNIT_MS;
}

static void on_end_timer(struct timer *timer, uint64_t now_ms);

static void arm_end_timer(struct conns *conns)
{
    const struct list *lists[] = {&conns->flushing, &conns->lingering};
    int32_t next_ms = INT32_MAX;

    for (size_t i = 0; i < array_count(lists); i++) {
        struct conn *conn = list_owner(list_first(lists[i]), struct conn, node);

        if (conn != NULL && end_left_ms(conn) < next_ms)
            next_ms = end_left_ms(conn);
    }
    if (next_ms < INT32_MAX)
        loop_timer_arm(conns->loop, &conns->end_timer,
                       loop_now_ms(conns->loop) + (uint32_t)(next_ms > 0 ? next_ms : 0));
}

/* (Re)starts the clock of a connection that is FLUSHING or LINGERING. All in one of these states
 * wait equally long, so each list is in the order of its deadlines. */
static void wait_for_end(struct conn *conn)
{
    struct conns *conns = conn->conns;
    bool is_flushing = conn->state == CONN_FLUSHING;
    uint32_t wait_ms = is_flushing ? conns->flush_ms : conns->linger_ms;

    conn->end_at = end_clock(conns) + wait_ms / CONN_END_UNIT_MS + 1;
    conn_move(conn, is_flushing ? &conns->flushing : &conns->lingering);
    if (!timer_is_armed(&conns->end_timer) ||
        conns->end_timer.deadline_ms > loop_now_ms(conns->loop) + wait_ms)
        arm_end_timer(conns);
}

static void end_list(struct list *list, bool wants_reset)
{
    struct list_node *node;

    while ((node = list_first(list)) != NULL) {
        struct conn *conn = list_owner(node, struct conn, node);

        if (end_left_ms(conn) > 0)
            return;
        conn_enter_closing(conn, wants_reset);
    }
}

static void on_end_timer(struct timer *timer, uint64_t now_ms)
{
    struct conns *conns = container_of(timer, struct conns, end_timer);

    (void)now_ms;
    end_list(&conns->flushing, true); /* the peer did not get everything and should know */
    end_list(&conns->lingering, false);
    arm_end_timer(conns);
}

/* --- all connections of a loop --- */

enum r2a_err conns_open(struct conns *conns, struct loop *loop, uint32_t limit)
{
    check(loop->mem != NULL);
    *conns = (struct conns){
        .loop = loop,
        .mem = loop->mem,
        .flush_ms = CONN_FLUSH_MS,
        .linger_ms = CONN_LINGER_MS,
    };
    if (!slab_open(&conns->slab, sizeof(struct conn), limit))
        return R2A_ERR_NO_MEMORY;
    if (!slab_open(&conns->layers, sizeof(struct conn_tls), limit)) {
        slab_close(&conns->slab);
        return R2A_ERR_NO_MEMORY;
    }
    conns->end_timer.fn = on_end_timer;
    conns->starved_hook.fn = conn_feed_starved;
    loop_add_hook(loop, &conns->starved_hook);
    loop->engine->fetch = conn_fetch;
    return R2A_OK;
}

void conns_close(struct conns *conns)
{
    check(conns->open_count == 0);
    conns->loop->engine->fetch = NULL;
    loop_timer_cancel(conns->loop, &conns->end_timer);
    loop_remove_hook(&conns->starved_hook);
    slab_close(&conns->layers);
    slab_close(&conns->slab);
}

static void abort_list(struct list *list)
{
    struct list ending = {0};
    struct list_node *node;

    list_append(&ending, list);
    while ((node = list_first(&ending)) != NULL) {
        struct conn *conn = list_owner(node, struct conn, node);

        if (conn->state == CONN_CLOSING)
            conn_move(conn, &conn->conns->open);
        else
            conn_fail(conn, R2A_ERR_CANCELLED, 0);
    }
}

void conns_abort_all(struct conns *conns)
{
    abort_list(&conns->flushing);
    abort_list(&conns->lingering);
    abort_list(&conns->starved);
    abort_list(&conns->open);
}

static struct conn *take(struct conns *conns, const struct conn_calls *calls, void *owner)
{
    struct conn *conn = slab_take(&conns->slab);

    if (conn == NULL)
        return NULL;
    conn->conns = conns;
    conn->calls = calls;
    conn->owner = owner;
    conn->out.mem = conns->mem;
    conn->dirty.flush = flush;
    conn->writable_at = CONN_NO_WATER;
    conn->handle = -1;
    conns->open_count++;
    list_push_back(&conns->open, &conn->node);
    return conn;
}

static void give_back(struct conn *conn)
{
    struct conns *conns = conn->conns;

    list_remove(&conn->node);
    conns->open_count--;
    slab_give(&conns->slab, conn);
}

struct conn *conn_adopt(struct conns *conns, int32_t handle, const struct conn_peer *peer,
                        const struct conn_calls *calls, void *owner)
{
    struct conn *conn = take(conns, calls, owner);

    if (conn == NULL) {
        conns->loop->engine->table->discard(conns->loop->engine, handle);
        return NULL;
    }
    conn->handle = handle;
    conn->peer = *peer;
    enter(conn, CONN_OPEN);
    conns->adopted++;
    conn_update_receive(conn);
    return conn;
}

struct conn *conn_connect(struct conns *conns, const struct conn_target *target,
                          const struct conn_calls *calls, void *owner, enum r2a_err *err)
{
    struct engine *engine = conns->loop->engine;
    struct conn *conn = take(conns, calls, owner);

    if (conn == NULL) {
        *err = R2A_ERR_LIMIT;
        return NULL;
    }
    conn->is_upstream = true;
    conn_peer_from(&conn->peer, target->addr, target->addr_len);
    if (target->tls != NULL) {
        *err = conn_tls_open(conn, target);
        if (*err != R2A_OK)
            goto fail;
    }
    conn->handle = engine->table->socket(engine, target->addr);
    if (conn->handle < 0) {
        *err = r2a_err_from_errno(-conn->handle);
        goto fail;
    }
    enter(conn, CONN_CONNECTING);
    conn->ctl_op.kind = OP_CONNECT;
    conn->ctl_op.handle = conn->handle;
    conn->ctl_op.fn = on_control;
    conn->ctl_op.ptr = (void *)(uintptr_t)target->addr;
    conn->ctl_op.len = target->addr_len;
    conn_arm(conn, &conn->ctl_op);
    *err = R2A_OK;
    return conn;

fail:
    if (conn->tls != NULL)
        conn_tls_free(conn);
    give_back(conn);
    return NULL;
}
