#include "r2a/proto/embed.h"

#include <float.h>
#include <string.h>

#include "member.h"
#include "r2a/core/base64.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"
#include "reading.h"

/* Embeddings in OpenAI's and in Gemini's words. One pass over the request, one over the answer;
 * vectors stay the text they came as, unless the client wants them as base64. */

/* --- both --- */

struct asking {
    struct embed *embed;
    struct reading reading;
    struct loss *loss;
    struct slice model;
};

static void note_unknown(void *context, struct text key, const struct member *value)
{
    struct asking *asking = context;

    if (!value->is_null)
        loss_note(asking->loss, text_bytes(key));
}

/* The members of an object; those not in the table are lost, and said to be. */
static enum r2a_err read_members(struct asking *asking, struct slice raw, const struct slice *names,
                                 uint32_t count, struct member *members)
{
    struct json_scan scan;

    json_open(&scan, raw);
    if (json_next(&scan) != JSON_OBJECT)
        return read_refuse(&asking->reading, S("Invalid type for"), S(": expected an object."));
    if (!members_read(&scan, names, count, members, NULL, note_unknown, asking))
        return read_refuse_syntax(&asking->reading, &scan, raw);
    return R2A_OK;
}

static enum r2a_err count_text(struct asking *asking, struct text text)
{
    asking->reading.brief->text_bytes += text_plain_len(text);
    if (++asking->embed->count > EMBED_INPUTS_MAX)
        return read_refuse(&asking->reading, S("Too many inputs"), S("; at most 2048 are taken."));
    return R2A_OK;
}

static enum r2a_err read_dimensions(struct asking *asking, const struct member *member,
                                    struct slice name, int64_t *dimensions)
{
    if (member->kind == JSON_ERROR)
        return R2A_OK;
    if (!member_int(member, dimensions) || *dimensions < 1)
        return read_refuse_value(&asking->reading, name, S(": expected an integer from 1."));
    return R2A_OK;
}

/* --- OpenAI -> Gemini --- */

enum { OA_MODEL, OA_INPUT, OA_FORMAT, OA_DIMENSIONS, OA_MEMBERS };
static const struct slice oa_names[OA_MEMBERS] = {S_INIT("model"), S_INIT("input"),
                                                  S_INIT("encoding_format"), S_INIT("dimensions")};

static bool has_kind(struct slice model)
{
    return str_starts(model, S("models/")) || str_starts(model, S("tunedModels/"));
}

static void put_model(struct json_write *w, struct slice model)
{
    jw_string_begin(w);
    if (!has_kind(model))
        rope_put(w->rope, S("models/"));
    text_write_escaped_copy(w->rope, text_plain(model));
    jw_string_end(w);
}

static enum r2a_err put_gemini_request(struct asking *asking, const struct member *input,
                                       int64_t dimensions, struct json_write *w)
{
    struct text text = member_text(input);

    if (!member_is(input, JSON_STRING)) {
        if (member_is(input, JSON_NUMBER) || member_is(input, JSON_ARRAY))
            return read_refuse_value(
                &asking->reading, (struct slice){0},
                S(": this model's upstream takes text, not tokens; send strings."));
        return read_refuse_type(&asking->reading, (struct slice){0}, input->kind, S("a string"));
    }
    jw_object(w);
    jw_key(w, S("model"));
    put_model(w, asking->model);
    jw_key(w, S("content"));
    jw_object(w);
    jw_key(w, S("parts"));
    jw_array(w);
    jw_object(w);
    jw_key(w, S("text"));
    jw_text(w, text);
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
    if (dimensions > 0) {
        jw_key(w, S("outputDimensionality"));
        jw_i64(w, dimensions);
    }
    jw_object_end(w);
    return count_text(asking, text);
}

static enum r2a_err ask_gemini(struct asking *asking, struct slice body, struct rope *out)
{
    struct reading *r = &asking->reading;
    struct member root[OA_MEMBERS];
    const struct member *input = &root[OA_INPUT];
    struct text format;
    int64_t dimensions = -1;
    struct json_write w;
    enum r2a_err err = read_members(asking, body, oa_names, OA_MEMBERS, root);

