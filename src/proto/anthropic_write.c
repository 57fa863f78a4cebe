#include "anthropic_write.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "search.h"

/* A tape as a Messages request (conversion.md 2). The registers that depend on each other are
 * settled first (limit, thinking, choice, sampling: `plan`), then everything is written once, in
 * order. Losses are named as the client called them. */

/* What was decided about reasoning and its neighbours. */
struct plan {
    int64_t max_tokens;
    uint8_t choice; /* enum ir_choice; IR_CHOICE_AUTO too when nothing is to be written */
    bool has_choice, is_forced, has_functions;
    bool is_thinking, is_manual, writes_off, shows, hides;
    int64_t budget;
    int effort; /* -1: none */
};

static enum r2a_err refuse_param(struct anthropic_writer *w, uint8_t param, struct slice message)
{
    return fault_param(w->fault, param_member(w->params.dialect, param), message);
}

/* --- tools: what stays --- */

/* The server tool of ours that does what another vendor's does, or an empty slice. */
static struct slice server_tool(const struct anthropic_writer *w, const struct names_tool *tool)
{
    if (w->is_native)
        return tool->wire;
    return search_is(tool->wire) ? S("web_search_20250305") : (struct slice){0};
}

static bool is_allowed(const struct params *params, const struct names_tool *tool)
{
    for (uint32_t i = 0; i < params->choices_count; i++)
        if (text_eq(params->choices[i].name, tool->client) ||
            (tool->kind == IR_TOOL_SERVER && text_is(params->choices[i].name, tool->wire)))
            return true;
    return false;
}

static enum r2a_err refuse_tool(struct anthropic_writer *w, struct slice type)
{
    *w->fault = fault_of(FAULT_INVALID, S("this upstream cannot run the tool"));
    w->fault->param = text_plain(type);
    w->fault->err = R2A_ERR_UNSUPPORTED;
    return R2A_ERR_UNSUPPORTED;
}

/* Leaves out what the upstream cannot run; refuses where nothing else is left or it is forced. */
static enum r2a_err sort_tools(struct anthropic_writer *w, struct plan *plan)
{
    struct slice left_out = {0};
    uint32_t kept = 0, searches = 0;
    bool restricts =
        plan->choice == IR_CHOICE_ALLOWED_AUTO || plan->choice == IR_CHOICE_ALLOWED_ANY;

    for (uint32_t i = 0; i < w->names.tools_count; i++) {
        struct names_tool *tool = &w->names.tools[i];

        if (restricts && !is_allowed(&w->params, tool))
            tool->is_dropped = true;
        if (tool->is_dropped)
            continue;
        if (tool->kind == IR_TOOL_SERVER && server_tool(w, tool).len == 0) {
            if (plan->choice == IR_CHOICE_SERVER && is_allowed(&w->params, tool))
                return refuse_tool(w, tool->wire);
            tool->is_dropped = true;
            left_out = tool->wire;
            loss_note(w->loss, tool->wire);
        } else if (tool->kind == IR_TOOL_SERVER && !w->is_native && searches++ > 0) {
            tool->is_dropped = true; /* two vendors' names for one search */
        } else {
            kept++;
        }
    }
    plan->has_functions = kept > 0;
    return left_out.len > 0 && kept == 0 ? refuse_tool(w, left_out) : R2A_OK;
}

