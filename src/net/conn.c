/* One connection. This file decides when to receive, what becomes of received bytes, when to send
 * and in which order a connection ends; the bytes' meaning is the owner's, timeouts too (but for
 * the one of a connection that nobody owns any more).
 *
 * Receiving. A client is read by a multishot receive on provided buffers: idle, it owns no memory,
 * and it is armed once in its life. An upstream is read one buffer at a time, so that arming is the
 * credit. Bytes the owner does not use are kept in one contiguous block; a client that fills it is
 * read one buffer at a time from then on.
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

enum rx_mode {
    RX_NONE,    /* nothing is armed */
    RX_MULTI,   /* provided buffers, until it ends */
    RX_SINGLE,  /* one provided buffer */
    RX_INTO,    /* the target of conn_read_into */
    RX_STARVED, /* nothing is armed: waits in conns->starved */
};

#define KEEP_BYTES_HARD (64u * CONN_KEEP_BYTES) /* what was on its way when reading stopped */
#define INTO_BYTES_MAX  (1u << 30)              /* one receive */

#define BIT(state) (1u << (state))

/* The drawing in conn.h as a table: what may follow. */
static const struct {
    const char *name;
    uint32_t next;
} rows[CONN_STATES] = {
    [CONN_FREE] = {"free", BIT(CONN_CONNECTING) | BIT(CONN_OPEN)},
    [CONN_CONNECTING] = {"connecting", BIT(CONN_HANDSHAKE) | BIT(CONN_OPEN) | BIT(CONN_CLOSING)},
    [CONN_HANDSHAKE] = {"handshake", BIT(CONN_OPEN) | BIT(CONN_CLOSING)},
    [CONN_OPEN] = {"open", BIT(CONN_FLUSHING) | BIT(CONN_CLOSING)},
    [CONN_FLUSHING] = {"flushing", BIT(CONN_LINGERING) | BIT(CONN_CLOSING)},
    [CONN_LINGERING] = {"lingering", BIT(CONN_CLOSING)},
    [CONN_CLOSING] = {"closing", BIT(CONN_FREE)},
};

static const struct conn_calls no_calls;

static void on_received(struct op *op, struct op_result result);
static void on_sent(struct op *op, struct op_result result);
static void on_control(struct op *op, struct op_result result);
static void flush(struct loop_dirty *dirty);

const char *conn_state_name(enum conn_state state)
{
    return state < CONN_STATES ? rows[state].name : "?";
}

/* The only writer of the state. */
static void enter(struct conn *conn, enum conn_state next)
{
    check(rows[conn->state].next & BIT(next));
    conn->state = (uint8_t)next;
}

static struct loop *loop_of(const struct conn *conn)
{
    return conn->conns->loop;
}

static void mark_dirty(struct conn *conn)
{
    loop_mark_dirty(loop_of(conn), &conn->dirty);
}

static void arm(struct conn *conn, struct op *op)
{
    conn->ops_count++;
    loop_arm(loop_of(conn), op);
}

static void move_to(struct conn *conn, struct list *list)
{
    list_remove(&conn->node);
    list_push_back(list, &conn->node);
}

/* --- kept bytes --- */

bool conn_block_append(struct mem *mem, char **block, uint32_t *begin, uint32_t *end,
                       uint32_t *size, struct slice bytes)
{
    uint32_t held = *end - *begin;

    check(bytes.len <= UINT32_MAX / 4);
    if (*size - *end<bytes.len && * begin> 0) {
        memmove(*block, *block + *begin, held);
        *begin = 0;
        *end = held;
    }
    if (*size - *end < bytes.len) {
        size_t wanted = held + bytes.len;
        char *larger;

        if (wanted < 2 * (size_t)held)
            wanted = 2 * (size_t)held;
        larger = mem_take(mem, wanted);
        if (larger == NULL)
            return false;
        if (held > 0)
            memcpy(larger, *block, held);
        mem_give(mem, *block, *size);
        *block = larger;
        *size = (uint32_t)wanted;
    }
    memcpy(*block + *end, bytes.ptr, bytes.len);
    *end += (uint32_t)bytes.len;
    return true;
}

