#include <criterion/criterion.h>

#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/ir/event.h"
#include "r2a/ir/fault.h"

static struct mem_budget budget;

/* What ir_print writes, for the time of a test. */
static const char *print(const struct ir_event *event)
{
    static char text[1024];
    struct mem *mem = mem_open(&budget, 1 << 16);
    struct rope rope = {.mem = mem};

    ir_print(event, &rope);
    cr_assert_eq(rope.err, R2A_OK);
    cr_assert_lt(rope.bytes, sizeof(text));
    rope_copy_out(&rope, text);
    text[rope.bytes] = '\0';
    rope_clear(&rope);
    mem_close(mem);
    return text;
}

Test(event, every_kind_and_sub_kind_has_a_name)
{
    static const struct {
        uint8_t kind;
        uint8_t count;
    } subs[] = {{IR_PARAM, IR_PARAMS},
                {IR_TOOL, IR_TOOL_SERVER + 1},
                {IR_TURN, IR_ROLE_ASSISTANT + 1},
                {IR_PART, IR_PART_OPAQUE + 1},
                {IR_FIELD, IR_FIELDS},
                {IR_STOP, IR_STOP_OTHER + 1}};

    for (uint8_t kind = 0; kind < IR_KINDS; kind++)
        cr_assert_str_neq(ir_kind_name(kind), "?", "kind %u", kind);
    cr_assert_str_eq(ir_kind_name(IR_KINDS), "?");
    for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++) {
        for (uint8_t what = 0; what < subs[i].count; what++)
            cr_assert_str_neq(ir_what_name(subs[i].kind, what), "?", "%u of %u", what,
                              subs[i].kind);
        cr_assert_str_eq(ir_what_name(subs[i].kind, subs[i].count), "?");
    }
    cr_assert_str_eq(ir_what_name(IR_END, 0), "");
}

Test(event, prints_text_in_the_form_it_has)
{
    struct ir_event event = {
        .kind = IR_TEXT, .part = 3, .u.text = text_escaped(S("caf\\u00e9\\n"))};

    cr_assert_str_eq(print(&event), "TEXT part=3 escaped caf\\u00e9\\n");
    event.u.text = text_plain(S("a\"b\\c\nd\x01é"));
    cr_assert_str_eq(print(&event), "TEXT part=3 plain a\\\"b\\\\c\\nd\\u0001é");
    event.u.text = text_json(S("{\n \"a\":\t1}"));
    event.choice = 2;
    cr_assert_str_eq(print(&event), "TEXT choice=2 part=3 json {  \"a\": 1}");
}

Test(event, prints_parts_with_flags_ids_and_names)
{
    struct ir_event event = {.kind = IR_PART,
                             .what = IR_PART_CALL,
                             .flags = IR_CUSTOM | IR_CACHE_MARK,
                             .part = 1,
                             .u.open = {.id = text_plain(S("c 1")), .name = text_escaped(S("f"))}};

    cr_assert_str_eq(print(&event),
                     "PART call part=1 cache custom id=plain\"c 1\" name=escaped\"f\"");
    event =
        (struct ir_event){.kind = IR_FIELD,
                          .what = IR_FIELD_SEAL,
                          .u.field = {.value = text_escaped(S("x")), .number = IR_SEAL_THOUGHT}};
    cr_assert_str_eq(print(&event), "FIELD seal escaped\"x\" number=103");
    event = (struct ir_event){
        .kind = IR_STOP, .what = IR_STOP_SEQUENCE, .u.open.id = text_escaped(S("END"))};
    cr_assert_str_eq(print(&event), "STOP sequence sequence=escaped\"END\"");
}

Test(event, prints_counters_citations_and_faults)
{
    struct ir_usage usage = {.has = IR_HAS_INPUT | IR_HAS_REASONING, .input = 7, .reasoning = 0};
    struct ir_cite cite = {.url = text_plain(S("u")), .start = 0, .end = -1, .document = -1};
    struct fault fault = fault_of(FAULT_RATE, S("slow \"down\""));
    struct ir_event event = {.kind = IR_USAGE, .u.usage = &usage};

    cr_assert_str_eq(print(&event), "USAGE input=7 reasoning=0");
    event = (struct ir_event){.kind = IR_CITE, .u.cite = &cite};
    cr_assert_str_eq(print(&event), "CITE url=plain\"u\" start=0");
    fault.err = R2A_ERR_TRUNCATED;
    event = (struct ir_event){.kind = IR_ERROR, .u.fault = &fault};
    cr_assert_str_eq(print(&event), "ERROR RATE err=TRUNCATED message=plain\"slow \\\"down\\\"\"");
}
