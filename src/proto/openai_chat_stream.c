#include "openai_chat_stream.h"

#include "openai_chat_usage.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/path.h"
#include "r2a/json/text.h"

/* An upstream's Chat Completions answer, chunks or one document, into events (conversion.md 3.2).
 *
 * A chunk's objects are read as members first and acted on in a fixed order (reasoning, content,
 * refusal, images, calls, citations), because servers write them in any. Text runs are parts that
 * open with their first character and close when something else begins; calls stay open side by
 * side until the end, because their fragments may interleave. The finish reason is only remembered:
 * some servers send more after it, and STOP is issued when the stream proves to be complete. */

_Static_assert(sizeof(struct decoder) <= OPENAI_CHAT_DECODER_SIZE, "what the row says");

void openai_chat_decoder_init(void *decoder, const struct target *target, const struct brief *brief)
{
    struct decoder *d = decoder;

    *d = (struct decoder){.target = target, .brief = brief};
    d->first.text_part = CHOICE_NO_PART;
}

void openai_chat_decoder_drop(void *decoder)
{
    openai_chat_drop_calls(decoder);
}

/* Choices beyond CHOICES_MAX exist only in a relay, which merely observes: NULL. */
static struct choice *choice_of(struct decoder *d, int64_t index)
{
    struct choice *choice = &d->first;

    if (index < 0 || index >= (int64_t)CHOICES_MAX)
        return NULL;
    if (index > 0) {
        if (d->others == NULL) {
            d->others = arena_take_zero(d->brief->arena, (CHOICES_MAX - 1) * sizeof(*d->others));
            for (uint32_t i = 0; d->others != NULL && i + 1 < CHOICES_MAX; i++)
                d->others[i].text_part = CHOICE_NO_PART;
        }
        if (d->others == NULL)
            return NULL;
        choice = &d->others[index - 1];
    }
    choice->is_seen = true;
    return choice;
}

enum delta {
    DELTA_CONTENT,
    DELTA_TOOL_CALLS,
    DELTA_REASONING_CONTENT,
    DELTA_REASONING,
    DELTA_REFUSAL,
    DELTA_DETAILS,
    DELTA_FUNCTION_CALL,
    DELTA_ANNOTATIONS,
    DELTA_IMAGES,
    DELTAS,
};

/* Keys are told apart by their length first; the rare escaped ones take the long way. */
#define KEY_IS(scan, literal) \
    (!(scan)->has_escape ? memcmp((scan)->text.ptr, literal, sizeof(literal) - 1) == 0 : false)

static enum delta delta_key(const struct json_scan *scan)
{
    static const struct slice names[DELTAS] = {
        [DELTA_CONTENT] = S_INIT("content"),
        [DELTA_TOOL_CALLS] = S_INIT("tool_calls"),
        [DELTA_REASONING_CONTENT] = S_INIT("reasoning_content"),
        [DELTA_REASONING] = S_INIT("reasoning"),
        [DELTA_REFUSAL] = S_INIT("refusal"),
        [DELTA_DETAILS] = S_INIT("reasoning_details"),
        [DELTA_FUNCTION_CALL] = S_INIT("function_call"),
        [DELTA_ANNOTATIONS] = S_INIT("annotations"),
        [DELTA_IMAGES] = S_INIT("images"),
    };
    int key;

    if (scan->text.len == 7 && KEY_IS(scan, "content"))
        return DELTA_CONTENT;
    if (scan->text.len == 4 && KEY_IS(scan, "role"))
        return DELTAS;
    key = json_key_index(scan, names, DELTAS);
    return key < 0 ? DELTAS : (enum delta)key;
}

/* A delta, or the message of a document: the same members, more of them at once. */
static enum r2a_err put_delta(struct decoder *d, struct ir_sink *sink, uint8_t index,
                              struct choice *choice, const struct member *delta)
{
    struct text reason = member_text(&delta[DELTA_REASONING_CONTENT]);

