#ifndef R2A_IR_GRAMMAR_H
#define R2A_IR_GRAMMAR_H

#include "r2a/ir/event.h"

/* The legal order of events, stated once. Stands between a decoder and an encoder in every test,
 * fuzz target and debug build: passes events on to `next` (may be NULL) and aborts (check) on an
 * illegal one when `is_fatal`, else returns R2A_ERR_INTERNAL with `what_is_wrong` set. */
struct ir_grammar {
    struct ir_sink sink;
    struct ir_sink *next;
    bool is_fatal;
    bool is_request;
    const char *what_is_wrong;
    /* private */
    uint8_t state;
    uint8_t depth;
    bool has_ended, has_stopped[8];
    uint32_t parts_seen[8];
    uint64_t parts_open[8][16]; /* bit per part number, up to 1024 a choice */
    uint32_t request_part[2];
    uint8_t request_what[2];
};

void ir_grammar_request(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal);
void ir_grammar_response(struct ir_grammar *grammar, struct ir_sink *next, bool is_fatal);

#endif
