/* What users of AIClient-2-API bring: its config.json, and its settings as flags or variables, put
 * into our own words. Settings that have no counterpart yet say so in a warning and change nothing;
 * a flag that asks for what does not exist is an error, since somebody typed it just now. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/core/str.h"

/* --- listening --- */

/* Whether ::1 exists here: containers often have IPv4 alone. */
static bool has_ipv6_loopback(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    if (fd >= 0)
        close(fd);
    return is_there;
}

/* host and :port of what is configured so far. */
static void split_listen(const struct cfg_node *root, struct slice *host, struct slice *port)
{
    const struct cfg_node *listen = cfg_get(root, S("listen"));
    size_t colon;

    *host = S("127.0.0.1");
    *port = S("3000");
    if (listen && listen->kind == CFG_ARRAY)
        listen = listen->first;
    if (listen == NULL || listen->kind != CFG_STRING || str_starts(listen->text, S("unix:")))
        return;
    colon = str_find_last_char(listen->text, ':');
    if (colon == listen->text.len)
        return;
    *host = slice_head(listen->text, colon);
    *port = slice_skip(listen->text, colon + 1);
}

static void add_listen(struct cfg_reader *reader, struct cfg_node *listen, const char *origin,
                       size_t at, struct slice host, struct slice port)
{
    struct slice text = cfg_join(reader->arena, host, S(":"));
    struct cfg_node *node = cfg_new_string(reader, origin, cfg_join(reader->arena, text, port));

    node->at = at;
    cfg_append(listen, node);
}

static void set_listen(struct cfg_reader *reader, struct cfg_node *root,
                       const struct cfg_node *value, struct slice host, struct slice port)
{
    struct cfg_node *listen = cfg_new(reader, CFG_ARRAY, value->origin);

    listen->at = value->at;
    cfg_set(root, S("listen"), listen);
    if (str_eq_nocase(host, S("localhost"))) {
        add_listen(reader, listen, value->origin, value->at, S("127.0.0.1"), port);
        if (has_ipv6_loopback())
            add_listen(reader, listen, value->origin, value->at, S("[::1]"), port);
        return;
    }
    if (str_find_char(host, ':') < host.len && host.ptr[0] != '[') {
        host = cfg_join(reader->arena, S("["), host);
        host = cfg_join(reader->arena, host, S("]"));
    }
    add_listen(reader, listen, value->origin, value->at, host, port);
}

static void apply_host(struct cfg_reader *reader, struct cfg_node *root, struct cfg_node *value)
{
    struct slice host, port, text;

    if (!cfg_string(reader, value, &text))
        return;
    if (str_starts(text, S("unix:"))) {
        struct cfg_node *listen = cfg_new(reader, CFG_ARRAY, value->origin);

        cfg_append(listen, cfg_new_string(reader, value->origin, text));
        cfg_set(root, S("listen"), listen);
        return;
    }
    split_listen(root, &host, &port);
    set_listen(reader, root, value, text, port);
}

static void apply_port(struct cfg_reader *reader, struct cfg_node *root, struct cfg_node *value)
{
    const struct cfg_node *listen = cfg_get(root, S("listen"));
    char digits[STR_U64_BYTES_MAX];
    struct slice host, port;
    int64_t number;

    if (!cfg_int(reader, value, 0, 65535, &number))
        return;
    split_listen(root, &host, &port);
    if (listen && listen->kind == CFG_ARRAY && listen->count == 2 && listen->first->next &&
        str_starts(listen->first->text, S("127.0.0.1:")) &&
        str_starts(listen->first->next->text, S("[::1]:")))
        host = S("localhost");
    set_listen(reader, root, value, host, slice_of(digits, str_from_i64(digits, number)));
}

/* --- providers --- */

struct type_row {
    struct slice name;
    struct slice kind; /* empty: of a later step */
};
static const struct type_row types[] = {
    {S_INIT("openai-custom"), S_INIT("openai")},
    {S_INIT("claude-custom"), S_INIT("anthropic")},
    {S_INIT("openai-openrouter"), S_INIT("openrouter")},
    {S_INIT("gemini-cli-oauth"), {0}},
    {S_INIT("claude-kiro-oauth"), {0}},
    {S_INIT("openai-qwen-oauth"), {0}},
    {S_INIT("openaiResponses-custom"), {0}},
    {S_INIT("forward-api"), {0}},
    {S_INIT("gemini-antigravity"), {0}},
    {S_INIT("openai-codex-oauth"), {0}},
    {S_INIT("openai-iflow"), {0}},
    {S_INIT("grok-web"), {0}},
};

