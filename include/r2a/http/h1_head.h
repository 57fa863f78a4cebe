#ifndef R2A_HTTP_H1_HEAD_H
#define R2A_HTTP_H1_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/slice.h"
#include "r2a/http/header.h"

/* HTTP/1.1 heads, request and status, and the framing of the body that follows (RFC 9112).
 *
 * Strict in both directions: what two implementations could read differently is refused, because
 * a gateway that guesses is how requests are smuggled. */

/* How the body after a head ends (RFC 9112 §6.3). A length of 0 is HTTP_BODY_NONE. */
enum http_body_kind {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

#define HTTP_METHOD_LIST(X) \
    X(GET)                  \
    X(HEAD)                 \
    X(POST)                 \
    X(PUT)                  \
    X(DELETE)               \
    X(CONNECT)              \
    X(OPTIONS)              \
    X(TRACE)                \
    X(PATCH)

enum http_method {
    HTTP_METHOD_OTHER, /* any other token; names are case-sensitive */
#define X(name) HTTP_METHOD_##name,
    HTTP_METHOD_LIST(X)
#undef X
};

struct slice http_method_name(enum http_method method); /* empty for OTHER; static */

/* What an Expect field asked for (RFC 9110 §10.1.1). Always NONE for HTTP/1.0. */
enum http_expect {
    HTTP_EXPECT_NONE,
    HTTP_EXPECT_CONTINUE, /* send 100 before reading the body */
    HTTP_EXPECT_OTHER,    /* answer 417 */
};

/* A request head. Set up by h1_request_init, filled by h1_request_parse.
 * All slices borrow from the `in` of the call that returned > 0. */
struct h1_request {
    struct http_header *headers; /* the caller's array; in order of arrival */
    uint32_t headers_count;
    uint32_t headers_max;

    struct slice method_name;
    struct slice target; /* as received */
    struct slice path; /* path and query: of the target in origin or absolute form ("/" when it has
                          none), "*" for OPTIONS * */
    struct slice host; /* host[:port], validated; from an absolute target, else from Host; may be
                          empty */
    uint64_t content_length; /* when body is HTTP_BODY_LENGTH */

    uint8_t method;        /* enum http_method */
    uint8_t version_minor; /* HTTP/1.x */
    uint8_t body;          /* enum http_body_kind, never UNTIL_CLOSE */
    uint8_t expect;        /* enum http_expect */
    bool keep_alive;       /* the peer's wish: version and Connection (RFC 9112 §9.3) */
    bool has_upgrade;      /* Upgrade is present */
    bool has_length;       /* Content-Length is present, perhaps 0 */
    uint8_t glitches;      /* oddities that were let pass; close a connection that collects them */

    uint32_t bytes_max; /* of the head */
    uint32_t seen;      /* bytes known to hold no end of head: where the next call looks on */
    uint32_t error_at;  /* offset of what was refused, after an error */
};

/* `headers` must outlive the request; `bytes_max` <= HEAD_BYTES_MAX. Call again (or set `seen` to
 * 0) before the next head. */
void h1_request_init(struct h1_request *request, struct http_header *headers, uint32_t headers_max,
                     uint32_t bytes_max);

/* Reads a request head at the start of `in`, which may be cut anywhere. While it is incomplete the
 * caller comes back with the same bytes (perhaps moved) and more behind them; a dribbled head is
 * not scanned again from its start.
 * Returns >0 the size of the head (what follows is the body, or the next request); 0 when more is
 * needed; <0:
 *   R2A_ERR_HTTP_SYNTAX      400  request line, field line, bare CR or LF, control bytes, obs-fold
 *   R2A_ERR_HTTP_URL         400  target: bytes, fragment, authority-form, * other than OPTIONS
 *   R2A_ERR_HTTP_HOST        400  no Host in 1.1, two of them, bad syntax
 *   R2A_ERR_HTTP_FRAMING     400  lengths or codings that could be read two ways
 *   R2A_ERR_HTTP_CODING      501  a transfer coding before a final chunked
 *   R2A_ERR_HTTP_VERSION     505  not HTTP/1.x
 *   R2A_ERR_HTTP_HEAD_LIMIT  431  bytes_max or headers_max
 * An error is final: answer and close. Never allocates. */
int32_t h1_request_parse(struct h1_request *request, struct slice in);

/* A status head; the twin of struct h1_request. */
struct h1_response {
    struct http_header *headers;
    uint32_t headers_count;
    uint32_t headers_max;

    struct slice reason;     /* may be empty; any bytes but control ones */
    uint64_t content_length; /* as announced, when has_length; the body's when body is LENGTH */

    uint16_t status;       /* 100-999 */
    uint8_t version_minor; /* HTTP/1.x */
    uint8_t body;          /* enum http_body_kind, given the request's method */
    bool keep_alive;       /* the connection may carry another request after the body */
    bool has_length;
    bool has_upgrade;
    uint8_t glitches;

    uint32_t bytes_max;
    uint32_t seen;
    uint32_t error_at;
    uint8_t request_method; /* enum http_method: HEAD and CONNECT have no body */
};

void h1_response_init(struct h1_response *response, enum http_method request_method,
                      struct http_header *headers, uint32_t headers_max, uint32_t bytes_max);

/* Like h1_request_parse, and as strict about framing: Transfer-Encoding beside Content-Length, any
 * coding but chunked, Transfer-Encoding in HTTP/1.0 are errors.
 * A 1xx head is complete in itself and another head follows it (call init again, but treat 101 as
 * an error unless you asked for it). */
int32_t h1_response_parse(struct h1_response *response, struct slice in);

#endif
