#ifndef R2A_TESTS_SUPPORT_PROTO_KIT_H
#define R2A_TESTS_SUPPORT_PROTO_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/arena.h"
#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/core/str.h"
#include "r2a/http/framing.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/fault.h"
#include "r2a/ir/grammar.h"
#include "r2a/ir/tape.h"
#include "r2a/proto/proto.h"
#include "support/guard.h"

/* What tests of dialects share: an exchange's memory and brief, events as lines and back, and the
 * four codecs as functions of text. Everything a kit hands out lives until kit_close. Header only,
 * so that unit tests, transcripts, fuzz targets and counts can all have it. */

struct kit {
    struct mem_budget budget;
    struct mem *mem;
    struct arena arena;
    struct brief brief;
    struct target target;
    struct loss loss;
    struct fault fault;
};

static inline void kit_open(struct kit *kit)
{
    memset(kit, 0, sizeof(*kit));
    kit->mem = mem_open(&kit->budget, 16u << 20);
    if (kit->mem == NULL)
        abort();
    kit->arena.mem = kit->mem;
    kit->brief = (struct brief){
        .shape = BRIEF_SSE,
        .arena = &kit->arena,
        .mem = kit->mem,
        .id = S("AAAAAAAAAAAAAAAAAAAAAAAA"),
        .random = {1, 2},
        .created = 1788000000,
        .completed = 1788000002,
        .output_bytes_max = 8u << 20,
        .model = S("m-client"),
        .thoughts_shown = true,
        .max_out = -1,
    };
    kit->target = (struct target){
        .model = S("m-up"),
        .minter = S("up"),
        .is_stream = true,
        /* What an unknown model has (conversion.md 1.6). */
        .profile = {.am_thinking = AM_THINKING_MANUAL,
                    .am_prefill = true,
                    .am_max_output = -1,
                    .am_default_max_tokens = 8192,
                    .oai_efforts =
                        1u << IR_EFFORT_LOW | 1u << IR_EFFORT_MEDIUM | 1u << IR_EFFORT_HIGH,
                    .gg_thinking = GG_THINKING_BUDGET,
                    .gg_call_ids = true},
    };
}

static inline void kit_close(struct kit *kit)
{
    arena_reset(&kit->arena);
    mem_close(kit->mem);
}

/* A new exchange in the same memory. */
static inline void kit_again(struct kit *kit)
{
    arena_reset(&kit->arena);
    memset(&kit->loss, 0, sizeof(kit->loss));
    memset(&kit->fault, 0, sizeof(kit->fault));
    kit->brief.names = NULL;
    kit->brief.names_count = 0;
    kit->brief.repeats = NULL;
    kit->brief.repeats_count = 0;
    kit->brief.ids_made = 0;
}

static inline struct rope kit_rope(struct kit *kit)
{
    return (struct rope){.mem = kit->mem};
}

/* The whole content, in the arena; empties the rope. */
static inline struct slice kit_take(struct kit *kit, struct rope *rope)
{
    size_t len = rope->bytes;
    char *to = arena_take(&kit->arena, len + 1);

    if (to == NULL || rope->err != R2A_OK)
        abort();
    rope_copy_out(rope, to);
    to[len] = '\0';
    rope_clear(rope);
    return slice_of(to, len);
}

/* --- events to lines --- */

/* A sink that writes each event as a line. */
struct kit_lines {
    struct ir_sink sink;
    struct rope rope;
};

static inline enum r2a_err kit_lines_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct kit_lines *lines = (struct kit_lines *)(void *)sink;

    ir_print(event, &lines->rope);
    rope_put_char(&lines->rope, '\n');
    return lines->rope.err;
}

static inline void kit_lines_open(struct kit *kit, struct kit_lines *lines)
{
    *lines = (struct kit_lines){.sink.put = kit_lines_put, .rope = kit_rope(kit)};
}

/* Neighbouring TEXT lines of one part as one: how a body is cut does not matter to anybody. Works
 * on the printed form, so only for pieces of one form. */
