#include "gateway_state.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listens.h"
#include "r2a/core/check.h"
#include "r2a/core/clock.h"
#include "r2a/core/hash.h"
#include "r2a/core/log.h"
#include "r2a/core/str.h"

/* Start, reload, drain and stop: what the control thread does besides resolving names. */

struct resolve_loop *gateway_resolver(struct gateway *gateway)
{
    return gateway->resolver;
}

struct vault *gateway_vault(struct gateway *gateway)
{
    return gateway->vault;
}

struct catalog *gateway_catalog(struct gateway *gateway)
{
    return gateway->catalog;
}

void gateway_write_metrics(struct gateway *gateway, struct rope *out)
{
    struct metrics_page *pages[WORKERS_MAX];
    struct metrics_process process = {
        .memory_used = atomic_load(&gateway->budget.used),
        .memory_peak = atomic_load(&gateway->budget.peak),
        .memory_limit = gateway->budget.limit,
        .memory_refused = atomic_load(&gateway->budget.refused),
        .uptime_s = (clock_mono_ms() - gateway->started_ms) / 1000,
        .generation = gateway->generation,
        .is_draining = atomic_load(&gateway->is_draining),
        .version = R2A_VERSION,
    };

    for (uint32_t i = 0; i < gateway->workers_count; i++)
        pages[i] = &gateway->pages[i];
    metrics_write(pages, gateway->workers_count, &process, out);
}

/* Zeroed, and aligned for the operations inside. Start-up only. */
static void *take_aligned(size_t count, size_t size)
{
    size_t bytes = (count * size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);

    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

/* --- what the system allows --- */

static uint32_t cpus_allowed(void)
{
    cpu_set_t set;
    int count;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > (int)WORKERS_MAX ? WORKERS_MAX : (uint32_t)count;
}

static uint64_t read_number(const char *path)
{
    char text[32];
    uint64_t value = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof(text));
    close(fd);
    if (n <= 0 || !str_parse_u64(str_trim_lines(slice_of(text, (size_t)n)), &value))
        return 0; /* "max" */
    return value;
}

/* Half of what the process may have: the machine's memory or the control group's. */
static uint64_t memory_half(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t group = read_number("/sys/fs/cgroup/memory.max");

    if (group == 0)
        group = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    if (group > 0 && group < bytes)
        bytes = group;
    return bytes / 2;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void forbid_core_files(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none); /* keys must not end up in one */
}

/* --- configuration --- */

#define RELOAD_WAIT_MS 5u
#define REAP_MS        10u

static void digest_credential(const struct provider_instance *provider,
                              const struct credential *credential, uint8_t digest[32])
{
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, S("credential"));
    sha256_add(&sha, provider->name);
    sha256_add(&sha, slice_of("", 1));
    sha256_add(&sha, credential->key);
    sha256_end(&sha, digest);
}

/* Finds the board's records for a generation: they outlive it. */
static bool board_config(struct board *board, struct config *config)
{
    uint8_t digest[32];
    bool is_ok = true;

    for (uint32_t i = 0; i < config->providers_count; i++) {
        struct provider_instance *provider = &config->providers[i];

        for (uint32_t k = 0; k < provider->credentials_count; k++) {
            digest_credential(provider, &provider->credentials[k], digest);
            provider->credentials[k].board = board_record(board, digest);
            is_ok = is_ok && provider->credentials[k].board != BOARD_NONE;
        }
    }
    for (uint32_t i = 0; i < config->keys_count; i++) {
        config->keys[i].board = board_record(board, config->keys[i].digest);
        is_ok = is_ok && config->keys[i].board != BOARD_NONE;
    }
    for (uint32_t i = 0; i < config->routes_count; i++) {
        struct sha256 sha;

        sha256_init(&sha);
        sha256_add(&sha, S("route"));
        sha256_add(&sha, config->routes[i].model);
        sha256_end(&sha, digest);
        config->routes[i].counter = board_record(board, digest);
        is_ok = is_ok && config->routes[i].counter != BOARD_NONE;
    }
    if (!is_ok)
        log_note(LOG_ERROR, "gateway", "too_many_keys_and_routes");
    return is_ok;
}

static bool needs_tls(const struct config *config)
{
    for (uint32_t i = 0; i < config->providers_count; i++) {
        if (config->providers[i].endpoint.is_tls && !config->providers[i].is_off)
            return true;
    }
    return false;
}

