#include "vectors_of.h"

#include "../../../src/proto/member.h"
#include "support/vectors.h"

struct slice vectors_of_read(const struct vectors_of *of, const char *name)
{
    char path[256];
    size_t len;
    char *bytes, *copy;

    snprintf(path, sizeof(path), "protocol/%s/%s", of->folder, name);
    bytes = vectors_read(path, &len);
    if (bytes == NULL)
        cr_skip_test("no vectors at VECTORS_DIR");
    copy = arena_take(&of->kit->arena, len + 1);
    memcpy(copy, bytes, len + 1);
    free(bytes);
    return slice_of(copy, len);
}

/* Two JSON texts with the same members in the same order and the same values. */
static bool json_equal(struct slice a, struct slice b)
{
    struct json_scan scans[2];
    enum json_token tokens[2];

    json_open(&scans[0], a);
    json_open(&scans[1], b);
    do {
        tokens[0] = json_next(&scans[0]);
        tokens[1] = json_next(&scans[1]);
        if (tokens[0] != tokens[1] || tokens[0] == JSON_ERROR)
            return false;
        if ((tokens[0] == JSON_KEY || tokens[0] == JSON_STRING) &&
            !text_eq(text_escaped(scans[0].text), text_escaped(scans[1].text)))
            return false;
        if (tokens[0] == JSON_NUMBER && !slice_eq(scans[0].text, scans[1].text))
            return false;
    } while (tokens[0] != JSON_END);
    return true;
}

static struct text copy(struct outcome *o, struct text text)
{
    struct slice bytes = arena_copy(&o->kit->arena, text_bytes(text));

    return (struct text){bytes.ptr, (uint32_t)bytes.len, text.form};
}

static enum r2a_err take(struct ir_sink *sink, const struct ir_event *event)
{
    struct outcome *o = (struct outcome *)(void *)sink;
    uint32_t what;

    cr_assert_lt(event->part, 64u);
    switch (event->kind) {
    case IR_PART:
        o->parts[event->part] = event->what == IR_PART_TEXT     ? 0x100
                                : event->what == IR_PART_REASON ? 0x101
                                                                : 0;
        if (event->what == IR_PART_CALL) {
            cr_assert_lt(o->calls_count, 8u);
            o->calls[o->calls_count].id = copy(o, event->u.open.id);
            o->calls[o->calls_count].name = copy(o, event->u.open.name);
            o->calls[o->calls_count].args = kit_rope(o->kit);
            o->parts[event->part] = ++o->calls_count;
        }
        break;
    case IR_TEXT:
        what = o->parts[event->part];
        if (what == 0x100)
            text_write_plain(&o->text, event->u.text);
        else if (what == 0x101)
            text_write_plain(&o->reasoning, event->u.text);
        else if (what > 0 && event->u.text.form == TEXT_JSON)
            rope_put(&o->calls[what - 1].args, text_bytes(event->u.text));
        else if (what > 0)
            text_write_plain(&o->calls[what - 1].args, event->u.text);
        break;
    case IR_STOP:
        o->stop = event->what;
        o->has_stop = true;
        break;
    case IR_USAGE:
        ir_usage_merge(&o->usage, event->u.usage);
        break;
    case IR_ERROR:
        o->message = copy(o, event->u.fault->message);
        break;
    case IR_END:
        o->is_complete = true;
        break;
    default:
        break;
    }
    return R2A_OK;
}

static void consume(const struct vectors_of *of, const struct framing *framing, struct slice bytes,
                    kit_cut_fn cut, struct outcome *outcome)
{
    void *decoder = arena_take_zero(&of->kit->arena, of->proto->decoder_size);
    struct ir_grammar grammar;

    *outcome = (struct outcome){.sink.put = take, .kit = of->kit};
    outcome->text = outcome->reasoning = kit_rope(of->kit);
    ir_grammar_response(&grammar, &outcome->sink, true);
    of->proto->decoder_init(decoder, &of->kit->target, &of->kit->brief);
    cr_assert_eq(kit_feed(of->kit, of->proto, decoder, framing, bytes, cut, NULL, &grammar.sink),
                 R2A_OK);
    cr_assert_eq(of->proto->finish(decoder, &grammar.sink), R2A_OK);
    if (of->proto->decoder_drop != NULL)
        of->proto->decoder_drop(decoder);
}

