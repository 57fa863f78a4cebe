/* URLs of configuration, request targets, and their parts. Strict and literal: nothing is guessed,
 * nothing is decoded twice, and a path that climbs is an error rather than resolved. */
#include "r2a/http/url.h"

#include "bytes.h"
#include "r2a/core/check.h"
#include "r2a/http/header.h"

static bool is_all(struct slice text, unsigned classes)
{
    return text.len == 0 ||
           scan_class_plain(text.ptr, text.ptr + text.len, classes) == text.ptr + text.len;
}

/* The index of `stop`, or the whole length. */
static size_t find(struct slice text, char stop)
{
    const char *at = text.len > 0 ? memchr(text.ptr, stop, text.len) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

static bool starts_with(struct slice text, struct slice head)
{
    return text.len >= head.len && memcmp(text.ptr, head.ptr, head.len) == 0;
}

/* A port of 0 is one that nobody can be reached at; listen addresses admit it. */
static bool read_port(struct slice digits, uint16_t *port)
{
    uint64_t value;

    if (digits.len > 5 || !http_u64_parse(digits, &value) || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* RFC 3986 §3.2.2 IPv6address, by counting: at most eight groups of one to four digits, one "::"
 * for at least one group, and dotted decimals in place of the last two. No zone, no IPvFuture. */
static bool is_ipv6(struct slice text)
{
    unsigned groups = 0;
    bool has_gap = false;
    size_t at = 0;

    if (starts_with(text, S("::"))) {
        has_gap = true;
        at = 2;
    }
    while (at < text.len) {
        size_t start = at;
        struct slice group;

        while (at < text.len && byte_is(text.ptr[at], BYTE_HEX))
            at++;
        group = slice_between(text.ptr + start, text.ptr + at);
        if (at < text.len && text.ptr[at] == '.') { /* dotted decimals, to the end */
            struct slice rest = slice_skip(text, start);
            unsigned parts = 0;

            for (;;) {
                size_t size = find(rest, '.');
                uint64_t value;

                if (size > 3 || !http_u64_parse(slice_head(rest, size), &value) || value > 255)
                    return false;
                parts++;
                if (size == rest.len)
                    break;
                rest = slice_skip(rest, size + 1);
            }
            groups += 2;
            return parts == 4 && (has_gap ? groups < 8 : groups == 8);
        }
        if (group.len == 0 || group.len > 4)
            return false;
        groups++;
        if (at == text.len)
            break;
        if (text.ptr[at] != ':')
            return false;
        at++;
        if (at == text.len)
            return false; /* a single colon at the end */
        if (text.ptr[at] == ':') {
            if (has_gap)
                return false;
            has_gap = true;
            at++;
        }
    }
    return has_gap ? groups < 8 : groups == 8;
}

enum r2a_err url_host_parse(struct slice text, struct url_host *host)
{
    struct slice rest;

    *host = (struct url_host){0};
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t close = find(text, ']');

        if (close == text.len)
            return R2A_ERR_HTTP_HOST;
        host->host = slice_between(text.ptr + 1, text.ptr + close);
        host->is_ipv6 = true;
        rest = slice_skip(text, close + 1);
        if (!is_ipv6(host->host) || (rest.len > 0 && rest.ptr[0] != ':'))
            return R2A_ERR_HTTP_HOST;
    } else {
        size_t colon = find(text, ':');

        host->host = slice_head(text, colon);
        rest = slice_skip(text, colon);
        /* the grammar admits escapes in a host; nobody has use for them but to disguise it */
        if (host->host.len == 0 || !is_all(host->host, BYTE_REG_NAME) ||
            find(host->host, '%') < host->host.len)
            return R2A_ERR_HTTP_HOST;
    }
    if (rest.len > 0) {
        /* "host:" with no digits is legal (RFC 3986 §3.2.3) */
        rest = slice_skip(rest, 1);
        host->has_port = rest.len > 0;
        if (rest.len > 0 && !read_port(rest, &host->port))
            return R2A_ERR_HTTP_HOST;
    }
    return R2A_OK;
}

/* "." and "..", also when their dots are escaped. */
static bool is_dot_segment(struct slice segment)
{
    size_t dots = 0;

    for (size_t i = 0; i < segment.len; dots++) {
        if (segment.ptr[i] == '.')
            i++;
        else if (segment.len - i >= 3 && segment.ptr[i] == '%' && segment.ptr[i + 1] == '2' &&
                 (segment.ptr[i + 2] | 0x20) == 'e')
            i += 3;
        else
            return false;
    }
    return dots == 1 || dots == 2;
}

bool url_segment_next(struct slice *path, struct slice *segment)
{
    while (path->len > 0 && path->ptr[0] == '/')
        *path = slice_skip(*path, 1);
    if (path->len == 0)
        return false;
    *segment = slice_head(*path, find(*path, '/'));
    *path = slice_skip(*path, segment->len);
    return true;
}

static bool has_dot_segment(struct slice path)
{
    struct slice segment;

    while (url_segment_next(&path, &segment)) {
        if (is_dot_segment(segment))
            return true;
    }
    return false;
}

/* "/run/x.sock:/v1": the file up to the first colon, the path behind it. */
static enum r2a_err parse_unix(struct slice rest, struct url *url)
{
    size_t colon = find(rest, ':');

    url->unix_path = slice_head(rest, colon);
    if (url->unix_path.len < 2 || url->unix_path.ptr[0] != '/')
        return R2A_ERR_INVALID;
    url->path = slice_skip(rest, colon < rest.len ? colon + 1 : colon);
    url->authority = S("localhost");
    return R2A_OK;
}

static enum r2a_err parse_authority(struct slice rest, struct url *url)
{
    size_t size = 0;
    size_t at_sign;
    struct url_host host;

    while (size < rest.len && rest.ptr[size] != '/' && rest.ptr[size] != '?')
        size++;
    url->authority = slice_head(rest, size);
    url->path = slice_skip(rest, size);
    at_sign = find(url->authority, '@');
    if (at_sign < url->authority.len) {
        url->user_info = slice_head(url->authority, at_sign);
        url->authority = slice_skip(url->authority, at_sign + 1);
        for (size_t i = 0; i < url->user_info.len; i++) {
            if (!byte_is(url->user_info.ptr[i], BYTE_REG_NAME) && url->user_info.ptr[i] != ':')
                return R2A_ERR_INVALID;
        }
    }
    if (url_host_parse(url->authority, &host) != R2A_OK || (host.has_port && host.port == 0))
        return R2A_ERR_INVALID;
    if (!host.has_port && url->authority.ptr[url->authority.len - 1] == ':')
        url->authority.len--; /* "host:" */
    url->host = host.host;
    url->is_ipv6 = host.is_ipv6;
    url->port = host.has_port ? host.port : (url->is_tls ? 443 : 80);
    return R2A_OK;
}

enum r2a_err url_parse(struct slice text, struct url *url)
{
    enum r2a_err err;
    struct slice rest;
    size_t mark;

    *url = (struct url){0};
    if (text.len == 0 || !is_all(text, BYTE_TARGET) || find(text, '#') < text.len)
        return R2A_ERR_INVALID;
    if (text.len >= 8 && http_token_eq(slice_head(text, 5), S("https")) &&
        starts_with(slice_skip(text, 5), S("://"))) {
        url->is_tls = true;
        rest = slice_skip(text, 8);
    } else if (text.len >= 7 && http_token_eq(slice_head(text, 4), S("http")) &&
               starts_with(slice_skip(text, 4), S("://"))) {
        rest = slice_skip(text, 7);
    } else {
        return R2A_ERR_INVALID;
    }
    if (starts_with(rest, S("unix:")))
        err = url->is_tls ? R2A_ERR_INVALID : parse_unix(slice_skip(rest, 5), url);
    else
        err = parse_authority(rest, url);
    if (err != R2A_OK)
        return err;
    mark = find(url->path, '?');
    url->has_query = mark < url->path.len;
    if (url->has_query)
        url->query = slice_skip(url->path, mark + 1);
    url->path.len = mark;
    if (url->path.len > 0 && url->path.ptr[0] != '/')
        return R2A_ERR_INVALID;
    if (has_dot_segment(url->path))
        return R2A_ERR_INVALID;
    while (url->path.len > 0 && url->path.ptr[url->path.len - 1] == '/')
        url->path.len--;
    return R2A_OK;
}

enum r2a_err url_listen_parse(struct slice text, struct url_listen *listen)
{
    struct url_host host;

    *listen = (struct url_listen){0};
    if (!is_all(text, BYTE_TARGET))
        return R2A_ERR_INVALID;
    if (starts_with(text, S("unix:"))) {
        listen->unix_path = slice_skip(text, 5);
        return listen->unix_path.len >= 2 && listen->unix_path.ptr[0] == '/' ? R2A_OK
                                                                             : R2A_ERR_INVALID;
    }
    if (starts_with(text, S(":")) || starts_with(text, S("*:"))) {
        struct slice digits = slice_skip(text, find(text, ':') + 1);

        return read_port(digits, &listen->port) ? R2A_OK : R2A_ERR_INVALID;
    }
    if (url_host_parse(text, &host) != R2A_OK || !host.has_port)
        return R2A_ERR_INVALID;
    listen->host = host.host;
    listen->is_ipv6 = host.is_ipv6;
    listen->port = host.port;
    return R2A_OK;
}

void url_split(struct slice target, struct slice *path, struct slice *query)
{
    size_t mark = find(target, '?');

    *path = slice_head(target, mark);
    *query = mark < target.len ? slice_skip(target, mark + 1) : (struct slice){NULL, 0};
}

/* The byte "%XX" at `at` stands for, or an error. */
static int32_t read_escape(struct slice text, size_t at)
{
    unsigned value;

    if (text.len - at < 3 || !byte_is(text.ptr[at + 1], BYTE_HEX) ||
        !byte_is(text.ptr[at + 2], BYTE_HEX))
        return R2A_ERR_HTTP_URL;
    value = byte_hex_value(text.ptr[at + 1]) << 4 | byte_hex_value(text.ptr[at + 2]);
    return value == 0 ? (int32_t)R2A_ERR_HTTP_URL : (int32_t)value;
}

int32_t url_decode(struct slice in, char *out)
{
    size_t size = 0;

    check(in.len <= INT32_MAX);
    if (find(in, '%') == in.len) {
        if (in.len > 0)
            memmove(out, in.ptr, in.len);
        return (int32_t)in.len;
    }
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '%') {
            int32_t byte = read_escape(in, i);

            if (byte < 0)
                return byte;
            out[size++] = (char)byte;
            i += 2;
        } else {
            out[size++] = in.ptr[i];
        }
    }
    return (int32_t)size;
}

