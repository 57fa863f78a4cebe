/* The framing of what has none: the whole body, given out at its end. */
#include "r2a/http/document.h"

#include "r2a/core/check.h"
#include "r2a/http/framing.h"

void document_init(struct document *document, struct mem *mem, uint32_t bytes_max)
{
    *document = (struct document){.mem = mem, .bytes_max = bytes_max};
}

enum r2a_err document_expect(struct document *document, uint64_t bytes)
{
    check(document->gather.len == 0);
    if (bytes == 0)
        return R2A_OK;
    if (bytes > document->bytes_max)
        return R2A_ERR_FRAME_LIMIT;
    return gather_reserve(&document->gather, document->mem, (size_t)bytes, (uint32_t)bytes);
}

int32_t document_feed(struct document *document, struct slice in, struct frame *frame)
{
    *frame = (struct frame){0};
    check(!document->is_done);
    if (document->err != R2A_OK)
        return document->err;
    document->err = gather_put(&document->gather, document->mem, in, document->bytes_max);
    if (document->err != R2A_OK)
        frame->raw = document_bytes(document);
    return document->err;
}

bool document_lend(struct document *document, struct slice whole)
{
    if (document->gather.size > 0 || document->err != R2A_OK || whole.len > document->bytes_max)
        return false;
    document->gather.ptr = (char *)(uintptr_t)whole.ptr; /* only ever read: its size is 0 */
    document->gather.len = (uint32_t)whole.len;
    return true;
}

void document_recall(struct document *document)
{
    if (document->gather.size == 0)
        document->gather = (struct gather){0};
}

struct slice document_bytes(const struct document *document)
{
    return slice_of(document->gather.ptr, document->gather.len);
}

int32_t document_finish(struct document *document, struct frame *frame)
{
    *frame = (struct frame){0};
    if (document->err != R2A_OK)
        return document->err;
    if (document->is_done) {
        gather_free(&document->gather, document->mem);
        return 0;
    }
    document->is_done = true;
    frame->kind = FRAME_DOCUMENT;
    frame->raw = document_bytes(document);
    frame->data = frame->raw;
    return 1;
}

void document_free(struct document *document)
{
    gather_free(&document->gather, document->mem);
}

static void init(void *state, struct mem *mem, uint32_t frame_bytes_max)
{
    document_init(state, mem, frame_bytes_max);
}

static int32_t feed(void *state, struct slice in, struct frame *frame)
{
    return document_feed(state, in, frame);
}

static int32_t finish(void *state, struct frame *frame)
{
    return document_finish(state, frame);
}

static void free_state(void *state)
{
    document_free(state);
}

const struct framing framing_document = {
    .name = S_INIT("document"),
    .size = sizeof(struct document),
    .init = init,
    .feed = feed,
    .finish = finish,
    .free = free_state,
};
