#include "gemini_read.h"

#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "schema.h"

/* A generateContent or countTokens request onto the tape (gemini.md 3, 4). The root is read as
 * spans and told in the tape's order: registers, tools, turns. Every member is taken in camelCase
 * and in snake_case, null is absent, a list may be a single object, integers may be strings. The
 * model and whether to stream are the URL's. Unknown members become EXT, those that only this
 * protocol has OPAQUE registers. */

enum root {
    ROOT_CONTENTS,
    ROOT_TOOLS,
    ROOT_SYSTEM,
    ROOT_UNIQUE = ROOT_SYSTEM, /* a second occurrence, in either spelling, is a 400 */
    ROOT_CONFIG,
    ROOT_TOOL_CONFIG,
    ROOT_SAFETY,
    ROOT_TIER,
    ROOT_MODEL, /* ignored: the URL's counts */
    ROOT_COUNT_REQUEST,
    ROOT_CACHED,
    ROOT_LABELS,
    ROOT_ARMOR,
    ROOTS,
};

static const struct slice root_names[ROOTS * 2] = {
    GEMINI_NAME("contents", "contents"),
    GEMINI_NAME("tools", "tools"),
    GEMINI_NAME("systemInstruction", "system_instruction"),
    GEMINI_NAME("generationConfig", "generation_config"),
    GEMINI_NAME("toolConfig", "tool_config"),
    GEMINI_NAME("safetySettings", "safety_settings"),
    GEMINI_NAME("serviceTier", "service_tier"),
    GEMINI_NAME("model", "model"),
    GEMINI_NAME("generateContentRequest", "generate_content_request"),
    GEMINI_NAME("cachedContent", "cached_content"),
    GEMINI_NAME("labels", "labels"),
    GEMINI_NAME("modelArmorConfig", "model_armor_config"),
};

enum config {
    CONFIG_TEMPERATURE,
    CONFIG_TOP_P,
    CONFIG_TOP_K,
    CONFIG_CANDIDATES,
    CONFIG_MAX_OUTPUT,
    CONFIG_STOPS,
    CONFIG_PRESENCE,
    CONFIG_FREQUENCY,
    CONFIG_SEED,
    CONFIG_LOGPROBS,
    CONFIG_TOP_LOGPROBS,
    CONFIG_MIME,
    CONFIG_SCHEMA,
    CONFIG_JSON_SCHEMA,
    CONFIG_JSON_SCHEMA_OLD,
    CONFIG_MODALITIES,
    CONFIG_THINKING,
    CONFIG_SPEECH,
    CONFIG_IMAGE,
    CONFIG_RESOLUTION,
    CONFIG_CIVIC,
    CONFIG_TRANSCRIPTION,
    CONFIG_TIMESTAMP,
    CONFIG_ROUTING,
    CONFIG_SELECTION,
    CONFIGS,
};

static const struct slice config_names[CONFIGS * 2] = {
    GEMINI_NAME("temperature", "temperature"),
    GEMINI_NAME("topP", "top_p"),
    GEMINI_NAME("topK", "top_k"),
    GEMINI_NAME("candidateCount", "candidate_count"),
    GEMINI_NAME("maxOutputTokens", "max_output_tokens"),
    GEMINI_NAME("stopSequences", "stop_sequences"),
    GEMINI_NAME("presencePenalty", "presence_penalty"),
    GEMINI_NAME("frequencyPenalty", "frequency_penalty"),
    GEMINI_NAME("seed", "seed"),
    GEMINI_NAME("responseLogprobs", "response_logprobs"),
    GEMINI_NAME("logprobs", "logprobs"),
    GEMINI_NAME("responseMimeType", "response_mime_type"),
    GEMINI_NAME("responseSchema", "response_schema"),
    GEMINI_NAME("responseJsonSchema", "response_json_schema"),
    GEMINI_NAME("_responseJsonSchema", "_response_json_schema"),
    GEMINI_NAME("responseModalities", "response_modalities"),
    GEMINI_NAME("thinkingConfig", "thinking_config"),
    GEMINI_NAME("speechConfig", "speech_config"),
    GEMINI_NAME("imageConfig", "image_config"),
    GEMINI_NAME("mediaResolution", "media_resolution"),
    GEMINI_NAME("enableEnhancedCivicAnswers", "enable_enhanced_civic_answers"),
    GEMINI_NAME("audioTranscriptionConfig", "audio_transcription_config"),
    GEMINI_NAME("audioTimestamp", "audio_timestamp"),
    GEMINI_NAME("routingConfig", "routing_config"),
    GEMINI_NAME("modelSelectionConfig", "model_selection_config"),
};

