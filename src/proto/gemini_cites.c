#include "gemini_answer.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"

/* Where an answer came from, and how likely its words were (conversion.md 3.7, 3.8). Google counts
 * offsets in bytes of the text, everybody else in code points: while the text passes, its runs of
 * equally long characters are noted, which is all that is needed to convert one into the other. */

/* --- bytes to code points --- */

static void add_run(struct gemini_choice *choice, uint8_t width)
{
    struct gemini_runs *runs = choice->runs;

    if (choice->runs_count++ >= GEMINI_RUNS_MAX)
        return;
    if (runs == NULL || runs->count == array_count(runs->at)) {
        runs = arena_take(choice->arena, sizeof(*runs));
        if (runs == NULL) {
            choice->runs_count = GEMINI_RUNS_MAX + 1;
            return;
        }
        runs->before = choice->runs;
        runs->count = 0;
        choice->runs = runs;
    }
    runs->at[runs->count++] =
        (struct gemini_run){.byte = choice->bytes, .character = choice->characters, .width = width};
}

static uint8_t last_width(const struct gemini_choice *choice)
{
    return choice->runs == NULL ? 0 : choice->runs->at[choice->runs->count - 1].width;
}

static void add_characters(struct gemini_choice *choice, uint32_t count, uint8_t width)
{
    if (last_width(choice) != width && choice->runs_count <= GEMINI_RUNS_MAX)
        add_run(choice, width);
    choice->bytes += count * width;
    choice->characters += count;
}

static uint32_t hex_of(const char *digits)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)char_hex_value(digits[i]);
    return code;
}

void gemini_measure(struct gemini_choice *choice, struct text piece)
{
    for (uint32_t i = 0; i < piece.len;) {
        uint32_t simple = text_simple_len((struct text){piece.ptr + i, piece.len - i, piece.form});
        uint8_t c;

        if (simple > 0) {
            add_characters(choice, simple, 1);
            i += simple;
            continue;
        }
        c = (uint8_t)piece.ptr[i];
        if (c != '\\' || piece.form != TEXT_ESCAPED) {
            uint8_t width = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

            add_characters(choice, 1, width);
            i += width;
        } else if (i + 5 < piece.len && piece.ptr[i + 1] == 'u') {
            uint32_t code = hex_of(piece.ptr + i + 2);
            bool is_pair = code >= 0xd800 && code < 0xdc00 && i + 11 < piece.len;

            add_characters(choice, 1, is_pair ? 4 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3);
            i += is_pair ? 12 : 6;
        } else {
            add_characters(choice, 1, 1);
            i += 2;
        }
    }
}

/* -1: beyond the text, or not measured so far. */
static int64_t character_at(const struct gemini_choice *choice, int64_t byte)
{
    if (byte < 0 || byte > choice->bytes || choice->runs_count > GEMINI_RUNS_MAX)
        return -1;
    for (const struct gemini_runs *runs = choice->runs; runs != NULL; runs = runs->before)
        for (uint32_t i = runs->count; i > 0; i--)
            if (runs->at[i - 1].byte <= byte)
                return runs->at[i - 1].character +
                       (byte - runs->at[i - 1].byte) / runs->at[i - 1].width;
    return 0;
}

/* --- sources --- */

static enum r2a_err put_cite(struct gemini_choice *choice, struct ir_sink *sink,
                             struct ir_cite *cite)
{
    return ir_put(sink, &(struct ir_event){.kind = IR_CITE,
                                           .choice = choice->index,
                                           .part = choice->text_part - 1,
                                           .u.cite = cite});
}

/* Element `index` of an array, as a span. */
static bool element_at(struct slice array, int64_t index, struct slice *raw)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, array);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        if (!json_skip_after(&scan, token, raw))
            return false;
        if (index-- == 0)
            return true;
    }
    return false;
}

static void read_chunk_source(struct slice chunk, struct ir_cite *cite)
{
    enum { URI, TITLE, KEYS };
    static const struct slice kinds[] = {S_INIT("web"), S_INIT("retrievedContext"), S_INIT("maps")};
    static const struct slice names[KEYS] = {S_INIT("uri"), S_INIT("title")};
    struct member found[3], source[KEYS];

    if (!members_of(chunk, kinds, 3, found))
        return;
    for (int i = 0; i < 3; i++) {
        if (!member_is(&found[i], JSON_OBJECT) || !members_of(found[i].raw, names, KEYS, source))
            continue;
        cite->url = member_text(&source[URI]);
        cite->title = member_text(&source[TITLE]);
        return;
    }
}

