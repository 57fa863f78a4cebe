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
    switch ((enum brief_operation)request->operation) {
    case BRIEF_LIST:
        rope_put(out, S("/models"));
        break;
    case BRIEF_COUNT:
        rope_put(out, S("/responses/input_tokens"));
        break;
    case BRIEF_EMBED:
    case BRIEF_EMBED_BATCH:
        rope_put(out, S("/embeddings"));
        break;
    case BRIEF_GENERATE:
        rope_put(out, S("/responses"));
        break;
    }
    common_query(request, out);
}

const struct provider provider_openai_responses = {
    .name = S_INIT("openai-responses"),
    .default_base_url = S_INIT("https://api.openai.com/v1"),
    .passes = true,
    .needs_key = true,
    .minter = S_INIT("openai"),
    .speaks = speaks,
    .path = path,
    .headers = openai_headers,
};
