#include "r2a/core/slab.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "src/core/asan.h"
#include "support/random.h"

struct thing {
    uint64_t mark;
    char rest[150];
};

static bool is_zero(const void *slot, size_t size)
{
    const unsigned char *bytes = slot;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

Test(slab, slots_are_zero_aligned_and_counted)
{
    struct slab slab;
    struct thing *things[100];

    cr_assert(slab_open(&slab, sizeof(struct thing), 100));
    for (int i = 0; i < 100; i++) {
        things[i] = slab_take(&slab);
        cr_assert_not_null(things[i]);
        cr_assert_eq((uintptr_t)things[i] % SLAB_ALIGN, 0);
        cr_assert(is_zero(things[i], sizeof(struct thing)));
        memset(things[i], 0xff, sizeof(struct thing));
        cr_assert_eq(slab.count, (uint32_t)i + 1);
    }
    cr_assert(slab_is_full(&slab));
    cr_assert_null(slab_take(&slab));
    cr_assert_eq(slab.peak, 100);
    for (int i = 0; i < 100; i++) {
        cr_assert_lt(slab_index(&slab, things[i]), 100);
        cr_assert_eq(slab_at(&slab, slab_index(&slab, things[i])), things[i]);
        slab_give(&slab, things[i]);
    }
    cr_assert_eq(slab.count, 0);
    things[0] = slab_take(&slab);
    cr_assert(is_zero(things[0], sizeof(struct thing)), "a used slot is zeroed again");
    slab_give(&slab, things[0]);
    cr_assert_null(slab_at(&slab, 100));
    slab_close(&slab);
}

Test(slab, random_use_never_gives_a_slot_twice)
{
    enum { COUNT = 1000 };
    struct slab slab;
    static struct thing *taken[COUNT];
    struct random random = {.state = 8};
    uint32_t count = 0;

    cr_assert(slab_open(&slab, sizeof(struct thing), COUNT / 2));
    for (uint64_t step = 1; step < 50000; step++) {
        size_t i = random_between(&random, 0, COUNT - 1);

        if (taken[i] != NULL) {
            cr_assert_eq(taken[i]->mark, i + 1);
            slab_give(&slab, taken[i]);
            taken[i] = NULL;
            count--;
        } else if (count < COUNT / 2) {
            taken[i] = slab_take(&slab);
            cr_assert_not_null(taken[i]);
            cr_assert_eq(taken[i]->mark, 0);
            taken[i]->mark = i + 1;
            count++;
        } else {
            cr_assert_null(slab_take(&slab));
        }
        cr_assert_eq(slab.count, count);
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (taken[i] != NULL)
            slab_give(&slab, taken[i]);
    }
    slab_close(&slab);
}

#if !R2A_ASAN

Test(slab, the_last_slot_given_is_the_next_taken)
{
    struct slab slab;
    void *a, *b;

    cr_assert(slab_open(&slab, 100, 10));
    a = slab_take(&slab);
    b = slab_take(&slab);
    slab_give(&slab, a);
    slab_give(&slab, b);
    cr_assert_eq(slab_take(&slab), b);
    cr_assert_eq(slab_take(&slab), a);
    cr_assert_eq(slab.touched, 2);
}

Test(slab, a_large_limit_touches_nothing)
{
    struct slab slab;
    unsigned char pages[16];
    char *slot;

    cr_assert(slab_open(&slab, 4096, 1 << 20)); /* 4 GiB of addresses */
    slot = slab_take(&slab);
    cr_assert_eq(mincore(slot, sizeof(pages) * 4096, pages), 0);
    cr_assert_eq(pages[0] & 1, 0);
    slot[0] = 1;
    cr_assert_eq(mincore(slot, sizeof(pages) * 4096, pages), 0);
    for (size_t i = 1; i < sizeof(pages); i++)
        cr_assert_eq(pages[i] & 1, 0);
    slab_give(&slab, slot);
    slab_close(&slab);
}

Test(slab, a_foreign_pointer_is_a_bug, .signal = SIGABRT)
{
    struct slab slab;
    char other[64];

    cr_assert(slab_open(&slab, 64, 10));
    (void)slab_take(&slab);
    slab_give(&slab, other);
}

#endif

Test(slab, closing_with_slots_out_is_a_bug, .signal = SIGABRT)
{
    struct slab slab;

    cr_assert(slab_open(&slab, 64, 10));
    (void)slab_take(&slab);
    slab_close(&slab);
}
