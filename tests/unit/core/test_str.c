#include "r2a/core/str.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "r2a/core/check.h"
#include "support/guard.h"
#include "support/random.h"

static struct slice guarded(struct slice s)
{
    return slice_of(guard_copy(s.ptr, s.len), s.len);
}

Test(str, character_classes_are_ascii_only)
{
    for (int i = 0; i < 256; i++) {
        char c = (char)i;

        cr_assert_eq(char_is_digit(c), i >= '0' && i <= '9');
        cr_assert_eq(char_is_alpha(c), (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z'));
        cr_assert_eq(char_to_lower(c), i >= 'A' && i <= 'Z' ? (char)(i + 32) : c);
        cr_assert_eq(char_to_upper(c), i >= 'a' && i <= 'z' ? (char)(i - 32) : c);
    }
    cr_assert_eq(char_hex_value('0'), 0);
    cr_assert_eq(char_hex_value('a'), 10);
    cr_assert_eq(char_hex_value('F'), 15);
    cr_assert_eq(char_hex_value('g'), -1);
    cr_assert_eq(char_hex_value('\xe1'), -1);
}

Test(str, compares_without_letter_case)
{
    cr_assert(str_eq_nocase(S("Content-Type"), S("cONTENT-tYPE")));
    cr_assert_not(str_eq_nocase(S("a"), S("ab")));
    cr_assert_not(str_eq_nocase(S("["), S("{")), "only letters have a case");
    cr_assert(str_eq_nocase(S(""), S("")));
    cr_assert(str_starts(S("bearer x"), S("bearer ")));
    cr_assert_not(str_starts(S("bear"), S("bearer ")));
    cr_assert(str_starts_nocase(S("BEARER x"), S("bearer ")));
    cr_assert(str_ends(S("a.json"), S(".json")));
    cr_assert_not(str_ends(S("json"), S(".json")));
    cr_assert(str_ends_nocase(S("a.JSON"), S(".json")));
    cr_assert(str_starts(S("x"), (struct slice){0}));
    cr_assert(str_starts((struct slice){0}, (struct slice){0}));
}

Test(str, finds_the_first_and_the_last)
{
    struct slice s = guarded(S("key=value=more"));

    cr_assert_eq(str_find_char(s, '='), 3);
    cr_assert_eq(str_find_last_char(s, '='), 9);
    cr_assert_eq(str_find_char(s, '!'), s.len);
    cr_assert_eq(str_find_last_char(s, '!'), s.len);
    cr_assert_eq(str_find_char((struct slice){0}, 'a'), 0);
    cr_assert_eq(str_find(s, S("=more")), 9);
    cr_assert_eq(str_find(s, S("=mores")), s.len);
    cr_assert_eq(str_find(s, S("")), 0);
    cr_assert_eq(str_find((struct slice){0}, S("a")), 0);
    cr_assert_eq(str_find_nocase(s, S("VALUE")), 4);
    cr_assert_eq(str_find_nocase(s, S("VALUES")), s.len);
    cr_assert_eq(str_find_nocase(s, S("E")), 1);
    cr_assert_eq(str_find(guarded(S("aaaab")), S("aab")), 2);
}

Test(str, find_agrees_with_the_plain_search)
{
    struct random random = {.state = 11};

    for (int round = 0; round < 20000; round++) {
        char hay[24], needle[4];
        size_t hay_len = random_between(&random, 0, sizeof(hay));
        size_t needle_len = random_between(&random, 1, sizeof(needle));
        size_t want = hay_len;

        for (size_t i = 0; i < sizeof(hay); i++)
            hay[i] = (char)random_between(&random, 'a', 'b');
        for (size_t i = 0; i < sizeof(needle); i++)
            needle[i] = (char)random_between(&random, 'a', 'b');
        for (size_t i = 0; i + needle_len <= hay_len; i++) {
            if (memcmp(hay + i, needle, needle_len) == 0) {
                want = i;
                break;
            }
        }
        cr_assert_eq(str_find(slice_of(hay, hay_len), slice_of(needle, needle_len)), want);
        cr_assert_eq(str_find_nocase(slice_of(hay, hay_len), slice_of(needle, needle_len)), want);
    }
}

/* The definition, with all its backtracking. */
static bool glob_slow(const char *p, size_t p_len, const char *s, size_t s_len)
{
    if (p_len == 0)
        return s_len == 0;
    if (*p == '*')
        return glob_slow(p + 1, p_len - 1, s, s_len) ||
               (s_len > 0 && glob_slow(p, p_len, s + 1, s_len - 1));
    return s_len > 0 && (*p == '?' || *p == *s) && glob_slow(p + 1, p_len - 1, s + 1, s_len - 1);
}

Test(str, glob_matches_what_its_definition_says)
{
    struct random random = {.state = 12};

    cr_assert(str_glob(S("*"), S("")));
    cr_assert(str_glob(S("gpt-*"), S("gpt-4o")));
    cr_assert(str_glob(S("*-mini"), S("gpt-4o-mini")));
    cr_assert_not(str_glob(S("*-mini"), S("gpt-4o-mini-x")));
    cr_assert_not(str_glob(S(""), S("a")));
    cr_assert(str_glob((struct slice){0}, (struct slice){0}));
    cr_assert(str_glob_nocase(S("GPT-?"), S("gpt-4")));
    cr_assert_not(str_glob(S("GPT-?"), S("gpt-4")));
    for (int round = 0; round < 50000; round++) {
        char pattern[8], s[10];
        size_t pattern_len = random_between(&random, 0, sizeof(pattern));
        size_t s_len = random_between(&random, 0, sizeof(s));

        for (size_t i = 0; i < sizeof(pattern); i++)
            pattern[i] = "ab*?*a"[random_between(&random, 0, 5)];
        for (size_t i = 0; i < sizeof(s); i++)
            s[i] = "ab"[random_between(&random, 0, 1)];
        cr_assert_eq(str_glob(slice_of(pattern, pattern_len), slice_of(s, s_len)),
                     glob_slow(pattern, pattern_len, s, s_len), "%.*s %.*s", (int)pattern_len,
                     pattern, (int)s_len, s);
    }
}

Test(str, glob_does_not_explode)
{
    char pattern[2000], s[20000];

    memset(s, 'a', sizeof(s));
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof(pattern) - 1] = 'b';
    cr_assert_not(str_glob(slice_of(pattern, sizeof(pattern)), slice_of(s, sizeof(s))));
}

Test(str, trims_and_splits)
{
    struct slice rest, part;

    cr_assert(slice_eq(str_trim(guarded(S(" \t a b \t"))), S("a b")));
    cr_assert_eq(str_trim(S(" \t ")).len, 0);
    cr_assert(slice_eq(str_trim(S("a\r")), S("a\r")));
    cr_assert(slice_eq(str_trim_lines(S("\r\n a\r\n")), S("a")));

    rest = guarded(S("a,,b,"));
    cr_assert(str_split(&rest, ',', &part) && slice_eq(part, S("a")));
    cr_assert(str_split(&rest, ',', &part) && part.len == 0);
    cr_assert(str_split(&rest, ',', &part) && slice_eq(part, S("b")));
    cr_assert(str_split(&rest, ',', &part) && part.len == 0);
    cr_assert_not(str_split(&rest, ',', &part));
    rest = S("");
    cr_assert(str_split(&rest, ',', &part) && part.len == 0);
    cr_assert_not(str_split(&rest, ',', &part));
}

Test(str, finds_tokens_in_a_list)
{
    cr_assert(str_has_token(S("close"), S("close")));
    cr_assert(str_has_token(S("keep-alive, Close"), S("close")));
    cr_assert(str_has_token(S("a ,\tclose\t,b"), S("close")));
    cr_assert_not(str_has_token(S("closed, xclose"), S("close")));
    cr_assert_not(str_has_token(S(""), S("close")));
    cr_assert_not(str_has_token(S(",,"), S("")));
}

Test(str, parses_numbers_strictly)
{
    uint64_t value = 7;
    int64_t number = 7;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x1",
                                      "1.0",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "184467440737095516150",
                                      "\xb2"};

    for (size_t i = 0; i < array_count(bad); i++)
        cr_assert_not(str_parse_u64(slice_from_z(bad[i]), &value), "%s", bad[i]);
    cr_assert_eq(value, 7, "a failure leaves the value alone");
    cr_assert(str_parse_u64(guarded(S("18446744073709551615")), &value) && value == UINT64_MAX);
    cr_assert(str_parse_u64(S("0"), &value) && value == 0);
    cr_assert(str_parse_u64(S("0000000000000000000000000042"), &value) && value == 42);

    cr_assert(str_parse_i64(S("-9223372036854775808"), &number) && number == INT64_MIN);
    cr_assert(str_parse_i64(S("9223372036854775807"), &number) && number == INT64_MAX);
    cr_assert(str_parse_i64(S("-0"), &number) && number == 0);
    cr_assert_not(str_parse_i64(S("9223372036854775808"), &number));
    cr_assert_not(str_parse_i64(S("-9223372036854775809"), &number));
    cr_assert_not(str_parse_i64(S("-"), &number));
    cr_assert_not(str_parse_i64(S("--1"), &number));

    cr_assert(str_parse_hex_u64(S("fFfFfFfFfFfFfFfF"), &value) && value == UINT64_MAX);
    cr_assert(str_parse_hex_u64(S("0"), &value) && value == 0);
    cr_assert_not(str_parse_hex_u64(S("10000000000000000"), &value));
    cr_assert_not(str_parse_hex_u64(S("0x1"), &value));
    cr_assert_not(str_parse_hex_u64(S(""), &value));
}

