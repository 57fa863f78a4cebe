/* The resolver as a machine, with a network of the test's own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns_answer.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/net/resolve.h"
#include "src/net/dns.h"
#include "src/net/resolve_conf.h"

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

static void reply(struct net *net, size_t index, unsigned rcode, unsigned count, uint32_t ttl,
                  uint64_t now_ms)
{
    struct sent *sent = &net->sent[index];
    unsigned char message[2048];
    size_t len = dns_answer(sent->bytes, sent->len, sent->type, rcode, count, ttl, false, message);

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
    size_t len = dns_answer(net->sent[0].bytes, net->sent[0].len, DNS_A, 0, 0, 0, true, message);

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
    len = dns_answer(net->sent[3].bytes, net->sent[3].len, DNS_A, 0, 0, 0, true, message);
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
    size_t len = dns_answer(sent->bytes, sent->len, DNS_A, 0, 1, 60, false, message);

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
