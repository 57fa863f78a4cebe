#include "codec.h"

/* Requests towards the Messages API and from its clients. The numbers are those of conversion.md 5,
 * the list of what other gateways got wrong. */

#define OC (&proto_openai_chat)
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

TestSuite(anthropic_request, .init = open_kit, .fini = close_kit);

#define TO_AM(body)   translate(&kit, OC, AM, body)
#define FROM_AM(body) translate(&kit, AM, OC, body)

#define TOOL_F "{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}"
#define TWO_CALLS                                                                     \
    "{'role':'user','content':'x'},{'role':'assistant','content':null,'tool_calls':[" \
    "{'id':'a1','type':'function','function':{'name':'f','arguments':'{}'}},"         \
    "{'id':'b2','type':'function','function':{'name':'f','arguments':'{}'}}]}"

/* --- turns --- */

Test(anthropic_request, regression_01_results_of_one_turn_share_a_message)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS
                             ",{'role':'tool','tool_call_id':'a1','content':'A'},"
                             "{'role':'tool','tool_call_id':'b2','content':'B'}]}");

    expect_count(&kit, out, "{'role':'user'", 2);
    expect_has(&kit, out,
               "{'role':'user','content':[{'type':'tool_result','tool_use_id':'a1','content':'A'},"
               "{'type':'tool_result','tool_use_id':'b2','content':'B'}]}");
}

Test(anthropic_request, results_stand_in_the_order_of_their_calls)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS
                             ",{'role':'tool','tool_call_id':'b2','content':'B'},"
                             "{'role':'tool','tool_call_id':'a1','content':'A'}]}");

    expect_has(&kit, out,
               "[{'type':'tool_result','tool_use_id':'a1','content':'A'},"
               "{'type':'tool_result','tool_use_id':'b2','content':'B'}]");
}

Test(anthropic_request, regression_02_03_results_become_tool_messages_before_the_text)
{
    struct slice out =
        FROM_AM("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                "{'role':'assistant','content':[{'type':'tool_use','id':'a','name':'f','input':{}},"
                "{'type':'tool_use','id':'b','name':'f','input':{}}]},"
                "{'role':'user','content':[{'type':'text','text':'go on'},"
                "{'type':'tool_result','tool_use_id':'b','content':'B'},"
                "{'type':'tool_result','tool_use_id':'a','content':'A'}]}]}");

    expect_count(&kit, out, "'role':'tool'", 2);
    cr_expect_lt(str_find(out, quoted(&kit, "'tool_call_id':'a'")),
                 str_find(out, quoted(&kit, "'tool_call_id':'b'")));
    cr_expect_lt(str_find(out, quoted(&kit, "'tool_call_id':'b'")), str_find(out, S("go on")));
}

Test(anthropic_request, regression_04_05_images_of_results_follow_all_tool_messages)
{
    struct slice out =
        FROM_AM("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                "{'role':'assistant','content':[{'type':'tool_use','id':'a','name':'f','input':{}},"
                "{'type':'tool_use','id':'b','name':'f','input':{}}]},"
                "{'role':'user','content':[{'type':'tool_result','tool_use_id':'a','content':["
                "{'type':'text','text':'see'},{'type':'image','source':{'type':'base64',"
                "'media_type':'image/png','data':'iVBORw0KGgo='}}]},"
                "{'type':'tool_result','tool_use_id':'b','content':'B'}]}]}");
    size_t image = str_find(out, S("data:image/png;base64,iVBORw0KGgo="));

    cr_expect_lt(image, out.len, "%.*s", (int)out.len, out.ptr);
    cr_expect_lt(str_find(out, quoted(&kit, "'tool_call_id':'b'")), image);
    expect_has(&kit, out, "image(s) follow]");
}

Test(anthropic_request, regression_06_empty_text_beside_a_call_is_left_out)
{
    struct slice out = TO_AM(
        "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant','content':'',"
        "'tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}]},"
        "{'role':'tool','tool_call_id':'a','content':'A'}]}");

    expect_has(
        &kit, out,
        "{'role':'assistant','content':[{'type':'tool_use','id':'a','name':'f','input':{}}]}");
}

Test(anthropic_request, regression_07_empty_parts_go_and_others_stay)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':["
                             "{'type':'text','text':''},{'type':'text','text':'Hi'}]}]}");

    expect_has(&kit, out, "'content':[{'type':'text','text':'Hi'}]");
    expect_refused(&kit, TO_AM("{'model':'m','messages':[{'role':'user','content':' \\n'}]}"),
                   "empty");
}

Test(anthropic_request, empty_assistant_turns_go_and_their_neighbours_join)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':'a'},"
                             "{'role':'assistant','content':''},{'role':'user','content':''},"
                             "{'role':'user','content':'b'}]}");

    expect_has(&kit, out,
               "'messages':[{'role':'user','content':[{'type':'text','text':'a'},"
               "{'type':'text','text':'b'}]}]");
}