    if (err == R2A_OK)
        err = read_dimensions(asking, &root[OA_DIMENSIONS], oa_names[OA_DIMENSIONS], &dimensions);
    if (err != R2A_OK)
        return err;
    format = member_text(&root[OA_FORMAT]);
    asking->embed->wants_base64 = text_is(format, S("base64"));
    if (root[OA_FORMAT].kind != JSON_ERROR && !asking->embed->wants_base64 &&
        !text_is(format, S("float")))
        return read_refuse_value(r, oa_names[OA_FORMAT], S(": expected 'float' or 'base64'."));
    if (input->kind == JSON_ERROR)
        return read_refuse_missing(r, oa_names[OA_INPUT]);
    jw_open(&w, out);
    jw_object(&w);
    jw_key(&w, S("requests"));
    jw_array(&w);
    read_enter(r, oa_names[OA_INPUT]);
    if (member_is(input, JSON_ARRAY)) {
        struct json_scan scan;
        struct member item;

        read_open(r, &scan, input->raw);
        for (uint32_t i = 0; err == R2A_OK && read_next(&scan, &item); i++) {
            read_enter_index(r, i);
            err = put_gemini_request(asking, &item, dimensions, &w);
            read_leave(r);
        }
    } else {
        err = put_gemini_request(asking, input, dimensions, &w);
    }
    if (err == R2A_OK && asking->embed->count == 0)
        err = read_refuse(r, S("Invalid value for"), S(": it is empty."));
    read_leave(r);
    jw_array_end(&w);
    jw_object_end(&w);
    return err;
}

/* --- Gemini -> OpenAI --- */

/* Protobuf's JSON is read in both spellings. */
enum { GG_MODEL, GG_CONTENT, GG_TASK, GG_TASK_, GG_TITLE, GG_DIMENSIONS, GG_DIMENSIONS_, GG_ITEM };
static const struct slice gg_names[GG_ITEM] = {S_INIT("model"),
                                               S_INIT("content"),
                                               S_INIT("taskType"),
                                               S_INIT("task_type"),
                                               S_INIT("title"),
                                               S_INIT("outputDimensionality"),
                                               S_INIT("output_dimensionality")};

/* The text of a content, its parts as lines of one text. */
static enum r2a_err put_content(struct asking *asking, const struct member *content,
                                struct json_write *w)
{
    static const struct slice content_names[] = {S_INIT("parts"), S_INIT("role")};
    static const struct slice part_names[] = {S_INIT("text")};
    struct reading *r = &asking->reading;
    struct member members[2], part, text;
    struct json_scan scan;
    uint32_t texts = 0;
    enum r2a_err err;

    if (content->kind == JSON_ERROR)
        return read_refuse_missing(r, gg_names[GG_CONTENT]);
    read_enter(r, gg_names[GG_CONTENT]);
    err = read_members(asking, content->raw, content_names, 2, members);
    if (err == R2A_OK && !member_is(&members[0], JSON_ARRAY))
        err = read_refuse_missing(r, content_names[0]);
    if (err != R2A_OK)
        return err;
    read_enter(r, content_names[0]);
    jw_string_begin(w);
    read_open(r, &scan, members[0].raw);
    for (uint32_t i = 0; err == R2A_OK && read_next(&scan, &part); i++) {
        read_enter_index(r, i);
        if (!members_of(part.raw, part_names, 1, &text) || !member_is(&text, JSON_STRING)) {
            /* what the vector is to stand for would not be in it */
            err = read_refuse(r, S("Invalid value for"),
                              S(": this model's upstream embeds text only."));
        } else {
            if (texts++ > 0)
                rope_put(w->rope, S("\\n"));
            text_write_escaped_copy(w->rope, member_text(&text));
            asking->reading.brief->text_bytes += text_plain_len(member_text(&text));
        }
        read_leave(r);
    }
    jw_string_end(w);
    if (err == R2A_OK && texts == 0)
        err = read_refuse(r, S("Invalid value for"), S(": it has no text."));
    read_leave(r);
    read_leave(r);
    return err != R2A_OK ? err : count_text(asking, (struct text){0});
}

