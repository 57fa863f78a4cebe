/* memcpy, memmove, memset, memcmp and memchr for builds with musl, whose own are made for size: 25
 * to 38 ns for a copy of 5 to 100 bytes, and one token of a stream is some dozens of those. These
 * take 1 to 3 ns there. Strong symbols of a program win over the C library's archive.
 *
 * The idea of all: short sizes load everything before they store anything, by two moves that
 * overlap in the middle; long ones run over aligned 64-byte blocks, with unaligned moves for both
 * ends. Baseline SSE2; on other machines musl's versions stay.
 *
 * The unit test includes this file with other names. Compile it without LTO, and with
 * -fno-tree-loop-distribute-patterns or the like, lest a loop here becomes a call of itself. */
#ifndef MUSL_MEM_NAME
#ifdef R2A_MUSL
#define MUSL_MEM_NAME(name) name
#endif
#endif

#include <stddef.h>
#include <stdint.h>

#if defined(MUSL_MEM_NAME) && defined(__SSE2__)

#include <emmintrin.h>

#if defined(__clang__)
#define PLAIN __attribute__((no_builtin, used, no_sanitize("address")))
#else
#define PLAIN                                                                \
    __attribute__((optimize("O2", "no-tree-loop-distribute-patterns"), used, \
                   no_sanitize("address")))
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline, no_sanitize("address")))

typedef uint64_t unaligned_u64 __attribute__((aligned(1), may_alias));
typedef uint32_t unaligned_u32 __attribute__((aligned(1), may_alias));
typedef uint16_t unaligned_u16 __attribute__((aligned(1), may_alias));

void *MUSL_MEM_NAME(memcpy)(void *restrict to, const void *restrict from, size_t size);
void *MUSL_MEM_NAME(memmove)(void *to, const void *from, size_t size);
void *MUSL_MEM_NAME(memset)(void *to, int c, size_t size);
int MUSL_MEM_NAME(memcmp)(const void *a, const void *b, size_t size);
void *MUSL_MEM_NAME(memchr)(const void *in, int c, size_t size);

