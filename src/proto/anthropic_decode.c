#include "anthropic.h"
#include "member.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"

/* The Messages API's answer, stream or document, as events (conversion.md 3.2, 3.3, 3.4).
 *
 * Blocks come one after another and each is one part, numbered by appearance. What the stream says
 * of counters is cumulative: the decoder keeps the vendor's own numbers and puts sums. The reason
 * to stop arrives before the terminator and waits for it. */

struct decoder {
    const struct target *target;
    const struct brief *brief;
    bool has_begun, has_ended, has_stop, is_open, is_custom, has_args;
    bool has_output; /* something was said, called or thought */
    uint8_t kind;    /* of the open part */
    uint8_t stop;    /* enum ir_stop */
    uint32_t part;   /* number of the open part; parts seen when none is */
    uint8_t hold_len;
    char hold[TEXT_HOLD_BYTES_MAX];
    struct text input;                     /* of a call's start: its arguments if nothing follows */
    struct text stop_sequence, stop_words; /* arena */
    struct slice signature;                /* arena */
    struct unwrap unwrap;
    /* the vendor's counters; IR_HAS_* bits in `counted` */
    uint32_t counted;
    uint64_t input_tokens, cache_read, cache_write, cache_write_1h, output_tokens, thinking_tokens;
};

_Static_assert(sizeof(struct decoder) <= ANTHROPIC_DECODER_SIZE, "the row says how much to take");

void anthropic_decoder_init(void *decoder, const struct target *target, const struct brief *brief)
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

/* --- begin, usage --- */

static enum r2a_err begin(struct decoder *d, struct ir_sink *sink, struct text id,
                          struct text model)
{
    if (d->has_begun)
        return R2A_OK;
    d->has_begun = true;
    return put_open(sink, IR_BEGIN, 0, 0, 0, id, model);
}

static bool count_of(const struct member *member, uint64_t *value)
{
    int64_t number;

    if (!member_int(member, &number) || number < 0)
        return false;
    *value = (uint64_t)number;
    return true;
}

/* Absent means unchanged: message_delta may bring all counters again, or only the output. */
static enum r2a_err read_usage(struct decoder *d, struct slice raw, struct ir_sink *sink)
{
    enum { INPUT, OUTPUT, READ, WRITE, WRITES, DETAILS, NAMES };
    static const struct slice names[NAMES] = {S_INIT("input_tokens"),
                                              S_INIT("output_tokens"),
                                              S_INIT("cache_read_input_tokens"),
                                              S_INIT("cache_creation_input_tokens"),
                                              S_INIT("cache_creation"),
                                              S_INIT("output_tokens_details")};
    static const struct slice write_names[] = {S_INIT("ephemeral_1h_input_tokens")};
    static const struct slice detail_names[] = {S_INIT("thinking_tokens")};
    struct member found[NAMES], inner[1];
    struct ir_usage usage = {0};

    if (!members_of(raw, names, NAMES, found))
        return R2A_OK;
    if (count_of(&found[INPUT], &d->input_tokens))
        d->counted |= IR_HAS_INPUT;
    if (count_of(&found[OUTPUT], &d->output_tokens))
        d->counted |= IR_HAS_OUTPUT;
    if (count_of(&found[READ], &d->cache_read))
        d->counted |= IR_HAS_CACHE_READ;
    if (count_of(&found[WRITE], &d->cache_write))
        d->counted |= IR_HAS_CACHE_WRITE;
    if (member_is(&found[WRITES], JSON_OBJECT) &&
        members_of(found[WRITES].raw, write_names, 1, inner) &&
        count_of(&inner[0], &d->cache_write_1h))
        d->counted |= IR_HAS_CACHE_WRITE_1H;
    if (member_is(&found[DETAILS], JSON_OBJECT) &&
        members_of(found[DETAILS].raw, detail_names, 1, inner) &&
        count_of(&inner[0], &d->thinking_tokens))
        d->counted |= IR_HAS_REASONING;
    if (d->counted == 0)
        return R2A_OK;
    usage = (struct ir_usage){.has = d->counted,
                              .input = d->input_tokens + d->cache_read + d->cache_write,
                              .cache_read = d->cache_read,
                              .cache_write = d->cache_write,
                              .cache_write_1h = d->cache_write_1h,
                              .output = d->output_tokens,
                              .reasoning = d->thinking_tokens};
    return ir_put(sink, &(struct ir_event){.kind = IR_USAGE, .u.usage = &usage});
}

