#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

static struct rig rig;
static struct listener listener;
static int32_t handles[4096];
static struct conn_peer last_peer;
static uint32_t accepted;
static bool is_stopped;

static void on_accept(void *ctx, int32_t handle, const struct conn_peer *peer)
{
    cr_assert_eq(ctx, &rig);
    cr_assert(accepted < 4096);
    handles[accepted++] = handle;
    last_peer = *peer;
}

static void on_stopped(struct listener *which)
{
    cr_assert_eq(which, &listener);
    is_stopped = true;
}

static void listen_on(const char *text, struct net_addr *addr)
{
    int fd, errnum = 0;

    cr_assert_eq(net_addr_parse(slice_from_z(text), addr), R2A_OK);
    cr_assert_eq(listener_bind(addr, &fd, &errnum), R2A_OK, "%s: errno %d", text, errnum);
    listener_start(&listener, &rig.loop, fd, addr, on_accept, &rig, NULL, 0);
}

static void stop(void)
{
    listener_stop(&listener, on_stopped);
    cr_assert(!is_stopped);
    rig_until(&rig, is_stopped);
}

static int dial(const struct net_addr *addr)
{
    int fd = socket(addr->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(fd >= 0);
    cr_assert_eq(connect(fd, &addr->u.sa, addr->len), 0, "errno %d", errno);
    return fd;
}

static void discard_all(void)
{
    for (uint32_t i = 0; i < accepted; i++)
        rig.loop.engine->table->discard(rig.loop.engine, handles[i]);
}

Test(listener, accepts_on_loopback_by_multishot)
{
    struct net_addr addr;
    int fds[20];

    rig_open(&rig, NULL);
    listen_on("127.0.0.1:0", &addr);
    for (size_t i = 0; i < 20; i++)
        fds[i] = dial(&addr);
    rig_until(&rig, accepted == 20);
    cr_assert(last_peer.is_loopback);
    cr_assert_eq(last_peer.family, AF_INET);
    cr_assert_eq(last_peer.port, 0);
    cr_assert_eq(rig.loop.engine->stats.sockets, 20);
    for (size_t i = 0; i < 20; i++)
        close(fds[i]);
    stop();
    discard_all();
    rig_close(&rig);
}

Test(listener, knows_the_peer_where_it_may_be_anybody)
{
    struct net_addr addr;
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    int fds[30];

    rig_open(&rig, NULL);
    listen_on("0.0.0.0:0", &addr);
    addr.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < 30; i++)
        fds[i] = dial(&addr);
    rig_until(&rig, accepted == 30);
    close(fds[29]);
    fds[29] = dial(&addr);
    rig_until(&rig, accepted == 31);
    cr_assert_eq(getsockname(fds[29], (struct sockaddr *)&own, &own_len), 0);
    cr_assert(last_peer.is_loopback);
    cr_assert_eq(last_peer.port, ntohs(own.sin_port));
    for (size_t i = 0; i < 30; i++)
        close(fds[i]);
    stop();
    discard_all();
    rig_close(&rig);
}

Test(listener, all_addresses_means_both_families)
{
    struct net_addr addr, other = {0};
    int fd;

    rig_open(&rig, NULL);
    listen_on(":0", &addr);
    if (addr.u.sa.sa_family == AF_INET6) {
        other.u.in.sin_family = AF_INET;
        other.u.in.sin_port = addr.u.in6.sin6_port;
        other.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        other.len = sizeof other.u.in;
        fd = dial(&other);
        rig_until(&rig, accepted == 1);
        cr_assert_eq(last_peer.family, AF_INET); /* a mapped address */
        cr_assert(last_peer.is_loopback);
        close(fd);
    }
    stop();
    discard_all();
    rig_close(&rig);
}

