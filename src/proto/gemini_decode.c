#include "gemini_answer.h"
#include "mould.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"

/* The generateContent answer, stream or document, as events (conversion.md 3.2, 3.3, 3.4, 3.7).
 *
 * A chunk is a whole response that holds only what is new. Text and thoughts come in pieces, and
 * consecutive pieces of a kind are one part; everything else comes whole. There is no terminator:
 * finishReason may stand on every chunk and is only remembered, the end of the bytes is the end of
 * the answer if one was seen. Sources arrive last and are put before their text is closed. */

/* The vendor's counters. */
enum counter {
    COUNT_PROMPT,
    COUNT_TOOL_PROMPT,
    COUNT_CACHED,
    COUNT_CANDIDATES,
    COUNT_THOUGHTS,
    COUNT_TOTAL,
    COUNTERS
};

static const struct slice counter_names[COUNTERS] = {
    [COUNT_PROMPT] = S_INIT("promptTokenCount"),
    [COUNT_TOOL_PROMPT] = S_INIT("toolUsePromptTokenCount"),
    [COUNT_CACHED] = S_INIT("cachedContentTokenCount"),
    [COUNT_CANDIDATES] = S_INIT("candidatesTokenCount"),
    [COUNT_THOUGHTS] = S_INIT("thoughtsTokenCount"),
    [COUNT_TOTAL] = S_INIT("totalTokenCount"),
};

struct decoder {
    const struct target *target;
    const struct brief *brief;
    bool has_begun, has_ended, has_block, has_product;
    struct text block_words;                    /* arena */
    struct gemini_choice *choices[CHOICES_MAX]; /* arena, on first use */
    uint32_t counted;                           /* bit per counter */
    uint64_t counts[COUNTERS];
    struct mould *mould; /* of chunks that are text and counters; arena, or NULL */
    bool is_thought;     /* the text that comes out of it */
    uint8_t counters[MOULD_HOLES_MAX];
    uint8_t holes_count; /* the text, then `counters` */
};

_Static_assert(sizeof(struct decoder) <= GEMINI_DECODER_SIZE, "the row says how much to take");
_Static_assert(COUNTERS < MOULD_HOLES_MAX, "a chunk's text and all its counters");

void gemini_decoder_init(void *decoder, const struct target *target, const struct brief *brief)
{
    struct decoder *d = decoder;

    *d = (struct decoder){.target = target, .brief = brief};
}

/* --- errors --- */

static enum r2a_err put_fault(struct decoder *d, struct ir_sink *sink, const struct fault *fault)
{
    d->has_ended = true;
    return ir_put(sink, &(struct ir_event){.kind = IR_ERROR, .u.fault = fault});
}

static enum r2a_err put_broken(struct decoder *d, struct ir_sink *sink, struct slice message,
                               enum r2a_err err)
{
    struct fault fault = fault_of(FAULT_BAD_GATEWAY, message);

    fault.err = err;
    return put_fault(d, sink, &fault);
}

static enum r2a_err put_error_body(struct decoder *d, struct ir_sink *sink, struct slice body)
{
    struct fault_source source = {.body = body};
    struct fault fault;

    fault_read(&source, d->brief->arena, &fault);
    return put_fault(d, sink, &fault);
}

/* --- usage --- */

/* Every chunk has the sums so far; a later one that lacks a counter does not clear it. They are
 * told before the chunk's content: a Messages client reads the input's size in what comes first. */
