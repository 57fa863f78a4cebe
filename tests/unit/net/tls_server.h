#ifndef R2A_TESTS_NET_TLS_SERVER_H
#define R2A_TESTS_NET_TLS_SERVER_H

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/net/tls.h"

/* The folder of test certificates (tests/e2e/tls/certs.sh), made when first needed and shared by
 * the test programs of a day; NULL when there is no openssl command. */
const char *certs_dir(void);
/* Skips the running test, visibly, when certs_dir is NULL. */
#define certs_or_skip()                                         \
    do {                                                        \
        if (certs_dir() == NULL)                                \
            cr_skip_test("no openssl to make certificates by"); \
    } while (0)
/* A path in it, valid until the eighth call after. */
const char *cert_path(const char *name);

/* A TLS server in memory, on the same library but its other half. */
struct server {
    br_ssl_server_context ctx;
    br_ssl_session_cache_lru cache;
    br_x509_certificate chain[64];
    size_t certs;
    br_skey_decoder_context key;
    unsigned char cache_store[4096];
    unsigned char in[BR_SSL_BUFSIZE_INPUT];
    unsigned char out[BR_SSL_BUFSIZE_OUTPUT];
    char got[262144]; /* plaintext from the client */
    size_t got_len;
    struct server *next;
};

/* With NAME.pem and NAME.key. From malloc; ends with the test's process. */
struct server *server_new(const char *name);
/* For another connection; sessions stay known. */
void server_reset(struct server *server);
void server_write(struct server *server, const void *bytes, size_t len);

/* A client in a worker's environment, beside a server: two pockets of bytes between them. */
struct pair {
    struct server *server;
    struct tls_env *env;
    struct tls *tls;
    struct mem_budget budget;
    struct mem *mem;
    struct rope out;
    char wire[262144]; /* from the server, not yet taken by the client */
    size_t wire_len;
    char got[262144]; /* plaintext the client got */
    size_t got_len;
    uint32_t wakes;
    int32_t err; /* of tls_feed */
};

struct tls_trust *trust_load(const char *name); /* NAME of the folder, or fails the test */
struct tls_env *env_open(const char *trust, tls_submit_fn submit, void *ctx);
struct pair *pair_new(struct tls_env *env, struct server *server, const char *name);
/* Moves bytes both ways until nothing moves any more; the client gets at most `cut` at once. */
void pair_pump(struct pair *pair, size_t cut);
/* tls_start at 2026-11-21 (or when the test certificates are made, whichever is later), pump. */
enum tls_phase pair_shake(struct pair *pair, size_t cut);
void pair_free(struct pair *pair);
int64_t test_wall_ms(void);

/* A socket to a child process that runs `openssl s_server` with NAME and the options (NULL at the
 * end); -1 when it does not start. The child ends with server_stop. */
struct openssl_server {
    int pid;
    int input; /* of its commands: "R\n" asks for a renegotiation */
    uint16_t port;
};
bool openssl_start(struct openssl_server *server, const char *name, const char *const *options);
void openssl_stop(struct openssl_server *server);
int openssl_connect(const struct openssl_server *server);
/* Shakes hands over a socket; returns the error (R2A_OK when open). */
enum r2a_err socket_shake(struct tls *tls, struct rope *out, int fd);
/* Sends what is in the rope. */
bool socket_send(struct rope *out, int fd);

#endif
