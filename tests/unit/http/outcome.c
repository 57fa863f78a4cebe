#include "http/outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "r2a/core/err.h"
#include "r2a/core/mem.h"
#include "r2a/http/body.h"
#include "r2a/limits.h"
#include "support/guard.h"
#include "support/random.h"

static void make_room(struct outcome *outcome, size_t more)
{
    if (outcome->len + more + 1 <= outcome->size)
        return;
    outcome->size = (outcome->len + more + 1) * 2;
    outcome->text = realloc(outcome->text, outcome->size);
    cr_assert_not_null(outcome->text);
}

void outcome_add(struct outcome *outcome, const char *format, ...)
{
    va_list args;
    int size;

    make_room(outcome, 256);
    va_start(args, format);
    size = vsnprintf(outcome->text + outcome->len, 256, format, args);
    va_end(args);
    cr_assert(size >= 0 && size < 256);
    outcome->len += (size_t)size;
}

void outcome_add_bytes(struct outcome *outcome, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char byte = bytes.ptr[i];

        make_room(outcome, 4);
        if (byte >= 0x20 && byte < 0x7f)
            outcome->text[outcome->len++] = byte;
        else
            outcome->len +=
                (size_t)sprintf(outcome->text + outcome->len, "\\x%02x", (unsigned)(uint8_t)byte);
        outcome->text[outcome->len] = '\0';
    }
}

void outcome_free(struct outcome *outcome)
{
    free(outcome->text);
    *outcome = (struct outcome){0};
}

size_t cut_next(uint64_t *cut, size_t left)
{
    struct random random = {*cut};
    size_t size;

    if (*cut == CUT_WHOLE || left <= 1)
        return left;
    if (*cut == CUT_BYTES)
        return 1;
    size = random_between(&random, 1, random_next(&random) % 4 == 0 ? left : 1 + (left - 1) % 40);
    *cut = random_next(&random) | 2;
    return size;
}

static void add_headers(struct outcome *outcome, const struct http_header *headers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        outcome_add(outcome, " | ");
        outcome_add_bytes(outcome, headers[i].name);
        outcome_add(outcome, ": ");
        outcome_add_bytes(outcome, headers[i].value);
    }
}

static void add_framing(struct outcome *outcome, uint8_t body, bool has_length, uint64_t length,
                        bool keep_alive, bool has_upgrade, uint8_t glitches)
{
    static const char *const names[] = {"none", "length", "chunked", "until_close"};

    outcome_add(outcome, " body=%s", names[body]);
    if (has_length)
        outcome_add(outcome, "(%llu)", (unsigned long long)length);
    outcome_add(outcome, "%s%s", keep_alive ? " keep" : " close", has_upgrade ? " upgrade" : "");
    if (glitches > 0)
        outcome_add(outcome, " glitches=%u", glitches);
}

static void add_request(struct outcome *outcome, const struct h1_request *request)
{
    outcome_add_bytes(outcome, request->method_name);
    cr_assert(request->method == HTTP_METHOD_OTHER ||
              slice_eq(http_method_name(request->method), request->method_name));
    outcome_add(outcome, " ");
    outcome_add_bytes(outcome, request->path);
    outcome_add(outcome, " 1.%u host=", request->version_minor);
    outcome_add_bytes(outcome, request->host);
    add_framing(outcome, request->body, request->has_length, request->content_length,
                request->keep_alive, request->has_upgrade, request->glitches);
    if (request->expect != HTTP_EXPECT_NONE)
        outcome_add(outcome, " expect=%s",
                    request->expect == HTTP_EXPECT_CONTINUE ? "continue" : "other");
    add_headers(outcome, request->headers, request->headers_count);
}

struct outcome outcome_of_request(struct slice text, uint64_t cut)
{
    struct http_header headers[HEADERS_MAX];
    struct h1_request request;
    struct outcome outcome = {0};
    const char *copy = NULL;
    size_t have = 0;
    int32_t n = 0;

    h1_request_init(&request, headers, HEADERS_MAX, HEAD_BYTES_MAX);
    while (n == 0 && have < text.len) {
        size_t more = cut_next(&cut, text.len - have);

        if (copy != NULL)
            guard_free(copy, have);
        have += more;
        copy = guard_copy(text.ptr, have);
        n = h1_request_parse(&request, slice_of(copy, have));
    }
    cr_assert_leq(n, (int32_t)have);
    if (n <= 0) {
        outcome_add(&outcome, "%s", n == 0 ? "incomplete" : r2a_err_name(n));
    } else {
        add_request(&outcome, &request);
        outcome_add(&outcome, " rest=%zu", text.len - (size_t)n);
    }
    if (copy != NULL)
        guard_free(copy, have);
    return outcome;
}

static void add_response(struct outcome *outcome, const struct h1_response *response)
{
    outcome_add(outcome, "%u 1.%u (", response->status, response->version_minor);
    outcome_add_bytes(outcome, response->reason);
    outcome_add(outcome, ")");
    add_framing(outcome, response->body, response->has_length, response->content_length,
                response->keep_alive, response->has_upgrade, response->glitches);
    add_headers(outcome, response->headers, response->headers_count);
}

struct outcome outcome_of_response(struct slice text, enum http_method method, uint64_t cut)
{
    struct http_header headers[HEADERS_MAX];
    struct h1_response response;
    struct outcome outcome = {0};
    const char *copy = NULL;
    size_t have = 0;
    int32_t n = 0;