static void check_calls(const struct vectors_of *of, const char *name, struct outcome *outcome,
                        struct slice calls)
{
    static const struct slice names[] = {S_INIT("id"), S_INIT("name"), S_INIT("arguments")};
    struct json_scan scan;
    enum json_token token;
    struct member found[3];
    uint32_t index = 0;

    json_open(&scan, calls);
    json_next(&scan);
    while ((token = json_next(&scan)) == JSON_OBJECT) {
        struct slice call;

        cr_assert(json_skip_after(&scan, token, &call));
        cr_assert(members_of(call, names, 3, found));
        cr_assert_lt(index, outcome->calls_count, "%s: a call is missing", name);
        if (!of->makes_ids || member_is(&found[0], JSON_STRING))
            cr_expect(text_eq(outcome->calls[index].id, member_text(&found[0])), "%s", name);
        cr_expect_gt(outcome->calls[index].id.len, 0u, "%s", name);
        cr_expect(text_eq(outcome->calls[index].name, member_text(&found[1])), "%s", name);
        cr_expect(json_equal(kit_take(of->kit, &outcome->calls[index].args), found[2].raw), "%s",
                  name);
        index++;
    }
    cr_expect_eq(index, outcome->calls_count, "%s: %u calls", name, outcome->calls_count);
}

static void check_outcome(const struct vectors_of *of, const char *name, struct outcome *outcome,
                          struct slice expected)
{
    enum { TEXT, REASONING, CALLS, FINISH, USAGE, ERROR, COMPLETE, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("text"),  S_INIT("reasoning"), S_INIT("tool_calls"), S_INIT("finish"),
        S_INIT("usage"), S_INIT("error"),     S_INIT("complete")};
    static const struct slice error_names[] = {S_INIT("message")};
    struct slice text = kit_take(of->kit, &outcome->text);
    struct slice reasoning = kit_take(of->kit, &outcome->reasoning);
    struct member found[NAMES], inner;

    cr_assert(members_of(expected, names, NAMES, found));
    if (of->own_name != NULL && strcmp(name, of->own_name) == 0)
        cr_expect(slice_eq(text, of->own_text), "%.*s", (int)text.len, text.ptr);
    else
        cr_expect(text_eq(text_plain(text), member_text(&found[TEXT])), "%s: %.*s", name,
                  (int)text.len, text.ptr);
    cr_expect(text_eq(text_plain(reasoning), member_text(&found[REASONING])), "%s", name);
    check_calls(of, name, outcome, found[CALLS].raw);
    cr_expect_eq(outcome->is_complete, member_is(&found[COMPLETE], JSON_TRUE), "%s", name);
    of->check_end(name, outcome, member_text(&found[FINISH]),
                  member_is(&found[USAGE], JSON_OBJECT) ? found[USAGE].raw : (struct slice){0});
    /* a blocked prompt is a stop with its reason, not an error */
    if (member_is(&found[ERROR], JSON_OBJECT) && !outcome->is_complete) {
        cr_assert(members_of(found[ERROR].raw, error_names, 1, &inner));
        cr_expect(text_eq(outcome->message, member_text(&inner)), "%s", name);
    }
}

static size_t cut_some(void *context, size_t at)
{
    (void)context;
    return 1 + (at * 2654435761u >> 7) % 37;
}

static const struct framing *framing_of(const char *name)
{
    return strstr(name, ".jsonarr") != NULL ? &framing_json_array : &framing_sse;
}

void vectors_of_streams(const struct vectors_of *of, const char *const *names, size_t count)
{
    static const kit_cut_fn cuts[] = {NULL, kit_cut_one, cut_some};

    for (size_t i = 0; i < count; i++) {
        struct slice bytes = vectors_of_read(of, names[i]), expected;
        char path[128], stem[64];

        snprintf(stem, sizeof(stem), "%.*s", (int)(strchr(names[i], '.') - names[i]), names[i]);
        snprintf(path, sizeof(path), "%s.expect.json", stem);
        expected = vectors_of_read(of, path);
        for (size_t k = 0; k < sizeof(cuts) / sizeof(*cuts); k++) {
            struct outcome outcome;

            consume(of, framing_of(names[i]), bytes, cuts[k], &outcome);
            check_outcome(of, stem, &outcome, expected);
        }
    }
}

