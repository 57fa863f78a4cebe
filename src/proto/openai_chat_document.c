#include "openai_chat_answer.h"

#include "r2a/json/text.h"

/* What a Chat Completions answer says once: usage, finish reasons, errors, and the whole of it when
 * the client did not ask for a stream. */

struct slice openai_chat_model_of(const struct encoder *e)
{
    return e->brief->model.len > 0 ? e->brief->model : e->model;
}

void openai_chat_write_id(const struct encoder *e, struct rope *out)
{
    rope_put(out, S("\"id\":\"chatcmpl-"));
    rope_put(out, e->brief->id);
}

struct slice openai_chat_finish_reason(const struct encoder *e, const struct choice *choice)
{
    switch ((enum ir_stop)choice->stop) {
    case IR_STOP_TOOL:
        if (choice->calls_count == 0)
            return S("stop");
        return e->brief->is_legacy_functions ? S("function_call") : S("tool_calls");
    case IR_STOP_LENGTH:
    case IR_STOP_CONTEXT:
        return S("length");
    case IR_STOP_FILTER:
    case IR_STOP_RECITATION:
    case IR_STOP_REFUSAL:
        return S("content_filter");
    case IR_STOP_END:
    case IR_STOP_SEQUENCE:
    case IR_STOP_PAUSE:
    case IR_STOP_BAD_CALL:
    case IR_STOP_OTHER:
        break;
    }
    return S("stop");
}

void openai_chat_write_usage(const struct encoder *e, struct rope *out)
{
    const struct ir_usage *usage = &e->usage;
    uint64_t input = usage->has & IR_HAS_INPUT ? usage->input : brief_estimate(e->brief);
    uint64_t output = usage->has & IR_HAS_OUTPUT ? usage->output : (e->text_bytes + 3) / 4;

    rope_put(out, S("{\"prompt_tokens\":"));
    rope_put_u64(out, input);
    rope_put(out, S(",\"completion_tokens\":"));
    rope_put_u64(out, output);
    rope_put(out, S(",\"total_tokens\":"));
    rope_put_u64(out, input + output);
    if (usage->has & (IR_HAS_CACHE_READ | IR_HAS_CACHE_WRITE)) {
        rope_put(out, S(",\"prompt_tokens_details\":{\"cached_tokens\":"));
        rope_put_u64(out, usage->cache_read);
        if (usage->has & IR_HAS_CACHE_WRITE) {
            rope_put(out, S(",\"cache_write_tokens\":"));
            rope_put_u64(out, usage->cache_write);
        }
        rope_put_char(out, '}');
    }
    if (usage->has & IR_HAS_REASONING) {
        rope_put(out, S(",\"completion_tokens_details\":{\"reasoning_tokens\":"));
        rope_put_u64(out, usage->reasoning);
        rope_put_char(out, '}');
    }
    rope_put_char(out, '}');
}

/* `"name":"…"`, or with null where there is nothing. */
static void write_member(struct rope *out, struct slice name, struct rope *value, bool writes_null)
{
    if (value->bytes == 0 && !writes_null)
        return;
    rope_put_char(out, ',');
    rope_put(out, name);
    if (value->bytes == 0) {
        rope_put(out, S("null"));
        return;
    }
    rope_put_char(out, '"');
    rope_append(out, value);
    rope_put_char(out, '"');
}

static void write_list(struct rope *out, struct slice name, struct rope *list)
{
    if (list == NULL || list->bytes == 0)
        return;
    rope_put(out, name);
    rope_append(out, list);
    rope_put_char(out, ']');
}

static void write_document_calls(const struct document *document, struct rope *out)
{
    bool is_first = true;

    for (struct gathered *call = document->calls; call != NULL; call = call->next) {
        if (call->is_legacy) {
            rope_put(out, S(",\"function_call\":{\"name\":\""));
            text_write_escaped_copy(out, call->name);
            rope_put(out, S("\",\"arguments\":\""));
            rope_append(out, &call->body);
            rope_put(out, S("\"}"));
            continue;
        }
        rope_put(out, is_first ? S(",\"tool_calls\":[{\"id\":\"") : S(",{\"id\":\""));
        is_first = false;
        text_write_escaped_copy(out, call->id);
        rope_put(out, call->is_custom ? S("\",\"type\":\"custom\",\"custom\":{\"name\":\"")
                                      : S("\",\"type\":\"function\",\"function\":{\"name\":\""));
        text_write_escaped_copy(out, call->name);
        rope_put(out, call->is_custom ? S("\",\"input\":\"") : S("\",\"arguments\":\""));
        rope_append(out, &call->body);
        rope_put(out, S("\"}"));
        if (call->signature.len > 0) {
            rope_put(out, S(",\"extra_content\":{\"google\":{\"thought_signature\":"));
            text_write_string(out, text_plain(call->signature));
            rope_put(out, S("}}"));
        }
        rope_put_char(out, '}');
    }
    if (!is_first)
        rope_put_char(out, ']');
}