/* One thing to embed. `*dimensions`: 0 before the first, -1 when that one did not say. */
static enum r2a_err put_item(struct asking *asking, struct slice raw, int64_t *dimensions,
                             struct json_write *w)
{
    struct member members[GG_ITEM];
    const struct member *wanted;
    int64_t own = -1;
    enum r2a_err err = read_members(asking, raw, gg_names, GG_ITEM, members);

    if (err != R2A_OK)
        return err;
    wanted = &members[members[GG_DIMENSIONS].kind != JSON_ERROR ? GG_DIMENSIONS : GG_DIMENSIONS_];
    err = read_dimensions(asking, wanted, gg_names[GG_DIMENSIONS], &own);
    if (err != R2A_OK)
        return err;
    if (*dimensions != 0 && *dimensions != own)
        return read_refuse_value(
            &asking->reading, gg_names[GG_DIMENSIONS],
            S(": this model's upstream gives all vectors of one call the same size."));
    *dimensions = own;
    if (members[GG_TASK].kind != JSON_ERROR || members[GG_TASK_].kind != JSON_ERROR)
        loss_note(asking->loss, gg_names[GG_TASK]);
    if (members[GG_TITLE].kind != JSON_ERROR)
        loss_note(asking->loss, gg_names[GG_TITLE]);
    return put_content(asking, &members[GG_CONTENT], w);
}

static enum r2a_err put_batch(struct asking *asking, struct slice body, int64_t *dimensions,
                              struct json_write *w)
{
    static const struct slice names[] = {S_INIT("requests"), S_INIT("model")};
    struct reading *r = &asking->reading;
    struct member root[2], item;
    struct json_scan scan;
    enum r2a_err err = read_members(asking, body, names, 2, root);

    if (err != R2A_OK)
        return err;
    if (!member_is(&root[0], JSON_ARRAY))
        return read_refuse_missing(r, names[0]);
    read_enter(r, names[0]);
    read_open(r, &scan, root[0].raw);
    for (uint32_t i = 0; err == R2A_OK && read_next(&scan, &item); i++) {
        read_enter_index(r, i);
        err = put_item(asking, item.raw, dimensions, w);
        read_leave(r);
    }
    if (err == R2A_OK && asking->embed->count == 0)
        err = read_refuse(r, S("Invalid value for"), S(": it is empty."));
    read_leave(r);
    return err;
}

static enum r2a_err ask_openai(struct asking *asking, struct slice body, struct rope *out)
{
    int64_t dimensions = 0;
    struct json_write w;
    enum r2a_err err;

    jw_open(&w, out);
    jw_object(&w);
    jw_member_string(&w, S("model"), asking->model);
    jw_key(&w, S("input"));
    jw_array(&w);
    err = asking->embed->is_batch ? put_batch(asking, body, &dimensions, &w)
                                  : put_item(asking, body, &dimensions, &w);
    jw_array_end(&w);
    jw_member_string(&w, S("encoding_format"), S("float"));
    if (dimensions > 0)
        jw_member_u64(&w, S("dimensions"), (uint64_t)dimensions);
    jw_object_end(&w);
    return err;
}

enum r2a_err embed_write_request(struct embed *embed, struct slice body, struct slice model,
                                 struct brief *brief, struct rope *out, struct loss *loss,
                                 struct fault *fault)
{
    struct asking asking = {
        .embed = embed,
        .reading = {.body = body, .brief = brief, .fault = fault},
        .loss = loss,
        .model = model,
    };

    embed->count = 0;
    embed->wants_base64 = false;
    brief->text_bytes = 0;
    return embed->form == EMBED_OPENAI ? ask_gemini(&asking, body, out)
                                       : ask_openai(&asking, body, out);
}

/* --- answers --- */

/* The vectors of an answer, in the order of the texts. */
struct vectors {
    struct slice *raw; /* JSON arrays of numbers; an empty one: none came */
    uint32_t count;
    uint64_t tokens;
    bool has_tokens;
};

