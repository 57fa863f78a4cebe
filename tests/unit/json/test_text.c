#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "r2a/core/mem.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"
#include "support/guard.h"
#include "support/random.h"

typedef void (*write_fn)(struct rope *rope, struct text text);

static struct mem_budget budget;
static struct mem *mem;

/* What `write` writes for `text`, the text ending at a guard page; valid until the next call. */
static struct slice written(write_fn write, struct text text)
{
    static char *copy;
    struct rope rope;
    size_t len;

    if (mem == NULL)
        mem = mem_open(&budget, 1 << 24);
    cr_assert_not_null(mem);
    rope = (struct rope){.mem = mem};
    {
        const char *const guarded = guard_copy(text.ptr, text.len);

        write(&rope, (struct text){guarded, text.len, text.form});
        cr_assert_eq(rope.err, R2A_OK);
        free(copy);
        len = rope.bytes;
        copy = malloc(len + 1);
        cr_assert_not_null(copy);
        rope_copy_out(&rope, copy);
        rope_clear(&rope);
        guard_free(guarded, text.len);
    }
    return slice_of(copy, len);
}

static void expect(write_fn write, struct text text, struct slice want)
{
    const struct slice got = written(write, text);

    cr_assert(slice_eq(got, want), "%.*s: %.*s, not %.*s", (int)text.len, text.ptr, (int)got.len,
              got.ptr, (int)want.len, want.ptr);
}

Test(json_text, escapes_what_must_be_and_nothing_else)
{
    char all[0x80];
    char want[0x400];
    size_t len = 0;

    for (uint32_t c = 0; c < sizeof all; c++)
        all[c] = (char)c;
    for (uint32_t c = 0; c < sizeof all; c++) {
        static const char shorts[] = "\b\t\n\f\r\"\\";
        const char *const at = c == 0 ? NULL : strchr(shorts, (int)c);

        if (at != NULL)
            len += (size_t)snprintf(want + len, 8, "\\%c", "btnfr\"\\"[at - shorts]);
        else if (c < 0x20)
            len += (size_t)snprintf(want + len, 8, "\\u%04x", c);
        else
            want[len++] = (char)c;
    }
    expect(text_write_escaped, text_plain(slice_of(all, sizeof all)), slice_of(want, len));
    expect(text_write_escaped_copy, text_plain(slice_of(all, sizeof all)), slice_of(want, len));
    expect(text_write_escaped, text_plain(S("")), S(""));
    expect(text_write_escaped, text_plain(S("</script>&'\xc3\xa9\xf0\x9f\x98\x80")),
           S("</script>&'\xc3\xa9\xf0\x9f\x98\x80"));
    expect(text_write_escaped, text_json(S("{\"a\": \"b\\n\"}\n")),
           S("{\\\"a\\\": \\\"b\\\\n\\\"}\\n"));
    expect(text_write_escaped, text_escaped(S("a\\nb\\u00e9\\/\\ud83d")),
           S("a\\nb\\u00e9\\/\\ud83d"));
    expect(text_write_escaped_copy, text_escaped(S("a\\nb")), S("a\\nb"));
    expect(text_write_string, text_plain(S("a\"b")), S("\"a\\\"b\""));
    expect(text_write_string, text_escaped(S("")), S("\"\""));
}

Test(json_text, escapes_twice)
{
    expect(text_write_escaped_twice, text_plain(S("a\"b\\c\n\x01")),
           S("a\\\\\\\"b\\\\\\\\c\\\\n\\\\u0001"));
    expect(text_write_escaped_twice, text_escaped(S("a\\\"b\\\\c\\n\\u0001")),
           S("a\\\\\\\"b\\\\\\\\c\\\\n\\\\u0001"));
    expect(text_write_escaped_twice, text_json(S("{\"a\":\"\\n\"}")),
           S("{\\\\\\\"a\\\\\\\":\\\\\\\"\\\\\\\\n\\\\\\\"}"));
}

Test(json_text, decodes)
{
    expect(text_write_plain, text_escaped(S("a\\n\\\"\\\\\\/\\b\\f\\r\\tz")),
           S("a\n\"\\/\b\f\r\tz"));
    expect(text_write_plain, text_escaped(S("\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000")),
           S("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0"));
    expect(text_write_plain, text_escaped(S("\\ud83d")), S("\xef\xbf\xbd"));
    expect(text_write_plain, text_escaped(S("\\ude00\\ud83d\\ud83d\\ude00\\ud83dx\\ud83d\\n")),
           S("\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd\n"));
    expect(text_write_plain, text_escaped(S("\\udbff\\udfff\\ud800\\udc00")),
           S("\xf4\x8f\xbf\xbf\xf0\x90\x80\x80"));
    expect(text_write_plain, text_escaped(S("0123456789abcdef0123456789\\nabcdef")),
           S("0123456789abcdef0123456789\nabcdef"));
    expect(text_write_plain, text_plain(S("a\\n")), S("a\\n"));
    expect(text_write_plain, text_json(S("\"a\\n\"")), S("\"a\\n\""));
    expect(text_write_plain, text_escaped(S("")), S(""));
}

