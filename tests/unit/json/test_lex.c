#include <string.h>

#include <criterion/criterion.h>

#include "src/json/find.h"
#include "src/json/lex.h"
#include "support/guard.h"

/* Each search, at every length and place up to a few blocks, over every byte. */
Test(json_find, finds_what_the_scalar_search_finds)
{
    for (size_t len = 0; len < 200; len += len < 70 ? 1 : 13) {
        char *const text = guard_take(len);
        const char *const end = text + len;

        for (size_t at = 0; at <= len; at++) {
            for (uint32_t c = 0; c < 256; c += at % 5 == 0 ? 1 : 17) {
                memset(text, 'x', len);
                if (at < len)
                    text[at] = (char)c;
                if (at + 3 < len) /* and a later one that must not be taken for the first */
                    text[at + 3] = '\\';
                cr_assert_eq(find_first(text, end, FIND_STOP), find_scalar(text, end, FIND_STOP));
                cr_assert_eq(find_first(text, end, FIND_ESCAPE),
                             find_scalar(text, end, FIND_ESCAPE));
                cr_assert_eq(find_first(text, end, FIND_BACKSLASH),
                             find_scalar(text, end, FIND_BACKSLASH));
                cr_assert_eq(find_first(text, end, FIND_QUOTE), find_scalar(text, end, FIND_QUOTE));
                cr_assert_eq(find_first(text, end, FIND_URL), find_scalar(text, end, FIND_URL));
                cr_assert_eq(find_near(text, end, FIND_STOP), find_scalar(text, end, FIND_STOP));
            }
        }
        guard_free(text, len);
    }
}

Test(json_find, finds_content_after_white_space)
{
    static const char spaces[] = " \n\r\t\n ";

    for (size_t len = 0; len < 80; len++) {
        char *const text = guard_take(len);

        for (size_t at = 0; at <= len; at++) {
            for (uint32_t c = 0; c < 256; c++) {
                for (size_t i = 0; i < len; i++)
                    text[i] = spaces[i % (sizeof spaces - 1)];
                if (at < len)
                    text[at] = (char)c;
                if (find_content(text, text + len) != find_content_scalar(text, text + len))
                    cr_assert_fail("byte %u at %zu of %zu", c, at, len);
            }
        }
        guard_free(text, len);
    }
    for (int c = 0; c < 256; c++) {
        const char text = (char)c;

        cr_assert_eq(find_content_scalar(&text, &text + 1) == &text, !lex_is_space(text));
    }
}

Test(json_find, knows_its_bytes)
{
    for (uint32_t c = 0; c < 256; c++) {
        const bool special = c == '"' || c == '\\';

        cr_assert_eq(find_is((char)c, FIND_STOP), special || c < 0x20 || c >= 0x80);
        cr_assert_eq(find_is((char)c, FIND_ESCAPE), special || c < 0x20);
        cr_assert_eq(find_is((char)c, FIND_BACKSLASH), c == '\\');
        cr_assert_eq(find_is((char)c, FIND_QUOTE), special);
        cr_assert_eq(find_is((char)c, FIND_URL), c == '-' || c == '_' || c == '\\');
    }
}

Test(json_lex, knows_hex_digits_and_escapes)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";

    for (int c = 0; c < 256; c++) {
        const char *const digit = c == 0 ? NULL : strchr(digits, c);
        const char *const escape = c == 0 ? NULL : strchr("\"\\/bfnrt", c);

        cr_assert_eq(lex_hex[c], digit == NULL ? -1 : (digit - digits) % 16);
        cr_assert_eq(lex_unescape[c] != 0, escape != NULL);
    }
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
