#ifndef R2A_GATEWAY_KEEP_H
#define R2A_GATEWAY_KEEP_H

#include "r2a/http/gather.h"
#include "r2a/ir/event.h"
#include "vault.h"

/* Watches an answer for reasoning that leads to a tool call and puts it into the vault under the
 * call's id, for clients whose protocol has no place for it. Memory is held only while there is
 * something to keep. */
struct keep {
    struct vault *vault;
    struct mem *mem;
    struct slice tenant, minter;
    uint64_t now_ms;
    struct gather text, seal, item_id; /* of the latest reasoning, plain */
    uint32_t reason_part, call_part;   /* part number + 1; 0: none */
    uint8_t family;
    bool keeps_text; /* the target wants the text back even without a secret */
    bool is_over;    /* more text than VAULT_REASON_BYTES: this reasoning is not kept */
    char call_id[128];
    uint8_t call_id_len;
};

void keep_event(struct keep *keep, const struct ir_event *event);
void keep_free(struct keep *keep);

#endif
