#ifndef R2A_GATEWAY_CHORE_H
#define R2A_GATEWAY_CHORE_H

#include "r2a/core/slice.h"

/* Requests of our own, without a client: what a provider lists. They run as exchanges through the
 * same calls as everybody's. */
struct exchange;
struct worker;
struct config;
struct provider_instance;

/* Asks a provider for its models; the answer goes to the catalog. */
void chore_list_models(struct worker *worker, struct config *config,
                       const struct provider_instance *provider);
/* The answer's document. */
void chore_on_document(struct exchange *ex, struct slice body);
/* It failed: ex->failure says why. */
void chore_on_failed(struct exchange *ex);

#endif
