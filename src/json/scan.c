/* The tokenizer: one state machine, compiled twice. `step` with is_pieces false is the hot path
 * over a whole text, where a token is complete or an error; with is_pieces true a token may stop at
 * the end of a piece, and the functions under "pieces" carry it across.
 *
 * What comes next is one byte of state, and what comes after the value that is next another; the
 * latter is kept for each container around. There is no recursion and no allocation. */
#include "r2a/json/scan.h"

#include "r2a/core/check.h"

#include "find.h"
#include "lex.h"
#include "state.h"

_Static_assert(TEXT_HOLD_BYTES_MAX <= sizeof(((struct json_scan *)0)->hold), "a pair is held");
_Static_assert(JSON_DEPTH_MAX < 256, "depth is a byte");

static enum json_token fail_at(struct json_scan *scan, enum r2a_err err, uint64_t offset)
{
    scan->err = err;
    scan->offset = offset;
    scan->state = STATE_ERROR;
    return JSON_ERROR;
}

__attribute__((cold)) enum json_token scan_fail(struct json_scan *scan, enum r2a_err err,
                                                const char *at)
{
    return fail_at(scan, err, scan->offset_base + (uint64_t)(at - scan->begin));
}

/* --- strings --- */

/* How a run of string bytes stopped. */
enum stop {
    STOP_QUOTE,
    STOP_CUT, /* at `at` the end of the bytes cuts a unit, or there is no more */
    STOP_SYNTAX,
    STOP_UTF8,
};

struct run {
    const char *at;   /* where it stopped; the wrong byte of an error */
    const char *high; /* the last \uXXXX that is a high surrogate, or NULL */
    enum stop stop;
    bool has_escape;
};

/* One copy of the long search, with its constants in registers. */
static __attribute__((noinline)) const char *find_stop(const char *p, const char *end)
{
    return find_first(p, end, FIND_STOP);
}

/* From `p`, somewhere inside a string between two units, validates up to the closing quote. */
static struct run run_string(const char *p, const char *end)
{
    struct run run = {.stop = STOP_CUT};

    for (;;) {
        int32_t len;

        if (p == end)
            break;
        if (*p == '"') {
            run.stop = STOP_QUOTE;
            break;
        }
        if (*p == '\\') {
            run.has_escape = true;
            len = lex_escape_step(p, end);
            if (lex_unlikely(len <= 0)) {
                if (len < 0) {
                    run.stop = STOP_SYNTAX;
                    p -= len;
                }
                break;
            }
            if (len == 6 && lex_is_high(lex_unit(p)))
                run.high = p;
            p += len;
            if (p != end && *p == '\\') /* \r\n, \"\n: escapes come in clusters */
                continue;
        } else if ((uint8_t)*p >= 0x80) {
            p = lex_skip_utf8(p, end);
            if (p != end && (uint8_t)*p >= 0x80) {
                len = lex_utf8_step(p, end);
                if (len <= 0) {
                    if (len < 0)
                        run.stop = STOP_UTF8;
                    break;
                }
                p += len;
            }
        } else if ((uint8_t)*p < 0x20) {
            run.stop = STOP_SYNTAX;
            break;
        }
        p = find_stop(p, end);
    }
    run.at = p;
    return run;
}

static enum json_token fail_run(struct json_scan *scan, const struct run *run)
{
    switch (run->stop) {
    case STOP_SYNTAX:
        return scan_fail(scan, R2A_ERR_JSON_SYNTAX, run->at);
    case STOP_UTF8:
        return scan_fail(scan, R2A_ERR_JSON_UTF8, run->at);
    case STOP_CUT:
    case STOP_QUOTE:
        break;
    }
    return scan_fail(scan, R2A_ERR_JSON_END, scan->end);
}

static ptrdiff_t span_len(const struct json_memo *memo, uint32_t index)
{
    return memo->spans[index].end - memo->spans[index].begin;
}

