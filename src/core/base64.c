/* Base64 both ways. The decoder accepts exactly what the encoder writes: a text with a second
 * spelling would compare unequal to itself, and vendors' secrets travel in it. */
#include "r2a/core/base64.h"

#include <stdint.h>

static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool is_url(enum base64_form form)
{
    return form == BASE64URL_PADDED || form == BASE64URL_UNPADDED;
}

static bool is_padded(enum base64_form form)
{
    return form == BASE64_PADDED || form == BASE64URL_PADDED;
}

size_t base64_encoded_len(size_t size, enum base64_form form)
{
    size_t rest = size % 3;

    if (rest == 0)
        return size / 3 * 4;
    return size / 3 * 4 + (is_padded(form) ? 4 : rest + 1);
}

size_t base64_encode(char *to, struct slice bytes, enum base64_form form)
{
    const char *alphabet = is_url(form) ? url_alphabet : std_alphabet;
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    char *out = to;
    size_t left = bytes.len;

    for (; left >= 3; left -= 3, in += 3) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = alphabet[group >> 6 & 63];
        *out++ = alphabet[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);

        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        if (left == 2)
            *out++ = alphabet[group >> 6 & 63];
        else if (is_padded(form))
            *out++ = '=';
        if (is_padded(form))
            *out++ = '=';
    }
    return (size_t)(out - to);
}

/* clang-format off */
#define NO 64
static const unsigned char std_values[256] = {
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,62,NO,NO,NO,63, 52,53,54,55,56,57,58,59,60,61,NO,NO,NO,NO,NO,NO,
    NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,10,11,12,13,14, 15,16,17,18,19,20,21,22,23,24,25,NO,NO,NO,NO,NO,
    NO,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40, 41,42,43,44,45,46,47,48,49,50,51,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
};
static const unsigned char url_values[256] = {
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,62,NO,NO, 52,53,54,55,56,57,58,59,60,61,NO,NO,NO,NO,NO,NO,
    NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,10,11,12,13,14, 15,16,17,18,19,20,21,22,23,24,25,NO,NO,NO,NO,63,
    NO,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40, 41,42,43,44,45,46,47,48,49,50,51,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
    NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO, NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,NO,
};
/* clang-format on */

/* Splits off the padding. False when it is not as the form has it. */
static bool trim_padding(struct slice *text, enum base64_form form)
{
    if (!is_padded(form))
        return text->len % 4 != 1;
    if (text->len % 4 != 0)
        return false;
    if (text->len > 0 && text->ptr[text->len - 1] == '=') {
        text->len--;
        if (text->ptr[text->len - 1] == '=')
            text->len--;
    }
    return true;
}

/* `out` NULL: only checks. */
static bool decode(unsigned char *out, struct slice text, enum base64_form form, size_t *size)
{
    const unsigned char *values = is_url(form) ? url_values : std_values;
    const unsigned char *in, *end;
    size_t written = 0;
    uint32_t bad = 0;

    if (!trim_padding(&text, form))
        return false;
    in = (const unsigned char *)text.ptr;
    for (end = in + text.len / 4 * 4; in != end; in += 4) {
        uint32_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];

        bad |= a | b | c | d;
        if (out != NULL) {
            uint32_t group = a << 18 | b << 12 | c << 6 | d;

            out[written] = (unsigned char)(group >> 16);
            out[written + 1] = (unsigned char)(group >> 8);
            out[written + 2] = (unsigned char)group;
        }
        written += 3;
    }
    text.len %= 4;
    if (text.len > 0) {
        uint32_t a = values[in[0]], b = values[in[1]];
        uint32_t c = text.len == 3 ? values[in[2]] : 0;
        uint32_t unused = text.len == 3 ? c & 3 : b & 15;

        bad |= a | b | c;
        if (unused != 0)
            return false;
        if (out != NULL) {
            out[written] = (unsigned char)(a << 2 | b >> 4);
            if (text.len == 3)
                out[written + 1] = (unsigned char)(b << 4 | c >> 2);
        }
        written += text.len - 1;
    }
    *size = written;
    return (bad & NO) == 0;
}

bool base64_decode(void *to, struct slice text, enum base64_form form, size_t *size)
{
    return decode(to, text, form, size);
}

bool base64_is_valid(struct slice text, enum base64_form form)
{
    size_t size;

    return decode(NULL, text, form, &size);
}
