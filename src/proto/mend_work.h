#ifndef R2A_PROTO_MEND_WORK_H
#define R2A_PROTO_MEND_WORK_H

#include "mend.h"

/* Turn assembly while it is under way: mend_read.c makes drafts of turns from a tape, mend.c puts
 * them in order. Parts are linked while they move between turns, and numbered once: a part never
 * moves in memory. */

struct mend_draft {
    uint8_t role;
    uint32_t event;
    uint32_t head, tail; /* part numbers, MEND_NONE: empty */
    uint32_t results;
};

struct mend_work {
    struct mend *mend;
    const struct mend_rules *rules;
    const struct target *target;
    struct loss *loss;
    struct mend_draft *turns, *paired;
    uint32_t turns_count, turns_max;
    struct mend_draft system;
    uint32_t parts_max;
    uint32_t *slots;       /* the latest call of an id, number + 1 */
    uint32_t *occurrences; /* beside `slots`: namesakes so far */
    uint32_t slots_mask;
    uint32_t first_call; /* of the turn whose results are looked for */
    uint64_t seed;
    uint32_t name_steps;  /* left for results that go by name */
    bool is_failed;       /* out of memory */
    struct slice refused; /* type of a user's content that the target cannot be told */
};

/* --- parts in turns --- */

void mend_link_last(struct mend_work *work, struct mend_draft *turn, uint32_t number);
/* `after` MEND_NONE: at the head. */
void mend_link_after(struct mend_work *work, struct mend_draft *turn, uint32_t after,
                     uint32_t number);
/* `before` is the one in front of `number`, MEND_NONE when that is the head. */
void mend_unlink_after(struct mend_work *work, struct mend_draft *turn, uint32_t before,
                       uint32_t number);
uint32_t mend_new_part(struct mend_work *work, uint8_t kind, uint8_t flags, uint32_t event);
/* Never NULL: without memory `is_failed` is set. */
struct mend_extra *mend_extra_of(struct mend_work *work, uint32_t number);
uint32_t mend_new_text(struct mend_work *work, struct slice text);
/* `at` <= turns_count. */
struct mend_draft *mend_new_turn(struct mend_work *work, uint32_t at, uint8_t role, uint32_t event);

/* --- what a part says --- */

static inline bool mend_is_reason(const struct mend_part *part)
{
    return part->kind == IR_PART_REASON || part->kind == IR_PART_REDACTED;
}

static inline bool mend_has_seal(const struct mend_part *part)
{
    return part->extra != NULL && part->extra->seal.len > 0;
}

/* Clients without a place for secrets on calls return a call's (Google's alone stand on calls) on
 * the reasoning right before it: it is that call's, and no other's. True when `next`, the part
 * after `part`, borrows so. */
static inline bool mend_lends(const struct mend_part *part, const struct mend_part *next)
{
    return mend_is_reason(part) && mend_has_seal(part) &&
           part->extra->seal_family == IR_SEAL_THOUGHT && next->kind == IR_PART_CALL &&
           !mend_has_seal(next);
}

/* Whether a secret that came on a call may become that of reasoning. */
static inline bool mend_moves_seals(const struct mend_rules *rules)
{
    return !rules->seals_on_calls || strchr(rules->seals, IR_SEAL_DETAILS) != NULL;
}

struct text mend_body_of(const struct mend *mend, uint32_t event);
struct text mend_event_field(const struct mend *mend, uint32_t index, uint8_t field,
                             int64_t *number);

/* The first step: tape -> drafts; system text sorted out, secrets unsealed, what cannot cross left
 * out. */
void mend_read_tape(struct mend_work *work);

#endif
