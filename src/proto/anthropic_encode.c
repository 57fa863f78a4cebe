#include "anthropic.h"
#include "r2a/core/check.h"
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
 * The document is written by the same machine: only the six writing functions at the top differ. */

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_REDACTED, BLOCK_CALL, BLOCK_OPAQUE };

/* A part of the answer, from its PART to its end. */
struct part {
    struct part *next;
    uint32_t number;
    uint8_t kind;  /* enum ir_part */
    uint8_t flags; /* IR_CUSTOM */
    bool has_ended, has_started /* its block was opened once */, has_text;
    struct text id, name; /* arena */
    struct text mime;
    uint8_t seal_family;
    struct text seal, item_id; /* arena */
    uint64_t media_chars, media_pads;
    struct rope kept; /* what it said while it waited, escaped */
    /* balance of the arguments so far: a complete object may be stopped early */
    uint32_t depth;
    bool in_string, in_escape, is_complete;
};

struct encoder {
    const struct brief *brief;
    bool is_document, has_begun, has_ended, has_calls, has_refusal, has_seal;
    uint8_t block; /* enum block that is open on the wire */
    uint8_t stop;
    uint32_t index;     /* of the next block */
    struct part *open;  /* the part that owns the block, or the one that owned it last */
    struct part *parts; /* all that have not ended and been written, in order */
    struct part *parts_last;
    uint32_t parts_count;
    uint64_t kept_bytes;
    struct text model, stop_sequence, stop_words;
    struct ir_usage usage;
    /* stream: how each piece of the open block begins */
    uint8_t head_len;
    char head[160];
    /* document */
    struct rope content, args, cites, signature;
};

_Static_assert(sizeof(struct encoder) <= ANTHROPIC_ENCODER_SIZE, "the row says how much to take");

void anthropic_encoder_init(void *encoder, const struct brief *brief)
{
    struct encoder *e = encoder;

    *e = (struct encoder){.brief = brief, .is_document = brief->shape == BRIEF_DOCUMENT};
    e->content.mem = e->args.mem = e->cites.mem = e->signature.mem = brief->mem;
    e->content.bytes_max = brief->output_bytes_max;
    e->args.bytes_max = CALL_ARGS_BYTES_MAX;
    e->signature.bytes_max = e->cites.bytes_max = brief->output_bytes_max;
}

void anthropic_encoder_drop(void *encoder)
{
    struct encoder *e = encoder;

    for (struct part *part = e->parts; part != NULL; part = part->next)
        rope_clear(&part->kept);
    rope_clear(&e->content);
    rope_clear(&e->args);
    rope_clear(&e->cites);
    rope_clear(&e->signature);
}

static struct text keep(const struct encoder *e, struct text text)
{
    struct slice copy = arena_copy(e->brief->arena, text_bytes(text));

    return (struct text){copy.ptr, (uint32_t)copy.len, text.form};
}

/* --- message --- */

static void write_usage(struct rope *out, const struct ir_usage *usage)
{
    rope_put(out, S("{\"input_tokens\":"));
    rope_put_u64(out, usage_uncached(usage));
    rope_put(out, S(",\"cache_creation_input_tokens\":"));
    rope_put_u64(out, usage->cache_write);
    rope_put(out, S(",\"cache_read_input_tokens\":"));
    rope_put_u64(out, usage->cache_read);
    rope_put(out, S(",\"output_tokens\":"));
    rope_put_u64(out, usage->output);
    if (usage->has & IR_HAS_CACHE_WRITE_1H) {
        uint64_t short_lived = usage->cache_write > usage->cache_write_1h
                                   ? usage->cache_write - usage->cache_write_1h
                                   : 0;

        rope_put(out, S(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":"));
        rope_put_u64(out, short_lived);
        rope_put(out, S(",\"ephemeral_1h_input_tokens\":"));
        rope_put_u64(out, usage->cache_write_1h);
        rope_put_char(out, '}');
    }
    if (usage->has & IR_HAS_REASONING) {
        rope_put(out, S(",\"output_tokens_details\":{\"thinking_tokens\":"));
        rope_put_u64(out, usage->reasoning);
        rope_put_char(out, '}');
    }
    rope_put_char(out, '}');
}

