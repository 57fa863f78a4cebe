#include "openai_responses.h"

#include "builtin.h"
#include "common.h"
#include "openai_format.h"
#include "openai_responses_items.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "reading.h"

/* A Responses request onto the tape: its registers and tools; items are told by
 * openai_responses_items.c. The answer repeats many of the members: they are noted. What
 * points to a state at the vendor (previous_response_id and its like) is refused: a request that
 * is read here leaves for somebody who does not have that state. */

enum root {
    ROOT_MODEL,
    ROOT_INPUT,
    ROOT_STREAM,
    ROOT_TOOLS,
    ROOT_INSTRUCTIONS,
    ROOT_UNIQUE = ROOT_INSTRUCTIONS, /* up to here a second occurrence is a 400 */
    ROOT_STREAM_OPTIONS,
    ROOT_MAX_OUTPUT_TOKENS,
    ROOT_TEMPERATURE,
    ROOT_TOP_P,
    ROOT_TOP_LOGPROBS,
    ROOT_PARALLEL,
    ROOT_META,
    ROOT_CACHE_KEY,
    ROOT_STORE,
    ROOT_TEXT,
    ROOT_REASONING,
    ROOT_TOOL_CHOICE,
    ROOT_INCLUDE,
    ROOT_TIER,
    ROOT_SAFETY_IDENTIFIER,
    ROOT_USER,
    ROOT_PREVIOUS,
    ROOT_CONVERSATION,
    ROOT_PROMPT,
    ROOT_BACKGROUND,
    ROOT_TRUNCATION,
    ROOT_MAX_TOOL_CALLS,
    ROOTS,
};

static const struct slice root_names[ROOTS] = {
    [ROOT_MODEL] = S_INIT("model"),
    [ROOT_INPUT] = S_INIT("input"),
    [ROOT_STREAM] = S_INIT("stream"),
    [ROOT_TOOLS] = S_INIT("tools"),
    [ROOT_INSTRUCTIONS] = S_INIT("instructions"),
    [ROOT_STREAM_OPTIONS] = S_INIT("stream_options"),
    [ROOT_MAX_OUTPUT_TOKENS] = S_INIT("max_output_tokens"),
    [ROOT_TEMPERATURE] = S_INIT("temperature"),
    [ROOT_TOP_P] = S_INIT("top_p"),
    [ROOT_TOP_LOGPROBS] = S_INIT("top_logprobs"),
    [ROOT_PARALLEL] = S_INIT("parallel_tool_calls"),
    [ROOT_META] = S_INIT("metadata"),
    [ROOT_CACHE_KEY] = S_INIT("prompt_cache_key"),
    [ROOT_STORE] = S_INIT("store"),
    [ROOT_TEXT] = S_INIT("text"),
    [ROOT_REASONING] = S_INIT("reasoning"),
    [ROOT_TOOL_CHOICE] = S_INIT("tool_choice"),
    [ROOT_INCLUDE] = S_INIT("include"),
    [ROOT_TIER] = S_INIT("service_tier"),
    [ROOT_SAFETY_IDENTIFIER] = S_INIT("safety_identifier"),
    [ROOT_USER] = S_INIT("user"),
    [ROOT_PREVIOUS] = S_INIT("previous_response_id"),
    [ROOT_CONVERSATION] = S_INIT("conversation"),
    [ROOT_PROMPT] = S_INIT("prompt"),
    [ROOT_BACKGROUND] = S_INIT("background"),
    [ROOT_TRUNCATION] = S_INIT("truncation"),
    [ROOT_MAX_TOOL_CALLS] = S_INIT("max_tool_calls"),
};

