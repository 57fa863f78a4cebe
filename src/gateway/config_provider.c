/* The providers of a configuration: one reader for every kind, so that a new row of
 * provider/list.h needs no change here. */
#include "board.h"
#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/http/h1_write.h"
#include "r2a/http/header.h"
#include "r2a/http/url.h"
#include "r2a/net/resolve.h"

#define NAME_BYTES_MAX 64u

enum {
    KIND,
    BASE_URL,
    KEYS,
    MODELS,
    HEADERS,
    DEFAULT_MODEL,
    TIMEOUTS,
    RETRY,
    STRICT,
    OPTIONAL,
    PROXY,
    REFERER,
    TITLE,
    MEMBERS,
};
static const struct slice member_names[MEMBERS] = {
    S_INIT("kind"),    S_INIT("base_url"),      S_INIT("keys"),     S_INIT("models"),
    S_INIT("headers"), S_INIT("default_model"), S_INIT("timeouts"), S_INIT("retry"),
    S_INIT("strict"),  S_INIT("optional"),      S_INIT("proxy"),    S_INIT("referer"),
    S_INIT("title"),
};
static const struct slice member_later[] = {
    S_INIT("accounts"),    S_INIT("auth_url"),      S_INIT("model_map"), S_INIT("params"),
    S_INIT("fallback"),    S_INIT("pool"),          S_INIT("check"),     S_INIT("tokens"),
    S_INIT("profile"),     S_INIT("region"),        S_INIT("plan"),      S_INIT("protocol"),
    S_INIT("auth"),        S_INIT("api_version"),   S_INIT("api"),       S_INIT("client_id"),
    S_INIT("auth_header"), S_INIT("client_secret"), S_INIT("options"),   S_INIT("keep_alive"),
    S_INIT("auth_prefix"), S_INIT("file"),          S_INIT("optout"),    S_INIT("dedupe"),
    S_INIT("workspace"),   S_INIT("appid"),
};
/* Kinds of later steps, for a message that says so. */
static const struct slice kinds_later[] = {
    S_INIT("vllm"),      S_INIT("llamacpp"),    S_INIT("kimi"),       S_INIT("glm"),
    S_INIT("qwen"),      S_INIT("qwen-oauth"),  S_INIT("qianfan"),    S_INIT("deepseek"),
    S_INIT("xai"),       S_INIT("azure"),       S_INIT("gemini-cli"), S_INIT("kiro"),
    S_INIT("dashscope"), S_INIT("ernie"),       S_INIT("ollama"),     S_INIT("vertex"),
    S_INIT("bedrock"),   S_INIT("declarative"), S_INIT("forward"),
};
/* First segments of our own routes. */
static const struct slice reserved[] = {
    S_INIT("v1"),     S_INIT("v1beta"),   S_INIT("chat"),        S_INIT("responses"),
    S_INIT("models"), S_INIT("messages"), S_INIT("embeddings"),  S_INIT("completions"),
    S_INIT("images"), S_INIT("audio"),    S_INIT("moderations"), S_INIT("rerank"),
    S_INIT("api"),    S_INIT("health"),   S_INIT("ready"),       S_INIT("metrics"),
    S_INIT("auto"),
};

static bool is_in(struct slice word, const struct slice *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(word, words[i]))
            return true;
    }
    return false;
}

static void check_name(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct slice name = node->key;
    bool is_good = name.len > 0 && name.len <= NAME_BYTES_MAX && char_is_alnum(name.ptr[0]);

    for (size_t i = 0; i < name.len && is_good; i++)
        is_good = char_is_alnum(name.ptr[i]) || name.ptr[i] == '_' || name.ptr[i] == '.' ||
                  name.ptr[i] == '-';
    if (!is_good)
        cfg_error_key(reader, node,
                      S("a provider's name has 1 to 64 letters, digits, '_', '.' and '-', and "
                        "begins with a letter or digit"));
    else if (is_in(name, reserved, array_count(reserved)))
        cfg_error_key(reader, node, S("\""), name,
                      S("\" is the beginning of a route and cannot be a provider's name; choose "
                        "another"));
}

/* --- kind --- */

struct kinds {
    struct slice names[64];
    size_t count;
    struct str_buf list;
};

static void put_kind(void *context, struct slice name)
{
    struct kinds *kinds = context;

    if (kinds->count < array_count(kinds->names))
        kinds->names[kinds->count++] = name;
    if (kinds->list.len > 0)
        str_buf_put(&kinds->list, S(", "));
    str_buf_put(&kinds->list, name);
}

