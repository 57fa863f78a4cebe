#include "codec.h"

#include "r2a/core/check.h"

/* Rows of conversion.md 5 that belong to no single dialect's tests: input -> required output, each
 * by its number. */

#define OC (&proto_openai_chat)
#define OR (&proto_openai_responses)
#define AM (&proto_anthropic)
#define GG (&proto_gemini)

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(regressions, .init = open_kit, .fini = close_kit);

#define AM_TOOLS                                                          \
    "'tools':[{'name':'f','input_schema':{'type':'object'}},{'name':'g'," \
    "'input_schema':{'type':'object'}}]"

/* CLIProxyAPI#1135: tool_choice not sent to Gemini. */
Test(regressions, regression_17_a_forced_tool_is_forced_at_gemini)
{
    struct slice out =
        translate(&kit, AM, GG,
                  "{'model':'m','max_tokens':9,'messages':[{'role':'user',"
                  "'content':'x'}],'tool_choice':{'type':'tool','name':'g'}," AM_TOOLS "}");

    expect_has(&kit, out, "'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['g']}");
    out = translate(&kit, OC, GG,
                    "{'model':'m','messages':[{'role':'user','content':'x'}],'tool_choice':"
                    "{'type':'function','function':{'name':'f'}},'tools':[{'type':'function',"
                    "'function':{'name':'f'}},{'type':'function','function':{'name':'g'}}]}");
    expect_has(&kit, out, "'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['f']}");
    out = translate(&kit, AM, GG,
                    "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'}],"
                    "'tool_choice':{'type':'none'}," AM_TOOLS "}");
    expect_has(&kit, out, "'mode':'NONE'");
}

#define OC_CALLS(...)                                                                            \
    "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant','content':null," \
    "'tool_calls':[" __VA_ARGS__ "]}"
#define OC_CALL(id, name) \
    "{'id':'" id "','type':'function','function':{'name':'" name "','arguments':'{\\'n\\':1}'}}"

/* A body in which the quotes inside arguments are escaped: \' stands for \". */
static struct slice two_calls(const struct proto *to)
{
    return translate(&kit, OC, to,
                     OC_CALLS(OC_CALL("a", "f") "," OC_CALL(
                         "b", "g")) ","
                                    "{'role':'tool','tool_call_id':'a','content':'A'},"
                                    "{'role':'tool','tool_call_id':'b','content':'B'}]}");
}

/* one-api gemini/main.go: calls and results never converted, filler turns added. */
Test(regressions, regression_30_history_with_tools_reaches_gemini_and_nothing_else)
{
    struct slice out = two_calls(GG);

    expect_count(&kit, out, "'functionCall':{", 2);
    expect_count(&kit, out, "'functionResponse':{", 2);
    expect_has(&kit, out, "'args':{'n':1}");
    expect_count(&kit, out, "'role':", 3);
    expect_no(&kit, out, "'text':'O");
}

/* pi#1825, vercel/ai#17649: the first call of a turn needs a signature, later ones must not have
 * one that nobody made. */
Test(regressions, regression_35_36_only_the_first_call_gets_the_bypass)
{
    struct slice out, second;

    profile_of(S("gemini-3-pro"), false, &kit.target.profile);
    kit.target.minter = S("google");
    out = two_calls(GG);
    expect_count(&kit, out, "'thoughtSignature':'skip_thought_signature_validator'", 1);
    expect_count(&kit, out, "thoughtSignature", 1);
    second = slice_skip(out, str_find(out, quoted(&kit, "'name':'g'")));
    cr_expect_eq(str_find(second, S("thoughtSignature")), second.len);
}

/* envoy#1829, #1726: signatures concatenated or moved. */
Test(regressions, regression_37_each_signature_stays_on_its_part)
{
    struct slice out;

    profile_of(S("gemini-3-pro"), false, &kit.target.profile);
    kit.target.minter = S("google");
    out = translate(
        &kit, GG, GG,
        "{'contents':[{'role':'user','parts':[{'text':'x'}]},{'role':'model','parts':["
        "{'functionCall':{'id':'a','name':'f','args':{}},'thoughtSignature':'U0lHMQ=='},"
        "{'functionCall':{'id':'b','name':'g','args':{}},'thoughtSignature':'U0lHMg=='}]},"
        "{'role':'user','parts':[{'functionResponse':{'id':'a','name':'f','response':{}}},"
        "{'functionResponse':{'id':'b','name':'g','response':{}}}]}]}");
    expect_count(&kit, out, "thoughtSignature", 2);
    cr_expect_lt(str_find(out, S("U0lHMQ==")), str_find(out, quoted(&kit, "'name':'g'")));
    cr_expect_gt(str_find(out, S("U0lHMg==")), str_find(out, quoted(&kit, "'name':'g'")));
    expect_has(&kit, out, "U0lHMg==");
}

