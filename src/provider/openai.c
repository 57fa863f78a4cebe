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
    rope_put(out, request->operation == BRIEF_LIST ? S("/models") : S("/chat/completions"));
    common_query(request, out);
}

static void headers(const struct provider_instance *instance,
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
    .headers = headers,
};
