#include "openai_responses_ask.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* The turns of a mended tape as input items (conversion.md 2.2-2.4, 2.6, 2.9): an output item a
 * result, then one message of all that remains of a user turn; an assistant turn is its items in
 * order. Assistant text goes in the easy form, a plain string, because parts of that role want the
 * ids and states that only the vendor can give. */

#define MARKS_MAX 4u

static enum r2a_err refuse(struct responses_ask *a, struct slice message)
{
    return fault_turns(a->fault, a->params.dialect, message);
}

/* --- cache marks --- */

static bool may_be_marked(const struct mend_part *part)
{
    return (part->flags & IR_CACHE_MARK) &&
           (part->kind == IR_PART_TEXT || part->kind == IR_PART_IMAGE ||
            part->kind == IR_PART_FILE || part->kind == IR_PART_RESULT);
}

/* Marks of an assistant turn have no place. */
static bool turn_carries_marks(const struct responses_ask *a, const struct mend_turn *turn)
{
    return a->target->profile.oai_cache_mark && turn->role != IR_ROLE_ASSISTANT;
}

static uint32_t count_marks(const struct responses_ask *a)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->mend.turns_count; i++)
        for (uint32_t k = 0; turn_carries_marks(a, &a->mend.turns[i]) && k < a->mend.turns[i].count;
             k++)
            count += may_be_marked(mend_part_at(&a->mend, &a->mend.turns[i], k));
    return count;
}

static bool has_marks(const struct responses_ask *a, const struct mend_turn *turn, uint32_t first)
{
    for (uint32_t k = first; turn_carries_marks(a, turn) && k < turn->count; k++)
        if (may_be_marked(mend_part_at(&a->mend, turn, k)))
            return true;
    return false;
}

/* The last four marks stay; a client may set more. */
static bool takes_mark(struct responses_ask *a, const struct mend_part *part)
{
    if (!a->target->profile.oai_cache_mark || !may_be_marked(part))
        return false;
    if (a->marks_left <= MARKS_MAX)
        return true;
    a->marks_left--;
    return false;
}

static void put_mark(struct responses_ask *a)
{
    rope_put(a->out, S(",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}"));
}

/* --- media --- */

/* Files of OpenAI are known to its own clients only. */
static bool knows_files(const struct responses_ask *a)
{
    return text_is(a->params.dialect, S("openai")) ||
           text_is(a->params.dialect, S("openai-responses"));
}

static enum r2a_err put_image(struct responses_ask *a, const struct media *media)
{
    if (media->source == IR_SOURCE_FILE_ID) {
        if (!knows_files(a))
            return refuse(a, S("An image given by file id cannot be sent to this upstream."));
        rope_put(a->out, S("{\"type\":\"input_image\",\"file_id\":"));
        text_write_string(a->out, media->data);
    } else {
        rope_put(a->out, S("{\"type\":\"input_image\",\"image_url\":\""));
        media_write_url(media, a->out);
        rope_put_char(a->out, '"');
    }
    rope_put(a->out, S(",\"detail\":"));
    text_write_string(a->out, media->detail.len > 0 ? media->detail : text_plain(S("auto")));
    return R2A_OK;
}

static enum r2a_err put_file(struct responses_ask *a, const struct media *media)
{
    rope_put(a->out, S("{\"type\":\"input_file\""));
    if (media->source == IR_SOURCE_FILE_ID) {
        if (!knows_files(a))
            return refuse(a, S("A document given by file id cannot be sent to this upstream."));
        rope_put(a->out, S(",\"file_id\":"));
        text_write_string(a->out, media->data);
    } else if (media->source == IR_SOURCE_URL) {
        rope_put(a->out, S(",\"file_url\":\""));
        media_write_url(media, a->out);
        rope_put_char(a->out, '"');
    } else {
        rope_put(a->out, S(",\"filename\":"));
        text_write_string(a->out,
                          media->title.len > 0 ? media->title : text_plain(S("document.pdf")));
        rope_put(a->out, S(",\"file_data\":\""));
        media_write_url(media, a->out);
        rope_put_char(a->out, '"');
    }
    return R2A_OK;
}

/* A media part, without its closing brace. */
static enum r2a_err put_media(struct responses_ask *a, uint32_t event)
{
    struct part_view view;
    struct media media;

