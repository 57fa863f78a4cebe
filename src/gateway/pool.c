#include "pool.h"

#include <netinet/in.h>
#include <sys/un.h>

#include "exchange.h"
#include "r2a/core/check.h"
#include "worker.h"

/* Decides which connection carries a call and how long an unused one is kept. Addresses of a name
 * are tried in turn (RFC 8305 in spirit): one that has not answered after POOL_ADDRESS_MS goes on,
 * and the next one begins beside it. */

#define POOL_IDLE_MS     60000u /* most servers keep longer; a shorter one's close is noticed */
#define POOL_DRAIN_MS    1000u  /* for the framing after a finished answer */
#define POOL_ADDRESS_MS  250u   /* RFC 8305 5, Connection Attempt Delay */
#define POOL_HOST_IDLE   1024u  /* kept connections of one host */
#define POOL_HOSTS_MAX   256u
#define POOL_DRAIN_BYTES 65536u

static const struct conn_calls upstream_calls;

static struct call *upstream_call(struct upstream *upstream)
{
    check(upstream->call != NULL);
    return upstream->call;
}

enum r2a_err pool_open(struct pool *pool, struct worker *worker, uint32_t upstreams_max)
{
    memset(pool, 0, sizeof(*pool));
    pool->worker = worker;
    if (!slab_open(&pool->upstreams, sizeof(struct upstream), upstreams_max) ||
        !slab_open(&pool->hosts, sizeof(struct pool_host), POOL_HOSTS_MAX))
        return R2A_ERR_NO_MEMORY;
    return R2A_OK;
}

static bool host_is(const struct pool_host *host, const struct endpoint *endpoint)
{
    return host->is_tls == endpoint->is_tls && host->is_unix == endpoint->is_unix &&
           host->port == endpoint->port &&
           slice_eq(slice_of(host->name, host->name_len), endpoint->host);
}

/* A host nobody uses makes room when the table is full. */
static void forget_a_host(struct pool *pool)
{
    for (struct list_node *node = list_first(&pool->hosts_all); node;
         node = list_next(&pool->hosts_all, node)) {
        struct pool_host *host = list_owner(node, struct pool_host, node);

        if (host->open_count > 0 || host->ask.is_out || !list_is_empty(&host->waiting))
            continue;
        list_remove(&host->node);
        mem_give(pool->worker->mem, host->name, host->name_len);
        slab_give(&pool->hosts, host);
        return;
    }
}

static struct pool_host *find_host(struct pool *pool, const struct endpoint *endpoint)
{
    struct pool_host *host;

    for (struct list_node *node = list_first(&pool->hosts_all); node;
         node = list_next(&pool->hosts_all, node)) {
        host = list_owner(node, struct pool_host, node);
        if (host_is(host, endpoint))
            return host;
    }
    if (slab_is_full(&pool->hosts))
        forget_a_host(pool);
    host = slab_take(&pool->hosts);
    if (host == NULL)
        return NULL;
    host->name = mem_take(pool->worker->mem, endpoint->host.len);
    if (host->name == NULL) {
        slab_give(&pool->hosts, host);
        return NULL;
    }
    memcpy(host->name, endpoint->host.ptr, endpoint->host.len);
    host->name_len = (uint32_t)endpoint->host.len;
    host->is_tls = endpoint->is_tls;
    host->is_unix = endpoint->is_unix;
    host->port = endpoint->port;
    host->worker = pool->worker;
    list_push_front(&pool->hosts_all, &host->node);
    return host;
}

static void leave_idle(struct upstream *upstream)
{
    if (upstream->state != UPSTREAM_IDLE)
        return;
    list_remove(&upstream->node);
    upstream->host->idle_count--;
    upstream->host->worker->pool.idle_count--;
}

/* The connection has ended or is ending: nothing but on_released comes for it. */
static void lose(struct upstream *upstream)
{
    struct worker *worker = upstream->host->worker;

    leave_idle(upstream);
    list_remove(&upstream->node); /* of a race */
    loop_timer_cancel(&worker->loop, &upstream->timer);
    upstream->state = UPSTREAM_GONE;
    upstream->call = NULL;
}

void pool_drop(struct upstream *upstream)
{
    struct conn *conn = upstream->conn;

    if (upstream->state == UPSTREAM_GONE)
        return;
    lose(upstream);
    conn_abort(conn);
}

static void close_gently(struct upstream *upstream)
{
    struct conn *conn = upstream->conn;

    lose(upstream);
    conn_close(conn);
}

static bool start_next(struct pool_host *host, struct call *call, enum r2a_err *err);

