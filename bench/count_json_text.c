/* What moving text between forms costs: a token's worth, a tool call's arguments, and 16 KiB. */
#include "count.h"

#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/json/text.h"

#define LONG_BYTES 16384u

static struct mem *mem;
static struct rope rope;
static char prose[LONG_BYTES];
static char code[LONG_BYTES];

static const char arguments[] =
    "{\\\"path\\\":\\\"src/net/loop.c\\\",\\\"old\\\":\\\"static int wait(void)\\\\n{\\\\n    "
    "return 0;\\\\n}\\\\n\\\",\\\"new\\\":\\\"static bool wait(void)\\\\n{\\\\n    return true;"
    "\\\\n}\\\\n\\\",\\\"count\\\":1}";
static const char object[] =
    "{ \"path\": \"src/net/loop.c\", \"old\": \"static int wait(void)\\n{\\n    return 0;\\n}\\n\","
    "\n  \"new\": \"static bool wait(void)\\n{\\n    return true;\\n}\\n\", \"count\": 1 }";

static void prepare(void)
{
    static struct mem_budget budget;
    static const char words[] = "the quick brown fox jumps over the lazy dog ";
    static const char lines[] = "    if (token == \"end\")\n        return \"\\\\\";\n";

    mem = mem_open(&budget, 1u << 20);
    count_expect(mem != NULL);
    rope.mem = mem;
    rope_put(&rope, S("x")); /* the first segment is there, as in an answer under way */
    for (size_t i = 0; i < LONG_BYTES; i++) {
        prose[i] = i % 80 == 79 ? '\n' : words[i % (sizeof words - 1)];
        code[i] = lines[i % (sizeof lines - 1)];
    }
}

static void run_token_escaped(void)
{
    for (int i = 0; i < 16; i++)
        text_write_escaped(&rope, text_escaped(S(" harbour")));
    count_expect(rope.bytes == 1 + 16 * 8);
}

static void run_token_plain(void)
{
    for (int i = 0; i < 16; i++)
        text_write_escaped(&rope, text_plain(S(" harbour")));
    count_expect(rope.bytes == 1 + 16 * 8);
}

static void run_escape_prose(void)
{
    text_write_escaped(&rope, text_plain(slice_of(prose, sizeof prose)));
    count_expect(rope.bytes > LONG_BYTES);
}

static void run_escape_code(void)
{
    text_write_escaped(&rope, text_plain(slice_of(code, sizeof code)));
    count_expect(rope.bytes > LONG_BYTES);
}

static void run_arguments_kind(void)
{
    count_expect(text_json_kind(text_escaped(slice_of(arguments, sizeof arguments - 1))) ==
                 TEXT_IS_OBJECT);
}

static void run_arguments_value(void)
{
    text_write_value(&rope, text_escaped(slice_of(arguments, sizeof arguments - 1)));
    count_expect(rope.err == R2A_OK);
}

static void run_arguments_twice(void)
{
    text_write_escaped_twice(&rope, text_escaped(slice_of(arguments, sizeof arguments - 1)));
    count_expect(rope.err == R2A_OK);
}

static void run_object_compact(void)
{
    text_write_json_compact_escaped(&rope, text_json(slice_of(object, sizeof object - 1)));
    count_expect(rope.err == R2A_OK);
}

static void run_compare(void)
{
    count_expect(!text_is(text_escaped(S("assistant")), S("user")));
    count_expect(!text_is(text_escaped(S("assistant")), S("developer")));
    count_expect(text_is(text_escaped(S("assistant")), S("assistant")));
}

const struct count_fixture count_fixtures[] = {
    {"token_escaped_x16", prepare, run_token_escaped},
    {"token_plain_x16", prepare, run_token_plain},
    {"escape_prose_16k", prepare, run_escape_prose},
    {"escape_code_16k", prepare, run_escape_code},
    {"arguments_kind", prepare, run_arguments_kind},
    {"arguments_value", prepare, run_arguments_value},
    {"arguments_twice", prepare, run_arguments_twice},
    {"object_compact", prepare, run_object_compact},
    {"compare_x3", prepare, run_compare},
};
const size_t count_fixtures_count = sizeof count_fixtures / sizeof count_fixtures[0];
