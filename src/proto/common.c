#include "common.h"

#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Views of a tape, registers, and the small rules of conversion.md 2.6-2.9 that every dialect
 * follows. Media, secrets and arguments have files of their own. */

/* --- sinks --- */

enum r2a_err put_param(struct ir_sink *sink, uint8_t param, struct text value, int64_t number)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_PARAM,
                                           .what = param,
                                           .u.field = {.value = value, .number = number}});
}

enum r2a_err put_open(struct ir_sink *sink, uint8_t kind, uint8_t what, uint8_t flags,
                      uint32_t part, struct text id, struct text name)
{
    return ir_put(sink, &(struct ir_event){.kind = kind,
                                           .what = what,
                                           .flags = flags,
                                           .part = part,
                                           .u.open = {.id = id, .name = name}});
}

enum r2a_err put_field(struct ir_sink *sink, uint8_t field, uint32_t part, struct text value,
                       int64_t number)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_FIELD,
                                           .what = field,
                                           .part = part,
                                           .u.field = {.value = value, .number = number}});
}

enum r2a_err put_text(struct ir_sink *sink, uint8_t flags, uint32_t part, struct text text)
{
    return ir_put(
        sink, &(struct ir_event){.kind = IR_TEXT, .flags = flags, .part = part, .u.text = text});
}

enum r2a_err put_part_end(struct ir_sink *sink, uint8_t what, uint32_t part)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_PART_END, .what = what, .part = part});
}

enum r2a_err put_ext(struct ir_sink *sink, struct text path)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_EXT, .u.text = path});
}

enum r2a_err fault_param(struct fault *fault, struct slice param, struct slice message)
{
    *fault = fault_of(FAULT_INVALID, message);
    fault->param = text_plain(param);
    fault->err = R2A_ERR_INVALID;
    return R2A_ERR_INVALID;
}

__attribute__((cold)) enum r2a_err fault_turns(struct fault *fault, struct text dialect,
                                               struct slice message)
{
    return fault_param(fault,
                       text_is(dialect, S("openai-responses")) ? S("input")
                       : text_is(dialect, S("gemini"))         ? S("contents")
                                                               : S("messages"),
                       message);
}

/* --- views --- */

uint32_t tape_end_of(const struct ir_tape *tape, uint32_t index)
{
    uint8_t kind = tape->events[index].kind;
    uint8_t end = kind == IR_TOOL ? IR_TOOL_END : kind == IR_TURN ? IR_TURN_END : IR_PART_END;
    uint32_t depth = 0;

    for (; index < tape->count; index++) {
        if (tape->events[index].kind == kind)
            depth++;
        else if (tape->events[index].kind == end && --depth == 0)
            break;
    }
    return index;
}

/* The pieces of a body as one plain text. */
static bool join_pieces(const struct ir_tape *tape, struct arena *arena, struct part_view *view)
{
    size_t len = 0;
    char *to;

    for (uint32_t i = view->texts_first; i < view->end; i++)
        if (tape->events[i].kind == IR_TEXT)
            len += text_plain_len(tape->events[i].u.text);
    to = arena_take(arena, len + 1);
    if (to == NULL)
        return false;
    view->text = text_plain(slice_of(to, len));
    for (uint32_t i = view->texts_first; i < view->end; i++) {
        if (tape->events[i].kind == IR_TEXT) {
            int64_t size = text_decode(tape->events[i].u.text, to, len);

            check(size >= 0);
            to += size;
            len -= (size_t)size;
        }
    }
    return true;
}

bool part_read(const struct ir_tape *tape, uint32_t index, struct arena *arena,
               struct part_view *view)
{
    uint32_t depth = 0;

    view->open = &tape->events[index];
    view->nested_first = view->nested_count = 0;
    view->texts_first = view->texts_count = 0;
    view->text = (struct text){0};
    view->has = 0;
    for (index++; index < tape->count; index++) {
        const struct ir_event *event = &tape->events[index];

        if (event->kind == IR_PART) {
            if (depth++ == 0 && view->nested_count++ == 0)
                view->nested_first = index;
        } else if (event->kind == IR_TOOL_END || event->kind == IR_PART_END) {
            if (depth == 0)
                break;
            depth--;
        } else if (depth == 0 && event->kind == IR_FIELD) {
            view->has |= 1u << event->what;
            view->fields[event->what] = event->u.field.value;
            view->numbers[event->what] = event->u.field.number;
        } else if (depth == 0 && event->kind == IR_TEXT) {
            if (view->texts_count++ == 0) {
                view->texts_first = index;
                view->text = event->u.text;
            }
        }
    }
    view->end = index;
    return view->texts_count < 2 || join_pieces(tape, arena, view);
}

