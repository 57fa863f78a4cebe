#include <criterion/criterion.h>

#include "r2a/core/mem.h"
#include "r2a/ir/tape.h"
#include "r2a/limits.h"

Test(tape, keeps_events_in_order_and_gives_its_memory_back)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 64u << 20);
    struct ir_tape tape;
    uint64_t before;

    mem_give(mem, mem_take(mem, 100), 100);
    before = budget.used;
    ir_tape_init(&tape, mem);
    cr_assert_eq(tape.count, 0);
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(ir_put(&tape.sink, &(struct ir_event){.kind = IR_TEXT, .part = i}), R2A_OK);
    cr_assert_eq(tape.count, 10000);
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(tape.events[i].part, i);
    ir_tape_clear(&tape);
    cr_assert_eq(tape.count, 0);
    cr_assert_null(tape.events);
    cr_assert_eq(budget.used, before);
    mem_close(mem);
}

Test(tape, holds_the_most_events_and_not_one_more)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 64u << 20);
    struct ir_tape tape;

    ir_tape_init(&tape, mem);
    for (uint32_t i = 0; i < TAPE_EVENTS_MAX; i++)
        cr_assert_eq(ir_put(&tape.sink, &(struct ir_event){.kind = IR_TEXT}), R2A_OK);
    cr_assert_eq(ir_put(&tape.sink, &(struct ir_event){.kind = IR_END}), R2A_ERR_LIMIT);
    cr_assert_eq(tape.count, TAPE_EVENTS_MAX);
    ir_tape_clear(&tape);
    mem_close(mem);
}

Test(tape, says_when_the_budget_is_used_up)
{
    struct mem_budget budget = {.limit = 65536};
    struct mem *mem = mem_open(&budget, 1u << 20);
    struct ir_tape tape;
    enum r2a_err err = R2A_OK;

    ir_tape_init(&tape, mem);
    for (uint32_t i = 0; i < 10000 && err == R2A_OK; i++)
        err = ir_put(&tape.sink, &(struct ir_event){.kind = IR_TEXT});
    cr_assert_eq(err, R2A_ERR_NO_MEMORY);
    ir_tape_clear(&tape);
    mem_close(mem);
}