static const uint8_t echoed[ECHOES] = {
    [ECHO_INSTRUCTIONS] = ROOT_INSTRUCTIONS,
    [ECHO_MAX_OUTPUT_TOKENS] = ROOT_MAX_OUTPUT_TOKENS,
    [ECHO_MAX_TOOL_CALLS] = ROOT_MAX_TOOL_CALLS,
    [ECHO_PARALLEL] = ROOT_PARALLEL,
    [ECHO_CACHE_KEY] = ROOT_CACHE_KEY,
    [ECHO_REASONING] = ROOT_REASONING,
    [ECHO_SAFETY_IDENTIFIER] = ROOT_SAFETY_IDENTIFIER,
    [ECHO_TEMPERATURE] = ROOT_TEMPERATURE,
    [ECHO_TEXT] = ROOT_TEXT,
    [ECHO_TOOL_CHOICE] = ROOT_TOOL_CHOICE,
    [ECHO_TOOLS] = ROOT_TOOLS,
    [ECHO_TOP_LOGPROBS] = ROOT_TOP_LOGPROBS,
    [ECHO_TOP_P] = ROOT_TOP_P,
    [ECHO_TRUNCATION] = ROOT_TRUNCATION,
    [ECHO_META] = ROOT_META,
    [ECHO_TIER] = ROOT_TIER,
};

/* Registers that are one member, one type. */
static const struct {
    uint8_t root;
    uint8_t param;
    uint8_t kind; /* as read_register has it */
    bool is_int;
} registers[] = {
    {ROOT_STREAM, IR_PARAM_STREAM, JSON_TRUE, false},
    {ROOT_MAX_OUTPUT_TOKENS, IR_PARAM_MAX_OUT, JSON_NUMBER, true},
    {ROOT_TEMPERATURE, IR_PARAM_TEMPERATURE, JSON_NUMBER, false},
    {ROOT_TOP_P, IR_PARAM_TOP_P, JSON_NUMBER, false},
    {ROOT_TOP_LOGPROBS, IR_PARAM_TOP_LOGPROBS, JSON_NUMBER, true},
    {ROOT_PARALLEL, IR_PARAM_PARALLEL, JSON_TRUE, false},
    {ROOT_META, IR_PARAM_META, JSON_OBJECT, false},
    {ROOT_CACHE_KEY, IR_PARAM_CACHE_KEY, JSON_STRING, false},
    {ROOT_STORE, IR_PARAM_STORE, JSON_TRUE, false},
};

/* --- what is kept elsewhere --- */

static enum r2a_err refuse_state(struct reading *r, uint32_t root, struct slice message)
{
    *r->fault = fault_of(FAULT_INVALID, message);
    r->fault->param = text_plain(root_names[root]);
    r->fault->err = R2A_ERR_UNSUPPORTED;
    if (root == ROOT_PREVIOUS)
        r->fault->code = text_plain(S("previous_response_not_found"));
    return R2A_ERR_UNSUPPORTED;
}

static enum r2a_err refuse_states(struct reading *r, const struct member *root)
{
    if (member_is_present(&root[ROOT_PREVIOUS]))
        return refuse_state(r, ROOT_PREVIOUS,
                            S("Responses are not stored here: 'previous_response_id' cannot be "
                              "continued. Send the earlier items as 'input' instead."));
    if (member_is_present(&root[ROOT_CONVERSATION]))
        return refuse_state(r, ROOT_CONVERSATION,
                            S("Conversations are not stored here. Send the items as 'input'."));
    if (member_is_present(&root[ROOT_PROMPT]))
        return refuse_state(r, ROOT_PROMPT,
                            S("Stored prompts are not known here. Send 'instructions' and "
                              "'input'."));
    if (member_is(&root[ROOT_BACKGROUND], JSON_TRUE))
        return refuse_state(r, ROOT_BACKGROUND,
                            S("Background responses are not supported by this upstream."));
    return R2A_OK;
}

/* --- registers --- */

static enum r2a_err put_text_options(struct reading *r, const struct member *text)
{
    enum { FORMAT, VERBOSITY };
    static const struct slice names[] = {S_INIT("format"), S_INIT("verbosity")};
    static const struct openai_format_place format_place = {S_INIT("format"), "text.format.", NULL};
    struct member members[array_count(names)];

