#ifndef R2A_PROTO_GEMINI_READ_H
#define R2A_PROTO_GEMINI_READ_H

#include "gemini.h"
#include "reading.h"

/* gemini_contents.c: what people and models said. */
enum r2a_err gemini_read_system(struct reading *r, const struct member *system);
enum r2a_err gemini_read_contents(struct reading *r, const struct member *contents);

/* gemini_read.c: the members of an object in both spellings; `names` has 2 * count of them,
 * `members` as much room. Unknown ones as with read_object. */
enum r2a_err gemini_read_object(struct reading *r, const struct member *object,
                                const struct slice *names, uint32_t count, struct member *members,
                                const char *prefix);

/* A list of which one element may also stand alone: zero-initialise, then true for each element.
 * Elements may be null. */
struct gemini_list {
    struct json_scan scan;
    uint32_t index; /* of the element given out last */
    uint8_t state;
};
bool gemini_list_next(struct reading *r, struct gemini_list *list, const struct member *value,
                      struct member *item);

#endif
