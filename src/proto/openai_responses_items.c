#include "openai_responses_items.h"

#include "builtin.h"
#include "common.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Items of a Responses request as tools and turns (conversion.md 2.3, 2.5, 2.10). What the model
 * said in a row (reasoning, messages, calls) is one assistant turn; outputs in a row are the
 * results of one user turn. Calls of built-in tools become calls named after the item's type; what
 * ran at the vendor is OPAQUE; an unknown kind of item is left out and named as a loss, because
 * history must never make a conversation unusable. */

/* --- tools --- */

enum tool {
    TOOL_TYPE,
    TOOL_NAME,
    TOOL_DESCRIPTION,
    TOOL_PARAMETERS,
    TOOL_STRICT,
    TOOL_FORMAT,
    TOOL_TOOLS,
    TOOL_FUNCTION,
    TOOL_MEMBERS,
};
static const struct slice tool_names[TOOL_MEMBERS] = {
    S_INIT("type"),   S_INIT("name"),   S_INIT("description"), S_INIT("parameters"),
    S_INIT("strict"), S_INIT("format"), S_INIT("tools"),       S_INIT("function")};

static enum r2a_err put_grammar(struct reading *r, const struct member *format)
{
    enum { SYNTAX, DEFINITION };
    static const struct slice names[] = {S_INIT("syntax"), S_INIT("definition")};
    struct member members[array_count(names)];

    if (!member_is(format, JSON_OBJECT))
        return R2A_OK;
    READ_TRY(read_object(r, format->raw, names, array_count(names), members, NULL));
    if (member_is(&members[DEFINITION], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_GRAMMAR, 0, member_text(&members[DEFINITION]),
                           text_is(member_text(&members[SYNTAX]), S("regex")) ? 2 : 1));
    return R2A_OK;
}

static enum r2a_err put_function(struct reading *r, const struct member *tool, struct text space,
                                 uint8_t kind)
{
    const struct member *parameters = &tool[TOOL_PARAMETERS];

    if (!member_is(&tool[TOOL_NAME], JSON_STRING))
        return member_is_present(&tool[TOOL_NAME])
                   ? read_refuse_type(r, S("name"), tool[TOOL_NAME].kind, S("a string"))
                   : read_refuse_missing(r, S("name"));
    if (kind == IR_TOOL_JSON && member_is_present(parameters) &&
        !member_is(parameters, JSON_OBJECT))
        return read_refuse_type(r, S("parameters"), parameters->kind, S("an object"));
    READ_PUT(
        put_open(r->tape, IR_TOOL, kind, 0, 0, (struct text){0}, member_text(&tool[TOOL_NAME])));
    if (member_is(&tool[TOOL_DESCRIPTION], JSON_STRING))
        READ_PUT(
            put_field(r->tape, IR_FIELD_DESCRIPTION, 0, member_text(&tool[TOOL_DESCRIPTION]), 0));
    if (kind == IR_TOOL_CUSTOM)
        READ_TRY(put_grammar(r, &tool[TOOL_FORMAT]));
    else if (member_is_present(parameters))
        READ_PUT(put_field(r->tape, IR_FIELD_SCHEMA, 0, member_json(parameters), 0));
    if (space.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_NAMESPACE, 0, space, 0));
    if (kind == IR_TOOL_JSON && member_is_bool(&tool[TOOL_STRICT]))
        READ_PUT(put_field(r->tape, IR_FIELD_STRICT, 0, (struct text){0},
                           tool[TOOL_STRICT].kind == JSON_TRUE));
    READ_PUT(put_plain(r->tape, IR_TOOL_END, 0));
    return R2A_OK;
}

static enum r2a_err put_server_tool(struct reading *r, struct text type, struct slice raw)
{
    READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_SERVER, 0, 0, type, (struct text){0}));
    READ_PUT(put_field(r->tape, IR_FIELD_RAW, 0, text_json(raw), 0));
    READ_PUT(put_plain(r->tape, IR_TOOL_END, 0));
    return R2A_OK;
}

