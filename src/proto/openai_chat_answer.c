#include "openai_chat_answer.h"

#include "common.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Events as a Chat Completions answer: a stream of chunks, or one document (conversion.md 3.5).
 *
 * What the official clients' accumulators need (sheet 5.1) is kept by construction: the role once a
 * choice, id and name of a call once, call indexes dense within a choice, one finish chunk a choice
 * after all its deltas, then usage if it was asked for, then [DONE]. Citations are gathered and
 * sent in one chunk, because the Python client refuses a second list without indexes.
 *
 * Everything of a chunk that does not change within a stream is written once, into `head`. */

#define PARTS_FIRST       4u
#define CHUNK_RESERVE_MAX 2000u /* a chunk up to this size is written in one piece */

_Static_assert(sizeof(struct encoder) <= OPENAI_CHAT_ENCODER_SIZE, "what the row says");

void openai_chat_encoder_init(void *encoder, const struct brief *brief)
{
    struct encoder *e = encoder;

    *e = (struct encoder){.brief = brief, .is_document = brief->shape == BRIEF_DOCUMENT};
}

static struct choice *choice_of(struct encoder *e, uint8_t index)
{
    if (index == 0)
        return &e->first;
    if (index >= CHOICES_MAX)
        return NULL;
    if (e->others == NULL)
        e->others = arena_take_zero(e->brief->arena, (CHOICES_MAX - 1) * sizeof(*e->others));
    return e->others == NULL ? NULL : &e->others[index - 1];
}

static struct rope *new_rope(const struct encoder *e)
{
    struct rope *rope = arena_take_zero(e->brief->arena, sizeof(*rope));

    if (rope != NULL) {
        rope->mem = e->brief->mem;
        rope->bytes_max = e->brief->output_bytes_max;
    }
    return rope;
}

static void drop_gathered(struct gathered *gathered)
{
    for (; gathered != NULL; gathered = gathered->next)
        rope_clear(&gathered->body);
}

static void drop_choice(struct choice *choice)
{
    struct document *document = choice->document;

    if (choice->annotations != NULL)
        rope_clear(choice->annotations);
    if (choice->images != NULL)
        rope_clear(choice->images);
    if (document == NULL)
        return;
    rope_clear(&document->content);
    rope_clear(&document->reasoning);
    rope_clear(&document->refusal);
    rope_clear(&document->logprobs);
    rope_clear(&document->refusal_logprobs);
    drop_gathered(document->calls);
}

void openai_chat_encoder_drop(void *encoder)
{
    struct encoder *e = encoder;

    for (uint32_t i = 0; i < e->parts_count; i++)
        if (e->parts[i].kind == IR_PART_IMAGE)
            drop_gathered(e->parts[i].gathered);
    drop_choice(&e->first);
    for (uint32_t i = 0; e->others != NULL && i + 1 < CHOICES_MAX; i++)
        drop_choice(&e->others[i]);
}

/* --- the frame of a chunk --- */

/* The literal run before every choice index, and the one after every delta. */
static enum r2a_err make_head(struct encoder *e)
{
    struct rope rope = {.mem = e->brief->mem};
    char *to;

    rope_put(&rope, S("data: {"));
    openai_chat_write_id(e, &rope);
    rope_put(&rope, S("\",\"object\":\"chat.completion.chunk\",\"created\":"));
    rope_put_i64(&rope, e->brief->created);
    rope_put(&rope, S(",\"model\":"));
    text_write_string(&rope, text_plain(openai_chat_model_of(e)));
    if (e->tier.len > 0) {
        rope_put(&rope, S(",\"service_tier\":"));
        text_write_string(&rope, text_plain(e->tier));
    }
    if (e->fingerprint.len > 0) {
        rope_put(&rope, S(",\"system_fingerprint\":"));
        text_write_string(&rope, text_plain(e->fingerprint));
    }
    rope_put(&rope, S(",\"choices\":["));
    to = rope.err == R2A_OK ? arena_take(e->brief->arena, rope.bytes) : NULL;
    if (to != NULL) {
        rope_copy_out(&rope, to);
        e->head = slice_of(to, rope.bytes);
        e->tail = e->brief->usage_asked ? S(",\"finish_reason\":null}],\"usage\":null}\n\n")
                                        : S(",\"finish_reason\":null}]}\n\n");
    }
    rope_clear(&rope);
    return to != NULL ? R2A_OK : R2A_ERR_NO_MEMORY;
}

