/* Bump allocation in a chain of blocks. Small arenas cost 1 KiB and grow by as little as they can,
 * since a stream waits with what it has; larger ones by leaps. What does not fit the usual blocks
 * gets one of its own, put behind the newest so that the rest of that one is not lost. */
#include "r2a/core/arena.h"

#include <string.h>

#include "asan.h"
#include "r2a/core/check.h"

struct arena_block {
    struct arena_block *next;
    uint32_t size; /* as taken from mem */
    uint32_t used; /* of a block that is not the newest */
};

#define HEADER           sizeof(struct arena_block)
#define ALIGN            ((size_t)16)
#define BLOCK_SMALL      ((size_t)256)
#define BLOCK_FIRST      ((size_t)1024)
#define BLOCK_MAX        ((size_t)16384)
#define SMALL_BLOCKS_MAX 4u

_Static_assert(HEADER % ALIGN == 0, "what follows the header is aligned");

static struct arena_block *block_new(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_take(arena->mem, size);

    if (block == NULL)
        return NULL;
    block->next = NULL;
    block->size = (uint32_t)size;
    block->used = (uint32_t)size;
    return block;
}

#if R2A_ASAN

/* One block for each piece: an overflow hits a red zone, a use after the reset is seen. */
void *arena_take(struct arena *arena, size_t size)
{
    struct arena_block *block;

    if (size > UINT32_MAX / 2)
        return NULL;
    block = block_new(arena, HEADER + size);
    if (block == NULL)
        return NULL;
    block->next = arena->block;
    arena->block = block;
    return (char *)block + HEADER;
}

#else

static void *take_alone(struct arena *arena, size_t size)
{
    struct arena_block *block = block_new(arena, HEADER + size);

    if (block == NULL)
        return NULL;
    if (arena->block == NULL) {
        arena->block = block;
        arena->used = UINT32_MAX; /* nothing left in it, whatever its size */
    } else {
        block->next = arena->block->next;
        arena->block->next = block;
    }
    return (char *)block + HEADER;
}

static size_t next_size(const struct arena *arena, size_t size)
{
    uint32_t count = 0;

    for (const struct arena_block *block = arena->block; block != NULL; block = block->next) {
        if (block->size > BLOCK_FIRST)
            return block->size >= 4 * BLOCK_FIRST ? BLOCK_MAX : 4 * BLOCK_FIRST;
        count++;
    }
    if (count >= SMALL_BLOCKS_MAX)
        return 4 * BLOCK_FIRST;
    return count > 1 && HEADER + size <= BLOCK_SMALL ? BLOCK_SMALL : BLOCK_FIRST;
}

static bool grow(struct arena *arena, size_t size)
{
    size_t want = next_size(arena, size);
    struct arena_block *block;

    while (want < HEADER + size)
        want *= 4;
    block = block_new(arena, want);
    if (block == NULL)
        return false;
    block->next = arena->block;
    if (block->next != NULL && arena->used < block->next->size)
        block->next->used = arena->used;
    arena->block = block;
    arena->used = (uint32_t)HEADER;
    return true;
}

/* What older blocks have left: the rest of a small one may be all that a stream still needs. */
static void *take_rest(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->block;

    for (uint32_t i = 0; block != NULL && i < SMALL_BLOCKS_MAX; i++) {
        block = block->next;
        if (block != NULL && size <= block->size - block->used) {
            block->used += (uint32_t)size;
            return (char *)block + block->used - size;
        }
    }
    return NULL;
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGN - 1) & ~(ALIGN - 1);
    void *piece;

    if (__builtin_expect(size > BLOCK_MAX - HEADER, 0))
        return size > UINT32_MAX / 2 ? NULL : take_alone(arena, size);
    if (arena->block == NULL || arena->used >= arena->block->size ||
        rounded > arena->block->size - arena->used) {
        piece = take_rest(arena, rounded);
        if (piece != NULL)
            return piece;
        if (!grow(arena, rounded))
            return NULL;
    }
    piece = (char *)arena->block + arena->used;
    arena->used += (uint32_t)rounded;
    return piece;
}

#endif

void *arena_take_zero(struct arena *arena, size_t size)
{
    void *piece = arena_take(arena, size);

    if (piece != NULL)
        memset(piece, 0, size);
    return piece;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy;

    if (bytes.len == 0)
        return (struct slice){0};
    copy = arena_take(arena, bytes.len);
    if (copy == NULL)
        return (struct slice){0};
    memcpy(copy, bytes.ptr, bytes.len);
    return (struct slice){copy, bytes.len};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->block;

    while (block != NULL) {
        struct arena_block *next = block->next;

        mem_give(arena->mem, block, block->size);
        block = next;
    }
    arena->block = NULL;
    arena->used = 0;
}

size_t arena_bytes(const struct arena *arena)
{
    size_t bytes = 0;

    for (const struct arena_block *block = arena->block; block != NULL; block = block->next)
        bytes += block->size;
    return bytes;
}
