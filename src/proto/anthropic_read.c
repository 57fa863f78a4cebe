#include "anthropic_read.h"

#include "anthropic.h"
#include "builtin.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* A Messages request onto the tape (anthropic-messages.md 3). The root is read as spans and told in
 * the tape's order: registers, tools, turns. Unknown members become EXT, members that only this
 * protocol has OPAQUE registers: both are losses to another upstream, by name. */

enum root {
    ROOT_MODEL,
    ROOT_MESSAGES,
    ROOT_SYSTEM,
    ROOT_STREAM,
    ROOT_TOOLS,
    ROOT_UNIQUE = ROOT_TOOLS, /* somebody else acts on these: a second occurrence is a 400 */
    ROOT_MAX_TOKENS,
    ROOT_STOP_SEQUENCES,
    ROOT_TEMPERATURE,
    ROOT_TOP_P,
    ROOT_TOP_K,
    ROOT_THINKING,
    ROOT_TOOL_CHOICE,
    ROOT_OUTPUT_CONFIG,
    ROOT_OUTPUT_FORMAT,
    ROOT_METADATA,
    ROOT_SERVICE_TIER,
    ROOT_CACHE_CONTROL,
    ROOT_CONTAINER,
    ROOT_CONTEXT_MANAGEMENT,
    ROOT_MCP_SERVERS,
    ROOT_INFERENCE_GEO,
    ROOT_SPEED,
    ROOT_FALLBACKS,
    ROOT_DIAGNOSTICS,
    ROOTS,
};

static const struct slice root_names[ROOTS] = {
    [ROOT_MODEL] = S_INIT("model"),
    [ROOT_MESSAGES] = S_INIT("messages"),
    [ROOT_SYSTEM] = S_INIT("system"),
    [ROOT_STREAM] = S_INIT("stream"),
    [ROOT_TOOLS] = S_INIT("tools"),
    [ROOT_MAX_TOKENS] = S_INIT("max_tokens"),
    [ROOT_STOP_SEQUENCES] = S_INIT("stop_sequences"),
    [ROOT_TEMPERATURE] = S_INIT("temperature"),
    [ROOT_TOP_P] = S_INIT("top_p"),
    [ROOT_TOP_K] = S_INIT("top_k"),
    [ROOT_THINKING] = S_INIT("thinking"),
    [ROOT_TOOL_CHOICE] = S_INIT("tool_choice"),
    [ROOT_OUTPUT_CONFIG] = S_INIT("output_config"),
    [ROOT_OUTPUT_FORMAT] = S_INIT("output_format"),
    [ROOT_METADATA] = S_INIT("metadata"),
    [ROOT_SERVICE_TIER] = S_INIT("service_tier"),
    [ROOT_CACHE_CONTROL] = S_INIT("cache_control"),
    [ROOT_CONTAINER] = S_INIT("container"),
    [ROOT_CONTEXT_MANAGEMENT] = S_INIT("context_management"),
    [ROOT_MCP_SERVERS] = S_INIT("mcp_servers"),
    [ROOT_INFERENCE_GEO] = S_INIT("inference_geo"),
    [ROOT_SPEED] = S_INIT("speed"),
    [ROOT_FALLBACKS] = S_INIT("fallbacks"),
    [ROOT_DIAGNOSTICS] = S_INIT("diagnostics"),
};

static const struct text none;

/* --- registers --- */

static enum r2a_err put_number(struct reading *r, const struct member *root, enum root key,
                               uint8_t param, bool is_int)
{
    const struct member *member = &root[key];
    int64_t number = 0;

    if (!member_is_present(member))
        return R2A_OK;
    if (!member_is(member, JSON_NUMBER))
        return read_refuse_type(r, root_names[key], member->kind, S("a number"));
    if (!member_int(member, &number) && is_int)
        return read_refuse_type(r, root_names[key], member->kind, S("an integer"));
    if (param == IR_PARAM_MAX_OUT) {
        if (number < 0)
            return read_refuse_value(r, root_names[key], S(": it must not be negative."));
        r->brief->max_out = number;
    }
    READ_PUT(put_param(r->tape, param, member_json(member), number));
    return R2A_OK;
}