/* The trust anchors of a configuration; NULL after a message when they are needed and cannot be
 * had. */
static struct tls_trust *load_trust(struct gateway *gateway, const struct config *config)
{
    struct tls_trust_report report = {0};
    struct tls_trust *trust;
    char path[512] = "";

    if (config->tls_ca_file.len > 0 && config->tls_ca_file.len < sizeof(path))
        memcpy(path, config->tls_ca_file.ptr, config->tls_ca_file.len);
    trust = tls_trust_load(path[0] ? path : NULL, &report);
    if (trust != NULL) {
        memcpy(gateway->trust_path, report.path, sizeof(gateway->trust_path));
        if (stat(report.path, &gateway->trust_stat) != 0)
            gateway->trust_stat = (struct stat){0};
        return trust;
    }
    if (needs_tls(config) || path[0]) {
        log_event(LOG_ERROR, "tls", "no_trust_anchors", log_kv_z("file", report.path),
                  log_kv_z("why", report.reason));
        return NULL;
    }
    return tls_trust_parse((struct slice){0},
                           &report); /* nothing is trusted, nothing needs to be */
}

static void apply_log(const struct config *config)
{
    log_set_format(config->log_json ? LOG_JSON : LOG_TEXT);
    log_set_level((enum log_level)config->log_level);
}

static void report_line(void *context, bool is_error, struct slice text)
{
    (void)context;
    if (is_error)
        log_event(LOG_ERROR, "config", "error", log_kv_str("what", text));
    else
        log_event(LOG_WARN, "config", "warning", log_kv_str("what", text));
}

static void send_order(struct gateway *gateway, enum worker_order order, struct config *config,
                       struct tls_trust *trust)
{
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        struct worker *worker = &gateway->workers[i];
        struct worker_message *message = &worker->messages[order];

        if (worker->is_gone || atomic_load(&message->is_out))
            continue; /* drain and stop say the same thing twice; a reload waits for the last one */
        if (config)
            config_ref(config, 1);
        message->worker = worker;
        message->config = config;
        message->trust = trust;
        message->order = (uint8_t)order;
        atomic_store(&message->is_out, true);
        message->op.fn = worker_on_order;
        loop_post(&worker->loop, &message->op);
    }
}

/* Whether some worker has not taken the last generation over yet. */
static bool is_reloading(struct gateway *gateway)
{
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        if (atomic_load(&gateway->workers[i].messages[ORDER_CONFIG].is_out))
            return true;
    }
    return false;
}

/* The bundle is read again when its name or the file changed: 50 ms of work, and sessions are
 * forgotten. The old anchors stay until every worker has taken the new ones. */
static bool is_same_trust(const struct gateway *gateway, const struct config *config)
{
    const struct stat *old = &gateway->trust_stat;
    struct stat now;

    return slice_eq(config->tls_ca_file, gateway->config->tls_ca_file) &&
           gateway->trust_path[0] != 0 && stat(gateway->trust_path, &now) == 0 &&
           now.st_mtim.tv_sec == old->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == old->st_mtim.tv_nsec && now.st_size == old->st_size &&
           now.st_ino == old->st_ino;
}

static bool reload_trust(struct gateway *gateway, const struct config *config)
{
    struct tls_trust *trust;

    if (is_same_trust(gateway, config))
        return true;
    trust = load_trust(gateway, config);
    if (trust == NULL)
        return false;
    tls_trust_unref(gateway->trust_old);
    gateway->trust_old = gateway->trust;
    gateway->trust = trust;
    return true;
}

/* A reload is how an operator says that a refused key is right again. */
static void forgive(struct board *board, const struct config *config)
{
    for (uint32_t i = 0; i < config->providers_count; i++) {
        const struct provider_instance *provider = &config->providers[i];

        for (uint32_t k = 0; k < provider->credentials_count; k++) {
            if (board_cool_cause(board, provider->credentials[k].board) == BOARD_CAUSE_AUTH)
                board_warm(board, provider->credentials[k].board, 0);
        }
    }
}