static void note(struct json_memo *memo, const char *begin, const char *end, bool has_escape)
{
    if (memo->count == JSON_MEMO_SPANS_MAX) {
        const uint32_t out = memo->shortest;

        if (end - begin <= span_len(memo, out))
            return;
        memo->count--;
        memmove(&memo->spans[out], &memo->spans[out + 1],
                (memo->count - out) * sizeof(memo->spans[0]));
    }
    memo->spans[memo->count].begin = begin;
    memo->spans[memo->count].end = end;
    memo->spans[memo->count].has_escape = has_escape;
    memo->count++;
    if (memo->count < JSON_MEMO_SPANS_MAX)
        return;
    memo->shortest = 0;
    for (uint32_t i = 1; i < memo->count; i++)
        if (span_len(memo, i) < span_len(memo, memo->shortest))
            memo->shortest = i;
}

/* The closing quote of the string that the memo knows to begin here. */
static const char *recall(struct json_scan *scan, bool *has_escape)
{
    const struct json_memo *const memo = scan->recall;
    const char *const quote = memo->spans[scan->recall_next].end;

    *has_escape = memo->spans[scan->recall_next].has_escape;
    scan->recall_next++;
    scan->recall_begin =
        scan->recall_next < memo->count ? memo->spans[scan->recall_next].begin : NULL;
    check(scan->begin < quote && quote < scan->end);
    check_slow(*quote == '"');
    return quote;
}

static inline enum json_token end_string(struct json_scan *scan, const char *begin,
                                         const char *quote, bool has_escape, enum json_token token)
{
    scan->text = slice_between(begin, quote);
    scan->has_escape = has_escape;
    scan->pos = quote + 1;
    if (token == JSON_STRING) {
        scan->state = scan->after;
    } else if (lex_likely(scan->pos != scan->end && *scan->pos == ':')) {
        scan->pos++; /* it nearly always stands right there, and is not looked for again */
        scan->state = STATE_VALUE;
    } else {
        scan->state = STATE_COLON;
    }
    return token;
}

/* A string that is longer than a block, or has more to it. `p` is the first byte inside. */
static __attribute__((noinline)) enum json_token long_string(struct json_scan *scan, const char *p,
                                                             enum json_token token)
{
    const char *quote;
    bool has_escape = false;

    if (p == scan->recall_begin) {
        quote = recall(scan, &has_escape);
    } else {
        quote = find_stop(p, scan->end);
        if (quote == scan->end || *quote != '"') {
            const struct run run = run_string(quote, scan->end);

            if (run.stop != STOP_QUOTE)
                return fail_run(scan, &run);
            has_escape = run.has_escape;
            quote = run.at;
        }
        if (quote - p >= JSON_MEMO_BYTES_MIN && scan->memo != NULL)
            note(scan->memo, p, quote, has_escape);
    }
    return end_string(scan, p, quote, has_escape, token);
}

static inline enum json_token whole_string(struct json_scan *scan, const char *p,
                                           enum json_token token)
{
    if (lex_likely(scan->end - p >= FIND_BLOCK)) {
        const char *const quote = find_near_quote(p);

        if (lex_likely(quote != NULL))
            return end_string(scan, p, quote, false, token);
    }
    return long_string(scan, p, token);
}

/* --- numbers and literals of a whole text --- */

/* At least one digit, then all there are; NULL after failing. */
static inline const char *digits(struct json_scan *scan, const char *p)
{
    if (p == scan->end) {
        scan_fail(scan, R2A_ERR_JSON_END, p);
        return NULL;
    }
    if (!lex_is_digit(*p)) {
        scan_fail(scan, R2A_ERR_JSON_SYNTAX, p);
        return NULL;
    }
    do
        p++;
    while (p != scan->end && lex_is_digit(*p));
    return p;
}

static __attribute__((noinline)) enum json_token whole_number(struct json_scan *scan, const char *p)
{
    const char *const begin = p;

    p += *p == '-';
    if (p != scan->end && *p == '0')
        p++; /* a digit after it is what follows a value, and refused as that */
    else
        p = digits(scan, p);
    if (p != NULL && p != scan->end && *p == '.')
        p = digits(scan, p + 1);
    if (p != NULL && p != scan->end && (*p | 0x20) == 'e') {
        p++;
        if (p != scan->end && (*p == '+' || *p == '-'))
            p++;
        p = digits(scan, p);
    }
    if (p == NULL)
        return JSON_ERROR;
    scan->text = slice_between(begin, p);
    scan->pos = p;
    scan->state = scan->after;
    return JSON_NUMBER;
}

