#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/framing.h"
#include "r2a/http/json_array.h"
#include "r2a/limits.h"
#include "support/vectors.h"

static void stream_is(struct slice text, const char *expected)
{
    for (uint64_t cut = 0; cut < 24; cut++) {
        struct outcome outcome = outcome_of_stream(&framing_json_array, text, FRAME_BYTES_MAX, cut);

        cr_assert_str_eq(outcome.text, expected, "cut %d", (int)cut);
        outcome_free(&outcome);
    }
}

Test(json_array, cuts_elements)
{
    stream_is(S("[{\"a\": 1},\r\n{\"b\": [2, {}]}\n]\n"),
              "DATA |{\"a\": 1}\nDATA |{\"b\": [2, {}]}\nend\n");
    stream_is(S("[]"), "end\n");
    stream_is(S(" \n[ ] "), "end\n");
    stream_is(S("[[1],{}]"), "DATA |[1]\nDATA |{}\nend\n");
}

Test(json_array, ignores_brackets_in_strings)
{
    stream_is(S("[{\"}]\\\"\\\\\": \"[{\\\\\\\"\"}, {}]"),
              "DATA |{\"}]\\\"\\\\\": \"[{\\\\\\\"\"}\nDATA |{}\nend\n");
}

Test(json_array, takes_a_lone_object_for_a_stray)
{
    stream_is(S("{\"error\": {\"code\": 503}}\n"), "STRAY |{\"error\": {\"code\": 503}}\nend\n");
}

Test(json_array, says_when_it_was_cut)
{
    stream_is(S(""), "end TRUNCATED\n");
    stream_is(S("["), "end TRUNCATED\n");
    stream_is(S("[{}"), "DATA |{}\nend TRUNCATED\n");
    stream_is(S("[{},"), "DATA |{}\nend TRUNCATED\n");
    stream_is(S("[{},{\"a\""), "DATA |{}\nend TRUNCATED\n");
}

Test(json_array, refuses_what_is_no_array)
{
    stream_is(S("x"), "error FRAME_SYNTAX\n");
    stream_is(S("data: {}\n\n"), "error FRAME_SYNTAX\n");
    stream_is(S("[1]"), "error FRAME_SYNTAX\n");
    stream_is(S("[\"a\"]"), "error FRAME_SYNTAX\n");
    stream_is(S("[,{}]"), "error FRAME_SYNTAX\n");
    stream_is(S("[{}{}]"), "DATA |{}\nerror FRAME_SYNTAX\n");
    stream_is(S("[{},]"), "DATA |{}\nerror FRAME_SYNTAX\n");
    stream_is(S("[]]"), "error FRAME_SYNTAX\n");
    stream_is(S("[] {}"), "error FRAME_SYNTAX\n");
}

Test(json_array, gives_an_element_as_soon_as_it_is_whole)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, FRAME_BYTES_MAX);
    struct json_array array;
    struct frame frame;

    json_array_init(&array, mem, FRAME_BYTES_MAX);
    cr_assert_eq(json_array_feed(&array, S("[{\"a\""), &frame), 0);
    cr_assert_eq(json_array_feed(&array, S(":1}"), &frame), 3);
    cr_assert(slice_eq(frame.data, S("{\"a\":1}")));
    cr_assert(slice_eq(frame.raw, S("[{\"a\":1}")));
    cr_assert_eq(json_array_feed(&array, S(""), &frame), 0);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(json_array_feed(&array, S("\n,\n"), &frame), 3);
    cr_assert_eq(frame.kind, FRAME_COMMENT);
    cr_assert_eq(json_array_feed(&array, S(""), &frame), 0);
    cr_assert_eq(budget.used, 0);
    json_array_free(&array);
    mem_close(mem);
}

Test(json_array, refuses_an_element_over_the_limit)
{
    char text[700];

    memset(text, ' ', sizeof(text));
    memcpy(text, "[{},{", 5);
    memcpy(text + 698, "}]", 2);
    for (uint64_t cut = 0; cut < 24; cut++) {
        struct outcome outcome =
            outcome_of_stream(&framing_json_array, slice_of(text, sizeof(text)), 256, cut);

        cr_assert_str_eq(outcome.text, "DATA |{}\nerror FRAME_LIMIT\n", "cut %d", (int)cut);
        outcome_free(&outcome);
    }
}

Test(json_array, reads_the_vectors_at_any_cut)
{
    const char *root = getenv("VECTORS_DIR");
    char path[4096];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/protocol/gemini", root != NULL ? root : "../shared/vectors");
    dir = opendir(path);
    if (dir == NULL)
        cr_skip_test("no vectors at VECTORS_DIR");
    while ((entry = readdir(dir)) != NULL) {
        const char *suffix = strrchr(entry->d_name, '.');
        char name[4096];
        char *bytes;
        size_t len;
        struct outcome whole;

        if (suffix == NULL || strcmp(suffix, ".jsonarr") != 0)
            continue;
        snprintf(name, sizeof(name), "protocol/gemini/%s", entry->d_name);
        bytes = vectors_read(name, &len);
        cr_assert_not_null(bytes);
        whole = outcome_of_stream(&framing_json_array, slice_of(bytes, len), FRAME_BYTES_MAX, 0);
        cr_assert_eq(strncmp(whole.text, "DATA |{", 7), 0, "%s: %s", name, whole.text);
        for (uint64_t cut = CUT_BYTES; cut < 12; cut++) {
            struct outcome other =
                outcome_of_stream(&framing_json_array, slice_of(bytes, len), FRAME_BYTES_MAX, cut);

            cr_assert_str_eq(other.text, whole.text, "%s, cut %d", name, (int)cut);
            outcome_free(&other);
        }
        outcome_free(&whole);
        free(bytes);
    }
    closedir(dir);
}