/* --- registers --- */

/* Arrays of a tape's list registers: counted first, so that each is taken once. */
static bool params_take_lists(struct params *params, struct arena *arena)
{
#define TAKE(list, count)                                                        \
    if (params->count > 0) {                                                     \
        params->list = arena_take(arena, params->count * sizeof(*params->list)); \
        if (params->list == NULL)                                                \
            return false;                                                        \
        params->count = 0;                                                       \
    }
    TAKE(stops, stops_count)
    TAKE(choices, choices_count)
    TAKE(modalities, modalities_count)
    TAKE(opaques, opaques_count)
#undef TAKE
    return true;
}

static void params_add(struct params *params, const struct ir_event *event)
{
    struct text value = event->u.field.value;

    switch (event->what) {
    case IR_PARAM_STOP:
        params->stops[params->stops_count++] = value;
        break;
    case IR_PARAM_TOOL_CHOICE_NAME:
        params->choices[params->choices_count++] = (struct param_name){.name = value};
        break;
    case IR_PARAM_TOOL_CHOICE_NAMESPACE:
        if (params->choices_count > 0)
            params->choices[params->choices_count - 1].space = value;
        break;
    case IR_PARAM_MODALITIES:
        params->modalities[params->modalities_count++] = value;
        break;
    case IR_PARAM_OPAQUE:
        params->opaques[params->opaques_count++] = (struct param_name){.space = value};
        break;
    default:
        break;
    }
    params->has |= 1ull << event->what;
    params->at[event->what].value = value;
    params->at[event->what].number = event->u.field.number;
}

bool params_read(const struct ir_tape *tape, struct arena *arena, struct params *params)
{
    bool after_opaque = false;

    *params = (struct params){0};
    for (uint32_t i = 0; i < tape->count; i++) {
        const struct ir_event *event = &tape->events[i];

        if (event->kind == IR_TURN)
            break;
        if (event->kind == IR_TOOL)
            params->tools_count++;
        if (event->kind != IR_PARAM)
            continue;
        params->stops_count += event->what == IR_PARAM_STOP;
        params->choices_count += event->what == IR_PARAM_TOOL_CHOICE_NAME;
        params->modalities_count += event->what == IR_PARAM_MODALITIES;
        params->opaques_count += event->what == IR_PARAM_OPAQUE;
    }
    if (!params_take_lists(params, arena))
        return false;
    for (uint32_t i = 0; i < tape->count; i++) {
        const struct ir_event *event = &tape->events[i];

        if (event->kind == IR_TOOL || event->kind == IR_TURN)
            break;
        if (event->kind == IR_BEGIN)
            params->dialect = event->u.open.id;
        else if (event->kind == IR_PARAM)
            params_add(params, event);
        else if (event->kind == IR_FIELD && event->what == IR_FIELD_TITLE && after_opaque)
            params->opaques[params->opaques_count - 1].name = event->u.field.value;
        after_opaque = event->kind == IR_PARAM && event->what == IR_PARAM_OPAQUE;
    }
    return true;
}

enum { COLUMN_OC, COLUMN_OR, COLUMN_AM, COLUMN_GG, COLUMNS };

