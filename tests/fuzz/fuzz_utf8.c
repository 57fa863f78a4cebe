/* Decoding one character at a time is the model of everything else about UTF-8. */
#include <stdint.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of((const char *)data, size);
    size_t valid = 0;

    while (valid < size) {
        char again[UTF8_BYTES_MAX];
        uint32_t point;
        size_t len = utf8_decode(slice_skip(s, valid), &point);

        if (len == 0)
            break;
        check(utf8_encode(again, point) == len);
        check(memcmp(again, s.ptr + valid, len) == 0);
        valid += len;
    }
    check(utf8_valid_len(s) == valid);
    check(utf8_is_valid(s) == (valid == size));
    check(size - utf8_safe_len(s) <= 3);

    struct slice text = slice_head(s, valid);

    for (size_t cut = 0; cut <= text.len && cut < 64; cut++) {
        struct slice head = slice_head(text, cut);
        size_t safe = utf8_safe_len(head);

        /* The safe part and what follows are both valid: a stream may be cut there. */
        check(utf8_is_valid(slice_head(head, safe)));
        check(utf8_is_valid(slice_skip(text, safe)));
        check(cut - safe <= 3);
        check(utf8_head(text, cut).len == safe || cut == text.len);
    }
    return 0;
}
