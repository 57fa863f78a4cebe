#ifndef R2A_GATEWAY_VAULT_H
#define R2A_GATEWAY_VAULT_H

#include "r2a/core/arena.h"
#include "r2a/core/slice.h"
#include "r2a/limits.h"

/* What clients do not bring back: the secret (and the text) of the reasoning that led to a tool
 * call, by (tenant, minter, call id), conversion.md 2.9. Shared by all workers, the only lock on
 * the data path: 64 shards, each a ring of bytes with an index under a spin lock held for one copy.
 * Reserved at start, touched as used; the oldest goes first, an entry lives VAULT_TTL_MS. A miss is
 * never an error. */
struct vault;

struct vault_entry {
    uint8_t family;    /* enum ir_seal, 0: no secret */
    struct slice seal; /* plain bytes */
    struct slice item_id;
    struct slice reasoning; /* plain text */
};

/* `bytes` in all, at least 1 MiB; NULL when the system refuses. */
struct vault *vault_open(size_t bytes);
void vault_close(struct vault *vault);
/* Keeps a copy. What is larger than a quarter of a shard is not kept. */
void vault_put(struct vault *vault, struct slice tenant, struct slice minter, struct slice call_id,
               const struct vault_entry *entry, uint64_t now_ms);
/* Copies into `arena`. False: not known, expired, or out of memory. */
bool vault_find(struct vault *vault, struct slice tenant, struct slice minter, struct slice call_id,
                uint64_t now_ms, struct arena *arena, struct vault_entry *entry);

#endif
