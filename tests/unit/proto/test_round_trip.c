#include <dirent.h>

#include "codec.h"
#include "made.h"
#include "r2a/core/base64.h"
#include "support/proto_sum.h"
#include "support/vectors.h"

#include "../../../src/proto/common.h"

/* decode(encode(x)) = x up to declared loss: generated answers, written for a client of each
 * dialect in each of its shapes and read back by our own upstream half; and however the bytes are
 * cut, the same events. */

#define SEEDS_COUNT 300u
#define LOST        0xffu /* the dialect has no place for it */

/* What a dialect does to what an answer says. */
struct row {
    const struct proto *proto;
    /* Kinds of parts, as they are read back (conversion.md 3.6). */
    uint8_t refusal, redacted, image;
    bool keeps_seals, keeps_cites, keeps_cache_write;
    bool knows_customs;   /* calls of free text, and tools of that kind */
    bool knows_arrays;    /* BRIEF_JSON_ARRAY */
    bool orders_by_close; /* a call of a stream is written when it is whole */
    bool splits_lines;    /* its readers take U+2028 for the end of a line */
    /* By ir_stop (3.3). */
    uint8_t stops[IR_STOP_OTHER + 1];
    uint8_t stop_of_refusal; /* … after a refusal in words */
};

#define END        IR_STOP_END
#define SEQUENCE   IR_STOP_SEQUENCE
#define TOOL       IR_STOP_TOOL
#define LENGTH     IR_STOP_LENGTH
#define CONTEXT    IR_STOP_CONTEXT
#define FILTER     IR_STOP_FILTER
#define RECITATION IR_STOP_RECITATION
#define REFUSAL    IR_STOP_REFUSAL
#define PAUSE      IR_STOP_PAUSE
#define BAD_CALL   IR_STOP_BAD_CALL
#define OTHER      IR_STOP_OTHER

static const struct row rows[PROTO_COUNT] = {
    {.proto = &proto_openai_chat,
     .knows_customs = true,
     .refusal = IR_PART_REFUSAL,
     .redacted = LOST, /* the vault keeps secrets of clients that return none */
     .image = IR_PART_IMAGE,
     .keeps_cites = true,
     .keeps_cache_write = true,
     .stops = {END, END, TOOL, LENGTH, LENGTH, FILTER, FILTER, FILTER, END, END, END},
     .stop_of_refusal = FILTER},
    {.proto = &proto_openai_responses,
     .knows_customs = true,
     .refusal = IR_PART_REFUSAL,
     .redacted = IR_PART_REDACTED,
     .image = IR_PART_IMAGE,
     .keeps_seals = true,
     .keeps_cites = true,
     .keeps_cache_write = true,
     .stops = {END, END, TOOL, LENGTH, LENGTH, FILTER, FILTER, FILTER, END, END, END},
     .stop_of_refusal = REFUSAL},
    {.proto = &proto_anthropic,
     .refusal = IR_PART_TEXT,
     .redacted = IR_PART_REDACTED,
     .image = IR_PART_TEXT,
     .keeps_seals = true,
     .keeps_cites = true,
     .keeps_cache_write = true,
     .stops = {END, SEQUENCE, TOOL, LENGTH, CONTEXT, REFUSAL, REFUSAL, REFUSAL, PAUSE, END, END},
     .stop_of_refusal = REFUSAL},
    {.proto = &proto_gemini,
     .refusal = IR_PART_TEXT,
     .redacted = IR_PART_REDACTED,
     .image = IR_PART_IMAGE,
     .keeps_seals = true,
     .keeps_cites = true,
     .knows_arrays = true,
     .orders_by_close = true,
     .splits_lines = true,
     .stops = {END, END, TOOL, LENGTH, LENGTH, FILTER, RECITATION, FILTER, END, BAD_CALL, OTHER},
     .stop_of_refusal = FILTER},
};

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
    kit.brief.minter = S("up");
    kit.brief.usage_asked = true;
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(round_trip, .init = setup, .fini = teardown);

/* Listens to an answer, with what `row` loses taken away. */
struct ear {
    struct ir_sink sink;
    const struct row *row; /* NULL: this is what came back */
    uint8_t whats[64];     /* of the parts so far */
    uint32_t closed;       /* calls */
    bool has_refused;
    struct rope seals, cites;
    struct sum sum;
};

