#include "gemini.h"
#include "r2a/core/base64.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"

/* Events for a client of generateContent: a stream of `data: ` lines and nothing else (the SDKs
 * fail on any other line), a JSON array that grows, or one document (conversion.md 3.5).
 *
 * Every chunk is a whole response. Text and, if the client asked, thoughts leave as they come;
 * calls, images and parts of this dialect leave whole at their end. A secret waits for the first
 * call behind its thought, for that is where clients carry it; without one it follows on an empty
 * thought part. finishReason and the counters stand in the last chunk only. In a document all parts
 * wait, in order. */

/* A part that has not left yet. */
struct part {
    struct part *next;
    uint32_t number;
    uint8_t choice, kind, flags;
    bool has_ended, has_seal, has_text;
    struct text id, name; /* arena */
    struct text mime;
    struct text seal; /* as the client reads it: thoughtSignature */
    struct rope body; /* text escaped, arguments plain */
    /* what the seal is made of */
    uint8_t seal_family;
    struct text secret, item_id;
};

struct choice {
    bool has_refusal;
    uint8_t stop;
    struct text stop_words;
    struct part *sealed; /* stream: the thought whose secret waits for a call */
    struct rope cites;   /* entries of citationMetadata */
    struct rope logprobs_chosen, logprobs_top;
};

struct encoder {
    const struct brief *brief;
    uint8_t shape;
    bool has_begun, has_ended;
    struct part *parts, *parts_last;
    struct choice *choices[CHOICES_MAX]; /* arena */
    struct text model;
    struct slice tail; /* what ends every chunk of one part of choice 0, once made; arena */
    struct ir_usage usage;
    size_t kept_bytes;
    enum r2a_err err;
};

_Static_assert(sizeof(struct encoder) <= GEMINI_ENCODER_SIZE, "the row says how much to take");

void gemini_encoder_init(void *encoder, const struct brief *brief)
{
    struct encoder *e = encoder;

    *e = (struct encoder){.brief = brief, .shape = brief->shape};
}

void gemini_encoder_drop(void *encoder)
{
    struct encoder *e = encoder;

    for (struct part *part = e->parts; part != NULL; part = part->next)
        rope_clear(&part->body);
    for (uint32_t i = 0; i < CHOICES_MAX; i++) {
        if (e->choices[i] == NULL)
            continue;
        rope_clear(&e->choices[i]->cites);
        rope_clear(&e->choices[i]->logprobs_chosen);
        rope_clear(&e->choices[i]->logprobs_top);
    }
}

static bool is_document(const struct encoder *e)
{
    return e->shape == BRIEF_DOCUMENT;
}

static struct text keep(struct encoder *e, struct text text)
{
    struct slice copy = arena_copy(e->brief->arena, text_bytes(text));

    if (copy.len < text.len)
        e->err = R2A_ERR_NO_MEMORY;
    return (struct text){copy.ptr, (uint32_t)copy.len, text.form};
}

/* Never NULL: without memory a choice that nobody reads. */
static struct choice *choice_at(struct encoder *e, uint8_t index)
{
    static struct choice nowhere = {.cites.err = R2A_ERR_NO_MEMORY,
                                    .logprobs_chosen.err = R2A_ERR_NO_MEMORY,
                                    .logprobs_top.err = R2A_ERR_NO_MEMORY};
    struct choice *choice = e->choices[index];

    if (choice == NULL) {
        choice = e->choices[index] = arena_take_zero(e->brief->arena, sizeof(*choice));
        if (choice == NULL) {
            e->err = R2A_ERR_NO_MEMORY;
            return &nowhere;
        }
        choice->cites.mem = choice->logprobs_chosen.mem = choice->logprobs_top.mem = e->brief->mem;
        choice->cites.bytes_max = choice->logprobs_chosen.bytes_max =
            choice->logprobs_top.bytes_max = e->brief->output_bytes_max;
    }
    return choice;
}

/* --- chunks --- */

/* `{"candidates":[` with what the framing wants before it. */
static void open_chunk(struct encoder *e, struct rope *out)
{
    if (e->shape == BRIEF_SSE)
        rope_put(out, S("data: "));
    else if (e->shape == BRIEF_JSON_ARRAY)
        rope_put(out, e->has_begun ? S(",\n") : S("["));
    e->has_begun = true;
    rope_put(out, S("{\"candidates\":["));
}

