/* Support of the TLS tests; see the header. */
#include "net/tls_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "r2a/core/clock.h"
#include "support/vectors.h"

#define SCRIPT "tests/e2e/tls/certs.sh"

/* --- certificates --- */

static bool run(char *const *argv)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

const char *certs_dir(void)
{
    static char path[512];
    static bool is_known;
    char work[600];
    char ready[600];
    const char *base = getenv("TMPDIR");
    struct stat script;
    struct stat made;

    if (is_known)
        return path[0] != '\0' ? path : NULL;
    is_known = true;
    if (stat(SCRIPT, &script) != 0)
        return NULL;
    /* One folder a day and version of the script: certificates end, and making them takes 5 s. */
    snprintf(path, sizeof(path), "%s/r2a-certs-%u-%lld-%lld", base != NULL ? base : "/tmp",
             (unsigned)getuid(), (long long)(clock_wall_ms() / 86400000),
             (long long)script.st_mtime);
    snprintf(ready, sizeof(ready), "%s/trust.pem", path);
    if (stat(ready, &made) == 0 && made.st_uid == getuid())
        return path;
    snprintf(work, sizeof(work), "%s.XXXXXX", path);
    if (mkdtemp(work) == NULL)
        goto fail;
    char *const argv[] = {"bash", SCRIPT, work, NULL};

    if (!run(argv))
        goto fail;
    if (rename(work, path) != 0 && stat(ready, &made) != 0) /* else another one was faster */
        goto fail;
    return path;
fail:
    path[0] = '\0';
    return NULL;
}

const char *cert_path(const char *name)
{
    static char paths[8][700];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", certs_dir(), name);
    return path;
}

/* --- the server in memory --- */

struct bytes {
    unsigned char *ptr;
    size_t len;
};

static void gather(void *ctx, const void *src, size_t len)
{
    struct bytes *bytes = ctx;

    bytes->ptr = realloc(bytes->ptr, bytes->len + len + 1);
    memcpy(bytes->ptr + bytes->len, src, len);
    bytes->len += len;
}

static void gather_key(void *ctx, const void *src, size_t len)
{
    br_skey_decoder_push(ctx, src, len);
}

static void read_pem(struct server *server, const char *path, bool is_key)
{
    br_pem_decoder_context decoder;
    struct bytes der = {0};
    size_t len;
    char *text = file_read(path, &len);
    size_t at = 0;

    cr_assert_not_null(text, "%s", path);
    br_pem_decoder_init(&decoder);
    while (at < len) {
        at += br_pem_decoder_push(&decoder, text + at, len - at);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            if (is_key)
                br_pem_decoder_setdest(&decoder, gather_key, &server->key);
            else
                br_pem_decoder_setdest(&decoder, gather, &der);
            break;
        case BR_PEM_END_OBJ:
            if (is_key)
                break;
            cr_assert_lt(server->certs, 64);
            server->chain[server->certs].data = der.ptr;
            server->chain[server->certs].data_len = der.len;
            server->certs++;
            der = (struct bytes){0};
            break;
        default:
            break;
        }
    }
    free(text);
}

static struct server *servers_made; /* a leak checker finds them here until the process ends */

struct server *server_new(const char *name)
{
    struct server *server = calloc(1, sizeof(*server));
    char file[128];

    cr_assert_not_null(server);
    server->next = servers_made;
    servers_made = server;

