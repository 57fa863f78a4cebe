#ifndef R2A_IR_LOSS_H
#define R2A_IR_LOSS_H

#include "r2a/core/slice.h"
#include "r2a/limits.h"

/* What a target cannot be told, by the client's own member name or tool type: "seed", "logit_bias".
 * Names are unique, bounded; further ones are counted. Slices must outlive it (static, request
 * body, arena). */
struct loss {
    uint32_t count; /* all that were noted, named or not */
    uint32_t names_count;
    struct slice names[LOSS_NAMES_MAX];
};

static inline void loss_empty(struct loss *loss)
{
    loss->count = loss->names_count = 0;
}
void loss_note(struct loss *loss, struct slice name);

#endif
