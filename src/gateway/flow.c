#include "chore.h"
#include "embed.h"
#include "exchange.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "worker.h"

/* The way of an answer: what the upstream's frames and events do to an exchange, and how bytes get
 * to the client. Nothing leaves before there is content (an error may hide behind the opening
 * events of a 200), and what one read brought leaves as one chunk. */

/* --- bytes to the client --- */

#define CHUNK_SIZE_DIGITS 8u

struct rope *ex_out(struct exchange *ex)
{
    /* A chunk's size comes before its bytes: room for it is made first and filled in by ex_flush.
     */
    if (ex->is_chunked && ex->chunk_at == NULL) {
        ex->chunk_at = rope_reserve(&ex->out, CHUNK_SIZE_DIGITS + 2);
        if (ex->chunk_at) {
            memcpy(ex->chunk_at, "00000000\r\n", CHUNK_SIZE_DIGITS + 2);
            rope_commit(&ex->out, CHUNK_SIZE_DIGITS + 2);
        }
    }
    return &ex->out;
}

size_t ex_out_bytes(const struct exchange *ex)
{
    return ex->out.bytes - (ex->chunk_at ? CHUNK_SIZE_DIGITS + 2 : 0);
}

static void watch_congestion(struct exchange *ex)
{
    struct conn *conn = ex->front->conn;

    if (!conn_is_congested(conn) || ex->call.is_paused || ex->call.up == NULL)
        return;
    ex->call.is_paused = true;
    conn_read_pause(ex->call.up->conn);
    conn_want_writable(conn, CONN_LOW_BYTES);
}

void ex_flush(struct exchange *ex)
{
    static const char digits[] = "0123456789abcdef";
    struct conn *conn;
    size_t size = ex_out_bytes(ex);

    if (ex->front == NULL)
        return;
    if (size == 0) {
        rope_clear(&ex->out);
        ex->chunk_at = NULL;
        return;
    }
    if (!ex->is_stream && !ex->is_flowing)
        return; /* a plain answer leaves whole */
    if (!ex->is_head_sent) {
        if (!ex->has_content && !ex->head_forced && !ex->has_ended && size < HELD_BYTES_MAX)
            return; /* held: an error may hide behind these bytes */
        ex_send_stream_head(ex);
    }
    conn = ex->front->conn;
    if (ex->is_chunked && ex->chunk_at == NULL) {
        /* these bytes were held before the answer had a framing */
        struct rope held = ex->out;

        ex->out = (struct rope){.mem = held.mem};
        rope_append(ex_out(ex), &held);
    }
    if (ex->out.err != R2A_OK || (ex->is_chunked && ex->chunk_at == NULL)) {
        ex->keep_alive = false;
        ex->ended_by = 'R';
        ex->ended_in = ex_phase_letter(ex);
        ex->error = "NO_MEMORY";
        conn_abort(conn);
        front_conn_gone(ex->front);
        return;
    }
    if (ex->is_chunked) {
        for (uint32_t i = 0; i < CHUNK_SIZE_DIGITS; i++)
            ex->chunk_at[i] = digits[(size >> (4 * (CHUNK_SIZE_DIGITS - 1 - i))) & 15];
        rope_put(&ex->out, S("\r\n"));
    }
    ex->bytes_out += ex->out.bytes;
    rope_append(conn_out(conn), &ex->out);
    ex->chunk_at = NULL;
    conn_flush(conn);
    ex_arm_quiet(ex);
    watch_congestion(ex);
}

/* The stream is over: what is left, the last chunk, and the next request. */
static void end_stream(struct exchange *ex)
{
    ex_flush(ex);
    if (ex->front == NULL)
        return;
    if (!ex->is_head_sent)
        ex_send_stream_head(ex);
    if (ex->is_chunked) {
        rope_put(conn_out(ex->front->conn), S("0\r\n\r\n"));
        ex->bytes_out += 5;
    } else if (!ex->is_flowing || !ex->call.has_length) {
        ex->keep_alive = false; /* the end of the connection is the end of the body */
    }
    conn_flush(ex->front->conn);
    ex_finish(ex);
}

/* --- events --- */

static void first_content(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;

    ex->has_content = true;
    ex->first_token_ms = (int32_t)(loop_now_ms(loop) - ex->started_ms);
    metrics_first_token(ex->worker->metrics, (uint64_t)ex->first_token_ms);
    if (ex->credential)
        board_warm(ex->worker->board, ex->credential->board, ex->model_hash);
    if (ex->state == EX_WAIT || ex->state == EX_SEND || ex->state == EX_QUEUE)
        ex_enter(ex, EX_STREAM);
}

