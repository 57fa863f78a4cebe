#ifndef R2A_PROTO_READING_H
#define R2A_PROTO_READING_H

#include "member.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/event.h"
#include "r2a/ir/fault.h"
#include "r2a/json/scan.h"

/* Reading a client's request: objects as spans (member.h), the path to where the reader is, and
 * the 400 that names it. Functions that fail have filled the fault. */

#define READ_PATH_MAX 12u

struct reading {
    struct slice body;
    const struct json_memo *memo;
    struct ir_sink *tape;
    struct brief *brief;
    struct fault *fault;
    uint32_t depth;
    struct {
        struct slice name; /* empty: an index */
        uint32_t index;
    } path[READ_PATH_MAX];
};

/* The place: a member's or an element's value is looked at between enter and leave. */
void read_enter(struct reading *r, struct slice name);
void read_enter_index(struct reading *r, uint32_t index);
void read_leave(struct reading *r);

/* `what 'PATH'detail`; both plain. */
enum r2a_err read_refuse_as(struct reading *r, enum r2a_err err, struct slice what,
                            struct slice detail);
enum r2a_err read_refuse(struct reading *r, struct slice what, struct slice detail);
/* The member `name` of the place (or the place itself, when empty) is of the wrong kind (enum
 * json_token), missing, or has a value that is none. `expected`: "a string". `detail`: ": …". */
enum r2a_err read_refuse_type(struct reading *r, struct slice name, uint8_t kind,
                              struct slice expected);
enum r2a_err read_refuse_missing(struct reading *r, struct slice name);
enum r2a_err read_refuse_value(struct reading *r, struct slice name, struct slice detail);
/* `scan` over `text`, a part of the body, has failed. */
enum r2a_err read_refuse_syntax(struct reading *r, const struct json_scan *scan, struct slice text);
/* What a sink or an allocation returned; R2A_OK passes. */
enum r2a_err read_fail_sink(struct reading *r, enum r2a_err err);
/* "a string" for JSON_STRING … */
const char *read_kind_word(uint8_t kind);

/* The members of an object kept as a span. Unknown ones become an EXT each, named with `prefix`
 * ("messages.") before them; without a prefix (NULL) they are of no interest. */
enum r2a_err read_object(struct reading *r, struct slice raw, const struct slice *names,
                         uint32_t count, struct member *members, const char *prefix);
/* The elements of an array kept as a span of a valid body: open, then next until false. */
void read_open(struct reading *r, struct json_scan *scan, struct slice raw);
bool read_next(struct json_scan *scan, struct member *item);
/* The same without reading an object twice: of an object only the brace is taken, and its members
 * must be read next, by read_entered. `*raw` (may be NULL) is then the whole object. */
bool read_next_enter(struct json_scan *scan, struct member *item);
enum r2a_err read_entered(struct reading *r, struct json_scan *scan, const struct slice *names,
                          uint32_t count, struct member *members, const char *prefix,
                          struct slice *raw);

/* Whether `words` occur in a part of the body, outside its long strings (an image is not looked
 * through once more). */
bool read_mentions(const struct reading *r, struct slice raw, struct slice words);

/* The members of the root. Its unknown ones wait for BEGIN, which needs the model: they are kept in
 * the arena until read_put_later. `unique`: a second occurrence of a name up to this index is a
 * 400, because somebody else acts on it. */
struct read_later {
    struct read_later *next;
    struct text key;
};
enum r2a_err read_root(struct reading *r, const struct slice *names, uint32_t count,
                       uint32_t unique, struct member *root, struct read_later **later);
/* An EXT for each. */
enum r2a_err read_put_later(struct reading *r, const struct read_later *later);

/* Puts a register that is one member of one type: `kind` JSON_NUMBER, JSON_TRUE (a boolean),
 * JSON_STRING or JSON_OBJECT. Absent: nothing. */
enum r2a_err read_register(struct reading *r, struct slice name, const struct member *member,
                           uint8_t param, uint8_t kind, bool is_int);

static inline bool member_is_present(const struct member *member)
{
    return member->kind != JSON_ERROR;
}

/* READ_TRY: a reading step. READ_PUT: a sink's put. Both leave the function on failure and want the
 * reading to be called `r`. */
#define READ_TRY(call)                 \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)
#define READ_PUT(call)                         \
    do {                                       \
        enum r2a_err put_err = (call);         \
        if (put_err != R2A_OK)                 \
            return read_fail_sink(r, put_err); \
    } while (0)

#endif