static const struct type_row *find_type(struct slice name)
{
    for (size_t i = 0; i < array_count(types); i++) {
        if (slice_eq(types[i].name, name))
            return &types[i];
    }
    return NULL;
}

static struct cfg_node *need_provider(struct cfg_reader *reader, struct cfg_node *root,
                                      struct slice name, const struct cfg_node *value)
{
    struct cfg_node *providers = cfg_get_object(reader, root, S("providers"), value->origin);
    struct cfg_node *provider = cfg_get(providers, name);
    struct cfg_node *node;

    if (provider)
        return provider;
    provider = cfg_get_object(reader, providers, name, value->origin);
    provider->at = provider->key_at = value->at;
    node = cfg_new_string(reader, value->origin, find_type(name)->kind);
    node->at = value->at;
    cfg_set(provider, S("kind"), node);
    if (providers->count == 1 && cfg_get(root, S("default_provider")) == NULL) {
        node = cfg_new_string(reader, value->origin, name);
        node->at = value->at;
        cfg_set(root, S("default_provider"), node);
    }
    return provider;
}

static void apply_key(struct cfg_reader *reader, struct cfg_node *root, struct slice name,
                      struct cfg_node *value)
{
    struct cfg_node *keys = cfg_new(reader, CFG_ARRAY, value->origin);

    keys->at = value->at;
    cfg_append(keys, value);
    cfg_set(need_provider(reader, root, name, value), S("keys"), keys);
}

static void apply_provider(struct cfg_reader *reader, struct cfg_node *root, struct cfg_node *value)
{
    struct cfg_node *node = value;
    struct slice text;
    const struct type_row *type;

    if (value->kind == CFG_ARRAY)
        node = value->first;
    if (node == NULL || !cfg_string(reader, node, &text))
        return;
    text = str_trim(slice_head(text, str_find_char(text, ',')));
    type = find_type(text);
    if (type && type->kind.len == 0 && cfg_get(cfg_get(root, S("providers")), text) == NULL) {
        cfg_error(reader, node, S("the provider \""), text,
                  S("\" is not available yet in this version"));
        return;
    }
    if (type)
        need_provider(reader, root, text, node);
    value = cfg_new_string(reader, node->origin, text);
    value->at = node->at;
    cfg_set(root, S("default_provider"), value);
}

/* --- one setting --- */

enum action {
    SET_HOST,
    SET_PORT,
    SET_API_KEY,
    SET_MODEL_PROVIDER,
    SET_KEY,     /* of the provider `to` */
    SET_MEMBER,  /* `member` of the provider `to` */
    SET_OBJECT,  /* `member` of the root's object `to` */
    SET_RETRIES, /* theirs counts what follows the first */
    SET_SYSTEM_FILE,
    SET_PROMPT_LOG,
    SET_LOG_LEVEL,
    SET_LATER,   /* known, without a counterpart in this version */
    SET_NOTHING, /* known, and nothing to say about it */
};
struct setting_row {
    struct slice name; /* ends with '*': any that begin so */
    uint8_t action;    /* enum action */
    struct slice to, member;
};
#define ROW(name, action, to, member)                    \
    {                                                    \
        S_INIT(name), action, S_INIT(to), S_INIT(member) \
    }

