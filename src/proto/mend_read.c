#include "mend_work.h"

#include "r2a/json/text.h"

/* The first step of turn assembly (conversion.md 2.2, 2.9): what the tape says, turn by turn, for
 * this target. System text is sorted from the conversation, secrets are unsealed for their minter
 * or dropped with their reasoning, what the vault kept is put back, and blocks that only another
 * protocol has stay behind. */

/* --- read: secrets --- */

/* The secret of a part, when this target may have it. */
static bool unseal(struct mend_work *work, uint32_t event, struct seal *seal)
{
    const struct mend *mend = work->mend;
    int64_t family = IR_SEAL_NONE;
    struct text value = mend_event_field(mend, event, IR_FIELD_SEAL, &family);
    struct text item_id = mend_event_field(mend, event, IR_FIELD_ITEM_ID, NULL);

    if (!seal_read(value, (uint8_t)family, item_id, mend->arena, seal)) {
        work->is_failed = true;
        return false;
    }
    if (seal->family == IR_SEAL_NONE || strchr(work->rules->seals, seal->family) == NULL)
        return false;
    /* A native secret can only be of the client's own protocol, hence of this family; a sealed one
     * says whose it is, and a look-alike's never reaches the vendor it imitates. */
    return !seal->is_sealed || text_is(seal->minter, work->target->minter);
}

static bool has_seal(const struct mend_part *part)
{
    return part->extra != NULL && part->extra->seal.len > 0;
}

static void set_seal(struct mend_work *work, uint32_t number, const struct seal *seal)
{
    struct mend_extra *extra = mend_extra_of(work, number);

    extra->seal = seal->secret;
    extra->seal_family = seal->family;
    extra->item_id = seal->item_id;
    if (seal->family == IR_SEAL_REDACTED)
        work->mend->parts[number].kind = IR_PART_REDACTED;
    else if (work->mend->parts[number].kind == IR_PART_REDACTED)
        work->mend->parts[number].kind = IR_PART_REASON;
}

static void read_reason(struct mend_work *work, struct mend_draft *turn,
                        const struct ir_event *event, uint32_t index)
{
    struct seal seal;
    uint32_t number;

    if (unseal(work, index, &seal)) {
        number = mend_new_part(work, event->what, event->flags, index);
        set_seal(work, number, &seal);
        mend_link_last(work, turn, number);
    } else if (event->what == IR_PART_REASON && mend_body_of(work->mend, index).len > 0 &&
               (work->rules->reason_echo != OC_REASON_ECHO_NONE || !work->rules->seals_on_calls)) {
        /* Kept for now: as the echo, or because a later call's secret may belong to it. */
        mend_link_last(work, turn, mend_new_part(work, IR_PART_REASON, event->flags, index));
    }
}

/* A secret that came on a call belongs to the last reasoning before it that has none; AM and OR
 * have no other place for it. */
static void read_call_seal(struct mend_work *work, struct mend_draft *turn, uint32_t number)
{
    struct mend_part *parts = work->mend->parts;
    uint32_t reason = MEND_NONE, last = MEND_NONE, event = parts[number].event;
    struct seal seal;

    if (!unseal(work, event, &seal))
        return;
    if (work->rules->seals_on_calls) {
        set_seal(work, number, &seal);
        return;
    }
    for (uint32_t at = turn->head; at != MEND_NONE; last = at, at = parts[at].next)
        if (parts[at].kind == IR_PART_REASON && !has_seal(&parts[at]))
            reason = at;
    if (reason == MEND_NONE) {
        reason = mend_new_part(work, IR_PART_REASON, 0, MEND_NONE);
        mend_link_after(work, turn, last, reason);
    }
    set_seal(work, reason, &seal);
}

/* Reasoning that nobody vouches for: unsigned thinking is refused by Anthropic and useless
 * elsewhere. What stays is what the target asks to be echoed. */
static void drop_unsealed(struct mend_work *work, struct mend_draft *turn, bool has_calls)
{
    struct mend_part *parts = work->mend->parts;
    uint8_t echo = work->rules->reason_echo;
    uint32_t before = MEND_NONE;

    if (echo == OC_REASON_ECHO_ALL || (echo == OC_REASON_ECHO_CALLS && has_calls))
        return;
    for (uint32_t at = turn->head, next; at != MEND_NONE; at = next) {
        next = parts[at].next;
        if (parts[at].kind == IR_PART_REASON && !has_seal(&parts[at]))
            mend_unlink_after(work, turn, before, at);
        else
            before = at;
    }
}

