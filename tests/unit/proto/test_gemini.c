#include "codec.h"

#include "r2a/core/base64.h"
#include "r2a/core/check.h"

/* generateContent against the other dialects, both ways. The numbers are those of conversion.md 5,
 * the list of what other gateways got wrong. */

#define OC (&proto_openai_chat)
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

TestSuite(gemini, .init = open_kit, .fini = close_kit);

#define USER "{'role':'user','parts':[{'text':'x'}]}"

/* --- requests of Gemini's clients --- */

Test(gemini, history_without_ids_makes_the_same_ids_every_time)
{
    static const char body[] =
        "{'contents':[" USER ",{'role':'model','parts':[{'functionCall':{'name':'f','args':{"
        "'n':1}}},{'functionCall':{'name':'f','args':{'n':1}}}]},{'role':'user','parts':["
        "{'functionResponse':{'name':'f','response':{'output':'A'}}},"
        "{'functionResponse':{'name':'f','response':{'output':'B'}}}]}]}";
    struct slice first = translate(&kit, GG, AM, body), again = translate(&kit, GG, AM, body);
    size_t a, b;

    cr_expect(slice_eq(first, again));
    expect_count(&kit, first, "'tool_use_id':'call_", 2);
    /* two equal calls are still two */
    a = str_find(first, quoted(&kit, "'id':'call_"));
    b = a + 1 + str_find(slice_skip(first, a + 1), quoted(&kit, "'id':'call_"));
    cr_assert_lt(b, first.len);
    cr_expect(!slice_eq(slice_of(first.ptr + a, 34), slice_of(first.ptr + b, 34)));
    expect_has(&kit, first, "'content':'A'");
}

Test(gemini, regression_29_results_carry_their_name)
{
    struct slice out = translate(
        &kit, AM, GG,
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
        "{'role':'assistant','content':[{'type':'tool_use','id':'a','name':'f','input':{}}]},"
        "{'role':'user','content':[{'type':'tool_result','tool_use_id':'a','content':'A'}]}]}");

    expect_has(&kit, out, "{'functionResponse':{'id':'a','name':'f','response':{'output':'A'}}}");
}

Test(gemini, responses_towards_others_are_their_value)
{
    static const char body[] =
        "{'contents':[" USER ",{'role':'model','parts':[{'functionCall':{'id':'a','name':'f'}},"
        "{'functionCall':{'id':'b','name':'f'}},{'functionCall':{'id':'c','name':'f'}}]},"
        "{'role':'user','parts':[{'functionResponse':{'id':'a','name':'f','response':{'result':"
        "{'x':[1, 2]}}}},{'functionResponse':{'id':'b','name':'f','response':{'error':'bad'}}},"
        "{'functionResponse':{'id':'c','name':'f','response':{'k':1,'output':2}}}]}]}";
    struct slice out = translate(&kit, GG, OC, body);

    expect_has(&kit, out, "'content':'{\\'x\\':[1");
    expect_has(&kit, out, "'content':'Error: bad'");
    expect_has(&kit, out, "'content':'{\\'k\\':1,\\'output\\':2}'");
    out = translate(&kit, GG, AM, body);
    expect_has(&kit, out, "'content':'bad','is_error':true");
}

Test(gemini, regression_56_numbers_of_arguments_keep_their_spelling)
{
    struct slice out = translate(
        &kit, GG, OC,
        "{'contents':[" USER ",{'role':'model','parts':[{'functionCall':{'id':'a','name':'f',"
        "'args':{'n': 12345678901234567890, 's':'<b>', 'f':1.0}}}]},{'role':'user','parts':["
        "{'functionResponse':{'id':'a','name':'f','response':{'output':''}}}]}]}");

    expect_has(&kit, out, "{\\'n\\':12345678901234567890,\\'s\\':\\'<b>\\',\\'f\\':1.0}");
}

Test(gemini, top_k_does_not_go_with_thinking_to_anthropic)
{
    struct slice out = translate(&kit, GG, AM,
                                 "{'contents':[" USER "],'generationConfig':{'topK':64,"
                                 "'maxOutputTokens':9000,'thinkingConfig':{'thinkingBudget':2048,"
                                 "'includeThoughts':true}}}");

    expect_has(&kit, out, "'thinking':{'type':'enabled','budget_tokens':2048");
    expect_no(&kit, out, "top_k");
    cr_expect(is_lost(&kit, "topK"));
}

