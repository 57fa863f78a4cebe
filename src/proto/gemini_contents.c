#include "gemini_read.h"

#include "r2a/core/base64.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Contents as turns (gemini.md 4.1, conversion.md 2.2, 2.6, 2.9). Calls and their responses are
 * paired here, for many clients send no ids: by id where both sides have it, else the k-th response
 * of a name answers the k-th unanswered call of that name. Ids made up are a function of the
 * history, so that the same history always yields the same. */

#define PENDING_MAX 128u /* calls of one model turn that may wait for a response */

struct pending {
    struct text given; /* the client's id, or empty */
    struct text id, name;
    bool is_answered;
};

struct contents {
    struct reading *r;
    struct pending *pending; /* PENDING_MAX of them, on first use */
    uint32_t pending_count;
    uint32_t turn;   /* index of the content */
    bool after_user; /* the next model content begins a new model turn */
};

enum part_key {
    PART_TEXT,
    PART_THOUGHT,
    PART_SIGNATURE,
    PART_INLINE,
    PART_FILE,
    PART_CALL,
    PART_RESPONSE,
    PART_CODE,
    PART_CODE_RESULT,
    PART_TOOL_CALL,
    PART_TOOL_RESPONSE,
    PART_VIDEO_METADATA,
    PART_RESOLUTION,
    PART_METADATA,
    PART_KEYS,
};

static const struct slice part_names[PART_KEYS * 2] = {
    GEMINI_NAME("text", "text"),
    GEMINI_NAME("thought", "thought"),
    GEMINI_NAME("thoughtSignature", "thought_signature"),
    GEMINI_NAME("inlineData", "inline_data"),
    GEMINI_NAME("fileData", "file_data"),
    GEMINI_NAME("functionCall", "function_call"),
    GEMINI_NAME("functionResponse", "function_response"),
    GEMINI_NAME("executableCode", "executable_code"),
    GEMINI_NAME("codeExecutionResult", "code_execution_result"),
    GEMINI_NAME("toolCall", "tool_call"),
    GEMINI_NAME("toolResponse", "tool_response"),
    GEMINI_NAME("videoMetadata", "video_metadata"),
    GEMINI_NAME("mediaResolution", "media_resolution"),
    GEMINI_NAME("partMetadata", "part_metadata"),
};

static const struct text none;

static enum r2a_err put_string_part(struct reading *r, uint32_t part, struct text text)
{
    r->brief->text_bytes += text.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_TEXT, 0, part, none, none));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, IR_PART_TEXT, part));
    return R2A_OK;
}

/* --- secrets (conversion.md 2.9) --- */

/* A sealed secret of another vendor travels as base64; any other value is Google's own. */
static enum r2a_err put_signature(struct reading *r, uint32_t part, const struct member *signature)
{
    struct text value = member_text(signature);
    struct slice plain;
    size_t size = 0;
    char *to;

    if (value.len == 0)
        return R2A_OK;
    if (text_starts(value, S("Z3cxL"))) { /* "gw1." */
        if (!text_to_plain(value, brief_scratch(r->brief), &plain) ||
            (to = arena_take(brief_scratch(r->brief), base64_decoded_max(plain.len))) == NULL)
            return read_fail_sink(r, R2A_ERR_NO_MEMORY);
        if ((base64_decode(to, plain, BASE64_PADDED, &size) ||
             base64_decode(to, plain, BASE64_UNPADDED, &size) ||
             base64_decode(to, plain, BASE64URL_UNPADDED, &size)) &&
            str_starts(slice_of(to, size), S("gw1."))) {
            bool is_ascii = true;

            for (size_t i = 0; i < size; i++)
                is_ascii &= to[i] > 0x20 && to[i] < 0x7f && to[i] != '"' && to[i] != '\\';
            value = is_ascii ? text_plain(slice_of(to, size)) : value;
        }
    }
    READ_PUT(put_field(r->tape, IR_FIELD_SEAL, part, value, IR_SEAL_THOUGHT));
    return R2A_OK;
}

