#include "r2a/core/mem.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "src/core/asan.h"
#include "support/random.h"

#define MIB ((size_t)1 << 20)

static const size_t classes[] = {256, 1024, 4096, 16384, 32768, 65536, 131072, 1 << 20, 4 << 20};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static size_t charged_for(size_t size)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 8 * MIB);
    void *block = mem_take(mem, size);
    size_t charged = mem_charged(mem);

    cr_assert_not_null(block);
    memset(block, 0x5a, size);
    mem_give(mem, block, size);
    cr_assert_eq(mem_charged(mem), 0);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
    return charged;
}

Test(mem, sizes_go_to_the_smallest_class_that_holds_them)
{
    for (size_t i = 0; i < CLASSES; i++) {
        cr_assert_eq(charged_for(classes[i]), classes[i]);
        cr_assert_eq(charged_for(classes[i] - 1), classes[i]);
        if (classes[i] == 65536)
            cr_assert_eq(charged_for(classes[i] + 1), 131072);
    }
    cr_assert_eq(charged_for(1), 256);
    cr_assert_eq(charged_for(257), 1024);
    cr_assert_eq(charged_for(1025), 4096);
    cr_assert_eq(charged_for(4097), 16384);
    cr_assert_eq(charged_for(16385), 32768);
    cr_assert_eq(charged_for(32769), 65536);
}

Test(mem, usable_is_the_class_or_exact_under_a_watcher)
{
    cr_assert_eq(mem_usable(4096), 4096);
    cr_assert_eq(mem_usable(300), R2A_ASAN ? 300 : 1024);
}

Test(mem, blocks_are_aligned_apart_and_writable)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, MIB);
    enum { COUNT = 600 };
    struct {
        unsigned char *ptr;
        size_t size;
    } blocks[COUNT];
    struct random random = {.state = 7};

    for (int i = 0; i < COUNT; i++) {
        blocks[i].size = random_between(&random, 1, i % 20 == 0 ? 200000 : 5000);
        blocks[i].ptr = mem_take(mem, blocks[i].size);
        cr_assert_not_null(blocks[i].ptr);
        cr_assert_eq((uintptr_t)blocks[i].ptr % 16, 0);
        memset(blocks[i].ptr, i & 255, blocks[i].size);
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < blocks[i].size; at++)
            cr_assert_eq(blocks[i].ptr[at], i & 255);
        mem_give(mem, blocks[i].ptr, blocks[i].size);
    }
    cr_assert_eq(mem_charged(mem), 0);
    mem_close(mem);
    cr_assert_eq(atomic_load(&budget.used), 0);
}

Test(mem, random_takes_and_gives_never_overlap)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, MIB);
    enum { SLOTS = 64 };
    struct {
        uint64_t *ptr;
        size_t size;
        uint64_t mark;
    } slots[SLOTS] = {0};
    struct random random = {.state = 99};

    for (uint64_t step = 1; step < 20000; step++) {
        size_t i = random_between(&random, 0, SLOTS - 1);

        if (slots[i].ptr != NULL) {
            cr_assert_eq(slots[i].ptr[0], slots[i].mark);
            cr_assert_eq(slots[i].ptr[slots[i].size / 8 - 1], slots[i].mark);
            mem_give(mem, slots[i].ptr, slots[i].size);
            slots[i].ptr = NULL;
            continue;
        }
        slots[i].size = random_between(&random, 1, step % 50 == 0 ? 100000 : 2500) * 8;
        slots[i].ptr = mem_take(mem, slots[i].size);
        slots[i].mark = step;
        cr_assert_not_null(slots[i].ptr);
        slots[i].ptr[0] = step;
        slots[i].ptr[slots[i].size / 8 - 1] = step;
    }
    for (size_t i = 0; i < SLOTS; i++)
        mem_give(mem, slots[i].ptr, slots[i].size);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
}

