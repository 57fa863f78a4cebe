#ifndef R2A_PROTO_OPENAI_CHAT_USAGE_H
#define R2A_PROTO_OPENAI_CHAT_USAGE_H

#include "r2a/ir/event.h"

/* The counters of a `usage` object in any of the spellings of this dialect's servers. False when
 * it holds none. */
bool openai_chat_usage_read(struct slice raw, struct ir_usage *usage);

#endif