static enum r2a_err put_usage(const struct decoder *d, struct ir_sink *sink)
{
    uint32_t counted = d->counted;
    struct ir_usage usage = {
        .input = d->counts[COUNT_PROMPT] + d->counts[COUNT_TOOL_PROMPT],
        .tool_input = d->counts[COUNT_TOOL_PROMPT],
        .cache_read = d->counts[COUNT_CACHED],
        .output = d->counts[COUNT_CANDIDATES] + d->counts[COUNT_THOUGHTS],
        .reasoning = d->counts[COUNT_THOUGHTS],
        .has = (counted & (1u << COUNT_PROMPT | 1u << COUNT_TOOL_PROMPT) ? IR_HAS_INPUT : 0u) |
               (counted & 1u << COUNT_TOOL_PROMPT ? IR_HAS_TOOL_INPUT : 0u) |
               (counted & 1u << COUNT_CACHED ? IR_HAS_CACHE_READ : 0u) |
               (counted & (1u << COUNT_CANDIDATES | 1u << COUNT_THOUGHTS) ? IR_HAS_OUTPUT : 0u) |
               (counted & 1u << COUNT_THOUGHTS ? IR_HAS_REASONING : 0u),
    };

    if (usage.has == 0)
        return R2A_OK;
    return ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

static void count(struct decoder *d, enum counter counter, struct slice number)
{
    int64_t value;

    if (!json_number_int(number, &value) || value < 0)
        return;
    d->counts[counter] = (uint64_t)value;
    d->counted |= 1u << counter;
}

static enum r2a_err read_usage(struct decoder *d, struct slice raw, struct ir_sink *sink)
{
    struct member found[COUNTERS];

    if (!members_of(raw, counter_names, COUNTERS, found))
        return R2A_OK;
    for (uint32_t i = 0; i < COUNTERS; i++)
        if (member_is(&found[i], JSON_NUMBER))
            count(d, (enum counter)i, found[i].raw);
    return put_usage(d, sink);
}

/* --- candidates --- */

static uint8_t stop_of(struct text reason)
{
    static const struct {
        struct slice name;
        uint8_t stop;
    } rows[] = {{S_INIT("STOP"), IR_STOP_END},
                {S_INIT("MAX_TOKENS"), IR_STOP_LENGTH},
                {S_INIT("SAFETY"), IR_STOP_FILTER},
                {S_INIT("BLOCKLIST"), IR_STOP_FILTER},
                {S_INIT("PROHIBITED_CONTENT"), IR_STOP_FILTER},
                {S_INIT("SPII"), IR_STOP_FILTER},
                {S_INIT("IMAGE_SAFETY"), IR_STOP_FILTER},
                {S_INIT("IMAGE_PROHIBITED_CONTENT"), IR_STOP_FILTER},
                {S_INIT("RECITATION"), IR_STOP_RECITATION},
                {S_INIT("IMAGE_RECITATION"), IR_STOP_RECITATION},
                {S_INIT("MALFORMED_FUNCTION_CALL"), IR_STOP_BAD_CALL},
                {S_INIT("UNEXPECTED_TOOL_CALL"), IR_STOP_BAD_CALL},
                {S_INIT("TOO_MANY_TOOL_CALLS"), IR_STOP_BAD_CALL}};

    for (uint32_t i = 0; i < array_count(rows); i++)
        if (text_is(reason, rows[i].name))
            return rows[i].stop;
    return IR_STOP_OTHER;
}

static struct gemini_choice *choice_at(struct decoder *d, uint8_t index)
{
    if (d->choices[index] == NULL) {
        d->choices[index] = arena_take_zero(d->brief->arena, sizeof(**d->choices));
        if (d->choices[index] != NULL)
            *d->choices[index] =
                (struct gemini_choice){.brief = d->brief, .arena = d->brief->arena, .index = index};
    }
    return d->choices[index];
}

static struct text keep_text(struct decoder *d, struct text text)
{
    struct slice copy = arena_copy(d->brief->arena, text_bytes(text));

    return (struct text){copy.ptr, (uint32_t)copy.len, text.form};
}

static void keep_raw(struct decoder *d, const struct member *member, struct slice *raw)
{
    if (member_is(member, JSON_OBJECT) && member->raw.len > 2)
        *raw = arena_copy(d->brief->arena, member->raw);
}

static enum r2a_err read_content(struct gemini_choice *choice, struct slice raw,
                                 struct ir_sink *sink)
{
    static const struct slice names[] = {S_INIT("parts")};
    struct member found[1];
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;

