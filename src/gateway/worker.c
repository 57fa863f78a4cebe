#include "worker.h"

#include <sys/stat.h>
#include <unistd.h>

#include "exchange.h"
#include "front.h"
#include "gateway_state.h"
#include "r2a/core/check.h"
#include "r2a/core/date.h"
#include "r2a/core/log.h"

/* A worker's thread: sets its loop up, takes orders, writes its log, drains. */

#define AUDIT_MS 100u
#define TRIM_MS  1000u
#define AUDIT_PIPE_BYTES \
    4096u /* a write into a pipe is atomic up to here: workers' lines do not mix */

struct slice worker_date(struct worker *worker)
{
    uint64_t second = (uint64_t)loop_wall_ms(&worker->loop) / 1000;

    if (second != worker->date_second) {
        worker->date_second = second;
        date_write_http(worker->date, (int64_t)second * 1000);
    }
    return slice_of(worker->date, sizeof(worker->date));
}

static struct slice stamp(struct worker *worker)
{
    int64_t now_ms = loop_wall_ms(&worker->loop);

    if (now_ms != worker->stamp_ms) {
        worker->stamp_ms = now_ms;
        date_write_rfc3339(worker->stamp, now_ms);
    }
    return slice_of(worker->stamp, sizeof(worker->stamp));
}

/* --- the log --- */

static void write_log(struct worker *worker)
{
    struct slice run;

    if (worker->audit.is_in_flight)
        return;
    run = audit_buffer_take(&worker->audit,
                            worker->audit_is_pipe ? AUDIT_PIPE_BYTES : AUDIT_BUFFER_BYTES);
    if (run.len == 0)
        return;
    worker->audit_op.kind = OP_APPEND;
    worker->audit_op.handle = worker->audit_fd;
    worker->audit_op.ptr = (void *)(uintptr_t)run.ptr;
    worker->audit_op.len = (uint32_t)run.len;
    loop_arm(&worker->loop, &worker->audit_op);
}

static void on_log_written(struct op *op, struct op_result result)
{
    struct worker *worker = container_of(op, struct worker, audit_op);

    /* A log that cannot be written must not stop the service: the lines are lost and counted. */
    if (result.res < 0)
        metric_inc(worker->metrics, log_lost);
    audit_buffer_done(&worker->audit, result.res < 0 ? op->len : (size_t)result.res);
    if (audit_buffer_is_urgent(&worker->audit) || worker->audit_is_pipe || worker->is_draining)
        write_log(worker);
    worker_check_drained(worker);
}

static void arm_log(struct worker *worker)
{
    if (audit_buffer_is_urgent(&worker->audit))
        write_log(worker);
    else if (!timer_is_armed(&worker->audit_timer))
        loop_timer_arm(&worker->loop, &worker->audit_timer, loop_now_ms(&worker->loop) + AUDIT_MS);
}

static void on_log_timer(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    write_log(container_of(timer, struct worker, audit_timer));
}

static bool put_line(void *ctx, struct slice line)
{
    struct worker *worker = ctx;

    if (!audit_buffer_put(&worker->audit, line)) {
        metric_inc(worker->metrics, log_lost);
        return false;
    }
    arm_log(worker);
    return true;
}

void worker_audit(struct worker *worker, const struct audit_record *record)
{
    char line[4096];
    size_t len;

    if (!log_is_on(LOG_INFO))
        return;
    len = audit_format(record, stamp(worker), worker->config->log_json, line, sizeof(line));
    put_line(worker, slice_of(line, len));
}

/* --- memory --- */

static void on_trim_timer(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    mem_trim(container_of(timer, struct worker, trim_timer)->mem);
}

void worker_trim_soon(struct worker *worker)
{
    if (!timer_is_armed(&worker->trim_timer))
        loop_timer_arm(&worker->loop, &worker->trim_timer, loop_now_ms(&worker->loop) + TRIM_MS);
}

/* --- the end --- */

static void on_listener_stopped(struct listener *listener)
{
    struct worker_listener *own = container_of(listener, struct worker_listener, listener);

    own->is_stopping = false;
    own->worker->listeners_stopping--;
    own->is_started = false; /* the slot is the control thread's again */
    worker_check_drained(own->worker);
}

