#include "codec.h"

/* Answers from the Messages API and for its clients. The numbers are those of conversion.md 5. */

#define OC (&proto_openai_chat)
#define AM (&proto_anthropic)

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
    kit.brief.minter = S("up");
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(anthropic_answer, .init = open_kit, .fini = close_kit);

#define TO_CLIENT(...) STREAM(&kit, OC, AM, __VA_ARGS__)
#define UPSTREAM(...)  STREAM(&kit, AM, OC, __VA_ARGS__)
#define CHUNK(delta)   "{'id':'c','model':'m','choices':[{'index':0,'delta':" delta "}]}"
#define FINISH(reason) "{'choices':[{'index':0,'delta':{},'finish_reason':'" reason "'}]}", "[DONE]"
#define CALL(index, id, args)                                                                      \
    "{'index':" index ",'id':'" id "','type':'function','function':{'name':'f','arguments':'" args \
    "'}}"
#define MORE(index, args) "{'index':" index ",'function':{'arguments':'" args "'}}"

#define START                                                                            \
    "{'type':'message_start','message':{'id':'msg_1','model':'c','content':[],'usage':{" \
    "'input_tokens':10,'cache_read_input_tokens':70,'cache_creation_input_tokens':20,"   \
    "'output_tokens':1}}}"
#define OPEN(index, block) \
    "{'type':'content_block_start','index':" index ",'content_block':" block "}"
#define DELTA(index, delta) "{'type':'content_block_delta','index':" index ",'delta':" delta "}"
#define CLOSE(index)        "{'type':'content_block_stop','index':" index "}"
#define STOPPED(reason)                                       \
    "{'type':'message_delta','delta':{'stop_reason':'" reason \
    "','stop_sequence':null},'usage':{'output_tokens':7}}"
#define STOP "{'type':'message_stop'}"

/* What SDK readers demand of a stream (anthropic-messages.md 5.1): named events whose name is the
 * type, one message_start first, blocks one after another with dense indexes, deltas that fit. */
static void check_stream(struct slice out, bool is_complete)
{
    struct slice rest = out, line, name = {0};
    int64_t blocks = 0;
    bool is_open = false, has_start = false, has_delta = false, has_stop = false;
    char kind[32] = "";

    while (rest.ptr != NULL && str_split(&rest, '\n', &line)) {
        struct slice data;

        if (str_starts(line, S("event: "))) {
            name = slice_skip(line, 7);
            continue;
        }
        if (!str_starts(line, S("data: ")))
            continue;
        data = slice_skip(line, 6);
        cr_assert(is_json(data), "%.*s", (int)data.len, data.ptr);
        cr_assert(str_starts(slice_skip(data, 9), name), "name and type differ: %.*s",
                  (int)data.len, data.ptr);
        cr_assert(!has_stop);
        if (slice_eq(name, S("message_start"))) {
            cr_assert(!has_start);
            has_start = true;
        } else if (slice_eq(name, S("error"))) {
            return;
        } else {
            cr_assert(has_start);
        }
        if (slice_eq(name, S("content_block_start"))) {
            struct slice type = slice_skip(data, str_find(data, S("block\":{\"type\":\"")) + 16);

            cr_assert(!is_open, "two blocks at once: %.*s", (int)out.len, out.ptr);
            snprintf(kind, sizeof(kind), "%.*s", (int)str_find_char(type, '"'), type.ptr);
            is_open = true;
            blocks++;
        } else if (slice_eq(name, S("content_block_delta"))) {
            const char *want = strcmp(kind, "text") == 0       ? "text_delta"
                               : strcmp(kind, "thinking") == 0 ? "thinking_delta"
                                                               : "input_json_delta";

            cr_assert(is_open);
            cr_assert(
                str_find(data, slice_from_z(want)) < data.len ||
                    (strcmp(kind, "thinking") == 0 &&
                     str_find(data, S("signature_delta")) < data.len) ||
                    (strcmp(kind, "text") == 0 && str_find(data, S("citations_delta")) < data.len),
                "%s: %.*s", kind, (int)data.len, data.ptr);
        } else if (slice_eq(name, S("content_block_stop"))) {
            cr_assert(is_open);
            is_open = false;
        } else if (slice_eq(name, S("message_delta"))) {
            cr_assert(!is_open && !has_delta);
            has_delta = true;
        } else if (slice_eq(name, S("message_stop"))) {
            cr_assert(has_delta);
            has_stop = true;
        }
        if (str_starts(name, S("content_block"))) {
            int64_t index = -1;
            struct slice number = slice_skip(data, str_find(data, S("\"index\":")) + 8);

            number.len = 1;
            cr_assert(str_parse_i64(number, &index));
            cr_assert_eq(index, blocks - 1);
        }
    }
    cr_assert_eq(has_stop, is_complete);
}

