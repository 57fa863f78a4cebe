/* The table of framings. */
#include "r2a/http/framing.h"

#include "r2a/core/check.h"

static const struct framing *const rows[FRAMING_COUNT] = {
#define X(id, name) [FRAMING_##id] = &framing_##name,
    FRAMING_LIST(X)
#undef X
};

const struct framing *framing_row(enum framing_id id)
{
    check(id < FRAMING_COUNT);
    return rows[id];
}

const struct framing *framing_find(struct slice name)
{
    for (unsigned i = 0; i < FRAMING_COUNT; i++) {
        if (slice_eq(rows[i]->name, name))
            return rows[i];
    }
    return NULL;
}
