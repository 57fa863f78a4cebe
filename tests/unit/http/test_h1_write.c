#include <criterion/criterion.h>

#include "r2a/core/mem.h"
#include "r2a/http/h1_head.h"
#include "r2a/http/h1_write.h"
#include "r2a/limits.h"

static struct mem_budget budget;
static struct rope out;

static void set_up(void)
{
    out = (struct rope){.mem = mem_open(&budget, 1 << 20)};
}

static void tear_down(void)
{
    rope_clear(&out);
    mem_close(out.mem);
}

TestSuite(h1_write, .init = set_up, .fini = tear_down);

static void wrote(struct slice expected)
{
    char text[4096];

    cr_assert_eq(out.err, R2A_OK);
    cr_assert_leq(out.bytes, sizeof(text));
    rope_copy_out(&out, text);
    cr_assert(slice_eq(slice_of(text, out.bytes), expected), "%.*s", (int)out.bytes, text);
}

Test(h1_write, writes_a_response)
{
    h1_write_status(&out, 200);
    h1_write_id(&out, HEADER_CONTENT_TYPE, S("text/event-stream"));
    h1_write_id_u64(&out, HEADER_CONTENT_LENGTH, 0);
    h1_write_id_u64(&out, HEADER_AGE, UINT64_MAX);
    h1_write_field(&out, S("X-Team"), S(""));
    h1_write_raw(&out, S("a: b\r\nc: d\r\n"));
    h1_write_end(&out);
    wrote(S("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n"
            "age: 18446744073709551615\r\nX-Team: \r\na: b\r\nc: d\r\n\r\n"));
}

Test(h1_write, writes_any_status)
{
    h1_write_status(&out, 429);
    h1_write_status(&out, 529);
    h1_write_status(&out, 799);
    wrote(S("HTTP/1.1 429 Too Many Requests\r\nHTTP/1.1 529 Overloaded\r\nHTTP/1.1 799 \r\n"));
}

Test(h1_write, writes_a_request)
{
    h1_write_request(&out, S("POST"), S("/v1/messages?beta=true"));
    h1_write_id(&out, HEADER_HOST, S("api.example.org"));
    h1_write_end(&out);
    wrote(S("POST /v1/messages?beta=true HTTP/1.1\r\nhost: api.example.org\r\n\r\n"));
}

Test(h1_write, writes_long_values)
{
    static char value[20000];
    struct http_header headers[4];
    struct h1_request request;
    static char text[24000];

    memset(value, 'v', sizeof(value));
    h1_write_request(&out, S("GET"), S("/"));
    h1_write_id(&out, HEADER_HOST, S("a"));
    h1_write_field(&out, S("x"), slice_of(value, sizeof(value)));
    h1_write_end(&out);
    rope_copy_out(&out, text);
    h1_request_init(&request, headers, 4, HEAD_BYTES_MAX);
    cr_assert_eq(h1_request_parse(&request, slice_of(text, out.bytes)), (int32_t)out.bytes);
    cr_assert(slice_eq(headers[1].value, slice_of(value, sizeof(value))));
}

static void refused(void)
{
    cr_assert_eq(out.err, R2A_ERR_INVALID);
    cr_assert_eq(out.bytes, 0);
    rope_clear(&out);
}

Test(h1_write, refuses_what_would_break_the_head)
{
    h1_write_field(&out, S("x"), S("a\r\nInjected: b"));
    refused();
    h1_write_field(&out, S("x"), S("a\nb"));
    refused();
    h1_write_field(&out, S("x"), S("a\0b"));
    refused();
    h1_write_field(&out, S("x y"), S("a"));
    refused();
    h1_write_field(&out, S(""), S("a"));
    refused();
    h1_write_id(&out, HEADER_HOST, S("a\r"));
    refused();
    h1_write_request(&out, S("GET"), S("/a b"));
    refused();
    h1_write_request(&out, S("GET"), S("/a\r\n"));
    refused();
    h1_write_request(&out, S("G T"), S("/a"));
    refused();
    h1_write_request(&out, S("GET"), S(""));
    refused();
}

Test(h1_write, keeps_the_first_error)
{
    h1_write_field(&out, S("x"), S("\n"));
    h1_write_field(&out, S("x"), S("fine"));
    cr_assert_eq(out.err, R2A_ERR_INVALID);
    cr_assert_eq(out.bytes, 0);
}

Test(h1_write, checks_fields_for_configuration)
{
    cr_assert(h1_field_valid(S("x-team"), S("a b")));
    cr_assert_not(h1_field_valid(S("x-team:"), S("a")));
    cr_assert_not(h1_field_valid(S("x-team"), S("a\r\nb: c")));
}
