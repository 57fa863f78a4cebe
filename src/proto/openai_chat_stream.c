#include "openai_chat.h"

#include "common.h"
#include "member.h"
#include "openai_chat_usage.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"

/* An upstream's Chat Completions answer, chunks or one document, into events (conversion.md 3.2).
 *
 * A chunk's objects are read as members first and acted on in a fixed order (reasoning, content,
 * refusal, images, calls, citations), because servers write them in any. Text runs are parts that
 * open with their first character and close when something else begins; calls stay open side by
 * side until the end, because their fragments may interleave. The finish reason is only remembered:
 * some servers send more after it, and STOP is issued when the stream proves to be complete. */

#define SLOTS_FIRST  4u
#define NO_PART      UINT32_MAX
#define LEGACY_INDEX (-1)

/* A tool call of the upstream. */
struct slot {
    int64_t index; /* as the upstream numbers it; LEGACY_INDEX, or below it where it does not */
    uint64_t id_hash;
    uint32_t part;
    uint8_t choice;
    uint8_t hold_len;
    bool has_id, is_open, is_closed;
    bool is_custom; /* free text on the wire too */
    char hold[TEXT_HOLD_BYTES_MAX];
    struct unwrap *unwrap;   /* a free-form tool that went up as a function */
    struct pending *pending; /* while the name is missing */
};

struct pending {
    struct text id;
    struct rope args; /* form ESCAPED */
    bool is_custom;
};

struct choice {
    bool is_seen, has_finish, has_calls, is_open;
    uint8_t kind; /* of the open part */
    uint8_t stop; /* enum ir_stop */
    uint8_t hold_len;
    uint8_t texts_count; /* text parts so far, 2: more than one */
    char hold[TEXT_HOLD_BYTES_MAX];
    uint32_t part; /* of the open part */
    uint32_t parts_count;
    uint32_t text_part; /* last text part */
    struct slot *last;
    struct text sequence; /* the stop sequence that matched, in the arena */
};

struct decoder {
    const struct target *target;
    const struct brief *brief;
    bool has_begun, has_ended;
    uint32_t slots_count, slots_room, ids_made;
    struct slot **slots; /* in the arena */
    struct choice first;
    struct choice *others;
};

_Static_assert(sizeof(struct decoder) <= OPENAI_CHAT_DECODER_SIZE, "what the row says");

#define TRY(call)                      \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)

void openai_chat_decoder_init(void *decoder, const struct target *target, const struct brief *brief)
{
    struct decoder *d = decoder;

    *d = (struct decoder){.target = target, .brief = brief};
    d->first.text_part = NO_PART;
}

void openai_chat_decoder_drop(void *decoder)
{
    struct decoder *d = decoder;

    for (uint32_t i = 0; i < d->slots_count; i++)
        if (d->slots[i]->pending != NULL)
            rope_clear(&d->slots[i]->pending->args);
}

/* Choices beyond CHOICES_MAX exist only in a relay, which merely observes: NULL. */
static struct choice *choice_of(struct decoder *d, int64_t index)
{
    struct choice *choice = &d->first;

    if (index < 0 || index >= (int64_t)CHOICES_MAX)
        return NULL;
    if (index > 0) {
        if (d->others == NULL) {
            d->others = arena_take_zero(d->brief->arena, (CHOICES_MAX - 1) * sizeof(*d->others));
            for (uint32_t i = 0; d->others != NULL && i + 1 < CHOICES_MAX; i++)
                d->others[i].text_part = NO_PART;
        }
        if (d->others == NULL)
            return NULL;
        choice = &d->others[index - 1];
    }
    choice->is_seen = true;
    return choice;
}

/* --- errors --- */

static enum r2a_err put_fault(struct decoder *d, struct ir_sink *sink, const struct fault *fault)
{
    d->has_ended = true;
    return ir_put(sink, &(struct ir_event){.kind = IR_ERROR, .u.fault = fault});
}

static enum r2a_err put_error(struct decoder *d, struct ir_sink *sink, enum r2a_err err,
                              struct slice message)
{
    struct fault fault = fault_of(FAULT_BAD_GATEWAY, message);

    fault.err = err;
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

/* What the upstream itself reports, anywhere in its answer. */
static enum r2a_err put_reported(struct decoder *d, struct ir_sink *sink, struct slice body)
{
    struct fault fault = fault_of(FAULT_SERVER, (struct slice){0});

