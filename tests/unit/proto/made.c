#include "made.h"

#include <stdio.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/ir/fault.h"

#define PLAIN(z)                     \
    {                                \
        z, sizeof(z) - 1, TEXT_PLAIN \
    }
#define ESCAPED(z)                     \
    {                                  \
        z, sizeof(z) - 1, TEXT_ESCAPED \
    }
#define JSON(z)                     \
    {                               \
        z, sizeof(z) - 1, TEXT_JSON \
    }

struct maker {
    struct random *random;
    struct ir_sink *sink;
    uint32_t part;
    uint32_t calls;
    bool has_customs;
    uint64_t features; /* of a request */
    uint32_t marks;
    uint8_t family;
    bool has_content; /* more than thoughts */
};

static size_t below(struct maker *m, size_t bound)
{
    return random_between(m->random, 0, bound - 1);
}

static bool chance(struct maker *m, size_t one_in)
{
    return below(m, one_in) == 0;
}

static void put(struct maker *m, struct ir_event event)
{
    check(ir_put(m->sink, &event) == R2A_OK);
}

/* Text with everything that needs escaping somewhere. */
static struct text words(struct maker *m)
{
    static const struct text texts[] = {
        PLAIN("word "),
        ESCAPED("\\u00e9\\n\\\""),
        PLAIN("\xc3\xa9\"\\\n\t"),
        ESCAPED("\\ud83d\\ude00"),
        PLAIN("</script>&<"),
        PLAIN("\x01 ok"),
        PLAIN("\xe2\x80\xa8|\xe2\x80\xa9."),
        PLAIN("\xf0\x9f\x98\x80"),
        ESCAPED("\\/slash"),
        PLAIN("data: [DONE]\n\nevent: x\n"),
    };

    return texts[below(m, sizeof(texts) / sizeof(*texts))];
}

static void field(struct maker *m, uint8_t what, struct text value, int64_t number)
{
    put(m, (struct ir_event){.kind = IR_FIELD,
                             .what = what,
                             .part = m->part,
                             .u.field = {.value = value, .number = number}});
}

static void text(struct maker *m, uint8_t flags, struct text value)
{
    put(m, (struct ir_event){.kind = IR_TEXT, .flags = flags, .part = m->part, .u.text = value});
}

static void open_part(struct maker *m, uint8_t what, uint8_t flags, struct text id,
                      struct text name)
{
    put(m, (struct ir_event){.kind = IR_PART,
                             .what = what,
                             .flags = flags,
                             .part = m->part,
                             .u.open = {.id = id, .name = name}});
}

static void close_part(struct maker *m)
{
    put(m, (struct ir_event){.kind = IR_PART_END, .part = m->part++});
}

static void seal(struct maker *m, uint8_t family)
{
    field(m, IR_FIELD_SEAL, text_escaped(S("c2Vj\\u0072ZXQ+")), family);
}

/* --- answers --- */

static void say_words(struct maker *m, uint8_t what)
{
    open_part(m, what, 0, (struct text){0}, (struct text){0});
    m->has_content |= what != IR_PART_REASON;
    for (size_t n = 1 + below(m, 5); n > 0; n--)
        text(m, 0, words(m));
    if (what == IR_PART_TEXT && chance(m, 4)) {
        struct ir_cite cite = {.url = text_escaped(S("https:\\/\\/e.example/a")),
                               .title = text_plain(S("An \"A\"")),
                               .start = 0,
                               .end = 1,
                               .document = -1};

        put(m, (struct ir_event){.kind = IR_CITE, .part = m->part, .u.cite = &cite});
    }
    if (what == IR_PART_REASON && chance(m, 2))
        seal(m, (uint8_t) "arg"[below(m, 3)]);
    close_part(m);
}

static void say_image(struct maker *m)
{
    open_part(m, IR_PART_IMAGE, 0, (struct text){0}, (struct text){0});
    field(m, IR_FIELD_SOURCE, (struct text){0}, IR_SOURCE_BASE64);
    field(m, IR_FIELD_MIME, text_plain(S("image/png")), 0);
    text(m, IR_WHOLE, text_plain(S(MADE_IMAGE)));
    m->has_content = true;
    close_part(m);
}