static const struct provider *read_kind(struct cfg_reader *reader, const struct cfg_node *node)
{
    char text[512];
    struct kinds kinds = {.list = STR_BUF(text)};
    const struct provider *kind;
    struct slice name, near;

    if (!cfg_string(reader, node, &name))
        return NULL;
    kind = provider_find(name);
    if (kind)
        return kind;
    provider_names(put_kind, &kinds);
    near = cfg_nearest(name, kinds.names, kinds.count);
    if (is_in(name, kinds_later, array_count(kinds_later)))
        cfg_error(reader, node, S("the kind \""), name,
                  S("\" is not available yet in this version; there are: "),
                  str_buf_slice(&kinds.list));
    else if (near.len > 0)
        cfg_error(reader, node, S("unknown kind \""), name, S("\"; did you mean \""), near,
                  S("\"?"));
    else
        cfg_error(reader, node, S("unknown kind \""), name, S("\"; there are: "),
                  str_buf_slice(&kinds.list));
    return NULL;
}

/* --- address --- */

/* What people paste: the version twice, or the whole address of the call. */
static struct slice trim_path(struct slice path)
{
    static const struct slice calls[] = {S_INIT("/chat/completions"), S_INIT("/messages"),
                                         S_INIT("/responses")};

    for (size_t i = 0; i < array_count(calls); i++) {
        if (str_ends(path, calls[i]))
            path.len -= calls[i].len;
    }
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    while (str_ends(path, S("/v1/v1")))
        path.len -= 3;
    return path;
}

static bool read_url(struct cfg_reader *reader, const struct cfg_node *node, struct slice text,
                     struct endpoint *endpoint)
{
    struct url url;
    char digits[STR_U64_BYTES_MAX + 1] = ":";

    if (url_parse(text, &url) != R2A_OK) {
        bool is_shown = str_find_char(text, '@') == text.len && !cfg_is_reference(node);

        /* what holds a password, or was put elsewhere on purpose, is not shown */

        cfg_error(reader, node, is_shown ? text : S("this"),
                  S(" is no base_url; one is https://HOST[:PORT][/PATH], http://… or "
                    "http://unix:/SOCKET:/PATH"));
        return false;
    }
    if (url.user_info.len > 0) {
        cfg_error(reader, node,
                  S("credentials do not belong into base_url; put the key into \"keys\""));
        return false;
    }
    if (url.has_query) {
        cfg_error(reader, node, S("a base_url has no query; remove what follows the '?'"));
        return false;
    }
    endpoint->is_tls = url.is_tls;
    endpoint->is_unix = url.unix_path.len > 0;
    endpoint->path = trim_path(cfg_copy(reader->arena, url.path));
    if (endpoint->is_unix) {
        if (url.unix_path.len > 107) {
            cfg_error(reader, node, S("a socket's path has at most 107 bytes"));
            return false;
        }
        endpoint->host = cfg_copy(reader->arena, url.unix_path);
        endpoint->authority = S("localhost");
        return true;
    }
    endpoint->host = cfg_copy(reader->arena, url.host);
    endpoint->port = url.port;
    if (url.is_ipv6) {
        endpoint->authority = cfg_join(reader->arena, S("["), url.host);
        endpoint->authority = cfg_join(reader->arena, endpoint->authority, S("]"));
    } else {
        endpoint->authority = endpoint->host;
    }
    if (url.port != (url.is_tls ? 443 : 80))
        endpoint->authority = cfg_join(reader->arena, endpoint->authority,
                                       slice_of(digits, 1 + str_from_u64(digits + 1, url.port)));
    return true;
}

/* A service's own host without its path: what precedes the call there is known. */
static void complete_path(const struct provider *kind, struct endpoint *endpoint)
{
    struct url known;

    if (endpoint->path.len == 0 && !endpoint->is_unix &&
        url_parse(kind->default_base_url, &known) == R2A_OK &&
        str_eq_nocase(known.host, endpoint->host))
        endpoint->path = known.path;
}

static bool is_local(const struct endpoint *endpoint)
{
    struct ip_addr ip;

    return endpoint->is_unix || str_eq_nocase(endpoint->host, S("localhost")) ||
           (ip_addr_parse(endpoint->host, &ip) && ip_addr_is_loopback(&ip));
}

/* --- headers --- */