ALWAYS_INLINE __m128i load(const char *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

ALWAYS_INLINE void store(char *to, __m128i value)
{
    _mm_storeu_si128((__m128i *)(void *)to, value);
}

ALWAYS_INLINE void store_aligned(char *to, __m128i value)
{
    _mm_store_si128((__m128i *)(void *)to, value);
}

ALWAYS_INLINE uint64_t load8(const char *from)
{
    return *(const unaligned_u64 *)(const void *)from;
}

ALWAYS_INLINE uint32_t load4(const char *from)
{
    return *(const unaligned_u32 *)(const void *)from;
}

/* --- copying --- */

/* Up to 16 bytes. */
ALWAYS_INLINE void move_tiny(char *to, const char *from, size_t size)
{
    if (size >= 8) {
        uint64_t first = load8(from), last = load8(from + size - 8);

        *(unaligned_u64 *)(void *)to = first;
        *(unaligned_u64 *)(void *)(to + size - 8) = last;
    } else if (size >= 4) {
        uint32_t first = load4(from), last = load4(from + size - 4);

        *(unaligned_u32 *)(void *)to = first;
        *(unaligned_u32 *)(void *)(to + size - 4) = last;
    } else if (size > 0) {
        char first = from[0], middle = from[size / 2], last = from[size - 1];

        to[0] = first;
        to[size / 2] = middle;
        to[size - 1] = last;
    }
}

/* 17 to 128 bytes. */
ALWAYS_INLINE void move_short(char *to, const char *from, size_t size)
{
    __m128i a = load(from), z = load(from + size - 16);

    if (size > 32) {
        __m128i b = load(from + 16), y = load(from + size - 32);

        if (size > 64) {
            __m128i c = load(from + 32), x = load(from + size - 48);
            __m128i d = load(from + 48), w = load(from + size - 64);

            store(to + 32, c);
            store(to + 48, d);
            store(to + size - 64, w);
            store(to + size - 48, x);
        }
        store(to + 16, b);
        store(to + size - 32, y);
    }
    store(to, a);
    store(to + size - 16, z);
}

/* More than 128 bytes, `to` not inside of `from`. Both ends are loaded before the loop, which may
 * overwrite them when the ranges overlap, and stored after it. */
ALWAYS_INLINE void move_forward(char *to, const char *from, size_t size)
{
    __m128i head = load(from);
    __m128i w = load(from + size - 64), x = load(from + size - 48);
    __m128i y = load(from + size - 32), z = load(from + size - 16);
    size_t at = 16 - ((uintptr_t)to & 15);

    for (; at < size - 64; at += 64) {
        __m128i a = load(from + at), b = load(from + at + 16);
        __m128i c = load(from + at + 32), d = load(from + at + 48);

        store_aligned(to + at, a);
        store_aligned(to + at + 16, b);
        store_aligned(to + at + 32, c);
        store_aligned(to + at + 48, d);
    }
    store(to, head);
    store(to + size - 64, w);
    store(to + size - 48, x);
    store(to + size - 32, y);
    store(to + size - 16, z);
}

/* More than 128 bytes, from the end. */
ALWAYS_INLINE void move_backward(char *to, const char *from, size_t size)
{
    __m128i tail = load(from + size - 16);
    __m128i a = load(from), b = load(from + 16), c = load(from + 32), d = load(from + 48);
    size_t end = size - ((uintptr_t)(to + size) & 15);

    for (; end > 64; end -= 64) {
        __m128i w = load(from + end - 64), x = load(from + end - 48);
        __m128i y = load(from + end - 32), z = load(from + end - 16);

        store_aligned(to + end - 16, z);
        store_aligned(to + end - 32, y);
        store_aligned(to + end - 48, x);
        store_aligned(to + end - 64, w);
    }
    store(to + size - 16, tail);
    store(to, a);
    store(to + 16, b);
    store(to + 32, c);
    store(to + 48, d);
}

PLAIN void *MUSL_MEM_NAME(memcpy)(void *restrict to, const void *restrict from, size_t size)
{
    if (size <= 16)
        move_tiny(to, from, size);
    else if (size <= 128)
        move_short(to, from, size);
    else
        move_forward(to, from, size);
    return to;
}

PLAIN void *MUSL_MEM_NAME(memmove)(void *to, const void *from, size_t size)
{
    if (size <= 16)
        move_tiny(to, from, size);
    else if (size <= 128)
        move_short(to, from, size);
    else if ((uintptr_t)to - (uintptr_t)from >= size) /* in front of it, or behind its end */
        move_forward(to, from, size);
    else
        move_backward(to, from, size);
    return to;
}

PLAIN void *MUSL_MEM_NAME(memset)(void *into, int c, size_t size)
{
    char *to = into;
    uint64_t word = (unsigned char)c * 0x0101010101010101u;
    __m128i value;

    if (size < 16) {
        if (size >= 8) {
            *(unaligned_u64 *)(void *)to = word;
            *(unaligned_u64 *)(void *)(to + size - 8) = word;
        } else if (size >= 4) {
            *(unaligned_u32 *)(void *)to = (uint32_t)word;
            *(unaligned_u32 *)(void *)(to + size - 4) = (uint32_t)word;
        } else if (size > 0) {
            to[0] = (char)c;
            to[size / 2] = (char)c;
            to[size - 1] = (char)c;
        }
        return into;
    }
    value = _mm_set1_epi8((char)c);
    if (size > 64) {
        size_t at = 16 - ((uintptr_t)to & 15);

        for (; at < size - 64; at += 64) {
            store_aligned(to + at, value);
            store_aligned(to + at + 16, value);
            store_aligned(to + at + 32, value);
            store_aligned(to + at + 48, value);
        }
        store(to + size - 64, value);
        store(to + size - 48, value);
    }
    if (size > 32) {
        store(to + 16, value);
        store(to + size - 32, value);
    }
    store(to, value);
    store(to + size - 16, value);
    return into;
}

/* --- looking --- */

ALWAYS_INLINE int compare_words(uint64_t a, uint64_t b)
{
    a = __builtin_bswap64(a);
    b = __builtin_bswap64(b);
    return a == b ? 0 : a < b ? -1 : 1;
}

ALWAYS_INLINE unsigned differs(const char *a, const char *b)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) ^ 0xffffu;
}