Test(gemini, the_bypass_signature_goes_to_nobody_else)
{
    static const char body[] =
        "{'contents':[" USER ",{'role':'model','parts':[{'functionCall':{'id':'a','name':'f'},"
        "'thoughtSignature':'skip_thought_signature_validator'}]},{'role':'user','parts':["
        "{'functionResponse':{'id':'a','name':'f','response':{'output':'A'}}}]}]}";

    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct slice out = translate(&kit, GG, proto_table[i], body);

        cr_assert_gt(out.len, 0u);
        if (proto_table[i] == GG)
            expect_has(&kit, out, "skip_thought_signature_validator");
        else
            expect_no(&kit, out, "skip_thought");
    }
}

Test(gemini, system_instruction_in_every_shape)
{
    static const char *const shapes[] = {"'S'", "{'parts':[{'text':'S'}]}",
                                         "{'parts':{'text':'S'}}", "[{'text':'S'}]",
                                         "{'role':'x','parts':[{'text':'S'}]}"};

    for (uint32_t i = 0; i < array_count(shapes); i++) {
        char body[256];

        snprintf(body, sizeof(body), "{'contents':[" USER "],'systemInstruction':%s}", shapes[i]);
        expect_has(&kit, translate(&kit, GG, OC, body), "{'role':'system','content':'S'}");
    }
}

Test(gemini, regression_54_candidates_where_nobody_gives_them)
{
    static const char body[] = "{'contents':[" USER "],'generationConfig':{'candidateCount':2}}";

    expect_has(&kit, translate(&kit, GG, OC, body), "'n':2");
    expect_refused(&kit, translate(&kit, GG, AM, body), "n>1");
}

/* Wherever the one letter of the URL-safe alphabet stands. */
Test(gemini, url_safe_base64_becomes_what_everybody_takes)
{
    for (int at = 0; at < 200; at++) {
        char data[201], json[512];
        struct slice out;

        memset(data, 'A', 200);
        data[at] = at % 2 == 0 ? '-' : '_';
        data[200] = '\0';
        snprintf(json, sizeof(json),
                 "{'contents':[{'role':'user','parts':[{'inlineData':{'mimeType':'image/png',"
                 "'data':'%s'}}]}]}",
                 data);
        out = translate(&kit, GG, AM, json);
        data[at] = at % 2 == 0 ? '+' : '/';
        cr_expect(str_find(out, slice_of(data, 200)) < out.len, "at %d", at);
    }
}

Test(gemini, files_that_only_google_has_are_refused_elsewhere)
{
    expect_refused(&kit,
                   translate(&kit, GG, AM,
                             "{'contents':[{'parts':[{'fileData':{'mimeType':'image/png',"
                             "'fileUri':'gs://b/o'}}]}]}"),
                   "by file id");
}

Test(gemini, members_nobody_knows_are_named)
{
    translate(&kit, GG, OC,
              "{'contents':[{'role':'user','parts':[{'text':'x'}],'odd':1}],'weird':{},"
              "'generationConfig':{'strange':2,'speechConfig':{}}}");
    cr_expect(is_lost(&kit, "weird"));
    cr_expect(is_lost(&kit, "strange"));
    cr_expect(is_lost(&kit, "speechConfig"));
}

Test(gemini, too_many_calls_in_a_turn_are_refused)
{
    struct rope rope = kit_rope(&kit);

    rope_put(&rope, S("{\"contents\":[{\"role\":\"model\",\"parts\":["));
    for (int i = 0; i < 129; i++)
        rope_put(&rope, i == 0 ? S("{\"functionCall\":{\"name\":\"f\"}}")
                               : S(",{\"functionCall\":{\"name\":\"f\"}}"));
    rope_put(&rope, S("]}]}"));
    expect_refused(&kit, kit_translate(&kit, GG, OC, kit_take(&kit, &rope)), "128 at most");
}

/* --- requests towards Gemini --- */

Test(gemini, regression_54_choices_are_asked_for)
{
    expect_has(
        &kit,
        translate(&kit, OC, GG, "{'model':'m','n':3,'messages':[{'role':'user','content':'x'}]}"),
        "'candidateCount':3");
}

Test(gemini, safety_settings_never_come_from_elsewhere)
{
    struct slice out = translate(&kit, OC, GG,
                                 "{'model':'m','messages':[{'role':'user','content':'x'}],"
                                 "'safety_identifier':'u','safetySettings':[{'category':'c'}]}");

    expect_no(&kit, out, "safety");
}

Test(gemini, a_request_of_system_text_only_becomes_a_question)
{
    struct slice out =
        translate(&kit, OC, GG, "{'model':'m','messages':[{'role':'system','content':'S'}]}");

    expect_has(&kit, out, "'contents':[{'role':'user','parts':[{'text':'S'}]}]");
    expect_no(&kit, out, "systemInstruction");
}

