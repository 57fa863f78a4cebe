#include "listens.h"

#include <stdlib.h>
#include <unistd.h>

#include "r2a/core/log.h"

static struct net_addr address_of(const struct cfg_address *address)
{
    struct net_addr addr = {.len = (socklen_t)address->sockaddr_len};

    memcpy(&addr.u, address->sockaddr,
           sizeof(addr.u) < sizeof(address->sockaddr) ? sizeof(addr.u) : sizeof(address->sockaddr));
    return addr;
}

static bool is_same(const struct net_addr *a, const struct net_addr *b)
{
    return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

/* A slot no worker uses; a dropped address keeps its own until every worker has let go of it. */
static uint32_t free_slot(struct gateway *gateway)
{
    for (uint32_t slot = 0; slot < WORKER_LISTENERS_MAX; slot++) {
        bool is_used = gateway->listens[slot].is_used;

        for (uint32_t i = 0; i < gateway->workers_count; i++)
            is_used = is_used || atomic_load(&gateway->workers[i].listeners[slot].is_started);
        if (!is_used)
            return slot;
    }
    return WORKER_LISTENERS_MAX;
}

static void say(const struct net_addr *addr, bool is_admin)
{
    char text[NET_ADDR_TEXT_MAX];
    size_t len = net_addr_format(addr, text);

    log_event(LOG_INFO, "gateway", "listening", log_kv_str("address", slice_of(text, len)),
              log_kv_bool("admin", is_admin));
}

static bool bind_one(struct gateway *gateway, const struct cfg_address *address, bool is_admin)
{
    struct net_addr addr = address_of(address);
    uint32_t slot = free_slot(gateway);
    /* a Unix socket has one owner, who hands connections round */
    uint32_t sockets = address->is_unix ? 1 : gateway->workers_count;
    int errnum = 0;

    if (slot == WORKER_LISTENERS_MAX) {
        log_event(LOG_ERROR, "gateway", "too_many_listeners", log_kv_str("address", address->text));
        return false;
    }
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        struct worker_listener *listener = &gateway->workers[i].listeners[slot];

        free(listener->targets);
        listener->targets = NULL;
        listener->worker = &gateway->workers[i];
        listener->is_admin = is_admin;
        listener->is_dropped = false;
        listener->fd = -1;
        if (i < sockets && listener_bind(&addr, &listener->fd, &errnum) != R2A_OK) {
            log_event(LOG_ERROR, "gateway", "listen_failed", log_kv_str("address", address->text),
                      log_kv_errno(errnum));
            while (i-- > 0)
                close(gateway->workers[i].listeners[slot].fd);
            return false;
        }
        listener->addr = addr;
    }
    if (address->is_unix && gateway->workers_count > 1) {
        struct worker_listener *owner = &gateway->workers[0].listeners[slot];

        owner->targets = calloc(gateway->workers_count, sizeof(struct listener_target));
        if (owner->targets == NULL)
            return false;
        for (uint32_t i = 0; i < gateway->workers_count; i++)
            owner->targets[i] = (struct listener_target){
                .loop = &gateway->workers[i].loop, .ctx = &gateway->workers[i].listeners[slot]};
    }
    gateway->listens[slot] = (struct gateway_listen){
        .is_used = true, .is_admin = is_admin, .asked = address_of(address)};
    say(&addr, is_admin);
    return true;
}

static bool has(const struct cfg_address *addresses, uint32_t count, const struct net_addr *asked)
{
    for (uint32_t i = 0; i < count; i++) {
        struct net_addr addr = address_of(&addresses[i]);

        if (is_same(&addr, asked))
            return true;
    }
    return false;
}

static bool is_bound(const struct gateway *gateway, const struct cfg_address *address,
                     bool is_admin)
{
    struct net_addr addr = address_of(address);

    for (uint32_t slot = 0; slot < WORKER_LISTENERS_MAX; slot++) {
        const struct gateway_listen *listen = &gateway->listens[slot];

        if (listen->is_used && listen->is_admin == is_admin && is_same(&listen->asked, &addr))
            return true;
    }
    return false;
}

bool listens_open(struct gateway *gateway)
{
    const struct config *config = gateway->config;

    for (uint32_t i = 0; i < config->listens_count; i++) {
        if (!bind_one(gateway, &config->listens[i], false))
            return false;
    }
    for (uint32_t i = 0; i < config->admin_listens_count; i++) {
        if (!bind_one(gateway, &config->admin_listens[i], true))
            return false;
    }
    return true;
}

void listens_reload(struct gateway *gateway, const struct config *config)
{
    for (uint32_t slot = 0; slot < WORKER_LISTENERS_MAX; slot++) {
        struct gateway_listen *listen = &gateway->listens[slot];

        if (!listen->is_used ||
            (listen->is_admin
                 ? has(config->admin_listens, config->admin_listens_count, &listen->asked)
                 : has(config->listens, config->listens_count, &listen->asked)))
            continue;
        listen->is_used = false;
        for (uint32_t i = 0; i < gateway->workers_count; i++)
            atomic_store(&gateway->workers[i].listeners[slot].is_dropped, true);
    }
    for (uint32_t i = 0; i < config->listens_count; i++) {
        if (!is_bound(gateway, &config->listens[i], false))
            bind_one(gateway, &config->listens[i], false);
    }
    for (uint32_t i = 0; i < config->admin_listens_count; i++) {
        if (!is_bound(gateway, &config->admin_listens[i], true))
            bind_one(gateway, &config->admin_listens[i], true);
    }
}

void listens_close(struct gateway *gateway)
{
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        for (uint32_t slot = 0; slot < WORKER_LISTENERS_MAX; slot++)
            free(gateway->workers[i].listeners[slot].targets);
    }
}
