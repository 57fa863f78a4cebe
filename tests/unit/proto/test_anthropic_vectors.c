#include "codec.h"

#include "../../../src/proto/member.h"
#include "r2a/http/sse.h"
#include "support/vectors.h"

/* The shared vectors of the Messages API: each stream must give what its .expect.json says, however
 * its bytes are cut; each request must be readable and, written again, say the same. */

#define FOLDER "protocol/anthropic-messages/"

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

static struct slice read_vector(const char *name)
{
    char path[256];
    size_t len;
    char *bytes, *copy;

    snprintf(path, sizeof(path), FOLDER "%s", name);
    bytes = vectors_read(path, &len);
    if (bytes == NULL)
        return (struct slice){0};
    copy = arena_take(&kit.arena, len + 1);
    memcpy(copy, bytes, len + 1);
    free(bytes);
    return slice_of(copy, len);
}

/* Two JSON texts with the same members in the same order and the same values. */
static bool json_equal(struct slice a, struct slice b)
{
    struct json_scan scans[2];
    enum json_token tokens[2];

    json_open(&scans[0], a);
    json_open(&scans[1], b);
    do {
        tokens[0] = json_next(&scans[0]);
        tokens[1] = json_next(&scans[1]);
        if (tokens[0] != tokens[1] || tokens[0] == JSON_ERROR)
            return false;
        if ((tokens[0] == JSON_KEY || tokens[0] == JSON_STRING) &&
            !text_eq(text_escaped(scans[0].text), text_escaped(scans[1].text)))
            return false;
        if (tokens[0] == JSON_NUMBER && !slice_eq(scans[0].text, scans[1].text))
            return false;
    } while (tokens[0] != JSON_END);
    return true;
}

/* What consuming events gives, in the words of the expectations. */
struct outcome {
    struct ir_sink sink;
    struct rope text, reasoning;
    struct {
        struct text id, name;
        struct rope args;
    } calls[8];
    uint32_t calls_count;
    uint32_t parts[64]; /* number + 1 of a call, or 0x100 text, 0x101 reasoning */
    uint8_t stop;
    bool has_stop, is_complete;
    struct ir_usage usage;
    struct text message;
};

static struct text copy(struct text text)
{
    struct slice bytes = arena_copy(&kit.arena, text_bytes(text));

    return (struct text){bytes.ptr, (uint32_t)bytes.len, text.form};
}

static enum r2a_err take(struct ir_sink *sink, const struct ir_event *event)
{
    struct outcome *o = (struct outcome *)(void *)sink;
    uint32_t what;

    cr_assert_lt(event->part, 64u);
    switch (event->kind) {
    case IR_PART:
        o->parts[event->part] = event->what == IR_PART_TEXT     ? 0x100
                                : event->what == IR_PART_REASON ? 0x101
                                                                : 0;
        if (event->what == IR_PART_CALL) {
            cr_assert_lt(o->calls_count, 8u);
            o->calls[o->calls_count].id = copy(event->u.open.id);
            o->calls[o->calls_count].name = copy(event->u.open.name);
            o->calls[o->calls_count].args = kit_rope(&kit);
            o->parts[event->part] = ++o->calls_count;
        }
        break;
    case IR_TEXT:
        what = o->parts[event->part];
        if (what == 0x100)
            text_write_plain(&o->text, event->u.text);
        else if (what == 0x101)
            text_write_plain(&o->reasoning, event->u.text);
        else if (what > 0 && event->u.text.form == TEXT_JSON)
            rope_put(&o->calls[what - 1].args, text_bytes(event->u.text));
        else if (what > 0)
            text_write_plain(&o->calls[what - 1].args, event->u.text);
        break;
    case IR_STOP:
        o->stop = event->what;
        o->has_stop = true;
        break;
    case IR_USAGE:
        ir_usage_merge(&o->usage, event->u.usage);
        break;
    case IR_ERROR:
        o->message = copy(event->u.fault->message);
        break;
    case IR_END:
        o->is_complete = true;
        break;
    default:
        break;
    }
    return R2A_OK;
}

