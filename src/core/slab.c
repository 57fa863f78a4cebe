/* Slots of one size over reserved address space: as mem.c, but with an index for each slot and
 * without a budget, since the limit is known at start. */
#include "r2a/core/slab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "asan.h"
#include "r2a/core/check.h"

struct free_slot {
    struct free_slot *next;
};

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

#if R2A_ASAN

/* A table of pointers; the index lies in front of each slot. */
#define PREFIX SLAB_ALIGN

bool slab_open(struct slab *slab, size_t slot_size, uint32_t limit)
{
    check(slot_size > 0);
    check(limit > 0);
    *slab = (struct slab){.slot_size = round_up(slot_size, SLAB_ALIGN), .limit = limit};
    slab->base = calloc(limit, sizeof(void *));
    return slab->base != NULL;
}

void slab_close(struct slab *slab)
{
    check(slab->count == 0);
    free(slab->base);
    *slab = (struct slab){0};
}

static void **table(const struct slab *slab)
{
    return (void **)(void *)slab->base;
}

void *slab_take(struct slab *slab)
{
    uint32_t index = 0;
    char *slot;

    if (slab_is_full(slab))
        return NULL;
    while (table(slab)[index] != NULL)
        index++;
    slot = aligned_alloc(SLAB_ALIGN, PREFIX + slab->slot_size);
    if (slot == NULL)
        return NULL;
    memcpy(slot, &index, sizeof(index));
    slot += PREFIX;
    memset(slot, 0, slab->slot_size);
    table(slab)[index] = slot;
    slab->count++;
    slab->touched = index + 1 > slab->touched ? index + 1 : slab->touched;
    slab->peak = slab->count > slab->peak ? slab->count : slab->peak;
    return slot;
}

uint32_t slab_index(const struct slab *slab, const void *slot)
{
    uint32_t index;

    memcpy(&index, (const char *)slot - PREFIX, sizeof(index));
    check(table(slab)[index] == slot);
    return index;
}

void slab_give(struct slab *slab, void *slot)
{
    table(slab)[slab_index(slab, slot)] = NULL;
    slab->count--;
    free((char *)slot - PREFIX);
}

/* Here a slot that is free by now is gone. */
void *slab_at(const struct slab *slab, uint32_t index)
{
    return index < slab->touched ? table(slab)[index] : NULL;
}

#else

#define PAGE       ((size_t)4096)
#define COMMIT_MIN ((size_t)64 << 10)

bool slab_open(struct slab *slab, size_t slot_size, uint32_t limit)
{
    check(slot_size > 0);
    check(limit > 0);
    *slab = (struct slab){.slot_size = round_up(slot_size, SLAB_ALIGN), .limit = limit};
    slab->map_size = round_up(slab->slot_size * limit, PAGE);
    slab->base =
        mmap(NULL, slab->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab->base == MAP_FAILED) {
        *slab = (struct slab){0};
        return false;
    }
    /* Refused where the kernel has no huge pages: then there is nothing to avoid. */
    (void)madvise(slab->base, slab->map_size, MADV_NOHUGEPAGE);
    return true;
}

void slab_close(struct slab *slab)
{
    check(slab->count == 0);
    if (slab->base != NULL)
        check(munmap(slab->base, slab->map_size) == 0);
    *slab = (struct slab){0};
}

static bool commit(struct slab *slab, size_t end)
{
    size_t target = slab->committed + COMMIT_MIN;

    if (end <= slab->committed)
        return true;
    target = round_up(target > end ? target : end, PAGE);
    if (target > slab->map_size)
        target = slab->map_size;
    if (mprotect(slab->base + slab->committed, target - slab->committed, PROT_READ | PROT_WRITE) !=
        0)
        return false;
    slab->committed = target;
    return true;
}

void *slab_take(struct slab *slab)
{
    struct free_slot *slot = slab->free_first;

    if (slab_is_full(slab))
        return NULL;
    if (slot != NULL) {
        slab->free_first = slot->next;
        __builtin_prefetch(slot->next);
        memset(slot, 0, slab->slot_size);
    } else {
        size_t end = ((size_t)slab->touched + 1) * slab->slot_size;

        check(slab->touched < slab->limit);
        if (!commit(slab, end))
            return NULL;
        slot = (struct free_slot *)(void *)(slab->base + end - slab->slot_size); /* zero pages */
        slab->touched++;
    }
    slab->count++;
    if (slab->count > slab->peak)
        slab->peak = slab->count;
    return slot;
}

uint32_t slab_index(const struct slab *slab, const void *slot)
{
    size_t offset = (size_t)((const char *)slot - slab->base);
    size_t index = offset / slab->slot_size;

    check(index < slab->touched);
    check_slow(offset % slab->slot_size == 0);
    return (uint32_t)index;
}

void slab_give(struct slab *slab, void *slot)
{
    struct free_slot *free_slot = slot;

    (void)slab_index(slab, slot); /* checks that it is one of ours */
    check(slab->count > 0);
    slab->count--;
#ifdef R2A_CHECK_SLOW
    memset(slot, 0xa5, slab->slot_size); /* what is used after it was given back looks wrong */
#endif
    free_slot->next = slab->free_first;
    slab->free_first = free_slot;
}

void *slab_at(const struct slab *slab, uint32_t index)
{
    return index < slab->touched ? slab->base + (size_t)index * slab->slot_size : NULL;
}

#endif
