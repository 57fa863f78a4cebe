#include <string.h>

#include <criterion/criterion.h>

#include "src/json/lex.h"
#include "support/guard.h"

typedef const char *(*find_fn)(const char *p, const char *end);

static const char *find_stop(const char *p, const char *end)
{
    return lex_find_stop(p, end);
}

static const char *find_escape(const char *p, const char *end)
{
    return lex_find_escape(p, end);
}

static const char *find_backslash(const char *p, const char *end)
{
    return lex_find_backslash(p, end);
}

static const char *find_quote(const char *p, const char *end)
{
    return lex_find_quote(p, end);
}

/* Each search, at every length and place up to a few blocks, over every byte. */
Test(json_lex, finds_what_the_scalar_search_finds)
{
    static const struct {
        find_fn fast;
        find_fn scalar;
    } finds[] = {
        {find_stop, lex_find_stop_scalar},
        {find_escape, lex_find_escape_scalar},
        {find_backslash, lex_find_backslash_scalar},
        {find_quote, lex_find_quote_scalar},
    };

    for (size_t len = 0; len < 200; len += len < 70 ? 1 : 13) {
        char *const text = guard_take(len);

        for (size_t at = 0; at <= len; at++) {
            for (uint32_t c = 0; c < 256; c += at % 5 == 0 ? 1 : 17) {
                memset(text, 'x', len);
                if (at < len)
                    text[at] = (char)c;
                for (size_t i = 0; i < sizeof finds / sizeof finds[0]; i++)
                    cr_assert_eq(finds[i].fast(text, text + len), finds[i].scalar(text, text + len),
                                 "search %zu, byte %u at %zu of %zu", i, c, at, len);
            }
        }
        guard_free(text, len);
    }
}

Test(json_lex, scalar_searches_stop_at_the_right_bytes)
{
    for (uint32_t c = 0; c < 256; c++) {
        const char text[1] = {(char)c};
        const char *const end = text + 1;
        const bool special = c == '"' || c == '\\';

        cr_assert_eq(lex_find_stop_scalar(text, end) == text, special || c < 0x20 || c >= 0x80);
        cr_assert_eq(lex_find_escape_scalar(text, end) == text, special || c < 0x20);
        cr_assert_eq(lex_find_backslash_scalar(text, end) == text, c == '\\');
        cr_assert_eq(lex_find_quote_scalar(text, end) == text, special);
        cr_assert_eq(lex_escape[c] != 0, special || c < 0x20);
    }
}

Test(json_lex, tables_are_inverse)
{
    for (uint32_t c = 0; c < 256; c++) {
        if (lex_escape[c] != 0 && lex_escape[c] != 'u')
            cr_assert_eq((uint8_t)lex_unescape[lex_escape[c]], c);
        cr_assert_eq(lex_hex[c] >= 0,
                     (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
    }
    for (int8_t i = 0; i < 16; i++)
        cr_assert_eq(lex_hex[(uint8_t)lex_hex_digit[i]], i);
}

Test(json_lex, encodes_and_validates_every_code_point)
{
    for (uint32_t code = 0x80; code < 0x110000; code++) {
        char bytes[4];
        const uint32_t len = lex_put_utf8(code, bytes);
        const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;

        if (lex_utf8_step(bytes, bytes + len) != (is_surrogate ? -1 : (int32_t)len))
            cr_assert_fail("U+%04X", code);
        for (uint32_t cut = 1; cut < len && !is_surrogate; cut++)
            if (lex_utf8_step(bytes, bytes + cut) != 0)
                cr_assert_fail("U+%04X cut after %u", code, cut);
    }
}

Test(json_lex, steps_over_exactly_the_valid_sequences)
{
    char text[8] = {0};

    for (uint32_t code = 0; code < 0x1000000; code += 7) {
        const char *end;
        int32_t len;

        text[0] = (char)(0x80 | (code >> 16));
        text[1] = (char)(code >> 8);
        text[2] = (char)code;
        end = lex_skip_utf8(text, text + 4);
        len = lex_utf8_step(text, text + 4);
        if (end != text && end - text != len && (len <= 0 || text[len] >= 0))
            cr_assert_fail("%06X", code);
        if ((len == 2 || len == 3) && end == text)
            cr_assert_fail("%06X", code);
    }
}
