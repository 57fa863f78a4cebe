#ifndef R2A_PROTO_OPENAI_CHAT_ASK_H
#define R2A_PROTO_OPENAI_CHAT_ASK_H

#include "common.h"
#include "mend.h"
#include "names.h"

/* A request on its way out: what both of its files need. */
struct ask {
    const struct ir_tape *tape;
    const struct target *target;
    struct brief *brief;
    struct arena *arena;
    struct rope *out;
    struct loss *loss;
    struct fault *fault;
    struct params params;
    struct names names;
    struct mend mend;
    uint32_t marks_left; /* cache marks still to be skipped, so that the last four stay */
};

/* Writes `,"messages":[…]`. */
enum r2a_err openai_chat_tell(struct ask *a);

#endif