    h1_response_init(&response, method, headers, HEADERS_MAX, HEAD_BYTES_MAX);
    while (n == 0 && have < text.len) {
        size_t more = cut_next(&cut, text.len - have);

        if (copy != NULL)
            guard_free(copy, have);
        have += more;
        copy = guard_copy(text.ptr, have);
        n = h1_response_parse(&response, slice_of(copy, have));
    }
    cr_assert_leq(n, (int32_t)have);
    if (n <= 0) {
        outcome_add(&outcome, "%s", n == 0 ? "incomplete" : r2a_err_name(n));
    } else {
        add_response(&outcome, &response);
        outcome_add(&outcome, " rest=%zu", text.len - (size_t)n);
    }
    if (copy != NULL)
        guard_free(copy, have);
    return outcome;
}

static void add_frame(struct outcome *outcome, const struct frame *frame)
{
    static const char *const names[] = {"DATA", "COMMENT", "STRAY", "ERROR", "DOCUMENT"};

    if (frame->kind == FRAME_COMMENT && frame->data.len == 0)
        return;
    outcome_add(outcome, "%s ", names[frame->kind]);
    outcome_add_bytes(outcome, frame->name);
    outcome_add(outcome, "|");
    outcome_add_bytes(outcome, frame->data);
    outcome_add(outcome, "\n");
}

struct outcome outcome_of_stream(const struct framing *framing, struct slice text,
                                 uint32_t frame_bytes_max, uint64_t cut)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, FRAME_BYTES_MAX);
    void *state = aligned_alloc(16, (framing->size + 15) / 16 * 16);
    char *stream = malloc(text.len + 1);
    struct outcome outcome = {0};
    struct frame frame;
    size_t raw_len = 0;
    size_t at = 0;
    int32_t n = 0;

    cr_assert(mem != NULL && state != NULL && stream != NULL);
    framing->init(state, mem, frame_bytes_max);
    while (at < text.len && n >= 0) {
        size_t size = cut_next(&cut, text.len - at);
        const char *copy = guard_copy(text.ptr + at, size);
        struct slice in = slice_of(copy, size);

        while ((n = framing->feed(state, in, &frame)) > 0) {
            cr_assert_leq((size_t)n, in.len);
            cr_assert_leq(raw_len + frame.raw.len, text.len);
            add_frame(&outcome, &frame);
            memcpy(stream + raw_len, frame.raw.ptr, frame.raw.len);
            raw_len += frame.raw.len;
            in = slice_skip(in, (size_t)n);
        }
        if (n < 0) {
            /* what a relay would go on with */
            outcome_add(&outcome, "error %s\n", r2a_err_name(n));
            if (frame.raw.len > 0)
                memcpy(stream + raw_len, frame.raw.ptr, frame.raw.len);
            raw_len += frame.raw.len;
            cr_assert_eq(raw_len + in.len, at + size, "bytes unaccounted for after an error");
            cr_assert_eq(framing->feed(state, in, &frame), n, "errors are sticky");
        }
        guard_free(copy, size);
        at += size;
    }
    while (n >= 0 && (n = framing->finish(state, &frame)) != 0) {
        if (n > 0)
            add_frame(&outcome, &frame);
        if (frame.raw.len > 0)
            memcpy(stream + raw_len, frame.raw.ptr, frame.raw.len);
        raw_len += frame.raw.len;
        if (n < 0)
            outcome_add(&outcome, "end %s\n", r2a_err_name(n));
    }
    if (n == 0) {
        cr_assert_eq(raw_len, text.len, "raws add up to the stream");
        outcome_add(&outcome, "end\n");
    }
    cr_assert_eq(memcmp(stream, text.ptr, raw_len), 0, "raws are the stream");
    framing->free(state);
    framing->free(state);
    cr_assert_eq(budget.used, 0, "buffers are given back");
    free(stream);
    free(state);
    mem_close(mem);
    return outcome;
}

struct outcome outcome_of_body(enum http_body_kind kind, uint64_t length, struct slice text,
                               uint64_t cut)
{
    struct http_body body;
    struct outcome outcome = {0};
    uint64_t bytes = 0;
    size_t at = 0;

    outcome_add(&outcome, "%s", "");
    http_body_init(&body, kind, length);
    while (at < text.len && !body.is_complete) {
        size_t size = cut_next(&cut, text.len - at);
        const char *copy = guard_copy(text.ptr + at, size);
        struct slice in = slice_of(copy, size);

        while (in.len > 0 && !body.is_complete) {
            struct slice data;
            int32_t n = http_body_feed(&body, in, &data);

            if (n < 0) {
                cr_assert_eq(http_body_feed(&body, in, &data), n, "errors are sticky");
                outcome_free(&outcome);
                outcome_add(&outcome, "%s", r2a_err_name(n));
                guard_free(copy, size);
                return outcome;
            }
            cr_assert(n > 0 && (size_t)n <= in.len);
            outcome_add_bytes(&outcome, data);
            bytes += data.len;
            in = slice_skip(in, (size_t)n);
        }
        at += size - in.len;
        guard_free(copy, size);
    }
    cr_assert_eq(body.bytes, bytes);
    if (body.is_complete) {
        struct slice data;

        cr_assert_eq(http_body_feed(&body, slice_skip(text, at), &data), 0);
        cr_assert_eq(http_body_finish(&body), R2A_OK);
        outcome_add(&outcome, "|");
        outcome_add_bytes(&outcome, slice_skip(text, at));
    } else {
        outcome_add(&outcome, "...");
        outcome_add(&outcome, "%s", http_body_finish(&body) == R2A_OK ? "end" : "cut");
    }
    return outcome;
}