static enum r2a_err put_stops(struct reading *r, const struct member *stops)
{
    struct json_scan scan;
    struct member item;
    uint32_t index = 0;

    if (!member_is_present(stops))
        return R2A_OK;
    if (!member_is(stops, JSON_ARRAY))
        return read_refuse_type(r, root_names[ROOT_STOP_SEQUENCES], stops->kind, S("an array"));
    read_enter(r, root_names[ROOT_STOP_SEQUENCES]);
    read_open(r, &scan, stops->raw);
    while (read_next(&scan, &item)) {
        read_enter_index(r, index++);
        if (!member_is(&item, JSON_STRING))
            return read_refuse_type(r, (struct slice){0}, item.kind, S("a string"));
        READ_PUT(put_param(r->tape, IR_PARAM_STOP, member_text(&item), 0));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_thinking(struct reading *r, const struct member *thinking)
{
    enum { TYPE, BUDGET, DISPLAY, KEYS };
    static const struct slice names[KEYS] = {S_INIT("type"), S_INIT("budget_tokens"),
                                             S_INIT("display")};
    struct member members[KEYS];
    struct text type;
    int64_t budget;

    if (!member_is_present(thinking))
        return R2A_OK;
    if (!member_is(thinking, JSON_OBJECT))
        return read_refuse_type(r, root_names[ROOT_THINKING], thinking->kind, S("an object"));
    read_enter(r, root_names[ROOT_THINKING]);
    READ_TRY(read_object(r, thinking->raw, names, KEYS, members, "thinking."));
    type = member_text(&members[TYPE]);
    if (text_is(type, S("enabled"))) {
        if (!member_is_present(&members[BUDGET]))
            return read_refuse_missing(r, names[BUDGET]);
        if (!member_int(&members[BUDGET], &budget) || budget < 0)
            return read_refuse_type(r, names[BUDGET], members[BUDGET].kind, S("an integer"));
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_MODE, none, IR_THINK_MANUAL));
        READ_PUT(put_param(r->tape, IR_PARAM_BUDGET, member_json(&members[BUDGET]), budget));
    } else if (text_is(type, S("adaptive"))) {
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_MODE, none, IR_THINK_ADAPTIVE));
    } else if (text_is(type, S("disabled"))) {
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_MODE, none, IR_THINK_OFF));
    } else {
        return read_refuse_value(r, names[TYPE], S(": it must be enabled, adaptive or disabled."));
    }
    if (member_is(&members[DISPLAY], JSON_STRING))
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_SHOW, none,
                           !text_is(member_text(&members[DISPLAY]), S("omitted"))));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_format(struct reading *r, struct slice name, const struct member *format)
{
    enum { TYPE, SCHEMA, KEYS };
    static const struct slice names[KEYS] = {S_INIT("type"), S_INIT("schema")};
    struct member members[KEYS];

    if (!member_is_present(format))
        return R2A_OK;
    if (!member_is(format, JSON_OBJECT))
        return read_refuse_type(r, name, format->kind, S("an object"));
    read_enter(r, name);
    READ_TRY(read_object(r, format->raw, names, KEYS, members, NULL));
    if (!text_is(member_text(&members[TYPE]), S("json_schema")))
        return read_refuse_value(r, names[TYPE], S(": it must be json_schema."));
    if (!member_is(&members[SCHEMA], JSON_OBJECT))
        return member_is_present(&members[SCHEMA])
                   ? read_refuse_type(r, names[SCHEMA], members[SCHEMA].kind, S("an object"))
                   : read_refuse_missing(r, names[SCHEMA]);
    READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, none, IR_FORMAT_SCHEMA));
    READ_PUT(put_param(r->tape, IR_PARAM_FORMAT_SCHEMA, member_json(&members[SCHEMA]), 0));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_output_config(struct reading *r, const struct member *config)
{
    enum { EFFORT, FORMAT, KEYS };
    static const struct slice names[KEYS] = {S_INIT("effort"), S_INIT("format")};
    struct member members[KEYS];

    if (!member_is_present(config))
        return R2A_OK;
    if (!member_is(config, JSON_OBJECT))
        return read_refuse_type(r, root_names[ROOT_OUTPUT_CONFIG], config->kind, S("an object"));
    read_enter(r, root_names[ROOT_OUTPUT_CONFIG]);
    READ_TRY(read_object(r, config->raw, names, KEYS, members, "output_config."));
    if (member_is_present(&members[EFFORT])) {
        struct text effort = member_text(&members[EFFORT]);

        if (!member_is(&members[EFFORT], JSON_STRING))
            return read_refuse_type(r, names[EFFORT], members[EFFORT].kind, S("a string"));
        READ_PUT(put_param(r->tape, IR_PARAM_EFFORT, effort, effort_of(effort)));
    }
    READ_TRY(put_format(r, names[FORMAT], &members[FORMAT]));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_metadata(struct reading *r, const struct member *metadata)
{
    static const struct slice names[] = {S_INIT("user_id")};
    struct member members[1];

    if (!member_is_present(metadata))
        return R2A_OK;
    if (!member_is(metadata, JSON_OBJECT))
        return read_refuse_type(r, root_names[ROOT_METADATA], metadata->kind, S("an object"));
    READ_TRY(read_object(r, metadata->raw, names, 1, members, "metadata."));
    if (member_is(&members[0], JSON_STRING) && members[0].raw.len > 2)
        READ_PUT(put_param(r->tape, IR_PARAM_USER, member_text(&members[0]), 0));
    return R2A_OK;
}

static enum r2a_err put_tier(struct reading *r, const struct member *tier)
{
    struct text word = member_text(tier);

    if (!member_is_present(tier))
        return R2A_OK;
    if (!member_is(tier, JSON_STRING))
        return read_refuse_type(r, root_names[ROOT_SERVICE_TIER], tier->kind, S("a string"));
    READ_PUT(put_param(r->tape, IR_PARAM_TIER, word,
                       text_is(word, S("auto"))            ? IR_TIER_AUTO
                       : text_is(word, S("standard_only")) ? IR_TIER_DEFAULT
                                                           : IR_TIER_OTHER));
    return R2A_OK;
}

/* --- tools --- */

enum tool_key {
    TOOL_TYPE,
    TOOL_NAME,
    TOOL_DESCRIPTION,
    TOOL_SCHEMA,
    TOOL_STRICT,
    TOOL_CACHE,
    TOOL_WIDTH,
    TOOL_HEIGHT,
    TOOLS
};

static const struct slice tool_names[TOOLS] = {
    [TOOL_TYPE] = S_INIT("type"),
    [TOOL_NAME] = S_INIT("name"),
    [TOOL_DESCRIPTION] = S_INIT("description"),
    [TOOL_SCHEMA] = S_INIT("input_schema"),
    [TOOL_STRICT] = S_INIT("strict"),
    [TOOL_CACHE] = S_INIT("cache_control"),
    [TOOL_WIDTH] = S_INIT("display_width_px"),
    [TOOL_HEIGHT] = S_INIT("display_height_px"),
};

/* A tool that runs at the vendor. Those it defines and the client runs are functions. */
static bool is_server_tool(const struct member *members)
{
    struct text type = member_text(&members[TOOL_TYPE]);

    return type.len > 0 && !text_is(type, S("custom")) &&
           builtin_of_anthropic(type) == BUILTIN_NONE;
}

/* The type of the server tool that has this name, or empty. */
static struct text server_type(struct reading *r, const struct member *tools, struct text name)
{
    struct json_scan scan;
    struct member tool, members[TOOLS];

    if (!member_is(tools, JSON_ARRAY))
        return none;
    read_open(r, &scan, tools->raw);
    while (read_next(&scan, &tool))
        if (members_of(tool.raw, tool_names, TOOLS, members) && is_server_tool(members) &&
            text_eq(member_text(&members[TOOL_NAME]), name))
            return member_text(&members[TOOL_TYPE]);
    return none;
}

static enum r2a_err put_choice(struct reading *r, const struct member *choice,
                               const struct member *tools)
{
    enum { TYPE, NAME, DISABLE_PARALLEL, KEYS };
    static const struct slice names[KEYS] = {S_INIT("type"), S_INIT("name"),
                                             S_INIT("disable_parallel_tool_use")};
    struct member members[KEYS];
    struct text type, name, server = none;
    int64_t number;

    if (!member_is_present(choice))
        return R2A_OK;
    if (!member_is(choice, JSON_OBJECT))
        return read_refuse_type(r, root_names[ROOT_TOOL_CHOICE], choice->kind, S("an object"));
    read_enter(r, root_names[ROOT_TOOL_CHOICE]);
    READ_TRY(read_object(r, choice->raw, names, KEYS, members, "tool_choice."));
    type = member_text(&members[TYPE]);
    name = member_text(&members[NAME]);
    if (text_is(type, S("auto"))) {
        number = IR_CHOICE_AUTO;
    } else if (text_is(type, S("any"))) {
        number = IR_CHOICE_ANY;
    } else if (text_is(type, S("none"))) {
        number = IR_CHOICE_NONE;
    } else if (text_is(type, S("tool"))) {
        if (name.len == 0)
            return read_refuse_missing(r, names[NAME]);
        server = server_type(r, tools, name);
        number = server.len > 0 ? IR_CHOICE_SERVER : IR_CHOICE_ONE;
    } else {
        return read_refuse_value(r, names[TYPE], S(": it must be auto, any, tool or none."));
    }
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, none, number));
    if (number == IR_CHOICE_ONE || number == IR_CHOICE_SERVER)
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME,
                           number == IR_CHOICE_ONE ? name : server, 0));
    if (member_is_bool(&members[DISABLE_PARALLEL]))
        READ_PUT(put_param(r->tape, IR_PARAM_PARALLEL, none,
                           !member_is(&members[DISABLE_PARALLEL], JSON_TRUE)));
    read_leave(r);
    return R2A_OK;
}