static void hear_seal(struct ear *ear, const struct ir_event *event)
{
    struct text value = event->u.field.value;
    char bytes[256];
    struct seal seal;
    size_t len;

    if (text_starts(value, S("Z3cxL"))) { /* "gw1." for a place that must be base64 */
        cr_assert_lt(value.len, sizeof(bytes));
        cr_assert(base64_decode(bytes, text_bytes(value), BASE64_PADDED, &len));
        value = text_plain(arena_copy(&kit.arena, slice_of(bytes, len)));
    }
    cr_assert(
        seal_read(value, (uint8_t)event->u.field.number, (struct text){0}, &kit.arena, &seal));
    cr_assert_neq(seal.family, IR_SEAL_NONE);
    rope_put(&ear->seals, S("seal "));
    rope_put_char(&ear->seals, (char)seal.family);
    rope_put_char(&ear->seals, ' ');
    text_write_plain(&ear->seals, seal.secret);
    rope_put_char(&ear->seals, '\n');
}

static void hear_cite(struct ear *ear, const struct ir_cite *cite)
{
    rope_put(&ear->cites, S("cite "));
    text_write_plain(&ear->cites, cite->url);
    rope_put_char(&ear->cites, ' ');
    text_write_plain(&ear->cites, cite->title);
    rope_put_char(&ear->cites, '\n');
}

/* The call that ends goes behind those that ended before it. */
static void hear_close(struct ear *ear, uint32_t part)
{
    struct sum_call *calls = ear->sum.calls;

    for (uint32_t i = ear->closed; i < ear->sum.calls_count; i++) {
        struct sum_call call = calls[i];

        if (call.part != part)
            continue;
        memmove(&calls[ear->closed + 1], &calls[ear->closed], (i - ear->closed) * sizeof(*calls));
        calls[ear->closed++] = call;
        return;
    }
}

static enum r2a_err hear(struct ir_sink *sink, const struct ir_event *event)
{
    struct ear *ear = (struct ear *)(void *)sink;
    const struct row *row = ear->row;
    struct ir_event copy = *event;

    if (row != NULL && row->orders_by_close && kit.brief.shape != BRIEF_DOCUMENT &&
        event->kind == IR_PART_END)
        hear_close(ear, event->part);
    if (event->kind == IR_PART) {
        cr_assert_lt(event->part, 64u);
        if (row != NULL && event->what == IR_PART_REFUSAL)
            copy.what = row->refusal;
        ear->has_refused |= event->what == IR_PART_REFUSAL;
        if (row != NULL && event->what == IR_PART_REDACTED)
            copy.what = row->redacted;
        if (row != NULL && event->what == IR_PART_IMAGE)
            copy.what = row->image;
        ear->whats[event->part] = copy.what;
        if (copy.what == LOST)
            return R2A_OK;
    } else if (event->kind == IR_FIELD && event->what == IR_FIELD_SEAL &&
               (row == NULL || row->keeps_seals)) {
        hear_seal(ear, event);
    } else if (event->kind == IR_CITE && (row == NULL || row->keeps_cites)) {
        hear_cite(ear, event->u.cite);
    } else if (event->kind == IR_TEXT && row != NULL && (event->flags & IR_WHOLE) &&
               ear->whats[event->part] == IR_PART_TEXT) {
        copy.u.text = text_plain(S("[image omitted: image/png, 8 bytes]"));
    } else if (event->kind == IR_STOP && row != NULL) {
        copy.what = ear->has_refused ? row->stop_of_refusal : row->stops[event->what];
    }
    return ir_put(&ear->sum.sink, &copy);
}

static void ear_open(struct ear *ear, const struct row *row)
{
    *ear = (struct ear){.sink.put = hear, .row = row};
    sum_open(&kit, &ear->sum, 0);
    ear->seals = ear->cites = kit_rope(&kit);
}

static struct slice ear_close(struct ear *ear)
{
    struct rope out = kit_rope(&kit);

    if (ear->sum.has_error) { /* these may wait for a place that did not come any more */
        rope_clear(&ear->sum.kinds[IR_PART_IMAGE]);
        rope_clear(&ear->seals);
        rope_clear(&ear->cites);
    }
    rope_put(&out, sum_close(&ear->sum));
    rope_append(&out, &ear->seals);
    rope_append(&out, &ear->cites);
    return kit_take(&kit, &out);
}

/* Both ears and an encoder. */
struct tee {
    struct ir_sink sink;
    struct ir_sink *first, *second;
};