static __attribute__((noinline, cold)) enum json_token fail_literal(struct json_scan *scan,
                                                                    const char *p, const char *word)
{
    while (p != scan->end && *p == *word) {
        p++;
        word++;
    }
    return scan_fail(scan, p == scan->end ? R2A_ERR_JSON_END : R2A_ERR_JSON_SYNTAX, p);
}

static inline enum json_token whole_literal(struct json_scan *scan, const char *p,
                                            struct slice word, enum json_token token)
{
    if (lex_unlikely((size_t)(scan->end - p) < word.len || memcmp(p, word.ptr, word.len) != 0))
        return fail_literal(scan, p, word.ptr);
    scan->pos = p + word.len;
    scan->state = scan->after;
    return token;
}

/* --- pieces --- */

/* Progress of a number; the names say what was just taken. */
enum number {
    NUMBER_BEGIN,
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_INT,
    NUMBER_DOT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_E_SIGN,
    NUMBER_EXPONENT,
    NUMBER_STOP, /* this byte does not belong to it */
};

static inline bool number_may_end(enum number progress)
{
    return progress == NUMBER_ZERO || progress == NUMBER_INT || progress == NUMBER_FRACTION ||
           progress == NUMBER_EXPONENT;
}

static enum number number_step(enum number progress, char c)
{
    switch (progress) {
    case NUMBER_BEGIN:
        if (c == '-')
            return NUMBER_MINUS;
        /* fall through */
    case NUMBER_MINUS:
        return c == '0' ? NUMBER_ZERO : lex_is_digit(c) ? NUMBER_INT : NUMBER_STOP;
    case NUMBER_INT:
        if (lex_is_digit(c))
            return NUMBER_INT;
        /* fall through */
    case NUMBER_ZERO:
        if (c == '.')
            return NUMBER_DOT;
        return c == 'e' || c == 'E' ? NUMBER_E : NUMBER_STOP;
    case NUMBER_DOT:
        return lex_is_digit(c) ? NUMBER_FRACTION : NUMBER_STOP;
    case NUMBER_FRACTION:
        if (lex_is_digit(c))
            return NUMBER_FRACTION;
        return c == 'e' || c == 'E' ? NUMBER_E : NUMBER_STOP;
    case NUMBER_E:
        if (c == '+' || c == '-')
            return NUMBER_E_SIGN;
        /* fall through */
    case NUMBER_E_SIGN:
    case NUMBER_EXPONENT:
        return lex_is_digit(c) ? NUMBER_EXPONENT : NUMBER_STOP;
    case NUMBER_STOP:
        break;
    }
    unreachable();
}

static enum json_token piece_number(struct json_scan *scan)
{
    const char *const begin = scan->pos;
    const char *p = begin;
    enum number progress = (enum number)scan->progress;

    while (p != scan->end) {
        const enum number next = number_step(progress, *p);

        if (next == NUMBER_STOP) {
            if (!number_may_end(progress))
                return scan_fail(scan, R2A_ERR_JSON_SYNTAX, p);
            break;
        }
        progress = next;
        p++;
    }
    scan->text = slice_between(begin, p);
    scan->progress = (uint8_t)progress;
    scan->pos = p;
    if (p == scan->end) {
        if (!scan->is_last) {
            scan->is_partial = true;
            return p == begin ? JSON_MORE : JSON_NUMBER;
        }
        if (!number_may_end(progress))
            return scan_fail(scan, R2A_ERR_JSON_END, p);
    }
    scan->is_partial = false;
    scan->state = scan->after;
    return JSON_NUMBER;
}

static enum json_token piece_literal(struct json_scan *scan)
{
    const struct slice word = scan->inside == JSON_TRUE    ? S("true")
                              : scan->inside == JSON_FALSE ? S("false")
                                                           : S("null");

    while (scan->progress != word.len) {
        if (scan->pos == scan->end)
            return scan->is_last ? scan_fail(scan, R2A_ERR_JSON_END, scan->end) : JSON_MORE;
        if (*scan->pos != word.ptr[scan->progress])
            return scan_fail(scan, R2A_ERR_JSON_SYNTAX, scan->pos);
        scan->pos++;
        scan->progress++;
    }
    scan->state = scan->after;
    return (enum json_token)scan->inside;
}