Test(mem, the_budget_refuses_exactly_at_its_limit)
{
    struct mem_budget budget = {.limit = 10 * 4096};
    struct mem *mem = mem_open(&budget, MIB);
    void *blocks[10];

    for (int i = 0; i < 10; i++) {
        blocks[i] = mem_take(mem, 4096);
        cr_assert_not_null(blocks[i], "block %d", i);
    }
    cr_assert_null(mem_take(mem, 1));
    cr_assert_null(mem_take(mem, 4096));
    cr_assert_eq(atomic_load(&budget.refused), 2);
    cr_assert_eq(atomic_load(&budget.peak), 10 * 4096);
    mem_give(mem, blocks[9], 4096);
    blocks[9] = mem_take(mem, 2000);
    cr_assert_not_null(blocks[9]);
    for (int i = 0; i < 9; i++)
        mem_give(mem, blocks[i], 4096);
    mem_give(mem, blocks[9], 2000);
    cr_assert_eq(atomic_load(&budget.used), 0);
    cr_assert_eq(atomic_load(&budget.peak), 10 * 4096);
    mem_close(mem);
}

Test(mem, the_spare_is_for_small_blocks)
{
    struct mem_budget budget = {.limit = 20 * 4096, .spare = 4 * 4096};
    struct mem *mem = mem_open(&budget, MIB);
    void *large, *small[4];
    void *reserved = mem_reserve(mem, MIB);

    cr_assert_null(mem_take(mem, 128 * 1024));
    cr_assert_not_null(large = mem_take(mem, 65536));
    cr_assert_null(mem_take(mem, 4097));
    cr_assert_not(mem_charge(mem, 1));
    for (int i = 0; i < 4; i++)
        cr_assert_not_null(small[i] = mem_take(mem, MEM_SPARE_BLOCK_BYTES), "block %d", i);
    cr_assert_null(mem_take(mem, 1));
    cr_assert_eq(atomic_load(&budget.peak), 20 * 4096);
    mem_give(mem, large, 65536);
    cr_assert_not(mem_charge(mem, 65536)); /* what is in use of the spare is to be left over too */
    cr_assert(mem_charge(mem, 49152));
    cr_assert_not(mem_charge(mem, 1));
    mem_unreserve(mem, reserved, MIB, 49152);
    for (int i = 0; i < 4; i++)
        mem_give(mem, small[i], MEM_SPARE_BLOCK_BYTES);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
}

Test(mem, threads_share_one_budget)
{
    struct mem_budget budget = {.limit = 8 * 4096};
    struct mem *a = mem_open(&budget, MIB), *b = mem_open(&budget, MIB);
    void *blocks[6];

    for (int i = 0; i < 6; i++)
        cr_assert_not_null(blocks[i] = mem_take(a, 4096));
    void *first = mem_take(b, 4096);

    cr_assert_not_null(first);
    cr_assert_null(mem_take(b, 16384));
    for (int i = 0; i < 6; i++)
        mem_give(a, blocks[i], 4096);

    void *large = mem_take(b, 16384);

    cr_assert_not_null(large);
    mem_give(b, large, 16384);
    mem_give(b, first, 4096);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(a);
    mem_close(b);
}

Test(mem, larger_than_the_largest_is_refused)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 100000);
    void *block = mem_take(mem, 100000);

    cr_assert_not_null(block);
    mem_give(mem, block, 100000);
    cr_assert_null(mem_take(mem, 131073));
    cr_assert_null(mem_take(mem, SIZE_MAX));
    cr_assert_null(mem_reserve(mem, SIZE_MAX / 2));
    cr_assert_eq(atomic_load(&budget.refused), 3);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
}