static bool is_content(const struct ir_event *event)
{
    if (event->kind == IR_TEXT)
        return event->u.text.len > 0;
    return event->kind == IR_STOP || (event->kind == IR_PART && (event->what == IR_PART_CALL ||
                                                                 event->what == IR_PART_OPAQUE ||
                                                                 event->what == IR_PART_REDACTED));
}

struct ex_failure *ex_failure(struct exchange *ex)
{
    if (ex->failure == NULL)
        ex->failure = arena_take_zero(&ex->arena, sizeof(*ex->failure));
    if (ex->failure == NULL) /* no memory at all: whoever fails last is heard */
        ex->failure = &ex->worker->failure_spare;
    return ex->failure;
}

/* A fault is about to outlive the call that brought it. */
void ex_set_fault(struct exchange *ex, const struct fault *fault)
{
    struct fault *kept = &ex_failure(ex)->fault;
    struct text *texts[] = {&kept->message, &kept->code, &kept->type, &kept->param};

    *kept = *fault;
    for (uint32_t i = 0; i < array_count(texts); i++) {
        struct slice copy = arena_copy(&ex->arena, slice_head(text_bytes(*texts[i]), 4096));

        texts[i]->ptr = copy.ptr;
        texts[i]->len = (uint32_t)copy.len;
    }
    kept->retry_after_text = arena_copy(&ex->arena, fault->retry_after_text);
    kept->request_id = ex->id;
}

static enum r2a_err take_error(struct exchange *ex, const struct ir_event *event)
{
    struct fault fault = *event->u.fault;

    fault.request_id = ex->id;
    fault.is_upstream = true;
    if (fault.phase == FAULT_PHASE_NONE)
        fault.phase = FAULT_PHASE_STREAM;
    if (!ex->is_head_sent) {
        ex_set_fault(ex, &fault);
        ex->has_failed = true;
        return R2A_ERR_CANCELLED; /* nothing after it matters */
    }
    if (ex->client->error_apart && !ex->is_relay && ex->front &&
        (ex_out_bytes(ex) > 0 || conn_out_bytes(ex->front->conn) > 0)) {
        ex_set_fault(ex, &fault);
        ex->is_apart = true;
        return R2A_ERR_CANCELLED;
    }
    metric_add(&ex->worker->metrics->faults[fault.phase], 1);
    ex->is_broken = true;
    ex->has_ended = true;
    ex->error = fault.err != R2A_OK ? r2a_err_name(fault.err) : fault_rows[fault.kind].name;
    ex->ended_by = fault.kind == FAULT_TIMEOUT ? 's' : 'S';
    ex->ended_in = ex_phase_letter(ex);
    /* An upstream's own error event is relayed as it stands; an end without one needs ours. */
    if (!ex->is_relay || fault.err == R2A_ERR_TRUNCATED) {
        struct ir_event copy = *event;

        copy.u.fault = &fault;
        if (ex->encoder == NULL && !ex_begin_encoder(ex))
            return R2A_ERR_NO_MEMORY;
        return ex->client->encode(ex->encoder, &copy, ex_out(ex));
    }
    return R2A_OK;
}

enum r2a_err ex_take_event(struct ir_sink *sink, const struct ir_event *event)
{
    struct exchange *ex = (struct exchange *)sink;

    switch (event->kind) {
    case IR_ERROR:
        return take_error(ex, event);
    case IR_USAGE:
        ir_usage_merge(&ex->usage, event->u.usage);
        if (event->flags & IR_ESTIMATED)
            ex->is_estimate = true;
        break;
    case IR_STOP:
        ex->stop = (uint8_t)(event->what + 1);
        break;
    case IR_TEXT:
        ex->out_text_bytes += event->u.text.len;
        break;
    case IR_END:
        ex->has_ended = true;
        ex->brief->completed = loop_wall_ms(&ex->worker->loop) / 1000;
        break;
    case IR_ALIVE:
        if (!ex->is_head_sent || ex->is_relay)
            return R2A_OK;
        break;
    default:
        break;
    }
    if (!ex->has_content && is_content(event))
        first_content(ex);
    if (ex->is_relay)
        return R2A_OK;
    if (ex->keep)
        keep_event(ex->keep, event);
    return ex->client->encode(ex->encoder, event, ex_out(ex));
}