/* clang-format off */
static const char *const members[IR_PARAMS][COLUMNS] = {
    [IR_PARAM_MAX_OUT] = {"max_completion_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens"},
    [IR_PARAM_TEMPERATURE] = {"temperature", "temperature", "temperature", "temperature"},
    [IR_PARAM_TOP_P] = {"top_p", "top_p", "top_p", "topP"},
    [IR_PARAM_TOP_K] = {"top_k", "top_k", "top_k", "topK"},
    [IR_PARAM_STOP] = {"stop", "stop", "stop_sequences", "stopSequences"},
    [IR_PARAM_N] = {"n", "n", "n", "candidateCount"},
    [IR_PARAM_SEED] = {"seed", "seed", "seed", "seed"},
    [IR_PARAM_FREQUENCY_PENALTY] = {"frequency_penalty", "frequency_penalty", "frequency_penalty", "frequencyPenalty"},
    [IR_PARAM_PRESENCE_PENALTY] = {"presence_penalty", "presence_penalty", "presence_penalty", "presencePenalty"},
    [IR_PARAM_LOGIT_BIAS] = {"logit_bias", "logit_bias", "logit_bias", "logitBias"},
    [IR_PARAM_LOGPROBS] = {"logprobs", "include", "logprobs", "responseLogprobs"},
    [IR_PARAM_TOP_LOGPROBS] = {"top_logprobs", "top_logprobs", "top_logprobs", "logprobs"},
    [IR_PARAM_FORMAT] = {"response_format", "text.format", "output_config.format", "responseMimeType"},
    [IR_PARAM_FORMAT_NAME] = {"response_format", "text.format", "output_config.format", "responseSchema"},
    [IR_PARAM_FORMAT_SCHEMA] = {"response_format", "text.format", "output_config.format", "responseSchema"},
    [IR_PARAM_FORMAT_STRICT] = {"response_format", "text.format", "output_config.format", "responseSchema"},
    [IR_PARAM_FORMAT_DESCRIPTION] = {"response_format", "text.format", "output_config.format", "responseSchema"},
    [IR_PARAM_TOOL_CHOICE] = {"tool_choice", "tool_choice", "tool_choice", "toolConfig"},
    [IR_PARAM_TOOL_CHOICE_NAME] = {"tool_choice", "tool_choice", "tool_choice", "toolConfig"},
    [IR_PARAM_TOOL_CHOICE_NAMESPACE] = {"tool_choice", "tool_choice", "tool_choice", "toolConfig"},
    [IR_PARAM_PARALLEL] = {"parallel_tool_calls", "parallel_tool_calls", "disable_parallel_tool_use", "parallel_tool_calls"},
    [IR_PARAM_EFFORT] = {"reasoning_effort", "reasoning", "output_config.effort", "thinkingConfig"},
    [IR_PARAM_BUDGET] = {"thinking", "reasoning", "thinking", "thinkingConfig"},
    [IR_PARAM_THINK_MODE] = {"thinking", "reasoning", "thinking", "thinkingConfig"},
    [IR_PARAM_THINK_SHOW] = {"reasoning", "reasoning", "thinking", "thinkingConfig"},
    [IR_PARAM_VERBOSITY] = {"verbosity", "text.verbosity", "verbosity", "verbosity"},
    [IR_PARAM_USER] = {"user", "user", "metadata", "labels"},
    [IR_PARAM_META] = {"metadata", "metadata", "metadata", "labels"},
    [IR_PARAM_TIER] = {"service_tier", "service_tier", "service_tier", "serviceTier"},
    [IR_PARAM_CACHE_KEY] = {"prompt_cache_key", "prompt_cache_key", "prompt_cache_key", "cachedContent"},
    [IR_PARAM_STORE] = {"store", "store", "store", "store"},
    [IR_PARAM_MODALITIES] = {"modalities", "modalities", "modalities", "responseModalities"},
    [IR_PARAM_AUDIO] = {"audio", "audio", "audio", "speechConfig"},
    [IR_PARAM_SAFETY] = {"safety", "safety", "safety", "safetySettings"},
    [IR_PARAM_INCLUDE_USAGE] = {"stream_options", "stream_options", "stream_options", "stream_options"},
    [IR_PARAM_STREAM] = {"stream", "stream", "stream", "stream"},
    [IR_PARAM_OPAQUE] = {"", "", "", ""},
};
/* clang-format on */

struct slice param_member(struct text dialect, uint8_t param)
{
    uint32_t column = COLUMN_OC;

    check(param < IR_PARAMS);
    if (text_is(dialect, S("anthropic")))
        column = COLUMN_AM;
    else if (text_is(dialect, S("gemini")))
        column = COLUMN_GG;
    else if (text_is(dialect, S("openai-responses")))
        column = COLUMN_OR;
    return slice_from_z(members[param][column]);
}

void params_lose(const struct params *params, uint8_t param, struct loss *loss)
{
    if (params_has(params, param))
        loss_note(loss, param_member(params->dialect, param));
}