    if (!part_read(a->tape, event, a->arena, &view) || !media_read(&view, a->arena, &media))
        return R2A_ERR_NO_MEMORY;
    switch (view.open->what) {
    case IR_PART_IMAGE:
        return put_image(a, &media);
    case IR_PART_FILE:
        return put_file(a, &media);
    case IR_PART_AUDIO:
        return refuse(a, S("Audio cannot be sent to this upstream."));
    default:
        return refuse(a, S("Video cannot be sent to this upstream."));
    }
}

static bool part_is_media(const struct responses_ask *a, const struct mend_part *part)
{
    return part->event != MEND_NONE && part->kind != IR_PART_RESULT && part->kind != IR_PART_CALL &&
           media_is_apart(a->tape, part->event, a->arena);
}

static bool has_nested_media(const struct responses_ask *a, uint32_t holder)
{
    struct result_sum sum;

    result_sum(a->tape, holder, a->arena, &sum);
    return sum.media_count > 0;
}

/* --- content --- */

static void put_comma(struct responses_ask *a, bool *is_first)
{
    if (!*is_first)
        rope_put_char(a->out, ',');
    *is_first = false;
}

/* Images of a document made of blocks, which follow its text; number `marked` of them (from 1, 0:
 * none) carries a cache mark. */
static enum r2a_err put_nested_media(struct responses_ask *a, uint32_t holder, uint32_t marked,
                                     bool *is_first)
{
    uint32_t count = 0, end = tape_end_of(a->tape, holder);

    for (uint32_t i = holder + 1; i < end; i++) {
        if (a->tape->events[i].kind != IR_PART)
            continue;
        if (media_is_apart(a->tape, i, a->arena)) {
            put_comma(a, is_first);
            ASK_TRY(put_media(a, i));
            if (++count == marked)
                put_mark(a);
            rope_put_char(a->out, '}');
        }
        i = tape_end_of(a->tape, i);
    }
    return R2A_OK;
}

/* A part as an element of a content array. */
static enum r2a_err put_element(struct responses_ask *a, const struct mend_part *part,
                                bool *is_first)
{
    put_comma(a, is_first);
    if (part_is_media(a, part)) {
        ASK_TRY(put_media(a, part->event));
    } else {
        rope_put(a->out, S("{\"type\":\"input_text\",\"text\":\""));
        mend_write_text(&a->mend, part, a->out);
        rope_put_char(a->out, '"');
    }
    if (takes_mark(a, part))
        put_mark(a);
    rope_put_char(a->out, '}');
    if (part->kind == IR_PART_FILE && part->event != MEND_NONE)
        return put_nested_media(a, part->event, 0, is_first);
    return R2A_OK;
}

static bool is_content(const struct mend_part *part)
{
    switch (part->kind) {
    case IR_PART_TEXT:
    case IR_PART_REFUSAL:
    case IR_PART_IMAGE:
    case IR_PART_FILE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
    case IR_PART_SEARCH:
        return true;
    default:
        return part->extra != NULL && part->extra->text_only;
    }
}

/* A message of all parts from `first` on; one text alone is a string. */
static enum r2a_err put_message(struct responses_ask *a, const struct mend_turn *turn,
                                uint32_t first, struct slice role)
{
    const struct mend_part *only = NULL;
    bool is_string = !has_marks(a, turn, first), is_first = true;

    for (uint32_t k = first; k < turn->count && is_string; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (!is_content(part))
            continue;
        is_string = only == NULL && !part_is_media(a, part) &&
                    !(part->kind == IR_PART_FILE && part->event != MEND_NONE &&
                      has_nested_media(a, part->event));
        only = part;
    }
    rope_put(a->out, S("{\"type\":\"message\",\"role\":\""));
    rope_put(a->out, role);
    rope_put(a->out, S("\",\"content\":"));
    if (is_string) {
        rope_put_char(a->out, '"');
        if (only != NULL)
            mend_write_text(&a->mend, only, a->out);
        rope_put(a->out, S("\"}"));
        return R2A_OK;
    }
    rope_put_char(a->out, '[');
    for (uint32_t k = first; k < turn->count; k++)
        if (is_content(mend_part_at(&a->mend, turn, k)))
            ASK_TRY(put_element(a, mend_part_at(&a->mend, turn, k), &is_first));
    rope_put(a->out, S("]}"));
    return R2A_OK;
}

/* --- user turns --- */