Test(anthropic_request, regression_08_text_before_a_call_is_kept_to_the_byte)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'},"
              "{'role':'assistant','content':'Let me check.\\n','tool_calls':[{'id':'a',"
              "'type':'function','function':{'name':'f','arguments':'{}'}}]},"
              "{'role':'tool','tool_call_id':'a','content':'A'}]}");

    expect_has(&kit, out, "[{'type':'text','text':'Let me check.\\n'},{'type':'tool_use'");
}

Test(anthropic_request, regression_09_array_content_and_two_system_messages_are_complete)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'system','content':'one'},"
              "{'role':'developer','content':[{'type':'text','text':'two'}]},"
              "{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]},"
              "{'role':'assistant','content':[{'type':'text','text':'c'}],'tool_calls':[{'id':'a',"
              "'type':'function','function':{'name':'f','arguments':'{}'}}]},"
              "{'role':'tool','tool_call_id':'a','content':'A'}]}");

    expect_has(&kit, out, "'system':[{'type':'text','text':'one'},{'type':'text','text':'two'}]");
    expect_has(&kit, out, "{'type':'text','text':'a'},{'type':'text','text':'b'}");
    expect_has(&kit, out, "{'type':'text','text':'c'},{'type':'tool_use'");
    expect_has(&kit, out, "'tool_result'");
}

Test(anthropic_request, regression_10_a_result_of_parts_is_one_result)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS
                             ",{'role':'tool','tool_call_id':'a1','content':["
                             "{'type':'text','text':'A'},{'type':'text','text':'B'}]}]}");

    expect_has(&kit, out,
               "{'type':'tool_result','tool_use_id':'a1','content':[{'type':'text','text':'A'},"
               "{'type':'text','text':'B'}]}");
    expect_count(&kit, out, "'tool_use_id':'a1'", 1);
}

Test(anthropic_request, dangling_calls_get_a_result_that_says_so)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS
                             ",{'role':'tool','tool_call_id':'b2','content':'B'},"
                             "{'role':'user','content':'next'}]}");

    expect_has(&kit, out,
               "[{'type':'tool_result','tool_use_id':'a1','content':"
               "'No result was recorded for this call.','is_error':true},"
               "{'type':'tool_result','tool_use_id':'b2','content':'B'},"
               "{'type':'text','text':'next'}]");
}

Test(anthropic_request, calls_at_the_end_get_results_too)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS "]}");

    expect_count(&kit, out, "No result was recorded", 2);
}

Test(anthropic_request, results_that_nobody_asked_for_become_text)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'},"
                             "{'role':'tool','tool_call_id':'zz','content':'lost'}]}");

    expect_has(&kit, out, "{'type':'text','text':'[result of unknown tool call zz]\\nlost'}");
    expect_no(&kit, out, "tool_result");
}

Test(anthropic_request, of_two_results_for_one_call_the_last_counts)
{
    struct slice out = TO_AM("{'model':'m','messages':[" TWO_CALLS
                             ",{'role':'tool','tool_call_id':'a1','content':'old'},"
                             "{'role':'tool','tool_call_id':'b2','content':'B'},"
                             "{'role':'tool','tool_call_id':'a1','content':'new'}]}");

    expect_count(&kit, out, "'tool_use_id':'a1'", 1);
    expect_has(&kit, out, "'content':'new'");
    expect_no(&kit, out, "old");
}

Test(anthropic_request, a_first_assistant_turn_is_preceded_by_a_user_turn)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'assistant','content':'hello'},"
                             "{'role':'user','content':'x'}]}");

    expect_has(&kit, out,
               "'messages':[{'role':'user','content':[{'type':'text','text':'(continued)'}]},"
               "{'role':'assistant'");
}

Test(anthropic_request, a_prefill_ends_without_white_space_or_is_continued)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'},"
                             "{'role':'assistant','content':'The answer: \\n'}]}");

    expect_has(&kit, out, "'text':'The answer:'}]}]");
    kit.target.profile.am_prefill = false;
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'},"
                "{'role':'assistant','content':'The answer: '}]}");
    expect_has(&kit, out, "{'role':'user','content':[{'type':'text','text':'Continue.'}]}]");
    expect_has(&kit, out, "'The answer: '");
}

Test(anthropic_request, system_text_between_turns_stays_in_place)
{
    const char *body = "{'model':'m','messages':[{'role':'system','content':'first'},"
                       "{'role':'user','content':'a'},{'role':'assistant','content':'b'},"
                       "{'role':'system','content':'later'},{'role':'user','content':'c'}]}";
    struct slice out = TO_AM(body);

    expect_has(&kit, out, "'system':[{'type':'text','text':'first'}]");
    expect_has(&kit, out,
               "{'role':'user','content':[{'type':'text','text':'<system>\\nlater\\n</system>'},"
               "{'type':'text','text':'c'}]}");
    kit.target.profile.am_mid_system = true;
    out = TO_AM(body);
    expect_has(&kit, out, "{'role':'system','content':[{'type':'text','text':'later'}]}");
}

