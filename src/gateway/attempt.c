#include "audit.h"
#include "embed.h"
#include "exchange.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/http/retry_after.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"
#include "retry.h"
#include "worker.h"

/* From a complete request to an upstream that answers it: what the client means, which candidate
 * and which key, the encoded request, and what follows when one fails. */

/* --- what the client means --- */

bool ex_make_brief(struct exchange *ex)
{
    struct ex_request *request = ex->request;
    struct brief *brief = arena_take_zero(&ex->arena, sizeof(*brief));

    if (brief == NULL)
        return false;
    if (ex->is_id_ours) {
        brief->id = slice_skip(ex->id, 4);
    } else {
        char *id = arena_take(&ex->arena, 24);

        if (id == NULL)
            return false;
        random_base62(id, 24);
        brief->id = slice_of(id, 24);
    }
    brief->operation = ex->operation == ROUTE_COUNT ? BRIEF_COUNT : BRIEF_GENERATE;
    brief->arena = &ex->arena;
    brief->scratch = &request->arena;
    brief->mem = ex->worker->mem;
    brief->memo = &request->memo;
    random_bytes(brief->random, sizeof(brief->random));
    brief->created = loop_wall_ms(&ex->worker->loop) / 1000;
    brief->output_bytes_max = (size_t)ex->config->limits.output_bytes;
    brief->max_out = -1;
    brief->path_model = arena_copy(&ex->arena, request->match.id);
    ex->brief = brief;
    if (ex->operation == ROUTE_EMBED)
        embed_open(ex);
    return true;
}

static void refuse_plan(struct exchange *ex, const struct route_plan *plan)
{
    char text[256];
    struct str_buf message = STR_BUF(text);
    enum fault_kind kind = FAULT_NOT_FOUND;
    uint16_t status = 0;

    switch (plan->verdict) {
    case ROUTE_PLAN_NO_MODEL:
        kind = FAULT_INVALID;
        str_buf_put(&message, S("the request names no model, and no default_model is configured"));
        break;
    case ROUTE_PLAN_UNKNOWN_PROVIDER:
        kind = FAULT_INVALID;
        str_buf_put(&message, S("unknown provider: "));
        str_buf_put(&message, slice_head(plan->subject, 128));
        break;
    case ROUTE_PLAN_FORBIDDEN:
        kind = FAULT_PERMISSION;
        str_buf_put(&message, S("this key may not use the model "));
        str_buf_put(&message, slice_head(plan->subject, 128));
        break;
    case ROUTE_PLAN_OFF:
        kind = FAULT_OVERLOAD;
        str_buf_put(&message, S("the provider is off: "));
        str_buf_put(&message, slice_head(plan->subject, 160));
        break;
    case ROUTE_PLAN_UNKNOWN_MODEL:
    case ROUTE_PLAN_OK:
        str_buf_put(&message, S("no upstream serves the model "));
        str_buf_put(&message, slice_head(plan->subject, 128));
        break;
    }
    ex->ended_by = 'L';
    ex_refuse(ex, kind, status, str_buf_slice(&message));
}

static bool admit_key(struct exchange *ex)
{
    uint64_t retry_after_ms = 0;
    enum board_refusal refusal;
    struct fault fault;

    if (ex->key == NULL || (ex->key->rpm == 0 && ex->key->concurrency == 0))
        return true;
    refusal = board_key_admit(ex->worker->board, ex->key->board, ex->key->rpm, ex->key->concurrency,
                              loop_now_ms(&ex->worker->loop), &retry_after_ms);
    if (refusal == BOARD_ADMITTED) {
        ex->is_key_admitted = true;
        return true;
    }
    {
        char text[192];
        struct str_buf message = STR_BUF(text);

        str_buf_put(&message,
                    refusal == BOARD_RPM ? S("rpm limit of ") : S("concurrency limit of "));
        str_buf_put_u64(&message, refusal == BOARD_RPM ? ex->key->rpm : ex->key->concurrency);
        str_buf_put(&message, S(" reached for key "));
        str_buf_put(&message, slice_head(ex->key->name, 100));
        fault = fault_of(FAULT_RATE, str_buf_slice(&message));
        fault.retry_after_ms = (int64_t)retry_after_ms;
        ex->ended_by = 'L';
        ex_answer_fault(ex, &fault);
    }
    return false;
}