/* The held bytes are a string's unit that a piece cut: an escape, a UTF-8 sequence, or a high
 * surrogate with what has come of its other half. Length of the unit at their front when it is
 * complete, given that `next` follows them; 0 when more is needed. */
static uint8_t hold_unit(const struct json_scan *scan, bool has_next, char next)
{
    const char *const hold = scan->hold;
    const uint8_t len = scan->hold_len;

    if (hold[0] != '\\') {
        const int32_t unit = lex_utf8_step(hold, hold + len);

        return unit > 0 ? (uint8_t)unit : 0;
    }
    if (len < 2)
        return 0;
    if (hold[1] != 'u')
        return 2;
    if (len < 6)
        return 0;
    if (!lex_is_high(lex_unit(hold)))
        return 6;
    if (len == 12)
        return lex_is_low(lex_unit(hold + 6)) ? 12 : 6;
    if (len == 6)
        return has_next && next != '\\' ? 6 : 0;
    if (len == 7)
        return has_next && next != 'u' ? 6 : 0;
    return 0;
}

/* Moves bytes of the piece to the held ones until these are a unit, which is the next part. */
static enum json_token piece_hold(struct json_scan *scan)
{
    for (;;) {
        const bool has_next = scan->pos != scan->end;
        const uint8_t unit = hold_unit(scan, has_next, has_next ? *scan->pos : '\0');
        const char *begin;
        int32_t step;

        if (unit > 0) {
            scan->text = slice_of(scan->hold, unit);
            scan->has_escape = scan->hold[0] == '\\';
            scan->is_partial = true;
            scan->hold_used = unit;
            return (enum json_token)scan->inside;
        }
        if (!has_next)
            return scan->is_last ? scan_fail(scan, R2A_ERR_JSON_END, scan->end) : JSON_MORE;
        check(scan->hold_len < TEXT_HOLD_BYTES_MAX);
        scan->hold[scan->hold_len++] = *scan->pos++;
        begin = scan->hold + (scan->hold_len > 6 ? 6 : 0);
        if (scan->hold[0] == '\\')
            step = lex_escape_step(begin, scan->hold + scan->hold_len);
        else
            step = lex_utf8_step(begin, scan->hold + scan->hold_len);
        if (step < 0) {
            /* The hold may have begun in an earlier piece: count back from here. */
            const uint64_t offset = scan->offset_base + (uint64_t)(scan->pos - scan->begin) -
                                    scan->hold_len + (uint64_t)(begin - scan->hold);

            if (scan->hold[0] == '\\')
                return fail_at(scan, R2A_ERR_JSON_SYNTAX, offset + (uint64_t)-step);
            return fail_at(scan, R2A_ERR_JSON_UTF8, offset);
        }
    }
}

static enum json_token piece_string(struct json_scan *scan)
{
    const char *const begin = scan->pos;
    const char *cut;
    struct run run;

    if (scan->hold_used > 0) {
        scan->hold_len = (uint8_t)(scan->hold_len - scan->hold_used);
        memmove(scan->hold, scan->hold + scan->hold_used, scan->hold_len);
        scan->hold_used = 0;
    }
    if (scan->hold_len > 0)
        return piece_hold(scan);
    run = run_string(begin, scan->end);
    if (run.stop == STOP_QUOTE) {
        scan->text = slice_between(begin, run.at);
        scan->has_escape = run.has_escape;
        scan->is_partial = false;
        scan->pos = run.at + 1;
        scan->state = scan->inside == JSON_KEY ? STATE_COLON : scan->after;
        return (enum json_token)scan->inside;
    }
    if (run.stop != STOP_CUT || scan->is_last)
        return fail_run(scan, &run);
    /* A high surrogate waits for its other half, of which up to five bytes may be here. */
    cut = run.at;
    if (run.high != NULL && run.high + 6 == cut && (cut == scan->end || *cut == '\\'))
        cut = run.high;
    scan->hold_len = (uint8_t)(scan->end - cut);
    check(scan->hold_len < TEXT_HOLD_BYTES_MAX);
    if (scan->hold_len > 0)
        memcpy(scan->hold, cut, scan->hold_len);
    scan->pos = scan->end;
    if (cut == begin)
        return JSON_MORE;
    scan->text = slice_between(begin, cut);
    scan->has_escape = run.has_escape && memchr(begin, '\\', scan->text.len) != NULL;
    scan->is_partial = true;
    return (enum json_token)scan->inside;
}

