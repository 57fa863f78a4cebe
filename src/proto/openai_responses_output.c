#include "builtin.h"
#include "openai_responses_answer.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* The output items of an answer and the events that tell them, from `added` to `done`. */

#define DELTA_RESERVE_MAX 2000u /* a delta up to this size is written in one piece */

/* --- events --- */

void openai_responses_begin_event(struct encoder *e, struct slice type, struct rope *out)
{
    rope_put(out, S("event: "));
    rope_put(out, type);
    rope_put(out, S("\ndata: {\"type\":\""));
    rope_put(out, type);
    rope_put(out, S("\",\"sequence_number\":"));
    rope_put_u64(out, e->sequence++);
}

void openai_responses_end_event(struct rope *out)
{
    rope_put(out, S("}\n\n"));
}

void openai_responses_write_lifecycle(struct encoder *e, struct slice type,
                                      enum response_status status, const struct fault *fault,
                                      struct rope *out)
{
    openai_responses_begin_event(e, type, out);
    rope_put(out, S(",\"response\":"));
    openai_responses_write_response(e, status, fault, out);
    openai_responses_end_event(out);
}

/* The prologue, once. */
void openai_responses_begin_answer(struct encoder *e, struct rope *out)
{
    if (e->has_begun)
        return;
    e->has_begun = true;
    if (e->is_document)
        return;
    openai_responses_write_lifecycle(e, S("response.created"), RESPONSE_IN_PROGRESS, NULL, out);
    openai_responses_write_lifecycle(e, S("response.in_progress"), RESPONSE_IN_PROGRESS, NULL, out);
}

static void write_item_event(struct encoder *e, const struct item *item, bool is_added,
                             struct rope *out)
{
    openai_responses_begin_event(
        e, is_added ? S("response.output_item.added") : S("response.output_item.done"), out);
    rope_put(out, S(",\"output_index\":"));
    rope_put_u64(out, item->index);
    rope_put(out, S(",\"item\":"));
    openai_responses_write_item(item, is_added, out);
    openai_responses_end_event(out);
}

/* An event of an item: `members` follow where it belongs, up to an opening quote or a value. */
void openai_responses_begin_item_event(struct encoder *e, const struct item *item,
                                       struct slice type, struct slice members, struct rope *out)
{
    openai_responses_begin_event(e, type, out);
    rope_put(out, item->where);
    rope_put(out, members);
}

/* --- items --- */

void openai_responses_drop_item(struct item *item)
{
    rope_clear(&item->body);
    if (item->extra == NULL)
        return;
    rope_clear(&item->extra->annotations);
    rope_clear(&item->extra->logprobs);
    rope_clear(&item->extra->seal);
}

struct item *openai_responses_find_item(const struct encoder *e, uint32_t part)
{
    for (struct item *item = e->open; item != NULL; item = item->next_open)
        if (item->part == part)
            return item;
    return NULL;
}

struct item_extra *openai_responses_extra_of(const struct encoder *e, struct item *item)
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

struct item *openai_responses_new_item(struct encoder *e, uint8_t kind, uint32_t part)
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
enum r2a_err openai_responses_open_item(struct encoder *e, struct item *item, struct rope *out)
{
    if (item->stage != ITEM_WAITING)
        return R2A_OK;
    openai_responses_begin_answer(e, out);
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
    openai_responses_begin_item_event(
        e, item, S("response.content_part.added"),
        item->kind == IR_PART_REFUSAL
            ? S(",\"content_index\":0,\"part\":{\"type\":\"refusal\",\"refusal\":\"\"}")
            : S(",\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\","
                "\"annotations\":[],\"logprobs\":[]}"),
        out);
    openai_responses_end_event(out);
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
    openai_responses_begin_item_event(e, item, wording.delta, wording.where, out);
    rope_put(out, S(",\"delta\":\""));
    if (is_args && text.form == TEXT_JSON)
        text_write_json_compact_escaped(out, text);
    else
        text_write_escaped_copy(out, text);
    rope_put_char(out, '"');
    rope_put(out, wording.tail);
    openai_responses_end_event(out);
}

/* The one summary of reasoning begins with its first word. */
static void begin_summary(struct encoder *e, const struct item *item, struct rope *out)
{
    if (e->is_document || item->kind != IR_PART_REASON || item->has_text)
        return;
    openai_responses_begin_item_event(
        e, item, S("response.reasoning_summary_part.added"),
        S(",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"), out);
    openai_responses_end_event(out);
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

enum r2a_err openai_responses_add_text(struct encoder *e, struct item *item, struct text text,
                                       struct rope *out)
{
    enum r2a_err err = openai_responses_open_item(e, item, out);

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

    openai_responses_begin_item_event(e, item, wording.done, wording.where, out);
    rope_put(out, wording.value);
    openai_responses_replay(&item->body, out);
    rope_put_char(out, '"');
    rope_put(out, wording.tail);
    if (item->kind == IR_PART_CALL && !item->is_custom) {
        rope_put(out, S(",\"name\":\""));
        text_write_escaped_copy(out, item->name);
        rope_put_char(out, '"');
    }
    openai_responses_end_event(out);
    if (item->kind == IR_PART_REASON) {
        openai_responses_begin_item_event(
            e, item, S("response.reasoning_summary_part.done"),
            S(",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\""), out);
        openai_responses_replay(&item->body, out);
        rope_put(out, S("\"}"));
        openai_responses_end_event(out);
    } else if (is_message(item)) {
        openai_responses_begin_item_event(e, item, S("response.content_part.done"),
                                          S(",\"content_index\":0,\"part\":"), out);
        openai_responses_write_part(item, out);
        openai_responses_end_event(out);
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
    openai_responses_begin_event(e, type, out);
    rope_put(out, S(",\"output_index\":"));
    rope_put_u64(out, item->index);
    rope_put(out, S(",\"command_index\":"));
    rope_put_u64(out, k);
    rope_put(out, member);
    rope_put(out, value);
    openai_responses_end_event(out);
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

enum r2a_err openai_responses_finish_item(struct encoder *e, struct item *item, bool is_cut,
                                          struct rope *out)
{
    bool has_secret = item->extra != NULL && item->extra->secret.len > 0;
    enum r2a_err err = R2A_OK;

    if (item->kind == IR_PART_CALL && !item->has_text && !item->is_custom)
        err = openai_responses_add_text(e, item, text_escaped(S("{}")), out);
    else if (item->kind == IR_PART_CALL || has_secret)
        err = openai_responses_open_item(e, item, out);
    if (err == R2A_OK)
        err = seal_item(e, item);
    if (err == R2A_OK && item->builtin != BUILTIN_NONE)
        err = keep_args(e, item, is_cut);
    forget_item(e, item);
    if (err != R2A_OK || item->stage == ITEM_WAITING) {
        if (item->stage == ITEM_WAITING)
            openai_responses_drop_item(item); /* it had nothing to say */
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
        openai_responses_begin_item_event(e, item, S("response.image_generation_call.completed"),
                                          S(""), out);
        openai_responses_end_event(out);
    }
    write_item_event(e, item, false, out);
    return R2A_OK;
}

enum r2a_err openai_responses_settle(struct encoder *e, const struct item *except, bool is_cut,
                                     struct rope *out)
{
    enum r2a_err err = R2A_OK;

    if (e->closing != NULL && e->closing != except)
        err = openai_responses_finish_item(e, e->closing, is_cut, out);
    if (err == R2A_OK && e->waiting != NULL && e->waiting != except)
        err = openai_responses_open_item(e, e->waiting, out);
    return err;
}
