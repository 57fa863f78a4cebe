#ifndef R2A_TESTS_HTTP_OUTCOME_H
#define R2A_TESTS_HTTP_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"
#include "r2a/http/frame.h"
#include "r2a/http/framing.h"
#include "r2a/http/h1_head.h"

/* What a parser made of some bytes, as text, so that any two ways of feeding it can be compared
 * and a failing test says what happened. */
struct outcome {
    char *text; /* NUL-terminated; from malloc */
    size_t len;
    size_t size;
};

void outcome_add(struct outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes, with what is not printable as \xNN. */
void outcome_add_bytes(struct outcome *outcome, struct slice bytes);
void outcome_free(struct outcome *outcome);

/* How input is cut: whole, byte by byte, or at random places. */
#define CUT_WHOLE 0u
#define CUT_BYTES 1u
/* any other number: a seed */

/* Size of the next piece of `left` bytes. */
size_t cut_next(uint64_t *cut, size_t left);

/* A head, dribbled as `cut` says, each prefix at a guard page. */
struct outcome outcome_of_request(struct slice text, uint64_t cut);
struct outcome outcome_of_response(struct slice text, enum http_method method, uint64_t cut);

/* Frames of a stream: "DATA name|data\n" lines, comments without text left out, then how it ended.
 * Checks on the way that raws add up to the stream. */
struct outcome outcome_of_stream(const struct framing *framing, struct slice text,
                                 uint32_t frame_bytes_max, uint64_t cut);

/* A body: "data|what follows it" when complete, "data...end" or "data...cut" when the input ended,
 * or the error. */
struct outcome outcome_of_body(enum http_body_kind kind, uint64_t length, struct slice text,
                               uint64_t cut);

#endif