static enum json_token piece_inside(struct json_scan *scan)
{
    switch (scan->inside) {
    case JSON_KEY:
    case JSON_STRING:
        return piece_string(scan);
    case JSON_NUMBER:
        return piece_number(scan);
    default:
        return piece_literal(scan);
    }
}

static enum json_token piece_begin(struct json_scan *scan, const char *p, enum json_token token)
{
    scan->state = STATE_INSIDE;
    scan->inside = (uint8_t)token;
    scan->progress = 0;
    scan->pos = p;
    return piece_inside(scan);
}

/* --- the machine --- */

static inline enum json_token enter(struct json_scan *scan, const char *p, bool is_object)
{
    if (lex_unlikely(scan->depth == JSON_DEPTH_MAX))
        return scan_fail(scan, R2A_ERR_JSON_DEPTH, p);
    scan->outer[scan->depth++] = scan->after;
    scan->pos = p + 1;
    scan->after = is_object ? STATE_AFTER_MEMBER : STATE_AFTER_ITEM;
    scan->state = is_object ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
    return is_object ? JSON_OBJECT : JSON_ARRAY;
}

static inline enum json_token leave(struct json_scan *scan, const char *p, enum json_token token)
{
    const uint8_t after = scan->outer[--scan->depth];

    scan->pos = p + 1;
    scan->after = after;
    scan->state = after;
    return token;
}

/* At `p`, where `state` expects something, is white space or the end of the bytes. Kept out of
 * `step`, which then needs no registers saved: it only ever calls as its last act. */
static __attribute__((noinline)) enum json_token pause_at(struct json_scan *scan, const char *p,
                                                          enum state state)
{
    const char *const next = find_content(p, scan->end);

    if (state == STATE_ERROR)
        return JSON_ERROR;
    scan->pos = next;
    scan->state = (uint8_t)state;
    if (next == scan->end) {
        if (!scan->is_last)
            return JSON_MORE;
        if (state == STATE_DONE)
            return JSON_END;
        return scan_fail(scan, R2A_ERR_JSON_END, next);
    }
    if (next == p) /* a control character */
        return scan_fail(scan, R2A_ERR_JSON_SYNTAX, p);
    return json_next(scan);
}

static inline bool is_pause(const char *p, const char *end)
{
    return lex_unlikely(p == end) || lex_unlikely((uint8_t)*p <= ' ');
}