/* How the delta of each choice begins. */
static const struct slice delta_begins[CHOICES_MAX] = {
    S_INIT("{\"index\":0,\"delta\":{"), S_INIT("{\"index\":1,\"delta\":{"),
    S_INIT("{\"index\":2,\"delta\":{"), S_INIT("{\"index\":3,\"delta\":{"),
    S_INIT("{\"index\":4,\"delta\":{"), S_INIT("{\"index\":5,\"delta\":{"),
    S_INIT("{\"index\":6,\"delta\":{"), S_INIT("{\"index\":7,\"delta\":{"),
};

static char *copy(char *to, struct slice bytes)
{
    memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

/* The caller writes the members of the delta and ends with close_delta. */
static void open_delta(const struct encoder *e, uint8_t choice, struct rope *out)
{
    rope_put(out, e->head);
    rope_put(out, delta_begins[choice]);
}

static void close_delta(const struct encoder *e, struct rope *out)
{
    rope_put_char(out, '}');
    rope_put(out, e->tail);
}

/* The prologue of a choice: who speaks. */
static enum r2a_err begin_choice(struct encoder *e, uint8_t index, struct choice *choice,
                                 struct rope *out)
{
    if (choice->has_begun)
        return R2A_OK;
    choice->has_begun = true;
    if (e->is_document) {
        struct document *document = arena_take_zero(e->brief->arena, sizeof(*document));

        if (document == NULL)
            return R2A_ERR_NO_MEMORY;
        document->content.mem = document->reasoning.mem = document->refusal.mem = e->brief->mem;
        document->logprobs.mem = document->refusal_logprobs.mem = e->brief->mem;
        document->content.bytes_max = document->reasoning.bytes_max = document->refusal.bytes_max =
            document->logprobs.bytes_max = document->refusal_logprobs.bytes_max =
                e->brief->output_bytes_max;
        document->calls_end = &document->calls;
        choice->document = document;
        return R2A_OK;
    }
    if (e->head.len == 0) {
        enum r2a_err err = make_head(e);

        if (err != R2A_OK)
            return err;
    }
    open_delta(e, index, out);
    rope_put(out, S("\"role\":\"assistant\",\"content\":\"\""));
    close_delta(e, out);
    return R2A_OK;
}

/* --- parts --- */

static struct open_part *find_part(struct encoder *e, const struct ir_event *event)
{
    struct open_part *part;

    if (e->last < e->parts_count) {
        part = &e->parts[e->last];
        if (part->part == event->part && part->choice == event->choice)
            return part;
    }
    for (uint32_t i = 0; i < e->parts_count; i++) {
        part = &e->parts[i];
        if (part->part == event->part && part->choice == event->choice) {
            e->last = i;
            return part;
        }
    }
    return NULL;
}

static struct open_part *add_part(struct encoder *e)
{
    if (e->parts_count == e->parts_room) {
        uint32_t room = e->parts_room == 0 ? PARTS_FIRST : e->parts_room * 2;
        struct open_part *parts;

        if (room > 2 * OPEN_CALLS_MAX)
            return NULL;
        parts = arena_take(e->brief->arena, room * sizeof(*parts));
        if (parts == NULL)
            return NULL;
        if (e->parts_count > 0)
            memcpy(parts, e->parts, e->parts_count * sizeof(*parts));
        e->parts = parts;
        e->parts_room = room;
    }
    e->last = e->parts_count++;
    return &e->parts[e->last];
}

static bool keep_text(const struct encoder *e, struct text text, struct text *kept)
{
    struct slice copy = arena_copy(e->brief->arena, text_bytes(text));

    *kept = (struct text){copy.ptr, (uint32_t)copy.len, text.form};
    return copy.len == text.len;
}

static struct gathered *new_gathered(const struct encoder *e)
{
    struct gathered *gathered = arena_take_zero(e->brief->arena, sizeof(*gathered));

    if (gathered != NULL) {
        gathered->body.mem = e->brief->mem;
        gathered->body.bytes_max = e->brief->output_bytes_max;
    }
    return gathered;
}

static enum r2a_err open_call(struct encoder *e, struct choice *choice, struct open_part *part,
                              const struct ir_event *event, struct rope *out)
{
    part->call = choice->calls_count++;
    part->is_custom = (event->flags & IR_CUSTOM) != 0;
    /* The legacy form has room for one call; whatever comes beyond it is not kept back. */
    part->is_legacy = e->brief->is_legacy_functions && part->call == 0;
    if (e->is_document) {
        struct gathered *call = new_gathered(e);

        if (call == NULL || !keep_text(e, event->u.open.id, &call->id) ||
            !keep_text(e, event->u.open.name, &call->name))
            return R2A_ERR_NO_MEMORY;
        call->is_custom = part->is_custom;
        call->is_legacy = part->is_legacy;
        *choice->document->calls_end = call;
        choice->document->calls_end = &call->next;
        part->gathered = call;
        return R2A_OK;
    }
    open_delta(e, part->choice, out);
    if (part->is_legacy) {
        rope_put(out, S("\"function_call\":{\"name\":\""));
        text_write_escaped_copy(out, event->u.open.name);
        rope_put(out, S("\",\"arguments\":\"\"}"));
    } else {
        rope_put(out, S("\"tool_calls\":[{\"index\":"));
        rope_put_u64(out, part->call);
        rope_put(out, S(",\"id\":\""));
        text_write_escaped_copy(out, event->u.open.id);
        rope_put(out, part->is_custom ? S("\",\"type\":\"custom\",\"custom\":{\"name\":\"")
                                      : S("\",\"type\":\"function\",\"function\":{\"name\":\""));
        text_write_escaped_copy(out, event->u.open.name);
        rope_put(out, part->is_custom ? S("\",\"input\":\"\"}}]") : S("\",\"arguments\":\"\"}}]"));
    }
    close_delta(e, out);
    return R2A_OK;
}

static enum r2a_err open_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct choice *choice = choice_of(e, event->choice);
    struct open_part *part = add_part(e);
    enum r2a_err err;

    if (choice == NULL || part == NULL)
        return R2A_ERR_LIMIT;
    *part = (struct open_part){
        .part = event->part, .choice = event->choice, .kind = event->what, .base = choice->chars};
    switch (event->what) {
    case IR_PART_TEXT:
        choice->chars_base = choice->chars;
        return R2A_OK;
    case IR_PART_CALL:
        err = begin_choice(e, event->choice, choice, out);
        return err == R2A_OK ? open_call(e, choice, part, event, out) : err;
    case IR_PART_IMAGE:
        part->gathered = new_gathered(e);
        return part->gathered != NULL ? R2A_OK : R2A_ERR_NO_MEMORY;
    default:
        return R2A_OK;
    }
}