static const struct text none;

/* --- both spellings, lists that may be one --- */

enum r2a_err gemini_read_object(struct reading *r, const struct member *object,
                                const struct slice *names, uint32_t count, struct member *members,
                                const char *prefix)
{
    if (!member_is(object, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, object->kind, S("an object"));
    READ_TRY(read_object(r, object->raw, names, count * 2, members, prefix));
    gemini_fold(members, count);
    return R2A_OK;
}

enum { LIST_NEW, LIST_ARRAY, LIST_OVER };

bool gemini_list_next(struct reading *r, struct gemini_list *list, const struct member *value,
                      struct member *item)
{
    if (list->state == LIST_NEW && !member_is(value, JSON_ARRAY)) {
        list->state = LIST_OVER;
        *item = *value;
        return member_is_present(value);
    }
    if (list->state == LIST_OVER)
        return false;
    if (list->state == LIST_NEW)
        read_open(r, &list->scan, value->raw);
    else
        list->index++;
    list->state = LIST_ARRAY;
    return read_next(&list->scan, item);
}

/* --- registers --- */

/* A number, or a string that holds one: its source text. */
static bool number_text(const struct member *member, struct slice *raw)
{
    struct json_scan scan;

    *raw = member->raw;
    if (member_is(member, JSON_NUMBER))
        return true;
    if (!member_is(member, JSON_STRING))
        return false;
    *raw = text_bytes(member_text(member));
    json_open(&scan, *raw);
    return json_next(&scan) == JSON_NUMBER && json_next(&scan) == JSON_END;
}

static enum r2a_err put_number(struct reading *r, const struct member *config, enum config key,
                               uint8_t param, bool is_int)
{
    struct slice name = config_names[key * 2], raw;
    int64_t number = 0;

    if (!member_is_present(&config[key]))
        return R2A_OK;
    if (!number_text(&config[key], &raw))
        return read_refuse_type(r, name, config[key].kind, S("a number"));
    if (!json_number_int(raw, &number) && is_int)
        return read_refuse_type(r, name, config[key].kind, S("an integer"));
    if (param == IR_PARAM_MAX_OUT) {
        if (number < 0)
            return read_refuse_value(r, name, S(": it must not be negative."));
        r->brief->max_out = number;
    }
    if (is_int) { /* 40.0 is an integer here, and not everywhere */
        char digits[STR_U64_BYTES_MAX];

        if (str_find_char(raw, '.') < raw.len || str_find_char(raw, 'e') < raw.len ||
            str_find_char(raw, 'E') < raw.len)
            raw =
                arena_copy(brief_scratch(r->brief), slice_of(digits, str_from_i64(digits, number)));
        if (raw.len == 0)
            return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    }
    READ_PUT(put_param(r->tape, param, text_json(raw), number));
    return R2A_OK;
}

static enum r2a_err put_strings(struct reading *r, const struct member *config, enum config key,
                                uint8_t param)
{
    struct gemini_list list = {0};
    struct member item;

    read_enter(r, config_names[key * 2]);
    while (gemini_list_next(r, &list, &config[key], &item)) {
        struct text value = member_text(&item);

        read_enter_index(r, list.index);
        if (!member_is(&item, JSON_STRING))
            return read_refuse_type(r, (struct slice){0}, item.kind, S("a string"));
        if (param == IR_PARAM_MODALITIES) { /* enum names, of no case elsewhere */
            char *lower = arena_take(brief_scratch(r->brief), value.len + 1);

            if (lower == NULL)
                return read_fail_sink(r, R2A_ERR_NO_MEMORY);
            for (uint32_t i = 0; i < value.len; i++)
                lower[i] = char_to_lower(value.ptr[i]);
            value.ptr = lower;
        }
        READ_PUT(put_param(r->tape, param, value, 0));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_bool(struct reading *r, struct slice name, const struct member *member,
                             uint8_t param)
{
    if (!member_is_present(member))
        return R2A_OK;
    if (!member_is_bool(member))
        return read_refuse_type(r, name, member->kind, S("a boolean"));
    READ_PUT(put_param(r->tape, param, member_json(member), member_is(member, JSON_TRUE)));
    return R2A_OK;
}

static enum r2a_err put_opaque(struct reading *r, struct slice name, const struct member *member)
{
    if (!member_is_present(member))
        return R2A_OK;
    READ_PUT(put_param(r->tape, IR_PARAM_OPAQUE, member_json(member), 0));
    READ_PUT(put_field(r->tape, IR_FIELD_TITLE, 0, text_plain(name), 0));
    return R2A_OK;
}

static enum r2a_err put_format(struct reading *r, const struct member *config)
{
    const struct member *schema = &config[CONFIG_SCHEMA];
    struct text mime = member_text(&config[CONFIG_MIME]);
    struct slice lowered;

    if (!member_is(schema, JSON_OBJECT))
        schema = &config[CONFIG_JSON_SCHEMA];
    if (!member_is(schema, JSON_OBJECT))
        schema = &config[CONFIG_JSON_SCHEMA_OLD];
    if (mime.len > 0 && !text_is_nocase(mime, S("application/json")) &&
        !text_is_nocase(mime, S("text/plain"))) { /* text/x.enum: nobody else knows it */
        READ_TRY(put_opaque(r, config_names[CONFIG_MIME * 2], &config[CONFIG_MIME]));
        return put_opaque(r, config_names[CONFIG_SCHEMA * 2], &config[CONFIG_SCHEMA]);
    }
    if (text_is_nocase(mime, S("text/plain")) || (mime.len == 0 && !member_is_present(schema)))
        return R2A_OK;
    if (!member_is(schema, JSON_OBJECT)) {
        READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, none, IR_FORMAT_JSON));
        return R2A_OK;
    }
    lowered = schema_from_gemini(schema->raw, brief_scratch(r->brief), r->brief->mem);
    if (lowered.len == 0)
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    r->brief->text_bytes += lowered.len;
    READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, none, IR_FORMAT_SCHEMA));
    READ_PUT(put_param(r->tape, IR_PARAM_FORMAT_SCHEMA, text_json(lowered), 0));
    return R2A_OK;
}

