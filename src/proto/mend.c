#include "mend_work.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Turn assembly, once for all targets (conversion.md 2.2, 2.3, 2.9).
 *
 *   read      tape -> turns of linked parts (mend_read.c)
 *   settle    empty text and empty turns go, neighbours are joined
 *   pair      results to their calls, first and in order; the missing made up, the extra rewritten
 *   frame     a user turn at the start, the prefill at the end
 *   flatten   linked parts -> mend.order
 *
 * Parts are linked while they move between turns, and numbered once: a part never moves in memory.
 * Nothing here knows a protocol; the rules are data (struct mend_rules). */

#define TURN_GONE      (MEND_NONE - 1)
#define NAME_STEPS_MAX 4000000u /* a request of nothing but nameless results stays cheap */

/* --- parts in turns --- */

void mend_link_last(struct mend_work *work, struct mend_draft *turn, uint32_t number)
{
    struct mend_part *parts = work->mend->parts;

    parts[number].next = MEND_NONE;
    if (turn->tail == MEND_NONE)
        turn->head = number;
    else
        parts[turn->tail].next = number;
    turn->tail = number;
}

void mend_link_after(struct mend_work *work, struct mend_draft *turn, uint32_t after,
                     uint32_t number)
{
    struct mend_part *parts = work->mend->parts;

    if (after == MEND_NONE) {
        parts[number].next = turn->head;
        turn->head = number;
    } else {
        parts[number].next = parts[after].next;
        parts[after].next = number;
    }
    if (turn->tail == after)
        turn->tail = number;
}

void mend_unlink_after(struct mend_work *work, struct mend_draft *turn, uint32_t before,
                       uint32_t number)
{
    struct mend_part *parts = work->mend->parts;

    if (before == MEND_NONE)
        turn->head = parts[number].next;
    else
        parts[before].next = parts[number].next;
    if (turn->tail == number)
        turn->tail = before;
}

uint32_t mend_new_part(struct mend_work *work, uint8_t kind, uint8_t flags, uint32_t event)
{
    struct mend *mend = work->mend;

    check(mend->parts_count < work->parts_max);
    mend->parts[mend->parts_count] = (struct mend_part){
        .event = event, .pair = MEND_NONE, .next = MEND_NONE, .kind = kind, .flags = flags};
    return mend->parts_count++;
}

struct mend_extra *mend_extra_of(struct mend_work *work, uint32_t number)
{
    static struct mend_extra nowhere; /* written to only when memory is out, never read */
    struct mend_part *part = &work->mend->parts[number];

    if (part->extra == NULL)
        part->extra = arena_take_zero(work->mend->arena, sizeof(*part->extra));
    if (part->extra == NULL) {
        work->is_failed = true;
        return &nowhere;
    }
    return part->extra;
}

uint32_t mend_new_text(struct mend_work *work, struct slice text)
{
    uint32_t number = mend_new_part(work, IR_PART_TEXT, 0, MEND_NONE);

    mend_extra_of(work, number)->before = text;
    return number;
}

struct mend_draft *mend_new_turn(struct mend_work *work, uint32_t at, uint8_t role, uint32_t event)
{
    check(work->turns_count < work->turns_max);
    memmove(&work->turns[at + 1], &work->turns[at],
            (work->turns_count - at) * sizeof(*work->turns));
    work->turns_count++;
    work->turns[at] = (struct mend_draft){.role = role, .event = event, MEND_NONE, MEND_NONE};
    work->turns[at].head = work->turns[at].tail = MEND_NONE;
    return &work->turns[at];
}

/* --- what a part says --- */

struct text mend_body_of(const struct mend *mend, uint32_t event)
{
    struct part_view view;

    if (event == MEND_NONE || !part_read(mend->tape, event, mend->arena, &view))
        return (struct text){0};
    return view.text;
}