    fault_read(&(struct fault_source){.body = body}, d->brief->arena, &fault);
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

/* --- text runs --- */

static enum r2a_err put_piece(struct ir_sink *sink, uint8_t choice, uint32_t part, struct text text)
{
    return ir_put(
        sink, &(struct ir_event){.kind = IR_TEXT, .choice = choice, .part = part, .u.text = text});
}

/* Puts a piece; what a surrogate pair's first half at its end needs is kept for the next one.
 * (Vendors cut tokens inside emoji.) */
static enum r2a_err put_safe(struct ir_sink *sink, uint8_t choice, uint32_t part, char *hold,
                             uint8_t *hold_len, struct text text)
{
    char joined[2 * TEXT_HOLD_BYTES_MAX];
    size_t safe;

    if (*hold_len > 0) {
        size_t more = text.len < TEXT_HOLD_BYTES_MAX ? text.len : TEXT_HOLD_BYTES_MAX;
        struct text front;

        /* Only a whole unit may be taken from the front of this piece: the other half, or none. */
        memcpy(joined, hold, *hold_len);
        memcpy(joined + *hold_len, text.ptr, more);
        front = text_escaped(slice_of(joined, *hold_len));
        if (more >= 6 && text.ptr[0] == '\\' && text.ptr[1] == 'u' && (text.ptr[2] | 0x20) == 'd' &&
            (text.ptr[3] | 0x20) >= 'c') {
            front.len = (uint32_t)*hold_len + 6;
            text.ptr += 6;
            text.len -= 6;
        }
        *hold_len = 0;
        TRY(put_piece(sink, choice, part, front));
        if (text.len == 0)
            return R2A_OK;
    }
    safe = text_safe_len(text);
    if (safe < text.len) {
        check(text.len - safe <= TEXT_HOLD_BYTES_MAX);
        memcpy(hold, text.ptr + safe, text.len - safe);
        *hold_len = (uint8_t)(text.len - safe);
        text.len = (uint32_t)safe;
        if (text.len == 0)
            return R2A_OK;
    }
    return put_piece(sink, choice, part, text);
}

/* What is still held when a part closes is half a pair for good. */
static enum r2a_err put_held(struct ir_sink *sink, uint8_t choice, uint32_t part, const char *hold,
                             uint8_t *hold_len)
{
    struct text text = text_escaped(slice_of(hold, *hold_len));

    *hold_len = 0;
    return text.len > 0 ? put_piece(sink, choice, part, text) : R2A_OK;
}

static enum r2a_err put_end_of(struct ir_sink *sink, uint8_t what, uint8_t choice, uint32_t part)
{
    return ir_put(sink, &(struct ir_event){
                            .kind = IR_PART_END, .what = what, .choice = choice, .part = part});
}

static enum r2a_err close_run(struct ir_sink *sink, uint8_t index, struct choice *choice)
{
    if (!choice->is_open)
        return R2A_OK;
    choice->is_open = false;
    TRY(put_held(sink, index, choice->part, choice->hold, &choice->hold_len));
    return put_end_of(sink, choice->kind, index, choice->part);
}

/* Unwrapped pieces of a free-form call. */
struct unwrapping {
    struct ir_sink *sink;
    uint32_t part;
    uint8_t choice;
};

static enum r2a_err put_unwrapped(void *context, struct text text)
{
    const struct unwrapping *u = context;

    return text.len > 0 ? put_piece(u->sink, u->choice, u->part, text) : R2A_OK;
}

static enum r2a_err close_call(struct ir_sink *sink, struct slot *slot)
{
    struct unwrapping unwrapping = {.sink = sink, .part = slot->part, .choice = slot->choice};

    if (!slot->is_open || slot->is_closed)
        return R2A_OK;
    slot->is_closed = true;
    TRY(put_held(sink, slot->choice, slot->part, slot->hold, &slot->hold_len));
    if (slot->unwrap != NULL)
        TRY(unwrap_end(slot->unwrap, put_unwrapped, &unwrapping));
    return put_end_of(sink, IR_PART_CALL, slot->choice, slot->part);
}

static enum r2a_err close_calls(struct decoder *d, struct ir_sink *sink, uint8_t index)
{
    for (uint32_t i = 0; i < d->slots_count; i++)
        if (d->slots[i]->choice == index)
            TRY(close_call(sink, d->slots[i]));
    return R2A_OK;
}

/* A piece of text, reasoning or refusal. */
static enum r2a_err put_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                            struct choice *choice, uint8_t kind, struct text text)
{
    if (text.len == 0)
        return R2A_OK;
    if (!choice->is_open || choice->kind != kind) {
        /* A parser's left-overs between calls, not words. */
        if (choice->has_calls && !choice->is_open && kind == IR_PART_TEXT && text_is_blank(text))
            return R2A_OK;
        TRY(close_run(sink, index, choice));
        if (choice->has_calls)
            TRY(close_calls(d, sink, index));
        choice->is_open = true;
        choice->kind = kind;
        choice->part = choice->parts_count++;
        if (kind == IR_PART_TEXT) {
            choice->text_part = choice->part;
            choice->texts_count = choice->texts_count == 0 ? 1 : 2;
        }
        TRY(ir_put(sink,
                   &(struct ir_event){
                       .kind = IR_PART, .what = kind, .choice = index, .part = choice->part}));
    }
    return put_safe(sink, index, choice->part, choice->hold, &choice->hold_len, text);
}

/* --- calls --- */

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
        return put_piece(sink, slot->choice, slot->part, args);
    return put_safe(sink, slot->choice, slot->part, slot->hold, &slot->hold_len, args);
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

static enum r2a_err open_call(struct decoder *d, struct ir_sink *sink, struct choice *choice,
                              struct slot *slot, struct text id, struct text name, uint8_t flags)
{
    char made[32];
    bool is_wrapped = false;

