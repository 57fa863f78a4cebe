#include <criterion/criterion.h>

#include "../../../src/gateway/keep.h"
#include "r2a/core/check.h"

/* Reasoning on its way into the vault: which blocks go with which call. */

static struct mem_budget budget;
static struct mem *mem;
static struct arena arena;
static struct vault *vault;
static struct keep keep;

static void set_up(void)
{
    mem = mem_open(&budget, 8u << 20);
    arena = (struct arena){.mem = mem};
    vault = vault_open(1u << 20);
    cr_assert_not_null(vault);
    keep = (struct keep){
        .vault = vault, .mem = mem, .tenant = S("t"), .minter = S("anthropic"), .now_ms = 1};
}

static void tear_down(void)
{
    keep_free(&keep);
    vault_close(vault);
    arena_reset(&arena);
    mem_close(mem);
}

TestSuite(keep, .init = set_up, .fini = tear_down);

static void put_part(uint8_t what, uint32_t part, const char *id)
{
    keep_event(&keep, &(struct ir_event){.kind = IR_PART,
                                         .what = what,
                                         .part = part,
                                         .u.open.id = text_plain(slice_from_z(id))});
}

static void put_text(uint32_t part, const char *text)
{
    keep_event(&keep, &(struct ir_event){
                          .kind = IR_TEXT, .part = part, .u.text = text_plain(slice_from_z(text))});
}

static void put_seal(uint32_t part, uint8_t family, const char *seal)
{
    keep_event(&keep, &(struct ir_event){
                          .kind = IR_FIELD,
                          .what = IR_FIELD_SEAL,
                          .part = part,
                          .u.field = {.value = text_plain(slice_from_z(seal)), .number = family}});
}

static const char *found(const char *id, uint32_t index)
{
    struct vault_entry entry;
    struct slice key;
    char *text;

    cr_assert(keep_key(slice_from_z(id), index, &arena, &key));
    if (!vault_find(vault, keep.tenant, keep.minter, key, 2, &arena, &entry))
        return "";
    text = arena_take_zero(&arena, entry.seal.len + entry.reasoning.len + 2);
    memcpy(text, entry.seal.ptr, entry.seal.len);
    text[entry.seal.len] = '|';
    memcpy(text + entry.seal.len + 1, entry.reasoning.ptr, entry.reasoning.len);
    return text;
}

Test(keep, one_block_and_its_first_call)
{
    put_part(IR_PART_REASON, 0, "");
    put_text(0, "so ");
    put_text(0, "what");
    put_seal(0, IR_SEAL_SIGNATURE, "SIG");
    put_part(IR_PART_CALL, 1, "a");
    put_part(IR_PART_CALL, 2, "b");
    cr_assert_str_eq(found("a", 0), "SIG|so what");
    cr_assert_str_eq(found("a", 1), "");
    cr_assert_str_eq(found("b", 0), "");
}

Test(keep, every_block_before_the_call_the_last_one_first)
{
    put_part(IR_PART_REASON, 0, "");
    put_text(0, "one");
    put_seal(0, IR_SEAL_SIGNATURE, "S1");
    put_part(IR_PART_REDACTED, 1, "");
    put_seal(1, IR_SEAL_REDACTED, "R2");
    put_part(IR_PART_REASON, 2, ""); /* nobody vouches for it: left out, and no gap */
    put_text(2, "unsigned");
    put_part(IR_PART_REASON, 3, "");
    put_seal(3, IR_SEAL_SIGNATURE, "S3");
    put_part(IR_PART_CALL, 4, "a");
    cr_assert_str_eq(found("a", 0), "S3|");
    cr_assert_str_eq(found("a", 1), "R2|");
    cr_assert_str_eq(found("a", 2), "S1|one");
    cr_assert_str_eq(found("a", 3), "");
    put_part(IR_PART_REASON, 5, "");
    put_seal(5, IR_SEAL_SIGNATURE, "S5");
    put_part(IR_PART_CALL, 6, "b");
    cr_assert_str_eq(found("b", 0), "S5|");
    cr_assert_str_eq(found("b", 1), "");
}

/* Half a chain is refused by who signed it: all or nothing. */
Test(keep, more_blocks_than_the_limit_are_not_kept_at_all)
{
    for (uint32_t i = 0; i < RECALL_BLOCKS_MAX; i++) {
        put_part(IR_PART_REASON, i, "");
        put_seal(i, IR_SEAL_SIGNATURE, "S");
    }
    put_part(IR_PART_CALL, 20, "a");
    cr_assert_str_eq(found("a", RECALL_BLOCKS_MAX - 1), "S|");
    for (uint32_t i = 0; i <= RECALL_BLOCKS_MAX; i++) {
        put_part(IR_PART_REASON, 30 + i, "");
        put_seal(30 + i, IR_SEAL_SIGNATURE, "S");
    }
    put_part(IR_PART_CALL, 50, "b");
    cr_assert_str_eq(found("b", 0), "");
}

Test(keep, a_secret_on_a_call_is_that_calls)
{
    put_part(IR_PART_CALL, 0, "a");
    put_seal(0, IR_SEAL_THOUGHT, "G1");
    put_part(IR_PART_CALL, 1, "b");
    put_seal(1, IR_SEAL_THOUGHT, "G2");
    cr_assert_str_eq(found("a", 0), "G1|");
    cr_assert_str_eq(found("b", 0), "G2|");
}
