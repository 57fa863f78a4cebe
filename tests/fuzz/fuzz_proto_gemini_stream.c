/* A generateContent stream or document: events obey the grammar, the cut of the bytes does not
 * matter, and every dialect's client gets well-formed JSON. The first byte chooses the form, the
 * second the cuts. */
#include <stdint.h>

#include "../unit/support/proto_kit.h"
#include "r2a/core/check.h"
#include "r2a/http/sse.h"
#include "r2a/json/scan.h"
#include "r2a/proto/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kit kit;
static uint64_t idle; /* bytes in use between exchanges */

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

static struct slice decode(struct slice bytes, uint32_t cut)
{
    uint32_t random = cut;
    struct kit_answer answer;
    struct frame frame = {0};
    struct sse sse;
    int32_t used;

    kit_answer_open(&kit, &proto_gemini, &answer);
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
            (void)answer.proto->decode(answer.decoder, &frame, &answer.grammar.sink);
            piece = slice_skip(piece, (size_t)used);
        }
    }
    while (sse_finish(&sse, &frame) > 0)
        (void)answer.proto->decode(answer.decoder, &frame, &answer.grammar.sink);
    sse_free(&sse);
    return kit_answer_finish(&answer);
}

/* Comments come in as many frames as the cuts make of them. */
static struct slice without_alive(struct slice lines)
{
    struct rope out = kit_rope(&kit);
    struct slice line;

    while (lines.ptr != NULL && str_split(&lines, '\n', &line)) {
        if (slice_eq(line, S("ALIVE")))
            continue;
        rope_put(&out, line);
        rope_put_char(&out, '\n');
    }
    return kit_take(&kit, &out);
}

/* Every data line of a stream is JSON. */
static void check_lines(struct slice out)
{
    struct slice line;

    while (out.ptr != NULL && str_split(&out, '\n', &line))
        if (str_starts(line, S("data: ")) && !slice_eq(line, S("data: [DONE]")))
            check(is_json(slice_skip(line, 6)));
}

static void encode_all(struct slice lines, bool is_document)
{
    bool is_error = str_find(lines, S("\nERROR ")) < lines.len || str_starts(lines, S("ERROR "));

    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        struct rope out = kit_rope(&kit);
        struct kit_encoder encoder = {
            .sink.put = kit_encoder_put, .proto = proto_table[i], .out = &out};
        struct slice text;

        kit.brief.shape = is_document ? BRIEF_DOCUMENT : BRIEF_SSE;
        if (is_document && is_error)
            continue; /* a document is never given an error */
        encoder.encoder = arena_take_zero(&kit.arena, proto_table[i]->encoder_size);
        proto_table[i]->encoder_init(encoder.encoder, &kit.brief);
        if (kit_put_lines(&kit, lines, &encoder.sink)) {
            text = kit_take(&kit, &out);
            if (is_document)
                check(is_json(text));
            else
                check_lines(text);
        }
        rope_clear(&out);
        if (proto_table[i]->encoder_drop != NULL)
            proto_table[i]->encoder_drop(encoder.encoder);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct brief_name name = {
        .client = text_plain(S("sql")), .wire = S("f"), .space = {0}, .is_custom = true};
    struct slice bytes, lines, other;
    uint32_t joins;

    if (size < 2)
        return 0;
    if (kit.mem == NULL) {
        kit_open(&kit);
        idle = kit.budget.used;
    }
    kit.brief.names = &name;
    kit.brief.names_count = data[0] & 2 ? 1 : 0;
    bytes = slice_of((const char *)data + 2, size - 2);
    if (data[0] & 1) {
        lines = kit_decode_document(&kit, &proto_gemini, bytes);
    } else {
        lines = decode(bytes, 0);
        other = decode(bytes, 1u + data[1]);
        check(slice_eq(without_alive(lines), without_alive(other)));
    }
    joins = (uint32_t)str_find(lines, S("GRAMMAR"));
    check(joins == lines.len);
    encode_all(lines, false);
    encode_all(lines, true);
    kit_again(&kit);
    check(kit.budget.used == idle);
    return 0;
}
