#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "r2a/core/arena.h"
#include "r2a/core/mem.h"
#include "r2a/json/text.h"
#include "support/guard.h"
#include "support/random.h"
#include "json/events.h"

/* The three ways to hold `plain` (JSON: as the text of a value, so only where it is one). */
static struct text escaped(const char *z)
{
    const size_t len = strlen(z);

    return text_escaped(slice_of(guard_copy(z, len), len));
}

static struct text plain(const char *z)
{
    const size_t len = strlen(z);

    return text_plain(slice_of(guard_copy(z, len), len));
}

Test(json_look, compares_whatever_the_forms)
{
    cr_assert(text_eq(escaped("a\\u0062c"), plain("abc")));
    cr_assert(text_eq(plain("abc"), escaped("a\\u0062c")));
    cr_assert(text_eq(escaped("\\u0061bc"), escaped("ab\\u0063")));
    cr_assert(text_eq(escaped("abc"), escaped("abc")));
    cr_assert(text_eq(text_json(S("{\"a\":1}")), escaped("{\\\"a\\\":1}")));
    cr_assert(text_eq(text_json(S("{\"a\":1}")), plain("{\"a\":1}")));
    cr_assert(text_eq(plain(""), escaped("")));
    cr_assert(text_eq(escaped(""), escaped("")));
    cr_assert_not(text_eq(escaped(""), escaped("a")));
    cr_assert_not(text_eq(escaped("abc"), escaped("ab")));
    cr_assert_not(text_eq(escaped("ab"), escaped("abc")));
    cr_assert_not(text_eq(escaped("a\\nb"), plain("a\\nb")));
    cr_assert_not(text_eq(escaped("a\\nb"), escaped("a\\tb")));
    cr_assert_not(text_eq(plain("abc"), plain("abd")));
    cr_assert_not(text_eq(plain("abc"), plain("abcd")));

    cr_assert(text_is(plain("abc"), S("abc")));
    cr_assert(text_is(escaped("a\\u0062c"), S("abc")));
    cr_assert(text_is(escaped("\\n"), S("\n")));
    cr_assert(text_is(escaped(""), S("")));
    cr_assert_not(text_is(escaped("\\n"), S("\\n")));
    cr_assert_not(text_is(plain("abc"), S("ab")));
    cr_assert_not(text_is(escaped("abc"), S("ab")));
    cr_assert_not(text_is(escaped("ab"), S("abc")));
    cr_assert_not(text_is(escaped("ab"), S("")));
    cr_assert(text_is(text_json(S("null")), S("null")));
}

Test(json_look, ignores_case_in_ascii)
{
    cr_assert(text_is_nocase(plain("ErrOR"), S("error")));
    cr_assert(text_is_nocase(escaped("\\u0045rror"), S("ERROR")));
    cr_assert_not(text_is_nocase(plain("error:"), S("error")));
    cr_assert_not(text_is_nocase(plain("erro"), S("error")));
    cr_assert_not(text_is_nocase(plain("[\\]"), S("{|}")));
    cr_assert_not(text_is_nocase(plain("\xc3\x89"), S("\xc3\xa9")));
    cr_assert(text_starts(escaped("\\u0045rror: x"), S("Error")));
    cr_assert_not(text_starts(escaped("Error"), S("error")));
    cr_assert(text_starts(plain("x"), S("")));
    cr_assert(text_starts(plain(""), S("")));
    cr_assert_not(text_starts(plain("Err"), S("Error")));
    cr_assert(text_starts_nocase(escaped("\\u0045RROR: x"), S("error")));
    cr_assert_not(text_starts_nocase(escaped("\\n error"), S("error")));
}

Test(json_look, finds_inside)
{
    cr_assert(text_contains_nocase(plain("Maximum context length"), S("context")));
    cr_assert(text_contains_nocase(plain("aaab"), S("aab")));
    cr_assert(text_contains_nocase(plain("xCONTEXT"), S("context")));
    cr_assert(text_contains_nocase(escaped("x con\\u0054ext"), S("context")));
    cr_assert(text_contains_nocase(escaped("\\ud83d\\ude00\\nlong"), S("\nlong")));
    cr_assert(text_contains_nocase(escaped("\\\\nope"), S("\\nope")));
    cr_assert(text_contains_nocase(plain("x"), S("")));
    cr_assert(text_contains_nocase(plain(""), S("")));
    cr_assert_not(text_contains_nocase(escaped("a\\nope"), S("nope")));
    cr_assert_not(text_contains_nocase(escaped("\\u0041"), S("u0041")));
    cr_assert_not(text_contains_nocase(plain("contex"), S("context")));
    cr_assert_not(text_contains_nocase(plain(""), S("a")));
}

