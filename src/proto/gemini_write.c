#include "gemini_write.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "search.h"

/* A tape as a generateContent or countTokens request (conversion.md 2). The model and the stream
 * flag are the URL's. Google refuses members it does not know: only what the sheet names is
 * written. Safety settings never come from another protocol. Losses are named as the client called
 * them. */

struct plan {
    uint8_t choice; /* enum ir_choice */
    bool has_choice, has_functions, has_search, has_native_tools;
};

static enum r2a_err refuse_param(struct gemini_writer *w, uint8_t param, struct slice message)
{
    return fault_param(w->fault, param_member(w->params.dialect, param), message);
}

static enum r2a_err refuse_tool(struct gemini_writer *w, struct slice type)
{
    *w->fault = fault_of(FAULT_INVALID, S("this upstream cannot run the tool"));
    w->fault->param = text_plain(type);
    w->fault->err = R2A_ERR_UNSUPPORTED;
    return R2A_ERR_UNSUPPORTED;
}

/* --- tools: what stays --- */

static bool is_allowed(const struct params *params, const struct names_tool *tool)
{
    for (uint32_t i = 0; i < params->choices_count; i++)
        if (text_eq(params->choices[i].name, tool->client) ||
            (tool->kind == IR_TOOL_SERVER && text_is(params->choices[i].name, tool->wire)))
            return true;
    return false;
}

/* Leaves out what the upstream cannot run; refuses where nothing else is left or it is forced. */
static enum r2a_err plan_tools(struct gemini_writer *w, struct plan *plan)
{
    bool has_functions = names_count_functions(&w->names) > 0;
    bool mixes = w->target->profile.gg_search_with_fn || !has_functions;
    struct slice left_out = {0};

    plan->has_choice = params_has(&w->params, IR_PARAM_TOOL_CHOICE);
    plan->choice = (uint8_t)params_number(&w->params, IR_PARAM_TOOL_CHOICE, IR_CHOICE_AUTO);
    plan->has_functions = has_functions;
    for (uint32_t i = 0; i < w->names.tools_count; i++) {
        struct names_tool *tool = &w->names.tools[i];

        if (tool->kind != IR_TOOL_SERVER || tool->is_dropped)
            continue;
        if (w->is_native) {
            plan->has_native_tools = true;
        } else if (search_is(tool->wire) && mixes) {
            struct part_view view;

            if (!part_read(w->tape, tool->event, brief_scratch(w->brief), &view))
                return R2A_ERR_NO_MEMORY;
            search_write(SEARCH_GEMINI, text_bytes(part_field(&view, IR_FIELD_RAW)), w->out,
                         w->loss); /* only what is lost */
            plan->has_search = true;
            tool->is_dropped = true; /* two vendors' names for one search are written once */
        } else {
            if (plan->choice == IR_CHOICE_SERVER && is_allowed(&w->params, tool))
                return refuse_tool(w, tool->wire);
            tool->is_dropped = true;
            left_out = tool->wire;
            loss_note(w->loss, tool->wire);
        }
    }
    if (left_out.len > 0 && !has_functions && !plan->has_search)
        return refuse_tool(w, left_out);
    if (!has_functions)
        return R2A_OK;
    for (uint32_t i = 0; i < w->params.choices_count; i++)
        if (plan->choice != IR_CHOICE_SERVER &&
            names_find(&w->names, w->params.choices[i].name, w->params.choices[i].space) == NULL)
            return refuse_param(w, IR_PARAM_TOOL_CHOICE, S("tool_choice names an unknown tool"));
    if ((plan->choice == IR_CHOICE_ONE || plan->choice == IR_CHOICE_CUSTOM_ONE) &&
        w->params.choices_count == 0)
        return refuse_param(w, IR_PARAM_TOOL_CHOICE, S("tool_choice names an unknown tool"));
    return R2A_OK;
}

/* --- tools --- */

static enum r2a_err check_schema(struct gemini_writer *w, enum schema_result result,
                                 struct slice param)
{
    if (result == SCHEMA_NO_MEMORY)
        return R2A_ERR_NO_MEMORY;
    if (result == SCHEMA_TOO_LARGE)
        return fault_param(w->fault, param, S("the schema is too large for this upstream"));
    return R2A_OK;
}

