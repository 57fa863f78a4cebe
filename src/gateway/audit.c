#include "audit.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"

/* One line an exchange. What a peer sent is escaped: it can end neither a line nor a value. */

struct line {
    struct str_buf buf;
    bool as_json;
    bool has_member;
};

#define FIELD_BYTES_MAX 256u

#define INLINE static inline __attribute__((always_inline))

/* str_buf_put, inline where there is room: a text of ours is then a move or two. */
INLINE void put(struct line *line, struct slice s)
{
    struct str_buf *buf = &line->buf;

    if (__builtin_expect(s.len > buf->size - buf->len, 0)) {
        str_buf_put(buf, s);
        return;
    }
    if (s.len > 0)
        memcpy(buf->ptr + buf->len, s.ptr, s.len);
    buf->len += s.len;
}

static void put_escaped(struct line *line, struct slice value)
{
    static const char digits[] = "0123456789abcdef";

    value = slice_head(value, FIELD_BYTES_MAX);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c == '"' || c == '\\') {
            str_buf_put_char(&line->buf, '\\');
            str_buf_put_char(&line->buf, (char)c);
        } else if (c < 0x20 || c == 0x7f || (!line->as_json && c > 0x7f)) {
            put(line, line->as_json ? S("\\u00") : S("\\x"));
            str_buf_put_char(&line->buf, digits[c >> 4]);
            str_buf_put_char(&line->buf, digits[c & 15]);
        } else {
            str_buf_put_char(&line->buf, (char)c);
        }
    }
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes may not stand in a line as it is: what is not visible ASCII, quote,
 * backslash, '='. A byte above 0x7f has its high bit; one below 0x21 borrows it; and of a byte that
 * equals the one asked for nothing is left to take 1 from. */
static uint64_t has_odd(uint64_t bytes)
{
    const uint64_t odd =
        bytes | (bytes - EACH_BYTE(0x21)) | ((bytes ^ EACH_BYTE(0x7f)) - EACH_BYTE(1)) |
        ((bytes ^ EACH_BYTE('"')) - EACH_BYTE(1)) | ((bytes ^ EACH_BYTE('\\')) - EACH_BYTE(1)) |
        ((bytes ^ EACH_BYTE('=')) - EACH_BYTE(1));

    return odd & EACH_BYTE(0x80);
}

static bool is_plain(struct slice value)
{
    uint64_t bytes = EACH_BYTE('a');
    uint64_t odd = 0;

    if (value.len >= sizeof(bytes)) {
        for (size_t i = 0; i < value.len - sizeof(bytes); i += sizeof(bytes)) {
            memcpy(&bytes, value.ptr + i, sizeof(bytes));
            odd |= has_odd(bytes);
        }
        memcpy(&bytes, value.ptr + value.len - sizeof(bytes), sizeof(bytes));
    } else {
        for (size_t i = 0; i < value.len; i++)
            bytes = bytes << 8 | (unsigned char)value.ptr[i];
    }
    return (odd | has_odd(bytes)) == 0;
}

/* A key as it stands in a line; JSON takes the name out of it. */
#define KEY(name) S(" " name "=")

static __attribute__((noinline)) void put_json_key(struct line *line, struct slice key)
{
    put(line, line->has_member ? S(",\"") : S("{\""));
    put(line, slice_of(key.ptr + 1, key.len - 2));
    put(line, S("\":"));
    line->has_member = true;
}

INLINE void put_key(struct line *line, struct slice key)
{
    if (line->as_json)
        put_json_key(line, key);
    else
        put(line, key);
}

static __attribute__((noinline)) void put_value(struct line *line, struct slice value)
{
    const bool is_as_is = is_plain(value);

    if (!is_as_is || line->as_json)
        str_buf_put_char(&line->buf, '"');
    if (is_as_is)
        put(line, slice_head(value, FIELD_BYTES_MAX));
    else
        put_escaped(line, value);
    if (!is_as_is || line->as_json)
        str_buf_put_char(&line->buf, '"');
}

INLINE void put_text(struct line *line, struct slice key, struct slice value)
{
    if (value.len == 0)
        return;
    put_key(line, key);
    put_value(line, value);
}

/* A name of ours or of the configuration, which admits plain ones only. */
INLINE void put_word(struct line *line, struct slice key, struct slice value)
{
    if (value.len == 0)
        return;
    put_key(line, key);
    if (line->as_json)
        str_buf_put_char(&line->buf, '"');
    put(line, value);
    if (line->as_json)
        str_buf_put_char(&line->buf, '"');
}

INLINE void put_number(struct line *line, struct slice key, uint64_t value)
{
    put_key(line, key);
    str_buf_put_u64(&line->buf, value);
}

