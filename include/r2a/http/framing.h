#ifndef R2A_HTTP_FRAMING_H
#define R2A_HTTP_FRAMING_H

#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/slice.h"
#include "r2a/http/frame.h"

/* One way of cutting a byte stream into frames: one file and one row here.
 *
 * The bytes of all frames' `raw`, in order, are the stream, byte for byte: a relay may forward,
 * edit or leave out frame by frame. Bytes without meaning of their own (blank lines, commas between
 * array elements) come as FRAME_COMMENT with empty `data`, so nothing is held back between events
 * and a stream that waits holds no buffer. How such bytes are spread over `raw`s depends on how
 * the input was cut; kind, name and data of all other frames do not. */
// clang-format off
#define FRAMING_LIST(X) \
    X(SSE, sse) \
    X(JSON_ARRAY, json_array) \
    X(DOCUMENT, document)

enum framing_id {
#define X(id, name) FRAMING_##id,
    FRAMING_LIST(X)
#undef X
    FRAMING_COUNT,
};
// clang-format on

struct framing {
    struct slice name; /* as configuration and logs say it */
    uint32_t size;     /* bytes of state: the caller's, 16-aligned */
    /* Gather buffers come from `mem`; a frame that needs more than `frame_bytes_max` (>= 256, at
     * most 1 GiB) is refused. */
    void (*init)(void *state, struct mem *mem, uint32_t frame_bytes_max);
    /* Consumes from `in`, which may end anywhere. Returns >0: bytes consumed, one frame in
     * `*frame`, which borrows from `in` or from buffers of the state, until the next call. 0: all
     * of `in` was kept (or had no byte) and more is needed. <0, sticky: FRAME_LIMIT, FRAME_SYNTAX
     * or NO_MEMORY; then nothing of `in` was consumed by this call, and `frame->raw` has the bytes
     * of earlier calls that no frame covered: a relay forwards those, then `in`, then the rest, and
     * stops observing.
     *
     *     while ((n = framing->feed(state, in, &frame)) > 0) {
     *         ... frame ...
     *         in = slice_skip(in, (size_t)n);
     *     }
     *
     * The last call, with nothing left, gives the last frame's buffers back: do not leave it out.
     */
    int32_t (*feed)(void *state, struct slice in, struct frame *frame);
    /* The stream ended properly. 1: a last frame (call again); 0: done; R2A_ERR_TRUNCATED: the
     * framing itself was cut, `frame->raw` has the bytes no frame covered. */
    int32_t (*finish)(void *state, struct frame *frame);
    /* Gives buffers back; allowed at any time after init, and twice. */
    void (*free)(void *state);
};

extern const struct framing framing_sse;        /* text/event-stream */
extern const struct framing framing_json_array; /* [ {…}, {…} ]: Gemini without alt=sse */
extern const struct framing framing_document;   /* the whole body is one frame */

const struct framing *framing_row(enum framing_id id);
/* By its name ("sse"); NULL when there is none. */
const struct framing *framing_find(struct slice name);

#endif
