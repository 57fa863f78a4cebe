#include "openai_chat_stream.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* Tool calls of an answer, which servers number in every way there is (conversion.md 3.2): slots,
 * one a call, that are found by index, by id or by being the last one. A call opens when its name
 * is known and stays open until the end or until something else is said, because the fragments of
 * several may interleave. */

#define SLOTS_FIRST  4u
#define LEGACY_INDEX (-1)

struct pending {
    struct text id;
    struct rope args; /* form ESCAPED */
};

/* Unwrapped pieces of a free-form call. */
struct unwrapping {
    struct ir_sink *sink;
    uint32_t part;
    uint8_t choice;
};

static enum r2a_err put_unwrapped(void *context, struct text text)
{
    const struct unwrapping *u = context;

    return text.len > 0 ? openai_chat_put_piece(u->sink, u->choice, u->part, text) : R2A_OK;
}

static enum r2a_err close_call(struct ir_sink *sink, struct slot *slot)
{
    struct unwrapping unwrapping = {.sink = sink, .part = slot->part, .choice = slot->choice};

    if (!slot->is_open || slot->is_closed)
        return R2A_OK;
    slot->is_closed = true;
    CHAT_TRY(piece_end(&slot->piece, sink, slot->choice, slot->part));
    if (slot->unwrap != NULL)
        CHAT_TRY(unwrap_end(slot->unwrap, put_unwrapped, &unwrapping));
    return openai_chat_put_end_of(sink, IR_PART_CALL, slot->choice, slot->part);
}

enum r2a_err openai_chat_close_calls(struct decoder *d, struct ir_sink *sink, uint8_t index)
{
    for (uint32_t i = 0; i < d->slots_count; i++)
        if (d->slots[i]->choice == index)
            CHAT_TRY(close_call(sink, d->slots[i]));
    return R2A_OK;
}

/* --- slots --- */

static struct slot *new_slot(struct decoder *d, uint8_t choice, int64_t index)
{
    struct slot *slot;

    if (d->slots_count == d->slots_room) {
        uint32_t room = d->slots_room == 0 ? SLOTS_FIRST : d->slots_room * 2;
        struct slot **slots;

        if (room > OPEN_CALLS_MAX)
            return NULL;
        slots = arena_take(d->brief->arena, room * sizeof(struct slot *));
        if (slots == NULL)
            return NULL;
        if (d->slots_count > 0)
            memcpy(slots, d->slots, d->slots_count * sizeof(struct slot *));
        d->slots = slots;
        d->slots_room = room;
    }
    slot = arena_take_zero(d->brief->arena, sizeof(*slot));
    if (slot == NULL)
        return NULL;
    slot->index = index;
    slot->choice = choice;
    d->slots[d->slots_count++] = slot;
    if (d->cast.kind == IR_PART_CALL)
        mould_forget(d->mould); /* the same index may mean another call from now on */
    return slot;
}

/* The latest one: a server that gives every call index 0 means the last. */
static struct slot *slot_at(const struct decoder *d, uint8_t choice, int64_t index)
{
    for (uint32_t i = d->slots_count; i > 0; i--)
        if (d->slots[i - 1]->choice == choice && d->slots[i - 1]->index == index)
            return d->slots[i - 1];
    return NULL;
}

static struct slot *slot_of_id(const struct decoder *d, uint8_t choice, uint64_t hash)
{
    for (uint32_t i = d->slots_count; i > 0; i--)
        if (d->slots[i - 1]->choice == choice && d->slots[i - 1]->has_id &&
            d->slots[i - 1]->id_hash == hash)
            return d->slots[i - 1];
    return NULL;
}

enum item {
    ITEM_INDEX,
    ITEM_ID,
    ITEM_FUNCTION,
    ITEM_CUSTOM,
    ITEM_EXTRA,
    ITEMS,
};
static const struct slice item_names[ITEMS] = {
    [ITEM_INDEX] = S_INIT("index"),         [ITEM_ID] = S_INIT("id"),
    [ITEM_FUNCTION] = S_INIT("function"),   [ITEM_CUSTOM] = S_INIT("custom"),
    [ITEM_EXTRA] = S_INIT("extra_content"),
};

/* Which call an element of tool_calls belongs to (conversion.md 3.2). NULL: no room for it. */
static struct slot *find_slot(struct decoder *d, uint8_t index, struct choice *choice,
                              const struct member *number, struct text id, struct text name)
{
    uint64_t hash = id.len > 0 ? text_hash(id) : 0;
    struct slot *slot;
    int64_t at;

    if (d->is_document) /* each element is a whole call, whatever its index and id */
        return new_slot(d, index, LEGACY_INDEX - 1 - (int64_t)d->slots_count);
    if (member_int(number, &at)) {
        slot = slot_at(d, index, at);
        if (slot != NULL && id.len > 0 && slot->has_id && slot->id_hash != hash && name.len > 0)
            slot = NULL;
        return slot != NULL ? slot : new_slot(d, index, at);
    }
    slot = id.len > 0 ? slot_of_id(d, index, hash) : NULL;
    if (slot == NULL && id.len == 0 && name.len == 0)
        slot = choice->last;
    return slot != NULL ? slot : new_slot(d, index, LEGACY_INDEX - 1 - (int64_t)d->slots_count);
}