    cr_assert_not_null(server);
    br_skey_decoder_init(&server->key);
    snprintf(file, sizeof(file), "%s.pem", name);
    read_pem(server, cert_path(file), false);
    snprintf(file, sizeof(file), "%s.key", name);
    read_pem(server, cert_path(file), true);
    if (br_skey_decoder_key_type(&server->key) == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(&server->ctx, server->chain, server->certs,
                                    br_skey_decoder_get_rsa(&server->key));
    else
        br_ssl_server_init_full_ec(&server->ctx, server->chain, server->certs, BR_KEYTYPE_EC,
                                   br_skey_decoder_get_ec(&server->key));
    br_ssl_session_cache_lru_init(&server->cache, server->cache_store, sizeof(server->cache_store));
    br_ssl_server_set_cache(&server->ctx, &server->cache.vtable);
    br_ssl_engine_set_buffers_bidi(&server->ctx.eng, server->in, sizeof(server->in), server->out,
                                   sizeof(server->out));
    server_reset(server);
    return server;
}

void server_reset(struct server *server)
{
    server->got_len = 0;
    cr_assert(br_ssl_server_reset(&server->ctx));
}

void server_write(struct server *server, const void *bytes, size_t len)
{
    br_ssl_engine_context *engine = &server->ctx.eng;
    size_t room;
    unsigned char *window = br_ssl_engine_sendapp_buf(engine, &room);

    cr_assert_not_null(window);
    cr_assert_leq(len, room);
    memcpy(window, bytes, len);
    br_ssl_engine_sendapp_ack(engine, len);
    br_ssl_engine_flush(engine, 0);
}

/* --- the pair --- */

int64_t test_wall_ms(void)
{
    return clock_wall_ms();
}

struct tls_trust *trust_load(const char *name)
{
    struct tls_trust_report report;
    struct tls_trust *trust = tls_trust_load(cert_path(name), &report);

    cr_assert_not_null(trust, "%s: %s", report.path, report.reason);
    return trust;
}

struct tls_env *env_open(const char *trust_name, tls_submit_fn submit, void *ctx)
{
    struct tls_trust *trust = trust_load(trust_name);
    struct tls_env_cfg cfg = {
        .trust = trust, .slots_max = 64, .pairs_max = 16, .submit = submit, .submit_ctx = ctx};
    struct tls_env *env = tls_env_open(&cfg);

    cr_assert_not_null(env);
    tls_trust_unref(trust);
    return env;
}

static void on_wake(void *owner, struct tls *tls)
{
    struct pair *pair = owner;

    (void)tls;
    pair->wakes++;
}

struct pair *pair_new(struct tls_env *env, struct server *server, const char *name)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct tls_peer peer = {.name = slice_from_z(name), .host = slice_from_z(name), .port = 443};
    enum r2a_err err;

    cr_assert_not_null(pair);
    pair->env = env;
    pair->server = server;
    pair->mem = mem_open(&pair->budget, 65536);
    pair->out.mem = pair->mem;
    pair->tls = tls_open(env, &peer, &pair->out, on_wake, pair, &err);
    cr_assert_not_null(pair->tls, "%d", err);
    return pair;
}

void pair_free(struct pair *pair)
{
    tls_free(pair->tls);
    rope_clear(&pair->out);
    mem_close(pair->mem);
    free(pair);
}

static bool to_server(struct pair *pair)
{
    br_ssl_engine_context *engine = &pair->server->ctx.eng;
    struct iovec vec;
    size_t room;
    unsigned char *window = br_ssl_engine_recvrec_buf(engine, &room);

    if (window == NULL || rope_peek(&pair->out, &vec, 1) == 0)
        return false;
    if (room > vec.iov_len)
        room = vec.iov_len;
    memcpy(window, vec.iov_base, room);
    rope_consume(&pair->out, room);
    br_ssl_engine_recvrec_ack(engine, room);
    return true;
}

static bool from_server(struct pair *pair)
{
    struct server *server = pair->server;
    size_t len;
    unsigned char *bytes = br_ssl_engine_sendrec_buf(&server->ctx.eng, &len);

    if (bytes != NULL) {
        if (len > sizeof(pair->wire) - pair->wire_len)
            return false;
        memcpy(pair->wire + pair->wire_len, bytes, len);
        pair->wire_len += len;
        br_ssl_engine_sendrec_ack(&server->ctx.eng, len);
        return true;
    }
    bytes = br_ssl_engine_recvapp_buf(&server->ctx.eng, &len);
    if (bytes != NULL) {
        cr_assert_leq(len, sizeof(server->got) - server->got_len);
        memcpy(server->got + server->got_len, bytes, len);
        server->got_len += len;
        br_ssl_engine_recvapp_ack(&server->ctx.eng, len);
        return true;
    }
    return false;
}

/* As a connection does: until 0 with no plaintext. The bytes are in memory of their own, so that
 * a read past them is seen. */
