/* The benchmark's client of streams, and its clock of other processes' CPU.
 *
 *   load cpu PID..                            nanoseconds of CPU the processes have used so far, in
 * all load stream [options] HOST_PORT PATH      keeps streams open and measures the events that
 * arrive load rate [options] HOST_PORT PATH        requests at a fixed rate, each on a connection
 * of its own
 *
 * Options: -b FILE body; -H LINE header, repeatable; -n STREAMS; -r RATE requests a second; -s
 * SECONDS measured; -p PID whose CPU and memory are measured, repeatable; -w SECONDS to settle
 * before that; -o open at once (256); -t SECONDS for all streams to produce their first event (20).
 *
 * Open loop: events carry the moment they were due (mock_upstream.c), so that delays are counted
 * from there however late sender, gateway or this program are. One JSON line comes out. Time to the
 * first event is counted from the request's sending. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 16000u
#define PIDS_MAX    8u
#define CARRY_BYTES 16u /* digits of a stamp cut between two reads */

/* Logarithmic buckets, 64 to a doubling: 1.1 % wide. */
#define HISTOGRAM_SUB     64u
#define HISTOGRAM_BUCKETS (64u * HISTOGRAM_SUB)

struct histogram {
    uint64_t count, max;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

struct stream {
    int fd;
    bool is_connected, has_status, is_lost, is_done;
    uint8_t carry_len;
    char carry[CARRY_BYTES];
    uint64_t sent_ns, first_ns, last_ns;
};

static struct stream streams[STREAMS_MAX];
static struct histogram first_event, delays, gaps;
static pid_t pids[PIDS_MAX];
static uint32_t pids_count;
static char *request;
static size_t request_len;
static struct sockaddr_in target;
static int poller;
static bool is_measuring;
static uint64_t events_seen, bytes_seen;
static uint32_t started, with_first, lost;
static char first_complaint[160];

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

static uint64_t cpu_ns(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < pids_count; i++) {
        struct timespec ts;
        clockid_t clock;

        if (clock_getcpuclockid(pids[i], &clock) != 0 || clock_gettime(clock, &ts) != 0) {
            fprintf(stderr, "load: no process %d\n", (int)pids[i]);
            exit(1);
        }
        sum += (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    }
    return sum;
}

/* Resident memory and page tables, in KiB. */
static uint64_t memory_kib(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < pids_count; i++) {
        char path[64], line[256];
        unsigned long long kib;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pids[i]);
        file = fopen(path, "r");
        while (file && fgets(line, sizeof(line), file)) {
            if (sscanf(line, "VmRSS: %llu", &kib) == 1 || sscanf(line, "VmPTE: %llu", &kib) == 1)
                sum += kib;
        }
        if (file)
            fclose(file);
    }
    return sum;
}

static void record(struct histogram *histogram, uint64_t value)
{
    uint32_t index = (uint32_t)value;

    if (value >= HISTOGRAM_SUB) {
        uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - 6u;

        index = (shift + 1) * HISTOGRAM_SUB + (uint32_t)(value >> shift) - HISTOGRAM_SUB;
    }
    histogram->buckets[index]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

/* In microseconds. */
static double quantile(const struct histogram *histogram, double part)
{
    uint64_t want = (uint64_t)(part * (double)histogram->count);
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (histogram->buckets[i] > 0 && seen > want) {
            uint32_t shift = i < HISTOGRAM_SUB ? 0 : i / HISTOGRAM_SUB - 1;
            uint64_t base =
                i < HISTOGRAM_SUB ? i : (uint64_t)(HISTOGRAM_SUB + i % HISTOGRAM_SUB) << shift;

            return (double)base / 1000.0;
        }
    }
    return (double)histogram->max / 1000.0;
}

static void print_quantiles(const char *name, const struct histogram *histogram)
{
    printf(",\"%s_us\":{\"count\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name,
           (unsigned long long)histogram->count, quantile(histogram, 0.5), quantile(histogram, 0.9),
           quantile(histogram, 0.99), (double)histogram->max / 1000.0);
}

static void lose(struct stream *stream, const char *why, const char *text, size_t len)
{
    if (!stream->is_lost && lost++ == 0)
        snprintf(first_complaint, sizeof(first_complaint), "%s: %.*s", why,
                 (int)(len < 100 ? len : 100), text);
    stream->is_lost = true;
    close(stream->fd);
    stream->fd = -1;
}

/* One event arrived that was due at `due_ns`. */
static void on_event(struct stream *stream, uint64_t due_ns, uint64_t now)
{
    if (stream->first_ns == 0) {
        stream->first_ns = now;
        with_first++;
        record(&first_event, now - stream->sent_ns);
    } else if (is_measuring) {
        record(&delays, now > due_ns ? now - due_ns : 0);
        record(&gaps, now - stream->last_ns);
    }
    stream->last_ns = now;
    events_seen++;
}

