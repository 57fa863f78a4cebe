/* A fast upstream for the benchmark: one thread, epoll, plain TCP and TLS 1.2 (BearSSL's server
 * engine). It answers in the four protocols, whole or streamed (mock_answers.c has the words), and
 * paces streams as the request's model id says:
 *
 *   mk-SIZE-MODE PERIOD      for example mk-1024-p0, mk-250-e2000, mk-250-t10000
 *
 * SIZE: bytes of the answer (mode p) or of an event. MODE: p plain answer; e streams spread evenly
 * over the period; t all streams together; u unpaced; w waiting: one content event, then silence.
 * PERIOD: microseconds between a stream's events; a stream lasts until the client leaves. Each
 * event is a write of its own; its text starts with `@` and the 16 hexadecimal digits of the
 * CLOCK_MONOTONIC nanosecond it was due, by which load.c measures.
 *
 * GET /stats answers the counts as JSON. */
#include "mock_answers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bearssl.h>

#define CONNS_MAX     20000u
#define REQUEST_MAX   (8u << 20)
#define UNPACED_BURST 16
#define CACHE_BYTES   (512u << 10)

enum mode { PLAIN, SPREAD, TOGETHER, UNPACED, WAITING };

struct tls {
    br_ssl_server_context server;
    unsigned char buf[BR_SSL_BUFSIZE_BIDI];
};

struct conn {
    int fd;
    bool is_listener, is_tls_listener;
    bool is_armed_out, is_streaming, is_dead;
    enum mode mode;
    uint64_t period_ns, due_ns;
    uint32_t events_count;
    uint32_t heap_at; /* 1-based; 0: not in the heap */
    struct conn *busy_next, *busy_prev;
    bool is_busy;
    const struct shape *shape;
    struct bytes in;  /* an incomplete request */
    struct bytes out; /* what the socket (or the engine) did not take */
    struct tls *tls;
};

static struct conn *heap[CONNS_MAX + 1];
static uint32_t heap_count;
static struct conn busy = {.busy_next = &busy, .busy_prev = &busy};
static int poller;
static uint64_t conns_total, conns_open, requests, chunks, skipped, handshakes, streams_started;
static volatile sig_atomic_t is_stopping;

static br_x509_certificate chain[4];
static size_t chain_len;
static br_skey_decoder_context key;
static br_ssl_session_cache_lru sessions;
static unsigned char sessions_store[CACHE_BYTES];
static bool has_sessions = true;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- timers: a binary heap of streams by the time their next event is due --- */

static void heap_set(uint32_t at, struct conn *conn)
{
    heap[at] = conn;
    conn->heap_at = at;
}

static void heap_up(uint32_t at)
{
    struct conn *conn = heap[at];

    for (; at > 1 && heap[at / 2]->due_ns > conn->due_ns; at /= 2)
        heap_set(at, heap[at / 2]);
    heap_set(at, conn);
}

static void heap_down(uint32_t at)
{
    struct conn *conn = heap[at];

    for (;;) {
        uint32_t child = at * 2;

        if (child > heap_count)
            break;
        if (child < heap_count && heap[child + 1]->due_ns < heap[child]->due_ns)
            child++;
        if (heap[child]->due_ns >= conn->due_ns)
            break;
        heap_set(at, heap[child]);
        at = child;
    }
    heap_set(at, conn);
}

static void heap_remove(struct conn *conn)
{
    uint32_t at = conn->heap_at;
    struct conn *last;

    if (at == 0)
        return;
    conn->heap_at = 0;
    last = heap[heap_count--];
    if (last == conn)
        return;
    heap_set(at, last);
    heap_up(at);
    heap_down(last->heap_at);
}

static void heap_insert(struct conn *conn)
{
    heap_set(++heap_count, conn);
    heap_up(heap_count);
}

