/* Addresses as text and bytes, and the names that need no lookup. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/net/resolve.h"

#define LABEL_BYTES_MAX 63u /* RFC 1035 2.3.4 */

/* --- parsing --- */

static bool parse_v4(struct slice text, uint8_t bytes[4])
{
    struct slice part;

    for (size_t i = 0; i < 4; i++) {
        uint64_t value;

        if (!str_split(&text, '.', &part) || part.len == 0 || part.len > 3)
            return false;
        if (part.len > 1 && part.ptr[0] == '0')
            return false; /* octal to some, decimal to others: neither here */
        if (!str_parse_u64(part, &value) || value > 255)
            return false;
        bytes[i] = (uint8_t)value;
    }
    return text.ptr == NULL; /* nothing after the fourth */
}

/* RFC 4291 2.2: groups, at most one "::", the last 32 bits possibly as a dotted quad. */
static bool parse_v6(struct slice text, uint8_t bytes[16])
{
    uint16_t groups[8] = {0};
    size_t count = 0;
    size_t gap = 9; /* index where "::" was; 9: nowhere */
    size_t at = 0;

    if (text.len < 2)
        return false;
    if (text.ptr[0] == ':') {
        if (text.ptr[1] != ':')
            return false;
        gap = 0;
        at = 2;
    }
    while (at < text.len) {
        struct slice rest = slice_skip(text, at);
        size_t len = str_find_char(rest, ':');
        struct slice part = slice_head(rest, len);
        uint64_t value;
        uint8_t quad[4];

        if (count == 8)
            return false;
        if (len == rest.len && count <= 6 && str_find_char(part, '.') < part.len) {
            if (!parse_v4(part, quad))
                return false;
            groups[count++] = (uint16_t)(quad[0] << 8 | quad[1]);
            groups[count++] = (uint16_t)(quad[2] << 8 | quad[3]);
            at = text.len;
            break;
        }
        if (part.len == 0 || part.len > 4 || !str_parse_hex_u64(part, &value))
            return false;
        groups[count++] = (uint16_t)value;
        at += len;
        if (at == text.len)
            break;
        at++; /* the colon */
        if (at == text.len)
            return false; /* a single one at the end */
        if (text.ptr[at] == ':') {
            if (gap != 9)
                return false;
            gap = count;
            at++;
        }
    }
    if (gap == 9 ? count != 8 : count > 7)
        return false;
    memset(bytes, 0, 16);
    for (size_t i = 0; i < count; i++) {
        size_t to = i < gap ? i : i + 8 - count;

        bytes[2 * to] = (uint8_t)(groups[i] >> 8);
        bytes[2 * to + 1] = (uint8_t)groups[i];
    }
    return true;
}

bool ip_addr_parse(struct slice text, struct ip_addr *addr)
{
    *addr = (struct ip_addr){0};
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        if (!parse_v6(slice_of(text.ptr + 1, text.len - 2), addr->bytes))
            return false;
        addr->len = 16;
        return true;
    }
    if (text.len == 0)
        return false;
    if (parse_v4(text, addr->bytes)) {
        addr->len = 4;
        return true;
    }
    if (parse_v6(text, addr->bytes)) {
        addr->len = 16;
        return true;
    }
    *addr = (struct ip_addr){0};
    return false;
}

/* --- writing --- */

static uint16_t group_of(const struct ip_addr *addr, size_t index)
{
    return (uint16_t)(addr->bytes[2 * index] << 8 | addr->bytes[2 * index + 1]);
}

static size_t write_v4(char *to, const uint8_t bytes[4])
{
    size_t len = 0;

    for (size_t i = 0; i < 4; i++) {
        char digits[STR_U64_BYTES_MAX];
        size_t count = str_from_u64(digits, bytes[i]);

        if (i > 0)
            to[len++] = '.';
        memcpy(to + len, digits, count);
        len += count;
    }
    return len;
}

/* RFC 5952 4: lower case, no leading zeros, the longest run of two or more zero groups (the first
 * of equals) as "::", v4-mapped addresses with a dotted quad. */
static size_t write_v6(char *to, const struct ip_addr *addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    size_t run_at = 8;
    size_t run_len = 1;
    size_t len = 0;

    if (memcmp(addr->bytes, mapped, sizeof(mapped)) == 0) {
        memcpy(to, "::ffff:", 7);
        return 7 + write_v4(to + 7, addr->bytes + 12);
    }
    for (size_t i = 0; i < 8; i++) {
        size_t end = i;

        while (end < 8 && group_of(addr, end) == 0)
            end++;
        if (end - i > run_len) {
            run_at = i;
            run_len = end - i;
        }
        if (end > i)
            i = end;
    }
    for (size_t i = 0; i < 8; i++) {
        char digits[16];
        size_t count;

        if (i == run_at) {
            to[len++] = ':';
            to[len++] = ':';
            i += run_len - 1;
            continue;
        }
        if (i > 0 && i != run_at + run_len)
            to[len++] = ':';
        count = str_from_u64_hex(digits, group_of(addr, i));
        memcpy(to + len, digits, count);
        len += count;
    }
    return len;
}