static enum r2a_err put_tool(struct reading *r, const struct member *item, struct text space,
                             uint32_t *count)
{
    struct member tool[TOOL_MEMBERS], inner[TOOL_MEMBERS];
    struct text type;

    if (!member_is(item, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, item->kind, S("an object"));
    READ_TRY(read_object(r, item->raw, tool_names, TOOL_MEMBERS, tool, NULL));
    type = member_text(&tool[TOOL_TYPE]);
    if (text_is(type, S("namespace"))) {
        if (!member_is(&tool[TOOL_NAME], JSON_STRING))
            return read_refuse_missing(r, S("name"));
        if (space.len > 0)
            return read_refuse_value(r, S("type"), S(": a namespace holds no namespaces."));
        read_enter(r, S("tools"));
        READ_TRY(openai_responses_tools_decode(r, &tool[TOOL_TOOLS], member_text(&tool[TOOL_NAME]),
                                               count));
        read_leave(r);
        return R2A_OK;
    }
    r->brief->text_bytes += item->raw.len;
    ++*count;
    if (text_is(type, S("custom")))
        return put_function(r, tool, space, IR_TOOL_CUSTOM);
    if (type.len > 0 && !text_is(type, S("function"))) {
        enum builtin_id id = builtin_of_responses(type);

        if (id == BUILTIN_NONE)
            return put_server_tool(r, type, item->raw);
        READ_PUT(builtin_put(r->tape, id, 0, type, type, (struct slice){0}, item->raw,
                             brief_scratch(r->brief)));
        return R2A_OK;
    }
    if (!member_is_present(&tool[TOOL_NAME]) && member_is(&tool[TOOL_FUNCTION], JSON_OBJECT)) {
        /* The nested form of Chat Completions: sloppy, and clear. */
        READ_TRY(read_object(r, tool[TOOL_FUNCTION].raw, tool_names, TOOL_MEMBERS, inner, NULL));
        return put_function(r, inner, space, IR_TOOL_JSON);
    }
    return put_function(r, tool, space, IR_TOOL_JSON);
}

enum r2a_err openai_responses_tools_decode(struct reading *r, const struct member *tools,
                                           struct text space, uint32_t *count)
{
    struct json_scan scan;
    struct member item;

    if (!member_is_present(tools))
        return R2A_OK;
    if (!member_is(tools, JSON_ARRAY))
        return read_refuse_type(r, (struct slice){0}, tools->kind, S("an array"));
    read_open(r, &scan, tools->raw);
    for (uint32_t index = 0; read_next(&scan, &item); index++) {
        read_enter_index(r, index);
        READ_TRY(put_tool(r, &item, space, count));
        read_leave(r);
    }
    return R2A_OK;
}

enum r2a_err openai_responses_item_tools_decode(struct reading *r, const struct member *input,
                                                uint32_t *count)
{
    enum { TYPE, TOOLS };
    static const struct slice names[] = {S_INIT("type"), S_INIT("tools")};
    struct member item, members[array_count(names)];
    struct json_scan scan;

    /* Few requests have such items: one look instead of one more pass. */
    if (!member_is(input, JSON_ARRAY) || (!read_mentions(r, input->raw, S("_tools\"")) &&
                                          !read_mentions(r, input->raw, S("_search_output\""))))
        return R2A_OK;
    read_enter(r, S("input"));
    read_open(r, &scan, input->raw);
    for (uint32_t index = 0; read_next(&scan, &item); index++) {
        struct text type;

        if (!member_is(&item, JSON_OBJECT))
            continue; /* refused where the turns are read */
        READ_TRY(read_object(r, item.raw, names, array_count(names), members, NULL));
        type = member_text(&members[TYPE]);
        if (!text_is(type, S("additional_tools")) && !text_is(type, S("tool_search_output")))
            continue;
        read_enter_index(r, index);
        read_enter(r, S("tools"));
        READ_TRY(openai_responses_tools_decode(r, &members[TOOLS], (struct text){0}, count));
        read_leave(r);
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

/* --- content --- */

enum part {
    PART_TYPE,
    PART_TEXT,
    PART_REFUSAL,
    PART_IMAGE_URL,
    PART_FILE_ID,
    PART_DETAIL,
    PART_FILE_DATA,
    PART_FILE_URL,
    PART_FILENAME,
    PART_MARK,
    PART_MEMBERS,
};
static const struct slice part_names[PART_MEMBERS] = {
    [PART_TYPE] = S_INIT("type"),           [PART_TEXT] = S_INIT("text"),
    [PART_REFUSAL] = S_INIT("refusal"),     [PART_IMAGE_URL] = S_INIT("image_url"),
    [PART_FILE_ID] = S_INIT("file_id"),     [PART_DETAIL] = S_INIT("detail"),
    [PART_FILE_DATA] = S_INIT("file_data"), [PART_FILE_URL] = S_INIT("file_url"),
    [PART_FILENAME] = S_INIT("filename"),   [PART_MARK] = S_INIT("prompt_cache_breakpoint"),
};

static enum r2a_err put_text_part(struct reading *r, uint8_t what, uint8_t flags, uint32_t part,
                                  struct text phase, struct text text)
{
    r->brief->text_bytes += text.len;
    READ_PUT(put_open(r->tape, IR_PART, what, flags, part, (struct text){0}, (struct text){0}));
    if (phase.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_PHASE, part, phase, 0));
    if (text.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, text));
    READ_PUT(put_part_end(r->tape, what, part));
    return R2A_OK;
}

static enum r2a_err put_media_url(struct reading *r, uint32_t part, struct text url)
{
    enum r2a_err err =
        media_put_url(r->tape, brief_scratch(r->brief), part, url, (struct slice){0});

    if (err == R2A_ERR_INVALID)
        return read_refuse_value(r, (struct slice){0}, S(": not a usable URL or data URL."));
    return err == R2A_OK ? R2A_OK : read_fail_sink(r, err);
}

static enum r2a_err put_file_id(struct reading *r, uint32_t part, const struct member *id)
{
    READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, (struct text){0}, IR_SOURCE_FILE_ID));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, member_text(id)));
    return R2A_OK;
}

