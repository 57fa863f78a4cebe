/* Two small pools of large slots: record buffers and handshake workspaces. core/slab.h zeroes what
 * it hands out, which for 33 KiB a record would cost as much as decrypting it. */
#include <stddef.h>
#include <sys/mman.h>

#include "r2a/core/check.h"
#include "tls_state.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(ptr, size)   __asan_poison_memory_region((ptr), (size))
#define UNPOISON(ptr, size) __asan_unpoison_memory_region((ptr), (size))
#else
#define POISON(ptr, size)   ((void)(ptr), (void)(size))
#define UNPOISON(ptr, size) ((void)(ptr), (void)(size))
#endif

struct free_slot {
    struct free_slot *next;
};

bool tls_pool_open(struct tls_pool *pool, size_t slot_size, uint32_t max)
{
    check(slot_size >= sizeof(struct free_slot));
    check(max > 0);
    *pool = (struct tls_pool){.slot_size = (slot_size + 63) / 64 * 64, .max = max};
    pool->map_size = pool->slot_size * max;
    pool->base = mmap(NULL, pool->map_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool->base == MAP_FAILED) {
        *pool = (struct tls_pool){0};
        return false;
    }
    /* Else one touched slot may become two megabytes. Refused only where there is no THP. */
    (void)madvise(pool->base, pool->map_size, MADV_NOHUGEPAGE);
    POISON(pool->base, pool->map_size);
    return true;
}

void tls_pool_close(struct tls_pool *pool)
{
    check(pool->count == 0);
    if (pool->base != NULL) {
        UNPOISON(pool->base, pool->map_size);
        check(munmap(pool->base, pool->map_size) == 0);
    }
    *pool = (struct tls_pool){0};
}

void *tls_pool_take(struct tls_pool *pool)
{
    struct free_slot *slot = pool->free_first;

    if (slot != NULL) {
        UNPOISON(slot, pool->slot_size);
        pool->free_first = slot->next;
    } else {
        if (pool->touched == pool->max)
            return NULL;
        slot = (struct free_slot *)(void *)(pool->base + pool->slot_size * pool->touched);
        pool->touched++;
        UNPOISON(slot, pool->slot_size);
    }
    pool->count++;
    return slot;
}

void tls_pool_give(struct tls_pool *pool, void *slot)
{
    struct free_slot *free_slot = slot;

    check(pool->count > 0);
    check((char *)slot >= pool->base && (char *)slot < pool->base + pool->map_size);
    check(((size_t)((char *)slot - pool->base)) % pool->slot_size == 0);
    free_slot->next = pool->free_first;
    pool->free_first = free_slot;
    pool->count--;
    POISON(slot, pool->slot_size);
}
