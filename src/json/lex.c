/* The tables of the JSON room, and the decoder of what stands inside a JSON string. */
#include "lex.h"

#include "find.h"

#define N -1
const int8_t lex_hex[256] = {
    /* clang-format off */
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, N, N, N, N, N, N,
    N,10,11,12,13,14,15, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N,10,11,12,13,14,15, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    /* clang-format on */
};
#undef N

const char lex_unescape[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

size_t lex_decode_into(const char **p, const char *end, char *out, size_t room, bool keeps_lone)
{
    const char *at = *p;
    char *const begin = out;
    const char *const limit = out + room;

    while (at != end) {
        const char *next = at;
        char unit[8];
        uint32_t len;

#if FIND_SSE2
        while (end - at >= 16 && limit - out >= 16) {
            const __m128i block = find_load(at);
            const uint32_t bits = find_mask_bits(find_mask(block, FIND_BACKSLASH), FIND_BACKSLASH);
            uint32_t run;

            _mm_storeu_si128((__m128i *)(void *)out, block);
            run = bits == 0 ? 16 : (uint32_t)__builtin_ctz(bits);
            at += run;
            out += run;
            if (bits != 0)
                break;
        }
        if (at == end)
            break;
        next = at;
#endif
        if (*at != '\\') {
            if (out == limit)
                break;
            *out++ = *at++;
            continue;
        }
        /* The short escapes, nearly all there are. */
        if (lex_likely(end - at >= 2 && lex_unescape[(uint8_t)at[1]] != 0)) {
            if (out == limit)
                break;
            *out++ = lex_unescape[(uint8_t)at[1]];
            at += 2;
            continue;
        }
        if (keeps_lone && lex_is_lone(at, end)) {
            memcpy(unit, at, 6);
            next = at + 6;
            len = 6;
        } else {
            len = lex_decode(&next, end, unit);
        }
        if ((size_t)(limit - out) < len)
            break;
        memcpy(out, unit, len);
        out += len;
        at = next;
    }
    *p = at;
    return (size_t)(out - begin);
}