static void busy_set(struct conn *conn, bool is_busy)
{
    if (conn->is_busy == is_busy)
        return;
    conn->is_busy = is_busy;
    if (is_busy) {
        conn->busy_next = &busy;
        conn->busy_prev = busy.busy_prev;
        busy.busy_prev->busy_next = conn;
        busy.busy_prev = conn;
    } else {
        conn->busy_prev->busy_next = conn->busy_next;
        conn->busy_next->busy_prev = conn->busy_prev;
    }
}

/* --- sockets --- */

static void arm(struct conn *conn, bool is_out)
{
    struct epoll_event event = {.events = EPOLLIN | (is_out ? EPOLLOUT : 0u), .data.ptr = conn};

    if (conn->is_armed_out == is_out)
        return;
    conn->is_armed_out = is_out;
    epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event);
}

static struct conn
    *graveyard; /* closed in this round; events of the same batch may still name them */

static void close_conn(struct conn *conn)
{
    if (conn->is_dead)
        return;
    conn->is_dead = true;
    heap_remove(conn);
    busy_set(conn, false);
    close(conn->fd);
    conns_open--;
    conn->busy_next = graveyard;
    graveyard = conn;
}

static void bury(void)
{
    while (graveyard) {
        struct conn *conn = graveyard;

        graveyard = conn->busy_next;
        free(conn->in.ptr);
        free(conn->out.ptr);
        free(conn->tls);
        free(conn);
    }
}

/* Records to the socket. False: it is full. */
static bool pump_records(struct conn *conn)
{
    br_ssl_engine_context *engine = &conn->tls->server.eng;
    unsigned char *ptr;
    size_t len;

    while ((ptr = br_ssl_engine_sendrec_buf(engine, &len)) != NULL) {
        ssize_t n = send(conn->fd, ptr, len, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno != EAGAIN)
                close_conn(conn);
            return false;
        }
        br_ssl_engine_sendrec_ack(engine, (size_t)n);
    }
    return true;
}

/* How many bytes were taken. */
static size_t push(struct conn *conn, const char *ptr, size_t len)
{
    size_t done = 0;

    if (conn->tls == NULL) {
        ssize_t n = send(conn->fd, ptr, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) {
            close_conn(conn);
            return len;
        }
        return n < 0 ? 0 : (size_t)n;
    }
    while (done < len) {
        size_t room;
        unsigned char *to = br_ssl_engine_sendapp_buf(&conn->tls->server.eng, &room);

        if (to == NULL)
            break;
        if (room > len - done)
            room = len - done;
        memcpy(to, ptr + done, room);
        done += room;
        br_ssl_engine_sendapp_ack(&conn->tls->server.eng, room);
        br_ssl_engine_flush(&conn->tls->server.eng, 0);
        if (!pump_records(conn))
            break;
    }
    return conn->is_dead ? len : done;
}

static bool is_clogged(struct conn *conn)
{
    size_t room;

    return conn->out.len > 0 ||
           (conn->tls && br_ssl_engine_sendrec_buf(&conn->tls->server.eng, &room) != NULL);
}

static void put(struct conn *conn, const char *ptr, size_t len)
{
    if (conn->out.len == 0) {
        size_t n = push(conn, ptr, len);

        if (conn->is_dead)
            return;
        ptr += n;
        len -= n;
    }
    bytes_add(&conn->out, ptr, len);
    arm(conn, is_clogged(conn));
}

/* --- streams --- */

static void send_event(struct conn *conn, uint64_t due_ns)
{
    answers_stamp(conn->shape, due_ns, conn->events_count++);
    put(conn, conn->shape->whole.ptr, conn->shape->whole.len);
    chunks++;
}

static void begin_stream(struct conn *conn)
{
    const struct bytes *opening = answers_opening(conn->shape->dialect);
    uint64_t now = now_ns();
    uint64_t number = streams_started++;

    conn->is_streaming = true;
    put(conn, opening->ptr, opening->len);
    if (!conn->is_dead)
        send_event(conn, now);
    if (conn->is_dead || conn->mode == WAITING)
        return;
    if (conn->mode == UNPACED) {
        busy_set(conn, true);
        return;
    }
    /* Phases by the golden ratio: any number of streams in a row is spread evenly. */
    uint64_t phase = 0;

    if (conn->mode == SPREAD)
        phase = (uint64_t)((double)((number * 2654435769u) & 0xffffffffu) / 4294967296.0 *
                           (double)conn->period_ns);
    conn->due_ns = (now / conn->period_ns + 1) * conn->period_ns + phase;
    heap_insert(conn);
}