void conn_block_free(struct mem *mem, char **block, uint32_t *begin, uint32_t *end, uint32_t *size)
{
    mem_give(mem, *block, *size);
    *block = NULL;
    *begin = *end = *size = 0;
}

static uint32_t kept_bytes(const struct conn *conn)
{
    return conn->kept_end - conn->kept_begin;
}

static void drop_kept(struct conn *conn)
{
    if (conn->kept != NULL)
        conn_block_free(conn->conns->mem, &conn->kept, &conn->kept_begin, &conn->kept_end,
                        &conn->kept_size);
}

static void keep(struct conn *conn, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    if (kept_bytes(conn) + bytes.len > CONN_KEEP_BYTES && !conn->is_greedy) {
        conn->is_greedy = true;
        conn->conns->overruns++;
    }
    if (kept_bytes(conn) + bytes.len > KEEP_BYTES_HARD) {
        conn_fail(conn, R2A_ERR_LIMIT, 0);
        return;
    }
    if (!conn_block_append(conn->conns->mem, &conn->kept, &conn->kept_begin, &conn->kept_end,
                           &conn->kept_size, bytes))
        conn_fail(conn, R2A_ERR_NO_MEMORY, ENOMEM);
}

/* --- receiving --- */

static bool is_plain(const struct conn *conn)
{
    return conn->tls == NULL;
}

/* May a receive be armed? In CLOSING nothing is, in FLUSHING it is not needed. */
static bool wants_read(const struct conn *conn)
{
    if (conn->has_eof)
        return false;
    switch ((enum conn_state)conn->state) {
    case CONN_HANDSHAKE:
        return conn_tls_wants_read(conn);
    case CONN_OPEN:
        return !conn->is_paused && kept_bytes(conn) < CONN_KEEP_BYTES &&
               (is_plain(conn) || conn_tls_wants_read(conn));
    case CONN_LINGERING:
        return true;
    case CONN_FREE:
    case CONN_CONNECTING:
    case CONN_FLUSHING:
    case CONN_CLOSING:
    case CONN_STATES:
        break;
    }
    return false;
}

/* Straight into the owner's memory: for an upstream always, since a receive is armed anyway; for a
 * client only when that pays for ending the multishot. */
static bool wants_direct(const struct conn *conn)
{
    if (!is_plain(conn) || conn->state != CONN_OPEN || kept_bytes(conn) > 0)
        return false;
    return conn->into_left >= (conn->is_upstream ? 1 : CONN_DIRECT_BYTES_MIN);
}

static void cancel_receive(struct conn *conn)
{
    if (conn->rx_op.state != OP_ARMED || conn->rx_cancelled)
        return;
    conn->rx_cancelled = true;
    engine_cancel(loop_of(conn)->engine, &conn->rx_op);
}

/* Arms what is wanted and not armed; ends a multishot that brings what is not wanted. */
static void update_receive(struct conn *conn)
{
    struct op *op = &conn->rx_op;

    if (conn->rx_mode == RX_MULTI) {
        if (conn->state == CONN_OPEN &&
            (wants_direct(conn) || conn->is_greedy || kept_bytes(conn) >= CONN_KEEP_BYTES / 2))
            cancel_receive(conn);
        return;
    }
    if (conn->rx_mode != RX_NONE || !wants_read(conn))
        return;
    op->handle = conn->handle;
    op->fn = on_received;
    op->flags = 0;
    if (wants_direct(conn)) {
        conn->rx_mode = RX_INTO;
        op->kind = OP_RECV_INTO;
        op->ptr = conn->into;
        op->len = conn->into_left < INTO_BYTES_MAX ? (uint32_t)conn->into_left : INTO_BYTES_MAX;
    } else if (conn->is_upstream || conn->is_greedy || conn->state == CONN_LINGERING) {
        conn->rx_mode = RX_SINGLE;
        op->kind = OP_RECV;
    } else {
        conn->rx_mode = RX_MULTI;
        op->kind = OP_RECV;
        op->flags = OP_MULTI;
    }
    if (conn->rx_empty && conn->rx_mode != RX_MULTI)
        op->flags |= OP_EMPTY;
    arm(conn, op);
}

