#include "exchange.h"

#include "audit.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "r2a/core/log.h"
#include "r2a/http/h1_write.h"
#include "worker.h"

/* The life of an exchange: its states and deadlines, what the upstream's events do to it, how bytes
 * get to the client, and how everything is given back. Choosing and retrying is attempt.c, wording
 * answers is answer.c. */

#define BIT(state) (1u << (state))

#define QUEUE_MS 30000 /* waiting for leave: until account pools make it a setting */

enum deadline_kind {
    DEADLINE_NONE,
    DEADLINE_CLIENT_HEADER,
    DEADLINE_QUEUE,
    DEADLINE_CONNECT,
    DEADLINE_IDLE,
    DEADLINE_FIRST_BYTE,
};

struct ex_row {
    const char *name;
    char letter; /* phase in the access log */
    uint8_t deadline;
    uint16_t successors;
};

static const struct ex_row ex_rows[EX_STATES] = {
    [EX_HEAD] = {"head", 'R', DEADLINE_CLIENT_HEADER,
                 BIT(EX_BODY) | BIT(EX_QUEUE) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_BODY] = {"body", 'R', DEADLINE_CLIENT_HEADER, BIT(EX_QUEUE) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_QUEUE] = {"queue", 'Q', DEADLINE_QUEUE,
                  BIT(EX_CONNECT) | BIT(EX_SEND) | BIT(EX_STREAM) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_CONNECT] = {"connect", 'C', DEADLINE_CONNECT,
                    BIT(EX_SEND) | BIT(EX_QUEUE) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_SEND] = {"send", 'H', DEADLINE_IDLE,
                 BIT(EX_WAIT) | BIT(EX_STREAM) | BIT(EX_QUEUE) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_WAIT] = {"wait", 'H', DEADLINE_FIRST_BYTE,
                 BIT(EX_STREAM) | BIT(EX_QUEUE) | BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_STREAM] = {"stream", 'D', DEADLINE_IDLE, BIT(EX_LAST) | BIT(EX_DONE)},
    [EX_LAST] = {"last", 'L', DEADLINE_IDLE, BIT(EX_DONE)},
    [EX_DONE] = {"done", '-', DEADLINE_NONE, 0},
};

static void arm_deadline(struct exchange *ex, int64_t ms)
{
    struct loop *loop = &ex->worker->loop;

    if (ms <= 0)
        loop_timer_cancel(loop, &ex->deadline);
    else
        loop_timer_arm(loop, &ex->deadline, loop_now_ms(loop) + (uint64_t)ms);
}

static void rearm_deadline(struct exchange *ex)
{
    switch ((enum deadline_kind)ex_rows[ex->state].deadline) {
    case DEADLINE_NONE:
        arm_deadline(ex, 0);
        break;
    case DEADLINE_CLIENT_HEADER:
        arm_deadline(ex, ex->timeouts.client_header_ms);
        break;
    case DEADLINE_QUEUE:
        arm_deadline(ex, QUEUE_MS);
        break;
    case DEADLINE_CONNECT:
        arm_deadline(ex, ex->timeouts.connect_ms);
        break;
    case DEADLINE_IDLE:
        arm_deadline(ex, ex->timeouts.idle_ms);
        break;
    case DEADLINE_FIRST_BYTE:
        /* from the first byte on it is silence that counts */
        arm_deadline(ex, ex->call.has_answer ? ex->timeouts.idle_ms : ex->timeouts.first_byte_ms);
        break;
    }
}

void ex_touch(struct exchange *ex)
{
    rearm_deadline(ex);
}

void ex_enter(struct exchange *ex, enum ex_state next)
{
    check(ex_rows[ex->state].successors & BIT(next));
    ex->state = (uint8_t)next;
    rearm_deadline(ex);
}

/* --- opening --- */

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x21 || s.ptr[i] > 0x7e)
            return false;
    }
    return true;
}

static bool take_id(struct exchange *ex, struct slice offered)
{
    if (offered.len > 0 && offered.len <= 128 && is_visible(offered)) {
        ex->id = arena_copy(&ex->arena, offered);
    } else {
        char *made = arena_take(&ex->arena, 28);

        if (made == NULL)
            return false;
        memcpy(made, "req_", 4);
        random_base62(made + 4, 24);
        ex->id = slice_of(made, 28);
    }
    return ex->id.len > 0;
}