/* --- blocks --- */

struct free_text {
    struct ir_sink *sink;
    uint32_t part;
};

static enum r2a_err put_free_text(void *context, struct text text)
{
    struct free_text *free_text = context;

    return put_text(free_text->sink, 0, free_text->part, text);
}

/* A piece of the open part. Half a surrogate pair waits for the other half. */
static enum r2a_err put_piece(struct decoder *d, struct ir_sink *sink, struct text piece,
                              bool has_escape)
{
    size_t safe;

    if (piece.len == 0)
        return R2A_OK;
    d->has_output = true;
    if (d->hold_len > 0) {
        size_t len = d->hold_len + piece.len;
        char *joined = arena_take(d->brief->arena, len);

        if (joined == NULL)
            return R2A_ERR_NO_MEMORY;
        memcpy(joined, d->hold, d->hold_len);
        memcpy(joined + d->hold_len, piece.ptr, piece.len);
        piece = text_escaped(slice_of(joined, len));
        d->hold_len = 0;
        has_escape = true;
    }
    if (has_escape) {
        safe = text_safe_len(piece);
        if (piece.len - safe <= sizeof(d->hold)) {
            d->hold_len = (uint8_t)(piece.len - safe);
            memcpy(d->hold, piece.ptr + safe, d->hold_len);
            piece.len = (uint32_t)safe;
        }
    }
    if (piece.len == 0)
        return R2A_OK;
    if (d->is_custom) {
        struct free_text free_text = {.sink = sink, .part = d->part};

        return unwrap_feed(&d->unwrap, piece, put_free_text, &free_text);
    }
    return put_text(sink, 0, d->part, piece);
}

static enum r2a_err close_part(struct decoder *d, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    if (!d->is_open)
        return R2A_OK;
    if (d->hold_len > 0) { /* the other half never came */
        char kept[sizeof(d->hold)];
        uint8_t len = d->hold_len;

        memcpy(kept, d->hold, len);
        d->hold_len = 0;
        err = put_text(sink, 0, d->part, text_escaped(slice_of(kept, len)));
    }
    if (err == R2A_OK && d->kind == IR_PART_CALL && !d->has_args) {
        struct text args = d->input.len > 0 ? d->input : text_json(S("{}"));

        if (!d->is_custom || d->input.len > 0)
            err = put_piece(d, sink, args, false);
    }
    if (err == R2A_OK && d->is_custom) {
        struct free_text free_text = {.sink = sink, .part = d->part};

        err = unwrap_end(&d->unwrap, put_free_text, &free_text);
    }
    if (err == R2A_OK && d->signature.len > 0)
        err =
            put_field(sink, IR_FIELD_SEAL, d->part, text_escaped(d->signature), IR_SEAL_SIGNATURE);
    if (err == R2A_OK)
        err = put_part_end(sink, d->kind, d->part);
    d->is_open = false;
    d->part++;
    return err;
}

static enum r2a_err open_part(struct decoder *d, struct ir_sink *sink, uint8_t kind)
{
    enum r2a_err err = close_part(d, sink);

    d->is_open = true;
    d->kind = kind;
    d->has_output |= kind != IR_PART_TEXT && kind != IR_PART_REASON;
    d->is_custom = d->has_args = false;
    d->input = (struct text){0};
    d->signature = (struct slice){0};
    d->unwrap = (struct unwrap){0};
    return err;
}

static enum r2a_err open_plain(struct decoder *d, struct ir_sink *sink, uint8_t kind)
{
    enum r2a_err err = open_part(d, sink, kind);

    if (err != R2A_OK)
        return err;
    return put_open(sink, IR_PART, kind, 0, d->part, (struct text){0}, (struct text){0});
}

static enum r2a_err put_cite(struct decoder *d, struct ir_sink *sink, struct slice raw)
{
    enum { URL, SOURCE, TITLE, DOCUMENT_TITLE, TEXT, DOCUMENT, NAMES };
    static const struct slice names[NAMES] = {S_INIT("url"),        S_INIT("source"),
                                              S_INIT("title"),      S_INIT("document_title"),
                                              S_INIT("cited_text"), S_INIT("document_index")};
    struct member found[NAMES];
    struct ir_cite cite = {.start = -1, .end = -1, .document = -1};
    struct ir_event event = {.kind = IR_CITE, .part = d->part, .u.cite = &cite};