static bool is_delivering(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !conn->is_paused;
}

/* `count` bytes of the target are in place. */
static void filled(struct conn *conn, size_t count)
{
    check(count <= conn->into_left);
    conn->into += count;
    conn->into_left -= count;
    if (conn->into_left == 0)
        conn->into = NULL;
    check(conn->calls->on_filled != NULL);
    conn->calls->on_filled(conn, count, conn->into_left);
}

/* Hands out one run of bytes: first what conn_read_into asked for, then by on_bytes, once more as
 * long as the owner asks for a target in between. Returns how many were used. */
static size_t hand_out(struct conn *conn, struct slice bytes)
{
    size_t used = 0;
    bool was_offered = false;

    check(!conn->in_delivery);
    conn->in_delivery = true;
    while (used < bytes.len && is_delivering(conn)) {
        struct slice rest = slice_skip(bytes, used);

        if (conn->into_left > 0) {
            size_t count = rest.len < conn->into_left ? rest.len : conn->into_left;

            memcpy(conn->into, rest.ptr, count);
            used += count;
            was_offered = false;
            filled(conn, count);
        } else if (!was_offered) {
            size_t count = conn->calls->on_bytes(conn, rest);

            check(count <= rest.len);
            used += count;
            was_offered = true;
        } else {
            break;
        }
    }
    conn->in_delivery = false;
    return used;
}

static void hand_out_kept(struct conn *conn)
{
    size_t used;

    if (kept_bytes(conn) == 0)
        return;
    used = hand_out(conn, slice_of(conn->kept + conn->kept_begin, kept_bytes(conn)));
    if (conn->state != CONN_OPEN)
        return;
    conn->kept_begin += (uint32_t)used;
    if (kept_bytes(conn) == 0)
        drop_kept(conn);
}

void conn_receive(struct conn *conn, struct slice bytes)
{
    if (!is_delivering(conn)) {
        if (conn->state == CONN_OPEN)
            keep(conn, bytes);
        return;
    }
    if (kept_bytes(conn) > 0) {
        keep(conn, bytes);
        hand_out_kept(conn);
        return;
    }
    bytes = slice_skip(bytes, hand_out(conn, bytes));
    if (conn->state == CONN_OPEN)
        keep(conn, bytes);
}

static void tell_eof(struct conn *conn)
{
    if (!conn->has_eof || conn->eof_told || !is_delivering(conn))
        return;
    conn->eof_told = true;
    if (conn->calls->on_eof != NULL)
        conn->calls->on_eof(conn);
    else
        conn_fail(conn, R2A_ERR_PEER_EOF, 0);
}

void conn_receive_eof(struct conn *conn)
{
    conn->has_eof = true;
    tell_eof(conn);
}

static void enter_closing(struct conn *conn, bool wants_reset);