static enum r2a_err put_image(struct reading *r, const struct member *members, uint8_t flags,
                              uint32_t part)
{
    static const struct slice name = S_INIT("url");
    const struct member *image = &members[PART_IMAGE_URL];
    struct member url = *image;

    if (member_is(image, JSON_OBJECT)) /* as Chat Completions has it */
        READ_TRY(read_object(r, image->raw, &name, 1, &url, NULL));
    if (!member_is(&url, JSON_STRING) && !member_is(&members[PART_FILE_ID], JSON_STRING))
        return member_is_present(image)
                   ? read_refuse_type(r, S("image_url"), image->kind, S("a string"))
                   : read_refuse_missing(r, S("image_url"));
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_IMAGE, flags, part, (struct text){0}, (struct text){0}));
    if (member_is(&members[PART_DETAIL], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_DETAIL, part, member_text(&members[PART_DETAIL]), 0));
    if (member_is(&url, JSON_STRING)) {
        read_enter(r, S("image_url"));
        READ_TRY(put_media_url(r, part, member_text(&url)));
        read_leave(r);
    } else {
        READ_TRY(put_file_id(r, part, &members[PART_FILE_ID]));
    }
    READ_PUT(put_part_end(r->tape, IR_PART_IMAGE, part));
    r->brief->images_count++;
    return R2A_OK;
}

static enum r2a_err put_file(struct reading *r, const struct member *members, uint8_t flags,
                             uint32_t part)
{
    struct text data = member_text(&members[PART_FILE_DATA]);
    struct text url = member_text(&members[PART_FILE_URL]);
    struct text name = member_text(&members[PART_FILENAME]);

    if (data.len == 0 && url.len == 0 && !member_is(&members[PART_FILE_ID], JSON_STRING))
        return read_refuse_missing(r, S("file_data"));
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_FILE, flags, part, (struct text){0}, (struct text){0}));
    if (name.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_TITLE, part, name, 0));
    if (text_starts_nocase(data, S("data:"))) {
        read_enter(r, S("file_data"));
        READ_TRY(put_media_url(r, part, data));
        read_leave(r);
    } else if (data.len > 0) { /* bare base64: what it is, its name tells */
        struct slice mime = mime_of_name(name);

        READ_PUT(put_field(r->tape, IR_FIELD_SOURCE, part, (struct text){0}, IR_SOURCE_BASE64));
        READ_PUT(put_field(r->tape, IR_FIELD_MIME, part,
                           text_plain(mime.len > 0 ? mime : S("application/pdf")), 0));
        READ_PUT(put_text(r->tape, IR_WHOLE, part, data));
    } else if (url.len > 0) {
        read_enter(r, S("file_url"));
        READ_TRY(put_media_url(r, part, url));
        read_leave(r);
    } else {
        READ_TRY(put_file_id(r, part, &members[PART_FILE_ID]));
    }
    READ_PUT(put_part_end(r->tape, IR_PART_FILE, part));
    return R2A_OK;
}

