#ifndef R2A_JSON_LEX_H
#define R2A_JSON_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What the scanner and the text converters share: tables, and UTF-8 and escapes one unit at a time.
 * Nothing here reads at or beyond `end`. */

#define lex_likely(condition)   __builtin_expect(!!(condition), 1)
#define lex_unlikely(condition) __builtin_expect(!!(condition), 0)

extern const int8_t lex_hex[256];    /* value of a hex digit, -1 for anything else */
extern const char lex_unescape[256]; /* what `\c` stands for; 0: no such escape (or 'u') */

/* The end of `len` bytes at `p`, which may be NULL when there are none. */
static inline const char *lex_end(const char *p, size_t len)
{
    return len == 0 ? p : p + len;
}

static inline bool lex_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool lex_is_digit(char c)
{
    return (uint8_t)(c - '0') <= 9;
}

static inline const char *lex_skip_space(const char *p, const char *end)
{
    while (p != end && lex_is_space(*p))
        p++;
    return p;
}

/* --- one unit --- */

/* Length of the UTF-8 sequence that begins at `p` (p < end, high bit set); 0 when `end` cuts a
 * sequence valid so far; -1 when no valid sequence begins so (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static inline int32_t lex_utf8_step(const char *p, const char *end)
{
    const uint8_t *const u = (const uint8_t *)p;
    const size_t room = (size_t)(end - p);
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (u[0] < 0xc2) {
        return -1;
    } else if (u[0] < 0xe0) {
        len = 2;
    } else if (u[0] < 0xf0) {
        len = 3;
        low = u[0] == 0xe0 ? 0xa0 : 0x80;
        high = u[0] == 0xed ? 0x9f : 0xbf;
    } else if (u[0] < 0xf5) {
        len = 4;
        low = u[0] == 0xf0 ? 0x90 : 0x80;
        high = u[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return -1;
    }
    if (room >= 2 && (u[1] < low || u[1] > high))
        return -1;
    for (size_t i = 2; i < len && i < room; i++)
        if ((u[i] & 0xc0) != 0x80)
            return -1;
    return room >= len ? (int32_t)len : 0;
}

/* The same for runs: steps over valid sequences of two and three bytes while four bytes can be
 * read, and stops at the first byte that is none of their beginnings. */
static inline const char *lex_skip_utf8(const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - p >= 4) {
        uint32_t w;

        memcpy(&w, p, sizeof w);
        if ((w & 0x00c0c0f0u) == 0x008080e0u && (w & 0x0000200fu) != 0 &&
            (w & 0x0000200fu) != 0x0000200du)
            p += 3;
        else if ((w & 0x0000c0e0u) == 0x000080c0u && (w & 0x0000001eu) != 0)
            p += 2;
        else
            break;
    }
#else
    (void)end;
#endif
    return p;
}

/* Length of the escape that begins at `p` (*p is the backslash); 0 when `end` cuts one that is
 * valid so far; minus the index of the byte that is wrong. */
static inline int32_t lex_escape_step(const char *p, const char *end)
{
    if (end - p < 2)
        return 0;
    if (lex_likely(lex_unescape[(uint8_t)p[1]] != 0))
        return 2;
    if (p[1] != 'u')
        return -1;
    for (int32_t i = 2; i < 6; i++) {
        if (p + i == end)
            return 0;
        if (lex_hex[(uint8_t)p[i]] < 0)
            return -i;
    }
    return 6;
}

/* The code unit of a valid \uXXXX at `p`. */
static inline uint32_t lex_unit(const char *p)
{
    return (uint32_t)lex_hex[(uint8_t)p[2]] << 12 | (uint32_t)lex_hex[(uint8_t)p[3]] << 8 |
           (uint32_t)lex_hex[(uint8_t)p[4]] << 4 | (uint32_t)lex_hex[(uint8_t)p[5]];
}

static inline bool lex_is_high(uint32_t unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static inline bool lex_is_low(uint32_t unit)
{
    return (unit & 0xfc00) == 0xdc00;
}

/* Writes a code point as UTF-8; returns the number of bytes. */
static inline uint32_t lex_put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes the escape, or pair of them, at `*p` (a backslash before `end`) into at most 4 bytes of
 * `out`; returns their number and moves `*p` past it. A lone surrogate gives U+FFFD. The text was
 * validated; a backslash that begins no escape after all stands for itself. */
static inline uint32_t lex_decode(const char **p, const char *end, char *out)
{
    const char *const at = *p;
    const int32_t len = lex_escape_step(at, end);
    uint32_t code;

    if (lex_likely(len == 2)) {
        *p = at + 2;
        out[0] = lex_unescape[(uint8_t)at[1]];
        return 1;
    }
    if (len != 6) {
        *p = at + 1;
        out[0] = '\\';
        return 1;
    }
    *p = at + 6;
    code = lex_unit(at);
    if (lex_is_high(code) && end - *p >= 6 && at[6] == '\\' && lex_escape_step(at + 6, end) == 6 &&
        lex_is_low(lex_unit(at + 6))) {
        *p = at + 12;
        code = 0x10000 + ((code & 0x3ff) << 10 | (lex_unit(at + 6) & 0x3ff));
    } else if (lex_is_high(code) || lex_is_low(code)) {
        code = 0xfffd;
    }
    return lex_put_utf8(code, out);
}

/* Decodes the inside of a JSON string from `*p` on, as much of it as `room` bytes at `out` take
 * without cutting a unit; moves `*p` past what was decoded and returns the bytes written. Never
 * writes more bytes than it reads. A lone surrogate becomes U+FFFD, or stays the escape it is. */
size_t lex_decode_into(const char **p, const char *end, char *out, size_t room, bool keeps_lone);

/* Whether the escape at `p` is a surrogate without its other half. */
static inline bool lex_is_lone(const char *p, const char *end)
{
    if (lex_escape_step(p, end) != 6)
        return false;
    if (lex_is_low(lex_unit(p)))
        return true;
    if (!lex_is_high(lex_unit(p)))
        return false;
    return !(end - p >= 12 && p[6] == '\\' && lex_escape_step(p + 6, end) == 6 &&
             lex_is_low(lex_unit(p + 6)));
}

#endif
