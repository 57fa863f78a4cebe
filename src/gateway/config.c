/* A generation of the configuration: where it is read from, its top level, the rules that hold
 * between its parts, and its lifetime. */
#include "r2a/gateway/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/log.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"
#include "r2a/http/url.h"
#include "r2a/limits.h"
#include "r2a/net/resolve.h"
#include "r2a/provider/list.h"

#define CONFIG_FILE_BYTES_MAX 16777216u
#define SYSTEM_BYTES_MAX      1048576u
#define WORKERS_MAX           256
#define DEFAULT_FILE          "ring2api.json"

enum {
    LISTEN,
    WORKERS,
    API_KEYS,
    PROVIDERS,
    ROUTES,
    DEFAULT_PROVIDER,
    DEFAULT_MODEL,
    SYSTEM_PROMPT,
    PROMPT_LOG,
    STRICT,
    MODEL_PROFILES,
    RETRY,
    LIMITS,
    TIMEOUTS,
    CORS,
    ADMIN,
    PROXY,
    TLS,
    ALLOW_UNAUTHENTICATED,
    MEMBERS,
};
static const struct slice member_names[MEMBERS] = {
    S_INIT("listen"),
    S_INIT("workers"),
    S_INIT("api_keys"),
    S_INIT("providers"),
    S_INIT("routes"),
    S_INIT("default_provider"),
    S_INIT("default_model"),
    S_INIT("system_prompt"),
    S_INIT("prompt_log"),
    S_INIT("strict"),
    S_INIT("model_profiles"),
    S_INIT("retry"),
    S_INIT("limits"),
    S_INIT("timeouts"),
    S_INIT("cors"),
    S_INIT("admin"),
    S_INIT("proxy"),
    S_INIT("tls"),
    S_INIT("allow_unauthenticated"),
};
static const struct slice member_later[] = {
    S_INIT("pool"),      S_INIT("check"), S_INIT("tokens"),
    S_INIT("state_dir"), S_INIT("usage"), S_INIT("fetch"),
};

/* --- parts of the top level --- */

static void read_limits(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice names[] = {S_INIT("body_bytes"), S_INIT("header_bytes"),
                                         S_INIT("connections"), S_INIT("output_bytes"),
                                         S_INIT("memory_bytes")};
    struct cfg_limits *limits = &reader->config->limits;
    struct cfg_node *members[5];
    int64_t value;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 5, NULL, 0, members);
    if (members[0] && cfg_int(reader, members[0], 1024, BODY_BYTES_LIMIT_MAX, &value))
        limits->body_bytes = (uint64_t)value;
    if (members[1] && cfg_int(reader, members[1], 1024, HEAD_BYTES_MAX, &value))
        limits->header_bytes = (uint64_t)value;
    if (members[2] && cfg_int(reader, members[2], 0, 10000000, &value))
        limits->connections = (uint64_t)value;
    if (members[3] && cfg_int(reader, members[3], 1024, BODY_BYTES_LIMIT_MAX, &value))
        limits->output_bytes = (uint64_t)value;
    if (members[4] && cfg_int(reader, members[4], 0, INT64_MAX, &value)) {
        limits->memory_bytes = (uint64_t)value;
        if (value > 0 && value < (int64_t)MEMORY_BYTES_LIMIT_MIN)
            cfg_error(reader, members[4], S("memory_bytes must be 0, or at least 8388608 (8 MiB)"));
        else if (value > 0 && limits->memory_bytes < limits->body_bytes)
            cfg_warn(reader, members[4],
                     S("memory_bytes is less than body_bytes: the largest bodies will be refused "
                       "with 503"));
    }
}

