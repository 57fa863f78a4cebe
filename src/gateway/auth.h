#ifndef R2A_GATEWAY_AUTH_H
#define R2A_GATEWAY_AUTH_H

#include "r2a/core/hash.h"
#include "r2a/gateway/config.h"

/* The client's key in any of its forms (Authorization: Bearer, x-api-key, x-goog-api-key, ?key=);
 * each may be empty. An empty form falls through to the next. */
struct auth_offer {
    struct slice authorization; /* header value, whole */
    struct slice x_api_key;
    struct slice x_goog_api_key;
    struct slice query_key; /* percent-decoded */
};

enum auth_result { AUTH_OK, AUTH_MISSING, AUTH_WRONG, AUTH_DISABLED };

#define AUTH_MEMO_ENTRIES 64u

/* Digests of keys that were right lately, so that a busy client's key does not go through SHA-256
 * with each request. Holds no key: an entry is found by a keyed tag of 128 bits that nobody outside
 * can compute. What a digest is worth, the configuration of the moment says. One a worker; all zero
 * is empty. */
struct auth_memo {
    uint64_t secret[2];
    struct auth_memo_entry {
        uint64_t tag[2];
        uint8_t digest[SHA256_BYTES];
    } entries[AUTH_MEMO_ENTRIES];
};

/* Compared in constant time over all keys and forms. No api_keys configured: AUTH_OK with *key
 * NULL. */
enum auth_result auth_check(const struct config *config, const struct auth_offer *offer,
                            struct auth_memo *memo, const struct cfg_key **key);
/* The admin key, in any form. */
bool auth_is_admin(const struct config *config, const struct auth_offer *offer);

#endif
