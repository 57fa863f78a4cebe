#include "vault.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "r2a/core/check.h"
#include "r2a/core/hash.h"

/* A shard:   ring of bytes   [ header seal item reasoning | header … ]   oldest at `tail`, next at
 * `head` index           open addressing, position of the newest entry of a key, 0: free
 *
 * Positions only grow; a position is live while it is at least `tail`, so the index needs no
 * deletion: a slot whose position is dead is free. An entry never wraps: the rest of the ring is
 * skipped instead. */

#define VAULT_SHARDS      64u
#define VAULT_INDEX_SLOTS 2048u
#define VAULT_PROBES      16u

struct header {
    uint64_t key[2];
    uint64_t at_ms;
    uint32_t size; /* of the entry with its header, rounded up; 0: skip to the ring's start */
    uint32_t seal, item_id, reasoning;
    uint8_t family;
};

struct shard {
    _Alignas(64) atomic_flag lock;
    uint64_t head, tail;               /* positions: bytes written since the start */
    uint64_t index[VAULT_INDEX_SLOTS]; /* position + 1 */
    char *ring;
};

struct vault {
    size_t ring_bytes;
    size_t map_bytes;
    struct shard shards[VAULT_SHARDS];
};

static void lock(struct shard *shard)
{
    while (atomic_flag_test_and_set_explicit(&shard->lock, memory_order_acquire)) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

static void unlock(struct shard *shard)
{
    atomic_flag_clear_explicit(&shard->lock, memory_order_release);
}

struct vault *vault_open(size_t bytes)
{
    size_t ring = bytes / VAULT_SHARDS / 4096 * 4096;
    size_t head = (sizeof(struct vault) + 4095) / 4096 * 4096;
    struct vault *vault;

    if (ring < 16384)
        ring = 16384;
    vault = mmap(NULL, head + ring * VAULT_SHARDS, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (vault == MAP_FAILED)
        return NULL;
    madvise(vault, head + ring * VAULT_SHARDS, MADV_NOHUGEPAGE);
    vault->ring_bytes = ring;
    vault->map_bytes = head + ring * VAULT_SHARDS;
    for (uint32_t i = 0; i < VAULT_SHARDS; i++)
        vault->shards[i].ring = (char *)vault + head + i * ring;
    return vault;
}

void vault_close(struct vault *vault)
{
    munmap(vault, vault->map_bytes);
}

static void make_key(struct slice tenant, struct slice minter, struct slice call_id,
                     uint64_t key[2])
{
    struct sha256 sha;
    unsigned char digest[SHA256_BYTES];
    uint32_t lengths[2] = {(uint32_t)tenant.len, (uint32_t)minter.len};

    sha256_init(&sha);
    sha256_add(&sha, slice_of((const char *)lengths, sizeof(lengths)));
    sha256_add(&sha, tenant);
    sha256_add(&sha, minter);
    sha256_add(&sha, call_id);
    sha256_end(&sha, digest);
    memcpy(key, digest, 16);
}

static struct header *header_at(const struct vault *vault, struct shard *shard, uint64_t position)
{
    return (struct header *)(void *)(shard->ring + position % vault->ring_bytes);
}

/* Drops the oldest until `size` more bytes fit behind head. */
static void make_room(struct vault *vault, struct shard *shard, size_t size)
{
    while (shard->head + size - shard->tail > vault->ring_bytes) {
        size_t rest = vault->ring_bytes - shard->tail % vault->ring_bytes;
        uint32_t entry =
            rest < sizeof(struct header) ? 0 : header_at(vault, shard, shard->tail)->size;

        shard->tail += entry == 0 ? rest : entry;
    }
}

/* The slot of a key: its own, or the best one to take (free, dead, or the oldest of those looked
 * at). */
static uint64_t *find_slot(struct vault *vault, struct shard *shard, const uint64_t key[2])
{
    uint64_t *best = NULL;

    for (uint32_t i = 0; i < VAULT_PROBES; i++) {
        uint64_t *slot = &shard->index[(key[1] + i) % VAULT_INDEX_SLOTS];
        bool is_live = *slot != 0 && *slot - 1 >= shard->tail;

        if (is_live) {
            const struct header *header = header_at(vault, shard, *slot - 1);

            if (header->key[0] == key[0] && header->key[1] == key[1])
                return slot;
        }
        if (best == NULL ||
            (is_live ? *slot : 0) < (*best != 0 && *best - 1 >= shard->tail ? *best : 0))
            best = slot;
    }
    return best;
}

static char *append(char *to, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

void vault_put(struct vault *vault, struct slice tenant, struct slice minter, struct slice call_id,
               const struct vault_entry *entry, uint64_t now_ms)
{
    size_t bytes = entry->seal.len + entry->item_id.len + entry->reasoning.len;
    size_t size = (sizeof(struct header) + bytes + 15) / 16 * 16;
    struct shard *shard;
    struct header *header;
    uint64_t key[2];
    uint64_t *slot;
    char *to;

    if (size > vault->ring_bytes / 4)
        return;
    make_key(tenant, minter, call_id, key);
    shard = &vault->shards[key[0] % VAULT_SHARDS];
    lock(shard);
    {
        size_t rest = vault->ring_bytes - shard->head % vault->ring_bytes;

        if (rest < size) {
            make_room(vault, shard, rest);
            if (rest >= sizeof(struct header))
                header_at(vault, shard, shard->head)->size = 0;
            shard->head += rest;
        }
    }
    make_room(vault, shard, size);
    header = header_at(vault, shard, shard->head);
    *header = (struct header){.key = {key[0], key[1]},
                              .at_ms = now_ms,
                              .size = (uint32_t)size,
                              .seal = (uint32_t)entry->seal.len,
                              .item_id = (uint32_t)entry->item_id.len,
                              .reasoning = (uint32_t)entry->reasoning.len,
                              .family = entry->family};
    to = append((char *)(header + 1), entry->seal);
    to = append(to, entry->item_id);
    append(to, entry->reasoning);
    slot = find_slot(vault, shard, key);
    *slot = shard->head + 1;
    shard->head += size;
    unlock(shard);
}

bool vault_find(struct vault *vault, struct slice tenant, struct slice minter, struct slice call_id,
                uint64_t now_ms, struct arena *arena, struct vault_entry *entry)
{
    struct shard *shard;
    struct header header;
    uint64_t key[2];
    uint64_t slot;
    char *copy;
    size_t bytes;

    make_key(tenant, minter, call_id, key);
    shard = &vault->shards[key[0] % VAULT_SHARDS];
    lock(shard);
    slot = *find_slot(vault, shard, key);
    if (slot == 0 || slot - 1 < shard->tail) {
        unlock(shard);
        return false;
    }
    header = *header_at(vault, shard, slot - 1);
    bytes = (size_t)header.seal + header.item_id + header.reasoning;
    if (header.key[0] != key[0] || header.key[1] != key[1] ||
        now_ms - header.at_ms > VAULT_TTL_MS || (copy = arena_take(arena, bytes + 1)) == NULL) {
        unlock(shard);
        return false;
    }
    memcpy(copy, header_at(vault, shard, slot - 1) + 1, bytes);
    unlock(shard);
    *entry = (struct vault_entry){
        .family = header.family,
        .seal = slice_of(copy, header.seal),
        .item_id = slice_of(copy + header.seal, header.item_id),
        .reasoning = slice_of(copy + header.seal + header.item_id, header.reasoning)};
    return true;
}
