/* Writing text in the form a target needs. Every converter fills stretches that it reserves at the
 * tail of the rope, 16 bytes at once where nothing has to change. */
#include "r2a/json/text.h"

#include "r2a/limits.h"

#include "find.h"
#include "lex.h"

/* Input bytes handled by one reservation: larger ones would leave more of a segment unused. */
#define STRETCH   1024u
/* Bytes handled at once; what may be written past a limit is one block and one escape. */
#define BLOCK     32u
#define SLACK     40u
/* Up to this length a text is first looked through for anything to escape. */
#define CLEAN_MAX 64u

/* --- escaping --- */

/* Writes `c`, which needs an escape. Twice: the escape of the escape, `"` as \\\" and LF as \\n. */
static inline char *put_escape(char *out, uint8_t c, const bool is_twice)
{
    const uint8_t letter = lex_escape[c];

    *out++ = '\\';
    if (is_twice) {
        *out++ = '\\';
        if (letter == '"' || letter == '\\')
            *out++ = '\\';
    }
    *out++ = (char)letter;
    if (letter == 'u') {
        *out++ = '0';
        *out++ = '0';
        *out++ = lex_hex_digit[c >> 4];
        *out++ = lex_hex_digit[c & 15];
    }
    return out;
}

/* Escapes from `*p` on, as much as is sure to fit before `limit` and SLACK beyond. */
static inline __attribute__((always_inline)) char *
escape_into(const char **p, const char *end, char *out, const char *limit, const bool is_twice)
{
    const char *at = *p;

    while (at != end && out <= limit) {
        size_t run;

#if FIND_SSE2
        if (lex_likely(end - at >= 32)) {
            const __m128i a = find_load(at);
            const __m128i b = find_load(at + 16);
            const __m128i match_a = find_match(a, FIND_ESCAPE);
            const __m128i match_b = find_match(b, FIND_ESCAPE);

            _mm_storeu_si128((__m128i *)(void *)out, a);
            _mm_storeu_si128((__m128i *)(void *)(out + 16), b);
            if (lex_likely(find_bits(_mm_or_si128(match_a, match_b)) == 0)) {
                at += 32;
                out += 32;
                continue;
            }
            run = (size_t)__builtin_ctz(find_bits(match_a) | find_bits(match_b) << 16);
            out = put_escape(out + run, (uint8_t)at[run], is_twice);
            at += run + 1;
            continue;
        }
#endif
        run = (size_t)(find_near(at, end, FIND_ESCAPE) - at);
        if (run > BLOCK) /* without SIMD the whole rest comes here */
            run = BLOCK;
        memcpy(out, at, run);
        out += run;
        at += run;
        if (at != end && lex_escape[(uint8_t)*at] != 0)
            out = put_escape(out, (uint8_t)*at++, is_twice);
    }
    *p = at;
    return out;
}

static inline __attribute__((always_inline)) void escape(struct rope *rope, struct slice bytes,
                                                         const bool is_twice)
{
    const char *p = bytes.ptr;
    const char *const end = lex_end(bytes.ptr, bytes.len);

    /* Most short texts, a token's delta among them, have nothing to escape. */
    if (bytes.len <= CLEAN_MAX && find_first(p, end, FIND_ESCAPE) == end) {
        rope_put(rope, bytes);
        return;
    }
    while (p != end) {
        const size_t left = (size_t)(end - p);
        const size_t size = (left < STRETCH ? left : STRETCH) + SLACK;
        char *const begin = rope_reserve(rope, size);

        if (begin == NULL)
            return;
        rope_commit(rope,
                    (size_t)(escape_into(&p, end, begin, begin + size - SLACK, is_twice) - begin));
    }
}

static void escape_once(struct rope *rope, struct slice bytes)
{
    escape(rope, bytes, false);
}

void text_write_escaped(struct rope *rope, struct text text)
{
    if (text.form == TEXT_ESCAPED)
        rope_borrow(rope, text_bytes(text));
    else
        escape_once(rope, text_bytes(text));
}

void text_write_escaped_copy(struct rope *rope, struct text text)
{
    if (text.form == TEXT_ESCAPED)
        rope_put(rope, text_bytes(text));
    else
        escape_once(rope, text_bytes(text));
}

void text_write_string(struct rope *rope, struct text text)
{
    rope_put_char(rope, '"');
    text_write_escaped(rope, text);
    rope_put_char(rope, '"');
}