static void consume(struct slice bytes, size_t (*next)(size_t at), struct outcome *outcome)
{
    void *decoder = arena_take_zero(&kit.arena, proto_anthropic.decoder_size);
    struct ir_grammar grammar;
    struct frame frame;
    struct sse sse;
    int32_t used;

    *outcome = (struct outcome){.sink.put = take};
    outcome->text = outcome->reasoning = kit_rope(&kit);
    ir_grammar_response(&grammar, &outcome->sink, true);
    proto_anthropic.decoder_init(decoder, &kit.target, &kit.brief);
    sse_init(&sse, kit.mem, 1u << 20);
    for (size_t at = 0; at < bytes.len;) {
        struct slice piece = slice_head(slice_skip(bytes, at), next(at));

        at += piece.len;
        while ((used = sse_feed(&sse, piece, &frame)) > 0) {
            cr_assert_eq(proto_anthropic.decode(decoder, &frame, &grammar.sink), R2A_OK);
            piece = slice_skip(piece, (size_t)used);
        }
    }
    while (sse_finish(&sse, &frame) > 0)
        cr_assert_eq(proto_anthropic.decode(decoder, &frame, &grammar.sink), R2A_OK);
    sse_free(&sse);
    cr_assert_eq(proto_anthropic.finish(decoder, &grammar.sink), R2A_OK);
}

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

static void check_calls(const char *name, struct outcome *outcome, struct slice calls)
{
    static const struct slice names[] = {S_INIT("id"), S_INIT("name"), S_INIT("arguments")};
    struct json_scan scan;
    enum json_token token;
    struct member found[3];
    uint32_t index = 0;

    json_open(&scan, calls);
    json_next(&scan);
    while ((token = json_next(&scan)) == JSON_OBJECT) {
        struct slice call;

        cr_assert(json_skip_after(&scan, token, &call));
        cr_assert(members_of(call, names, 3, found));
        cr_assert_lt(index, outcome->calls_count, "%s: a call is missing", name);
        cr_expect(text_eq(outcome->calls[index].id, member_text(&found[0])), "%s", name);
        cr_expect(text_eq(outcome->calls[index].name, member_text(&found[1])), "%s", name);
        cr_expect(json_equal(kit_take(&kit, &outcome->calls[index].args), found[2].raw), "%s",
                  name);
        index++;
    }
    cr_expect_eq(index, outcome->calls_count, "%s: %u calls", name, outcome->calls_count);
}

static void check_outcome(const char *name, struct outcome *outcome, struct slice expected)
{
    enum { TEXT, REASONING, CALLS, FINISH, USAGE, ERROR, COMPLETE, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("text"),  S_INIT("reasoning"), S_INIT("tool_calls"), S_INIT("finish"),
        S_INIT("usage"), S_INIT("error"),     S_INIT("complete")};
    static const struct slice usage_names[] = {S_INIT("input_tokens"), S_INIT("output_tokens"),
                                               S_INIT("cache_read_input_tokens")};
    static const struct slice error_names[] = {S_INIT("message")};
    struct member found[NAMES], inner[3];
    int64_t number;

    cr_assert(members_of(expected, names, NAMES, found));
    cr_expect(text_eq(text_plain(kit_take(&kit, &outcome->text)), member_text(&found[TEXT])), "%s",
              name);
    cr_expect(
        text_eq(text_plain(kit_take(&kit, &outcome->reasoning)), member_text(&found[REASONING])),
        "%s", name);
    check_calls(name, outcome, found[CALLS].raw);
    cr_expect_eq(outcome->is_complete, member_is(&found[COMPLETE], JSON_TRUE), "%s", name);
    if (member_is(&found[FINISH], JSON_STRING) && outcome->is_complete)
        cr_expect(text_is(member_text(&found[FINISH]), slice_from_z(stop_word(outcome->stop))),
                  "%s: %s", name, stop_word(outcome->stop));
    if (member_is(&found[USAGE], JSON_OBJECT)) {
        cr_assert(members_of(found[USAGE].raw, usage_names, 3, inner));
        if (member_int(&inner[0], &number)) {
            int64_t read = 0;

            (void)member_int(&inner[2], &read);
            cr_expect_eq(outcome->usage.input - outcome->usage.cache_write,
                         (uint64_t)(number + read), "%s", name);
        }
        if (member_int(&inner[1], &number))
            cr_expect_eq(outcome->usage.output, (uint64_t)number, "%s", name);
    }
    if (member_is(&found[ERROR], JSON_OBJECT)) {
        cr_assert(members_of(found[ERROR].raw, error_names, 1, inner));
        cr_expect(text_eq(outcome->message, member_text(&inner[0])), "%s", name);
    }
}

