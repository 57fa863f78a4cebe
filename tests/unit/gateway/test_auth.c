#include "../../../src/gateway/auth.h"

#include "kit.h"

static struct config *config;
static struct auth_memo memo;

static void setup(void)
{
    memset(&memo, 0, sizeof(memo));
    config = kit_config("{\"api_keys\": [\"one\", {\"name\": \"bob\", \"key\": \"two\"}, "
                        "{\"name\": \"gone\", \"key\": \"three\", \"disabled\": true}], "
                        "\"admin\": {\"key\": \"boss\"}}");
}

static void teardown(void)
{
    config_unref(config);
}

TestSuite(auth, .init = setup, .fini = teardown);

static enum auth_result ask(struct auth_offer offer, const struct cfg_key **key)
{
    return auth_check(config, &offer, &memo, key);
}

Test(auth, takes_a_key_in_every_form)
{
    const struct cfg_key *key;

    cr_assert_eq(ask((struct auth_offer){.authorization = S("Bearer one")}, &key), AUTH_OK);
    cr_assert(slice_eq(key->name, S("key1")));
    cr_assert_eq(ask((struct auth_offer){.authorization = S("bearer  two ")}, &key), AUTH_OK);
    cr_assert(slice_eq(key->name, S("bob")));
    cr_assert_eq(ask((struct auth_offer){.authorization = S("two")}, &key), AUTH_OK);
    cr_assert_eq(ask((struct auth_offer){.x_api_key = S("two")}, &key), AUTH_OK);
    cr_assert_eq(ask((struct auth_offer){.x_goog_api_key = S("two")}, &key), AUTH_OK);
    cr_assert_eq(ask((struct auth_offer){.query_key = S("two")}, &key), AUTH_OK);
}

Test(auth, takes_the_one_form_that_is_right)
{
    const struct cfg_key *key;
    struct auth_offer offer = {.authorization = S("Bearer sk-placeholder"), .x_api_key = S("two")};

    cr_assert_eq(ask(offer, &key), AUTH_OK);
    cr_assert(slice_eq(key->name, S("bob")));
}

Test(auth, an_empty_form_is_none)
{
    const struct cfg_key *key;

    cr_assert_eq(ask((struct auth_offer){0}, &key), AUTH_MISSING);
    cr_assert_eq(ask((struct auth_offer){.authorization = S("Bearer ")}, &key), AUTH_MISSING);
    cr_assert_eq(ask((struct auth_offer){.authorization = S("Bearer")}, &key), AUTH_MISSING);
    cr_assert_eq(ask((struct auth_offer){.authorization = S("Basic b25lOg==")}, &key),
                 AUTH_MISSING);
    cr_assert_eq(
        ask((struct auth_offer){.authorization = S("Bearer "), .x_goog_api_key = S("one")}, &key),
        AUTH_OK);
}

Test(auth, refuses_the_rest)
{
    const struct cfg_key *key;

    cr_assert_eq(ask((struct auth_offer){.x_api_key = S("on")}, &key), AUTH_WRONG);
    cr_assert_null(key);
    cr_assert_eq(ask((struct auth_offer){.x_api_key = S("ONE")}, &key), AUTH_WRONG);
    cr_assert_eq(ask((struct auth_offer){.x_api_key = S("boss")}, &key), AUTH_WRONG);
    cr_assert_eq(ask((struct auth_offer){.x_api_key = S("three")}, &key), AUTH_DISABLED);
    cr_assert_null(key);
}

Test(auth, knows_the_admin)
{
    cr_assert(auth_is_admin(config, &(struct auth_offer){.authorization = S("Bearer boss")}));
    cr_assert(auth_is_admin(config, &(struct auth_offer){.query_key = S("boss")}));
    cr_assert_not(auth_is_admin(config, &(struct auth_offer){.x_api_key = S("one")}));
    cr_assert_not(auth_is_admin(config, &(struct auth_offer){0}));
}

static uint32_t kept(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < AUTH_MEMO_ENTRIES; i++)
        count += memo.entries[i].tag[0] != 0;
    return count;
}

Test(auth, a_right_key_is_right_again_without_its_digest_being_made_anew)
{
    const struct cfg_key *key;
    struct auth_offer offer = {.authorization = S("Bearer sk-placeholder"), .x_api_key = S("two")};

    cr_assert_eq(ask(offer, &key), AUTH_OK);
    cr_assert_eq(kept(), 1, "the wrong form beside it is not kept");
    cr_assert_eq(ask((struct auth_offer){.authorization = S("Bearer two")}, &key), AUTH_OK);
    cr_assert(slice_eq(key->name, S("bob")));
    cr_assert_eq(kept(), 1);
    for (uint32_t i = 0; i < AUTH_MEMO_ENTRIES; i++) /* what is kept is what is used */
        memset(memo.entries[i].digest, 0, SHA256_BYTES);
    cr_assert_eq(ask(offer, &key), AUTH_WRONG);
}

Test(auth, what_is_wrong_is_never_kept)
{
    const struct cfg_key *key;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ask((struct auth_offer){.x_api_key = S("on")}, &key), AUTH_WRONG);
        cr_assert_eq(ask((struct auth_offer){.x_api_key = S("three")}, &key), AUTH_DISABLED);
        cr_assert_eq(kept(), 0);
    }
}

Test(auth, a_key_taken_out_of_the_configuration_is_wrong_though_kept)
{
    struct config *without = kit_config("{\"api_keys\": [\"one\"]}");
    struct auth_offer offer = {.x_api_key = S("two")};
    const struct cfg_key *key;

    cr_assert_eq(ask(offer, &key), AUTH_OK);
    cr_assert_eq(auth_check(without, &offer, &memo, &key), AUTH_WRONG);
    config_unref(without);
}

Test(auth, asks_for_nothing_without_keys)
{
    struct config *open = kit_config("{}");
    const struct cfg_key *key;

    cr_assert_eq(auth_check(open, &(struct auth_offer){.x_api_key = S("any")}, &memo, &key),
                 AUTH_OK);
    cr_assert_null(key);
    cr_assert_not(auth_is_admin(open, &(struct auth_offer){0}));
    config_unref(open);
}