void ex_route(struct exchange *ex, struct slice model)
{
    struct ex_request *request = ex->request;

    route_choose(ex->config, ex->worker->board, request->match.prefix,
                 ex_header(request, HEADER_MODEL_PROVIDER), model, ex->key, &request->plan);
    if (request->plan.verdict != ROUTE_PLAN_OK) {
        refuse_plan(ex, &request->plan);
        return;
    }
    if (model.len == 0)
        ex->brief->model = arena_copy(&ex->arena, request->plan.candidates[0].model);
    ex->route = request->plan.route;
    if (!admit_key(ex))
        return;
    ex_enter(ex, EX_QUEUE);
    ex->candidate = 0;
    ex->timeouts = request->plan.timeouts;
    ex_arm_timers(ex);
    ex_attempt(ex);
}

void ex_on_request(struct exchange *ex)
{
    struct ex_request *request = ex->request;
    struct fault fault = {0};
    struct slice body = slice_of(request->body, request->body_len);
    struct slice model = {0};

    if (!ex_make_brief(ex)) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    if (relay_peek(ex->client, body, &request->peek, &request->memo, &fault) != R2A_OK) {
        ex_answer_fault(ex, &fault);
        return;
    }
    if (request->match.id.len > 0)
        model = ex->brief->path_model;
    else if (request->peek.model.len > 0 &&
             (!text_to_plain(request->peek.model, &ex->arena, &model) ||
              (model.ptr >= body.ptr && model.ptr < body.ptr + body.len &&
               (model = arena_copy(&ex->arena, model)).len == 0))) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    ex->brief->model = model;
    ex->is_stream = ex->operation == ROUTE_GENERATE &&
                    (request->peek.is_stream || request->match.is_stream_path);
    ex->brief->usage_asked = request->peek.usage_asked;
    ex->brief->shape = !ex->is_stream                 ? BRIEF_DOCUMENT
                       : request->match.is_json_array ? BRIEF_JSON_ARRAY
                                                      : BRIEF_SSE;
    ex_route(ex, model);
}

/* --- which key --- */

/* A key of the provider that was not tried and does not cool down; by turns, weighted. NULL: none;
 * then *until_ms is the earliest return (0: never). */
static const struct credential *pick_credential(struct exchange *ex, uint64_t *until_ms)
{
    const struct provider_instance *provider = ex->provider;
    struct board *board = ex->worker->board;
    uint64_t now = loop_now_ms(&ex->worker->loop);
    uint64_t total = 0;
    uint64_t at;

    *until_ms = 0;
    for (uint32_t i = 0; i < provider->credentials_count; i++) {
        const struct credential *credential = &provider->credentials[i];
        uint64_t until = board_cool_until(board, credential->board, ex->model_hash);

        if (i < 32 && (ex->keys_tried >> i & 1u))
            continue;
        if (until > now) {
            if (*until_ms == 0 || until < *until_ms)
                *until_ms = until;
            continue;
        }
        total += credential->weight ? credential->weight : 1;
    }
    if (total == 0)
        return NULL;
    at = provider->credentials_count > 1 ? board_turn(board, provider->credentials[0].board) % total
                                         : 0;
    for (uint32_t i = 0; i < provider->credentials_count; i++) {
        const struct credential *credential = &provider->credentials[i];
        uint64_t weight = credential->weight ? credential->weight : 1;

        if ((i < 32 && (ex->keys_tried >> i & 1u)) ||
            board_cool_until(board, credential->board, ex->model_hash) > now)
            continue;
        if (at < weight)
            return credential;
        at -= weight;
    }
    return NULL;
}

/* --- one attempt --- */