static size_t whole(size_t at)
{
    (void)at;
    return SIZE_MAX;
}

static size_t one(size_t at)
{
    (void)at;
    return 1;
}

static size_t some(size_t at)
{
    return 1 + (at * 2654435761u >> 7) % 37;
}

Test(anthropic_vectors, streams_give_what_is_expected)
{
    static const char *const names[] = {"stream-01-text",
                                        "stream-02-thinking",
                                        "stream-03-tool-split-args",
                                        "stream-04-parallel-tools",
                                        "stream-05-tool-no-args",
                                        "stream-06-redacted-omitted",
                                        "stream-07-max-tokens",
                                        "stream-08-stop-sequence",
                                        "stream-09-error-midway",
                                        "stream-10-web-search-citations",
                                        "stream-11-unknown-events",
                                        "stream-12-crlf",
                                        "stream-13-refusal",
                                        "stream-14-interleaved-thinking"};
    size_t (*const cuts[])(size_t) = {whole, one, some};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char path[128];
        struct slice bytes, expected;

        snprintf(path, sizeof(path), "%s.sse", names[i]);
        bytes = read_vector(path);
        snprintf(path, sizeof(path), "%s.expect.json", names[i]);
        expected = read_vector(path);
        if (bytes.len == 0 || expected.len == 0)
            cr_skip_test("no vectors at VECTORS_DIR");
        for (size_t k = 0; k < 3; k++) {
            struct outcome outcome;

            consume(bytes, cuts[k], &outcome);
            check_outcome(names[i], &outcome, expected);
        }
    }
}

Test(anthropic_vectors, streams_that_nobody_should_send_do_no_harm)
{
    static const char *const names[] = {"bad-01-no-event-names.sse", "bad-02-no-message-start.sse",
                                        "bad-03-no-usage-in-delta.sse", "bad-04-index-offset.sse",
                                        "bad-05-eof-without-stop.sse"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct slice bytes = read_vector(names[i]);
        struct outcome outcome;

        if (bytes.len == 0)
            cr_skip_test("no vectors at VECTORS_DIR");
        consume(bytes, whole, &outcome);
        cr_expect(outcome.is_complete || outcome.message.len > 0, "%s", names[i]);
        cr_expect_gt(outcome.text.bytes, 0u, "%s", names[i]);
        rope_clear(&outcome.text);
        rope_clear(&outcome.reasoning);
    }
}

