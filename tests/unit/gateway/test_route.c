#include "../../../src/gateway/route.h"
#include "kit.h"
#include "r2a/http/url.h"

static struct config *config;
static char path_buf[512];
static char id_buf[512];

static void setup(void)
{
    config = kit_config("{\"providers\": {\"up\": {\"kind\": \"echo\"}, \"claude-custom\": "
                        "{\"kind\": \"echo\"}}, \"default_provider\": \"up\"}");
}

static void teardown(void)
{
    config_unref(config);
}

TestSuite(route, .init = setup, .fini = teardown);

static struct route_match match_with(const char *method, const char *target,
                                     struct route_request request)
{
    struct route_match match;
    struct slice path;
    int32_t len;

    url_split(slice_from_z(target), &path, &request.query);
    len = url_path_normalise(path, path_buf);
    cr_assert_geq(len, 0);
    request.method = slice_from_z(method);
    request.path = slice_of(path_buf, (size_t)len);
    route_match(config, &request, id_buf, &match);
    return match;
}

static struct route_match match(const char *method, const char *target)
{
    return match_with(method, target, (struct route_request){0});
}

static bool speaks(struct route_match match, const char *name)
{
    return slice_eq(match.client->name, slice_from_z(name));
}

struct expected {
    const char *method, *target;
    enum route_op op;
    const char *client;
};

