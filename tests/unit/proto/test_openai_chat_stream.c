#include <criterion/criterion.h>

#include "codec.h"
#include "r2a/proto/list.h"
#include "src/proto/member.h"
#include "support/guard.h"
#include "support/proto_sum.h"
#include "support/vectors.h"

/* The decoder of Chat Completions answers: what transcripts cannot say well. */

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(openai_chat_stream, .init = setup, .fini = teardown);

/* A decoder with a summing sink behind the grammar. */
struct reader {
    void *decoder;
    struct ir_grammar grammar;
    struct sum sum;
};

static void reader_open(struct reader *reader, uint8_t choice)
{
    reader->decoder = arena_take_zero(&kit.arena, proto_openai_chat.decoder_size);
    proto_openai_chat.decoder_init(reader->decoder, &kit.target, &kit.brief);
    sum_open(&kit, &reader->sum, choice);
    ir_grammar_response(&reader->grammar, &reader->sum.sink, true);
}

static void reader_frame(struct reader *reader, const struct frame *frame)
{
    cr_assert_eq(proto_openai_chat.decode(reader->decoder, frame, &reader->grammar.sink), R2A_OK);
}

/* Data at the end of an inaccessible page. */
static void reader_data(struct reader *reader, struct slice data)
{
    const char *guarded = guard_copy(data.ptr, data.len);

    reader_frame(reader, &(struct frame){.kind = FRAME_DATA, .data = slice_of(guarded, data.len)});
    guard_free(guarded, data.len);
}

static void reader_finish(struct reader *reader)
{
    cr_assert_eq(proto_openai_chat.finish(reader->decoder, &reader->grammar.sink), R2A_OK);
    proto_openai_chat.decoder_drop(reader->decoder);
}

static void reader_stream(struct reader *reader, struct slice bytes, size_t piece)
{
    cr_assert_eq(kit_feed(&kit, &proto_openai_chat, reader->decoder, &framing_sse, bytes,
                          kit_cut_every, &piece, &reader->grammar.sink),
                 R2A_OK);
    reader_finish(reader);
}

/* --- the mould: chunks that differ in one string --- */

static struct slice chunk(const char *delta)
{
    char *text = arena_take(&kit.arena, 1024);

    return slice_of(text,
                    (size_t)snprintf(text, 1024,
                                     "{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{"
                                     "\"index\":0,\"delta\":{%s},\"logprobs\":null,"
                                     "\"finish_reason\":null}],\"usage\":null}",
                                     delta));
}

static void expect_sum(struct reader *reader, const char *wanted)
{
    struct slice got;

    reader_data(reader, S("[DONE]"));
    reader_finish(reader);
    got = sum_close(&reader->sum);
    cr_assert(slice_eq(got, slice_from_z(wanted)), "got:\n%.*s", (int)got.len, got.ptr);
}

Test(openai_chat_stream, like_chunks_are_read_alike)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, chunk("\"role\":\"assistant\",\"content\":\"\""));
    for (int i = 0; i < 5; i++)
        reader_data(&reader, chunk("\"content\":\"a\\n\""));
    reader_data(&reader, chunk("\"content\":\"\""));
    reader_data(&reader, chunk("\"content\":\"\\u00e9é\\\"\""));
    reader_data(&reader, chunk("\"reasoning_content\":\"r1\""));
    reader_data(&reader, chunk("\"reasoning_content\":\"r2\""));
    reader_data(&reader, chunk("\"content\":\"z\""));
    reader_data(&reader, chunk("\"content\":null"));
    reader_data(&reader, chunk("\"content\":\"y\",\"refusal\":null"));
    expect_sum(&reader, "reason: r1r2\ntext: a\na\na\na\na\néé\"zy\nstop end\nend\n");
}

Test(openai_chat_stream, what_only_looks_like_a_like_chunk_is_read_in_full)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, chunk("\"role\":\"assistant\",\"content\":\"\""));
    reader_data(&reader, chunk("\"content\":\"a\""));
    reader_data(&reader, chunk("\"content\":\"b\""));
    /* The same bytes before and behind, and something else between. */
    reader_data(&reader, chunk("\"content\":\"c\",\"refusal\":\"no\""));
    reader_data(&reader, chunk("\"content\":\"d\",\"content\":\"e\""));
    reader_data(&reader, chunk("\"content\":\"f\\\"\""));
    expect_sum(&reader, "text: abcef\"\nrefusal: no\nstop end\nend\n");
}

