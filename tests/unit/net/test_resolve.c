/* Addresses, the two files, and the resolver: the machine with a network of the test's own, then
 * the whole on a loop against servers in a thread. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/net/resolve_loop.h"
#include "src/net/dns.h"
#include "src/net/resolve_conf.h"

/* --- addresses --- */

static void writes_back(const char *text, const char *canonical)
{
    struct ip_addr addr;
    char to[IP_ADDR_TEXT_MAX + 1];

    cr_expect(ip_addr_parse(slice_from_z(text), &addr), "%s", text);
    to[ip_addr_write(to, &addr)] = '\0';
    cr_expect_str_eq(to, canonical, "%s became %s", text, to);
}

Test(resolve, addresses_are_read_and_written)
{
    writes_back("127.0.0.1", "127.0.0.1");
    writes_back("255.255.255.255", "255.255.255.255");
    writes_back("::", "::");
    writes_back("::1", "::1");
    writes_back("[::1]", "::1");
    writes_back("1::", "1::");
    writes_back("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    writes_back("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1");
    writes_back("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0");
    writes_back("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8");
    writes_back("::ffff:192.0.2.1", "::ffff:192.0.2.1");
    writes_back("64:ff9b::192.0.2.33", "64:ff9b::c000:221");
    writes_back("0:0:0:0:0:0:0:0", "::");
    writes_back("1:0:0:2:0:0:0:3", "1:0:0:2::3");
}

Test(resolve, what_is_no_address_is_refused)
{
    static const char *const texts[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.256",
        "1.2.3.4 ",
        "1..2.3",
        "a.b.c.d",
        ":",
        ":::",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3",
        "1.2.3.4::",
        "::g",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        "fe80::1%1",
        "1:",
        ":1",
        "0x7f.1",
        "::1.2.3.4.5",
        "1:2:3:4:5:6:7:1.2.3.4",
    };
    struct ip_addr addr;

    for (size_t i = 0; i < array_count(texts); i++)
        cr_expect_not(ip_addr_parse(slice_from_z(texts[i]), &addr), "%s", texts[i]);
}

Test(resolve, knows_what_is_not_the_public_internet)
{
    static const char *const inside[] = {
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "2001:db8::1",
        "2002::1",
        "192.0.2.1",
    };
    static const char *const outside[] = {"8.8.8.8",      "172.32.0.1",     "100.128.0.1",
                                          "2606:4700::1", "::ffff:8.8.8.8", "2001:4860:4860::8888"};
    struct ip_addr addr;

    for (size_t i = 0; i < array_count(inside); i++) {
        cr_assert(ip_addr_parse(slice_from_z(inside[i]), &addr));
        cr_expect(ip_addr_is_private(&addr), "%s", inside[i]);
    }
    for (size_t i = 0; i < array_count(outside); i++) {
        cr_assert(ip_addr_parse(slice_from_z(outside[i]), &addr));
        cr_expect_not(ip_addr_is_private(&addr), "%s", outside[i]);
        cr_expect_not(ip_addr_is_loopback(&addr), "%s", outside[i]);
    }
    cr_expect(ip_addr_parse(S("::ffff:127.9.9.9"), &addr) && ip_addr_is_loopback(&addr));
    cr_expect(ip_addr_parse(S("::1"), &addr) && ip_addr_is_loopback(&addr));
}

Test(resolve, literals_and_localhost_never_leave)
{
    struct resolve_result result;

    cr_assert(resolve_local(S("192.0.2.1"), &result));
    cr_assert_eq(result.count, 1);
    cr_assert(resolve_local(S("[::1]"), &result));
    cr_assert_eq(result.addrs[0].len, 16);
    cr_assert(resolve_local(S("LocalHost."), &result));
    cr_assert_eq(result.count, 2);
    cr_assert(resolve_local(S("a.localhost"), &result));
    cr_assert_not(resolve_local(S("localhost.example"), &result));
    cr_assert_not(resolve_local(S("notlocalhost"), &result));
}

/* --- files --- */

Test(resolve, reads_resolv_conf)
{
    struct resolve_conf conf;

    resolve_conf_parse(&conf, (struct slice){0});
    cr_assert_eq(conf.servers_count, 1);
    cr_assert_arr_eq(conf.servers[0].addr.bytes, "\177\0\0\1", 4);
    cr_assert_eq(conf.ndots, 1);

    resolve_conf_parse(&conf, S("# comment\n"
                                "; another\r\n"
                                "domain old.example\n"
                                "search a.example b.example. -bad!name\r\n"
                                "nameserver 192.0.2.53\n"
                                "nameserver\tfe80::1%1\n"
                                "nameserver not.an.address\n"
                                "nameserver 2001:db8::53\n"
                                "nameserver 192.0.2.54\n"
                                "options ndots:3 timeout:99 attempts:4 rotate edns0 unknown:1\n"
                                "sortlist 1.2.3.4\n"
                                "options use-vc"));
    cr_assert_eq(conf.servers_count, 3);
    cr_assert_eq(conf.servers[1].addr.scope, 1);
    cr_assert_eq(conf.servers[2].addr.len, 16);
    cr_assert_eq(conf.servers[0].port, 53);
    cr_assert_eq(conf.search_count, 2);
    cr_assert_str_eq(conf.search[0], "a.example");
    cr_assert_str_eq(conf.search[1], "b.example");
    cr_assert_eq(conf.ndots, 3);
    cr_assert_eq(conf.timeout_ms, 30000);
    cr_assert_eq(conf.attempts, 4);
    cr_assert(conf.is_rotating && conf.wants_edns && conf.wants_tcp);
}

Test(resolve, reads_hosts)
{
    static const char hosts[] = "127.0.0.1 localhost\n"
                                "192.0.2.1\tone.example one # comment two.example\n"
                                "2001:db8::1   ONE.example\r\n"
                                "bad line one.example\n"
                                "fe80::1%lo0 one.example\n"
                                "192.0.2.2 two.example two.example";
    struct resolve_result result;

    cr_assert(resolve_hosts_find(slice_from_z(hosts), S("One.Example"), &result));
    cr_assert_eq(result.count, 2);
    cr_assert_eq(result.addrs[1].len, 16);
    cr_assert(resolve_hosts_find(slice_from_z(hosts), S("two.example."), &result));
    cr_assert_eq(result.count, 1);
    cr_assert_not(resolve_hosts_find(slice_from_z(hosts), S("three.example"), &result));
    cr_assert_not(resolve_hosts_find((struct slice){0}, S("three.example"), &result));
}

/* --- the machine --- */

struct sent {
    uint32_t lane;
    uint16_t id;
    uint16_t type;
    bool is_tcp;
    char name[256];
    size_t len;
    unsigned char bytes[512];
};

struct net {
    struct resolver *resolver;
    struct sent sent[256];
    size_t sent_count;
    uint32_t server_of[1024];
    bool is_open[1024];
    bool refuses_tcp;
    unsigned opened;
};

struct asked {
    struct resolve_query query;
    struct resolve_result result;
    unsigned answers;
};

static bool net_open(void *ctx, uint32_t lane, uint32_t index, bool is_tcp)
{
    struct net *net = ctx;

    cr_assert_eq(lane % 2, is_tcp);
    cr_assert_not(net->is_open[lane]);
    if (is_tcp && net->refuses_tcp)
        return false;
    net->is_open[lane] = true;
    net->server_of[lane] = index;
    net->opened++;
    return true;
}

static void net_send(void *ctx, uint32_t lane, struct slice message)
{
    struct net *net = ctx;
    struct sent *sent = &net->sent[net->sent_count++];
    const unsigned char *bytes = (const unsigned char *)message.ptr;
    size_t at = 12;
    size_t len = 0;

    cr_assert(net->is_open[lane]);
    cr_assert_leq(net->sent_count, 256);
    sent->lane = lane;
    sent->is_tcp = lane % 2 == 1;
    sent->id = (uint16_t)(bytes[0] << 8 | bytes[1]);
    sent->len = message.len;
    memcpy(sent->bytes, bytes, message.len);
    while (bytes[at] != 0) {
        if (len > 0)
            sent->name[len++] = '.';
        memcpy(sent->name + len, bytes + at + 1, bytes[at]);
        len += bytes[at];
        at += 1 + bytes[at];
    }
    sent->name[len] = '\0';
    sent->type = (uint16_t)(bytes[at + 1] << 8 | bytes[at + 2]);
}

static void net_close(void *ctx, uint32_t lane)
{
    struct net *net = ctx;

    cr_assert(net->is_open[lane]);
    net->is_open[lane] = false;
}

static void on_done(struct resolve_query *query, const struct resolve_result *result)
{
    struct asked *asked = container_of(query, struct asked, query);

    asked->result = *result;
    asked->answers++;
}

static struct net *net_new(const char *conf)
{
    struct net *net = calloc(1, sizeof(*net));
    struct resolver_io io = {.ctx = net, .open = net_open, .send = net_send, .close = net_close};

    net->resolver = resolver_open(&io);
    cr_assert_not_null(net->resolver);
    resolver_set_conf(net->resolver, slice_from_z(conf));
    return net;
}

static void net_free(struct net *net)
{
    resolver_close(net->resolver);
    for (size_t i = 0; i < 1024; i++)
        cr_assert_not(net->is_open[i]);
    free(net);
}

static struct asked *ask(struct net *net, const char *name, uint64_t now_ms)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    asked->query.done = on_done;
    resolver_ask(net->resolver, &asked->query, slice_from_z(name), now_ms);
    return asked;
}