    if (id.len == 0 && slot->pending != NULL)
        id = slot->pending->id;
    if (id.len == 0)
        id = text_plain(slice_of(
            made, brief_make_id(d->brief, d->brief->ids_made + d->ids_made++, S("call_"), made)));
    TRY(close_run(sink, slot->choice, choice));
    slot->part = choice->parts_count++;
    slot->is_open = true;
    choice->has_calls = true;
    TRY(call_put_open(sink, d->brief, slot->choice, slot->part, flags, id, name, &is_wrapped));
    if (is_wrapped && !(flags & IR_CUSTOM)) {
        slot->unwrap = arena_take_zero(d->brief->arena, sizeof(*slot->unwrap));
        if (slot->unwrap == NULL)
            return R2A_ERR_NO_MEMORY;
    }
    return put_pending(d, sink, slot);
}

/* One fragment of a call, whatever the form it came in. */
static enum r2a_err put_call(struct decoder *d, struct ir_sink *sink, struct choice *choice,
                             struct slot *slot, struct text id, struct text name, struct text args,
                             uint8_t flags)
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
        TRY(open_call(d, sink, choice, slot, id, name, flags));
    if (args.len == 0)
        return R2A_OK;
    if (slot->is_closed)
        return put_error(d, sink, R2A_ERR_INVALID,
                         S("The upstream sent arguments of a tool call after it had gone on."));
    if (slot->is_open)
        return put_args(sink, slot, args);
    if (!keep_args(d, slot, args))
        return put_error(d, sink, R2A_ERR_LIMIT,
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
        return put_error(d, sink, R2A_ERR_LIMIT, S("The upstream made too many tool calls."));
    TRY(put_call(d, sink, choice, slot, id, name,
                 args_of(&inner[is_custom ? INV_INPUT : INV_ARGUMENTS]),
                 is_custom ? IR_CUSTOM : 0));
    return d->has_ended ? R2A_OK : put_extra(sink, slot, &item[ITEM_EXTRA]);
}

static enum r2a_err put_tool_calls(struct decoder *d, struct ir_sink *sink, uint8_t index,
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
        TRY(put_tool_call(d, sink, index, choice, item));
    }
    return R2A_OK;
}

static enum r2a_err put_function_call(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                      struct choice *choice, struct slice raw)
{
    struct member inner[INVS];
    struct slot *slot = slot_at(d, index, LEGACY_INDEX);

    if (slot == NULL)
        slot = new_slot(d, index, LEGACY_INDEX);
    if (slot == NULL || !members_of(raw, invoked_names, INVS, inner))
        return R2A_ERR_NO_MEMORY;
    return put_call(d, sink, choice, slot, (struct text){0}, member_text(&inner[INV_NAME]),
                    args_of(&inner[INV_ARGUMENTS]), IR_LEGACY);
}

/* --- images and citations --- */

static enum r2a_err put_image(struct decoder *d, struct ir_sink *sink, uint8_t index,
                              struct choice *choice, struct text url)
{
    struct ir_event event = {.choice = index, .what = IR_PART_IMAGE};
    struct data_url data;

    if (url.len == 0 || !data_url_read(url, d->brief->arena, &data))
        return R2A_OK;
    TRY(close_run(sink, index, choice));
    event.part = choice->parts_count++;
    event.kind = IR_PART;
    TRY(ir_put(sink, &event));
    event.kind = IR_FIELD;
    event.what = IR_FIELD_SOURCE;
    event.u.field.number = data.is_data ? IR_SOURCE_BASE64 : IR_SOURCE_URL;
    TRY(ir_put(sink, &event));
    if (data.mime.len > 0) {
        event.what = IR_FIELD_MIME;
        event.u.field.value = text_plain(data.mime);
        event.u.field.number = 0;
        TRY(ir_put(sink, &event));
    }
    event.kind = IR_TEXT;
    event.what = 0;
    event.flags = IR_WHOLE;
    event.u.text = data.data;
    TRY(ir_put(sink, &event));
    return put_end_of(sink, IR_PART_IMAGE, index, event.part);
}