static enum r2a_err plan_choice(struct anthropic_writer *w, struct plan *plan)
{
    plan->has_choice = params_has(&w->params, IR_PARAM_TOOL_CHOICE);
    plan->choice = (uint8_t)params_number(&w->params, IR_PARAM_TOOL_CHOICE, IR_CHOICE_AUTO);
    if (sort_tools(w, plan) != R2A_OK)
        return R2A_ERR_UNSUPPORTED;
    if (!plan->has_functions)
        return R2A_OK;
    switch ((enum ir_choice)plan->choice) {
    case IR_CHOICE_ONE:
    case IR_CHOICE_CUSTOM_ONE:
        if (w->params.choices_count == 0 ||
            names_find(&w->names, w->params.choices[0].name, w->params.choices[0].space) == NULL)
            return refuse_param(w, IR_PARAM_TOOL_CHOICE, S("tool_choice names an unknown tool"));
        plan->is_forced = true;
        break;
    case IR_CHOICE_ANY:
    case IR_CHOICE_ALLOWED_ANY:
    case IR_CHOICE_SERVER:
        plan->is_forced = true;
        break;
    case IR_CHOICE_AUTO:
    case IR_CHOICE_NONE:
    case IR_CHOICE_ALLOWED_AUTO:
        break;
    }
    return R2A_OK;
}

/* --- reasoning --- */

/* With manual thinking on, the assistant turn that is followed only by tool results must begin with
 * thinking; a prefill and thinking exclude each other. */
static bool history_allows_thinking(const struct anthropic_writer *w)
{
    const struct mend *mend = &w->mend;
    const struct mend_turn *last = &mend->turns[mend->turns_count - 1];
    uint8_t kind;

    if (last->role == IR_ROLE_ASSISTANT)
        return false;
    if (last->role != IR_ROLE_USER || last->results == 0 || last->results < last->count)
        return true;
    check(mend->turns_count > 1);
    last--;
    if (last->role != IR_ROLE_ASSISTANT || last->count == 0)
        return true;
    kind = mend_part_at(mend, last, 0)->kind;
    return kind == IR_PART_REASON || kind == IR_PART_REDACTED;
}

static void lose_thinking(struct anthropic_writer *w)
{
    static const uint8_t params[] = {IR_PARAM_EFFORT, IR_PARAM_BUDGET, IR_PARAM_THINK_MODE};

    for (uint32_t i = 0; i < array_count(params); i++) {
        if (params_has(&w->params, params[i])) {
            params_lose(&w->params, params[i], w->loss);
            return;
        }
    }
}

static void plan_manual(struct anthropic_writer *w, const struct think *think, struct plan *plan)
{
    const struct model_profile *profile = &w->target->profile;
    int64_t ceiling = profile->am_max_output > 0 ? profile->am_max_output : 64000;
    int64_t budget = think->budget;

    if (budget <= 0)
        budget = effort_to_budget(think->effort >= 0 ? think->effort : IR_EFFORT_HIGH, ceiling);
    if (budget < 1024)
        budget = 1024;
    if (budget >= plan->max_tokens)
        budget = plan->max_tokens / 2 > 1024 ? plan->max_tokens / 2 : 1024;
    if (plan->is_forced || plan->max_tokens < 2048 || !history_allows_thinking(w)) {
        lose_thinking(w);
        return;
    }
    plan->is_thinking = plan->is_manual = true;
    plan->budget = budget;
}

static void plan_thinking(struct anthropic_writer *w, struct plan *plan)
{
    const struct model_profile *profile = &w->target->profile;
    bool is_adaptive = profile->am_thinking == AM_THINKING_ADAPTIVE ||
                       profile->am_thinking == AM_THINKING_ADAPTIVE_ONLY;
    struct think think;
    bool is_on;

    think_of(&w->params, &think);
    is_on = think.mode != IR_THINK_UNSET && think.mode != IR_THINK_OFF;
    plan->effort = -1;
    plan->shows = think.shows;
    plan->hides = params_has(&w->params, IR_PARAM_THINK_SHOW) && !think.shows;
    if (profile->am_efforts != 0 && think.effort > IR_EFFORT_NONE && (is_adaptive || w->is_native))
        plan->effort = effort_nearest(think.effort, profile->am_efforts);
    if (think.mode == IR_THINK_OFF) {
        if (profile->am_thinking == AM_THINKING_ADAPTIVE)
            plan->writes_off = true;
        else if (profile->am_thinking == AM_THINKING_ADAPTIVE_ONLY)
            plan->effort = effort_nearest(IR_EFFORT_LOW, profile->am_efforts);
    } else if (is_on && is_adaptive) {
        if (plan->is_forced)
            lose_thinking(w);
        else
            plan->is_thinking = true;
    } else if (is_on && profile->am_thinking == AM_THINKING_MANUAL) {
        plan_manual(w, &think, plan);
    } else if (is_on) {
        lose_thinking(w);
    } else if (think.effort > IR_EFFORT_NONE && plan->effort < 0) {
        lose_thinking(w); /* effort without thinking, which this model does not know */
    }
}

