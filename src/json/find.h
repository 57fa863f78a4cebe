#ifndef R2A_JSON_FIND_H
#define R2A_JSON_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(R2A_JSON_SCALAR)
#include <emmintrin.h>
#define FIND_SSE2 1
#else
#define FIND_SSE2 0
#endif

/* The searches that run over every byte. Each has a scalar form and, where SSE2 exists, one that
 * looks at 16 or 64 bytes at once. None reads at or beyond `end`. R2A_JSON_SCALAR selects the
 * scalar forms alone, for other machines and for tests that compare both.
 *
 * They return the first byte of their kind, or `end`. */
enum find {
    FIND_STOP,      /* ends the plain run of a JSON string: quote, backslash, control, high bit */
    FIND_ESCAPE,    /* must be escaped in a JSON string: quote, backslash, control */
    FIND_BACKSLASH, /* begins an escape */
    FIND_QUOTE,     /* quote or backslash */
    FIND_URL,       /* is no common base64: a letter of the URL-safe alphabet, backslash */
};

#define FIND_BLOCK 16 /* bytes looked at together at least */

static inline bool find_is(char c, enum find what)
{
    switch (what) {
    case FIND_STOP:
        return c == '"' || c == '\\' || (uint8_t)c < 0x20 || (uint8_t)c >= 0x80;
    case FIND_ESCAPE:
        return c == '"' || c == '\\' || (uint8_t)c < 0x20;
    case FIND_BACKSLASH:
        return c == '\\';
    case FIND_URL:
        return c == '-' || c == '_' || c == '\\';
    case FIND_QUOTE:
        break;
    }
    return c == '"' || c == '\\';
}

static inline const char *find_scalar(const char *p, const char *end, const enum find what)
{
    while (p != end && !find_is(*p, what))
        p++;
    return p;
}

/* The first byte that is no JSON white space. */
static inline const char *find_content_scalar(const char *p, const char *end)
{
    while (p != end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

#if FIND_SSE2
static inline __m128i find_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A mask over 16 bytes. Of FIND_STOP it is set where a byte is *not* of the kind, which is the
 * cheaper question; the functions below hide that.
 *
 * c ^ 2 maps the quote (0x22) to 0x20 and keeps every byte below 0x20 below it. So one signed
 * comparison with 0x20 finds what is neither quote nor control nor, being negative, a byte with the
 * high bit; and one unsigned minimum finds quote and controls alone. */
static inline __m128i find_mask(__m128i v, const enum find what)
{
    const __m128i x = _mm_xor_si128(v, _mm_set1_epi8(2));
    const __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));

    switch (what) {
    case FIND_STOP:
        return _mm_andnot_si128(backslash, _mm_cmpgt_epi8(x, _mm_set1_epi8(0x20)));
    case FIND_ESCAPE:
        return _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x), backslash);
    case FIND_BACKSLASH:
        return backslash;
    case FIND_URL:
        return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('-')), backslash),
                            _mm_cmpeq_epi8(v, _mm_set1_epi8('_')));
    case FIND_QUOTE:
        break;
    }
    return _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), backslash);
}

/* Bytes of the kind in a mask, a bit each. */
static inline uint32_t find_mask_bits(__m128i mask, const enum find what)
{
    const uint32_t bits = (uint32_t)_mm_movemask_epi8(mask);

    return what == FIND_STOP ? bits ^ 0xffff : bits;
}

/* The mask of two blocks together: whether there is any. */
static inline __m128i find_mask_both(__m128i a, __m128i b, const enum find what)
{
    return what == FIND_STOP ? _mm_and_si128(a, b) : _mm_or_si128(a, b);
}

/* Bytes of the kind among the 16 at `p`, a bit each. */
static inline uint32_t find_bits(const char *p, const enum find what)
{
    return find_mask_bits(find_mask(find_load(p), what), what);
}

/* The same in fewer than 16 bytes, which two loads cover that may overlap: a match in the first
 * half counts from the front, one in the second from the back. */