Test(openai_chat_stream, a_broken_string_in_a_like_chunk_is_an_error)
{
    static const char *const broken[] = {"\"content\":\"a\\x\"", "\"content\":\"a\xff\"",
                                         "\"content\":\"a\n\"", "\"content\":\"\\\""};

    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct reader reader;

        reader_open(&reader, 0);
        reader_data(&reader, chunk("\"content\":\"a\""));
        reader_data(&reader, chunk("\"content\":\"a\""));
        reader_data(&reader, chunk("\"content\":\"a\""));
        reader_data(&reader, chunk(broken[i]));
        cr_assert(reader.sum.has_error, "%s passed", broken[i]);
        expect_sum(&reader, "text: aaa\nerror\n");
    }
}

Test(openai_chat_stream, padding_may_differ)
{
    struct reader reader;

    reader_open(&reader, 0);
    for (int i = 0; i < 4; i++) {
        char text[256];
        int len = snprintf(text, sizeof(text),
                           "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d\"}}],"
                           "\"usage\":null,\"obfuscation\":\"%.*s\"}",
                           i, i, "abcdef");

        reader_data(&reader, slice_of(text, (size_t)len));
    }
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],"
                           "\"usage\":null,\"obfuscation\":7}"));
    reader_data(&reader,
                S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"y\"}}],"
                  "\"usage\":null,\"obfuscation\":\"a\",\"usage\":{\"prompt_tokens\":5}}"));
    cr_assert_eq(reader.sum.usage.input, 5);
    expect_sum(&reader, "text: 0123xy\nstop end\nend\n");
}

Test(openai_chat_stream, fragments_of_a_call_are_read_alike_until_its_index_changes_hands)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, chunk("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\","
                               "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]"));
    for (int i = 0; i < 3; i++)
        reader_data(&reader,
                    chunk("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\" \"}}]"));
    reader_data(&reader,
                chunk("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]"));
    reader_data(&reader, chunk("\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"type\":\"function\","
                               "\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]"));
    reader_data(&reader,
                chunk("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"[1]\"}}]"));
    expect_sum(&reader, "call a f {}\ncall b g [1]\nstop tool\nend\n");
}

Test(openai_chat_stream, chunks_that_all_differ_are_read_all_the_same)
{
    struct reader reader;
    char wanted[256] = "text: ";

    reader_open(&reader, 0);
    for (int i = 0; i < 30; i++) {
        char text[256];
        int len = snprintf(text, sizeof(text),
                           "{\"n\":%d,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d.\"}}]}",
                           i * i, i);

        reader_data(&reader, slice_of(text, (size_t)len));
        len = (int)strlen(wanted);
        snprintf(wanted + len, sizeof(wanted) - (size_t)len, "%d.", i);
    }
    snprintf(wanted + strlen(wanted), 32, "\nstop end\nend\n");
    expect_sum(&reader, wanted);
}

/* --- limits and ends --- */

Test(openai_chat_stream, more_calls_than_fit_are_an_error)
{
    struct reader reader;

    reader_open(&reader, 0);
    for (uint32_t i = 0; i <= OPEN_CALLS_MAX; i++) {
        char text[256];
        int len = snprintf(text, sizeof(text),
                           "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%u,"
                           "\"id\":\"c%u\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}",
                           i, i);

        reader_data(&reader, slice_of(text, (size_t)len));
    }
    cr_assert(reader.sum.has_error);
    reader_finish(&reader);
    (void)sum_close(&reader.sum);
}

