#ifndef R2A_TESTS_NET_RIG_H
#define R2A_TESTS_NET_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/net/conn.h"
#include "r2a/net/listener.h"
#include "r2a/net/loop.h"

/* A loop with memory and connections, on the thread of the test. */
struct rig {
    struct loop loop;
    struct mem_budget budget;
    struct mem *mem;
    struct conns conns;
};

/* Skips the test, visibly, where io_uring is refused. NULL: defaults with 256 sockets. */
void rig_open(struct rig *rig, const struct engine_cfg *cfg);
/* Everything that was open must have ended, or end now by itself: checks that slots, sockets and
 * operations are back at zero. */
void rig_close(struct rig *rig);

uint64_t rig_deadline(void);
bool rig_is_late(uint64_t deadline);

/* Ticks until the condition holds; fails the test after 5 s. */
#define rig_until(rig, condition)                                                         \
    do {                                                                                  \
        uint64_t rig_deadline_here = rig_deadline();                                      \
        while (!(condition)) {                                                            \
            cr_assert(!rig_is_late(rig_deadline_here), "%s never came true", #condition); \
            loop_tick(&(rig)->loop, 5);                                                   \
        }                                                                                 \
    } while (0)

/* A few ticks, for what must not happen. */
void rig_settle(struct rig *rig);

/* A connected pair: *ours as a handle of the rig's engine, *theirs a plain blocking descriptor with
 * a receive timeout of 5 s. */
void rig_pair(struct rig *rig, int32_t *ours, int *theirs);
/* The same over TCP on loopback. `sndbuf` of our side and `rcvbuf` of theirs when not 0. */
void rig_tcp_pair(struct rig *rig, int32_t *ours, int *theirs, int sndbuf, int rcvbuf);

/* A listening TCP socket on loopback for conn_connect. */
int rig_server(struct net_addr *addr);
/* Accepts on it, ticking meanwhile. */
int rig_accept(struct rig *rig, int server);
/* Descriptors this process has open. */
uint32_t rig_descriptors(void);
/* A byte at a place in an endless pattern without short periods. */
uint8_t rig_byte(uint64_t at);

#endif