    if (!members_of(raw, names, 1, found) || !member_is(&found[0], JSON_ARRAY))
        return R2A_OK;
    json_open(&scan, found[0].raw);
    (void)json_next(&scan);
    while (err == R2A_OK && (token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice part;

        if (!json_skip_after(&scan, token, &part))
            break;
        err = gemini_read_answer_part(choice, part, sink);
    }
    return err;
}

static enum r2a_err read_candidate(struct decoder *d, struct slice raw, uint8_t otherwise,
                                   struct ir_sink *sink)
{
    enum { INDEX, CONTENT, REASON, MESSAGE, CITATIONS, GROUNDING, LOGPROBS, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("index"),         S_INIT("content"),          S_INIT("finishReason"),
        S_INIT("finishMessage"), S_INIT("citationMetadata"), S_INIT("groundingMetadata"),
        S_INIT("logprobsResult")};
    struct member found[NAMES];
    struct gemini_choice *choice;
    int64_t index;
    enum r2a_err err = R2A_OK;

    if (!members_of(raw, names, NAMES, found))
        return R2A_OK;
    if (!member_int(&found[INDEX], &index))
        index = otherwise;
    if (index < 0 || index >= CHOICES_MAX)
        return R2A_OK;
    choice = choice_at(d, (uint8_t)index);
    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    if (member_is(&found[CONTENT], JSON_OBJECT))
        err = read_content(choice, found[CONTENT].raw, sink);
    d->has_product |= choice->has_product;
    if (err == R2A_OK && member_is(&found[LOGPROBS], JSON_OBJECT))
        err = gemini_put_logprobs(choice, found[LOGPROBS].raw, sink);
    keep_raw(d, &found[CITATIONS], &choice->citations);
    keep_raw(d, &found[GROUNDING], &choice->grounding);
    if (member_text(&found[REASON]).len > 0) {
        choice->has_stop = true;
        choice->stop = stop_of(member_text(&found[REASON]));
    }
    if (member_text(&found[MESSAGE]).len > 0)
        choice->stop_words = keep_text(d, member_text(&found[MESSAGE]));
    return err;
}

static enum r2a_err read_candidates(struct decoder *d, struct slice raw, struct ir_sink *sink)
{
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;
    uint8_t at = 0;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while (err == R2A_OK && (token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice candidate;

        if (!json_skip_after(&scan, token, &candidate))
            break;
        if (token == JSON_OBJECT)
            err = read_candidate(d, candidate, at, sink);
        at = (uint8_t)(at + (at < CHOICES_MAX));
    }
    return err;
}

static void read_feedback(struct decoder *d, struct slice raw)
{
    enum { REASON, MESSAGE, NAMES };
    static const struct slice names[NAMES] = {S_INIT("blockReason"), S_INIT("blockReasonMessage")};
    struct member found[NAMES];

    if (!members_of(raw, names, NAMES, found) || member_text(&found[REASON]).len == 0)
        return;
    d->has_block = true;
    d->block_words =
        keep_text(d, member_text(&found[member_text(&found[MESSAGE]).len > 0 ? MESSAGE : REASON]));
}

/* --- the end --- */

/* A call nobody can make, or nothing was said and the reason is no reason: a success would hide it.
 */
static bool is_failure(const struct decoder *d, struct slice *message)
{
    const struct gemini_choice *choice = d->choices[0];

    *message = S("upstream made a tool call without a name");
    for (uint32_t i = 0; i < CHOICES_MAX; i++)
        if (d->choices[i] != NULL && d->choices[i]->is_broken)
            return true;
    if (d->has_product || choice == NULL || !choice->has_stop)
        return false;
    *message = choice->stop == IR_STOP_BAD_CALL
                   ? S("upstream produced an invalid tool call")
                   : S("upstream ended its answer without saying anything");
    return choice->stop == IR_STOP_BAD_CALL || choice->stop == IR_STOP_OTHER;
}

static enum r2a_err end(struct decoder *d, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;
    struct slice message;

    if (!d->has_begun)
        err = put_open(sink, IR_BEGIN, 0, 0, 0, (struct text){0}, (struct text){0});
    d->has_begun = true;
    if (err == R2A_OK && is_failure(d, &message)) {
        struct fault fault = fault_of(FAULT_BAD_GATEWAY, message);

        fault.err = R2A_ERR_INVALID;
        fault.is_upstream = true;
        return put_fault(d, sink, &fault);
    }
    if (choice_at(d, 0) == NULL)
        return R2A_ERR_NO_MEMORY;
    for (uint32_t i = 0; i < CHOICES_MAX && err == R2A_OK; i++) {
        struct gemini_choice *choice = d->choices[i];

        if (choice == NULL)
            continue;
        if (d->has_block && !choice->has_stop) {
            choice->stop = IR_STOP_FILTER;
            choice->stop_words = d->block_words;
        }
        err = gemini_end_choice(choice, sink);
    }
    d->has_ended = true;
    return err == R2A_OK ? put_plain(sink, IR_END, 0) : err;
}

static bool is_complete(const struct decoder *d)
{
    bool has_stop = d->has_block;

    for (uint32_t i = 0; i < CHOICES_MAX; i++) {
        if (d->choices[i] != NULL && !d->choices[i]->has_stop && !d->has_block)
            return false;
        has_stop |= d->choices[i] != NULL;
    }
    return has_stop;
}

/* --- chunks --- */

/* Nearly every chunk of a stream is one piece of text in one candidate: read in one pass. Whatever
 * else is met makes it no such chunk, and nothing was told yet. */
struct quick {
    struct text text, id, model, reason;
    bool is_thought;
    uint8_t counters_count;
    struct quick_counter {
        struct slice number;
        uint8_t counter;
    } counters[COUNTERS];
};

static bool quick_string(struct json_scan *scan, struct text *text)
{
    if (json_next(scan) != JSON_STRING)
        return false;
    *text = text_escaped(scan->text);
    return true;
}

static bool quick_part(struct json_scan *scan, struct quick *quick)
{
    enum json_token token;

    if (json_next(scan) != JSON_ARRAY || json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        if (json_key_is(scan, S("text"))) {
            if (!quick_string(scan, &quick->text))
                return false;
        } else if (json_key_is(scan, S("thought"))) {
            token = json_next(scan);
            if (token != JSON_TRUE && token != JSON_FALSE)
                return false;
            quick->is_thought = token == JSON_TRUE;
        } else {
            return false;
        }
    }
    return token == JSON_OBJECT_END && json_next(scan) == JSON_ARRAY_END;
}

static bool quick_content(struct json_scan *scan, struct quick *quick)
{
    enum json_token token;

    if (json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        if (json_key_is(scan, S("parts"))) {
            if (!quick_part(scan, quick))
                return false;
        } else if (!json_key_is(scan, S("role")) || json_next(scan) != JSON_STRING) {
            return false;
        }
    }
    return token == JSON_OBJECT_END;
}

static bool quick_candidate(struct json_scan *scan, struct quick *quick)
{
    enum json_token token;

    if (json_next(scan) != JSON_ARRAY || json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        if (json_key_is(scan, S("content"))) {
            if (!quick_content(scan, quick))
                return false;
        } else if (json_key_is(scan, S("index"))) {
            if (json_next(scan) != JSON_NUMBER || !slice_eq(scan->text, S("0")))
                return false;
        } else if (!json_key_is(scan, S("finishReason")) || !quick_string(scan, &quick->reason)) {
            return false;
        }
    }
    return token == JSON_OBJECT_END && json_next(scan) == JSON_ARRAY_END;
}

/* The counters; details of them are of no interest. */
static bool quick_usage(struct json_scan *scan, struct quick *quick)
{
    enum json_token token;

    if (json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        int counter = json_key_index(scan, counter_names, COUNTERS);

        token = json_next(scan);
        if (counter >= 0 && token == JSON_NUMBER && quick->counters_count < COUNTERS)
            quick->counters[quick->counters_count++] =
                (struct quick_counter){scan->text, (uint8_t)counter};
        else if (counter >= 0 || !json_skip_after(scan, token, NULL))
            return false;
    }
    return token == JSON_OBJECT_END;
}

static bool quick_chunk(struct slice data, struct quick *quick)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, data);
    if (json_next(&scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(&scan)) == JSON_KEY) {
        if (json_key_is(&scan, S("candidates"))) {
            if (!quick_candidate(&scan, quick))
                return false;
        } else if (json_key_is(&scan, S("usageMetadata"))) {
            if (!quick_usage(&scan, quick))
                return false;
        } else if (json_key_is(&scan, S("modelVersion"))) {
            if (!quick_string(&scan, &quick->model))
                return false;
        } else if (!json_key_is(&scan, S("responseId")) || !quick_string(&scan, &quick->id)) {
            return false;
        }
    }
    return token == JSON_OBJECT_END && json_next(&scan) == JSON_END && quick->text.len > 0;
}

static void make_mould(struct decoder *d, const struct quick *quick, struct slice data)
{
    struct mould_hole holes[MOULD_HOLES_MAX] = {{text_bytes(quick->text), MOULD_STRING}};

    d->holes_count = 1;
    d->is_thought = quick->is_thought;
    for (uint32_t i = 0; i < quick->counters_count; i++) {
        d->counters[d->holes_count] = quick->counters[i].counter;
        holes[d->holes_count++] = (struct mould_hole){quick->counters[i].number, MOULD_NUMBER};
    }
    mould_make(&d->mould, d->brief->arena, data, holes, d->holes_count);
}

static enum r2a_err put_piece(struct decoder *d, struct text text, bool is_thought,
                              struct ir_sink *sink)
{
    struct gemini_choice *choice = choice_at(d, 0);
    enum r2a_err err;

