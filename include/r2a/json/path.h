#ifndef R2A_JSON_PATH_H
#define R2A_JSON_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/slice.h"
#include "r2a/json/scan.h"

/* One pass over a JSON object that validates all of it (RFC 8259) and picks named members of the
 * root, and of objects directly under the root ("stream_options.include_usage"). This is how a
 * relayed body is read: never decoded, always checked. */
struct json_pick {
    struct slice key;    /* member of the root object */
    struct slice subkey; /* member of that member when it is an object, else empty */
    bool is_unique;      /* a second occurrence at this level is R2A_ERR_JSON_DUPLICATE */
};

struct json_found {
    enum json_token kind; /* JSON_ERROR (0): not present */
    struct slice raw;     /* the exact bytes of the value, quotes or brackets included; a string's
                             inside is raw minus 2 */
    struct slice key_raw; /* the key, quotes included */
};

/* Picks `count` members. `memo` (may be NULL) notes long strings for a second pass. On error
 * `*offset` is the byte offset; the root must be an object (else R2A_ERR_JSON_TYPE). */
enum r2a_err json_pick(struct slice body, const struct json_pick *picks, uint32_t count,
                       struct json_found *found, struct json_memo *memo, uint64_t *offset);

#endif
