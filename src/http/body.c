/* Reads and writes message bodies. The chunked reader is a state machine over single bytes, but
 * data is passed over in one step; it may stop and go on at any byte.
 *
 *     SIZE -> (EXT ->) SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                         |
 *                         0 -> TRAILER -> (NAME -> VALUE -> VALUE_LF -> TRAILER) -> LAST_LF -> done
 *
 * Chunk sizes are hexadecimal digits and nothing else: no sign, no space, no "0x", sixteen digits
 * at most. An extension may hold anything but control bytes: a CR that no LF follows, or an LF
 * alone, is how one message is made to look like two, so both are errors everywhere. */
#include "r2a/http/body.h"

#include "bytes.h"
#include "r2a/core/check.h"
#include "r2a/limits.h"

enum body_state {
    BODY_DATA, /* of the body, or of a chunk */
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_SIZE,
    BODY_EXT,
    BODY_SIZE_LF,
    BODY_TRAILER, /* at the beginning of a trailer line, or of the last, empty one */
    BODY_NAME,
    BODY_VALUE,
    BODY_VALUE_LF,
    BODY_LAST_LF,
    BODY_BAD, /* an error was met */
};

/* One call never consumes more, so that the count fits its type. */
#define FEED_BYTES_MAX    ((size_t)1 << 30)
#define SIZE_DIGITS_MAX   16u
#define SIZE_DIGITS_SHORT 7u

void http_body_init(struct http_body *body, enum http_body_kind kind, uint64_t length)
{
    *body = (struct http_body){.kind = (uint8_t)kind, .state = BODY_DATA};
    switch (kind) {
    case HTTP_BODY_NONE:
        body->is_complete = true;
        break;
    case HTTP_BODY_LENGTH:
        body->left = length;
        body->is_complete = length == 0;
        break;
    case HTTP_BODY_CHUNKED:
        body->state = BODY_SIZE;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        break;
    }
}

/* A byte of framing other than data: false when it is malformed. Expects BODY_DATA to be handled.
 */
static bool step(struct http_body *body, char byte)
{
    switch ((enum body_state)body->state) {
    case BODY_DATA:
        unreachable();
    case BODY_BAD:
        return false;
    case BODY_DATA_CR:
        body->state = BODY_DATA_LF;
        return byte == '\r';
    case BODY_DATA_LF:
        body->state = BODY_SIZE;
        body->line_bytes = 0;
        body->digits = 0;
        return byte == '\n';
    case BODY_SIZE:
        if (byte_is(byte, BYTE_HEX)) {
            if (body->digits == SIZE_DIGITS_MAX || body->left >> 59 != 0)
                return false; /* stays below 2^63 */
            body->digits++;
            body->left = body->left << 4 | byte_hex_value(byte);
            return true;
        }
        body->state = byte == ';' ? BODY_EXT : BODY_SIZE_LF;
        return body->digits > 0 && (byte == ';' || byte == '\r');
    case BODY_EXT:
        if (byte == '\r')
            body->state = BODY_SIZE_LF;
        else if (!byte_is(byte, BYTE_VALUE))
            return false;
        return ++body->line_bytes <= CHUNK_LINE_BYTES_MAX;
    case BODY_SIZE_LF:
        body->state = body->left > 0 ? BODY_DATA : BODY_TRAILER;
        body->line_bytes = 0;
        return byte == '\n';
    case BODY_TRAILER:
        if (byte == '\r') {
            body->state = BODY_LAST_LF;
            return true;
        }
        body->state = BODY_NAME;
        return byte_is(byte, BYTE_TOKEN) && ++body->line_bytes <= TRAILER_BYTES_MAX;
    case BODY_NAME:
        if (byte == ':')
            body->state = BODY_VALUE;
        else if (!byte_is(byte, BYTE_TOKEN))
            return false;
        return ++body->line_bytes <= TRAILER_BYTES_MAX;
    case BODY_VALUE:
        if (byte == '\r')
            body->state = BODY_VALUE_LF;
        else if (!byte_is(byte, BYTE_VALUE))
            return false;
        return ++body->line_bytes <= TRAILER_BYTES_MAX;
    case BODY_VALUE_LF:
        body->state = BODY_TRAILER;
        return byte == '\n';
    case BODY_LAST_LF:
        body->is_complete = byte == '\n';
        return byte == '\n';
    }
    unreachable();
}

/* The usual framing between two chunks of one flush, "\r\n" 1*HEXDIG "\r\n", when all of it is
 * here: where the data begins. Else `at`, and the bytes go through step() one by one. */
