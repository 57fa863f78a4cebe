/* Two small pools of large slots: record buffers and handshake workspaces. core/slab.h zeroes what
 * it hands out, which for 33 KiB a record would cost as much as decrypting it. */
#include <stddef.h>
#include <stdlib.h>
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

#define PAGE 4096u

bool tls_pool_open(struct tls_pool *pool, size_t slot_size, uint32_t max)
{
    check(max > 0 && max <= UINT16_MAX);
    *pool = (struct tls_pool){.slot_size = (slot_size + PAGE - 1) / PAGE * PAGE, .max = max};
    pool->map_size = pool->slot_size * max;
    pool->base = mmap(NULL, pool->map_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool->base == MAP_FAILED) {
        *pool = (struct tls_pool){0};
        return false;
    }
    pool->warm = calloc(TLS_POOL_WARM, sizeof(*pool->warm));
    pool->cold = calloc(max, sizeof(*pool->cold));
    if (pool->warm == NULL || pool->cold == NULL) {
        tls_pool_close(pool);
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
    free(pool->warm);
    free(pool->cold);
    *pool = (struct tls_pool){0};
}

void *tls_pool_take(struct tls_pool *pool)
{
    uint32_t index;
    char *slot;

    if (pool->warm_count > 0)
        index = pool->warm[--pool->warm_count];
    else if (pool->cold_count > 0)
        index = pool->cold[--pool->cold_count];
    else if (pool->touched < pool->max)
        index = pool->touched++;
    else
        return NULL;
    slot = pool->base + pool->slot_size * index;
    UNPOISON(slot, pool->slot_size);
    pool->count++;
    return slot;
}

void tls_pool_give(struct tls_pool *pool, void *ptr)
{
    char *slot = ptr;
    size_t offset = (size_t)(slot - pool->base);

    check(pool->count > 0);
    check(slot >= pool->base && offset < pool->map_size && offset % pool->slot_size == 0);
    pool->count--;
    if (pool->warm_count < TLS_POOL_WARM) {
        pool->warm[pool->warm_count++] = (uint16_t)(offset / pool->slot_size);
    } else {
        (void)madvise(slot, pool->slot_size, MADV_DONTNEED);
        pool->cold[pool->cold_count++] = (uint16_t)(offset / pool->slot_size);
    }
    POISON(slot, pool->slot_size);
}
