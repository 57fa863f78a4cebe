#include "openai_chat_messages.h"

#include "common.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* The messages of a Chat Completions request: turns and their parts. Each message is read as
 * spans first, then told in the tape's order (reasoning, content, refusal, calls); tool messages
 * in a row are the results of one user turn. */

/* Calls of one turn whose results are looked for: each result looks at all of them. A longer turn
 * needs ids that agree, which is what everybody sends. */
#define CALLS_WATCHED_MAX 256u

/* A tool call of the history that a later message may answer. */
struct call {
    struct text id, name;
    bool is_answered, is_legacy, is_custom;
};

/* What the messages so far mean for the next one. */
struct history {
    struct reading *r;
    bool in_results; /* a user turn of tool results is open */
    uint32_t results_count;
    struct call *calls; /* of the last assistant turn that called */
    uint32_t calls_count, calls_room;
    uint32_t calls_sum;
    uint32_t ids_made;
};

bool openai_chat_has_mark(const struct member *cache_control, const struct member *breakpoint)
{
    return member_is(cache_control, JSON_OBJECT) || member_is(breakpoint, JSON_OBJECT);
}

/* --- parts --- */

/* A part that is nothing but text. */
static enum r2a_err put_text_part(struct reading *r, uint8_t what, uint8_t flags, uint32_t part,
                                  struct text text)
{
    r->brief->text_bytes += text.len;
    READ_PUT(put_open(r->tape, IR_PART, what, flags, part, (struct text){0}, (struct text){0}));
    if (text.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, what, part));
    return R2A_OK;
}

enum part {
    PART_TYPE,
    PART_TEXT,
    PART_IMAGE_URL,
    PART_INPUT_AUDIO,
    PART_FILE,
    PART_REFUSAL,
    PART_VIDEO_URL,
    PART_THINKING,
    PART_CACHE_CONTROL,
    PART_BREAKPOINT,
    PART_MEMBERS,
};
static const struct slice part_names[PART_MEMBERS] = {
    [PART_TYPE] = S_INIT("type"),
    [PART_TEXT] = S_INIT("text"),
    [PART_IMAGE_URL] = S_INIT("image_url"),
    [PART_INPUT_AUDIO] = S_INIT("input_audio"),
    [PART_FILE] = S_INIT("file"),
    [PART_REFUSAL] = S_INIT("refusal"),
    [PART_VIDEO_URL] = S_INIT("video_url"),
    [PART_THINKING] = S_INIT("thinking"),
    [PART_CACHE_CONTROL] = S_INIT("cache_control"),
    [PART_BREAKPOINT] = S_INIT("prompt_cache_breakpoint"),
};

static enum r2a_err put_media_url(struct reading *r, uint32_t part, struct text url)
{
    enum r2a_err err =
        media_put_url(r->tape, brief_scratch(r->brief), part, url, (struct slice){0});

    if (err == R2A_ERR_INVALID)
        return read_refuse_value(r, (struct slice){0}, S(": not a usable URL or data URL."));
    return err == R2A_OK ? R2A_OK : read_fail_sink(r, err);
}

/* image_url and video_url: {"url","detail"}, or the bare string that some clients send. */
static enum r2a_err put_picture(struct reading *r, uint8_t what, uint8_t flags, uint32_t part,
                                struct slice name, const struct member *value)
{
    enum { URL, DETAIL };
    static const struct slice names[] = {S_INIT("url"), S_INIT("detail")};
    struct member members[array_count(names)] = {*value, {0}};