static inline struct slice kit_join_texts(struct kit *kit, struct slice lines)
{
    struct rope out = kit_rope(kit);
    struct slice last = {0}, line;

    while (lines.len > 0) {
        size_t at = str_find_char(lines, '\n');
        struct slice head = {0};

        line = slice_head(lines, at);
        lines = slice_skip(lines, at < lines.len ? at + 1 : at);
        if (str_starts(line, S("TEXT "))) {
            size_t form = str_find(line, S(" escaped "));
            size_t skip = sizeof(" escaped ") - 1;

            if (form == line.len) {
                form = str_find(line, S(" plain "));
                skip = sizeof(" plain ") - 1;
            }
            if (form < line.len)
                head = slice_head(line, form + skip);
        }
        if (head.len > 0 && slice_eq(head, last)) {
            rope_put(&out, slice_skip(line, head.len));
        } else {
            if (out.bytes > 0)
                rope_put_char(&out, '\n');
            rope_put(&out, line);
        }
        last = head;
    }
    rope_put_char(&out, '\n');
    return kit_take(kit, &out);
}

/* --- lines to events --- */

static inline bool kit_word(struct slice *rest, struct slice *word)
{
    size_t at;

    while (rest->len > 0 && rest->ptr[0] == ' ')
        *rest = slice_skip(*rest, 1);
    at = str_find_char(*rest, ' ');
    *word = slice_head(*rest, at);
    return word->len > 0;
}

/* Undoes what ir_print does to plain text. */
static inline struct slice kit_plain(struct kit *kit, struct slice raw)
{
    char *to = arena_take(&kit->arena, raw.len + 1);
    size_t len = 0;

    if (to == NULL)
        abort();
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        uint64_t code = 0;

        if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
            if (c == 'n') {
                c = '\n';
            } else if (c == 'u' && i + 4 < raw.len &&
                       str_parse_hex_u64(slice_of(raw.ptr + i + 1, 4), &code)) {
                c = (char)code;
                i += 4;
            }
        }
        to[len++] = c;
    }
    return slice_of(to, len);
}

/* `escaped"…"` at the front of *rest. JSON runs to the last quote of the line (before a number). */
static inline bool kit_text(struct kit *kit, struct slice *rest, struct text *text)
{
    static const struct {
        struct slice name;
        uint8_t form;
    } forms[] = {{S_INIT("plain\""), TEXT_PLAIN},
                 {S_INIT("escaped\""), TEXT_ESCAPED},
                 {S_INIT("json\""), TEXT_JSON}};

    for (size_t i = 0; i < 3; i++) {
        size_t at = forms[i].name.len, end;

        if (!str_starts(*rest, forms[i].name))
            continue;
        if (forms[i].form == TEXT_JSON) {
            end = str_find_last_char(*rest, '"');
        } else {
            for (end = at; end < rest->len && rest->ptr[end] != '"'; end++)
                if (rest->ptr[end] == '\\')
                    end++;
        }
        if (end >= rest->len || end < at)
            return false;
        *text = (struct text){rest->ptr + at, (uint32_t)(end - at), forms[i].form};
        if (text->form == TEXT_PLAIN)
            *text = text_plain(kit_plain(kit, text_bytes(*text)));
        *rest = slice_skip(*rest, end + 1);
        return true;
    }
    return false;
}

static inline bool kit_label(struct slice *rest, const char *label)
{
    size_t len = strlen(label);

    if (rest->len <= len || memcmp(rest->ptr, label, len) != 0 || rest->ptr[len] != '=')
        return false;
    *rest = slice_skip(*rest, len + 1);
    return true;
}

static inline bool kit_number(struct slice *rest, const char *label, int64_t *number)
{
    struct slice word;

    if (!kit_label(rest, label))
        return false;
    if (!kit_word(rest, &word) || !str_parse_i64(word, number))
        return false;
    *rest = slice_skip(*rest, word.len);
    return true;
}

static inline bool kit_label_text(struct kit *kit, struct slice *rest, const char *label,
                                  struct text *text)
{
    return kit_label(rest, label) && kit_text(kit, rest, text);
}

