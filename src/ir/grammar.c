#include "r2a/ir/grammar.h"

#include "r2a/core/check.h"
#include "r2a/ir/fault.h"

/* The checker of grammar.h. Each rule that an event breaks has its own sentence: a transcript that
 * fails says why. */

enum state {
    STATE_START,
    STATE_PARAMS, /* request: BEGIN was seen */
    STATE_TOOLS,  /* request: between tools */
    STATE_TOOL,   /* request: inside a tool */
    STATE_TURNS,  /* request: between turns */
    STATE_TURN,   /* request: inside a turn; depth says in how many parts */
    STATE_HEAD,   /* response: BEGIN was seen, FIELDs are its */
    STATE_BODY,   /* response */
    STATE_ENDED,
};

static bool is_late_field(uint8_t what)
{
    return what == IR_FIELD_SEAL || what == IR_FIELD_ITEM_ID || what == IR_FIELD_STATUS ||
           what == IR_FIELD_CITATIONS || what == IR_FIELD_RAW;
}

static uint32_t whats_of(uint8_t kind)
{
    switch (kind) {
    case IR_PARAM:
        return IR_PARAMS;
    case IR_TOOL:
        return IR_TOOL_SERVER + 1;
    case IR_TURN:
        return IR_ROLE_ASSISTANT + 1;
    case IR_PART:
        return IR_PART_OPAQUE + 1;
    case IR_FIELD:
        return IR_FIELDS;
    case IR_STOP:
        return IR_STOP_OTHER + 1;
    default:
        return 256;
    }
}

/* --- request --- */

static const char *request_part(struct ir_grammar *g, const struct ir_event *event)
{
    uint8_t holder = g->levels[0].what;

    if (g->state != STATE_TURN)
        return "PART outside a turn";
    if (g->depth == 2)
        return "parts nest two levels at most";
    if (g->depth == 1) {
        if (holder != IR_PART_RESULT && holder != IR_PART_FILE && holder != IR_PART_SEARCH)
            return "this part holds no parts";
        if (g->levels[0].has_text)
            return "a part holds TEXT or parts, not both";
        g->levels[0].has_parts = true;
    }
    if (event->part != g->levels[g->depth].next)
        return "part numbers have a gap";
    if (event->what == IR_PART_RESULT && (g->role != IR_ROLE_USER || g->depth != 0))
        return "RESULT outside a user turn";
    g->levels[g->depth].next++;
    g->levels[g->depth].what = event->what;
    g->levels[g->depth].has_text = false;
    g->levels[g->depth].has_parts = false;
    if (g->depth == 0)
        g->levels[1].next = 0;
    g->depth++;
    return NULL;
}

static const char *request_inside(struct ir_grammar *g, const struct ir_event *event)
{
    uint32_t level = g->depth - 1u;
    uint8_t what;

    if (g->depth == 0)
        return "outside a part";
    if (event->part + 1 != g->levels[level].next)
        return "not the number of the open part";
    what = g->levels[level].what;
    if (event->kind == IR_FIELD) {
        if ((g->levels[level].has_text || g->levels[level].has_parts) &&
            !is_late_field(event->what))
            return "FIELD after the body";
    } else if (event->kind == IR_TEXT) {
        if (what == IR_PART_RESULT || what == IR_PART_SEARCH || what == IR_PART_REDACTED)
            return "this part takes no TEXT";
        if (g->levels[level].has_parts)
            return "a part holds TEXT or parts, not both";
        g->levels[level].has_text = true;
    } else {
        g->depth--;
    }
    return NULL;
}

static const char *request_step(struct ir_grammar *g, const struct ir_event *event)
{
    if (event->choice != 0)
        return "a request has one choice";
    if (g->state == STATE_START && event->kind != IR_BEGIN)
        return "BEGIN comes first";
    switch ((enum ir_kind)event->kind) {
    case IR_BEGIN:
        if (g->state != STATE_START)
            return "second BEGIN";
        g->state = STATE_PARAMS;
        return NULL;
    case IR_PARAM:
        return g->state == STATE_PARAMS ? NULL : "PARAM after tools or turns";
    case IR_TOOL:
        if (g->state != STATE_PARAMS && g->state != STATE_TOOLS)
            return "TOOL inside a tool or after turns";
        g->state = STATE_TOOL;
        return NULL;
    case IR_TOOL_END:
        if (g->state != STATE_TOOL)
            return "TOOL_END without TOOL";
        g->state = STATE_TOOLS;
        return NULL;
    case IR_TURN:
        if (g->state == STATE_TOOL || g->state == STATE_TURN)
            return "TURN inside a tool or turn";
        g->state = STATE_TURN;
        g->role = event->what;
        g->depth = 0;
        g->levels[0].next = 0;
        return NULL;
    case IR_TURN_END:
        if (g->state != STATE_TURN || g->depth != 0)
            return "TURN_END outside a turn or inside a part";
        g->state = STATE_TURNS;
        return NULL;
    case IR_PART:
        return request_part(g, event);
    case IR_FIELD:
        if (g->state == STATE_TOOL)
            return NULL;
        if (g->state == STATE_PARAMS) /* the name of an OPAQUE register */
            return event->what == IR_FIELD_TITLE ? NULL : "FIELD of a register";
        if (g->state == STATE_TURN && g->depth == 0)
            return g->levels[0].next == 0 ? NULL : "FIELD of a turn after its parts";
        return request_inside(g, event);
    case IR_TEXT:
    case IR_PART_END:
        return request_inside(g, event);
    case IR_EXT:
        return NULL;
    case IR_END:
        if (g->state == STATE_TOOL || g->state == STATE_TURN)
            return "END inside a tool or turn";
        g->state = STATE_ENDED;
        return NULL;
    case IR_NONE:
    case IR_CITE:
    case IR_LOGPROBS:
    case IR_USAGE:
    case IR_STOP:
    case IR_ERROR:
    case IR_ALIVE:
    case IR_KINDS:
        break;
    }
    return "not an event of a request";
}

