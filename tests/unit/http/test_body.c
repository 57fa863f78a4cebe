#include <stdlib.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/body.h"
#include "r2a/limits.h"

static void body_is(enum http_body_kind kind, uint64_t length, struct slice text,
                    const char *expected)
{
    for (uint64_t cut = 0; cut < 20; cut++) {
        struct outcome outcome = outcome_of_body(kind, length, text, cut);

        cr_assert_str_eq(outcome.text, expected, "cut %d", (int)cut);
        outcome_free(&outcome);
    }
}

static void chunked_is(struct slice text, const char *expected)
{
    body_is(HTTP_BODY_CHUNKED, 0, text, expected);
}

Test(body, reads_none)
{
    body_is(HTTP_BODY_NONE, 0, S("GET"), "|GET");
    body_is(HTTP_BODY_LENGTH, 0, S("GET"), "|GET");
}

Test(body, reads_a_length)
{
    body_is(HTTP_BODY_LENGTH, 5, S("helloGET /"), "hello|GET /");
    body_is(HTTP_BODY_LENGTH, 5, S("hell"), "hell...cut");
    body_is(HTTP_BODY_LENGTH, UINT64_C(1) << 40, S("hell"), "hell...cut");
}

Test(body, reads_until_close)
{
    body_is(HTTP_BODY_UNTIL_CLOSE, 0, S("hello"), "hello...end");
}

Test(body, reads_chunks)
{
    chunked_is(S("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET"), "hello world|GET");
    chunked_is(S("0\r\n\r\n"), "|");
    chunked_is(S("0005\r\nhello\r\n000\r\n\r\n"), "hello|");
    chunked_is(S("A\r\n0123456789\r\na\r\n\r\n0\r\n\r\n567\r\n0\r\n\r\n"),
               "0123456789\\x0d\\x0a0\\x0d\\x0a\\x0d\\x0a567|");
    chunked_is(S("5\r\nhello\r\n0\r\n"), "hello...cut");
    chunked_is(S("5\r\nhel"), "hel...cut");
}

Test(body, ends_with_its_last_data)
{
    struct http_body body;
    struct slice data;
    const struct slice text = S("5\r\nhello\r\n0\r\n\r\n");

    http_body_init(&body, HTTP_BODY_CHUNKED, 0);
    cr_assert_eq(http_body_feed(&body, text, &data), (int32_t)text.len);
    cr_assert(slice_eq(data, S("hello")));
    cr_assert(body.is_complete);
}

Test(body, borrows_data_from_the_input)
{
    struct http_body body;
    struct slice data;
    const struct slice text = S("5\r\nhello\r\n");

    http_body_init(&body, HTTP_BODY_CHUNKED, 0);
    cr_assert_gt(http_body_feed(&body, text, &data), 0);
    cr_assert_eq(data.ptr, text.ptr + 3);
}

Test(body, skips_extensions)
{
    chunked_is(S("5;a=b;c=\"d;e\"\r\nhello\r\n0;x\r\n\r\n"), "hello|");
    chunked_is(S("5; a\r\nhello\r\n0\r\n\r\n"), "hello|");
}

Test(body, drops_trailers)
{
    chunked_is(S("5\r\nhello\r\n0\r\nX-Sum: 1 2\r\ny:\r\n\r\nGET"), "hello|GET");
}

