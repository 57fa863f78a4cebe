#include "stream.h"

#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/http/sse.h"
#include "r2a/proto/list.h"
#include "support/is_json.h"
#include "support/responses_check.h"

static struct kit *kit;
static struct rc rc;

/* Events go to an encoder of every dialect, and to lines. */
struct tee {
    struct ir_sink sink;
    struct kit_lines lines;
    struct ir_grammar grammar;
    void *encoders[PROTO_COUNT];
    struct rope outs[PROTO_COUNT];
    bool is_document, has_error;
    bool is_full[PROTO_COUNT]; /* the encoder gave up: its output is not whole */
};

static enum r2a_err tee_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct tee *tee = (struct tee *)(void *)sink;

    tee->has_error |= event->kind == IR_ERROR; /* a document is never given one */
    for (uint32_t i = 0; i < PROTO_COUNT && !(tee->is_document && tee->has_error); i++)
        if (!tee->is_full[i] &&
            proto_table[i]->encode(tee->encoders[i], event, &tee->outs[i]) != R2A_OK)
            tee->is_full[i] = true;
    if (event->kind == IR_ALIVE)
        return R2A_OK; /* comments come in as many frames as the cuts make of them */
    return ir_put(&tee->lines.sink, event);
}

static void tee_open(struct tee *tee, bool is_document)
{
    memset(tee, 0, sizeof(*tee));
    tee->sink.put = tee_put;
    tee->is_document = is_document;
    kit->brief.shape = is_document ? BRIEF_DOCUMENT : BRIEF_SSE;
    kit_lines_open(kit, &tee->lines);
    ir_grammar_response(&tee->grammar, &tee->sink, true);
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        tee->outs[i] = kit_rope(kit);
        tee->encoders[i] = arena_take_zero(&kit->arena, proto_table[i]->encoder_size);
        proto_table[i]->encoder_init(tee->encoders[i], &kit->brief);
    }
}

/* What clients of a stream look at. */
static void check_stream(const struct proto *proto, struct slice text)
{
    struct slice rest = text, line;

    while (rest.ptr != NULL && str_split(&rest, '\n', &line))
        if (str_starts(line, S("data: ")) && !slice_eq(line, S("data: [DONE]")))
            check(is_json(slice_skip(line, 6)));
    if (proto == &proto_openai_responses && text.len < RC_TEXT_MAX) {
        const char *wrong = rc_check(&rc, text, true);

        if (wrong != NULL && rc.items_count < RC_ITEMS_MAX)
            check_failed(wrong, (int)rc.sequence, "a client would throw");
    }
}

static struct slice tee_close(struct tee *tee)
{
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct slice text = kit_take(kit, &tee->outs[i]);

        if (proto_table[i]->encoder_drop != NULL)
            proto_table[i]->encoder_drop(tee->encoders[i]);
        if (tee->is_full[i])
            continue;
        if (!tee->is_document)
            check_stream(proto_table[i], text);
        else
            check(text.len == 0 || is_json(text));
    }
    return kit_take(kit, &tee->lines.rope);
}

static void decode_frame(const struct fuzz_stream *of, void *decoder, const struct frame *frame,
                         struct ir_sink *sink, bool differs)
{
    struct frame copy = *frame;
    char *text;

    if (differs && frame->kind == FRAME_DATA && frame->data.len > 0 && frame->data.ptr[0] == '{' &&
        of->may_differ(frame)) {
        text = arena_take(&kit->arena, frame->data.len + 1);
        memcpy(text + 1, frame->data.ptr, frame->data.len);
        text[0] = '{';
        text[1] = ' ';
        copy.data = slice_of(text, frame->data.len + 1);
    }
    (void)of->proto->decode(decoder, &copy, sink);
}

/* `cut`: 0, or a seed of cuts. `differs`: every second frame is made unlike the one before. */
static struct slice decode(const struct fuzz_stream *of, struct slice bytes, uint32_t cut,
                           bool differs, bool is_document)
{
    void *decoder = arena_take_zero(&kit->arena, of->proto->decoder_size);
    uint32_t random = cut, number = 0;
    struct frame frame = {0};
    struct tee tee;
    struct sse sse;
    int32_t used;

    tee_open(&tee, is_document);
    of->proto->decoder_init(decoder, &kit->target, &kit->brief);
    sse_init(&sse, kit->mem, 1u << 20);
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
            decode_frame(of, decoder, &frame, &tee.grammar.sink, differs && number++ % 2 == 1);
            piece = slice_skip(piece, (size_t)used);
        }
    }
    while (sse_finish(&sse, &frame) > 0)
        decode_frame(of, decoder, &frame, &tee.grammar.sink, differs && number++ % 2 == 1);
    sse_free(&sse);
    (void)of->proto->finish(decoder, &tee.grammar.sink);
    if (of->proto->decoder_drop != NULL)
        of->proto->decoder_drop(decoder);
    return tee_close(&tee);
}

static void decode_document(const struct fuzz_stream *of, struct slice bytes, bool is_document)
{
    void *decoder = arena_take_zero(&kit->arena, of->proto->decoder_size);
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = bytes};
    struct tee tee;

    tee_open(&tee, is_document);
    of->proto->decoder_init(decoder, &kit->target, &kit->brief);
    (void)of->proto->decode(decoder, &frame, &tee.grammar.sink);
    (void)of->proto->finish(decoder, &tee.grammar.sink);
    if (of->proto->decoder_drop != NULL)
        of->proto->decoder_drop(decoder);
    (void)tee_close(&tee);
}

int fuzz_stream(const struct fuzz_stream *of, const uint8_t *data, size_t size)
{
    struct brief_name name = of->name;
    struct slice bytes, lines;

    if (size < 2)
        return 0;
    kit = fuzz_kit();
    kit->brief.names = &name;
    kit->brief.names_count = data[0] & 2 ? 1 : 0;
    if (of->prepare != NULL)
        of->prepare(kit, data[0]);
    bytes = slice_of((const char *)data + 2, size - 2);
    if (data[0] & 1) {
        decode_document(of, bytes, false);
        decode_document(of, bytes, true);
    } else {
        lines = decode(of, bytes, 0, false, false);
        check(slice_eq(lines, decode(of, bytes, 1u + data[1], false, true)));
        if (of->may_differ != NULL)
            check(slice_eq(lines, decode(of, bytes, 0, true, false)));
    }
    fuzz_kit_again();
    return 0;
}