static enum r2a_err put_level(struct reading *r, struct text level)
{
    struct slice plain;
    char *lower = arena_take(brief_scratch(r->brief), level.len + 1);

    if (lower == NULL)
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < level.len; i++)
        lower[i] = char_to_lower(level.ptr[i]);
    plain = slice_of(lower, level.len);
    if (str_starts(plain, S("thinking_level_"))) {
        if (slice_eq(plain, S("thinking_level_unspecified")))
            return R2A_OK;
        plain = slice_skip(plain, 15);
    }
    READ_PUT(
        put_param(r->tape, IR_PARAM_EFFORT, text_escaped(plain), effort_of(text_escaped(plain))));
    return R2A_OK;
}

static enum r2a_err put_thinking(struct reading *r, const struct member *thinking)
{
    enum { INCLUDE, BUDGET, LEVEL, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("includeThoughts", "include_thoughts"),
        GEMINI_NAME("thinkingBudget", "thinking_budget"),
        GEMINI_NAME("thinkingLevel", "thinking_level"),
    };
    struct member members[KEYS * 2];
    struct slice raw;
    int64_t budget;

    if (!member_is_present(thinking))
        return R2A_OK;
    read_enter(r, config_names[CONFIG_THINKING * 2]);
    READ_TRY(gemini_read_object(r, thinking, names, KEYS, members, "thinkingConfig."));
    if (member_is_present(&members[BUDGET])) {
        if (!number_text(&members[BUDGET], &raw) || !json_number_int(raw, &budget) || budget < -1)
            return read_refuse_type(r, names[BUDGET * 2], members[BUDGET].kind, S("an integer"));
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_MODE, none,
                           budget == 0    ? IR_THINK_OFF
                           : budget == -1 ? IR_THINK_AUTO
                                          : IR_THINK_MANUAL));
        if (budget > 0)
            READ_PUT(put_param(r->tape, IR_PARAM_BUDGET, text_json(raw), budget));
    }
    if (member_is(&members[LEVEL], JSON_STRING))
        READ_TRY(put_level(r, member_text(&members[LEVEL])));
    READ_TRY(put_bool(r, names[INCLUDE * 2], &members[INCLUDE], IR_PARAM_THINK_SHOW));
    r->brief->thoughts_shown = member_is(&members[INCLUDE], JSON_TRUE);
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_config(struct reading *r, const struct member *value)
{
    struct member config[CONFIGS * 2];

    if (!member_is_present(value))
        return R2A_OK;
    read_enter(r, root_names[ROOT_CONFIG * 2]);
    READ_TRY(gemini_read_object(r, value, config_names, CONFIGS, config, ""));
    READ_TRY(put_number(r, config, CONFIG_MAX_OUTPUT, IR_PARAM_MAX_OUT, true));
    READ_TRY(put_number(r, config, CONFIG_TEMPERATURE, IR_PARAM_TEMPERATURE, false));
    READ_TRY(put_number(r, config, CONFIG_TOP_P, IR_PARAM_TOP_P, false));
    READ_TRY(put_number(r, config, CONFIG_TOP_K, IR_PARAM_TOP_K, true));
    READ_TRY(put_number(r, config, CONFIG_CANDIDATES, IR_PARAM_N, true));
    READ_TRY(put_number(r, config, CONFIG_SEED, IR_PARAM_SEED, true));
    READ_TRY(put_number(r, config, CONFIG_PRESENCE, IR_PARAM_PRESENCE_PENALTY, false));
    READ_TRY(put_number(r, config, CONFIG_FREQUENCY, IR_PARAM_FREQUENCY_PENALTY, false));
    READ_TRY(put_bool(r, config_names[CONFIG_LOGPROBS * 2], &config[CONFIG_LOGPROBS],
                      IR_PARAM_LOGPROBS));
    READ_TRY(put_number(r, config, CONFIG_TOP_LOGPROBS, IR_PARAM_TOP_LOGPROBS, true));
    READ_TRY(put_strings(r, config, CONFIG_STOPS, IR_PARAM_STOP));
    READ_TRY(put_strings(r, config, CONFIG_MODALITIES, IR_PARAM_MODALITIES));
    READ_TRY(put_format(r, config));
    READ_TRY(put_thinking(r, &config[CONFIG_THINKING]));
    for (uint32_t key = CONFIG_SPEECH; key < CONFIGS; key++)
        READ_TRY(put_opaque(r, config_names[key * 2], &config[key]));
    read_leave(r);
    return R2A_OK;
}