/* {"type":"image_url","image_url":{"url":…}} of `images`, or among content parts. */
static struct text image_url_of(const struct member *value)
{
    static const struct slice name = S_INIT("url");
    struct member url;

    if (member_is(value, JSON_OBJECT) && members_of(value->raw, &name, 1, &url))
        return member_text(&url);
    return member_text(value);
}

static enum r2a_err put_images(struct decoder *d, struct ir_sink *sink, uint8_t index,
                               struct choice *choice, struct slice raw)
{
    static const struct slice name = S_INIT("image_url");
    struct member member;
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) == JSON_OBJECT) {
        if (!members_read(&scan, &name, 1, &member, NULL, NULL, NULL))
            break;
        TRY(put_image(d, sink, index, choice, image_url_of(&member)));
    }
    return R2A_OK;
}

static enum r2a_err put_annotations(struct ir_sink *sink, uint8_t index,
                                    const struct choice *choice, struct slice raw)
{
    enum { URL, TITLE, START, END, CONTENT };
    static const struct slice outer = S_INIT("url_citation");
    static const struct slice names[] = {S_INIT("url"), S_INIT("title"), S_INIT("start_index"),
                                         S_INIT("end_index"), S_INIT("content")};
    struct member citation, members[array_count(names)];
    struct json_scan scan;

    if (choice->text_part == NO_PART)
        return R2A_OK; /* nothing they could belong to */
    json_open(&scan, raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_OBJECT) {
        struct ir_cite cite = {.start = -1, .end = -1, .document = -1};

        if (!members_read(&scan, &outer, 1, &citation, NULL, NULL, NULL))
            break;
        if (!member_is(&citation, JSON_OBJECT) ||
            !members_of(citation.raw, names, array_count(names), members))
            continue;
        cite.url = member_text(&members[URL]);
        cite.title = member_text(&members[TITLE]);
        cite.quoted = member_text(&members[CONTENT]);
        /* Their offsets count in the whole message: they are a part's only if it has no other. */
        if (choice->texts_count == 1) {
            (void)member_int(&members[START], &cite.start);
            (void)member_int(&members[END], &cite.end);
        }
        TRY(ir_put(sink, &(struct ir_event){.kind = IR_CITE,
                                            .choice = index,
                                            .part = choice->text_part,
                                            .u.cite = &cite}));
    }
    return R2A_OK;
}

/* --- content and reasoning --- */

/* Content that is an array (Mistral): text, thinking, refusals, images. */
static enum r2a_err put_parts(struct decoder *d, struct ir_sink *sink, uint8_t index,
                              struct choice *choice, struct slice raw, uint8_t kind)
{
    enum { TEXT, THINKING, REFUSAL, IMAGE };
    static const struct slice names[] = {S_INIT("text"), S_INIT("thinking"), S_INIT("refusal"),
                                         S_INIT("image_url")};
    struct member members[array_count(names)];
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        if (token != JSON_OBJECT) {
            if (token == JSON_STRING)
                TRY(put_run(d, sink, index, choice, kind, text_escaped(scan.text)));
            else if (!json_skip_after(&scan, token, NULL))
                break;
            continue;
        }
        if (!members_read(&scan, names, array_count(names), members, NULL, NULL, NULL))
            break;
        TRY(put_run(d, sink, index, choice, kind, member_text(&members[TEXT])));
        TRY(put_run(d, sink, index, choice, IR_PART_REFUSAL, member_text(&members[REFUSAL])));
        TRY(put_run(d, sink, index, choice, IR_PART_REASON, member_text(&members[THINKING])));
        if (member_is(&members[THINKING], JSON_ARRAY) && kind != IR_PART_REASON)
            TRY(put_parts(d, sink, index, choice, members[THINKING].raw, IR_PART_REASON));
        TRY(put_image(d, sink, index, choice, image_url_of(&members[IMAGE])));
    }
    return R2A_OK;
}

static enum r2a_err put_details(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                struct choice *choice, struct slice raw)
{
    enum { TEXT, SUMMARY };
    static const struct slice names[] = {S_INIT("text"), S_INIT("summary")};
    struct member members[array_count(names)];
    struct json_scan scan;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_OBJECT) {
        if (!members_read(&scan, names, array_count(names), members, NULL, NULL, NULL))
            break;
        TRY(put_run(
            d, sink, index, choice, IR_PART_REASON,
            member_text(&members[member_is(&members[TEXT], JSON_STRING) ? TEXT : SUMMARY])));
    }
    return R2A_OK;
}