static void on_upstream_timer(struct timer *timer, uint64_t now_ms)
{
    struct upstream *upstream = container_of(timer, struct upstream, timer);
    enum r2a_err err;

    (void)now_ms;
    if (upstream->state == UPSTREAM_CONNECTING) {
        /* This address is slow: the next one begins beside it, and whoever is first carries the
         * call. A server that was reached and computes a handshake is not slow. */
        if (upstream->conn->state == CONN_CONNECTING)
            start_next(upstream->host, upstream_call(upstream), &err);
        return;
    }
    if (upstream->state == UPSTREAM_IDLE)
        close_gently(upstream);
    else
        pool_drop(upstream);
}

static void set_address(struct net_addr *addr, const struct pool_host *host, uint32_t index)
{
    struct sockaddr_storage storage;

    memset(addr, 0, sizeof(*addr));
    if (host->is_unix) {
        size_t len = host->name_len < sizeof(addr->u.un.sun_path) - 1
                         ? host->name_len
                         : sizeof(addr->u.un.sun_path) - 1;

        addr->u.un.sun_family = AF_UNIX;
        memcpy(addr->u.un.sun_path, host->name, len);
        addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
        return;
    }
    addr->len = ip_addr_to_sockaddr(&host->addrs.addrs[index], host->port, &storage);
    check(addr->len <= sizeof(addr->u));
    memcpy(&addr->u, &storage, addr->len);
}

/* A place for one more connection; the oldest one that nobody uses makes room at the bound. */
static struct upstream *take_upstream(struct pool *pool)
{
    struct upstream *upstream = slab_take(&pool->upstreams);

    if (upstream != NULL || pool->idle_count == 0)
        return upstream;
    for (struct list_node *node = list_first(&pool->hosts_all); node;
         node = list_next(&pool->hosts_all, node)) {
        struct pool_host *host = list_owner(node, struct pool_host, node);

        if (host->idle_count > 0) {
            pool_drop(list_owner(list_last(&host->idle), struct upstream, node));
            break;
        }
    }
    return NULL; /* its slot comes free when it has ended: the next request finds it */
}

static bool has_next(const struct pool_host *host, const struct call *call)
{
    return call->addrs_tried < (host->is_unix ? 1u : host->addrs.count);
}

/* Begins to connect to the call's next address. False: none is left, or *err says why not. */
static bool start_next(struct pool_host *host, struct call *call, enum r2a_err *err)
{
    struct worker *worker = host->worker;
    struct pool *pool = &worker->pool;
    struct conn_target target = {0};
    struct upstream *upstream;
    struct net_addr addr;

    *err = R2A_ERR_CONNECT;
    if (!has_next(host, call))
        return false;
    upstream = take_upstream(pool);
    *err = R2A_ERR_LIMIT;
    if (upstream == NULL)
        return false;
    set_address(&addr, host, call->addrs_tried++);
    target.addr = &addr.u.sa;
    target.addr_len = addr.len;
    if (host->is_tls) {
        target.tls = worker->tls;
        target.tls_peer = (struct tls_peer){.name = slice_of(host->name, host->name_len),
                                            .host = slice_of(host->name, host->name_len),
                                            .port = host->port};
    }
    upstream->host = host;
    upstream->timer.fn = on_upstream_timer;
    upstream->conn = conn_connect(&worker->conns, &target, &upstream_calls, upstream, err);
    if (upstream->conn == NULL) {
        slab_give(&pool->upstreams, upstream);
        return false;
    }
    upstream->state = UPSTREAM_CONNECTING;
    upstream->call = call;
    host->open_count++;
    list_push_back(&call->racers, &upstream->node);
    metric_inc(worker->metrics, upstream_connects);
    if (has_next(host, call))
        loop_timer_arm(&worker->loop, &upstream->timer,
                       loop_now_ms(&worker->loop) + POOL_ADDRESS_MS);
    return true;
}

static void connect_for(struct pool_host *host, struct call *call)
{
    enum r2a_err err;

    call->addrs_tried = 0;
    call->said = R2A_OK;
    while (!start_next(host, call, &err)) {
        if (!has_next(host, call)) {
            call_on_no_upstream(call, err, FAULT_PHASE_CONNECT);
            return;
        }
    }
}

/* The race is decided, or nobody wants it any more. */
static void drop_racers(struct call *call)
{
    struct list_node *node;

    while ((node = list_first(&call->racers)) != NULL)
        pool_drop(list_owner(node, struct upstream, node)); /* unlinks it */
}

