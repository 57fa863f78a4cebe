#include "openai_responses_answer.h"

#include "builtin.h"
#include "member.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* The objects of a Responses answer: items and the Response itself, in whatever state they are.
 * They are copied into the answer, never lent: request and kept text may go before they are sent.
 */

void openai_responses_replay(const struct rope *from, struct rope *out)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    while (rope_next(from, &cursor, &run))
        rope_put(out, run);
}

/* --- items --- */

static struct slice status_word(const struct item *item)
{
    switch (item->stage) {
    case ITEM_DONE:
        return S("completed");
    case ITEM_CUT:
        return S("incomplete");
    default:
        return S("in_progress");
    }
}

static void write_status(const struct item *item, bool is_added, struct rope *out)
{
    rope_put(out, S(",\"status\":\""));
    rope_put(out, is_added ? S("in_progress") : status_word(item));
    rope_put_char(out, '"');
}

static void write_text_member(struct rope *out, struct slice name, struct text value)
{
    rope_put(out, name);
    rope_put_char(out, '"');
    text_write_escaped_copy(out, value);
    rope_put_char(out, '"');
}

void openai_responses_write_part(const struct item *item, struct rope *out)
{
    if (item->kind == IR_PART_REFUSAL) {
        rope_put(out, S("{\"type\":\"refusal\",\"refusal\":\""));
        openai_responses_replay(&item->body, out);
        rope_put(out, S("\"}"));
        return;
    }
    rope_put(out, S("{\"type\":\"output_text\",\"text\":\""));
    openai_responses_replay(&item->body, out);
    rope_put(out, S("\",\"annotations\":["));
    if (item->extra != NULL)
        openai_responses_replay(&item->extra->annotations, out);
    rope_put(out, S("],\"logprobs\":["));
    if (item->extra != NULL)
        openai_responses_replay(&item->extra->logprobs, out);
    rope_put(out, S("]}"));
}

static void write_reasoning(const struct item *item, bool is_added, struct rope *out)
{
    rope_put(out, S(",\"type\":\"reasoning\",\"summary\":["));
    if (!is_added && item->has_text) {
        rope_put(out, S("{\"type\":\"summary_text\",\"text\":\""));
        openai_responses_replay(&item->body, out);
        rope_put(out, S("\"}"));
    }
    rope_put_char(out, ']');
    if (!is_added && item->extra != NULL && item->extra->seal.bytes > 0) {
        rope_put(out, S(",\"encrypted_content\":\""));
        openai_responses_replay(&item->extra->seal, out);
        rope_put_char(out, '"');
    }
}

static void write_call(const struct item *item, bool is_added, struct rope *out)
{
    if (item->builtin != BUILTIN_NONE) {
        builtin_write_call((enum builtin_id)item->builtin, item->args, out);
        write_status(item, is_added, out);
        write_text_member(out, S(",\"call_id\":"), item->call_id);
        return;
    }
    rope_put(out, item->is_custom ? S(",\"type\":\"custom_tool_call\"")
                                  : S(",\"type\":\"function_call\""));
    write_status(item, is_added, out);
    rope_put(out, item->is_custom ? S(",\"input\":\"") : S(",\"arguments\":\""));
    if (!is_added)
        openai_responses_replay(&item->body, out);
    rope_put_char(out, '"');
    write_text_member(out, S(",\"call_id\":"), item->call_id);
    write_text_member(out, S(",\"name\":"), item->name);
    if (item->space.len > 0)
        write_text_member(out, S(",\"namespace\":"), item->space);
}

void openai_responses_write_item(const struct item *item, bool is_added, struct rope *out)
{
    rope_put(out, S("{\"id\":\""));
    rope_put(out, item->id);
    rope_put_char(out, '"');
    switch (item->kind) {
    case IR_PART_REASON:
    case IR_PART_REDACTED:
        write_reasoning(item, is_added, out);
        break;
    case IR_PART_CALL:
        write_call(item, is_added, out);
        break;
    case IR_PART_IMAGE:
        rope_put(out, S(",\"type\":\"image_generation_call\""));
        write_status(item, is_added, out);
        rope_put(out, is_added ? S(",\"result\":null") : S(",\"result\":\""));
        if (!is_added) {
            openai_responses_replay(&item->body, out);
            rope_put_char(out, '"');
        }
        break;
    default:
        rope_put(out, S(",\"type\":\"message\""));
        write_status(item, is_added, out);
        rope_put(out, S(",\"role\":\"assistant\",\"content\":["));
        if (!is_added)
            openai_responses_write_part(item, out);
        rope_put_char(out, ']');
        break;
    }
    rope_put_char(out, '}');
}

