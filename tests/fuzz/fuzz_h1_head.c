/* Heads: any dribbling gives what the whole gives, and what was accepted can be written down again
 * and read back as the same. The first byte chooses: request, or response to a method. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/mem.h"
#include "r2a/http/h1_head.h"
#include "r2a/http/h1_write.h"
#include "r2a/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_header headers_a[HEADERS_MAX];
static struct http_header headers_b[HEADERS_MAX];

static void check_same_fields(const struct http_header *a, const struct http_header *b,
                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        check(slice_eq(a[i].name, b[i].name));
        check(slice_eq(a[i].value, b[i].value));
        check(a[i].id == b[i].id);
        check(http_token_valid(a[i].name));
        check(http_value_valid(a[i].value));
    }
}

static void check_same_request(const struct h1_request *a, const struct h1_request *b)
{
    check(a->headers_count == b->headers_count);
    check(a->method == b->method && slice_eq(a->method_name, b->method_name));
    check(slice_eq(a->target, b->target) && slice_eq(a->path, b->path));
    check(slice_eq(a->host, b->host));
    check(a->body == b->body && a->content_length == b->content_length);
    check(a->keep_alive == b->keep_alive && a->expect == b->expect);
    check_same_fields(a->headers, b->headers, a->headers_count);
}

/* `in` in growing prefixes: by single bytes up to 64 of them, then in steps of `step`. */
static int32_t dribble_request(struct h1_request *request, struct slice in, size_t step)
{
    size_t have = 0;
    int32_t n = 0;

    while (n == 0 && have < in.len) {
        have += have < 64 || step == 0 ? 1 : step;
        if (have > in.len)
            have = in.len;
        n = h1_request_parse(request, slice_head(in, have));
        check(n <= (int32_t)have);
    }
    return n;
}

static int32_t dribble_response(struct h1_response *response, struct slice in, size_t step)
{
    size_t have = 0;
    int32_t n = 0;

    while (n == 0 && have < in.len) {
        have += have < 64 || step == 0 ? 1 : step;
        if (have > in.len)
            have = in.len;
        n = h1_response_parse(response, slice_head(in, have));
    }
    return n;
}

static struct mem *open_mem(void)
{
    static struct mem_budget budget;
    static struct mem *mem;

    if (mem == NULL)
        mem = mem_open(&budget, 1 << 20);
    return mem;
}

static void round_trip(const struct h1_request *request)
{
    struct rope out = {.mem = open_mem()};
    struct h1_request again;
    char *text;

    if (request->version_minor != 1)
        return; /* we write 1.1 alone */
    h1_write_request(&out, request->method_name, request->target);
    for (uint32_t i = 0; i < request->headers_count; i++)
        h1_write_field(&out, request->headers[i].name, request->headers[i].value);
    h1_write_end(&out);
    check(out.err == R2A_OK);
    if (out.bytes <= HEAD_BYTES_MAX) {
        text = malloc(out.bytes);
        rope_copy_out(&out, text);
        h1_request_init(&again, headers_b, HEADERS_MAX, HEAD_BYTES_MAX);
        check(h1_request_parse(&again, slice_of(text, out.bytes)) == (int32_t)out.bytes);
        check_same_request(request, &again);
        free(text);
    }
    rope_clear(&out);
}

static void try_request(struct slice in, size_t step)
{
    struct h1_request whole, cut;
    int32_t n, m;

    h1_request_init(&whole, headers_a, HEADERS_MAX, HEAD_BYTES_MAX);
    n = h1_request_parse(&whole, in);
    h1_request_init(&cut, headers_b, HEADERS_MAX, HEAD_BYTES_MAX);
    m = dribble_request(&cut, in, step);
    check(n <= (int32_t)in.len);
    /* a head that is malformed yet unfinished may be noticed only when it ends */
    check(n == m || (n < 0 && m == 0));
    if (n > 0) {
        check(whole.body != HTTP_BODY_UNTIL_CLOSE);
        check_same_request(&whole, &cut);
        round_trip(&whole);
    }
}

static void try_response(struct slice in, enum http_method method, size_t step)
{
    struct h1_response whole, cut;
    int32_t n, m;

    h1_response_init(&whole, method, headers_a, HEADERS_MAX, HEAD_BYTES_MAX);
    n = h1_response_parse(&whole, in);
    h1_response_init(&cut, method, headers_b, HEADERS_MAX, HEAD_BYTES_MAX);
    m = dribble_response(&cut, in, step);
    check(n == m || (n < 0 && m == 0));
    if (n > 0) {
        check(whole.status >= 100 && whole.status <= 999 && whole.status == cut.status);
        check(whole.headers_count == cut.headers_count);
        check(whole.body == cut.body && whole.keep_alive == cut.keep_alive);
        check(whole.body != HTTP_BODY_UNTIL_CLOSE || !whole.keep_alive);
        check(slice_eq(whole.reason, cut.reason));
        check_same_fields(headers_a, headers_b, whole.headers_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in;

    if (size < 1)
        return 0;
    in = slice_of((const char *)data + 1, size - 1);
    if (data[0] % 4 != 0)
        try_request(in, data[0] / 4);
    else
        try_response(in, (enum http_method)(data[0] / 4 % 10), size % 7);
    return 0;
}
