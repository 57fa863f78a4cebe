/* Streams, in every framing: any cut of the input gives the same frames; the raw bytes of all
 * frames are the stream; buffers are all given back. The first byte chooses framing and limit, the
 * second seeds the cuts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/mem.h"
#include "r2a/http/framing.h"
#include "r2a/http/sse.h"
#include "r2a/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STATE_BYTES_MAX 512

/* What came out: frames that carry something, digested, and how it ended. */
struct result {
    uint64_t digest;
    uint32_t frames_count;
    int32_t end;
};

static struct mem_budget budget;
static struct mem *mem;
static uint32_t random_state;

static void digest(struct result *result, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        result->digest = (result->digest ^ (uint8_t)bytes.ptr[i]) * UINT64_C(1099511628211);
    result->digest = (result->digest ^ 256) * UINT64_C(1099511628211);
}

static void note_frame(struct result *result, const struct frame *frame)
{
    if (frame->kind == FRAME_COMMENT && frame->data.len == 0)
        return;
    result->frames_count++;
    result->digest = (result->digest ^ (512u + frame->kind)) * UINT64_C(1099511628211);
    digest(result, frame->name);
    digest(result, frame->data);
}

static size_t next_size(unsigned cut, size_t left)
{
    size_t size;

    if (cut == 0)
        return left;
    if (cut == 1)
        return 1;
    random_state = random_state * 1664525u + 1013904223u;
    size = 1 + random_state / 65536 % (cut == 2 ? 5 : 90);
    return size < left ? size : left;
}

/* The raw bytes of a frame go on where the last one's ended. */
static void check_raw(struct slice stream, size_t *raw_at, struct slice raw)
{
    check(raw.len <= stream.len - *raw_at);
    check(raw.len == 0 || memcmp(stream.ptr + *raw_at, raw.ptr, raw.len) == 0);
    *raw_at += raw.len;
}

static struct result read_stream(const struct framing *framing, uint32_t limit, struct slice stream,
                                 unsigned cut)
{
    _Alignas(16) char state[STATE_BYTES_MAX];
    struct result result = {0};
    struct frame frame;
    size_t at = 0;
    size_t raw_at = 0;
    int32_t n = 0;

    check(framing->size <= sizeof(state));
    framing->init(state, mem, limit);
    while (at < stream.len && n >= 0) {
        size_t size = next_size(cut, stream.len - at);
        /* a copy of its own, so that a slice that outlives its input is seen */
        char *copy = malloc(size);
        struct slice in = slice_of(copy, size);

        memcpy(copy, stream.ptr + at, size);
        while ((n = framing->feed(state, in, &frame)) > 0) {
            check((size_t)n <= in.len);
            check_raw(stream, &raw_at, frame.raw);
            note_frame(&result, &frame);
            in = slice_skip(in, (size_t)n);
        }
        if (n < 0) {
            check_raw(stream, &raw_at, frame.raw);
            check(raw_at + in.len == at + size);
        }
        at += size;
        free(copy);
    }
    while (n >= 0 && (n = framing->finish(state, &frame)) != 0) {
        check_raw(stream, &raw_at, frame.raw);
        if (n > 0)
            note_frame(&result, &frame);
    }
    result.end = n;
    check(n < 0 || raw_at == stream.len);
    framing->free(state);
    check(budget.used == 0);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct framing *framing;
    struct slice stream;
    struct result whole;
    uint32_t limit;

    if (size < 2)
        return 0;
    if (mem == NULL)
        mem = mem_open(&budget, FRAME_BYTES_MAX);
    framing = framing_row((enum framing_id)(data[0] % FRAMING_COUNT));
    limit = data[0] >= 128 ? 256 : FRAME_BYTES_MAX;
    random_state = data[1];
    stream = slice_of((const char *)data + 2, size - 2);
    whole = read_stream(framing, limit, stream, 0);
    for (unsigned cut = 1; cut < 5; cut++) {
        struct result other = read_stream(framing, limit, stream, cut);

        /* bytes without meaning count towards the frame they happen to come with */
        if (whole.end == R2A_ERR_FRAME_LIMIT || other.end == R2A_ERR_FRAME_LIMIT)
            continue;
        check(other.end == whole.end);
        check(other.frames_count == whole.frames_count);
        check(other.digest == whole.digest);
    }
    return 0;
}
