/* One connection against a server in memory. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "net/tls_server.h"
#include "src/net/tls_state.h"
#include "support/random.h"

static void exchange(struct pair *pair, size_t cut)
{
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";

    cr_assert_eq(tls_write(pair->tls, slice_from_z(request)), R2A_OK);
    pair_pump(pair, cut);
    cr_assert_eq(pair->server->got_len, sizeof(request) - 1);
    cr_assert_arr_eq(pair->server->got, request, sizeof(request) - 1);
    server_write(pair->server, answer, sizeof(answer) - 1);
    pair_pump(pair, cut);
    cr_assert_eq(pair->got_len, sizeof(answer) - 1);
    cr_assert_arr_eq(pair->got, answer, sizeof(answer) - 1);
}

static void works_with(const char *server_name, const char *name)
{
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new(server_name), name);

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN, "%s: %s %u", server_name,
                 r2a_err_name(tls_error(pair->tls)), tls_error_detail(pair->tls));
    exchange(pair, SIZE_MAX);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, shakes_hands_with_every_kind_of_key)
{
    certs_or_skip();
    works_with("good", "localhost");
    works_with("good-rsa", "localhost");
    works_with("good-p384", "localhost");
    works_with("good-p384-leaf", "localhost");
    works_with("good-with-root", "localhost");
    works_with("name-in-cn", "cn-leaf");
}

Test(tls, matches_names_as_the_web_does)
{
    certs_or_skip();
    works_with("good", "API.Example");
    works_with("good", "api.example.");
    works_with("good", "a.wild.example");
}

Test(tls, matches_addresses_with_address_names)
{
    certs_or_skip();
    works_with("good-ip", "127.0.0.1");
    works_with("good-ip", "::1");
    works_with("good-ip", "[::1]");
    works_with("good-ip", "192.0.2.7");
}

static void refuses(const char *server_name, const char *name, enum r2a_err err)
{
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new(server_name), name);

    cr_expect_eq(pair_shake(pair, SIZE_MAX), TLS_FAILED, "%s", server_name);
    cr_expect_eq(tls_error(pair->tls), err, "%s for %s: %s %u", server_name, name,
                 r2a_err_name(tls_error(pair->tls)), tls_error_detail(pair->tls));
    cr_expect_eq(tls_error(pair->tls), pair->err);
    cr_expect_eq(env->pairs.count, 0);
    cr_expect_eq(env->works.count, 0);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, refuses_wrong_hosts)
{
    certs_or_skip();
    refuses("wrong-host", "localhost", R2A_ERR_TLS_WRONG_HOST);
    refuses("good", "a.b.wild.example", R2A_ERR_TLS_WRONG_HOST);
    refuses("good", "wild.example", R2A_ERR_TLS_WRONG_HOST);
    refuses("good", "127.0.0.1", R2A_ERR_TLS_WRONG_HOST);
    refuses("good-ip", "127.0.0.2", R2A_ERR_TLS_WRONG_HOST);
    refuses("good-ip", "::2", R2A_ERR_TLS_WRONG_HOST);
    refuses("good-ip", "localhost", R2A_ERR_TLS_WRONG_HOST);
    /* A common name counts only when there is no subjectAltName. */
    refuses("good", "ec-leaf", R2A_ERR_TLS_WRONG_HOST);
}

Test(tls, refuses_bad_certificates_each_with_its_own_error)
{
    certs_or_skip();
    refuses("expired", "localhost", R2A_ERR_TLS_EXPIRED);
    refuses("future", "localhost", R2A_ERR_TLS_EXPIRED);
    refuses("unknown-issuer", "localhost", R2A_ERR_TLS_UNKNOWN_ISSUER);
    refuses("self-signed", "localhost", R2A_ERR_TLS_SELF_SIGNED);
    refuses("disordered", "localhost", R2A_ERR_TLS_BAD_CHAIN);
    refuses("leaf-as-ca", "localhost", R2A_ERR_TLS_BAD_CHAIN);
    refuses("constraints", "localhost", R2A_ERR_TLS_CONSTRAINTS);
    refuses("pss-signature", "localhost", R2A_ERR_TLS_SIGNATURE);
    refuses("sha1-signature", "localhost", R2A_ERR_TLS_SIGNATURE);
    refuses("too-long", "localhost", R2A_ERR_TLS_CHAIN_LIMIT);
}

