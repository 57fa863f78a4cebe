#include "openai_responses_stream.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* Output items of an upstream into parts (conversion.md 3.2). Several may be open at once; each
 * is found by its number, else by its id. Of text that is told in pieces and again as a whole only
 * what the pieces left out is told, so that servers which send one form, the other or both all
 * mean the same. */

enum r2a_err openai_responses_begin(struct decoder *d, struct ir_sink *sink, struct slice response)
{
    enum { ID, MODEL, CREATED, TIER };
    static const struct slice names[] = {S_INIT("id"), S_INIT("model"), S_INIT("created_at"),
                                         S_INIT("service_tier")};
    struct member members[array_count(names)] = {{0}};
    int64_t created;

    if (d->has_begun)
        return R2A_OK;
    d->has_begun = true;
    if (response.len > 0)
        (void)members_of(response, names, array_count(names), members);
    OR_TRY(
        put_open(sink, IR_BEGIN, 0, 0, 0, member_text(&members[ID]), member_text(&members[MODEL])));
    if (member_int(&members[CREATED], &created))
        OR_TRY(put_field(sink, IR_FIELD_CREATED, 0, (struct text){0}, created));
    /* `auto` is what was asked for, not what was used. */
    if (member_text(&members[TIER]).len > 0 && !text_is(member_text(&members[TIER]), S("auto")))
        OR_TRY(put_field(sink, IR_FIELD_TIER, 0, member_text(&members[TIER]), 0));
    return R2A_OK;
}

static struct item *new_item(struct decoder *d, int64_t number, uint64_t hash, struct text id,
                             enum item_kind kind)
{
    struct item *item =
        d->items_count < OUTPUT_ITEMS_MAX ? arena_take_zero(d->brief->arena, sizeof(*item)) : NULL;

    d->is_full = item == NULL;
    if (item == NULL)
        return NULL;
    mould_forget(d->mould); /* the same bytes may mean another item from now on */
    item->index = number;
    item->id_hash = hash;
    item->at = -1;
    item->kind = (uint8_t)kind;
    if (kind == ITEM_MESSAGE && id.len > 0) {
        struct slice copy = arena_copy(d->brief->arena, text_bytes(id));

        item->id = (struct text){copy.ptr, (uint32_t)copy.len, id.form};
    }
    item->next = d->items;
    d->items = item;
    d->items_count++;
    return d->last = item;
}

static uint64_t hash_of(const struct decoder *d, struct text id)
{
    return id.len > 0 ? text_hash_seeded(id, d->brief->random[0]) | 1 : 0;
}

struct item *openai_responses_item(struct decoder *d, const struct member *index, struct text id,
                                   enum item_kind kind, bool may_be_new)
{
    int64_t number = -1;
    struct item *item;
    uint64_t hash;

    (void)member_int(index, &number);
    if (number >= 0 && d->last != NULL && d->last->index == number)
        return d->last;
    for (item = d->items; item != NULL && number >= 0; item = item->next)
        if (item->index == number)
            return d->last = item;
    hash = hash_of(d, id);
    for (item = d->items; item != NULL && hash != 0; item = item->next)
        if (item->id_hash == hash && (number < 0 || item->index < 0))
            return d->last = item;
    for (item = d->items; item != NULL && number < 0 && hash == 0; item = item->next)
        if (item->kind == (uint8_t)kind && !item->is_done)
            return d->last = item;
    return may_be_new ? new_item(d, number, hash, id, kind) : NULL;
}

/* The item that is added or done. Here its own id is known, so that servers which give every item
 * the same number are understood: the number alone counts only while nothing speaks against it. */
static struct item *whole_item(struct decoder *d, const struct member *index, struct text id,
                               enum item_kind kind)
{
    uint64_t hash = hash_of(d, id);
    struct item *item;
    int64_t number = -1;

