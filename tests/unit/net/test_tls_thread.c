/* Handshakes on a thread of their own, connections on another, OpenSSL at the other end. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls_server.h"
#include "r2a/core/check.h"
#include "r2a/net/conn.h"
#include "r2a/net/tls_thread.h"
#include "src/net/tls_state.h"
#include "support/random.h"

struct place {
    struct loop worker;
    struct loop shaker;
    struct tls_thread *thread;
    pthread_t id;
    _Atomic int ready; /* 1: runs, 2: io_uring is refused */
    struct op stop_op;
    struct conns conns;
    struct mem_budget budget;
    struct loop_hook hook;
    struct tls_env *env;
};

static struct place place;

static void *run_shaker(void *ctx)
{
    struct loop_cfg cfg = {.engine_cfg = {.submissions = 64}};

    (void)ctx;
    loop_block_signals();
    if (loop_open(&place.shaker, &cfg) != R2A_OK) {
        place.ready = 2;
        return NULL;
    }
    place.ready = 1;
    loop_run(&place.shaker);
    loop_close(&place.shaker);
    return NULL;
}

static void stop_shaker(struct op *op, struct op_result result)
{
    (void)op;
    (void)result;
    loop_stop(&place.shaker);
}

static void flush_env(struct loop_hook *hook)
{
    (void)hook;
    tls_env_flush(place.env);
}

static bool place_open(void)
{
    struct loop_cfg cfg = {.engine_cfg = {.submissions = 64}};

    cr_assert_eq(loop_prepare(&place.worker), R2A_OK);
    cr_assert_eq(loop_prepare(&place.shaker), R2A_OK);
    place.thread = tls_thread_open(&place.shaker);
    cr_assert_eq(pthread_create(&place.id, NULL, run_shaker, NULL), 0);
    while (place.ready == 0)
        usleep(1000);
    cfg.mem = mem_open(&place.budget, 1 << 20);
    if (place.ready == 2 || loop_open(&place.worker, &cfg) != R2A_OK)
        return false;
    cr_assert_eq(conns_open(&place.conns, &place.worker, 64), R2A_OK);
    place.env = env_open("trust.pem", tls_thread_submit, place.thread);
    place.hook.fn = flush_env;
    loop_add_hook(&place.worker, &place.hook);
    return true;
}

static void place_close(void)
{
    struct mem *mem = place.worker.mem;

    loop_remove_hook(&place.hook);
    conns_close(&place.conns);
    tls_env_close(place.env);
    place.stop_op = (struct op){.fn = stop_shaker};
    loop_post(&place.shaker, &place.stop_op);
    pthread_join(place.id, NULL);
    tls_thread_close(place.thread);
    loop_close(&place.worker);
    mem_close(mem);
}

/* --- one connection --- */

struct visit {
    struct conn *conn;
    char got[64];
    size_t got_len;
    enum r2a_err err;
    bool is_connected;
    bool is_released;
    bool is_resumed;
};

static void on_connected(struct conn *conn)
{
    struct visit *visit = conn->owner;

    visit->is_connected = true;
    visit->is_resumed = tls_is_resumed(conn_tls(conn));
    rope_put(conn_out(conn), S("hello\n"));
    conn_flush(conn);
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    struct visit *visit = conn->owner;

    cr_assert_leq(bytes.len, sizeof(visit->got) - visit->got_len);
    memcpy(visit->got + visit->got_len, bytes.ptr, bytes.len);
    visit->got_len += bytes.len;
    return bytes.len;
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    ((struct visit *)conn->owner)->err = err;
}

static void on_released(struct conn *conn)
{
    ((struct visit *)conn->owner)->is_released = true;
}

static const struct conn_calls calls = {.on_connected = on_connected,
                                        .on_bytes = on_bytes,
                                        .on_closed = on_closed,
                                        .on_released = on_released};

static void visit_begin(struct visit *visit, uint16_t port, const char *name)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct conn_target target = {.addr = (struct sockaddr *)&addr, .addr_len = sizeof(addr)};
    enum r2a_err err;

    addr.sin_port = htons(port);
    *visit = (struct visit){0};
    target.tls = place.env;
    target.tls_peer =
        (struct tls_peer){.name = slice_from_z(name), .host = slice_from_z(name), .port = port};
    visit->conn = conn_connect(&place.conns, &target, &calls, visit, &err);
    cr_assert_not_null(visit->conn);
}

static void tick_until(const bool *done, int ticks)
{
    for (int i = 0; i < ticks && !*done; i++)
        loop_tick(&place.worker, 20);
    cr_assert(*done);
}

Test(tls_thread, computes_full_handshakes_elsewhere)
{
    certs_or_skip();
    struct openssl_server server;
    struct visit visit;

    if (!place_open())
        cr_skip_test("io_uring is refused here");
    cr_assert(openssl_start(&server, "good-p384", (const char *const[]){"-rev", "-tls1_2", NULL}));
    for (int i = 0; i < 4; i++) {
        visit_begin(&visit, server.port, "localhost");
        for (int n = 0; n < 500 && visit.got_len < 6; n++)
            loop_tick(&place.worker, 20);
        cr_assert(visit.is_connected, "%s", r2a_err_name(visit.err));
        cr_assert_eq(visit.got_len, 6);
        cr_assert_arr_eq(visit.got, "olleh\n", 6);
        cr_assert_eq(visit.is_resumed, i > 0);
        conn_close(visit.conn);
        tick_until(&visit.is_released, 500);
    }
    cr_assert_eq(tls_env_stats(place.env)->full, 1);
    cr_assert_eq(tls_env_stats(place.env)->resumed, 3);
    cr_assert_geq(tls_env_stats(place.env)->jobs, 2);
    openssl_stop(&server);
    place_close();
}

Test(tls_thread, tells_errors_across)
{
    certs_or_skip();
    struct openssl_server server;
    struct visit visit;

    if (!place_open())
        cr_skip_test("io_uring is refused here");
    cr_assert(openssl_start(&server, "wrong-host", NULL));
    visit_begin(&visit, server.port, "localhost");
    tick_until(&visit.is_released, 500);
    cr_assert_not(visit.is_connected);
    cr_assert_eq(visit.err, R2A_ERR_TLS_WRONG_HOST, "%s", r2a_err_name(visit.err));
    openssl_stop(&server);
    place_close();
}

Test(tls_thread, closing_waits_for_the_job)
{
    certs_or_skip();
    struct openssl_server server;
    struct random random = {4711};
    unsigned outs = 0;

    if (!place_open())
        cr_skip_test("io_uring is refused here");
    cr_assert(openssl_start(&server, "good-p384-leaf", NULL));
    for (int i = 0; i < 120; i++) {
        struct visit visit;
        size_t ticks = i % 2 == 0 ? 10000 : random_between(&random, 0, 12);
        struct tls *tls;

        visit_begin(&visit, server.port, "localhost");
        tls = conn_tls(visit.conn);
        for (size_t n = 0; n < ticks && !visit.is_connected && !tls_is_out(tls); n++)
            loop_tick(&place.worker, 1);
        outs += tls_is_out(tls);
        conn_abort(visit.conn);
        tick_until(&visit.is_released, 1000);
        cr_assert_eq(place.env->pairs.count, 0);
        cr_assert_eq(place.env->works.count, 0);
        cr_assert_eq(place.env->slots.count, 0);
    }
    cr_assert_gt(outs, 50, "the job was out only %u times", outs);
    openssl_stop(&server);
    place_close();
}