/* The schema goes behind its member's name only when there is one to write. */
static enum r2a_err write_schema(struct gemini_writer *w, struct text schema, struct slice openapi,
                                 struct slice json, bool is_parameters, struct slice param)
{
    struct rope written = {.mem = w->brief->mem};
    enum schema_result result;
    enum r2a_err err;

    if (w->target->profile.gg_schema == GG_SCHEMA_JSON) {
        rope_put(w->out, json);
        schema_write_bare(w->out, text_bytes(schema));
        return R2A_OK;
    }
    result = schema_write_gemini(&written, text_bytes(schema), is_parameters,
                                 brief_scratch(w->brief), &w->schemas);
    err = check_schema(w, result, param);
    if (err == R2A_OK && result == SCHEMA_WRITTEN) {
        rope_put(w->out, openapi);
        rope_append(w->out, &written);
    }
    rope_clear(&written);
    return err;
}

static void write_grammar(struct gemini_writer *w, const struct part_view *view)
{
    static const char *const kinds[] = {"text", "Lark grammar", "regular expression"};
    int64_t kind = part_number(view, IR_FIELD_GRAMMAR, 0);

    if (part_field(view, IR_FIELD_GRAMMAR).len == 0)
        return;
    rope_put(w->out, S("\\n\\nThe input must match this "));
    rope_put(w->out, slice_from_z(kinds[kind >= 0 && kind <= 2 ? kind : 0]));
    rope_put(w->out, S(":\\n"));
    text_write_escaped(w->out, part_field(view, IR_FIELD_GRAMMAR));
}

static enum r2a_err write_function(struct gemini_writer *w, const struct names_tool *tool)
{
    struct rope *out = w->out;
    struct part_view view;

    if (!part_read(w->tape, tool->event, brief_scratch(w->brief), &view))
        return R2A_ERR_NO_MEMORY;
    rope_put(out, S("{\"name\":\""));
    text_write_escaped(out, text_plain(tool->wire));
    rope_put_char(out, '"');
    if (part_field(&view, IR_FIELD_DESCRIPTION).len + part_field(&view, IR_FIELD_GRAMMAR).len > 0) {
        rope_put(out, S(",\"description\":\""));
        text_write_escaped(out, part_field(&view, IR_FIELD_DESCRIPTION));
        write_grammar(w, &view);
        rope_put_char(out, '"');
    }
    if (tool->is_wrapped) {
        rope_put(out, S(",\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"input\":{\"type\":"
                        "\"STRING\"}},\"required\":[\"input\"]}"));
    } else if (part_field(&view, IR_FIELD_SCHEMA).len > 0) {
        enum r2a_err err =
            write_schema(w, part_field(&view, IR_FIELD_SCHEMA), S(",\"parameters\":"),
                         S(",\"parametersJsonSchema\":"), true, S("tools"));

        if (err != R2A_OK)
            return err;
    }
    rope_put_char(out, '}');
    return R2A_OK;
}

static enum r2a_err write_functions(struct gemini_writer *w)
{
    enum r2a_err err = R2A_OK;
    bool is_first = true;

    rope_put(w->out, S("{\"functionDeclarations\":["));
    for (uint32_t i = 0; i < w->names.tools_count && err == R2A_OK; i++) {
        const struct names_tool *tool = &w->names.tools[i];

        if (tool->is_dropped || tool->kind == IR_TOOL_SERVER)
            continue;
        if (!is_first)
            rope_put_char(w->out, ',');
        is_first = false;
        err = write_function(w, tool);
    }
    rope_put(w->out, S("]}"));
    return err;
}

static enum r2a_err write_tools(struct gemini_writer *w, const struct plan *plan)
{
    bool is_first = !plan->has_functions;
    enum r2a_err err = R2A_OK;

    if (!plan->has_functions && !plan->has_search && !plan->has_native_tools)
        return R2A_OK;
    rope_put(w->out, S(",\"tools\":["));
    if (plan->has_functions)
        err = write_functions(w);
    if (plan->has_search)
        rope_put(w->out,
                 is_first ? S("{\"" GEMINI_SEARCH "\":{}}") : S(",{\"" GEMINI_SEARCH "\":{}}"));
    for (uint32_t i = 0; plan->has_native_tools && i < w->names.tools_count; i++) {
        const struct names_tool *tool = &w->names.tools[i];
        struct part_view view;

        if (tool->kind != IR_TOOL_SERVER || tool->is_dropped)
            continue;
        if (!part_read(w->tape, tool->event, brief_scratch(w->brief), &view))
            return R2A_ERR_NO_MEMORY;
        rope_put(w->out, is_first ? S("{\"") : S(",{\""));
        is_first = false;
        text_write_escaped(w->out, text_plain(tool->wire));
        rope_put(w->out, S("\":"));
        rope_borrow(w->out, text_bytes(part_field(&view, IR_FIELD_RAW)));
        rope_put_char(w->out, '}');
    }
    rope_put_char(w->out, ']');
    return err;
}

