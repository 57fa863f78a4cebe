#ifndef R2A_CORE_UTF8_H
#define R2A_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */

bool utf8_is_valid(struct slice s);
/* The length of the longest prefix that is valid and complete: s.len for valid text. */
size_t utf8_valid_len(struct slice s);
/* The length of the longest prefix that does not end inside a sequence, for cutting a stream of
 * valid text: looks at the last three bytes only. What is left (at most 3 bytes) belongs in front
 * of the next piece; bytes that cannot be part of a sequence count as complete. */
size_t utf8_safe_len(struct slice s);
/* The longest safe prefix of at most `bytes_max` bytes: to shorten valid text. */
struct slice utf8_head(struct slice s, size_t bytes_max);

#define UTF8_BYTES_MAX   4u
#define UTF8_REPLACEMENT 0xfffdu
/* Returns the bytes written, 1 … 4; a surrogate or what is too large becomes U+FFFD. */
size_t utf8_encode(char to[UTF8_BYTES_MAX], uint32_t code_point);
/* Reads one character from the front. Returns its bytes, 1 … 4; 0 when s is empty, ends inside a
 * sequence, or is not valid there. */
size_t utf8_decode(struct slice s, uint32_t *code_point);

#endif
