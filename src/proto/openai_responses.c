#include "openai_responses.h"

#include "member.h"
#include "openai_chat.h"
#include "r2a/proto/list.h"

/* The row of Responses: what a relay may edit, counting, and the lists of models, which all of
 * OpenAI's dialects share. The codecs are in files of their own. */

static const struct proto_edit edits[] = {
    {.kind = PROTO_EDIT_MODEL, .key = S_INIT("model")},
    {.kind = PROTO_EDIT_STREAM, .key = S_INIT("stream")},
    {.kind = PROTO_EDIT_SYSTEM_VALUE, .key = S_INIT("instructions")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("input")},
    {.kind = PROTO_EDIT_UNIQUE, .key = S_INIT("tools")},
    {0},
};

static void count_write(const struct brief *brief, uint64_t tokens, struct rope *out)
{
    (void)brief;
    rope_put(out, S("{\"object\":\"response.input_tokens\",\"input_tokens\":"));
    rope_put_u64(out, tokens);
    rope_put_char(out, '}');
}

static bool count_read(struct slice body, uint64_t *tokens)
{
    static const struct slice name = S_INIT("input_tokens");
    struct member member;
    int64_t value;

    if (!members_of(body, &name, 1, &member) || !member_int(&member, &value) || value < 0)
        return false;
    *tokens = (uint64_t)value;
    return true;
}

static void models_write(const struct proto_model *models, uint32_t count, struct rope *out)
{
    proto_openai_chat.models_write(models, count, out);
}

static void model_write(const struct proto_model *model, struct rope *out)
{
    proto_openai_chat.model_write(model, out);
}

static bool models_read(struct slice body, void (*put)(void *context, struct slice id),
                        void *context)
{
    return proto_openai_chat.models_read(body, put, context);
}

const struct proto proto_openai_responses = {
    .name = S_INIT("openai-responses"),
    .edits = edits,
    .decoder_size = OPENAI_RESPONSES_DECODER_SIZE,
    .encoder_size = OPENAI_RESPONSES_ENCODER_SIZE,
    .request_decode = openai_responses_request_decode,
    .encoder_init = openai_responses_encoder_init,
    .encode = openai_responses_encode,
    .encoder_drop = openai_responses_encoder_drop,
    .error_body = openai_chat_error_body,
    .request_encode = openai_responses_request_encode,
    .decoder_init = openai_responses_decoder_init,
    .decode = openai_responses_decode,
    .finish = openai_responses_finish,
    .count_write = count_write,
    .count_read = count_read,
    .models_write = models_write,
    .model_write = model_write,
    .models_read = models_read,
};
