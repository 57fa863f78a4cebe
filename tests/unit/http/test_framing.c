#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/framing.h"

Test(framing, has_a_row_for_every_id)
{
    for (int id = 0; id < FRAMING_COUNT; id++) {
        const struct framing *framing = framing_row((enum framing_id)id);

        cr_assert_not_null(framing);
        cr_assert(framing->size > 0 && framing->init != NULL && framing->feed != NULL &&
                  framing->finish != NULL && framing->free != NULL);
        cr_assert_eq(framing_find(framing->name), framing);
    }
    cr_assert_eq(framing_row(FRAMING_SSE), &framing_sse);
    cr_assert_null(framing_find(S("none")));
}

Test(framing, loses_no_byte_to_an_empty_call)
{
    const struct slice text = S("data: a\n\n");

    for (int id = 0; id < FRAMING_COUNT; id++) {
        const struct framing *framing = framing_row((enum framing_id)id);
        struct mem_budget budget = {0};
        struct mem *mem = mem_open(&budget, 1 << 20);
        _Alignas(16) char state[512];
        struct frame frame;

        cr_assert_leq(framing->size, sizeof(state));
        framing->init(state, mem, 4096);
        cr_assert_eq(framing->feed(state, slice_head(text, 0), &frame), 0);
        cr_assert_eq(framing->feed(state, (struct slice){NULL, 0}, &frame), 0);
        framing->free(state);
        cr_assert_eq(budget.used, 0);
        mem_close(mem);
    }
}
