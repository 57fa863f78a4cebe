#ifndef R2A_JSON_STATE_H
#define R2A_JSON_STATE_H

#include "r2a/json/scan.h"

/* What the scanner (scan.c) and the taking of whole values (value.c) share: what comes next is
 * one byte of state; what comes after a value is another, and one for each container around.
 *
 *          '{'               '"'         ':'           value              ','
 *   VALUE -------> FIRST_KEY -----> COLON -----> VALUE -------> AFTER_MEMBER -----> KEY
 *
 *          '['                     value                 ','
 *   VALUE -------> FIRST_ITEM -----------> AFTER_ITEM -------> VALUE
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
/* Whole text only: goes on to just behind the container entered last. False on an error. */
bool scan_leave(struct json_scan *scan);

#endif
