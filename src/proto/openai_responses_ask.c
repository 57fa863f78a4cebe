#include "openai_responses.h"

#include "common.h"
#include "openai_responses_ask.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "search.h"
#include "strict.h"

/* A tape as a Responses request: the parameters and tools; items are told by
 * openai_responses_tell.c. Nothing is stored at the vendor: the client's history comes whole each
 * time, and reasoning comes back encrypted so that it can go up again. What the dialect has no word
 * for is noted as a loss under the client's own name for it. */

#define MAX_OUTPUT_TOKENS_MIN 16 /* less is refused */

static bool has(const struct responses_ask *a, uint8_t param)
{
    return params_has(&a->params, param);
}

/* Whether the client speaks one of OpenAI's own dialects: members that mean the same there. */
static bool is_ours(const struct responses_ask *a)
{
    return text_is(a->params.dialect, S("openai")) ||
           text_is(a->params.dialect, S("openai-responses"));
}

static enum r2a_err refuse(struct responses_ask *a, uint8_t param, struct slice message)
{
    return fault_param(a->fault, param_member(a->params.dialect, param), message);
}

/* --- members --- */

static void put_raw(struct responses_ask *a, uint8_t param, struct slice name)
{
    if (!has(a, param))
        return;
    rope_put(a->out, name);
    rope_borrow(a->out, text_bytes(a->params.at[param].value));
}

static void put_string(struct responses_ask *a, uint8_t param, struct slice name)
{
    if (!has(a, param))
        return;
    rope_put(a->out, name);
    text_write_string(a->out, a->params.at[param].value);
}

/* Reasoning models of OpenAI refuse these outright. */
static void put_sampling(struct responses_ask *a)
{
    static const struct {
        uint8_t param;
        struct slice name;
    } rows[] = {
        {IR_PARAM_TEMPERATURE, S_INIT(",\"temperature\":")},
        {IR_PARAM_TOP_P, S_INIT(",\"top_p\":")},
        {IR_PARAM_TOP_LOGPROBS, S_INIT(",\"top_logprobs\":")},
    };
    static const uint8_t unknown[] = {IR_PARAM_TOP_K,
                                      IR_PARAM_STOP,
                                      IR_PARAM_SEED,
                                      IR_PARAM_FREQUENCY_PENALTY,
                                      IR_PARAM_PRESENCE_PENALTY,
                                      IR_PARAM_LOGIT_BIAS};
    bool refuses = a->target->profile.oai_reasoning;

    for (uint32_t i = 0; i < array_count(rows); i++) {
        if (refuses)
            params_lose(&a->params, rows[i].param, a->loss);
        else
            put_raw(a, rows[i].param, rows[i].name);
    }
    for (uint32_t i = 0; i < array_count(unknown); i++)
        params_lose(&a->params, unknown[i], a->loss);
}

static void put_include(struct responses_ask *a)
{
    bool wants = params_number(&a->params, IR_PARAM_LOGPROBS, 0) != 0;

    rope_put(a->out, S(",\"include\":[\"reasoning.encrypted_content\""));
    if (wants && a->target->profile.oai_reasoning)
        params_lose(&a->params, IR_PARAM_LOGPROBS, a->loss);
    else if (wants)
        rope_put(a->out, S(",\"message.output_text.logprobs\""));
    rope_put_char(a->out, ']');
}

static void put_limits(struct responses_ask *a)
{
    int64_t max = params_number(&a->params, IR_PARAM_MAX_OUT, -1);

    if (!has(a, IR_PARAM_MAX_OUT))
        return;
    rope_put(a->out, S(",\"max_output_tokens\":"));
    rope_put_i64(a->out, max < MAX_OUTPUT_TOKENS_MIN ? MAX_OUTPUT_TOKENS_MIN : max);
}

static void put_reasoning(struct responses_ask *a)
{
    uint8_t efforts = a->target->profile.oai_efforts;
    struct think think;
    int effort;

    think_of(&a->params, &think);
    effort = effort_nearest(think.effort, efforts);
    if (think.mode == IR_THINK_OFF && effort != IR_EFFORT_NONE)
        effort = efforts & 1u << IR_EFFORT_MINIMAL ? IR_EFFORT_MINIMAL : -1;
    if (effort < 0 && efforts == 0 && think.effort > IR_EFFORT_NONE)
        params_lose(&a->params,
                    has(a, IR_PARAM_EFFORT)   ? IR_PARAM_EFFORT
                    : has(a, IR_PARAM_BUDGET) ? IR_PARAM_BUDGET
                                              : IR_PARAM_THINK_MODE,
                    a->loss);
    if (effort < 0 && !think.shows)
        return;
    rope_put(a->out, S(",\"reasoning\":{"));
    if (effort >= 0) {
        rope_put(a->out, S("\"effort\":\""));
        rope_put(a->out, effort_name(effort));
        rope_put_char(a->out, '"');
    }
    if (think.shows) {
        rope_put(a->out, effort >= 0 ? S(",") : S(""));
        rope_put(a->out, S("\"summary\":\"auto\""));
    }
    rope_put_char(a->out, '}');
}