    for (item = d->items; item != NULL && hash != 0; item = item->next)
        if (item->id_hash == hash)
            return d->last = item;
    item = openai_responses_item(d, index, id, kind, false);
    if (item != NULL && item->kind == (uint8_t)kind &&
        (hash == 0 || item->id_hash == 0 || !item->is_done))
        return item;
    (void)member_int(index, &number);
    return new_item(d, number, hash, id, kind);
}

/* --- runs --- */

static enum r2a_err put_field_of(struct ir_sink *sink, const struct item *item, uint8_t field,
                                 struct text value, int64_t number)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_FIELD,
                                           .what = field,
                                           .part = item->part,
                                           .u.field = {.value = value, .number = number}});
}

static enum r2a_err open_part(struct decoder *d, struct ir_sink *sink, struct item *item,
                              uint8_t part_kind)
{
    OR_TRY(openai_responses_begin(d, sink, (struct slice){0}));
    item->is_open = true;
    item->part_kind = part_kind;
    item->part = d->parts_count++;
    item->cites = 0;
    d->has_refusal |= part_kind == IR_PART_REFUSAL;
    OR_TRY(
        ir_put(sink, &(struct ir_event){.kind = IR_PART, .what = part_kind, .part = item->part}));
    /* Where one message ends and the next begins only their ids tell. */
    if (item->kind == ITEM_MESSAGE && item->id.len > 0)
        return put_field_of(sink, item, IR_FIELD_ITEM_ID, item->id, 0);
    return R2A_OK;
}

enum r2a_err openai_responses_close_part(struct decoder *d, struct ir_sink *sink, struct item *item)
{
    (void)d;
    if (!item->is_open)
        return R2A_OK;
    item->is_open = false;
    OR_TRY(piece_end(&item->piece, sink, 0, item->part));
    return put_part_end(sink, item->part_kind, item->part);
}

enum r2a_err openai_responses_put_run(struct decoder *d, struct ir_sink *sink, struct item *item,
                                      uint8_t part_kind, int64_t at, struct text text)
{
    bool is_next = item->at != at;

    if (item->is_done || text.len == 0)
        return R2A_OK;
    if (item->kind == ITEM_CALL && !item->is_open)
        return R2A_OK; /* its name comes with the whole item, and so will this */
    if (is_next && item->is_open && part_kind != IR_PART_REASON && item->kind != ITEM_CALL)
        OR_TRY(openai_responses_close_part(d, sink, item));
    if (is_next)
        item->units = 0;
    item->at = at;
    if (!item->is_open)
        OR_TRY(open_part(d, sink, item, part_kind));
    else if (is_next && item->has_text && part_kind == IR_PART_REASON)
        OR_TRY(put_text(sink, 0, item->part, text_plain(S("\n\n"))));
    item->has_text = true;
    if (text.form != TEXT_ESCAPED) { /* arguments that are an object */
        item->units = UINT64_MAX;
        return put_text(sink, 0, item->part, text);
    }
    item->units += text_count_units(text);
    return piece_put(&item->piece, sink, 0, item->part, text);
}

enum r2a_err openai_responses_put_whole(struct decoder *d, struct ir_sink *sink, struct item *item,
                                        uint8_t part_kind, int64_t at, struct text text)
{
    if (at < item->at)
        return R2A_OK;
    if (at == item->at)
        text = text.form == TEXT_ESCAPED ? text_skip_units(text, item->units)
               : item->units > 0         ? (struct text){0}
                                         : text;
    return openai_responses_put_run(d, sink, item, part_kind, at, text);
}

/* --- citations --- */

enum r2a_err openai_responses_put_cite(struct ir_sink *sink, struct item *item, struct slice raw)
{
    enum { URL, TITLE, START, END };
    static const struct slice names[] = {S_INIT("url"), S_INIT("title"), S_INIT("start_index"),
                                         S_INIT("end_index")};
    struct member members[array_count(names)];
    struct ir_cite cite = {.start = -1, .end = -1, .document = -1};