Test(json_look, measures_and_decodes)
{
    struct mem_budget budget = {0};
    struct arena arena = {.mem = mem_open(&budget, 1 << 20)};
    const struct text text = escaped("caf\\u00e9 \\ud83d\\ude00 \\ud83d!\\n");
    const struct slice want = S("caf\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbd!\n");
    struct slice got;
    char buf[64];

    cr_assert_eq(text_plain_len(text), want.len);
    cr_assert_eq(text_decode(text, buf, sizeof buf), (int64_t)want.len);
    cr_assert(slice_eq(slice_of(buf, want.len), want));
    for (size_t size = 0; size < want.len; size++) {
        char *const small = guard_take(size);

        cr_assert_eq(text_decode(text, small, size), -1);
        guard_free(small, size);
    }
    cr_assert_eq(text_decode(text, buf, want.len), (int64_t)want.len);
    cr_assert_eq(text_decode(plain(""), NULL, 0), 0);
    cr_assert(text_to_plain(text, &arena, &got));
    cr_assert(slice_eq(got, want));
    cr_assert(text_to_plain(plain("a\\n"), &arena, &got));
    cr_assert(slice_eq(got, S("a\\n")));
    {
        const struct text same = escaped("nothing to decode");

        cr_assert(text_to_plain(same, &arena, &got));
        cr_assert_eq(got.ptr, same.ptr);
        cr_assert_eq(got.len, same.len);
    }
    cr_assert_eq(text_hash(plain("")), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(text_hash(plain("foobar")), UINT64_C(0x85944171f73967e8));
    cr_assert_eq(text_hash(escaped("foo\\u0062ar")), UINT64_C(0x85944171f73967e8));
    arena_reset(&arena);
    mem_close(arena.mem);
}

Test(json_look, knows_blank_text)
{
    cr_assert(text_is_blank(plain("")));
    cr_assert(text_is_blank(plain(" \t\r\n")));
    cr_assert(text_is_blank(escaped("\\n\\t \\r\\u0020\\u000A")));
    cr_assert_not(text_is_blank(plain("\\n")));
    cr_assert_not(text_is_blank(escaped("\\n\\\\n")));
    cr_assert_not(text_is_blank(escaped("\\u00a0")));
    cr_assert_not(text_is_blank(escaped("\\f")));
}

/* Longer than what is looked at in one step, with and without escapes. */
Test(json_look, long_texts_are_read_in_steps)
{
    static char spaces[1000], word[1000];
    struct text text;

    memset(spaces, ' ', sizeof(spaces));
    memset(word, 'a', sizeof(word));
    cr_assert(text_is_blank(text_escaped(slice_of(spaces, sizeof(spaces)))));
    cr_assert_eq(text_trim(text_plain(slice_of(spaces, sizeof(spaces)))).len, 0);
    cr_assert(text_starts(text_escaped(slice_of(word, 1000)), slice_of(word, 999)));
    cr_assert(text_eq(text_escaped(slice_of(word, 1000)), text_plain(slice_of(word, 1000))));
    cr_assert_not(text_eq(text_escaped(slice_of(word, 999)), text_escaped(slice_of(word, 1000))));
    word[600] = ' ';
    cr_assert_eq(text_trim(text_escaped(slice_of(word, 1000))).len, 1000);
    spaces[700] = 'x';
    text = text_trim(text_escaped(slice_of(spaces, sizeof(spaces))));
    cr_assert(slice_eq(text_bytes(text), S("x")));
    memcpy(word + 510, "\\u0061", 6);
    cr_assert_eq(text_plain_len(text_escaped(slice_of(word, 1000))), 995);
}

Test(json_look, trims_both_ends)
{
    static const struct {
        const char *text;
        bool is_escaped;
        const char *trimmed;
        const char *end_trimmed;
    } cases[] = {
        {"", true, "", ""},
        {"  ", false, "", ""},
        {" \\n\\t\\r\\u0020 ", true, "", ""},
        {"a", true, "a", "a"},
        {" a b \n", false, "a b", " a b"},
        {"\\n a\\n b\\n ", true, "a\\n b", "\\n a\\n b"},
        {"\\u0009a\\u000a\\u000D", true, "a", "\\u0009a"},
        {"a\\\\n", true, "a\\\\n", "a\\\\n"},
        {"a\\\\\\n", true, "a\\\\", "a\\\\"},
        {"a\\\\u0020", true, "a\\\\u0020", "a\\\\u0020"},
        {"a\\\\\\u0020", true, "a\\\\", "a\\\\"},
        {"\\n\\u00e9\\n", true, "\\u00e9", "\\n\\u00e9"},
        {"\\n\\\"\\n", true, "\\\"", "\\n\\\""},
        {"\\n", false, "\\n", "\\n"},
        {"n", true, "n", "n"},
        {"\\u0120", true, "\\u0120", "\\u0120"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text text = cases[i].is_escaped ? escaped(cases[i].text) : plain(cases[i].text);
        const struct text trimmed = text_trim(text);
        const struct text end_trimmed = text_trim_end(text);

        cr_assert(slice_eq(text_bytes(trimmed), slice_from_z(cases[i].trimmed)), "%s",
                  cases[i].text);
        cr_assert(slice_eq(text_bytes(end_trimmed), slice_from_z(cases[i].end_trimmed)), "%s",
                  cases[i].text);
        cr_assert_eq(trimmed.form, text.form);
    }
}

/* --- kinds --- */

/* Escapes every byte that may be, most of them needlessly. */
static struct text escape_all(struct slice plain_text, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < plain_text.len; i++) {
        if ((uint8_t)plain_text.ptr[i] >= 0x80)
            out[len++] = plain_text.ptr[i];
        else
            len += (size_t)snprintf(out + len, 8, "\\u%04x", (uint8_t)plain_text.ptr[i]);
    }
    return text_escaped(slice_of(out, len));
}

Test(json_look, says_what_a_string_holds)
{
    static const struct {
        const char *text;
        enum text_json_kind kind;
    } cases[] = {
        {"", TEXT_IS_EMPTY},
        {" \n\t\r", TEXT_IS_EMPTY},
        {"{}", TEXT_IS_OBJECT},
        {" {\"city\":\"Paris\\n\",\"days\":[1,2,{}]} ", TEXT_IS_OBJECT},
        {"[]", TEXT_IS_ARRAY},
        {"[1]\n", TEXT_IS_ARRAY},
        {"\"x\"", TEXT_IS_SCALAR},
        {"\"\"", TEXT_IS_SCALAR},
        {"-1.5e3", TEXT_IS_SCALAR},
        {"0", TEXT_IS_SCALAR},
        {"true", TEXT_IS_SCALAR},
        {"false", TEXT_IS_SCALAR},
        {" null ", TEXT_IS_SCALAR},
        {"{", TEXT_NOT_JSON},
        {"{\"a\":}", TEXT_NOT_JSON},
        {"{} {}", TEXT_NOT_JSON},
        {"{\"a\":1,}", TEXT_NOT_JSON},
        {"hello", TEXT_NOT_JSON},
        {"}", TEXT_NOT_JSON},
        {"\"", TEXT_NOT_JSON},
        {"\\", TEXT_NOT_JSON},
        {"\"\\x\"", TEXT_NOT_JSON},
        {"01", TEXT_NOT_JSON},
        {"nul", TEXT_NOT_JSON},
        {"\x01", TEXT_NOT_JSON},
        {"\"\xff\"", TEXT_NOT_JSON},
    };
    char out[1024];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct slice text = slice_from_z(cases[i].text);

        cr_assert_eq(text_json_kind(plain(cases[i].text)), cases[i].kind, "%s", cases[i].text);
        if (strchr(cases[i].text, '\xff') == NULL)
            cr_assert_eq(text_json_kind(escape_all(text, out)), cases[i].kind, "%s", cases[i].text);
        if (strpbrk(cases[i].text, "\"\\\x01\n\t") == NULL)
            cr_assert_eq(text_json_kind(text_escaped(text)), cases[i].kind, "%s", cases[i].text);
        cr_assert_eq(text_json_kind(text_json(text)), cases[i].kind, "%s", cases[i].text);
    }
    /* a control character may not stand in a string of the value, however it was escaped outside */
    cr_assert_eq(text_json_kind(escaped("\\\"a\\nb\\\"")), TEXT_NOT_JSON);
    cr_assert_eq(text_json_kind(escaped("\\\"a\\\\nb\\\"")), TEXT_IS_SCALAR);
    cr_assert_eq(text_json_kind(escaped("\\\"\\ud83d\\\"")), TEXT_IS_SCALAR);
    cr_assert_eq(text_json_kind(escaped("\\\"\\\\\\ud83d\\\"")), TEXT_NOT_JSON);
}

