/* /etc/resolv.conf and /etc/hosts. Both are the administrator's: leniently read, bounded. */
#include "resolve_conf.h"

#include <net/if.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"

#define DNS_PORT 53u

/* Takes the next word off the front of *line; an empty slice at its end. */
static struct slice take_word(struct slice *line)
{
    size_t begin = 0;
    size_t end;

    while (begin < line->len &&
           (line->ptr[begin] == ' ' || line->ptr[begin] == '\t' || line->ptr[begin] == '\r'))
        begin++;
    end = begin;
    while (end < line->len && line->ptr[end] != ' ' && line->ptr[end] != '\t' &&
           line->ptr[end] != '\r')
        end++;

    struct slice word = slice_of(line->ptr + begin, end - begin);

    *line = slice_skip(*line, end);
    return word;
}

/* fe80::1%eth0, fe80::1%2: link-local servers come with their link. */
static bool parse_server(struct slice word, struct ip_addr *addr)
{
    size_t percent = str_find_char(word, '%');
    uint64_t scope;

    if (!ip_addr_parse(slice_head(word, percent), addr))
        return false;
    if (percent == word.len)
        return true;

    struct slice zone = slice_skip(word, percent + 1);
    char name[IF_NAMESIZE];

    if (addr->len != 16)
        return false;
    if (str_parse_u64(zone, &scope) && scope <= UINT32_MAX) {
        addr->scope = (uint32_t)scope;
        return true;
    }
    if (zone.len == 0 || zone.len >= sizeof(name))
        return false;
    memcpy(name, zone.ptr, zone.len);
    name[zone.len] = '\0';
    addr->scope = if_nametoindex(name);
    return addr->scope != 0;
}

static void add_search(struct resolve_conf *conf, struct slice domain)
{
    if (conf->search_count == RESOLVE_SEARCH_MAX || !resolve_name_is_valid(domain))
        return;
    if (domain.ptr[domain.len - 1] == '.')
        domain.len--;
    memcpy(conf->search[conf->search_count], domain.ptr, domain.len);
    conf->search[conf->search_count][domain.len] = '\0';
    conf->search_count++;
}

static bool take_number(struct slice option, struct slice key, uint64_t max, uint64_t *value)
{
    if (!str_starts(option, key) || !str_parse_u64(slice_skip(option, key.len), value))
        return false;
    if (*value > max)
        *value = max;
    return true;
}

static void take_option(struct resolve_conf *conf, struct slice option)
{
    uint64_t value;

    if (take_number(option, S("ndots:"), 15, &value))
        conf->ndots = (uint8_t)value;
    else if (take_number(option, S("timeout:"), 30, &value))
        conf->timeout_ms = (uint32_t)(value > 0 ? value * 1000 : 500);
    else if (take_number(option, S("attempts:"), 5, &value))
        conf->attempts = (uint8_t)(value > 0 ? value : 1);
    else if (slice_eq(option, S("rotate")))
        conf->is_rotating = true;
    else if (slice_eq(option, S("use-vc")))
        conf->wants_tcp = true;
    else if (slice_eq(option, S("edns0")))
        conf->wants_edns = true;
}

void resolve_conf_parse(struct resolve_conf *conf, struct slice text)
{
    struct slice line;

    *conf = (struct resolve_conf){
        .ndots = 1,
        .attempts = RESOLVE_ATTEMPTS_DEFAULT,
        .timeout_ms = RESOLVE_TIMEOUT_MS_DEFAULT,
    };
    while (str_split(&text, '\n', &line)) {
        struct slice key;
        struct slice word;

        if (line.len > 0 && (line.ptr[0] == '#' || line.ptr[0] == ';'))
            continue;
        key = take_word(&line);
        if (slice_eq(key, S("nameserver"))) {
            struct resolver_server *server = &conf->servers[conf->servers_count];

            if (conf->servers_count < RESOLVE_SERVERS_MAX &&
                parse_server(take_word(&line), &server->addr)) {
                server->port = DNS_PORT;
                conf->servers_count++;
            }
        } else if (slice_eq(key, S("search")) || slice_eq(key, S("domain"))) {
            conf->search_count = 0; /* the last such line holds */
            while ((word = take_word(&line)).len > 0)
                add_search(conf, word);
        } else if (slice_eq(key, S("options"))) {
            while ((word = take_word(&line)).len > 0)
                take_option(conf, word);
        }
    }
    if (conf->servers_count == 0) {
        conf->servers[0] =
            (struct resolver_server){.addr = {.len = 4, .bytes = {127, 0, 0, 1}}, .port = DNS_PORT};
        conf->servers_count = 1;
    }
}

bool resolve_hosts_find(struct slice text, struct slice name, struct resolve_result *result)
{
    struct slice line;

    *result = (struct resolve_result){0};
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    while (str_split(&text, '\n', &line)) {
        struct ip_addr addr;
        struct slice word;

        line = slice_head(line, str_find_char(line, '#'));
        word = take_word(&line);
        if (word.len == 0 || !ip_addr_parse(word, &addr))
            continue;
        while ((word = take_word(&line)).len > 0) {
            if (!str_eq_nocase(word, name))
                continue;
            if (result->count < RESOLVE_ADDRS_MAX)
                result->addrs[result->count++] = addr;
            break;
        }
    }
    return result->count > 0;
}
