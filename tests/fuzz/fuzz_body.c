/* Bodies: any cut of the input gives the same data and the same end; what was decoded can be
 * written as chunks and read back. The first byte is the kind, the second a seed for the cuts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/mem.h"
#include "r2a/http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    char *data;
    size_t len;
    size_t used;
    int32_t err;
    bool is_complete;
};

static uint32_t random_state;

static size_t next_size(unsigned cut, size_t left)
{
    size_t size;

    if (cut == 0)
        return left;
    if (cut == 1)
        return 1;
    random_state = random_state * 1664525u + 1013904223u;
    size = 1 + random_state / 65536 % 50;
    return size < left ? size : left;
}

static struct result read_body(enum http_body_kind kind, uint64_t length, struct slice in,
                               unsigned cut)
{
    struct result result = {.data = malloc(in.len + 1)};
    struct http_body body;

    http_body_init(&body, kind, length);
    while (result.used < in.len && result.err == 0 && !body.is_complete) {
        size_t size = next_size(cut, in.len - result.used);
        struct slice piece = slice_of(in.ptr + result.used, size);

        while (piece.len > 0 && !body.is_complete) {
            struct slice data;
            int32_t n = http_body_feed(&body, piece, &data);

            if (n < 0) {
                result.err = n;
                check(http_body_feed(&body, piece, &data) == n);
                break;
            }
            check(n > 0 && (size_t)n <= piece.len);
            check(data.len == 0 || (data.ptr >= piece.ptr && data.ptr + data.len <= piece.ptr + n));
            check(result.len + data.len <= in.len);
            if (data.len > 0)
                memcpy(result.data + result.len, data.ptr, data.len);
            result.len += data.len;
            piece = slice_skip(piece, (size_t)n);
            result.used += (size_t)n;
        }
    }
    check(body.bytes == result.len);
    result.is_complete = http_body_finish(&body) == R2A_OK;
    return result;
}

static struct mem *open_mem(void)
{
    static struct mem_budget budget;
    static struct mem *mem;

    if (mem == NULL)
        mem = mem_open(&budget, 1 << 20);
    return mem;
}

static void round_trip(const struct result *result)
{
    struct rope out = {.mem = open_mem()};
    size_t half = result->len / 2;
    struct result again;
    char *text;

    http_chunk_put(&out, slice_of(result->data, half));
    http_chunk_put(&out, slice_of(result->data + half, result->len - half));
    http_chunk_last(&out);
    check(out.err == R2A_OK);
    text = malloc(out.bytes);
    rope_copy_out(&out, text);
    again = read_body(HTTP_BODY_CHUNKED, 0, slice_of(text, out.bytes), 2);
    check(again.is_complete && again.used == out.bytes && again.len == result->len);
    check(memcmp(again.data, result->data, result->len) == 0);
    free(again.data);
    free(text);
    rope_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum http_body_kind kind;
    struct slice in;
    struct result whole;
    uint64_t length;

    if (size < 2)
        return 0;
    kind = data[0] < 200 ? HTTP_BODY_CHUNKED : (enum http_body_kind)(data[0] % 4);
    length = data[1];
    random_state = data[1];
    in = slice_of((const char *)data + 2, size - 2);
    whole = read_body(kind, length, in, 0);
    for (unsigned cut = 1; cut < 4; cut++) {
        struct result other = read_body(kind, length, in, cut);

        check(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
        check(other.err == whole.err && other.is_complete == whole.is_complete);
        check(whole.err != 0 || other.used == whole.used);
        free(other.data);
    }
    round_trip(&whole);
    free(whole.data);
    return 0;
}