    if (!members_of(raw, names, NAMES, found))
        return R2A_OK;
    cite.url = member_text(&found[URL]);
    if (cite.url.len == 0)
        cite.url = member_text(&found[SOURCE]);
    cite.title =
        member_text(&found[member_is(&found[TITLE], JSON_STRING) ? TITLE : DOCUMENT_TITLE]);
    cite.quoted = member_text(&found[TEXT]);
    cite.raw = text_json(raw);
    if (!member_int(&found[DOCUMENT], &cite.document))
        cite.document = -1;
    return ir_put(sink, &event);
}

static enum r2a_err put_cites(struct decoder *d, struct ir_sink *sink, struct slice raw)
{
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;

    json_open(&scan, raw);
    if (json_next(&scan) != JSON_ARRAY)
        return R2A_OK;
    while (err == R2A_OK && (token = json_next(&scan)) == JSON_OBJECT) {
        struct slice one;

        if (!json_skip_after(&scan, token, &one))
            break;
        err = put_cite(d, sink, one);
    }
    return err;
}

/* A content_block of a start event, or of a document. */
static enum r2a_err open_block(struct decoder *d, struct ir_sink *sink, struct slice raw)
{
    enum { TYPE, TEXT, THINKING, SIGNATURE, DATA, ID, NAME, INPUT, CITATIONS, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("type"), S_INIT("text"), S_INIT("thinking"), S_INIT("signature"), S_INIT("data"),
        S_INIT("id"),   S_INIT("name"), S_INIT("input"),    S_INIT("citations")};
    struct member found[NAMES];
    struct text type;
    enum r2a_err err;

    if (!members_of(raw, names, NAMES, found))
        return R2A_OK;
    type = member_text(&found[TYPE]);
    if (text_is(type, S("text"))) {
        err = open_plain(d, sink, IR_PART_TEXT);
        if (err == R2A_OK)
            err = put_piece(d, sink, member_text(&found[TEXT]), true);
        if (err == R2A_OK && member_is(&found[CITATIONS], JSON_ARRAY))
            err = put_cites(d, sink, found[CITATIONS].raw);
    } else if (text_is(type, S("thinking"))) {
        err = open_plain(d, sink, IR_PART_REASON);
        if (err == R2A_OK)
            err = put_piece(d, sink, member_text(&found[THINKING]), true);
        d->signature = arena_copy(d->brief->arena, text_bytes(member_text(&found[SIGNATURE])));
    } else if (text_is(type, S("redacted_thinking"))) {
        err = open_plain(d, sink, IR_PART_REDACTED);
        if (err == R2A_OK)
            err = put_field(sink, IR_FIELD_SEAL, d->part, member_text(&found[DATA]),
                            IR_SEAL_REDACTED);
    } else if (text_is(type, S("tool_use"))) {
        struct text id = member_text(&found[ID]);
        char made[32];

        if (member_text(&found[NAME]).len == 0)
            return put_broken(d, sink, S("upstream made a tool call without a name"),
                              R2A_ERR_INVALID);
        err = open_part(d, sink, IR_PART_CALL);
        if (id.len == 0)
            id = text_plain(slice_of(
                made, brief_make_id(d->brief, d->brief->ids_made + d->part, S("call_"), made)));
        if (err == R2A_OK)
            err = call_put_open(sink, d->brief, 0, d->part, 0, id, member_text(&found[NAME]),
                                &d->is_custom);
        if (member_is(&found[INPUT], JSON_OBJECT) && found[INPUT].raw.len > 2)
            d->input = text_json(arena_copy(d->brief->arena, found[INPUT].raw));
    } else {
        err = open_part(d, sink, IR_PART_OPAQUE);
        if (err == R2A_OK)
            err = put_open(sink, IR_PART, IR_PART_OPAQUE, 0, d->part, text_plain(S("anthropic")),
                           type);
        if (err == R2A_OK)
            err = put_text(sink, 0, d->part, text_json(raw));
    }
    return err;
}

/* --- stop --- */