static enum r2a_err put_args(struct ir_sink *sink, struct slot *slot, struct text args)
{
    struct unwrapping unwrapping = {.sink = sink, .part = slot->part, .choice = slot->choice};

    if (slot->unwrap != NULL)
        return unwrap_feed(slot->unwrap, args, put_unwrapped, &unwrapping);
    if (args.form == TEXT_JSON)
        return openai_chat_put_piece(sink, slot->choice, slot->part, args);
    return piece_put(&slot->piece, sink, slot->choice, slot->part, args);
}

/* Keeps arguments until the name is known. False: too many, or no memory. */
static bool keep_args(struct decoder *d, struct slot *slot, struct text args)
{
    if (slot->pending == NULL) {
        slot->pending = arena_take_zero(d->brief->arena, sizeof(*slot->pending));
        if (slot->pending == NULL)
            return false;
        slot->pending->args.mem = d->brief->mem;
        slot->pending->args.bytes_max = CALL_ARGS_BYTES_MAX;
    }
    if (args.form == TEXT_JSON)
        text_write_json_compact_escaped(&slot->pending->args, args);
    else
        text_write_escaped_copy(&slot->pending->args, args);
    return slot->pending->args.err == R2A_OK;
}

static enum r2a_err put_pending(struct decoder *d, struct ir_sink *sink, struct slot *slot)
{
    struct pending *pending = slot->pending;
    char *bytes;
    enum r2a_err err;
    size_t len;

    if (pending == NULL)
        return R2A_OK;
    len = pending->args.bytes;
    if (len == 0)
        return R2A_OK;
    bytes = arena_take(d->brief->arena, len);
    if (bytes == NULL)
        return R2A_ERR_NO_MEMORY;
    rope_copy_out(&pending->args, bytes);
    rope_clear(&pending->args);
    err = put_args(sink, slot, text_escaped(slice_of(bytes, len)));
    return err;
}

/* Whether a call of this choice has the id already. */
static bool has_namesake(const struct decoder *d, const struct slot *slot)
{
    for (uint32_t i = 0; i < d->slots_count; i++)
        if (d->slots[i] != slot && d->slots[i]->is_open && d->slots[i]->has_id && slot->has_id &&
            d->slots[i]->id_hash == slot->id_hash && d->slots[i]->choice == slot->choice)
            return true;
    return false;
}

static enum r2a_err open_call(struct decoder *d, struct ir_sink *sink, struct choice *choice,
                              struct slot *slot, struct text id, struct text name, uint8_t flags)
{
    char made[32];
    bool is_wrapped = false;

    if (id.len == 0 && slot->pending != NULL)
        id = slot->pending->id;
    if (id.len > 0 && has_namesake(d, slot))
        id.len = 0; /* a client could not tell them apart */
    if (id.len == 0)
        id = text_plain(slice_of(
            made, brief_make_id(d->brief, d->brief->ids_made + d->ids_made++, S("call_"), made)));
    CHAT_TRY(openai_chat_close_run(d, sink, slot->choice, choice));
    slot->part = choice->parts_count++;
    slot->is_open = true;
    choice->has_calls = true;
    CHAT_TRY(call_put_open(sink, d->brief, slot->choice, slot->part, flags, id, name, &is_wrapped));
    if (is_wrapped && !(flags & IR_CUSTOM)) {
        slot->unwrap = arena_take_zero(d->brief->arena, sizeof(*slot->unwrap));
        if (slot->unwrap == NULL)
            return R2A_ERR_NO_MEMORY;
    }
    return put_pending(d, sink, slot);
}

/* One fragment of a call, whatever the form it came in. */
enum r2a_err openai_chat_put_call(struct decoder *d, struct ir_sink *sink, struct choice *choice,
                                  struct slot *slot, struct text id, struct text name,
                                  struct text args, uint8_t flags)
{
    choice->last = slot;
    if (id.len > 0 && !slot->has_id) {
        slot->has_id = true;
        slot->id_hash = text_hash(id);
        if (!slot->is_open && name.len == 0) {
            struct slice copy = arena_copy(d->brief->arena, text_bytes(id));

            if (!keep_args(d, slot, (struct text){0}))
                return R2A_ERR_NO_MEMORY;
            slot->pending->id = (struct text){copy.ptr, (uint32_t)copy.len, id.form};
        }
    }
    if (!slot->is_open && name.len > 0)
        CHAT_TRY(open_call(d, sink, choice, slot, id, name, flags));
    if (args.len == 0)
        return R2A_OK;
    if (slot->is_closed)
        return openai_chat_put_error(
            d, sink, R2A_ERR_INVALID,
            S("The upstream sent arguments of a tool call after it had gone on."));
    if (slot->is_open)
        return put_args(sink, slot, args);
    if (!keep_args(d, slot, args))
        return openai_chat_put_error(
            d, sink, R2A_ERR_LIMIT,
            S("The upstream sent too long arguments of a tool call without a name."));
    return R2A_OK;
}

