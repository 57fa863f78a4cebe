#ifndef R2A_HTTP_BYTES_H
#define R2A_HTTP_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What a byte may be part of, and scanning for the first that may not. Each scanner has a plain
 * twin; where there is SSE2 it takes sixteen bytes at a time and leaves the rest to the twin. No
 * scanner reads at or past `end`. */
enum byte_class {
    BYTE_TOKEN = 1,      /* tchar, RFC 9110 §5.6.2 */
    BYTE_VALUE = 2,      /* HTAB, SP, VCHAR, obs-text: all but control bytes */
    BYTE_TARGET = 4,     /* 0x21..0x7e */
    BYTE_UNRESERVED = 8, /* RFC 3986 §2.3 */
    BYTE_REG_NAME = 16,  /* unreserved, sub-delims and '%' */
    BYTE_HEX = 32,
    BYTE_DIGIT = 64,
};

extern const uint8_t http_byte_class[256];

static inline bool byte_is(char byte, unsigned classes)
{
    return (http_byte_class[(uint8_t)byte] & classes) != 0;
}

/* 0..15; only for BYTE_HEX bytes. */
static inline unsigned byte_hex_value(char byte)
{
    return (unsigned)((byte & 15) + (byte >= 'A' ? 9 : 0));
}

static inline char byte_lower(char byte)
{
    return (byte >= 'A' && byte <= 'Z') ? (char)(byte | 0x20) : byte;
}

static inline const char *scan_class_plain(const char *at, const char *end, unsigned classes)
{
    while (at < end && byte_is(*at, classes))
        at++;
    return at;
}

static inline const char *scan_line_end_plain(const char *at, const char *end)
{
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    return at;
}

/* Outside strings of JSON text: what opens, closes or begins a string. */
static inline const char *scan_json_mark_plain(const char *at, const char *end)
{
    while (at < end && *at != '"' && (*at & 0xdf) != '[' && (*at & 0xdf) != ']')
        at++;
    return at;
}

/* Inside one: its end, or an escape. */
static inline const char *scan_json_string_plain(const char *at, const char *end)
{
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

#if defined(__SSE2__)

static inline __m128i load16(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* All ones where byte - low <= span, as unsigned bytes. */
static inline __m128i in_range16(__m128i bytes, char low, char span)
{
    __m128i from_low = _mm_sub_epi8(bytes, _mm_set1_epi8(low));

    return _mm_cmpeq_epi8(_mm_min_epu8(from_low, _mm_set1_epi8(span)), from_low);
}

/* A bit for each of sixteen bytes that ends the run. */
static inline unsigned stops_value(__m128i bytes)
{
    __m128i low = in_range16(bytes, 0, 0x1f);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline unsigned stops_target(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(in_range16(bytes, 0x21, 0x7e - 0x21)) ^ 0xffffu;
}

static inline unsigned stops_line_end(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')),
                                                    _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'))));
}

/* '[' and '{' differ by 0x20 alone, and so do ']' and '}'. */
static inline unsigned stops_json_mark(__m128i bytes)
{
    __m128i folded = _mm_and_si128(bytes, _mm_set1_epi8((char)0xdf));
    __m128i open = _mm_cmpeq_epi8(folded, _mm_set1_epi8('['));
    __m128i close = _mm_cmpeq_epi8(folded, _mm_set1_epi8(']'));
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(open, close), quote));
}

static inline unsigned stops_json_string(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                    _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
}

/* The first byte that `stops`, sixteen at a time. The last sixteen overlap what was seen already,
 * which has no stop; NULL when there are fewer than sixteen bytes in all. */
static inline const char *scan16(const char *at, const char *end, unsigned (*stops)(__m128i))
{
    unsigned mask;

    if (end - at < 16)
        return NULL;
    do {
        mask = stops(load16(at));
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    } while (end - at >= 16);
    mask = stops(load16(end - 16));
    return mask != 0 ? end - 16 + __builtin_ctz(mask) : end;
}

static inline const char *scan_value(const char *at, const char *end)
{
    const char *stop = scan16(at, end, stops_value);

    return stop != NULL ? stop : scan_class_plain(at, end, BYTE_VALUE);
}

static inline const char *scan_target(const char *at, const char *end)
{
    const char *stop = scan16(at, end, stops_target);

    return stop != NULL ? stop : scan_class_plain(at, end, BYTE_TARGET);
}

/* Letters, digits and '-' sixteen at a time; the rarer tchars end the fast part only. */
static inline const char *scan_token(const char *at, const char *end)
{
    while (end - at >= 16) {
        __m128i bytes = load16(at);
        __m128i letter = in_range16(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 25);
        __m128i digit = in_range16(bytes, '0', 9);
        __m128i hyphen = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), hyphen));

        if (mask != 0xffff) {
            at += __builtin_ctz(~(unsigned)mask);
            if (!byte_is(*at, BYTE_TOKEN))
                return at;
            at++;
            continue;
        }
        at += 16;
    }
    return scan_class_plain(at, end, BYTE_TOKEN);
}

static inline const char *scan_line_end(const char *at, const char *end)
{
    const char *stop = scan16(at, end, stops_line_end);

    return stop != NULL ? stop : scan_line_end_plain(at, end);
}

static inline const char *scan_json_mark(const char *at, const char *end)
{
    const char *stop = scan16(at, end, stops_json_mark);

    return stop != NULL ? stop : scan_json_mark_plain(at, end);
}

static inline const char *scan_json_string(const char *at, const char *end)
{
    const char *stop = scan16(at, end, stops_json_string);

    return stop != NULL ? stop : scan_json_string_plain(at, end);
}

#else

static inline const char *scan_value(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_VALUE);
}

static inline const char *scan_target(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_TARGET);
}

static inline const char *scan_token(const char *at, const char *end)
{
    return scan_class_plain(at, end, BYTE_TOKEN);
}

static inline const char *scan_line_end(const char *at, const char *end)
{
    return scan_line_end_plain(at, end);
}

static inline const char *scan_json_mark(const char *at, const char *end)
{
    return scan_json_mark_plain(at, end);
}

static inline const char *scan_json_string(const char *at, const char *end)
{
    return scan_json_string_plain(at, end);
}

#endif

#endif