/* --- limits --- */

static void plan_limit(struct anthropic_writer *w, struct plan *plan)
{
    const struct model_profile *profile = &w->target->profile;
    int64_t limit = params_number(&w->params, IR_PARAM_MAX_OUT, -1);

    if (!params_has(&w->params, IR_PARAM_MAX_OUT))
        limit = profile->am_default_max_tokens > 0 ? profile->am_default_max_tokens : 8192;
    if (limit < 1)
        limit = 1; /* 0 warms a cache that this upstream does not share */
    if (profile->am_max_output > 0 && limit > profile->am_max_output)
        limit = profile->am_max_output;
    plan->max_tokens = limit;
}

/* --- writing --- */

static void write_sampling(struct anthropic_writer *w, const struct plan *plan)
{
    const struct params *params = &w->params;
    uint8_t sampling = w->target->profile.am_sampling;
    bool has_temp = params_has(params, IR_PARAM_TEMPERATURE);
    double temp =
        has_temp ? json_number_double(text_bytes(params->at[IR_PARAM_TEMPERATURE].value)) : 1;
    double top_p = params_has(params, IR_PARAM_TOP_P)
                       ? json_number_double(text_bytes(params->at[IR_PARAM_TOP_P].value))
                       : 1;
    bool keeps_temp = has_temp && sampling != AM_SAMPLING_NONE && !plan->is_thinking;
    bool keeps_top_p = params_has(params, IR_PARAM_TOP_P) && sampling != AM_SAMPLING_NONE &&
                       !(plan->is_thinking && top_p < 0.95) &&
                       !(sampling == AM_SAMPLING_ONE_OF && keeps_temp);
    bool keeps_top_k =
        params_has(params, IR_PARAM_TOP_K) && sampling != AM_SAMPLING_NONE && !plan->is_thinking;

    if (keeps_temp) {
        rope_put(w->out, S(",\"temperature\":"));
        rope_put(w->out, temp > 1   ? S("1")
                         : temp < 0 ? S("0")
                                    : text_bytes(params->at[IR_PARAM_TEMPERATURE].value));
    } else if (has_temp && temp < 1) {
        params_lose(params, IR_PARAM_TEMPERATURE, w->loss);
    }
    if (keeps_top_p) {
        rope_put(w->out, S(",\"top_p\":"));
        rope_put(w->out, text_bytes(params->at[IR_PARAM_TOP_P].value));
    } else if (top_p < 1) {
        params_lose(params, IR_PARAM_TOP_P, w->loss);
    }
    if (keeps_top_k) {
        rope_put(w->out, S(",\"top_k\":"));
        rope_put(w->out, text_bytes(params->at[IR_PARAM_TOP_K].value));
    } else {
        params_lose(params, IR_PARAM_TOP_K, w->loss);
    }
}

static enum r2a_err write_stops(struct anthropic_writer *w)
{
    uint32_t max = w->params.stops_count, count;
    struct text *picked;

    if (max == 0)
        return R2A_OK;
    picked = arena_take(brief_scratch(w->brief), max * sizeof(*picked));
    if (picked == NULL)
        return R2A_ERR_NO_MEMORY;
    count = stops_pick(&w->params, true, picked, max, w->loss);
    for (uint32_t i = 0; i < count; i++) {
        rope_put(w->out, i == 0 ? S(",\"stop_sequences\":[") : S(","));
        text_write_string(w->out, picked[i]);
    }
    if (count > 0)
        rope_put_char(w->out, ']');
    return R2A_OK;
}