/* What is said of a screen goes with the description: nowhere else could a model read it. */
static enum r2a_err put_builtin(struct reading *r, const struct member *tool,
                                const struct member *members, enum builtin_id id, uint8_t flags)
{
    char screen[80];
    struct str_buf buf = STR_BUF(screen);

    if (member_is(&members[TOOL_WIDTH], JSON_NUMBER) &&
        member_is(&members[TOOL_HEIGHT], JSON_NUMBER)) {
        str_buf_put(&buf, S(" The screen has "));
        str_buf_put(&buf, slice_head(members[TOOL_WIDTH].raw, 20));
        str_buf_put(&buf, S(" x "));
        str_buf_put(&buf, slice_head(members[TOOL_HEIGHT].raw, 20));
        str_buf_put(&buf, S(" pixels."));
    }
    READ_PUT(builtin_put(r->tape, id, flags, member_text(&members[TOOL_TYPE]),
                         member_text(&members[TOOL_NAME]), str_buf_slice(&buf), tool->raw,
                         brief_scratch(r->brief)));
    return R2A_OK;
}

static enum r2a_err put_tool(struct reading *r, const struct member *tool)
{
    struct member members[TOOLS];
    enum builtin_id id;
    uint8_t flags;

    if (!member_is(tool, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, tool->kind, S("an object"));
    READ_TRY(read_object(r, tool->raw, tool_names, TOOLS, members, NULL));
    flags = anthropic_mark(&members[TOOL_CACHE]);
    r->brief->text_bytes += tool->raw.len;
    id = builtin_of_anthropic(member_text(&members[TOOL_TYPE]));
    if (id != BUILTIN_NONE)
        return put_builtin(r, tool, members, id, flags);
    if (is_server_tool(members)) {
        READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_SERVER, flags, 0,
                          member_text(&members[TOOL_TYPE]), member_text(&members[TOOL_NAME])));
        READ_PUT(put_field(r->tape, IR_FIELD_RAW, 0, member_json(tool), 0));
        READ_PUT(put_plain(r->tape, IR_TOOL_END, IR_TOOL_SERVER));
        return R2A_OK;
    }
    if (!member_is(&members[TOOL_NAME], JSON_STRING))
        return member_is_present(&members[TOOL_NAME])
                   ? read_refuse_type(r, tool_names[TOOL_NAME], members[TOOL_NAME].kind,
                                      S("a string"))
                   : read_refuse_missing(r, tool_names[TOOL_NAME]);
    if (member_is_present(&members[TOOL_SCHEMA]) && !member_is(&members[TOOL_SCHEMA], JSON_OBJECT))
        return read_refuse_type(r, tool_names[TOOL_SCHEMA], members[TOOL_SCHEMA].kind,
                                S("an object"));
    READ_PUT(
        put_open(r->tape, IR_TOOL, IR_TOOL_JSON, flags, 0, none, member_text(&members[TOOL_NAME])));
    if (member_is(&members[TOOL_DESCRIPTION], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_DESCRIPTION, 0,
                           member_text(&members[TOOL_DESCRIPTION]), 0));
    if (member_is(&members[TOOL_SCHEMA], JSON_OBJECT))
        READ_PUT(put_field(r->tape, IR_FIELD_SCHEMA, 0, member_json(&members[TOOL_SCHEMA]), 0));
    if (member_is_bool(&members[TOOL_STRICT]))
        READ_PUT(put_field(r->tape, IR_FIELD_STRICT, 0, none,
                           member_is(&members[TOOL_STRICT], JSON_TRUE)));
    READ_PUT(put_plain(r->tape, IR_TOOL_END, IR_TOOL_JSON));
    return R2A_OK;
}

