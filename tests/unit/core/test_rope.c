#include "r2a/core/rope.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "src/core/asan.h"
#include "support/random.h"

static struct mem_budget budget;
static struct mem *mem;

static void set_up(void)
{
    mem = mem_open(&budget, 1 << 20);
}

static void tear_down(void)
{
    cr_assert_eq(atomic_load(&budget.used), 0, "a rope kept %llu bytes",
                 (unsigned long long)atomic_load(&budget.used));
    mem_close(mem);
}

TestSuite(rope, .init = set_up, .fini = tear_down);

static void expect(const struct rope *rope, struct slice want)
{
    char *flat = malloc(rope->bytes + 1);
    struct rope_cursor cursor = {0};
    struct slice run;
    size_t at = 0;

    cr_assert_eq(rope->bytes, want.len);
    rope_copy_out(rope, flat);
    cr_assert(want.len == 0 || memcmp(flat, want.ptr, want.len) == 0);
    while (rope_next(rope, &cursor, &run)) {
        cr_assert_gt(run.len, 0);
        cr_assert_leq(at + run.len, want.len);
        cr_assert_eq(memcmp(run.ptr, want.ptr + at, run.len), 0);
        at += run.len;
    }
    cr_assert_eq(at, want.len);
    free(flat);
}

Test(rope, an_empty_one_costs_nothing)
{
    struct rope rope = {.mem = mem};
    struct iovec vecs[2];

    rope_put(&rope, (struct slice){0});
    rope_put(&rope, S(""));
    cr_assert_eq(mem_charged(mem), 0);
    cr_assert_eq(rope_peek(&rope, vecs, 2), 0);
    rope_consume(&rope, 0);
    rope_clear(&rope);
}

Test(rope, puts_text_characters_and_numbers)
{
    struct rope rope = {.mem = mem};

    rope_put(&rope, S("a="));
    rope_put_u64(&rope, UINT64_MAX);
    rope_put_char(&rope, ',');
    rope_put_i64(&rope, INT64_MIN);
    rope_put_char(&rope, ',');
    rope_put_u64(&rope, 0);
    expect(&rope, S("a=18446744073709551615,-9223372036854775808,0"));
    rope_clear(&rope);
}

Test(rope, short_content_lives_in_one_kib_and_segments_grow)
{
    struct rope rope = {.mem = mem};
    char bytes[1000] = {0};

    rope_put(&rope, slice_of(bytes, 10));
    cr_assert_eq(mem_charged(mem), 1024);
    rope_put(&rope, slice_of(bytes, 1000));
    cr_assert_eq(mem_charged(mem), 1024 + 4096);
    for (int i = 0; i < 5; i++)
        rope_put(&rope, slice_of(bytes, 1000));
    cr_assert_eq(mem_charged(mem), 1024 + 4096 + 16384);
    rope_clear(&rope);
}

Test(rope, consuming_everything_frees_everything)
{
    struct rope rope = {.mem = mem};

    rope_put(&rope, S("0123456789"));
    rope_consume(&rope, 4);
    expect(&rope, S("456789"));
    rope_put(&rope, S("ab"));
    rope_consume(&rope, 8);
    cr_assert_eq(mem_charged(mem), 0);
    rope_put(&rope, S("again"));
    expect(&rope, S("again"));
    rope_clear(&rope);
}

Test(rope, bytes_never_move_while_more_is_appended)
{
    struct rope rope = {.mem = mem};
    struct iovec before[4], after[4];
    char fill[5000];

    memset(fill, 'x', sizeof(fill));
    rope_put(&rope, S("in flight"));
    cr_assert_eq(rope_peek(&rope, before, 4), 1);
    rope_put(&rope, slice_of(fill, sizeof(fill)));
    rope_borrow(&rope, slice_of(fill, sizeof(fill)));
    cr_assert_geq(rope_peek(&rope, after, 4), 2);
    cr_assert_eq(before[0].iov_base, after[0].iov_base);
    cr_assert_eq(memcmp(before[0].iov_base, "in flight", 9), 0);
    rope_clear(&rope);
}

Test(rope, long_spans_are_borrowed_and_short_ones_copied)
{
    struct rope rope = {.mem = mem};
    char bytes[ROPE_BORROW_BYTES_MIN];
    struct iovec vecs[4];

    memset(bytes, 'b', sizeof(bytes));
    rope_borrow(&rope, slice_of(bytes, sizeof(bytes)));
    rope_borrow(&rope, slice_of(bytes, sizeof(bytes) - 1));
    cr_assert_geq(rope_peek(&rope, vecs, 4), 2);
    cr_assert_eq(vecs[0].iov_base, bytes);
    cr_assert_eq(vecs[0].iov_len, sizeof(bytes));
    cr_assert_neq(vecs[1].iov_base, bytes);
    rope_put_char(&rope, '!');
    rope_consume(&rope, sizeof(bytes) - 1);
    cr_assert_eq(rope_peek(&rope, vecs, 1), 1);
    cr_assert_eq(vecs[0].iov_base, bytes + sizeof(bytes) - 1);
    rope_clear(&rope);
}