static void write_thinking(struct anthropic_writer *w, const struct plan *plan)
{
    bool is_new = w->target->profile.am_thinking == AM_THINKING_ADAPTIVE_ONLY;

    if (plan->writes_off) {
        rope_put(w->out, S(",\"thinking\":{\"type\":\"disabled\"}"));
        return;
    }
    if (!plan->is_thinking)
        return;
    if (plan->is_manual) {
        rope_put(w->out, S(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":"));
        rope_put_i64(w->out, plan->budget);
    } else {
        rope_put(w->out, S(",\"thinking\":{\"type\":\"adaptive\""));
    }
    /* Newer models show nothing unless asked; older ones show unless told not to. */
    if (plan->hides)
        rope_put(w->out, S(",\"display\":\"omitted\""));
    else if (plan->shows && is_new)
        rope_put(w->out, S(",\"display\":\"summarized\""));
    rope_put_char(w->out, '}');
}

static enum r2a_err write_output_config(struct anthropic_writer *w, const struct plan *plan,
                                        bool has_native_schema)
{
    struct rope *out = w->out;

    if (plan->effort < 0 && !has_native_schema)
        return R2A_OK;
    rope_put(out, S(",\"output_config\":{"));
    if (plan->effort >= 0) {
        rope_put(out, S("\"effort\":\""));
        rope_put(out, effort_name(plan->effort));
        rope_put_char(out, '"');
    }
    if (has_native_schema) {
        struct text schema = w->params.at[IR_PARAM_FORMAT_SCHEMA].value;

        if (plan->effort >= 0)
            rope_put_char(out, ',');
        rope_put(out, S("\"format\":{\"type\":\"json_schema\",\"schema\":"));
        if (w->is_native)
            rope_borrow(out, text_bytes(schema));
        else if (!anthropic_write_format_schema(out, schema))
            return refuse_param(w, IR_PARAM_FORMAT,
                                S("the schema is too large or nested too deeply"));
        rope_put_char(out, '}');
    }
    rope_put_char(out, '}');
    return R2A_OK;
}

static void write_grammar(struct anthropic_writer *w, const struct part_view *view)
{
    static const char *const kinds[] = {"text", "Lark grammar", "regular expression"};
    int64_t kind = part_number(view, IR_FIELD_GRAMMAR, 0);

    if (!part_has(view, IR_FIELD_GRAMMAR) || part_field(view, IR_FIELD_GRAMMAR).len == 0)
        return;
    rope_put(w->out, S("\\n\\nThe input must match this "));
    rope_put(w->out, slice_from_z(kinds[kind >= 0 && kind <= 2 ? kind : 0]));
    rope_put(w->out, S(":\\n"));
    text_write_escaped(w->out, part_field(view, IR_FIELD_GRAMMAR));
}

