/* Plays the transcripts of tests/golden/http: input beside what must come of it, readable by
 * anyone.
 *
 *     == a sentence about what is shown
 *     request                      or: response METHOD, chunked, length N, until_close, sse,
 * json_array in   GET / HTTP/1.1\r\n      C escapes; lines are joined as they stand out  what an
 * outcome says, line by line
 *
 * Each is played whole, byte by byte and cut at random. */
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/limits.h"
#include "support/vectors.h"

#define CUTS_COUNT 10

struct transcript {
    struct slice name;
    struct slice kind;
    char *in;
    size_t in_len;
    struct outcome expected;
};

static unsigned hex(char byte)
{
    return (unsigned)(byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10);
}

/* Appends a line's bytes with their escapes undone. */
static void unescape(struct transcript *transcript, struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        char byte = line.ptr[i];

        if (byte == '\\') {
            cr_assert_lt(++i, line.len);
            switch (line.ptr[i]) {
            case 'r':
                byte = '\r';
                break;
            case 'n':
                byte = '\n';
                break;
            case 't':
                byte = '\t';
                break;
            case '0':
                byte = '\0';
                break;
            case 'x':
                cr_assert_lt(i + 2, line.len);
                byte = (char)(hex(line.ptr[i + 1]) << 4 | hex(line.ptr[i + 2]));
                i += 2;
                break;
            default:
                byte = line.ptr[i];
                break;
            }
        }
        transcript->in[transcript->in_len++] = byte;
    }
}

static enum http_method method_named(struct slice name)
{
    for (int method = 1; method <= HTTP_METHOD_PATCH; method++) {
        if (slice_eq(http_method_name((enum http_method)method), name))
            return (enum http_method)method;
    }
    cr_assert_fail("no method %.*s", (int)name.len, name.ptr);
    return HTTP_METHOD_OTHER;
}

static bool begins(struct slice text, struct slice head)
{
    return text.len >= head.len && memcmp(text.ptr, head.ptr, head.len) == 0;
}

static struct outcome play(const struct transcript *transcript, uint64_t cut)
{
    struct slice in = slice_of(transcript->in, transcript->in_len);
    struct slice kind = transcript->kind;

    if (slice_eq(kind, S("request")))
        return outcome_of_request(in, cut);
    if (begins(kind, S("response ")))
        return outcome_of_response(in, method_named(slice_skip(kind, 9)), cut);
    if (slice_eq(kind, S("chunked")))
        return outcome_of_body(HTTP_BODY_CHUNKED, 0, in, cut);
    if (begins(kind, S("length ")))
        return outcome_of_body(HTTP_BODY_LENGTH, strtoull(kind.ptr + 7, NULL, 10), in, cut);
    if (slice_eq(kind, S("until_close")))
        return outcome_of_body(HTTP_BODY_UNTIL_CLOSE, 0, in, cut);
    cr_assert_not_null(framing_find(kind), "no kind %.*s", (int)kind.len, kind.ptr);
    return outcome_of_stream(framing_find(kind), in, FRAME_BYTES_MAX, cut);
}

static void check_transcript(struct transcript *transcript, const char *path)
{
    if (transcript->name.len == 0)
        return;
    for (uint64_t cut = 0; cut < CUTS_COUNT; cut++) {
        struct outcome outcome = play(transcript, cut);
        size_t len = outcome.len;

        while (len > 0 && outcome.text[len - 1] == '\n')
            outcome.text[--len] = '\0';
        cr_assert_str_eq(outcome.text, transcript->expected.text, "%s: %.*s (cut %d):\n%s", path,
                         (int)transcript->name.len, transcript->name.ptr, (int)cut, outcome.text);
        outcome_free(&outcome);
    }
    outcome_free(&transcript->expected);
    transcript->name.len = 0;
    transcript->in_len = 0;
}

static void play_file(const char *path, unsigned count_min)
{
    size_t len;
    char *bytes = file_read(path, &len);
    struct slice rest;
    struct transcript transcript = {0};
    unsigned count = 0;

    if (bytes == NULL)
        cr_skip_test("%s is not here", path);
    rest = slice_of(bytes, len);
    transcript.in = malloc(len + 1);
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        struct slice line = slice_of(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);

        rest = slice_skip(rest, end != NULL ? line.len + 1 : line.len);
        if (begins(line, S("== "))) {
            check_transcript(&transcript, path);
            transcript.name = slice_skip(line, 3);
            transcript.kind.len = 0;
            outcome_add(&transcript.expected, "%s", "");
            count++;
        } else if (begins(line, S("in   "))) {
            unescape(&transcript, slice_skip(line, 5));
        } else if (begins(line, S("out  "))) {
            if (transcript.expected.len > 0)
                outcome_add(&transcript.expected, "\n");
            for (size_t i = 5; i < line.len; i++)
                outcome_add(&transcript.expected, "%c", line.ptr[i]);
        } else if (line.len > 0 && line.ptr[0] != '#') {
            transcript.kind = line;
        }
    }
    check_transcript(&transcript, path);
    cr_assert_geq(count, count_min);
    free(transcript.in);
    free(bytes);
}

Test(transcripts, requests)
{
    play_file("tests/golden/http/requests.txt", 30);
}

Test(transcripts, responses)
{
    play_file("tests/golden/http/responses.txt", 10);
}

Test(transcripts, bodies)
{
    play_file("tests/golden/http/bodies.txt", 10);
}

Test(transcripts, streams)
{
    play_file("tests/golden/http/streams.txt", 10);
}