/* clang-format off */
static const struct setting_row settings[] = {
    ROW("HOST", SET_HOST, "", ""),
    ROW("SERVER_PORT", SET_PORT, "", ""),
    ROW("REQUIRED_API_KEY", SET_API_KEY, "", ""),
    ROW("MODEL_PROVIDER", SET_MODEL_PROVIDER, "", ""),
    ROW("OPENAI_API_KEY", SET_KEY, "openai-custom", ""),
    ROW("OPENAI_BASE_URL", SET_MEMBER, "openai-custom", "base_url"),
    ROW("CLAUDE_API_KEY", SET_KEY, "claude-custom", ""),
    ROW("CLAUDE_BASE_URL", SET_MEMBER, "claude-custom", "base_url"),
    ROW("OPENROUTER_API_KEY", SET_KEY, "openai-openrouter", ""),
    ROW("OPENROUTER_BASE_URL", SET_MEMBER, "openai-openrouter", "base_url"),
    ROW("OPENROUTER_REFERER", SET_MEMBER, "openai-openrouter", "referer"),
    ROW("OPENROUTER_TITLE", SET_MEMBER, "openai-openrouter", "title"),
    ROW("DEFAULT_MODEL", SET_OBJECT, "default_model", "id"),
    ROW("DEFAULT_MODEL_MODE", SET_OBJECT, "default_model", "mode"),
    ROW("SYSTEM_PROMPT_FILE_PATH", SET_SYSTEM_FILE, "", ""),
    ROW("SYSTEM_PROMPT_MODE", SET_OBJECT, "system_prompt", "mode"),
    ROW("REQUEST_MAX_RETRIES", SET_RETRIES, "", ""),
    ROW("REQUEST_BASE_DELAY", SET_OBJECT, "retry", "base_delay_ms"),
    ROW("PROMPT_LOG_MODE", SET_PROMPT_LOG, "", ""),
    ROW("PROMPT_LOG_BASE_NAME", SET_NOTHING, "", ""),
    ROW("LOG_LEVEL", SET_LOG_LEVEL, "", ""),
    ROW("USE_SYSTEM_PROXY_*", SET_NOTHING, "", ""),
    ROW("PROXY_ENABLED_PROVIDERS", SET_NOTHING, "", ""),
    ROW("GEMINI_*", SET_LATER, "the provider gemini-cli-oauth", ""),
    ROW("PROJECT_ID", SET_LATER, "the provider gemini-cli-oauth", ""),
    ROW("KIRO_*", SET_LATER, "the provider claude-kiro-oauth", ""),
    ROW("QWEN_*", SET_LATER, "the provider openai-qwen-oauth", ""),
    ROW("FORWARD_*", SET_LATER, "the provider forward-api", ""),
    ROW("PROVIDER_POOLS_FILE_PATH", SET_LATER, "a pool of accounts", ""),
    ROW("PROXY_URL", SET_LATER, "a proxy", ""),
    ROW("SYSTEM_PROMPT_REPLACEMENTS", SET_LATER, "replacing words of system prompts", ""),
    ROW("CREDENTIAL_SWITCH_MAX_RETRIES", SET_LATER, "a bound of switches between accounts", ""),
    ROW("RATE_LIMIT_COOLDOWN_*", SET_LATER, "setting cool-downs", ""),
    ROW("CRON_*", SET_LATER, "refreshing tokens", ""),
    ROW("providerFallbackChain", SET_LATER, "a provider's fallback (a route has one)", ""),
    ROW("modelFallbackMapping", SET_LATER, "a model's fallback (a route has one)", ""),
    ROW("SCHEDULED_HEALTH_CHECK", SET_LATER, "scheduled checking", ""),
    ROW("CUSTOM_MODELS_FILE_PATH", SET_LATER, "a file of models (routes are its counterpart)", ""),
};
/* clang-format on */

static const struct setting_row *find_setting(struct slice name)
{
    for (size_t i = 0; i < array_count(settings); i++) {
        if (str_glob(settings[i].name, name))
            return &settings[i];
    }
    return NULL;
}

/* Nodes move between trees by copy: the original stays linked where it was. */
static struct cfg_node *copy_node(struct cfg_reader *reader, const struct cfg_node *node)
{
    struct cfg_node *copy = cfg_new(reader, (enum cfg_kind)node->kind, node->origin);

    *copy = *node;
    copy->next = NULL;
    copy->parent = NULL;
    copy->key_at = node->at;
    return copy;
}

static void apply_retries(struct cfg_reader *reader, struct cfg_node *root, struct cfg_node *value)
{
    char digits[STR_U64_BYTES_MAX];
    struct cfg_node *node;
    int64_t retries;

    if (!cfg_int(reader, value, 0, 99, &retries))
        return;
    node = cfg_new_raw(reader, value->origin, CFG_NUMBER,
                       slice_of(digits, str_from_i64(digits, retries + 1)));
    node->at = value->at;
    cfg_set(cfg_get_object(reader, root, S("retry"), value->origin), S("attempts"), node);
}

static void apply_log_level(struct cfg_reader *reader, struct cfg_node *value)
{
    enum log_level level;
    struct slice text;
    char lower[16];
    size_t len = 0;

    if (!cfg_string(reader, value, &text))
        return;
    for (; len < text.len && len < sizeof(lower); len++)
        lower[len] = char_to_lower(text.ptr[len]);
    if (log_level_from_name(slice_of(lower, len), &level))
        reader->config->log_level = (uint8_t)level;
    else
        cfg_error(reader, value, S("a log level is error, warn, info, debug or trace"));
}

static void apply_prompt_log(struct cfg_reader *reader, const struct cfg_node *value)
{
    struct slice text;

    if (!cfg_string(reader, value, &text) || slice_eq(text, S("none")))
        return;
    if (value->origin)
        cfg_error(reader, value, S("the prompt log is not available yet in this version"));
    else
        cfg_warn_key(reader, value,
                     S("PROMPT_LOG_MODE: the prompt log is not available yet in this version; "
                       "nothing is logged"));
}