    if (item->at < 0 || item->part_kind != IR_PART_TEXT)
        return R2A_OK; /* nothing it could belong to */
    item->cites++;
    if (!members_of(raw, names, array_count(names), members) ||
        !member_is(&members[URL], JSON_STRING))
        return R2A_OK; /* a file of the vendor's */
    cite.url = member_text(&members[URL]);
    cite.title = member_text(&members[TITLE]);
    (void)member_int(&members[START], &cite.start);
    (void)member_int(&members[END], &cite.end);
    return ir_put(sink, &(struct ir_event){.kind = IR_CITE, .part = item->part, .u.cite = &cite});
}

static enum r2a_err put_missing_cites(struct ir_sink *sink, struct item *item,
                                      const struct member *list)
{
    struct json_scan scan;
    enum json_token token;
    struct slice raw;

    if (!member_is(list, JSON_ARRAY))
        return R2A_OK;
    json_open(&scan, list->raw);
    (void)json_next(&scan);
    for (uint32_t i = 0; (token = json_next(&scan)) == JSON_OBJECT; i++) {
        if (!json_skip_after(&scan, token, &raw))
            break;
        if (i >= item->cites)
            OR_TRY(openai_responses_put_cite(sink, item, raw));
    }
    return R2A_OK;
}

enum r2a_err openai_responses_put_part(struct decoder *d, struct ir_sink *sink, struct item *item,
                                       int64_t at, struct slice raw)
{
    enum { TYPE, TEXT, REFUSAL, ANNOTATIONS, LOGPROBS };
    static const struct slice names[] = {S_INIT("type"), S_INIT("text"), S_INIT("refusal"),
                                         S_INIT("annotations"), S_INIT("logprobs")};
    struct member members[array_count(names)];
    bool is_new = item->at < at;

    if (item->is_done || !members_of(raw, names, array_count(names), members))
        return R2A_OK;
    if (member_is(&members[REFUSAL], JSON_STRING))
        return openai_responses_put_whole(d, sink, item, IR_PART_REFUSAL, at,
                                          member_text(&members[REFUSAL]));
    OR_TRY(
        openai_responses_put_whole(d, sink, item, IR_PART_TEXT, at, member_text(&members[TEXT])));
    if (item->at != at)
        return R2A_OK;
    OR_TRY(put_missing_cites(sink, item, &members[ANNOTATIONS]));
    if (is_new && member_is(&members[LOGPROBS], JSON_ARRAY) && members[LOGPROBS].raw.len > 2)
        OR_TRY(ir_put(sink, &(struct ir_event){.kind = IR_LOGPROBS,
                                               .part = item->part,
                                               .u.text = member_json(&members[LOGPROBS])}));
    return R2A_OK;
}

/* --- items --- */

enum item_member {
    I_TYPE,
    I_ID,
    I_CONTENT,
    I_SUMMARY,
    I_ENCRYPTED,
    I_CALL_ID,
    I_NAME,
    I_NAMESPACE,
    I_ARGUMENTS,
    I_INPUT,
    I_RESULT,
    I_FORMAT,
    I_MEMBERS,
};
static const struct slice item_names[I_MEMBERS] = {
    [I_TYPE] = S_INIT("type"),
    [I_ID] = S_INIT("id"),
    [I_CONTENT] = S_INIT("content"),
    [I_SUMMARY] = S_INIT("summary"),
    [I_ENCRYPTED] = S_INIT("encrypted_content"),
    [I_CALL_ID] = S_INIT("call_id"),
    [I_NAME] = S_INIT("name"),
    [I_NAMESPACE] = S_INIT("namespace"),
    [I_ARGUMENTS] = S_INIT("arguments"),
    [I_INPUT] = S_INIT("input"),
    [I_RESULT] = S_INIT("result"),
    [I_FORMAT] = S_INIT("output_format"),
};

static enum item_kind kind_of(struct text type)
{
    if (text_is(type, S("message")))
        return ITEM_MESSAGE;
    if (text_is(type, S("reasoning")))
        return ITEM_REASONING;
    if (text_is(type, S("function_call")) || text_is(type, S("custom_tool_call")))
        return ITEM_CALL;
    return text_is(type, S("image_generation_call")) ? ITEM_IMAGE : ITEM_OPAQUE;
}

