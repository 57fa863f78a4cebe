#include "codec.h"
#include "made.h"
#include "support/proto_sum.h"

#include "../../../src/proto/common.h"

/* decode(encode(x)) = x up to declared loss: generated requests, written for an upstream of each
 * dialect and read back as a client's. What a dialect keeps is a set of features; a request of
 * those alone comes back the same, and any other feature is refused, or changes what comes back:
 * nothing is declared lost that is not. */

#define SEEDS_COUNT 300u

#define BIT(feature) (UINT64_C(1) << MADE_##feature)

struct row {
    const struct proto *proto;
    uint64_t keeps;
    struct slice minter;
    uint8_t family;
};

static const struct row rows[PROTO_COUNT] = {
    {&proto_openai_chat,
     BIT(STOP) | BIT(SEED) | BIT(PENALTIES) | BIT(LOGIT_BIAS) | BIT(LOGPROBS) | BIT(FORMAT_JSON) |
         BIT(FORMAT_SCHEMA) | BIT(FORMAT_NAME) | BIT(CHOICE_ALLOWED) | BIT(PARALLEL) | BIT(EFFORT) |
         BIT(VERBOSITY) | BIT(USER) | BIT(META) | BIT(TIER) | BIT(CACHE_KEY) | BIT(STRICT) |
         BIT(CUSTOM) | BIT(DEVELOPER) | BIT(MARKS) | BIT(IMAGE_URL) | BIT(DETAIL) |
         BIT(FILE_TITLE) | BIT(AUDIO) | BIT(REFUSAL),
     S_INIT("openai"), IR_SEAL_NONE},
    {&proto_openai_responses,
     BIT(LOGPROBS) | BIT(FORMAT_JSON) | BIT(FORMAT_SCHEMA) | BIT(FORMAT_NAME) |
         BIT(CHOICE_ALLOWED) | BIT(PARALLEL) | BIT(EFFORT) | BIT(VERBOSITY) | BIT(USER) |
         BIT(META) | BIT(TIER) | BIT(CACHE_KEY) | BIT(STRICT) | BIT(CUSTOM) | BIT(DEVELOPER) |
         BIT(MARKS) | BIT(IMAGE_URL) | BIT(DETAIL) | BIT(FILE_TITLE) | BIT(FILE_URL) | BIT(REASON) |
         BIT(RESULT_IMAGE),
     S_INIT("openai"), IR_SEAL_ENCRYPTED},
    {&proto_anthropic,
     BIT(TOP_K) | BIT(STOP) | BIT(FORMAT_SCHEMA) | BIT(PARALLEL) | BIT(BUDGET) | BIT(USER) |
         BIT(STRICT) | BIT(MARKS) | BIT(TOOL_MARKS) | BIT(IMAGE_URL) | BIT(FILE_TITLE) |
         BIT(FILE_URL) | BIT(FILE_TEXT) | BIT(REASON) | BIT(RESULT_ERROR) | BIT(RESULT_IMAGE) |
         BIT(RESULT_PARTS),
     S_INIT("anthropic"), IR_SEAL_SIGNATURE},
    {&proto_gemini,
     BIT(TOP_K) | BIT(STOP) | BIT(SEED) | BIT(PENALTIES) | BIT(LOGPROBS) | BIT(FORMAT_JSON) |
         BIT(FORMAT_SCHEMA) | BIT(CHOICE_ALLOWED) | BIT(BUDGET) | BIT(TIER) | BIT(IMAGE_URL) |
         BIT(FILE_URL) | BIT(AUDIO) | BIT(VIDEO) | BIT(REASON) | BIT(RESULT_ERROR) |
         BIT(RESULT_IMAGE),
     S_INIT("google"), IR_SEAL_THOUGHT},
};

static struct kit kit;

static void setup(void)
{
    kit_open(&kit);
}

static void teardown(void)
{
    kit_close(&kit);
}

TestSuite(round_trip_request, .init = setup, .fini = teardown);

/* A model of that vendor that takes all its protocol has. */
static void choose(const struct row *row)
{
    struct model_profile *profile = &kit.target.profile;

    kit.target.minter = row->minter;
    kit.brief.path_model = S("m-client");
    profile->oc_flavour = OC_FLAVOUR_OPENAI;
    profile->oai_cache_mark = true;
    profile->am_json = AM_JSON_NATIVE;
    profile->gg_schema = GG_SCHEMA_JSON;
    profile->gg_fr_parts = true;
    profile->gg_budget_max = 32768;
}

/* --- what a request says --- */

struct teller {
    struct ir_sink sink;
    struct rope params[IR_PARAMS]; /* their order means nothing */
    struct rope rest;
    struct rope body;
    uint8_t kind; /* of the open part */
    uint8_t role;
    uint32_t depth; /* of parts */
    bool is_custom, is_url, is_marked;
};