/* Digits of a stamp; false when they are not. */
static bool read_stamp(const char *digits, uint64_t *stamp)
{
    *stamp = 0;
    for (int i = 0; i < 16; i++) {
        unsigned char c = (unsigned char)digits[i];
        unsigned value = c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;

        if (value > 15)
            return false;
        *stamp = *stamp << 4 | value;
    }
    return true;
}

static void find_events(struct stream *stream, const char *ptr, size_t len, uint64_t now)
{
    const char *end = ptr + len;
    uint64_t stamp;

    if (stream->carry_len > 0) { /* `@` and the first digits came with the last read */
        char digits[CARRY_BYTES + 16];
        size_t had = stream->carry_len - 1u, more = 16 - had;

        if (len < more) {
            memcpy(stream->carry + stream->carry_len, ptr, len);
            stream->carry_len = (uint8_t)(stream->carry_len + len);
            return;
        }
        memcpy(digits, stream->carry + 1, had);
        memcpy(digits + had, ptr, more);
        stream->carry_len = 0;
        if (read_stamp(digits, &stamp)) {
            on_event(stream, stamp, now);
            ptr += more;
        }
    }
    while ((ptr = memchr(ptr, '@', (size_t)(end - ptr))) != NULL) {
        if (end - ptr < 17) {
            stream->carry_len = (uint8_t)(end - ptr);
            memcpy(stream->carry, ptr, stream->carry_len);
            return;
        }
        if (read_stamp(ptr + 1, &stamp))
            on_event(stream, stamp, now);
        ptr++;
    }
}

static void on_readable(struct stream *stream, bool wants_events)
{
    static char buf[1 << 18];

    for (;;) {
        ssize_t n = recv(stream->fd, buf, sizeof(buf), 0);
        uint64_t now = now_ns();

        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lose(stream, n == 0 ? "the stream ended" : strerror(errno), "", 0);
            return;
        }
        bytes_seen += (uint64_t)n;
        if (!stream->has_status) {
            stream->has_status = true;
            if (n < 13 || memcmp(buf, "HTTP/1.1 200 ", 13) != 0) {
                lose(stream, "not answered by 200", buf, (size_t)n);
                return;
            }
        }
        if (wants_events) {
            find_events(stream, buf, (size_t)n, now);
        } else {
            if (stream->first_ns == 0) {
                stream->first_ns = now;
                record(&first_event, now - stream->sent_ns);
                with_first++;
            }
            stream->is_done = true;
            close(stream->fd);
            stream->fd = -1;
            return;
        }
        if ((size_t)n < sizeof(buf))
            return;
    }
}

static void start(struct stream *stream)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = stream};
    int one = 1;

    *stream = (struct stream){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (stream->fd < 0)
        die("socket");
    started++;
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(stream->fd, (struct sockaddr *)&target, sizeof(target)) != 0 &&
        errno != EINPROGRESS) {
        lose(stream, strerror(errno), "connect", 7);
        return;
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, stream->fd, &event);
}

static void on_connected(struct stream *stream)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0 ||
        send(stream->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
        lose(stream, strerror(error ? error : errno), "connect or send", 15);
        return;
    }
    stream->is_connected = true;
    stream->sent_ns = now_ns();
    epoll_ctl(poller, EPOLL_CTL_MOD, stream->fd, &event);
}

static void poll_once(uint64_t until_ns, bool wants_events)
{
    struct epoll_event list[256];
    uint64_t now = now_ns();
    uint64_t ns = until_ns > now ? until_ns - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};
    int count = epoll_pwait2(poller, list, 256, &wait, NULL);

    for (int i = 0; i < count; i++) {
        struct stream *stream = list[i].data.ptr;

        if (stream->fd < 0)
            continue;
        if (!stream->is_connected)
            on_connected(stream);
        else
            on_readable(stream, wants_events);
    }
}

struct options {
    uint32_t streams, at_once;
    double seconds, settle, patience, rate;
};

static void print_common(void)
{
    print_quantiles("first_event", &first_event);
    if (lost > 0)
        printf(",\"complaint\":\"%s\"", first_complaint);
    printf("}\n");
}

