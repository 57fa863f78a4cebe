#ifndef R2A_IR_TAPE_H
#define R2A_IR_TAPE_H

#include "r2a/core/mem.h"
#include "r2a/ir/event.h"

/* A request's events at rest: a flat array, 40 bytes an event, grown by size class. It is a sink.
 * Text on it borrows from the request body or the exchange arena. At most TAPE_EVENTS_MAX events
 * (R2A_ERR_LIMIT); R2A_ERR_NO_MEMORY when the byte budget is used up. */
struct ir_tape {
    struct ir_sink sink; /* first: &tape->sink is handed to decoders */
    struct mem *mem;
    struct ir_event *events;
    uint32_t count;
    uint32_t capacity;
};

void ir_tape_init(struct ir_tape *tape, struct mem *mem);
void ir_tape_clear(struct ir_tape *tape);

#endif
