#include "codec.h"
#include "r2a/core/check.h"

/* Tools that a vendor defines and the client runs: functions for everybody else, and their calls in
 * the vendor's own form again. */

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(builtin, .init = open_kit, .fini = close_kit);

#define OC &proto_openai_chat
#define OR &proto_openai_responses
#define AM &proto_anthropic
#define GG &proto_gemini

Test(builtin, anthropics_client_tools_are_functions_elsewhere)
{
    static const struct {
        const char *tool, *name, *member;
    } rows[] = {
        {"'type':'bash_20241022','name':'bash'", "bash", "'restart'"},
        {"'type':'bash_20250124','name':'bash'", "bash", "'command'"},
        {"'type':'text_editor_20241022','name':'str_replace_editor'", "str_replace_editor",
         "undo_edit"},
        {"'type':'text_editor_20250124','name':'str_replace_editor'", "str_replace_editor",
         "undo_edit"},
        {"'type':'text_editor_20250429','name':'str_replace_based_edit_tool'",
         "str_replace_based_edit_tool", "insert_text"},
        {"'type':'text_editor_20250728','name':'str_replace_based_edit_tool','max_characters':9",
         "str_replace_based_edit_tool", "view_range"},
        {"'type':'memory_20250818','name':'memory'", "memory", "old_path"},
        {"'type':'computer_20241022','name':'computer','display_width_px':1024,"
         "'display_height_px':768",
         "computer", "The screen has 1024 x 768 pixels."},
        {"'type':'computer_20251124','name':'computer','display_width_px':1,'display_height_px':2",
         "computer", "scroll_direction"},
    };
    static const struct proto *const targets[] = {OC, OR, GG};

    for (uint32_t i = 0; i < array_count(rows); i++) {
        for (uint32_t k = 0; k < array_count(targets); k++) {
            char body[512], name[64];
            struct slice out;

            snprintf(body, sizeof(body),
                     "{'model':'m','max_tokens':9,'tools':[{%s}],'tool_choice':{'type':'tool',"
                     "'name':'%s'},'messages':[{'role':'user','content':'q'}]}",
                     rows[i].tool, rows[i].name);
            snprintf(name, sizeof(name), "'name':'%s'", rows[i].name);
            out = translate(&kit, AM, targets[k], body);
            expect_has(&kit, out, name);
            expect_has(&kit, out, rows[i].member);
            expect_no(&kit, out, "_2025");
            cr_expect_eq(kit.loss.count, 0u, "%s", rows[i].tool);
            kit_again(&kit);
        }
    }
}

Test(builtin, those_of_responses_are_functions_elsewhere)
{
    static const struct proto *const targets[] = {OC, AM, GG};
    static const char *const types[] = {"local_shell", "shell", "apply_patch"};

    for (uint32_t i = 0; i < array_count(types); i++) {
        for (uint32_t k = 0; k < array_count(targets); k++) {
            char body[512], name[64];
            struct slice out;

            snprintf(
                body, sizeof(body),
                "{'model':'m','input':'q','tools':[{'type':'%s'}],'tool_choice':{'type':'%s'}}",
                types[i], types[i]);
            snprintf(name, sizeof(name), "'name':'%s'", types[i]);
            out = translate(&kit, OR, targets[k], body);
            expect_has(&kit, out, name);
            cr_expect_eq(kit.loss.count, 0u, "%s", types[i]);
            kit_again(&kit);
        }
    }
}

Test(builtin, an_allowed_one_is_found_by_its_type)
{
    struct slice out = translate(
        &kit, OR, GG,
        "{'model':'m','input':'q','tools':[{'type':'shell'},{'type':'function','name':'f'}],"
        "'tool_choice':{'type':'allowed_tools','mode':'required','tools':[{'type':'shell'}]}}");

    expect_has(&kit, out, "'allowedFunctionNames':['shell']");
}

Test(builtin, its_own_dialect_gets_it_as_it_was)
{
    struct slice out =
        translate(&kit, AM, AM,
                  "{'model':'m','max_tokens':9,'tools':[{'type':'bash_20250124','name':'bash',"
                  "'cache_control':{'type':'ephemeral'}}],'messages':[{'role':'user','content':"
                  "'q'}]}");

    expect_has(&kit, out, "{'type':'bash_20250124','name':'bash','cache_control'");
    kit_again(&kit);
    out = translate(&kit, OR, OR,
                    "{'model':'m','input':'q','tools':[{'type':'shell','environment':null}]}");
    expect_has(&kit, out, "'tools':[{'type':'shell','environment':null}]");
}

Test(builtin, a_call_comes_back_as_an_item_of_its_own_kind)
{
    struct slice out;

    translate(&kit, OR, OC, "{'model':'m','input':'q','tools':[{'type':'shell'}]}");
    out = document(&kit, OC, OR,
                   "{'choices':[{'index':0,'message':{'role':'assistant','content':null,"
                   "'tool_calls':[{'id':'c1','type':'function','function':{'name':'shell',"
                   "'arguments':'{\\'commands\\':[\\'ls\\'],\\'timeout_ms\\':5}'}}]},"
                   "'finish_reason':'tool_calls'}]}");
    expect_has(&kit, out,
               "'type':'shell_call','environment':null,'action':{'commands':['ls'],"
               "'timeout_ms':5,'max_output_length':null},'status':'completed','call_id':'c1'");
    expect_no(&kit, out, "function_call");
}

Test(builtin, a_function_of_the_same_name_stays_one)
{
    struct slice out;

    translate(&kit, OR, OC,
              "{'model':'m','input':'q','tools':[{'type':'function','name':'shell'}]}");
    out = document(&kit, OC, OR,
                   "{'choices':[{'index':0,'message':{'role':'assistant','content':null,"
                   "'tool_calls':[{'id':'c1','type':'function','function':{'name':'shell',"
                   "'arguments':'{}'}}]},'finish_reason':'tool_calls'}]}");
    expect_has(&kit, out, "'type':'function_call'");
}

Test(builtin, what_runs_at_the_vendor_still_does_not_cross)
{
    struct slice out =
        translate(&kit, AM, OC,
                  "{'model':'m','max_tokens':9,'tools':[{'type':'code_execution_20250522','name':"
                  "'code_execution'},{'type':'computer_toolset_20260801'},{'type':'bash_20250124',"
                  "'name':'bash'}],'messages':[{'role':'user','content':'q'}]}");

    expect_count(&kit, out, "'type':'function'", 1);
    cr_expect(is_lost(&kit, "code_execution_20250522") &&
              is_lost(&kit, "computer_toolset_20260801"));
}