static uint8_t stop_of(struct text reason)
{
    static const struct {
        struct slice name;
        uint8_t stop;
    } rows[] = {{S_INIT("end_turn"), IR_STOP_END},
                {S_INIT("tool_use"), IR_STOP_TOOL},
                {S_INIT("max_tokens"), IR_STOP_LENGTH},
                {S_INIT("stop_sequence"), IR_STOP_SEQUENCE},
                {S_INIT("model_context_window_exceeded"), IR_STOP_CONTEXT},
                {S_INIT("refusal"), IR_STOP_REFUSAL},
                {S_INIT("pause_turn"), IR_STOP_PAUSE},
                {S_INIT("compaction"), IR_STOP_PAUSE}};

    for (uint32_t i = 0; i < array_count(rows); i++)
        if (text_is(reason, rows[i].name))
            return rows[i].stop;
    return IR_STOP_OTHER;
}

static struct text keep_text(struct decoder *d, struct text text)
{
    return text_escaped(arena_copy(d->brief->arena, text_bytes(text)));
}

static void read_stop(struct decoder *d, const struct member *reason, const struct member *sequence,
                      const struct member *details)
{
    static const struct slice names[] = {S_INIT("explanation")};
    struct member found[1];

    if (member_is(reason, JSON_STRING)) {
        d->has_stop = true;
        d->stop = stop_of(member_text(reason));
    }
    if (member_is(sequence, JSON_STRING))
        d->stop_sequence = keep_text(d, member_text(sequence));
    if (member_is(details, JSON_OBJECT) && members_of(details->raw, names, 1, found))
        d->stop_words = keep_text(d, member_text(&found[0]));
}

static enum r2a_err end(struct decoder *d, struct ir_sink *sink)
{
    enum r2a_err err = begin(d, sink, (struct text){0}, (struct text){0});

    if (err == R2A_OK)
        err = close_part(d, sink);
    /* An end nobody understands, and nothing before it, is no answer (3.3, note 2). */
    if (err == R2A_OK && d->stop == IR_STOP_OTHER && !d->has_output)
        return put_broken(d, sink, S("upstream produced nothing"), R2A_ERR_INVALID);
    if (err == R2A_OK)
        err = put_open(sink, IR_STOP, d->stop, 0, 0, d->stop_sequence, d->stop_words);
    d->has_ended = true;
    return err == R2A_OK ? put_plain(sink, IR_END, 0) : err;
}

/* --- documents --- */

static enum r2a_err read_document(struct decoder *d, struct slice body, struct ir_sink *sink)
{
    enum { TYPE, ID, MODEL, CONTENT, REASON, SEQUENCE, DETAILS, USAGE, ERROR, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("type"),         S_INIT("id"),          S_INIT("model"),
        S_INIT("content"),      S_INIT("stop_reason"), S_INIT("stop_sequence"),
        S_INIT("stop_details"), S_INIT("usage"),       S_INIT("error")};
    struct member found[NAMES];
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err;