/* Whether a path that begins with a slash stays as it is: no escape, no empty segment, none that
 * begins with a dot. Nearly every path is such. */
static bool is_normal(struct slice path)
{
    char last = 0;

    for (size_t i = 0; i < path.len; last = path.ptr[i], i++) {
        if (path.ptr[i] == '%' || (last == '/' && (path.ptr[i] == '/' || path.ptr[i] == '.')))
            return false;
    }
    return true;
}

int32_t url_path_normalise(struct slice path, char *out)
{
    struct slice rest = path;
    struct slice segment;
    bool has_slash_last = path.len > 0 && path.ptr[path.len - 1] == '/';
    size_t size = 0;

    check(path.len <= INT32_MAX);
    if (path.len == 0 || path.ptr[0] != '/')
        return R2A_ERR_HTTP_URL;
    if (is_normal(path)) {
        memmove(out, path.ptr, path.len);
        return (int32_t)path.len;
    }
    while (url_segment_next(&rest, &segment)) {
        if (is_dot_segment(segment))
            return R2A_ERR_HTTP_URL;
        for (size_t i = 0; i < segment.len; i++) {
            if (segment.ptr[i] == '%' && read_escape(segment, i) < 0)
                return R2A_ERR_HTTP_URL;
        }
        /* never ahead of what is still to be read, so `out` may be the path itself */
        out[size++] = '/';
        memmove(out + size, segment.ptr, segment.len);
        size += segment.len;
    }
    if (has_slash_last)
        out[size++] = '/';
    return (int32_t)size;
}

