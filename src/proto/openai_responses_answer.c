#include "openai_responses_answer.h"

#include "builtin.h"
#include "openai_chat.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Events as a Responses answer: a stream of typed events, or one document (conversion.md 3.5).
 *
 * The official accumulators are strict, and what they need is kept by construction: an item gets
 * its output_index when it is told, in the order of telling; every event of an item repeats one
 * prepared run of bytes with its id and index; a message has one part, reasoning one summary; done
 * events repeat the kept text. A part becomes an item with its first piece, so nothing is empty.
 *
 *   PART --(first TEXT, CITE, LOGPROBS; a call at once)--> added --> … --> PART_END --(next)-->
 * done
 *
 * An item is done one event late, because only that event tells whether it was cut off. */

_Static_assert(sizeof(struct encoder) <= OPENAI_RESPONSES_ENCODER_SIZE, "what the row says");

void openai_responses_encoder_init(void *encoder, const struct brief *brief)
{
    struct encoder *e = encoder;

    *e = (struct encoder){.brief = brief, .is_document = brief->shape == BRIEF_DOCUMENT};
}

void openai_responses_encoder_drop(void *encoder)
{
    struct encoder *e = encoder;

    for (struct item *item = e->open; item != NULL; item = item->next_open)
        openai_responses_drop_item(item);
    for (struct item *item = e->first; item != NULL; item = item->next)
        openai_responses_drop_item(item);
    e->first = e->last = e->open = e->closing = e->waiting = NULL;
}

/* --- parts --- */

static bool keep(const struct encoder *e, struct text text, struct text *kept)
{
    struct slice bytes = arena_copy(e->brief->arena, text_bytes(text));

    *kept = (struct text){bytes.ptr, (uint32_t)bytes.len, text.form};
    return bytes.len == text.len;
}

/* Call ids are the client's keys: present and unique. A broken one is replaced; the client sends it
 * back with call and result alike. */
static bool keep_call_id(struct encoder *e, struct item *item, struct text id)
{
    bool is_usable = id.len > 0;
    char made[32];

    for (const struct item *other = e->first; other != NULL && is_usable; other = other->next)
        is_usable = other->kind != IR_PART_CALL || !text_eq(other->call_id, id);
    for (const struct item *other = e->open; other != NULL && is_usable; other = other->next_open)
        is_usable = other == item || other->kind != IR_PART_CALL || !text_eq(other->call_id, id);
    if (!is_usable)
        id = text_plain(
            slice_of(made, brief_make_id(e->brief, UINT32_MAX - e->ids_made++, S("call_"), made)));
    return keep(e, id, &item->call_id);
}

/* Whether something that belongs before or into the first event of a call may follow: a namespace,
 * or Google's secret, which becomes a reasoning item in front of it. */
static bool call_waits(const struct encoder *e, struct text name)
{
    if (slice_eq(e->brief->minter, S("google")))
        return true;
    for (uint32_t i = 0; i < e->brief->names_count; i++)
        if (e->brief->names[i].space.len > 0 && text_eq(e->brief->names[i].client, name))
            return true;
    return false;
}

/* Which tool of OpenAI's own was declared under this name. */
static enum builtin_id builtin_of(const struct encoder *e, struct text name)
{
    for (uint32_t i = 0; i < e->brief->names_count; i++)
        if (e->brief->names[i].builtin != BUILTIN_NONE && text_eq(e->brief->names[i].client, name))
            return (enum builtin_id)e->brief->names[i].builtin;
    return BUILTIN_NONE;
}

static enum r2a_err open_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    enum r2a_err err = openai_responses_settle(e, NULL, false, out);
    struct item *item;

    if (err != R2A_OK)
        return err;
    switch (event->what) {
    case IR_PART_TEXT:
    case IR_PART_REFUSAL:
    case IR_PART_REASON:
    case IR_PART_REDACTED:
    case IR_PART_IMAGE:
    case IR_PART_CALL:
        break;
    default:
        return R2A_OK; /* opaque: not for this client */
    }
    if (e->items_count >= OUTPUT_ITEMS_MAX) /* empty ones do not count, and are not kept */
        return R2A_ERR_LIMIT;
    item = openai_responses_new_item(e, event->what, event->part);
    if (item == NULL)
        return R2A_ERR_NO_MEMORY;
    e->has_refusal |= event->what == IR_PART_REFUSAL;
    if (event->what != IR_PART_CALL)
        return R2A_OK;
    item->is_custom = (event->flags & IR_CUSTOM) != 0;
    item->builtin = (uint8_t)builtin_of(e, event->u.open.name);
    if (!keep_call_id(e, item, event->u.open.id) || !keep(e, event->u.open.name, &item->name))
        return R2A_ERR_NO_MEMORY;
    if (call_waits(e, event->u.open.name)) {
        e->waiting = item;
        return R2A_OK;
    }
    return openai_responses_open_item(e, item, out);
}