Test(body, rejects_malformed_sizes)
{
    chunked_is(S("\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("+5\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("-5\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0x5\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S(" 5\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5 \r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5_0\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("g\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S(";a\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
}

Test(body, rejects_overflowing_sizes)
{
    chunked_is(S("8000000000000000\r\n"), "HTTP_BODY");
    chunked_is(S("ffffffffffffffff\r\n"), "HTTP_BODY");
    chunked_is(S("10000000000000005\r\nhello\r\n"), "HTTP_BODY");
    chunked_is(S("00000000000000005\r\nhello\r\n"), "HTTP_BODY");
    chunked_is(S("7fffffffffffffff\r\nhello"), "hello...cut");
}

Test(body, rejects_bare_line_ends)
{
    chunked_is(S("5\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5\rhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5;a\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5;a\rb\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5;\"\n\"\r\nhello\r\n0\r\n\r\n"), "HTTP_BODY");
}

Test(body, rejects_data_of_another_size)
{
    struct http_body body;
    struct slice data;
    struct slice text = S("5\r\nhelloX\r\n0\r\n\r\n");
    int32_t n;

    http_body_init(&body, HTTP_BODY_CHUNKED, 0);
    n = http_body_feed(&body, text, &data);
    cr_assert(slice_eq(data, S("hello"))); /* what came before is good; the next step fails */
    cr_assert_eq(http_body_feed(&body, slice_skip(text, (size_t)n), &data), R2A_ERR_HTTP_BODY);
    chunked_is(S("5\r\nhello\n0\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("5\r\nhello0\r\n\r\n"), "HTTP_BODY");
}

Test(body, rejects_malformed_trailers)
{
    chunked_is(S("0\r\n X: a\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\nX : a\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\nX\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\nX: a\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\nX: a\r\n b\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\n: a\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\nX: \x01\r\n\r\n"), "HTTP_BODY");
    chunked_is(S("0\r\n\n"), "HTTP_BODY");
}

/* `count` times `piece` after `head`: what becomes of it. */
static int32_t feed_repeated(struct slice head, struct slice piece, size_t count)
{
    struct http_body body;
    struct slice data;
    int32_t n;

    http_body_init(&body, HTTP_BODY_CHUNKED, 0);
    if (head.len > 0)
        cr_assert_eq(http_body_feed(&body, head, &data), (int32_t)head.len);
    for (size_t i = 0; i < count; i++) {
        struct slice in = piece;

        while (in.len > 0) {
            n = http_body_feed(&body, in, &data);
            if (n < 0)
                return n;
            in = slice_skip(in, (size_t)n);
        }
    }
    return R2A_OK;
}

Test(body, bounds_extensions_and_trailers)
{
    cr_assert_eq(feed_repeated(S("5;"), S("a"), CHUNK_LINE_BYTES_MAX - 1), R2A_OK);
    cr_assert_eq(feed_repeated(S("5;"), S("a"), CHUNK_LINE_BYTES_MAX + 1), R2A_ERR_HTTP_BODY);
    cr_assert_eq(feed_repeated(S("0\r\n"), S("a: b\r\n"), 10), R2A_OK);
    cr_assert_eq(feed_repeated(S("0\r\n"), S("a: b\r\n"), TRAILER_BYTES_MAX), R2A_ERR_HTTP_BODY);
}

Test(body, lets_chunks_of_one_byte_pass)
{
    cr_assert_eq(feed_repeated(S(""), S("1\r\na\r\n"), 1000000), R2A_OK);
}

Test(body, rejects_framing_that_outweighs_its_content)
{
    cr_assert_eq(feed_repeated(S(""), S("1;0123456789abcdef\r\na\r\n"), 1000000),
                 R2A_ERR_HTTP_BODY);
}

static struct slice rope_text(struct rope *rope, char *to)
{
    cr_assert_eq(rope->err, R2A_OK);
    rope_copy_out(rope, to);
    return slice_of(to, rope->bytes);
}

Test(body, writes_chunks)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 1 << 20);
    struct rope out = {.mem = mem};
    struct rope more = {.mem = mem};
    static char big[0x1a2b3];
    char text[256];

    http_chunk_put(&out, S("hello"));
    http_chunk_put(&out, S(""));
    http_chunk_append(&out, &more);
    rope_put(&more, S("0123456789abcdef"));
    http_chunk_append(&out, &more);
    cr_assert_eq(more.bytes, 0);
    http_chunk_begin(&out, 0x1a2b3);
    http_chunk_last(&out);
    cr_assert(slice_eq(rope_text(&out, text), S("5\r\nhello\r\n10\r\n0123456789abcdef\r\n"
                                                "1a2b3\r\n0\r\n\r\n")));
    rope_clear(&out);

    memset(big, 'x', sizeof(big));
    http_chunk_put(&out, slice_of(big, sizeof(big)));
    http_chunk_last(&out);
    {
        char *all = malloc(out.bytes);
        struct slice wire = rope_text(&out, all);
        struct outcome outcome = outcome_of_body(HTTP_BODY_CHUNKED, 0, wire, 7);

        cr_assert_eq(outcome.len, sizeof(big) + 1);
        outcome_free(&outcome);
        free(all);
    }
    rope_clear(&out);
    mem_close(mem);
}
