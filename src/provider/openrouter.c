/* OpenRouter: Chat Completions, and two headers that say on whose behalf. A client that says them
 * itself knows better than the configuration. */
#include "common.h"
#include "r2a/provider/list.h"

static void headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out)
{
    struct slice none = {0};

    common_bearer(instance, request, out);
    common_header(instance, S("HTTP-Referer"), none,
                  request->referer.len > 0 ? request->referer : instance->referer, out);
    common_header(instance, S("X-Title"), none,
                  request->title.len > 0 ? request->title : instance->title, out);
    common_headers(instance, request, out);
}

const struct provider provider_openrouter = {
    .name = S_INIT("openrouter"),
    .default_base_url = S_INIT("https://openrouter.ai/api/v1"),
    .has_attribution = true,
    .passes = true,
    .needs_key = true,
    .speaks = openai_speaks,
    .path = openai_path,
    .headers = headers,
};
