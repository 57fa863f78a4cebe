#include "codec.h"
#include "r2a/core/check.h"
#include "support/vectors.h"

/* Requests of Responses clients for other upstreams, of others for a Responses upstream. The
 * numbers are those of conversion.md 5; forms and options are transcripts
 * (tests/golden/openai_responses/). */

#define OC (&proto_openai_chat)
#define OR (&proto_openai_responses)
#define AM (&proto_anthropic)

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(openai_responses_request, .init = open_kit, .fini = close_kit);

#define USER(text) "{'role':'user','content':'" text "'}"
#define FC(id, name, args) \
    "{'type':'function_call','call_id':'" id "','name':'" name "','arguments':'" args "'}"
#define FCO(id, output) "{'type':'function_call_output','call_id':'" id "','output':" output "}"

Test(openai_responses_request, regression_1_2_outputs_become_results_of_one_message)
{
    const char *body = "{'model':'m','input':[" USER("q") "," FC("a", "f", "{}") "," FC(
        "b", "g", "{}") "," FCO("b", "'B'") "," FCO("a", "'A'") "," USER("and") "]}";
    struct slice am = translate(&kit, OR, AM, body), oc;

    expect_count(&kit, am, "'role':'user'", 2);
    expect_has(&kit, am, "'tool_use_id':'a'");
    expect_has(&kit, am, "{'type':'text','text':'and'}");
    kit_again(&kit);
    oc = translate(&kit, OR, OC, body);
    expect_count(&kit, oc, "'role':'tool'", 2);
    cr_expect(str_find(oc, S("\"tool_call_id\":\"a\"")) <
              str_find(oc, S("\"tool_call_id\":\"b\"")));
}

Test(openai_responses_request, regression_5_images_of_outputs_are_not_lost)
{
    const char *body = "{'model':'m','input':[" USER("q") "," FC("a", "f", "{}") "," FCO(
        "a", "[{'type':'input_text','text':'T'},{'type':'input_image','image_url':"
             "'data:image/png;base64,iVBORw0KGgo='}]") "]}";
    struct slice am = translate(&kit, OR, AM, body), oc;

    expect_has(&kit, am, "'media_type':'image/png','data':'iVBORw0KGgo='");
    kit_again(&kit);
    oc = translate(&kit, OR, OC, body);
    expect_has(&kit, oc, "image(s) follow]");
    expect_has(&kit, oc, "data:image/png;base64,iVBORw0KGgo=");
}

Test(openai_responses_request, regression_40_images_have_a_detail)
{
    struct slice out = translate(&kit, AM, OR,
                                 "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':"
                                 "[{'type':'image','source':{'type':'url','url':'https://e.example/"
                                 "a.png'}}]}]}");

    expect_has(&kit, out,
               "{'type':'input_image','image_url':'https://e.example/a.png','detail':'auto'}");
}

Test(openai_responses_request, regression_40_41_thinking_of_others_is_left_out)
{
    struct slice out =
        translate(&kit, AM, OR,
                  "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'q'},{'role':"
                  "'assistant','content':[{'type':'thinking','thinking':'secret thought',"
                  "'signature':'s'},{'type':'text','text':'a'}]},{'role':'user','content':'go'}]}");

    cr_assert_gt(out.len, 0u);
    expect_no(&kit, out, "secret thought");
    expect_has(&kit, out, "{'type':'message','role':'assistant','content':'a'}");
}

Test(openai_responses_request, regression_43_44_items_of_the_model_are_one_message)
{
    struct slice out = translate(
        &kit, OR, OC,
        "{'model':'m','input':[" USER(
            "q") ",{'type':'reasoning','summary':[],'encrypted_content':"
                 "'gAAA'},{'role':'assistant','content':'Let me see.'}," FC("a", "f", "{}") "," FC(
                     "b", "g", "{}") "," FCO("a", "'A'") "," FCO("b", "'B'") "]}");

    expect_count(&kit, out, "'role':'assistant'", 1);
    expect_has(&kit, out, "'content':'Let me see.','tool_calls':[{'id':'a'");
    expect_no(&kit, out, "gAAA");
}

