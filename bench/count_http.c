/* What HTTP costs: the heads an SDK and a vendor send, chunked framing, events of a stream. */
#include "count.h"

#include "r2a/core/mem.h"
#include "r2a/http/body.h"
#include "r2a/http/h1_head.h"
#include "r2a/http/sse.h"
#include "r2a/limits.h"

/* As the official clients send it, 20 fields. */
static const char request_head[] =
    "POST /v1/messages HTTP/1.1\r\n"
    "host: 127.0.0.1:3000\r\n"
    "connection: keep-alive\r\n"
    "accept: application/json\r\n"
    "x-stainless-retry-count: 0\r\n"
    "x-stainless-timeout: 600\r\n"
    "x-stainless-lang: js\r\n"
    "x-stainless-package-version: 1.2.3\r\n"
    "x-stainless-os: Linux\r\n"
    "x-stainless-arch: x64\r\n"
    "x-stainless-runtime: node\r\n"
    "x-stainless-runtime-version: v22.11.0\r\n"
    "anthropic-version: 2023-06-01\r\n"
    "x-api-key: sk-ant-000000000000000000000000000000000000000000000000\r\n"
    "content-type: application/json\r\n"
    "user-agent: Anthropic/JS 1.2.3\r\n"
    "accept-language: *\r\n"
    "sec-fetch-mode: cors\r\n"
    "accept-encoding: gzip, deflate\r\n"
    "content-length: 1024\r\n"
    "\r\n";

static const char response_head[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: no-cache\r\n"
    "openai-organization: org-example\r\n"
    "openai-processing-ms: 212\r\n"
    "openai-version: 2020-10-01\r\n"
    "x-ratelimit-limit-requests: 10000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\n"
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
    "\r\n";

static struct http_header headers[HEADERS_MAX];

static void run_request_head(void)
{
    struct h1_request request;
    struct slice in = {request_head, sizeof request_head - 1};

    h1_request_init(&request, headers, HEADERS_MAX, HEAD_BYTES_MAX);
    count_expect(h1_request_parse(&request, in) == (int32_t)in.len);
}

static void run_response_head(void)
{
    struct h1_response response;
    struct slice in = {response_head, sizeof response_head - 1};

    h1_response_init(&response, HTTP_METHOD_POST, headers, HEADERS_MAX, HEAD_BYTES_MAX);
    count_expect(h1_response_parse(&response, in) == (int32_t)in.len);
}

/* A stream of 64 events, each in a chunk of its own, as servers flush them. */
#define EVENTS_COUNT 64u

static const char event[] =
    "data: "
    "{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
    "\"finish_reason\":null}]}\n\n";

static struct mem *mem;
static char stream[64 * 1024];
static size_t stream_len;

static void open_mem(void)
{
    static struct mem_budget budget;

    mem = mem_open(&budget, 1u << 20);
    count_expect(mem != NULL);
}

static void put(struct slice bytes)
{
    memcpy(stream + stream_len, bytes.ptr, bytes.len);
    stream_len += bytes.len;
}

static void prepare_events(void)
{
    open_mem();
    for (unsigned i = 0; i < EVENTS_COUNT; i++)
        put((struct slice){event, sizeof event - 1});
}

static void prepare_chunks(void)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = sizeof event - 1;
    char line[4] = {digits[len >> 4 & 15], digits[len & 15], '\r', '\n'};

    count_expect(len < 256);
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        put((struct slice){line, sizeof line});
        put((struct slice){event, len});
        put(S("\r\n"));
    }
    put(S("0\r\n\r\n"));
}

static void run_chunks(void)
{
    struct http_body body;
    struct slice in = {stream, stream_len}, data;

    http_body_init(&body, HTTP_BODY_CHUNKED, 0);
    while (in.len > 0 && !body.is_complete) {
        int32_t used = http_body_feed(&body, in, &data);

        count_expect(used > 0);
        in = slice_skip(in, (size_t)used);
    }
    count_expect(body.is_complete && body.bytes == EVENTS_COUNT * (sizeof event - 1));
}

static void run_events(void)
{
    struct sse sse;
    struct frame frame;
    struct slice in = {stream, stream_len};
    unsigned events_count = 0;
    int32_t used;

    sse_init(&sse, mem, 65536);
    while ((used = sse_feed(&sse, in, &frame)) > 0) {
        events_count += frame.kind == FRAME_DATA;
        in = slice_skip(in, (size_t)used);
    }
    count_expect(used == 0 && events_count == EVENTS_COUNT);
}

/* The same events, the input cut in the middle of each: what a slow upstream's reads look like. */
static void run_events_cut(void)
{
    struct sse sse;
    struct frame frame;
    unsigned events_count = 0;
    size_t half = (sizeof event - 1) / 2;

    sse_init(&sse, mem, 65536);
    for (size_t at = 0, step = half; at < stream_len; at += step, step = sizeof event - 1) {
        struct slice in = slice_head((struct slice){stream + at, stream_len - at}, step);
        int32_t used;

        while ((used = sse_feed(&sse, in, &frame)) > 0) {
            events_count += frame.kind == FRAME_DATA;
            in = slice_skip(in, (size_t)used);
        }
        count_expect(used == 0);
    }
    count_expect(events_count == EVENTS_COUNT);
}

const struct count_fixture count_fixtures[] = {
    {"request_head", NULL, run_request_head},       {"response_head", NULL, run_response_head},
    {"chunks", prepare_chunks, run_chunks},         {"events", prepare_events, run_events},
    {"events_cut", prepare_events, run_events_cut},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
