#ifndef R2A_GATEWAY_GATEWAY_STATE_H
#define R2A_GATEWAY_GATEWAY_STATE_H

#include <sys/stat.h>

#include "board.h"
#include "catalog.h"
#include "metrics.h"
#include "r2a/core/mem.h"
#include "r2a/gateway/gateway.h"
#include "r2a/net/resolve_loop.h"
#include "r2a/net/tls_thread.h"
#include "vault.h"
#include "worker.h"

/* An address that is listened on, as the configuration asked for it. */
struct gateway_listen {
    bool is_used;
    bool is_admin;
    struct net_addr asked;
};

/* The process: what the control thread owns. Workers read only what never changes after start. */
struct gateway {
    struct loop loop; /* control */
    struct mem_budget budget;
    struct mem *mem; /* of the control thread */
    struct board *board;
    struct worker *workers; /* workers_count of them */
    uint32_t workers_count;
    uint32_t workers_ended;
    uint32_t workers_started;
    struct metrics_page *pages; /* one a worker */
    struct vault *vault;
    struct catalog *catalog;
    struct resolve_loop *resolver;
    struct tls_trust *trust;
    char trust_path[256]; /* the bundle that was read, and what it was like then */
    struct stat trust_stat;
    struct tls_trust *trust_old; /* of the generation before, until the next reload; or NULL */
    struct tls_thread *tls_thread;
    struct loop tls_loop;
    pthread_t tls_pthread;
    struct config *config;
    const struct config_flags *flags;
    struct op tls_stop_op;
    struct timer drain_timer;
    struct timer reload_timer;
    struct timer reap_timer;
    struct gateway_listen listens[WORKER_LISTENERS_MAX];
    uint64_t started_ms;
    _Atomic uint32_t generation; /* workers show it in /metrics */
    _Atomic bool is_draining;
    _Atomic bool is_tls_told;
    _Atomic int tls_started; /* 1: runs; -1: could not */
    bool is_failed;
};

/* Ops of workers, on the control thread. */
void gateway_on_worker_started(struct op *op, struct op_result result);
void gateway_on_worker_ended(struct op *op, struct op_result result);
void gateway_write_metrics(struct gateway *gateway, struct rope *out);

#endif