Test(listener, stops_accepting_while_few_sockets_are_free_and_recovers)
{
    const struct engine_cfg cfg = {.sockets_max = 512}; /* 256 of them to be accepted */
    struct net_addr addr;
    static int fds[300];
    uint32_t kept;
    char byte;

    rig_open(&rig, &cfg);
    listen_on("127.0.0.1:0", &addr);
    for (size_t i = 0; i < 300; i++) {
        fds[i] = dial(&addr);
        loop_tick(&rig.loop, 0);
    }
    rig_settle(&rig);
    cr_assert(listener.is_paused);
    cr_assert(accepted >= 256 - 32 && accepted < 256, "%u accepted", accepted);
    kept = accepted;
    for (uint32_t i = 0; i < kept; i++) /* nobody was reset: all still connected */
        cr_assert(recv(fds[i], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    for (uint32_t i = 0; i < 10; i++)
        rig.loop.engine->table->discard(rig.loop.engine, handles[i]);
    rig_settle(&rig);
    cr_assert_eq(accepted, kept); /* not enough yet */
    for (uint32_t i = 10; i < kept; i++)
        rig.loop.engine->table->discard(rig.loop.engine, handles[i]);
    rig_until(&rig, accepted == 300);
    cr_assert_eq(listener.errors, 0);
    for (uint32_t i = kept; i < 300; i++) {
        cr_assert(recv(fds[i], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        rig.loop.engine->table->discard(rig.loop.engine, handles[i]);
    }
    for (size_t i = 0; i < 300; i++)
        close(fds[i]);
    stop();
    rig_close(&rig);
}

Test(listener, stopping_takes_who_waits_in_the_queue)
{
    struct net_addr addr;
    int fds[50];
    char byte;

    rig_open(&rig, NULL);
    listen_on("127.0.0.1:0", &addr);
    rig_settle(&rig);
    for (size_t i = 0; i < 50; i++)
        fds[i] = dial(&addr);
    listener_stop(&listener, on_stopped); /* in the tick they arrived */
    rig_until(&rig, is_stopped);
    cr_assert_eq(accepted, 50);
    for (size_t i = 0; i < 50; i++) {
        cr_assert(recv(fds[i], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        close(fds[i]);
    }
    cr_assert_eq(connect(socket(AF_INET, SOCK_STREAM, 0), &addr.u.sa, addr.len), -1);
    discard_all();
    rig_close(&rig);
}

Test(listener, one_of_several_may_come_and_go_without_a_reset)
{
    static struct listener stays;
    struct net_addr addr;
    static int fds[400];
    uint32_t dialled = 0;
    char byte;
    int fd, errnum;

    rig_open(&rig, &(struct engine_cfg){.sockets_max = 2048});
    cr_assert_eq(net_addr_parse(S("127.0.0.1:0"), &addr), R2A_OK);
    cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK);
    listener_start(&stays, &rig.loop, fd, &addr, on_accept, &rig, NULL, 0);
    for (int round = 0; round < 20; round++) {
        cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK);
        listener_start(&listener, &rig.loop, fd, &addr, on_accept, &rig, NULL, 0);
        loop_tick(&rig.loop, 0);
        for (int i = 0; i < 20; i++)
            fds[dialled++] = dial(&addr);
        is_stopped = false;
        stop();
    }
    rig_until(&rig, accepted == dialled);
    for (uint32_t i = 0; i < dialled; i++) {
        cr_assert(recv(fds[i], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "reset: %u", i);
        close(fds[i]);
    }
    is_stopped = false;
    listener_stop(&stays, NULL);
    rig_settle(&rig);
    discard_all();
    rig_close(&rig);
}

Test(listener, a_port_can_be_bound_again_at_once)
{
    struct net_addr addr;
    int fd, errnum;

    for (int round = 0; round < 20; round++) {
        accepted = 0;
        is_stopped = false;
        rig_open(&rig, NULL);
        if (round == 0)
            cr_assert_eq(net_addr_parse(S("127.0.0.1:0"), &addr), R2A_OK);
        cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK, "round %d", round);
        listener_start(&listener, &rig.loop, fd, &addr, on_accept, &rig, NULL, 0);
        fd = dial(&addr);
        rig_until(&rig, accepted == 1);
        close(fd);
        stop();
        discard_all();
        rig_close(&rig);
    }
}

static char path[64];

static void temporary_path(void)
{
    snprintf(path, sizeof path, "unix:/tmp/r2a-test-%d.sock", (int)getpid());
    unlink(path + 5);
}

Test(listener, unix_socket_of_the_dead_is_taken_over)
{
    struct net_addr addr;
    int fd, errnum;

    temporary_path();
    rig_open(&rig, NULL);
    cr_assert_eq(net_addr_parse(slice_from_z(path), &addr), R2A_OK);
    cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK);
    close(fd); /* the file stays */
    cr_assert_eq(access(path + 5, F_OK), 0);
    listen_on(path, &addr);
    fd = dial(&addr);
    rig_until(&rig, accepted == 1);
    cr_assert_eq(last_peer.family, AF_UNIX);
    cr_assert(last_peer.is_loopback);
    close(fd);
    stop();
    cr_assert_neq(access(path + 5, F_OK), 0);
    discard_all();
    rig_close(&rig);
}

Test(listener, unix_path_of_the_living_is_left_alone)
{
    struct net_addr addr;
    int fd, second, errnum = 0;

    temporary_path();
    cr_assert_eq(net_addr_parse(slice_from_z(path), &addr), R2A_OK);
    cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK);
    cr_assert_eq(listener_bind(&addr, &second, &errnum), R2A_ERR_SYSTEM);
    cr_assert_eq(errnum, EADDRINUSE);
    close(fd);
    unlink(path + 5);
    close(open(path + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cr_assert_eq(listener_bind(&addr, &second, &errnum), R2A_ERR_SYSTEM);
    cr_assert_eq(errnum, ENOTSOCK);
    cr_assert_eq(access(path + 5, F_OK), 0);
    unlink(path + 5);
}

/* A second worker, for connections of a Unix socket that are handed round. */
static struct loop second_loop;
static _Atomic uint32_t second_accepted;
static _Atomic bool second_is_up;

static void on_accept_there(void *ctx, int32_t handle, const struct conn_peer *peer)
{
    struct engine *engine = loop_current()->engine;

    if (ctx == &rig)
        on_accept(ctx, handle, peer);
    else
        atomic_fetch_add(&second_accepted, 1);
    engine->table->discard(engine, handle);
}

static void *run_second(void *unused)
{
    const struct loop_cfg cfg = {.engine_cfg = {.sockets_max = 64}};

    (void)unused;
    if (loop_open(&second_loop, &cfg) != R2A_OK)
        return NULL;
    atomic_store(&second_is_up, true);
    loop_run(&second_loop);
    while (second_loop.engine->stats.sockets > 0)
        loop_tick(&second_loop, 1);
    loop_close(&second_loop);
    return NULL;
}

static void stop_there(struct op *op, struct op_result result)
{
    (void)op;
    (void)result;
    loop_stop(loop_current());
}

Test(listener, unix_connections_are_handed_round)
{
    static struct op stop_op;
    const struct listener_target targets[2] = {{&rig.loop, &rig}, {&second_loop, &second_loop}};
    struct net_addr addr;
    pthread_t thread;
    int fds[100], fd, errnum;

    temporary_path();
    rig_open(&rig, NULL);
    cr_assert_eq(loop_prepare(&second_loop), R2A_OK);
    cr_assert_eq(pthread_create(&thread, NULL, run_second, NULL), 0);
    cr_assert_eq(net_addr_parse(slice_from_z(path), &addr), R2A_OK);
    cr_assert_eq(listener_bind(&addr, &fd, &errnum), R2A_OK);
    listener_start(&listener, &rig.loop, fd, &addr, on_accept_there, &rig, targets, 2);
    for (size_t i = 0; i < 100; i++)
        fds[i] = dial(&addr);
    rig_until(&rig, accepted + atomic_load(&second_accepted) == 100);
    cr_assert_geq(atomic_load(&second_accepted), 30);
    stop();
    for (size_t i = 0; i < 100; i++)
        close(fds[i]);
    stop_op.fn = stop_there;
    loop_post(&second_loop, &stop_op);
    rig_settle(&rig);
    pthread_join(thread, NULL);
    rig_close(&rig);
}

Test(listener, parses_addresses)
{
    static const char *const good[][2] = {
        {"127.0.0.1:3000", "127.0.0.1:3000"},
        {"[::1]:80", "[::1]:80"},
        {":3000", "[::]:3000"},
        {"*:1", "[::]:1"},
        {"localhost:65535", "127.0.0.1:65535"},
        {"unix:/run/x.sock", "unix:/run/x.sock"},
    };
    static const char *const bad[] = {
        "",
        "3000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "host:1",
        "[::1:80",
        "[]:80",
        "::1:80",
        "unix:",
        "1.2.3.4.5:1",
        "127.0.0.1:123456",
        ":+1",
    };
    struct net_addr addr;
    char text[NET_ADDR_TEXT_MAX];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t len;

        cr_assert_eq(net_addr_parse(slice_from_z(good[i][0]), &addr), R2A_OK, "%s", good[i][0]);
        len = net_addr_format(&addr, text);
        cr_assert(slice_eq(slice_of(text, len), slice_from_z(good[i][1])), "%.*s", (int)len, text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(net_addr_parse(slice_from_z(bad[i]), &addr), R2A_ERR_INVALID, "%s", bad[i]);
}