static enum r2a_err put_support(struct gemini_choice *choice, struct slice raw, struct slice chunks,
                                struct ir_sink *sink)
{
    enum { SEGMENT, INDICES, NAMES };
    enum { START, END, TEXT, SEGMENT_NAMES };
    static const struct slice names[NAMES] = {S_INIT("segment"), S_INIT("groundingChunkIndices")};
    static const struct slice segment_names[SEGMENT_NAMES] = {S_INIT("startIndex"),
                                                              S_INIT("endIndex"), S_INIT("text")};
    struct member found[NAMES], segment[SEGMENT_NAMES] = {0};
    struct ir_cite cite = {.start = -1, .end = -1, .document = -1};
    struct json_scan scan;
    enum r2a_err err = R2A_OK;
    int64_t start = 0, end;

    if (!members_of(raw, names, NAMES, found) || !member_is(&found[INDICES], JSON_ARRAY))
        return R2A_OK;
    if (member_is(&found[SEGMENT], JSON_OBJECT) &&
        members_of(found[SEGMENT].raw, segment_names, SEGMENT_NAMES, segment) &&
        member_int(&segment[END], &end)) {
        (void)member_int(&segment[START], &start); /* a zero is left out */
        cite.start = character_at(choice, start);
        cite.end = character_at(choice, end);
        if (cite.start < 0 || cite.end < 0)
            cite.start = cite.end = -1;
    }
    cite.quoted = member_text(&segment[TEXT]);
    json_open(&scan, found[INDICES].raw);
    (void)json_next(&scan);
    while (err == R2A_OK && json_next(&scan) == JSON_NUMBER) {
        struct slice chunk;
        int64_t index;

        if (!json_number_int(scan.text, &index) || index < 0 || !element_at(chunks, index, &chunk))
            continue;
        cite.url = cite.title = (struct text){0};
        read_chunk_source(chunk, &cite);
        err = put_cite(choice, sink, &cite);
    }
    return err;
}

static enum r2a_err put_grounding(struct gemini_choice *choice, struct ir_sink *sink)
{
    enum { CHUNKS, SUPPORTS, NAMES };
    static const struct slice names[NAMES] = {S_INIT("groundingChunks"),
                                              S_INIT("groundingSupports")};
    struct member found[NAMES];
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;

    if (!members_of(choice->grounding, names, NAMES, found) ||
        !member_is(&found[CHUNKS], JSON_ARRAY) || !member_is(&found[SUPPORTS], JSON_ARRAY))
        return R2A_OK;
    json_open(&scan, found[SUPPORTS].raw);
    (void)json_next(&scan);
    while (err == R2A_OK && (token = json_next(&scan)) == JSON_OBJECT) {
        struct slice support;

        if (!json_skip_after(&scan, token, &support))
            break;
        err = put_support(choice, support, found[CHUNKS].raw, sink);
    }
    return err;
}

static enum r2a_err put_citations(struct gemini_choice *choice, struct ir_sink *sink)
{
    enum { SOURCES, CITATIONS, NAMES };
    enum { START, END, URI, TITLE, SOURCE_NAMES };
    static const struct slice names[NAMES] = {S_INIT("citationSources"), S_INIT("citations")};
    static const struct slice source_names[SOURCE_NAMES] = {
        S_INIT("startIndex"), S_INIT("endIndex"), S_INIT("uri"), S_INIT("title")};
    struct member found[NAMES], source[SOURCE_NAMES];
    struct slice list;
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err = R2A_OK;

    if (!members_of(choice->citations, names, NAMES, found))
        return R2A_OK;
    list = found[member_is(&found[SOURCES], JSON_ARRAY) ? SOURCES : CITATIONS].raw;
    json_open(&scan, list);
    if (json_next(&scan) != JSON_ARRAY)
        return R2A_OK;
    while (err == R2A_OK && (token = json_next(&scan)) == JSON_OBJECT) {
        struct ir_cite cite = {.start = -1, .end = -1, .document = -1};
        int64_t start = 0, end;
        struct slice raw;

        if (!json_skip_after(&scan, token, &raw))
            break;
        if (!members_of(raw, source_names, SOURCE_NAMES, source))
            continue;
        if (member_int(&source[END], &end)) {
            (void)member_int(&source[START], &start);
            cite.start = character_at(choice, start);
            cite.end = character_at(choice, end);
            if (cite.start < 0 || cite.end < 0)
                cite.start = cite.end = -1;
        }
        cite.url = member_text(&source[URI]);
        cite.title = member_text(&source[TITLE]);
        err = put_cite(choice, sink, &cite);
    }
    return err;
}

