/* The clocks of the system. */
#include "r2a/core/clock.h"

#include <time.h>

#include "r2a/core/check.h"

static struct timespec now(clockid_t id)
{
    struct timespec ts;

    check(clock_gettime(id, &ts) == 0);
    return ts;
}

uint64_t clock_mono_ns(void)
{
    struct timespec ts = now(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    struct timespec ts = now(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

int64_t clock_wall_ms(void)
{
    struct timespec ts = now(CLOCK_REALTIME);

    return (int64_t)ts.tv_sec * 1000 + (int64_t)ts.tv_nsec / 1000000;
}
