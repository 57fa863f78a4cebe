#ifndef R2A_GATEWAY_AUTH_H
#define R2A_GATEWAY_AUTH_H

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

/* Compared in constant time over all keys and forms. No api_keys configured: AUTH_OK with *key
 * NULL. */
enum auth_result auth_check(const struct config *config, const struct auth_offer *offer,
                            const struct cfg_key **key);
/* The admin key, in any form. */
bool auth_is_admin(const struct config *config, const struct auth_offer *offer);

#endif
