/* Writes request and status heads. Names and values are checked here, last, whatever was checked
 * before: a CR that slips into a head is a second request. */
#include "r2a/http/h1_write.h"

#include "bytes.h"
#include "r2a/core/check.h"

/* A field line is written through one reservation when it is short, which nearly all are. */
#define LINE_BYTES_SHORT 1024u

struct slice http_status_reason(uint16_t status)
{
    switch (status) {
#define X(code, text) \
    case code:        \
        return S(text);
        // clang-format off
    X(100, "Continue") X(101, "Switching Protocols") X(200, "OK") X(201, "Created")
    X(202, "Accepted") X(203, "Non-Authoritative Information") X(204, "No Content")
    X(205, "Reset Content") X(206, "Partial Content") X(300, "Multiple Choices")
    X(301, "Moved Permanently") X(302, "Found") X(303, "See Other") X(304, "Not Modified")
    X(307, "Temporary Redirect") X(308, "Permanent Redirect") X(400, "Bad Request")
    X(401, "Unauthorized") X(402, "Payment Required") X(403, "Forbidden") X(404, "Not Found")
    X(405, "Method Not Allowed") X(406, "Not Acceptable")
    X(407, "Proxy Authentication Required") X(408, "Request Timeout") X(409, "Conflict")
    X(410, "Gone") X(411, "Length Required") X(412, "Precondition Failed")
    X(413, "Content Too Large") X(414, "URI Too Long") X(415, "Unsupported Media Type")
    X(416, "Range Not Satisfiable") X(417, "Expectation Failed")
    X(421, "Misdirected Request") X(422, "Unprocessable Content") X(423, "Locked")
    X(424, "Failed Dependency") X(425, "Too Early") X(426, "Upgrade Required")
    X(428, "Precondition Required") X(429, "Too Many Requests")
    X(431, "Request Header Fields Too Large") X(451, "Unavailable For Legal Reasons")
    X(499, "Client Closed Request") X(500, "Internal Server Error") X(501, "Not Implemented")
    X(502, "Bad Gateway") X(503, "Service Unavailable") X(504, "Gateway Timeout")
    X(505, "HTTP Version Not Supported") X(529, "Overloaded")
        // clang-format on
#undef X
                                                                        default
            : return (struct slice){NULL, 0};
    }
}

static void refuse(struct rope *out)
{
    if (out->err == R2A_OK)
        out->err = R2A_ERR_INVALID;
}

static char *append(char *at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

#define PIECES 4u

/* The pieces as one run when they are short. */
static void put_pieces(struct rope *out, const struct slice pieces[static PIECES])
{
    size_t size = 0;

    for (unsigned i = 0; i < PIECES; i++)
        size += pieces[i].len;
    if (size <= LINE_BYTES_SHORT) {
        char *at = rope_reserve(out, size);

        if (at == NULL)
            return;
        for (unsigned i = 0; i < PIECES; i++)
            at = append(at, pieces[i]);
        rope_commit(out, size);
        return;
    }
    for (unsigned i = 0; i < PIECES; i++)
        rope_put(out, pieces[i]);
}

void h1_write_status(struct rope *out, uint16_t status)
{
    char digits[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10), ' '};

    check(status >= 100 && status <= 999);
    if (status == 200) {
        rope_put(out, S("HTTP/1.1 200 OK\r\n"));
        return;
    }
    put_pieces(
        out, (struct slice[PIECES]){
                 S("HTTP/1.1 "), {digits, sizeof(digits)}, http_status_reason(status), S("\r\n")});
}

void h1_write_request(struct rope *out, struct slice method, struct slice target)
{
    if (!http_token_valid(method) || target.len == 0 ||
        scan_target(target.ptr, target.ptr + target.len) != target.ptr + target.len) {
        refuse(out);
        return;
    }
    put_pieces(out, (struct slice[PIECES]){method, S(" "), target, S(" HTTP/1.1\r\n")});
}

void h1_write_known(struct rope *out, struct slice name, struct slice prefix, struct slice value)
{
    const size_t size = name.len + prefix.len + value.len + 4;
    char *at;

    if (!http_value_valid(value)) {
        refuse(out);
        return;
    }
    if (size > LINE_BYTES_SHORT) {
        rope_put(out, name);
        rope_put(out, S(": "));
        rope_put(out, prefix);
        rope_put(out, value);
        rope_put(out, S("\r\n"));
        return;
    }
    at = rope_reserve(out, size);
    if (at == NULL)
        return;
    at = append(at, name);
    *at++ = ':';
    *at++ = ' ';
    at = append(at, prefix);
    at = append(at, value);
    *at++ = '\r';
    *at++ = '\n';
    rope_commit(out, size);
}

void h1_write_field(struct rope *out, struct slice name, struct slice value)
{
    if (!http_token_valid(name)) {
        refuse(out);
        return;
    }
    h1_write_known(out, name, (struct slice){0}, value);
}

void h1_write_id(struct rope *out, enum http_header_id id, struct slice value)
{
    check(id != HEADER_OTHER);
    h1_write_known(out, http_header_name(id), (struct slice){0}, value);
}

void h1_write_id_u64(struct rope *out, enum http_header_id id, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    h1_write_id(out, id, slice_of(digits + at, sizeof(digits) - at));
}

void h1_write_raw(struct rope *out, struct slice lines)
{
    check(lines.len == 0 || lines.ptr[lines.len - 1] == '\n');
    rope_put(out, lines);
}

void h1_write_end(struct rope *out)
{
    rope_put(out, S("\r\n"));
}

bool h1_field_valid(struct slice name, struct slice value)
{
    return http_token_valid(name) && http_value_valid(value);
}
