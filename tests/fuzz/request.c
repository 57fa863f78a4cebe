#include "request.h"

#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/proto/list.h"
#include "support/is_json.h"

/* What the dialect wrote itself it must take, and from some time on write the same again. */
static void write_again(struct kit *kit, const struct fuzz_request *of, struct slice out)
{
    uint32_t times = 0;

    do {
        struct slice before = arena_copy(&kit->arena, out);

        out = kit_translate(kit, of->proto, of->proto, before);
        check(out.len > 0);
        times++;
        if (times == of->settled_after && kit->target.system_text.len == 0) /* added each time */
            check(slice_eq(out, before));
    } while (times < of->settled_after);
}

int fuzz_request(const struct fuzz_request *of, const uint8_t *data, size_t size)
{
    struct kit *kit = fuzz_kit();
    struct slice body, out;

    if (size == 0)
        return 0;
    body = slice_of((const char *)data + 1, size - 1);
    kit->target.minter = data[0] & 8 ? of->minter : S("other");
    kit->target.system_text = data[0] & 16 ? S("house \"rule\"") : S("");
    kit->target.system_mode = data[0] & 32 ? SYSTEM_OVERRIDE : SYSTEM_APPEND;
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        of->prepare(kit, slice_from_z(of->models[data[0] & 3]), data[0]);
        out = kit_translate(kit, of->proto, proto_table[i], body);
        check(out.len == 0 || is_json(out));
        if (out.len > 0 && proto_table[i] == of->proto)
            write_again(kit, of, out);
        fuzz_kit_again();
    }
    return 0;
}
