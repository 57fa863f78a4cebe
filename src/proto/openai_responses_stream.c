#include "openai_responses_stream.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"

/* An upstream's Responses answer, events or one document, into events (conversion.md 3.2).
 *
 * The type inside the data decides, never the event line. Of an event's members only spans are
 * taken in one pass; what they mean depends on the type, which servers may write last. The answer
 * is complete with one of the terminal events and with nothing else. */

_Static_assert(sizeof(struct decoder) <= OPENAI_RESPONSES_DECODER_SIZE, "what the row says");

void openai_responses_decoder_init(void *decoder, const struct target *target,
                                   const struct brief *brief)
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

static enum r2a_err put_error(struct decoder *d, struct ir_sink *sink, enum r2a_err err,
                              struct slice message)
{
    struct fault fault = fault_of(FAULT_BAD_GATEWAY, message);

    fault.err = err;
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

/* What the upstream itself reports, anywhere in its answer. */
static enum r2a_err put_reported(struct decoder *d, struct ir_sink *sink, struct slice body)
{
    struct fault fault = fault_of(FAULT_SERVER, (struct slice){0});

    fault_read(&(struct fault_source){.body = body}, d->brief->arena, &fault);
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

static enum r2a_err put_undecodable(struct decoder *d, struct ir_sink *sink,
                                    const struct json_scan *scan)
{
    return put_error(d, sink, scan->err == R2A_OK ? R2A_ERR_JSON_SYNTAX : scan->err,
                     S("The upstream sent something that is not valid JSON."));
}

/* After each step that may need room for one more item. */
static enum r2a_err check_room(struct decoder *d, struct ir_sink *sink, enum r2a_err err)
{
    return err != R2A_OK || !d->is_full || d->has_ended
               ? err
               : put_error(d, sink, R2A_ERR_LIMIT,
                           S("The upstream's answer has too many output items."));
}

/* --- the whole answer: usage, status, output --- */

static bool take(const struct member *member, uint32_t bit, struct ir_usage *usage,
                 uint64_t *counter)
{
    int64_t value;

    if (!member_int(member, &value) || value < 0)
        return false;
    *counter = (uint64_t)value;
    usage->has |= bit;
    return true;
}

static enum r2a_err put_usage(struct ir_sink *sink, const struct member *member)
{
    enum { INPUT, INPUT_DETAILS, OUTPUT, OUTPUT_DETAILS };
    static const struct slice names[] = {S_INIT("input_tokens"), S_INIT("input_tokens_details"),
                                         S_INIT("output_tokens"), S_INIT("output_tokens_details")};
    static const struct slice input_names[] = {S_INIT("cached_tokens"),
                                               S_INIT("cache_write_tokens")};
    static const struct slice output_names[] = {S_INIT("reasoning_tokens")};
    struct member members[array_count(names)], input[array_count(input_names)], output;
    struct ir_usage usage = {0};

    if (!member_is(member, JSON_OBJECT) ||
        !members_of(member->raw, names, array_count(names), members))
        return R2A_OK;
    (void)take(&members[INPUT], IR_HAS_INPUT, &usage, &usage.input);
    (void)take(&members[OUTPUT], IR_HAS_OUTPUT, &usage, &usage.output);
    if (member_is(&members[INPUT_DETAILS], JSON_OBJECT) &&
        members_of(members[INPUT_DETAILS].raw, input_names, array_count(input_names), input)) {
        (void)take(&input[0], IR_HAS_CACHE_READ, &usage, &usage.cache_read);
        (void)take(&input[1], IR_HAS_CACHE_WRITE, &usage, &usage.cache_write);
    }
    if (member_is(&members[OUTPUT_DETAILS], JSON_OBJECT) &&
        members_of(members[OUTPUT_DETAILS].raw, output_names, 1, &output))
        (void)take(&output, IR_HAS_REASONING, &usage, &usage.reasoning);
    if (usage.has == 0)
        return R2A_OK;
    return ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

enum response_member {
    R_STATUS,
    R_ERROR,
    R_OUTPUT,
    R_USAGE,
    R_DETAILS,
    R_OBJECT,
    R_MEMBERS,
};
static const struct slice response_names[R_MEMBERS] = {S_INIT("status"),
                                                       S_INIT("error"),
                                                       S_INIT("output"),
                                                       S_INIT("usage"),
                                                       S_INIT("incomplete_details"),
                                                       S_INIT("object")};

/* The output again: all of it when nothing was told before, else what is missing of items that were
 * begun and never done. */
static enum r2a_err put_output(struct decoder *d, struct ir_sink *sink, const struct member *output)
{
    bool is_all = d->items_count == 0;
    struct json_scan scan;
    enum json_token token;
    struct slice raw;

