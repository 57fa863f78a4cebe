#include <criterion/criterion.h>

#include "codec.h"
#include "r2a/proto/list.h"

/* The row of Chat Completions, and the table of all dialects. */

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(openai_chat, .init = setup, .fini = teardown);

Test(openai_chat, the_table_is_whole_and_found_by_name)
{
    const char *wrong = proto_table_check();

    cr_assert_null(wrong, "%s", wrong);
    cr_assert_eq(proto_find(S("openai")), &proto_openai_chat);
    cr_assert_eq(proto_find(S("anthropic")), &proto_anthropic);
    cr_assert_null(proto_find(S("open")));
    cr_assert_eq(proto_table[PROTO_openai_chat], &proto_openai_chat);
}

Test(openai_chat, state_of_a_stream_is_small)
{
    cr_assert_leq(proto_openai_chat.encoder_size + proto_openai_chat.decoder_size, 768);
    for (uint32_t i = 0; i < PROTO_COUNT; i++)
        for (uint32_t k = 0; k < PROTO_COUNT; k++)
            cr_assert_leq(proto_table[i]->encoder_size + proto_table[k]->decoder_size, 4096);
}

static bool hides(bool usage_asked, const char *data)
{
    struct frame frame = {.kind = FRAME_DATA, .data = quoted(&kit, data)};

    kit.brief.usage_asked = usage_asked;
    return proto_openai_chat.relay_hides(&kit.brief, &frame);
}

Test(openai_chat, regression_90_a_relay_hides_usage_nobody_asked_for)
{
    cr_assert(hides(false, "{'id':'c','choices':[],'usage':{'prompt_tokens':1}}"));
    cr_assert(hides(false, "{'choices' : [ ] , 'usage' : { } }"));
    cr_assert_not(hides(true, "{'id':'c','choices':[],'usage':{'prompt_tokens':1}}"));
    cr_assert_not(hides(false, "{'choices':[],'usage':null}"));
    cr_assert_not(hides(false, "{'choices':[],'prompt_filter_results':[]}"));
    cr_assert_not(hides(false, "{'choices':[{'index':0}],'usage':{'prompt_tokens':1}}"));
    cr_assert_not(hides(false, "{'choices':[],'usage':{},'error':{'message':'x'}}"));
    cr_assert_not(hides(false, "[DONE]"));
    cr_assert_not(hides(false, "{'a':'\\'choices\\':[]'"));
}

Test(openai_chat, edits_name_what_a_relay_may_touch)
{
    const struct proto_edit *edit = proto_openai_chat.edits;
    bool has_usage = false;

    for (; edit->key.len > 0; edit++)
        has_usage |= edit->kind == PROTO_EDIT_USAGE && slice_eq(edit->key, S("stream_options")) &&
                     slice_eq(edit->subkey, S("include_usage"));
    cr_assert(has_usage);
    cr_assert_eq(edit - proto_openai_chat.edits, 5);
}

static char ids[256];

static void note_id(void *context, struct slice id)
{
    (void)context;
    snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%.*s,", (int)id.len, id.ptr);
}

static bool read_ids(const char *body)
{
    ids[0] = '\0';
    return proto_openai_chat.models_read(quoted(&kit, body), note_id, NULL);
}

Test(openai_chat, model_lists_are_read_in_both_shapes)
{
    cr_assert(read_ids("{'object':'list','data':[{'id':'a/b','object':'model'},{'id':'c'}]}"));
    cr_assert_str_eq(ids, "a/b,c,");
    cr_assert(read_ids(" [{'id':'x'},{'name':'no id'}] "));
    cr_assert_str_eq(ids, "x,");
    cr_assert(read_ids("{'data':[]}"));
    cr_assert_not(read_ids("{'error':{'message':'no'}}"));
    cr_assert_not(read_ids("{'data':[{'id':'a'}"));
    cr_assert_not(read_ids("<html>"));
}