/* Up to three calls at once, their arguments in pieces that take turns. */
static void say_calls(struct maker *m)
{
    static const struct {
        struct text pieces[4];
    } args[] = {
        {{ESCAPED("{\\\"a\\\":[\\\"\xc3\xa9\\\\n"), PLAIN("\",1.0"), ESCAPED("],\\\"b\\\": {}"),
          PLAIN("}")}},
        {{JSON("{\"n\":12345678901234567890}"), {0}}},
        {{PLAIN("{"), ESCAPED("}"), {0}}},
        {{{0}}},
        {{PLAIN("*** Begin\n\"a\""), ESCAPED("\\n+ {\\u00e9"), {0}}}, /* free text */
    };
    uint32_t count = 1 + (uint32_t)below(m, 3), first = m->part, open = count;
    size_t which[3], said[3] = {0};
    bool has_ended[3] = {false};

    for (uint32_t i = 0; i < count; i++) {
        char id[16];
        int len = snprintf(id, sizeof(id), "call_%u", m->calls++);

        which[i] = below(m, m->has_customs ? 5 : 4);
        open_part(m, IR_PART_CALL, which[i] == 4 ? IR_CUSTOM : 0,
                  text_plain(slice_of(id, (size_t)len)), text_plain(S("get_x")));
        m->part++;
    }
    while (open > 0) {
        size_t i = below(m, count);

        if (has_ended[i])
            continue;
        m->part = first + (uint32_t)i;
        if (said[i] < 4 && args[which[i]].pieces[said[i]].len > 0) {
            text(m, 0, args[which[i]].pieces[said[i]++]);
        } else {
            put(m, (struct ir_event){.kind = IR_PART_END, .part = m->part});
            has_ended[i] = true;
            open--;
        }
    }
    m->part = first + count;
}

