#include "gemini_write.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Turns as contents of parts (conversion.md 2.3, 2.4, 2.6, 2.9). The order and the repairs are
 * mend's; here is only how each part is spelt. A user turn that answers calls becomes two contents:
 * the responses alone, as many and in the order of the calls, then what else was said. */

/* Where the next part goes: commas, and contents that are opened only when they have a part. */
struct place {
    struct gemini_writer *w;
    const char *role;
    uint32_t contents;
    bool is_open;
};

static enum r2a_err refuse(struct gemini_writer *w, struct slice message)
{
    return fault_turns(w->fault, w->params.dialect, message);
}

static void begin_part(struct place *place)
{
    struct rope *out = place->w->out;

    if (place->is_open) {
        rope_put_char(out, ',');
        return;
    }
    rope_put(out, place->contents++ > 0 ? S(",{\"role\":\"") : S("{\"role\":\""));
    rope_put(out, slice_from_z(place->role));
    rope_put(out, S("\",\"parts\":["));
    place->is_open = true;
}

static void end_content(struct place *place)
{
    if (place->is_open)
        rope_put(place->w->out, S("]}"));
    place->is_open = false;
}

/* --- media --- */

static void write_detail(struct gemini_writer *w, const struct media *media)
{
    struct slice level = {0};

    if (!w->target->profile.gg_fr_parts) /* the generation that knows both */
        return;
    if (text_is(media->detail, S("low")))
        level = S("MEDIA_RESOLUTION_LOW");
    else if (text_is(media->detail, S("high")) || text_is(media->detail, S("original")))
        level = S("MEDIA_RESOLUTION_HIGH");
    if (level.len == 0)
        return;
    rope_put(w->out, S(",\"mediaResolution\":{\"level\":\""));
    rope_put(w->out, level);
    rope_put(w->out, S("\"}"));
}

static void write_inline(struct gemini_writer *w, const struct media *media, struct slice mime)
{
    rope_put(w->out, S("{\"inlineData\":{\"mimeType\":\""));
    text_write_escaped(w->out, text_plain(mime));
    rope_put(w->out, S("\",\"data\":\""));
    text_write_escaped(w->out, media->data);
    rope_put(w->out, S("\"}"));
}

/* A media part without its closing brace. */
static enum r2a_err write_media(struct gemini_writer *w, const struct part_view *view)
{
    struct text format = part_field(view, IR_FIELD_FORMAT);
    struct media media;
    struct slice mime;

    if (!media_read(view, brief_scratch(w->brief), &media))
        return R2A_ERR_NO_MEMORY;
    mime = media.mime;
    if (media.kind == IR_PART_AUDIO && mime.len == 0)
        mime = text_is_nocase(format, S("mp3")) ? S("audio/mpeg") : S("audio/wav");
    if (media.source == IR_SOURCE_FILE_ID && !w->is_native)
        return refuse(w, S("a file by id cannot be carried to this upstream"));
    if (media.source == IR_SOURCE_URL && media.kind == IR_PART_FILE && mime.len == 0)
        mime = S("application/pdf");
    if (mime.len == 0 && media.source != IR_SOURCE_FILE_ID)
        return refuse(w, S("the media type of a part is unknown, and its address does not tell"));
    if (media.source == IR_SOURCE_BASE64) {
        write_inline(w, &media, mime);
    } else {
        rope_put(w->out, S("{\"fileData\":{\"fileUri\":\""));
        text_write_escaped(w->out, media.data);
        if (mime.len > 0) {
            rope_put(w->out, S("\",\"mimeType\":\""));
            text_write_escaped(w->out, text_plain(mime));
        }
        rope_put(w->out, S("\"}"));
    }
    write_detail(w, &media);
    return R2A_OK;
}

static bool is_media(struct gemini_writer *w, uint32_t event)
{
    struct part_view view;
    struct media media;

    switch (w->tape->events[event].what) {
    case IR_PART_IMAGE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        return true;
    case IR_PART_FILE:
        return part_read(w->tape, event, brief_scratch(w->brief), &view) &&
               view.nested_count == 0 && media_read(&view, brief_scratch(w->brief), &media) &&
               !media.is_text;
    default:
        return false;
    }
}

/* --- calls and results --- */

static void write_id(struct gemini_writer *w, const struct mend_part *part)
{
    if (!w->target->profile.gg_call_ids)
        return;
    rope_put(w->out, S("\"id\":\""));
    text_write_escaped(w->out, mend_call_id(&w->mend, part));
    rope_put(w->out, S("\","));
}

static void write_name(struct gemini_writer *w, const struct mend_part *part)
{
    struct text space, name = mend_call_name(&w->mend, part, &space);

    rope_put(w->out, S("\"name\":\""));
    text_write_escaped(w->out, text_plain(names_wire(&w->names, name, space)));
    rope_put_char(w->out, '"');
}

