#ifndef R2A_PROTO_GEMINI_WRITE_H
#define R2A_PROTO_GEMINI_WRITE_H

#include "gemini.h"
#include "mend.h"
#include "names.h"
#include "schema.h"

/* A request on its way to the upstream; gemini_write.c has the root, gemini_turns.c what people and
 * models said. */
struct gemini_writer {
    const struct ir_tape *tape;
    const struct target *target;
    struct brief *brief;
    struct rope *out;
    struct loss *loss;
    struct fault *fault;
    struct params params;
    struct names names;
    struct mend mend;
    struct schema_budget schemas;
    bool is_native; /* the client speaks generateContent too */
};

/* `"systemInstruction":{…},`, or nothing. */
enum r2a_err gemini_write_system(struct gemini_writer *w);
/* `"contents":[…]` */
enum r2a_err gemini_write_contents(struct gemini_writer *w);

#endif
