#ifndef R2A_GATEWAY_POOL_H
#define R2A_GATEWAY_POOL_H

#include "r2a/core/list.h"
#include "r2a/core/slab.h"
#include "r2a/http/body.h"
#include "r2a/net/conn.h"
#include "r2a/net/resolve_loop.h"
#include "r2a/provider/provider.h"

/* A worker's connections to upstreams: kept per (host, port, TLS), reused newest first, bounded,
 * dropped when the peer closes them. Who needs one names an endpoint and is told once. */
struct worker;
struct call;

struct pool_host {
    struct list_node node; /* all hosts of the pool */
    struct worker *worker;
    bool is_tls, is_unix;
    uint16_t port;
    char *name; /* of mem, NUL not included */
    uint32_t name_len;
    struct list idle;    /* upstreams, newest first */
    struct list waiting; /* calls that wait for the name */
    uint32_t idle_count;
    uint32_t open_count;
    uint64_t fresh_until_ms; /* of `addrs` */
    struct resolve_result addrs;
    struct resolve_ask ask;
};

enum upstream_state {
    UPSTREAM_CONNECTING,
    UPSTREAM_BUSY,     /* carries a call */
    UPSTREAM_DRAINING, /* the answer is complete, its framing not yet: no call, soon idle or gone */
    UPSTREAM_IDLE,
    UPSTREAM_GONE, /* waits for on_released */
};

struct upstream {
    struct conn *conn;
    struct pool_host *host;
    struct call *call;       /* CONNECTING, BUSY */
    struct list_node node;   /* idle list */
    struct timer timer;      /* idle, draining, this address */
    struct http_body body;   /* of the answer under way */
    uint32_t served;         /* answers so far */
    uint8_t state;           /* enum upstream_state */
    bool can_keep;           /* the peer agreed to keep the connection */
    struct exchange *lender; /* whose memory the connection's rope may still borrow */
};

struct pool {
    struct worker *worker;
    struct slab upstreams;
    struct slab hosts;
    struct list hosts_all;
    uint32_t idle_count;
};

enum r2a_err pool_open(struct pool *pool, struct worker *worker, uint32_t upstreams_max);

/* Every connection must have ended. */
void pool_close(struct pool *pool);

/* Finds or opens a connection for `call`. Outcomes: call_on_upstream (perhaps before this returns:
 * then true and call->up is set), or call_on_no_upstream later. */
void pool_get(struct pool *pool, const struct endpoint *endpoint, struct call *call,
              bool must_be_fresh);
/* The call does not want one any more (while resolving or connecting). */
void pool_cancel(struct pool *pool, struct call *call);
/* The answer is complete. Kept when both sides agreed, else closed. */
void pool_put(struct upstream *upstream);
/* Not usable any more: reset. */
void pool_drop(struct upstream *upstream);
/* Closes all that are idle (drain). */
void pool_close_idle(struct pool *pool);

#endif
