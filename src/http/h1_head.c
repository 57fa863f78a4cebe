/* Reads request and status heads, and decides how the body after them is framed.
 *
 * A head is read in one pass over contiguous bytes. When it turns out to be incomplete nothing of
 * that pass is kept but `seen`: later calls look only for the end of the head in the new bytes, and
 * read it once more when it is there. So a complete head costs one pass, a dribbled one two, and no
 * half-parsed state can go wrong.
 *
 * What the body's bytes look like is body.c's business, what a path means url.c's. */
#include "r2a/http/h1_head.h"

#include "bytes.h"
#include "r2a/core/check.h"
#include "r2a/http/url.h"
#include "r2a/limits.h"

/* The name a method list entry has, in the order of enum http_method. */
static const struct slice method_names[] = {[HTTP_METHOD_OTHER] = {NULL, 0},
#define X(name) [HTTP_METHOD_##name] = S_INIT(#name),
                                            HTTP_METHOD_LIST(X)
#undef X
};

/* What the field lines of either head say about the message as a whole. */
struct facts {
    struct http_header *headers;
    uint32_t count;
    uint32_t max;
    uint64_t content_length;
    struct slice host;
    struct slice coding; /* Transfer-Encoding */
    struct slice expect;
    uint32_t host_count;
    uint32_t coding_count;
    bool has_length;
    bool has_expect;
    bool has_upgrade;
    bool is_close;      /* Connection: close */
    bool is_keep_alive; /* Connection: keep-alive */
};

/* A place in the input. After an error `at` is where it was found. */
struct cursor {
    const char *at;
    const char *end;
};

struct slice http_method_name(enum http_method method)
{
    check(method < array_count(method_names));
    return method_names[method];
}

static enum http_method method_of(struct slice name)
{
    for (size_t i = 1; i < array_count(method_names); i++) {
        if (slice_eq(name, method_names[i]))
            return (enum http_method)i;
    }
    return HTTP_METHOD_OTHER;
}

/* Steps over CRLF: 1; 0 when cut; an error for a bare CR, or when the CR is not even there. */
static int32_t read_crlf(struct cursor *cursor)
{
    if (cursor->at == cursor->end)
        return 0;
    if (*cursor->at != '\r')
        return R2A_ERR_HTTP_SYNTAX;
    if (cursor->at + 1 == cursor->end)
        return 0;
    if (cursor->at[1] != '\n')
        return R2A_ERR_HTTP_SYNTAX;
    cursor->at += 2;
    return 1;
}

/* "HTTP/1.x": 1 with the minor digit. Checked byte by byte, so that nonsense is refused at once. */
static int32_t read_version(struct cursor *cursor, uint8_t *minor)
{
    static const char literal[] = "HTTP/";
    const size_t literal_len = sizeof(literal) - 1;

    for (size_t i = 0; i < literal_len; i++, cursor->at++) {
        if (cursor->at == cursor->end)
            return 0;
        if (*cursor->at != literal[i])
            return R2A_ERR_HTTP_SYNTAX;
    }
    if (cursor->end - cursor->at < 3)
        return 0;
    if (!byte_is(cursor->at[0], BYTE_DIGIT) || cursor->at[1] != '.' ||
        !byte_is(cursor->at[2], BYTE_DIGIT))
        return R2A_ERR_HTTP_SYNTAX;
    if (cursor->at[0] != '1')
        return R2A_ERR_HTTP_VERSION;
    *minor = (uint8_t)(cursor->at[2] - '0');
    cursor->at += 3;
    return 1;
}

static enum r2a_err note_length(struct facts *facts, struct slice value)
{
    /* RFC 9112 §6.3 lets equal lengths pass; one way of counting is enough for us. A list "5, 5"
     * fails as a number. */
    if (facts->has_length || !http_u64_parse(value, &facts->content_length) ||
        facts->content_length > INT64_MAX)
        return R2A_ERR_HTTP_FRAMING;
    facts->has_length = true;
    return R2A_OK;
}

