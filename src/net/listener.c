/* Listening sockets: binding them, accepting, making room, and going without losing anybody who
 * was already in the queue. What becomes of a connection is accept_fn's business.
 *
 * A full table of sockets answers an accept with an error *and* resets the client, who was accepted
 * already. So accepting stops while there is head-room and goes on when there is enough again;
 * meanwhile clients wait in the backlog. */
#include "r2a/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/limits.h"

#define BIND_RETRY_STEP_US 10000u

/* --- binding --- */

/* A socket file whose owner is gone is removed; anything else is not ours to touch. */
static int clear_path(const struct net_addr *addr)
{
    struct stat status;
    int fd, res;

    if (lstat(addr->u.un.sun_path, &status) != 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(status.st_mode))
        return ENOTSOCK;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    res = connect(fd, &addr->u.sa, addr->len) == 0 ? 0 : errno;
    close(fd);
    if (res != ECONNREFUSED)
        return EADDRINUSE;
    return unlink(addr->u.un.sun_path) == 0 || errno == ENOENT ? 0 : errno;
}

/* Accepted sockets inherit these: the only cheap way to set them there. */
static int set_options(int fd, const struct net_addr *addr)
{
    int on = 1, off = 0, idle_s = 60, between_s = 15;

    if (addr->u.sa.sa_family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s) != 0)
        return errno;
    if (addr->u.sa.sa_family == AF_INET6 &&
        memcmp(&addr->u.in6.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return errno;
    return 0;
}

/* Returns 0 or an errno value. */
static int bind_once(struct net_addr *addr, int *fd)
{
    int err = 0;

    if (addr->u.sa.sa_family == AF_UNIX) {
        err = clear_path(addr);
        if (err != 0)
            return err;
    }
    *fd = socket(addr->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return errno;
    err = set_options(*fd, addr);
    if (err == 0 && bind(*fd, &addr->u.sa, addr->len) != 0)
        err = errno;
    if (err == 0 && listen(*fd, LISTENER_BACKLOG) != 0)
        err = errno;
    if (err == 0 && addr->u.sa.sa_family != AF_UNIX) {
        addr->len = sizeof addr->u;
        if (getsockname(*fd, &addr->u.sa, &addr->len) != 0)
            err = errno;
    }
    if (err != 0)
        close(*fd);
    return err;
}

/* Where IPv6 is switched off "all addresses" means those of IPv4. */
static bool fall_back_to_v4(struct net_addr *addr)
{
    in_port_t port = addr->u.in6.sin6_port;

    if (addr->u.sa.sa_family != AF_INET6 ||
        memcmp(&addr->u.in6.sin6_addr, &in6addr_any, sizeof in6addr_any) != 0)
        return false;
    memset(addr, 0, sizeof *addr);
    addr->u.in.sin_family = AF_INET;
    addr->u.in.sin_port = port;
    addr->len = sizeof addr->u.in;
    return true;
}

enum r2a_err listener_bind(struct net_addr *addr, int *fd, int *errnum)
{
    uint32_t waited_us = 0;

    for (;;) {
        int err = bind_once(addr, fd);

        if (err == 0)
            return R2A_OK;
        if ((err == EAFNOSUPPORT || err == EADDRNOTAVAIL) && fall_back_to_v4(addr))
            continue;
        if (err != EADDRINUSE || waited_us >= LISTENER_BIND_RETRY_MS * 1000) {
            *fd = -1;
            *errnum = err;
            return R2A_ERR_SYSTEM;
        }
        usleep(BIND_RETRY_STEP_US);
        waited_us += BIND_RETRY_STEP_US;
    }
}

/* --- handing over --- */

static void on_handed(struct op *op, struct op_result result)
{
    struct listener_handoff *handoff = container_of(op, struct listener_handoff, op);
    struct listener *listener = handoff->listener;
    struct engine *engine = loop_current()->engine;
    struct conn_peer peer;
    int32_t handle = engine->table->adopt(engine, handoff->fd);
    void *ctx = handoff->ctx;

    (void)result;
    conn_peer_from(&peer, &listener->addr.u.sa, listener->addr.len);
    listener->accept_fn(ctx, handle, &peer);
    /* the last touch: the listener may be gone once nothing is busy */
    atomic_store_explicit(&handoff->is_busy, false, memory_order_release);
}

static struct listener_handoff *free_handoff(struct listener *listener)
{
    for (uint32_t i = 0; i < LISTENER_HANDOFFS; i++)
        if (!atomic_load_explicit(&listener->handoffs[i].is_busy, memory_order_acquire))
            return &listener->handoffs[i];
    return NULL;
}

static bool is_any_busy(struct listener *listener)
{
    if (listener->targets_count > 1)
        for (uint32_t i = 0; i < LISTENER_HANDOFFS; i++)
            if (atomic_load_explicit(&listener->handoffs[i].is_busy, memory_order_acquire))
                return true;
    return false;
}

/* A plain descriptor: to whoever's turn it is. */
static void dispatch(struct listener *listener, int fd, const struct conn_peer *peer)
{
    struct engine *engine = listener->loop->engine;
    const struct listener_target *target = NULL;
    struct listener_handoff *handoff;
    void *ctx = listener->ctx;

    if (listener->targets_count > 0) {
        target = &listener->targets[listener->target_next++ % listener->targets_count];
        if (target->loop == listener->loop)
            ctx = target->ctx;
    }
    if (target != NULL && target->loop != listener->loop &&
        (handoff = free_handoff(listener)) != NULL) {
        atomic_store_explicit(&handoff->is_busy, true, memory_order_relaxed);
        handoff->listener = listener;
        handoff->ctx = target->ctx;
        handoff->fd = fd;
        handoff->op.fn = on_handed;
        loop_post(target->loop, &handoff->op);
        return;
    }
    listener->accept_fn(ctx, engine->table->adopt(engine, fd), peer);
}

/* --- accepting --- */

static void on_accepted(struct op *op, struct op_result result);

static bool is_peer_known(const struct listener *listener)
{
    return listener->acceptors_count == 1;
}

static uint32_t share_of(uint32_t wanted, uint32_t part)
{
    return wanted < part ? wanted : part; /* small tables, as in tests */
}

static bool has_few_sockets(const struct listener *listener)
{
    const struct engine_stats *stats = &listener->loop->engine->stats;

    return stats->accepts_free < share_of(LISTENER_SOCKETS_LOW, stats->sockets_max / 16);
}

static bool has_enough_sockets(const struct listener *listener)
{
    const struct engine_stats *stats = &listener->loop->engine->stats;

    return stats->accepts_free >= share_of(LISTENER_SOCKETS_HIGH, stats->sockets_max / 8);
}

static void arm_accepts(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->acceptors_count; i++) {
        struct listener_acceptor *acceptor = &listener->acceptors[i];
        struct op *op = &acceptor->op;

        if (op->state == OP_ARMED)
            continue;
        acceptor->listener = listener;
        op->fn = on_accepted;
        op->kind = OP_ACCEPT;
        op->handle = listener->fd;
        op->flags = listener->targets_count > 1 ? OP_PLAIN : 0;
        if (is_peer_known(listener)) {
            op->flags |= OP_MULTI;
        } else {
            op->ptr = &acceptor->addr.u;
            op->len = sizeof acceptor->addr.u;
        }
        listener->armed++;
        loop_arm(listener->loop, op);
    }
}

static void cancel_accepts(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->acceptors_count; i++)
        if (listener->acceptors[i].op.state == OP_ARMED)
            engine_cancel(listener->loop->engine, &listener->acceptors[i].op);
}