/* --- upstream speaks Messages --- */

Test(anthropic_answer, regression_82_a_call_without_an_id_gets_one_without_a_name_is_no_success)
{
    struct slice out = UPSTREAM(START, OPEN("0", "{'type':'tool_use','name':'f','input':{}}"),
                                CLOSE("0"), OPEN("1", "{'type':'tool_use','name':'f','input':{}}"),
                                CLOSE("1"), STOPPED("tool_use"), STOP);
    struct slice rest = slice_skip(out, str_find(out, S("\"id\":\"call_")) + 11), id, other;

    id = slice_head(rest, 24);
    other = slice_head(slice_skip(rest, str_find(rest, S("\"id\":\"call_")) + 11), 24);
    cr_expect_eq(id.len, 24u);
    cr_expect_eq(other.len, 24u);
    cr_expect(!slice_eq(id, other));
    expect_has(&kit, out, "'finish_reason':'tool_calls'");
    out = UPSTREAM(START, OPEN("0", "{'type':'tool_use','id':'t1','input':{}}"), CLOSE("0"),
                   STOPPED("tool_use"), STOP);
    expect_has(&kit, out, "upstream made a tool call without a name");
    expect_no(&kit, out, "'finish_reason':'tool_calls'");
    out = kit_decode_document(&kit, AM,
                              quoted(&kit, "{'type':'message','content':[{'type':'tool_use','id':"
                                           "'t1','input':{}},{'type':'text','text':'x'}],"
                                           "'stop_reason':'tool_use'}"));
    expect_has(&kit, out, "ERROR BAD_GATEWAY");
    expect_no(&kit, out, "GRAMMAR");
}

Test(anthropic_answer, regression_57_all_blocks_of_a_plain_answer_are_told)
{
    struct slice out = document(
        &kit, AM, OC,
        "{'type':'message','id':'x','model':'c','content':[{'type':'thinking','thinking':'h',"
        "'signature':'S'},{'type':'text','text':'A'},{'type':'text','text':'B'},"
        "{'type':'tool_use','id':'a','name':'f','input':{'x':1}},{'type':'tool_use','id':'b',"
        "'name':'g','input':{}}],'stop_reason':'tool_use','usage':{'input_tokens':1,"
        "'output_tokens':2}}");

    expect_has(&kit, out, "'content':'AB'");
    expect_has(&kit, out, "'reasoning_content':'h'");
    expect_has(&kit, out, "'arguments':'{\\'x\\':1}'");
    expect_has(&kit, out, "'name':'g','arguments':'{}'");
    expect_has(&kit, out, "'finish_reason':'tool_calls'");
}

