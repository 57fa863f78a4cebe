#ifndef R2A_PROVIDER_COMMON_H
#define R2A_PROVIDER_COMMON_H

#include "r2a/provider/provider.h"

/* What the head of every service has in common. */

/* One of our own header lines, unless the configuration removes it or says another value, or the
 * value is empty. `prefix` stands before the value ("Bearer "). */
void common_header(const struct provider_instance *instance, struct slice name, struct slice prefix,
                   struct slice value, struct rope *out);
/* Accept, User-Agent, traceparent, Idempotency-Key, x-request-id, then the configured headers. */
void common_headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out);
/* Authorization: Bearer KEY, when there is a key. */
void common_bearer(const struct provider_instance *instance, const struct provider_request *request,
                   struct rope *out);
/* `?query` of a relayed request, without what may be a credential. */
void common_query(const struct provider_request *request, struct rope *out);

/* Chat Completions services; the headers are those of Responses, too. */
const struct proto *openai_speaks(const struct provider_instance *instance, struct slice model);
void openai_path(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out);
void openai_headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out);

#endif