static void write_message_head(const struct encoder *e, struct rope *out)
{
    char id[32];
    size_t len = 4 + e->brief->id.len;

    memcpy(id, "msg_", 4);
    if (e->brief->id.len > 0 && len <= sizeof(id))
        memcpy(id + 4, e->brief->id.ptr, e->brief->id.len);
    else
        len = brief_make_id(e->brief, 0, S("msg_"), id);
    rope_put(out, S("{\"id\":\""));
    rope_put(out, slice_of(id, len));
    rope_put(out, S("\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\""));
    text_write_escaped_copy(out, e->brief->model.len > 0 ? text_plain(e->brief->model) : e->model);
    rope_put(out, S("\",\"content\":["));
}

static const char *stop_name(const struct encoder *e)
{
    switch ((enum ir_stop)e->stop) {
    case IR_STOP_SEQUENCE:
        return "stop_sequence";
    case IR_STOP_LENGTH:
        return "max_tokens";
    case IR_STOP_CONTEXT:
        return "model_context_window_exceeded";
    case IR_STOP_FILTER:
    case IR_STOP_RECITATION:
    case IR_STOP_REFUSAL:
        return "refusal";
    case IR_STOP_PAUSE:
        return "pause_turn";
    case IR_STOP_END:
    case IR_STOP_TOOL:
        if (e->has_calls)
            return "tool_use";
        break;
    case IR_STOP_BAD_CALL:
    case IR_STOP_OTHER:
        break;
    }
    return e->has_refusal ? "refusal" : "end_turn";
}

static void write_stop(const struct encoder *e, struct rope *out)
{
    rope_put(out, S("\"stop_reason\":\""));
    rope_put(out, slice_from_z(stop_name(e)));
    rope_put(out, S("\",\"stop_sequence\":"));
    if (e->stop == IR_STOP_SEQUENCE && e->stop_sequence.len > 0)
        text_write_string(out, e->stop_sequence);
    else
        rope_put(out, S("null"));
    rope_put(out, S(",\"stop_details\":"));
    if (e->stop == IR_STOP_REFUSAL && e->stop_words.len > 0) {
        rope_put(out, S("{\"type\":\"refusal\",\"category\":null,\"explanation\":"));
        text_write_string(out, e->stop_words);
        rope_put_char(out, '}');
    } else {
        rope_put(out, S("null"));
    }
}

static void begin(struct encoder *e, struct rope *out)
{
    if (e->has_begun)
        return;
    e->has_begun = true;
    if (e->is_document)
        return;
    rope_put(out, S("event: message_start\ndata: {\"type\":\"message_start\",\"message\":"));
    write_message_head(e, out);
    rope_put(out, S("],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"));
    write_usage(out, &(struct ir_usage){.has = e->usage.has & (IR_HAS_INPUT | IR_HAS_CACHE_READ |
                                                               IR_HAS_CACHE_WRITE),
                                        .input = e->usage.input,
                                        .cache_read = e->usage.cache_read,
                                        .cache_write = e->usage.cache_write});
    rope_put(out, S("}}\n\n"));
}

/* --- the six writers --- */

/* A piece is head, text, tail; the head is made once a block. */
static void make_head(struct encoder *e, enum block block)
{
    struct str_buf buf = STR_BUF(e->head);

    str_buf_put(&buf, S("event: content_block_delta\ndata: "
                        "{\"type\":\"content_block_delta\",\"index\":"));
    str_buf_put_u64(&buf, e->index - 1);
    str_buf_put(&buf, S(",\"delta\":{\"type\":\""));
    str_buf_put(&buf, block == BLOCK_TEXT       ? S("text_delta\",\"text\":\"")
                      : block == BLOCK_THINKING ? S("thinking_delta\",\"thinking\":\"")
                                                : S("input_json_delta\",\"partial_json\":\""));
    check(!buf.is_full);
    e->head_len = (uint8_t)buf.len;
}