/* Makes an answer to a question: `count` addresses 192.0.2.x or 2001:db8::x, or a code. */
static size_t answer_to(const unsigned char *question, size_t len, uint16_t type, unsigned rcode,
                        unsigned count, uint32_t ttl, bool is_truncated, unsigned char *to)
{
    size_t end = 12;

    memcpy(to, question, len);
    while (to[end] != 0)
        end += 1u + to[end];
    end += 5;
    to[2] = (unsigned char)(0x81 | (is_truncated ? 2 : 0));
    to[3] = (unsigned char)(0x80 | rcode);
    to[7] = (unsigned char)count;
    to[10] = to[11] = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned char addr[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (unsigned char)(i + 1)};
        size_t addr_len = type == DNS_A ? 4 : 16;

        if (type == DNS_A)
            memcpy(addr, "\xc0\x00\x02", 3), addr[3] = (unsigned char)(i + 1);
        memcpy(to + end, "\xc0\x0c\0\0\0\1", 6);
        to[end + 3] = (unsigned char)type;
        to[end + 6] = (unsigned char)(ttl >> 24);
        to[end + 7] = (unsigned char)(ttl >> 16);
        to[end + 8] = (unsigned char)(ttl >> 8);
        to[end + 9] = (unsigned char)ttl;
        to[end + 10] = 0;
        to[end + 11] = (unsigned char)addr_len;
        memcpy(to + end + 12, addr, addr_len);
        end += 12 + addr_len;
    }
    return end;
}

