#ifndef R2A_PROTO_LIST_H
#define R2A_PROTO_LIST_H

#include "r2a/proto/proto.h"

/* One row a dialect: X(name of `const struct proto proto_<name>`). */
#define PROTO_LIST(X)   \
    X(openai_chat)      \
    X(openai_responses) \
    X(anthropic)        \
    X(gemini)

enum proto_id {
#define X(name) PROTO_##name,
    PROTO_LIST(X)
#undef X
        PROTO_COUNT
};

#define X(name) extern const struct proto proto_##name;
PROTO_LIST(X)
#undef X

extern const struct proto *const proto_table[PROTO_COUNT];
/* The dialect of that name, or NULL. */
const struct proto *proto_find(struct slice name);
/* Refuses rows with half a half: returns the name of what is missing, or NULL. Called at start. */
const char *proto_table_check(void);

#endif
