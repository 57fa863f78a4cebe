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

#define DELTA_RESERVE_MAX 2000u /* a delta up to this size is written in one piece */

_Static_assert(sizeof(struct encoder) <= OPENAI_RESPONSES_ENCODER_SIZE, "what the row says");

void openai_responses_encoder_init(void *encoder, const struct brief *brief)
{
    struct encoder *e = encoder;

    *e = (struct encoder){.brief = brief, .is_document = brief->shape == BRIEF_DOCUMENT};
}

static void drop_item(struct item *item)
{
    rope_clear(&item->body);
    if (item->extra == NULL)
        return;
    rope_clear(&item->extra->annotations);
    rope_clear(&item->extra->logprobs);
    rope_clear(&item->extra->seal);
}

void openai_responses_encoder_drop(void *encoder)
{
    struct encoder *e = encoder;

    for (struct item *item = e->open; item != NULL; item = item->next_open)
        drop_item(item);
    for (struct item *item = e->first; item != NULL; item = item->next)
        drop_item(item);
    e->first = e->last = e->open = e->closing = e->waiting = NULL;
}

/* --- events --- */

static void begin_event(struct encoder *e, struct slice type, struct rope *out)
{
    rope_put(out, S("event: "));
    rope_put(out, type);
    rope_put(out, S("\ndata: {\"type\":\""));
    rope_put(out, type);
    rope_put(out, S("\",\"sequence_number\":"));
    rope_put_u64(out, e->sequence++);
}

static void end_event(struct rope *out)
{
    rope_put(out, S("}\n\n"));
}

static void write_lifecycle(struct encoder *e, struct slice type, enum response_status status,
                            const struct fault *fault, struct rope *out)
{
    begin_event(e, type, out);
    rope_put(out, S(",\"response\":"));
    openai_responses_write_response(e, status, fault, out);
    end_event(out);
}

/* The prologue, once. */
static void begin(struct encoder *e, struct rope *out)
{
    if (e->has_begun)
        return;
    e->has_begun = true;
    if (e->is_document)
        return;
    write_lifecycle(e, S("response.created"), RESPONSE_IN_PROGRESS, NULL, out);
    write_lifecycle(e, S("response.in_progress"), RESPONSE_IN_PROGRESS, NULL, out);
}

static void write_item_event(struct encoder *e, const struct item *item, bool is_added,
                             struct rope *out)
{
    begin_event(e, is_added ? S("response.output_item.added") : S("response.output_item.done"),
                out);
    rope_put(out, S(",\"output_index\":"));
    rope_put_u64(out, item->index);
    rope_put(out, S(",\"item\":"));
    openai_responses_write_item(item, is_added, out);
    end_event(out);
}

/* An event of an item: `members` follow where it belongs, up to an opening quote or a value. */
static void begin_item_event(struct encoder *e, const struct item *item, struct slice type,
                             struct slice members, struct rope *out)
{
    begin_event(e, type, out);
    rope_put(out, item->where);
    rope_put(out, members);
}

/* --- items --- */

static struct item *find_item(const struct encoder *e, uint32_t part)
{
    for (struct item *item = e->open; item != NULL; item = item->next_open)
        if (item->part == part)
            return item;
    return NULL;
}

static struct item_extra *extra_of(const struct encoder *e, struct item *item)
{
    struct item_extra *extra = item->extra;

    if (extra != NULL)
        return extra;
    extra = item->extra = arena_take_zero(e->brief->arena, sizeof(*extra));
    if (extra != NULL) {
        extra->annotations.mem = extra->logprobs.mem = extra->seal.mem = e->brief->mem;
        extra->annotations.bytes_max = extra->logprobs.bytes_max = extra->seal.bytes_max =
            e->brief->output_bytes_max;
    }
    return extra;
}

static struct item *new_item(struct encoder *e, uint8_t kind, uint32_t part)
{
    struct item *item = arena_take_zero(e->brief->arena, sizeof(*item));

    if (item == NULL)
        return NULL;
    item->kind = kind;
    item->part = part;
    item->body.mem = e->brief->mem;
    item->body.bytes_max = e->brief->output_bytes_max;
    item->next_open = e->open;
    e->open = item;
    return item;
}

static void forget_item(struct encoder *e, struct item *item)
{
    struct item **at = &e->open;

    while (*at != item)
        at = &(*at)->next_open;
    *at = item->next_open;
    if (e->closing == item)
        e->closing = NULL;
    if (e->waiting == item)
        e->waiting = NULL;
}

