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

/* Google's secret of a call stays there, where the target has a place for it. */
static bool stays_on_call(const struct mend_work *work, uint8_t family)
{
    return work->rules->seals_on_calls && family == IR_SEAL_THOUGHT;
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
               (work->rules->reason_echo != OC_REASON_ECHO_NONE || mend_moves_seals(work->rules))) {
        /* Kept for now: as the echo, or because a later call's secret may belong to it. */
        mend_link_last(work, turn, mend_new_part(work, IR_PART_REASON, event->flags, index));
    }
}

/* A secret that came on a call belongs to the last reasoning before it that has none, unless it
 * is one that stands there. Where a client left all reasoning out, it began the turn. */
static void read_call_seal(struct mend_work *work, struct mend_draft *turn, uint32_t number)
{
    struct mend_part *parts = work->mend->parts;
    uint32_t reason = MEND_NONE, last = MEND_NONE, event = parts[number].event;
    bool has_any = false;
    struct seal seal;

    if (!unseal(work, event, &seal))
        return;
    if (stays_on_call(work, seal.family)) {
        set_seal(work, number, &seal);
        return;
    }
    for (uint32_t at = turn->head; at != MEND_NONE; last = at, at = parts[at].next) {
        has_any |= mend_is_reason(&parts[at]) || parts[at].kind == IR_PART_CALL;
        if (parts[at].kind == IR_PART_REASON && !mend_has_seal(&parts[at]))
            reason = at;
    }
    if (reason == MEND_NONE) {
        reason = mend_new_part(work, IR_PART_REASON, 0, MEND_NONE);
        mend_link_after(work, turn, has_any ? last : MEND_NONE, reason);
    }
    set_seal(work, reason, &seal);
}

/* Reasoning without words that lends its secret is nothing else: the call has it now. */
static bool dissolve(struct mend_work *work, uint32_t reason)
{
    struct mend_part *parts = work->mend->parts;
    uint32_t call = parts[reason].next;
    struct mend_extra *extra;

    if (!work->rules->seals_on_calls || call == MEND_NONE ||
        !mend_lends(&parts[reason], &parts[call]) || !mend_is_empty(work->mend, &parts[reason]))
        return false;
    extra = mend_extra_of(work, call);
    extra->seal = parts[reason].extra->seal;
    extra->seal_family = parts[reason].extra->seal_family;
    extra->item_id = parts[reason].extra->item_id;
    return true;
}

/* Reasoning that nobody vouches for goes: unsigned thinking is refused by Anthropic and useless
 * elsewhere, unless the target asks for an echo of it. So does what a call has taken over. */
static void drop_reasons(struct mend_work *work, struct mend_draft *turn, bool has_calls)
{
    struct mend_part *parts = work->mend->parts;
    uint8_t echo = work->rules->reason_echo;
    bool has_echo = echo == OC_REASON_ECHO_ALL || (echo == OC_REASON_ECHO_CALLS && has_calls);
    uint32_t before = MEND_NONE;

    for (uint32_t at = turn->head, next; at != MEND_NONE; at = next) {
        next = parts[at].next;
        if (mend_is_reason(&parts[at]) &&
            (mend_has_seal(&parts[at]) ? dissolve(work, at) : !has_echo))
            mend_unlink_after(work, turn, before, at);
        else
            before = at;
    }
}

/* --- read: the vault --- */

/* Block `index` of what the vault kept for a call, without a secret this target may not have. */
static bool find_block(struct mend_work *work, struct text call_id, uint32_t index,
                       struct seal *seal, struct slice *reasoning)
{
    struct recall *recall = work->target->recall;
    struct slice secret = {0}, item_id = {0}, words = {0};

    *seal = (struct seal){0};
    if (!recall->find(recall, call_id, index, work->target->minter, &seal->family, &secret,
                      &item_id, &words))
        return false;
    if (secret.len > 0 && strchr(work->rules->seals, seal->family) == NULL)
        secret.len = 0;
    seal->secret = text_plain(arena_copy(work->mend->arena, secret));
    seal->item_id = text_plain(arena_copy(work->mend->arena, item_id));
    *reasoning = arena_copy(work->mend->arena, words);
    return true;
}

