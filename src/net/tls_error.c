/* The engine's numbers as errors a user can act on. What was seen of which server behaviour is the
 * table of tests/unit/net/test_tls_errors.c. */
#include "tls_state.h"

#define ALERT_CERTIFICATE_REQUIRED 116 /* of TLS 1.3; some servers send it in 1.2 as well */

static enum r2a_err from_alert(int alert, bool has_chain)
{
    switch (alert) {
    case BR_ALERT_HANDSHAKE_FAILURE:
    case BR_ALERT_INSUFFICIENT_SECURITY:
        /* Before its certificates came the server found no common suite, curve or signature;
         * after them it misses ours. */
        return has_chain ? R2A_ERR_TLS_CLIENT_CERT : R2A_ERR_TLS_NO_COMMON;
    case BR_ALERT_BAD_CERTIFICATE:
    case BR_ALERT_CERTIFICATE_UNKNOWN:
    case ALERT_CERTIFICATE_REQUIRED:
        return has_chain ? R2A_ERR_TLS_CLIENT_CERT : R2A_ERR_TLS_PROTOCOL;
    case BR_ALERT_PROTOCOL_VERSION:
        return R2A_ERR_TLS_VERSION;
    case BR_ALERT_NO_APPLICATION_PROTOCOL:
        return R2A_ERR_TLS_ALPN;
    default:
        return R2A_ERR_TLS_PROTOCOL;
    }
}

enum r2a_err tls_err_from_engine(int code, bool has_chain)
{
    if (code >= BR_ERR_SEND_FATAL_ALERT)
        return R2A_ERR_TLS_PROTOCOL;
    if (code >= BR_ERR_RECV_FATAL_ALERT)
        return from_alert(code - BR_ERR_RECV_FATAL_ALERT, has_chain);
    switch (code) {
    case BR_ERR_OK:
        return R2A_OK;
    case BR_ERR_X509_EXPIRED:
        return R2A_ERR_TLS_EXPIRED;
    case BR_ERR_X509_BAD_SERVER_NAME:
        return R2A_ERR_TLS_WRONG_HOST;
    case BR_ERR_X509_NOT_TRUSTED:
        return R2A_ERR_TLS_UNKNOWN_ISSUER;
    case BR_ERR_X509_EMPTY_CHAIN:
    case BR_ERR_X509_DN_MISMATCH:
    case BR_ERR_X509_BAD_SIGNATURE:
    case BR_ERR_X509_NOT_CA:
        return R2A_ERR_TLS_BAD_CHAIN;
    case BR_ERR_X509_CRITICAL_EXTENSION:
        return R2A_ERR_TLS_CONSTRAINTS;
    case BR_ERR_X509_LIMIT_EXCEEDED:
    case BR_ERR_LIMIT_EXCEEDED:
        return R2A_ERR_TLS_KEY_LIMIT;
    case BR_ERR_X509_UNSUPPORTED:
    case BR_ERR_X509_WEAK_PUBLIC_KEY:
    case BR_ERR_X509_WRONG_KEY_TYPE:
        return R2A_ERR_TLS_SIGNATURE;
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
        return has_chain ? R2A_ERR_TLS_PROTOCOL : R2A_ERR_TLS_VERSION;
    case BR_ERR_BAD_CIPHER_SUITE:
    case BR_ERR_INVALID_ALGORITHM:
        return R2A_ERR_TLS_NO_COMMON;
    case BR_ERR_NO_CLIENT_AUTH:
        return R2A_ERR_TLS_CLIENT_CERT;
    default:
        return R2A_ERR_TLS_PROTOCOL;
    }
}