/* --- media --- */

static uint8_t kind_of_mime(struct text mime)
{
    if (text_starts_nocase(mime, S("image/")))
        return IR_PART_IMAGE;
    if (text_starts_nocase(mime, S("audio/")))
        return IR_PART_AUDIO;
    return text_starts_nocase(mime, S("video/")) ? IR_PART_VIDEO : IR_PART_FILE;
}

/* bytes in proto JSON may be URL-safe and unpadded; nobody else takes that. */
static struct text plain_base64(struct reading *r, struct text data)
{
    uint32_t len = data.len, padding;
    char *to;

    if (len == 0 || (len % 4 == 0 && text_is_common_base64(data)) ||
        memchr(data.ptr, '\\', len) != NULL)
        return data;
    padding = (4 - len % 4) % 4;
    to = arena_take(brief_scratch(r->brief), (size_t)len + 4);
    if (to == NULL || padding == 3)
        return data;
    for (uint32_t i = 0; i < len; i++)
        to[i] = data.ptr[i] == '-' ? '+' : data.ptr[i] == '_' ? '/' : data.ptr[i];
    for (uint32_t i = 0; i < padding; i++)
        to[len++] = '=';
    return text_escaped(slice_of(to, len));
}

static enum r2a_err put_resolution(struct reading *r, uint32_t part, const struct member *value)
{
    static const struct slice names[] = {S_INIT("level")};
    struct member found[1];
    struct text level;
    struct slice word = {0};

    if (!member_is(value, JSON_OBJECT) || !members_of(value->raw, names, 1, found))
        return R2A_OK;
    level = member_text(&found[0]);
    if (text_is_nocase(level, S("MEDIA_RESOLUTION_LOW")))
        word = S("low");
    else if (text_starts_nocase(level, S("MEDIA_RESOLUTION_HIGH")) ||
             text_starts_nocase(level, S("MEDIA_RESOLUTION_ULTRA_HIGH")))
        word = S("high");
    if (word.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_DETAIL, part, text_plain(word), 0));
    return R2A_OK;
}

/* `level`: 1 inside a response. */
static enum r2a_err read_inline(struct reading *r, const struct member *members, uint32_t part)
{
    enum { MIME, DATA, NAME, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("mimeType", "mime_type"),
        GEMINI_NAME("data", "data"),
        GEMINI_NAME("displayName", "display_name"),
    };
    struct member found[KEYS * 2];
    struct text mime;
    uint8_t kind;

    read_enter(r, part_names[PART_INLINE * 2]);
    READ_TRY(gemini_read_object(r, &members[PART_INLINE], names, KEYS, found, NULL));
    if (!member_is(&found[DATA], JSON_STRING))
        return member_is_present(&found[DATA])
                   ? read_refuse_type(r, S("data"), found[DATA].kind, S("a string"))
                   : read_refuse_missing(r, S("data"));
    mime = member_text(&found[MIME]);
    if (mime.len == 0)
        mime = text_plain(mime_sniff(member_text(&found[DATA])));
    kind = kind_of_mime(mime);
    r->brief->images_count += kind == IR_PART_IMAGE;
    READ_PUT(put_open(r->tape, IR_PART, kind, 0, part, none, none));
    READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, none, IR_SOURCE_BASE64));
    if (mime.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_MIME, part, mime, 0));
    if (member_text(&found[NAME]).len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_TITLE, part, member_text(&found[NAME]), 0));
    READ_TRY(put_resolution(r, part, &members[PART_RESOLUTION]));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, plain_base64(r, member_text(&found[DATA]))));
    READ_PUT(put_part_end(r->tape, kind, part));
    read_leave(r);
    return R2A_OK;
}

/* What only Google can fetch is no URL to anybody else. */
static bool is_at_google(struct text uri)
{
    return text_starts(uri, S("gs://")) || text_starts(uri, S("files/")) ||
           text_starts(uri, S("https://generativelanguage.googleapis.com/"));
}

