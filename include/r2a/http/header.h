#ifndef R2A_HTTP_HEADER_H
#define R2A_HTTP_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* Header fields and what their values mean (RFC 9110 §5).
 *
 * Names that somebody asks for have a number, found once while a head is parsed, so that readers
 * switch on it instead of comparing strings. X(NAME, "name", slot): the slot is the name's hash
 * (header.c); a unit test says what it must be for a new row, the compiler refuses a collision. */
// clang-format off
#define HTTP_HEADER_LIST(X) \
    X(HOST, "host", 452) \
    X(CONTENT_LENGTH, "content-length", 213) \
    X(TRANSFER_ENCODING, "transfer-encoding", 69) \
    X(CONNECTION, "connection", 100) \
    X(EXPECT, "expect", 262) \
    X(CONTENT_TYPE, "content-type", 294) \
    X(CONTENT_ENCODING, "content-encoding", 465) \
    X(ACCEPT_ENCODING, "accept-encoding", 453) \
    X(UPGRADE, "upgrade", 460) \
    X(AUTHORIZATION, "authorization", 198) \
    X(X_API_KEY, "x-api-key", 222) \
    X(X_GOOG_API_KEY, "x-goog-api-key", 370) \
    X(ANTHROPIC_VERSION, "anthropic-version", 184) \
    X(ANTHROPIC_BETA, "anthropic-beta", 331) \
    X(OPENAI_BETA, "openai-beta", 295) \
    X(X_REQUEST_ID, "x-request-id", 392) \
    X(REQUEST_ID, "request-id", 342) \
    X(MODEL_PROVIDER, "model-provider", 385) \
    X(ORIGIN, "origin", 302) \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method", 150) \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers", 286) \
    X(ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK, "access-control-request-private-network", 381) \
    X(RETRY_AFTER, "retry-after", 148) \
    X(RETRY_AFTER_MS, "retry-after-ms", 87) \
    X(X_SHOULD_RETRY, "x-should-retry", 404) \
    X(LOCATION, "location", 81) \
    X(USER_AGENT, "user-agent", 455) \
    X(TRACEPARENT, "traceparent", 110) \
    X(TRACESTATE, "tracestate", 405) \
    X(IDEMPOTENCY_KEY, "idempotency-key", 82) \
    X(KEEP_ALIVE, "keep-alive", 377) \
    X(TE, "te", 335) \
    X(TRAILER, "trailer", 208) \
    X(COOKIE, "cookie", 88) \
    X(SET_COOKIE, "set-cookie", 348) \
    X(DATE, "date", 2) \
    X(SERVER, "server", 501) \
    X(ACCEPT, "accept", 265) \
    X(CACHE_CONTROL, "cache-control", 212) \
    X(CONTENT_DISPOSITION, "content-disposition", 270) \
    X(CONTENT_LANGUAGE, "content-language", 231) \
    X(PROXY_AUTHORIZATION, "proxy-authorization", 89) \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", 46) \
    X(PROXY_CONNECTION, "proxy-connection", 115) \
    X(WWW_AUTHENTICATE, "www-authenticate", 503) \
    X(X_GOOG_API_CLIENT, "x-goog-api-client", 182) \
    X(X_GOOG_USER_PROJECT, "x-goog-user-project", 418) \
    X(X_GOOG_REQUEST_PARAMS, "x-goog-request-params", 326) \
    X(X_FORWARDED_FOR, "x-forwarded-for", 163) \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", 466) \
    X(X_FORWARDED_HOST, "x-forwarded-host", 441) \
    X(X_REAL_IP, "x-real-ip", 200) \
    X(FORWARDED, "forwarded", 340) \
    X(VIA, "via", 354) \
    X(REFERER, "referer", 508) \
    X(VARY, "vary", 258) \
    X(ALLOW, "allow", 47) \
    X(ETAG, "etag", 106) \
    X(AGE, "age", 194) \
    X(RANGE, "range", 461) \
    X(CONTENT_RANGE, "content-range", 107) \
    X(ACCEPT_LANGUAGE, "accept-language", 219) \
    X(OPENAI_ORGANIZATION, "openai-organization", 420) \
    X(OPENAI_PROJECT, "openai-project", 301) \
    X(OPENAI_PROCESSING_MS, "openai-processing-ms", 128) \
    X(OPENAI_MODEL, "openai-model", 388) \
    X(ANTHROPIC_ORGANIZATION_ID, "anthropic-organization-id", 398) \
    X(ANTHROPIC_DANGEROUS_DIRECT_BROWSER_ACCESS, "anthropic-dangerous-direct-browser-access", 11) \
    X(X_APP, "x-app", 193) \
    X(X_RATELIMIT_LIMIT_REQUESTS, "x-ratelimit-limit-requests", 303) \
    X(X_RATELIMIT_REMAINING_REQUESTS, "x-ratelimit-remaining-requests", 439) \
    X(HTTP2_SETTINGS, "http2-settings", 456) \
    X(ALT_SVC, "alt-svc", 221) \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 306) \
    X(CF_RAY, "cf-ray", 475) \
    X(X_AMZN_REQUESTID, "x-amzn-requestid", 440) \
    X(X_TITLE, "x-title", 487) \
    X(X_RING2API_DROPPED, "x-ring2api-dropped", 360) \
    X(X_RING2API_ESTIMATE, "x-ring2api-estimate", 239) \
    X(X_RING2API_UPSTREAM_ID, "x-ring2api-upstream-id", 336) \
    X(LAST_MODIFIED, "last-modified", 362) \
    X(IF_NONE_MATCH, "if-none-match", 290) \
    X(IF_MODIFIED_SINCE, "if-modified-since", 408) \
    X(DNT, "dnt", 164) \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", 380)
