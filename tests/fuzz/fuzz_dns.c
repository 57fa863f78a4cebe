/* DNS answers: whatever the bytes, the verdict is one of its kinds, addresses have the type asked
 * for, and a message with another id is foreign. The name and type asked are the ones most likely
 * to go deep: taken from the message's own question when it has a plain one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/net/dns.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The question's name as text when it is valid and uncompressed; else some name. */
static struct slice asked_name(const uint8_t *data, size_t size, char to[256])
{
    size_t at = 12;
    size_t len = 0;

    while (at < size && data[at] != 0 && data[at] < 64 && at + data[at] < size &&
           len + data[at] + 1u < 250) {
        if (len > 0)
            to[len++] = '.';
        memcpy(to + len, data + at + 1, data[at]);
        len += data[at];
        at += 1u + data[at];
    }
    if (!resolve_name_is_valid(slice_of(to, len)))
        return S("api.example");
    return slice_of(to, len);
}

static void judge(const uint8_t *data, size_t size, struct slice name, uint16_t type)
{
    struct slice message = slice_of((const char *)data, size);
    uint16_t id = (uint16_t)(size >= 2 ? data[0] << 8 | data[1] : 0);
    struct dns_answer answer;

    dns_read_answer(message, (uint16_t)(id ^ 1), name, type, &answer);
    require(answer.verdict == DNS_FOREIGN);
    dns_read_answer(message, id, name, type, &answer);
    switch (answer.verdict) {
    case DNS_ADDRESSES:
        require(answer.count > 0 && answer.count <= RESOLVE_ADDRS_MAX);
        for (size_t i = 0; i < answer.count; i++)
            require(answer.addrs[i].len == (type == DNS_A ? 4 : 16));
        require(answer.ttl_s <= INT32_MAX);
        break;
    case DNS_FOREIGN:
    case DNS_NO_DATA:
    case DNS_NO_NAME:
    case DNS_IS_TRUNCATED:
    case DNS_FAILURE:
        require(answer.count == 0);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char query[DNS_QUERY_BYTES_MAX];
    char text[256];
    struct slice name = asked_name(data, size, text);
    struct dns_answer answer;
    size_t len;

    judge(data, size, name, DNS_A);
    judge(data, size, name, DNS_AAAA);
    /* A question turned into an empty answer is read as one. */
    len = dns_write_query(query, 7, name, DNS_A, size % 2 == 1);
    require(len > 0);
    query[2] |= 0x80;
    dns_read_answer(slice_of((const char *)query, len), 7, name, DNS_A, &answer);
    require(answer.verdict == DNS_NO_DATA);
    return 0;
}
