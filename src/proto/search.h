#ifndef R2A_PROTO_SEARCH_H
#define R2A_PROTO_SEARCH_H

#include "r2a/core/rope.h"
#include "r2a/core/slice.h"
#include "r2a/ir/loss.h"

/* Search of the web, the one tool that all vendors run themselves (conversion.md 2.5), and what may
 * be said of it: which domains, from where, how often, how much. */
enum search_form { SEARCH_CHAT, SEARCH_RESPONSES, SEARCH_ANTHROPIC, SEARCH_GEMINI };

/* Whether a server tool of this type, of any dialect, searches the web. */
bool search_is(struct slice type);
/* Writes what `raw`, the client's own tool (or options) object, says, as members of an object that
 * has some already (but SEARCH_CHAT, whose object is empty). What that form has no word for is
 * noted by the client's name for it. */
void search_write(enum search_form form, struct slice raw, struct rope *out, struct loss *loss);

#endif