/* --- the Response --- */

static const struct slice echo_names[ECHOES] = {
    [ECHO_INSTRUCTIONS] = S_INIT("instructions"),
    [ECHO_MAX_OUTPUT_TOKENS] = S_INIT("max_output_tokens"),
    [ECHO_MAX_TOOL_CALLS] = S_INIT("max_tool_calls"),
    [ECHO_PARALLEL] = S_INIT("parallel_tool_calls"),
    [ECHO_CACHE_KEY] = S_INIT("prompt_cache_key"),
    [ECHO_REASONING] = S_INIT("reasoning"),
    [ECHO_SAFETY_IDENTIFIER] = S_INIT("safety_identifier"),
    [ECHO_TEMPERATURE] = S_INIT("temperature"),
    [ECHO_TEXT] = S_INIT("text"),
    [ECHO_TOOL_CHOICE] = S_INIT("tool_choice"),
    [ECHO_TOOLS] = S_INIT("tools"),
    [ECHO_TOP_LOGPROBS] = S_INIT("top_logprobs"),
    [ECHO_TOP_P] = S_INIT("top_p"),
    [ECHO_TRUNCATION] = S_INIT("truncation"),
    [ECHO_META] = S_INIT("metadata"),
    [ECHO_TIER] = S_INIT("service_tier"),
};
/* What the API itself says for a member that the request left out; empty: nothing. */
static const struct slice echo_defaults[ECHOES] = {
    [ECHO_INSTRUCTIONS] = S_INIT("null"),
    [ECHO_MAX_OUTPUT_TOKENS] = S_INIT("null"),
    [ECHO_MAX_TOOL_CALLS] = S_INIT("null"),
    [ECHO_PARALLEL] = S_INIT("true"),
    [ECHO_REASONING] = S_INIT("{\"effort\":null,\"summary\":null}"),
    [ECHO_TEMPERATURE] = S_INIT("1"),
    [ECHO_TEXT] = S_INIT("{\"format\":{\"type\":\"text\"}}"),
    [ECHO_TOOL_CHOICE] = S_INIT("\"auto\""),
    [ECHO_TOOLS] = S_INIT("[]"),
    [ECHO_TOP_LOGPROBS] = S_INIT("0"),
    [ECHO_TOP_P] = S_INIT("1"),
    [ECHO_TRUNCATION] = S_INIT("\"disabled\""),
    [ECHO_META] = S_INIT("{}"),
    [ECHO_TIER] = S_INIT("\"default\""),
};

/* `text` without a format still has one in the answer: clients read it there. */
static void write_text_options(struct slice raw, struct rope *out)
{
    enum { FORMAT, VERBOSITY };
    static const struct slice names[] = {S_INIT("format"), S_INIT("verbosity")};
    struct member members[array_count(names)];

    if (!members_of(raw, names, array_count(names), members))
        raw = echo_defaults[ECHO_TEXT];
    if (members[FORMAT].kind == JSON_OBJECT) {
        rope_put(out, raw);
        return;
    }
    rope_put(out, S("{\"format\":{\"type\":\"text\"}"));
    if (members[VERBOSITY].kind == JSON_STRING) {
        rope_put(out, S(",\"verbosity\":"));
        rope_put(out, members[VERBOSITY].raw);
    }
    rope_put_char(out, '}');
}

static void write_echo(const struct encoder *e, struct rope *out)
{
    const struct slice *repeats = e->brief->repeats;

    for (uint32_t i = 0; i < ECHOES; i++) {
        struct slice raw = repeats != NULL && repeats[i].len > 0 ? repeats[i] : echo_defaults[i];

        if (raw.len == 0)
            continue;
        rope_put(out, S(",\""));
        rope_put(out, echo_names[i]);
        rope_put(out, S("\":"));
        if (i == ECHO_TEXT)
            write_text_options(raw, out);
        else if (i == ECHO_TIER && e->tier.len > 0)
            text_write_string(out, text_plain(e->tier));
        else
            rope_put(out, raw);
    }
}