Test(tls, a_missing_intermediate_is_a_bad_chain_when_something_follows)
{
    certs_or_skip();
    refuses("gap", "localhost", R2A_ERR_TLS_BAD_CHAIN);
    /* A leaf alone may as well come from an authority nobody knows: the text names both. */
    refuses("no-intermediate", "localhost", R2A_ERR_TLS_UNKNOWN_ISSUER);
}

Test(tls, trusts_a_self_signed_certificate_that_is_an_anchor)
{
    certs_or_skip();
    struct tls_env *env = env_open("self-signed.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("self-signed"), "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, takes_the_time_it_is_told)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    tls_start(pair->tls, test_wall_ms() + 400ll * 86400 * 1000);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_EXPIRED);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, an_empty_name_is_a_mistake_of_ours, .signal = SIGABRT)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct rope out = {0};
    enum r2a_err err;

    tls_open(env, &(struct tls_peer){.port = 443}, &out, NULL, NULL, &err);
}

Test(tls, refuses_names_that_are_none)
{
    certs_or_skip();
    static const char *const names[] = {".", "a..b", "a b", "-\n", "x/y", "[::1", "1.2.3.4:443"};
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct rope out = {0};
    enum r2a_err err;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tls_peer peer = {.name = slice_from_z(names[i]), .port = 1};

        cr_expect_null(tls_open(env, &peer, &out, NULL, NULL, &err), "%s", names[i]);
        cr_expect_eq(err, R2A_ERR_INVALID);
    }
    tls_env_close(env);
}

Test(tls, handshakes_arrive_in_any_pieces)
{
    certs_or_skip();
    for (size_t cut = 1; cut < 12; cut += cut < 4 ? 1 : 3) {
        struct tls_env *env = env_open("trust.pem", NULL, NULL);
        struct pair *pair = pair_new(env, server_new("good"), "localhost");

        cr_assert_eq(pair_shake(pair, cut), TLS_OPEN);
        exchange(pair, cut);
        pair_free(pair);
        tls_env_close(env);
    }
}

