#ifndef R2A_TESTS_JSON_SCALAR_H
#define R2A_TESTS_JSON_SCALAR_H

/* The scanner once more, compiled without SIMD and under other names, beside the one in the
 * library: whoever includes this (one file of a program) can compare the two. */
#include "r2a/json/scan.h"

void scalar_open(struct json_scan *scan, struct slice bytes);
void scalar_open_memo(struct json_scan *scan, struct slice bytes, struct json_memo *memo);
void scalar_open_recall(struct json_scan *scan, struct slice bytes, const struct json_memo *memo);
void scalar_open_pieces(struct json_scan *scan);
void scalar_feed(struct json_scan *scan, struct slice piece, bool is_last);
enum json_token scalar_next(struct json_scan *scan);
enum json_token scalar_member(struct json_scan *scan, enum json_token *kind, struct slice *raw);
bool scalar_skip(struct json_scan *scan, struct slice *raw);
bool scalar_skip_after(struct json_scan *scan, enum json_token token, struct slice *raw);
bool scalar_take_string(struct json_scan *scan, struct text *value, bool *is_null);
bool scalar_take_bool(struct json_scan *scan, bool *value, bool *is_null);
bool scalar_take_number(struct json_scan *scan, struct slice *raw, bool *is_null);
bool scalar_key_is_escaped(const struct json_scan *scan, struct slice name);
int scalar_key_index(const struct json_scan *scan, const struct slice *names, uint32_t count);

#define R2A_JSON_SCALAR
#define json_open           scalar_open
#define json_open_memo      scalar_open_memo
#define json_open_recall    scalar_open_recall
#define json_open_pieces    scalar_open_pieces
#define json_feed           scalar_feed
#define json_next           scalar_next
#define json_member         scalar_member
#define json_skip           scalar_skip
#define json_skip_after     scalar_skip_after
#define json_take_string    scalar_take_string
#define json_take_bool      scalar_take_bool
#define json_take_number    scalar_take_number
#define json_key_is_escaped scalar_key_is_escaped
#define json_key_index      scalar_key_index
#define scan_fail           scalar_fail
#define scan_leave          scalar_leave
#include "src/json/scan.c"
#include "src/json/skip.c"
#include "src/json/value.c"
#undef scan_fail
#undef scan_leave
#undef json_open
#undef json_open_memo
#undef json_open_recall
#undef json_open_pieces
#undef json_feed
#undef json_next
#undef json_member
#undef json_skip
#undef json_skip_after
#undef json_take_string
#undef json_take_bool
#undef json_take_number
#undef json_key_is_escaped
#undef json_key_index

#endif
