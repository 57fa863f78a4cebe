#include "codec.h"

/* Parts interleave, blocks do not: random answers, encoded for a Messages client and read again,
 * must keep every call whole and every text complete, whatever the order of their pieces. */

#define PARTS_MAX 7u

static struct kit kit;
static uint32_t seed;

static uint32_t below(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

/* One part of an answer in the making. */
struct item {
    uint8_t kind;
    bool is_open, has_ended, has_seal;
    char id[16];
    char body[64];
    uint32_t said;
};

static void make_item(struct item *item, uint32_t number)
{
    static const uint8_t kinds[] = {IR_PART_TEXT, IR_PART_CALL, IR_PART_CALL, IR_PART_REASON};
    uint32_t len = below(24);
    char filler[32];

    for (uint32_t i = 0; i < len; i++)
        filler[i] = "ab{}\"\\ :,x"[below(10)];
    filler[len] = '\0';
    *item = (struct item){.kind = kinds[below(4)]};
    snprintf(item->id, sizeof(item->id), "c%u", number);
    if (item->kind == IR_PART_CALL && below(6) == 0) {
        item->body[0] = '\0'; /* a call without arguments */
    } else if (item->kind == IR_PART_CALL) {
        struct rope rope = kit_rope(&kit);
        struct slice text;

        text_write_escaped_copy(&rope, text_plain(slice_from_z(filler)));
        text = kit_take(&kit, &rope);
        snprintf(item->body, sizeof(item->body), "{\"k%u\":\"%.*s\"}", number, (int)text.len,
                 text.ptr);
    } else {
        snprintf(item->body, sizeof(item->body), "<%u%s>", number, filler);
    }
    item->has_seal = item->kind == IR_PART_REASON && below(2) == 0;
}

static void put(void *encoder, struct rope *out, struct ir_event event)
{
    enum r2a_err err = proto_anthropic.encode(encoder, &event, out);

    cr_assert_eq(err, R2A_OK, "seed %u: %s: %s", seed, ir_kind_name(event.kind), r2a_err_name(err));
}

/* Opens, continues or ends a random part; false when all have ended. */
static bool step(struct item *items, uint32_t count, uint32_t *opened, void *encoder,
                 struct rope *out)
{
    uint32_t pick = below(*opened + 1), left = 0;
    struct item *item;

    for (uint32_t i = 0; i < count; i++)
        left += !items[i].has_ended;
    if (left == 0)
        return false;
    if (pick == *opened && *opened < count) {
        item = &items[(*opened)++];
        item->is_open = true;
        put(encoder, out,
            (struct ir_event){
                .kind = IR_PART,
                .what = item->kind,
                .part = pick,
                .u.open = {.id = text_plain(slice_from_z(item->id)), .name = text_plain(S("f"))}});
        return true;
    }
    if (pick >= *opened || items[pick].has_ended)
        return true;
    item = &items[pick];
    if (item->said < strlen(item->body)) {
        uint32_t len = 1 + below(9), most = (uint32_t)strlen(item->body) - item->said;

        len = len < most ? len : most;
        put(encoder, out,
            (struct ir_event){.kind = IR_TEXT,
                              .part = pick,
                              .u.text = text_plain(slice_of(item->body + item->said, len))});
        item->said += len;
        return true;
    }
    if (item->has_seal)
        put(encoder, out,
            (struct ir_event){.kind = IR_FIELD,
                              .what = IR_FIELD_SEAL,
                              .part = pick,
                              .u.field = {.value = text_plain(slice_from_z(item->id)),
                                          .number = IR_SEAL_SIGNATURE}});
    put(encoder, out, (struct ir_event){.kind = IR_PART_END, .what = item->kind, .part = pick});
    item->has_ended = true;
    return true;
}

/* What was read again. */
struct heard {
    struct ir_sink sink;
    struct rope text, reasoning, calls[PARTS_MAX];
    uint32_t owner; /* of the open part: a call's number, or a code */
    uint32_t calls_count, seals_count;
    bool is_complete;
};

enum { OWNER_TEXT = 100, OWNER_REASON };

static enum r2a_err hear(struct ir_sink *sink, const struct ir_event *event)
{
    struct heard *h = (struct heard *)(void *)sink;
    struct rope *to;

    if (event->kind == IR_PART && event->what == IR_PART_CALL) {
        int64_t number;

        cr_assert(str_parse_i64(slice_skip(text_bytes(event->u.open.id), 1), &number));
        cr_assert_eq(h->calls[number].bytes, 0u, "a call came twice");
        h->owner = (uint32_t)number;
        h->calls_count++;
    } else if (event->kind == IR_PART) {
        h->owner = event->what == IR_PART_TEXT ? OWNER_TEXT : OWNER_REASON;
    } else if (event->kind == IR_TEXT) {
        to = h->owner == OWNER_TEXT     ? &h->text
             : h->owner == OWNER_REASON ? &h->reasoning
                                        : &h->calls[h->owner];
        if (event->u.text.form == TEXT_JSON)
            rope_put(to, text_bytes(event->u.text));
        else
            text_write_plain(to, event->u.text);
    } else if (event->kind == IR_FIELD && event->what == IR_FIELD_SEAL) {
        h->seals_count++;
    } else if (event->kind == IR_END) {
        h->is_complete = true;
    }
    return R2A_OK;
}

static void listen(struct slice out, bool is_document, struct heard *heard)
{
    void *decoder = arena_take_zero(&kit.arena, proto_anthropic.decoder_size);
    struct ir_grammar grammar;
    struct slice line;
    int64_t open = -1, index = 0;

    *heard = (struct heard){.sink.put = hear};
    heard->text = heard->reasoning = kit_rope(&kit);
    for (uint32_t i = 0; i < PARTS_MAX; i++)
        heard->calls[i] = kit_rope(&kit);
    ir_grammar_response(&grammar, &heard->sink, true);
    proto_anthropic.decoder_init(decoder, &kit.target, &kit.brief);
    if (is_document) {
        struct frame frame = {.kind = FRAME_DOCUMENT, .data = out};

        cr_assert_eq(proto_anthropic.decode(decoder, &frame, &grammar.sink), R2A_OK);
        return;
    }
    while (out.ptr != NULL && str_split(&out, '\n', &line)) {
        struct frame frame = {.kind = FRAME_DATA};

        if (!str_starts(line, S("data: ")))
            continue;
        frame.data = slice_skip(line, 6);
        /* The SDKs address blocks by arrival: dense, one at a time. */
        if (str_find(frame.data, S("content_block_start")) < 12) {
            cr_assert_eq(open, -1, "two blocks at once");
            open = index++;
        } else if (str_find(frame.data, S("content_block_stop")) < 12) {
            cr_assert_neq(open, -1);
            open = -1;
        }
        cr_assert_eq(proto_anthropic.decode(decoder, &frame, &grammar.sink), R2A_OK);
    }
}

static void check_heard(const struct item *items, uint32_t count, struct heard *heard)
{
    uint32_t calls = 0, seals = 0;
    struct slice texts[2] = {kit_take(&kit, &heard->text), kit_take(&kit, &heard->reasoning)};

    cr_assert(heard->is_complete);
    for (uint32_t i = 0; i < count; i++) {
        const struct item *item = &items[i];

        seals += item->has_seal;
        if (item->kind == IR_PART_CALL) {
            struct slice args = kit_take(&kit, &heard->calls[i]);

            calls++;
            cr_assert(slice_eq(args, item->body[0] != '\0' ? slice_from_z(item->body) : S("{}")),
                      "seed %u: %.*s, not %s", seed, (int)args.len, args.ptr, item->body);
        }
    }
    cr_assert_eq(heard->calls_count, calls);
    cr_assert_eq(heard->seals_count, seals);
    /* Texts may be cut into several blocks, but every character is there, in the order of its
     * part. */
    for (uint32_t kind = 0; kind < 2; kind++) {
        size_t sum = 0;

        for (uint32_t i = 0; i < count; i++)
            if (items[i].kind == (kind == 0 ? IR_PART_TEXT : IR_PART_REASON))
                sum += strlen(items[i].body);
        cr_assert_eq(texts[kind].len, sum, "seed %u: %.*s", seed, (int)texts[kind].len,
                     texts[kind].ptr);
    }
}

static void run_once(bool is_document)
{
    struct item items[PARTS_MAX];
    uint32_t count = 1 + below(PARTS_MAX), opened = 0;
    struct rope out = kit_rope(&kit);
    void *encoder = arena_take_zero(&kit.arena, proto_anthropic.encoder_size);
    struct heard heard;

    kit.brief.shape = is_document ? BRIEF_DOCUMENT : BRIEF_SSE;
    for (uint32_t i = 0; i < count; i++)
        make_item(&items[i], i);
    proto_anthropic.encoder_init(encoder, &kit.brief);
    put(encoder, &out, (struct ir_event){.kind = IR_BEGIN});
    while (step(items, count, &opened, encoder, &out))
        ;
    put(encoder, &out, (struct ir_event){.kind = IR_STOP, .what = IR_STOP_TOOL});
    put(encoder, &out, (struct ir_event){.kind = IR_END});
    proto_anthropic.encoder_drop(encoder);
    listen(kit_take(&kit, &out), is_document, &heard);
    check_heard(items, count, &heard);
}

Test(anthropic_block, nothing_is_lost_however_parts_interleave)
{
    uint64_t idle;

    kit_open(&kit);
    idle = kit.budget.used;
    for (uint32_t i = 0; i < 12000; i++) {
        seed = i * 2654435761u;
        run_once(i % 2 == 1);
        kit_again(&kit);
        cr_assert_eq(kit.budget.used, idle, "memory is kept");
    }
    kit_close(&kit);
}
