/* The stub resolver as a state machine: what is asked, of whom, when again, and what is remembered.
 * Sockets and files are its driver's (resolve_loop.c, or a test).
 *
 * A *lookup* is one name being asked for, with everybody who waits for it. It goes through the
 * candidates that the search list makes of the name; for each, A and AAAA go out together, first by
 * UDP to one server, to the next one after a timeout or a failure; a truncated answer is fetched by
 * TCP from the same server. It owns two lanes: 2 * index (UDP) and 2 * index + 1 (TCP).
 *
 * What was answered is kept for its TTL, and as the last good answer for a day beyond it, which is
 * given only when no server answers any more (RFC 8767). */
#include "r2a/net/resolve.h"

#include <string.h>
#include <sys/mman.h>

#include "dns.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "resolve_conf.h"

#define BUCKETS        (2 * RESOLVE_NAMES_MAX)
#define CANDIDATES_MAX (RESOLVE_SEARCH_MAX + 1)
#define HALF_TTL_S     10u /* an answer that lacks a family is not kept long */
#define STALE_TTL_S    10u /* nor asked for again at once is one that stands in (RFC 8767 5) */

enum {
    FAMILY_V4,
    FAMILY_V6,
    FAMILIES,
};

static const uint16_t family_type[FAMILIES] = {DNS_A, DNS_AAAA};

struct half {
    uint16_t id;
    bool is_done;   /* answered for this candidate: addresses or a denial */
    bool is_failed; /* the server asked now could not say */
    bool is_tcp;    /* asked again by TCP */
    struct dns_answer answer;
};

struct lookup {
    struct list_node node;
    struct list queries; /* resolve_query.node */
    uint64_t begin_ms;
    uint64_t deadline_ms; /* of what it waits for now */
    struct half halves[FAMILIES];
    uint8_t candidate; /* next one to try is candidate + 1 */
    uint8_t server;    /* index of the one asked now */
    uint8_t tries;     /* servers asked for this candidate */
    uint8_t name_len;
    bool has_udp;
    bool has_tcp;
    bool has_denial;   /* some candidate was denied by a server */
    bool was_answered; /* some server answered something */
    uint32_t denial_ttl_s;
    char name[RESOLVE_NAME_BYTES_MAX + 2]; /* as asked, lower case, perhaps with a trailing dot */
    uint8_t wire_len;                      /* of the candidate asked for now */
    char wire[RESOLVE_NAME_BYTES_MAX + 1];
};

struct entry {
    struct list_node age; /* least recently used first */
    uint16_t next;        /* in its bucket, + 1; 0: none */
    uint16_t bucket;
    uint8_t name_len;
    bool is_used;
    bool is_denial;
    uint64_t fresh_ms; /* good until */
    uint64_t stale_ms; /* may stand in until */
    struct resolve_result result;
    char name[RESOLVE_NAME_BYTES_MAX + 2];
};

struct resolver {
    struct resolver_io io;
    struct resolve_conf conf;
    struct resolver_stats stats;
    struct list active; /* lookups */
    struct list ages;   /* entries */
    uint64_t lookup_used[RESOLVE_LOOKUPS_MAX / 64];
    uint8_t preferred; /* server that answered last */
    bool has_v6;
    bool is_closing;
    uint32_t entries_touched;
    uint32_t hosts_len;
    uint16_t buckets[BUCKETS]; /* index + 1 */
    struct lookup lookups[RESOLVE_LOOKUPS_MAX];
    struct entry entries[RESOLVE_NAMES_MAX];
    char hosts[RESOLVE_FILE_BYTES_MAX];
};

_Static_assert(RESOLVE_NAMES_MAX < UINT16_MAX, "an entry's index fits");

/* --- life --- */