static inline bool kit_read_usage(struct kit *kit, struct slice rest, struct ir_event *event)
{
    struct ir_usage *usage = arena_take_zero(&kit->arena, sizeof(*usage));
    struct {
        const char *name;
        uint32_t bit;
        uint64_t *value;
    } counters[] = {
        {"input", IR_HAS_INPUT, &usage->input},
        {"cache_read", IR_HAS_CACHE_READ, &usage->cache_read},
        {"cache_write", IR_HAS_CACHE_WRITE, &usage->cache_write},
        {"cache_write_1h", IR_HAS_CACHE_WRITE_1H, &usage->cache_write_1h},
        {"output", IR_HAS_OUTPUT, &usage->output},
        {"reasoning", IR_HAS_REASONING, &usage->reasoning},
        {"tool_input", IR_HAS_TOOL_INPUT, &usage->tool_input},
    };
    struct slice word;

    event->u.usage = usage;
    while (kit_word(&rest, &word)) {
        bool is_known = false;

        for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
            int64_t value;

            if (kit_number(&rest, counters[i].name, &value)) {
                *counters[i].value = (uint64_t)value;
                usage->has |= counters[i].bit;
                is_known = true;
                break;
            }
        }
        if (!is_known)
            return false;
    }
    return true;
}

static inline bool kit_read_fault(struct kit *kit, struct slice rest, struct ir_event *event)
{
    struct fault *fault = arena_take_zero(&kit->arena, sizeof(*fault));
    struct slice word;
    int64_t number;

    *fault = fault_of(FAULT_INVALID, (struct slice){0});
    event->u.fault = fault;
    if (!kit_word(&rest, &word))
        return false;
    for (uint8_t kind = 0; kind < FAULT_KINDS; kind++)
        if (slice_eq(word, slice_from_z(fault_rows[kind].name)))
            fault->kind = kind;
    rest = slice_skip(rest, word.len);
    while (kit_word(&rest, &word)) {
        if (kit_number(&rest, "status", &number)) {
            fault->status = (uint16_t)number;
        } else if (kit_label(&rest, "err")) {
            (void)kit_word(&rest, &word);
            rest = slice_skip(rest, word.len);
        } else if (!kit_label_text(kit, &rest, "message", &fault->message) &&
                   !kit_label_text(kit, &rest, "type", &fault->type) &&
                   !kit_label_text(kit, &rest, "code", &fault->code) &&
                   !kit_label_text(kit, &rest, "param", &fault->param)) {
            return false;
        }
    }
    return true;
}

static inline bool kit_read_cite(struct kit *kit, struct slice rest, struct ir_event *event)
{
    struct ir_cite *cite = arena_take_zero(&kit->arena, sizeof(*cite));
    struct slice word;

    *cite = (struct ir_cite){.start = -1, .end = -1, .document = -1};
    event->u.cite = cite;
    while (kit_word(&rest, &word))
        if (!kit_label_text(kit, &rest, "url", &cite->url) &&
            !kit_label_text(kit, &rest, "title", &cite->title) &&
            !kit_label_text(kit, &rest, "quoted", &cite->quoted) &&
            !kit_label_text(kit, &rest, "raw", &cite->raw) &&
            !kit_number(&rest, "start", &cite->start) && !kit_number(&rest, "end", &cite->end) &&
            !kit_number(&rest, "document", &cite->document))
            return false;
    return true;
}

