#include <stdio.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/url.h"
#include "support/guard.h"

/* "scheme host authority port path ?query @user unix" of a URL that must parse. */
static void url_is(struct slice text, const char *expected)
{
    const char *copy = guard_copy(text.ptr, text.len);
    struct outcome outcome = {0};
    struct url url;
    enum r2a_err err = url_parse(slice_of(copy, text.len), &url);

    if (err != R2A_OK) {
        outcome_add(&outcome, "%s", r2a_err_name(err));
    } else {
        outcome_add(&outcome, url.is_tls ? "https" : "http");
        outcome_add(&outcome, url.is_ipv6 ? " v6 " : " ");
        outcome_add_bytes(&outcome, url.host);
        outcome_add(&outcome, " (");
        outcome_add_bytes(&outcome, url.authority);
        outcome_add(&outcome, ") %u ", url.port);
        outcome_add_bytes(&outcome, url.path);
        if (url.has_query) {
            outcome_add(&outcome, " ?");
            outcome_add_bytes(&outcome, url.query);
        }
        if (url.user_info.len > 0) {
            outcome_add(&outcome, " @");
            outcome_add_bytes(&outcome, url.user_info);
        }
        if (url.unix_path.len > 0) {
            outcome_add(&outcome, " unix=");
            outcome_add_bytes(&outcome, url.unix_path);
        }
    }
    cr_assert_str_eq(outcome.text, expected, "%s: %s", text.ptr, outcome.text);
    outcome_free(&outcome);
    guard_free(copy, text.len);
}

Test(url, reads_base_urls)
{
    url_is(S("https://api.openai.com/v1"), "https api.openai.com (api.openai.com) 443 /v1");
    url_is(S("http://127.0.0.1:8000/v1/"), "http 127.0.0.1 (127.0.0.1:8000) 8000 /v1");
    url_is(S("HTTPS://a"), "https a (a) 443 ");
    url_is(S("http://a/"), "http a (a) 80 ");
    url_is(S("http://a:/x"), "http a (a) 80 /x");
    url_is(S("https://a:8443?api-version=1"), "https a (a:8443) 8443  ?api-version=1");
    url_is(S("https://a/b/c?"), "https a (a) 443 /b/c ?");
    url_is(S("http://u:p%40@proxy:3128"), "http proxy (proxy:3128) 3128  @u:p%40");
}

Test(url, reads_ipv6_literals)
{
    url_is(S("http://[::1]:8000/v1"), "http v6 ::1 ([::1]:8000) 8000 /v1");
    url_is(S("https://[2001:db8::1]"), "https v6 2001:db8::1 ([2001:db8::1]) 443 ");
    url_is(S("https://[1:2:3:4:5:6:7:8]/"), "https v6 1:2:3:4:5:6:7:8 ([1:2:3:4:5:6:7:8]) 443 ");
    url_is(S("https://[::ffff:1.2.3.4]/"), "https v6 ::ffff:1.2.3.4 ([::ffff:1.2.3.4]) 443 ");
    url_is(S("https://[::]/"), "https v6 :: ([::]) 443 ");
    url_is(S("https://[1::]/"), "https v6 1:: ([1::]) 443 ");
}

Test(url, reads_the_longest_ipv6_gap)
{
    url_is(S("http://[1:2:3:4:5:6::8]/"), "http v6 1:2:3:4:5:6::8 ([1:2:3:4:5:6::8]) 80 ");
    url_is(S("http://[1:2:3:4:5:6:7::]/"), "http v6 1:2:3:4:5:6:7:: ([1:2:3:4:5:6:7::]) 80 ");
}

Test(url, refuses_bad_ipv6_literals)
{
    url_is(S("http://[]/"), "INVALID");
    url_is(S("http://[:]/"), "INVALID");
    url_is(S("http://[1]/"), "INVALID");
    url_is(S("http://[1:2:3:4:5:6:7]/"), "INVALID");
    url_is(S("http://[1:2:3:4:5:6:7:8:9]/"), "INVALID");
    url_is(S("http://[1:2:3:4:5:6:7::8]/"), "INVALID");
    url_is(S("http://[1:2:3:4::5:6:7:8]/"), "INVALID");
    url_is(S("http://[1::2::3]/"), "INVALID");
    url_is(S("http://[:1:2:3:4:5:6:7]/"), "INVALID");
    url_is(S("http://[1:2:3:4:5:6:7:]/"), "INVALID");
    url_is(S("http://[12345::]/"), "INVALID");
    url_is(S("http://[::g]/"), "INVALID");
    url_is(S("http://[::1.2.3]/"), "INVALID");
    url_is(S("http://[::1.2.3.256]/"), "INVALID");
    url_is(S("http://[::1.2.3.4:5]/"), "INVALID");
    url_is(S("http://[fe80::1%25eth0]/"), "INVALID");
    url_is(S("http://[::1"), "INVALID");
    url_is(S("http://[::1]8000/"), "INVALID");
}

