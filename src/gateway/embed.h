#ifndef R2A_GATEWAY_EMBED_H
#define R2A_GATEWAY_EMBED_H

#include "r2a/ir/fault.h"
#include "r2a/proto/embed.h"
#include "r2a/provider/provider.h"

/* ROUTE_EMBED: embedding calls of either API. The body is gathered like a dialect's request; to an
 * upstream with the same API it goes as it is (but for the model's name) and the answer flows back,
 * to the other it is said in that one's words (proto/embed.h). */
struct exchange;

/* Which embedding API an upstream has. */
enum embed_form embed_form_of(const struct provider_instance *provider, const struct proto *proto);
/* OpenAI's /embeddings is passed, not gathered, unless some provider would need it translated:
 * which one serves a model is known too late to choose. */
bool embed_must_gather(const struct exchange *ex);
/* The brief is made: notes what the client asks in. */
void embed_open(struct exchange *ex);
/* Fills request->encoded for the target. */
enum r2a_err embed_encode(struct exchange *ex, struct fault *fault);
/* The answer of an upstream with the other API, whole. */
void embed_on_answer(struct exchange *ex, struct slice answer);

#endif
