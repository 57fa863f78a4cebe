#include "openai_responses_stream.h"

/* What the deltas of one part have in common. One differs from the next in its sequence number, in
 * a single string, and in padding that means nothing ("obfuscation"):
 *
 *   {"type":…,"sequence_number":| 17 |,"item_id":…,"delta":"| value |","logprobs":[]…"| padding |"}
 *   head ------------------------      middle ------------         tail -------------          end
 *
 * A delta that was read in full leaves its other bytes here; one that has the same bytes around
 * those three means the same. */

#define MOULD_BYTES_MAX 400u
#define MISSES_MAX      8u /* moulds in a row that no event fitted: this server's events all differ */

struct responses_mould {
    uint16_t head_len; /* 0: no mould yet */
    uint16_t middle_len;
    uint16_t tail_len;
    uint16_t end_len; /* 0: no padding */
    uint8_t part_kind;
    uint8_t misses;
    int64_t at;
    struct item *item;
    char bytes[MOULD_BYTES_MAX];
};

void openai_responses_forget_mould(struct decoder *d)
{
    if (d->mould != NULL)
        d->mould->head_len = 0;
}

/* Takes literal bytes from the front. */
static bool take_same(struct slice *rest, const char *bytes, size_t len)
{
    if (rest->len < len || memcmp(rest->ptr, bytes, len) != 0)
        return false;
    *rest = slice_skip(*rest, len);
    return true;
}

static bool take_digits(struct slice *rest)
{
    size_t len = 0;

    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9')
        len++;
    if (len == 0 || (len > 1 && rest->ptr[0] == '0'))
        return false;
    *rest = slice_skip(*rest, len);
    return true;
}

/* A string whose opening quote was just taken; its closing quote is left. */
static bool take_string(struct slice *rest, struct text *text)
{
    struct json_scan scan;

    json_open(&scan, slice_of(rest->ptr - 1, rest->len + 1));
    if (json_next(&scan) != JSON_STRING)
        return false;
    *text = text_escaped(scan.text);
    *rest = slice_skip(*rest, scan.text.len);
    return true;
}

bool openai_responses_fit_mould(struct decoder *d, struct slice data, struct responses_cast *cast)
{
    struct responses_mould *mould = d->mould;
    const char *bytes;
    struct text padding;

    if (mould == NULL || mould->head_len == 0)
        return false;
    bytes = mould->bytes;
    if (!take_same(&data, bytes, mould->head_len) || !take_digits(&data) ||
        !take_same(&data, bytes += mould->head_len, mould->middle_len) ||
        !take_string(&data, &cast->text) || cast->text.len == 0 ||
        !take_same(&data, bytes += mould->middle_len, mould->tail_len))
        return false;
    if (mould->end_len > 0 && (!take_string(&data, &padding) ||
                               !take_same(&data, bytes + mould->tail_len, mould->end_len)))
        return false;
    if (data.len > 0)
        return false;
    mould->misses = 0;
    cast->item = mould->item;
    cast->part_kind = mould->part_kind;
    cast->at = mould->at;
    return true;
}

static uint16_t copy_span(struct responses_mould *mould, size_t *used, const char *begin,
                          const char *end)
{
    size_t len = (size_t)(end - begin);

    memcpy(mould->bytes + *used, begin, len);
    *used += len;
    return (uint16_t)len;
}

void openai_responses_make_mould(struct decoder *d, struct slice data,
                                 const struct responses_cast *cast, struct slice sequence,
                                 struct slice value, struct slice padding)
{
    const char *end = data.ptr + data.len, *tail_end = end;
    struct responses_mould *mould = d->mould;
    size_t used = 0, skipped = sequence.len + value.len - 2;

    if (padding.len > 0) {
        tail_end = padding.ptr + 1;
        skipped += padding.len - 2;
    }
    if (sequence.len == 0 || sequence.ptr > value.ptr || value.len <= 2 ||
        (padding.len > 0 && padding.ptr < value.ptr) || data.len - skipped > MOULD_BYTES_MAX)
        return;
    if (mould == NULL) {
        mould = d->mould = arena_take_zero(d->brief->arena, sizeof(*mould));
        if (mould == NULL)
            return;
    } else if (mould->misses == MISSES_MAX) {
        mould->head_len = 0;
        return;
    } else {
        mould->misses++;
    }
    mould->head_len = copy_span(mould, &used, data.ptr, sequence.ptr);
    mould->middle_len = copy_span(mould, &used, sequence.ptr + sequence.len, value.ptr + 1);
    mould->tail_len = copy_span(mould, &used, value.ptr + value.len - 1, tail_end);
    mould->end_len =
        padding.len > 0 ? copy_span(mould, &used, padding.ptr + padding.len - 1, end) : 0;
    mould->item = cast->item;
    mould->part_kind = cast->part_kind;
    mould->at = cast->at;
}