Test(gemini, the_operators_text_follows_or_replaces)
{
    kit.target.system_text = S("house");
    expect_has(&kit,
               translate(&kit, OC, GG,
                         "{'model':'m','messages':[{'role':'system','content':'S'},"
                         "{'role':'user','content':'x'}]}"),
               "'systemInstruction':{'parts':[{'text':'S'},{'text':'house'}]}");
    kit.target.system_mode = SYSTEM_OVERRIDE;
    expect_has(&kit,
               translate(&kit, OC, GG,
                         "{'model':'m','messages':[{'role':'system','content':'S'},"
                         "{'role':'user','content':'x'}]}"),
               "'systemInstruction':{'parts':[{'text':'house'}]}");
}

Test(gemini, arguments_of_any_form_become_an_object)
{
    static const char *const rows[][2] = {{"''", "{}"},
                                          {"'[1]'", "{'value':[1]}"},
                                          {"'{\\'a\\':'", "{'_raw':'{\\'a\\':'}"},
                                          {"'{\\'a\\': 1}'", "{'a': 1}"}};

    for (uint32_t i = 0; i < array_count(rows); i++) {
        char body[512], want[64];

        snprintf(body, sizeof(body),
                 "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant',"
                 "'tool_calls':[{'id':'a','type':'function','function':{'name':'f',"
                 "'arguments':%s}}]},{'role':'tool','tool_call_id':'a','content':'A'}]}",
                 rows[i][0]);
        snprintf(want, sizeof(want), "'args':%s", rows[i][1]);
        expect_has(&kit, translate(&kit, OC, GG, body), want);
    }
}

Test(gemini, a_huge_schema_is_refused_not_sent)
{
    struct rope rope = kit_rope(&kit);

    rope_put(&rope, S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                      "\"parameters\":{\"type\":\"object\",\"properties\":{"));
    for (int i = 0; i < 20000; i++) {
        if (i > 0)
            rope_put_char(&rope, ',');
        rope_put(&rope, S("\"p"));
        rope_put_u64(&rope, (uint64_t)i);
        rope_put(&rope, S("\":{\"type\":\"string\"}"));
    }
    rope_put(&rope, S("}}}}]}"));
    expect_refused(&kit, kit_translate(&kit, OC, GG, kit_take(&kit, &rope)), "too large");
}

/* --- answers of Gemini --- */

#define CHUNK(parts) "{'candidates':[{'content':{'parts':[" parts "]}}]}"
#define LAST(parts, reason) \
    "{'candidates':[{'content':{'parts':[" parts "]},'finishReason':'" reason "'}]}"

Test(gemini, regression_59_84_stop_with_a_call_is_tool_use)
{
    struct slice out = STREAM(&kit, GG, OC, CHUNK("{'functionCall':{'name':'f','args':{}}}"),
                              LAST("{'text':''}", "STOP"));

    expect_has(&kit, out, "'finish_reason':'tool_calls'");
    out = STREAM(&kit, GG, AM, LAST("{'functionCall':{'name':'f','args':{}}}", "STOP"));
    expect_has(&kit, out, "'stop_reason':'tool_use'");
}

Test(gemini, regression_12_thoughts_are_never_answer_text)
{
    struct slice out = STREAM(&kit, GG, OC, CHUNK("{'text':'secret plan','thought':true}"),
                              LAST("{'text':'hi'}", "STOP"));

    expect_has(&kit, out, "'reasoning_content':'secret plan'");
    expect_no(&kit, out, "'content':'secret");
}

Test(gemini, regression_60_reasons_are_words_of_the_client)
{
    static const char *const rows[][3] = {
        {"SAFETY", "content_filter", "refusal"}, {"RECITATION", "content_filter", "refusal"},
        {"MAX_TOKENS", "length", "max_tokens"},  {"LANGUAGE", "stop", "end_turn"},
        {"NEVER_HEARD_OF", "stop", "end_turn"},  {"MALFORMED_FUNCTION_CALL", "stop", "end_turn"}};

    for (uint32_t i = 0; i < array_count(rows); i++) {
        char chunk[160], want[64];

        snprintf(chunk, sizeof(chunk),
                 "{'candidates':[{'content':{'parts':[{'text':'t'}]},'finishReason':'%s'}]}",
                 rows[i][0]);
        snprintf(want, sizeof(want), "'finish_reason':'%s'", rows[i][1]);
        expect_has(&kit, STREAM(&kit, GG, OC, chunk), want);
        snprintf(want, sizeof(want), "'stop_reason':'%s'", rows[i][2]);
        expect_has(&kit, STREAM(&kit, GG, AM, chunk), want);
    }
}

