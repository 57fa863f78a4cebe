#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/clock.h"
#include "rig.h"

static struct rig rig;

/* A second loop on a thread of its own. */
struct other {
    struct loop loop;
    pthread_t thread;
    bool failed;
};

static void *run(void *ctx)
{
    struct other *other = ctx;
    const struct loop_cfg cfg = {.engine_cfg = {.sockets_max = 64}};

    if (loop_open(&other->loop, &cfg) != R2A_OK) {
        other->failed = true;
        return NULL;
    }
    loop_run(&other->loop);
    loop_close(&other->loop);
    return NULL;
}

static void start(struct other *other)
{
    cr_assert_eq(loop_prepare(&other->loop), R2A_OK);
    cr_assert_eq(pthread_create(&other->thread, NULL, run, other), 0);
}

static void stop_there(struct op *op, struct op_result result)
{
    (void)op;
    (void)result;
    loop_stop(loop_current());
}

static void join(struct other *other)
{
    static struct op op;

    op = (struct op){.fn = stop_there};
    loop_post(&other->loop, &op);
    rig_settle(&rig); /* a post by ring leaves with the next tick */
    pthread_join(other->thread, NULL);
    cr_assert(!other->failed);
}

struct ball {
    struct op op;
    struct loop *here, *there;
    uint32_t flights;
    int32_t res;
    bool is_home;
};

static void fly(struct op *op, struct op_result result)
{
    struct ball *ball = container_of(op, struct ball, op);

    ball->res = result.res;
    ball->flights++;
    ball->is_home = loop_current() == ball->here;
    if (ball->flights < 2000)
        loop_post(ball->is_home ? ball->there : ball->here, op);
}

Test(loop, posts_go_back_and_forth)
{
    static struct other other;
    static struct ball balls[8];

    rig_open(&rig, NULL);
    start(&other);
    for (size_t i = 0; i < 8; i++) {
        balls[i] = (struct ball){.here = &rig.loop, .there = &other.loop};
        balls[i].op.fn = fly;
        balls[i].op.len = (uint32_t)i + 100;
        loop_post(&other.loop, &balls[i].op);
    }
    for (size_t i = 0; i < 8; i++) {
        rig_until(&rig, balls[i].flights == 2000);
        cr_assert(balls[i].is_home);
        cr_assert_eq(balls[i].res, (int32_t)i + 100);
    }
    join(&other);
    rig_close(&rig);
}

static void *post_plainly(void *ctx)
{
    struct ball *balls = ctx;

    cr_assert_null(loop_current());
    for (size_t i = 0; i < 100; i++)
        loop_post(balls[i].here, &balls[i].op);
    return NULL;
}

static uint32_t order;

static void arrive(struct op *op, struct op_result result)
{
    struct ball *ball = container_of(op, struct ball, op);

    ball->res = result.res;
    ball->flights = ++order;
}

Test(loop, posts_from_a_thread_without_a_loop_arrive_in_order)
{
    static struct ball balls[100];
    pthread_t thread;

    rig_open(&rig, NULL);
    for (size_t i = 0; i < 100; i++) {
        balls[i] = (struct ball){.here = &rig.loop};
        balls[i].op.fn = arrive;
        balls[i].op.len = (uint32_t)i;
    }
    cr_assert_eq(pthread_create(&thread, NULL, post_plainly, balls), 0);
    rig_until(&rig, order == 100);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(balls[i].flights, i + 1);
        cr_assert_eq(balls[i].res, (int32_t)i);
    }
    rig_close(&rig);
}

Test(loop, posts_before_the_start_wait_for_it)
{
    static struct ball ball;
    static struct other other;

    rig_open(&rig, NULL);
    cr_assert_eq(loop_prepare(&other.loop), R2A_OK);
    ball = (struct ball){.here = &rig.loop, .there = &other.loop, .flights = 1998};
    ball.op.fn = fly;
    loop_post(&other.loop, &ball.op);
    cr_assert_eq(pthread_create(&other.thread, NULL, run, &other), 0);
    rig_until(&rig, ball.flights == 2000 && ball.is_home);
    join(&other);
    rig_close(&rig);
}

struct tick {
    struct timer timer;
    uint64_t fired_ms;
};

static void fire(struct timer *timer, uint64_t now_ms)
{
    container_of(timer, struct tick, timer)->fired_ms = now_ms;
}

Test(loop, waits_for_the_next_timer_only)
{
    struct tick tick = {.timer.fn = fire};
    uint64_t begin;

    rig_open(&rig, NULL);
    begin = clock_mono_ms();
    loop_timer_arm(&rig.loop, &tick.timer, loop_now_ms(&rig.loop) + 30);
    while (tick.fired_ms == 0)
        loop_tick(&rig.loop, UINT64_MAX);
    cr_assert(tick.fired_ms - begin >= 29);
    cr_assert(clock_mono_ms() - begin < 1000);
    cr_assert(rig.loop.engine->stats.enters < 20, "it spins");
    rig_close(&rig);
}

/* The order of a tick, as letters. */
static char trace[16];
static size_t trace_len;

static struct loop_dirty dirty;
static struct loop_hook hook;
static struct loop_defer defer;

static void flush(struct loop_dirty *which)
{
    trace[trace_len++] = 'f';
    if (trace_len < 3)
        loop_mark_dirty(&rig.loop, which);
    loop_defer(&rig.loop, &defer);
}

static void gather(struct loop_hook *which)
{
    (void)which;
    trace[trace_len++] = 'h';
}

static void late(struct loop_defer *which)
{
    (void)which;
    trace[trace_len++] = 'd';
}

static void timed(struct timer *timer, uint64_t now_ms)
{
    (void)timer;
    (void)now_ms;
    trace[trace_len++] = 't';
    loop_mark_dirty(&rig.loop, &dirty);
    loop_mark_dirty(&rig.loop, &dirty);
}

Test(loop, a_tick_has_its_order)
{
    struct timer timer = {.fn = timed};

    rig_open(&rig, NULL);
    dirty.flush = flush;
    hook.fn = gather;
    defer.fn = late;
    loop_add_hook(&rig.loop, &hook);
    loop_timer_arm(&rig.loop, &timer, loop_now_ms(&rig.loop));
    loop_tick(&rig.loop, 0);
    loop_remove_hook(&hook);
    /* the second f is the dirty list after the hooks */
    cr_assert_str_eq(trace, "tfhfd");
    rig_close(&rig);
}

static int seen[4];
static size_t seen_count;

static void note(void *ctx, int signum)
{
    cr_assert_eq(ctx, &rig);
    if (seen_count < 4)
        seen[seen_count++] = signum;
}

Test(loop, delivers_signals)
{
    sigset_t set;

    rig_open(&rig, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    cr_assert_eq(loop_watch_signals(&rig.loop, &set, note, &rig), R2A_OK);
    kill(getpid(), SIGHUP);
    rig_until(&rig, seen_count == 1);
    kill(getpid(), SIGTERM);
    rig_until(&rig, seen_count == 2);
    cr_assert_eq(seen[0], SIGHUP);
    cr_assert_eq(seen[1], SIGTERM);
    conns_close(&rig.conns);
    loop_close(&rig.loop);
}

Test(loop, knows_the_time_of_day)
{
    int64_t off;

    rig_open(&rig, NULL);
    loop_tick(&rig.loop, 0);
    off = loop_wall_ms(&rig.loop) - clock_wall_ms();
    cr_assert(off > -1000 && off < 1000);
    rig_close(&rig);
}