void worker_check_drained(struct worker *worker)
{
    if (!worker->is_draining || worker->has_ended || worker->exchanges_open > 0 ||
        worker->listeners_stopping > 0 || !list_is_empty(&worker->fronts_open))
        return;
    pool_close_idle(&worker->pool);
    if (worker->conns.open_count > 0) {
        /* lingering connections have two seconds of their own; on a drained worker nobody waits for
         * them */
        conns_abort_all(&worker->conns);
        loop_timer_arm(&worker->loop, &worker->drained_timer, loop_now_ms(&worker->loop) + 5);
        return;
    }
    if (worker->audit.is_in_flight)
        return;
    write_log(worker);
    if (worker->audit.is_in_flight)
        return;
    worker->has_ended = true;
    loop_stop(&worker->loop);
}

static void on_drained_timer(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    worker_check_drained(container_of(timer, struct worker, drained_timer));
}

static void stop_listener(struct worker *worker, struct worker_listener *own)
{
    if (!own->is_started || own->is_stopping)
        return;
    own->is_stopping = true;
    worker->listeners_stopping++;
    listener_stop(&own->listener, on_listener_stopped);
}

static void stop_listeners(struct worker *worker)
{
    for (uint32_t i = 0; i < WORKER_LISTENERS_MAX; i++)
        stop_listener(worker, &worker->listeners[i]);
}

static void drain(struct worker *worker)
{
    struct list_node *node;

    if (worker->is_draining)
        return;
    worker->is_draining = true;
    stop_listeners(worker);
    pool_close_idle(&worker->pool);
    node = list_first(&worker->fronts_open);
    while (node) {
        struct list_node *next = list_next(&worker->fronts_open, node);

        front_drain(list_owner(node, struct front, node));
        node = next;
    }
    worker_check_drained(worker);
}

/* The drain's time is over: streams end as errors, then everything closes. */
static void stop(struct worker *worker)
{
    struct list_node *node = list_first(&worker->fronts_open);

    drain(worker);
    node = list_first(&worker->fronts_open);
    while (node) {
        struct list_node *next = list_next(&worker->fronts_open, node);
        struct front *front = list_owner(node, struct front, node);

        if (front->ex) {
            struct fault fault = fault_of(FAULT_OVERLOAD, S("the gateway is shutting down"));

            front->ex->has_content = true; /* no further attempt */
            ex_shut_down(front->ex, &fault);
        }
        node = next;
    }
    loop_timer_arm(&worker->loop, &worker->stop_timer, loop_now_ms(&worker->loop) + 500);
}

static void on_stop_timer(struct timer *timer, uint64_t now_ms)
{
    struct worker *worker = container_of(timer, struct worker, stop_timer);

    (void)now_ms;
    conns_abort_all(&worker->conns);
    worker_check_drained(worker);
}

/* --- orders --- */

/* Acts on what the control thread bound and dropped since last time. */
static void update_listeners(struct worker *worker)
{
    for (uint32_t i = 0; i < WORKER_LISTENERS_MAX; i++) {
        struct worker_listener *own = &worker->listeners[i];

        if (own->is_dropped)
            stop_listener(worker, own);
        if (own->fd < 0 || own->is_started || own->is_dropped || own->worker == NULL)
            continue;
        own->is_started = true;
        listener_start(&own->listener, &worker->loop, own->fd, &own->addr, front_accept, own,
                       own->targets, own->targets ? worker->gateway->workers_count : 0);
        own->fd = -1;
    }
}

void worker_hold_config(struct worker *worker, struct config *config)
{
    if (config == worker->config)
        worker->config_users++;
    else
        config_ref(config, 1);
}

void worker_drop_config(struct worker *worker, struct config *config)
{
    if (config != worker->config) {
        config_unref(config);
        return;
    }
    check(worker->config_users > 0);
    worker->config_users--;
}

/* What still runs on the old one gets references of its own. */
static void take_config(struct worker *worker, struct config *config)
{
    struct config *old = worker->config;

    if (worker->config_users > 0)
        config_ref(old, worker->config_users);
    worker->config_users = 0;
    worker->config = config;
    memset(worker->profiles, 0, sizeof(worker->profiles));
    config_unref(old);
}

