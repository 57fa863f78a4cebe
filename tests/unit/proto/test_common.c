#include "../../../src/proto/common.h"

#include "codec.h"

/* The small rules that all dialects share: arguments, seals, media, ids, the ladder of effort. */

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(common, .init = open_kit, .fini = close_kit);

static struct slice written(void (*write)(struct rope *, struct text), struct text text)
{
    struct rope rope = kit_rope(&kit);

    write(&rope, text);
    return kit_take(&kit, &rope);
}

#define expect_text(value, want)                                                                 \
    do {                                                                                         \
        struct slice expect_got = (value);                                                       \
        cr_expect(slice_eq(expect_got, slice_from_z(want)), "%.*s, not %s", (int)expect_got.len, \
                  expect_got.ptr, want);                                                         \
    } while (0)

/* --- arguments --- */

Test(common, arguments_become_an_object_whatever_they_are)
{
    expect_text(written(args_write_object, text_json(S("{\"a\": 1.0}"))), "{\"a\": 1.0}");
    expect_text(written(args_write_object, text_escaped(S(" {\\\"a\\\":\\\"\\\\n\\\"} "))),
                "{\"a\":\"\\n\"}");
    expect_text(written(args_write_object, text_plain(S("{\"a\":1e400}"))), "{\"a\":1e400}");
    expect_text(written(args_write_object, text_plain(S(" \n"))), "{}");
    expect_text(written(args_write_object, (struct text){0}), "{}");
    expect_text(written(args_write_object, text_plain(S("[1]"))), "{\"value\":[1]}");
    expect_text(written(args_write_object, text_escaped(S("\\\"x\\\""))), "{\"value\":\"x\"}");
    expect_text(written(args_write_object, text_plain(S("{a:1}"))), "{\"_raw\":\"{a:1}\"}");
    expect_text(written(args_write_object, text_escaped(S("{\\\"a\\\":"))),
                "{\"_raw\":\"{\\\"a\\\":\"}");
}

Test(common, arguments_become_a_string)
{
    expect_text(written(args_write_string, text_json(S("{ \"a\" : \"x y\" }"))),
                "{\\\"a\\\":\\\"x y\\\"}");
    expect_text(written(args_write_string, text_escaped(S("{ \\\"a\\\": 1}"))), "{ \\\"a\\\": 1}");
    expect_text(written(args_write_string, (struct text){0}), "{}");
}

struct pieces {
    struct rope rope;
};

static enum r2a_err take_piece(void *context, struct text text)
{
    struct pieces *pieces = context;

    text_write_escaped_copy(&pieces->rope, text);
    return R2A_OK;
}

/* Feeds `args` in pieces of `step` characters of the decoded text. */
static struct slice unwrapped(struct slice args, size_t step)
{
    struct pieces pieces = {kit_rope(&kit)};
    struct unwrap unwrap = {0};

    for (size_t at = 0; at < args.len; at += step) {
        struct rope rope = kit_rope(&kit);

        text_write_escaped_copy(&rope, text_plain(slice_head(slice_skip(args, at), step)));
        cr_assert_eq(unwrap_feed(&unwrap, text_escaped(kit_take(&kit, &rope)), take_piece, &pieces),
                     R2A_OK);
    }
    cr_assert_eq(unwrap_end(&unwrap, take_piece, &pieces), R2A_OK);
    return kit_take(&kit, &pieces.rope);
}