struct resolver *resolver_open(const struct resolver_io *io)
{
    struct resolver *resolver = mmap(NULL, sizeof(*resolver), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (resolver == MAP_FAILED)
        return NULL;
    resolver->io = *io;
    resolver->has_v6 = true;
    resolve_conf_parse(&resolver->conf, (struct slice){0});
    return resolver;
}

void resolver_set_hosts(struct resolver *resolver, struct slice text)
{
    text = slice_head(text, sizeof(resolver->hosts));
    if (text.len > 0)
        memcpy(resolver->hosts, text.ptr, text.len);
    resolver->hosts_len = (uint32_t)text.len;
}

/* Other servers may answer otherwise: nothing is fresh any more, but may still stand in. */
static void forget_freshness(struct resolver *resolver)
{
    for (uint32_t i = 0; i < resolver->entries_touched; i++)
        resolver->entries[i].fresh_ms = 0;
    resolver->preferred = 0;
}

void resolver_set_conf(struct resolver *resolver, struct slice text)
{
    resolve_conf_parse(&resolver->conf, text);
    forget_freshness(resolver);
}

void resolver_set_servers(struct resolver *resolver, const struct resolver_server *servers,
                          uint32_t count)
{
    check(count > 0 && count <= RESOLVE_SERVERS_MAX);
    memcpy(resolver->conf.servers, servers, count * sizeof(*servers));
    resolver->conf.servers_count = (uint8_t)count;
    forget_freshness(resolver);
}

void resolver_set_v6(struct resolver *resolver, bool has_v6)
{
    resolver->has_v6 = has_v6;
}

uint32_t resolver_servers(const struct resolver *resolver, const struct resolver_server **servers)
{
    *servers = resolver->conf.servers;
    return resolver->conf.servers_count;
}

const struct resolver_stats *resolver_get_stats(const struct resolver *resolver)
{
    return &resolver->stats;
}

/* --- the cache --- */

static uint32_t bucket_of(struct slice name)
{
    return (uint32_t)(fnv1a_64(name) % BUCKETS);
}

static struct slice entry_name(const struct entry *entry)
{
    return slice_of(entry->name, entry->name_len);
}

static struct entry *find_entry(struct resolver *resolver, struct slice name)
{
    uint16_t at = resolver->buckets[bucket_of(name)];

    while (at != 0) {
        struct entry *entry = &resolver->entries[at - 1];

        if (slice_eq(entry_name(entry), name)) {
            list_remove(&entry->age);
            list_push_back(&resolver->ages, &entry->age);
            return entry;
        }
        at = entry->next;
    }
    return NULL;
}

static void drop_entry(struct resolver *resolver, struct entry *entry)
{
    uint16_t index = (uint16_t)(entry - resolver->entries + 1);
    uint16_t *link = &resolver->buckets[entry->bucket];

    while (*link != index) {
        check(*link != 0);
        link = &resolver->entries[*link - 1].next;
    }
    *link = entry->next;
    list_remove(&entry->age);
    entry->is_used = false;
    resolver->stats.names--;
}

static struct entry *make_entry(struct resolver *resolver, struct slice name)
{
    struct entry *entry = find_entry(resolver, name);

