#ifndef R2A_HTTP_JSON_ARRAY_H
#define R2A_HTTP_JSON_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/slice.h"
#include "r2a/http/frame.h"
#include "r2a/http/gather.h"
#include "r2a/http/json_balance.h"

/* A JSON array that grows while it is sent, one element a message: Gemini's streamGenerateContent
 * without alt=sse. Elements are cut by brace depth outside strings; whether they are valid JSON is
 * their reader's business. Each is FRAME_DATA; an object where the array should begin is
 * FRAME_STRAY. The contract is that of struct framing (http/framing.h); finish before the closing
 * bracket says R2A_ERR_TRUNCATED (after which the frames already given stay good). Elements that
 * are neither objects nor arrays are R2A_ERR_FRAME_SYNTAX. */
struct json_array {
    struct mem *mem;
    struct gather gather; /* the element so far, when earlier segments hold some of it */
    uint32_t frame_bytes_max;
    uint32_t element_at; /* in the block: separators, then the element */
    uint32_t scan_at;
    struct json_balance element;
    int32_t err;   /* sticky */
    uint8_t state; /* json_array.c */
    bool is_stray;
    bool is_given; /* the gather buffer belongs to the frame given last */
};

void json_array_init(struct json_array *array, struct mem *mem, uint32_t frame_bytes_max);
int32_t json_array_feed(struct json_array *array, struct slice in, struct frame *frame);
int32_t json_array_finish(struct json_array *array, struct frame *frame);
void json_array_free(struct json_array *array);

#endif
