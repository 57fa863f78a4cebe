#include "rig.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "r2a/core/clock.h"

void rig_open(struct rig *rig, const struct engine_cfg *cfg)
{
    const struct engine_cfg small = {.sockets_max = 256};
    struct loop_cfg loop_cfg = {.engine_cfg = cfg != NULL ? *cfg : small};
    char why[512];
    enum r2a_err err;

    loop_block_signals();
    rig->budget = (struct mem_budget){0};
    rig->mem = mem_open(&rig->budget, 64u << 20);
    cr_assert_not_null(rig->mem);
    loop_cfg.mem = rig->mem;
    cr_assert_eq(loop_prepare(&rig->loop), R2A_OK);
    err = loop_open(&rig->loop, &loop_cfg);
    if (err == R2A_ERR_URING_REFUSED) {
        engine_refusal(why, sizeof why);
        cr_skip_test("%s", why);
    }
    cr_assert_eq(err, R2A_OK);
    cr_assert_eq(conns_open(&rig->conns, &rig->loop, 4096), R2A_OK);
}

void rig_settle(struct rig *rig)
{
    for (int i = 0; i < 10; i++)
        loop_tick(&rig->loop, 1);
}

void rig_close(struct rig *rig)
{
    conns_abort_all(&rig->conns);
    rig_until(rig, rig->conns.open_count == 0);
    rig_until(rig, rig->loop.engine->stats.sockets == 0);
    cr_expect_eq(rig->loop.engine->stats.ops_armed, 1, "%u operations are armed",
                 rig->loop.engine->stats.ops_armed); /* the loop's own */
    conns_close(&rig->conns);
    loop_close(&rig->loop);
    cr_expect_eq(atomic_load(&rig->budget.used), 0, "memory leaks");
    mem_close(rig->mem);
}

uint64_t rig_deadline(void)
{
    return clock_mono_ms() + 5000;
}

bool rig_is_late(uint64_t deadline)
{
    return clock_mono_ms() > deadline;
}

static void set_timeout(int fd)
{
    struct timeval limit = {.tv_sec = 5};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
}

void rig_pair(struct rig *rig, int32_t *ours, int *theirs)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    set_timeout(fds[1]);
    *ours = rig->loop.engine->table->adopt(rig->loop.engine, fds[0]);
    *theirs = fds[1];
}

int rig_server(struct net_addr *addr)
{
    int fd, errnum;

    cr_assert_eq(net_addr_parse(S("127.0.0.1:0"), addr), R2A_OK);
    cr_assert_eq(listener_bind(addr, &fd, &errnum), R2A_OK);
    return fd;
}

void rig_tcp_pair(struct rig *rig, int32_t *ours, int *theirs, int sndbuf, int rcvbuf)
{
    struct net_addr addr;
    int server = rig_server(&addr);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int accepted;

    if (rcvbuf > 0)
        setsockopt(client, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    cr_assert_eq(connect(client, &addr.u.sa, addr.len), 0);
    accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(accepted >= 0);
    if (sndbuf > 0)
        setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    set_timeout(client);
    close(server);
    *ours = rig->loop.engine->table->adopt(rig->loop.engine, accepted);
    *theirs = client;
}

int rig_accept(struct rig *rig, int server)
{
    struct pollfd waiting = {.fd = server, .events = POLLIN};
    int fd;

    rig_until(rig, poll(&waiting, 1, 0) == 1);
    fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(fd >= 0);
    set_timeout(fd);
    return fd;
}

uint32_t rig_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 3; /* ".", ".." and the directory itself */
}

uint8_t rig_byte(uint64_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13 ^ at >> 3);
}
