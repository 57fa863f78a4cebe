#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "r2a/json/scan.h"
#include "support/guard.h"
#include "support/random.h"

static bool to_int(const char *z, int64_t *value)
{
    const size_t len = strlen(z);
    const char *const copy = guard_copy(z, len);
    const bool result = json_number_int(slice_of(copy, len), value);

    guard_free(copy, len);
    return result;
}

Test(json_number, takes_integers_in_any_spelling)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0.0", 0},
        {"-0.000e5", 0},
        {"0e400", 0},
        {"0e-400", 0},
        {"0e99999999999999999999", 0},
        {"1", 1},
        {"-1", -1},
        {"10", 10},
        {"100200300", 100200300},
        {"5.0", 5},
        {"5.000000000000000000000000000000000", 5},
        {"1e2", 100},
        {"1E+2", 100},
        {"1.5e1", 15},
        {"12.50e1", 125},
        {"1200e-2", 12},
        {"0.001e3", 1},
        {"0.00000000000000000000000000001e29", 1},
        {"100000000000000000000000e-23", 1},
        {"100000000000000000000e-2", 1000000000000000000},
        {"1e18", 1000000000000000000},
        {"9007199254740993", 9007199254740993},
        {"1234567890123456789", 1234567890123456789},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775807.0", INT64_MAX},
        {"922337203685477580.7e1", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-9223372036854775807", -INT64_MAX},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 77;

        cr_assert(to_int(cases[i].text, &value), "%s", cases[i].text);
        cr_assert_eq(value, cases[i].value, "%s: %lld", cases[i].text, (long long)value);
    }
}

Test(json_number, refuses_what_is_no_int64)
{
    static const char *const cases[] = {
        "0.5",
        "1.5",
        "-1.000000000000000000000000000000000001",
        "1e-1",
        "15e-1",
        "1e-400",
        "1e-99999999999999999999",
        "1e19",
        "1e400",
        "-1e400",
        "1e99999999999999999999",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
        "12345678901234567890",
        "123456789012345678901234567890",
        "123456789012345678901234567890e-12",
        "92233720368547758070.5",
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 77;

        cr_assert_not(to_int(cases[i], &value), "%s: %lld", cases[i], (long long)value);
    }
}

Test(json_number, round_trips_every_integer)
{
    struct random random = {3};

    for (int i = 0; i < 20000; i++) {
        const int64_t number = (int64_t)(random_next(&random) >> random_between(&random, 0, 63)) *
                               (i % 2 == 0 ? 1 : -1);
        char text[64];
        int64_t value;
        int len = snprintf(text, sizeof text, "%lld", (long long)number);

        cr_assert(json_number_int(slice_of(text, (size_t)len), &value));
        cr_assert_eq(value, number);
        len = snprintf(text, sizeof text, "%lld000e-3", (long long)number);
        cr_assert(json_number_int(slice_of(text, (size_t)len), &value), "%s", text);
        cr_assert_eq(value, number);
    }
}

static double to_double(const char *z)
{
    return json_number_double(slice_from_z(z));
}

Test(json_number, is_close_to_the_double)
{
    static const char *const cases[] = {
        "0",
        "-0",
        "1",
        "-1",
        "0.5",
        "1.5",
        "0.1",
        "0.7",
        "1e2",
        "1e-2",
        "123456.789e3",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "12345678901234567890",
        "123456789012345678901234567890123456789",
        "0.000000000000000000000000000001",
        "3.14159265358979323846264338327950288419716939937510",
        "1e22",
        "1e23",
        "1e300",
        "1e-300",
        "9007199254740993",
        "0.0000000000000000000000000000000000000000000000000000000001e60",
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double want = strtod(cases[i], NULL);
        const double got = to_double(cases[i]);

        cr_assert(fabs(got - want) <= fabs(want) * 4 * DBL_EPSILON, "%s: %.17g, not %.17g",
                  cases[i], got, want);
    }
    cr_assert(signbit(to_double("-0")));
}

Test(json_number, leaves_the_range_of_double_gracefully)
{
    cr_assert_eq(to_double("1e400"), (double)INFINITY);
    cr_assert_eq(to_double("-1e400"), -(double)INFINITY);
    cr_assert_eq(to_double("1e99999999999999999999"), (double)INFINITY);
    cr_assert_eq(to_double("1e-400"), 0.0);
    cr_assert_eq(to_double("1e-99999999999999999999"), 0.0);
    cr_assert_eq(to_double("0e400"), 0.0);
    cr_assert_eq(to_double("1234567890123456789e-400"), 0.0);
}