static enum r2a_err put_tools(struct reading *r, const struct member *tools)
{
    struct json_scan scan;
    struct member tool;
    uint32_t index = 0;

    if (!member_is_present(tools))
        return R2A_OK;
    if (!member_is(tools, JSON_ARRAY))
        return read_refuse_type(r, root_names[ROOT_TOOLS], tools->kind, S("an array"));
    read_enter(r, root_names[ROOT_TOOLS]);
    read_open(r, &scan, tools->raw);
    while (read_next(&scan, &tool)) {
        read_enter_index(r, index++);
        READ_TRY(put_tool(r, &tool));
        read_leave(r);
    }
    read_leave(r);
    r->brief->has_tools = index > 0;
    return R2A_OK;
}

/* --- root --- */

static enum r2a_err put_opaques(struct reading *r, const struct member *root)
{
    for (uint32_t key = ROOT_CACHE_CONTROL; key <= ROOT_DIAGNOSTICS; key++) {
        if (!member_is_present(&root[key]))
            continue;
        READ_PUT(put_param(r->tape, IR_PARAM_OPAQUE, member_json(&root[key]), 0));
        READ_PUT(put_field(r->tape, IR_FIELD_TITLE, 0, text_plain(root_names[key]), 0));
    }
    return R2A_OK;
}