static void write_document_choice(struct encoder *e, uint32_t index, struct choice *choice,
                                  struct rope *out)
{
    struct document *document = choice->document;

    rope_put(out, S("{\"index\":"));
    rope_put_u64(out, index);
    rope_put(out, S(",\"message\":{\"role\":\"assistant\""));
    write_member(out, S("\"content\":"), &document->content, true);
    write_member(out, S("\"refusal\":"), &document->refusal, true);
    write_member(out, S("\"reasoning_content\":"), &document->reasoning, false);
    write_document_calls(document, out);
    write_list(out, S(",\"annotations\":["), choice->annotations);
    write_list(out, S(",\"images\":["), choice->images);
    rope_put(out, S("},\"logprobs\":"));
    if (document->logprobs.bytes + document->refusal_logprobs.bytes == 0) {
        rope_put(out, S("null"));
    } else {
        rope_put(out, S("{\"content\":"));
        if (document->logprobs.bytes > 0)
            write_list(out, S("["), &document->logprobs);
        else
            rope_put(out, S("null"));
        rope_put(out, S(",\"refusal\":"));
        if (document->refusal_logprobs.bytes > 0)
            write_list(out, S("["), &document->refusal_logprobs);
        else
            rope_put(out, S("null"));
        rope_put_char(out, '}');
    }
    rope_put(out, S(",\"finish_reason\":\""));
    rope_put(out, openai_chat_finish_reason(e, choice));
    rope_put(out, S("\"}"));
}

void openai_chat_write_document(struct encoder *e, struct rope *out)
{
    rope_put_char(out, '{');
    openai_chat_write_id(e, out);
    rope_put(out, S("\",\"object\":\"chat.completion\",\"created\":"));
    rope_put_i64(out, e->brief->created);
    rope_put(out, S(",\"model\":"));
    text_write_string(out, text_plain(openai_chat_model_of(e)));
    rope_put(out, S(",\"choices\":["));
    for (uint8_t i = 0, written = 0; i < CHOICES_MAX; i++) {
        struct choice *choice = i == 0 ? &e->first : e->others == NULL ? NULL : &e->others[i - 1];

        if (choice == NULL || choice->document == NULL)
            continue;
        if (written++ > 0)
            rope_put_char(out, ',');
        write_document_choice(e, i, choice, out);
    }
    rope_put(out, S("],\"usage\":"));
    openai_chat_write_usage(e, out);
    if (e->tier.len > 0) {
        rope_put(out, S(",\"service_tier\":"));
        text_write_string(out, text_plain(e->tier));
    }
    rope_put(out, S(",\"system_fingerprint\":"));
    if (e->fingerprint.len > 0)
        text_write_string(out, text_plain(e->fingerprint));
    else
        rope_put(out, S("null"));
    rope_put_char(out, '}');
}

uint16_t openai_chat_error_body(const struct fault *fault, struct rope *out)
{
    const struct fault_row *row = &fault_rows[fault->kind < FAULT_KINDS ? fault->kind : 0];
    struct text message = fault->message;

    if (message.len == 0)
        message = text_plain(slice_from_z(fault->err != R2A_OK ? r2a_err_text((int32_t)fault->err)
                                                               : row->openai_type));
    rope_put(out, S("{\"error\":{\"message\":\""));
    text_write_escaped_copy(out, message);
    rope_put(out, S("\",\"type\":\""));
    rope_put(out, slice_from_z(row->openai_type));
    rope_put(out, S("\",\"param\":"));
    if (fault->param.len > 0) {
        rope_put_char(out, '"');
        text_write_escaped_copy(out, fault->param);
        rope_put_char(out, '"');
    } else {
        rope_put(out, S("null"));
    }
    rope_put(out, S(",\"code\":"));
    if (row->openai_code != NULL) {
        text_write_string(out, text_plain(slice_from_z(row->openai_code)));
    } else if (fault->code.len > 0 && row->openai_status < 500) {
        rope_put_char(out, '"');
        text_write_escaped_copy(out, fault->code);
        rope_put_char(out, '"');
    } else {
        rope_put(out, S("null"));
    }
    rope_put(out, S("}}"));
    return fault->status != 0 ? fault->status : row->openai_status;
}