/* --- tool_choice --- */

static int64_t mode_of(const struct member *mode)
{
    static const struct slice words[] = {S_INIT("MODE_UNSPECIFIED"), S_INIT("AUTO"), S_INIT("ANY"),
                                         S_INIT("NONE"), S_INIT("VALIDATED")};
    int64_t number;

    if (member_int(mode, &number))
        return number >= 0 && number < 5 ? number : -1;
    for (int i = 0; i < 5; i++)
        if (text_is_nocase(member_text(mode), words[i]))
            return i;
    return member_is_present(mode) ? -1 : 0;
}

enum { MODE_UNSPECIFIED, MODE_AUTO, MODE_ANY, MODE_NONE, MODE_VALIDATED };

static enum r2a_err put_calling(struct reading *r, const struct member *calling)
{
    enum { MODE, ALLOWED, STREAM_ARGS, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("mode", "mode"),
        GEMINI_NAME("allowedFunctionNames", "allowed_function_names"),
        GEMINI_NAME("streamFunctionCallArguments", "stream_function_call_arguments"),
    };
    struct member members[KEYS * 2], item;
    struct gemini_list list = {0};
    int64_t mode, choice = IR_CHOICE_AUTO;
    uint32_t count = 0;

    if (!member_is_present(calling))
        return R2A_OK;
    read_enter(r, S("functionCallingConfig"));
    READ_TRY(gemini_read_object(r, calling, names, KEYS, members, "functionCallingConfig."));
    mode = mode_of(&members[MODE]);
    if (mode < 0)
        return read_refuse_value(r, names[MODE * 2],
                                 S(": it must be AUTO, ANY, NONE or "
                                   "VALIDATED."));
    while (gemini_list_next(r, &list, &members[ALLOWED], &item))
        count++;
    if (mode == MODE_ANY)
        choice = count == 0 ? IR_CHOICE_ANY : count == 1 ? IR_CHOICE_ONE : IR_CHOICE_ALLOWED_ANY;
    else if (mode == MODE_NONE)
        choice = IR_CHOICE_NONE;
    else if (mode == MODE_VALIDATED && count > 0)
        choice = IR_CHOICE_ALLOWED_AUTO;
    if (mode != MODE_UNSPECIFIED)
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, none, choice));
    list = (struct gemini_list){0};
    read_enter(r, names[ALLOWED * 2]);
    while ((mode == MODE_ANY || mode == MODE_VALIDATED) &&
           gemini_list_next(r, &list, &members[ALLOWED], &item)) {
        if (!member_is(&item, JSON_STRING))
            return read_refuse_type(r, (struct slice){0}, item.kind, S("a list of strings"));
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME, member_text(&item), 0));
    }
    read_leave(r);
    READ_TRY(put_opaque(r, names[STREAM_ARGS * 2], &members[STREAM_ARGS]));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_tool_config(struct reading *r, const struct member *value)
{
    enum { CALLING, RETRIEVAL, INVOCATIONS, KEYS };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("functionCallingConfig", "function_calling_config"),
        GEMINI_NAME("retrievalConfig", "retrieval_config"),
        GEMINI_NAME("includeServerSideToolInvocations", "include_server_side_tool_invocations"),
    };
    struct member members[KEYS * 2];

    if (!member_is_present(value))
        return R2A_OK;
    read_enter(r, root_names[ROOT_TOOL_CONFIG * 2]);
    READ_TRY(gemini_read_object(r, value, names, KEYS, members, "toolConfig."));
    READ_TRY(put_calling(r, &members[CALLING]));
    READ_TRY(put_opaque(r, names[RETRIEVAL * 2], &members[RETRIEVAL]));
    READ_TRY(put_opaque(r, names[INVOCATIONS * 2], &members[INVOCATIONS]));
    read_leave(r);
    return R2A_OK;
}

