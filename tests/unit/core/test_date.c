#include "r2a/core/date.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "r2a/core/check.h"

static struct slice rfc3339(int64_t ms)
{
    static char text[DATE_RFC3339_BYTES];

    date_write_rfc3339(text, ms);
    return slice_of(text, sizeof(text));
}

static struct slice http(int64_t ms)
{
    static char text[DATE_HTTP_BYTES];

    date_write_http(text, ms);
    return slice_of(text, sizeof(text));
}

Test(date, writes_known_times)
{
    cr_assert(slice_eq(rfc3339(0), S("1970-01-01T00:00:00.000Z")));
    cr_assert(slice_eq(rfc3339(784111777123), S("1994-11-06T08:49:37.123Z")));
    cr_assert(slice_eq(http(784111777000), S("Sun, 06 Nov 1994 08:49:37 GMT")));
    cr_assert(slice_eq(http(0), S("Thu, 01 Jan 1970 00:00:00 GMT")));
    cr_assert(slice_eq(rfc3339(951827696789), S("2000-02-29T12:34:56.789Z")));
}

Test(date, clamps_what_has_no_four_digit_year)
{
    cr_assert(slice_eq(rfc3339(-1), S("1970-01-01T00:00:00.000Z")));
    cr_assert(slice_eq(rfc3339(INT64_MAX), S("9999-12-31T23:59:59.999Z")));
    cr_assert(slice_eq(http(INT64_MAX), S("Fri, 31 Dec 9999 23:59:59 GMT")));
}

/* Every day of several centuries, against the C library's calendar. */
Test(date, agrees_with_gmtime_for_every_day)
{
    for (int64_t day = 0; day < 365 * 450; day++) {
        int64_t ms = day * 86400000 + (day * 7919 % 86400) * 1000 + day % 1000;
        time_t seconds = (time_t)(ms / 1000);
        struct date date = date_from_ms(ms);
        struct tm tm;

        cr_assert_not_null(gmtime_r(&seconds, &tm));
        cr_assert_eq(date.year, tm.tm_year + 1900);
        cr_assert_eq(date.month, tm.tm_mon + 1);
        cr_assert_eq(date.day, tm.tm_mday);
        cr_assert_eq(date.weekday, tm.tm_wday);
        cr_assert_eq(date.hour, tm.tm_hour);
        cr_assert_eq(date.minute, tm.tm_min);
        cr_assert_eq(date.second, tm.tm_sec);
        cr_assert_eq(date.ms, ms % 1000);
        cr_assert_eq(date_to_ms(&date), ms);
    }
}

Test(date, reads_back_what_it_writes)
{
    for (int64_t ms = 0; ms < 253402300799999; ms += 123456789123) {
        int64_t back = -1;

        cr_assert(date_parse_http(http(ms), &back) && back == ms / 1000 * 1000);
    }
}

Test(date, refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Xun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
    };
    int64_t ms = 5;

    for (size_t i = 0; i < array_count(bad); i++)
        cr_assert_not(date_parse_http(slice_from_z(bad[i]), &ms), "%s", bad[i]);
    cr_assert_eq(ms, 5);
}

Test(date, fields_out_of_range_are_a_bug, .signal = SIGABRT)
{
    struct date date = {.year = 2024, .month = 13, .day = 1};

    (void)date_to_ms(&date);
}
