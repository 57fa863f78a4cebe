/* What a translated event costs on its way through Responses, and a request: per fixture 100 deltas
 * in the steady state of a stream, or one request, one document, the end of a stream. */
#include "count.h"

#include "r2a/proto/list.h"
#include "support/proto_kit.h"

#define EVENTS 100u
#define ITEM   "msg_68a1b2c3d4e5f60718293a4b5c6d7e8f9"

static struct kit kit;
static void *decoder, *encoder;
static struct rope out;
static uint32_t events;

static enum r2a_err count_event(struct ir_sink *sink, const struct ir_event *event)
{
    (void)sink;
    events += event->kind == IR_TEXT;
    return R2A_OK;
}

static enum r2a_err encode_event(struct ir_sink *sink, const struct ir_event *event)
{
    (void)sink;
    return proto_openai_responses.encode(encoder, event, &out);
}

static struct ir_sink counter = {.put = count_event}, encoding = {.put = encode_event};

static void decode(struct slice data, struct ir_sink *sink)
{
    struct frame frame = {.kind = FRAME_DATA, .data = data, .raw = data};

    count_expect(proto_openai_responses.decode(decoder, &frame, sink) == R2A_OK);
}

static void prepare_shape(enum brief_shape shape)
{
    kit_open(&kit);
    kit.brief.shape = (uint8_t)shape;
    decoder = arena_take_zero(&kit.arena, proto_openai_responses.decoder_size);
    encoder = arena_take_zero(&kit.arena, proto_openai_responses.encoder_size);
    proto_openai_responses.decoder_init(decoder, &kit.target, &kit.brief);
    proto_openai_responses.encoder_init(encoder, &kit.brief);
    out = kit_rope(&kit);
}

static void prepare(void)
{
    prepare_shape(BRIEF_SSE);
    decode(S("{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\","
             "\"object\":\"response\",\"created_at\":1788000000,\"model\":\"m-big\"}}"),
           &encoding);
    decode(S("{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,"
             "\"item\":{\"id\":\"" ITEM "\",\"type\":\"message\",\"status\":\"in_progress\","
             "\"role\":\"assistant\",\"content\":[]}}"),
           &encoding);
    decode(S("{\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"" ITEM
             "\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello\",\"logprobs\":[]}"),
           &encoding);
    rope_clear(&out);
}

static void prepare_call(void)
{
    prepare_shape(BRIEF_SSE);
    decode(S("{\"type\":\"response.output_item.added\",\"sequence_number\":2,\"output_index\":0,"
             "\"item\":{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"in_progress\","
             "\"arguments\":\"\",\"call_id\":\"call_A\",\"name\":\"get_weather\"}}"),
           &encoding);
    rope_clear(&out);
}

static void run_decode_text(void)
{
    for (uint32_t i = 0; i < EVENTS; i++)
        decode(S("{\"type\":\"response.output_text.delta\",\"sequence_number\":17,\"item_id\":"
                 "\"" ITEM "\",\"output_index\":0,\"content_index\":0,\"delta\":\" a token\","
                 "\"logprobs\":[],\"obfuscation\":\"aB3dEf6h\"}"),
               &counter);
    count_expect(events == EVENTS);
}

static void run_decode_args(void)
{
    for (uint32_t i = 0; i < EVENTS; i++)
        decode(S("{\"type\":\"response.function_call_arguments.delta\",\"sequence_number\":17,"
                 "\"item_id\":\"fc_1\",\"output_index\":0,\"delta\":\"{\\\"ci\"}"),
               &counter);
    count_expect(events == EVENTS);
}

static void encode_pieces(void)
{
    struct ir_event event = {.kind = IR_TEXT, .u.text = text_escaped(S(" a token"))};

    for (uint32_t i = 0; i < EVENTS; i++) {
        count_expect(proto_openai_responses.encode(encoder, &event, &out) == R2A_OK);
        rope_consume(&out, out.bytes);
    }
}

/* What a message costs when it ends: its text is said three times more. */
static void run_encode_end(void)
{
    static const struct ir_event end[] = {
        {.kind = IR_PART_END, .what = IR_PART_TEXT}, {.kind = IR_STOP}, {.kind = IR_END}};

    for (uint32_t i = 0; i < 3; i++)
        count_expect(proto_openai_responses.encode(encoder, &end[i], &out) == R2A_OK);
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

static void prepare_document(void)
{
    prepare_shape(BRIEF_DOCUMENT);
}

static void run_decode_document(void)
{
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = answer, .raw = answer};

    count_expect(proto_openai_responses.decode(decoder, &frame, &counter) == R2A_OK);
    count_expect(events == 2);
}

static void run_decode_encode_document(void)
{
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = answer, .raw = answer};

    count_expect(proto_openai_responses.decode(decoder, &frame, &encoding) == R2A_OK);
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
static struct ir_tape tape;

static void prepare_tape(void)
{
    prepare();
    ir_tape_init(&tape, kit.mem);
}

static void run_request_decode(void)
{
    count_expect(proto_openai_responses.request_decode(request, &tape.sink, &kit.brief,
                                                       &kit.fault) == R2A_OK);
}

static void prepare_request_encode(void)
{
    prepare_tape();
    run_request_decode();
    kit.target.proto = &proto_openai_responses;
}

static void run_request_encode(void)
{
    count_expect(proto_openai_responses.request_encode(&tape, &kit.target, &kit.brief, &out,
                                                       &kit.loss, &kit.fault) == R2A_OK);
    count_expect(out.bytes > 400);
}

const struct count_fixture count_fixtures[] = {
    {"decode_text_100", prepare, run_decode_text},
    {"decode_args_100", prepare_call, run_decode_args},
    {"encode_text_100", prepare, encode_pieces},
    {"encode_args_100", prepare_call, encode_pieces},
    {"encode_end", prepare, run_encode_end},
    {"decode_document", prepare_document, run_decode_document},
    {"decode_encode_document", prepare_document, run_decode_encode_document},
    {"request_decode", prepare_tape, run_request_decode},
    {"request_encode", prepare_request_encode, run_request_encode},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