    if (choice == NULL)
        return R2A_ERR_NO_MEMORY;
    err = gemini_put_piece(choice, sink, is_thought ? IR_PART_REASON : IR_PART_TEXT, text);
    d->has_product |= choice->has_product;
    return err;
}

static enum r2a_err tell_cast(struct decoder *d, const struct slice *values, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    for (uint32_t i = 1; i < d->holes_count; i++)
        count(d, (enum counter)d->counters[i], values[i]);
    if (d->holes_count > 1)
        err = put_usage(d, sink);
    return err == R2A_OK ? put_piece(d, text_escaped(values[0]), d->is_thought, sink) : err;
}

static enum r2a_err tell_quick(struct decoder *d, const struct quick *quick, struct slice data,
                               struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    if (!d->has_begun)
        err = put_open(sink, IR_BEGIN, 0, 0, 0, quick->id, quick->model);
    d->has_begun = true;
    for (uint32_t i = 0; i < quick->counters_count; i++)
        count(d, (enum counter)quick->counters[i].counter, quick->counters[i].number);
    if (err == R2A_OK && quick->counters_count > 0)
        err = put_usage(d, sink);
    if (err == R2A_OK)
        err = put_piece(d, quick->text, quick->is_thought, sink);
    if (err != R2A_OK)
        return err;
    if (quick->reason.len > 0) {
        d->choices[0]->has_stop = true;
        d->choices[0]->stop = stop_of(quick->reason);
    } else {
        make_mould(d, quick, data);
    }
    return err;
}

static enum r2a_err read_chunk(struct decoder *d, struct slice data, struct ir_sink *sink)
{
    enum { CANDIDATES, FEEDBACK, USAGE, MODEL, ID, ERROR, NAMES };
    static const struct slice names[NAMES] = {S_INIT("candidates"),    S_INIT("promptFeedback"),
                                              S_INIT("usageMetadata"), S_INIT("modelVersion"),
                                              S_INIT("responseId"),    S_INIT("error")};
    struct member found[NAMES];
    struct slice values[MOULD_HOLES_MAX];
    struct quick quick = {0};
    struct json_scan scan;
    enum r2a_err err = R2A_OK;