Test(anthropic_answer, regression_60_61_reasons_to_stop_are_the_clients)
{
    static const struct {
        const char *reason, *want;
    } rows[] = {
        {"end_turn", "stop"},          {"max_tokens", "length"},
        {"stop_sequence", "stop"},     {"model_context_window_exceeded", "length"},
        {"refusal", "content_filter"}, {"pause_turn", "stop"},
        {"something_new", "stop"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[512], want[64];

        snprintf(body, sizeof(body),
                 "{'type':'message','content':[{'type':'text','text':'A'}],'stop_reason':'%s'}",
                 rows[i].reason);
        snprintf(want, sizeof(want), "'finish_reason':'%s'", rows[i].want);
        expect_has(&kit, document(&kit, AM, OC, body), want);
    }
}

Test(anthropic_answer, regression_63_cached_tokens_are_part_of_the_prompt)
{
    struct slice out =
        document(&kit, AM, OC,
                 "{'type':'message','content':[{'type':'text','text':'A'}],'stop_reason':"
                 "'end_turn','usage':{'input_tokens':10,'cache_creation_input_tokens':20,"
                 "'cache_read_input_tokens':70,'output_tokens':5}}");

    expect_has(&kit, out, "'prompt_tokens':100");
    expect_has(&kit, out, "'cached_tokens':70");
    expect_has(&kit, out, "'total_tokens':105");
}

Test(anthropic_answer, regression_69_70_71_calls_are_counted_apart_from_blocks)
{
    struct slice out =
        UPSTREAM(START, OPEN("0", "{'type':'text','text':''}"),
                 DELTA("0", "{'type':'text_delta','text':'hi'}"), CLOSE("0"),
                 OPEN("1", "{'type':'tool_use','id':'a','name':'f','input':{}}"),
                 DELTA("1", "{'type':'input_json_delta','partial_json':'{}'}"), CLOSE("1"),
                 OPEN("2", "{'type':'tool_use','id':'b','name':'f','input':{}}"),
                 DELTA("2", "{'type':'input_json_delta','partial_json':'{}'}"), CLOSE("2"),
                 STOPPED("tool_use"), STOP);

    expect_has(&kit, out, "{'index':0,'id':'a'");
    expect_has(&kit, out, "{'index':1,'id':'b'");
    expect_no(&kit, out, "'choices':[{'index':1");
    expect_count(&kit, out, "chatcmpl-AAAAAAAAAAAAAAAAAAAAAAAA", count(&kit, out, "'choices'"));
}

Test(anthropic_answer, regression_83_a_call_without_arguments_has_an_empty_object)
{
    struct slice out = UPSTREAM(START,
                                OPEN("0", "{'type':'tool_use','id':'a','name':'f',"
                                          "'input':{}}"),
                                DELTA("0", "{'type':'input_json_delta','partial_json':''}"),
                                CLOSE("0"), STOPPED("tool_use"), STOP);

    expect_has(&kit, out, "'arguments':'{}'");
}

Test(anthropic_answer, arguments_that_come_with_the_start_are_used)
{
    struct slice out =
        UPSTREAM(START, OPEN("0", "{'type':'tool_use','id':'a','name':'f','input':{'x': 1}}"),
                 CLOSE("0"), STOPPED("tool_use"), STOP);

    expect_has(&kit, out, "'arguments':'{\\'x\\':1}'");
}

Test(anthropic_answer, regression_89_counters_are_totals_and_never_added)
{
    struct slice out;

    kit.brief.usage_asked = true;
    out = UPSTREAM(START, OPEN("0", "{'type':'text','text':''}"),
                   DELTA("0", "{'type':'text_delta','text':'hi'}"), CLOSE("0"),
                   "{'type':'message_delta','delta':{'stop_reason':'end_turn'},'usage':{"
                   "'input_tokens':10,'cache_read_input_tokens':70,'output_tokens':3}}",
                   "{'type':'message_delta','delta':{},'usage':{'output_tokens':7}}", STOP);
    expect_has(&kit, out, "'prompt_tokens':100");
    expect_has(&kit, out, "'completion_tokens':7");
}

Test(anthropic_answer, regression_97_an_end_without_a_reason_is_an_error)
{
    struct slice out = UPSTREAM(START, OPEN("0", "{'type':'text','text':''}"),
                                DELTA("0", "{'type':'text_delta','text':'hi'}"));

    expect_has(&kit, out, "'error'");
    expect_no(&kit, out, "'finish_reason':'stop'");
    expect_no(&kit, out, "[DONE]");
    /* the terminator alone may be missing */
    out = UPSTREAM(START, OPEN("0", "{'type':'text','text':''}"),
                   DELTA("0", "{'type':'text_delta','text':'hi'}"), STOPPED("end_turn"));
    expect_has(&kit, out, "'finish_reason':'stop'");
    expect_has(&kit, out, "[DONE]");
}

Test(anthropic_answer, regression_98_99_errors_in_a_stream_are_errors)
{
    struct slice out = UPSTREAM(START, OPEN("0", "{'type':'text','text':''}"),
                                DELTA("0", "{'type':'text_delta','text':'hi'}"),
                                "{'type':'error','error':{'type':'overloaded_error','message':"
                                "'Overloaded'}}",
                                STOPPED("end_turn"), STOP);

    expect_has(&kit, out, "'message':'Overloaded'");
    expect_has(&kit, out, "'code':'overloaded'");
    expect_no(&kit, out, "finish_reason':'");
    expect_no(&kit, out, "[DONE]");
}

Test(anthropic_answer, an_error_in_place_of_an_answer_is_an_error)
{
    struct slice lines =
        kit_decode_document(&kit, AM,
                            quoted(&kit, "{'type':'error','error':{'type':'rate_limit_error',"
                                         "'message':'slow down'}}"));

    cr_expect(str_starts(lines, S("ERROR RATE")), "%.*s", (int)lines.len, lines.ptr);
    lines = kit_decode_document(&kit, AM, quoted(&kit, "{'type':'message','content':[{'type'"));
    cr_expect(str_starts(lines, S("ERROR BAD_GATEWAY")), "%.*s", (int)lines.len, lines.ptr);
    lines = kit_decode_document(&kit, AM, quoted(&kit, "{'object':'chat.completion'}"));
    cr_expect(str_starts(lines, S("ERROR BAD_GATEWAY")), "%.*s", (int)lines.len, lines.ptr);
}

Test(anthropic_answer, an_odd_end_without_any_output_is_an_error)
{
    struct slice out = UPSTREAM(START, STOPPED("something_new"), STOP);

    expect_has(&kit, out, "upstream produced nothing");
    expect_no(&kit, out, "[DONE]");
    expect_has(&kit, UPSTREAM(START, STOPPED("end_turn"), STOP), "'finish_reason':'stop'");
}

Test(anthropic_answer, an_event_that_is_no_json_is_never_skipped)
{
    struct slice out = UPSTREAM(START, "{'type':'content_block_delta','delta':{'type':'text_del");

    expect_has(&kit, out, "'error'");
    expect_has(&kit, out, "bad_gateway");
}

Test(anthropic_answer, names_are_mapped_back_and_custom_calls_unwrapped)
{
    struct brief_name names[] = {
        {.client = text_plain(S("sql")), .wire = S("sql"), .is_custom = true},
        {.client = text_plain(S("a.b")), .wire = S("a_b_12345678")}};
    struct slice out;

    kit.brief.names = names;
    kit.brief.names_count = 2;
    out = UPSTREAM(START, OPEN("0", "{'type':'tool_use','id':'a','name':'sql','input':{}}"),
                   DELTA("0", "{'type':'input_json_delta','partial_json':'{\\'inp'}"),
                   DELTA("0", "{'type':'input_json_delta','partial_json':'ut\\': \\'a\\\\'}"),
                   DELTA("0", "{'type':'input_json_delta','partial_json':'nb\\\\u00e9'}"),
                   DELTA("0", "{'type':'input_json_delta','partial_json':'\\'}'}"), CLOSE("0"),
                   OPEN("1", "{'type':'tool_use','id':'b','name':'a_b_12345678','input':{}}"),
                   CLOSE("1"), STOPPED("tool_use"), STOP);
    expect_has(&kit, out, "'custom':{'name':'sql'");
    expect_has(&kit, out, "\\nb\\u00e9");
    expect_no(&kit, out, "\\'input");
    expect_has(&kit, out, "'name':'a.b'");
}

Test(anthropic_answer, halves_of_a_surrogate_pair_travel_together)
{
    struct slice lines;
    struct kit_answer answer;

    kit_answer_open(&kit, AM, &answer);
    kit_answer_frame(&answer, FRAME_DATA, (struct slice){0}, quoted(&kit, START));
    kit_answer_frame(&answer, FRAME_DATA, (struct slice){0},
                     quoted(&kit, DELTA("0", "{'type':'text_delta','text':'a\\ud83d'}")));
    kit_answer_frame(&answer, FRAME_DATA, (struct slice){0},
                     quoted(&kit, DELTA("0", "{'type':'text_delta','text':'\\ude00b'}")));
    kit_answer_frame(&answer, FRAME_DATA, (struct slice){0}, quoted(&kit, STOPPED("end_turn")));
    lines = kit_answer_finish(&answer);
    cr_expect(str_find(lines, S("TEXT part=0 escaped a\n")) < lines.len, "%.*s", (int)lines.len,
              lines.ptr);
    cr_expect(str_find(lines, S("escaped \\ud83d\\ude00b\n")) < lines.len);
}

Test(anthropic_answer, deltas_are_read_alike_however_they_are_spelt)
{
    static const char *const deltas[][2] = {
        {"{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a\\n'}}",
         "{'index':0,'delta':{'text':'a\\n','type':'text_delta'},'type':'content_block_delta'}"},
        {"{'type':'content_block_delta','index':10,'delta':{'type':'thinking_delta','thinking':"
         "'a'}   }",
         "{'type' : 'content_block_delta','delta':{'type':'thinking_delta','thinking':'a'}}"},
        {"{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a'}",
         "{'type':'content_block_delta','delta':{'type':'text_delta','text':'a'}"},
        {"{'type':'content_block_delta','index':01,'delta':{'type':'text_delta','text':'a'}}",
         "{'type':'content_block_delta','index': 01,'delta':{'type':'text_delta','text':'a'}}"},
        {"{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a\\x'}}",
         "{'type' :'content_block_delta','delta':{'type':'text_delta','text':'a\\x'}}"},
        {"{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a'}}}",
         "{'type' :'content_block_delta','delta':{'type':'text_delta','text':'a'}}}"},
        {"{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'a','x':1}}",
         "{'type' :'content_block_delta','delta':{'type':'text_delta','text':'a','x':1}}"},
    };

    for (size_t i = 0; i < sizeof(deltas) / sizeof(*deltas); i++) {
        struct slice lines[2];

        for (size_t k = 0; k < 2; k++) {
            struct kit_answer answer;

            kit_answer_open(&kit, AM, &answer);
            kit_answer_frame(&answer, FRAME_DATA, (struct slice){0}, quoted(&kit, deltas[i][k]));
            lines[k] = kit_answer_finish(&answer);
        }
        cr_expect(slice_eq(lines[0], lines[1]), "%.*s but %.*s", (int)lines[0].len, lines[0].ptr,
                  (int)lines[1].len, lines[1].ptr);
    }
}

/* --- the client speaks Messages --- */

Test(anthropic_answer, regression_62_cached_tokens_are_told_apart)
{
    struct slice out = document(
        &kit, OC, AM,
        "{'id':'c','model':'m','choices':[{'index':0,'message':{'role':'assistant','content':"
        "'A'},'finish_reason':'stop'}],'usage':{'prompt_tokens':100,'completion_tokens':5,"
        "'prompt_tokens_details':{'cached_tokens':60}}}");

    expect_has(&kit, out, "'input_tokens':40");
    expect_has(&kit, out, "'cache_read_input_tokens':60");
    expect_has(&kit, out, "'cache_creation_input_tokens':0");
    expect_has(&kit, out, "'output_tokens':5");
}

Test(anthropic_answer, regression_72_73_the_first_block_is_of_the_right_kind_and_nothing_is_lost)
{
    struct slice out = TO_CLIENT(CHUNK("{'role':'assistant','content':''}"),
                                 CHUNK("{'tool_calls':[" CALL("0", "a", "{\\'x\\':1}") "]}"),
                                 FINISH("tool_calls"));

    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 1);
    expect_has(&kit, out, "{'type':'tool_use','id':'a','name':'f','input':{}}");
    expect_has(&kit, out, "'partial_json':'{\\'x\\':1}'");
    expect_has(&kit, out, "'stop_reason':'tool_use'");
}

