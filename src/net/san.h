#ifndef R2A_NET_SAN_H
#define R2A_NET_SAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* The few things of an X.509 certificate (RFC 5280 4.1) that the TLS library does not tell: when it
 * ends, who issued it, and its subjectAltName. Strict DER: definite, minimal lengths; nothing left
 * over. Slices borrow from the certificate. */
struct san_view {
    struct slice issuer; /* contents of the Name, compared byte by byte */
    struct slice subject;
    struct slice names; /* the GeneralNames of subjectAltName; empty when absent */
    int64_t not_before_ms;
    int64_t not_after_ms; /* since 1970 */
    bool has_names;
};

/* False when the certificate is malformed as far as it is read here (all but key and signature). */
bool san_view(struct slice der, struct san_view *view);

/* Whether an iPAddress of `names` is these 4 or 16 bytes. False when any of the names is malformed:
 * a list that cannot be read proves nothing. */
bool san_has_ip(struct slice names, const uint8_t *ip, size_t len);

#endif