static struct slice id_prefix(const struct item *item)
{
    static const struct slice builtins[BUILTIN_RAISED + 1] = {
        [BUILTIN_LOCAL_SHELL] = S_INIT("lsh_"),
        [BUILTIN_SHELL] = S_INIT("sh_"),
        [BUILTIN_APPLY_PATCH] = S_INIT("apc_"),
    };

    switch (item->kind) {
    case IR_PART_CALL:
        if (item->builtin != BUILTIN_NONE)
            return builtins[item->builtin];
        return item->is_custom ? S("ctc_") : S("fc_");
    case IR_PART_REASON:
    case IR_PART_REDACTED:
        return S("rs_");
    case IR_PART_IMAGE:
        return S("ig_");
    default:
        return S("msg_");
    }
}

static bool name_item(struct encoder *e, struct item *item)
{
    char id[32], where[96];
    struct str_buf buf = STR_BUF(where);
    size_t len = brief_make_id(e->brief, e->ids_made++, id_prefix(item), id);

    item->id = arena_copy(e->brief->arena, slice_of(id, len));
    str_buf_put(&buf, S(",\"item_id\":\""));
    str_buf_put(&buf, item->id);
    str_buf_put(&buf, S("\",\"output_index\":"));
    str_buf_put_u64(&buf, item->index);
    item->where = arena_copy(e->brief->arena, str_buf_slice(&buf));
    return item->id.len > 0 && item->where.len > 0;
}

static bool is_message(const struct item *item)
{
    return item->kind == IR_PART_TEXT || item->kind == IR_PART_REFUSAL;
}

/* Tells an item: from here on it has a number. */
static enum r2a_err open_item(struct encoder *e, struct item *item, struct rope *out)
{
    if (item->stage != ITEM_WAITING)
        return R2A_OK;
    begin(e, out);
    item->stage = ITEM_OPEN;
    item->index = e->items_count++;
    if (e->waiting == item)
        e->waiting = NULL;
    if (e->last == NULL)
        e->first = item;
    else
        e->last->next = item;
    e->last = item;
    if (!name_item(e, item))
        return R2A_ERR_NO_MEMORY;
    if (e->is_document)
        return R2A_OK;
    write_item_event(e, item, true, out);
    if (!is_message(item))
        return R2A_OK;
    begin_item_event(
        e, item, S("response.content_part.added"),
        item->kind == IR_PART_REFUSAL
            ? S(",\"content_index\":0,\"part\":{\"type\":\"refusal\",\"refusal\":\"\"}")
            : S(",\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\","
                "\"annotations\":[],\"logprobs\":[]}"),
        out);
    end_event(out);
    return R2A_OK;
}

/* The event and the member of each kind of piece. */
struct wording {
    struct slice delta, done, value; /* `value`: what *.done calls the whole, with its colon */
    struct slice where;              /* content_index, summary_index */
    struct slice tail;               /* behind the string */
};

static struct wording wording_of(const struct item *item)
{
    switch (item->kind) {
    case IR_PART_REASON:
        return (struct wording){S("response.reasoning_summary_text.delta"),
                                S("response.reasoning_summary_text.done"), S(",\"text\":\""),
                                S(",\"summary_index\":0"), S("")};
    case IR_PART_REFUSAL:
        return (struct wording){S("response.refusal.delta"), S("response.refusal.done"),
                                S(",\"refusal\":\""), S(",\"content_index\":0"), S("")};
    case IR_PART_CALL:
        if (item->is_custom)
            return (struct wording){S("response.custom_tool_call_input.delta"),
                                    S("response.custom_tool_call_input.done"), S(",\"input\":\""),
                                    S(""), S("")};
        return (struct wording){S("response.function_call_arguments.delta"),
                                S("response.function_call_arguments.done"), S(",\"arguments\":\""),
                                S(""), S("")};
    default:
        return (struct wording){S("response.output_text.delta"), S("response.output_text.done"),
                                S(",\"text\":\""), S(",\"content_index\":0"),
                                S(",\"logprobs\":[]")};
    }
}

