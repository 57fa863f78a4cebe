#include "r2a/proto/list.h"
#include "request.h"

/* A Messages request. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct kit *kit, struct slice model, uint8_t form)
{
    profile_of(model, (form & 4) != 0, &kit->target.profile);
    kit->brief.operation = form & 64 ? BRIEF_COUNT : BRIEF_GENERATE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_request row = {
        .proto = &proto_anthropic,
        .models = {"claude-3-5-haiku", "claude-opus-4-1", "claude-opus-4-6", "claude-opus-4-7"},
        .minter = S_INIT("anthropic"),
        .prepare = prepare,
        .settled_after = 1,
    };

    return fuzz_request(&row, data, size);
}