static void put_schema(struct responses_ask *a)
{
    struct text schema = a->params.at[IR_PARAM_FORMAT_SCHEMA].value;
    bool is_strict = has(a, IR_PARAM_FORMAT_STRICT)
                         ? a->params.at[IR_PARAM_FORMAT_STRICT].number != 0
                         : !is_ours(a) && schema_is_strict(text_bytes(schema));

    rope_put(a->out, S("{\"type\":\"json_schema\",\"name\":"));
    if (has(a, IR_PARAM_FORMAT_NAME))
        text_write_string(a->out, a->params.at[IR_PARAM_FORMAT_NAME].value);
    else
        rope_put(a->out, S("\"response\""));
    put_string(a, IR_PARAM_FORMAT_DESCRIPTION, S(",\"description\":"));
    if (has(a, IR_PARAM_FORMAT_SCHEMA))
        put_raw(a, IR_PARAM_FORMAT_SCHEMA, S(",\"schema\":"));
    else
        rope_put(a->out, S(",\"schema\":{\"type\":\"object\"}"));
    rope_put(a->out, is_strict ? S(",\"strict\":true}") : S(",\"strict\":false}"));
}

static void put_text_options(struct responses_ask *a)
{
    int64_t format = params_number(&a->params, IR_PARAM_FORMAT, IR_FORMAT_TEXT);
    bool has_format = format == IR_FORMAT_JSON || format == IR_FORMAT_SCHEMA;

    if (!has_format && !has(a, IR_PARAM_VERBOSITY))
        return;
    rope_put(a->out, has_format ? S(",\"text\":{\"format\":") : S(",\"text\":{"));
    if (format == IR_FORMAT_JSON)
        rope_put(a->out, S("{\"type\":\"json_object\"}"));
    else if (format == IR_FORMAT_SCHEMA)
        put_schema(a);
    put_string(a, IR_PARAM_VERBOSITY, has_format ? S(",\"verbosity\":") : S("\"verbosity\":"));
    rope_put_char(a->out, '}');
}

