/* Calendar arithmetic on days counted from 0000-03-01, so that the leap day ends a year and a
 * month's first day is a linear formula (the "days from civil" construction). */
#include "r2a/core/date.h"

#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"

#define DAY_MS      86400000
#define TIME_MS_MAX 253402300799999 /* 9999-12-31T23:59:59.999Z */
#define ERA_DAYS    146097          /* 400 years */
#define EPOCH_DAYS  719468          /* 0000-03-01 … 1970-01-01 */

static int64_t days_from_date(int32_t year, int32_t month, int32_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y % 400;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

struct date date_from_ms(int64_t unix_ms)
{
    int64_t days, rest, era, day_of_era, year_of_era, day_of_year, month_from_march;
    struct date date = {0};

    if (unix_ms < 0)
        unix_ms = 0;
    if (unix_ms > TIME_MS_MAX)
        unix_ms = TIME_MS_MAX;
    days = unix_ms / DAY_MS;
    rest = unix_ms % DAY_MS;

    date.weekday = (int32_t)((days + 4) % 7); /* 1970-01-01 was a Thursday */
    date.ms = (int32_t)(rest % 1000);
    date.second = (int32_t)(rest / 1000 % 60);
    date.minute = (int32_t)(rest / 60000 % 60);
    date.hour = (int32_t)(rest / 3600000);

    days += EPOCH_DAYS;
    era = days / ERA_DAYS;
    day_of_era = days % ERA_DAYS;
    year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA_DAYS - 1)) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month_from_march = (5 * day_of_year + 2) / 153;
    date.day = (int32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    date.month = (int32_t)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    date.year = (int32_t)(year_of_era + era * 400 + (date.month <= 2 ? 1 : 0));
    return date;
}

static bool is_leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_in_range(const struct date *date)
{
    static const int32_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (date->year < 1970 || date->year > 9999 || date->month < 1 || date->month > 12)
        return false;
    if (date->day < 1 ||
        date->day > month_days[date->month - 1] + (date->month == 2 && is_leap(date->year)))
        return false;
    return date->hour >= 0 && date->hour < 24 && date->minute >= 0 && date->minute < 60 &&
           date->second >= 0 && date->second < 60 && date->ms >= 0 && date->ms < 1000;
}

int64_t date_to_ms(const struct date *date)
{
    check(is_in_range(date));
    return days_from_date(date->year, date->month, date->day) * DAY_MS +
           (int64_t)date->hour * 3600000 + (int64_t)date->minute * 60000 +
           (int64_t)date->second * 1000 + date->ms;
}

/* --- write --- */

/* `digits` decimal digits, zeros in front. */
static char *put(char *to, int32_t value, int32_t digits)
{
    for (int32_t i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + digits;
}

static char *put_text(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

void date_write_rfc3339(char to[DATE_RFC3339_BYTES], int64_t unix_ms)
{
    struct date date = date_from_ms(unix_ms);

    to = put(to, date.year, 4);
    *to++ = '-';
    to = put(to, date.month, 2);
    *to++ = '-';
    to = put(to, date.day, 2);
    *to++ = 'T';
    to = put(to, date.hour, 2);
    *to++ = ':';
    to = put(to, date.minute, 2);
    *to++ = ':';
    to = put(to, date.second, 2);
    *to++ = '.';
    to = put(to, date.ms, 3);
    *to = 'Z';
}

/* Rows of three letters, not terminated. */
static const char weekdays[7][3] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][3] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void date_write_http(char to[DATE_HTTP_BYTES], int64_t unix_ms)
{
    struct date date = date_from_ms(unix_ms);

    to = put_text(to, weekdays[date.weekday], 3);
    to = put_text(to, ", ", 2);
    to = put(to, date.day, 2);
    *to++ = ' ';
    to = put_text(to, months[date.month - 1], 3);
    *to++ = ' ';
    to = put(to, date.year, 4);
    *to++ = ' ';
    to = put(to, date.hour, 2);
    *to++ = ':';
    to = put(to, date.minute, 2);
    *to++ = ':';
    to = put(to, date.second, 2);
    (void)put_text(to, " GMT", 4);
}

/* --- read --- */

/* Takes `digits` decimal digits from the front. */
static bool take_number(struct slice *s, size_t digits, int32_t *value)
{
    int32_t sum = 0;

    if (s->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (!char_is_digit(s->ptr[i]))
            return false;
        sum = sum * 10 + (s->ptr[i] - '0');
    }
    *value = sum;
    *s = slice_skip(*s, digits);
    return true;
}

static bool take_char(struct slice *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

static bool take_time(struct slice *s, struct date *date)
{
    return take_number(s, 2, &date->hour) && take_char(s, ':') &&
           take_number(s, 2, &date->minute) && take_char(s, ':') &&
           take_number(s, 2, &date->second);
}

/* Takes a name from the front: its index, or -1; letter case counts (RFC 9110). */
static int32_t take_name(struct slice *s, const char (*names)[3], int32_t count)
{
    if (s->len < 3)
        return -1;
    for (int32_t i = 0; i < count; i++) {
        if (memcmp(s->ptr, names[i], 3) == 0) {
            *s = slice_skip(*s, 3);
            return i;
        }
    }
    return -1;
}

bool date_parse_http(struct slice s, int64_t *unix_ms)
{
    struct date date = {0};

    if (s.len != DATE_HTTP_BYTES)
        return false;
    if (take_name(&s, weekdays, 7) < 0 || !take_char(&s, ',') || !take_char(&s, ' ') ||
        !take_number(&s, 2, &date.day) || !take_char(&s, ' '))
        return false;
    date.month = take_name(&s, months, 12) + 1;
    if (date.month == 0 || !take_char(&s, ' ') || !take_number(&s, 4, &date.year) ||
        !take_char(&s, ' ') || !take_time(&s, &date) || !slice_eq(s, S(" GMT")))
        return false;
    if (date.second == 60)
        date.second = 59;
    if (!is_in_range(&date))
        return false;
    *unix_ms = date_to_ms(&date);
    return true;
}
