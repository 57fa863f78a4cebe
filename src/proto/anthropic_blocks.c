#include "anthropic_read.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Messages and their content blocks onto the tape. A block of a type that only Anthropic has
 * (server tools and their results, compaction …) is OPAQUE: nobody else writes it again. */

enum block_key {
    BLOCK_TYPE,
    BLOCK_TEXT,
    BLOCK_CITATIONS,
    BLOCK_CACHE,
    BLOCK_SOURCE,
    BLOCK_TITLE,
    BLOCK_CONTEXT,
    BLOCK_CONTENT,
    BLOCK_ID,
    BLOCK_NAME,
    BLOCK_INPUT,
    BLOCK_TOOL_USE_ID,
    BLOCK_IS_ERROR,
    BLOCK_THINKING,
    BLOCK_SIGNATURE,
    BLOCK_DATA,
    BLOCK_KEYS,
};

static const struct slice block_names[BLOCK_KEYS] = {
    [BLOCK_TYPE] = S_INIT("type"),
    [BLOCK_TEXT] = S_INIT("text"),
    [BLOCK_CITATIONS] = S_INIT("citations"),
    [BLOCK_CACHE] = S_INIT("cache_control"),
    [BLOCK_SOURCE] = S_INIT("source"),
    [BLOCK_TITLE] = S_INIT("title"),
    [BLOCK_CONTEXT] = S_INIT("context"),
    [BLOCK_CONTENT] = S_INIT("content"),
    [BLOCK_ID] = S_INIT("id"),
    [BLOCK_NAME] = S_INIT("name"),
    [BLOCK_INPUT] = S_INIT("input"),
    [BLOCK_TOOL_USE_ID] = S_INIT("tool_use_id"),
    [BLOCK_IS_ERROR] = S_INIT("is_error"),
    [BLOCK_THINKING] = S_INIT("thinking"),
    [BLOCK_SIGNATURE] = S_INIT("signature"),
    [BLOCK_DATA] = S_INIT("data"),
};

/* Where a block goes: its holder's next part number. Level 0 is a message, 1 a tool_result or
 * document or search result, where parts hold no parts, 2 a document of blocks in there, whose
 * blocks are its holder's. */
struct place {
    uint32_t *next;
    uint8_t role;
    uint8_t level;
};
#define PLACE_LEVEL_MAX 2u

static const struct text none;

static enum r2a_err read_block(struct reading *r, const struct member *block, struct place place);

uint8_t anthropic_mark(const struct member *cache_control)
{
    return member_is(cache_control, JSON_OBJECT) ? IR_CACHE_MARK : 0;
}

static enum r2a_err need_string(struct reading *r, const struct member *members, enum block_key key)
{
    if (member_is(&members[key], JSON_STRING))
        return R2A_OK;
    if (!member_is_present(&members[key]))
        return read_refuse_missing(r, block_names[key]);
    return read_refuse_type(r, block_names[key], members[key].kind, S("a string"));
}

/* A field of a part, when the member is a string. */
static enum r2a_err put_member(struct reading *r, uint8_t field, uint32_t part,
                               const struct member *member)
{
    if (!member_is(member, JSON_STRING) || member->raw.len == 2)
        return R2A_OK;
    READ_PUT(put_field(r->tape, field, part, member_text(member), 0));
    return R2A_OK;
}

static enum r2a_err put_string_part(struct reading *r, uint8_t flags, uint32_t part,
                                    struct text text)
{
    r->brief->text_bytes += text.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_TEXT, flags, part, none, none));
    if (text.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, IR_PART_TEXT, part));
    return R2A_OK;
}

/* --- text --- */

static enum r2a_err read_text(struct reading *r, const struct member *members, struct place place)
{
    uint32_t part = (*place.next)++;
    struct text text = member_text(&members[BLOCK_TEXT]);

    READ_TRY(need_string(r, members, BLOCK_TEXT));
    r->brief->text_bytes += text.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_TEXT, anthropic_mark(&members[BLOCK_CACHE]), part,
                      none, none));
    if (member_is(&members[BLOCK_CITATIONS], JSON_ARRAY) && members[BLOCK_CITATIONS].raw.len > 2)
        READ_PUT(put_field(r->tape, IR_FIELD_CITATIONS, part,
                           member_json(&members[BLOCK_CITATIONS]), 0));
    if (text.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, IR_PART_TEXT, part));
    return R2A_OK;
}