/* One result of a receive, in a state that still cares. */
static void take_received(struct conn *conn, struct op_result result, enum rx_mode mode)
{
    const char *ptr = conn->into;

    if (conn->state == CONN_FLUSHING || conn->state == CONN_LINGERING) {
        /* Dropped; what matters is that the peer ends. While flushing its end is not ours. */
        if (result.res <= 0 && result.res != -ECANCELED && result.res != -EINTR &&
            result.res != -ENOBUFS) {
            conn->has_eof = true;
            if (conn->state == CONN_LINGERING || result.res < 0)
                enter_closing(conn, false);
        }
        return;
    }
    if (result.res > 0) {
        conn->rx_empty = !result.has_more;
        conn->rx_bytes += (uint64_t)result.res;
        if (mode == RX_INTO) {
            conn->in_delivery = true;
            filled(conn, (size_t)result.res);
            conn->in_delivery = false;
            return;
        }
        ptr = loop_of(conn)->engine->rx_memory + (size_t)result.buffer * RX_SEGMENT_BYTES;
        if (is_plain(conn))
            conn_receive(conn, slice_of(ptr, (size_t)result.res));
        else
            conn_tls_receive(conn, slice_of(ptr, (size_t)result.res));
        return;
    }
    switch (result.res) {
    case 0:
        if (is_plain(conn))
            conn_receive_eof(conn);
        else
            conn_tls_receive_eof(conn);
        break;
    case -ENOBUFS:
        /* Armed again on an empty ring it would fail at once: wait for one to come back. */
        conn->rx_mode = RX_STARVED;
        move_to(conn, &conn->conns->starved);
        break;
    case -ECANCELED:
    case -EINTR:
    case -EAGAIN:
        break;
    default:
        conn_fail(conn, r2a_err_from_errno(-result.res), -result.res);
    }
}

static void on_received(struct op *op, struct op_result result)
{
    struct conn *conn = container_of(op, struct conn, rx_op);
    enum rx_mode mode = (enum rx_mode)conn->rx_mode;

    check(conn->ops_count > 0);
    if (result.is_last) {
        conn->ops_count--;
        conn->rx_mode = RX_NONE;
        conn->rx_cancelled = false;
    }
    if (conn->state != CONN_CLOSING)
        take_received(conn, result, mode);
    if (result.buffer != ENGINE_NO_BUFFER)
        loop_of(conn)->engine->table->give(loop_of(conn)->engine, result.buffer);
    if (conn->state == CONN_CLOSING)
        conn_join(conn);
    else
        update_receive(conn);
}

/* Arms at most as many starved receives as there are buffers on offer. */
static void feed_starved(struct loop_hook *hook)
{
    struct conns *conns = container_of(hook, struct conns, starved_hook);
    uint32_t offered = conns->loop->engine->stats.rx_offered;

    for (; offered > 0 && !list_is_empty(&conns->starved); offered--) {
        struct conn *conn = list_owner(list_first(&conns->starved), struct conn, node);

        check(conn->rx_mode == RX_STARVED);
        conn->rx_mode = RX_NONE;
        move_to(conn, &conns->open);
        update_receive(conn);
    }
}

/* --- sending --- */

static struct rope *wire_rope(struct conn *conn)
{
    return is_plain(conn) ? &conn->out : &conn->tls->cipher;
}

size_t conn_out_bytes(const struct conn *conn)
{
    return conn->out.bytes + (conn->tls != NULL ? conn->tls->cipher.bytes : 0);
}

bool conn_is_congested(const struct conn *conn)
{
    return conn_out_bytes(conn) >= CONN_HIGH_BYTES;
}

static void linger(struct conn *conn);

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
        enter_closing(conn, false);
        return;
    }
    enter(conn, CONN_LINGERING);
    linger(conn);
    conn->ctl_op.kind = OP_SHUTDOWN;
    conn->ctl_op.len = SHUT_WR;
    conn->ctl_op.handle = conn->handle;
    conn->ctl_op.fn = on_control;
    arm(conn, &conn->ctl_op);
    update_receive(conn);
}