    if (reason.len == 0)
        reason = member_text(&delta[DELTA_REASONING]);
    if (member_is(&delta[DELTA_DETAILS], JSON_ARRAY) && delta[DELTA_DETAILS].raw.len > 2)
        CHAT_TRY(openai_chat_put_details(d, sink, index, choice, delta[DELTA_DETAILS].raw, reason));
    else if (reason.len > 0)
        CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REASON, reason));
    if (member_is(&delta[DELTA_CONTENT], JSON_STRING))
        CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_TEXT,
                                     member_text(&delta[DELTA_CONTENT])));
    else if (member_is(&delta[DELTA_CONTENT], JSON_ARRAY))
        CHAT_TRY(
            openai_chat_put_parts(d, sink, index, choice, delta[DELTA_CONTENT].raw, IR_PART_TEXT));
    CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REFUSAL,
                                 member_text(&delta[DELTA_REFUSAL])));
    if (member_is(&delta[DELTA_IMAGES], JSON_ARRAY))
        CHAT_TRY(openai_chat_put_images(d, sink, index, choice, delta[DELTA_IMAGES].raw));
    if (member_is(&delta[DELTA_TOOL_CALLS], JSON_ARRAY))
        CHAT_TRY(openai_chat_put_tool_calls(d, sink, index, choice, delta[DELTA_TOOL_CALLS].raw));
    if (member_is(&delta[DELTA_FUNCTION_CALL], JSON_OBJECT) && !d->has_ended)
        CHAT_TRY(
            openai_chat_put_function_call(d, sink, index, choice, delta[DELTA_FUNCTION_CALL].raw));
    if (member_is(&delta[DELTA_ANNOTATIONS], JSON_ARRAY) && !d->has_ended)
        CHAT_TRY(openai_chat_put_annotations(sink, index, choice, delta[DELTA_ANNOTATIONS].raw));
    return R2A_OK;
}

/* --- choices --- */

static enum ir_stop stop_of(struct text reason)
{
    static const struct {
        struct slice word;
        uint8_t stop;
    } rows[] = {
        {S_INIT("stop"), IR_STOP_END},
        {S_INIT("length"), IR_STOP_LENGTH},
        {S_INIT("tool_calls"), IR_STOP_TOOL},
        {S_INIT("content_filter"), IR_STOP_FILTER},
        {S_INIT("function_call"), IR_STOP_TOOL},
        {S_INIT("end_turn"), IR_STOP_END},
        {S_INIT("eos"), IR_STOP_END},
        {S_INIT("stop_sequence"), IR_STOP_SEQUENCE},
        {S_INIT("max_tokens"), IR_STOP_LENGTH},
        {S_INIT("tool_use"), IR_STOP_TOOL},
        {S_INIT("sensitive"), IR_STOP_FILTER},
        {S_INIT("model_context_window_exceeded"), IR_STOP_CONTEXT},
        {S_INIT("model_length"), IR_STOP_CONTEXT},
    };

    for (uint32_t i = 0; i < array_count(rows); i++)
        if (text_is_nocase(reason, rows[i].word))
            return (enum ir_stop)rows[i].stop;
    return IR_STOP_OTHER;
}

static enum r2a_err put_usage(struct ir_sink *sink, struct slice raw)
{
    struct ir_usage usage = {0};

    if (!openai_chat_usage_read(raw, &usage))
        return R2A_OK;
    return ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

enum choice_member {
    CHOICE_INDEX,
    CHOICE_DELTA,
    CHOICE_FINISH,
    CHOICE_LOGPROBS,
    CHOICE_MESSAGE,
    CHOICE_USAGE,
    CHOICE_STOP_REASON,
    CHOICE_MEMBERS,
};

static enum choice_member choice_key(const struct json_scan *scan)
{
    static const struct slice names[CHOICE_MEMBERS] = {
        [CHOICE_INDEX] = S_INIT("index"),
        [CHOICE_DELTA] = S_INIT("delta"),
        [CHOICE_FINISH] = S_INIT("finish_reason"),
        [CHOICE_LOGPROBS] = S_INIT("logprobs"),
        [CHOICE_MESSAGE] = S_INIT("message"),
        [CHOICE_USAGE] = S_INIT("usage"),
        [CHOICE_STOP_REASON] = S_INIT("stop_reason"),
    };
    int key;