    if (!member_is_present(value))
        return read_refuse_missing(r, name);
    read_enter(r, name);
    if (member_is(value, JSON_OBJECT)) {
        READ_TRY(read_object(r, value->raw, names, array_count(names), members, NULL));
        if (!member_is(&members[URL], JSON_STRING))
            return member_is_present(&members[URL])
                       ? read_refuse_type(r, S("url"), members[URL].kind, S("a string"))
                       : read_refuse_missing(r, S("url"));
    } else if (!member_is(value, JSON_STRING)) {
        return read_refuse_type(r, (struct slice){0}, value->kind, S("an object or a string"));
    }
    READ_PUT(put_open(r->tape, IR_PART, what, flags, part, (struct text){0}, (struct text){0}));
    if (member_is(&members[DETAIL], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_DETAIL, part, member_text(&members[DETAIL]), 0));
    READ_TRY(put_media_url(r, part, member_text(&members[URL])));
    READ_PUT(put_part_end(r->tape, what, part));
    r->brief->images_count += what == IR_PART_IMAGE;
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_audio(struct reading *r, uint8_t flags, uint32_t part,
                              const struct member *value)
{
    enum { DATA, FORMAT };
    static const struct slice names[] = {S_INIT("data"), S_INIT("format")};
    struct member members[array_count(names)];
    struct text data, format;

    if (!member_is(value, JSON_OBJECT))
        return member_is_present(value)
                   ? read_refuse_type(r, S("input_audio"), value->kind, S("an object"))
                   : read_refuse_missing(r, S("input_audio"));
    read_enter(r, S("input_audio"));
    READ_TRY(read_object(r, value->raw, names, array_count(names), members, NULL));
    if (!member_is(&members[DATA], JSON_STRING))
        return member_is_present(&members[DATA])
                   ? read_refuse_type(r, S("data"), members[DATA].kind, S("a string"))
                   : read_refuse_missing(r, S("data"));
    data = member_text(&members[DATA]);
    format = member_text(&members[FORMAT]);
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_AUDIO, flags, part, (struct text){0}, (struct text){0}));
    if (format.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_FORMAT, part, format, 0));
    if (text_starts(data, S("data:"))) {
        READ_TRY(put_media_url(r, part, data));
    } else {
        READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, (struct text){0}, IR_SOURCE_BASE64));
        if (text_is(format, S("wav")))
            READ_PUT(put_field(r->tape, IR_FIELD_MIME, part, text_plain(S("audio/wav")), 0));
        else if (text_is(format, S("mp3")))
            READ_PUT(put_field(r->tape, IR_FIELD_MIME, part, text_plain(S("audio/mpeg")), 0));
        READ_PUT(put_text(r->tape, IR_WHOLE, part, data));
    }
    READ_PUT(put_part_end(r->tape, IR_PART_AUDIO, part));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_file(struct reading *r, uint8_t flags, uint32_t part,
                             const struct member *value)
{
    enum { NAME, DATA, ID };
    static const struct slice names[] = {S_INIT("filename"), S_INIT("file_data"),
                                         S_INIT("file_id")};
    struct member members[array_count(names)];
    struct text data, name;

    if (!member_is(value, JSON_OBJECT))
        return member_is_present(value)
                   ? read_refuse_type(r, S("file"), value->kind, S("an object"))
                   : read_refuse_missing(r, S("file"));
    read_enter(r, S("file"));
    READ_TRY(read_object(r, value->raw, names, array_count(names), members, NULL));
    data = member_text(&members[DATA]);
    name = member_text(&members[NAME]);
    if (data.len == 0 && !member_is(&members[ID], JSON_STRING))
        return read_refuse_missing(r, S("file_data"));
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_FILE, flags, part, (struct text){0}, (struct text){0}));
    if (name.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_TITLE, part, name, 0));
    if (data.len == 0) {
        READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, (struct text){0}, IR_SOURCE_FILE_ID));
        READ_PUT(put_text(r->tape, IR_WHOLE, part, member_text(&members[ID])));
    } else if (text_starts(data, S("data:")) || text_starts(data, S("https:")) ||
               text_starts(data, S("http:"))) {
        READ_TRY(put_media_url(r, part, data));
    } else { /* bare base64: what it is, its name tells */
        struct slice mime = mime_of_name(name);

        READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, (struct text){0}, IR_SOURCE_BASE64));
        READ_PUT(put_field(r->tape, IR_FIELD_MIME, part,
                           text_plain(mime.len > 0 ? mime : S("application/pdf")), 0));
        READ_PUT(put_text(r->tape, IR_WHOLE, part, data));
    }
    READ_PUT(put_part_end(r->tape, IR_PART_FILE, part));
    read_leave(r);
    return R2A_OK;
}

