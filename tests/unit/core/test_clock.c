#include "r2a/core/clock.h"

#include <criterion/criterion.h>
#include <time.h>

Test(clock, time_passes_forward_in_all_units)
{
    uint64_t ms = clock_mono_ms(), ns = clock_mono_ns();
    struct timespec nap = {.tv_nsec = 3000000};

    nanosleep(&nap, NULL);
    cr_assert_geq(clock_mono_ms() - ms, 2);
    cr_assert_geq(clock_mono_ns() - ns, 3000000);
    cr_assert_leq(clock_mono_ns() / 1000000 - clock_mono_ms(), 1000);
}

Test(clock, the_wall_clock_is_the_system_s)
{
    int64_t seconds = (int64_t)time(NULL);

    cr_assert_leq(seconds * 1000, clock_wall_ms() + 50);
    cr_assert_geq((seconds + 2) * 1000, clock_wall_ms());
}
