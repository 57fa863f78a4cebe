#ifndef R2A_PROTO_OPENAI_RESPONSES_ITEMS_H
#define R2A_PROTO_OPENAI_RESPONSES_ITEMS_H

#include "reading.h"

/* The items of a Responses request, in the order a tape wants them: what declares tools first, then
 * the turns. */

/* An array of tools: `tools` of the root, of a namespace, of an item. `space`: the namespace they
 * stand in, or empty. Counts them in `*count`. */
enum r2a_err openai_responses_tools_decode(struct reading *r, const struct member *tools,
                                           struct text space, uint32_t *count);
/* Tools that stand in items: additional_tools, and what a tool search found. */
enum r2a_err openai_responses_item_tools_decode(struct reading *r, const struct member *input,
                                                uint32_t *count);
/* All turns. `instructions` is the first one, when present. */
enum r2a_err openai_responses_turns_decode(struct reading *r, const struct member *instructions,
                                           const struct member *input);

#endif