Test(gemini, regression_64_thought_tokens_are_output)
{
    struct slice out = document(
        &kit, GG, OC,
        "{'candidates':[{'content':{'parts':[{'text':'t'}]},'finishReason':'STOP'}],"
        "'usageMetadata':{'promptTokenCount':9,'candidatesTokenCount':5,'thoughtsTokenCount':7}}");

    expect_has(&kit, out, "'completion_tokens':12");
    expect_has(&kit, out, "'reasoning_tokens':7");
}

Test(gemini, regression_66_a_blocked_prompt_is_a_filter)
{
    struct slice out = document(&kit, GG, OC, "{'promptFeedback':{'blockReason':'SAFETY'}}");

    expect_has(&kit, out, "'finish_reason':'content_filter'");
}

Test(gemini, regression_65_97_98_failures_are_errors)
{
    struct slice out =
        STREAM(&kit, GG, OC, "{'candidates':[{'finishReason':'MALFORMED_FUNCTION_CALL'}]}");

    expect_has(&kit, out, "'error':");
    out = STREAM(&kit, GG, AM, CHUNK("{'text':'Par'}"));
    expect_has(&kit, out, "event: error");
    expect_no(&kit, out, "message_stop");
    out = STREAM(&kit, GG, OC, CHUNK("{'text':'Par'}"),
                 "{'error':{'code':503,'message':'busy','status':'UNAVAILABLE'}}");
    expect_has(&kit, out, "busy");
    expect_no(&kit, out, "[DONE]");
}

Test(gemini, a_call_without_a_name_is_no_success)
{
    struct slice out = STREAM(&kit, GG, OC, CHUNK("{'text':'x'}"),
                              LAST("{'functionCall':{'id':'c','args':{}}}", "STOP"));

    expect_has(&kit, out, "upstream made a tool call without a name");
    expect_no(&kit, out, "finish_reason':'");
}

Test(gemini, regression_82_calls_without_ids_get_different_ones)
{
    struct slice out = document(&kit, GG, OC,
                                "{'candidates':[{'content':{'parts':[{'functionCall':{'name':'f'}},"
                                "{'functionCall':{'name':'f'}}]},'finishReason':'STOP'}]}");
    size_t a = str_find(out, quoted(&kit, "'id':'call_")), b;

    cr_assert_lt(a, out.len);
    b = a + 1 + str_find(slice_skip(out, a + 1), quoted(&kit, "'id':'call_"));
    cr_assert_lt(b, out.len);
    cr_expect(!slice_eq(slice_of(out.ptr + a, 35), slice_of(out.ptr + b, 35)));
    expect_count(&kit, out, "'arguments':'{}'", 2);
}

/* --- reasoning survives (2.9): a whole round by each carrier --- */

/* The value of the first string member of that name. */
static struct slice member_of(struct slice text, const char *name)
{
    struct slice key = quoted(&kit, name);
    size_t at = str_find(text, key);
    const char *begin;

    cr_assert_lt(at, text.len, "no %s in %.*s", name, (int)text.len, text.ptr);
    begin = text.ptr + at + key.len;
    return slice_between(begin, memchr(begin, '"', (size_t)(text.ptr + text.len - begin)));
}

Test(gemini, a_google_secret_comes_back_through_messages)
{
    struct slice answer, out;
    char body[1024];

    kit.brief.minter = kit.target.minter = S("google");
    answer = document(&kit, GG, AM,
                      "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true},"
                      "{'functionCall':{'id':'c','name':'f','args':{}},'thoughtSignature':"
                      "'Ab/+c=='}]},'finishReason':'STOP'}]}");
    snprintf(body, sizeof(body),
             "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},{'role':"
             "'assistant','content':[{'type':'thinking','thinking':'hm','signature':'%.*s'},"
             "{'type':'tool_use','id':'c','name':'f','input':{}}]},{'role':'user','content':["
             "{'type':'tool_result','tool_use_id':'c','content':'A'}]}]}",
             (int)member_of(answer, "'signature':'").len, member_of(answer, "'signature':'").ptr);
    out = translate(&kit, AM, GG, body);
    expect_has(&kit, out,
               "{'functionCall':{'id':'c','name':'f','args':{}},'thoughtSignature':'Ab/+c=='}");
    kit.target.minter = S("look-alike");
    expect_no(&kit, translate(&kit, AM, GG, body), "Ab/");
}