    if (entry != NULL)
        return entry;
    if (resolver->entries_touched < RESOLVE_NAMES_MAX) {
        entry = &resolver->entries[resolver->entries_touched++];
    } else {
        entry = list_owner(list_first(&resolver->ages), struct entry, age);
        check(entry != NULL);
        drop_entry(resolver, entry);
    }
    *entry = (struct entry){.is_used = true, .name_len = (uint8_t)name.len};
    memcpy(entry->name, name.ptr, name.len);
    entry->bucket = (uint16_t)bucket_of(name);
    entry->next = resolver->buckets[entry->bucket];
    resolver->buckets[entry->bucket] = (uint16_t)(entry - resolver->entries + 1);
    list_push_back(&resolver->ages, &entry->age);
    resolver->stats.names++;
    return entry;
}

static void keep_addresses(struct resolver *resolver, struct slice name,
                           const struct resolve_result *result, uint64_t now_ms)
{
    struct entry *entry = make_entry(resolver, name);

    entry->is_denial = false;
    entry->result = *result;
    entry->fresh_ms = now_ms + (uint64_t)result->ttl_s * 1000;
    entry->stale_ms = entry->fresh_ms + (uint64_t)RESOLVE_STALE_S_MAX * 1000;
}

static void keep_denial(struct resolver *resolver, struct slice name, uint32_t ttl_s,
                        uint64_t now_ms)
{
    struct entry *entry;

    if (ttl_s < RESOLVE_TTL_S_MIN)
        ttl_s = RESOLVE_TTL_S_MIN;
    if (ttl_s > RESOLVE_NEGATIVE_S_MAX)
        ttl_s = RESOLVE_NEGATIVE_S_MAX;
    entry = make_entry(resolver, name);
    entry->is_denial = true;
    entry->result = (struct resolve_result){.err = R2A_ERR_RESOLVE};
    entry->fresh_ms = now_ms + (uint64_t)ttl_s * 1000;
    entry->stale_ms = 0;
}

/* --- ends --- */

static uint32_t index_of(const struct resolver *resolver, const struct lookup *lookup)
{
    return (uint32_t)(lookup - resolver->lookups);
}

static uint32_t lane_of(const struct resolver *resolver, const struct lookup *lookup, bool is_tcp)
{
    return 2 * index_of(resolver, lookup) + (is_tcp ? 1 : 0);
}

static void close_lanes(struct resolver *resolver, struct lookup *lookup)
{
    if (lookup->has_udp)
        resolver->io.close(resolver->io.ctx, lane_of(resolver, lookup, false));
    if (lookup->has_tcp)
        resolver->io.close(resolver->io.ctx, lane_of(resolver, lookup, true));
    lookup->has_udp = false;
    lookup->has_tcp = false;
}

static void end_lookup(struct resolver *resolver, struct lookup *lookup,
                       const struct resolve_result *result)
{
    struct list queries = {0};
    struct list_node *node;
    uint32_t index = index_of(resolver, lookup);

    close_lanes(resolver, lookup);
    list_append(&queries, &lookup->queries);
    list_remove(&lookup->node);
    resolver->lookup_used[index / 64] &= ~(1ull << index % 64);
    /* Last, as who is told may ask again at once. */
    while ((node = list_pop_front(&queries)) != NULL) {
        struct resolve_query *query = list_owner(node, struct resolve_query, node);

        query->resolver = NULL;
        query->done(query, result);
    }
}

static struct slice lookup_name(const struct lookup *lookup)
{
    return slice_of(lookup->name, lookup->name_len);
}

static bool can_stand_in(const struct entry *entry, uint64_t now_ms)
{
    return entry != NULL && !entry->is_denial && now_ms < entry->stale_ms;
}

/* No server knows, or none answers: the last good answer if there is one. */
static void fail_lookup(struct resolver *resolver, struct lookup *lookup, enum r2a_err err,
                        uint64_t now_ms)
{
    struct entry *entry = find_entry(resolver, lookup_name(lookup));
    struct resolve_result result = {.err = err};

    if (can_stand_in(entry, now_ms)) {
        entry->result.is_stale = true;
        entry->result.ttl_s = STALE_TTL_S;
        entry->fresh_ms = now_ms + STALE_TTL_S * 1000u;
        result = entry->result;
        resolver->stats.stale++;
    } else {
        resolver->stats.failed++;
    }
    end_lookup(resolver, lookup, &result);
}

static void deny_lookup(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    struct resolve_result result = {.err = R2A_ERR_RESOLVE};

    keep_denial(resolver, lookup_name(lookup), lookup->denial_ttl_s, now_ms);
    resolver->stats.negative++;
    end_lookup(resolver, lookup, &result);
}

/* Alternating families, the preferred one first (RFC 8305 4, with a "First Address Family Count" of
 * one); within a family the server's order, which it may have turned for balance. */
static void interleave(struct resolve_result *result, const struct dns_answer *first,
                       const struct dns_answer *second)
{
    for (size_t i = 0; i < RESOLVE_ADDRS_MAX; i++) {
        if (i < first->count && result->count < RESOLVE_ADDRS_MAX)
            result->addrs[result->count++] = first->addrs[i];
        if (i < second->count && result->count < RESOLVE_ADDRS_MAX)
            result->addrs[result->count++] = second->addrs[i];
    }
}

static void succeed(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    struct resolve_result result = {.ttl_s = RESOLVE_TTL_S_MAX};
    static const struct dns_answer none;
    const struct dns_answer *answers[FAMILIES];

    for (size_t i = 0; i < FAMILIES; i++) {
        struct half *half = &lookup->halves[i];

        answers[i] = &none;
        if (!half->is_done) {
            if (result.ttl_s > HALF_TTL_S)
                result.ttl_s = HALF_TTL_S;
        } else if (half->answer.verdict == DNS_ADDRESSES) {
            answers[i] = &half->answer;
            if (result.ttl_s > half->answer.ttl_s)
                result.ttl_s = half->answer.ttl_s;
        }
    }
    if (result.ttl_s < RESOLVE_TTL_S_MIN)
        result.ttl_s = RESOLVE_TTL_S_MIN;
    if (resolver->has_v6)
        interleave(&result, answers[FAMILY_V6], answers[FAMILY_V4]);
    else
        interleave(&result, answers[FAMILY_V4], answers[FAMILY_V6]);
    check(result.count > 0);
    keep_addresses(resolver, lookup_name(lookup), &result, now_ms);
    end_lookup(resolver, lookup, &result);
}

/* --- asking --- */

static bool has_addresses(const struct half *half)
{
    return half->is_done && half->answer.verdict == DNS_ADDRESSES;
}

static void send_half(struct resolver *resolver, struct lookup *lookup, size_t family, bool is_tcp)
{
    unsigned char message[DNS_QUERY_BYTES_MAX];
    struct half *half = &lookup->halves[family];
    size_t len;

    half->id = (uint16_t)random_u64();
    half->is_tcp = is_tcp;
    half->is_failed = false;
    len = dns_write_query(message, half->id, slice_of(lookup->wire, lookup->wire_len),
                          family_type[family], resolver->conf.wants_edns);
    check(len > 0);
    resolver->stats.sent++;
    resolver->stats.tcp += is_tcp ? 1 : 0;
    resolver->io.send(resolver->io.ctx, lane_of(resolver, lookup, is_tcp),
                      slice_of((const char *)message, len));
}

static void cap_deadline(struct lookup *lookup, uint64_t deadline_ms)
{
    uint64_t last_ms = lookup->begin_ms + RESOLVE_MS_MAX;

    lookup->deadline_ms = deadline_ms < last_ms ? deadline_ms : last_ms;
}

/* There may be fewer servers than when the lookup began. */
static bool open_lane(struct resolver *resolver, struct lookup *lookup, bool is_tcp)
{
    bool *has = is_tcp ? &lookup->has_tcp : &lookup->has_udp;

    if (!*has)
        *has = resolver->io.open(resolver->io.ctx, lane_of(resolver, lookup, is_tcp),
                                 lookup->server % resolver->conf.servers_count, is_tcp);
    return *has;
}

static void next_candidate(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms);

/* All servers had their turns for this candidate. */
static void give_up(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (has_addresses(&lookup->halves[i])) {
            succeed(resolver, lookup, now_ms);
            return;
        }
    }
    fail_lookup(resolver, lookup, lookup->was_answered ? R2A_ERR_RESOLVE : R2A_ERR_TIMEOUT, now_ms);
}

