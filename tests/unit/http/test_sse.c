#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/framing.h"
#include "r2a/http/sse.h"
#include "r2a/limits.h"
#include "support/vectors.h"

#define CUTS_COUNT 24

/* The frames any way of cutting gives. */
static void stream_is(struct slice text, const char *expected)
{
    for (uint64_t cut = 0; cut < CUTS_COUNT; cut++) {
        struct outcome outcome = outcome_of_stream(&framing_sse, text, FRAME_BYTES_MAX, cut);

        cr_assert_str_eq(outcome.text, expected, "cut %d", (int)cut);
        outcome_free(&outcome);
    }
}

Test(sse, reads_events)
{
    stream_is(S("data: a\n\n"), "DATA |a\nend\n");
    stream_is(S("event: x\ndata: {\"a\": 1}\n\ndata: [DONE]\n\n"),
              "DATA x|{\"a\": 1}\nDATA |[DONE]\nend\n");
    stream_is(S(""), "end\n");
}

Test(sse, reads_every_line_end)
{
    stream_is(S("event:x\r\ndata:a\r\n\r\ndata:b\r\n\r\n"), "DATA x|a\nDATA |b\nend\n");
    stream_is(S("event:x\rdata:a\r\rdata:b\r\r"), "DATA x|a\nDATA |b\nend\n");
    stream_is(S("event:x\ndata:a\r\n\ndata:b\n\r\ndata:c\r\n\rdata:d\r\r\n"),
              "DATA x|a\nDATA |b\nDATA |c\nDATA |d\nend\n");
}

Test(sse, takes_one_space_off)
{
    stream_is(S("data:a\n\ndata: b\n\ndata:  c \n\ndata:\td\n\n"),
              "DATA |a\nDATA |b\nDATA | c \nDATA |\\x09d\nend\n");
}

Test(sse, joins_data_lines)
{
    stream_is(S("data: a\ndata:b\ndata:\ndata\ndata: c\n\n"),
              "DATA |a\\x0ab\\x0a\\x0a\\x0ac\nend\n");
    stream_is(S("data: a\r\n: comment\r\nevent: x\r\ndata: b\r\nid: 1\r\n\r\n"),
              "DATA x|a\\x0ab\nend\n");
    stream_is(S("data\ndata\n\n"), "DATA |\\x0a\nend\n");
    stream_is(S("data:\n\n"), "DATA |\nend\n");
    stream_is(S("data\n\n"), "DATA |\nend\n");
}

Test(sse, takes_the_last_event_name)
{
    stream_is(S("event: a\nevent: b\ndata: x\n\ndata: y\n\n"), "DATA b|x\nDATA |y\nend\n");
    stream_is(S("event: a\nevent\ndata: x\n\n"), "DATA |x\nend\n");
}

Test(sse, ignores_other_fields)
{
    stream_is(S("id: 1\nretry: 5\nfoo: bar\nbaz\n data: no\ndatax: no\nDATA: no\ndata : no\n"
                "data: yes\n\n"),
              "DATA |yes\nend\n");
}

Test(sse, dispatches_nothing_without_data)
{
    stream_is(S("event: ping\n\nid: 1\n\nretry: 3\n\n\n\n\ndata: a\n\n"), "DATA |a\nend\n");
}

Test(sse, reads_comments)
{
    stream_is(S(": OPENROUTER PROCESSING\n\n:\n\n:ka\ndata: a\n\n: b\r\n\r\n"),
              "COMMENT |OPENROUTER PROCESSING\nCOMMENT |ka\nDATA |a\nCOMMENT |b\nend\n");
}

Test(sse, skips_a_bom)
{
    stream_is(S("\xef\xbb\xbf"
                "data: a\n\n"),
              "DATA |a\nend\n");
    stream_is(S("\xef\xbb\xbf"), "end\n");
    stream_is(S("\xef\xbb"
                "data: a\n\n"),
              "end\n");
    stream_is(S("data: a\n\n\xef\xbb\xbf"
                "data: b\n\n"),
              "DATA |a\nend\n");
}

Test(sse, reads_utf8_cut_anywhere)
{
    stream_is(S("data: caf\xc3\xa9 \xf0\x9f\x98\x80\n\n"),
              "DATA |caf\\xc3\\xa9 \\xf0\\x9f\\x98\\x80\nend\n");
}

