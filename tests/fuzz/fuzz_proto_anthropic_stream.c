#include "r2a/proto/list.h"
#include "stream.h"

/* A Messages stream or document. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_stream row = {
        .proto = &proto_anthropic,
        .name = {.client = {"sql", 3, TEXT_PLAIN}, .wire = S_INIT("f"), .is_custom = true},
    };

    return fuzz_stream(&row, data, size);
}