static enum r2a_err put_part(struct reading *r, const struct member *item, struct text phase,
                             uint32_t part)
{
    static const struct slice texts[] = {S_INIT("input_text"), S_INIT("output_text"),
                                         S_INIT("text"), S_INIT("summary_text"),
                                         S_INIT("reasoning_text")};
    struct member members[PART_MEMBERS];
    const struct member *text = &members[PART_TEXT];
    struct text type;
    uint8_t flags;

    if (member_is(item, JSON_STRING)) /* ["text", …]: sloppy, and clear */
        return put_text_part(r, IR_PART_TEXT, 0, part, phase, member_text(item));
    if (!member_is(item, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, item->kind, S("an object"));
    READ_TRY(read_object(r, item->raw, part_names, PART_MEMBERS, members, NULL));
    type = member_text(&members[PART_TYPE]);
    flags = member_is(&members[PART_MARK], JSON_OBJECT) ? IR_CACHE_MARK : 0;
    for (uint32_t i = 0; i < array_count(texts); i++) {
        if (!text_is(type, texts[i]))
            continue;
        if (!member_is(text, JSON_STRING))
            return member_is_present(text)
                       ? read_refuse_type(r, S("text"), text->kind, S("a string"))
                       : read_refuse_missing(r, S("text"));
        return put_text_part(r, IR_PART_TEXT, flags, part, phase, member_text(text));
    }
    if (text_is(type, S("refusal")))
        return put_text_part(r, IR_PART_REFUSAL, flags, part, phase,
                             member_text(&members[PART_REFUSAL]));
    if (text_is(type, S("input_image")) || text_is(type, S("image_url")) ||
        text_is(type, S("computer_screenshot")))
        return put_image(r, members, flags, part);
    if (text_is(type, S("input_file")))
        return put_file(r, members, flags, part);
    if (!member_is_present(&members[PART_TYPE]))
        return read_refuse_missing(r, S("type"));
    return read_refuse_value(r, S("type"), S(": unknown kind of content part."));
}

/* Content of a message, or output of a call, as parts from `*part` on. */
static enum r2a_err put_content(struct reading *r, struct slice name, const struct member *content,
                                struct text phase, uint32_t *part)
{
    struct json_scan scan;
    struct member item;

    if (!member_is_present(content))
        return R2A_OK;
    if (member_is(content, JSON_STRING))
        return put_text_part(r, IR_PART_TEXT, 0, (*part)++, phase, member_text(content));
    read_enter(r, name);
    if (!member_is(content, JSON_ARRAY))
        return read_refuse_type(r, (struct slice){0}, content->kind, S("a string or an array"));
    read_open(r, &scan, content->raw);
    for (uint32_t index = 0; read_next(&scan, &item); index++) {
        read_enter_index(r, index);
        READ_TRY(put_part(r, &item, phase, (*part)++));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

/* --- items --- */

enum item {
    ITEM_TYPE,
    ITEM_ROLE,
    ITEM_ID,
    ITEM_CONTENT,
    ITEM_CALL_ID,
    ITEM_NAME,
    ITEM_NAMESPACE,
    ITEM_ARGUMENTS,
    ITEM_INPUT,
    ITEM_OUTPUT,
    ITEM_ACTION,
    ITEM_ACTIONS,
    ITEM_OPERATION,
    ITEM_SUMMARY,
    ITEM_ENCRYPTED,
    ITEM_PHASE,
    ITEM_STATUS,
    ITEM_MEMBERS,
};
static const struct slice item_names[ITEM_MEMBERS] = {
    [ITEM_TYPE] = S_INIT("type"),
    [ITEM_ROLE] = S_INIT("role"),
    [ITEM_ID] = S_INIT("id"),
    [ITEM_CONTENT] = S_INIT("content"),
    [ITEM_CALL_ID] = S_INIT("call_id"),
    [ITEM_NAME] = S_INIT("name"),
    [ITEM_NAMESPACE] = S_INIT("namespace"),
    [ITEM_ARGUMENTS] = S_INIT("arguments"),
    [ITEM_INPUT] = S_INIT("input"),
    [ITEM_OUTPUT] = S_INIT("output"),
    [ITEM_ACTION] = S_INIT("action"),
    [ITEM_ACTIONS] = S_INIT("actions"),
    [ITEM_OPERATION] = S_INIT("operation"),
    [ITEM_SUMMARY] = S_INIT("summary"),
    [ITEM_ENCRYPTED] = S_INIT("encrypted_content"),
    [ITEM_PHASE] = S_INIT("phase"),
    [ITEM_STATUS] = S_INIT("status"),
};

/* The turn that is open while items are read. */
struct turns {
    struct reading *r;
    bool is_open;
    bool is_results; /* a user turn of outputs */
    uint8_t role;
    uint32_t parts_count;
    uint32_t calls_count;
};

static enum r2a_err end_turn(struct turns *t)
{
    struct reading *r = t->r;

    if (t->is_open)
        READ_PUT(put_plain(r->tape, IR_TURN_END, t->role));
    t->is_open = t->is_results = false;
    return R2A_OK;
}

static enum r2a_err begin_turn(struct turns *t, uint8_t role)
{
    struct reading *r = t->r;

    READ_TRY(end_turn(t));
    READ_PUT(put_plain(r->tape, IR_TURN, role));
    t->is_open = true;
    t->role = role;
    t->parts_count = 0;
    return R2A_OK;
}

/* What the model said in a row is one turn. */
static enum r2a_err in_assistant(struct turns *t)
{
    return t->is_open && t->role == IR_ROLE_ASSISTANT ? R2A_OK : begin_turn(t, IR_ROLE_ASSISTANT);
}

static enum r2a_err in_results(struct turns *t)
{
    if (t->is_open && t->is_results)
        return R2A_OK;
    READ_TRY(begin_turn(t, IR_ROLE_USER));
    t->is_results = true;
    return R2A_OK;
}

static enum r2a_err put_message(struct turns *t, const struct member *item)
{
    struct reading *r = t->r;
    struct text role = member_text(&item[ITEM_ROLE]), phase = {0};
    uint8_t turn;

    if (!member_is(&item[ITEM_ROLE], JSON_STRING))
        return member_is_present(&item[ITEM_ROLE])
                   ? read_refuse_type(r, S("role"), item[ITEM_ROLE].kind, S("a string"))
                   : read_refuse_missing(r, S("role"));
    if (text_is(role, S("user")))
        turn = IR_ROLE_USER;
    else if (text_is(role, S("assistant")))
        turn = IR_ROLE_ASSISTANT;
    else if (text_is(role, S("developer")))
        turn = IR_ROLE_DEVELOPER;
    else if (text_is(role, S("system")))
        turn = IR_ROLE_SYSTEM;
    else
        return read_refuse_value(r, S("role"),
                                 S(": expected 'user', 'assistant', 'system' or 'developer'."));
    if (!member_is_present(&item[ITEM_CONTENT]) && turn != IR_ROLE_ASSISTANT)
        return read_refuse_missing(r, S("content")); /* what a model said may be nothing */
    if (turn == IR_ROLE_ASSISTANT) {
        phase = member_text(&item[ITEM_PHASE]);
        READ_TRY(in_assistant(t));
    } else {
        READ_TRY(begin_turn(t, turn));
    }
    return put_content(r, S("content"), &item[ITEM_CONTENT], phase, &t->parts_count);
}

/* --- calls and their outputs --- */

/* The id that call and output share; some clients have it in `id` alone. */
static enum r2a_err read_call_id(struct reading *r, const struct member *item, struct text *id)
{
    const struct member *member =
        member_is_present(&item[ITEM_CALL_ID]) ? &item[ITEM_CALL_ID] : &item[ITEM_ID];

    *id = member_text(member);
    if (id->len > 0)
        return R2A_OK;
    return member_is_present(member)
               ? read_refuse_type(r, S("call_id"), member->kind, S("a string"))
               : read_refuse_missing(r, S("call_id"));
}

static enum r2a_err put_call(struct turns *t, const struct member *item, struct text name,
                             struct text args, uint8_t flags)
{
    struct reading *r = t->r;
    struct text id, space = member_text(&item[ITEM_NAMESPACE]);
    uint32_t part;

    READ_TRY(read_call_id(r, item, &id));
    if (name.len == 0)
        return read_refuse_missing(r, S("name"));
    if (++t->calls_count > CALLS_MAX)
        return read_refuse(r, S("Too many tool calls at"), S("."));
    READ_TRY(in_assistant(t));
    part = t->parts_count++;
    r->brief->text_bytes += name.len + args.len;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_CALL, flags, part, id, name));
    if (space.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_NAMESPACE, part, space, 0));
    if (args.len > 0)
        READ_PUT(put_text(r->tape, IR_WHOLE, part, args));
    READ_PUT(put_part_end(r->tape, IR_PART_CALL, part));
    return R2A_OK;
}

