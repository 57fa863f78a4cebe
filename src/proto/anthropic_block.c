#include "anthropic_block.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* How the Messages API spells a message and its blocks (conversion.md 3.5). Each function knows two
 * spellings, events and document; nothing here decides what comes when. */

/* --- message --- */

void anthropic_write_usage(struct rope *out, const struct ir_usage *usage)
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

void anthropic_write_message_head(const struct anthropic_encoder *e, struct rope *out)
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

static const char *stop_name(const struct anthropic_encoder *e)
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

void anthropic_write_stop(const struct anthropic_encoder *e, struct rope *out)
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

void anthropic_begin(struct anthropic_encoder *e, struct rope *out)
{
    if (e->has_begun)
        return;
    e->has_begun = true;
    if (e->is_document)
        return;
    rope_put(out, S("event: message_start\ndata: {\"type\":\"message_start\",\"message\":"));
    anthropic_write_message_head(e, out);
    rope_put(out, S("],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"));
    anthropic_write_usage(
        out, &(struct ir_usage){.has = e->usage.has &
                                       (IR_HAS_INPUT | IR_HAS_CACHE_READ | IR_HAS_CACHE_WRITE),
                                .input = e->usage.input,
                                .cache_read = e->usage.cache_read,
                                .cache_write = e->usage.cache_write});
    rope_put(out, S("}}\n\n"));
}

/* --- the six writers --- */

/* A piece is head, text, tail; the head is made once a block. */
static void make_head(struct anthropic_encoder *e, enum anthropic_block block)
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

void anthropic_start_block(struct anthropic_encoder *e, struct anthropic_part *part,
                           enum anthropic_block block, struct rope *out)
{
    struct rope *to = e->is_document ? &e->content : out;

    check(e->block == BLOCK_NONE);
    anthropic_begin(e, out);
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

static void write_delta(const struct anthropic_encoder *e, struct text piece, struct rope *out)
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

void anthropic_begin_delta(const struct anthropic_encoder *e, struct rope *out, struct slice delta)
{
    rope_put(out, S("event: content_block_delta\ndata: "
                    "{\"type\":\"content_block_delta\",\"index\":"));
    rope_put_u64(out, e->index - 1);
    rope_put(out, S(",\"delta\":{\"type\":\""));
    rope_put(out, delta);
}

/* A piece of the open block: text, thinking, or arguments (JSON text in whatever form). */
void anthropic_write_piece(struct anthropic_encoder *e, struct text piece, struct rope *out)
{
    switch ((enum anthropic_block)e->block) {
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
            anthropic_begin_delta(e, out, S("input_json_delta\",\"partial_json\":\""));
            text_write_escaped_copy(out, piece);
            rope_put(out, S("\"}}\n\n"));
        }
        return;
    case BLOCK_REDACTED:
    case BLOCK_NONE:
        return;
    }
}

static void write_secret(const struct anthropic_encoder *e, const struct anthropic_part *part,
                         struct rope *out)
{
    if (part->seal_family == IR_SEAL_SIGNATURE)
        text_write_escaped_copy(out, part->seal);
    else
        seal_write(out, part->seal_family, e->brief->minter, part->item_id, part->seal);
}

/* The secret of `part` on the open thinking block. */
void anthropic_write_signature(struct anthropic_encoder *e, const struct anthropic_part *part,
                               struct rope *out)
{
    e->has_seal = true;
    if (e->is_document) {
        rope_clear(&e->signature);
        write_secret(e, part, &e->signature);
        return;
    }
    anthropic_begin_delta(e, out, S("signature_delta\",\"signature\":\""));
    write_secret(e, part, out);
    rope_put(out, S("\"}}\n\n"));
}

static void write_args(struct anthropic_encoder *e)
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

void anthropic_stop_block(struct anthropic_encoder *e, struct rope *out)
{
    if (e->block == BLOCK_NONE)
        return;
    if (!e->is_document) {
        if (e->block == BLOCK_CALL && (e->open->flags & IR_CUSTOM)) {
            anthropic_begin_delta(e, out, S("input_json_delta\",\"partial_json\":\""));
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
    switch ((enum anthropic_block)e->block) {
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
