#include <criterion/criterion.h>

#include "r2a/http/retry_after.h"

static const int64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */

static void delay_is(struct slice value, uint64_t expected_ms)
{
    uint64_t delay_ms = 0;

    cr_assert(http_retry_after_parse(value, now_ms, &delay_ms), "%s", value.ptr);
    cr_assert_eq(delay_ms, expected_ms, "%s: %llu", value.ptr, (unsigned long long)delay_ms);
}

Test(retry_after, reads_seconds)
{
    delay_is(S("0"), 0);
    delay_is(S(" 30 "), 30000);
    delay_is(S("0.5"), 1000);
    delay_is(S("12.345"), 13000);
    delay_is(S("99999999999"), HTTP_RETRY_AFTER_MS_MAX);
}

Test(retry_after, reads_dates)
{
    delay_is(S("Sun, 06 Nov 1994 08:50:37 GMT"), 60000);
    delay_is(S("Sun, 06 Nov 1994 08:00:00 GMT"), 0);
    delay_is(S("Sun, 06 Nov 2094 08:00:00 GMT"), HTTP_RETRY_AFTER_MS_MAX);
}

Test(retry_after, refuses_anything_else)
{
    uint64_t delay_ms;

    cr_assert_not(http_retry_after_parse(S(""), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("-1"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("1s"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("1."), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S(".5"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("1.2.3"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("soon"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("Sunday, 06-Nov-94 08:49:37 GMT"), now_ms, &delay_ms));
    cr_assert_not(http_retry_after_parse(S("99999999999999999999999"), now_ms, &delay_ms));
}