static void note_connection(struct facts *facts, struct slice value)
{
    struct slice option;

    while (http_list_next(&value, &option)) {
        if (http_token_eq(option, S("close")))
            facts->is_close = true;
        else if (http_token_eq(option, S("keep-alive")))
            facts->is_keep_alive = true;
    }
}

static enum r2a_err note_field(struct facts *facts, const struct http_header *header)
{
    switch (header->id) {
    case HEADER_HOST:
        facts->host_count++;
        facts->host = header->value;
        return facts->host_count > 1 ? R2A_ERR_HTTP_HOST : R2A_OK;
    case HEADER_CONTENT_LENGTH:
        return note_length(facts, header->value);
    case HEADER_TRANSFER_ENCODING:
        facts->coding_count++;
        facts->coding = header->value;
        return R2A_OK;
    case HEADER_CONNECTION:
        note_connection(facts, header->value);
        return R2A_OK;
    case HEADER_EXPECT:
        /* two different expectations: whatever they are, not just 100-continue */
        facts->expect = facts->has_expect ? (struct slice){NULL, 0} : header->value;
        facts->has_expect = true;
        return R2A_OK;
    case HEADER_UPGRADE:
        facts->has_upgrade = true;
        return R2A_OK;
    default:
        return R2A_OK;
    }
}

/* Field lines up to and including the empty line: 1, 0 when cut, or an error.
 *
 * A line that begins with SP or HTAB (obs-fold) has no name, and fails as such; so does a line that
 * begins with ':' or LF. Space before the colon makes the name end at something else than ':'. */
static int32_t read_fields(struct cursor *cursor, struct facts *facts)
{
    for (;;) {
        struct http_header *header;
        const char *name = cursor->at;
        const char *value;
        enum r2a_err err;
        int32_t n;

        if (name == cursor->end)
            return 0;
        if (*name == '\r')
            return read_crlf(cursor);
        cursor->at = scan_token(name, cursor->end);
        if (cursor->at == cursor->end)
            return 0;
        if (*cursor->at != ':' || cursor->at == name)
            return R2A_ERR_HTTP_SYNTAX;
        if (facts->count == facts->max)
            return R2A_ERR_HTTP_HEAD_LIMIT;
        header = &facts->headers[facts->count];
        header->name = slice_between(name, cursor->at);
        header->id = http_header_id(header->name);

        value = cursor->at + 1;
        while (value < cursor->end && (*value == ' ' || *value == '\t'))
            value++;
        cursor->at = scan_value(value, cursor->end);
        header->value = slice_between(value, cursor->at);
        n = read_crlf(cursor);
        if (n <= 0)
            return n;
        while (header->value.len > 0 && (header->value.ptr[header->value.len - 1] == ' ' ||
                                         header->value.ptr[header->value.len - 1] == '\t'))
            header->value.len--;
        facts->count++;
        err = note_field(facts, header);
        if (err != R2A_OK) {
            cursor->at = name;
            return err;
        }
    }
}

/* The one coding we speak is a single, final "chunked" (RFC 9112 §6.1, §7). Anything before a final
 * chunked is well-framed but unknown to us; anything else cannot be framed at all. */
static enum r2a_err check_coding(const struct facts *facts, uint8_t version_minor)
{
    struct slice list = facts->coding;
    struct slice coding;
    uint32_t count = 0;
    uint32_t chunked_count = 0;
    bool is_last_chunked = false;

    if (facts->has_length || facts->coding_count != 1 || version_minor == 0)
        return R2A_ERR_HTTP_FRAMING;
    if (http_token_eq(facts->coding, S("chunked")))
        return R2A_OK;
    while (http_list_next(&list, &coding)) {
        count++;
        is_last_chunked = http_token_eq(coding, S("chunked"));
        chunked_count += is_last_chunked;
    }
    return count > 1 && chunked_count == 1 && is_last_chunked ? R2A_ERR_HTTP_CODING
                                                              : R2A_ERR_HTTP_FRAMING;
}