enum r2a_err params_refuse_foreign(const struct params *params, bool has_choices,
                                   struct fault *fault)
{
    for (uint32_t i = 0; i < params->opaques_count; i++) {
        const struct param_name *opaque = &params->opaques[i];

        if (text_is(opaque->name, S("cachedContent")) && !text_is(opaque->space, S("null")))
            return fault_param(fault, S("cachedContent"),
                               S("cachedContent is not supported by this upstream"));
    }
    if (!has_choices && params_number(params, IR_PARAM_N, 1) > 1)
        return fault_param(fault, param_member(params->dialect, IR_PARAM_N),
                           S("n>1 not supported by this upstream"));
    for (uint32_t i = 0; i < params->modalities_count; i++)
        if (text_is_nocase(params->modalities[i], S("audio")))
            return fault_param(fault, param_member(params->dialect, IR_PARAM_MODALITIES),
                               S("audio output is not supported by this upstream"));
    return R2A_OK;
}

static void lose_text(struct text name, struct arena *arena, struct loss *loss)
{
    struct slice plain;

    if (name.len > 0 && text_to_plain(name, arena, &plain))
        loss_note(loss, plain);
}

void tape_lose_ext(const struct ir_tape *tape, struct arena *arena, bool keeps_own,
                   struct loss *loss)
{
    bool after_opaque = false;

    for (uint32_t i = 0; i < tape->count; i++) {
        const struct ir_event *event = &tape->events[i];

        if (event->kind == IR_EXT)
            lose_text(event->u.text, arena, loss);
        else if (event->kind == IR_FIELD && event->what == IR_FIELD_NAME && !keeps_own)
            loss_note(loss, S("messages.name"));
        else if (event->kind == IR_FIELD && event->what == IR_FIELD_TITLE && after_opaque &&
                 !keeps_own)
            lose_text(event->u.field.value, arena, loss);
        after_opaque = event->kind == IR_PARAM && event->what == IR_PARAM_OPAQUE;
    }
}

/* --- reasoning --- */

static const char *const effort_names[] = {
    [IR_EFFORT_NONE] = "none",     [IR_EFFORT_MINIMAL] = "minimal", [IR_EFFORT_LOW] = "low",
    [IR_EFFORT_MEDIUM] = "medium", [IR_EFFORT_HIGH] = "high",       [IR_EFFORT_XHIGH] = "xhigh",
    [IR_EFFORT_MAX] = "max",
};

int effort_of(struct text word)
{
    for (int i = IR_EFFORT_NONE; i <= IR_EFFORT_MAX; i++)
        if (text_is_nocase(word, slice_from_z(effort_names[i])))
            return i;
    return text_is_nocase(word, S("off")) ? IR_EFFORT_NONE : -1;
}

struct slice effort_name(int effort)
{
    check(effort >= IR_EFFORT_NONE && effort <= IR_EFFORT_MAX);
    return slice_from_z(effort_names[effort]);
}

int effort_of_budget(int64_t budget)
{
    if (budget <= 0)
        return IR_EFFORT_NONE;
    if (budget <= 512)
        return IR_EFFORT_MINIMAL;
    if (budget <= 1024)
        return IR_EFFORT_LOW;
    if (budget <= 8192)
        return IR_EFFORT_MEDIUM;
    if (budget <= 24576)
        return IR_EFFORT_HIGH;
    return budget <= 32768 ? IR_EFFORT_XHIGH : IR_EFFORT_MAX;
}

int64_t effort_to_budget(int effort, int64_t max)
{
    static const int64_t budgets[] = {0, 512, 1024, 8192, 24576, 32768};

    check(effort >= IR_EFFORT_NONE && effort <= IR_EFFORT_MAX);
    return effort == IR_EFFORT_MAX ? max : budgets[effort];
}

int effort_nearest(int effort, uint8_t set)
{
    if (effort < 0)
        return -1;
    if (effort != IR_EFFORT_NONE)
        set &= (uint8_t) ~(1u << IR_EFFORT_NONE);
    for (int distance = 0; distance <= IR_EFFORT_MAX; distance++) {
        if (effort - distance >= 0 && ((uint32_t)set >> (effort - distance) & 1u))
            return effort - distance;
        if (effort + distance <= IR_EFFORT_MAX && ((uint32_t)set >> (effort + distance) & 1u))
            return effort + distance;
    }
    return -1;
}