bool ex_begin_encoder(struct exchange *ex)
{
    if (ex->encoder)
        return true;
    ex->encoder = arena_take_zero(&ex->arena, ex->client->encoder_size);
    if (ex->encoder == NULL)
        return false;
    ex->client->encoder_init(ex->encoder, ex->brief);
    return true;
}

/* --- from the call --- */

void ex_on_connected(struct exchange *ex)
{
    ex_enter(ex, EX_SEND);
    if (ex->request->pass && ex->request->pass->is_sent)
        return; /* the body is still flowing */
    if (ex->request->encoded.bytes <= CONN_LOW_BYTES)
        ex_enter(ex, EX_WAIT);
    else
        conn_want_writable(ex->call.up->conn, 0);
}

void ex_on_sent(struct exchange *ex)
{
    if (ex->request && ex->request->pass && ex->request->pass->is_sent &&
        !ex->request->body_wire.is_complete) {
        pass_on_upstream_writable(ex);
        return;
    }
    if (ex->state == EX_SEND)
        ex_enter(ex, EX_WAIT);
}

void ex_on_frame(struct exchange *ex, const struct frame *frame)
{
    struct call *call = &ex->call;
    enum r2a_err err = R2A_OK;

    if (ex->is_apart)
        return;
    if (frame->kind == FRAME_DOCUMENT && call->is_error) {
        ex_on_error_answer(ex, frame->data);
        return;
    }
    if (ex->is_chore) {
        chore_on_document(ex, frame->data);
        return;
    }
    if (ex->operation == ROUTE_COUNT) {
        ex_on_count(ex, frame->data);
        return;
    }
    if (ex->operation == ROUTE_EMBED) {
        embed_on_answer(ex, frame->data);
        return;
    }
    if (call->decoder && !(ex->is_relay && ex->has_ended))
        err = ex->target.proto->decode(call->decoder, frame, &ex->sink);
    if (ex->has_failed) {
        ex_on_attempt_failed(ex, &ex_failure(ex)->fault);
        return;
    }
    if (ex->is_relay) {
        if (frame->kind == FRAME_DOCUMENT)
            return; /* ex_on_answer_end hands it on */
        if (ex->target.proto->relay_hides && ex->target.proto->relay_hides(ex->brief, frame))
            return;
        rope_put(ex_out(ex), frame->raw);
        /* An event is complete at the CR of its blank line's CRLF; of the last one the LF, which a
         * later read would bring, is not waited for. */
        if (ex->has_ended && str_ends(frame->raw, S("\n\r")))
            rope_put_char(ex_out(ex), '\n');
        if (frame->is_open) /* what we took for an event a client would drop */
            rope_put(ex_out(ex), str_ends(frame->raw, S("\n")) ? S("\n") : S("\n\n"));
        return;
    }
    if (err != R2A_OK && !ex->has_ended && !ex->is_apart) {
        struct fault fault = fault_of(
            err == R2A_ERR_NO_MEMORY ? FAULT_OVERLOAD : FAULT_BAD_GATEWAY,
            err == R2A_ERR_LIMIT ? S("the upstream's answer exceeds a limit of the gateway")
                                 : slice_from_z(r2a_err_text(err)));

        fault.err = err;
        fault.phase = FAULT_PHASE_STREAM;
        ex_on_attempt_failed(ex, &fault);
    }
}

/* The meaning did not come to its end: the decoder says so in an event. */
static void finish_decoder(struct exchange *ex)
{
    if (ex->has_ended || ex->is_apart || ex->call.decoder == NULL)
        return;
    ex->target.proto->finish(ex->call.decoder, &ex->sink);
    /* the upstream finished and only forgot to say so: this client must not take it for a break */
    if (ex->is_relay && ex->has_ended && !ex->is_broken && ex->call.is_event_stream)
        rope_put(ex_out(ex), ex->client->relay_end);
}

void ex_on_answer_end(struct exchange *ex, bool is_cut, enum r2a_err err)
{
    struct call *call = &ex->call;

    if (is_cut && call->framing == NULL) {
        struct fault fault =
            fault_of(FAULT_BAD_GATEWAY, S("the upstream closed the connection inside its answer"));

        fault.err = err;
        fault.phase = FAULT_PHASE_BODY;
        if (ex->is_flowing) { /* bytes are out already: only a broken message tells the truth */
            ex->is_broken = true;
            ex->error = r2a_err_name(err);
            ex->ended_by = 'S';
            ex->ended_in = 'D';
            conn_abort(ex->front->conn);
            front_conn_gone(ex->front);
            return;
        }
        ex->has_content = true; /* its tokens are spent: never asked again */
        ex_on_attempt_failed(ex, &fault);
        return;
    }
    if (ex->is_flowing && call->framing == NULL) {
        ex->has_ended = true;
        return;
    }
    if (ex->operation != ROUTE_COUNT)
        finish_decoder(ex);
    if (ex->has_failed) {
        ex_on_attempt_failed(ex, &ex_failure(ex)->fault);
        return;
    }
    if (ex->is_relay && !ex->has_ended)
        ex->has_ended = true; /* no decoder, or one that gave up: HTTP says it is complete */
}