Test(rope, peek_gives_at_most_what_was_asked_for)
{
    struct rope rope = {.mem = mem};
    char bytes[4096] = {0};
    struct iovec vecs[8];

    for (int i = 0; i < 6; i++)
        rope_borrow(&rope, slice_of(bytes, sizeof(bytes)));
    memset(vecs, 0, sizeof(vecs));
    cr_assert_eq(rope_peek(&rope, vecs, 3), 3);
    cr_assert_null(vecs[3].iov_base);
    cr_assert_eq(rope_peek(&rope, vecs, 0), 0);
    cr_assert_eq(rope_peek(&rope, vecs, 8), 6);
    rope_clear(&rope);
}

Test(rope, the_bound_is_exact_and_the_error_sticks)
{
    struct rope rope = {.mem = mem, .bytes_max = 10};

    rope_put(&rope, S("12345"));
    rope_put(&rope, S("67890"));
    cr_assert_eq(rope.err, R2A_OK);
    rope_put_char(&rope, '!');
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    rope_consume(&rope, 10);
    rope_put(&rope, S("x"));
    cr_assert_eq(rope.bytes, 0);
    cr_assert_null(rope_reserve(&rope, 1));
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    rope_clear(&rope);
    cr_assert_eq(rope.err, R2A_OK);
    rope_put(&rope, S("x"));
    cr_assert_eq(rope.bytes, 1);
    rope_put(&rope, slice_of("", SIZE_MAX));
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    rope_clear(&rope);
}

Test(rope, an_exhausted_budget_is_an_error_that_sticks)
{
    struct rope rope = {.mem = mem};
    char bytes[3000] = {0};

    budget.limit = 16384;
    for (int i = 0; i < 20; i++)
        rope_put(&rope, slice_of(bytes, sizeof(bytes)));
    cr_assert_eq(rope.err, R2A_ERR_NO_MEMORY);
    rope_borrow(&rope, slice_of(bytes, sizeof(bytes)));
    cr_assert_null(rope_reserve(&rope, 100));
    rope_clear(&rope);
    budget.limit = 0;
    rope_put(&rope, S("works again"));
    expect(&rope, S("works again"));
    rope_clear(&rope);
}

Test(rope, reserves_contiguous_room_and_takes_what_was_written)
{
    struct rope rope = {.mem = mem};

    for (int i = 0; i < 50; i++) {
        size_t size = i % 2 == 0 ? 16000 : 700;
        char *room = rope_reserve(&rope, size);

        cr_assert_not_null(room);
        memset(room, 'a' + i % 26, size);
        rope_commit(&rope, (size_t)i * 14);
    }
    cr_assert_eq(rope.bytes, 49 * 50 / 2 * 14);

    struct rope_cursor cursor = {0};
    struct slice run;
    size_t counts[26] = {0};

    while (rope_next(&rope, &cursor, &run)) {
        for (size_t i = 0; i < run.len; i++)
            counts[run.ptr[i] - 'a']++;
    }
    cr_assert_eq(counts[25], 25 * 14);
    cr_assert_eq(counts[1], (1 + 27) * 14);
    rope_commit(&rope, 0);
    rope_clear(&rope);
}

Test(rope, appending_moves_all_and_leaves_the_other_empty)
{
    struct rope rope = {.mem = mem}, other = {.mem = mem};
    char long_bytes[3000];

    memset(long_bytes, 'l', sizeof(long_bytes));
    rope_put(&other, S("first"));
    rope_append(&rope, &other); /* into an empty rope */
    expect(&rope, S("first"));
    rope_put(&other, S("+short"));
    rope_append(&rope, &other); /* packed */
    expect(&rope, S("first+short"));
    cr_assert_eq(mem_charged(mem), 1024);
    rope_borrow(&other, slice_of(long_bytes, sizeof(long_bytes)));
    rope_append(&rope, &other); /* linked */
    cr_assert_eq(rope.bytes, 11 + 3000);
    cr_assert_eq(other.bytes, 0);
    cr_assert_null(other.first);
    rope_put(&rope, S("end"));
    rope_append(&rope, &other);
    cr_assert_eq(rope.bytes, 11 + 3000 + 3);
    rope_clear(&rope);
    rope_clear(&other);
}

