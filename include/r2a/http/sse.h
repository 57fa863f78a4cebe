#ifndef R2A_HTTP_SSE_H
#define R2A_HTTP_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/slice.h"
#include "r2a/http/frame.h"
#include "r2a/http/gather.h"
#include "r2a/http/json_balance.h"

/* Server-sent events (WHATWG HTML §9.2.5-6).
 *
 * The state is exposed so that the caller chooses its memory; its fields are sse.c's business.
 * A block is what lies between blank lines; offsets count from its first byte. */
struct sse {
    struct mem *mem;
    struct gather gather; /* the block so far, when earlier segments hold some of it */
    struct gather join;   /* several data lines as one */
    uint32_t frame_bytes_max;
    uint32_t line_at; /* where the line under way begins */
    uint32_t scan_at; /* no line end before this */
    uint32_t name_at, name_len;
    uint32_t data_at, data_len; /* the first data line's value */
    uint32_t data_count;
    struct json_balance stray;
    int32_t err;        /* sticky */
    bool is_first_line; /* of the stream: a BOM may come before it */
    bool skip_lf;       /* a CR ended a line and its LF may follow */
    bool has_fields;    /* the block has a line that is no comment */
    bool in_stray;
    bool is_given; /* the gather buffers belong to the frame given last */
};

/* Frames: DATA (an event with data; `name` is its event field, or empty), COMMENT (a comment
 * outside an event; or, with empty data, bytes that dispatch nothing: blank lines, blocks without
 * data), STRAY (a JSON text where a field line should be, until its braces balance).
 * `id:` and `retry:` are ignored. The contract is that of struct framing (http/framing.h). */
void sse_init(struct sse *sse, struct mem *mem, uint32_t frame_bytes_max);
int32_t sse_feed(struct sse *sse, struct slice in, struct frame *frame);
/* Also gives out a last event that no blank line ended, complete or not: its reader judges. */
int32_t sse_finish(struct sse *sse, struct frame *frame);
void sse_free(struct sse *sse);

#endif
