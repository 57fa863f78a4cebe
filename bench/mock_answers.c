/* The words of the mock upstream: members and their order as the services send them, of invented
 * content. */
#include "mock_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHAPES_MAX   64u
#define OPENINGS_MAX 4u
#define FILLER       "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "
#define STAMP_PLACE  "@0000000000000000 "
#define NUMBER_PLACE "100000" /* six digits from the first event to the 900,000th */
#define NUMBER_SPAN  900000u
#define STREAM_HEAD                                                                     \
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n" \
    "x-request-id: mock-1\r\ntransfer-encoding: chunked\r\n\r\n"

struct wire {
    const char *route;    /* in the request line */
    const char *plain[2]; /* before and behind the text */
    const char *event[2];
    const char *opening[OPENINGS_MAX]; /* whole events, each its own chunk */
};

#define CHAT_CHUNK                                                                            \
    "data: "                                                                                  \
    "{\"id\":\"chatcmpl-mock1\",\"object\":\"chat.completion.chunk\",\"created\":1763740800," \
    "\"model\":\"mock-1\","                                                                   \
    "\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":"
#define CHAT_TAIL ",\"logprobs\":null,\"finish_reason\":null}]}\n\n"

/* A response object up to its output, and behind it. */
#define RESPONSE_HEAD(status)                                                              \
    "{\"id\":\"resp_mock1\",\"object\":\"response\",\"created_at\":1763740800,\"status\":" \
    "\"" status "\",\"background\":false,\"error\":null,\"incomplete_details\":null,"      \
    "\"instructions\":\"You are terse.\",\"max_output_tokens\":1000,\"model\":\"mock-1\"," \
    "\"output\":["
#define RESPONSE_TAIL                                                                         \
    "],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":{\"effort\":" \
    "null,\"summary\":null},\"store\":false,\"temperature\":0.5,\"text\":{\"format\":{"       \
    "\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"truncation\":" \
    "\"disabled\","
#define RESPONSES_IN_ITEM "\"item_id\":\"msg_mock1\",\"output_index\":0,\"content_index\":0,"

#define GEMINI_HEAD "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""
#define GEMINI_USAGE(count)                                                           \
    "\"usageMetadata\":{\"promptTokenCount\":210,\"candidatesTokenCount\":" count "," \
    "\"totalTokenCount\":350},\"modelVersion\":\"mock-1\",\"responseId\":\"mock1\"}"

static const struct wire wires[DIALECTS] = {
    [CHAT] =
        {
            .route = "/chat/completions",
            .plain = {"{\"id\":\"chatcmpl-mock1\",\"object\":\"chat.completion\",\"created\":"
                      "1763740800,\"model\":\"mock-1\",\"choices\":"
                      "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
                      "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                      "\"usage\":{\"prompt_tokens\":210,"
                      "\"completion_tokens\":140,\"total_tokens\":350},\"system_fingerprint\":\"fp_"
                      "mock\"}"},
            .event = {CHAT_CHUNK "{\"content\":\"", "\"}" CHAT_TAIL},
            .opening = {CHAT_CHUNK
                        "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}" CHAT_TAIL},
        },
    [RESPONSES] =
        {
            .route = "/responses",
            .plain = {RESPONSE_HEAD("completed") "{\"id\":\"msg_mock1\",\"type\":\"message\","
                                                 "\"status\":\"completed\",\"content\":[{\"type\":"
                                                 "\"output_text\",\"annotations\":[],\"logprobs\":"
                                                 "[],\"text\":\"",
                      "\"}],\"role\":\"assistant\"}" RESPONSE_TAIL
                      "\"usage\":{\"input_tokens\":210,\"input_tokens_details\":{\"cached_tokens\":"
                      "0},\"output_tokens\":140,\"output_tokens_details\":{\"reasoning_tokens\":0},"
                      "\"total_tokens\":350},\"user\":null,\"metadata\":{}}"},
            .event = {"event: response.output_text.delta\ndata: "
                      "{\"type\":\"response.output_text.delta\",\"sequence_number\":" NUMBER_PLACE
                      "," RESPONSES_IN_ITEM "\"delta\":\"",
                      "\",\"logprobs\":[]}\n\n"},
            .opening = {"event: response.created\ndata: "
                        "{\"type\":\"response.created\",\"sequence_number\":0,"
                        "\"response\":" RESPONSE_HEAD("in_progress") RESPONSE_TAIL
                        "\"usage\":null,\"user\":null,\"metadata\":{}}}\n\n",
                        "event: response.in_progress\ndata: "
                        "{\"type\":\"response.in_progress\",\"sequence_number\":1,"
                        "\"response\":" RESPONSE_HEAD("in_progress") RESPONSE_TAIL
                        "\"usage\":null,\"user\":null,\"metadata\":{}}}\n\n",
                        "event: response.output_item.added\ndata: "
                        "{\"type\":\"response.output_item.added\",\"sequence_number\":2,"
                        "\"output_index\":0,\"item\":{\"id\":\"msg_mock1\",\"type\":\"message\","
                        "\"status\":\"in_progress\",\"content\":[],\"role\":\"assistant\"}}\n\n",
                        "event: response.content_part.added\ndata: "
                        "{\"type\":\"response.content_part.added\",\"sequence_number\":"
                        "3," RESPONSES_IN_ITEM
                        "\"part\":{\"type\":\"output_text\",\"annotations\":[],"
                        "\"logprobs\":[],\"text\":\"\"}}\n\n"},
        },
    [MESSAGES] =
        {
            .route = "/messages",
            .plain = {"{\"id\":\"msg_mock1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                      "\"mock-1\",\"content\":[{\"type\":\"text\",\"text\":\"",
                      "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_"
                      "tokens\":210,\"output_tokens\":140}}"},
            .event = {"event: content_block_delta\ndata: "
                      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_"
                      "delta\",\"text\":\"",
                      "\"}}\n\n"},
            .opening = {"event: message_start\ndata: "
                        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock1\",\"type\":"
                        "\"message\",\"role\":"
                        "\"assistant\",\"model\":\"mock-1\",\"content\":[],\"stop_reason\":null,"
                        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":210,"
                        "\"output_tokens\":1}}}\n\n",
                        "event: content_block_start\ndata: "
                        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
                        "\"text\",\"text\":\"\"}}\n\n"},
        },
    [GEMINI] =
        {
            .route = "enerateContent",
            .plain = {GEMINI_HEAD, "\"}],\"role\":\"model\"},\"finishReason\":\"STOP\","
                                   "\"index\":0}]," GEMINI_USAGE("140")},
            .event = {"data: " GEMINI_HEAD, "\"}],\"role\":\"model\"},\"index\":0}]," GEMINI_USAGE(
                                                NUMBER_PLACE) "\r\n\r\n"},
        },
};

void bytes_add(struct bytes *bytes, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    bytes->ptr = realloc(bytes->ptr, bytes->len + len + 1);
    if (bytes->ptr == NULL) {
        perror("realloc");
        exit(1);
    }
    memcpy(bytes->ptr + bytes->len, ptr, len);
    bytes->len += len;
    bytes->ptr[bytes->len] = '\0';
}

void bytes_add_z(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

static void add_filler(struct bytes *bytes, size_t len)
{
    while (len > 0) {
        size_t n = len < sizeof(FILLER) - 1 ? len : sizeof(FILLER) - 1;

        bytes_add(bytes, FILLER, n);
        len -= n;
    }
}

static void add_chunk(struct bytes *out, const char *ptr, size_t len)
{
    char size[24];
    int n = snprintf(size, sizeof(size), "%zx\r\n", len);

    bytes_add(out, size, (size_t)n);
    bytes_add(out, ptr, len);
    bytes_add(out, "\r\n", 2);
}

static void add_document(struct bytes *out, const char *ptr, size_t len)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: mock-1\r\n"
                     "content-length: %zu\r\n\r\n",
                     len);

    bytes_add(out, head, (size_t)n);
    bytes_add(out, ptr, len);
}