bool url_query_next(struct slice *query, struct slice *key, struct slice *value)
{
    while (query->len > 0) {
        size_t size = find(*query, '&');
        struct slice pair = slice_head(*query, size);
        size_t equals = find(pair, '=');

        *query = slice_skip(*query, size < query->len ? size + 1 : size);
        if (pair.len == 0)
            continue;
        *key = slice_head(pair, equals);
        *value = equals < pair.len ? slice_skip(pair, equals + 1) : slice_of(pair.ptr + equals, 0);
        return true;
    }
    return false;
}

/* Whether an encoded name stands for `plain`. */
static bool decodes_to(struct slice encoded, struct slice plain)
{
    size_t at = 0;

    for (size_t i = 0; i < encoded.len; i++, at++) {
        int32_t byte = (uint8_t)encoded.ptr[i];

        if (byte == '%') {
            byte = read_escape(encoded, i);
            if (byte < 0)
                return false;
            i += 2;
        }
        if (at == plain.len || byte != (uint8_t)plain.ptr[at])
            return false;
    }
    return at == plain.len;
}

bool url_query_find(struct slice query, struct slice key, struct slice *value)
{
    struct slice name;

    while (url_query_next(&query, &name, value)) {
        if (decodes_to(name, key))
            return true;
    }
    return false;
}

size_t url_query_remove(struct slice query, struct slice key, char *out)
{
    struct slice name, value;
    size_t size = 0;

    while (url_query_next(&query, &name, &value)) {
        struct slice pair = slice_between(name.ptr, value.ptr + value.len);

        if (decodes_to(name, key))
            continue;
        if (size > 0)
            out[size++] = '&';
        memmove(out + size, pair.ptr, pair.len);
        size += pair.len;
    }
    return size;
}

void url_put_segment(struct rope *out, struct slice segment, bool keep_colon)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *at = segment.ptr;
    const char *end = segment.ptr + segment.len;

    while (at < end) {
        const char *stop = scan_class_plain(at, end, BYTE_UNRESERVED);
        char escape[3] = {'%', 0, 0};

        while (keep_colon && stop < end && *stop == ':')
            stop = scan_class_plain(stop + 1, end, BYTE_UNRESERVED);
        if (stop > at)
            rope_put(out, slice_between(at, stop));
        if (stop == end)
            return;
        escape[1] = digits[(uint8_t)*stop >> 4];
        escape[2] = digits[(uint8_t)*stop & 15];
        rope_put(out, slice_of(escape, sizeof(escape)));
        at = stop + 1;
    }
}
