/* The effective configuration in its own words: what `check` shows, and what may be saved as
 * ring2api.json once the masked values are put back. */
#include "config_priv.h"
#include "r2a/core/str.h"
#include "r2a/json/write.h"

#define MASK S("***")

static void put_strings(struct json_write *w, struct slice name, const struct slice *values,
                        uint32_t count)
{
    if (count == 0)
        return;
    jw_key(w, name);
    jw_array(w);
    for (uint32_t i = 0; i < count; i++)
        jw_string(w, values[i]);
    jw_array_end(w);
}

static void put_addresses(struct json_write *w, struct slice name,
                          const struct cfg_address *addresses, uint32_t count)
{
    if (count == 0)
        return;
    jw_key(w, name);
    jw_array(w);
    for (uint32_t i = 0; i < count; i++)
        jw_string(w, addresses[i].text);
    jw_array_end(w);
}

static void put_ms(struct json_write *w, struct slice name, int64_t ms)
{
    if (ms < 0)
        return;
    jw_key(w, name);
    jw_i64(w, ms);
}

static bool has_timeouts(const struct timeouts *t)
{
    return t->connect_ms >= 0 || t->first_byte_ms >= 0 || t->idle_ms >= 0 ||
           t->client_header_ms >= 0 || t->drain_ms >= 0 || t->total_ms >= 0 || t->hold_ms >= 0 ||
           t->keepalive_ms >= 0;
}

static void put_timeouts(struct json_write *w, const struct timeouts *t)
{
    if (!has_timeouts(t))
        return;
    jw_key(w, S("timeouts"));
    jw_object(w);
    put_ms(w, S("connect_ms"), t->connect_ms);
    put_ms(w, S("first_byte_ms"), t->first_byte_ms);
    put_ms(w, S("idle_ms"), t->idle_ms);
    put_ms(w, S("client_header_ms"), t->client_header_ms);
    put_ms(w, S("drain_ms"), t->drain_ms);
    put_ms(w, S("total_ms"), t->total_ms);
    put_ms(w, S("hold_ms"), t->hold_ms);
    put_ms(w, S("keepalive_ms"), t->keepalive_ms);
    jw_object_end(w);
}

static void put_retry(struct json_write *w, const struct retry_rule *retry)
{
    if (retry->attempts < 0 && retry->base_delay_ms < 0)
        return;
    jw_key(w, S("retry"));
    jw_object(w);
    put_ms(w, S("attempts"), retry->attempts);
    put_ms(w, S("base_delay_ms"), retry->base_delay_ms);
    jw_object_end(w);
}

static void put_strict(struct json_write *w, int8_t strict)
{
    if (strict >= 0)
        jw_member_bool(w, S("strict"), strict != 0);
}

static void put_default_model(struct json_write *w, const struct default_model *model)
{
    if (model->id.len == 0)
        return;
    jw_key(w, S("default_model"));
    jw_object(w);
    jw_member_string(w, S("id"), model->id);
    jw_member_string(w, S("mode"), model->is_forced ? S("force") : S("fallback"));
    jw_object_end(w);
}

static bool is_secret(const struct config *config, struct slice value)
{
    for (uint32_t i = 0; i < config->secrets_count; i++) {
        if (slice_eq(config->secrets[i], value))
            return true;
    }
    return false;
}

static void put_key(struct json_write *w, const struct cfg_key *key)
{
    jw_object(w);
    jw_member_string(w, S("name"), key->name);
    jw_member_string(w, S("key"), MASK);
    put_strings(w, S("models"), key->models, key->models_count);
    if (key->rpm > 0)
        jw_member_u64(w, S("rpm"), key->rpm);
    if (key->concurrency > 0)
        jw_member_u64(w, S("concurrency"), key->concurrency);
    put_strict(w, key->strict);
    if (key->is_disabled)
        jw_member_bool(w, S("disabled"), true);
    jw_object_end(w);
}

static void put_base_url(struct json_write *w, const struct endpoint *endpoint)
{
    jw_key(w, S("base_url"));
    jw_string_begin(w);
    rope_put(w->rope, endpoint->is_tls ? S("https://") : S("http://"));
    if (endpoint->is_unix) {
        rope_put(w->rope, S("unix:"));
        rope_put(w->rope, endpoint->host);
        if (endpoint->path.len > 0)
            rope_put_char(w->rope, ':');
    } else {
        rope_put(w->rope, endpoint->authority);
    }
    rope_put(w->rope, endpoint->path); /* all of it URL characters: nothing to escape */
    jw_string_end(w);
}

