#include <criterion/criterion.h>

#include "r2a/provider/provider.h"

static enum verdict_class of_upstream(enum fault_kind kind)
{
    struct fault fault = fault_of(kind, (struct slice){0});

    fault.is_upstream = true;
    return provider_classify(&fault);
}

static enum verdict_class of_us(enum r2a_err err)
{
    struct fault fault = fault_of(FAULT_BAD_GATEWAY, (struct slice){0});

    fault.err = err;
    return provider_classify(&fault);
}

Test(classify, a_wrong_request_is_the_clients)
{
    cr_assert_eq(of_upstream(FAULT_INVALID), VERDICT_CLIENT);
    cr_assert_eq(of_upstream(FAULT_CONTEXT), VERDICT_CLIENT);
    cr_assert_eq(of_upstream(FAULT_TOO_LARGE), VERDICT_CLIENT);
    cr_assert_eq(of_upstream(FAULT_POLICY), VERDICT_CLIENT);
}

Test(classify, a_refused_key_moves_on)
{
    cr_assert_eq(of_upstream(FAULT_UP_AUTH), VERDICT_AUTH);
    cr_assert_eq(of_upstream(FAULT_PERMISSION), VERDICT_AUTH);
    cr_assert_eq(of_upstream(FAULT_BILLING), VERDICT_QUOTA);
    cr_assert_eq(of_upstream(FAULT_RATE), VERDICT_RATE);
    cr_assert_eq(of_upstream(FAULT_NOT_FOUND), VERDICT_NOT_FOUND);
}

Test(classify, trouble_of_the_service_is_retried)
{
    cr_assert_eq(of_upstream(FAULT_OVERLOAD), VERDICT_OVERLOAD);
    cr_assert_eq(of_upstream(FAULT_SERVER), VERDICT_SERVER);
    cr_assert_eq(of_upstream(FAULT_TIMEOUT), VERDICT_SERVER);
    cr_assert_eq(of_upstream(FAULT_BAD_GATEWAY), VERDICT_SERVER);
}

Test(classify, what_broke_on_the_way_is_the_network)
{
    cr_assert_eq(of_us(R2A_ERR_CONNECT), VERDICT_NETWORK);
    cr_assert_eq(of_us(R2A_ERR_TIMEOUT), VERDICT_NETWORK);
    cr_assert_eq(of_us(R2A_ERR_TLS_EXPIRED), VERDICT_NETWORK);
    cr_assert_eq(of_us(R2A_ERR_TRUNCATED), VERDICT_NETWORK);
    cr_assert_eq(of_us(R2A_ERR_NO_MEMORY), VERDICT_CLIENT);
}

Test(classify, a_service_may_ask_for_another_try)
{
    struct fault fault = fault_of(FAULT_INVALID, (struct slice){0});

    fault.is_upstream = true;
    fault.should_retry = 1;
    cr_assert_eq(provider_classify(&fault), VERDICT_SERVER);
    fault.is_upstream = false;
    cr_assert_eq(provider_classify(&fault), VERDICT_CLIENT);
}
