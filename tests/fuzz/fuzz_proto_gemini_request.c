#include "r2a/proto/list.h"
#include "request.h"

/* A generateContent request. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct kit *kit, struct slice model, uint8_t form)
{
    profile_of(model, false, &kit->target.profile);
    kit->target.profile.gg_schema = form & 4 ? GG_SCHEMA_JSON : GG_SCHEMA_OPENAPI;
    kit->brief.operation = form & 64 ? BRIEF_COUNT : BRIEF_GENERATE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_request row = {
        .proto = &proto_gemini,
        .models = {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro", "unknown"},
        .minter = S_INIT("google"),
        .prepare = prepare,
        .settled_after = 2,
    };

    return fuzz_request(&row, data, size);
}
