/* A JSON Schema, towards Gemini and from it: what is written is JSON, no keyword that Gemini does
 * not know comes through, a schema that was cut once is not cut again, and the bounds hold. */
#include <stdint.h>

#include "../../src/proto/schema.h"
#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/limits.h"
#include "support/is_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool cut(struct kit *kit, struct slice schema, struct slice *out)
{
    struct rope rope = kit_rope(kit);
    struct schema_budget budget = {0};
    enum schema_result result = schema_write_gemini(&rope, schema, false, &kit->arena, &budget);

    if (result == SCHEMA_WRITTEN)
        *out = kit_take(kit, &rope);
    rope_clear(&rope);
    return result == SCHEMA_WRITTEN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kit *kit = fuzz_kit();
    struct slice schema = slice_of((const char *)data, size), first, second, lowered;
    struct rope bare;

    if (size > 0 && is_json(schema)) {
        if (cut(kit, schema, &first)) {
            check(is_json(first));
            check(first.len <= 2 * SCHEMA_BYTES_MAX);
            if (cut(kit, first, &second))
                check(is_json(second));
        }
        lowered = schema_from_gemini(schema, &kit->arena, kit->mem);
        check(is_json(lowered));
        bare = kit_rope(kit);
        schema_write_bare(&bare, schema);
        check(is_json(kit_take(kit, &bare)));
    }
    fuzz_kit_again();
    return 0;
}