static void put_headers(struct json_write *w, const struct config *config,
                        const struct provider_instance *provider)
{
    if (provider->headers_count == 0)
        return;
    jw_key(w, S("headers"));
    jw_object(w);
    for (uint32_t i = 0; i < provider->headers_count; i++) {
        const struct provider_header *header = &provider->headers[i];

        jw_key(w, header->name);
        if (header->is_removed)
            jw_null(w);
        else
            jw_string(w, is_secret(config, header->value) ? MASK : header->value);
    }
    jw_object_end(w);
}

static void put_provider(struct json_write *w, const struct config *config,
                         const struct provider_instance *provider)
{
    jw_key_text(w, text_plain(provider->name));
    jw_object(w);
    jw_member_string(w, S("kind"), provider->kind->name);
    if (!provider->kind->is_embedded && provider->endpoint.host.len > 0)
        put_base_url(w, &provider->endpoint);
    jw_key(w, S("keys"));
    jw_array(w);
    for (uint32_t i = 0; i < provider->credentials_count; i++) {
        if (provider->credentials[i].key.len > 0)
            jw_string(w, MASK);
    }
    jw_array_end(w);
    put_strings(w, S("models"), provider->models, provider->models_count);
    put_headers(w, config, provider);
    if (provider->referer.len > 0)
        jw_member_string(w, S("referer"), provider->referer);
    if (provider->title.len > 0)
        jw_member_string(w, S("title"), provider->title);
    put_default_model(w, &provider->default_model);
    put_timeouts(w, &provider->timeouts);
    put_retry(w, &provider->retry);
    put_strict(w, provider->strict);
    if (provider->is_off)
        jw_member_bool(w, S("optional"), true);
    jw_object_end(w);
}