struct text mend_event_field(const struct mend *mend, uint32_t index, uint8_t field,
                             int64_t *number)
{
    const struct ir_tape *tape = mend->tape;
    struct text value = {0};

    for (index++; index < tape->count && tape->events[index].kind != IR_PART_END &&
                  tape->events[index].kind != IR_PART;
         index++) {
        const struct ir_event *event = &tape->events[index];

        if (event->kind == IR_FIELD && event->what == field) {
            value = event->u.field.value;
            if (number != NULL)
                *number = event->u.field.number;
        }
    }
    return value;
}

/* --- settle --- */

static bool is_text_kind(uint8_t kind)
{
    return kind == IR_PART_TEXT || kind == IR_PART_REFUSAL;
}

/* Only TEXT and REFUSAL can be empty in a way that matters. */
static bool is_blank(const struct mend *mend, const struct mend_part *part, bool counts_space)
{
    struct text body;

    if (!is_text_kind(part->kind) || (part->extra != NULL && part->extra->before.len > 0))
        return false;
    body = mend_body_of(mend, part->event);
    return counts_space ? text_is_blank(body) : body.len == 0;
}

static void drop_empty_text(struct mend_work *work, struct mend_draft *turn)
{
    struct mend_part *parts = work->mend->parts;
    uint32_t before = MEND_NONE;

    for (uint32_t at = turn->head, next; at != MEND_NONE; at = next) {
        next = parts[at].next;
        if (is_blank(work->mend, &parts[at], false))
            mend_unlink_after(work, turn, before, at);
        else
            before = at;
    }
}

static bool is_all_blank(const struct mend_work *work, const struct mend_draft *turn)
{
    const struct mend_part *parts = work->mend->parts;

    for (uint32_t at = turn->head; at != MEND_NONE; at = parts[at].next)
        if (!is_blank(work->mend, &parts[at], true))
            return false;
    return true;
}

static bool has_calls(const struct mend_work *work, const struct mend_draft *turn)
{
    const struct mend_part *parts = work->mend->parts;

    for (uint32_t at = turn->head; at != MEND_NONE; at = parts[at].next)
        if (parts[at].kind == IR_PART_CALL)
            return true;
    return false;
}

static bool is_conversation(uint8_t role)
{
    return role == IR_ROLE_USER || role == IR_ROLE_ASSISTANT;
}

/* Takes out turns that say nothing. False: an empty user turn that may not be left out. */
static bool drop_empty_turns(struct mend_work *work)
{
    uint8_t empty = work->rules->empty;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < work->turns_count; i++) {
        struct mend_draft *turn = &work->turns[i];

        if (empty != MEND_EMPTY_KEEP && is_conversation(turn->role))
            drop_empty_text(work, turn);
        if (empty == MEND_EMPTY_STRICT && is_all_blank(work, turn))
            turn->head = turn->tail = MEND_NONE;
        if (turn->head == MEND_NONE &&
            (turn->role == IR_ROLE_ASSISTANT || empty == MEND_EMPTY_DROP))
            continue;
        work->turns[kept++] = *turn;
    }
    work->turns_count = kept;
    if (empty != MEND_EMPTY_STRICT)
        return true;
    kept = 0;
    for (uint32_t i = 0; i < work->turns_count; i++) {
        struct mend_draft *turn = &work->turns[i];

        if (turn->head == MEND_NONE && turn->role == IR_ROLE_USER &&
            !(kept > 0 && work->turns[kept - 1].role == IR_ROLE_USER) &&
            !(i + 1 < work->turns_count && work->turns[i + 1].role == IR_ROLE_USER))
            return false;
        if (turn->head != MEND_NONE)
            work->turns[kept++] = *turn;
    }
    work->turns_count = kept;
    return true;
}

static void join_turns(struct mend_work *work)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < work->turns_count; i++) {
        struct mend_draft *turn = &work->turns[i], *last = kept > 0 ? &work->turns[kept - 1] : NULL;
        bool joins = last != NULL && last->role == turn->role && is_conversation(turn->role) &&
                     (work->rules->merges_turns ||
                      (turn->role == IR_ROLE_ASSISTANT && has_calls(work, last)));

        if (!joins) {
            work->turns[kept++] = *turn;
            continue;
        }
        if (turn->head == MEND_NONE)
            continue;
        if (last->tail == MEND_NONE)
            last->head = turn->head;
        else
            work->mend->parts[last->tail].next = turn->head;
        last->tail = turn->tail;
    }
    work->turns_count = kept;
}