static inline bool kit_read_body(struct kit *kit, struct slice rest, struct ir_event *event)
{
    struct slice word;
    bool is_begin = event->kind == IR_BEGIN, is_stop = event->kind == IR_STOP;
    const char *id = is_stop ? "sequence" : "id", *name = is_begin  ? "model"
                                                          : is_stop ? "detail"
                                                                    : "name";

    switch (event->kind) {
    case IR_USAGE:
        return kit_read_usage(kit, rest, event);
    case IR_ERROR:
        return kit_read_fault(kit, rest, event);
    case IR_CITE:
        return kit_read_cite(kit, rest, event);
    case IR_TEXT:
    case IR_LOGPROBS:
    case IR_EXT:
        if (!kit_word(&rest, &word))
            return false;
        event->u.text.form = slice_eq(word, S("plain"))     ? TEXT_PLAIN
                             : slice_eq(word, S("escaped")) ? TEXT_ESCAPED
                                                            : TEXT_JSON;
        rest = slice_skip(rest, word.len);
        if (rest.len > 0)
            rest = slice_skip(rest, 1);
        if (event->u.text.form == TEXT_PLAIN)
            rest = kit_plain(kit, rest);
        event->u.text.ptr = rest.ptr;
        event->u.text.len = (uint32_t)rest.len;
        return true;
    case IR_PARAM:
    case IR_FIELD:
        if (kit_word(&rest, &word) && !str_starts(rest, S("number=")) &&
            !kit_text(kit, &rest, &event->u.field.value))
            return false;
        if (kit_word(&rest, &word) && !kit_number(&rest, "number", &event->u.field.number))
            return false;
        return true;
    default:
        while (kit_word(&rest, &word))
            if (!kit_label_text(kit, &rest, id, &event->u.open.id) &&
                !kit_label_text(kit, &rest, name, &event->u.open.name))
                return false;
        return true;
    }
}

/* One line back into an event; what it points to lives in the arena and in the line. */
static inline bool kit_read_line(struct kit *kit, struct slice line, struct ir_event *event)
{
    static const struct {
        struct slice name;
        uint8_t flag;
    } flags[] = {{S_INIT("cache"), IR_CACHE_MARK},    {S_INIT("error"), IR_IS_ERROR},
                 {S_INIT("custom"), IR_CUSTOM},       {S_INIT("legacy"), IR_LEGACY},
                 {S_INIT("estimated"), IR_ESTIMATED}, {S_INIT("whole"), IR_WHOLE}};
    struct slice rest = line, word;
    int64_t number;
    bool is_flag;

    *event = (struct ir_event){0};
    if (!kit_word(&rest, &word))
        return false;
    for (uint8_t kind = 1; kind < IR_KINDS; kind++)
        if (slice_eq(word, slice_from_z(ir_kind_name(kind))))
            event->kind = kind;
    if (event->kind == IR_NONE)
        return false;
    rest = slice_skip(rest, word.len);
    if (*ir_what_name(event->kind, 0) != '\0') {
        bool is_known = false;

        (void)kit_word(&rest, &word);
        for (uint32_t what = 0; what < 64 && !is_known; what++) {
            is_known = slice_eq(word, slice_from_z(ir_what_name(event->kind, (uint8_t)what)));
            event->what = (uint8_t)what;
        }
        if (!is_known)
            return false;
        rest = slice_skip(rest, word.len);
    }
    while (kit_word(&rest, &word)) {
        if (kit_number(&rest, "choice", &number)) {
            event->choice = (uint8_t)number;
            continue;
        }
        if (kit_number(&rest, "part", &number)) {
            event->part = (uint32_t)number;
            continue;
        }
        is_flag = false;
        for (size_t i = 0; i < sizeof flags / sizeof flags[0] && !is_flag; i++) {
            if (slice_eq(word, flags[i].name)) {
                event->flags |= flags[i].flag;
                rest = slice_skip(rest, word.len);
                is_flag = true;
            }
        }
        if (!is_flag)
            break;
    }
    return kit_read_body(kit, rest, event);
}

/* Puts every line into a sink. False: a line that is no event (it is printed), or the sink failed.
 */
static inline bool kit_put_lines(struct kit *kit, struct slice lines, struct ir_sink *sink)
{
    struct slice line;

    while (lines.ptr != NULL && str_split(&lines, '\n', &line)) {
        struct ir_event event;

        if (str_trim(line).len == 0)
            continue;
        if (!kit_read_line(kit, line, &event)) {
            fprintf(stderr, "no event: %.*s\n", (int)line.len, line.ptr);
            return false;
        }
        if (ir_put(sink, &event) != R2A_OK)
            return false;
    }
    return true;
}

/* --- the codecs, as functions of text --- */

