#ifndef R2A_JSON_PATH_H
#define R2A_JSON_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/slice.h"
#include "r2a/json/scan.h"

/* One pass over a JSON object that validates all of it (RFC 8259) and picks named members of the
 * root, and of objects directly under the root ("stream_options.include_usage"). This is how a
 * relayed body is read: never decoded, always checked. Keys are compared unescaped. */
#define JSON_PICKS_MAX 64u /* picks of one call: a bit each */

struct json_pick {
    struct slice key;    /* member of the root object, plain ASCII */
    struct slice subkey; /* member of that member when it is an object, else empty */
    bool is_unique;      /* a second occurrence of `key`, or of `subkey` within it, is an error */
};

struct json_found {
    enum json_token kind; /* its first token; JSON_ERROR (0): not present */
    struct slice raw;     /* the exact bytes of the value, quotes or brackets included */
    struct slice key_raw; /* the key (of a subkey pick: that one), quotes included */
};

/* Picks `count` members into `found[0..count)`, which borrow from `body`. Of a member that occurs
 * more than once (and is not unique) the last counts, as with most readers; a subkey then counts
 * only inside that last one.
 *
 * `memo` (may be NULL) notes long strings for a second pass. Returns R2A_OK, or the error with its
 * byte offset in `*offset`: a syntax error, R2A_ERR_JSON_TYPE when the root is no object,
 * R2A_ERR_JSON_DUPLICATE at the second key. After an error `found` is not to be used. */
enum r2a_err json_pick(struct slice body, const struct json_pick *picks, uint32_t count,
                       struct json_found *found, struct json_memo *memo, uint64_t *offset);

#endif