static enum r2a_err read_file(struct reading *r, const struct member *members, uint32_t part)
{
    enum { MIME, URI, NAME, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("mimeType", "mime_type"),
        GEMINI_NAME("fileUri", "file_uri"),
        GEMINI_NAME("displayName", "display_name"),
    };
    struct member found[KEYS * 2];
    struct text mime, uri;
    uint8_t kind;

    read_enter(r, part_names[PART_FILE * 2]);
    READ_TRY(gemini_read_object(r, &members[PART_FILE], names, KEYS, found, NULL));
    uri = member_text(&found[URI]);
    if (uri.len == 0)
        return read_refuse_missing(r, S("fileUri"));
    mime = member_text(&found[MIME]);
    if (mime.len == 0)
        mime = text_plain(mime_of_name(uri));
    kind = kind_of_mime(mime);
    r->brief->images_count += kind == IR_PART_IMAGE;
    READ_PUT(put_open(r->tape, IR_PART, kind, 0, part, none, none));
    READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, none,
                       is_at_google(uri) ? IR_SOURCE_FILE_ID : IR_SOURCE_URL));
    if (mime.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_MIME, part, mime, 0));
    if (member_text(&found[NAME]).len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_TITLE, part, member_text(&found[NAME]), 0));
    READ_TRY(put_resolution(r, part, &members[PART_RESOLUTION]));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, uri));
    READ_PUT(put_part_end(r->tape, kind, part));
    read_leave(r);
    return R2A_OK;
}

/* --- calls --- */

static enum r2a_err derive_id(struct contents *c, uint32_t part, struct text name,
                              struct slice args, struct text *id)
{
    struct arena *arena = brief_scratch(c->r->brief);
    char *to = arena_take(arena, ID_DERIVED_BYTES);
    size_t size = 48 + (size_t)name.len + args.len;
    char *seed = arena_take(arena, size);
    struct str_buf buf = {.ptr = seed, .size = size};

    if (to == NULL || seed == NULL)
        return read_fail_sink(c->r, R2A_ERR_NO_MEMORY);
    str_buf_put_u64(&buf, c->turn);
    str_buf_put_char(&buf, '\n');
    str_buf_put_u64(&buf, part);
    str_buf_put_char(&buf, '\n');
    str_buf_put(&buf, text_bytes(name));
    str_buf_put_char(&buf, '\n');
    str_buf_put(&buf, args);
    id_derive(str_buf_slice(&buf), to);
    *id = text_plain(slice_of(to, ID_DERIVED_BYTES));
    return R2A_OK;
}

static enum r2a_err add_pending(struct contents *c, struct text given, struct text id,
                                struct text name)
{
    if (c->pending == NULL)
        c->pending = arena_take(brief_scratch(c->r->brief), PENDING_MAX * sizeof(*c->pending));
    if (c->pending == NULL)
        return read_fail_sink(c->r, R2A_ERR_NO_MEMORY);
    if (c->pending_count == PENDING_MAX)
        return read_refuse(c->r, S("Too many function calls in one turn at"), S(" (128 at most)."));
    c->pending[c->pending_count++] = (struct pending){.given = given, .id = id, .name = name};
    return R2A_OK;
}

/* The call that a response answers, or NULL. */
static struct pending *find_pending(struct contents *c, struct text id, struct text name)
{
    for (uint32_t i = 0; id.len > 0 && i < c->pending_count; i++)
        if (!c->pending[i].is_answered && text_eq(c->pending[i].given, id))
            return &c->pending[i];
    for (uint32_t i = 0; id.len > 0 && i < c->pending_count; i++)
        if (text_eq(c->pending[i].given, id))
            return &c->pending[i];
    for (uint32_t i = 0; i < c->pending_count; i++)
        if (!c->pending[i].is_answered && (name.len == 0 || text_eq(c->pending[i].name, name)))
            return &c->pending[i];
    return NULL;
}

