/* Which upstreams may serve a request, in order of preference: the five ways of choosing, default
 * models, what a key may name, and the settings that hold where a request lands. Pure but for the
 * turn counters on the board. */
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/gateway/models.h"
#include "route.h"

/* --- what holds where --- */

static void overlay(int32_t *value, int32_t nearer)
{
    if (nearer >= 0)
        *value = nearer;
}

static void overlay_timeouts(struct timeouts *to, const struct timeouts *from)
{
    overlay(&to->connect_ms, from->connect_ms);
    overlay(&to->first_byte_ms, from->first_byte_ms);
    overlay(&to->idle_ms, from->idle_ms);
    overlay(&to->client_header_ms, from->client_header_ms);
    overlay(&to->drain_ms, from->drain_ms);
    overlay(&to->total_ms, from->total_ms);
    overlay(&to->hold_ms, from->hold_ms);
    overlay(&to->keepalive_ms, from->keepalive_ms);
}

void route_timeouts(const struct config *config, const struct cfg_route *route,
                    const struct provider_instance *provider, struct timeouts *timeouts)
{
    *timeouts = config->timeouts;
    if (provider)
        overlay_timeouts(timeouts, &provider->timeouts);
    if (route)
        overlay_timeouts(timeouts, &route->timeouts);
}

bool route_strict(const struct config *config, const struct cfg_key *key,
                  const struct cfg_route *route, const struct provider_instance *provider)
{
    if (key && key->strict >= 0)
        return key->strict != 0;
    if (route && route->strict >= 0)
        return route->strict != 0;
    if (provider && provider->strict >= 0)
        return provider->strict != 0;
    return config->strict;
}

struct retry_rule route_retry(const struct config *config, const struct provider_instance *provider)
{
    struct retry_rule retry = config->retry;

    if (provider && provider->retry.attempts >= 0)
        retry.attempts = provider->retry.attempts;
    if (provider)
        overlay(&retry.base_delay_ms, provider->retry.base_delay_ms);
    return retry;
}

/* --- what may be named --- */

static bool is_excluded(const struct slice *globs, uint32_t count, struct slice model)
{
    for (uint32_t i = 0; i < count; i++) {
        if (globs[i].len > 0 && globs[i].ptr[0] == '!' && str_glob(slice_skip(globs[i], 1), model))
            return true;
    }
    return false;
}

static bool is_included(const struct slice *globs, uint32_t count, struct slice model)
{
    bool has_any = false;

    for (uint32_t i = 0; i < count; i++) {
        if (globs[i].len > 0 && globs[i].ptr[0] == '!')
            continue;
        has_any = true;
        if (str_glob(globs[i], model))
            return true;
    }
    return !has_any;
}

bool route_allows(const struct slice *globs, uint32_t count, struct slice model)
{
    return is_included(globs, count, model) && !is_excluded(globs, count, model);
}

/* A model may be named with and without its provider: either may be what a key's globs mean, and
 * neither may be a way around an exclusion. */
static bool key_allows(const struct cfg_key *key, struct slice full, struct slice plain)
{
    if (key == NULL || key->models_count == 0)
        return true;
    return (is_included(key->models, key->models_count, full) ||
            is_included(key->models, key->models_count, plain)) &&
           !is_excluded(key->models, key->models_count, full) &&
           !is_excluded(key->models, key->models_count, plain);
}

static bool serves(const struct provider_instance *provider, struct slice model)
{
    return route_allows(provider->models, provider->models_count, model);
}

/* --- choosing --- */

struct choice {
    const struct config *config;
    struct slice asked; /* the client's own, or empty */
    struct slice model; /* with the top level's default applied */
    struct route_plan *plan;
    struct slice off;      /* the first provider left out because it is off */
    struct slice unserved; /* the first model a provider does not list */
};

/* PROVIDER/MODEL, when that provider is configured; *model is then what follows. */
static const struct provider_instance *split_model(const struct config *config, struct slice *model)
{
    size_t slash = str_find_char(*model, '/');
    const struct provider_instance *provider;

    if (slash + 1 >= model->len)
        return NULL;
    provider = config_provider(config, slice_head(*model, slash));
    if (provider)
        *model = slice_skip(*model, slash + 1);
    return provider;
}