static struct text args_of(const struct member *args)
{
    return member_is(args, JSON_OBJECT) ? member_json(args) : member_text(args);
}

static enum r2a_err put_extra(struct ir_sink *sink, const struct slot *slot,
                              const struct member *extra)
{
    static const struct slice google_name = S_INIT("google");
    static const struct slice name = S_INIT("thought_signature");
    struct member google, member;

    if (!slot->is_open || slot->is_closed || !member_is(extra, JSON_OBJECT) ||
        !members_of(extra->raw, &google_name, 1, &google) || !member_is(&google, JSON_OBJECT) ||
        !members_of(google.raw, &name, 1, &member) || member_text(&member).len == 0)
        return R2A_OK;
    return ir_put(sink, &(struct ir_event){
                            .kind = IR_FIELD,
                            .what = IR_FIELD_SEAL,
                            .choice = slot->choice,
                            .part = slot->part,
                            .u.field = {.value = member_text(&member), .number = IR_SEAL_THOUGHT}});
}

enum invoked { INV_NAME, INV_ARGUMENTS, INV_INPUT, INVS };
static const struct slice invoked_names[INVS] = {S_INIT("name"), S_INIT("arguments"),
                                                 S_INIT("input")};

/* A bare fragment of an open call is what a mould can be made of. */
static void learn_args(struct decoder *d, struct slot *slot, const struct member *item,
                       struct text id, struct text name, const struct member *args)
{
    struct lesson *lesson = d->lesson;

    if (lesson == NULL)
        return;
    lesson->values_count++;
    if (!slot->is_open || slot->is_closed || id.len > 0 || name.len > 0 ||
        !member_is(args, JSON_STRING) || !member_is(&item[ITEM_INDEX], JSON_NUMBER) ||
        !member_is(&item[ITEM_FUNCTION], JSON_OBJECT) || item[ITEM_EXTRA].raw.len > 0) {
        lesson->has_others = true;
        return;
    }
    lesson->value = member_text(args);
    lesson->cast = (struct cast){.slot = slot, .choice = slot->choice, .kind = IR_PART_CALL};
}

static enum r2a_err put_tool_call(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                  struct choice *choice, const struct member *item)
{
    bool is_custom =
        !member_is(&item[ITEM_FUNCTION], JSON_OBJECT) && member_is(&item[ITEM_CUSTOM], JSON_OBJECT);
    struct text id = member_text(&item[ITEM_ID]), name;
    struct member inner[INVS] = {{0}};
    struct slot *slot;

    (void)members_of(item[is_custom ? ITEM_CUSTOM : ITEM_FUNCTION].raw, invoked_names, INVS, inner);
    name = member_text(&inner[INV_NAME]);
    slot = find_slot(d, index, choice, &item[ITEM_INDEX], id, name);
    if (slot == NULL)
        return openai_chat_put_error(d, sink, R2A_ERR_LIMIT,
                                     S("The upstream made too many tool calls."));
    learn_args(d, slot, item, id, name, &inner[INV_ARGUMENTS]);
    CHAT_TRY(openai_chat_put_call(d, sink, choice, slot, id, name,
                                  args_of(&inner[is_custom ? INV_INPUT : INV_ARGUMENTS]),
                                  is_custom ? IR_CUSTOM : 0));
    return d->has_ended ? R2A_OK : put_extra(sink, slot, &item[ITEM_EXTRA]);
}

enum r2a_err openai_chat_put_tool_calls(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                        struct choice *choice, struct slice raw)
{
    struct member item[ITEMS];
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR && !d->has_ended) {
        if (token != JSON_OBJECT) {
            if (!json_skip_after(&scan, token, NULL))
                break;
            continue;
        }
        if (!members_read(&scan, item_names, ITEMS, item, NULL, NULL, NULL))
            break;
        CHAT_TRY(put_tool_call(d, sink, index, choice, item));
    }
    return R2A_OK;
}

enum r2a_err openai_chat_put_function_call(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                           struct choice *choice, struct slice raw)
{
    struct member inner[INVS];
    struct slot *slot = slot_at(d, index, LEGACY_INDEX);

    if (slot == NULL)
        slot = new_slot(d, index, LEGACY_INDEX);
    if (slot == NULL || !members_of(raw, invoked_names, INVS, inner))
        return R2A_ERR_NO_MEMORY;
    return openai_chat_put_call(d, sink, choice, slot, (struct text){0},
                                member_text(&inner[INV_NAME]), args_of(&inner[INV_ARGUMENTS]),
                                IR_LEGACY);
}

bool openai_chat_has_nameless_call(const struct decoder *d)
{
    for (uint32_t i = 0; i < d->slots_count; i++)
        if (!d->slots[i]->is_open && d->slots[i]->pending != NULL &&
            d->slots[i]->pending->args.bytes > 0)
            return true;
    return false;
}

void openai_chat_drop_calls(struct decoder *d)
{
    for (uint32_t i = 0; i < d->slots_count; i++)
        if (d->slots[i]->pending != NULL)
            rope_clear(&d->slots[i]->pending->args);
}
