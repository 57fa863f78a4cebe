/* Settings that stand at several levels (timeouts, retry, default model, strictness), addresses to
 * listen on, client keys and routes. */
#include <netinet/in.h>
#include <sys/un.h>

#include "board.h"
#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/http/url.h"
#include "r2a/net/resolve.h"

#define MS_MAX 2147483647

/* --- timeouts, retry --- */

struct time_row {
    struct slice name;
    size_t offset;
    int64_t min;
    bool is_top_only; /* before there is a route or provider, or when there is none any more */
};

#define TIME_ROW(name, min, is_top)                                 \
    {                                                               \
        S_INIT(#name), offsetof(struct timeouts, name), min, is_top \
    }
static const struct time_row time_rows[] = {
    TIME_ROW(connect_ms, 1, false), TIME_ROW(first_byte_ms, 1, false),
    TIME_ROW(idle_ms, 1, false),    TIME_ROW(client_header_ms, 1, true),
    TIME_ROW(drain_ms, 0, true),    TIME_ROW(total_ms, 0, false),
    TIME_ROW(hold_ms, 0, false),    TIME_ROW(keepalive_ms, 0, false),
};

void cfg_timeouts(struct cfg_reader *reader, const struct cfg_node *node, bool is_top,
                  struct timeouts *timeouts)
{
    struct slice names[array_count(time_rows)];
    struct cfg_node *members[array_count(time_rows)];

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    for (size_t i = 0; i < array_count(time_rows); i++)
        names[i] = time_rows[i].name;
    cfg_members(reader, node, names, array_count(names), NULL, 0, members);
    for (size_t i = 0; i < array_count(time_rows); i++) {
        int32_t *value = (int32_t *)(void *)((char *)timeouts + time_rows[i].offset);
        int64_t ms;

        if (members[i] == NULL || !cfg_int(reader, members[i], time_rows[i].min, MS_MAX, &ms))
            continue;
        if (time_rows[i].is_top_only && !is_top)
            cfg_warn_key(reader, members[i], time_rows[i].name,
                         S(" has an effect at the top level only"));
        *value = (int32_t)ms;
    }
}

void cfg_retry(struct cfg_reader *reader, const struct cfg_node *node, struct retry_rule *retry)
{
    static const struct slice names[] = {S_INIT("attempts"), S_INIT("base_delay_ms")};
    static const struct slice later[] = {S_INIT("switches")};
    struct cfg_node *members[2];
    int64_t value;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 2, later, 1, members);
    if (members[0] && cfg_int(reader, members[0], 1, 100, &value))
        retry->attempts = (int32_t)value;
    if (members[1] && cfg_int(reader, members[1], 0, 3600000, &value))
        retry->base_delay_ms = (int32_t)value;
}

void cfg_default_model(struct cfg_reader *reader, const struct cfg_node *node,
                       struct default_model *model)
{
    static const struct slice names[] = {S_INIT("id"), S_INIT("mode")};
    static const struct slice modes[] = {S_INIT("fallback"), S_INIT("force")};
    struct cfg_node *members[2];
    int32_t mode;

    if (node == NULL)
        return;
    if (node->kind == CFG_STRING) {
        cfg_string(reader, node, &model->id);
        return;
    }
    if (!cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 2, NULL, 0, members);
    if (members[0])
        cfg_string(reader, members[0], &model->id);
    else
        cfg_error(reader, node, S("default_model needs an \"id\""));
    mode = members[1] ? cfg_word(reader, members[1], modes, 2) : 0;
    model->is_forced = mode == 1;
}

void cfg_strict(struct cfg_reader *reader, const struct cfg_node *node, int8_t *strict)
{
    bool value;

    if (node && cfg_bool(reader, node, &value))
        *strict = value;
}

void cfg_proxy(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct slice text;

    if (node == NULL || !cfg_string(reader, node, &text))
        return;
    if (!slice_eq(text, S("none")) && !slice_eq(text, S("env")))
        cfg_error(reader, node,
                  S("a proxy is not available yet in this version; use \"none\" or \"env\""));
}

/* --- addresses --- */

static void add_ip(struct cfg_address *address, const struct ip_addr *ip, uint16_t port,
                   struct slice text)
{
    struct sockaddr_storage storage = {0};

