#ifndef R2A_GATEWAY_ROUTE_H
#define R2A_GATEWAY_ROUTE_H

#include "board.h"
#include "r2a/gateway/config.h"

/* What a request line asks for: paths of interface.md, with or without /v1, after an optional
 * provider prefix. Pure. */
enum route_op {
    ROUTE_NONE,      /* unknown path: 404 */
    ROUTE_GENERATE,  /* a dialect's main call */
    ROUTE_COUNT,     /* count_tokens and its like */
    ROUTE_MODELS,    /* list */
    ROUTE_MODEL,     /* one model: `id` */
    ROUTE_PASS,      /* embeddings, images, audio …: `pass_path` */
    ROUTE_EMBED,     /* Gemini embedContent, batchEmbedContents */
    ROUTE_RESPONSE,  /* GET/DELETE a stored response: `id` */
    ROUTE_WEBSOCKET, /* GET /v1/responses with an upgrade: 426 */
    ROUTE_ROOT,
    ROUTE_HELLO,
    ROUTE_HEALTH,
    ROUTE_READY,
    ROUTE_METRICS,
    ROUTE_OPTIONS, /* CORS preflight */
};

struct route_match {
    uint8_t op;        /* enum route_op */
    bool method_wrong; /* the path is known, the method is not: 405; `allow` says which */
    const char *allow;
    const struct proto *client;             /* dialect of the route (also for errors), never NULL */
    const struct provider_instance *prefix; /* chosen by the path, or NULL */
    struct slice id; /* percent-decoded model or response id of the path (Gemini, /models/{id}) */
    struct slice method_name; /* Gemini: what follows the last colon */
    bool is_stream_path;      /* Gemini :streamGenerateContent */
    bool is_json_array;       /* … without alt=sse */
    struct slice pass_path;   /* "/embeddings" … */
    struct slice query;       /* as received */
};

struct route_request {
    struct slice method, path, query;
    bool has_anthropic_version, has_goog_key; /* headers decide GET /v1/models and error shapes */
    bool has_upgrade;
    bool has_preflight; /* access-control-request-method */
};

/* `buf` takes the decoded id (at least path.len bytes). */
void route_match(const struct config *config, const struct route_request *request, char *buf,
                 struct route_match *match);

/* One possible upstream, in order of preference. */
#define ROUTE_CANDIDATES_MAX 16u
struct route_candidate {
    const struct provider_instance *provider;
    struct slice model; /* as sent upstream */
};
struct route_plan {
    struct route_candidate candidates[ROUTE_CANDIDATES_MAX]; /* [0] chosen by weight, then the other
                                                                targets' and the fallbacks */
    uint32_t count;
    const struct cfg_route *route; /* NULL when none matched */
    struct timeouts timeouts;      /* merged: key/route/provider of the first candidate/file */
    int8_t strict;
    enum {
        ROUTE_PLAN_OK,
        ROUTE_PLAN_NO_MODEL,
        ROUTE_PLAN_UNKNOWN_MODEL,
        ROUTE_PLAN_UNKNOWN_PROVIDER,
        ROUTE_PLAN_FORBIDDEN,
        ROUTE_PLAN_OFF
    } verdict;
    struct slice subject; /* what was not found: for the message */
};

/* Chooses (interface.md "Choosing the upstream", first match wins): path prefix, header
 * model-provider, PROVIDER/MODEL, routes, default_provider. Applies default_model (forced or
 * fallback). `model` is what the request names, "" when none. Model strings in the plan borrow from
 * `model` or the configuration. */
void route_choose(const struct config *config, struct board *board,
                  const struct provider_instance *prefix, struct slice model_provider,
                  struct slice model, const struct cfg_key *key, struct route_plan *plan);

/* Timeouts and strictness that hold for one candidate of a plan: the nearest wins (key, route,
 * provider, file). */
void route_timeouts(const struct config *config, const struct cfg_route *route,
                    const struct provider_instance *provider, struct timeouts *timeouts);
bool route_strict(const struct config *config, const struct cfg_key *key,
                  const struct cfg_route *route, const struct provider_instance *provider);
struct retry_rule route_retry(const struct config *config,
                              const struct provider_instance *provider);

/* The model ids a client with `key` (may be NULL) may name: configured ids, aliases. Calls put for
 * each, unique. */
void route_models(const struct config *config, const struct cfg_key *key,
                  const struct provider_instance *only,
                  void (*put)(void *context, const struct proto_model *model), void *context);
/* `models` patterns with `!` exclusions; an empty list allows all. */
bool route_allows(const struct slice *globs, uint32_t count, struct slice model);

#endif
