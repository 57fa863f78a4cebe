#include "codec.h"
#include "r2a/core/check.h"

/* Conversations with something odd in them, from one dialect into another: what must be in the
 * request that leaves, and what must not. */

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(conversation, .init = open_kit, .fini = close_kit);

#define OC &proto_openai_chat
#define OR &proto_openai_responses
#define AM &proto_anthropic
#define GG &proto_gemini

#define PNG "iVBORw0KGgo="
/* Two calls under one id, each with its result. */
#define NAMESAKES                                                                         \
    "{'model':'m','messages':[{'role':'user','content':'q'},{'role':'assistant',"         \
    "'content':null,'tool_calls':[{'id':'c0','type':'function','function':{'name':'f',"   \
    "'arguments':'{}'}},{'id':'c0','type':'function','function':{'name':'g','arguments':" \
    "'{}'}}]},{'role':'tool','tool_call_id':'c0','content':'one'},{'role':'tool',"        \
    "'tool_call_id':'c0','content':'two'},{'role':'assistant','content':null,"            \
    "'tool_calls':[{'id':'c0','type':'function','function':{'name':'h','arguments':"      \
    "'{}'}}]},{'role':'tool','tool_call_id':'c0','content':'three'}]}"

static struct slice between(struct slice text, const char *from, char to)
{
    size_t at = str_find(text, slice_from_z(from));

    cr_assert(at < text.len, "no %s in %.*s", from, (int)text.len, text.ptr);
    text = slice_skip(text, at + strlen(from));
    return slice_head(text, str_find_char(text, to));
}

Test(conversation, calls_that_share_an_id_are_told_apart)
{
    struct slice out = translate(&kit, OC, AM, NAMESAKES), rest = out, ids[3];
    static const char *const results[] = {"'content':'one'", "'content':'two'",
                                          "'content':'three'"};

    for (uint32_t i = 0; i < array_count(ids); i++) {
        char pair[128];

        ids[i] = between(rest, "\"tool_use\",\"id\":\"", '"');
        rest = slice_skip(rest, (size_t)(ids[i].ptr - rest.ptr));
        for (uint32_t k = 0; k < i; k++)
            cr_expect(!slice_eq(ids[i], ids[k]));
        snprintf(pair, sizeof(pair), "'tool_use_id':'%.*s',%s", (int)ids[i].len, ids[i].ptr,
                 results[i]);
        expect_has(&kit, out, pair);
    }
    cr_expect(slice_eq(ids[0], S("c0")), "the first one keeps its own");
    expect_no(&kit, out, "No result");
    cr_expect(slice_eq(out, translate(&kit, OC, AM, NAMESAKES)), "the same every time");
}

Test(conversation, a_second_result_of_one_call_still_counts_instead_of_the_first)
{
    struct slice out = translate(
        &kit, OC, AM,
        "{'model':'m','messages':[{'role':'user','content':'q'},{'role':'assistant','tool_calls':["
        "{'id':'a','type':'function','function':{'name':'f','arguments':''}},{'id':'b','type':"
        "'function','function':{'name':'f','arguments':''}}]},{'role':'tool','tool_call_id':'a',"
        "'content':'old'},{'role':'tool','tool_call_id':'a','content':'new'},{'role':'tool',"
        "'tool_call_id':'b','content':'other'}]}");

    expect_has(&kit, out, "'tool_use_id':'a','content':'new'");
    expect_has(&kit, out, "'tool_use_id':'b','content':'other'");
    expect_no(&kit, out, "'old'");
}

Test(conversation, calls_of_a_document_are_calls_whatever_their_ids)
{
    struct slice out =
        document(&kit, OC, AM,
                 "{'choices':[{'index':0,'message':{'role':'assistant','content':null,'tool_calls':"
                 "[{'id':'x','type':'function','function':{'name':'f','arguments':'{\\'a\\':1}'}},"
                 "{'id':'x','type':'function','function':{'name':'f','arguments':'{\\'a\\':2}'}},"
                 "{'index':0,'id':'x','type':'function','function':{'name':'g','arguments':''}}]},"
                 "'finish_reason':'tool_calls'}]}");

    expect_count(&kit, out, "'type':'tool_use'", 3);
    expect_count(&kit, out, "'id':'x'", 1);
    expect_has(&kit, out, "'input':{'a':2}");
}