Test(tls, records_arrive_cut_at_every_byte)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    /* A record of 40 bytes of plaintext is 69 on the wire: cut it in two at each place. */
    for (size_t cut = 1; cut < 69; cut++) {
        char text[40];
        size_t len;
        unsigned char *record;
        char copy[256];
        struct slice plain;

        memset(text, (int)('a' + cut % 26), sizeof(text));
        server_write(pair->server, text, sizeof(text));
        record = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);
        cr_assert_eq(len, 69);
        memcpy(copy, record, len);
        br_ssl_engine_sendrec_ack(&pair->server->ctx.eng, len);

        int32_t taken = tls_feed(pair->tls, slice_of(copy, cut), &plain);

        cr_assert_eq(taken, (int32_t)cut);
        cr_assert_eq(plain.len, 0);
        cr_assert_eq(tls_feed(pair->tls, (struct slice){0}, &plain), 0);
        cr_assert_eq(pair->tls->pair != NULL, cut >= 5, "a pair from the header on, not before");
        taken = tls_feed(pair->tls, slice_of(copy + cut, len - cut), &plain);
        cr_assert_eq(taken, (int32_t)(len - cut));
        cr_assert_eq(plain.len, sizeof(text));
        cr_assert_arr_eq(plain.ptr, text, sizeof(text));
        cr_assert_eq(tls_feed(pair->tls, (struct slice){0}, &plain), 0);
        cr_assert_null(pair->tls->pair);
    }
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, largest_records_and_smallest_ones)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good-rsa"), "localhost");
    char *big = malloc(16384);

    for (size_t i = 0; i < 16384; i++)
        big[i] = (char)(i * 7);
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    for (int i = 0; i < 3; i++) {
        server_write(pair->server, big, 16384);
        pair_pump(pair, 1000);
    }
    cr_assert_eq(pair->got_len, 3 * 16384);
    for (size_t i = 0; i < pair->got_len; i++)
        cr_assert_eq(pair->got[i], big[i % 16384]);
    for (int i = 0; i < 300; i++) {
        server_write(pair->server, big + i, 1);
        if (i % 7 == 0)
            pair_pump(pair, 64);
        else {
            size_t len;
            unsigned char *record = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);

            memcpy(pair->wire + pair->wire_len, record, len);
            pair->wire_len += len;
            br_ssl_engine_sendrec_ack(&pair->server->ctx.eng, len);
        }
    }
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(pair->got_len, 3 * 16384 + 300);
    cr_assert_arr_eq(pair->got + 3 * 16384, big, 300);
    cr_assert_null(pair->tls->pair);
    free(big);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, writes_any_length_and_whole_ropes)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");
    struct rope plain = {.mem = pair->mem};
    char *bytes = malloc(200000);

    for (size_t i = 0; i < 200000; i++)
        bytes[i] = (char)(i * 31 >> 3);
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    cr_assert_eq(tls_write(pair->tls, slice_of(bytes, 50000)), R2A_OK);
    cr_assert_null(pair->tls->pair);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(pair->server->got_len, 50000);

    rope_put(&plain, slice_of(bytes + 50000, 3));
    rope_borrow(&plain, slice_of(bytes + 50003, 120000));
    rope_put(&plain, slice_of(bytes + 170003, 29997));
    while (plain.bytes > 0) {
        size_t before = plain.bytes;

        cr_assert_eq(tls_write_rope(pair->tls, &plain, 40000), R2A_OK);
        cr_assert_lt(pair->out.bytes, 40000 + 2 * 16500);
        cr_assert_lt(plain.bytes, before);
        pair_pump(pair, SIZE_MAX);
    }
    cr_assert_eq(pair->server->got_len, 200000);
    cr_assert_arr_eq(pair->server->got, bytes, 200000);
    cr_assert_eq(tls_write(pair->tls, (struct slice){0}), R2A_OK);
    cr_assert_eq(pair->out.bytes, 0, "nothing makes no record");
    free(bytes);
    rope_clear(&plain);
    pair_free(pair);
    tls_env_close(env);
}

/* --- ends --- */

