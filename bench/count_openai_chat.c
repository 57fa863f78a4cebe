/* What a translated chunk costs on its way through this dialect, and a request: per fixture 100
 * chunks in the steady state of a stream, or one request. */
#include "count_proto.h"

#define CHUNKS 100u

/* A chunk as OpenAI and most servers after it write one. */
#define CHUNK(delta)                                                                              \
    "{\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1788000000,\"model\":\"m-big-2026-08-01\",\"service_tier\":\"default\","         \
    "\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{\"index\":0,\"delta\":{" delta        \
    "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}"

static const struct proto *const count_dialect = &proto_openai_chat;

static const struct slice opening[] = {
    S_INIT(CHUNK("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null")),
    S_INIT(CHUNK("\"content\":\"Hello\"")),
    S_INIT(
        CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"call_A\",\"type\":\"function\",\"function\":"
              "{\"name\":\"get_weather\",\"arguments\":\"\"}}]")),
};

static void prepare(void)
{
    open_stream(opening, 2);
}

static void prepare_call(void)
{
    open_stream(opening, 3);
}

static void run_decode_text(void)
{
    decode_pieces(S(CHUNK("\"content\":\" a token\"")), CHUNKS);
}

/* OpenAI pads its chunks. */
#define PADDED(delta, padding)                                                                    \
    "{\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1788000000,\"model\":\"m-big-2026-08-01\",\"choices\":[{\"index\":0,\"delta\":"  \
    "{" delta                                                                                     \
    "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"" padding "\"}"

static void run_decode_padded(void)
{
    for (uint32_t i = 0; i < CHUNKS; i += 2) {
        decode(S(PADDED("\"content\":\" a token\"", "aB3")), &counter);
        decode(S(PADDED("\"content\":\" another\"", "aB3dEf6h")), &counter);
    }
    count_expect(pieces == CHUNKS);
}

/* A server whose chunks all differ: each is read in full. */
static void run_decode_unlike(void)
{
    for (uint32_t i = 0; i < CHUNKS; i += 2) {
        decode(S(CHUNK("\"content\":\" a token\"")), &counter);
        decode(S(CHUNK("\"content\":\" another one\",\"p\":\"aB\"")), &counter);
    }
    count_expect(pieces == CHUNKS);
}

static void run_decode_args(void)
{
    decode_pieces(
        S(CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"ci\"}}]")),
        CHUNKS);
}

static void run_encode_text(void)
{
    encode_pieces(0, CHUNKS);
}

static void run_encode_args(void)
{
    encode_pieces(1, CHUNKS);
}

static const struct slice answer = S_INIT(
    "{\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c\",\"object\":\"chat.completion\","
    "\"created\":"
    "1788000000,\"model\":\"m-big-2026-08-01\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
    "\"assistant\",\"content\":\"The weather in Oslo is cold and wet, while Rome has sun.\","
    "\"refusal\":null,\"annotations\":[],\"tool_calls\":[{\"id\":\"call_A\",\"type\":\"function\","
    "\"function\":{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Oslo\\\"}\"}}]},"
    "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":120,"
    "\"completion_tokens\":35,\"total_tokens\":155,\"prompt_tokens_details\":{\"cached_tokens\":64,"
    "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
    "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},\"service_tier\":"
    "\"default\",\"system_fingerprint\":\"fp_0123456789\"}");

static void run_decode_document(void)
{
    decode_document(answer, &counter);
    count_expect(pieces == 2);
}

/* Decoding included: what a plain answer costs when both sides speak this dialect. */
static void run_encode_document(void)
{
    decode_document(answer, &encoding);
    count_expect(out.bytes > 400);
}

static const struct slice request = S_INIT(
    "{\"model\":\"m-big\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
    "assistant that answers briefly.\"},{\"role\":\"user\",\"content\":\"What is the weather in "
    "Oslo and in Rome?\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
    "\"call_A\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":\"{"
    "\\\"city\\\":\\\"Oslo\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_A\",\"content\":"
    "\"4 C, rain\"},{\"role\":\"user\",\"content\":\"Thanks, and tomorrow?\"}],\"stream\":true,"
    "\"stream_options\":{\"include_usage\":true},\"temperature\":0.7,\"max_tokens\":256,\"tools\":"
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"Weather for "
    "one place\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}"
    ",\"unit\":{\"type\":\"string\",\"enum\":[\"c\",\"f\"]}},\"required\":[\"city\"]}}}]}");

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
    {"decode_padded_100", prepare, run_decode_padded},
    {"decode_unlike_100", prepare, run_decode_unlike},
    {"decode_args_100", prepare_call, run_decode_args},
    {"encode_text_100", prepare, run_encode_text},
    {"encode_args_100", prepare_call, run_encode_args},
    {"decode_document", open_document, run_decode_document},
    {"decode_encode_document", open_document, run_encode_document},
    {"request_decode", prepare, run_request_decode},
    {"request_encode", prepare_request_encode, encode_request},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
