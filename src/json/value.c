/* Whole values: skipping them, taking those of a known type, and comparing keys. */
#include "r2a/core/check.h"

#include "lex.h"
#include "state.h"

/* Where the token just taken begins. */
static const char *token_begin(const struct json_scan *scan, enum json_token token)
{
    switch (token) {
    case JSON_KEY:
    case JSON_STRING:
        return scan->text.ptr - 1;
    case JSON_NUMBER:
        return scan->text.ptr;
    case JSON_TRUE:
    case JSON_NULL:
        return scan->pos - 4;
    case JSON_FALSE:
        return scan->pos - 5;
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
        return scan->pos - 1;
    case JSON_ERROR:
    case JSON_MORE:
    case JSON_END:
        break;
    }
    return scan->pos;
}

/* --- skipping --- */

bool json_skip_after(struct json_scan *scan, enum json_token token, struct slice *raw)
{
    const char *const begin = token_begin(scan, token);

    check(!scan->is_pieces);
    switch (token) {
    case JSON_KEY:
        return json_skip(scan, raw);
    case JSON_OBJECT:
    case JSON_ARRAY:
        if (!scan_leave(scan))
            return false;
        break;
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
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

/* --- taking --- */

/* The token just taken is of a kind the caller cannot use. */
static bool fail_type(struct json_scan *scan, enum json_token token)
{
    if (token != JSON_ERROR)
        scan_fail(scan, R2A_ERR_JSON_TYPE, token_begin(scan, token));
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
