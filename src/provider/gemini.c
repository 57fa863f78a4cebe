/* Google's Gemini API: x-goog-api-key, or a bearer token for those that OAuth gave out. The model
 * and the kind of answer are in the path. */
#include "common.h"
#include "r2a/core/str.h"
#include "r2a/http/url.h"
#include "r2a/ir/brief.h"
#include "r2a/provider/list.h"

static const struct proto *speaks(const struct provider_instance *instance, struct slice model)
{
    (void)instance;
    (void)model;
    return &proto_gemini;
}

/* `models/x`, `tunedModels/x` and bare names; slashes of the name itself are encoded. */
static void put_model(struct slice model, struct rope *out)
{
    struct slice kind = S("models/");

    if (str_starts(model, S("tunedModels/")))
        kind = S("tunedModels/");
    if (str_starts(model, kind))
        model = slice_skip(model, kind.len);
    rope_put(out, kind);
    url_put_segment(out, model, false);
}

static struct slice method_of(const struct provider_request *request)
{
    switch (request->operation) {
    case BRIEF_COUNT:
        return S(":countTokens");
    case BRIEF_EMBED:
        return S(":embedContent");
    case BRIEF_EMBED_BATCH:
        return S(":batchEmbedContents");
    default:
        return request->is_stream ? S(":streamGenerateContent") : S(":generateContent");
    }
}

static void path(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out)
{
    struct slice base = instance->endpoint.path;

    /* base_url is written with and without the version */
    if (!str_ends(base, S("/v1beta")) && !str_ends(base, S("/v1")))
        rope_put(out, S("/v1beta"));
    if (request->operation == BRIEF_LIST) {
        rope_put(out, S("/models?pageSize=1000"));
        return;
    }
    rope_put_char(out, '/');
    put_model(request->model, out);
    rope_put(out, method_of(request));
    /* a relayed client gets the form it asked for */
    if (request->operation == BRIEF_GENERATE && request->is_stream && !request->is_relay)
        rope_put(out, S("?alt=sse"));
    else
        common_query(request, out);
}

static void headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out)
{
    struct slice none = {0};
    struct slice key = request->credential ? request->credential->key : none;

    if (str_starts(key, S("ya29."))) /* an OAuth access token */
        common_bearer(instance, request, out);
    else
        common_header(instance, S("x-goog-api-key"), none, key, out);
    common_headers(instance, request, out);
}

const struct provider provider_gemini = {
    .name = S_INIT("gemini"),
    .default_base_url = S_INIT("https://generativelanguage.googleapis.com"),
    .needs_key = true,
    .minter = S_INIT("google"),
    .speaks = speaks,
    .path = path,
    .headers = headers,
};