Test(gemini, an_anthropic_secret_comes_back_through_gemini)
{
    struct slice answer, seal, out;
    char body[1024];

    kit.brief.minter = kit.target.minter = S("anthropic");
    answer = document(&kit, AM, GG,
                      "{'id':'m','type':'message','role':'assistant','model':'c','content':["
                      "{'type':'thinking','thinking':'hm','signature':'Eq/+=='},"
                      "{'type':'tool_use','id':'c','name':'f','input':{}}],"
                      "'stop_reason':'tool_use','usage':{'input_tokens':1,'output_tokens':1}}");
    seal = member_of(answer, "'thoughtSignature':'");
    cr_expect(base64_is_valid(seal, BASE64_PADDED));
    expect_has(&kit, answer, "{'text':'hm','thought':true},{'functionCall':");
    snprintf(body, sizeof(body),
             "{'contents':[" USER ",{'role':'model','parts':[{'text':'hm','thought':true},"
             "{'functionCall':{'id':'c','name':'f','args':{}},'thoughtSignature':'%.*s'}]},"
             "{'role':'user','parts':[{'functionResponse':{'id':'c','name':'f','response':{"
             "'output':'A'}}}]}]}",
             (int)seal.len, seal.ptr);
    out = translate(&kit, GG, AM, body);
    expect_has(&kit, out, "{'type':'thinking','thinking':'hm','signature':'Eq/+=='}");
    expect_no(&kit, translate(&kit, GG, GG, body), "thoughtSignature");
}

/* --- what a client of generateContent reads --- */

Test(gemini, lists_and_counts)
{
    struct proto_model models[] = {{.id = S("a/b")}, {.id = S("c")}};
    struct rope rope = kit_rope(&kit);
    struct slice out;
    uint64_t tokens = 7;

    GG->models_write(models, 2, &rope);
    out = kit_take(&kit, &rope);
    cr_expect(is_json(out));
    expect_has(&kit, out, "{'models':[{'name':'models/a/b'");
    expect_has(&kit, out, "'supportedGenerationMethods':['generateContent'");
    expect_no(&kit, out, "nextPageToken");
    GG->count_write(&kit.brief, 31, &rope);
    cr_expect(slice_eq(kit_take(&kit, &rope), quoted(&kit, "{'totalTokens':31}")));
    cr_expect(GG->count_read(S("{}"), &tokens));
    cr_expect_eq(tokens, 0u);
    cr_expect(!GG->count_read(S("{\"error\":{\"code\":400}}"), &tokens));
    cr_expect(!GG->count_read(S("[]"), &tokens));
}

Test(gemini, every_dialects_answer_is_whole_for_a_gemini_client)
{
    struct slice out =
        STREAM(&kit, OC, GG, "{'choices':[{'index':0,'delta':{'role':'assistant','content':'a'}}]}",
               "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'c','function':{"
               "'name':'f','arguments':'{\\'q\\''}}]}}]}",
               "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'function':{'arguments':"
               "':1}'}}]}}]}",
               "{'choices':[{'index':0,'delta':{},'finish_reason':'tool_calls'}],'usage':{"
               "'prompt_tokens':3,'completion_tokens':4,'completion_tokens_details':{"
               "'reasoning_tokens':1}}}",
               "[DONE]");

    expect_count(&kit, out, "'functionCall':{'id':'c','name':'f','args':{'q':1}}", 1);
    expect_count(&kit, out, "'finishReason':'STOP'", 1);
    expect_has(&kit, out,
               "'usageMetadata':{'promptTokenCount':3,'candidatesTokenCount':3,"
               "'totalTokenCount':7,'thoughtsTokenCount':1}");
}

Test(gemini, output_is_bounded)
{
    struct rope out = kit_rope(&kit);
    void *encoder = arena_take_zero(&kit.arena, GG->encoder_size);
    char piece[1024];
    enum r2a_err err = R2A_OK;

    memset(piece, 'a', sizeof(piece));
    kit.brief.shape = BRIEF_SSE;
    GG->encoder_init(encoder, &kit.brief);
    GG->encode(encoder, &(struct ir_event){.kind = IR_PART, .what = IR_PART_CALL}, &out);
    for (int i = 0; i < 2000 && err == R2A_OK; i++)
        err = GG->encode(encoder,
                         &(struct ir_event){.kind = IR_TEXT,
                                            .u.text = text_plain(slice_of(piece, sizeof(piece)))},
                         &out);
    cr_expect_eq(err, R2A_ERR_LIMIT);
    GG->encoder_drop(encoder);
    rope_clear(&out);
}
