#ifndef R2A_GATEWAY_GATEWAY_H
#define R2A_GATEWAY_GATEWAY_H

#include "r2a/gateway/config.h"
#include "r2a/version.h"

/* The running program: workers, the control thread (the caller's), the TLS thread. */
struct gateway;
struct resolve_loop;

/* Serves until SIGTERM or SIGINT has drained it. `flags` is read again at SIGHUP. Takes over the
 * reference to `config`. Returns an exit code: 0, or 1 after a message on stderr. */
int gateway_run(struct config *config, const struct config_flags *flags);

struct resolve_loop *gateway_resolver(struct gateway *gateway);
struct vault;
struct vault *gateway_vault(struct gateway *gateway);
struct catalog;
struct catalog *gateway_catalog(struct gateway *gateway);

#endif