static enum r2a_err write_text(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = openai_responses_find_item(e, event->part);
    enum r2a_err err;

    if (item == NULL || event->u.text.len == 0)
        return R2A_OK;
    err = openai_responses_settle(e, item, false, out);
    return err == R2A_OK ? openai_responses_add_text(e, item, event->u.text, out) : err;
}

static enum r2a_err close_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = openai_responses_find_item(e, event->part);
    enum r2a_err err;

    if (item == NULL)
        return R2A_OK;
    err = openai_responses_settle(e, item, false, out);
    if (err != R2A_OK)
        return err;
    if (item->kind == IR_PART_CALL)
        err = openai_responses_open_item(e, item, out);
    e->closing = item;
    return err;
}

/* --- what goes with parts --- */

/* Google's secret of a call: a reasoning item of its own, directly before it. Once the call was
 * told it is too late; then the vault has it. */
static enum r2a_err write_call_seal(struct encoder *e, struct item *call, struct text secret,
                                    uint8_t family, struct rope *out)
{
    struct item_extra *extra;
    struct item *item;

    if (call->stage != ITEM_WAITING)
        return R2A_OK;
    item = openai_responses_new_item(e, IR_PART_REASON, UINT32_MAX);
    extra = item != NULL ? openai_responses_extra_of(e, item) : NULL;
    if (extra == NULL || !keep(e, secret, &extra->secret))
        return R2A_ERR_NO_MEMORY;
    extra->family = family;
    return openai_responses_finish_item(e, item, false, out);
}

static enum r2a_err write_seal(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = openai_responses_find_item(e, event->part);
    struct item_extra *extra;
    bool is_id = event->what == IR_FIELD_ITEM_ID;

    if (item == NULL || event->u.field.value.len == 0)
        return R2A_OK;
    if (item->kind == IR_PART_CALL && !is_id)
        return write_call_seal(e, item, event->u.field.value, (uint8_t)event->u.field.number, out);
    if (item->kind != IR_PART_REASON && item->kind != IR_PART_REDACTED)
        return R2A_OK;
    extra = openai_responses_extra_of(e, item);
    if (extra == NULL || !keep(e, event->u.field.value, is_id ? &extra->secret_id : &extra->secret))
        return R2A_ERR_NO_MEMORY;
    if (!is_id)
        extra->family = (uint8_t)event->u.field.number;
    return R2A_OK;
}

static bool keep_plain(const struct encoder *e, struct text text, struct slice *kept)
{
    struct slice plain;

    if (!text_to_plain(text, e->brief->arena, &plain))
        return false;
    *kept = arena_copy(e->brief->arena, plain);
    return kept->len == plain.len;
}

static enum r2a_err write_field(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct text value = event->u.field.value;
    struct item *item;

    switch (event->what) {
    case IR_FIELD_TIER:
        if (text_is(value, S("standard")) || text_is(value, S("standard_only")))
            e->tier = S("default");
        else if (!keep_plain(e, value, &e->tier))
            return R2A_ERR_NO_MEMORY;
        return R2A_OK;
    case IR_FIELD_SEAL:
    case IR_FIELD_ITEM_ID:
        return write_seal(e, event, out);
    case IR_FIELD_NAMESPACE:
        item = openai_responses_find_item(e, event->part);
        if (item == NULL || item->kind != IR_PART_CALL)
            return R2A_OK;
        if (!keep(e, value, &item->space))
            return R2A_ERR_NO_MEMORY;
        return slice_eq(e->brief->minter, S("google")) ? R2A_OK
                                                       : openai_responses_open_item(e, item, out);
    default:
        return R2A_OK;
    }
}

static void write_annotation(const struct item *item, const struct ir_cite *cite, struct rope *out)
{
    rope_put(out, S("{\"type\":\"url_citation\",\"start_index\":"));
    rope_put_i64(out, cite->start >= 0 ? cite->start : (int64_t)item->chars);
    rope_put(out, S(",\"end_index\":"));
    rope_put_i64(out, cite->end >= 0 ? cite->end : (int64_t)item->chars);
    rope_put(out, S(",\"url\":\""));
    text_write_escaped_copy(out, cite->url);
    rope_put(out, S("\",\"title\":\""));
    text_write_escaped_copy(out, cite->title);
    rope_put(out, S("\"}"));
}

