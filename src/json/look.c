/* Looking at text without converting it: comparing, measuring, trimming, classifying. All of it
 * reads through a reader, which yields decoded runs that borrow from the text. */
#include "r2a/json/text.h"

#include "r2a/json/scan.h"

#include "find.h"
#include "lex.h"

#define DECODE_BYTES  1024u /* decoded at once on the stack */
#define RUN_BYTES_MAX 256   /* few look beyond the first run, and a text may be an image */

struct reader {
    const char *p;
    const char *end;
    bool is_escaped;
    char unit[4]; /* the last decoded escape */
};

static inline struct reader reader_of(struct text text)
{
    return (struct reader){
        .p = text.ptr,
        .end = lex_end(text.ptr, text.len),
        .is_escaped = text.form == TEXT_ESCAPED,
    };
}

/* The next run, never empty, valid until the next call; false at the end. */
static inline bool reader_next(struct reader *reader, struct slice *run)
{
    const char *stop = reader->end;

    if (reader->p == reader->end)
        return false;
    if (stop - reader->p > RUN_BYTES_MAX)
        stop = reader->p + RUN_BYTES_MAX;
    if (reader->is_escaped) {
        if (*reader->p == '\\') {
            run->len = lex_decode(&reader->p, reader->end, reader->unit);
            run->ptr = reader->unit;
            return true;
        }
        stop = find_first(reader->p, stop, FIND_BACKSLASH);
    }
    *run = slice_between(reader->p, stop);
    reader->p = stop;
    return true;
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

/* Whether the text begins with `plain`; `*is_all` tells whether nothing follows it. */
static bool begins(struct text text, struct slice plain, bool ignores_case, bool *is_all)
{
    struct reader reader = reader_of(text);
    struct slice run;

    *is_all = false;
    while (reader_next(&reader, &run)) {
        const size_t len = run.len < plain.len ? run.len : plain.len;

        if (plain.len == 0)
            return true;
        if (ignores_case ? !same_nocase(run.ptr, plain.ptr, len)
                         : memcmp(run.ptr, plain.ptr, len) != 0)
            return false;
        plain = slice_skip(plain, len);
        if (len < run.len)
            return true;
    }
    *is_all = true;
    return plain.len == 0;
}

bool text_eq(struct text a, struct text b)
{
    struct reader reader_a = reader_of(a);
    struct reader reader_b = reader_of(b);
    struct slice run_a = {0};
    struct slice run_b = {0};

    if (!reader_b.is_escaped)
        return text_is(a, text_bytes(b));
    if (!reader_a.is_escaped)
        return text_is(b, text_bytes(a));
    if (slice_eq(text_bytes(a), text_bytes(b)))
        return true;
    for (;;) {
        size_t len;

        if (run_a.len == 0 && !reader_next(&reader_a, &run_a))
            return run_b.len == 0 && !reader_next(&reader_b, &run_b);
        if (run_b.len == 0 && !reader_next(&reader_b, &run_b))
            return false;
        len = run_a.len < run_b.len ? run_a.len : run_b.len;
        if (memcmp(run_a.ptr, run_b.ptr, len) != 0)
            return false;
        run_a = slice_skip(run_a, len);
        run_b = slice_skip(run_b, len);
    }
}

bool text_is(struct text text, struct slice plain)
{
    bool is_all;

    /* Decoding never lengthens, and only a backslash tells it from the plain text: most differences
     * show without reading further. */
    if (text.len < plain.len || (text.form != TEXT_ESCAPED && text.len != plain.len))
        return false;
    if (plain.len == 0)
        return text.len == 0;
    if (text.ptr[0] != plain.ptr[0] && (text.form != TEXT_ESCAPED || text.ptr[0] != '\\'))
        return false;
    return begins(text, plain, false, &is_all) && is_all;
}

bool text_is_nocase(struct text text, struct slice plain)
{
    bool is_all;

    return text.len >= plain.len && begins(text, plain, true, &is_all) && is_all;
}

bool text_starts(struct text text, struct slice plain)
{
    bool is_all;

    return text.len >= plain.len && begins(text, plain, false, &is_all);
}

bool text_starts_nocase(struct text text, struct slice plain)
{
    bool is_all;

    return text.len >= plain.len && begins(text, plain, true, &is_all);
}

bool text_contains_nocase(struct text text, struct slice plain_lower)
{
    struct text rest = text;

    /* From every character on: the rest of an escaped text is an escaped text. */
    while (rest.len >= plain_lower.len) {
        const char *next = rest.ptr + 1;
        bool is_all;

        if (begins(rest, plain_lower, true, &is_all))
            return true;
        if (rest.len == 0)
            break;
        if (rest.form == TEXT_ESCAPED && *rest.ptr == '\\') {
            char unit[4];

            next = rest.ptr;
            (void)lex_decode(&next, rest.ptr + rest.len, unit);
        }
        rest.len -= (uint32_t)(next - rest.ptr);
        rest.ptr = next;
    }
    return false;
}

size_t text_plain_len(struct text text)
{
    struct reader reader = reader_of(text);
    struct slice run;
    size_t len = 0;

    while (reader_next(&reader, &run))
        len += run.len;
    return len;
}

uint32_t text_simple_len(struct text text)
{
    return (uint32_t)(find_first(text.ptr, lex_end(text.ptr, text.len), FIND_STOP) - text.ptr);
}

bool text_is_common_base64(struct text text)
{
    const char *const end = lex_end(text.ptr, text.len);

    return find_first(text.ptr, end, FIND_URL) == end;
}

bool text_is_blank(struct text text)
{
    struct reader reader = reader_of(text);
    struct slice run;

    while (reader_next(&reader, &run))
        if (lex_skip_space(run.ptr, run.ptr + run.len) != run.ptr + run.len)
            return false;
    return true;
}

/* --- trimming --- */

/* Bytes of the white space character that ends the text; 0 when another one does. */
static uint32_t space_at_end(struct text text)
{
    const char *const end = lex_end(text.ptr, text.len);
    uint32_t len;
    const char *p;

    if (text.len == 0)
        return 0;
    if (lex_is_space(end[-1]))
        return 1;
    if (text.form != TEXT_ESCAPED)
        return 0;
    if (text.len >= 2 && (end[-1] == 'n' || end[-1] == 't' || end[-1] == 'r') && end[-2] == '\\')
        len = 2;
    else if (text.len >= 6 && end[-5] == 'u' && end[-6] == '\\' &&
             lex_escape_step(end - 6, end) == 6 && lex_unit(end - 6) <= ' ' &&
             lex_is_space((char)lex_unit(end - 6)))
        len = 6;
    else
        return 0;
    /* The backslash begins an escape only when an even number of them stands before it. */
    p = end - len;
    while (p != text.ptr && p[-1] == '\\')
        p--;
    return (end - len - p) % 2 == 0 ? len : 0;
}

struct text text_trim_end(struct text text)
{
    uint32_t len;

    while ((len = space_at_end(text)) > 0)
        text.len -= len;
    return text;
}

struct text text_trim(struct text text)
{
    struct reader reader = reader_of(text);
    struct slice run;

    while (reader_next(&reader, &run)) {
        const size_t spaces = (size_t)(lex_skip_space(run.ptr, run.ptr + run.len) - run.ptr);

        /* An escape is one character, so a run that is not all space begins where it was read. */
        if (spaces < run.len && run.ptr != reader.unit)
            text.ptr = run.ptr + spaces;
        if (spaces < run.len)
            break;
        text.ptr = reader.p;
    }
    text.len = (uint32_t)(reader.end - text.ptr);
    return text_trim_end(text);
}

/* --- decoding --- */

int64_t text_decode(struct text text, char *buf, size_t size)
{
    const char *p = text.ptr;
    const char *const end = lex_end(text.ptr, text.len);
    size_t len;

    if (text.form == TEXT_ESCAPED) {
        len = lex_decode_into(&p, end, buf, size, false);
        return p == end ? (int64_t)len : -1;
    }
    if (text.len > size)
        return -1;
    if (text.len > 0)
        memcpy(buf, text.ptr, text.len);
    return text.len;
}

bool text_to_plain(struct text text, struct arena *arena, struct slice *plain)
{
    char *copy;

    if (text.form != TEXT_ESCAPED || find_first(text.ptr, lex_end(text.ptr, text.len),
                                                FIND_BACKSLASH) == lex_end(text.ptr, text.len)) {
        *plain = text_bytes(text);
        return true;
    }
    copy = arena_take(arena, text.len);
    if (copy == NULL)
        return false;
    *plain = slice_of(copy, (size_t)text_decode(text, copy, text.len));
    return true;
}

uint64_t text_hash(struct text text)
{
    struct reader reader = reader_of(text);
    struct slice run;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    while (reader_next(&reader, &run))
        for (size_t i = 0; i < run.len; i++)
            hash = (hash ^ (uint8_t)run.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* --- classifying --- */

static enum text_json_kind kind_of(enum json_token token)
{
    switch (token) {
    case JSON_OBJECT:
        return TEXT_IS_OBJECT;
    case JSON_ARRAY:
        return TEXT_IS_ARRAY;
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return TEXT_IS_SCALAR;
    case JSON_ERROR:
    case JSON_MORE:
    case JSON_OBJECT_END:
    case JSON_ARRAY_END:
    case JSON_KEY:
    case JSON_END:
        break;
    }
    return TEXT_NOT_JSON;
}

static enum text_json_kind whole_kind(struct slice bytes)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, bytes);
    token = json_next(&scan);
    if (!json_skip_after(&scan, token, NULL) || json_next(&scan) != JSON_END)
        return TEXT_NOT_JSON;
    return kind_of(token);
}

/* The same over decoded text, a buffer at a time; most fit one. */
static enum text_json_kind decoded_kind(struct text text)
{
    const char *p = text.ptr;
    const char *const end = text.ptr + text.len;
    struct json_scan scan;
    char buf[DECODE_BYTES];
    enum json_token first = JSON_MORE;
    size_t len = lex_decode_into(&p, end, buf, sizeof buf, false);

    if (p == end)
        return whole_kind(slice_of(buf, len));
    json_open_pieces(&scan);
    for (;;) {
        enum json_token token;

        json_feed(&scan, slice_of(buf, len), p == end);
        while ((token = json_next(&scan)) != JSON_MORE) {
            if (token == JSON_ERROR)
                return TEXT_NOT_JSON;
            if (token == JSON_END)
                return kind_of(first);
            if (first == JSON_MORE)
                first = token;
        }
        len = lex_decode_into(&p, end, buf, sizeof buf, false);
    }
}

enum text_json_kind text_json_kind(struct text text)
{
    const struct slice bytes = text_bytes(text);
    const char *const end = lex_end(bytes.ptr, bytes.len);

    if (text_is_blank(text))
        return TEXT_IS_EMPTY;
    if (text.form == TEXT_ESCAPED && find_first(bytes.ptr, end, FIND_BACKSLASH) != end)
        return decoded_kind(text);
    return whole_kind(bytes);
}