/* A client's request as lines; a fault as one ERROR line. Checks the grammar. */
static inline struct slice kit_request_decode(struct kit *kit, const struct proto *proto,
                                              struct slice body)
{
    struct kit_lines lines;
    struct ir_grammar grammar;
    enum r2a_err err;

    kit_lines_open(kit, &lines);
    ir_grammar_request(&grammar, &lines.sink, false);
    err = proto->request_decode(body, &grammar.sink, &kit->brief, &kit->fault);
    if (grammar.what_is_wrong != NULL) {
        rope_put(&lines.rope, S("GRAMMAR "));
        rope_put(&lines.rope, slice_from_z(grammar.what_is_wrong));
        rope_put_char(&lines.rope, '\n');
    } else if (err != R2A_OK) {
        struct ir_event event = {.kind = IR_ERROR, .u.fault = &kit->fault};

        rope_clear(&lines.rope);
        (void)kit_lines_put(&lines.sink, &event);
    }
    return kit_take(kit, &lines.rope);
}

/* A tape for a target: the request body, or an empty slice with kit->fault filled. */
static inline struct slice kit_request_encode(struct kit *kit, const struct proto *proto,
                                              const struct ir_tape *tape)
{
    struct rope out = kit_rope(kit);
    enum r2a_err err;

    kit->target.proto = proto;
    err = proto->request_encode(tape, &kit->target, &kit->brief, &out, &kit->loss, &kit->fault);
    if (err != R2A_OK) {
        rope_clear(&out);
        return (struct slice){0};
    }
    return kit_take(kit, &out);
}

/* From one dialect's request body to another's. */
static inline struct slice kit_translate(struct kit *kit, const struct proto *from,
                                         const struct proto *to, struct slice body)
{
    struct slice out = {0};
    struct ir_grammar grammar;
    struct ir_tape tape;

    ir_tape_init(&tape, kit->mem);
    ir_grammar_request(&grammar, &tape.sink, true);
    if (from->request_decode(body, &grammar.sink, &kit->brief, &kit->fault) == R2A_OK)
        out = kit_request_encode(kit, to, &tape);
    ir_tape_clear(&tape);
    return out;
}

/* A decoder at work, its events to be read as lines. */
struct kit_answer {
    struct kit *kit;
    const struct proto *proto;
    void *decoder;
    struct ir_grammar grammar;
    struct kit_lines lines;
};

static inline void kit_answer_open(struct kit *kit, const struct proto *proto,
                                   struct kit_answer *answer)
{
    answer->kit = kit;
    answer->proto = proto;
    answer->decoder = arena_take_zero(&kit->arena, proto->decoder_size);
    kit->target.proto = proto;
    proto->decoder_init(answer->decoder, &kit->target, &kit->brief);
    kit_lines_open(kit, &answer->lines);
    ir_grammar_response(&answer->grammar, &answer->lines.sink, false);
}

static inline void kit_answer_frame(struct kit_answer *answer, enum frame_kind kind,
                                    struct slice name, struct slice data)
{
    struct frame frame = {.kind = (uint8_t)kind, .name = name, .data = data, .raw = data};

    (void)answer->proto->decode(answer->decoder, &frame, &answer->grammar.sink);
}

/* The bytes ended; all events as lines. */
static inline struct slice kit_answer_finish(struct kit_answer *answer)
{
    (void)answer->proto->finish(answer->decoder, &answer->grammar.sink);
    if (answer->proto->decoder_drop != NULL)
        answer->proto->decoder_drop(answer->decoder);
    if (answer->grammar.what_is_wrong != NULL) {
        rope_put(&answer->lines.rope, S("GRAMMAR "));
        rope_put(&answer->lines.rope, slice_from_z(answer->grammar.what_is_wrong));
        rope_put_char(&answer->lines.rope, '\n');
    }
    return kit_take(answer->kit, &answer->lines.rope);
}

/* How long the piece is that begins at `at`: at least 1. NULL: the bytes come whole. */
typedef size_t (*kit_cut_fn)(void *context, size_t at);

static inline size_t kit_cut_one(void *context, size_t at)
{
    (void)context;
    (void)at;
    return 1;
}