enum delta {
    DELTA_CONTENT,
    DELTA_TOOL_CALLS,
    DELTA_REASONING_CONTENT,
    DELTA_REASONING,
    DELTA_REFUSAL,
    DELTA_DETAILS,
    DELTA_FUNCTION_CALL,
    DELTA_ANNOTATIONS,
    DELTA_IMAGES,
    DELTAS,
};
static const struct slice delta_names[DELTAS] = {
    [DELTA_CONTENT] = S_INIT("content"),
    [DELTA_TOOL_CALLS] = S_INIT("tool_calls"),
    [DELTA_REASONING_CONTENT] = S_INIT("reasoning_content"),
    [DELTA_REASONING] = S_INIT("reasoning"),
    [DELTA_REFUSAL] = S_INIT("refusal"),
    [DELTA_DETAILS] = S_INIT("reasoning_details"),
    [DELTA_FUNCTION_CALL] = S_INIT("function_call"),
    [DELTA_ANNOTATIONS] = S_INIT("annotations"),
    [DELTA_IMAGES] = S_INIT("images"),
};

/* A delta, or the message of a document: the same members, more of them at once. */
static enum r2a_err put_delta(struct decoder *d, struct ir_sink *sink, uint8_t index,
                              struct choice *choice, const struct member *delta)
{
    struct text reason = member_text(&delta[DELTA_REASONING_CONTENT]);

    if (reason.len == 0)
        reason = member_text(&delta[DELTA_REASONING]);
    if (reason.len > 0)
        TRY(put_run(d, sink, index, choice, IR_PART_REASON, reason));
    else if (member_is(&delta[DELTA_DETAILS], JSON_ARRAY))
        TRY(put_details(d, sink, index, choice, delta[DELTA_DETAILS].raw));
    if (member_is(&delta[DELTA_CONTENT], JSON_STRING))
        TRY(put_run(d, sink, index, choice, IR_PART_TEXT, member_text(&delta[DELTA_CONTENT])));
    else if (member_is(&delta[DELTA_CONTENT], JSON_ARRAY))
        TRY(put_parts(d, sink, index, choice, delta[DELTA_CONTENT].raw, IR_PART_TEXT));
    TRY(put_run(d, sink, index, choice, IR_PART_REFUSAL, member_text(&delta[DELTA_REFUSAL])));
    if (member_is(&delta[DELTA_IMAGES], JSON_ARRAY))
        TRY(put_images(d, sink, index, choice, delta[DELTA_IMAGES].raw));
    if (member_is(&delta[DELTA_TOOL_CALLS], JSON_ARRAY))
        TRY(put_tool_calls(d, sink, index, choice, delta[DELTA_TOOL_CALLS].raw));
    if (member_is(&delta[DELTA_FUNCTION_CALL], JSON_OBJECT) && !d->has_ended)
        TRY(put_function_call(d, sink, index, choice, delta[DELTA_FUNCTION_CALL].raw));
    if (member_is(&delta[DELTA_ANNOTATIONS], JSON_ARRAY) && !d->has_ended)
        TRY(put_annotations(sink, index, choice, delta[DELTA_ANNOTATIONS].raw));
    return R2A_OK;
}

/* --- choices --- */

static enum ir_stop stop_of(struct text reason)
{
    static const struct {
        struct slice word;
        uint8_t stop;
    } rows[] = {
        {S_INIT("stop"), IR_STOP_END},
        {S_INIT("length"), IR_STOP_LENGTH},
        {S_INIT("tool_calls"), IR_STOP_TOOL},
        {S_INIT("content_filter"), IR_STOP_FILTER},
        {S_INIT("function_call"), IR_STOP_TOOL},
        {S_INIT("end_turn"), IR_STOP_END},
        {S_INIT("eos"), IR_STOP_END},
        {S_INIT("stop_sequence"), IR_STOP_SEQUENCE},
        {S_INIT("max_tokens"), IR_STOP_LENGTH},
        {S_INIT("tool_use"), IR_STOP_TOOL},
        {S_INIT("sensitive"), IR_STOP_FILTER},
        {S_INIT("model_context_window_exceeded"), IR_STOP_CONTEXT},
        {S_INIT("model_length"), IR_STOP_CONTEXT},
    };

    for (uint32_t i = 0; i < array_count(rows); i++)
        if (text_is_nocase(reason, rows[i].word))
            return (enum ir_stop)rows[i].stop;
    return IR_STOP_OTHER;
}

static enum r2a_err put_logprobs(struct ir_sink *sink, uint8_t index, const struct choice *choice,
                                 struct slice raw)
{
    static const struct slice names[] = {S_INIT("content"), S_INIT("refusal")};
    struct member members[array_count(names)];

    if (!members_of(raw, names, array_count(names), members))
        return R2A_OK;
    for (uint32_t i = 0; i < array_count(names); i++)
        if (member_is(&members[i], JSON_ARRAY) && members[i].raw.len > 2)
            TRY(ir_put(sink, &(struct ir_event){.kind = IR_LOGPROBS,
                                                .choice = index,
                                                .part = choice->is_open ? choice->part : 0,
                                                .u.text = member_json(&members[i])}));
    return R2A_OK;
}

