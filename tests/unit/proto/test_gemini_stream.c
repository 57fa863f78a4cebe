#include <criterion/criterion.h>

#include "codec.h"
#include "r2a/http/framing.h"
#include "r2a/proto/list.h"
#include "support/guard.h"
#include "support/proto_sum.h"
#include "support/random.h"

/* What is written for a client of generateContent, read back by our own upstream half: the same, in
 * all three shapes and however it is cut. */

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(gemini_stream, .init = setup, .fini = teardown);

static void put(struct ir_sink *sink, struct ir_event event)
{
    cr_assert_eq(ir_put(sink, &event), R2A_OK);
}

static struct text some_text(struct random *random)
{
    static const struct text texts[] = {
        {"word ", 5, TEXT_PLAIN},
        {"\\u00e9\\n\\\"", 10, TEXT_ESCAPED},
        {"\\ud83d\\ude00", 12, TEXT_ESCAPED},
        {"</script>&<", 11, TEXT_PLAIN},
        {"\x01 ok", 4, TEXT_PLAIN},
        {"\xe2\x80\xa8|\xe2\x80\xa9\xe2", 7, TEXT_PLAIN},
        {"\xf0\x9f\x98\x80", 4, TEXT_PLAIN},
        {"\\/slash", 7, TEXT_ESCAPED},
    };
    struct text text = texts[random_between(random, 0, sizeof texts / sizeof texts[0] - 1)];

    if (text.len == 7 && text.form == TEXT_PLAIN && text.ptr[6] == '\xe2')
        text.len = 6; /* the byte behind it is only there to be looked at */
    return text;
}

static void generate(struct random *random, struct ir_sink *sink)
{
    uint32_t part = 0, calls = (uint32_t)random_between(random, 0, 4);

    put(sink, (struct ir_event){.kind = IR_BEGIN, .u.open.id = text_plain(S("up-1"))});
    for (uint8_t what = 0; what < 2; what++) {
        if (random_between(random, 0, 2) == 0)
            continue;
        put(sink, (struct ir_event){.kind = IR_PART,
                                    .what = what == 0 ? IR_PART_REASON : IR_PART_TEXT,
                                    .part = part});
        for (size_t n = random_between(random, 1, 5); n > 0; n--)
            put(sink,
                (struct ir_event){.kind = IR_TEXT, .part = part, .u.text = some_text(random)});
        if (what == 0 && random_between(random, 0, 1) == 0)
            put(sink, (struct ir_event){
                          .kind = IR_FIELD,
                          .what = IR_FIELD_SEAL,
                          .part = part,
                          .u.field = {.value = text_plain(S("c2ln")), .number = IR_SEAL_THOUGHT}});
        put(sink, (struct ir_event){.kind = IR_PART_END, .part = part++});
    }
    for (uint32_t i = 0; i < calls; i++) {
        static const char ids[] = "abcd";

        put(sink, (struct ir_event){.kind = IR_PART,
                                    .what = IR_PART_CALL,
                                    .part = part,
                                    .u.open = {.id = text_plain(slice_of(ids + i, 1)),
                                               .name = text_escaped(S("f"))}});
        if (random_between(random, 0, 2) > 0) {
            put(sink, (struct ir_event){.kind = IR_TEXT,
                                        .part = part,
                                        .u.text = text_escaped(S("{\\\"a\\\":[\\\"\xe2\x80\xa8"))});
            put(sink, (struct ir_event){
                          .kind = IR_TEXT, .part = part, .u.text = text_plain(S("\",1.0]}"))});
        }
        put(sink, (struct ir_event){.kind = IR_PART_END, .part = part++});
    }
    put(sink,
        (struct ir_event){.kind = IR_USAGE,
                          .u.usage = &(struct ir_usage){.has = IR_HAS_INPUT | IR_HAS_OUTPUT |
                                                               IR_HAS_REASONING | IR_HAS_CACHE_READ,
                                                        .input = 9,
                                                        .output = 5,
                                                        .reasoning = 2,
                                                        .cache_read = 2}});
    put(sink, (struct ir_event){.kind = IR_STOP,
                                .what = calls > 0                           ? IR_STOP_TOOL
                                        : random_between(random, 0, 1) == 0 ? IR_STOP_END
                                                                            : IR_STOP_LENGTH});
    put(sink, (struct ir_event){.kind = IR_END});
}