static void find_profile(struct exchange *ex)
{
    const struct config *config = ex->config;
    const char *why = NULL;
    bool is_openai_host = str_ends(ex->provider->endpoint.host, S("openai.com")) ||
                          str_ends(ex->provider->endpoint.host, S("openai.azure.com"));

    profile_of(ex->target.model, is_openai_host, &ex->target.profile);
    for (uint32_t i = 0; i < config->profiles_count; i++) {
        const struct profile_rule *rule = &config->profiles[i];

        if (str_glob(rule->glob, ex->target.model))
            profile_set(&ex->target.profile, rule->flag, rule->value, &why);
    }
}

static void set_profile(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    struct profile_entry *entry = &worker->profiles[ex->model_hash / 2 % PROFILES_KEPT];
    struct slice model = ex->target.model;

    if (ex->config != worker->config || model.len > sizeof(entry->model)) {
        find_profile(ex);
        return;
    }
    if (entry->provider != ex->provider ||
        !slice_eq(slice_of(entry->model, entry->model_len), model)) {
        find_profile(ex);
        entry->provider = ex->provider;
        entry->model_len = (uint8_t)model.len;
        memcpy(entry->model, model.ptr, model.len);
        entry->profile = ex->target.profile;
    }
    ex->target.profile = entry->profile;
}

static struct slice tenant_of(const struct exchange *ex)
{
    return ex->key ? ex->key->name : (struct slice){0};
}

static bool find_reasoning(struct recall *recall, struct text call_id, uint32_t index,
                           struct slice minter, uint8_t *family, struct slice *seal,
                           struct slice *item_id, struct slice *reasoning)
{
    struct exchange *ex = container_of(recall, struct ex_recall, recall)->ex;
    struct arena *arena = &ex->request->arena;
    struct vault_entry entry;
    struct slice id;

    if (!text_to_plain(call_id, arena, &id) || !keep_key(id, index, arena, &id) ||
        !vault_find(gateway_vault(ex->worker->gateway), tenant_of(ex), minter, id,
                    loop_now_ms(&ex->worker->loop), arena, &entry))
        return false;
    *family = entry.family;
    *seal = entry.seal;
    *item_id = entry.item_id;
    *reasoning = entry.reasoning;
    return true;
}

static void set_target(struct exchange *ex, const struct route_candidate *candidate)
{
    const struct provider_instance *provider = candidate->provider;
    struct target *target = &ex->target;

    ex->provider = provider;
    memset(target, 0, sizeof(*target));
    target->model = candidate->model;
    target->proto =
        provider->kind->is_embedded ? NULL : provider->kind->speaks(provider, candidate->model);
    target->minter = provider->kind->minter.len ? provider->kind->minter : provider->name;
    target->is_stream = ex->is_stream;
    target->system_text = ex->config->system_text;
    target->system_mode = ex->config->system_mode;
    ex->request->recall = (struct ex_recall){.recall = {.find = find_reasoning}, .ex = ex};
    target->recall = &ex->request->recall.recall; /* asked while the request is encoded */
    ex->model_hash = fnv1a_64(target->model) | 1; /* 0 stands for the whole credential */
    set_profile(ex);
    ex->is_relay = ex->operation == ROUTE_EMBED
                       ? embed_form_of(provider, target->proto) == ex->embed.form
                       : target->proto == ex->client || ex->operation == ROUTE_PASS;
    ex->timeouts = ex->request->plan.timeouts;
    route_timeouts(ex->config, ex->route, provider, &ex->timeouts);
    ex->brief->is_strict = route_strict(ex->config, ex->key, ex->route, provider);
    ex->brief->is_relay = ex->is_relay;
}

/* Reasoning that leads to tool calls is kept for clients that cannot return it. */
static bool begin_keeping(struct exchange *ex)
{
    struct keep *keep;

    if (ex->is_relay || ex->operation != ROUTE_GENERATE || !ex->brief->has_tools)
        return true;
    keep = ex->keep ? ex->keep : arena_take_zero(&ex->arena, sizeof(*keep));
    if (keep == NULL)
        return false;
    keep_free(keep);
    *keep = (struct keep){.vault = gateway_vault(ex->worker->gateway),
                          .mem = ex->worker->mem,
                          .tenant = tenant_of(ex),
                          .minter = ex->target.minter,
                          .now_ms = loop_now_ms(&ex->worker->loop),
                          .keeps_text = ex->target.profile.oc_reason_echo != OC_REASON_ECHO_NONE};
    ex->keep = keep;
    return true;
}

