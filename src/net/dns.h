#ifndef R2A_NET_DNS_H
#define R2A_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"
#include "r2a/limits.h"
#include "r2a/net/resolve.h"

/* DNS messages (RFC 1035 4) as far as a stub resolver needs them: one question out, addresses in.
 * Pure functions of bytes. */

#define DNS_A    1u
#define DNS_AAAA 28u

/* Header, name in wire form, type and class, EDNS record. */
#define DNS_QUERY_BYTES_MAX (12u + 255u + 4u + 11u)

/* Writes a recursive query for a valid name (a trailing dot is dropped). `has_edns` adds the record
 * that allows answers of 1232 bytes over UDP (RFC 6891); without it they end at 512. Returns its
 * length; 0 when the name is too long for the wire. */
size_t dns_write_query(unsigned char to[DNS_QUERY_BYTES_MAX], uint16_t id, struct slice name,
                       uint16_t type, bool has_edns);

enum dns_verdict {
    DNS_FOREIGN,      /* not an answer to this question: drop it and wait on */
    DNS_ADDRESSES,    /* at least one */
    DNS_NO_DATA,      /* the name exists, without addresses of this type */
    DNS_NO_NAME,      /* it does not exist */
    DNS_IS_TRUNCATED, /* ask again by TCP */
    DNS_FAILURE,      /* the server cannot or will not say; or what it said is malformed */
};

struct dns_answer {
    enum dns_verdict verdict;
    uint32_t ttl_s; /* of the answer, or of the denial (0: it gave none) */
    uint8_t count;  /* addresses; further ones than RESOLVE_ADDRS_MAX are left out */
    uint16_t rcode;
    struct ip_addr addrs[RESOLVE_ADDRS_MAX];
};

/* Judges a message against the question asked: id, name (letter case ignored), type. Aliases are
 * followed within the message, at most DNS_CNAMES_MAX. Compression pointers must point backwards,
 * names must be at most 255 bytes, records must lie within the message. */
void dns_read_answer(struct slice message, uint16_t id, struct slice name, uint16_t type,
                     struct dns_answer *answer);

#endif
