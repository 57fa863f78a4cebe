#ifndef R2A_NET_RESOLVE_H
#define R2A_NET_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "r2a/core/err.h"
#include "r2a/core/list.h"
#include "r2a/core/slice.h"
#include "r2a/limits.h"

/* Host names to addresses: /etc/hosts, then the servers of /etc/resolv.conf, by an own stub
 * resolver (a static binary has no NSS). It lives on the control thread; workers ask by
 * resolve_query (below). Literal addresses and `localhost` never leave the process. */

/* --- addresses --- */

struct ip_addr {
    uint8_t len; /* 4 or 16; 0: none */
    uint8_t bytes[16];
    uint32_t scope; /* IPv6 zone index; else 0 */
};

/* A literal: dotted quad with four decimal parts and no leading zeros, or RFC 4291 text, in
 * brackets or not. No zone names. False for anything else (a host name). */
bool ip_addr_parse(struct slice text, struct ip_addr *addr);
#define IP_ADDR_TEXT_MAX 46u
/* Writes the canonical text (RFC 5952), not terminated; returns its length. */
size_t ip_addr_write(char to[IP_ADDR_TEXT_MAX], const struct ip_addr *addr);
/* Fills a socket address; returns its length. */
socklen_t ip_addr_to_sockaddr(const struct ip_addr *addr, uint16_t port,
                              struct sockaddr_storage *to);
bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b);
/* 127/8, ::1 and v4-mapped ones of the former. */
bool ip_addr_is_loopback(const struct ip_addr *addr);
/* Not for the public internet: loopback, private, link-local, unique-local, unspecified,
 * multicast, carrier NAT, documentation, v4-mapped forms of these. For rules about fetching what a
 * client names. */
bool ip_addr_is_private(const struct ip_addr *addr);

struct resolve_result {
    enum r2a_err err; /* R2A_OK with count > 0; R2A_ERR_RESOLVE, R2A_ERR_TIMEOUT, R2A_ERR_INVALID */
    uint8_t count;    /* in the order they should be tried: families interleaved (RFC 8305 4) */
    bool is_stale;    /* the last good answer; the servers do not answer now */
    uint32_t ttl_s;   /* how long the answer holds; 0 for literals and failures */
    struct ip_addr addrs[RESOLVE_ADDRS_MAX];
};

/* A name that can be asked for: 1 .. 253 bytes, labels of 1 .. 63 letters, digits, `-` and `_`, an
 * optional trailing dot. */
bool resolve_name_is_valid(struct slice name);
/* The answer for what needs no lookup: literals and localhost (RFC 6761 6.3). False: ask. */
bool resolve_local(struct slice name, struct resolve_result *result);

/* --- the state machine (resolve.c): no socket, no file, no clock in it --- */

struct resolver;

struct resolve_query;
/* The query is the caller's again; may start another or release it. */
typedef void (*resolve_fn)(struct resolve_query *query, const struct resolve_result *result);

/* One question, embedded in its owner. Zero-initialise, set `done`. `name` is copied. */
struct resolve_query {
    struct list_node node;
    resolve_fn done;
    struct resolver *resolver; /* while waiting */
};

/* What the machine asks of its driver. A `lane` is one socket: the driver opens it on a random
 * source port, connected to that server, so the kernel drops what comes from elsewhere, and closes
 * it when told. */
struct resolver_io {
    void *ctx;
    /* Opens lane `lane` to server `index` of the configuration, UDP or TCP. False: cannot. */
    bool (*open)(void *ctx, uint32_t lane, uint32_t index, bool is_tcp);
    /* Sends one message (on TCP without the length prefix, which the driver adds). */
    void (*send)(void *ctx, uint32_t lane, struct slice message);
    void (*close)(void *ctx, uint32_t lane);
};

/* Memory of its own, taken once. NULL when the system refuses. */
struct resolver *resolver_open(const struct resolver_io *io);
/* Queries that still wait end with R2A_ERR_CANCELLED. */
void resolver_close(struct resolver *resolver);

/* New content of the two files (either may be empty: then its defaults hold). Takes effect for
 * questions asked from now on. What cannot be understood in them is skipped. */
void resolver_set_hosts(struct resolver *resolver, struct slice text);
void resolver_set_conf(struct resolver *resolver, struct slice text);

struct resolver_server {
    struct ip_addr addr;
    uint16_t port; /* 53, or what a test says */
};
uint32_t resolver_servers(const struct resolver *resolver, const struct resolver_server **servers);
/* Tests and unusual set-ups: servers instead of those of resolv.conf. */
void resolver_set_servers(struct resolver *resolver, const struct resolver_server *servers,
                          uint32_t count);

/* Whether this machine reaches the IPv6 internet: its family comes first then (RFC 8305), else
 * second. True at first. */
void resolver_set_v6(struct resolver *resolver, bool has_v6);

/* Asks. `done` may be called before this returns (cache, hosts, literal, invalid name). */
void resolver_ask(struct resolver *resolver, struct resolve_query *query, struct slice name,
                  uint64_t now_ms);
/* The query is forgotten; `done` is not called. Harmless when it does not wait. */
void resolver_cancel(struct resolve_query *query);

/* A lane's message came (UDP datagram, or one TCP message without its prefix). */
void resolver_on_message(struct resolver *resolver, uint32_t lane, struct slice message,
                         uint64_t now_ms);
/* A lane broke: refused, reset, unreachable, ended. The machine closes it. */
void resolver_on_error(struct resolver *resolver, uint32_t lane, uint64_t now_ms);
/* When resolver_on_time wants to be called next; UINT64_MAX: not at all. */
uint64_t resolver_next_ms(const struct resolver *resolver);
void resolver_on_time(struct resolver *resolver, uint64_t now_ms);

struct resolver_stats {
    uint64_t asked, hits, stale, negative, failed, timeouts, sent, tcp, dropped;
    uint32_t names; /* in the cache now */
};
const struct resolver_stats *resolver_get_stats(const struct resolver *resolver);

#endif