static void write_names(struct gemini_writer *w)
{
    rope_put(w->out, S(",\"allowedFunctionNames\":["));
    for (uint32_t i = 0; i < w->params.choices_count; i++) {
        if (i > 0)
            rope_put_char(w->out, ',');
        text_write_string(w->out, text_plain(names_wire(&w->names, w->params.choices[i].name,
                                                        w->params.choices[i].space)));
    }
    rope_put_char(w->out, ']');
}

/* An opaque register of our own protocol: its raw value, or an empty text. */
static struct text opaque_of(const struct gemini_writer *w, struct slice name)
{
    for (uint32_t i = 0; w->is_native && i < w->params.opaques_count; i++)
        if (text_is(w->params.opaques[i].name, name))
            return w->params.opaques[i].space;
    return (struct text){0};
}

static void write_opaque(struct gemini_writer *w, struct slice name, bool *is_first)
{
    struct text value = opaque_of(w, name);

    if (value.len == 0)
        return;
    rope_put(w->out, *is_first ? S("\"") : S(",\""));
    *is_first = false;
    rope_put(w->out, name);
    rope_put(w->out, S("\":"));
    rope_borrow(w->out, text_bytes(value));
}

static void write_tool_config(struct gemini_writer *w, const struct plan *plan)
{
    static const char *const modes[] = {
        [IR_CHOICE_AUTO] = "AUTO",       [IR_CHOICE_NONE] = "NONE",
        [IR_CHOICE_ANY] = "ANY",         [IR_CHOICE_ONE] = "ANY",
        [IR_CHOICE_CUSTOM_ONE] = "ANY",  [IR_CHOICE_ALLOWED_AUTO] = "VALIDATED",
        [IR_CHOICE_ALLOWED_ANY] = "ANY", [IR_CHOICE_SERVER] = "AUTO",
    };
    bool has_calling = plan->has_functions && plan->has_choice;
    bool is_first = true;

    if (!has_calling && opaque_of(w, S("retrievalConfig")).len == 0 &&
        opaque_of(w, S("includeServerSideToolInvocations")).len == 0)
        return;
    rope_put(w->out, S(",\"toolConfig\":{"));
    if (has_calling) {
        rope_put(w->out, S("\"functionCallingConfig\":{\"mode\":\""));
        rope_put(w->out, slice_from_z(modes[plan->choice]));
        rope_put_char(w->out, '"');
        if (w->params.choices_count > 0 && plan->choice != IR_CHOICE_SERVER)
            write_names(w);
        rope_put_char(w->out, '}');
        is_first = false;
    }
    write_opaque(w, S("retrievalConfig"), &is_first);
    write_opaque(w, S("includeServerSideToolInvocations"), &is_first);
    rope_put_char(w->out, '}');
}

/* --- generationConfig --- */

/* Members of an object that may turn out to have none. */
static void key(struct gemini_writer *w, bool *is_first, struct slice name)
{
    rope_put(w->out, *is_first ? S("\"") : S(",\""));
    *is_first = false;
    rope_put(w->out, name);
    rope_put(w->out, S("\":"));
}

static void write_number(struct gemini_writer *w, bool *is_first, uint8_t param, struct slice name,
                         double min, double max)
{
    struct slice raw = text_bytes(w->params.at[param].value);
    double value;

    if (!params_has(&w->params, param))
        return;
    value = json_number_double(raw);
    key(w, is_first, name);
    if (value < min)
        rope_put_i64(w->out, (int64_t)min);
    else if (value > max)
        rope_put_i64(w->out, (int64_t)max);
    else
        rope_put(w->out, raw);
}

#define ANY_NUMBER 9e15

