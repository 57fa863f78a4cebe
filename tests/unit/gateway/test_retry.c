#include <criterion/criterion.h>

#include "../../../src/gateway/retry.h"

static struct retry_facts facts_of(enum verdict_class verdict)
{
    return (struct retry_facts){.verdict = verdict,
                                .phase = FAULT_PHASE_HEAD,
                                .attempts = 1,
                                .rule = {3, 500},
                                .retry_after_ms = -1,
                                .should_retry = -1};
}

Test(retry, never_repeats_what_was_paid_for)
{
    for (int verdict = VERDICT_OK; verdict <= VERDICT_NOT_FOUND; verdict++) {
        struct retry_facts facts = facts_of((enum verdict_class)verdict);

        facts.has_content = facts.has_other_key = facts.has_elsewhere = true;
        cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
    }
}

Test(retry, gives_a_wrong_request_back)
{
    struct retry_facts facts = facts_of(VERDICT_CLIENT);

    facts.has_other_key = facts.has_elsewhere = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
    cr_assert_eq(retry_decide(&facts).cool_ms, 0);
}

Test(retry, cools_a_bad_key_and_moves_on)
{
    struct retry_facts facts = facts_of(VERDICT_AUTH);

    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
    cr_assert_gt(retry_decide(&facts).cool_ms, 0);
    facts.has_elsewhere = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_ELSEWHERE);
    facts.has_other_key = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_NEXT_KEY);
}

Test(retry, honours_retry_after)
{
    struct retry_facts facts = facts_of(VERDICT_RATE);

    facts.retry_after_ms = 34000;
    cr_assert_eq(retry_decide(&facts).cool_ms, 34000);
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP); /* too long to wait here */
    facts.retry_after_ms = 2000;
    cr_assert_eq(retry_decide(&facts).step, RETRY_SAME);
    cr_assert_geq(retry_decide(&facts).delay_ms, 2000);
    facts.has_other_key = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_NEXT_KEY);
}

Test(retry, backs_off_with_jitter_and_ends)
{
    struct retry_facts facts = facts_of(VERDICT_OVERLOAD);

    for (facts.attempts = 1; facts.attempts < 3; facts.attempts++) {
        uint64_t full = 500ull << (facts.attempts - 1);

        for (facts.random = 0; facts.random < 2000; facts.random += 7) {
            struct retry_decision decision = retry_decide(&facts);

            cr_assert_eq(decision.step, RETRY_SAME);
            cr_assert_geq(decision.delay_ms, full / 2);
            cr_assert_leq(decision.delay_ms, full);
        }
    }
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
    facts.has_elsewhere = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_ELSEWHERE);
}

Test(retry, obeys_x_should_retry)
{
    struct retry_facts facts = facts_of(VERDICT_SERVER);

    facts.should_retry = 0;
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
}

Test(retry, leaves_a_dead_target_when_another_lives)
{
    struct retry_facts facts = facts_of(VERDICT_NETWORK);

    facts.phase = FAULT_PHASE_CONNECT;
    cr_assert_eq(retry_decide(&facts).step, RETRY_SAME);
    facts.has_elsewhere = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_ELSEWHERE);
}

Test(retry, does_not_ask_again_after_a_broken_answer)
{
    struct retry_facts facts = facts_of(VERDICT_NETWORK);

    facts.phase = FAULT_PHASE_BODY;
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
}

Test(retry, one_attempt_means_one)
{
    struct retry_facts facts = facts_of(VERDICT_SERVER);

    facts.rule.attempts = 1;
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
}

Test(retry, does_not_ask_a_wrong_certificate_again)
{
    struct retry_facts facts = facts_of(VERDICT_NETWORK);

    facts.phase = FAULT_PHASE_TLS;
    cr_assert_eq(retry_decide(&facts).step, RETRY_SAME);
    facts.is_settled = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_GIVE_UP);
    facts.has_elsewhere = true;
    cr_assert_eq(retry_decide(&facts).step, RETRY_ELSEWHERE);
}