    _Static_assert(sizeof(storage) <= sizeof(address->sockaddr), "any address fits");
    address->text = text;
    address->is_loopback = ip_addr_is_loopback(ip);
    address->sockaddr_len = ip_addr_to_sockaddr(ip, port, &storage);
    memcpy(address->sockaddr, &storage, sizeof(storage));
}

static bool add_unix(struct cfg_reader *reader, const struct cfg_node *node, struct slice path,
                     struct slice text, struct cfg_address *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (path.len > 0 && path.ptr[0] == '~') {
        struct cfg_node home = *node;

        home.text = path;
        if (!cfg_path(reader, &home, &path))
            return false;
    } else if (path.len > 0 && path.ptr[0] != '/' && node->origin == NULL) {
        path = cfg_join(reader->arena, reader->directory, path);
    }
    if (path.len == 0 || path.len >= sizeof(un.sun_path)) {
        cfg_error(reader, node, S("a socket's path has 1 to 107 bytes: unix:/run/ring2api.sock"));
        return false;
    }
    memcpy(un.sun_path, path.ptr, path.len);
    address->is_unix = true;
    address->is_loopback = true;
    address->path = cfg_copy(reader->arena, path);
    address->text = text;
    memcpy(address->sockaddr, &un, sizeof(un));
    address->sockaddr_len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

static bool add_address(struct cfg_reader *reader, const struct cfg_node *node,
                        struct cfg_address *addresses, uint32_t *count)
{
    struct url_listen listen;
    struct ip_addr ip = {0};
    struct slice text;

    if (!cfg_string(reader, node, &text))
        return false;
    if (str_starts(text, S("unix:"))) {
        if (!add_unix(reader, node, slice_skip(text, 5), text, &addresses[*count]))
            return false;
        ++*count;
        return true;
    }
    if (url_listen_parse(text, &listen) != R2A_OK) {
        cfg_error(reader, node,
                  S("an address is host:port, [v6]:port or unix:/path, for example "
                    "\"127.0.0.1:3000\""));
        return false;
    }
    if (listen.host.len == 0) {
        ip.len = 16; /* [::] takes IPv4 too */
    } else if (str_eq_nocase(listen.host, S("localhost"))) {
        ip = (struct ip_addr){.len = 4, .bytes = {127, 0, 0, 1}};
    } else if (!ip_addr_parse(listen.host, &ip)) {
        cfg_error(reader, node, S("\""), listen.host,
                  S("\" is no address; listen on an IP address of this machine, localhost, or * "
                    "for all"));
        return false;
    }
    add_ip(&addresses[*count], &ip, listen.port, text);
    ++*count;
    return true;
}

void cfg_listen(struct cfg_reader *reader, const struct cfg_node *node,
                struct cfg_address **addresses, uint32_t *count)
{
    struct cfg_address *all;

    *count = 0;
    if (node->kind == CFG_STRING) {
        *addresses = cfg_take(reader->arena, sizeof(**addresses));
        add_address(reader, node, *addresses, count);
        return;
    }
    if (!cfg_is(reader, node, CFG_ARRAY))
        return;
    if (node->count == 0 || node->count > 16) {
        cfg_error(reader, node, S("listen names one to 16 addresses, like [\"127.0.0.1:3000\"]"));
        return;
    }
    all = cfg_take(reader->arena, node->count * sizeof(*all));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        uint32_t before = *count;

        add_address(reader, item, all, count);
        for (uint32_t i = 0; i<before && * count> before; i++) {
            if (all[i].sockaddr_len == all[before].sockaddr_len &&
                memcmp(all[i].sockaddr, all[before].sockaddr, all[i].sockaddr_len) == 0)
                cfg_error(reader, item, S("this address stands here twice; keep one of them"));
        }
    }
    *addresses = all;
}

/* --- client keys --- */

enum { KEY_NAME, KEY_KEY, KEY_MODELS, KEY_RPM, KEY_CONCURRENCY, KEY_STRICT, KEY_DISABLED, KEYS };
static const struct slice key_names[KEYS] = {
    S_INIT("name"),        S_INIT("key"),    S_INIT("models"),   S_INIT("rpm"),
    S_INIT("concurrency"), S_INIT("strict"), S_INIT("disabled"),
};
static const struct slice key_later[] = {
    S_INIT("tpm"),          S_INIT("daily_requests"), S_INIT("daily_tokens"),
    S_INIT("total_tokens"), S_INIT("reserve_tokens"),
};