Test(anthropic_answer, reasoning_text_and_a_call_are_three_blocks)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'role':'assistant','reasoning_content':'hm'}"), CHUNK("{'content':'A'}"),
                  CHUNK("{'content':'B'}"), CHUNK("{'tool_calls':[" CALL("0", "a", "") "]}"),
                  CHUNK("{'tool_calls':[" MORE("0", "{}") "]}"), FINISH("tool_calls"));

    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 3);
    expect_has(&kit, out, "'content_block':{'type':'thinking','thinking':'','signature':''}");
    expect_has(&kit, out, "'thinking':'hm'");
    expect_no(&kit, out, "partial_json");
}

Test(anthropic_answer, regression_76_77_text_after_a_call_is_a_new_block_and_a_line_end_is_not)
{
    struct slice out = TO_CLIENT(CHUNK("{'tool_calls':[" CALL("0", "a", "{}") "]}"),
                                 CHUNK("{'content':'done'}"), FINISH("tool_calls"));

    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 2);
    expect_has(&kit, out, "'text':'done'");
    out = TO_CLIENT(CHUNK("{'tool_calls':[" CALL("0", "a", "{}") "]}"), CHUNK("{'content':'\\n'}"),
                    FINISH("tool_calls"));
    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 1);
}

Test(anthropic_answer, regression_79_interleaved_calls_become_blocks_in_a_row)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'tool_calls':[" CALL("0", "a", "") "," CALL("1", "b", "") "]}"),
                  CHUNK("{'tool_calls':[" MORE("1", "{\\'city\\'") "]}"),
                  CHUNK("{'tool_calls':[" MORE("0", "{\\'city\\':\\'Os") "]}"),
                  CHUNK("{'tool_calls':[" MORE("1", ":\\'Rome\\'}") "]}"),
                  CHUNK("{'tool_calls':[" MORE("0", "lo\\'}") "]}"), FINISH("tool_calls"));

    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 2);
    expect_has(&kit, out, "'partial_json':'{\\'city\\':\\'Rome\\'}'");
}

