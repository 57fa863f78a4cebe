#include "codec.h"

/* The shipped table and the configuration's words. */

static struct model_profile profile;

static void of(const char *model)
{
    profile_of(slice_from_z(model), false, &profile);
}

Test(profile, an_unknown_model_has_the_documented_defaults)
{
    of("something-new");
    cr_expect_eq(profile.am_thinking, AM_THINKING_MANUAL);
    cr_expect_eq(profile.am_efforts, 0u);
    cr_expect_eq(profile.am_sampling, AM_SAMPLING_FULL);
    cr_expect_eq(profile.am_max_output, -1);
    cr_expect_eq(profile.am_default_max_tokens, 8192);
    cr_expect(profile.am_prefill);
    cr_expect(!profile.am_mid_system);
    cr_expect_eq(profile.am_json, AM_JSON_PROMPT);
    cr_expect(!profile.oai_reasoning);
    cr_expect_eq(profile.oai_efforts,
                 1u << IR_EFFORT_LOW | 1u << IR_EFFORT_MEDIUM | 1u << IR_EFFORT_HIGH);
    cr_expect_eq(profile.oc_flavour, OC_FLAVOUR_COMPAT);
    cr_expect_eq(profile.oc_reason_echo, OC_REASON_ECHO_NONE);
    cr_expect_eq(profile.gg_thinking, GG_THINKING_BUDGET);
    cr_expect(profile.gg_call_ids);
    cr_expect(!profile.gg_need_sig);
}

Test(profile, models_are_known_in_every_spelling)
{
    static const struct {
        const char *model;
        uint8_t thinking, sampling;
    } rows[] = {
        {"claude-3-5-haiku-20241022", AM_THINKING_NONE, AM_SAMPLING_FULL},
        {"claude-3-7-sonnet-latest", AM_THINKING_MANUAL, AM_SAMPLING_FULL},
        {"claude-sonnet-4-20250514", AM_THINKING_MANUAL, AM_SAMPLING_FULL},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", AM_THINKING_MANUAL, AM_SAMPLING_ONE_OF},
        {"anthropic/claude-opus-4-6", AM_THINKING_ADAPTIVE, AM_SAMPLING_ONE_OF},
        {"claude-opus-4-7@20260401", AM_THINKING_ADAPTIVE_ONLY, AM_SAMPLING_NONE},
        {"claude-sonnet-5-5", AM_THINKING_ADAPTIVE_ONLY, AM_SAMPLING_NONE},
        {"Claude-Fable-5", AM_THINKING_ADAPTIVE_ONLY, AM_SAMPLING_NONE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        of(rows[i].model);
        cr_expect_eq(profile.am_thinking, rows[i].thinking, "%s", rows[i].model);
        cr_expect_eq(profile.am_sampling, rows[i].sampling, "%s", rows[i].model);
    }
}

Test(profile, other_vendors)
{
    of("openai/gpt-5.1");
    cr_expect(profile.oai_reasoning);
    cr_expect((profile.oai_efforts & 1u << IR_EFFORT_NONE) != 0);
    cr_expect(!profile.oai_cache_mark);
    of("gpt-5.7-mini");
    cr_expect(profile.oai_cache_mark);
    of("o4-mini");
    cr_expect(profile.oai_reasoning);
    of("gpt-4o");
    cr_expect(!profile.oai_reasoning);
    of("foo1");
    cr_expect(!profile.oai_reasoning);
    of("deepseek-chat");
    cr_expect_eq(profile.oc_reason_echo, OC_REASON_ECHO_CALLS);
    of("moonshotai/kimi-k2-thinking");
    cr_expect_eq(profile.oc_reason_echo, OC_REASON_ECHO_CALLS);
    of("models/gemini-2.5-pro");
    cr_expect_eq(profile.gg_thinking, GG_THINKING_BUDGET);
    cr_expect_eq(profile.gg_budget_min, 128);
    cr_expect_eq(profile.gg_budget_max, 32768);
    cr_expect(!profile.gg_budget_off);
    of("gemini-3-pro-preview");
    cr_expect_eq(profile.gg_thinking, GG_THINKING_LEVEL);
    cr_expect_eq(profile.gg_levels, 1u << IR_EFFORT_LOW | 1u << IR_EFFORT_HIGH);
    cr_expect(profile.gg_need_sig);
    of("gemini-3-flash");
    cr_expect((profile.gg_levels & 1u << IR_EFFORT_MINIMAL) != 0);
    profile_of(S("gpt-4o"), true, &profile);
    cr_expect_eq(profile.oc_flavour, OC_FLAVOUR_OPENAI);
}

Test(profile, every_flag_takes_its_words_and_nothing_else)
{
    static const struct {
        const char *flag, *good, *bad;
    } rows[] = {
        {"am.thinking", "\"adaptive_only\"", "\"sometimes\""},
        {"am.effort", "[\"low\",\"max\"]", "[\"lots\"]"},
        {"am.sampling", "\"one_of\"", "true"},
        {"am.max_output", "64000", "-1"},
        {"am.default_max_tokens", "4096", "\"4096\""},
        {"am.mid_system", "true", "1"},
        {"am.prefill", "false", "\"no\""},
        {"am.json", "\"native\"", "\"schema\""},
        {"oai.reasoning", "true", "null"},
        {"oai.efforts", "[]", "\"low\""},
        {"oai.cache_mark", "true", "\"true\""},
        {"oc.flavour", "\"openai\"", "\"azure\""},
        {"oc.reason_echo", "\"all\"", "true"},
        {"gg.thinking", "\"level\"", "\"adaptive\""},
        {"gg.budget_min", "128", "1.5"},
        {"gg.budget_max", "32768", "[]"},
        {"gg.budget_off", "false", "0"},
        {"gg.levels", "[\"minimal\",\"high\"]", "[1]"},
        {"gg.need_sig", "true", "{}"},
        {"gg.schema", "\"json\"", "\"draft7\""},
        {"gg.call_ids", "false", "\"\""},
        {"gg.fr_parts", "true", "tru"},
        {"gg.search_with_fn", "true", "\"x\""},
    };
    const char *why;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        of("x");
        cr_expect(
            profile_set(&profile, slice_from_z(rows[i].flag), slice_from_z(rows[i].good), &why),
            "%s %s", rows[i].flag, rows[i].good);
        cr_expect(
            !profile_set(&profile, slice_from_z(rows[i].flag), slice_from_z(rows[i].bad), &why),
            "%s %s", rows[i].flag, rows[i].bad);
        cr_expect_gt(strlen(why), 0u);
    }
    of("x");
    cr_expect(profile_set(&profile, S("am.effort"), S("[\"low\",\"max\"]"), &why));
    cr_expect_eq(profile.am_efforts, 1u << IR_EFFORT_LOW | 1u << IR_EFFORT_MAX);
    cr_expect(profile_set(&profile, S("am.max_output"), S("64000"), &why));
    cr_expect_eq(profile.am_max_output, 64000);
    cr_expect(!profile_set(&profile, S("am.unheard"), S("true"), &why));
}