Test(openai_chat_stream, too_many_arguments_before_the_name_are_an_error)
{
    struct reader reader;
    char *text = arena_take(&kit.arena, 70000);
    int head = snprintf(text, 200,
                        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
                        "\"function\":{\"arguments\":\"");

    memset(text + head, 'x', 60000);
    head += 60000;
    head += snprintf(text + head, 100, "\"}}]}}]}");
    reader_open(&reader, 0);
    for (int i = 0; i < 20 && !reader.sum.has_error; i++)
        reader_data(&reader, slice_of(text, (size_t)head));
    cr_assert(reader.sum.has_error);
    reader_finish(&reader);
    (void)sum_close(&reader.sum);
}

Test(openai_chat_stream, choices_beyond_the_bound_are_only_observed)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, S("{\"choices\":[{\"index\":100,\"delta\":{\"content\":\"x\"}}]}"));
    reader_data(&reader, S("{\"choices\":[{\"index\":-1,\"delta\":{\"content\":\"x\"}}]}"));
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                           "\"finish_reason\":\"stop\"}]}"));
    expect_sum(&reader, "text: a\nstop end\nend\n");
}

Test(openai_chat_stream, nothing_follows_the_end)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, chunk("\"content\":\"a\""));
    reader_data(&reader, S("[DONE]"));
    reader_data(&reader, chunk("\"content\":\"b\""));
    reader_data(&reader, S("{\"error\":{\"message\":\"late\"}}"));
    expect_sum(&reader, "text: a\nstop end\nend\n");
}

Test(openai_chat_stream, one_of_two_choices_unfinished_is_truncated)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                           "\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{}}]}"));
    reader_finish(&reader);
    cr_assert(reader.sum.has_error);
    cr_assert_not(reader.sum.has_ended);
    (void)sum_close(&reader.sum);
}

Test(openai_chat_stream, regression_73_a_whole_call_in_one_chunk_keeps_its_arguments)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, chunk("\"content\":\"t\""));
    reader_data(&reader, chunk("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\","
                               "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]"));
    expect_sum(&reader, "text: t\ncall a f {\"x\":1}\nstop tool\nend\n");
}

Test(openai_chat_stream, regression_84_stop_after_a_call_is_a_tool_stop)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
                           "\"id\":\"a\",\"function\":{\"name\":\"f\"}}]}}]}"));
    reader_data(&reader,
                S("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"));
    expect_sum(&reader, "call a f {}\nstop tool\nend\n");
}

Test(openai_chat_stream, regression_85_a_finish_on_every_chunk_ends_nothing)
{
    struct reader reader;

    reader_open(&reader, 0);
    for (int i = 0; i < 3; i++)
        reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                               "\"finish_reason\":\"stop\"}]}"));
    expect_sum(&reader, "text: aaa\nstop end\nend\n");
}

Test(openai_chat_stream, regression_102_reasoning_after_the_finish_is_a_part_of_its_own)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                           "\"finish_reason\":\"stop\"}]}"));
    reader_data(&reader, S("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"r\"}}]}"));
    expect_sum(&reader, "reason: r\ntext: a\nstop end\nend\n");
}

Test(openai_chat_stream, regression_109_a_plain_answer_to_a_stream_request_is_taken)
{
    struct reader reader;

    reader_open(&reader, 0);
    reader_frame(&reader,
                 &(struct frame){.kind = FRAME_DOCUMENT,
                                 .data = S("\n{\"choices\":[{\"index\":0,\"message\":{\"content\":"
                                           "\"a\"},\"finish_reason\":\"stop\"}]}\n")});
    reader_finish(&reader);
    cr_assert(slice_eq(sum_close(&reader.sum), S("text: a\nstop end\nend\n")));
}

/* --- vectors --- */

static struct member member_named(struct slice object, const char *name)
{
    struct json_scan scan;
    struct member found = {0};
    enum json_token token;

    json_open(&scan, object);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) == JSON_KEY) {
        bool is_it = json_key_is(&scan, slice_from_z(name));

        token = json_next(&scan);
        if (!is_it) {
            (void)json_skip_after(&scan, token, NULL);
        } else if (json_skip_after(&scan, token, &found.raw)) {
            found.kind = (uint8_t)token;
            break;
        }
    }
    return found;
}

static struct slice plain_of(const struct member *member)
{
    struct slice plain = {0};

