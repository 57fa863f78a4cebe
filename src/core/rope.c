/* Segments in a row. A segment is one block of `mem`: its header, then its bytes; or, for a
 * borrowed span, a header alone.
 *
 *            begin              end          size
 *   data --> | consumed | waiting | room left |     a copied segment
 *   data --> | consumed | waiting |                 a borrowed one: size == end, so no room ever
 *
 * Bytes never move and a segment is given back only by consuming or clearing, so that a send over
 * what rope_peek said may be in flight while more is appended. */
#include "r2a/core/rope.h"

#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/limits.h"

struct rope_seg {
    struct rope_seg *next;
    char *data;
    uint32_t begin;
    uint32_t end;
    uint32_t size;
    uint32_t block_size; /* as taken from mem; 0: borrowed */
};

#define HEADER       sizeof(struct rope_seg)
#define BLOCK_FIRST  1024u
#define BLOCK_SECOND 4096u
#define BLOCK_MAX    ROPE_SEGMENT_BYTES_MAX
#define RESERVE_MAX  16000u
#define PACK_MAX     3072u /* a rope this short is copied when it is appended and fits */

_Static_assert(RESERVE_MAX <= BLOCK_MAX - HEADER, "a reservation fits one segment");
_Static_assert(sizeof(struct rope_seg) == 32, "a header costs little of a small segment");

static void fail(struct rope *rope, enum r2a_err err)
{
    if (rope->err == R2A_OK)
        rope->err = err;
}

/* Whether `size` more bytes may be appended; says why not. */
static inline bool admit(struct rope *rope, size_t size)
{
    if (__builtin_expect(rope->err != R2A_OK, 0))
        return false;
    if (__builtin_expect(rope->bytes_max != 0 &&
                             (size > rope->bytes_max || rope->bytes > rope->bytes_max - size),
                         0)) {
        fail(rope, R2A_ERR_LIMIT);
        return false;
    }
    return true;
}

static inline uint32_t room(const struct rope_seg *seg)
{
    return seg->size - seg->end;
}

static void seg_give(struct rope *rope, struct rope_seg *seg)
{
    mem_give(rope->mem, seg, seg->block_size != 0 ? seg->block_size : HEADER);
}

static void seg_push(struct rope *rope, struct rope_seg *seg)
{
    seg->next = NULL;
    if (rope->last != NULL)
        rope->last->next = seg;
    else
        rope->first = seg;
    rope->last = seg;
}

/* A new last segment, with room for `need` bytes or as many as the largest has. */
static struct rope_seg *seg_grow(struct rope *rope, size_t need)
{
    uint32_t size = BLOCK_FIRST;
    struct rope_seg *seg;

    if (rope->last != NULL && rope->last->block_size >= BLOCK_SECOND)
        size = BLOCK_MAX;
    else if (rope->last != NULL && rope->last->block_size == BLOCK_FIRST)
        size = BLOCK_SECOND;
    while (size < BLOCK_MAX && size - HEADER < need)
        size *= 4;
    seg = mem_take(rope->mem, size);
    if (seg == NULL) {
        fail(rope, R2A_ERR_NO_MEMORY);
        return NULL;
    }
    *seg = (struct rope_seg){
        .data = (char *)seg + HEADER,
        .size = size - (uint32_t)HEADER,
        .block_size = size,
    };
    seg_push(rope, seg);
    return seg;
}

/* The rare half of rope_put: the bytes do not fit the last segment. */
static __attribute__((noinline)) void put_long(struct rope *rope, struct slice bytes)
{
    struct rope_seg *seg = rope->last;

    while (bytes.len > 0) {
        size_t part;

        if (seg == NULL || room(seg) == 0) {
            seg = seg_grow(rope, bytes.len);
            if (seg == NULL)
                return;
        }
        part = room(seg) < bytes.len ? room(seg) : bytes.len;
        memcpy(seg->data + seg->end, bytes.ptr, part);
        seg->end += (uint32_t)part;
        rope->bytes += part;
        bytes = slice_skip(bytes, part);
    }
}

void rope_put(struct rope *rope, struct slice bytes)
{
    struct rope_seg *seg = rope->last;
    char *to;

    if (bytes.len == 0 || !admit(rope, bytes.len))
        return;
    if (__builtin_expect(seg == NULL || bytes.len > room(seg), 0)) {
        put_long(rope, bytes);
        return;
    }
    to = seg->data + seg->end;
    seg->end += (uint32_t)bytes.len;
    rope->bytes += bytes.len;
    memcpy(to, bytes.ptr, bytes.len); /* last, so that nothing must survive the call */
}

void rope_put_char(struct rope *rope, char c)
{
    struct rope_seg *seg = rope->last;

    if (!admit(rope, 1))
        return;
    if (__builtin_expect(seg == NULL || room(seg) == 0, 0)) {
        seg = seg_grow(rope, 1);
        if (seg == NULL)
            return;
    }
    seg->data[seg->end++] = c;
    rope->bytes++;
}

void rope_put_u64(struct rope *rope, uint64_t value)
{
    char digits[STR_U64_BYTES_MAX];

    rope_put(rope, slice_of(digits, str_from_u64(digits, value)));
}

