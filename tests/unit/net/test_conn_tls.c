/* Connections through the TLS layer, against a server in memory behind a real socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls_server.h"
#include "r2a/core/check.h"
#include "r2a/net/tls_thread.h"
#include "rig.h"

static struct rig rig;
static struct tls_env *env;
static struct loop_hook env_hook;

/* --- the owner --- */

static struct {
    struct conn *conn;
    char *got;
    size_t got_len, got_size;
    uint32_t connected, eofs, closed, released, writables;
    enum r2a_err err;
    size_t fill_left;
} owner;

static void on_connected(struct conn *conn)
{
    (void)conn;
    owner.connected++;
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    (void)conn;
    cr_assert_leq(owner.got_len + bytes.len, owner.got_size);
    memcpy(owner.got + owner.got_len, bytes.ptr, bytes.len);
    owner.got_len += bytes.len;
    return bytes.len;
}

static void on_filled(struct conn *conn, size_t added, size_t left)
{
    (void)conn;
    (void)added;
    owner.fill_left = left;
}

static void on_eof(struct conn *conn)
{
    (void)conn;
    owner.eofs++;
}

static void on_writable(struct conn *conn)
{
    (void)conn;
    owner.writables++;
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    (void)conn;
    owner.closed++;
    owner.err = err;
}

static void on_released(struct conn *conn)
{
    (void)conn;
    owner.released++;
    owner.conn = NULL;
}

static const struct conn_calls calls = {
    .on_connected = on_connected,
    .on_bytes = on_bytes,
    .on_filled = on_filled,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_released = on_released,
};

/* --- the server --- */

static struct server *server;
static int server_fd = -1;
static bool server_ended; /* its socket said so */

/* Moves what can be moved between the server's engine and its socket. */
static void serve(void)
{
    br_ssl_engine_context *engine = &server->ctx.eng;

    for (bool has_moved = true; has_moved;) {
        unsigned char *window;
        size_t len;
        ssize_t count;

        has_moved = false;
        window = br_ssl_engine_sendrec_buf(engine, &len);
        if (window != NULL && (count = send(server_fd, window, len, MSG_DONTWAIT)) > 0) {
            br_ssl_engine_sendrec_ack(engine, (size_t)count);
            has_moved = true;
        }
        window = br_ssl_engine_recvapp_buf(engine, &len);
        if (window != NULL) {
            cr_assert_leq(server->got_len + len, sizeof server->got);
            memcpy(server->got + server->got_len, window, len);
            server->got_len += len;
            br_ssl_engine_recvapp_ack(engine, len);
            has_moved = true;
        }
        window = br_ssl_engine_recvrec_buf(engine, &len);
        if (window != NULL) {
            count = recv(server_fd, window, len, MSG_DONTWAIT);
            if (count > 0) {
                br_ssl_engine_recvrec_ack(engine, (size_t)count);
                has_moved = true;
            }
            server_ended = server_ended || count == 0;
        }
    }
}