    if (!member_is(output, JSON_ARRAY))
        return R2A_OK;
    json_open(&scan, output->raw);
    (void)json_next(&scan);
    for (uint32_t i = 0; (token = json_next(&scan)) == JSON_OBJECT; i++) {
        char digits[STR_U64_BYTES_MAX];
        struct member index = {.kind = JSON_NUMBER};

        if (!json_skip_after(&scan, token, &raw))
            break;
        index.raw = slice_of(digits, str_from_u64(digits, i));
        if (!is_all &&
            openai_responses_item(d, &index, (struct text){0}, ITEM_OPAQUE, false) == NULL)
            continue;
        OR_TRY(openai_responses_end_item(d, sink, &index, raw));
    }
    return R2A_OK;
}

static enum ir_stop stop_of(const struct decoder *d, struct text status,
                            const struct member *details)
{
    static const struct slice name = S_INIT("reason");
    struct member reason = {0};

    if (text_is(status, S("incomplete"))) {
        if (member_is(details, JSON_OBJECT))
            (void)members_of(details->raw, &name, 1, &reason);
        if (text_is(member_text(&reason), S("content_filter")))
            return IR_STOP_FILTER;
        return reason.kind == JSON_ERROR || text_starts(member_text(&reason), S("max_"))
                   ? IR_STOP_LENGTH
                   : IR_STOP_OTHER;
    }
    if (d->has_calls)
        return IR_STOP_TOOL;
    return d->has_refusal ? IR_STOP_REFUSAL : IR_STOP_END;
}

/* The Response object of a terminal event, or a document. `status`: what the event says. */
static enum r2a_err put_response(struct decoder *d, struct ir_sink *sink, struct slice response,
                                 struct slice event_status)
{
    struct member members[R_MEMBERS];
    struct text status;
    enum ir_stop stop;

