#ifndef R2A_GATEWAY_WORKER_H
#define R2A_GATEWAY_WORKER_H

#include <pthread.h>

#include "audit.h"
#include "auth.h"
#include "board.h"
#include "exchange.h"
#include "metrics.h"
#include "pool.h"
#include "r2a/core/date.h"
#include "r2a/core/slab.h"
#include "r2a/gateway/config.h"
#include "r2a/gateway/gateway.h"
#include "r2a/http/header.h"
#include "r2a/limits.h"
#include "r2a/net/conn.h"
#include "r2a/net/listener.h"
#include "r2a/net/loop.h"
#include "r2a/proto/profile.h"

/* One worker: a thread, a loop, and everything only it touches. */
#define WORKER_LISTENERS_MAX 16u
#define WORKERS_MAX          256u

struct worker_listener {
    struct listener listener;
    struct worker *worker;
    struct net_addr addr;
    int fd; /* bound by the control thread before the worker starts; -1: not this worker's */
    bool is_admin;
    _Atomic bool is_started; /* this worker accepts on it, or still stops */
    _Atomic bool is_dropped; /* the control thread took the address back */
    bool is_stopping;
    struct listener_target *targets; /* Unix sockets: where connections are handed to */
};

/* What the control thread tells a worker. */
enum worker_order {
    ORDER_CONFIG, /* take `config` over */
    ORDER_DRAIN,  /* no new connections, finish what runs */
    ORDER_STOP,   /* the drain's time is over */
};

struct worker_message {
    struct op op;
    struct worker *worker;
    struct config *config;   /* ORDER_CONFIG: a reference for the worker */
    struct tls_trust *trust; /* ORDER_CONFIG: new anchors, or NULL */
    uint8_t order;           /* enum worker_order */
    _Atomic bool is_out;     /* the worker has not acted yet */
};

/* What models accept, found before: matching a model's name against all patterns costs as much as
 * reading a small request. Entries belong to worker->config and go with it. */
#define PROFILES_KEPT 16u

struct profile_entry {
    const struct provider_instance *provider; /* NULL: empty */
    uint8_t model_len;
    char model[55];
    struct model_profile profile;
};

struct worker {
    struct loop loop;
    struct gateway *gateway;
    uint32_t index;
    struct mem *mem;
    struct conns conns;
    struct slab fronts;
    struct slab exchanges;
    struct config *config; /* the generation new exchanges begin with; one reference */
    uint32_t config_users; /* exchanges that live by that one reference */
    struct tls_env *tls;
    struct loop_hook tls_hook;
    struct pool pool; /* upstream connections */
    struct metrics_page *metrics;
    struct board *board;

    struct audit_buffer audit;
    struct op audit_op;
    struct timer audit_timer;
    int audit_fd;
    bool audit_is_pipe;

    struct list fronts_open;
    uint32_t exchanges_open;
    uint64_t date_second;
    char date[29];
    int64_t stamp_ms;
    char stamp[DATE_RFC3339_BYTES]; /* of the access log's line, at that millisecond */
    bool is_draining;
    bool is_stopping;
    bool has_ended; /* told the control thread */
    struct worker_listener listeners[WORKER_LISTENERS_MAX];
    uint32_t listeners_stopping;
    struct timer drained_timer;
    struct timer trim_timer; /* a second after an exchange ended */
    struct timer stop_timer;

    struct auth_memo auth;
    struct profile_entry profiles[PROFILES_KEPT];
    struct ex_failure failure_spare;
    struct http_header headers[HEADERS_MAX]; /* of the head being parsed */
    pthread_t thread;
    struct op started_op, ended_op; /* to the control thread */
    struct worker_message messages[3];
    enum r2a_err start_err;
    _Atomic bool may_close;  /* nobody posts to this loop any more */
    bool is_gone, is_joined; /* the control thread's notes */
};

void worker_on_order(struct op *op, struct op_result result);
/* The thread's body. */
void *worker_main(void *worker);
/* IMF-fixdate of this second. */
struct slice worker_date(struct worker *worker);
/* For an exchange's life. The worker's own reference serves all exchanges of the current
 * generation, so that workers need not count in one place at each request. */
void worker_hold_config(struct worker *worker, struct config *config);
void worker_drop_config(struct worker *worker, struct config *config);
/* A line for the access log. */
void worker_audit(struct worker *worker, const struct audit_record *record);
/* An exchange's memory came back: what is not needed any more goes on to the system, soon. */
void worker_trim_soon(struct worker *worker);
/* A client connection or an exchange ended: a drain looks whether it is over. */
void worker_check_drained(struct worker *worker);

#endif