/* --- tools --- */

static enum r2a_err put_function(struct reading *r, const struct member *function)
{
    enum {
        NAME,
        DESCRIPTION,
        PARAMETERS,
        JSON_PARAMETERS,
        RESPONSE,
        JSON_RESPONSE,
        BEHAVIOR,
        KEYS
    };
    static const struct slice names[KEYS * 2] = {
        GEMINI_NAME("name", "name"),
        GEMINI_NAME("description", "description"),
        GEMINI_NAME("parameters", "parameters"),
        GEMINI_NAME("parametersJsonSchema", "parameters_json_schema"),
        GEMINI_NAME("response", "response"),
        GEMINI_NAME("responseJsonSchema", "response_json_schema"),
        GEMINI_NAME("behavior", "behavior"),
    };
    struct member members[KEYS * 2];
    const struct member *schema;
    struct slice lowered;

    READ_TRY(gemini_read_object(r, function, names, KEYS, members, NULL));
    if (!member_is(&members[NAME], JSON_STRING))
        return member_is_present(&members[NAME])
                   ? read_refuse_type(r, names[0], members[NAME].kind, S("a string"))
                   : read_refuse_missing(r, names[0]);
    schema = &members[member_is_present(&members[PARAMETERS]) ? PARAMETERS : JSON_PARAMETERS];
    if (member_is_present(schema) && !member_is(schema, JSON_OBJECT))
        return read_refuse_type(r, names[PARAMETERS * 2], schema->kind, S("an object"));
    r->brief->text_bytes += function->raw.len;
    READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_JSON, 0, 0, none, member_text(&members[NAME])));
    if (member_text(&members[DESCRIPTION]).len > 0)
        READ_PUT(
            put_field(r->tape, IR_FIELD_DESCRIPTION, 0, member_text(&members[DESCRIPTION]), 0));
    if (member_is(schema, JSON_OBJECT)) {
        lowered = schema_from_gemini(schema->raw, brief_scratch(r->brief), r->brief->mem);
        if (lowered.len == 0)
            return read_fail_sink(r, R2A_ERR_NO_MEMORY);
        READ_PUT(put_field(r->tape, IR_FIELD_SCHEMA, 0, text_json(lowered), 0));
    }
    READ_PUT(put_plain(r->tape, IR_TOOL_END, IR_TOOL_JSON));
    return R2A_OK;
}