enum r2a_err gemini_put_cites(struct gemini_choice *choice, struct ir_sink *sink)
{
    enum r2a_err err = R2A_OK;

    if (choice->text_part == 0)
        return R2A_OK;
    if (choice->grounding.len > 0)
        err = put_grounding(choice, sink);
    if (err == R2A_OK && choice->citations.len > 0)
        err = put_citations(choice, sink);
    return err;
}

/* --- logprobs --- */

static void write_token(struct json_write *w, struct slice raw)
{
    enum { TOKEN, LOGPROB, NAMES };
    static const struct slice names[NAMES] = {S_INIT("token"), S_INIT("logProbability")};
    struct member found[NAMES];
    char bytes[256];
    int64_t len;

    if (!members_of(raw, names, NAMES, found))
        return;
    jw_member_text(w, S("token"), member_text(&found[TOKEN]));
    jw_member_raw(w, S("logprob"),
                  member_is(&found[LOGPROB], JSON_NUMBER) ? found[LOGPROB].raw : S("0"));
    jw_key(w, S("bytes"));
    len = text_decode(member_text(&found[TOKEN]), bytes, sizeof(bytes));
    if (len < 0) {
        jw_null(w);
        return;
    }
    jw_array(w);
    for (int64_t i = 0; i < len; i++)
        jw_u64(w, (uint8_t)bytes[i]);
    jw_array_end(w);
}

static void write_top(struct json_write *w, const struct member *tops, uint32_t index)
{
    static const struct slice names[] = {S_INIT("candidates")};
    struct member found[1];
    struct json_scan scan;
    enum json_token token;
    struct slice raw;

    jw_key(w, S("top_logprobs"));
    jw_array(w);
    if (member_is(tops, JSON_ARRAY) && element_at(tops->raw, index, &raw) &&
        members_of(raw, names, 1, found) && member_is(&found[0], JSON_ARRAY)) {
        json_open(&scan, found[0].raw);
        (void)json_next(&scan);
        while ((token = json_next(&scan)) == JSON_OBJECT && json_skip_after(&scan, token, &raw)) {
            jw_object(w);
            write_token(w, raw);
            jw_object_end(w);
        }
    }
    jw_array_end(w);
}

enum r2a_err gemini_put_logprobs(struct gemini_choice *choice, struct slice raw,
                                 struct ir_sink *sink)
{
    enum { CHOSEN, TOP, NAMES };
    static const struct slice names[NAMES] = {S_INIT("chosenCandidates"), S_INIT("topCandidates")};
    struct rope rope = {.mem = choice->brief->mem};
    struct json_write writer;
    struct member found[NAMES];
    struct json_scan scan;
    enum json_token token;
    enum r2a_err err;
    uint32_t index = 0;
    char *json;

    if (!members_of(raw, names, NAMES, found) || !member_is(&found[CHOSEN], JSON_ARRAY))
        return R2A_OK;
    jw_open(&writer, &rope);
    jw_array(&writer);
    json_open(&scan, found[CHOSEN].raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) == JSON_OBJECT && json_skip_after(&scan, token, &raw)) {
        jw_object(&writer);
        write_token(&writer, raw);
        write_top(&writer, &found[TOP], index++);
        jw_object_end(&writer);
    }
    jw_array_end(&writer);
    err = rope.err;
    json = err == R2A_OK ? arena_take(choice->arena, rope.bytes) : NULL;
    if (json != NULL) {
        size_t len = rope.bytes;

        rope_copy_out(&rope, json);
        if (index > 0)
            err = ir_put(sink, &(struct ir_event){.kind = IR_LOGPROBS,
                                                  .choice = choice->index,
                                                  .u.text = text_json(slice_of(json, len))});
    } else if (err == R2A_OK) {
        err = R2A_ERR_NO_MEMORY;
    }
    rope_clear(&rope);
    return err;
}
