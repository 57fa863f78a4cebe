/* Running a ring: how an op becomes a submission, which sockets live in the direct descriptor
 * table, and how many provided buffers are on offer; what to do next with a connection is the
 * business of those above. This file, engine_ring_start.c and their header are all that know
 * io_uring's names.
 *
 *   user_data: address of the op (32-aligned) | tag (5 bits)
 *   handles:   plain descriptor, or ENGINE_HANDLE_TABLE | slot of the direct table
 *   table:     [0, accept_slots) given out by the kernel to accepts, the rest by us to adopt;
 *              when ours are used up a socket simply stays plain
 *   buffers:   rx_count reserved, of which a window is in the kernel's ring; the others lie on a
 *              stack, so that the ones used last are used next and stay in the cache */
#include "engine_ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/clock.h"
#include "r2a/limits.h"

#define WINDOW_CALM_TICKS 16384u /* ticks without starvation after which the window shrinks */
#define BATCH             32u    /* results looked at together */
#define OWNER_BYTES       320u   /* what stands around an op and is wanted with it */
#define FETCH_STAGES      5u     /* that memory, and those of engine_fetch */
#define OPTION_COMMAND    3u     /* SOCKET_URING_OP_SETSOCKOPT, Linux 6.7 */

/* The order between a post's sender and its receiver is made by the kernel, where ThreadSanitizer
 * cannot see it. */
#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifdef HAS_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define post_sent(op)    __tsan_release(op)
#define post_arrived(op) __tsan_acquire(op)
#else
#define post_sent(op)    ((void)(op))
#define post_arrived(op) ((void)(op))
#endif

/* --- submissions --- */

static void submit(struct ring *ring)
{
    int res = io_uring_submit(&ring->uring);

    ring->engine.stats.enters++;
    /* -EBUSY and -EAGAIN: the kernel wants completions taken first; the tick does that. */
    check(res >= 0 || res == -EBUSY || res == -EAGAIN || res == -EINTR);
    if (io_uring_sq_ready(&ring->uring) == 0)
        ring->scratch_count = 0;
}

