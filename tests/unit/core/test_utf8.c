#include "r2a/core/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

#include "r2a/core/check.h"
#include "support/guard.h"
#include "support/random.h"

Test(utf8, every_code_point_goes_both_ways)
{
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        char bytes[UTF8_BYTES_MAX];
        uint32_t back = UINT32_MAX;
        size_t len = utf8_encode(bytes, point);
        bool is_surrogate = point >= 0xd800 && point <= 0xdfff;

        cr_assert_eq(len, is_surrogate || point >= 0x800 ? (point < 0x10000 ? 3 : 4)
                          : point < 0x80                 ? 1
                                                         : 2);
        cr_assert_eq(utf8_decode(slice_of(bytes, len), &back), len);
        cr_assert_eq(back, is_surrogate ? UTF8_REPLACEMENT : point);
        cr_assert(utf8_is_valid(slice_of(bytes, len)));
        for (size_t cut = 0; cut < len; cut++) {
            cr_assert_eq(utf8_decode(slice_of(bytes, cut), &back), 0);
            cr_assert_eq(utf8_valid_len(slice_of(bytes, cut)), 0);
            cr_assert_eq(utf8_safe_len(slice_of(bytes, cut)), 0);
        }
        cr_assert_eq(utf8_safe_len(slice_of(bytes, len)), len);
    }
}

Test(utf8, too_large_code_points_become_the_replacement)
{
    char bytes[UTF8_BYTES_MAX];

    cr_assert_eq(utf8_encode(bytes, 0x110000), 3);
    cr_assert_eq(memcmp(bytes, "\xef\xbf\xbd", 3), 0);
}

/* All sequences of up to four bytes over the interesting values: valid exactly when decoding to a
 * code point and encoding it again gives the same bytes. */
Test(utf8, nothing_but_the_one_form_of_a_character_is_valid)
{
    static const unsigned char values[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                           0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    size_t valid = 0;

    for (size_t a = 0; a < array_count(values); a++) {
        for (size_t b = 0; b < array_count(values); b++) {
            for (size_t c = 0; c < array_count(values); c++) {
                for (size_t d = 0; d < array_count(values); d++) {
                    char bytes[] = {(char)values[a], (char)values[b], (char)values[c],
                                    (char)values[d]};
                    char again[UTF8_BYTES_MAX];
                    uint32_t point;
                    size_t len = utf8_decode(slice_of(bytes, 4), &point);

                    if (len == 0)
                        continue;
                    valid++;
                    cr_assert_eq(utf8_encode(again, point), len);
                    cr_assert_eq(memcmp(again, bytes, len), 0);
                }
            }
        }
    }
    cr_assert_gt(valid, 26 * 26 * 26);
    cr_assert_not(utf8_is_valid(S("\xed\xa0\x80")), "a surrogate");
    cr_assert_not(utf8_is_valid(S("\xc0\x80")), "overlong");
    cr_assert_not(utf8_is_valid(S("\xe0\x9f\xbf")), "overlong");
    cr_assert_not(utf8_is_valid(S("\xf0\x8f\xbf\xbf")), "overlong");
    cr_assert_not(utf8_is_valid(S("\xf4\x90\x80\x80")), "above U+10FFFF");
    cr_assert(utf8_is_valid(S("\xf4\x8f\xbf\xbf")));
}

Test(utf8, finds_the_first_bad_byte_at_any_offset)
{
    char text[64];

    for (size_t len = 0; len <= sizeof(text); len++) {
        for (size_t bad = 0; bad < len; bad++) {
            memset(text, 'x', sizeof(text));
            text[bad] = (char)0x80;

            const char *copy = guard_copy(text, len);

            cr_assert_eq(utf8_valid_len(slice_of(copy, len)), bad);
            guard_free(copy, len);
        }
    }
    cr_assert_eq(utf8_valid_len((struct slice){0}), 0);
}

Test(utf8, a_safe_prefix_never_ends_inside_a_character)
{
    struct slice text = S("aé€😀z€");
    size_t boundaries = 0;

    for (size_t len = 0; len <= text.len; len++) {
        struct slice piece = slice_of(guard_copy(text.ptr, len), len);
        size_t safe = utf8_safe_len(piece);

        cr_assert_leq(safe, len);
        cr_assert_leq(len - safe, 3);
        cr_assert(utf8_is_valid(slice_head(piece, safe)));
        cr_assert_eq(utf8_valid_len(piece), safe);
        boundaries += safe == len;
    }
    cr_assert_eq(boundaries, 7);
    cr_assert_eq(utf8_safe_len(S("\x80\x80\x80\x80")), 4, "not valid anyway: passed on");
    cr_assert_eq(utf8_safe_len(S("a\xff")), 2);
}

Test(utf8, shortens_at_a_character)
{
    cr_assert(slice_eq(utf8_head(S("a€b"), 100), S("a€b")));
    cr_assert(slice_eq(utf8_head(S("a€b"), 4), S("a€")));
    cr_assert(slice_eq(utf8_head(S("a€b"), 3), S("a")));
    cr_assert(slice_eq(utf8_head(S("a€b"), 0), S("")));
}
