#include "anthropic_write.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* Turns as messages of content blocks. The order and the repairs are mend's; here is only how each
 * part is spelt (conversion.md 2.4, 2.6), and what the API would refuse. */

static bool takes_mark(const struct mend_part *part)
{
    return (part->flags & IR_CACHE_MARK) != 0 && part->kind != IR_PART_REASON &&
           part->kind != IR_PART_REDACTED && part->kind != IR_PART_OPAQUE;
}

uint32_t anthropic_count_marks(const struct anthropic_writer *w)
{
    uint32_t count = 0;

    for (uint32_t k = 0; k < w->mend.system.count; k++)
        count += takes_mark(mend_part_at(&w->mend, &w->mend.system, k));
    for (uint32_t i = 0; i < w->mend.turns_count; i++)
        for (uint32_t k = 0; k < w->mend.turns[i].count; k++)
            count += takes_mark(mend_part_at(&w->mend, &w->mend.turns[i], k));
    return count;
}

void anthropic_write_mark(struct anthropic_writer *w, uint8_t flags)
{
    if ((flags & IR_CACHE_MARK) && w->marks_seen++ >= w->marks_skip)
        rope_put(w->out, S(",\"cache_control\":{\"type\":\"ephemeral\"}"));
}

static void end_block(struct anthropic_writer *w, uint8_t flags)
{
    anthropic_write_mark(w, flags);
    rope_put_char(w->out, '}');
}

static enum r2a_err refuse(struct anthropic_writer *w, struct slice message)
{
    return fault_turns(w->fault, w->params.dialect, message);
}

/* --- media --- */

static void write_source_head(struct anthropic_writer *w, const struct media *media)
{
    struct rope *out = w->out;

    if (media->source == IR_SOURCE_URL) {
        rope_put(out, S("{\"type\":\"url\",\"url\":\""));
    } else if (media->source == IR_SOURCE_FILE_ID) {
        rope_put(out, S("{\"type\":\"file\",\"file_id\":\""));
    } else {
        rope_put(out, S("{\"type\":\"base64\",\"media_type\":\""));
        text_write_escaped(out, text_plain(media->mime));
        rope_put(out, S("\",\"data\":\""));
    }
    text_write_escaped(out, media->data);
    rope_put(out, S("\"}"));
}

static enum r2a_err write_image(struct anthropic_writer *w, const struct part_view *view,
                                uint8_t flags)
{
    struct media media;

    if (!media_read(view, brief_scratch(w->brief), &media))
        return R2A_ERR_NO_MEMORY;
    if (media.source == IR_SOURCE_FILE_ID && !w->is_native)
        return refuse(w, S("an image by file id cannot be carried to this upstream"));
    if (media.source == IR_SOURCE_BASE64 && !mime_is_am_image(media.mime))
        return refuse(w, S("unsupported image type"));
    rope_put(w->out, S("{\"type\":\"image\",\"source\":"));
    write_source_head(w, &media);
    end_block(w, flags);
    return R2A_OK;
}

static enum r2a_err write_parts(struct anthropic_writer *w, const struct part_view *view,
                                uint32_t *written);

static enum r2a_err write_document(struct anthropic_writer *w, const struct part_view *view,
                                   uint8_t flags)
{
    struct rope *out = w->out;
    struct media media;
    struct text text;
    uint32_t written = 0;

    if (!media_read(view, brief_scratch(w->brief), &media))
        return R2A_ERR_NO_MEMORY;
    if (media.source == IR_SOURCE_BASE64 && slice_eq(slice_head(media.mime, 6), S("image/")))
        return write_image(w, view, flags); /* a file that is an image (2.4) */
    rope_put(out, S("{\"type\":\"document\",\"source\":"));
    if (view->nested_count > 0) {
        rope_put(out, S("{\"type\":\"content\",\"content\":["));
        if (write_parts(w, view, &written) != R2A_OK)
            return R2A_ERR_INVALID;
        rope_put(out, S("]}"));
    } else if (media.is_text) {
        if (!media_text(&media, brief_scratch(w->brief), &text))
            return refuse(w, S("a text file is not valid base64 of UTF-8"));
        rope_put(out, S("{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\""));
        text_write_escaped(out, text);
        rope_put(out, S("\"}"));
    } else {
        if (media.source == IR_SOURCE_FILE_ID && !w->is_native)
            return refuse(w, S("a file by id cannot be carried to this upstream"));
        if (media.source == IR_SOURCE_BASE64 && !slice_eq(media.mime, S("application/pdf")))
            return refuse(w, S("unsupported document type"));
        write_source_head(w, &media);
    }
    if (media.title.len > 0) {
        rope_put(out, S(",\"title\":\""));
        text_write_escaped(out, media.title);
        rope_put_char(out, '"');
    }
    if (part_has(view, IR_FIELD_CONTEXT)) {
        rope_put(out, S(",\"context\":\""));
        text_write_escaped(out, part_field(view, IR_FIELD_CONTEXT));
        rope_put_char(out, '"');
    }
    if (part_has(view, IR_FIELD_CITATIONS) && w->is_native) {
        rope_put(out, S(",\"citations\":"));
        rope_borrow(out, text_bytes(part_field(view, IR_FIELD_CITATIONS)));
    }
    end_block(w, flags);
    return R2A_OK;
}