static bool wants_keep_alive(const struct facts *facts, uint8_t version_minor)
{
    return !facts->is_close && (version_minor > 0 || facts->is_keep_alive);
}

/* Whether bytes from `seen` on may end the head: its empty line, or a bare LF (which the parser
 * will refuse; waiting for more would only delay that). */
static bool has_end(struct slice in, size_t seen)
{
    const char *end = in.ptr + in.len;
    const char *at = in.ptr + seen;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at == in.ptr || at[-1] != '\r')
            return true;
        if (end - at >= 3 && at[1] == '\r' && at[2] == '\n')
            return true;
        at++;
    }
    return false;
}

/* What both heads do with the outcome of a pass over `in`: remember, or conclude. */
static int32_t conclude(int32_t outcome, const struct cursor *cursor, struct slice in,
                        uint32_t bytes_max, uint32_t *seen, uint32_t *error_at)
{
    size_t used = (size_t)(cursor->at - in.ptr);

    if (outcome > 0 && used > bytes_max)
        outcome = R2A_ERR_HTTP_HEAD_LIMIT;
    if (outcome == 0 && in.len >= bytes_max)
        outcome = R2A_ERR_HTTP_HEAD_LIMIT;
    if (outcome < 0) {
        *error_at = (uint32_t)used;
        return outcome;
    }
    if (outcome == 0) {
        /* an LF whose next two bytes are not here yet must be looked at again */
        *seen = in.len > 3 ? (uint32_t)in.len - 2 : 1;
        return 0;
    }
    return (int32_t)used;
}

void h1_request_init(struct h1_request *request, struct http_header *headers, uint32_t headers_max,
                     uint32_t bytes_max)
{
    check(bytes_max > 0 && bytes_max <= HEAD_BYTES_MAX);
    *request = (struct h1_request){
        .headers = headers,
        .headers_max = headers_max,
        .bytes_max = bytes_max,
    };
}

/* The method, the target's bytes and the version: 1, 0 when cut, or an error. */
static int32_t read_request_line(struct cursor *cursor, struct h1_request *request)
{
    const char *start;
    int32_t n;

    /* RFC 9112 §2.2: some clients send a CRLF after a body; one is let pass. */
    if (cursor->at < cursor->end && *cursor->at == '\r') {
        n = read_crlf(cursor);
        if (n <= 0)
            return n;
        request->glitches++;
    }
    start = cursor->at;
    cursor->at = scan_class_plain(start, cursor->end, BYTE_TOKEN);
    if (cursor->at == cursor->end)
        return 0;
    if (*cursor->at != ' ' || cursor->at == start)
        return R2A_ERR_HTTP_SYNTAX;
    request->method_name = slice_between(start, cursor->at);
    request->method = (uint8_t)method_of(request->method_name);

    start = ++cursor->at;
    cursor->at = scan_target(start, cursor->end);
    if (cursor->at == cursor->end)
        return 0;
    if (*cursor->at != ' ')
        return *cursor->at == '\r' || *cursor->at == '\n' ? R2A_ERR_HTTP_SYNTAX : R2A_ERR_HTTP_URL;
    if (cursor->at == start)
        return R2A_ERR_HTTP_SYNTAX;
    request->target = slice_between(start, cursor->at);

    cursor->at++;
    n = read_version(cursor, &request->version_minor);
    return n <= 0 ? n : read_crlf(cursor);
}

/* "http://host:port/path": 0 when `target` is not in that form. */
static size_t scheme_size(struct slice target)
{
    if (target.len >= 7 && http_token_eq(slice_head(target, 7), S("http://")))
        return 7;
    if (target.len >= 8 && http_token_eq(slice_head(target, 8), S("https://")))
        return 8;
    return 0;
}

