/* The parts of a request head that services share. What the operator configured wins over what we
 * would say; what a client said crosses only where that cannot tell one vendor about another. */
#include "common.h"

#include "r2a/core/str.h"
#include "r2a/http/h1_write.h"
#include "r2a/http/url.h"
#include "r2a/version.h"

/* A configured header of this name, set or removed, replaces ours. */
static bool is_overruled(const struct provider_instance *instance, struct slice name)
{
    for (uint32_t i = 0; i < instance->headers_count; i++) {
        if (str_eq_nocase(instance->headers[i].name, name))
            return true;
    }
    return false;
}

void common_header(const struct provider_instance *instance, struct slice name, struct slice prefix,
                   struct slice value, struct rope *out)
{
    if (value.len == 0 || is_overruled(instance, name))
        return;
    h1_write_known(out, name, prefix, value);
}

void common_bearer(const struct provider_instance *instance, const struct provider_request *request,
                   struct rope *out)
{
    if (request->credential != NULL)
        common_header(instance, S("authorization"), S("Bearer "), request->credential->key, out);
}

void common_headers(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out)
{
    struct slice none = {0};

    common_header(instance, S("accept"), none,
                  request->is_stream ? S("text/event-stream") : S("application/json"), out);
    common_header(instance, S("user-agent"), none,
                  request->is_relay && request->user_agent.len > 0 ? request->user_agent
                                                                   : S("ring2api/" R2A_VERSION),
                  out);
    common_header(instance, S("traceparent"), none, request->traceparent, out);
    common_header(instance, S("idempotency-key"), none, request->idempotency_key, out);
    common_header(instance, S("x-request-id"), none, request->request_id, out);
    for (uint32_t i = 0; i < instance->headers_count; i++) {
        const struct provider_header *header = &instance->headers[i];

        if (!header->is_removed)
            h1_write_field(out, header->name, header->value);
    }
}

static bool is_credential(struct slice name)
{
    static const struct slice names[] = {S_INIT("key"), S_INIT("api_key"), S_INIT("access_token")};
    char buf[32];
    int32_t len = name.len <= sizeof(buf) ? url_decode(name, buf) : -1;

    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]) && len >= 0; i++) {
        if (str_eq_nocase(slice_of(buf, (size_t)len), names[i]))
            return true;
    }
    /* "?key=" hidden behind a bad escape is nothing a service needs either */
    return len < 0 && name.len <= sizeof(buf);
}

void common_query(const struct provider_request *request, struct rope *out)
{
    struct slice rest = request->client_query;
    struct slice key, value;
    char mark = '?';

    while (request->is_relay && url_query_next(&rest, &key, &value)) {
        if ((key.len == 0 && value.len == 0) || is_credential(key))
            continue;
        rope_put_char(out, mark);
        mark = '&';
        rope_put(out, key);
        if (value.len > 0) {
            rope_put_char(out, '=');
            rope_put(out, value);
        }
    }
}