Test(sse, finds_a_stray_json_text)
{
    stream_is(S("data: {\"a\":1}\r\n\r\n{\n  \"error\": {\n    \"code\": 503,\n"
                "    \"message\": \"} \\\" ] {\"\n  }\n}\n"),
              "DATA |{\"a\":1}\nSTRAY |{\\x0a  \"error\": {\\x0a    \"code\": 503,\\x0a"
              "    \"message\": \"} \\\" ] {\"\\x0a  }\\x0a}\nend\n");
    stream_is(S("[{\"error\":{}}]\ndata: a\n\n"), "STRAY |[{\"error\":{}}]\nDATA |a\nend\n");
    stream_is(S("{}{}data: no\n\ndata: yes\n\n"),
              "STRAY |{}\nSTRAY |{}\nDATA |no\nDATA |yes\nend\n");
}

Test(sse, gives_out_an_unfinished_stray_text)
{
    stream_is(S("{\"error\": {\"code\""), "STRAY |{\"error\": {\"code\"\nend\n");
}

Test(sse, does_not_take_brackets_for_json)
{
    stream_is(S("[DONE]\n\ndata: a\n\n[\n\n"), "DATA |a\nend\n");
    stream_is(S("data: a\n{\"x\": 1}\n\n"), "DATA |a\nend\n");
}

Test(sse, gives_out_a_last_event_without_blank_line)
{
    stream_is(S("data: a\n"), "DATA |a\nend\n");
    stream_is(S("event: x\ndata: a"), "DATA x|a\nend\n");
    stream_is(S("data: a\r"), "DATA |a\nend\n");
    stream_is(S("data: a\ndata: b"), "DATA |a\\x0ab\nend\n");
    stream_is(S(": bye"), "COMMENT |bye\nend\n");
    stream_is(S("dat"), "end\n");
    stream_is(S("["), "end\n");
}

/* Long enough to move through several sizes of gather buffer. */
Test(sse, reads_long_events)
{
    const size_t len = 100000;
    char *text = malloc(len + 16);
    char *expected = malloc(len + 16);

    memcpy(text, "data: ", 6);
    memset(text + 6, 'x', len);
    memcpy(text + 6 + len, "\r\n\r\n", 4);
    memcpy(expected, "DATA |", 6);
    memset(expected + 6, 'x', len);
    memcpy(expected + 6 + len, "\nend\n", 6);
    for (uint64_t cut = 2; cut < 6; cut++) {
        struct outcome outcome =
            outcome_of_stream(&framing_sse, slice_of(text, len + 10), FRAME_BYTES_MAX, cut);

        cr_assert_str_eq(outcome.text, expected);
        outcome_free(&outcome);
    }
    free(text);
    free(expected);
}

Test(sse, refuses_an_event_over_the_limit)
{
    char text[700];
    size_t len = 0;

    /* one of exactly 256 bytes, then one of 257 */
    for (size_t size = 256; size <= 257; size++) {
        memcpy(text + len, "data: ", 6);
        memset(text + len + 6, 'x', size - 8);
        memcpy(text + len + size - 2, "\n\n", 2);
        len += size;
    }
    for (uint64_t cut = 0; cut < CUTS_COUNT; cut++) {
        struct outcome outcome = outcome_of_stream(&framing_sse, slice_of(text, len), 256, cut);

        cr_assert_eq(strncmp(outcome.text, "DATA |xxx", 9), 0);
        cr_assert_not_null(strstr(outcome.text, "x\nerror FRAME_LIMIT\n"), "cut %d: %s", (int)cut,
                           outcome.text);
        outcome_free(&outcome);
    }
}

Test(sse, borrows_from_one_segment)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, FRAME_BYTES_MAX);
    const struct slice text = S("event: x\ndata: abc\n\ndata: d\n\n");
    struct frame frame;
    struct sse sse;

    sse_init(&sse, mem, FRAME_BYTES_MAX);
    cr_assert_eq(sse_feed(&sse, text, &frame), 20);
    cr_assert_eq(frame.name.ptr, text.ptr + 7);
    cr_assert_eq(frame.data.ptr, text.ptr + 15);
    cr_assert_eq(frame.raw.ptr, text.ptr);
    cr_assert_eq(frame.raw.len, 20);
    cr_assert_eq(budget.peak, 0);
    sse_free(&sse);
    mem_close(mem);
}

