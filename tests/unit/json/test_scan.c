#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "support/guard.h"
#include "support/random.h"
#include "support/vectors.h"
#include "json/events.h"
#include "json/scalar.h"

/* No part but the last ends inside a unit, and none is empty. A part may end with a high surrogate
 * only when what follows is not its other half. */
static void part_is_safe(const struct json_scan *scan, enum json_token token)
{
    static bool is_after_high;
    size_t cut;

    if (token != JSON_KEY && token != JSON_STRING)
        return;
    if (is_after_high && scan->text.len >= 6 && memcmp(scan->text.ptr, "\\u", 2) == 0)
        cr_assert_not(lex_is_low(lex_unit(scan->text.ptr)));
    is_after_high = false;
    cr_assert_eq(scan->has_escape,
                 scan->text.len > 0 && memchr(scan->text.ptr, '\\', scan->text.len) != NULL);
    if (!scan->is_partial)
        return;
    cr_assert_gt(scan->text.len, 0);
    cut = scan->text.len - text_safe_len(text_escaped(scan->text));
    cr_assert(cut == 0 || cut == 6);
    is_after_high = cut == 6;
}

/* Scans `text` in every way there is and returns the line they agree on. */
static struct events scan_all_ways(struct slice text)
{
    const char *const copy = guard_copy(text.ptr, text.len);
    const struct slice guarded = slice_of(copy, text.len);
    struct events whole = events_whole(guarded);
    struct events other = events_whole_with(guarded, scalar_open, scalar_next);

    cr_assert_str_eq(other.line, whole.line, "the scalar twin");
    events_free(&other);
    other = events_pieces(text, 0, part_is_safe);
    cr_assert_str_eq(other.line, whole.line, "byte by byte");
    events_free(&other);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        other = events_pieces(text, seed * 77, part_is_safe);
        cr_assert_str_eq(other.line, whole.line, "split by seed %d", (int)seed * 77);
        events_free(&other);
    }
    guard_free(copy, text.len);
    return whole;
}

static void expect(struct slice text, const char *line)
{
    struct events events = scan_all_ways(text);

    cr_assert_str_eq(events.line, line, "%.*s", (int)text.len, text.ptr);
    events_free(&events);
}

static bool is_accepted(struct slice text)
{
    struct events events = scan_all_ways(text);
    const bool result = strstr(events.line, "error(") == NULL;

    events_free(&events);
    return result;
}

Test(json_scan, yields_every_token)
{
    expect(S("{}"), "{ } end");
    expect(S("[]"), "[ ] end");
    expect(S(" [ ] \r\n\t"), "[ ] end");
    expect(S("true"), "true end");
    expect(S("  false "), "false end");
    expect(S("null"), "null end");
    expect(S("\"\""), "str() end");
    expect(S("0"), "num(0) end");
    expect(S("-0.5e+10 "), "num(-0.5e+10) end");
    expect(S("{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}"),
           "{ key(a) num(1) key(b) [ true false null ] key(c) { key(d) str(e) } } end");
    expect(S("{ \"a\" : [ 1 , [ ] , { } ] , \"b\" : \"x\" }"),
           "{ key(a) [ num(1) [ ] { } ] key(b) str(x) } end");
    expect(S("[[],[[]],{}]"), "[ [ ] [ [ ] ] { } ] end");
    expect(S("[1,-1,12,1.5,1e5,1E-5,1.25e+05,0,0.0,-0]"),
           "[ num(1) num(-1) num(12) num(1.5) num(1e5) num(1E-5) num(1.25e+05) num(0) num(0.0) "
           "num(-0) ] end");
}

