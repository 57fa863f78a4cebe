/* What the Messages dialect costs: a delta of a stream on its way in and on its way out, a whole
 * small exchange, a conversation with tools. */
#include "count.h"

#include "../tests/unit/support/proto_kit.h"
#include "r2a/proto/list.h"

#define DELTAS_COUNT 64u

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

    return proto_anthropic.decode(decoder, &frame, &nowhere);
}

static void prepare_decoder(void)
{
    kit_open(&kit);
    kit.target.proto = &proto_anthropic;
    decoder = arena_take_zero(&kit.arena, proto_anthropic.decoder_size);
    proto_anthropic.decoder_init(decoder, &kit.target, &kit.brief);
    count_expect(decode(S("{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":"
                          "\"m\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}")) == R2A_OK);
    count_expect(decode(S("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
                          "{\"type\":\"text\",\"text\":\"\"}}")) == R2A_OK);
}

static void decode_text_deltas(void)
{
    for (uint32_t i = 0; i < DELTAS_COUNT; i++)
        count_expect(decode(S("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                              "\"text_delta\",\"text\":\" a few words\"}}")) == R2A_OK);
}

static void prepare_encoder(void)
{
    kit_open(&kit);
    encoder = arena_take_zero(&kit.arena, proto_anthropic.encoder_size);
    proto_anthropic.encoder_init(encoder, &kit.brief);
    out = kit_rope(&kit);
    (void)proto_anthropic.encode(encoder, &(struct ir_event){.kind = IR_BEGIN}, &out);
    (void)proto_anthropic.encode(encoder, &(struct ir_event){.kind = IR_PART, .what = IR_PART_TEXT},
                                 &out);
    (void)proto_anthropic.encode(
        encoder, &(struct ir_event){.kind = IR_TEXT, .u.text = text_escaped(S(" a few words"))},
        &out);
    count_expect(out.bytes > 0);
}

static void encode_text_deltas(void)
{
    for (uint32_t i = 0; i < DELTAS_COUNT; i++) {
        struct ir_event event = {.kind = IR_TEXT, .u.text = text_escaped(S(" a few words"))};

        count_expect(proto_anthropic.encode(encoder, &event, &out) == R2A_OK);
    }
}

/* As a coding client sends it, shortened: marks, tools, one round of a tool. */
static const char request[] =
    "{\"model\":\"claude-opus-4-1\",\"max_tokens\":32000,\"stream\":true,\"system\":[{\"type\":"
    "\"text\",\"text\":\"You are a coding assistant. Be brief.\",\"cache_control\":{\"type\":"
    "\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"What is in the folder?\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\""
    ":\"Let me look.\"},{\"type\":\"tool_use\",\"id\":\"toolu_01\",\"name\":\"Bash\",\"input\":"
    "{\"command\":\"ls -l\",\"timeout\":1000}}]},{\"role\":\"user\",\"content\":[{\"type\":"
    "\"tool_result\",\"tool_use_id\":\"toolu_01\",\"content\":\"total 4\\n-rw-r--r-- 1 a a 3 x\","
    "\"cache_control\":{\"type\":\"ephemeral\"}}]}],\"tools\":[{\"name\":\"Bash\",\"description\":"
    "\"Runs a command.\",\"input_schema\":{\"$schema\":\"x\",\"type\":\"object\",\"properties\":"
    "{\"command\":{\"type\":\"string\"},\"timeout\":{\"type\":\"number\"}},\"required\":"
    "[\"command\"]}},{\"name\":\"Read\",\"description\":\"Reads a file.\",\"input_schema\":"
    "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}},\"cache_control\":"
    "{\"type\":\"ephemeral\"}}],\"metadata\":{\"user_id\":\"u\"}}";

static void prepare_request(void)
{
    kit_open(&kit);
    kit.target.proto = &proto_anthropic;
    ir_tape_init(&tape, kit.mem);
}

static void read_request(void)
{
    count_expect(proto_anthropic.request_decode(slice_of(request, sizeof(request) - 1), &tape.sink,
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
    count_expect(proto_anthropic.request_encode(&tape, &kit.target, &kit.brief, &out, &kit.loss,
                                                &kit.fault) == R2A_OK);
}

const struct count_fixture count_fixtures[] = {
    {"decode_64_text_deltas", prepare_decoder, decode_text_deltas},
    {"encode_64_text_deltas", prepare_encoder, encode_text_deltas},
    {"request_decode", prepare_request, read_request},
    {"request_encode", prepare_tape, write_request},
};
const size_t count_fixtures_count = sizeof(count_fixtures) / sizeof(*count_fixtures);
