#ifndef R2A_HTTP_DATE_H
#define R2A_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* IMF-fixdate (RFC 9110 §5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". Times are seconds since 1970,
 * UTC; the clock is the caller's. */
#define HTTP_DATE_BYTES 29u

/* 0 <= seconds < year 10000. Writes HTTP_DATE_BYTES, no NUL. */
void http_date_write(char out[HTTP_DATE_BYTES], int64_t seconds);
/* The IMF form alone: the two obsolete ones are refused. The day's name is not checked. */
bool http_date_parse(struct slice date, int64_t *seconds);
/* Retry-After (RFC 9110 §10.2.3): delay-seconds (a fraction is tolerated, rounded up) or a date.
 * The delay in milliseconds from `now_seconds`, never negative, at most a year; false when it is
 * neither. */
bool http_retry_after_parse(struct slice value, int64_t now_seconds, uint64_t *delay_ms);

#endif