/* An id that another call of the turn has already would join their results. */
static bool is_taken(const struct contents *c, struct text id)
{
    for (uint32_t i = 0; i < c->pending_count; i++)
        if (text_eq(c->pending[i].id, id))
            return true;
    return false;
}

static enum r2a_err read_call(struct contents *c, const struct member *members, uint32_t part)
{
    enum { ID, NAME, ARGS, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("id", "id"), GEMINI_NAME("name", "name"), GEMINI_NAME("args", "args")};
    struct reading *r = c->r;
    struct member found[KEYS * 2];
    struct text id, name, args;

    read_enter(r, part_names[PART_CALL * 2]);
    READ_TRY(gemini_read_object(r, &members[PART_CALL], names, KEYS, found, NULL));
    name = member_text(&found[NAME]);
    if (name.len == 0)
        return read_refuse_missing(r, S("name"));
    if (member_is_present(&found[ARGS]) && !member_is(&found[ARGS], JSON_OBJECT))
        return read_refuse_type(r, S("args"), found[ARGS].kind, S("an object"));
    args = member_is_present(&found[ARGS]) ? member_json(&found[ARGS]) : text_json(S("{}"));
    id = member_text(&found[ID]);
    if (id.len == 0 || is_taken(c, id))
        READ_TRY(derive_id(c, part, name, text_bytes(args), &id));
    READ_TRY(add_pending(c, member_text(&found[ID]), id, name));
    r->brief->text_bytes += args.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_CALL, 0, part, id, name));
    READ_TRY(put_signature(r, part, &members[PART_SIGNATURE]));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, args));
    READ_PUT(put_part_end(r->tape, IR_PART_CALL, part));
    read_leave(r);
    return R2A_OK;
}

/* --- responses --- */

/* What a response says: of `output`, `result` or `error` alone its value, else all of it. */
struct said {
    struct text text;
    bool is_error;
};

static struct said said_of(const struct member *response)
{
    struct said said = {.text = member_json(response)};
    struct json_scan scan;
    struct slice value;
    bool is_error, is_value;

    json_open(&scan, response->raw);
    if (json_next(&scan) != JSON_OBJECT || json_next(&scan) != JSON_KEY)
        return said;
    is_error = json_key_is(&scan, S("error"));
    is_value = json_key_is(&scan, S("output")) || json_key_is(&scan, S("result"));
    if (!(is_error || is_value) || !json_skip(&scan, &value) || json_next(&scan) != JSON_OBJECT_END)
        return said;
    said.is_error = is_error;
    said.text = value.ptr[0] == '"' ? text_escaped(slice_of(value.ptr + 1, value.len - 2))
                                    : text_json(value);
    return said;
}

