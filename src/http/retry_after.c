/* When a peer wants to be asked again. */
#include "r2a/http/retry_after.h"

#include "bytes.h"
#include "r2a/core/date.h"
#include "r2a/http/header.h"

bool http_retry_after_parse(struct slice value, int64_t now_ms, uint64_t *delay_ms)
{
    struct slice text = http_trim(value);
    struct slice whole = text;
    const char *dot = text.len > 0 ? memchr(text.ptr, '.', text.len) : NULL;
    uint64_t seconds;
    int64_t at_ms;

    if (dot != NULL) {
        const char *end = text.ptr + text.len;

        if (dot + 1 == end || scan_class_plain(dot + 1, end, BYTE_DIGIT) != end)
            return false;
        whole = slice_between(text.ptr, dot);
    }
    if (http_u64_parse(whole, &seconds)) {
        if (seconds >= HTTP_RETRY_AFTER_MS_MAX / 1000)
            *delay_ms = HTTP_RETRY_AFTER_MS_MAX;
        else
            *delay_ms = (seconds + (dot != NULL)) * 1000;
        return true;
    }
    if (dot != NULL || !date_parse_http(text, &at_ms))
        return false;
    *delay_ms = at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0;
    if (*delay_ms > HTTP_RETRY_AFTER_MS_MAX)
        *delay_ms = HTTP_RETRY_AFTER_MS_MAX;
    return true;
}