/* *context: the length of every piece. */
static inline size_t kit_cut_every(void *context, size_t at)
{
    (void)at;
    return *(size_t *)context;
}

/* *context: where the only cut is. */
static inline size_t kit_cut_at(void *context, size_t at)
{
    size_t cut = *(size_t *)context;

    return at < cut ? cut - at : SIZE_MAX;
}

/* Bytes of an upstream through a framing into a decoder. Each piece ends at a page nobody may
 * touch, and is gone when the next one comes. Returns the first error of either. */
static inline enum r2a_err kit_feed(struct kit *kit, const struct proto *proto, void *decoder,
                                    const struct framing *framing, struct slice bytes,
                                    kit_cut_fn cut, void *context, struct ir_sink *sink)
{
    void *state = arena_take_zero(&kit->arena, framing->size);
    char *room = guard_take(bytes.len);
    enum r2a_err err = R2A_OK;
    struct frame frame;
    int32_t used = 0;

    framing->init(state, kit->mem, 1u << 20);
    for (size_t at = 0; at < bytes.len && err == R2A_OK;) {
        struct slice piece = slice_head(slice_skip(bytes, at), cut ? cut(context, at) : SIZE_MAX);

        at += piece.len;
        memcpy(room + bytes.len - piece.len, piece.ptr, piece.len);
        piece.ptr = room + bytes.len - piece.len;
        while (err == R2A_OK && (used = framing->feed(state, piece, &frame)) > 0) {
            err = proto->decode(decoder, &frame, sink);
            piece = slice_skip(piece, (size_t)used);
        }
        if (err == R2A_OK && used < 0)
            err = (enum r2a_err)used;
        memset(room, '~', bytes.len);
    }
    while (err == R2A_OK && (used = framing->finish(state, &frame)) > 0)
        err = proto->decode(decoder, &frame, sink);
    framing->free(state);
    guard_free(room, bytes.len);
    return err;
}

/* A whole answer of an upstream, cut anyhow, as lines. */
static inline struct slice kit_decode_stream(struct kit *kit, const struct proto *proto,
                                             const struct framing *framing, struct slice bytes,
                                             kit_cut_fn cut, void *context)
{
    struct kit_answer answer;

    kit_answer_open(kit, proto, &answer);
    (void)kit_feed(kit, proto, answer.decoder, framing, bytes, cut, context, &answer.grammar.sink);
    return kit_answer_finish(&answer);
}

/* One document, whole. */
static inline struct slice kit_decode_document(struct kit *kit, const struct proto *proto,
                                               struct slice body)
{
    struct kit_answer answer;

    kit_answer_open(kit, proto, &answer);
    kit_answer_frame(&answer, FRAME_DOCUMENT, (struct slice){0}, body);
    return kit_answer_finish(&answer);
}

/* A sink that encodes for a client. */
struct kit_encoder {
    struct ir_sink sink;
    const struct proto *proto;
    void *encoder;
    struct rope *out;
};

static inline enum r2a_err kit_encoder_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct kit_encoder *encoder = (struct kit_encoder *)(void *)sink;

    return encoder->proto->encode(encoder->encoder, event, encoder->out);
}

/* Events, as lines, to what a client of that dialect reads. */
static inline struct slice kit_encode(struct kit *kit, const struct proto *proto,
                                      struct slice lines)
{
    struct rope out = kit_rope(kit);
    struct kit_encoder encoder = {.sink.put = kit_encoder_put, .proto = proto, .out = &out};
    struct ir_grammar grammar;

    encoder.encoder = arena_take_zero(&kit->arena, proto->encoder_size);
    proto->encoder_init(encoder.encoder, &kit->brief);
    ir_grammar_response(&grammar, &encoder.sink, false);
    if (!kit_put_lines(kit, lines, &grammar.sink)) {
        rope_put(&out, S("FAILED "));
        if (grammar.what_is_wrong != NULL)
            rope_put(&out, slice_from_z(grammar.what_is_wrong));
    }
    if (proto->encoder_drop != NULL)
        proto->encoder_drop(encoder.encoder);
    return kit_take(kit, &out);
}

#endif
