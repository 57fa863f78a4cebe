#ifndef R2A_NET_CONN_PRIV_H
#define R2A_NET_CONN_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/rope.h"
#include "r2a/net/conn.h"
#include "r2a/net/tls.h"

/* What conn.c and its TLS half (conn_tls.c) share. */

/* A connection's TLS layer: taken from mem when it is opened, so that plain ones cost nothing. */
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

/* conn.c */

/* The connection failed: enters CONN_CLOSING and tells the owner. */
void conn_fail(struct conn *conn, enum r2a_err err, int32_t errnum);
/* Application bytes arrived, in the state CONN_OPEN: offers, fills or keeps them. */
void conn_receive(struct conn *conn, struct slice bytes);
/* No application bytes will come any more. */
void conn_receive_eof(struct conn *conn);
/* Ready for the owner: CONN_OPEN. */
void conn_enter_open(struct conn *conn);
/* A closing connection looks whether it can go on. */
void conn_join(struct conn *conn);

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
void conn_tls_free(struct conn *conn);

#endif
