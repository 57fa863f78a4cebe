#ifndef R2A_NET_ENGINE_RING_H
#define R2A_NET_ENGINE_RING_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <liburing.h>

#include "r2a/net/engine.h"

/* What running a ring (engine_ring.c) and starting one (engine_ring_start.c) share. */
#define RING_SCRATCH_MAX  128u /* arguments the kernel copies at submission; more: submit first */
#define RING_BUFFER_GROUP 0

enum ring_tag {
    RING_OP,
    RING_IGNORED,
    RING_POSTED,    /* arrives from another ring */
    RING_POST_SENT, /* our side of it; success is skipped */
    RING_CLOSED,    /* of discard: a handle in place of the op */
    RING_TAG_MASK = 31,
};

struct ring_scratch {
    union {
        struct {
            struct msghdr head;
            struct iovec vecs[ENGINE_VECS_MAX];
        } message;
        struct sockaddr_storage addr;
    } u;
};

struct ring {
    struct engine engine;
    struct io_uring uring;
    struct io_uring_buf_ring *buf_ring;
    uint32_t rx_count; /* a power of two */
    uint32_t rx_window_min;
    uint32_t calm_ticks;
    uint32_t spare_count;
    uint16_t *spare; /* stack of buffers not on offer */
    uint32_t accept_slots;
    uint32_t slots_touched; /* of ours: [accept_slots, accept_slots + touched) were given out */
    uint32_t slots_free_count;
    uint32_t *slots_free; /* stack of our slots that came back */
    uint32_t scratch_count;
    bool can_set_options; /* Linux 6.7: socket options by command */
    bool can_post;        /* Linux 6.3: messages into a deferred ring */
    uint64_t wall_checked_ms;
    int64_t wall_minus_mono_ms;
    size_t map_size;
    struct ring_scratch scratch[RING_SCRATCH_MAX];
};

static inline struct ring *ring_of(struct engine *engine)
{
    return (struct ring *)(void *)engine;
}

/* Offers spare buffers until the window is full. */
void ring_refill(struct ring *ring);
void ring_read_clock(struct ring *ring);
/* Never NULL: submits first when the queue is full. */
struct io_uring_sqe *ring_take_sqe(struct ring *ring);
void ring_prepare_reset(struct ring *ring, struct io_uring_sqe *sqe, int32_t handle);

/* The calls of engine_table that a running ring answers. */
void ring_arm(struct engine *engine, struct op *op);
void ring_cancel(struct engine *engine, struct op *op);
bool ring_post(struct engine *from, struct engine *to, struct op *op);
uint32_t ring_tick(struct engine *engine, uint64_t until_ms);
int32_t ring_adopt(struct engine *engine, int fd);
int32_t ring_socket(struct engine *engine, const struct sockaddr *addr);
void ring_ease(struct engine *engine, int32_t handle);
void ring_discard(struct engine *engine, int32_t handle);
void ring_give(struct engine *engine, uint16_t buffer);

#endif
