#ifndef R2A_NET_RESOLVE_CONF_H
#define R2A_NET_RESOLVE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"
#include "r2a/limits.h"
#include "r2a/net/resolve.h"

/* The two files of name resolution, as text. */

#define RESOLVE_TIMEOUT_MS_DEFAULT 2000u /* a server that is up answers within */
#define RESOLVE_ATTEMPTS_DEFAULT   2u

struct resolve_conf {
    struct resolver_server servers[RESOLVE_SERVERS_MAX];
    uint8_t servers_count;
    uint8_t search_count;
    uint8_t ndots;
    uint8_t attempts;
    uint32_t timeout_ms;
    bool is_rotating;
    bool wants_tcp;  /* options use-vc */
    bool wants_edns; /* options edns0 */
    char search[RESOLVE_SEARCH_MAX][RESOLVE_NAME_BYTES_MAX + 1];
};

/* resolv.conf(5). What is not understood is skipped; no server means 127.0.0.1. */
void resolve_conf_parse(struct resolve_conf *conf, struct slice text);

/* hosts(5): all addresses of the lines that name it, in the order of the file. False: none does. */
bool resolve_hosts_find(struct slice text, struct slice name, struct resolve_result *result);

#endif