static void send_some(struct conn *conn)
{
    struct iovec vecs[ENGINE_VECS_MAX];
    struct rope *rope;

    if (conn->tx_op.state == OP_ARMED)
        return;
    if (conn->state != CONN_HANDSHAKE && conn->out.err != R2A_OK) {
        conn_fail(conn, conn->out.err, 0); /* bytes are missing: nothing sound can be sent */
        return;
    }
    if (!is_plain(conn) && !conn_tls_fill(conn))
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
    check(conn->tx_op.len > 0);
    arm(conn, &conn->tx_op);
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
        conn_fail(conn, r2a_err_from_errno(-result.res), -result.res);
        return;
    }
    if (conn->state == CONN_FLUSHING) {
        linger(conn); /* progress */
        mark_dirty(conn);
        return;
    }
    if (conn_out_bytes(conn) > 0)
        mark_dirty(conn);
    tell_writable(conn);
}

/* The flush phase: what waits to be offered again, then output. */
static void flush(struct loop_dirty *dirty)
{
    struct conn *conn = container_of(dirty, struct conn, dirty);

    if (conn->redeliver) {
        conn->redeliver = false;
        if (is_delivering(conn))
            hand_out_kept(conn);
        if (!is_plain(conn) && (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN))
            conn_tls_feed_kept(conn);
        tell_eof(conn);
    }
    tell_writable(conn);
    if (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN || conn->state == CONN_FLUSHING)
        send_some(conn);
    if (conn->state != CONN_CLOSING)
        update_receive(conn);
}

void conn_flush(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_OPEN)
        mark_dirty(conn);
}

void conn_want_writable(struct conn *conn, uint32_t bytes)
{
    conn->writable_at = bytes;
    if (bytes != CONN_NO_WATER)
        conn_flush(conn);
}

/* --- input, asked for --- */

void conn_read_pause(struct conn *conn)
{
    conn->is_paused = true;
}

void conn_read_resume(struct conn *conn)
{
    conn->is_paused = false;
    if (conn->state != CONN_OPEN)
        return;
    conn->redeliver = true;
    mark_dirty(conn);
}

void conn_read_into(struct conn *conn, char *to, size_t len)
{
    check(len > 0);
    check(conn->into_left == 0);
    conn->into = to;
    conn->into_left = len;
    /* Inside a delivery the bytes at hand come first; it looks at the receive afterwards. */
    if (conn->in_delivery || conn->state != CONN_OPEN)
        return;
    conn->redeliver = true;
    mark_dirty(conn);
}

/* --- ends --- */

static void release(struct conn *conn)
{
    struct conns *conns = conn->conns;

    check(conn->ops_count == 0);
    drop_kept(conn);
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
    check(conn->ctl_op.kind != OP_CLOSE);
    conn->ctl_op.kind = OP_CLOSE;
    conn->ctl_op.handle = conn->handle;
    conn->ctl_op.fn = on_control;
    arm(conn, &conn->ctl_op);
}

/* Cancelling ends a receive, a blocked send and a hanging connect alike. An operation that ended
 * already is not found, which is as good. */
static void enter_closing(struct conn *conn, bool wants_reset)
{
    struct engine *engine = loop_of(conn)->engine;

    enter(conn, CONN_CLOSING);
    move_to(conn, &conn->conns->open);
    list_remove(&conn->dirty.node);
    cancel_receive(conn);
    if (conn->rx_mode == RX_STARVED)
        conn->rx_mode = RX_NONE;
    if (conn->tx_op.state == OP_ARMED)
        engine_cancel(engine, &conn->tx_op);
    if (conn->ctl_op.state == OP_ARMED) {
        if (conn->ctl_op.kind == OP_CONNECT)
            engine_cancel(engine, &conn->ctl_op);
    } else if (wants_reset) {
        conn->ctl_op.kind = OP_RESET;
        conn->ctl_op.handle = conn->handle;
        conn->ctl_op.fn = on_control;
        arm(conn, &conn->ctl_op);
    }
    conn_join(conn);
}

void conn_fail(struct conn *conn, enum r2a_err err, int32_t errnum)
{
    bool is_owned = conn->state <= CONN_OPEN;

    if (conn->state == CONN_CLOSING)
        return;
    conn->errnum = errnum;
    enter_closing(conn, false);
    if (is_owned && conn->calls->on_closed != NULL)
        conn->calls->on_closed(conn, err);
}