/* Arguments as they should be (a string), or the object itself. */
static enum r2a_err put_function_call(struct turns *t, const struct member *item)
{
    struct reading *r = t->r;
    const struct member *args = &item[ITEM_ARGUMENTS];

    if (member_is_present(args) && !member_is(args, JSON_STRING) && !member_is(args, JSON_OBJECT))
        return read_refuse_type(r, S("arguments"), args->kind, S("a string"));
    return put_call(t, item, member_text(&item[ITEM_NAME]),
                    member_is(args, JSON_OBJECT) ? member_json(args) : member_text(args), 0);
}

static enum r2a_err put_custom_call(struct turns *t, const struct member *item)
{
    struct reading *r = t->r;

    if (member_is_present(&item[ITEM_INPUT]) && !member_is(&item[ITEM_INPUT], JSON_STRING))
        return read_refuse_type(r, S("input"), item[ITEM_INPUT].kind, S("a string"));
    return put_call(t, item, member_text(&item[ITEM_NAME]), member_text(&item[ITEM_INPUT]),
                    IR_CUSTOM);
}

/* local_shell_call, shell_call, apply_patch_call, computer_call: the type without _call. */
static enum r2a_err put_builtin_call(struct turns *t, const struct member *item, struct text type)
{
    const struct member *args = &item[ITEM_ACTION];