Test(common, wrapped_input_comes_out_however_it_is_cut)
{
    static const struct {
        const char *args, *want;
    } rows[] = {
        {"{\"input\":\"select 1\"}", "select 1"},
        {" { \"input\" : \"a\\nb \\\"c\\\" \\u00e9\\ud83d\\ude00\" } ",
         "a\\nb \\\"c\\\" \\u00e9\\ud83d\\ude00"},
        {"{\"input\":\"\"}", ""},
        {"{}", ""},
        {"", ""},
        /* not wrapped: nothing is lost */
        {"{\"query\":\"x\"}", "{\\\"query\\\":\\\"x\\\"}"},
        {"plain", "plain"},
        {"{\"input\":5}", "{\\\"input\\\":5}"},
        {"{\"inp", "{\\\"inp"},
        /* broken: still the inside of a string */
        {"{\"input\":\"a\\xb\\u12zz\"}", "a\\\\xb\\\\u12zz"},
        {"{\"input\":\"cut", "cut"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t step = 1; step < 20; step++)
            expect_text(unwrapped(slice_from_z(rows[i].args), step), rows[i].want);
}

/* --- seals --- */

Test(common, seals_keep_minter_and_secret)
{
    static const struct {
        uint8_t family;
        const char *minter, *item, *secret;
    } rows[] = {{IR_SEAL_SIGNATURE, "anthropic", "", "EqQB+/=="},
                {IR_SEAL_REDACTED, "anthropic", "", "x"},
                {IR_SEAL_ENCRYPTED, "openai", "rs_1", "gAAAA"},
                {IR_SEAL_THOUGHT, "google", "", "skip"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rope rope = kit_rope(&kit);
        struct seal seal;
        struct slice sealed;

        seal_write(&rope, rows[i].family, slice_from_z(rows[i].minter),
                   text_plain(slice_from_z(rows[i].item)),
                   text_plain(slice_from_z(rows[i].secret)));
        sealed = kit_take(&kit, &rope);
        cr_expect(seal_is_sealed(text_plain(sealed)));
        cr_assert(seal_read(text_escaped(sealed), IR_SEAL_SIGNATURE, (struct text){0}, &kit.arena,
                            &seal));
        cr_expect_eq(seal.family, rows[i].family);
        cr_expect(seal.is_sealed);
        cr_expect(text_is(seal.minter, slice_from_z(rows[i].minter)));
        cr_expect(text_is(seal.secret, slice_from_z(rows[i].secret)));
        cr_expect(text_is(seal.item_id, slice_from_z(rows[i].item)));
    }
}

Test(common, long_secrets_are_sealed_in_pieces)
{
    char *secret = arena_take(&kit.arena, 10000);
    struct rope rope = kit_rope(&kit);
    struct seal seal;

    for (size_t i = 0; i < 10000; i++)
        secret[i] = (char)('A' + i % 50);
    seal_write(&rope, IR_SEAL_THOUGHT, S("google"), (struct text){0},
               text_plain(slice_of(secret, 10000)));
    cr_assert(seal_read(text_plain(kit_take(&kit, &rope)), IR_SEAL_NONE, (struct text){0},
                        &kit.arena, &seal));
    cr_expect(text_is(seal.secret, slice_of(secret, 10000)));
}

Test(common, broken_seals_are_none)
{
    static const char *const broken[] = {"gw1.",          "gw1.a",        "gw1.a.",
                                         "gw1.x.YW50AFM", "gw1.a.!!!!",   "gw1.a.YWJj",
                                         "gw1.a.YW50AAA", "gw1.a.YW50AP8"};

    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct seal seal;

        cr_assert(seal_read(text_plain(slice_from_z(broken[i])), IR_SEAL_SIGNATURE,
                            (struct text){0}, &kit.arena, &seal));
        cr_expect_eq(seal.family, IR_SEAL_NONE, "%s", broken[i]);
    }
}

/* --- media --- */

Test(common, data_urls_are_read)
{
    static const struct {
        const char *url, *mime, *data;
    } rows[] = {
        {"data:image/png;base64,AAAA", "image/png", "AAAA"},
        {"DATA:Image/JPG;charset=x;Base64,/9j/", "image/jpeg", "/9j/"},
        {"data:;base64,iVBORw0KGgo", "image/png", "iVBORw0KGgo"},
        {"data:text/plain,a%20b", "text/plain", "YSBi"},
        {"data:,hi", "", "aGk="},
    };
    struct data_url url;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_assert(data_url_read(text_plain(slice_from_z(rows[i].url)), &kit.arena, &url), "%s",
                  rows[i].url);
        cr_expect(url.is_data);
        expect_text(url.mime, rows[i].mime);
        expect_text(text_bytes(url.data), rows[i].data);
    }
    cr_assert(data_url_read(text_escaped(S("data:image\\/png;base64,\\/9j\\/")), &kit.arena, &url));
    expect_text(url.mime, "image/png");
    cr_assert(data_url_read(text_plain(S("https://e.example/a.png")), &kit.arena, &url));
    cr_expect(!url.is_data);
    cr_expect(!data_url_read(text_plain(S("data:image/png;base64")), &kit.arena, &url));
    cr_expect(!data_url_read(text_plain(S("data:text/plain,%zz")), &kit.arena, &url));
}

Test(common, types_are_known_by_name)
{
    expect_text(mime_of_name(text_plain(S("https://e.example/A.JPG?x=1.png"))), "image/jpeg");
    expect_text(mime_of_name(text_plain(S("a.pdf"))), "application/pdf");
    expect_text(mime_of_name(text_plain(S("noextension"))), "");
}

/* --- ids --- */

Test(common, ids_that_fit_stay_and_others_are_a_pure_function)
{
    struct slice a, b;

    cr_assert(id_fit(text_plain(S("call_1-x")), ID_AM, &kit.arena, &a));
    expect_text(a, "call_1-x");
    cr_assert(id_fit(text_plain(S("a.b:c")), ID_OC_COMPAT, &kit.arena, &a));
    expect_text(a, "a.b:c");
    cr_assert(id_fit(text_plain(S("a.b:c")), ID_AM, &kit.arena, &a));
    cr_assert(id_fit(text_escaped(S("a\\u002eb:c")), ID_AM, &kit.arena, &b));
    cr_expect(slice_eq(a, b), "the decoded text counts");
    cr_expect(str_starts(a, S("a_b_c_")));
    cr_expect_eq(a.len, 6u + 16u);
    cr_assert(id_fit(text_plain(S("01234567890123456789012345678901234567890")), ID_OC_OPENAI,
                     &kit.arena, &a));
    cr_expect_eq(a.len, 40u);
}