static bool read_tokens(const struct member *usage, struct slice name, struct vectors *vectors)
{
    struct member count;
    int64_t value;

    if (usage->kind != JSON_OBJECT || !members_of(usage->raw, &name, 1, &count) ||
        !member_int(&count, &value) || value < 0)
        return false;
    vectors->tokens = (uint64_t)value;
    vectors->has_tokens = true;
    return true;
}

static bool place(struct vectors *vectors, int64_t index, const struct member *values)
{
    if (!member_is(values, JSON_ARRAY) || index < 0 || index >= vectors->count ||
        vectors->raw[index].len > 0)
        return false;
    vectors->raw[index] = values->raw;
    return true;
}

/* {"data":[{"index":0,"embedding":[…]}],"usage":{"prompt_tokens":3}} */
static bool read_openai(struct slice answer, struct vectors *vectors)
{
    static const struct slice root_names[] = {S_INIT("data"), S_INIT("usage")};
    static const struct slice names[] = {S_INIT("index"), S_INIT("embedding")};
    struct member root[2], item, members[2];
    struct json_scan scan;
    uint32_t count = 0;

    if (!members_of(answer, root_names, 2, root) || !member_is(&root[0], JSON_ARRAY))
        return false;
    read_tokens(&root[1], S("prompt_tokens"), vectors);
    json_open(&scan, root[0].raw);
    (void)json_next(&scan);
    for (; read_next(&scan, &item); count++) {
        int64_t index = count;

        if (!members_of(item.raw, names, 2, members) ||
            (members[0].kind != JSON_ERROR && !member_int(&members[0], &index)) ||
            !place(vectors, index, &members[1]))
            return false;
    }
    return count == vectors->count;
}

/* {"embeddings":[{"values":[…]}]}; newer models count: "usageMetadata":{"promptTokenCount":3} */
static bool read_gemini(struct slice answer, struct vectors *vectors)
{
    static const struct slice root_names[] = {S_INIT("embeddings"), S_INIT("usageMetadata")};
    static const struct slice name = S_INIT("values");
    struct member root[2], item, values;
    struct json_scan scan;
    uint32_t count = 0;

    if (!members_of(answer, root_names, 2, root) || !member_is(&root[0], JSON_ARRAY))
        return false;
    read_tokens(&root[1], S("promptTokenCount"), vectors);
    json_open(&scan, root[0].raw);
    (void)json_next(&scan);
    for (; read_next(&scan, &item); count++) {
        if (!members_of(item.raw, &name, 1, &values) || !place(vectors, count, &values))
            return false;
    }
    return count == vectors->count;
}

/* Nothing but numbers, as it came. */
static bool put_floats(struct slice raw, struct rope *out)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) == JSON_NUMBER)
        ;
    if (token != JSON_ARRAY_END)
        return false;
    text_write_json_compact(out, text_json(raw));
    return true;
}

#define FLOATS_AT_ONCE 96u /* 384 bytes: a multiple of three, so that pieces join */

static void put_base64_piece(const unsigned char *bytes, size_t size, struct rope *out)
{
    char piece[FLOATS_AT_ONCE * 4 / 3 * 4 + 4];
    size_t len = base64_encode(piece, slice_of((const char *)bytes, size), BASE64_PADDED);

    rope_put(out, slice_of(piece, len));
}

static bool put_base64(struct slice raw, struct rope *out)
{
    unsigned char bytes[FLOATS_AT_ONCE * 4];
    size_t size = 0;
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    rope_put_char(out, '"');
    while ((token = json_next(&scan)) == JSON_NUMBER) {
        double value = json_number_double(scan.text);
        float narrow;
        uint32_t bits;

        if (!(value >= -(double)FLT_MAX && value <= (double)FLT_MAX))
            return false;
        narrow = (float)value;
        memcpy(&bits, &narrow, sizeof(bits));
        for (uint32_t i = 0; i < 4; i++)
            bytes[size++] = (unsigned char)(bits >> (8 * i));
        if (size == sizeof(bytes)) {
            put_base64_piece(bytes, size, out);
            size = 0;
        }
    }
    if (token != JSON_ARRAY_END)
        return false;
    put_base64_piece(bytes, size, out);
    rope_put_char(out, '"');
    return true;
}