Test(tls, close_notify_is_a_clean_end)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    server_write(pair->server, "bye", 3);
    br_ssl_engine_flush(&pair->server->ctx.eng, 0);
    pair_pump(pair, SIZE_MAX);
    br_ssl_engine_close(&pair->server->ctx.eng);
    pair_pump(pair, 7);
    cr_assert_eq(tls_phase(pair->tls), TLS_CLOSED);
    cr_assert_eq(pair->got_len, 3);
    cr_assert_eq(tls_error(pair->tls), R2A_OK);
    cr_assert_eq(tls_eof(pair->tls), R2A_OK);
    cr_assert_eq(env->pairs.count, 0);
    cr_assert_not(tls_wants_read(pair->tls));
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, close_notify_right_behind_data_loses_none)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");
    size_t len;
    unsigned char *record;

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    server_write(pair->server, "last words", 10);
    record = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);
    memcpy(pair->wire, record, len);
    pair->wire_len = len;
    br_ssl_engine_sendrec_ack(&pair->server->ctx.eng, len);
    br_ssl_engine_close(&pair->server->ctx.eng);
    record = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);
    memcpy(pair->wire + pair->wire_len, record, len);
    pair->wire_len += len;
    br_ssl_engine_sendrec_ack(&pair->server->ctx.eng, len);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(pair->got_len, 10);
    cr_assert_eq(tls_phase(pair->tls), TLS_CLOSED);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, an_end_without_close_notify_is_truncation)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    exchange(pair, SIZE_MAX);
    cr_assert_eq(tls_eof(pair->tls), R2A_ERR_TLS_TRUNCATED);
    cr_assert_eq(tls_phase(pair->tls), TLS_FAILED);
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_TRUNCATED);
    pair_free(pair);

    pair = pair_new(env, server_new("good"), "localhost");
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    struct slice plain;

    cr_assert_eq(tls_feed(pair->tls,
                          S("\x17\x03\x03\x00\x40"
                            "half"),
                          &plain),
                 9);
    cr_assert_eq(tls_eof(pair->tls), R2A_ERR_TLS_TRUNCATED, "in the middle of a record too");
    cr_assert_eq(env->pairs.count, 0);
    pair_free(pair);

    pair = pair_new(env, server_new("good"), "localhost");
    tls_start(pair->tls, test_wall_ms());
    cr_assert_eq(tls_eof(pair->tls), R2A_ERR_PEER_EOF);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, a_changed_byte_ends_the_connection)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");
    size_t len;
    unsigned char *record;
    char copy[128];
    struct slice plain;

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    server_write(pair->server, "hello", 5);
    record = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);
    memcpy(copy, record, len);
    copy[len - 1] = (char)(copy[len - 1] ^ 1);
    cr_assert_eq(tls_feed(pair->tls, slice_of(copy, len), &plain), R2A_ERR_TLS_PROTOCOL);
    cr_assert_eq(plain.len, 0);
    cr_assert_eq(tls_error_detail(pair->tls), BR_ERR_BAD_MAC);
    cr_assert_eq(tls_feed(pair->tls, slice_of(copy, len), &plain), R2A_ERR_TLS_PROTOCOL, "sticky");
    cr_assert_eq(tls_write(pair->tls, S("x")), R2A_ERR_TLS_PROTOCOL);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, our_close_is_one_record_and_does_not_wait)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    tls_close(pair->tls);
    cr_assert_eq(tls_phase(pair->tls), TLS_CLOSED);
    cr_assert_eq(env->pairs.count, 0);
    cr_assert_eq(pair->out.bytes, 31, "5 + 8 + 2 + 16 with GCM");
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(br_ssl_engine_current_state(&pair->server->ctx.eng), BR_SSL_CLOSED);
    cr_assert_eq(br_ssl_engine_last_error(&pair->server->ctx.eng), 0);
    pair_free(pair);
    tls_env_close(env);
}

/* --- sessions and chains --- */

static bool shake_again(struct tls_env *env, struct server *server, const char *name)
{
    struct pair *pair;
    bool is_resumed;

    server_reset(server);
    pair = pair_new(env, server, name);
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN, "%s", r2a_err_name(tls_error(pair->tls)));
    exchange(pair, SIZE_MAX);
    is_resumed = tls_is_resumed(pair->tls);
    pair_free(pair);
    return is_resumed;
}

Test(tls, resumes_sessions_by_name)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct server *server = server_new("good");

    cr_assert_not(shake_again(env, server, "localhost"));
    cr_assert(shake_again(env, server, "localhost"));
    cr_assert(shake_again(env, server, "LOCALHOST"));
    cr_assert_not(shake_again(env, server, "api.example"), "another name is another session");
    cr_assert(shake_again(env, server, "api.example"));
    cr_assert_eq(tls_env_stats(env)->full, 2);
    cr_assert_eq(tls_env_stats(env)->resumed, 3);
    /* A server that forgot it gets a full handshake without a second attempt. */
    cr_assert_not(shake_again(env, server_new("good"), "localhost"));
    tls_env_close(env);
}

Test(tls, new_anchors_end_old_sessions)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct server *server = server_new("good");
    struct tls_trust *trust = trust_load("rsa.pem");
    struct pair *pair;

    cr_assert_not(shake_again(env, server, "localhost"));
    tls_env_set_trust(env, trust);
    tls_trust_unref(trust);
    server_reset(server);
    pair = pair_new(env, server, "localhost");
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_FAILED, "neither session nor chain is believed");
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_UNKNOWN_ISSUER);
    pair_free(pair);
    tls_env_close(env);
}

