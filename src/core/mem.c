/* Size classes over reserved address space. This file decides where blocks lie and when their
 * pages go back to the system; what may be held at all is the budget's decision.
 *
 *   reservation (PROT_NONE until touched, no huge pages)
 *   +------------+-------------+--------+--------+- - -+---------+---------+- - -
 *   | struct mem | free stacks | 256 B  | 1 KiB  |     | 16 KiB  | 32 KiB  |  ...
 *   +------------+-------------+--------+--------+- - -+---------+---------+- - -
 *                                 |
 *                                 +-- [ blocks given out before ][ committed ][ PROT_NONE ... ]
 *                                     0                      bump       committed        span
 *
 * One span for each class costs address space only, and makes a block's class checkable from its
 * address. Fresh blocks come from `bump`, so nothing is touched before it is used. Free small
 * blocks are linked through themselves. Free large blocks have no page that may be touched, so
 * their numbers are kept on a stack aside.
 *
 * Pages become accessible by mprotect in steps instead of all at once: where the system does not
 * overcommit (vm.overcommit_memory=2) accessible private memory is what it counts. */
#include "r2a/core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "asan.h"
#include "r2a/core/check.h"

#define SMALL_CLASSES   4u
#define LARGE_CLASSES   20u                /* 32 KiB … 16 GiB */
#define LARGE_BITS_MIN  15u                /* log2 of the first large class */
#define SMALL_BYTES_MAX ((size_t)16384)    /* largest small class */
#define SPAN_UNBOUNDED  ((size_t)16 << 30) /* of a class when the budget has no limit */
#define SPAN_SHARE      4u /* addresses a byte of budget: reserved blocks exceed their charge */
#define SPAN_BYTES_MIN  ((size_t)64 << 20) /* below this a class is no use */
#define LARGE_COUNT_MIN 256u               /* reserved blocks need addresses, not budget */
#define COMMIT_MIN      ((size_t)64 << 10) /* step of mprotect, grows with the class */
#define COMMIT_MAX      ((size_t)1 << 20)
#define CACHE_BYTES_MIN ((size_t)256 << 10) /* large blocks that keep their pages */
#define CACHE_BYTES_MAX ((size_t)32 << 20)  /* … until mem_trim */
#define CACHE_SHARE     64u                 /* … but at most this part of a budget */
#define RESET_BYTES_MIN ((size_t)512 << 10) /* an unused small class larger than this */
#define RESET_KEEP      ((size_t)256 << 10) /* … is cut back to this */
#define CREDIT_BYTES    ((size_t)64 << 10)  /* charged ahead, to spare the shared counter */
#define CREDIT_SHARE    256u                /* … but at most this part of a small budget */
#define ADDRESS_MAX     ((size_t)1 << 44)
#define PAGE            ((size_t)4096)
#define NUMBER_HOT      (1u << 31) /* on the stack: this block still has its pages */

struct free_block {
    struct free_block *next;
};

struct region {
    char *base;
    size_t span;
    size_t bump;      /* bytes given out at least once */
    size_t committed; /* bytes accessible */
    uint32_t taken;   /* blocks in use */
    uint32_t free_count;
    struct free_block *free_first; /* small */
    uint32_t *free_numbers;        /* large */
};

struct mem {
    struct mem_budget *budget;
    size_t charged; /* by blocks in use */
    size_t credit;  /* charged to the budget ahead of need */
    size_t credit_max;
    size_t cached; /* bytes of free large blocks that kept their pages */
    size_t cached_max;
    size_t map_size;
    uint32_t classes;
    struct region regions[SMALL_CLASSES + LARGE_CLASSES];
};

static uint32_t class_of(size_t size)
{
    if (size <= 1024)
        return size <= 256 ? 0 : 1;
    if (size <= SMALL_BYTES_MAX)
        return size <= 4096 ? 2 : 3;
    return SMALL_CLASSES + (uint32_t)(64 - __builtin_clzll(size - 1)) - LARGE_BITS_MIN;
}

static size_t class_bytes(uint32_t class)
{
    return class < SMALL_CLASSES ? (size_t)256 << (2 * class)
                                 : (size_t)1 << (class - SMALL_CLASSES + LARGE_BITS_MIN);
}

size_t mem_usable(size_t size)
{
#if R2A_ASAN
    return size;
#else
    return class_bytes(class_of(size));
#endif
}

size_t mem_charged(const struct mem *mem)
{
    return mem->charged;
}