static void reload(struct gateway *gateway)
{
    struct config_report report = {.line = report_line};
    struct config *config = config_load(gateway->flags, &report);
    struct config *old = gateway->config;
    const struct tls_trust *trust = gateway->trust;

    if (config == NULL) {
        log_event(LOG_ERROR, "gateway", "reload_refused", log_kv_u64("errors", report.errors));
        return;
    }
    if (!board_config(gateway->board, config) || !reload_trust(gateway, config)) {
        config_unref(config);
        return;
    }
    if (config->workers != old->workers ||
        config->limits.memory_bytes != old->limits.memory_bytes ||
        config->limits.body_bytes != old->limits.body_bytes)
        log_note(LOG_WARN, "gateway", "workers_and_memory_sizes_wait_for_a_restart");
    forgive(gateway->board, config);
    listens_reload(gateway, config);
    config->generation = ++gateway->generation;
    apply_log(config);
    gateway->config = config;
    send_order(gateway, ORDER_CONFIG, config, gateway->trust != trust ? gateway->trust : NULL);
    config_unref(old);
    log_event(LOG_INFO, "gateway", "reloaded", log_kv_u64("generation", gateway->generation));
}

/* --- the end --- */

static void on_drain_timer(struct timer *timer, uint64_t now_ms)
{
    struct gateway *gateway = container_of(timer, struct gateway, drain_timer);

    (void)now_ms;
    log_note(LOG_WARN, "gateway", "drain_timeout");
    send_order(gateway, ORDER_STOP, NULL, NULL);
}

static void drain(struct gateway *gateway)
{
    if (atomic_exchange(&gateway->is_draining, true)) {
        send_order(gateway, ORDER_STOP, NULL, NULL); /* asked twice */
        return;
    }
    log_note(LOG_INFO, "gateway", "draining");
    send_order(gateway, ORDER_DRAIN, NULL, NULL);
    gateway->drain_timer.fn = on_drain_timer;
    loop_timer_arm(&gateway->loop, &gateway->drain_timer,
                   loop_now_ms(&gateway->loop) + (uint64_t)gateway->config->timeouts.drain_ms + 1);
}

static void on_reload_timer(struct timer *timer, uint64_t now_ms)
{
    struct gateway *gateway = container_of(timer, struct gateway, reload_timer);

    /* Signals that arrive during a reload are one more reload. */
    if (is_reloading(gateway))
        loop_timer_arm(&gateway->loop, timer, now_ms + RELOAD_WAIT_MS);
    else if (!atomic_load(&gateway->is_draining))
        reload(gateway);
}

static void on_signal(void *ctx, int signum)
{
    struct gateway *gateway = ctx;

    if (signum == SIGHUP)
        loop_timer_arm(&gateway->loop, &gateway->reload_timer, loop_now_ms(&gateway->loop) + 1);
    else
        drain(gateway);
}

static void on_resolver_closed(void *ctx)
{
    struct gateway *gateway = ctx;

    loop_stop(&gateway->loop);
}

static void stop_control(struct gateway *gateway)
{
    loop_timer_cancel(&gateway->loop, &gateway->drain_timer);
    loop_timer_cancel(&gateway->loop, &gateway->reload_timer);
    loop_timer_cancel(&gateway->loop, &gateway->reap_timer);
    resolve_loop_close(gateway->resolver, on_resolver_closed, gateway);
}

/* Workers that ended close their loops only now: an order on its way may still touch them. */
static void on_reap_timer(struct timer *timer, uint64_t now_ms)
{
    struct gateway *gateway = container_of(timer, struct gateway, reap_timer);

    (void)now_ms;
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        struct worker *worker = &gateway->workers[i];

        if (!worker->is_gone || worker->is_joined)
            continue;
        atomic_store(&worker->may_close, true);
        pthread_join(worker->thread, NULL);
        worker->is_joined = true;
        gateway->workers_ended++;
    }
    if (gateway->workers_ended == gateway->workers_count)
        stop_control(gateway);
}

static void worker_gone(struct gateway *gateway, struct worker *worker)
{
    worker->is_gone = true;
    loop_timer_arm(&gateway->loop, &gateway->reap_timer, loop_now_ms(&gateway->loop) + REAP_MS);
}

void gateway_on_worker_ended(struct op *op, struct op_result result)
{
    struct worker *worker = container_of(op, struct worker, ended_op);

    (void)result;
    worker_gone(worker->gateway, worker);
}