/* Asks the next server for what is not answered yet. */
static void next_server(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    const struct resolve_conf *conf = &resolver->conf;

    close_lanes(resolver, lookup);
    while (lookup->tries < conf->servers_count * conf->attempts) {
        if (lookup->tries > 0)
            lookup->server++;
        lookup->server = (uint8_t)(lookup->server % conf->servers_count);
        lookup->tries++;
        if (!open_lane(resolver, lookup, conf->wants_tcp))
            continue;
        for (size_t i = 0; i < FAMILIES; i++) {
            if (!lookup->halves[i].is_done)
                send_half(resolver, lookup, i, conf->wants_tcp);
        }
        cap_deadline(lookup, now_ms + conf->timeout_ms);
        return;
    }
    give_up(resolver, lookup, now_ms);
}

/* The candidate with this index (from 1): the name itself and the name within each search domain,
 * in the order that ndots decides. False when there is none. */
static bool make_candidate(struct resolver *resolver, struct lookup *lookup, unsigned index)
{
    const struct resolve_conf *conf = &resolver->conf;
    struct slice name = lookup_name(lookup);
    struct str_buf buf = {.ptr = lookup->wire, .size = RESOLVE_NAME_BYTES_MAX};
    bool is_absolute = name.ptr[name.len - 1] == '.';
    unsigned dots = 0;
    unsigned itself;

    for (size_t i = 0; i < name.len; i++)
        dots += name.ptr[i] == '.';
    if (is_absolute && index > 1)
        return false;
    itself = is_absolute || dots >= conf->ndots ? 1 : conf->search_count + 1u;
    if (index > conf->search_count + 1u)
        return false;
    str_buf_put(&buf, slice_head(name, is_absolute ? name.len - 1 : name.len));
    if (index != itself) {
        str_buf_put_char(&buf, '.');
        str_buf_put(&buf, slice_from_z(conf->search[index < itself ? index - 1 : index - 2]));
    }
    lookup->wire_len = buf.is_full ? 0 : (uint8_t)buf.len;
    return true;
}