    if (!members_of(response, response_names, R_MEMBERS, members))
        return put_error(d, sink, R2A_ERR_INVALID,
                         S("The upstream's answer is not a response object."));
    status = event_status.len > 0 ? text_plain(event_status) : member_text(&members[R_STATUS]);
    OR_TRY(openai_responses_begin(d, sink, response));
    OR_TRY(put_usage(sink, &members[R_USAGE]));
    if (text_is(status, S("failed")) || member_is(&members[R_ERROR], JSON_OBJECT))
        return put_reported(d, sink, response);
    if (text_is(status, S("cancelled")) || text_is(status, S("queued")) ||
        text_is(status, S("in_progress")))
        return put_error(d, sink, R2A_ERR_TRUNCATED,
                         S("The upstream's response has not been finished."));
    OR_TRY(check_room(d, sink, put_output(d, sink, &members[R_OUTPUT])));
    if (d->has_ended)
        return R2A_OK;
    OR_TRY(openai_responses_close_all(d, sink));
    stop = stop_of(d, status, &members[R_DETAILS]);
    if (stop == IR_STOP_OTHER && d->parts_count == 0)
        return put_error(d, sink, R2A_ERR_INVALID,
                         S("The upstream stopped without having said anything."));
    OR_TRY(ir_put(sink, &(struct ir_event){.kind = IR_STOP, .what = (uint8_t)stop}));
    d->has_ended = true;
    return put_plain(sink, IR_END, 0);
}

/* --- events --- */

enum member_name {
    M_TYPE,
    M_ITEM_ID,
    M_OUTPUT_INDEX,
    M_CONTENT_INDEX,
    M_SUMMARY_INDEX,
    M_DELTA,
    M_LOGPROBS,
    M_TEXT,
    M_REFUSAL,
    M_ARGUMENTS,
    M_INPUT,
    M_ITEM,
    M_PART,
    M_RESPONSE,
    M_ANNOTATION,
    M_ERROR,
    M_SEQUENCE,
    M_PADDING,
    MEMBERS,
};

/* Keys are told apart by their length first; the rare escaped ones take the long way. */
static enum member_name member_key(const struct json_scan *scan)
{
    static const struct slice names[MEMBERS] = {
        [M_TYPE] = S_INIT("type"),
        [M_ITEM_ID] = S_INIT("item_id"),
        [M_OUTPUT_INDEX] = S_INIT("output_index"),
        [M_CONTENT_INDEX] = S_INIT("content_index"),
        [M_SUMMARY_INDEX] = S_INIT("summary_index"),
        [M_DELTA] = S_INIT("delta"),
        [M_LOGPROBS] = S_INIT("logprobs"),
        [M_TEXT] = S_INIT("text"),
        [M_REFUSAL] = S_INIT("refusal"),
        [M_ARGUMENTS] = S_INIT("arguments"),
        [M_INPUT] = S_INIT("input"),
        [M_ITEM] = S_INIT("item"),
        [M_PART] = S_INIT("part"),
        [M_RESPONSE] = S_INIT("response"),
        [M_ANNOTATION] = S_INIT("annotation"),
        [M_ERROR] = S_INIT("error"),
        [M_SEQUENCE] = S_INIT("sequence_number"),
        [M_PADDING] = S_INIT("obfuscation"),
    };
    int key;