    if (mould_fit(d->mould, data, values) && values[0].len > 0)
        return tell_cast(d, values, sink);
    if (quick_chunk(data, &quick))
        return tell_quick(d, &quick, data, sink);
    json_open(&scan, data);
    if (json_next(&scan) != JSON_OBJECT ||
        !members_read(&scan, names, NAMES, found, NULL, NULL, NULL) ||
        json_next(&scan) != JSON_END) {
        struct text words = text_trim(text_plain(data));

        /* Look-alikes end as Chat Completions does; an empty event keeps a connection alive. */
        if (text_is(words, S("[DONE]")) || words.len == 0)
            return R2A_OK;
        return put_broken(d, sink, S("upstream sent an event that is not valid JSON"),
                          scan.err == R2A_ERR_JSON_END ? R2A_ERR_TRUNCATED : R2A_ERR_JSON_SYNTAX);
    }
    if (member_is_there(&found[ERROR]))
        return put_error_body(d, sink, data);
    if (!d->has_begun)
        err =
            put_open(sink, IR_BEGIN, 0, 0, 0, member_text(&found[ID]), member_text(&found[MODEL]));
    d->has_begun = true;
    if (member_is(&found[FEEDBACK], JSON_OBJECT))
        read_feedback(d, found[FEEDBACK].raw);
    if (err == R2A_OK && member_is(&found[USAGE], JSON_OBJECT))
        err = read_usage(d, found[USAGE].raw, sink);
    if (err == R2A_OK && member_is(&found[CANDIDATES], JSON_ARRAY))
        err = read_candidates(d, found[CANDIDATES].raw, sink);
    return err;
}

/* A plain answer, or a stream that came as one array. */
static enum r2a_err read_document(struct decoder *d, struct slice body, struct ir_sink *sink)
{
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;