Test(anthropic_request, a_conversation_of_system_text_alone_becomes_a_question)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'system','content':'one'},"
                             "{'role':'system','content':'two'}]}");

    expect_has(&kit, out, "'system':[{'type':'text','text':'one'}]");
    expect_has(&kit, out, "[{'role':'user','content':[{'type':'text','text':'two'}]}]");
}

Test(anthropic_request, configured_system_text_follows_or_replaces_the_clients)
{
    const char *body = "{'model':'m','messages':[{'role':'system','content':'client'},"
                       "{'role':'user','content':'a'}]}";
    struct slice out;

    kit.target.system_text = S("house");
    out = TO_AM(body);
    expect_has(&kit, out,
               "'system':[{'type':'text','text':'client'},{'type':'text','text':'house'}]");
    kit.target.system_mode = SYSTEM_OVERRIDE;
    out = TO_AM(body);
    expect_has(&kit, out, "'system':[{'type':'text','text':'house'}]");
}

/* --- parts --- */

Test(anthropic_request, regression_11_12_13_images_by_url_and_data)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':["
              "{'type':'image_url','image_url':{'url':'https://img.example/x.jpg'}},"
              "{'type':'image_url','image_url':{'url':'data:image/jpg;base64,/9j/4AAQ'}},"
              "{'type':'image_url','image_url':{'url':'data:IMAGE/JPEG;base64,iVBORw0KGgoA'}}]}]}");

    expect_has(&kit, out,
               "{'type':'image','source':{'type':'url','url':'https://img.example/x.jpg'}}");
    expect_has(&kit, out, "{'type':'base64','media_type':'image/jpeg','data':'/9j/4AAQ'}");
    /* what it is counts, not what it says it is */
    expect_has(&kit, out, "{'type':'base64','media_type':'image/png','data':'iVBORw0KGgoA'}");
}

Test(anthropic_request, images_of_other_types_are_refused)
{
    expect_refused(&kit,
                   TO_AM("{'model':'m','messages':[{'role':'user','content':[{'type':'image_url',"
                         "'image_url':{'url':'data:image/tiff;base64,SUkqAA=='}}]}]}"),
                   "unsupported image type");
}

Test(anthropic_request, files_become_documents)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':["
                             "{'type':'file','file':{'filename':'a.pdf',"
                             "'file_data':'data:application/pdf;base64,JVBERi0='}},"
                             "{'type':'file','file':{'filename':'n.txt','file_data':'data:text/"
                             "plain;base64,aGk='}}]}]}");

    expect_has(&kit, out,
               "{'type':'document','source':{'type':'base64','media_type':'application/pdf',"
               "'data':'JVBERi0='},'title':'a.pdf'}");
    expect_has(&kit, out,
               "{'type':'document','source':{'type':'text','media_type':'text/plain',"
               "'data':'hi'},'title':'n.txt'}");
}

/* --- tools --- */

Test(anthropic_request, regression_14_33_schemas_pass_unchanged_and_missing_ones_are_made)
{
    struct slice out = TO_AM(
        "{'model':'m','messages':[{'role':'user','content':'x'}],'tools':["
        "{'type':'function','function':{'name':'f','parameters':{'type':'object','$defs':{'a':"
        "{'const':1}},'properties':{'format':{'$ref':'#/$defs/a'},'const':{},'$ref':{}},"
        "'additionalProperties':false}}},"
        "{'type':'function','function':{'name':'g'}},"
        "{'type':'function','function':{'name':'h','parameters':{'properties':{}}}}]}");

    expect_has(&kit, out,
               "'input_schema':{'type':'object','$defs':{'a':{'const':1}},'properties':{'format':"
               "{'$ref':'#/$defs/a'},'const':{},'$ref':{}},'additionalProperties':false}");
    expect_has(&kit, out, "{'name':'g','input_schema':{'type':'object','properties':{}}}");
    expect_has(&kit, out, "{'name':'h','input_schema':{'type':'object','properties':{}}}");
}

Test(anthropic_request, alternatives_at_the_root_of_a_schema_are_united)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[{'type':'function',"
              "'function':{'name':'f','parameters':{'description':'d','anyOf':[{'type':'object',"
              "'properties':{'a':{'type':'string'}},'required':['a']},{'$ref':'#/$defs/b'}],"
              "'$defs':{'b':{'properties':{'a':{},'b':{'type':'integer'}}}}}}}]}");

    expect_has(&kit, out,
               "'input_schema':{'type':'object','description':'d','$defs':{'b':{'properties':{'a':"
               "{},'b':{'type':'integer'}}}},'properties':{'a':{'type':'string'},"
               "'b':{'type':'integer'}}}");
}