/* --- response --- */

static const char *response_part(struct ir_grammar *g, const struct ir_event *event)
{
    uint32_t part = event->part;
    uint64_t bit = 1ull << (part % 64);
    bool is_watched = part < IR_GRAMMAR_PARTS_MAX;
    uint32_t word = is_watched ? part / 64 : 0;

    if (event->choice >= CHOICES_MAX)
        return "too many choices";
    if (g->choices[event->choice].has_stopped)
        return "the choice has stopped";
    if (event->kind == IR_PART) {
        if (part != g->choices[event->choice].parts_seen)
            return "part numbers have a gap";
        if (event->what == IR_PART_RESULT)
            return "RESULT in a response";
        g->choices[event->choice].parts_seen++;
        g->choices[event->choice].parts_open++;
        if (is_watched)
            g->choices[event->choice].open[word] |= bit;
        return NULL;
    }
    if (part >= g->choices[event->choice].parts_seen)
        return "no such part";
    if (event->kind == IR_CITE)
        return NULL;
    if (g->choices[event->choice].parts_open == 0 ||
        (is_watched && !(g->choices[event->choice].open[word] & bit)))
        return "the part is closed";
    if (is_watched && event->kind == IR_TEXT)
        g->choices[event->choice].has_text[word] |= bit;
    if (is_watched && event->kind == IR_FIELD && (g->choices[event->choice].has_text[word] & bit) &&
        !is_late_field(event->what))
        return "FIELD after TEXT";
    if (event->kind == IR_PART_END) {
        g->choices[event->choice].parts_open--;
        if (is_watched)
            g->choices[event->choice].open[word] &= ~bit;
    }
    return NULL;
}

static const char *response_stop(struct ir_grammar *g, const struct ir_event *event)
{
    if (event->choice >= CHOICES_MAX)
        return "too many choices";
    if (g->choices[event->choice].has_stopped)
        return "second STOP";
    if (g->choices[event->choice].parts_open != 0)
        return "STOP with an open part";
    g->choices[event->choice].has_stopped = true;
    return NULL;
}

static const char *response_end(const struct ir_grammar *g)
{
    uint32_t stopped = 0;

    for (uint32_t i = 0; i < CHOICES_MAX; i++) {
        if (!g->choices[i].has_stopped && g->choices[i].parts_seen > 0)
            return "END before STOP";
        stopped += g->choices[i].has_stopped;
    }
    return stopped > 0 ? NULL : "END without STOP";
}

static const char *response_step(struct ir_grammar *g, const struct ir_event *event)
{
    const char *wrong = NULL;

    switch ((enum ir_kind)event->kind) {
    case IR_ALIVE:
    case IR_USAGE:
    case IR_EXT:
        return NULL;
    case IR_ERROR:
        g->state = STATE_ENDED;
        return event->u.fault != NULL ? NULL : "ERROR without a fault";
    case IR_BEGIN:
        if (g->state != STATE_START)
            return "second BEGIN";
        g->state = STATE_HEAD;
        return NULL;
    case IR_FIELD:
        if (g->state == STATE_HEAD)
            return NULL;
        if (g->state == STATE_START)
            return "BEGIN comes first";
        return response_part(g, event);
    case IR_PART:
    case IR_TEXT:
    case IR_PART_END:
    case IR_CITE:
        wrong = g->state == STATE_START ? "BEGIN comes first" : response_part(g, event);
        break;
    case IR_LOGPROBS:
        wrong = g->state == STATE_START                 ? "BEGIN comes first"
                : event->choice >= CHOICES_MAX          ? "too many choices"
                : g->choices[event->choice].has_stopped ? "the choice has stopped"
                                                        : NULL;
        break;
    case IR_STOP:
        wrong = g->state == STATE_START ? "BEGIN comes first" : response_stop(g, event);
        break;
    case IR_END:
        wrong = g->state == STATE_START ? "BEGIN comes first" : response_end(g);
        g->state = STATE_ENDED;
        return wrong;
    case IR_NONE:
    case IR_PARAM:
    case IR_TOOL:
    case IR_TOOL_END:
    case IR_TURN:
    case IR_TURN_END:
    case IR_KINDS:
        return "not an event of a response";
    }
    g->state = STATE_BODY;
    return wrong;
}

static enum r2a_err put(struct ir_sink *sink, const struct ir_event *event)
{
    struct ir_grammar *g = (struct ir_grammar *)(void *)sink;
    const char *wrong = NULL;

    if (g->state == STATE_ENDED)
        wrong = "something follows the end";
    else if (event->what >= whats_of(event->kind))
        wrong = "sub-kind out of range";
    else
        wrong = g->is_request ? request_step(g, event) : response_step(g, event);
    if (wrong != NULL) {
        g->what_is_wrong = wrong;
        if (g->is_fatal)
            check_failed(ir_kind_name(event->kind), (int)event->part, wrong);
        return R2A_ERR_INTERNAL;
    }
    return g->next != NULL ? ir_put(g->next, event) : R2A_OK;
}

void ir_grammar_request(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal)
{
    *grammar = (struct ir_grammar){
        .sink.put = put, .next = next, .is_fatal = is_fatal, .is_request = true};
}

void ir_grammar_response(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal)
{
    *grammar = (struct ir_grammar){.sink.put = put, .next = next, .is_fatal = is_fatal};
}
