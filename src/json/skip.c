/* Leaving a container in one go, which is what a relay does with nearly all of a body, and taking
 * members whole. The grammar
 * is the scanner's (state.h), with what it knows held in registers. Only the plain is done here:
 * whatever is not (white space, a string with more to it, a fraction, the
 * last bytes of the text, any error) is left where it is and json_next takes that one token. */
#include "r2a/core/check.h"

#include "find.h"
#include "lex.h"
#include "state.h"

/* Between two looks at how much is left: comma, key of less than a block, colon. */
#define WINDOW_BYTES (FIND_BLOCK + 8)

#define INLINE inline __attribute__((always_inline))

#define LONG_BYTES_MEMO 128
_Static_assert(LONG_BYTES_MEMO < JSON_MEMO_BYTES_MIN, "nothing a memo notes ends in it");

/* Behind a string without escapes that is longer than a block, or NULL. Those a memo wants to know
 * or knows are the scanner's: of what may be one, not much is looked at. */
static __attribute__((noinline)) const char *long_end(const struct json_scan *scan, const char *p)
{
    const bool has_memo = scan->memo != NULL || scan->recall_begin != NULL;
    const char *const most =
        has_memo && scan->end - p > LONG_BYTES_MEMO ? p + LONG_BYTES_MEMO : scan->end;

    p = find_first(p, most, FIND_STOP);
    return p != most && *p == '"' ? p + 1 : NULL;
}

/* Where a plain value without values of its own ends, or NULL. WINDOW_BYTES can be read. */
static INLINE const char *plain_end(const struct json_scan *scan, const char *p)
{
    const char *quote;

    switch (*p) {
    case '"':
        quote = find_near_quote(p + 1);
        return quote == NULL ? long_end(scan, p + 1) : quote + 1;
    case 't':
        return memcmp(p, "true", 4) == 0 ? p + 4 : NULL;
    case 'f':
        return memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
    case 'n':
        return memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
    case '0': /* a digit after it is what follows a value, and refused as that */
        p++;
        break;
    default:
        if (!lex_is_digit(*p))
            return NULL;
        for (const char *const most = p + FIND_BLOCK; p != most && lex_is_digit(*p);)
            p++;
    }
    return *p == '.' || (*p | 0x20) == 'e' || lex_is_digit(*p) ? NULL : p;
}

/* Where the value of a plain member begins, whose key does at `p`; or NULL. */
static INLINE const char *plain_key_end(const char *p)
{
    const char *quote;

    if (*p != '"')
        return NULL;
    quote = find_near_quote(p + 1);
    return quote == NULL || quote[1] != ':' ? NULL : quote + 2;
}

/* From one token to the next as long as they are plain and `floor` containers stay open. */
static void leap(struct json_scan *scan, uint32_t floor)
{
    const char *const end = scan->end;
    const char *p = scan->pos;
    const char *next;
    uint32_t depth = scan->depth;
    uint8_t state = scan->state;
    uint8_t after = scan->after;

    for (;;) {
        if (depth < floor || end - p < WINDOW_BYTES)
            break;
        if (state == STATE_AFTER_MEMBER) {
            if (*p == '}')
                goto leave;
            if (*p != ',' || (next = plain_key_end(p + 1)) == NULL)
                break;
            p = next;
        } else if (state == STATE_AFTER_ITEM) {
            if (*p == ']')
                goto leave;
            if (*p != ',')
                break;
            p++;
        } else if (state == STATE_FIRST_KEY) {
            if (*p == '}')
                goto leave;
            if ((next = plain_key_end(p)) == NULL)
                break;
            p = next;
        } else if (state == STATE_FIRST_ITEM) {
            if (*p == ']')
                goto leave;
            if (lex_is_space(*p)) /* what comes behind may still be the end */
                break;
        } else if (state != STATE_VALUE) {
            break;
        }
        state = STATE_VALUE;
        if (end - p < WINDOW_BYTES)
            break;
        if (*p == '{' || *p == '[') {
            const bool is_object = *p == '{';

            if (depth == JSON_DEPTH_MAX)
                break;
            scan->outer[depth++] = after;
            after = is_object ? STATE_AFTER_MEMBER : STATE_AFTER_ITEM;
            state = is_object ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
            p++;
            continue;
        }
        if ((next = plain_end(scan, p)) == NULL)
            break;
        p = next;
        state = after;
        continue;
    leave:
        p++;
        after = scan->outer[--depth];
        state = after;
    }
    scan->pos = p;
    scan->depth = (uint8_t)depth;
    scan->state = state;
    scan->after = after;
}

bool scan_leave(struct json_scan *scan)
{
    const uint32_t floor = scan->depth;

    for (;;) {
        if (scan->end - scan->pos >= WINDOW_BYTES) {
            leap(scan, floor);
            if (scan->depth < floor)
                return true;
        }
        if (json_next(scan) == JSON_ERROR)
            return false;
        if (scan->depth < floor)
            return true;
    }
}

/* --- members --- */

static enum json_token kind_of(char first)
{
    switch (first) {
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* Takes a plain key: true, and a value is next. */
static inline bool take_plain_key(struct json_scan *scan)
{
    const char *p = scan->pos;
    const char *value;

    if (scan->end - p < WINDOW_BYTES)
        return false;
    if (scan->state == STATE_AFTER_MEMBER && *p == ',')
        p++;
    else if (scan->state != STATE_FIRST_KEY)
        return false;
    value = plain_key_end(p);
    if (value == NULL)
        return false;
    scan->text = slice_between(p + 1, value - 2);
    scan->has_escape = false;
    scan->pos = value;
    scan->state = STATE_VALUE;
    return true;
}

enum json_token json_member(struct json_scan *scan, enum json_token *kind, struct slice *raw)
{
    const char *begin;
    const char *end = NULL;
    struct slice key;
    bool has_escape;

    check(!scan->is_pieces);
    if (!take_plain_key(scan)) {
        const enum json_token token = json_next(scan);

        if (token != JSON_KEY)
            return token == JSON_OBJECT_END ? token : JSON_ERROR;
    }
    key = scan->text;
    has_escape = scan->has_escape;
    begin = scan->pos;
    if (scan->end - begin >= WINDOW_BYTES && scan->state == STATE_VALUE)
        end = plain_end(scan, begin);
    if (end != NULL) {
        *kind = kind_of(*begin);
        *raw = slice_between(begin, end);
        scan->pos = end;
        scan->state = scan->after;
        return JSON_KEY;
    }
    *kind = json_next(scan);
    if (!json_skip_after(scan, *kind, raw))
        return JSON_ERROR;
    scan->text = key;
    scan->has_escape = has_escape;
    return JSON_KEY;
}
