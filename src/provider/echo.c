/* The provider that needs no account: it says the last user turn again, word by word, straight from
 * the request's tape, in whatever form its text has. It reads what a model would read (the turn's
 * text, or the text of the tool results it brings) and does the one thing agents must see: it calls
 * an offered tool when the prompt says `call TOOL {json}`. */
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/tape.h"
#include "r2a/json/text.h"
#include "r2a/provider/list.h"

/* A word without end is said in pieces. */
#define PIECE_BYTES_MAX 4096u

enum state { START, WORDS, CALL, ENDING, ENDED };

/* --- characters of a text in any form --- */

struct unit {
    uint32_t size;
    char c; /* as ASCII; what is none: 'x' */
};

static struct unit unit_at(struct text text, uint32_t at)
{
    char c = text.ptr[at];
    uint64_t code;

    if (text.form == TEXT_PLAIN || c != '\\' || at + 1 >= text.len)
        return (struct unit){1, (c & 0x80) ? 'x' : c};
    c = text.ptr[at + 1];
    switch (c) {
    case 'n':
        return (struct unit){2, '\n'};
    case 'r':
        return (struct unit){2, '\r'};
    case 't':
        return (struct unit){2, '\t'};
    case 'b':
    case 'f':
        return (struct unit){2, 'x'};
    case 'u':
        if (at + 6 > text.len)
            return (struct unit){text.len - at, 'x'};
        if (!str_parse_hex_u64(slice_of(text.ptr + at + 2, 4), &code) || code >= 0x80)
            return (struct unit){6, 'x'};
        return (struct unit){6, (char)code};
    default:
        return (struct unit){2, c}; /* \" \\ \/ */
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static uint32_t skip_spaces(struct text text, uint32_t at)
{
    while (at < text.len && is_space(unit_at(text, at).c))
        at += unit_at(text, at).size;
    return at;
}

static struct text part_of(struct text text, uint32_t begin, uint32_t end)
{
    return (struct text){text.ptr + begin, end - begin, text.form};
}

/* --- the words to say --- */

static void enter(struct echo *echo, uint32_t event)
{
    echo->event = event;
    echo->at = 0;
    echo->depth = 0;
    echo->is_spoken = false;
    echo->needs_break = false;
}

static bool is_word_source(const struct echo *echo)
{
    if (echo->is_results)
        return echo->depth == 2 && echo->parts[0] == IR_PART_RESULT &&
               echo->parts[1] == IR_PART_TEXT;
    return echo->depth == 1 && echo->parts[0] == IR_PART_TEXT;
}

/* Moves to the next text event that counts, from echo->event on. False: none is left. */
static bool find_words(struct echo *echo)
{
    for (; echo->event < echo->turn_end; echo->event++, echo->at = 0) {
        const struct ir_event *event = &echo->tape->events[echo->event];

        if (event->kind == IR_PART) {
            if (echo->depth < 2)
                echo->parts[echo->depth] = event->what;
            echo->depth++;
            echo->needs_break = echo->is_spoken;
        } else if (event->kind == IR_PART_END) {
            check(echo->depth > 0);
            echo->depth--;
        } else if (event->kind == IR_TEXT && is_word_source(echo) && echo->at < event->u.text.len) {
            return true;
        }
    }
    return false;
}

/* The next word with the white space behind it, and what stands before the first. */
static struct text take_word(struct echo *echo)
{
    struct text text = echo->tape->events[echo->event].u.text;
    uint32_t begin = echo->at;
    uint32_t at = begin;

    if (text.form == TEXT_JSON) {
        at = text.len; /* a value is whole or nothing */
    } else {
        at = skip_spaces(text, at);
        while (at < text.len && !is_space(unit_at(text, at).c))
            at += unit_at(text, at).size;
        at = skip_spaces(text, at);
        if (at - begin > PIECE_BYTES_MAX)
            at = begin +
                 (uint32_t)text_safe_len(part_of(text, begin, begin + (uint32_t)PIECE_BYTES_MAX));
    }
    check(at > begin && at <= text.len);
    echo->at = at;
    return part_of(text, begin, at);
}

/* --- `call TOOL {json}` --- */

/* The end of the object that begins at `at`: brackets are counted outside strings, and json/text.h
 * judges the result. */
static uint32_t object_end(struct text text, uint32_t at)
{
    uint32_t depth = 0;
    bool is_string = false;

    while (at < text.len) {
        struct unit unit = unit_at(text, at);

        at += unit.size;
        if (is_string) {
            if (unit.c == '\\' && at < text.len)
                at += unit_at(text, at).size;
            else if (unit.c == '"')
                is_string = false;
        } else if (unit.c == '"') {
            is_string = true;
        } else if (unit.c == '{') {
            depth++;
        } else if (unit.c == '}' && --depth == 0) {
            return at;
        }
    }
    return 0;
}

static const struct ir_event *find_tool(const struct echo *echo, struct text name)
{
    const struct ir_tape *tape = echo->tape;

    for (uint32_t i = 0; i < tape->count && tape->events[i].kind != IR_TURN; i++) {
        const struct ir_event *event = &tape->events[i];

        if (event->kind == IR_TOOL && event->what != IR_TOOL_SERVER &&
            text_eq(event->u.open.name, name))
            return event;
    }
    return NULL;
}

static void take_tool(struct echo *echo, const struct ir_event *tool)
{
    const struct ir_event *end = echo->tape->events + echo->tape->count;

    echo->call_name = tool->u.open.name;
    echo->call_is_custom = tool->what == IR_TOOL_CUSTOM;
    for (const struct ir_event *event = tool + 1; event < end && event->kind == IR_FIELD; event++) {
        if (event->what == IR_FIELD_NAMESPACE)
            echo->call_space = event->u.field.value;
    }
}

/* Behind the word `call`. False: no offered tool is named, or what follows is no object. */
static bool take_call(struct echo *echo, struct text text, uint32_t at)
{
    uint32_t begin, end;
    const struct ir_event *tool;

    begin = at = skip_spaces(text, at);
    while (at < text.len && !is_space(unit_at(text, at).c) && unit_at(text, at).c != '{')
        at += unit_at(text, at).size;
    tool = at > begin ? find_tool(echo, part_of(text, begin, at)) : NULL;
    if (tool == NULL)
        return false;
    take_tool(echo, tool);
    at = skip_spaces(text, at);
    if (at < text.len && unit_at(text, at).c == '{') {
        end = object_end(text, at);
        if (end == 0 || text_json_kind(part_of(text, at, end)) != TEXT_IS_OBJECT)
            return false;
        echo->call_args = part_of(text, at, end);
    } else if (echo->call_is_custom) {
        echo->call_args = part_of(text, at, text.len);
    } else {
        echo->call_args = text_plain(S("{}"));
    }
    return true;
}

static bool find_call_in(struct echo *echo, struct text text)
{
    bool at_word = true;
    struct unit unit;

    if (text.form == TEXT_JSON)
        return false;
    for (uint32_t at = 0; at < text.len; at += unit.size) {
        unit = unit_at(text, at);
        if (at_word && at + 5 <= text.len && memcmp(text.ptr + at, "call", 4) == 0 &&
            is_space(unit_at(text, at + 4).c) && take_call(echo, text, at + 4))
            return true;
        at_word = is_space(unit.c);
    }
    return false;
}

static bool find_call(struct echo *echo)
{
    const struct ir_tape *tape = echo->tape;

    for (uint32_t i = 0; i < tape->count && tape->events[i].kind != IR_TURN; i++) {
        if (tape->events[i].kind == IR_PARAM && tape->events[i].what == IR_PARAM_TOOL_CHOICE &&
            tape->events[i].u.field.number == IR_CHOICE_NONE)
            return false;
    }
    for (; find_words(echo); echo->event++) {
        if (find_call_in(echo, tape->events[echo->event].u.text))
            return true;
    }
    return false;
}

/* --- the answer --- */

static void read_params(struct echo *echo)
{
    const struct ir_tape *tape = echo->tape;

    echo->choices = 1;
    echo->words_max = echo->brief->max_out < 0 ? UINT64_MAX : (uint64_t)echo->brief->max_out;
    for (uint32_t i = 0; i < tape->count && tape->events[i].kind != IR_TURN; i++) {
        const struct ir_event *event = &tape->events[i];

        if (event->kind == IR_PARAM && event->what == IR_PARAM_N && event->u.field.number >= 1)
            echo->choices = (uint8_t)(event->u.field.number > CHOICES_MAX ? CHOICES_MAX
                                                                          : event->u.field.number);
    }
}

/* The last user turn, or the last of any role when no user speaks. */
static uint32_t find_turn(struct echo *echo)
{
    const struct ir_tape *tape = echo->tape;
    uint32_t turn = tape->count;
    bool is_user = false;

    for (uint32_t i = 0; i < tape->count; i++) {
        if (tape->events[i].kind != IR_TURN)
            continue;
        if (tape->events[i].what == IR_ROLE_USER || !is_user)
            turn = i;
        is_user = is_user || tape->events[i].what == IR_ROLE_USER;
    }
    echo->turn_end = turn;
    while (echo->turn_end < tape->count && tape->events[echo->turn_end].kind != IR_TURN_END)
        echo->turn_end++;
    return turn;
}

void echo_open(struct echo *echo, const struct ir_tape *tape, const struct brief *brief)
{
    uint32_t turn;

    *echo = (struct echo){.tape = tape, .brief = brief, .state = START};
    read_params(echo);
    turn = find_turn(echo);
    /* What tools brought back is the news of the turn; without any, the user's own words are. */
    echo->is_results = true;
    enter(echo, turn);
    if (!find_words(echo)) {
        echo->is_results = false;
        enter(echo, turn);
        if (find_call(echo)) {
            echo->stop = IR_STOP_TOOL;
            return;
        }
    }
    enter(echo, turn);
    echo->stop = IR_STOP_END;
    echo->call_name = (struct text){0};
}

/* One event for each choice. */
static enum r2a_err put_all(const struct echo *echo, struct ir_sink *sink, struct ir_event event)
{
    enum r2a_err err = R2A_OK;

    for (uint8_t choice = 0; choice < echo->choices && err == R2A_OK; choice++) {
        event.choice = choice;
        err = ir_put(sink, &event);
    }
    return err;
}

static enum r2a_err put_usage(const struct echo *echo, bool is_end, struct ir_sink *sink)
{
    struct ir_usage usage = {.has = IR_HAS_INPUT, .input = brief_estimate(echo->brief)};
    struct ir_event event = {.kind = IR_USAGE, .u.usage = &usage};

    if (usage.input == 0)
        usage.input = 1;
    if (is_end) {
        usage.has |= IR_HAS_OUTPUT;
        usage.output = echo->words_out * echo->choices;
    }
    return ir_put(sink, &event);
}

static enum r2a_err put_begin(struct echo *echo, struct ir_sink *sink)
{
    struct ir_event event = {.kind = IR_BEGIN};
    enum r2a_err err;

    event.u.open.name = text_plain(echo->brief->model);
    err = ir_put(sink, &event);
    return err ? err : put_usage(echo, false, sink);
}

static enum r2a_err put_call(struct echo *echo, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    for (uint8_t choice = 0; choice < echo->choices && err == R2A_OK; choice++) {
        char id[32];
        size_t len = brief_make_id(echo->brief, UINT32_MAX - choice, S("call_"), id);
        struct ir_event part = {.kind = IR_PART,
                                .what = IR_PART_CALL,
                                .choice = choice,
                                .flags = echo->call_is_custom ? IR_CUSTOM : 0};
        struct ir_event space = {.kind = IR_FIELD, .what = IR_FIELD_NAMESPACE, .choice = choice};
        struct ir_event args = {.kind = IR_TEXT, .choice = choice, .u.text = echo->call_args};
        struct ir_event end = {.kind = IR_PART_END, .what = IR_PART_CALL, .choice = choice};

        part.u.open.id = text_plain(slice_of(id, len));
        part.u.open.name = echo->call_name;
        space.u.field.value = echo->call_space;
        err = ir_put(sink, &part);
        if (err == R2A_OK && echo->call_space.len > 0)
            err = ir_put(sink, &space);
        if (err == R2A_OK && echo->call_args.len > 0)
            err = ir_put(sink, &args);
        if (err == R2A_OK)
            err = ir_put(sink, &end);
    }
    echo->words_out++;
    return err;
}

static enum r2a_err put_word(struct echo *echo, struct ir_sink *sink)
{
    struct ir_event event = {.kind = IR_TEXT};
    enum r2a_err err = R2A_OK;

    if (echo->needs_break) {
        event.u.text = text_plain(S("\n"));
        err = put_all(echo, sink, event);
        echo->needs_break = false;
    }
    event.u.text = take_word(echo);
    if (!text_is_blank(event.u.text))
        echo->words_out++;
    echo->is_spoken = true;
    return err ? err : put_all(echo, sink, event);
}

static enum r2a_err put_end(struct echo *echo, struct ir_sink *sink)
{
    struct ir_event stop = {.kind = IR_STOP, .what = echo->stop};
    struct ir_event end = {.kind = IR_END};
    enum r2a_err err = put_all(echo, sink, stop);

    err = err ? err : put_usage(echo, true, sink);
    return err ? err : ir_put(sink, &end);
}

int32_t echo_next(struct echo *echo, struct ir_sink *sink)
{
    const struct ir_event open = {.kind = IR_PART, .what = IR_PART_TEXT};
    const struct ir_event close = {.kind = IR_PART_END, .what = IR_PART_TEXT};
    enum r2a_err err = R2A_OK;

    check(echo->state != ENDED);
    if (echo->state == START) {
        err = put_begin(echo, sink);
        echo->state = echo->call_name.len > 0 ? CALL : find_words(echo) ? WORDS : ENDING;
        if (err == R2A_OK && echo->state == WORDS)
            err = put_all(echo, sink, open);
    }
    if (err == R2A_OK && echo->state == WORDS) {
        if (echo->words_out < echo->words_max) {
            err = put_word(echo, sink);
            if (find_words(echo))
                return err ? (int32_t)err : 1;
        } else {
            echo->stop = IR_STOP_LENGTH;
        }
        if (err == R2A_OK)
            err = put_all(echo, sink, close);
        echo->state = ENDING;
        if (err == R2A_OK && echo->stop != IR_STOP_LENGTH)
            return 1;
    } else if (err == R2A_OK && echo->state == CALL) {
        err = put_call(echo, sink);
        echo->state = ENDING;
    }
    if (err == R2A_OK) {
        err = put_end(echo, sink);
        echo->state = ENDED;
    }
    return (int32_t)err;
}

/* --- the row --- */

static const struct proto *speaks(const struct provider_instance *instance, struct slice model)
{
    (void)instance;
    (void)model;
    return NULL;
}

const struct provider provider_echo = {
    .name = S_INIT("echo"),
    .is_embedded = true,
    .speaks = speaks,
};