Test(anthropic_vectors, documents_are_read)
{
    static const struct {
        const char *name;
        const char *stop;
    } rows[] = {
        {"resp-01-text.json", "end_turn"},         {"resp-02-thinking-tools.json", "tool_use"},
        {"resp-03-max-tokens.json", "max_tokens"}, {"resp-04-stop-sequence.json", "stop_sequence"},
        {"resp-05-refusal.json", "refusal"},       {"resp-06-full-usage.json", "end_turn"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct slice body = read_vector(rows[i].name), lines, again;

        if (body.len == 0)
            cr_skip_test("no vectors at VECTORS_DIR");
        /* decode(encode(decode(x))) = decode(x), but for the ids, which are ours */
        kit.brief.shape = BRIEF_DOCUMENT;
        kit.brief.id = S("");
        lines = kit_decode_document(&kit, &proto_anthropic, body);
        again = kit_encode(&kit, &proto_anthropic, lines);
        cr_assert(is_json(again), "%s", rows[i].name);
        expect_has(&kit, again, rows[i].stop);
        again = kit_decode_document(&kit, &proto_anthropic, again);
        lines = slice_skip(lines, str_find_char(lines, '\n'));
        again = slice_skip(again, str_find_char(again, '\n'));
        cr_expect(slice_eq(lines, again), "%s: %.*s but %.*s", rows[i].name, (int)lines.len,
                  lines.ptr, (int)again.len, again.ptr);
    }
}

Test(anthropic_vectors, errors_are_recognised)
{
    static const struct {
        const char *name;
        uint16_t status;
        const char *kind;
    } rows[] = {{"err-01-invalid.json", 400, "INVALID"},
                {"err-02-auth.json", 401, "UP_AUTH"},
                {"err-03-permission.json", 403, "PERMISSION"},
                {"err-04-not-found.json", 404, "NOT_FOUND"},
                {"err-05-too-large.json", 413, "TOO_LARGE"},
                {"err-06-rate.json", 429, "RATE"},
                {"err-07-api.json", 500, "SERVER"},
                {"err-08-overloaded.json", 529, "OVERLOAD"},
                {"err-09-prompt-too-long.json", 400, "CONTEXT"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct slice body = read_vector(rows[i].name), lines;
        char want[32];

        if (body.len == 0)
            cr_skip_test("no vectors at VECTORS_DIR");
        lines = kit_decode_document(&kit, &proto_anthropic, body);
        snprintf(want, sizeof(want), "ERROR %s", rows[i].kind);
        cr_expect(str_starts(lines, slice_from_z(want)), "%s: %.*s", rows[i].name, (int)lines.len,
                  lines.ptr);
    }
}

Test(anthropic_vectors, requests_written_again_say_the_same)
{
    static const char *const names[] = {"req-01-minimal.json",      "req-02-all-options.json",
                                        "req-03-tool-history.json", "req-04-image-document.json",
                                        "req-05-server-tools.json", "req-06-adaptive-schema.json",
                                        "req-07-count-tokens.json"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct slice body = read_vector(names[i]), lines, out, again;

        if (body.len == 0)
            cr_skip_test("no vectors at VECTORS_DIR");
        profile_of(S("claude-opus-4-6"), false, &kit.target.profile);
        kit.brief.operation = i == 6 ? BRIEF_COUNT : BRIEF_GENERATE;
        kit.target.is_stream = i == 1;
        lines = kit_request_decode(&kit, &proto_anthropic, body);
        cr_assert(!str_starts(lines, S("ERROR")), "%s: %.*s", names[i], (int)lines.len, lines.ptr);
        out = kit_translate(&kit, &proto_anthropic, &proto_anthropic, body);
        cr_assert(is_json(out), "%s", names[i]);
        again = kit_translate(&kit, &proto_anthropic, &proto_anthropic, out);
        cr_expect(slice_eq(out, again), "%s: %.*s but %.*s", names[i], (int)out.len, out.ptr,
                  (int)again.len, again.ptr);
        cr_expect_eq(kit.loss.names_count, 0u, "%s: %.*s", names[i], (int)kit.loss.names[0].len,
                     kit.loss.names[0].ptr);
    }
}

Test(anthropic_vectors, lists_and_counts_are_read)
{
    struct slice list = read_vector("models-01-list.json");
    struct slice counted = read_vector("count-01-response.json");
    uint64_t tokens = 0;

    if (list.len == 0)
        cr_skip_test("no vectors at VECTORS_DIR");
    cr_expect(proto_anthropic.count_read(counted, &tokens));
    cr_expect_gt(tokens, 0u);
}
