/* What JSON text costs: structure-heavy and text-heavy documents, and the ways a string is moved.
 */
#include "count.h"

#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"

#define TEXT_BYTES 16384u

static const char request_body[] =
    "{\"model\":\"m-large\",\"max_tokens\":1024,\"temperature\":0.7,\"stream\":true,"
    "\"system\":\"You are terse.\",\"messages\":["
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is in this "
    "\\u2018file\\u2019?\\n"
    "Answer in one line.\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
    "\"image/png\",\"data\":\"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk\"}}]},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_01\",\"name\":"
    "\"read\","
    "\"input\":{\"path\":\"/tmp/a.txt\",\"lines\":[1,2,3]}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_01\","
    "\"content\":\"one\\ntwo\\nthree\",\"is_error\":false}]}],"
    "\"tools\":[{\"name\":\"read\",\"description\":\"Reads a "
    "file\",\"input_schema\":{\"type\":\"object\","
    "\"properties\":{\"path\":{\"type\":\"string\"},\"lines\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"integer\"}}},\"required\":[\"path\"]}}]}";

static struct mem *mem;
static char text[TEXT_BYTES + 2];

static void open_mem(void)
{
    static struct mem_budget budget;

    mem = mem_open(&budget, 1u << 20);
    count_expect(mem != NULL);
}

/* One string of plain prose, with what has to be escaped every `every` bytes (0: nothing). */
static void fill_text(unsigned every)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog ";

    open_mem();
    for (unsigned i = 0; i < TEXT_BYTES; i++)
        text[1 + i] = every != 0 && i % every == every - 1 ? '\n' : words[i % (sizeof words - 1)];
    text[0] = text[TEXT_BYTES + 1] = '"';
}

static void prepare_prose(void)
{
    fill_text(0);
}

static void prepare_lines(void)
{
    fill_text(40);
}

static void run_scan(void)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, (struct slice){request_body, sizeof request_body - 1});
    do
        token = json_next(&scan);
    while (token != JSON_END && token != JSON_ERROR);
    count_expect(token == JSON_END);
}

static void run_scan_prose(void)
{
    struct json_scan scan;

    json_open(&scan, (struct slice){text, sizeof text});
    count_expect(json_next(&scan) == JSON_STRING && scan.text.len == TEXT_BYTES);
}

static void run_escape(void)
{
    struct rope rope = {.mem = mem};

    text_write_escaped_copy(&rope, text_plain((struct slice){text + 1, TEXT_BYTES}));
    count_expect(rope.err == R2A_OK && rope.bytes > TEXT_BYTES);
}

static void run_copy_escaped(void)
{
    struct rope rope = {.mem = mem};

    text_write_escaped_copy(&rope, text_escaped((struct slice){text + 1, TEXT_BYTES}));
    count_expect(rope.err == R2A_OK && rope.bytes == TEXT_BYTES);
}

/* A token's delta: some dozens of short copies. */
static void run_copy_words(void)
{
    struct rope rope = {.mem = mem};

    for (unsigned i = 0; i < 64; i++)
        text_write_escaped_copy(&rope, text_escaped(S(" word")));
    count_expect(rope.err == R2A_OK && rope.bytes == 64 * 5);
}

const struct count_fixture count_fixtures[] = {
    {"scan_request", NULL, run_scan},
    {"scan_16k", prepare_prose, run_scan_prose},
    {"escape_16k", prepare_lines, run_escape},
    {"copy_16k", prepare_prose, run_copy_escaped},
    {"copy_words", prepare_prose, run_copy_words},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
