#include "r2a/proto/profile.h"

#include "r2a/core/str.h"
#include "r2a/ir/event.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"

/* What public models accept, as their vendors documented it in autumn 2026, and the configuration's
 * words for it. Patterns match ids in every spelling in use: with a vendor before them
 * ("anthropic/…", "us.anthropic.…-v1:0", "models/…"), with a date or a suffix behind. Of each table
 * the first row that matches counts. */

#define BIT(effort) (1u << IR_EFFORT_##effort)
#define LOW_TO_HIGH (BIT(LOW) | BIT(MEDIUM) | BIT(HIGH))

static const struct model_profile unknown = {
    .am_thinking = AM_THINKING_MANUAL,
    .am_sampling = AM_SAMPLING_FULL,
    .am_json = AM_JSON_PROMPT,
    .am_prefill = true,
    .am_max_output = -1,
    .am_default_max_tokens = 8192,
    .oai_efforts = LOW_TO_HIGH,
    .oc_flavour = OC_FLAVOUR_COMPAT,
    .oc_reason_echo = OC_REASON_ECHO_NONE,
    .gg_thinking = GG_THINKING_BUDGET,
    .gg_schema = GG_SCHEMA_OPENAPI,
    .gg_levels = BIT(LOW) | BIT(HIGH),
    .gg_budget_min = 0,
    .gg_budget_max = 24576,
    .gg_budget_off = true,
    .gg_call_ids = true,
};