static void write_usage(const struct encoder *e, struct rope *out)
{
    const struct ir_usage *usage = &e->usage;
    uint64_t input = usage->has & IR_HAS_INPUT ? usage->input : brief_estimate(e->brief);
    uint64_t output = usage->has & IR_HAS_OUTPUT ? usage->output : (e->text_bytes + 3) / 4;

    rope_put(out, S("{\"input_tokens\":"));
    rope_put_u64(out, input);
    rope_put(out, S(",\"input_tokens_details\":{\"cached_tokens\":"));
    rope_put_u64(out, usage->has & IR_HAS_CACHE_READ ? usage->cache_read : 0);
    rope_put(out, S(",\"cache_write_tokens\":"));
    rope_put_u64(out, usage->has & IR_HAS_CACHE_WRITE ? usage->cache_write : 0);
    rope_put(out, S("},\"output_tokens\":"));
    rope_put_u64(out, output);
    rope_put(out, S(",\"output_tokens_details\":{\"reasoning_tokens\":"));
    rope_put_u64(out, usage->has & IR_HAS_REASONING ? usage->reasoning : 0);
    rope_put(out, S("},\"total_tokens\":"));
    rope_put_u64(out, input + output);
    rope_put_char(out, '}');
}

/* The published codes of `response.error` are few. */
static struct slice error_code(const struct fault *fault)
{
    if (fault->kind == FAULT_RATE)
        return S("rate_limit_exceeded");
    if (fault->kind == FAULT_INVALID || fault->kind == FAULT_CONTEXT || fault->kind == FAULT_POLICY)
        return S("invalid_prompt");
    return S("server_error");
}

static void write_error(const struct fault *fault, struct rope *out)
{
    if (fault == NULL) {
        rope_put(out, S("null"));
        return;
    }
    rope_put(out, S("{\"code\":\""));
    rope_put(out, error_code(fault));
    rope_put(out, S("\",\"message\":\""));
    if (fault->message.len > 0)
        text_write_escaped_copy(out, fault->message);
    else
        rope_put(out, slice_from_z(r2a_err_text((int32_t)fault->err)));
    rope_put(out, S("\"}"));
}

static struct slice reason_word(const struct encoder *e)
{
    return e->stop == IR_STOP_LENGTH || e->stop == IR_STOP_CONTEXT
               ? S("{\"reason\":\"max_output_tokens\"}")
               : S("{\"reason\":\"content_filter\"}");
}

void openai_responses_write_response(struct encoder *e, enum response_status status,
                                     const struct fault *fault, struct rope *out)
{
    static const struct slice words[] = {
        [RESPONSE_IN_PROGRESS] = S_INIT("in_progress"),
        [RESPONSE_COMPLETED] = S_INIT("completed"),
        [RESPONSE_INCOMPLETE] = S_INIT("incomplete"),
        [RESPONSE_FAILED] = S_INIT("failed"),
    };

    rope_put(out, S("{\"id\":\"resp_"));
    rope_put(out, e->brief->id);
    rope_put(out, S("\",\"object\":\"response\",\"created_at\":"));
    rope_put_i64(out, e->brief->created);
    rope_put(out, S(",\"status\":\""));
    rope_put(out, words[status]);
    rope_put(out, S("\",\"completed_at\":"));
    if (status == RESPONSE_COMPLETED)
        rope_put_i64(out, e->brief->completed);
    else
        rope_put(out, S("null"));
    rope_put(out, S(",\"background\":false,\"error\":"));
    write_error(fault, out);
    rope_put(out, S(",\"incomplete_details\":"));
    rope_put(out, status == RESPONSE_INCOMPLETE ? reason_word(e) : S("null"));
    rope_put(out, S(",\"model\":"));
    text_write_string(out, text_plain(e->brief->model.len > 0 ? e->brief->model : e->model));
    rope_put(out, S(",\"output\":["));
    for (const struct item *item = e->first; item != NULL; item = item->next) {
        if (item != e->first)
            rope_put_char(out, ',');
        openai_responses_write_item(item, false, out);
    }
    rope_put(out, S("],\"previous_response_id\":null,\"store\":false"));
    write_echo(e, out);
    rope_put(out, S(",\"usage\":"));
    if (status == RESPONSE_IN_PROGRESS || (status == RESPONSE_FAILED && e->usage.has == 0))
        rope_put(out, S("null"));
    else
        write_usage(e, out);
    rope_put_char(out, '}');
}
