/* Starting a ring, or saying why there is none.
 *
 * The floor is Linux 6.1 (SINGLE_ISSUER, DEFER_TASKRUN). What came later is looked for at start
 * and used when found; it changes cost, never behaviour. Must compile against liburing 2.3, so
 * fields that later versions have helpers for are set by hand. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine_refuse.h"
#include "engine_ring.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/limits.h"

#ifndef R2A_LIBURING_VERSION
#define R2A_LIBURING_VERSION "unknown"
#endif

#define START_RETRY_MS      1000u /* locked memory of a process that just died comes back late */
#define START_RETRY_STEP_US 10000u

static _Atomic int refused_errno;
static char description[192]; /* written once, by the first engine */
static atomic_bool is_describing;
static atomic_bool is_described;

static int setup_once(struct ring *ring, uint32_t submissions, uint32_t completions)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = completions,
    };
    int res = io_uring_queue_init_params(submissions, &ring->uring, &params);

    if (res < 0)
        return res;
    if (!(params.features & IORING_FEAT_NODROP) || !(params.features & IORING_FEAT_SUBMIT_STABLE) ||
        !(params.features & IORING_FEAT_EXT_ARG)) {
        io_uring_queue_exit(&ring->uring);
        return -EINVAL;
    }
    return 0;
}

static int setup_buffers(struct ring *ring)
{
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)ring->buf_ring,
        .ring_entries = ring->rx_count,
        .bgid = RING_BUFFER_GROUP,
    };
    int res = io_uring_register_buf_ring(&ring->uring, &reg, 0);

    if (res < 0)
        return res;
    io_uring_buf_ring_init(ring->buf_ring);
    ring->spare_count = 0;
    for (uint32_t i = ring->rx_count; i > 0; i--)
        ring->spare[ring->spare_count++] = (uint16_t)(i - 1);
    return 0;
}

/* A ring and its buffers are charged to RLIMIT_MEMLOCK per user, and what a dead process held
 * comes back some 50 ms late: try again for a second, then make do with less. */
static int setup(struct ring *ring, uint32_t submissions, uint32_t completions)
{
    uint32_t waited_us = 0;

    for (;;) {
        int res = setup_once(ring, submissions, completions);

        if (res == 0) {
            res = setup_buffers(ring);
            if (res == 0)
                return 0;
            io_uring_queue_exit(&ring->uring);
        }
        if (res != -ENOMEM)
            return res;
        if (waited_us < START_RETRY_MS * 1000) {
            usleep(START_RETRY_STEP_US);
            waited_us += START_RETRY_STEP_US;
            continue;
        }
        if (submissions / 2 < ENGINE_SUBMISSIONS_MIN)
            return res;
        submissions /= 2;
        completions /= 2;
        log_event(LOG_WARN, "net", "ring_halved", log_kv_u64("submissions", submissions),
                  log_kv_z("reason", "RLIMIT_MEMLOCK"));
    }
}

/* Three empty operations must come back, each with its own name: a liburing that misunderstands
 * the kernel's layout answers with the first one three times (NO_SQARRAY under 2.3). */
static int self_test(struct ring *ring)
{
    struct io_uring_cqe *cqe;
    uint64_t expected = 7u << 5;

    for (uint64_t i = 0; i < 3; i++) {
        struct io_uring_sqe *sqe = ring_take_sqe(ring);

        io_uring_prep_nop(sqe);
        sqe->user_data = expected + (i << 5);
    }
    if (io_uring_submit_and_wait(&ring->uring, 3) != 3)
        return -EINVAL;
    for (uint64_t i = 0; i < 3; i++) {
        if (io_uring_peek_cqe(&ring->uring, &cqe) != 0)
            return -EINVAL;
        if (cqe->user_data != expected + (i << 5) || cqe->res != 0)
            return -EINVAL;
        io_uring_cqe_seen(&ring->uring, cqe);
    }
    return 0;
}

/* Socket commands have no bit to ask for: try one. */
static void find_features(struct ring *ring, const struct engine_refusal *system)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe;

    ring->can_post = system->kernel_major > ENGINE_KERNEL_MAJOR || system->kernel_minor >= 3;
    if (fd < 0)
        return;
    ring->can_set_options = true;
    sqe = ring_take_sqe(ring);
    ring_prepare_reset(ring, sqe, fd);
    sqe->user_data = RING_IGNORED;
    ring->can_set_options = false;
    if (io_uring_submit_and_wait(&ring->uring, 1) == 1 &&
        io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
        ring->can_set_options = cqe->res == 0;
        io_uring_cqe_seen(&ring->uring, cqe);
    }
    close(fd);
}

static void describe(const struct ring *ring, const struct engine_refusal *system)
{
    if (atomic_exchange(&is_describing, true))
        return;
    snprintf(description, sizeof description,
             "io_uring: linux %d.%d, liburing %s, %u+%u entries, %u sockets, reset %s, post %s",
             system->kernel_major, system->kernel_minor, R2A_LIBURING_VERSION,
             ring->uring.sq.ring_entries, ring->uring.cq.ring_entries,
             ring->engine.stats.sockets_max, ring->can_set_options ? "by command" : "absent",
             ring->can_post ? "by ring" : "by eventfd");
    atomic_store(&is_described, true);
}

