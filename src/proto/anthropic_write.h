#ifndef R2A_PROTO_ANTHROPIC_WRITE_H
#define R2A_PROTO_ANTHROPIC_WRITE_H

#include "anthropic.h"
#include "mend.h"
#include "names.h"

/* A request on its way to the upstream; anthropic_write.c has the root, anthropic_turns.c what
 * people and models said. */
struct anthropic_writer {
    const struct ir_tape *tape;
    const struct target *target;
    struct brief *brief;
    struct rope *out;
    struct loss *loss;
    struct fault *fault;
    struct params params;
    struct names names;
    struct mend mend;
    bool is_native; /* the client speaks Messages too */
    /* cache marks, in prompt order: at most four, the last ones */
    uint32_t marks_seen, marks_skip;
    size_t schemas_left; /* bytes for schemas that are rewritten */
};

#define ANTHROPIC_MARKS_MAX 4u

/* Writes `,"cache_control":…` when this mark is among those that are kept. */
void anthropic_write_mark(struct anthropic_writer *w, uint8_t flags);
/* Marks of system and turns. */
uint32_t anthropic_count_marks(const struct anthropic_writer *w);
/* `"system":[…],` with `extra` (plain, may be empty) as its last block; nothing when both are
 * empty. */
enum r2a_err anthropic_write_system(struct anthropic_writer *w, struct slice extra,
                                    struct text schema);
enum r2a_err anthropic_write_messages(struct anthropic_writer *w);

#endif
