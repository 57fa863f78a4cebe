/* The timer wheel. A deadline is filed by the highest group of six bits in which it differs from
 * the wheel's time:
 *
 *      level 6         level 2      level 1      level 0
 *   [ bits 36-41 ] .. [ 12-17 ] [ 6-11, 64 ms ] [ 0-5, 1 ms ]
 *
 * So all that is filed on a level shares the higher bits with `now_ms` and lies in a slot after the
 * current one, nothing wraps around, and whatever is on a lower level comes first: the next slot to
 * look at is the lowest set bit of the lowest level that has any. When the time of a slot comes,
 * its timers are filed anew: further down, or to be fired.
 *
 * Invariant: a timer is filed for its deadline or for an earlier time, never for a later one. That
 * is why arming it for later needs nothing but the new deadline. */
#include "r2a/core/wheel.h"

#include "r2a/core/check.h"

#define SLOT_MASK (WHEEL_SLOTS - 1)

static uint32_t level_of(uint64_t now_ms, uint64_t time_ms)
{
    uint64_t differs = now_ms ^ time_ms;

    return differs == 0 ? 0 : (63u - (uint32_t)__builtin_clzll(differs)) / WHEEL_SLOT_BITS;
}

static void file(struct wheel *wheel, struct timer *timer)
{
    uint64_t time_ms = timer->deadline_ms;
    uint32_t level, slot;

    if (time_ms > WHEEL_MS_MAX)
        time_ms = WHEEL_MS_MAX;
    if (time_ms <= wheel->now_ms) {
        list_push_back(&wheel->due, &timer->node);
        return;
    }
    level = level_of(wheel->now_ms, time_ms);
    slot = (uint32_t)(time_ms >> (level * WHEEL_SLOT_BITS)) & SLOT_MASK;
    list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->filled[level] |= 1ull << slot;
}

/* Takes a timer out of its list, and clears the slot's bit if it was the only one there. */
static void unfile(struct wheel *wheel, struct timer *timer)
{
    const struct list_node *neighbour = timer->node.next;
    bool was_alone = neighbour == timer->node.prev; /* both are the head of its list */
    uintptr_t offset = (uintptr_t)neighbour - (uintptr_t)wheel->slots;

    list_remove(&timer->node);
    if (was_alone && offset < sizeof(wheel->slots)) {
        uint32_t slot = (uint32_t)(offset / sizeof(struct list));

        wheel->filled[slot / WHEEL_SLOTS] &= ~(1ull << (slot % WHEEL_SLOTS));
    }
}

/* The next slot that is not empty. */
struct next_slot {
    uint64_t time_ms; /* WHEEL_NEVER: there is none */
    uint32_t level;
    uint32_t slot;
};

static struct next_slot find_next(const struct wheel *wheel)
{
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        uint32_t shift = level * WHEEL_SLOT_BITS;
        uint64_t slot;

        if (wheel->filled[level] == 0)
            continue;
        slot = (uint64_t)__builtin_ctzll(wheel->filled[level]);
        return (struct next_slot){
            .time_ms = (wheel->now_ms >> shift >> WHEEL_SLOT_BITS << WHEEL_SLOT_BITS | slot)
                       << shift,
            .level = level,
            .slot = (uint32_t)slot,
        };
    }
    return (struct next_slot){.time_ms = WHEEL_NEVER};
}

/* Empties a slot whose time is now: timers go down a level, to `firing`, or, when they were armed
 * again since, to where they belong by now. No other level has a slot for the same time: it would
 * have been filed here. */
static void open_slot(struct wheel *wheel, const struct next_slot *next)
{
    struct list opened = {0};
    struct list_node *node;

    wheel->filled[next->level] &= ~(1ull << next->slot);
    list_append(&opened, &wheel->slots[next->level][next->slot]);
    while ((node = list_pop_front(&opened)) != NULL) {
        struct timer *timer = list_owner(node, struct timer, node);

        if (timer->deadline_ms <= wheel->now_ms)
            list_push_back(&wheel->firing, node);
        else
            file(wheel, timer);
    }
}

void wheel_open(struct wheel *wheel, uint64_t now_ms)
{
    check(now_ms <= WHEEL_MS_MAX);
    check(wheel->count == 0);
    wheel->now_ms = now_ms;
}

void wheel_arm(struct wheel *wheel, struct timer *timer, uint64_t deadline_ms)
{
    check_slow(timer->fn != NULL);
    if (timer_is_armed(timer)) {
        if (deadline_ms >= timer->deadline_ms && timer->deadline_ms > wheel->now_ms) {
            timer->deadline_ms = deadline_ms;
            return;
        }
        unfile(wheel, timer);
    } else {
        wheel->count++;
    }
    timer->deadline_ms = deadline_ms;
    file(wheel, timer);
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    check(wheel->count > 0);
    wheel->count--;
    unfile(wheel, timer);
}

uint32_t wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    uint32_t fired = 0;
    struct list_node *node;

    check(now_ms <= WHEEL_MS_MAX);
    check(list_is_empty(&wheel->firing)); /* a callback must not advance time */
    if (now_ms < wheel->now_ms)
        now_ms = wheel->now_ms;
    list_append(&wheel->firing, &wheel->due);
    for (;;) {
        struct next_slot next = find_next(wheel);

        if (next.time_ms > now_ms)
            break;
        check_slow(next.time_ms > wheel->now_ms);
        wheel->now_ms = next.time_ms;
        open_slot(wheel, &next);
    }
    wheel->now_ms = now_ms;

    while ((node = list_pop_front(&wheel->firing)) != NULL) {
        struct timer *timer = list_owner(node, struct timer, node);

        wheel->count--;
        fired++;
        timer->fn(timer, now_ms);
    }
    return fired;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    return list_is_empty(&wheel->due) ? find_next(wheel).time_ms : wheel->now_ms;
}