static uint64_t hits_after(struct tls_env *env, const char *server_name, const char *name,
                           int64_t later_ms)
{
    struct server *server = server_new(server_name); /* knows no session */
    struct pair *pair = pair_new(env, server, name);
    uint64_t before = tls_env_stats(env)->chain_hits;

    tls_start(pair->tls, test_wall_ms() + later_ms);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(tls_phase(pair->tls), TLS_OPEN, "%s", r2a_err_name(tls_error(pair->tls)));
    exchange(pair, SIZE_MAX);
    pair_free(pair);
    return tls_env_stats(env)->chain_hits - before;
}

Test(tls, remembers_validated_chains_by_name_and_content)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);

    cr_expect_eq(hits_after(env, "good", "localhost", 0), 0);
    cr_expect_eq(hits_after(env, "good", "localhost", 1000), 1);
    cr_expect_eq(hits_after(env, "good-other", "localhost", 1000), 0, "another chain, same name");
    cr_expect_eq(hits_after(env, "good", "api.example", 1000), 0, "another name, same chain");
    cr_expect_eq(hits_after(env, "good", "api.example", 1000), 1);
    cr_expect_eq(hits_after(env, "good-rsa", "localhost", 1000), 0);
    cr_expect_eq(hits_after(env, "good-rsa", "localhost", 1000), 1);
    cr_expect_eq(hits_after(env, "good-ip", "127.0.0.1", 1000), 0);
    cr_expect_eq(hits_after(env, "good-ip", "127.0.0.1", 1000), 1);
    cr_expect_eq(hits_after(env, "good-ip", "::1", 1000), 0);
    cr_expect_eq(hits_after(env, "good", "localhost", TLS_CHAIN_CACHE_MS + 1000), 0, "too old");
    cr_expect_eq(hits_after(env, "good", "localhost", TLS_CHAIN_CACHE_MS + 2000), 1);
    cr_expect_eq(hits_after(env, "good", "localhost", 0), 0, "the clock went back");
    tls_env_close(env);
}

Test(tls, a_remembered_chain_does_not_outlive_its_leaf)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct server *server = server_new("good");
    int64_t end_ms = 0;
    struct pair *pair = pair_new(env, server, "localhost");

    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_OPEN);
    pair_free(pair);
    for (size_t i = 0; i < TLS_CHAIN_CACHE_MAX; i++) {
        if (env->runner->entries[i].until_ms != 0)
            end_ms = env->runner->entries[i].not_after_ms;
    }
    cr_assert_gt(end_ms, test_wall_ms());
    /* Five minutes before its end it is validated again and kept; at its end it is refused. */
    server = server_new("good");
    pair = pair_new(env, server, "localhost");
    tls_start(pair->tls, end_ms - 300000);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(tls_phase(pair->tls), TLS_OPEN);
    pair_free(pair);
    server = server_new("good");
    pair = pair_new(env, server, "localhost");
    tls_start(pair->tls, end_ms + 1000);
    pair_pump(pair, SIZE_MAX);
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_EXPIRED);
    pair_free(pair);
    tls_env_close(env);
}

/* --- pools --- */

Test(tls, copied_contexts_do_not_disturb_each_other)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    br_ssl_client_context before = env->client;
    br_x509_minimal_context minimal = env->minimal;
    struct pair *pairs[6];

    /* Interleaved, so that what one leaves in the prepared contexts would meet the next. */
    for (size_t i = 0; i < 6; i++) {
        pairs[i] = pair_new(env, server_new(i % 2 ? "good" : "good-rsa"), "localhost");
        tls_start(pairs[i]->tls, test_wall_ms());
    }
    for (size_t i = 6; i-- > 0;)
        pair_pump(pairs[i], 100);
    for (size_t i = 0; i < 6; i++)
        exchange(pairs[i], 11);
    for (size_t i = 0; i < 6; i++)
        pair_free(pairs[i]);
    cr_assert_arr_eq(&before, &env->client, sizeof(before));
    cr_assert_arr_eq(&minimal, &env->minimal, sizeof(minimal));
    cr_assert(!shake_again(env, server_new("good"), "localhost"));
    tls_env_close(env);
}

