#include "anthropic_block.h"

#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"

/* Events for a client of the Messages API, as a stream or as one document (conversion.md 3.5).
 *
 * Blocks stand strictly one after another, parts may interleave. One part is `open`: its pieces go
 * out as they come. The others wait, with what they have said so far, in the order of their
 * appearance. Text and reasoning give way to whatever comes (their block is stopped; more of the
 * same makes a new block). A call keeps its place until it ends, or until its arguments are a
 * complete object and another part wants to speak.
 *
 *   event --> part is open ----------------------------> write
 *         --> another is open, text or finished call --> stop it, start this one, write
 *         --> another is open, unfinished call --------> wait
 *
 * The document is written by the same machine: only the writing (anthropic_block.c) differs. */

_Static_assert(sizeof(struct anthropic_encoder) <= ANTHROPIC_ENCODER_SIZE,
               "the row says how much to take");

void anthropic_encoder_init(void *encoder, const struct brief *brief)
{
    struct anthropic_encoder *e = encoder;

    *e = (struct anthropic_encoder){.brief = brief, .is_document = brief->shape == BRIEF_DOCUMENT};
    e->content.mem = e->args.mem = e->cites.mem = e->signature.mem = brief->mem;
    e->content.bytes_max = brief->output_bytes_max;
    e->args.bytes_max = CALL_ARGS_BYTES_MAX;
    e->signature.bytes_max = e->cites.bytes_max = brief->output_bytes_max;
}

void anthropic_encoder_drop(void *encoder)
{
    struct anthropic_encoder *e = encoder;

    for (struct anthropic_part *part = e->parts; part != NULL; part = part->next)
        rope_clear(&part->kept);
    rope_clear(&e->content);
    rope_clear(&e->args);
    rope_clear(&e->cites);
    rope_clear(&e->signature);
}

static struct text keep(const struct anthropic_encoder *e, struct text text)
{
    struct slice copy = arena_copy(e->brief->arena, text_bytes(text));

    return (struct text){copy.ptr, (uint32_t)copy.len, text.form};
}

/* --- parts --- */

static struct anthropic_part *find_part(const struct anthropic_encoder *e, uint32_t number)
{
    if (e->open != NULL && e->open->number == number)
        return e->open;
    for (struct anthropic_part *part = e->parts; part != NULL; part = part->next)
        if (part->number == number)
            return part;
    return NULL;
}

static bool gives_way(const struct anthropic_part *part)
{
    return part->has_ended || part->kind != IR_PART_CALL || part->is_complete;
}

/* Whether the wire is free for this part, which then owns it. Nobody overtakes a part that came
 * earlier and still waits. */
static bool may_speak(struct anthropic_encoder *e, const struct anthropic_part *part)
{
    if (e->block != BLOCK_NONE && e->open != part && !gives_way(e->open))
        return false;
    for (const struct anthropic_part *other = e->parts; other != NULL && other != part;
         other = other->next)
        if (other->kept.bytes > 0 || (other->kind == IR_PART_CALL && !other->has_started))
            return false;
    return true;
}

static enum anthropic_block block_of(const struct anthropic_part *part)
{
    switch (part->kind) {
    case IR_PART_REASON:
        return BLOCK_THINKING;
    case IR_PART_CALL:
        return BLOCK_CALL;
    case IR_PART_OPAQUE:
        return BLOCK_OPAQUE;
    case IR_PART_REDACTED:
        return part->seal_family == IR_SEAL_REDACTED ? BLOCK_REDACTED : BLOCK_THINKING;
    default:
        return BLOCK_TEXT;
    }
}

/* Makes the part's block the open one. */
static void speak(struct anthropic_encoder *e, struct anthropic_part *part, struct rope *out)
{
    enum anthropic_block block = block_of(part);

    if (e->block != BLOCK_NONE && e->open == part && e->block == block)
        return;
    /* A secret that came with a call goes on the thinking before it, or on one of its own. */
    if (part->kind == IR_PART_CALL && part->seal.len > 0 && !part->has_started) {
        if (e->block != BLOCK_THINKING || e->has_seal) {
            anthropic_stop_block(e, out);
            anthropic_start_block(e, part, BLOCK_THINKING, out);
        }
        anthropic_write_signature(e, part, out);
    }
    anthropic_stop_block(e, out);
    anthropic_start_block(e, part, block, out);
}

/* Follows the arguments to see where their object ends. Escapes of the enclosing string are undone
 * as far as they matter: quotes and backslashes. */
