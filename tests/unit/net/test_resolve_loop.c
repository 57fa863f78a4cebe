/* The whole resolver on a loop, against real sockets: servers in a thread. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns_answer.h"
#include "r2a/net/resolve_loop.h"

struct dns_server {
    pthread_t thread;
    int udp;
    int tcp;
    int stop[2];
    uint16_t port;
    unsigned questions;
    unsigned by_tcp;
};

static uint16_t type_of(const unsigned char *question)
{
    size_t at = 12;

    while (question[at] != 0)
        at += 1u + question[at];
    return (uint16_t)(question[at + 1] << 8 | question[at + 2]);
}

/* Names that begin with t are answered by TCP only, ones with n do not exist. */
static size_t serve(struct dns_server *server, const unsigned char *question, size_t len,
                    bool is_tcp, unsigned char *to)
{
    uint16_t type = type_of(question);

    server->questions++;
    server->by_tcp += is_tcp;
    if (question[13] == 'n')
        return dns_answer(question, len, type, 3, 0, 0, false, to);
    if (question[13] == 't' && !is_tcp)
        return dns_answer(question, len, type, 0, 0, 0, true, to);
    return dns_answer(question, len, type, 0, is_tcp ? 16 : 2, 60, false, to);
}

static void *run_server(void *ctx)
{
    struct dns_server *server = ctx;
    unsigned char in[2048];
    unsigned char out[4096];

    for (;;) {
        fd_set set;
        int max = server->udp > server->tcp ? server->udp : server->tcp;

        max = max > server->stop[0] ? max : server->stop[0];
        FD_ZERO(&set);
        FD_SET(server->udp, &set);
        FD_SET(server->tcp, &set);
        FD_SET(server->stop[0], &set);
        if (select(max + 1, &set, NULL, NULL, NULL) < 0 || FD_ISSET(server->stop[0], &set))
            return NULL;
        if (FD_ISSET(server->udp, &set)) {
            struct sockaddr_in from;
            socklen_t from_len = sizeof(from);
            ssize_t len =
                recvfrom(server->udp, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
            size_t out_len = serve(server, in, (size_t)len, false, out);

            (void)!sendto(server->udp, out, out_len, 0, (struct sockaddr *)&from, from_len);
        }
        if (FD_ISSET(server->tcp, &set)) {
            int fd = accept(server->tcp, NULL, NULL);
            size_t got = 0;

            for (;;) {
                ssize_t len = recv(fd, in + got, sizeof(in) - got, 0);

                if (len <= 0)
                    break;
                got += (size_t)len;
                while (got >= 2 && got >= 2u + (size_t)(in[0] << 8 | in[1])) {
                    size_t one = (size_t)(in[0] << 8 | in[1]);
                    size_t out_len = serve(server, in + 2, one, true, out + 2);

                    out[0] = (unsigned char)(out_len >> 8);
                    out[1] = (unsigned char)out_len;
                    for (size_t i = 0; i < out_len + 2; i += 100) /* in pieces */
                        (void)!send(fd, out + i, out_len + 2 - i < 100 ? out_len + 2 - i : 100,
                                    MSG_NOSIGNAL);
                    got -= 2 + one;
                    memmove(in, in + 2 + one, got);
                }
            }
            close(fd);
        }
    }
}

static void server_start(struct dns_server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);

    *server = (struct dns_server){0};
    server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server->tcp, (struct sockaddr *)&addr, len), 0);
    cr_assert_eq(getsockname(server->tcp, (struct sockaddr *)&addr, &len), 0);
    cr_assert_eq(bind(server->udp, (struct sockaddr *)&addr, len), 0);
    cr_assert_eq(listen(server->tcp, 16), 0);
    server->port = ntohs(addr.sin_port);
    cr_assert_eq(pipe(server->stop), 0);
    cr_assert_eq(pthread_create(&server->thread, NULL, run_server, server), 0);
}

static void server_stop(struct dns_server *server)
{
    cr_assert_eq(write(server->stop[1], "x", 1), 1);
    pthread_join(server->thread, NULL);
    close(server->udp);
    close(server->tcp);
}

static struct resolve_ask *pending; /* the last question that was answered */