static uint64_t fire_due(uint64_t now)
{
    while (heap_count > 0 && heap[1]->due_ns <= now) {
        struct conn *conn = heap[1];

        if (is_clogged(conn))
            skipped++;
        else
            send_event(conn, conn->due_ns);
        if (conn->is_dead)
            continue;
        conn->due_ns += conn->period_ns;
        heap_down(1);
    }
    return heap_count > 0 ? heap[1]->due_ns : UINT64_MAX;
}

static void feed_busy(void)
{
    struct conn *next;

    for (struct conn *conn = busy.busy_next; conn != &busy; conn = next) {
        next = conn->busy_next;
        for (int i = 0; i < UNPACED_BURST && conn->is_busy; i++) {
            if (is_clogged(conn)) {
                busy_set(conn, false); /* back when it is writable */
                break;
            }
            send_event(conn, now_ns());
        }
    }
}

/* --- requests --- */

static void answer_stats(struct conn *conn)
{
    char body[512];
    char head[256];
    int n = snprintf(
        body, sizeof(body),
        "{\"connections\":%llu,\"open\":%llu,\"handshakes\":%llu,\"requests\":%llu,\"chunks\":%llu,"
        "\"skipped\":%llu}\n",
        (unsigned long long)conns_total, (unsigned long long)conns_open,
        (unsigned long long)handshakes, (unsigned long long)requests, (unsigned long long)chunks,
        (unsigned long long)skipped);
    int m = snprintf(
        head, sizeof(head),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n", n);

    put(conn, head, (size_t)m);
    if (!conn->is_dead)
        put(conn, body, (size_t)n);
}

static void answer(struct conn *conn, const char *head, size_t head_len, const char *body,
                   size_t body_len)
{
    const char *mark = memmem(head, head_len, "mk-", 3); /* Gemini's model is in the path */
    unsigned long long size = 1024, period = 0;
    char text[64] = {0};
    char mode = 'p';

    requests++;
    if (memmem(head, 16, "/stats", 6)) {
        answer_stats(conn);
        return;
    }
    if (mark == NULL)
        mark = memmem(body, body_len, "mk-", 3);
    if (mark) {
        size_t left = (size_t)(body + body_len - mark);

        memcpy(text, mark, left < sizeof(text) - 1 ? left : sizeof(text) - 1);
        sscanf(text, "mk-%llu-%c%llu", &size, &mode, &period);
    }
    conn->mode = mode == 'e'   ? SPREAD
                 : mode == 't' ? TOGETHER
                 : mode == 'u' ? UNPACED
                 : mode == 'w' ? WAITING
                               : PLAIN;
    conn->period_ns = (period ? period : 1000) * 1000;
    conn->shape = answers_shape(answers_dialect(head, head_len), conn->mode != PLAIN, (size_t)size);
    if (conn->mode == PLAIN)
        put(conn, conn->shape->whole.ptr, conn->shape->whole.len);
    else
        begin_stream(conn);
}

static size_t length_of(const char *head, size_t len)
{
    const char *line = head;

    while ((line = memchr(line, '\n', (size_t)(head + len - line))) != NULL) {
        line++;
        if (head + len - line > 15 && strncasecmp(line, "content-length:", 15) == 0)
            return (size_t)strtoull(line + 15, NULL, 10);
    }
    return 0;
}

/* Answers every complete request in `ptr`; returns what was used. */
static size_t take_requests(struct conn *conn, const char *ptr, size_t len)
{
    size_t used = 0;

    while (used < len && !conn->is_dead) {
        const char *head = ptr + used;
        const char *end = memmem(head, len - used, "\r\n\r\n", 4);
        size_t head_len, body_len;

        if (end == NULL)
            break;
        head_len = (size_t)(end + 4 - head);
        body_len = length_of(head, head_len);
        if (body_len > len - used - head_len)
            break;
        answer(conn, head, head_len, head + head_len, body_len);
        used += head_len + body_len;
    }
    return used;
}

static void on_bytes(struct conn *conn, const char *ptr, size_t len)
{
    size_t used;

    if (conn->in.len == 0) {
        used = take_requests(conn, ptr, len);
        if (!conn->is_dead)
            bytes_add(&conn->in, ptr + used, len - used);
        return;
    }
    bytes_add(&conn->in, ptr, len);
    used = take_requests(conn, conn->in.ptr, conn->in.len);
    if (conn->is_dead || used == 0)
        return;
    if (used == conn->in.len) {
        free(conn->in.ptr);
        conn->in = (struct bytes){0};
    } else {
        memmove(conn->in.ptr, conn->in.ptr + used, conn->in.len - used);
        conn->in.len -= used;
    }
}

static void on_records(struct conn *conn, const char *ptr, size_t len)
{
    br_ssl_engine_context *engine = &conn->tls->server.eng;

    for (;;) {
        size_t n;
        unsigned char *at;
        unsigned state = br_ssl_engine_current_state(engine);

        if (state & BR_SSL_CLOSED) {
            if (getenv("MOCK_VERBOSE"))
                fprintf(stderr, "mock: TLS closed, error %d\n", br_ssl_engine_last_error(engine));
            close_conn(conn);
            return;
        }
        if (!pump_records(conn)) {
            if (!conn->is_dead)
                arm(conn, true);
            return;
        }
        if ((at = br_ssl_engine_recvapp_buf(engine, &n)) != NULL) {
            on_bytes(conn, (const char *)at, n);
            if (conn->is_dead)
                return;
            br_ssl_engine_recvapp_ack(engine, n);
            continue;
        }
        if (len == 0 || (at = br_ssl_engine_recvrec_buf(engine, &n)) == NULL)
            return;
        if (n > len)
            n = len;
        memcpy(at, ptr, n);
        br_ssl_engine_recvrec_ack(engine, n);
        ptr += n;
        len -= n;
    }
}

static void on_readable(struct conn *conn)
{
    static char staging[1 << 18];

    ssize_t n = recv(conn->fd, staging, sizeof(staging), 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || conn->in.len > REQUEST_MAX) {
        close_conn(conn);
        return;
    }
    if (conn->tls)
        on_records(conn, staging, (size_t)n);
    else
        on_bytes(conn, staging, (size_t)n);
}

static void on_writable(struct conn *conn)
{
    if (conn->tls && !pump_records(conn))
        return;
    if (conn->out.len > 0) {
        size_t n = push(conn, conn->out.ptr, conn->out.len);

        if (conn->is_dead)
            return;
        memmove(conn->out.ptr, conn->out.ptr + n, conn->out.len - n);
        conn->out.len -= n;
    }
    if (is_clogged(conn))
        return;
    arm(conn, false);
    if (conn->is_streaming && conn->mode == UNPACED)
        busy_set(conn, true);
}

static void start_tls(struct conn *conn)
{
    struct tls *tls = conn->tls = calloc(1, sizeof(*tls));

    if (tls == NULL)
        die("calloc");
    br_ssl_server_init_full_ec(&tls->server, chain, chain_len, BR_KEYTYPE_EC, &key.key.ec);
    br_ssl_engine_set_buffer(&tls->server.eng, tls->buf, sizeof(tls->buf), 1);
    if (has_sessions)
        br_ssl_server_set_cache(&tls->server, &sessions.vtable);
    br_ssl_server_reset(&tls->server);
    handshakes++;
}

static void accept_all(struct conn *listener)
{
    for (int i = 0; i < 64; i++) {
        int one = 1;
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *conn;
        struct epoll_event event = {.events = EPOLLIN};

        if (fd < 0)
            return;
        conn = calloc(1, sizeof(*conn));
        if (conn == NULL || conns_open + 16 > CONNS_MAX) {
            free(conn);
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        conn->fd = fd;
        conns_total++;
        conns_open++;
        if (listener->is_tls_listener)
            start_tls(conn);
        event.data.ptr = conn;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static void listen_on(struct conn *listener, const char *port, bool is_tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listener = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                              .is_listener = true,
                              .is_tls_listener = is_tls};
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener->fd, 4096) != 0)
        die("listen");
    epoll_ctl(poller, EPOLL_CTL_ADD, listener->fd, &event);
}

/* --- certificates --- */

static void gather(void *bytes, const void *ptr, size_t len)
{
    bytes_add(bytes, ptr, len);
}

static void gather_key(void *decoder, const void *ptr, size_t len)
{
    br_skey_decoder_push(decoder, ptr, len);
}

static void read_pem(const char *path, bool is_key)
{
    static char text[1 << 16];
    br_pem_decoder_context decoder;
    struct bytes der = {0};
    FILE *file = fopen(path, "r");
    size_t at = 0, len;

    if (file == NULL)
        die(path);
    len = fread(text, 1, sizeof(text), file);
    fclose(file);
    br_pem_decoder_init(&decoder);
    while (at < len) {
        at += br_pem_decoder_push(&decoder, text + at, len - at);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            if (!is_key) {
                br_pem_decoder_setdest(&decoder, gather, &der);
            } else if (strstr(br_pem_decoder_name(&decoder), "PRIVATE KEY")) {
                br_skey_decoder_init(&key);
                br_pem_decoder_setdest(&decoder, gather_key, &key);
            }
            break;
        case BR_PEM_END_OBJ:
            if (!is_key && chain_len < 4) {
                chain[chain_len].data = (unsigned char *)der.ptr;
                chain[chain_len++].data_len = der.len;
                der = (struct bytes){0};
            }
            br_pem_decoder_setdest(&decoder, NULL, NULL);
            break;
        default:
            break;
        }
    }
}