Test(str, writes_every_length_of_number)
{
    uint64_t edge = 1;

    for (int power = 0; power < 20; power++, edge *= 10) {
        for (int64_t step = -2; step <= 2; step++) {
            uint64_t value = edge + (uint64_t)step, back;
            char want[32], got[STR_U64_BYTES_MAX], hex[16];
            size_t len = str_from_u64(got, value);

            snprintf(want, sizeof(want), "%" PRIu64, value);
            cr_assert(slice_eq(slice_of(got, len), slice_from_z(want)), "%s", want);
            cr_assert(str_parse_u64(slice_of(got, len), &back) && back == value);
            snprintf(want, sizeof(want), "%" PRIx64, value);
            cr_assert(slice_eq(slice_of(hex, str_from_u64_hex(hex, value)), slice_from_z(want)));
            snprintf(want, sizeof(want), "%" PRId64, (int64_t)value);
            len = str_from_i64(got, (int64_t)value);
            cr_assert(slice_eq(slice_of(got, len), slice_from_z(want)), "%s", want);
        }
    }
    char got[STR_U64_BYTES_MAX];

    cr_assert(slice_eq(slice_of(got, str_from_i64(got, INT64_MIN)), S("-9223372036854775808")));
    cr_assert(slice_eq(slice_of(got, str_from_u64(got, UINT64_MAX)), S("18446744073709551615")));
}