void text_write_escaped_twice(struct rope *rope, struct text text)
{
    if (text.form == TEXT_ESCAPED)
        escape_once(rope, text_bytes(text));
    else
        escape(rope, text_bytes(text), true);
}

/* --- decoding --- */

static void decode(struct rope *rope, struct slice bytes, bool keeps_lone)
{
    const char *p = bytes.ptr;
    const char *const end = lex_end(bytes.ptr, bytes.len);

    while (p != end) {
        const size_t left = (size_t)(end - p);
        const size_t size = left < STRETCH ? left : STRETCH;
        char *const out = rope_reserve(rope, size);

        if (out == NULL)
            return;
        rope_commit(rope, lex_decode_into(&p, end, out, size, keeps_lone));
    }
}

void text_write_plain(struct rope *rope, struct text text)
{
    if (text.form == TEXT_ESCAPED)
        decode(rope, text_bytes(text), false);
    else
        rope_put(rope, text_bytes(text));
}

void text_write_value(struct rope *rope, struct text text)
{
    if (text.form == TEXT_ESCAPED)
        decode(rope, text_bytes(text), true);
    else
        rope_put(rope, text_bytes(text));
}

/* --- compacting --- */

static inline __attribute__((always_inline)) void compact(struct rope *rope, struct slice json,
                                                          const bool is_escaped)
{
    const char *p = json.ptr;
    const char *const end = lex_end(json.ptr, json.len);
    const char *run = p; /* bytes from here to `p` are kept and not yet written */

    for (;;) {
        while (p != end && *p != '"' && !lex_is_space(*p))
            p++;
        if (p != end && *p == '"') {
            p = find_first(p + 1, end, FIND_QUOTE);
            while (p != end && *p == '\\')
                p = end - p < 2 ? end : find_first(p + 2, end, FIND_QUOTE);
            p += p != end;
            continue;
        }
        if (is_escaped)
            escape_once(rope, slice_between(run, p));
        else
            rope_put(rope, slice_between(run, p));
        if (p == end)
            return;
        run = p = lex_skip_space(p, end);
    }
}

void text_write_json_compact(struct rope *rope, struct text json)
{
    compact(rope, text_bytes(json), false);
}

void text_write_json_compact_escaped(struct rope *rope, struct text json)
{
    compact(rope, text_bytes(json), true);
}

/* --- cutting --- */

/* Whether UTF-8 may be cut in the last three bytes; where. */
static size_t safe_utf8(const char *ptr, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const uint8_t c = (uint8_t)ptr[len - back];

        if (c < 0x80)
            break;
        if (c >= 0xc0) {
            const size_t need = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

            return back < need ? len - back : len;
        }
    }
    return len;
}

/* Whether an escape, or a pair of them, may be cut by the end; where.
 *
 * Twelve bytes before the end are enough to see a whole pair, but whether a backslash there begins
 * an escape or is the second of one is known only from the first of its row. */
static size_t safe_escapes(const char *ptr, size_t len)
{
    size_t i = len > TEXT_HOLD_BYTES_MAX ? len - TEXT_HOLD_BYTES_MAX : 0;

    while (i > 0 && ptr[i - 1] == '\\')
        i--;
    while (i < len) {
        size_t unit = i;

        if (ptr[i] != '\\') {
            i++;
            continue;
        }
        if (len - i < 2)
            return i;
        if (ptr[i + 1] != 'u') {
            i += 2;
            continue;
        }
        if (len - i < 6)
            return i;
        i += 6;
        if (lex_escape_step(ptr + unit, ptr + len) != 6 || !lex_is_high(lex_unit(ptr + unit)))
            continue;
        if (i == len || (ptr[i] == '\\' && (i + 1 == len || (ptr[i + 1] == 'u' && len - i < 6))))
            return unit;
        if (ptr[i] == '\\' && lex_escape_step(ptr + i, ptr + len) == 6 &&
            lex_is_low(lex_unit(ptr + i)))
            i += 6;
    }
    return len;
}

size_t text_safe_len(struct text piece)
{
    if (piece.form == TEXT_JSON || piece.len == 0)
        return piece.len;
    if ((uint8_t)piece.ptr[piece.len - 1] >= 0x80)
        return safe_utf8(piece.ptr, piece.len);
    return piece.form == TEXT_ESCAPED ? safe_escapes(piece.ptr, piece.len) : piece.len;
}
