/* What servers of another make do, and what the user is told of it: against `openssl s_server`. */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_server.h"
#include "src/net/tls_state.h"

struct client {
    struct tls_env *env;
    struct mem_budget budget;
    struct rope out;
    struct tls *tls;
    int fd;
};

static struct client *client_new(const struct openssl_server *server, const char *name)
{
    struct client *client = calloc(1, sizeof(*client));
    struct tls_peer peer = {.name = slice_from_z(name), .host = slice_from_z(name)};
    enum r2a_err err;

    peer.port = server->port;
    client->env = env_open("trust.pem", NULL, NULL);
    client->out.mem = mem_open(&client->budget, 65536);
    client->tls = tls_open(client->env, &peer, &client->out, NULL, NULL, &err);
    cr_assert_not_null(client->tls);
    client->fd = openssl_connect(server);
    cr_assert_geq(client->fd, 0);
    return client;
}

static void client_free(struct client *client)
{
    close(client->fd);
    tls_free(client->tls);
    rope_clear(&client->out);
    mem_close(client->out.mem);
    tls_env_close(client->env);
    free(client);
}

static void says(const char *cert, const char *name, const char *const *options, enum r2a_err err)
{
    struct openssl_server server;
    struct client *client;
    enum r2a_err got;

    cr_assert(openssl_start(&server, cert, options), "%s %s", cert, options ? options[0] : "");
    client = client_new(&server, name);
    got = socket_shake(client->tls, &client->out, client->fd);
    cr_expect_eq(got, err, "%s %s %s: %s (%u)", cert, options ? options[0] : "",
                 options && options[0] ? options[1] : "", r2a_err_name(got),
                 tls_error_detail(client->tls));
    client_free(client);
    openssl_stop(&server);
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(tls_errors, good_servers_pass)
{
    certs_or_skip();
    says("good", "localhost", NULL, R2A_OK);
    says("good", "localhost", OPTIONS("-tls1_2"), R2A_OK);
    says("good-rsa", "localhost", OPTIONS("-tls1_2"), R2A_OK);
    says("good-p384-leaf", "localhost", NULL, R2A_OK);
    says("good-ip", "127.0.0.1", NULL, R2A_OK);
    says("good-ip", "::1", NULL, R2A_OK);
    says("good", "localhost", OPTIONS("-groups", "P-521"), R2A_OK);
    says("good", "localhost", OPTIONS("-groups", "X25519"), R2A_OK);
    says("good", "localhost", OPTIONS("-alpn", "h2,http/1.1"), R2A_OK);
    says("good", "localhost", OPTIONS("-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), R2A_OK);
    says("good", "localhost", OPTIONS("-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), R2A_OK);
    says("good", "localhost", OPTIONS("-verify", "1"), R2A_OK); /* asks, does not demand */
}

Test(tls_errors, versions)
{
    certs_or_skip();
    says("good", "localhost", OPTIONS("-tls1_3"), R2A_ERR_TLS_VERSION);
    /* It gets as far as the suites, which for 1.1 would be others. */
    says("good-rsa", "localhost", OPTIONS("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
         R2A_ERR_TLS_NO_COMMON);
}

Test(tls_errors, algorithms)
{
    certs_or_skip();
    says("good-rsa", "localhost", OPTIONS("-cipher", "DHE-RSA-AES128-GCM-SHA256"),
         R2A_ERR_TLS_NO_COMMON);
    says("good-rsa", "localhost", OPTIONS("-cipher", "AES128-GCM-SHA256"), R2A_ERR_TLS_NO_COMMON);
    says("good", "localhost", OPTIONS("-cipher", "ECDHE-ECDSA-AES128-SHA256"),
         R2A_ERR_TLS_NO_COMMON);
    says("good", "localhost", OPTIONS("-groups", "X448"), R2A_ERR_TLS_NO_COMMON);
    says("ed25519-key", "localhost", NULL, R2A_ERR_TLS_NO_COMMON);
    says("pss-signature", "localhost", NULL, R2A_ERR_TLS_SIGNATURE);
    says("sha1-signature", "localhost", OPTIONS("-cipher", "ALL:@SECLEVEL=0"),
         R2A_ERR_TLS_SIGNATURE);
}

Test(tls_errors, what_the_server_wants_and_we_have_not)
{
    certs_or_skip();
    says("good", "localhost", OPTIONS("-alpn", "h2"), R2A_ERR_TLS_ALPN);
    says("good", "localhost", OPTIONS("-Verify", "1"), R2A_ERR_TLS_CLIENT_CERT);
    says("good-rsa", "localhost", OPTIONS("-Verify", "1", "-tls1_2"), R2A_ERR_TLS_CLIENT_CERT);
}

Test(tls_errors, certificates)
{
    certs_or_skip();
    says("expired", "localhost", NULL, R2A_ERR_TLS_EXPIRED);
    says("future", "localhost", NULL, R2A_ERR_TLS_EXPIRED);
    says("wrong-host", "localhost", NULL, R2A_ERR_TLS_WRONG_HOST);
    says("good", "127.0.0.1", NULL, R2A_ERR_TLS_WRONG_HOST);
    says("unknown-issuer", "localhost", NULL, R2A_ERR_TLS_UNKNOWN_ISSUER);
    says("self-signed", "localhost", NULL, R2A_ERR_TLS_SELF_SIGNED);
    says("gap", "localhost", NULL, R2A_ERR_TLS_BAD_CHAIN);
    says("disordered", "localhost", NULL, R2A_ERR_TLS_BAD_CHAIN);
    says("constraints", "localhost", NULL, R2A_ERR_TLS_CONSTRAINTS);
    says("big-key", "localhost", NULL, R2A_ERR_TLS_KEY_LIMIT);
    says("too-long", "localhost", NULL, R2A_ERR_TLS_CHAIN_LIMIT);
}

Test(tls_errors, a_server_that_does_not_speak_tls)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");
    struct slice plain;

    tls_start(pair->tls, test_wall_ms());
    cr_assert_lt(tls_feed(pair->tls, S("HTTP/1.1 400 Bad Request\r\n\r\n"), &plain), 0);
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_VERSION);
    pair_free(pair);
    tls_env_close(env);
}

/* Reads until `len` bytes of plaintext came or the time is over. */
static size_t read_plain(struct client *client, char *to, size_t len)
{
    size_t got = 0;

    while (got < len && tls_phase(client->tls) == TLS_OPEN) {
        struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
        char bytes[4096];
        ssize_t count;

        if (poll(&poll_fd, 1, 3000) != 1)
            break;
        count = recv(client->fd, bytes, sizeof(bytes), 0);
        if (count <= 0)
            break;

        struct slice in = slice_of(bytes, (size_t)count);

        for (;;) {
            struct slice plain;
            int32_t taken = tls_feed(client->tls, in, &plain);

            if (taken < 0 || (taken == 0 && plain.len == 0))
                break;
            in = slice_skip(in, (size_t)taken);
            if (plain.len > len - got)
                plain.len = len - got;
            if (plain.len > 0)
                memcpy(to + got, plain.ptr, plain.len);
            got += plain.len;
        }
        (void)socket_send(&client->out, client->fd);
    }
    return got;
}

Test(tls_errors, renegotiation_is_refused_and_the_connection_goes_on)
{
    certs_or_skip();
    struct openssl_server server;
    struct client *client;
    char text[8] = "";

    cr_assert(openssl_start(&server, "good", OPTIONS("-tls1_2")));
    client = client_new(&server, "localhost");
    cr_assert_eq(socket_shake(client->tls, &client->out, client->fd), R2A_OK);
    cr_assert_eq(write(server.input, "R\n", 2), 2);
    usleep(200000);
    cr_assert_eq(write(server.input, "data\n", 5), 5);
    cr_assert_eq(read_plain(client, text, 5), 5, "%s", r2a_err_name(tls_error(client->tls)));
    cr_assert_str_eq(text, "data\n");
    /* OpenSSL then leaves by itself: it takes the refusal for an error. */
    client_free(client);
    openssl_stop(&server);
}

Test(tls_errors, openssl_resumes_sessions_by_id)
{
    certs_or_skip();
    struct openssl_server server;
    struct tls_env *env = NULL;

    cr_assert(openssl_start(&server, "good", OPTIONS("-rev", "-tls1_2")));
    for (int i = 0; i < 3; i++) {
        struct client *client = client_new(&server, "localhost");
        char text[8] = "";

        if (env != NULL) { /* one environment for all of them */
            struct tls_peer peer = {.name = S("localhost"), .host = S("localhost")};
            enum r2a_err err;

            peer.port = server.port;
            tls_free(client->tls);
            tls_env_close(client->env);
            client->env = env;
            client->tls = tls_open(env, &peer, &client->out, NULL, NULL, &err);
        }
        env = client->env;
        cr_assert_eq(socket_shake(client->tls, &client->out, client->fd), R2A_OK);
        cr_assert_eq(tls_is_resumed(client->tls), i > 0);
        cr_assert_eq(tls_write(client->tls, S("hello\n")), R2A_OK);
        cr_assert(socket_send(&client->out, client->fd));
        cr_assert_eq(read_plain(client, text, 6), 6);
        cr_assert_str_eq(text, "olleh\n");
        tls_close(client->tls);
        cr_assert(socket_send(&client->out, client->fd));
        close(client->fd);
        tls_free(client->tls);
        rope_clear(&client->out);
        mem_close(client->out.mem);
        free(client);
    }
    cr_assert_eq(tls_env_stats(env)->resumed, 2);
    tls_env_close(env);
    openssl_stop(&server);
}