Test(anthropic_request, regression_15_choices_and_parallel_calls_cross)
{
    static const struct {
        const char *choice, *want;
    } rows[] = {
        {"'tool_choice':'auto'", "'tool_choice':{'type':'auto'}"},
        {"'tool_choice':'required'", "'tool_choice':{'type':'any'}"},
        {"'tool_choice':'none'", "'tool_choice':{'type':'none'}"},
        {"'tool_choice':'none','parallel_tool_calls':false", "'tool_choice':{'type':'none'}"},
        {"'tool_choice':{'type':'function','function':{'name':'f'}}",
         "'tool_choice':{'type':'tool','name':'f'}"},
        {"'parallel_tool_calls':false",
         "'tool_choice':{'type':'auto','disable_parallel_tool_use':true}"},
        {"'tool_choice':'required','parallel_tool_calls':false",
         "'tool_choice':{'type':'any','disable_parallel_tool_use':true}"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[512];
        struct slice out;

        snprintf(body, sizeof(body),
                 "{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[" TOOL_F "],%s}",
                 rows[i].choice);
        out = TO_AM(body);
        expect_has(&kit, out, rows[i].want);
    }
}

Test(anthropic_request, regression_16_a_single_call_crosses_to_chat)
{
    struct slice out =
        FROM_AM("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'}],"
                "'tools':[{'name':'f','input_schema':{'type':'object'}}],"
                "'tool_choice':{'type':'any','disable_parallel_tool_use':true}}");

    expect_has(&kit, out, "'tool_choice':'required'");
    expect_has(&kit, out, "'parallel_tool_calls':false");
}

Test(anthropic_request, a_choice_without_tools_is_left_out_and_of_unknown_tools_refused)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],"
                             "'tool_choice':'required','parallel_tool_calls':false}");

    expect_no(&kit, out, "tool_choice");
    expect_refused(&kit,
                   TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[" TOOL_F
                         "],'tool_choice':{'type':'function','function':{'name':'zz'}}}"),
                   "unknown tool");
}

Test(anthropic_request, allowed_tools_are_the_only_ones_sent)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[" TOOL_F
              ",{'type':'function','function':{'name':'g'}}],'tool_choice':{'type':"
              "'allowed_tools','allowed_tools':{'mode':'required','tools':[{'type':'function',"
              "'function':{'name':'g'}}]}}}");

    expect_has(&kit, out, "'tools':[{'name':'g'");
    expect_no(&kit, out, "'name':'f'");
    expect_has(&kit, out, "'tool_choice':{'type':'any'}");
}

Test(anthropic_request, regression_26_27_ids_are_made_legal_and_pairs_stay_pairs)
{
    static const char *const ids[] = {
        "functions.x:0",
        "call_0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
        "56789",
    };

    for (size_t i = 0; i < 2; i++) {
        char body[1024];
        struct slice out, id, result;

        snprintf(body, sizeof(body),
                 "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant',"
                 "'tool_calls':[{'id':'%s','type':'function','function':{'name':'f','arguments':"
                 "'{}'}}]},{'role':'tool','tool_call_id':'%s','content':'A'}]}",
                 ids[i], ids[i]);
        out = TO_AM(body);
        id = slice_skip(out, str_find(out, quoted(&kit, "'tool_use','id':'")) + 17);
        id.len = str_find_char(id, '"');
        result = slice_skip(out, str_find(out, quoted(&kit, "'tool_use_id':'")) + 15);
        result.len = str_find_char(result, '"');
        cr_expect(slice_eq(id, result));
        cr_expect_leq(id.len, 64u);
        cr_expect_gt(id.len, 16u);
        for (size_t k = 0; k < id.len; k++)
            cr_expect(char_is_alnum(id.ptr[k]) || id.ptr[k] == '_' || id.ptr[k] == '-');
    }
}

Test(anthropic_request, regression_48_what_the_upstream_cannot_run_is_named)
{
    struct slice out;

    expect_refused(&kit,
                   TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':["
                         "{'type':'code_execution_20250825'}]}"),
                   "cannot run");
    cr_expect(text_is(kit.fault.param, S("code_execution_20250825")));
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':["
                "{'type':'code_execution_20250825'}," TOOL_F "]}");
    expect_no(&kit, out, "code_execution");
    cr_expect(is_lost(&kit, "code_execution_20250825"));
}

Test(anthropic_request, web_search_crosses)
{
    struct slice out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],"
                             "'web_search_options':{}}");

    expect_has(&kit, out, "'tools':[{'type':'web_search_20250305','name':'web_search'}]");
}

Test(anthropic_request, custom_tools_become_functions_of_one_string)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[{'type':'custom',"
              "'custom':{'name':'sql','description':'d'}}]}");

    expect_has(&kit, out,
               "{'name':'sql','description':'d','input_schema':{'type':'object','properties':"
               "{'input':{'type':'string'}},'required':['input']}}");
    cr_assert_eq(kit.brief.names_count, 1u);
    cr_expect(kit.brief.names[0].is_custom);
}

