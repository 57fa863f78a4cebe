#include "codec.h"
#include "r2a/core/check.h"
#include "support/responses_check.h"
#include "support/vectors.h"

/* Answers for clients of Responses, as their accumulators see them. The numbers are those of
 * conversion.md 5. */

#define OC (&proto_openai_chat)
#define OR (&proto_openai_responses)
#define AM (&proto_anthropic)

static struct kit kit;
static struct rc rc;

static void open_kit(void)
{
    kit_open(&kit);
    kit.brief.minter = S("up");
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(openai_responses_answer, .init = open_kit, .fini = close_kit);

static void expect_legal(struct slice out)
{
    const char *wrong = rc_check(&rc, out, true);

    cr_assert_null(wrong, "%s in\n%.*s", wrong, (int)out.len, out.ptr);
}

#define CHUNK(delta)   "{'id':'c','model':'m','choices':[{'index':0,'delta':" delta "}]}"
#define FINISH(reason) "{'choices':[{'index':0,'delta':{},'finish_reason':'" reason "'}]}", "[DONE]"
#define CALL(index, id, args)                                                                      \
    "{'index':" index ",'id':'" id "','type':'function','function':{'name':'f','arguments':'" args \
    "'}}"
#define MORE(index, args) "{'index':" index ",'function':{'arguments':'" args "'}}"
#define TO_CLIENT(...)    STREAM(&kit, OC, OR, __VA_ARGS__)

#define START                                                                            \
    "{'type':'message_start','message':{'id':'msg_1','model':'c','content':[],'usage':{" \
    "'input_tokens':10,'cache_read_input_tokens':70,'cache_creation_input_tokens':20,"   \
    "'output_tokens':1}}}"
#define OPEN(index, block) \
    "{'type':'content_block_start','index':" index ",'content_block':" block "}"
#define DELTA(index, delta) "{'type':'content_block_delta','index':" index ",'delta':" delta "}"
#define CLOSE(index)        "{'type':'content_block_stop','index':" index "}"
#define STOPPED(reason)                                                                          \
    "{'type':'message_delta','delta':{'stop_reason':'" reason "'},'usage':{'output_tokens':5}}", \
        "{'type':'message_stop'}"

Test(openai_responses_answer, regression_75_each_byte_once)
{
    struct slice out = TO_CLIENT(CHUNK("{'role':'assistant','content':'Hel'}"),
                                 CHUNK("{'content':'lo'}"), FINISH("stop"));

    expect_legal(out);
    expect_has(&kit, out, "'delta':'Hel'");
    expect_has(&kit, out, "'text':'Hello','logprobs':[]}");
    expect_count(&kit, out, "'text':'Hello'", 4);
}

Test(openai_responses_answer, regression_67_detail_objects_are_always_there)
{
    struct slice out = TO_CLIENT(CHUNK("{'content':'a'}"), FINISH("stop"));

    expect_legal(out);
    expect_has(&kit, out, "'input_tokens_details':{'cached_tokens':0,'cache_write_tokens':0}");
    expect_has(&kit, out, "'output_tokens_details':{'reasoning_tokens':0}");
}

Test(openai_responses_answer, regression_63_cache_is_part_of_the_input)
{
    struct slice out =
        STREAM(&kit, AM, OR, START, OPEN("0", "{'type':'text','text':''}"),
               DELTA("0", "{'type':'text_delta','text':'a'}"), CLOSE("0"), STOPPED("end_turn"));

    expect_legal(out);
    expect_has(&kit, out,
               "'usage':{'input_tokens':100,'input_tokens_details':{'cached_tokens':70,"
               "'cache_write_tokens':20},'output_tokens':5");
    expect_has(&kit, out, "'total_tokens':105");
}

Test(openai_responses_answer, regression_93_94_reasoning_text_and_calls_in_order)
{
    struct slice out = TO_CLIENT(
        CHUNK("{'reasoning_content':'hm'}"), CHUNK("{'content':'Let me see.'}"),
        CHUNK("{'tool_calls':[" CALL("0", "call_A", "{") "," CALL("1", "call_B", "") "]}"),
        CHUNK("{'tool_calls':[" MORE("1", "{\\'b\\':1}") "," MORE("0", "}") "]}"),
        FINISH("tool_calls"));

    expect_legal(out);
    cr_expect_eq(rc.items_count, 4u);
    cr_expect(rc_is(rc.items[0].type, "reasoning"));
    cr_expect(rc_is(rc.items[1].type, "message"));
    cr_expect(rc_is(rc.items[2].type, "function_call"));
    cr_expect(rc_is(rc.terminal, "response.completed"));
    expect_has(&kit, out, "'arguments':'{}','call_id':'call_A'");
}

Test(openai_responses_answer, regression_102_reasoning_after_text_is_an_item_of_its_own)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'reasoning_content':'a'}"), CHUNK("{'content':'b'}"),
                  CHUNK("{'reasoning_content':'c'}"), CHUNK("{'content':'d'}"), FINISH("stop"));

    expect_legal(out);
    cr_expect_eq(rc.items_count, 4u);
}

