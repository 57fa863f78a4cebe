/* Addresses: what configuration writes, what the system calls want, what logs show. Nothing is
 * resolved here. */
#include <arpa/inet.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/net/conn.h"
#include "r2a/net/listener.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_loopback_v6(const uint8_t addr[16])
{
    static const uint8_t loopback[16] = {[15] = 1};

    if (memcmp(addr, mapped_prefix, sizeof mapped_prefix) == 0)
        return addr[12] == 127;
    return memcmp(addr, loopback, sizeof loopback) == 0;
}

void conn_peer_from(struct conn_peer *peer, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    *peer = (struct conn_peer){.family = AF_UNSPEC};
    if (len < sizeof addr->sa_family)
        return;
    if (addr->sa_family == AF_INET && len >= sizeof in) {
        memcpy(&in, addr, sizeof in);
        peer->family = AF_INET;
        peer->port = ntohs(in.sin_port);
        memcpy(peer->addr, &in.sin_addr, 4);
        peer->is_loopback = peer->addr[0] == 127;
    } else if (addr->sa_family == AF_INET6 && len >= sizeof in6) {
        memcpy(&in6, addr, sizeof in6);
        peer->family = AF_INET6;
        peer->port = ntohs(in6.sin6_port);
        memcpy(peer->addr, &in6.sin6_addr, 16);
        peer->is_loopback = is_loopback_v6(peer->addr);
        if (memcmp(peer->addr, mapped_prefix, sizeof mapped_prefix) == 0) {
            peer->family = AF_INET;
            memmove(peer->addr, peer->addr + 12, 4);
            memset(peer->addr + 4, 0, 12);
        }
    } else if (addr->sa_family == AF_UNIX) {
        peer->family = AF_UNIX;
        peer->is_loopback = true;
    }
}

static size_t put_port(char *to, uint16_t port)
{
    char digits[5];
    size_t count = 0, len = 0;

    to[len++] = ':';
    do {
        digits[count++] = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    while (count > 0)
        to[len++] = digits[--count];
    return len;
}

static bool parse_port(struct slice text, uint16_t *port)
{
    uint32_t value = 0;

    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static enum r2a_err parse_unix(struct slice path, struct net_addr *addr)
{
    if (path.len == 0 || path.len >= sizeof addr->u.un.sun_path ||
        memchr(path.ptr, 0, path.len) != NULL)
        return R2A_ERR_INVALID;
    addr->u.un.sun_family = AF_UNIX;
    memcpy(addr->u.un.sun_path, path.ptr, path.len);
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return R2A_OK;
}

enum r2a_err net_addr_parse(struct slice text, struct net_addr *addr)
{
    const struct slice unix_prefix = S("unix:");
    char host[INET6_ADDRSTRLEN] = {0};
    struct slice name;
    size_t colon = text.len;
    uint16_t port;

    memset(addr, 0, sizeof *addr);
    if (text.len >= unix_prefix.len && slice_eq(slice_head(text, unix_prefix.len), unix_prefix))
        return parse_unix(slice_skip(text, unix_prefix.len), addr);
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !parse_port(slice_skip(text, colon), &port))
        return R2A_ERR_INVALID;
    name = slice_head(text, colon - 1);
    if (name.len == 0 || slice_eq(name, S("*"))) {
        addr->u.in6.sin6_family = AF_INET6; /* in6addr_any is all zeros */
        addr->u.in6.sin6_port = htons(port);
        addr->len = sizeof addr->u.in6;
        return R2A_OK;
    }
    if (slice_eq(name, S("localhost")))
        name = S("127.0.0.1");
    if (name.ptr[0] == '[') {
        if (name.len < 3 || name.ptr[name.len - 1] != ']' || name.len - 2 >= sizeof host)
            return R2A_ERR_INVALID;
        memcpy(host, name.ptr + 1, name.len - 2);
        if (inet_pton(AF_INET6, host, &addr->u.in6.sin6_addr) != 1)
            return R2A_ERR_INVALID;
        addr->u.in6.sin6_family = AF_INET6;
        addr->u.in6.sin6_port = htons(port);
        addr->len = sizeof addr->u.in6;
        return R2A_OK;
    }
    if (name.len >= sizeof host)
        return R2A_ERR_INVALID;
    memcpy(host, name.ptr, name.len);
    if (inet_pton(AF_INET, host, &addr->u.in.sin_addr) != 1)
        return R2A_ERR_INVALID;
    addr->u.in.sin_family = AF_INET;
    addr->u.in.sin_port = htons(port);
    addr->len = sizeof addr->u.in;
    return R2A_OK;
}

size_t net_addr_format(const struct net_addr *addr, char *to)
{
    char text[INET6_ADDRSTRLEN];
    size_t len = 0, text_len;

    switch (addr->u.sa.sa_family) {
    case AF_UNIX:
        text_len = strnlen(addr->u.un.sun_path, sizeof addr->u.un.sun_path);
        memcpy(to, "unix:", 5);
        memcpy(to + 5, addr->u.un.sun_path, text_len);
        return 5 + text_len;
    case AF_INET:
        if (inet_ntop(AF_INET, &addr->u.in.sin_addr, text, sizeof text) == NULL)
            break;
        text_len = strlen(text);
        memcpy(to, text, text_len);
        return text_len + put_port(to + text_len, ntohs(addr->u.in.sin_port));
    case AF_INET6:
        if (inet_ntop(AF_INET6, &addr->u.in6.sin6_addr, text, sizeof text) == NULL)
            break;
        text_len = strlen(text);
        to[len++] = '[';
        memcpy(to + len, text, text_len);
        len += text_len;
        to[len++] = ']';
        return len + put_port(to + len, ntohs(addr->u.in6.sin6_port));
    default:
        break;
    }
    to[0] = '-';
    return 1;
}

bool net_addr_is_loopback(const struct net_addr *addr)
{
    struct conn_peer peer;

    conn_peer_from(&peer, &addr->u.sa, addr->len);
    return peer.is_loopback;
}