static void next_candidate(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    close_lanes(resolver, lookup);
    do {
        lookup->candidate++;
        if (!make_candidate(resolver, lookup, lookup->candidate)) {
            if (lookup->has_denial)
                deny_lookup(resolver, lookup, now_ms);
            else
                fail_lookup(resolver, lookup, R2A_ERR_RESOLVE, now_ms);
            return;
        }
    } while (lookup->wire_len == 0); /* too long with its domain */
    for (size_t i = 0; i < FAMILIES; i++)
        lookup->halves[i] = (struct half){0};
    lookup->tries = 0;
    lookup->server = resolver->preferred;
    if (resolver->conf.is_rotating)
        lookup->server = (uint8_t)random_below(resolver->conf.servers_count);
    next_server(resolver, lookup, now_ms);
}

/* Both families are answered for this candidate. */
static void end_candidate(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    bool has_any = false;

    for (size_t i = 0; i < FAMILIES; i++) {
        const struct half *half = &lookup->halves[i];

        has_any = has_any || has_addresses(half);
        if (half->answer.verdict != DNS_ADDRESSES) {
            if (!lookup->has_denial || half->answer.ttl_s < lookup->denial_ttl_s)
                lookup->denial_ttl_s = half->answer.ttl_s;
            lookup->has_denial = true;
        }
    }
    if (has_any)
        succeed(resolver, lookup, now_ms);
    else
        next_candidate(resolver, lookup, now_ms);
}

/* --- events --- */

static struct lookup *lookup_of(struct resolver *resolver, uint32_t lane)
{
    uint32_t index = lane / 2;

    if (index >= RESOLVE_LOOKUPS_MAX ||
        (resolver->lookup_used[index / 64] & 1ull << index % 64) == 0)
        return NULL;
    return &resolver->lookups[index];
}

/* What is left to wait for after something changed. */
static void look_on(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    size_t done = 0;
    size_t failed = 0;
    bool has_any = false;

    for (size_t i = 0; i < FAMILIES; i++) {
        done += lookup->halves[i].is_done;
        failed += !lookup->halves[i].is_done && lookup->halves[i].is_failed;
        has_any = has_any || has_addresses(&lookup->halves[i]);
    }
    if (done == FAMILIES)
        end_candidate(resolver, lookup, now_ms);
    else if (done + failed == FAMILIES)
        next_server(resolver, lookup, now_ms);
    else if (has_any && lookup->deadline_ms > now_ms + RESOLVE_HALF_MS)
        cap_deadline(lookup, now_ms + RESOLVE_HALF_MS);
}

