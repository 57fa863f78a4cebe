/* Proves in debug builds that nothing allocates after start-up. glibc's allocator is reachable
 * under second names, so defining malloc here sees every call, the C library's own as well. */
#include "r2a/core/heap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "asan.h"
#include "r2a/core/check.h"

#if defined(R2A_HEAP_CHECK) && defined(__GLIBC__) && !R2A_ASAN && !defined(__SANITIZE_THREAD__)
#define HEAP_IS_CHECKED 1
#else
#define HEAP_IS_CHECKED 0
#endif

static _Atomic bool is_frozen;
static _Thread_local bool is_exempt_here;

void heap_freeze(void)
{
    atomic_store(&is_frozen, true);
}

void heap_thaw(void)
{
    atomic_store(&is_frozen, false);
}

void heap_exempt_thread(bool is_exempt)
{
    is_exempt_here = is_exempt;
}

bool heap_is_checked(void)
{
    return HEAP_IS_CHECKED;
}

#if HEAP_IS_CHECKED

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void check_allowed(void)
{
    if (atomic_load_explicit(&is_frozen, memory_order_relaxed) && !is_exempt_here) {
        heap_thaw(); /* what aborting itself may allocate */
        check_failed(__FILE__, __LINE__, "malloc after heap_freeze");
    }
}

void *malloc(size_t size)
{
    check_allowed();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    check_allowed();
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    check_allowed();
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    check_allowed();
    return __libc_memalign(align, size);
}

void *memalign(size_t align, size_t size);
void *memalign(size_t align, size_t size)
{
    check_allowed();
    return __libc_memalign(align, size);
}

int posix_memalign(void **block, size_t align, size_t size)
{
    check_allowed();
    *block = __libc_memalign(align, size);
    return *block != NULL ? 0 : ENOMEM;
}

#endif