static void put_targets(struct json_write *w, const struct config *config, struct slice name,
                        const struct cfg_target *targets, uint32_t count)
{
    if (count == 0)
        return;
    jw_key(w, name);
    jw_array(w);
    for (uint32_t i = 0; i < count; i++) {
        jw_object(w);
        jw_member_string(w, S("provider"), config->providers[targets[i].provider].name);
        if (targets[i].model.len > 0)
            jw_member_string(w, S("model"), targets[i].model);
        if (targets[i].weight != 1)
            jw_member_u64(w, S("weight"), targets[i].weight);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void put_routes(struct json_write *w, const struct config *config)
{
    if (config->routes_count == 0)
        return;
    jw_key(w, S("routes"));
    jw_array(w);
    for (uint32_t i = 0; i < config->routes_count; i++) {
        const struct cfg_route *route = &config->routes[i];

        jw_object(w);
        jw_member_string(w, S("model"), route->model);
        put_targets(w, config, S("to"), route->to, route->to_count);
        put_targets(w, config, S("fallback"), route->fallback, route->fallback_count);
        put_timeouts(w, &route->timeouts);
        put_strict(w, route->strict);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void put_profiles(struct json_write *w, const struct config *config)
{
    if (config->profiles_count == 0)
        return;
    jw_key(w, S("model_profiles"));
    jw_object(w);
    for (uint32_t i = 0; i < config->profiles_count; i++) {
        const struct profile_rule *rule = &config->profiles[i];

        if (i == 0 || rule->glob.ptr != rule[-1].glob.ptr) {
            jw_key_text(w, text_plain(rule->glob));
            jw_object(w);
        }
        jw_key_text(w, text_plain(rule->flag));
        jw_raw(w, rule->value);
        if (i + 1 == config->profiles_count || rule->glob.ptr != rule[1].glob.ptr)
            jw_object_end(w);
    }
    jw_object_end(w);
}

static void put_limits(struct json_write *w, const struct cfg_limits *limits)
{
    jw_key(w, S("limits"));
    jw_object(w);
    jw_member_u64(w, S("body_bytes"), limits->body_bytes);
    jw_member_u64(w, S("header_bytes"), limits->header_bytes);
    jw_member_u64(w, S("connections"), limits->connections);
    jw_member_u64(w, S("output_bytes"), limits->output_bytes);
    jw_member_u64(w, S("memory_bytes"), limits->memory_bytes);
    jw_object_end(w);
}

static void put_admin(struct json_write *w, const struct config *config)
{
    if (!config->has_admin)
        return;
    jw_key(w, S("admin"));
    jw_object(w);
    put_addresses(w, S("listen"), config->admin_listens, config->admin_listens_count);
    if (config->has_admin_key)
        jw_member_string(w, S("key"), MASK);
    jw_object_end(w);
}

static void put_system(struct json_write *w, const struct config *config)
{
    if (config->system_text.len == 0)
        return;
    jw_key(w, S("system_prompt"));
    jw_object(w);
    jw_member_string(w, S("text"), config->system_text);
    jw_member_string(w, S("mode"),
                     config->system_mode == SYSTEM_OVERRIDE ? S("override") : S("append"));
    jw_object_end(w);
}

static void put_root(struct json_write *w, const struct config *config)
{
    jw_object(w);
    put_addresses(w, S("listen"), config->listens, config->listens_count);
    jw_member_u64(w, S("workers"), config->workers);
    if (config->keys_count > 0) {
        jw_key(w, S("api_keys"));
        jw_array(w);
        for (uint32_t i = 0; i < config->keys_count; i++)
            put_key(w, &config->keys[i]);
        jw_array_end(w);
    }
    if (config->allow_unauthenticated)
        jw_member_bool(w, S("allow_unauthenticated"), true);
    jw_key(w, S("providers"));
    jw_object(w);
    for (uint32_t i = 0; i < config->providers_count; i++)
        put_provider(w, config, &config->providers[i]);
    jw_object_end(w);
    put_routes(w, config);
    if (config->default_provider >= 0)
        jw_member_string(w, S("default_provider"),
                         config->providers[config->default_provider].name);
    put_default_model(w, &config->default_model);
    put_system(w, config);
    jw_member_bool(w, S("strict"), config->strict);
    put_profiles(w, config);
    put_retry(w, &config->retry);
    put_limits(w, &config->limits);
    put_timeouts(w, &config->timeouts);
    put_strings(w, S("cors"), config->cors, config->cors_count);
    put_admin(w, config);
    if (config->tls_ca_file.len > 0) {
        jw_key(w, S("tls"));
        jw_object(w);
        jw_member_string(w, S("ca_file"), config->tls_ca_file);
        jw_object_end(w);
    }
    jw_object_end(w);
}

/* Lines and two spaces a level, of JSON that has no white space outside strings. */
static void indent(struct slice json, struct rope *out)
{
    size_t depth = 0;
    size_t begin = 0;

    for (size_t at = 0; at < json.len; at++) {
        char c = json.ptr[at];
        bool is_empty = at + 1 < json.len && (json.ptr[at + 1] == '}' || json.ptr[at + 1] == ']');
        bool breaks = false;

        if (c == '"') {
            for (at++; at < json.len && json.ptr[at] != '"'; at++)
                at += json.ptr[at] == '\\';
        } else if (c == '{' || c == '[') {
            if (is_empty) {
                at++;
            } else {
                depth++;
                breaks = true;
            }
        } else if (c == ',') {
            breaks = true;
        } else if (c == ':') {
            rope_put(out, slice_between(json.ptr + begin, json.ptr + at + 1));
            rope_put_char(out, ' ');
            begin = at + 1;
        } else if (c == '}' || c == ']') {
            depth--;
            rope_put(out, slice_between(json.ptr + begin, json.ptr + at));
            begin = at;
            rope_put_char(out, '\n');
            for (size_t i = 0; i < depth; i++)
                rope_put(out, S("  "));
        }
        if (breaks) {
            rope_put(out, slice_between(json.ptr + begin, json.ptr + at + 1));
            begin = at + 1;
            rope_put_char(out, '\n');
            for (size_t i = 0; i < depth; i++)
                rope_put(out, S("  "));
        }
    }
    rope_put(out, slice_skip(json, begin));
    rope_put_char(out, '\n');
}

void config_print(const struct config *config, struct rope *out)
{
    struct rope flat = {.mem = out->mem};
    struct cfg_arena scratch = {0};
    struct json_write w;
    char *bytes;

    jw_open(&w, &flat);
    put_root(&w, config);
    if (flat.err != R2A_OK) {
        out->err = out->err ? out->err : flat.err;
    } else {
        bytes = cfg_take(&scratch, flat.bytes + 1);
        rope_copy_out(&flat, bytes);
        indent(slice_of(bytes, flat.bytes), out);
    }
    rope_clear(&flat);
    cfg_arena_free(&scratch);
}