void resolver_on_message(struct resolver *resolver, uint32_t lane, struct slice message,
                         uint64_t now_ms)
{
    struct lookup *lookup = lookup_of(resolver, lane);
    bool is_tcp = lane % 2 == 1;

    if (lookup == NULL)
        return;
    for (size_t i = 0; i < FAMILIES; i++) {
        struct half *half = &lookup->halves[i];
        struct dns_answer answer;

        if (half->is_done || half->is_failed || half->is_tcp != is_tcp)
            continue;
        dns_read_answer(message, half->id, slice_of(lookup->wire, lookup->wire_len), family_type[i],
                        &answer);
        switch (answer.verdict) {
        case DNS_FOREIGN:
            continue;
        case DNS_ADDRESSES:
        case DNS_NO_DATA:
        case DNS_NO_NAME:
            half->answer = answer;
            half->is_done = true;
            lookup->was_answered = true;
            resolver->preferred = lookup->server;
            break;
        case DNS_IS_TRUNCATED:
            if (is_tcp || !open_lane(resolver, lookup, true)) {
                half->is_failed = true;
                break;
            }
            send_half(resolver, lookup, i, true);
            cap_deadline(lookup, now_ms + resolver->conf.timeout_ms);
            return;
        case DNS_FAILURE:
            half->is_failed = true;
            lookup->was_answered = true;
            break;
        }
        look_on(resolver, lookup, now_ms);
        return;
    }
    resolver->stats.dropped++;
}

void resolver_on_error(struct resolver *resolver, uint32_t lane, uint64_t now_ms)
{
    struct lookup *lookup = lookup_of(resolver, lane);
    bool is_tcp = lane % 2 == 1;
    bool *has;

    if (lookup == NULL)
        return;
    has = is_tcp ? &lookup->has_tcp : &lookup->has_udp;
    if (!*has)
        return;
    *has = false;
    resolver->io.close(resolver->io.ctx, lane);
    for (size_t i = 0; i < FAMILIES; i++) {
        if (!lookup->halves[i].is_done && lookup->halves[i].is_tcp == is_tcp)
            lookup->halves[i].is_failed = true;
    }
    look_on(resolver, lookup, now_ms);
}

static void time_out(struct resolver *resolver, struct lookup *lookup, uint64_t now_ms)
{
    resolver->stats.timeouts++;
    for (size_t i = 0; i < FAMILIES; i++) {
        if (has_addresses(&lookup->halves[i])) { /* the other family had its time */
            succeed(resolver, lookup, now_ms);
            return;
        }
    }
    /* Nobody waits through all attempts while there is something to try. */
    if (now_ms >= lookup->begin_ms + RESOLVE_MS_MAX ||
        (lookup->tries >= resolver->conf.servers_count &&
         can_stand_in(find_entry(resolver, lookup_name(lookup)), now_ms))) {
        fail_lookup(resolver, lookup, R2A_ERR_TIMEOUT, now_ms);
        return;
    }
    /* It may only be slow: the next one to be asked first is another. */
    if (resolver->preferred == lookup->server)
        resolver->preferred = (uint8_t)((lookup->server + 1u) % resolver->conf.servers_count);
    next_server(resolver, lookup, now_ms);
}

uint64_t resolver_next_ms(const struct resolver *resolver)
{
    uint64_t next_ms = UINT64_MAX;

    for (struct list_node *node = list_first(&resolver->active); node != NULL;
         node = list_next(&resolver->active, node)) {
        const struct lookup *lookup = list_owner(node, struct lookup, node);

        if (lookup->deadline_ms < next_ms)
            next_ms = lookup->deadline_ms;
    }
    return next_ms;
}

void resolver_on_time(struct resolver *resolver, uint64_t now_ms)
{
    /* Each turn ends a lookup or moves its deadline; one that a callback starts is not due. */
    for (bool is_again = true; is_again;) {
        is_again = false;
        for (struct list_node *node = list_first(&resolver->active); node != NULL;
             node = list_next(&resolver->active, node)) {
            struct lookup *lookup = list_owner(node, struct lookup, node);

            if (lookup->deadline_ms <= now_ms) {
                time_out(resolver, lookup, now_ms);
                is_again = true;
                break;
            }
        }
    }
}