static enum r2a_err put_stream(struct reading *r, const struct member *stream)
{
    bool is_stream = member_is(stream, JSON_TRUE);

    if (!member_is_present(stream))
        return R2A_OK;
    if (!member_is_bool(stream))
        return read_refuse_type(r, root_names[ROOT_STREAM], stream->kind, S("a boolean"));
    if (is_stream && r->brief->operation == BRIEF_GENERATE)
        r->brief->shape = BRIEF_SSE;
    READ_PUT(put_param(r->tape, IR_PARAM_STREAM, none, is_stream));
    return R2A_OK;
}

static enum r2a_err put_params(struct reading *r, const struct member *root)
{
    if (!member_is_present(&root[ROOT_MAX_TOKENS]) && r->brief->operation == BRIEF_GENERATE)
        return read_refuse_missing(r, root_names[ROOT_MAX_TOKENS]);
    READ_TRY(put_number(r, root, ROOT_MAX_TOKENS, IR_PARAM_MAX_OUT, true));
    READ_TRY(put_number(r, root, ROOT_TEMPERATURE, IR_PARAM_TEMPERATURE, false));
    READ_TRY(put_number(r, root, ROOT_TOP_P, IR_PARAM_TOP_P, false));
    READ_TRY(put_number(r, root, ROOT_TOP_K, IR_PARAM_TOP_K, true));
    READ_TRY(put_stops(r, &root[ROOT_STOP_SEQUENCES]));
    READ_TRY(put_stream(r, &root[ROOT_STREAM]));
    READ_TRY(put_thinking(r, &root[ROOT_THINKING]));
    READ_TRY(put_output_config(r, &root[ROOT_OUTPUT_CONFIG]));
    /* The beta name; clients that mean something else by it are not refused for it. */
    if (member_is(&root[ROOT_OUTPUT_FORMAT], JSON_OBJECT))
        READ_TRY(put_format(r, root_names[ROOT_OUTPUT_FORMAT], &root[ROOT_OUTPUT_FORMAT]));
    else if (member_is_present(&root[ROOT_OUTPUT_FORMAT]))
        READ_PUT(put_ext(r->tape, text_plain(root_names[ROOT_OUTPUT_FORMAT])));
    READ_TRY(put_choice(r, &root[ROOT_TOOL_CHOICE], &root[ROOT_TOOLS]));
    READ_TRY(put_metadata(r, &root[ROOT_METADATA]));
    READ_TRY(put_tier(r, &root[ROOT_SERVICE_TIER]));
    return put_opaques(r, root);
}