    if (!member_is_present(args))
        args = &item[member_is_present(&item[ITEM_OPERATION]) ? ITEM_OPERATION : ITEM_ACTIONS];
    type.len -= (uint32_t)sizeof("_call") - 1;
    return put_call(t, item, type, member_is_present(args) ? member_json(args) : (struct text){0},
                    0);
}

/* The output of a built-in tool: a string, a screenshot, or JSON that is read as text. */
static enum r2a_err put_output(struct reading *r, const struct member *output, bool is_builtin,
                               uint32_t *nested)
{
    if (is_builtin && member_is(output, JSON_ARRAY))
        return put_text_part(r, IR_PART_TEXT, 0, (*nested)++, (struct text){0},
                             member_json(output));
    if (member_is(output, JSON_OBJECT)) {
        static const struct slice name = S_INIT("type");
        struct member type;

        READ_TRY(read_object(r, output->raw, &name, 1, &type, NULL));
        if (text_is(member_text(&type), S("computer_screenshot"))) {
            read_enter(r, S("output"));
            READ_TRY(put_part(r, output, (struct text){0}, (*nested)++));
            read_leave(r);
            return R2A_OK;
        }
    }
    if (member_is_present(output) && !member_is(output, JSON_STRING) &&
        !member_is(output, JSON_ARRAY)) /* {"stdout":…}, 42: a model can read that */
        return put_text_part(r, IR_PART_TEXT, 0, (*nested)++, (struct text){0},
                             member_json(output));
    return put_content(r, S("output"), output, (struct text){0}, nested);
}

static enum r2a_err put_result(struct turns *t, const struct member *item, uint8_t flags,
                               bool is_builtin)
{
    struct reading *r = t->r;
    uint32_t part, nested = 0;
    struct text id;

    READ_TRY(read_call_id(r, item, &id));
    READ_TRY(in_results(t));
    part = t->parts_count++;
    if (is_builtin && text_is(member_text(&item[ITEM_STATUS]), S("failed")))
        flags |= IR_IS_ERROR;
    READ_PUT(
        put_open(r->tape, IR_PART, IR_PART_RESULT, flags, part, id, member_text(&item[ITEM_NAME])));
    if (member_text(&item[ITEM_NAMESPACE]).len > 0)
        READ_PUT(
            put_field(r->tape, IR_FIELD_NAMESPACE, part, member_text(&item[ITEM_NAMESPACE]), 0));
    READ_TRY(put_output(r, &item[ITEM_OUTPUT], is_builtin, &nested));
    READ_PUT(put_part_end(r->tape, IR_PART_RESULT, part));
    return R2A_OK;
}

/* --- reasoning --- */

/* The texts of `content` or `summary`, a blank line between them. Opens nothing. */
static enum r2a_err put_reason_texts(struct reading *r, const struct member *list, uint32_t part,
                                     bool writes, bool *has_text)
{
    static const struct slice name = S_INIT("text");
    struct member item, text;
    struct json_scan scan;

    *has_text = false;
    if (!member_is(list, JSON_ARRAY))
        return R2A_OK;
    for (read_open(r, &scan, list->raw); read_next(&scan, &item);) {
        if (!member_is(&item, JSON_OBJECT))
            continue;
        READ_TRY(read_object(r, item.raw, &name, 1, &text, NULL));
        if (member_text(&text).len == 0)
            continue;
        if (writes && *has_text)
            READ_PUT(put_text(r->tape, 0, part, text_plain(S("\n\n"))));
        *has_text = true;
        if (!writes)
            return R2A_OK;
        READ_PUT(put_text(r->tape, 0, part, member_text(&text)));
        r->brief->text_bytes += member_text(&text).len;
    }
    return R2A_OK;
}

/* Reasoning without text and without secret says nothing: it is left out. */
static enum r2a_err put_reasoning(struct turns *t, const struct member *item)
{
    struct reading *r = t->r;
    struct text secret = member_text(&item[ITEM_ENCRYPTED]), id = member_text(&item[ITEM_ID]);
    const struct member *list = &item[ITEM_CONTENT];
    bool has_text, is_ours = seal_is_sealed(secret);
    uint8_t family = IR_SEAL_ENCRYPTED, what = IR_PART_REASON;
    uint32_t part;