Test(mem, a_reservation_costs_what_is_charged)
{
    struct mem_budget budget = {.limit = MIB};
    struct mem *mem = mem_open(&budget, 64 * MIB);
    char *block = mem_reserve(mem, 64 * MIB);

    cr_assert_not_null(block);
    cr_assert_eq(mem_charged(mem), 0);
    cr_assert(mem_charge(mem, MIB / 2));
    memset(block, 1, MIB / 2);
    cr_assert(mem_charge(mem, MIB / 2));
    cr_assert_not(mem_charge(mem, 1));
    cr_assert_eq(mem_charged(mem), MIB);
    mem_unreserve(mem, block, 64 * MIB, MIB);
    cr_assert_eq(atomic_load(&budget.used), 0);

    char *small = mem_reserve(mem, 3000);

    cr_assert_not_null(small);
    cr_assert(mem_charge(mem, 100));
    mem_unreserve(mem, small, 3000, 100);
    mem_unreserve(mem, NULL, 3000, 0);
    mem_give(mem, NULL, 100);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
}

Test(mem, many_large_reservations_fit_a_small_budget)
{
    struct mem_budget budget = {.limit = 64 * MIB};
    struct mem *mem = mem_open(&budget, 64 * MIB);
    void *blocks[200];

    for (int i = 0; i < 200; i++) {
        blocks[i] = mem_reserve(mem, R2A_ASAN ? MIB : 64 * MIB);
        cr_assert_not_null(blocks[i]);
    }
    for (int i = 0; i < 200; i++)
        mem_unreserve(mem, blocks[i], R2A_ASAN ? MIB : 64 * MIB, 0);
    mem_close(mem);
}

#if !R2A_ASAN

/* Pages of a block that are in memory. */
static size_t resident(const void *block, size_t size)
{
    unsigned char pages[4096];
    size_t count = 0;

    cr_assert_leq(size / 4096, sizeof(pages));
    cr_assert_eq(mincore((void *)(uintptr_t)block, size, pages), 0);
    for (size_t i = 0; i < size / 4096; i++)
        count += pages[i] & 1;
    return count;
}

Test(mem, fresh_blocks_touch_nothing)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 4 * MIB);
    char *block = mem_take(mem, 4 * MIB);

    cr_assert_eq(resident(block, 4 * MIB), 0);
    block[5000] = 1;
    cr_assert_eq(resident(block, 4 * MIB), 1);
    mem_close(mem);
}

Test(mem, large_blocks_give_their_pages_back)
{
    struct mem_budget budget = {.limit = 16 * MIB};
    struct mem *mem = mem_open(&budget, 4 * MIB);
    char *blocks[20];
    size_t left = 0;

    for (int i = 0; i < 20; i++) {
        blocks[i] = mem_take(mem, 64 << 10);
        memset(blocks[i], 1, 64 << 10);
    }
    for (int i = 0; i < 20; i++)
        mem_give(mem, blocks[i], 64 << 10);
    for (int i = 0; i < 20; i++)
        left += resident(blocks[i], 64 << 10);
    cr_assert_leq(left, (256u << 10) / 4096, "%zu pages stay", left);

    char *huge = mem_take(mem, 4 * MIB);

    memset(huge, 1, 4 * MIB);
    mem_give(mem, huge, 4 * MIB);
    cr_assert_eq(resident(huge, 4 * MIB), 0);
    mem_close(mem);
}

Test(mem, large_blocks_keep_their_pages_until_it_is_quiet)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 16 * MIB);
    char *blocks[4];
    size_t left = 0;

    for (int i = 0; i < 4; i++) {
        blocks[i] = mem_take(mem, 16 * MIB);
        memset(blocks[i], 1, MIB);
    }
    for (int i = 0; i < 4; i++)
        mem_give(mem, blocks[i], 16 * MIB);
    for (int i = 0; i < 4; i++)
        left += resident(blocks[i], 16 * MIB);
    cr_assert_eq(left, 2 * MIB / 4096, "two of 16 MiB are the bound of 32, %zu pages", left);
    cr_assert_eq(mem_take(mem, 16 * MIB), blocks[3]);
    mem_trim(mem);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(resident(blocks[i], 16 * MIB), 0);
    mem_give(mem, blocks[3], 16 * MIB);
    mem_close(mem);
}