Test(str, hex_goes_both_ways)
{
    unsigned char bytes[256], back[256];
    char hex[512];

    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    str_hex(hex, slice_of((const char *)bytes, 256));
    cr_assert_eq(memcmp(hex, "000102", 6), 0);
    cr_assert_eq(memcmp(hex + 506, "fdfeff", 6), 0);
    cr_assert(str_unhex(back, slice_of(hex, 512)));
    cr_assert_eq(memcmp(bytes, back, 256), 0);
    cr_assert(str_unhex(back, S("aBCd")) && back[0] == 0xab && back[1] == 0xcd);
    cr_assert_not(str_unhex(back, S("abc")));
    cr_assert_not(str_unhex(back, S("zz")));
    cr_assert(str_unhex(back, S("")));
}

Test(str, a_bounded_buffer_cuts_and_says_so)
{
    char room[8];
    struct str_buf buf = STR_BUF(room);

    str_buf_put(&buf, S("abc"));
    str_buf_put_char(&buf, '-');
    str_buf_put_u64(&buf, 12);
    cr_assert(slice_eq(str_buf_slice(&buf), S("abc-12")));
    cr_assert_not(buf.is_full);
    str_buf_put_i64(&buf, -34);
    cr_assert(buf.is_full);
    cr_assert(slice_eq(str_buf_slice(&buf), S("abc-12-3")));
    str_buf_put_char(&buf, 'x');
    cr_assert_eq(buf.len, 8);
}
