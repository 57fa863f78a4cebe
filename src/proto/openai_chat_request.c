#include "openai_chat.h"

#include "common.h"
#include "openai_chat_messages.h"
#include "openai_format.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"
#include "reading.h"

/* A Chat Completions request onto the tape. Members come in any order, the tape has one: each
 * object is first read as spans, then told in the tape's order. What is of the wrong type is a 400
 * that names the member; what is unknown is an EXT, because vendors' extensions travel among the
 * members and a 400 for each would help nobody. null is the same as absent everywhere. */

enum root {
    ROOT_MODEL,
    ROOT_MESSAGES,
    ROOT_STREAM,
    ROOT_STREAM_OPTIONS,
    ROOT_TOOLS,
    ROOT_UNIQUE =
        ROOT_TOOLS, /* up to here a second occurrence is a 400: somebody else acts on it */
    ROOT_MAX_COMPLETION_TOKENS,
    ROOT_MAX_TOKENS,
    ROOT_TEMPERATURE,
    ROOT_TOP_P,
    ROOT_TOP_K,
    ROOT_N,
    ROOT_SEED,
    ROOT_FREQUENCY_PENALTY,
    ROOT_PRESENCE_PENALTY,
    ROOT_LOGIT_BIAS,
    ROOT_LOGPROBS,
    ROOT_TOP_LOGPROBS,
    ROOT_PARALLEL,
    ROOT_VERBOSITY,
    ROOT_META,
    ROOT_CACHE_KEY,
    ROOT_STORE,
    ROOT_AUDIO,
    ROOT_STOP,
    ROOT_RESPONSE_FORMAT,
    ROOT_TOOL_CHOICE,
    ROOT_FUNCTIONS,
    ROOT_FUNCTION_CALL,
    ROOT_EFFORT,
    ROOT_REASONING,
    ROOT_THINKING,
    ROOT_ENABLE_THINKING,
    ROOT_THINKING_BUDGET,
    ROOT_TEMPLATE,
    ROOT_MODALITIES,
    ROOT_TIER,
    ROOT_SAFETY_IDENTIFIER,
    ROOT_USER,
    ROOT_WEB_SEARCH,
    ROOTS,
};

static const struct slice root_names[ROOTS] = {
    [ROOT_MODEL] = S_INIT("model"),
    [ROOT_MESSAGES] = S_INIT("messages"),
    [ROOT_STREAM] = S_INIT("stream"),
    [ROOT_STREAM_OPTIONS] = S_INIT("stream_options"),
    [ROOT_TOOLS] = S_INIT("tools"),
    [ROOT_MAX_COMPLETION_TOKENS] = S_INIT("max_completion_tokens"),
    [ROOT_MAX_TOKENS] = S_INIT("max_tokens"),
    [ROOT_TEMPERATURE] = S_INIT("temperature"),
    [ROOT_TOP_P] = S_INIT("top_p"),
    [ROOT_TOP_K] = S_INIT("top_k"),
    [ROOT_N] = S_INIT("n"),
    [ROOT_SEED] = S_INIT("seed"),
    [ROOT_FREQUENCY_PENALTY] = S_INIT("frequency_penalty"),
    [ROOT_PRESENCE_PENALTY] = S_INIT("presence_penalty"),
    [ROOT_LOGIT_BIAS] = S_INIT("logit_bias"),
    [ROOT_LOGPROBS] = S_INIT("logprobs"),
    [ROOT_TOP_LOGPROBS] = S_INIT("top_logprobs"),
    [ROOT_PARALLEL] = S_INIT("parallel_tool_calls"),
    [ROOT_VERBOSITY] = S_INIT("verbosity"),
    [ROOT_META] = S_INIT("metadata"),
    [ROOT_CACHE_KEY] = S_INIT("prompt_cache_key"),
    [ROOT_STORE] = S_INIT("store"),
    [ROOT_AUDIO] = S_INIT("audio"),
    [ROOT_STOP] = S_INIT("stop"),
    [ROOT_RESPONSE_FORMAT] = S_INIT("response_format"),
    [ROOT_TOOL_CHOICE] = S_INIT("tool_choice"),
    [ROOT_FUNCTIONS] = S_INIT("functions"),
    [ROOT_FUNCTION_CALL] = S_INIT("function_call"),
    [ROOT_EFFORT] = S_INIT("reasoning_effort"),
    [ROOT_REASONING] = S_INIT("reasoning"),
    [ROOT_THINKING] = S_INIT("thinking"),
    [ROOT_ENABLE_THINKING] = S_INIT("enable_thinking"),
    [ROOT_THINKING_BUDGET] = S_INIT("thinking_budget"),
    [ROOT_TEMPLATE] = S_INIT("chat_template_kwargs"),
    [ROOT_MODALITIES] = S_INIT("modalities"),
    [ROOT_TIER] = S_INIT("service_tier"),
    [ROOT_SAFETY_IDENTIFIER] = S_INIT("safety_identifier"),
    [ROOT_USER] = S_INIT("user"),
    [ROOT_WEB_SEARCH] = S_INIT("web_search_options"),
};