Test(mem, small_blocks_come_back_last_in_first_out)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, MIB);
    void *a = mem_take(mem, 1000), *b = mem_take(mem, 1000);

    mem_give(mem, a, 1000);
    mem_give(mem, b, 1000);
    cr_assert_eq(mem_take(mem, 1024), b);
    cr_assert_eq(mem_take(mem, 500), a);
    mem_close(mem);
}

Test(mem, a_burst_of_small_blocks_is_given_back_when_it_is_over)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, MIB);
    enum { COUNT = 2000 };
    char **blocks = calloc(COUNT, sizeof(*blocks));

    for (int i = 0; i < COUNT; i++) {
        blocks[i] = mem_take(mem, 4096);
        memset(blocks[i], 1, 4096);
    }
    for (int i = 0; i < COUNT; i++)
        mem_give(mem, blocks[i], 4096);
    mem_trim(mem);

    size_t left = 0;

    for (int i = 0; i < COUNT; i++)
        left += resident(blocks[i], 4096);
    cr_assert_leq(left, 64, "%zu pages stay", left);
    for (int i = 0; i < COUNT; i++) { /* and all of it can be used again */
        blocks[i] = mem_take(mem, 4096);
        memset(blocks[i], 2, 4096);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(blocks[i][4095], 2);
        mem_give(mem, blocks[i], 4096);
    }
    free(blocks);
    mem_close(mem);
}

Test(mem, a_limit_of_address_space_leaves_smaller_regions)
{
    struct rlimit limit = {.rlim_cur = 2048 * MIB, .rlim_max = 2048 * MIB};
    struct mem_budget budget = {0};
    struct mem *mem;
    void *small, *large;

    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    mem = mem_open(&budget, 64 * MIB);
    cr_assert_not_null(mem);
    small = mem_take(mem, 100);
    large = mem_take(mem, 64 * MIB);
    cr_assert_not_null(small);
    cr_assert_not_null(large);
    mem_give(mem, small, 100);
    mem_give(mem, large, 64 * MIB);
    mem_close(mem);
    limit.rlim_cur = 64 * MIB;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_null(mem_open(&budget, 64 * MIB), "a refusal is an answer");
}

Test(mem, a_used_up_reservation_refuses_and_recovers)
{
    struct mem_budget budget = {.limit = MIB};
    struct mem *mem = mem_open(&budget, 1 << 20);
    void **blocks = calloc(10000, sizeof(*blocks));
    uint32_t count = 0;

    /* Nothing is charged, so only addresses bound this. */
    while (count < 10000 && (blocks[count] = mem_reserve(mem, 16384)) != NULL)
        count++;
    cr_assert_eq(count, 64 * MIB / 16384);
    cr_assert_eq(atomic_load(&budget.refused), 1);
    while (count > 0)
        mem_unreserve(mem, blocks[--count], 16384, 0);
    blocks[0] = mem_take(mem, 16384);
    cr_assert_not_null(blocks[0]);
    mem_give(mem, blocks[0], 16384);
    free(blocks);
    mem_close(mem);
}

Test(mem, a_foreign_block_is_a_bug, .signal = SIGABRT)
{
    struct mem_budget budget = {0};
    struct mem *a = mem_open(&budget, MIB), *b = mem_open(&budget, MIB);
    void *keep = mem_take(b, 1000);
    void *block = mem_take(a, 1000);

    (void)keep;
    mem_give(b, block, 1000);
}

Test(mem, a_wrong_size_is_a_bug, .signal = SIGABRT)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, MIB);
    void *other = mem_take(mem, 5000);
    void *block = mem_take(mem, 1000);

    (void)other;
    mem_give(mem, block, 5000);
}

#endif