size_t ip_addr_write(char to[IP_ADDR_TEXT_MAX], const struct ip_addr *addr)
{
    switch (addr->len) {
    case 4:
        return write_v4(to, addr->bytes);
    case 16:
        return write_v6(to, addr);
    default:
        return 0;
    }
}

socklen_t ip_addr_to_sockaddr(const struct ip_addr *addr, uint16_t port,
                              struct sockaddr_storage *to)
{
    memset(to, 0, sizeof(*to));
    if (addr->len == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

        memcpy(&in.sin_addr, addr->bytes, 4);
        memcpy(to, &in, sizeof(in));
        return sizeof(in);
    }
    check(addr->len == 16);

    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    in6.sin6_scope_id = addr->scope;
    memcpy(&in6.sin6_addr, addr->bytes, 16);
    memcpy(to, &in6, sizeof(in6));
    return sizeof(in6);
}

bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->len == b->len && a->scope == b->scope && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* --- kinds --- */

struct range {
    uint8_t bytes[16];
    uint8_t bits;
};

static bool is_in(const uint8_t *bytes, const struct range *range)
{
    size_t whole = range->bits / 8;
    unsigned rest = range->bits % 8;

    if (memcmp(bytes, range->bytes, whole) != 0)
        return false;
    return rest == 0 || ((bytes[whole] ^ range->bytes[whole]) >> (8 - rest)) == 0;
}

/* The last four bytes of an address that carries an IPv4 one. */
static const uint8_t *inner_v4(const struct ip_addr *addr)
{
    static const struct range carriers[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, /* v4-mapped */
        {{0, 0x64, 0xff, 0x9b}, 96},                      /* NAT64, RFC 6052 */
    };

    for (size_t i = 0; i < array_count(carriers); i++) {
        if (is_in(addr->bytes, &carriers[i]))
            return addr->bytes + 12;
    }
    return NULL;
}

bool ip_addr_is_loopback(const struct ip_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    const uint8_t *v4 = addr->bytes;

    if (addr->len == 16) {
        if (memcmp(addr->bytes, one, 16) == 0)
            return true;
        v4 = inner_v4(addr);
    }
    return v4 != NULL && addr->len != 0 && v4[0] == 127;
}

static bool is_private_v4(const uint8_t *bytes)
{
    /* RFC 6890 and the registry it started, as far as it is not the public internet. */
    static const struct range ranges[] = {
        {{0}, 8},
        {{10}, 8},
        {{100, 64}, 10},
        {{127}, 8},
        {{169, 254}, 16},
        {{172, 16}, 12},
        {{192, 0, 0}, 24},
        {{192, 0, 2}, 24},
        {{192, 88, 99}, 24},
        {{192, 168}, 16},
        {{198, 18}, 15},
        {{198, 51, 100}, 24},
        {{203, 0, 113}, 24},
        {{224}, 4},
        {{240}, 4},
    };

    for (size_t i = 0; i < array_count(ranges); i++) {
        if (is_in(bytes, &ranges[i]))
            return true;
    }
    return false;
}

bool ip_addr_is_private(const struct ip_addr *addr)
{
    static const struct range public_v6 = {{0x20}, 3}; /* 2000::/3, all that is assigned */
    static const struct range except[] = {
        {{0x20, 0x01, 0}, 23},          /* protocol assignments, Teredo */
        {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
        {{0x20, 0x02}, 16},             /* 6to4 */
        {{0x3f, 0xff}, 20},             /* documentation */
    };

    if (addr->len == 4)
        return is_private_v4(addr->bytes);
    if (addr->len != 16)
        return true;

    const uint8_t *v4 = inner_v4(addr);

    if (v4 != NULL)
        return is_private_v4(v4);
    if (!is_in(addr->bytes, &public_v6))
        return true;
    for (size_t i = 0; i < array_count(except); i++) {
        if (is_in(addr->bytes, &except[i]))
            return true;
    }
    return false;
}

/* --- names --- */

bool resolve_name_is_valid(struct slice name)
{
    size_t label = 0;

    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > RESOLVE_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            continue;
        }
        if (!char_is_alnum(c) && c != '-' && c != '_')
            return false;
        if (++label > LABEL_BYTES_MAX)
            return false;
    }
    return label > 0;
}

bool resolve_local(struct slice name, struct resolve_result *result)
{
    static const struct ip_addr v4 = {.len = 4, .bytes = {127, 0, 0, 1}};
    static const struct ip_addr v6 = {.len = 16, .bytes = {[15] = 1}};

    *result = (struct resolve_result){0};
    if (ip_addr_parse(name, &result->addrs[0])) {
        result->count = 1;
        return true;
    }
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (str_eq_nocase(name, S("localhost")) || str_ends_nocase(name, S(".localhost"))) {
        /* IPv4 first: more servers listen there only than the other way round. */
        result->addrs[0] = v4;
        result->addrs[1] = v6;
        result->count = 2;
        return true;
    }
    return false;
}
