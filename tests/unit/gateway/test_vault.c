#include <criterion/criterion.h>

#include "../../../src/gateway/vault.h"
#include "r2a/core/str.h"

static struct mem_budget budget;
static struct mem *mem;
static struct arena arena;
static struct vault *vault;

static void set_up(size_t bytes)
{
    mem = mem_open(&budget, 1u << 20);
    arena = (struct arena){.mem = mem};
    vault = vault_open(bytes);
    cr_assert_not_null(vault);
}

static struct slice numbered(uint64_t number)
{
    char text[STR_U64_BYTES_MAX];

    return arena_copy(&arena, slice_of(text, str_from_u64(text, number)));
}

static struct vault_entry entry_of(const char *seal, const char *reasoning)
{
    return (struct vault_entry){
        .family = 'a', .seal = slice_from_z(seal), .reasoning = slice_from_z(reasoning)};
}

Test(vault, gives_back_what_it_was_given)
{
    struct vault_entry entry = entry_of("sig==", "because"), found;

    set_up(1u << 20);
    entry.item_id = S("rs_1");
    vault_put(vault, S("alice"), S("anthropic"), S("call_1"), &entry, 1000);
    cr_assert(vault_find(vault, S("alice"), S("anthropic"), S("call_1"), 2000, &arena, &found));
    cr_assert_eq(found.family, 'a');
    cr_assert(slice_eq(found.seal, S("sig==")));
    cr_assert(slice_eq(found.item_id, S("rs_1")));
    cr_assert(slice_eq(found.reasoning, S("because")));
    vault_close(vault);
}

Test(vault, tells_tenants_minters_and_calls_apart)
{
    struct vault_entry entry = entry_of("s", ""), found;

    set_up(1u << 20);
    vault_put(vault, S("alice"), S("anthropic"), S("call_1"), &entry, 0);
    cr_assert(!vault_find(vault, S("bob"), S("anthropic"), S("call_1"), 0, &arena, &found));
    cr_assert(!vault_find(vault, S("alice"), S("google"), S("call_1"), 0, &arena, &found));
    cr_assert(!vault_find(vault, S("alice"), S("anthropic"), S("call_2"), 0, &arena, &found));
    cr_assert(!vault_find(vault, S("alicea"), S("nthropic"), S("call_1"), 0, &arena, &found));
    vault_close(vault);
}

Test(vault, forgets_after_its_time)
{
    struct vault_entry entry = entry_of("s", ""), found;

    set_up(1u << 20);
    vault_put(vault, S("t"), S("m"), S("c"), &entry, 5);
    cr_assert(vault_find(vault, S("t"), S("m"), S("c"), 5 + VAULT_TTL_MS, &arena, &found));
    cr_assert(!vault_find(vault, S("t"), S("m"), S("c"), 6 + VAULT_TTL_MS, &arena, &found));
    vault_close(vault);
}

Test(vault, keeps_the_newest_of_a_key)
{
    struct vault_entry one = entry_of("one", ""), two = entry_of("two", ""), found;

    set_up(1u << 20);
    vault_put(vault, S("t"), S("m"), S("c"), &one, 0);
    vault_put(vault, S("t"), S("m"), S("c"), &two, 0);
    cr_assert(vault_find(vault, S("t"), S("m"), S("c"), 0, &arena, &found));
    cr_assert(slice_eq(found.seal, S("two")));
    vault_close(vault);
}

/* Far more than fits goes in: what is found is right, and the newest are found. */
Test(vault, drops_the_oldest_and_never_mixes)
{
    static char text[3000];
    struct vault_entry found;
    uint32_t kept = 0;

    set_up(1u << 20);
    memset(text, 'x', sizeof(text));
    for (uint64_t i = 0; i < 20000; i++) {
        struct vault_entry entry = {.family = 'g',
                                    .seal = numbered(i),
                                    .reasoning = slice_of(text, i * 7919 % sizeof(text))};

        vault_put(vault, S("t"), S("m"), entry.seal, &entry, i);
        if (i % 500 == 0)
            arena_reset(&arena);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct slice id = numbered(i);

        if (vault_find(vault, S("t"), S("m"), id, 20000, &arena, &found)) {
            kept++;
            cr_assert(slice_eq(found.seal, id));
            cr_assert_eq(found.reasoning.len, i * 7919 % sizeof(text));
        } else {
            cr_assert_lt(i, 19990);
        }
        if (i % 100 == 0)
            arena_reset(&arena);
    }
    cr_assert_gt(kept, 400); /* 1 MiB of about 1.5 KiB each, less what a shard's end wastes */
    vault_close(vault);
}

Test(vault, keeps_nothing_that_is_too_large)
{
    static char text[65536];
    struct vault_entry entry = {.family = 'a', .seal = {text, sizeof(text)}}, found;

    set_up(1u << 20);
    vault_put(vault, S("t"), S("m"), S("c"), &entry, 0);
    cr_assert(!vault_find(vault, S("t"), S("m"), S("c"), 0, &arena, &found));
    vault_close(vault);
}