static enum r2a_err put_usage(struct ir_sink *sink, struct slice raw)
{
    struct ir_usage usage = {0};

    if (!openai_chat_usage_read(raw, &usage))
        return R2A_OK;
    return ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

enum choice_member {
    CHOICE_INDEX,
    CHOICE_DELTA,
    CHOICE_FINISH,
    CHOICE_LOGPROBS,
    CHOICE_MESSAGE,
    CHOICE_USAGE,
    CHOICE_STOP_REASON,
    CHOICE_MEMBERS,
};
static const struct slice choice_names[CHOICE_MEMBERS] = {
    [CHOICE_INDEX] = S_INIT("index"),
    [CHOICE_DELTA] = S_INIT("delta"),
    [CHOICE_FINISH] = S_INIT("finish_reason"),
    [CHOICE_LOGPROBS] = S_INIT("logprobs"),
    [CHOICE_MESSAGE] = S_INIT("message"),
    [CHOICE_USAGE] = S_INIT("usage"),
    [CHOICE_STOP_REASON] = S_INIT("stop_reason"),
};

/* Reads one choice. Its delta is read on the way: the members of both are spans until all are
 * known. False on a syntax error, which is in `scan`. */
static bool read_choice(struct json_scan *scan, struct member *members, struct member *delta)
{
    enum json_token token;

    memset(members, 0, CHOICE_MEMBERS * sizeof(*members));
    memset(delta, 0, DELTAS * sizeof(*delta));
    while ((token = json_next(scan)) == JSON_KEY) {
        int key = json_key_index(scan, choice_names, CHOICE_MEMBERS);
        struct slice raw;

        token = json_next(scan);
        if (key == CHOICE_DELTA || key == CHOICE_MESSAGE) {
            if (token == JSON_OBJECT) {
                if (!members_read(scan, delta_names, DELTAS, delta, NULL, NULL, NULL))
                    return false;
                continue;
            }
        }
        if (!json_skip_after(scan, token, &raw))
            return false;
        if (key >= 0 && token != JSON_NULL)
            members[key] = (struct member){.kind = (uint8_t)token, .raw = raw};
    }
    return token == JSON_OBJECT_END;
}

static enum r2a_err put_choice(struct decoder *d, struct ir_sink *sink,
                               const struct member *members, const struct member *delta)
{
    struct text finish = member_text(&members[CHOICE_FINISH]);
    struct choice *choice;
    int64_t at = 0;
    uint8_t index;

    (void)member_int(&members[CHOICE_INDEX], &at);
    choice = choice_of(d, at);
    if (choice == NULL)
        return R2A_OK;
    index = (uint8_t)at;
    TRY(put_delta(d, sink, index, choice, delta));
    if (d->has_ended)
        return R2A_OK;
    if (member_is(&members[CHOICE_LOGPROBS], JSON_OBJECT))
        TRY(put_logprobs(sink, index, choice, members[CHOICE_LOGPROBS].raw));
    if (member_is(&members[CHOICE_USAGE], JSON_OBJECT))
        TRY(put_usage(sink, members[CHOICE_USAGE].raw));
    if (finish.len == 0)
        return R2A_OK;
    choice->has_finish = true;
    choice->stop = (uint8_t)stop_of(finish);
    if (member_is(&members[CHOICE_STOP_REASON], JSON_STRING) &&
        (choice->stop == IR_STOP_END || choice->stop == IR_STOP_SEQUENCE)) {
        struct text sequence = member_text(&members[CHOICE_STOP_REASON]);
        struct slice copy = arena_copy(d->brief->arena, text_bytes(sequence));

        choice->stop = IR_STOP_SEQUENCE;
        choice->sequence = text_escaped(copy);
    }
    return R2A_OK;
}

/* The elements of `choices`; the bracket was taken. */
static enum r2a_err put_choices(struct decoder *d, struct ir_sink *sink, struct json_scan *scan)
{
    struct member members[CHOICE_MEMBERS], delta[DELTAS];
    enum json_token token;

