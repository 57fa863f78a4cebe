#include <criterion/criterion.h>

#include "codec.h"
#include "r2a/json/path.h"
#include "r2a/proto/list.h"
#include "support/guard.h"
#include "support/vectors.h"

/* Chat Completions requests: what transcripts cannot say well. */

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(openai_chat_request, .init = setup, .fini = teardown);

static struct slice lines_of(struct slice body)
{
    return kit_request_decode(&kit, &proto_openai_chat, body);
}

static struct slice there_and_back(struct slice body)
{
    struct slice again = kit_translate(&kit, &proto_openai_chat, &proto_openai_chat, body);

    cr_assert(again.len > 0, "refused: %.*s", (int)kit.fault.message.len, kit.fault.message.ptr);
    cr_assert(is_json(again));
    return again;
}

Test(openai_chat_request, every_truncation_is_refused_with_an_offset)
{
    struct slice body = quoted(
        &kit,
        "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'a\\u00e9'},"
        "{'type':'image_url','image_url':{'url':'data:image/png;base64,AAAA'}}]}],"
        "'stream':true,'temperature':1.5e-1,'stop':['x',\"y\"]}");

    for (size_t len = 0; len < body.len; len++) {
        const char *guarded = guard_copy(body.ptr, len);
        struct slice lines = lines_of(slice_of(guarded, len));

        cr_assert(str_starts(lines, S("ERROR INVALID")), "%zu bytes passed", len);
        cr_assert_eq(kit.fault.offset, (int64_t)len, "%zu bytes: offset %ld", len,
                     (long)kit.fault.offset);
        guard_free(guarded, len);
    }
    cr_assert_not(str_starts(lines_of(body), S("ERROR")));
}