static enum r2a_err write_search(struct anthropic_writer *w, const struct part_view *view,
                                 uint8_t flags)
{
    struct rope *out = w->out;
    uint32_t written = 0;

    rope_put(out, S("{\"type\":\"search_result\",\"source\":\""));
    text_write_escaped(out, part_field(view, IR_FIELD_URL));
    rope_put(out, S("\",\"title\":\""));
    text_write_escaped(out, part_field(view, IR_FIELD_TITLE));
    rope_put(out, S("\",\"content\":["));
    if (write_parts(w, view, &written) != R2A_OK)
        return R2A_ERR_INVALID;
    rope_put_char(out, ']');
    if (part_has(view, IR_FIELD_CITATIONS)) {
        rope_put(out, S(",\"citations\":"));
        rope_borrow(out, text_bytes(part_field(view, IR_FIELD_CITATIONS)));
    }
    end_block(w, flags);
    return R2A_OK;
}

/* --- parts within parts --- */

static enum r2a_err write_nested(struct anthropic_writer *w, uint32_t index, uint32_t *written)
{
    struct part_view view;
    uint8_t flags;

    if (!part_read(w->tape, index, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    flags = view.open->flags & (uint8_t)~IR_CACHE_MARK; /* only whole results carry marks */
    if (view.open->what == IR_PART_TEXT && text_is_blank(view.text))
        return R2A_OK;
    if ((*written)++ > 0)
        rope_put_char(w->out, ',');
    switch (view.open->what) {
    case IR_PART_IMAGE:
        return write_image(w, &view, flags);
    case IR_PART_FILE:
        return write_document(w, &view, flags);
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        return refuse(w, S("audio and video are not supported by this upstream"));
    case IR_PART_OPAQUE:
        if (text_is(view.open->u.open.id, S("anthropic"))) {
            rope_borrow(w->out, text_bytes(view.text));
            return R2A_OK;
        }
        break;
    default:
        break;
    }
    rope_put(w->out, S("{\"type\":\"text\",\"text\":\""));
    part_write_text(w->tape, index, brief_scratch(w->brief), w->out);
    rope_put(w->out, S("\"}"));
    return R2A_OK;
}

static enum r2a_err write_parts(struct anthropic_writer *w, const struct part_view *view,
                                uint32_t *written)
{
    enum r2a_err err = R2A_OK;

    for (uint32_t i = view->nested_first; i > 0 && i < view->end && err == R2A_OK; i++) {
        if (w->tape->events[i].kind != IR_PART)
            continue;
        err = write_nested(w, i, written);
        i = tape_end_of(w->tape, i);
    }
    return err;
}

/* --- calls and results --- */

static enum r2a_err write_id(struct anthropic_writer *w, struct text id)
{
    struct slice fitted;

    if (!id_fit(id, ID_AM, brief_scratch(w->brief), &fitted))
        return R2A_ERR_NO_MEMORY;
    text_write_escaped(w->out, text_plain(fitted));
    return R2A_OK;
}

static enum r2a_err write_call(struct anthropic_writer *w, const struct mend_part *part)
{
    struct rope *out = w->out;
    struct part_view view;
    struct text space, name = mend_call_name(&w->mend, part, &space);
    struct slice wire = names_wire(&w->names, name, space);

    if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    rope_put(out, S("{\"type\":\"tool_use\",\"id\":\""));
    if (write_id(w, mend_call_id(&w->mend, part)) != R2A_OK)
        return R2A_ERR_NO_MEMORY;
    rope_put(out, S("\",\"name\":\""));
    text_write_escaped(out, text_plain(wire));
    rope_put(out, S("\",\"input\":"));
    if (part->flags & IR_CUSTOM)
        args_wrap_object(out, view.text);
    else
        args_write_object(out, view.text);
    end_block(w, part->flags);
    return R2A_OK;
}

static enum r2a_err write_result(struct anthropic_writer *w, const struct mend_part *part)
{
    struct rope *out = w->out;
    struct part_view view = {0};
    enum r2a_err err = R2A_OK;
    uint32_t written = 0;

    rope_put(out, S("{\"type\":\"tool_result\",\"tool_use_id\":\""));
    if (write_id(w, mend_call_id(&w->mend, part)) != R2A_OK)
        return R2A_ERR_NO_MEMORY;
    rope_put_char(out, '"');
    if (part->event == MEND_NONE) {
        rope_put(out, S(",\"content\":\"" MEND_NO_RESULT "\""));
    } else if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view)) {
        return R2A_ERR_NO_MEMORY;
    } else if (view.nested_count == 1 && w->tape->events[view.nested_first].what == IR_PART_TEXT) {
        struct part_view text;

        if (!part_read(w->tape, view.nested_first, brief_scratch(w->brief), &text))
            return R2A_ERR_NO_MEMORY;
        if (text.text.len > 0) {
            rope_put(out, S(",\"content\":\""));
            text_write_escaped(out, text.text);
            rope_put_char(out, '"');
        }
    } else if (view.nested_count > 0) {
        rope_put(out, S(",\"content\":["));
        err = write_parts(w, &view, &written);
        rope_put_char(out, ']');
    }
    if (part->flags & IR_IS_ERROR)
        rope_put(out, S(",\"is_error\":true"));
    end_block(w, part->flags);
    return err;
}