Test(openai_chat, model_lists_are_written_for_sdks_and_codex)
{
    struct proto_model models[] = {{.id = S("a\"b"), .owner = S("p"), .created = 5},
                                   {.id = S("c"), .owner = S("q")}};
    struct rope out = kit_rope(&kit);

    proto_openai_chat.models_write(models, 2, &out);
    cr_assert(slice_eq(kit_take(&kit, &out),
                       quoted(&kit, "{'object':'list','data':[{'id':'a\\\"b','object':'model',"
                                    "'created':5,'owned_by':'p'},{'id':'c','object':'model',"
                                    "'created':0,'owned_by':'q'}],'models':[]}")));
    proto_openai_chat.model_write(&models[1], &out);
    cr_assert(slice_eq(kit_take(&kit, &out),
                       quoted(&kit, "{'id':'c','object':'model','created':0,'owned_by':'q'}")));
}

Test(openai_chat, regression_106_every_fault_has_a_body_of_this_protocol)
{
    for (uint8_t kind = 0; kind < FAULT_KINDS; kind++) {
        struct fault fault = {.kind = kind, .offset = -1};
        struct rope out = kit_rope(&kit);
        uint16_t status = proto_openai_chat.error_body(&fault, &out);
        struct slice body = kit_take(&kit, &out);

        cr_assert_eq(status, fault_rows[kind].openai_status);
        cr_assert(is_json(body));
        cr_assert(has(&kit, body, "{'error':{'message':'"));
        cr_assert(has(&kit, body, "'param':null,'code':"));
        cr_assert_not(has(&kit, body, "'message':''"));
    }
}

/* --- the encoder, where a line of a transcript would not show it --- */

static struct slice encode(const char *lines)
{
    return kit_encode(&kit, &proto_openai_chat, slice_from_z(lines));
}

Test(openai_chat, nothing_is_written_before_there_is_content)
{
    cr_assert_eq(encode("BEGIN model=plain\"m\"\nFIELD created number=5\nUSAGE input=3\n"
                        "PART text part=0\n")
                     .len,
                 0);
    cr_assert_eq(encode("BEGIN\nPART redacted part=0\nPART_END part=0\n").len, 0);
    cr_assert_gt(encode("BEGIN\nPART call part=0 id=plain\"c\" name=plain\"f\"\n").len, 0);
    cr_assert(slice_eq(encode("ALIVE\n"), S(": ping\n\n")));
    kit.brief.shape = BRIEF_DOCUMENT;
    cr_assert_eq(encode("ALIVE\nBEGIN\nPART text part=0\nTEXT part=0 plain x\nPART_END part=0\n"
                        "STOP end\n")
                     .len,
                 0);
}

Test(openai_chat, a_long_text_is_one_chunk_all_the_same)
{
    char *lines = arena_take(&kit.arena, 20000);
    size_t len = (size_t)snprintf(lines, 200, "BEGIN\nPART text part=0\nTEXT part=0 escaped ");
    struct slice out;

    memset(lines + len, 'x', 15000);
    snprintf(lines + len + 15000, 100, "\nPART_END part=0\nSTOP end\nEND\n");
    out = encode(lines);
    cr_assert_eq(count(&kit, out, "data: "), 4);
    cr_assert_eq(count(&kit, out, "xxxxx"), 3000);
}

Test(openai_chat, many_calls_side_by_side_keep_their_numbers)
{
    char *lines = arena_take(&kit.arena, 40000);
    size_t len = (size_t)snprintf(lines, 100, "BEGIN\n");
    struct slice out;

    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(lines + len, 100,
                                "PART call part=%d id=plain\"c%d\" name=plain\"f\"\n", i, i);
    for (int i = 99; i >= 0; i--)
        len += (size_t)snprintf(lines + len, 200, "TEXT part=%d escaped <%d>\nPART_END part=%d\n",
                                i, i, i);
    snprintf(lines + len, 100, "STOP tool\nEND\n");
    out = encode(lines);
    for (int i = 0; i < 100; i++) {
        char part[128];

        snprintf(part, sizeof(part), "{'index':%d,'function':{'arguments':'<%d>'}}", i, i);
        cr_assert_eq(count(&kit, out, part), 1, "%s", part);
    }
    kit.brief.shape = BRIEF_DOCUMENT;
    out = encode(lines);
    cr_assert(is_json(out));
    cr_assert_eq(count(&kit, out, "'type':'function'"), 100);
}

