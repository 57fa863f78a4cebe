#ifndef R2A_TESTS_NET_SIM_ENGINE_H
#define R2A_TESTS_NET_SIM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/net/engine.h"

/* A second engine behind the seam: sockets in memory, a virtual clock, and everything a kernel may
 * do done at random but repeatably: short receives and sends, multishots that end early, provided
 * buffers that run out, cancels that come too late, results in any order. Checks what its user
 * must not do: two sends at once, closing under an armed operation, buffers kept or given twice.
 *
 * Of one thread; one engine at a time. */
extern const struct engine_table engine_sim;

void sim_seed(uint64_t seed);

/* A connected socket of ours; its other end is used by the sim_peer functions. */
int32_t sim_connected(void);
/* What the next connects come to: 0 or a negated errno; 1: they hang. */
void sim_connects(int32_t res);

/* How often a user said that a steady stream comes in. */
uint32_t sim_eased(void);

/* The other end of `handle`, which may be closed already. */
size_t sim_peer_write(int32_t handle, const void *bytes, size_t len); /* how many fitted */
size_t sim_peer_read(int32_t handle, void *to, size_t size);
bool sim_peer_sees_end(int32_t handle);   /* our FIN, and everything before it was read */
bool sim_peer_sees_reset(int32_t handle); /* our reset */
void sim_peer_finish(int32_t handle);     /* its FIN */
void sim_peer_reset(int32_t handle);

#endif