/* envoy's translator: effort refused, changed or ignored. */
Test(regressions, regression_39_effort_becomes_the_nearest_level_or_a_budget)
{
    static const char body[] = "{'model':'m','messages':[{'role':'user','content':'x'}],"
                               "'max_completion_tokens':60000,'reasoning_effort':'high'}";
    static const char medium[] = "{'model':'m','messages':[{'role':'user','content':'x'}],"
                                 "'reasoning_effort':'medium'}";
    struct slice out;

    profile_of(S("gemini-3-pro-preview"), false, &kit.target.profile);
    out = translate(&kit, OC, GG, body);
    cr_expect(has(&kit, out, "'thinkingLevel':'HIGH'") || has(&kit, out, "'thinkingLevel':'high'"),
              "%.*s", (int)out.len, out.ptr);
    expect_no(&kit, out, "thinkingBudget");
    profile_of(S("gemini-2.5-flash"), false, &kit.target.profile);
    out = translate(&kit, OC, GG, body);
    expect_has(&kit, out, "'thinkingBudget':24576");
    expect_no(&kit, out, "thinkingLevel");
    expect_has(&kit, translate(&kit, OC, GG, medium), "'thinkingBudget':8192");
}

/* CLIProxyAPI 365415c87: a second spelling ignored. */
Test(regressions, regression_52_snake_case_is_accepted)
{
    struct slice out = translate(
        &kit, GG, AM,
        "{'system_instruction':{'parts':[{'text':'Be brief.'}]},'contents':[{'role':'user',"
        "'parts':[{'inline_data':{'mime_type':'image/png','data':'aGk='}},{'text':'x'}]}],"
        "'generation_config':{'max_output_tokens':77,'stop_sequences':['Z']}}");

    expect_has(&kit, out, "Be brief.");
    expect_has(&kit, out, "'media_type':'image/png'");
    expect_has(&kit, out, "'max_tokens':77");
    expect_has(&kit, out, "'stop_sequences':['Z']");
}

/* CLIProxyAPI 5b232e3e9: random ids for histories without any. */
Test(regressions, regression_53_histories_without_ids_get_the_same_ones)
{
    static const char body[] =
        "{'contents':[{'role':'user','parts':[{'text':'x'}]},{'role':'model','parts':["
        "{'functionCall':{'name':'f','args':{'n':1}}},{'functionCall':{'name':'g','args':{}}}]},"
        "{'role':'user','parts':[{'functionResponse':{'name':'f','response':{'output':'A'}}},"
        "{'functionResponse':{'name':'g','response':{'output':'B'}}}]}]}";

    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct slice first = translate(&kit, GG, proto_table[i], body), again;

        first = arena_copy(&kit.arena, first);
        kit.brief.random[0] ^= 0x1234567;
        again = translate(&kit, GG, proto_table[i], body);
        cr_expect(first.len > 0 && slice_eq(first, again), "to %.*s", (int)proto_table[i]->name.len,
                  proto_table[i]->name.ptr);
    }
}

/* one-api gemini/main.go: only the first part, only the first call. */
Test(regressions, regression_58_all_calls_of_a_plain_answer)
{
    static const char body[] =
        "{'candidates':[{'content':{'parts':[{'text':'A'},{'text':'B'},{'functionCall':{'name':"
        "'f','args':{'n':1}}},{'functionCall':{'name':'g','args':{}}}]},'finishReason':'STOP'}]}";
    struct slice out = document(&kit, GG, OC, body);

    expect_has(&kit, out, "'content':'AB'");
    expect_count(&kit, out, "'type':'function'", 2);
    expect_has(&kit, out, "'name':'g'");
    out = document(&kit, GG, AM, body);
    expect_count(&kit, out, "'type':'tool_use'", 2);
    out = document(&kit, GG, OR, body);
    expect_count(&kit, out, "'type':'function_call'", 2);
}

#define RESPONSE(status) \
    "{'id':'resp_1','object':'response','model':'m','status':'" status "','output':[]}"

