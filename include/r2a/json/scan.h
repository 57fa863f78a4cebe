#ifndef R2A_JSON_SCAN_H
#define R2A_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "r2a/core/err.h"
#include "r2a/core/slice.h"
#include "r2a/limits.h"

/* A strict pull tokenizer for RFC 8259: valid UTF-8, no trailing commas, no leading zeros, no BOM,
 * bounded depth, one value. It allocates nothing and calls nobody back: the caller asks for the
 * next token, and every token borrows from the bytes given.
 *
 * Two uses, one machine:
 *  - whole text: json_open(scan, bytes); strings and numbers come whole;
 *  - pieces:     json_open_pieces(scan); json_feed(scan, piece, is_last); JSON_MORE asks for the
 *                next piece. A string or number that crosses a piece comes in parts: every part
 *                but the last has `is_partial` set, and the last may be empty. A part never ends
 *                inside an escape or a UTF-8 sequence or between the halves of a surrogate pair:
 *                the scanner keeps up to TEXT_HOLD_BYTES_MAX bytes itself, and such a part borrows
 *                from the scanner until the next call.
 *
 * After JSON_ERROR, `err` and `offset` (bytes from the start of the text) say what and where; both
 * stick. The offset is that of the first byte that cannot continue the text: the wrong byte of an
 * escape, number or literal, the first byte of an invalid UTF-8 sequence, the bracket that nests
 * too deeply, or the length of a text that ends too early (R2A_ERR_JSON_END).
 *
 * A \uXXXX escape may name half a surrogate pair: the grammar allows it, json/text.h says what
 * becomes of it. */
enum json_token {
    JSON_ERROR,
    JSON_MORE, /* pieces only: this piece is used up */
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_END, /* the one value is complete and nothing but white space follows */
};

/* Strings of JSON_MEMO_BYTES_MIN bytes and more that a first pass met, in order, so that a second
 * pass over the same bytes steps over them instead of scanning them again. Where there are too many
 * the longest stay: a long conversation may end with an image. */
#define JSON_MEMO_SPANS_MAX 32u
#define JSON_MEMO_BYTES_MIN 512u
struct json_memo {
    uint32_t count;
    uint32_t shortest; /* index, once it is full */
    struct {
        const char *begin; /* first byte inside the quotes */
        const char *end;   /* the closing quote */
        bool has_escape;
    } spans[JSON_MEMO_SPANS_MAX];
};

struct json_scan {
    const char *pos;
    const char *end;
    const char *begin; /* of the bytes given now */
    struct slice text; /* of KEY, STRING (inside the quotes, escaped form), NUMBER (as written) */
    bool has_escape;   /* of KEY, STRING: a backslash occurs in `text` */
    bool is_partial;   /* pieces only: more of this KEY, STRING or NUMBER follows */
    /* Everything below is private but `depth`, `err` and `offset`. */
    uint8_t state;
    uint8_t after; /* the state that follows a complete value here */
    uint8_t depth; /* containers open now */
    bool is_last;
    bool is_pieces;
    uint8_t inside;    /* pieces: the token whose middle the last piece ended in */
    uint8_t progress;  /* pieces: how far into a number or literal */
    uint8_t hold_len;  /* bytes of an incomplete unit kept from earlier pieces */
    uint8_t hold_used; /* of these, given out as a part by the last call */
    char hold[16];
    enum r2a_err err;
    uint64_t offset_base;           /* bytes of earlier pieces */
    uint64_t offset;                /* of the error */
    struct json_memo *memo;         /* being written by this pass */
    const struct json_memo *recall; /* written by an earlier pass */
    const char *recall_begin;       /* of the next span of `recall`, or NULL */
    uint32_t recall_next;
    uint8_t outer[JSON_DEPTH_MAX]; /* `after` of each container around this one */
};

/* Begins over a whole text, which stays until the last token was used. */
void json_open(struct json_scan *scan, struct slice bytes);
/* As json_open, noting long strings in `memo` (cleared first). */
void json_open_memo(struct json_scan *scan, struct slice bytes, struct json_memo *memo);
/* As json_open over the same bytes again, or a part of them that is one value, stepping over the
 * strings `memo` knows: they were validated. `memo` may be NULL. */
void json_open_recall(struct json_scan *scan, struct slice bytes, const struct json_memo *memo);
/* Begins without bytes: the first json_next says JSON_MORE. */
void json_open_pieces(struct json_scan *scan);
/* The next piece, only when the one before is used up (JSON_MORE). It may be empty and must stay
 * until it is used up itself. `is_last`: the text ends with it. */
void json_feed(struct json_scan *scan, struct slice piece, bool is_last);

enum json_token json_next(struct json_scan *scan);

/* Whole text only. json_skip takes the next value whole (after JSON_KEY: that member's);
 * json_skip_after takes the rest of the value whose first token was just taken. Both yield its
 * exact bytes (quotes and brackets included) in `*raw` when raw is not NULL. False on a syntax
 * error, and where there is no value: at the end of a container or of the text. */
bool json_skip(struct json_scan *scan, struct slice *raw);
bool json_skip_after(struct json_scan *scan, enum json_token token, struct slice *raw);

/* Whole text only, where a member or the end of an object is next. Takes the member whole: JSON_KEY
 * with the key in `text` as ever, the first token of its value in `*kind` and the value's exact
 * bytes in `*raw`. Else JSON_OBJECT_END or JSON_ERROR. */
enum json_token json_member(struct json_scan *scan, enum json_token *kind, struct slice *raw);

/* Whole text only. Takes the next value, which must be of the kind asked for; a JSON null gives
 * `*is_null` and an empty value (`is_null` may be NULL: then null is an error). False on another
 * type (R2A_ERR_JSON_TYPE, at the value) or on a syntax error; both end the scan. */
bool json_take_string(struct json_scan *scan, struct text *value, bool *is_null);
bool json_take_bool(struct json_scan *scan, bool *value, bool *is_null);
/* Any JSON number, as its source text in `*raw`. */
bool json_take_number(struct json_scan *scan, struct slice *raw, bool *is_null);

/* The rest of json_key_is for a key with escapes in it. */
bool json_key_is_escaped(const struct json_scan *scan, struct slice name);

/* True when the current JSON_KEY, unescaped, equals `name` (which is plain ASCII). Inline, so that
 * a name known at compile time costs a comparison of lengths and one of words. */
static inline bool json_key_is(const struct json_scan *scan, struct slice name)
{
    if (__builtin_expect(scan->has_escape, 0))
        return json_key_is_escaped(scan, name);
    return scan->text.len == name.len && memcmp(scan->text.ptr, name.ptr, name.len) == 0;
}

/* Index of the current key in a table of plain ASCII names, or -1. */
int json_key_index(const struct json_scan *scan, const struct slice *names, uint32_t count);

/* Exact integer of a JSON number's source text. Accepts forms that are integers in value (1e2,
 * 5.0). False when fractional or out of int64 range. */
bool json_number_int(struct slice number, int64_t *value);
/* Approximate double of a JSON number (within a few units in the last place: enough for comparing
 * and clamping). Beyond the range of double: an infinity. */
double json_number_double(struct slice number);

#endif