/* A call begins when its name is known. */
static enum r2a_err open_call(struct decoder *d, struct ir_sink *sink, struct item *item,
                              const struct member *members)
{
    struct text id = member_text(&members[I_CALL_ID]), name = member_text(&members[I_NAME]);
    struct text space = member_text(&members[I_NAMESPACE]);
    bool is_wrapped;
    char made[32];

    if (item->is_open || item->is_done || name.len == 0)
        return R2A_OK;
    if (id.len == 0)
        id = text_plain(slice_of(
            made, brief_make_id(d->brief, d->brief->ids_made + d->ids_made++, S("call_"), made)));
    OR_TRY(openai_responses_begin(d, sink, (struct slice){0}));
    item->is_open = true;
    item->is_custom = text_is(member_text(&members[I_TYPE]), S("custom_tool_call"));
    item->part_kind = IR_PART_CALL;
    item->part = d->parts_count++;
    d->has_calls = true;
    OR_TRY(call_put_open(sink, d->brief, 0, item->part, item->is_custom ? IR_CUSTOM : 0, id, name,
                         &is_wrapped));
    return space.len > 0 ? put_field_of(sink, item, IR_FIELD_NAMESPACE, space, 0) : R2A_OK;
}

/* False: no object, or no room. */
static bool read_item(struct decoder *d, const struct member *index, struct slice raw,
                      struct member *members, struct item **item)
{
    if (!members_of(raw, item_names, I_MEMBERS, members))
        return false;
    *item =
        whole_item(d, index, member_text(&members[I_ID]), kind_of(member_text(&members[I_TYPE])));
    return *item != NULL;
}

enum r2a_err openai_responses_add_item(struct decoder *d, struct ir_sink *sink,
                                       const struct member *index, struct slice raw)
{
    struct member members[I_MEMBERS];
    struct item *item;

    if (!read_item(d, index, raw, members, &item))
        return R2A_OK;
    return item->kind == ITEM_CALL ? open_call(d, sink, item, members) : R2A_OK;
}

/* The texts of `summary` or `content`. */
static enum r2a_err put_reason_texts(struct decoder *d, struct ir_sink *sink, struct item *item,
                                     const struct member *list, enum reason_source source)
{
    static const struct slice name = S_INIT("text");
    struct member text;
    struct json_scan scan;

    if (!member_is(list, JSON_ARRAY) ||
        (item->source != REASON_UNKNOWN && item->source != (uint8_t)source))
        return R2A_OK;
    json_open(&scan, list->raw);
    (void)json_next(&scan);
    for (int64_t at = 0; json_next(&scan) == JSON_OBJECT; at++) {
        if (!members_read(&scan, &name, 1, &text, NULL, NULL, NULL))
            break;
        if (member_text(&text).len > 0)
            item->source = (uint8_t)source;
        OR_TRY(openai_responses_put_whole(d, sink, item, IR_PART_REASON, at, member_text(&text)));
    }
    return R2A_OK;
}

/* Summary and raw reasoning say the same: the summary counts. The secret comes last, and belongs to
 * the item's id. */
static enum r2a_err end_reasoning(struct decoder *d, struct ir_sink *sink, struct item *item,
                                  const struct member *members)
{
    struct text secret = member_text(&members[I_ENCRYPTED]), id = member_text(&members[I_ID]);

    OR_TRY(put_reason_texts(d, sink, item, &members[I_SUMMARY], REASON_SUMMARY));
    OR_TRY(put_reason_texts(d, sink, item, &members[I_CONTENT], REASON_RAW));
    if (secret.len == 0)
        return R2A_OK;
    if (!item->is_open)
        OR_TRY(open_part(d, sink, item, IR_PART_REASON));
    OR_TRY(piece_end(&item->piece, sink, 0, item->part));
    if (id.len > 0)
        OR_TRY(put_field_of(sink, item, IR_FIELD_ITEM_ID, id, 0));
    return put_field_of(sink, item, IR_FIELD_SEAL, secret, IR_SEAL_ENCRYPTED);
}

