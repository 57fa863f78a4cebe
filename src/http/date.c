/* HTTP dates by civil-calendar arithmetic: no time zone, no locale, no libc clock functions. */
#include "r2a/http/date.h"

#include "bytes.h"
#include "r2a/core/check.h"
#include "r2a/http/header.h"

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 1..12. Years are
 * counted from March, so that the leap day is a year's last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t shifted = year - (month <= 2);
    int64_t era = shifted / 400;
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month + (month > 2 ? 0u : 12u) - 3) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void put_two(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

void http_date_write(char out[HTTP_DATE_BYTES], int64_t seconds)
{
    int64_t days = seconds / 86400;
    unsigned second = (unsigned)(seconds % 86400);
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (unsigned)((5 * day_of_year + 2) / 153);
    unsigned day = (unsigned)(day_of_year - (153 * (int64_t)month_from_march + 2) / 5 + 1);
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = (unsigned)(year_of_era + era * 400 + (month <= 2));

    check(seconds >= 0 && year < 10000);
    memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_BYTES);
    memcpy(out, day_names + (days + 4) % 7 * 3, 3);
    put_two(out + 5, day);
    memcpy(out + 8, month_names + (size_t)(month - 1) * 3, 3);
    put_two(out + 12, year / 100);
    put_two(out + 14, year % 100);
    put_two(out + 17, second / 3600);
    put_two(out + 20, second / 60 % 60);
    put_two(out + 23, second % 60);
}

/* Two digits, or a number no field admits. */
static unsigned two(const char *at)
{
    if (!byte_is(at[0], BYTE_DIGIT) || !byte_is(at[1], BYTE_DIGIT))
        return 100;
    return (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
}

bool http_date_parse(struct slice date, int64_t *seconds)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *at = date.ptr;
    unsigned day, month, century, year_of_century, hour, minute, second, year;
    bool is_leap;

    if (date.len != HTTP_DATE_BYTES || memcmp(at + 3, ", ", 2) != 0 || at[7] != ' ' ||
        at[11] != ' ' || at[16] != ' ' || at[19] != ':' || at[22] != ':' ||
        memcmp(at + 25, " GMT", 4) != 0)
        return false;
    for (month = 0; month < 12 && memcmp(at + 8, month_names + (size_t)month * 3, 3) != 0;)
        month++;
    day = two(at + 5);
    century = two(at + 12);
    year_of_century = two(at + 14);
    hour = two(at + 17);
    minute = two(at + 20);
    second = two(at + 23);
    if (month == 12 || century > 99 || year_of_century > 99 || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    year = century * 100 + year_of_century;
    is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > month_days[month] + (month == 1 && is_leap ? 1u : 0u))
        return false;
    *seconds = days_of(year, month + 1, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

bool http_retry_after_parse(struct slice value, int64_t now_seconds, uint64_t *delay_ms)
{
    const uint64_t delay_seconds_max = 366 * UINT64_C(86400);
    struct slice whole = http_trim(value);
    uint64_t delay;
    int64_t at;
    const char *dot = whole.len > 0 ? memchr(whole.ptr, '.', whole.len) : NULL;

    if (dot != NULL) {
        struct slice fraction = slice_between(dot + 1, whole.ptr + whole.len);
        const char *end = fraction.ptr + fraction.len;

        if (fraction.len == 0 || scan_class_plain(fraction.ptr, end, BYTE_DIGIT) != end)
            return false;
        whole = slice_between(whole.ptr, dot);
    }
    if (http_u64_parse(whole, &delay)) {
        if (dot != NULL && delay < delay_seconds_max)
            delay++;
    } else if (dot == NULL && http_date_parse(whole, &at)) {
        delay = at > now_seconds ? (uint64_t)(at - now_seconds) : 0;
    } else {
        return false;
    }
    *delay_ms = (delay < delay_seconds_max ? delay : delay_seconds_max) * 1000;
    return true;
}