/* --- pair --- */

static struct text part_id(const struct mend *mend, const struct mend_part *part)
{
    return part->event == MEND_NONE ? (struct text){0} : mend->tape->events[part->event].u.open.id;
}

static struct text part_name(const struct mend *mend, const struct mend_part *part)
{
    return part->event == MEND_NONE ? (struct text){0}
                                    : mend->tape->events[part->event].u.open.name;
}

static uint32_t slot_of(const struct mend_work *work, struct text id)
{
    const struct mend *mend = work->mend;
    uint32_t slot = (uint32_t)text_hash_seeded(id, work->seed) & work->slots_mask;

    while (work->slots[slot] != 0 &&
           !text_eq(part_id(mend, &mend->parts[work->slots[slot] - 1]), id))
        slot = (slot + 1) & work->slots_mask;
    return slot;
}

/* Some servers number the calls of each answer anew, but ids must be unique in a request (Anthropic
 * refuses it otherwise): a later namesake gets an id made of its own and of how often it occurred.
 */
static __attribute__((noinline, cold)) void rename_call(struct mend_work *work, uint32_t number,
                                                        uint32_t occurrence)
{
    struct mend *mend = work->mend;
    struct text id = part_id(mend, &mend->parts[number]);
    char *to = arena_take(mend->arena, ID_DERIVED_BYTES);
    char *seed;
    struct slice plain;
    struct str_buf buf;

    if (to == NULL || !text_to_plain(id, mend->arena, &plain) ||
        (seed = arena_take(mend->arena, plain.len + 1 + STR_U64_BYTES_MAX)) == NULL) {
        work->is_failed = true;
        return;
    }
    buf = (struct str_buf){.ptr = seed, .size = plain.len + 1 + STR_U64_BYTES_MAX};
    str_buf_put(&buf, plain);
    str_buf_put_char(&buf, ' ');
    str_buf_put_u64(&buf, occurrence);
    id_derive(str_buf_slice(&buf), to);
    mend_extra_of(work, number)->call_id = text_plain(slice_of(to, ID_DERIVED_BYTES));
}

/* Enters the calls of one assistant turn, over those of the turns before it. */
static void index_calls(struct mend_work *work, const struct mend_draft *turn)
{
    const struct mend *mend = work->mend;

    work->first_call = MEND_NONE;
    for (uint32_t at = turn->head; at != MEND_NONE; at = mend->parts[at].next) {
        uint32_t slot;

        if (mend->parts[at].kind != IR_PART_CALL)
            continue;
        if (work->first_call == MEND_NONE)
            work->first_call = at;
        slot = slot_of(work, part_id(mend, &mend->parts[at]));
        if (work->slots[slot] != 0)
            rename_call(work, at, ++work->occurrences[slot]);
        if (work->slots[slot] <= work->first_call)
            work->slots[slot] = at + 1;
    }
}

/* The next call of the turn with that id that has no result yet, or `call` again: then this is one
 * more result of it, and counts instead of the one before. */
static __attribute__((noinline, cold)) uint32_t next_namesake(struct mend_work *work, uint32_t call,
                                                              struct text id)
{
    const struct mend_part *parts = work->mend->parts;

    for (uint32_t at = call; at != MEND_NONE && work->name_steps > 0;
         at = parts[at].next, work->name_steps--)
        if (parts[at].kind == IR_PART_CALL && parts[at].pair == MEND_NONE &&
            text_eq(part_id(work->mend, &parts[at]), id))
            return at;
    return call;
}

/* The call a result answers: by its id, or (role `function`, which has none) the first unanswered
 * call of that name. */
