#ifndef R2A_HTTP_URL_H
#define R2A_HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* Where an upstream is (RFC 3986): https://host:port/path, http://[::1]:8000/v1,
 * http://unix:/run/x.sock:/v1. Slices borrow from the text. */
struct url {
    bool is_tls;
    bool is_ipv6; /* host is an IPv6 literal, without its brackets */
    bool has_query;
    uint16_t port;          /* 80 or 443 when the text has none; 0 for a socket */
    struct slice host;      /* empty for a socket */
    struct slice authority; /* as a Host field says it: host[:port], brackets and all */
    struct slice unix_path; /* the socket's file; empty for TCP */
    struct slice path;      /* without trailing slashes; empty or begins with '/' */
    struct slice query;     /* without '?' */
    struct slice user_info; /* user:password of a proxy URL; empty otherwise */
};

/* R2A_ERR_INVALID for anything that is not such a URL: another scheme, no host, a bad port, a
 * fragment, bytes outside 0x21..0x7e, `.` or `..` segments. */
enum r2a_err url_parse(struct slice text, struct url *url);

/* Where to listen: host:port, [v6]:port, *:port, :port, unix:/path. */
struct url_listen {
    struct slice host;      /* without brackets; empty: any address */
    struct slice unix_path; /* empty for TCP */
    uint16_t port;          /* 0: any free one */
    bool is_ipv6;
};
enum r2a_err url_listen_parse(struct slice text, struct url_listen *listen);

/* host[:port] as in a Host field; has_port says whether there was one. Brackets of an IPv6 literal
 * are stripped. R2A_ERR_HTTP_HOST when it is none (RFC 3986 §3.2.2). */
struct url_host {
    struct slice host;
    uint16_t port;
    bool has_port;
    bool is_ipv6;
};
enum r2a_err url_host_parse(struct slice text, struct url_host *host);

/* A request target's two halves; the query without its '?'. */
void url_split(struct slice target, struct slice *path, struct slice *query);

/* Undoes percent-encoding, once. `out` has room for in.len bytes and may be in.ptr itself.
 * Returns the decoded size, or R2A_ERR_HTTP_URL for a bad escape or %00. '+' stays '+'. */
int32_t url_decode(struct slice in, char *out);
/* A request path ready for routing: empty segments (doubled slashes) collapse; R2A_ERR_HTTP_URL for
 * `.` and `..` segments, also when percent-encoded, bad escapes, %00, and for a path that does not
 * begin with '/'. Escapes stay as they are. `out` has room for path.len bytes and may be path.ptr;
 * returns the size. */
int32_t url_path_normalise(struct slice path, char *out);
/* Walks the segments of a path: "/v1/models/x" gives v1, models, x. False at the end. */
bool url_segment_next(struct slice *path, struct slice *segment);

/* Walks `key=value&…`; both still encoded, a key without '=' has an empty value. False at the end.
 */
bool url_query_next(struct slice *query, struct slice *key, struct slice *value);
/* The first parameter of that (plain ASCII) name, still encoded. False when there is none. */
bool url_query_find(struct slice query, struct slice key, struct slice *value);
/* The query without any parameter of that name (a credential that must not travel on). `out` has
 * room for query.len bytes and may be query.ptr; returns the size. Names are compared decoded, so
 * that k%65y= goes too. */
size_t url_query_remove(struct slice query, struct slice key, char *out);

/* Appends one path segment (or query value), percent-encoding all but unreserved characters. A
 * `:` stays when `keep_colon` (Gemini's model:verb). */
void url_put_segment(struct rope *out, struct slice segment, bool keep_colon);

#endif
