#ifndef R2A_NET_LOOP_H
#define R2A_NET_LOOP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/list.h"
#include "r2a/core/mem.h"
#include "r2a/core/wheel.h"
#include "r2a/net/engine.h"

/* What one thread runs: an engine, a timer wheel and the order of a tick:
 *
 *   wait (until the wheel's next deadline) -> results -> timers -> flush -> deferred
 *
 * Results and timers change state and mark what has output as dirty; flushing sends, once per
 * owner and tick; deferred work frees what callbacks could not free themselves. */

/* Something to do in the flush phase of this tick (of the next one when marked after it). The
 * entry is unlinked before `flush` is called, so it may mark itself again. */
struct loop_dirty {
    struct list_node node;
    void (*flush)(struct loop_dirty *dirty);
};

/* Work for the very end of a tick. */
struct loop_defer {
    struct list_node node;
    void (*fn)(struct loop_defer *defer);
};

/* Called in the flush phase of every tick, after the dirty list, which is flushed once more
 * afterwards: for work that gathers over a tick (log buffers, jobs to post). Few, and cheap. */
struct loop_hook {
    struct list_node node;
    void (*fn)(struct loop_hook *hook);
};

typedef void (*loop_signal_fn)(void *ctx, int signum);

struct loop_cfg {
    const struct engine_table *engine; /* NULL: engine_ring */
    struct engine_cfg engine_cfg;
    struct mem *mem; /* of this thread; borrowed. NULL when nothing on the loop needs it */
};

struct loop {
    struct engine *engine;
    struct mem *mem;
    struct list dirty;
    struct list deferred;
    struct list hooks;
    uint64_t ticks;
    bool is_stopping;
    bool is_ticking;
    struct wheel wheel;

    /* posts from threads without a loop, or before this loop runs */
    struct op wake_op;
    int wake_fd;
    _Atomic(struct op *) inbox;
    _Atomic(struct engine *) target; /* NULL until loop_open: posts go to the inbox */

    struct op signal_op;
    loop_signal_fn signal_fn;
    void *signal_ctx;
    int signal_fd;
    bool is_closing;
};

/* Any thread, before the loop is shared: makes it possible to post to it. Zeroes the struct. */
enum r2a_err loop_prepare(struct loop *loop);
/* In the thread that will run it, which should have all signals blocked. R2A_ERR_URING_REFUSED and
 * others leave it prepared. */
enum r2a_err loop_open(struct loop *loop, const struct loop_cfg *cfg);
/* Runs ticks until loop_stop; `loop_current` answers this loop meanwhile. */
void loop_run(struct loop *loop);
/* One tick; waits at most `wait_ms` (and never past the next timer). For tests and for loop_run. */
void loop_tick(struct loop *loop, uint64_t wait_ms);
/* From the loop's own thread (else post an op that does it): loop_run returns after this tick. */
void loop_stop(struct loop *loop);
/* Ends the loop's own ops and the engine; everything else must have ended. Same thread. */
void loop_close(struct loop *loop);

/* The loop opened by the calling thread, or NULL. */
struct loop *loop_current(void);

/* Monotonic; of this tick. */
static inline uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->engine->now_ms;
}

/* Milliseconds since 1970 at this tick, for dates and records. */
static inline int64_t loop_wall_ms(const struct loop *loop)
{
    return loop->engine->wall_ms;
}

/* Absolute deadline, of loop_now_ms's clock. */
static inline void loop_timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ms)
{
    wheel_arm(&loop->wheel, timer, deadline_ms);
}

static inline void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
    wheel_cancel(&loop->wheel, timer);
}

/* Arms an op on the loop's engine; loop thread only. */
static inline void loop_arm(struct loop *loop, struct op *op)
{
    engine_arm(loop->engine, op);
}

/* Completes `op` (fn set, idle) on `to`, in its thread: res = op->len as set by the sender, ptr is
 * overwritten. Any thread; the op is the receiver's when it arrives. `to` must not be closed
 * before. Cheapest from within a tick of a loop: it leaves with the next one. */
void loop_post(struct loop *to, struct op *op);

/* Already marked: nothing happens. */
static inline void loop_mark_dirty(struct loop *loop, struct loop_dirty *dirty)
{
    if (!list_is_linked(&dirty->node))
        list_push_back(&loop->dirty, &dirty->node);
}

static inline void loop_defer(struct loop *loop, struct loop_defer *defer)
{
    if (!list_is_linked(&defer->node))
        list_push_back(&loop->deferred, &defer->node);
}

static inline void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
    list_push_back(&loop->hooks, &hook->node);
}

static inline void loop_remove_hook(struct loop_hook *hook)
{
    list_remove(&hook->node);
}

/* Blocks every signal in the calling thread (and those it starts), SIGPIPE included. Call it in
 * main, first. */
void loop_block_signals(void);
/* Delivers blocked signals of `set` to `fn` on this loop, one by one. At most once a loop. */
enum r2a_err loop_watch_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn,
                                void *ctx);

#endif