static void tell(struct rope *out, const char *label, struct text value)
{
    struct slice plain;

    rope_put_char(out, ' ');
    rope_put(out, slice_from_z(label));
    rope_put_char(out, '=');
    if (value.form == TEXT_JSON) {
        rope_put(out, sum_json(&kit, text_bytes(value)));
    } else {
        cr_assert(text_to_plain(value, &kit.arena, &plain));
        rope_put(out, plain);
    }
}

/* Not what an encoder settles itself, nor what is the same as nothing. */
static bool is_told(const struct ir_event *event)
{
    switch (event->what) {
    case IR_PARAM_STREAM:
    case IR_PARAM_STORE:
    case IR_PARAM_INCLUDE_USAGE:
    case IR_PARAM_THINK_MODE: /* effort or budget say it */
    case IR_PARAM_THINK_SHOW:
        return false;
    case IR_PARAM_FORMAT_NAME: /* where one is demanded */
        return !text_is(event->u.field.value, S("response"));
    case IR_PARAM_FORMAT_STRICT:
        return event->u.field.number != 0;
    default:
        return true;
    }
}

static bool is_field_told(const struct teller *t, const struct ir_event *event)
{
    switch (event->what) {
    case IR_FIELD_RAW:
        return false;
    case IR_FIELD_STRICT: /* not strict is what absent means */
        return event->u.field.number != 0;
    case IR_FIELD_FORMAT: /* of sound: the media type says it */
        return false;
    case IR_FIELD_MIME: /* of a URL: guessed from its end */
        return !t->is_url;
    case IR_FIELD_DETAIL:
        return !text_is(event->u.field.value, S("auto"));
    case IR_FIELD_TITLE: /* where one is demanded */
        return !text_is(event->u.field.value, S("document.pdf"));
    default:
        return true;
    }
}

static void end_body(struct teller *t)
{
    struct slice body = kit_take(&kit, &t->body);

    if (body.len == 0)
        return;
    rope_put(&t->rest, S(" "));
    rope_put(&t->rest, t->kind == IR_PART_CALL && !t->is_custom ? sum_json(&kit, body) : body);
}

static enum r2a_err teller_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct teller *t = (struct teller *)(void *)sink;
    struct rope *out = &t->rest;

    switch (event->kind) {
    case IR_PARAM:
        if (!is_told(event))
            break;
        out = &t->params[event->what];
        rope_put(out, S("param "));
        rope_put(out, slice_from_z(ir_what_name(IR_PARAM, event->what)));
        if (event->what != IR_PARAM_PARALLEL && event->what != IR_PARAM_LOGPROBS &&
            event->what != IR_PARAM_FORMAT_STRICT)
            tell(out, "value", event->u.field.value);
        rope_put_char(out, ' ');
        rope_put_u64(out, (uint64_t)event->u.field.number);
        rope_put_char(out, '\n');
        break;
    case IR_TOOL:
    case IR_PART:
        end_body(t); /* of what holds it */
        t->is_url = false;
        t->kind = event->kind == IR_PART ? event->what : IR_PART_TEXT;
        t->is_custom = event->kind == IR_PART && (event->flags & IR_CUSTOM);
        rope_put(out, S("\n"));
        rope_put(out, slice_from_z(ir_what_name(event->kind, event->what)));
        tell(out, "id", event->u.open.id);
        if (event->kind == IR_TOOL || event->what != IR_PART_RESULT) /* a call has told it */
            tell(out, "name", event->u.open.name);
        if (event->flags & IR_CUSTOM)
            rope_put(out, S(" custom"));
        if (event->flags & IR_IS_ERROR)
            rope_put(out, S(" error"));
        t->is_marked |= (event->flags & IR_CACHE_MARK) != 0;
        t->depth += event->kind == IR_PART;
        if (t->is_marked && event->kind == IR_TOOL)
            rope_put(out, S(" mark"));
        t->is_marked &= event->kind == IR_PART;
        break;
    case IR_FIELD:
        if (event->what == IR_FIELD_SOURCE)
            t->is_url = event->u.field.number == IR_SOURCE_URL;
        if (!is_field_told(t, event))
            break;
        tell(out, ir_what_name(IR_FIELD, event->what),
             event->what == IR_FIELD_STRICT ? (struct text){0} : event->u.field.value);
        rope_put_char(out, ' ');
        rope_put_u64(out, (uint64_t)event->u.field.number);
        break;
    case IR_TEXT:
        if (event->u.text.form == TEXT_JSON)
            rope_put(&t->body, text_bytes(event->u.text));
        else
            text_write_plain(&t->body, event->u.text);
        break;
    case IR_PART_END:
        end_body(t);
        if (--t->depth == 0) { /* a mark within a result is one of the result */
            rope_put(out, t->is_marked ? S(" mark") : S(""));
            t->is_marked = false;
        }
        rope_put(out, S(" ;"));
        break;
    case IR_TURN:
        if (t->role == event->what) /* messages in a row are one turn */
            break;
        t->role = event->what;
        rope_put(out, S("\nTURN "));
        rope_put(out, slice_from_z(ir_what_name(IR_TURN, event->what)));
        break;
    case IR_EXT:
        rope_put(out, S("\nEXT "));
        break;
    default:
        break;
    }
    return R2A_OK;
}