Test(openai_responses_request, regression_50_strict_only_where_the_client_said_so)
{
    struct slice out = translate(
        &kit, OR, OC,
        "{'model':'m','input':'q','tools':[{'type':'function','name':'a','parameters':{'type':"
        "'object'}},{'type':'function','name':'b','parameters':{'type':'object'},'strict':true}]}");

    expect_count(&kit, out, "'strict'", 1);
    expect_has(&kit, out, "'name':'b','parameters':{'type':'object'},'strict':true");
}

Test(openai_responses_request, regression_51_formats_are_flat_here_and_nested_there)
{
    struct slice out = translate(&kit, OR, OC,
                                 "{'model':'m','input':'q','text':{'format':{'type':'json_schema',"
                                 "'name':'n','schema':{'type':'object'},'strict':true}}}");

    expect_has(&kit, out,
               "'response_format':{'type':'json_schema','json_schema':{'name':'n','schema':{'type':"
               "'object'},'strict':true}}");
    kit_again(&kit);
    out = translate(&kit, OC, OR,
                    "{'model':'m','messages':[{'role':'user','content':'q'}],'response_format':{"
                    "'type':'json_schema','json_schema':{'name':'n','schema':{'type':'object'}}}}");
    expect_has(&kit, out,
               "'text':{'format':{'type':'json_schema','name':'n','schema':{'type':'object'},"
               "'strict':false}}");
}

Test(openai_responses_request, regression_55_56_values_stay_as_they_are_written)
{
    struct slice out = translate(
        &kit, OR, AM,
        "{'model':'m','input':[" USER(
            "<q>") ",{'type':'function_call','call_id':'a',"
                   "'name':'f','arguments':'{\\\"n\\\":12345678901234567890,\\\"x\\\":1.0}'}," FCO(
                       "a", "'{not json'") "]}");

    expect_has(&kit, out, "'input':{'n':12345678901234567890,'x':1.0}");
    expect_has(&kit, out, "{not json");
    expect_has(&kit, out, "'<q>'");
}

Test(openai_responses_request, codex_without_top_level_tools_has_them_all)
{
    const char *body =
        "{'model':'m','input':[{'type':'additional_tools','role':'developer','tools':[{'type':"
        "'namespace','name':'functions','tools':[{'type':'function','name':'get','parameters':{"
        "'type':'object'}},{'type':'custom','name':'apply_patch','format':{'type':'grammar',"
        "'syntax':'lark','definition':'start: x'}}]},{'type':'namespace','name':'mcp__fs','tools':"
        "[{'type':'function','name':'read','parameters':{'type':'object'}}]}]}," USER(
            "go") ",{'type':'function_call','call_id':'c','name':'read','namespace':'mcp__fs','"
                  "arguments':"
                  "'{}'}," FCO("c", "'r'") "],'tool_choice':'auto','client_metadata':{'a':'b'}}";
    struct slice out = translate(&kit, OR, AM, body);

    expect_has(&kit, out, "'name':'get'");
    expect_has(&kit, out, "'name':'apply_patch'");
    expect_has(&kit, out, "start: x");
    expect_count(&kit, out, "'name':'mcp__fs__read'", 2);
    cr_expect(is_lost(&kit, "client_metadata"));
}

Test(openai_responses_request, what_runs_at_openai_is_left_out_or_refused)
{
    struct slice out = translate(&kit, OR, OC,
                                 "{'model':'m','input':'q','tools':[{'type':'function','name':'f'},"
                                 "{'type':'image_generation'},{'type':'file_search'}]}");

    expect_has(&kit, out, "'name':'f'");
    cr_expect(is_lost(&kit, "image_generation"));
    cr_expect(is_lost(&kit, "file_search"));
    kit_again(&kit);
    out = translate(&kit, OR, OC, "{'model':'m','input':'q','tools':[{'type':'file_search'}]}");
    expect_refused(&kit, out, "file_search");
}

Test(openai_responses_request, history_of_vendors_tools_does_not_stop_a_conversation)
{
    struct slice out = translate(
        &kit, OR, AM,
        "{'model':'m','input':[" USER("q") ",{'type':'web_search_call','id':'w','status':"
                                           "'completed'},{'role':'assistant','content':'a'},{'type'"
                                           ":'brand_new','x':[1,{}]}," USER("go") "]}");

    cr_assert_gt(out.len, 0u);
    expect_has(&kit, out, "'a'");
    cr_expect(is_lost(&kit, "web_search_call"));
    cr_expect(is_lost(&kit, "brand_new"));
}

/* --- vectors --- */

