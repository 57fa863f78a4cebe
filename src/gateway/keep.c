#include "keep.h"

#include "r2a/json/text.h"
#include "r2a/limits.h"

/* Reasoning belongs to the first call after it; a secret that arrives on a call itself (Gemini)
 * belongs to that call. What is never followed by a call is not needed again. */

static void clear(struct keep *keep)
{
    gather_free(&keep->text, keep->mem);
    gather_free(&keep->seal, keep->mem);
    gather_free(&keep->item_id, keep->mem);
    keep->family = 0;
    keep->is_over = false;
    keep->reason_part = 0;
}

void keep_free(struct keep *keep)
{
    if (keep->mem)
        clear(keep);
}

/* Appends decoded text; what does not fit makes the whole reasoning useless. */
static void add(struct keep *keep, struct gather *gather, struct text text)
{
    size_t len = text_plain_len(text);

    if (keep->is_over || len == 0)
        return;
    if (gather_reserve(gather, keep->mem, len, VAULT_REASON_BYTES) != R2A_OK) {
        keep->is_over = true;
        return;
    }
    text_decode(text, gather->ptr + gather->len, len);
    gather->len += (uint32_t)len;
}

static struct slice bytes_of(const struct gather *gather)
{
    return slice_of(gather->ptr, gather->len);
}

static void put(struct keep *keep)
{
    struct vault_entry entry = {.family = keep->family,
                                .seal = bytes_of(&keep->seal),
                                .item_id = bytes_of(&keep->item_id),
                                .reasoning = bytes_of(&keep->text)};

    if (!keep->is_over && keep->call_id_len > 0 &&
        (entry.seal.len > 0 || (keep->keeps_text && entry.reasoning.len > 0)))
        vault_put(keep->vault, keep->tenant, keep->minter,
                  slice_of(keep->call_id, keep->call_id_len), &entry, keep->now_ms);
}

static void open_part(struct keep *keep, const struct ir_event *event)
{
    if (event->what == IR_PART_REASON || event->what == IR_PART_REDACTED) {
        clear(keep);
        keep->reason_part = event->part + 1;
    } else if (event->what == IR_PART_CALL) {
        int64_t len = text_decode(event->u.open.id, keep->call_id, sizeof(keep->call_id));

        keep->call_id_len = (uint8_t)(len > 0 ? len : 0);
        keep->call_part = event->part + 1;
        put(keep);
        clear(keep); /* the calls after it have none of their own */
    }
}

void keep_event(struct keep *keep, const struct ir_event *event)
{
    uint32_t part = event->part + 1;

    switch (event->kind) {
    case IR_PART:
        open_part(keep, event);
        break;
    case IR_TEXT:
        if (part == keep->reason_part)
            add(keep, &keep->text, event->u.text);
        break;
    case IR_FIELD:
        if (part != keep->reason_part && part != keep->call_part)
            break;
        if (event->what == IR_FIELD_ITEM_ID && part == keep->reason_part) {
            gather_free(&keep->item_id, keep->mem);
            add(keep, &keep->item_id, event->u.field.value);
        } else if (event->what == IR_FIELD_SEAL) {
            gather_free(&keep->seal, keep->mem);
            keep->family = (uint8_t)event->u.field.number;
            add(keep, &keep->seal, event->u.field.value);
            if (part == keep->call_part) {
                put(keep);
                clear(keep);
            }
        }
        break;
    default:
        break;
    }
}
