/* Whole values: skipping them, taking those of a known type, and comparing keys. */
#include "r2a/core/check.h"

#include "state.h"

/* --- skipping --- */

#if FIND_SSE2
/* No turn of the loop below looks further than this: a key and a value of a block each, with what
 * stands around them. */
#define TURN_BYTES 48

/* A number that is an integer of a few digits; its end, or NULL when it is not. */
static inline const char *short_int(const char *p)
{
    const char *const begin = p;

    p += *p == '-';
    if (*p == '0' || !lex_is_digit(*p)) {
        if (*p++ != '0')
            return NULL;
    } else {
        while (lex_is_digit(*p) && p - begin < 16)
            p++;
    }
    return lex_is_digit(*p) || *p == '.' || (*p | 0x20) == 'e' ? NULL : p;
}

/* The scanner's machine once more, for what nearly all of a text is made of and nothing else: short
 * strings without escapes, small numbers, literals, and no white space but one blank. It keeps
 * everything in registers, and stops before the first token that is not of that kind, which then is
 * the scanner's. So it never fails, and skipping accepts exactly what scanning does. */
static void skip_common(struct json_scan *scan, uint32_t depth_min)
{
    const char *p = scan->pos;
    const char *const end = scan->end;
    enum state state = (enum state)scan->state;
    uint8_t after = scan->after;
    uint32_t depth = scan->depth;

    while (depth > depth_min && end - p >= TURN_BYTES) {
        const char *key = p;
        const char *next;

        switch (state) {
        case STATE_AFTER_MEMBER:
            if (*p == '}')
                goto close;
            if (*p != ',')
                goto stop;
            key = p + 1;
            key += *key == ' ';
            goto key;
        case STATE_FIRST_KEY:
            if (*p == '}')
                goto close;
            /* fall through */
        case STATE_KEY:
        key:
            next = *key == '"' ? scan_near_quote(key + 1) : NULL;
            if (next == NULL || next[1] != ':')
                goto stop;
            p = next + 2;
            p += *p == ' ';
            state = STATE_VALUE;
            break;
        case STATE_COLON:
            if (*p != ':')
                goto stop;
            p++;
            p += *p == ' ';
            state = STATE_VALUE;
            break;
        case STATE_AFTER_ITEM:
            if (*p == ']')
                goto close;
            if (*p != ',')
                goto stop;
            p++;
            p += *p == ' ';
            state = STATE_VALUE;
            break;
        case STATE_FIRST_ITEM:
            if (*p == ']')
                goto close;
            break;
        case STATE_VALUE:
            break;
        case STATE_DONE:
        case STATE_INSIDE:
        case STATE_ERROR:
        default:
            goto stop;
        }

        if (lex_likely(*p == '"')) {
            next = scan_near_quote(p + 1);
            if (next == NULL)
                goto stop;
            p = next + 1;
            state = (enum state)after;
            continue;
        }
        switch (*p) {
        case '{':
        case '[':
            if (depth == JSON_DEPTH_MAX)
                goto stop;
            scan->outer[depth++] = after;
            state = *p == '{' ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
            after = *p == '{' ? STATE_AFTER_MEMBER : STATE_AFTER_ITEM;
            p++;
            continue;
        case 't':
            if (memcmp(p, "true", 4) != 0)
                goto stop;
            p += 4;
            break;
        case 'f':
            if (memcmp(p, "false", 5) != 0)
                goto stop;
            p += 5;
            break;
        case 'n':
            if (memcmp(p, "null", 4) != 0)
                goto stop;
            p += 4;
            break;
        default:
            next = short_int(p);
            if (next == NULL)
                goto stop;
            p = next;
            break;
        }
        state = (enum state)after;
        continue;
    close:
        p++;
        after = scan->outer[--depth];
        state = (enum state)after;
    }
stop:
    scan->pos = p;
    scan->state = (uint8_t)state;
    scan->after = after;
    scan->depth = (uint8_t)depth;
}
#endif

/* Up to the end of the container that leaves `depth` open. */
static bool skip_rest(struct json_scan *scan, uint32_t depth)
{
    for (;;) {
#if FIND_SSE2
        skip_common(scan, depth);
        if (scan->depth == depth)
            return true;
#endif
        if (json_next(scan) == JSON_ERROR)
            return false;
        if (scan->depth == depth)
            return true;
    }
}