#define serve_until(condition)                                                              \
    do {                                                                                    \
        uint64_t serve_deadline_here = rig_deadline();                                      \
        while (!(condition)) {                                                              \
            cr_assert(!rig_is_late(serve_deadline_here), "%s never came true", #condition); \
            if (server_fd >= 0)                                                             \
                serve();                                                                    \
            loop_tick(&rig.loop, 1);                                                        \
        }                                                                                   \
    } while (0)

static void flush_env(struct loop_hook *hook)
{
    (void)hook;
    tls_env_flush(env);
}

/* `thread`: where handshakes compute; NULL: here. */
static void open_rig(struct tls_thread *thread)
{
    rig_open(&rig, NULL);
    env = env_open("trust.pem", thread != NULL ? tls_thread_submit : NULL, thread);
    env_hook.fn = flush_env;
    loop_add_hook(&rig.loop, &env_hook);
    owner.got_size = 1 << 21;
    owner.got = malloc(owner.got_size);
}

static void close_rig(void)
{
    if (server_fd >= 0)
        close(server_fd);
    conns_abort_all(&rig.conns);
    rig_until(&rig, rig.conns.open_count == 0);
    loop_remove_hook(&env_hook);
    cr_expect_eq(tls_env_stats(env)->slots, 0);
    tls_env_close(env);
    rig_close(&rig);
    free(owner.got);
}

static void dial(const char *cert, const char *name)
{
    struct net_addr addr;
    int listening = rig_server(&addr);
    struct conn_target target = {
        .addr = &addr.u.sa,
        .addr_len = addr.len,
        .tls = env,
        .tls_peer = {.name = slice_from_z(name), .host = slice_from_z(name), .port = 443},
    };
    enum r2a_err err;

    server = server_new(cert);
    owner.conn = conn_connect(&rig.conns, &target, &calls, NULL, &err);
    cr_assert_not_null(owner.conn, "%s", r2a_err_name(err));
    server_fd = rig_accept(&rig, listening);
    close(listening);
}

static void say(const char *text)
{
    rope_put(conn_out(owner.conn), slice_from_z(text));
    conn_flush(owner.conn);
}

static void converse(void)
{
    say("GET /"); /* before the handshake: waits for it */
    serve_until(owner.connected == 1);
    say(" HTTP/1.1\r\n\r\n");
    serve_until(server->got_len == 18);
    cr_assert_arr_eq(server->got, "GET / HTTP/1.1\r\n\r\n", 18);
    for (int i = 0; i < 10; i++) {
        server_write(server, "data: x\n\n", 9);
        serve_until(owner.got_len == (size_t)(i + 1) * 9);
    }
    cr_assert_arr_eq(owner.got, "data: x\n\ndata: x\n\n", 18);
    cr_assert_eq(tls_env_stats(env)->pairs, 0);
    conn_close(owner.conn);
    serve_until(owner.released == 1);
    serve_until(server_ended ||
                (br_ssl_engine_current_state(&server->ctx.eng) & BR_SSL_CLOSED) != 0);
    cr_assert_eq(br_ssl_engine_last_error(&server->ctx.eng), 0); /* close_notify came */
    cr_assert_eq(owner.closed, 0);
}

Test(conn_tls, converses)
{
    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    converse();
    close_rig();
}

/* --- with the handshake thread --- */

static struct loop thread_loop;

static void *run_thread(void *unused)
{
    const struct loop_cfg cfg = {.engine_cfg = {.submissions = 64, .sockets_max = 16}};

    (void)unused;
    if (loop_open(&thread_loop, &cfg) != R2A_OK)
        return NULL;
    loop_run(&thread_loop);
    loop_close(&thread_loop);
    return NULL;
}

static void stop_there(struct op *op, struct op_result result)
{
    (void)op;
    (void)result;
    loop_stop(loop_current());
}

static pthread_t start_thread(struct tls_thread **thread)
{
    pthread_t id;

    loop_block_signals();
    cr_assert_eq(loop_prepare(&thread_loop), R2A_OK);
    *thread = tls_thread_open(&thread_loop);
    cr_assert_not_null(*thread);
    cr_assert_eq(pthread_create(&id, NULL, run_thread, NULL), 0);
    return id;
}

static void stop_thread(pthread_t id, struct tls_thread *thread)
{
    static struct op op;

    op.fn = stop_there;
    loop_post(&thread_loop, &op);
    rig_settle(&rig);
    pthread_join(id, NULL);
    tls_thread_close(thread);
}

Test(conn_tls, converses_with_handshakes_on_the_thread)
{
    struct tls_thread *thread;
    pthread_t id;

    certs_or_skip();
    id = start_thread(&thread);
    open_rig(thread);
    dial("good", "localhost");
    converse();
    cr_assert(tls_env_stats(env)->jobs > 0);
    stop_thread(id, thread);
    close_rig();
}

Test(conn_tls, may_be_aborted_at_every_moment_of_a_handshake)
{
    struct tls_thread *thread;
    pthread_t id;

    certs_or_skip();
    id = start_thread(&thread);
    open_rig(thread);
    for (int ticks = 0; ticks < 30; ticks++) {
        dial("good", "localhost");
        for (int i = 0; i < ticks; i++) {
            serve();
            loop_tick(&rig.loop, i % 3 == 0);
        }
        conn_abort(owner.conn);
        rig_until(&rig, owner.released == (uint32_t)ticks + 1);
        close(server_fd);
        server_fd = -1;
    }
    cr_assert_eq(owner.closed, 0);
    stop_thread(id, thread);
    close_rig();
}

Test(conn_tls, a_wrong_host_is_told_as_such)
{
    certs_or_skip();
    open_rig(NULL);
    dial("wrong-host", "localhost");
    serve_until(owner.closed == 1);
    cr_assert_eq(owner.err, R2A_ERR_TLS_WRONG_HOST);
    cr_assert_eq(owner.connected, 0);
    serve_until(owner.released == 1);
    close_rig();
}

Test(conn_tls, an_end_without_close_notify_is_truncation)
{
    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    serve_until(owner.connected == 1);
    server_write(server, "half", 4);
    serve_until(owner.got_len == 4);
    shutdown(server_fd, SHUT_WR);
    rig_until(&rig, owner.closed == 1);
    cr_assert_eq(owner.err, R2A_ERR_TLS_TRUNCATED);
    close_rig();
}

Test(conn_tls, close_notify_is_an_end)
{
    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    serve_until(owner.connected == 1);
    server_write(server, "all", 3);
    br_ssl_engine_close(&server->ctx.eng);
    serve_until(owner.eofs == 1);
    cr_assert_eq(owner.got_len, 3);
    cr_assert_eq(owner.closed, 0);
    conn_close(owner.conn);
    rig_until(&rig, owner.released == 1);
    close_rig();
}

Test(conn_tls, an_end_within_the_handshake_is_told)
{
    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    rig_settle(&rig);
    close(server_fd);
    server_fd = -1;
    rig_until(&rig, owner.closed == 1);
    cr_assert(owner.err == R2A_ERR_PEER_EOF || owner.err == R2A_ERR_PEER_RESET, "%s",
              r2a_err_name(owner.err));
    close_rig();
}

Test(conn_tls, carries_much_in_both_directions)
{
    size_t sent = 0, asked = 0;
    const size_t total = 1 << 20, up = 200000;

    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    serve_until(owner.connected == 1);
    while (asked < up) {
        char piece[1000];

        for (size_t i = 0; i < sizeof piece; i++)
            piece[i] = (char)rig_byte(asked + i);
        rope_put(conn_out(owner.conn), slice_of(piece, sizeof piece));
        asked += sizeof piece;
    }
    conn_flush(owner.conn);
    conn_want_writable(owner.conn, 0);
    serve_until(server->got_len == up);
    for (size_t i = 0; i < up; i++)
        cr_assert_eq((uint8_t)server->got[i], rig_byte(i));
    serve_until(owner.writables == 1);
    while (owner.got_len < total) {
        size_t room;
        unsigned char *window = br_ssl_engine_sendapp_buf(&server->ctx.eng, &room);

        if (window != NULL && sent < total) {
            room = room < total - sent ? room : total - sent;
            for (size_t i = 0; i < room; i++)
                window[i] = rig_byte(sent + i);
            br_ssl_engine_sendapp_ack(&server->ctx.eng, room);
            br_ssl_engine_flush(&server->ctx.eng, 0);
            sent += room;
        }
        serve();
        loop_tick(&rig.loop, 0);
        if (sent % 3 == 0) { /* pauses in between lose nothing */
            conn_read_pause(owner.conn);
            rig_settle(&rig);
            conn_read_resume(owner.conn);
        }
    }
    for (size_t i = 0; i < total; i++)
        cr_assert_eq((uint8_t)owner.got[i], rig_byte(i), "byte %zu", i);
    close_rig();
}

Test(conn_tls, reads_into_its_place)
{
    static char body[40000];

    certs_or_skip();
    open_rig(NULL);
    dial("good", "localhost");
    serve_until(owner.connected == 1);
    conn_read_into(owner.conn, body, sizeof body);
    owner.fill_left = 1;
    for (size_t at = 0; at < sizeof body + 10; at += 10) {
        server_write(server, "0123456789", 10);
        serve();
        if (at % 1000 == 0)
            loop_tick(&rig.loop, 0);
    }
    serve_until(owner.got_len == 10);
    cr_assert_eq(owner.fill_left, 0);
    for (size_t at = 0; at < sizeof body; at += 10)
        cr_assert_arr_eq(body + at, "0123456789", 10);
    close_rig();
}