static enum r2a_err put_call_id(struct responses_ask *a, const struct mend_part *part)
{
    struct slice id;

    if (!id_fit(mend_call_id(&a->mend, part), ID_OR, a->arena, &id))
        return R2A_ERR_NO_MEMORY;
    text_write_string(a->out, text_plain(id));
    return R2A_OK;
}

/* Output as parts: what is text first, in one piece, then the media in order; a cache mark stands
 * on the last of them. */
static enum r2a_err put_output_parts(struct responses_ask *a, uint32_t event, bool has_text,
                                     uint32_t media_count, bool is_marked)
{
    bool is_first = true;

    rope_put_char(a->out, '[');
    if (has_text) {
        put_comma(a, &is_first);
        rope_put(a->out, S("{\"type\":\"input_text\",\"text\":\""));
        result_write_text(a->tape, event, true, a->arena, a->out);
        rope_put_char(a->out, '"');
        if (is_marked && media_count == 0)
            put_mark(a);
        rope_put_char(a->out, '}');
    }
    ASK_TRY(put_nested_media(a, event, is_marked ? media_count : 0, &is_first));
    rope_put_char(a->out, ']');
    return R2A_OK;
}

static enum r2a_err put_result(struct responses_ask *a, const struct mend_part *part)
{
    struct result_sum sum = {0};
    bool is_marked = takes_mark(a, part); /* a string has no place for a mark, a part has */