Test(sse, holds_no_memory_between_events)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, FRAME_BYTES_MAX);
    struct frame frame;
    struct sse sse;

    sse_init(&sse, mem, FRAME_BYTES_MAX);
    cr_assert_eq(sse_feed(&sse, S("data: a\nda"), &frame), 0);
    cr_assert_gt(budget.used, 0);
    cr_assert_eq(sse_feed(&sse, S("ta: b\n\n"), &frame), 7);
    cr_assert(slice_eq(frame.data, S("a\nb")));
    cr_assert(slice_eq(frame.raw, S("data: a\ndata: b\n\n")));
    cr_assert_eq(sse_feed(&sse, S(""), &frame), 0);
    cr_assert_eq(budget.used, 0);
    /* a blank line ended by a CR is given at once, and its LF is not waited for */
    cr_assert_eq(sse_feed(&sse, S("data: c\r\n\r"), &frame), 10);
    cr_assert_eq(sse_feed(&sse, S(""), &frame), 0);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(sse_feed(&sse, S("\n"), &frame), 1);
    cr_assert_eq(frame.kind, FRAME_COMMENT);
    cr_assert_eq(sse_feed(&sse, S(""), &frame), 0);
    cr_assert_eq(budget.used, 0);
    sse_free(&sse);
    mem_close(mem);
}

Test(sse, says_when_memory_is_used_up)
{
    struct mem_budget budget = {.limit = 1024};
    struct mem *mem = mem_open(&budget, FRAME_BYTES_MAX);
    static char text[4096];
    struct frame frame;
    struct sse sse;

    memset(text, 'x', sizeof(text));
    sse_init(&sse, mem, FRAME_BYTES_MAX);
    cr_assert_eq(sse_feed(&sse, S("data: "), &frame), 0);
    cr_assert_eq(sse_feed(&sse, slice_of(text, sizeof(text)), &frame), R2A_ERR_NO_MEMORY);
    cr_assert(slice_eq(frame.raw, S("data: ")));
    cr_assert_eq(sse_finish(&sse, &frame), R2A_ERR_NO_MEMORY);
    sse_free(&sse);
    mem_close(mem);
}

/* Every stream of the shared vectors gives the same frames whole and in pieces. */
static unsigned read_vectors(const char *folder)
{
    const char *root = getenv("VECTORS_DIR");
    char path[4096];
    struct dirent *entry;
    unsigned count = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s", root != NULL ? root : "../shared/vectors", folder);
    dir = opendir(path);
    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL) {
        const char *suffix = strrchr(entry->d_name, '.');
        char name[4096];
        char *bytes;
        size_t len;
        struct outcome whole;

        if (suffix == NULL || strcmp(suffix, ".sse") != 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
        bytes = vectors_read(name, &len);
        cr_assert_not_null(bytes);
        whole = outcome_of_stream(&framing_sse, slice_of(bytes, len), FRAME_BYTES_MAX, CUT_WHOLE);
        for (uint64_t cut = CUT_BYTES; cut < 8; cut++) {
            struct outcome other =
                outcome_of_stream(&framing_sse, slice_of(bytes, len), FRAME_BYTES_MAX, cut);

            cr_assert_str_eq(other.text, whole.text, "%s, cut %d", name, (int)cut);
            outcome_free(&other);
        }
        outcome_free(&whole);
        free(bytes);
        count++;
    }
    closedir(dir);
    return count;
}

Test(sse, reads_the_vectors_at_any_cut)
{
    unsigned count = read_vectors("protocol/openai-chat") +
                     read_vectors("protocol/anthropic-messages") +
                     read_vectors("protocol/openai-responses") + read_vectors("protocol/gemini");

    if (count == 0)
        cr_skip_test("no vectors at VECTORS_DIR");
    cr_assert_geq(count, 20);
}

Test(sse, says_which_event_no_blank_line_ended)
{
    static const struct {
        const char *text;
        bool is_open;
    } rows[] = {{"data: a", true},    {"data: a\n", true},   {"data: a\r", true},
                {": comment", false}, {"event: x\n", false}, {"{\"a\":1", false}};
    struct mem_budget budget = {.limit = 1u << 20};
    struct mem *mem = mem_open(&budget, 1u << 20);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct frame frame;
        struct sse sse;

        sse_init(&sse, mem, FRAME_BYTES_MAX);
        cr_expect_eq(sse_feed(&sse, S("data: b\n\n"), &frame), 9);
        cr_expect(!frame.is_open);
        while (sse_feed(&sse, slice_from_z(rows[i].text), &frame) > 0)
            cr_assert(!frame.is_open);
        cr_assert_gt(sse_finish(&sse, &frame), 0, "%s", rows[i].text);
        cr_expect_eq(frame.is_open, rows[i].is_open, "%s", rows[i].text);
        sse_free(&sse);
    }
    mem_close(mem);
}
