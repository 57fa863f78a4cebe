/* The receiving half of a connection: when to receive and into what, and how bytes reach the owner.
 *
 * A plain connection is read by a multishot receive on provided buffers: idle, it owns no memory,
 * and it is armed once in its life. TLS is read one buffer at a time, so that arming is the credit.
 * A paused upstream's multishot is ended at once; what it brought before that, a window of buffers
 * at most, is kept. Bytes the owner does not use are kept in one contiguous block; a peer that
 * fills it is read one buffer at a time from then on. */
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

static void on_received(struct op *op, struct op_result result);

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

void conn_drop_kept(struct conn *conn)
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
               (conn_is_plain(conn) || conn_tls_wants_read(conn));
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

/* Straight into the owner's memory, when that pays for ending the multishot. */
static bool wants_direct(const struct conn *conn)
{
    if (!conn_is_plain(conn) || conn->state != CONN_OPEN || kept_bytes(conn) > 0)
        return false;
    return conn->into_left >= CONN_DIRECT_BYTES_MIN;
}

void conn_leave_starved(struct conn *conn)
{
    if (conn->rx_mode != RX_STARVED)
        return;
    conn->rx_mode = RX_NONE;
    conn_move(conn, &conn->conns->open);
}

void conn_cancel_receive(struct conn *conn)
{
    conn_leave_starved(conn);
    if (conn->rx_op.state != OP_ARMED || conn->rx_cancelled)
        return;
    conn->rx_cancelled = true;
    engine_cancel(conn_loop(conn)->engine, &conn->rx_op);
}

/* Arms what is wanted and not armed; ends a multishot that brings what is not wanted. */
void conn_update_receive(struct conn *conn)
{
    struct op *op = &conn->rx_op;

    if (conn->rx_mode == RX_MULTI) {
        if (conn->state == CONN_OPEN &&
            (wants_direct(conn) || conn->is_greedy || (conn->is_upstream && conn->is_paused) ||
             kept_bytes(conn) >= CONN_KEEP_BYTES / 2))
            conn_cancel_receive(conn);
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
    } else if (conn->is_greedy || !conn_is_plain(conn) || conn->state == CONN_LINGERING) {
        conn->rx_mode = RX_SINGLE;
        op->kind = OP_RECV;
    } else {
        conn->rx_mode = RX_MULTI;
        op->kind = OP_RECV;
        op->flags = OP_MULTI;
    }
    if (conn->rx_empty && conn->rx_mode != RX_MULTI)
        op->flags |= OP_EMPTY;
    conn_arm(conn, op);
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
        conn_drop_kept(conn);
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

#define STEADY_RUNS 16u  /* of bytes that came for one request … */
#define STEADY_MS   320u /* … within this time */

/* A fast stream of small segments is otherwise acknowledged one by one. A slow one is left alone:
 * there a server that waits for acknowledgements before it sends on would be the slower for it. */
static void note_run(struct conn *conn)
{
    const uint32_t now_ms = (uint32_t)loop_now_ms(conn_loop(conn));

    if (!conn->is_upstream || conn->rx_runs == STEADY_RUNS)
        return;
    if (conn->rx_runs == 0)
        conn->rx_since_ms = now_ms;
    conn->rx_runs++;
    if (conn->rx_runs < STEADY_RUNS)
        return;
    if (now_ms - conn->rx_since_ms <= STEADY_MS)
        conn_loop(conn)->engine->table->ease(conn_loop(conn)->engine, conn->handle);
    else
        conn->rx_runs = 0;
}

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
                conn_enter_closing(conn, false);
        }
        return;
    }
    if (result.res > 0) {
        conn->rx_empty = !result.has_more;
        conn->rx_bytes += (uint64_t)result.res;
        note_run(conn);
        if (mode == RX_INTO) {
            conn->in_delivery = true;
            filled(conn, (size_t)result.res);
            conn->in_delivery = false;
            return;
        }
        ptr = conn_loop(conn)->engine->rx_memory + (size_t)result.buffer * RX_SEGMENT_BYTES;
        if (conn_is_plain(conn))
            conn_receive(conn, slice_of(ptr, (size_t)result.res));
        else
            conn_tls_receive(conn, slice_of(ptr, (size_t)result.res));
        return;
    }
    switch (result.res) {
    case 0:
        if (conn_is_plain(conn))
            conn_receive_eof(conn);
        else
            conn_tls_receive_eof(conn);
        break;
    case -ENOBUFS:
        /* Armed again on an empty ring it would fail at once: wait for one to come back. */
        conn->rx_mode = RX_STARVED;
        conn_move(conn, &conn->conns->starved);
        break;
    case -ECANCELED:
    case -EINTR:
    case -EAGAIN:
        break;
    default:
        conn_fail(conn, r2a_err_from_errno(-result.res), -result.res);
    }
}

#define OWNER_BYTES 128u /* of an owner that bytes are about to reach */

void conn_fetch(const struct op *op, enum engine_fetch stage)
{
    const struct conn *conn = container_of(op, const struct conn, rx_op);

    if (op->fn != on_received)
        return;
    if (stage == FETCH_OWNER)
        engine_prefetch(conn->owner, OWNER_BYTES);
    else if (conn->calls->fetch != NULL)
        conn->calls->fetch(conn, stage);
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
        conn_loop(conn)->engine->table->give(conn_loop(conn)->engine, result.buffer);
    if (conn->state == CONN_CLOSING)
        conn_join(conn);
    else
        conn_update_receive(conn);
}

/* Arms at most as many starved receives as there are buffers on offer. */
void conn_feed_starved(struct loop_hook *hook)
{
    struct conns *conns = container_of(hook, struct conns, starved_hook);
    uint32_t offered = conns->loop->engine->stats.rx_offered;

    for (; offered > 0 && !list_is_empty(&conns->starved); offered--) {
        struct conn *conn = list_owner(list_first(&conns->starved), struct conn, node);

        check(conn->rx_mode == RX_STARVED);
        conn_leave_starved(conn);
        conn_update_receive(conn);
    }
}

void conn_redeliver(struct conn *conn)
{
    conn->redeliver = false;
    if (is_delivering(conn))
        hand_out_kept(conn);
    if (!conn_is_plain(conn) && (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN))
        conn_tls_feed_kept(conn);
    tell_eof(conn);
}

/* --- input, asked for --- */

void conn_read_pause(struct conn *conn)
{
    conn->is_paused = true;
}

void conn_read_resume(struct conn *conn)
{
    conn->is_paused = false;
    conn->eof_told = false;
    if (conn->state != CONN_OPEN)
        return;
    conn->redeliver = true;
    conn_mark_dirty(conn);
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
    conn_mark_dirty(conn);
}
