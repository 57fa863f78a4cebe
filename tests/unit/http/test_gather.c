#include <criterion/criterion.h>

#include "r2a/http/gather.h"

static struct mem_budget budget;
static struct mem *mem;

static void set_up(void)
{
    budget = (struct mem_budget){0};
    mem = mem_open(&budget, 1 << 22);
}

static void tear_down(void)
{
    mem_close(mem);
}

TestSuite(gather, .init = set_up, .fini = tear_down);

Test(gather, keeps_bytes_while_it_grows)
{
    struct gather gather = {0};

    for (uint32_t i = 0; i < 200000; i++) {
        char byte = (char)(i % 251);

        cr_assert_eq(gather_put(&gather, mem, slice_of(&byte, 1), 1 << 20), R2A_OK);
    }
    cr_assert_eq(gather.len, 200000);
    for (uint32_t i = 0; i < 200000; i++)
        cr_assert_eq(gather.ptr[i], (char)(i % 251));
    gather_free(&gather, mem);
    cr_assert_eq(budget.used, 0);
    cr_assert_null(gather.ptr);
    gather_free(&gather, mem);
}

Test(gather, stops_at_its_bound)
{
    static char bytes[1000];
    struct gather gather = {0};

    cr_assert_eq(gather_put(&gather, mem, slice_of(bytes, 1000), 1001), R2A_OK);
    cr_assert_eq(gather_put(&gather, mem, S("ab"), 1001), R2A_ERR_FRAME_LIMIT);
    cr_assert_eq(gather.len, 1000);
    cr_assert_eq(gather_put(&gather, mem, S("a"), 1001), R2A_OK);
    cr_assert_eq(gather_put(&gather, mem, S(""), 1001), R2A_OK);
    cr_assert_eq(gather_put(&gather, mem, S("a"), 1001), R2A_ERR_FRAME_LIMIT);
    cr_assert_eq(gather_reserve(&gather, mem, SIZE_MAX, 1001), R2A_ERR_FRAME_LIMIT);
    gather_free(&gather, mem);
}

Test(gather, keeps_what_it_has_when_memory_is_used_up)
{
    struct gather gather = {0};

    cr_assert_eq(gather_put(&gather, mem, S("abc"), 1 << 20), R2A_OK);
    budget.limit = 1024;
    cr_assert_eq(gather_reserve(&gather, mem, 1 << 16, 1 << 20), R2A_ERR_NO_MEMORY);
    cr_assert_eq(gather.len, 3);
    cr_assert_eq(memcmp(gather.ptr, "abc", 3), 0);
    gather_free(&gather, mem);
}