Test(anthropic_answer, a_finished_call_gives_way_to_the_next_before_its_end)
{
    struct slice out = kit_encode(&kit, AM,
                                  S("BEGIN\nPART call part=0 id=plain\"a\" name=plain\"f\"\n"
                                    "TEXT part=0 escaped {\\\"x\\\":\\\"}\n"
                                    "PART call part=1 id=plain\"b\" name=plain\"f\"\n"
                                    "TEXT part=1 escaped {\\\"y\\\"\n"
                                    "TEXT part=0 escaped \\\"}\n"
                                    "TEXT part=1 escaped :1}\n"
                                    "TEXT part=0 escaped  \n"));

    expect_has(&kit, out, "'index':1,'delta':{'type':'input_json_delta','partial_json':'{\\'y\\''");
    expect_has(&kit, out, "'partial_json':':1}'");
    expect_count(&kit, out, "'type':'content_block_stop'", 1);
}

Test(anthropic_answer, regression_86_the_closing_sequence_is_always_complete)
{
    struct slice out = TO_CLIENT("{'choices':[{'index':0,'delta':{'content':'A'},"
                                 "'finish_reason':'stop'}]}");

    check_stream(out, true);
    expect_has(&kit, out,
               "'usage':{'input_tokens':0,'cache_creation_input_tokens':0,"
               "'cache_read_input_tokens':0,'output_tokens':0}");
    out = TO_CLIENT("{'choices':[{'index':0,'delta':{},'finish_reason':'stop'}]}", "[DONE]");
    check_stream(out, true);
    expect_no(&kit, out, "content_block");
}

