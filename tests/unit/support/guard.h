#ifndef R2A_TESTS_GUARD_H
#define R2A_TESTS_GUARD_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes that end exactly where an inaccessible page begins: one byte read too many is a crash.
 *
 * guard_copy maps afresh each time; a test that makes many of them returns each with guard_free,
 * the others are returned by the end of the test's process. */

static inline size_t guard_map_size(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (len + page - 1) / page * page + page;
}

/* `len` writable bytes in front of an inaccessible page (not aligned). */
static inline char *guard_take(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = guard_map_size(len);
    char *base =
        (char *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == (char *)MAP_FAILED)
        abort();
    if (mprotect(base + size - page, page, PROT_NONE) != 0)
        abort();
    return base + size - page - len;
}

static inline const char *guard_copy(const char *bytes, size_t len)
{
    char *copy = guard_take(len);

    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

static inline void guard_free(const char *copy, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = guard_map_size(len);
    char *base;

    memcpy(&base, &copy, sizeof(base));
    (void)munmap(base + len + page - size, size);
}

#endif
