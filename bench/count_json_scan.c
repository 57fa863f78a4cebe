/* What reading JSON costs: a chat request of 1 KiB and one of 16 KiB, scanned token by token, as a
 * relay checks it (json_pick) and skipped whole; the JSON of one streamed chunk. */
#include "count.h"

#include "r2a/json/path.h"
#include "r2a/json/scan.h"

static const char chat[] =
    "{\"model\":\"gpt-large\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
    "assistant that answers questions about the harbour timetable. Be brief, and name the pier.\"},"
    "{\"role\":\"user\",\"content\":\"When does the next ferry to the northern islands leave?\\n"
    "I would like to take my bicycle with me.\"},{\"role\":\"assistant\",\"content\":null,"
    "\"tool_calls\":[{\"id\":\"call_a1b2c3d4e5f6\",\"type\":\"function\",\"function\":{\"name\":"
    "\"departures\",\"arguments\":\"{\\\"pier\\\":4,\\\"to\\\":\\\"north\\\"}\"}}]},{\"role\":"
    "\"tool\",\"tool_call_id\":\"call_a1b2c3d4e5f6\",\"content\":\"14:05, 15:20, 17:45\"},{"
    "\"role\":\"user\",\"content\":\"And the last one back?\"}],\"tools\":[{\"type\":\"function\","
    "\"function\":{\"name\":\"departures\",\"description\":\"Lists departures.\",\"parameters\":{"
    "\"type\":\"object\",\"properties\":{\"pier\":{\"type\":\"integer\"},\"to\":{\"type\":"
    "\"string\"}},\"required\":[\"pier\"]}}}],\"temperature\":0.7,\"max_tokens\":512,\"stream\":"
    "true,\"stream_options\":{\"include_usage\":true}}";

static const char chunk[] =
    "{\"id\":\"chatcmpl-A1b2C3d4E5f6G7h8\",\"object\":\"chat.completion.chunk\",\"created\":"
    "1760000000,\"model\":\"gpt-large\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{"
    "\"index\":0,\"delta\":{\"content\":\" harbour\"},\"logprobs\":null,\"finish_reason\":null}]}";

static const struct json_pick picks[] = {
    {.key = S_INIT("model"), .is_unique = true},
    {.key = S_INIT("stream"), .is_unique = true},
    {.key = S_INIT("messages"), .is_unique = true},
    {.key = S_INIT("stream_options"), .is_unique = true},
    {.key = S_INIT("stream_options"), .subkey = S_INIT("include_usage"), .is_unique = true},
    {.key = S_INIT("max_tokens"), .is_unique = true},
};

static char long_chat[16384];
static struct slice text;
static struct json_memo memo;

static void prepare_chat(void)
{
    text = slice_of(chat, sizeof chat - 1);
}

static void prepare_chunk(void)
{
    text = slice_of(chunk, sizeof chunk - 1);
}

/* The same with one long message in front: prose with a line break every 80 bytes, and here and
 * there a character that is not ASCII. */
static void prepare_long(void)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog ";
    static const char head[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"";
    static const char tail[] =
        "\"},{\"role\":\"user\",\"content\":\"Summarize.\"}],\"stream\":true,"
        "\"model\":\"gpt-large\"}";
    const size_t end = sizeof long_chat - sizeof tail;

    memcpy(long_chat, head, sizeof head - 1);
    for (size_t i = sizeof head - 1; i < end; i++)
        long_chat[i] = words[i % (sizeof words - 1)];
    for (size_t i = sizeof head + 80; i + 400 < end; i += 80)
        memcpy(long_chat + i, i % 400 == 0 ? "\xe2\x80\x94" : "\\n", i % 400 == 0 ? 3 : 2);
    memcpy(long_chat + end, tail, sizeof tail - 1);
    text = slice_of(long_chat, end + sizeof tail - 1);
}

/* The 1 KiB request laid out for people: a line for every token, indented by its depth. */
static void prepare_pretty(void)
{
    size_t len = 0;
    uint32_t depth = 0;
    bool is_inside = false;

    for (const char *p = chat; *p != '\0'; p++) {
        const bool closes = !is_inside && (*p == '}' || *p == ']');

        depth -= closes;
        depth += !is_inside && (*p == '{' || *p == '[');
        for (uint32_t i = 0; closes && i < 1 + 2 * depth; i++)
            long_chat[len++] = i == 0 ? '\n' : ' ';
        long_chat[len++] = *p;
        if (*p == '"' && p[-1] != '\\')
            is_inside = !is_inside;
        for (uint32_t i = 0; !is_inside && strchr("{[,", *p) != NULL && i < 1 + 2 * depth; i++)
            long_chat[len++] = i == 0 ? '\n' : ' ';
    }
    text = slice_of(long_chat, len);
}

static void prepare_recall(void)
{
    struct json_scan scan;

    prepare_long();
    json_open_memo(&scan, text, &memo);
    count_expect(json_skip(&scan, NULL) && memo.count > 0);
}

static void run_scan(void)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, text);
    do
        token = json_next(&scan);
    while (token > JSON_MORE && token != JSON_END);
    count_expect(token == JSON_END);
}

static void run_recall(void)
{
    struct json_scan scan;
    enum json_token token;

    json_open_recall(&scan, text, &memo);
    do
        token = json_next(&scan);
    while (token > JSON_MORE && token != JSON_END);
    count_expect(token == JSON_END);
}

static void run_skip(void)
{
    struct json_scan scan;

    json_open(&scan, text);
    count_expect(json_skip(&scan, NULL));
}

static void run_pick(void)
{
    struct json_found found[sizeof picks / sizeof picks[0]];
    uint64_t offset;

    count_expect(json_pick(text, picks, sizeof picks / sizeof picks[0], found, &memo, &offset) ==
                 R2A_OK);
    count_expect(found[0].kind == JSON_STRING && found[1].kind == JSON_TRUE);
}

const struct count_fixture count_fixtures[] = {
    {"chat_1k", prepare_chat, run_scan},       {"chat_1k_skip", prepare_chat, run_skip},
    {"chat_1k_pick", prepare_chat, run_pick},  {"chat_16k", prepare_long, run_scan},
    {"chat_16k_pick", prepare_long, run_pick}, {"chat_16k_recall", prepare_recall, run_recall},
    {"chat_pretty", prepare_pretty, run_scan}, {"chunk", prepare_chunk, run_scan},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