/* --- parts --- */

static void write_text_block(struct anthropic_writer *w, const struct mend_part *part)
{
    rope_put(w->out, S("{\"type\":\"text\",\"text\":\""));
    mend_write_text(&w->mend, part, w->out);
    rope_put_char(w->out, '"');
    if (w->is_native && part->event != MEND_NONE && part->kind == IR_PART_TEXT) {
        struct part_view view;

        if (part_read(w->tape, part->event, brief_scratch(w->brief), &view) &&
            part_has(&view, IR_FIELD_CITATIONS)) {
            rope_put(w->out, S(",\"citations\":"));
            rope_borrow(w->out, text_bytes(part_field(&view, IR_FIELD_CITATIONS)));
        }
    }
    end_block(w, part->flags);
}

static enum r2a_err write_part(struct anthropic_writer *w, const struct mend_part *part)
{
    struct rope *out = w->out;
    struct part_view view;

    switch ((enum ir_part)part->kind) {
    case IR_PART_TEXT:
    case IR_PART_REFUSAL:
        write_text_block(w, part);
        return R2A_OK;
    case IR_PART_REASON:
        rope_put(out, S("{\"type\":\"thinking\",\"thinking\":\""));
        mend_write_text(&w->mend, part, out);
        rope_put(out, S("\",\"signature\":\""));
        text_write_escaped(out, part->extra->seal);
        rope_put(out, S("\"}"));
        return R2A_OK;
    case IR_PART_REDACTED:
        rope_put(out, S("{\"type\":\"redacted_thinking\",\"data\":\""));
        text_write_escaped(out, part->extra->seal);
        rope_put(out, S("\"}"));
        return R2A_OK;
    case IR_PART_CALL:
        return write_call(w, part);
    case IR_PART_RESULT:
        return write_result(w, part);
    case IR_PART_AUDIO:
        return refuse(w, S("audio input is not supported by this upstream"));
    case IR_PART_VIDEO:
        return refuse(w, S("video input is not supported by this upstream"));
    case IR_PART_IMAGE:
    case IR_PART_FILE:
    case IR_PART_SEARCH:
    case IR_PART_OPAQUE:
        break;
    }
    if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    if (part->kind == IR_PART_IMAGE)
        return write_image(w, &view, part->flags);
    if (part->kind == IR_PART_FILE)
        return write_document(w, &view, part->flags);
    if (part->kind == IR_PART_SEARCH)
        return write_search(w, &view, part->flags);
    rope_borrow(out, text_bytes(view.text));
    return R2A_OK;
}

/* --- turns --- */

enum r2a_err anthropic_write_system(struct anthropic_writer *w, struct slice extra,
                                    struct text schema)
{
    struct rope *out = w->out;
    const struct mend_turn *system = &w->mend.system;

    if (system->count == 0 && extra.len == 0)
        return R2A_OK;
    rope_put(out, S(",\"system\":["));
    for (uint32_t k = 0; k < system->count; k++) {
        const struct mend_part *part = mend_part_at(&w->mend, system, k);

        if (part->kind != IR_PART_TEXT)
            return refuse(w, S("system messages can only hold text for this upstream"));
        if (k > 0)
            rope_put_char(out, ',');
        write_text_block(w, part);
    }
    if (extra.len > 0) {
        if (system->count > 0)
            rope_put_char(out, ',');
        rope_put(out, S("{\"type\":\"text\",\"text\":\""));
        text_write_escaped(out, text_plain(extra));
        if (schema.len > 0)
            text_write_json_compact_escaped(out, schema);
        rope_put(out, S("\"}"));
    }
    rope_put_char(out, ']');
    return R2A_OK;
}

enum r2a_err anthropic_write_messages(struct anthropic_writer *w)
{
    static const char *const roles[] = {[IR_ROLE_SYSTEM] = "system",
                                        [IR_ROLE_DEVELOPER] = "system",
                                        [IR_ROLE_USER] = "user",
                                        [IR_ROLE_ASSISTANT] = "assistant"};
    enum r2a_err err = R2A_OK;

    rope_put(w->out, S(",\"messages\":["));
    for (uint32_t i = 0; i < w->mend.turns_count && err == R2A_OK; i++) {
        const struct mend_turn *turn = &w->mend.turns[i];

        rope_put(w->out, i > 0 ? S(",{\"role\":\"") : S("{\"role\":\""));
        rope_put(w->out, slice_from_z(roles[turn->role]));
        rope_put(w->out, S("\",\"content\":["));
        for (uint32_t k = 0; k < turn->count && err == R2A_OK; k++) {
            if (k > 0)
                rope_put_char(w->out, ',');
            err = write_part(w, mend_part_at(&w->mend, turn, k));
        }
        rope_put(w->out, S("]}"));
    }
    rope_put_char(w->out, ']');
    return err;
}
