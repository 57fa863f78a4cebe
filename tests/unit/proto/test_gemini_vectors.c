#include "../../../src/proto/member.h"
#include "r2a/http/sse.h"
#include "vectors_of.h"

/* The shared vectors of generateContent: each stream must give what its .expect.json says, however
 * its bytes are cut; each request must be readable and, written again, say the same. */

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(gemini_vectors, .init = open_kit, .fini = close_kit);

static void check_end(const char *name, const struct outcome *outcome, struct text finish,
                      struct slice usage)
{
    static const struct slice usage_names[] = {S_INIT("promptTokenCount"),
                                               S_INIT("totalTokenCount")};
    struct member counters[2];
    int64_t number;

    if (text_is(finish, S("STOP")))
        cr_expect_eq(outcome->stop, outcome->calls_count > 0 ? IR_STOP_TOOL : IR_STOP_END, "%s",
                     name);
    else if (text_is(finish, S("MAX_TOKENS")))
        cr_expect_eq(outcome->stop, IR_STOP_LENGTH, "%s", name);
    else if (outcome->is_complete)
        cr_expect_eq(outcome->stop, IR_STOP_FILTER, "%s", name);
    if (usage.len == 0)
        return;
    cr_assert(members_of(usage, usage_names, 2, counters));
    if (member_int(&counters[0], &number))
        cr_expect_eq(outcome->usage.input, (uint64_t)number, "%s", name);
    if (member_int(&counters[1], &number))
        cr_expect_eq(outcome->usage.input + outcome->usage.output, (uint64_t)number, "%s", name);
}

/* Code that ran at Google is text to everybody else: the expectation leaves it out. */
static const struct vectors_of of = {.kit = &kit,
                                     .proto = &proto_gemini,
                                     .folder = "gemini",
                                     .model = S_INIT("gemini-2.5-flash"),
                                     .makes_ids = true,
                                     .own_name = "stream-15-code-exec",
                                     .own_text =
                                         S_INIT("```python\nprint(2)\n```\n\n```\n2\n```\n2"),
                                     .check_end = check_end};

Test(gemini_vectors, streams_give_what_is_expected)
{
    static const char *const names[] = {"stream-01-text.sse",
                                        "stream-02-text.jsonarr",
                                        "stream-03-thought.sse",
                                        "stream-04-tool.sse",
                                        "stream-05-text-parallel-tools.sse",
                                        "stream-06-tool-without-id.sse",
                                        "stream-07-finish-without-content.sse",
                                        "stream-08-prompt-blocked.sse",
                                        "stream-09-error-raw-tail.sse",
                                        "stream-10-error-data.sse",
                                        "stream-11-tools.jsonarr",
                                        "stream-12-error.jsonarr",
                                        "stream-13-image.sse",
                                        "stream-14-lf.sse",
                                        "stream-15-code-exec.sse",
                                        "stream-16-cut.sse"};

    vectors_of_streams(&of, names, sizeof(names) / sizeof(*names));
}

Test(gemini_vectors, streams_that_nobody_should_send_do_no_harm)
{
    static const char *const names[] = {"bad-01-done.sse", "bad-02-comment.sse",
                                        "bad-03-event-line.sse", "bad-04-no-space.sse",
                                        "bad-05-no-final-blank.sse"};

    vectors_of_bad_streams(&of, names, sizeof(names) / sizeof(*names), false);
}

/* An array that is read as one document says the same. */
Test(gemini_vectors, arrays_are_documents_too)
{
    struct slice lines =
        kit_decode_document(&kit, &proto_gemini, vectors_of_read(&of, "stream-02-text.jsonarr"));

    expect_has(&kit, lines, "END");
    lines =
        kit_decode_document(&kit, &proto_gemini, vectors_of_read(&of, "stream-11-tools.jsonarr"));
    expect_has(&kit, lines, "END");
    lines =
        kit_decode_document(&kit, &proto_gemini, vectors_of_read(&of, "stream-12-error.jsonarr"));
    expect_has(&kit, lines, "ERROR ");
}