static bool is_framing(struct slice name)
{
    static const uint8_t ids[] = {
        HEADER_HOST,    HEADER_CONTENT_LENGTH,    HEADER_CONTENT_TYPE, HEADER_CONTENT_ENCODING,
        HEADER_EXPECT,  HEADER_TRANSFER_ENCODING, HEADER_CONNECTION,   HEADER_ACCEPT_ENCODING,
        HEADER_UPGRADE, HEADER_KEEP_ALIVE,        HEADER_TE,           HEADER_TRAILER,
    };

    _Static_assert(HEADER_ID_COUNT <= 256, "header numbers fit a byte");
    return memchr(ids, (int)http_header_id(name), sizeof(ids)) != NULL;
}

/* A header whose value is a credential by its name. */
static bool is_telling(struct slice name)
{
    static const struct slice words[] = {S_INIT("auth"),   S_INIT("key"),    S_INIT("token"),
                                         S_INIT("secret"), S_INIT("cookie"), S_INIT("password")};

    for (size_t i = 0; i < array_count(words); i++) {
        if (str_find_nocase(name, words[i]) < name.len)
            return true;
    }
    return false;
}

static void read_headers(struct cfg_reader *reader, const struct cfg_node *node,
                         struct provider_instance *provider)
{
    if (!cfg_is(reader, node, CFG_OBJECT))
        return;
    provider->headers = cfg_take(reader->arena, (node->count + 1) * sizeof(*provider->headers));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        struct provider_header *header = &provider->headers[provider->headers_count];

        header->name = item->key;
        if (!http_token_valid(item->key)) {
            cfg_error_key(reader, item, S("this is no header name: letters, digits and '-'"));
            continue;
        }
        if (is_framing(item->key)) {
            cfg_error_key(reader, item, S("the gateway writes \""), item->key,
                          S("\" itself; remove it"));
            continue;
        }
        if (item->kind == CFG_NULL) {
            header->is_removed = true;
        } else {
            if (!cfg_string(reader, item, &header->value))
                continue;
            if (is_telling(item->key) || cfg_is_reference(item))
                cfg_note_secret(reader, header->value);
            if (!h1_field_valid(header->name, header->value)) {
                cfg_error(reader, item, S("a header's value holds no control characters"));
                continue;
            }
        }
        for (uint32_t i = 0; i < provider->headers_count; i++) {
            if (str_eq_nocase(provider->headers[i].name, header->name))
                cfg_error_key(reader, item,
                              S("this header stands here twice; letter case does not count"));
        }
        provider->headers_count++;
    }
}

static void read_printable(struct cfg_reader *reader, const struct cfg_node *node,
                           struct slice *value)
{
    if (node == NULL || !cfg_string(reader, node, value))
        return;
    for (size_t i = 0; i < value->len; i++) {
        if (value->ptr[i] < 0x20 || value->ptr[i] > 0x7e) {
            cfg_error(reader, node, S("this becomes a header: printable ASCII and spaces only"));
            return;
        }
    }
}

/* --- credentials --- */

static void read_keys(struct cfg_reader *reader, const struct cfg_node *node,
                      struct provider_instance *provider)
{
    uint32_t room = node && node->kind == CFG_ARRAY ? node->count : 1;

    provider->credentials = cfg_take(reader->arena, (room + 1) * sizeof(struct credential));
    if (node && node->kind != CFG_ARRAY && node->kind != CFG_STRING)
        cfg_error(reader, node, S("keys is an array of strings, like [\"env:API_KEY\"]"));
    else if (node) {
        const struct cfg_node *item = node->kind == CFG_ARRAY ? node->first : node;

        for (; item; item = node->kind == CFG_ARRAY ? item->next : NULL) {
            struct credential *credential = &provider->credentials[provider->credentials_count];
            char digits[STR_U64_BYTES_MAX];

            if (!cfg_secret(reader, item, &credential->key))
                continue;
            for (uint32_t i = 0; i < provider->credentials_count; i++) {
                if (slice_eq(provider->credentials[i].key, credential->key))
                    cfg_error(reader, item, S("this key stands here twice; keep one of them"));
            }
            provider->credentials_count++;
            credential->label = cfg_copy(
                reader->arena, slice_of(digits, str_from_u64(digits, provider->credentials_count)));
            credential->weight = 1;
            credential->board = BOARD_NONE;
        }
    }
}