static void apply_later(struct cfg_reader *reader, const struct setting_row *row, struct slice name,
                        const struct cfg_node *value)
{
    bool is_wish = str_starts(name, S("CRON_")) || str_starts(name, S("RATE_LIMIT_"));

    if (value->origin && !is_wish)
        cfg_error(reader, value, row->to, S(" is not available yet in this version"));
    else
        cfg_warn_key(reader, value, name, S(": "), row->to,
                     S(" is not available yet in this version; it has no effect"));
}

bool cfg_apply_setting(struct cfg_reader *reader, struct cfg_node *root, struct slice name,
                       struct cfg_node *value)
{
    const struct setting_row *row = find_setting(name);
    struct cfg_node *keys;

    if (row == NULL)
        return false;
    switch ((enum action)row->action) {
    case SET_HOST:
        apply_host(reader, root, value);
        break;
    case SET_PORT:
        apply_port(reader, root, value);
        break;
    case SET_API_KEY:
        keys = cfg_new(reader, CFG_ARRAY, value->origin);
        keys->at = value->at;
        cfg_append(keys, value);
        cfg_set(root, S("api_keys"), keys);
        break;
    case SET_MODEL_PROVIDER:
        apply_provider(reader, root, value);
        break;
    case SET_KEY:
        apply_key(reader, root, row->to, value);
        break;
    case SET_MEMBER:
        cfg_set(need_provider(reader, root, row->to, value), row->member, value);
        break;
    case SET_OBJECT:
        value->is_mild = true;
        cfg_set(cfg_get_object(reader, root, row->to, value->origin), row->member, value);
        break;
    case SET_RETRIES:
        apply_retries(reader, root, value);
        break;
    case SET_SYSTEM_FILE:
        value->is_mild = true;
        cfg_set(cfg_get_object(reader, root, S("system_prompt"), value->origin), S("file"), value);
        break;
    case SET_PROMPT_LOG:
        apply_prompt_log(reader, value);
        break;
    case SET_LOG_LEVEL:
        apply_log_level(reader, value);
        break;
    case SET_LATER:
        apply_later(reader, row, name, value);
        break;
    case SET_NOTHING:
        break;
    }
    return true;
}

/* An object of the root that holds nothing but a mode, said by a setting: of what was not given.
 * The word is judged all the same. */
static void drop_lone_mode(struct cfg_reader *reader, struct cfg_node *root, struct slice key,
                           const struct slice *words, size_t count)
{
    const struct cfg_node *node = cfg_get(root, key);

    if (node == NULL || node->kind != CFG_OBJECT || node->count != 1 || !node->first->is_mild ||
        !slice_eq(node->first->key, S("mode")))
        return;
    (void)cfg_word(reader, node->first, words, count);
    cfg_remove(root, key);
}

void cfg_finish_settings(struct cfg_reader *reader, struct cfg_node *root)
{
    static const struct slice system[] = {S_INIT("append"), S_INIT("override"),
                                          S_INIT("overwrite")};
    static const struct slice model[] = {S_INIT("fallback"), S_INIT("force")};

    drop_lone_mode(reader, root, S("system_prompt"), system, array_count(system));
    drop_lone_mode(reader, root, S("default_model"), model, array_count(model));
}

/* --- their file --- */

static bool is_upper_case(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (!char_is_upper(key.ptr[i]) && !char_is_digit(key.ptr[i]) && key.ptr[i] != '_')
            return false;
    }
    return key.len > 0 && char_is_upper(key.ptr[0]);
}

bool cfg_is_aiclient(const struct cfg_node *root)
{
    for (const struct cfg_node *node = root->first; node; node = node->next) {
        if (is_upper_case(node->key))
            return true;
    }
    return false;
}

/* Keys of theirs that need no word, whatever they say. */
static bool is_empty(const struct cfg_node *node)
{
    return node->kind == CFG_NULL || (node->kind == CFG_STRING && node->text.len == 0) ||
           ((node->kind == CFG_OBJECT || node->kind == CFG_ARRAY) && node->count == 0);
}

struct cfg_node *cfg_from_aiclient(struct cfg_reader *reader, struct cfg_node *theirs)
{
    struct cfg_node *root = cfg_new(reader, CFG_OBJECT, NULL);
    struct cfg_node *listen = cfg_new(reader, CFG_ARRAY, NULL);

    set_listen(reader, root, listen, S("localhost"), S("3000"));
    for (struct cfg_node *node = theirs->first; node; node = node->next) {
        struct cfg_node *copy;

        if (is_empty(node))
            continue;
        copy = copy_node(reader, node);
        copy->key_at = node->key_at;
        if (!cfg_apply_setting(reader, root, node->key, copy))
            cfg_warn_key(reader, node, node->key, S(": has no counterpart here; it has no effect"));
    }
    return root;
}
