#include "mould.h"

#include "r2a/core/check.h"
#include "r2a/json/scan.h"

/* Events compared instead of read. The mould lies in the stream's arena and is no larger than its
 * events need, since every stream has one. */

#define BYTES_MAX  400u
#define BYTES_STEP 80u
#define MISSES_MAX 8u /* moulds in a row that no event fitted: this server's events all differ */

struct mould {
    uint16_t room;       /* of `bytes` */
    uint16_t tail_len;   /* of the literal behind the last hole */
    uint8_t holes_count; /* 0: no mould now */
    uint8_t misses;
    struct {
        uint16_t len; /* of the literal before the hole */
        uint8_t kind; /* enum mould_kind */
        uint8_t at;   /* its place in the caller's order */
    } holes[MOULD_HOLES_MAX];
    char bytes[]; /* the literals */
};

void mould_forget(struct mould *mould)
{
    if (mould != NULL)
        mould->holes_count = 0;
}

bool mould_is_useless(const struct mould *mould)
{
    return mould != NULL && mould->misses == MISSES_MAX;
}

/* --- making --- */

static struct mould *mould_of(struct mould *old, struct arena *arena, size_t size)
{
    struct mould *mould = old;

    if (mould_is_useless(old))
        return NULL;
    if (old != NULL && ++old->misses == MISSES_MAX)
        return NULL;
    if (old == NULL || size > old->room) {
        size = (size + BYTES_STEP - 1) / BYTES_STEP * BYTES_STEP;
        mould = arena_take(arena, sizeof(*mould) + size);
        if (mould == NULL)
            return NULL;
        mould->room = (uint16_t)size;
        mould->misses = old != NULL ? old->misses : 0;
    }
    return mould;
}

void mould_make(struct mould **mould, struct arena *arena, struct slice event,
                const struct mould_hole *holes, uint32_t count)
{
    const struct mould_hole *sorted[MOULD_HOLES_MAX];
    const char *from = event.ptr;
    size_t size = event.len;
    struct mould *made;
    char *to;

    check(count > 0 && count <= MOULD_HOLES_MAX);
    mould_forget(*mould);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && sorted[at - 1]->span.ptr > holes[i].span.ptr; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &holes[i];
        size -= holes[i].span.len;
    }
    if (size > BYTES_MAX)
        return;
    made = mould_of(*mould, arena, size);
    if (made == NULL)
        return;
    *mould = made;
    made->holes_count = (uint8_t)count;
    to = made->bytes;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice span = sorted[i]->span;
        const size_t len = (size_t)(span.ptr - from);

        made->holes[i].len = (uint16_t)len;
        made->holes[i].kind = (uint8_t)sorted[i]->kind;
        made->holes[i].at = (uint8_t)(sorted[i] - holes);
        memcpy(to, from, len);
        to += len;
        from = span.ptr + span.len;
    }
    made->tail_len = (uint16_t)(event.ptr + event.len - from);
    memcpy(to, from, made->tail_len);
}

/* --- fitting --- */

/* The inside of a string whose opening quote was just taken; its closing quote is left. */
static bool take_string(struct slice rest, struct slice *value)
{
    struct json_scan scan;

    json_open(&scan, slice_of(rest.ptr - 1, rest.len + 1));
    if (json_next(&scan) != JSON_STRING)
        return false;
    *value = scan.text;
    return true;
}

static bool take_number(struct slice rest, struct slice *value)
{
    size_t len = 0;

    while (len < rest.len && rest.ptr[len] >= '0' && rest.ptr[len] <= '9')
        len++;
    *value = slice_head(rest, len);
    return len > 0 && (len == 1 || rest.ptr[0] != '0');
}

bool mould_fit(struct mould *mould, struct slice event, struct slice *values)
{
    const char *literal;

    if (mould == NULL || mould->holes_count == 0)
        return false;
    literal = mould->bytes;
    for (uint32_t i = 0; i < mould->holes_count; i++) {
        const size_t len = mould->holes[i].len;
        struct slice *value = &values[mould->holes[i].at];

        if (event.len < len || memcmp(event.ptr, literal, len) != 0)
            return false;
        event = slice_skip(event, len);
        if (!(mould->holes[i].kind == MOULD_STRING ? take_string(event, value)
                                                   : take_number(event, value)))
            return false;
        event = slice_skip(event, value->len);
        literal += len;
    }
    if (event.len != mould->tail_len || memcmp(event.ptr, literal, event.len) != 0)
        return false;
    mould->misses = 0;
    return true;
}
