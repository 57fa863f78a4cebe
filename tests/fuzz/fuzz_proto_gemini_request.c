/* A generateContent request: what is read obeys the grammar, what is written for every dialect is
 * JSON, and what is written for its own is read again. The first byte chooses the model's profile.
 */
#include <stdint.h>

#include "../unit/support/proto_kit.h"
#include "r2a/core/check.h"
#include "r2a/json/scan.h"
#include "r2a/proto/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct slice text)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, text);
    do
        token = json_next(&scan);
    while (token != JSON_END && token != JSON_ERROR);
    return token == JSON_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro",
                                         "unknown"};
    static struct kit kit;
    static uint64_t idle; /* bytes in use between exchanges */
    struct slice body, out;

    if (size == 0)
        return 0;
    if (kit.mem == NULL) {
        kit_open(&kit);
        idle = kit.budget.used;
    }
    body = slice_of((const char *)data + 1, size - 1);
    profile_of(slice_from_z(models[data[0] & 3]), false, &kit.target.profile);
    kit.target.minter = data[0] & 8 ? S("google") : S("other");
    kit.target.profile.gg_schema = data[0] & 4 ? GG_SCHEMA_JSON : GG_SCHEMA_OPENAPI;
    kit.target.system_text = data[0] & 16 ? S("house \"rule\"") : S("");
    kit.target.system_mode = data[0] & 32 ? SYSTEM_OVERRIDE : SYSTEM_APPEND;
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        kit.brief.operation = data[0] & 64 ? BRIEF_COUNT : BRIEF_GENERATE;
        out = kit_translate(&kit, &proto_gemini, proto_table[i], body);
        check(out.len == 0 || is_json(out));
        if (out.len > 0 && proto_table[i] == &proto_gemini) {
            /* What it wrote itself it must take, and say the same from then on. */
            struct slice second =
                kit_translate(&kit, &proto_gemini, &proto_gemini, arena_copy(&kit.arena, out));

            check(second.len > 0);
            out = kit_translate(&kit, &proto_gemini, &proto_gemini, arena_copy(&kit.arena, second));
            if (kit.target.system_text.len == 0 && kit.brief.operation == BRIEF_GENERATE)
                check(slice_eq(out, second));
        }
        kit_again(&kit);
        check(kit.budget.used == idle);
    }
    return 0;
}