static char *copy(char *to, struct slice bytes)
{
    memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

/* The event that makes up most of every stream, in one piece of rope where it fits. */
static void write_delta(struct encoder *e, const struct item *item, struct text text,
                        struct rope *out)
{
    struct wording wording = wording_of(item);
    bool is_args = item->kind == IR_PART_CALL && !item->is_custom;
    size_t size = 2 * wording.delta.len + STR_U64_BYTES_MAX + item->where.len + wording.where.len +
                  text.len + wording.tail.len + 64;
    char *begin =
        text.form == TEXT_ESCAPED && size <= DELTA_RESERVE_MAX ? rope_reserve(out, size) : NULL;

    if (begin != NULL) {
        char *to = copy(begin, S("event: "));

        to = copy(to, wording.delta);
        to = copy(to, S("\ndata: {\"type\":\""));
        to = copy(to, wording.delta);
        to = copy(to, S("\",\"sequence_number\":"));
        to += str_from_u64(to, e->sequence++);
        to = copy(to, item->where);
        to = copy(to, wording.where);
        to = copy(to, S(",\"delta\":\""));
        to = copy(to, text_bytes(text));
        *to++ = '"';
        to = copy(to, wording.tail);
        to = copy(to, S("}\n\n"));
        rope_commit(out, (size_t)(to - begin));
        return;
    }
    begin_item_event(e, item, wording.delta, wording.where, out);
    rope_put(out, S(",\"delta\":\""));
    if (is_args && text.form == TEXT_JSON)
        text_write_json_compact_escaped(out, text);
    else
        text_write_escaped_copy(out, text);
    rope_put_char(out, '"');
    rope_put(out, wording.tail);
    end_event(out);
}

/* The one summary of reasoning begins with its first word. */
static void begin_summary(struct encoder *e, const struct item *item, struct rope *out)
{
    if (e->is_document || item->kind != IR_PART_REASON || item->has_text)
        return;
    begin_item_event(e, item, S("response.reasoning_summary_part.added"),
                     S(",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"),
                     out);
    end_event(out);
}

static enum r2a_err keep_text(struct encoder *e, struct item *item, struct text text)
{
    size_t before = item->body.bytes;

    if (item->kind == IR_PART_CALL && !item->is_custom && text.form == TEXT_JSON)
        text_write_json_compact_escaped(&item->body, text);
    else
        text_write_escaped_copy(&item->body, text);
    e->kept_bytes += item->body.bytes - before;
    if (e->brief->output_bytes_max > 0 && e->kept_bytes > e->brief->output_bytes_max)
        return R2A_ERR_LIMIT;
    return item->body.err;
}

static enum r2a_err add_text(struct encoder *e, struct item *item, struct text text,
                             struct rope *out)
{
    enum r2a_err err = open_item(e, item, out);

    if (err != R2A_OK)
        return err;
    begin_summary(e, item, out);
    item->has_text = true;
    e->text_bytes += text.len;
    if (item->kind == IR_PART_TEXT)
        item->chars += text_count_chars(text);
    err = keep_text(e, item, text);
    if (err == R2A_OK && !e->is_document && item->kind != IR_PART_IMAGE &&
        item->builtin == BUILTIN_NONE)
        write_delta(e, item, text, out);
    return err;
}

/* `…text.done`, `…part.done`. */
static void write_done(struct encoder *e, const struct item *item, struct rope *out)
{
    struct wording wording = wording_of(item);

    begin_item_event(e, item, wording.done, wording.where, out);
    rope_put(out, wording.value);
    openai_responses_replay(&item->body, out);
    rope_put_char(out, '"');
    rope_put(out, wording.tail);
    if (item->kind == IR_PART_CALL && !item->is_custom) {
        rope_put(out, S(",\"name\":\""));
        text_write_escaped_copy(out, item->name);
        rope_put_char(out, '"');
    }
    end_event(out);
    if (item->kind == IR_PART_REASON) {
        begin_item_event(e, item, S("response.reasoning_summary_part.done"),
                         S(",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\""),
                         out);
        openai_responses_replay(&item->body, out);
        rope_put(out, S("\"}"));
        end_event(out);
    } else if (is_message(item)) {
        begin_item_event(e, item, S("response.content_part.done"),
                         S(",\"content_index\":0,\"part\":"), out);
        openai_responses_write_part(item, out);
        end_event(out);
    }
}

/* What the model wrote for a call of a kind of its own. Half a command is not shown: somebody might
 * run it. */
static __attribute__((noinline, cold)) enum r2a_err keep_args(struct encoder *e, struct item *item,
                                                              bool is_cut)
{
    size_t len = item->body.bytes;
    char *bytes = arena_take(e->brief->arena, len + 1);

    if (bytes == NULL)
        return R2A_ERR_NO_MEMORY;
    rope_copy_out(&item->body, bytes);
    if (is_cut && text_json_kind(text_escaped(slice_of(bytes, len))) != TEXT_IS_OBJECT)
        return R2A_OK;
    return text_to_plain(text_escaped(slice_of(bytes, len)), e->brief->arena, &item->args)
               ? R2A_OK
               : R2A_ERR_NO_MEMORY;
}

/* The commands of a shell call have events of their own; they name no item. */
static void write_command(struct encoder *e, const struct item *item, struct slice type, uint32_t k,
                          struct slice member, struct slice value, struct rope *out)
{
    begin_event(e, type, out);
    rope_put(out, S(",\"output_index\":"));
    rope_put_u64(out, item->index);
    rope_put(out, S(",\"command_index\":"));
    rope_put_u64(out, k);
    rope_put(out, member);
    rope_put(out, value);
    end_event(out);
}

static __attribute__((noinline, cold)) void
write_commands(struct encoder *e, const struct item *item, struct rope *out)
{
    struct slice command;

    for (uint32_t k = 0; builtin_shell_command(item->args, k, &command); k++) {
        write_command(e, item, S("response.shell_call_command.added"), k, S(",\"command\":"),
                      S("\"\""), out);
        write_command(e, item, S("response.shell_call_command.delta"), k, S(",\"delta\":"), command,
                      out);
        write_command(e, item, S("response.shell_call_command.done"), k, S(",\"command\":"),
                      command, out);
    }
}

static enum r2a_err seal_item(struct encoder *e, struct item *item)
{
    struct item_extra *extra = item->extra;

    if (extra == NULL || extra->secret.len == 0)
        return R2A_OK;
    seal_write(&extra->seal, extra->family, e->brief->minter, extra->secret_id, extra->secret);
    extra->secret.len = 0;
    return extra->seal.err;
}

static enum r2a_err finish_item(struct encoder *e, struct item *item, bool is_cut, struct rope *out)
{
    bool has_secret = item->extra != NULL && item->extra->secret.len > 0;
    enum r2a_err err = R2A_OK;

    if (item->kind == IR_PART_CALL && !item->has_text && !item->is_custom)
        err = add_text(e, item, text_escaped(S("{}")), out);
    else if (item->kind == IR_PART_CALL || has_secret)
        err = open_item(e, item, out);
    if (err == R2A_OK)
        err = seal_item(e, item);
    if (err == R2A_OK && item->builtin != BUILTIN_NONE)
        err = keep_args(e, item, is_cut);
    forget_item(e, item);
    if (err != R2A_OK || item->stage == ITEM_WAITING) {
        if (item->stage == ITEM_WAITING)
            drop_item(item); /* it had nothing to say */
        return err;
    }
    item->stage = is_cut ? ITEM_CUT : ITEM_DONE;
    if (e->is_document)
        return R2A_OK;
    if (item->builtin == BUILTIN_SHELL)
        write_commands(e, item, out);
    else if (item->builtin == BUILTIN_NONE && item->kind != IR_PART_IMAGE &&
             (item->has_text || is_message(item) || item->is_custom))
        write_done(e, item, out);
    if (item->kind == IR_PART_IMAGE) {
        begin_item_event(e, item, S("response.image_generation_call.completed"), S(""), out);
        end_event(out);
    }
    write_item_event(e, item, false, out);
    return R2A_OK;
}

/* What waited for the next event; `part` is the one that event belongs to. */
static enum r2a_err settle(struct encoder *e, const struct item *except, bool is_cut,
                           struct rope *out)
{
    enum r2a_err err = R2A_OK;

    if (e->closing != NULL && e->closing != except)
        err = finish_item(e, e->closing, is_cut, out);
    if (err == R2A_OK && e->waiting != NULL && e->waiting != except)
        err = open_item(e, e->waiting, out);
    return err;
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
    enum r2a_err err = settle(e, NULL, false, out);
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
    item = new_item(e, event->what, event->part);
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
    return open_item(e, item, out);
}

static enum r2a_err write_text(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = find_item(e, event->part);
    enum r2a_err err;

    if (item == NULL || event->u.text.len == 0)
        return R2A_OK;
    err = settle(e, item, false, out);
    return err == R2A_OK ? add_text(e, item, event->u.text, out) : err;
}

static enum r2a_err close_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = find_item(e, event->part);
    enum r2a_err err;

    if (item == NULL)
        return R2A_OK;
    err = settle(e, item, false, out);
    if (err != R2A_OK)
        return err;
    if (item->kind == IR_PART_CALL)
        err = open_item(e, item, out);
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
    item = new_item(e, IR_PART_REASON, UINT32_MAX);
    extra = item != NULL ? extra_of(e, item) : NULL;
    if (extra == NULL || !keep(e, secret, &extra->secret))
        return R2A_ERR_NO_MEMORY;
    extra->family = family;
    return finish_item(e, item, false, out);
}