static enum r2a_err tee_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct tee *tee = (struct tee *)(void *)sink;
    enum r2a_err err = ir_put(tee->first, event);

    if (event->kind == IR_ERROR && kit.brief.shape == BRIEF_DOCUMENT)
        return err; /* a document is never given an error */
    return err == R2A_OK ? ir_put(tee->second, event) : err;
}

static size_t some(void *context, size_t at)
{
    (void)at;
    return random_between(context, 1, 40);
}

/* Signs of life come as often as comments are cut. */
static struct slice events_of(struct slice lines)
{
    struct rope out = kit_rope(&kit);
    struct slice line;

    while (lines.ptr != NULL && str_split(&lines, '\n', &line)) {
        if (line.len == 0 || slice_eq(line, S("ALIVE")))
            continue;
        rope_put(&out, line);
        rope_put_char(&out, '\n');
    }
    return kit_join_texts(&kit, kit_take(&kit, &out));
}

struct cutting {
    const struct proto *proto;
    const struct framing *framing;
    struct slice bytes, whole; /* not of the kit, which each decoding empties */
};

static void check_cut(const struct cutting *c, kit_cut_fn cut, void *context, size_t place)
{
    struct slice lines =
        events_of(kit_decode_stream(&kit, c->proto, c->framing, c->bytes, cut, context));

    cr_assert(slice_eq(c->whole, lines), "cut at %zu:\n%.*s\nbut\n%.*s", place, (int)c->whole.len,
              c->whole.ptr, (int)lines.len, lines.ptr);
    kit_again(&kit);
}

static struct slice kept(struct slice bytes)
{
    char *copy = malloc(bytes.len + 1);

    memcpy(copy, bytes.ptr, bytes.len);
    return slice_of(copy, bytes.len);
}

/* The same events however the bytes come: byte by byte, at random, cut once at every place. Empties
 * the kit. */
static void check_cuts(const struct proto *proto, const struct framing *framing, struct slice bytes,
                       struct random *random, bool is_exhaustive)
{
    struct cutting c = {.proto = proto, .framing = framing, .bytes = kept(bytes)};

    c.whole = kept(events_of(kit_decode_stream(&kit, proto, framing, c.bytes, NULL, NULL)));
    kit_again(&kit);
    check_cut(&c, kit_cut_one, NULL, 1);
    for (uint32_t i = 0; i < 3; i++)
        check_cut(&c, some, random, 0);
    for (size_t at = 1; is_exhaustive && at < c.bytes.len; at++)
        check_cut(&c, kit_cut_at, &at, at);
    free((void *)(uintptr_t)c.whole.ptr);
    free((void *)(uintptr_t)c.bytes.ptr);
}

static void check_usage(const struct row *row, uint64_t seed, const struct ir_usage *said,
                        const struct ir_usage *heard)
{
    cr_assert_eq(said->input, heard->input, "seed %lu", (unsigned long)seed);
    cr_assert_eq(said->cache_read, heard->cache_read, "seed %lu", (unsigned long)seed);
    cr_assert_eq(said->output, heard->output, "seed %lu", (unsigned long)seed);
    cr_assert_eq(said->reasoning, heard->reasoning, "seed %lu", (unsigned long)seed);
    cr_assert_eq(row->keeps_cache_write ? said->cache_write : 0, heard->cache_write, "seed %lu",
                 (unsigned long)seed);
}

