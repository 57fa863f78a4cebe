/* The TLS half of a connection: carries bytes between the socket's side of conn.c and the layer of
 * tls.h, which does no I/O. Decides when the layer is fed and when it may encrypt. */
#include <errno.h>
#include <string.h>

#include "conn_priv.h"
#include "r2a/core/check.h"
#include "r2a/limits.h"

/* Encrypt ahead of the socket no more than this: one send's worth, and little to hold. */
#define CIPHER_BYTES_MAX 65536u

struct tls *conn_tls(const struct conn *conn)
{
    return conn->tls != NULL ? conn->tls->tls : NULL;
}

/* A job came back or a buffer became free: go on in the flush phase. */
static void wake(void *owner, struct tls *tls)
{
    struct conn *conn = owner;

    (void)tls;
    if (conn->state == CONN_CLOSING) {
        conn_join(conn);
        return;
    }
    conn->redeliver = true;
    loop_mark_dirty(conn->conns->loop, &conn->dirty);
}

enum r2a_err conn_tls_open(struct conn *conn, const struct conn_target *target)
{
    struct mem *mem = conn->conns->mem;
    struct conn_tls *layer = slab_take(&conn->conns->layers);
    enum r2a_err err = R2A_OK;

    if (layer == NULL)
        return R2A_ERR_NO_MEMORY;
    layer->cipher.mem = mem;
    conn->tls = layer;
    layer->tls = tls_open(target->tls, &target->tls_peer, &layer->cipher, wake, conn, &err);
    return layer->tls != NULL ? R2A_OK : err;
}

void conn_tls_free(struct conn *conn)
{
    struct mem *mem = conn->conns->mem;
    struct conn_tls *layer = conn->tls;

    if (layer->tls != NULL)
        tls_free(layer->tls);
    if (layer->kept != NULL)
        conn_block_free(mem, &layer->kept, &layer->kept_begin, &layer->kept_end, &layer->kept_size);
    rope_clear(&layer->cipher);
    slab_give(&conn->conns->layers, layer);
    conn->tls = NULL;
}

bool conn_tls_is_out(const struct conn *conn)
{
    return tls_is_out(conn->tls->tls);
}

void conn_tls_stop(struct conn *conn)
{
    tls_close(conn->tls->tls);
    rope_clear(&conn->tls->cipher);
}

bool conn_tls_wants_read(const struct conn *conn)
{
    return conn->tls->kept_begin == conn->tls->kept_end && tls_wants_read(conn->tls->tls);
}

void conn_tls_start(struct conn *conn)
{
    tls_start(conn->tls->tls, loop_wall_ms(conn->conns->loop));
}

static bool is_receiving(const struct conn *conn)
{
    return conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN;
}

/* Looks at what the layer came to. False: the connection is over, or receives no more. */
static bool follow_phase(struct conn *conn)
{
    switch (tls_phase(conn->tls->tls)) {
    case TLS_IDLE:
    case TLS_HANDSHAKE:
        return true;
    case TLS_OPEN:
        if (conn->state == CONN_HANDSHAKE)
            conn_enter_open(conn);
        return is_receiving(conn);
    case TLS_CLOSED:
        if (conn->state == CONN_HANDSHAKE)
            conn_fail(conn, R2A_ERR_PEER_EOF, 0);
        else if (!conn->has_eof)
            conn_receive_eof(conn);
        return false;
    case TLS_FAILED:
        conn_fail(conn, tls_error(conn->tls->tls), 0);
        return false;
    }
    return false;
}

/* Feeds until the layer takes and gives nothing more, which is when it returns its buffer; returns
 * how many bytes of `in` it took. */
static size_t feed(struct conn *conn, struct slice in)
{
    struct tls *tls = conn->tls->tls;
    size_t used = 0;

    while (is_receiving(conn)) {
        struct slice plain = {0};
        int32_t count = tls_feed(tls, used > 0 ? slice_skip(in, used) : in, &plain);

        if (count < 0) {
            conn_fail(conn, tls_error(tls), 0);
            break;
        }
        used += (size_t)count;
        if (conn->state == CONN_HANDSHAKE && !follow_phase(conn))
            break;
        if (plain.len > 0)
            conn_receive(conn, plain);
        else if (count == 0)
            break;
    }
    if (is_receiving(conn))
        follow_phase(conn);
    if (is_receiving(conn) && conn->tls->cipher.bytes > 0)
        loop_mark_dirty(conn->conns->loop, &conn->dirty);
    return used;
}

void conn_tls_feed_kept(struct conn *conn)
{
    struct conn_tls *layer = conn->tls;
    struct slice kept = {0};
    size_t used;

    if (layer->kept != NULL)
        kept = slice_of(layer->kept + layer->kept_begin, layer->kept_end - layer->kept_begin);
    used = feed(conn, kept);
    layer->kept_begin += (uint32_t)used;
    if (layer->kept != NULL && layer->kept_begin == layer->kept_end)
        conn_block_free(conn->conns->mem, &layer->kept, &layer->kept_begin, &layer->kept_end,
                        &layer->kept_size);
}

static void keep(struct conn *conn, struct slice bytes)
{
    struct conn_tls *layer = conn->tls;

    if (bytes.len > 0 && is_receiving(conn) && !conn->has_eof &&
        !conn_block_append(conn->conns->mem, &layer->kept, &layer->kept_begin, &layer->kept_end,
                           &layer->kept_size, bytes))
        conn_fail(conn, R2A_ERR_NO_MEMORY, ENOMEM);
}

void conn_tls_receive(struct conn *conn, struct slice bytes)
{
    if (conn->tls->kept_begin != conn->tls->kept_end) {
        keep(conn, bytes);
        conn_tls_feed_kept(conn);
        return;
    }
    keep(conn, slice_skip(bytes, feed(conn, bytes)));
}

void conn_tls_receive_eof(struct conn *conn)
{
    enum r2a_err err = tls_eof(conn->tls->tls);

    if (err != R2A_OK)
        conn_fail(conn, err, 0);
    else if (!conn->has_eof)
        conn_receive_eof(conn);
}

bool conn_tls_fill(struct conn *conn)
{
    struct conn_tls *layer = conn->tls;
    enum r2a_err err = R2A_OK;

    if (tls_is_out(layer->tls))
        return true;
    if (tls_phase(layer->tls) == TLS_OPEN) {
        if (conn->out.bytes > 0)
            err = tls_write_rope(layer->tls, &conn->out, CIPHER_BYTES_MAX);
        if (err == R2A_OK && conn->state == CONN_FLUSHING && conn->out.bytes == 0)
            tls_close(layer->tls);
    }
    if (err == R2A_OK)
        err = layer->cipher.err;
    if (err != R2A_OK)
        conn_fail(conn, err, 0);
    return err == R2A_OK;
}