    json_open(&scan, body);
    if (json_next(&scan) != JSON_OBJECT ||
        !members_read(&scan, names, NAMES, found, NULL, NULL, NULL) || json_next(&scan) != JSON_END)
        return put_broken(d, sink, S("upstream sent an answer that is not valid JSON"),
                          scan.err == R2A_ERR_JSON_END ? R2A_ERR_TRUNCATED : scan.err);
    if (!member_is(&found[CONTENT], JSON_ARRAY)) {
        if (member_is(&found[ERROR], JSON_ERROR) && !text_is(member_text(&found[TYPE]), S("error")))
            return put_broken(d, sink, S("upstream sent an answer that is no message"),
                              R2A_ERR_INVALID);
        return put_error_body(d, sink, body);
    }
    err = begin(d, sink, member_text(&found[ID]), member_text(&found[MODEL]));
    json_open(&scan, found[CONTENT].raw);
    json_next(&scan);
    while (err == R2A_OK && !d->has_ended && (token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice block;

        if (!json_skip_after(&scan, token, &block))
            break;
        err = open_block(d, sink, block);
        if (err == R2A_OK)
            err = close_part(d, sink);
    }
    if (d->has_ended) /* by an error */
        return err;
    if (err == R2A_OK && member_is(&found[USAGE], JSON_OBJECT))
        err = read_usage(d, found[USAGE].raw, sink);
    d->stop = IR_STOP_OTHER;
    read_stop(d, &found[REASON], &found[SEQUENCE], &found[DETAILS]);
    return err == R2A_OK ? end(d, sink) : err;
}

/* --- the stream --- */

/* One event, its `delta` taken apart on the way: no byte of a delta is scanned twice. */
enum delta {
    DELTA_OTHER,
    DELTA_IS_TEXT,
    DELTA_IS_ARGS,
    DELTA_IS_THINKING,
    DELTA_IS_SIGNATURE,
    DELTA_IS_CITATION
};

struct event {
    struct text type;
    struct member message, content_block, usage, error;
    uint8_t delta;     /* enum delta */
    struct text value; /* text, thinking, partial_json or signature: whichever the delta has */
    bool value_escaped;
    struct member citation, stop_reason, stop_sequence, stop_details;
};

enum root_key {
    ROOT_TYPE,
    ROOT_INDEX,
    ROOT_DELTA,
    ROOT_BLOCK,
    ROOT_MESSAGE,
    ROOT_USAGE,
    ROOT_ERROR
};
enum delta_key {
    DELTA_TYPE,
    DELTA_TEXT,
    DELTA_PARTIAL_JSON,
    DELTA_THINKING,
    DELTA_SIGNATURE,
    DELTA_CITATION,
    DELTA_REASON,
    DELTA_SEQUENCE,
    DELTA_DETAILS
};

static bool read_member(struct json_scan *scan, struct member *member)
{
    enum json_token token = json_next(scan);

    *member = (struct member){.kind = (uint8_t)(token == JSON_NULL ? JSON_ERROR : token)};
    return json_skip_after(scan, token, &member->raw);
}

static bool read_text(struct json_scan *scan, struct text *text, bool *has_escape)
{
    enum json_token token = json_next(scan);

    *text = (struct text){0};
    if (token != JSON_STRING)
        return json_skip_after(scan, token, NULL);
    *text = text_escaped(scan->text);
    *has_escape = scan->has_escape;
    return true;
}

static enum delta delta_of(struct text type)
{
    if (text_is(type, S("text_delta")))
        return DELTA_IS_TEXT;
    if (text_is(type, S("input_json_delta")))
        return DELTA_IS_ARGS;
    if (text_is(type, S("thinking_delta")))
        return DELTA_IS_THINKING;
    if (text_is(type, S("signature_delta")))
        return DELTA_IS_SIGNATURE;
    return text_is(type, S("citations_delta")) ? DELTA_IS_CITATION : DELTA_OTHER;
}

/* Whether a delta is spelt as the vendor spells it, which nearly all events of a stream are: then
 * only its string has to be scanned. Everything else, and every mistake, is read_event's. */
static bool read_usual_delta(struct slice data, struct event *event)
{
    static const struct slice head = S_INIT("{\"type\":\"content_block_delta\",\"index\":");
    static const struct slice middle = S_INIT(",\"delta\":{\"type\":\"");
    static const struct {
        struct slice key;
        uint8_t delta;
    } rows[] = {{S_INIT("text_delta\",\"text\":\""), DELTA_IS_TEXT},
                {S_INIT("input_json_delta\",\"partial_json\":\""), DELTA_IS_ARGS},
                {S_INIT("thinking_delta\",\"thinking\":\""), DELTA_IS_THINKING}};
    const char *at, *end;
    struct json_scan scan;
    uint32_t row, braces = 0;
    ptrdiff_t digits;

    if (data.len <= head.len || memcmp(data.ptr, head.ptr, head.len) != 0)
        return false;
    at = data.ptr + head.len;
    end = data.ptr + data.len;
    while (at < end && char_is_digit(*at))
        at++;
    digits = at - (data.ptr + head.len);
    if (digits == 0 || (digits > 1 && data.ptr[head.len] == '0') ||
        (size_t)(end - at) <= middle.len || memcmp(at, middle.ptr, middle.len) != 0)
        return false;
    at += middle.len;
    for (row = 0; row < array_count(rows); row++)
        if ((size_t)(end - at) > rows[row].key.len &&
            memcmp(at, rows[row].key.ptr, rows[row].key.len) == 0)
            break;
    if (row == array_count(rows))
        return false;
    json_open(&scan, slice_between(at + rows[row].key.len - 1, end));
    if (json_next(&scan) != JSON_STRING)
        return false;
    for (at = scan.text.ptr + scan.text.len + 1; at < end; at++) {
        if (*at == '}')
            braces++;
        else if (*at != ' ')
            return false;
    }
    event->delta = rows[row].delta;
    event->value = text_escaped(scan.text);
    event->value_escaped = scan.has_escape;
    return braces == 2;
}

static bool read_delta(struct json_scan *scan, struct event *event)
{
    struct text type = {0};
    static const struct slice names[] = {
        S_INIT("type"),        S_INIT("text"),          S_INIT("partial_json"),
        S_INIT("thinking"),    S_INIT("signature"),     S_INIT("citation"),
        S_INIT("stop_reason"), S_INIT("stop_sequence"), S_INIT("stop_details")};
    enum json_token token = json_next(scan);
    bool ignored;

    if (token != JSON_OBJECT)
        return json_skip_after(scan, token, NULL);
    while ((token = json_next(scan)) == JSON_KEY) {
        bool is_good = true;

        switch (json_key_index(scan, names, array_count(names))) {
        case DELTA_TYPE:
            is_good = read_text(scan, &type, &ignored);
            break;
        case DELTA_TEXT:
        case DELTA_PARTIAL_JSON:
        case DELTA_THINKING:
        case DELTA_SIGNATURE:
            is_good = read_text(scan, &event->value, &event->value_escaped);
            break;
        case DELTA_CITATION:
            is_good = read_member(scan, &event->citation);
            break;
        case DELTA_REASON:
            is_good = read_member(scan, &event->stop_reason);
            break;
        case DELTA_SEQUENCE:
            is_good = read_member(scan, &event->stop_sequence);
            break;
        case DELTA_DETAILS:
            is_good = read_member(scan, &event->stop_details);
            break;
        default:
            is_good = json_skip(scan, NULL);
            break;
        }
        if (!is_good)
            return false;
    }
    event->delta = (uint8_t)delta_of(type);
    return token == JSON_OBJECT_END;
}

static bool read_event(struct json_scan *scan, struct event *event)
{
    static const struct slice names[] = {
        S_INIT("type"),    S_INIT("index"), S_INIT("delta"), S_INIT("content_block"),
        S_INIT("message"), S_INIT("usage"), S_INIT("error")};
    enum json_token token;
    bool ignored;

    if (json_next(scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(scan)) == JSON_KEY) {
        bool is_good = true;

        switch (json_key_index(scan, names, array_count(names))) {
        case ROOT_TYPE:
            is_good = read_text(scan, &event->type, &ignored);
            break;
        case ROOT_DELTA:
            is_good = read_delta(scan, event);
            break;
        case ROOT_BLOCK:
            is_good = read_member(scan, &event->content_block);
            break;
        case ROOT_MESSAGE:
            is_good = read_member(scan, &event->message);
            break;
        case ROOT_USAGE:
            is_good = read_member(scan, &event->usage);
            break;
        case ROOT_ERROR:
            is_good = read_member(scan, &event->error);
            break;
        default: /* the index too: blocks follow one another */
            is_good = json_skip(scan, NULL);
            break;
        }
        if (!is_good)
            return false;
    }
    return token == JSON_OBJECT_END && json_next(scan) == JSON_END;
}

/* A delta whose block was never announced, or is of another kind, gets a block of its own: nothing
 * the model said is lost. Arguments without a call have no owner. */
static enum r2a_err need_part(struct decoder *d, struct ir_sink *sink, uint8_t kind)
{
    return d->is_open && d->kind == kind ? R2A_OK : open_plain(d, sink, kind);
}

static enum r2a_err on_delta(struct decoder *d, const struct event *event, struct ir_sink *sink)
{
    enum r2a_err err = begin(d, sink, (struct text){0}, (struct text){0});