static void on_ask(struct resolve_ask *one)
{
    pending = one;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static const struct resolve_result *ask_on(struct loop *loop, struct resolve_loop *service,
                                           struct resolve_ask *one, const char *name)
{
    pending = NULL;
    resolve_ask(service, one, slice_from_z(name), on_ask);
    cr_assert_null(pending, "never before it returns");
    for (int i = 0; i < 1000 && pending == NULL; i++)
        loop_tick(loop, 50);
    cr_assert_eq(pending, one);
    return &one->result;
}

Test(resolve_loop, works_on_a_loop)
{
    static struct loop loop;
    struct loop_cfg cfg = {.engine_cfg = {.submissions = 64}};
    struct dns_server server;
    struct dns_server dead;
    char dir[] = "/tmp/r2a-resolve.XXXXXX";
    char hosts[64];
    char conf[64];
    struct resolve_loop *service;
    struct resolve_ask *one = aligned_alloc(32, sizeof(*one)); /* it holds an op */
    const struct resolve_result *result;
    bool is_closed = false;

    memset(one, 0, sizeof(*one));
    cr_assert_eq(loop_prepare(&loop), R2A_OK);
    if (loop_open(&loop, &cfg) != R2A_OK)
        cr_skip_test("io_uring is refused here");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
    snprintf(conf, sizeof(conf), "%s/conf", dir);
    write_file(hosts, "192.0.2.200 fixed.example\n");
    write_file(conf, "nameserver 127.0.0.1\n");
    server_start(&server);
    server_start(&dead); /* its port is closed again below: refused at once */
    server_stop(&dead);
    service = resolve_loop_open(&loop,
                                &(struct resolve_loop_cfg){.hosts_path = hosts, .conf_path = conf});
    cr_assert_not_null(service);

    struct resolver_server servers[2] = {
        {.addr = {.len = 4, .bytes = {127, 0, 0, 1}}, .port = dead.port},
        {.addr = {.len = 4, .bytes = {127, 0, 0, 1}}, .port = server.port},
    };

    resolver_set_servers(resolve_loop_resolver(service), servers, 2);
    result = ask_on(&loop, service, one, "localhost");
    cr_assert_eq(result->count, 2);
    result = ask_on(&loop, service, one, "192.0.2.1");
    cr_assert_eq(result->count, 1);
    result = ask_on(&loop, service, one, "no name");
    cr_assert_eq(result->err, R2A_ERR_INVALID);
    result = ask_on(&loop, service, one, "fixed.example");
    cr_assert_eq(result->addrs[0].bytes[3], 200);
    cr_assert_eq(server.questions, 0);

    result = ask_on(&loop, service, one, "api.example");
    cr_assert_eq(result->err, R2A_OK, "%s", r2a_err_name(result->err));
    cr_assert_eq(result->count, 4);
    cr_assert_eq(server.questions, 2);
    result = ask_on(&loop, service, one, "api.example");
    cr_assert_eq(result->count, 4);
    cr_assert_eq(server.questions, 2, "from the cache");
    result = ask_on(&loop, service, one, "no.example");
    cr_assert_eq(result->err, R2A_ERR_RESOLVE);
    result = ask_on(&loop, service, one, "tcp.example");
    cr_assert_eq(result->count, 16);
    cr_assert_eq(server.by_tcp, 2);

    /* Another file, looked at a second later. */
    write_file(hosts, "192.0.2.201 api.example\n192.0.2.202 api.example\n");
    usleep(1100000);
    result = ask_on(&loop, service, one, "api.example");
    cr_assert_eq(result->count, 2);

    /* Closing with a question under way: it is answered, sockets are joined. */
    pending = NULL;
    resolver_set_servers(resolve_loop_resolver(service), servers, 2);
    resolve_ask(service, one, S("late.example"), on_ask);
    loop_tick(&loop, 10);
    resolve_loop_close(service, on_closed, &is_closed);
    for (int i = 0; i < 100 && (pending == NULL || !is_closed); i++)
        loop_tick(&loop, 50);
    cr_assert(is_closed);
    cr_assert_eq(pending, one);
    server_stop(&server);
    loop_close(&loop);
    unlink(hosts);
    unlink(conf);
    rmdir(dir);
    free(one);
}
