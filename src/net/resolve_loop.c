/* Drives the resolver on a loop: one socket a lane, the wheel's timer, the two files.
 *
 * A lane that the machine closes may still have operations in flight, so its socket lives on until
 * they are joined, while the lane's number may be in use again. Sockets are plain descriptors: few,
 * short-lived, on the control thread. */
#include "r2a/net/resolve_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dns.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"

#define LANES          (2 * RESOLVE_LOOKUPS_MAX)
#define SOCKETS_MAX    (2 * LANES) /* as many again may be on their way out */
#define UDP_BYTES      4096u
#define TCP_BYTES      (2u + DNS_MESSAGE_BYTES_MAX)
#define MESSAGES_MAX   2u /* A and AAAA */
#define LOOK_MS        1000u
#define PATH_BYTES_MAX 256u

struct sock {
    struct op recv_op;
    struct op send_op;
    struct op connect_op;
    struct resolve_loop *service;
    struct sock *next_free;
    char *in;
    size_t in_len;
    size_t in_size;
    uint32_t lane;
    int fd;
    uint8_t ops_count;
    uint8_t messages; /* to send */
    uint8_t message_at;
    bool is_tcp;
    bool is_connected;
    bool is_closing;
    uint16_t sent; /* of the message at message_at */
    uint16_t message_len[MESSAGES_MAX];
    unsigned char message[MESSAGES_MAX][2 + DNS_QUERY_BYTES_MAX];
    struct sockaddr_storage addr;
    char udp[UDP_BYTES];
};

struct file {
    char path[PATH_BYTES_MAX];
    struct timespec mtime;
    off_t size;
    ino_t ino;
    bool is_known;
};

struct resolve_loop {
    struct loop *loop;
    struct resolver *resolver;
    struct timer timer;
    struct loop_defer defer; /* the end of closing */
    struct file hosts;
    struct file conf;
    uint64_t looked_ms;
    bool is_closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    uint32_t sockets; /* in use */
    uint32_t sockets_touched;
    struct sock *free_first;
    struct sock *lanes[LANES];
    struct sock socks[SOCKETS_MAX];
    char text[RESOLVE_FILE_BYTES_MAX];
};

/* --- files --- */

/* Reads the file when it is another than before. False: nothing new. A file that is not there is an
 * empty one. */