static enum r2a_err read_response_media(struct reading *r, const struct member *parts,
                                        uint32_t *next)
{
    struct member members[PART_KEYS * 2], item;
    struct gemini_list list = {0};

    read_enter(r, S("parts"));
    while (gemini_list_next(r, &list, parts, &item)) {
        read_enter_index(r, list.index);
        READ_TRY(gemini_read_object(r, &item, part_names, PART_KEYS, members, NULL));
        if (member_is_present(&members[PART_INLINE]))
            READ_TRY(read_inline(r, members, (*next)++));
        else if (member_is_present(&members[PART_FILE]))
            READ_TRY(read_file(r, members, (*next)++));
        else if (member_text(&members[PART_TEXT]).len > 0)
            READ_TRY(put_string_part(r, (*next)++, member_text(&members[PART_TEXT])));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err read_response(struct contents *c, const struct member *members, uint32_t part)
{
    enum { ID, NAME, RESPONSE, PARTS, SCHEDULING, CONTINUE, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("id", "id"),
        GEMINI_NAME("name", "name"),
        GEMINI_NAME("response", "response"),
        GEMINI_NAME("parts", "parts"),
        GEMINI_NAME("scheduling", "scheduling"),
        GEMINI_NAME("willContinue", "will_continue"),
    };
    struct reading *r = c->r;
    struct member found[KEYS * 2];
    struct pending *call;
    struct said said = {0};
    struct text id, name;
    uint32_t nested = 0;

    read_enter(r, part_names[PART_RESPONSE * 2]);
    READ_TRY(gemini_read_object(r, &members[PART_RESPONSE], names, KEYS, found, NULL));
    id = member_text(&found[ID]);
    name = member_text(&found[NAME]);
    call = find_pending(c, id, name);
    if (call != NULL) {
        call->is_answered = true;
        id = call->id;
        name = call->name;
    } else if (id.len == 0) {
        READ_TRY(derive_id(c, part, name, S("response"), &id));
    }
    if (member_is_present(&found[RESPONSE]))
        said = said_of(&found[RESPONSE]);
    r->brief->text_bytes += said.text.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_RESULT, said.is_error ? IR_IS_ERROR : 0, part, id,
                      name));
    if (member_is(&found[RESPONSE], JSON_OBJECT))
        READ_PUT(put_field(r->tape, IR_FIELD_RAW, part, member_json(&found[RESPONSE]), 0));
    if (said.text.len > 0) {
        READ_PUT(put_open(r->tape, IR_PART, IR_PART_TEXT, 0, nested, none, none));
        READ_PUT(put_text(r->tape, IR_WHOLE, nested, said.text));
        READ_PUT(put_part_end(r->tape, IR_PART_TEXT, nested++));
    }
    READ_TRY(read_response_media(r, &found[PARTS], &nested));
    READ_PUT(put_part_end(r->tape, IR_PART_RESULT, part));
    read_leave(r);
    return R2A_OK;
}

/* --- parts --- */

struct place {
    uint32_t next; /* number of the next part */
    uint8_t role;
    bool has_reason;        /* a REASON is open: more thoughts continue it */
    uint32_t seals_to_skip; /* empty thought parts whose secret was given to an earlier one */
};

static enum r2a_err close_reason(struct reading *r, struct place *place)
{
    if (!place->has_reason)
        return R2A_OK;
    place->has_reason = false;
    READ_PUT(put_part_end(r->tape, IR_PART_REASON, place->next++));
    return R2A_OK;
}

/* A secret that had no call to travel on follows its thought late, on an empty thought part of its
 * own: the first one behind `scan` that no call precedes. */
static const struct member *find_late_seal(const struct json_scan *from, struct member *members)
{
    struct json_scan scan = *from;
    struct member item;

    while (read_next(&scan, &item)) {
        if (!member_is(&item, JSON_OBJECT) ||
            !members_of(item.raw, part_names, PART_KEYS * 2, members))
            return NULL;
        gemini_fold(members, PART_KEYS);
        if (member_is_present(&members[PART_CALL]))
            return NULL;
        if (member_is(&members[PART_THOUGHT], JSON_TRUE))
            return member_text(&members[PART_TEXT]).len == 0 &&
                           member_text(&members[PART_SIGNATURE]).len > 0
                       ? &members[PART_SIGNATURE]
                       : NULL;
    }
    return NULL;
}

/* Thought parts that follow each other are one reasoning, up to a secret. */
static enum r2a_err read_thought(struct reading *r, const struct member *members,
                                 struct place *place)
{
    struct text text = member_text(&members[PART_TEXT]);
    bool has_secret = member_text(&members[PART_SIGNATURE]).len > 0;

    if (text.len == 0 && !has_secret)
        return R2A_OK;
    if (text.len == 0 && place->seals_to_skip > 0) {
        place->seals_to_skip--;
        return R2A_OK;
    }
    if (!place->has_reason)
        READ_PUT(put_open(r->tape, IR_PART, IR_PART_REASON, 0, place->next, none, none));
    place->has_reason = true;
    if (text.len > 0)
        READ_PUT(put_text(r->tape, 0, place->next, text));
    r->brief->text_bytes += text.len;
    if (!has_secret)
        return R2A_OK;
    READ_TRY(put_signature(r, place->next, &members[PART_SIGNATURE]));
    return close_reason(r, place);
}

