#include "r2a/proto/list.h"
#include "request.h"

/* A Chat Completions request. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct kit *kit, struct slice model, uint8_t form)
{
    profile_of(model, (form & 4) != 0, &kit->target.profile);
    kit->target.is_stream = (form & 64) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_request row = {
        .proto = &proto_openai_chat,
        .models = {"gpt-4o", "gpt-5.6", "deepseek-reasoner", "claude-opus-4-6"},
        .minter = S_INIT("google"),
        .prepare = prepare,
    };

    return fuzz_request(&row, data, size);
}