Test(openai_responses_answer, regression_103_one_item_is_one_thinking_block)
{
    struct slice out =
        STREAM(&kit, AM, OR, START, OPEN("0", "{'type':'thinking','thinking':'','signature':''}"),
               DELTA("0", "{'type':'thinking_delta','thinking':'a'}"),
               DELTA("0", "{'type':'signature_delta','signature':'c2lnMQ=='}"), CLOSE("0"),
               OPEN("1", "{'type':'thinking','thinking':'','signature':''}"),
               DELTA("1", "{'type':'thinking_delta','thinking':'b'}"),
               DELTA("1", "{'type':'signature_delta','signature':'c2lnMg=='}"), CLOSE("1"),
               OPEN("2", "{'type':'redacted_thinking','data':'ZGF0YQ=='}"), CLOSE("2"),
               OPEN("3", "{'type':'tool_use','id':'toolu_1','name':'f','input':{}}"), CLOSE("3"),
               STOPPED("tool_use"));

    expect_legal(out);
    cr_expect_eq(rc.items_count, 4u);
    expect_count(&kit, out, "'encrypted_content':'gw1.a.", 4);
    expect_count(&kit, out, "'encrypted_content':'gw1.d.", 2);
}

Test(openai_responses_answer, regression_95_a_finish_without_done_completes)
{
    struct slice out = TO_CLIENT(CHUNK("{'content':'a'}"),
                                 "{'choices':[{'index':0,'delta':{},'finish_reason':'stop'}]}");

    expect_legal(out);
    cr_expect(rc_is(rc.terminal, "response.completed"));
}

Test(openai_responses_answer, regression_96_a_limit_is_incomplete)
{
    struct slice out = TO_CLIENT(CHUNK("{'content':'a'}"), FINISH("length"));

    expect_legal(out);
    cr_expect(rc_is(rc.terminal, "response.incomplete"));
    expect_has(&kit, out, "'incomplete_details':{'reason':'max_output_tokens'}");
    expect_has(&kit, out, "'status':'incomplete','role':'assistant'");
}

Test(openai_responses_answer, regression_97_98_a_broken_stream_fails_and_stays_open)
{
    struct slice out = TO_CLIENT(CHUNK("{'content':'a'}"),
                                 CHUNK("{'tool_calls':[" CALL("0", "call_A", "{\\'a") "]}"));

    expect_legal(out);
    cr_expect(rc_is(rc.terminal, "response.failed"));
    cr_expect(rc.has_error);
    expect_no(&kit, out, "function_call_arguments.done");
    expect_has(&kit, out, "'status':'incomplete','arguments':'{\\'a'");
    expect_has(&kit, out, "'error':{'code':'server_error'");
    expect_no(&kit, out, "[DONE]");
}

