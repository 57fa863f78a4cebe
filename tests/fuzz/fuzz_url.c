/* URLs and targets: parts lie inside the text, decoding and encoding are each other's inverse,
 * normalising twice changes nothing, a removed parameter is gone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/mem.h"
#include "r2a/http/header.h"
#include "r2a/http/retry_after.h"
#include "r2a/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice part, struct slice text)
{
    check(part.len == 0 || (part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len));
}

static void try_url(struct slice text)
{
    struct url url;
    struct url_host host;
    struct url_listen listen;

    if (url_parse(text, &url) == R2A_OK) {
        check_inside(url.host, text);
        check_inside(url.path, text);
        check_inside(url.query, text);
        check_inside(url.unix_path, text);
        check_inside(url.user_info, text);
        check((url.host.len == 0) == (url.unix_path.len > 0));
        check(url.path.len == 0 || url.path.ptr[0] == '/');
        check(url_host_parse(url.authority, &host) == R2A_OK);
    }
    if (url_host_parse(text, &host) == R2A_OK)
        check_inside(host.host, text);
    if (url_listen_parse(text, &listen) == R2A_OK) {
        check_inside(listen.host, text);
        check_inside(listen.unix_path, text);
    }
}

static void try_path(struct slice text, char *out)
{
    struct slice rest, segment;
    int32_t size = url_path_normalise(text, out);

    if (size < 0)
        return;
    check((size_t)size <= text.len);
    rest = slice_of(out, (size_t)size);
    while (url_segment_next(&rest, &segment)) {
        check(segment.len > 0);
        check(!slice_eq(segment, S(".")) && !slice_eq(segment, S("..")));
    }
    check(url_path_normalise(slice_of(out, (size_t)size), out) == size);
    check(url_decode(slice_of(out, (size_t)size), out) >= 0);
}

static void try_query(struct slice text, char *out)
{
    struct slice rest = text, key, value;
    size_t size;

    while (url_query_next(&rest, &key, &value)) {
        check_inside(key, text);
        check_inside(value, text);
    }
    size = url_query_remove(text, S("key"), out);
    check(size <= text.len);
    check(!url_query_find(slice_of(out, size), S("key"), &value));
    check(url_query_remove(slice_of(out, size), S("key"), out) == size);
}

static void try_segment(struct slice text, struct mem *mem)
{
    struct rope rope = {.mem = mem};
    char *encoded;
    int32_t size;

    url_put_segment(&rope, text, text.len % 2 == 0);
    check(rope.err == R2A_OK);
    encoded = malloc(rope.bytes + 1);
    rope_copy_out(&rope, encoded);
    size = url_decode(slice_of(encoded, rope.bytes), encoded);
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)
        check(size == R2A_ERR_HTTP_URL);
    else
        check(slice_eq(slice_of(encoded, (size_t)size), text));
    free(encoded);
    rope_clear(&rope);
}

/* Field values are small enough grammars to try here. */
static void try_value(struct slice text)
{
    struct slice rest = text, element;
    uint64_t delay_ms;

    while (http_list_next(&rest, &element)) {
        check_inside(element, text);
        check(element.len > 0);
    }
    if (http_retry_after_parse(text, 1000, &delay_ms))
        check(delay_ms <= HTTP_RETRY_AFTER_MS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mem_budget budget;
    static struct mem *mem;
    struct slice text = slice_of((const char *)data, size);
    char *out = malloc(size + 1);

    if (mem == NULL)
        mem = mem_open(&budget, 1 << 20);
    if (size == 0)
        text = S("");
    try_url(text);
    try_path(text, out);
    try_query(text, out);
    try_segment(text, mem);
    try_value(text);
    free(out);
    return 0;
}
