/* Who asks: a client's key in whatever form its SDK sends it, against the digests of the
 * configuration. Every form is compared with every key, whatever was found before, so that the time
 * taken says nothing. */
#include "auth.h"

#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"

#define FORMS 4u

struct digests {
    uint8_t bytes[FORMS][SHA256_BYTES];
    uint32_t count;
};

/* The token of a Bearer header; what names no scheme is taken as a key of its own. */
static struct slice bearer_of(struct slice value)
{
    value = str_trim(value);
    if (str_eq_nocase(value, S("bearer")))
        return (struct slice){0};
    if (str_starts_nocase(value, S("bearer ")))
        return str_trim(slice_skip(value, 7));
    return str_find_char(value, ' ') < value.len ? (struct slice){0} : value;
}

static void digest(struct digests *digests, struct slice key)
{
    if (key.len > 0)
        sha256_of(key, digests->bytes[digests->count++]);
}

static void digest_all(const struct auth_offer *offer, struct digests *digests)
{
    digests->count = 0;
    digest(digests, str_trim(offer->x_api_key));
    digest(digests, bearer_of(offer->authorization));
    digest(digests, str_trim(offer->x_goog_api_key));
    digest(digests, offer->query_key);
}

static bool is_offered(const struct digests *digests, const uint8_t *wanted)
{
    bool is_found = false;

    for (uint32_t i = 0; i < digests->count; i++)
        is_found |= hash_equal(slice_of((const char *)digests->bytes[i], SHA256_BYTES),
                               slice_of((const char *)wanted, SHA256_BYTES));
    return is_found;
}

enum auth_result auth_check(const struct config *config, const struct auth_offer *offer,
                            const struct cfg_key **key)
{
    const struct cfg_key *found = NULL;
    struct digests digests;

    *key = NULL;
    if (config->keys_count == 0)
        return AUTH_OK;
    digest_all(offer, &digests);
    if (digests.count == 0)
        return AUTH_MISSING;
    for (uint32_t i = 0; i < config->keys_count; i++) {
        const struct cfg_key *candidate = &config->keys[i];

        if (is_offered(&digests, candidate->digest) && (found == NULL || found->is_disabled))
            found = candidate;
    }
    if (found == NULL)
        return AUTH_WRONG;
    if (found->is_disabled)
        return AUTH_DISABLED;
    *key = found;
    return AUTH_OK;
}

bool auth_is_admin(const struct config *config, const struct auth_offer *offer)
{
    struct digests digests;

    if (!config->has_admin_key)
        return false;
    digest_all(offer, &digests);
    return is_offered(&digests, config->admin_digest);
}