static void say_usage(struct maker *m, bool is_first)
{
    struct ir_usage usage = {.has = IR_HAS_INPUT | IR_HAS_CACHE_READ,
                             .input = 90 + below(m, 10),
                             .cache_read = below(m, 40)};

    if (chance(m, 2)) {
        usage.has |= IR_HAS_CACHE_WRITE;
        usage.cache_write = below(m, 40);
    }
    if (!is_first) {
        usage.has |= IR_HAS_OUTPUT;
        usage.output = 20 + below(m, 10);
        if (chance(m, 2)) {
            usage.has |= IR_HAS_REASONING;
            usage.reasoning = below(m, 20);
        }
    }
    put(m, (struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

static void stop(struct maker *m, bool has_refused)
{
    static const uint8_t stops[] = {IR_STOP_END,     IR_STOP_SEQUENCE, IR_STOP_LENGTH,
                                    IR_STOP_CONTEXT, IR_STOP_FILTER,   IR_STOP_RECITATION,
                                    IR_STOP_REFUSAL, IR_STOP_PAUSE,    IR_STOP_BAD_CALL,
                                    IR_STOP_OTHER,   IR_STOP_END};
    uint8_t what = has_refused    ? IR_STOP_REFUSAL
                   : m->calls > 0 ? (chance(m, 4) ? IR_STOP_LENGTH : IR_STOP_TOOL)
                                  : stops[below(m, m->has_content ? sizeof(stops) : 8)];

    put(m, (struct ir_event){.kind = IR_STOP,
                             .what = what,
                             .u.open.id = what == IR_STOP_SEQUENCE ? text_plain(S("END"))
                                                                   : (struct text){0}});
}

void made_answer(struct random *random, struct ir_sink *sink, bool has_customs)
{
    struct maker m = {.random = random, .sink = sink, .has_customs = has_customs};
    size_t steps = 1 + below(&m, 5);
    bool has_usage = chance(&m, 2), has_refused = false;

    put(&m, (struct ir_event){
                .kind = IR_BEGIN,
                .u.open = {.id = text_plain(S("up-1")), .name = text_escaped(S("m\\u002dup"))}});
    if (has_usage)
        say_usage(&m, true);
    for (; steps > 0 && !has_refused; steps--) {
        switch (below(&m, 9)) {
        case 0:
        case 1:
            say_words(&m, IR_PART_REASON);
            break;
        case 2:
            open_part(&m, IR_PART_REDACTED, 0, (struct text){0}, (struct text){0});
            seal(&m, IR_SEAL_REDACTED);
            close_part(&m);
            break;
        case 3:
            say_image(&m);
            break;
        case 4:
        case 5:
            say_calls(&m);
            break;
        case 6:
            if (m.calls == 0) {
                say_words(&m, IR_PART_REFUSAL);
                has_refused = true;
            }
            break;
        default:
            say_words(&m, IR_PART_TEXT);
            break;
        }
        if (chance(&m, 4))
            put(&m, (struct ir_event){.kind = IR_ALIVE});
    }
    if (m.part == 0)
        say_words(&m, IR_PART_TEXT);
    if (chance(&m, 10)) {
        struct fault fault = fault_of(FAULT_SERVER, S("it \"broke\""));

        put(&m, (struct ir_event){.kind = IR_ERROR, .u.fault = &fault});
        return;
    }
    stop(&m, has_refused);
    say_usage(&m, false);
    put(&m, (struct ir_event){.kind = IR_END});
}

/* --- requests --- */

#define SCHEMA                                                                             \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"description\":\"A " \
    "\\\"a\\\"\"}},"                                                                       \
    "\"required\":[\"a\"],\"additionalProperties\":false}"

/* Whether the request may have it, and this time does. */
static bool may(struct maker *m, enum made_feature feature)
{
    return (m->features >> feature & 1u) != 0 && chance(m, 2);
}

/* At most four, which is what everybody takes. */
static uint8_t mark(struct maker *m, enum made_feature feature)
{
    if (m->marks == 4 || !may(m, feature))
        return 0;
    m->marks++;
    return IR_CACHE_MARK;
}

static void param(struct maker *m, uint8_t what, struct text value, int64_t number)
{
    put(m, (struct ir_event){
               .kind = IR_PARAM, .what = what, .u.field = {.value = value, .number = number}});
}

static void ask_options(struct maker *m, bool thinks, bool has_effort, bool has_tools)
{
    param(m, IR_PARAM_MAX_OUT, text_json(S("9000")), 9000);
    if (!thinks) {
        param(m, IR_PARAM_TEMPERATURE, text_json(S("0.50")), 0);
        param(m, IR_PARAM_TOP_P, text_json(S("0.9")), 0);
        if (may(m, MADE_TOP_K))
            param(m, IR_PARAM_TOP_K, text_json(S("40")), 40);
    }
    if (may(m, MADE_STOP)) {
        param(m, IR_PARAM_STOP, text_escaped(S("END")), 0);
        param(m, IR_PARAM_STOP, text_escaped(S("\\n#")), 0);
    }
    if (may(m, MADE_SEED))
        param(m, IR_PARAM_SEED, text_json(S("7")), 7);
    if (may(m, MADE_PENALTIES)) {
        param(m, IR_PARAM_FREQUENCY_PENALTY, text_json(S("0.1")), 0);
        param(m, IR_PARAM_PRESENCE_PENALTY, text_json(S("-0.1")), 0);
    }
    if (may(m, MADE_LOGIT_BIAS))
        param(m, IR_PARAM_LOGIT_BIAS, text_json(S("{\"1\":2}")), 0);
    if (may(m, MADE_LOGPROBS)) {
        param(m, IR_PARAM_LOGPROBS, text_json(S("true")), 1);
        param(m, IR_PARAM_TOP_LOGPROBS, text_json(S("2")), 2);
    }
    if (may(m, MADE_FORMAT_JSON)) {
        param(m, IR_PARAM_FORMAT, (struct text){0}, IR_FORMAT_JSON);
    } else if (may(m, MADE_FORMAT_SCHEMA)) {
        param(m, IR_PARAM_FORMAT, (struct text){0}, IR_FORMAT_SCHEMA);
        param(m, IR_PARAM_FORMAT_SCHEMA, text_json(S(SCHEMA)), 0);
        if (may(m, MADE_FORMAT_NAME)) {
            param(m, IR_PARAM_FORMAT_NAME, text_escaped(S("thing")), 0);
            param(m, IR_PARAM_FORMAT_STRICT, text_json(S("true")), 1);
            param(m, IR_PARAM_FORMAT_DESCRIPTION, text_escaped(S("A \\\"thing\\\"")), 0);
        }
    }
    if (may(m, MADE_VERBOSITY))
        param(m, IR_PARAM_VERBOSITY, text_escaped(S("low")), 0);
    if (may(m, MADE_USER))
        param(m, IR_PARAM_USER, text_escaped(S("user-1")), 0);
    if (may(m, MADE_META))
        param(m, IR_PARAM_META, text_json(S("{\"k\":\"v\"}")), 0);
    if (may(m, MADE_TIER))
        param(m, IR_PARAM_TIER, text_escaped(S("flex")), IR_TIER_FLEX);
    if (may(m, MADE_CACHE_KEY))
        param(m, IR_PARAM_CACHE_KEY, text_escaped(S("key-1")), 0);
    if (has_effort)
        param(m, IR_PARAM_EFFORT, text_escaped(S("high")), IR_EFFORT_HIGH);
    else if (thinks)
        param(m, IR_PARAM_BUDGET, text_json(S("4096")), 4096);
    if (!has_tools)
        return;
    switch (below(m, thinks ? 2 : 5)) { /* thinking and a forced tool exclude each other */
    case 0:
        break;
    case 1:
        param(m, IR_PARAM_TOOL_CHOICE, (struct text){0}, IR_CHOICE_AUTO);
        if (may(m, MADE_PARALLEL))
            param(m, IR_PARAM_PARALLEL, text_json(S("false")), 0);
        break;
    case 2:
        param(m, IR_PARAM_TOOL_CHOICE, (struct text){0}, IR_CHOICE_ANY);
        break;
    case 3:
        param(m, IR_PARAM_TOOL_CHOICE, (struct text){0}, IR_CHOICE_ONE);
        param(m, IR_PARAM_TOOL_CHOICE_NAME, text_escaped(S("get_x")), 0);
        break;
    default:
        if (!may(m, MADE_CHOICE_ALLOWED))
            break;
        param(m, IR_PARAM_TOOL_CHOICE, (struct text){0}, IR_CHOICE_ALLOWED_ANY);
        param(m, IR_PARAM_TOOL_CHOICE_NAME, text_escaped(S("get_x")), 0);
        param(m, IR_PARAM_TOOL_CHOICE_NAME, text_escaped(S("get_y")), 0);
        break;
    }
}

static void ask_tool(struct maker *m, struct slice name, uint8_t what)
{
    put(m, (struct ir_event){.kind = IR_TOOL,
                             .what = what,
                             .flags = what == IR_TOOL_JSON ? mark(m, MADE_TOOL_MARKS) : 0,
                             .u.open.name = text_escaped(name)});
    m->part = 0;
    field(m, IR_FIELD_DESCRIPTION, text_escaped(S("Does \\\"it\\\".")), 0);
    if (what == IR_TOOL_JSON) {
        field(m, IR_FIELD_SCHEMA, text_json(S(SCHEMA)), 0);
        if (may(m, MADE_STRICT))
            field(m, IR_FIELD_STRICT, text_json(S("true")), 1);
    }
    put(m, (struct ir_event){.kind = IR_TOOL_END, .what = what});
}

static void begin_turn(struct maker *m, uint8_t role)
{
    put(m, (struct ir_event){.kind = IR_TURN, .what = role});
    m->part = 0;
}

static void end_turn(struct maker *m, uint8_t role)
{
    put(m, (struct ir_event){.kind = IR_TURN_END, .what = role});
}

static void ask_text(struct maker *m, uint8_t what, bool may_be_marked)
{
    static const struct text texts[] = {ESCAPED("caf\\u00e9 \\\\ \\\"x\\\""),
                                        PLAIN("\xf0\x9f\x98\x80 & </a>\n"),
                                        ESCAPED("\\/ \\ud83d\\ude00")};

    open_part(m, what, may_be_marked ? mark(m, MADE_MARKS) : 0, (struct text){0}, (struct text){0});
    text(m, IR_WHOLE, texts[below(m, sizeof(texts) / sizeof(*texts))]);
    close_part(m);
}

static void ask_media(struct maker *m, uint8_t what, int64_t source, struct slice mime,
                      struct slice title, struct slice data)
{
    open_part(m, what, 0, (struct text){0}, (struct text){0});
    if (title.len > 0)
        field(m, IR_FIELD_TITLE, text_escaped(title), 0);
    if (what == IR_PART_IMAGE && may(m, MADE_DETAIL))
        field(m, IR_FIELD_DETAIL, text_escaped(S("low")), 0);
    field(m, IR_FIELD_SOURCE, (struct text){0}, source);
    if (mime.len > 0)
        field(m, IR_FIELD_MIME, text_escaped(mime), 0);
    text(m, IR_WHOLE, text_escaped(data));
    close_part(m);
}

static void ask_user(struct maker *m)
{
    ask_text(m, IR_PART_TEXT, true);
    if (chance(m, 2))
        ask_media(m, IR_PART_IMAGE, IR_SOURCE_BASE64, S("image/png"), S(""), S(MADE_IMAGE));
    if (may(m, MADE_IMAGE_URL))
        ask_media(m, IR_PART_IMAGE, IR_SOURCE_URL, S(""), S(""), S("https://e.example/a.png"));
    if (chance(m, 3))
        ask_media(m, IR_PART_FILE, IR_SOURCE_BASE64, S("application/pdf"),
                  may(m, MADE_FILE_TITLE) ? S("a.pdf") : S(""), S("JVBERi0x"));
    if (may(m, MADE_FILE_URL))
        ask_media(m, IR_PART_FILE, IR_SOURCE_URL, S(""), S(""), S("https://e.example/a.pdf"));
    if (may(m, MADE_FILE_TEXT))
        ask_media(m, IR_PART_FILE, IR_SOURCE_TEXT, S("text/plain"), S("a.txt"), S("line\\n"));
    if (may(m, MADE_AUDIO))
        ask_media(m, IR_PART_AUDIO, IR_SOURCE_BASE64, S("audio/wav"), S(""), S("UklGRgAA"));
    if (may(m, MADE_VIDEO))
        ask_media(m, IR_PART_VIDEO, IR_SOURCE_BASE64, S("video/mp4"), S(""), S("AAAA"));
}

static void ask_result(struct maker *m, struct text id, bool is_custom)
{
    bool is_error = may(m, MADE_RESULT_ERROR), has_image = may(m, MADE_RESULT_IMAGE);
    uint32_t part = m->part;
    uint8_t flags =
        (uint8_t)((is_custom ? IR_CUSTOM : 0) | (is_error ? IR_IS_ERROR : 0) | mark(m, MADE_MARKS));

    open_part(m, IR_PART_RESULT, flags, id, (struct text){0});
    m->part = 0;
    ask_text(m, IR_PART_TEXT, false);
    if (may(m, MADE_RESULT_PARTS))
        ask_text(m, IR_PART_TEXT, false);
    if (has_image)
        ask_media(m, IR_PART_IMAGE, IR_SOURCE_BASE64, S("image/png"), S(""), S(MADE_IMAGE));
    m->part = part;
    close_part(m);
}

static void ask_reason(struct maker *m)
{
    open_part(m, IR_PART_REASON, 0, (struct text){0}, (struct text){0});
    text(m, 0, text_escaped(S("hm\\n\\u00e9")));
    if (m->family == IR_SEAL_ENCRYPTED)
        field(m, IR_FIELD_ITEM_ID, text_escaped(S("rs_1")), 0);
    seal(m, m->family);
    close_part(m);
}

/* An assistant's turn, and the results of what it called. */
static void ask_round(struct maker *m, bool has_tools)
{
    uint32_t count = has_tools ? (uint32_t)below(m, 4) : 0, first = m->calls;
    bool is_custom[3] = {false}, seals_call = false;
    static const struct slice ids[] = {S_INIT("call_0"), S_INIT("call_1"), S_INIT("call_2"),
                                       S_INIT("call_3"), S_INIT("call_4"), S_INIT("call_5"),
                                       S_INIT("call_6"), S_INIT("call_7"), S_INIT("call_8")};

    begin_turn(m, IR_ROLE_ASSISTANT);
    if (may(m, MADE_REASON)) {
        seals_call = m->family == IR_SEAL_THOUGHT && count > 0; /* as Google does */
        if (!seals_call)
            ask_reason(m);
    }
    if (count == 0 || chance(m, 2))
        ask_text(m, IR_PART_TEXT, false);
    if (count == 0 && may(m, MADE_REFUSAL))
        ask_text(m, IR_PART_REFUSAL, false);
    for (uint32_t i = 0; i < count; i++) {
        is_custom[i] = may(m, MADE_CUSTOM);
        open_part(m, IR_PART_CALL, is_custom[i] ? IR_CUSTOM : 0, text_plain(ids[first + i]),
                  text_escaped(is_custom[i]   ? S("patch")
                               : chance(m, 2) ? S("get_x")
                                              : S("get_y")));
        if (seals_call && i == 0)
            seal(m, m->family);
        if (is_custom[i])
            text(m, IR_WHOLE, text_escaped(S("*** \\\"a\\\"\\n")));
        else
            text(m, IR_WHOLE,
                 text_json(S("{\"a\":\"\\u00e9\",\"n\":[1.0,12345678901234567890,{}]}")));
        close_part(m);
    }
    m->calls += count;
    end_turn(m, IR_ROLE_ASSISTANT);
    begin_turn(m, IR_ROLE_USER);
    for (uint32_t i = 0; i < count; i++)
        ask_result(m, text_plain(ids[first + i]), is_custom[i]);
    ask_user(m);
    end_turn(m, IR_ROLE_USER);
}

void made_request(struct random *random, struct ir_sink *sink, struct slice dialect,
                  uint64_t features, uint8_t family)
{
    struct maker m = {.random = random, .sink = sink, .features = features, .family = family};
    bool has_effort = may(&m, MADE_EFFORT), thinks = has_effort || may(&m, MADE_BUDGET);
    bool has_tools = chance(&m, 2);

    put(&m, (struct ir_event){
                .kind = IR_BEGIN,
                .u.open = {.id = text_plain(dialect), .name = text_plain(S("m-client"))}});
    ask_options(&m, thinks, has_effort, has_tools);
    if (has_tools) {
        ask_tool(&m, S("get_x"), IR_TOOL_JSON);
        ask_tool(&m, S("get_y"), IR_TOOL_JSON);
    }
    if (has_tools && (features >> MADE_CUSTOM & 1u))
        ask_tool(&m, S("patch"), IR_TOOL_CUSTOM);
    if (chance(&m, 2)) {
        uint8_t role = may(&m, MADE_DEVELOPER) ? IR_ROLE_DEVELOPER : IR_ROLE_SYSTEM;

        begin_turn(&m, role);
        ask_text(&m, IR_PART_TEXT, true);
        end_turn(&m, role);
    }
    begin_turn(&m, IR_ROLE_USER);
    ask_user(&m);
    end_turn(&m, IR_ROLE_USER);
    for (size_t n = below(&m, 4); n > 0; n--)
        ask_round(&m, has_tools);
    put(&m, (struct ir_event){.kind = IR_END});
}
