/* The resolver's state machine under a network that does anything: the input is a program of
 * questions, answers (good, empty, truncated, failing, foreign, damaged), broken sockets, refused
 * ones, passing time and changed files. Every question is answered exactly once, within its bound;
 * lanes are opened, used and closed in order; what is answered is in order. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "src/net/dns.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

#define QUERIES 64
#define LANES   (2 * RESOLVE_LOOKUPS_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct question {
    struct resolve_query query;
    uint64_t asked_ms;
    bool is_waiting;
};

struct net {
    struct resolver *resolver;
    uint64_t now_ms;
    bool refuses;
    bool is_open[LANES];
    uint32_t lane; /* of the last message sent */
    size_t len;
    unsigned char message[DNS_QUERY_BYTES_MAX];
    struct question questions[QUERIES];
    unsigned waiting;
};

static struct net net;

static bool open_lane(void *ctx, uint32_t lane, uint32_t index, bool is_tcp)
{
    const struct resolver_server *servers;

    (void)ctx;
    require(lane < LANES && !net.is_open[lane]);
    require(lane % 2 == (is_tcp ? 1u : 0u));
    if (net.resolver != NULL)
        require(index < resolver_servers(net.resolver, &servers));
    if (net.refuses)
        return false;
    net.is_open[lane] = true;
    return true;
}

static void send_message(void *ctx, uint32_t lane, struct slice message)
{
    (void)ctx;
    require(lane < LANES && net.is_open[lane]);
    require(message.len <= sizeof(net.message));
    net.lane = lane;
    net.len = message.len;
    memcpy(net.message, message.ptr, message.len);
}

static void close_lane(void *ctx, uint32_t lane)
{
    (void)ctx;
    require(lane < LANES && net.is_open[lane]);
    net.is_open[lane] = false;
}

static void on_done(struct resolve_query *query, const struct resolve_result *result)
{
    struct question *question = container_of(query, struct question, query);

    require(question->is_waiting);
    question->is_waiting = false;
    net.waiting--;
    require((result->err == R2A_OK) == (result->count > 0));
    require(result->count <= RESOLVE_ADDRS_MAX);
    require(net.now_ms - question->asked_ms <= RESOLVE_MS_MAX + 60000); /* time may leap a minute */
    for (size_t i = 0; i < result->count; i++)
        require(result->addrs[i].len == 4 || result->addrs[i].len == 16);
}

static void ask(uint8_t which)
{
    static const char *const names[] = {"a.example", "b.example.", "c",         "localhost",
                                        "192.0.2.1", "a b",        "A.EXAMPLE", "d.e.f.example"};

    for (size_t i = 0; i < QUERIES; i++) {
        struct question *question = &net.questions[i];

        if (question->is_waiting)
            continue;
        *question = (struct question){.asked_ms = net.now_ms, .is_waiting = true};
        question->query.done = on_done;
        net.waiting++;
        resolver_ask(net.resolver, &question->query, slice_from_z(names[which % 8]), net.now_ms);
        return;
    }
}

/* Turns the last question into an answer of some kind and delivers it. */
static void answer(uint8_t kind, uint8_t amount)
{
    unsigned char message[4096];
    size_t len = net.len;
    uint16_t type;

    if (len < 12)
        return;
    memcpy(message, net.message, len);
    while (len < sizeof(message) && len > 12 && message[11] != 0) { /* the EDNS record goes */
        len -= 11;
        message[11] = 0;
    }
    type = (uint16_t)(message[len - 4] << 8 | message[len - 3]);
    message[2] |= 0x80;
    switch (kind % 8) {
    case 1:
        message[3] |= 3;
        break;
    case 2:
        message[2] |= 2; /* truncated */
        break;
    case 3:
        message[3] |= 2; /* failure */
        break;
    case 4:
        message[0] ^= 1; /* foreign */
        break;
    case 5:
    case 6:
        for (unsigned i = 0; i < amount % 20u; i++) {
            size_t data_len = type == DNS_A ? 4 : 16;

            memcpy(message + len, "\xc0\x0c\0\0\0\1\0\0\0", 9);
            message[len + 2] = (unsigned char)(type >> 8);
            message[len + 3] = (unsigned char)type;
            message[len + 9] = amount;
            message[len + 10] = 0;
            message[len + 11] = (unsigned char)data_len;
            memset(message + len + 12, (int)i, data_len);
            len += 12 + data_len;
            message[7]++;
        }
        break;
    default:
        break; /* no data */
    }
    if (kind % 8 == 6 && amount > 0)
        message[12 + amount % (len - 12)] ^= kind; /* damaged */
    resolver_on_message(net.resolver, net.lane, slice_of((const char *)message, len), net.now_ms);
}

static void pass(uint64_t ms)
{
    net.now_ms += ms;
    resolver_on_time(net.resolver, net.now_ms);
    require(resolver_next_ms(net.resolver) > net.now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resolver_io io = {.open = open_lane, .send = send_message, .close = close_lane};

    memset(&net, 0, sizeof(net));
    net.now_ms = 1000;
    random_seed(size);
    net.resolver = resolver_open(&io);
    require(net.resolver != NULL);
    resolver_set_conf(net.resolver, S("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
                                      "search one.example two.example\n"));
    for (size_t i = 0; i + 1 < size; i += 2) {
        uint8_t amount = data[i + 1];

        switch (data[i] % 10) {
        case 0:
        case 1:
            ask(amount);
            break;
        case 2:
        case 3:
        case 4:
            answer(data[i] / 10, amount);
            break;
        case 5:
            resolver_on_error(net.resolver, amount % 8, net.now_ms);
            break;
        case 6:
            pass(amount * 20u);
            break;
        case 7:
            pass(amount * 200u);
            break;
        case 8:
            net.refuses = amount % 4 == 0;
            break;
        default:
            if (amount % 3 == 0)
                resolver_set_conf(net.resolver, S("nameserver 192.0.2.3\noptions edns0 use-vc\n"));
            else if (amount % 3 == 1)
                resolver_set_hosts(net.resolver, S("192.0.2.9 a.example\n"));
            else if (net.questions[amount % QUERIES].is_waiting) {
                resolver_cancel(&net.questions[amount % QUERIES].query);
                net.questions[amount % QUERIES].is_waiting = false;
                net.waiting--;
            }
            break;
        }
    }
    if (size % 2 == 0) { /* left alone, everything comes to an end */
        for (int i = 0; i < 40; i++)
            pass(1000);
        require(net.waiting == 0);
        require(resolver_next_ms(net.resolver) == UINT64_MAX);
    }
    resolver_close(net.resolver);
    require(net.waiting == 0);
    for (size_t i = 0; i < LANES; i++)
        require(!net.is_open[i]);
    return 0;
}
