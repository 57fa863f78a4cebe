/* What the generateContent dialect costs: a chunk of a stream on its way in and on its way out, a
 * whole small exchange, a conversation with tools. */
#include "count.h"

#include "../tests/unit/support/proto_kit.h"
#include "r2a/proto/list.h"

#define CHUNKS_COUNT 64u

static struct kit kit;
static void *decoder, *encoder;
static struct rope out;
static struct ir_tape tape;

static enum r2a_err take_nothing(struct ir_sink *sink, const struct ir_event *event)
{
    (void)sink;
    (void)event;
    return R2A_OK;
}

static struct ir_sink nowhere = {.put = take_nothing};

static enum r2a_err decode(struct slice data)
{
    struct frame frame = {.kind = FRAME_DATA, .data = data, .raw = data};

    return proto_gemini.decode(decoder, &frame, &nowhere);
}

static void decode_text(void)
{
    count_expect(
        decode(S("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" a few words\"}],"
                 "\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{"
                 "\"promptTokenCount\":12,\"candidatesTokenCount\":3,\"totalTokenCount\":15},"
                 "\"modelVersion\":\"m\",\"responseId\":\"r\"}")) == R2A_OK);
}

static void prepare_decoder(void)
{
    kit_open(&kit);
    kit.target.proto = &proto_gemini;
    decoder = arena_take_zero(&kit.arena, proto_gemini.decoder_size);
    proto_gemini.decoder_init(decoder, &kit.target, &kit.brief);
    decode_text();
}

static void decode_text_chunks(void)
{
    for (uint32_t i = 0; i < CHUNKS_COUNT; i++)
        decode_text();
}

static void prepare_encoder(void)
{
    kit_open(&kit);
    encoder = arena_take_zero(&kit.arena, proto_gemini.encoder_size);
    proto_gemini.encoder_init(encoder, &kit.brief);
    out = kit_rope(&kit);
    (void)proto_gemini.encode(encoder, &(struct ir_event){.kind = IR_BEGIN}, &out);
    (void)proto_gemini.encode(encoder, &(struct ir_event){.kind = IR_PART, .what = IR_PART_TEXT},
                              &out);
    (void)proto_gemini.encode(
        encoder, &(struct ir_event){.kind = IR_TEXT, .u.text = text_escaped(S(" a few words"))},
        &out);
    count_expect(out.bytes > 0);
}

static void encode_text_chunks(void)
{
    for (uint32_t i = 0; i < CHUNKS_COUNT; i++) {
        struct ir_event event = {.kind = IR_TEXT, .u.text = text_escaped(S(" a few words"))};

        count_expect(proto_gemini.encode(encoder, &event, &out) == R2A_OK);
    }
}

/* As a coding client sends it, shortened: tools, one round of a tool. */
static const char request[] =
    "{\"systemInstruction\":{\"parts\":[{\"text\":\"You are a coding assistant. Be brief.\"}]},"
    "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"What is in the folder?\"}]},{"
    "\"role\":\"model\",\"parts\":[{\"text\":\"Let me look.\"},{\"functionCall\":{\"id\":\"c1\","
    "\"name\":\"shell\",\"args\":{\"command\":\"ls -l\",\"timeout\":1000}},\"thoughtSignature\":"
    "\"AbCd\"}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\",\"name\":"
    "\"shell\",\"response\":{\"output\":\"total 4\\n-rw-r--r-- 1 a a 3 x\"}}}]}],\"tools\":[{"
    "\"functionDeclarations\":[{\"name\":\"shell\",\"description\":\"Runs a command.\","
    "\"parametersJsonSchema\":{\"$schema\":\"x\",\"type\":\"object\",\"properties\":{\"command\":"
    "{\"type\":\"string\"},\"timeout\":{\"type\":[\"number\",\"null\"],\"exclusiveMinimum\":0}},"
    "\"required\":[\"command\"],\"additionalProperties\":false}},{\"name\":\"read\","
    "\"description\":"
    "\"Reads a file.\",\"parametersJsonSchema\":{\"type\":\"object\",\"properties\":{\"path\":{"
    "\"type\":\"string\"}}}}]}],\"generationConfig\":{\"temperature\":0,\"topK\":64,"
    "\"thinkingConfig\":{\"includeThoughts\":true}}}";

static void prepare_request(void)
{
    kit_open(&kit);
    kit.target.proto = &proto_gemini;
    ir_tape_init(&tape, kit.mem);
}

static void read_request(void)
{
    count_expect(proto_gemini.request_decode(slice_of(request, sizeof(request) - 1), &tape.sink,
                                             &kit.brief, &kit.fault) == R2A_OK);
}

static void prepare_tape(void)
{
    prepare_request();
    read_request();
    out = kit_rope(&kit);
}

static void write_request(void)
{
    count_expect(proto_gemini.request_encode(&tape, &kit.target, &kit.brief, &out, &kit.loss,
                                             &kit.fault) == R2A_OK);
}

const struct count_fixture count_fixtures[] = {
    {"decode_64_text_chunks", prepare_decoder, decode_text_chunks},
    {"encode_64_text_chunks", prepare_encoder, encode_text_chunks},
    {"request_decode", prepare_request, read_request},
    {"request_encode", prepare_tape, write_request},
};
const size_t count_fixtures_count = sizeof(count_fixtures) / sizeof(*count_fixtures);