static void open_candidate(struct rope *out)
{
    rope_put(out, S("{\"content\":{\"parts\":["));
}

static void close_content(struct rope *out)
{
    rope_put(out, S("],\"role\":\"model\"}"));
}

static void close_candidate(struct rope *out, uint32_t index)
{
    rope_put(out, S(",\"index\":"));
    rope_put_u64(out, index);
    rope_put_char(out, '}');
}

/* The rest behind the candidates. */
static void close_chunk(const struct encoder *e, struct rope *out)
{
    rope_put(out, S(",\"modelVersion\":\""));
    gemini_write_text(out, e->brief->model.len > 0 ? text_plain(e->brief->model) : e->model);
    rope_put(out, S("\",\"responseId\":\""));
    rope_put(out, e->brief->id);
    rope_put(out, S("\"}"));
    if (e->shape == BRIEF_SSE)
        rope_put(out, S("\n\n"));
}

static void begin_part_chunk(struct encoder *e, struct rope *out)
{
    open_chunk(e, out);
    open_candidate(out);
}

static void end_part_chunk(const struct encoder *e, uint8_t choice, struct rope *out)
{
    close_content(out);
    close_candidate(out, choice);
    rope_put_char(out, ']');
    close_chunk(e, out);
}

/* --- secrets --- */

/* Google's own goes as it is, another vendor's sealed and, for the member is bytes, as base64. */
static void make_seal(struct encoder *e, struct part *part)
{
    struct rope sealed = {.mem = e->brief->mem};
    size_t len;
    char *plain, *to;

    if (part->has_seal || part->secret.len == 0)
        return;
    part->has_seal = true;
    part->seal = part->secret;
    if (part->seal_family == IR_SEAL_THOUGHT)
        return;
    seal_write(&sealed, part->seal_family, e->brief->minter, part->item_id, part->secret);
    len = sealed.bytes;
    plain = arena_take(e->brief->arena, len + 1);
    to = arena_take(e->brief->arena, base64_encoded_len(len, BASE64_PADDED) + 1);
    if (sealed.err != R2A_OK || plain == NULL || to == NULL) {
        e->err = R2A_ERR_NO_MEMORY;
    } else {
        rope_copy_out(&sealed, plain);
        part->seal =
            text_plain(slice_of(to, base64_encode(to, slice_of(plain, len), BASE64_PADDED)));
    }
    rope_clear(&sealed);
}

static void write_signature(struct rope *out, struct text seal)
{
    if (seal.len == 0)
        return;
    rope_put(out, S(",\"thoughtSignature\":\""));
    gemini_write_text(out, seal);
    rope_put_char(out, '"');
}

/* --- whole parts --- */

/* What a part gathered, in one run. */
static struct slice body_of(struct encoder *e, const struct part *part)
{
    char *to = arena_take(e->brief->arena, part->body.bytes + 1);

    if (to == NULL) {
        e->err = R2A_ERR_NO_MEMORY;
        return (struct slice){0};
    }
    rope_copy_out(&part->body, to);
    return slice_of(to, part->body.bytes);
}

static void put_rope(const struct rope *rope, struct rope *out)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    while (rope_next(rope, &cursor, &run))
        rope_put(out, run);
}

/* Line separators may stand inside strings only: as escapes they are the same value. */
static struct slice safe_json(struct encoder *e, struct slice json)
{
    struct rope safe = {.mem = e->brief->mem};
    size_t len;
    char *to;

    if (json.len < 3 || memchr(json.ptr, 0xe2, json.len) == NULL)
        return json;
    gemini_write_json(&safe, json);
    len = safe.bytes;
    to = safe.err == R2A_OK ? arena_take(e->brief->arena, len) : NULL;
    if (to == NULL)
        e->err = R2A_ERR_NO_MEMORY;
    else
        rope_copy_out(&safe, to);
    rope_clear(&safe);
    return to == NULL ? json : slice_of(to, len);
}

