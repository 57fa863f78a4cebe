#ifndef R2A_GATEWAY_FRONT_H
#define R2A_GATEWAY_FRONT_H

#include "r2a/core/list.h"
#include "r2a/core/wheel.h"
#include "r2a/net/conn.h"

struct worker;
struct exchange;

/* The client's side of one connection: reads requests one after another, gives each to an exchange,
 * and watches for the client leaving while one runs. */
struct front {
    struct conn *conn;
    struct worker *worker;
    struct exchange *ex;   /* the request under way, or NULL */
    struct list_node node; /* worker->fronts_open */
    struct timer timer;    /* a head that dribbles, an idle connection */
    uint32_t head_seen;    /* h1_request.seen */
    uint32_t requests;     /* so far */
    uint16_t glitches;
    bool is_reading_head; /* at least one byte of a head came: client_header_ms runs */
    bool is_admin;        /* came by an admin listener */
    bool is_closing;
    bool has_conn_gone; /* on_closed came: the slot waits for on_released */
    struct exchange
        *lender; /* whose memory the connection's rope may still borrow after it ended */
};

void front_accept(void *listener, int32_t handle, const struct conn_peer *peer);
/* The exchange is over; what it wrote may still be on its way. `keep_alive`: the next request may
 * come. */
void front_exchange_done(struct front *front, bool keep_alive);
/* The connection was aborted from our side: as if the client had gone. */
void front_conn_gone(struct front *front);
/* Drain: closes at once when idle, else after the running exchange. */
void front_drain(struct front *front);

#endif