static void write_sampling(struct gemini_writer *w, bool *is_first)
{
    const struct params *params = &w->params;
    int64_t seed = params_number(params, IR_PARAM_SEED, 0);

    write_number(w, is_first, IR_PARAM_TEMPERATURE, S("temperature"), 0, 2);
    write_number(w, is_first, IR_PARAM_TOP_P, S("topP"), 0, 1);
    write_number(w, is_first, IR_PARAM_TOP_K, S("topK"), 0, ANY_NUMBER);
    if (params_number(params, IR_PARAM_N, 1) > 1)
        write_number(w, is_first, IR_PARAM_N, S("candidateCount"), 1, CHOICES_MAX);
    write_number(w, is_first, IR_PARAM_MAX_OUT, S("maxOutputTokens"), 1, INT32_MAX);
    write_number(w, is_first, IR_PARAM_PRESENCE_PENALTY, S("presencePenalty"), -2, 2);
    write_number(w, is_first, IR_PARAM_FREQUENCY_PENALTY, S("frequencyPenalty"), -2, 2);
    if (seed >= INT32_MIN && seed <= INT32_MAX)
        write_number(w, is_first, IR_PARAM_SEED, S("seed"), INT32_MIN, INT32_MAX);
    else
        params_lose(params, IR_PARAM_SEED, w->loss);
    if (params_number(params, IR_PARAM_LOGPROBS, 0) != 0) {
        key(w, is_first, S("responseLogprobs"));
        rope_put(w->out, S("true"));
        write_number(w, is_first, IR_PARAM_TOP_LOGPROBS, S("logprobs"), 0, 20);
    }
}

#define STOPS_MAX 5u

static void write_stops(struct gemini_writer *w, bool *is_first)
{
    struct text picked[STOPS_MAX];
    uint32_t count = stops_pick(&w->params, false, picked, STOPS_MAX, w->loss);

    if (count == 0)
        return;
    key(w, is_first, S("stopSequences"));
    for (uint32_t i = 0; i < count; i++) {
        rope_put_char(w->out, i == 0 ? '[' : ',');
        text_write_string(w->out, picked[i]);
    }
    rope_put_char(w->out, ']');
}

static enum r2a_err write_format(struct gemini_writer *w, bool *is_first)
{
    int64_t format = params_number(&w->params, IR_PARAM_FORMAT, IR_FORMAT_TEXT);

    if (format == IR_FORMAT_TEXT)
        return R2A_OK;
    key(w, is_first, S("responseMimeType"));
    rope_put(w->out, S("\"application/json\""));
    if (format != IR_FORMAT_SCHEMA || !params_has(&w->params, IR_PARAM_FORMAT_SCHEMA))
        return R2A_OK;
    return write_schema(w, w->params.at[IR_PARAM_FORMAT_SCHEMA].value, S(",\"responseSchema\":"),
                        S(",\"responseJsonSchema\":"), true,
                        param_member(w->params.dialect, IR_PARAM_FORMAT));
}

static void write_modalities(struct gemini_writer *w, bool *is_first)
{
    const struct params *params = &w->params;

    if (params->modalities_count == 0)
        return;
    key(w, is_first, S("responseModalities"));
    for (uint32_t i = 0; i < params->modalities_count; i++) {
        struct text word = params->modalities[i];

        rope_put(w->out, i == 0 ? S("[\"") : S(",\""));
        for (uint32_t k = 0; k < word.len; k++)
            if (char_is_alnum(word.ptr[k]) || word.ptr[k] == '_')
                rope_put_char(w->out, char_to_upper(word.ptr[k]));
        rope_put_char(w->out, '"');
    }
    rope_put_char(w->out, ']');
}

static void lose_thinking(struct gemini_writer *w)
{
    static const uint8_t params[] = {IR_PARAM_EFFORT, IR_PARAM_BUDGET, IR_PARAM_THINK_MODE};

    for (uint32_t i = 0; i < array_count(params); i++) {
        if (params_has(&w->params, params[i])) {
            params_lose(&w->params, params[i], w->loss);
            return;
        }
    }
}