Test(openai_chat, an_answer_beyond_the_bound_is_an_error_not_a_part_of_one)
{
    char *lines = arena_take(&kit.arena, 20000);
    size_t len = (size_t)snprintf(lines, 200, "BEGIN\nPART text part=0\n");

    kit.brief.shape = BRIEF_DOCUMENT;
    kit.brief.output_bytes_max = 1000;
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(lines + len, 100, "TEXT part=0 plain 0123456789\n");
    cr_assert(str_starts(encode(lines), S("FAILED")));
}

/* --- the regression list, as far as this dialect's client sees it --- */

static struct slice finish_of(const char *stop, bool has_call)
{
    char lines[256];

    snprintf(lines, sizeof(lines), "BEGIN\n%sSTOP %s\nEND\n",
             has_call ? "PART call part=0 id=plain\"c\" name=plain\"f\"\nPART_END part=0\n" : "",
             stop);
    return encode(lines);
}

Test(openai_chat, regression_60_61_only_reasons_of_this_protocol_are_written)
{
    static const char *const rows[][2] = {
        {"end", "stop"},
        {"sequence", "stop"},
        {"length", "length"},
        {"context", "length"},
        {"filter", "content_filter"},
        {"recitation", "content_filter"},
        {"refusal", "content_filter"},
        {"pause", "stop"},
        {"bad_call", "stop"},
        {"other", "stop"},
        {"tool", "stop"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[64];

        snprintf(wanted, sizeof(wanted), "'finish_reason':'%s'", rows[i][1]);
        cr_assert_eq(count(&kit, finish_of(rows[i][0], false), wanted), 1, "%s", rows[i][0]);
    }
    cr_assert_eq(count(&kit, finish_of("tool", true), "'finish_reason':'tool_calls'"), 1);
    cr_assert_eq(count(&kit, finish_of("length", true), "'finish_reason':'length'"), 1);
}

Test(openai_chat, regression_62_63_cached_tokens_are_part_of_the_prompt)
{
    struct slice out;

    kit.brief.usage_asked = true;
    out = encode("BEGIN\nUSAGE input=100 cache_read=20 cache_write=70 output=7 reasoning=5\n"
                 "STOP end\nEND\n");
    cr_assert(has(&kit, out,
                  "'usage':{'prompt_tokens':100,'completion_tokens':7,'total_tokens':107,"
                  "'prompt_tokens_details':{'cached_tokens':20,'cache_write_tokens':70},"
                  "'completion_tokens_details':{'reasoning_tokens':5}}"));
}

Test(openai_chat, regression_38_googles_signature_makes_a_round_trip)
{
    struct slice out =
        encode("BEGIN\nPART call part=0 id=plain\"c\" name=plain\"f\"\n"
               "FIELD seal escaped\"c2ln\\/\" number=103\nPART_END part=0\nSTOP tool\nEND\n");

    cr_assert(has(&kit, out, "'extra_content':{'google':{'thought_signature':'c2ln\\/'}}"));
    kit.target.minter = S("google");
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                    "{'messages':[{'role':'user','content':'x'},{'role':'assistant','tool_calls':"
                    "[{'id':'c','type':'function','function':{'name':'f','arguments':'{}'},"
                    "'extra_content':{'google':{'thought_signature':'c2ln'}}}]},{'role':'tool',"
                    "'tool_call_id':'c','content':''}]}");
    cr_assert(has(&kit, out, "'thought_signature':'c2ln'"));
    kit.target.minter = S("somebody");
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                    "{'messages':[{'role':'user','content':'x'},{'role':'assistant','tool_calls':"
                    "[{'id':'c','type':'function','function':{'name':'f','arguments':'{}'},"
                    "'extra_content':{'google':{'thought_signature':'c2ln'}}}]},{'role':'tool',"
                    "'tool_call_id':'c','content':''}]}");
    cr_assert_not(has(&kit, out, "thought_signature"));
}