static void take_key(struct cfg_reader *reader, const struct cfg_node *node, struct cfg_key *key)
{
    struct slice secret;

    if (cfg_secret(reader, node, &secret))
        sha256_of(secret, key->digest);
}

static void read_key(struct cfg_reader *reader, const struct cfg_node *node, struct cfg_key *key)
{
    struct cfg_node *members[KEYS];
    int64_t value;

    if (node->kind == CFG_STRING) {
        take_key(reader, node, key);
        return;
    }
    if (node->kind != CFG_OBJECT) {
        cfg_error(reader, node,
                  S("a client key is a string, or an object with \"key\" and \"name\""));
        return;
    }
    cfg_members(reader, node, key_names, KEYS, key_later, array_count(key_later), members);
    if (members[KEY_KEY])
        take_key(reader, members[KEY_KEY], key);
    else
        cfg_error(reader, node, S("this client key has no \"key\"; add one, like \"env:ALICE\""));
    if (members[KEY_NAME])
        cfg_string(reader, members[KEY_NAME], &key->name);
    if (members[KEY_MODELS])
        cfg_strings(reader, members[KEY_MODELS], &key->models, &key->models_count);
    if (members[KEY_RPM] && cfg_int(reader, members[KEY_RPM], 0, 1000000000, &value))
        key->rpm = (uint64_t)value;
    if (members[KEY_CONCURRENCY] && cfg_int(reader, members[KEY_CONCURRENCY], 0, 1000000, &value))
        key->concurrency = (uint64_t)value;
    cfg_strict(reader, members[KEY_STRICT], &key->strict);
    if (members[KEY_DISABLED])
        cfg_bool(reader, members[KEY_DISABLED], &key->is_disabled);
    if (members[KEY_NAME] == NULL && (key->rpm > 0 || key->concurrency > 0))
        cfg_error(reader, node, S("a client key with a limit needs a \"name\""));
}

void cfg_keys(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;

    if (node == NULL || !cfg_is(reader, node, CFG_ARRAY))
        return;
    config->keys = cfg_take(reader->arena, (node->count + 1) * sizeof(*config->keys));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        struct cfg_key *key = &config->keys[config->keys_count];
        uint32_t errors = reader->report->errors;
        char digits[STR_U64_BYTES_MAX];

        key->board = BOARD_NONE;
        key->strict = -1;
        read_key(reader, item, key);
        if (key->name.len == 0)
            key->name =
                cfg_join(reader->arena, S("key"),
                         slice_of(digits, str_from_u64(digits, (uint64_t)config->keys_count + 1)));
        for (uint32_t i = 0; i < config->keys_count && reader->report->errors == errors; i++) {
            if (memcmp(config->keys[i].digest, key->digest, sizeof(key->digest)) == 0)
                cfg_error(reader, item, S("the same key as of \""), config->keys[i].name,
                          S("\"; each client key stands here once"));
            else if (slice_eq(config->keys[i].name, key->name))
                cfg_error(reader, item, S("the name \""), key->name, S("\" is taken already"));
        }
        config->keys_count++;
    }
}

/* --- routes --- */

int32_t cfg_find_provider(struct cfg_reader *reader, const struct cfg_node *node, struct slice name)
{
    const struct config *config = reader->config;
    struct slice *names = cfg_take(reader->arena, (config->providers_count + 1) * sizeof(*names));
    struct slice near;

    for (uint32_t i = 0; i < config->providers_count; i++) {
        names[i] = config->providers[i].name;
        if (slice_eq(names[i], name))
            return (int32_t)i;
    }
    near = cfg_nearest(name, names, config->providers_count);
    if (near.len > 0)
        cfg_error(reader, node, S("no provider is named \""), name, S("\"; did you mean \""), near,
                  S("\"?"));
    else
        cfg_error(reader, node, S("no provider is named \""), name,
                  S("\"; add it to \"providers\""));
    return -1;
}

