#ifndef R2A_JSON_STATE_H
#define R2A_JSON_STATE_H

#include "r2a/json/scan.h"

#include "find.h"
#include "lex.h"

/* What the scanner (scan.c) and the skipping of whole values (value.c) share: what comes next is
 * one byte of state; what comes after a value is another, and one for each container around.
 *
'{'           '"'         ':'          value           ','
 *  VALUE ---------> FIRST_KEY --> COLON ----> VALUE ----> AFTER_MEMBER ---> KEY
 *        '['
 *        ---------> FIRST_ITEM, VALUE ----> AFTER_ITEM --- ',' ---> VALUE
 */
enum state {
    STATE_VALUE,
    STATE_FIRST_KEY,  /* a key, or the end of an empty object */
    STATE_FIRST_ITEM, /* a value, or the end of an empty array */
    STATE_KEY,
    STATE_COLON,
    STATE_AFTER_MEMBER,
    STATE_AFTER_ITEM,
    STATE_DONE,
    STATE_INSIDE, /* pieces: in the middle of a string, number or literal */
    STATE_ERROR,
};

/* Ends the scan with an error at `at`. Returns JSON_ERROR. */
enum json_token scan_fail(struct json_scan *scan, enum r2a_err err, const char *at);

#if FIND_SSE2
/* The closing quote, when it comes in the 16 bytes at `p` and nothing special before it; or NULL.
 * The bytes must be there. */
static inline const char *scan_near_quote(const char *p)
{
    const uint32_t bits = find_bits(find_match(find_load(p), FIND_STOP));

    if (lex_unlikely(bits == 0))
        return NULL;
    p += (uint32_t)__builtin_ctz(bits);
    return *p == '"' ? p : NULL;
}
#endif

#endif