/* A piece of arguments as the inside of a JSON string. */
static void write_args(struct rope *out, struct text text)
{
    if (text.form == TEXT_JSON)
        text_write_json_compact_escaped(out, text);
    else
        text_write_escaped_copy(out, text);
}

static void write_call_delta(const struct encoder *e, const struct open_part *part,
                             struct text args, struct rope *out)
{
    bool is_legacy = part->is_legacy;
    struct slice begin = delta_begins[part->choice];
    struct slice call = is_legacy ? S("") : S("\"tool_calls\":[{\"index\":");
    struct slice name = is_legacy         ? S("\"function_call\":{\"arguments\":\"")
                        : part->is_custom ? S(",\"custom\":{\"input\":\"")
                                          : S(",\"function\":{\"arguments\":\"");
    struct slice end = is_legacy ? S("\"}}") : S("\"}}]}");
    char digits[STR_U64_BYTES_MAX];
    struct slice number = slice_of(digits, is_legacy ? 0 : str_from_u64(digits, part->call));
    size_t size = e->head.len + begin.len + call.len + number.len + name.len + args.len + end.len +
                  e->tail.len;
    char *to =
        args.form == TEXT_ESCAPED && size <= CHUNK_RESERVE_MAX ? rope_reserve(out, size) : NULL;

    if (to != NULL) {
        to = copy(copy(copy(copy(to, e->head), begin), call), number);
        to = copy(copy(copy(to, name), text_bytes(args)), end);
        (void)copy(to, e->tail);
        rope_commit(out, size);
        return;
    }
    open_delta(e, part->choice, out);
    rope_put(out, call);
    rope_put(out, number);
    rope_put(out, name);
    if (part->is_custom)
        text_write_escaped_copy(out, args);
    else
        write_args(out, args);
    rope_put(out, end);
    rope_put(out, e->tail);
}

static enum r2a_err gather_text(struct choice *choice, struct open_part *part, struct text text)
{
    struct rope *rope;