static void read_system(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice names[] = {S_INIT("file"), S_INIT("text"), S_INIT("mode")};
    static const struct slice later[] = {S_INIT("replace"), S_INIT("mirror")};
    static const struct slice modes[] = {S_INIT("append"), S_INIT("override"), S_INIT("overwrite")};
    struct config *config = reader->config;
    struct cfg_node *members[3];
    struct slice path;
    int errnum = 0;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 3, later, 2, members);
    if (members[2])
        config->system_mode =
            cfg_word(reader, members[2], modes, 3) > 0 ? SYSTEM_OVERRIDE : SYSTEM_APPEND;
    if (members[0] && members[1]) {
        cfg_error_key(reader, members[1], S("give \"file\" or \"text\", not both"));
    } else if (members[1]) {
        cfg_string_or_empty(reader, members[1], &config->system_text);
    } else if (members[0] && cfg_path(reader, members[0], &path)) {
        if (!cfg_read_file(reader->arena, path, SYSTEM_BYTES_MAX, &config->system_text, &errnum)) {
            cfg_say(reader, !members[0]->is_mild, members[0], AT_VALUE,
                    CFG_PIECES(S("the system prompt "), path, S(": "), cfg_errno_text(errnum)));
            config->system_text = (struct slice){0};
        } else if (!utf8_is_valid(config->system_text)) {
            cfg_error(reader, members[0], S("the system prompt "), path, S(" is not UTF-8"));
        }
        if (str_starts(config->system_text, S("\xef\xbb\xbf")))
            config->system_text = slice_skip(config->system_text, 3);
    } else if (members[0] == NULL) {
        cfg_error(reader, node, S("system_prompt needs \"file\" or \"text\""));
    }
    if (str_trim_lines(config->system_text).len == 0)
        config->system_text.len = 0;
    while (config->system_text.len > 0 &&
           (config->system_text.ptr[config->system_text.len - 1] == '\n' ||
            config->system_text.ptr[config->system_text.len - 1] == '\r'))
        config->system_text.len--;
}

static void read_prompt_log(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice names[] = {S_INIT("mode"),      S_INIT("file"), S_INIT("format"),
                                         S_INIT("max_bytes"), S_INIT("keep"), S_INIT("queue")};
    static const struct slice modes[] = {S_INIT("none"), S_INIT("console"), S_INIT("file")};
    struct cfg_node *members[6];

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 6, NULL, 0, members);
    if (members[0] == NULL || cfg_word(reader, members[0], modes, 3) > 0)
        cfg_error(reader, members[0] ? members[0] : node,
                  S("the prompt log is not available yet in this version; use {\"mode\": "
                    "\"none\"}"));
}

static void read_profiles(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;
    uint32_t room = 1;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    for (struct cfg_node *item = node->first; item; item = item->next)
        room += item->count;
    config->profiles = cfg_take(reader->arena, room * sizeof(*config->profiles));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        if (!cfg_is(reader, item, CFG_OBJECT))
            continue;
        for (struct cfg_node *flag = item->first; flag; flag = flag->next) {
            struct profile_rule *rule = &config->profiles[config->profiles_count];
            struct model_profile scratch = {0};
            const char *why = NULL;

            if (!profile_set(&scratch, flag->key, flag->raw, &why)) {
                cfg_error(reader, flag, S("the flag \""), flag->key, S("\" must be "),
                          slice_from_z(why ? why : "one that exists"));
                continue;
            }
            *rule = (struct profile_rule){item->key, flag->key, flag->raw};
            config->profiles_count++;
        }
    }
}

static void read_cors(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;
    struct cfg_node *item;

    if (node == NULL || !cfg_strings(reader, node, &config->cors, &config->cors_count))
        return;
    item = node->kind == CFG_ARRAY ? node->first : NULL;
    for (uint32_t i = 0; i < config->cors_count; i++, item = item ? item->next : NULL) {
        struct slice origin = config->cors[i];
        size_t scheme = str_find(origin, S("://"));
        struct slice host = scheme < origin.len ? slice_skip(origin, scheme + 3) : origin;

        if (slice_eq(origin, S("*")) || slice_eq(origin, S("null")))
            continue;
        if (scheme == origin.len || scheme == 0 || host.len == 0 ||
            str_find_char(host, '/') < host.len)
            cfg_error(reader, item ? item : node,
                      S("an origin is SCHEME://HOST[:PORT] without a path, or \"*\""));
    }
}

