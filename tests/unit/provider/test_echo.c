#include <criterion/criterion.h>

#include "r2a/provider/list.h"
#include "support/proto_kit.h"

/* Requests come in as JSON of a dialect, answers go out as lines of the transcript form, through
 * the grammar checker. */
static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(echo, .init = setup, .fini = teardown);

static struct slice steps_of(const struct proto *proto, struct slice body, uint32_t *steps)
{
    struct ir_tape tape;
    struct ir_grammar request, response;
    struct kit_lines lines;
    struct echo echo;
    int32_t more;

    ir_tape_init(&tape, kit.mem);
    ir_grammar_request(&request, &tape.sink, true);
    cr_assert_eq(proto->request_decode(body, &request.sink, &kit.brief, &kit.fault), R2A_OK);
    kit_lines_open(&kit, &lines);
    ir_grammar_response(&response, &lines.sink, true);
    echo_open(&echo, &tape, &kit.brief);
    *steps = 0;
    do {
        more = echo_next(&echo, &response.sink);
        ++*steps;
    } while (more > 0);
    cr_assert_eq(more, 0);
    ir_tape_clear(&tape);
    return kit_take(&kit, &lines.rope);
}

static struct slice answer(struct slice body)
{
    uint32_t steps;

    return steps_of(&proto_openai_chat, body, &steps);
}

#define MESSAGES(json) S("{\"model\":\"m\",\"messages\":[" json "]}")
#define USER(content)  MESSAGES("{\"role\":\"user\",\"content\":" content "}")

static void has(struct slice lines, const char *wanted)
{
    cr_assert(str_find(lines, slice_from_z(wanted)) < lines.len, "no '%s' in:\n%.*s", wanted,
              (int)lines.len, lines.ptr);
}

static void has_not(struct slice lines, const char *unwanted)
{
    cr_assert(str_find(lines, slice_from_z(unwanted)) == lines.len, "'%s' in:\n%.*s", unwanted,
              (int)lines.len, lines.ptr);
}

Test(echo, says_the_prompt_word_by_word)
{
    struct slice lines = answer(USER("\"caf\\u00e9 au  lait\\nplease\""));

    cr_assert(str_starts(lines, S("BEGIN model=plain\"m\"\nUSAGE input=")));
    has(lines, "PART text part=0\n"
               "TEXT part=0 escaped caf\\u00e9 \n"
               "TEXT part=0 escaped au  \n"
               "TEXT part=0 escaped lait\\n\n"
               "TEXT part=0 escaped please\n"
               "PART_END part=0\n"
               "STOP end\n");
    has(lines, "output=4\nEND\n");
}

Test(echo, takes_a_step_a_word)
{
    uint32_t steps;

    steps_of(&proto_openai_chat, USER("\"one two three\""), &steps);
    cr_assert_eq(steps, 4, "%u", steps);
}

Test(echo, takes_the_last_user_turn)
{
    struct slice lines = answer(MESSAGES("{\"role\":\"system\",\"content\":\"be terse\"},"
                                         "{\"role\":\"user\",\"content\":\"first\"},"
                                         "{\"role\":\"assistant\",\"content\":\"second\"},"
                                         "{\"role\":\"user\",\"content\":\"third\"},"
                                         "{\"role\":\"system\",\"content\":\"reminder\"}"));

    has(lines, "TEXT part=0 escaped third\n");
    has_not(lines, "first");
    has_not(lines, "reminder");
}

Test(echo, puts_a_line_between_parts)
{
    struct slice lines = answer(USER("[{\"type\":\"text\",\"text\":\"one\"},"
                                     "{\"type\":\"text\",\"text\":\"two\"}]"));

    has(lines, "escaped one\n");
    has(lines, "plain \\n\n");
    has(lines, "escaped two\n");
    has(lines, "output=2\n");
}

Test(echo, ends_a_prompt_without_words)
{
    has(answer(USER("\"\"")), "STOP end\n");
    has(answer(USER("\"  \"")), "output=0\nEND\n");
    has(answer(
            USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h.example/a.png\"}}]")),
        "STOP end\n");
}