static void start_block(struct encoder *e, struct part *part, enum block block, struct rope *out)
{
    struct rope *to = e->is_document ? &e->content : out;

    check(e->block == BLOCK_NONE);
    begin(e, out);
    e->block = (uint8_t)block;
    e->open = part;
    e->has_seal = false;
    part->has_started = true;
    if (e->is_document) {
        if (e->index > 0)
            rope_put_char(to, ',');
    } else {
        rope_put(to, S("event: content_block_start\ndata: "
                       "{\"type\":\"content_block_start\",\"index\":"));
        rope_put_u64(to, e->index);
        rope_put(to, S(",\"content_block\":"));
    }
    e->index++;
    make_head(e, block);
    switch (block) {
    case BLOCK_TEXT:
        rope_put(to, e->is_document ? S("{\"type\":\"text\",\"text\":\"")
                                    : S("{\"type\":\"text\",\"text\":\"\"}"));
        break;
    case BLOCK_THINKING:
        rope_put(to, e->is_document
                         ? S("{\"type\":\"thinking\",\"thinking\":\"")
                         : S("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
        break;
    case BLOCK_REDACTED:
        rope_put(to, S("{\"type\":\"redacted_thinking\",\"data\":\""));
        text_write_escaped_copy(to, part->seal);
        rope_put(to, S("\"}"));
        break;
    case BLOCK_CALL:
        e->has_calls = true;
        rope_put(to, S("{\"type\":\"tool_use\",\"id\":\""));
        text_write_escaped_copy(to, part->id);
        rope_put(to, S("\",\"name\":\""));
        text_write_escaped_copy(to, part->name);
        rope_put(to, e->is_document ? S("\",\"input\":") : S("\",\"input\":{}}"));
        break;
    case BLOCK_OPAQUE:
    case BLOCK_NONE:
        break; /* the block itself comes as text */
    }
    if (!e->is_document && block != BLOCK_OPAQUE)
        rope_put(to, S("}\n\n"));
}

static void write_delta(const struct encoder *e, struct text piece, struct rope *out)
{
    static const char tail[] = "\"}}\n\n";
    size_t tail_len = sizeof(tail) - 1, len = e->head_len + piece.len + tail_len;
    char *to;

    if (piece.form != TEXT_ESCAPED || piece.len > ROPE_BORROW_BYTES_MIN) {
        rope_put(out, slice_of(e->head, e->head_len));
        text_write_escaped_copy(out, piece);
        rope_put(out, slice_of(tail, tail_len));
        return;
    }
    to = rope_reserve(out, len);
    if (to == NULL)
        return;
    memcpy(to, e->head, e->head_len);
    memcpy(to + e->head_len, piece.ptr, piece.len);
    memcpy(to + e->head_len + piece.len, tail, tail_len);
    rope_commit(out, len);
}

static void begin_delta(const struct encoder *e, struct rope *out, struct slice delta)
{
    rope_put(out, S("event: content_block_delta\ndata: "
                    "{\"type\":\"content_block_delta\",\"index\":"));
    rope_put_u64(out, e->index - 1);
    rope_put(out, S(",\"delta\":{\"type\":\""));
    rope_put(out, delta);
}

/* A piece of the open block: text, thinking, or arguments (JSON text in whatever form). */
static void write_piece(struct encoder *e, struct text piece, struct rope *out)
{
    switch ((enum block)e->block) {
    case BLOCK_TEXT:
    case BLOCK_THINKING:
        if (e->is_document) {
            text_write_escaped_copy(&e->content, piece);
            return;
        }
        write_delta(e, piece, out);
        return;
    case BLOCK_CALL:
        if (e->is_document) {
            if (e->open->flags & IR_CUSTOM)
                text_write_escaped_copy(&e->args, piece);
            else
                text_write_plain(&e->args, piece);
            return;
        }
        if (!e->open->has_text && piece.len == 2 && memcmp(piece.ptr, "{}", 2) == 0)
            return; /* a call without arguments sends no delta: the input stays {} */
        if (!(e->open->flags & IR_CUSTOM)) {
            write_delta(e, piece, out);
            return;
        }
        rope_put(out, slice_of(e->head, e->head_len));
        if (!e->open->has_text)
            rope_put(out, S("{\\\"input\\\":\\\""));
        text_write_escaped_twice(out, piece);
        rope_put(out, S("\"}}\n\n"));
        return;
    case BLOCK_OPAQUE:
        if (e->is_document) {
            if (piece.form == TEXT_JSON)
                rope_put(&e->content, text_bytes(piece));
        } else if (piece.form == TEXT_JSON) {
            rope_put(out, text_bytes(piece));
            rope_put(out, S("}\n\n"));
        } else {
            begin_delta(e, out, S("input_json_delta\",\"partial_json\":\""));
            text_write_escaped_copy(out, piece);
            rope_put(out, S("\"}}\n\n"));
        }
        return;
    case BLOCK_REDACTED:
    case BLOCK_NONE:
        return;
    }
}

static void write_secret(const struct encoder *e, const struct part *part, struct rope *out)
{
    if (part->seal_family == IR_SEAL_SIGNATURE)
        text_write_escaped_copy(out, part->seal);
    else
        seal_write(out, part->seal_family, e->brief->minter, part->item_id, part->seal);
}

/* The secret of `part` on the open thinking block. */
static void write_signature(struct encoder *e, const struct part *part, struct rope *out)
{
    e->has_seal = true;
    if (e->is_document) {
        rope_clear(&e->signature);
        write_secret(e, part, &e->signature);
        return;
    }
    begin_delta(e, out, S("signature_delta\",\"signature\":\""));
    write_secret(e, part, out);
    rope_put(out, S("\"}}\n\n"));
}

static void write_args(struct encoder *e)
{
    size_t len = e->args.bytes;
    char *args = arena_take(e->brief->arena, len + 1);

    if (args == NULL) {
        e->content.err = R2A_ERR_NO_MEMORY;
        return;
    }
    rope_copy_out(&e->args, args);
    if (e->open->flags & IR_CUSTOM)
        args_wrap_object(&e->content, text_escaped(slice_of(args, len)));
    else
        args_write_object(&e->content, text_plain(slice_of(args, len)));
}

static void stop_block(struct encoder *e, struct rope *out)
{
    if (e->block == BLOCK_NONE)
        return;
    if (!e->is_document) {
        if (e->block == BLOCK_CALL && (e->open->flags & IR_CUSTOM)) {
            begin_delta(e, out, S("input_json_delta\",\"partial_json\":\""));
            rope_put(out, e->open->has_text ? S("\\\"}") : S("{\\\"input\\\":\\\"\\\"}"));
            rope_put(out, S("\"}}\n\n"));
        }
        rope_put(out, S("event: content_block_stop\ndata: "
                        "{\"type\":\"content_block_stop\",\"index\":"));
        rope_put_u64(out, e->index - 1);
        rope_put(out, S("}\n\n"));
        e->block = BLOCK_NONE;
        return;
    }
    switch ((enum block)e->block) {
    case BLOCK_TEXT:
        rope_put(&e->content, S("\",\"citations\":"));
        if (e->cites.bytes > 0) {
            rope_put_char(&e->content, '[');
            rope_append(&e->content, &e->cites);
            rope_put(&e->content, S("]}"));
        } else {
            rope_put(&e->content, S("null}"));
        }
        break;
    case BLOCK_THINKING:
        rope_put(&e->content, S("\",\"signature\":\""));
        rope_append(&e->content, &e->signature);
        rope_put(&e->content, S("\"}"));
        break;
    case BLOCK_CALL:
        write_args(e);
        rope_clear(&e->args);
        rope_put(&e->content, S(",\"caller\":{\"type\":\"direct\"}}"));
        break;
    case BLOCK_REDACTED:
    case BLOCK_OPAQUE:
    case BLOCK_NONE:
        break;
    }
    e->block = BLOCK_NONE;
}

/* --- parts --- */

static struct part *find_part(const struct encoder *e, uint32_t number)
{
    if (e->open != NULL && e->open->number == number)
        return e->open;
    for (struct part *part = e->parts; part != NULL; part = part->next)
        if (part->number == number)
            return part;
    return NULL;
}

static bool gives_way(const struct part *part)
{
    return part->has_ended || part->kind != IR_PART_CALL || part->is_complete;
}

/* Whether the wire is free for this part, which then owns it. Nobody overtakes a part that came
 * earlier and still waits. */
static bool may_speak(struct encoder *e, const struct part *part)
{
    if (e->block != BLOCK_NONE && e->open != part && !gives_way(e->open))
        return false;
    for (const struct part *other = e->parts; other != NULL && other != part; other = other->next)
        if (other->kept.bytes > 0 || (other->kind == IR_PART_CALL && !other->has_started))
            return false;
    return true;
}

static enum block block_of(const struct part *part)
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
static void speak(struct encoder *e, struct part *part, struct rope *out)
{
    enum block block = block_of(part);

    if (e->block != BLOCK_NONE && e->open == part && e->block == block)
        return;
    /* A secret that came with a call goes on the thinking before it, or on one of its own. */
    if (part->kind == IR_PART_CALL && part->seal.len > 0 && !part->has_started) {
        if (e->block != BLOCK_THINKING || e->has_seal) {
            stop_block(e, out);
            start_block(e, part, BLOCK_THINKING, out);
        }
        write_signature(e, part, out);
    }
    stop_block(e, out);
    start_block(e, part, block, out);
}

/* Follows the arguments to see where their object ends. Escapes of the enclosing string are undone
 * as far as they matter: quotes and backslashes. */
static void follow_args(struct part *part, struct text piece)
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

static enum r2a_err keep_piece(struct encoder *e, struct part *part, struct text piece)
{
    e->kept_bytes += piece.len;
    if (part->kept.bytes + piece.len > CALL_ARGS_BYTES_MAX || e->kept_bytes > CALLS_ARGS_BYTES_MAX)
        return R2A_ERR_LIMIT;
    text_write_escaped_copy(&part->kept, piece);
    return part->kept.err;
}

static void write_kept(struct encoder *e, struct part *part, struct rope *out)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    if (part->kept.bytes == 0)
        return;
    /* Runs may end inside an escape or a character, so they leave as one piece. */
    if (rope_next(&part->kept, &cursor, &run) && run.len == part->kept.bytes) {
        write_piece(e, text_escaped(run), out);
    } else {
        char *all = arena_take(e->brief->arena, part->kept.bytes);

        if (all == NULL) {
            out->err = R2A_ERR_NO_MEMORY;
            return;
        }
        rope_copy_out(&part->kept, all);
        write_piece(e, text_escaped(slice_of(all, part->kept.bytes)), out);
    }
    part->has_text = true;
    e->kept_bytes -= part->kept.bytes;
    rope_clear(&part->kept);
}

static void forget(struct encoder *e, struct part *part)
{
    struct part **at = &e->parts;

    rope_clear(&part->kept);
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    e->parts_count--;
    if (e->parts_last == part)
        e->parts_last = NULL;
    if (e->parts_last == NULL)
        for (struct part *last = e->parts; last != NULL; last = last->next)
            e->parts_last = last;
}

static void write_media_note(struct encoder *e, struct part *part, struct rope *out)
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
        write_piece(e, text_plain(slice_of(note, len)), out);
    }
    rope_clear(&text);
}

