/* A Responses stream or document: events obey the grammar; the cut of the bytes does not matter,
 * nor whether an event was read in full or by its likeness to the one before; every dialect's
 * client gets well-formed JSON, and one of Responses a stream that its strict accumulators take.
 * The first byte chooses the form, the second the cuts. */
#include <stdint.h>

#include "../unit/support/proto_kit.h"
#include "../unit/support/responses_check.h"
#include "r2a/core/check.h"
#include "r2a/http/sse.h"
#include "r2a/json/scan.h"
#include "r2a/proto/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kit kit;
static struct rc rc;

static bool is_json(struct slice text)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, text);
    do
        token = json_next(&scan);
    while (token != JSON_END && token != JSON_ERROR);
    return token == JSON_END;
}

/* Events go to an encoder of every dialect, and to lines. */
struct tee {
    struct ir_sink sink;
    struct kit_lines lines;
    struct ir_grammar grammar;
    void *encoders[PROTO_COUNT];
    struct rope outs[PROTO_COUNT];
    bool is_document, has_error, is_full;
};

static enum r2a_err tee_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct tee *tee = (struct tee *)(void *)sink;

    tee->has_error |= event->kind == IR_ERROR;
    for (uint32_t i = 0; i < PROTO_COUNT && !(tee->is_document && tee->has_error); i++)
        if (proto_table[i]->encode != NULL &&
            proto_table[i]->encode(tee->encoders[i], event, &tee->outs[i]) != R2A_OK)
            tee->is_full = true;
    if (event->kind == IR_ALIVE)
        return R2A_OK; /* comments come in as many frames as the cuts make of them */
    return ir_put(&tee->lines.sink, event);
}

static void tee_open(struct tee *tee, bool is_document)
{
    memset(tee, 0, sizeof(*tee));
    tee->sink.put = tee_put;
    tee->is_document = is_document;
    kit.brief.shape = is_document ? BRIEF_DOCUMENT : BRIEF_SSE;
    kit_lines_open(&kit, &tee->lines);
    ir_grammar_response(&tee->grammar, &tee->sink, true);
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        tee->outs[i] = kit_rope(&kit);
        if (proto_table[i]->encode == NULL)
            continue;
        tee->encoders[i] = arena_take_zero(&kit.arena, proto_table[i]->encoder_size);
        proto_table[i]->encoder_init(tee->encoders[i], &kit.brief);
    }
}

static struct slice tee_close(struct tee *tee)
{
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct slice text = kit_take(&kit, &tee->outs[i]), all = text, line;

        if (tee->encoders[i] != NULL && proto_table[i]->encoder_drop != NULL)
            proto_table[i]->encoder_drop(tee->encoders[i]);
        if (tee->is_full)
            continue;
        if (tee->is_document) {
            check(text.len == 0 || is_json(text));
            continue;
        }
        while (text.ptr != NULL && str_split(&text, '\n', &line))
            if (str_starts(line, S("data: ")) && !slice_eq(line, S("data: [DONE]")))
                check(is_json(slice_skip(line, 6)));
        if (proto_table[i] == &proto_openai_responses && all.len < RC_TEXT_MAX) {
            const char *wrong = rc_check(&rc, all, true);

            if (wrong != NULL && rc.items_count < RC_ITEMS_MAX)
                check_failed(wrong, (int)rc.sequence, "a client would throw");
        }
    }
    return kit_take(&kit, &tee->lines.rope);
}

/* `unlike`: white space is added to every second delta, so that none is like the one before. (An
 * error without words is told by its bytes.) */
static void decode_frame(void *decoder, const struct frame *frame, struct ir_sink *sink,
                         bool unlike, uint32_t number)
{
    struct frame copy = *frame;
    char *text;

    if (unlike && number % 2 == 1 && frame->kind == FRAME_DATA && frame->data.len > 0 &&
        frame->data.ptr[0] == '{' && !slice_eq(frame->name, S("error")) &&
        str_find(frame->data, S(".delta\"")) < frame->data.len) {
        text = arena_take(&kit.arena, frame->data.len + 1);
        memcpy(text + 1, frame->data.ptr, frame->data.len);
        text[0] = '{';
        text[1] = ' ';
        copy.data = slice_of(text, frame->data.len + 1);
    }
    (void)proto_openai_responses.decode(decoder, &copy, sink);
}

static struct slice decode(struct slice bytes, uint32_t cut, bool unlike, bool is_document)
{
    uint32_t random = cut, number = 0;
    void *decoder = arena_take_zero(&kit.arena, proto_openai_responses.decoder_size);
    struct frame frame = {0};
    struct tee tee;
    struct sse sse;
    int32_t used;

    tee_open(&tee, is_document);
    proto_openai_responses.decoder_init(decoder, &kit.target, &kit.brief);
    sse_init(&sse, kit.mem, 1u << 20);
    while (bytes.len > 0) {
        size_t len = bytes.len;
        struct slice piece;

        if (cut > 0) {
            random = random * 1664525u + 1013904223u;
            len = 1 + random / 65536 % (cut % 60 + 1);
        }
        piece = slice_head(bytes, len);
        bytes = slice_skip(bytes, piece.len);
        while ((used = sse_feed(&sse, piece, &frame)) > 0) {
            decode_frame(decoder, &frame, &tee.grammar.sink, unlike, number++);
            piece = slice_skip(piece, (size_t)used);
        }
    }
    while (sse_finish(&sse, &frame) > 0)
        decode_frame(decoder, &frame, &tee.grammar.sink, unlike, number++);
    sse_free(&sse);
    (void)proto_openai_responses.finish(decoder, &tee.grammar.sink);
    return tee_close(&tee);
}

static void decode_document(struct slice bytes, bool is_document)
{
    void *decoder = arena_take_zero(&kit.arena, proto_openai_responses.decoder_size);
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = bytes};
    struct tee tee;

    tee_open(&tee, is_document);
    proto_openai_responses.decoder_init(decoder, &kit.target, &kit.brief);
    (void)proto_openai_responses.decode(decoder, &frame, &tee.grammar.sink);
    (void)proto_openai_responses.finish(decoder, &tee.grammar.sink);
    (void)tee_close(&tee);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct brief_name name = {.client = text_plain(S("read")),
                              .wire = S("f"),
                              .space = text_plain(S("ns")),
                              .is_custom = false};
    struct slice bytes, lines;

    if (size < 2)
        return 0;
    if (kit.mem == NULL)
        kit_open(&kit);
    kit.brief.names = &name;
    kit.brief.names_count = data[0] & 2 ? 1 : 0;
    kit.brief.minter = data[0] & 4 ? S("google") : S("openai");
    bytes = slice_of((const char *)data + 2, size - 2);
    if (data[0] & 1) {
        decode_document(bytes, false);
        decode_document(bytes, true);
    } else {
        lines = decode(bytes, 0, false, false);
        check(slice_eq(lines, decode(bytes, 1u + data[1], false, true)));
        check(slice_eq(lines, decode(bytes, 0, true, false)));
    }
    kit_again(&kit);
    return 0;
}