void worker_on_order(struct op *op, struct op_result result)
{
    struct worker_message *message = container_of(op, struct worker_message, op);
    struct worker *worker = message->worker;

    (void)result;
    switch ((enum worker_order)message->order) {
    case ORDER_CONFIG:
        take_config(worker, message->config);
        update_listeners(worker);
        if (message->trust)
            tls_env_set_trust(worker->tls, message->trust);
        break;
    case ORDER_DRAIN:
        drain(worker);
        break;
    case ORDER_STOP:
        stop(worker);
        break;
    }
    atomic_store(&message->is_out, false);
}

static void on_tls_hook(struct loop_hook *hook)
{
    struct worker *worker = container_of(hook, struct worker, tls_hook);

    tls_env_flush(worker->tls);
    atomic_store_explicit(&worker->metrics->clients_open, worker->fronts.count,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->metrics->exchanges_open, worker->exchanges_open,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->metrics->upstreams_open, worker->pool.upstreams.count,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->metrics->upstreams_idle, worker->pool.idle_count,
                          memory_order_relaxed);
}

/* --- start --- */

static enum r2a_err open_worker(struct worker *worker)
{
    struct gateway *gateway = worker->gateway;
    struct loop_cfg loop_cfg = {.mem = worker->mem};
    struct tls_env_cfg tls_cfg = {
        .trust = gateway->trust, .submit = tls_thread_submit, .submit_ctx = gateway->tls_thread};
    struct stat st;
    uint32_t sockets;
    enum r2a_err err = loop_open(&worker->loop, &loop_cfg);

    if (err != R2A_OK)
        return err;
    sockets = worker->loop.engine->stats.sockets_max;
    err = conns_open(&worker->conns, &worker->loop, sockets);
    if (err != R2A_OK)
        return err;
    if (!slab_open(&worker->fronts, sizeof(struct front), sockets) ||
        !slab_open(&worker->exchanges, sizeof(struct exchange), sockets))
        return R2A_ERR_NO_MEMORY;
    err = pool_open(&worker->pool, worker, sockets);
    if (err != R2A_OK)
        return err;
    tls_cfg.slots_max = sockets;
    worker->tls = tls_env_open(&tls_cfg);
    if (worker->tls == NULL)
        return R2A_ERR_NO_MEMORY;
    worker->tls_hook.fn = on_tls_hook;
    loop_add_hook(&worker->loop, &worker->tls_hook);
    worker->audit_fd = STDERR_FILENO;
    worker->audit_is_pipe = fstat(STDERR_FILENO, &st) == 0 && S_ISFIFO(st.st_mode);
    worker->audit_op.fn = on_log_written;
    worker->audit_timer.fn = on_log_timer;
    worker->drained_timer.fn = on_drained_timer;
    worker->trim_timer.fn = on_trim_timer;
    worker->stop_timer.fn = on_stop_timer;
    atomic_store(&worker->metrics->clients_limit, sockets);
    atomic_store(&worker->metrics->exchanges_limit, sockets);
    atomic_store(&worker->metrics->upstreams_limit, sockets);
    return R2A_OK;
}

static void close_worker(struct worker *worker)
{
    log_set_writer(NULL, NULL);
    for (uint32_t i = 0; i < 8 && worker->exchanges.count > 0; i++)
        loop_tick(&worker->loop, 0); /* what the last tick ended is freed at the end of one */
    loop_timer_cancel(&worker->loop, &worker->audit_timer);
    loop_timer_cancel(&worker->loop, &worker->drained_timer);
    loop_timer_cancel(&worker->loop, &worker->trim_timer);
    loop_timer_cancel(&worker->loop, &worker->stop_timer);
    loop_remove_hook(&worker->tls_hook);
    tls_env_close(worker->tls);
    conns_close(&worker->conns);
    pool_close(&worker->pool);
    slab_close(&worker->fronts);
    slab_close(&worker->exchanges);
    loop_close(&worker->loop);
    config_unref(worker->config);
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;

    worker->start_err = open_worker(worker);
    worker->started_op.fn = gateway_on_worker_started;
    worker->ended_op.fn = gateway_on_worker_ended;
    if (worker->start_err == R2A_OK) {
        log_set_writer(put_line, worker);
        update_listeners(worker);
    }
    loop_post(&worker->gateway->loop, &worker->started_op);
    if (worker->start_err != R2A_OK)
        return NULL;
    loop_run(&worker->loop);
    loop_post(&worker->gateway->loop, &worker->ended_op);
    while (!atomic_load(&worker->may_close))
        usleep(1000);
    close_worker(worker);
    return NULL;
}