static void follow_args(struct anthropic_part *part, struct text piece)
{
    for (uint32_t i = 0; i < piece.len; i++) {
        char c = piece.ptr[i];

        if (c == '\\' && piece.form == TEXT_ESCAPED && i + 1 < piece.len) {
            c = piece.ptr[++i];
            if (c == 'u' && i + 4 < piece.len) {
                c = memcmp(piece.ptr + i, "u0022", 5) == 0 ? '"'
                    : memcmp(piece.ptr + i, "u005c", 5) == 0 || !memcmp(&piece.ptr[i], "u005C", 5)
                        ? '\\'
                        : 'u';
                i += 4;
            } else if (c != '"' && c != '\\') {
                c = ' ';
            }
        }
        if (part->in_string) {
            if (part->in_escape)
                part->in_escape = false;
            else if (c == '\\')
                part->in_escape = true;
            else if (c == '"')
                part->in_string = false;
        } else if (c == '"') {
            part->in_string = true;
        } else if (c == '{' || c == '[') {
            part->depth++;
        } else if ((c == '}' || c == ']') && part->depth > 0) {
            part->is_complete = --part->depth == 0;
        }
    }
}

static enum r2a_err keep_piece(struct anthropic_encoder *e, struct anthropic_part *part,
                               struct text piece)
{
    size_t before = part->kept.bytes;

    text_write_escaped_copy(&part->kept, piece);
    e->kept_bytes += part->kept.bytes - before;
    if (part->kept.bytes > CALL_ARGS_BYTES_MAX || e->kept_bytes > CALLS_ARGS_BYTES_MAX)
        return R2A_ERR_LIMIT;
    return part->kept.err;
}

static void write_kept(struct anthropic_encoder *e, struct anthropic_part *part, struct rope *out)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    if (part->kept.bytes == 0)
        return;
    /* Runs may end inside an escape or a character, so they leave as one piece. */
    if (rope_next(&part->kept, &cursor, &run) && run.len == part->kept.bytes) {
        anthropic_write_piece(e, text_escaped(run), out);
    } else {
        char *all = arena_take(e->brief->arena, part->kept.bytes);

        if (all == NULL) {
            out->err = R2A_ERR_NO_MEMORY;
            return;
        }
        rope_copy_out(&part->kept, all);
        anthropic_write_piece(e, text_escaped(slice_of(all, part->kept.bytes)), out);
    }
    part->has_text = true;
    e->kept_bytes -= part->kept.bytes;
    rope_clear(&part->kept);
}

static void forget(struct anthropic_encoder *e, struct anthropic_part *part)
{
    struct anthropic_part **at = &e->parts;

    rope_clear(&part->kept);
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    e->parts_count--;
    if (e->parts_last == part)
        e->parts_last = NULL;
    if (e->parts_last == NULL)
        for (struct anthropic_part *last = e->parts; last != NULL; last = last->next)
            e->parts_last = last;
}

static void write_media_note(struct anthropic_encoder *e, struct anthropic_part *part,
                             struct rope *out)
{
    char note[256];
    struct rope text = {.mem = e->brief->mem};

    speak(e, part, out);
    rope_put(&text, part->kind == IR_PART_IMAGE ? S("[image omitted: ") : S("[file omitted: "));
    text_write_plain(&text, part->mime.len > 0 && part->mime.len < 100
                                ? part->mime
                                : text_plain(S("unknown type")));
    rope_put(&text, S(", "));
    rope_put_u64(&text, (part->media_chars - part->media_pads) * 3 / 4);
    rope_put(&text, S(" bytes]"));
    if (text.err == R2A_OK && text.bytes <= sizeof(note)) {
        size_t len = text.bytes;

        rope_copy_out(&text, note);
        anthropic_write_piece(e, text_plain(slice_of(note, len)), out);
    }
    rope_clear(&text);
}

/* Everything a part still has to say at its end. */
static void finish_part(struct anthropic_encoder *e, struct anthropic_part *part, struct rope *out)
{
    bool is_media = part->kind == IR_PART_IMAGE || part->kind == IR_PART_FILE ||
                    part->kind == IR_PART_AUDIO || part->kind == IR_PART_VIDEO;

    if (part->kept.bytes > 0) {
        speak(e, part, out);
        write_kept(e, part, out);
    }
    if (part->kind == IR_PART_CALL && !part->has_started)
        speak(e, part, out);
    if (is_media)
        write_media_note(e, part, out);
    if ((part->kind == IR_PART_REASON || part->kind == IR_PART_REDACTED) && part->seal.len > 0) {
        speak(e, part, out);
        if (e->block == BLOCK_THINKING)
            anthropic_write_signature(e, part, out);
    }
    /* Thinking without a secret stays open: the next call may bring one. */
    if (e->block != BLOCK_NONE && e->open == part && !(e->block == BLOCK_THINKING && !e->has_seal))
        anthropic_stop_block(e, out);
    forget(e, part);
}