static enum r2a_err write_seal(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct item *item = find_item(e, event->part);
    struct item_extra *extra;
    bool is_id = event->what == IR_FIELD_ITEM_ID;

    if (item == NULL || event->u.field.value.len == 0)
        return R2A_OK;
    if (item->kind == IR_PART_CALL && !is_id)
        return write_call_seal(e, item, event->u.field.value, (uint8_t)event->u.field.number, out);
    if (item->kind != IR_PART_REASON && item->kind != IR_PART_REDACTED)
        return R2A_OK;
    extra = extra_of(e, item);
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
        item = find_item(e, event->part);
        if (item == NULL || item->kind != IR_PART_CALL)
            return R2A_OK;
        if (!keep(e, value, &item->space))
            return R2A_ERR_NO_MEMORY;
        return slice_eq(e->brief->minter, S("google")) ? R2A_OK : open_item(e, item, out);
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
    struct item *item = find_item(e, event->part);
    const struct ir_cite *cite = event->u.cite;
    struct item_extra *extra;
    enum r2a_err err;

    if (item == NULL || item->kind != IR_PART_TEXT || cite->url.len == 0)
        return R2A_OK;
    err = settle(e, item, false, out);
    if (err == R2A_OK)
        err = open_item(e, item, out);
    if (err != R2A_OK)
        return err;
    extra = extra_of(e, item);
    if (extra == NULL)
        return R2A_ERR_NO_MEMORY;
    if (extra->annotations_count > 0)
        rope_put_char(&extra->annotations, ',');
    write_annotation(item, cite, &extra->annotations);
    if (!e->is_document) {
        begin_item_event(e, item, S("response.output_text.annotation.added"),
                         S(",\"content_index\":0,\"annotation_index\":"), out);
        rope_put_u64(out, extra->annotations_count);
        rope_put(out, S(",\"annotation\":"));
        write_annotation(item, cite, out);
        end_event(out);
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
    struct item *item = find_item(e, event->part);
    struct slice items = elements_of(event->u.text);
    struct item_extra *extra;
    enum r2a_err err;

    if (item == NULL || item->kind != IR_PART_TEXT || items.len == 0)
        return R2A_OK;
    err = settle(e, item, false, out);
    if (err == R2A_OK)
        err = open_item(e, item, out);
    if (err != R2A_OK)
        return err;
    extra = extra_of(e, item);
    if (extra == NULL)
        return R2A_ERR_NO_MEMORY;
    if (extra->logprobs.bytes > 0)
        rope_put_char(&extra->logprobs, ',');
    text_write_json_compact(&extra->logprobs, text_json(items));
    if (!e->is_document) {
        begin_item_event(e, item, S("response.output_text.delta"),
                         S(",\"content_index\":0,\"delta\":\"\",\"logprobs\":["), out);
        text_write_json_compact(out, text_json(items));
        rope_put_char(out, ']');
        end_event(out);
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
    err = settle(e, NULL, status_of(e) == RESPONSE_INCOMPLETE, out);
    begin(e, out);
    if (err == R2A_OK && event->what == IR_STOP_REFUSAL && explanation.len > 0) {
        struct item *item = new_item(e, IR_PART_REFUSAL, UINT32_MAX);

        if (item == NULL)
            return R2A_ERR_NO_MEMORY;
        err = add_text(e, item, explanation, out);
        if (err == R2A_OK)
            err = finish_item(e, item, false, out);
    }
    return err;
}

static void write_end(struct encoder *e, struct rope *out)
{
    enum response_status status = status_of(e);

    begin(e, out);
    if (e->is_document)
        openai_responses_write_response(e, status, NULL, out);
    else if (status == RESPONSE_INCOMPLETE)
        write_lifecycle(e, S("response.incomplete"), status, NULL, out);
    else
        write_lifecycle(e, S("response.completed"), status, NULL, out);
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
        begin(e, out);
    for (struct item *item = e->open; item != NULL; item = item->next_open)
        if (item->stage != ITEM_WAITING)
            item->stage = ITEM_CUT;
    begin_event(e, S("error"), out);
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
    end_event(out);
    write_lifecycle(e, S("response.failed"), RESPONSE_FAILED, fault, out);
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
    begin_event(e, S("keepalive"), out);
    end_event(out);
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
