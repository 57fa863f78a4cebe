#include "openai_chat_ask.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* The turns of a mended tape as Chat Completions messages (conversion.md 2.2-2.4, 2.6): a message
 * a result, then one user message of all that remains; an assistant turn is one message. Text alone
 * is one string. Images that tools returned follow all tool messages, because a tool message holds
 * text only. */

#define MARKS_MAX 4u

#define TRY(call)                      \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)

static bool is_openai(const struct ask *a)
{
    return a->target->profile.oc_flavour == OC_FLAVOUR_OPENAI;
}

static enum r2a_err refuse(struct ask *a, struct slice message)
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

static uint32_t count_marks(const struct ask *a)
{
    uint32_t count = 0;

    if (!a->target->profile.oai_cache_mark)
        return 0;
    for (uint32_t i = 0; i < a->mend.turns_count; i++)
        for (uint32_t k = 0; k < a->mend.turns[i].count; k++)
            count += may_be_marked(mend_part_at(&a->mend, &a->mend.turns[i], k));
    return count;
}

static bool has_marks(const struct ask *a, const struct mend_turn *turn, uint32_t first)
{
    for (uint32_t k = first; a->target->profile.oai_cache_mark && k < turn->count; k++)
        if (may_be_marked(mend_part_at(&a->mend, turn, k)))
            return true;
    return false;
}

/* The last four marks stay; a client may set more. */
static bool takes_mark(struct ask *a, const struct mend_part *part)
{
    if (!a->target->profile.oai_cache_mark || !may_be_marked(part))
        return false;
    if (a->marks_left <= MARKS_MAX)
        return true;
    a->marks_left--;
    return false;
}

static void put_mark(struct ask *a)
{
    rope_put(a->out, S(",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}"));
}

/* --- media --- */

