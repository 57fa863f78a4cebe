#ifndef R2A_HTTP_RETRY_AFTER_H
#define R2A_HTTP_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* Longer delays are cut to this: a year. */
#define HTTP_RETRY_AFTER_MS_MAX UINT64_C(31622400000)

/* Retry-After (RFC 9110 §10.2.3): seconds (a fraction is tolerated, rounded up to a second) or an
 * IMF date. The delay from `now_ms` (unix time), never negative; false when it is neither. */
bool http_retry_after_parse(struct slice value, int64_t now_ms, uint64_t *delay_ms);

#endif