static void on_deadline(struct timer *timer, uint64_t now_ms);
static void on_quiet(struct timer *timer, uint64_t now_ms);
static void on_total(struct timer *timer, uint64_t now_ms);
static enum r2a_err take_event(struct ir_sink *sink, const struct ir_event *event);
static void free_now(struct exchange *ex);

struct exchange *ex_open(struct front *front, const struct h1_request *head,
                         struct slice head_bytes)
{
    struct worker *worker = front->worker;
    struct exchange *ex = slab_take(&worker->exchanges);
    struct arena arena = {.mem = worker->mem};
    struct ex_request *request;
    struct slice copy;

    if (ex == NULL)
        return NULL;
    ex->worker = worker;
    ex->arena.mem = worker->mem;
    ex->out.mem = worker->mem;
    ex->sink.put = take_event;
    ex->deadline.fn = on_deadline;
    ex->quiet.fn = on_quiet;
    ex->total.fn = on_total;
    ex->config = worker->config;
    config_ref(ex->config);
    ex->timeouts = ex->config->timeouts;
    ex->started_ms = loop_now_ms(&worker->loop);
    ex->first_token_ms = -1;
    ex->ended_by = '-';
    ex->ended_in = '-';
    ex->keep_alive = head->keep_alive;
    ex->is_head_request = head->method == HTTP_METHOD_HEAD;
    ex->is_http10 = head->version_minor == 0;
    ex->bytes_in = head_bytes.len;
    request = arena_take_zero(&arena, sizeof(*request));
    if (request == NULL) {
        free_now(ex);
        return NULL;
    }
    request->arena = arena;
    ex->request = request;
    request->encoded.mem = worker->mem;
    request->retired.mem = worker->mem;
    ir_tape_init(&request->tape, worker->mem);
    copy = arena_copy(&request->arena, head_bytes);
    request->headers =
        arena_take(&request->arena, (head->headers_count + 1) * sizeof(struct http_header));
    if (copy.len == 0 || request->headers == NULL) {
        free_now(ex);
        return NULL;
    }
    memcpy(request->headers, head->headers, head->headers_count * sizeof(struct http_header));
    request->headers_count = head->headers_count;
    http_headers_move(request->headers, request->headers_count, head_bytes.ptr, copy.ptr);
    http_body_init(&request->body_wire, (enum http_body_kind)head->body, head->content_length);
    ex->method = arena_copy(&ex->arena, slice_head(head->method_name, 16));
    if (!take_id(
            ex, http_header_value(request->headers, request->headers_count, HEADER_X_REQUEST_ID))) {
        free_now(ex);
        return NULL;
    }
    ex->front = front;
    worker->exchanges_open++;
    metric_inc(worker->metrics, requests);
    rearm_deadline(ex);
    return ex;
}

/* --- giving back --- */

void ex_release_request(struct exchange *ex)
{
    struct ex_request *request = ex->request;
    struct arena arena;

    /* what an upstream connection still sends lies in here; what an answer echoes too */
    if (request == NULL || ex->lent > 0 ||
        (!ex->has_ended && (ex->keeps_tape || (ex->brief && ex->brief->keeps_request))))
        return;
    pass_free(ex);
    rope_clear(&request->encoded);
    rope_clear(&request->retired);
    ir_tape_clear(&request->tape);
    if (request->is_reserved)
        mem_unreserve(ex->worker->mem, request->body, request->body_size, request->body_charged);
    else
        mem_give(ex->worker->mem, request->body, request->body_size);
    arena = request->arena;
    ex->request = NULL;
    arena_reset(&arena);
}

static void free_now(struct exchange *ex)
{
    struct worker *worker = ex->worker;

    loop_timer_cancel(&worker->loop, &ex->deadline);
    loop_timer_cancel(&worker->loop, &ex->quiet);
    loop_timer_cancel(&worker->loop, &ex->total);
    call_free(ex);
    if (ex->encoder && ex->client->encoder_drop)
        ex->client->encoder_drop(ex->encoder);
    if (ex->keep)
        keep_free(ex->keep);
    rope_clear(&ex->out);
    ex->has_ended = true;
    ex_release_request(ex);
    arena_reset(&ex->arena);
    config_unref(ex->config);
    slab_give(&worker->exchanges, ex);
}

static void on_free(struct loop_defer *defer)
{
    struct exchange *ex = container_of(defer, struct exchange, defer);

    if (ex->lent == 0) /* else ex_on_returned comes back */
        free_now(ex);
}

/* Callers up the stack may still look at it: freed at the end of the tick. */
static void free_exchange(struct exchange *ex)
{
    ex->defer.fn = on_free;
    loop_defer(&ex->worker->loop, &ex->defer);
}

