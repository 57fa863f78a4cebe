#ifndef R2A_PROTO_MEMBER_H
#define R2A_PROTO_MEMBER_H

#include <stdbool.h>

#include "r2a/json/scan.h"

/* Reading JSON objects whose members come in any order: the members that matter are kept as spans,
 * in one pass, and looked at afterwards in the order the reader wants. */
struct member {
    uint8_t
        kind; /* enum json_token of its first token; JSON_ERROR: absent, and so does null count */
    bool is_null;     /* written as null */
    struct slice raw; /* the exact bytes, quotes or brackets included */
};

/* Called for each member whose name is not in the table: the key (form ESCAPED) and its value. */
typedef void (*member_unknown_fn)(void *context, struct text key, const struct member *value);

/* Reads the rest of the object whose JSON_OBJECT was just taken. Of members that come twice the
 * last one counts; `*twice` (may be NULL) is then the index of one such name, else -1. False on a
 * syntax error, which sticks in `scan`. */
bool members_read(struct json_scan *scan, const struct slice *names, uint32_t count,
                  struct member *members, int *twice, member_unknown_fn unknown, void *context);
/* The same for a value that is kept as a span. False also when it is not an object. */
bool members_of(struct slice raw, const struct slice *names, uint32_t count,
                struct member *members);

/* The inside of a string member; empty for any other kind. */
static inline struct text member_text(const struct member *member)
{
    if (member->kind != JSON_STRING)
        return (struct text){0};
    return (struct text){member->raw.ptr + 1, (uint32_t)member->raw.len - 2, TEXT_ESCAPED};
}

static inline bool member_is(const struct member *member, enum json_token kind)
{
    return member->kind == kind;
}

static inline bool member_is_bool(const struct member *member)
{
    return member->kind == JSON_TRUE || member->kind == JSON_FALSE;
}

/* The value as it stands (TEXT_JSON). */
static inline struct text member_json(const struct member *member)
{
    return text_json(member->raw);
}

/* An integer in value. False for anything else. */
bool member_int(const struct member *member, int64_t *value);

#endif