static bool read_target(struct cfg_reader *reader, const struct cfg_node *node,
                        struct cfg_target *target)
{
    static const struct slice names[] = {S_INIT("provider"), S_INIT("model"), S_INIT("weight")};
    struct cfg_node *members[3] = {0};
    const struct cfg_node *named = node;
    struct slice text;
    size_t slash;
    int64_t weight;
    int32_t index;

    target->weight = 1;
    if (node->kind == CFG_OBJECT) {
        cfg_members(reader, node, names, 3, NULL, 0, members);
        named = members[0];
        if (named == NULL) {
            cfg_error(reader, node, S("this target names no \"provider\""));
            return false;
        }
    } else if (node->kind != CFG_STRING) {
        cfg_error(reader, node,
                  S("a target is \"PROVIDER\", \"PROVIDER/MODEL\" or {\"provider\", \"model\", "
                    "\"weight\"}"));
        return false;
    }
    if (!cfg_string(reader, named, &text))
        return false;
    slash = str_find_char(text, '/');
    if (slash < text.len)
        target->model = slice_skip(text, slash + 1);
    if (members[1] && !cfg_string(reader, members[1], &target->model))
        return false;
    if (members[2]) {
        if (!cfg_int(reader, members[2], 0, 1000000, &weight))
            return false;
        target->weight = (uint32_t)weight;
    }
    index = cfg_find_provider(reader, named, slice_head(text, slash));
    target->provider = (uint32_t)index;
    return index >= 0;
}

static void read_targets(struct cfg_reader *reader, const struct cfg_node *node,
                         struct cfg_target **targets, uint32_t *count)
{
    if (node->kind == CFG_STRING || node->kind == CFG_OBJECT) {
        *targets = cfg_take(reader->arena, sizeof(**targets));
        *count = read_target(reader, node, *targets) ? 1 : 0;
        return;
    }
    if (!cfg_is(reader, node, CFG_ARRAY))
        return;
    if (node->count > 16) {
        cfg_error(reader, node, S("a route has at most 16 targets"));
        return;
    }
    *targets = cfg_take(reader->arena, (node->count + 1) * sizeof(**targets));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        if (read_target(reader, item, &(*targets)[*count]))
            ++*count;
    }
}

enum { ROUTE_MODEL_KEY, ROUTE_TO, ROUTE_FALLBACK, ROUTE_TIMEOUTS, ROUTE_STRICT, ROUTE_KEYS };
static const struct slice route_names[ROUTE_KEYS] = {
    S_INIT("model"), S_INIT("to"), S_INIT("fallback"), S_INIT("timeouts"), S_INIT("strict"),
};
static const struct slice route_later[] = {
    S_INIT("params"),
    S_INIT("system_prompt"),
    S_INIT("models_hidden"),
};

void cfg_routes(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;

    if (node == NULL || !cfg_is(reader, node, CFG_ARRAY))
        return;
    config->routes = cfg_take(reader->arena, (node->count + 1) * sizeof(*config->routes));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        struct cfg_route *route = &config->routes[config->routes_count++];
        struct cfg_node *members[ROUTE_KEYS];

        route->timeouts = (struct timeouts){-1, -1, -1, -1, -1, -1, -1, -1};
        route->strict = -1;
        route->counter = BOARD_NONE;
        if (!cfg_is(reader, item, CFG_OBJECT))
            continue;
        cfg_members(reader, item, route_names, ROUTE_KEYS, route_later, array_count(route_later),
                    members);
        if (members[ROUTE_MODEL_KEY])
            cfg_string(reader, members[ROUTE_MODEL_KEY], &route->model);
        else
            cfg_error(reader, item, S("this route names no \"model\"; \"*\" is any"));
        if (members[ROUTE_TO])
            read_targets(reader, members[ROUTE_TO], &route->to, &route->to_count);
        if (members[ROUTE_TO] == NULL || members[ROUTE_TO]->count + route->to_count == 0)
            cfg_error(reader, item,
                      S("this route leads nowhere; name a provider: \"to\": [\"NAME\"]"));
        if (members[ROUTE_FALLBACK])
            read_targets(reader, members[ROUTE_FALLBACK], &route->fallback, &route->fallback_count);
        cfg_timeouts(reader, members[ROUTE_TIMEOUTS], false, &route->timeouts);
        cfg_strict(reader, members[ROUTE_STRICT], &route->strict);
    }
}