static void on_resolved(struct resolve_ask *ask)
{
    struct pool_host *host = container_of(ask, struct pool_host, ask);
    struct worker *worker = host->worker;
    struct list waiting = {0};
    struct list_node *node;

    host->addrs = ask->result;
    host->fresh_until_ms = loop_now_ms(&worker->loop) +
                           (ask->result.err == R2A_OK ? (uint64_t)ask->result.ttl_s * 1000 + 1 : 0);
    list_append(&waiting, &host->waiting);
    while ((node = list_pop_front(&waiting)) != NULL) {
        struct call *call = list_owner(node, struct call, node);

        if (host->addrs.err != R2A_OK || host->addrs.count == 0)
            call_on_no_upstream(call, host->addrs.err ? host->addrs.err : R2A_ERR_RESOLVE,
                                FAULT_PHASE_RESOLVE);
        else
            connect_for(host, call);
    }
}

void pool_get(struct pool *pool, const struct endpoint *endpoint, struct call *call,
              bool must_be_fresh)
{
    struct pool_host *host = find_host(pool, endpoint);
    struct worker *worker = pool->worker;

    call->host = host;
    call->up = NULL;
    if (host == NULL) {
        call_on_no_upstream(call, R2A_ERR_LIMIT, FAULT_PHASE_CONNECT);
        return;
    }
    if (!must_be_fresh && !list_is_empty(&host->idle)) {
        struct upstream *upstream = list_owner(list_first(&host->idle), struct upstream, node);

        leave_idle(upstream);
        loop_timer_cancel(&worker->loop, &upstream->timer);
        upstream->state = UPSTREAM_BUSY;
        upstream->call = call;
        call->up = upstream;
        call->was_reused = true;
        metric_inc(worker->metrics, upstream_reuses);
        call_on_upstream(call, upstream);
        return;
    }
    call->was_reused = false;
    if (host->is_unix ||
        (host->addrs.count > 0 && loop_now_ms(&worker->loop) < host->fresh_until_ms)) {
        connect_for(host, call);
        return;
    }
    if (resolve_local(endpoint->host, &host->addrs)) {
        host->fresh_until_ms = UINT64_MAX;
        if (host->addrs.err != R2A_OK || host->addrs.count == 0)
            call_on_no_upstream(call, R2A_ERR_RESOLVE, FAULT_PHASE_RESOLVE);
        else
            connect_for(host, call);
        return;
    }
    list_push_back(&host->waiting, &call->node);
    if (!host->ask.is_out)
        resolve_ask(gateway_resolver(worker->gateway), &host->ask, endpoint->host, on_resolved);
}

void pool_cancel(struct pool *pool, struct call *call)
{
    (void)pool;
    list_remove(&call->node);
    drop_racers(call);
    if (call->up != NULL) {
        pool_drop(call->up);
        call->up = NULL;
    }
}

static void make_idle(struct upstream *upstream)
{
    struct pool_host *host = upstream->host;
    struct worker *worker = host->worker;

    upstream->call = NULL;
    upstream->served++;
    if (worker->is_draining || host->idle_count >= POOL_HOST_IDLE) {
        close_gently(upstream);
        return;
    }
    upstream->state = UPSTREAM_IDLE;
    list_push_front(&host->idle, &upstream->node);
    host->idle_count++;
    worker->pool.idle_count++;
    loop_timer_arm(&worker->loop, &upstream->timer, loop_now_ms(&worker->loop) + POOL_IDLE_MS);
}

void pool_put(struct upstream *upstream)
{
    struct worker *worker = upstream->host->worker;

    if (upstream->state == UPSTREAM_GONE)
        return;
    check(upstream->state == UPSTREAM_BUSY);
    upstream->call = NULL;
    if (!upstream->can_keep || conn_out_bytes(upstream->conn) > 0) {
        if (conn_out_bytes(upstream->conn) > 0)
            pool_drop(upstream); /* it answered before it had read the request */
        else
            close_gently(upstream);
        return;
    }
    if (upstream->lender != NULL) {
        ex_on_returned(upstream->lender);
        upstream->lender = NULL;
    }
    if (upstream->body.is_complete) {
        make_idle(upstream);
        return;
    }
    upstream->state = UPSTREAM_DRAINING;
    conn_read_resume(upstream->conn);
    loop_timer_arm(&worker->loop, &upstream->timer, loop_now_ms(&worker->loop) + POOL_DRAIN_MS);
}

void pool_close_idle(struct pool *pool)
{
    for (struct list_node *node = list_first(&pool->hosts_all); node;
         node = list_next(&pool->hosts_all, node)) {
        struct pool_host *host = list_owner(node, struct pool_host, node);

        while (!list_is_empty(&host->idle))
            close_gently(list_owner(list_first(&host->idle), struct upstream, node));
    }
}

void pool_close(struct pool *pool)
{
    struct list_node *node;

    while ((node = list_pop_front(&pool->hosts_all)) != NULL) {
        struct pool_host *host = list_owner(node, struct pool_host, node);

        mem_give(pool->worker->mem, host->name, host->name_len);
        slab_give(&pool->hosts, host);
    }
    slab_close(&pool->hosts);
    slab_close(&pool->upstreams);
}