static void reply(struct net *net, size_t index, unsigned rcode, unsigned count, uint32_t ttl,
                  uint64_t now_ms)
{
    struct sent *sent = &net->sent[index];
    unsigned char message[2048];
    size_t len = answer_to(sent->bytes, sent->len, sent->type, rcode, count, ttl, false, message);

    resolver_on_message(net->resolver, sent->lane, slice_of((char *)message, len), now_ms);
}

#define ONE_SERVER  "nameserver 192.0.2.53\n"
#define TWO_SERVERS ONE_SERVER "nameserver 192.0.2.54\n"

Test(resolve, asks_both_families_and_interleaves_them)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked = ask(net, "api.example", 1000);

    cr_assert_eq(net->sent_count, 2);
    cr_assert_eq(net->sent[0].type, DNS_A);
    cr_assert_eq(net->sent[1].type, DNS_AAAA);
    cr_assert_eq(net->sent[0].lane, net->sent[1].lane);
    cr_assert_str_eq(net->sent[0].name, "api.example");
    reply(net, 0, 0, 2, 300, 1010);
    cr_assert_eq(asked->answers, 0);
    reply(net, 1, 0, 3, 60, 1020);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.err, R2A_OK);
    cr_assert_eq(asked->result.count, 5);
    cr_assert_eq(asked->result.ttl_s, 60);

    static const uint8_t lens[] = {16, 4, 16, 4, 16};

    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(asked->result.addrs[i].len, lens[i]);
    cr_assert_eq(resolver_next_ms(net->resolver), UINT64_MAX);

    resolver_set_v6(net->resolver, false);
    struct asked *other = ask(net, "other.example", 1000);

    reply(net, 3, 0, 1, 60, 1020);
    reply(net, 2, 0, 1, 60, 1020);
    cr_assert_eq(other->result.addrs[0].len, 4);
    free(asked);
    free(other);
    net_free(net);
}