Test(rope, appending_carries_errors_and_keeps_the_bound)
{
    struct rope rope = {.mem = mem, .bytes_max = 8}, other = {.mem = mem, .bytes_max = 3};

    rope_put(&other, S("abcd"));
    rope_append(&rope, &other);
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    cr_assert_eq(other.err, R2A_OK);
    rope_clear(&rope);
    other.bytes_max = 0;
    rope_put(&rope, S("12345"));
    rope_put(&other, S("6789"));
    rope_append(&rope, &other);
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    cr_assert_eq(rope.bytes, 5);
    cr_assert_eq(other.bytes, 0);
    rope_clear(&rope);
}

Test(rope, sharing_borrows_the_bytes_of_another)
{
    struct rope rope = {.mem = mem}, copy = {.mem = mem};
    char bytes[10000];
    size_t before;

    memset(bytes, 's', sizeof(bytes));
    rope_put(&rope, slice_of(bytes, sizeof(bytes)));
    before = mem_charged(mem);
    rope_share(&copy, &rope);
    expect(&copy, slice_of(bytes, sizeof(bytes)));
    cr_assert_lt(mem_charged(mem) - before, 4096);
    rope_consume(&copy, 5000);
    expect(&rope, slice_of(bytes, sizeof(bytes)));
    rope_clear(&copy);
    rope_clear(&rope);
}

/* Random operations on a rope and on a flat buffer must agree at every step. */
static void compare_with_flat(uint64_t seed)
{
    enum { FLAT_MAX = 4 << 20 };
    struct random random = {.state = seed};
    struct rope rope = {.mem = mem}, other = {.mem = mem};
    char *flat = malloc(FLAT_MAX);
    char *source = malloc(70000);
    size_t begin = 0, end = 0;

    for (size_t i = 0; i < 70000; i++)
        source[i] = (char)random_next(&random);
    for (int step = 0; step < 3000; step++) {
        size_t len = random_between(&random, 0, step % 40 == 0 ? 60000 : 400);
        size_t from = random_between(&random, 0, 70000 - len);
        struct slice piece = slice_of(source + from, len);

        if (end + 130000 > FLAT_MAX) {
            memmove(flat, flat + begin, end - begin);
            end -= begin;
            begin = 0;
        }
        switch (random_between(&random, 0, 7)) {
        case 0:
        case 1:
            rope_put(&rope, piece);
            break;
        case 2:
            rope_borrow(&rope, piece);
            break;
        case 3:
            piece = slice_head(piece, 1);
            if (piece.len == 1)
                rope_put_char(&rope, piece.ptr[0]);
            break;
        case 4:
            piece = slice_head(piece, 16000);
            char *room = rope_reserve(&rope, piece.len);

            cr_assert_not_null(room);
            if (piece.len > 0)
                memcpy(room, piece.ptr, piece.len);
            rope_commit(&rope, piece.len);
            break;
        case 5:
            rope_put(&other, slice_head(piece, len / 2));
            rope_borrow(&other, slice_skip(piece, len / 2));
            rope_append(&rope, &other);
            break;
        default:
            len = random_between(&random, 0,
                                 end - begin < 3000 || step % 9 == 0 ? end - begin : 3000);
            rope_consume(&rope, len);
            begin += len;
            piece.len = 0;
            break;
        }
        if (piece.len > 0)
            memcpy(flat + end, piece.ptr, piece.len);
        end += piece.len;
        cr_assert_eq(rope.err, R2A_OK);
        cr_assert_eq(rope.bytes, end - begin, "seed %llu step %d", (unsigned long long)seed, step);
        if (step % 16 == 0)
            expect(&rope, slice_of(flat + begin, end - begin));
        /* What a short send does: part of what was peeked at goes. */
        struct iovec vecs[16];
        uint32_t count = rope_peek(&rope, vecs, 16);
        size_t at = begin;

        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(memcmp(vecs[i].iov_base, flat + at, vecs[i].iov_len), 0);
            at += vecs[i].iov_len;
        }
    }
    rope_clear(&rope);
    rope_clear(&other);
    free(flat);
    free(source);
}

Test(rope, agrees_with_a_flat_buffer_whatever_is_done)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        compare_with_flat(seed);
}

Test(rope, consuming_more_than_there_is_is_a_bug, .signal = SIGABRT)
{
    struct rope rope = {.mem = mem};

    rope_put(&rope, S("abc"));
    rope_consume(&rope, 4);
}
