#ifndef R2A_HTTP_JSON_BALANCE_H
#define R2A_HTTP_JSON_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

/* How far into an object or array of JSON text a reader is, kept between pieces of input. All zero
 * before its opening bracket. */
struct json_balance {
    uint32_t depth; /* brackets open */
    bool in_string;
    bool in_escape; /* the byte after a backslash comes next */
};

#endif