static enum r2a_err write_tool(struct anthropic_writer *w, const struct names_tool *tool,
                               const struct part_view *view)
{
    struct rope *out = w->out;

    if (part_has(view, IR_FIELD_RAW) && w->is_native) {
        rope_borrow(out, text_bytes(part_field(view, IR_FIELD_RAW)));
        return R2A_OK;
    }
    if (tool->kind == IR_TOOL_SERVER) {
        rope_put(out, S("{\"type\":\""));
        rope_put(out, server_tool(w, tool));
        rope_put(out, S("\",\"name\":\"web_search\""));
        search_write(SEARCH_ANTHROPIC, text_bytes(part_field(view, IR_FIELD_RAW)), out, w->loss);
        rope_put_char(out, '}');
        return R2A_OK;
    }
    rope_put(out, S("{\"name\":\""));
    text_write_escaped(out, text_plain(tool->wire));
    rope_put_char(out, '"');
    if (part_field(view, IR_FIELD_DESCRIPTION).len + part_field(view, IR_FIELD_GRAMMAR).len > 0) {
        rope_put(out, S(",\"description\":\""));
        text_write_escaped(out, part_field(view, IR_FIELD_DESCRIPTION));
        write_grammar(w, view);
        rope_put_char(out, '"');
    }
    rope_put(out, S(",\"input_schema\":"));
    if (tool->is_wrapped)
        rope_put(out, S("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                        "\"required\":[\"input\"]}"));
    else if (!anthropic_write_tool_schema(out, part_field(view, IR_FIELD_SCHEMA),
                                          brief_scratch(w->brief), w->brief->random[0],
                                          &w->schemas_left))
        return fault_param(w->fault, S("tools"),
                           S("the schema of a tool is too large to be rewritten"));
    if (part_number(view, IR_FIELD_STRICT, 0) == 1 &&
        w->target->profile.am_json == AM_JSON_NATIVE && !tool->is_wrapped)
        rope_put(out, S(",\"strict\":true"));
    anthropic_write_mark(w, view->open->flags);
    rope_put_char(out, '}');
    return R2A_OK;
}

static enum r2a_err write_tools(struct anthropic_writer *w, const struct plan *plan)
{
    enum r2a_err err = R2A_OK;
    bool is_first = true;

    if (!plan->has_functions)
        return R2A_OK;
    rope_put(w->out, S(",\"tools\":["));
    for (uint32_t i = 0; i < w->names.tools_count && err == R2A_OK; i++) {
        struct part_view view;

        if (w->names.tools[i].is_dropped)
            continue;
        if (!part_read(w->tape, w->names.tools[i].event, brief_scratch(w->brief), &view))
            return R2A_ERR_NO_MEMORY;
        if (!is_first)
            rope_put_char(w->out, ',');
        is_first = false;
        err = write_tool(w, &w->names.tools[i], &view);
    }
    rope_put_char(w->out, ']');
    return err;
}

static void write_choice(struct anthropic_writer *w, const struct plan *plan)
{
    bool is_single = params_number(&w->params, IR_PARAM_PARALLEL, 1) == 0;
    struct rope *out = w->out;

    if (!plan->has_functions || (!plan->has_choice && !is_single))
        return;
    rope_put(out, S(",\"tool_choice\":{\"type\":\""));
    switch ((enum ir_choice)plan->choice) {
    case IR_CHOICE_AUTO:
    case IR_CHOICE_ALLOWED_AUTO:
        rope_put(out, S("auto\""));
        break;
    case IR_CHOICE_NONE:
        rope_put(out, S("none\"}"));
        return;
    case IR_CHOICE_ANY:
    case IR_CHOICE_ALLOWED_ANY:
        rope_put(out, S("any\""));
        break;
    case IR_CHOICE_ONE:
    case IR_CHOICE_CUSTOM_ONE:
        rope_put(out, S("tool\",\"name\":\""));
        text_write_escaped(out, text_plain(names_wire(&w->names, w->params.choices[0].name,
                                                      w->params.choices[0].space)));
        rope_put_char(out, '"');
        break;
    case IR_CHOICE_SERVER:
        rope_put(out, S("tool\",\"name\":\""));
        for (uint32_t i = 0; i < w->names.tools_count; i++) {
            const struct names_tool *tool = &w->names.tools[i];

            if (tool->kind == IR_TOOL_SERVER && !tool->is_dropped && w->params.choices_count > 0 &&
                text_is(w->params.choices[0].name, tool->wire)) {
                text_write_escaped(out, w->is_native ? tool->client : text_plain(S("web_search")));
                break;
            }
        }
        rope_put_char(out, '"');
        break;
    }
    if (is_single)
        rope_put(out, S(",\"disable_parallel_tool_use\":true"));
    rope_put_char(out, '}');
}

