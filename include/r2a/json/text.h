#ifndef R2A_JSON_TEXT_H
#define R2A_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/arena.h"
#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* Text in any form (core/slice.h): compare it, measure it, and write it in the form a target needs.
 * Pieces are valid: never cut inside an escape or a UTF-8 sequence. A lone surrogate escape
 * (\ud83d) is kept as it is between JSON strings and becomes U+FFFD when decoded to plain.
 *
 * Writers report through the rope's sticky error. They work in pieces of at most 1 KiB and may ask
 * the rope for some 240 bytes more than they write, so a rope with `bytes_max` says LIMIT that much
 * early at worst. */

/* --- write into a rope, in the form the target needs --- */

/* The inside of a JSON string (no quotes). PLAIN is escaped; ESCAPED is copied; JSON is escaped as
 * text. Only `"`, `\` and control characters are escaped, nothing else (no HTML escaping, '/'
 * stays). Borrowed when long and already escaped (then the bytes must outlive the rope): use _copy
 * where the source does not live that long. */
void text_write_escaped(struct rope *rope, struct text text);
void text_write_escaped_copy(struct rope *rope, struct text text);
/* Quotes around text_write_escaped. */
void text_write_string(struct rope *rope, struct text text);
/* Decoded UTF-8 bytes. */
void text_write_plain(struct rope *rope, struct text text);
/* As text_write_escaped, twice: the text as the inside of a JSON string that itself stands inside
 * a JSON string. */
void text_write_escaped_twice(struct rope *rope, struct text text);
/* A JSON value held as the *content of a string* (tool-call arguments as OpenAI writes them:
 * ESCAPED or PLAIN), written as the value itself: decodes once, but keeps a lone surrogate as the
 * escape it was. The caller has checked that it is valid JSON (text_json_kind). */
void text_write_value(struct rope *rope, struct text text);
/* A whole JSON value (form TEXT_JSON) with white space outside strings removed, as the inside of a
 * JSON string. */
void text_write_json_compact_escaped(struct rope *rope, struct text json);
/* The same, not escaped. */
void text_write_json_compact(struct rope *rope, struct text json);

/* --- look at --- */

/* Equal as decoded characters, whatever the forms. (JSON form compares as text of the value.) */
bool text_eq(struct text a, struct text b);
bool text_is(struct text text, struct slice plain);
/* Case-insensitive in ASCII. */
bool text_is_nocase(struct text text, struct slice plain);
bool text_starts(struct text text, struct slice plain);
bool text_starts_nocase(struct text text, struct slice plain);
/* Takes time in proportion to both lengths multiplied: for short needles in short texts. */
bool text_contains_nocase(struct text text, struct slice plain_lower);
/* Bytes of the decoded text. */
size_t text_plain_len(struct text text);
/* Empty, or only white space (space, tab, LF, CR after decoding). */
bool text_is_blank(struct text text);
/* Without the white space at both ends, or at the end; a part of the same bytes. */
struct text text_trim(struct text text);
/* The bytes at the front that are a character each and stand for themselves: up to the first quote,
 * backslash, control or character beyond ASCII. */
uint32_t text_simple_len(struct text text);
/* Of base64: whether it has no escape and no letter of the URL-safe alphabet. */
bool text_is_common_base64(struct text text);
struct text text_trim_end(struct text text);
/* The decoded text as plain bytes: the same bytes when nothing needs decoding, else a copy in
 * `arena`. False: out of memory. */
bool text_to_plain(struct text text, struct arena *arena, struct slice *plain);
/* Decodes into `buf`; returns the number of bytes, or -1 when it does not fit in `size`. */
int64_t text_decode(struct text text, char *buf, size_t size);
/* 64-bit FNV-1a of the decoded text. */
uint64_t text_hash(struct text text);

/* What the decoded text is, as JSON (for arguments carried in a string). */
enum text_json_kind {
    TEXT_NOT_JSON,
    TEXT_IS_EMPTY, /* nothing but white space */
    TEXT_IS_OBJECT,
    TEXT_IS_ARRAY,
    TEXT_IS_SCALAR, /* string, number, true, false, null */
};
/* Checks strictly (RFC 8259, JSON_DEPTH_MAX), without allocating, for every form. */
enum text_json_kind text_json_kind(struct text text);

/* --- stream --- */

/* Cuts a stream of arbitrary pieces of *escaped* or *plain* text so that none ends inside an
 * escape, a UTF-8 sequence or a surrogate pair. Returns how many bytes of `piece` (from its start,
 * which is where an earlier cut or the text began) are safe to pass on; the rest (at most
 * TEXT_HOLD_BYTES_MAX) must be kept and put in front of the next piece. What remains at the end of
 * the whole text is passed on as it is: a high surrogate whose other half never came. */
size_t text_safe_len(struct text piece);

#endif
