#ifndef R2A_PROTO_BUILTIN_H
#define R2A_PROTO_BUILTIN_H

#include "r2a/core/arena.h"
#include "r2a/core/rope.h"
#include "r2a/ir/event.h"

/* Tools that a vendor defines and the client itself runs (conversion.md 2.5): for a foreign
 * upstream each is a function like any other, with the inputs its vendor documents. Anthropic's
 * come back as the tool_use they are anyway; those of Responses are items of kinds of their own,
 * and their calls are raised into these again. */
enum builtin_id {
    BUILTIN_NONE,
    BUILTIN_LOCAL_SHELL, /* from here on of Responses, whose calls are raised */
    BUILTIN_SHELL,
    BUILTIN_APPLY_PATCH,
    BUILTIN_RAISED = BUILTIN_APPLY_PATCH,
    BUILTIN_BASH,
    BUILTIN_EDITOR_2024,
    BUILTIN_EDITOR_202501,
    BUILTIN_EDITOR,
    BUILTIN_MEMORY,
    BUILTIN_COMPUTER,
    BUILTINS,
};

/* By the `type` of a tool of that dialect; BUILTIN_NONE: not such a tool. In Responses the function
 * is called as the type. */
enum builtin_id builtin_of_anthropic(struct text type);
enum builtin_id builtin_of_responses(struct text type);
/* Puts the function: a TOOL with the client's `type` and object beside description and schema, for
 * those who know the tool itself. `name` may be empty: its own. `note` follows the description. */
enum r2a_err builtin_put(struct ir_sink *tape, enum builtin_id id, uint8_t flags, struct text type,
                         struct text name, struct slice note, struct slice raw,
                         struct arena *arena);

/* The members that an item has beside id, status and call_id: `,"type":"shell_call","action":{…}…`.
 * `args` is what the model wrote for the function, or empty while it is not known. What is no
 * object stands where the command or the patch would, so that it is seen. */
void builtin_write_call(enum builtin_id id, struct slice args, struct rope *out);
/* The k-th command of a shell call as its raw JSON string. False: there are no more. */
bool builtin_shell_command(struct slice args, uint32_t k, struct slice *command);

#endif