Test(url, reads_unix_sockets)
{
    url_is(S("http://unix:/run/x.sock:/v1"), "http  (localhost) 0 /v1 unix=/run/x.sock");
    url_is(S("http://unix:/run/x.sock"), "http  (localhost) 0  unix=/run/x.sock");
    url_is(S("http://unix:/run/x.sock:"), "http  (localhost) 0  unix=/run/x.sock");
    url_is(S("http://unix:x.sock:/v1"), "INVALID");
    url_is(S("http://unix:/:/v1"), "INVALID");
    url_is(S("http://unix:/run/x.sock:v1"), "INVALID");
    url_is(S("https://unix:/run/x.sock"), "INVALID");
}

Test(url, refuses_what_is_no_url)
{
    url_is(S(""), "INVALID");
    url_is(S("api.openai.com"), "INVALID");
    url_is(S("ftp://a"), "INVALID");
    url_is(S("http:/a"), "INVALID");
    url_is(S("http://"), "INVALID");
    url_is(S("http:///v1"), "INVALID");
    url_is(S("http://a:0"), "INVALID");
    url_is(S("http://a:65536"), "INVALID");
    url_is(S("http://a:-1"), "INVALID");
    url_is(S("http://a:8o"), "INVALID");
    url_is(S("http://a b"), "INVALID");
    url_is(S("http://a/\xc3\xa9"), "INVALID");
    url_is(S("http://a/x#y"), "INVALID");
    url_is(S("http://a/../b"), "INVALID");
    url_is(S("http://a/%2e%2E/b"), "INVALID");
    url_is(S("http://a%2fb/"), "INVALID");
    url_is(S("http://a@b@c/"), "INVALID");
}

static void listen_is(struct slice text, const char *expected)
{
    struct outcome outcome = {0};
    struct url_listen listen;

    if (url_listen_parse(text, &listen) != R2A_OK) {
        outcome_add(&outcome, "bad");
    } else if (listen.unix_path.len > 0) {
        outcome_add(&outcome, "unix ");
        outcome_add_bytes(&outcome, listen.unix_path);
    } else {
        outcome_add(&outcome, listen.is_ipv6 ? "v6 " : "");
        outcome_add_bytes(&outcome, listen.host);
        outcome_add(&outcome, " %u", listen.port);
    }
    cr_assert_str_eq(outcome.text, expected, "%s", text.ptr);
    outcome_free(&outcome);
}

Test(url, reads_listen_addresses)
{
    listen_is(S("127.0.0.1:3000"), "127.0.0.1 3000");
    listen_is(S("localhost:0"), "localhost 0");
    listen_is(S("[::1]:3000"), "v6 ::1 3000");
    listen_is(S(":3000"), " 3000");
    listen_is(S("*:3000"), " 3000");
    listen_is(S("unix:/run/r.sock"), "unix /run/r.sock");
    listen_is(S("127.0.0.1"), "bad");
    listen_is(S("3000"), "bad");
    listen_is(S("::1:3000"), "bad");
    listen_is(S("unix:r.sock"), "bad");
    listen_is(S(":x"), "bad");
    listen_is(S(":"), "bad");
    listen_is(S(""), "bad");
    listen_is(S("http://a:1"), "bad");
}

Test(url, splits_targets)
{
    struct slice path, query;

    url_split(S("/a/b?c=d?e"), &path, &query);
    cr_assert(slice_eq(path, S("/a/b")) && slice_eq(query, S("c=d?e")));
    url_split(S("/a"), &path, &query);
    cr_assert(slice_eq(path, S("/a")) && query.len == 0);
    url_split(S("/a?"), &path, &query);
    cr_assert(slice_eq(path, S("/a")) && query.len == 0);
}

static void decodes(struct slice text, struct slice expected)
{
    char out[64];
    int32_t size = url_decode(text, out);

    cr_assert_geq(size, 0, "%s", text.ptr);
    cr_assert(slice_eq(slice_of(out, (size_t)size), expected), "%.*s", (int)size, out);
    memcpy(out, text.ptr, text.len);
    cr_assert_eq(url_decode(slice_of(out, text.len), out), size, "in place");
    cr_assert(slice_eq(slice_of(out, (size_t)size), expected));
}

Test(url, decodes_once)
{
    decodes(S("abc"), S("abc"));
    decodes(S("a%2Fb%2f%41"), S("a/b/A"));
    decodes(S("%2541"), S("%41"));
    decodes(S("a+b"), S("a+b"));
    decodes(S("%c3%a9%FF"), S("\xc3\xa9\xff"));
    decodes(S("models%3Agenerate"), S("models:generate"));
}

Test(url, refuses_bad_escapes)
{
    char out[64];

    cr_assert_eq(url_decode(S("%"), out), R2A_ERR_HTTP_URL);
    cr_assert_eq(url_decode(S("a%2"), out), R2A_ERR_HTTP_URL);
    cr_assert_eq(url_decode(S("%2g"), out), R2A_ERR_HTTP_URL);
    cr_assert_eq(url_decode(S("%+2"), out), R2A_ERR_HTTP_URL);
    cr_assert_eq(url_decode(S("a%00"), out), R2A_ERR_HTTP_URL);
}

