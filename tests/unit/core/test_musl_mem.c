#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "support/guard.h"
#include "support/random.h"

/* The functions under test, under other names. */
#define MUSL_MEM_NAME(name) fast_##name
#include "src/core/musl_mem.c"

#define LONG_MAX_BYTES 700u

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void fill(char *to, size_t size, struct random *random)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)random_next(random);
}

/* Room on both sides shows a byte written beyond the range; the source ends at a guard page. */
Test(musl_mem, copies_every_size_at_every_alignment)
{
    struct random random = {.state = 1};
    char want[LONG_MAX_BYTES + 64], got[LONG_MAX_BYTES + 64];

    for (size_t size = 0; size <= LONG_MAX_BYTES; size++) {
        char *from = guard_take(size);

        fill(from, size, &random);
        for (size_t align = 0; align < 32; align += size < 160 ? 1 : 5) {
            memset(want, 0x55, sizeof(want));
            memset(got, 0x55, sizeof(got));
            memcpy(want + align, from, size);
            cr_assert_eq(fast_memcpy(got + align, from, size), got + align);
            cr_assert_eq(memcmp(want, got, sizeof(want)), 0, "size %zu align %zu", size, align);
            memset(got, 0x55, sizeof(got));
            cr_assert_eq(fast_memmove(got + align, from, size), got + align);
            cr_assert_eq(memcmp(want, got, sizeof(want)), 0, "size %zu align %zu", size, align);
        }
        guard_free(from, size);
    }
}

Test(musl_mem, never_writes_past_a_guard_page)
{
    char from[LONG_MAX_BYTES];

    memset(from, 7, sizeof(from));
    for (size_t size = 0; size <= LONG_MAX_BYTES; size++) {
        char *to = guard_take(size);

        fast_memcpy(to, from, size);
        fast_memmove(to, from, size);
        fast_memset(to, 9, size);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(to[i], 9);
        guard_free(to, size);
    }
}

Test(musl_mem, moves_overlapping_ranges_of_every_distance)
{
    struct random random = {.state = 2};
    char original[1200], want[1200], got[1200];

    fill(original, sizeof(original), &random);
    for (size_t size = 0; size <= 420; size++) {
        for (size_t distance = 0; distance <= 320; distance += distance < 140 ? 1 : 13) {
            size_t base = 200 + size % 16;

            for (int backwards = 0; backwards < 2; backwards++) {
                size_t to = backwards ? base + distance : base;
                size_t from = backwards ? base : base + distance;

                memcpy(want, original, sizeof(want));
                memcpy(got, original, sizeof(got));
                memmove(want + to, want + from, size);
                fast_memmove(got + to, got + from, size);
                cr_assert_eq(memcmp(want, got, sizeof(want)), 0, "size %zu distance %zu %d", size,
                             distance, backwards);
            }
        }
    }
}

Test(musl_mem, sets_every_size_at_every_alignment)
{
    char want[LONG_MAX_BYTES + 64], got[LONG_MAX_BYTES + 64];

    for (size_t size = 0; size <= LONG_MAX_BYTES; size++) {
        for (size_t align = 0; align < 32; align++) {
            memset(want, 0x55, sizeof(want));
            memset(got, 0x55, sizeof(got));
            memset(want + align, (int)size, size);
            cr_assert_eq(fast_memset(got + align, (int)size, size), got + align);
            cr_assert_eq(memcmp(want, got, sizeof(want)), 0, "size %zu align %zu", size, align);
        }
    }
}

Test(musl_mem, compares_every_size_with_a_difference_anywhere)
{
    struct random random = {.state = 3};

    for (size_t size = 0; size <= 200; size++) {
        char *a = guard_take(size), *b = guard_take(size);

        fill(a, size, &random);
        memcpy(b, a, size);
        cr_assert_eq(fast_memcmp(a, b, size), 0);
        for (size_t at = 0; at < size; at++) {
            char before = b[at];

            for (int change = 1; change < 256; change += 37) {
                b[at] = (char)(before + change);
                if (at + 1 < size)
                    b[size - 1] ^= 1; /* a later difference must not decide */
                cr_assert_eq(sign(fast_memcmp(a, b, size)), sign(memcmp(a, b, size)),
                             "size %zu at %zu", size, at);
                cr_assert_eq(sign(fast_memcmp(b, a, size)), sign(memcmp(b, a, size)));
                if (at + 1 < size)
                    b[size - 1] ^= 1;
            }
            b[at] = before;
        }
        guard_free(a, size);
        guard_free(b, size);
    }
}

Test(musl_mem, finds_a_byte_anywhere_and_nothing_outside)
{
    for (size_t size = 0; size <= 300; size++) {
        char *text = guard_take(size + 20);

        for (size_t align = 0; align <= 20; align++) {
            char *in = text + align;

            memset(text, 'x', size + 20);
            cr_assert_null(fast_memchr(in, 'y', size));
            if (align > 0)
                in[-1] = 'y'; /* just before and just behind */
            if (align < 20)
                in[size] = 'y';
            cr_assert_null(fast_memchr(in, 'y', size), "size %zu align %zu", size, align);
            for (size_t at = size; at > 0; at--) {
                in[at - 1] = 'y';
                cr_assert_eq(fast_memchr(in, 'y', size), in + at - 1, "size %zu at %zu", size, at);
                cr_assert_eq(fast_memchr(in, 'y' + 256, size), in + at - 1, "as unsigned char");
            }
        }
        guard_free(text, size + 20);
    }
}

Test(musl_mem, finds_a_byte_when_the_size_is_only_an_upper_bound)
{
    char text[100];

    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < sizeof(text); at++) {
        text[at] = '\0';
        cr_assert_eq(fast_memchr(text, 0, SIZE_MAX), text + at);
        cr_assert_eq(fast_memchr(text, 0, INT_MAX), text + at);
        text[at] = 'x';
    }
}

Test(musl_mem, large_ranges)
{
    enum { SIZE = 1 << 20 };
    static char a[SIZE + 64], b[SIZE + 64], c[SIZE + 64];
    struct random random = {.state = 4};

    fill(a, sizeof(a), &random);
    fast_memcpy(b + 3, a + 5, SIZE);
    memcpy(c + 3, a + 5, SIZE);
    cr_assert_eq(memcmp(b, c, sizeof(b)), 0);
    cr_assert_eq(fast_memcmp(b, c, sizeof(b)), 0);
    fast_memmove(b + 20, b + 3, SIZE);
    memmove(c + 20, c + 3, SIZE);
    cr_assert_eq(memcmp(b, c, sizeof(b)), 0);
    fast_memmove(b + 1, b + 20, SIZE);
    memmove(c + 1, c + 20, SIZE);
    cr_assert_eq(memcmp(b, c, sizeof(b)), 0);
    fast_memset(b, 0, sizeof(b));
    cr_assert_null(fast_memchr(b, 1, sizeof(b)));
    b[sizeof(b) - 1] = 1;
    cr_assert_eq(fast_memchr(b, 1, sizeof(b)), b + sizeof(b) - 1);
}
