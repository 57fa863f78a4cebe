/* OpenAI and everything that answers like it at another base_url: Chat Completions behind a bearer
 * key, or behind none. */
#include "common.h"
#include "r2a/ir/brief.h"
#include "r2a/provider/list.h"

const struct proto *openai_speaks(const struct provider_instance *instance, struct slice model)
{
    (void)instance;
    (void)model;
    return &proto_openai_chat;
}

void openai_path(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out)
{
    (void)instance;
    switch ((enum brief_operation)request->operation) {
    case BRIEF_LIST:
        rope_put(out, S("/models"));
        break;
    case BRIEF_EMBED:
    case BRIEF_EMBED_BATCH:
        rope_put(out, S("/embeddings"));
        break;
    case BRIEF_GENERATE:
    case BRIEF_COUNT:
        rope_put(out, S("/chat/completions"));
        break;
    }
    common_query(request, out);
}

void openai_headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out)
{
    common_bearer(instance, request, out);
    if (request->is_relay)
        common_header(instance, S("openai-beta"), (struct slice){0}, request->openai_beta, out);
    common_headers(instance, request, out);
}

const struct provider provider_openai = {
    .name = S_INIT("openai"),
    .default_base_url = S_INIT("https://api.openai.com/v1"),
    .passes = true,
    .needs_key = true,
    .minter = S_INIT("openai"),
    .speaks = openai_speaks,
    .path = openai_path,
    .headers = openai_headers,
};