/* Lets those speak who wait, as far as the order allows. */
static void advance(struct anthropic_encoder *e, struct rope *out)
{
    while (e->parts != NULL) {
        struct anthropic_part *part = e->parts;

        if (!may_speak(e, part))
            return;
        if (part->has_ended) {
            finish_part(e, part, out);
            continue;
        }
        if (part->kept.bytes > 0) {
            speak(e, part, out);
            write_kept(e, part, out);
        }
        if (part->kind == IR_PART_CALL && !part->is_complete)
            return;
        /* One that gives way and has nothing to say stays in the list without blocking it. */
        for (part = part->next; part != NULL; part = part->next)
            if (part->has_ended || part->kept.bytes > 0)
                break;
        if (part == NULL || !may_speak(e, part))
            return;
        if (part->has_ended) {
            finish_part(e, part, out); /* it may have nothing left to say */
            continue;
        }
        speak(e, part, out);
        write_kept(e, part, out);
        if (part->kind == IR_PART_CALL && !part->is_complete)
            return;
    }
}

/* --- events --- */

static enum r2a_err on_part(struct anthropic_encoder *e, const struct ir_event *event,
                            struct rope *out)
{
    struct anthropic_part *part;

    if (event->what == IR_PART_OPAQUE && !text_is(event->u.open.id, S("anthropic")))
        return R2A_OK;
    if (e->parts_count >= OPEN_CALLS_MAX)
        return R2A_ERR_LIMIT;
    part = arena_take_zero(e->brief->arena, sizeof(*part));
    if (part == NULL)
        return R2A_ERR_NO_MEMORY;
    part->number = event->part;
    part->kind = event->what;
    part->flags = event->flags;
    part->kept.mem = e->brief->mem;
    if (event->what == IR_PART_CALL) {
        anthropic_begin(e, out);
        part->id = keep(e, event->u.open.id);
        part->name = keep(e, event->u.open.name);
        if (part->id.len == 0) {
            char *id = arena_take(e->brief->arena, 32);

            if (id == NULL)
                return R2A_ERR_NO_MEMORY;
            part->id = text_plain(
                slice_of(id, brief_make_id(e->brief, 1 + part->number, S("toolu_"), id)));
        }
    }
    e->has_refusal |= event->what == IR_PART_REFUSAL;
    if (e->parts_last == NULL)
        e->parts = part;
    else
        e->parts_last->next = part;
    e->parts_last = part;
    e->parts_count++;
    return R2A_OK;
}

static enum r2a_err on_text(struct anthropic_encoder *e, const struct ir_event *event,
                            struct rope *out)
{
    struct anthropic_part *part = find_part(e, event->part);
    struct text piece = event->u.text;

    if (part == NULL || piece.len == 0)
        return R2A_OK;
    switch (part->kind) {
    case IR_PART_IMAGE:
    case IR_PART_FILE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        part->media_chars += piece.len;
        while (piece.len > 0 && piece.ptr[--piece.len] == '=')
            part->media_pads++;
        return R2A_OK;
    case IR_PART_CALL:
        if (!(part->flags & IR_CUSTOM))
            follow_args(part, piece);
        break;
    default:
        break;
    }
    if (e->block == BLOCK_NONE || e->open != part || e->block != block_of(part)) {
        if (part->kind == IR_PART_CALL && part->has_started && part->is_complete)
            return R2A_OK; /* stopped early: only white space follows */
        if (!may_speak(e, part))
            return keep_piece(e, part, piece);
        speak(e, part, out);
        write_kept(e, part, out);
    }
    anthropic_write_piece(e, piece, out);
    part->has_text = true;
    if (part->kind == IR_PART_CALL && part->is_complete && e->kept_bytes > 0)
        advance(e, out); /* somebody waited for the end of these arguments */
    return R2A_OK;
}

static void on_field(struct anthropic_encoder *e, const struct ir_event *event)
{
    struct anthropic_part *part = find_part(e, event->part);

    if (part == NULL)
        return;
    if (event->what == IR_FIELD_SEAL) {
        part->seal = keep(e, event->u.field.value);
        part->seal_family = (uint8_t)event->u.field.number;
    } else if (event->what == IR_FIELD_ITEM_ID) {
        part->item_id = keep(e, event->u.field.value);
    } else if (event->what == IR_FIELD_MIME) {
        part->mime = keep(e, event->u.field.value);
    }
}