static void write_call(struct encoder *e, struct part *part, struct rope *out)
{
    struct slice args = body_of(e, part);

    rope_put(out, S("{\"functionCall\":{\"id\":\""));
    gemini_write_text(out, part->id);
    rope_put(out, S("\",\"name\":\""));
    gemini_write_text(out, part->name);
    rope_put(out, S("\",\"args\":"));
    if (part->flags & IR_CUSTOM)
        args_wrap_object(out, text_escaped(args));
    else
        args_write_object(out, text_plain(safe_json(e, args)));
    rope_put_char(out, '}');
    write_signature(out, part->seal);
    rope_put_char(out, '}');
}

static void write_whole(struct encoder *e, struct part *part, struct rope *out)
{
    switch ((enum ir_part)part->kind) {
    case IR_PART_CALL:
        write_call(e, part, out);
        return;
    case IR_PART_IMAGE:
    case IR_PART_FILE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        rope_put(out, S("{\"inlineData\":{\"mimeType\":\""));
        gemini_write_text(out, part->mime.len > 0 ? part->mime : text_plain(S("image/png")));
        rope_put(out, S("\",\"data\":\""));
        put_rope(&part->body, out);
        rope_put(out, S("\"}}"));
        return;
    case IR_PART_REASON:
    case IR_PART_REDACTED:
        rope_put(out, S("{\"text\":\""));
        put_rope(&part->body, out);
        rope_put(out, S("\",\"thought\":true"));
        write_signature(out, part->seal);
        rope_put_char(out, '}');
        return;
    case IR_PART_OPAQUE:
        put_rope(&part->body, out);
        return;
    case IR_PART_TEXT:
    case IR_PART_REFUSAL:
    case IR_PART_RESULT:
    case IR_PART_SEARCH:
        rope_put(out, S("{\"text\":\""));
        put_rope(&part->body, out);
        rope_put(out, S("\"}"));
        return;
    }
}

static bool is_text_kind(uint8_t kind)
{
    return kind == IR_PART_TEXT || kind == IR_PART_REFUSAL;
}

static bool is_reason_kind(uint8_t kind)
{
    return kind == IR_PART_REASON || kind == IR_PART_REDACTED;
}

/* --- streams --- */

static void forget(struct encoder *e, struct part *part)
{
    struct part **at = &e->parts;

    e->kept_bytes -= part->body.bytes;
    rope_clear(&part->body);
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    e->parts_last = NULL;
    for (struct part *last = e->parts; last != NULL; last = last->next)
        e->parts_last = last;
}

/* A secret for which no call came, on a thought part of its own. */
static void flush_seal(struct encoder *e, struct choice *choice, uint8_t index, struct rope *out)
{
    struct part *part = choice->sealed;

    choice->sealed = NULL;
    if (part == NULL || !e->brief->thoughts_shown)
        return;
    make_seal(e, part);
    begin_part_chunk(e, out);
    rope_put(out, S("{\"text\":\"\",\"thought\":true"));
    write_signature(out, part->seal);
    rope_put_char(out, '}');
    end_part_chunk(e, index, out);
}

/* The end of a chunk is the same each time: worded once. */
static void make_tail(struct encoder *e)
{
    struct rope tail = {.mem = e->brief->mem};
    size_t len;
    char *to;

    rope_put_char(&tail, '}');
    end_part_chunk(e, 0, &tail);
    len = tail.bytes;
    to = tail.err == R2A_OK ? arena_take(e->brief->arena, len) : NULL;
    if (to == NULL) {
        e->err = R2A_ERR_NO_MEMORY;
    } else {
        rope_copy_out(&tail, to);
        e->tail = slice_of(to, len);
    }
    rope_clear(&tail);
}