static inline __attribute__((always_inline)) enum json_token step(struct json_scan *scan,
                                                                  const bool is_pieces)
{
    const char *const end = scan->end;
    const char *p = scan->pos;
    enum state state = (enum state)scan->state;

    if (is_pieces && state == STATE_INSIDE)
        return piece_inside(scan);
    if (is_pause(p, end))
        return pause_at(scan, p, state);

    switch (state) {
    case STATE_AFTER_MEMBER:
        if (*p == '}')
            return leave(scan, p, JSON_OBJECT_END);
        if (*p != ',')
            break;
        p++;
        if (is_pause(p, end))
            return pause_at(scan, p, STATE_KEY);
        goto key;
    case STATE_FIRST_KEY:
        if (*p == '}')
            return leave(scan, p, JSON_OBJECT_END);
        /* fall through */
    case STATE_KEY:
    key:
        if (*p != '"')
            break;
        if (is_pieces)
            return piece_begin(scan, p + 1, JSON_KEY);
        return whole_string(scan, p + 1, JSON_KEY);
    case STATE_AFTER_ITEM:
        if (*p == ']')
            return leave(scan, p, JSON_ARRAY_END);
        /* fall through */
    case STATE_COLON:
        if (*p != (state == STATE_COLON ? ':' : ','))
            break;
        p++;
        if (is_pause(p, end))
            return pause_at(scan, p, STATE_VALUE);
        goto value;
    case STATE_FIRST_ITEM:
        if (*p == ']')
            return leave(scan, p, JSON_ARRAY_END);
        /* fall through */
    case STATE_VALUE:
    value:
        if (lex_likely(*p == '"')) {
            if (is_pieces)
                return piece_begin(scan, p + 1, JSON_STRING);
            return whole_string(scan, p + 1, JSON_STRING);
        }
        switch (*p) {
        case '{':
            return enter(scan, p, true);
        case '[':
            return enter(scan, p, false);
        case 't':
            if (is_pieces)
                return piece_begin(scan, p, JSON_TRUE);
            return whole_literal(scan, p, S("true"), JSON_TRUE);
        case 'f':
            if (is_pieces)
                return piece_begin(scan, p, JSON_FALSE);
            return whole_literal(scan, p, S("false"), JSON_FALSE);
        case 'n':
            if (is_pieces)
                return piece_begin(scan, p, JSON_NULL);
            return whole_literal(scan, p, S("null"), JSON_NULL);
        default:
            if (*p != '-' && !lex_is_digit(*p))
                break;
            if (is_pieces)
                return piece_begin(scan, p, JSON_NUMBER);
            return whole_number(scan, p);
        }
        break;
    case STATE_DONE:
        break;
    case STATE_ERROR:
        return JSON_ERROR;
    case STATE_INSIDE: /* piece_inside above */
    default:
        __builtin_unreachable();
    }
    return scan_fail(scan, R2A_ERR_JSON_SYNTAX, p);
}

static __attribute__((noinline)) enum json_token piece_next(struct json_scan *scan)
{
    return step(scan, true);
}

enum json_token json_next(struct json_scan *scan)
{
    return lex_unlikely(scan->is_pieces) ? piece_next(scan) : step(scan, false);
}

/* --- opening --- */

/* Member by member: the struct is larger than what needs a value. */
static void open(struct json_scan *scan, struct slice bytes, bool is_pieces)
{
    scan->pos = bytes.ptr;
    scan->end = lex_end(bytes.ptr, bytes.len);
    scan->begin = bytes.ptr;
    scan->text = slice_of(NULL, 0);
    scan->has_escape = false;
    scan->is_partial = false;
    scan->state = STATE_VALUE;
    scan->after = STATE_DONE;
    scan->depth = 0;
    scan->is_last = !is_pieces;
    scan->is_pieces = is_pieces;
    scan->inside = 0;
    scan->progress = 0;
    scan->hold_len = 0;
    scan->hold_used = 0;
    scan->err = R2A_OK;
    scan->offset_base = 0;
    scan->offset = 0;
    scan->memo = NULL;
    scan->recall = NULL;
    scan->recall_begin = NULL;
    scan->recall_next = 0;
}

void json_open(struct json_scan *scan, struct slice bytes)
{
    open(scan, bytes, false);
}

void json_open_memo(struct json_scan *scan, struct slice bytes, struct json_memo *memo)
{
    open(scan, bytes, false);
    memo->count = 0;
    scan->memo = memo;
}

void json_open_recall(struct json_scan *scan, struct slice bytes, const struct json_memo *memo)
{
    open(scan, bytes, false);
    if (memo == NULL || memo->count == 0)
        return;
    /* A span of the text that was noted is fine too: what came before it is not met again. */
    while (scan->recall_next < memo->count && memo->spans[scan->recall_next].begin < bytes.ptr)
        scan->recall_next++;
    if (scan->recall_next == memo->count)
        return;
    scan->recall = memo;
    scan->recall_begin = memo->spans[scan->recall_next].begin;
}

void json_open_pieces(struct json_scan *scan)
{
    open(scan, slice_of(NULL, 0), true);
}

void json_feed(struct json_scan *scan, struct slice piece, bool is_last)
{
    if (scan->state == STATE_ERROR)
        return;
    check(scan->is_pieces && !scan->is_last);
    check(scan->pos == scan->end);
    scan->offset_base += (uint64_t)(scan->end - scan->begin);
    scan->begin = piece.ptr;
    scan->pos = piece.ptr;
    scan->end = lex_end(piece.ptr, piece.len);
    scan->is_last = is_last;
}