static void read_admin(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice names[] = {S_INIT("listen"), S_INIT("key")};
    struct config *config = reader->config;
    struct cfg_node *members[2];
    struct slice key;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 2, NULL, 0, members);
    if (members[0])
        cfg_listen(reader, members[0], &config->admin_listens, &config->admin_listens_count);
    if (members[1] && cfg_secret(reader, members[1], &key)) {
        sha256_of(key, config->admin_digest);
        config->has_admin_key = true;
        for (uint32_t i = 0; i < config->keys_count; i++) {
            if (memcmp(config->keys[i].digest, config->admin_digest, SHA256_BYTES) == 0)
                cfg_error(reader, members[1],
                          S("the admin key is also a client key; choose another"));
        }
    }
    config->has_admin = config->admin_listens_count > 0 || config->has_admin_key;
}

static void read_tls(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice names[] = {S_INIT("ca_file")};
    struct cfg_node *members[1];
    struct slice path;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    cfg_members(reader, node, names, 1, NULL, 0, members);
    if (members[0] == NULL || members[0]->kind == CFG_NULL || !cfg_path(reader, members[0], &path))
        return;
    if (access(path.ptr, R_OK) != 0)
        cfg_error(reader, members[0], S("the CA file "), path, S(": "), cfg_errno_text(errno));
    reader->config->tls_ca_file = path;
}

/* --- rules between parts --- */

/* Does NO_PROXY name this host? Enough for a warning: suffixes, names and "*". */
static bool is_unproxied(struct slice host)
{
    const char *value = getenv("no_proxy") ? getenv("no_proxy") : getenv("NO_PROXY");
    struct slice rest = slice_from_z(value);
    struct slice item;

    while (rest.len > 0 && str_split(&rest, ',', &item)) {
        item = str_trim(item);
        while (item.len > 0 && (item.ptr[0] == '*' || item.ptr[0] == '.')) {
            item = slice_skip(item, 1);
            if (item.len == 0)
                return true;
        }
        if (item.len > 0 && str_ends_nocase(host, item))
            return true;
    }
    return false;
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value && value[0];
}

static void warn_of_proxies(struct cfg_reader *reader, const struct cfg_node *root,
                            const struct cfg_node *proxy)
{
    const struct config *config = reader->config;
    bool for_all = is_set("all_proxy") || is_set("ALL_PROXY");
    bool for_tls = for_all || is_set("https_proxy") || is_set("HTTPS_PROXY");
    bool for_plain = for_all || is_set("http_proxy") || is_set("HTTP_PROXY");

    if (proxy && slice_eq(proxy->text, S("none")))
        return;
    for (uint32_t i = 0; i < config->providers_count; i++) {
        const struct endpoint *endpoint = &config->providers[i].endpoint;
        struct ip_addr ip;

        if (config->providers[i].is_off || endpoint->is_unix || endpoint->host.len == 0 ||
            str_eq_nocase(endpoint->host, S("localhost")) ||
            (ip_addr_parse(endpoint->host, &ip) && ip_addr_is_loopback(&ip)) ||
            !(endpoint->is_tls ? for_tls : for_plain) || is_unproxied(endpoint->host))
            continue;
        cfg_warn(reader, proxy ? proxy : root,
                 S("the environment names a proxy, which is not available yet in this version: "
                   "upstreams are called directly; say \"proxy\": \"none\" to confirm"));
        return;
    }
}

static void check_exposure(struct cfg_reader *reader, const struct cfg_node *listen,
                           const struct cfg_node *root)
{
    const struct config *config = reader->config;
    const struct cfg_node *item = listen && listen->kind == CFG_ARRAY ? listen->first : listen;

    if (config->keys_count > 0 || config->allow_unauthenticated)
        return;
    for (uint32_t i = 0; i < config->listens_count; i++, item = item ? item->next : NULL) {
        if (!config->listens[i].is_loopback)
            cfg_error(reader, item ? item : root, S("\""), config->listens[i].text,
                      S("\" can be reached by others, and there are no api_keys; add some, listen "
                        "on 127.0.0.1, or say \"allow_unauthenticated\": true"));
    }
}

