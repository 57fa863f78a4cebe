#ifndef R2A_CORE_DATE_H
#define R2A_CORE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* Times as text, without locale or time zone files. A time is milliseconds since 1970-01-01 UTC;
 * years 1970 … 9999, others are clamped when written and refused when read. */

struct date {
    int32_t year;
    int32_t month;   /* 1 … 12 */
    int32_t day;     /* 1 … 31 */
    int32_t weekday; /* 0 is Sunday */
    int32_t hour;
    int32_t minute;
    int32_t second;
    int32_t ms;
};

struct date date_from_ms(int64_t unix_ms);
/* Fields must be in range. */
int64_t date_to_ms(const struct date *date);

#define DATE_RFC3339_BYTES 24u /* 2026-11-21T17:12:27.123Z */
#define DATE_HTTP_BYTES    29u /* Sun, 06 Nov 1994 08:49:37 GMT */

/* Each writes exactly its number of bytes, not terminated. */
void date_write_rfc3339(char to[DATE_RFC3339_BYTES], int64_t unix_ms);
/* IMF-fixdate, RFC 9110 5.6.7. */
void date_write_http(char to[DATE_HTTP_BYTES], int64_t unix_ms);

/* IMF-fixdate only; the weekday is not compared. */
bool date_parse_http(struct slice s, int64_t *unix_ms);

#endif
