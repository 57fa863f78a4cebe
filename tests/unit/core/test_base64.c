#include "r2a/core/base64.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "support/guard.h"
#include "support/random.h"

static const enum base64_form forms[] = {BASE64_PADDED, BASE64_UNPADDED, BASE64URL_PADDED,
                                         BASE64URL_UNPADDED};

Test(base64, encodes_the_vectors_of_the_rfc)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < array_count(rows); i++) {
        char text[16], back[16];
        size_t len = base64_encode(text, slice_from_z(rows[i][0]), BASE64_PADDED), size;

        cr_assert(slice_eq(slice_of(text, len), slice_from_z(rows[i][1])));
        cr_assert(base64_decode(back, slice_of(text, len), BASE64_PADDED, &size));
        cr_assert(slice_eq(slice_of(back, size), slice_from_z(rows[i][0])));
    }
}

Test(base64, the_alphabets_differ_in_two_characters)
{
    char text[8];
    size_t size;

    cr_assert_eq(base64_encode(text, S("\xfb\xff"), BASE64_PADDED), 4);
    cr_assert_eq(memcmp(text, "+/8=", 4), 0);
    cr_assert_eq(base64_encode(text, S("\xfb\xff"), BASE64URL_UNPADDED), 3);
    cr_assert_eq(memcmp(text, "-_8", 3), 0);
    cr_assert_not(base64_decode(text, S("-_8="), BASE64_PADDED, &size));
    cr_assert_not(base64_decode(text, S("+/8"), BASE64URL_UNPADDED, &size));
}

Test(base64, random_bytes_of_every_length_come_back)
{
    struct random random = {.state = 21};

    for (size_t len = 0; len < 300; len++) {
        for (size_t f = 0; f < array_count(forms); f++) {
            size_t encoded = base64_encoded_len(len, forms[f]), size;
            char *bytes = guard_take(len), *text = guard_take(encoded),
                 *back = guard_take(base64_decoded_max(encoded));

            for (size_t i = 0; i < len; i++)
                bytes[i] = (char)random_next(&random);
            cr_assert_eq(base64_encode(text, slice_of(bytes, len), forms[f]), encoded);
            cr_assert(base64_is_valid(slice_of(text, encoded), forms[f]));
            cr_assert(base64_decode(back, slice_of(text, encoded), forms[f], &size));
            cr_assert_eq(size, len);
            cr_assert_eq(memcmp(bytes, back, len), 0);
            guard_free(bytes, len);
            guard_free(text, encoded);
            guard_free(back, base64_decoded_max(encoded));
        }
    }
}

/* Every text over a small alphabet is either refused or exactly what encoding its bytes gives. */
Test(base64, each_sequence_of_bytes_has_one_text)
{
    static const char alphabet[] = "AQZg8+-=\n\x80";

    for (size_t f = 0; f < array_count(forms); f++) {
        for (size_t len = 1; len <= 5; len++) {
            size_t texts = 1;

            for (size_t i = 0; i < len; i++)
                texts *= sizeof(alphabet) - 1;
            for (size_t n = 0; n < texts; n++) {
                char text[5], back[8], again[8];
                size_t rest = n, size;

                for (size_t i = 0; i < len; i++, rest /= sizeof(alphabet) - 1)
                    text[i] = alphabet[rest % (sizeof(alphabet) - 1)];

                bool is_valid = base64_decode(back, slice_of(text, len), forms[f], &size);

                cr_assert_eq(base64_is_valid(slice_of(text, len), forms[f]), is_valid);
                if (!is_valid)
                    continue;
                cr_assert_eq(base64_encode(again, slice_of(back, size), forms[f]), len);
                cr_assert_eq(memcmp(again, text, len), 0);
            }
        }
    }
}

Test(base64, refuses_what_is_not_exactly_right)
{
    char back[16];
    size_t size;
    static const char *const bad[] = {"Zg",       "Zg=",  "Zg===", "Z===",     "====",
                                      "=",        "Zh==", "Zm9=",  "Zm 9v",    "Zm9v\n",
                                      "Zg==Zg==", "Z",    "Zm9vZ", "Zm9v====", "\xc3\xa4=="};

    for (size_t i = 0; i < array_count(bad); i++)
        cr_assert_not(base64_decode(back, slice_from_z(bad[i]), BASE64_PADDED, &size), "%s",
                      bad[i]);
    cr_assert_not(base64_decode(back, S("Zg=="), BASE64_UNPADDED, &size));
    cr_assert_not(base64_decode(back, S("Zh"), BASE64_UNPADDED, &size));
    cr_assert(base64_decode(back, S("Zg"), BASE64_UNPADDED, &size) && size == 1);
}