/* With no provider at all the embedded one answers. */
static void add_demo(struct cfg_reader *reader)
{
    struct config *config = reader->config;
    struct provider_instance *echo = cfg_take(reader->arena, sizeof(*echo));

    *echo = (struct provider_instance){
        .name = S("echo"),
        .kind = &provider_echo,
        .timeouts = {-1, -1, -1, -1, -1, -1, -1, -1},
        .retry = {-1, -1},
        .strict = -1,
        .credentials_count = 1,
    };
    echo->credentials = cfg_take(reader->arena, sizeof(*echo->credentials));
    *echo->credentials = (struct credential){.label = S("1"), .weight = 1, .board = UINT32_MAX};
    config->providers = echo;
    config->providers_count = 1;
    config->default_provider = 0;
    config->is_demo = true;
}

static void choose_default(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;
    struct slice name;

    if (node && cfg_string(reader, node, &name))
        config->default_provider = cfg_find_provider(reader, node, name);
    else if (node == NULL && config->providers_count == 1 && config->routes_count == 0)
        config->default_provider = 0; /* there is nowhere else to go */
}

static void check_default_model(struct cfg_reader *reader, const struct cfg_node *node)
{
    const struct config *config = reader->config;
    struct slice id = config->default_model.id;
    bool is_routed = config->default_provider >= 0;

    if (node == NULL || id.len == 0 || is_routed)
        return;
    for (uint32_t i = 0; i < config->routes_count; i++)
        is_routed = is_routed || str_glob(config->routes[i].model, id);
    for (uint32_t i = 0; i < config->providers_count; i++) {
        struct slice name = config->providers[i].name;

        is_routed =
            is_routed || (str_starts(id, name) && id.len > name.len && id.ptr[name.len] == '/');
    }
    if (!is_routed)
        cfg_warn(reader, node, S("no route, provider or default_provider serves the model \""), id,
                 S("\""));
}

static void read_root(struct cfg_reader *reader, struct cfg_node *root)
{
    struct config *config = reader->config;
    struct cfg_node *members[MEMBERS];
    int64_t workers;

    cfg_members(reader, root, member_names, MEMBERS, member_later, array_count(member_later),
                members);
    if (members[LISTEN]) {
        cfg_listen(reader, members[LISTEN], &config->listens, &config->listens_count);
    } else {
        struct cfg_node *listen = cfg_new_string(reader, NULL, S("127.0.0.1:3000"));

        cfg_listen(reader, listen, &config->listens, &config->listens_count);
    }
    if (members[WORKERS] && cfg_int(reader, members[WORKERS], 0, WORKERS_MAX, &workers))
        config->workers = (uint32_t)workers;
    if (members[ALLOW_UNAUTHENTICATED])
        cfg_bool(reader, members[ALLOW_UNAUTHENTICATED], &config->allow_unauthenticated);
    cfg_keys(reader, members[API_KEYS]);
    cfg_providers(reader, members[PROVIDERS]);
    if (config->providers_count == 0)
        add_demo(reader);
    cfg_routes(reader, members[ROUTES]);
    choose_default(reader, members[DEFAULT_PROVIDER]);
    cfg_default_model(reader, members[DEFAULT_MODEL], &config->default_model);
    check_default_model(reader, members[DEFAULT_MODEL]);
    read_system(reader, members[SYSTEM_PROMPT]);
    read_prompt_log(reader, members[PROMPT_LOG]);
    if (members[STRICT])
        cfg_bool(reader, members[STRICT], &config->strict);
    read_profiles(reader, members[MODEL_PROFILES]);
    cfg_retry(reader, members[RETRY], &config->retry);
    read_limits(reader, members[LIMITS]);
    cfg_timeouts(reader, members[TIMEOUTS], true, &config->timeouts);
    read_cors(reader, members[CORS]);
    read_admin(reader, members[ADMIN]);
    cfg_proxy(reader, members[PROXY]);
    read_tls(reader, members[TLS]);
    check_exposure(reader, members[LISTEN], root);
    warn_of_proxies(reader, root, members[PROXY]);
}

/* --- where it comes from --- */

static bool read_file(struct cfg_reader *reader, const struct config_flags *flags,
                      struct slice *text, bool *is_there)
{
    const char *path = flags->file ? flags->file : DEFAULT_FILE;
    struct slice name = slice_from_z(path);
    size_t slash = str_find_last_char(name, '/');
    int errnum = 0;