void conn_abort(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_CLOSING)
        return;
    conn->conns->aborted++;
    enter_closing(conn, conn->state >= CONN_HANDSHAKE);
}

void conn_close(struct conn *conn)
{
    check(conn->state != CONN_FREE);
    if (conn->state == CONN_CONNECTING || conn->state == CONN_HANDSHAKE) {
        enter_closing(conn, false);
        return;
    }
    if (conn->state != CONN_OPEN)
        return;
    enter(conn, CONN_FLUSHING);
    linger(conn);
    mark_dirty(conn);
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
    if (is_plain(conn)) {
        conn_enter_open(conn);
    } else {
        enter(conn, CONN_HANDSHAKE);
        conn_tls_start(conn);
        mark_dirty(conn);
    }
    if (conn->state != CONN_CLOSING)
        update_receive(conn);
}

void conn_enter_open(struct conn *conn)
{
    enter(conn, CONN_OPEN);
    if (conn->out.bytes > 0 || conn->out.err != R2A_OK)
        mark_dirty(conn);
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
        enter_closing(conn, false);
}

/* --- lingering --- */

static uint32_t linger_clock(const struct conns *conns)
{
    return (uint32_t)(loop_now_ms(conns->loop) / CONN_LINGER_UNIT_MS);
}

/* All wait equally long, so the list's order is that of their deadlines. */
static void linger(struct conn *conn)
{
    struct conns *conns = conn->conns;

    if (conn->rx_mode == RX_STARVED)
        conn->rx_mode = RX_NONE;
    conn->linger_at = linger_clock(conns) + CONN_LINGER_MS / CONN_LINGER_UNIT_MS + 1;
    move_to(conn, &conns->lingering);
    if (!timer_is_armed(&conns->linger_timer))
        loop_timer_arm(conns->loop, &conns->linger_timer,
                       (uint64_t)loop_now_ms(conns->loop) + CONN_LINGER_MS + CONN_LINGER_UNIT_MS);
}

static void end_lingering(struct timer *timer, uint64_t now_ms)
{
    struct conns *conns = container_of(timer, struct conns, linger_timer);
    struct list_node *node;

    while ((node = list_first(&conns->lingering)) != NULL) {
        struct conn *conn = list_owner(node, struct conn, node);
        int32_t left = (int32_t)(conn->linger_at - linger_clock(conns));

        if (left > 0) {
            loop_timer_arm(conns->loop, timer, now_ms + (uint32_t)left * CONN_LINGER_UNIT_MS);
            return;
        }
        enter_closing(conn, conn->state == CONN_FLUSHING);
    }
}

/* --- all connections of a loop --- */

enum r2a_err conns_open(struct conns *conns, struct loop *loop, uint32_t limit)
{
    check(loop->mem != NULL);
    *conns = (struct conns){.loop = loop, .mem = loop->mem};
    if (!slab_open(&conns->slab, sizeof(struct conn), limit))
        return R2A_ERR_NO_MEMORY;
    conns->linger_timer.fn = end_lingering;
    conns->starved_hook.fn = feed_starved;
    loop_add_hook(loop, &conns->starved_hook);
    return R2A_OK;
}

void conns_close(struct conns *conns)
{
    check(conns->open_count == 0);
    loop_timer_cancel(conns->loop, &conns->linger_timer);
    loop_remove_hook(&conns->starved_hook);
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
            move_to(conn, &conn->conns->open);
        else
            conn_fail(conn, R2A_ERR_CANCELLED, 0);
    }
}

void conns_abort_all(struct conns *conns)
{
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
    update_receive(conn);
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
    arm(conn, &conn->ctl_op);
    *err = R2A_OK;
    return conn;

fail:
    if (conn->tls != NULL)
        conn_tls_free(conn);
    give_back(conn);
    return NULL;
}