static bool read_if_changed(struct resolve_loop *service, struct file *file, struct slice *text)
{
    struct stat stat_buf;
    size_t len = 0;
    int fd;

    *text = (struct slice){0};
    if (stat(file->path, &stat_buf) != 0)
        memset(&stat_buf, 0, sizeof(stat_buf));
    if (file->is_known && stat_buf.st_ino == file->ino && stat_buf.st_size == file->size &&
        stat_buf.st_mtim.tv_sec == file->mtime.tv_sec &&
        stat_buf.st_mtim.tv_nsec == file->mtime.tv_nsec)
        return false;
    file->is_known = true;
    file->ino = stat_buf.st_ino;
    file->size = stat_buf.st_size;
    file->mtime = stat_buf.st_mtim;
    fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return true;
    while (len < sizeof(service->text)) {
        ssize_t got = read(fd, service->text + len, sizeof(service->text) - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    (void)close(fd);
    *text = slice_of(service->text, len);
    return true;
}

/* Whether a packet to the IPv6 internet would have a way out. None is sent. */
static bool has_v6(void)
{
    struct ip_addr somewhere = {.len = 16, .bytes = {0x20, 0x00, [15] = 1}};
    struct sockaddr_storage addr;
    socklen_t len = ip_addr_to_sockaddr(&somewhere, 53, &addr);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_reachable;

    if (fd < 0)
        return false;
    is_reachable = connect(fd, (const struct sockaddr *)&addr, len) == 0;
    (void)close(fd);
    return is_reachable;
}

static void look_at_files(struct resolve_loop *service)
{
    uint64_t now_ms = loop_now_ms(service->loop);
    struct slice text;

    if (service->looked_ms != 0 && now_ms - service->looked_ms < LOOK_MS)
        return;
    service->looked_ms = now_ms > 0 ? now_ms : 1;
    if (read_if_changed(service, &service->hosts, &text))
        resolver_set_hosts(service->resolver, text);
    if (read_if_changed(service, &service->conf, &text))
        resolver_set_conf(service->resolver, text);
    resolver_set_v6(service->resolver, has_v6());
}

/* --- time --- */

/* After everything that happened to the machine. */
static void set_timer(struct resolve_loop *service)
{
    uint64_t next_ms;

    if (service->is_closing)
        return;
    next_ms = resolver_next_ms(service->resolver);
    if (next_ms == UINT64_MAX)
        loop_timer_cancel(service->loop, &service->timer);
    else
        loop_timer_arm(service->loop, &service->timer, next_ms);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    struct resolve_loop *service = container_of(timer, struct resolve_loop, timer);

    resolver_on_time(service->resolver, now_ms);
    set_timer(service);
}

/* --- sockets --- */

static void end_close(struct loop_defer *defer)
{
    struct resolve_loop *service = container_of(defer, struct resolve_loop, defer);
    void (*closed)(void *ctx) = service->closed;
    void *ctx = service->closed_ctx;

    check(munmap(service, sizeof(*service)) == 0);
    if (closed != NULL)
        closed(ctx);
}

static void free_if_over(struct sock *sock)
{
    struct resolve_loop *service = sock->service;

    if (!sock->is_closing || sock->ops_count > 0)
        return;
    (void)close(sock->fd);
    if (sock->is_tcp && sock->in != NULL)
        check(munmap(sock->in, TCP_BYTES) == 0);
    sock->next_free = service->free_first;
    service->free_first = sock;
    service->sockets--;
    if (service->is_closing && service->sockets == 0)
        loop_defer(service->loop, &service->defer);
}

static void close_sock(struct sock *sock)
{
    struct op *ops[] = {&sock->recv_op, &sock->send_op, &sock->connect_op};

    check(!sock->is_closing);
    sock->is_closing = true;
    sock->service->lanes[sock->lane] = NULL;
    for (size_t i = 0; i < array_count(ops); i++) {
        if (ops[i]->state == OP_ARMED)
            engine_cancel(sock->service->loop->engine, ops[i]);
    }
    free_if_over(sock);
}

static void arm(struct sock *sock, struct op *op)
{
    sock->ops_count++;
    loop_arm(sock->service->loop, op);
}

static void break_sock(struct sock *sock)
{
    struct resolve_loop *service = sock->service;

    resolver_on_error(service->resolver, sock->lane, loop_now_ms(service->loop));
    set_timer(service);
}

static void on_recv(struct op *op, struct op_result result);

static void arm_recv(struct sock *sock)
{
    sock->recv_op = (struct op){
        .fn = on_recv,
        .kind = OP_RECV_INTO,
        .handle = sock->fd,
        .ptr = sock->in + sock->in_len,
        .len = (uint32_t)(sock->in_size - sock->in_len),
    };
    arm(sock, &sock->recv_op);
}

/* Hands over every whole message of a TCP stream; false when the lane was closed meanwhile. */
static bool deliver_stream(struct sock *sock)
{
    struct resolve_loop *service = sock->service;
    size_t at = 0;

    while (sock->in_len - at >= 2) {
        const unsigned char *head = (const unsigned char *)sock->in + at;
        size_t len = (size_t)(head[0] << 8 | head[1]);

        if (sock->in_len - at - 2 < len)
            break;
        resolver_on_message(service->resolver, sock->lane, slice_of(sock->in + at + 2, len),
                            loop_now_ms(service->loop));
        if (sock->is_closing)
            return false;
        at += 2 + len;
    }
    memmove(sock->in, sock->in + at, sock->in_len - at);
    sock->in_len -= at;
    return true;
}

static void on_recv(struct op *op, struct op_result result)
{
    struct sock *sock = container_of(op, struct sock, recv_op);
    struct resolve_loop *service = sock->service;

    check(sock->ops_count > 0);
    if (sock->is_closing) {
        sock->ops_count--;
        free_if_over(sock);
        return;
    }
    /* Counted until the end, so that the socket outlives its lane's closing in here. */
    if (result.res < 0 || (result.res == 0 && sock->is_tcp)) {
        break_sock(sock);
    } else if (sock->is_tcp) {
        sock->in_len += (size_t)result.res;
        if (deliver_stream(sock))
            arm_recv(sock);
    } else {
        /* The kernel let only datagrams of the connected server through. */
        resolver_on_message(service->resolver, sock->lane, slice_of(sock->in, (size_t)result.res),
                            loop_now_ms(service->loop));
        if (!sock->is_closing)
            arm_recv(sock);
    }
    sock->ops_count--;
    free_if_over(sock);
    set_timer(service);
}

static void on_send(struct op *op, struct op_result result);

static void send_next(struct sock *sock)
{
    struct iovec vec;
    size_t skip = sock->is_tcp ? 0 : 2; /* the length goes before it on streams only */

    if (sock->send_op.state == OP_ARMED || !sock->is_connected ||
        sock->message_at == sock->messages)
        return;
    vec.iov_base = sock->message[sock->message_at] + skip + sock->sent;
    vec.iov_len = sock->message_len[sock->message_at] - skip - sock->sent;
    sock->send_op =
        (struct op){.fn = on_send, .kind = OP_SEND, .handle = sock->fd, .ptr = &vec, .len = 1};
    arm(sock, &sock->send_op);
}

static void on_send(struct op *op, struct op_result result)
{
    struct sock *sock = container_of(op, struct sock, send_op);
    size_t skip = sock->is_tcp ? 0 : 2;

    check(sock->ops_count > 0);
    sock->ops_count--;
    if (sock->is_closing) {
        free_if_over(sock);
        return;
    }
    if (result.res < 0) {
        break_sock(sock);
        return;
    }
    sock->sent = (uint16_t)(sock->sent + result.res);
    if (sock->sent == sock->message_len[sock->message_at] - skip) {
        sock->sent = 0;
        sock->message_at++;
    }
    send_next(sock);
}

static void on_connect(struct op *op, struct op_result result)
{
    struct sock *sock = container_of(op, struct sock, connect_op);

    check(sock->ops_count > 0);
    sock->ops_count--;
    if (sock->is_closing) {
        free_if_over(sock);
        return;
    }
    if (result.res < 0) {
        break_sock(sock);
        return;
    }
    sock->is_connected = true;
    arm_recv(sock);
    send_next(sock);
}

/* --- what the machine asks for --- */

static struct sock *take_sock(struct resolve_loop *service)
{
    struct sock *sock = service->free_first;

    if (sock != NULL) {
        service->free_first = sock->next_free;
    } else {
        if (service->sockets_touched == SOCKETS_MAX)
            return NULL;
        sock = &service->socks[service->sockets_touched++];
    }
    memset(sock, 0, offsetof(struct sock, udp));
    sock->service = service;
    service->sockets++;
    return sock;
}

static void give_back(struct sock *sock)
{
    sock->next_free = sock->service->free_first;
    sock->service->free_first = sock;
    sock->service->sockets--;
}

static bool open_lane(void *ctx, uint32_t lane, uint32_t index, bool is_tcp)
{
    struct resolve_loop *service = ctx;
    const struct resolver_server *servers;
    uint32_t count = resolver_servers(service->resolver, &servers);
    struct sock *sock = take_sock(service);
    const struct resolver_server *server = &servers[index % count];
    socklen_t len;

    check(lane < LANES && service->lanes[lane] == NULL);
    if (sock == NULL)
        return false;
    sock->lane = lane;
    sock->is_tcp = is_tcp;
    sock->in = sock->udp;
    sock->in_size = sizeof(sock->udp);
    if (is_tcp) {
        sock->in_size = TCP_BYTES;
        sock->in =
            mmap(NULL, TCP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (sock->in == MAP_FAILED)
            goto fail;
    }
    len = ip_addr_to_sockaddr(&server->addr, server->port, &sock->addr);
    sock->fd = socket(sock->addr.ss_family,
                      (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock->fd < 0)
        goto fail_memory;
    if (!is_tcp) {
        /* Binds to a port of the kernel's random choice, too. Does not wait. */
        if (connect(sock->fd, (const struct sockaddr *)&sock->addr, len) != 0)
            goto fail_socket;
        sock->is_connected = true;
        arm_recv(sock);
    } else {
        sock->connect_op = (struct op){.fn = on_connect,
                                       .kind = OP_CONNECT,
                                       .handle = sock->fd,
                                       .ptr = &sock->addr,
                                       .len = len};
        arm(sock, &sock->connect_op);
    }
    service->lanes[lane] = sock;
    return true;
fail_socket:
    (void)close(sock->fd);
fail_memory:
    if (is_tcp)
        check(munmap(sock->in, TCP_BYTES) == 0);
fail:
    give_back(sock);
    return false;
}

static void send_message(void *ctx, uint32_t lane, struct slice message)
{
    struct resolve_loop *service = ctx;
    struct sock *sock = service->lanes[lane];
    unsigned char *to;

    check(sock != NULL && !sock->is_closing);
    check(sock->messages < MESSAGES_MAX);
    check(message.len <= DNS_QUERY_BYTES_MAX);
    to = sock->message[sock->messages];
    to[0] = (unsigned char)(message.len >> 8);
    to[1] = (unsigned char)message.len;
    memcpy(to + 2, message.ptr, message.len);
    sock->message_len[sock->messages] = (uint16_t)(2 + message.len);
    sock->messages++;
    send_next(sock);
}

static void close_lane(void *ctx, uint32_t lane)
{
    struct resolve_loop *service = ctx;

    check(service->lanes[lane] != NULL);
    close_sock(service->lanes[lane]);
}

/* --- life --- */

static void set_path(struct file *file, const char *path, const char *usual)
{
    size_t len;

    if (path == NULL)
        path = usual;
    len = strlen(path);
    check(len < sizeof(file->path));
    memcpy(file->path, path, len + 1);
}

struct resolve_loop *resolve_loop_open(struct loop *loop, const struct resolve_loop_cfg *cfg)
{
    struct resolve_loop *service = mmap(NULL, sizeof(*service), PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct resolver_io io = {.open = open_lane, .send = send_message, .close = close_lane};

    if (service == MAP_FAILED)
        return NULL;
    io.ctx = service;
    service->loop = loop;
    service->resolver = resolver_open(&io);
    if (service->resolver == NULL) {
        check(munmap(service, sizeof(*service)) == 0);
        return NULL;
    }
    service->timer.fn = on_timer;
    service->defer.fn = end_close;
    set_path(&service->hosts, cfg != NULL ? cfg->hosts_path : NULL, "/etc/hosts");
    set_path(&service->conf, cfg != NULL ? cfg->conf_path : NULL, "/etc/resolv.conf");
    look_at_files(service);
    return service;
}

void resolve_loop_close(struct resolve_loop *service, void (*done)(void *ctx), void *ctx)
{
    service->is_closing = true;
    service->closed = done;
    service->closed_ctx = ctx;
    loop_timer_cancel(service->loop, &service->timer);
    resolver_close(service->resolver);
    service->resolver = NULL;
    if (service->sockets == 0)
        loop_defer(service->loop, &service->defer);
}

struct resolver *resolve_loop_resolver(struct resolve_loop *service)
{
    return service->resolver;
}

/* --- questions from other threads --- */

static void come_home(struct op *op, struct op_result result)
{
    struct resolve_ask *ask = container_of(op, struct resolve_ask, op);

    (void)result;
    ask->is_out = false;
    ask->done(ask);
}

static void send_home(struct resolve_ask *ask)
{
    ask->op = (struct op){.fn = come_home};
    loop_post(ask->home, &ask->op);
}

static void on_answer(struct resolve_query *query, const struct resolve_result *result)
{
    struct resolve_ask *ask = container_of(query, struct resolve_ask, query);

    ask->result = *result;
    send_home(ask);
}

/* On the service's loop. */
static void take_question(struct op *op, struct op_result result)
{
    struct resolve_ask *ask = container_of(op, struct resolve_ask, op);
    struct resolve_loop *service = ask->service;

    (void)result;
    if (service->is_closing) {
        ask->result = (struct resolve_result){.err = R2A_ERR_CANCELLED};
        send_home(ask);
        return;
    }
    look_at_files(service);
    ask->query = (struct resolve_query){.done = on_answer};
    resolver_ask(service->resolver, &ask->query, slice_of(ask->name, ask->name_len),
                 loop_now_ms(service->loop));
    set_timer(service);
}

void resolve_ask(struct resolve_loop *service, struct resolve_ask *ask, struct slice name,
                 resolve_ask_fn done)
{
    check(!ask->is_out);
    ask->is_out = true;
    ask->done = done;
    ask->service = service;
    ask->home = loop_current();
    check(ask->home != NULL);
    if (resolve_local(name, &ask->result)) {
        send_home(ask);
        return;
    }
    if (!resolve_name_is_valid(name)) {
        ask->result = (struct resolve_result){.err = R2A_ERR_INVALID};
        send_home(ask);
        return;
    }
    memcpy(ask->name, name.ptr, name.len);
    ask->name_len = (uint8_t)name.len;
    ask->op = (struct op){.fn = take_question};
    loop_post(service->loop, &ask->op);
}