static void look_for_sockets(struct loop_hook *hook)
{
    struct listener *listener = container_of(hook, struct listener, paused_hook);

    if (listener->armed > 0 || !has_enough_sockets(listener))
        return;
    loop_remove_hook(hook);
    listener->is_paused = false;
    arm_accepts(listener);
}

static void pause_accepts(struct listener *listener)
{
    if (listener->is_paused)
        return;
    listener->is_paused = true;
    listener->pauses++;
    cancel_accepts(listener);
    loop_add_hook(listener->loop, &listener->paused_hook);
}

static void remove_path(const struct listener *listener)
{
    struct stat status;

    if (listener->addr.u.sa.sa_family != AF_UNIX ||
        lstat(listener->addr.u.un.sun_path, &status) != 0)
        return;
    /* a successor may have its own socket there by now */
    if (status.st_dev == listener->path_dev && status.st_ino == listener->path_ino)
        unlink(listener->addr.u.un.sun_path);
}

/* Closing resets who waits in the queue, so take them first. */
static void drain_queue(struct listener *listener)
{
    fcntl(listener->fd, F_SETFL, fcntl(listener->fd, F_GETFL) | O_NONBLOCK);
    for (uint32_t i = 0; i < LISTENER_BACKLOG; i++) {
        struct net_addr addr = {.len = sizeof addr.u};
        struct conn_peer peer;
        int fd = accept4(listener->fd, &addr.u.sa, &addr.len, SOCK_CLOEXEC);

        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            break;
        conn_peer_from(&peer, &addr.u.sa, addr.len);
        listener->accepted++;
        dispatch(listener, fd, &peer);
    }
}