    *is_there = flags->file != NULL || access(path, F_OK) == 0;
    if (!*is_there)
        return true;
    reader->file = name;
    reader->directory = slash < name.len ? slice_head(name, slash + 1) : (struct slice){0};
    if (cfg_read_input(reader->arena, name, CONFIG_FILE_BYTES_MAX, text, &errnum))
        return true;
    reader->file = (struct slice){0};
    reader->report->errors++;
    {
        struct slice line = cfg_join(reader->arena, name, S(": "));

        line = cfg_join(reader->arena, line, cfg_errno_text(errnum));
        reader->report->line(reader->report->context, true, line);
    }
    return false;
}

static struct cfg_node *read_tree(struct cfg_reader *reader, const struct config_flags *flags)
{
    struct cfg_node *root = NULL;
    struct slice text = {0};
    bool is_there;

    if (!read_file(reader, flags, &text, &is_there))
        return NULL;
    if (is_there) {
        root = cfg_parse(reader, text);
        if (root == NULL)
            return NULL;
        if (cfg_is_aiclient(root))
            root = cfg_from_aiclient(reader, root);
    } else {
        root = cfg_new(reader, CFG_OBJECT, "configuration");
        cfg_apply_environment(reader, root);
    }
    cfg_apply_flags(reader, flags, root);
    cfg_finish_settings(reader, root);
    return root;
}

static void set_defaults(struct config *config)
{
    config->default_provider = -1;
    config->retry = (struct retry_rule){.attempts = 3, .base_delay_ms = 500};
    config->limits = (struct cfg_limits){
        .body_bytes = 67108864,
        .header_bytes = HEAD_BYTES_MAX,
        .output_bytes = 33554432,
    };
    config->timeouts = (struct timeouts){
        .connect_ms = 5000,
        .first_byte_ms = 120000,
        .idle_ms = 300000,
        .client_header_ms = 15000,
        .drain_ms = 30000,
        .total_ms = 0,
        .hold_ms = 15000,
        .keepalive_ms = 15000,
    };
    config->log_level = LOG_INFO;
}

static void read_echo_delay(struct cfg_reader *reader)
{
    const char *value = getenv("ECHO_DELAY_MS");
    struct cfg_node *node;
    int64_t delay;

    if (value == NULL || value[0] == 0)
        return;
    node = cfg_new_string(reader, "ECHO_DELAY_MS in the environment", slice_from_z(value));
    if (cfg_int(reader, node, 0, 3600000, &delay))
        reader->config->echo_delay_ms = (uint64_t)delay;
}

struct config *config_load(const struct config_flags *flags, struct config_report *report)
{
    static _Atomic uint32_t generations;
    struct cfg_arena first = {0};
    struct config *config = cfg_take(&first, sizeof(*config));
    struct cfg_arena *arena = cfg_take(&first, sizeof(*arena));
    struct cfg_reader reader = {.arena = arena, .report = report, .config = config};
    uint32_t errors = report->errors;
    struct cfg_node *root;

    *arena = first;
    config->arena = arena;
    atomic_init(&config->refs, 1);
    set_defaults(config);
    root = read_tree(&reader, flags);
    if (root) {
        read_root(&reader, root);
        read_echo_delay(&reader);
    }
    cfg_flush(&reader);
    config->file = reader.file;
    config->secrets = reader.secrets;
    config->secrets_count = reader.secrets_count;
    if (report->errors != errors) {
        config_unref(config);
        return NULL;
    }
    config->generation = atomic_fetch_add(&generations, 1) + 1;
    return config;
}

/* --- lifetime --- */

void config_ref(struct config *config, uint32_t count)
{
    check(atomic_fetch_add_explicit(&config->refs, count, memory_order_relaxed) > 0);
}

void config_unref(struct config *config)
{
    struct cfg_arena arena;

    if (atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena = *(struct cfg_arena *)config->arena; /* lies in itself */
    cfg_arena_free(&arena);
}

const struct provider_instance *config_provider(const struct config *config, struct slice name)
{
    for (uint32_t i = 0; i < config->providers_count; i++) {
        if (slice_eq(config->providers[i].name, name))
            return &config->providers[i];
    }
    return NULL;
}