/* Registers that are one member, one type. */
static const struct {
    uint8_t root;
    uint8_t param;
    uint8_t kind; /* JSON_NUMBER, JSON_TRUE (a bool), JSON_STRING, JSON_OBJECT */
    bool is_int;
} registers[] = {
    {ROOT_TEMPERATURE, IR_PARAM_TEMPERATURE, JSON_NUMBER, false},
    {ROOT_TOP_P, IR_PARAM_TOP_P, JSON_NUMBER, false},
    {ROOT_TOP_K, IR_PARAM_TOP_K, JSON_NUMBER, true},
    {ROOT_SEED, IR_PARAM_SEED, JSON_NUMBER, true},
    {ROOT_FREQUENCY_PENALTY, IR_PARAM_FREQUENCY_PENALTY, JSON_NUMBER, false},
    {ROOT_PRESENCE_PENALTY, IR_PARAM_PRESENCE_PENALTY, JSON_NUMBER, false},
    {ROOT_LOGIT_BIAS, IR_PARAM_LOGIT_BIAS, JSON_OBJECT, false},
    {ROOT_LOGPROBS, IR_PARAM_LOGPROBS, JSON_TRUE, false},
    {ROOT_TOP_LOGPROBS, IR_PARAM_TOP_LOGPROBS, JSON_NUMBER, true},
    {ROOT_PARALLEL, IR_PARAM_PARALLEL, JSON_TRUE, false},
    {ROOT_VERBOSITY, IR_PARAM_VERBOSITY, JSON_STRING, false},
    {ROOT_META, IR_PARAM_META, JSON_OBJECT, false},
    {ROOT_CACHE_KEY, IR_PARAM_CACHE_KEY, JSON_STRING, false},
    {ROOT_STORE, IR_PARAM_STORE, JSON_TRUE, false},
    {ROOT_AUDIO, IR_PARAM_AUDIO, JSON_OBJECT, false},
};

/* --- registers --- */

static enum r2a_err put_limits(struct reading *r, const struct member *root)
{
    uint32_t which = member_is_present(&root[ROOT_MAX_COMPLETION_TOKENS])
                         ? ROOT_MAX_COMPLETION_TOKENS
                         : ROOT_MAX_TOKENS;
    const struct member *member = &root[which];
    int64_t n;

    READ_TRY(read_register(r, root_names[which], member, IR_PARAM_MAX_OUT, JSON_NUMBER, true));
    if (member_int(member, &r->brief->max_out) && r->brief->max_out < 1)
        return read_refuse_value(r, root_names[which], S(": expected an integer of at least 1."));
    READ_TRY(read_register(r, S("n"), &root[ROOT_N], IR_PARAM_N, JSON_NUMBER, true));
    if (member_int(&root[ROOT_N], &n) && (n < 1 || n > (int64_t)CHOICES_MAX))
        return read_refuse_value(r, S("n"), S(": expected an integer from 1 to 8."));
    return R2A_OK;
}

static enum r2a_err put_stop(struct reading *r, const struct member *stop)
{
    struct json_scan scan;
    struct member item;
    uint32_t index = 0;