    while ((token = json_next(scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        if (token != JSON_OBJECT) {
            if (!json_skip_after(scan, token, NULL))
                return R2A_OK;
            continue;
        }
        if (!read_choice(scan, members, delta))
            return R2A_OK; /* the scanner has the error; the caller looks at it */
        TRY(put_choice(d, sink, members, delta));
        if (d->has_ended)
            return R2A_OK;
    }
    return R2A_OK;
}

/* --- chunks --- */

enum root {
    ROOT_CHOICES,
    ROOT_ERROR,
    ROOT_USAGE,
    ROOT_GROQ,
    ROOT_BASE_RESP,
    ROOT_ID, /* from here on only the first chunk's matter */
    ROOT_MODEL,
    ROOT_CREATED,
    ROOT_TIER,
    ROOT_FINGERPRINT,
    ROOTS,
};
static const struct slice root_names[ROOTS] = {
    [ROOT_CHOICES] = S_INIT("choices"),     [ROOT_ERROR] = S_INIT("error"),
    [ROOT_USAGE] = S_INIT("usage"),         [ROOT_GROQ] = S_INIT("x_groq"),
    [ROOT_BASE_RESP] = S_INIT("base_resp"), [ROOT_ID] = S_INIT("id"),
    [ROOT_MODEL] = S_INIT("model"),         [ROOT_CREATED] = S_INIT("created"),
    [ROOT_TIER] = S_INIT("service_tier"),   [ROOT_FINGERPRINT] = S_INIT("system_fingerprint"),
};

static enum r2a_err put_head_field(struct ir_sink *sink, uint8_t field, const struct member *member)
{
    struct text value = member_text(member);
    int64_t number = 0;

    if (field == IR_FIELD_CREATED ? !member_int(member, &number) : value.len == 0)
        return R2A_OK;
    return put_field(sink, field, 0, value, number);
}

static enum r2a_err put_begin(struct decoder *d, struct ir_sink *sink, const struct member *root)
{
    d->has_begun = true;
    TRY(put_open(sink, IR_BEGIN, 0, 0, 0, member_text(&root[ROOT_ID]),
                 member_text(&root[ROOT_MODEL])));
    TRY(put_head_field(sink, IR_FIELD_CREATED, &root[ROOT_CREATED]));
    TRY(put_head_field(sink, IR_FIELD_TIER, &root[ROOT_TIER]));
    return put_head_field(sink, IR_FIELD_FINGERPRINT, &root[ROOT_FINGERPRINT]);
}

/* Groq's x_groq.usage, in its last chunk. */
static enum r2a_err put_groq(struct ir_sink *sink, struct slice raw)
{
    static const struct slice name = S_INIT("usage");
    struct member usage;

    if (!members_of(raw, &name, 1, &usage) || !member_is(&usage, JSON_OBJECT))
        return R2A_OK;
    return put_usage(sink, usage.raw);
}

/* MiniMax says errors under HTTP 200: {"base_resp":{"status_code":1004,"status_msg":…}}. */
static bool is_refusal(const struct member *base_resp)
{
    static const struct slice name = S_INIT("status_code");
    struct member code;
    int64_t number;

    return member_is(base_resp, JSON_OBJECT) && members_of(base_resp->raw, &name, 1, &code) &&
           member_int(&code, &number) && number != 0;
}

static bool is_truthy(const struct member *error)
{
    if (member_is(error, JSON_STRING))
        return error->raw.len > 2;
    return member_is(error, JSON_OBJECT) || member_is(error, JSON_TRUE);
}

static enum r2a_err put_undecodable(struct decoder *d, struct ir_sink *sink,
                                    const struct json_scan *scan)
{
    return put_error(d, sink, scan->err == R2A_OK ? R2A_ERR_JSON_SYNTAX : scan->err,
                     S("The upstream sent something that is not valid JSON."));
}

/* A chunk, or a document: of the root only spans, but `choices` is read as it comes once the
 * answer has begun. */
static enum r2a_err put_chunk(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    struct member root[ROOTS] = {{0}};
    uint32_t names = d->has_begun ? ROOT_ID : ROOTS;
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, data);
    if (json_next(&scan) != JSON_OBJECT)
        return put_undecodable(d, sink, &scan);
    while ((token = json_next(&scan)) == JSON_KEY) {
        int key = json_key_index(&scan, root_names, names);
        struct slice raw;

        token = json_next(&scan);
        if (key == ROOT_CHOICES && token == JSON_ARRAY && d->has_begun) {
            TRY(put_choices(d, sink, &scan));
            if (d->has_ended)
                return R2A_OK;
            continue;
        }
        if (!json_skip_after(&scan, token, &raw))
            break;
        if (key >= 0 && token != JSON_NULL)
            root[key] = (struct member){.kind = (uint8_t)token, .raw = raw};
    }
    if (token != JSON_OBJECT_END || json_next(&scan) != JSON_END)
        return put_undecodable(d, sink, &scan);
    if (member_is(&root[ROOT_CHOICES], JSON_ARRAY)) {
        json_open(&scan, root[ROOT_CHOICES].raw);
        (void)json_next(&scan);
        token = json_next(&scan);
        if (token != JSON_ARRAY_END) {
            TRY(put_begin(d, sink, root));
            json_open(&scan, root[ROOT_CHOICES].raw);
            (void)json_next(&scan);
            TRY(put_choices(d, sink, &scan));
            if (d->has_ended)
                return R2A_OK;
        }
    }
    if (member_is(&root[ROOT_USAGE], JSON_OBJECT))
        TRY(put_usage(sink, root[ROOT_USAGE].raw));
    if (member_is(&root[ROOT_GROQ], JSON_OBJECT))
        TRY(put_groq(sink, root[ROOT_GROQ].raw));
    if (is_truthy(&root[ROOT_ERROR]) || is_refusal(&root[ROOT_BASE_RESP]))
        return put_reported(d, sink, data);
    return R2A_OK;
}

/* --- the end --- */

static enum r2a_err end_choice(struct ir_sink *sink, uint8_t index, const struct choice *choice)
{
    uint8_t stop = choice->has_finish ? choice->stop : IR_STOP_END;