void think_of(const struct params *params, struct think *think)
{
    bool is_am = text_is(params->dialect, S("anthropic"));

    *think = (struct think){.mode = IR_THINK_UNSET, .effort = -1, .budget = -1};
    if (params_has(params, IR_PARAM_EFFORT)) {
        /* A word we do not know (Codex: "ultra", "persistent") asks for more than the ladder has.
         */
        int64_t effort = params->at[IR_PARAM_EFFORT].number;

        think->effort = (int8_t)(effort >= 0 && effort <= IR_EFFORT_MAX ? effort : IR_EFFORT_HIGH);
        think->is_asked = true;
    }
    if (params_has(params, IR_PARAM_BUDGET)) {
        think->budget = params->at[IR_PARAM_BUDGET].number;
        think->is_asked = true;
    }
    if (params_has(params, IR_PARAM_THINK_MODE)) {
        think->mode = (uint8_t)params->at[IR_PARAM_THINK_MODE].number;
        think->is_asked = true;
    } else if (think->budget >= 0) {
        think->mode = think->budget == 0 ? IR_THINK_OFF : IR_THINK_MANUAL;
    } else if (think->effort >= 0) {
        think->mode = think->effort == IR_EFFORT_NONE ? IR_THINK_OFF : IR_THINK_ADAPTIVE;
    }
    /* output_config.effort alone steers answers without thinking too: it asks for none. */
    if (is_am && !params_has(params, IR_PARAM_THINK_MODE) && think->budget < 0)
        think->mode = IR_THINK_UNSET;
    if (think->mode == IR_THINK_OFF)
        think->effort = think->effort < 0 ? IR_EFFORT_NONE : think->effort;
    else if (think->effort < 0 && think->budget > 0)
        think->effort = (int8_t)effort_of_budget(think->budget);

    if (params_has(params, IR_PARAM_THINK_SHOW))
        think->shows = params->at[IR_PARAM_THINK_SHOW].number != 0;
    else if (text_is(params->dialect, S("openai-responses")) ||
             text_is(params->dialect, S("gemini")))
        think->shows = false;
    else
        think->shows = think->mode != IR_THINK_UNSET && think->mode != IR_THINK_OFF;
}

/* --- service tier --- */

struct slice tier_word(const struct params *params, enum tier_form form)
{
    struct text word = params->at[IR_PARAM_TIER].value;

    if (!params_has(params, IR_PARAM_TIER))
        return (struct slice){0};
    switch (params->at[IR_PARAM_TIER].number) {
    case IR_TIER_AUTO:
        return form == TIER_GEMINI ? (struct slice){0} : S("auto");
    case IR_TIER_DEFAULT:
        return form == TIER_OPENAI      ? S("default")
               : form == TIER_ANTHROPIC ? S("standard_only")
                                        : S("standard");
    case IR_TIER_FLEX:
        return form == TIER_ANTHROPIC ? (struct slice){0} : S("flex");
    case IR_TIER_PRIORITY:
        return form == TIER_ANTHROPIC ? S("auto") : S("priority");
    default:
        break;
    }
    if (text_is_nocase(word, S("standard")) || text_is(word, S("standard_only")))
        return form == TIER_OPENAI      ? S("default")
               : form == TIER_ANTHROPIC ? S("standard_only")
                                        : S("standard");
    return (struct slice){0};
}

/* --- stop sequences --- */

uint32_t stops_pick(const struct params *params, bool drops_blank, struct text *picked,
                    uint32_t max, struct loss *loss)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < params->stops_count; i++) {
        struct text stop = params->stops[i];

        if (stop.len == 0 || (drops_blank && text_is_blank(stop)))
            continue;
        if (count == max) {
            params_lose(params, IR_PARAM_STOP, loss);
            break;
        }
        picked[count++] = stop;
    }
    return count;
}

/* --- ids --- */

static bool is_id_char(char c)
{
    return char_is_alnum(c) || c == '_' || c == '-';
}

static bool id_is_legal(struct slice id, enum id_form form, size_t max)
{
    if (id.len == 0 || id.len > max)
        return false;
    if (form != ID_AM)
        return true;
    for (size_t i = 0; i < id.len; i++)
        if (!is_id_char(id.ptr[i]))
            return false;
    return true;
}

