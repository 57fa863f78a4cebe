#include "r2a/core/wheel.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "support/random.h"

/* A timer that notes what happened to it. */
struct probe {
    struct timer timer;
    uint64_t fired_ms;
    uint32_t fired;
    uint32_t order;
};

static uint32_t order_now;

static void on_probe(struct timer *timer, uint64_t now_ms)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    cr_assert_not(timer_is_armed(timer));
    cr_assert_geq(now_ms, timer->deadline_ms);
    probe->fired_ms = now_ms;
    probe->fired++;
    probe->order = ++order_now;
}

static struct wheel *open_at(uint64_t now_ms)
{
    struct wheel *wheel = calloc(1, sizeof(*wheel));

    wheel_open(wheel, now_ms);
    return wheel;
}

Test(wheel, an_empty_one_never_needs_a_call)
{
    struct wheel *wheel = open_at(5);

    cr_assert_eq(wheel_next_ms(wheel), WHEEL_NEVER);
    cr_assert_eq(wheel_advance(wheel, 1000000), 0);
    cr_assert_eq(wheel->now_ms, 1000000);
    cr_assert_eq(wheel_advance(wheel, 10), 0, "time does not go back");
    cr_assert_eq(wheel->now_ms, 1000000);
    free(wheel);
}

/* From `start`, a timer for each delay up to and around every level's edge fires at its exact
 * millisecond when the wheel is driven by its own wheel_next_ms, and not before. */
static void fires_exactly(uint64_t start, uint64_t delay)
{
    struct wheel *wheel;
    struct probe probe = {.timer.fn = on_probe};
    uint32_t calls = 0;

    if (start + delay > WHEEL_MS_MAX)
        return;
    wheel = open_at(start);

    wheel_arm(wheel, &probe.timer, start + delay);
    cr_assert_eq(wheel->count, 1);
    while (probe.fired == 0) {
        uint64_t next_ms = wheel_next_ms(wheel);

        cr_assert_leq(next_ms, start + delay, "start %llu delay %llu", (unsigned long long)start,
                      (unsigned long long)delay);
        wheel_advance(wheel, next_ms);
        cr_assert_leq(++calls, WHEEL_LEVELS + 1, "start %llu delay %llu", (unsigned long long)start,
                      (unsigned long long)delay);
    }
    cr_assert_eq(probe.fired_ms, start + delay, "start %llu delay %llu fired %llu",
                 (unsigned long long)start, (unsigned long long)delay,
                 (unsigned long long)probe.fired_ms);
    cr_assert_eq(wheel->count, 0);
    cr_assert_eq(wheel_next_ms(wheel), WHEEL_NEVER);
    free(wheel);
}

Test(wheel, fires_at_the_exact_millisecond_for_every_short_delay)
{
    static const uint64_t starts[] = {0, 1, 62, 63, 64, 65, 4095, 4096, 262143, 1750000000123};

    for (size_t i = 0; i < array_count(starts); i++) {
        for (uint64_t delay = 0; delay < 4300; delay++)
            fires_exactly(starts[i], delay);
    }
}

Test(wheel, fires_at_the_exact_millisecond_around_every_edge_of_a_level)
{
    for (uint32_t a = 0; a < WHEEL_LEVELS; a++) {
        for (uint32_t b = 0; b < WHEEL_LEVELS; b++) {
            uint64_t start = 1ull << (a * WHEEL_SLOT_BITS);
            uint64_t delay = 1ull << (b * WHEEL_SLOT_BITS);

            for (int i = -2; i <= 2; i++) {
                for (int j = -2; j <= 2; j++) {
                    uint64_t from = start + (uint64_t)(int64_t)i;
                    uint64_t wait = delay + (uint64_t)(int64_t)j;

                    if (from < 1ull << 60 && wait < 1ull << 60)
                        fires_exactly(from, wait);
                    if (from < 1ull << 60)
                        fires_exactly(from, delay * 63 + (uint64_t)(int64_t)(j + 2));
                }
            }
        }
    }
}

Test(wheel, one_jump_over_many_slots_fires_all_in_order)
{
    struct wheel *wheel = open_at(1000);
    enum { COUNT = 2000 };
    struct probe *probes = calloc(COUNT, sizeof(*probes));
    struct random random = {.state = 5};

    for (int i = 0; i < COUNT; i++) {
        probes[i].timer.fn = on_probe;
        wheel_arm(wheel, &probes[i].timer, 1001 + random_between(&random, 0, 1000000));
    }
    cr_assert_eq(wheel_advance(wheel, 2000000), COUNT);
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < i; j++) {
            if (probes[i].timer.deadline_ms < probes[j].timer.deadline_ms)
                cr_assert_lt(probes[i].order, probes[j].order);
            else if (probes[i].timer.deadline_ms > probes[j].timer.deadline_ms)
                cr_assert_gt(probes[i].order, probes[j].order);
        }
    }
    free(probes);
    free(wheel);
}