    if (!member_is_present(text))
        return R2A_OK;
    read_enter(r, S("text"));
    if (!member_is(text, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, text->kind, S("an object"));
    READ_TRY(read_object(r, text->raw, names, array_count(names), members, "text."));
    READ_TRY(openai_format_read(r, &format_place, &members[FORMAT]));
    READ_TRY(read_register(r, names[VERBOSITY], &members[VERBOSITY], IR_PARAM_VERBOSITY,
                           JSON_STRING, false));
    read_leave(r);
    return R2A_OK;
}

/* Reasoning is shown where a summary of it is asked for. */
static enum r2a_err put_reasoning(struct reading *r, const struct member *reasoning)
{
    enum { EFFORT, SUMMARY, GENERATE_SUMMARY, CONTEXT, MODE };
    static const struct slice names[] = {S_INIT("effort"), S_INIT("summary"),
                                         S_INIT("generate_summary"), S_INIT("context"),
                                         S_INIT("mode")};
    struct member members[array_count(names)];

    if (!member_is_present(reasoning))
        return R2A_OK;
    read_enter(r, S("reasoning"));
    if (!member_is(reasoning, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, reasoning->kind, S("an object"));
    READ_TRY(read_object(r, reasoning->raw, names, array_count(names), members, "reasoning."));
    if (member_is_present(&members[EFFORT])) {
        struct text word = member_text(&members[EFFORT]);

        if (!member_is(&members[EFFORT], JSON_STRING))
            return read_refuse_type(r, S("effort"), members[EFFORT].kind, S("a string"));
        READ_PUT(put_param(r->tape, IR_PARAM_EFFORT, word, effort_of(word)));
    }
    if (member_is_present(&members[SUMMARY]) || member_is_present(&members[GENERATE_SUMMARY]))
        READ_PUT(put_param(r->tape, IR_PARAM_THINK_SHOW, (struct text){0}, 1));
    if (member_is(&members[MODE], JSON_STRING) &&
        !text_is(member_text(&members[MODE]), S("standard")))
        READ_PUT(put_ext(r->tape, text_plain(S("reasoning.mode"))));
    read_leave(r);
    return R2A_OK;
}

/* Of what may be included only log probabilities change what is asked for: encrypted reasoning
 * comes unasked, and the rest belongs to tools that run at the vendor. */
static enum r2a_err put_include(struct reading *r, const struct member *include)
{
    struct json_scan scan;
    struct member item;

    if (!member_is_present(include))
        return R2A_OK;
    if (!member_is(include, JSON_ARRAY))
        return read_refuse_type(r, S("include"), include->kind, S("an array"));
    for (read_open(r, &scan, include->raw); read_next(&scan, &item);)
        if (text_is(member_text(&item), S("message.output_text.logprobs")))
            READ_PUT(put_param(r->tape, IR_PARAM_LOGPROBS, text_json(S("true")), 1));
    return R2A_OK;
}

static enum r2a_err put_words(struct reading *r, const struct member *root)
{
    static const struct {
        struct slice word;
        uint8_t tier;
    } tiers[] = {{S_INIT("auto"), IR_TIER_AUTO},
                 {S_INIT("default"), IR_TIER_DEFAULT},
                 {S_INIT("flex"), IR_TIER_FLEX},
                 {S_INIT("priority"), IR_TIER_PRIORITY},
                 {S_INIT("fast"), IR_TIER_PRIORITY}};
    const struct member *tier = &root[ROOT_TIER];
    const struct member *user = member_is_present(&root[ROOT_SAFETY_IDENTIFIER])
                                    ? &root[ROOT_SAFETY_IDENTIFIER]
                                    : &root[ROOT_USER];
    uint8_t number = IR_TIER_OTHER;