/* The contract says such text is validated; if it ever is not, nothing is read past its end. */
Test(json_text, survives_what_is_no_escape)
{
    static const char *const bad[] = {"\\",        "a\\", "\\u",        "\\u1",        "\\u12g4",
                                      "\\ud83d\\", "\\x", "\\ud83d\\u", "\\ud83d\\u12"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct text text = text_escaped(slice_from_z(bad[i]));
        char buf[32];

        (void)written(text_write_plain, text);
        (void)written(text_write_value, text);
        (void)written(text_write_escaped_twice, text);
        (void)written(text_write_json_compact, text);
        cr_assert_geq(text_decode(text, buf, sizeof buf), 0);
        (void)text_safe_len(text);
        (void)text_trim(text);
        (void)text_json_kind(text);
    }
}

Test(json_text, writes_values_from_strings)
{
    expect(text_write_value, text_escaped(S("{\\\"a\\\":\\\"b\\\\n\\u00e9\\\"}")),
           S("{\"a\":\"b\\n\xc3\xa9\"}"));
    expect(text_write_value, text_plain(S("{\"a\": 1e400}")), S("{\"a\": 1e400}"));
    expect(text_write_value, text_json(S("[1, 2]")), S("[1, 2]"));
    /* half a pair can only stand inside a string of the value: there it is an escape again */
    expect(text_write_value, text_escaped(S("[\\\"\\ud83d\\ude00\\ud83d\\\"]")),
           S("[\"\xf0\x9f\x98\x80\\ud83d\"]"));
    expect(text_write_value, text_escaped(S("[\\\"\\ude00\\ud83d\\ud83d\\ude00\\\"]")),
           S("[\"\\ude00\\ud83d\xf0\x9f\x98\x80\"]"));
}

Test(json_text, compacts_outside_strings_only)
{
    static const struct {
        struct slice json;
        struct slice compact;
    } cases[] = {
        {S_INIT("{}"), S_INIT("{}")},
        {S_INIT(" { \"a b\" :\t[ 1 ,\r\n 2.50 ] } "), S_INIT("{\"a b\":[1,2.50]}")},
        {S_INIT("\" a \\\" b \\\\\" "), S_INIT("\" a \\\" b \\\\\"")},
        {S_INIT("[\n  \"x\",\n  \"\",\n  \" \"\n]\n"), S_INIT("[\"x\",\"\",\" \"]")},
        {S_INIT("\"0123456789abcdef 0123456789\\\" abcdef\" "),
         S_INIT("\"0123456789abcdef 0123456789\\\" abcdef\"")},
        {S_INIT("-1e5"), S_INIT("-1e5")},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(text_write_json_compact, text_json(cases[i].json), cases[i].compact);
        {
            char want[128];
            const struct slice got = written(text_write_escaped, text_json(cases[i].compact));
            const size_t len = got.len;

            memcpy(want, got.ptr, len);
            expect(text_write_json_compact_escaped, text_json(cases[i].json), slice_of(want, len));
        }
    }
}

/* --- long and random --- */

/* The same conversions, a byte at a time. */
static size_t plain_to_escaped(const char *text, size_t len, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '"':
        case '\\':
            out[at++] = '\\';
            out[at++] = text[i];
            break;
        case '\n':
            at += (size_t)snprintf(out + at, 8, "\\n");
            break;
        case '\t':
            at += (size_t)snprintf(out + at, 8, "\\t");
            break;
        case '\r':
            at += (size_t)snprintf(out + at, 8, "\\r");
            break;
        case '\b':
            at += (size_t)snprintf(out + at, 8, "\\b");
            break;
        case '\f':
            at += (size_t)snprintf(out + at, 8, "\\f");
            break;
        default:
            if ((uint8_t)text[i] < 0x20)
                at += (size_t)snprintf(out + at, 8, "\\u%04x", (uint8_t)text[i]);
            else
                out[at++] = text[i];
        }
    }
    return at;
}

static size_t make_plain(struct random *random, char *text, size_t len)
{
    static const char *const units[] = {
        "a", "bc", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        " ", "/"};
    const size_t rare = random_between(random, 1, 60);
    size_t at = 0;

    while (at + 4 < len) {
        if (random_between(random, 0, rare) != 0) {
            text[at++] = (char)random_between(random, 'a', 'z');
        } else {
            const char *const unit =
                units[random_between(random, 0, sizeof units / sizeof units[0] - 1)];

            memcpy(text + at, unit, strlen(unit));
            at += strlen(unit);
        }
    }
    return at;
}

