#include "keep.h"

#include "r2a/json/text.h"
#include "r2a/limits.h"

/* Reasoning belongs to the first call after it; a secret that arrives on a call itself (Gemini)
 * belongs to that call. What is never followed by a call is not needed again. */

static void clear(struct keep *keep)
{
    for (uint32_t i = 0; i < keep->blocks_count; i++) {
        gather_free(&keep->blocks[i].text, keep->mem);
        gather_free(&keep->blocks[i].seal, keep->mem);
        gather_free(&keep->blocks[i].item_id, keep->mem);
        keep->blocks[i].family = 0;
    }
    keep->blocks_count = 0;
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

/* Blocks but the last one have keys of their own: an id behind which a byte stands that no id has.
 */
static size_t write_key(struct slice call_id, uint32_t index, char *to)
{
    memcpy(to, call_id.ptr, call_id.len);
    if (index == 0)
        return call_id.len;
    to[call_id.len] = '\0';
    to[call_id.len + 1] = (char)('0' + index);
    return call_id.len + 2;
}

bool keep_key(struct slice call_id, uint32_t index, struct arena *arena, struct slice *key)
{
    char *to;

    *key = call_id;
    if (index == 0 || call_id.len == 0)
        return true;
    to = arena_take(arena, call_id.len + 2);
    if (to == NULL)
        return false;
    *key = slice_of(to, write_key(call_id, index, to));
    return true;
}

/* The blocks that are worth it, counted back from the call. */
static void put(struct keep *keep)
{
    char key[sizeof(keep->call_id) + 2];
    uint32_t index = 0;

    if (keep->is_over || keep->call_id_len == 0)
        return;
    for (uint32_t i = keep->blocks_count; i-- > 0;) {
        const struct keep_block *block = &keep->blocks[i];
        struct vault_entry entry = {.family = block->family,
                                    .seal = bytes_of(&block->seal),
                                    .item_id = bytes_of(&block->item_id),
                                    .reasoning = bytes_of(&block->text)};
        struct slice id = slice_of(keep->call_id, keep->call_id_len);

        if (entry.seal.len == 0 && !(keep->keeps_text && entry.reasoning.len > 0))
            continue;
        id = slice_of(key, write_key(id, index++, key));
        vault_put(keep->vault, keep->tenant, keep->minter, id, &entry, keep->now_ms);
    }
}

static struct keep_block *last(struct keep *keep)
{
    return &keep->blocks[keep->blocks_count - 1];
}

static void begin_block(struct keep *keep)
{
    if (keep->blocks_count < RECALL_BLOCKS_MAX)
        keep->blocks_count++;
    else
        keep->is_over = true; /* half a chain of thought is refused by those who signed it */
}

static void open_part(struct keep *keep, const struct ir_event *event)
{
    if (event->what == IR_PART_REASON || event->what == IR_PART_REDACTED) {
        begin_block(keep);
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
            add(keep, &last(keep)->text, event->u.text);
        break;
    case IR_FIELD:
        if (part != keep->reason_part && part != keep->call_part)
            break;
        if (event->what == IR_FIELD_ITEM_ID && part == keep->reason_part) {
            gather_free(&last(keep)->item_id, keep->mem);
            add(keep, &last(keep)->item_id, event->u.field.value);
        } else if (event->what == IR_FIELD_SEAL) {
            if (part == keep->call_part)
                begin_block(keep);
            gather_free(&last(keep)->seal, keep->mem);
            last(keep)->family = (uint8_t)event->u.field.number;
            add(keep, &last(keep)->seal, event->u.field.value);
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
