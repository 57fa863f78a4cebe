#ifndef R2A_CORE_ERR_H
#define R2A_CORE_ERR_H

#include <stdint.h>

/* Every error a function can return: X(name, value, text). Values are negative so that a
 * tri-state parser can return a count, 0 or an error in one int32_t. What an error means to a
 * client (status, type, code) is its fault kind, ir/fault.h. Text is for logs and messages: it
 * names the matter, never peer bytes. */
#define R2A_ERR_LIST(X)                                                                         \
    X(NO_MEMORY, -1, "out of memory")                                                           \
    X(LIMIT, -2, "a limit was reached")                                                         \
    X(INVALID, -3, "invalid value")                                                             \
    X(UNSUPPORTED, -4, "not supported")                                                         \
    X(INTERNAL, -5, "internal error")                                                           \
    X(SYSTEM, -6, "system call failed")                                                         \
    X(JSON_SYNTAX, -101, "invalid JSON")                                                        \
    X(JSON_UTF8, -102, "invalid UTF-8 in JSON")                                                 \
    X(JSON_DEPTH, -103, "JSON nested too deeply")                                               \
    X(JSON_TYPE, -104, "wrong JSON type")                                                       \
    X(JSON_DUPLICATE, -105, "duplicate JSON member")                                            \
    X(JSON_END, -106, "JSON ends too early")                                                    \
    X(HTTP_SYNTAX, -201, "malformed HTTP")                                                      \
    X(HTTP_VERSION, -202, "unsupported HTTP version")                                           \
    X(HTTP_HEAD_LIMIT, -203, "HTTP head too large")                                             \
    X(HTTP_FRAMING, -204, "ambiguous HTTP message framing")                                     \
    X(HTTP_CODING, -205, "unsupported transfer coding")                                         \
    X(HTTP_HOST, -206, "missing or repeated Host")                                              \
    X(HTTP_URL, -207, "malformed request target")                                               \
    X(HTTP_BODY, -208, "malformed message body")                                                \
    X(FRAME_LIMIT, -209, "one event exceeds the frame limit")                                   \
    X(FRAME_SYNTAX, -210, "malformed event framing")                                            \
    X(PEER_EOF, -301, "peer closed the connection")                                             \
    X(PEER_RESET, -302, "peer reset the connection")                                            \
    X(CONNECT, -303, "connect failed")                                                          \
    X(TIMEOUT, -304, "timed out")                                                               \
    X(CANCELLED, -305, "cancelled")                                                             \
    X(TRUNCATED, -306, "stream ended before it was complete")                                   \
    X(RESOLVE, -320, "host name could not be resolved")                                         \
    X(TLS_EXPIRED, -340, "certificate expired or not yet valid (check the clock too)")          \
    X(TLS_WRONG_HOST, -341, "certificate is for another host")                                  \
    X(TLS_UNKNOWN_ISSUER, -342,                                                                 \
      "certificate issuer is not trusted, or the server left out an intermediate certificate")  \
    X(TLS_BAD_CHAIN, -343, "certificate chain is incomplete or disordered")                     \
    X(TLS_CONSTRAINTS, -344, "certificate carries critical constraints that are not supported") \
    X(TLS_KEY_LIMIT, -345, "certificate key is larger than 4096 bits")                          \
    X(TLS_SIGNATURE, -346, "certificate signature algorithm is not supported")                  \
    X(TLS_VERSION, -347, "server does not speak TLS 1.2; put a TLS proxy in between")           \
    X(TLS_NO_COMMON, -348, "no common TLS algorithm")                                           \
    X(TLS_ALPN, -349, "server speaks HTTP/2 only")                                              \
    X(TLS_CLIENT_CERT, -350, "server demands a client certificate")                             \
    X(TLS_TRUNCATED, -351, "TLS stream ended without close_notify")                             \
    X(TLS_PROTOCOL, -352, "TLS protocol error")                                                 \
    X(TLS_CHAIN_LIMIT, -353, "certificate chain larger than 16 KiB")                            \
    X(TLS_SELF_SIGNED, -354, "certificate is self-signed and not trusted")                      \
    X(CONFIG, -401, "invalid configuration")                                                    \
    X(URING_REFUSED, -501, "io_uring is not permitted here")

enum r2a_err {
    R2A_OK = 0,
#define X(name, value, text) R2A_ERR_##name = (value),
    R2A_ERR_LIST(X)
#undef X
};

/* The text of an error; "ok" for R2A_OK, "unknown error" for anything else. Static. */
const char *r2a_err_text(int32_t err);
/* Its stable name, e.g. "JSON_SYNTAX". Static. */
const char *r2a_err_name(int32_t err);
/* The nearest error of an errno value (> 0). */
enum r2a_err r2a_err_from_errno(int errnum);

#endif