/* The end of a run of thoughts without a secret: it may come late. */
static enum r2a_err end_thoughts(struct reading *r, const struct gemini_list *list,
                                 struct place *place)
{
    struct member members[PART_KEYS * 2];
    const struct member *late;

    if (!place->has_reason)
        return R2A_OK;
    late = list->scan.begin != NULL ? find_late_seal(&list->scan, members) : NULL;
    if (late != NULL) {
        READ_TRY(put_signature(r, place->next, late));
        place->seals_to_skip++;
    }
    return close_reason(r, place);
}

static enum r2a_err read_opaque(struct reading *r, const struct member *part, enum part_key key,
                                struct place *place)
{
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_OPAQUE, 0, place->next, text_plain(S("gemini")),
                      text_plain(part_names[key * 2])));
    READ_PUT(put_text(r->tape, IR_WHOLE, place->next, member_json(part)));
    READ_PUT(put_part_end(r->tape, IR_PART_OPAQUE, place->next++));
    return R2A_OK;
}

static enum r2a_err read_part(struct contents *c, const struct member *part,
                              const struct gemini_list *list, struct place *place)
{
    struct member members[PART_KEYS * 2];
    struct reading *r = c->r;

    READ_TRY(gemini_read_object(r, part, part_names, PART_KEYS, members, "parts."));
    if (member_is(&members[PART_THOUGHT], JSON_TRUE) && place->role == IR_ROLE_ASSISTANT &&
        !member_is_present(&members[PART_CALL]))
        return read_thought(r, members, place);
    if (member_is_present(&members[PART_CALL])) /* which brings the secret, if any */
        READ_TRY(close_reason(r, place));
    else
        READ_TRY(end_thoughts(r, list, place));
    if (place->role == IR_ROLE_SYSTEM && !member_is_present(&members[PART_TEXT]))
        return read_refuse_value(r, (struct slice){0}, S(": systemInstruction holds text only."));
    if (member_is_present(&members[PART_CALL])) {
        if (place->role != IR_ROLE_ASSISTANT)
            return read_refuse_value(r, part_names[PART_CALL * 2],
                                     S(": functionCall parts belong to the role model."));
        return read_call(c, members, place->next++);
    }
    if (member_is_present(&members[PART_RESPONSE])) {
        if (place->role != IR_ROLE_USER)
            return read_refuse_value(r, part_names[PART_RESPONSE * 2],
                                     S(": functionResponse parts belong to the role user."));
        return read_response(c, members, place->next++);
    }
    if (member_is_present(&members[PART_INLINE]))
        return read_inline(r, members, place->next++);
    if (member_is_present(&members[PART_FILE]))
        return read_file(r, members, place->next++);
    for (enum part_key key = PART_CODE; key <= PART_TOOL_RESPONSE; key++)
        if (member_is_present(&members[key]))
            return read_opaque(r, part, key, place);
    if (!member_is_present(&members[PART_TEXT]))
        return R2A_OK; /* {} is what an empty chunk leaves in a history */
    if (!member_is(&members[PART_TEXT], JSON_STRING))
        return read_refuse_type(r, part_names[0], members[PART_TEXT].kind, S("a string"));
    if (member_text(&members[PART_TEXT]).len == 0)
        return R2A_OK;
    return put_string_part(r, place->next++, member_text(&members[PART_TEXT]));
}

static enum r2a_err read_parts(struct contents *c, const struct member *parts, struct place *place)
{
    struct gemini_list list = {0};
    struct reading *r = c->r;
    struct member item;