/* The blocks before the last one, if any, go before it. */
static void recall_earlier(struct mend_work *work, struct mend_draft *turn, struct text call_id)
{
    struct recall *recall = work->target->recall;

    for (uint32_t i = 1; i < RECALL_BLOCKS_MAX; i++) {
        struct slice secret = {0}, item_id = {0}, reasoning = {0};
        struct seal seal = {0};
        uint32_t reason;

        if (!recall->find(recall, call_id, i, work->target->minter, &seal.family, &secret, &item_id,
                          &reasoning))
            return;
        if (secret.len > 0 && strchr(work->rules->seals, seal.family) == NULL)
            secret.len = 0;
        if (secret.len == 0 &&
            (work->rules->reason_echo == OC_REASON_ECHO_NONE || reasoning.len == 0))
            continue;
        seal.secret = text_plain(arena_copy(work->mend->arena, secret));
        seal.item_id = text_plain(arena_copy(work->mend->arena, item_id));
        reason = mend_new_part(work, IR_PART_REASON, 0, MEND_NONE);
        mend_extra_of(work, reason)->before = arena_copy(work->mend->arena, reasoning);
        if (seal.secret.len > 0)
            set_seal(work, reason, &seal);
        mend_link_after(work, turn, MEND_NONE, reason);
    }
}

/* What the vault kept for clients that return nothing, or the words without their secret: Chat
 * clients echo reasoning_content, which is as good as nothing to a target that wants no echo. */
static void recall(struct mend_work *work, struct mend_draft *turn)
{
    struct mend_part *parts = work->mend->parts;
    struct recall *recall = work->target->recall;
    uint32_t first_call = MEND_NONE;
    bool is_vouched = false; /* the reasoning right before brought a secret: the call's, if any */

    for (uint32_t at = turn->head; at != MEND_NONE; at = parts[at].next) {
        if (parts[at].kind == IR_PART_CALL) {
            struct slice secret = {0}, item_id = {0}, reasoning = {0};
            struct seal seal = {0};
            bool has_secret = has_seal(&parts[at]) || is_vouched;

            is_vouched = false;
            if (first_call != MEND_NONE && !work->rules->seals_on_calls)
                return;
            if (has_secret)
                continue;
            first_call = at;
            if (!recall->find(recall, work->mend->tape->events[parts[at].event].u.open.id, 0,
                              work->target->minter, &seal.family, &secret, &item_id, &reasoning))
                continue;
            seal.secret = text_plain(arena_copy(work->mend->arena, secret));
            seal.item_id = text_plain(arena_copy(work->mend->arena, item_id));
            if (seal.secret.len > 0 && strchr(work->rules->seals, seal.family) == NULL)
                seal.secret.len = 0;
            if (work->rules->seals_on_calls && seal.secret.len > 0) {
                set_seal(work, at, &seal);
            } else if (seal.secret.len > 0 ||
                       (work->rules->reason_echo != OC_REASON_ECHO_NONE && reasoning.len > 0)) {
                uint32_t reason = mend_new_part(work, IR_PART_REASON, 0, MEND_NONE);

                mend_extra_of(work, reason)->before = arena_copy(work->mend->arena, reasoning);
                if (seal.secret.len > 0)
                    set_seal(work, reason, &seal);
                mend_link_after(work, turn, MEND_NONE, reason);
                recall_earlier(work, turn, work->mend->tape->events[parts[at].event].u.open.id);
                return;
            }
        } else if (parts[at].kind == IR_PART_REASON || parts[at].kind == IR_PART_REDACTED) {
            is_vouched = has_seal(&parts[at]);
            if (work->rules->reason_echo != OC_REASON_ECHO_NONE ||
                (is_vouched && !work->rules->seals_on_calls))
                return;
        } else {
            is_vouched = false;
        }
    }
}

/* --- read: parts and turns --- */

/* A cache mark on a part of a result is one of the result: targets mark whole results. */
static uint8_t result_flags(const struct ir_tape *tape, uint32_t index)
{
    uint32_t end = tape_end_of(tape, index);
    uint8_t flags = tape->events[index].flags;

    for (uint32_t i = index + 1; i < end; i++)
        if (tape->events[i].kind == IR_PART)
            flags |= tape->events[i].flags & IR_CACHE_MARK;
    return flags;
}

static void read_opaque(struct mend_work *work, struct mend_draft *turn,
                        const struct ir_event *event, uint32_t index, bool is_users)
{
    struct slice type;

    if (work->target->proto != NULL && text_is(event->u.open.id, work->target->proto->name)) {
        mend_link_last(work, turn, mend_new_part(work, IR_PART_OPAQUE, event->flags, index));
    } else if (text_to_plain(event->u.open.name, work->mend->arena, &type)) {
        /* What an earlier answer said may go, and is named; what the user says may not (0.3). */
        if (is_users && text_is(event->u.open.id, S("anthropic")))
            work->refused = type;
        else
            loss_note(work->loss, type);
    }
}