/* Who the end user is. Anthropic's ids are long and may tell a person: they leave as a digest. */
static void put_user(struct responses_ask *a)
{
    struct text user = a->params.at[IR_PARAM_USER].value;
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES];
    struct slice plain;

    if (!has(a, IR_PARAM_USER) || user.len == 0)
        return;
    rope_put(a->out, S(",\"safety_identifier\":"));
    if (is_ours(a)) {
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

static void put_words(struct responses_ask *a)
{
    struct slice tier = tier_word(&a->params, TIER_OPENAI);

    put_user(a);
    if (is_ours(a))
        put_raw(a, IR_PARAM_META, S(",\"metadata\":"));
    else
        params_lose(&a->params, IR_PARAM_META, a->loss);
    if (tier.len > 0 && !slice_eq(tier, S("auto"))) {
        rope_put(a->out, S(",\"service_tier\":\""));
        rope_put(a->out, tier);
        rope_put_char(a->out, '"');
    } else if (tier.len == 0) {
        params_lose(&a->params, IR_PARAM_TIER, a->loss);
    }
    put_string(a, IR_PARAM_CACHE_KEY, S(",\"prompt_cache_key\":"));
    if (params_number(&a->params, IR_PARAM_STORE, 0) != 0)
        params_lose(&a->params, IR_PARAM_STORE, a->loss);
    params_lose(&a->params, IR_PARAM_SAFETY, a->loss);
}

/* Images a model draws are a tool here, sound is not there at all. */
static enum r2a_err check_modalities(struct responses_ask *a)
{
    if (has(a, IR_PARAM_AUDIO))
        return refuse(a, IR_PARAM_AUDIO, S("Audio output cannot be translated to this upstream."));
    for (uint32_t i = 0; i < a->params.modalities_count; i++)
        if (!text_is_nocase(a->params.modalities[i], S("text")))
            params_lose(&a->params, IR_PARAM_MODALITIES, a->loss);
    return R2A_OK;
}

/* --- tools --- */

static bool is_native(const struct responses_ask *a)
{
    return text_is(a->params.dialect, S("openai-responses"));
}

static enum r2a_err refuse_tool(struct responses_ask *a, struct slice type)
{
    char message[256];
    struct str_buf buf = STR_BUF(message);

    str_buf_put(&buf, S("This upstream cannot run the tool "));
    str_buf_put(&buf, type);
    str_buf_put(&buf, S(", and no other remains."));
    return fault_param(a->fault, S("tools"), arena_copy(a->arena, str_buf_slice(&buf)));
}

/* Leaves out what cannot run there; refused when nothing remains of what the client offered. */
static enum r2a_err sort_tools(struct responses_ask *a, uint32_t *kept)
{
    const struct names_tool *lost = NULL, *search = NULL;

    *kept = 0;
    for (uint32_t i = 0; i < a->names.tools_count; i++) {
        struct names_tool *tool = &a->names.tools[i];

        if (tool->is_dropped)
            continue;
        if (tool->kind == IR_TOOL_SERVER && !is_native(a)) {
            bool runs = search_is(tool->wire);

            if (!runs) {
                lost = lost == NULL ? tool : lost;
                loss_note(a->loss, tool->wire);
            }
            tool->is_dropped = !runs || search != NULL;
            search = runs ? tool : search;
        }
        *kept += !tool->is_dropped;
    }
    return lost != NULL && *kept == 0 ? refuse_tool(a, lost->wire) : R2A_OK;
}

static void put_grammar(struct responses_ask *a, const struct part_view *view)
{
    int64_t syntax = part_number(view, IR_FIELD_GRAMMAR, 0);

    if (syntax == 0)
        return;
    rope_put(a->out, S(",\"format\":{\"type\":\"grammar\",\"syntax\":"));
    rope_put(a->out, syntax == 2 ? S("\"regex\"") : S("\"lark\""));
    rope_put(a->out, S(",\"definition\":"));
    text_write_string(a->out, part_field(view, IR_FIELD_GRAMMAR));
    rope_put_char(a->out, '}');
}

/* `strict` is always written: left out it means "try". */
static enum r2a_err put_function(struct responses_ask *a, const struct names_tool *tool)
{
    bool is_custom = tool->kind == IR_TOOL_CUSTOM;
    struct part_view view;

    if (!part_read(a->tape, tool->event, a->arena, &view))
        return R2A_ERR_NO_MEMORY;
    if (is_native(a) && part_has(&view, IR_FIELD_RAW)) {
        rope_borrow(a->out, text_bytes(part_field(&view, IR_FIELD_RAW)));
        return R2A_OK;
    }
    rope_put(a->out, is_custom ? S("{\"type\":\"custom\",\"name\":")
                               : S("{\"type\":\"function\",\"name\":"));
    text_write_string(a->out, text_plain(tool->wire));
    if (part_field(&view, IR_FIELD_DESCRIPTION).len > 0) {
        rope_put(a->out, S(",\"description\":"));
        text_write_string(a->out, part_field(&view, IR_FIELD_DESCRIPTION));
    }
    if (is_custom) {
        put_grammar(a, &view);
    } else {
        rope_put(a->out, S(",\"parameters\":"));
        if (part_field(&view, IR_FIELD_SCHEMA).len > 0)
            rope_borrow(a->out, text_bytes(part_field(&view, IR_FIELD_SCHEMA)));
        else
            rope_put(a->out, S("{\"type\":\"object\",\"properties\":{}}"));
        rope_put(a->out, part_number(&view, IR_FIELD_STRICT, 0) != 0 ? S(",\"strict\":true")
                                                                     : S(",\"strict\":false"));
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static enum r2a_err put_server_tool(struct responses_ask *a, const struct names_tool *tool)
{
    struct part_view view;
    struct slice raw;

    if (!part_read(a->tape, tool->event, a->arena, &view))
        return R2A_ERR_NO_MEMORY;
    raw = text_bytes(part_field(&view, IR_FIELD_RAW));
    if (is_native(a)) {
        rope_borrow(a->out, raw);
        return R2A_OK;
    }
    rope_put(a->out, S("{\"type\":\"web_search\""));
    search_write(SEARCH_RESPONSES, raw, a->out, a->loss);
    rope_put_char(a->out, '}');
    return R2A_OK;
}

/* Tools of one namespace stand together in it, where the first of them stood. */
static enum r2a_err put_tools_of(struct responses_ask *a, struct text space, uint32_t from)
{
    bool is_first = true;

    for (uint32_t i = from; i < a->names.tools_count; i++) {
        struct names_tool *tool = &a->names.tools[i];

        if (tool->is_dropped || tool->kind == IR_TOOL_SERVER || !text_eq(tool->space, space))
            continue;
        if (!is_first)
            rope_put_char(a->out, ',');
        is_first = false;
        ASK_TRY(put_function(a, tool));
    }
    return R2A_OK;
}

static bool is_told(const struct responses_ask *a, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (!a->names.tools[i].is_dropped && a->names.tools[i].kind != IR_TOOL_SERVER &&
            text_eq(a->names.tools[i].space, a->names.tools[at].space))
            return true;
    return false;
}

static enum r2a_err put_tools(struct responses_ask *a)
{
    bool is_first = true;

    rope_put(a->out, S(",\"tools\":["));
    for (uint32_t i = 0; i < a->names.tools_count; i++) {
        const struct names_tool *tool = &a->names.tools[i];
        bool has_space = tool->kind != IR_TOOL_SERVER && tool->space.len > 0;

        if (tool->is_dropped || (has_space && is_told(a, i)))
            continue;
        if (!is_first)
            rope_put_char(a->out, ',');
        is_first = false;
        if (tool->kind == IR_TOOL_SERVER) {
            ASK_TRY(put_server_tool(a, tool));
        } else if (has_space) {
            rope_put(a->out, S("{\"type\":\"namespace\",\"name\":"));
            text_write_string(a->out, tool->space);
            rope_put(a->out, S(",\"description\":"));
            text_write_string(a->out, tool->space);
            rope_put(a->out, S(",\"tools\":["));
            ASK_TRY(put_tools_of(a, tool->space, i));
            rope_put(a->out, S("]}"));
        } else {
            ASK_TRY(put_function(a, tool));
        }
    }
    rope_put_char(a->out, ']');
    return R2A_OK;
}

/* --- tool choice --- */

/* {"type":"function","name":…} for the k-th named tool. */
static enum r2a_err put_reference(struct responses_ask *a, uint32_t k)
{
    struct param_name name = a->params.choices[k];
    const struct names_tool *tool = names_find(&a->names, name.name, name.space);

    for (uint32_t i = 0; i < a->names.tools_count && tool == NULL; i++) {
        const struct names_tool *other = &a->names.tools[i];

        if (other->kind == IR_TOOL_SERVER && !other->is_dropped && text_is(name.name, other->wire))
            tool = other;
    }
    if (tool == NULL || tool->is_dropped)
        return refuse(a, IR_PARAM_TOOL_CHOICE,
                      S("The tool choice names a tool that is not among the tools."));
    if (tool->kind == IR_TOOL_SERVER) {
        rope_put(a->out, S("{\"type\":"));
        text_write_string(a->out, text_plain(is_native(a) ? tool->wire : S("web_search")));
    } else {
        rope_put(a->out, tool->kind == IR_TOOL_CUSTOM ? S("{\"type\":\"custom\",\"name\":")
                                                      : S("{\"type\":\"function\",\"name\":"));
        text_write_string(a->out, text_plain(tool->wire));
        if (tool->space.len > 0) {
            rope_put(a->out, S(",\"namespace\":"));
            text_write_string(a->out, tool->space);
        }
    }
    rope_put_char(a->out, '}');
    return R2A_OK;
}

static enum r2a_err put_allowed(struct responses_ask *a, bool is_any)
{
    rope_put(a->out, is_any ? S("{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[")
                            : S("{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":["));
    for (uint32_t i = 0; i < a->params.choices_count; i++) {
        if (i > 0)
            rope_put_char(a->out, ',');
        ASK_TRY(put_reference(a, i));
    }
    rope_put(a->out, S("]}"));
    return R2A_OK;
}

static enum r2a_err put_choice(struct responses_ask *a)
{
    rope_put(a->out, S(",\"tool_choice\":"));
    switch ((enum ir_choice)a->params.at[IR_PARAM_TOOL_CHOICE].number) {
    case IR_CHOICE_NONE:
        rope_put(a->out, S("\"none\""));
        return R2A_OK;
    case IR_CHOICE_ANY:
        rope_put(a->out, S("\"required\""));
        return R2A_OK;
    case IR_CHOICE_ONE:
    case IR_CHOICE_CUSTOM_ONE:
    case IR_CHOICE_SERVER:
        if (a->params.choices_count == 0)
            return refuse(a, IR_PARAM_TOOL_CHOICE, S("The tool choice names no tool."));
        return put_reference(a, 0);
    case IR_CHOICE_ALLOWED_AUTO:
        return put_allowed(a, false);
    case IR_CHOICE_ALLOWED_ANY:
        return put_allowed(a, true);
    case IR_CHOICE_AUTO:
        break;
    }
    rope_put(a->out, S("\"auto\""));
    return R2A_OK;
}

static enum r2a_err put_tool_params(struct responses_ask *a)
{
    int64_t choice = params_number(&a->params, IR_PARAM_TOOL_CHOICE, IR_CHOICE_AUTO);
    uint32_t kept;

    ASK_TRY(sort_tools(a, &kept));
    if (kept == 0) {
        if (choice == IR_CHOICE_ONE || choice == IR_CHOICE_CUSTOM_ONE || choice == IR_CHOICE_SERVER)
            return refuse(a, IR_PARAM_TOOL_CHOICE,
                          S("The tool choice names a tool that is not among the tools."));
        return R2A_OK; /* without tools neither choice nor parallelism may be sent */
    }
    ASK_TRY(put_tools(a));
    if (has(a, IR_PARAM_TOOL_CHOICE))
        ASK_TRY(put_choice(a));
    if (has(a, IR_PARAM_PARALLEL))
        rope_put(a->out, a->params.at[IR_PARAM_PARALLEL].number != 0
                             ? S(",\"parallel_tool_calls\":true")
                             : S(",\"parallel_tool_calls\":false"));
    return R2A_OK;
}

/* --- the whole --- */

/* Counting takes what is counted and nothing that steers an answer. */
static enum r2a_err write_request(struct responses_ask *a)
{
    rope_put(a->out, S("{\"model\":"));
    text_write_string(a->out, text_plain(a->target->model));
    ASK_TRY(openai_responses_tell(a));
    if (a->brief->operation == BRIEF_GENERATE) {
        if (a->target->is_stream)
            rope_put(a->out, S(",\"stream\":true"));
        rope_put(a->out, S(",\"store\":false"));
        put_include(a);
        put_limits(a);
        put_sampling(a);
        put_words(a);
        ASK_TRY(check_modalities(a));
    }
    put_reasoning(a);
    put_text_options(a);
    ASK_TRY(put_tool_params(a));
    rope_put_char(a->out, '}');
    return a->out->err;
}

/* System text of other vendors is a member of its own, as `instructions` is; but where its cache
 * marks must survive it is a message, which has parts that carry them. */
static bool hoists_system(const struct responses_ask *a)
{
    if (is_ours(a))
        return false;
    for (uint32_t i = 0; i < a->tape->count && a->target->profile.oai_cache_mark; i++) {
        const struct ir_event *event = &a->tape->events[i];

        if (event->kind != IR_TURN)
            continue;
        if (event->what != IR_ROLE_SYSTEM && event->what != IR_ROLE_DEVELOPER)
            break;
        for (; i < a->tape->count && a->tape->events[i].kind != IR_TURN_END; i++)
            if (a->tape->events[i].kind == IR_PART && a->tape->events[i].flags & IR_CACHE_MARK)
                return false;
    }
    return true;
}

enum r2a_err openai_responses_request_encode(const struct ir_tape *tape,
                                             const struct target *target, struct brief *brief,
                                             struct rope *out, struct loss *loss,
                                             struct fault *fault)
{
    struct responses_ask ask = {
        .tape = tape,
        .target = target,
        .brief = brief,
        .arena = brief_scratch(brief),
        .out = out,
        .loss = loss,
        .fault = fault,
    };
    struct names_rules names_rules = {.form = NAMES_OR};
    struct mend_rules mend_rules = {
        .is_foreign = true,
        .needs_user = true,
        .shows_media = true,
        .mid = MEND_MID_TURN,
        .empty = MEND_EMPTY_KEEP,
        .prefill = MEND_PREFILL_KEEP,
        .seals = "r",
    };

    *fault = fault_of(FAULT_OVERLOAD, S("The gateway is out of memory."));
    if (!params_read(tape, brief_scratch(brief), &ask.params))
        return R2A_ERR_NO_MEMORY;
    ASK_TRY(params_refuse_foreign(&ask.params, false, fault));
    mend_rules.hoists_system = hoists_system(&ask);
    ASK_TRY(names_build(&ask.names, tape, names_rules, brief, fault));
    ASK_TRY(mend_build(&ask.mend, tape, &mend_rules, target, brief, loss, fault));
    tape_lose_ext(tape, brief_scratch(brief), false, loss);
    return write_request(&ask);
}
