#include "auth.h"
#include "catalog.h"
#include "chore.h"
#include "exchange.h"
#include "front.h"
#include "gateway_state.h"
#include "r2a/core/str.h"
#include "r2a/json/write.h"
#include "worker.h"

/* What the gateway answers by itself: probes, health, metrics, model lists, CORS. */

static void answer_preflight(struct exchange *ex)
{
    if (ex->origin.len == 0) {
        ex_answer_with(ex, 204, (struct slice){0}, (struct slice){0},
                       S("allow: GET, HEAD, POST, DELETE, OPTIONS\r\n"));
        return;
    }
    ex_answer_with(ex, 204, (struct slice){0}, (struct slice){0},
                   S("access-control-allow-methods: GET, HEAD, POST, DELETE, OPTIONS\r\n"
                     "access-control-allow-headers: authorization, content-type, x-api-key, "
                     "x-goog-api-key, x-goog-api-client, anthropic-version, anthropic-beta, "
                     "anthropic-dangerous-direct-browser-access, openai-beta, openai-organization, "
                     "openai-project, model-provider, x-request-id, idempotency-key, traceparent, "
                     "x-stainless-lang, x-stainless-package-version, x-stainless-os, "
                     "x-stainless-arch, x-stainless-runtime, x-stainless-runtime-version, "
                     "x-stainless-retry-count, x-stainless-timeout, x-stainless-helper-method, "
                     "http-referer, x-title, user-agent\r\n"
                     "access-control-max-age: 86400\r\n"));
}

static void answer_root(struct exchange *ex)
{
    ex_answer_text(
        ex, 200, S("text/plain; charset=utf-8"),
        S("ring2api: an LLM protocol gateway. Base URL for OpenAI clients: "
          "http://THIS-HOST/v1\n"
          "For Anthropic and Gemini clients: http://THIS-HOST (they append /v1/messages, "
          "/v1beta/models/...).\n"));
}

static void answer_health(struct exchange *ex)
{
    const struct config *config = ex->config;
    struct rope body = {.mem = ex->worker->mem};
    struct json_write w;
    bool has_off = false;

    for (uint32_t i = 0; i < config->providers_count; i++)
        has_off = has_off || config->providers[i].is_off;
    jw_open(&w, &body);
    jw_object(&w);
    jw_member_string(&w, S("status"), has_off ? S("degraded") : S("ok"));
    jw_member_string(&w, S("version"), S(R2A_VERSION));
    if (has_off) {
        jw_key(&w, S("off"));
        jw_object(&w);
        for (uint32_t i = 0; i < config->providers_count; i++) {
            if (!config->providers[i].is_off)
                continue;
            jw_key_text(&w, text_plain(config->providers[i].name));
            jw_string(&w, config->providers[i].off_reason);
        }
        jw_object_end(&w);
    }
    jw_object_end(&w);
    ex_answer(ex, 200, S("application/json"), &body);
}

static void answer_ready(struct exchange *ex)
{
    const struct config *config = ex->config;
    bool is_usable = false;

    for (uint32_t i = 0; i < config->providers_count; i++)
        is_usable = is_usable || !config->providers[i].is_off;
    if (ex->worker->is_draining)
        ex_answer_text(ex, 503, S("application/json"), S("{\"status\":\"draining\"}"));
    else if (!is_usable)
        ex_answer_text(ex, 503, S("application/json"), S("{\"status\":\"no usable provider\"}"));
    else
        ex_answer_text(ex, 200, S("application/json"), S("{\"status\":\"ready\"}"));
}

static bool may_see_metrics(const struct exchange *ex, const struct auth_offer *offer)
{
    if (ex->front->is_admin || auth_is_admin(ex->config, offer))
        return true;
    return !ex->config->has_admin &&
           (ex->front->conn->peer.is_loopback || ex->front->conn->peer.family == AF_UNIX);
}

static void answer_metrics(struct exchange *ex, const struct auth_offer *offer)
{
    struct rope body = {.mem = ex->worker->mem};

    if (!may_see_metrics(ex, offer)) {
        ex_refuse(ex, FAULT_AUTH, 0, S("metrics need the admin key"));
        return;
    }
    gateway_write_metrics(ex->worker->gateway, &body);
    ex_answer(ex, 200, S("text/plain; version=0.0.4; charset=utf-8"), &body);
}

#define MODELS_MAX 4096u

struct models_taker {
    struct arena *arena;
    struct proto_model *models;
    uint32_t count;
    struct slice wanted; /* one model only */
};

static void take_model(void *context, const struct proto_model *model)
{
    struct models_taker *taker = context;

    for (uint32_t i = 0; i < taker->count; i++) {
        if (slice_eq(taker->models[i].id, model->id))
            return;
    }
    if (taker->count == MODELS_MAX ||
        (taker->wanted.len > 0 && !slice_eq(taker->wanted, model->id)))
        return;
    taker->models[taker->count] = *model;
    taker->models[taker->count].id = arena_copy(taker->arena, model->id);
    taker->count++;
}

/* A provider whose models nobody configured is asked for its list. */
static bool lists_itself(const struct provider_instance *provider)
{
    return provider->models_count == 0 && !provider->is_off && !provider->kind->is_embedded;
}

