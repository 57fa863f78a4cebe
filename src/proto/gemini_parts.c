#include "gemini_answer.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* The parts of a candidate (conversion.md 3.2). A part of text or reasoning stays open until
 * another kind comes; a secret ends reasoning, for it must not be moved to what follows. */

enum part_key {
    PART_TEXT,
    PART_THOUGHT,
    PART_SIGNATURE,
    PART_CALL,
    PART_INLINE,
    PART_CODE,
    PART_CODE_RESULT,
    PART_KEYS
};

static const struct slice part_names[PART_KEYS] = {S_INIT("text"),
                                                   S_INIT("thought"),
                                                   S_INIT("thoughtSignature"),
                                                   S_INIT("functionCall"),
                                                   S_INIT("inlineData"),
                                                   S_INIT("executableCode"),
                                                   S_INIT("codeExecutionResult")};

static enum r2a_err put_event(const struct gemini_choice *choice, struct ir_sink *sink,
                              struct ir_event event)
{
    event.choice = choice->index;
    event.part = choice->part;
    return ir_put(sink, &event);
}

static enum r2a_err put_piece(const struct gemini_choice *choice, struct ir_sink *sink,
                              uint8_t flags, struct text text)
{
    if (text.len == 0)
        return R2A_OK;
    return put_event(choice, sink,
                     (struct ir_event){.kind = IR_TEXT, .flags = flags, .u.text = text});
}

static enum r2a_err put_member(const struct gemini_choice *choice, struct ir_sink *sink,
                               uint8_t field, struct text value, int64_t number)
{
    return put_event(choice, sink,
                     (struct ir_event){.kind = IR_FIELD,
                                       .what = field,
                                       .u.field = {.value = value, .number = number}});
}

static enum r2a_err close_part(struct gemini_choice *choice, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    if (!choice->is_open)
        return R2A_OK;
    if (choice->hold_len > 0) /* the other half of a pair never came */
        err = put_piece(choice, sink, 0, text_escaped(slice_of(choice->hold, choice->hold_len)));
    choice->hold_len = 0;
    if (err == R2A_OK && choice->kind == IR_PART_REASON && choice->signature.len > 0)
        err = put_member(choice, sink, IR_FIELD_SEAL, text_escaped(choice->signature),
                         IR_SEAL_THOUGHT);
    if (err == R2A_OK)
        err = put_event(choice, sink, (struct ir_event){.kind = IR_PART_END, .what = choice->kind});
    choice->is_open = false;
    choice->part++;
    return err;
}

static enum r2a_err need_part(struct gemini_choice *choice, struct ir_sink *sink, uint8_t kind)
{
    enum r2a_err err;

    if (choice->is_open && choice->kind == kind)
        return R2A_OK;
    err = close_part(choice, sink);
    choice->is_open = true;
    choice->kind = kind;
    choice->signature = (struct slice){0};
    choice->has_text = false;
    if (kind == IR_PART_TEXT) {
        choice->text_part = choice->part + 1;
        choice->runs = NULL;
        choice->runs_count = choice->bytes = choice->characters = 0;
    }
    if (err == R2A_OK)
        err = put_event(choice, sink, (struct ir_event){.kind = IR_PART, .what = kind});
    return err;
}

/* Half a surrogate pair waits for the other half. */
enum r2a_err gemini_put_piece(struct gemini_choice *choice, struct ir_sink *sink, uint8_t kind,
                              struct text piece)
{
    enum r2a_err err = need_part(choice, sink, kind);
    size_t safe;

    if (err != R2A_OK)
        return err;
    if (choice->hold_len > 0) {
        size_t len = choice->hold_len + piece.len;
        char *joined = arena_take(choice->arena, len);

        if (joined == NULL)
            return R2A_ERR_NO_MEMORY;
        memcpy(joined, choice->hold, choice->hold_len);
        memcpy(joined + choice->hold_len, piece.ptr, piece.len);
        piece = text_escaped(slice_of(joined, len));
        choice->hold_len = 0;
    }
    safe = text_safe_len(piece);
    if (piece.len - safe <= sizeof(choice->hold)) {
        choice->hold_len = (uint8_t)(piece.len - safe);
        memcpy(choice->hold, piece.ptr + safe, choice->hold_len);
        piece.len = (uint32_t)safe;
    }
    choice->has_text = true;
    if (kind == IR_PART_TEXT) {
        choice->has_product = true;
        gemini_measure(choice, piece);
    }
    return put_piece(choice, sink, 0, piece);
}

static enum r2a_err read_text(struct gemini_choice *choice, const struct member *found,
                              struct ir_sink *sink)
{
    uint8_t kind = member_is(&found[PART_THOUGHT], JSON_TRUE) ? IR_PART_REASON : IR_PART_TEXT;
    struct text text = member_text(&found[PART_TEXT]);
    struct text signature = member_text(&found[PART_SIGNATURE]);
    enum r2a_err err = R2A_OK;