static void write_signature(struct gemini_writer *w, struct text seal)
{
    if (seal.len == 0)
        return;
    rope_put(w->out, S(",\"thoughtSignature\":\""));
    text_write_escaped(w->out, seal);
    rope_put_char(w->out, '"');
}

/* Documented by Google for histories whose secret is gone. */
#define BYPASS "skip_thought_signature_validator"

static enum r2a_err write_call(struct place *place, const struct mend_part *part, struct text seal)
{
    struct gemini_writer *w = place->w;
    struct part_view view;

    if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    begin_part(place);
    rope_put(w->out, S("{\"functionCall\":{"));
    write_id(w, part);
    write_name(w, part);
    rope_put(w->out, S(",\"args\":"));
    if (part->flags & IR_CUSTOM)
        args_wrap_object(w->out, view.text);
    else
        args_write_object(w->out, view.text);
    rope_put_char(w->out, '}');
    write_signature(w, seal);
    rope_put_char(w->out, '}');
    return R2A_OK;
}

/* The media of a result, each as a part behind a comma (or as parts of a content). */
static enum r2a_err write_result_media(struct place *place, uint32_t event, bool is_nested,
                                       uint32_t *written)
{
    struct gemini_writer *w = place->w;
    uint32_t end = tape_end_of(w->tape, event);
    struct part_view view;

    for (uint32_t i = event + 1; i < end; i++) {
        if (w->tape->events[i].kind != IR_PART)
            continue;
        if (is_media(w, i)) {
            enum r2a_err err;

            if (!part_read(w->tape, i, brief_scratch(w->brief), &view))
                return R2A_ERR_NO_MEMORY;
            if (!is_nested)
                begin_part(place);
            else if (*written > 0)
                rope_put_char(w->out, ',');
            (*written)++;
            err = write_media(w, &view);
            if (err != R2A_OK)
                return err;
            rope_put_char(w->out, '}');
        }
        i = tape_end_of(w->tape, i);
    }
    return R2A_OK;
}

static enum r2a_err write_result(struct place *place, const struct mend_part *part)
{
    struct gemini_writer *w = place->w;
    bool is_error = (part->flags & IR_IS_ERROR) != 0;
    struct result_sum sum = {0};
    struct part_view view;
    uint32_t written = 0;
    enum r2a_err err = R2A_OK;

    begin_part(place);
    rope_put(w->out, S("{\"functionResponse\":{"));
    write_id(w, part);
    write_name(w, part);
    rope_put(w->out, S(",\"response\":"));
    if (part->event == MEND_NONE) {
        rope_put(w->out, S("{\"error\":\"" MEND_NO_RESULT "\"}}}"));
        return R2A_OK;
    }
    if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    if (w->is_native && part_has(&view, IR_FIELD_RAW)) {
        rope_borrow(w->out, text_bytes(part_field(&view, IR_FIELD_RAW)));
    } else {
        rope_put(w->out, is_error ? S("{\"error\":\"") : S("{\"output\":\""));
        result_write_text(w->tape, part->event, false, brief_scratch(w->brief), w->out);
        rope_put(w->out, S("\"}"));
    }
    result_sum(w->tape, part->event, brief_scratch(w->brief), &sum);
    if (sum.media_count > 0 && w->target->profile.gg_fr_parts) {
        rope_put(w->out, S(",\"parts\":["));
        err = write_result_media(place, part->event, true, &written);
        rope_put_char(w->out, ']');
    }
    rope_put(w->out, S("}}"));
    return err;
}

/* Media of results, in the content behind them, for models that take none in a response. */
static enum r2a_err write_returned(struct place *place, const struct mend_part *part)
{
    struct gemini_writer *w = place->w;
    struct result_sum sum;
    uint32_t written = 0;

    if (part->event == MEND_NONE || w->target->profile.gg_fr_parts)
        return R2A_OK;
    result_sum(w->tape, part->event, brief_scratch(w->brief), &sum);
    if (sum.media_count == 0)
        return R2A_OK;
    begin_part(place);
    rope_put(w->out, S("{\"text\":\"Images returned by tool call "));
    text_write_escaped(w->out, mend_call_id(&w->mend, part));
    rope_put(w->out, S(":\"}"));
    return write_result_media(place, part->event, false, &written);
}

/* --- parts --- */

static void write_text(struct place *place, const struct mend_part *part)
{
    if (mend_is_empty(&place->w->mend, part) && part->kind != IR_PART_FILE &&
        part->kind != IR_PART_SEARCH && (part->extra == NULL || !part->extra->text_only))
        return; /* a part with an empty string is refused */
    begin_part(place);
    rope_put(place->w->out, S("{\"text\":\""));
    mend_write_text(&place->w->mend, part, place->w->out);
    rope_put(place->w->out, S("\"}"));
}

static bool has_thought(const struct gemini_writer *w, const struct mend_part *part)
{
    return !mend_is_empty(&w->mend, part);
}

