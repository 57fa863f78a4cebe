#ifndef R2A_PROTO_OPENAI_CHAT_MESSAGES_H
#define R2A_PROTO_OPENAI_CHAT_MESSAGES_H

#include "reading.h"

/* The turns of `messages` (the root's member, whatever it is). */
enum r2a_err openai_chat_messages_decode(struct reading *r, const struct member *messages);

/* A cache mark, in OpenAI's or in Anthropic's words. */
bool openai_chat_has_mark(const struct member *cache_control, const struct member *breakpoint);

#endif