/* A service without a key still has one credential, an empty one: what cools down is a record. */
static void need_credential(struct cfg_reader *reader, const struct cfg_node *node, bool has_url,
                            bool has_keys, struct provider_instance *provider)
{
    bool may_lack = !provider->kind->needs_key || is_local(&provider->endpoint) ||
                    (has_url && !provider->endpoint.is_tls);

    if (provider->credentials_count > 0 || provider->is_off)
        return;
    if (!may_lack && !has_keys)
        cfg_error_key(reader, node, S("the provider \""), provider->name,
                      S("\" has no keys; add \"keys\": [\"env:NAME\"]"));
    else if (!may_lack)
        cfg_error_key(reader, node, S("the provider \""), provider->name,
                      S("\" has no usable key"));
    provider->credentials[0] =
        (struct credential){.label = S("1"), .weight = 1, .board = BOARD_NONE};
    provider->credentials_count = 1;
}

/* --- one provider --- */

static bool says_optional(struct cfg_reader *reader, const struct cfg_node *node)
{
    bool is_optional = false;

    if (node)
        cfg_bool(reader, node, &is_optional);
    return is_optional;
}

static void read_provider(struct cfg_reader *reader, struct cfg_node *node,
                          struct provider_instance *provider)
{
    struct cfg_node *members[MEMBERS];
    struct slice missing = {0};
    struct slice url = {0};
    uint32_t errors = reader->report->errors;
    bool is_optional;

    cfg_members(reader, node, member_names, MEMBERS, member_later, array_count(member_later),
                members);
    if (members[KIND] == NULL) {
        cfg_error_key(reader, node, S("the provider \""), node->key,
                      S("\" needs a \"kind\", like \"openai\""));
        return;
    }
    provider->kind = read_kind(reader, members[KIND]);
    if (provider->kind == NULL)
        return;
    is_optional = says_optional(reader, members[OPTIONAL]);
    if (is_optional)
        reader->missing = &missing;
    if (members[BASE_URL]) {
        cfg_string(reader, members[BASE_URL], &url);
    } else {
        url = provider->kind->default_base_url;
        if (url.len == 0 && !provider->kind->is_embedded)
            cfg_error_key(reader, node, S("the provider \""), node->key,
                          S("\" needs a \"base_url\""));
    }
    if (url.len > 0 &&
        read_url(reader, members[BASE_URL] ? members[BASE_URL] : node, url, &provider->endpoint))
        complete_path(provider->kind, &provider->endpoint);
    read_keys(reader, members[KEYS], provider);
    if (members[MODELS])
        cfg_strings(reader, members[MODELS], &provider->models, &provider->models_count);
    if (members[HEADERS])
        read_headers(reader, members[HEADERS], provider);
    cfg_default_model(reader, members[DEFAULT_MODEL], &provider->default_model);
    cfg_timeouts(reader, members[TIMEOUTS], false, &provider->timeouts);
    cfg_retry(reader, members[RETRY], &provider->retry);
    cfg_strict(reader, members[STRICT], &provider->strict);
    cfg_proxy(reader, members[PROXY]);
    read_printable(reader, members[REFERER], &provider->referer);
    read_printable(reader, members[TITLE], &provider->title);
    if ((members[REFERER] || members[TITLE]) && !provider->kind->has_attribution)
        cfg_error_key(reader, members[REFERER] ? members[REFERER] : members[TITLE],
                      S("\"referer\" and \"title\" are for the kind openrouter; use \"headers\""));
    reader->missing = NULL;
    if (missing.len > 0) {
        provider->is_off = true;
        provider->off_reason = missing;
        cfg_warn_key(reader, node, S("the provider \""), provider->name, S("\" is off: "), missing);
    }
    if (reader->report->errors == errors)
        need_credential(reader, node, members[BASE_URL] != NULL,
                        members[KEYS] != NULL && members[KEYS]->count > 0, provider);
}

void cfg_providers(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct config *config = reader->config;

    if (node == NULL || !cfg_is(reader, node, CFG_OBJECT))
        return;
    config->providers = cfg_take(reader->arena, (node->count + 1) * sizeof(*config->providers));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        struct provider_instance *provider = &config->providers[config->providers_count];

        provider->name = item->key;
        provider->index = config->providers_count++;
        provider->timeouts = (struct timeouts){-1, -1, -1, -1, -1, -1, -1, -1};
        provider->retry = (struct retry_rule){-1, -1};
        provider->strict = -1;
        check_name(reader, item);
        if (cfg_is(reader, item, CFG_OBJECT))
            read_provider(reader, item, provider);
    }
}