static void on_stop(int number)
{
    (void)number;
    is_stopping = 1;
}

int main(int argc, char **argv)
{
    static struct conn listeners[2];
    struct rlimit files;

    if (argc != 2 && argc != 5) {
        fprintf(stderr, "usage: mock_upstream PORT [TLS_PORT CHAIN.pem EC_KEY.pem]\n");
        return 2;
    }
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    has_sessions = getenv("MOCK_NO_SESSIONS") == NULL;
    br_ssl_session_cache_lru_init(&sessions, sessions_store, sizeof(sessions_store));
    listen_on(&listeners[0], argv[1], false);
    if (argc == 5) {
        read_pem(argv[3], false);
        read_pem(argv[4], true);
        if (chain_len == 0 || br_skey_decoder_key_type(&key) != BR_KEYTYPE_EC) {
            fprintf(stderr, "mock_upstream: no chain, or no EC key\n");
            return 1;
        }
        listen_on(&listeners[1], argv[2], true);
    }
    while (!is_stopping) {
        struct epoll_event events[256];
        uint64_t due = fire_due(now_ns());
        uint64_t now = now_ns();
        struct timespec wait = {.tv_sec = 0};
        int count;

        if (busy.busy_next == &busy && due > now) {
            uint64_t ns = due == UINT64_MAX ? 1000000000u : due - now;

            wait.tv_sec = (time_t)(ns / 1000000000u);
            wait.tv_nsec = (long)(ns % 1000000000u);
        }
        count = epoll_pwait2(poller, events, 256, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;

            if (conn->is_listener) {
                accept_all(conn);
                continue;
            }
            if (!conn->is_dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(conn);
            if (!conn->is_dead && events[i].events & EPOLLOUT)
                on_writable(conn);
        }
        feed_busy();
        bury();
    }
    fprintf(stderr, "mock_upstream: %llu connections, %llu requests, %llu chunks, %llu skipped\n",
            (unsigned long long)conns_total, (unsigned long long)requests,
            (unsigned long long)chunks, (unsigned long long)skipped);
    return 0;
}