Test(tls, handshakes_wait_in_line_for_buffers)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL); /* 16 pairs, 4 kept for records */
    struct pair *open = pair_new(env, server_new("good"), "api.example"); /* another session */
    struct pair *pairs[30];

    cr_assert_eq(pair_shake(open, SIZE_MAX), TLS_OPEN);
    for (size_t i = 0; i < 30; i++) {
        struct slice plain;

        pairs[i] = pair_new(env, server_new("good"), "localhost");
        tls_start(pairs[i]->tls, test_wall_ms());
        cr_assert_null(pairs[i]->tls->pair, "a server that says nothing holds no buffer");
        /* Half a record does, until there are no more: then nobody begins. */
        cr_assert_eq(tls_feed(pairs[i]->tls, S("\x16\3\3\0\x50\2\0\0"), &plain), i < 12 ? 8 : 0);
    }
    cr_assert_eq(env->pairs.count, 16 - env->pairs_for_records);
    cr_assert_not(tls_wants_read(pairs[29]->tls));
    exchange(open, SIZE_MAX); /* established connections go on */
    for (size_t i = 0; i < 30; i++) {
        cr_assert_eq(tls_eof(pairs[i]->tls), R2A_ERR_PEER_EOF);
        tls_env_flush(env); /* the next in line get theirs */
    }
    cr_assert_gt(pairs[29]->wakes, 0);
    cr_assert_eq(env->pairs.count, 0);
    cr_assert_eq(env->works.count, 0);
    for (size_t i = 0; i < 30; i++)
        pair_free(pairs[i]);
    pair_free(open);
    tls_env_close(env);
}

Test(tls, handshakes_beyond_the_limit_wait_for_a_workspace)
{
    certs_or_skip();
    struct tls_trust *trust = trust_load("trust.pem");
    struct tls_env_cfg cfg = {.trust = trust, .slots_max = TLS_SHAKES_MAX + 8, .pairs_max = 16};
    struct tls_env *env = tls_env_open(&cfg);
    struct pair *pairs[6];
    struct tls *others[TLS_SHAKES_MAX];
    struct rope out = {0};
    struct mem_budget budget = {0};

    out.mem = mem_open(&budget, 65536);
    tls_trust_unref(trust);
    for (size_t i = 0; i < TLS_SHAKES_MAX; i++) {
        struct tls_peer peer = {.name = S("localhost"), .host = S("localhost")};
        enum r2a_err err;

        others[i] = tls_open(env, &peer, &out, NULL, NULL, &err);
        tls_start(others[i], test_wall_ms());
        rope_clear(&out);
    }
    for (size_t i = 0; i < 6; i++) {
        pairs[i] = pair_new(env, server_new("good"), "localhost");
        tls_start(pairs[i]->tls, test_wall_ms());
        cr_assert_eq(pairs[i]->out.bytes, 0);
        cr_assert_not(tls_wants_read(pairs[i]->tls));
    }
    tls_env_flush(env);
    cr_assert_eq(pairs[0]->wakes, 0);
    for (size_t i = 0; i < TLS_SHAKES_MAX; i++)
        tls_free(others[i]);
    for (size_t i = 0; i < 6; i++) {
        pair_pump(pairs[i], SIZE_MAX);
        cr_assert_eq(tls_phase(pairs[i]->tls), TLS_OPEN);
    }
    cr_assert_eq(env->pairs.count, 0);
    cr_assert_eq(env->works.count, 0);
    cr_assert_gt(pairs[5]->wakes, 0);
    for (size_t i = 0; i < 6; i++)
        pair_free(pairs[i]);
    mem_close(out.mem);
    tls_env_close(env);
}