    rope_put(a->out, part->flags & IR_CUSTOM
                         ? S("{\"type\":\"custom_tool_call_output\",\"call_id\":")
                         : S("{\"type\":\"function_call_output\",\"call_id\":"));
    ASK_TRY(put_call_id(a, part));
    rope_put(a->out, S(",\"output\":"));
    if (part->event != MEND_NONE)
        result_sum(a->tape, part->event, a->arena, &sum);
    if (part->event == MEND_NONE) {
        rope_put(a->out, S("\"Error: " MEND_NO_RESULT "\""));
    } else if (sum.media_count > 0 || is_marked) {
        bool has_text =
            sum.media_count == 0 || sum.texts_count > 0 || (part->flags & IR_IS_ERROR) != 0;

        ASK_TRY(put_output_parts(a, part->event, has_text, sum.media_count, is_marked));
    } else {
        rope_put_char(a->out, '"');
        result_write_text(a->tape, part->event, true, a->arena, a->out);
        rope_put_char(a->out, '"');
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static enum r2a_err put_opaque(struct responses_ask *a, const struct mend_part *part)
{
    struct part_view view;

    if (!part_read(a->tape, part->event, a->arena, &view))
        return R2A_ERR_NO_MEMORY;
    rope_borrow(a->out, text_bytes(view.text));
    return R2A_OK;
}

static enum r2a_err put_user(struct responses_ask *a, const struct mend_turn *turn, bool *is_first)
{
    uint32_t contents = 0;

    for (uint32_t k = 0; k < turn->results; k++) {
        put_comma(a, is_first);
        ASK_TRY(put_result(a, mend_part_at(&a->mend, turn, k)));
    }
    for (uint32_t k = turn->results; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        contents += is_content(part);
        if (part->kind != IR_PART_OPAQUE)
            continue;
        put_comma(a, is_first);
        ASK_TRY(put_opaque(a, part));
    }
    if (contents == 0 && turn->count > 0)
        return R2A_OK;
    put_comma(a, is_first);
    return put_message(a, turn, turn->results, S("user"));
}

/* --- assistant turns --- */

static enum r2a_err put_call(struct responses_ask *a, const struct mend_part *part)
{
    struct text space, name = mend_call_name(&a->mend, part, &space);
    const struct names_tool *tool = names_find(&a->names, name, space);
    bool is_custom = (part->flags & IR_CUSTOM) != 0;
    struct slice wire = names_wire(&a->names, name, space);
    struct part_view view = {0};

    if (wire.len == 0 ||
        (part->event != MEND_NONE && !part_read(a->tape, part->event, a->arena, &view)))
        return R2A_ERR_NO_MEMORY;
    rope_put(a->out, is_custom ? S("{\"type\":\"custom_tool_call\",\"call_id\":")
                               : S("{\"type\":\"function_call\",\"call_id\":"));
    ASK_TRY(put_call_id(a, part));
    rope_put(a->out, S(",\"name\":"));
    text_write_string(a->out, text_plain(wire));
    if (tool != NULL && tool->space.len > 0) {
        rope_put(a->out, S(",\"namespace\":"));
        text_write_string(a->out, tool->space);
    }
    rope_put(a->out, is_custom ? S(",\"input\":\"") : S(",\"arguments\":\""));
    if (is_custom)
        text_write_escaped(a->out, view.text);
    else
        args_write_string(a->out, view.text);
    rope_put(a->out, S("\"}"));
    return R2A_OK;
}

/* Reasoning goes back to who encrypted it, under the id it was encrypted for. */
static void put_reasoning(struct responses_ask *a, const struct mend_part *part)
{
    rope_put(a->out, S("{\"type\":\"reasoning\""));
    if (part->extra->item_id.len > 0) {
        rope_put(a->out, S(",\"id\":"));
        text_write_string(a->out, part->extra->item_id);
    }
    rope_put(a->out, S(",\"summary\":["));
    if (!mend_is_empty(&a->mend, part)) {
        rope_put(a->out, S("{\"type\":\"summary_text\",\"text\":\""));
        mend_write_text(&a->mend, part, a->out);
        rope_put(a->out, S("\"}"));
    }
    rope_put(a->out, S("],\"encrypted_content\":"));
    text_write_string(a->out, part->extra->seal);
    rope_put_char(a->out, '}');
}

static void put_words(struct responses_ask *a, const struct mend_part *part)
{
    struct part_view view;

    rope_put(a->out, S("{\"type\":\"message\",\"role\":\"assistant\",\"content\":\""));
    mend_write_text(&a->mend, part, a->out);
    rope_put_char(a->out, '"');
    if (part->event != MEND_NONE && part_read(a->tape, part->event, a->arena, &view) &&
        part_has(&view, IR_FIELD_PHASE)) {
        rope_put(a->out, S(",\"phase\":"));
        text_write_string(a->out, part_field(&view, IR_FIELD_PHASE));
    }
    rope_put_char(a->out, '}');
}

static enum r2a_err put_assistant(struct responses_ask *a, const struct mend_turn *turn,
                                  bool *is_first)
{
    for (uint32_t k = 0; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);
        bool has_seal = part->extra != NULL && part->extra->seal.len > 0;

        if (part->kind == IR_PART_REASON || part->kind == IR_PART_REDACTED
                ? !has_seal
                : part->kind == IR_PART_TEXT && mend_is_empty(&a->mend, part))
            continue;
        put_comma(a, is_first);
        if (part->kind == IR_PART_REASON || part->kind == IR_PART_REDACTED)
            put_reasoning(a, part);
        else if (part->kind == IR_PART_CALL)
            ASK_TRY(put_call(a, part));
        else if (part->kind == IR_PART_OPAQUE)
            ASK_TRY(put_opaque(a, part));
        else
            put_words(a, part);
    }
    return R2A_OK;
}

/* --- the whole --- */

/* Blocks of a system prompt are paragraphs. */
static void put_instructions(struct responses_ask *a)
{
    const struct mend_turn *turn = &a->mend.system;

    if (turn->count == 0)
        return;
    rope_put(a->out, S(",\"instructions\":\""));
    for (uint32_t k = 0; k < turn->count; k++) {
        if (k > 0)
            rope_put(a->out, S("\\n\\n"));
        mend_write_text(&a->mend, mend_part_at(&a->mend, turn, k), a->out);
    }
    rope_put_char(a->out, '"');
}

enum r2a_err openai_responses_tell(struct responses_ask *a)
{
    bool is_first = true;

    a->marks_left = count_marks(a);
    put_instructions(a);
    rope_put(a->out, S(",\"input\":["));
    for (uint32_t i = 0; i < a->mend.turns_count; i++) {
        const struct mend_turn *turn = &a->mend.turns[i];

        switch (turn->role) {
        case IR_ROLE_USER:
            ASK_TRY(put_user(a, turn, &is_first));
            break;
        case IR_ROLE_ASSISTANT:
            ASK_TRY(put_assistant(a, turn, &is_first));
            break;
        default:
            put_comma(a, &is_first);
            ASK_TRY(put_message(a, turn, 0,
                                turn->role == IR_ROLE_DEVELOPER ? S("developer") : S("system")));
            break;
        }
    }
    rope_put_char(a->out, ']');
    return R2A_OK;
}