/* google_search and googleSearch are one tool. */
static struct text camel_of(struct text snake, struct arena *arena)
{
    char *to = arena_take(arena, snake.len + 1);
    uint32_t len = 0;

    if (to == NULL)
        return snake;
    for (uint32_t i = 0; i < snake.len; i++) {
        if (snake.ptr[i] == '_' && i > 0 && i + 1 < snake.len && char_is_lower(snake.ptr[i + 1]))
            to[len++] = char_to_upper(snake.ptr[++i]);
        else
            to[len++] = snake.ptr[i];
    }
    return (struct text){to, len, snake.form};
}

static enum r2a_err put_tool(struct reading *r, const struct member *tool)
{
    static const struct slice names[] = {
        GEMINI_NAME("functionDeclarations", "function_declarations")};
    struct member item, value;
    struct json_scan scan;

    if (!member_is(tool, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, tool->kind, S("an object"));
    json_open_recall(&scan, tool->raw, r->memo);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_KEY) {
        struct text key = text_escaped(scan.text);
        bool is_functions = json_key_index(&scan, names, 2) >= 0;
        enum json_token token = json_next(&scan);
        struct gemini_list list = {0};

        value = (struct member){.kind = (uint8_t)(token == JSON_NULL ? JSON_ERROR : token)};
        if (!json_skip_after(&scan, token, &value.raw))
            return read_refuse_syntax(r, &scan, tool->raw);
        if (!member_is_present(&value))
            continue;
        if (!is_functions) {
            r->brief->text_bytes += value.raw.len;
            READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_SERVER, 0, 0,
                              camel_of(key, brief_scratch(r->brief)), none));
            READ_PUT(put_field(r->tape, IR_FIELD_RAW, 0, member_json(&value), 0));
            READ_PUT(put_plain(r->tape, IR_TOOL_END, IR_TOOL_SERVER));
            r->brief->has_tools = true;
            continue;
        }
        read_enter(r, names[0]);
        while (gemini_list_next(r, &list, &value, &item)) {
            read_enter_index(r, list.index);
            READ_TRY(put_function(r, &item));
            read_leave(r);
            r->brief->has_tools = true;
        }
        read_leave(r);
    }
    return R2A_OK;
}

