#include <ctype.h>

#include <criterion/criterion.h>

#include "../../../src/http/bytes.h"
#include "support/guard.h"
#include "support/random.h"

typedef const char *(*scan_fn)(const char *, const char *);

static const char *value_plain(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_VALUE);
}

static const char *target_plain(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_TARGET);
}

static const char *token_plain(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_TOKEN);
}

/* Every byte at every place of runs up to 40 long, at a guard page. */
static void twins_agree(scan_fn fast, scan_fn plain, char filler)
{
    char text[40];

    for (size_t len = 0; len <= sizeof(text); len++) {
        char *copy = guard_take(len);

        for (size_t place = 0; place < len; place++) {
            for (int byte = 0; byte<256; byte += len> 34 ? 1 : 7) {
                memset(copy, filler, len);
                copy[place] = (char)byte;
                cr_assert_eq(fast(copy, copy + len), plain(copy, copy + len),
                             "byte %d at %zu of %zu", byte, place, len);
            }
        }
        guard_free(copy, len);
    }
}

Test(bytes, scalar_and_simd_agree)
{
    twins_agree(scan_value, value_plain, 'a');
    twins_agree(scan_target, target_plain, 'a');
    twins_agree(scan_token, token_plain, 'a');
    twins_agree(scan_token, token_plain, '_');
    twins_agree(scan_line_end, scan_line_end_plain, 'a');
    twins_agree(scan_json_mark, scan_json_mark_plain, 'a');
    twins_agree(scan_json_string, scan_json_string_plain, 'a');
}

Test(bytes, json_marks_are_six)
{
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        bool is_mark = byte > 0 && strchr("\"{}[]", byte) != NULL;

        cr_assert_eq(scan_json_mark_plain(&text, &text + 1) == &text, is_mark, "%d", byte);
    }
}

Test(bytes, classes_are_the_grammars)
{
    for (int byte = 0; byte < 256; byte++) {
        bool alnum = byte < 128 && isalnum(byte);

        cr_assert_eq(byte_is((char)byte, BYTE_TOKEN),
                     alnum || (byte > 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL));
        cr_assert_eq(byte_is((char)byte, BYTE_VALUE), byte == 9 || (byte >= 32 && byte != 127));
        cr_assert_eq(byte_is((char)byte, BYTE_TARGET), byte > 32 && byte < 127);
        cr_assert_eq(byte_is((char)byte, BYTE_UNRESERVED),
                     alnum || (byte > 0 && strchr("-._~", byte) != NULL));
        cr_assert_eq(byte_is((char)byte, BYTE_HEX), byte < 128 && isxdigit(byte));
        cr_assert_eq(byte_is((char)byte, BYTE_DIGIT), byte < 128 && isdigit(byte));
    }
    cr_assert_eq(byte_hex_value('0'), 0);
    cr_assert_eq(byte_hex_value('9'), 9);
    cr_assert_eq(byte_hex_value('a'), 10);
    cr_assert_eq(byte_hex_value('F'), 15);
}
