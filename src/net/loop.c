/* A thread's loop: the order of a tick, posts from other threads, signals. It decides when things
 * run; what runs is the engine's, the wheel's and the owners'.
 *
 * Posts travel by the engine where both ends have one that can (a message into the other's ring).
 * Otherwise they go through the inbox, a stack of ops any thread may push on, with an eventfd that
 * wakes the loop: from threads without a loop, to a loop that has not started, on old kernels. */
#include "r2a/net/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "r2a/core/check.h"

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

/* --- posts --- */

/* The post's destination travels in op->ptr while an engine carries it, and the op's successor
 * while it lies in an inbox. */
static void push_inbox(struct loop *to, struct op *op)
{
    struct op *first = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    uint64_t one = 1;

    op->kind = OP_POST;
    op->state = OP_ARMED;
    do {
        op->ptr = first;
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &first, op, memory_order_release,
                                                    memory_order_relaxed));
    if (first != NULL)
        return; /* whoever pushed the first one wakes the loop */
    while (write(to->wake_fd, &one, sizeof one) < 0)
        check(errno == EINTR); /* the counter cannot overflow: at most one a drain */
}

static void drain_inbox(struct loop *loop)
{
    struct op *op = atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
    struct op *oldest = NULL;

    while (op != NULL) {
        struct op *next = op->ptr;

        op->ptr = oldest;
        oldest = op;
        op = next;
    }
    while (oldest != NULL) {
        struct op *next = oldest->ptr;

        oldest->state = OP_IDLE;
        oldest->fn(oldest, (struct op_result){.res = (int32_t)oldest->len,
                                              .buffer = ENGINE_NO_BUFFER,
                                              .is_last = true});
        oldest = next;
    }
}

static void return_post(struct op *op)
{
    push_inbox(op->ptr, op);
}

void loop_post(struct loop *to, struct op *op)
{
    struct engine *engine = atomic_load_explicit(&to->target, memory_order_acquire);
    struct loop *from = current;

    check(op->state == OP_IDLE);
    check(op->fn != NULL);
    op->ptr = to;
    /* Between ticks (start-up, after the end) the engine might never hand it over. */
    if (from != NULL && from->is_ticking && engine != NULL &&
        from->engine->table->post(from->engine, engine, op))
        return;
    push_inbox(to, op);
}

static void wake(struct op *op, struct op_result result)
{
    struct loop *loop = container_of(op, struct loop, wake_op);
    uint64_t count;

    (void)result;
    if (read(loop->wake_fd, &count, sizeof count) < 0)
        check(errno == EAGAIN || errno == EINTR);
    if (!loop->is_closing)
        loop_arm(loop, op);
    drain_inbox(loop);
}

/* --- signals --- */

void loop_block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void take_signals(struct op *op, struct op_result result)
{
    struct loop *loop = container_of(op, struct loop, signal_op);
    struct signalfd_siginfo info;

    (void)result;
    while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->signal_fn(loop->signal_ctx, (int)info.ssi_signo);
    if (!loop->is_closing)
        loop_arm(loop, op);
}

enum r2a_err loop_watch_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn,
                                void *ctx)
{
    check(loop->signal_fd < 0);
    loop->signal_fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0)
        return R2A_ERR_SYSTEM;
    loop->signal_fn = fn;
    loop->signal_ctx = ctx;
    loop->signal_op = (struct op){.fn = take_signals, .kind = OP_WAIT, .handle = loop->signal_fd};
    loop_arm(loop, &loop->signal_op);
    return R2A_OK;
}

/* --- life --- */

enum r2a_err loop_prepare(struct loop *loop)
{
    memset(loop, 0, sizeof *loop);
    loop->signal_fd = -1;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return loop->wake_fd < 0 ? R2A_ERR_SYSTEM : R2A_OK;
}

enum r2a_err loop_open(struct loop *loop, const struct loop_cfg *cfg)
{
    const struct engine_table *table = cfg->engine != NULL ? cfg->engine : &engine_ring;
    enum r2a_err err;

    check(loop->engine == NULL);
    err = table->start(&loop->engine, &cfg->engine_cfg);
    if (err != R2A_OK)
        return err;
    loop->engine->post_failed = return_post;
    loop->mem = cfg->mem;
    wheel_open(&loop->wheel, loop->engine->now_ms);
    loop->wake_op = (struct op){.fn = wake, .kind = OP_WAIT, .handle = loop->wake_fd};
    loop_arm(loop, &loop->wake_op);
    current = loop;
    atomic_store_explicit(&loop->target, loop->engine, memory_order_release);
    return R2A_OK;
}

/* Flushes what is dirty now; who marks itself again meanwhile waits for the next pass. */
static void flush_dirty(struct loop *loop)
{
    struct list marked = {0};
    struct list_node *node;

    list_append(&marked, &loop->dirty);
    while ((node = list_pop_front(&marked)) != NULL) {
        struct loop_dirty *dirty = list_owner(node, struct loop_dirty, node);

        dirty->flush(dirty);
    }
}

static void run_hooks(struct loop *loop)
{
    struct list_node *node = list_first(&loop->hooks);

    while (node != NULL) {
        struct list_node *next = list_next(&loop->hooks, node); /* a hook may remove itself */
        struct loop_hook *hook = list_owner(node, struct loop_hook, node);

        hook->fn(hook);
        node = next;
    }
}

static void run_deferred(struct loop *loop)
{
    struct list_node *node;

    while ((node = list_pop_front(&loop->deferred)) != NULL) {
        struct loop_defer *defer = list_owner(node, struct loop_defer, node);

        defer->fn(defer);
    }
}

static uint64_t until(struct loop *loop, uint64_t wait_ms)
{
    uint64_t timer_ms = wheel_next_ms(&loop->wheel);
    uint64_t wait_until;

    if (wait_ms == 0 || loop->is_stopping || !list_is_empty(&loop->dirty) ||
        !list_is_empty(&loop->deferred))
        return 0;
    wait_until =
        wait_ms >= UINT64_MAX - loop->engine->now_ms ? UINT64_MAX : loop->engine->now_ms + wait_ms;
    return timer_ms < wait_until ? timer_ms : wait_until;
}

void loop_tick(struct loop *loop, uint64_t wait_ms)
{
    current = loop; /* a simulation runs several on one thread */
    loop->is_ticking = true;
    loop->ticks++;
    loop->engine->table->tick(loop->engine, until(loop, wait_ms));
    wheel_advance(&loop->wheel, loop->engine->now_ms);
    flush_dirty(loop);
    run_hooks(loop);
    flush_dirty(loop);
    run_deferred(loop);
    loop->is_ticking = false;
}

void loop_run(struct loop *loop)
{
    loop->is_stopping = false;
    while (!loop->is_stopping)
        loop_tick(loop, UINT64_MAX);
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
}

void loop_close(struct loop *loop)
{
    struct op *own[] = {&loop->wake_op, &loop->signal_op};

    current = loop;
    loop->is_closing = true;
    atomic_store_explicit(&loop->target, NULL, memory_order_release);
    for (size_t i = 0; i < array_count(own); i++)
        if (own[i]->state == OP_ARMED)
            engine_cancel(loop->engine, own[i]);
    while (loop->wake_op.state == OP_ARMED || loop->signal_op.state == OP_ARMED)
        loop->engine->table->tick(loop->engine, UINT64_MAX);
    drain_inbox(loop);
    run_deferred(loop);
    loop->engine->table->stop(loop->engine);
    loop->engine = NULL;
    current = NULL;
    close(loop->wake_fd);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    loop->wake_fd = loop->signal_fd = -1;
}