/* --- blocks within blocks --- */

/* `content`: a string or an array of blocks. */
static enum r2a_err read_content(struct reading *r, const struct member *content,
                                 struct place place)
{
    struct json_scan scan;
    struct member block;
    uint32_t index = 0;

    if (!member_is_present(content))
        return R2A_OK;
    if (member_is(content, JSON_STRING))
        return put_string_part(r, 0, (*place.next)++, member_text(content));
    if (place.level < PLACE_LEVEL_MAX)
        read_enter(r, block_names[BLOCK_CONTENT]);
    if (!member_is(content, JSON_ARRAY))
        return read_refuse_type(r, (struct slice){0}, content->kind,
                                S("a string or an array of blocks"));
    read_open(r, &scan, content->raw);
    while (read_next(&scan, &block)) {
        if (place.level < PLACE_LEVEL_MAX)
            read_enter_index(r, index++);
        READ_TRY(read_block(r, &block, place));
        if (place.level < PLACE_LEVEL_MAX)
            read_leave(r);
    }
    if (place.level < PLACE_LEVEL_MAX)
        read_leave(r);
    return R2A_OK;
}

/* --- images and documents --- */

/* A source object; what it says of the body. */
struct source {
    uint8_t source; /* enum ir_source */
    const struct member *content;
    struct text mime, body;
    struct member members[6];
};

static enum r2a_err read_source(struct reading *r, const struct member *source,
                                struct source *result)
{
    enum { TYPE, MEDIA_TYPE, DATA, URL, FILE_ID, CONTENT, KEYS };
    static const struct slice names[KEYS] = {S_INIT("type"),    S_INIT("media_type"),
                                             S_INIT("data"),    S_INIT("url"),
                                             S_INIT("file_id"), S_INIT("content")};
    uint32_t body = DATA;
    struct text type;

    if (!member_is_present(source))
        return read_refuse_missing(r, block_names[BLOCK_SOURCE]);
    read_enter(r, block_names[BLOCK_SOURCE]);
    READ_TRY(read_object(r, source->raw, names, KEYS, result->members, NULL));
    type = member_text(&result->members[TYPE]);
    result->content = NULL;
    result->mime = member_text(&result->members[MEDIA_TYPE]);
    if (text_is(type, S("base64"))) {
        result->source = IR_SOURCE_BASE64;
    } else if (text_is(type, S("url"))) {
        result->source = IR_SOURCE_URL;
        body = URL;
    } else if (text_is(type, S("file"))) {
        result->source = IR_SOURCE_FILE_ID;
        body = FILE_ID;
    } else if (text_is(type, S("text"))) {
        result->source = IR_SOURCE_TEXT;
    } else if (text_is(type, S("content"))) {
        result->source = IR_SOURCE_TEXT;
        result->content = &result->members[CONTENT];
        read_leave(r);
        return R2A_OK;
    } else {
        return read_refuse_value(r, names[TYPE],
                                 S(": it must be base64, url, file, text or "
                                   "content."));
    }
    if (!member_is(&result->members[body], JSON_STRING))
        return member_is_present(&result->members[body])
                   ? read_refuse_type(r, names[body], result->members[body].kind, S("a string"))
                   : read_refuse_missing(r, names[body]);
    result->body = member_text(&result->members[body]);
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_source(struct reading *r, uint32_t part, const struct source *source)
{
    struct text mime = source->mime;

    READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, none, source->source));
    if (mime.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_MIME, part, mime, 0));
    if (source->source == IR_SOURCE_TEXT)
        r->brief->text_bytes += source->body.len;
    if (source->body.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, source->body));
    return R2A_OK;
}

static enum r2a_err read_image(struct reading *r, const struct member *members, struct place place)
{
    uint32_t part = (*place.next)++;
    struct source source = {0};

    READ_TRY(read_source(r, &members[BLOCK_SOURCE], &source));
    if (source.source == IR_SOURCE_TEXT)
        return read_refuse_value(r, block_names[BLOCK_SOURCE], S(": an image is no text."));
    r->brief->images_count++;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_IMAGE, anthropic_mark(&members[BLOCK_CACHE]), part,
                      none, none));
    READ_TRY(put_source(r, part, &source));
    READ_PUT(put_part_end(r->tape, IR_PART_IMAGE, part));
    return R2A_OK;
}

