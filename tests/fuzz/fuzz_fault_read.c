/* An upstream's error, any bytes: always a kind and a message, valid UTF-8, without the secret. The
 * first byte chooses the status. */
#include <stdint.h>

#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/core/utf8.h"
#include "r2a/proto/fault_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct text text)
{
    check(text.form == TEXT_PLAIN);
    check(utf8_is_valid(text_bytes(text)));
    check(str_find(text_bytes(text), S("s3cr3t")) == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t statuses[] = {0,   200, 400, 401, 402, 403, 404, 405,
                                        408, 409, 413, 422, 429, 499, 500, 529};
    static const struct slice secrets[] = {S_INIT("s3cr3t")};
    struct kit *kit = fuzz_kit();
    struct fault_source source = {.secrets = secrets, .secrets_count = 1};
    struct fault fault;

    if (size == 0)
        return 0;
    source.status = statuses[data[0] & 15];
    source.body = slice_of((const char *)data + 1, size - 1);
    source.retry_after = slice_head(source.body, data[0] >> 4);
    fault_read(&source, &kit->arena, &fault);
    check(fault.kind < FAULT_KINDS);
    check(fault.message.len > 0);
    check_text(fault.message);
    check_text(fault.type);
    check_text(fault.code);
    check_text(fault.param);
    fuzz_kit_again();
    return 0;
}