/* Everything a part still has to say at its end. */
static void finish_part(struct encoder *e, struct part *part, struct rope *out)
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
            write_signature(e, part, out);
    }
    /* Thinking without a secret stays open: the next call may bring one. */
    if (e->block != BLOCK_NONE && e->open == part && !(e->block == BLOCK_THINKING && !e->has_seal))
        stop_block(e, out);
    forget(e, part);
}

/* Lets those speak who wait, as far as the order allows. */
static void advance(struct encoder *e, struct rope *out)
{
    while (e->parts != NULL) {
        struct part *part = e->parts;

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
        speak(e, part, out);
        write_kept(e, part, out);
        if (part->has_ended)
            finish_part(e, part, out);
        else if (part->kind == IR_PART_CALL && !part->is_complete)
            return;
    }
}

/* --- events --- */

static enum r2a_err on_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct part *part;

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
        begin(e, out);
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

static enum r2a_err on_text(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct part *part = find_part(e, event->part);
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
    write_piece(e, piece, out);
    part->has_text = true;
    return R2A_OK;
}

static void on_field(struct encoder *e, const struct ir_event *event)
{
    struct part *part = find_part(e, event->part);

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

static void on_part_end(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct part *part = find_part(e, event->part);

    if (part == NULL || part->has_ended)
        return;
    part->has_ended = true;
    if (may_speak(e, part))
        finish_part(e, part, out);
    advance(e, out);
}

static void on_cite(struct encoder *e, const struct ir_cite *cite, uint32_t number,
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
        begin_delta(e, out, S("citations_delta\",\"citation\":"));
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

static void on_end(struct encoder *e, struct rope *out)
{
    begin(e, out);
    for (struct part *part = e->parts; part != NULL; part = part->next)
        part->has_ended = true;
    while (e->parts != NULL)
        finish_part(e, e->parts, out);
    stop_block(e, out);
    e->has_ended = true;
    if (e->is_document) {
        write_message_head(e, out);
        if (out->err == R2A_OK)
            out->err = e->content.err;
        rope_append(out, &e->content);
        rope_put(out, S("],"));
        write_stop(e, out);
        rope_put(out, S(",\"container\":null,\"usage\":"));
        write_usage(out, &e->usage);
        rope_put_char(out, '}');
        return;
    }
    rope_put(out, S("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"));
    write_stop(e, out);
    rope_put(out, S(",\"container\":null},\"usage\":"));
    write_usage(out, &e->usage);
    rope_put(out, S("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

static void on_alive(const struct encoder *e, struct rope *out)
{
    if (e->is_document)
        return;
    rope_put(out, e->has_begun ? S("event: ping\ndata: {\"type\":\"ping\"}\n\n")
                               : S(": keep-alive\n\n"));
}

enum r2a_err anthropic_encode(void *encoder, const struct ir_event *event, struct rope *out)
{
    struct encoder *e = encoder;
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
        begin(e, out);
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
