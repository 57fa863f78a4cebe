/* Operations on a rope against a flat buffer, under a budget that sometimes refuses. Three bytes an
 * operation: what, and a length. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/rope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAT_MAX ((size_t)1 << 20)

static char source[65536];
static char flat[FLAT_MAX];

static void compare(const struct rope *rope, size_t begin, size_t end)
{
    struct rope_cursor cursor = {0};
    struct iovec vecs[4];
    struct slice run;
    size_t at = begin;
    uint32_t count;

    check(rope->bytes == end - begin);
    while (rope_next(rope, &cursor, &run)) {
        check(run.len <= end - at);
        check(memcmp(run.ptr, flat + at, run.len) == 0);
        at += run.len;
    }
    check(at == end);
    count = rope_peek(rope, vecs, 4);
    at = begin;
    for (uint32_t i = 0; i < count; i++) {
        check(vecs[i].iov_len > 0);
        check(memcmp(vecs[i].iov_base, flat + at, vecs[i].iov_len) == 0);
        at += vecs[i].iov_len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.limit = size > 0 && data[0] % 2 == 1 ? 40000 : 0};
    struct mem *mem = mem_open(&budget, 1 << 16);
    struct rope rope = {.mem = mem, .bytes_max = size > 1 && data[1] % 8 == 0 ? 100000 : 0};
    struct rope other = {.mem = mem};
    size_t begin = 0, end = 0;

    check(mem != NULL);
    for (size_t i = 0; source[1] == 0 && i < sizeof(source); i++)
        source[i] = (char)(i * 31 + i / 256 + 1);
    for (size_t at = 2; at + 3 <= size; at += 3) {
        size_t len = (size_t)data[at + 1] << (data[at + 2] % 9);
        struct slice piece = slice_of(source + data[at + 2], len > 60000 ? 60000 : len);
        char *room;

        if (end + 70000 > FLAT_MAX)
            break;
        switch (data[at] % 8) {
        case 0:
        case 1:
            rope_put(&rope, piece);
            break;
        case 2:
            rope_borrow(&rope, piece);
            break;
        case 3:
            piece.len = 1;
            rope_put_char(&rope, piece.ptr[0]);
            break;
        case 4:
            piece = slice_head(piece, 16000);
            room = rope_reserve(&rope, piece.len);
            if (room != NULL && piece.len > 0)
                memcpy(room, piece.ptr, piece.len);
            if (room != NULL)
                rope_commit(&rope, piece.len);
            break;
        case 5:
            rope_put(&other, slice_head(piece, piece.len / 2));
            rope_borrow(&other, slice_skip(piece, piece.len / 2));
            rope_append(&rope, &other);
            check(other.first == NULL && other.bytes == 0 && other.err == R2A_OK);
            break;
        case 6:
            piece.len = 0;
            rope_share(&other, &rope);
            check(other.bytes == rope.bytes || other.err != R2A_OK || rope.err != R2A_OK);
            rope_clear(&other);
            break;
        default:
            len = len < end - begin ? len : end - begin;
            rope_consume(&rope, len);
            begin += len;
            piece.len = 0;
            break;
        }
        if (rope.err != R2A_OK) { /* how much was put in before is not said */
            rope_clear(&rope);
            begin = end = 0;
            continue;
        }
        if (piece.len > 0)
            memcpy(flat + end, piece.ptr, piece.len);
        end += piece.len;
        compare(&rope, begin, end);
    }
    rope_clear(&rope);
    check(atomic_load(&budget.used) == 0);
    mem_close(mem);
    return 0;
}
