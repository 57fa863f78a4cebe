#ifndef R2A_IR_FAULT_H
#define R2A_IR_FAULT_H

#include "r2a/core/err.h"
#include "r2a/core/slice.h"

/* What went wrong, in every protocol's words (conversion.md 4): one row a kind.
 * X(name, openai status, type, code or NULL, anthropic status, type, gemini status, status name) */
#define FAULT_LIST(X)                                                                              \
    X(INVALID, 400, "invalid_request_error", NULL, 400, "invalid_request_error", 400,              \
      "INVALID_ARGUMENT")                                                                          \
    X(CONTEXT, 400, "invalid_request_error", "context_length_exceeded", 400,                       \
      "invalid_request_error", 400, "INVALID_ARGUMENT")                                            \
    X(AUTH, 401, "invalid_request_error", "invalid_api_key", 401, "authentication_error", 401,     \
      "UNAUTHENTICATED")                                                                           \
    X(UP_AUTH, 502, "server_error", "upstream_auth", 502, "api_error", 502, "UNAVAILABLE")         \
    X(PERMISSION, 403, "invalid_request_error", "permission_denied", 403, "permission_error", 403, \
      "PERMISSION_DENIED")                                                                         \
    X(BILLING, 429, "insufficient_quota", "insufficient_quota", 402, "billing_error", 429,         \
      "RESOURCE_EXHAUSTED")                                                                        \
    X(NOT_FOUND, 404, "invalid_request_error", "model_not_found", 404, "not_found_error", 404,     \
      "NOT_FOUND")                                                                                 \
    X(METHOD, 405, "invalid_request_error", NULL, 405, "invalid_request_error", 405,               \
      "INVALID_ARGUMENT")                                                                          \
    X(TOO_LARGE, 413, "invalid_request_error", "request_too_large", 413, "request_too_large", 413, \
      "INVALID_ARGUMENT")                                                                          \
    X(RATE, 429, "rate_limit_error", "rate_limit_exceeded", 429, "rate_limit_error", 429,          \
      "RESOURCE_EXHAUSTED")                                                                        \
    X(OVERLOAD, 503, "server_error", "overloaded", 529, "overloaded_error", 503, "UNAVAILABLE")    \
    X(TIMEOUT, 504, "server_error", "timeout", 504, "timeout_error", 504, "DEADLINE_EXCEEDED")     \
    X(BAD_GATEWAY, 502, "server_error", "bad_gateway", 502, "api_error", 502, "UNAVAILABLE")       \
    X(SERVER, 500, "server_error", NULL, 500, "api_error", 500, "INTERNAL")                        \
    X(POLICY, 400, "invalid_request_error", "content_policy_violation", 400,                       \
      "invalid_request_error", 400, "INVALID_ARGUMENT")                                            \
    X(CANCELLED, 499, "server_error", "cancelled", 499, "api_error", 499, "CANCELLED")

enum fault_kind {
#define X(name, ...) FAULT_##name,
    FAULT_LIST(X)
#undef X
        FAULT_KINDS
};

struct fault_row {
    const char *name;
    uint16_t openai_status;
    const char *openai_type;
    const char *openai_code;
    uint16_t anthropic_status;
    const char *anthropic_type;
    uint16_t gemini_status;
    const char *gemini_name;
};
extern const struct fault_row fault_rows[FAULT_KINDS];

/* One error on its way to a client. Slices are borrowed: from the exchange arena, or static. A zero
 * fault is INVALID without a message. */
struct fault {
    uint8_t kind;        /* enum fault_kind */
    uint8_t phase;       /* enum fault_phase */
    int8_t should_retry; /* x-should-retry: 1 true, 0 false, -1 not said (set to -1 by fault_of) */
    bool is_upstream;    /* the upstream said so, not we */
    uint16_t status; /* the gateway's own refusals keep their status (408 415 426 431 505 …); 0: by
                        kind */
    uint16_t upstream_status; /* the upstream's HTTP status, 0 if none */
    enum r2a_err err;         /* the cause, when it was ours */
    struct text message;
    struct text code;              /* the upstream's own code, or empty */
    struct text type;              /* the upstream's own type, or empty */
    struct text param;             /* member at fault, or empty */
    int64_t retry_after_ms;        /* -1: not said */
    int64_t offset;                /* byte offset in the request body, -1: none */
    struct slice retry_after_text; /* the header as it came (a date), or empty */
    struct slice request_id;       /* ours, for bodies that carry it */
};

/* Where an exchange was when it failed: the words of messages, metrics and the access log. */
// clang-format off
#define FAULT_PHASE_LIST(X) \
    X(NONE, "") \
    X(REQUEST, "request") \
    X(RESOLVE, "resolve") \
    X(CONNECT, "connect") \
    X(TLS, "tls") \
    X(SEND, "send") \
    X(WAIT, "first byte") \
    X(HEAD, "response head") \
    X(BODY, "response body") \
    X(STREAM, "stream")
// clang-format on
enum fault_phase {
#define X(name, text) FAULT_PHASE_##name,
    FAULT_PHASE_LIST(X)
#undef X
        FAULT_PHASES
};
const char *fault_phase_name(uint8_t phase);

static inline struct fault fault_of(enum fault_kind kind, struct slice message)
{
    return (struct fault){.kind = (uint8_t)kind,
                          .should_retry = -1,
                          .message = text_plain(message),
                          .retry_after_ms = -1,
                          .offset = -1};
}

#endif
