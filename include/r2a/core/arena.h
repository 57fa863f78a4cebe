#ifndef R2A_CORE_ARENA_H
#define R2A_CORE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/slice.h"

/* Scratch with one lifetime: everything is freed at once by arena_reset. Zero-initialise, then
 * set `mem`. Blocks grow 1 KiB, 4 KiB, 16 KiB; a larger request gets a block of its own. */
struct arena {
    struct mem *mem;
    struct arena_block *block; /* newest first */
    uint32_t used;             /* bytes used of the newest block */
};

/* 16-aligned, not zeroed; NULL when the budget is used up. Valid until arena_reset. */
void *arena_take(struct arena *arena, size_t size);
void *arena_take_zero(struct arena *arena, size_t size);
/* A copy that lives as long as the arena. An empty slice on failure (and for an empty source). */
struct slice arena_copy(struct arena *arena, struct slice bytes);
void arena_reset(struct arena *arena);
/* Bytes taken from mem now. */
size_t arena_bytes(const struct arena *arena);

#endif