// clang-format on

enum http_header_id {
    HEADER_OTHER, /* a name not in the list */
#define X(name, text, slot) HEADER_##name,
    HTTP_HEADER_LIST(X)
#undef X
        HEADER_ID_COUNT,
};

/* One field line. Slices borrow from the head that was parsed; `value` is trimmed of SP and HTAB
 * and holds no control byte but HTAB. */
struct http_header {
    struct slice name;
    struct slice value;
    uint32_t id; /* enum http_header_id */
};

/* Any case. HEADER_OTHER when unknown. */
enum http_header_id http_header_id(struct slice name);
/* The name in lower case; empty for HEADER_OTHER. Static. */
struct slice http_header_name(enum http_header_id id);

/* The first field with this number (or name, any case); NULL when absent. */
const struct http_header *http_header_find(const struct http_header *headers, uint32_t count,
                                           enum http_header_id id);
const struct http_header *http_header_find_name(const struct http_header *headers, uint32_t count,
                                                struct slice name);
/* Its value, trimmed; empty when absent. */
struct slice http_header_value(const struct http_header *headers, uint32_t count,
                               enum http_header_id id);
/* Copies fields whose slices borrow from `bytes` so that they borrow from the same offsets of
 * `to_bytes`: for a head that moves to a longer-lived place after parsing. `to` may be `headers`.
 */
void http_headers_move(struct http_header *to, const struct http_header *headers, uint32_t count,
                       const char *bytes, const char *to_bytes);

/* ASCII case-insensitive equality. */
bool http_token_eq(struct slice a, struct slice b);
/* Whether all bytes are tchar and there is at least one (RFC 9110 §5.6.2). */
bool http_token_valid(struct slice name);
/* Whether a field value holds no control byte but HTAB: what may be written into a head. */
bool http_value_valid(struct slice value);
/* Without SP and HTAB at both ends. */
struct slice http_trim(struct slice value);

/* Walks a comma-separated list, empty elements left out, elements trimmed (RFC 9110 §5.6.1).
 * `*list` moves on; false at the end. Quoted strings with commas in them stay whole. */
bool http_list_next(struct slice *list, struct slice *element);

/* Whether a content type is this media type, parameters aside, any case:
 * ("Application/JSON; charset=utf-8", "application/json") is. */
bool http_media_type_is(struct slice value, struct slice type);

/* A decimal number without sign, space or overflow; false otherwise. */
bool http_u64_parse(struct slice digits, uint64_t *value);

#endif