/* --- questions --- */

static struct lookup *take_lookup(struct resolver *resolver)
{
    for (uint32_t i = 0; i < RESOLVE_LOOKUPS_MAX / 64; i++) {
        if (resolver->lookup_used[i] != UINT64_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~resolver->lookup_used[i]);
            struct lookup *lookup = &resolver->lookups[i * 64 + bit];

            resolver->lookup_used[i] |= 1ull << bit;
            memset(lookup, 0, sizeof(*lookup));
            return lookup;
        }
    }
    return NULL;
}

static struct lookup *find_lookup(struct resolver *resolver, struct slice name)
{
    for (struct list_node *node = list_first(&resolver->active); node != NULL;
         node = list_next(&resolver->active, node)) {
        struct lookup *lookup = list_owner(node, struct lookup, node);

        if (slice_eq(lookup_name(lookup), name))
            return lookup;
    }
    return NULL;
}

static void answer(struct resolve_query *query, const struct resolve_result *result)
{
    query->resolver = NULL;
    query->done(query, result);
}

void resolver_ask(struct resolver *resolver, struct resolve_query *query, struct slice name,
                  uint64_t now_ms)
{
    char lower[RESOLVE_NAME_BYTES_MAX + 2];
    struct resolve_result result;
    struct lookup *lookup;
    struct entry *entry;

    check(query->done != NULL && !list_is_linked(&query->node));
    resolver->stats.asked++;
    if (resolve_local(name, &result)) {
        answer(query, &result);
        return;
    }
    if (resolver->is_closing || !resolve_name_is_valid(name)) {
        result = (struct resolve_result){.err = resolver->is_closing ? R2A_ERR_CANCELLED
                                                                     : R2A_ERR_INVALID};
        answer(query, &result);
        return;
    }
    if (resolve_hosts_find(slice_of(resolver->hosts, resolver->hosts_len), name, &result)) {
        resolver->stats.hits++;
        answer(query, &result);
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        lower[i] = char_to_lower(name.ptr[i]);
    name.ptr = lower;
    entry = find_entry(resolver, name);
    if (entry != NULL && now_ms < entry->fresh_ms) {
        result = entry->result; /* a copy: who is told may ask again */
        if (!entry->is_denial)
            result.ttl_s = (uint32_t)((entry->fresh_ms - now_ms) / 1000);
        resolver->stats.hits++;
        answer(query, &result);
        return;
    }
    query->resolver = resolver;
    lookup = find_lookup(resolver, name);
    if (lookup != NULL) {
        list_push_back(&lookup->queries, &query->node);
        return;
    }
    lookup = take_lookup(resolver);
    if (lookup == NULL) {
        result = (struct resolve_result){.err = R2A_ERR_LIMIT};
        answer(query, &result);
        return;
    }
    memcpy(lookup->name, name.ptr, name.len);
    lookup->name_len = (uint8_t)name.len;
    lookup->begin_ms = now_ms;
    lookup->deadline_ms = UINT64_MAX;
    list_push_back(&lookup->queries, &query->node);
    list_push_back(&resolver->active, &lookup->node);
    next_candidate(resolver, lookup, now_ms);
}

/* The lookup goes on without it: its answer is worth keeping. */
void resolver_cancel(struct resolve_query *query)
{
    list_remove(&query->node);
    query->resolver = NULL;
}

void resolver_close(struct resolver *resolver)
{
    struct resolve_result result = {.err = R2A_ERR_CANCELLED};
    struct list_node *node;

    resolver->is_closing = true;
    while ((node = list_first(&resolver->active)) != NULL)
        end_lookup(resolver, list_owner(node, struct lookup, node), &result);
    check(munmap(resolver, sizeof(*resolver)) == 0);
}