    json_open(&scan, body);
    token = json_next(&scan);
    if (token != JSON_ARRAY) {
        err = read_chunk(d, body, sink);
    } else {
        while (err == R2A_OK && !d->has_ended && (token = json_next(&scan)) != JSON_ARRAY_END) {
            struct slice chunk;

            if (!json_skip_after(&scan, token, &chunk))
                return put_broken(d, sink, S("upstream sent an answer that is not valid JSON"),
                                  scan.err == R2A_ERR_JSON_END ? R2A_ERR_TRUNCATED : scan.err);
            err = read_chunk(d, chunk, sink);
        }
    }
    if (err != R2A_OK || d->has_ended)
        return err;
    if (!is_complete(d) && d->choices[0] == NULL)
        return put_broken(d, sink, S("upstream sent an answer without candidates"),
                          R2A_ERR_INVALID);
    for (uint32_t i = 0; i < CHOICES_MAX; i++)
        if (d->choices[i] != NULL && !d->choices[i]->has_stop && !d->has_block) {
            d->choices[i]->has_stop = true;
            d->choices[i]->stop = IR_STOP_OTHER;
        }
    return end(d, sink);
}

enum r2a_err gemini_decode(void *decoder, const struct frame *frame, struct ir_sink *sink)
{
    struct decoder *d = decoder;

    if (d->has_ended)
        return R2A_OK;
    switch ((enum frame_kind)frame->kind) {
    case FRAME_DATA:
        return read_chunk(d, frame->data, sink);
    case FRAME_COMMENT:
        return put_plain(sink, IR_ALIVE, 0);
    case FRAME_STRAY:
    case FRAME_ERROR:
        return put_error_body(d, sink, frame->data);
    case FRAME_DOCUMENT:
        return read_document(d, frame->data, sink);
    }
    unreachable();
}

enum r2a_err gemini_finish(void *decoder, struct ir_sink *sink)
{
    struct decoder *d = decoder;

    if (d->has_ended)
        return R2A_OK;
    if (is_complete(d))
        return end(d, sink);
    return put_broken(d, sink, S("upstream closed the stream before it finished"),
                      R2A_ERR_TRUNCATED);
}