bool json_skip_after(struct json_scan *scan, enum json_token token, struct slice *raw)
{
    const char *begin = scan->pos;

    check(!scan->is_pieces);
    switch (token) {
    case JSON_KEY:
        return json_skip(scan, raw);
    case JSON_OBJECT:
    case JSON_ARRAY:
        begin -= 1;
        if (!skip_rest(scan, scan->depth - 1u))
            return false;
        break;
    case JSON_STRING:
        begin = scan->text.ptr - 1;
        break;
    case JSON_NUMBER:
        begin = scan->text.ptr;
        break;
    case JSON_TRUE:
    case JSON_NULL:
        begin -= 4;
        break;
    case JSON_FALSE:
        begin -= 5;
        break;
    case JSON_ERROR:
    case JSON_MORE:
    case JSON_OBJECT_END:
    case JSON_ARRAY_END:
    case JSON_END:
        return false;
    }
    if (raw != NULL)
        *raw = slice_between(begin, scan->pos);
    return true;
}

bool json_skip(struct json_scan *scan, struct slice *raw)
{
    enum json_token token;

    check(scan->state != STATE_FIRST_KEY && scan->state != STATE_KEY &&
          scan->state != STATE_AFTER_MEMBER);
    token = json_next(scan);
    return json_skip_after(scan, token, raw);
}

/* The value just taken is of a kind the caller cannot use. */
static bool fail_type(struct json_scan *scan, enum json_token token)
{
    const char *at = scan->pos;

    switch (token) {
    case JSON_ERROR:
        return false;
    case JSON_KEY:
    case JSON_STRING:
        at = scan->text.ptr - 1;
        break;
    case JSON_NUMBER:
        at = scan->text.ptr;
        break;
    case JSON_TRUE:
    case JSON_NULL:
        at -= 4;
        break;
    case JSON_FALSE:
        at -= 5;
        break;
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
        at -= 1;
        break;
    case JSON_END:
    case JSON_MORE:
        break;
    }
    scan_fail(scan, R2A_ERR_JSON_TYPE, at);
    return false;
}

bool json_take_string(struct json_scan *scan, struct text *value, bool *is_null)
{
    const enum json_token token = json_next(scan);

    if (is_null != NULL)
        *is_null = token == JSON_NULL;
    if (token == JSON_STRING)
        *value = text_escaped(scan->text);
    else if (token == JSON_NULL && is_null != NULL)
        *value = text_escaped(slice_of(NULL, 0));
    else
        return fail_type(scan, token);
    return true;
}

bool json_take_bool(struct json_scan *scan, bool *value, bool *is_null)
{
    const enum json_token token = json_next(scan);

    if (is_null != NULL)
        *is_null = token == JSON_NULL;
    if (token == JSON_TRUE || token == JSON_FALSE || (token == JSON_NULL && is_null != NULL))
        *value = token == JSON_TRUE;
    else
        return fail_type(scan, token);
    return true;
}

bool json_take_number(struct json_scan *scan, struct slice *raw, bool *is_null)
{
    const enum json_token token = json_next(scan);

    if (is_null != NULL)
        *is_null = token == JSON_NULL;
    if (token == JSON_NUMBER)
        *raw = scan->text;
    else if (token == JSON_NULL && is_null != NULL)
        *raw = slice_of(NULL, 0);
    else
        return fail_type(scan, token);
    return true;
}

/* --- keys --- */

/* Hardly ever occurs, but must be seen: "mod\u0065l" is model. */
bool json_key_is_escaped(const struct json_scan *scan, struct slice name)
{
    const char *p = scan->text.ptr;
    const char *const end = p + scan->text.len;
    size_t i = 0;

    for (; p != end; i++) {
        char unit[4] = {*p};

        if (*p == '\\') {
            if (lex_decode(&p, end, unit) != 1) /* names are ASCII */
                return false;
        } else {
            p++;
        }
        if (i == name.len || unit[0] != name.ptr[i])
            return false;
    }
    return i == name.len;
}

int json_key_index(const struct json_scan *scan, const struct slice *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (json_key_is(scan, names[i]))
            return (int)i;
    return -1;
}
