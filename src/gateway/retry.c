#include "retry.h"

/* Which failure leads where:
 *
 *   CLIENT     the request itself is wrong: nobody else would take it
 *   AUTH QUOTA the key is: it cools down, another key, then another provider
 *   RATE       the key is, for a while: the same, and the same key again when the pause is short
 *   NOT_FOUND  this provider does not have the model: another one may
 *   OVERLOAD SERVER NETWORK  the same key with back-off, then another provider */

#define COOL_AUTH_MS     1800000u
#define COOL_QUOTA_MS    3600000u
#define COOL_RATE_MS     1000u
#define COOL_RATE_MS_MAX 3600000u
#define SHORT_PAUSE_MS   5000 /* a pause the client may as well wait out here */
#define BACKOFF_MS_MAX   30000u

/* Full jitter in the upper half: between half and all of base * 2^(attempts - 1). */
static uint64_t backoff(const struct retry_facts *facts)
{
    uint64_t delay = (uint64_t)(facts->rule.base_delay_ms > 0 ? facts->rule.base_delay_ms : 0);

    for (uint32_t i = 1; i < facts->attempts && delay < BACKOFF_MS_MAX; i++)
        delay *= 2;
    if (delay > BACKOFF_MS_MAX)
        delay = BACKOFF_MS_MAX;
    return delay / 2 + (delay > 1 ? facts->random % (delay / 2 + 1) : 0);
}

static struct retry_decision again_or_elsewhere(const struct retry_facts *facts, uint64_t cool_ms)
{
    struct retry_decision decision = {.cool_ms = cool_ms};

    if (facts->attempts < (uint32_t)(facts->rule.attempts > 0 ? facts->rule.attempts : 1) &&
        facts->should_retry != 0 && facts->retry_after_ms <= SHORT_PAUSE_MS) {
        decision.step = RETRY_SAME;
        decision.delay_ms = backoff(facts);
        if (facts->retry_after_ms > (int64_t)decision.delay_ms)
            decision.delay_ms = (uint64_t)facts->retry_after_ms;
        return decision;
    }
    decision.step = facts->has_elsewhere ? RETRY_ELSEWHERE : RETRY_GIVE_UP;
    return decision;
}

static struct retry_decision other_key_or_elsewhere(const struct retry_facts *facts,
                                                    uint64_t cool_ms)
{
    struct retry_decision decision = {.cool_ms = cool_ms};

    if (facts->has_other_key)
        decision.step = RETRY_NEXT_KEY;
    else
        decision.step = facts->has_elsewhere ? RETRY_ELSEWHERE : RETRY_GIVE_UP;
    return decision;
}

struct retry_decision retry_decide(const struct retry_facts *facts)
{
    struct retry_decision give_up = {.step = RETRY_GIVE_UP};
    uint64_t said = facts->retry_after_ms > 0 ? (uint64_t)facts->retry_after_ms : 0;

    if (facts->has_content)
        return give_up;
    switch (facts->verdict) {
    case VERDICT_OK:
    case VERDICT_CLIENT:
        return give_up;
    case VERDICT_AUTH:
        return other_key_or_elsewhere(facts, COOL_AUTH_MS);
    case VERDICT_QUOTA:
        return other_key_or_elsewhere(facts, said ? said : COOL_QUOTA_MS);
    case VERDICT_RATE: {
        uint64_t cool = said ? said : COOL_RATE_MS;
        struct retry_decision decision;

        if (cool > COOL_RATE_MS_MAX)
            cool = COOL_RATE_MS_MAX;
        decision = facts->has_other_key || facts->has_elsewhere
                       ? other_key_or_elsewhere(facts, cool)
                       : again_or_elsewhere(facts, cool);
        decision.cools_model = true;
        return decision;
    }
    case VERDICT_NOT_FOUND:
        give_up.step = facts->has_elsewhere ? RETRY_ELSEWHERE : RETRY_GIVE_UP;
        return give_up;
    case VERDICT_OVERLOAD:
    case VERDICT_SERVER:
        return again_or_elsewhere(facts, 0);
    case VERDICT_NETWORK:
        /* A target that is dead is not asked twice while another lives. */
        if (facts->has_elsewhere) {
            give_up.step = RETRY_ELSEWHERE;
            return give_up;
        }
        if (facts->is_settled)
            return give_up;
        /* Silence for first_byte_ms, or an answer that broke off, may have cost tokens. */
        if (facts->phase > FAULT_PHASE_SEND && facts->phase != FAULT_PHASE_WAIT)
            return give_up;
        return again_or_elsewhere(facts, 0);
    }
    return give_up;
}