void ex_on_returned(struct exchange *ex)
{
    check(ex->lent > 0);
    ex->lent--;
    if (ex->lent == 0 && ex->state == EX_DONE)
        free_exchange(ex);
    else if (ex->lent == 0 && ex->has_content)
        ex_release_request(ex);
}

void ex_on_client_released(struct exchange *ex)
{
    ex_on_returned(ex);
}

static void write_audit(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    struct audit_record record = {
        .id = ex->id,
        .method = ex->method,
        .path = ex->path,
        .model = ex->brief ? ex->brief->model : (struct slice){0},
        .upstream_id = ex->upstream_id,
        .is_stream = ex->is_stream,
        .status = ex->status,
        .upstream_status = ex->upstream_status,
        .ended_by = ex->ended_by,
        .ended_in = ex->ended_in,
        .attempts = ex->sent,
        .duration_ms = loop_now_ms(&worker->loop) - ex->started_ms,
        .first_token_ms = ex->first_token_ms,
        .bytes_in = ex->bytes_in,
        .bytes_out = ex->bytes_out,
        .usage = ex->usage,
        .is_estimated = ex->is_estimate,
        .dropped = ex->dropped,
        .error = ex->error,
    };

    if (ex->key)
        record.key = ex->key->name;
    if (ex->client)
        record.client_protocol = ex->client->name.ptr;
    if (ex->provider) {
        record.provider = ex->provider->name;
        record.upstream_model = ex->target.model;
        record.upstream_protocol = ex->target.proto ? ex->target.proto->name.ptr : "echo";
        if (ex->credential)
            record.credential = ex->credential->label;
    }
    worker_audit(worker, &record);
    metrics_duration(worker->metrics, record.duration_ms);
}

/* Tokens are counted whatever the end was; an upstream that said nothing is estimated. */
static void settle(struct exchange *ex)
{
    struct metrics_page *metrics = ex->worker->metrics;
    struct ir_usage *usage = &ex->usage;

    if (ex->operation == ROUTE_GENERATE && ex->sent > 0 && ex->has_content) {
        if (!(usage->has & IR_HAS_INPUT) && ex->brief) {
            usage->input = brief_estimate(ex->brief);
            usage->has |= IR_HAS_INPUT;
            ex->is_estimate = true;
        }
        if (!(usage->has & IR_HAS_OUTPUT)) {
            usage->output = (ex->out_text_bytes + 3) / 4;
            usage->has |= IR_HAS_OUTPUT;
            ex->is_estimate = true;
        }
        if (ex->is_estimate)
            metric_inc(metrics, usage_estimated);
    }
    metric_add(&metrics->tokens_in, usage->input);
    metric_add(&metrics->tokens_cached, usage->cache_read);
    metric_add(&metrics->tokens_out, usage->output);
    metric_add(&metrics->tokens_reasoning, usage->reasoning);
    metric_add(&metrics->bytes_in, ex->bytes_in);
    metric_add(&metrics->bytes_out, ex->bytes_out);
    if (ex->status >= 100 && ex->status < 600)
        metric_add(&metrics->status[ex->status / 100], 1);
    if (ex->is_stream && ex->is_head_sent && ex->status == 200)
        metric_inc(metrics, streams);
    if (ex->is_broken)
        metric_inc(metrics, streams_broken);
}

/* The exchange is over for the client; memory may still be lent. */
static void conclude(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    struct front *front = ex->front;
    bool keep_alive = ex->keep_alive;

    if (ex->state == EX_DONE)
        return;
    call_cancel(ex);
    if (ex->is_key_admitted)
        board_key_release(worker->board, ex->key->board);
    ex->is_key_admitted = false;
    settle(ex);
    write_audit(ex);
    ex->front = NULL;
    ex_enter(ex, EX_DONE);
    loop_timer_cancel(&worker->loop, &ex->quiet);
    loop_timer_cancel(&worker->loop, &ex->total);
    loop_timer_cancel(&worker->loop, &ex->call.echo_timer);
    worker->exchanges_open--;
    free_exchange(ex);
    if (front)
        front_exchange_done(front, keep_alive);
    worker_check_drained(worker);
}

void ex_finish(struct exchange *ex)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST)
        return;
    if (ex->is_kept_open && ex->front) {
        /* borrowed bytes are on their way: our memory must stay until they are gone */
        ex->front->lender = ex;
        ex->lent++;
        ex_enter(ex, EX_LAST);
        conn_want_writable(ex->front->conn, 0);
        return;
    }
    conclude(ex);
}