    switch (scan->text.len) {
    case 5:
        if (KEY_IS(scan, "index"))
            return CHOICE_INDEX;
        if (KEY_IS(scan, "delta"))
            return CHOICE_DELTA;
        break;
    case 8:
        if (KEY_IS(scan, "logprobs"))
            return CHOICE_LOGPROBS;
        break;
    case 13:
        if (KEY_IS(scan, "finish_reason"))
            return CHOICE_FINISH;
        break;
    default:
        break;
    }
    key = json_key_index(scan, names, CHOICE_MEMBERS);
    return key < 0 ? CHOICE_MEMBERS : (enum choice_member)key;
}

static bool read_member(struct json_scan *scan, struct member *member)
{
    enum json_token token = json_next(scan);
    struct slice raw;

    if (!json_skip_after(scan, token, &raw))
        return false;
    if (member != NULL && token != JSON_NULL)
        *member = (struct member){.kind = (uint8_t)token, .raw = raw};
    return true;
}

static bool read_delta(struct json_scan *scan, struct member *delta)
{
    enum json_token token;

    while ((token = json_next(scan)) == JSON_KEY) {
        enum delta key = delta_key(scan);

        if (!read_member(scan, key < DELTAS ? &delta[key] : NULL))
            return false;
    }
    return token == JSON_OBJECT_END;
}

/* Reads one choice. Its delta is read on the way: the members of both are spans until all are
 * known. False on a syntax error, which is in `scan`. */
static bool read_choice(struct json_scan *scan, struct member *members, struct member *delta)
{
    enum json_token token;

    memset(members, 0, CHOICE_MEMBERS * sizeof(*members));
    memset(delta, 0, DELTAS * sizeof(*delta));
    while ((token = json_next(scan)) == JSON_KEY) {
        enum choice_member key = choice_key(scan);

        if (key == CHOICE_DELTA || key == CHOICE_MESSAGE) {
            token = json_next(scan);
            if (token == JSON_OBJECT ? !read_delta(scan, delta)
                                     : !json_skip_after(scan, token, NULL))
                return false;
        } else if (!read_member(scan, key < CHOICE_MEMBERS ? &members[key] : NULL)) {
            return false;
        }
    }
    return token == JSON_OBJECT_END;
}

/* Notes whether this choice says anything but one string. */
static void learn_choice(struct decoder *d, int64_t index, const struct member *members,
                         const struct member *delta)
{
    static const struct {
        uint8_t member, kind;
    } runs[] = {{DELTA_CONTENT, IR_PART_TEXT},
                {DELTA_REASONING_CONTENT, IR_PART_REASON},
                {DELTA_REASONING, IR_PART_REASON},
                {DELTA_REFUSAL, IR_PART_REFUSAL}};
    struct lesson *lesson = d->lesson;

    for (uint32_t i = CHOICE_FINISH; i < CHOICE_MEMBERS; i++)
        lesson->has_others |= members[i].kind != JSON_ERROR;
    for (uint32_t i = DELTA_DETAILS; i < DELTAS; i++)
        lesson->has_others |= delta[i].kind != JSON_ERROR;
    for (uint32_t i = 0; i < array_count(runs); i++) {
        const struct member *member = &delta[runs[i].member];

        if (member->kind == JSON_ERROR || member->raw.len == 2)
            continue;
        lesson->has_others |= member->kind != JSON_STRING;
        lesson->values_count++;
        lesson->value = member_text(member);
        lesson->cast = (struct cast){.choice = (uint8_t)index, .kind = runs[i].kind};
    }
}

static enum r2a_err put_choice(struct decoder *d, struct ir_sink *sink,
                               const struct member *members, const struct member *delta)
{
    struct text finish = member_text(&members[CHOICE_FINISH]);
    struct choice *choice;
    int64_t at = 0;
    uint8_t index;

    (void)member_int(&members[CHOICE_INDEX], &at);
    choice = choice_of(d, at);
    if (choice == NULL)
        return R2A_OK;
    index = (uint8_t)at;
    if (d->lesson != NULL)
        learn_choice(d, at, members, delta);
    CHAT_TRY(put_delta(d, sink, index, choice, delta));
    if (d->has_ended)
        return R2A_OK;
    if (member_is(&members[CHOICE_LOGPROBS], JSON_OBJECT))
        CHAT_TRY(openai_chat_put_logprobs(sink, index, choice, members[CHOICE_LOGPROBS].raw));
    if (member_is(&members[CHOICE_USAGE], JSON_OBJECT))
        CHAT_TRY(put_usage(sink, members[CHOICE_USAGE].raw));
    if (finish.len == 0)
        return R2A_OK;
    choice->has_finish = true;
    choice->stop = (uint8_t)stop_of(finish);
    if (member_is(&members[CHOICE_STOP_REASON], JSON_STRING) &&
        (choice->stop == IR_STOP_END || choice->stop == IR_STOP_SEQUENCE)) {
        struct text sequence = member_text(&members[CHOICE_STOP_REASON]);
        struct slice copy = arena_copy(d->brief->arena, text_bytes(sequence));

        choice->stop = IR_STOP_SEQUENCE;
        choice->sequence = text_escaped(copy);
    }
    return R2A_OK;
}

/* The elements of `choices`; the bracket was taken. */
static enum r2a_err put_choices(struct decoder *d, struct ir_sink *sink, struct json_scan *scan)
{
    struct member members[CHOICE_MEMBERS], delta[DELTAS];
    enum json_token token;