/* All blocks of a call, the last of them first: each goes before the ones already there. */
static bool recall_blocks(struct mend_work *work, struct mend_draft *turn, uint32_t after,
                          struct text call_id)
{
    bool has_any = false;
    struct slice reasoning;
    struct seal seal;

    for (uint32_t i = 0; i < RECALL_BLOCKS_MAX && find_block(work, call_id, i, &seal, &reasoning);
         i++) {
        uint32_t number;

        if (seal.secret.len == 0 &&
            (work->rules->reason_echo == OC_REASON_ECHO_NONE || reasoning.len == 0))
            continue;
        number = mend_new_part(work, IR_PART_REASON, 0, MEND_NONE);
        mend_extra_of(work, number)->before = reasoning;
        if (seal.secret.len > 0)
            set_seal(work, number, &seal);
        mend_link_after(work, turn, after, number);
        has_any = true;
    }
    return has_any;
}

/* Reasoning that nothing is known of but the secret, which came on a call. */
static bool is_bare(const struct mend_part *part)
{
    return mend_is_reason(part) && part->event == MEND_NONE && mend_has_seal(part) &&
           part->extra->before.len == 0;
}

static bool was_kept(struct mend_work *work, struct text call_id, struct text secret)
{
    struct slice reasoning;
    struct seal seal;

    for (uint32_t i = 0; i < RECALL_BLOCKS_MAX && find_block(work, call_id, i, &seal, &reasoning);
         i++)
        if (seal.secret.len > 0 && text_is(secret, text_bytes(seal.secret)))
            return true;
    return false;
}

/* Takes out the reasoning between part `from` (MEND_NONE: the head) and a call whose secrets the
 * vault has with that call. Returns what stands before the place of the first. */
static uint32_t drop_kept(struct mend_work *work, struct mend_draft *turn, uint32_t from,
                          uint32_t call)
{
    struct mend_part *parts = work->mend->parts;
    struct text id = mend_call_id(work->mend, &parts[call]);
    uint32_t before = from, place = from;
    bool has_any = false;

    for (uint32_t at = from == MEND_NONE ? turn->head : parts[from].next, next; at != call;
         at = next) {
        next = parts[at].next;
        if (mend_is_reason(&parts[at]) && mend_has_seal(&parts[at]) &&
            was_kept(work, id, parts[at].extra->seal)) {
            place = has_any ? place : before;
            has_any = true;
            mend_unlink_after(work, turn, before, at);
        } else {
            before = at;
        }
    }
    return place;
}

/* A call's secret is one block of the reasoning before it, without its words: where the vault has
 * the whole, that takes its place, and that of the other blocks that came back. */
static void recall_bare(struct mend_work *work, struct mend_draft *turn)
{
    struct mend_part *parts = work->mend->parts;
    uint32_t bare = MEND_NONE, last_call = MEND_NONE;

    for (uint32_t at = turn->head; at != MEND_NONE; at = parts[at].next) {
        if (is_bare(&parts[at]))
            bare = at;
        if (parts[at].kind != IR_PART_CALL)
            continue;
        if (bare != MEND_NONE) {
            struct text id = mend_call_id(work->mend, &parts[at]);

            if (was_kept(work, id, parts[bare].extra->seal))
                (void)recall_blocks(work, turn, drop_kept(work, turn, last_call, at), id);
        }
        bare = MEND_NONE;
        last_call = at;
    }
}

/* What the vault kept for clients that return nothing, or the words without their secret: Chat
 * clients echo reasoning_content, which is as good as nothing to a target that wants no echo. */