/* The four forms of RFC 9112 §3.2; authority-form is CONNECT's, which we do not serve. */
static enum r2a_err read_target(struct h1_request *request)
{
    struct slice target = request->target;
    struct url_host host;
    size_t scheme;
    size_t size;

    if (memchr(target.ptr, '#', target.len) != NULL || request->method == HTTP_METHOD_CONNECT)
        return R2A_ERR_HTTP_URL;
    if (target.ptr[0] == '/') {
        request->path = target;
        return R2A_OK;
    }
    if (slice_eq(target, S("*"))) {
        request->path = target;
        return request->method == HTTP_METHOD_OPTIONS ? R2A_OK : R2A_ERR_HTTP_URL;
    }
    scheme = scheme_size(target);
    if (scheme == 0)
        return R2A_ERR_HTTP_URL;
    target = slice_skip(target, scheme);
    for (size = 0; size < target.len && target.ptr[size] != '/' && target.ptr[size] != '?';)
        size++;
    request->host = slice_head(target, size);
    if (size == 0 || url_host_parse(request->host, &host) != R2A_OK)
        return R2A_ERR_HTTP_URL;
    request->path = slice_skip(target, size);
    if (request->path.len == 0)
        request->path = S("/");
    else if (request->path.ptr[0] == '?')
        return R2A_ERR_HTTP_URL; /* legal, but its path "/" stands nowhere; nobody sends it */
    return R2A_OK;
}

static enum r2a_err settle_request(struct h1_request *request, const struct facts *facts)
{
    struct url_host host;
    enum r2a_err err = read_target(request);

    if (err != R2A_OK)
        return err;
    if (facts->host_count == 0) {
        if (request->version_minor > 0)
            return R2A_ERR_HTTP_HOST;
    } else {
        /* RFC 9112 §3.2.2: an absolute target's host wins, yet a bad Host stays an error. Empty is
         * what a client must send when its target has no authority. */
        if (facts->host.len > 0 && url_host_parse(facts->host, &host) != R2A_OK)
            return R2A_ERR_HTTP_HOST;
        if (request->host.len == 0)
            request->host = facts->host;
    }
    request->has_length = facts->has_length;
    request->content_length = facts->content_length;
    request->body = HTTP_BODY_NONE;
    if (facts->coding_count > 0) {
        err = check_coding(facts, request->version_minor);
        if (err != R2A_OK)
            return err;
        request->body = HTTP_BODY_CHUNKED;
    } else if (facts->content_length > 0) {
        request->body = HTTP_BODY_LENGTH;
    }
    request->keep_alive = wants_keep_alive(facts, request->version_minor);
    request->has_upgrade = facts->has_upgrade;
    request->expect = HTTP_EXPECT_NONE;
    if (facts->has_expect && request->version_minor > 0)
        request->expect = http_token_eq(facts->expect, S("100-continue")) ? HTTP_EXPECT_CONTINUE
                                                                          : HTTP_EXPECT_OTHER;
    return R2A_OK;
}

int32_t h1_request_parse(struct h1_request *request, struct slice in)
{
    struct cursor cursor = {in.ptr, in.ptr + in.len};
    struct facts facts = {.headers = request->headers, .max = request->headers_max};
    int32_t n = 0;

    check(request->headers != NULL);
    if (in.len == 0)
        return 0;
    if (request->seen == 0 || has_end(in, request->seen)) {
        request->glitches = 0;
        request->host = (struct slice){NULL, 0};
        n = read_request_line(&cursor, request);
        if (n > 0)
            n = read_fields(&cursor, &facts);
        request->headers_count = facts.count;
        if (n > 0) {
            enum r2a_err err = settle_request(request, &facts);

            if (err != R2A_OK)
                n = err;
        }
    }
    return conclude(n, &cursor, in, request->bytes_max, &request->seen, &request->error_at);
}

