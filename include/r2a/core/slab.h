#ifndef R2A_CORE_SLAB_H
#define R2A_CORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slots of one size with a fixed limit: connections, exchanges, TLS sessions. Address space for
 * all of them is reserved at start and touched only as slots are used for the first time; a slot
 * given back is the next one taken. One thread owns a slab. A slot keeps its address and its
 * index for ever, so an index fits where a pointer does not.
 *
 * In AddressSanitizer builds each slot is an allocation of its own. */
struct slab {
    char *base;
    size_t slot_size; /* rounded up to the alignment */
    uint32_t limit;   /* slots at most */
    uint32_t count;   /* taken now */
    uint32_t touched; /* slots that were ever taken */
    uint32_t peak;    /* highest `count` */
    void *free_first;
    size_t committed; /* bytes of the reservation that are accessible */
    size_t map_size;
};

#define SLAB_ALIGN 32u /* what an op asks for; a stream's slots pay for more */

/* False when the system refuses the address space. Start-up only. */
bool slab_open(struct slab *slab, size_t slot_size, uint32_t limit);
/* Every slot must have been given back in tests; in production a process may just end. */
void slab_close(struct slab *slab);

/* A zeroed slot, SLAB_ALIGN aligned; NULL when all are taken (or the system refuses memory). */
void *slab_take(struct slab *slab);
void slab_give(struct slab *slab, void *slot);

/* 0 … limit - 1. */
uint32_t slab_index(const struct slab *slab, const void *slot);
/* The slot of an index that was taken at least once; it may be free by now. NULL when never. */
void *slab_at(const struct slab *slab, uint32_t index);

static inline bool slab_is_full(const struct slab *slab)
{
    return slab->count == slab->limit;
}

#endif
