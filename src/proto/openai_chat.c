#include "openai_chat.h"

#include "member.h"
#include "r2a/core/str.h"
#include "r2a/json/path.h"
#include "r2a/json/text.h"
#include "r2a/proto/list.h"

/* The row of Chat Completions: what a relay may edit and must hide, and the model list. The codecs
 * are in files of their own. */

static const struct proto_edit edits[] = {
    {.kind = PROTO_EDIT_MODEL, .key = S_INIT("model")},
    {.kind = PROTO_EDIT_STREAM, .key = S_INIT("stream")},
    {.kind = PROTO_EDIT_SYSTEM_MESSAGES, .key = S_INIT("messages")},
    {.kind = PROTO_EDIT_USAGE, .key = S_INIT("stream_options"), .subkey = S_INIT("include_usage")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("tools")},
    {0},
};

/* Whether `"choices"` is there with nothing in it: a quick look, since it is asked of every chunk
 * of a relayed stream. A string that says the same only costs the exact look afterwards. */
static bool may_be_empty(struct slice data)
{
    size_t at = str_find(data, S("\"choices\""));

    if (at == data.len)
        return false;
    data = str_trim_lines(slice_skip(data, at + sizeof("\"choices\"") - 1));
    if (data.len == 0 || data.ptr[0] != ':')
        return false;
    data = str_trim_lines(slice_skip(data, 1));
    if (data.len == 0 || data.ptr[0] != '[')
        return false;
    data = str_trim_lines(slice_skip(data, 1));
    return data.len > 0 && data.ptr[0] == ']';
}

/* We ask every upstream for usage, because somebody has to pay; who did not ask does not see it. */
static bool relay_hides(const struct brief *brief, const struct frame *frame)
{
    static const struct slice names[] = {S_INIT("choices"), S_INIT("usage"), S_INIT("error")};
    struct member members[3];

    if (brief->usage_asked || frame->kind != FRAME_DATA || !may_be_empty(frame->data))
        return false;
    return members_of(frame->data, names, 3, members) && member_is(&members[0], JSON_ARRAY) &&
           member_is(&members[1], JSON_OBJECT) && !member_is(&members[2], JSON_OBJECT);
}

/* --- models --- */

static void model_write(const struct proto_model *model, struct rope *out)
{
    rope_put(out, S("{\"id\":"));
    text_write_string(out, text_plain(model->id));
    rope_put(out, S(",\"object\":\"model\",\"created\":"));
    rope_put_i64(out, model->created);
    rope_put(out, S(",\"owned_by\":"));
    text_write_string(out, text_plain(model->owner));
    rope_put_char(out, '}');
}

/* `models` is for Codex, which reads that member and is content with nothing in it. */
static void models_write(const struct proto_model *models, uint32_t count, struct rope *out)
{
    rope_put(out, S("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            rope_put_char(out, ',');
        model_write(&models[i], out);
    }
    rope_put(out, S("],\"models\":[]}"));
}

/* The list under `data`, or a bare array as some servers have it. */
static bool models_read(struct slice body, void (*put)(void *context, struct slice id),
                        void *context)
{
    static const struct slice data_name = S_INIT("data"), id_name = S_INIT("id");
    struct slice list = str_trim_lines(body);
    struct member member;
    struct json_scan scan;
    enum json_token token;

    if (list.len > 0 && list.ptr[0] == '{') {
        if (!members_of(list, &data_name, 1, &member) || !member_is(&member, JSON_ARRAY))
            return false;
        list = member.raw;
    }
    json_open(&scan, list);
    if (json_next(&scan) != JSON_ARRAY)
        return false;
    while ((token = json_next(&scan)) == JSON_OBJECT) {
        char id[256];
        int64_t len;

        if (!members_read(&scan, &id_name, 1, &member, NULL, NULL, NULL))
            return false;
        len = text_decode(member_text(&member), id, sizeof(id));
        if (len > 0)
            put(context, slice_of(id, (size_t)len));
    }
    return token == JSON_ARRAY_END;
}

const struct proto proto_openai_chat = {
    .name = S_INIT("openai"),
    .edits = edits,
    .decoder_size = OPENAI_CHAT_DECODER_SIZE,
    .encoder_size = OPENAI_CHAT_ENCODER_SIZE,
    .request_decode = openai_chat_request_decode,
    .encoder_init = openai_chat_encoder_init,
    .encode = openai_chat_encode,
    .encoder_drop = openai_chat_encoder_drop,
    .error_body = openai_chat_error_body,
    .request_encode = openai_chat_request_encode,
    .decoder_init = openai_chat_decoder_init,
    .decode = openai_chat_decode,
    .finish = openai_chat_finish,
    .decoder_drop = openai_chat_decoder_drop,
    .relay_hides = relay_hides,
    .relay_end = S_INIT("data: [DONE]\n\n"),
    .models_write = models_write,
    .model_write = model_write,
    .models_read = models_read,
};
