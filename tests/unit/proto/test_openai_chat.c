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
