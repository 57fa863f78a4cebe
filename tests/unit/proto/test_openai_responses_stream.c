#include "../../../src/proto/member.h"
#include "codec.h"
#include "r2a/core/check.h"
#include "support/guard.h"
#include "support/proto_sum.h"
#include "support/vectors.h"

/* An upstream's Responses answer. Shapes and servers' habits are transcripts
 * (tests/golden/openai_responses/decode.md); here are the vectors, hostile input and whole pairs.
 */

#define OC (&proto_openai_chat)
#define OR (&proto_openai_responses)
#define AM (&proto_anthropic)

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
    kit.brief.minter = S("openai");
    kit.target.minter = S("openai");
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(openai_responses_stream, .init = open_kit, .fini = close_kit);

/* What a stream says, cut into pieces of `size` bytes. */
static struct slice sum_of_stream(struct slice bytes, size_t size)
{
    void *decoder = arena_take_zero(&kit.arena, OR->decoder_size);
    struct ir_grammar grammar;
    struct sum sum;

    sum_open(&kit, &sum, 0);
    ir_grammar_response(&grammar, &sum.sink, true);
    OR->decoder_init(decoder, &kit.target, &kit.brief);
    cr_assert_eq(
        kit_feed(&kit, OR, decoder, &framing_sse, bytes, kit_cut_every, &size, &grammar.sink),
        R2A_OK);
    cr_assert_eq(OR->finish(decoder, &grammar.sink), R2A_OK);
    return sum_close(&sum);
}

static struct slice sum_of_document(struct slice bytes)
{
    void *decoder = arena_take_zero(&kit.arena, OR->decoder_size);
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = bytes};
    struct ir_grammar grammar;
    struct sum sum;

    sum_open(&kit, &sum, 0);
    ir_grammar_response(&grammar, &sum.sink, true);
    OR->decoder_init(decoder, &kit.target, &kit.brief);
    cr_assert_eq(OR->decode(decoder, &frame, &grammar.sink), R2A_OK);
    cr_assert_eq(OR->finish(decoder, &grammar.sink), R2A_OK);
    return sum_close(&sum);
}

/* --- vectors --- */

/* What each says. Of two summaries the blank line between them is ours: the expectation beside the
 * vector runs them together. */
static const struct {
    const char *name, *wanted;
} streams[] = {
    {"01-text", "text: Hello \"Oslo\"\xF0\x9F\x98\x80\nstop end\nend\n"},
    {"02-reasoning-summary", "reason: Plan A\n\nPlan B\ntext: 4\nstop end\nend\n"},
    {"03-tool-split-args",
     "call call_A get_weather {\"city\":\"S\xC3\xA3o\\n\"}\nstop tool\nend\n"},
    {"04-text-two-tools",
     "text: Checking.\ncall call_A get_weather {\"city\":\"Oslo\"}\ncall call_B get_weather "
     "{\"city\":\"Rome\"}\nstop tool\nend\n"},
    {"05-reasoning-text", NULL},
    {"06-refusal", NULL},
    {"07-custom-tool", "custom call_C apply_patch *** Begin\n*** End\nstop tool\nend\n"},
    {"08-incomplete", NULL},
    {"09-failed-midway", NULL},
    {"10-error-event-nested", "error\n"},
    {"11-error-event-flat", "error\n"},
    {"12-web-search-annotation", "text: See\nstop end\nend\n"},
    {"13-keepalive-done", "text: x\nstop end\nend\n"},
    {"14-data-only", "text: x\nstop end\nend\n"},
};

static struct member member_named(struct slice object, struct slice name)
{
    struct member member;

    (void)members_of(object, &name, 1, &member);
    return member;
}

Test(openai_responses_stream, vectors_say_the_same_however_they_are_cut)
{
    static const size_t sizes[] = {1u << 20, 1, 2, 7, 61};

    for (size_t i = 0; i < array_count(streams); i++) {
        size_t len, expect_len;
        char path[128], *bytes, *expect;
        struct slice first = {0};
        struct member text, complete;
        struct slice plain;

        snprintf(path, sizeof(path), "protocol/openai-responses/stream-%s.sse", streams[i].name);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        for (size_t k = 0; k < array_count(sizes); k++) {
            struct slice got = sum_of_stream(slice_of(bytes, len), sizes[k]);

            if (k == 0)
                first = got;
            cr_assert(slice_eq(got, first), "%s in pieces of %zu:\n%.*s", streams[i].name, sizes[k],
                      (int)got.len, got.ptr);
        }
        if (streams[i].wanted != NULL && i > 0)
            cr_expect(slice_eq(first, slice_from_z(streams[i].wanted)), "%s:\n%.*s",
                      streams[i].name, (int)first.len, first.ptr);
        snprintf(path, sizeof(path), "protocol/openai-responses/stream-%s.expect.json",
                 streams[i].name);
        expect = vectors_read(path, &expect_len);
        cr_assert_not_null(expect);
        text = member_named(slice_of(expect, expect_len), S("text"));
        cr_assert(text_to_plain(member_text(&text), &kit.arena, &plain));
        cr_expect(str_find(first, plain) < first.len || plain.len == 0, "%s:\n%.*s",
                  streams[i].name, (int)first.len, first.ptr);
        complete = member_named(slice_of(expect, expect_len), S("complete"));
        cr_expect_eq(str_ends(first, S("end\n")), member_is(&complete, JSON_TRUE), "%s:\n%.*s",
                     streams[i].name, (int)first.len, first.ptr);
        free(bytes);
        free(expect);
    }
}

