/* A time that was read is written in one form, which is read as the same time. */
#include <stdint.h>

#include "r2a/core/check.h"
#include "r2a/core/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    char http[DATE_HTTP_BYTES];
    int64_t ms, again_ms;

    if (date_parse_http(in, &ms)) {
        date_write_http(http, ms);
        check(date_parse_http(slice_of(http, sizeof(http)), &again_ms));
        check(again_ms == ms);
    }
    return 0;
}
