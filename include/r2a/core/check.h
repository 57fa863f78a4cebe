#ifndef R2A_CORE_CHECK_H
#define R2A_CORE_CHECK_H

/* Assertions about our own code, always compiled in; never about what a peer sent.
 * A failed check prints file, line and expression to stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *what);

#define check(condition)                                  \
    do {                                                  \
        if (__builtin_expect(!(condition), 0))            \
            check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

/* Costly claims: debug, fuzz and sanitizer builds only. */
#ifdef R2A_CHECK_SLOW
#define check_slow(condition) check(condition)
#else
#define check_slow(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#define unreachable() check_failed(__FILE__, __LINE__, "unreachable")

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

#endif