/* --- callbacks of the connection --- */

static void on_connected(struct conn *conn)
{
    struct upstream *upstream = conn->owner;
    struct worker *worker = upstream->host->worker;
    struct call *call;

    loop_timer_cancel(&worker->loop, &upstream->timer);
    if (upstream->host->is_tls) {
        if (tls_is_resumed(conn_tls(conn)))
            metric_inc(worker->metrics, tls_resumed);
        else
            metric_inc(worker->metrics, tls_full);
    }
    upstream->state = UPSTREAM_BUSY;
    list_remove(&upstream->node);
    call = upstream_call(upstream);
    drop_racers(call);
    call->up = upstream;
    call_on_upstream(call, upstream);
}

/* The rest of an answer whose meaning was complete before its framing was. */
static size_t drain(struct upstream *upstream, struct slice bytes)
{
    size_t used = 0;

    while (used < bytes.len) {
        struct slice data;
        int32_t n = http_body_feed(&upstream->body, slice_skip(bytes, used), &data);

        if (n < 0 || upstream->body.bytes > POOL_DRAIN_BYTES + FRAME_BYTES_MAX) {
            pool_drop(upstream);
            return bytes.len;
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    if (upstream->body.is_complete) {
        if (used < bytes.len) {
            pool_drop(upstream); /* bytes after an answer: not to be trusted again */
            return bytes.len;
        }
        make_idle(upstream);
    }
    return used;
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    struct upstream *upstream = conn->owner;

    if (upstream->state == UPSTREAM_BUSY)
        return call_on_bytes(upstream_call(upstream), bytes);
    if (upstream->state == UPSTREAM_DRAINING)
        return drain(upstream, bytes);
    if (upstream->state == UPSTREAM_IDLE)
        pool_drop(upstream); /* nobody asked: a broken or hostile server */
    return bytes.len;
}

static void fetch(const struct conn *conn, enum engine_fetch stage)
{
    const struct upstream *upstream = conn->owner;

    if (upstream->state == UPSTREAM_BUSY)
        call_fetch(upstream->call, stage);
}

static void on_writable(struct conn *conn)
{
    struct upstream *upstream = conn->owner;

    if (upstream->state == UPSTREAM_BUSY)
        call_on_writable(upstream_call(upstream));
}

static void on_eof(struct conn *conn)
{
    struct upstream *upstream = conn->owner;

    if (upstream->state == UPSTREAM_BUSY)
        call_on_eof(upstream_call(upstream));
    else
        close_gently(upstream);
}

/* The server was reached and is not one to talk to: its next address would say the same, or hide
 * that behind an error of its own. */
static bool is_tls_error(enum r2a_err err)
{
    return err <= R2A_ERR_TLS_EXPIRED && err >= R2A_ERR_TLS_SELF_SIGNED;
}

/* One address failed. The next one begins; when none is left and no other still tries, so has the
 * call. */
static void lose_race(struct upstream *upstream, enum r2a_err err)
{
    struct pool_host *host = upstream->host;
    struct call *call = upstream_call(upstream);
    enum r2a_err next_err;

    /* That a server was reached, and how it failed, says more than that another was not. */
    if (call->said == R2A_OK || (err != R2A_ERR_CONNECT && err != R2A_ERR_TIMEOUT))
        call->said = err;
    lose(upstream);
    if (!is_tls_error(err) && start_next(host, call, &next_err))
        return;
    if (!list_is_empty(&call->racers))
        return;
    err = call->said;
    call_on_no_upstream(call, err,
                        host->is_tls && err != R2A_ERR_CONNECT && err != R2A_ERR_TIMEOUT
                            ? FAULT_PHASE_TLS
                            : FAULT_PHASE_CONNECT);
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    struct upstream *upstream = conn->owner;
    struct call *call = upstream->call;

    if (upstream->state == UPSTREAM_CONNECTING) {
        lose_race(upstream, err);
        return;
    }
    if (upstream->state == UPSTREAM_BUSY) {
        lose(upstream);
        call->up = NULL;
        call_on_closed(call, err);
        return;
    }
    lose(upstream);
}

static void on_released(struct conn *conn)
{
    struct upstream *upstream = conn->owner;
    struct pool_host *host = upstream->host;

    host->open_count--;
    if (upstream->lender != NULL)
        ex_on_returned(upstream->lender);
    slab_give(&host->worker->pool.upstreams, upstream);
}

static const struct conn_calls upstream_calls = {
    .on_connected = on_connected,
    .on_bytes = on_bytes,
    .on_writable = on_writable,
    .on_eof = on_eof,
    .on_closed = on_closed,
    .on_released = on_released,
    .fetch = fetch,
};