/* clang-format off */
struct am_row {
    struct slice pattern;
    uint8_t thinking, sampling, json, efforts;
    bool prefill;
    int32_t max_output;
};
#define AM(pattern, thinking, sampling, json, efforts, prefill, max) \
    {S_INIT(pattern), AM_THINKING_##thinking, AM_SAMPLING_##sampling, AM_JSON_##json, efforts, prefill, max}
#define EFFORTS_45 LOW_TO_HIGH
#define EFFORTS_46 (LOW_TO_HIGH | BIT(MAX))
#define EFFORTS_47 (LOW_TO_HIGH | BIT(XHIGH) | BIT(MAX))
static const struct am_row am_rows[] = {
    AM("*claude-instant*",      NONE,          FULL,   PROMPT, 0,          true,  4096),
    AM("*claude-2*",            NONE,          FULL,   PROMPT, 0,          true,  4096),
    AM("*claude-3-7-sonnet*",   MANUAL,        FULL,   PROMPT, 0,          true,  64000),
    AM("*claude-3-5-*",         NONE,          FULL,   PROMPT, 0,          true,  8192),
    AM("*claude-3-*",           NONE,          FULL,   PROMPT, 0,          true,  4096),
    AM("*claude-opus-4-1*",     MANUAL,        ONE_OF, NATIVE, 0,          true,  32000),
    AM("*claude-opus-4-5*",     MANUAL,        ONE_OF, NATIVE, EFFORTS_45, true,  64000),
    AM("*claude-sonnet-4-5*",   MANUAL,        ONE_OF, NATIVE, 0,          true,  64000),
    AM("*claude-haiku-4-5*",    MANUAL,        ONE_OF, NATIVE, 0,          true,  64000),
    AM("*claude-opus-4-6*",     ADAPTIVE,      ONE_OF, NATIVE, EFFORTS_46, false, 128000),
    AM("*claude-sonnet-4-6*",   ADAPTIVE,      ONE_OF, NATIVE, EFFORTS_46, false, 64000),
    AM("*claude-haiku-4-6*",    ADAPTIVE,      ONE_OF, NATIVE, EFFORTS_46, false, 64000),
    AM("*claude-opus-4-7*",     ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-sonnet-4-7*",   ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-opus-4-8*",     ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-sonnet-4-8*",   ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-opus-4-9*",     ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-*-5*",          ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-fable*",        ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-mythos*",       ADAPTIVE_ONLY, NONE,   NATIVE, EFFORTS_47, false, 128000),
    AM("*claude-opus-4*",       MANUAL,        FULL,   PROMPT, 0,          true,  32000),
    AM("*claude-sonnet-4*",     MANUAL,        FULL,   PROMPT, 0,          true,  64000),
};

struct oai_row {
    struct slice pattern;
    bool reasoning, cache_mark;
    uint8_t efforts;
};
#define OAI(pattern, reasoning, cache_mark, efforts) {S_INIT(pattern), reasoning, cache_mark, efforts}
#define TO_XHIGH (BIT(NONE) | LOW_TO_HIGH | BIT(XHIGH))
static const struct oai_row oai_rows[] = {
    OAI("*gpt-5*-chat*",        false, false, LOW_TO_HIGH),
    OAI("*gpt-5-pro*",          true,  false, BIT(HIGH)),
    OAI("*gpt-5.2-pro*",        true,  false, BIT(MEDIUM) | BIT(HIGH) | BIT(XHIGH)),
    OAI("*gpt-5.1-codex-max*",  true,  false, TO_XHIGH),
    OAI("*gpt-5.1*",            true,  false, BIT(NONE) | LOW_TO_HIGH),
    OAI("*gpt-5.2*",            true,  false, TO_XHIGH),
    OAI("*gpt-5.3*",            true,  false, TO_XHIGH),
    OAI("*gpt-5.4*",            true,  false, TO_XHIGH),
    OAI("*gpt-5.5*",            true,  false, TO_XHIGH),
    OAI("*gpt-5.*",             true,  true,  TO_XHIGH),
    OAI("*gpt-5-codex*",        true,  false, LOW_TO_HIGH),
    OAI("*gpt-5*",              true,  false, BIT(MINIMAL) | LOW_TO_HIGH),
    OAI("*gpt-6*",              true,  true,  TO_XHIGH),
    OAI("o1*",                  true,  false, LOW_TO_HIGH),
    OAI("o3*",                  true,  false, LOW_TO_HIGH),
    OAI("o4*",                  true,  false, LOW_TO_HIGH),
    OAI("*/o1*",                true,  false, LOW_TO_HIGH),
    OAI("*/o3*",                true,  false, LOW_TO_HIGH),
    OAI("*/o4*",                true,  false, LOW_TO_HIGH),
    OAI("codex-*",              true,  false, LOW_TO_HIGH),
    OAI("*computer-use*",       true,  false, LOW_TO_HIGH),
    OAI("*gpt-4*",              false, false, LOW_TO_HIGH),
    OAI("*gpt-3*",              false, false, LOW_TO_HIGH),
    OAI("*chatgpt-*",           false, false, LOW_TO_HIGH),
};

struct gg_row {
    struct slice pattern;
    uint8_t thinking, levels;
    int32_t budget_min, budget_max;
    bool budget_off, need_sig, fr_parts;
};
#define GG(pattern, thinking, levels, min, max, off, sig, parts) \
    {S_INIT(pattern), GG_THINKING_##thinking, levels, min, max, off, sig, parts}
#define GG_LEVELS_PRO (BIT(LOW) | BIT(HIGH))
#define GG_LEVELS_ALL (BIT(MINIMAL) | LOW_TO_HIGH)
static const struct gg_row gg_rows[] = {
    GG("*gemini-1*",             NONE,   0,             0,   0,     true,  false, false),
    GG("*gemini-2.0*",           NONE,   0,             0,   0,     true,  false, false),
    GG("*gemini-2.5-flash-lite*", BUDGET, 0,            512, 24576, true,  false, false),
    GG("*gemini-2.5-flash-image*", NONE, 0,             0,   0,     true,  false, false),
    GG("*gemini-2.5-flash*",     BUDGET, 0,             0,   24576, true,  false, false),
    GG("*gemini-2.5-pro*",       BUDGET, 0,             128, 32768, false, false, false),
    GG("*gemini-3-pro*",         LEVEL,  GG_LEVELS_PRO, 0,   32768, false, true,  true),
    GG("*gemini-3*-pro*",        LEVEL,  LOW_TO_HIGH,   0,   32768, false, true,  true),
    GG("*gemini-3*-flash*",      LEVEL,  GG_LEVELS_ALL, 0,   24576, false, true,  true),
    GG("*gemini-3*",             LEVEL,  GG_LEVELS_ALL, 0,   32768, false, true,  true),
};

/* Models that want their reasoning back with their calls. */
static const struct slice echo_rows[] = {
    S_INIT("*deepseek*"), S_INIT("*kimi*"), S_INIT("moonshot*"),
};
/* clang-format on */

void profile_of(struct slice model, bool is_openai_host, struct model_profile *profile)
{
    *profile = unknown;
    for (uint32_t i = 0; i < sizeof(am_rows) / sizeof(*am_rows); i++) {
        const struct am_row *row = &am_rows[i];

        if (!str_glob_nocase(row->pattern, model))
            continue;
        profile->am_thinking = row->thinking;
        profile->am_sampling = row->sampling;
        profile->am_json = row->json;
        profile->am_efforts = row->efforts;
        profile->am_prefill = row->prefill;
        profile->am_max_output = row->max_output;
        break;
    }
    for (uint32_t i = 0; i < sizeof(oai_rows) / sizeof(*oai_rows); i++) {
        const struct oai_row *row = &oai_rows[i];

        if (!str_glob_nocase(row->pattern, model))
            continue;
        profile->oai_reasoning = row->reasoning;
        profile->oai_cache_mark = row->cache_mark;
        profile->oai_efforts = row->efforts;
        break;
    }
    for (uint32_t i = 0; i < sizeof(gg_rows) / sizeof(*gg_rows); i++) {
        const struct gg_row *row = &gg_rows[i];

        if (!str_glob_nocase(row->pattern, model))
            continue;
        profile->gg_thinking = row->thinking;
        profile->gg_levels = row->levels;
        profile->gg_budget_min = row->budget_min;
        profile->gg_budget_max = row->budget_max;
        profile->gg_budget_off = row->budget_off;
        profile->gg_need_sig = row->need_sig;
        profile->gg_fr_parts = row->fr_parts;
        break;
    }
    for (uint32_t i = 0; i < sizeof(echo_rows) / sizeof(*echo_rows); i++)
        if (str_glob_nocase(echo_rows[i], model))
            profile->oc_reason_echo = OC_REASON_ECHO_CALLS;
    if (is_openai_host)
        profile->oc_flavour = OC_FLAVOUR_OPENAI;
}

/* --- configuration --- */

/* What a flag is, where it lies, and the words it takes. */
enum flag_form { FLAG_WORD, FLAG_BOOL, FLAG_INT, FLAG_EFFORTS };
struct flag {
    struct slice name;
    uint8_t form;
    uint16_t offset;
    const char *const *words; /* ends with NULL; the index is the value */
    const char *why;
};

static const char *const thinking_words[] = {"none", "manual", "adaptive", "adaptive_only", NULL};
static const char *const sampling_words[] = {"full", "one_of", "none", NULL};
static const char *const json_words[] = {"prompt", "native", NULL};
static const char *const flavour_words[] = {"compat", "openai", NULL};
static const char *const echo_words[] = {"none", "calls", "all", NULL};
static const char *const gg_thinking_words[] = {"none", "budget", "level", NULL};
static const char *const schema_words[] = {"openapi", "json", NULL};

#define WHY_BOOL    "true or false"
#define WHY_INT     "a whole number"
#define WHY_EFFORTS "an array of none, minimal, low, medium, high, xhigh, max"
#define FLAG(name, form, member, words, why)                                             \
    {                                                                                    \
        S_INIT(name), form, (uint16_t)offsetof(struct model_profile, member), words, why \
    }

static const struct flag flags[] = {
    FLAG("am.thinking", FLAG_WORD, am_thinking, thinking_words,
         "none, manual, adaptive or adaptive_only"),
    FLAG("am.effort", FLAG_EFFORTS, am_efforts, NULL, WHY_EFFORTS),
    FLAG("am.sampling", FLAG_WORD, am_sampling, sampling_words, "full, one_of or none"),
    FLAG("am.max_output", FLAG_INT, am_max_output, NULL, WHY_INT),
    FLAG("am.default_max_tokens", FLAG_INT, am_default_max_tokens, NULL, WHY_INT),
    FLAG("am.mid_system", FLAG_BOOL, am_mid_system, NULL, WHY_BOOL),
    FLAG("am.prefill", FLAG_BOOL, am_prefill, NULL, WHY_BOOL),
    FLAG("am.json", FLAG_WORD, am_json, json_words, "native or prompt"),
    FLAG("oai.reasoning", FLAG_BOOL, oai_reasoning, NULL, WHY_BOOL),
    FLAG("oai.efforts", FLAG_EFFORTS, oai_efforts, NULL, WHY_EFFORTS),
    FLAG("oai.cache_mark", FLAG_BOOL, oai_cache_mark, NULL, WHY_BOOL),
    FLAG("oc.flavour", FLAG_WORD, oc_flavour, flavour_words, "openai or compat"),
    FLAG("oc.reason_echo", FLAG_WORD, oc_reason_echo, echo_words, "none, calls or all"),
    FLAG("gg.thinking", FLAG_WORD, gg_thinking, gg_thinking_words, "none, budget or level"),
    FLAG("gg.budget_min", FLAG_INT, gg_budget_min, NULL, WHY_INT),
    FLAG("gg.budget_max", FLAG_INT, gg_budget_max, NULL, WHY_INT),
    FLAG("gg.budget_off", FLAG_BOOL, gg_budget_off, NULL, WHY_BOOL),
    FLAG("gg.levels", FLAG_EFFORTS, gg_levels, NULL, WHY_EFFORTS),
    FLAG("gg.need_sig", FLAG_BOOL, gg_need_sig, NULL, WHY_BOOL),
    FLAG("gg.schema", FLAG_WORD, gg_schema, schema_words, "openapi or json"),
    FLAG("gg.call_ids", FLAG_BOOL, gg_call_ids, NULL, WHY_BOOL),
    FLAG("gg.fr_parts", FLAG_BOOL, gg_fr_parts, NULL, WHY_BOOL),
    FLAG("gg.search_with_fn", FLAG_BOOL, gg_search_with_fn, NULL, WHY_BOOL),
};

static const char *const effort_words[] = {"none", "minimal", "low", "medium",
                                           "high", "xhigh",   "max", NULL};

/* The index of a word that is a JSON string, or -1. */
static int word_index(struct slice raw, const char *const *list)
{
    if (raw.len < 2 || raw.ptr[0] != '"')
        return -1;
    for (int i = 0; list[i] != NULL; i++)
        if (text_is(text_escaped(slice_of(raw.ptr + 1, raw.len - 2)), slice_from_z(list[i])))
            return i;
    return -1;
}

static bool read_efforts(struct slice raw, uint8_t *set)
{
    struct json_scan scan;
    enum json_token token;

    *set = 0;
    json_open(&scan, raw);
    if (json_next(&scan) != JSON_ARRAY)
        return false;
    while ((token = json_next(&scan)) == JSON_STRING) {
        int index = word_index(slice_of(scan.text.ptr - 1, scan.text.len + 2), effort_words);

        if (index < 0)
            return false;
        *set |= (uint8_t)(1u << index);
    }
    return token == JSON_ARRAY_END;
}

static bool set_flag(struct model_profile *profile, const struct flag *flag, struct slice raw)
{
    char *at = (char *)profile + flag->offset;
    uint8_t byte;
    bool is_on;
    int64_t number;
    int index;

    switch ((enum flag_form)flag->form) {
    case FLAG_WORD:
        index = word_index(raw, flag->words);
        byte = (uint8_t)index;
        if (index >= 0)
            memcpy(at, &byte, 1);
        return index >= 0;
    case FLAG_BOOL:
        is_on = slice_eq(raw, S("true"));
        if (!is_on && !slice_eq(raw, S("false")))
            return false;
        memcpy(at, &is_on, sizeof(is_on));
        return true;
    case FLAG_INT:
        if (raw.len == 0 || !char_is_digit(raw.ptr[0]) || !json_number_int(raw, &number))
            return false;
        memcpy(at, &number, sizeof(number));
        return true;
    case FLAG_EFFORTS:
        if (!read_efforts(raw, &byte))
            return false;
        memcpy(at, &byte, 1);
        return true;
    }
    return false;
}

bool profile_set(struct model_profile *profile, struct slice flag, struct slice json_value,
                 const char **why)
{
    for (uint32_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        if (!slice_eq(flags[i].name, flag))
            continue;
        *why = flags[i].why;
        return set_flag(profile, &flags[i], json_value);
    }
    *why = "a flag that exists";
    return false;
}