static inline const char *find_short(const char *p, const char *end, const enum find what)
{
    const size_t len = (size_t)(end - p);
    uint32_t at;

    if (len >= 8) {
        uint64_t front, back;
        uint32_t bits;

        memcpy(&front, p, 8);
        memcpy(&back, end - 8, 8);
        bits = find_mask_bits(find_mask(_mm_set_epi64x((long long)back, (long long)front), what),
                              what);
        if (bits == 0)
            return end;
        at = (uint32_t)__builtin_ctz(bits);
        return at < 8 ? p + at : end - 16 + at;
    }
    if (len >= 4) {
        uint32_t front, back, bits;

        memcpy(&front, p, 4);
        memcpy(&back, end - 4, 4);
        bits = find_mask_bits(find_mask(_mm_set_epi32(0, 0, (int)back, (int)front), what), what) &
               0xff;
        if (bits == 0)
            return end;
        at = (uint32_t)__builtin_ctz(bits);
        return at < 4 ? p + at : end - 8 + at;
    }
    return find_scalar(p, end, what);
}

/* For what is known to be shorter than 64 bytes. */
static inline const char *find_near(const char *p, const char *end, const enum find what)
{
    for (; end - p >= 16; p += 16) {
        const uint32_t bits = find_bits(p, what);

        if (bits != 0)
            return p + (uint32_t)__builtin_ctz(bits);
    }
    return find_short(p, end, what);
}

static inline const char *find_sse2(const char *p, const char *end, const enum find what)
{
    if (end - p >= 64) {
        for (int i = 0; i < 2; i++, p += 16) {
            const uint32_t bits = find_bits(p, what);
            if (bits != 0)
                return p + (uint32_t)__builtin_ctz(bits);
        }
        for (; end - p >= 64; p += 64) {
            const __m128i a = find_mask(find_load(p), what);
            const __m128i b = find_mask(find_load(p + 16), what);
            const __m128i c = find_mask(find_load(p + 32), what);
            const __m128i d = find_mask(find_load(p + 48), what);

            const __m128i any =
                find_mask_both(find_mask_both(a, b, what), find_mask_both(c, d, what), what);

            if (find_mask_bits(any, what) != 0)
                return p + (uint32_t)__builtin_ctzll((uint64_t)find_mask_bits(a, what) |
                                                     (uint64_t)find_mask_bits(b, what) << 16 |
                                                     (uint64_t)find_mask_bits(c, what) << 32 |
                                                     (uint64_t)find_mask_bits(d, what) << 48);
        }
    }
    return find_near(p, end, what);
}

/* A text that is laid out for people has a line break and an indentation for every token. */
static inline const char *find_content_sse2(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        const __m128i v = find_load(p);
        const __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')),
                                           _mm_cmpeq_epi8(v, _mm_set1_epi8('\n')));
        const __m128i rare = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')),
                                          _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
        const uint32_t content = ~(uint32_t)_mm_movemask_epi8(_mm_or_si128(blank, rare)) & 0xffff;

        if (content != 0)
            return p + (uint32_t)__builtin_ctz(content);
    }
    return find_content_scalar(p, end);
}

/* The closing quote, when it comes in the FIND_BLOCK bytes at `p` and nothing special before it; or
 * NULL. The bytes must be there. */
static inline const char *find_near_quote(const char *p)
{
    const uint32_t bits = find_bits(p, FIND_STOP);

    if (__builtin_expect(bits == 0, 0))
        return NULL;
    p += (uint32_t)__builtin_ctz(bits);
    return *p == '"' ? p : NULL;
}

#define find_first   find_sse2
#define find_content find_content_sse2
#else
static inline const char *find_near_quote(const char *p)
{
    const char *const stop = find_scalar(p, p + FIND_BLOCK, FIND_STOP);

    return stop != p + FIND_BLOCK && *stop == '"' ? stop : NULL;
}

#define find_first   find_scalar
#define find_near    find_scalar
#define find_content find_content_scalar
#endif

#endif