bool id_fit(struct text id, enum id_form form, struct arena *arena, struct slice *fitted)
{
    size_t max = form == ID_OC_OPENAI ? 40 : 64;
    size_t keep = form == ID_OC_OPENAI ? 23 : 40;
    unsigned char digest[SHA256_BYTES];
    struct slice plain;
    char *to;

    if (!text_to_plain(id, arena, &plain))
        return false;
    *fitted = plain;
    if (form == ID_GG || id_is_legal(plain, form, max))
        return true;
    to = arena_take(arena, ID_FIT_BYTES_MAX);
    if (to == NULL)
        return false;
    if (keep > plain.len)
        keep = plain.len;
    for (size_t i = 0; i < keep; i++)
        to[i] = is_id_char(plain.ptr[i]) ? plain.ptr[i] : '_';
    to[keep++] = '_';
    sha256_of(plain, digest);
    str_hex(to + keep, slice_of((const char *)digest, 8));
    *fitted = slice_of(to, keep + 16);
    return true;
}

void id_derive(struct slice seed, char id[ID_DERIVED_BYTES])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char digest[SHA256_BYTES];
    uint32_t bits = 0, bits_count = 0, at = 5;

    sha256_of(seed, digest);
    memcpy(id, "call_", 5);
    for (uint32_t i = 0; at < ID_DERIVED_BYTES; i++) {
        bits = bits << 8 | digest[i];
        bits_count += 8;
        for (; bits_count >= 5 && at < ID_DERIVED_BYTES; bits_count -= 5)
            id[at++] = digits[bits >> (bits_count - 5) & 31];
    }
}

uint32_t text_count_chars(struct text text)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < text.len; i++) {
        uint32_t simple = text_simple_len((struct text){text.ptr + i, text.len - i, text.form});

        count += simple;
        i += simple;
        if (i == text.len)
            break;
        if (text.ptr[i] == '\\' && text.form == TEXT_ESCAPED && i + 1 < text.len) {
            i++;
            if (text.ptr[i] == 'u' && i + 4 < text.len) {
                /* The second half of a pair adds nothing to its first. */
                bool is_low = (text.ptr[i + 1] | 0x20) == 'd' && (text.ptr[i + 2] | 0x20) >= 'c';

                i += 4;
                count -= is_low;
            }
            count++;
        } else {
            count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
        }
    }
    return count;
}

uint64_t text_hash_seeded(struct text text, uint64_t seed)
{
    char plain[256];
    uint64_t hash = FNV1A_64_START ^ seed;

    while (text.len > 0) {
        struct text chunk = text;
        int64_t len;

        if (chunk.len > sizeof(plain)) {
            chunk.len = sizeof(plain);
            chunk.len = (uint32_t)text_safe_len(chunk);
        }
        len = text_decode(chunk, plain, sizeof(plain));
        if (len < 0 || chunk.len == 0)
            break;
        hash = fnv1a_64_add(hash, slice_of(plain, (size_t)len));
        text.ptr += chunk.len;
        text.len -= chunk.len;
    }
    return hash ^ hash >> 29;
}

/* --- calls on their way down --- */

enum r2a_err call_put_open(struct ir_sink *sink, const struct brief *brief, uint8_t choice,
                           uint32_t part, uint8_t flags, struct text id, struct text wire,
                           bool *is_custom)
{
    const struct brief_name *name =
        brief->names_count > 0 && !brief->is_relay ? brief_name_of(brief, wire) : NULL;
    struct ir_event event = {.kind = IR_PART,
                             .what = IR_PART_CALL,
                             .choice = choice,
                             .flags = flags,
                             .part = part,
                             .u.open = {.id = id, .name = wire}};
    enum r2a_err err;

    *is_custom = name != NULL && name->is_custom;
    if (name != NULL)
        event.u.open.name = name->client;
    if (*is_custom)
        event.flags |= IR_CUSTOM;
    err = ir_put(sink, &event);
    if (err != R2A_OK || name == NULL || name->space.len == 0)
        return err;
    return ir_put(sink, &(struct ir_event){.kind = IR_FIELD,
                                           .what = IR_FIELD_NAMESPACE,
                                           .choice = choice,
                                           .part = part,
                                           .u.field = {.value = name->space}});
}

/* --- usage --- */

uint64_t usage_uncached(const struct ir_usage *usage)
{
    uint64_t cached = (usage->has & IR_HAS_CACHE_READ ? usage->cache_read : 0) +
                      (usage->has & IR_HAS_CACHE_WRITE ? usage->cache_write : 0);

    return usage->input > cached ? usage->input - cached : 0;
}