    if (member_is(stop, JSON_STRING))
        READ_PUT(put_param(r->tape, IR_PARAM_STOP, member_text(stop), 0));
    else if (member_is_present(stop) && !member_is(stop, JSON_ARRAY))
        return read_refuse_type(r, S("stop"), stop->kind, S("a string or an array of strings"));
    if (!member_is(stop, JSON_ARRAY))
        return R2A_OK;
    for (read_open(r, &scan, stop->raw); read_next(&scan, &item); index++) {
        if (!member_is(&item, JSON_STRING)) {
            read_enter(r, S("stop"));
            read_enter_index(r, index);
            return read_refuse_type(r, (struct slice){0}, item.kind, S("a string"));
        }
        READ_PUT(put_param(r->tape, IR_PARAM_STOP, member_text(&item), 0));
    }
    return R2A_OK;
}

static enum r2a_err put_stream(struct reading *r, const struct member *root)
{
    static const struct slice names[] = {S_INIT("include_usage"), S_INIT("include_obfuscation")};
    const struct member *options = &root[ROOT_STREAM_OPTIONS];
    struct member members[array_count(names)];

    READ_TRY(read_register(r, S("stream"), &root[ROOT_STREAM], IR_PARAM_STREAM, JSON_TRUE, false));
    if (member_is(&root[ROOT_STREAM], JSON_TRUE))
        r->brief->shape = BRIEF_SSE;
    if (!member_is_present(options))
        return R2A_OK;
    read_enter(r, S("stream_options"));
    if (!member_is(options, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, options->kind, S("an object"));
    READ_TRY(read_object(r, options->raw, names, array_count(names), members, "stream_options."));
    READ_TRY(read_register(r, names[0], &members[0], IR_PARAM_INCLUDE_USAGE, JSON_TRUE, false));
    r->brief->usage_asked = member_is(&members[0], JSON_TRUE);
    read_leave(r);
    return R2A_OK;
}

/* --- reasoning switches (conversion.md 2.9): one answer out of all spellings --- */

struct switches {
    struct member effort;
    struct member budget;
    int32_t mode; /* enum ir_think, -1: not said */
    int32_t show; /* -1: not said */
};

static enum r2a_err read_reasoning(struct reading *r, const struct member *reasoning,
                                   struct switches *switches)
{
    enum { EFFORT, MAX_TOKENS, EXCLUDE, ENABLED };
    static const struct slice names[] = {S_INIT("effort"), S_INIT("max_tokens"), S_INIT("exclude"),
                                         S_INIT("enabled")};
    struct member members[array_count(names)];

    if (!member_is(reasoning, JSON_OBJECT))
        return read_refuse_type(r, S("reasoning"), reasoning->kind, S("an object"));
    READ_TRY(read_object(r, reasoning->raw, names, array_count(names), members, "reasoning."));
    if (member_is(&members[EFFORT], JSON_STRING) && !member_is_present(&switches->effort))
        switches->effort = members[EFFORT];
    if (member_is(&members[MAX_TOKENS], JSON_NUMBER))
        switches->budget = members[MAX_TOKENS];
    if (member_is_bool(&members[EXCLUDE]))
        switches->show = members[EXCLUDE].kind == JSON_FALSE;
    if (member_is(&members[ENABLED], JSON_FALSE))
        switches->mode = IR_THINK_OFF;
    else if (member_is(&members[ENABLED], JSON_TRUE) && !member_is_present(&switches->effort) &&
             !member_is_present(&switches->budget))
        switches->mode = IR_THINK_ADAPTIVE;
    return R2A_OK;
}

static enum r2a_err read_thinking(struct reading *r, const struct member *thinking,
                                  struct switches *switches)
{
    enum { TYPE, BUDGET };
    static const struct slice names[] = {S_INIT("type"), S_INIT("budget_tokens")};
    struct member members[array_count(names)];
    struct text type;