Test(route, knows_its_paths)
{
    static const struct expected rows[] = {
        {"POST", "/v1/chat/completions", ROUTE_GENERATE, "openai"},
        {"POST", "/chat/completions", ROUTE_GENERATE, "openai"},
        {"POST", "//v1//chat/completions/", ROUTE_GENERATE, "openai"},
        {"POST", "/v1/v1/chat/completions", ROUTE_GENERATE, "openai"},
        {"POST", "/v1/chat/completions?x=1", ROUTE_GENERATE, "openai"},
        {"POST", "/v1/messages?beta=true", ROUTE_GENERATE, "anthropic"},
        {"POST", "/messages", ROUTE_GENERATE, "anthropic"},
        {"POST", "/v1/messages/count_tokens", ROUTE_COUNT, "anthropic"},
        {"POST", "/messages/count_tokens", ROUTE_COUNT, "anthropic"},
        {"POST", "/v1/embeddings", ROUTE_PASS, "openai"},
        {"POST", "/v1/images/edits", ROUTE_PASS, "openai"},
        {"POST", "/rerank", ROUTE_PASS, "openai"},
        {"GET", "/v1/models", ROUTE_MODELS, "openai"},
        {"GET", "/models", ROUTE_MODELS, "openai"},
        {"HEAD", "/v1/models/", ROUTE_MODELS, "openai"},
        {"GET", "/v1/models/gpt-x", ROUTE_MODEL, "openai"},
        {"GET", "/", ROUTE_ROOT, "openai"},
        {"HEAD", "/", ROUTE_ROOT, "openai"},
        {"HEAD", "/api/hello", ROUTE_HELLO, "openai"},
        {"GET", "/health", ROUTE_HEALTH, "openai"},
        {"GET", "/ready", ROUTE_READY, "openai"},
        {"GET", "/metrics", ROUTE_METRICS, "openai"},
        {"OPTIONS", "/v1/messages", ROUTE_OPTIONS, "openai"},
        {"OPTIONS", "/nope", ROUTE_OPTIONS, "openai"},
        {"GET", "/nope", ROUTE_NONE, "openai"},
        {"POST", "/v1/chat", ROUTE_NONE, "openai"},
        {"POST", "/v2/chat/completions", ROUTE_NONE, "openai"},
        {"GET", "/v1", ROUTE_NONE, "openai"},
        {"GET", "/v1/health", ROUTE_NONE, "openai"},
        {"POST", "/V1/messages", ROUTE_NONE, "openai"},
        {"POST", "/v1beta/chat/completions", ROUTE_NONE, "openai"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct route_match found = match(rows[i].method, rows[i].target);

        cr_assert_eq(found.op, rows[i].op, "%s %s: %d", rows[i].method, rows[i].target, found.op);
        cr_assert_not(found.method_wrong, "%s %s", rows[i].method, rows[i].target);
        if (proto_find(S("gemini")) == NULL)
            cr_assert(speaks(found, rows[i].client), "%s", rows[i].target);
    }
}

Test(route, says_which_method_is_right)
{
    struct route_match found = match("GET", "/v1/chat/completions");

    cr_assert(found.method_wrong);
    cr_assert_str_eq(found.allow, "POST");
    found = match("DELETE", "/v1/messages");
    cr_assert(found.method_wrong);
    cr_assert(speaks(found, "anthropic"));
    found = match("POST", "/v1/models");
    cr_assert(found.method_wrong);
    cr_assert_str_eq(found.allow, "GET, HEAD");
    cr_assert(match("PATCH", "/health").method_wrong);
    cr_assert(match("POST", "/").method_wrong);
    cr_assert_not(match("POST", "/nope").method_wrong);
}

Test(route, takes_a_provider_from_the_path)
{
    struct route_match found = match("POST", "/claude-custom/v1/messages");

    cr_assert_eq(found.op, ROUTE_GENERATE);
    cr_assert_eq(found.prefix, &config->providers[1]);
    cr_assert(speaks(found, "anthropic"));
    found = match("POST", "/up/chat/completions");
    cr_assert_eq(found.op, ROUTE_GENERATE);
    cr_assert_eq(found.prefix, &config->providers[0]);
    found = match("GET", "/u%70/v1/models");
    cr_assert_eq(found.op, ROUTE_MODELS);
    cr_assert_eq(found.prefix, &config->providers[0]);
    cr_assert_eq(match("POST", "/nobody/v1/messages").op, ROUTE_NONE);
    cr_assert_eq(match("GET", "/up").op, ROUTE_NONE);
    cr_assert_eq(match("GET", "/up/health").op, ROUTE_NONE);
    cr_assert_eq(match("POST", "/up/up/v1/messages").op, ROUTE_NONE);
}

Test(route, decodes_ids_once)
{
    cr_assert(slice_eq(match("GET", "/v1/models/openai/gpt-x").id, S("openai/gpt-x")));
    cr_assert(slice_eq(match("GET", "/v1/models/openai%2Fgpt-x").id, S("openai/gpt-x")));
    cr_assert(slice_eq(match("GET", "/models/a%2525:free").id, S("a%25:free")));
}

Test(route, models_are_three_apis)
{
    struct route_request anthropic = {.has_anthropic_version = true};

    cr_assert(speaks(match_with("GET", "/v1/models?limit=1000", anthropic), "anthropic"));
    cr_assert(speaks(match_with("GET", "/v1/models/x", anthropic), "anthropic"));
    cr_assert(speaks(match_with("GET", "/nope", anthropic), "anthropic"));
    /* the route itself says what it is */
    cr_assert(speaks(match_with("POST", "/v1/chat/completions", anthropic), "openai"));
}

Test(route, keeps_the_path_of_what_is_passed_on)
{
    cr_assert(slice_eq(match("POST", "/up/v1/audio/speech").pass_path, S("/audio/speech")));
    cr_assert(slice_eq(match("POST", "/embeddings?a=b").pass_path, S("/embeddings")));
    cr_assert(slice_eq(match("POST", "/embeddings?a=b").query, S("a=b")));
}

Test(route, offers_no_websocket)
{
    struct route_request upgrade = {.has_upgrade = true};

    cr_assert_eq(match_with("GET", "/v1/responses", upgrade).op, ROUTE_WEBSOCKET);
    cr_assert_eq(match_with("GET", "/responses", upgrade).op, ROUTE_WEBSOCKET);
}

Test(route, follows_the_dialects_that_are_built_in)
{
    bool has_responses = proto_find(S("openai-responses")) != NULL;
    bool has_gemini = proto_find(S("gemini")) != NULL;
    struct route_match found;

    cr_assert_eq(match("POST", "/v1/responses").op, has_responses ? ROUTE_GENERATE : ROUTE_NONE);
    cr_assert_eq(match("GET", "/v1/responses/resp_1").op,
                 has_responses ? ROUTE_RESPONSE : ROUTE_NONE);
    cr_assert_eq(match("GET", "/v1/responses/resp_1/input").op, ROUTE_NONE);
    cr_assert_eq(match("GET", "/v1beta/models").op, has_gemini ? ROUTE_MODELS : ROUTE_NONE);
    found = match("POST", "/v1beta/models/deepseek/chat:free:streamGenerateContent?alt=sse");
    cr_assert_eq(found.op, has_gemini ? ROUTE_GENERATE : ROUTE_NONE);
    if (!has_gemini)
        return;
    cr_assert(slice_eq(found.id, S("deepseek/chat:free")));
    cr_assert(found.is_stream_path);
    cr_assert_not(found.is_json_array);
    found = match("POST", "/v1/models/openai%2Fgpt-x:streamGenerateContent");
    cr_assert(slice_eq(found.id, S("openai/gpt-x")));
    cr_assert(found.is_json_array);
    found = match("POST", "/v1beta/openai/gpt-x:generateContent");
    cr_assert_eq(found.op, ROUTE_GENERATE);
    cr_assert(slice_eq(found.id, S("openai/gpt-x")));
    cr_assert_eq(match("POST", "/v1beta/models/x:countTokens").op, ROUTE_COUNT);
    cr_assert_eq(match("POST", "/v1beta/models/x:embedContent").op, ROUTE_EMBED);
    cr_assert_eq(match("POST", "/v1beta/models/x:nope").op, ROUTE_NONE);
    cr_assert(match("GET", "/v1beta/models/x:generateContent").method_wrong);
    cr_assert(speaks(match("GET", "/v1/models?key=k"), "gemini"));
    cr_assert(speaks(match("GET", "/v1beta/nope"), "gemini"));
}