    READ_TRY(put_reason_texts(r, list, 0, false, &has_text));
    if (!has_text) {
        list = &item[ITEM_SUMMARY];
        READ_TRY(put_reason_texts(r, list, 0, false, &has_text));
    }
    if (!has_text && secret.len == 0)
        return R2A_OK;
    if (is_ours)
        family = secret.len > 5 ? (uint8_t)secret.ptr[4] : (uint8_t)IR_SEAL_NONE;
    if (family == IR_SEAL_REDACTED)
        what = IR_PART_REDACTED;
    READ_TRY(in_assistant(t));
    part = t->parts_count++;
    READ_PUT(put_open(r->tape, IR_PART, what, 0, part, (struct text){0}, (struct text){0}));
    if (what == IR_PART_REASON)
        READ_TRY(put_reason_texts(r, list, part, true, &has_text));
    if (secret.len > 0 && !is_ours && id.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_ITEM_ID, part, id, 0));
    if (secret.len > 0)
        READ_PUT(put_field(r->tape, IR_FIELD_SEAL, part, secret, family));
    READ_PUT(put_part_end(r->tape, what, part));
    return R2A_OK;
}

/* --- all kinds --- */

static enum r2a_err put_opaque(struct turns *t, struct text type, struct slice raw)
{
    struct reading *r = t->r;
    uint32_t part;

    if (!t->is_open || (t->role != IR_ROLE_ASSISTANT && !t->is_results))
        READ_TRY(in_assistant(t));
    part = t->parts_count++;
    READ_PUT(put_open(r->tape, IR_PART, IR_PART_OPAQUE, 0, part, text_plain(S("openai-responses")),
                      type));
    READ_PUT(put_text(r->tape, IR_WHOLE, part, text_json(raw)));
    READ_PUT(put_part_end(r->tape, IR_PART_OPAQUE, part));
    return R2A_OK;
}

enum handling {
    AS_MESSAGE,
    AS_USER, /* between agents: text that somebody said to this one */
    AS_CALL,
    AS_CUSTOM,
    AS_BUILTIN,
    AS_RESULT,
    AS_CUSTOM_RESULT,
    AS_BUILTIN_RESULT,
    AS_REASONING,
    AS_TOOLS, /* told already */
    AS_OPAQUE,
    AS_NOTHING,
    AS_REFERENCE,
};
static const struct {
    struct slice type;
    uint8_t handling;
} kinds[] = {
    {S_INIT("message"), AS_MESSAGE},
    {S_INIT("function_call"), AS_CALL},
    {S_INIT("function_call_output"), AS_RESULT},
    {S_INIT("reasoning"), AS_REASONING},
    {S_INIT("custom_tool_call"), AS_CUSTOM},
    {S_INIT("custom_tool_call_output"), AS_CUSTOM_RESULT},
    {S_INIT("local_shell_call"), AS_BUILTIN},
    {S_INIT("local_shell_call_output"), AS_BUILTIN_RESULT},
    {S_INIT("shell_call"), AS_BUILTIN},
    {S_INIT("shell_call_output"), AS_BUILTIN_RESULT},
    {S_INIT("apply_patch_call"), AS_BUILTIN},
    {S_INIT("apply_patch_call_output"), AS_BUILTIN_RESULT},
    {S_INIT("computer_call"), AS_BUILTIN},
    {S_INIT("computer_call_output"), AS_BUILTIN_RESULT},
    {S_INIT("additional_tools"), AS_TOOLS},
    {S_INIT("tool_search_output"), AS_TOOLS},
    {S_INIT("tool_search_call"), AS_OPAQUE},
    {S_INIT("web_search_call"), AS_OPAQUE},
    {S_INIT("file_search_call"), AS_OPAQUE},
    {S_INIT("code_interpreter_call"), AS_OPAQUE},
    {S_INIT("image_generation_call"), AS_OPAQUE},
    {S_INIT("mcp_call"), AS_OPAQUE},
    {S_INIT("mcp_list_tools"), AS_OPAQUE},
    {S_INIT("mcp_approval_request"), AS_OPAQUE},
    {S_INIT("mcp_approval_response"), AS_OPAQUE},
    {S_INIT("compaction"), AS_OPAQUE},
    {S_INIT("compaction_summary"), AS_OPAQUE},
    {S_INIT("context_compaction"), AS_OPAQUE},
    {S_INIT("program"), AS_OPAQUE},
    {S_INIT("program_output"), AS_OPAQUE},
    {S_INIT("compaction_trigger"), AS_NOTHING},
    {S_INIT("agent_message"), AS_USER},
    {S_INIT("item_reference"), AS_REFERENCE},
};

