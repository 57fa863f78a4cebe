/* What is accepted is exactly what encoding the result gives; and any bytes come back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/base64.h"
#include "r2a/core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);

    for (int f = BASE64_PADDED; f <= BASE64URL_UNPADDED; f++) {
        enum base64_form form = (enum base64_form)f;
        size_t bytes_len, text_len = base64_encoded_len(size, form);
        char *bytes = malloc(base64_decoded_max(size));
        char *text = malloc(text_len + 1);
        char *back = malloc(base64_decoded_max(text_len));

        check(bytes != NULL && text != NULL && back != NULL);
        check(base64_decode(bytes, in, form, &bytes_len) == base64_is_valid(in, form));
        if (base64_is_valid(in, form)) {
            check(base64_encoded_len(bytes_len, form) == size);
            check(base64_encode(text, slice_of(bytes, bytes_len), form) == size);
            check(size == 0 || memcmp(text, data, size) == 0);
        }
        check(base64_encode(text, in, form) == text_len);
        check(base64_decode(back, slice_of(text, text_len), form, &bytes_len));
        check(bytes_len == size);
        check(size == 0 || memcmp(back, data, size) == 0);
        free(bytes);
        free(text);
        free(back);
    }
    return 0;
}
