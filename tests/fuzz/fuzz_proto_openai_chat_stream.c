#include "r2a/proto/list.h"
#include "stream.h"

/* A Chat Completions stream or document. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct kit *kit, uint8_t form)
{
    kit->brief.is_legacy_functions = (form & 4) != 0;
    kit->brief.usage_asked = (form & 8) != 0;
}

static bool may_differ(const struct frame *frame)
{
    (void)frame;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_stream row = {
        .proto = &proto_openai_chat,
        .name = {.client = {"sql", 3, TEXT_PLAIN}, .wire = S_INIT("f"), .is_custom = true},
        .prepare = prepare,
        .may_differ = may_differ,
    };

    return fuzz_stream(&row, data, size);
}
