/* UTF-8: the well-formed sequences of RFC 3629 section 4, and nothing else. */
#include "r2a/core/utf8.h"

#include <string.h>

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The bytes a sequence has by its first one; 0 for what cannot be first. */
static size_t sequence_len(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0; /* a tail, or an overlong form of ASCII */
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

size_t utf8_decode(struct slice s, uint32_t *code_point)
{
    unsigned char first, second;
    size_t len;
    uint32_t point;

    if (s.len == 0)
        return 0;
    first = (unsigned char)s.ptr[0];
    len = sequence_len(first);
    if (len == 1) {
        *code_point = first;
        return 1;
    }
    if (len == 0 || len > s.len)
        return 0;
    second = (unsigned char)s.ptr[1];
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0; /* overlong, surrogate, above U+10FFFF */
    point = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (!is_tail(s.ptr[i]))
            return 0;
        point = point << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    }
    *code_point = point;
    return len;
}

/* Which byte of a word in memory is the first that is not zero. */
static size_t first_set_byte(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (size_t)__builtin_ctzll(word) / 8;
#else
    return (size_t)__builtin_clzll(word) / 8;
#endif
}

size_t utf8_valid_len(struct slice s)
{
    size_t at = 0;

    while (at < s.len) {
        uint32_t point;
        size_t len;
        uint64_t word;

        while (s.len - at >= sizeof(word)) {
            memcpy(&word, s.ptr + at, sizeof(word));
            word &= 0x8080808080808080u;
            if (word != 0) {
                at += first_set_byte(word);
                break;
            }
            at += sizeof(word);
        }
        if (at == s.len)
            break;
        len = utf8_decode(slice_skip(s, at), &point);
        if (len == 0)
            break;
        at += len;
    }
    return at;
}

bool utf8_is_valid(struct slice s)
{
    return utf8_valid_len(s) == s.len;
}

size_t utf8_safe_len(struct slice s)
{
    size_t back_max = s.len < 3 ? s.len : 3;

    for (size_t back = 1; back <= back_max; back++) {
        char c = s.ptr[s.len - back];

        if (is_tail(c))
            continue;
        return sequence_len((unsigned char)c) > back ? s.len - back : s.len;
    }
    return s.len;
}

struct slice utf8_head(struct slice s, size_t bytes_max)
{
    if (s.len <= bytes_max)
        return s;
    return slice_head(s, utf8_safe_len(slice_head(s, bytes_max)));
}

size_t utf8_encode(char to[UTF8_BYTES_MAX], uint32_t code_point)
{
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
        code_point = UTF8_REPLACEMENT;
    if (code_point < 0x80) {
        to[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        to[0] = (char)(0xc0 | code_point >> 6);
        to[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        to[0] = (char)(0xe0 | code_point >> 12);
        to[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code_point >> 18);
    to[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}