    while ((token = json_next(scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        if (token != JSON_OBJECT) {
            if (!json_skip_after(scan, token, NULL))
                return R2A_OK;
            continue;
        }
        if (!read_choice(scan, members, delta))
            return R2A_OK; /* the scanner has the error; the caller looks at it */
        CHAT_TRY(put_choice(d, sink, members, delta));
        if (d->has_ended)
            return R2A_OK;
    }
    return R2A_OK;
}

/* --- chunks --- */

enum root {
    ROOT_CHOICES,
    ROOT_ERROR,
    ROOT_USAGE,
    ROOT_GROQ,
    ROOT_BASE_RESP,
    ROOT_ID, /* from here on only the first chunk's matter */
    ROOT_MODEL,
    ROOT_CREATED,
    ROOT_TIER,
    ROOT_FINGERPRINT,
    ROOTS,
};
static enum root root_key(const struct json_scan *scan)
{
    static const struct slice names[ROOTS] = {
        [ROOT_CHOICES] = S_INIT("choices"),     [ROOT_ERROR] = S_INIT("error"),
        [ROOT_USAGE] = S_INIT("usage"),         [ROOT_GROQ] = S_INIT("x_groq"),
        [ROOT_BASE_RESP] = S_INIT("base_resp"), [ROOT_ID] = S_INIT("id"),
        [ROOT_MODEL] = S_INIT("model"),         [ROOT_CREATED] = S_INIT("created"),
        [ROOT_TIER] = S_INIT("service_tier"),   [ROOT_FINGERPRINT] = S_INIT("system_fingerprint"),
    };
    int key;

    switch (scan->text.len) {
    case 2:
        if (KEY_IS(scan, "id"))
            return ROOT_ID;
        break;
    case 6:
        if (KEY_IS(scan, "object"))
            return ROOTS;
        break;
    case 5:
        if (KEY_IS(scan, "model"))
            return ROOT_MODEL;
        if (KEY_IS(scan, "usage"))
            return ROOT_USAGE;
        break;
    case 7:
        if (KEY_IS(scan, "choices"))
            return ROOT_CHOICES;
        if (KEY_IS(scan, "created"))
            return ROOT_CREATED;
        break;
    case 12:
        if (KEY_IS(scan, "service_tier"))
            return ROOT_TIER;
        break;
    case 18:
        if (KEY_IS(scan, "system_fingerprint"))
            return ROOT_FINGERPRINT;
        break;
    default:
        break;
    }
    key = json_key_index(scan, names, ROOTS);
    return key < 0 ? ROOTS : (enum root)key;
}

static enum r2a_err put_head_field(struct ir_sink *sink, uint8_t field, const struct member *member)
{
    struct text value = member_text(member);
    int64_t number = 0;

    if (field == IR_FIELD_CREATED ? !member_int(member, &number) : value.len == 0)
        return R2A_OK;
    return put_field(sink, field, 0, value, number);
}

static enum r2a_err put_begin(struct decoder *d, struct ir_sink *sink, const struct member *root)
{
    d->has_begun = true;
    CHAT_TRY(put_open(sink, IR_BEGIN, 0, 0, 0, member_text(&root[ROOT_ID]),
                      member_text(&root[ROOT_MODEL])));
    CHAT_TRY(put_head_field(sink, IR_FIELD_CREATED, &root[ROOT_CREATED]));
    CHAT_TRY(put_head_field(sink, IR_FIELD_TIER, &root[ROOT_TIER]));
    return put_head_field(sink, IR_FIELD_FINGERPRINT, &root[ROOT_FINGERPRINT]);
}

/* Groq's x_groq.usage, in its last chunk. */
static enum r2a_err put_groq(struct ir_sink *sink, struct slice raw)
{
    static const struct slice name = S_INIT("usage");
    struct member usage;

    if (!members_of(raw, &name, 1, &usage) || !member_is(&usage, JSON_OBJECT))
        return R2A_OK;
    return put_usage(sink, usage.raw);
}

/* MiniMax says errors under HTTP 200: {"base_resp":{"status_code":1004,"status_msg":…}}. */
static bool is_refusal(const struct member *base_resp)
{
    static const struct slice name = S_INIT("status_code");
    struct member code;
    int64_t number;

    return member_is(base_resp, JSON_OBJECT) && members_of(base_resp->raw, &name, 1, &code) &&
           member_int(&code, &number) && number != 0;
}

static bool is_truthy(const struct member *error)
{
    if (member_is(error, JSON_STRING))
        return error->raw.len > 2;
    return member_is(error, JSON_OBJECT) || member_is(error, JSON_TRUE);
}

static enum r2a_err put_undecodable(struct decoder *d, struct ir_sink *sink,
                                    const struct json_scan *scan)
{
    return openai_chat_put_error(d, sink, scan->err == R2A_OK ? R2A_ERR_JSON_SYNTAX : scan->err,
                                 S("The upstream sent something that is not valid JSON."));
}

/* The chunk says one string and nothing else: keeps what is around it. */
static void make_mould(struct decoder *d, const struct lesson *lesson, struct slice data)
{
    struct mould_hole holes[2] = {{text_bytes(lesson->value), MOULD_STRING}};
    uint32_t count = 1;

    if (lesson->values_count != 1 || lesson->has_others || lesson->value.len == 0)
        return;
    if (lesson->padding.ptr > lesson->value.ptr) /* one before it is the same every time */
        holes[count++] = (struct mould_hole){
            slice_of(lesson->padding.ptr + 1, lesson->padding.len - 2), MOULD_STRING};
    mould_make(&d->mould, d->brief->arena, data, holes, count);
    d->cast = lesson->cast;
}

static enum r2a_err put_cast(struct decoder *d, struct ir_sink *sink, struct text value)
{
    const struct cast *cast = &d->cast;
    struct choice *choice = choice_of(d, cast->choice);

    if (cast->kind == IR_PART_CALL)
        return openai_chat_put_call(d, sink, choice, cast->slot, (struct text){0}, (struct text){0},
                                    value, 0);
    return openai_chat_put_run(d, sink, cast->choice, choice, cast->kind, value);
}

/* The first chunk with choices is read twice: the answer's head may stand behind them. */
static enum r2a_err put_first(struct decoder *d, struct ir_sink *sink, const struct member *root)
{
    struct json_scan scan;

    json_open(&scan, root[ROOT_CHOICES].raw);
    (void)json_next(&scan);
    if (json_next(&scan) == JSON_ARRAY_END)
        return R2A_OK;
    CHAT_TRY(put_begin(d, sink, root));
    json_open(&scan, root[ROOT_CHOICES].raw);
    (void)json_next(&scan);
    return put_choices(d, sink, &scan);
}

/* A chunk, or a document: of the root only spans, but `choices` is read as it comes once the
 * answer has begun. */
static enum r2a_err read_chunk(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    struct member root[ROOTS] = {{0}}, unknown;
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, data);
    if (json_next(&scan) != JSON_OBJECT)
        return put_undecodable(d, sink, &scan);
    while ((token = json_next(&scan)) == JSON_KEY) {
        enum root key = root_key(&scan);

        unknown.kind = JSON_ERROR;
        if (key == ROOT_CHOICES && d->has_begun) {
            token = json_next(&scan);
            if (token == JSON_ARRAY)
                CHAT_TRY(put_choices(d, sink, &scan));
            else if (!json_skip_after(&scan, token, NULL))
                break;
            if (d->has_ended)
                return R2A_OK;
        } else if (!read_member(&scan, key < ROOTS ? &root[key] : &unknown)) {
            break;
        } else if (key == ROOTS && d->lesson != NULL && unknown.kind == JSON_STRING) {
            d->lesson->padding = unknown.raw;
        }
    }
    if (token != JSON_OBJECT_END || json_next(&scan) != JSON_END)
        return put_undecodable(d, sink, &scan);
    if (member_is(&root[ROOT_CHOICES], JSON_ARRAY))
        CHAT_TRY(put_first(d, sink, root));
    if (d->has_ended)
        return R2A_OK;
    for (uint32_t i = ROOT_ERROR; i <= ROOT_BASE_RESP && d->lesson != NULL; i++)
        d->lesson->has_others |= root[i].kind != JSON_ERROR;
    if (member_is(&root[ROOT_USAGE], JSON_OBJECT))
        CHAT_TRY(put_usage(sink, root[ROOT_USAGE].raw));
    if (member_is(&root[ROOT_GROQ], JSON_OBJECT))
        CHAT_TRY(put_groq(sink, root[ROOT_GROQ].raw));
    if (is_truthy(&root[ROOT_ERROR]) || is_refusal(&root[ROOT_BASE_RESP]))
        return openai_chat_put_reported(d, sink, data);
    return R2A_OK;
}

static enum r2a_err put_chunk(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    struct lesson lesson = {0};
    struct slice values[MOULD_HOLES_MAX];
    enum r2a_err err;

    if (mould_fit(d->mould, data, values) && values[0].len > 0)
        return put_cast(d, sink, text_escaped(values[0]));
    if (d->has_begun && !mould_is_useless(d->mould))
        d->lesson = &lesson;
    err = read_chunk(d, sink, data);
    if (d->lesson != NULL && err == R2A_OK && !d->has_ended)
        make_mould(d, &lesson, data);
    d->lesson = NULL;
    return err;
}

/* --- the end --- */

static enum r2a_err end_choice(struct ir_sink *sink, uint8_t index, const struct choice *choice)
{
    uint8_t stop = choice->has_finish ? choice->stop : IR_STOP_END;