Test(conversation, what_a_model_drew_is_shown_by_the_user)
{
    static const struct proto *const targets[] = {OC, OR, AM};
    static const char body[] =
        "{'contents':[{'role':'user','parts':[{'text':'draw'}]},{'role':'model','parts':[{'text':"
        "'Here.'},{'inlineData':{'mimeType':'image/png','data':'" PNG
        "'}},{'functionCall':{'name':'f','args':{}}}]},{'role':'user','parts':[{'functionResponse':"
        "{'name':'f','response':{'output':'done'}}},{'text':'again'}]}]}";

    for (uint32_t i = 0; i < array_count(targets); i++) {
        struct slice out = translate(&kit, GG, targets[i], body);
        size_t result = str_find(out, S("done")), image = str_find(out, S(PNG));
        size_t said = str_find(out, S("Here.")), again = str_find(out, S("again"));

        cr_expect(said < result && result < image && image < again && again < out.len, "%.*s",
                  (int)out.len, out.ptr);
        kit_again(&kit);
    }
    cr_expect(str_find(translate(&kit, GG, GG, body), S(PNG)) <
              str_find(translate(&kit, GG, GG, body), S("done")));
}

Test(conversation, the_words_about_a_document_go_before_it)
{
    static const struct proto *const targets[] = {OC, OR, GG};
    static const char body[] =
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':[{'type':'document',"
        "'source':{'type':'base64','media_type':'application/pdf','data':'JVBERi0x'},'title':'T',"
        "'context':'From the archive.','citations':{'enabled':true}},{'type':'text','text':'q'}]}]"
        "}";

    for (uint32_t i = 0; i < array_count(targets); i++) {
        struct slice out = translate(&kit, AM, targets[i], body);

        cr_expect(str_find(out, S("From the archive.")) < str_find(out, S("JVBERi0x")), "%.*s",
                  (int)out.len, out.ptr);
        cr_expect(is_lost(&kit, "citations"));
        kit_again(&kit);
    }
    expect_has(&kit, translate(&kit, AM, AM, body), "'context':'From the archive.'");
    expect_count(&kit, translate(&kit, AM, AM, body), "From the archive.", 1);
}

Test(conversation, a_speakers_name_is_a_loss_that_is_said)
{
    static const char body[] =
        "{'model':'m','messages':[{'role':'user','name':'bob','content':'q'}]}";

    translate(&kit, OC, AM, body);
    cr_expect(is_lost(&kit, "messages.name"));
    kit_again(&kit);
    expect_has(&kit, translate(&kit, OC, OC, body), "'name':'bob'");
    cr_expect_eq(kit.loss.count, 0u);
}

Test(conversation, a_schema_for_output_gets_no_description_that_says_nothing)
{
    struct slice out;

    kit.target.profile.am_json = AM_JSON_NATIVE;
    out = translate(&kit, OC, AM,
                    "{'model':'m','messages':[{'role':'user','content':'q'}],'response_format':{"
                    "'type':'json_schema','json_schema':{'name':'n','schema':{'oneOf':[{'enum':["
                    "'a']},{'$ref':'#/$defs/b'},{'const':1,'description':'d','minimum':1}],'$defs':"
                    "{'b':{'type':'string'}}}}}}");
    expect_has(&kit, out,
               "'schema':{'$defs':{'b':{'type':'string'}},'anyOf':[{'enum':['a']},{'$ref':"
               "'#/$defs/b'},{'description':'d\\n\\n{minimum: 1}','const':1}]}");
}