/* What an item is: by its type; without one a role makes it a message, an id alone a reference. */
static enum handling handling_of(const struct member *item, struct text type, bool *is_known)
{
    *is_known = true;
    if (type.len == 0)
        return member_is_present(&item[ITEM_ROLE]) ? AS_MESSAGE
               : member_is_present(&item[ITEM_ID]) && !member_is_present(&item[ITEM_CONTENT])
                   ? AS_REFERENCE
                   : AS_MESSAGE;
    for (uint32_t i = 0; i < array_count(kinds); i++)
        if (text_is(type, kinds[i].type))
            return (enum handling)kinds[i].handling;
    *is_known = false;
    return AS_NOTHING;
}

static enum r2a_err put_item(struct turns *t, const struct member *value)
{
    struct reading *r = t->r;
    struct member item[ITEM_MEMBERS];
    struct text type;
    bool is_known;

    if (!member_is(value, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, value->kind, S("an object"));
    READ_TRY(read_object(r, value->raw, item_names, ITEM_MEMBERS, item, NULL));
    if (member_is_present(&item[ITEM_TYPE]) && !member_is(&item[ITEM_TYPE], JSON_STRING))
        return read_refuse_type(r, S("type"), item[ITEM_TYPE].kind, S("a string"));
    type = member_text(&item[ITEM_TYPE]);
    switch (handling_of(item, type, &is_known)) {
    case AS_MESSAGE:
        return put_message(t, item);
    case AS_USER:
        READ_TRY(begin_turn(t, IR_ROLE_USER));
        return put_content(r, S("content"), &item[ITEM_CONTENT], (struct text){0}, &t->parts_count);
    case AS_CALL:
        return put_function_call(t, item);
    case AS_CUSTOM:
        return put_custom_call(t, item);
    case AS_BUILTIN:
        return put_builtin_call(t, item, type);
    case AS_RESULT:
        return put_result(t, item, 0, false);
    case AS_CUSTOM_RESULT:
        return put_result(t, item, IR_CUSTOM, false);
    case AS_BUILTIN_RESULT:
        return put_result(t, item, 0, true);
    case AS_REASONING:
        return put_reasoning(t, item);
    case AS_OPAQUE:
        return put_opaque(t, type, value->raw);
    case AS_REFERENCE:
        return read_refuse_value(r, (struct slice){0},
                                 S(": items are not stored here, an 'item_reference' cannot be "
                                   "followed. Send the item itself."));
    case AS_TOOLS:
        break;
    case AS_NOTHING:
        if (!is_known)
            READ_PUT(put_ext(r->tape, type));
        break;
    }
    return R2A_OK;
}

/* `instructions`: a string, or (as an answer repeats them) a list of items. */
static enum r2a_err put_instructions(struct turns *t, const struct member *instructions)
{
    struct reading *r = t->r;
    struct json_scan scan;
    struct member item;

    if (!member_is_present(instructions))
        return R2A_OK;
    read_enter(r, S("instructions"));
    if (member_is(instructions, JSON_STRING)) {
        READ_TRY(begin_turn(t, IR_ROLE_SYSTEM));
        READ_TRY(put_text_part(r, IR_PART_TEXT, 0, t->parts_count++, (struct text){0},
                               member_text(instructions)));
    } else if (member_is(instructions, JSON_ARRAY)) {
        read_open(r, &scan, instructions->raw);
        for (uint32_t index = 0; read_next(&scan, &item); index++) {
            read_enter_index(r, index);
            READ_TRY(put_item(t, &item));
            read_leave(r);
        }
    } else {
        return read_refuse_type(r, (struct slice){0}, instructions->kind, S("a string"));
    }
    read_leave(r);
    return R2A_OK;
}

enum r2a_err openai_responses_turns_decode(struct reading *r, const struct member *instructions,
                                           const struct member *input)
{
    struct turns turns = {.r = r}, *t = &turns;
    struct json_scan scan;
    struct member item;
    uint32_t index = 0;

    if (!member_is_present(input))
        return read_refuse_missing(r, S("input"));
    READ_TRY(put_instructions(t, instructions));
    read_enter(r, S("input"));
    if (member_is(input, JSON_STRING)) {
        READ_TRY(begin_turn(t, IR_ROLE_USER));
        READ_TRY(put_text_part(r, IR_PART_TEXT, 0, t->parts_count++, (struct text){0},
                               member_text(input)));
    } else if (member_is(input, JSON_ARRAY)) {
        for (read_open(r, &scan, input->raw); read_next(&scan, &item); index++) {
            read_enter_index(r, index);
            READ_TRY(put_item(t, &item));
            read_leave(r);
        }
        if (index == 0)
            return read_refuse_value(r, (struct slice){0}, S(": expected at least one item."));
    } else {
        return read_refuse_type(r, (struct slice){0}, input->kind, S("a string or an array"));
    }
    read_leave(r);
    return end_turn(t);
}
