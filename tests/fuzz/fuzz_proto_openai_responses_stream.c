#include "r2a/proto/list.h"
#include "stream.h"

/* A Responses stream or document. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct kit *kit, uint8_t form)
{
    kit->brief.minter = form & 4 ? S("google") : S("openai");
}

/* An error without words is told by its bytes. */
static bool may_differ(const struct frame *frame)
{
    return !slice_eq(frame->name, S("error")) &&
           str_find(frame->data, S(".delta\"")) < frame->data.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_stream row = {
        .proto = &proto_openai_responses,
        .name = {.client = {"read", 4, TEXT_PLAIN},
                 .wire = S_INIT("f"),
                 .space = {"ns", 2, TEXT_PLAIN}},
        .prepare = prepare,
        .may_differ = may_differ,
    };

    return fuzz_stream(&row, data, size);
}