Test(openai_responses_answer, an_answer_larger_than_its_limit_fails)
{
    struct slice lines;

    kit.brief.output_bytes_max = 4096;
    {
        struct rope rope = kit_rope(&kit);

        rope_put(&rope, S("BEGIN\nPART text part=0\n"));
        for (int i = 0; i < 20; i++) {
            rope_put(&rope, S("TEXT part=0 escaped "));
            for (int k = 0; k < 400; k++)
                rope_put_char(&rope, 'x');
            rope_put_char(&rope, '\n');
        }
        lines = kit_take(&kit, &rope);
    }
    {
        /* The encoder says so, and puts a proper end when the gateway tells it what happened. */
        struct rope out = kit_rope(&kit);
        void *encoder = arena_take_zero(&kit.arena, OR->encoder_size);
        struct fault fault = fault_of(FAULT_BAD_GATEWAY, S("too large"));
        enum r2a_err err = R2A_OK;
        struct slice line;

        OR->encoder_init(encoder, &kit.brief);
        while (err == R2A_OK && str_split(&lines, '\n', &line)) {
            struct ir_event event;

            if (line.len == 0)
                break;
            cr_assert(kit_read_line(&kit, line, &event));
            err = OR->encode(encoder, &event, &out);
        }
        cr_assert_eq(err, R2A_ERR_LIMIT);
        (void)OR->encode(encoder, &(struct ir_event){.kind = IR_ERROR, .u.fault = &fault}, &out);
        OR->encoder_drop(encoder);
        lines = kit_take(&kit, &out);
    }
    cr_expect(str_find(lines, S("event: response.failed")) < lines.len);
}

Test(openai_responses_answer, a_relayed_stream_that_breaks_is_not_begun_again)
{
    struct slice out;

    kit.brief.is_relay = true;
    out = kit_encode(&kit, OR, S("ERROR BAD_GATEWAY message=escaped\"gone\" param=escaped\"p\"\n"));
    expect_no(&kit, out, "response.created");
    cr_expect(str_starts(out, S("event: error\n")));
    expect_has(&kit, out, "'param':'p'");
    expect_has(&kit, out, "event: response.failed");
}

Test(openai_responses_answer, request_members_come_back_as_they_were_sent)
{
    struct slice body = quoted(
        &kit, "{'model':'m','input':'q','instructions':'I','temperature':0.50,'metadata':{'a':'b'},"
              "'tools':[{'type':'function','name':'f','parameters':{}}],'tool_choice':'required',"
              "'text':{'verbosity':'low'},'max_output_tokens':77,'reasoning':{'effort':'high'}}");
    struct slice out;

    (void)kit_request_decode(&kit, OR, body);
    cr_assert(brief_keep_repeats(&kit.brief));
    memset((char *)(uintptr_t)body.ptr, '!', body.len); /* the body is gone */
    out = TO_CLIENT(CHUNK("{'content':'a'}"), FINISH("stop"));
    expect_legal(out);
    expect_count(&kit, out, "'temperature':0.50", 3);
    expect_count(&kit, out, "'tools':[{'type':'function','name':'f','parameters':{}}]", 3);
    expect_count(&kit, out, "'text':{'format':{'type':'text'},'verbosity':'low'}", 3);
    expect_count(&kit, out, "'instructions':'I'", 3);
    expect_count(&kit, out, "'max_output_tokens':77", 3);
    expect_count(&kit, out, "'store':false", 3);
}

Test(openai_responses_answer, custom_tools_come_back_unwrapped)
{
    struct slice out;

    (void)translate(&kit, OR, OC,
                    "{'model':'m','input':'q','tools':[{'type':'custom','name':'patch'},{'type':"
                    "'namespace','name':'ns','tools':[{'type':'function','name':'read'}]}]}");
    out = TO_CLIENT(
        CHUNK("{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'patch',"
              "'arguments':'{\\\"input\\\":\\\"***'}}]}"),
        CHUNK("{'tool_calls':[" MORE("0", " x\\\"}") "]}"),
        CHUNK("{'tool_calls':[{'index':1,'id':'b','type':'function','function':{'name':'ns__read',"
              "'arguments':'{}'}}]}"),
        FINISH("tool_calls"));
    expect_legal(out);
    expect_has(&kit, out, "'type':'custom_tool_call','status':'completed','input':'*** x'");
    expect_has(&kit, out, "'call_id':'b','name':'read','namespace':'ns'");
    expect_no(&kit, out, "ns__read");
}

Test(openai_responses_answer, what_the_checker_must_refuse)
{
    static const char *const names[] = {"01-no-created",        "02-index-gap",
                                        "03-no-item-id",        "04-unknown-event",
                                        "05-delta-before-part", "06-eof-without-terminal"};
    char path[128];

    for (size_t i = 0; i < array_count(names); i++) {
        size_t len;
        char *bytes;

        snprintf(path, sizeof(path), "protocol/openai-responses/bad-%s.sse", names[i]);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        cr_expect_not_null(rc_check(&rc, slice_of(bytes, len), true), "%s", names[i]);
        free(bytes);
    }
}