static void put_tokens(struct line *line, const struct audit_record *record)
{
    const struct ir_usage *usage = &record->usage;

    if (usage->has & IR_HAS_INPUT)
        put_number(line, KEY("tokens_in"), usage->input);
    if (usage->has & IR_HAS_CACHE_READ)
        put_number(line, KEY("tokens_cached"), usage->cache_read);
    if (usage->has & IR_HAS_OUTPUT)
        put_number(line, KEY("tokens_out"), usage->output);
    if (usage->has & IR_HAS_REASONING)
        put_number(line, KEY("tokens_reasoning"), usage->reasoning);
    if (record->is_estimated)
        put_number(line, KEY("estimated"), 1);
}

size_t audit_format(const struct audit_record *record, struct slice time, bool as_json, char *to,
                    size_t size)
{
    struct line line = {.buf = {.ptr = to, .size = size - 2}, .as_json = as_json};
    char end[2] = {record->ended_by ? record->ended_by : '-',
                   record->ended_in ? record->ended_in : '-'};

    if (as_json) {
        put_word(&line, KEY("time"), time);
        put_word(&line, KEY("level"), S("info"));
        put_word(&line, KEY("module"), S("access"));
        put_word(&line, KEY("event"), S("exchange"));
    } else {
        put(&line, time);
        put(&line, S(" info access exchange"));
    }
    put_text(&line, KEY("id"), record->id);
    put_text(&line, KEY("key"), record->key);
    put_word(&line, KEY("method"), record->method);
    put_text(&line, KEY("path"), record->path);
    if (record->client_protocol)
        put_word(&line, KEY("protocol"), slice_from_z(record->client_protocol));
    put_number(&line, KEY("status"), record->status);
    put_word(&line, KEY("end"), slice_of(end, 2));
    put_number(&line, KEY("duration_ms"), record->duration_ms);
    if (record->first_token_ms >= 0)
        put_number(&line, KEY("first_token_ms"), (uint64_t)record->first_token_ms);
    put_number(&line, KEY("bytes_in"), record->bytes_in);
    put_number(&line, KEY("bytes_out"), record->bytes_out);
    if (record->is_stream)
        put_number(&line, KEY("stream"), 1);
    put_text(&line, KEY("model"), record->model);
    put_word(&line, KEY("provider"), record->provider);
    put_text(&line, KEY("credential"), record->credential);
    if (record->upstream_protocol)
        put_word(&line, KEY("upstream_protocol"), slice_from_z(record->upstream_protocol));
    put_text(&line, KEY("upstream_model"), record->upstream_model);
    if (record->upstream_status)
        put_number(&line, KEY("upstream_status"), record->upstream_status);
    put_text(&line, KEY("upstream_id"), record->upstream_id);
    if (record->provider.len > 0)
        put_number(&line, KEY("retries"), record->attempts > 0 ? record->attempts - 1 : 0);
    put_tokens(&line, record);
    if (record->dropped)
        put_number(&line, KEY("dropped"), record->dropped);
    if (record->error)
        put_text(&line, KEY("error"), slice_from_z(record->error));
    /* a line that had to be cut still ends as one: room was kept */
    if (as_json)
        to[line.buf.len++] = '}';
    to[line.buf.len++] = '\n';
    return line.buf.len;
}

/* --- the buffer --- */

bool audit_buffer_put(struct audit_buffer *buffer, struct slice line)
{
    uint32_t *len = &buffer->len[buffer->filling];

    if (*len + line.len > AUDIT_BUFFER_BYTES) {
        buffer->lost++;
        return false;
    }
    memcpy(buffer->bytes[buffer->filling] + *len, line.ptr, line.len);
    *len += (uint32_t)line.len;
    return true;
}

struct slice audit_buffer_take(struct audit_buffer *buffer, size_t max)
{
    uint8_t flying = buffer->filling ^ 1u;
    struct slice rest;

    check(!buffer->is_in_flight);
    if (buffer->flight_at == buffer->len[flying]) {
        /* that one is all written: swap */
        buffer->len[flying] = 0;
        buffer->flight_at = 0;
        if (buffer->len[buffer->filling] == 0)
            return (struct slice){0};
        buffer->filling = flying;
        flying ^= 1u;
    }
    rest = slice_of(buffer->bytes[flying] + buffer->flight_at,
                    buffer->len[flying] - buffer->flight_at);
    if (rest.len > max) {
        size_t cut = max;

        while (cut > 0 && rest.ptr[cut - 1] != '\n')
            cut--;
        if (cut == 0)
            cut = str_find_char(rest, '\n') + 1;
        rest.len = cut < rest.len ? cut : rest.len;
    }
    buffer->is_in_flight = true;
    return rest;
}

void audit_buffer_done(struct audit_buffer *buffer, size_t written)
{
    check(buffer->is_in_flight);
    buffer->is_in_flight = false;
    buffer->flight_at += (uint32_t)written;
    check(buffer->flight_at <= buffer->len[buffer->filling ^ 1u]);
}

bool audit_buffer_is_urgent(const struct audit_buffer *buffer)
{
    return buffer->len[buffer->filling] >= AUDIT_BUFFER_BYTES / 2;
}
