#ifndef R2A_PROTO_OPENAI_FORMAT_H
#define R2A_PROTO_OPENAI_FORMAT_H

#include "reading.h"

/* The form an answer is asked for in, as OpenAI's two APIs say it: Chat Completions keeps what
 * belongs to a schema in an object of its own, Responses beside the type. */
struct openai_format_place {
    struct slice name;  /* of the member: "response_format" */
    const char *prefix; /* … of unknown members in it: "response_format." */
    const char
        *schema_prefix; /* … in its json_schema; NULL: it has none, all stands in one object */
};

/* Puts IR_PARAM_FORMAT and what goes with it; absent: nothing. */
enum r2a_err openai_format_read(struct reading *r, const struct openai_format_place *place,
                                const struct member *format);

#endif