static enum r2a_err put_tools(struct reading *r, const struct member *tools)
{
    struct gemini_list list = {0};
    struct member tool;

    read_enter(r, root_names[ROOT_TOOLS * 2]);
    while (gemini_list_next(r, &list, tools, &tool)) {
        read_enter_index(r, list.index);
        READ_TRY(put_tool(r, &tool));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

/* --- root --- */

static enum r2a_err put_tier(struct reading *r, const struct member *tier)
{
    struct text word = member_text(tier);

    if (word.len == 0 || text_is_nocase(word, S("unspecified")))
        return R2A_OK;
    READ_PUT(put_param(r->tape, IR_PARAM_TIER, word,
                       text_is_nocase(word, S("standard"))   ? IR_TIER_DEFAULT
                       : text_is_nocase(word, S("flex"))     ? IR_TIER_FLEX
                       : text_is_nocase(word, S("priority")) ? IR_TIER_PRIORITY
                                                             : IR_TIER_OTHER));
    return R2A_OK;
}

static enum r2a_err put_params(struct reading *r, const struct member *root)
{
    READ_TRY(put_config(r, &root[ROOT_CONFIG]));
    READ_TRY(put_tool_config(r, &root[ROOT_TOOL_CONFIG]));
    READ_TRY(put_tier(r, &root[ROOT_TIER]));
    if (member_is_present(&root[ROOT_SAFETY]))
        READ_PUT(put_param(r->tape, IR_PARAM_SAFETY, member_json(&root[ROOT_SAFETY]), 0));
    for (uint32_t key = ROOT_CACHED; key < ROOTS; key++)
        READ_TRY(put_opaque(r, root_names[key * 2], &root[key]));
    return R2A_OK;
}

/* One spelling of each; both of one is a member twice. */
static enum r2a_err scan_root(struct reading *r, struct member *root, struct read_later **later)
{
    READ_TRY(read_root(r, root_names, ROOTS * 2, ROOT_UNIQUE * 2 + 1, root, later));
    for (uint32_t key = 0; key <= ROOT_UNIQUE; key++) {
        if (member_is_present(&root[key * 2]) && member_is_present(&root[key * 2 + 1])) {
            read_enter(r, root_names[key * 2 + 1]);
            return read_refuse_as(r, R2A_ERR_JSON_DUPLICATE, S("Duplicate member"), S("."));
        }
    }
    gemini_fold(root, ROOTS);
    return R2A_OK;
}

enum r2a_err gemini_request_decode(struct slice body, struct ir_sink *tape, struct brief *brief,
                                   struct fault *fault)
{
    struct reading reading = {
        .body = body, .memo = brief->memo, .tape = tape, .brief = brief, .fault = fault};
    struct reading *r = &reading;
    struct read_later *later, *inner = NULL;
    struct member root[ROOTS * 2];

    brief->max_out = -1;
    brief->thoughts_shown = false;
    if (brief->path_model.len > 0)
        brief->model = brief->path_model;
    READ_TRY(scan_root(r, root, &later));
    if (brief->operation == BRIEF_COUNT && member_is(&root[ROOT_COUNT_REQUEST], JSON_OBJECT)) {
        r->body = root[ROOT_COUNT_REQUEST].raw;
        read_enter(r, root_names[ROOT_COUNT_REQUEST * 2]);
        READ_TRY(scan_root(r, root, &inner));
    }
    READ_PUT(put_open(tape, IR_BEGIN, 0, 0, 0, text_plain(S("gemini")), text_plain(brief->model)));
    READ_TRY(read_put_later(r, later));
    READ_TRY(read_put_later(r, inner));
    READ_TRY(put_params(r, root));
    READ_TRY(put_tools(r, &root[ROOT_TOOLS]));
    READ_TRY(gemini_read_system(r, &root[ROOT_SYSTEM]));
    READ_TRY(gemini_read_contents(r, &root[ROOT_CONTENTS]));
    READ_PUT(put_plain(tape, IR_END, 0));
    return R2A_OK;
}