    if (stop == IR_STOP_END && choice->has_calls)
        stop = IR_STOP_TOOL;
    else if (stop == IR_STOP_TOOL && !choice->has_calls)
        stop = IR_STOP_END;
    return ir_put(sink, &(struct ir_event){.kind = IR_STOP,
                                           .what = stop,
                                           .choice = index,
                                           .u.open = {.id = choice->sequence}});
}

/* The stream is complete: what is open closes, every choice stops. */
static enum r2a_err put_end(struct decoder *d, struct ir_sink *sink)
{
    if (!d->has_begun)
        return put_error(d, sink, R2A_ERR_TRUNCATED, S("The upstream ended without an answer."));
    for (uint32_t i = 0; i < d->slots_count; i++) {
        const struct pending *pending = d->slots[i]->pending;

        if (!d->slots[i]->is_open && pending != NULL && pending->args.bytes > 0)
            return put_error(d, sink, R2A_ERR_INVALID,
                             S("The upstream made a tool call without a name."));
    }
    for (uint8_t i = 0; i < CHOICES_MAX; i++) {
        struct choice *choice = i == 0 ? &d->first : d->others == NULL ? NULL : &d->others[i - 1];

        if (choice == NULL || !choice->is_seen)
            continue;
        if (choice->stop == IR_STOP_OTHER && choice->parts_count == 0)
            return put_error(d, sink, R2A_ERR_INVALID,
                             S("The upstream stopped without having said anything."));
        TRY(close_run(sink, i, choice));
        TRY(close_calls(d, sink, i));
        TRY(end_choice(sink, i, choice));
    }
    d->has_ended = true;
    return put_plain(sink, IR_END, 0);
}

enum r2a_err openai_chat_finish(void *decoder, struct ir_sink *sink)
{
    struct decoder *d = decoder;
    bool is_complete = d->has_begun;

    if (d->has_ended)
        return R2A_OK;
    for (uint32_t i = 0; i < CHOICES_MAX; i++) {
        const struct choice *choice = i == 0              ? &d->first
                                      : d->others == NULL ? NULL
                                                          : &d->others[i - 1];

        if (choice != NULL && choice->is_seen && !choice->has_finish)
            is_complete = false;
    }
    if (!is_complete)
        return put_error(d, sink, R2A_ERR_TRUNCATED,
                         S("The upstream closed the stream before it finished."));
    return put_end(d, sink);
}

enum r2a_err openai_chat_decode(void *decoder, const struct frame *frame, struct ir_sink *sink)
{
    struct decoder *d = decoder;
    struct slice data = frame->data;

    if (d->has_ended)
        return R2A_OK;
    switch ((enum frame_kind)frame->kind) {
    case FRAME_COMMENT: /* without text it may be a blank line: how many come depends on the cut */
        return data.len > 0 ? put_plain(sink, IR_ALIVE, 0) : R2A_OK;
    case FRAME_STRAY:
    case FRAME_ERROR:
        return put_reported(d, sink, data);
    case FRAME_DATA:
    case FRAME_DOCUMENT:
        break;
    }
    if (data.len == 0 || data.ptr[0] != '{')
        data = str_trim_lines(data);
    if (frame->kind == FRAME_DATA) {
        if (data.len == 0)
            return R2A_OK;
        if (slice_eq(data, S("[DONE]")))
            return put_end(d, sink);
        if (frame->name.len > 0 && slice_eq(frame->name, S("error")))
            return put_reported(d, sink, data);
        return put_chunk(d, sink, data);
    }
    if (data.len > 0 && data.ptr[0] == '[') /* an error object in an array */
        return put_reported(d, sink, data);
    TRY(put_chunk(d, sink, data));
    if (d->has_ended)
        return R2A_OK;
    if (!d->has_begun)
        return put_error(d, sink, R2A_ERR_INVALID,
                         S("The upstream's answer is not a chat completion."));
    return put_end(d, sink);
}