Test(resolve, keeps_answers_for_their_time)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *first = ask(net, "API.example", 1000);
    struct asked *again;

    reply(net, 0, 0, 1, 10, 1000);
    reply(net, 1, 0, 0, 0, 1000);
    cr_assert_eq(first->result.count, 1);
    again = ask(net, "api.EXAMPLE", 10999);
    cr_assert_eq(again->answers, 1);
    cr_assert_eq(again->result.ttl_s, 0);
    free(again);
    again = ask(net, "api.example", 11000);
    cr_assert_eq(again->answers, 0, "asked anew at its end");
    cr_assert_eq(net->sent_count, 4);
    reply(net, 2, 0, 2, 10, 11005);
    reply(net, 3, 0, 0, 10, 11005);
    cr_assert_eq(again->result.count, 2);
    free(again);
    free(first);
    net_free(net);
}

Test(resolve, those_who_ask_the_same_wait_for_one_lookup)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *one = ask(net, "api.example", 1000);
    struct asked *two = ask(net, "api.example", 1001);
    struct asked *gone = ask(net, "api.example", 1002);

    cr_assert_eq(net->sent_count, 2);
    resolver_cancel(&gone->query);
    reply(net, 0, 0, 1, 10, 1010);
    reply(net, 1, 0, 1, 10, 1010);
    cr_assert_eq(one->answers, 1);
    cr_assert_eq(two->answers, 1);
    cr_assert_eq(gone->answers, 0);
    free(one);
    free(two);
    free(gone);
    net_free(net);
}

Test(resolve, gives_the_last_good_answer_when_nobody_answers)
{
    struct net *net = net_new(ONE_SERVER "options timeout:1 attempts:1\n");
    struct asked *asked = ask(net, "api.example", 1000);
    uint64_t now_ms = 20000;

    reply(net, 0, 0, 1, 10, 1000);
    reply(net, 1, 0, 1, 10, 1000);
    free(asked);
    asked = ask(net, "api.example", now_ms);
    cr_assert_eq(asked->answers, 0);
    resolver_on_time(net->resolver, now_ms + 1000);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.err, R2A_OK);
    cr_assert(asked->result.is_stale);
    cr_assert_eq(asked->result.count, 2);
    free(asked);
    /* For some seconds nobody waits for the servers again, then they get another chance. */
    asked = ask(net, "api.example", now_ms + 5000);
    cr_assert_eq(asked->answers, 1);
    cr_assert(asked->result.is_stale);
    free(asked);
    asked = ask(net, "api.example", now_ms + 11000);
    cr_assert_eq(asked->answers, 0);
    resolver_on_time(net->resolver, now_ms + 12000);
    cr_assert(asked->result.is_stale);
    free(asked);
    /* A day later it is worth nothing. */
    now_ms += 20000 + RESOLVE_STALE_S_MAX * 1000ull;
    asked = ask(net, "api.example", now_ms);
    resolver_on_time(net->resolver, now_ms + 1000);
    cr_assert_eq(asked->result.err, R2A_ERR_TIMEOUT);
    free(asked);
    net_free(net);
}