    switch (scan->text.len) {
    case 5:
        if (json_key_is(scan, S("delta")))
            return M_DELTA;
        break;
    case 7:
        if (json_key_is(scan, S("item_id")))
            return M_ITEM_ID;
        break;
    case 8:
        if (json_key_is(scan, S("logprobs")))
            return M_LOGPROBS;
        break;
    case 12:
        if (json_key_is(scan, S("output_index")))
            return M_OUTPUT_INDEX;
        break;
    case 13:
        if (json_key_is(scan, S("content_index")))
            return M_CONTENT_INDEX;
        break;
    case 15:
        if (json_key_is(scan, S("sequence_number")))
            return M_SEQUENCE;
        break;
    default:
        break;
    }
    key = json_key_index(scan, names, MEMBERS);
    return key < 0 ? MEMBERS : (enum member_name)key;
}

static bool read_members(struct json_scan *scan, struct member *members)
{
    enum json_token token;

    if (json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        enum member_name key = member_key(scan);
        struct slice raw;

        token = json_next(scan);
        if (!json_skip_after(scan, token, &raw))
            return false;
        if (key < MEMBERS && token != JSON_NULL)
            members[key] = (struct member){.kind = (uint8_t)token, .raw = raw};
    }
    return token == JSON_OBJECT_END && json_next(scan) == JSON_END;
}

enum event_type {
    EV_OTHER,
    EV_DELTA,
    EV_DONE,
    EV_ITEM_ADDED,
    EV_ITEM_DONE,
    EV_PART_DONE,
    EV_ANNOTATION,
    EV_CREATED,
    EV_TERMINAL,
    EV_FAILED,
};

struct event_row {
    struct slice type;
    uint8_t event;     /* enum event_type */
    uint8_t part_kind; /* of DELTA and DONE */
    uint8_t item_kind;
    uint8_t value;  /* DONE: the member with the whole */
    uint8_t source; /* of reasoning */
};

#define RUN(name, part, item, value, source)                                    \
    {S_INIT("response." name ".delta"), EV_DELTA, part, item, M_DELTA, source}, \
    {                                                                           \
        S_INIT("response." name ".done"), EV_DONE, part, item, value, source    \
    }

/* clang-format off */
static const struct event_row rows[] = {
    RUN("output_text", IR_PART_TEXT, ITEM_MESSAGE, M_TEXT, 0),
    RUN("function_call_arguments", IR_PART_CALL, ITEM_CALL, M_ARGUMENTS, 0),
    RUN("reasoning_summary_text", IR_PART_REASON, ITEM_REASONING, M_TEXT, REASON_SUMMARY),
    RUN("reasoning_text", IR_PART_REASON, ITEM_REASONING, M_TEXT, REASON_RAW),
    RUN("custom_tool_call_input", IR_PART_CALL, ITEM_CALL, M_INPUT, 0),
    RUN("refusal", IR_PART_REFUSAL, ITEM_MESSAGE, M_REFUSAL, 0),
    {S_INIT("response.output_item.added"), EV_ITEM_ADDED, 0, 0, 0, 0},
    {S_INIT("response.output_item.done"), EV_ITEM_DONE, 0, 0, 0, 0},
    {S_INIT("response.content_part.done"), EV_PART_DONE, 0, 0, 0, 0},
    {S_INIT("response.output_text.annotation.added"), EV_ANNOTATION, 0, 0, 0, 0},
    {S_INIT("response.created"), EV_CREATED, 0, 0, 0, 0},
    {S_INIT("response.completed"), EV_TERMINAL, 0, 0, 0, 0},
    {S_INIT("response.incomplete"), EV_TERMINAL, 0, 0, 0, 0},
    {S_INIT("response.done"), EV_TERMINAL, 0, 0, 0, 0},
    {S_INIT("response.cancelled"), EV_TERMINAL, 0, 0, 0, 0},
    {S_INIT("response.failed"), EV_FAILED, 0, 0, 0, 0},
    {S_INIT("error"), EV_FAILED, 0, 0, 0, 0},
};
/* clang-format on */

static const struct event_row *row_of(struct text type)
{
    static const struct event_row other = {.event = EV_OTHER};

    for (uint32_t i = 0; i < array_count(rows); i++)
        if (text_is(type, rows[i].type))
            return &rows[i];
    return &other;
}

/* *.delta and *.done. */
/* A delta that says its text, its number, and perhaps padding ("obfuscation"). */
static void make_mould(struct decoder *d, const struct member *members, struct slice data)
{
    const struct member *value = &members[M_DELTA], *padding = &members[M_PADDING];
    struct mould_hole holes[3] = {{slice_of(value->raw.ptr + 1, value->raw.len - 2), MOULD_STRING},
                                  {members[M_SEQUENCE].raw, MOULD_NUMBER}};
    uint32_t count = 2;

    if (member_is(padding, JSON_STRING))
        holes[count++] =
            (struct mould_hole){slice_of(padding->raw.ptr + 1, padding->raw.len - 2), MOULD_STRING};
    mould_make(&d->mould, d->brief->arena, data, holes, count);
}

static enum r2a_err put_piece(struct decoder *d, struct ir_sink *sink, const struct event_row *row,
                              const struct member *members, struct slice data)
{
    const struct member *place =
        &members[row->source == REASON_SUMMARY ? M_SUMMARY_INDEX : M_CONTENT_INDEX];
    struct item *item =
        openai_responses_item(d, &members[M_OUTPUT_INDEX], member_text(&members[M_ITEM_ID]),
                              (enum item_kind)row->item_kind, true);
    int64_t at = 0;

    if (item == NULL)
        return R2A_OK;
    if (row->item_kind != item->kind)
        return R2A_OK;
    if (row->part_kind != IR_PART_CALL)
        (void)member_int(place, &at);
    if (at < 0)
        at = 0;
    if (row->part_kind == IR_PART_REASON) {
        if (item->source == REASON_UNKNOWN && member_text(&members[row->value]).len > 0)
            item->source = row->source;
        if (item->source != row->source)
            return R2A_OK;
    }
    if (row->event == EV_DONE)
        return openai_responses_put_whole(d, sink, item, row->part_kind, at,
                                          member_text(&members[row->value]));
    OR_TRY(openai_responses_put_run(d, sink, item, row->part_kind, at,
                                    member_text(&members[M_DELTA])));
    if (members[M_LOGPROBS].raw.len <= 2 && member_is(&members[M_DELTA], JSON_STRING) &&
        member_is(&members[M_SEQUENCE], JSON_NUMBER)) {
        make_mould(d, members, data);
        d->cast = (struct cast){.item = item, .at = at, .part_kind = row->part_kind};
    }
    if (member_is(&members[M_LOGPROBS], JSON_ARRAY) && members[M_LOGPROBS].raw.len > 2 &&
        item->is_open)
        return ir_put(sink, &(struct ir_event){.kind = IR_LOGPROBS,
                                               .part = item->part,
                                               .u.text = member_json(&members[M_LOGPROBS])});
    return R2A_OK;
}

/* A content part that is whole. */
static enum r2a_err put_part_done(struct decoder *d, struct ir_sink *sink,
                                  const struct member *members)
{
    struct item *item = openai_responses_item(d, &members[M_OUTPUT_INDEX],
                                              member_text(&members[M_ITEM_ID]), ITEM_MESSAGE, true);
    int64_t at = 0;

    if (item == NULL)
        return R2A_OK;
    if (item->kind != ITEM_MESSAGE || !member_is(&members[M_PART], JSON_OBJECT))
        return R2A_OK;
    (void)member_int(&members[M_CONTENT_INDEX], &at);
    OR_TRY(openai_responses_put_part(d, sink, item, at < 0 ? 0 : at, members[M_PART].raw));
    return item->at == at ? openai_responses_close_part(d, sink, item) : R2A_OK;
}

static enum r2a_err put_annotation(struct decoder *d, struct ir_sink *sink,
                                   const struct member *members)
{
    struct item *item = openai_responses_item(
        d, &members[M_OUTPUT_INDEX], member_text(&members[M_ITEM_ID]), ITEM_MESSAGE, false);

    if (item == NULL || item->kind != ITEM_MESSAGE ||
        !member_is(&members[M_ANNOTATION], JSON_OBJECT))
        return R2A_OK;
    return openai_responses_put_cite(sink, item, members[M_ANNOTATION].raw);
}

/* `error`, flat or nested, and response.failed: its tokens are spent all the same. */
static enum r2a_err put_failed(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    static const struct slice response_name = S_INIT("response"), usage_name = S_INIT("usage");
    struct member response, usage;

    if (members_of(data, &response_name, 1, &response) && member_is(&response, JSON_OBJECT) &&
        members_of(response.raw, &usage_name, 1, &usage))
        OR_TRY(put_usage(sink, &usage));
    return put_reported(d, sink, data);
}

static enum r2a_err put_event(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    struct member members[MEMBERS];
    const struct event_row *row;
    struct slice values[MOULD_HOLES_MAX];
    struct json_scan scan;
    struct slice raw;

    if (mould_fit(d->mould, data, values) && values[0].len > 0)
        return openai_responses_put_run(d, sink, d->cast.item, d->cast.part_kind, d->cast.at,
                                        text_escaped(values[0]));
    memset(members, 0, sizeof(members));
    json_open(&scan, data);
    if (!read_members(&scan, members))
        return put_undecodable(d, sink, &scan);
    row = row_of(member_text(&members[M_TYPE]));
    raw = member_is(&members[M_ITEM], JSON_OBJECT) ? members[M_ITEM].raw : (struct slice){0};
    switch ((enum event_type)row->event) {
    case EV_DELTA:
    case EV_DONE:
        return put_piece(d, sink, row, members, data);
    case EV_ITEM_ADDED:
        return raw.len > 0 ? openai_responses_add_item(d, sink, &members[M_OUTPUT_INDEX], raw)
                           : R2A_OK;
    case EV_ITEM_DONE:
        return raw.len > 0 ? openai_responses_end_item(d, sink, &members[M_OUTPUT_INDEX], raw)
                           : R2A_OK;
    case EV_PART_DONE:
        return put_part_done(d, sink, members);
    case EV_ANNOTATION:
        return put_annotation(d, sink, members);
    case EV_CREATED:
        return openai_responses_begin(d, sink, members[M_RESPONSE].raw);
    case EV_TERMINAL:
        return put_response(d, sink, members[M_RESPONSE].raw,
                            text_is(member_text(&members[M_TYPE]), S("response.incomplete"))
                                ? S("incomplete")
                                : (struct slice){0});
    case EV_FAILED:
        return put_failed(d, sink, data);
    case EV_OTHER:
        break;
    }
    /* An error of a proxy in between, or of a server that has no word for it. */
    if (member_is(&members[M_ERROR], JSON_OBJECT) && members[M_TYPE].kind == JSON_ERROR)
        return put_reported(d, sink, data);
    return put_plain(sink, IR_ALIVE, 0);
}

/* --- the end --- */

enum r2a_err openai_responses_finish(void *decoder, struct ir_sink *sink)
{
    struct decoder *d = decoder;