    read_enter(r, S("parts"));
    while (gemini_list_next(r, &list, parts, &item)) {
        read_enter_index(r, list.index);
        if (member_is(&item, JSON_STRING)) /* the SDKs' short form, sent as it is by some */
            READ_TRY(put_string_part(r, place->next++, member_text(&item)));
        else
            READ_TRY(read_part(c, &item, &list, place));
        read_leave(r);
    }
    READ_TRY(close_reason(r, place));
    read_leave(r);
    return R2A_OK;
}

/* --- contents --- */

enum { CONTENT_ROLE, CONTENT_PARTS, CONTENT_KEYS };
static const struct slice content_names[CONTENT_KEYS * 2] = {GEMINI_NAME("role", "role"),
                                                             GEMINI_NAME("parts", "parts")};

enum r2a_err gemini_read_system(struct reading *r, const struct member *system)
{
    struct contents c = {.r = r};
    struct place place = {.role = IR_ROLE_SYSTEM};
    struct member members[CONTENT_KEYS * 2];
    const struct member *parts = system;

    if (!member_is_present(system))
        return R2A_OK;
    read_enter(r, S("systemInstruction"));
    if (member_is(system, JSON_OBJECT)) {
        READ_TRY(gemini_read_object(r, system, content_names, CONTENT_KEYS, members, NULL));
        parts = &members[CONTENT_PARTS];
    } else if (!member_is(system, JSON_STRING) && !member_is(system, JSON_ARRAY)) {
        return read_refuse_type(r, (struct slice){0}, system->kind, S("an object"));
    }
    READ_PUT(put_plain(r->tape, IR_TURN, IR_ROLE_SYSTEM));
    READ_TRY(read_parts(&c, parts, &place));
    READ_PUT(put_plain(r->tape, IR_TURN_END, IR_ROLE_SYSTEM));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err read_content(struct contents *c, const struct member *content)
{
    struct reading *r = c->r;
    struct member members[CONTENT_KEYS * 2];
    struct place place = {.role = IR_ROLE_USER};
    struct text role;

    READ_TRY(gemini_read_object(r, content, content_names, CONTENT_KEYS, members, "contents."));
    role = member_text(&members[CONTENT_ROLE]);
    if (text_is(role, S("model")) || text_is(role, S("assistant"))) {
        place.role = IR_ROLE_ASSISTANT;
        if (c->after_user)
            c->pending_count = 0;
        c->after_user = false;
    } else if (role.len == 0 || text_is(role, S("user")) || text_is(role, S("function")) ||
               text_is(role, S("tool"))) {
        c->after_user = true;
    } else {
        return read_refuse_value(r, S("role"), S(": it must be user or model."));
    }
    READ_PUT(put_plain(r->tape, IR_TURN, place.role));
    READ_TRY(read_parts(c, &members[CONTENT_PARTS], &place));
    READ_PUT(put_plain(r->tape, IR_TURN_END, place.role));
    return R2A_OK;
}

enum r2a_err gemini_read_contents(struct reading *r, const struct member *contents)
{
    struct contents c = {.r = r};
    struct gemini_list list = {0};
    struct member item;

    if (!member_is_present(contents))
        return read_refuse_missing(r, S("contents"));
    read_enter(r, S("contents"));
    if (member_is(contents, JSON_STRING)) {
        READ_PUT(put_plain(r->tape, IR_TURN, IR_ROLE_USER));
        READ_TRY(put_string_part(r, 0, member_text(contents)));
        READ_PUT(put_plain(r->tape, IR_TURN_END, IR_ROLE_USER));
        read_leave(r);
        return R2A_OK;
    }
    while (gemini_list_next(r, &list, contents, &item)) {
        read_enter_index(r, list.index);
        c.turn = list.index;
        READ_TRY(read_content(&c, &item));
        read_leave(r);
    }
    if (list.index == 0 && member_is(contents, JSON_ARRAY) && contents->raw.len <= 2)
        return read_refuse_value(r, (struct slice){0}, S(": at least one content is required."));
    read_leave(r);
    return R2A_OK;
}
