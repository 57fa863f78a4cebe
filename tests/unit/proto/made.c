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