/* The budget to send, -1 dynamic, or INT64_MIN: say nothing. */
static int64_t budget_of(const struct gemini_writer *w, const struct think *think)
{
    const struct model_profile *profile = &w->target->profile;
    int64_t budget = INT64_MIN;

    if (think->mode == IR_THINK_OFF)
        return profile->gg_budget_off ? 0 : profile->gg_budget_min;
    if (think->mode == IR_THINK_AUTO)
        return -1;
    if (think->budget > 0)
        budget = think->budget;
    else if (think->effort > IR_EFFORT_NONE)
        budget = effort_to_budget(think->effort, profile->gg_budget_max);
    if (budget == INT64_MIN)
        return budget;
    if (budget < profile->gg_budget_min)
        budget = profile->gg_budget_min;
    if (profile->gg_budget_max > 0 && budget > profile->gg_budget_max)
        budget = profile->gg_budget_max;
    return budget;
}

static void write_level(struct gemini_writer *w, int effort, bool *is_inner_first)
{
    struct slice word = effort_name(effort);

    key(w, is_inner_first, S("thinkingLevel"));
    rope_put_char(w->out, '"');
    for (size_t i = 0; i < word.len; i++)
        rope_put_char(w->out, char_to_upper(word.ptr[i]));
    rope_put_char(w->out, '"');
}

static void write_thinking(struct gemini_writer *w, bool *is_first)
{
    const struct model_profile *profile = &w->target->profile;
    bool is_inner_first = true, shows;
    int64_t budget = INT64_MIN;
    struct think think;
    int level = -1;

    think_of(&w->params, &think);
    if (profile->gg_thinking == GG_THINKING_NONE) {
        if (think.mode != IR_THINK_OFF)
            lose_thinking(w);
        return;
    }
    if (profile->gg_thinking == GG_THINKING_BUDGET)
        budget = budget_of(w, &think);
    else if (think.effort >= 0 && profile->gg_levels != 0)
        level = effort_nearest(think.effort == IR_EFFORT_NONE ? IR_EFFORT_MINIMAL : think.effort,
                               profile->gg_levels);
    shows = think.shows && think.mode != IR_THINK_OFF;
    if (budget == INT64_MIN && level < 0 && !shows)
        return;
    key(w, is_first, S("thinkingConfig"));
    rope_put_char(w->out, '{');
    if (budget != INT64_MIN) {
        key(w, &is_inner_first, S("thinkingBudget"));
        rope_put_i64(w->out, budget);
    }
    if (level >= 0)
        write_level(w, level, &is_inner_first);
    if (shows) {
        key(w, &is_inner_first, S("includeThoughts"));
        rope_put(w->out, S("true"));
    }
    rope_put_char(w->out, '}');
}

static enum r2a_err write_config(struct gemini_writer *w)
{
    static const struct slice own[] = {S_INIT("responseMimeType"),
                                       S_INIT("responseSchema"),
                                       S_INIT("speechConfig"),
                                       S_INIT("imageConfig"),
                                       S_INIT("mediaResolution"),
                                       S_INIT("enableEnhancedCivicAnswers"),
                                       S_INIT("audioTranscriptionConfig"),
                                       S_INIT("audioTimestamp"),
                                       S_INIT("routingConfig"),
                                       S_INIT("modelSelectionConfig")};
    struct rope inside = {.mem = w->brief->mem}, *out = w->out;
    bool is_first = true;
    enum r2a_err err;

    /* in a rope of its own: an empty object is not worth sending */
    w->out = &inside;
    write_sampling(w, &is_first);
    write_stops(w, &is_first);
    err = write_format(w, &is_first);
    write_modalities(w, &is_first);
    write_thinking(w, &is_first);
    for (uint32_t i = 0; i < array_count(own); i++)
        write_opaque(w, own[i], &is_first);
    w->out = out;
    if (err == R2A_OK && inside.err != R2A_OK)
        err = inside.err;
    if (err == R2A_OK && !is_first) {
        rope_put(out, S(",\"generationConfig\":{"));
        rope_append(out, &inside);
        rope_put_char(out, '}');
    }
    rope_clear(&inside);
    return err;
}

/* --- the rest --- */

static void write_rest(struct gemini_writer *w)
{
    struct slice tier = tier_word(&w->params, TIER_GEMINI);
    bool is_first = false;

    if (tier.len > 0) {
        key(w, &is_first, S("serviceTier"));
        text_write_string(w->out, text_plain(tier));
    }
    if (w->is_native && params_has(&w->params, IR_PARAM_SAFETY)) {
        key(w, &is_first, S("safetySettings"));
        rope_borrow(w->out, text_bytes(w->params.at[IR_PARAM_SAFETY].value));
    }
    write_opaque(w, S("cachedContent"), &is_first);
    write_opaque(w, S("labels"), &is_first);
    write_opaque(w, S("modelArmorConfig"), &is_first);
}