    if (!member_is(thinking, JSON_OBJECT))
        return read_refuse_type(r, S("thinking"), thinking->kind, S("an object"));
    READ_TRY(read_object(r, thinking->raw, names, array_count(names), members, "thinking."));
    type = member_text(&members[TYPE]);
    if (member_is(&members[BUDGET], JSON_NUMBER))
        switches->budget = members[BUDGET];
    if (text_is(type, S("disabled")))
        switches->mode = IR_THINK_OFF;
    else if (text_is(type, S("auto")))
        switches->mode = IR_THINK_AUTO;
    else if (text_is(type, S("adaptive")))
        switches->mode = IR_THINK_ADAPTIVE;
    else if (text_is(type, S("enabled")))
        switches->mode = member_is_present(&switches->budget) ? IR_THINK_MANUAL : IR_THINK_ADAPTIVE;
    return R2A_OK;
}

/* Servers that take the switch with the chat template, or as a bare bool. */
static enum r2a_err read_bare(struct reading *r, const struct member *root,
                              struct switches *switches)
{
    static const struct slice names[] = {S_INIT("enable_thinking"), S_INIT("thinking")};
    const struct member *bare = &root[ROOT_ENABLE_THINKING];
    struct member members[array_count(names)];

    if (member_is(&root[ROOT_TEMPLATE], JSON_OBJECT)) {
        READ_TRY(read_object(r, root[ROOT_TEMPLATE].raw, names, array_count(names), members,
                             "chat_template_kwargs."));
        for (uint32_t i = 0; i < array_count(names) && !member_is_bool(bare); i++)
            bare = &members[i];
    }
    if (switches->mode >= 0 || !member_is_bool(bare))
        return R2A_OK;
    if (bare->kind == JSON_FALSE)
        switches->mode = IR_THINK_OFF;
    else if (!member_is_present(&switches->effort) && !member_is_present(&switches->budget))
        switches->mode = IR_THINK_ADAPTIVE;
    return R2A_OK;
}

static enum r2a_err put_reasoning(struct reading *r, const struct member *root)
{
    struct switches switches = {.effort = root[ROOT_EFFORT], .mode = -1, .show = -1};

    if (member_is_present(&switches.effort) && !member_is(&switches.effort, JSON_STRING))
        return read_refuse_type(r, S("reasoning_effort"), switches.effort.kind, S("a string"));
    if (member_is_present(&root[ROOT_REASONING]))
        READ_TRY(read_reasoning(r, &root[ROOT_REASONING], &switches));
    if (!member_is_present(&switches.budget) && member_is(&root[ROOT_THINKING_BUDGET], JSON_NUMBER))
        switches.budget = root[ROOT_THINKING_BUDGET];
    if (member_is_present(&root[ROOT_THINKING]))
        READ_TRY(read_thinking(r, &root[ROOT_THINKING], &switches));
    READ_TRY(read_bare(r, root, &switches));

    if (member_is_present(&switches.effort)) {
        struct text word = member_text(&switches.effort);

        READ_PUT(put_param(r->tape, IR_PARAM_EFFORT, word, effort_of(word)));
    }
    READ_TRY(read_register(r, S("thinking_budget"), &switches.budget, IR_PARAM_BUDGET, JSON_NUMBER,
                           true));
    if (switches.mode >= 0)
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_MODE, (struct text){0}, switches.mode));
    if (switches.show >= 0)
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_SHOW, (struct text){0}, switches.show));
    return R2A_OK;
}

/* --- tool choice --- */

static enum r2a_err put_choice(struct reading *r, enum ir_choice choice, struct text name)
{
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, (struct text){0}, choice));
    if (name.len > 0)
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME, name, 0));
    return R2A_OK;
}

/* The word of a choice, or -1. */
static int32_t choice_of(struct text word)
{
    if (text_is(word, S("auto")))
        return IR_CHOICE_AUTO;
    if (text_is(word, S("none")))
        return IR_CHOICE_NONE;
    if (text_is(word, S("required")) || text_is(word, S("any")))
        return IR_CHOICE_ANY;
    return -1;
}

enum reference { REF_TYPE, REF_FUNCTION, REF_CUSTOM, REF_NAME, REFS };
static const struct slice reference_names[REFS] = {S_INIT("type"), S_INIT("function"),
                                                   S_INIT("custom"), S_INIT("name")};

/* The name in {"type":"function","function":{"name":…}}, its custom twin, or the flat form that
 * Responses has. Empty: none. */
static enum r2a_err read_reference(struct reading *r, const struct member *members,
                                   struct text *name)
{
    static const struct slice names[] = {S_INIT("name")};
    const struct member *inner =
        member_is_present(&members[REF_FUNCTION]) ? &members[REF_FUNCTION] : &members[REF_CUSTOM];
    struct member member;