Test(anthropic_answer, regression_87_88_usage_after_the_finish_is_in_the_last_event)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'content':'A'}"),
                  "{'choices':[{'index':0,'delta':{},'finish_reason':'stop'}],'usage':{"
                  "'prompt_tokens':1,'completion_tokens':1}}",
                  "{'choices':[],'usage':{'prompt_tokens':9,'completion_tokens':4}}", "[DONE]");

    check_stream(out, true);
    expect_has(&kit, out,
               "'usage':{'input_tokens':9,'cache_creation_input_tokens':0,"
               "'cache_read_input_tokens':0,'output_tokens':4}}");
}

Test(anthropic_answer, an_error_after_output_ends_the_stream_without_a_closing)
{
    struct slice out = TO_CLIENT(CHUNK("{'tool_calls':[" CALL("0", "a", "{") "]}"),
                                 "{'error':{'message':'boom','code':429}}");

    check_stream(out, false);
    expect_has(&kit, out, "{'type':'error','error':{'type':'rate_limit_error','message':'boom'}");
    expect_no(&kit, out, "content_block_stop");
    expect_no(&kit, out, "message_stop");
}

Test(anthropic_answer, regression_106_errors_have_the_clients_shape)
{
    static const struct {
        uint8_t kind;
        uint16_t status;
        const char *type;
    } rows[] = {{FAULT_INVALID, 400, "invalid_request_error"},
                {FAULT_AUTH, 401, "authentication_error"},
                {FAULT_UP_AUTH, 502, "api_error"},
                {FAULT_BILLING, 402, "billing_error"},
                {FAULT_PERMISSION, 403, "permission_error"},
                {FAULT_NOT_FOUND, 404, "not_found_error"},
                {FAULT_TOO_LARGE, 413, "request_too_large"},
                {FAULT_RATE, 429, "rate_limit_error"},
                {FAULT_OVERLOAD, 529, "overloaded_error"},
                {FAULT_TIMEOUT, 504, "timeout_error"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fault fault = fault_of((enum fault_kind)rows[i].kind, S("say \"so\""));
        struct rope rope = kit_rope(&kit);
        struct slice out;
        char want[128];

        fault.request_id = S("req_1");
        cr_expect_eq(AM->error_body(&fault, &rope), rows[i].status);
        out = kit_take(&kit, &rope);
        cr_expect(is_json(out));
        snprintf(want, sizeof(want),
                 "{'type':'error','error':{'type':'%s','message':'say \\'so\\''},"
                 "'request_id':'req_1'}",
                 rows[i].type);
        expect_has(&kit, out, want);
    }
}

Test(anthropic_answer, a_full_context_is_told_in_words_that_clients_know)
{
    struct fault fault = fault_of(FAULT_CONTEXT, S("maximum context length is 8192 tokens"));
    struct rope rope = kit_rope(&kit);

    cr_expect_eq(AM->error_body(&fault, &rope), 400);
    expect_has(&kit, kit_take(&kit, &rope),
               "'message':'prompt is too long: maximum context length is 8192 tokens'");
    fault = fault_of(FAULT_INVALID, S("no"));
    fault.status = 415;
    cr_expect_eq(AM->error_body(&fault, &rope), 415);
    rope_clear(&rope);
}

Test(anthropic_answer, regression_107_signs_of_life_fit_the_place)
{
    struct slice out = kit_encode(&kit, AM,
                                  S("BEGIN\nALIVE\nPART text part=0\nTEXT part=0 plain A\n"
                                    "ALIVE\nPART_END part=0\nSTOP end\nEND\n"));

    cr_expect(str_starts(out, S(": keep-alive\n\nevent: message_start\n")), "%.*s", (int)out.len,
              out.ptr);
    expect_count(&kit, out, "event: ping\ndata: {'type':'ping'}\n\n", 1);
}

Test(anthropic_answer, nothing_is_written_before_there_is_content)
{
    struct slice out =
        kit_encode(&kit, AM, S("BEGIN id=plain\"x\"\nUSAGE input=5\nPART text part=0\n"));

    cr_expect_eq(out.len, 0u, "%.*s", (int)out.len, out.ptr);
    out = kit_encode(&kit, AM,
                     S("BEGIN\nUSAGE input=5 cache_read=3\nPART text part=0\n"
                       "TEXT part=0 plain A\n"));
    expect_has(&kit, out,
               "'usage':{'input_tokens':2,'cache_creation_input_tokens':0,"
               "'cache_read_input_tokens':3,'output_tokens':0}");
    expect_has(&kit, out, "'model':'m-client'");
}

Test(anthropic_answer, empty_text_opens_no_block)
{
    struct slice out = kit_encode(&kit, AM,
                                  S("BEGIN\nPART text part=0\nPART_END part=0\n"
                                    "PART reason part=1\nPART_END part=1\nSTOP end\nEND\n"));

    check_stream(out, true);
    expect_no(&kit, out, "content_block");
}

/* --- secrets --- */

Test(anthropic_answer, native_secrets_travel_as_they_are_and_foreign_ones_sealed)
{
    struct slice out;

    kit.brief.minter = S("google");
    out = kit_encode(&kit, AM,
                     S("BEGIN\nPART reason part=0\nTEXT part=0 plain hm\n"
                       "FIELD seal part=0 plain\"SIG\" number=97\nPART_END part=0\n"
                       "PART redacted part=1\nFIELD seal part=1 plain\"RED\" number=100\n"
                       "PART_END part=1\nPART reason part=2\nTEXT part=2 plain g\n"
                       "FIELD seal part=2 plain\"SIG\" number=103\nPART_END part=2\n"
                       "STOP end\nEND\n"));
    check_stream(out, true);
    expect_has(&kit, out, "{'type':'signature_delta','signature':'SIG'}");
    expect_has(&kit, out, "{'type':'redacted_thinking','data':'RED'}");
    /* base64url of google NUL SIG */
    expect_has(&kit, out, "'signature':'gw1.g.Z29vZ2xlAFNJRw'");
}

Test(anthropic_answer, a_secret_of_a_call_goes_on_the_thinking_before_it)
{
    struct slice out;

    kit.brief.minter = S("google");
    out = kit_encode(&kit, AM,
                     S("BEGIN\nPART reason part=0\nTEXT part=0 plain hm\nPART_END part=0\n"
                       "PART call part=1 id=plain\"a\" name=plain\"f\"\n"
                       "FIELD seal part=1 plain\"S1\" number=103\nTEXT part=1 json {\"x\":1}\n"
                       "PART_END part=1\n"
                       "PART call part=2 id=plain\"b\" name=plain\"f\"\n"
                       "FIELD seal part=2 plain\"S2\" number=103\nTEXT part=2 json {}\n"
                       "PART_END part=2\nSTOP tool\nEND\n"));
    check_stream(out, true);
    expect_count(&kit, out, "'content_block_start'", 4);
    expect_count(&kit, out, "signature_delta", 2);
    cr_expect_lt(str_find(out, S("signature_delta")), str_find(out, quoted(&kit, "'id':'a'")));
}

Test(anthropic_answer, a_secret_alone_is_a_thinking_block_without_text)
{
    struct slice out;

    kit.brief.minter = S("openai");
    kit.brief.shape = BRIEF_DOCUMENT;
    out = kit_encode(&kit, AM,
                     S("BEGIN\nPART reason part=0\nFIELD seal part=0 plain\"ENC\" number=114\n"
                       "FIELD item_id part=0 plain\"rs_1\"\nPART_END part=0\nPART text part=1\n"
                       "TEXT part=1 plain A\nPART_END part=1\nSTOP end\nEND\n"));
    cr_expect(is_json(out));
    /* openai NUL rs_1 NUL ENC */
    expect_has(&kit, out,
               "[{'type':'thinking','thinking':'','signature':'gw1.r.b3BlbmFpAHJzXzEARU5D'},");
}

/* --- documents --- */

Test(anthropic_answer, a_document_has_all_members)
{
    struct slice out = document(
        &kit, OC, AM,
        "{'id':'c','model':'m','choices':[{'index':0,'message':{'role':'assistant',"
        "'reasoning_content':'hm','content':'A\\'','tool_calls':[{'id':'a','type':'function',"
        "'function':{'name':'f','arguments':'{\\'n\\': 1.0}'}},{'id':'b','type':'function',"
        "'function':{'name':'f','arguments':'oops'}}]},'finish_reason':'tool_calls'}]}");

    cr_assert(is_json(out), "%.*s", (int)out.len, out.ptr);
    expect_has(&kit, out,
               "{'id':'msg_AAAAAAAAAAAAAAAAAAAAAAAA','type':'message',"
               "'role':'assistant','model':'m-client','content':["
               "{'type':'thinking','thinking':'hm','signature':''},"
               "{'type':'text','text':'A\\'','citations':null},"
               "{'type':'tool_use','id':'a','name':'f','input':{'n': 1.0},");
    expect_has(&kit, out, "'input':{'_raw':'oops'}");
    expect_has(&kit, out, "'stop_reason':'tool_use','stop_sequence':null");
}

Test(anthropic_answer, a_reason_of_length_stays_with_half_a_call)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'tool_calls':[" CALL("0", "a", "{\\'x\\':") "]}"), FINISH("length"));

    check_stream(out, true);
    expect_has(&kit, out, "'stop_reason':'max_tokens'");
}