    if (text.len > 0)
        err = gemini_put_piece(choice, sink, kind, text);
    /* Of text the secret is not enforced, and no other protocol has a place for it. */
    if (err != R2A_OK || signature.len == 0 || kind != IR_PART_REASON)
        return err;
    err = need_part(choice, sink, IR_PART_REASON);
    choice->signature = arena_copy(choice->arena, text_bytes(signature));
    return err == R2A_OK ? close_part(choice, sink) : err;
}

/* --- calls --- */

struct free_text {
    const struct gemini_choice *choice;
    struct ir_sink *sink;
};

static enum r2a_err put_free_text(void *context, struct text text)
{
    const struct free_text *free_text = context;

    return put_piece(free_text->choice, free_text->sink, 0, text);
}

static enum r2a_err put_args(struct gemini_choice *choice, struct text args, bool is_custom,
                             struct ir_sink *sink)
{
    struct free_text free_text = {.choice = choice, .sink = sink};
    struct unwrap unwrap = {0};
    enum r2a_err err;

    if (!is_custom)
        return put_piece(choice, sink, IR_WHOLE, args);
    err = unwrap_feed(&unwrap, args, put_free_text, &free_text);
    return err == R2A_OK ? unwrap_end(&unwrap, put_free_text, &free_text) : err;
}

static enum r2a_err read_call(struct gemini_choice *choice, struct slice raw, struct text signature,
                              struct ir_sink *sink)
{
    enum { ID, NAME, ARGS, NAMES };
    static const struct slice names[NAMES] = {S_INIT("id"), S_INIT("name"), S_INIT("args")};
    struct member found[NAMES];
    struct text id, args = text_json(S("{}"));
    char made[40];
    bool is_custom = false;
    enum r2a_err err = close_part(choice, sink);

    if (err != R2A_OK || !members_of(raw, names, NAMES, found))
        return err;
    if (member_text(&found[NAME]).len == 0) {
        choice->is_broken = true;
        return R2A_OK;
    }
    id = member_text(&found[ID]);
    if (id.len == 0)
        id = text_plain(slice_of(made, brief_make_id(choice->brief,
                                                     1 + choice->part * CHOICES_MAX + choice->index,
                                                     S("call_"), made)));
    if (member_is(&found[ARGS], JSON_OBJECT))
        args = member_json(&found[ARGS]);
    choice->has_calls = choice->has_product = true;
    err = call_put_open(sink, choice->brief, choice->index, choice->part, 0, id,
                        member_text(&found[NAME]), &is_custom);
    if (err == R2A_OK && signature.len > 0)
        err = put_member(choice, sink, IR_FIELD_SEAL, signature, IR_SEAL_THOUGHT);
    if (err == R2A_OK)
        err = put_args(choice, args, is_custom, sink);
    if (err == R2A_OK)
        err = put_event(choice, sink, (struct ir_event){.kind = IR_PART_END, .what = IR_PART_CALL});
    choice->part++;
    return err;
}

/* --- the rest --- */

static enum r2a_err read_inline(struct gemini_choice *choice, struct slice raw,
                                struct ir_sink *sink)
{
    enum { MIME, DATA, NAMES };
    static const struct slice names[NAMES] = {S_INIT("mimeType"), S_INIT("data")};
    struct member found[NAMES];
    struct text mime;
    uint8_t kind = IR_PART_FILE;
    enum r2a_err err = close_part(choice, sink);

    if (err != R2A_OK || !members_of(raw, names, NAMES, found) ||
        !member_is(&found[DATA], JSON_STRING))
        return err;
    mime = member_text(&found[MIME]);
    if (mime.len == 0 || text_starts_nocase(mime, S("image/")))
        kind = IR_PART_IMAGE;
    else if (text_starts_nocase(mime, S("audio/")))
        kind = IR_PART_AUDIO;
    else if (text_starts_nocase(mime, S("video/")))
        kind = IR_PART_VIDEO;
    choice->has_product = true;
    err = put_event(choice, sink, (struct ir_event){.kind = IR_PART, .what = kind});
    if (err == R2A_OK)
        err = put_member(choice, sink, IR_FIELD_SOURCE, (struct text){0}, IR_SOURCE_BASE64);
    if (err == R2A_OK && mime.len > 0)
        err = put_member(choice, sink, IR_FIELD_MIME, mime, 0);
    if (err == R2A_OK)
        err = put_piece(choice, sink, IR_WHOLE, member_text(&found[DATA]));
    if (err == R2A_OK)
        err = put_event(choice, sink, (struct ir_event){.kind = IR_PART_END, .what = kind});
    choice->part++;
    return err;
}