/* Whether a list that was never had is on its way; asks for those that are due. */
static bool is_waiting_for_lists(struct exchange *ex)
{
    const struct provider_instance *only = ex->request->match.prefix;
    uint64_t now = loop_now_ms(&ex->worker->loop);
    bool is_waiting = false;

    for (uint32_t i = 0; i < ex->config->providers_count; i++) {
        const struct provider_instance *provider = &ex->config->providers[i];
        struct catalog *catalog = gateway_catalog(ex->worker->gateway);
        struct catalog_state state;

        if (!lists_itself(provider) || (only && only != provider))
            continue;
        state = catalog_look(catalog, provider->name, now);
        if (state.must_ask) {
            chore_list_models(ex->worker, ex->config, provider);
            state.is_asked = catalog_look(catalog, provider->name, now).is_asked;
        }
        is_waiting = is_waiting || (state.is_asked && !state.is_known);
    }
    return is_waiting;
}

/* What an upstream lists, under the names that lead to it: PROVIDER/ID, and the bare id where that
 * does too. */
static void take_listed(struct exchange *ex, struct models_taker *taker)
{
    const struct provider_instance *only = ex->request->match.prefix;
    struct arena *arena = &ex->request->arena;

    for (uint32_t i = 0; i < ex->config->providers_count; i++) {
        const struct provider_instance *provider = &ex->config->providers[i];
        bool is_bare =
            only == provider || (only == NULL && ex->config->default_provider == (int32_t)i);
        struct slice rest, id;
        char *ids;

        if (!lists_itself(provider) || (only && only != provider) ||
            (ids = arena_take(arena, CATALOG_BYTES)) == NULL)
            continue;
        rest = slice_of(ids, catalog_get(gateway_catalog(ex->worker->gateway), provider->name, ids,
                                         CATALOG_BYTES));
        while (rest.len > 0 && str_split(&rest, '\n', &id)) {
            struct proto_model model = {.id = id, .owner = provider->name};

            if (id.len == 0)
                continue;
            if (!is_bare) {
                char *text = arena_take(arena, provider->name.len + 1 + id.len);
                struct str_buf name = {.ptr = text, .size = provider->name.len + 1 + id.len};

                if (text == NULL)
                    return;
                str_buf_put(&name, provider->name);
                str_buf_put_char(&name, '/');
                str_buf_put(&name, id);
                model.id = str_buf_slice(&name);
            }
            if (ex->key == NULL || route_allows(ex->key->models, ex->key->models_count, model.id))
                take_model(taker, &model);
        }
    }
}

#define LIST_POLL_MS 25u

void ex_answer_models(struct exchange *ex)
{
    struct route_match *match = &ex->request->match;
    struct rope body = {.mem = ex->worker->mem};
    struct models_taker taker = {.arena = &ex->request->arena, .wanted = match->id};

    if (is_waiting_for_lists(ex) &&
        loop_now_ms(&ex->worker->loop) < ex->started_ms + CATALOG_WAIT_MS) {
        if (ex->state == EX_HEAD)
            ex_enter(ex, EX_QUEUE);
        loop_timer_arm(&ex->worker->loop, &ex->deadline,
                       loop_now_ms(&ex->worker->loop) + LIST_POLL_MS);
        return;
    }
    taker.models = arena_take(&ex->request->arena, MODELS_MAX * sizeof(struct proto_model));
    if (taker.models == NULL) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    route_models(ex->config, ex->key, match->prefix, take_model, &taker);
    take_listed(ex, &taker);
    if (match->op == ROUTE_MODEL) {
        if (taker.count == 0 || ex->client->model_write == NULL) {
            char text[200];
            struct str_buf message = STR_BUF(text);

            str_buf_put(&message, S("no such model: "));
            str_buf_put(&message, slice_head(match->id, 128));
            ex_refuse(ex, FAULT_NOT_FOUND, 0, str_buf_slice(&message));
            return;
        }
        ex->client->model_write(&taker.models[0], &body);
    } else if (ex->client->models_write == NULL) {
        ex_refuse(ex, FAULT_NOT_FOUND, 0, S("this protocol has no model list"));
        return;
    } else {
        ex->client->models_write(taker.models, taker.count, &body);
    }
    ex_answer(ex, 200, S("application/json"), &body);
}

bool ex_answer_static(struct exchange *ex, const struct auth_offer *offer)
{
    struct route_match *match = &ex->request->match;

    switch ((enum route_op)match->op) {
    case ROUTE_OPTIONS:
        answer_preflight(ex);
        return true;
    case ROUTE_ROOT:
        answer_root(ex);
        return true;
    case ROUTE_HELLO:
        ex_answer_text(ex, 200, S("text/plain; charset=utf-8"), S("ok\n"));
        return true;
    case ROUTE_HEALTH:
        answer_health(ex);
        return true;
    case ROUTE_READY:
        answer_ready(ex);
        return true;
    case ROUTE_METRICS:
        answer_metrics(ex, offer);
        return true;
    case ROUTE_MODELS:
    case ROUTE_MODEL:
        ex_answer_models(ex);
        return true;
    case ROUTE_WEBSOCKET:
        ex->ended_by = 'P';
        ex_refuse(ex, FAULT_INVALID, 426, S("WebSocket is not offered here; use HTTP"));
        return true;
    case ROUTE_RESPONSE:
        ex_refuse(ex, FAULT_NOT_FOUND, 0, S("no response is stored here"));
        return true;
    case ROUTE_NONE:
        /* OpenAI's `model_not_found` would be a lie here */
        ex_refuse(ex, ex->client == &proto_openai_chat ? FAULT_INVALID : FAULT_NOT_FOUND, 404,
                  S("unknown path; see GET / for what is served"));
        return true;
    case ROUTE_GENERATE:
    case ROUTE_COUNT:
    case ROUTE_PASS:
    case ROUTE_EMBED:
        break;
    }
    return false;
}
