#ifndef R2A_BENCH_COUNT_PROTO_H
#define R2A_BENCH_COUNT_PROTO_H

#include "count.h"

#include "r2a/proto/list.h"
#include "support/proto_kit.h"

/* What counts of dialects share: a stream in its steady state on its way in and on its way out, a
 * plain answer, a request read and written. A count includes this once and says which dialect it
 * is; known while compiling, so that calls are direct, as in the program they nearly are. */
static const struct proto *const count_dialect;

static struct kit kit;
static void *decoder, *encoder;
static struct rope out;
static struct ir_tape tape;
static uint32_t pieces; /* TEXT events decoded */

static inline enum r2a_err count_event(struct ir_sink *sink, const struct ir_event *event)
{
    (void)sink;
    pieces += event->kind == IR_TEXT;
    return R2A_OK;
}

static inline enum r2a_err encode_event(struct ir_sink *sink, const struct ir_event *event)
{
    (void)sink;
    return count_dialect->encode(encoder, event, &out);
}

static struct ir_sink counter = {.put = count_event}, encoding = {.put = encode_event};

static inline void open_shape(enum brief_shape shape)
{
    kit_open(&kit);
    kit.brief.shape = (uint8_t)shape;
    kit.target.proto = count_dialect;
    decoder = arena_take_zero(&kit.arena, count_dialect->decoder_size);
    encoder = arena_take_zero(&kit.arena, count_dialect->encoder_size);
    count_dialect->decoder_init(decoder, &kit.target, &kit.brief);
    count_dialect->encoder_init(encoder, &kit.brief);
    out = kit_rope(&kit);
    ir_tape_init(&tape, kit.mem);
}

static inline void decode(struct slice data, struct ir_sink *sink)
{
    struct frame frame = {.kind = FRAME_DATA, .data = data, .raw = data};

    count_expect(count_dialect->decode(decoder, &frame, sink) == R2A_OK);
}

/* What brings decoder and encoder to where a stream spends its time. */
static inline void open_stream(const struct slice *events, size_t count)
{
    open_shape(BRIEF_SSE);
    for (size_t i = 0; i < count; i++)
        decode(events[i], &encoding);
    rope_clear(&out);
}

static inline void decode_pieces(struct slice data, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        decode(data, &counter);
    count_expect(pieces == count);
}

/* Each is sent before the next one comes. */
static inline void encode_pieces(uint32_t part, uint32_t count)
{
    struct ir_event event = {.kind = IR_TEXT, .part = part, .u.text = text_escaped(S(" a token"))};

    for (uint32_t i = 0; i < count; i++) {
        count_expect(count_dialect->encode(encoder, &event, &out) == R2A_OK);
        rope_consume(&out, out.bytes);
    }
}

static inline void open_document(void)
{
    open_shape(BRIEF_DOCUMENT);
}

static inline void decode_document(struct slice answer, struct ir_sink *sink)
{
    struct frame frame = {.kind = FRAME_DOCUMENT, .data = answer, .raw = answer};

    count_expect(count_dialect->decode(decoder, &frame, sink) == R2A_OK);
}

static inline void decode_request(struct slice request)
{
    count_expect(count_dialect->request_decode(request, &tape.sink, &kit.brief, &kit.fault) ==
                 R2A_OK);
}

static inline void encode_request(void)
{
    count_expect(count_dialect->request_encode(&tape, &kit.target, &kit.brief, &out, &kit.loss,
                                               &kit.fault) == R2A_OK);
    count_expect(out.bytes > 400);
}

#endif
