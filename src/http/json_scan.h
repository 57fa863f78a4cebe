#ifndef R2A_HTTP_JSON_SCAN_H
#define R2A_HTTP_JSON_SCAN_H

#include "bytes.h"
#include "r2a/http/json_balance.h"

/* Goes on through the object or array that `balance` is in, from *scan_at of the `len` bytes at
 * `base`: its size once its brackets balance, else 0 with *scan_at at `len`. Tells strings from
 * brackets and nothing more; whether it is JSON is for whoever reads it. */
static inline uint32_t scan_json_balanced(struct json_balance *balance, const char *base,
                                          uint32_t len, uint32_t *scan_at)
{
    const char *end = base + len;
    const char *at = base + *scan_at;

    while (at < end) {
        if (balance->in_escape) {
            balance->in_escape = false;
            at++;
        } else if (balance->in_string) {
            at = scan_json_string(at, end);
            if (at == end)
                break;
            balance->in_escape = *at == '\\';
            balance->in_string = balance->in_escape;
            at++;
        } else {
            at = scan_json_mark(at, end);
            if (at == end)
                break;
            if (*at == '"')
                balance->in_string = true;
            else if (*at == '{' || *at == '[')
                balance->depth++;
            else
                balance->depth--;
            at++;
            if (balance->depth == 0)
                return (uint32_t)(at - base);
        }
    }
    *scan_at = len;
    return 0;
}

#endif