static uint32_t find_call(struct mend_work *work, const struct mend_draft *turn,
                          const struct mend_part *result)
{
    const struct mend *mend = work->mend;
    struct text id = part_id(mend, result), name = part_name(mend, result);

    if (turn == NULL)
        return MEND_NONE;
    if (id.len > 0) {
        uint32_t slot = slot_of(work, id);

        if (work->slots[slot] <= work->first_call)
            return MEND_NONE; /* none, or only of an earlier turn */
        return mend->parts[work->slots[slot] - 1].pair == MEND_NONE
                   ? work->slots[slot] - 1
                   : next_namesake(work, work->slots[slot] - 1, id);
    }
    for (uint32_t at = turn->head; at != MEND_NONE && work->name_steps > 0;
         at = mend->parts[at].next, work->name_steps--)
        if (mend->parts[at].kind == IR_PART_CALL && mend->parts[at].pair == MEND_NONE &&
            text_eq(part_name(mend, &mend->parts[at]), name))
            return at;
    return MEND_NONE;
}

/* A result nobody asked for becomes text, and its images stand behind it. Returns the last part. */
static uint32_t make_orphan(struct mend_work *work, struct mend_draft *turn, uint32_t number)
{
    struct mend *mend = work->mend;
    struct mend_extra *extra = mend_extra_of(work, number);
    struct text id = part_id(mend, &mend->parts[number]);
    uint32_t event = mend->parts[number].event, end = tape_end_of(mend->tape, event);
    struct slice plain;
    char *to;

    mend->orphans++;
    mend->parts[number].kind = IR_PART_TEXT;
    extra->text_only = true;
    if (!text_to_plain(id, mend->arena, &plain) ||
        (to = arena_take(mend->arena, plain.len + 32)) == NULL) {
        work->is_failed = true;
        return number;
    }
    memcpy(to, "[result of unknown tool call ", 29);
    if (plain.len > 0)
        memcpy(to + 29, plain.ptr, plain.len);
    memcpy(to + 29 + plain.len, "]\n", 2);
    extra->before = slice_of(to, plain.len + 31);
    for (uint32_t i = event + 1; i < end; i++) {
        const struct ir_event *nested = &mend->tape->events[i];

        if (nested->kind != IR_PART)
            continue;
        if (nested->what == IR_PART_IMAGE || nested->what == IR_PART_AUDIO ||
            nested->what == IR_PART_VIDEO) {
            uint32_t media = mend_new_part(work, nested->what, nested->flags, i);

            mend_link_after(work, turn, number, media);
            number = media;
        }
        i = tape_end_of(mend->tape, i);
    }
    return number;
}

/* Takes the results out of one user turn. `caller`: the assistant turn before it, or NULL. */
static void take_results(struct mend_work *work, const struct mend_draft *caller,
                         struct mend_draft *turn)
{
    struct mend *mend = work->mend;
    uint32_t before = MEND_NONE;

    for (uint32_t at = turn->head, next; at != MEND_NONE; at = next) {
        uint32_t call;

        next = mend->parts[at].next;
        if (mend->parts[at].kind != IR_PART_RESULT) {
            before = at;
            continue;
        }
        call = find_call(work, caller, &mend->parts[at]);
        if (call == MEND_NONE) {
            before = make_orphan(work, turn, at);
            continue;
        }
        mend_unlink_after(work, turn, before, at);
        if (mend->parts[call].pair != MEND_NONE)
            mend->duplicates++;
        mend->parts[call].pair = at;
        mend->parts[at].pair = call;
    }
}

/* Results in the order of their calls, at the head of the turn after them. */
static void place_results(struct mend_work *work, const struct mend_draft *caller,
                          struct mend_draft *turn)
{
    struct mend *mend = work->mend;
    uint32_t last = MEND_NONE;

    for (uint32_t at = caller->head; at != MEND_NONE; at = mend->parts[at].next) {
        uint32_t result = mend->parts[at].pair;

        if (mend->parts[at].kind != IR_PART_CALL)
            continue;
        if (result == MEND_NONE) {
            result = mend_new_part(work, IR_PART_RESULT,
                                   (uint8_t)(IR_IS_ERROR | (mend->parts[at].flags & IR_CUSTOM)),
                                   MEND_NONE);
            mend->parts[result].pair = at;
            mend->parts[at].pair = result;
            mend->dangling++;
        }
        mend->parts[result].flags |= mend->parts[at].flags & (IR_CUSTOM | IR_LEGACY);
        mend_link_after(work, turn, last, result);
        last = result;
        turn->results++;
    }
}