static const char *pass_chunk_line(struct http_body *body, const char *at, const char *end)
{
    const char *line = at;
    uint64_t size = 0;
    unsigned digits = 0;

    if (body->state == BODY_DATA_CR) {
        if (end - line < 2 || line[0] != '\r' || line[1] != '\n')
            return at;
        line += 2;
    } else if (body->state != BODY_SIZE || body->digits > 0) {
        return at;
    }
    while (line < end && digits < SIZE_DIGITS_SHORT && byte_is(*line, BYTE_HEX)) {
        size = size << 4 | byte_hex_value(*line);
        digits++;
        line++;
    }
    if (end - line < 2 || line[0] != '\r' || line[1] != '\n' || size == 0)
        return at;
    line += 2;
    body->left = size;
    body->state = BODY_DATA;
    body->overhead += (uint64_t)(line - at);
    return line;
}

static uint64_t overhead_max(const struct http_body *body)
{
    return CHUNK_OVERHEAD_BYTES_MAX + body->bytes * (uint64_t)CHUNK_OVERHEAD_RATIO_MAX;
}

/* Framing up to the next data: after the data of this call, so that the end of the body is known
 * together with its last bytes. */
static const char *read_framing(struct http_body *body, const char *at, const char *end)
{
    /* `overhead` never exceeds its bound but in BODY_BAD, which no fast way leaves */
    if (overhead_max(body) - body->overhead >= 16)
        at = pass_chunk_line(body, at, end);
    while (at < end && body->state != BODY_DATA && !body->is_complete) {
        /* picohttpparser's guard: a peer must not keep us busy with framing that carries nothing */
        if (!step(body, *at) || ++body->overhead > overhead_max(body)) {
            body->state = BODY_BAD;
            return at;
        }
        at++;
    }
    return at;
}

static int32_t feed_chunked(struct http_body *body, struct slice in, struct slice *data)
{
    const char *end = in.ptr + in.len;
    const char *at = read_framing(body, in.ptr, end);

    if (at < end && body->state == BODY_DATA && !body->is_complete) {
        size_t size = (size_t)(end - at);

        if (size > body->left)
            size = (size_t)body->left;
        *data = slice_of(at, size);
        body->bytes += size;
        body->left -= size;
        at += size;
        if (body->left == 0) {
            body->state = BODY_DATA_CR;
            at = read_framing(body, at, end);
        }
    }
    /* data before a bad byte is still good: the error is the next call's */
    return body->state == BODY_BAD && data->len == 0 ? (int32_t)R2A_ERR_HTTP_BODY
                                                     : (int32_t)(at - in.ptr);
}

int32_t http_body_feed(struct http_body *body, struct slice in, struct slice *data)
{
    *data = (struct slice){NULL, 0};
    if (body->is_complete || in.len == 0)
        return 0;
    in = slice_head(in, FEED_BYTES_MAX);
    if (body->kind == HTTP_BODY_CHUNKED)
        return feed_chunked(body, in, data);
    if (body->kind == HTTP_BODY_LENGTH) {
        if (in.len > body->left)
            in.len = (size_t)body->left;
        body->left -= in.len;
        body->is_complete = body->left == 0;
    }
    *data = in;
    body->bytes += in.len;
    return (int32_t)in.len;
}

enum r2a_err http_body_finish(struct http_body *body)
{
    if (body->kind == HTTP_BODY_UNTIL_CLOSE)
        body->is_complete = true;
    return body->is_complete ? R2A_OK : R2A_ERR_TRUNCATED;
}

void http_chunk_begin(struct rope *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char line[SIZE_DIGITS_MAX + 2];
    size_t at = sizeof(line);

    check(size > 0);
    line[--at] = '\n';
    line[--at] = '\r';
    for (; size > 0; size >>= 4)
        line[--at] = digits[size & 15];
    rope_put(out, slice_of(line + at, sizeof(line) - at));
}

void http_chunk_end(struct rope *out)
{
    rope_put(out, S("\r\n"));
}

void http_chunk_last(struct rope *out)
{
    rope_put(out, S("0\r\n\r\n"));
}

void http_chunk_put(struct rope *out, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    http_chunk_begin(out, bytes.len);
    rope_put(out, bytes);
    http_chunk_end(out);
}

void http_chunk_append(struct rope *out, struct rope *bytes)
{
    if (bytes->bytes == 0)
        return;
    http_chunk_begin(out, bytes->bytes);
    rope_append(out, bytes);
    http_chunk_end(out);
}