Test(tls, half_records_wait_in_line_for_buffers_and_writes_never_do)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    struct pair *pairs[20];
    char rest[20][256];
    size_t rest_len[20];
    size_t holders = 0;

    for (size_t i = 0; i < 20; i++) {
        pairs[i] = pair_new(env, server_new("good"), "localhost");
        cr_assert_eq(pair_shake(pairs[i], SIZE_MAX), TLS_OPEN);
    }
    for (size_t i = 0; i < 20; i++) {
        struct slice plain;
        unsigned char *record;

        server_write(pairs[i]->server, "0123456789", 10);
        record = br_ssl_engine_sendrec_buf(&pairs[i]->server->ctx.eng, &rest_len[i]);
        memcpy(rest[i], record, rest_len[i]);
        br_ssl_engine_sendrec_ack(&pairs[i]->server->ctx.eng, rest_len[i]);

        int32_t taken = tls_feed(pairs[i]->tls, slice_of(rest[i], 12), &plain);

        cr_assert(taken == 12 || taken == 5);
        memmove(rest[i], rest[i] + taken, rest_len[i] - (size_t)taken);
        rest_len[i] -= (size_t)taken;
        cr_assert_eq(tls_wants_read(pairs[i]->tls), taken == 12);
        holders += taken == 12;
    }
    cr_assert_eq(holders, 16 - TLS_LEAVE_PART);
    /* Everybody can write, those in line too, and what they write arrives. */
    for (size_t i = 0; i < 20; i++) {
        cr_assert_eq(tls_write(pairs[i]->tls, S("ping")), R2A_OK);
        memcpy(pairs[i]->wire, rest[i], rest_len[i]);
        pairs[i]->wire_len = rest_len[i];
    }
    for (size_t i = 0; i < 20; i++) {
        pair_pump(pairs[i], 3);
        cr_assert_eq(pairs[i]->server->got_len, 4);
        cr_assert_eq(pairs[i]->got_len, 10);
        cr_assert_arr_eq(pairs[i]->got, "0123456789", 10);
    }
    cr_assert_eq(env->pairs.count, 0);
    cr_assert_gt(tls_env_stats(env)->pair_waits, 0);
    for (size_t i = 0; i < 20; i++)
        pair_free(pairs[i]);
    tls_env_close(env);
}

Test(tls, gives_everything_back_whenever_it_is_freed)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);

    for (size_t stop = 0; stop < 3000; stop += 97) {
        struct pair *pair = pair_new(env, server_new("good"), "localhost");
        struct slice plain;

        tls_start(pair->tls, test_wall_ms());
        while (pair->out.bytes > 0 || pair->wire_len == 0) {
            struct iovec vec;
            size_t room;
            unsigned char *window = br_ssl_engine_recvrec_buf(&pair->server->ctx.eng, &room);

            if (window == NULL || rope_peek(&pair->out, &vec, 1) == 0)
                break;
            room = room < vec.iov_len ? room : vec.iov_len;
            memcpy(window, vec.iov_base, room);
            rope_consume(&pair->out, room);
            br_ssl_engine_recvrec_ack(&pair->server->ctx.eng, room);
        }
        for (size_t fed = 0; fed < stop;) {
            size_t len;
            unsigned char *bytes = br_ssl_engine_sendrec_buf(&pair->server->ctx.eng, &len);

            if (bytes == NULL)
                break;
            len = len < stop - fed ? len : stop - fed;
            cr_assert_eq(tls_feed(pair->tls, slice_of((char *)bytes, len), &plain), (int32_t)len);
            br_ssl_engine_sendrec_ack(&pair->server->ctx.eng, len);
            fed += len;
        }
        pair_free(pair);
        cr_assert_eq(env->pairs.count, 0);
        cr_assert_eq(env->works.count, 0);
    }
    tls_env_close(env);
}

