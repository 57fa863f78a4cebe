#ifndef R2A_NET_CONN_H
#define R2A_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "r2a/core/err.h"
#include "r2a/core/list.h"
#include "r2a/core/rope.h"
#include "r2a/core/slab.h"
#include "r2a/core/slice.h"
#include "r2a/net/engine.h"
#include "r2a/net/loop.h"
#include "r2a/net/tls.h"

/* One connection: a client's (adopted after accept) or ours to an upstream, plain or TLS. Bytes
 * come in by callback; bytes go out through a rope that is sent once a tick.
 *
 *   CONNECTING ──> HANDSHAKE ──> OPEN ──> FLUSHING ──> LINGERING ──> CLOSING ──> (slot freed)
 *       └──────────────┴───────────┴── error, peer's reset, conn_abort ──^
 *
 * Life: whatever happens, on_released is the last call for a connection, exactly once, and never
 * inside a call of the owner into this module. Until then memory that was lent (spans borrowed by
 * the rope, the target of conn_read_into) belongs to the connection. After conn_close, conn_abort
 * or on_closed no other callback but on_released comes, and the owner must not use the pointer
 * except in on_released; conn_detach drops even that one.
 *
 * Callbacks run on the loop's thread; they may call anything here for this and other
 * connections. */
struct conn;

struct conn_calls {
    /* Ready to send and receive (after the TLS handshake). Not for adopted ones. May be NULL. */
    void (*on_connected)(struct conn *conn);
    /* Bytes from the peer, valid for this call. Returns how many were used (0 … bytes.len). The
     * rest is kept and comes again, in one piece with what arrived next: at the next arrival, or
     * after conn_read_resume. So a head may be parsed where it lies by returning 0 until it is
     * complete. At most CONN_KEEP_BYTES are kept before reading stops by itself. */
    size_t (*on_bytes)(struct conn *conn, struct slice bytes);
    /* Progress of conn_read_into: `added` more bytes are in place, `left` are missing. May be
     * NULL where conn_read_into is not used. */
    void (*on_filled)(struct conn *conn, size_t added, size_t left);
    /* The peer finished sending (for TLS: by close_notify); sending to it still works. Comes once,
     * after all bytes were offered; while reading is paused it waits; conn_read_resume has it told
     * again. NULL: the connection closes and on_closed says R2A_ERR_PEER_EOF. */
    void (*on_eof)(struct conn *conn);
    /* What conn_want_writable asked for. May be NULL. */
    void (*on_writable)(struct conn *conn);
    /* The connection failed or was ended by the peer: never for conn_close and conn_abort. Called
     * at once, in the tick that learned it. R2A_ERR_PEER_RESET, _CONNECT, _TLS_…, _LIMIT (a peer
     * that sends without bound), _NO_MEMORY …; conn_errno has the system's number. */
    void (*on_closed)(struct conn *conn, enum r2a_err err);
    /* Every operation ended, the descriptor is closed; the slot is freed after this call. May be
     * NULL. */
    void (*on_released)(struct conn *conn);
    /* Bytes are about to come: the stages of engine_fetch from FETCH_STATE on. May be NULL. */
    void (*fetch)(const struct conn *conn, enum engine_fetch stage);
};

/* Who is at the other end. Family AF_UNSPEC: not known. */
struct conn_peer {
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
    bool is_loopback;
    uint16_t port; /* host order; 0: not known */
    uint8_t addr[16];
};

enum conn_state {
    CONN_FREE,
    CONN_CONNECTING,
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_FLUSHING,  /* conn_close: what is in the rope still goes out */
    CONN_LINGERING, /* our side is shut; what the peer still sends is dropped until it ends */
    CONN_CLOSING,   /* joining operations, then close */
    CONN_STATES,
};

/* A connection. Read what is commented as readable; everything else is conn.c's. */
struct conn {
    struct op rx_op;
    struct op tx_op;
    struct op ctl_op; /* connect, shutdown, reset, close */

    const struct conn_calls *calls; /* may be changed by the owner at any time (pooling) */
    void *owner;                    /* the owner's; may be changed */
    struct conns *conns;
    struct conn_tls *tls; /* NULL: plain */
    struct rope out;      /* through conn_out */
    struct loop_dirty dirty;
    struct list_node node; /* of conns: open, starved or lingering */
    char *kept;            /* bytes on_bytes did not take */
    char *into;            /* target of conn_read_into */
    size_t into_left;
    uint64_t rx_bytes; /* readable: received from the socket, so far */
    uint64_t tx_bytes; /* readable: sent to the socket, so far */
    uint32_t kept_begin;
    uint32_t kept_end;
    uint32_t kept_size;
    uint32_t writable_at; /* on_writable at or below; CONN_NO_WATER: not asked */
    uint32_t end_at;      /* FLUSHING, LINGERING: deadline in units of CONN_END_UNIT_MS */
    int32_t handle;
    int32_t errnum;
    struct conn_peer peer; /* readable */
    uint8_t state;         /* enum conn_state, readable */
    uint8_t ops_count;     /* armed of the three */
    uint8_t rx_mode;       /* what the armed receive is: enum rx_mode in conn.c */
    uint8_t rx_runs;       /* of an upstream's answer, counted up to where it is a steady stream */
    uint32_t rx_since_ms;  /* when the first of them came; the loop's clock, cut to 32 bits */
    bool is_upstream : 1;
    bool is_paused : 1;
    bool is_greedy : 1;    /* outran its bound once: one buffer at a time from now on */
    bool has_eof : 1;      /* nothing more will come */
    bool eof_told : 1;     /* and the owner knows */
    bool redeliver : 1;    /* the flush phase offers kept bytes again */
    bool in_delivery : 1;  /* a callback that brings bytes is running */
    bool rx_cancelled : 1; /* the armed receive was asked to end */
    bool tx_failed : 1;    /* an upstream takes no more; what it answered is still read */
    bool rx_empty : 1;     /* the socket held nothing more when last asked */
};
_Static_assert(sizeof(struct conn) <= 256 + 3 * sizeof(struct op), "budget of a waiting stream");