Test(conversation, what_is_refused_is_named_as_the_client_knows_it)
{
    static const struct {
        const struct proto *from;
        const char *body, *param;
    } rows[] = {
        {OC, "{'model':'m','messages':[{'role':'user','content':''}]}", "messages"},
        {OR, "{'model':'m','input':''}", "input"},
        {OR,
         "{'model':'m','input':[{'role':'user','content':[{'type':'input_image','file_id':'f'}]}]}",
         "input"},
        {GG, "{'contents':[{'parts':[{'inlineData':{'mimeType':'video/mp4','data':'AAAA'}}]}]}",
         "contents"},
    };

    for (uint32_t i = 0; i < array_count(rows); i++) {
        struct slice out = translate(&kit, rows[i].from, AM, rows[i].body);

        cr_expect(out.len == 0 && text_is(kit.fault.param, slice_from_z(rows[i].param)), "%s: %.*s",
                  rows[i].body, (int)kit.fault.param.len, kit.fault.param.ptr);
        kit_again(&kit);
    }
}

Test(conversation, an_assistant_item_without_content_is_no_reason_to_refuse)
{
    struct slice out = translate(
        &kit, OR, OC,
        "{'model':'m','input':[{'role':'user','content':'q'},{'role':'assistant','content':null},"
        "{'role':'user','content':'r'}]}");

    expect_has(&kit, out,
               "'messages':[{'role':'user','content':'q'},{'role':'user','content':'r'}]");
}

Test(conversation, alternatives_at_a_schemas_root_require_nothing)
{
    struct slice out = translate(
        &kit, OC, AM,
        "{'model':'m','messages':[{'role':'user','content':'q'}],'tools':[{'type':'function',"
        "'function':{'name':'f','parameters':{'oneOf':[{'properties':{'a':{}},'required':['a']},{"
        "'properties':{'b':{}}}]}}}]}");

    expect_has(&kit, out, "'input_schema':{'type':'object','properties':{'a':{},'b':{}}}");
}

Test(conversation, what_is_said_of_a_web_search_goes_with_it_or_is_said_to_be_lost)
{
    static const char anthropic[] =
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'q'}],'tools':[{'type':"
        "'web_search_20250305','name':'web_search','max_uses':3,'allowed_domains':['a.example'],"
        "'user_location':{'type':'approximate','city':'Bern','country':'CH'}}]}";
    static const char chat[] =
        "{'model':'m','messages':[{'role':'user','content':'q'}],'web_search_options':{"
        "'search_context_size':'low','user_location':{'type':'approximate','approximate':{'city':"
        "'Bern','timezone':'Europe/Zurich'}}}}";
    struct slice out = translate(&kit, AM, OR, anthropic);

    expect_has(&kit, out,
               "{'type':'web_search','filters':{'allowed_domains':['a.example']},'user_location':{"
               "'type':'approximate','city':'Bern','country':'CH'}}");
    cr_expect(is_lost(&kit, "max_uses") && kit.loss.count == 1);
    kit_again(&kit);
    kit.target.profile.oc_flavour = OC_FLAVOUR_OPENAI;
    out = translate(&kit, AM, OC, anthropic);
    expect_has(&kit, out,
               "'web_search_options':{'user_location':{'type':'approximate','approximate':{'city':"
               "'Bern','country':'CH'}}}");
    cr_expect(is_lost(&kit, "max_uses") && is_lost(&kit, "allowed_domains"));
    kit_again(&kit);
    out = translate(&kit, OC, AM, chat);
    expect_has(&kit, out,
               "{'type':'web_search_20250305','name':'web_search','user_location':{'type':"
               "'approximate','city':'Bern','timezone':'Europe/Zurich'}}");
    cr_expect(is_lost(&kit, "search_context_size"));
    kit_again(&kit);
    out = translate(&kit, OR, GG,
                    "{'model':'m','input':'q','tools':[{'type':'web_search','filters':{"
                    "'allowed_domains':['a.example']}}]}");
    expect_has(&kit, out, "'tools':[{'googleSearch':{}}]");
    cr_expect(is_lost(&kit, "allowed_domains"));
    kit_again(&kit);
    out = translate(&kit, OR, AM,
                    "{'model':'m','input':'q','tools':[{'type':'web_search','filters':{"
                    "'allowed_domains':['a.example']},'user_location':null}]}");
    expect_has(
        &kit, out,
        "{'type':'web_search_20250305','name':'web_search','allowed_domains':['a.example']}");
}