/* Mistral's {"type":"thinking","thinking":[{"type":"text","text":…}]}, or a plain string. */
static enum r2a_err put_thinking(struct reading *r, uint32_t part, const struct member *value)
{
    static const struct slice names[] = {S_INIT("text")};
    struct member item, text;
    struct json_scan scan;

    if (member_is(value, JSON_STRING))
        return put_text_part(r, IR_PART_REASON, 0, part, member_text(value));
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_REASON, 0, part, (struct text){0}, (struct text){0}));
    if (member_is(value, JSON_ARRAY)) {
        for (read_open(r, &scan, value->raw); read_next(&scan, &item);) {
            if (!member_is(&item, JSON_OBJECT))
                continue;
            READ_TRY(read_object(r, item.raw, names, 1, &text, NULL));
            if (member_text(&text).len > 0)
                READ_PUT(put_text(r->tape, 0, part, member_text(&text)));
        }
    }
    READ_PUT(put_part_end(r->tape, IR_PART_REASON, part));
    return R2A_OK;
}

/* `members` of an item that is an object. */
static enum r2a_err put_part(struct reading *r, const struct member *item,
                             const struct member *members, uint32_t part, uint8_t flags)
{
    const struct member *text = &members[PART_TEXT];
    struct text type;

    if (member_is(item, JSON_STRING)) /* ["text", …]: sloppy, and clear */
        return put_text_part(r, IR_PART_TEXT, flags, part, member_text(item));
    if (!member_is(item, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, item->kind, S("an object"));
    type = member_text(&members[PART_TYPE]);
    if (openai_chat_has_mark(&members[PART_CACHE_CONTROL], &members[PART_BREAKPOINT]))
        flags |= IR_CACHE_MARK;
    if (text_is(type, S("text")) || text_is(type, S("input_text")) ||
        text_is(type, S("output_text"))) {
        if (!member_is(text, JSON_STRING))
            return member_is_present(text)
                       ? read_refuse_type(r, S("text"), text->kind, S("a string"))
                       : read_refuse_missing(r, S("text"));
        return put_text_part(r, IR_PART_TEXT, flags, part, member_text(text));
    }
    if (text_is(type, S("image_url")))
        return put_picture(r, IR_PART_IMAGE, flags, part, part_names[PART_IMAGE_URL],
                           &members[PART_IMAGE_URL]);
    if (text_is(type, S("video_url")))
        return put_picture(r, IR_PART_VIDEO, flags, part, part_names[PART_VIDEO_URL],
                           &members[PART_VIDEO_URL]);
    if (text_is(type, S("input_audio")))
        return put_audio(r, flags, part, &members[PART_INPUT_AUDIO]);
    if (text_is(type, S("file")))
        return put_file(r, flags, part, &members[PART_FILE]);
    if (text_is(type, S("refusal")))
        return put_text_part(r, IR_PART_REFUSAL, flags, part, member_text(&members[PART_REFUSAL]));
    if (text_is(type, S("thinking")))
        return put_thinking(r, part, &members[PART_THINKING]);
    if (!member_is_present(&members[PART_TYPE]))
        return read_refuse_missing(r, S("type"));
    return read_refuse_value(r, S("type"), S(": unknown kind of content part."));
}

/* Content of a message or a result, as parts from `*part` on. `mark`: a cache mark of the message
 * itself, which means its last part. */
static enum r2a_err put_content(struct reading *r, const struct member *content, bool mark,
                                uint32_t *part)
{
    uint8_t last_flags = mark ? IR_CACHE_MARK : 0;
    struct member item, next, members[PART_MEMBERS];
    struct json_scan scan;
    uint32_t index = 0;
    bool has_item;

    if (!member_is_present(content))
        return R2A_OK;
    if (member_is(content, JSON_STRING))
        return put_text_part(r, IR_PART_TEXT, last_flags, (*part)++, member_text(content));
    read_enter(r, S("content"));
    if (!member_is(content, JSON_ARRAY))
        return read_refuse_type(r, (struct slice){0}, content->kind, S("a string or an array"));
    read_open(r, &scan, content->raw);
    for (has_item = read_next_enter(&scan, &item); has_item; index++) {
        read_enter_index(r, index);
        if (member_is(&item, JSON_OBJECT))
            READ_TRY(read_entered(r, &scan, part_names, PART_MEMBERS, members, NULL, NULL));
        has_item = read_next_enter(&scan, &next); /* only whether there is one matters yet */
        READ_TRY(put_part(r, &item, members, (*part)++, has_item ? 0 : last_flags));
        read_leave(r);
        item = next;
    }
    read_leave(r);
    return R2A_OK;
}

/* --- messages --- */

enum message {
    MSG_ROLE,
    MSG_CONTENT,
    MSG_NAME,
    MSG_TOOL_CALLS,
    MSG_TOOL_CALL_ID,
    MSG_FUNCTION_CALL,
    MSG_REFUSAL,
    MSG_REASONING_CONTENT,
    MSG_REASONING,
    MSG_REASONING_TEXT,
    MSG_REASONING_DETAILS,
    MSG_CACHE_CONTROL,
    MSG_BREAKPOINT,
    MSG_ANNOTATIONS, /* what an answer carried; it says nothing to a model */
    MSGS,
};
static const struct slice message_names[MSGS] = {
    [MSG_ROLE] = S_INIT("role"),
    [MSG_CONTENT] = S_INIT("content"),
    [MSG_NAME] = S_INIT("name"),
    [MSG_TOOL_CALLS] = S_INIT("tool_calls"),
    [MSG_TOOL_CALL_ID] = S_INIT("tool_call_id"),
    [MSG_FUNCTION_CALL] = S_INIT("function_call"),
    [MSG_REFUSAL] = S_INIT("refusal"),
    [MSG_REASONING_CONTENT] = S_INIT("reasoning_content"),
    [MSG_REASONING] = S_INIT("reasoning"),
    [MSG_REASONING_TEXT] = S_INIT("reasoning_text"),
    [MSG_REASONING_DETAILS] = S_INIT("reasoning_details"),
    [MSG_CACHE_CONTROL] = S_INIT("cache_control"),
    [MSG_BREAKPOINT] = S_INIT("prompt_cache_breakpoint"),
    [MSG_ANNOTATIONS] = S_INIT("annotations"),
};

/* A call that this history made. */
static enum r2a_err note_call(struct history *h, struct text id, struct text name, uint8_t flags)
{
    struct reading *r = h->r;

    if (++h->calls_sum > CALLS_MAX)
        return read_refuse(r, S("Too many tool calls at"), S("."));
    if (h->calls_count == CALLS_WATCHED_MAX)
        return R2A_OK;
    if (h->calls_count == h->calls_room) {
        uint32_t room = h->calls_room == 0 ? 8 : h->calls_room * 2;
        struct call *calls = arena_take(brief_scratch(r->brief), room * sizeof(*calls));

        if (calls == NULL)
            return read_fail_sink(r, R2A_ERR_NO_MEMORY);
        if (h->calls_count > 0)
            memcpy(calls, h->calls, h->calls_count * sizeof(*calls));
        h->calls = calls;
        h->calls_room = room;
    }
    h->calls[h->calls_count++] = (struct call){.id = id,
                                               .name = name,
                                               .is_legacy = (flags & IR_LEGACY) != 0,
                                               .is_custom = (flags & IR_CUSTOM) != 0};
    return R2A_OK;
}

/* The call that a result answers: by id, or (legacy functions, missing ids) the latest unanswered
 * one of that name, or the first unanswered one. */
static struct call *answered_call(struct history *h, struct text id, struct text name)
{
    struct call *found = NULL;

    for (uint32_t i = 0; i < h->calls_count; i++) {
        struct call *call = &h->calls[i];

        if (id.len > 0) {
            if (text_eq(call->id, id))
                found = call;
        } else if (!call->is_answered && name.len > 0) {
            if (text_eq(call->name, name))
                found = call;
        } else if (!call->is_answered && found == NULL) {
            found = call;
        }
    }
    if (found != NULL)
        found->is_answered = true;
    return found;
}

/* An id for a call that has none: the same history gives the same id. */
static enum r2a_err make_id(struct history *h, struct text name, struct text args, struct text *id)
{
    struct reading *r = h->r;
    struct rope seed = {.mem = r->brief->mem};
    char *to = arena_take(brief_scratch(r->brief), ID_DERIVED_BYTES);
    char *bytes;

    rope_put_u64(&seed, h->ids_made++);
    rope_put_char(&seed, ' ');
    text_write_plain(&seed, name);
    rope_put_char(&seed, ' ');
    text_write_plain(&seed, args);
    bytes = seed.err == R2A_OK ? arena_take(brief_scratch(r->brief), seed.bytes + 1) : NULL;
    if (to != NULL && bytes != NULL) {
        rope_copy_out(&seed, bytes);
        id_derive(slice_of(bytes, seed.bytes), to);
        *id = text_plain(slice_of(to, ID_DERIVED_BYTES));
    }
    rope_clear(&seed);
    return to != NULL && bytes != NULL ? R2A_OK : read_fail_sink(r, R2A_ERR_NO_MEMORY);
}

/* extra_content.google.thought_signature: Google's secret in Google's own place for it. */
static enum r2a_err put_extra(struct reading *r, uint32_t part, const struct member *extra)
{
    static const struct slice google_names[] = {S_INIT("google")};
    static const struct slice names[] = {S_INIT("thought_signature")};
    struct member google, member;

    if (!member_is(extra, JSON_OBJECT))
        return R2A_OK;
    READ_TRY(read_object(r, extra->raw, google_names, 1, &google, NULL));
    if (!member_is(&google, JSON_OBJECT))
        return R2A_OK;
    READ_TRY(read_object(r, google.raw, names, 1, &member, NULL));
    if (member_text(&member).len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_SEAL, part, member_text(&member), IR_SEAL_THOUGHT));
    return R2A_OK;
}