/* The connections of one loop. */
struct conns {
    struct loop *loop;
    struct slab slab;
    struct slab layers; /* of the TLS ones */
    struct mem *mem;
    struct list open;     /* all that are in none of the next three */
    struct list starved;  /* receives waiting for a provided buffer */
    struct list flushing; /* in the order of their deadlines, as the next */
    struct list lingering;
    struct timer end_timer;
    uint32_t flush_ms; /* CONN_FLUSH_MS and CONN_LINGER_MS; may be changed after conns_open */
    uint32_t linger_ms;
    struct loop_hook starved_hook;
    uint32_t open_count; /* slots in use, also those still closing */
    uint64_t adopted;
    uint64_t connected;
    uint64_t aborted;
    uint64_t overruns; /* peers that sent more than CONN_KEEP_BYTES ahead */
};

/* `loop` is open and has a mem. R2A_ERR_NO_MEMORY. */
enum r2a_err conns_open(struct conns *conns, struct loop *loop, uint32_t limit);
/* All slots must be free: abort what is left and tick until open_count is 0. */
void conns_close(struct conns *conns);
/* Aborts every connection (end of a drain, tests); on_closed is called with R2A_ERR_CANCELLED. */
void conns_abort_all(struct conns *conns);

/* A connection of an accepted handle, which is owned from now on (closed on failure too). Reading
 * starts at once: the first on_bytes comes in a later tick. NULL: no slot. */
struct conn *conn_adopt(struct conns *conns, int32_t handle, const struct conn_peer *peer,
                        const struct conn_calls *calls, void *owner);

struct conn_target {
    const struct sockaddr *addr; /* AF_INET, AF_INET6 or AF_UNIX; copied */
    socklen_t addr_len;
    struct tls_env *tls; /* NULL: plain */
    struct tls_peer tls_peer;
};

/* Begins to connect; the outcome is on_connected or on_closed, never before this returns. NULL
 * with *err when there is no slot, socket or memory. There is no timeout: the owner has one. */
struct conn *conn_connect(struct conns *conns, const struct conn_target *target,
                          const struct conn_calls *calls, void *owner, enum r2a_err *err);

/* --- output --- */

/* Append here, then conn_flush; also while connecting (it waits). Not after conn_close. */
static inline struct rope *conn_out(struct conn *conn)
{
    return &conn->out;
}

/* Sends what is in the rope in this tick's flush phase: one send a connection and tick. */
void conn_flush(struct conn *conn);
/* Bytes not yet taken by the socket (for TLS: plaintext and ciphertext). An upstream that hangs up
 * early leaves them where they are; its answer, if any, still arrives before on_eof or
 * on_closed. */
size_t conn_out_bytes(const struct conn *conn);
/* Whether whoever produces should stop reading its source: CONN_HIGH_BYTES are waiting. */
bool conn_is_congested(const struct conn *conn);
/* One call of on_writable when at most `bytes` are waiting (CONN_LOW_BYTES, or 0 for "all sent");
 * never inside this call. UINT32_MAX takes the wish back. */
void conn_want_writable(struct conn *conn, uint32_t bytes);

/* --- input --- */

/* Stops on_bytes and on_eof at once. What was received already is kept; the peer is held back by
 * TCP. A receive that is armed into the target of conn_read_into may still fill it; errors are
 * told when an armed receive meets them. */
void conn_read_pause(struct conn *conn);
/* Goes on; kept bytes are offered in the flush phase of this tick. Also the way to have kept bytes
 * offered again without a pause (the next pipelined request). */
void conn_read_resume(struct conn *conn);
/* The bytes on_bytes did not use. */
static inline struct slice conn_kept(const struct conn *conn)
{
    return slice_of(conn->kept + conn->kept_begin, conn->kept_end - conn->kept_begin);
}
/* The next `len` bytes of the peer go to `to` instead of on_bytes, without a copy where that pays;
 * on_filled reports. Bytes kept, and those a running on_bytes leaves, count first. `to` is lent
 * until left is 0 or on_released. */
void conn_read_into(struct conn *conn, char *to, size_t len);

/* --- ends --- */

/* Graceful: sends what is in the rope, then FIN, drops what still comes and closes when the peer
 * does or after a time (CONN_FLUSH_MS without progress, CONN_LINGER_MS). For TLS close_notify
 * precedes FIN. */
void conn_close(struct conn *conn);
/* At once: output is dropped and the peer gets a reset where the system can (else FIN). */
void conn_abort(struct conn *conn);
/* After conn_close, conn_abort or on_closed: on_released will not be called; nothing may be lent.
 */
void conn_detach(struct conn *conn);

/* --- questions --- */

/* The system's error number behind on_closed; 0: none. */
static inline int32_t conn_errno(const struct conn *conn)
{
    return conn->errnum;
}

/* The TLS layer, for tls_is_resumed and tls_error_detail; NULL: plain, or over. */
struct tls *conn_tls(const struct conn *conn);

/* From an address; AF_UNSPEC and others: not known. An IPv4-mapped IPv6 address is IPv4. */
void conn_peer_from(struct conn_peer *peer, const struct sockaddr *addr, socklen_t len);

#define CONN_NO_WATER UINT32_MAX

#endif