void gateway_on_worker_started(struct op *op, struct op_result result)
{
    struct worker *worker = container_of(op, struct worker, started_op);
    struct gateway *gateway = worker->gateway;

    (void)result;
    if (worker->start_err != R2A_OK) {
        char why[512] = "";

        if (worker->start_err == R2A_ERR_URING_REFUSED)
            engine_refusal(why, sizeof(why));
        log_event(LOG_ERROR, "gateway", "worker_failed", log_kv_err(worker->start_err),
                  log_kv_z("why", why));
        gateway->is_failed = true;
        worker_gone(gateway, worker);
        if (!atomic_load(&gateway->is_draining))
            drain(gateway);
        return;
    }
    if (++gateway->workers_started == gateway->workers_count)
        log_event(LOG_INFO, "gateway", "ready", log_kv_u64("workers", gateway->workers_count),
                  log_kv_z("version", R2A_VERSION));
}

/* --- start --- */

static void *tls_main(void *arg)
{
    struct gateway *gateway = arg;
    struct loop_cfg cfg = {.engine_cfg = {.submissions = 64,
                                          .completions = 256,
                                          .sockets_max = 8,
                                          .rx_buffers = 2,
                                          .rx_window = 2}};

    enum r2a_err err = loop_open(&gateway->tls_loop, &cfg);

    atomic_store(&gateway->tls_started, err == R2A_OK ? 1 : -1);
    if (err != R2A_OK)
        return NULL;
    loop_run(&gateway->tls_loop);
    /* the post that stopped us may still touch the loop */
    while (!atomic_load(&gateway->is_tls_told))
        sched_yield();
    loop_close(&gateway->tls_loop);
    return NULL;
}

/* One stack size whatever the C library's default (128 KiB with musl): rewriting the deepest schema
 * takes some 70 KiB. Touched as used. */
static int start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
    pthread_attr_t attr;
    int err = pthread_attr_init(&attr);

    if (err == 0)
        err = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    if (err == 0)
        err = pthread_create(thread, &attr, main, arg);
    pthread_attr_destroy(&attr);
    return err;
}

/* Nobody is left to guess why. Always false. */
static bool lacks_memory(void)
{
    log_event(LOG_ERROR, "gateway", "cannot_start", log_kv_err(R2A_ERR_NO_MEMORY),
              log_kv_z("why", "the system refuses memory or address space, which is reserved ahead "
                              "and costs nothing until used: lift RLIMIT_AS (ulimit -v) and "
                              "vm.overcommit_memory=2, or lower limits.memory_bytes and workers"));
    return false;
}

static bool open_tls(struct gateway *gateway)
{
    gateway->trust = load_trust(gateway, gateway->config);
    if (gateway->trust == NULL)
        return false;
    gateway->tls_thread =
        loop_prepare(&gateway->tls_loop) == R2A_OK ? tls_thread_open(&gateway->tls_loop) : NULL;
    if (gateway->tls_thread == NULL || start_thread(&gateway->tls_pthread, tls_main, gateway) != 0)
        return lacks_memory();
    while (atomic_load(&gateway->tls_started) == 0)
        usleep(200);
    if (atomic_load(&gateway->tls_started) < 0) {
        log_note(LOG_ERROR, "gateway", "tls_thread_cannot_start");
        return false;
    }
    return true;
}