    if (member->kind == JSON_STRING)
        cr_assert(text_to_plain(text_escaped(slice_of(member->raw.ptr + 1, member->raw.len - 2)),
                                &kit.arena, &plain));
    return plain;
}

static const char *stop_name_of(struct slice finish, bool has_calls)
{
    if (slice_eq(finish, S("length")))
        return "length";
    if (slice_eq(finish, S("content_filter")))
        return "filter";
    return slice_eq(finish, S("tool_calls")) || has_calls ? "tool" : "end";
}

/* The summary that a vector's expectation asks for. */
static struct slice wanted_of(struct slice expect)
{
    static const char *const kinds[][2] = {
        {"reasoning", "reason"}, {"text", "text"}, {"refusal", "refusal"}};
    struct member finish = member_named(expect, "finish");
    struct member complete = member_named(expect, "complete");
    struct member error = member_named(expect, "error");
    struct member calls = member_named(expect, "tool_calls");
    struct rope out = kit_rope(&kit);
    bool has_calls = calls.raw.len > 2;
    struct json_scan scan;

    for (size_t i = 0; i < 3; i++) {
        struct member member = member_named(expect, kinds[i][0]);
        struct slice text = plain_of(&member);

        if (text.len == 0)
            continue;
        rope_put(&out, slice_from_z(kinds[i][1]));
        rope_put(&out, S(": "));
        rope_put(&out, text);
        rope_put_char(&out, '\n');
    }
    json_open(&scan, calls.raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_OBJECT) {
        struct member id, name, args;
        struct slice raw;

        cr_assert(json_skip_after(&scan, JSON_OBJECT, &raw));
        id = member_named(raw, "id");
        name = member_named(raw, "name");
        args = member_named(raw, "arguments");
        rope_put(&out, args.kind == JSON_STRING ? S("custom ") : S("call "));
        rope_put(&out, plain_of(&id));
        rope_put_char(&out, ' ');
        rope_put(&out, plain_of(&name));
        rope_put_char(&out, ' ');
        rope_put(&out, args.kind == JSON_STRING ? plain_of(&args) : sum_json(&kit, args.raw));
        rope_put_char(&out, '\n');
    }
    if (complete.kind == JSON_TRUE) {
        rope_put(&out, S("stop "));
        rope_put(&out, slice_from_z(stop_name_of(plain_of(&finish), has_calls)));
        rope_put(&out, S("\nend\n"));
    } else if (error.kind == JSON_OBJECT) {
        rope_put(&out, S("error\n"));
    }
    return kit_take(&kit, &out);
}

Test(openai_chat_stream, vectors_say_what_they_are_expected_to)
{
    static const char *const names[] = {"01-text-usage",
                                        "02-no-usage",
                                        "03-tool-split-args",
                                        "04-parallel-tools",
                                        "05-interleaved-tools",
                                        "06-reasoning-content",
                                        "07-openrouter-reasoning",
                                        "08-refusal",
                                        "09-n2",
                                        "10-error-midway",
                                        "11-crlf-comments-noSpace",
                                        "12-multiline-data",
                                        "13-cr-only",
                                        "14-custom-tool",
                                        "15-azure-first-chunk",
                                        "16-vendor-whole-call"};
    static const size_t pieces[] = {1u << 20, 1, 2, 7, 61};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        size_t len, expect_len;
        char *bytes, *expect;
        struct slice wanted, got;

        snprintf(path, sizeof(path), "protocol/openai-chat/stream-%s.sse", names[i]);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        snprintf(path, sizeof(path), "protocol/openai-chat/stream-%s.expect.json", names[i]);
        expect = vectors_read(path, &expect_len);
        cr_assert_not_null(expect);
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
            struct reader reader;
            struct member usage;

            reader_open(&reader, 0);
            reader_stream(&reader, slice_of(bytes, len), pieces[k]);
            got = sum_close(&reader.sum);
            wanted = wanted_of(slice_of(expect, expect_len));
            cr_assert(slice_eq(got, wanted), "%s, pieces of %zu: got\n%.*swanted\n%.*s", names[i],
                      pieces[k], (int)got.len, got.ptr, (int)wanted.len, wanted.ptr);
            usage = member_named(slice_of(expect, expect_len), "usage");
            cr_assert_eq((reader.sum.usage.has & IR_HAS_INPUT) != 0, usage.kind == JSON_OBJECT);
        }
        free(bytes);
        free(expect);
    }
}