Test(json_text, round_trips_random_text_of_any_length)
{
    static char plain[20000], escaped[120000], twice[240000];
    struct random random = {11};

    for (int round = 0; round < 300; round++) {
        const size_t room = random_between(&random, 0, round % 10 == 0 ? sizeof plain : 300);
        const size_t len = make_plain(&random, plain, room);
        const size_t escaped_len = plain_to_escaped(plain, len, escaped);
        const size_t twice_len = plain_to_escaped(escaped, escaped_len, twice);
        const struct text as_plain = text_plain(slice_of(plain, len));
        const struct text as_escaped = text_escaped(slice_of(escaped, escaped_len));

        expect(text_write_escaped, as_plain, text_bytes(as_escaped));
        expect(text_write_plain, as_escaped, text_bytes(as_plain));
        expect(text_write_value, as_escaped, text_bytes(as_plain));
        expect(text_write_escaped_twice, as_plain, slice_of(twice, twice_len));
        expect(text_write_escaped_twice, as_escaped, slice_of(twice, twice_len));
        expect(text_write_plain, text_escaped(slice_of(twice, twice_len)), text_bytes(as_escaped));
        cr_assert(text_eq(as_plain, as_escaped));
        cr_assert(text_eq(as_escaped, as_plain));
        cr_assert_eq(text_hash(as_plain), text_hash(as_escaped));
        cr_assert_eq(text_plain_len(as_escaped), len);
    }
}

/* The longest that escaping can make a text, against the room that is reserved for it. */
Test(json_text, escapes_nothing_but_controls)
{
    static char plain[2500], once[6 * sizeof plain], twice[7 * sizeof plain];

    memset(plain, 1, sizeof plain);
    for (size_t i = 0; i < sizeof plain; i++) {
        memcpy(once + 6 * i, "\\u0001", 6);
        memcpy(twice + 7 * i, "\\\\u0001", 7);
    }
    for (size_t len = 0; len < sizeof plain; len += len < 300 ? 1 : 97) {
        expect(text_write_escaped, text_plain(slice_of(plain, len)), slice_of(once, 6 * len));
        expect(text_write_escaped_twice, text_plain(slice_of(plain, len)),
               slice_of(twice, 7 * len));
    }
}

Test(json_text, borrows_long_escaped_text_only)
{
    static char text[5000];
    struct rope rope;
    struct iovec vec;

    mem = mem_open(&budget, 1 << 24);
    rope = (struct rope){.mem = mem};
    memset(text, 'x', sizeof text);
    text_write_escaped(&rope, text_escaped(slice_of(text, sizeof text)));
    cr_assert_eq(rope_peek(&rope, &vec, 1), 1);
    cr_assert_eq(vec.iov_base, (void *)text);
    rope_clear(&rope);
    text_write_escaped_copy(&rope, text_escaped(slice_of(text, sizeof text)));
    text_write_escaped(&rope, text_plain(slice_of(text, sizeof text)));
    memset(text, 'y', sizeof text);
    cr_assert_eq(rope.bytes, 2 * sizeof text);
    {
        struct rope_cursor cursor = {0};
        struct slice run;

        while (rope_next(&rope, &cursor, &run))
            cr_assert_null(memchr(run.ptr, 'y', run.len));
    }
    rope_clear(&rope);
}

Test(json_text, reports_a_full_rope_through_it)
{
    static char text[5000];
    static const write_fn writes[] = {text_write_escaped,
                                      text_write_escaped_twice,
                                      text_write_plain,
                                      text_write_value,
                                      text_write_string,
                                      text_write_json_compact,
                                      text_write_json_compact_escaped};

    mem = mem_open(&budget, 1 << 24);
    memset(text, '\\', sizeof text);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        for (int form = TEXT_PLAIN; form <= TEXT_JSON; form++) {
            struct rope rope = {.mem = mem, .bytes_max = 700};

            writes[i](&rope, (struct text){text, sizeof text, (uint8_t)form});
            cr_assert_eq(rope.err, R2A_ERR_LIMIT);
            cr_assert_leq(rope.bytes, 700);
            rope_clear(&rope);
        }
    }
}

/* --- cutting a stream --- */

/* Feeds `text` in random pieces through text_safe_len and checks every cut against what units the
 * whole text is made of. */
