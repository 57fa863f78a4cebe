/* What a translated event costs on its way through Responses, and a request: per fixture 100 deltas
 * in the steady state of a stream, or one request, one document, the end of a stream. */
#include "count_proto.h"

#define EVENTS 100u
#define ITEM   "msg_68a1b2c3d4e5f60718293a4b5c6d7e8f9"

static const struct proto *const count_dialect = &proto_openai_responses;

static void prepare(void)
{
    static const struct slice events[] = {
        S_INIT(
            "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\","
            "\"object\":\"response\",\"created_at\":1788000000,\"model\":\"m-big\"}}"),
        S_INIT("{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,"
               "\"item\":{\"id\":\"" ITEM "\",\"type\":\"message\",\"status\":\"in_progress\","
               "\"role\":\"assistant\",\"content\":[]}}"),
        S_INIT("{\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"" ITEM
               "\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello\",\"logprobs\":[]}"),
    };

    open_stream(events, sizeof(events) / sizeof(*events));
}

static void prepare_call(void)
{
    static const struct slice event =
        S_INIT("{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,"
               "\"item\":{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"in_progress\","
               "\"arguments\":\"\",\"call_id\":\"call_A\",\"name\":\"get_weather\"}}");

    open_stream(&event, 1);
}

static void run_decode_text(void)
{
    decode_pieces(S("{\"type\":\"response.output_text.delta\",\"sequence_number\":17,\"item_id\":"
                    "\"" ITEM "\",\"output_index\":0,\"content_index\":0,\"delta\":\" a token\","
                    "\"logprobs\":[],\"obfuscation\":\"aB3dEf6h\"}"),
                  EVENTS);
}

static void run_decode_args(void)
{
    decode_pieces(S("{\"type\":\"response.function_call_arguments.delta\",\"sequence_number\":17,"
                    "\"item_id\":\"fc_1\",\"output_index\":0,\"delta\":\"{\\\"ci\"}"),
                  EVENTS);
}

static void run_encode(void)
{
    encode_pieces(0, EVENTS);
}

/* What a message costs when it ends: its text is said three times more. */
static void run_encode_end(void)
{
    static const struct ir_event end[] = {
        {.kind = IR_PART_END, .what = IR_PART_TEXT}, {.kind = IR_STOP}, {.kind = IR_END}};

    for (uint32_t i = 0; i < 3; i++)
        count_expect(count_dialect->encode(encoder, &end[i], &out) == R2A_OK);
    count_expect(out.bytes > 1000);
}

static const struct slice answer = S_INIT(
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1788000000,\"status\":\"completed\","
    "\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"model\":\"m-big\","
    "\"output\":[{\"id\":\"" ITEM "\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
    "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"The weather in Oslo is cold "
    "and wet, while Rome has sun.\",\"annotations\":[],\"logprobs\":[]}]},{\"id\":\"fc_1\","
    "\"type\":\"function_call\",\"status\":\"completed\",\"arguments\":\"{\\\"city\\\":"
    "\\\"Oslo\\\"}\",\"call_id\":\"call_A\",\"name\":\"get_weather\"}],\"parallel_tool_calls\":"
    "true,\"reasoning\":{\"effort\":null,\"summary\":null},\"store\":false,\"temperature\":1.0,"
    "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":"
    "1.0,\"usage\":{\"input_tokens\":120,\"input_tokens_details\":{\"cached_tokens\":64},"
    "\"output_tokens\":35,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":155},"
    "\"metadata\":{}}");

static void run_decode_document(void)
{
    decode_document(answer, &counter);
    count_expect(pieces == 2);
}

static void run_decode_encode_document(void)
{
    decode_document(answer, &encoding);
    count_expect(out.bytes > 400);
}

static const struct slice request = S_INIT(
    "{\"model\":\"m-big\",\"instructions\":\"You are a helpful assistant that answers briefly.\","
    "\"input\":[{\"role\":\"user\",\"content\":\"What is the weather in Oslo and in Rome?\"},{"
    "\"type\":\"function_call\",\"call_id\":\"call_A\",\"name\":\"get_weather\",\"arguments\":\"{"
    "\\\"city\\\":\\\"Oslo\\\"}\"},{\"type\":\"function_call_output\",\"call_id\":\"call_A\","
    "\"output\":\"4 C, rain\"},{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
    "\"input_text\",\"text\":\"Thanks, and tomorrow?\"}]}],\"stream\":true,\"temperature\":0.7,"
    "\"max_output_tokens\":256,\"store\":false,\"include\":[\"reasoning.encrypted_content\"],"
    "\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\",\"description\":\"Weather for one "
    "place\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
    "\"unit\":{\"type\":\"string\",\"enum\":[\"c\",\"f\"]}},\"required\":[\"city\"]},\"strict\":"
    "false}]}");

static void run_request_decode(void)
{
    decode_request(request);
}

static void prepare_request_encode(void)
{
    prepare();
    decode_request(request);
}

const struct count_fixture count_fixtures[] = {
    {"decode_text_100", prepare, run_decode_text},
    {"decode_args_100", prepare_call, run_decode_args},
    {"encode_text_100", prepare, run_encode},
    {"encode_args_100", prepare_call, run_encode},
    {"encode_end", prepare, run_encode_end},
    {"decode_document", open_document, run_decode_document},
    {"decode_encode_document", open_document, run_decode_encode_document},
    {"request_decode", prepare, run_request_decode},
    {"request_encode", prepare_request_encode, encode_request},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
