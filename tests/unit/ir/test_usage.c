#include <criterion/criterion.h>

#include "r2a/ir/event.h"
#include "r2a/ir/fault.h"

Test(usage, the_last_word_counts_and_silence_clears_nothing)
{
    struct ir_usage usage = {0};
    struct ir_usage early = {.has = IR_HAS_INPUT | IR_HAS_CACHE_READ | IR_HAS_OUTPUT,
                             .input = 10,
                             .cache_read = 4,
                             .output = 1};
    struct ir_usage late = {.has = IR_HAS_OUTPUT | IR_HAS_REASONING | IR_HAS_CACHE_WRITE |
                                   IR_HAS_CACHE_WRITE_1H | IR_HAS_TOOL_INPUT,
                            .output = 9,
                            .reasoning = 3,
                            .cache_write = 2,
                            .cache_write_1h = 1,
                            .tool_input = 5};

    ir_usage_merge(&usage, &early);
    ir_usage_merge(&usage, &late);
    cr_assert_eq(usage.has, 0x7f);
    cr_assert_eq(usage.input, 10);
    cr_assert_eq(usage.cache_read, 4);
    cr_assert_eq(usage.output, 9);
    cr_assert_eq(usage.reasoning, 3);
    cr_assert_eq(usage.cache_write, 2);
    cr_assert_eq(usage.cache_write_1h, 1);
    cr_assert_eq(usage.tool_input, 5);
}

Test(fault, every_kind_has_a_row_and_every_phase_a_name)
{
    for (uint32_t i = 0; i < FAULT_KINDS; i++) {
        cr_assert_not_null(fault_rows[i].name);
        cr_assert_not_null(fault_rows[i].openai_type);
        cr_assert_not_null(fault_rows[i].anthropic_type);
        cr_assert_not_null(fault_rows[i].gemini_name);
        cr_assert_geq(fault_rows[i].openai_status, 400);
        cr_assert_geq(fault_rows[i].anthropic_status, 400);
        cr_assert_geq(fault_rows[i].gemini_status, 400);
    }
    for (uint8_t i = 0; i < FAULT_PHASES; i++)
        cr_assert_not_null(fault_phase_name(i));
    cr_assert_str_eq(fault_phase_name(FAULT_PHASE_TLS), "tls");
    cr_assert_str_eq(fault_phase_name(FAULT_PHASES), "?");
}
