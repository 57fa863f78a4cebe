/* Operations on a few timers against an array of deadlines. Three bytes an operation: what, which
 * timer, how far as a power of two and a small rest. */
#include <stdint.h>
#include <stdlib.h>

#include "r2a/core/check.h"
#include "r2a/core/wheel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT 16u

struct probe {
    struct timer timer;
    uint64_t deadline_ms; /* WHEEL_NEVER: not armed */
};

static struct wheel *wheel;
static struct probe probes[COUNT];

static void on_probe(struct timer *timer, uint64_t now_ms)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    check(!timer_is_armed(timer));
    check(probe->deadline_ms <= now_ms);
    probe->deadline_ms = WHEEL_NEVER;
    /* Some arm themselves again, some put off or stop a neighbour. */
    size_t index = (size_t)(probe - probes);
    struct probe *other = &probes[(index + 1) % COUNT];

    if (index % 4 == 1) {
        probe->deadline_ms = now_ms + index * 50;
        wheel_arm(wheel, timer, probe->deadline_ms);
    } else if (index % 4 == 2) {
        other->deadline_ms = now_ms + 1000;
        wheel_arm(wheel, &other->timer, other->deadline_ms);
    } else if (index % 4 == 3) {
        other->deadline_ms = WHEEL_NEVER;
        wheel_cancel(wheel, &other->timer);
    }
}

static void compare(uint64_t now_ms, bool was_advanced)
{
    uint64_t earliest_ms = WHEEL_NEVER;
    uint32_t armed = 0;

    for (size_t i = 0; i < COUNT; i++) {
        check(timer_is_armed(&probes[i].timer) == (probes[i].deadline_ms != WHEEL_NEVER));
        if (probes[i].deadline_ms == WHEEL_NEVER)
            continue;
        armed++;
        earliest_ms = probes[i].deadline_ms < earliest_ms ? probes[i].deadline_ms : earliest_ms;
        /* What is left was armed for later, or for now by a callback. */
        check(!was_advanced || probes[i].deadline_ms >= now_ms);
    }
    check(wheel->count == armed);
    if (armed == 0)
        check(wheel_next_ms(wheel) == WHEEL_NEVER);
    else
        check(wheel_next_ms(wheel) <= (earliest_ms > now_ms ? earliest_ms : now_ms));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t now_ms = size > 0 ? (uint64_t)data[0] << (data[0] % 30) : 0;

    wheel = calloc(1, sizeof(*wheel));
    check(wheel != NULL);
    wheel_open(wheel, now_ms);
    for (size_t i = 0; i < COUNT; i++)
        probes[i] = (struct probe){.timer.fn = on_probe, .deadline_ms = WHEEL_NEVER};
    for (size_t at = 1; at + 3 <= size; at += 3) {
        struct probe *probe = &probes[data[at] / 16 % COUNT];
        uint64_t distance_ms = ((uint64_t)1 << (data[at + 1] % 31)) - 1 + data[at + 2];

        if (now_ms > WHEEL_MS_MAX / 2)
            break;
        switch (data[at] % 4) {
        case 0:
        case 1:
            probe->deadline_ms = now_ms + distance_ms;
            if (data[at + 2] == 255)
                probe->deadline_ms = now_ms / 2;
            wheel_arm(wheel, &probe->timer, probe->deadline_ms);
            break;
        case 2:
            probe->deadline_ms = WHEEL_NEVER;
            wheel_cancel(wheel, &probe->timer);
            break;
        default:
            now_ms = data[at + 2] % 2 == 0 ? now_ms + distance_ms : wheel_next_ms(wheel);
            if (now_ms == WHEEL_NEVER)
                now_ms = wheel->now_ms;
            (void)wheel_advance(wheel, now_ms);
            compare(now_ms, true);
            break;
        }
        compare(now_ms, false);
    }
    free(wheel);
    return 0;
}