void ex_on_client_writable(struct exchange *ex)
{
    if (ex->state == EX_LAST) {
        ex->front->lender = NULL;
        ex->lent--;
        conclude(ex);
        return;
    }
    call_resume(ex);
}

void ex_on_client_gone(struct exchange *ex)
{
    struct front *front = ex->front;

    if (ex->state == EX_DONE)
        return;
    if (ex->ended_by == '-') {
        ex->ended_by = 'C';
        ex->ended_in = ex_rows[ex->state].letter;
    }
    if (ex->state != EX_LAST)
        metric_inc(ex->worker->metrics, cancelled);
    if (ex->status == 0)
        ex->status = 499;
    ex->keep_alive = false;
    if (ex->state != EX_LAST && front && ex->lent == 0 && ex->is_kept_open) {
        front->lender = ex;
        ex->lent++;
    }
    conclude(ex);
}

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

static size_t out_bytes(const struct exchange *ex)
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

static void arm_quiet(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;
    int64_t ms = ex->is_head_sent ? ex->timeouts.keepalive_ms : ex->timeouts.hold_ms;

    if (ex->is_stream && ms > 0)
        loop_timer_arm(loop, &ex->quiet, loop_now_ms(loop) + (uint64_t)ms);
}

void ex_flush(struct exchange *ex)
{
    static const char digits[] = "0123456789abcdef";
    struct conn *conn;
    size_t size = out_bytes(ex);

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
        if (!ex->has_content && !ex->head_forced && !ex->has_ended)
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
        ex->ended_in = ex_rows[ex->state].letter;
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
    arm_quiet(ex);
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
    ex->first_token_ms = (int64_t)(loop_now_ms(loop) - ex->started_ms);
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

/* A fault is about to outlive the call that brought it. */
void ex_set_fault(struct exchange *ex, const struct fault *fault)
{
    struct fault *kept = &ex->fault;
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
    metric_add(&ex->worker->metrics->faults[fault.phase], 1);
    ex->is_broken = true;
    ex->has_ended = true;
    ex->error = fault.err != R2A_OK ? r2a_err_name(fault.err) : fault_rows[fault.kind].name;
    ex->ended_by = fault.kind == FAULT_TIMEOUT ? 's' : 'S';
    ex->ended_in = ex_rows[ex->state].letter;
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

static enum r2a_err take_event(struct ir_sink *sink, const struct ir_event *event)
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

    if (frame->kind == FRAME_DOCUMENT && call->is_error) {
        ex_on_error_answer(ex, frame->data);
        return;
    }
    if (ex->operation == ROUTE_COUNT) {
        ex_on_count(ex, frame->data);
        return;
    }
    if (call->decoder && !(ex->is_relay && ex->has_ended))
        err = ex->target.proto->decode(call->decoder, frame, &ex->sink);
    if (ex->has_failed) {
        ex_on_attempt_failed(ex, &ex->fault);
        return;
    }
    if (ex->is_relay) {
        if (frame->kind == FRAME_DOCUMENT)
            return; /* ex_on_answer_end hands it on */
        if (ex->target.proto->relay_hides && ex->target.proto->relay_hides(ex->brief, frame))
            return;
        rope_put(ex_out(ex), frame->raw);
        return;
    }
    if (err != R2A_OK && !ex->has_ended) {
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
    if (ex->has_ended || ex->call.decoder == NULL)
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
        ex_on_attempt_failed(ex, &ex->fault);
        return;
    }
    if (ex->is_relay && !ex->has_ended)
        ex->has_ended = true; /* no decoder, or one that gave up: HTTP says it is complete */
}

/* A plain answer of the client's own protocol, byte for byte. */
static void answer_relayed(struct exchange *ex)
{
    struct gather *gather = &ex->call.document.gather;
    struct slice type = slice_of(ex->call.content_type, ex->call.content_type_len);
    struct rope body = {.mem = ex->worker->mem};

    if (gather->len < ROPE_BORROW_BYTES_MIN)
        rope_put(&body, slice_of(gather->ptr, gather->len));
    else {
        rope_borrow(&body, slice_of(gather->ptr, gather->len));
        ex->is_kept_open = true;
    }
    ex_answer(ex, ex->call.status, type.len ? type : S("application/json"), &body);
}

void ex_after_bytes(struct exchange *ex)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST || (ex->state == EX_QUEUE && !ex->has_ended))
        return;
    if (ex->call.has_answer && (ex->state == EX_WAIT || ex->state == EX_STREAM))
        rearm_deadline(ex);
    if (ex->has_content && ex->request && ex->lent == 0 &&
        (ex->request->pass == NULL || ex->request->body_wire.is_complete))
        ex_release_request(ex);
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
        take_event(&ex->sink, &event);
        ex->is_relay = is_relay;
        ex->has_ended = true;
    }
    if (!ex->in_callback)
        ex_after_bytes(ex);
}