    if (stop == IR_STOP_END && choice->has_calls)
        stop = IR_STOP_TOOL;
    else if (stop == IR_STOP_TOOL && !choice->has_calls)
        stop = IR_STOP_END;
    return ir_put(sink, &(struct ir_event){.kind = IR_STOP,
                                           .what = stop,
                                           .choice = index,
                                           .u.open = {.id = choice->sequence}});
}

static bool has_choice(const struct decoder *d)
{
    bool is_seen = d->first.is_seen;

    for (uint32_t i = 0; d->others != NULL && i + 1 < CHOICES_MAX; i++)
        is_seen |= d->others[i].is_seen;
    return is_seen;
}

/* The stream is complete: what is open closes, every choice stops. */
static enum r2a_err put_end(struct decoder *d, struct ir_sink *sink)
{
    if (!has_choice(d))
        return openai_chat_put_error(d, sink, R2A_ERR_TRUNCATED,
                                     S("The upstream ended without an answer."));
    if (openai_chat_has_nameless_call(d))
        return openai_chat_put_error(d, sink, R2A_ERR_INVALID,
                                     S("The upstream made a tool call without a name."));
    for (uint8_t i = 0; i < CHOICES_MAX; i++) {
        struct choice *choice = i == 0 ? &d->first : d->others == NULL ? NULL : &d->others[i - 1];

        if (choice == NULL || !choice->is_seen)
            continue;
        if (choice->stop == IR_STOP_OTHER && choice->parts_count == 0)
            return openai_chat_put_error(d, sink, R2A_ERR_INVALID,
                                         S("The upstream stopped without having said anything."));
        CHAT_TRY(openai_chat_close_run(d, sink, i, choice));
        CHAT_TRY(openai_chat_close_calls(d, sink, i));
        CHAT_TRY(openai_chat_put_late(d, sink, i, choice));
        CHAT_TRY(end_choice(sink, i, choice));
    }
    d->has_ended = true;
    return put_plain(sink, IR_END, 0);
}

enum r2a_err openai_chat_finish(void *decoder, struct ir_sink *sink)
{
    struct decoder *d = decoder;
    bool is_complete = d->has_begun;