Test(json_look, agrees_with_the_scanner_on_long_strings)
{
    static char text[4000], out[30000];
    struct random random = {9};

    for (int round = 0; round < 200; round++) {
        const size_t fill = random_between(&random, 0, 1500);
        const size_t tail = random_between(&random, 0, 300);
        const size_t len = fill + tail + 12;
        struct events events;
        enum text_json_kind kind;

        memcpy(text, "{\"a\":\"", 6);
        memset(text + 6, 'x', fill);
        memcpy(text + 6 + fill, "\\n\xe2\x82\xac\"", 6);
        memset(text + 12 + fill, ' ', tail);
        text[len - 1] = '}';
        if (round % 2 == 1)
            text[random_between(&random, 0, len - 1)] = (char)random_between(&random, 0, 127);
        events = events_whole(slice_of(text, len));
        kind = text_json_kind(escape_all(slice_of(text, len), out));
        cr_assert_eq(kind == TEXT_NOT_JSON, strstr(events.line, "error(") != NULL);
        cr_assert_eq(kind, text_json_kind(text_plain(slice_of(text, len))));
        events_free(&events);
    }
}

Test(json_look, bounds_the_depth_of_what_a_string_holds)
{
    char text[400], out[3000];

    for (size_t depth = 120; depth < 140; depth++) {
        const enum text_json_kind want = depth <= JSON_DEPTH_MAX ? TEXT_IS_ARRAY : TEXT_NOT_JSON;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        cr_assert_eq(text_json_kind(text_plain(slice_of(text, 2 * depth))), want);
        cr_assert_eq(text_json_kind(escape_all(slice_of(text, 2 * depth), out)), want);
    }
}
