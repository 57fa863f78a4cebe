#ifndef R2A_GATEWAY_MODELS_H
#define R2A_GATEWAY_MODELS_H

#include "r2a/gateway/config.h"

/* The model ids a client without restrictions may name, as GET /v1/models lists them. Calls put for
 * each, unique; `model` and its slices are valid for that call. */
void gateway_models(const struct config *config,
                    void (*put)(void *context, const struct proto_model *model), void *context);

#endif