/* Unknown members of the root wait until BEGIN is on the tape. */
struct unknown {
    struct unknown *next;
    struct text key;
};

struct unknowns {
    struct arena *arena;
    struct unknown *first;
    bool is_failed;
};

static void keep_unknown(void *context, struct text key, const struct member *value)
{
    struct unknowns *unknowns = context;
    struct unknown *unknown;

    if (value->is_null)
        return;
    unknown = arena_take(unknowns->arena, sizeof(*unknown));
    if (unknown == NULL) {
        unknowns->is_failed = true;
        return;
    }
    *unknown = (struct unknown){.next = unknowns->first, .key = key};
    unknowns->first = unknown;
}

enum r2a_err anthropic_request_decode(struct slice body, struct ir_sink *tape, struct brief *brief,
                                      struct fault *fault)
{
    struct reading reading = {
        .body = body, .memo = brief->memo, .tape = tape, .brief = brief, .fault = fault};
    struct reading *r = &reading;
    struct unknowns unknowns = {.arena = brief_scratch(brief)};
    struct member root[ROOTS];
    struct json_scan scan;
    struct text model;
    enum json_token token;
    int twice;

    brief->max_out = -1;
    brief->thoughts_shown = true;
    json_open_recall(&scan, body, brief->memo);
    token = json_next(&scan);
    if (token != JSON_OBJECT && token != JSON_ERROR)
        return read_refuse_as(r, R2A_ERR_JSON_TYPE, S("The request body must be a JSON object"),
                              S("."));
    if (token == JSON_ERROR ||
        !members_read(&scan, root_names, ROOTS, root, &twice, keep_unknown, &unknowns) ||
        json_next(&scan) != JSON_END)
        return read_refuse_syntax(r, &scan, body);
    if (twice >= 0 && twice <= ROOT_UNIQUE) {
        read_enter(r, root_names[twice]);
        return read_refuse(r, S("Duplicate parameter:"), S("."));
    }
    if (member_is_present(&root[ROOT_MODEL]) && !member_is(&root[ROOT_MODEL], JSON_STRING))
        return read_refuse_type(r, root_names[ROOT_MODEL], root[ROOT_MODEL].kind, S("a string"));
    model = member_text(&root[ROOT_MODEL]);
    if (unknowns.is_failed || !text_to_plain(model, brief->arena, &brief->model))
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    READ_PUT(put_open(tape, IR_BEGIN, 0, 0, 0, text_plain(S("anthropic")), model));
    for (const struct unknown *unknown = unknowns.first; unknown != NULL; unknown = unknown->next)
        READ_PUT(put_ext(tape, unknown->key));
    READ_TRY(put_params(r, root));
    READ_TRY(put_tools(r, &root[ROOT_TOOLS]));
    READ_TRY(anthropic_read_system(r, &root[ROOT_SYSTEM]));
    READ_TRY(anthropic_read_messages(r, &root[ROOT_MESSAGES]));
    READ_PUT(put_plain(tape, IR_END, 0));
    return R2A_OK;
}