static void recall(struct mend_work *work, struct mend_draft *turn)
{
    const struct mend_part *parts = work->mend->parts, *last = NULL;
    bool goes_on_call = work->rules->seals_on_calls;
    uint32_t first_call = MEND_NONE;

    for (uint32_t at = turn->head; at != MEND_NONE; last = &parts[at], at = parts[at].next) {
        if (parts[at].kind == IR_PART_CALL) {
            struct text id = mend_call_id(work->mend, &parts[at]);
            struct slice reasoning;
            struct seal seal;

            if (first_call != MEND_NONE && !goes_on_call)
                return;
            if (mend_has_seal(&parts[at]) || (last != NULL && mend_lends(last, &parts[at])))
                continue;
            first_call = at;
            if (goes_on_call && find_block(work, id, 0, &seal, &reasoning) && seal.secret.len > 0 &&
                stays_on_call(work, seal.family))
                set_seal(work, at, &seal);
            else if (recall_blocks(work, turn, MEND_NONE, id))
                return;
        } else if (mend_is_reason(&parts[at])) {
            if (work->rules->reason_echo != OC_REASON_ECHO_NONE ||
                (mend_has_seal(&parts[at]) && !stays_on_call(work, parts[at].extra->seal_family)))
                return;
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

static bool is_media_kind(uint8_t kind)
{
    return kind == IR_PART_IMAGE || kind == IR_PART_FILE || kind == IR_PART_AUDIO ||
           kind == IR_PART_VIDEO;
}

/* What the model drew, in a user turn behind its own. */
static __attribute__((noinline, cold)) void show_media(struct mend_work *work)
{
    uint32_t number = work->turns_count - 1, before = MEND_NONE;
    struct mend_part *parts = work->mend->parts;
    struct mend_draft *shown = NULL;

    for (uint32_t at = work->turns[number].head, next; at != MEND_NONE; at = next) {
        next = parts[at].next;
        if (!is_media_kind(parts[at].kind)) {
            before = at;
            continue;
        }
        mend_unlink_after(work, &work->turns[number], before, at);
        if (shown == NULL)
            shown = mend_new_turn(work, work->turns_count, IR_ROLE_USER, MEND_NONE);
        mend_link_last(work, shown, at);
    }
}

/* What only Anthropic's documents have: the words about one stand before it, as text; that it is to
 * be cited is a hint. */
static __attribute__((noinline, cold)) void read_document(struct mend_work *work,
                                                          struct mend_draft *turn, uint32_t index)
{
    const struct mend *mend = work->mend;
    struct text context = mend_event_field(mend, index, IR_FIELD_CONTEXT, NULL);
    struct slice plain;

    if (mend_event_field(mend, index, IR_FIELD_CITATIONS, NULL).len > 0)
        loss_note(work->loss, S("citations"));
    if (context.len == 0)
        return;
    if (text_to_plain(context, mend->arena, &plain))
        mend_link_last(work, turn, mend_new_text(work, plain));
    else
        work->is_failed = true;
}

static uint32_t read_turn(struct mend_work *work, uint32_t index, struct mend_draft *turn)
{
    const struct ir_tape *tape = work->mend->tape;
    bool is_assistant = tape->events[index].what == IR_ROLE_ASSISTANT, has_calls = false,
         has_media = false;
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
        case IR_PART_FILE:
        case IR_PART_SEARCH:
            if (work->rules->is_foreign)
                read_document(work, turn, index);
            mend_link_last(work, turn, mend_new_part(work, event->what, event->flags, index));
            break;
        default:
            mend_link_last(work, turn, mend_new_part(work, event->what, event->flags, index));
            break;
        }
        has_media |= is_media_kind(event->what);
        index = tape_end_of(tape, index);
    }
    if (is_assistant && has_calls && work->target->recall != NULL) {
        recall_bare(work, turn);
        recall(work, turn);
    }
    if (is_assistant)
        drop_reasons(work, turn, has_calls);
    if (is_assistant && has_media && work->rules->shows_media)
        show_media(work);
    return index;
}

static bool is_billing(const struct mend_work *work, uint32_t event)
{
    return work->rules->is_foreign && text_is(work->mend->dialect, S("anthropic")) &&
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