/* --- the budget --- */

static void note_peak(struct mem_budget *budget, uint64_t used)
{
    uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);

    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* The slow half: leaving `spare` over, asks the shared counter for what is needed, and for a credit
 * if there is one. */
static bool charge_shared(struct mem *mem, size_t bytes, uint64_t spare)
{
    struct mem_budget *budget = mem->budget;
    uint64_t need = bytes - mem->credit;
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    uint64_t grant;

    do {
        grant = need + mem->credit_max;
        if (budget->limit != 0) {
            uint64_t left = budget->limit > used + spare ? budget->limit - used - spare : 0;

            if (left < need) {
                atomic_fetch_add_explicit(&budget->refused, 1, memory_order_relaxed);
                return false;
            }
            if (grant > left)
                grant = left;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + grant,
                                                    memory_order_relaxed, memory_order_relaxed));
    note_peak(budget, used + grant);
    mem->credit = (size_t)(grant - need);
    return true;
}

static bool charge(struct mem *mem, size_t bytes)
{
    if (mem->credit >= bytes)
        mem->credit -= bytes;
    else if (!charge_shared(mem, bytes, bytes > MEM_SPARE_BLOCK_BYTES ? mem->budget->spare : 0))
        return false;
    mem->charged += bytes;
    return true;
}

static void uncharge(struct mem *mem, size_t bytes)
{
    size_t keep = mem->credit_max;

    check(bytes <= mem->charged);
    mem->charged -= bytes;
    mem->credit += bytes;
    if (mem->charged == 0)
        keep = 0; /* an idle thread holds nothing, and `used` tells a leak exactly */
    else if (mem->credit <= 2 * keep)
        return;
    atomic_fetch_sub_explicit(&mem->budget->used, mem->credit - keep, memory_order_relaxed);
    mem->credit = keep;
}

bool mem_charge(struct mem *mem, size_t bytes)
{
    if (mem->credit >= bytes)
        mem->credit -= bytes;
    else if (!charge_shared(mem, bytes, mem->budget->spare))
        return false;
    mem->charged += bytes;
    return true;
}

static size_t credit_max(const struct mem_budget *budget)
{
    if (budget->limit == 0 || budget->limit / CREDIT_SHARE > CREDIT_BYTES)
        return CREDIT_BYTES;
    return (size_t)(budget->limit / CREDIT_SHARE);
}

/* --- blocks --- */

#if R2A_ASAN

struct mem *mem_open(struct mem_budget *budget, size_t block_bytes_max)
{
    struct mem *mem = calloc(1, sizeof(*mem));

    if (mem == NULL)
        return NULL;
    mem->budget = budget;
    mem->credit_max = credit_max(budget);
    mem->classes =
        class_of(block_bytes_max > SMALL_BYTES_MAX ? block_bytes_max : SMALL_BYTES_MAX) + 1;
    return mem;
}

void mem_close(struct mem *mem)
{
    atomic_fetch_sub_explicit(&mem->budget->used, mem->credit + mem->charged, memory_order_relaxed);
    free(mem);
}

static void *block_take(struct mem *mem, uint32_t class, size_t size)
{
    (void)mem;
    (void)class;
    return malloc(size);
}

static void block_give(struct mem *mem, uint32_t class, void *block)
{
    (void)mem;
    (void)class;
    free(block);
}

void mem_trim(struct mem *mem)
{
    (void)mem; /* free has done it */
}

#else

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

/* Address space of one class. `shrink` halves it until the system is content. */
static size_t span_of(const struct mem_budget *budget, uint32_t class, uint32_t shrink)
{
    size_t block = class_bytes(class);
    size_t span = SPAN_UNBOUNDED;

    if (budget->limit != 0 && budget->limit < span / SPAN_SHARE)
        span = (size_t)budget->limit * SPAN_SHARE;
    if (span < SPAN_BYTES_MIN)
        span = SPAN_BYTES_MIN;
    if (class >= SMALL_CLASSES && span < block * LARGE_COUNT_MIN)
        span = block * LARGE_COUNT_MIN;
    span >>= shrink;
    return round_up(span, block);
}

static size_t stack_bytes(uint32_t class, size_t span)
{
    return class < SMALL_CLASSES ? 0 : round_up(span / class_bytes(class) * sizeof(uint32_t), PAGE);
}

/* Places the regions behind a header at `base`; returns what they need altogether. With `base`
 * NULL it only measures. */