Test(json_scan, keeps_strings_as_written)
{
    expect(S("\"a\\n\\\"b\\\\\\/\\b\\f\\r\\t\""), "str(a\\n\\\"b\\\\\\/\\b\\f\\r\\t)* end");
    expect(S("\"\\u0041\\ud83d\\ude00\""), "str(\\u0041\\ud83d\\ude00)* end");
    expect(S("\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""),
           "str(caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80) end");
    expect(S("{\"mod\\u0065l\":\"\x7f\"}"), "{ key(mod\\u0065l)* str(\x7f) } end");
    /* longer than a block, and than four of them */
    expect(S("\"0123456789abcdef0123456789abcdef\""), "str(0123456789abcdef0123456789abcdef) end");
    expect(
        S("\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\\n"
          "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""),
        "str(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\\n"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef)* end");
}

Test(json_scan, keeps_lone_surrogates)
{
    expect(S("\"\\ud83d\""), "str(\\ud83d)* end");
    expect(S("\"\\ude00x\""), "str(\\ude00x)* end");
    expect(S("\"\\ud83d\\n\""), "str(\\ud83d\\n)* end");
    expect(S("\"\\ud83dx\\ud83d\\ud83d\\ude00\\ud83d\\u0041\""),
           "str(\\ud83dx\\ud83d\\ud83d\\ude00\\ud83d\\u0041)* end");
    expect(S("\"\\ud83d\xe2\x82\xac\""), "str(\\ud83d\xe2\x82\xac)* end");
    expect(S("\"\\ud83d\\\\\\ud83d\\\"\""), "str(\\ud83d\\\\\\ud83d\\\")* end");
}

Test(json_scan, says_what_is_wrong_and_where)
{
    static const struct {
        struct slice text;
        enum r2a_err err;
        uint64_t offset;
    } cases[] = {
        {S_INIT(""), R2A_ERR_JSON_END, 0},
        {S_INIT("  "), R2A_ERR_JSON_END, 2},
        {S_INIT("{"), R2A_ERR_JSON_END, 1},
        {S_INIT("{\"a\""), R2A_ERR_JSON_END, 4},
        {S_INIT("{\"a\":"), R2A_ERR_JSON_END, 5},
        {S_INIT("{\"a\":1"), R2A_ERR_JSON_END, 6},
        {S_INIT("{\"a\":1,"), R2A_ERR_JSON_END, 7},
        {S_INIT("[1"), R2A_ERR_JSON_END, 2},
        {S_INIT("[1,"), R2A_ERR_JSON_END, 3},
        {S_INIT("\"abc"), R2A_ERR_JSON_END, 4},
        {S_INIT("\"abc\\"), R2A_ERR_JSON_END, 5},
        {S_INIT("\"\\u00"), R2A_ERR_JSON_END, 5},
        {S_INIT("\"\\ud83d\\u"), R2A_ERR_JSON_END, 9},
        {S_INIT("\"\xe2\x82"), R2A_ERR_JSON_END, 3},
        {S_INIT("tru"), R2A_ERR_JSON_END, 3},
        {S_INIT("-"), R2A_ERR_JSON_END, 1},
        {S_INIT("1."), R2A_ERR_JSON_END, 2},
        {S_INIT("1e"), R2A_ERR_JSON_END, 2},
        {S_INIT("1e+"), R2A_ERR_JSON_END, 3},
        {S_INIT("}"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("[1,]"), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("[,1]"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("[1 2]"), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("[1}"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("{\"a\":1,}"), R2A_ERR_JSON_SYNTAX, 7},
        {S_INIT("{\"a\" 1}"), R2A_ERR_JSON_SYNTAX, 5},
        {S_INIT("{\"a\":1]"), R2A_ERR_JSON_SYNTAX, 6},
        {S_INIT("{\"a\":}"), R2A_ERR_JSON_SYNTAX, 5},
        {S_INIT("{a:1}"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("{1:1}"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("{'a':1}"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("1 2"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("{}{}"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("01"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("-01"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("-a"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("+1"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT(".5"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("1.x"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("1.e5"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("[1ea]"), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("[1e+]"), R2A_ERR_JSON_SYNTAX, 4},
        {S_INIT("1a"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("NaN"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("trux"), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("truee"), R2A_ERR_JSON_SYNTAX, 4},
        {S_INIT("[nul]"), R2A_ERR_JSON_SYNTAX, 4},
        {S_INIT("True"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("\"a\x01\""), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("\"a\n\""), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("\"a\0\""), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("\"\\x41\""), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("\"\\u00g0\""), R2A_ERR_JSON_SYNTAX, 5},
        {S_INIT("\"\\u 041\""), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("\"\\ud83d\\x\""), R2A_ERR_JSON_SYNTAX, 8},
        {S_INIT("\"\\ud83d\\u00x\""), R2A_ERR_JSON_SYNTAX, 11},
        {S_INIT("\"\\ud83d\x01\""), R2A_ERR_JSON_SYNTAX, 7},
        {S_INIT("\"\\ud83d\xdcude00\""), R2A_ERR_JSON_UTF8, 7},
        {S_INIT("\xef\xbb\xbf{}"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("[\xc2\xa0]"), R2A_ERR_JSON_SYNTAX, 1},
        {S_INIT("[1\x0c]"), R2A_ERR_JSON_SYNTAX, 2},
        {S_INIT("[1,\0]"), R2A_ERR_JSON_SYNTAX, 3},
        {S_INIT("/**/1"), R2A_ERR_JSON_SYNTAX, 0},
        {S_INIT("\"a\x80\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xff\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xc3\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xc0\xaf\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xe0\x80\x80\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xe0\x9f\xbf\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xed\xa0\x80\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xf0\x8f\xbf\xbf\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xf4\x90\x80\x80\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xf5\x80\x80\x80\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xe2\x82\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xe2\x28\xa1\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"a\xf0\x9f\x98x\""), R2A_ERR_JSON_UTF8, 2},
        {S_INIT("\"\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xed\xb0\x80\xe2\x82\xac\""),
         R2A_ERR_JSON_UTF8, 12},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct events events = scan_all_ways(cases[i].text);
        char error[64];

        (void)snprintf(error, sizeof error, "error(%d at %d)", (int)cases[i].err,
                       (int)cases[i].offset);
        cr_assert_not_null(strstr(events.line, error), "%.*s: %s", (int)cases[i].text.len,
                           cases[i].text.ptr, events.line);
        events_free(&events);
    }
}

Test(json_scan, accepts_the_edges_of_utf8)
{
    static const char *const good[] = {
        "\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",     "\xed\x9f\xbf",
        "\xee\x80\x80",     "\xef\xbf\xbf",     "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        "\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[64];

        for (int pad = 0; pad < 20; pad++) {
            const int len = snprintf(text, sizeof text, "\"%*s%s%s\"", pad, "", good[i], good[i]);

            cr_assert(is_accepted(slice_of(text, (size_t)len)), "%s", text);
        }
    }
}

/* Every sequence of two bytes, and every one of three with a fixed last, against a plain rule. */
Test(json_scan, agrees_with_a_plain_utf8_rule)
{
    for (uint32_t a = 0x80; a < 0x100; a++) {
        for (uint32_t b = 0x20; b < 0x100; b++) {
            const char text[] = {'"', (char)a, (char)b, (char)0x80, 'x', '"'};
            const bool two = a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf;
            const bool three = a >= 0xe0 && a <= 0xef && b >= 0x80 && b <= 0xbf &&
                               (a != 0xe0 || b >= 0xa0) && (a != 0xed || b <= 0x9f);
            struct events whole = events_whole(slice_of(text, sizeof text));
            struct events other =
                events_whole_with(slice_of(text, sizeof text), scalar_open, scalar_next);

            cr_assert_eq(strstr(whole.line, "error(") == NULL, three, "%02x %02x", a, b);
            cr_assert_str_eq(whole.line, other.line);
            (void)two; /* its third byte begins nothing */
            events_free(&whole);
            events_free(&other);
        }
    }
}

Test(json_scan, bounds_depth)
{
    char text[600];

    for (uint32_t depth = 1; depth <= 200; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        cr_assert_eq(is_accepted(slice_of(text, 2 * depth)), depth <= JSON_DEPTH_MAX, "%u", depth);
    }
    memset(text, '[', 200);
    {
        struct events events = scan_all_ways(slice_of(text, 200));

        cr_assert_not_null(strstr(events.line, "error(-103 at 128)"), "%s", events.line);
        events_free(&events);
    }
}

Test(json_scan, remembers_the_kind_of_every_level)
{
    char text[JSON_DEPTH_MAX * 8];
    char close[JSON_DEPTH_MAX];
    struct random random = {7};

    for (int round = 0; round < 200; round++) {
        const size_t depth = random_between(&random, 1, JSON_DEPTH_MAX);
        size_t len = 0;

        for (size_t i = 0; i < depth; i++) {
            const bool is_object = random_between(&random, 0, 1) == 1;

            close[i] = is_object ? '}' : ']';
            text[len++] = is_object ? '{' : '[';
            if (is_object) {
                memcpy(text + len, "\"k\":", 4);
                len += 4;
            }
        }
        text[len++] = '1';
        for (size_t i = depth; i-- > 0;)
            text[len++] = close[i];
        cr_assert(is_accepted(slice_of(text, len)), "%.*s", (int)len, text);
        {
            const size_t wrong = len - 1 - random_between(&random, 0, depth - 1);

            text[wrong] = text[wrong] == '}' ? ']' : '}';
            cr_assert_not(is_accepted(slice_of(text, len)), "%.*s", (int)len, text);
        }
    }
}

Test(json_scan, errors_and_the_end_stick)
{
    struct json_scan scan;

    json_open(&scan, S("[1,]"));
    cr_assert_eq(json_next(&scan), JSON_ARRAY);
    cr_assert_eq(json_next(&scan), JSON_NUMBER);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(json_next(&scan), JSON_ERROR);
        cr_assert_eq(scan.err, R2A_ERR_JSON_SYNTAX);
        cr_assert_eq(scan.offset, 3);
    }
    json_open(&scan, S("1 "));
    cr_assert_eq(json_next(&scan), JSON_NUMBER);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(json_next(&scan), JSON_END);
    json_open_pieces(&scan);
    cr_assert_eq(json_next(&scan), JSON_MORE);
    cr_assert_eq(json_next(&scan), JSON_MORE);
    json_feed(&scan, S("]"), false);
    cr_assert_eq(json_next(&scan), JSON_ERROR);
    json_feed(&scan, S("1"), true);
    cr_assert_eq(json_next(&scan), JSON_ERROR);
    cr_assert_eq(scan.offset, 0);
}

Test(json_scan, passes_the_parsing_suite)
{
    const char *folder = getenv("VECTORS_DIR");
    char path[1024];
    DIR *dir;
    int count = 0;

    (void)snprintf(path, sizeof path, "%s/json", folder != NULL ? folder : "../shared/vectors");
    dir = opendir(path);
    if (dir == NULL)
        cr_skip_test("no vectors at VECTORS_DIR");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[512];
        size_t len;
        char *bytes;
        bool accepted;

        if (strstr(entry->d_name, ".json") == NULL)
            continue;
        (void)snprintf(name, sizeof name, "json/%.400s", entry->d_name);
        bytes = vectors_read(name, &len);
        cr_assert_not_null(bytes);
        accepted = is_accepted(slice_of(bytes, len));
        if (entry->d_name[0] != 'i')
            cr_assert_eq(accepted, entry->d_name[0] == 'y', "%s", entry->d_name);
        free(bytes);
        count++;
    }
    closedir(dir);
    cr_assert_gt(count, 300);
}

/* A valid text of some depth, made of all that a text is made of. */
static size_t make_value(struct random *random, char *out, size_t room, int depth)
{
    static const char *const scalars[] = {
        "0",
        "-12.5e3",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"0123456789abcdef\\n0123456789abcdef\"",
        "\"\\u00e9\\ud83d\\ude00\\ud83d\"",
        "\"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xf0\x9f\x98\x80 \xc3\xa9\"",
        "\"a longer string without anything to see in it, as most of them are, to the end\"",
    };
    const size_t kind = random_between(random, 0, depth > 0 ? 3 : 1);
    size_t len = 0;

    if (room < 200 || kind < 2) {
        const char *const scalar =
            scalars[random_between(random, 0, sizeof scalars / sizeof scalars[0] - 1)];

        len = strlen(scalar);
        memcpy(out, scalar, len);
        return len;
    }
    out[len++] = kind == 2 ? '[' : '{';
    for (size_t i = random_between(random, 0, 4); i-- > 0;) {
        if (kind == 3) {
            memcpy(out + len, "\"key\" :", 7);
            len += 7;
        }
        len += make_value(random, out + len, room - len - 100, depth - 1);
        for (size_t spaces = random_between(random, 0, 3); spaces-- > 0;)
            out[len++] = " \n\r\t"[random_between(random, 0, 3)];
        if (i > 0)
            out[len++] = ',';
        if (len + 200 > room)
            break;
    }
    if (out[len - 1] == ',')
        len--;
    out[len++] = kind == 2 ? ']' : '}';
    return len;
}

Test(json_scan, agrees_with_itself_on_generated_texts)
{
    static char text[8192];
    struct random random = {42};

    for (int round = 0; round < 400; round++) {
        const size_t len = make_value(&random, text, sizeof text, 5);
        struct events events;

        cr_assert(is_accepted(slice_of(text, len)), "%.*s", (int)len, text);
        /* and broken somewhere */
        text[random_between(&random, 0, len - 1)] = (char)random_between(&random, 0, 255);
        events = scan_all_ways(slice_of(text, len));
        events_free(&events);
        events = scan_all_ways(slice_of(text, random_between(&random, 0, len)));
        events_free(&events);
    }
}

/* --- memo --- */

Test(json_scan, steps_over_the_strings_it_knows)
{
    enum { FIRST = JSON_MEMO_BYTES_MIN - 24 };
    static char text[20000];
    struct json_memo memo;
    struct json_scan scan;
    size_t len = 0;

    text[len++] = '[';
    for (size_t size = FIRST; size <= FIRST + 50; size += 10) {
        text[len++] = '"';
        memset(text + len, 'x', size);
        if (size == FIRST + 40)
            memcpy(text + len + 300, "\\n", 2);
        len += size;
        text[len++] = '"';
        text[len++] = ',';
    }
    memcpy(text + len, "\"end\"]", 6);
    len += 6;

    json_open_memo(&scan, slice_of(text, len), &memo);
    while (json_next(&scan) != JSON_END)
        cr_assert_eq(scan.err, R2A_OK);
    cr_assert_eq(memo.count, 3); /* the last three */
    cr_assert_not(memo.spans[0].has_escape);
    cr_assert(memo.spans[1].has_escape);

    /* The second pass does not look inside: what was put there since is not seen. */
    ((char *)(uintptr_t)memo.spans[0].begin)[30] = '"';
    json_open_recall(&scan, slice_of(text, len), &memo);
    cr_assert_eq(json_next(&scan), JSON_ARRAY);
    for (size_t size = FIRST; size <= FIRST + 50; size += 10) {
        cr_assert_eq(json_next(&scan), JSON_STRING);
        cr_assert_eq(scan.text.len, size);
        cr_assert_eq(scan.has_escape, size == FIRST + 40);
    }
    cr_assert_eq(json_next(&scan), JSON_STRING);
    cr_assert_eq(json_next(&scan), JSON_ARRAY_END);
    cr_assert_eq(json_next(&scan), JSON_END);

    /* A part of the text: the second of them and the third. */
    json_open_recall(&scan, slice_between(memo.spans[1].begin - 1, memo.spans[1].end + 1), &memo);
    cr_assert_eq(json_next(&scan), JSON_STRING);
    cr_assert_eq(scan.text.len, FIRST + 40);
    cr_assert(scan.has_escape);
    cr_assert_eq(json_next(&scan), JSON_END);
    json_open_recall(&scan, slice_between(memo.spans[2].end + 2, text + len - 1), &memo);
    cr_assert_eq(json_next(&scan), JSON_STRING);
    cr_assert_eq(scan.text.len, 3);

    /* Without a memo, and over other bytes, nothing is known. */
    json_open_recall(&scan, S("[\"a\"]"), &memo);
    cr_assert(json_skip(&scan, NULL));
    json_open_recall(&scan, S("[\"a\"]"), NULL);
    cr_assert(json_skip(&scan, NULL));
    memo.count = 0;
    json_open_recall(&scan, S("[\"a\"]"), &memo);
    cr_assert(json_skip(&scan, NULL));
}

Test(json_scan, notes_no_more_strings_than_fit)
{
    const size_t size = (JSON_MEMO_BYTES_MIN + 3) * 40 + 1;
    char *const text = malloc(size);
    struct json_memo memo;
    struct json_scan scan;
    size_t len = 0;

    cr_assert_not_null(text);
    for (int i = 0; i < 40; i++) {
        text[len++] = i == 0 ? '[' : ',';
        text[len++] = '"';
        memset(text + len, 'x', JSON_MEMO_BYTES_MIN);
        len += JSON_MEMO_BYTES_MIN;
        text[len++] = '"';
    }
    text[len++] = ']';
    json_open_memo(&scan, slice_of(text, len), &memo);
    cr_assert(json_skip(&scan, NULL));
    cr_assert_eq(memo.count, JSON_MEMO_SPANS_MAX);
    json_open_recall(&scan, slice_of(text, len), &memo);
    cr_assert(json_skip(&scan, NULL));
    cr_assert_eq(json_next(&scan), JSON_END);
    free(text);
}

Test(json_scan, notes_the_longest_strings_when_there_are_too_many)
{
    static char text[100 * 1024];
    struct json_memo memo;
    struct json_scan scan;
    size_t len = 0;
    uint32_t longer = 0;

    for (uint32_t i = 0; i < 100; i++) {
        const size_t size = JSON_MEMO_BYTES_MIN + (i % 5 == 0 ? 100 + i : i % 7);

        text[len++] = i == 0 ? '[' : ',';
        text[len++] = '"';
        memset(text + len, 'x', size);
        len += size;
        text[len++] = '"';
    }
    text[len++] = ']';
    json_open_memo(&scan, slice_of(text, len), &memo);
    cr_assert(json_skip(&scan, NULL));
    cr_assert_eq(memo.count, JSON_MEMO_SPANS_MAX);
    for (uint32_t i = 0; i < memo.count; i++) {
        cr_assert(i == 0 || memo.spans[i].begin > memo.spans[i - 1].end);
        longer += memo.spans[i].end - memo.spans[i].begin >= JSON_MEMO_BYTES_MIN + 100;
    }
    cr_assert_eq(longer, 20);
    json_open_recall(&scan, slice_of(text, len), &memo);
    cr_assert(json_skip(&scan, NULL));
    cr_assert_eq(json_next(&scan), JSON_END);
}

/* --- skip and take --- */

static void expect_raw(struct slice raw, const char *z)
{
    cr_assert_eq(raw.len, strlen(z), "%.*s", (int)raw.len, raw.ptr);
    cr_assert_eq(memcmp(raw.ptr, z, raw.len), 0, "%.*s", (int)raw.len, raw.ptr);
}

Test(json_scan, skips_values_and_yields_their_bytes)
{
    static const char *const values[] = {
        "1",  "-1.5e3", "\"a\\\"b\"", "true", "false",           "null",
        "{}", "[]",     "[1,[2],{}]", "\"\"", "{ \"a\" : [ ] }",
    };
    char text[512];
    struct json_scan scan;
    size_t len = 0;

    text[len++] = '{';
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"k\" : %s ", i > 0 ? "," : "",
                                values[i]);
    text[len++] = '}';
    for (int way = 0; way < 3; way++) {
        json_open(&scan, slice_of(text, len));
        cr_assert_eq(json_next(&scan), JSON_OBJECT);
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            const enum json_token key = json_next(&scan);
            struct slice raw = {0};

            cr_assert_eq(key, JSON_KEY);
            if (way == 0)
                cr_assert(json_skip(&scan, &raw));
            else if (way == 1)
                cr_assert(json_skip_after(&scan, json_next(&scan), &raw));
            else
                cr_assert(json_skip_after(&scan, key, &raw));
            expect_raw(raw, values[i]);
        }
        cr_assert_eq(json_next(&scan), JSON_OBJECT_END);
        cr_assert_eq(json_next(&scan), JSON_END);
    }
}

/* Taking every token is what skipping must agree with, in what it accepts, where it fails and where
 * it stands afterwards. */
static void expect_skipped_as_taken(const char *text, size_t len)
{
    struct json_scan skipped, taken;
    struct slice raw = {0};
    bool is_skipped;
    enum json_token token;

    json_open(&skipped, slice_of(text, len));
    is_skipped = json_skip(&skipped, &raw);
    json_open(&taken, slice_of(text, len));
    do
        token = json_next(&taken);
    while (token != JSON_ERROR && taken.depth > 0);
    cr_assert_eq(is_skipped, token != JSON_ERROR, "%.*s", (int)len, text);
    cr_assert_eq(skipped.err, taken.err, "%.*s", (int)len, text);
    cr_assert_eq(skipped.offset, taken.offset, "%.*s", (int)len, text);
    if (!is_skipped)
        return;
    cr_assert_eq(skipped.pos, taken.pos, "%.*s", (int)len, text);
    cr_assert_eq(raw.ptr + raw.len, taken.pos);
    cr_assert_eq(json_next(&skipped), json_next(&taken));
    cr_assert_eq(skipped.offset, taken.offset);
}

/* `agree` on a text cut everywhere, and with each of its bytes made another; at its end and with
 * room behind it. */
static void spoil(const char *plain, size_t len, void (*agree)(const char *text, size_t len))
{
    static const char others[] = "{}[],:\"\\0 1-.etfnu\n\x01\x80";
    const size_t size = len + 65;
    char *text = malloc(size);

    cr_assert_not_null(text);
    memset(text, ' ', size);
    memcpy(text, plain, len);
    for (size_t cut = 0; cut < size; cut++)
        agree(text, cut);
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < sizeof others - 1; i++) {
            text[at] = others[i];
            agree(text, size);
            agree(text, len);
        }
        text[at] = plain[at];
    }
    free(text);
}

Test(json_scan, skips_what_it_would_take)
{
    static const char plain[] =
        "[{\"role\":\"user\",\"content\":\"a text that is longer than one block of sixteen\","
        "\"n\":[1,20,0,-3,4.5,6e7,12345678901234567890],\"t\":true,\"f\":false,\"z\":null,"
        "\"a name longer than a block\":{},\"e\":[],\"s\":\"\",\"w\":[ ],\"v\":{ "
        "},\"q\":\"a\\\"b\",\"u\":\"\xc3\xa9\"},"
        "[[[{\"a\":[{\"b\":{\"c\":[]}}]}]]] , { \"x\" : 1 }]";

    spoil(plain, sizeof plain - 1, expect_skipped_as_taken);
}

/* Members taken whole are the keys and values taken one after another. */
static void expect_members_as_taken(const char *text, size_t len)
{
    struct json_scan members, tokens;
    enum json_token member, token, kind = JSON_ERROR;
    struct slice raw = {0}, value = {0};

    json_open(&members, slice_of(text, len));
    json_open(&tokens, slice_of(text, len));
    if (json_next(&members) != JSON_OBJECT)
        return;
    cr_assert_eq(json_next(&tokens), JSON_OBJECT);
    do {
        member = json_member(&members, &kind, &raw);
        token = json_next(&tokens);
        if (token == JSON_KEY) {
            const struct slice key = tokens.text;
            const bool has_escape = tokens.has_escape;
            const enum json_token first = json_next(&tokens);

            if (!json_skip_after(&tokens, first, &value)) {
                token = JSON_ERROR;
            } else {
                cr_assert_eq(member, JSON_KEY, "%.*s", (int)len, text);
                cr_assert_eq(kind, first);
                cr_assert(members.text.ptr == key.ptr && members.text.len == key.len);
                cr_assert_eq(members.has_escape, has_escape);
                cr_assert(raw.ptr == value.ptr && raw.len == value.len);
            }
        }
        cr_assert_eq(member, token, "%.*s", (int)len, text);
    } while (token == JSON_KEY);
    cr_assert_eq(members.err, tokens.err, "%.*s", (int)len, text);
    cr_assert_eq(members.offset, tokens.offset, "%.*s", (int)len, text);
    if (token == JSON_OBJECT_END)
        cr_assert_eq(json_next(&members), json_next(&tokens));
}

Test(json_scan, takes_members_whole)
{
    static const char plain[] =
        "{\"role\":\"user\",\"content\":\"a text that is longer than one block of sixteen\","
        "\"n\":120,\"m\":-3,\"x\":4.5,\"t\":true,\"f\":false,\"z\":null,\"o\":{\"a\":[1,{}]},"
        "\"a name longer than a block\":[],\"e\\u0061\":\"\\n\" , \"w\" : [ ],\"last\":0}";

    spoil(plain, sizeof plain - 1, expect_members_as_taken);
}

Test(json_scan, skips_as_deep_as_it_takes)
{
    char text[4 * JSON_DEPTH_MAX];

    for (size_t deep = JSON_DEPTH_MAX - 1; deep <= JSON_DEPTH_MAX + 1; deep++) {
        memset(text, ' ', sizeof text);
        memset(text, '[', deep);
        memset(text + deep, ']', deep);
        expect_skipped_as_taken(text, sizeof text);
    }
}

Test(json_scan, skips_no_end)
{
    struct json_scan scan;
    struct slice raw;

    json_open(&scan, S("[]"));
    cr_assert_eq(json_next(&scan), JSON_ARRAY);
    cr_assert_not(json_skip(&scan, &raw));
    json_open(&scan, S("[1,]"));
    cr_assert_not(json_skip(&scan, &raw));
    cr_assert_eq(scan.err, R2A_ERR_JSON_SYNTAX);
    json_open(&scan, S("[1"));
    cr_assert_not(json_skip(&scan, NULL));
    cr_assert_eq(scan.err, R2A_ERR_JSON_END);
    json_open(&scan, S("1"));
    cr_assert(json_skip(&scan, NULL));
    cr_assert_not(json_skip(&scan, NULL));
}

Test(json_scan, takes_typed_values)
{
    struct json_scan scan;
    struct text text;
    struct slice raw;
    bool value;
    bool is_null;

    json_open(&scan, S("[\"a\\n\",null,true,false,null,12.0,null]"));
    cr_assert_eq(json_next(&scan), JSON_ARRAY);
    cr_assert(json_take_string(&scan, &text, NULL));
    expect_raw(text_bytes(text), "a\\n");
    cr_assert_eq(text.form, TEXT_ESCAPED);
    cr_assert(json_take_string(&scan, &text, &is_null));
    cr_assert(is_null);
    cr_assert_eq(text.len, 0);
    cr_assert(json_take_bool(&scan, &value, &is_null));
    cr_assert(value);
    cr_assert_not(is_null);
    cr_assert(json_take_bool(&scan, &value, NULL));
    cr_assert_not(value);
    cr_assert(json_take_bool(&scan, &value, &is_null));
    cr_assert(is_null);
    cr_assert(json_take_number(&scan, &raw, &is_null));
    cr_assert_not(is_null);
    expect_raw(raw, "12.0");
    cr_assert(json_take_number(&scan, &raw, &is_null));
    cr_assert(is_null);
    cr_assert_eq(json_next(&scan), JSON_ARRAY_END);
}

Test(json_scan, refuses_other_types_at_the_value)
{
    static const struct {
        struct slice text;
        uint64_t offset;
    } cases[] = {
        {S_INIT("[ 1 ]"), 2},     {S_INIT("[ -1.5 ]"), 2}, {S_INIT("[ true ]"), 2},
        {S_INIT("[ false ]"), 2}, {S_INIT("[ null ]"), 2}, {S_INIT("[ {} ]"), 2},
        {S_INIT("[ [] ]"), 2},    {S_INIT("[ ]"), 2},
    };
    struct json_scan scan;
    struct text text;
    struct slice raw;
    bool value;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_open(&scan, cases[i].text);
        cr_assert_eq(json_next(&scan), JSON_ARRAY);
        cr_assert_not(json_take_string(&scan, &text, NULL));
        cr_assert_eq(scan.err, R2A_ERR_JSON_TYPE);
        cr_assert_eq(scan.offset, cases[i].offset);
        cr_assert_eq(json_next(&scan), JSON_ERROR);
    }
    json_open(&scan, S(" \"a\""));
    cr_assert_not(json_take_number(&scan, &raw, NULL));
    cr_assert_eq(scan.offset, 1);
    json_open(&scan, S(" \"a\""));
    cr_assert_not(json_take_bool(&scan, &value, NULL));
    cr_assert_eq(scan.err, R2A_ERR_JSON_TYPE);
    json_open(&scan, S("tru"));
    cr_assert_not(json_take_bool(&scan, &value, NULL));
    cr_assert_eq(scan.err, R2A_ERR_JSON_END);
}

Test(json_scan, compares_keys_unescaped)
{
    static const struct slice names[] = {S_INIT("model"), S_INIT("stream"), S_INIT("x")};
    struct json_scan scan;

    json_open(&scan, S("{\"mod\\u0065l\":1,\"stream\":2,\"\\u0078\":3,\"mod\\u0065\":4,"
                       "\"model\\u0000\":5,\"\\u006dodel2\":6,\"\":7,\"mod\\u00e9l\":8,"
                       "\"mo\\/del\":9}"));
    cr_assert_eq(json_next(&scan), JSON_OBJECT);
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(json_next(&scan), JSON_KEY);
        cr_assert_eq(json_key_index(&scan, names, 3), i < 3 ? i : -1);
        cr_assert_eq(json_key_is(&scan, S("model")), i == 0);
        cr_assert_eq(json_key_is(&scan, S("")), i == 6);
        cr_assert_eq(json_key_is(&scan, S("mo/del")), i == 8);
        cr_assert(json_skip(&scan, NULL));
    }
    cr_assert_eq(json_next(&scan), JSON_OBJECT_END);
}