void vectors_of_bad_streams(const struct vectors_of *of, const char *const *names, size_t count,
                            bool may_fail)
{
    for (size_t i = 0; i < count; i++) {
        struct slice bytes = vectors_of_read(of, names[i]);
        struct outcome outcome;

        consume(of, framing_of(names[i]), bytes, NULL, &outcome);
        cr_expect(outcome.is_complete || (may_fail && outcome.message.len > 0), "%s", names[i]);
        cr_expect_gt(outcome.text.bytes, 0u, "%s", names[i]);
        rope_clear(&outcome.text);
        rope_clear(&outcome.reasoning);
    }
}

void vectors_of_documents(const struct vectors_of *of, const struct vectors_row *rows, size_t count,
                          bool is_same)
{
    struct kit *kit = of->kit;

    for (size_t i = 0; i < count; i++) {
        struct slice body = vectors_of_read(of, rows[i].name), lines, again;

        kit->brief.shape = BRIEF_DOCUMENT;
        lines = kit_decode_document(kit, of->proto, body);
        again = kit_encode(kit, of->proto, lines);
        cr_assert(is_json(again), "%s: %.*s", rows[i].name, (int)again.len, again.ptr);
        expect_has(kit, again, rows[i].wanted);
        if (!is_same)
            continue;
        /* decode(encode(decode(x))) = decode(x), but for the first line: its ids are ours */
        again = kit_decode_document(kit, of->proto, again);
        lines = slice_skip(lines, str_find_char(lines, '\n'));
        again = slice_skip(again, str_find_char(again, '\n'));
        cr_expect(slice_eq(lines, again), "%s: %.*s but %.*s", rows[i].name, (int)lines.len,
                  lines.ptr, (int)again.len, again.ptr);
    }
}

void vectors_of_errors(const struct vectors_of *of, const struct vectors_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice body = vectors_of_read(of, rows[i].name);
        struct slice lines = kit_decode_document(of->kit, of->proto, body);
        char want[32];

        snprintf(want, sizeof(want), "ERROR %s", rows[i].wanted);
        cr_expect(str_starts(lines, slice_from_z(want)), "%s: %.*s", rows[i].name, (int)lines.len,
                  lines.ptr);
    }
}

void vectors_of_requests(const struct vectors_of *of, const char *const *names, size_t count)
{
    struct kit *kit = of->kit;

    for (size_t i = 0; i < count; i++) {
        struct slice body = vectors_of_read(of, names[i]), lines, out, again;

        profile_of(of->model, false, &kit->target.profile);
        kit->brief.operation = i + 1 == count ? BRIEF_COUNT : BRIEF_GENERATE;
        kit->target.is_stream = i == 1;
        lines = kit_request_decode(kit, of->proto, body);
        cr_assert(!str_starts(lines, S("ERROR")), "%s: %.*s", names[i], (int)lines.len, lines.ptr);
        for (size_t k = 0; k < PROTO_COUNT; k++) {
            out = kit_translate(kit, of->proto, proto_table[k], body);
            cr_expect(out.len == 0 || is_json(out), "%s", names[i]);
        }
        memset(&kit->loss, 0, sizeof(kit->loss));
        out = kit_translate(kit, of->proto, of->proto, body);
        cr_assert(is_json(out), "%s", names[i]);
        again = kit_translate(kit, of->proto, of->proto, out);
        cr_expect(slice_eq(out, again), "%s: %.*s but %.*s", names[i], (int)out.len, out.ptr,
                  (int)again.len, again.ptr);
        cr_expect_eq(kit->loss.names_count, 0u, "%s: %.*s", names[i], (int)kit->loss.names[0].len,
                     kit->loss.names[0].ptr);
    }
}
