#include <criterion/criterion.h>

#include "r2a/ir/fault.h"
#include "r2a/ir/grammar.h"

/* A sequence in shorthand: one letter an event. */
static const char *feed(bool is_request, const char *letters)
{
    static const struct fault fault = {.kind = FAULT_SERVER};
    static const struct {
        char letter;
        struct ir_event event;
    } rows[] = {
        {'B', {.kind = IR_BEGIN}},
        {'E', {.kind = IR_END}},
        {'P', {.kind = IR_PARAM, .what = IR_PARAM_SEED}},
        {'O', {.kind = IR_TOOL}},
        {'o', {.kind = IR_TOOL_END}},
        {'U', {.kind = IR_TURN, .what = IR_ROLE_USER}},
        {'A', {.kind = IR_TURN, .what = IR_ROLE_ASSISTANT}},
        {'u', {.kind = IR_TURN_END}},
        {'0', {.kind = IR_PART, .what = IR_PART_TEXT, .part = 0}},
        {'1', {.kind = IR_PART, .what = IR_PART_TEXT, .part = 1}},
        {'R', {.kind = IR_PART, .what = IR_PART_RESULT, .part = 0}},
        {'Z', {.kind = IR_PART, .what = IR_PART_TEXT, .part = 0, .choice = 1}},
        {'f', {.kind = IR_FIELD, .what = IR_FIELD_MIME}},
        {'s', {.kind = IR_FIELD, .what = IR_FIELD_SEAL, .u.field.number = IR_SEAL_THOUGHT}},
        {'t', {.kind = IR_TEXT, .part = 0}},
        {'T', {.kind = IR_TEXT, .part = 1}},
        {'x', {.kind = IR_PART_END, .part = 0}},
        {'X', {.kind = IR_PART_END, .part = 1}},
        {'z', {.kind = IR_PART_END, .part = 0, .choice = 1}},
        {'!', {.kind = IR_STOP}},
        {'i', {.kind = IR_STOP, .choice = 1}},
        {'c', {.kind = IR_CITE}},
        {'l', {.kind = IR_LOGPROBS}},
        {'a', {.kind = IR_ALIVE}},
        {'$', {.kind = IR_USAGE}},
        {'e', {.kind = IR_ERROR, .u.fault = &fault}},
        {'?', {.kind = IR_EXT}},
    };
    struct ir_grammar grammar;

    if (is_request)
        ir_grammar_request(&grammar, NULL, false);
    else
        ir_grammar_response(&grammar, NULL, false);
    for (; *letters != '\0'; letters++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (rows[i].letter == *letters && ir_put(&grammar.sink, &rows[i].event) != R2A_OK)
                return grammar.what_is_wrong;
    return NULL;
}

static void legal(bool is_request, const char *letters)
{
    const char *wrong = feed(is_request, letters);

    cr_assert_null(wrong, "%s: %s", letters, wrong != NULL ? wrong : "");
}

static void illegal(bool is_request, const char *letters, const char *why)
{
    const char *wrong = feed(is_request, letters);

    cr_assert_not_null(wrong, "%s passed", letters);
    cr_assert_str_eq(wrong, why, "%s: %s", letters, wrong);
}

Test(grammar, accepts_requests)
{
    legal(true, "BE");
    legal(true, "B?PPOffoOoUf0fttsx1TXuAuE");
    legal(true, "BUR0tx1TXxuE");
    legal(true, "BURxuE");
}

Test(grammar, refuses_requests_in_disorder)
{
    illegal(true, "P", "BEGIN comes first");
    illegal(true, "BB", "second BEGIN");
    illegal(true, "BOoP", "PARAM after tools or turns");
    illegal(true, "BUuO", "TOOL inside a tool or after turns");
    illegal(true, "BU1", "part numbers have a gap");
    illegal(true, "BU0x0", "part numbers have a gap");
    illegal(true, "BU00", "this part holds no parts");
    illegal(true, "BAR", "RESULT outside a user turn");
    illegal(true, "BURt", "this part takes no TEXT");
    illegal(true, "BU0tf", "FIELD after the body");
    illegal(true, "BU0xuf", "outside a part");
    illegal(true, "BU0xf", "FIELD of a turn after its parts");
    illegal(true, "BU0u", "TURN_END outside a turn or inside a part");
    illegal(true, "BU0T", "not the number of the open part");
    illegal(true, "BUE", "END inside a tool or turn");
    illegal(true, "BE?", "something follows the end");
    illegal(true, "B!", "not an event of a request");
}

Test(grammar, accepts_responses)
{
    legal(false, "Bff0tx!E");
    legal(false, "a$aBf$0ft1TatcsXlx!$E");
    legal(false, "B0Ztx!zi$E");
    legal(false, "B!E");
    legal(false, "e");
    legal(false, "B0te");
}

Test(grammar, refuses_responses_in_disorder)
{
    illegal(false, "0", "BEGIN comes first");
    illegal(false, "f", "BEGIN comes first");
    illegal(false, "BB", "second BEGIN");
    illegal(false, "B1", "part numbers have a gap");
    illegal(false, "Bt", "no such part");
    illegal(false, "B0xt", "the part is closed");
    illegal(false, "B0tf", "FIELD after TEXT");
    illegal(false, "B0!", "STOP with an open part");
    illegal(false, "B!!", "second STOP");
    illegal(false, "B0x!1", "the choice has stopped");
    illegal(false, "B0x!t", "the choice has stopped");
    illegal(false, "B0xE", "END before STOP");
    illegal(false, "BE", "END without STOP");
    illegal(false, "BZz!E", "END before STOP");
    illegal(false, "B!Ea", "something follows the end");
    illegal(false, "ea", "something follows the end");
    illegal(false, "BP", "not an event of a response");
}

Test(grammar, passes_events_on)
{
    struct ir_grammar first, second;

    ir_grammar_response(&second, NULL, false);
    ir_grammar_response(&first, &second.sink, false);
    cr_assert_eq(ir_put(&first.sink, &(struct ir_event){.kind = IR_BEGIN}), R2A_OK);
    cr_assert_eq(ir_put(&second.sink, &(struct ir_event){.kind = IR_BEGIN}), R2A_ERR_INTERNAL);
    cr_assert_str_eq(second.what_is_wrong, "second BEGIN");
}