static bool to_client(struct pair *pair, size_t cut)
{
    size_t len = pair->wire_len < cut ? pair->wire_len : cut;
    char *copy = malloc(len + 1);
    struct slice in = slice_of(copy, len);
    bool has_moved = false;

    memcpy(copy, pair->wire, len);
    for (;;) {
        struct slice plain;
        int32_t taken = tls_feed(pair->tls, in, &plain);

        if (taken < 0) {
            pair->err = taken;
            pair->wire_len = 0;
            has_moved = false;
            break;
        }
        if (taken == 0 && plain.len == 0)
            break;
        has_moved = true;
        cr_assert_leq(plain.len, sizeof(pair->got) - pair->got_len);
        if (plain.len > 0)
            memcpy(pair->got + pair->got_len, plain.ptr, plain.len);
        pair->got_len += plain.len;
        in = slice_skip(in, (size_t)taken);
        memmove(pair->wire, pair->wire + taken, pair->wire_len - (size_t)taken);
        pair->wire_len -= (size_t)taken;
    }
    free(copy);
    return has_moved;
}

void pair_pump(struct pair *pair, size_t cut)
{
    bool has_moved;

    do {
        has_moved = tls_env_flush(pair->env);
        while (to_server(pair))
            has_moved = true;
        while (from_server(pair))
            has_moved = true;
        while (!tls_is_out(pair->tls) && to_client(pair, cut))
            has_moved = true;
    } while (has_moved);
}

enum tls_phase pair_shake(struct pair *pair, size_t cut)
{
    tls_start(pair->tls, test_wall_ms());
    pair_pump(pair, cut);
    return tls_phase(pair->tls);
}

/* --- OpenSSL as a child --- */

static uint16_t free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        addr.sin_port = 0;
    close(fd);
    return ntohs(addr.sin_port);
}

int openssl_connect(const struct openssl_server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(server->port)};

    for (int attempt = 0; attempt < 500; attempt++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
            return fd;
        close(fd);
        usleep(10000);
    }
    return -1;
}

bool openssl_start(struct openssl_server *server, const char *name, const char *const *options)
{
    char accept[32];
    char cert[128];
    char key[128];
    char rest[128];
    const char *argv[40] = {"openssl", "s_server", "-accept", accept, "-cert"};
    size_t argc = 5;
    int ends[2];

    server->port = free_port();
    snprintf(accept, sizeof(accept), "127.0.0.1:%u", server->port);
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    snprintf(rest, sizeof(rest), "%s.rest", name);
    argv[argc++] = cert_path(cert);
    argv[argc++] = "-key";
    argv[argc++] = cert_path(key);
    if (access(cert_path(rest), R_OK) == 0) {
        argv[argc++] = "-cert_chain";
        argv[argc++] = cert_path(rest);
    }
    for (size_t i = 0; options != NULL && options[i] != NULL && argc < 39; i++)
        argv[argc++] = options[i];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    server->input = ends[1];
    server->pid = fork();
    if (server->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        char *args[40];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 1);
        dup2(null, 2);
        for (size_t i = 0; i < 40; i++)
            memcpy(&args[i], &argv[i], sizeof(args[i]));
        dup2(ends[0], 0); /* it stays open: at the end of it s_server would leave */
        execvp(args[0], args);
        _exit(127);
    }
    close(ends[0]);

    int fd = openssl_connect(server);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void openssl_stop(struct openssl_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    close(server->input);
}

bool socket_send(struct rope *out, int fd)
{
    struct iovec vec;

    while (rope_peek(out, &vec, 1) > 0) {
        ssize_t sent = send(fd, vec.iov_base, vec.iov_len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        rope_consume(out, (size_t)sent);
    }
    return true;
}

enum r2a_err socket_shake(struct tls *tls, struct rope *out, int fd)
{
    char bytes[4096];

    tls_start(tls, test_wall_ms());
    while (tls_phase(tls) == TLS_HANDSHAKE) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        ssize_t len;

        (void)socket_send(out, fd);
        if (poll(&poll_fd, 1, 5000) != 1)
            return R2A_ERR_TIMEOUT;
        len = recv(fd, bytes, sizeof(bytes), 0);
        if (len <= 0)
            return tls_eof(tls);

        struct slice in = slice_of(bytes, (size_t)len);
        struct slice plain;

        while (in.len > 0) {
            int32_t taken = tls_feed(tls, in, &plain);

            if (taken < 0)
                return (enum r2a_err)taken;
            if (taken == 0)
                break;
            in = slice_skip(in, (size_t)taken);
        }
    }
    (void)socket_send(out, fd);
    return tls_error(tls);
}
