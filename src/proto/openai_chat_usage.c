#include "openai_chat_usage.h"

#include "member.h"
#include "r2a/core/check.h"

/* Usage as Chat Completions servers report it (conversion.md 3.4). `prompt_tokens` holds the cached
 * ones already, whatever the vendor calls them. */

enum member_name {
    PROMPT,
    COMPLETION,
    PROMPT_DETAILS,
    COMPLETION_DETAILS,
    HIT,    /* DeepSeek */
    CACHED, /* Kimi */
    READ,   /* gateways in front of Anthropic */
    CREATION,
    INPUT,
    OUTPUT,
    MEMBERS,
};

static const struct slice names[MEMBERS] = {
    [PROMPT] = S_INIT("prompt_tokens"),
    [COMPLETION] = S_INIT("completion_tokens"),
    [PROMPT_DETAILS] = S_INIT("prompt_tokens_details"),
    [COMPLETION_DETAILS] = S_INIT("completion_tokens_details"),
    [HIT] = S_INIT("prompt_cache_hit_tokens"),
    [CACHED] = S_INIT("cached_tokens"),
    [READ] = S_INIT("cache_read_input_tokens"),
    [CREATION] = S_INIT("cache_creation_input_tokens"),
    [INPUT] = S_INIT("input_tokens"),
    [OUTPUT] = S_INIT("output_tokens"),
};

static bool take(const struct member *member, uint32_t bit, struct ir_usage *usage,
                 uint64_t *counter)
{
    int64_t value;

    if (!member_int(member, &value) || value < 0)
        return false;
    *counter = (uint64_t)value;
    usage->has |= bit;
    return true;
}

bool openai_chat_usage_read(struct slice raw, struct ir_usage *usage)
{
    static const struct slice prompt_names[] = {S_INIT("cached_tokens"),
                                                S_INIT("cache_write_tokens")};
    static const struct slice completion_names[] = {S_INIT("reasoning_tokens")};
    struct member members[MEMBERS], prompt[array_count(prompt_names)], completion;

    *usage = (struct ir_usage){0};
    if (!members_of(raw, names, MEMBERS, members))
        return false;
    if (!take(&members[PROMPT], IR_HAS_INPUT, usage, &usage->input))
        (void)take(&members[INPUT], IR_HAS_INPUT, usage, &usage->input);
    if (!take(&members[COMPLETION], IR_HAS_OUTPUT, usage, &usage->output))
        (void)take(&members[OUTPUT], IR_HAS_OUTPUT, usage, &usage->output);
    if (member_is(&members[PROMPT_DETAILS], JSON_OBJECT) &&
        members_of(members[PROMPT_DETAILS].raw, prompt_names, array_count(prompt_names), prompt)) {
        (void)take(&prompt[0], IR_HAS_CACHE_READ, usage, &usage->cache_read);
        (void)take(&prompt[1], IR_HAS_CACHE_WRITE, usage, &usage->cache_write);
    }
    for (uint32_t i = HIT; i <= READ && !(usage->has & IR_HAS_CACHE_READ); i++)
        (void)take(&members[i], IR_HAS_CACHE_READ, usage, &usage->cache_read);
    if (!(usage->has & IR_HAS_CACHE_WRITE))
        (void)take(&members[CREATION], IR_HAS_CACHE_WRITE, usage, &usage->cache_write);
    if (member_is(&members[COMPLETION_DETAILS], JSON_OBJECT) &&
        members_of(members[COMPLETION_DETAILS].raw, completion_names, 1, &completion))
        (void)take(&completion, IR_HAS_REASONING, usage, &usage->reasoning);
    return usage->has != 0;
}