Test(openai_chat_stream, streams_that_nobody_should_write_do_no_harm)
{
    static const char *const names[] = {
        "01-event-without-data", "02-done-trailing-space", "03-retry-only", "04-id-then-comment",
        "05-no-choices",         "06-repeated-names",      "07-no-finish"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct reader reader;
        char path[128];
        size_t len;
        char *bytes;

        snprintf(path, sizeof(path), "protocol/openai-chat/bad-%s.sse", names[i]);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        reader_open(&reader, 0);
        reader_stream(&reader, slice_of(bytes, len), 3);
        cr_assert(reader.sum.has_ended || reader.sum.has_error, "%s", names[i]);
        (void)sum_close(&reader.sum);
        free(bytes);
    }
}

Test(openai_chat_stream, documents_of_the_vectors_are_read)
{
    static const struct {
        const char *name, *wanted;
    } rows[] = {
        {"resp-01-text", NULL},
        {"resp-02-tool-calls", NULL},
        {"resp-03-length", NULL},
        {"resp-04-refusal", "refusal: I cannot help with that.\nstop end\nend\n"},
        {"resp-05-reasoning-vendor", "reason: 2+2 is 4.\ntext: 4\nstop end\nend\n"},
        {"resp-06-openrouter", "reason: sum\ntext: 4\nstop end\nend\n"},
        {"resp-07-logprobs-n2", "text: A\nstop end\nend\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reader reader;
        struct slice got;
        char path[128];
        size_t len;
        char *bytes;

        snprintf(path, sizeof(path), "protocol/openai-chat/%s.json", rows[i].name);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        reader_open(&reader, i == 6 ? 1 : 0);
        reader_frame(&reader,
                     &(struct frame){.kind = FRAME_DOCUMENT, .data = slice_of(bytes, len)});
        reader_finish(&reader);
        cr_assert(reader.sum.has_ended, "%s", rows[i].name);
        got = sum_close(&reader.sum);
        cr_assert(rows[i].wanted == NULL || slice_eq(got, slice_from_z(rows[i].wanted)), "%.*s",
                  (int)got.len, got.ptr);
        free(bytes);
    }
}

/* --- a relayed answer is watched, not read --- */

static void watch(struct reader *reader, struct slice data)
{
    kit.brief.is_relay = true;
    reader_open(reader, 0);
    reader_frame(reader, &(struct frame){.kind = FRAME_DOCUMENT, .data = data});
    reader_finish(reader);
}

Test(openai_chat_stream, a_relayed_answer_gives_its_usage_and_its_end)
{
    struct reader reader;

    watch(&reader,
          S("{\"id\":\"x\",\"error\":null,\"choices\":[{\"index\":0,\"message\":{\"role\":"
            "\"assistant\",\"content\":\"hello\",\"tool_calls\":\"alien\"},\"finish_reason\":"
            "\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"));
    cr_assert(reader.sum.has_ended);
    cr_assert_not(reader.sum.has_error);
    (void)sum_close(&reader.sum);
}

Test(openai_chat_stream, a_relayed_error_is_still_one)
{
    static const struct slice bodies[] = {
        S_INIT("{\"error\":{\"message\":\"no\"},\"choices\":[{}],\"usage\":{\"prompt_tokens\":3}}"),
        S_INIT("{\"choices\":[],\"usage\":{\"prompt_tokens\":3}}"),
        S_INIT("{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":"
               "\"stop\"}"),
        S_INIT("[{\"error\":{\"message\":\"no\"}}]"),
        S_INIT("<html>busy</html>"),
    };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct reader reader;

        watch(&reader, bodies[i]);
        cr_assert(reader.sum.has_error, "%zu", i);
        cr_assert_not(reader.sum.has_ended, "%zu", i);
        (void)sum_close(&reader.sum);
    }
}
