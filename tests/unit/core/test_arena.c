#include "r2a/core/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "src/core/asan.h"
#include "support/random.h"

static struct mem_budget budget;
static struct mem *mem;
static struct arena arena;

static void set_up(void)
{
    mem = mem_open(&budget, 1 << 20);
    arena = (struct arena){.mem = mem};
}

static void tear_down(void)
{
    arena_reset(&arena);
    cr_assert_eq(atomic_load(&budget.used), 0);
    mem_close(mem);
}

TestSuite(arena, .init = set_up, .fini = tear_down);

Test(arena, an_unused_one_holds_nothing)
{
    cr_assert_eq(arena_bytes(&arena), 0);
    arena_reset(&arena);
    cr_assert_eq(mem_charged(mem), 0);
}

Test(arena, pieces_are_aligned_apart_and_stay)
{
    enum { COUNT = 500 };
    struct {
        unsigned char *ptr;
        size_t size;
    } pieces[COUNT];
    struct random random = {.state = 3};

    for (int i = 0; i < COUNT; i++) {
        pieces[i].size = random_between(&random, 0, i % 30 == 0 ? 40000 : 300);
        pieces[i].ptr = arena_take(&arena, pieces[i].size);
        cr_assert_not_null(pieces[i].ptr);
        cr_assert_eq((uintptr_t)pieces[i].ptr % 16, 0);
        memset(pieces[i].ptr, i & 255, pieces[i].size);
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < pieces[i].size; at++)
            cr_assert_eq(pieces[i].ptr[at], i & 255);
    }
    arena_reset(&arena);
    cr_assert_eq(mem_charged(mem), 0);
}

Test(arena, copies_and_zeroes)
{
    struct slice copy = arena_copy(&arena, S("hello"));
    unsigned char *zero = arena_take_zero(&arena, 333);

    cr_assert(slice_eq(copy, S("hello")));
    cr_assert_eq(arena_copy(&arena, (struct slice){0}).len, 0);
    for (int i = 0; i < 333; i++)
        cr_assert_eq(zero[i], 0);
}

Test(arena, an_exhausted_budget_gives_null_and_loses_nothing)
{
    struct slice kept = arena_copy(&arena, S("kept"));

    budget.limit = atomic_load(&budget.used);
    /* The credit that was charged ahead, and the first block, can still be used up. */
    while (arena_take(&arena, 200) != NULL)
        ;
    cr_assert_null(arena_take(&arena, 900));
    cr_assert(slice_eq(kept, S("kept")));
    cr_assert_null(arena_take(&arena, SIZE_MAX));
    cr_assert_null(arena_take(&arena, SIZE_MAX - 8));
}

#if !R2A_ASAN

Test(arena, blocks_grow_and_large_pieces_stand_alone)
{
    cr_assert_not_null(arena_take(&arena, 100));
    cr_assert_eq(arena_bytes(&arena), 1024);
    cr_assert_not_null(arena_take(&arena, 880));
    cr_assert_eq(arena_bytes(&arena), 1024);
    cr_assert_not_null(arena_take(&arena, 900));
    cr_assert_eq(arena_bytes(&arena), 2 * 1024);
    cr_assert_not_null(arena_take(&arena, 200));
    cr_assert_eq(arena_bytes(&arena), 2 * 1024 + 256);
    cr_assert_not_null(arena_take(&arena, 900));
    cr_assert_eq(arena_bytes(&arena), 3 * 1024 + 256);
    cr_assert_not_null(arena_take(&arena, 200));
    cr_assert_eq(arena_bytes(&arena), 3 * 1024 + 256 + 4096);

    char *before = arena_take(&arena, 16);

    cr_assert_not_null(arena_take(&arena, 50000));
    cr_assert_eq(arena_bytes(&arena), 3 * 1024 + 256 + 4096 + 16 + 50000);
    cr_assert_eq((char *)arena_take(&arena, 16), before + 16, "the newest block goes on");
    cr_assert_not_null(arena_take(&arena, 4000));
    cr_assert_eq(arena_bytes(&arena), 3 * 1024 + 256 + 4096 + 16 + 50000 + 16384);
}

Test(arena, what_older_blocks_have_left_is_used)
{
    char *before = arena_take(&arena, 464);

    cr_assert_not_null(arena_take(&arena, 896));
    cr_assert_eq((char *)arena_take(&arena, 512), before + 464);
    cr_assert_eq(arena_bytes(&arena), 2 * 1024);
}

Test(arena, a_large_piece_first_does_not_spoil_small_ones)
{
    char *large = arena_take(&arena, 100000);
    char *small = arena_take(&arena, 10);

    memset(large, 1, 100000);
    memset(small, 2, 10);
    cr_assert_eq(large[99999], 1);
    cr_assert_not_null(arena_take(&arena, 16384 - 16));
}

#endif