/* Citations belong to an open text; what comes when its item is done is lost. */
static enum r2a_err write_cite(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = openai_responses_find_item(e, event->part);
    const struct ir_cite *cite = event->u.cite;
    struct item_extra *extra;
    enum r2a_err err;

    if (item == NULL || item->kind != IR_PART_TEXT || cite->url.len == 0)
        return R2A_OK;
    err = openai_responses_settle(e, item, false, out);
    if (err == R2A_OK)
        err = openai_responses_open_item(e, item, out);
    if (err != R2A_OK)
        return err;
    extra = openai_responses_extra_of(e, item);
    if (extra == NULL)
        return R2A_ERR_NO_MEMORY;
    if (extra->annotations_count > 0)
        rope_put_char(&extra->annotations, ',');
    write_annotation(item, cite, &extra->annotations);
    if (!e->is_document) {
        openai_responses_begin_item_event(e, item, S("response.output_text.annotation.added"),
                                          S(",\"content_index\":0,\"annotation_index\":"), out);
        rope_put_u64(out, extra->annotations_count);
        rope_put(out, S(",\"annotation\":"));
        write_annotation(item, cite, out);
        openai_responses_end_event(out);
    }
    extra->annotations_count++;
    return extra->annotations.err;
}

/* Several arrays become one: only what is between their brackets. */
static struct slice elements_of(struct text array)
{
    struct slice items = text_bytes(array);

    while (items.len > 0 && items.ptr[0] != '[')
        items = slice_skip(items, 1);
    while (items.len > 0 && items.ptr[items.len - 1] != ']')
        items.len--;
    return items.len > 2 ? str_trim_lines(slice_of(items.ptr + 1, items.len - 2))
                         : (struct slice){0};
}

static enum r2a_err write_logprobs(struct encoder *e, const struct ir_event *event,
                                   struct rope *out)
{
    struct item *item = openai_responses_find_item(e, event->part);
    struct slice items = elements_of(event->u.text);
    struct item_extra *extra;
    enum r2a_err err;

    if (item == NULL || item->kind != IR_PART_TEXT || items.len == 0)
        return R2A_OK;
    err = openai_responses_settle(e, item, false, out);
    if (err == R2A_OK)
        err = openai_responses_open_item(e, item, out);
    if (err != R2A_OK)
        return err;
    extra = openai_responses_extra_of(e, item);
    if (extra == NULL)
        return R2A_ERR_NO_MEMORY;
    if (extra->logprobs.bytes > 0)
        rope_put_char(&extra->logprobs, ',');
    text_write_json_compact(&extra->logprobs, text_json(items));
    if (!e->is_document) {
        openai_responses_begin_item_event(e, item, S("response.output_text.delta"),
                                          S(",\"content_index\":0,\"delta\":\"\",\"logprobs\":["),
                                          out);
        text_write_json_compact(out, text_json(items));
        rope_put_char(out, ']');
        openai_responses_end_event(out);
    }
    return extra->logprobs.err;
}

/* --- the end --- */

static enum response_status status_of(const struct encoder *e)
{
    switch ((enum ir_stop)e->stop) {
    case IR_STOP_LENGTH:
    case IR_STOP_CONTEXT:
    case IR_STOP_FILTER:
    case IR_STOP_RECITATION:
        return RESPONSE_INCOMPLETE;
    case IR_STOP_REFUSAL: /* said in words: then it is an answer */
        return e->has_refusal ? RESPONSE_COMPLETED : RESPONSE_INCOMPLETE;
    case IR_STOP_END:
    case IR_STOP_SEQUENCE:
    case IR_STOP_TOOL:
    case IR_STOP_PAUSE:
    case IR_STOP_BAD_CALL:
    case IR_STOP_OTHER:
        break;
    }
    return RESPONSE_COMPLETED;
}

static enum r2a_err write_stop(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct text explanation = event->u.open.name;
    enum r2a_err err;

    if (e->has_stopped)
        return R2A_OK;
    e->has_stopped = true;
    e->stop = event->what;
    err = openai_responses_settle(e, NULL, status_of(e) == RESPONSE_INCOMPLETE, out);
    openai_responses_begin_answer(e, out);
    if (err == R2A_OK && event->what == IR_STOP_REFUSAL && explanation.len > 0) {
        struct item *item = openai_responses_new_item(e, IR_PART_REFUSAL, UINT32_MAX);

        if (item == NULL)
            return R2A_ERR_NO_MEMORY;
        err = openai_responses_add_text(e, item, explanation, out);
        if (err == R2A_OK)
            err = openai_responses_finish_item(e, item, false, out);
    }
    return err;
}

