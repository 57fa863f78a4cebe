#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/limits.h"
#include "support/guard.h"

/* Any way of dribbling a head gives what it gives whole. */
static struct outcome request_all_ways(struct slice text)
{
    struct outcome whole = outcome_of_request(text, CUT_WHOLE);

    for (uint64_t cut = CUT_BYTES; cut < 12; cut++) {
        struct outcome other = outcome_of_request(text, cut);

        cr_assert_str_eq(other.text, whole.text, "cut %d", (int)cut);
        outcome_free(&other);
    }
    return whole;
}

static void request_is(struct slice text, const char *expected)
{
    struct outcome outcome = request_all_ways(text);

    cr_assert_str_eq(outcome.text, expected, "of %.*s", (int)text.len, text.ptr);
    outcome_free(&outcome);
}

static void response_is(struct slice text, enum http_method method, const char *expected)
{
    struct outcome whole = outcome_of_response(text, method, CUT_WHOLE);

    for (uint64_t cut = CUT_BYTES; cut < 12; cut++) {
        struct outcome other = outcome_of_response(text, method, cut);

        cr_assert_str_eq(other.text, whole.text, "cut %d", (int)cut);
        outcome_free(&other);
    }
    cr_assert_str_eq(whole.text, expected, "of %.*s", (int)text.len, text.ptr);
    outcome_free(&whole);
}

/* One field after a sound request line and Host. */
static void request_with(struct slice field_lines, const char *expected)
{
    char text[1024];
    const struct slice head = S("POST /v1 HTTP/1.1\r\nHost: a\r\n");
    size_t len = head.len;

    memcpy(text, head.ptr, head.len);
    memcpy(text + len, field_lines.ptr, field_lines.len);
    len += field_lines.len;
    memcpy(text + len, "\r\n", 2);
    request_is(slice_of(text, len + 2), expected);
}

static void response_with(struct slice field_lines, const char *expected)
{
    char text[1024];
    const struct slice head = S("HTTP/1.1 200 OK\r\n");
    size_t len = head.len;

    memcpy(text, head.ptr, head.len);
    memcpy(text + len, field_lines.ptr, field_lines.len);
    len += field_lines.len;
    memcpy(text + len, "\r\n", 2);
    response_is(slice_of(text, len + 2), HTTP_METHOD_POST, expected);
}

Test(h1_head, reads_a_request)
{
    request_is(S("POST /v1/chat/completions?beta=true HTTP/1.1\r\nHost: localhost:3000\r\n"
                 "content-type:application/json\r\nContent-Length: 12 \r\nX-Empty:\r\n"
                 "x-blank: \t \r\nAccept: \t */*, b\tc\t\r\n\r\n{\"a\":1}"),
               "POST /v1/chat/completions?beta=true 1.1 host=localhost:3000 body=length(12) keep"
               " | Host: localhost:3000 | content-type: application/json | Content-Length: 12"
               " | X-Empty:  | x-blank:  | Accept: */*, b\\x09c rest=7");
}

Test(h1_head, numbers_known_fields)
{
    struct http_header headers[4];
    struct h1_request request;
    const struct slice text = S("GET / HTTP/1.1\r\nHOST: a\r\nX-Api-Key: k\r\nX-Odd: 1\r\n\r\n");

    h1_request_init(&request, headers, 4, HEAD_BYTES_MAX);
    cr_assert_eq(h1_request_parse(&request, text), (int32_t)text.len);
    cr_assert_eq(request.method, HTTP_METHOD_GET);
    cr_assert_eq(headers[0].id, HEADER_HOST);
    cr_assert_eq(headers[1].id, HEADER_X_API_KEY);
    cr_assert_eq(headers[2].id, HEADER_OTHER);
}