static enum r2a_err end_message(struct decoder *d, struct ir_sink *sink, struct item *item,
                                const struct member *content)
{
    struct json_scan scan;
    enum json_token token;
    struct slice raw;

    if (member_is(content, JSON_STRING))
        return openai_responses_put_whole(d, sink, item, IR_PART_TEXT, 0, member_text(content));
    if (!member_is(content, JSON_ARRAY))
        return R2A_OK;
    json_open(&scan, content->raw);
    (void)json_next(&scan);
    for (int64_t at = 0; (token = json_next(&scan)) == JSON_OBJECT; at++) {
        if (!json_skip_after(&scan, token, &raw))
            break;
        OR_TRY(openai_responses_put_part(d, sink, item, at, raw));
    }
    return R2A_OK;
}

static enum r2a_err end_image(struct decoder *d, struct ir_sink *sink, struct item *item,
                              const struct member *members)
{
    struct text format = member_text(&members[I_FORMAT]);
    struct text data = member_text(&members[I_RESULT]);
    struct slice mime = text_is(format, S("jpeg"))   ? S("image/jpeg")
                        : text_is(format, S("webp")) ? S("image/webp")
                                                     : S("image/png");

    if (data.len == 0)
        return R2A_OK;
    OR_TRY(open_part(d, sink, item, IR_PART_IMAGE));
    OR_TRY(put_field_of(sink, item, IR_FIELD_SOURCE, (struct text){0}, IR_SOURCE_BASE64));
    OR_TRY(put_field_of(sink, item, IR_FIELD_MIME, text_plain(mime), 0));
    return put_text(sink, IR_WHOLE, item->part, data);
}

static enum r2a_err put_opaque(struct decoder *d, struct ir_sink *sink, struct text type,
                               struct slice raw)
{
    uint32_t part;

    OR_TRY(openai_responses_begin(d, sink, (struct slice){0}));
    part = d->parts_count++;
    OR_TRY(
        put_open(sink, IR_PART, IR_PART_OPAQUE, 0, part, text_plain(S("openai-responses")), type));
    OR_TRY(put_text(sink, IR_WHOLE, part, text_json(raw)));
    return put_part_end(sink, IR_PART_OPAQUE, part);
}

enum r2a_err openai_responses_end_item(struct decoder *d, struct ir_sink *sink,
                                       const struct member *index, struct slice raw)
{
    struct member members[I_MEMBERS];
    const struct member *args;
    struct item *item;

    if (!read_item(d, index, raw, members, &item))
        return R2A_OK;
    if (item->is_done)
        return R2A_OK;
    switch ((enum item_kind)item->kind) {
    case ITEM_MESSAGE:
        OR_TRY(end_message(d, sink, item, &members[I_CONTENT]));
        break;
    case ITEM_REASONING:
        OR_TRY(end_reasoning(d, sink, item, members));
        break;
    case ITEM_CALL:
        OR_TRY(open_call(d, sink, item, members));
        args = &members[item->is_custom ? I_INPUT : I_ARGUMENTS];
        OR_TRY(openai_responses_put_whole(d, sink, item, IR_PART_CALL, 0,
                                          member_is(args, JSON_OBJECT) ? member_json(args)
                                                                       : member_text(args)));
        break;
    case ITEM_IMAGE:
        OR_TRY(end_image(d, sink, item, members));
        break;
    case ITEM_OPAQUE:
        OR_TRY(put_opaque(d, sink, member_text(&members[I_TYPE]), raw));
        break;
    }
    OR_TRY(openai_responses_close_part(d, sink, item));
    item->is_done = true;
    return R2A_OK;
}

enum r2a_err openai_responses_close_all(struct decoder *d, struct ir_sink *sink)
{
    for (struct item *item = d->items; item != NULL; item = item->next)
        OR_TRY(openai_responses_close_part(d, sink, item));
    return R2A_OK;
}