/* Never NULL: a tick may ask for more than the queue holds. */
struct io_uring_sqe *ring_take_sqe(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

    for (uint32_t attempt = 0; sqe == NULL && attempt < 1000; attempt++) {
        submit(ring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    check(sqe != NULL);
    return sqe;
}

/* Room for arguments until the next submission, when the kernel has copied them
 * (IORING_FEAT_SUBMIT_STABLE). Take it before the sqe: it may submit. */
static struct ring_scratch *take_scratch(struct ring *ring)
{
    for (uint32_t attempt = 0; ring->scratch_count == RING_SCRATCH_MAX && attempt < 1000; attempt++)
        submit(ring);
    check(ring->scratch_count < RING_SCRATCH_MAX);
    return &ring->scratch[ring->scratch_count++];
}

static void set_handle(struct io_uring_sqe *sqe, int32_t handle)
{
    if (engine_is_plain(handle))
        return;
    sqe->fd = handle & ~ENGINE_HANDLE_TABLE;
    sqe->flags |= IOSQE_FIXED_FILE;
}

static void set_data(struct io_uring_sqe *sqe, const struct op *op, enum ring_tag tag)
{
    check(((uintptr_t)op & RING_TAG_MASK) == 0);
    sqe->user_data = (uint64_t)(uintptr_t)op | (uint64_t)tag;
}

static void prepare_accept(struct io_uring_sqe *sqe, struct op *op)
{
    /* the kernel reads the room and writes the length at op->len, when it completes */
    struct sockaddr *addr = op->ptr;
    socklen_t *len = addr != NULL ? &op->len : NULL;

    if (op->flags & OP_MULTI)
        io_uring_prep_multishot_accept(sqe, op->handle, NULL, NULL, 0);
    else
        io_uring_prep_accept(sqe, op->handle, addr, len, 0);
    if (op->flags & OP_PLAIN)
        sqe->accept_flags = SOCK_CLOEXEC;
    else
        sqe->file_index = IORING_FILE_INDEX_ALLOC; /* 2.3's helper adds one to it */
}

static void prepare_recv(struct io_uring_sqe *sqe, struct op *op)
{
    if (op->flags & OP_MULTI)
        io_uring_prep_recv_multishot(sqe, op->handle, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, op->handle, NULL, RX_SEGMENT_BYTES, 0);
    sqe->buf_group = RING_BUFFER_GROUP;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    if (op->flags & OP_EMPTY)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void prepare_send(struct io_uring_sqe *sqe, struct op *op, struct ring_scratch *scratch)
{
    if (op->len == 1) {
        const struct iovec *vec = op->ptr;

        io_uring_prep_send(sqe, op->handle, vec->iov_base, vec->iov_len, MSG_NOSIGNAL);
        return;
    }
    memcpy(scratch->u.message.vecs, op->ptr, op->len * sizeof(struct iovec));
    scratch->u.message.head = (struct msghdr){
        .msg_iov = scratch->u.message.vecs,
        .msg_iovlen = (__typeof__(scratch->u.message.head.msg_iovlen))op->len,
    };
    io_uring_prep_sendmsg(sqe, op->handle, &scratch->u.message.head, MSG_NOSIGNAL);
}

/* A socket command; struct io_uring_sqe of 2.3 lacks the names. `value` stays for good. */
static void prepare_option(struct io_uring_sqe *sqe, int32_t handle, uint32_t level, uint32_t name,
                           const void *value, uint32_t size)
{
    uint64_t address = (uint64_t)(uintptr_t)value;
    uint32_t words[2] = {level, name};
    char *raw = (char *)sqe;

    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, handle, NULL, 0, OPTION_COMMAND);
    memcpy(raw + 16, words, sizeof words);
    sqe->file_index = size; /* optlen */
    memcpy(raw + 48, &address, sizeof address);
}

void ring_prepare_reset(struct ring *ring, struct io_uring_sqe *sqe, int32_t handle)
{
    static const struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (ring->can_set_options)
        prepare_option(sqe, handle, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    else
        io_uring_prep_nop(sqe);
}

void ring_ease(struct engine *engine, int32_t handle)
{
    static const int off = 0;
    struct ring *ring = ring_of(engine);
    struct io_uring_sqe *sqe;

    if (!ring->can_set_options)
        return;
    sqe = ring_take_sqe(ring);
    prepare_option(sqe, handle, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
    set_handle(sqe, handle);
    sqe->user_data = RING_IGNORED;
}

static void prepare_close(struct io_uring_sqe *sqe, int32_t handle)
{
    if (engine_is_plain(handle))
        io_uring_prep_close(sqe, handle);
    else
        io_uring_prep_close_direct(sqe, (unsigned)(handle & ~ENGINE_HANDLE_TABLE));
}

void ring_arm(struct engine *engine, struct op *op)
{
    struct ring *ring = ring_of(engine);
    struct ring_scratch *scratch = NULL;
    struct io_uring_sqe *sqe;

    check(op->state == OP_IDLE);
    check(op->fn != NULL);
    if ((op->kind == OP_SEND && op->len > 1) || op->kind == OP_CONNECT)
        scratch = take_scratch(ring);
    sqe = ring_take_sqe(ring);
    switch ((enum op_kind)op->kind) {
    case OP_ACCEPT:
        prepare_accept(sqe, op);
        break;
    case OP_RECV:
        prepare_recv(sqe, op);
        break;
    case OP_RECV_INTO:
        io_uring_prep_recv(sqe, op->handle, op->ptr, op->len, 0);
        if (op->flags & OP_EMPTY)
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        break;
    case OP_SEND:
        check(op->len > 0 && op->len <= ENGINE_VECS_MAX);
        prepare_send(sqe, op, scratch);
        break;
    case OP_CONNECT:
        check(op->len <= sizeof scratch->u.addr);
        memcpy(&scratch->u.addr, op->ptr, op->len);
        io_uring_prep_connect(sqe, op->handle, (struct sockaddr *)&scratch->u.addr, op->len);
        break;
    case OP_SHUTDOWN:
        io_uring_prep_shutdown(sqe, op->handle, (int)op->len);
        break;
    case OP_RESET:
        ring_prepare_reset(ring, sqe, op->handle);
        break;
    case OP_CANCEL_ALL:
        io_uring_prep_cancel_fd(sqe, op->handle, IORING_ASYNC_CANCEL_ALL);
        if (!engine_is_plain(op->handle)) {
            /* here the handle is an argument, not what the operation runs on */
            sqe->fd = op->handle & ~ENGINE_HANDLE_TABLE;
            sqe->cancel_flags |= IORING_ASYNC_CANCEL_FD_FIXED;
        }
        break;
    case OP_CLOSE:
        prepare_close(sqe, op->handle);
        break;
    case OP_READ:
        io_uring_prep_read(sqe, op->handle, op->ptr, op->len, (uint64_t)-1);
        break;
    case OP_WAIT:
        io_uring_prep_poll_add(sqe, op->handle, POLLIN);
        break;
    case OP_APPEND:
        io_uring_prep_write(sqe, op->handle, op->ptr, op->len, (uint64_t)-1);
        break;
    case OP_NONE:
    case OP_POST:
    default:
        unreachable();
    }
    if (op->kind != OP_CLOSE && op->kind != OP_CANCEL_ALL &&
        (op->kind != OP_RESET || ring->can_set_options))
        set_handle(sqe, op->handle);
    set_data(sqe, op, RING_OP);
    op->state = OP_ARMED;
    engine->stats.ops_armed++;
}

void ring_discard(struct engine *engine, int32_t handle)
{
    struct io_uring_sqe *sqe = ring_take_sqe(ring_of(engine));

    check(handle >= 0);
    prepare_close(sqe, handle);
    sqe->user_data = (uint64_t)handle << 5 | RING_CLOSED;
    engine->stats.ops_armed++;
}

void ring_cancel(struct engine *engine, struct op *op)
{
    struct io_uring_sqe *sqe = ring_take_sqe(ring_of(engine));

    check(op->state == OP_ARMED);
    check(op->kind != OP_POST);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)op | RING_OP, 0);
    sqe->user_data = RING_IGNORED;
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

bool ring_post(struct engine *from, struct engine *to, struct op *op)
{
    struct ring *ring = ring_of(from);
    struct io_uring_sqe *sqe;

    if (!ring->can_post || to->table != from->table)
        return false;
    check(op->state == OP_IDLE);
    sqe = ring_take_sqe(ring);
    io_uring_prep_msg_ring(sqe, ring_of(to)->uring.ring_fd, op->len,
                           (uint64_t)(uintptr_t)op | RING_POSTED, 0);
    set_data(sqe, op, RING_POST_SENT);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    op->kind = OP_POST;
    op->state = OP_ARMED;
    post_sent(op);
    return true;
}

/* --- provided buffers --- */

void ring_refill(struct ring *ring)
{
    struct engine_stats *stats = &ring->engine.stats;
    int mask = io_uring_buf_ring_mask(ring->rx_count);
    int added = 0;

    while (stats->rx_offered < stats->rx_window && ring->spare_count > 0) {
        uint16_t index = ring->spare[--ring->spare_count];

        io_uring_buf_ring_add(ring->buf_ring,
                              ring->engine.rx_memory + (size_t)index * RX_SEGMENT_BYTES,
                              RX_SEGMENT_BYTES, index, mask, added++);
        stats->rx_offered++;
    }
    if (added > 0)
        io_uring_buf_ring_advance(ring->buf_ring, added);
}

void ring_give(struct engine *engine, uint16_t buffer)
{
    struct ring *ring = ring_of(engine);

    check(buffer < ring->rx_count);
    check(ring->spare_count < ring->rx_count);
    ring->spare[ring->spare_count++] = buffer;
}

/* Twice as many buffers on offer: one that everybody waits for costs more than cold ones. */
static void widen_window(struct ring *ring)
{
    struct engine_stats *stats = &ring->engine.stats;

    stats->starved++;
    ring->calm_ticks = 0;
    /* several starve in one pass for the same lack: widen once for it */
    if (stats->rx_offered == 0 && stats->rx_window < ring->rx_count)
        stats->rx_window *= 2;
    ring_refill(ring);
}

static void narrow_window(struct ring *ring)
{
    struct engine_stats *stats = &ring->engine.stats;

    if (++ring->calm_ticks < WINDOW_CALM_TICKS)
        return;
    ring->calm_ticks = 0;
    if (stats->rx_window > ring->rx_window_min)
        stats->rx_window /= 2;
}

/* --- completions --- */

static void handle_was_closed(struct ring *ring, int32_t handle)
{
    uint32_t slot = (uint32_t)(handle & ~ENGINE_HANDLE_TABLE);

    if (engine_is_plain(handle))
        return;
    ring->engine.stats.sockets--;
    if (slot >= ring->accept_slots)
        ring->slots_free[ring->slots_free_count++] = slot;
    else
        ring->engine.stats.accepts_free++;
}

static void deliver_op(struct ring *ring, struct op *op, int32_t res, uint32_t flags)
{
    struct engine_stats *stats = &ring->engine.stats;
    struct op_result result = {
        .res = res,
        .buffer = ENGINE_NO_BUFFER,
        .is_last = !(flags & IORING_CQE_F_MORE),
        .has_more = flags & IORING_CQE_F_SOCK_NONEMPTY,
    };

    check(op->state == OP_ARMED);
    if (flags & IORING_CQE_F_BUFFER) {
        result.buffer = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        stats->rx_offered--;
    }
    switch ((enum op_kind)op->kind) {
    case OP_ACCEPT:
        if (res >= 0 && !(op->flags & OP_PLAIN)) {
            result.res = res | ENGINE_HANDLE_TABLE;
            stats->sockets++;
            stats->accepts_free--;
        }
        break;
    case OP_RECV:
        if (res == -ENOBUFS)
            widen_window(ring);
        break;
    case OP_CLOSE:
        handle_was_closed(ring, op->handle);
        break;
    case OP_RESET:
        if (!ring->can_set_options)
            result.res = -EOPNOTSUPP;
        break;
    case OP_NONE:
    case OP_RECV_INTO:
    case OP_SEND:
    case OP_CONNECT:
    case OP_SHUTDOWN:
    case OP_CANCEL_ALL:
    case OP_READ:
    case OP_WAIT:
    case OP_APPEND:
    case OP_POST:
        break;
    }
    if (result.is_last) {
        if ((op->flags & OP_MULTI) && res > 0)
            stats->rearm_lost++;
        op->state = OP_IDLE;
        stats->ops_armed--;
    }
    op->fn(op, result);
}

static struct op *op_of(uint64_t data)
{
    return (struct op *)(uintptr_t)(data & ~(uint64_t)RING_TAG_MASK);
}

static void deliver(struct ring *ring, uint64_t data, int32_t res, uint32_t flags)
{
    struct op *op = op_of(data);

    switch ((enum ring_tag)(data & RING_TAG_MASK)) {
    case RING_OP:
        deliver_op(ring, op, res, flags);
        return;
    case RING_IGNORED:
        return;
    case RING_POSTED:
        post_arrived(op);
        op->state = OP_IDLE;
        op->fn(op, (struct op_result){.res = res, .buffer = ENGINE_NO_BUFFER, .is_last = true});
        return;
    case RING_POST_SENT:
        check(res < 0);
        op->state = OP_IDLE;
        check(ring->engine.post_failed != NULL);
        ring->engine.post_failed(op);
        return;
    case RING_CLOSED:
        handle_was_closed(ring, (int32_t)(data >> 5));
        ring->engine.stats.ops_armed--;
        return;
    case RING_TAG_MASK:
    default:
        unreachable();
    }
}

/* What coming results go to is brought into the cache on the way to them, a stage a step: between
 * two of its turns a connection's memory was crowded out by the kernel and by other connections. */
static void fetch_ahead(struct ring *ring, struct io_uring_cqe *const *cqes, uint32_t step,
                        uint32_t count)
{
    for (uint32_t stage = 0; stage < FETCH_STAGES && stage <= step; stage++) {
        const uint32_t at = step - stage;

        if (at >= count || (cqes[at]->user_data & RING_TAG_MASK) != RING_OP)
            continue;
        if (stage == 0)
            engine_prefetch(op_of(cqes[at]->user_data), OWNER_BYTES);
        else if (ring->engine.fetch != NULL)
            ring->engine.fetch(op_of(cqes[at]->user_data), (enum engine_fetch)(stage - 1));
    }
}

void ring_read_clock(struct ring *ring)
{
    struct engine *engine = &ring->engine;

    engine->now_ms = clock_mono_ms();
    /* The wall may be set at any time; looking once a second is enough for dates. */
    if (ring->wall_checked_ms == 0 || engine->now_ms - ring->wall_checked_ms >= 1000) {
        ring->wall_checked_ms = engine->now_ms;
        ring->wall_minus_mono_ms = clock_wall_ms() - (int64_t)engine->now_ms;
    }
    engine->wall_ms = (int64_t)engine->now_ms + ring->wall_minus_mono_ms;
}

/* Submits and waits; every way this can end is followed by a look at the queue. */
static void wait_for_results(struct ring *ring, uint64_t until_ms)
{
    struct io_uring *uring = &ring->uring;
    struct io_uring_cqe *cqe;
    uint64_t now_ns = 0;
    int res;

    ring->engine.stats.enters++;
    if (until_ms != 0 && until_ms != UINT64_MAX)
        now_ns = clock_mono_ns();
    if (until_ms <= now_ns / 1000000 || io_uring_cq_ready(uring) > 0) {
        res = io_uring_submit_and_get_events(uring);
    } else if (until_ms == UINT64_MAX) {
        res = io_uring_submit_and_wait(uring, 1);
    } else {
        uint64_t left_ns = until_ms * 1000000 - now_ns;
        struct __kernel_timespec left = {
            .tv_sec = (int64_t)(left_ns / 1000000000),
            .tv_nsec = (long long)(left_ns % 1000000000),
        };

        res = io_uring_submit_and_wait_timeout(uring, &cqe, 1, &left, NULL);
    }
    check(res >= 0 || res == -ETIME || res == -EINTR || res == -EBUSY || res == -EAGAIN);
    if (io_uring_sq_ready(uring) == 0)
        ring->scratch_count = 0;
}

uint32_t ring_tick(struct engine *engine, uint64_t until_ms)
{
    struct ring *ring = ring_of(engine);
    struct io_uring_cqe *cqes[BATCH];
    uint32_t present, done = 0;

    wait_for_results(ring, until_ms);
    ring_read_clock(ring);
    /* Only what is there now: callbacks cannot keep the loop in here. */
    present = io_uring_cq_ready(&ring->uring);
    while (done < present) {
        uint32_t left = present - done;
        uint32_t count = io_uring_peek_batch_cqe(&ring->uring, cqes, left < BATCH ? left : BATCH);

        for (uint32_t step = 0; step < count + FETCH_STAGES; step++) {
            fetch_ahead(ring, cqes, step, count);
            if (step >= FETCH_STAGES) {
                const struct io_uring_cqe *cqe = cqes[step - FETCH_STAGES];

                deliver(ring, cqe->user_data, cqe->res, cqe->flags);
            }
        }
        io_uring_cq_advance(&ring->uring, count);
        done += count;
    }
    engine->stats.results += done;
    ring_refill(ring);
    narrow_window(ring);
    return done;
}

/* --- the table of sockets --- */

int32_t ring_adopt(struct engine *engine, int fd)
{
    struct ring *ring = ring_of(engine);
    uint32_t slot;

    check(fd >= 0);
    if (ring->slots_free_count > 0)
        slot = ring->slots_free[--ring->slots_free_count];
    else if (ring->accept_slots + ring->slots_touched < engine->stats.sockets_max)
        slot = ring->accept_slots + ring->slots_touched++;
    else
        return fd;
    if (io_uring_register_files_update(&ring->uring, slot, &fd, 1) != 1) {
        ring->slots_free[ring->slots_free_count++] = slot;
        return fd;
    }
    close(fd);
    engine->stats.sockets++;
    return (int32_t)(slot | ENGINE_HANDLE_TABLE);
}

/* Options are set before the socket goes into the table: setsockopt cannot reach it there. That
 * one of them is refused must not cost a connection. */
int32_t ring_socket(struct engine *engine, const struct sockaddr *addr)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, idle_s = 60, between_s = 15;

    if (fd < 0)
        return -errno;
    if (addr->sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
    }
    return ring_adopt(engine, fd);
}