/* The turns after turn `from` up to the next assistant turn give their results to `caller` (NULL:
 * to nobody), and are copied behind it. Returns the index of that assistant turn. */
static uint32_t pair_group(struct mend_work *work, struct mend_draft *caller, uint32_t from,
                           struct mend_draft *paired, uint32_t *count)
{
    uint32_t next = from, first = MEND_NONE;

    for (; next < work->turns_count && work->turns[next].role != IR_ROLE_ASSISTANT; next++) {
        struct mend_draft *turn = &work->turns[next];
        bool had_parts = turn->head != MEND_NONE;

        if (turn->role == IR_ROLE_USER)
            take_results(work, caller, turn);
        /* A turn of nothing but results that moved is gone. */
        if (had_parts && turn->head == MEND_NONE)
            turn->event = TURN_GONE;
        else if (first == MEND_NONE)
            first = next;
    }
    if (caller != NULL && (first == MEND_NONE || work->turns[first].role != IR_ROLE_USER)) {
        paired[*count] = (struct mend_draft){
            .role = IR_ROLE_USER, .event = MEND_NONE, .head = MEND_NONE, .tail = MEND_NONE};
        place_results(work, caller, &paired[(*count)++]);
    } else if (caller != NULL) {
        place_results(work, caller, &work->turns[first]);
    }
    for (uint32_t i = from; i < next; i++)
        if (work->turns[i].event != TURN_GONE)
            paired[(*count)++] = work->turns[i];
    return next;
}

/* Writes a new list: a turn is never moved within one, which would be quadratic. */
static void pair_results(struct mend_work *work)
{
    struct mend_draft *paired = work->paired;
    uint32_t count = 0;

    for (uint32_t i = 0; i < work->turns_count;) {
        struct mend_draft *caller = NULL;

        if (work->turns[i].role == IR_ROLE_ASSISTANT) {
            if (has_calls(work, &work->turns[i])) {
                caller = &work->turns[i];
                index_calls(work, caller);
            }
            paired[count++] = work->turns[i++];
        }
        i = pair_group(work, caller, i, paired, &count);
        check(count <= work->turns_max);
    }
    work->paired = work->turns;
    work->turns = paired;
    work->turns_count = count;
}

/* --- frame --- */

static void trim_prefill(struct mend_work *work)
{
    struct mend_draft *turn = &work->turns[work->turns_count - 1];
    struct mend_part *parts = work->mend->parts;

    while (turn->tail != MEND_NONE && is_text_kind(parts[turn->tail].kind)) {
        uint32_t before = MEND_NONE;

        if (!is_blank(work->mend, &parts[turn->tail], true)) {
            mend_extra_of(work, turn->tail)->trims_end = true;
            return;
        }
        for (uint32_t at = turn->head; at != turn->tail; at = parts[at].next)
            before = at;
        mend_unlink_after(work, turn, before, turn->tail);
    }
    if (turn->head == MEND_NONE)
        work->turns_count--;
}

static bool frame(struct mend_work *work)
{
    const struct mend_rules *rules = work->rules;
    struct mend_draft *turn;

    if (work->turns_count == 0 && rules->needs_user && work->system.head != MEND_NONE) {
        uint32_t before = MEND_NONE, last = work->system.tail;

        for (uint32_t at = work->system.head; at != last; at = work->mend->parts[at].next)
            before = at;
        mend_unlink_after(work, &work->system, before, last);
        mend_link_last(work, mend_new_turn(work, 0, IR_ROLE_USER, MEND_NONE), last);
    }
    if (work->turns_count == 0)
        return false;
    if (rules->user_first && work->turns[0].role == IR_ROLE_ASSISTANT) {
        turn = mend_new_turn(work, 0, IR_ROLE_USER, MEND_NONE);
        mend_link_last(work, turn, mend_new_text(work, S("(continued)")));
    }
    if (work->turns[work->turns_count - 1].role == IR_ROLE_ASSISTANT) {
        if (rules->prefill == MEND_PREFILL_TRIM)
            trim_prefill(work);
        if (rules->prefill == MEND_PREFILL_REFUSE) {
            turn = mend_new_turn(work, work->turns_count, IR_ROLE_USER, MEND_NONE);
            mend_link_last(work, turn, mend_new_text(work, S("Continue.")));
        }
    }
    return true;
}

