/* Writing text in the form a target needs. Every converter fills stretches that it reserves at the
 * tail of the rope, 16 bytes at once where nothing has to change. */
#include "r2a/json/text.h"

#include "r2a/limits.h"

#include "find.h"
#include "lex.h"

/* Input bytes handled by one reservation: larger ones would leave more of a segment unused. */
#define STRETCH   1024u
#define BLOCK     16u
/* What may be written past a limit: two blocks of nothing but controls, escaped twice, and one. */
#define SLACK     (2 * BLOCK * 7 + BLOCK)
/* Up to this length a text is first looked through for anything to escape. */
#define CLEAN_MAX 64u

/* --- escaping --- */

/* What is written for a byte; all eight are stored and `len` of them count. */
struct escape {
    char bytes[7];
    uint8_t len;
};

/* The control characters: X(code, what follows the backslash, its length). */
#define CONTROLS(X)     \
    X(0x00, "u0000", 5) \
    X(0x01, "u0001", 5) \
    X(0x02, "u0002", 5) \
    X(0x03, "u0003", 5) \
    X(0x04, "u0004", 5) \
    X(0x05, "u0005", 5) \
    X(0x06, "u0006", 5) \
    X(0x07, "u0007", 5) \
    X(0x08, "b", 1)     \
    X(0x09, "t", 1)     \
    X(0x0a, "n", 1)     \
    X(0x0b, "u000b", 5) \
    X(0x0c, "f", 1)     \
    X(0x0d, "r", 1)     \
    X(0x0e, "u000e", 5) \
    X(0x0f, "u000f", 5) \
    X(0x10, "u0010", 5) \
    X(0x11, "u0011", 5) \
    X(0x12, "u0012", 5) \
    X(0x13, "u0013", 5) \
    X(0x14, "u0014", 5) \
    X(0x15, "u0015", 5) \
    X(0x16, "u0016", 5) \
    X(0x17, "u0017", 5) \
    X(0x18, "u0018", 5) \
    X(0x19, "u0019", 5) \
    X(0x1a, "u001a", 5) \
    X(0x1b, "u001b", 5) \
    X(0x1c, "u001c", 5) \
    X(0x1d, "u001d", 5) \
    X(0x1e, "u001e", 5) \
    X(0x1f, "u001f", 5)
#define ROW(code, letters, size)       [code] = {"\\" letters, 1 + (size)},
#define ROW_TWICE(code, letters, size) [code] = {"\\\\" letters, 2 + (size)},

/* clang-format off */
static const struct escape once['\\' + 1] = {
    CONTROLS(ROW)
    ['"'] = {"\\\"", 2},
    ['\\'] = {"\\\\", 2},
};

/* The escape of the escape: `"` as \\\" and LF as \\n. */
static const struct escape twice['\\' + 1] = {
    CONTROLS(ROW_TWICE)
    ['"'] = {"\\\\\\\"", 4},
    ['\\'] = {"\\\\\\\\", 4},
};
/* clang-format on */

/* Writes the `len` bytes at `at`, at most a block, escaping those whose bit is set. Reads a block
 * beyond them and writes up to a block beyond what it returns. */
static inline char *put_block(char *out, const char *at, uint32_t len, uint32_t bits,
                              const struct escape *escapes)
{
    uint32_t done = 0;

    memcpy(out, at, BLOCK);
    for (; bits != 0; bits &= bits - 1) {
        const uint32_t next = (uint32_t)__builtin_ctz(bits);
        const struct escape *const escape = &escapes[(uint8_t)at[next]];

        out += next - done;
        memcpy(out, escape, sizeof *escape);
        out += escape->len;
        done = next + 1;
        memcpy(out, at + done, BLOCK);
    }
    return out + (len - done);
}

/* A bit for each of the 16 bytes at `at` that needs an escape. */
static inline uint32_t escape_bits(const char *at)
{
#if FIND_SSE2
    return find_bits(at, FIND_ESCAPE);
#else
    uint32_t bits = 0;

    for (uint32_t i = 0; i < BLOCK; i++)
        bits |= (uint32_t)find_is(at[i], FIND_ESCAPE) << i;
    return bits;
#endif
}