Test(anthropic_answer, refusals_are_text_and_a_reason)
{
    struct slice out =
        TO_CLIENT(CHUNK("{'refusal':'I can'}"), CHUNK("{'refusal':'not'}"), FINISH("stop"));

    check_stream(out, true);
    expect_has(&kit, out, "{'type':'text_delta','text':'I can'}");
    expect_has(&kit, out, "'stop_reason':'refusal'");
}

Test(anthropic_answer, images_and_citations_have_their_places)
{
    struct slice out =
        kit_encode(&kit, AM,
                   S("BEGIN\nPART image part=0\nFIELD mime part=0 plain\"image/png\"\n"
                     "TEXT part=0 plain AAAA\nPART_END part=0\nPART text part=1\n"
                     "TEXT part=1 plain A\nCITE part=1 url=plain\"https://e.example\" "
                     "title=plain\"E\" quoted=plain\"q\"\nPART_END part=1\n"
                     "CITE part=1 url=plain\"https://late.example\"\nSTOP end\nEND\n"));

    check_stream(out, true);
    expect_has(&kit, out, "[image omitted: image/png, 3 bytes]");
    expect_has(&kit, out,
               "{'type':'citations_delta','citation':{'type':'web_search_result_location',"
               "'url':'https://e.example','title':'E','cited_text':'q','encrypted_index':''}}");
    expect_no(&kit, out, "late");
}