/* The direct table may not exceed the soft descriptor limit, so that is raised first. */
static uint32_t sockets_allowed(uint32_t wanted)
{
    struct rlimit limit;

    if (wanted == 0 || wanted > ENGINE_SOCKETS_MAX)
        wanted = ENGINE_SOCKETS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted < 1024 ? wanted : 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return limit.rlim_cur < wanted ? (uint32_t)limit.rlim_cur : wanted;
}

static int setup_table(struct ring *ring, uint32_t sockets)
{
    int res = io_uring_register_files_sparse(&ring->uring, sockets);

    if (res < 0)
        return res;
    ring->engine.stats.sockets_max = sockets;
    ring->accept_slots = sockets - sockets / 2;
    ring->engine.stats.accepts_free = ring->accept_slots;
    return io_uring_register_file_alloc_range(&ring->uring, 0, ring->accept_slots);
}

static size_t round_page(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

/* One mapping, touched as used: the struct, the two stacks, the buffer ring, the buffers. */
static struct ring *map_ring(uint32_t rx_count, uint32_t sockets)
{
    size_t own = round_page(sizeof(struct ring) + rx_count * sizeof(uint16_t) + 64 +
                            ((size_t)sockets / 2 + 1) * sizeof(uint32_t));
    size_t buf_ring = round_page(rx_count * sizeof(struct io_uring_buf));
    size_t size = own + buf_ring + (size_t)rx_count * RX_SEGMENT_BYTES;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct ring *ring = (struct ring *)(void *)base;

    if (base == MAP_FAILED)
        return NULL;
    madvise(base, size, MADV_NOHUGEPAGE);
    ring->map_size = size;
    ring->rx_count = rx_count;
    ring->slots_free = (uint32_t *)(void *)(base + sizeof(struct ring));
    ring->spare = (uint16_t *)(void *)(ring->slots_free + sockets / 2 + 1);
    ring->buf_ring = (struct io_uring_buf_ring *)(void *)(base + own);
    ring->engine.rx_memory = base + own + buf_ring;
    return ring;
}

static enum r2a_err ring_start(struct engine **engine, const struct engine_cfg *cfg)
{
    uint32_t submissions = cfg->submissions ? cfg->submissions : ENGINE_SUBMISSIONS;
    uint32_t completions = cfg->completions ? cfg->completions : 4 * submissions;
    uint32_t rx_count = cfg->rx_buffers ? cfg->rx_buffers : RX_BUFFERS;
    uint32_t window = cfg->rx_window ? cfg->rx_window : RX_WINDOW;
    uint32_t sockets = sockets_allowed(cfg->sockets_max);
    uint32_t workers[2] = {1, 1}; /* kernel threads for files: bounded, unbounded */
    struct engine_refusal system = {0};
    struct ring *ring;
    int res;

    check((rx_count & (rx_count - 1)) == 0 && rx_count <= 32768);
    ring = map_ring(rx_count, sockets);
    if (ring == NULL)
        return R2A_ERR_NO_MEMORY;
    ring->engine.table = &engine_ring;
    ring->rx_window_min = window < rx_count ? window : rx_count;
    ring->engine.stats.rx_window = ring->rx_window_min;
    engine_refusal_gather(&system);

    res = setup(ring, submissions, completions);
    if (res < 0)
        goto fail_map;
    res = self_test(ring);
    if (res < 0)
        goto fail_ring;
    res = setup_table(ring, sockets);
    if (res < 0)
        goto fail_ring;
    io_uring_register_ring_fd(&ring->uring); /* saves a lookup; goes without */
    io_uring_register_iowq_max_workers(&ring->uring, workers);
    find_features(ring, &system);
    ring_refill(ring);
    ring_read_clock(ring);
    describe(ring, &system);
    *engine = &ring->engine;
    return R2A_OK;

fail_ring:
    io_uring_queue_exit(&ring->uring);
fail_map:
    munmap(ring, ring->map_size);
    atomic_store(&refused_errno, -res);
    return R2A_ERR_URING_REFUSED;
}

static void ring_stop(struct engine *engine)
{
    struct ring *ring = ring_of(engine);

    check(engine->stats.ops_armed == 0);
    io_uring_queue_exit(&ring->uring);
    munmap(ring, ring->map_size);
}

const struct engine_table engine_ring = {
    .name = "io_uring",
    .start = ring_start,
    .arm = ring_arm,
    .cancel = ring_cancel,
    .post = ring_post,
    .tick = ring_tick,
    .stop = ring_stop,
    .adopt = ring_adopt,
    .socket = ring_socket,
    .ease = ring_ease,
    .discard = ring_discard,
    .give = ring_give,
};

void engine_refusal(char *text, size_t size)
{
    struct engine_refusal refusal = {.errnum = atomic_load(&refused_errno)};

    engine_refusal_gather(&refusal);
    engine_refusal_text(&refusal, text, size);
}

void engine_describe(char *text, size_t size)
{
    const struct engine_cfg cfg = {.submissions = 64, .sockets_max = 64, .rx_buffers = 16};
    struct engine *engine;

    if (!atomic_load(&is_described)) {
        if (engine_ring.start(&engine, &cfg) != R2A_OK) {
            engine_refusal(text, size);
            return;
        }
        engine_ring.stop(engine);
    }
    snprintf(text, size, "%s", description);
}