static enum r2a_err put_call(struct history *h, struct text id, const struct member *fn,
                             const struct member *args, const struct member *extra, uint8_t flags,
                             uint32_t part)
{
    struct reading *r = h->r;
    struct text body = member_is(args, JSON_OBJECT) ? member_json(args) : member_text(args);
    struct text name = member_text(fn);

    if (!member_is(fn, JSON_STRING))
        return member_is_present(fn) ? read_refuse_type(r, S("name"), fn->kind, S("a string"))
                                     : read_refuse_missing(r, S("name"));
    if (member_is_present(args) && !member_is(args, JSON_OBJECT) && !member_is(args, JSON_STRING))
        return read_refuse_type(r, flags & IR_CUSTOM ? S("input") : S("arguments"), args->kind,
                                S("a string"));
    if (id.len == 0)
        READ_TRY(make_id(h, name, body, &id));
    READ_TRY(note_call(h, id, name, flags));
    r->brief->text_bytes += name.len + body.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_CALL, flags, part, id, name));
    if (body.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, body));
    if (extra != NULL)
        READ_TRY(put_extra(r, part, extra));
    READ_PUT(put_part_end(r->tape, IR_PART_CALL, part));
    return R2A_OK;
}

enum invoked { INV_NAME, INV_ARGUMENTS, INV_INPUT, INVS };
static const struct slice invoked_names[INVS] = {S_INIT("name"), S_INIT("arguments"),
                                                 S_INIT("input")};