static int run_streams(const struct options *options)
{
    uint64_t before_kib = memory_kib();
    uint64_t start_ns = now_ns();
    uint64_t limit_ns = start_ns + (uint64_t)(options->patience * 1e9);
    uint64_t until, cpu, from, events, kib;

    while (with_first + lost < options->streams && now_ns() < limit_ns) {
        while (started < options->streams && started - with_first - lost < options->at_once)
            start(&streams[started]);
        poll_once(now_ns() + 20000000, true);
    }
    double opened = (double)(now_ns() - start_ns) / 1e9;

    until = now_ns() + (uint64_t)(options->settle * 1e9);
    while (now_ns() < until)
        poll_once(until, true);
    is_measuring = true;
    cpu = cpu_ns();
    events = events_seen;
    from = now_ns();
    until = from + (uint64_t)(options->seconds * 1e9);
    while (now_ns() < until)
        poll_once(until, true);
    cpu = cpu_ns() - cpu;
    events = events_seen - events;
    kib = memory_kib();
    double elapsed = (double)(now_ns() - from) / 1e9;

    printf("{\"streams\":%u,\"open\":%u,\"lost\":%u,\"seconds\":%.3f,\"opened_in\":%.3f,\"events\":"
           "%llu,"
           "\"events_per_second\":%.0f,\"cpu_us\":%.1f,\"cpu_us_per_event\":%.4f,\"memory_before_"
           "kib\":%llu,"
           "\"memory_kib\":%llu",
           options->streams, with_first,
           lost + (options->streams - with_first > lost ? options->streams - with_first - lost : 0),
           elapsed, opened, (unsigned long long)events, (double)events / elapsed, (double)cpu / 1e3,
           events ? (double)cpu / 1e3 / (double)events : 0.0, (unsigned long long)before_kib,
           (unsigned long long)kib);
    print_quantiles("delay", &delays);
    print_quantiles("gap", &gaps);
    print_common();
    return 0;
}

static int run_rate(const struct options *options)
{
    uint64_t from = now_ns();
    uint64_t until = from + (uint64_t)(options->seconds * 1e9);
    uint64_t step = (uint64_t)(1e9 / options->rate);

    while (now_ns() < until && started < STREAMS_MAX) {
        uint64_t due = from + started * step;

        if (now_ns() >= due)
            start(&streams[started]);
        poll_once(due + step < until ? due + step : until, false);
    }
    until = now_ns() + 2000000000u;
    while (with_first + lost < started && now_ns() < until)
        poll_once(until, false);
    printf("{\"started\":%u,\"answered\":%u,\"lost\":%u,\"bytes\":%llu", started, with_first,
           started - with_first, (unsigned long long)bytes_seen);
    print_common();
    return 0;
}

static char *read_file(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    size_t len;

    if (file == NULL)
        die(path);
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

int main(int argc, char **argv)
{
    struct options options = {
        .streams = 64, .at_once = 256, .seconds = 1, .settle = 0.3, .patience = 20, .rate = 50};
    static char headers[4096];
    const char *body = "";
    struct rlimit files;
    char *colon;
    int option;

    if (argc < 3)
        goto usage;
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[1], "cpu") == 0) {
        for (int i = 2; i < argc && pids_count < PIDS_MAX; i++)
            pids[pids_count++] = (pid_t)atoi(argv[i]);
        printf("%llu\n", (unsigned long long)cpu_ns());
        return 0;
    }
    optind = 2;
    while ((option = getopt(argc, argv, "b:H:n:r:s:p:w:o:t:")) != -1) {
        switch (option) {
        case 'b':
            body = read_file(optarg);
            break;
        case 'H':
            snprintf(headers + strlen(headers), sizeof(headers) - strlen(headers), "%s\r\n",
                     optarg);
            break;
        case 'n':
            options.streams = (uint32_t)atoi(optarg);
            break;
        case 'r':
            options.rate = atof(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'w':
            options.settle = atof(optarg);
            break;
        case 't':
            options.patience = atof(optarg);
            break;
        case 'o':
            options.at_once = (uint32_t)atoi(optarg);
            break;
        case 'p':
            if (pids_count < PIDS_MAX)
                pids[pids_count++] = (pid_t)atoi(optarg);
            break;
        default:
            goto usage;
        }
    }
    if (argc - optind != 2 || (colon = strchr(argv[optind], ':')) == NULL ||
        options.streams > STREAMS_MAX)
        goto usage;
    *colon = '\0';
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, argv[optind], &target.sin_addr) != 1)
        goto usage;
    request_len =
        (size_t)asprintf(&request,
                         "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: "
                         "application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
                         argv[optind + 1], argv[optind], colon + 1, strlen(body), headers, body);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (strcmp(argv[1], "stream") == 0)
        return run_streams(&options);
    if (strcmp(argv[1], "rate") == 0)
        return run_rate(&options);
usage:
    fprintf(stderr, "usage: load cpu PID.. | load stream|rate [options] HOST:PORT PATH\n");
    return 2;
}