static void write_opaques(struct anthropic_writer *w)
{
    if (!w->is_native)
        return;
    for (uint32_t i = 0; i < w->params.opaques_count; i++) {
        rope_put(w->out, S(",\""));
        text_write_escaped(w->out, w->params.opaques[i].name);
        rope_put(w->out, S("\":"));
        rope_borrow(w->out, text_bytes(w->params.opaques[i].space));
    }
}

/* Registers that this API has no member for. */
static void lose_params(struct anthropic_writer *w)
{
    static const uint8_t lost[] = {
        IR_PARAM_SEED,       IR_PARAM_FREQUENCY_PENALTY, IR_PARAM_PRESENCE_PENALTY,
        IR_PARAM_LOGIT_BIAS, IR_PARAM_TOP_LOGPROBS,      IR_PARAM_VERBOSITY,
        IR_PARAM_META,       IR_PARAM_CACHE_KEY,         IR_PARAM_AUDIO,
        IR_PARAM_SAFETY};

    for (uint32_t i = 0; i < array_count(lost); i++)
        params_lose(&w->params, lost[i], w->loss);
    if (params_number(&w->params, IR_PARAM_LOGPROBS, 0) != 0)
        params_lose(&w->params, IR_PARAM_LOGPROBS, w->loss);
    if (params_number(&w->params, IR_PARAM_STORE, 0) != 0)
        params_lose(&w->params, IR_PARAM_STORE, w->loss);
    for (uint32_t i = 0; i < w->params.modalities_count; i++)
        if (!text_is_nocase(w->params.modalities[i], S("text")))
            params_lose(&w->params, IR_PARAM_MODALITIES, w->loss);
    tape_lose_ext(w->tape, brief_scratch(w->brief), w->is_native, w->loss);
}

static void write_rest(struct anthropic_writer *w)
{
    struct slice tier = tier_word(&w->params, TIER_ANTHROPIC);

    if (params_has(&w->params, IR_PARAM_USER)) {
        rope_put(w->out, S(",\"metadata\":{\"user_id\":"));
        text_write_string(w->out, w->params.at[IR_PARAM_USER].value);
        rope_put_char(w->out, '}');
    }
    if (tier.len > 0) {
        rope_put(w->out, S(",\"service_tier\":\""));
        rope_put(w->out, tier);
        rope_put_char(w->out, '"');
    } else {
        params_lose(&w->params, IR_PARAM_TIER, w->loss);
    }
}

static enum r2a_err prepare(struct anthropic_writer *w, struct plan *plan)
{
    const struct model_profile *profile = &w->target->profile;
    struct mend_rules rules = {
        .hoists_system = true,
        .merges_turns = true,
        .shows_media = true,
        .user_first = true,
        .needs_user = true,
        .mid = profile->am_mid_system ? MEND_MID_TURN : MEND_MID_USER,
        .empty = MEND_EMPTY_STRICT,
        .prefill = profile->am_prefill ? MEND_PREFILL_TRIM : MEND_PREFILL_REFUSE,
        .seals = "ad",
    };
    enum r2a_err err;
    uint32_t marks;

    if (!params_read(w->tape, brief_scratch(w->brief), &w->params))
        return R2A_ERR_NO_MEMORY;
    w->is_native = text_is(w->params.dialect, S("anthropic"));
    err = params_refuse_foreign(&w->params, false, w->fault);
    if (err != R2A_OK)
        return err;
    err = names_build(
        &w->names, w->tape,
        (struct names_rules){.form = NAMES_AM, .wraps_custom = true, .flattens_spaces = true},
        w->brief, w->fault);
    if (err != R2A_OK)
        return err;
    err = mend_build(&w->mend, w->tape, &rules, w->target, w->brief, w->loss, w->fault);
    if (err != R2A_OK)
        return err;
    err = plan_choice(w, plan);
    if (err != R2A_OK)
        return err;
    plan_limit(w, plan);
    plan_thinking(w, plan);
    marks = anthropic_count_marks(w);
    for (uint32_t i = 0; i < w->names.tools_count; i++)
        marks += !w->names.tools[i].is_dropped && w->names.tools[i].kind != IR_TOOL_SERVER &&
                 (w->tape->events[w->names.tools[i].event].flags & IR_CACHE_MARK) != 0;
    w->marks_skip = marks > ANTHROPIC_MARKS_MAX ? marks - ANTHROPIC_MARKS_MAX : 0;
    return R2A_OK;
}