    switch (part->kind) {
    case IR_PART_TEXT:
        rope = &choice->document->content;
        break;
    case IR_PART_REASON:
        rope = &choice->document->reasoning;
        break;
    case IR_PART_REFUSAL:
        rope = &choice->document->refusal;
        break;
    default:
        rope = &part->gathered->body;
        break;
    }
    if (part->kind == IR_PART_CALL && !part->is_custom)
        write_args(rope, text);
    else
        text_write_escaped_copy(rope, text);
    return rope->err;
}

/* The chunk that makes up most of every stream, in one piece of rope where it fits. */
static void write_text_delta(const struct encoder *e, const struct open_part *part,
                             struct text text, struct rope *out)
{
    struct slice begin = delta_begins[part->choice];
    struct slice name = part->kind == IR_PART_TEXT     ? S("\"content\":\"")
                        : part->kind == IR_PART_REASON ? S("\"reasoning_content\":\"")
                                                       : S("\"refusal\":\"");
    size_t size = e->head.len + begin.len + name.len + text.len + 2 + e->tail.len;
    char *to =
        text.form == TEXT_ESCAPED && size <= CHUNK_RESERVE_MAX ? rope_reserve(out, size) : NULL;

    if (to != NULL) {
        to = copy(copy(copy(to, e->head), begin), name);
        to = copy(copy(to, text_bytes(text)), S("\"}"));
        (void)copy(to, e->tail);
        rope_commit(out, size);
        return;
    }
    open_delta(e, part->choice, out);
    rope_put(out, name);
    text_write_escaped_copy(out, text);
    rope_put_char(out, '"');
    close_delta(e, out);
}

static enum r2a_err write_text(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct open_part *part = find_part(e, event);
    struct text text = event->u.text;
    struct choice *choice;
    enum r2a_err err;

    if (part == NULL)
        return R2A_ERR_INTERNAL;
    if (text.len == 0)
        return R2A_OK;
    if (part->kind == IR_PART_IMAGE) {
        text_write_escaped_copy(&part->gathered->body, text);
        return part->gathered->body.err;
    }
    if (part->kind != IR_PART_TEXT && part->kind != IR_PART_REASON &&
        part->kind != IR_PART_REFUSAL && part->kind != IR_PART_CALL)
        return R2A_OK; /* opaque, redacted: not for this client */
    choice = choice_of(e, event->choice);
    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    err = begin_choice(e, event->choice, choice, out);
    if (err != R2A_OK)
        return err;
    if (part->needs_break) {
        struct ir_event between = *event;

        part->needs_break = false;
        between.u.text = text_escaped(S("\\n\\n"));
        err = write_text(e, &between, out);
        if (err != R2A_OK)
            return err;
        part->base = choice->chars;
        choice->chars_base = choice->chars;
    }
    part->has_text = true;
    e->text_bytes += text.len;
    if (part->kind == IR_PART_TEXT)
        choice->chars += text_count_chars(text);
    if (e->is_document)
        return gather_text(choice, part, text);
    if (part->kind == IR_PART_CALL) {
        write_call_delta(e, part, text, out);
        return R2A_OK;
    }
    write_text_delta(e, part, text, out);
    return R2A_OK;
}

/* message.images, as other gateways have it: Chat Completions itself has no image answers. */
static enum r2a_err write_image(struct encoder *e, struct choice *choice, struct open_part *part,
                                struct rope *out)
{
    struct gathered *image = part->gathered;
    enum r2a_err err = begin_choice(e, part->choice, choice, out);
    struct rope *to = out;

    if (err != R2A_OK)
        return err;
    if (e->is_document) {
        if (choice->images == NULL)
            choice->images = new_rope(e);
        to = choice->images;
        if (to == NULL)
            return R2A_ERR_NO_MEMORY;
        if (to->bytes > 0)
            rope_put_char(to, ',');
        rope_put_char(to, '{');
    } else {
        open_delta(e, part->choice, out);
        rope_put(out, S("\"images\":[{\"index\":"));
        rope_put_u64(out, choice->images_count);
        rope_put_char(out, ',');
    }
    choice->images_count++;
    rope_put(to, S("\"type\":\"image_url\",\"image_url\":{\"url\":\""));
    if (image->name.len > 0) {
        rope_put(to, S("data:"));
        text_write_escaped_copy(to, image->name);
        rope_put(to, S(";base64,"));
    }
    rope_append(to, &image->body);
    rope_put(to, S("\"}}"));
    if (!e->is_document) {
        rope_put_char(out, ']');
        close_delta(e, out);
    }
    return to->err;
}