void rope_put_i64(struct rope *rope, int64_t value)
{
    char digits[STR_U64_BYTES_MAX];

    rope_put(rope, slice_of(digits, str_from_i64(digits, value)));
}

void rope_borrow(struct rope *rope, struct slice bytes)
{
    if (bytes.len < ROPE_BORROW_BYTES_MIN)
        rope_put(rope, bytes);
    else
        rope_borrow_any(rope, bytes);
}

void rope_borrow_any(struct rope *rope, struct slice bytes)
{
    struct rope_seg *seg;

    if (bytes.len == 0 || !admit(rope, bytes.len))
        return;
    if (bytes.len > UINT32_MAX) {
        fail(rope, R2A_ERR_LIMIT);
        return;
    }
    seg = mem_take(rope->mem, HEADER);
    if (seg == NULL) {
        fail(rope, R2A_ERR_NO_MEMORY);
        return;
    }
    *seg = (struct rope_seg){
        .data = (char *)(uintptr_t)bytes.ptr, /* only ever read, iovec has no const */
        .end = (uint32_t)bytes.len,
        .size = (uint32_t)bytes.len,
    };
    seg_push(rope, seg);
    rope->bytes += bytes.len;
}

char *rope_reserve(struct rope *rope, size_t size)
{
    struct rope_seg *seg = rope->last;

    check(size <= RESERVE_MAX);
    if (!admit(rope, size))
        return NULL;
    if (seg == NULL || size > room(seg)) {
        seg = seg_grow(rope, size);
        if (seg == NULL)
            return NULL;
    }
    return seg->data + seg->end;
}

void rope_commit(struct rope *rope, size_t size)
{
    struct rope_seg *seg = rope->last;

    if (size == 0)
        return;
    check(seg != NULL);
    check(size <= room(seg));
    seg->end += (uint32_t)size;
    rope->bytes += size;
}

void rope_append(struct rope *rope, struct rope *from)
{
    check(rope != from);
    check(rope->mem == from->mem || from->first == NULL);
    if (from->err != R2A_OK)
        fail(rope, from->err);
    if (from->bytes == 0 || !admit(rope, from->bytes)) {
        rope_clear(from);
        return;
    }
    if (from->bytes <= PACK_MAX && rope->last != NULL && from->bytes <= room(rope->last)) {
        rope_copy_out(from, rope->last->data + rope->last->end);
        rope->last->end += (uint32_t)from->bytes;
        rope->bytes += from->bytes;
        rope_clear(from);
        return;
    }
    if (rope->last != NULL)
        rope->last->next = from->first;
    else
        rope->first = from->first;
    rope->last = from->last;
    rope->bytes += from->bytes;
    from->first = NULL;
    from->last = NULL;
    from->bytes = 0;
    from->err = R2A_OK;
}

uint32_t rope_peek(const struct rope *rope, struct iovec *vecs, uint32_t max)
{
    uint32_t count = 0;

    for (const struct rope_seg *seg = rope->first; seg != NULL && count < max; seg = seg->next) {
        if (seg->begin == seg->end)
            continue;
        vecs[count++] = (struct iovec){seg->data + seg->begin, seg->end - seg->begin};
    }
    return count;
}

void rope_consume(struct rope *rope, size_t size)
{
    check(size <= rope->bytes);
    rope->bytes -= size;
    while (rope->first != NULL) {
        struct rope_seg *seg = rope->first;
        uint32_t waiting = seg->end - seg->begin;

        if (size < waiting) {
            seg->begin += (uint32_t)size;
            return;
        }
        size -= waiting;
        rope->first = seg->next;
        if (rope->first == NULL)
            rope->last = NULL;
        seg_give(rope, seg);
    }
    check(size == 0);
}

bool rope_next(const struct rope *rope, struct rope_cursor *cursor, struct slice *run)
{
    do {
        cursor->seg = cursor->started ? cursor->seg->next : rope->first;
        cursor->started = true;
        if (cursor->seg == NULL) {
            cursor->started = false; /* a finished cursor starts over */
            return false;
        }
    } while (cursor->seg->begin == cursor->seg->end);
    *run = slice_of(cursor->seg->data + cursor->seg->begin, cursor->seg->end - cursor->seg->begin);
    return true;
}

void rope_copy_out(const struct rope *rope, char *to)
{
    for (const struct rope_seg *seg = rope->first; seg != NULL; seg = seg->next) {
        uint32_t waiting = seg->end - seg->begin;

        memcpy(to, seg->data + seg->begin, waiting);
        to += waiting;
    }
}

void rope_share(struct rope *rope, const struct rope *from)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    if (from->err != R2A_OK)
        fail(rope, from->err);
    while (rope_next(from, &cursor, &run))
        rope_borrow(rope, run);
}

void rope_clear(struct rope *rope)
{
    struct rope_seg *seg = rope->first;

    while (seg != NULL) {
        struct rope_seg *next = seg->next;

        seg_give(rope, seg);
        seg = next;
    }
    rope->first = NULL;
    rope->last = NULL;
    rope->bytes = 0;
    rope->err = R2A_OK;
}