static enum r2a_err put_image(struct ask *a, const struct media *media)
{
    if (media->source != IR_SOURCE_BASE64 && media->source != IR_SOURCE_URL)
        return refuse(a, S("An image given by file id cannot be sent to this upstream."));
    rope_put(a->out, S("{\"type\":\"image_url\",\"image_url\":{\"url\":\""));
    media_write_url(media, a->out);
    rope_put_char(a->out, '"');
    if (media->detail.len > 0) {
        rope_put(a->out, S(",\"detail\":"));
        if (text_is(media->detail, S("original")))
            rope_put(a->out, S("\"high\""));
        else
            text_write_string(a->out, media->detail);
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static enum r2a_err put_file(struct ask *a, const struct media *media)
{
    rope_put(a->out, S("{\"type\":\"file\",\"file\":{"));
    if (media->source == IR_SOURCE_FILE_ID) {
        /* Responses and Chat Completions of one vendor share their files. */
        if (!is_openai(a) || !text_is(a->params.dialect, S("openai-responses")))
            return refuse(a, S("A document given by file id cannot be sent to this upstream."));
        rope_put(a->out, S("\"file_id\":"));
        text_write_string(a->out, media->data);
    } else if (media->source == IR_SOURCE_BASE64) {
        rope_put(a->out, S("\"filename\":"));
        text_write_string(a->out,
                          media->title.len > 0 ? media->title : text_plain(S("document.pdf")));
        rope_put(a->out, S(",\"file_data\":\""));
        media_write_url(media, a->out);
        rope_put_char(a->out, '"');
    } else {
        return refuse(a, S("A document given by URL cannot be sent to this upstream."));
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static enum r2a_err put_audio(struct ask *a, const struct part_view *view,
                              const struct media *media)
{
    struct text format = part_field(view, IR_FIELD_FORMAT);
    bool is_wav = text_is_nocase(format, S("wav")) || slice_eq(media->mime, S("audio/wav")) ||
                  slice_eq(media->mime, S("audio/x-wav"));
    bool is_mp3 = text_is_nocase(format, S("mp3")) || slice_eq(media->mime, S("audio/mpeg")) ||
                  slice_eq(media->mime, S("audio/mp3"));

    if (media->source != IR_SOURCE_BASE64 || (!is_wav && !is_mp3))
        return refuse(a, S("This upstream takes audio as base64 of WAV or MP3 only."));
    rope_put(a->out, S("{\"type\":\"input_audio\",\"input_audio\":{\"data\":"));
    text_write_string(a->out, media->data);
    rope_put(a->out, is_wav ? S(",\"format\":\"wav\"}") : S(",\"format\":\"mp3\"}"));
    return R2A_OK;
}

/* A media part, without its closing brace. */
static enum r2a_err put_media(struct ask *a, uint32_t event)
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
        return put_audio(a, &view, &media);
    default:
        return refuse(a, S("Video cannot be sent to this upstream."));
    }
}

static bool part_is_media(const struct ask *a, const struct mend_part *part)
{
    return part->event != MEND_NONE && part->kind != IR_PART_RESULT && part->kind != IR_PART_CALL &&
           media_is_apart(a->tape, part->event, a->arena);
}

/* --- content --- */

/* Images of a document made of blocks, which follow its text. */
static enum r2a_err put_nested_media(struct ask *a, uint32_t holder, bool *is_first)
{
    uint32_t end = tape_end_of(a->tape, holder);

    for (uint32_t i = holder + 1; i < end; i++) {
        if (a->tape->events[i].kind != IR_PART)
            continue;
        if (media_is_apart(a->tape, i, a->arena)) {
            rope_put(a->out, *is_first ? S("[") : S(","));
            *is_first = false;
            TRY(put_media(a, i));
            rope_put_char(a->out, '}');
        }
        i = tape_end_of(a->tape, i);
    }
    return R2A_OK;
}

static bool has_nested_media(const struct ask *a, uint32_t holder)
{
    struct result_sum sum;

    result_sum(a->tape, holder, a->arena, &sum);
    return sum.media_count > 0;
}

/* A part as an element of a content array. */
static enum r2a_err put_element(struct ask *a, const struct mend_part *part, bool *is_first)
{
    rope_put(a->out, *is_first ? S("[") : S(","));
    *is_first = false;
    if (part_is_media(a, part)) {
        TRY(put_media(a, part->event));
    } else {
        rope_put(a->out, part->kind == IR_PART_REFUSAL ? S("{\"type\":\"refusal\",\"refusal\":\"")
                                                       : S("{\"type\":\"text\",\"text\":\""));
        mend_write_text(&a->mend, part, a->out);
        rope_put_char(a->out, '"');
    }
    if (takes_mark(a, part))
        put_mark(a);
    rope_put_char(a->out, '}');
    if (part->kind == IR_PART_FILE && part->event != MEND_NONE)
        TRY(put_nested_media(a, part->event, is_first));
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

/* Whether the parts from `first` on can be one string. */
static bool is_plain_text(const struct ask *a, const struct mend_turn *turn, uint32_t first)
{
    if (has_marks(a, turn, first))
        return false;
    for (uint32_t k = first; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (part->kind == IR_PART_REFUSAL || part_is_media(a, part) ||
            (part->kind == IR_PART_FILE && part->event != MEND_NONE &&
             has_nested_media(a, part->event)))
            return false;
    }
    return true;
}

/* All parts from `first` on as one string, without quotes. Blocks of a system prompt (AM) are
 * paragraphs; parts of a message run on. */
static void put_joined(struct ask *a, const struct mend_turn *turn, uint32_t first,
                       struct slice separator)
{
    bool is_first = true;

    for (uint32_t k = first; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (!is_content(part))
            continue;
        if (!is_first)
            rope_put(a->out, separator);
        is_first = false;
        mend_write_text(&a->mend, part, a->out);
    }
}

static void put_role(struct ask *a, const struct mend_turn *turn, struct slice role)
{
    rope_put(a->out, S("{\"role\":\""));
    rope_put(a->out, role);
    rope_put_char(a->out, '"');
    if (turn->event == MEND_NONE)
        return;
    for (uint32_t i = turn->event + 1; i < a->tape->count && a->tape->events[i].kind == IR_FIELD;
         i++) {
        if (a->tape->events[i].what == IR_FIELD_NAME) {
            rope_put(a->out, S(",\"name\":"));
            text_write_string(a->out, a->tape->events[i].u.field.value);
        }
    }
}

/* --- turns --- */

static enum r2a_err put_system(struct ask *a, const struct mend_turn *turn)
{
    bool is_anthropic =
        text_is(a->params.dialect, S("anthropic")) || text_is(a->params.dialect, S("gemini"));
    bool is_developer = is_openai(a) && (turn->role == IR_ROLE_DEVELOPER ||
                                         text_is(a->params.dialect, S("openai-responses")));
    bool is_first = true;

    put_role(a, turn, is_developer ? S("developer") : S("system"));
    rope_put(a->out, S(",\"content\":"));
    if (is_plain_text(a, turn, 0)) {
        rope_put_char(a->out, '"');
        put_joined(a, turn, 0, is_anthropic ? S("\\n\\n") : S(""));
        rope_put(a->out, S("\"}"));
        return R2A_OK;
    }
    for (uint32_t k = 0; k < turn->count; k++)
        if (is_content(mend_part_at(&a->mend, turn, k)))
            TRY(put_element(a, mend_part_at(&a->mend, turn, k), &is_first));
    rope_put(a->out, is_first ? S("\"\"}") : S("]}"));
    return R2A_OK;
}

static enum r2a_err put_call_id(struct ask *a, const struct mend_part *part)
{
    struct slice id;

    if (!id_fit(mend_call_id(&a->mend, part), is_openai(a) ? ID_OC_OPENAI : ID_OC_COMPAT, a->arena,
                &id))
        return R2A_ERR_NO_MEMORY;
    text_write_string(a->out, text_plain(id));
    return R2A_OK;
}

static enum r2a_err put_result(struct ask *a, const struct mend_part *part)
{
    struct result_sum sum = {0};
    bool is_marked = takes_mark(a, part); /* a string has no place for a mark, its part has */

    rope_put(a->out, S("{\"role\":\"tool\",\"tool_call_id\":"));
    TRY(put_call_id(a, part));
    rope_put(a->out,
             is_marked ? S(",\"content\":[{\"type\":\"text\",\"text\":\"") : S(",\"content\":\""));
    if (part->event == MEND_NONE) {
        rope_put(a->out, S("Error: " MEND_NO_RESULT));
    } else {
        result_sum(a->tape, part->event, a->arena, &sum);
        result_write_text(a->tape, part->event, true, a->arena, a->out);
    }
    if (sum.media_count > 0) {
        rope_put(a->out, sum.texts_count > 0 ? S("\\n[") : S("["));
        rope_put_u64(a->out, sum.media_count);
        rope_put(a->out, sum.media_count == sum.images_count ? S(" image(s) follow]")
                                                             : S(" file(s) follow]"));
    }
    rope_put_char(a->out, '"');
    if (is_marked) {
        put_mark(a);
        rope_put(a->out, S("}]"));
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

/* `Images returned by tool call ID:` and the images. */
static enum r2a_err put_result_media(struct ask *a, const struct mend_part *part, bool *is_first)
{
    if (part->event == MEND_NONE || !has_nested_media(a, part->event))
        return R2A_OK;
    rope_put(a->out, *is_first ? S("[") : S(","));
    *is_first = false;
    rope_put(a->out, S("{\"type\":\"text\",\"text\":\"Images returned by tool call "));
    {
        struct slice id;

        if (!id_fit(mend_call_id(&a->mend, part), is_openai(a) ? ID_OC_OPENAI : ID_OC_COMPAT,
                    a->arena, &id))
            return R2A_ERR_NO_MEMORY;
        text_write_escaped_copy(a->out, text_plain(id));
    }
    rope_put(a->out, S(":\"}"));
    return put_nested_media(a, part->event, is_first);
}

static enum r2a_err put_user(struct ask *a, const struct mend_turn *turn, bool *is_first_message)
{
    bool has_media = false, is_first = true;

    for (uint32_t k = 0; k < turn->results; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (!*is_first_message)
            rope_put_char(a->out, ',');
        *is_first_message = false;
        TRY(put_result(a, part));
        has_media |= part->event != MEND_NONE && has_nested_media(a, part->event);
    }
    if (!has_media && turn->results == turn->count && turn->results > 0)
        return R2A_OK;
    if (!*is_first_message)
        rope_put_char(a->out, ',');
    *is_first_message = false;
    put_role(a, turn, S("user"));
    rope_put(a->out, S(",\"content\":"));
    if (!has_media && is_plain_text(a, turn, turn->results)) {
        rope_put_char(a->out, '"');
        put_joined(a, turn, turn->results, S(""));
        rope_put(a->out, S("\"}"));
        return R2A_OK;
    }
    for (uint32_t k = 0; k < turn->results; k++)
        TRY(put_result_media(a, mend_part_at(&a->mend, turn, k), &is_first));
    for (uint32_t k = turn->results; k < turn->count; k++)
        if (is_content(mend_part_at(&a->mend, turn, k)))
            TRY(put_element(a, mend_part_at(&a->mend, turn, k), &is_first));
    rope_put(a->out, is_first ? S("\"\"}") : S("]}"));
    return R2A_OK;
}

static enum r2a_err put_call(struct ask *a, const struct mend_part *part, struct text seal,
                             bool is_first)
{
    struct text space, name = mend_call_name(&a->mend, part, &space);
    const struct names_tool *tool = names_find(&a->names, name, space);
    bool is_free = (part->flags & IR_CUSTOM) != 0;
    bool is_native = is_free && is_openai(a) && (tool == NULL || !tool->is_wrapped);
    struct slice wire = names_wire(&a->names, name, space);
    struct part_view view = {0};

    if (wire.len == 0 ||
        (part->event != MEND_NONE && !part_read(a->tape, part->event, a->arena, &view)))
        return R2A_ERR_NO_MEMORY;
    rope_put(a->out, is_first ? S(",\"tool_calls\":[{\"id\":") : S(",{\"id\":"));
    TRY(put_call_id(a, part));
    rope_put(a->out, is_native ? S(",\"type\":\"custom\",\"custom\":{\"name\":")
                               : S(",\"type\":\"function\",\"function\":{\"name\":"));
    text_write_string(a->out, text_plain(wire));
    rope_put(a->out, is_native ? S(",\"input\":\"") : S(",\"arguments\":\""));
    if (is_native)
        text_write_escaped(a->out, view.text);
    else if (is_free)
        args_wrap_string(a->out, view.text);
    else
        args_write_string(a->out, view.text);
    rope_put(a->out, S("\"}"));
    if (seal.len > 0) {
        rope_put(a->out, S(",\"extra_content\":{\"google\":{\"thought_signature\":"));
        text_write_string(a->out, seal);
        rope_put(a->out, S("}}"));
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static bool is_detail(const struct mend_part *part)
{
    return part->extra != NULL && part->extra->seal_family == IR_SEAL_DETAILS;
}

/* An element of reasoning_details as it came: the secret is the object but for its text. */
static __attribute__((noinline, cold)) void put_detail(struct ask *a, const struct mend_part *part)
{
    struct text rest = part->extra->seal;
    bool is_summary = text_starts(rest, S("{\"type\":\"reasoning.summary\""));

    rest.len--;
    text_write_plain(a->out, rest);
    if (!mend_is_empty(&a->mend, part)) {
        rope_put(a->out, is_summary ? S(",\"summary\":\"") : S(",\"text\":\""));
        mend_write_text(&a->mend, part, a->out);
        rope_put_char(a->out, '"');
    }
    rope_put_char(a->out, '}');
}

/* What the turn was thought with: elements for who gave them, else one text for who wants it. */
static void put_reasons(struct ask *a, const struct mend_turn *turn, bool has_echo)
{
    uint32_t details = 0, texts = 0;

    for (uint32_t k = 0; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (part->kind != IR_PART_REASON || !is_detail(part))
            continue;
        rope_put(a->out, details++ == 0 ? S(",\"reasoning_details\":[") : S(","));
        put_detail(a, part);
    }
    rope_put(a->out, details > 0 ? S("]") : S(""));
    for (uint32_t k = 0; has_echo && k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        if (part->kind != IR_PART_REASON || is_detail(part))
            continue;
        rope_put(a->out, texts++ == 0 ? S(",\"reasoning_content\":\"") : S(""));
        mend_write_text(&a->mend, part, a->out);
    }
    rope_put(a->out, texts > 0 ? S("\"") : S(""));
}

static enum r2a_err put_assistant(struct ask *a, const struct mend_turn *turn)
{
    /* Google's secrets stand on calls; words that came with one have no place unless asked for. */
    bool has_echo = a->target->profile.oc_reason_echo != OC_REASON_ECHO_NONE;
    uint32_t contents = 0, calls = 0, reasons = 0;
    bool is_first = true;

    for (uint32_t k = 0; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&a->mend, turn, k);

        /* Empty text beside calls is null, not "": some servers make an empty block of it. */
        contents += is_content(part) && (part_is_media(a, part) || !mend_is_empty(&a->mend, part));
        calls += part->kind == IR_PART_CALL;
        reasons += part->kind == IR_PART_REASON && (has_echo || is_detail(part));
    }
    put_role(a, turn, S("assistant"));
    rope_put(a->out, S(",\"content\":"));
    if (contents == 0) {
        rope_put(a->out, calls > 0 ? S("null") : S("\"\""));
    } else if (is_plain_text(a, turn, 0)) {
        rope_put_char(a->out, '"');
        put_joined(a, turn, 0, S(""));
        rope_put_char(a->out, '"');
    } else {
        for (uint32_t k = 0; k < turn->count; k++)
            if (is_content(mend_part_at(&a->mend, turn, k)))
                TRY(put_element(a, mend_part_at(&a->mend, turn, k), &is_first));
        rope_put_char(a->out, ']');
    }
    if (reasons > 0)
        put_reasons(a, turn, has_echo);
    is_first = true;
    for (uint32_t k = 0; k < turn->count; k++) {
        if (mend_part_at(&a->mend, turn, k)->kind != IR_PART_CALL)
            continue;
        TRY(put_call(a, mend_part_at(&a->mend, turn, k), mend_seal_of(&a->mend, turn, k),
                     is_first));
        is_first = false;
    }
    rope_put(a->out, is_first ? S("}") : S("]}"));
    return R2A_OK;
}

enum r2a_err openai_chat_tell(struct ask *a)
{
    bool is_first = true;

    a->marks_left = count_marks(a);
    rope_put(a->out, S(",\"messages\":["));
    for (uint32_t i = 0; i < a->mend.turns_count; i++) {
        const struct mend_turn *turn = &a->mend.turns[i];

        if (turn->role == IR_ROLE_USER) {
            TRY(put_user(a, turn, &is_first));
            continue;
        }
        if (turn->role == IR_ROLE_ASSISTANT && turn->count == 0)
            continue; /* all it had was reasoning of somebody else */
        if (!is_first)
            rope_put_char(a->out, ',');
        is_first = false;
        if (turn->role == IR_ROLE_ASSISTANT)
            TRY(put_assistant(a, turn));
        else
            TRY(put_system(a, turn));
    }
    rope_put_char(a->out, ']');
    return R2A_OK;
}
