#ifndef R2A_NET_LISTENER_H
#define R2A_NET_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "r2a/core/err.h"
#include "r2a/core/list.h"
#include "r2a/core/slice.h"
#include "r2a/net/conn.h"
#include "r2a/net/loop.h"

/* Sockets that accept. A TCP address has one listening socket a worker (SO_REUSEPORT spreads by
 * hash); a Unix socket has one in all, whose worker hands connections round.
 *
 * Peer addresses: a multishot accept reports none and a socket of the engine's table cannot be
 * asked. So where the bound address says who the peer is (loopback, Unix) accepts are multishot
 * and the peer is that host without a port; elsewhere LISTENER_ACCEPTS single-shot accepts are
 * kept armed, each with room for the address. */

/* An address to listen on or to connect to. */
struct net_addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
    socklen_t len;
};

/* "127.0.0.1:3000", "[::1]:3000", ":3000" (all addresses, IPv6 and IPv4), "*:3000",
 * "localhost:3000" (127.0.0.1), "unix:/path". Names are not resolved: R2A_ERR_INVALID. */
enum r2a_err net_addr_parse(struct slice text, struct net_addr *addr);
/* The reverse; returns bytes written, without NUL. Room: NET_ADDR_TEXT_MAX. */
#define NET_ADDR_TEXT_MAX 120u
size_t net_addr_format(const struct net_addr *addr, char *to);
bool net_addr_is_loopback(const struct net_addr *addr); /* Unix sockets too */

/* Makes a listening socket: SO_REUSEPORT (TCP), TCP_NODELAY, keep-alive, close-on-exec. Retries
 * EADDRINUSE for LISTENER_BIND_RETRY_MS (a dying process holds its port that long), so it may
 * block: start-up and control thread only. Port 0: the port found is stored back into *addr.
 * A Unix path with a dead socket behind it is taken over; one that answers is EADDRINUSE, a file
 * of another kind ENOTSOCK. R2A_ERR_SYSTEM with *errnum set. */
enum r2a_err listener_bind(struct net_addr *addr, int *fd, int *errnum);

struct listener;

/* A connection came in on `loop`'s thread; `handle` is the callee's (usually for conn_adopt). */
typedef void (*listener_accept_fn)(void *ctx, int32_t handle, const struct conn_peer *peer);

/* Where accepted connections of a Unix socket may go. */
struct listener_target {
    struct loop *loop;
    void *ctx; /* for accept_fn on that loop */
};

#define LISTENER_ACCEPTS  8u
#define LISTENER_HANDOFFS 64u

struct listener_acceptor {
    struct op op;
    struct listener *listener;
    struct net_addr addr;
};

/* A connection on its way to another loop. */
struct listener_handoff {
    struct op op;
    struct listener *listener;
    void *ctx;
    int32_t fd;
    _Atomic bool is_busy;
};

struct listener {
    struct loop *loop;
    listener_accept_fn accept_fn;
    void *ctx;
    void (*stopped_fn)(struct listener *listener);
    const struct listener_target *targets;
    uint32_t targets_count;
    uint32_t target_next;
    uint32_t armed;
    int fd;
    uint32_t acceptors_count;
    struct net_addr addr;
    struct loop_hook paused_hook; /* waits for free sockets */
    struct timer retry;           /* after an error that says "later", and to finish stopping */
    uint64_t path_dev;            /* which file a Unix socket's path named */
    uint64_t path_ino;
    bool is_paused; /* too few sockets are free */
    bool is_stopping;
    uint64_t accepted;
    uint64_t pauses;
    uint64_t errors;
    struct listener_acceptor acceptors[LISTENER_ACCEPTS];
    struct listener_handoff handoffs[LISTENER_HANDOFFS]; /* touched for Unix sockets only */
};

/* Starts to accept on an open loop, on its thread. Owns `fd`. `addr` is what it is bound to.
 * `targets` (Unix sockets; may be NULL) must stay valid and its loops run until stopped. The
 * struct is initialised here. */
void listener_start(struct listener *listener, struct loop *loop, int fd,
                    const struct net_addr *addr, listener_accept_fn accept_fn, void *ctx,
                    const struct listener_target *targets, uint32_t targets_count);
/* Stops without losing anybody: cancels the accepts, joins them, takes what waits in the queue,
 * closes; then `stopped_fn` (may be NULL) on the loop, never inside this call. */
void listener_stop(struct listener *listener, void (*stopped_fn)(struct listener *listener));

#endif
