#ifndef R2A_TESTS_SUPPORT_IS_JSON_H
#define R2A_TESTS_SUPPORT_IS_JSON_H

#include "r2a/json/scan.h"

/* Whether a text is one JSON value, whole, and nothing beside it. */
static inline bool is_json(struct slice text)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, text);
    do
        token = json_next(&scan);
    while (token != JSON_END && token != JSON_ERROR);
    return token == JSON_END;
}

#endif