void h1_response_init(struct h1_response *response, enum http_method request_method,
                      struct http_header *headers, uint32_t headers_max, uint32_t bytes_max)
{
    check(bytes_max > 0 && bytes_max <= HEAD_BYTES_MAX);
    *response = (struct h1_response){
        .headers = headers,
        .headers_max = headers_max,
        .bytes_max = bytes_max,
        .request_method = (uint8_t)request_method,
    };
}

/* "HTTP/1.1 200 OK": 1, 0 when cut, or an error. */
static int32_t read_status_line(struct cursor *cursor, struct h1_response *response)
{
    const char *at;
    int32_t n = read_version(cursor, &response->version_minor);

    if (n <= 0)
        return n;
    at = cursor->at;
    if (cursor->end - at < 5)
        return 0; /* SP, three digits, and what follows them */
    if (at[0] != ' ' || at[1] == '0' || !byte_is(at[1], BYTE_DIGIT) ||
        !byte_is(at[2], BYTE_DIGIT) || !byte_is(at[3], BYTE_DIGIT))
        return R2A_ERR_HTTP_SYNTAX;
    response->status = (uint16_t)((at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0'));
    cursor->at += 4;
    if (at[4] == ' ') {
        cursor->at = scan_value(at + 5, cursor->end);
        response->reason = slice_between(at + 5, cursor->at);
    } else {
        response->reason = (struct slice){NULL, 0};
        response->glitches++; /* the space is due even before an empty reason */
    }
    return read_crlf(cursor);
}

/* RFC 9112 §6.3, from the client's side. */
static enum r2a_err settle_response(struct h1_response *response, const struct facts *facts)
{
    uint16_t status = response->status;
    bool is_bodiless = status < 200 || status == 204;

    response->has_length = facts->has_length;
    response->content_length = facts->content_length;
    response->has_upgrade = facts->has_upgrade;
    response->keep_alive = wants_keep_alive(facts, response->version_minor);
    response->body = HTTP_BODY_NONE;
    if (facts->coding_count > 0) {
        enum r2a_err err = check_coding(facts, response->version_minor);

        if (err != R2A_OK)
            return err;
    }
    if (is_bodiless) {
        /* A server that announces a body here may also send one: never reuse such a connection. */
        if (facts->coding_count > 0 || facts->content_length > 0) {
            response->keep_alive = false;
            response->glitches++;
        }
        if (status == 101)
            response->keep_alive = false;
        return R2A_OK;
    }
    if (status == 304 || response->request_method == HTTP_METHOD_HEAD)
        return R2A_OK;
    if (response->request_method == HTTP_METHOD_CONNECT && status < 300)
        return R2A_OK; /* a tunnel: whatever follows is not this message's */
    if (facts->coding_count > 0) {
        response->body = HTTP_BODY_CHUNKED;
    } else if (facts->has_length) {
        if (facts->content_length > 0)
            response->body = HTTP_BODY_LENGTH;
    } else {
        response->body = HTTP_BODY_UNTIL_CLOSE;
        response->keep_alive = false;
    }
    return R2A_OK;
}

int32_t h1_response_parse(struct h1_response *response, struct slice in)
{
    struct cursor cursor = {in.ptr, in.ptr + in.len};
    struct facts facts = {.headers = response->headers, .max = response->headers_max};
    int32_t n = 0;

    check(response->headers != NULL);
    if (in.len == 0)
        return 0;
    if (response->seen == 0 || has_end(in, response->seen)) {
        response->glitches = 0;
        n = read_status_line(&cursor, response);
        if (n > 0)
            n = read_fields(&cursor, &facts);
        response->headers_count = facts.count;
        if (n > 0) {
            enum r2a_err err = settle_response(response, &facts);

            if (err != R2A_OK)
                n = err;
        }
    }
    return conclude(n, &cursor, in, response->bytes_max, &response->seen, &response->error_at);
}
