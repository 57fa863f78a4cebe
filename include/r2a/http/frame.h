#ifndef R2A_HTTP_FRAME_H
#define R2A_HTTP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* One unit of a stream, however it is framed. Slices borrow from the framing's input or its gather
 * buffer, until the next call. */
enum frame_kind {
    FRAME_DATA,     /* `name` and `data` of one event */
    FRAME_COMMENT,  /* a comment: a sign of life; `data` is its text */
    FRAME_STRAY,    /* a JSON text where a field line should be (Gemini's late errors) */
    FRAME_ERROR,    /* an exception frame (AWS event stream) */
    FRAME_DOCUMENT, /* a whole, unframed body */
};

struct frame {
    uint8_t kind;      /* enum frame_kind */
    bool is_open;      /* the stream ended before the event's blank line */
    struct slice name; /* event name, or empty */
    struct slice data; /* payload */
    struct slice head; /* the framing's own header block, if any */
    struct slice raw;  /* the exact bytes, terminator included: what a relay forwards */
};

#endif