static void normalises(struct slice text, struct slice expected)
{
    char out[64];
    int32_t size;

    memcpy(out, text.ptr, text.len);
    size = url_path_normalise(slice_of(out, text.len), out);
    if (expected.len == 0) {
        cr_assert_eq(size, R2A_ERR_HTTP_URL, "%s", text.ptr);
        return;
    }
    cr_assert(size > 0 && slice_eq(slice_of(out, (size_t)size), expected), "%s: %.*s", text.ptr,
              (int)size, out);
}

Test(url, normalises_paths)
{
    normalises(S("/"), S("/"));
    normalises(S("//"), S("/"));
    normalises(S("/v1/messages"), S("/v1/messages"));
    normalises(S("//v1///messages"), S("/v1/messages"));
    normalises(S("/v1/models/"), S("/v1/models/"));
    normalises(S("/v1/models//"), S("/v1/models/"));
    normalises(S("/v1beta/models/a%2Fb:x"), S("/v1beta/models/a%2Fb:x"));
    normalises(S("/.well-known/..."), S("/.well-known/..."));
}

Test(url, refuses_paths_that_climb)
{
    normalises(S("/a/../b"), S(""));
    normalises(S("/a/./b"), S(""));
    normalises(S("/.."), S(""));
    normalises(S("/a/%2e%2e/b"), S(""));
    normalises(S("/a/.%2E"), S(""));
    normalises(S("/a/%2e"), S(""));
    normalises(S("a"), S(""));
    normalises(S(""), S(""));
    normalises(S("*"), S(""));
    normalises(S("/a%00"), S(""));
    normalises(S("/a%zz"), S(""));
}

Test(url, walks_segments)
{
    struct slice path = S("/v1//models/x/");
    struct slice segment;

    cr_assert(url_segment_next(&path, &segment) && slice_eq(segment, S("v1")));
    cr_assert(url_segment_next(&path, &segment) && slice_eq(segment, S("models")));
    cr_assert(url_segment_next(&path, &segment) && slice_eq(segment, S("x")));
    cr_assert_not(url_segment_next(&path, &segment));
}

Test(url, walks_queries)
{
    struct slice query = S("a=1&&b&c=x=y&=z");
    struct slice key, value;

    cr_assert(url_query_next(&query, &key, &value) && slice_eq(key, S("a")) &&
              slice_eq(value, S("1")));
    cr_assert(url_query_next(&query, &key, &value) && slice_eq(key, S("b")) && value.len == 0);
    cr_assert(url_query_next(&query, &key, &value) && slice_eq(key, S("c")) &&
              slice_eq(value, S("x=y")));
    cr_assert(url_query_next(&query, &key, &value) && key.len == 0 && slice_eq(value, S("z")));
    cr_assert_not(url_query_next(&query, &key, &value));
}

Test(url, finds_parameters)
{
    struct slice value;

    cr_assert(url_query_find(S("alt=sse&key=AIza"), S("key"), &value));
    cr_assert(slice_eq(value, S("AIza")));
    cr_assert(url_query_find(S("%61lt=sse"), S("alt"), &value));
    cr_assert(slice_eq(value, S("sse")));
    cr_assert(url_query_find(S("$alt=json&alt=sse"), S("$alt"), &value));
    cr_assert_not(url_query_find(S("xkey=1&keyx=2&ke=3"), S("key"), &value));
    cr_assert_not(url_query_find(S(""), S("key"), &value));
}

static void removes_key(struct slice text, struct slice expected)
{
    char out[64];
    size_t size;

    memcpy(out, text.ptr, text.len);
    size = url_query_remove(slice_of(out, text.len), S("key"), out);
    cr_assert(slice_eq(slice_of(out, size), expected), "%s: %.*s", text.ptr, (int)size, out);
}

Test(url, removes_credentials)
{
    removes_key(S("key=a&alt=sse"), S("alt=sse"));
    removes_key(S("alt=sse&key=a"), S("alt=sse"));
    removes_key(S("a=1&key=a&b=2&key=c&c"), S("a=1&b=2&c"));
    removes_key(S("k%65y=a&%6B%65%79=b"), S(""));
    removes_key(S("key"), S(""));
    removes_key(S("keys=a&k%zzey=b"), S("keys=a&k%zzey=b"));
    removes_key(S(""), S(""));
}

Test(url, encodes_segments)
{
    struct mem_budget budget = {0};
    struct rope out = {.mem = mem_open(&budget, 1 << 20)};
    char text[128];

    url_put_segment(&out, S("gpt-4o_x.y~z"), false);
    rope_put_char(&out, ' ');
    url_put_segment(&out, S("a/b c%?#:\xc3\xa9\n"), false);
    rope_put_char(&out, ' ');
    url_put_segment(&out, S(":a:generate/"), true);
    url_put_segment(&out, S(""), true);
    rope_copy_out(&out, text);
    cr_assert(slice_eq(slice_of(text, out.bytes),
                       S("gpt-4o_x.y~z a%2Fb%20c%25%3F%23%3A%C3%A9%0A :a:generate%2F")));
    rope_clear(&out);
    mem_close(out.mem);
}