static enum r2a_err close_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct open_part *part = find_part(e, event);
    struct choice *choice = choice_of(e, event->choice);
    enum r2a_err err = R2A_OK;

    if (part == NULL || choice == NULL)
        return R2A_ERR_INTERNAL;
    if (part->kind == IR_PART_CALL && !part->has_text && !part->is_custom) {
        if (e->is_document)
            rope_put(&part->gathered->body, S("{}"));
        else
            write_call_delta(e, part, text_plain(S("{}")), out);
    } else if (part->kind == IR_PART_IMAGE) {
        err = write_image(e, choice, part, out);
    }
    *part = e->parts[--e->parts_count];
    return err;
}

/* --- what goes with parts --- */

static bool keep_plain(const struct encoder *e, struct text text, struct slice *kept)
{
    struct slice plain;

    if (!text_to_plain(text, e->brief->arena, &plain))
        return false;
    *kept = arena_copy(e->brief->arena, plain);
    return kept->len == plain.len;
}

/* Messages of a Responses answer are one content here, with a blank line between them. */
static void begin_message(struct encoder *e, struct open_part *part, struct text id)
{
    struct choice *choice = choice_of(e, part->choice);
    uint64_t hash = text_hash(id) | 1;

    if (choice == NULL)
        return;
    part->needs_break = choice->message != 0 && choice->message != hash && choice->chars > 0;
    choice->message = hash;
}

static enum r2a_err write_field(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct open_part *part;
    struct text value = event->u.field.value;
    bool is_kept = true;

    switch (event->what) {
    case IR_FIELD_TIER:
        if (text_is(value, S("standard")) || text_is(value, S("standard_only")))
            e->tier = S("default");
        else
            is_kept = keep_plain(e, value, &e->tier);
        break;
    case IR_FIELD_FINGERPRINT:
        is_kept = keep_plain(e, value, &e->fingerprint);
        break;
    case IR_FIELD_ITEM_ID:
        part = find_part(e, event);
        if (part != NULL && part->kind == IR_PART_TEXT)
            begin_message(e, part, value);
        break;
    case IR_FIELD_MIME:
        part = find_part(e, event);
        if (part != NULL && part->kind == IR_PART_IMAGE)
            is_kept = keep_text(e, value, &part->gathered->name);
        break;
    case IR_FIELD_SEAL:
        /* Google's secret has a place of its own on a call; for others there is the vault. */
        part = find_part(e, event);
        if (part == NULL || part->kind != IR_PART_CALL || part->is_legacy ||
            event->u.field.number != IR_SEAL_THOUGHT)
            break;
        if (e->is_document) {
            is_kept = keep_plain(e, value, &part->gathered->signature);
            break;
        }
        open_delta(e, part->choice, out);
        rope_put(out, S("\"tool_calls\":[{\"index\":"));
        rope_put_u64(out, part->call);
        /* The Python client asserts that every delta of a call has its function. */
        rope_put(out, part->is_custom ? S(",\"custom\":{\"input\":\"\"}")
                                      : S(",\"function\":{\"arguments\":\"\"}"));
        rope_put(out, S(",\"extra_content\":{\"google\":{\"thought_signature\":\""));
        text_write_escaped_copy(out, value);
        rope_put(out, S("\"}}}]"));
        close_delta(e, out);
        break;
    default:
        break;
    }
    return is_kept ? R2A_OK : R2A_ERR_NO_MEMORY;
}

