/* What the generateContent dialect costs: a chunk of a stream on its way in and on its way out, a
 * whole small exchange, a conversation with tools. */
#include "count_proto.h"

#define CHUNKS_COUNT 64u

static const struct proto *const count_dialect = &proto_gemini;

static const struct slice chunk = S_INIT(
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" a few words\"}],\"role\":\"model\"},"
    "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":12,\"candidatesTokenCount\":3,"
    "\"totalTokenCount\":15},\"modelVersion\":\"m\",\"responseId\":\"r\"}");

static void prepare(void)
{
    open_stream(&chunk, 1);
}

static void run_decode_text(void)
{
    decode_pieces(chunk, CHUNKS_COUNT);
}

static void run_encode_text(void)
{
    encode_pieces(0, CHUNKS_COUNT);
}

/* As a coding client sends it, shortened: tools, one round of a tool. */
static const struct slice request = S_INIT(
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
    "\"thinkingConfig\":{\"includeThoughts\":true}}}");

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
    {"decode_64_text_chunks", prepare, run_decode_text},
    {"encode_64_text_chunks", prepare, run_encode_text},
    {"request_decode", prepare, run_request_decode},
    {"request_encode", prepare_request_encode, encode_request},
};
const size_t count_fixtures_count = sizeof(count_fixtures) / sizeof(*count_fixtures);