static void stream_fragment(struct encoder *e, const struct part *part, struct text text,
                            struct rope *out)
{
    if (part->choice == 0 && e->shape == BRIEF_SSE) {
        if (e->tail.len == 0)
            make_tail(e);
        e->has_begun = true;
        rope_put(out, S("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""));
        gemini_write_text(out, text);
        rope_put(out, is_reason_kind(part->kind) ? S("\",\"thought\":true") : S("\""));
        rope_put(out, e->tail);
        return;
    }
    begin_part_chunk(e, out);
    rope_put(out, S("{\"text\":\""));
    gemini_write_text(out, text);
    rope_put(out, is_reason_kind(part->kind) ? S("\",\"thought\":true}") : S("\"}"));
    end_part_chunk(e, part->choice, out);
}

static void stream_whole(struct encoder *e, struct part *part, struct rope *out)
{
    struct choice *choice = choice_at(e, part->choice);

    make_seal(e, part);
    if (part->kind == IR_PART_CALL && part->seal.len == 0 && choice->sealed != NULL) {
        make_seal(e, choice->sealed);
        part->seal = choice->sealed->seal;
        choice->sealed = NULL;
    }
    begin_part_chunk(e, out);
    write_whole(e, part, out);
    end_part_chunk(e, part->choice, out);
}

/* --- events --- */

static struct part *find_part(const struct encoder *e, const struct ir_event *event)
{
    for (struct part *part = e->parts; part != NULL; part = part->next)
        if (part->number == event->part && part->choice == event->choice && !part->has_ended)
            return part;
    return NULL;
}

/* Whether a part of this kind stands between a secret and the call that could carry it: a further
 * thought, to which it would seem to belong, or text, behind which a thought that has no words of
 * its own would come back. */
static bool parts_seal(const struct encoder *e, const struct part *sealed, uint8_t kind)
{
    return is_reason_kind(kind) ||
           (kind == IR_PART_TEXT && !sealed->has_text && e->brief->thoughts_shown);
}

static enum r2a_err on_part(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct choice *choice = choice_at(e, event->choice);
    struct part *part;

    if (event->what == IR_PART_OPAQUE && !text_is(event->u.open.id, S("gemini")))
        return R2A_OK;
    part = arena_take_zero(e->brief->arena, sizeof(*part));
    if (part == NULL)
        return R2A_ERR_NO_MEMORY;
    part->number = event->part;
    part->choice = event->choice;
    part->kind = event->what;
    part->flags = event->flags;
    part->body.mem = e->brief->mem;
    choice->has_refusal |= event->what == IR_PART_REFUSAL;
    if (event->what == IR_PART_CALL) {
        part->id = keep(e, event->u.open.id);
        part->name = keep(e, event->u.open.name);
        if (part->id.len == 0) {
            char *id = arena_take(e->brief->arena, 32);

            if (id == NULL)
                return R2A_ERR_NO_MEMORY;
            part->id = text_plain(
                slice_of(id, brief_make_id(e->brief, 1 + part->number * CHOICES_MAX + part->choice,
                                           S("call_"), id)));
        }
    }
    if (!is_document(e) && choice->sealed != NULL && parts_seal(e, choice->sealed, event->what))
        flush_seal(e, choice, event->choice, out);
    if (e->parts_last == NULL)
        e->parts = part;
    else
        e->parts_last->next = part;
    e->parts_last = part;
    return R2A_OK;
}

static enum r2a_err keep_piece(struct encoder *e, struct part *part, struct text piece)
{
    size_t before = part->body.bytes;

    if (part->kind == IR_PART_CALL && !(part->flags & IR_CUSTOM))
        text_write_plain(&part->body, piece);
    else if (part->kind == IR_PART_OPAQUE)
        gemini_write_json(&part->body, text_bytes(piece));
    else
        gemini_write_text(&part->body, piece);
    e->kept_bytes += part->body.bytes - before;
    if (part->body.err != R2A_OK)
        return part->body.err;
    if (part->kind == IR_PART_CALL && part->body.bytes > CALL_ARGS_BYTES_MAX)
        return R2A_ERR_LIMIT;
    if (!is_document(e) && part->kind == IR_PART_CALL && e->kept_bytes > CALLS_ARGS_BYTES_MAX)
        return R2A_ERR_LIMIT;
    return e->brief->output_bytes_max > 0 && e->kept_bytes > e->brief->output_bytes_max
               ? R2A_ERR_LIMIT
               : R2A_OK;
}

static enum r2a_err on_text(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct part *part = find_part(e, event);
    struct text piece = event->u.text;

    if (part == NULL || piece.len == 0)
        return R2A_OK;
    if (is_reason_kind(part->kind) && !e->brief->thoughts_shown)
        return R2A_OK;
    part->has_text = true;
    if (is_document(e) || !(is_text_kind(part->kind) || is_reason_kind(part->kind)))
        return keep_piece(e, part, piece);
    stream_fragment(e, part, piece, out);
    return R2A_OK;
}

static void on_field(struct encoder *e, const struct ir_event *event)
{
    struct part *part = find_part(e, event);

    if (part == NULL)
        return;
    if (event->what == IR_FIELD_SEAL) {
        part->secret = keep(e, event->u.field.value);
        part->seal_family = (uint8_t)event->u.field.number;
    } else if (event->what == IR_FIELD_ITEM_ID) {
        part->item_id = keep(e, event->u.field.value);
    } else if (event->what == IR_FIELD_MIME) {
        part->mime = keep(e, event->u.field.value);
    }
}

static void on_part_end(struct encoder *e, const struct ir_event *event, struct rope *out)
{
    struct part *part = find_part(e, event);

    if (part == NULL)
        return;
    part->has_ended = true;
    if (is_document(e))
        return;
    if (is_reason_kind(part->kind) && part->secret.len > 0)
        choice_at(e, part->choice)->sealed = part;
    else if (!is_text_kind(part->kind) && !is_reason_kind(part->kind))
        stream_whole(e, part, out);
    forget(e, part);
}

static void on_cite(struct encoder *e, const struct ir_event *event)
{
    const struct ir_cite *cite = event->u.cite;
    struct rope *out = &choice_at(e, event->choice)->cites;
    struct json_write writer;

    if (cite->url.len == 0)
        return;
    if (out->bytes > 0)
        rope_put_char(out, ',');
    jw_open(&writer, out);
    jw_object(&writer);
    if (cite->start >= 0 && cite->end >= 0) {
        jw_key(&writer, S("startIndex"));
        jw_i64(&writer, cite->start);
        jw_key(&writer, S("endIndex"));
        jw_i64(&writer, cite->end);
    }
    jw_key(&writer, S("uri"));
    jw_string_begin(&writer);
    gemini_write_text(out, cite->url);
    jw_string_end(&writer);
    if (cite->title.len > 0) {
        jw_key(&writer, S("title"));
        jw_string_begin(&writer);
        gemini_write_text(out, cite->title);
        jw_string_end(&writer);
    }
    jw_object_end(&writer);
}

/* --- logprobs (3.8) --- */

static void write_token(struct rope *out, const struct member *token, const struct member *logprob)
{
    rope_put(out, S("{\"token\":\""));
    gemini_write_text(out, member_text(token));
    rope_put(out, S("\",\"logProbability\":"));
    rope_put(out, member_is(logprob, JSON_NUMBER) ? logprob->raw : S("0"));
    rope_put_char(out, '}');
}

static void on_logprobs(struct encoder *e, const struct ir_event *event)
{
    enum { TOKEN, LOGPROB, TOP, NAMES };
    static const struct slice names[NAMES] = {S_INIT("token"), S_INIT("logprob"),
                                              S_INIT("top_logprobs")};
    struct choice *choice = choice_at(e, event->choice);
    struct member found[NAMES], top[NAMES];
    struct json_scan scan, inner;
    enum json_token token;
    struct slice raw;

    if (event->u.text.form != TEXT_JSON)
        return;
    json_open(&scan, text_bytes(event->u.text));
    if (json_next(&scan) != JSON_ARRAY)
        return;
    while ((token = json_next(&scan)) == JSON_OBJECT && json_skip_after(&scan, token, &raw)) {
        bool is_first = true;

        if (!members_of(raw, names, NAMES, found))
            return;
        if (choice->logprobs_chosen.bytes > 0) {
            rope_put_char(&choice->logprobs_chosen, ',');
            rope_put_char(&choice->logprobs_top, ',');
        }
        write_token(&choice->logprobs_chosen, &found[TOKEN], &found[LOGPROB]);
        rope_put(&choice->logprobs_top, S("{\"candidates\":["));
        if (member_is(&found[TOP], JSON_ARRAY)) {
            json_open(&inner, found[TOP].raw);
            (void)json_next(&inner);
            while ((token = json_next(&inner)) == JSON_OBJECT &&
                   json_skip_after(&inner, token, &raw) && members_of(raw, names, NAMES, top)) {
                if (!is_first)
                    rope_put_char(&choice->logprobs_top, ',');
                is_first = false;
                write_token(&choice->logprobs_top, &top[TOKEN], &top[LOGPROB]);
            }
        }
        rope_put(&choice->logprobs_top, S("]}"));
    }
}

/* --- the end --- */

static struct slice finish_of(const struct choice *choice)
{
    switch ((enum ir_stop)choice->stop) {
    case IR_STOP_LENGTH:
    case IR_STOP_CONTEXT:
        return S("MAX_TOKENS");
    case IR_STOP_FILTER:
    case IR_STOP_REFUSAL:
        return S("SAFETY");
    case IR_STOP_RECITATION:
        return S("RECITATION");
    case IR_STOP_BAD_CALL:
        return S("MALFORMED_FUNCTION_CALL");
    case IR_STOP_OTHER:
        return S("OTHER");
    case IR_STOP_END:
    case IR_STOP_SEQUENCE:
    case IR_STOP_TOOL:
    case IR_STOP_PAUSE:
        break;
    }
    return choice->has_refusal ? S("SAFETY") : S("STOP");
}

static void write_usage(const struct encoder *e, struct rope *out)
{
    const struct ir_usage *usage = &e->usage;
    uint64_t tool = usage->has & IR_HAS_TOOL_INPUT ? usage->tool_input : 0;
    uint64_t reasoning = usage->reasoning < usage->output ? usage->reasoning : usage->output;

    rope_put(out, S(",\"usageMetadata\":{\"promptTokenCount\":"));
    rope_put_u64(out, usage->input > tool ? usage->input - tool : 0);
    rope_put(out, S(",\"candidatesTokenCount\":"));
    rope_put_u64(out, usage->output - reasoning);
    rope_put(out, S(",\"totalTokenCount\":"));
    rope_put_u64(out, usage->input + usage->output);
    if (usage->cache_read > 0) {
        rope_put(out, S(",\"cachedContentTokenCount\":"));
        rope_put_u64(out, usage->cache_read);
    }
    if (reasoning > 0) {
        rope_put(out, S(",\"thoughtsTokenCount\":"));
        rope_put_u64(out, reasoning);
    }
    if (tool > 0) {
        rope_put(out, S(",\"toolUsePromptTokenCount\":"));
        rope_put_u64(out, tool);
    }
    rope_put_char(out, '}');
}

/* What follows a candidate's content when it is the last of it. */
static void write_finish(struct choice *choice, struct rope *out)
{
    struct slice finish = finish_of(choice);

    rope_put(out, S(",\"finishReason\":\""));
    rope_put(out, finish);
    rope_put_char(out, '"');
    if (choice->stop_words.len > 0) {
        rope_put(out, S(",\"finishMessage\":\""));
        gemini_write_text(out, choice->stop_words);
        rope_put_char(out, '"');
    }
    if (choice->cites.bytes > 0) {
        /* the API's name, and the one its SDKs know */
        rope_put(out, S(",\"citationMetadata\":{\"citationSources\":["));
        put_rope(&choice->cites, out);
        rope_put(out, S("],\"citations\":["));
        rope_append(out, &choice->cites);
        rope_put(out, S("]}"));
    }
    if (choice->logprobs_chosen.bytes > 0) {
        rope_put(out, S(",\"logprobsResult\":{\"chosenCandidates\":["));
        rope_append(out, &choice->logprobs_chosen);
        rope_put(out, S("],\"topCandidates\":["));
        rope_append(out, &choice->logprobs_top);
        rope_put(out, S("]}"));
    }
}

static bool is_worth_writing(const struct encoder *e, const struct part *part)
{
    if (is_reason_kind(part->kind))
        return e->brief->thoughts_shown && (part->body.bytes > 0 || part->seal.len > 0);
    return !is_text_kind(part->kind) || part->body.bytes > 0;
}

/* The first call behind a thought, with nothing in between that parts them, and without a secret of
 * its own. */
static struct part *carrier_of(const struct encoder *e, const struct part *reason)
{
    for (struct part *part = reason->next; part != NULL; part = part->next) {
        if (part->choice != reason->choice)
            continue;
        if (parts_seal(e, reason, part->kind))
            return NULL;
        if (part->kind == IR_PART_CALL)
            return part->secret.len == 0 && part->seal.len == 0 ? part : NULL;
    }
    return NULL;
}

static void place_seals(struct encoder *e)
{
    for (struct part *part = e->parts; part != NULL; part = part->next)
        make_seal(e, part);
    for (struct part *part = e->parts; part != NULL; part = part->next) {
        struct part *call =
            is_reason_kind(part->kind) && part->seal.len > 0 ? carrier_of(e, part) : NULL;

        if (call == NULL)
            continue;
        call->seal = part->seal;
        part->seal = (struct text){0};
    }
}

static void write_parts(struct encoder *e, uint8_t choice, struct rope *out)
{
    bool is_first = true;

    for (struct part *part = e->parts; part != NULL; part = part->next) {
        if (part->choice != choice || !is_worth_writing(e, part))
            continue;
        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        write_whole(e, part, out);
    }
    if (is_first)
        rope_put(out, S("{\"text\":\"\"}"));
}

static void on_end(struct encoder *e, struct rope *out)
{
    bool is_first = true;

    if (e->choices[0] == NULL)
        (void)choice_at(e, 0);
    if (!is_document(e)) {
        while (e->parts != NULL) { /* a part that nobody ended */
            struct part *part = e->parts;

            if (!is_text_kind(part->kind) && !is_reason_kind(part->kind))
                stream_whole(e, part, out);
            forget(e, part);
        }
        for (uint8_t i = 0; i < CHOICES_MAX; i++)
            if (e->choices[i] != NULL)
                flush_seal(e, e->choices[i], i, out);
    } else {
        place_seals(e);
    }
    e->has_ended = true;
    open_chunk(e, out);
    for (uint8_t i = 0; i < CHOICES_MAX; i++) {
        if (e->choices[i] == NULL)
            continue;
        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        open_candidate(out);
        write_parts(e, i, out);
        close_content(out);
        write_finish(e->choices[i], out);
        close_candidate(out, i);
    }
    rope_put_char(out, ']');
    write_usage(e, out);
    close_chunk(e, out);
    if (e->shape == BRIEF_JSON_ARRAY)
        rope_put_char(out, ']');
}

/* A raw object, no `data:`: the one form that all of Google's SDKs turn into an exception. */
static enum r2a_err on_error(struct encoder *e, const struct fault *fault, struct rope *out)
{
    e->has_ended = true;
    if (is_document(e))
        return R2A_ERR_INTERNAL;
    /* of a relay the elements so far were the upstream's own */
    if (e->shape == BRIEF_JSON_ARRAY)
        rope_put(out, e->has_begun || e->brief->is_relay ? S(",\n") : S("["));
    gemini_write_error(out, fault);
    if (e->shape == BRIEF_JSON_ARRAY)
        rope_put_char(out, ']');
    return R2A_OK;
}

enum r2a_err gemini_encode(void *encoder, const struct ir_event *event, struct rope *out)
{
    struct encoder *e = encoder;
    enum r2a_err err = R2A_OK;

    if (e->has_ended || event->choice >= CHOICES_MAX)
        return R2A_OK;
    switch ((enum ir_kind)event->kind) {
    case IR_TEXT:
        err = on_text(e, event, out);
        break;
    case IR_BEGIN:
        e->model = keep(e, event->u.open.name);
        break;
    case IR_PART:
        err = on_part(e, event, out);
        break;
    case IR_FIELD:
        on_field(e, event);
        break;
    case IR_PART_END:
        on_part_end(e, event, out);
        break;
    case IR_CITE:
        on_cite(e, event);
        break;
    case IR_LOGPROBS:
        on_logprobs(e, event);
        break;
    case IR_USAGE:
        ir_usage_merge(&e->usage, event->u.usage);
        break;
    case IR_STOP: {
        struct choice *choice = choice_at(e, event->choice);

        choice->stop = event->what;
        choice->stop_words = keep(e, event->u.open.name);
        break;
    }
    case IR_ERROR:
        err = on_error(e, event->u.fault, out);
        break;
    case IR_END:
        on_end(e, out);
        break;
    case IR_ALIVE: /* no form of it is safe with all SDKs */
    case IR_NONE:
    case IR_PARAM:
    case IR_TOOL:
    case IR_TOOL_END:
    case IR_TURN:
    case IR_TURN_END:
    case IR_EXT:
    case IR_KINDS:
        break;
    }
    if (err == R2A_OK)
        err = out->err != R2A_OK ? out->err : e->err;
    return err;
}
