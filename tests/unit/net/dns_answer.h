#ifndef R2A_TESTS_NET_DNS_ANSWER_H
#define R2A_TESTS_NET_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes a server's answer to a question: `count` addresses 192.0.2.x or 2001:db8::x, or a code.
 * `to` has room for the question and 28 bytes an address. Returns the answer's length. */
size_t dns_answer(const unsigned char *question, size_t len, uint16_t type, unsigned rcode,
                  unsigned count, uint32_t ttl, bool is_truncated, unsigned char *to);

#endif
