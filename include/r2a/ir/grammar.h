#ifndef R2A_IR_GRAMMAR_H
#define R2A_IR_GRAMMAR_H

#include "r2a/ir/event.h"
#include "r2a/limits.h"

/* The legal order of events, stated once. Stands between a decoder and an encoder in every test,
 * fuzz target and debug build: passes events on to `next` (may be NULL) and aborts (check) on an
 * illegal one when `is_fatal`, else returns R2A_ERR_INTERNAL with `what_is_wrong` set (static).
 *
 * Request. EXT may stand anywhere between BEGIN and END.
 *
 *   request = BEGIN { PARAM [FIELD title] } tool* turn* END     the title names an OPAQUE param
 *   tool    = TOOL FIELD* TOOL_END
 *   turn    = TURN FIELD* part* TURN_END             parts count from 0 in each turn
 *   part    = PART FIELD* TEXT* PART_END             RESULT and SEARCH take no TEXT of their own
 *           | PART FIELD* part* PART_END             RESULT (user turns only), FILE, SEARCH: their
 *                                                    parts count from 0 again, and hold none
 *
 * Response. ALIVE, USAGE and EXT may stand anywhere before the end; BEGIN is the first of the rest.
 *
 *   response = BEGIN FIELD* { step } (END | ERROR)   an ERROR may also come instead of BEGIN
 *   step     = PART FIELD* | TEXT | PART_END         of a part of its choice: parts count from 0 in
 *                                                    each choice, several may be open at once
 *            | CITE                                  of a part seen, open or closed
 *            | LOGPROBS
 *            | STOP                                  once a choice, its parts closed; nothing but
 *                                                    USAGE follows for that choice
 *   END only when at least one choice was seen and each has stopped. Nothing follows END or ERROR.
 *
 * In both, a part's FIELDs come before its TEXT, except for those that a vendor tells at a part's
 * end: SEAL, ITEM_ID, STATUS, CITATIONS, RAW. */
#define IR_GRAMMAR_PARTS_MAX 1024u /* open parts are watched up to this number */
struct ir_grammar {
    struct ir_sink sink;
    struct ir_sink *next;
    bool is_fatal;
    bool is_request;
    const char *what_is_wrong;
    /* private */
    uint8_t state;
    uint8_t role;
    uint8_t depth; /* request: parts open */
    struct {
        uint32_t next; /* number of the next part */
        uint8_t what;
        bool has_text;
        bool has_parts;
    } levels[2];
    struct {
        uint32_t parts_seen;
        uint32_t parts_open;
        bool has_stopped;
        uint64_t open[IR_GRAMMAR_PARTS_MAX / 64];
        uint64_t has_text[IR_GRAMMAR_PARTS_MAX / 64];
    } choices[CHOICES_MAX];
};

void ir_grammar_request(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal);
void ir_grammar_response(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal);

#endif
