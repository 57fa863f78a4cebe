/* Bytes of one frame, made contiguous. Growing copies, so it doubles (fourfold while small, as the
 * size classes of mem do). */
#include "r2a/http/gather.h"

#include "r2a/core/check.h"

#define GATHER_BYTES_MIN 256u

static uint32_t size_next(uint32_t size)
{
    if (size == 0)
        return GATHER_BYTES_MIN;
    return size < 16384 ? size * 4 : size * 2;
}

enum r2a_err gather_reserve(struct gather *gather, struct mem *mem, size_t bytes_more,
                            uint32_t bytes_max)
{
    uint32_t need;
    uint32_t size;
    char *ptr;

    check(bytes_max <= UINT32_C(1) << 30);
    if (bytes_more > bytes_max || gather->len > bytes_max - bytes_more)
        return R2A_ERR_FRAME_LIMIT;
    need = gather->len + (uint32_t)bytes_more;
    if (need <= gather->size)
        return R2A_OK;
    size = size_next(gather->size);
    while (size < need)
        size = size_next(size);
    if (size > bytes_max)
        size = bytes_max;
    ptr = mem_take(mem, size);
    if (ptr == NULL)
        return R2A_ERR_NO_MEMORY;
    if (gather->len > 0)
        memcpy(ptr, gather->ptr, gather->len);
    if (gather->size > 0)
        mem_give(mem, gather->ptr, gather->size);
    gather->ptr = ptr;
    gather->size = size;
    return R2A_OK;
}

enum r2a_err gather_put(struct gather *gather, struct mem *mem, struct slice bytes,
                        uint32_t bytes_max)
{
    enum r2a_err err = gather_reserve(gather, mem, bytes.len, bytes_max);

    if (err != R2A_OK)
        return err;
    if (bytes.len > 0)
        memcpy(gather->ptr + gather->len, bytes.ptr, bytes.len);
    gather->len += (uint32_t)bytes.len;
    return R2A_OK;
}

void gather_free(struct gather *gather, struct mem *mem)
{
    if (gather->size > 0)
        mem_give(mem, gather->ptr, gather->size);
    *gather = (struct gather){0};
}
