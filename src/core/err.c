/* Names and texts of errors, and the way from errno to them. What an error means to a client is
 * decided by ir/fault. */
#include "r2a/core/err.h"

#include <errno.h>

const char *r2a_err_text(int32_t err)
{
    switch (err) {
    case R2A_OK:
        return "ok";
#define X(name, value, text) \
    case (value):            \
        return text;
        R2A_ERR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}

const char *r2a_err_name(int32_t err)
{
    switch (err) {
    case R2A_OK:
        return "OK";
#define X(name, value, text) \
    case (value):            \
        return #name;
        R2A_ERR_LIST(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

enum r2a_err r2a_err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return R2A_OK;
    case ENOMEM:
        return R2A_ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return R2A_ERR_LIMIT;
    case EINVAL:
        return R2A_ERR_INVALID;
    case EOPNOTSUPP:
        return R2A_ERR_UNSUPPORTED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return R2A_ERR_PEER_RESET;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case ENOTCONN:
        return R2A_ERR_CONNECT;
    case ETIMEDOUT:
    case ETIME:
        return R2A_ERR_TIMEOUT;
    case ECANCELED:
        return R2A_ERR_CANCELLED;
    default:
        return R2A_ERR_SYSTEM;
    }
}