static void on_part_end(struct anthropic_encoder *e, const struct ir_event *event, struct rope *out)
{
    struct anthropic_part *part = find_part(e, event->part);

    if (part == NULL || part->has_ended)
        return;
    part->has_ended = true;
    if (may_speak(e, part))
        finish_part(e, part, out);
    advance(e, out);
}

static void on_cite(struct anthropic_encoder *e, const struct ir_cite *cite, uint32_t number,
                    struct rope *out)
{
    struct json_write writer;
    struct rope *to = e->is_document ? &e->cites : out;
    bool is_native = cite->raw.len > 0 && text_contains_nocase(cite->raw, S("_location\""));

    if (e->block != BLOCK_TEXT || e->open->number != number || (!is_native && cite->url.len == 0))
        return;
    if (e->is_document && to->bytes > 0)
        rope_put_char(to, ',');
    if (!e->is_document)
        anthropic_begin_delta(e, out, S("citations_delta\",\"citation\":"));
    if (is_native) {
        rope_put(to, text_bytes(cite->raw));
    } else {
        jw_open(&writer, to);
        jw_object(&writer);
        jw_member_string(&writer, S("type"), S("web_search_result_location"));
        jw_member_text(&writer, S("url"), cite->url);
        jw_member_text(&writer, S("title"), cite->title);
        jw_member_text(&writer, S("cited_text"), cite->quoted);
        jw_member_string(&writer, S("encrypted_index"), S(""));
        jw_object_end(&writer);
    }
    if (!e->is_document)
        rope_put(out, S("}}\n\n"));
}

static void on_end(struct anthropic_encoder *e, struct rope *out)
{
    anthropic_begin(e, out);
    for (struct anthropic_part *part = e->parts; part != NULL; part = part->next)
        part->has_ended = true;
    while (e->parts != NULL)
        finish_part(e, e->parts, out);
    anthropic_stop_block(e, out);
    e->has_ended = true;
    if (e->is_document) {
        anthropic_write_message_head(e, out);
        if (out->err == R2A_OK)
            out->err = e->content.err;
        rope_append(out, &e->content);
        rope_put(out, S("],"));
        anthropic_write_stop(e, out);
        rope_put(out, S(",\"container\":null,\"usage\":"));
        anthropic_write_usage(out, &e->usage);
        rope_put_char(out, '}');
        return;
    }
    rope_put(out, S("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"));
    anthropic_write_stop(e, out);
    rope_put(out, S(",\"container\":null},\"usage\":"));
    anthropic_write_usage(out, &e->usage);
    rope_put(out, S("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

static void on_alive(const struct anthropic_encoder *e, struct rope *out)
{
    if (e->is_document)
        return;
    rope_put(out, e->has_begun ? S("event: ping\ndata: {\"type\":\"ping\"}\n\n")
                               : S(": keep-alive\n\n"));
}

enum r2a_err anthropic_encode(void *encoder, const struct ir_event *event, struct rope *out)
{
    struct anthropic_encoder *e = encoder;
    enum r2a_err err = R2A_OK;

    if (e->has_ended || event->choice != 0)
        return R2A_OK;
    switch ((enum ir_kind)event->kind) {
    case IR_TEXT:
        err = on_text(e, event, out);
        break;
    case IR_BEGIN:
        e->model = keep(e, event->u.open.name);
        break;
    case IR_PART:
        err = on_part(e, event, out);
        break;
    case IR_FIELD:
        on_field(e, event);
        break;
    case IR_PART_END:
        on_part_end(e, event, out);
        break;
    case IR_CITE:
        on_cite(e, event->u.cite, event->part, out);
        break;
    case IR_USAGE:
        ir_usage_merge(&e->usage, event->u.usage);
        break;
    case IR_STOP:
        anthropic_begin(e, out);
        e->stop = event->what;
        e->stop_sequence = keep(e, event->u.open.id);
        e->stop_words = keep(e, event->u.open.name);
        break;
    case IR_ALIVE:
        on_alive(e, out);
        break;
    case IR_ERROR:
        e->has_ended = true;
        if (e->is_document)
            return R2A_ERR_INTERNAL;
        rope_put(out, S("event: error\ndata: "));
        anthropic_write_error(out, event->u.fault);
        rope_put(out, S("\n\n"));
        break;
    case IR_END:
        on_end(e, out);
        break;
    case IR_NONE:
    case IR_PARAM:
    case IR_TOOL:
    case IR_TOOL_END:
    case IR_TURN:
    case IR_TURN_END:
    case IR_LOGPROBS:
    case IR_EXT:
    case IR_KINDS:
        break;
    }
    if (err == R2A_OK)
        err = out->err != R2A_OK         ? out->err
              : e->content.err != R2A_OK ? e->content.err
                                         : e->args.err;
    return err;
}
