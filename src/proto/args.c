#include "common.h"
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
 */
enum { UNWRAP_PREFIX, UNWRAP_VALUE, UNWRAP_VALUE_ESCAPE, UNWRAP_TAIL, UNWRAP_RAW };

#define PREFIX       "{\"input\":\""
#define PREFIX_BYTES 10u

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

static enum r2a_err put_value(struct unwrap *unwrap, struct slice run, bool is_end, unwrap_fn put,
                              void *context)
{
    char joined[16 + 1024];
    size_t len = unwrap->hold_len, safe;
    enum r2a_err err = R2A_OK;

    memcpy(joined, unwrap->hold, len);
    memcpy(joined + len, run.ptr, run.len);
    len += run.len;
    safe = is_end ? len : text_safe_len(text_escaped(slice_of(joined, len)));
    unwrap->hold_len = (uint8_t)(len - safe);
    memcpy(unwrap->hold, joined + safe, len - safe);
    if (safe > 0)
        err = put(context, text_escaped(slice_of(joined, safe)));
    return err;
}

/* JSON text, at most 1,024 bytes, never cut inside a UTF-8 sequence. */
static enum r2a_err feed_plain(struct unwrap *unwrap, struct slice json, unwrap_fn put,
                               void *context)
{
    size_t at = 0, begin;
    enum r2a_err err = R2A_OK;

    while (at < json.len && unwrap->state == UNWRAP_PREFIX)
        step_prefix(unwrap, json.ptr[at++]);
    if (unwrap->state == UNWRAP_RAW) {
        if (unwrap->kept_len > 0)
            err = put(context, text_plain(slice_of(unwrap->kept, unwrap->kept_len)));
        unwrap->kept_len = 0;
        if (err == R2A_OK && at < json.len)
            err = put(context, text_plain(slice_skip(json, at)));
        return err;
    }
    for (begin = at; at < json.len && unwrap->state != UNWRAP_TAIL; at++) {
        if (unwrap->state == UNWRAP_VALUE_ESCAPE)
            unwrap->state = UNWRAP_VALUE;
        else if (json.ptr[at] == '\\')
            unwrap->state = UNWRAP_VALUE_ESCAPE;
        else if (json.ptr[at] == '"')
            break;
    }
    if (unwrap->state == UNWRAP_TAIL || unwrap->state == UNWRAP_PREFIX)
        return R2A_OK;
    err = put_value(unwrap, slice_of(json.ptr + begin, at - begin), at < json.len, put, context);
    if (at < json.len)
        unwrap->state = UNWRAP_TAIL;
    return err;
}

enum r2a_err unwrap_feed(struct unwrap *unwrap, struct text piece, unwrap_fn put, void *context)
{
    char plain[1024];
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

struct collect {
    char *to;
    size_t len;
};

static enum r2a_err collect_put(void *context, struct text text)
{
    struct collect *collect = context;

    memcpy(collect->to + collect->len, text.ptr, text.len);
    collect->len += text.len;
    return R2A_OK;
}

bool args_unwrap(struct text args, struct arena *arena, struct text *input)
{
    struct unwrap unwrap = {0};
    struct collect collect = {.to = arena_take(arena, (size_t)args.len + 64)};

    *input = args;
    if (collect.to == NULL)
        return false;
    if (unwrap_feed(&unwrap, args, collect_put, &collect) != R2A_OK)
        return true;
    if (unwrap.has_input && unwrap.state == UNWRAP_TAIL)
        *input = text_escaped(slice_of(collect.to, collect.len));
    return true;
}