Test(echo, cuts_a_word_without_end_between_characters)
{
    char body[64 + 3 * 20000];
    struct str_buf buf = {.ptr = body, .size = sizeof(body)};
    struct slice lines, line;
    uint32_t pieces = 0;

    str_buf_put(&buf, S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\""));
    for (int i = 0; i < 10000; i++)
        str_buf_put(&buf, S("\xe2\x82\xac"));
    str_buf_put(&buf, S("\"}]}"));
    lines = answer(str_buf_slice(&buf));
    while (lines.len > 0) {
        size_t at = str_find_char(lines, '\n');

        line = slice_head(lines, at);
        lines = slice_skip(lines, at + 1);
        if (!str_starts(line, S("TEXT part=0 escaped ")))
            continue;
        line = slice_skip(line, 20);
        cr_assert_eq(line.len % 3, 0);
        cr_assert_leq(line.len, 4096);
        pieces++;
    }
    cr_assert_eq(pieces, 8);
}

Test(echo, stops_at_the_output_limit)
{
    struct slice lines;

    lines = answer(S("{\"model\":\"m\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"one two three\"}]}"));
    has(lines, "escaped two \n");
    has_not(lines, "three");
    has(lines, "STOP length\n");
    has(lines, "output=2\n");
    kit_again(&kit);
    lines = answer(S("{\"model\":\"m\",\"max_tokens\":3,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"one two three\"}]}"));
    has(lines, "STOP end\n");
}

Test(echo, answers_as_often_as_asked)
{
    struct slice lines = answer(S("{\"model\":\"m\",\"n\":2,\"messages\":[{\"role\":\"user\","
                                  "\"content\":\"hi\"}]}"));

    has(lines, "TEXT part=0 escaped hi\n");
    has(lines, "TEXT choice=1 part=0 escaped hi\n");
    has(lines, "STOP end choice=1\n");
    has(lines, "output=2\n");
}

/* --- tools --- */

#define TOOLS                                                                              \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"ls\",\"parameters\":{}}}," \
    "{\"type\":\"custom\",\"custom\":{\"name\":\"apply\"}}]"
#define ASK(content, more)                                                                      \
    S("{\"model\":\"m\"," TOOLS more ",\"messages\":[{\"role\":\"user\",\"content\":\"" content \
      "\"}]}")

Test(echo, calls_an_offered_tool)
{
    struct slice lines = answer(ASK("now call ls {\\\"path\\\": \\\"/a}b\\\\\\\"\\\"} thanks", ""));

    has(lines, "PART call part=0 id=plain\"call_");
    has(lines, "name=escaped\"ls\"");
    has(lines, "TEXT part=0 escaped {\\\"path\\\": \\\"/a}b\\\\\\\"\\\"}\n");
    has(lines, "PART_END part=0\nSTOP tool\n");
    has_not(lines, "thanks");
}

Test(echo, calls_with_an_empty_object)
{
    has(answer(ASK("call ls", "")), "TEXT part=0 plain {}\n");
}

Test(echo, calls_a_free_form_tool)
{
    struct slice lines = answer(ASK("call apply *** patch", ""));

    has(lines, "PART call part=0 custom");
    has(lines, "escaped *** patch\n");
}

Test(echo, does_not_call_what_is_not_offered)
{
    has(answer(ASK("call rm {}", "")), "STOP end\n");
    kit_again(&kit);
    has(answer(ASK("recall ls {}", "")), "STOP end\n");
    kit_again(&kit);
    has(answer(ASK("call ls {broken", "")), "STOP end\n");
    kit_again(&kit);
    has(answer(ASK("call ls {\\\"a\\\":}", "")), "STOP end\n");
    kit_again(&kit);
    has(answer(ASK("call ls {}", ",\"tool_choice\":\"none\"")), "STOP end\n");
}

Test(echo, says_what_tools_brought_back)
{
    struct slice lines;

    lines = answer(
        MESSAGES("{\"role\":\"user\",\"content\":\"call ls {}\"},"
                 "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
                 "\"function\",\"function\":{\"name\":\"ls\",\"arguments\":\"{}\"}}]},"
                 "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"bin etc\"}"));
    has(lines, "escaped bin \n");
    has(lines, "escaped etc\n");
    has(lines, "STOP end\n");
}

Test(echo, calls_once_and_not_again)
{
    uint32_t steps;
    struct slice lines = steps_of(
        &proto_anthropic,
        S("{\"model\":\"m\",\"max_tokens\":99,\"tools\":[{\"name\":\"ls\",\"input_schema\":"
          "{\"type\":\"object\"}}],\"messages\":["
          "{\"role\":\"user\",\"content\":\"call ls {}\"},"
          "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":"
          "\"ls\",\"input\":{}}]},"
          "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","
          "\"content\":[{\"type\":\"text\",\"text\":\"bin\"}]},"
          "{\"type\":\"text\",\"text\":\"call ls {}\"}]}]}"),
        &steps);

    has(lines, "escaped bin\n");
    has(lines, "STOP end\n");
}