static size_t offset_of(const struct bytes *in, const char *text)
{
    const char *at = strstr(in->ptr, text);

    return at ? (size_t)(at - in->ptr) : 0;
}

enum dialect answers_dialect(const char *head, size_t len)
{
    const char *end = memchr(head, '\r', len);

    for (int i = 0; end && i < DIALECTS; i++) {
        if (memmem(head, (size_t)(end - head), wires[i].route, strlen(wires[i].route)))
            return (enum dialect)i;
    }
    return CHAT;
}

const struct shape *answers_shape(enum dialect dialect, bool is_stream, size_t size)
{
    static struct shape shapes[SHAPES_MAX];
    static uint32_t shapes_count;

    const char *const *around = is_stream ? wires[dialect].event : wires[dialect].plain;
    const char *stamp = is_stream ? STAMP_PLACE : "";
    size_t frame = strlen(around[0]) + strlen(stamp) + strlen(around[1]);
    struct bytes body = {0};
    struct shape *shape;

    for (uint32_t i = 0; i < shapes_count; i++) {
        shape = &shapes[i];
        if (shape->dialect == dialect && shape->is_stream == is_stream && shape->size == size)
            return shape;
    }
    if (shapes_count == SHAPES_MAX) {
        fprintf(stderr, "mock_upstream: more than %u sizes\n", SHAPES_MAX);
        exit(1);
    }
    shape = &shapes[shapes_count++];
    *shape = (struct shape){.dialect = dialect, .is_stream = is_stream, .size = size};
    bytes_add_z(&body, around[0]);
    bytes_add_z(&body, stamp);
    add_filler(&body, size > frame ? size - frame : 1);
    bytes_add_z(&body, around[1]);
    if (is_stream) {
        add_chunk(&shape->whole, body.ptr, body.len);
        shape->stamp = offset_of(&shape->whole, STAMP_PLACE) + 1;
        shape->number = offset_of(&shape->whole, NUMBER_PLACE);
    } else {
        add_document(&shape->whole, body.ptr, body.len);
    }
    free(body.ptr);
    return shape;
}

const struct bytes *answers_opening(enum dialect dialect)
{
    static struct bytes openings[DIALECTS];

    struct bytes *out = &openings[dialect];

    if (out->len > 0)
        return out;
    bytes_add_z(out, STREAM_HEAD);
    for (uint32_t i = 0; i < OPENINGS_MAX && wires[dialect].opening[i]; i++)
        add_chunk(out, wires[dialect].opening[i], strlen(wires[dialect].opening[i]));
    return out;
}

void answers_stamp(const struct shape *shape, uint64_t due_ns, uint32_t number)
{
    static const char digits[] = "0123456789abcdef";
    char *at = shape->whole.ptr + shape->stamp;

    for (int i = 0; i < 16; i++)
        at[i] = digits[due_ns >> (60 - 4 * i) & 15];
    if (shape->number == 0)
        return;
    at = shape->whole.ptr + shape->number;
    number = 100000 + number % NUMBER_SPAN;
    for (int i = 5; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
}