/* LiteLLM#25321: arguments that come only whole were ignored. */
Test(regressions, regression_74_arguments_of_the_done_event_alone)
{
    struct slice out = STREAM(
        &kit, OR, OC, "{'type':'response.created','response':" RESPONSE("in_progress") "}",
        "{'type':'response.output_item.added','output_index':0,'item':{'type':'function_call',"
        "'id':'fc_1','call_id':'c1','name':'f','arguments':'','status':'in_progress'}}",
        "{'type':'response.function_call_arguments.done','output_index':0,'item_id':'fc_1',"
        "'arguments':'[17]'}",
        "{'type':'response.output_item.done','output_index':0,'item':{'type':'function_call',"
        "'id':'fc_1','call_id':'c1','name':'f','arguments':'[17]','status':'completed'}}",
        "{'type':'response.completed','response':" RESPONSE("completed") "}");

    expect_count(&kit, out, "[17]", 1);
    expect_has(&kit, out, "'finish_reason':'tool_calls'");
}

#define OC_DELTA(delta)                                                                           \
    "{'id':'c','object':'chat.completion.chunk','model':'m','choices':[{'index':0,'delta':" delta \
    ",'finish_reason':null}]}"
#define OC_STOP(reason)                                                                        \
    "{'id':'c','object':'chat.completion.chunk','model':'m','choices':[{'index':0,'delta':{}," \
    "'finish_reason':'" reason "'}]}"

/* batpred#4904: fragments without an index were merged into one call. */
Test(regressions, regression_80_calls_without_index_stay_apart)
{
    struct slice out =
        STREAM(&kit, OC, AM,
               OC_DELTA("{'tool_calls':[{'id':'a','function':{'name':'f','arguments':'[1]'}}]}"),
               OC_DELTA("{'tool_calls':[{'id':'b','function':{'name':'g','arguments':'[2]'}}]}"),
               OC_STOP("tool_calls"));

    expect_count(&kit, out, "'type':'tool_use'", 2);
    expect_has(&kit, out, "'partial_json':'[1]'");
    expect_has(&kit, out, "'partial_json':'[2]'");
    expect_no(&kit, out, "[1][2]");
}

/* CLIProxyAPI 1c2153a2c: repeated or empty ids and names corrupted the call. */
Test(regressions, regression_81_the_first_name_and_id_win)
{
    struct slice out = STREAM(
        &kit, OC, AM,
        OC_DELTA("{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'f',"
                 "'arguments':''}}]}"),
        OC_DELTA("{'tool_calls':[{'index':0,'id':'','function':{'name':'','arguments':'[1'}}]}"),
        OC_DELTA("{'tool_calls':[{'index':0,'id':'a','function':{'name':'f','arguments':',2]'}}"
                 "]}"),
        OC_STOP("tool_calls"));

    expect_count(&kit, out, "'type':'tool_use'", 1);
    expect_has(&kit, out, "'id':'a','name':'f'");
    expect_has(&kit, out, "[1");
    expect_has(&kit, out, ",2]");
}

/* Azure: a first chunk without choices, and one in between. */
Test(regressions, regression_91_chunks_without_choices_say_nothing)
{
    static const char nothing[] = "{'id':'','object':'chat.completion.chunk','model':'',"
                                  "'choices':[],'prompt_filter_results':[]}";

    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct slice with = STREAM(&kit, OC, proto_table[i], nothing, OC_DELTA("{'content':'x'}"),
                                   nothing, OC_STOP("stop"));
        struct slice without;

        with = arena_copy(&kit.arena, with);
        without = STREAM(&kit, OC, proto_table[i], OC_DELTA("{'content':'x'}"), OC_STOP("stop"));
        cr_expect(slice_eq(with, without), "%.*s\n%.*s", (int)with.len, with.ptr, (int)without.len,
                  without.ptr);
    }
}

/* Google's SDK: a bare JSON error where an event should be. */
Test(regressions, regression_100_a_bare_error_inside_a_stream)
{
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct kit_answer answer;
        struct slice out;

        kit_answer_open(&kit, GG, &answer);
        kit_answer_frame(&answer, FRAME_DATA, (struct slice){0},
                         quoted(&kit, "{'candidates':[{'content':{'parts':[{'text':'Par'}]}}]}"));
        kit_answer_frame(&answer, FRAME_STRAY, (struct slice){0},
                         quoted(&kit, "{'error':{'code':503,'message':'overloaded now','status':"
                                      "'UNAVAILABLE'}}"));
        out = kit_encode(&kit, proto_table[i], kit_answer_finish(&answer));
        expect_has(&kit, out, "overloaded now");
        expect_no(&kit, out, "message_stop");
        expect_no(&kit, out, "[DONE]");
        expect_no(&kit, out, "response.completed");
    }
}
