#include "anthropic.h"

#include "member.h"
#include "r2a/core/date.h"
#include "r2a/json/text.h"
#include "r2a/json/write.h"

/* The Messages dialect: its row, its errors, its counts and lists. */

static const struct proto_edit edits[] = {
    {.kind = PROTO_EDIT_MODEL, .key = S_INIT("model")},
    {.kind = PROTO_EDIT_STREAM, .key = S_INIT("stream")},
    {.kind = PROTO_EDIT_SYSTEM_VALUE, .blocks_allowed = true, .key = S_INIT("system")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("messages")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("tools")},
    {0},
};

/* --- errors --- */

void anthropic_write_error(struct rope *out, const struct fault *fault)
{
    const struct fault_row *row = &fault_rows[fault->kind];

    rope_put(out, S("{\"type\":\"error\",\"error\":{\"type\":\""));
    rope_put(out, slice_from_z(row->anthropic_type));
    rope_put(out, S("\",\"message\":\""));
    /* Claude Code compacts its history when it reads these words. */
    if (fault->kind == FAULT_CONTEXT &&
        !text_starts_nocase(fault->message, S("prompt is too long")))
        rope_put(out, S("prompt is too long: "));
    if (fault->message.len > 0)
        text_write_escaped_copy(out, fault->message);
    else
        rope_put(out, slice_from_z(r2a_err_text(fault->err)));
    rope_put(out, S("\"},\"request_id\":"));
    if (fault->request_id.len > 0)
        text_write_string(out, text_plain(fault->request_id));
    else
        rope_put(out, S("null"));
    rope_put_char(out, '}');
}

static uint16_t error_body(const struct fault *fault, struct rope *out)
{
    anthropic_write_error(out, fault);
    return fault->status != 0 ? fault->status : fault_rows[fault->kind].anthropic_status;
}

/* --- counting --- */

static void count_write(const struct brief *brief, uint64_t tokens, struct rope *out)
{
    (void)brief;
    rope_put(out, S("{\"input_tokens\":"));
    rope_put_u64(out, tokens);
    rope_put_char(out, '}');
}

static bool count_read(struct slice body, uint64_t *tokens)
{
    static const struct slice names[] = {S_INIT("input_tokens")};
    struct member found[1];
    int64_t value;

    if (!members_of(body, names, 1, found) || !member_int(&found[0], &value) || value < 0)
        return false;
    *tokens = (uint64_t)value;
    return true;
}

/* --- lists --- */

static void write_model(struct json_write *writer, const struct proto_model *model)
{
    char created[DATE_RFC3339_BYTES];

    date_write_rfc3339(created, model->created * 1000);
    jw_object(writer);
    jw_member_string(writer, S("type"), S("model"));
    jw_member_string(writer, S("id"), model->id);
    jw_member_string(writer, S("display_name"), model->id);
    created[19] = 'Z'; /* whole seconds */
    jw_member_string(writer, S("created_at"), slice_of(created, 20));
    jw_object_end(writer);
}

static void write_end(struct json_write *writer, struct slice name, const struct proto_model *model)
{
    if (model != NULL)
        jw_member_string(writer, name, model->id);
    else
        jw_member_null(writer, name);
}

static void models_write(const struct proto_model *models, uint32_t count, struct rope *out)
{
    struct json_write writer;

    jw_open(&writer, out);
    jw_object(&writer);
    jw_key(&writer, S("data"));
    jw_array(&writer);
    for (uint32_t i = 0; i < count; i++)
        write_model(&writer, &models[i]);
    jw_array_end(&writer);
    jw_member_bool(&writer, S("has_more"), false);
    write_end(&writer, S("first_id"), count > 0 ? &models[0] : NULL);
    write_end(&writer, S("last_id"), count > 0 ? &models[count - 1] : NULL);
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
    static const struct slice names[] = {S_INIT("data")};
    static const struct slice model_names[] = {S_INIT("id")};
    struct member found[1], id[1];
    struct json_scan scan;
    enum json_token token;

    if (!members_of(body, names, 1, found) || !member_is(&found[0], JSON_ARRAY))
        return false;
    json_open(&scan, found[0].raw);
    json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice model;
        char plain[512];
        int64_t len;

        if (!json_skip_after(&scan, token, &model))
            return false;
        if (!members_of(model, model_names, 1, id) || !member_is(&id[0], JSON_STRING))
            continue;
        len = text_decode(member_text(&id[0]), plain, sizeof(plain));
        if (len > 0)
            put(context, slice_of(plain, (size_t)len));
    }
    return true;
}

const struct proto proto_anthropic = {
    .name = S_INIT("anthropic"),
    .edits = edits,
    .decoder_size = ANTHROPIC_DECODER_SIZE,
    .encoder_size = ANTHROPIC_ENCODER_SIZE,
    .request_decode = anthropic_request_decode,
    .encoder_init = anthropic_encoder_init,
    .encode = anthropic_encode,
    .encoder_drop = anthropic_encoder_drop,
    .error_body = error_body,
    .request_encode = anthropic_request_encode,
    .decoder_init = anthropic_decoder_init,
    .decode = anthropic_decode,
    .finish = anthropic_finish,
    .relay_end = S_INIT("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
    .count_write = count_write,
    .count_read = count_read,
    .models_write = models_write,
    .model_write = model_write,
    .models_read = models_read,
};
