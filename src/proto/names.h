#ifndef R2A_PROTO_NAMES_H
#define R2A_PROTO_NAMES_H

#include "common.h"

/* The tools of a request under the names their target accepts (conversion.md 2.5): illegal and
 * over-long names fitted, namespaces flattened, duplicates keep last, custom tools that become
 * functions remembered. Writes brief->names for the way back. */
enum names_form {
    NAMES_OC, /* [A-Za-z0-9_-]{1,64} */
    NAMES_OR, /* {1,128} */
    NAMES_AM, /* {1,128} */
    NAMES_GG, /* starts with a letter or _, then [A-Za-z0-9_.:-], 64 */
};
#define NAME_BYTES_MAX 128u

struct names_rules {
    uint8_t form;         /* enum names_form */
    bool wraps_custom;    /* custom tools become functions with one string */
    bool flattens_spaces; /* namespaces become prefixes: all but OR */
};

struct names_tool {
    uint32_t event;  /* its TOOL on the tape */
    uint8_t kind;    /* enum ir_tool */
    bool is_dropped; /* a later definition has the name, or the encoder decided so */
    bool is_wrapped; /* a custom tool that is sent as a function */
    uint8_t builtin; /* enum builtin_id: a vendor's own tool that is sent as a function */
    struct text client, space;
    struct slice wire; /* plain; for a server tool its type */
};

struct names {
    struct names_rules rules;
    struct names_tool *tools;
    uint32_t tools_count;
    struct arena *arena;
    /* private */
    uint32_t *slots;
    uint32_t slots_mask;
    uint64_t seed;
};

/* Reads the tools; fails with a fault (more than TOOLS_MAX, or a tool without a name) or
 * NO_MEMORY. */
enum r2a_err names_build(struct names *names, const struct ir_tape *tape, struct names_rules rules,
                         struct brief *brief, struct fault *fault);
/* The declared tool of that client name (and namespace), or NULL. */
struct names_tool *names_find(const struct names *names, struct text client, struct text space);
/* What the target is to read for a name in the history or in tool_choice: the tool's wire name, or
 * the name fitted. An empty slice: out of memory. */
struct slice names_wire(const struct names *names, struct text client, struct text space);
/* The pure fitting function. */
bool name_fit(struct text name, struct text space, enum names_form form, struct arena *arena,
              struct slice *wire);

/* Tools that are not dropped, of JSON or CUSTOM kind. */
uint32_t names_count_functions(const struct names *names);

#endif