static bool say_openai(const struct embed *embed, const struct vectors *vectors,
                       const struct brief *brief, struct rope *out)
{
    struct json_write w;

    rope_put(out, S("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; i < vectors->count; i++) {
        rope_put(out, i > 0 ? S(",{\"object\":\"embedding\",\"index\":")
                            : S("{\"object\":\"embedding\",\"index\":"));
        rope_put_u64(out, i);
        rope_put(out, S(",\"embedding\":"));
        if (!(embed->wants_base64 ? put_base64(vectors->raw[i], out)
                                  : put_floats(vectors->raw[i], out)))
            return false;
        rope_put_char(out, '}');
    }
    rope_put(out, S("],\"model\":"));
    jw_open(&w, out);
    jw_string(&w, brief->model);
    rope_put(out, S(",\"usage\":{\"prompt_tokens\":"));
    rope_put_u64(out, vectors->tokens);
    rope_put(out, S(",\"total_tokens\":"));
    rope_put_u64(out, vectors->tokens);
    rope_put(out, S("}}"));
    return true;
}

static bool say_gemini(const struct embed *embed, const struct vectors *vectors, struct rope *out)
{
    rope_put(out, embed->is_batch ? S("{\"embeddings\":[") : S("{\"embedding\":"));
    for (uint32_t i = 0; i < vectors->count; i++) {
        rope_put(out, i > 0 ? S(",{\"values\":") : S("{\"values\":"));
        if (!put_floats(vectors->raw[i], out))
            return false;
        rope_put_char(out, '}');
    }
    rope_put(out, embed->is_batch ? S("]}") : S("}"));
    return true;
}

enum r2a_err embed_write_answer(const struct embed *embed, struct slice answer,
                                const struct brief *brief, struct rope *out, uint64_t *tokens,
                                bool *is_estimated)
{
    struct vectors vectors = {.count = embed->count};
    bool is_good;

    vectors.raw = arena_take_zero(brief->arena, (embed->count + 1) * sizeof(*vectors.raw));
    if (vectors.raw == NULL)
        return R2A_ERR_NO_MEMORY;
    is_good =
        embed->form == EMBED_OPENAI ? read_gemini(answer, &vectors) : read_openai(answer, &vectors);
    *is_estimated = !vectors.has_tokens;
    if (!vectors.has_tokens)
        vectors.tokens = brief_estimate(brief);
    *tokens = vectors.tokens;
    is_good = is_good && (embed->form == EMBED_OPENAI ? say_openai(embed, &vectors, brief, out)
                                                      : say_gemini(embed, &vectors, out));
    return is_good ? out->err : R2A_ERR_INVALID;
}

/* --- same form, other name --- */

/* Writes up to behind a `model` string at `raw`, the string replaced. */
static const char *rename_at(struct slice raw, const char *at, struct slice model, struct rope *out)
{
    struct json_write w;

    rope_borrow(out, slice_between(at, raw.ptr));
    jw_open(&w, out);
    put_model(&w, model);
    return raw.ptr + raw.len;
}

void embed_write_renamed(struct slice body, struct slice model, struct rope *out)
{
    struct json_scan scan;
    enum json_token token;
    const char *at = body.ptr;
    uint32_t depth = 0; /* of the objects whose `model` counts: the root, then each request */
    bool is_model = false, is_requests = false;

    json_open(&scan, body);
    while ((token = json_next(&scan)) != JSON_ERROR && token != JSON_END) {
        if (token == JSON_KEY) {
            depth = scan.depth;
            if (depth == 1)
                is_requests = json_key_is(&scan, S("requests"));
            is_model =
                (depth == 1 || (depth == 3 && is_requests)) && json_key_is(&scan, S("model"));
            continue;
        }
        if (is_model && token == JSON_STRING)
            at = rename_at(slice_of(scan.text.ptr - 1, scan.text.len + 2), at, model, out);
        is_model = false;
    }
    rope_borrow(out, slice_between(at, body.ptr + body.len));
}