static void feed(const struct framing *framing, void *decoder, struct ir_sink *sink,
                 struct slice bytes, size_t step)
{
    void *state = arena_take_zero(&kit.arena, framing->size);
    struct frame frame;
    int32_t used;

    framing->init(state, kit.mem, 1u << 20);
    while (bytes.len > 0) {
        /* each piece ends at a page nobody may touch */
        struct slice piece = slice_head(bytes, step);

        piece = slice_of(guard_copy(piece.ptr, piece.len), piece.len);
        bytes = slice_skip(bytes, piece.len);
        while ((used = framing->feed(state, piece, &frame)) > 0) {
            cr_assert_eq(proto_gemini.decode(decoder, &frame, sink), R2A_OK);
            piece = slice_skip(piece, (size_t)used);
        }
        cr_assert_eq(used, 0);
    }
    while (framing->finish(state, &frame) > 0)
        cr_assert_eq(proto_gemini.decode(decoder, &frame, sink), R2A_OK);
    framing->free(state);
}

static void round_trip(uint64_t seed, uint8_t shape)
{
    struct random random = {.state = seed};
    struct rope out = kit_rope(&kit);
    struct kit_encoder encoder = {.sink.put = kit_encoder_put, .proto = &proto_gemini, .out = &out};
    struct sum *sum = arena_take(&kit.arena, sizeof(*sum));
    struct sum *read = arena_take(&kit.arena, sizeof(*read));
    void *decoder = arena_take_zero(&kit.arena, proto_gemini.decoder_size);
    struct ir_grammar grammar;
    struct slice bytes, said, heard;

    kit.brief.shape = shape;
    encoder.encoder = arena_take_zero(&kit.arena, proto_gemini.encoder_size);
    proto_gemini.encoder_init(encoder.encoder, &kit.brief);
    sum_open(&kit, sum, 0);
    sum->next = &encoder.sink;
    ir_grammar_response(&grammar, &sum->sink, true);
    generate(&random, &grammar.sink);
    proto_gemini.encoder_drop(encoder.encoder);
    bytes = kit_take(&kit, &out);
    cr_assert_eq(str_find(bytes, S("\xe2\x80\xa8")), bytes.len, "a raw U+2028");

    sum_open(&kit, read, 0);
    ir_grammar_response(&grammar, &read->sink, true);
    proto_gemini.decoder_init(decoder, &kit.target, &kit.brief);
    if (shape == BRIEF_DOCUMENT) {
        cr_assert(is_json(bytes));
        proto_gemini.decode(decoder, &(struct frame){.kind = FRAME_DOCUMENT, .data = bytes},
                            &grammar.sink);
    } else {
        cr_assert(shape == BRIEF_SSE || is_json(bytes));
        feed(shape == BRIEF_SSE ? &framing_sse : &framing_json_array, decoder, &grammar.sink, bytes,
             random_between(&random, 1, 300));
    }
    cr_assert_eq(proto_gemini.finish(decoder, &grammar.sink), R2A_OK);
    said = sum_close(sum);
    heard = sum_close(read);
    cr_assert(slice_eq(said, heard), "seed %lu: said\n%.*sheard\n%.*sin\n%.*s", (unsigned long)seed,
              (int)said.len, said.ptr, (int)heard.len, heard.ptr, (int)bytes.len, bytes.ptr);
    cr_assert_eq(read->usage.input, 9);
    cr_assert_eq(read->usage.output, 5);
    cr_assert_eq(read->usage.reasoning, 2);
    cr_assert_eq(read->usage.cache_read, 2);
}

Test(gemini_stream, what_is_written_is_read_back_the_same)
{
    static const uint8_t shapes[] = {BRIEF_SSE, BRIEF_JSON_ARRAY, BRIEF_DOCUMENT};

    for (uint64_t seed = 1; seed <= 120; seed++) {
        round_trip(seed, shapes[seed % 3]);
        kit_again(&kit);
    }
}