    if (d->has_ended)
        return R2A_OK;
    for (uint32_t i = 0; i < CHOICES_MAX; i++) {
        const struct choice *choice = i == 0              ? &d->first
                                      : d->others == NULL ? NULL
                                                          : &d->others[i - 1];

        if (choice != NULL && choice->is_seen && !choice->has_finish)
            is_complete = false;
    }
    if (!is_complete)
        return openai_chat_put_error(d, sink, R2A_ERR_TRUNCATED,
                                     S("upstream closed the stream before it finished"));
    return put_end(d, sink);
}

/* A relayed answer is only watched: what must be known of it is whether it is an error, and what it
 * cost. False: it is unlike the usual one and must be read whole. */
static bool put_watched(struct decoder *d, struct slice data, struct ir_sink *sink,
                        enum r2a_err *err)
{
    static const struct json_pick picks[] = {
        {.key = S_INIT("error")}, {.key = S_INIT("choices")}, {.key = S_INIT("usage")}};
    struct json_found found[array_count(picks)] = {0};
    struct ir_usage usage = {0};
    uint64_t offset;

    if (d->has_begun ||
        json_pick(data, picks, array_count(picks), found, NULL, &offset) != R2A_OK ||
        (found[0].kind != JSON_ERROR && found[0].kind != JSON_NULL) ||
        found[1].kind != JSON_ARRAY || str_find_char(found[1].raw, '{') == found[1].raw.len ||
        found[2].kind != JSON_OBJECT || !openai_chat_usage_read(found[2].raw, &usage))
        return false;
    d->has_begun = d->has_ended = true;
    *err = put_plain(sink, IR_BEGIN, 0);
    if (*err == R2A_OK)
        *err = ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
    if (*err == R2A_OK)
        *err = put_plain(sink, IR_STOP, IR_STOP_OTHER);
    if (*err == R2A_OK)
        *err = put_plain(sink, IR_END, 0);
    return true;
}

enum r2a_err openai_chat_decode(void *decoder, const struct frame *frame, struct ir_sink *sink)
{
    struct decoder *d = decoder;
    struct slice data = frame->data;
    enum r2a_err err;