Test(openai_responses_request, vectors_are_read_and_told_to_everybody)
{
    static const struct {
        const char *name;
        bool is_refused;
    } rows[] = {{"01-string-input", false}, {"02-all-options", false}, {"03-tool-history", false},
                {"04-image-file", false},   {"05-codex-like", false},  {"06-codex-lite", false},
                {"07-typeless-items", true}};

    for (size_t i = 0; i < array_count(rows); i++) {
        char path[128], *bytes;
        size_t len;

        snprintf(path, sizeof(path), "protocol/openai-responses/req-%s.json", rows[i].name);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        for (uint32_t k = 0; k < PROTO_COUNT; k++) {
            struct slice out = kit_translate(&kit, OR, proto_table[k], slice_of(bytes, len));

            if (rows[i].is_refused)
                cr_expect_eq(out.len, 0u, "%s", rows[i].name);
            else
                cr_expect(out.len > 0 && is_json(out), "%s to %.*s: %.*s", rows[i].name,
                          (int)proto_table[k]->name.len, proto_table[k]->name.ptr,
                          (int)kit.fault.message.len, kit.fault.message.ptr);
            kit_again(&kit);
        }
        free(bytes);
    }
}

/* --- property: what is written is read as what it was --- */

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % bound;
}

static void put_string(struct rope *rope)
{
    static const char *const pieces[] = {"a",        "\\n",  "\\u00e9",        "\\\"",
                                         " ",        "<b>",  "\\ud83d\\ude00", "{}",
                                         "\xC3\xA9", "\\\\", "word "};

    rope_put(rope, S("\"x"));
    for (uint32_t i = below(6); i > 0; i--)
        rope_put(rope, slice_from_z(pieces[below((uint32_t)array_count(pieces))]));
    rope_put_char(rope, '"');
}

/* A conversation in the words that request_encode itself would choose. */
static struct slice make_request(void)
{
    struct rope rope = kit_rope(&kit);
    uint32_t calls = 0;

    rope_put(&rope, S("{\"model\":\"m-up\",\"input\":["));
    for (uint32_t turn = 0, turns = 1 + below(5); turn < turns; turn++) {
        uint32_t first = calls, text = below(3);

        if (turn > 0)
            rope_put_char(&rope, ',');
        if (below(5) == 0) {
            rope_put(&rope, below(2) == 0
                                ? S("{\"type\":\"message\",\"role\":\"developer\",\"content\":")
                                : S("{\"type\":\"message\",\"role\":\"system\",\"content\":"));
            put_string(&rope);
            rope_put(&rope, S("},"));
        }
        rope_put(&rope, S("{\"type\":\"message\",\"role\":\"user\",\"content\":"));
        if (below(2) == 0) {
            put_string(&rope);
        } else {
            rope_put(&rope, S("[{\"type\":\"input_text\",\"text\":"));
            put_string(&rope);
            rope_put(&rope, S("},{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,"
                              "iVBORw0KGgo=\",\"detail\":\"low\"},{\"type\":\"input_file\","
                              "\"filename\":\"a.pdf\",\"file_data\":\"data:application/pdf;base64,"
                              "JVBERi0=\"}]"));
        }
        rope_put_char(&rope, '}');
        if (below(2) == 0) {
            rope_put(&rope, S(",{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":"
                              "\"summary_text\",\"text\":"));
            put_string(&rope);
            rope_put(&rope, S("}],\"encrypted_content\":\"gAAA\"}"));
        }
        for (uint32_t i = 0; i < text; i++) {
            rope_put(&rope, S(",{\"type\":\"message\",\"role\":\"assistant\",\"content\":"));
            put_string(&rope);
            rope_put_char(&rope, '}');
        }
        for (uint32_t i = below(3); i > 0; i--) {
            bool is_custom = below(3) == 0;

            rope_put(&rope, is_custom ? S(",{\"type\":\"custom_tool_call\",\"call_id\":\"call_")
                                      : S(",{\"type\":\"function_call\",\"call_id\":\"call_"));
            rope_put_u64(&rope, calls++ * 2 + is_custom);
            rope_put(&rope, is_custom ? S("\",\"name\":\"p\",\"input\":")
                                      : S("\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1.0}\""));
            if (is_custom)
                put_string(&rope);
            rope_put_char(&rope, '}');
        }
        for (uint32_t call = first; call < calls; call++) {
            /* Which kind each was is in its id: even is a function. */
            struct slice written = S("");
            char id[32];

            for (uint32_t odd = 0; odd < 2 && written.len == 0; odd++) {
                struct rope copy = kit_rope(&kit);

                rope_share(&copy, &rope);
                snprintf(id, sizeof(id), "call_%u\"", call * 2 + odd);
                if (has(&kit, kit_take(&kit, &copy), id))
                    written = odd ? S(",{\"type\":\"custom_tool_call_output\",\"call_id\":\"")
                                  : S(",{\"type\":\"function_call_output\",\"call_id\":\"");
            }
            rope_put(&rope, written);
            rope_put(&rope, slice_from_z(id));
            rope_put(&rope, S(",\"output\":"));
            put_string(&rope);
            rope_put_char(&rope, '}');
        }
    }
    rope_put(&rope, S("],\"stream\":true,\"store\":false,\"include\":[\"reasoning.encrypted_content"
                      "\"],\"max_output_tokens\":100,\"temperature\":0.50,\"metadata\":{\"k\":1.0},"
                      "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"},\"text\":{"
                      "\"verbosity\":\"low\"},\"tools\":[{\"type\":\"function\",\"name\":\"f\","
                      "\"parameters\":{\"type\":\"object\"},\"strict\":false},{\"type\":\"custom\","
                      "\"name\":\"p\"}],\"tool_choice\":\"required\",\"parallel_tool_calls\":"
                      "false}"));
    return kit_take(&kit, &rope);
}