static enum r2a_err gather_cite(struct encoder *e, const struct ir_event *event)
{
    struct choice *choice = choice_of(e, event->choice);
    const struct ir_cite *cite = event->u.cite;
    const struct open_part *part = find_part(e, event);
    int64_t base = 0;
    struct rope *rope;

    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    if (cite->url.len == 0)
        return R2A_OK;
    base = part != NULL ? part->base : choice->chars_base;
    if (choice->annotations == NULL)
        choice->annotations = new_rope(e);
    rope = choice->annotations;
    if (rope == NULL)
        return R2A_ERR_NO_MEMORY;
    if (rope->bytes > 0)
        rope_put_char(rope, ',');
    rope_put(rope, S("{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":"));
    rope_put_i64(rope, cite->start >= 0 ? base + cite->start : (int64_t)choice->chars);
    rope_put(rope, S(",\"end_index\":"));
    rope_put_i64(rope, cite->end >= 0 ? base + cite->end : (int64_t)choice->chars);
    rope_put(rope, S(",\"url\":\""));
    text_write_escaped_copy(rope, cite->url);
    rope_put(rope, S("\",\"title\":\""));
    text_write_escaped_copy(rope, cite->title);
    rope_put(rope, S("\"}}"));
    return rope->err;
}

static enum r2a_err write_logprobs(struct encoder *e, const struct ir_event *event,
                                   struct rope *out)
{
    struct choice *choice = choice_of(e, event->choice);
    const struct open_part *part = find_part(e, event);
    bool is_refusal = part != NULL && part->kind == IR_PART_REFUSAL;
    enum r2a_err err;

    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    err = begin_choice(e, event->choice, choice, out);
    if (err != R2A_OK)
        return err;
    if (e->is_document) {
        struct rope *rope =
            is_refusal ? &choice->document->refusal_logprobs : &choice->document->logprobs;
        struct slice items = text_bytes(event->u.text);

        /* Several arrays become one: only what is between their brackets. */
        while (items.len > 0 && items.ptr[0] != '[')
            items = slice_skip(items, 1);
        while (items.len > 0 && items.ptr[items.len - 1] != ']')
            items.len--;
        if (items.len <= 2)
            return R2A_OK;
        if (rope->bytes > 0)
            rope_put_char(rope, ',');
        rope_put(rope, slice_of(items.ptr + 1, items.len - 2));
        return rope->err;
    }
    open_delta(e, event->choice, out);
    rope_put(out, is_refusal ? S("\"refusal\":\"\"},\"logprobs\":{\"content\":null,\"refusal\":")
                             : S("\"content\":\"\"},\"logprobs\":{\"content\":"));
    text_write_json_compact(out, event->u.text);
    if (!is_refusal)
        rope_put(out, S(",\"refusal\":null"));
    close_delta(e, out);
    return R2A_OK;
}

/* --- the end --- */

static enum r2a_err write_stop(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct choice *choice = choice_of(e, event->choice);
    struct text explanation = event->u.open.name;
    enum r2a_err err;

    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    if (choice->has_stopped)
        return R2A_OK;
    err = begin_choice(e, event->choice, choice, out);
    if (err != R2A_OK)
        return err;
    choice->has_stopped = true;
    choice->stop = event->what;
    if (event->what != IR_STOP_REFUSAL)
        explanation.len = 0;
    if (e->is_document) {
        text_write_escaped_copy(&choice->document->refusal, explanation);
        return choice->document->refusal.err;
    }
    if (explanation.len > 0) {
        open_delta(e, event->choice, out);
        rope_put(out, S("\"refusal\":\""));
        text_write_escaped_copy(out, explanation);
        rope_put_char(out, '"');
        close_delta(e, out);
    }
    if (choice->annotations != NULL) {
        open_delta(e, event->choice, out);
        rope_put(out, S("\"annotations\":["));
        rope_append(out, choice->annotations);
        rope_put_char(out, ']');
        close_delta(e, out);
    }
    open_delta(e, event->choice, out);
    rope_put(out, S("},\"finish_reason\":\""));
    rope_put(out, openai_chat_finish_reason(e, choice));
    rope_put(out, e->brief->usage_asked ? S("\"}],\"usage\":null}\n\n") : S("\"}]}\n\n"));
    return R2A_OK;
}

static void write_end(struct encoder *e, struct rope *out)
{
    e->has_ended = true;
    if (e->is_document) {
        openai_chat_write_document(e, out);
        return;
    }
    if (e->brief->usage_asked) {
        rope_put(out, e->head);
        rope_put(out, S("],\"usage\":"));
        openai_chat_write_usage(e, out);
        rope_put(out, S("}\n\n"));
    }
    rope_put(out, S("data: [DONE]\n\n"));
}

/* Open parts are not closed and no choice is finished: what looks complete could be acted on. */
static void write_error(struct encoder *e, const struct fault *fault, struct rope *out)
{
    e->has_ended = true;
    if (e->is_document)
        return;
    rope_put(out, S("data: "));
    (void)openai_chat_error_body(fault, out);
    rope_put(out, S("\n\n"));
}

enum r2a_err openai_chat_encode(void *encoder, const struct ir_event *event, struct rope *out)
{
    struct encoder *e = encoder;
    enum r2a_err err = R2A_OK;

    if (e->has_ended)
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
        err = gather_cite(e, event);
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
        if (!e->is_document)
            rope_put(out, S(": ping\n\n"));
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