Test(openai_responses_stream, documents_of_the_vectors)
{
    static const struct {
        const char *name, *wanted;
    } rows[] = {
        {"01-text", NULL},
        {"02-reasoning-tool",
         "reason: need it\ncall call_A get_weather {\"city\":\"Oslo\"}\ncall call_B get_weather "
         "{\"city\":\"Rome\"}\nstop tool\nend\n"},
        {"03-incomplete", NULL},
        {"04-refusal", NULL},
        {"05-failed", "error\n"},
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        char path[128], *bytes;
        struct slice got;
        size_t len;

        snprintf(path, sizeof(path), "protocol/openai-responses/resp-%s.json", rows[i].name);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        got = sum_of_document(slice_of(bytes, len));
        if (rows[i].wanted != NULL)
            cr_expect(slice_eq(got, slice_from_z(rows[i].wanted)), "%s:\n%.*s", rows[i].name,
                      (int)got.len, got.ptr);
        else
            cr_expect(str_ends(got, S("\nend\n")), "%s:\n%.*s", rows[i].name, (int)got.len,
                      got.ptr);
        free(bytes);
    }
}

Test(openai_responses_stream, count_of_the_vectors_is_read_and_written)
{
    struct rope out = kit_rope(&kit);
    uint64_t tokens = 0;
    size_t len;
    char *bytes = vectors_read("protocol/openai-responses/count-01-input-tokens.json", &len);
    struct slice written;

    if (bytes == NULL)
        cr_skip_test("no vectors at VECTORS_DIR");
    cr_assert(OR->count_read(slice_of(bytes, len), &tokens));
    cr_assert_eq(tokens, 123u);
    free(bytes);
    OR->count_write(&kit.brief, tokens, &out);
    written = kit_take(&kit, &out);
    cr_assert(slice_eq(written, S("{\"object\":\"response.input_tokens\",\"input_tokens\":123}")));
    cr_assert(!OR->count_read(S("{\"input_tokens\":-1}"), &tokens));
    cr_assert(!OR->count_read(S("[]"), &tokens));
}

/* --- hostile --- */

Test(openai_responses_stream, frames_at_the_edge_of_readable_memory)
{
    static const char *const frames[] = {
        "{\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"a\\ud83d\"}",
        ("{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":"
         "\"message\","
         "\"content\":[{\"type\":\"output_text\",\"text\":\"a\\ud83d\\ude00\"}]}}"),
        "{\"type\":\"response.completed\",\"response\":{\"output\":[]}}",
    };
    void *decoder = arena_take_zero(&kit.arena, OR->decoder_size);
    struct sum sum;
    struct slice got;

    sum_open(&kit, &sum, 0);
    OR->decoder_init(decoder, &kit.target, &kit.brief);
    for (size_t i = 0; i < array_count(frames); i++) {
        size_t len = strlen(frames[i]);
        struct frame frame = {.kind = FRAME_DATA,
                              .data = slice_of(guard_copy(frames[i], len), len)};

        cr_assert_eq(OR->decode(decoder, &frame, &sum.sink), R2A_OK);
    }
    got = sum_close(&sum);
    cr_expect(slice_eq(got, S("text: a\xF0\x9F\x98\x80\nstop end\nend\n")), "%.*s", (int)got.len,
              got.ptr);
}

Test(openai_responses_stream, more_items_than_anybody_needs_are_an_error)
{
    void *decoder = arena_take_zero(&kit.arena, OR->decoder_size);
    struct sum sum;

    sum_open(&kit, &sum, 0);
    OR->decoder_init(decoder, &kit.target, &kit.brief);
    for (uint32_t i = 0; i < 5000 && !sum.has_error; i++) {
        char data[256];
        int len = snprintf(data, sizeof(data),
                           "{\"type\":\"response.output_item.added\",\"output_index\":%u,\"item\":{"
                           "\"type\":\"message\",\"id\":\"m%u\"}}",
                           i, i);
        struct frame frame = {.kind = FRAME_DATA, .data = slice_of(data, (size_t)len)};

        cr_assert_eq(OR->decode(decoder, &frame, &sum.sink), R2A_OK);
    }
    cr_assert(sum.has_error);
}