/* Registers that this API has no member for. */
static void lose_params(struct gemini_writer *w)
{
    static const uint8_t lost[] = {IR_PARAM_LOGIT_BIAS, IR_PARAM_VERBOSITY, IR_PARAM_USER,
                                   IR_PARAM_META,       IR_PARAM_CACHE_KEY, IR_PARAM_AUDIO};

    for (uint32_t i = 0; i < array_count(lost); i++)
        params_lose(&w->params, lost[i], w->loss);
    if (params_number(&w->params, IR_PARAM_PARALLEL, 1) == 0)
        params_lose(&w->params, IR_PARAM_PARALLEL, w->loss);
    if (params_number(&w->params, IR_PARAM_STORE, 0) != 0)
        params_lose(&w->params, IR_PARAM_STORE, w->loss);
    if (!w->is_native)
        params_lose(&w->params, IR_PARAM_SAFETY, w->loss);
    tape_lose_ext(w->tape, brief_scratch(w->brief), w->is_native, w->loss);
}

static enum r2a_err prepare(struct gemini_writer *w, struct plan *plan)
{
    static const struct mend_rules rules = {
        .hoists_system = true,
        .merges_turns = true,
        .is_foreign = true,
        .user_first = true,
        .needs_user = true,
        .mid = MEND_MID_USER,
        .empty = MEND_EMPTY_DROP,
        .prefill = MEND_PREFILL_KEEP,
        .seals = "g",
        .seals_on_calls = true,
    };
    enum r2a_err err;

    if (!params_read(w->tape, brief_scratch(w->brief), &w->params))
        return R2A_ERR_NO_MEMORY;
    w->is_native = text_is(w->params.dialect, S("gemini"));
    err = w->is_native ? R2A_OK : params_refuse_foreign(&w->params, true, w->fault);
    if (err != R2A_OK)
        return err;
    if (params_number(&w->params, IR_PARAM_N, 1) > CHOICES_MAX)
        return refuse_param(w, IR_PARAM_N, S("at most 8 choices"));
    err = names_build(
        &w->names, w->tape,
        (struct names_rules){.form = NAMES_GG, .wraps_custom = true, .flattens_spaces = true},
        w->brief, w->fault);
    if (err == R2A_OK)
        err = mend_build(&w->mend, w->tape, &rules, w->target, w->brief, w->loss, w->fault);
    return err == R2A_OK ? plan_tools(w, plan) : err;
}

enum r2a_err gemini_request_encode(const struct ir_tape *tape, const struct target *target,
                                   struct brief *brief, struct rope *out, struct loss *loss,
                                   struct fault *fault)
{
    struct gemini_writer *w = arena_take(brief_scratch(brief), sizeof(*w));
    bool is_count = brief->operation == BRIEF_COUNT;
    struct plan plan = {0};
    enum r2a_err err;

    *fault = fault_of(FAULT_OVERLOAD, S("The gateway is out of memory."));
    fault->err = R2A_ERR_NO_MEMORY;
    if (w == NULL)
        return R2A_ERR_NO_MEMORY;
    *w = (struct gemini_writer){
        .tape = tape, .target = target, .brief = brief, .out = out, .loss = loss, .fault = fault};
    err = prepare(w, &plan);
    if (err != R2A_OK)
        return err;
    if (is_count) {
        rope_put(out, S("{\"generateContentRequest\":{\"model\":\""));
        if (memchr(target->model.ptr, '/', target->model.len) == NULL)
            rope_put(out, S("models/"));
        text_write_escaped(out, text_plain(target->model));
        rope_put(out, S("\","));
    } else {
        rope_put_char(out, '{');
    }
    err = gemini_write_system(w);
    if (err == R2A_OK)
        err = gemini_write_contents(w);
    if (err == R2A_OK)
        err = write_tools(w, &plan);
    if (err != R2A_OK)
        return err;
    write_tool_config(w, &plan);
    if (!is_count) {
        err = write_config(w);
        write_rest(w);
        lose_params(w);
    }
    rope_put(out, is_count ? S("}}") : S("}"));
    if (err == R2A_OK)
        err = out->err;
    return err;
}