static enum r2a_err write_thought(struct place *place, const struct mend_part *part,
                                  struct text seal)
{
    struct gemini_writer *w = place->w;

    if (!has_thought(w, part) && seal.len == 0)
        return R2A_OK;
    begin_part(place);
    rope_put(w->out, S("{\"text\":\""));
    if (part->kind == IR_PART_REASON)
        mend_write_text(&w->mend, part, w->out);
    rope_put(w->out, S("\",\"thought\":true"));
    write_signature(w, seal);
    rope_put_char(w->out, '}');
    return R2A_OK;
}

static enum r2a_err write_part(struct place *place, const struct mend_part *part)
{
    struct gemini_writer *w = place->w;
    struct part_view view;
    enum r2a_err err;

    if (part->event != MEND_NONE && is_media(w, part->event)) {
        if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
            return R2A_ERR_NO_MEMORY;
        begin_part(place);
        err = write_media(w, &view);
        rope_put_char(w->out, '}');
        return err;
    }
    if (part->kind == IR_PART_OPAQUE) {
        if (!part_read(w->tape, part->event, brief_scratch(w->brief), &view))
            return R2A_ERR_NO_MEMORY;
        begin_part(place);
        rope_borrow(w->out, text_bytes(view.text));
        return R2A_OK;
    }
    write_text(place, part);
    /* the images of a document made of blocks follow its text */
    if (part->kind == IR_PART_FILE && part->event != MEND_NONE) {
        uint32_t written = 0;

        return write_result_media(place, part->event, false, &written);
    }
    return R2A_OK;
}

/* --- turns --- */

static enum r2a_err write_model_turn(struct place *place, const struct mend_turn *turn)
{
    struct gemini_writer *w = place->w;
    bool is_first_call = true;
    enum r2a_err err = R2A_OK;

    for (uint32_t k = 0; k < turn->count && err == R2A_OK; k++) {
        const struct mend_part *part = mend_part_at(&w->mend, turn, k);
        struct text seal = mend_seal_of(&w->mend, turn, k);

        switch (part->kind) {
        case IR_PART_REASON:
        case IR_PART_REDACTED:
            err = write_thought(place, part, seal);
            break;
        case IR_PART_CALL:
            if (seal.len == 0 && is_first_call && w->target->profile.gg_need_sig)
                seal = text_plain(S(BYPASS));
            is_first_call = false;
            err = write_call(place, part, seal);
            break;
        default:
            err = write_part(place, part);
            break;
        }
    }
    end_content(place);
    return err;
}

static enum r2a_err write_user_turn(struct place *place, const struct mend_turn *turn)
{
    struct gemini_writer *w = place->w;
    enum r2a_err err = R2A_OK;

    for (uint32_t k = 0; k < turn->results && err == R2A_OK; k++)
        err = write_result(place, mend_part_at(&w->mend, turn, k));
    end_content(place);
    for (uint32_t k = 0; k < turn->results && err == R2A_OK; k++)
        err = write_returned(place, mend_part_at(&w->mend, turn, k));
    for (uint32_t k = turn->results; k < turn->count && err == R2A_OK; k++)
        err = write_part(place, mend_part_at(&w->mend, turn, k));
    end_content(place);
    return err;
}

enum r2a_err gemini_write_system(struct gemini_writer *w)
{
    const struct mend_turn *system = &w->mend.system;
    bool is_first = true;

    if (system->count == 0)
        return R2A_OK;
    rope_put(w->out, S("\"systemInstruction\":{\"parts\":["));
    for (uint32_t k = 0; k < system->count; k++) {
        const struct mend_part *part = mend_part_at(&w->mend, system, k);

        if (part->kind != IR_PART_TEXT)
            return refuse(w, S("system messages can only hold text for this upstream"));
        rope_put(w->out, is_first ? S("{\"text\":\"") : S(",{\"text\":\""));
        is_first = false;
        mend_write_text(&w->mend, part, w->out);
        rope_put(w->out, S("\"}"));
    }
    rope_put(w->out, S("]},"));
    return R2A_OK;
}

enum r2a_err gemini_write_contents(struct gemini_writer *w)
{
    struct place place = {.w = w};
    enum r2a_err err = R2A_OK;

    rope_put(w->out, S("\"contents\":["));
    for (uint32_t i = 0; i < w->mend.turns_count && err == R2A_OK; i++) {
        const struct mend_turn *turn = &w->mend.turns[i];
        bool is_model = turn->role == IR_ROLE_ASSISTANT;

        place.role = is_model ? "model" : "user";
        err = is_model ? write_model_turn(&place, turn) : write_user_turn(&place, turn);
    }
    rope_put_char(w->out, ']');
    if (err == R2A_OK && place.contents == 0)
        err = refuse(w, S("there is no message to answer"));
    return err;
}