static bool decode_request(struct exchange *ex, struct fault *fault)
{
    struct ex_request *request = ex->request;
    struct slice model = ex->brief->model;
    uint8_t shape = ex->brief->shape;

    if (request->is_decoded)
        return true;
    if (ex->client->request_decode(slice_of(request->body, request->body_len), &request->tape.sink,
                                   ex->brief, fault) != R2A_OK)
        return false;
    /* routing has decided these already */
    ex->brief->model = model;
    ex->brief->shape = shape;
    request->is_decoded = true;
    return true;
}

/* The names of what the target cannot be told, as the header says them. */
static bool note_losses(struct exchange *ex)
{
    struct loss *loss = &ex->request->loss;
    size_t size = 0;
    char *text;

    ex->dropped = (uint16_t)(loss->count > UINT16_MAX ? UINT16_MAX : loss->count);
    ex->dropped_names = (struct slice){0};
    if (loss->names_count == 0)
        return true;
    metric_add(&ex->worker->metrics->dropped_names, loss->count);
    for (uint32_t i = 0; i < loss->names_count; i++)
        size += loss->names[i].len + 1;
    text = arena_take(&ex->arena, size);
    if (text == NULL)
        return false;
    size = 0;
    for (uint32_t i = 0; i < loss->names_count; i++) {
        if (i > 0)
            text[size++] = ',';
        for (size_t at = 0; at < loss->names[i].len; at++) {
            char c = loss->names[i].ptr[at];

            text[size++] = c > 0x20 && c < 0x7f && c != ',' ? c : '_'; /* it becomes a header */
        }
    }
    ex->dropped_names = slice_of(text, size);
    return true;
}

/* The names an answer must undo outlive the request they were read from. */
static bool keep_names(struct exchange *ex)
{
    for (uint32_t i = 0; i < ex->brief->names_count; i++) {
        struct brief_name *name = &ex->brief->names[i];
        struct slice client = arena_copy(&ex->arena, text_bytes(name->client));
        struct slice space = arena_copy(&ex->arena, text_bytes(name->space));
        struct slice wire = arena_copy(&ex->arena, name->wire);

        if (client.len != name->client.len || space.len != name->space.len ||
            wire.len != name->wire.len)
            return false;
        name->client.ptr = client.ptr;
        name->space.ptr = space.ptr;
        name->wire = wire;
    }
    return true;
}

/* Fills request->encoded for the target. False: *fault says why. */
static bool encode_request(struct exchange *ex, struct fault *fault)
{
    struct ex_request *request = ex->request;
    enum r2a_err err;

    if (request->encoded_for == ex->provider && slice_eq(request->encoded_model, ex->target.model))
        return true;
    if (ex->lent > 0)
        rope_append(&request->retired, &request->encoded); /* an ending connection still reads it */
    rope_clear(&request->encoded);
    loss_empty(&request->loss);
    if (ex->operation == ROUTE_EMBED) {
        err = embed_encode(ex, fault);
        if (err != R2A_OK && err != R2A_ERR_NO_MEMORY)
            return false;
    } else if (ex->is_relay) {
        struct relay_edits edits = {
            .model = ex->target.model,
            .system_text = ex->target.system_text,
            .system_mode = ex->target.system_mode,
            .want_usage = ex->is_stream,
        };

        relay_write(ex->client, slice_of(request->body, request->body_len), &request->peek, &edits,
                    &request->encoded);
        err = R2A_OK;
    } else {
        if (!decode_request(ex, fault))
            return false;
        err = ex->target.proto->request_encode(&request->tape, &ex->target, ex->brief,
                                               &request->encoded, &request->loss, fault);
        if (err != R2A_OK && err != R2A_ERR_NO_MEMORY)
            return false;
    }
    if (err == R2A_OK)
        err = request->encoded.err;
    if (err != R2A_OK || !note_losses(ex) || !keep_names(ex)) {
        *fault = fault_of(FAULT_OVERLOAD, S("out of memory"));
        fault->err = R2A_ERR_NO_MEMORY;
        return false;
    }
    if (ex->brief->is_strict && ex->dropped_names.len > 0) {
        char *text = arena_take(&ex->arena, 64 + ex->dropped_names.len);
        struct str_buf message = {.ptr = text, .size = text ? 64 + ex->dropped_names.len : 0};

        str_buf_put(&message, S("strict: the upstream cannot carry "));
        str_buf_put(&message, ex->dropped_names);
        *fault = fault_of(FAULT_INVALID, str_buf_slice(&message));
        return false;
    }
    request->encoded_for = ex->provider;
    request->encoded_model = ex->target.model;
    return true;
}

