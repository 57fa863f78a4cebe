#ifndef R2A_PROVIDER_LIST_H
#define R2A_PROVIDER_LIST_H

#include "r2a/provider/provider.h"

/* One row a kind: X(name of `const struct provider provider_<name>`). */
#define PROVIDER_LIST(X) \
    X(openai)            \
    X(openai_responses)  \
    X(anthropic)         \
    X(gemini)            \
    X(openrouter)        \
    X(echo)

#define X(name) extern const struct provider provider_##name;
PROVIDER_LIST(X)
#undef X

#endif