static enum r2a_err read_document(struct reading *r, const struct member *members,
                                  struct place place)
{
    struct source source = {0};
    uint32_t part, nested = 0;

    READ_TRY(read_source(r, &members[BLOCK_SOURCE], &source));
    /* A document of blocks inside a result: its blocks are the result's. */
    if (source.content != NULL && place.level == PLACE_LEVEL_MAX)
        return read_refuse_value(r, block_names[BLOCK_SOURCE], S(": documents nest too deeply."));
    if (source.content != NULL && place.level > 0) {
        place.level = PLACE_LEVEL_MAX;
        return read_content(r, source.content, place);
    }
    part = (*place.next)++;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_FILE, anthropic_mark(&members[BLOCK_CACHE]), part,
                      none, none));
    READ_TRY(put_member(r, IR_FIELD_TITLE, part, &members[BLOCK_TITLE]));
    READ_TRY(put_member(r, IR_FIELD_CONTEXT, part, &members[BLOCK_CONTEXT]));
    if (member_is(&members[BLOCK_CITATIONS], JSON_OBJECT))
        READ_PUT(put_field(r->tape, IR_FIELD_CITATIONS, part,
                           member_json(&members[BLOCK_CITATIONS]), 0));
    if (source.content != NULL) {
        READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, none, IR_SOURCE_TEXT));
        READ_TRY(read_content(r, source.content,
                              (struct place){.next = &nested, .role = place.role, .level = 1}));
    } else {
        READ_TRY(put_source(r, part, &source));
    }
    READ_PUT(put_part_end(r->tape, IR_PART_FILE, part));
    return R2A_OK;
}

/* --- search results --- */

/* Inside a result a search result is one text, `title\nsource\n\ntext`: parts nest two levels. */
static enum r2a_err flatten_search(struct reading *r, const struct member *members,
                                   struct place place)
{
    size_t size = members[BLOCK_TITLE].raw.len + members[BLOCK_SOURCE].raw.len +
                  members[BLOCK_CONTENT].raw.len + 16;
    char *to = arena_take(brief_scratch(r->brief), size);
    struct str_buf buf = {.ptr = to, .size = size};
    struct json_scan scan;
    struct member block, inner[BLOCK_KEYS];

    if (to == NULL)
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    str_buf_put(&buf, text_bytes(member_text(&members[BLOCK_TITLE])));
    str_buf_put(&buf, S("\\n"));
    str_buf_put(&buf, text_bytes(member_text(&members[BLOCK_SOURCE])));
    str_buf_put(&buf, S("\\n\\n"));
    if (member_is(&members[BLOCK_CONTENT], JSON_ARRAY)) {
        bool is_first = true;

        read_open(r, &scan, members[BLOCK_CONTENT].raw);
        while (read_next(&scan, &block)) {
            if (!member_is(&block, JSON_OBJECT))
                continue;
            READ_TRY(read_object(r, block.raw, block_names, BLOCK_KEYS, inner, NULL));
            if (!is_first)
                str_buf_put(&buf, S("\\n"));
            is_first = false;
            str_buf_put(&buf, text_bytes(member_text(&inner[BLOCK_TEXT])));
        }
    }
    return put_string_part(r, anthropic_mark(&members[BLOCK_CACHE]), (*place.next)++,
                           text_escaped(str_buf_slice(&buf)));
}

static enum r2a_err read_search(struct reading *r, const struct member *members, struct place place)
{
    uint32_t part, nested = 0;

