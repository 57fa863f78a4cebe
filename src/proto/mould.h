#ifndef R2A_PROTO_MOULD_H
#define R2A_PROTO_MOULD_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/arena.h"
#include "r2a/core/slice.h"

/* What the events of a stream have in common. One differs from the next in few places: its text,
 * numbers that count up, padding that means nothing.
 *
 *   {"type":…,"sequence_number":| 17 |,"item_id":…,"delta":"| value |"…,"obfuscation":"| xy |"}
 *   literal ---------------------hole  literal -------------  hole    literal ---------- hole
 *
 * An event that was read in full and said nothing but its holes leaves its other bytes here. One
 * that has the same bytes around them means the same, and only the holes need to be read: the rest
 * was validated when the mould was made. What it means is kept by the decoder. */
#define MOULD_HOLES_MAX 8u

enum mould_kind {
    MOULD_STRING, /* the inside of a string; its quotes belong to the literals */
    MOULD_NUMBER, /* a natural number */
};

struct mould_hole {
    struct slice span; /* of the event */
    enum mould_kind kind;
};

struct mould;

/* Makes the mould of this event, in the place of the one before. Holes come in any order and do not
 * overlap. Without memory, of an event that is too long, or where moulds hardly ever fitted, there
 * is none. */
void mould_make(struct mould **mould, struct arena *arena, struct slice event,
                const struct mould_hole *holes, uint32_t count);
/* Whether the event came out of the mould (which may be NULL); `values` are then its holes, in the
 * order they were given in. */
bool mould_fit(struct mould *mould, struct slice event, struct slice *values);
/* The same bytes may mean something else from now on. */
void mould_forget(struct mould *mould);
/* Whether it is no use to note where the holes of an event are. */
bool mould_is_useless(const struct mould *mould);

#endif