/* --- echo: no wire --- */

#define ECHO_WAIT_MS 20u

static void echo_step(struct exchange *ex)
{
    uint64_t delay = ex->config->echo_delay_ms;
    int32_t more = 1;

    if (conn_is_congested(
            ex->front->conn)) { /* nobody calls us when the client has caught up: look again */
        loop_timer_arm(&ex->worker->loop, &ex->request->echo_timer,
                       loop_now_ms(&ex->worker->loop) + ECHO_WAIT_MS);
        return;
    }
    ex->in_callback = true;
    do {
        more = echo_next(&ex->request->echo, &ex->sink);
    } while (more > 0 && delay == 0 && ex->out.bytes < CONN_LOW_BYTES);
    ex->in_callback = false;
    if (more < 0) {
        struct fault fault = fault_of(FAULT_SERVER, S("the echo provider failed"));

        fault.err = (enum r2a_err)more;
        ex_on_attempt_failed(ex, &fault);
        return;
    }
    ex->call.has_answer = true;
    ex_after_bytes(ex);
    if (more > 0 && ex->state == EX_STREAM)
        loop_timer_arm(&ex->worker->loop, &ex->request->echo_timer,
                       loop_now_ms(&ex->worker->loop) + (delay > 0 ? delay : 1));
}

static void on_echo_timer(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    echo_step(container_of(timer, struct ex_request, echo_timer)->recall.ex);
}

static void start_echo(struct exchange *ex)
{
    struct fault fault = {0};

    if (!decode_request(ex, &fault)) {
        ex_answer_fault(ex, &fault);
        return;
    }
    if (ex->operation == ROUTE_COUNT) {
        ex_answer_estimate(ex);
        return;
    }
    if (!ex_begin_encoder(ex)) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    ex->sent++;
    ex->is_relay = false;
    ex->keeps_tape = true; /* its words are the request's */
    ex_enter(ex, EX_SEND);
    ex_enter(ex, EX_WAIT);
    ex->request->echo_timer.fn = on_echo_timer;
    echo_open(&ex->request->echo, &ex->request->tape, ex->brief);
    echo_step(ex);
}

/* --- counting tokens --- */

void ex_answer_estimate(struct exchange *ex)
{
    struct rope body = {.mem = ex->worker->mem};
    struct fault fault = {0};

    if (!decode_request(ex, &fault)) {
        ex_answer_fault(ex, &fault);
        return;
    }
    if (ex->client->count_write == NULL) {
        ex_refuse(ex, FAULT_NOT_FOUND, 0, S("this protocol does not count tokens"));
        return;
    }
    ex->is_estimate = true;
    ex->client->count_write(ex->brief, brief_estimate(ex->brief), &body);
    ex_answer(ex, 200, S("application/json"), &body);
}

void ex_on_count(struct exchange *ex, struct slice answer)
{
    struct rope body = {.mem = ex->worker->mem};
    uint64_t tokens = 0;

    if (ex->is_relay) {
        rope_put(&body, answer);
    } else if (ex->target.proto->count_read && ex->target.proto->count_read(answer, &tokens)) {
        ex->client->count_write(ex->brief, tokens, &body);
    } else {
        struct fault fault =
            fault_of(FAULT_BAD_GATEWAY, S("the upstream's token count is not understood"));

        fault.phase = FAULT_PHASE_BODY;
        ex_on_attempt_failed(ex, &fault);
        return;
    }
    ex->has_content = true;
    call_cancel(ex);
    ex_answer(ex, 200, S("application/json"), &body);
}