    if (d->has_ended)
        return R2A_OK;
    switch ((enum frame_kind)frame->kind) {
    case FRAME_COMMENT: /* without text it may be a blank line: how many come depends on the cut */
        return data.len > 0 ? put_plain(sink, IR_ALIVE, 0) : R2A_OK;
    case FRAME_STRAY:
    case FRAME_ERROR:
        return openai_chat_put_reported(d, sink, data);
    case FRAME_DATA:
    case FRAME_DOCUMENT:
        break;
    }
    if (data.len == 0 || data.ptr[0] != '{')
        data = str_trim_lines(data);
    if (frame->kind == FRAME_DATA) {
        if (data.len == 0)
            return R2A_OK;
        if (slice_eq(data, S("[DONE]")))
            return put_end(d, sink);
        if (frame->name.len > 0 && slice_eq(frame->name, S("error")))
            return openai_chat_put_reported(d, sink, data);
        return put_chunk(d, sink, data);
    }
    if (data.len > 0 && data.ptr[0] == '[') /* an error object in an array */
        return openai_chat_put_reported(d, sink, data);
    d->is_document = true;
    if (d->brief->is_relay && put_watched(d, data, sink, &err))
        return err;
    CHAT_TRY(put_chunk(d, sink, data));
    if (d->has_ended)
        return R2A_OK;
    if (!d->has_begun)
        return openai_chat_put_error(d, sink, R2A_ERR_INVALID,
                                     S("The upstream's answer is not a chat completion."));
    return put_end(d, sink);
}
