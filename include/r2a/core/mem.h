#ifndef R2A_CORE_MEM_H
#define R2A_CORE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one place run-time memory comes from: size classes (256 B, then powers of four up to 16 KiB,
 * then powers of two up to the largest) cut from address space that is reserved at start and
 * committed as it is touched. After start-up nothing calls malloc.
 *
 * A `struct mem` belongs to one thread. Everything taken is charged to a budget that all threads
 * share; reaching it makes mem_take return NULL, which callers turn into 503 or back-pressure.
 * In AddressSanitizer builds each block is a malloc of its own, so that tools still see it.
 *
 * Blocks of up to 16 KiB are packed and recycled LIFO; their pages go back to the system when
 * mem_trim finds a class unused. Larger ones keep up to 32 MiB of pages a thread, and no more than
 * a 64th of the budget, until mem_trim; the rest give theirs back when they are returned. So memory
 * is flat after a burst. */
struct mem_budget {
    _Atomic uint64_t used;    /* charged now, and up to 128 KiB a thread ahead of need: a thread
                                 without blocks in use has charged exactly nothing */
    _Atomic uint64_t peak;    /* highest `used` */
    uint64_t limit;           /* bytes; 0: none */
    uint64_t spare;           /* the last of them, for blocks of up to MEM_SPARE_BLOCK_BYTES only:
                                 who is refused memory can still be told so */
    _Atomic uint64_t refused; /* times that mem_take, mem_charge or mem_reserve said no */
};

#define MEM_SPARE_BLOCK_BYTES 4096u

struct mem; /* opaque; lives in the memory it manages */

/* Reserves address space for one thread. `block_bytes_max` is the largest block ever asked for
 * (a request body at its limit). Returns NULL when the system refuses. Start-up only. */
struct mem *mem_open(struct mem_budget *budget, size_t block_bytes_max);
void mem_close(struct mem *mem);

/* A block of at least `size` bytes (16-aligned, not zeroed), or NULL when the budget or the
 * reservation is used up. `size` must be > 0. */
void *mem_take(struct mem *mem, size_t size);
/* Returns a block; `size` must be the one it was taken with. NULL is ignored. */
void mem_give(struct mem *mem, void *block, size_t size);
/* Gives back the pages of free large blocks, and of small classes of which nothing is in use, but
 * for a reserve. Call it now and then, not at each return: under load classes run empty between two
 * ticks, and every page given back costs a fault. */
void mem_trim(struct mem *mem);
/* Like mem_take but charges nothing yet: address space for `size_max` bytes whose pages are
 * touched as bytes arrive. Charge what is used by mem_charge (false: over budget), return it by
 * mem_unreserve with the sum charged. */
void *mem_reserve(struct mem *mem, size_t size_max);
bool mem_charge(struct mem *mem, size_t bytes);
void mem_unreserve(struct mem *mem, void *block, size_t size_max, size_t charged);

/* How many bytes a block taken with `size` really has. */
size_t mem_usable(size_t size);
/* What this thread's blocks in use are charged, exactly. */
size_t mem_charged(const struct mem *mem);

#endif