Test(wheel, a_deadline_that_came_already_fires_at_the_next_call)
{
    struct wheel *wheel = open_at(500);
    struct probe now = {.timer.fn = on_probe}, past = {.timer.fn = on_probe};

    wheel_arm(wheel, &now.timer, 500);
    wheel_arm(wheel, &past.timer, 3);
    cr_assert_eq(wheel_next_ms(wheel), 500);
    cr_assert_eq(wheel_advance(wheel, 500), 2);
    cr_assert_eq(now.fired, 1);
    cr_assert_eq(past.fired, 1);
    free(wheel);
}

Test(wheel, arming_later_moves_nothing_and_still_fires_on_time)
{
    struct wheel *wheel = open_at(0);
    struct probe probe = {.timer.fn = on_probe};
    struct list_node *filed;

    wheel_arm(wheel, &probe.timer, 30000);
    filed = probe.timer.node.next;
    for (uint64_t now = 1; now < 200000; now += 17) { /* a chunk every 17 ms */
        cr_assert_eq(wheel_advance(wheel, now), 0);
        if (now < 20000)
            cr_assert_eq(probe.timer.node.next, filed, "only the deadline is noted");
        wheel_arm(wheel, &probe.timer, now + 30000);
        cr_assert_eq(wheel->count, 1);
    }

    uint64_t deadline = probe.timer.deadline_ms;

    cr_assert_eq(wheel_advance(wheel, deadline - 1), 0);
    cr_assert_eq(wheel_advance(wheel, deadline), 1);
    cr_assert_eq(probe.fired_ms, deadline);
    free(wheel);
}

Test(wheel, arming_earlier_fires_earlier)
{
    struct wheel *wheel = open_at(0);
    struct probe probe = {.timer.fn = on_probe};

    wheel_arm(wheel, &probe.timer, 30000);
    wheel_arm(wheel, &probe.timer, 60000);
    wheel_arm(wheel, &probe.timer, 100);
    cr_assert_eq(wheel->count, 1);
    cr_assert_leq(wheel_next_ms(wheel), 100);
    cr_assert_eq(wheel_advance(wheel, 99), 0);
    cr_assert_eq(wheel_advance(wheel, 100), 1);
    cr_assert_eq(wheel_next_ms(wheel), WHEEL_NEVER);
    free(wheel);
}

Test(wheel, a_cancelled_timer_leaves_no_trace)
{
    struct wheel *wheel = open_at(77);
    struct probe probe = {.timer.fn = on_probe};
    static const uint64_t deadlines[] = {77, 78, 200, 10000, 1000000, 1ull << 40, UINT64_MAX};

    for (size_t i = 0; i < array_count(deadlines); i++) {
        wheel_arm(wheel, &probe.timer, deadlines[i]);
        wheel_cancel(wheel, &probe.timer);
        cr_assert_not(timer_is_armed(&probe.timer));
        cr_assert_eq(wheel->count, 0);
        cr_assert_eq(wheel_next_ms(wheel), WHEEL_NEVER, "deadline %zu", i);
    }
    wheel_cancel(wheel, &probe.timer);
    cr_assert_eq(wheel_advance(wheel, 1ull << 41), 0);
    free(wheel);
}

Test(wheel, a_deadline_past_the_horizon_is_kept)
{
    struct wheel *wheel = open_at(1000);
    struct probe probe = {.timer.fn = on_probe};

    wheel_arm(wheel, &probe.timer, UINT64_MAX);
    cr_assert_eq(wheel_advance(wheel, 1ull << 41), 0);
    cr_assert(timer_is_armed(&probe.timer));
    wheel_arm(wheel, &probe.timer, (1ull << 41) + 5);
    cr_assert_eq(wheel_advance(wheel, (1ull << 41) + 5), 1);
    free(wheel);
}

struct again {
    struct timer timer;
    struct wheel *wheel;
    struct again *victim;
    uint64_t step_ms;
    uint32_t fired;
};

static void on_again(struct timer *timer, uint64_t now_ms)
{
    struct again *again = container_of(timer, struct again, timer);

    again->fired++;
    if (again->victim != NULL)
        wheel_cancel(again->wheel, &again->victim->timer);
    if (again->step_ms != WHEEL_NEVER)
        wheel_arm(again->wheel, timer, now_ms + again->step_ms);
}

Test(wheel, a_callback_may_arm_itself_and_one_call_ends)
{
    struct wheel *wheel = open_at(0);
    struct again again = {.timer.fn = on_again, .wheel = wheel, .step_ms = 0};

    wheel_arm(wheel, &again.timer, 10);
    cr_assert_eq(wheel_advance(wheel, 50), 1);
    cr_assert_eq(wheel_next_ms(wheel), 50);
    cr_assert_eq(wheel_advance(wheel, 50), 1);
    again.step_ms = 7;
    cr_assert_eq(wheel_advance(wheel, 51), 1);
    cr_assert_eq(wheel_next_ms(wheel), 58);
    cr_assert_eq(wheel_advance(wheel, 58), 1);
    cr_assert_eq(again.fired, 4);
    free(wheel);
}