/* --- flatten --- */

static void flatten_turn(struct mend_work *work, const struct mend_draft *turn,
                         struct mend_turn *flat, uint32_t *used)
{
    struct mend *mend = work->mend;

    *flat = (struct mend_turn){
        .role = turn->role, .event = turn->event, .first = *used, .results = turn->results};
    for (uint32_t at = turn->head; at != MEND_NONE; at = mend->parts[at].next)
        mend->order[(*used)++] = at;
    flat->count = *used - flat->first;
}

/* --- build --- */

/* Upper bounds: every call may need a result made up and reasoning recalled or moved (once a turn;
 * for each call where its secret became reasoning); an orphan's media, and the words about a
 * document, become parts of their own. */
static enum r2a_err take_memory(struct mend_work *work, struct fault *fault)
{
    struct mend *mend = work->mend;
    uint32_t parts = 0, calls = 0, seals = 0, turns = 0, assistants = 0, slots = 16;

    for (uint32_t i = 0; i < mend->tape->count; i++) {
        const struct ir_event *event = &mend->tape->events[i];

        if (event->kind == IR_PART) {
            parts++;
            calls += event->what == IR_PART_CALL;
        } else if (event->kind == IR_TURN) {
            turns++;
            assistants += event->what == IR_ROLE_ASSISTANT;
        } else if (event->kind == IR_FIELD) {
            seals += event->what == IR_FIELD_SEAL;
            parts += event->what == IR_FIELD_CONTEXT;
        }
    }
    if (calls > CALLS_MAX)
        return fault_turns(fault, mend->dialect, S("too many tool calls (16384 at most)"));
    while (slots < calls * 2)
        slots *= 2;
    work->parts_max = parts + 2 * calls + assistants + 8;
    if (work->target->recall != NULL)
        work->parts_max += (RECALL_BLOCKS_MAX - 1) * (calls < assistants ? calls : assistants);
    if (work->target->recall != NULL && mend_moves_seals(work->rules))
        work->parts_max += RECALL_BLOCKS_MAX * (calls < seals ? calls : seals);
    work->turns_max = turns + assistants + 8;
    mend->parts = arena_take(mend->arena, work->parts_max * sizeof(*mend->parts));
    mend->order = arena_take(mend->arena, work->parts_max * sizeof(*mend->order));
    mend->turns = arena_take(mend->arena, work->turns_max * sizeof(*mend->turns));
    work->turns = arena_take(mend->arena, work->turns_max * sizeof(*work->turns));
    work->paired = arena_take(mend->arena, work->turns_max * sizeof(*work->paired));
    work->slots_mask = slots - 1;
    work->slots = arena_take_zero(mend->arena, slots * sizeof(*work->slots));
    work->occurrences = arena_take_zero(mend->arena, slots * sizeof(*work->occurrences));
    if (mend->parts == NULL || mend->order == NULL || mend->turns == NULL || work->turns == NULL ||
        work->paired == NULL || work->slots == NULL || work->occurrences == NULL)
        return R2A_ERR_NO_MEMORY;
    return R2A_OK;
}

static enum r2a_err refuse_content(struct mend_work *work, struct fault *fault)
{
    size_t size = work->refused.len + 64;
    char *text = arena_take(work->mend->arena, size);
    struct str_buf message = {.ptr = text, .size = size};

    if (text == NULL)
        return R2A_ERR_NO_MEMORY;
    str_buf_put(&message, S("this upstream cannot be told content of type "));
    str_buf_put(&message, work->refused);
    return fault_turns(fault, work->mend->dialect, str_buf_slice(&message));
}

