/* OpenAI's Responses API and what answers like it: the address and key of Chat Completions, another
 * path. */
#include "common.h"
#include "r2a/ir/brief.h"
#include "r2a/provider/list.h"

static const struct proto *speaks(const struct provider_instance *instance, struct slice model)
{
    (void)instance;
    (void)model;
    return &proto_openai_responses;
}

static void path(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out)
{
    (void)instance;
    rope_put(out, request->operation == BRIEF_LIST    ? S("/models")
                  : request->operation == BRIEF_COUNT ? S("/responses/input_tokens")
                                                      : S("/responses"));
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

const struct provider provider_openai_responses = {
    .name = S_INIT("openai-responses"),
    .default_base_url = S_INIT("https://api.openai.com/v1"),
    .passes = true,
    .needs_key = true,
    .minter = S_INIT("openai"),
    .speaks = speaks,
    .path = path,
    .headers = headers,
};