    READ_TRY(read_register(r, S("user"), user, IR_PARAM_USER, JSON_STRING, false));
    if (member_is_present(&root[ROOT_MAX_TOOL_CALLS]))
        READ_PUT(put_ext(r->tape, text_plain(root_names[ROOT_MAX_TOOL_CALLS])));
    if (member_is(&root[ROOT_TRUNCATION], JSON_STRING) &&
        !text_is(member_text(&root[ROOT_TRUNCATION]), S("disabled")))
        READ_PUT(put_ext(r->tape, text_plain(root_names[ROOT_TRUNCATION])));
    if (!member_is_present(tier))
        return R2A_OK;
    if (!member_is(tier, JSON_STRING))
        return read_refuse_type(r, S("service_tier"), tier->kind, S("a string"));
    for (uint32_t i = 0; i < array_count(tiers); i++)
        if (text_is(member_text(tier), tiers[i].word))
            number = tiers[i].tier;
    READ_PUT(put_param(r->tape, IR_PARAM_TIER, member_text(tier), number));
    return R2A_OK;
}

/* --- tool choice --- */

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

enum reference { REF_TYPE, REF_NAME, REF_NAMESPACE, REF_FUNCTION, REF_MODE, REF_TOOLS, REFS };
static const struct slice reference_names[REFS] = {S_INIT("type"),      S_INIT("name"),
                                                   S_INIT("namespace"), S_INIT("function"),
                                                   S_INIT("mode"),      S_INIT("tools")};

/* {"type":"function","name"}; the name may stand in `function`, as Chat Completions has it. */
static enum r2a_err read_reference(struct reading *r, struct slice raw, struct member *refs)
{
    static const struct slice name = S_INIT("name");

    READ_TRY(read_object(r, raw, reference_names, REFS, refs, NULL));
    if (!member_is_present(&refs[REF_NAME]) && member_is(&refs[REF_FUNCTION], JSON_OBJECT))
        return read_object(r, refs[REF_FUNCTION].raw, &name, 1, &refs[REF_NAME], NULL);
    return R2A_OK;
}

/* A tool that the vendor defines is named by its type. */
static struct text name_of(const struct member *refs)
{
    struct text type = member_text(&refs[REF_TYPE]);

    return builtin_of_responses(type) != BUILTIN_NONE ? type : member_text(&refs[REF_NAME]);
}

static enum r2a_err put_reference(struct reading *r, const struct member *refs)
{
    struct text name = name_of(refs);

    if (name.len == 0)
        name = member_text(&refs[REF_TYPE]);
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME, name, 0));
    if (member_text(&refs[REF_NAMESPACE]).len > 0)
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAMESPACE,
                           member_text(&refs[REF_NAMESPACE]), 0));
    return R2A_OK;
}

static enum r2a_err put_allowed(struct reading *r, const struct member *members)
{
    bool is_any = text_is(member_text(&members[REF_MODE]), S("required"));
    struct member item, refs[REFS];
    struct json_scan scan;

    if (!member_is(&members[REF_TOOLS], JSON_ARRAY))
        return member_is_present(&members[REF_TOOLS])
                   ? read_refuse_type(r, S("tools"), members[REF_TOOLS].kind, S("an array"))
                   : read_refuse_missing(r, S("tools"));
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, (struct text){0},
                       is_any ? IR_CHOICE_ALLOWED_ANY : IR_CHOICE_ALLOWED_AUTO));
    read_enter(r, S("tools"));
    read_open(r, &scan, members[REF_TOOLS].raw);
    for (uint32_t index = 0; read_next(&scan, &item); index++) {
        read_enter_index(r, index);
        if (!member_is(&item, JSON_OBJECT))
            return read_refuse_type(r, (struct slice){0}, item.kind, S("an object"));
        READ_TRY(read_reference(r, item.raw, refs));
        READ_TRY(put_reference(r, refs));
        read_leave(r);
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_forced(struct reading *r, const struct member *members)
{
    struct text type = member_text(&members[REF_TYPE]), name = name_of(members);
    bool is_function = text_is(type, S("function")) || builtin_of_responses(type) != BUILTIN_NONE;
    bool is_custom = text_is(type, S("custom"));
    int32_t word = choice_of(type);

    if (word >= 0) {
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, (struct text){0}, word));
        return R2A_OK;
    }
    if (type.len == 0 && name.len == 0)
        return read_refuse_missing(r, S("type"));
    if ((is_function || is_custom) && name.len == 0)
        return read_refuse_missing(r, S("name"));
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, (struct text){0},
                       is_custom                      ? IR_CHOICE_CUSTOM_ONE
                       : is_function || type.len == 0 ? IR_CHOICE_ONE
                                                      : IR_CHOICE_SERVER));
    if (is_function || is_custom || type.len == 0)
        return put_reference(r, members);
    READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE_NAME, type, 0));
    return R2A_OK;
}

