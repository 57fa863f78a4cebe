/* What the Messages dialect costs: a delta of a stream on its way in and on its way out, a whole
 * small exchange, a conversation with tools. */
#include "count_proto.h"

#define DELTAS_COUNT 64u

static const struct proto *const count_dialect = &proto_anthropic;

static void prepare(void)
{
    static const struct slice events[] = {
        S_INIT(
            "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{"
            "\"input_tokens\":1,\"output_tokens\":1}}}"),
        S_INIT("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
               "\"text\":\"\"}}"),
    };

    open_stream(events, sizeof(events) / sizeof(*events));
    encode_pieces(0, 1);
}

static void run_decode_text(void)
{
    decode_pieces(S("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                    "\"text_delta\",\"text\":\" a few words\"}}"),
                  DELTAS_COUNT);
}

static void run_encode_text(void)
{
    encode_pieces(0, DELTAS_COUNT);
}

/* As a coding client sends it, shortened: marks, tools, one round of a tool. */
static const struct slice request = S_INIT(
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
    "{\"type\":\"ephemeral\"}}],\"metadata\":{\"user_id\":\"u\"}}");

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
    {"decode_64_text_deltas", prepare, run_decode_text},
    {"encode_64_text_deltas", prepare, run_encode_text},
    {"request_decode", prepare, run_request_decode},
    {"request_encode", prepare_request_encode, encode_request},
};
const size_t count_fixtures_count = sizeof(count_fixtures) / sizeof(*count_fixtures);
