/* Anthropic's Messages API: x-api-key, or a bearer token for the keys that OAuth gave out. */
#include "common.h"
#include "r2a/core/str.h"
#include "r2a/ir/brief.h"
#include "r2a/provider/list.h"

static const struct proto *speaks(const struct provider_instance *instance, struct slice model)
{
    (void)instance;
    (void)model;
    return &proto_anthropic;
}

static void path(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out)
{
    /* base_url is written with and without the version */
    if (!str_ends(instance->endpoint.path, S("/v1")))
        rope_put(out, S("/v1"));
    if (request->operation == BRIEF_LIST) {
        rope_put(out, S("/models?limit=1000"));
        return;
    }
    rope_put(out, request->operation == BRIEF_COUNT ? S("/messages/count_tokens") : S("/messages"));
    common_query(request, out);
}

/* Beta names are the client's, and the service refuses an OAuth token without this one. */
static void put_beta(const struct provider_instance *instance,
                     const struct provider_request *request, bool is_oauth, struct rope *out)
{
    struct slice oauth = S("oauth-2025-04-20");
    struct slice beta = request->is_relay ? request->anthropic_beta : (struct slice){0};
    struct slice name = S("anthropic-beta");

    if (!is_oauth || str_has_token(beta, oauth))
        common_header(instance, name, (struct slice){0}, beta, out);
    else if (beta.len == 0)
        common_header(instance, name, (struct slice){0}, oauth, out);
    else
        common_header(instance, name, S("oauth-2025-04-20,"), beta, out);
}

static void headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out)
{
    struct slice none = {0};
    struct slice key = request->credential ? request->credential->key : none;
    bool is_oauth = str_starts(key, S("sk-ant-oat"));

    if (is_oauth)
        common_bearer(instance, request, out);
    else
        common_header(instance, S("x-api-key"), none, key, out);
    common_header(instance, S("anthropic-version"), none,
                  request->is_relay && request->anthropic_version.len > 0
                      ? request->anthropic_version
                      : S("2023-06-01"),
                  out);
    put_beta(instance, request, is_oauth, out);
    common_headers(instance, request, out);
}

const struct provider provider_anthropic = {
    .name = S_INIT("anthropic"),
    .default_base_url = S_INIT("https://api.anthropic.com"),
    .needs_key = true,
    .minter = S_INIT("anthropic"),
    .speaks = speaks,
    .path = path,
    .headers = headers,
};
