/* Embedding calls: what is written for the other API is JSON, what is renamed only changes names,
 * and an answer either fits the question or is refused. The first byte chooses the forms; a zero
 * byte parts the request from the answer. */
#include <stdint.h>

#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/proto/embed.h"
#include "support/is_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kit *kit = fuzz_kit();
    struct embed embed = {0};
    struct slice body, answer;
    struct rope out;
    uint64_t tokens = 0;
    bool is_estimated = false;

    if (size == 0)
        return 0;
    out = kit_rope(kit);
    embed.form = data[0] & 1 ? EMBED_GEMINI : EMBED_OPENAI;
    embed.is_batch = (data[0] & 2) != 0;
    body = slice_of((const char *)data + 1, size - 1);
    body = slice_head(body, str_find_char(body, '\0'));
    answer = slice_skip(slice_of((const char *)data + 1, size - 1),
                        body.len + (body.len < size - 1 ? 1 : 0));
    if (is_json(body)) {
        embed_write_renamed(body, S("m-up"), &out);
        check(is_json(kit_take(kit, &out)));
    }
    if (embed_write_request(&embed, body, S("m\"up"), &kit->brief, &out, &kit->loss, &kit->fault) ==
        R2A_OK) {
        check(embed.count > 0 && embed.count <= EMBED_INPUTS_MAX);
        check(is_json(kit_take(kit, &out)) || !is_json(body));
        if (embed_write_answer(&embed, answer, &kit->brief, &out, &tokens, &is_estimated) == R2A_OK)
            check(is_json(kit_take(kit, &out)));
    }
    rope_clear(&out);
    fuzz_kit_again();
    return 0;
}
