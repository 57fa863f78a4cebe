#include "common.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Tool-call arguments between an object and the content of a string (conversion.md 2.6), and the
 * free text of custom tools in and out of {"input":"…"}. History is never an error here: what is
 * not an object is kept inside one, visible to model and user. */

void args_write_object(struct rope *out, struct text args)
{
    struct text trimmed = args.form == TEXT_JSON ? args : text_trim(args);

    switch (text_json_kind(trimmed)) {
    case TEXT_IS_EMPTY:
        rope_put(out, S("{}"));
        return;
    case TEXT_IS_OBJECT:
        if (trimmed.form == TEXT_ESCAPED)
            text_write_value(out, trimmed);
        else
            rope_borrow(out, text_bytes(trimmed));
        return;
    case TEXT_IS_ARRAY:
    case TEXT_IS_SCALAR:
        rope_put(out, S("{\"value\":"));
        if (trimmed.form == TEXT_ESCAPED)
            text_write_value(out, trimmed);
        else
            rope_borrow(out, text_bytes(trimmed));
        rope_put_char(out, '}');
        return;
    case TEXT_NOT_JSON:
        rope_put(out, S("{\"_raw\":\""));
        text_write_escaped(out, args);
        rope_put(out, S("\"}"));
        return;
    }
}

void args_write_string(struct rope *out, struct text args)
{
    if (text_is_blank(args))
        rope_put(out, S("{}"));
    else if (args.form == TEXT_JSON)
        text_write_json_compact_escaped(out, args);
    else
        text_write_escaped(out, args);
}

void args_wrap_object(struct rope *out, struct text input)
{
    rope_put(out, S("{\"input\":\""));
    text_write_escaped(out, input);
    rope_put(out, S("\"}"));
}

void args_wrap_string(struct rope *out, struct text input)
{
    rope_put(out, S("{\\\"input\\\":\\\""));
    text_write_escaped_twice(out, input);
    rope_put(out, S("\\\"}"));
}

/* --- unwrapping --- */

/*            mismatch
 *   PREFIX ------------> RAW (what was kept, then everything as it comes)
 *     | {"input":"
 *   VALUE --"--> TAIL (nothing of interest follows)
 *
 * The value is the inside of a JSON string and leaves as that, so it is checked on the way: a model
 * that breaks off or writes a wrong escape must not break the client's JSON. */
enum { UNWRAP_PREFIX, UNWRAP_VALUE, UNWRAP_TAIL, UNWRAP_RAW };

#define PREFIX       "{\"input\":\""
#define PREFIX_BYTES 10u
#define CHUNK_BYTES  256u