Test(anthropic_request, regression_55_56_arguments_and_results_keep_their_bytes)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant',"
              "'tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':"
              "'{\\'n\\': 12345678901234567890, \\'f\\':1.0,\\'h\\':\\'<b>\\\\n\\'}'}},"
              "{'id':'b','type':'function','function':{'name':'f','arguments':'not json'}},"
              "{'id':'c','type':'function','function':{'name':'f','arguments':'[1]'}},"
              "{'id':'d','type':'function','function':{'name':'f','arguments':''}}]},"
              "{'role':'tool','tool_call_id':'a','content':'{\\'a\\': \\u0001<&>'}]}");

    expect_has(&kit, out, "'input':{'n': 12345678901234567890, 'f':1.0,'h':'<b>\\n'}");
    expect_has(&kit, out, "'input':{'_raw':'not json'}");
    expect_has(&kit, out, "'input':{'value':[1]}");
    expect_has(&kit, out, "'id':'d','name':'f','input':{}");
    expect_has(&kit, out, "'content':'{\\'a\\': \\u0001<&>'");
}

/* --- registers --- */

Test(anthropic_request, regression_18_a_forced_choice_beats_thinking)
{
    struct slice out;

    kit.target.profile.am_thinking = AM_THINKING_MANUAL;
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'tools':[" TOOL_F
                "],'tool_choice':'required','reasoning_effort':'high'}");
    expect_has(&kit, out, "'any'");
    expect_no(&kit, out, "thinking");
    cr_expect(is_lost(&kit, "reasoning_effort"));
}

Test(anthropic_request, regression_19_history_without_thinking_turns_it_off)
{
    const char *history = "{'model':'m','reasoning_effort':'low','messages':[" TWO_CALLS
                          ",{'role':'tool','tool_call_id':'a1','content':'A'},"
                          "{'role':'tool','tool_call_id':'b2','content':'B'}%s]}";
    char body[1024];

    snprintf(body, sizeof(body), history, "");
    expect_no(&kit, TO_AM(body), "thinking");
    snprintf(body, sizeof(body), history, ",{'role':'user','content':'next'}");
    expect_has(&kit, TO_AM(body), "'thinking':{'type':'enabled'");
    kit.target.profile.am_thinking = AM_THINKING_ADAPTIVE;
    snprintf(body, sizeof(body), history, "");
    expect_has(&kit, TO_AM(body), "'thinking':{'type':'adaptive'}");
}

Test(anthropic_request, regression_20_budgets_stay_below_the_limit_and_sampling_goes)
{
    struct slice out =
        TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'max_tokens':4000,"
              "'reasoning_effort':'high','temperature':0.5,'top_p':0.5,'top_k':3}");

    expect_has(&kit, out, "'thinking':{'type':'enabled','budget_tokens':2000}");
    expect_no(&kit, out, "'temperature'");
    expect_no(&kit, out, "'top_p'");
    expect_no(&kit, out, "'top_k'");
    cr_expect(is_lost(&kit, "temperature"));
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'max_tokens':2000,"
                "'reasoning_effort':'high'}");
    expect_no(&kit, out, "thinking");
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'max_tokens':60000,"
                "'reasoning_effort':'medium','top_p':0.96}");
    expect_has(&kit, out, "'budget_tokens':8192");
    expect_has(&kit, out, "'top_p':0.96");
}

Test(anthropic_request, regression_21_22_sampling_follows_the_profile)
{
    const char *body = "{'model':'m','messages':[{'role':'user','content':'x'}],"
                       "'temperature':1.7,'top_p':0.9}";
    struct slice out = TO_AM(body);

    expect_has(&kit, out, "'temperature':1,'top_p':0.9");
    kit.target.profile.am_sampling = AM_SAMPLING_ONE_OF;
    out = TO_AM(body);
    expect_has(&kit, out, "'temperature':1");
    expect_no(&kit, out, "top_p");
    kit.target.profile.am_sampling = AM_SAMPLING_NONE;
    out = TO_AM(body);
    expect_no(&kit, out, "temperature");
    expect_no(&kit, out, "top_p");
}

Test(anthropic_request, regression_23_stop_sequences_are_arrays)
{
    struct slice out = FROM_AM("{'model':'m','max_tokens':9,'stop_sequences':['END'],"
                               "'messages':[{'role':'user','content':'x'}]}");

    expect_has(&kit, out, "'stop':['END']");
    out = TO_AM("{'model':'m','stop':['', ' ','END'],'messages':[{'role':'user','content':'x'}]}");
    expect_has(&kit, out, "'stop_sequences':['END']");
}

Test(anthropic_request, regression_24_limits_cross_and_are_made_up)
{
    struct slice out;

    kit.target.profile.am_max_output = 1000;
    out = TO_AM("{'model':'m','max_completion_tokens':77,'messages':[{'role':'user',"
                "'content':'x'}]}");
    expect_has(&kit, out, "'max_tokens':77,");
    out = TO_AM("{'model':'m','max_tokens':5000,'messages':[{'role':'user','content':'x'}]}");
    expect_has(&kit, out, "'max_tokens':1000,");
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}]}");
    expect_has(&kit, out, "'max_tokens':1000,");
    kit.target.profile.am_max_output = -1;
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}]}");
    expect_has(&kit, out, "'max_tokens':8192,");
}

