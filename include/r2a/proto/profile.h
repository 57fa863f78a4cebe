#ifndef R2A_PROTO_PROFILE_H
#define R2A_PROTO_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* What a model accepts, so that no converter asks for a model's name (conversion.md 1.6). Sets of
 * efforts are bit sets over enum ir_effort. */
enum am_thinking {
    AM_THINKING_NONE,
    AM_THINKING_MANUAL,
    AM_THINKING_ADAPTIVE,
    AM_THINKING_ADAPTIVE_ONLY
};
enum am_sampling { AM_SAMPLING_FULL, AM_SAMPLING_ONE_OF, AM_SAMPLING_NONE };
enum am_json { AM_JSON_PROMPT, AM_JSON_NATIVE };
enum oc_flavour { OC_FLAVOUR_COMPAT, OC_FLAVOUR_OPENAI };
enum oc_reason_echo { OC_REASON_ECHO_NONE, OC_REASON_ECHO_CALLS, OC_REASON_ECHO_ALL };
enum gg_thinking { GG_THINKING_NONE, GG_THINKING_BUDGET, GG_THINKING_LEVEL };
enum gg_schema { GG_SCHEMA_OPENAPI, GG_SCHEMA_JSON };

struct model_profile {
    uint8_t am_thinking, am_sampling, am_json;
    uint8_t am_efforts; /* bit per ir_effort; 0: send none */
    bool am_mid_system, am_prefill;
    int64_t am_max_output; /* -1: unknown */
    int64_t am_default_max_tokens;
    bool oai_reasoning, oai_cache_mark;
    uint8_t oai_efforts;
    uint8_t oc_flavour, oc_reason_echo;
    uint8_t gg_thinking, gg_schema;
    uint8_t gg_levels; /* bit per ir_effort */
    int64_t gg_budget_min, gg_budget_max;
    bool gg_budget_off; /* 0 is allowed */
    bool gg_need_sig, gg_call_ids, gg_fr_parts, gg_search_with_fn;
};

/* The shipped table merged for one upstream model; `is_openai_host`: the provider is OpenAI itself
 * or Azure (oc.flavour openai for known models). */
void profile_of(struct slice model, bool is_openai_host, struct model_profile *profile);

/* One flag of the configuration (`"am.thinking": "adaptive_only"`): the raw JSON value, quotes
 * included for words, an array for a set. False: unknown flag or value; `*why` is a static text
 * naming what would be right. */
bool profile_set(struct model_profile *profile, struct slice flag, struct slice json_value,
                 const char **why);

#endif