Test(wheel, a_callback_may_cancel_another_that_is_due)
{
    struct wheel *wheel = open_at(0);
    struct again victim = {.timer.fn = on_again, .wheel = wheel, .step_ms = WHEEL_NEVER};
    struct again first = {
        .timer.fn = on_again, .wheel = wheel, .step_ms = WHEEL_NEVER, .victim = &victim};

    wheel_arm(wheel, &first.timer, 10);
    wheel_arm(wheel, &victim.timer, 10);
    cr_assert_eq(wheel_advance(wheel, 20), 1);
    cr_assert_eq(victim.fired, 0);
    cr_assert_eq(wheel->count, 0);
    cr_assert_eq(wheel_next_ms(wheel), WHEEL_NEVER);
    free(wheel);
}

static void on_rearm_victim(struct timer *timer, uint64_t now_ms)
{
    struct again *again = container_of(timer, struct again, timer);

    wheel_arm(again->wheel, &again->victim->timer, now_ms + again->step_ms);
}

Test(wheel, a_callback_may_put_off_another_that_is_due)
{
    struct wheel *wheel = open_at(0);
    struct again victim = {.timer.fn = on_again, .wheel = wheel, .step_ms = WHEEL_NEVER};
    struct again first = {
        .timer.fn = on_rearm_victim, .wheel = wheel, .step_ms = 100, .victim = &victim};

    wheel_arm(wheel, &first.timer, 10);
    wheel_arm(wheel, &victim.timer, 12);
    cr_assert_eq(wheel_advance(wheel, 20), 1);
    cr_assert_eq(victim.fired, 0);
    cr_assert_eq(wheel_advance(wheel, 119), 0);
    cr_assert_eq(wheel_advance(wheel, 120), 1);
    cr_assert_eq(victim.fired, 1);
    free(wheel);
}

/* Against the plainest model: an array of deadlines. */
static void compare_with_model(uint64_t seed, uint64_t start, uint64_t range)
{
    enum { COUNT = 100 };
    struct probe *probes = calloc(COUNT, sizeof(*probes));
    uint64_t deadlines[COUNT];
    struct wheel *wheel = open_at(start);
    struct random random = {.state = seed};
    uint64_t now = start;

    for (int i = 0; i < COUNT; i++) {
        probes[i].timer.fn = on_probe;
        deadlines[i] = WHEEL_NEVER;
    }
    for (int step = 0; step < 20000; step++) {
        size_t i = random_between(&random, 0, COUNT - 1);

        switch (random_between(&random, 0, 5)) {
        case 0:
        case 1:
        case 2:
            deadlines[i] =
                now + random_between(&random, 0, range >> random_between(&random, 0, 20));
            wheel_arm(wheel, &probes[i].timer, deadlines[i]);
            break;
        case 3:
            deadlines[i] = WHEEL_NEVER;
            wheel_cancel(wheel, &probes[i].timer);
            break;
        default: {
            uint64_t next_ms = wheel_next_ms(wheel), earliest = WHEEL_NEVER;
            uint32_t due = 0, armed = 0;

            for (int j = 0; j < COUNT; j++) {
                earliest = deadlines[j] < earliest ? deadlines[j] : earliest;
                armed += deadlines[j] != WHEEL_NEVER;
            }
            cr_assert_eq(wheel->count, armed);
            cr_assert(armed == 0 ? next_ms == WHEEL_NEVER : next_ms <= earliest || next_ms == now);
            now += random_between(&random, 0, range >> random_between(&random, 0, 22));
            for (int j = 0; j < COUNT; j++) {
                probes[j].fired = 0;
                due += deadlines[j] <= now;
            }
            cr_assert_eq(wheel_advance(wheel, now), due, "seed %llu step %d",
                         (unsigned long long)seed, step);
            for (int j = 0; j < COUNT; j++) {
                cr_assert_eq(probes[j].fired, deadlines[j] <= now, "seed %llu step %d",
                             (unsigned long long)seed, step);
                if (deadlines[j] <= now)
                    deadlines[j] = WHEEL_NEVER;
                cr_assert_eq(timer_is_armed(&probes[j].timer), deadlines[j] != WHEEL_NEVER);
            }
            break;
        }
        }
    }
    free(probes);
    free(wheel);
}

Test(wheel, agrees_with_an_array_of_deadlines)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        compare_with_model(seed, 0, 100);
        compare_with_model(seed, 1750000000000, 100000);
        compare_with_model(seed, 12345, 1u << 27);
    }
}