/* The prompt in the order in which it is cached: tools, system, messages. */
static enum r2a_err write_prompt(struct anthropic_writer *w, const struct plan *plan)
{
    int64_t format = params_number(&w->params, IR_PARAM_FORMAT, IR_FORMAT_TEXT);
    struct text schema = params_has(&w->params, IR_PARAM_FORMAT_SCHEMA)
                             ? w->params.at[IR_PARAM_FORMAT_SCHEMA].value
                             : (struct text){0};
    bool is_native_schema = format == IR_FORMAT_SCHEMA && schema.len > 0 &&
                            w->target->profile.am_json == AM_JSON_NATIVE;
    struct slice extra = {0};
    enum r2a_err err = write_tools(w, plan);

    if (err != R2A_OK)
        return err;
    write_choice(w, plan);
    if (format == IR_FORMAT_JSON || (format == IR_FORMAT_SCHEMA && schema.len == 0)) {
        extra = S("Respond with one valid JSON object and nothing else.");
        schema.len = 0;
    } else if (format == IR_FORMAT_SCHEMA && !is_native_schema) {
        extra = S("Respond with one valid JSON value and nothing else. It must match this JSON "
                  "Schema:\n");
    } else {
        schema.len = 0;
    }
    err = anthropic_write_system(w, extra, schema);
    if (err == R2A_OK)
        err = anthropic_write_messages(w);
    if (err == R2A_OK && w->brief->operation == BRIEF_GENERATE)
        write_thinking(w, plan);
    if (err == R2A_OK)
        err = write_output_config(w, plan, is_native_schema);
    return err;
}

enum r2a_err anthropic_request_encode(const struct ir_tape *tape, const struct target *target,
                                      struct brief *brief, struct rope *out, struct loss *loss,
                                      struct fault *fault)
{
    struct anthropic_writer *w = arena_take(brief_scratch(brief), sizeof(*w));
    struct plan plan = {0};
    enum r2a_err err;

    *fault = fault_of(FAULT_OVERLOAD, S("The gateway is out of memory."));
    fault->err = R2A_ERR_NO_MEMORY;
    if (w == NULL)
        return R2A_ERR_NO_MEMORY;
    *w = (struct anthropic_writer){.tape = tape,
                                   .target = target,
                                   .brief = brief,
                                   .out = out,
                                   .loss = loss,
                                   .fault = fault,
                                   .schemas_left = SCHEMA_SUM_BYTES_MAX};
    err = prepare(w, &plan);
    if (err != R2A_OK)
        return err;
    rope_put(out, S("{\"model\":"));
    text_write_string(out, text_plain(target->model));
    if (brief->operation == BRIEF_GENERATE) {
        rope_put(out, S(",\"max_tokens\":"));
        rope_put_i64(out, plan.max_tokens);
        if (target->is_stream)
            rope_put(out, S(",\"stream\":true"));
    }
    err = write_prompt(w, &plan);
    if (err != R2A_OK)
        return err;
    if (brief->operation == BRIEF_GENERATE) {
        write_sampling(w, &plan);
        err = write_stops(w);
        write_rest(w);
        write_opaques(w);
        lose_params(w);
    }
    rope_put_char(out, '}');
    if (err == R2A_OK)
        err = out->err;
    return err;
}
