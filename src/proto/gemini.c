#include "gemini.h"

#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"

/* The Gemini generateContent dialect: its row, its errors, its counts and lists. */

static const struct proto_edit edits[] = {
    {.kind = PROTO_EDIT_SYSTEM_PARTS, .key = S_INIT("systemInstruction")},
    {.kind = PROTO_EDIT_SYSTEM_PARTS, .key = S_INIT("system_instruction")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("contents")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("tools")},
    {0},
};

/* --- text --- */

void gemini_write_text(struct rope *out, struct text text)
{
    while (text.len > 0) {
        const char *at = text.ptr, *end = text.ptr + text.len;
        uint32_t len;

        /* both are E2 80 A8/A9 in every form */
        while ((at = memchr(at, 0xe2, (size_t)(end - at))) != NULL) {
            if (end - at >= 3 && (uint8_t)at[1] == 0x80 && ((uint8_t)at[2] | 1) == 0xa9)
                break;
            at++;
        }
        len = at == NULL ? text.len : (uint32_t)(at - text.ptr);
        text_write_escaped_copy(out, (struct text){text.ptr, len, text.form});
        if (at == NULL)
            return;
        rope_put(out, (uint8_t)at[2] == 0xa8 ? S("\\u2028") : S("\\u2029"));
        text.ptr += len + 3;
        text.len -= len + 3;
    }
}

void gemini_write_json(struct rope *out, struct slice json)
{
    gemini_write_text(out, text_escaped(json));
}

/* --- errors --- */

void gemini_write_error(struct rope *out, const struct fault *fault)
{
    const struct fault_row *row = &fault_rows[fault->kind];

    rope_put(out, S("{\"error\":{\"code\":"));
    rope_put_u64(out, fault->status != 0 ? fault->status : row->gemini_status);
    rope_put(out, S(",\"message\":\""));
    if (fault->message.len > 0)
        gemini_write_text(out, fault->message);
    else
        rope_put(out, slice_from_z(r2a_err_text(fault->err)));
    rope_put(out, S("\",\"status\":\""));
    rope_put(out, slice_from_z(row->gemini_name));
    rope_put(out, S("\"}}"));
}

static uint16_t error_body(const struct fault *fault, struct rope *out)
{
    gemini_write_error(out, fault);
    return fault->status != 0 ? fault->status : fault_rows[fault->kind].gemini_status;
}

/* --- counting --- */

static void count_write(const struct brief *brief, uint64_t tokens, struct rope *out)
{
    (void)brief;
    rope_put(out, S("{\"totalTokens\":"));
    rope_put_u64(out, tokens);
    rope_put_char(out, '}');
}

/* Google leaves a zero out. */
static bool count_read(struct slice body, uint64_t *tokens)
{
    enum { TOTAL, ERROR, NAMES };
    static const struct slice names[NAMES] = {S_INIT("totalTokens"), S_INIT("error")};
    struct member found[NAMES];
    int64_t value = 0;

    if (!members_of(body, names, NAMES, found) || member_is(&found[ERROR], JSON_OBJECT))
        return false;
    if (found[TOTAL].raw.len > 0 && (!member_int(&found[TOTAL], &value) || value < 0))
        return false;
    *tokens = (uint64_t)value;
    return true;
}

/* --- lists --- */

static void write_model(struct json_write *writer, const struct proto_model *model)
{
    static const struct slice methods[] = {S_INIT("generateContent"),
                                           S_INIT("streamGenerateContent"), S_INIT("countTokens")};
    struct rope *out = writer->rope;

    jw_object(writer);
    jw_key(writer, S("name"));
    jw_string_begin(writer);
    rope_put(out, S("models/"));
    gemini_write_text(out, text_plain(model->id));
    jw_string_end(writer);
    jw_member_string(writer, S("version"), S("001"));
    jw_member_string(writer, S("displayName"), model->id);
    jw_key(writer, S("supportedGenerationMethods"));
    jw_array(writer);
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
        jw_string(writer, methods[i]);
    jw_array_end(writer);
    jw_object_end(writer);
}

static void models_write(const struct proto_model *models, uint32_t count, struct rope *out)
{
    struct json_write writer;

    jw_open(&writer, out);
    jw_object(&writer);
    jw_key(&writer, S("models"));
    jw_array(&writer);
    for (uint32_t i = 0; i < count; i++)
        write_model(&writer, &models[i]);
    jw_array_end(&writer);
    jw_object_end(&writer);
}

static void model_write(const struct proto_model *model, struct rope *out)
{
    struct json_write writer;

    jw_open(&writer, out);
    write_model(&writer, model);
}

static bool models_read(struct slice body, void (*put)(void *context, struct slice id),
                        void *context)
{
    static const struct slice names[] = {S_INIT("models")};
    static const struct slice model_names[] = {S_INIT("name")};
    struct member found[1], name[1];
    struct json_scan scan;
    enum json_token token;

    if (!members_of(body, names, 1, found) || !member_is(&found[0], JSON_ARRAY))
        return false;
    json_open(&scan, found[0].raw);
    json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice model, id;
        char plain[512];
        int64_t len;

        if (!json_skip_after(&scan, token, &model))
            return false;
        if (!members_of(model, model_names, 1, name) || !member_is(&name[0], JSON_STRING))
            continue;
        len = text_decode(member_text(&name[0]), plain, sizeof(plain));
        id = slice_of(plain, len < 0 ? 0 : (size_t)len);
        if (str_starts(id, S("models/")))
            id = slice_skip(id, 7);
        if (id.len > 0)
            put(context, id);
    }
    return true;
}

const struct proto proto_gemini = {
    .name = S_INIT("gemini"),
    .error_apart = true,
    .edits = edits,
    .decoder_size = GEMINI_DECODER_SIZE,
    .encoder_size = GEMINI_ENCODER_SIZE,
    .request_decode = gemini_request_decode,
    .encoder_init = gemini_encoder_init,
    .encode = gemini_encode,
    .encoder_drop = gemini_encoder_drop,
    .error_body = error_body,
    .request_encode = gemini_request_encode,
    .decoder_init = gemini_decoder_init,
    .decode = gemini_decode,
    .finish = gemini_finish,
    .count_write = count_write,
    .count_read = count_read,
    .models_write = models_write,
    .model_write = model_write,
    .models_read = models_read,
};