Test(common, derived_ids_depend_on_their_seed_alone)
{
    char a[ID_DERIVED_BYTES], b[ID_DERIVED_BYTES], c[ID_DERIVED_BYTES];

    id_derive(S("one"), a);
    id_derive(S("one"), b);
    id_derive(S("two"), c);
    cr_expect_eq(memcmp(a, b, sizeof(a)), 0);
    cr_expect_neq(memcmp(a, c, sizeof(a)), 0);
    cr_expect_eq(memcmp(a, "call_", 5), 0);
}

/* --- reasoning --- */

Test(common, the_ladder_of_effort)
{
    const uint8_t low_high = 1u << IR_EFFORT_LOW | 1u << IR_EFFORT_HIGH;

    cr_expect_eq(effort_of(text_plain(S("XHigh"))), IR_EFFORT_XHIGH);
    cr_expect_eq(effort_of(text_plain(S("off"))), IR_EFFORT_NONE);
    cr_expect_eq(effort_of(text_plain(S("ultra"))), -1);
    cr_expect_eq(effort_nearest(IR_EFFORT_MEDIUM, low_high), IR_EFFORT_LOW, "ties downwards");
    cr_expect_eq(effort_nearest(IR_EFFORT_MAX, low_high), IR_EFFORT_HIGH);
    cr_expect_eq(effort_nearest(IR_EFFORT_MINIMAL, 1u << IR_EFFORT_NONE | low_high), IR_EFFORT_LOW);
    cr_expect_eq(effort_nearest(IR_EFFORT_LOW, 0), -1);
    for (int64_t budget = 0; budget < 40000; budget += 100)
        cr_expect_leq(effort_of_budget(budget), effort_of_budget(budget + 100));
    for (int effort = IR_EFFORT_NONE; effort <= IR_EFFORT_XHIGH; effort++)
        cr_expect_eq(effort_of_budget(effort_to_budget(effort, 64000)), effort);
    cr_expect_eq(effort_to_budget(IR_EFFORT_MAX, 64000), 64000);
}

static struct think think_of_lines(const char *dialect, const char *lines)
{
    struct ir_tape tape;
    struct params params;
    struct think think;
    char begin[64];

    snprintf(begin, sizeof(begin), "BEGIN id=plain\"%s\"", dialect);
    ir_tape_init(&tape, kit.mem);
    cr_assert(kit_put_lines(&kit, slice_from_z(begin), &tape.sink));
    cr_assert(kit_put_lines(&kit, slice_from_z(lines), &tape.sink));
    cr_assert(params_read(&tape, &kit.arena, &params));
    think_of(&params, &think);
    ir_tape_clear(&tape);
    return think;
}

Test(common, what_clients_want_of_reasoning)
{
    struct think think = think_of_lines("openai", "PARAM effort escaped\"high\" number=4");

    cr_expect_eq(think.mode, IR_THINK_ADAPTIVE);
    cr_expect_eq(think.effort, IR_EFFORT_HIGH);
    cr_expect(think.shows);
    think = think_of_lines("openai", "PARAM effort escaped\"none\" number=0");
    cr_expect_eq(think.mode, IR_THINK_OFF);
    cr_expect(!think.shows);
    think = think_of_lines("openai-responses", "PARAM effort escaped\"low\" number=2");
    cr_expect(!think.shows);
    think = think_of_lines("anthropic", "PARAM think_mode number=2\nPARAM budget number=9000");
    cr_expect_eq(think.mode, IR_THINK_MANUAL);
    cr_expect_eq(think.budget, 9000);
    cr_expect_eq(think.effort, IR_EFFORT_HIGH);
    cr_expect(think.shows);
    think = think_of_lines("anthropic", "PARAM effort escaped\"max\" number=6");
    cr_expect_eq(think.mode, IR_THINK_UNSET);
    think = think_of_lines("gemini", "");
    cr_expect_eq(think.mode, IR_THINK_UNSET);
    cr_expect(!think.is_asked);
}

/* --- usage --- */

Test(common, uncached_input_is_never_negative)
{
    struct ir_usage usage = {.has = IR_HAS_INPUT | IR_HAS_CACHE_READ | IR_HAS_CACHE_WRITE,
                             .input = 100,
                             .cache_read = 60,
                             .cache_write = 10};

    cr_expect_eq(usage_uncached(&usage), 30u);
    usage.cache_read = 200;
    cr_expect_eq(usage_uncached(&usage), 0u);
}
