#include "../../../src/proto/names.h"

#include "codec.h"

/* Tool names on the wire and back. */

static struct kit kit;
static struct ir_tape tape;
static struct names names;

static void open_kit(void)
{
    kit_open(&kit);
    ir_tape_init(&tape, kit.mem);
}

static void close_kit(void)
{
    ir_tape_clear(&tape);
    kit_close(&kit);
}

TestSuite(names, .init = open_kit, .fini = close_kit);

static enum r2a_err build(const char *lines, struct names_rules rules)
{
    ir_tape_clear(&tape);
    cr_assert(kit_put_lines(&kit, slice_from_z(lines), &tape.sink));
    return names_build(&names, &tape, rules, &kit.brief, &kit.fault);
}

#define CHAT ((struct names_rules){.form = NAMES_OC, .wraps_custom = true, .flattens_spaces = true})
#define GEMINI \
    ((struct names_rules){.form = NAMES_GG, .wraps_custom = true, .flattens_spaces = true})

static struct slice wire(const char *name, const char *space)
{
    return names_wire(&names, text_plain(slice_from_z(name)), text_plain(slice_from_z(space)));
}

Test(names, names_that_fit_need_no_table)
{
    cr_assert_eq(build("TOOL json name=plain\"get_weather\"\nTOOL_END\n", CHAT), R2A_OK);
    cr_expect(slice_eq(wire("get_weather", ""), S("get_weather")));
    cr_expect_eq(kit.brief.names_count, 0u);
    cr_expect_eq(names_count_functions(&names), 1u);
}

Test(names, regression_34_illegal_names_are_fitted_and_mapped_back)
{
    const struct brief_name *back;
    struct slice fitted;

    cr_assert_eq(build("TOOL json name=plain\"9-lives\"\nTOOL_END\n"
                       "TOOL json name=plain\"a b\"\nTOOL_END\n",
                       GEMINI),
                 R2A_OK);
    fitted = wire("9-lives", "");
    cr_expect(str_starts(fitted, S("_9-lives_")), "%.*s", (int)fitted.len, fitted.ptr);
    cr_expect_eq(kit.brief.names_count, 2u);
    back = brief_name_of(&kit.brief, text_plain(fitted));
    cr_assert_not_null(back);
    cr_expect(text_is(back->client, S("9-lives")));
    fitted = wire("a b", "");
    cr_expect(str_starts(fitted, S("a_b_")));
    cr_expect_eq(fitted.len, 12u);
}

Test(names, long_names_are_cut_and_stay_apart)
{
    char a[201], b[201], lines[1024];
    struct slice wires[2];

    memset(a, 'x', 200);
    memset(b, 'x', 200);
    a[199] = 'a';
    a[200] = b[200] = '\0';
    snprintf(lines, sizeof(lines),
             "TOOL json name=plain\"%s\"\nTOOL_END\nTOOL json name=plain\"%s\"\n"
             "TOOL_END\n",
             a, b);
    cr_assert_eq(build(lines, CHAT), R2A_OK);
    wires[0] = wire(a, "");
    wires[1] = wire(b, "");
    cr_expect_eq(wires[0].len, 64u);
    cr_expect_eq(wires[1].len, 64u);
    cr_expect(!slice_eq(wires[0], wires[1]));
}

Test(names, of_two_definitions_the_last_counts)
{
    cr_assert_eq(build("TOOL json name=plain\"f\"\nTOOL_END\n"
                       "TOOL json name=escaped\"\\u0066\"\nTOOL_END\n",
                       CHAT),
                 R2A_OK);
    cr_expect(names.tools[0].is_dropped);
    cr_expect(!names.tools[1].is_dropped);
    cr_expect_eq(names_count_functions(&names), 1u);
}

Test(names, namespaces_are_flattened)
{
    const struct brief_name *back;

    cr_assert_eq(build("TOOL json name=plain\"ls\"\nFIELD namespace plain\"fs\"\nTOOL_END\n"
                       "TOOL json name=plain\"ls\"\nFIELD namespace plain\"functions\"\n"
                       "TOOL_END\nTOOL json name=plain\"fs__ls\"\nTOOL_END\n",
                       CHAT),
                 R2A_OK);
    cr_expect(slice_eq(wire("ls", "fs"), S("fs__ls")));
    cr_expect(slice_eq(wire("ls", "functions"), S("ls")));
    cr_expect(str_starts(wire("fs__ls", ""), S("fs__ls_")), "a collision gets a suffix");
    back = brief_name_of(&kit.brief, text_plain(S("fs__ls")));
    cr_assert_not_null(back);
    cr_expect(text_is(back->client, S("ls")));
    cr_expect(text_is(back->space, S("fs")));
}

Test(names, custom_tools_are_remembered)
{
    const struct brief_name *back;

    cr_assert_eq(build("TOOL custom name=plain\"sql\"\nTOOL_END\n", CHAT), R2A_OK);
    cr_expect(names.tools[0].is_wrapped);
    back = brief_name_of(&kit.brief, text_plain(S("sql")));
    cr_assert_not_null(back);
    cr_expect(back->is_custom);
    cr_assert_eq(
        build("TOOL custom name=plain\"sql\"\nTOOL_END\n", (struct names_rules){.form = NAMES_OR}),
        R2A_OK);
    cr_expect(!names.tools[0].is_wrapped);
    cr_expect_eq(kit.brief.names_count, 0u);
}

Test(names, names_of_the_history_are_fitted_like_any_other)
{
    cr_assert_eq(build("", CHAT), R2A_OK);
    cr_expect(slice_eq(wire("gone", ""), S("gone")));
    cr_expect(str_starts(wire("go ne", ""), S("go_ne_")));
}

Test(names, too_many_tools_are_refused)
{
    struct ir_event tool = {.kind = IR_TOOL, .u.open.name = text_plain(S("f"))};
    struct ir_event end = {.kind = IR_TOOL_END};

    for (uint32_t i = 0; i <= TOOLS_MAX; i++) {
        cr_assert_eq(ir_put(&tape.sink, &tool), R2A_OK);
        cr_assert_eq(ir_put(&tape.sink, &end), R2A_OK);
    }
    cr_expect_eq(names_build(&names, &tape, CHAT, &kit.brief, &kit.fault), R2A_ERR_INVALID);
    cr_expect(text_is(kit.fault.param, S("tools")));
}