/* What the SDKs break on never leaves: lines that are no `data: `, [DONE], several data lines of
 * one event, a last event without its blank line. */
Test(gemini_vectors, regression_101_only_data_lines_are_written)
{
    static const char *const names[] = {"stream-03-thought.sse",
                                        "stream-05-text-parallel-tools.sse",
                                        "stream-08-prompt-blocked.sse",
                                        "stream-13-image.sse",
                                        "bad-01-done.sse",
                                        "bad-02-comment.sse",
                                        "bad-03-event-line.sse"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct slice bytes = vectors_of_read(&of, names[i]), lines, out, line;
        struct kit_answer answer;
        struct frame frame;
        struct sse sse;
        int32_t used;

        kit_answer_open(&kit, &proto_gemini, &answer);
        sse_init(&sse, kit.mem, 1u << 20);
        while ((used = sse_feed(&sse, bytes, &frame)) > 0) {
            (void)answer.proto->decode(answer.decoder, &frame, &answer.grammar.sink);
            bytes = slice_skip(bytes, (size_t)used);
        }
        sse_free(&sse);
        lines = kit_answer_finish(&answer);
        kit.brief.shape = BRIEF_SSE;
        out = kit_encode(&kit, &proto_gemini, lines);
        cr_assert(str_ends(out, S("\n\n")), "%s", names[i]);
        for (uint32_t n = 0; str_split(&out, '\n', &line); n++) {
            if (n % 2 == 0 && line.len > 0) {
                cr_expect(str_starts(line, S("data: {")), "%s: %.*s", names[i], (int)line.len,
                          line.ptr);
                cr_expect(is_json(slice_skip(line, 6)), "%s", names[i]);
            } else {
                cr_expect_eq(line.len, 0u, "%s", names[i]);
            }
        }
    }
}

Test(gemini_vectors, documents_are_read)
{
    static const struct vectors_row rows[] = {{"resp-01-text.json", "STOP"},
                                              {"resp-02-thought-tools.json", "STOP"},
                                              {"resp-03-max-tokens.json", "MAX_TOKENS"},
                                              {"resp-04-prompt-blocked.json", "SAFETY"},
                                              {"resp-05-safety.json", "SAFETY"},
                                              {"resp-06-grounding-image.json", "STOP"}};

    vectors_of_documents(&of, rows, sizeof(rows) / sizeof(*rows), false);
}

Test(gemini_vectors, errors_are_recognised)
{
    static const struct vectors_row rows[] = {
        {"err-01-invalid.json", "INVALID"},      {"err-02-bad-key.json", "UP_AUTH"},
        {"err-03-quota.json", "RATE"},           {"err-04-not-found.json", "NOT_FOUND"},
        {"err-05-unavailable.json", "OVERLOAD"}, {"err-06-array-form.json", ""}};

    vectors_of_errors(&of, rows, sizeof(rows) / sizeof(*rows));
}

Test(gemini_vectors, requests_written_again_say_the_same)
{
    static const char *const names[] = {
        "req-01-minimal.json",           "req-02-all-options.json", "req-03-tool-history.json",
        "req-04-image-file.json",        "req-05-snake-case.json",  "req-06-json-schema-tools.json",
        "req-07-code-exec-history.json", "req-08-count-tokens.json"};

    vectors_of_requests(&of, names, sizeof(names) / sizeof(*names));
}

static void put_id(void *context, struct slice id)
{
    uint32_t *count = context;

    cr_expect(!str_starts(id, S("models/")));
    ++*count;
}

Test(gemini_vectors, lists_and_counts_are_read)
{
    struct slice list = vectors_of_read(&of, "models-01-list.json");
    struct slice counted = vectors_of_read(&of, "count-01-response.json");
    uint64_t tokens = 0;
    uint32_t models = 0;

    cr_expect(proto_gemini.count_read(counted, &tokens));
    cr_expect_gt(tokens, 0u);
    cr_expect(proto_gemini.models_read(list, put_id, &models));
    cr_expect_gt(models, 0u);
}
