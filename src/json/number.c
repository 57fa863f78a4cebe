/* Values of JSON numbers. Numbers travel as their source text; only what the gateway itself acts on
 * (token counts, limits, temperatures to clamp) is ever evaluated, here. Input is a number the
 * scanner accepted. */
#include "r2a/json/scan.h"

struct decimal {
    uint64_t digits;  /* significant digits, without trailing zeros, at most 19 of them */
    int64_t exponent; /* value = digits * 10^exponent */
    bool is_negative;
    bool is_cut; /* there were more digits than that */
};

/* Beyond it every exponent is far outside any range, also against the digits of the longest text.
 */
#define EXPONENT_MAX INT64_C(1000000000000000)

static bool is_digit(char c)
{
    return (uint8_t)(c - '0') <= 9;
}

static struct decimal parse(struct slice number)
{
    struct decimal decimal = {0};
    const char *p = number.ptr;
    const char *const end = number.ptr + number.len;
    int64_t zeros = 0; /* seen since the last significant digit */
    int64_t exponent = 0;
    int32_t count = 0;
    bool is_fraction = false;

    if (p != end && *p == '-') {
        decimal.is_negative = true;
        p++;
    }
    for (; p != end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        decimal.exponent -= is_fraction;
        if (*p == '0') {
            zeros += count > 0;
        } else if (decimal.is_cut || count + zeros + 1 > 19) {
            decimal.is_cut = true;
            zeros++; /* its magnitude still counts */
        } else {
            for (; zeros > 0; zeros--, count++)
                decimal.digits *= 10;
            decimal.digits = decimal.digits * 10 + (uint64_t)(*p - '0');
            count++;
        }
    }
    if (p != end) { /* e */
        bool is_negative = false;

        p++;
        if (p != end && (*p == '+' || *p == '-'))
            is_negative = *p++ == '-';
        for (; p != end && is_digit(*p); p++)
            if (exponent < EXPONENT_MAX)
                exponent = exponent * 10 + (*p - '0');
        if (is_negative)
            exponent = -exponent;
    }
    decimal.exponent += exponent + zeros;
    return decimal;
}

/* Nearly every integer is a few digits. */
static bool read_short(struct slice number, int64_t *value)
{
    int64_t sum = 0;

    if (number.len > 18)
        return false;
    for (size_t i = 0; i < number.len; i++) {
        if (!is_digit(number.ptr[i]))
            return false;
        sum = sum * 10 + (number.ptr[i] - '0');
    }
    *value = sum;
    return true;
}

static bool read_long(struct slice number, int64_t *value)
{
    const struct decimal decimal = parse(number);
    uint64_t magnitude = decimal.digits;

    if (magnitude == 0) {
        *value = 0;
        return true;
    }
    /* Twenty significant digits are fractional or beyond int64. */
    if (decimal.is_cut || decimal.exponent < 0 || decimal.exponent > 18)
        return false;
    for (int64_t i = 0; i < decimal.exponent; i++)
        if (__builtin_mul_overflow(magnitude, UINT64_C(10), &magnitude))
            return false;
    if (magnitude > (uint64_t)INT64_MAX + decimal.is_negative)
        return false;
    *value = (int64_t)(decimal.is_negative ? -magnitude : magnitude);
    return true;
}

bool json_number_int(struct slice number, int64_t *value)
{
    return read_short(number, value) || read_long(number, value);
}

double json_number_double(struct slice number)
{
    static const double powers[] = {1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256};
    const struct decimal decimal = parse(number);
    double value = (double)decimal.digits;
    uint64_t exponent;

    /* Nineteen digits and 10^-343 are below the smallest double, 10^309 above the largest. */
    if (decimal.exponent > 308)
        exponent = 309;
    else if (decimal.exponent < -342)
        exponent = 343;
    else
        exponent = (uint64_t)(decimal.exponent < 0 ? -decimal.exponent : decimal.exponent);
    for (uint32_t i = 0; exponent != 0 && decimal.digits != 0; i++, exponent >>= 1) {
        if ((exponent & 1) == 0)
            continue;
        if (decimal.exponent < 0)
            value /= powers[i];
        else
            value *= powers[i];
    }
    return decimal.is_negative ? -value : value;
}
