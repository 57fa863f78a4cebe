#include "r2a/ir/loss.h"

/* Losses are few and named once: a linear search is the whole index. */

void loss_note(struct loss *loss, struct slice name)
{
    for (uint32_t i = 0; i < loss->names_count; i++)
        if (slice_eq(loss->names[i], name))
            return;
    loss->count++;
    if (loss->names_count < LOSS_NAMES_MAX)
        loss->names[loss->names_count++] = name;
}