ALWAYS_INLINE int order_at(const char *a, const char *b, size_t at)
{
    return (unsigned char)a[at] - (unsigned char)b[at];
}

PLAIN int MUSL_MEM_NAME(memcmp)(const void *first, const void *second, size_t size)
{
    const char *a = first, *b = second;
    size_t at = 0;

    if (size >= 16) {
        for (; at < size - 16; at += 16) {
            unsigned bits = differs(a + at, b + at);

            if (bits != 0)
                return order_at(a, b, at + (size_t)__builtin_ctz(bits));
        }
        at = size - 16; /* what overlaps is known to be equal */

        unsigned bits = differs(a + at, b + at);

        return bits != 0 ? order_at(a, b, at + (size_t)__builtin_ctz(bits)) : 0;
    }
    if (size >= 8) {
        int order = compare_words(load8(a), load8(b));

        return order != 0 ? order : compare_words(load8(a + size - 8), load8(b + size - 8));
    }
    if (size >= 4) {
        uint64_t word_a = (uint64_t)load4(a) | (uint64_t)load4(a + size - 4) << 32;
        uint64_t word_b = (uint64_t)load4(b) | (uint64_t)load4(b + size - 4) << 32;

        return compare_words(word_a, word_b);
    }
    for (; at < size; at++) {
        if (a[at] != b[at])
            return order_at(a, b, at);
    }
    return 0;
}

/* Aligned loads never cross into another page, so reading around the range is harmless. */
ALWAYS_INLINE __m128i equal_to(const char *block, __m128i value)
{
    return _mm_cmpeq_epi8(_mm_load_si128((const __m128i *)(const void *)block), value);
}

PLAIN void *MUSL_MEM_NAME(memchr)(const void *in, int c, size_t size)
{
    const char *start = in;
    size_t before = (uintptr_t)start & 15;
    const char *block = start - before;
    __m128i value = _mm_set1_epi8((char)c);
    size_t left; /* bytes of the range from `block` on */
    unsigned bits;

    if (size == 0)
        return NULL;
    bits = (unsigned)_mm_movemask_epi8(equal_to(block, value)) >> before;
    if (bits != 0) {
        size_t at = (size_t)__builtin_ctz(bits);

        return at < size ? (void *)(uintptr_t)(start + at) : NULL;
    }
    if (size <= 16 - before)
        return NULL;
    left = size - (16 - before);
    block += 16;

    while (left > 64) {
        __m128i a = equal_to(block, value), b = equal_to(block + 16, value);
        __m128i y = equal_to(block + 32, value), z = equal_to(block + 48, value);
        __m128i any = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(y, z));

        if (_mm_movemask_epi8(any) != 0) {
            uint64_t found = (uint64_t)(unsigned)_mm_movemask_epi8(a) |
                             (uint64_t)(unsigned)_mm_movemask_epi8(b) << 16 |
                             (uint64_t)(unsigned)_mm_movemask_epi8(y) << 32 |
                             (uint64_t)(unsigned)_mm_movemask_epi8(z) << 48;

            return (void *)(uintptr_t)(block + __builtin_ctzll(found));
        }
        block += 64;
        left -= 64;
    }
    for (;;) {
        bits = (unsigned)_mm_movemask_epi8(equal_to(block, value));
        if (bits != 0) {
            size_t at = (size_t)__builtin_ctz(bits);

            return at < left ? (void *)(uintptr_t)(block + at) : NULL;
        }
        if (left <= 16)
            return NULL;
        block += 16;
        left -= 16;
    }
}

#endif
