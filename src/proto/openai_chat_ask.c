#include "openai_chat.h"

#include "common.h"
#include "mend.h"
#include "names.h"
#include "openai_chat_ask.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "search.h"
#include "strict.h"

/* A tape as a Chat Completions request: the parameters and tools; turns are told by
 * openai_chat_tell.c. Two flavours of server differ in names and manners (profile oc.flavour).
 * What the dialect has no word for is noted as a loss under the client's own name for it. */

#define STOPS_MAX 4u

static bool is_openai(const struct ask *a)
{
    return a->target->profile.oc_flavour == OC_FLAVOUR_OPENAI;
}

static bool has(const struct ask *a, uint8_t param)
{
    return params_has(&a->params, param);
}

static enum r2a_err refuse(struct ask *a, uint8_t param, struct slice message)
{
    return fault_param(a->fault, param_member(a->params.dialect, param), message);
}

/* --- members --- */

static void put_raw(struct ask *a, uint8_t param, struct slice name)
{
    if (!has(a, param))
        return;
    rope_put(a->out, S(",\""));
    rope_put(a->out, name);
    rope_put(a->out, S("\":"));
    rope_borrow(a->out, text_bytes(a->params.at[param].value));
}

static void put_string(struct ask *a, uint8_t param, struct slice name)
{
    if (!has(a, param))
        return;
    rope_put(a->out, S(",\""));
    rope_put(a->out, name);
    rope_put(a->out, S("\":"));
    text_write_string(a->out, a->params.at[param].value);
}

static void put_bool(struct ask *a, struct slice name, bool value)
{
    rope_put(a->out, S(",\""));
    rope_put(a->out, name);
    rope_put(a->out, value ? S("\":true") : S("\":false"));
}

static void put_limits(struct ask *a)
{
    int64_t max = params_number(&a->params, IR_PARAM_MAX_OUT, -1);

    if (has(a, IR_PARAM_MAX_OUT)) {
        rope_put(a->out, is_openai(a) ? S(",\"max_completion_tokens\":") : S(",\"max_tokens\":"));
        rope_put_i64(a->out, max < 1 ? 1 : max); /* Anthropic's 0 warms a cache */
    }
    if (params_number(&a->params, IR_PARAM_N, 1) > 1) {
        rope_put(a->out, S(",\"n\":"));
        rope_put_i64(a->out, a->params.at[IR_PARAM_N].number);
    }
}

/* Reasoning models of OpenAI refuse these outright. */
static void put_sampling(struct ask *a)
{
    static const struct {
        uint8_t param;
        struct slice name;
    } rows[] = {
        {IR_PARAM_TEMPERATURE, S_INIT("temperature")},
        {IR_PARAM_TOP_P, S_INIT("top_p")},
        {IR_PARAM_FREQUENCY_PENALTY, S_INIT("frequency_penalty")},
        {IR_PARAM_PRESENCE_PENALTY, S_INIT("presence_penalty")},
        {IR_PARAM_LOGPROBS, S_INIT("logprobs")},
        {IR_PARAM_TOP_LOGPROBS, S_INIT("top_logprobs")},
    };
    bool refuses = a->target->profile.oai_reasoning;
    struct text stops[STOPS_MAX];
    uint32_t count;

    for (uint32_t i = 0; i < array_count(rows); i++) {
        if (refuses)
            params_lose(&a->params, rows[i].param, a->loss);
        else
            put_raw(a, rows[i].param, rows[i].name);
    }
    params_lose(&a->params, IR_PARAM_TOP_K, a->loss);
    put_raw(a, IR_PARAM_SEED, S("seed"));
    put_raw(a, IR_PARAM_LOGIT_BIAS, S("logit_bias"));
    if (refuses) {
        params_lose(&a->params, IR_PARAM_STOP, a->loss);
        return;
    }
    count = stops_pick(&a->params, false, stops, STOPS_MAX, a->loss);
    for (uint32_t i = 0; i < count; i++) {
        rope_put(a->out, i == 0 ? S(",\"stop\":[") : S(","));
        text_write_string(a->out, stops[i]);
    }
    if (count > 0)
        rope_put_char(a->out, ']');
}

