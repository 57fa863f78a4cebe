#ifndef R2A_PROTO_OPENAI_RESPONSES_ASK_H
#define R2A_PROTO_OPENAI_RESPONSES_ASK_H

#include "common.h"
#include "mend.h"
#include "names.h"

/* A request on its way out: what both of its files need. */
struct responses_ask {
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

#define ASK_TRY(call)                  \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)

/* Writes `,"instructions":…` where there are hoisted system texts, and `,"input":[…]`. */
enum r2a_err openai_responses_tell(struct responses_ask *a);

#endif
