#ifndef R2A_NET_ENGINE_H
#define R2A_NET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/err.h"

/* The seam between everything that does I/O and whatever performs it. An `struct op` says what is
 * wanted and whom to tell; the engine performs it and calls back, in the thread that runs it.
 *
 * Rules for memory an operation names (buffers, and the op itself): from arming until the result
 * with `is_last` they are the engine's. Addresses and iovec arrays are copied when arming.
 *
 * A *handle* names a socket or file: a plain descriptor, or a socket the engine holds in a table
 * of its own (what OP_ACCEPT and adopt return). Handles of both kinds are used alike, but only a
 * plain descriptor may be given to a system call (engine_is_plain). */
struct engine;
struct op;
struct sockaddr;

struct op_result {
    int32_t res;     /* >= 0: bytes, a handle, or 0; < 0: negated errno */
    uint16_t buffer; /* the provided buffer the bytes are in; ENGINE_NO_BUFFER: none */
    bool is_last;    /* false: this op stays armed and will report again */
    bool has_more;   /* recv: the socket holds more bytes already */
};

#define ENGINE_NO_BUFFER 0xffffu
#define ENGINE_VECS_MAX  16u /* pieces of one send */

/* Runs in the engine's thread, one at a time, never inside arm, cancel or post. */
typedef void (*op_fn)(struct op *op, struct op_result result);

enum op_kind {
    OP_NONE,
    OP_ACCEPT,    /* handle: listener. OP_MULTI; OP_PLAIN. ptr: sockaddr_storage to fill, or NULL */
    OP_RECV,      /* into a provided buffer. OP_MULTI, OP_EMPTY */
    OP_RECV_INTO, /* ptr, len. OP_EMPTY */
    OP_SEND,      /* ptr: const struct iovec[len], len <= ENGINE_VECS_MAX. One a socket at a time */
    OP_CONNECT,   /* ptr: const struct sockaddr of len bytes */
    OP_SHUTDOWN,  /* len: SHUT_WR or SHUT_RDWR; the latter ends every op armed on the socket */
    OP_RESET,     /* the next close resets the connection; -EOPNOTSUPP where that cannot be done */
    OP_CANCEL_ALL, /* every other op armed on the handle ends with -ECANCELED or its result */
    OP_CLOSE,      /* no other op may be armed on the handle: their sockets would live on */
    OP_READ,       /* ptr, len: from a plain descriptor (eventfd, pipe) */
    OP_WAIT,       /* until a plain descriptor is readable (or in error) */
    OP_APPEND,     /* ptr, len: to the end of a file opened with O_APPEND, or a pipe */
    OP_POST,       /* arrives on another loop: loop_post */
};

enum op_state {
    OP_IDLE,
    OP_ARMED,
};

enum op_flag {
    OP_MULTI = 1, /* stay armed until is_last */
    OP_EMPTY = 2, /* the socket is known to hold nothing: wait before trying */
    OP_PLAIN = 4, /* accept plain descriptors */
};

/* Embedded in its owner, which container_of finds. Zero-initialise; set `fn` and the arguments,
 * then engine_arm. The user may read `state`; all else is the engine's while armed. */
struct op {
    _Alignas(32) op_fn fn;
    void *ptr;
    uint32_t len;
    int32_t handle;
    uint8_t kind;  /* enum op_kind */
    uint8_t state; /* enum op_state */
    uint8_t flags; /* enum op_flag */
    uint8_t tag;   /* the owner's own */
    uint32_t spare;
};
_Static_assert(sizeof(struct op) == 32, "an op is half a cache line");

enum engine_fetch {
    FETCH_OWNER,  /* what the op's own memory points to */
    FETCH_STATE,  /* what the owner points to */
    FETCH_BEYOND, /* and what that points to */
    FETCH_LAST,   /* and once more */
};

/* Asks the cache for `size` bytes; NULL: for none. */
static inline void engine_prefetch(const void *at, size_t size)
{
    for (size_t i = 0; at != NULL && i < size; i += 64)
        __builtin_prefetch((const char *)at + i);
}

struct engine_cfg {
    uint32_t submissions; /* operations a tick can hand over in one call; 0: 1024 */
    uint32_t completions; /* 0: four times as many */
    uint32_t sockets_max; /* sockets held at once; 0: what the descriptor limit allows */
    uint32_t rx_buffers;  /* provided buffers of RX_SEGMENT_BYTES: a power of two; 0: 256 */
    uint32_t rx_window;   /* of them offered to the kernel at first; 0: 16 */
};

