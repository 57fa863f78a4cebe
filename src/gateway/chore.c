#include "chore.h"

#include "catalog.h"
#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/ir/brief.h"
#include "worker.h"

static const struct credential *any_credential(struct worker *worker,
                                               const struct provider_instance *provider)
{
    uint64_t now = loop_now_ms(&worker->loop);

    for (uint32_t i = 0; i < provider->credentials_count; i++) {
        if (board_cool_until(worker->board, provider->credentials[i].board, 0) <= now)
            return &provider->credentials[i];
    }
    return NULL;
}

void chore_list_models(struct worker *worker, struct config *config,
                       const struct provider_instance *provider)
{
    struct exchange *ex = ex_new(worker, config);
    const struct credential *credential = any_credential(worker, provider);

    if (ex == NULL || credential == NULL) {
        if (ex)
            ex_finish(ex);
        catalog_failed(gateway_catalog(worker->gateway), provider->name,
                       loop_now_ms(&worker->loop));
        return;
    }
    ex->is_chore = true;
    ex->operation = ROUTE_MODELS;
    ex->provider = provider;
    ex->credential = credential;
    ex->target.proto = provider->kind->speaks(provider, (struct slice){0});
    ex->client = ex->target.proto;
    if (!ex_make_brief(ex)) {
        chore_on_failed(ex);
        return;
    }
    ex->brief->operation = BRIEF_LIST;
    ex_enter(ex, EX_QUEUE);
    ex_enter(ex, EX_CONNECT);
    call_start(ex);
}

struct id_list {
    struct gather bytes;
    struct mem *mem;
};

static void put_id(void *context, struct slice id)
{
    struct id_list *list = context;

    if (id.len == 0 || id.len > 256 || memchr(id.ptr, '\n', id.len) != NULL)
        return;
    if (gather_put(&list->bytes, list->mem, id, CATALOG_BYTES) == R2A_OK)
        gather_put(&list->bytes, list->mem, S("\n"), CATALOG_BYTES);
}

void chore_on_document(struct exchange *ex, struct slice body)
{
    struct worker *worker = ex->worker;
    struct catalog *catalog = gateway_catalog(worker->gateway);
    struct id_list list = {.mem = worker->mem};

    if (ex->target.proto->models_read && ex->target.proto->models_read(body, put_id, &list)) {
        catalog_set(catalog, ex->provider->name, slice_of(list.bytes.ptr, list.bytes.len),
                    loop_now_ms(&worker->loop));
    } else {
        catalog_failed(catalog, ex->provider->name, loop_now_ms(&worker->loop));
    }
    gather_free(&list.bytes, worker->mem);
    ex_finish(ex);
}

void chore_on_failed(struct exchange *ex)
{
    struct worker *worker = ex->worker;

    log_event(LOG_INFO, "gateway", "models_not_listed", log_kv_str("provider", ex->provider->name),
              log_kv_z("kind", fault_rows[ex_failure(ex)->fault.kind].name),
              log_kv_u64("status", ex_failure(ex)->fault.upstream_status));
    catalog_failed(gateway_catalog(worker->gateway), ex->provider->name,
                   loop_now_ms(&worker->loop));
    ex_finish(ex);
}
