#ifndef R2A_NET_CONN_PRIV_H
#define R2A_NET_CONN_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/rope.h"
#include "r2a/net/conn.h"
#include "r2a/net/tls.h"

/* What conn.c and its TLS half (conn_tls.c) share. */

/* A connection's TLS layer: taken when it is opened, so that plain ones cost nothing. */
struct conn_tls {
    struct tls *tls;
    struct rope cipher; /* on its way to the socket */
    char *kept;         /* received, not yet fed: waits for a job, a buffer or the owner */
    uint32_t kept_begin;
    uint32_t kept_end;
    uint32_t kept_size;
};

/* A growing block of bytes at its owner: begin <= end <= size. Appending moves or enlarges it as
 * needed; false: no memory. */
bool conn_block_append(struct mem *mem, char **block, uint32_t *begin, uint32_t *end,
                       uint32_t *size, struct slice bytes);
void conn_block_free(struct mem *mem, char **block, uint32_t *begin, uint32_t *end, uint32_t *size);

static inline struct loop *conn_loop(const struct conn *conn)
{
    return conn->conns->loop;
}

static inline void conn_mark_dirty(struct conn *conn)
{
    loop_mark_dirty(conn_loop(conn), &conn->dirty);
}

/* Arms one of the connection's own operations. */
static inline void conn_arm(struct conn *conn, struct op *op)
{
    conn->ops_count++;
    loop_arm(conn_loop(conn), op);
}

/* To the end of one of the lists in struct conns. */
static inline void conn_move(struct conn *conn, struct list *list)
{
    list_remove(&conn->node);
    list_push_back(list, &conn->node);
}

static inline bool conn_is_plain(const struct conn *conn)
{
    return conn->tls == NULL;
}

/* conn.c */

/* The connection failed: enters CONN_CLOSING and tells the owner. */
void conn_fail(struct conn *conn, enum r2a_err err, int32_t errnum);
/* Ends whatever is armed and closes; says nothing to the owner but, at last, on_released. */
void conn_enter_closing(struct conn *conn, bool wants_reset);
/* Ready for the owner: CONN_OPEN. */
void conn_enter_open(struct conn *conn);
/* A closing connection looks whether it can go on. */
void conn_join(struct conn *conn);

/* conn_rx.c */

/* Arms what is wanted and not armed; ends a multishot that brings what is not wanted. */
void conn_update_receive(struct conn *conn);
/* Nothing will be received any more. */
void conn_cancel_receive(struct conn *conn);
/* Does not wait for a provided buffer any more. */
void conn_leave_starved(struct conn *conn);
/* Application bytes arrived: offers, fills or keeps them. */
void conn_receive(struct conn *conn, struct slice bytes);
/* No application bytes will come any more. */
void conn_receive_eof(struct conn *conn);
/* The flush phase: offers again what is kept, and the end. */
void conn_redeliver(struct conn *conn);
void conn_drop_kept(struct conn *conn);
/* conns->starved_hook */
void conn_feed_starved(struct loop_hook *hook);
void conn_fetch(const struct op *op, enum engine_fetch stage);

/* conn_tls.c */

/* R2A_OK with conn->tls set, or the reason. */
enum r2a_err conn_tls_open(struct conn *conn, const struct conn_target *target);
/* The socket is connected: begins the handshake. */
void conn_tls_start(struct conn *conn);
/* Bytes from the socket. */
void conn_tls_receive(struct conn *conn, struct slice bytes);
/* The socket ended. */
void conn_tls_receive_eof(struct conn *conn);
/* Feeds what is kept, as far as the layer takes it. */
void conn_tls_feed_kept(struct conn *conn);
/* Encrypts what is in conn->out as far as reasonable. False: the connection failed. */
bool conn_tls_fill(struct conn *conn);
/* May a receive be armed? */
bool conn_tls_wants_read(const struct conn *conn);
/* A job is out: the slot cannot be freed yet. */
bool conn_tls_is_out(const struct conn *conn);
/* The layer does nothing more and its job, not out, never goes. */
void conn_tls_stop(struct conn *conn);
void conn_tls_free(struct conn *conn);

#endif