enum r2a_err mend_build(struct mend *mend, const struct ir_tape *tape,
                        const struct mend_rules *rules, const struct target *target,
                        struct brief *brief, struct loss *loss, struct fault *fault)
{
    struct mend_work work = {.mend = mend,
                             .rules = rules,
                             .target = target,
                             .loss = loss,
                             .system = {.head = MEND_NONE, .tail = MEND_NONE, .event = MEND_NONE},
                             .seed = brief->random[1],
                             .name_steps = NAME_STEPS_MAX};
    uint32_t used = 0;
    enum r2a_err err;

    *mend = (struct mend){.tape = tape, .arena = brief_scratch(brief)};
    brief->minter = target->minter;
    if (tape->count > 0 && tape->events[0].kind == IR_BEGIN)
        mend->dialect = tape->events[0].u.open.id;
    err = take_memory(&work, fault);
    if (err != R2A_OK)
        return err;
    mend_read_tape(&work);
    if (work.refused.len > 0)
        return refuse_content(&work, fault);
    if (!drop_empty_turns(&work))
        return fault_turns(fault, mend->dialect, S("a user message is empty"));
    join_turns(&work);
    pair_results(&work);
    if (!frame(&work))
        return fault_turns(fault, mend->dialect, S("there is no message to answer"));
    if (work.is_failed)
        return R2A_ERR_NO_MEMORY;
    flatten_turn(&work, &work.system, &mend->system, &used);
    mend->system.role = IR_ROLE_SYSTEM;
    for (uint32_t i = 0; i < work.turns_count; i++)
        flatten_turn(&work, &work.turns[i], &mend->turns[i], &used);
    mend->turns_count = work.turns_count;
    return R2A_OK;
}

/* --- reading the index --- */

void mend_write_text(const struct mend *mend, const struct mend_part *part, struct rope *out)
{
    const struct mend_extra *extra = part->extra;

    if (extra != NULL && extra->before.len > 0)
        text_write_escaped(out, text_plain(extra->before));
    if (part->event != MEND_NONE) {
        if (extra != NULL && extra->text_only)
            result_write_text(mend->tape, part->event, true, mend->arena, out);
        else if (extra != NULL && extra->trims_end)
            text_write_escaped(out, text_trim_end(mend_body_of(mend, part->event)));
        else
            part_write_text(mend->tape, part->event, mend->arena, out);
    }
    if (extra != NULL && extra->after.len > 0)
        text_write_escaped(out, text_plain(extra->after));
}

bool mend_is_empty(const struct mend *mend, const struct mend_part *part)
{
    if (part->extra != NULL && part->extra->before.len + part->extra->after.len > 0)
        return false;
    return mend_body_of(mend, part->event).len == 0;
}

struct text mend_seal_of(const struct mend *mend, const struct mend_turn *turn, uint32_t k)
{
    const struct mend_part *part = mend_part_at(mend, turn, k);

    if (k > 0 && mend_lends(mend_part_at(mend, turn, k - 1), part))
        return mend_part_at(mend, turn, k - 1)->extra->seal;
    if (part->extra == NULL ||
        (k + 1 < turn->count && mend_lends(part, mend_part_at(mend, turn, k + 1))))
        return (struct text){0};
    return part->extra->seal;
}

static const struct mend_part *call_of(const struct mend *mend, const struct mend_part *part)
{
    return part->kind == IR_PART_RESULT && part->pair != MEND_NONE ? &mend->parts[part->pair]
                                                                   : part;
}

struct text mend_call_id(const struct mend *mend, const struct mend_part *part)
{
    part = call_of(mend, part);
    return part->extra != NULL && part->extra->call_id.len > 0 ? part->extra->call_id
                                                               : part_id(mend, part);
}

struct text mend_call_name(const struct mend *mend, const struct mend_part *part,
                           struct text *space)
{
    part = call_of(mend, part);
    if (space != NULL)
        *space = part->event == MEND_NONE
                     ? (struct text){0}
                     : mend_event_field(mend, part->event, IR_FIELD_NAMESPACE, NULL);
    return part_name(mend, part);
}
