#include "r2a/ir/tape.h"

#include <string.h>

#include "r2a/limits.h"

/* The tape is one flat block: the index of an event is its address, and an encoder may walk it in
 * any order. It doubles; what a conversation needs is known after a few steps. */

#define TAPE_EVENTS_MIN 96u /* 3.75 KiB: a short request fits the 4 KiB class */

static enum r2a_err grow(struct ir_tape *tape)
{
    uint32_t capacity = tape->capacity == 0 ? TAPE_EVENTS_MIN : tape->capacity * 2;
    struct ir_event *events;

    if (capacity > TAPE_EVENTS_MAX)
        capacity = TAPE_EVENTS_MAX;
    /* Whatever the class has beyond what was asked for is ours too. */
    capacity = (uint32_t)(mem_usable(capacity * sizeof(*events)) / sizeof(*events));
    events = mem_take(tape->mem, capacity * sizeof(*events));
    if (events == NULL)
        return R2A_ERR_NO_MEMORY;
    if (tape->count > 0)
        memcpy(events, tape->events, tape->count * sizeof(*events));
    mem_give(tape->mem, tape->events, tape->capacity * sizeof(*events));
    tape->events = events;
    tape->capacity = capacity;
    return R2A_OK;
}

static enum r2a_err put(struct ir_sink *sink, const struct ir_event *event)
{
    struct ir_tape *tape = (struct ir_tape *)(void *)sink;

    if (tape->count == tape->capacity) {
        enum r2a_err err = grow(tape);

        if (err != R2A_OK)
            return err;
    }
    if (tape->count == TAPE_EVENTS_MAX)
        return R2A_ERR_LIMIT;
    tape->events[tape->count++] = *event;
    return R2A_OK;
}

void ir_tape_init(struct ir_tape *tape, struct mem *mem)
{
    *tape = (struct ir_tape){.sink.put = put, .mem = mem};
}

void ir_tape_clear(struct ir_tape *tape)
{
    mem_give(tape->mem, tape->events, tape->capacity * sizeof(*tape->events));
    tape->events = NULL;
    tape->count = 0;
    tape->capacity = 0;
}