static uint32_t read_turn(struct mend_work *work, uint32_t index, struct mend_draft *turn)
{
    const struct ir_tape *tape = work->mend->tape;
    bool is_assistant = tape->events[index].what == IR_ROLE_ASSISTANT, has_calls = false;
    uint32_t number;

    for (index++; tape->events[index].kind != IR_TURN_END; index++) {
        const struct ir_event *event = &tape->events[index];

        if (event->kind != IR_PART)
            continue;
        switch (event->what) {
        case IR_PART_REASON:
        case IR_PART_REDACTED:
            if (is_assistant)
                read_reason(work, turn, event, index);
            break;
        case IR_PART_OPAQUE:
            read_opaque(work, turn, event, index, !is_assistant);
            break;
        case IR_PART_CALL:
            number = mend_new_part(work, event->what, event->flags, index);
            read_call_seal(work, turn, number);
            mend_link_last(work, turn, number);
            has_calls = true;
            break;
        case IR_PART_RESULT:
            mend_link_last(work, turn,
                           mend_new_part(work, event->what, result_flags(tape, index), index));
            break;
        default:
            mend_link_last(work, turn, mend_new_part(work, event->what, event->flags, index));
            break;
        }
        index = tape_end_of(tape, index);
    }
    if (is_assistant && has_calls && work->target->recall != NULL)
        recall(work, turn);
    if (is_assistant)
        drop_unsealed(work, turn, has_calls);
    return index;
}

static bool is_billing(const struct mend_work *work, uint32_t event)
{
    return work->rules->drops_billing && text_is(work->mend->dialect, S("anthropic")) &&
           text_starts(mend_body_of(work->mend, event), S("x-anthropic-billing-header:"));
}

/* System text: blank pieces and the client's billing line go. */
static uint32_t read_system(struct mend_work *work, uint32_t index, struct mend_draft *turn,
                            bool wraps)
{
    const struct ir_tape *tape = work->mend->tape;
    uint32_t number;

    for (index++; tape->events[index].kind != IR_TURN_END; index++) {
        const struct ir_event *event = &tape->events[index];
        bool is_text = event->what == IR_PART_TEXT;

        if (event->kind != IR_PART)
            continue;
        if (event->what != IR_PART_OPAQUE &&
            !(is_text &&
              (text_is_blank(mend_body_of(work->mend, index)) || is_billing(work, index)))) {
            number = mend_new_part(work, event->what, event->flags, index);
            if (wraps && is_text) {
                mend_extra_of(work, number)->before = S("<system>\n");
                mend_extra_of(work, number)->after = S("\n</system>");
            }
            mend_link_last(work, turn, number);
        }
        index = tape_end_of(tape, index);
    }
    return index;
}

/* Where the leading system turns end: the operator's own text follows them, or replaces them. */
static void end_system(struct mend_work *work)
{
    struct slice text = work->target->system_text;
    struct mend_draft *turn;

    if (work->target->system_mode == SYSTEM_OVERRIDE && text.len > 0) {
        work->system.head = work->system.tail = MEND_NONE;
        work->turns_count = 0;
    }
    if (text.len == 0)
        return;
    turn = work->rules->hoists_system
               ? &work->system
               : mend_new_turn(work, work->turns_count, IR_ROLE_SYSTEM, MEND_NONE);
    mend_link_last(work, turn, mend_new_text(work, text));
}

void mend_read_tape(struct mend_work *work)
{
    const struct ir_tape *tape = work->mend->tape;
    bool is_leading = true;

    for (uint32_t i = 0; i < tape->count; i++) {
        uint8_t role = tape->events[i].what;
        struct mend_draft *turn;

        if (tape->events[i].kind != IR_TURN)
            continue;
        if (role == IR_ROLE_USER || role == IR_ROLE_ASSISTANT) {
            if (is_leading)
                end_system(work);
            is_leading = false;
            i = read_turn(work, i, mend_new_turn(work, work->turns_count, role, i));
        } else if (is_leading && work->rules->hoists_system) {
            i = read_system(work, i, &work->system, false);
        } else {
            bool wraps = !is_leading && work->rules->mid == MEND_MID_USER;

            turn = mend_new_turn(work, work->turns_count, wraps ? IR_ROLE_USER : role, i);
            i = read_system(work, i, turn, wraps);
            if (turn->head == MEND_NONE)
                work->turns_count--;
        }
    }
    if (is_leading)
        end_system(work);
}