    READ_TRY(need_string(r, members, BLOCK_SOURCE));
    READ_TRY(need_string(r, members, BLOCK_TITLE));
    if (place.level > 0)
        return flatten_search(r, members, place);
    part = (*place.next)++;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_SEARCH, anthropic_mark(&members[BLOCK_CACHE]), part,
                      none, none));
    READ_TRY(put_member(r, IR_FIELD_TITLE, part, &members[BLOCK_TITLE]));
    READ_TRY(put_member(r, IR_FIELD_URL, part, &members[BLOCK_SOURCE]));
    if (member_is(&members[BLOCK_CITATIONS], JSON_OBJECT))
        READ_PUT(put_field(r->tape, IR_FIELD_CITATIONS, part,
                           member_json(&members[BLOCK_CITATIONS]), 0));
    READ_TRY(read_content(r, &members[BLOCK_CONTENT],
                          (struct place){.next = &nested, .role = place.role, .level = 1}));
    READ_PUT(put_part_end(r->tape, IR_PART_SEARCH, part));
    return R2A_OK;
}

/* --- tools --- */

static enum r2a_err read_tool_use(struct reading *r, const struct member *members,
                                  struct place place)
{
    uint32_t part = (*place.next)++;
    const struct member *input = &members[BLOCK_INPUT];

    if (place.role != IR_ROLE_ASSISTANT)
        return read_refuse_value(r, block_names[BLOCK_TYPE],
                                 S(": tool_use blocks belong to assistant messages."));
    READ_TRY(need_string(r, members, BLOCK_ID));
    READ_TRY(need_string(r, members, BLOCK_NAME));
    r->brief->text_bytes += input->raw.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_CALL, anthropic_mark(&members[BLOCK_CACHE]), part,
                      member_text(&members[BLOCK_ID]), member_text(&members[BLOCK_NAME])));
    if (member_is(input, JSON_STRING)) /* sloppy clients: the arguments as a string */
        READ_PUT(put_text(r->tape, IR_WHOLE, part, member_text(input)));
    else
        READ_PUT(put_text(r->tape, IR_WHOLE, part,
                          member_is_present(input) ? member_json(input) : text_json(S("{}"))));
    READ_PUT(put_part_end(r->tape, IR_PART_CALL, part));
    return R2A_OK;
}

static enum r2a_err read_tool_result(struct reading *r, const struct member *members,
                                     struct place place)
{
    uint32_t part = (*place.next)++, nested = 0;
    uint8_t flags = anthropic_mark(&members[BLOCK_CACHE]);

    if (place.role != IR_ROLE_USER)
        return read_refuse_value(r, block_names[BLOCK_TYPE],
                                 S(": tool_result blocks belong to user messages."));
    READ_TRY(need_string(r, members, BLOCK_TOOL_USE_ID));
    if (member_is(&members[BLOCK_IS_ERROR], JSON_TRUE))
        flags |= IR_IS_ERROR;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_RESULT, flags, part,
                      member_text(&members[BLOCK_TOOL_USE_ID]), none));
    READ_TRY(read_content(r, &members[BLOCK_CONTENT],
                          (struct place){.next = &nested, .role = place.role, .level = 1}));
    READ_PUT(put_part_end(r->tape, IR_PART_RESULT, part));
    return R2A_OK;
}

/* --- thinking --- */

static enum r2a_err read_thinking(struct reading *r, const struct member *members,
                                  struct place place)
{
    uint32_t part = (*place.next)++;
    struct text text = member_text(&members[BLOCK_THINKING]);

    READ_TRY(need_string(r, members, BLOCK_THINKING));
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_REASON, 0, part, none, none));
    if (member_text(&members[BLOCK_SIGNATURE]).len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_SEAL, part, member_text(&members[BLOCK_SIGNATURE]),
                           IR_SEAL_SIGNATURE));
    if (text.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, IR_PART_REASON, part));
    return R2A_OK;
}

static enum r2a_err read_redacted(struct reading *r, const struct member *members,
                                  struct place place)
{
    uint32_t part = (*place.next)++;

    READ_TRY(need_string(r, members, BLOCK_DATA));
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_REDACTED, 0, part, none, none));
    READ_PUT(put_field(r->tape, IR_FIELD_SEAL, part, member_text(&members[BLOCK_DATA]),
                       IR_SEAL_REDACTED));
    READ_PUT(put_part_end(r->tape, IR_PART_REDACTED, part));
    return R2A_OK;
}

/* --- blocks --- */

static enum r2a_err read_opaque(struct reading *r, const struct member *block, struct text type,
                                struct place place)
{
    uint32_t part = (*place.next)++;