/* The state of PREFIX besides what was kept: how much of the prefix was met. */
static uint32_t prefix_met(const struct unwrap *unwrap)
{
    return unwrap->hold_len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One character of the prefix. */
static void step_prefix(struct unwrap *unwrap, char c)
{
    uint32_t met = prefix_met(unwrap);

    if (is_space(c) && (met <= 1 || met == 8 || met == 9)) {
        if (unwrap->kept_len < sizeof(unwrap->kept) - PREFIX_BYTES - 1)
            unwrap->kept[unwrap->kept_len++] = c;
        return;
    }
    if (met == 1 && c == '}') {
        unwrap->state = UNWRAP_TAIL;
        unwrap->has_input = true;
        unwrap->hold_len = unwrap->kept_len = 0;
        return;
    }
    unwrap->kept[unwrap->kept_len++] = c;
    if (c != PREFIX[met]) {
        unwrap->state = UNWRAP_RAW;
        unwrap->hold_len = 0;
    } else if (++unwrap->hold_len == PREFIX_BYTES) {
        unwrap->state = UNWRAP_VALUE;
        unwrap->has_input = true;
        unwrap->hold_len = unwrap->kept_len = 0;
    }
}

/* What a chunk of the value becomes: at worst each byte is written as six. */
struct value_out {
    char bytes[sizeof(((struct unwrap *)0)->hold) + (CHUNK_BYTES + 6) * 6];
    size_t len;
};

static void put_byte(struct value_out *out, char c)
{
    static const char digits[] = "0123456789abcdef";

    if ((unsigned char)c >= 0x20 && c != '"' && c != '\\') {
        out->bytes[out->len++] = c;
    } else if (c == '"' || c == '\\') {
        out->bytes[out->len++] = '\\';
        out->bytes[out->len++] = c;
    } else {
        memcpy(out->bytes + out->len, "\\u00", 4);
        out->bytes[out->len + 4] = digits[(unsigned char)c >> 4];
        out->bytes[out->len + 5] = digits[c & 15];
        out->len += 6;
    }
}

/* An escape is passed on when it is complete and legal; otherwise its characters are. */
static void step_escape(struct unwrap *unwrap, struct value_out *out, char c)
{
    uint8_t len = unwrap->escape_len;
    bool is_legal =
        len == 1 ? strchr("\"\\/bfnrtu", c) != NULL && c != '\0' : char_hex_value(c) >= 0;

    unwrap->escape[unwrap->escape_len++] = c;
    if (is_legal && (unwrap->escape[1] != 'u' || unwrap->escape_len == 6)) {
        memcpy(out->bytes + out->len, unwrap->escape, unwrap->escape_len);
        out->len += unwrap->escape_len;
        unwrap->escape_len = 0;
    } else if (!is_legal) {
        unwrap->escape_len = 0;
        for (uint8_t i = 0; i <= len; i++)
            put_byte(out, unwrap->escape[i]);
    }
}

static enum r2a_err feed_value(struct unwrap *unwrap, struct slice json, unwrap_fn put,
                               void *context)
{
    struct value_out out;
    size_t at = 0, safe;

    memcpy(out.bytes, unwrap->hold, unwrap->hold_len);
    out.len = unwrap->hold_len;
    for (; at < json.len && unwrap->state == UNWRAP_VALUE; at++) {
        char c = json.ptr[at];

        if (unwrap->escape_len > 0)
            step_escape(unwrap, &out, c);
        else if (c == '\\')
            unwrap->escape[unwrap->escape_len++] = c;
        else if (c == '"')
            unwrap->state = UNWRAP_TAIL;
        else
            put_byte(&out, c);
    }
    safe = unwrap->state == UNWRAP_TAIL ? out.len
                                        : text_safe_len(text_escaped(slice_of(out.bytes, out.len)));
    if (out.len - safe > sizeof(unwrap->hold))
        safe = out.len;
    unwrap->hold_len = (uint8_t)(out.len - safe);
    memcpy(unwrap->hold, out.bytes + safe, unwrap->hold_len);
    return safe > 0 ? put(context, text_escaped(slice_of(out.bytes, safe))) : R2A_OK;
}

/* JSON text, at most CHUNK_BYTES, never cut inside a UTF-8 sequence. */
static enum r2a_err feed_plain(struct unwrap *unwrap, struct slice json, unwrap_fn put,
                               void *context)
{
    enum r2a_err err = R2A_OK;
    size_t at = 0;

    while (at < json.len && unwrap->state == UNWRAP_PREFIX)
        step_prefix(unwrap, json.ptr[at++]);
    json = slice_skip(json, at);
    if (unwrap->state == UNWRAP_VALUE)
        return feed_value(unwrap, json, put, context);
    if (unwrap->state != UNWRAP_RAW)
        return R2A_OK;
    if (unwrap->kept_len > 0)
        err = put(context, text_plain(slice_of(unwrap->kept, unwrap->kept_len)));
    unwrap->kept_len = 0;
    if (err == R2A_OK && json.len > 0)
        err = put(context, text_plain(json));
    return err;
}

enum r2a_err unwrap_feed(struct unwrap *unwrap, struct text piece, unwrap_fn put, void *context)
{
    char plain[CHUNK_BYTES];
    enum r2a_err err = R2A_OK;

    if (piece.form == TEXT_JSON)
        piece.form = TEXT_PLAIN; /* the text of a value */
    while (piece.len > 0 && err == R2A_OK) {
        struct text chunk = piece;
        int64_t len;

        if (chunk.len > sizeof(plain)) {
            chunk.len = sizeof(plain);
            chunk.len = (uint32_t)text_safe_len(chunk);
        }
        if (chunk.len == 0)
            return R2A_ERR_INTERNAL;
        len = text_decode(chunk, plain, sizeof(plain));
        if (len < 0)
            return R2A_ERR_INTERNAL;
        err = feed_plain(unwrap, slice_of(plain, (size_t)len), put, context);
        piece.ptr += chunk.len;
        piece.len -= chunk.len;
    }
    return err;
}

enum r2a_err unwrap_end(struct unwrap *unwrap, unwrap_fn put, void *context)
{
    struct slice left = slice_of(unwrap->kept, unwrap->kept_len);

    if (unwrap->state != UNWRAP_PREFIX || left.len == 0)
        return R2A_OK; /* what a cut value held back is half a character */
    unwrap->state = UNWRAP_RAW;
    unwrap->kept_len = unwrap->hold_len = 0;
    return put(context, text_plain(left));
}