Test(openai_responses_request, what_is_written_is_what_was_read)
{
    for (uint32_t i = 0; i < 300; i++) {
        struct slice body, out;

        seed = i + 1;
        kit.target.minter = S("openai");
        body = make_request();
        cr_assert(is_json(body), "%.*s", (int)body.len, body.ptr);
        out = kit_translate(&kit, OR, OR, body);
        cr_assert(slice_eq(out, body), "wrote\n%.*s\nread\n%.*s\n%.*s", (int)out.len, out.ptr,
                  (int)body.len, body.ptr, (int)kit.fault.message.len, kit.fault.message.ptr);
        cr_assert_eq(kit.loss.count, 0u);
        kit_again(&kit);
    }
}

Test(openai_responses_request, what_goes_through_another_dialect_keeps_its_words)
{
    for (uint32_t i = 0; i < 100; i++) {
        struct slice body, there;

        seed = i + 1000;
        body = make_request();
        there = kit_translate(&kit, OR, OC, body);
        cr_assert(there.len > 0 && is_json(there), "%.*s", (int)kit.fault.message.len,
                  kit.fault.message.ptr);
        there = kit_translate(&kit, OC, OR, there);
        cr_assert(there.len > 0 && is_json(there));
        cr_assert_eq(count(&kit, there, "'type':'function_call'"),
                     count(&kit, body, "'type':'function_call'") +
                         count(&kit, body, "'type':'custom_tool_call'"));
        cr_assert_eq(count(&kit, there, "'type':'input_image'"),
                     count(&kit, body, "'type':'input_image'"));
        kit_again(&kit);
    }
}

/* The gateway's first pass notes long strings; what they say is not looked through for item tools,
 * what stands behind them is. */
Test(openai_responses_request, item_tools_behind_a_long_string_are_found)
{
    static char text[2001];
    static struct json_memo memo;
    struct json_scan scan;
    struct slice body, out;
    enum json_token token;

    memset(text, 'a', 2000);
    for (int i = 0; i < 2; i++) {
        char json[8192];

        snprintf(json, sizeof(json),
                 "{'model':'m','input':[{'role':'user','content':'%s'},%s{'role':'user','content':"
                 "'%s'}]}",
                 text,
                 i == 0 ? ""
                        : "{'type':'additional_tools','role':'developer','tools':[{'type':"
                          "'function','name':'late','parameters':{'type':'object'}}]},",
                 text);
        body = quoted(&kit, json);
        json_open_memo(&scan, body, &memo);
        do
            token = json_next(&scan);
        while (token != JSON_END && token != JSON_ERROR);
        cr_assert_eq(memo.count, 2);
        kit.brief.memo = &memo;
        out = kit_translate(&kit, OR, AM, body);
        kit.brief.memo = NULL;
        cr_assert(out.len > 0);
        cr_expect_eq(has(&kit, out, "'name':'late'"), i == 1);
    }
}