Test(anthropic_request, adaptive_models_get_an_effort_they_know)
{
    struct slice out;

    profile_of(S("claude-opus-4-7"), false, &kit.target.profile);
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],"
                "'reasoning_effort':'minimal'}");
    expect_has(&kit, out, "'thinking':{'type':'adaptive'");
    expect_has(&kit, out, "'output_config':{'effort':'low'}");
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],"
                "'reasoning_effort':'none'}");
    expect_no(&kit, out, "thinking");
    expect_has(&kit, out, "'output_config':{'effort':'low'}");
}

Test(anthropic_request, regression_51_schemas_for_output_cross)
{
    const char *body = "{'model':'m','messages':[{'role':'user','content':'x'}],"
                       "'response_format':{'type':'json_schema','json_schema':{'name':'n',"
                       "'schema':{'type':'object','properties':{'a':{'type':'string',"
                       "'minLength':3,'format':'date'}},'oneOf':[{'type':'object'}]}}}}";
    struct slice out;

    kit.target.profile.am_json = AM_JSON_NATIVE;
    out = TO_AM(body);
    expect_has(&kit, out,
               "'output_config':{'format':{'type':'json_schema','schema':{'additionalProperties':"
               "false,'type':'object','properties':{'a':{'type':'string','description':"
               "'{minLength: 3}','format':'date'}},'anyOf':[{'additionalProperties':false,"
               "'type':'object'}]}}}");
    kit.target.profile.am_json = AM_JSON_PROMPT;
    out = TO_AM(body);
    expect_no(&kit, out, "output_config");
    expect_has(&kit, out, "'system':[{'type':'text','text':'Respond with one valid JSON");
    expect_has(&kit, out, "\\'minLength\\':3");
    out = TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],"
                "'response_format':{'type':'json_object'}}");
    expect_has(&kit, out, "'text':'Respond with one valid JSON object and nothing else.'}]");
}

Test(anthropic_request, regression_54_several_answers_are_refused)
{
    expect_refused(&kit, TO_AM("{'model':'m','n':2,'messages':[{'role':'user','content':'x'}]}"),
                   "n>1 not supported by this upstream");
    cr_expect(text_is(kit.fault.param, S("n")));
}

Test(anthropic_request, hints_that_have_no_place_are_named)
{
    TO_AM("{'model':'m','messages':[{'role':'user','content':'x'}],'seed':1,'logit_bias':{},"
          "'presence_penalty':0.1,'user':'u','vendor_thing':1,'store':true,'metadata':{'a':'b'}}");
    cr_expect(is_lost(&kit, "seed"));
    cr_expect(is_lost(&kit, "logit_bias"));
    cr_expect(is_lost(&kit, "presence_penalty"));
    cr_expect(is_lost(&kit, "vendor_thing"));
    cr_expect(is_lost(&kit, "store"));
    cr_expect(is_lost(&kit, "metadata"));
    cr_expect(!is_lost(&kit, "user"));
}

Test(anthropic_request, at_most_four_cache_marks_the_last_ones)
{
    struct slice out =
        TO_AM("{'model':'m','tools':[{'type':'function','function':{'name':'f'},'cache_control':"
              "{'type':'ephemeral'}}],'messages':[{'role':'user','content':["
              "{'type':'text','text':'1','cache_control':{'type':'ephemeral','ttl':'1h'}},"
              "{'type':'text','text':'2','cache_control':{'type':'ephemeral'}},"
              "{'type':'text','text':'3','cache_control':{'type':'ephemeral'}},"
              "{'type':'text','text':'4','cache_control':{'type':'ephemeral'}}]}]}");

    expect_count(&kit, out, "'cache_control':{'type':'ephemeral'}", 4);
    expect_has(&kit, out, "{'name':'f','input_schema':{'type':'object','properties':{}}}");
}

/* Coding clients mark the last block of the last user turn, which is a tool's result. */
Test(anthropic_request, marks_on_results_reach_who_caches)
{
    static const char body[] =
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},{'role':'assistant',"
        "'content':[{'type':'tool_use','id':'c1','name':'f','input':{}},{'type':'tool_use','id':"
        "'c2','name':'f','input':{}},{'type':'tool_use','id':'c3','name':'f','input':{}}]},{'role':"
        "'user','content':[{'type':'tool_result','tool_use_id':'c1','content':'one'},{'type':"
        "'tool_result','tool_use_id':'c2','content':[{'type':'text','text':'two','cache_control':"
        "{'type':'ephemeral'}}]},{'type':'tool_result','tool_use_id':'c3','cache_control':{'type':"
        "'ephemeral'},'content':[{'type':'text','text':'three'},{'type':'image','source':{'type':"
        "'base64','media_type':'image/png','data':'iVBORw0KGgo='}}]}]}]}";
    struct slice out = FROM_AM(body);

    expect_no(&kit, out, "prompt_cache_breakpoint"); /* the profile does not take them */
    kit.target.profile.oai_cache_mark = true;
    out = FROM_AM(body);
    expect_has(&kit, out, "'tool_call_id':'c1','content':'one'}");
    expect_has(&kit, out,
               "'tool_call_id':'c2','content':[{'type':'text','text':'two',"
               "'prompt_cache_breakpoint':{'mode':'explicit'}}]}");
    expect_has(&kit, out,
               "'content':[{'type':'text','text':'three\\n[1 image(s) follow]',"
               "'prompt_cache_breakpoint':{'mode':'explicit'}}]}");
    expect_count(&kit, out, "prompt_cache_breakpoint", 2);
    out = translate(&kit, AM, &proto_openai_responses, body);
    expect_has(&kit, out, "'call_id':'c1','output':'one'}");
    expect_has(&kit, out,
               "'output':[{'type':'input_text','text':'two','prompt_cache_breakpoint':{'mode':"
               "'explicit'}}]}");
    expect_has(&kit, out, "'detail':'auto','prompt_cache_breakpoint':{'mode':'explicit'}}]}");
    expect_count(&kit, out, "prompt_cache_breakpoint", 2);
    out = translate(&kit, OC, AM,
                    "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant',"
                    "'content':null,'tool_calls':[{'id':'c1','type':'function','function':{'name':"
                    "'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':'c1','content':[{"
                    "'type':'text','text':'two','cache_control':{'type':'ephemeral'}}]}]}");
    expect_has(&kit, out,
               "'tool_use_id':'c1','content':'two','cache_control':{'type':'ephemeral'}}");
}