    READ_PUT(put_open(r->tape, IR_PART, IR_PART_OPAQUE, 0, part, text_plain(S("anthropic")), type));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, member_json(block)));
    READ_PUT(put_part_end(r->tape, IR_PART_OPAQUE, part));
    return R2A_OK;
}

static enum r2a_err read_block(struct reading *r, const struct member *block, struct place place)
{
    struct member members[BLOCK_KEYS];
    struct text type;

    if (!member_is(block, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, block->kind, S("an object"));
    READ_TRY(read_object(r, block->raw, block_names, BLOCK_KEYS, members, NULL));
    READ_TRY(need_string(r, members, BLOCK_TYPE));
    type = member_text(&members[BLOCK_TYPE]);
    if (text_is(type, S("text")))
        return read_text(r, members, place);
    if (text_is(type, S("image")))
        return read_image(r, members, place);
    if (text_is(type, S("document")))
        return read_document(r, members, place);
    if (text_is(type, S("search_result")))
        return read_search(r, members, place);
    if (place.level == 0) {
        if (text_is(type, S("tool_use")))
            return read_tool_use(r, members, place);
        if (text_is(type, S("tool_result")))
            return read_tool_result(r, members, place);
        if (text_is(type, S("thinking")))
            return read_thinking(r, members, place);
        if (text_is(type, S("redacted_thinking")))
            return read_redacted(r, members, place);
    }
    return read_opaque(r, block, type, place);
}

/* --- turns --- */

enum r2a_err anthropic_read_system(struct reading *r, const struct member *system)
{
    uint32_t next = 0;

    if (!member_is_present(system))
        return R2A_OK;
    if (!member_is(system, JSON_STRING) && !member_is(system, JSON_ARRAY))
        return read_refuse_type(r, S("system"), system->kind, S("a string or an array of blocks"));
    READ_PUT(put_plain(r->tape, IR_TURN, IR_ROLE_SYSTEM));
    READ_TRY(read_content(r, system, (struct place){.next = &next, .role = IR_ROLE_SYSTEM}));
    READ_PUT(put_plain(r->tape, IR_TURN_END, IR_ROLE_SYSTEM));
    return R2A_OK;
}

static enum r2a_err read_message(struct reading *r, const struct member *message)
{
    enum { ROLE, CONTENT, KEYS };
    static const struct slice names[KEYS] = {S_INIT("role"), S_INIT("content")};
    struct member members[KEYS];
    struct text role_name;
    uint32_t next = 0;
    uint8_t role;

    if (!member_is(message, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, message->kind, S("an object"));
    READ_TRY(read_object(r, message->raw, names, KEYS, members, "messages."));
    role_name = member_text(&members[ROLE]);
    if (text_is(role_name, S("user")))
        role = IR_ROLE_USER;
    else if (text_is(role_name, S("assistant")))
        role = IR_ROLE_ASSISTANT;
    else if (text_is(role_name, S("system")))
        role = IR_ROLE_SYSTEM;
    else if (!member_is_present(&members[ROLE]))
        return read_refuse_missing(r, names[ROLE]);
    else
        return read_refuse_value(r, names[ROLE], S(": it must be user, assistant or system."));
    if (!member_is_present(&members[CONTENT]))
        return read_refuse_missing(r, names[CONTENT]);
    READ_PUT(put_plain(r->tape, IR_TURN, role));
    READ_TRY(read_content(r, &members[CONTENT], (struct place){.next = &next, .role = role}));
    READ_PUT(put_plain(r->tape, IR_TURN_END, role));
    return R2A_OK;
}

enum r2a_err anthropic_read_messages(struct reading *r, const struct member *messages)
{
    struct json_scan scan;
    struct member message;
    uint32_t index = 0;

    if (!member_is_present(messages))
        return read_refuse_missing(r, S("messages"));
    if (!member_is(messages, JSON_ARRAY))
        return read_refuse_type(r, S("messages"), messages->kind, S("an array"));
    read_enter(r, S("messages"));
    read_open(r, &scan, messages->raw);
    while (read_next(&scan, &message)) {
        read_enter_index(r, index++);
        READ_TRY(read_message(r, &message));
        read_leave(r);
    }
    if (index == 0)
        return read_refuse_value(r, (struct slice){0}, S(": at least one message is required."));
    read_leave(r);
    return R2A_OK;
}
