#ifndef R2A_GATEWAY_KEEP_H
#define R2A_GATEWAY_KEEP_H

#include "r2a/http/gather.h"
#include "r2a/ir/event.h"
#include "r2a/limits.h"
#include "vault.h"

/* Watches an answer for reasoning that leads to a tool call and puts it into the vault under the
 * call's id, for clients whose protocol has no place for it. Memory is held only while there is
 * something to keep. */
struct keep_block {
    struct gather text, seal, item_id; /* plain */
    uint8_t family;
};

struct keep {
    struct vault *vault;
    struct mem *mem;
    struct slice tenant, minter;
    uint64_t now_ms;
    struct keep_block
        blocks[RECALL_BLOCKS_MAX]; /* of the reasoning since the last call, in order */
    uint32_t blocks_count;
    uint32_t reason_part, call_part; /* part number + 1; 0: none */
    bool keeps_text;                 /* the target wants the text back even without a secret */
    bool is_over; /* more than VAULT_REASON_BYTES or RECALL_BLOCKS_MAX: nothing of it is kept */
    char call_id[128];
    uint8_t call_id_len;
};

void keep_event(struct keep *keep, const struct ir_event *event);
void keep_free(struct keep *keep);

/* Under which key the vault has block `index` of a call (struct recall). False: out of memory. */
bool keep_key(struct slice call_id, uint32_t index, struct arena *arena, struct slice *key);

#endif