static void teller_open(struct teller *t)
{
    *t = (struct teller){
        .sink.put = teller_put, .rest = kit_rope(&kit), .body = kit_rope(&kit), .role = 0xff};
    for (uint32_t i = 0; i < IR_PARAMS; i++)
        t->params[i] = kit_rope(&kit);
}

static struct slice teller_close(struct teller *t)
{
    struct rope out = kit_rope(&kit);

    for (uint32_t i = 0; i < IR_PARAMS; i++)
        rope_append(&out, &t->params[i]);
    rope_append(&out, &t->rest);
    return kit_take(&kit, &out);
}

/* --- there and back --- */

/* False: refused, with the fault in the kit. */
static bool there_and_back(const struct row *row, uint64_t seed, uint64_t features,
                           struct slice *wanted, struct slice *got, struct slice *body)
{
    struct random random = {.state = seed};
    struct ir_grammar grammar;
    struct ir_tape tape;
    struct teller teller;

    choose(row);
    ir_tape_init(&tape, kit.mem);
    ir_grammar_request(&grammar, &tape.sink, true);
    made_request(&random, &grammar.sink, row->proto->name, features, row->family);
    teller_open(&teller);
    for (uint32_t i = 0; i < tape.count; i++)
        (void)ir_put(&teller.sink, &tape.events[i]);
    *wanted = teller_close(&teller);
    *body = kit_request_encode(&kit, row->proto, &tape);
    ir_tape_clear(&tape);
    if (body->len == 0)
        return false;
    cr_assert(is_json(*body), "%.*s", (int)body->len, body->ptr);
    teller_open(&teller);
    ir_grammar_request(&grammar, &teller.sink, true);
    cr_assert_eq(row->proto->request_decode(*body, &grammar.sink, &kit.brief, &kit.fault), R2A_OK,
                 "%.*s\n%.*s", (int)kit.fault.message.len, kit.fault.message.ptr, (int)body->len,
                 body->ptr);
    *got = teller_close(&teller);
    return true;
}

static void round_trips(enum proto_id id)
{
    const struct row *row = &rows[id];
    struct slice wanted, got, body;

    cr_assert_eq(row->proto, proto_table[id]);
    for (uint64_t seed = 1; seed <= SEEDS_COUNT; seed++) {
        bool is_written = there_and_back(row, seed, row->keeps, &wanted, &got, &body);

        cr_assert(is_written, "%.*s, seed %lu: %.*s", (int)row->proto->name.len,
                  row->proto->name.ptr, (unsigned long)seed, (int)kit.fault.message.len,
                  kit.fault.message.ptr);
        cr_assert(slice_eq(wanted, got), "%.*s, seed %lu: said\n%.*s\nread\n%.*s\nin\n%.*s",
                  (int)row->proto->name.len, row->proto->name.ptr, (unsigned long)seed,
                  (int)wanted.len, wanted.ptr, (int)got.len, got.ptr, (int)body.len, body.ptr);
        cr_assert_eq(kit.loss.count, 0u, "lost %.*s", (int)kit.loss.names[0].len,
                     kit.loss.names[0].ptr);
        kit_again(&kit);
    }
    for (uint32_t feature = 0; feature < MADE_FEATURES; feature++) {
        uint64_t bit = UINT64_C(1) << feature;
        bool is_lost = (row->keeps & bit) != 0;

        for (uint64_t seed = 1; seed <= 60 && !is_lost; seed++) {
            is_lost = !there_and_back(row, seed, row->keeps | bit, &wanted, &got, &body) ||
                      !slice_eq(wanted, got);
            kit_again(&kit);
        }
        cr_expect(is_lost, "%.*s keeps feature %u", (int)row->proto->name.len, row->proto->name.ptr,
                  feature);
    }
}

#define X(name)                         \
    Test(round_trip_request, of_##name) \
    {                                   \
        round_trips(PROTO_##name);      \
    }
PROTO_LIST(X)
#undef X