static void write_end(struct encoder *e, struct rope *out)
{
    enum response_status status = status_of(e);

    openai_responses_begin_answer(e, out);
    if (e->is_document)
        openai_responses_write_response(e, status, NULL, out);
    else if (status == RESPONSE_INCOMPLETE)
        openai_responses_write_lifecycle(e, S("response.incomplete"), status, NULL, out);
    else
        openai_responses_write_lifecycle(e, S("response.completed"), status, NULL, out);
    e->has_ended = true;
}

/* Some clients act on `error` only, some on `response.failed` only. What is open is not closed:
 * what looks complete could be acted on. */
static void write_error(struct encoder *e, const struct fault *fault, struct rope *out)
{
    const struct fault_row *row = &fault_rows[fault->kind < FAULT_KINDS ? fault->kind : 0];

    e->has_ended = true;
    if (e->is_document)
        return;
    if (!e->brief->is_relay) /* else the upstream's own prologue went out */
        openai_responses_begin_answer(e, out);
    for (struct item *item = e->open; item != NULL; item = item->next_open)
        if (item->stage != ITEM_WAITING)
            item->stage = ITEM_CUT;
    openai_responses_begin_event(e, S("error"), out);
    rope_put(out, S(",\"code\":"));
    if (row->openai_code != NULL)
        text_write_string(out, text_plain(slice_from_z(row->openai_code)));
    else if (fault->code.len > 0 && row->openai_status < 500) {
        rope_put_char(out, '"');
        text_write_escaped_copy(out, fault->code);
        rope_put_char(out, '"');
    } else
        rope_put(out, row->openai_status < 500 ? S("null") : S("\"server_error\""));
    rope_put(out, S(",\"message\":\""));
    if (fault->message.len > 0)
        text_write_escaped_copy(out, fault->message);
    else
        rope_put(out, slice_from_z(fault->err != R2A_OK ? r2a_err_text((int32_t)fault->err)
                                                        : row->openai_type));
    rope_put(out, S("\",\"param\":"));
    if (fault->param.len > 0)
        text_write_string(out, fault->param);
    else
        rope_put(out, S("null"));
    openai_responses_end_event(out);
    openai_responses_write_lifecycle(e, S("response.failed"), RESPONSE_FAILED, fault, out);
}

/* A comment until the answer has begun; later only a whole event resets every client's clock. */
static void write_alive(struct encoder *e, struct rope *out)
{
    if (e->is_document)
        return;
    if (!e->has_begun) {
        rope_put(out, S(": ping\n\n"));
        return;
    }
    openai_responses_begin_event(e, S("keepalive"), out);
    openai_responses_end_event(out);
}

enum r2a_err openai_responses_encode(void *encoder, const struct ir_event *event, struct rope *out)
{
    struct encoder *e = encoder;
    enum r2a_err err = R2A_OK;

    if (e->has_ended || event->choice > 0)
        return R2A_OK;
    switch ((enum ir_kind)event->kind) {
    case IR_TEXT:
        err = write_text(e, event, out);
        break;
    case IR_BEGIN:
        if (e->brief->model.len == 0 && !keep_plain(e, event->u.open.name, &e->model))
            err = R2A_ERR_NO_MEMORY;
        break;
    case IR_PART:
        err = open_part(e, event, out);
        break;
    case IR_PART_END:
        err = close_part(e, event, out);
        break;
    case IR_FIELD:
        err = write_field(e, event, out);
        break;
    case IR_CITE:
        err = write_cite(e, event, out);
        break;
    case IR_LOGPROBS:
        err = write_logprobs(e, event, out);
        break;
    case IR_USAGE:
        ir_usage_merge(&e->usage, event->u.usage);
        break;
    case IR_STOP:
        err = write_stop(e, event, out);
        break;
    case IR_ALIVE:
        write_alive(e, out);
        break;
    case IR_END:
        write_end(e, out);
        break;
    case IR_ERROR:
        write_error(e, event->u.fault, out);
        break;
    case IR_NONE:
    case IR_PARAM:
    case IR_TOOL:
    case IR_TOOL_END:
    case IR_TURN:
    case IR_TURN_END:
    case IR_EXT:
    case IR_KINDS:
        break;
    }
    return err != R2A_OK ? err : out->err;
}