    if (d->has_ended)
        return R2A_OK;
    return put_error(d, sink, R2A_ERR_TRUNCATED,
                     d->has_begun ? S("upstream closed the stream before it finished")
                                  : S("The upstream ended without an answer."));
}

/* An object with an `error` and no output is what every proxy in between may send. */
static enum r2a_err put_document(struct decoder *d, struct ir_sink *sink, struct slice data)
{
    struct member members[R_MEMBERS];
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, data);
    token = json_next(&scan);
    if (token != JSON_OBJECT || !json_skip_after(&scan, token, NULL) ||
        json_next(&scan) != JSON_END)
        return put_undecodable(d, sink, &scan);
    (void)members_of(data, response_names, R_MEMBERS, members);
    if (!member_is(&members[R_OUTPUT], JSON_ARRAY) &&
        (member_is(&members[R_ERROR], JSON_OBJECT) || member_is(&members[R_ERROR], JSON_STRING)))
        return put_reported(d, sink, data);
    if (!member_is(&members[R_OUTPUT], JSON_ARRAY))
        return put_error(d, sink, R2A_ERR_INVALID,
                         S("The upstream's answer is not a response object."));
    return put_response(d, sink, data, (struct slice){0});
}

enum r2a_err openai_responses_decode(void *decoder, const struct frame *frame, struct ir_sink *sink)
{
    struct decoder *d = decoder;
    struct slice data = frame->data;

    if (d->has_ended)
        return R2A_OK;
    switch ((enum frame_kind)frame->kind) {
    case FRAME_COMMENT: /* without text it may be a blank line: how many come depends on the cut */
        return data.len > 0 ? put_plain(sink, IR_ALIVE, 0) : R2A_OK;
    case FRAME_STRAY:
    case FRAME_ERROR:
        return put_reported(d, sink, data);
    case FRAME_DATA:
    case FRAME_DOCUMENT:
        break;
    }
    if (data.len == 0 || data.ptr[0] != '{')
        data = str_trim_lines(data);
    if (frame->kind == FRAME_DATA) {
        if (data.len == 0 || slice_eq(data, S("[DONE]")))
            return R2A_OK;
        if (slice_eq(frame->name, S("error")))
            return put_failed(d, sink, data);
        return check_room(d, sink, put_event(d, sink, data));
    }
    if (data.len > 0 && data.ptr[0] == '[') /* an error object in an array */
        return put_reported(d, sink, data);
    return put_document(d, sink, data);
}