/* Code that ran at Google, and what it printed: fenced blocks of the text. */
static enum r2a_err read_code(struct gemini_choice *choice, const struct member *member,
                              bool is_result, struct ir_sink *sink)
{
    enum { LANGUAGE, CODE, OUTPUT, NAMES };
    static const struct slice names[NAMES] = {S_INIT("language"), S_INIT("code"), S_INIT("output")};
    struct member found[NAMES];
    struct text body, language;
    enum r2a_err err = R2A_OK;

    if (!members_of(member->raw, names, NAMES, found))
        return R2A_OK;
    body = member_text(&found[is_result ? OUTPUT : CODE]);
    language = member_text(&found[LANGUAGE]);
    if (choice->is_open && choice->kind == IR_PART_TEXT && choice->has_text)
        err = gemini_put_piece(choice, sink, IR_PART_TEXT, text_escaped(S("\\n")));
    if (err == R2A_OK)
        err = gemini_put_piece(choice, sink, IR_PART_TEXT,
                               text_escaped(!is_result && text_is(language, S("PYTHON"))
                                                ? S("```python\\n")
                                                : S("```\\n")));
    if (err == R2A_OK && body.len > 0)
        err = gemini_put_piece(choice, sink, IR_PART_TEXT, body);
    if (err != R2A_OK)
        return err;
    return gemini_put_piece(
        choice, sink, IR_PART_TEXT,
        text_escaped(str_ends(text_bytes(body), S("\\n")) ? S("```\\n") : S("\\n```\\n")));
}

/* The name of a part we do not know: its first member that is no modifier. */
static struct text payload_of(struct slice raw)
{
    static const struct slice modifiers[] = {S_INIT("thought"), S_INIT("thoughtSignature"),
                                             S_INIT("videoMetadata"), S_INIT("mediaResolution"),
                                             S_INIT("partMetadata")};
    struct json_scan scan;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_KEY) {
        struct text key = text_escaped(scan.text);
        bool is_modifier = json_key_index(&scan, modifiers, array_count(modifiers)) >= 0;

        if (!json_skip(&scan, NULL))
            break;
        if (!is_modifier)
            return key;
    }
    return (struct text){0};
}

static enum r2a_err read_opaque(struct gemini_choice *choice, struct slice raw,
                                struct ir_sink *sink)
{
    struct text type = payload_of(raw);
    enum r2a_err err;

    if (type.len == 0)
        return R2A_OK;
    err = close_part(choice, sink);
    if (err == R2A_OK)
        err = put_event(choice, sink,
                        (struct ir_event){.kind = IR_PART,
                                          .what = IR_PART_OPAQUE,
                                          .u.open = {.id = text_plain(S("gemini")), .name = type}});
    if (err == R2A_OK)
        err = put_piece(choice, sink, IR_WHOLE, text_json(raw));
    if (err == R2A_OK)
        err =
            put_event(choice, sink, (struct ir_event){.kind = IR_PART_END, .what = IR_PART_OPAQUE});
    choice->part++;
    return err;
}

enum r2a_err gemini_read_answer_part(struct gemini_choice *choice, struct slice raw,
                                     struct ir_sink *sink)
{
    struct member found[PART_KEYS];

    if (!members_of(raw, part_names, PART_KEYS, found))
        return R2A_OK;
    if (member_is(&found[PART_CALL], JSON_OBJECT))
        return read_call(choice, found[PART_CALL].raw, member_text(&found[PART_SIGNATURE]), sink);
    if (member_is(&found[PART_TEXT], JSON_STRING))
        return read_text(choice, found, sink);
    if (member_is(&found[PART_INLINE], JSON_OBJECT))
        return read_inline(choice, found[PART_INLINE].raw, sink);
    if (member_is(&found[PART_CODE], JSON_OBJECT))
        return read_code(choice, &found[PART_CODE], false, sink);
    if (member_is(&found[PART_CODE_RESULT], JSON_OBJECT))
        return read_code(choice, &found[PART_CODE_RESULT], true, sink);
    if (member_is(&found[PART_THOUGHT], JSON_TRUE) || member_text(&found[PART_SIGNATURE]).len > 0)
        return read_text(choice, found, sink);
    return read_opaque(choice, raw, sink);
}

enum r2a_err gemini_end_choice(struct gemini_choice *choice, struct ir_sink *sink)
{
    uint8_t stop = choice->stop;
    enum r2a_err err = gemini_put_cites(choice, sink);

    if (err == R2A_OK)
        err = close_part(choice, sink);
    if (choice->has_calls && stop == IR_STOP_END)
        stop = IR_STOP_TOOL;
    if (err != R2A_OK)
        return err;
    return ir_put(sink, &(struct ir_event){.kind = IR_STOP,
                                           .what = stop,
                                           .choice = choice->index,
                                           .u.open = {.name = choice->stop_words}});
}