/* --- attempts --- */

/* No key of any candidate may be used now: the error of the one that returns first. */
static void refuse_cooling(struct exchange *ex, uint64_t until_ms, enum board_cause cause)
{
    struct fault fault;

    if (ex->failure && ex->failure->fault.message.len > 0) { /* the last real error says more */
        ex_answer_fault(ex, &ex->failure->fault);
        return;
    }
    switch (cause) {
    case BOARD_CAUSE_AUTH:
        fault = fault_of(FAULT_UP_AUTH,
                         S("the service refuses the provider's key; put it right and reload"));
        break;
    case BOARD_CAUSE_QUOTA:
        fault = fault_of(FAULT_BILLING, S("the provider's key has no money or quota left"));
        break;
    case BOARD_CAUSE_RATE:
    default:
        fault =
            fault_of(FAULT_RATE, S("every key of the provider is cooling down after a rate limit"));
        fault.retry_after_ms = (int64_t)(until_ms - loop_now_ms(&ex->worker->loop));
        break;
    }
    ex->ended_by = 'L';
    ex_answer_fault(ex, &fault);
}

/* Whether the chosen provider has what the route asks for. */
static bool serves_operation(const struct exchange *ex)
{
    if (ex->operation == ROUTE_EMBED)
        return embed_form_of(ex->provider, ex->target.proto) != EMBED_NONE;
    return ex->operation != ROUTE_PASS || (ex->target.proto != NULL && ex->provider->kind->passes);
}

void ex_attempt(struct exchange *ex)
{
    struct route_plan *plan = &ex->request->plan;
    uint64_t until_ms = 0;
    uint64_t earliest_ms = 0;
    struct fault fault = {0};
    bool has_refused = false;
    enum board_cause cause = BOARD_CAUSE_RATE;

    check(ex->state == EX_QUEUE);
    ex->has_failed = false;
    while (ex->candidate < plan->count) {
        const struct route_candidate *candidate = &plan->candidates[ex->candidate];

        if (!ex->is_provider_set) {
            set_target(ex, candidate);
            ex->is_provider_set = true;
            ex->keys_tried = 0;
            ex->attempts = 0;
            ex->credential = NULL;
        }
        if (!serves_operation(ex)) {
            ex->candidate++;
            ex->is_provider_set = false;
            has_refused = true;
            continue;
        }
        if (ex->provider->kind->is_embedded) {
            start_echo(ex);
            return;
        }
        if (ex->credential == NULL) {
            ex->credential = pick_credential(ex, &until_ms);
            ex->attempts = 0;
        }
        if (ex->credential != NULL)
            break;
        if (until_ms > 0 && (earliest_ms == 0 || until_ms < earliest_ms)) {
            earliest_ms = until_ms;
            cause = board_cool_cause(ex->worker->board, ex->provider->credentials[0].board);
        }
        ex->candidate++;
        ex->is_provider_set = false;
    }
    if (ex->candidate >= plan->count && has_refused && earliest_ms == 0 && ex->sent == 0) {
        ex->provider = NULL;
        ex_refuse(ex, FAULT_NOT_FOUND, 0,
                  S("the provider of this model does not serve this route"));
        return;
    }
    if (ex->candidate >= plan->count) {
        refuse_cooling(ex, earliest_ms ? earliest_ms : loop_now_ms(&ex->worker->loop) + 1000,
                       cause);
        return;
    }
    if (ex->operation == ROUTE_COUNT && ex->target.proto->count_read == NULL) {
        ex_answer_estimate(ex);
        return;
    }
    if (ex->operation != ROUTE_PASS && !encode_request(ex, &fault)) {
        ex->provider = NULL; /* nobody was asked */
        ex_answer_fault(ex, &fault);
        return;
    }
    ex->attempts++;
    ex->call.is_fresh = false;
    ex_enter(ex, EX_CONNECT);
    call_start(ex);
}

static bool has_other_key(struct exchange *ex)
{
    uint64_t until_ms;

    return pick_credential(ex, &until_ms) != NULL;
}