static void try_finish(struct listener *listener)
{
    if (listener->armed > 0)
        return;
    if (listener->fd >= 0) {
        drain_queue(listener);
        remove_path(listener);
        close(listener->fd);
        listener->fd = -1;
    }
    if (is_any_busy(listener)) {
        loop_timer_arm(listener->loop, &listener->retry, loop_now_ms(listener->loop) + 1);
        return;
    }
    if (listener->stopped_fn != NULL)
        listener->stopped_fn(listener);
}

static void on_retry(struct timer *timer, uint64_t now_ms)
{
    struct listener *listener = container_of(timer, struct listener, retry);

    (void)now_ms;
    if (listener->is_stopping)
        try_finish(listener);
    else if (!listener->is_paused)
        arm_accepts(listener);
}

static void take(struct listener *listener, struct listener_acceptor *acceptor, int32_t handle)
{
    struct conn_peer peer;

    if (is_peer_known(listener)) {
        conn_peer_from(&peer, &listener->addr.u.sa, listener->addr.len);
        peer.port = 0; /* ours, not theirs */
    } else {
        conn_peer_from(&peer, &acceptor->addr.u.sa, acceptor->op.len);
    }
    listener->accepted++;
    if (acceptor->op.flags & OP_PLAIN)
        dispatch(listener, handle, &peer);
    else
        listener->accept_fn(listener->ctx, handle, &peer);
}

static void on_accepted(struct op *op, struct op_result result)
{
    struct listener_acceptor *acceptor = container_of(op, struct listener_acceptor, op);
    struct listener *listener = acceptor->listener;
    bool is_later = false;

    if (result.is_last)
        listener->armed--;
    if (result.res >= 0) {
        take(listener, acceptor, result.res);
    } else if (result.res != -ECANCELED && result.res != -ECONNABORTED && result.res != -EINTR) {
        /* Out of descriptors or memory: armed again at once it would fail at once. */
        listener->errors++;
        is_later = true;
        log_event(LOG_WARN, "net", "accept_failed", log_kv_errno(-result.res));
    }
    if (listener->is_stopping) {
        if (listener->armed == 0)
            try_finish(listener);
        return;
    }
    if (!listener->is_paused && has_few_sockets(listener))
        pause_accepts(listener);
    if (listener->is_paused || op->state == OP_ARMED)
        return;
    if (is_later)
        loop_timer_arm(listener->loop, &listener->retry,
                       loop_now_ms(listener->loop) + LISTENER_RETRY_MS);
    else if (!timer_is_armed(&listener->retry))
        arm_accepts(listener);
}

void listener_start(struct listener *listener, struct loop *loop, int fd,
                    const struct net_addr *addr, listener_accept_fn accept_fn, void *ctx,
                    const struct listener_target *targets, uint32_t targets_count)
{
    struct stat status;

    check(fd >= 0);
    check(accept_fn != NULL);
    *listener = (struct listener){
        .loop = loop,
        .accept_fn = accept_fn,
        .ctx = ctx,
        .targets = targets,
        .targets_count = targets_count,
        .fd = fd,
        .addr = *addr,
        .acceptors_count = net_addr_is_loopback(addr) ? 1 : LISTENER_ACCEPTS,
        .paused_hook = {.fn = look_for_sockets},
        .retry = {.fn = on_retry},
    };
    if (addr->u.sa.sa_family == AF_UNIX && lstat(addr->u.un.sun_path, &status) == 0) {
        listener->path_dev = status.st_dev;
        listener->path_ino = status.st_ino;
    }
    arm_accepts(listener);
}

void listener_stop(struct listener *listener, void (*stopped_fn)(struct listener *listener))
{
    check(!listener->is_stopping);
    listener->is_stopping = true;
    listener->stopped_fn = stopped_fn;
    loop_remove_hook(&listener->paused_hook);
    cancel_accepts(listener);
    if (listener->armed == 0)
        loop_timer_arm(listener->loop, &listener->retry, loop_now_ms(listener->loop));
    else
        loop_timer_cancel(listener->loop, &listener->retry);
}