Test(h1_head, leaves_what_follows_the_head)
{
    request_is(S("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
               "GET /a 1.1 host=a body=none keep | Host: a rest=28");
}

Test(h1_head, asks_for_more)
{
    const struct slice text = S("GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\n\r\n");

    for (size_t len = 0; len < text.len; len++) {
        struct http_header headers[4];
        struct h1_request request;
        const char *copy = guard_copy(text.ptr, len);

        h1_request_init(&request, headers, 4, HEAD_BYTES_MAX);
        cr_assert_eq(h1_request_parse(&request, slice_of(copy, len)), 0, "%zu", len);
        guard_free(copy, len);
    }
}

Test(h1_head, reads_every_method_and_any_token)
{
    request_is(S("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
               "OPTIONS * 1.1 host=a body=none keep | Host: a rest=0");
    request_is(S("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"),
               "BREW /pot 1.1 host=a body=none keep | Host: a rest=0");
    request_is(S("post / HTTP/1.1\r\nHost: a\r\n\r\n"),
               "post / 1.1 host=a body=none keep | Host: a rest=0");
}

Test(h1_head, reads_http_1_0)
{
    request_is(S("GET / HTTP/1.0\r\n\r\n"), "GET / 1.0 host= body=none close rest=0");
    request_is(S("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
               "GET / 1.0 host= body=none keep | Connection: Keep-Alive rest=0");
    request_is(S("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
               "GET / 1.0 host= body=none close | Expect: 100-continue rest=0");
}

Test(h1_head, treats_a_higher_minor_as_1_1)
{
    request_is(S("GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
               "GET / 1.2 host=a body=none keep | Host: a rest=0");
}

Test(h1_head, closes_when_asked_to)
{
    request_with(S("Connection: close\r\n"),
                 "POST /v1 1.1 host=a body=none close | Host: a | Connection: close rest=0");
    request_with(S("Connection: keep-alive, , CLOSE\r\n"),
                 "POST /v1 1.1 host=a body=none close | Host: a | Connection: keep-alive, , CLOSE"
                 " rest=0");
    request_with(S("Connection: x-close\r\n"),
                 "POST /v1 1.1 host=a body=none keep | Host: a | Connection: x-close rest=0");
}

Test(h1_head, notes_expect_and_upgrade)
{
    request_with(S("Expect: 100-Continue\r\n"),
                 "POST /v1 1.1 host=a body=none keep expect=continue | Host: a"
                 " | Expect: 100-Continue rest=0");
    request_with(S("Expect: 200-ok\r\n"), "POST /v1 1.1 host=a body=none keep expect=other"
                                          " | Host: a | Expect: 200-ok rest=0");
    request_with(
        S("Upgrade: websocket\r\n"),
        "POST /v1 1.1 host=a body=none keep upgrade | Host: a | Upgrade: websocket rest=0");
}

Test(h1_head, lets_one_leading_crlf_pass)
{
    request_is(S("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
               "GET / 1.1 host=a body=none keep glitches=1 | Host: a rest=0");
    request_is(S("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
}

Test(h1_head, takes_the_host_of_an_absolute_target)
{
    request_is(S("GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n"),
               "GET /x?y 1.1 host=b:81 body=none keep | Host: a rest=0");
    request_is(S("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n"),
               "GET / 1.1 host=b body=none keep | Host: a rest=0");
    request_is(S("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET http://b/x HTTP/1.1\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET http://b/x HTTP/1.1\r\nHost: a b\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
}

Test(h1_head, rejects_other_target_forms)
{
    request_is(S("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), "HTTP_URL");
    request_is(S("CONNECT /x HTTP/1.1\r\nHost: a:443\r\n\r\n"), "HTTP_URL");
    request_is(S("GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), "HTTP_URL");
    request_is(S("GET v1/models HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
}

Test(h1_head, rejects_a_fragment)
{
    request_is(S("GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
}

Test(h1_head, rejects_odd_bytes_in_the_target)
{
    request_is(S("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET /a\x80 HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET /caf\xc3\xa9-and-more-than-sixteen-bytes HTTP/1.1\r\nHost: a\r\n\r\n"),
               "HTTP_URL");
    request_is(S("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
    request_is(S("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_URL");
}

Test(h1_head, rejects_malformed_request_lines)
{
    request_is(S("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET /\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.1\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / http/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/11\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1,1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP_SYNTAX");
    request_is(S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "HTTP_SYNTAX");
}

Test(h1_head, rejects_other_versions)
{
    request_is(S("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "HTTP_VERSION");
    request_is(S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP_VERSION");
    request_is(S("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), "HTTP_VERSION");
}

Test(h1_head, rejects_bare_cr_in_value)
{
    request_with(S("X: a\rb\r\n"), "HTTP_SYNTAX");
    request_with(S("X: a\r\r\n"), "HTTP_SYNTAX");
}

Test(h1_head, rejects_bare_lf)
{
    request_with(S("X: a\nY: b\r\n"), "HTTP_SYNTAX");
    request_with(S("X: a\n\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.1\r\nHost: a\r\n\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.1\nHost: a\n\n"), "HTTP_SYNTAX");
}

Test(h1_head, rejects_control_bytes_in_value)
{
    request_with(S("X: a\0b\r\n"), "HTTP_SYNTAX");
    request_with(S("X: a\x01\r\n"), "HTTP_SYNTAX");
    request_with(S("X: a\x7f\r\n"), "HTTP_SYNTAX");
    request_with(S("X: sixteen or more bytes, then \x0b\r\n"), "HTTP_SYNTAX");
    request_with(S("X: obs-text \xe9 passes\r\n"),
                 "POST /v1 1.1 host=a body=none keep | Host: a | X: obs-text \\xe9 passes rest=0");
}

Test(h1_head, rejects_obs_fold)
{
    request_with(S("X: a\r\n b\r\n"), "HTTP_SYNTAX");
    request_with(S("X: a\r\n\tb\r\n"), "HTTP_SYNTAX");
    request_is(S("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "HTTP_SYNTAX");
}

Test(h1_head, rejects_space_before_colon)
{
    request_with(S("X : a\r\n"), "HTTP_SYNTAX");
    request_with(S("Content-Length : 5\r\n"), "HTTP_SYNTAX");
    request_with(S("Transfer-Encoding\t: chunked\r\n"), "HTTP_SYNTAX");
}

Test(h1_head, rejects_empty_and_odd_names)
{
    request_with(S(": a\r\n"), "HTTP_SYNTAX");
    request_with(S("X\0: a\r\n"), "HTTP_SYNTAX");
    request_with(S("X(Y): a\r\n"), "HTTP_SYNTAX");
    request_with(S("X\xc3\xa9: a\r\n"), "HTTP_SYNTAX");
    request_with(S("no-colon\r\n"), "HTTP_SYNTAX");
    request_with(S("{\"json\": 1}\r\n"), "HTTP_SYNTAX");
    request_with(S("x_under~score!#$%&'*+.^`|: a\r\n"),
                 "POST /v1 1.1 host=a body=none keep | Host: a | x_under~score!#$%&'*+.^`|: a"
                 " rest=0");
}

Test(h1_head, reads_lengths)
{
    request_with(S("Content-Length: 0\r\n"),
                 "POST /v1 1.1 host=a body=none(0) keep | Host: a | Content-Length: 0 rest=0");
    request_with(
        S("Content-Length: 0010\r\n"),
        "POST /v1 1.1 host=a body=length(10) keep | Host: a | Content-Length: 0010 rest=0");
    request_with(S("Content-Length: 9223372036854775807\r\n"),
                 "POST /v1 1.1 host=a body=length(9223372036854775807) keep | Host: a"
                 " | Content-Length: 9223372036854775807 rest=0");
}

Test(h1_head, rejects_lengths_that_are_no_number)
{
    request_with(S("Content-Length:\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: +5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: -5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 5 5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 0x5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 5.0\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 5;a\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 9223372036854775808\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 18446744073709551621\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 99999999999999999999999\r\n"), "HTTP_FRAMING");
}

Test(h1_head, rejects_differing_lengths)
{
    request_with(S("Content-Length: 5\r\nContent-Length: 6\r\n"), "HTTP_FRAMING");
    response_with(S("Content-Length: 5\r\nContent-Length: 6\r\n"), "HTTP_FRAMING");
}

Test(h1_head, rejects_repeated_lengths)
{
    request_with(S("Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 5, 5\r\n"), "HTTP_FRAMING");
    request_with(S("Content-Length: 5,6\r\n"), "HTTP_FRAMING");
    response_with(S("Content-Length: 5, 5\r\n"), "HTTP_FRAMING");
}

Test(h1_head, reads_chunked)
{
    request_with(S("Transfer-Encoding: Chunked\r\n"),
                 "POST /v1 1.1 host=a body=chunked keep | Host: a | Transfer-Encoding: Chunked"
                 " rest=0");
}

Test(h1_head, rejects_length_beside_chunked)
{
    request_with(S("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), "HTTP_FRAMING");
    response_with(S("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "HTTP_FRAMING");
}

Test(h1_head, rejects_codings_before_chunked)
{
    request_with(S("Transfer-Encoding: gzip, chunked\r\n"), "HTTP_CODING");
    request_with(S("Transfer-Encoding: a,b ,\tchunked\r\n"), "HTTP_CODING");
    response_with(S("Transfer-Encoding: gzip, chunked\r\n"), "HTTP_CODING");
}

Test(h1_head, rejects_codings_without_a_final_chunked)
{
    request_with(S("Transfer-Encoding:\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: identity\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: gzip\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked, gzip\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked, identity\r\n"), "HTTP_FRAMING");
    response_with(S("Transfer-Encoding: gzip\r\n"), "HTTP_FRAMING");
}

Test(h1_head, rejects_chunked_in_disguise)
{
    request_with(S("Transfer-Encoding: xchunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked;q=1\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: \"chunked\"\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked chunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked,\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: ,chunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: \x0b"
                   "chunked\r\n"),
                 "HTTP_SYNTAX");
    request_with(S("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n"),
                 "POST /v1 1.1 host=a body=length(3) keep | Host: a | Transfer_Encoding: chunked"
                 " | Content-Length: 3 rest=0");
}

Test(h1_head, rejects_repeated_chunked)
{
    request_with(S("Transfer-Encoding: chunked, chunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "HTTP_FRAMING");
    request_with(S("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
                 "HTTP_FRAMING");
}

Test(h1_head, rejects_chunked_in_http_1_0)
{
    request_is(S("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "HTTP_FRAMING");
    response_is(S("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_METHOD_GET,
                "HTTP_FRAMING");
}

Test(h1_head, rejects_missing_and_repeated_host)
{
    request_is(S("GET / HTTP/1.1\r\nAccept: a\r\n\r\n"), "HTTP_HOST");
    request_with(S("host: b\r\n"), "HTTP_HOST");
    request_with(S("Host: a\r\n"), "HTTP_HOST");
}

Test(h1_head, rejects_bad_hosts)
{
    request_is(S("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
               "GET / 1.1 host=a,b body=none keep | Host: a,b rest=0"); /* a legal reg-name */
    request_is(S("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), "HTTP_HOST");
    request_is(S("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
               "GET / 1.1 host=[::1]:80 body=none keep | Host: [::1]:80 rest=0");
    request_is(S("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
               "GET / 1.1 host= body=none keep | Host:  rest=0");
}

Test(h1_head, limits_the_number_of_fields)
{
    struct http_header headers[2];
    struct h1_request request;

    h1_request_init(&request, headers, 2, HEAD_BYTES_MAX);
    cr_assert_gt(h1_request_parse(&request, S("GET / HTTP/1.1\r\nHost: a\r\nB: b\r\n\r\n")), 0);
    h1_request_init(&request, headers, 2, HEAD_BYTES_MAX);
    cr_assert_eq(h1_request_parse(&request, S("GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\n\r\n")),
                 R2A_ERR_HTTP_HEAD_LIMIT);
}

Test(h1_head, limits_the_size)
{
    const struct slice text = S("GET /0123456789 HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_header headers[2];
    struct h1_request request;

    h1_request_init(&request, headers, 2, (uint32_t)text.len);
    cr_assert_eq(h1_request_parse(&request, text), (int32_t)text.len);
    h1_request_init(&request, headers, 2, (uint32_t)text.len - 1);
    cr_assert_eq(h1_request_parse(&request, text), R2A_ERR_HTTP_HEAD_LIMIT);
    h1_request_init(&request, headers, 2, 20);
    cr_assert_eq(h1_request_parse(&request, slice_head(text, 19)), 0);
    cr_assert_eq(h1_request_parse(&request, slice_head(text, 20)), R2A_ERR_HTTP_HEAD_LIMIT);
}

Test(h1_head, says_where_the_error_is)
{
    struct http_header headers[4];
    struct h1_request request;

    h1_request_init(&request, headers, 4, HEAD_BYTES_MAX);
    cr_assert_eq(h1_request_parse(&request, S("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n")),
                 R2A_ERR_HTTP_SYNTAX);
    cr_assert_eq(request.error_at, 23);
}

/* A head dribbled byte by byte is looked through about twice, not once a byte. */
Test(h1_head, does_not_rescan_a_dribbled_head)
{
    struct http_header headers[2];
    struct h1_request request;
    char *text = malloc(HEAD_BYTES_MAX);
    size_t len;

    cr_assert_not_null(text);
    len = (size_t)snprintf(text, HEAD_BYTES_MAX, "GET / HTTP/1.1\r\nHost: a\r\nx: ");
    memset(text + len, 'a', HEAD_BYTES_MAX - len);
    memcpy(text + HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    h1_request_init(&request, headers, 2, HEAD_BYTES_MAX);
    for (size_t have = 1; have < HEAD_BYTES_MAX; have++) {
        cr_assert_eq(h1_request_parse(&request, slice_of(text, have)), 0);
        cr_assert_geq(request.seen + 2, have, "%zu", have);
    }
    cr_assert_eq(h1_request_parse(&request, slice_of(text, HEAD_BYTES_MAX)),
                 (int32_t)HEAD_BYTES_MAX);
    free(text);
}

Test(h1_head, reads_a_response)
{
    response_is(S("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n5\r\n"),
                HTTP_METHOD_POST,
                "200 1.1 (OK) body=chunked keep | Content-Type: text/event-stream"
                " | Transfer-Encoding: chunked rest=3");
    response_is(S("HTTP/1.1 429 Too Many \xe2\x80\xa6\tx\r\nContent-Length: 2\r\n\r\n{}"),
                HTTP_METHOD_POST,
                "429 1.1 (Too Many \\xe2\\x80\\xa6\\x09x) body=length(2) keep"
                " | Content-Length: 2 rest=2");
    response_is(S("HTTP/1.1 529 \r\nContent-Length: 0\r\n\r\n"), HTTP_METHOD_POST,
                "529 1.1 () body=none(0) keep | Content-Length: 0 rest=0");
}

Test(h1_head, lets_a_missing_reason_pass)
{
    response_is(S("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), HTTP_METHOD_POST,
                "200 1.1 () body=none(0) keep glitches=1 | Content-Length: 0 rest=0");
}

Test(h1_head, reads_until_close)
{
    response_is(S("HTTP/1.1 200 OK\r\n\r\n"), HTTP_METHOD_POST,
                "200 1.1 (OK) body=until_close close rest=0");
    response_is(S("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), HTTP_METHOD_POST,
                "200 1.0 (OK) body=until_close close | Connection: keep-alive rest=0");
}

Test(h1_head, knows_answers_without_a_body)
{
    response_is(S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP_METHOD_POST,
                "100 1.1 (Continue) body=none keep rest=19");
    response_is(S("HTTP/1.1 204 No Content\r\n\r\n"), HTTP_METHOD_POST,
                "204 1.1 (No Content) body=none keep rest=0");
    response_is(S("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"), HTTP_METHOD_GET,
                "304 1.1 (Not Modified) body=none(99) keep | Content-Length: 99 rest=0");
    response_is(S("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), HTTP_METHOD_HEAD,
                "200 1.1 (OK) body=none(99) keep | Content-Length: 99 rest=0");
    response_is(S("HTTP/1.1 200 OK\r\n\r\n"), HTTP_METHOD_HEAD,
                "200 1.1 (OK) body=none keep rest=0");
    response_is(S("HTTP/1.1 200 OK\r\n\r\nraw"), HTTP_METHOD_CONNECT,
                "200 1.1 (OK) body=none keep rest=3");
    response_is(S("HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n"), HTTP_METHOD_CONNECT,
                "407 1.1 (No) body=length(3) keep | Content-Length: 3 rest=0");
    response_is(S("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), HTTP_METHOD_GET,
                "101 1.1 (Switching) body=none close upgrade | Upgrade: x rest=0");
}

Test(h1_head, never_reuses_after_a_204_with_a_body)
{
    response_is(S("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), HTTP_METHOD_POST,
                "204 1.1 (No Content) body=none(5) close glitches=1 | Content-Length: 5 rest=0");
    response_is(S("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
                HTTP_METHOD_POST,
                "204 1.1 (No Content) body=none close glitches=1 | Transfer-Encoding: chunked"
                " rest=0");
}

Test(h1_head, rejects_malformed_status_lines)
{
    const enum http_method post = HTTP_METHOD_POST;

    response_is(S("HTTP/2.0 200 OK\r\n\r\n"), post, "HTTP_VERSION");
    response_is(S("ICY 200 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 20 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 2000 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 020 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1  200 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 200 O\0K\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 200 OK\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("\r\nHTTP/1.1 200 OK\r\n\r\n"), post, "HTTP_SYNTAX");
    response_is(S("HTTP/1.1 200 OK\rX\r\n\r\n"), post, "HTTP_SYNTAX");
}