/* A plain answer of the client's own protocol, byte for byte. */
static void answer_relayed(struct exchange *ex)
{
    struct slice type = ex->call.content_type;
    struct slice bytes = document_bytes(&ex->call.document);
    struct rope body = {.mem = ex->worker->mem};

    if (type.len == 0)
        type = S("application/json");
    if (bytes.len < ROPE_BORROW_BYTES_MIN) {
        ex_answer_text(ex, ex->call.status, type, bytes);
        return;
    }
    rope_borrow(&body, bytes);
    ex->is_kept_open = true;
    ex_answer(ex, ex->call.status, type, &body);
}

void ex_after_bytes(struct exchange *ex)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST || (ex->state == EX_QUEUE && !ex->has_ended))
        return;
    if (ex->call.has_answer && (ex->state == EX_WAIT || ex->state == EX_STREAM))
        ex_touch(ex);
    if (ex->has_content && ex->request && ex->lent == 0 &&
        (ex->request->pass == NULL || ex->request->body_wire.is_complete))
        ex_release_request(ex);
    if (ex->is_apart) {
        ex_flush(ex);
        call_cancel(ex);
        ex_wait_apart(ex);
        return;
    }
    if (!ex->has_ended) {
        ex_flush(ex);
        return;
    }
    if (ex->is_stream || ex->is_flowing || ex->is_head_sent) {
        end_stream(ex);
    } else if (ex->is_relay) {
        answer_relayed(ex);
    } else {
        struct rope body = ex->out;

        ex->out = (struct rope){.mem = body.mem};
        ex_answer(ex, 200, S("application/json"), &body);
    }
}

void ex_begin_flow(struct exchange *ex)
{
    ex->is_flowing = true;
    first_content(ex);
    ex_send_stream_head(ex);
}

void ex_on_overflow(struct exchange *ex, struct slice gathered, struct slice data)
{
    ex->is_flowing = true;
    ex->has_content = true;
    if (ex->state == EX_WAIT)
        ex_enter(ex, EX_STREAM);
    ex_send_stream_head(ex);
    rope_put(ex_out(ex), gathered);
    rope_put(&ex->out, data);
}

void ex_break_stream(struct exchange *ex, const struct fault *fault)
{
    struct ir_event event = {.kind = IR_ERROR, .u.fault = fault};
    bool is_relay = ex->is_relay;

    if (!ex->has_ended) {
        ex->is_relay = false; /* the words are ours */
        ex_take_event(&ex->sink, &event);
        ex->is_relay = is_relay;
        ex->has_ended = !ex->is_apart;
    }
    if (!ex->in_callback)
        ex_after_bytes(ex);
}

void ex_on_attempt_failed(struct exchange *ex, const struct fault *fault)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST)
        return;
    if (ex->failure == NULL || fault != &ex->failure->fault)
        ex_set_fault(ex, fault);
    ex->has_failed = false;
    if (!ex->is_head_sent) /* else the error event counts it */
        metric_add(&ex->worker->metrics->faults[ex->failure->fault.phase], 1);
    call_cancel(ex);
    if (ex->is_head_sent) {
        ex_break_stream(ex, &ex->failure->fault);
        return;
    }
    if (ex->is_chore)
        chore_on_failed(ex);
    else
        ex_next_attempt(ex);
}

void ex_shut_down(struct exchange *ex, const struct fault *fault)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST)
        return;
    ex->keep_alive = false;
    if (ex->is_head_sent || (ex->state >= EX_CONNECT && ex->provider))
        ex_on_attempt_failed(ex, fault);
    else
        ex_answer_fault(ex, fault);
}

void ex_on_stale(struct exchange *ex)
{
    metric_inc(ex->worker->metrics, upstream_stale);
    ex->sent--;
    ex->call.is_fresh = true;
    ex_enter(ex, EX_QUEUE);
    ex_enter(ex, EX_CONNECT);
    call_start(ex);
}
