#include "openai_chat_stream.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"
#include "r2a/proto/fault_read.h"

/* Text of an answer in parts: runs of text, reasoning and refusal that open with their first
 * character and close when something else begins; and the errors that end an answer. */

/* --- errors --- */

static enum r2a_err put_fault(struct decoder *d, struct ir_sink *sink, const struct fault *fault)
{
    d->has_ended = true;
    return ir_put(sink, &(struct ir_event){.kind = IR_ERROR, .u.fault = fault});
}

enum r2a_err openai_chat_put_error(struct decoder *d, struct ir_sink *sink, enum r2a_err err,
                                   struct slice message)
{
    struct fault fault = fault_of(FAULT_BAD_GATEWAY, message);

    fault.err = err;
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

/* What the upstream itself reports, anywhere in its answer. */
enum r2a_err openai_chat_put_reported(struct decoder *d, struct ir_sink *sink, struct slice body)
{
    struct fault fault = fault_of(FAULT_SERVER, (struct slice){0});

    fault_read(&(struct fault_source){.body = body}, d->brief->arena, &fault);
    fault.phase = FAULT_PHASE_STREAM;
    return put_fault(d, sink, &fault);
}

/* --- text runs --- */

enum r2a_err openai_chat_put_piece(struct ir_sink *sink, uint8_t choice, uint32_t part,
                                   struct text text)
{
    return ir_put(
        sink, &(struct ir_event){.kind = IR_TEXT, .choice = choice, .part = part, .u.text = text});
}

enum r2a_err openai_chat_put_end_of(struct ir_sink *sink, uint8_t what, uint8_t choice,
                                    uint32_t part)
{
    return ir_put(sink, &(struct ir_event){
                            .kind = IR_PART_END, .what = what, .choice = choice, .part = part});
}

enum r2a_err openai_chat_close_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                   struct choice *choice)
{
    if (!choice->is_open)
        return R2A_OK;
    choice->is_open = false;
    CHAT_TRY(piece_end(&choice->piece, sink, index, choice->part));
    if (choice->detail != NULL && choice->detail->is_open)
        CHAT_TRY(openai_chat_end_detail(d, sink, index, choice));
    return openai_chat_put_end_of(sink, choice->kind, index, choice->part);
}

enum r2a_err openai_chat_open_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                  struct choice *choice, uint8_t kind)
{
    CHAT_TRY(openai_chat_close_run(d, sink, index, choice));
    if (choice->has_calls)
        CHAT_TRY(openai_chat_close_calls(d, sink, index));
    choice->is_open = true;
    choice->kind = kind;
    choice->part = choice->parts_count++;
    if (kind == IR_PART_TEXT) {
        choice->text_part = choice->part;
        choice->texts_count = choice->texts_count == 0 ? 1 : 2;
    }
    return ir_put(sink, &(struct ir_event){
                            .kind = IR_PART, .what = kind, .choice = index, .part = choice->part});
}

/* A piece of text, reasoning or refusal. */
enum r2a_err openai_chat_put_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                 struct choice *choice, uint8_t kind, struct text text)
{
    if (text.len == 0)
        return R2A_OK;
    if (!choice->is_open || choice->kind != kind) {
        /* A parser's left-overs between calls, not words. */
        if (choice->has_calls && !choice->is_open && kind == IR_PART_TEXT && text_is_blank(text))
            return R2A_OK;
        CHAT_TRY(openai_chat_open_run(d, sink, index, choice, kind));
    }
    return piece_put(&choice->piece, sink, index, choice->part, text);
}