Test(resolve, believes_denials_for_a_while)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked = ask(net, "no.example", 1000);

    reply(net, 0, 3, 0, 0, 1000);
    reply(net, 1, 3, 0, 0, 1000);
    cr_assert_eq(asked->result.err, R2A_ERR_RESOLVE);
    free(asked);
    asked = ask(net, "no.example", 1500);
    cr_assert_eq(asked->answers, 1, "a second without SOA");
    cr_assert_eq(asked->result.err, R2A_ERR_RESOLVE);
    free(asked);
    asked = ask(net, "no.example", 2000);
    cr_assert_eq(asked->answers, 0);
    reply(net, 2, 0, 0, 0, 2010);
    reply(net, 3, 0, 1, 9, 2010);
    cr_assert_eq(asked->result.count, 1);
    free(asked);
    net_free(net);
}

Test(resolve, goes_to_the_next_server_after_a_timeout_and_stays_there)
{
    struct net *net = net_new(TWO_SERVERS);
    struct asked *asked = ask(net, "api.example", 1000);

    cr_assert_eq(resolver_next_ms(net->resolver), 1000 + RESOLVE_TIMEOUT_MS_DEFAULT);
    cr_assert_eq(net->server_of[net->sent[0].lane], 0);
    resolver_on_time(net->resolver, 2999);
    cr_assert_eq(net->sent_count, 2);
    resolver_on_time(net->resolver, 3000);
    cr_assert_eq(net->sent_count, 4);
    cr_assert_eq(net->server_of[net->sent[2].lane], 1);
    cr_assert_neq(net->sent[0].id, net->sent[2].id, "one in 65,536 that they are equal");
    reply(net, 0, 0, 1, 60, 3001); /* too late: the id does not fit any more */
    cr_assert_eq(resolver_get_stats(net->resolver)->dropped, 1);
    reply(net, 2, 0, 1, 60, 3001);
    reply(net, 3, 0, 1, 60, 3002);
    cr_assert_eq(asked->result.count, 2);
    free(asked);
    asked = ask(net, "two.example", 4000);
    cr_assert_eq(net->server_of[net->sent[4].lane], 1, "the one that answered comes first");
    reply(net, 4, 0, 1, 60, 4001);
    reply(net, 5, 0, 1, 60, 4001);
    free(asked);
    net_free(net);
}

Test(resolve, gives_up_after_every_server_had_its_attempts)
{
    struct net *net = net_new(TWO_SERVERS "options timeout:1 attempts:2\n");
    struct asked *asked = ask(net, "api.example", 1000);

    for (uint64_t now_ms = 2000; now_ms <= 5000; now_ms += 1000) {
        cr_assert_eq(asked->answers, 0);
        resolver_on_time(net->resolver, now_ms);
    }
    cr_assert_eq(asked->result.err, R2A_ERR_TIMEOUT);
    cr_assert_eq(net->sent_count, 8);
    free(asked);
    net_free(net);
}

Test(resolve, a_server_that_fails_or_refuses_is_left_at_once)
{
    struct net *net = net_new(TWO_SERVERS);
    struct asked *asked = ask(net, "api.example", 1000);

    reply(net, 0, 2, 0, 0, 1001); /* SERVFAIL */
    cr_assert_eq(net->sent_count, 2);
    reply(net, 1, 0, 1, 60, 1002);
    cr_assert_eq(net->sent_count, 3, "only the family it failed is asked of the next");
    cr_assert_eq(net->sent[2].type, DNS_A);
    resolver_on_error(net->resolver, net->sent[2].lane, 1003); /* nothing listens there */
    cr_assert_eq(net->sent_count, 4);
    reply(net, 3, 0, 1, 60, 1004);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.count, 2);
    free(asked);
    net_free(net);
}

Test(resolve, does_not_wait_long_for_the_second_family)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked = ask(net, "api.example", 1000);

    reply(net, 0, 0, 1, 600, 1010);
    cr_assert_eq(resolver_next_ms(net->resolver), 1010 + RESOLVE_HALF_MS);
    resolver_on_time(net->resolver, 1010 + RESOLVE_HALF_MS);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.count, 1);
    cr_assert_leq(asked->result.ttl_s, 10);
    free(asked);
    net_free(net);
}