static void put_reasoning(struct ask *a)
{
    uint8_t efforts = a->target->profile.oai_efforts;
    struct think think;
    int effort;

    think_of(&a->params, &think);
    if (think.mode == IR_THINK_UNSET && think.effort < 0)
        return;
    effort = effort_nearest(think.effort, efforts);
    if (think.mode == IR_THINK_OFF && effort != IR_EFFORT_NONE)
        effort = efforts & 1u << IR_EFFORT_MINIMAL ? IR_EFFORT_MINIMAL : -1;
    if (effort < 0) {
        if (efforts == 0 && think.effort > IR_EFFORT_NONE)
            params_lose(&a->params,
                        has(a, IR_PARAM_EFFORT)   ? IR_PARAM_EFFORT
                        : has(a, IR_PARAM_BUDGET) ? IR_PARAM_BUDGET
                                                  : IR_PARAM_THINK_MODE,
                        a->loss);
        return;
    }
    rope_put(a->out, S(",\"reasoning_effort\":\""));
    rope_put(a->out, effort_name(effort));
    rope_put_char(a->out, '"');
}

static void put_format(struct ask *a)
{
    bool is_ours = text_is(a->params.dialect, S("openai")) ||
                   text_is(a->params.dialect, S("openai-responses"));
    int64_t format = params_number(&a->params, IR_PARAM_FORMAT, IR_FORMAT_TEXT);
    struct text schema = a->params.at[IR_PARAM_FORMAT_SCHEMA].value;

    if (format == IR_FORMAT_JSON)
        rope_put(a->out, S(",\"response_format\":{\"type\":\"json_object\"}"));
    if (format != IR_FORMAT_SCHEMA)
        return;
    rope_put(a->out,
             S(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"));
    if (has(a, IR_PARAM_FORMAT_NAME))
        text_write_string(a->out, a->params.at[IR_PARAM_FORMAT_NAME].value);
    else
        rope_put(a->out, S("\"response\""));
    put_string(a, IR_PARAM_FORMAT_DESCRIPTION, S("description"));
    put_raw(a, IR_PARAM_FORMAT_SCHEMA, S("schema"));
    if (has(a, IR_PARAM_FORMAT_STRICT))
        put_bool(a, S("strict"), a->params.at[IR_PARAM_FORMAT_STRICT].number != 0);
    else if (!is_ours)
        put_bool(a, S("strict"), schema_is_strict(text_bytes(schema)));
    rope_put(a->out, S("}}"));
}

/* Who the end user is, in the member that the server knows. Anthropic's ids are long and may tell a
 * person: they leave as a digest. */
static void put_user(struct ask *a)
{
    struct text user = a->params.at[IR_PARAM_USER].value;
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES];
    struct slice plain;

    if (!has(a, IR_PARAM_USER) || user.len == 0)
        return;
    rope_put(a->out, is_openai(a) ? S(",\"safety_identifier\":") : S(",\"user\":"));
    if (text_is(a->params.dialect, S("openai")) ||
        text_is(a->params.dialect, S("openai-responses"))) {
        text_write_string(a->out, user);
        return;
    }
    if (!text_to_plain(user, a->arena, &plain)) {
        a->out->err = R2A_ERR_NO_MEMORY;
        return;
    }
    sha256_of(plain, digest);
    str_hex(hex, slice_of((const char *)digest, sizeof(digest)));
    text_write_string(a->out, text_plain(slice_of(hex, sizeof(hex))));
}

static void put_words(struct ask *a)
{
    bool is_ours = text_is(a->params.dialect, S("openai")) ||
                   text_is(a->params.dialect, S("openai-responses"));
    struct slice tier = tier_word(&a->params, TIER_OPENAI);

    put_string(a, IR_PARAM_VERBOSITY, S("verbosity"));
    put_user(a);
    if (is_ours)
        put_raw(a, IR_PARAM_META, S("metadata"));
    else
        params_lose(&a->params, IR_PARAM_META, a->loss);
    /* `auto` is what a server does anyway; one that does not know the member may refuse it. */
    if (tier.len > 0 && (is_openai(a) || !slice_eq(tier, S("auto")))) {
        rope_put(a->out, S(",\"service_tier\":\""));
        rope_put(a->out, tier);
        rope_put_char(a->out, '"');
    } else if (tier.len == 0) {
        params_lose(&a->params, IR_PARAM_TIER, a->loss);
    }
    put_string(a, IR_PARAM_CACHE_KEY, S("prompt_cache_key"));
    if (params_number(&a->params, IR_PARAM_STORE, 0) != 0)
        params_lose(&a->params, IR_PARAM_STORE, a->loss);
    params_lose(&a->params, IR_PARAM_SAFETY, a->loss);
}

static enum r2a_err put_modalities(struct ask *a)
{
    bool has_image = false;

    if (has(a, IR_PARAM_AUDIO))
        return refuse(a, IR_PARAM_AUDIO, S("Audio output cannot be translated to this upstream."));
    for (uint32_t i = 0; i < a->params.modalities_count; i++) {
        if (text_is_nocase(a->params.modalities[i], S("audio")))
            return refuse(a, IR_PARAM_MODALITIES,
                          S("Audio output cannot be translated to this upstream."));
        has_image |= text_is_nocase(a->params.modalities[i], S("image"));
    }
    if (has_image)
        rope_put(a->out, S(",\"modalities\":[\"image\",\"text\"]"));
    return R2A_OK;
}

/* --- tools --- */

static enum r2a_err refuse_tool(struct ask *a, const struct names_tool *tool)
{
    char message[256];
    struct str_buf buf = STR_BUF(message);

    str_buf_put(&buf, S("This upstream cannot run the tool "));
    str_buf_put(&buf, tool->wire);
    str_buf_put(&buf, S(", and no other remains."));
    return fault_param(a->fault, S("tools"), arena_copy(a->arena, str_buf_slice(&buf)));
}

/* Tools of vendors: web search where OpenAI itself is asked, everything else stays behind; which is
 * refused when nothing remains of what the client offered, or when it insisted. */
static enum r2a_err put_server_tools(struct ask *a)
{
    const struct names_tool *lost = NULL;
    bool has_search = false;

    for (uint32_t i = 0; i < a->names.tools_count; i++) {
        struct names_tool *tool = &a->names.tools[i];

        if (tool->kind != IR_TOOL_SERVER || tool->is_dropped)
            continue;
        if (is_openai(a) && search_is(tool->wire)) {
            struct part_view view;

            if (has_search)
                continue;
            has_search = true;
            if (!part_read(a->tape, tool->event, a->arena, &view))
                return R2A_ERR_NO_MEMORY;
            rope_put(a->out, S(",\"web_search_options\":{"));
            search_write(SEARCH_CHAT, text_bytes(part_field(&view, IR_FIELD_RAW)), a->out, a->loss);
            rope_put_char(a->out, '}');
            continue;
        }
        lost = lost == NULL ? tool : lost;
        loss_note(a->loss, tool->wire);
        tool->is_dropped = true;
    }
    return lost != NULL && !has_search && names_count_functions(&a->names) == 0
               ? refuse_tool(a, lost)
               : R2A_OK;
}

static void put_grammar(struct ask *a, const struct part_view *view)
{
    int64_t syntax = part_number(view, IR_FIELD_GRAMMAR, 0);

    if (syntax == 0)
        return;
    rope_put(a->out, S(",\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":"));
    rope_put(a->out, syntax == 2 ? S("\"regex\"") : S("\"lark\""));
    rope_put(a->out, S(",\"definition\":"));
    text_write_string(a->out, part_field(view, IR_FIELD_GRAMMAR));
    rope_put(a->out, S("}}"));
}

/* A free-form tool for a server that knows only functions: the grammar becomes prose. */
static void put_wrapped(struct ask *a, const struct part_view *view)
{
    struct text description = part_field(view, IR_FIELD_DESCRIPTION);
    int64_t syntax = part_number(view, IR_FIELD_GRAMMAR, 0);

    if (description.len > 0 || syntax != 0) {
        rope_put(a->out, S(",\"description\":\""));
        text_write_escaped(a->out, description);
        if (syntax != 0) {
            rope_put(a->out, description.len > 0 ? S("\\n\\n") : S(""));
            rope_put(a->out, syntax == 2 ? S("The input must match this regular expression:\\n")
                                         : S("The input must follow this Lark grammar:\\n"));
            text_write_escaped(a->out, part_field(view, IR_FIELD_GRAMMAR));
        }
        rope_put_char(a->out, '"');
    }
    rope_put(a->out, S(",\"parameters\":{\"type\":\"object\",\"properties\":{\"input\":{\"type\":"
                       "\"string\"}},\"required\":[\"input\"]}"));
}

static enum r2a_err put_tool(struct ask *a, const struct names_tool *tool)
{
    struct part_view view;
    bool is_native = tool->kind == IR_TOOL_CUSTOM && !tool->is_wrapped;

    if (!part_read(a->tape, tool->event, a->arena, &view))
        return R2A_ERR_NO_MEMORY;
    rope_put(a->out, is_native ? S("{\"type\":\"custom\",\"custom\":{\"name\":")
                               : S("{\"type\":\"function\",\"function\":{\"name\":"));
    text_write_string(a->out, text_plain(tool->wire));
    if (tool->is_wrapped) {
        put_wrapped(a, &view);
    } else {
        if (part_field(&view, IR_FIELD_DESCRIPTION).len > 0) {
            rope_put(a->out, S(",\"description\":"));
            text_write_string(a->out, part_field(&view, IR_FIELD_DESCRIPTION));
        }
        if (is_native)
            put_grammar(a, &view);
        else if (part_field(&view, IR_FIELD_SCHEMA).len > 0) {
            rope_put(a->out, S(",\"parameters\":"));
            rope_borrow(a->out, text_bytes(part_field(&view, IR_FIELD_SCHEMA)));
        }
        if (!is_native && part_has(&view, IR_FIELD_STRICT))
            put_bool(a, S("strict"), part_number(&view, IR_FIELD_STRICT, 0) != 0);
    }
    rope_put(a->out, S("}}"));
    return R2A_OK;
}

static enum r2a_err put_tools(struct ask *a)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < a->names.tools_count; i++) {
        const struct names_tool *tool = &a->names.tools[i];
        enum r2a_err err;

        if (tool->is_dropped || tool->kind == IR_TOOL_SERVER)
            continue;
        rope_put(a->out, written++ == 0 ? S(",\"tools\":[") : S(","));
        err = put_tool(a, tool);
        if (err != R2A_OK)
            return err;
    }
    if (written > 0)
        rope_put_char(a->out, ']');
    return R2A_OK;
}

/* {"type":"function","function":{"name":…}} for the k-th named tool. */
static enum r2a_err put_reference(struct ask *a, uint32_t k)
{
    struct param_name name = a->params.choices[k];
    const struct names_tool *tool = names_find(&a->names, name.name, name.space);
    bool is_custom;

    if (tool == NULL || tool->kind == IR_TOOL_SERVER)
        return refuse(a, IR_PARAM_TOOL_CHOICE,
                      S("The tool choice names a tool that is not among "
                        "the tools."));
    is_custom = tool->kind == IR_TOOL_CUSTOM && !tool->is_wrapped;
    rope_put(a->out, is_custom ? S("{\"type\":\"custom\",\"custom\":{\"name\":")
                               : S("{\"type\":\"function\",\"function\":{\"name\":"));
    text_write_string(a->out, text_plain(tool->wire));
    rope_put(a->out, S("}}"));
    return R2A_OK;
}

static enum r2a_err put_choice(struct ask *a)
{
    enum r2a_err err = R2A_OK;

    rope_put(a->out, S(",\"tool_choice\":"));
    switch ((enum ir_choice)a->params.at[IR_PARAM_TOOL_CHOICE].number) {
    case IR_CHOICE_NONE:
        rope_put(a->out, S("\"none\""));
        break;
    case IR_CHOICE_ANY:
        rope_put(a->out, S("\"required\""));
        break;
    case IR_CHOICE_ONE:
    case IR_CHOICE_CUSTOM_ONE:
        if (a->params.choices_count == 0)
            return refuse(a, IR_PARAM_TOOL_CHOICE, S("The tool choice names no tool."));
        err = put_reference(a, 0);
        break;
    case IR_CHOICE_ALLOWED_AUTO:
    case IR_CHOICE_ALLOWED_ANY:
        rope_put(a->out, S("{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"));
        rope_put(a->out, a->params.at[IR_PARAM_TOOL_CHOICE].number == IR_CHOICE_ALLOWED_ANY
                             ? S("\"required\"")
                             : S("\"auto\""));
        for (uint32_t i = 0; i < a->params.choices_count && err == R2A_OK; i++) {
            rope_put(a->out, i == 0 ? S(",\"tools\":[") : S(","));
            err = put_reference(a, i);
        }
        rope_put(a->out, a->params.choices_count > 0 ? S("]}}") : S(",\"tools\":[]}}"));
        break;
    case IR_CHOICE_AUTO:
    case IR_CHOICE_SERVER:
        rope_put(a->out, S("\"auto\""));
        break;
    }
    return err;
}

static enum r2a_err put_tool_params(struct ask *a)
{
    int64_t choice = params_number(&a->params, IR_PARAM_TOOL_CHOICE, IR_CHOICE_AUTO);
    enum r2a_err err;

    if (choice == IR_CHOICE_SERVER)
        return refuse(a, IR_PARAM_TOOL_CHOICE,
                      S("The tool choice forces a tool that this upstream cannot run."));
    err = put_server_tools(a);
    if (err != R2A_OK)
        return err;
    if (names_count_functions(&a->names) == 0) {
        if (choice == IR_CHOICE_ONE || choice == IR_CHOICE_CUSTOM_ONE)
            return refuse(a, IR_PARAM_TOOL_CHOICE,
                          S("The tool choice names a tool that is not among the tools."));
        return R2A_OK; /* without tools neither choice nor parallelism may be sent */
    }
    err = put_tools(a);
    if (err == R2A_OK && has(a, IR_PARAM_TOOL_CHOICE))
        err = put_choice(a);
    if (has(a, IR_PARAM_PARALLEL))
        put_bool(a, S("parallel_tool_calls"), a->params.at[IR_PARAM_PARALLEL].number != 0);
    return err;
}

/* --- the whole --- */

static enum r2a_err write_request(struct ask *a)
{
    enum r2a_err err;

    rope_put(a->out, S("{\"model\":"));
    text_write_string(a->out, text_plain(a->target->model));
    err = openai_chat_tell(a);
    if (err != R2A_OK)
        return err;
    if (a->target->is_stream)
        rope_put(a->out, S(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    put_limits(a);
    put_sampling(a);
    put_reasoning(a);
    put_format(a);
    put_words(a);
    err = put_modalities(a);
    if (err == R2A_OK)
        err = put_tool_params(a);
    rope_put_char(a->out, '}');
    return err != R2A_OK ? err : a->out->err;
}

enum r2a_err openai_chat_request_encode(const struct ir_tape *tape, const struct target *target,
                                        struct brief *brief, struct rope *out, struct loss *loss,
                                        struct fault *fault)
{
    bool is_openai_flavour = target->profile.oc_flavour == OC_FLAVOUR_OPENAI;
    struct ask ask = {
        .tape = tape,
        .target = target,
        .brief = brief,
        .arena = brief_scratch(brief),
        .out = out,
        .loss = loss,
        .fault = fault,
    };
    struct names_rules names_rules = {
        .form = NAMES_OC, .wraps_custom = !is_openai_flavour, .flattens_spaces = true};
    struct mend_rules mend_rules = {
        .is_foreign = true,
        .shows_media = true,
        .mid = MEND_MID_TURN,
        .empty = MEND_EMPTY_KEEP,
        .prefill = MEND_PREFILL_KEEP,
        .reason_echo = target->profile.oc_reason_echo,
        /* A native secret does not say whose it is: only Google's own endpoint gets Google's. */
        .seals = slice_eq(target->minter, S("google")) ? "go" : "o",
        .seals_on_calls = true,
    };
    enum r2a_err err;

    *fault = fault_of(FAULT_OVERLOAD, S("The gateway is out of memory."));
    if (!params_read(tape, brief_scratch(brief), &ask.params))
        return R2A_ERR_NO_MEMORY;
    err = text_is(ask.params.dialect, S("openai"))
              ? R2A_OK
              : params_refuse_foreign(&ask.params, true, fault);
    if (err == R2A_OK)
        err = names_build(&ask.names, tape, names_rules, brief, fault);
    if (err == R2A_OK)
        err = mend_build(&ask.mend, tape, &mend_rules, target, brief, loss, fault);
    if (err == R2A_OK) {
        tape_lose_ext(tape, brief_scratch(brief), text_is(ask.params.dialect, S("openai")), loss);
        err = write_request(&ask);
    }
    return err;
}