Test(openai_responses_stream, state_of_a_stream_is_small)
{
    void *decoder = arena_take_zero(&kit.arena, OR->decoder_size);
    void *encoder = arena_take_zero(&kit.arena, OR->encoder_size);
    size_t before = arena_bytes(&kit.arena);

    cr_assert(OR->decoder_size + OR->encoder_size <= 1024);
    (void)decoder;
    (void)encoder;
    cr_assert(before < 4096);
}

/* --- pairs --- */

#define ITEM_ADDED(index, item) \
    "{'type':'response.output_item.added','output_index':" index ",'item':" item "}"
#define ITEM_DONE(index, item) \
    "{'type':'response.output_item.done','output_index':" index ",'item':" item "}"
#define ARGS(index, delta)                                                                      \
    "{'type':'response.function_call_arguments.delta','output_index':" index ",'delta':'" delta \
    "'"                                                                                         \
    "}"
#define CREATED "{'type':'response.created','response':{'id':'r','model':'m','created_at':1}}"
#define COMPLETED                                                                         \
    "{'type':'response.completed','response':{'status':'completed','output':[],'usage':{" \
    "'input_tokens':100,'input_tokens_details':{'cached_tokens':60},'output_tokens':5,"   \
    "'output_tokens_details':{'reasoning_tokens':3},'total_tokens':105}}}"
#define FC(id, args)                                               \
    "{'type':'function_call','id':'fc_" id "','call_id':'call_" id \
    "','name':'f','arguments':'" args "'}"
#define MSG(id, text)             \
    "{'type':'message','id':'" id \
    "','role':'assistant','content':[{'type':'output_text','text':'" text "','annotations':[]}]}"

Test(openai_responses_stream, regression_62_cached_tokens_are_counted_once)
{
    struct slice out = STREAM(&kit, OR, AM, CREATED, ITEM_DONE("0", MSG("m1", "a")), COMPLETED);

    expect_has(&kit, out, "'input_tokens':40");
    expect_has(&kit, out, "'cache_read_input_tokens':60");
}

Test(openai_responses_stream, regression_78_79_interleaved_calls_are_two_blocks)
{
    struct slice am = STREAM(
        &kit, OR, AM, CREATED, ITEM_ADDED("0", FC("A", "")), ITEM_ADDED("1", FC("B", "")),
        ARGS("1", "{\\'b\\'"), ARGS("0", "{\\'a\\':1}"), ARGS("1", ":2}"),
        ITEM_DONE("0", FC("A", "{\\'a\\':1}")), ITEM_DONE("1", FC("B", "{\\'b\\':2}")), COMPLETED);
    struct slice oc;

    expect_count(&kit, am, "'type':'content_block_start'", 2);
    expect_has(&kit, am, "'id':'call_A'");
    expect_has(&kit, am, "'stop_reason':'tool_use'");
    kit_again(&kit);
    oc = STREAM(&kit, OR, OC, CREATED, ITEM_ADDED("0", FC("A", "")), ITEM_ADDED("1", FC("B", "")),
                ARGS("1", "{}"), ARGS("0", "{}"), COMPLETED);
    expect_has(&kit, oc, "{'index':0,'id':'call_A'");
    expect_has(&kit, oc, "{'index':1,'id':'call_B'");
    expect_has(&kit, oc, "'finish_reason':'tool_calls'");
}

Test(openai_responses_stream, regression_68_plain_calls_stop_for_tools)
{
    struct slice out = document(
        &kit, OR, OC,
        "{'id':'r','object':'response','status':'completed','output':[" FC("A", "{}") "]}");

    expect_has(&kit, out, "'finish_reason':'tool_calls'");
}

Test(openai_responses_stream, regression_45_reasoning_survives_the_round_trip)
{
    struct slice out, request;

    out = STREAM(&kit, OR, AM, CREATED,
                 ITEM_DONE("0", "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text',"
                                "'text':'sum'}],'encrypted_content':'gAAA'}"),
                 ITEM_DONE("1", MSG("m1", "a")), COMPLETED);
    expect_has(&kit, out, "'signature':'gw1.r.b3BlbmFpAHJzXzEAZ0FBQQ'");
    request = translate(&kit, AM, OR,
                        "{'model':'m','max_tokens':100,'messages':[{'role':'user','content':'q'},{"
                        "'role':'assistant','content':[{'type':'thinking','thinking':'sum',"
                        "'signature':'gw1.r.b3BlbmFpAHJzXzEAZ0FBQQ'},{'type':'text','text':'a'}]},"
                        "{'role':'user','content':'go'}]}");
    expect_has(&kit, request,
               "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'sum'}],"
               "'encrypted_content':'gAAA'}");
}

Test(openai_responses_stream, regression_105_an_error_status_is_a_fault)
{
    struct slice lines = kit_decode_document(
        &kit, OR, quoted(&kit, "{'error':{'message':'no','type':'invalid_request_error'}}"));

    cr_expect(str_starts(lines, S("ERROR INVALID")), "%.*s", (int)lines.len, lines.ptr);
}