static size_t lay_out(const struct mem_budget *budget, uint32_t classes, uint32_t shrink,
                      char *base, size_t *head_size)
{
    struct mem *mem = (struct mem *)(void *)base;
    size_t head = round_up(sizeof(struct mem), PAGE);
    size_t offset;

    for (uint32_t i = SMALL_CLASSES; i < classes; i++) {
        if (base != NULL)
            mem->regions[i].free_numbers = (uint32_t *)(void *)(base + head);
        head += stack_bytes(i, span_of(budget, i, shrink));
    }
    offset = head;
    for (uint32_t i = 0; i < classes; i++) {
        size_t span = span_of(budget, i, shrink);

        if (base != NULL) {
            mem->regions[i].base = base + offset;
            mem->regions[i].span = span;
        }
        offset += round_up(span, PAGE);
    }
    *head_size = head;
    return offset;
}

static size_t cached_max(const struct mem_budget *budget)
{
    size_t share = budget->limit == 0 ? CACHE_BYTES_MAX : (size_t)budget->limit / CACHE_SHARE;

    return share < CACHE_BYTES_MIN ? CACHE_BYTES_MIN
           : share < CACHE_BYTES_MAX ? share
                                     : CACHE_BYTES_MAX;
}

struct mem *mem_open(struct mem_budget *budget, size_t block_bytes_max)
{
    uint32_t classes =
        class_of(block_bytes_max > SMALL_BYTES_MAX ? block_bytes_max : SMALL_BYTES_MAX) + 1;
    size_t head = 0, size = 0;
    char *base = NULL;
    uint32_t shrink = 0;

    check(classes <= SMALL_CLASSES + LARGE_CLASSES);
    for (; shrink < 16; shrink++) { /* RLIMIT_AS may allow less than we would like */
        size = lay_out(budget, classes, shrink, NULL, &head);
        if (size > ADDRESS_MAX)
            continue;
        base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED)
            break;
        base = NULL;
    }
    if (base == NULL)
        return NULL;
    /* Refused where the kernel has no huge pages: then there is nothing to avoid. */
    (void)madvise(base, size, MADV_NOHUGEPAGE);
    if (mprotect(base, head, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(base, size);
        return NULL;
    }
    (void)lay_out(budget, classes, shrink, base, &head);

    struct mem *mem = (struct mem *)(void *)base;

    mem->budget = budget;
    mem->credit_max = credit_max(budget);
    mem->classes = classes;
    mem->cached_max = cached_max(budget);
    mem->map_size = size;
    return mem;
}

void mem_close(struct mem *mem)
{
    atomic_fetch_sub_explicit(&mem->budget->used, mem->credit + mem->charged, memory_order_relaxed);
    check(munmap(mem, mem->map_size) == 0);
}

/* Makes the region accessible up to `end`, and some way further for small classes. */
static bool commit(struct region *region, size_t end, bool is_small)
{
    size_t step = 0;
    size_t target;

    if (end <= region->committed)
        return true;
    if (is_small) {
        step = region->committed / 2;
        step = step < COMMIT_MIN ? COMMIT_MIN : step > COMMIT_MAX ? COMMIT_MAX : step;
    }
    target = round_up(end > region->committed + step ? end : region->committed + step, PAGE);
    if (target > round_up(region->span, PAGE))
        target = round_up(region->span, PAGE);
    if (mprotect(region->base + region->committed, target - region->committed,
                 PROT_READ | PROT_WRITE) != 0)
        return false;
    region->committed = target;
    return true;
}

static void *block_fresh(struct region *region, size_t bytes, bool is_small)
{
    char *block = region->base + region->bump;

    if (region->span - region->bump < bytes)
        return NULL;
    if (!commit(region, region->bump + bytes, is_small))
        return NULL;
    region->bump += bytes;
    return block;
}

static void *block_take(struct mem *mem, uint32_t class, size_t size)
{
    struct region *region = &mem->regions[class];
    size_t bytes = class_bytes(class);
    void *block;

    (void)size;
    if (class < SMALL_CLASSES && region->free_first != NULL) {
        struct free_block *first = region->free_first;

        region->free_first = first->next;
        /* blocks go out one after another: the next one's link comes from memory by then */
        __builtin_prefetch(first->next);
        block = first;
    } else if (class >= SMALL_CLASSES && region->free_count > 0) {
        uint32_t number = region->free_numbers[--region->free_count];

        if (number & NUMBER_HOT)
            mem->cached -= bytes;
        block = region->base + (size_t)(number & ~NUMBER_HOT) * bytes;
    } else {
        block = block_fresh(region, bytes, class < SMALL_CLASSES);
        if (block == NULL)
            return NULL;
    }
    region->taken++;
    return block;
}