Test(anthropic_answer, a_client_without_custom_tools_sees_a_function)
{
    struct slice lines = S("BEGIN\nPART call custom part=0 id=plain\"a\" name=plain\"sql\"\n"
                           "TEXT part=0 escaped a\\n\nTEXT part=0 escaped \\\"b\nPART_END part=0\n"
                           "STOP tool\nEND\n");
    struct slice out;
    struct ir_event event;

    if (!kit_read_line(&kit, S("PART call custom part=0 id=plain\"a\" name=plain\"sql\""), &event))
        cr_skip_test("the kit spells flags otherwise");
    out = kit_encode(&kit, AM, lines);
    check_stream(out, true);
    expect_has(&kit, out, "'partial_json':'{\\'input\\':\\'a\\\\n'");
    kit.brief.shape = BRIEF_DOCUMENT;
    out = kit_encode(&kit, AM, lines);
    expect_has(&kit, out, "'input':{'input':'a\\n\\'b'}");
}

/* --- lists and counts --- */

static void keep_id(void *context, struct slice id)
{
    struct str_buf *buf = context;

    str_buf_put(buf, id);
    str_buf_put_char(buf, ' ');
}

Test(anthropic_answer, lists_and_counts)
{
    struct proto_model models[] = {{.id = S("c-big"), .owner = S("p"), .created = 1770163200},
                                   {.id = S("c-new"), .owner = S("p"), .created = 0}};
    struct rope rope = kit_rope(&kit);
    char ids[64];
    struct str_buf buf = STR_BUF(ids);
    struct slice out;
    uint64_t tokens = 0;

    AM->models_write(models, 2, &rope);
    out = kit_take(&kit, &rope);
    expect_has(&kit, out,
               "{'data':[{'type':'model','id':'c-big','display_name':'c-big',"
               "'created_at':'2026-02-04T00:00:00Z'}");
    expect_has(&kit, out, "'has_more':false,'first_id':'c-big','last_id':'c-new'}");
    cr_expect(AM->models_read(out, keep_id, &buf));
    cr_expect(slice_eq(str_buf_slice(&buf), S("c-big c-new ")));
    AM->models_write(models, 0, &rope);
    expect_has(&kit, kit_take(&kit, &rope), "'data':[],'has_more':false,'first_id':null");
    AM->model_write(models, &rope);
    expect_has(&kit, kit_take(&kit, &rope), "{'type':'model','id':'c-big'");
    AM->count_write(&kit.brief, 2095, &rope);
    out = kit_take(&kit, &rope);
    cr_expect(AM->count_read(out, &tokens));
    cr_expect_eq(tokens, 2095u);
    cr_expect(!AM->count_read(S("{}"), &tokens));
    cr_expect(!AM->models_read(S("{\"data\":1}"), keep_id, &buf));
}