    *name = member_text(&members[REF_NAME]);
    if (member_is(inner, JSON_OBJECT)) {
        READ_TRY(read_object(r, inner->raw, names, 1, &member, NULL));
        *name = member_text(&member);
    }
    return R2A_OK;
}

static enum r2a_err put_allowed(struct reading *r, const struct member *allowed)
{
    enum { MODE, TOOLS };
    static const struct slice names[] = {S_INIT("mode"), S_INIT("tools")};
    struct member members[array_count(names)], item, refs[REFS];
    struct json_scan scan;
    struct text name;

    if (!member_is(allowed, JSON_OBJECT))
        return read_refuse_type(r, S("allowed_tools"), allowed->kind, S("an object"));
    read_enter(r, S("allowed_tools"));
    READ_TRY(read_object(r, allowed->raw, names, array_count(names), members, "tool_choice."));
    if (!member_is(&members[TOOLS], JSON_ARRAY))
        return read_refuse_type(r, S("tools"), members[TOOLS].kind, S("an array"));
    READ_TRY(put_choice(r,
                        text_is(member_text(&members[MODE]), S("required"))
                            ? IR_CHOICE_ALLOWED_ANY
                            : IR_CHOICE_ALLOWED_AUTO,
                        (struct text){0}));
    read_enter(r, S("tools"));
    read_open(r, &scan, members[TOOLS].raw);
    for (uint32_t index = 0; read_next(&scan, &item); index++) {
        read_enter_index(r, index);
        if (!member_is(&item, JSON_OBJECT))
            return read_refuse_type(r, (struct slice){0}, item.kind, S("an object"));
        READ_TRY(read_object(r, item.raw, reference_names, REFS, refs, NULL));
        READ_TRY(read_reference(r, refs, &name));
        if (name.len == 0)
            return read_refuse_missing(r, S("function.name"));
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME, name, 0));
        read_leave(r);
    }
    read_leave(r);
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_tool_choice(struct reading *r, struct slice member_name,
                                    const struct member *choice)
{
    static const struct slice allowed_names[] = {S_INIT("allowed_tools")};
    struct member members[REFS], allowed;
    struct text type, name;
    int32_t word;

    if (!member_is_present(choice))
        return R2A_OK;
    read_enter(r, member_name);
    if (member_is(choice, JSON_STRING)) {
        word = choice_of(member_text(choice));
        if (word < 0)
            return read_refuse_value(r, (struct slice){0},
                                     S(": expected 'none', 'auto', 'required' or an object."));
        READ_TRY(put_choice(r, (enum ir_choice)word, (struct text){0}));
        read_leave(r);
        return R2A_OK;
    }
    if (!member_is(choice, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, choice->kind, S("a string or an object"));
    READ_TRY(read_object(r, choice->raw, reference_names, REFS, members, NULL));
    type = member_text(&members[REF_TYPE]);
    READ_TRY(read_reference(r, members, &name));
    if (text_is(type, S("allowed_tools"))) {
        READ_TRY(read_object(r, choice->raw, allowed_names, 1, &allowed, NULL));
        READ_TRY(put_allowed(r, &allowed));
    } else if (name.len > 0) {
        READ_TRY(
            put_choice(r, text_is(type, S("custom")) ? IR_CHOICE_CUSTOM_ONE : IR_CHOICE_ONE, name));
    } else if ((word = choice_of(type)) >= 0) {
        READ_TRY(put_choice(r, (enum ir_choice)word, (struct text){0}));
    } else if (type.len > 0 && !text_is(type, S("function")) && !text_is(type, S("custom"))) {
        READ_TRY(put_choice(r, IR_CHOICE_SERVER, type));
    } else {
        return read_refuse_missing(r, S("function.name"));
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_words(struct reading *r, const struct member *root)
{
    const struct member *tier = &root[ROOT_TIER], *modalities = &root[ROOT_MODALITIES];
    const struct member *user = member_is_present(&root[ROOT_SAFETY_IDENTIFIER])
                                    ? &root[ROOT_SAFETY_IDENTIFIER]
                                    : &root[ROOT_USER];
    struct json_scan scan;
    struct member item;

    READ_TRY(read_register(r, S("user"), user, IR_PARAM_USER, JSON_STRING, false));
    if (member_is(tier, JSON_STRING)) {
        struct text word = member_text(tier);
        enum ir_tier number = text_is(word, S("auto"))       ? IR_TIER_AUTO
                              : text_is(word, S("default"))  ? IR_TIER_DEFAULT
                              : text_is(word, S("flex"))     ? IR_TIER_FLEX
                              : text_is(word, S("priority")) ? IR_TIER_PRIORITY
                              : text_is(word, S("fast"))     ? IR_TIER_PRIORITY
                                                             : IR_TIER_OTHER;

        READ_PUT(put_param(r->tape, IR_PARAM_TIER, word, number));
    } else if (member_is_present(tier)) {
        return read_refuse_type(r, S("service_tier"), tier->kind, S("a string"));
    }
    if (!member_is_present(modalities))
        return R2A_OK;
    if (!member_is(modalities, JSON_ARRAY))
        return read_refuse_type(r, S("modalities"), modalities->kind, S("an array"));
    for (read_open(r, &scan, modalities->raw); read_next(&scan, &item);)
        READ_PUT(put_param(r->tape, IR_PARAM_MODALITIES, member_text(&item), 0));
    return R2A_OK;
}

static enum r2a_err put_params(struct reading *r, const struct member *root)
{
    static const struct openai_format_place format_place = {
        S_INIT("response_format"), "response_format.", "response_format.json_schema."};

    READ_TRY(put_stream(r, root));
    READ_TRY(put_limits(r, root));
    for (uint32_t i = 0; i < array_count(registers); i++)
        READ_TRY(read_register(r, root_names[registers[i].root], &root[registers[i].root],
                               registers[i].param, registers[i].kind, registers[i].is_int));
    /* Legacy functions answer with one call at most. */
    if (member_is_present(&root[ROOT_FUNCTIONS]) && !member_is_present(&root[ROOT_TOOLS]) &&
        !member_is_present(&root[ROOT_PARALLEL]))
        READ_PUT(put_param(r->tape, IR_PARAM_PARALLEL, text_json(S("false")), 0));
    READ_TRY(put_stop(r, &root[ROOT_STOP]));
    READ_TRY(openai_format_read(r, &format_place, &root[ROOT_RESPONSE_FORMAT]));
    if (member_is_present(&root[ROOT_TOOL_CHOICE]))
        READ_TRY(put_tool_choice(r, S("tool_choice"), &root[ROOT_TOOL_CHOICE]));
    else
        READ_TRY(put_tool_choice(r, S("function_call"), &root[ROOT_FUNCTION_CALL]));
    READ_TRY(put_reasoning(r, root));
    return put_words(r, root);
}

/* --- tools --- */

enum function { FN_NAME, FN_DESCRIPTION, FN_PARAMETERS, FN_STRICT, FN_FORMAT, FNS };
static const struct slice function_names[FNS] = {S_INIT("name"), S_INIT("description"),
                                                 S_INIT("parameters"), S_INIT("strict"),
                                                 S_INIT("format")};

/* {"type":"grammar","grammar":{"syntax","definition"}}, or the flat form of Responses. */
static enum r2a_err put_grammar(struct reading *r, const struct member *format)
{
    enum { GRAMMAR, SYNTAX, DEFINITION };
    static const struct slice names[] = {S_INIT("grammar"), S_INIT("syntax"), S_INIT("definition")};
    struct member members[array_count(names)];

    if (!member_is(format, JSON_OBJECT))
        return R2A_OK;
    READ_TRY(read_object(r, format->raw, names, array_count(names), members, NULL));
    if (member_is(&members[GRAMMAR], JSON_OBJECT)) {
        struct slice inner = members[GRAMMAR].raw;

        READ_TRY(read_object(r, inner, names, array_count(names), members, NULL));
    }
    if (member_is(&members[DEFINITION], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_GRAMMAR, 0, member_text(&members[DEFINITION]),
                           text_is(member_text(&members[SYNTAX]), S("regex")) ? 2 : 1));
    return R2A_OK;
}

static enum r2a_err put_function(struct reading *r, const struct member *fn, uint8_t kind,
                                 uint8_t flags)
{
    if (!member_is(&fn[FN_NAME], JSON_STRING))
        return member_is_present(&fn[FN_NAME])
                   ? read_refuse_type(r, S("name"), fn[FN_NAME].kind, S("a string"))
                   : read_refuse_missing(r, S("name"));
    READ_PUT(
        put_open(r->tape, IR_TOOL, kind, flags, 0, (struct text){0}, member_text(&fn[FN_NAME])));
    if (member_is(&fn[FN_DESCRIPTION], JSON_STRING))
        READ_PUT(put_field(r->tape, IR_FIELD_DESCRIPTION, 0, member_text(&fn[FN_DESCRIPTION]), 0));
    if (kind == IR_TOOL_CUSTOM) {
        READ_TRY(put_grammar(r, &fn[FN_FORMAT]));
    } else {
        if (member_is_present(&fn[FN_PARAMETERS]) && !member_is(&fn[FN_PARAMETERS], JSON_OBJECT))
            return read_refuse_type(r, S("parameters"), fn[FN_PARAMETERS].kind, S("an object"));
        if (member_is_present(&fn[FN_PARAMETERS]))
            READ_PUT(put_field(r->tape, IR_FIELD_SCHEMA, 0, member_json(&fn[FN_PARAMETERS]), 0));
        if (member_is_bool(&fn[FN_STRICT]))
            READ_PUT(put_field(r->tape, IR_FIELD_STRICT, 0, (struct text){0},
                               fn[FN_STRICT].kind == JSON_TRUE));
    }
    READ_PUT(put_plain(r->tape, IR_TOOL_END, 0));
    return R2A_OK;
}

/* Reads a tool; what its inner object holds goes to `fn` on the way, since a schema may be long. */
enum tool { TOOL_TYPE, TOOL_FUNCTION, TOOL_CUSTOM, TOOL_CACHE_CONTROL, TOOL_BREAKPOINT, TOOLS };
static const struct slice tool_names[TOOLS] = {S_INIT("type"), S_INIT("function"), S_INIT("custom"),
                                               S_INIT("cache_control"),
                                               S_INIT("prompt_cache_breakpoint")};

static bool read_tool(struct json_scan *scan, struct member *members, struct member *fn)
{
    enum json_token token;

    memset(members, 0, TOOLS * sizeof(*members));
    memset(fn, 0, FNS * sizeof(*fn));
    while ((token = json_next(scan)) == JSON_KEY) {
        int key = json_key_index(scan, tool_names, TOOLS);
        struct slice raw;

        token = json_next(scan);
        if ((key == TOOL_FUNCTION || key == TOOL_CUSTOM) && token == JSON_OBJECT) {
            if (!members_read(scan, function_names, FNS, fn, NULL, NULL, NULL))
                return false;
            members[key].kind = JSON_OBJECT;
            continue;
        }
        if (!json_skip_after(scan, token, &raw))
            return false;
        if (key >= 0 && token != JSON_NULL)
            members[key] = (struct member){.kind = (uint8_t)token, .raw = raw};
    }
    return token == JSON_OBJECT_END;
}

static enum r2a_err put_tool(struct reading *r, struct json_scan *scan, const struct member *tool)
{
    struct member members[TOOLS], fn[FNS];
    const char *begin = scan->pos - 1;
    uint8_t kind = IR_TOOL_JSON, flags;
    enum tool which = TOOL_FUNCTION;
    struct slice raw;
    struct text type;

    if (!member_is(tool, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, tool->kind, S("an object"));
    if (!read_tool(scan, members, fn))
        return read_refuse_syntax(r, scan, slice_between(scan->begin, scan->end));
    raw = slice_between(begin, scan->pos);
    r->brief->text_bytes += raw.len;
    flags = openai_chat_has_mark(&members[TOOL_CACHE_CONTROL], &members[TOOL_BREAKPOINT])
                ? IR_CACHE_MARK
                : 0;
    type = member_text(&members[TOOL_TYPE]);
    if (text_is(type, S("custom"))) {
        kind = IR_TOOL_CUSTOM;
        which = TOOL_CUSTOM;
    } else if (type.len > 0 && !text_is(type, S("function"))) {
        /* vendors' own: "web_search", "builtin_function" … */
        READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_SERVER, flags, 0, type, (struct text){0}));
        READ_PUT(put_field(r->tape, IR_FIELD_RAW, 0, text_json(raw), 0));
        READ_PUT(put_plain(r->tape, IR_TOOL_END, 0));
        return R2A_OK;
    }
    if (!member_is_present(&members[which])) {
        /* The members may stand in the tool itself, as Responses has them. */
        READ_TRY(read_object(r, raw, function_names, FNS, fn, NULL));
        if (!member_is_present(&fn[FN_NAME]))
            return read_refuse_missing(r, tool_names[which]);
    } else if (!member_is(&members[which], JSON_OBJECT)) {
        return read_refuse_type(r, tool_names[which], members[which].kind, S("an object"));
    }
    read_enter(r, tool_names[which]);
    READ_TRY(put_function(r, fn, kind, flags));
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_tools(struct reading *r, const struct member *root)
{
    const struct member *tools = &root[ROOT_TOOLS], *functions = &root[ROOT_FUNCTIONS];
    struct member item, fn[FNS];
    struct json_scan scan;
    uint32_t index = 0;

    if (member_is_present(tools)) {
        if (!member_is(tools, JSON_ARRAY))
            return read_refuse_type(r, S("tools"), tools->kind, S("an array"));
        read_enter(r, S("tools"));
        for (read_open(r, &scan, tools->raw); read_next_enter(&scan, &item); index++) {
            read_enter_index(r, index);
            READ_TRY(put_tool(r, &scan, &item));
            read_leave(r);
        }
        read_leave(r);
    }
    if (member_is_present(functions)) {
        if (!member_is(functions, JSON_ARRAY))
            return read_refuse_type(r, S("functions"), functions->kind, S("an array"));
        r->brief->is_legacy_functions = index == 0;
        read_enter(r, S("functions"));
        for (read_open(r, &scan, functions->raw); read_next(&scan, &item); index++) {
            read_enter_index(r, index);
            if (!member_is(&item, JSON_OBJECT))
                return read_refuse_type(r, (struct slice){0}, item.kind, S("an object"));
            READ_TRY(read_object(r, item.raw, function_names, FNS, fn, NULL));
            r->brief->text_bytes += item.raw.len;
            READ_TRY(put_function(r, fn, IR_TOOL_JSON, 0));
            read_leave(r);
        }
        read_leave(r);
    }
    r->brief->has_tools = index > 0;
    if (member_is_present(&root[ROOT_WEB_SEARCH])) {
        READ_PUT(put_open(r->tape, IR_TOOL, IR_TOOL_SERVER, 0, 0,
                          text_plain(root_names[ROOT_WEB_SEARCH]), (struct text){0}));
        READ_PUT(put_field(r->tape, IR_FIELD_RAW, 0, member_json(&root[ROOT_WEB_SEARCH]), 0));
        READ_PUT(put_plain(r->tape, IR_TOOL_END, 0));
    }
    return R2A_OK;
}

/* --- the whole --- */

enum r2a_err openai_chat_request_decode(struct slice body, struct ir_sink *tape,
                                        struct brief *brief, struct fault *fault)
{
    struct reading reading = {
        .body = body, .memo = brief->memo, .tape = tape, .brief = brief, .fault = fault};
    struct reading *r = &reading;
    struct read_later *later;
    struct member root[ROOTS];
    struct text model;

    brief->max_out = -1;
    brief->thoughts_shown = true;
    READ_TRY(read_root(r, root_names, ROOTS, ROOT_UNIQUE, root, &later));
    if (member_is_present(&root[ROOT_MODEL]) && !member_is(&root[ROOT_MODEL], JSON_STRING))
        return read_refuse_type(r, S("model"), root[ROOT_MODEL].kind, S("a string"));
    model = member_text(&root[ROOT_MODEL]);
    if (!text_to_plain(model, brief->arena, &brief->model))
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    READ_PUT(put_open(tape, IR_BEGIN, 0, 0, 0, text_plain(S("openai")), model));
    READ_TRY(read_put_later(r, later));
    READ_TRY(put_params(r, root));
    READ_TRY(put_tools(r, root));
    READ_TRY(openai_chat_messages_decode(r, &root[ROOT_MESSAGES]));
    READ_PUT(put_plain(tape, IR_END, 0));
    return R2A_OK;
}
