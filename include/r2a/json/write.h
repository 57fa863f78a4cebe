#ifndef R2A_JSON_WRITE_H
#define R2A_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* Writes JSON into a rope: commas and colons by themselves, no white space. Hot encoders write
 * literal runs with rope_put instead; this is for objects with optional members. Errors stick in
 * the rope.
 *
 * The order of calls is the caller's: a key before each member's value, an end for each begin, at
 * most JSON_WRITE_DEPTH_MAX containers at once. Depth is checked, the rest is not. */
#define JSON_WRITE_DEPTH_MAX 127u

struct json_write {
    struct rope *rope;
    uint64_t has_member[2]; /* bit per level: something was written there */
    uint8_t depth;
    bool after_key;
};

void jw_open(struct json_write *w, struct rope *rope);
void jw_object(struct json_write *w);
void jw_object_end(struct json_write *w);
void jw_array(struct json_write *w);
void jw_array_end(struct json_write *w);
void jw_key(struct json_write *w, struct slice plain_ascii_name); /* written as is */
void jw_key_text(struct json_write *w, struct text name);         /* escaped as needed */
/* A string. Its bytes are borrowed when long and already escaped (text_write_escaped). */
void jw_text(struct json_write *w, struct text value);
void jw_string(struct json_write *w, struct slice plain); /* escaped as needed, copied */
void jw_raw(struct json_write *w, struct slice json); /* a value as it stands; borrowed when long */
void jw_u64(struct json_write *w, uint64_t value);
void jw_i64(struct json_write *w, int64_t value);
void jw_bool(struct json_write *w, bool value);
void jw_null(struct json_write *w);
/* Opens a string whose inside the caller writes with rope_put or text_write_escaped. */
void jw_string_begin(struct json_write *w);
void jw_string_end(struct json_write *w);

/* key + value in one call */
void jw_member_string(struct json_write *w, struct slice name, struct slice plain);
void jw_member_text(struct json_write *w, struct slice name, struct text value);
void jw_member_raw(struct json_write *w, struct slice name, struct slice json);
void jw_member_u64(struct json_write *w, struct slice name, uint64_t value);
void jw_member_bool(struct json_write *w, struct slice name, bool value);
void jw_member_null(struct json_write *w, struct slice name);

#endif
