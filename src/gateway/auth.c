/* Who asks: a client's key in whatever form its SDK sends it, against the digests of the
 * configuration. Every form is compared with every key, whatever was found before, so that the time
 * taken says nothing. */
#include "auth.h"

#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"

#define FORMS 4u

struct digests {
    uint8_t bytes[FORMS][SHA256_BYTES];
    struct auth_memo_entry *entry[FORMS]; /* where it is not kept yet */
    uint64_t tag[FORMS][2];
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

/* Fills the next digest from what is kept, or by computing it. */
static void digest(struct digests *digests, struct auth_memo *memo, struct slice key)
{
    uint32_t at = digests->count;
    uint64_t *tag = digests->tag[at];
    struct auth_memo_entry *entry = NULL;

    if (key.len == 0)
        return;
    digests->count++;
    if (memo) {
        siphash(memo->secret, key, tag);
        entry = &memo->entries[tag[0] % AUTH_MEMO_ENTRIES];
        if (entry->tag[0] == tag[0] && entry->tag[1] == tag[1]) {
            memcpy(digests->bytes[at], entry->digest, SHA256_BYTES);
            return;
        }
    }
    sha256_of(key, digests->bytes[at]);
    digests->entry[at] = entry;
}

static void digest_all(const struct auth_offer *offer, struct auth_memo *memo,
                       struct digests *digests)
{
    memset(digests->entry, 0, sizeof(digests->entry));
    digests->count = 0;
    digest(digests, memo, str_trim(offer->x_api_key));
    digest(digests, memo, bearer_of(offer->authorization));
    digest(digests, memo, str_trim(offer->x_goog_api_key));
    digest(digests, memo, offer->query_key);
}

/* Only what was right is kept: a stranger's guesses push nothing out. */
static void keep(const struct digests *digests, const uint8_t *right)
{
    for (uint32_t i = 0; i < digests->count; i++) {
        struct auth_memo_entry *entry = digests->entry[i];

        if (entry == NULL || memcmp(digests->bytes[i], right, SHA256_BYTES) != 0)
            continue;
        memcpy(entry->tag, digests->tag[i], sizeof(entry->tag));
        memcpy(entry->digest, right, SHA256_BYTES);
    }
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
                            struct auth_memo *memo, const struct cfg_key **key)
{
    const struct cfg_key *found = NULL;
    struct digests digests;

    *key = NULL;
    if (config->keys_count == 0)
        return AUTH_OK;
    if (memo->secret[0] == 0)
        random_bytes(memo->secret, sizeof(memo->secret));
    digest_all(offer, memo, &digests);
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
    keep(&digests, found->digest);
    *key = found;
    return AUTH_OK;
}

bool auth_is_admin(const struct config *config, const struct auth_offer *offer)
{
    struct digests digests;

    if (!config->has_admin_key)
        return false;
    digest_all(offer, NULL, &digests);
    return is_offered(&digests, config->admin_digest);
}