    if (err != R2A_OK)
        return err;
    switch ((enum delta)event->delta) {
    case DELTA_IS_TEXT:
    case DELTA_IS_THINKING:
        if (event->value.len == 0)
            return R2A_OK;
        err = need_part(d, sink, event->delta == DELTA_IS_TEXT ? IR_PART_TEXT : IR_PART_REASON);
        return err == R2A_OK ? put_piece(d, sink, event->value, event->value_escaped) : err;
    case DELTA_IS_ARGS:
        if (!d->is_open || event->value.len == 0 ||
            (d->kind != IR_PART_CALL && d->kind != IR_PART_OPAQUE))
            return R2A_OK;
        d->has_args = true;
        return put_piece(d, sink, event->value, event->value_escaped);
    case DELTA_IS_SIGNATURE:
        err = need_part(d, sink, IR_PART_REASON);
        d->signature = arena_copy(d->brief->arena, text_bytes(event->value));
        return err;
    case DELTA_IS_CITATION:
        if (!member_is(&event->citation, JSON_OBJECT) || !d->is_open || d->kind != IR_PART_TEXT)
            return R2A_OK;
        return put_cite(d, sink, event->citation.raw);
    case DELTA_OTHER:
        break;
    }
    return R2A_OK;
}

static enum r2a_err on_start(struct decoder *d, const struct event *event, struct ir_sink *sink)
{
    enum { ID, MODEL, USAGE, NAMES };
    static const struct slice names[NAMES] = {S_INIT("id"), S_INIT("model"), S_INIT("usage")};
    struct member found[NAMES];
    enum r2a_err err;