static enum r2a_err put_tool_choice(struct reading *r, const struct member *choice)
{
    struct member members[REFS];

    if (!member_is_present(choice))
        return R2A_OK;
    read_enter(r, S("tool_choice"));
    if (member_is(choice, JSON_STRING)) {
        int32_t word = choice_of(member_text(choice));

        if (word < 0)
            return read_refuse_value(r, (struct slice){0},
                                     S(": expected 'none', 'auto', 'required' or an object."));
        READ_PUT(put_param(r->tape, IR_PARAM_TOOL_CHOICE, (struct text){0}, word));
    } else if (member_is(choice, JSON_OBJECT)) {
        READ_TRY(read_reference(r, choice->raw, members));
        if (text_is(member_text(&members[REF_TYPE]), S("allowed_tools")))
            READ_TRY(put_allowed(r, members));
        else
            READ_TRY(put_forced(r, members));
    } else {
        return read_refuse_type(r, (struct slice){0}, choice->kind, S("a string or an object"));
    }
    read_leave(r);
    return R2A_OK;
}

static enum r2a_err put_params(struct reading *r, const struct member *root)
{
    if (member_is(&root[ROOT_STREAM], JSON_TRUE))
        r->brief->shape = BRIEF_SSE;
    for (uint32_t i = 0; i < array_count(registers); i++)
        READ_TRY(read_register(r, root_names[registers[i].root], &root[registers[i].root],
                               registers[i].param, registers[i].kind, registers[i].is_int));
    if (member_int(&root[ROOT_MAX_OUTPUT_TOKENS], &r->brief->max_out) && r->brief->max_out < 1)
        return read_refuse_value(r, root_names[ROOT_MAX_OUTPUT_TOKENS],
                                 S(": expected an integer of at least 1."));
    READ_TRY(put_text_options(r, &root[ROOT_TEXT]));
    READ_TRY(put_reasoning(r, &root[ROOT_REASONING]));
    READ_TRY(put_include(r, &root[ROOT_INCLUDE]));
    READ_TRY(put_tool_choice(r, &root[ROOT_TOOL_CHOICE]));
    return put_words(r, root);
}

/* --- the whole --- */

static enum r2a_err put_tools(struct reading *r, const struct member *root)
{
    uint32_t count = 0;

    if (member_is_present(&root[ROOT_TOOLS])) {
        read_enter(r, root_names[ROOT_TOOLS]);
        READ_TRY(openai_responses_tools_decode(r, &root[ROOT_TOOLS], (struct text){0}, &count));
        read_leave(r);
    }
    READ_TRY(openai_responses_item_tools_decode(r, &root[ROOT_INPUT], &count));
    r->brief->has_tools = count > 0;
    return R2A_OK;
}

static bool note_repeats(struct brief *brief, const struct member *root)
{
    brief->repeats = arena_take_zero(brief->arena, ECHOES * sizeof(*brief->repeats));
    if (brief->repeats == NULL)
        return false;
    brief->repeats_count = ECHOES;
    for (uint32_t i = 0; i < ECHOES; i++)
        if (member_is_present(&root[echoed[i]]))
            brief->repeats[i] = root[echoed[i]].raw;
    return true;
}

enum r2a_err openai_responses_request_decode(struct slice body, struct ir_sink *tape,
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
    READ_TRY(refuse_states(r, root));
    model = member_text(&root[ROOT_MODEL]);
    if (!text_to_plain(model, brief->arena, &brief->model) || !note_repeats(brief, root))
        return read_fail_sink(r, R2A_ERR_NO_MEMORY);
    READ_PUT(put_open(tape, IR_BEGIN, 0, 0, 0, text_plain(S("openai-responses")), model));
    READ_TRY(read_put_later(r, later));
    READ_TRY(put_params(r, root));
    READ_TRY(put_tools(r, root));
    READ_TRY(openai_responses_turns_decode(r, &root[ROOT_INSTRUCTIONS], &root[ROOT_INPUT]));
    READ_PUT(put_plain(tape, IR_END, 0));
    return R2A_OK;
}