static void add(struct choice *choice, const struct provider_instance *provider,
                struct slice wanted)
{
    struct route_plan *plan = choice->plan;
    const struct default_model *own = &provider->default_model;
    struct slice model = wanted;

    if (wanted.len == 0) {
        model = choice->model;
        if (own->id.len > 0 && (own->is_forced || choice->asked.len == 0))
            model = own->id;
        if (model.len > 0 && !serves(provider, model)) {
            if (choice->unserved.len == 0)
                choice->unserved = model;
            return;
        }
    }
    if (provider->is_off) {
        if (choice->off.len == 0)
            choice->off = provider->name;
        return;
    }
    if (model.len == 0 || plan->count == ROUTE_CANDIDATES_MAX)
        return;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->candidates[i].provider == provider && slice_eq(plan->candidates[i].model, model))
            return;
    }
    plan->candidates[plan->count++] = (struct route_candidate){provider, model};
}

static void add_target(struct choice *choice, const struct cfg_target *target)
{
    add(choice, &choice->config->providers[target->provider], target->model);
}

static bool is_weighed(const struct choice *choice, const struct cfg_target *target)
{
    return target->weight > 0 && !choice->config->providers[target->provider].is_off;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* The n-th turn among `total`: each comes once in `total` turns, and those of one target lie apart
 * (steps of about the golden section) rather than in a row. */
static uint64_t spread(uint64_t turn, uint64_t total)
{
    uint64_t step = total * 618 / 1000;

    while (step > 1 && common_divisor(step, total) != 1)
        step--;
    return turn % total * (step ? step : 1) % total;
}

static const struct cfg_target *draw(struct choice *choice, struct board *board,
                                     const struct cfg_route *route)
{
    uint64_t total = 0;
    uint32_t candidates = 0;
    uint64_t at = 0;

    for (uint32_t i = 0; i < route->to_count; i++) {
        if (is_weighed(choice, &route->to[i])) {
            total += route->to[i].weight;
            candidates++;
        }
    }
    if (candidates == 0)
        return NULL;
    if (candidates > 1 && board && route->counter != BOARD_NONE)
        at = spread(board_turn(board, route->counter), total);
    for (uint32_t i = 0; i < route->to_count; i++) {
        if (!is_weighed(choice, &route->to[i]))
            continue;
        if (at < route->to[i].weight)
            return &route->to[i];
        at -= route->to[i].weight;
    }
    return NULL;
}

static void add_route(struct choice *choice, struct board *board, const struct cfg_route *route)
{
    const struct cfg_target *first = draw(choice, board, route);

    choice->plan->route = route;
    if (first)
        add_target(choice, first);
    for (uint32_t i = 0; i < route->to_count; i++) {
        if (route->to[i].weight > 0)
            add_target(choice, &route->to[i]);
    }
    for (uint32_t i = 0; i < route->to_count; i++) {
        if (route->to[i].weight == 0)
            add_target(choice, &route->to[i]);
    }
    for (uint32_t i = 0; i < route->fallback_count; i++)
        add_target(choice, &route->fallback[i]);
}

static const struct cfg_route *find_route(const struct config *config, struct slice model)
{
    for (uint32_t i = 0; i < config->routes_count; i++) {
        if (str_glob(config->routes[i].model, model))
            return &config->routes[i];
    }
    return NULL;
}

static bool is_plain_id(struct slice id)
{
    return id.len > 0 && id.ptr[0] != '!' && str_find_char(id, '*') == id.len &&
           str_find_char(id, '?') == id.len;
}

static bool lists(const struct provider_instance *provider, struct slice model)
{
    for (uint32_t i = 0; i < provider->models_count; i++) {
        if (is_plain_id(provider->models[i]) && slice_eq(provider->models[i], model))
            return serves(provider, model);
    }
    return false;
}

/* The default provider, but for an id that others list by name and it does not: who lists an id
 * means to serve it, and it is in the lists that clients choose from. */
static const struct provider_instance *find_default(const struct config *config, struct slice model)
{
    const struct provider_instance *fallback =
        config->default_provider >= 0 ? &config->providers[config->default_provider] : NULL;

    if (model.len == 0 || (fallback && fallback->models_count > 0 && serves(fallback, model)))
        return fallback;
    for (uint32_t i = 0; i < config->providers_count; i++) {
        if (lists(&config->providers[i], model))
            return &config->providers[i];
    }
    return fallback;
}

/* By the model's name alone: PROVIDER/MODEL, routes, default_provider. */
static void choose_by_model(struct choice *choice, struct board *board)
{
    const struct config *config = choice->config;
    const struct provider_instance *provider;
    const struct cfg_route *route;
    struct slice model = choice->model;

    provider = model.len > 0 ? split_model(config, &model) : NULL;
    if (provider) {
        choice->model = model;
        add(choice, provider, (struct slice){0});
        return;
    }
    route = model.len > 0 ? find_route(config, model) : NULL;
    provider = find_default(config, model);
    if (route)
        add_route(choice, board, route);
    else if (provider)
        add(choice, provider, (struct slice){0});
}

/* By path or header; only a default of the configuration may still name the provider. */
static void choose_provider(struct choice *choice, const struct provider_instance *provider)
{
    struct slice model = choice->model;

    if (!slice_eq(choice->model, choice->asked) && split_model(choice->config, &model) == provider)
        choice->model = model;
    add(choice, provider, (struct slice){0});
}

static void judge(struct choice *choice, const struct cfg_key *key)
{
    struct route_plan *plan = choice->plan;

    if (plan->count > 0) {
        struct slice named = choice->asked.len > 0 ? choice->asked : plan->candidates[0].model;
        /* an alias stands for itself; otherwise what is sent is what was named */
        struct slice plain = choice->model.len > 0 ? choice->model : named;

        plan->subject = named;
        plan->verdict = key_allows(key, named, plain) ? ROUTE_PLAN_OK : ROUTE_PLAN_FORBIDDEN;
    } else if (choice->off.len > 0) {
        plan->verdict = ROUTE_PLAN_OFF;
        plan->subject = choice->off;
    } else if (choice->model.len == 0 && choice->unserved.len == 0) {
        plan->verdict = ROUTE_PLAN_NO_MODEL;
    } else {
        plan->verdict = ROUTE_PLAN_UNKNOWN_MODEL;
        plan->subject = choice->asked.len > 0 ? choice->asked : choice->model;
    }
}

void route_choose(const struct config *config, struct board *board,
                  const struct provider_instance *prefix, struct slice model_provider,
                  struct slice model, const struct cfg_key *key, struct route_plan *plan)
{
    struct choice choice = {.config = config, .asked = model, .model = model, .plan = plan};
    const struct provider_instance *provider = prefix;

    plan->count = 0;
    plan->route = NULL;
    plan->timeouts = config->timeouts;
    plan->strict = 0;
    plan->verdict = ROUTE_PLAN_OK;
    plan->subject = (struct slice){0};
    if (config->default_model.id.len > 0 && (config->default_model.is_forced || model.len == 0))
        choice.model = config->default_model.id;
    if (provider == NULL && model_provider.len > 0) {
        provider = config_provider(config, str_trim(model_provider));
        if (provider == NULL) {
            plan->verdict = ROUTE_PLAN_UNKNOWN_PROVIDER;
            plan->subject = model_provider;
            return;
        }
    }
    if (provider)
        choose_provider(&choice, provider);
    else
        choose_by_model(&choice, board);
    judge(&choice, key);
    if (plan->verdict != ROUTE_PLAN_OK)
        plan->count = 0;
    provider = plan->count > 0 ? plan->candidates[0].provider : NULL;
    route_timeouts(config, plan->route, provider, &plan->timeouts);
    plan->strict = route_strict(config, key, plan->route, provider);
}

/* --- lists --- */

#define LISTED_MAX 1024u /* plain ids that are kept apart; more may come twice */

struct lister {
    const struct config *config;
    const struct cfg_key *key;
    void (*put)(void *context, const struct proto_model *model);
    void *context;
    struct slice seen[LISTED_MAX];
    uint32_t seen_count;
};

static void put_id(struct lister *lister, struct slice id, struct slice plain, struct slice owner)
{
    struct proto_model model = {.id = id, .owner = owner};

    if (!key_allows(lister->key, id, plain))
        return;
    for (uint32_t i = 0; i < lister->seen_count; i++) {
        if (slice_eq(lister->seen[i], id))
            return;
    }
    if (id.ptr == plain.ptr && lister->seen_count < LISTED_MAX)
        lister->seen[lister->seen_count++] = id; /* it lives in the configuration */
    lister->put(lister->context, &model);
}

/* Whether a client who names this id alone may get to the provider. */
static bool leads_to(const struct config *config, struct slice id,
                     const struct provider_instance *provider)
{
    struct route_plan plan = {.verdict = ROUTE_PLAN_OK};
    struct choice choice = {.config = config, .asked = id, .model = id, .plan = &plan};

    choose_by_model(&choice, NULL);
    for (uint32_t i = 0; i < plan.count; i++) {
        if (plan.candidates[i].provider == provider)
            return true;
    }
    return false;
}

static void list_provider(struct lister *lister, const struct provider_instance *provider,
                          bool is_only)
{
    char text[512];

    if (provider->is_off)
        return;
    if (provider->kind->is_embedded && provider->models_count == 0)
        put_id(lister, provider->name, provider->name, provider->name);
    for (uint32_t i = 0; i < provider->models_count; i++) {
        struct slice id = provider->models[i];
        struct str_buf full = STR_BUF(text);

        if (!is_plain_id(id) || !serves(provider, id))
            continue;
        if (is_only || leads_to(lister->config, id, provider)) {
            put_id(lister, id, id, provider->name);
            continue;
        }
        str_buf_put(&full, provider->name);
        str_buf_put_char(&full, '/');
        str_buf_put(&full, id);
        if (!full.is_full)
            put_id(lister, str_buf_slice(&full), id, provider->name);
    }
    if (is_plain_id(provider->default_model.id) && is_only)
        put_id(lister, provider->default_model.id, provider->default_model.id, provider->name);
}

static void list_aliases(struct lister *lister)
{
    const struct config *config = lister->config;

    for (uint32_t i = 0; i < config->routes_count; i++) {
        const struct cfg_route *route = &config->routes[i];
        struct route_plan plan = {.verdict = ROUTE_PLAN_OK};
        struct choice choice = {
            .config = config, .asked = route->model, .model = route->model, .plan = &plan};

        if (!is_plain_id(route->model))
            continue;
        choose_by_model(&choice, NULL);
        if (plan.count > 0)
            put_id(lister, route->model, route->model, plan.candidates[0].provider->name);
    }
}

static void list_default(struct lister *lister)
{
    struct slice id = lister->config->default_model.id;
    struct route_plan plan = {.verdict = ROUTE_PLAN_OK};
    struct choice choice = {.config = lister->config, .asked = id, .model = id, .plan = &plan};

    if (!is_plain_id(id))
        return;
    choose_by_model(&choice, NULL);
    if (plan.count > 0)
        put_id(lister, id, id, plan.candidates[0].provider->name);
}

void route_models(const struct config *config, const struct cfg_key *key,
                  const struct provider_instance *only,
                  void (*put)(void *context, const struct proto_model *model), void *context)
{
    struct lister lister = {.config = config, .key = key, .put = put, .context = context};

    if (only) {
        list_provider(&lister, only, true);
        return;
    }
    list_aliases(&lister);
    list_default(&lister);
    for (uint32_t i = 0; i < config->providers_count; i++)
        list_provider(&lister, &config->providers[i], false);
}

void gateway_models(const struct config *config,
                    void (*put)(void *context, const struct proto_model *model), void *context)
{
    route_models(config, NULL, NULL, put, context);
}