Test(resolve, fetches_truncated_answers_by_tcp)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked = ask(net, "api.example", 1000);
    unsigned char message[2048];
    size_t len = answer_to(net->sent[0].bytes, net->sent[0].len, DNS_A, 0, 0, 0, true, message);

    resolver_on_message(net->resolver, net->sent[0].lane, slice_of((char *)message, len), 1001);
    cr_assert_eq(net->sent_count, 3);
    cr_assert(net->sent[2].is_tcp);
    cr_assert_eq(net->sent[2].type, DNS_A);
    reply(net, 1, 0, 1, 60, 1002);
    reply(net, 2, 0, 16, 60, 1003);
    cr_assert_eq(asked->result.count, 16);
    free(asked);

    /* TCP does not work either: the next attempt. */
    asked = ask(net, "b.example", 2000);
    net->refuses_tcp = true;
    len = answer_to(net->sent[3].bytes, net->sent[3].len, DNS_A, 0, 0, 0, true, message);
    resolver_on_message(net->resolver, net->sent[3].lane, slice_of((char *)message, len), 2001);
    reply(net, 4, 0, 1, 60, 2002);
    cr_assert_eq(net->sent_count, 6);
    reply(net, 5, 0, 1, 60, 2003);
    cr_assert_eq(asked->result.count, 2);
    free(asked);
    net_free(net);
}

Test(resolve, drops_what_was_not_asked_for)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked = ask(net, "api.example", 1000);
    struct sent *sent = &net->sent[0];
    unsigned char message[2048];
    size_t len = answer_to(sent->bytes, sent->len, DNS_A, 0, 1, 60, false, message);

    message[0] ^= 1;
    resolver_on_message(net->resolver, sent->lane, slice_of((char *)message, len), 1001);
    message[0] ^= 1;
    resolver_on_message(net->resolver, sent->lane + 1, slice_of((char *)message, len), 1001);
    resolver_on_message(net->resolver, sent->lane + 2, slice_of((char *)message, len), 1001);
    resolver_on_message(net->resolver, 100000, slice_of((char *)message, len), 1001);
    message[14] ^= 1;
    resolver_on_message(net->resolver, sent->lane, slice_of((char *)message, len), 1001);
    cr_assert_eq(asked->answers, 0);
    reply(net, 0, 0, 1, 60, 1002);
    reply(net, 0, 0, 1, 60, 1002); /* twice */
    cr_assert_eq(asked->answers, 0);
    reply(net, 1, 0, 1, 60, 1002);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.count, 2);
    free(asked);
    net_free(net);
}

static void deny_all(struct net *net, size_t *from, uint64_t now_ms)
{
    size_t end = net->sent_count;

    for (; *from < end; ++*from)
        reply(net, *from, 3, 0, 0, now_ms);
}

Test(resolve, search_list_and_ndots)
{
    struct net *net = net_new(ONE_SERVER "search one.example two.example\noptions ndots:2\n");
    struct asked *asked = ask(net, "api.svc", 1000);
    size_t at = 0;

    cr_assert_str_eq(net->sent[0].name, "api.svc.one.example");
    deny_all(net, &at, 1001);
    cr_assert_str_eq(net->sent[2].name, "api.svc.two.example");
    deny_all(net, &at, 1002);
    cr_assert_str_eq(net->sent[4].name, "api.svc");
    deny_all(net, &at, 1003);
    cr_assert_eq(asked->result.err, R2A_ERR_RESOLVE);
    free(asked);

    asked = ask(net, "a.b.example", 5000); /* two dots: itself first */
    cr_assert_str_eq(net->sent[6].name, "a.b.example");
    deny_all(net, &at, 5001);
    cr_assert_str_eq(net->sent[8].name, "a.b.example.one.example");
    reply(net, 8, 0, 1, 60, 5002);
    reply(net, 9, 0, 0, 60, 5002);
    cr_assert_eq(asked->result.count, 1);
    free(asked);

    asked = ask(net, "api.", 6000); /* absolute */
    cr_assert_str_eq(net->sent[10].name, "api");
    at = 10;
    deny_all(net, &at, 6001);
    cr_assert_eq(asked->answers, 1);
    free(asked);

    char name[250];

    memset(name, 'x', sizeof(name));
    for (size_t i = 50; i < 200; i += 50)
        name[i] = '.';
    name[249] = '\0';
    memcpy(name + 190, ".tail", 5);
    asked = ask(net, name, 7000); /* too long with any domain: only itself */
    cr_assert_str_eq(net->sent[12].name, name);
    deny_all(net, &at, 7001);
    cr_assert_eq(asked->answers, 1);
    free(asked);
    net_free(net);
}

