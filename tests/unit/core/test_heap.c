#include "r2a/core/heap.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

static void *volatile kept;

Test(heap, allocating_is_allowed_before_and_for_the_exempt)
{
    kept = malloc(10);
    heap_freeze();
    free(kept); /* always allowed */
    heap_exempt_thread(true);
    kept = malloc(10);
    free(kept);
    heap_exempt_thread(false);
    heap_thaw();
    kept = calloc(1, 10);
    free(kept);
}

Test(heap, allocating_after_the_freeze_aborts, .signal = SIGABRT)
{
    if (!heap_is_checked())
        abort(); /* this build does not enforce it */
    heap_freeze();
    kept = malloc(10);
}
