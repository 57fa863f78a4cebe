#include "../../../src/proto/member.h"
#include "vectors_of.h"

/* The shared vectors of the Messages API: each stream must give what its .expect.json says, however
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

TestSuite(anthropic_vectors, .init = open_kit, .fini = close_kit);

static const char *stop_word(uint8_t stop)
{
    static const char *const words[] = {[IR_STOP_END] = "end_turn",
                                        [IR_STOP_SEQUENCE] = "stop_sequence",
                                        [IR_STOP_TOOL] = "tool_use",
                                        [IR_STOP_LENGTH] = "max_tokens",
                                        [IR_STOP_CONTEXT] = "model_context_window_exceeded",
                                        [IR_STOP_REFUSAL] = "refusal",
                                        [IR_STOP_PAUSE] = "pause_turn"};

    return stop < sizeof(words) / sizeof(*words) && words[stop] != NULL ? words[stop] : "?";
}

static void check_end(const char *name, const struct outcome *outcome, struct text finish,
                      struct slice usage)
{
    static const struct slice usage_names[] = {S_INIT("input_tokens"), S_INIT("output_tokens"),
                                               S_INIT("cache_read_input_tokens")};
    struct member counters[3];
    int64_t number;

    if (finish.len > 0 && outcome->is_complete)
        cr_expect(text_is(finish, slice_from_z(stop_word(outcome->stop))), "%s: %s", name,
                  stop_word(outcome->stop));
    if (usage.len == 0)
        return;
    cr_assert(members_of(usage, usage_names, 3, counters));
    if (member_int(&counters[0], &number)) {
        int64_t read = 0;

        (void)member_int(&counters[2], &read);
        cr_expect_eq(outcome->usage.input - outcome->usage.cache_write, (uint64_t)(number + read),
                     "%s", name);
    }
    if (member_int(&counters[1], &number))
        cr_expect_eq(outcome->usage.output, (uint64_t)number, "%s", name);
}

static const struct vectors_of of = {.kit = &kit,
                                     .proto = &proto_anthropic,
                                     .folder = "anthropic-messages",
                                     .model = S_INIT("claude-opus-4-6"),
                                     .check_end = check_end};

Test(anthropic_vectors, streams_give_what_is_expected)
{
    static const char *const names[] = {"stream-01-text.sse",
                                        "stream-02-thinking.sse",
                                        "stream-03-tool-split-args.sse",
                                        "stream-04-parallel-tools.sse",
                                        "stream-05-tool-no-args.sse",
                                        "stream-06-redacted-omitted.sse",
                                        "stream-07-max-tokens.sse",
                                        "stream-08-stop-sequence.sse",
                                        "stream-09-error-midway.sse",
                                        "stream-10-web-search-citations.sse",
                                        "stream-11-unknown-events.sse",
                                        "stream-12-crlf.sse",
                                        "stream-13-refusal.sse",
                                        "stream-14-interleaved-thinking.sse"};

    vectors_of_streams(&of, names, sizeof(names) / sizeof(*names));
}

Test(anthropic_vectors, streams_that_nobody_should_send_do_no_harm)
{
    static const char *const names[] = {"bad-01-no-event-names.sse", "bad-02-no-message-start.sse",
                                        "bad-03-no-usage-in-delta.sse", "bad-04-index-offset.sse",
                                        "bad-05-eof-without-stop.sse"};

    vectors_of_bad_streams(&of, names, sizeof(names) / sizeof(*names), true);
}

Test(anthropic_vectors, documents_are_read)
{
    static const struct vectors_row rows[] = {
        {"resp-01-text.json", "end_turn"},         {"resp-02-thinking-tools.json", "tool_use"},
        {"resp-03-max-tokens.json", "max_tokens"}, {"resp-04-stop-sequence.json", "stop_sequence"},
        {"resp-05-refusal.json", "refusal"},       {"resp-06-full-usage.json", "end_turn"}};

    kit.brief.id = S("");
    vectors_of_documents(&of, rows, sizeof(rows) / sizeof(*rows), true);
}

Test(anthropic_vectors, errors_are_recognised)
{
    static const struct vectors_row rows[] = {{"err-01-invalid.json", "INVALID"},
                                              {"err-02-auth.json", "UP_AUTH"},
                                              {"err-03-permission.json", "PERMISSION"},
                                              {"err-04-not-found.json", "NOT_FOUND"},
                                              {"err-05-too-large.json", "TOO_LARGE"},
                                              {"err-06-rate.json", "RATE"},
                                              {"err-07-api.json", "SERVER"},
                                              {"err-08-overloaded.json", "OVERLOAD"},
                                              {"err-09-prompt-too-long.json", "CONTEXT"}};

    vectors_of_errors(&of, rows, sizeof(rows) / sizeof(*rows));
}

Test(anthropic_vectors, requests_written_again_say_the_same)
{
    static const char *const names[] = {"req-01-minimal.json",      "req-02-all-options.json",
                                        "req-03-tool-history.json", "req-04-image-document.json",
                                        "req-05-server-tools.json", "req-06-adaptive-schema.json",
                                        "req-07-count-tokens.json"};

    vectors_of_requests(&of, names, sizeof(names) / sizeof(*names));
}

Test(anthropic_vectors, lists_and_counts_are_read)
{
    struct slice list = vectors_of_read(&of, "models-01-list.json");
    struct slice counted = vectors_of_read(&of, "count-01-response.json");
    uint64_t tokens = 0;

    cr_assert_gt(list.len, 0u);
    cr_expect(proto_anthropic.count_read(counted, &tokens));
    cr_expect_gt(tokens, 0u);
}
