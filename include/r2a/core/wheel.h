#ifndef R2A_CORE_WHEEL_H
#define R2A_CORE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/list.h"

/* Deadlines by the millisecond: a hierarchical timer wheel of 7 levels of 64 slots (2^42 ms, 139
 * years). Arming, re-arming and cancelling are O(1); a timer is re-filed at most once a level.
 *
 * A timer is embedded in its owner; the callback finds the owner by container_of. A timer that is
 * armed again *later*, as for every chunk of a stream, only notes the new deadline: it stays where
 * it is filed and is filed anew when that slot comes up. */
struct timer;

/* Called with the timer no longer armed; may arm, cancel or release any timer, this one too. */
typedef void (*timer_fn)(struct timer *timer, uint64_t now_ms);

/* Zero-initialise, then set `fn` (once, before the first wheel_arm). */
struct timer {
    struct list_node node;
    uint64_t deadline_ms;
    timer_fn fn;
};

#define WHEEL_LEVELS    7u
#define WHEEL_SLOT_BITS 6u
#define WHEEL_SLOTS     (1u << WHEEL_SLOT_BITS)
#define WHEEL_MS_MAX    ((1ull << (WHEEL_LEVELS * WHEEL_SLOT_BITS)) - 1) /* later is filed here */
#define WHEEL_NEVER     UINT64_MAX

/* Zero-initialise, then wheel_open. Must not be moved afterwards. About 7 KiB, touched as used. */
struct wheel {
    uint64_t now_ms;               /* the time of the last wheel_advance */
    uint32_t count;                /* armed timers */
    uint64_t filled[WHEEL_LEVELS]; /* a bit per slot that is not empty */
    struct list due;               /* armed for a time that had come already */
    struct list firing;
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_open(struct wheel *wheel, uint64_t now_ms);

/* Arms or re-arms for an absolute time. A deadline that is not after the wheel's time fires at the
 * next wheel_advance, whatever its time. */
void wheel_arm(struct wheel *wheel, struct timer *timer, uint64_t deadline_ms);
/* A timer that is not armed is left alone. */
void wheel_cancel(struct wheel *wheel, struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
    return list_is_linked(&timer->node);
}

/* Moves time to `now_ms` (never backwards; an earlier time counts as the wheel's) and fires every
 * timer whose deadline is <= now_ms, earliest first. What callbacks arm for now or earlier waits
 * for the next call, so one call always ends. Returns how many fired. */
uint32_t wheel_advance(struct wheel *wheel, uint64_t now_ms);
/* When wheel_advance should be called next: never after the earliest deadline, possibly before it
 * (to re-file). WHEEL_NEVER when nothing is armed. */
uint64_t wheel_next_ms(const struct wheel *wheel);

#endif
