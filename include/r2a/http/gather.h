#ifndef R2A_HTTP_GATHER_H
#define R2A_HTTP_GATHER_H

#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/mem.h"
#include "r2a/core/slice.h"

/* Contiguous bytes of a frame that spans segments: grows by doubling up to a bound, held only while
 * such a frame is under way. Zero is empty. */
struct gather {
    char *ptr;
    uint32_t len;
    uint32_t
        size; /* what mem_take was asked for; 0: the bytes are borrowed, copied once more come */
};

/* R2A_OK, R2A_ERR_FRAME_LIMIT beyond `bytes_max`, R2A_ERR_NO_MEMORY. On error nothing changes. */
enum r2a_err gather_reserve(struct gather *gather, struct mem *mem, size_t bytes_more,
                            uint32_t bytes_max);
enum r2a_err gather_put(struct gather *gather, struct mem *mem, struct slice bytes,
                        uint32_t bytes_max);
void gather_free(struct gather *gather, struct mem *mem);

#endif
