#include "dns_answer.h"

#include <string.h>

#include "src/net/dns.h"

size_t dns_answer(const unsigned char *question, size_t len, uint16_t type, unsigned rcode,
                  unsigned count, uint32_t ttl, bool is_truncated, unsigned char *to)
{
    size_t end = 12;

    memcpy(to, question, len);
    while (to[end] != 0)
        end += 1u + to[end];
    end += 5;
    to[2] = (unsigned char)(0x81 | (is_truncated ? 2 : 0));
    to[3] = (unsigned char)(0x80 | rcode);
    to[7] = (unsigned char)count;
    to[10] = to[11] = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned char addr[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (unsigned char)(i + 1)};
        size_t addr_len = type == DNS_A ? 4 : 16;

        if (type == DNS_A)
            memcpy(addr, "\xc0\x00\x02", 3), addr[3] = (unsigned char)(i + 1);
        memcpy(to + end, "\xc0\x0c\0\0\0\1", 6);
        to[end + 3] = (unsigned char)type;
        to[end + 6] = (unsigned char)(ttl >> 24);
        to[end + 7] = (unsigned char)(ttl >> 16);
        to[end + 8] = (unsigned char)(ttl >> 8);
        to[end + 9] = (unsigned char)ttl;
        to[end + 10] = 0;
        to[end + 11] = (unsigned char)addr_len;
        memcpy(to + end + 12, addr, addr_len);
        end += 12 + addr_len;
    }
    return end;
}