/* Counters and gauges anyone on the engine's thread may read. */
struct engine_stats {
    uint64_t enters;       /* system calls made to submit or wait */
    uint64_t results;      /* completions delivered */
    uint64_t starved;      /* receives that found no provided buffer */
    uint64_t rearm_lost;   /* multishot operations ended early by the system */
    uint32_t ops_armed;    /* armed now */
    uint32_t sockets;      /* in the engine's table now */
    uint32_t sockets_max;  /* its size */
    uint32_t accepts_free; /* sockets that can still be accepted into it */
    uint32_t rx_window;    /* provided buffers on offer at most */
    uint32_t rx_offered;   /* on offer now */
};

/* An engine: the functions. Each is called in the thread that called start, but post. */
struct engine_table {
    const char *name;
    /* Makes an engine for the calling thread. R2A_ERR_URING_REFUSED: see engine_refusal. */
    enum r2a_err (*start)(struct engine **engine, const struct engine_cfg *cfg);
    /* Takes the op over. Never fails, never calls back: what goes wrong is its result. */
    void (*arm)(struct engine *engine, struct op *op);
    /* Asks an armed op to end soon; its last result still comes (-ECANCELED, or what it had). */
    void (*cancel)(struct engine *engine, struct op *op);
    /* Completes `op` on `to` with res = op->len, from the thread of `from`. False: not possible
     * this way; what fails later goes to post_failed. */
    bool (*post)(struct engine *from, struct engine *to, struct op *op);
    /* Hands over what was armed, waits for a result at most until its clock shows `until_ms`
     * (UINT64_MAX: for ever; 0: does not wait), reads the clock, delivers what came and refills
     * provided buffers. Returns the number delivered. */
    uint32_t (*tick)(struct engine *engine, uint64_t until_ms);
    /* Every op must have ended. */
    void (*stop)(struct engine *engine);
    /* Takes a plain socket into the engine's table; owns `fd` from then on, the handle replaces
     * it. Returns the handle, which may be `fd` itself. */
    int32_t (*adopt)(struct engine *engine, int fd);
    /* A stream socket for connecting to `addr`, with the options every upstream connection has
     * (TCP_NODELAY, keep-alive). Returns the handle or a negated errno. */
    int32_t (*socket)(struct engine *engine, const struct sockaddr *addr);
    /* Says that a steady stream comes in on a TCP socket: acknowledging may wait for more of it,
     * which saves most of those packets. A hint: nothing is reported and nothing can fail. The
     * system takes it back by itself when the stream pauses. */
    void (*ease)(struct engine *engine, int32_t handle);
    /* Closes a handle that no op is armed on and nobody waits for. */
    void (*discard)(struct engine *engine, int32_t handle);
    /* Returns a provided buffer; each that came with a result must be returned once. */
    void (*give)(struct engine *engine, uint16_t buffer);
};

/* Common head of every engine's state. The engine is the clock, too: its times are those of the
 * last wait's end, before results were delivered. */
struct engine {
    const struct engine_table *table;
    uint64_t now_ms; /* monotonic */
    int64_t wall_ms; /* since 1970 */
    char *rx_memory; /* provided buffers, RX_SEGMENT_BYTES each */
    /* Set by who starts the engine: takes a posted op that could not be brought over. */
    void (*post_failed)(struct op *op);
    /* Set by who knows what stands behind ops, or NULL: begins to bring into the cache what the
     * result of `op` will go through. Called a few results ahead, with the stages one after
     * another; each follows only pointers that lie in what the one before asked for. */
    void (*fetch)(const struct op *op, enum engine_fetch stage);
    struct engine_stats stats;
};

extern const struct engine_table engine_ring;

#define ENGINE_HANDLE_TABLE 0x40000000 /* set in handles of the engine's table */

static inline bool engine_is_plain(int32_t handle)
{
    return handle >= 0 && handle < ENGINE_HANDLE_TABLE;
}

static inline void engine_arm(struct engine *engine, struct op *op)
{
    engine->table->arm(engine, op);
}

static inline void engine_cancel(struct engine *engine, struct op *op)
{
    engine->table->cancel(engine, op);
}

/* Why the last start in this process was refused and what to do about it, as one line. */
void engine_refusal(char *text, size_t size);
/* One line naming what was found on this system ("io_uring, linux 6.18: reset, …"), for the log
 * and --version. Starts and stops a small engine when none was started yet. */
void engine_describe(char *text, size_t size);

#endif