static enum r2a_err put_tool_call(struct history *h, struct json_scan *scan,
                                  const struct member *item, uint32_t part)
{
    struct reading *r = h->r;
    enum { ID, TYPE, FUNCTION, CUSTOM, EXTRA };
    static const struct slice names[] = {S_INIT("id"), S_INIT("type"), S_INIT("function"),
                                         S_INIT("custom"), S_INIT("extra_content")};
    struct member members[array_count(names)], inner[INVS];
    uint32_t which;
    bool is_custom;

    if (!member_is(item, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, item->kind, S("an object"));
    READ_TRY(read_entered(r, scan, names, array_count(names), members, NULL, NULL));
    if (member_is_present(&members[ID]) && !member_is(&members[ID], JSON_STRING))
        return read_refuse_type(r, S("id"), members[ID].kind, S("a string"));
    is_custom = member_is_present(&members[CUSTOM]) && !member_is_present(&members[FUNCTION]);
    which = is_custom ? CUSTOM : FUNCTION;
    if (!member_is(&members[which], JSON_OBJECT))
        return member_is_present(&members[which])
                   ? read_refuse_type(r, names[which], members[which].kind, S("an object"))
                   : read_refuse_missing(r, names[which]);
    read_enter(r, names[which]);
    READ_TRY(read_object(r, members[which].raw, invoked_names, INVS, inner, NULL));
    READ_TRY(put_call(h, member_text(&members[ID]), &inner[INV_NAME],
                      &inner[is_custom ? INV_INPUT : INV_ARGUMENTS], &members[EXTRA],
                      is_custom ? IR_CUSTOM : 0, part));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_calls(struct history *h, const struct member *message, uint32_t *part)
{
    struct reading *r = h->r;
    const struct member *tool_calls = &message[MSG_TOOL_CALLS];
    const struct member *legacy = &message[MSG_FUNCTION_CALL];
    struct member item, inner[INVS];
    struct json_scan scan;
    uint32_t index = 0;

    if (member_is_present(tool_calls) || member_is_present(legacy))
        h->calls_count = 0;
    if (member_is_present(tool_calls)) {
        read_enter(r, S("tool_calls"));
        if (!member_is(tool_calls, JSON_ARRAY))
            return read_refuse_type(r, (struct slice){0}, tool_calls->kind, S("an array"));
        for (read_open(r, &scan, tool_calls->raw); read_next_enter(&scan, &item); index++) {
            read_enter_index(r, index);
            READ_TRY(put_tool_call(h, &scan, &item, (*part)++));
            read_leave(r);
        }
        read_leave(r);
    }
    if (member_is_present(legacy)) {
        read_enter(r, S("function_call"));
        if (!member_is(legacy, JSON_OBJECT))
            return read_refuse_type(r, (struct slice){0}, legacy->kind, S("an object"));
        READ_TRY(read_object(r, legacy->raw, invoked_names, INVS, inner, NULL));
        READ_TRY(put_call(h, (struct text){0}, &inner[INV_NAME], &inner[INV_ARGUMENTS], NULL,
                          IR_LEGACY, (*part)++));
        read_leave(r);
    }
    return R2A_OK;
}

/* The letter in "gw1.<letter>.…". */
static uint8_t seal_letter(struct text seal)
{
    return seal.len > 5 ? (uint8_t)seal.ptr[4] : (uint8_t)IR_SEAL_NONE;
}

/* reasoning_details: their texts where nothing better told the reasoning, and our own seals. A
 * secret that is not ours was meant for whoever sent it, and nobody knows who that was. */
static enum r2a_err put_details(struct reading *r, const struct member *details, bool needs_text,
                                bool is_open, uint32_t *part)
{
    enum { TEXT, SUMMARY, DATA };
    static const struct slice names[] = {S_INIT("text"), S_INIT("summary"), S_INIT("data")};
    struct member item, members[array_count(names)];
    struct json_scan scan;

    if (!member_is(details, JSON_ARRAY))
        return R2A_OK;
    for (read_open(r, &scan, details->raw); read_next(&scan, &item);) {
        struct text text, data;
        uint8_t letter;

        if (!member_is(&item, JSON_OBJECT))
            continue;
        READ_TRY(read_object(r, item.raw, names, array_count(names), members, NULL));
        text = member_text(&members[member_is_present(&members[TEXT]) ? TEXT : SUMMARY]);
        data = member_text(&members[DATA]);
        if (needs_text && text.len > 0) {
            if (!is_open)
                READ_PUT(put_open(r->tape, IR_PART, IR_PART_REASON, 0, *part, (struct text){0},
                                  (struct text){0}));
            is_open = true;
            READ_PUT(put_text(r->tape, 0, *part, text));
            r->brief->text_bytes += text.len;
        }
        if (!seal_is_sealed(data))
            continue;
        letter = seal_letter(data);
        if (is_open && letter != IR_SEAL_REDACTED) {
            READ_PUT(put_field(r->tape, IR_FIELD_SEAL, *part, data, letter));
            READ_PUT(put_part_end(r->tape, IR_PART_REASON, (*part)++));
        } else {
            uint8_t what = letter == IR_SEAL_REDACTED ? IR_PART_REDACTED : IR_PART_REASON;

            if (is_open)
                READ_PUT(put_part_end(r->tape, IR_PART_REASON, (*part)++));
            READ_PUT(
                put_open(r->tape, IR_PART, what, 0, *part, (struct text){0}, (struct text){0}));
            READ_PUT(put_field(r->tape, IR_FIELD_SEAL, *part, data, letter));
            READ_PUT(put_part_end(r->tape, what, (*part)++));
        }
        is_open = false;
    }
    if (is_open)
        READ_PUT(put_part_end(r->tape, IR_PART_REASON, (*part)++));
    return R2A_OK;
}

static enum r2a_err put_reasons(struct reading *r, const struct member *message, uint32_t *part)
{
    struct text text = {0};

    for (uint32_t i = MSG_REASONING_CONTENT; i <= MSG_REASONING_TEXT && text.len == 0; i++)
        text = member_text(&message[i]);
    if (text.len > 0) {
        r->brief->text_bytes += text.len;
        READ_PUT(put_open(r->tape, IR_PART, IR_PART_REASON, 0, *part, (struct text){0},
                          (struct text){0}));
        READ_PUT(put_text(r->tape, IR_WHOLE, *part, text));
        if (!member_is(&message[MSG_REASONING_DETAILS], JSON_ARRAY))
            READ_PUT(put_part_end(r->tape, IR_PART_REASON, (*part)++));
    }
    return put_details(r, &message[MSG_REASONING_DETAILS], text.len == 0, text.len > 0, part);
}

static enum r2a_err put_assistant(struct history *h, const struct member *message)
{
    struct reading *r = h->r;
    const struct member *content = &message[MSG_CONTENT], *refusal = &message[MSG_REFUSAL];
    bool is_empty_string = member_is(content, JSON_STRING) && content->raw.len == 2;
    uint32_t part = 0;

    READ_TRY(put_reasons(r, message, &part));
    if (!is_empty_string)
        READ_TRY(put_content(
            r, content, openai_chat_has_mark(&message[MSG_CACHE_CONTROL], &message[MSG_BREAKPOINT]),
            &part));
    if (member_is(refusal, JSON_STRING) && member_text(refusal).len > 0)
        READ_TRY(put_text_part(r, IR_PART_REFUSAL, 0, part++, member_text(refusal)));
    return put_calls(h, message, &part);
}

/* A tool (or legacy function) message: one result of the user turn that all of them share. */
static enum r2a_err put_result(struct history *h, const struct member *message, bool is_legacy)
{
    struct reading *r = h->r;
    const struct member *id_member = &message[MSG_TOOL_CALL_ID];
    struct text id = member_text(id_member), name = member_text(&message[MSG_NAME]);
    uint32_t part = h->results_count++, nested = 0;
    const struct call *call;
    uint8_t flags = 0;

    if (member_is_present(id_member) && !member_is(id_member, JSON_STRING))
        return read_refuse_type(r, S("tool_call_id"), id_member->kind, S("a string"));
    if (is_legacy && name.len == 0)
        return read_refuse_missing(r, S("name"));
    if (is_legacy)
        id = (struct text){0};
    call = answered_call(h, id, name);
    if (call == NULL && id.len == 0 && !is_legacy)
        return read_refuse_missing(r, S("tool_call_id"));
    if (call != NULL) {
        id = call->id;
        name = call->name;
        flags = (uint8_t)((call->is_legacy ? IR_LEGACY : 0) | (call->is_custom ? IR_CUSTOM : 0));
    } else if (id.len == 0) {
        id = name;
        flags = IR_LEGACY;
    }
    if (openai_chat_has_mark(&message[MSG_CACHE_CONTROL], &message[MSG_BREAKPOINT]))
        flags |= IR_CACHE_MARK;
    if (!h->in_results)
        READ_PUT(put_plain(r->tape, IR_TURN, IR_ROLE_USER));
    h->in_results = true;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_RESULT, flags, part, id, name));
    READ_TRY(put_content(r, &message[MSG_CONTENT], false, &nested));
    READ_PUT(put_part_end(r->tape, IR_PART_RESULT, part));
    return R2A_OK;
}