    if (!member_is(&event->message, JSON_OBJECT) ||
        !members_of(event->message.raw, names, NAMES, found))
        return begin(d, sink, (struct text){0}, (struct text){0});
    err = begin(d, sink, member_text(&found[ID]), member_text(&found[MODEL]));
    if (err == R2A_OK && member_is(&found[USAGE], JSON_OBJECT))
        err = read_usage(d, found[USAGE].raw, sink);
    return err;
}

static enum r2a_err read_data(struct decoder *d, const struct frame *frame, struct ir_sink *sink)
{
    struct event event;
    struct json_scan scan;
    struct text type;
    enum r2a_err err;

    if (read_usual_delta(frame->data, &event))
        return on_delta(d, &event, sink);
    event = (struct event){0};
    json_open(&scan, frame->data);
    if (!read_event(&scan, &event)) {
        struct text words = text_trim(text_plain(frame->data));

        /* Some look-alikes end as Chat Completions does; an empty event keeps a connection alive.
         */
        if (text_is(words, S("[DONE]")) || (words.len == 0 && !slice_eq(frame->name, S("error"))))
            return R2A_OK;
        if (slice_eq(frame->name, S("ping")))
            return put_plain(sink, IR_ALIVE, 0);
        return put_broken(d, sink, S("upstream sent an event that is not valid JSON"),
                          R2A_ERR_JSON_SYNTAX);
    }
    type = event.type.len > 0 ? event.type : text_plain(frame->name);
    if (text_is(type, S("content_block_delta")))
        return on_delta(d, &event, sink);
    if (text_is(type, S("content_block_start"))) {
        err = begin(d, sink, (struct text){0}, (struct text){0});
        if (err == R2A_OK && member_is(&event.content_block, JSON_OBJECT))
            err = open_block(d, sink, event.content_block.raw);
        return err;
    }
    if (text_is(type, S("content_block_stop")))
        return close_part(d, sink);
    if (text_is(type, S("ping")))
        return put_plain(sink, IR_ALIVE, 0);
    if (text_is(type, S("message_start")))
        return on_start(d, &event, sink);
    if (text_is(type, S("message_delta"))) {
        err = begin(d, sink, (struct text){0}, (struct text){0});
        read_stop(d, &event.stop_reason, &event.stop_sequence, &event.stop_details);
        if (err == R2A_OK && member_is(&event.usage, JSON_OBJECT))
            err = read_usage(d, event.usage.raw, sink);
        return err;
    }
    if (text_is(type, S("message_stop"))) {
        if (!d->has_stop)
            d->stop = IR_STOP_OTHER;
        return end(d, sink);
    }
    if (text_is(type, S("error")) || member_is(&event.error, JSON_OBJECT))
        return put_error_body(d, sink, frame->data);
    return R2A_OK; /* unknown events are to be ignored */
}

enum r2a_err anthropic_decode(void *decoder, const struct frame *frame, struct ir_sink *sink)
{
    struct decoder *d = decoder;

    if (d->has_ended)
        return R2A_OK;
    switch ((enum frame_kind)frame->kind) {
    case FRAME_DATA:
        return read_data(d, frame, sink);
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

enum r2a_err anthropic_finish(void *decoder, struct ir_sink *sink)
{
    struct decoder *d = decoder;

    if (d->has_ended)
        return R2A_OK;
    if (d->has_stop)
        return end(d, sink);
    return put_broken(d, sink, S("upstream closed the stream before it finished"),
                      R2A_ERR_TRUNCATED);
}