static void round_trip(const struct row *row, uint64_t seed, uint8_t shape)
{
    const struct framing *framing = shape == BRIEF_SSE          ? &framing_sse
                                    : shape == BRIEF_JSON_ARRAY ? &framing_json_array
                                                                : &framing_document;
    struct random random = {.state = seed};
    struct rope out = kit_rope(&kit);
    struct kit_encoder encoder = {.sink.put = kit_encoder_put, .proto = row->proto, .out = &out};
    struct ear *said = arena_take(&kit.arena, sizeof(*said));
    struct ear *heard = arena_take(&kit.arena, sizeof(*heard));
    struct tee tee = {.sink.put = tee_put, .first = &said->sink, .second = &encoder.sink};
    void *decoder = arena_take_zero(&kit.arena, row->proto->decoder_size);
    struct slice bytes, wanted, got;
    struct ir_grammar grammar;

    kit.brief.shape = shape;
    encoder.encoder = arena_take_zero(&kit.arena, row->proto->encoder_size);
    row->proto->encoder_init(encoder.encoder, &kit.brief);
    ear_open(said, row);
    ir_grammar_response(&grammar, &tee.sink, true);
    made_answer(&random, &grammar.sink, row->knows_customs);
    if (row->proto->encoder_drop != NULL)
        row->proto->encoder_drop(encoder.encoder);
    bytes = kit_take(&kit, &out);
    if (row->splits_lines)
        cr_assert_eq(str_find(bytes, S("\xe2\x80\xa8")), bytes.len, "a raw U+2028");
    wanted = ear_close(said);
    if (shape == BRIEF_DOCUMENT && said->sum.has_error)
        return;

    ear_open(heard, NULL);
    ir_grammar_response(&grammar, &heard->sink, true);
    row->proto->decoder_init(decoder, &kit.target, &kit.brief);
    cr_assert_eq(kit_feed(&kit, row->proto, decoder, framing, bytes, NULL, NULL, &grammar.sink),
                 R2A_OK);
    cr_assert_eq(row->proto->finish(decoder, &grammar.sink), R2A_OK);
    if (row->proto->decoder_drop != NULL)
        row->proto->decoder_drop(decoder);
    got = ear_close(heard);
    cr_assert(slice_eq(wanted, got), "%.*s, seed %lu: said\n%.*sheard\n%.*sin\n%.*s",
              (int)row->proto->name.len, row->proto->name.ptr, (unsigned long)seed, (int)wanted.len,
              wanted.ptr, (int)got.len, got.ptr, (int)bytes.len, bytes.ptr);
    if (said->sum.has_ended)
        check_usage(row, seed, &said->sum.usage, &heard->sum.usage);
    if (shape != BRIEF_DOCUMENT)
        check_cuts(row->proto, framing, bytes, &random, seed <= 3);
}

static void round_trips(enum proto_id id)
{
    static const uint8_t shapes[] = {BRIEF_SSE, BRIEF_DOCUMENT, BRIEF_JSON_ARRAY};
    const struct row *row = &rows[id];

    cr_assert_eq(row->proto, proto_table[id]);
    for (uint64_t seed = 1; seed <= SEEDS_COUNT; seed++) {
        for (uint32_t i = 0; i < (row->knows_arrays ? 3 : 2); i++) {
            round_trip(row, seed, shapes[i]);
            kit_again(&kit);
        }
    }
}

#define X(name)                         \
    Test(round_trip, answers_of_##name) \
    {                                   \
        round_trips(PROTO_##name);      \
    }
PROTO_LIST(X)
#undef X

/* --- the shared vectors --- */

static void cut_vectors(const char *folder, const struct proto *proto)
{
    const char *root = getenv("VECTORS_DIR");
    struct random random = {.state = 1};
    uint32_t count = 0;
    struct dirent *entry;
    char path[512];
    DIR *dir;

    snprintf(path, sizeof(path), "%s/protocol/%s", root ? root : "../shared/vectors", folder);
    dir = opendir(path);
    if (dir == NULL)
        cr_skip_test("no vectors at VECTORS_DIR");
    while ((entry = readdir(dir)) != NULL) {
        bool is_array = strstr(entry->d_name, ".jsonarr") != NULL;
        size_t len;
        char *bytes;

        if (!is_array && strstr(entry->d_name, ".sse") == NULL)
            continue;
        snprintf(path, sizeof(path), "protocol/%s/%s", folder, entry->d_name);
        bytes = vectors_read(path, &len);
        cr_assert_not_null(bytes, "%s", path);
        for (size_t whole = len; whole > 0; whole -= whole > len / 3 ? len / 3 : whole)
            check_cuts(proto, is_array ? &framing_json_array : &framing_sse, slice_of(bytes, whole),
                       &random, whole == len);
        free(bytes);
        count++;
    }
    closedir(dir);
    cr_assert_gt(count, 10u);
}

Test(round_trip, vectors_of_chat_completions_however_they_are_cut)
{
    cut_vectors("openai-chat", &proto_openai_chat);
}

Test(round_trip, vectors_of_responses_however_they_are_cut)
{
    cut_vectors("openai-responses", &proto_openai_responses);
}

Test(round_trip, vectors_of_messages_however_they_are_cut)
{
    cut_vectors("anthropic-messages", &proto_anthropic);
}

Test(round_trip, vectors_of_generate_content_however_they_are_cut)
{
    cut_vectors("gemini", &proto_gemini);
}