static enum r2a_err end_results(struct history *h)
{
    struct reading *r = h->r;

    if (h->in_results)
        READ_PUT(put_plain(r->tape, IR_TURN_END, IR_ROLE_USER));
    h->in_results = false;
    h->results_count = 0;
    return R2A_OK;
}

static enum r2a_err put_message(struct history *h, struct json_scan *scan,
                                const struct member *item)
{
    struct reading *r = h->r;
    struct member message[MSGS];
    const struct member *name = &message[MSG_NAME];
    struct text role;
    uint8_t turn;
    uint32_t part = 0;

    if (!member_is(item, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, item->kind, S("an object"));
    READ_TRY(read_entered(r, scan, message_names, MSGS, message, "messages.", NULL));
    if (!member_is(&message[MSG_ROLE], JSON_STRING))
        return member_is_present(&message[MSG_ROLE])
                   ? read_refuse_type(r, S("role"), message[MSG_ROLE].kind, S("a string"))
                   : read_refuse_missing(r, S("role"));
    role = member_text(&message[MSG_ROLE]);
    if (text_is(role, S("tool")))
        return put_result(h, message, false);
    if (text_is(role, S("function")))
        return put_result(h, message, true);
    READ_TRY(end_results(h));
    if (text_is(role, S("system")))
        turn = IR_ROLE_SYSTEM;
    else if (text_is(role, S("developer")))
        turn = IR_ROLE_DEVELOPER;
    else if (text_is(role, S("user")))
        turn = IR_ROLE_USER;
    else if (text_is(role, S("assistant")))
        turn = IR_ROLE_ASSISTANT;
    else
        return read_refuse_value(
            r, S("role"),
            S(": expected 'system', 'developer', 'user', 'assistant', 'tool' or "
              "'function'."));
    READ_PUT(put_plain(r->tape, IR_TURN, turn));
    if (member_is(name, JSON_STRING) && member_text(name).len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_NAME, 0, member_text(name), 0));
    if (turn == IR_ROLE_ASSISTANT)
        READ_TRY(put_assistant(h, message));
    else
        READ_TRY(put_content(
            r, &message[MSG_CONTENT],
            openai_chat_has_mark(&message[MSG_CACHE_CONTROL], &message[MSG_BREAKPOINT]), &part));
    READ_PUT(put_plain(r->tape, IR_TURN_END, turn));
    return R2A_OK;
}

enum r2a_err openai_chat_messages_decode(struct reading *r, const struct member *messages)
{
    struct history history = {.r = r}, *h = &history;
    struct json_scan scan;
    struct member item;
    uint32_t index = 0;

    if (!member_is_present(messages))
        return read_refuse_missing(r, S("messages"));
    read_enter(r, S("messages"));
    if (!member_is(messages, JSON_ARRAY))
        return read_refuse_type(r, (struct slice){0}, messages->kind, S("an array"));
    for (read_open(r, &scan, messages->raw); read_next_enter(&scan, &item); index++) {
        read_enter_index(r, index);
        READ_TRY(put_message(h, &scan, &item));
        read_leave(r);
    }
    if (index == 0)
        return read_refuse_value(r, (struct slice){0}, S(": expected at least one message."));
    read_leave(r);
    return end_results(h);
}