static bool open_control(struct gateway *gateway)
{
    struct loop_cfg cfg = {.engine_cfg = {.submissions = 256,
                                          .completions = 1024,
                                          .sockets_max = 64,
                                          .rx_buffers = 4,
                                          .rx_window = 4}};
    sigset_t set;
    enum r2a_err err;

    gateway->mem = mem_open(&gateway->budget, 1u << 20);
    cfg.mem = gateway->mem;
    err = gateway->mem ? loop_prepare(&gateway->loop) : R2A_ERR_NO_MEMORY;
    if (err == R2A_OK)
        err = loop_open(&gateway->loop, &cfg);
    if (err == R2A_ERR_NO_MEMORY)
        return lacks_memory();
    if (err != R2A_OK) {
        char why[512] = "";

        if (err == R2A_ERR_URING_REFUSED)
            engine_refusal(why, sizeof(why));
        log_event(LOG_ERROR, "gateway", "cannot_start", log_kv_err(err), log_kv_z("why", why));
        return false;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (loop_watch_signals(&gateway->loop, &set, on_signal, gateway) != R2A_OK)
        return lacks_memory();
    gateway->resolver = resolve_loop_open(&gateway->loop, &(struct resolve_loop_cfg){0});
    return gateway->resolver != NULL || lacks_memory();
}

static bool prepare_workers(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    size_t block = (size_t)config->limits.body_bytes;

    if (block < config->limits.output_bytes)
        block = (size_t)config->limits.output_bytes;
    if (block < (size_t)TAPE_EVENTS_MAX * 40)
        block = (size_t)TAPE_EVENTS_MAX * 40;
    gateway->workers_count = config->workers ? config->workers : cpus_allowed();
    if (gateway->workers_count > WORKERS_MAX)
        gateway->workers_count = WORKERS_MAX;
    gateway->workers = take_aligned(gateway->workers_count, sizeof(struct worker));
    gateway->pages = take_aligned(gateway->workers_count, sizeof(struct metrics_page));
    if (gateway->workers == NULL || gateway->pages == NULL)
        return lacks_memory();
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        struct worker *worker = &gateway->workers[i];

        worker->gateway = gateway;
        worker->index = i;
        worker->board = gateway->board;
        worker->metrics = &gateway->pages[i];
        worker->config = gateway->config;
        config_ref(gateway->config, 1);
        worker->mem = mem_open(&gateway->budget, block);
        worker->audit.bytes[0] = malloc(AUDIT_BUFFER_BYTES);
        worker->audit.bytes[1] = malloc(AUDIT_BUFFER_BYTES);
        if (worker->mem == NULL || worker->audit.bytes[0] == NULL ||
            worker->audit.bytes[1] == NULL || loop_prepare(&worker->loop) != R2A_OK)
            return lacks_memory();
    }
    return true;
}

static void close_gateway(struct gateway *gateway)
{
    listens_close(gateway);
    for (uint32_t i = 0; i < gateway->workers_count; i++) {
        struct worker *worker = &gateway->workers[i];

        free(worker->audit.bytes[0]);
        free(worker->audit.bytes[1]);
        mem_close(worker->mem);
    }
    free(gateway->workers);
    free(gateway->pages);
    config_unref(gateway->config);
    board_close(gateway->board);
    vault_close(gateway->vault);
    catalog_close(gateway->catalog);
    free(gateway);
}

static void on_stop_tls(struct op *op, struct op_result result)
{
    struct gateway *gateway = container_of(op, struct gateway, tls_stop_op);

    (void)result;
    loop_stop(&gateway->tls_loop);
}

int gateway_run(struct config *config, const struct config_flags *flags)
{
    struct gateway *gateway = take_aligned(1, sizeof(*gateway));
    uint32_t started = 0;
    int code;

    loop_block_signals();
    raise_descriptors();
    forbid_core_files();
    if (gateway == NULL) {
        lacks_memory();
        return 1;
    }
    gateway->config = config;
    gateway->flags = flags;
    gateway->started_ms = clock_mono_ms();
    gateway->reload_timer.fn = on_reload_timer;
    gateway->reap_timer.fn = on_reap_timer;
    gateway->budget.limit =
        config->limits.memory_bytes ? config->limits.memory_bytes : memory_half();
    gateway->budget.spare = gateway->budget.limit / MEMORY_SPARE_SHARE;
    apply_log(config);
    gateway->board = board_open();
    gateway->vault = vault_open(VAULT_BYTES);
    gateway->catalog = catalog_open();
    if (gateway->board == NULL || gateway->vault == NULL || gateway->catalog == NULL ||
        !board_config(gateway->board, config)) {
        lacks_memory();
        return 1;
    }
    if (!open_control(gateway) || !prepare_workers(gateway) || !open_tls(gateway) ||
        !listens_open(gateway))
        return 1;
    for (; started < gateway->workers_count; started++) {
        struct worker *worker = &gateway->workers[started];

        if (start_thread(&worker->thread, worker_main, worker) != 0) {
            log_note(LOG_ERROR, "gateway", "thread_failed");
            return 1;
        }
    }
    loop_run(&gateway->loop);
    gateway->tls_stop_op.fn = on_stop_tls;
    loop_post(&gateway->tls_loop, &gateway->tls_stop_op);
    atomic_store(&gateway->is_tls_told, true);
    pthread_join(gateway->tls_pthread, NULL);
    tls_thread_close(gateway->tls_thread);
    tls_trust_unref(gateway->trust_old);
    tls_trust_unref(gateway->trust);
    loop_close(&gateway->loop);
    mem_close(gateway->mem);
    code = gateway->is_failed ? 1 : 0;
    close_gateway(gateway);
    return code;
}