static enum board_cause cause_of(enum verdict_class verdict)
{
    return verdict == VERDICT_AUTH    ? BOARD_CAUSE_AUTH
           : verdict == VERDICT_QUOTA ? BOARD_CAUSE_QUOTA
                                      : BOARD_CAUSE_RATE;
}

/* Errors of a server's certificate or of what it speaks. */
static bool is_settled(enum r2a_err err)
{
    return err <= R2A_ERR_TLS_EXPIRED && err >= R2A_ERR_TLS_SELF_SIGNED &&
           err != R2A_ERR_TLS_TRUNCATED && err != R2A_ERR_TLS_PROTOCOL;
}

void ex_next_attempt(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    const struct provider *kind = ex->provider->kind;
    const struct fault *fault = &ex_failure(ex)->fault;
    struct retry_facts facts = {
        .verdict = kind->classify ? kind->classify(fault) : provider_classify(fault),
        .phase = (enum fault_phase)fault->phase,
        .has_content = ex->has_content || ex->request == NULL ||
                       (ex->request->pass && ex->request->pass->is_sent),
        .attempts = ex->attempts,
        .rule = route_retry(ex->config, ex->provider),
        .retry_after_ms = fault->retry_after_ms,
        .should_retry = fault->should_retry,
        .is_settled = is_settled(fault->err),
        .random = random_u64(),
    };
    struct retry_decision decision;

    if (!facts.has_content) {
        uint32_t index =
            ex->credential ? (uint32_t)(ex->credential - ex->provider->credentials) : 32;

        if (index < 32)
            ex->keys_tried |= 1u << index;
        facts.has_other_key = has_other_key(ex);
        facts.has_elsewhere = ex->candidate + 1u < ex->request->plan.count;
    }
    decision = retry_decide(&facts);
    if (decision.cool_ms > 0 && ex->credential)
        board_cool(worker->board, ex->credential->board, decision.cools_model ? ex->model_hash : 0,
                   cause_of(facts.verdict), loop_now_ms(&worker->loop) + decision.cool_ms);
    if (decision.step == RETRY_GIVE_UP) {
        ex_answer_fault(ex, fault);
        return;
    }
    call_free(ex);
    if (ex->encoder && ex->client->encoder_drop)
        ex->client->encoder_drop(ex->encoder);
    ex->encoder = NULL;
    rope_clear(&ex->out);
    ex->chunk_at = NULL;
    ex->has_ended = false;
    memset(&ex->usage, 0, sizeof(ex->usage));
    ex_enter(ex, EX_QUEUE);
    switch (decision.step) {
    case RETRY_SAME:
        metric_inc(worker->metrics, retries);
        if (ex->credential) {
            uint32_t index = (uint32_t)(ex->credential - ex->provider->credentials);

            if (index < 32)
                ex->keys_tried &= ~(1u << index);
        }
        loop_timer_arm(&worker->loop, &ex->deadline,
                       loop_now_ms(&worker->loop) + decision.delay_ms + 1);
        return;
    case RETRY_NEXT_KEY:
        metric_inc(worker->metrics, key_moves);
        ex->credential = NULL;
        break;
    case RETRY_ELSEWHERE:
        metric_inc(worker->metrics, fallbacks);
        ex->candidate++;
        ex->is_provider_set = false;
        break;
    case RETRY_GIVE_UP:
        break;
    }
    ex_attempt(ex);
}

/* --- the upstream's answer --- */

static struct slice header(const struct h1_response *head, enum http_header_id id)
{
    return http_header_value(head->headers, head->headers_count, id);
}

