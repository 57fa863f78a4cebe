#ifndef R2A_HTTP_BODY_H
#define R2A_HTTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/rope.h"
#include "r2a/core/slice.h"
#include "r2a/http/h1_head.h"

/* Message bodies on the wire (RFC 9112 §6, §7): by length, chunked, until the connection closes.
 * Reading copies nothing: decoded runs are slices of what was received. */
struct http_body {
    uint64_t left;       /* of the body (LENGTH) or of the open chunk */
    uint64_t bytes;      /* decoded so far */
    uint64_t overhead;   /* chunk framing so far */
    uint32_t line_bytes; /* of the chunk line or trailer section under way */
    uint8_t kind;        /* enum http_body_kind */
    uint8_t state;       /* body.c */
    uint8_t digits;      /* of the chunk size under way */
    bool is_complete;    /* all of the body was read; bytes that follow are another message's */
};

/* `length` is used when kind is HTTP_BODY_LENGTH. NONE and a length of 0 are complete at once. */
void http_body_init(struct http_body *body, enum http_body_kind kind, uint64_t length);

/* Reads on. `in` may be cut at any byte.
 * Returns >0 bytes consumed, with the decoded run among them in `*data` (borrowed from `in`;
 * possibly empty: framing only); 0 when the body is complete (bytes in `in` belong to the next
 * message) or `in` is empty; R2A_ERR_HTTP_BODY for malformed or wasteful chunks.
 *
 *     while (in.len > 0 && !body.is_complete) {
 *         int32_t n = http_body_feed(&body, in, &data);
 *         if (n < 0) ...
 *         in = slice_skip(in, (size_t)n);
 *         ... data ...
 *     }
 *
 * Chunk extensions are skipped, trailers checked and dropped; both within bounds, and so is
 * framing that outweighs what it frames. */
int32_t http_body_feed(struct http_body *body, struct slice in, struct slice *data);

/* The peer ended the connection: R2A_OK when that completes the body or it was complete already,
 * else R2A_ERR_TRUNCATED. */
enum r2a_err http_body_finish(struct http_body *body);

/* Writing chunks (errors are sticky in the rope). A chunk of 0 bytes would end the body, so empty
 * ones are left out. */
void http_chunk_put(struct rope *out, struct slice bytes);
/* All of `bytes`, which is left empty, as one chunk. Both ropes share one mem. */
void http_chunk_append(struct rope *out, struct rope *bytes);
/* Or by hand: the head of a chunk of `size` > 0 bytes, then the bytes, then the end. */
void http_chunk_begin(struct rope *out, size_t size);
void http_chunk_end(struct rope *out);
void http_chunk_last(struct rope *out); /* "0\r\n\r\n" */

#endif