Test(resolve, hosts_come_first_and_may_change)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked;

    resolver_set_hosts(net->resolver, S("192.0.2.9 api.example\n"));
    asked = ask(net, "api.example", 1000);
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.addrs[0].bytes[3], 9);
    free(asked);
    resolver_set_hosts(net->resolver, (struct slice){0});
    asked = ask(net, "api.example", 1000);
    cr_assert_eq(asked->answers, 0);
    net_free(net); /* ends it */
    cr_assert_eq(asked->answers, 1);
    cr_assert_eq(asked->result.err, R2A_ERR_CANCELLED);
    free(asked);
}

Test(resolve, refuses_what_is_no_name)
{
    struct net *net = net_new(ONE_SERVER);
    static const char *const names[] = {"",    ".",   "a..b",          ".a",
                                        "a b", "a/b", "b\303\274cher", "a:1"};

    for (size_t i = 0; i < array_count(names); i++) {
        struct asked *asked = ask(net, names[i], 1);

        cr_expect_eq(asked->result.err, R2A_ERR_INVALID, "%s", names[i]);
        free(asked);
    }
    cr_assert_eq(net->sent_count, 0);
    net_free(net);
}

Test(resolve, bounds_lookups_and_names)
{
    struct net *net = net_new(ONE_SERVER);
    struct asked *asked[RESOLVE_LOOKUPS_MAX + 1];

    for (size_t i = 0; i <= RESOLVE_LOOKUPS_MAX; i++) {
        char name[32];

        snprintf(name, sizeof(name), "n%zu.example", i);
        net->sent_count = 0;
        asked[i] = ask(net, name, 1000);
        if (i < RESOLVE_LOOKUPS_MAX)
            cr_assert_eq(asked[i]->answers, 0);
    }
    cr_assert_eq(asked[RESOLVE_LOOKUPS_MAX]->result.err, R2A_ERR_LIMIT);
    net_free(net);
    for (size_t i = 0; i <= RESOLVE_LOOKUPS_MAX; i++) {
        cr_assert_eq(asked[i]->answers, 1);
        free(asked[i]);
    }

    net = net_new(ONE_SERVER);
    for (size_t i = 0; i < 3 * RESOLVE_NAMES_MAX; i++) {
        char name[32];
        struct asked *one;

        snprintf(name, sizeof(name), "n%zu.example", i);
        net->sent_count = 0;
        one = ask(net, name, 1000);
        reply(net, 0, 0, 1, 600, 1000);
        reply(net, 1, 0, 0, 600, 1000);
        cr_assert_eq(one->result.count, 1);
        free(one);
        one = ask(net, "n0.example", 1001); /* always used, never dropped */
        cr_assert_eq(one->answers, 1);
        free(one);
    }
    cr_assert_eq(resolver_get_stats(net->resolver)->names, RESOLVE_NAMES_MAX);
    net_free(net);
}

/* --- on a loop, against real sockets --- */

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
        return answer_to(question, len, type, 3, 0, 0, false, to);
    if (question[13] == 't' && !is_tcp)
        return answer_to(question, len, type, 0, 0, 0, true, to);
    return answer_to(question, len, type, 0, is_tcp ? 16 : 2, 60, false, to);
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

Test(resolve, works_on_a_loop)
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