Test(openai_chat, regression_47_reasoning_goes_back_where_it_is_wanted)
{
    static const char body[] =
        "{'messages':[{'role':'user','content':'x'},{'role':'assistant','reasoning_content':'r1',"
        "'content':'a'},{'role':'user','content':'y'},{'role':'assistant','reasoning_content':'r2',"
        "'tool_calls':[{'id':'c','type':'function','function':{'name':'f','arguments':'{}'}}]},"
        "{'role':'tool','tool_call_id':'c','content':'1'}]}";
    struct slice out = translate(&kit, &proto_openai_chat, &proto_openai_chat, body);

    cr_assert_not(has(&kit, out, "reasoning_content"));
    kit.target.profile.oc_reason_echo = OC_REASON_ECHO_CALLS;
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat, body);
    cr_assert_eq(count(&kit, out, "'reasoning_content'"), 1);
    cr_assert(has(&kit, out, "'reasoning_content':'r2'"));
    kit.target.profile.oc_reason_echo = OC_REASON_ECHO_ALL;
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat, body);
    cr_assert_eq(count(&kit, out, "'reasoning_content'"), 2);
}

Test(openai_chat, regression_51_schemas_are_nested_here)
{
    struct slice out = translate(
        &kit, &proto_openai_chat, &proto_openai_chat,
        "{'messages':[{'role':'user','content':'x'}],'response_format':{'type':'json_schema',"
        "'json_schema':{'name':'n','description':'d','strict':true,'schema':{'type':'object'}}}}");

    cr_assert(has(&kit, out,
                  "'response_format':{'type':'json_schema','json_schema':{'name':'n','description'"
                  ":'d','schema':{'type':'object'},'strict':true}}"));
}

Test(openai_chat, regression_54_several_answers_are_asked_for)
{
    struct slice out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                                 "{'messages':[{'role':'user','content':'x'}],'n':3}");

    cr_assert(has(&kit, out, "'n':3"));
}

Test(openai_chat, regression_55_any_tool_output_becomes_valid_json)
{
    struct slice out = translate(
        &kit, &proto_openai_chat, &proto_openai_chat,
        "{'messages':[{'role':'user','content':'x'},{'role':'assistant','tool_calls':[{'id':'c',"
        "'type':'function','function':{'name':'f','arguments':'{broken'}}]},{'role':'tool',"
        "'tool_call_id':'c','content':'\\u0000\\u001f }]{ \\\\ \\ud83d'}]}");

    cr_assert(has(&kit, out, "'arguments':'{broken'"));
    cr_assert(has(&kit, out, "\\u0000\\u001f }]{ \\\\ \\ud83d"));
}

Test(openai_chat, regression_107_a_sign_of_life_is_a_comment)
{
    struct slice out = encode("BEGIN\nPART text part=0\nTEXT part=0 plain x\nALIVE\n");

    cr_assert(str_ends(out, S("\n\n: ping\n\n")));
}

Test(openai_chat, server_tools_are_named_or_refused)
{
    struct slice out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                                 "{'messages':[{'role':'user','content':'x'}],'tools':[{'type':"
                                 "'web_search'},{'type':'function','function':{'name':'f'}}]}");

    cr_assert_eq(count(&kit, out, "'type':'function'"), 1);
    cr_assert_eq(kit.loss.names_count, 1);
    cr_assert(slice_eq(kit.loss.names[0], S("web_search")));
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                    "{'messages':[{'role':'user','content':'x'}],'tools':[{'type':'web_search'},"
                    "{'type':'mcp'}]}");
    cr_assert_eq(out.len, 0);
    cr_assert_eq(kit.fault.kind, FAULT_INVALID);
    out = translate(&kit, &proto_openai_chat, &proto_openai_chat,
                    "{'messages':[{'role':'user','content':'x'}],'tools':[{'type':'web_search'},"
                    "{'type':'function','function':{'name':'f'}}],'tool_choice':{'type':"
                    "'web_search'}}");
    cr_assert_eq(out.len, 0);
}