void ex_on_attempt_failed(struct exchange *ex, const struct fault *fault)
{
    if (ex->state == EX_DONE || ex->state == EX_LAST)
        return;
    if (fault != &ex->fault)
        ex_set_fault(ex, fault);
    ex->has_failed = false;
    if (!ex->is_head_sent) /* else the error event counts it */
        metric_add(&ex->worker->metrics->faults[ex->fault.phase], 1);
    call_cancel(ex);
    if (ex->is_head_sent) {
        ex_break_stream(ex, &ex->fault);
        return;
    }
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

/* --- time --- */

static void fail_timeout(struct exchange *ex, struct slice message, enum fault_phase phase)
{
    struct fault fault = fault_of(FAULT_TIMEOUT, message);

    fault.err = R2A_ERR_TIMEOUT;
    fault.phase = (uint8_t)phase;
    ex_on_attempt_failed(ex, &fault);
}

static void on_deadline(struct timer *timer, uint64_t now_ms)
{
    struct exchange *ex = container_of(timer, struct exchange, deadline);

    (void)now_ms;
    switch ((enum ex_state)ex->state) {
    case EX_HEAD:
    case EX_BODY:
        ex->keep_alive = false;
        ex->ended_by = 'c';
        ex->ended_in = 'R';
        ex_refuse(ex, FAULT_INVALID, 408, S("the request body did not arrive in time"));
        break;
    case EX_QUEUE:
        ex_attempt(ex);
        break;
    case EX_CONNECT:
        fail_timeout(ex, S("connecting to the upstream took too long"), FAULT_PHASE_CONNECT);
        break;
    case EX_SEND:
        fail_timeout(ex, S("the upstream does not take the request"), FAULT_PHASE_SEND);
        break;
    case EX_WAIT:
        fail_timeout(ex, S("the upstream did not answer in time"), FAULT_PHASE_WAIT);
        break;
    case EX_STREAM:
        if (ex->call.is_paused) {
            ex->ended_by = 'c';
            ex->ended_in = 'D';
            ex->keep_alive = false;
            conn_abort(ex->front->conn);
            front_conn_gone(ex->front);
            break;
        }
        fail_timeout(ex, S("the upstream fell silent"), FAULT_PHASE_STREAM);
        break;
    case EX_LAST:
        ex->ended_by = 'c';
        ex->ended_in = 'L';
        conn_abort(ex->front->conn);
        front_conn_gone(ex->front);
        break;
    case EX_DONE:
    case EX_STATES:
        break;
    }
}

/* The client has heard nothing for a while. */
static void on_quiet(struct timer *timer, uint64_t now_ms)
{
    struct exchange *ex = container_of(timer, struct exchange, quiet);
    struct ir_event alive = {.kind = IR_ALIVE};

    (void)now_ms;
    if (ex->has_ended || ex->state == EX_DONE || ex->state == EX_LAST || ex->call.is_paused)
        return;
    if (!ex_begin_encoder(ex) || ex->client->encode(ex->encoder, &alive, ex_out(ex)) != R2A_OK)
        return;
    if (out_bytes(ex) > 0)
        ex->head_forced = true;
    ex_flush(ex);
    arm_quiet(ex);
}

static void on_total(struct timer *timer, uint64_t now_ms)
{
    struct exchange *ex = container_of(timer, struct exchange, total);

    (void)now_ms;
    if (ex->state == EX_DONE || ex->state == EX_LAST)
        return;
    ex->has_content = true; /* no other attempt: there is no time left */
    fail_timeout(ex, S("the exchange took longer than timeouts.total_ms"), FAULT_PHASE_STREAM);
}

void ex_arm_timers(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;

    arm_quiet(ex);
    if (ex->timeouts.total_ms > 0)
        loop_timer_arm(loop, &ex->total, ex->started_ms + (uint64_t)ex->timeouts.total_ms);
}

char ex_phase_letter(const struct exchange *ex)
{
    return ex_rows[ex->state].letter;
}