static void cut_randomly(struct slice text, uint8_t form, const bool *may_cut, uint64_t seed)
{
    struct random random = {seed};
    size_t done = 0;
    size_t have = 0;

    while (have < text.len) {
        size_t safe;

        have += random_between(&random, 1, 9);
        if (have > text.len)
            have = text.len;
        safe = text_safe_len((struct text){text.ptr + done, (uint32_t)(have - done), form});
        cr_assert(may_cut[done + safe], "cut at %zu of %.*s", done + safe, (int)text.len, text.ptr);
        done += safe;
        cr_assert_leq(have - done, TEXT_HOLD_BYTES_MAX);
    }
}

Test(json_text, cuts_between_units)
{
    static const char *const units[] = {
        "a",
        "bc",
        "\\n",
        "\\\\",
        "\\\"",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "uuuu",
        "d83d",
        "\\\\\\\\\\\\u",
    };
    struct random random = {5};

    for (int round = 0; round < 3000; round++) {
        char text[400];
        bool may_cut[sizeof text] = {true};
        size_t len = 0;
        bool after_high = false;

        while (len < 200) {
            const size_t which = random_between(&random, 0, sizeof units / sizeof units[0] - 1);
            const size_t unit = strlen(units[which]);

            /* a high surrogate and a low one that happens to follow are a pair too */
            if (which == 8 && after_high)
                may_cut[len] = false;
            after_high = which == 7;
            memcpy(text + len, units[which], unit);
            if (which < 2 || which >= 12)
                for (size_t i = 1; i < unit; i++)
                    may_cut[len + i] = which != 14 || i % 2 == 0;
            len += unit;
            may_cut[len] = true;
        }
        cut_randomly(slice_of(text, len), TEXT_ESCAPED, may_cut, (uint64_t)round);
    }
}

Test(json_text, holds_back_no_more_than_it_must)
{
    static const struct {
        struct slice piece;
        uint8_t form;
        size_t safe;
    } cases[] = {
        {S_INIT(""), TEXT_ESCAPED, 0},
        {S_INIT("abc"), TEXT_ESCAPED, 3},
        {S_INIT("abc\\"), TEXT_ESCAPED, 3},
        {S_INIT("abc\\\\"), TEXT_ESCAPED, 5},
        {S_INIT("abc\\\\\\"), TEXT_ESCAPED, 5},
        {S_INIT("abc\\n"), TEXT_ESCAPED, 5},
        {S_INIT("a\\u"), TEXT_ESCAPED, 1},
        {S_INIT("a\\u00e"), TEXT_ESCAPED, 1},
        {S_INIT("a\\u00e9"), TEXT_ESCAPED, 7},
        {S_INIT("a\\\\u00e"), TEXT_ESCAPED, 7},
        {S_INIT("a\\ud83d"), TEXT_ESCAPED, 1},
        {S_INIT("a\\ud83d\\"), TEXT_ESCAPED, 1},
        {S_INIT("a\\ud83d\\u"), TEXT_ESCAPED, 1},
        {S_INIT("a\\ud83d\\ude0"), TEXT_ESCAPED, 1},
        {S_INIT("a\\ud83d\\ude00"), TEXT_ESCAPED, 13},
        {S_INIT("a\\ud83d\\n"), TEXT_ESCAPED, 9},
        {S_INIT("a\\ud83dx"), TEXT_ESCAPED, 8},
        {S_INIT("a\\ud83d\\u0041"), TEXT_ESCAPED, 13},
        {S_INIT("a\\ud83d\\ud83d"), TEXT_ESCAPED, 7},
        {S_INIT("a\\ude00"), TEXT_ESCAPED, 7},
        {S_INIT("\\\\ud83d"), TEXT_ESCAPED, 7},
        {S_INIT("a\xc3"), TEXT_ESCAPED, 1},
        {S_INIT("a\xc3\xa9"), TEXT_ESCAPED, 3},
        {S_INIT("a\xe2\x82"), TEXT_PLAIN, 1},
        {S_INIT("a\xe2\x82\xac"), TEXT_PLAIN, 4},
        {S_INIT("a\xf0\x9f\x98"), TEXT_PLAIN, 1},
        {S_INIT("a\xf0\x9f\x98\x80"), TEXT_PLAIN, 5},
        {S_INIT("\xf0"), TEXT_PLAIN, 0},
        {S_INIT("a\\"), TEXT_PLAIN, 2},
        {S_INIT("a\\ud83d"), TEXT_PLAIN, 7},
        {S_INIT("{\"a\":1}"), TEXT_JSON, 7},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct slice piece = cases[i].piece;
        const char *const copy = guard_copy(piece.ptr, piece.len);

        cr_assert_eq(text_safe_len((struct text){copy, (uint32_t)piece.len, cases[i].form}),
                     cases[i].safe, "%.*s", (int)piece.len, piece.ptr);
    }
}