Test(tls, pools_give_memory_back_after_a_burst)
{
    struct tls_pool pool;
    char *slots[40];
    unsigned char resident[40 * 3];
    size_t pages = 0;

    cr_assert(tls_pool_open(&pool, 10000, 40));
    cr_assert_eq(pool.slot_size, 12288);
    for (size_t i = 0; i < 40; i++) {
        slots[i] = tls_pool_take(&pool);
        memset(slots[i], 1, 10000);
    }
    cr_assert_null(tls_pool_take(&pool));
    for (size_t i = 0; i < 40; i++)
        tls_pool_give(&pool, slots[i]);
    cr_assert_eq(mincore(pool.base, pool.map_size, resident), 0);
    for (size_t i = 0; i < sizeof(resident); i++)
        pages += resident[i] & 1;
    cr_assert_eq(pages, 3 * TLS_POOL_WARM);
    cr_assert_eq(tls_pool_take(&pool), slots[TLS_POOL_WARM - 1], "the last kept comes first");
    for (size_t i = 1; i < 40; i++) {
        slots[i] = tls_pool_take(&pool);
        cr_assert_not_null(slots[i]);
        memset(slots[i], 2, 10000);
    }
    cr_assert_null(tls_pool_take(&pool));
    for (size_t i = 1; i < 40; i++)
        tls_pool_give(&pool, slots[i]);
    tls_pool_give(&pool, pool.base + pool.slot_size * (TLS_POOL_WARM - 1));
    tls_pool_close(&pool);
}

/* --- the job, run by a second thread as far as the layer knows --- */

struct queue {
    struct tls_job *jobs[64];
    size_t count;
};

static void enqueue(void *ctx, struct tls_job *job)
{
    struct queue *queue = ctx;

    queue->jobs[queue->count++] = job;
}

static void serve(struct queue *queue, struct tls_runner *runner)
{
    size_t count = queue->count;

    queue->count = 0;
    for (size_t i = 0; i < count; i++) {
        tls_job_run(queue->jobs[i], runner);
        tls_job_done(queue->jobs[i]);
    }
}

Test(tls, full_handshakes_are_jobs_and_resumed_ones_are_not)
{
    certs_or_skip();
    struct queue queue = {0};
    struct tls_runner *runner = calloc(1, tls_runner_size());
    struct tls_env *env = env_open("trust.pem", enqueue, &queue);
    struct server *server = server_new("good");

    for (int i = 0; i < 3; i++) {
        struct pair *pair = pair_new(env, server, "localhost");
        uint64_t jobs = tls_env_stats(env)->jobs;

        if (i == 2)
            br_ssl_session_cache_lru_init(&server->cache, server->cache_store,
                                          sizeof(server->cache_store)); /* it forgot */
        server_reset(server);
        tls_start(pair->tls, test_wall_ms());
        cr_assert_eq(pair->out.bytes > 0, i > 0, "a resumption is offered at once");
        for (int round = 0; round < 10; round++) {
            pair_pump(pair, SIZE_MAX);
            if (queue.count > 0) {
                struct slice plain;

                cr_assert(tls_is_out(pair->tls));
                cr_assert_not(tls_wants_read(pair->tls));
                cr_assert_eq(tls_feed(pair->tls, S("later"), &plain), 0);
                serve(&queue, runner);
                cr_assert_not(tls_is_out(pair->tls));
            }
        }
        cr_assert_eq(tls_phase(pair->tls), TLS_OPEN);
        cr_assert_eq(tls_is_resumed(pair->tls), i == 1);
        cr_assert_eq(tls_env_stats(env)->jobs == jobs, i == 1);
        exchange(pair, SIZE_MAX);
        pair_free(pair);
    }
    free(runner);
    tls_env_close(env);
}

Test(tls, closing_takes_a_job_back_that_has_not_gone)
{
    certs_or_skip();
    struct queue queue = {0};
    struct tls_env *env = env_open("trust.pem", enqueue, &queue);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    tls_start(pair->tls, test_wall_ms());
    cr_assert_not(tls_is_out(pair->tls));
    tls_close(pair->tls);
    tls_env_flush(env);
    cr_assert_eq(queue.count, 0);
    cr_assert_eq(env->works.count, 0);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls, a_slot_is_not_freed_while_its_job_is_out, .signal = SIGABRT)
{
    certs_or_skip();
    struct queue queue = {0};
    struct tls_env *env = env_open("trust.pem", enqueue, &queue);
    struct pair *pair = pair_new(env, server_new("good"), "localhost");

    tls_start(pair->tls, test_wall_ms());
    tls_env_flush(env);
    cr_assert(tls_is_out(pair->tls));
    tls_free(pair->tls);
}