static void keep_answer_facts(struct exchange *ex, const struct h1_response *head)
{
    struct slice id = header(head, HEADER_X_REQUEST_ID);

    if (id.len == 0)
        id = header(head, HEADER_REQUEST_ID);
    if (id.len > 0)
        ex->upstream_id = arena_copy(&ex->arena, slice_head(id, 128));
    ex->upstream_status = head->status;
    if (ex->call.is_error) {
        struct ex_failure *failure = ex_failure(ex);

        failure->retry_after =
            arena_copy(&ex->arena, slice_head(header(head, HEADER_RETRY_AFTER), 64));
        failure->retry_after_ms =
            arena_copy(&ex->arena, slice_head(header(head, HEADER_RETRY_AFTER_MS), 32));
        failure->should_retry =
            arena_copy(&ex->arena, slice_head(header(head, HEADER_X_SHOULD_RETRY), 8));
    } else if (ex->failure) {
        ex->failure->retry_after_ms = (struct slice){0}; /* an earlier attempt's */
    }
}

void ex_on_answer(struct exchange *ex, const struct h1_response *head)
{
    struct call *call = &ex->call;

    keep_answer_facts(ex, head);
    if (call->is_error) {
        if (head->status == 101 || (head->status >= 300 && head->status < 400)) {
            struct fault fault = fault_of(
                FAULT_BAD_GATEWAY, S("the upstream answered with a redirect; check base_url"));

            fault.phase = FAULT_PHASE_HEAD;
            fault.upstream_status = head->status;
            ex_on_attempt_failed(ex, &fault);
        }
        return;
    }
    if (ex->operation == ROUTE_COUNT || ex->is_chore)
        return;
    if (ex->operation == ROUTE_PASS || (ex->operation == ROUTE_EMBED && ex->is_relay)) {
        ex_begin_flow(ex);
        return;
    }
    if (ex->operation == ROUTE_EMBED)
        return;
    if (ex->is_relay && (ex->is_stream != call->is_event_stream || call->is_otherwise_cut)) {
        /* An upstream that ignored `stream`, or what was said about its form: its answer is said
         * again in the shape that was asked for. */
        ex->is_relay = false;
        ex->brief->is_relay = false;
    }
    call->decoder = arena_take_zero(&ex->arena, ex->target.proto->decoder_size);
    if (call->decoder)
        ex->target.proto->decoder_init(call->decoder, &ex->target, ex->brief);
    if (call->decoder == NULL || !begin_keeping(ex) || (!ex->is_relay && !ex_begin_encoder(ex))) {
        struct fault fault = fault_of(FAULT_OVERLOAD, S("out of memory"));

        fault.err = R2A_ERR_NO_MEMORY;
        ex->has_content = true;
        ex_on_attempt_failed(ex, &fault);
        return;
    }
    if (ex->is_stream && ex->timeouts.hold_ms == 0)
        ex_send_stream_head(ex);
}

void ex_on_error_answer(struct exchange *ex, struct slice body)
{
    struct ex_failure *failure = ex_failure(ex);
    struct fault fault;
    uint64_t pause_ms;
    struct slice secret = ex->credential ? ex->credential->key : (struct slice){0};
    struct fault_source facts = {
        .status = ex->call.status,
        .content_type = ex->call.content_type,
        .body = body,
        .secrets = &secret,
        .secrets_count = secret.len > 0 ? 1 : 0,
        .retry_after = failure->retry_after,
        .retry_after_ms = failure->retry_after_ms,
        .should_retry = failure->should_retry,
    };

    fault_read(&facts, &ex->arena, &fault);
    if (fault.retry_after_ms < 0 && /* a date: a pure room has no clock */
        http_retry_after_parse(failure->retry_after, loop_wall_ms(&ex->worker->loop), &pause_ms))
        fault.retry_after_ms = (int64_t)pause_ms;
    fault.phase = FAULT_PHASE_HEAD;
    fault.is_upstream = true;
    fault.upstream_status = ex->call.status;
    if (ex->operation == ROUTE_COUNT && (ex->call.status == 404 || ex->call.status == 405)) {
        call_cancel(ex);
        ex_answer_estimate(ex);
        return;
    }
    if (ex->is_relay && (ex->credential == NULL || ex->credential->key.len == 0 ||
                         !fault_shows(body, ex->credential->key))) {
        failure->error_body = arena_copy(&ex->arena, body);
        failure->error_type = arena_copy(&ex->arena, facts.content_type);
    } else {
        failure->error_body = (struct slice){0};
    }
    ex_on_attempt_failed(ex, &fault);
}