/* Nothing of this class is in use: start again from the front, with most pages given back. */
static void region_reset(struct region *region)
{
    if (madvise(region->base + RESET_KEEP, region->committed - RESET_KEEP, MADV_DONTNEED) != 0)
        return;
    region->bump = 0;
    region->free_first = NULL;
}

static void give_pages(struct region *region, uint32_t number, size_t bytes)
{
    /* Cannot fail for memory of our own; if it did, the block would only stay resident. */
    (void)madvise(region->base + (size_t)number * bytes, bytes, MADV_DONTNEED);
}

static void region_cool(struct mem *mem, uint32_t class)
{
    struct region *region = &mem->regions[class];
    size_t bytes = class_bytes(class);

    for (uint32_t i = 0; i < region->free_count; i++) {
        uint32_t *number = &region->free_numbers[i];

        if (!(*number & NUMBER_HOT))
            continue;
        *number &= ~NUMBER_HOT;
        mem->cached -= bytes;
        give_pages(region, *number, bytes);
    }
}

void mem_trim(struct mem *mem)
{
    for (uint32_t class = 0; class < SMALL_CLASSES; class ++) {
        struct region *region = &mem->regions[class];

        if (region->taken == 0 && region->bump >= RESET_BYTES_MIN)
            region_reset(region);
    }
    for (uint32_t class = SMALL_CLASSES; class < mem->classes && mem->cached > CACHE_BYTES_MIN;
         class ++)
        region_cool(mem, class);
}

static void block_give(struct mem *mem, uint32_t class, void *block)
{
    struct region *region = &mem->regions[class];
    size_t bytes = class_bytes(class);
    size_t offset = (size_t)((char *)block - region->base);

    check(offset < region->bump); /* of this mem and taken with a size of this class */
    check_slow(offset % bytes == 0);
    check(region->taken > 0);
    region->taken--;
    if (class < SMALL_CLASSES) {
        struct free_block *free_block = block;

#ifdef R2A_CHECK_SLOW
        memset(block, 0xa5, bytes); /* what is used after it was given back looks wrong */
#endif
        free_block->next = region->free_first;
        region->free_first = free_block;
        return;
    }

    uint32_t number = (uint32_t)(offset / bytes);

    if (mem->cached + bytes <= mem->cached_max) {
        mem->cached += bytes;
        number |= NUMBER_HOT;
    } else {
        give_pages(region, number, bytes);
    }
    region->free_numbers[region->free_count++] = number;
}

#endif

void *mem_take(struct mem *mem, size_t size)
{
    uint32_t class = class_of(size);
    void *block;

    check(size > 0);
    if (__builtin_expect(class >= mem->classes, 0)) {
        atomic_fetch_add_explicit(&mem->budget->refused, 1, memory_order_relaxed);
        return NULL;
    }
    if (!charge(mem, class_bytes(class)))
        return NULL;
    block = block_take(mem, class, size);
    if (__builtin_expect(block == NULL, 0)) {
        uncharge(mem, class_bytes(class));
        atomic_fetch_add_explicit(&mem->budget->refused, 1, memory_order_relaxed);
    }
    return block;
}

void mem_give(struct mem *mem, void *block, size_t size)
{
    uint32_t class = class_of(size);

    if (block == NULL)
        return;
    check(size > 0);
    check(class < mem->classes);
    uncharge(mem, class_bytes(class));
    block_give(mem, class, block);
}

void *mem_reserve(struct mem *mem, size_t size_max)
{
    uint32_t class = class_of(size_max);
    void *block = NULL;

    check(size_max > 0);
    if (class < mem->classes)
        block = block_take(mem, class, size_max);
    if (block == NULL)
        atomic_fetch_add_explicit(&mem->budget->refused, 1, memory_order_relaxed);
    return block;
}

void mem_unreserve(struct mem *mem, void *block, size_t size_max, size_t charged)
{
    uint32_t class = class_of(size_max);

    if (block == NULL)
        return;
    check(class < mem->classes);
    uncharge(mem, charged);
    block_give(mem, class, block);
}