/* --- reasoning --- */

Test(anthropic_request, regression_41_42_foreign_and_unsigned_thinking_is_left_out)
{
    struct slice out;

    out = FROM_AM("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                  "{'role':'assistant','content':[{'type':'thinking','thinking':'secret thought',"
                  "'signature':'EqQB'},{'type':'text','text':'t'}]},"
                  "{'role':'user','content':'y'}]}");
    cr_assert_gt(out.len, 0u);
    expect_no(&kit, out, "secret thought");
    expect_no(&kit, out, "EqQB");
    /* a seal of another vendor, and one of a look-alike */
    kit.target.minter = S("anthropic");
    out = translate(&kit, AM, AM,
                    "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                    "{'role':'assistant','content':[{'type':'thinking','thinking':'one',"
                    "'signature':'gw1.g.Z29vZ2xlAFNJRw'},{'type':'thinking','thinking':'two',"
                    "'signature':'gw1.a.b3RoZXIAU0lH'},{'type':'thinking','thinking':'three',"
                    "'signature':'gw1.a.YW50aHJvcGljAFNJRw'},{'type':'thinking','thinking':'four',"
                    "'signature':''},{'type':'text','text':'t'}]},{'role':'user','content':'y'}]}");
    expect_no(&kit, out, "one");
    expect_no(&kit, out, "two");
    expect_no(&kit, out, "four");
    expect_has(&kit, out, "{'type':'thinking','thinking':'three','signature':'SIG'}");
}

Test(anthropic_request, regression_46_redacted_thinking_returns_to_whom_it_came_from)
{
    struct slice out;

    kit.target.minter = S("anthropic");
    out = translate(&kit, AM, AM,
                    "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                    "{'role':'assistant','content':[{'type':'redacted_thinking','data':"
                    "'gw1.d.YW50aHJvcGljAERBVEE'},{'type':'text','text':'t'}]},"
                    "{'role':'user','content':'y'}]}");
    expect_has(&kit, out, "[{'type':'redacted_thinking','data':'DATA'},{'type':'text'");
    out = FROM_AM("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},"
                  "{'role':'assistant','content':[{'type':'redacted_thinking','data':'EmwK'},"
                  "{'type':'text','text':'t'}]},{'role':'user','content':'y'}]}");
    expect_no(&kit, out, "EmwK");
}

struct memory {
    struct recall recall;
};

static bool find(struct recall *recall, struct text call_id, uint32_t index, struct slice minter,
                 uint8_t *family, struct slice *seal, struct slice *item_id,
                 struct slice *reasoning)
{
    (void)recall;
    (void)item_id;
    if (!text_is(call_id, S("a1")) || !slice_eq(minter, S("anthropic")) || index > 1)
        return false;
    if (index == 1) {
        *family = IR_SEAL_REDACTED;
        *seal = S("FIRST");
        return true;
    }
    *family = IR_SEAL_SIGNATURE;
    *seal = S("KEPT");
    *reasoning = S("hm \"so\"");
    return true;
}

Test(anthropic_request, regression_28_kept_reasoning_comes_back_before_its_call)
{
    struct memory memory = {.recall.find = find};
    struct slice out;

    kit.target.recall = &memory.recall;
    kit.target.minter = S("anthropic");
    out = TO_AM("{'model':'m','reasoning_effort':'high','max_tokens':9000,'messages':[" TWO_CALLS
                ",{'role':'tool','tool_call_id':'a1','content':'A'},"
                "{'role':'tool','tool_call_id':'b2','content':'B'}]}");
    expect_has(&kit, out,
               "{'role':'assistant','content':[{'type':'redacted_thinking','data':'FIRST'},"
               "{'type':'thinking','thinking':'hm \\'so\\'',"
               "'signature':'KEPT'},{'type':'tool_use','id':'a1'");
    expect_has(&kit, out, "'thinking':{'type':'enabled'");
}

/* --- from Messages clients --- */

Test(anthropic_request, regression_49_the_billing_line_stays_here)
{
    const char *body = "{'model':'m','max_tokens':9,'system':[{'type':'text','text':"
                       "'x-anthropic-billing-header: cc_version=2; cch=ab'},{'type':'text',"
                       "'text':'Be brief.'}],'messages':[{'role':'user','content':'x'}]}";

    expect_no(&kit, FROM_AM(body), "billing");
    expect_has(&kit, FROM_AM(body), "Be brief.");
    expect_has(&kit, translate(&kit, AM, AM, body), "billing");
}

Test(anthropic_request, members_only_this_protocol_has_are_named_elsewhere_and_kept_at_home)
{
    const char *body = "{'model':'m','max_tokens':9,'context_management':{'edits':[]},"
                       "'zzz':1,'messages':[{'role':'user','content':'x'}]}";
    struct slice out = FROM_AM(body);

    cr_expect_gt(out.len, 0u);
    cr_expect(is_lost(&kit, "context_management"));
    cr_expect(is_lost(&kit, "zzz"));
    out = translate(&kit, AM, AM, body);
    expect_has(&kit, out, "'context_management':{'edits':[]}");
    expect_no(&kit, out, "zzz");
}

Test(anthropic_request, mistakes_are_named_by_their_place)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"[]", ""},
        {"{'messages':[{'role':'user','content':'x'}]}", "max_tokens"},
        {"{'max_tokens':1}", "messages"},
        {"{'max_tokens':'1','messages':[]}", "max_tokens"},
        {"{'max_tokens':1,'messages':{}}", "messages"},
        {"{'max_tokens':1,'messages':[]}", "messages"},
        {"{'max_tokens':1,'messages':[1]}", "messages[0]"},
        {"{'max_tokens':1,'messages':[{'content':'x'}]}", "messages[0].role"},
        {"{'max_tokens':1,'messages':[{'role':'robot','content':'x'}]}", "messages[0].role"},
        {"{'max_tokens':1,'messages':[{'role':'user'}]}", "messages[0].content"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':[{'type':'text'}]}]}",
         "messages[0].content[0].text"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':[{'type':'image'}]}]}",
         "messages[0].content[0].source"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':[{'type':'image','source':"
         "{'type':'base64'}}]}]}",
         "messages[0].content[0].source.data"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':[{'type':'tool_use','id':'a',"
         "'name':'f','input':{}}]}]}",
         "messages[0].content[0].type"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':'x'}],'thinking':{'type':'x'}}",
         "thinking.type"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':'x'}],'tools':[{}]}",
         "tools[0].name"},
        {"{'max_tokens':1,'messages':[{'role':'user','content':'x'}],'tool_choice':"
         "{'type':'tool'}}",
         "tool_choice.name"},
        {"{'max_tokens':1,'model':3,'messages':[{'role':'user','content':'x'}]}", "model"},
        {"{'max_tokens':1,'model':'a','model':'b','messages':[{'role':'user','content':'x'}]}",
         "model"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct slice out = FROM_AM(rows[i].body);

        cr_expect_eq(out.len, 0u, "accepted: %s", rows[i].body);
        cr_expect_eq(kit.fault.kind, FAULT_INVALID);
        cr_expect(text_is(kit.fault.param, slice_from_z(rows[i].param)), "%s: %.*s", rows[i].body,
                  (int)kit.fault.param.len, kit.fault.param.ptr);
        cr_expect_gt(kit.fault.message.len, 0u);
    }
}

Test(anthropic_request, documents_within_results_cannot_nest_without_end)
{
    char body[4096] = "{'model':'m','max_tokens':1,'messages':[{'role':'user','content':[";
    const char *open = "{'type':'document','source':{'type':'content','content':[";
    size_t len;

    for (int i = 0; i < 12; i++)
        strncat(body, open, sizeof(body) - strlen(body) - 1);
    strncat(body, "{'type':'text','text':'x'}", sizeof(body) - strlen(body) - 1);
    for (int i = 0; i < 12; i++)
        strncat(body, "]}}", sizeof(body) - strlen(body) - 1);
    len = strlen(body);
    strncat(body + len, "]}]}", sizeof(body) - len - 1);
    expect_refused(&kit, translate(&kit, AM, AM, body), "nest too deeply");
}

Test(anthropic_request, counting_needs_no_limit_and_sends_none)
{
    struct slice out;

    kit.brief.operation = BRIEF_COUNT;
    out = translate(&kit, AM, AM,
                    "{'model':'m','system':'s','temperature':1,'messages':[{'role':'user',"
                    "'content':'x'}],'stream':true}");
    expect_has(&kit, out, "'system':[{'type':'text','text':'s'}]");
    expect_no(&kit, out, "max_tokens");
    expect_no(&kit, out, "stream");
    expect_no(&kit, out, "temperature");
}
