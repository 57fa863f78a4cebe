#include "r2a/proto/fault_read.h"

#include "member.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"
#include "r2a/json/text.h"

/* Errors of any shape (conversion.md 4): the four protocols' objects, what gateways and web servers
 * in between put in their place, and plain text. First the words are found, then the kind is told
 * from status and words, then the message is made fit to be seen. */

#define BODY_BYTES_MAX    65536u
#define MESSAGE_BYTES_MAX 4096u
#define PAGE_BYTES_MAX    300u /* of a text or a page that is no JSON */
#define PAGE_MORE_BYTES   512u /* looked at so that a secret at the cut is seen whole */
#define WORD_BYTES_MAX    128u
#define DEPTH_MAX         3u /* objects within objects that are looked into */

/* What a body says. Texts borrow from it. */
struct words {
    struct text message, type, code, status, param;
    struct text reason;      /* Google's ErrorInfo.reason, all of them: raw details */
    struct text retry_delay; /* "34.07s" */
    int64_t number;          /* a numeric code, or 0 */
};

/* --- shapes --- */

/* Google's array of typed details, or Anthropic's object with an error_code. */
static void read_details(struct words *words, const struct member *details)
{
    static const struct slice names[] = {S_INIT("retryDelay")};
    static const struct slice code_names[] = {S_INIT("error_code")};
    struct json_scan scan;
    struct member found[1];
    enum json_token token;

    if (member_is(details, JSON_OBJECT) && members_of(details->raw, code_names, 1, found) &&
        member_is(&found[0], JSON_STRING) && words->code.len == 0)
        words->code = member_text(&found[0]);
    if (!member_is(details, JSON_ARRAY))
        return;
    words->reason = text_json(details->raw);
    json_open(&scan, details->raw);
    json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice one;

        if (!json_skip_after(&scan, token, &one))
            return;
        if (members_of(one, names, 1, found) && member_is(&found[0], JSON_STRING))
            words->retry_delay = member_text(&found[0]);
    }
}

/* A value as words: strings as they are, anything else as its JSON text. */
static struct text say(const struct member *member)
{
    return member_is(member, JSON_STRING) ? member_text(member) : member_json(member);
}

static bool read_object(struct words *words, struct slice raw, uint32_t depth);

/* The first element of an array: Google's array form, a list of errors. */
static bool read_first(struct words *words, struct slice array, uint32_t depth)
{
    struct json_scan scan;
    enum json_token token;
    struct slice first;

    json_open(&scan, array);
    json_next(&scan);
    token = json_next(&scan);
    return token == JSON_OBJECT && json_skip_after(&scan, token, &first) &&
           read_object(words, first, depth);
}

static bool read_object(struct words *words, struct slice raw, uint32_t depth)
{
    enum {
        ERROR,
        MESSAGE,
        TYPE,
        CODE,
        STATUS,
        PARAM,
        DETAILS,
        DETAIL,
        RESPONSE,
        MSG,
        ERRORS,
        NAMES
    };
    static const struct slice names[NAMES] = {
        S_INIT("error"),    S_INIT("message"), S_INIT("type"),    S_INIT("code"),
        S_INIT("status"),   S_INIT("param"),   S_INIT("details"), S_INIT("detail"),
        S_INIT("response"), S_INIT("msg"),     S_INIT("errors")};
    struct member found[NAMES];

    if (!members_of(raw, names, NAMES, found))
        return false;
    if (member_is(&found[RESPONSE], JSON_OBJECT) && member_is(&found[ERROR], JSON_ERROR) &&
        depth < DEPTH_MAX)
        return read_object(words, found[RESPONSE].raw, depth + 1); /* response.failed */
    if (member_is(&found[TYPE], JSON_STRING))
        words->type = member_text(&found[TYPE]);
    if (member_is(&found[CODE], JSON_STRING))
        words->code = member_text(&found[CODE]);
    else if (!member_int(&found[CODE], &words->number) && member_is(&found[STATUS], JSON_NUMBER))
        (void)member_int(&found[STATUS], &words->number);
    if (member_is(&found[STATUS], JSON_STRING))
        words->status = member_text(&found[STATUS]);
    if (member_is(&found[PARAM], JSON_STRING))
        words->param = member_text(&found[PARAM]);
    read_details(words, &found[DETAILS]);
    if (member_is(&found[DETAIL], JSON_OBJECT) && depth < DEPTH_MAX) {
        (void)read_object(words, found[DETAIL].raw, depth + 1); /* {"detail":{"error":"…"}} */
        found[DETAIL].kind = words->message.len > 0 ? JSON_ERROR : JSON_OBJECT;
    }
    if (member_is(&found[ERRORS], JSON_ARRAY) && depth < DEPTH_MAX)
        (void)read_first(words, found[ERRORS].raw, depth + 1);
    for (uint32_t i = 0; i < 3; i++) {
        static const uint8_t places[] = {MESSAGE, MSG, DETAIL};
        const struct member *place = &found[places[i]];

        if (words->message.len == 0 && place->raw.len > 0 && place->kind != JSON_ERROR)
            words->message = say(place);
    }
    if (member_is(&found[ERROR], JSON_OBJECT) && depth < DEPTH_MAX) {
        words->type = (struct text){0}; /* "error" of the envelope says nothing */
        return read_object(words, found[ERROR].raw, depth + 1);
    }
    if (member_is(&found[ERROR], JSON_STRING)) {
        struct text error = member_text(&found[ERROR]);

        /* {"error":"invalid_key","message":"…"}: the word and the sentence */
        if (words->message.len == 0)
            words->message = error;
        else if (words->code.len == 0)
            words->code = error;
    }
    return true;
}