Test(openai_chat_request, text_on_the_tape_is_the_bodys_own)
{
    char *body = arena_take(&kit.arena, 200000);
    size_t head = (size_t)snprintf(body, 200000,
                                   "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                                   "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
    static const struct json_pick picks[] = {{.key = S_INIT("model")}};
    struct json_found found[1];
    struct json_memo memo;
    uint64_t offset;
    struct ir_tape tape;
    struct slice whole;

    memset(body + head, 'A', 150000);
    whole = slice_of(body, head + 150000 +
                               (size_t)snprintf(body + head + 150000, 1000,
                                                "\"}}]},{\"role\":\"user\",\"content\":\"x\"}],"
                                                "\"model\":\"m\"}"));
    cr_assert_eq(json_pick(whole, picks, 1, found, &memo, &offset), R2A_OK);
    cr_assert_eq(memo.count, 1);
    kit.brief.memo = &memo;
    ir_tape_init(&tape, kit.mem);
    cr_assert_eq(proto_openai_chat.request_decode(whole, &tape.sink, &kit.brief, &kit.fault),
                 R2A_OK);
    for (uint32_t i = 0; i < tape.count; i++)
        if (tape.events[i].kind == IR_TEXT && tape.events[i].u.text.len == 150000)
            cr_assert_eq(tape.events[i].u.text.ptr, body + head);
    cr_assert_eq(kit.brief.images_count, 1);
    ir_tape_clear(&tape);
}

Test(openai_chat_request, the_brief_knows_what_the_answer_needs)
{
    (void)lines_of(quoted(&kit, "{'model':'a/b','messages':[{'role':'user','content':'12345'}],"
                                "'stream':true,'stream_options':{'include_usage':true},"
                                "'functions':[{'name':'f'}],'max_tokens':5}"));
    cr_assert(slice_eq(kit.brief.model, S("a/b")));
    cr_assert_eq(kit.brief.shape, BRIEF_SSE);
    cr_assert(kit.brief.usage_asked);
    cr_assert(kit.brief.is_legacy_functions);
    cr_assert(kit.brief.has_tools);
    cr_assert(kit.brief.thoughts_shown);
    cr_assert_null(kit.brief.repeats);
    cr_assert_eq(kit.brief.max_out, 5);
    cr_assert_eq(kit.brief.text_bytes, 5 + strlen("{'name':'f'}"));
    (void)lines_of(quoted(&kit, "{'messages':[{'role':'user','content':'x'}]}"));
    cr_assert_eq(kit.brief.model.len, 0);
    cr_assert_eq(kit.brief.max_out, -1);
}

Test(openai_chat_request, a_tape_that_is_full_is_a_413_and_no_memory_a_503)
{
    struct mem_budget budget = {.limit = 300000};
    struct mem *mem = mem_open(&budget, 1u << 20);
    char *body = arena_take(&kit.arena, 400000);
    size_t len = (size_t)snprintf(body, 100, "{\"messages\":[");
    struct ir_tape tape;

    for (int i = 0; i < 5000; i++)
        len += (size_t)snprintf(body + len, 100, "%s{\"role\":\"user\",\"content\":\"x\"}",
                                i > 0 ? "," : "");
    len += (size_t)snprintf(body + len, 100, "]}");
    ir_tape_init(&tape, mem);
    cr_assert_eq(
        proto_openai_chat.request_decode(slice_of(body, len), &tape.sink, &kit.brief, &kit.fault),
        R2A_ERR_NO_MEMORY);
    cr_assert_eq(kit.fault.kind, FAULT_OVERLOAD);
    ir_tape_clear(&tape);
    mem_close(mem);
}

Test(openai_chat_request, regression_56_numbers_and_angle_brackets_stay_as_they_are)
{
    struct slice out = there_and_back(
        quoted(&kit, "{'model':'m','messages':[{'role':'user','content':'<b>&\\u2028'}],"
                     "'temperature':0.10,'seed':1234567890123456789,"
                     "'tools':[{'type':'function','function':{'name':'f','parameters':{'type':"
                     "'object','x':1e400,'y':[1.0, 12345678901234567890]}}}]}"));

    cr_assert(str_find(out, S("<b>&\\u2028")) < out.len || str_starts(out, S("ERROR")));
    cr_assert(has(&kit, out, "'temperature':0.10"));
    cr_assert(has(&kit, out, "'x':1e400,'y':[1.0, 12345678901234567890]"));
}

Test(openai_chat_request, a_seed_beyond_64_bits_is_refused)
{
    struct slice lines = lines_of(quoted(
        &kit,
        "{'messages':[{'role':'user','content':'x'}],'seed':123456789012345678901234567890}"));

    cr_assert(str_starts(lines, S("ERROR INVALID")));
}

Test(openai_chat_request, regression_44_calls_of_one_turn_are_one_message)
{
    struct slice out = there_and_back(quoted(
        &kit, "{'model':'m','messages':[{'role':'user','content':'go'},{'role':'assistant',"
              "'content':'a','tool_calls':[{'id':'1','type':'function','function':{'name':'f',"
              "'arguments':'{}'}}]},{'role':'assistant','content':null,'tool_calls':[{'id':'2',"
              "'type':'function','function':{'name':'f','arguments':'{}'}}]},{'role':'tool',"
              "'tool_call_id':'2','content':'two'},{'role':'tool','tool_call_id':'1','content':"
              "'one'}]}"));

    cr_assert_eq(count(&kit, out, "'role':'assistant'"), 1);
    cr_assert_eq(count(&kit, out, "'role':'tool'"), 2);
    cr_assert_lt(str_find(out, quoted(&kit, "'content':'one'")),
                 str_find(out, quoted(&kit, "'content':'two'")));
}

Test(openai_chat_request, regression_25_one_name_for_the_limit_and_never_both)
{
    struct slice body = quoted(&kit, "{'messages':[{'role':'user','content':'x'}],"
                                     "'max_completion_tokens':7,'max_tokens':9}");
    struct slice out = there_and_back(body);

    cr_assert(has(&kit, out, "'max_tokens':7"));
    cr_assert_not(has(&kit, out, "'max_completion_tokens'"));
    kit.target.profile.oc_flavour = OC_FLAVOUR_OPENAI;
    out = there_and_back(body);
    cr_assert(has(&kit, out, "'max_completion_tokens':7"));
    cr_assert_not(has(&kit, out, "'max_tokens'"));
}

Test(openai_chat_request, empty_tools_and_choices_without_tools_stay_behind)
{
    struct slice out = there_and_back(
        quoted(&kit, "{'messages':[{'role':'user','content':'x'}],'tools':[],'tool_choice':'auto',"
                     "'parallel_tool_calls':true}"));

    cr_assert_not(has(&kit, out, "tool"));
}

Test(openai_chat_request, requests_of_the_vectors_are_taken_and_written_for_both_flavours)
{
    static const char *const names[] = {
        "01-minimal",     "02-all-scalars",      "03-tool-history",
        "04-image",       "05-audio-file",       "06-json-schema",
        "07-custom-tool", "08-vendor-reasoning", "09-legacy-functions"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        size_t len;
        char *bytes;
        struct slice first, second;

        snprintf(path, sizeof(path), "protocol/openai-chat/req-%s.json", names[i]);
        bytes = vectors_read(path, &len);
        if (bytes == NULL)
            cr_skip_test("no vectors at VECTORS_DIR");
        for (uint8_t flavour = 0; flavour < 2; flavour++) {
            kit.target.profile.oc_flavour = flavour;
            first = there_and_back(slice_of(bytes, len));
            /* What we wrote ourselves says the same once more. */
            second = there_and_back(first);
            cr_assert(slice_eq(first, second), "%s:\n%.*s\n%.*s", names[i], (int)first.len,
                      first.ptr, (int)second.len, second.ptr);
        }
        free(bytes);
    }
}