static __attribute__((noinline)) void escape_blocks(struct rope *rope, struct slice bytes,
                                                    const struct escape *escapes)
{
    const char *p = bytes.ptr;
    const char *const end = p + bytes.len;

    while (p != end) {
        const size_t left = (size_t)(end - p);
        const size_t size = (left < STRETCH ? left : STRETCH) + SLACK;
        char *const begin = rope_reserve(rope, size);
        const char *limit;
        char *out = begin;

        if (begin == NULL)
            return;
        limit = begin + size - SLACK;
        while (end - p >= 3 * BLOCK && out <= limit) {
            const uint32_t bits = escape_bits(p) | escape_bits(p + BLOCK) << 16;

            if (lex_likely(bits == 0)) {
                memcpy(out, p, 2 * BLOCK);
                out += 2 * BLOCK;
            } else {
                out = put_block(out, p, BLOCK, bits & 0xffff, escapes);
                out = put_block(out, p + BLOCK, BLOCK, bits >> 16, escapes);
            }
            p += 2 * BLOCK;
        }
        while (end - p < 3 * BLOCK && p != end && out <= limit) {
            /* The last ones, from where a whole block can be read and another behind it. */
            const uint32_t len = end - p < BLOCK ? (uint32_t)(end - p) : BLOCK;
            char tail[2 * BLOCK] = {0};

            memcpy(tail, p, len);
            out = put_block(out, tail, len, escape_bits(tail) & ((1u << len) - 1), escapes);
            p += len;
        }
        rope_commit(rope, (size_t)(out - begin));
    }
}

static inline void escape(struct rope *rope, struct slice bytes, const struct escape *escapes)
{
    const char *const end = lex_end(bytes.ptr, bytes.len);

    /* Most short texts, a token's delta among them, have nothing to escape. */
    if (bytes.len <= CLEAN_MAX && find_first(bytes.ptr, end, FIND_ESCAPE) == end)
        rope_put(rope, bytes);
    else
        escape_blocks(rope, bytes, escapes);
}

static void escape_once(struct rope *rope, struct slice bytes)
{
    escape(rope, bytes, once);
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
        escape(rope, text_bytes(text), twice);
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

/* Kept runs are gathered before they are written: a space after every comma would make each of them
 * a few bytes long. */
struct gather {
    struct rope *rope;
    const struct escape *escapes; /* or NULL */
    uint32_t len;
    char bytes[512];
};

static void gather_flush(struct gather *gather, struct slice bytes)
{
    if (gather->escapes != NULL)
        escape(gather->rope, bytes, gather->escapes);
    else
        rope_put(gather->rope, bytes);
}

static void gather_put(struct gather *gather, struct slice run)
{
    if (run.len > sizeof gather->bytes - gather->len) {
        gather_flush(gather, slice_of(gather->bytes, gather->len));
        gather->len = 0;
        if (run.len > sizeof gather->bytes / 2) {
            gather_flush(gather, run);
            return;
        }
    }
    memcpy(gather->bytes + gather->len, run.ptr, run.len);
    gather->len += (uint32_t)run.len;
}

static void compact(struct rope *rope, struct slice json, const struct escape *escapes)
{
    const char *p = json.ptr;
    const char *const end = lex_end(json.ptr, json.len);
    const char *run = p; /* bytes from here to `p` are kept and not yet gathered */
    struct gather gather;

    gather.rope = rope;
    gather.escapes = escapes;
    gather.len = 0;
    while (p != end) {
        if (*p == '"') {
            p = find_first(p + 1, end, FIND_QUOTE);
            while (p != end && *p == '\\')
                p = end - p < 2 ? end : find_first(p + 2, end, FIND_QUOTE);
            p += p != end;
        } else if ((uint8_t)*p > ' ') {
            p++;
        } else {
            if (p != run)
                gather_put(&gather, slice_between(run, p));
            do
                p++;
            while (p != end && (uint8_t)*p <= ' ');
            run = p;
        }
    }
    if (gather.len == 0) {
        gather_flush(&gather, slice_between(run, end));
        return;
    }
    if (run != end)
        gather_put(&gather, slice_between(run, end));
    gather_flush(&gather, slice_of(gather.bytes, gather.len));
}

void text_write_json_compact(struct rope *rope, struct text json)
{
    compact(rope, text_bytes(json), NULL);
}

void text_write_json_compact_escaped(struct rope *rope, struct text json)
{
    compact(rope, text_bytes(json), once);
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