static bool read_words(struct words *words, struct slice body)
{
    body = str_trim_lines(body);
    if (body.len == 0 || (body.ptr[0] != '{' && body.ptr[0] != '['))
        return false;
    return body.ptr[0] == '{' ? read_object(words, body, 0) : read_first(words, body, 0);
}

/* --- kinds --- */

static bool says(const struct words *words, struct slice word)
{
    return text_is_nocase(words->type, word) || text_is_nocase(words->code, word) ||
           text_is_nocase(words->status, word);
}

static bool says_any(const struct words *words, const struct slice *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (says(words, list[i]))
            return true;
    return false;
}

static bool mentions_any(const struct words *words, const struct slice *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (text_contains_nocase(words->message, list[i]))
            return true;
    return false;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool is_context(const struct words *words, uint16_t status)
{
    static const struct slice codes[] = {S_INIT("context_length_exceeded"),
                                         S_INIT("context_window_exceeded"),
                                         S_INIT("model_context_window_exceeded")};
    static const struct slice texts[] = {
        S_INIT("prompt is too long"),      S_INIT("maximum context length"),
        S_INIT("context length exceeded"), S_INIT("exceeds the context window"),
        S_INIT("context window"),          S_INIT("input is too long"),
        S_INIT("input token count"),       S_INIT("maximum number of tokens"),
        S_INIT("maximum prompt length"),   S_INIT("reduce the length of the messages")};

    if (status != 0 && status != 400 && status != 413 && status != 422)
        return false;
    return says_any(words, codes, COUNT(codes)) || mentions_any(words, texts, COUNT(texts));
}

static bool is_billing(const struct words *words, uint16_t status)
{
    static const struct slice codes[] = {
        S_INIT("billing_error"), S_INIT("insufficient_quota"), S_INIT("insufficient_balance"),
        S_INIT("exceeded_current_quota_error"), S_INIT("billing_not_active")};
    static const struct slice texts[] = {S_INIT("credit balance is too low"),
                                         S_INIT("insufficient balance")};

    return status == 402 || says_any(words, codes, COUNT(codes)) ||
           mentions_any(words, texts, COUNT(texts));
}

static bool is_up_auth(const struct words *words, uint16_t status)
{
    static const struct slice codes[] = {S_INIT("authentication_error"), S_INIT("invalid_api_key"),
                                         S_INIT("invalid_authentication_error"),
                                         S_INIT("UNAUTHENTICATED"), S_INIT("account_deactivated")};
    static const struct slice texts[] = {S_INIT("api key"), S_INIT("api_key"), S_INIT("apikey"),
                                         S_INIT("access token")};

    if (status == 401)
        return true;
    if (text_contains_nocase(words->reason, S("api_key_invalid")))
        return true;
    if (status != 0 && status != 403)
        return false;
    return says_any(words, codes, COUNT(codes)) ||
           (status == 403 && mentions_any(words, texts, COUNT(texts)));
}

/* Where status and words disagree the more specific one counts; generic types ("invalid_request_
 * error" stands on everything at OpenAI) only where there is no status. */
static enum fault_kind kind_of(const struct words *words, uint16_t status)
{
    static const struct slice overloads[] = {
        S_INIT("overloaded_error"),  S_INIT("UNAVAILABLE"),          S_INIT("overloaded"),
        S_INIT("server_overloaded"), S_INIT("server_is_overloaded"), S_INIT("service_unavailable")};
    static const struct slice policies[] = {S_INIT("content_policy_violation"),
                                            S_INIT("content_filter"), S_INIT("content_policy")};
    static const struct slice invalids[] = {S_INIT("invalid_request_error"),
                                            S_INIT("INVALID_ARGUMENT"), S_INIT("invalid_prompt"),
                                            S_INIT("FAILED_PRECONDITION"), S_INIT("OUT_OF_RANGE")};
    bool is_silent = status == 0;

    if (is_context(words, status))
        return FAULT_CONTEXT;
    if (is_billing(words, status))
        return FAULT_BILLING;
    if ((is_silent || status == 400) && says_any(words, policies, COUNT(policies)))
        return FAULT_POLICY;
    if (is_up_auth(words, status))
        return FAULT_UP_AUTH;
    if (status == 403 ||
        (is_silent && (says(words, S("permission_error")) || says(words, S("PERMISSION_DENIED")))))
        return FAULT_PERMISSION;
    if (status == 404 ||
        (is_silent && (says(words, S("not_found_error")) || says(words, S("NOT_FOUND")) ||
                       says(words, S("model_not_found")))))
        return FAULT_NOT_FOUND;
    if (status == 405)
        return FAULT_METHOD;
    if (status == 413 || (is_silent && says(words, S("request_too_large"))))
        return FAULT_TOO_LARGE;
    if (status == 429 || (is_silent && (says(words, S("RESOURCE_EXHAUSTED")) ||
                                        text_starts_nocase(words->type, S("rate_limit")) ||
                                        text_starts_nocase(words->code, S("rate_limit")))))
        return FAULT_RATE;
    if (status == 529 || status == 503 ||
        ((is_silent || status >= 500) && says_any(words, overloads, COUNT(overloads))))
        return FAULT_OVERLOAD;
    if (status == 408 || status == 504 ||
        (is_silent && (says(words, S("DEADLINE_EXCEEDED")) || says(words, S("timeout_error")) ||
                       says(words, S("timeout")))))
        return FAULT_TIMEOUT;
    if (status == 499 || (is_silent && says(words, S("CANCELLED"))))
        return FAULT_CANCELLED;
    if (status >= 400 && status < 500)
        return FAULT_INVALID;
    if (is_silent && says_any(words, invalids, COUNT(invalids)))
        return FAULT_INVALID;
    return FAULT_SERVER;
}

/* --- messages --- */

static bool is_word_char(char c)
{
    return char_is_alnum(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

/* Bytes at `s` that nobody downstream should read: a URL, a key, an organisation. */
static size_t sensitive_len(struct slice s, bool at_word, const struct fault_source *source)
{
    static const struct slice urls[] = {S_INIT("https://"), S_INIT("http://")};
    static const struct {
        struct slice prefix;
        size_t least; /* characters that must follow */
    } keys[] = {{S_INIT("sk-"), 8},   {S_INIT("org-"), 8},  {S_INIT("proj_"), 8},
                {S_INIT("AIza"), 20}, {S_INIT("ya29."), 8}, {S_INIT("gsk_"), 8},
                {S_INIT("xai-"), 8},  {S_INIT("AKIA"), 12}, {S_INIT("eyJ"), 20}};
    size_t len = 0;

    for (uint32_t i = 0; i < source->secrets_count; i++)
        if (source->secrets[i].len > 0 && str_starts(s, source->secrets[i]))
            return source->secrets[i].len;
    if (!at_word)
        return 0;
    for (uint32_t i = 0; i < COUNT(urls); i++) {
        if (!str_starts_nocase(s, urls[i]))
            continue;
        for (len = urls[i].len; len < s.len && strchr(" \t\r\n\"'<>)]}`", s.ptr[len]) == NULL;)
            len++;
        while (len > urls[i].len && strchr(".,;:!?", s.ptr[len - 1]) != NULL)
            len--;
        return len;
    }
    for (uint32_t i = 0; i < COUNT(keys); i++) {
        if (!str_starts(s, keys[i].prefix))
            continue;
        for (len = keys[i].prefix.len; len < s.len && is_word_char(s.ptr[len]);)
            len++;
        return len >= keys[i].prefix.len + keys[i].least ? len : 0;
    }
    return 0;
}

/* A message for clients: masked, valid UTF-8, of bounded length. */
static struct text mask(struct slice message, size_t bytes_max, const struct fault_source *source,
                        struct arena *arena)
{
    /* Cut afterwards: half a secret is a secret. */
    size_t size = (message.len < bytes_max ? message.len : bytes_max) * 3 + 8;
    char *to = arena_take(arena, size);
    struct str_buf buf = {.ptr = to, .size = size};

    if (to == NULL)
        return text_plain(S("upstream error"));
    for (size_t i = 0; i < message.len && buf.len <= bytes_max;) {
        struct slice rest = slice_skip(message, i);
        size_t len = sensitive_len(rest, i == 0 || !char_is_alnum(message.ptr[i - 1]), source);
        uint32_t code_point;

        if (len > 0) {
            str_buf_put(&buf, S("***"));
            i += len;
            continue;
        }
        len = utf8_decode(rest, &code_point);
        if (len == 0) {
            str_buf_put_char(&buf, '?');
            i++;
            continue;
        }
        str_buf_put(&buf, slice_of(message.ptr + i, len));
        i += len;
    }
    return text_plain(utf8_head(str_buf_slice(&buf), bytes_max));
}

/* What a page says: no tags, no scripts, single spaces. */
static struct slice strip_page(struct slice page, struct arena *arena)
{
    char *to = arena_take(arena, PAGE_BYTES_MAX + PAGE_MORE_BYTES);
    size_t len = 0;
    bool in_tag = false, has_space = true;

    if (to == NULL)
        return (struct slice){0};
    for (size_t i = 0; i < page.len && len < PAGE_BYTES_MAX + PAGE_MORE_BYTES; i++) {
        char c = page.ptr[i];

        if (c == '<') {
            static const struct slice hidden[] = {S_INIT("<style"), S_INIT("<script")};
            static const struct slice ends[] = {S_INIT("</style"), S_INIT("</script")};

            for (uint32_t k = 0; k < 2; k++)
                if (str_starts_nocase(slice_skip(page, i), hidden[k]))
                    i += str_find_nocase(slice_skip(page, i), ends[k]);
            in_tag = true;
        } else if (in_tag) {
            in_tag = c != '>';
            c = ' ';
        }
        if (in_tag)
            continue;
        if ((unsigned char)c <= ' ')
            c = ' ';
        if (c == ' ' && has_space)
            continue;
        has_space = c == ' ';
        to[len++] = c;
    }
    return str_trim_lines(slice_of(to, len));
}

static struct text keep_word(struct text word, const struct fault_source *source,
                             struct arena *arena)
{
    struct slice plain;

    if (word.len == 0 || word.len > WORD_BYTES_MAX || !text_to_plain(word, arena, &plain))
        return (struct text){0};
    return mask(plain, WORD_BYTES_MAX, source, arena);
}

/* --- when to come back --- */

/* "34.07s" or "34.07" as milliseconds, rounded up; -1: not that. */
static int64_t parse_seconds(struct slice text)
{
    size_t dot;
    uint64_t whole, ms = 0, scale = 100;

    if (text.len > 0 && text.ptr[text.len - 1] == 's')
        text.len--;
    dot = str_find_char(text, '.');
    if (!str_parse_u64(slice_head(text, dot), &whole) || whole > 31536000)
        return -1;
    for (size_t i = dot + 1; i < text.len; i++) {
        if (!char_is_digit(text.ptr[i]))
            return -1;
        if (scale == 0 && text.ptr[i] != '0') {
            ms++;
            break;
        }
        ms += (uint64_t)(text.ptr[i] - '0') * scale;
        scale /= 10;
    }
    return (int64_t)(whole * 1000 + ms);
}

static void read_retry(const struct fault_source *source, const struct words *words,
                       struct arena *arena, struct fault *fault)
{
    struct slice seconds = str_trim(source->retry_after), delay;
    uint64_t ms;

    if (str_parse_u64(str_trim(source->retry_after_ms), &ms) && ms < 31536000000u)
        fault->retry_after_ms = (int64_t)ms;
    if (seconds.len > 0 && fault->retry_after_ms < 0) {
        fault->retry_after_ms = parse_seconds(seconds);
        if (fault->retry_after_ms < 0 && seconds.len <= WORD_BYTES_MAX)
            fault->retry_after_text = arena_copy(arena, seconds);
    }
    if (fault->retry_after_ms < 0 && words->retry_delay.len > 0 &&
        text_to_plain(words->retry_delay, arena, &delay))
        fault->retry_after_ms = parse_seconds(delay);
    if (str_eq_nocase(str_trim(source->should_retry), S("true")))
        fault->should_retry = 1;
    else if (str_eq_nocase(str_trim(source->should_retry), S("false")) ||
             text_is(words->code, S("enforced_spend_limit_reached")))
        fault->should_retry = 0; /* the account's own limit: no wait helps */
}

/* --- the whole --- */

static struct slice default_message(enum fault_kind kind)
{
    switch ((uint32_t)kind) {
    case FAULT_UP_AUTH:
        return S("the upstream refused the gateway's credential");
    case FAULT_RATE:
        return S("the upstream's rate limit was reached");
    case FAULT_OVERLOAD:
        return S("the upstream is overloaded");
    case FAULT_TIMEOUT:
        return S("the upstream timed out");
    default:
        return S("the upstream answered with an error");
    }
}

void fault_read(const struct fault_source *source, struct arena *arena, struct fault *fault)
{
    struct words words = {0};
    struct slice body = slice_head(source->body, BODY_BYTES_MAX), message = {0};
    uint16_t status = source->status >= 400 ? source->status : 0;
    enum fault_kind kind;
    bool is_json = read_words(&words, body);

    if (!is_json) {
        words = (struct words){0};
        message = strip_page(body, arena);
        words.message = text_plain(message);
    } else if (words.message.len > 0 && !text_to_plain(words.message, arena, &message)) {
        message = (struct slice){0};
    }
    if (status == 0 && words.number >= 400 && words.number < 600)
        status = (uint16_t)words.number;
    kind = kind_of(&words, status);
    if (kind == FAULT_UP_AUTH && source->is_clients_key)
        kind = FAULT_AUTH;
    *fault = fault_of(kind, (struct slice){0});
    fault->is_upstream = true;
    fault->upstream_status = source->status;
    fault->message = mask(message.len > 0 ? message : default_message(kind),
                          is_json ? MESSAGE_BYTES_MAX : PAGE_BYTES_MAX, source, arena);
    fault->type = keep_word(words.type, source, arena);
    fault->code = keep_word(words.code.len > 0 ? words.code : words.status, source, arena);
    fault->param = keep_word(words.param, source, arena);
    read_retry(source, &words, arena, fault);
}

/* The character at `s` as a JSON string would mean it, where that is one byte; *len bytes long. */
static char plain_char(struct slice s, size_t *len)
{
    uint64_t value;

    *len = 1;
    if (s.ptr[0] != '\\' || s.len < 2)
        return s.ptr[0];
    if (s.ptr[1] != 'u') {
        *len = 2; /* of what a header may hold, only these two and the slash are escaped so */
        return s.ptr[1];
    }
    if (s.len < 6 || !str_parse_hex_u64(slice_of(s.ptr + 2, 4), &value) || value > 0x7e)
        return s.ptr[0];
    *len = 6;
    return (char)value;
}

static bool starts_shown(struct slice s, struct slice secret)
{
    size_t len;

    for (size_t i = 0; i < secret.len; i++, s = slice_skip(s, len))
        if (s.len == 0 || plain_char(s, &len) != secret.ptr[i])
            return false;
    return true;
}

bool fault_shows(struct slice body, struct slice secret)
{
    if (str_find(body, secret) < body.len) /* also with a backslash of its own */
        return true;
    for (size_t i = 0; i < body.len; i++)
        if (starts_shown(slice_skip(body, i), secret))
            return true;
    return false;
}
