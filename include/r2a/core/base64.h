#ifndef R2A_CORE_BASE64_H
#define R2A_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "r2a/core/slice.h"

/* RFC 4648 sections 4 and 5. */
enum base64_form {
    BASE64_PADDED,
    BASE64_UNPADDED,
    BASE64URL_PADDED,
    BASE64URL_UNPADDED,
};

/* Characters that `size` bytes become. */
size_t base64_encoded_len(size_t size, enum base64_form form);
/* Writes exactly base64_encoded_len characters, not terminated; returns their number. */
size_t base64_encode(char *to, struct slice bytes, enum base64_form form);

/* Room that decoding `len` characters needs at most. */
static inline size_t base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}
/* Strict: only the alphabet, padding exactly as the form has it, unused bits zero, no white space.
 * On success *size is the number of bytes written; on failure `to` holds rubbish. */
bool base64_decode(void *to, struct slice text, enum base64_form form, size_t *size);

/* Whether text is base64 of that form, as base64_decode would say, without decoding. */
bool base64_is_valid(struct slice text, enum base64_form form);

#endif
