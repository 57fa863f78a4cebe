/* Certificates as far as they are read by ourselves: slices lie within the input, a shortened
 * certificate is malformed, and an address that is found is written in the names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/net/san.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice part, struct slice whole)
{
    require(part.len == 0 ||
            (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void find(struct slice names)
{
    uint8_t ip[16] = {127, 0, 0, 1};

    for (size_t len = 4; len <= 16; len += 12) {
        if (names.len >= len + 2)
            memcpy(ip, names.ptr + names.len - len, len); /* most likely to be there */
        if (san_has_ip(names, ip, len)) {
            bool is_written = false;

            for (size_t i = 0; i + len <= names.len; i++)
                is_written = is_written || memcmp(names.ptr + i, ip, len) == 0;
            require(is_written);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice der = slice_of((const char *)data, size);
    struct san_view view;
    struct san_view shorter;

    find(der);
    if (!san_view(der, &view))
        return 0;
    within(view.issuer, der);
    within(view.subject, der);
    within(view.names, der);
    require(view.has_names || view.names.len == 0);
    require(view.not_before_ms >= 0 && view.not_after_ms >= 0);
    find(view.names);
    require(!san_view(slice_head(der, der.len - 1), &shorter));
    return 0;
}
