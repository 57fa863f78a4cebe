#include "exchange.h"

#include "audit.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "worker.h"

/* The life of an exchange: its states and deadlines, how it begins, and how everything is given
 * back. The answer's way is flow.c, choosing and retrying attempt.c, wording answers answer.c. */

_Static_assert(sizeof(struct exchange) <= 960, "budget of a waiting stream");

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
        arm_deadline(ex,
                     pass_awaits_client(ex) ? ex->timeouts.client_header_ms : ex->timeouts.idle_ms);
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
        ex->is_id_ours = true;
    }
    return ex->id.len > 0;
}

static void on_deadline(struct timer *timer, uint64_t now_ms);
static void on_quiet(struct timer *timer, uint64_t now_ms);
static void on_total(struct timer *timer, uint64_t now_ms);
static void free_now(struct exchange *ex);

struct exchange *ex_new(struct worker *worker, struct config *config)
{
    struct exchange *ex = slab_take(&worker->exchanges);
    struct arena arena = {.mem = worker->mem};

    if (ex == NULL)
        return NULL;
    ex->worker = worker;
    ex->arena.mem = worker->mem;
    ex->out.mem = worker->mem;
    ex->sink.put = ex_take_event;
    ex->deadline.fn = on_deadline;
    ex->quiet.fn = on_quiet;
    ex->total.fn = on_total;
    ex->config = config;
    worker_hold_config(worker, config);
    ex->timeouts = ex->config->timeouts;
    ex->started_ms = loop_now_ms(&worker->loop);
    ex->first_token_ms = -1;
    ex->ended_by = '-';
    ex->ended_in = '-';
    ex->request = arena_take(&arena, sizeof(*ex->request));
    if (ex->request == NULL) {
        free_now(ex);
        return NULL;
    }
    memset(ex->request, 0, offsetof(struct ex_request, memo));
    ex->request->memo.count = 0;
    relay_peek_empty(&ex->request->peek);
    ex->request->plan.count = 0;
    loss_empty(&ex->request->loss);
    ex->request->arena = arena;
    ex->request->encoded.mem = worker->mem;
    ex->request->retired.mem = worker->mem;
    ex->request->body_wire.is_complete = true;
    ir_tape_init(&ex->request->tape, worker->mem);
    worker->exchanges_open++;
    return ex;
}

/* An exchange that never began. */
static void forget(struct exchange *ex)
{
    ex->worker->exchanges_open--;
    free_now(ex);
}

struct exchange *ex_open(struct front *front, const struct h1_request *head,
                         struct slice head_bytes)
{
    struct worker *worker = front->worker;
    struct exchange *ex = ex_new(worker, worker->config);
    struct ex_request *request;
    struct slice copy;

    if (ex == NULL)
        return NULL;
    request = ex->request;
    ex->keep_alive = head->keep_alive;
    ex->is_head_request = head->method == HTTP_METHOD_HEAD;
    ex->is_http10 = head->version_minor == 0;
    ex->bytes_in = head_bytes.len;
    copy = arena_copy(&request->arena, head_bytes);
    request->headers =
        arena_take(&request->arena, (head->headers_count + 1) * sizeof(struct http_header));
    ex->method = arena_copy(&ex->arena, slice_head(head->method_name, 16));
    if (copy.len == 0 || request->headers == NULL) {
        forget(ex);
        return NULL;
    }
    request->headers_count = head->headers_count;
    http_headers_move(request->headers, head->headers, head->headers_count, head_bytes.ptr,
                      copy.ptr);
    for (uint32_t i = 0; i < request->headers_count; i++) {
        uint32_t id = (uint32_t)request->headers[i].id;

        request->headers_known[id / 64] |= UINT64_C(1) << (id % 64);
    }
    http_body_init(&request->body_wire, (enum http_body_kind)head->body, head->content_length);
    if (!take_id(ex, ex_header(request, HEADER_X_REQUEST_ID))) {
        forget(ex);
        return NULL;
    }
    ex->front = front;
    metric_inc(worker->metrics, requests);
    ex_touch(ex);
    return ex;
}

/* --- giving back --- */

void ex_release_request(struct exchange *ex)
{
    struct ex_request *request = ex->request;
    struct arena arena;

    /* what an upstream connection still sends lies in here */
    if (request == NULL || ex->lent > 0 || (ex->keeps_tape && !ex->has_ended))
        return;
    if (!ex->has_ended && ex->brief && !brief_keep_repeats(ex->brief))
        return;
    pass_free(ex);
    loop_timer_cancel(&ex->worker->loop, &request->echo_timer);
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
    worker_drop_config(worker, ex->config);
    slab_give(&worker->exchanges, ex);
    worker_trim_soon(worker);
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
    if (!ex->is_chore) {
        settle(ex);
        write_audit(ex);
    }
    ex->front = NULL;
    ex_enter(ex, EX_DONE);
    loop_timer_cancel(&worker->loop, &ex->quiet);
    loop_timer_cancel(&worker->loop, &ex->total);
    if (ex->request)
        loop_timer_cancel(&worker->loop, &ex->request->echo_timer);
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

/* --- time --- */

void ex_arm_quiet(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;
    int64_t ms = ex->is_head_sent ? ex->timeouts.keepalive_ms : ex->timeouts.hold_ms;

    if (ex->is_stream && ms > 0)
        loop_timer_arm(loop, &ex->quiet, loop_now_ms(loop) + (uint64_t)ms);
}

static void fail_timeout(struct exchange *ex, struct slice message, enum fault_phase phase)
{
    struct fault fault = fault_of(FAULT_TIMEOUT, message);

    fault.err = R2A_ERR_TIMEOUT;
    fault.phase = (uint8_t)phase;
    ex_on_attempt_failed(ex, &fault);
}

static void refuse_late_body(struct exchange *ex)
{
    ex->keep_alive = false;
    ex->ended_by = 'c';
    ex->ended_in = 'R';
    call_cancel(ex);
    ex_refuse(ex, FAULT_INVALID, 408, S("the request body did not arrive in time"));
}

static void on_deadline(struct timer *timer, uint64_t now_ms)
{
    struct exchange *ex = container_of(timer, struct exchange, deadline);

    (void)now_ms;
    switch ((enum ex_state)ex->state) {
    case EX_HEAD:
    case EX_BODY:
        refuse_late_body(ex);
        break;
    case EX_QUEUE:
        if (ex->operation == ROUTE_MODELS || ex->operation == ROUTE_MODEL)
            ex_answer_models(ex);
        else
            ex_attempt(ex);
        break;
    case EX_CONNECT:
        fail_timeout(ex, S("connecting to the upstream took too long"), FAULT_PHASE_CONNECT);
        break;
    case EX_SEND:
        if (pass_awaits_client(ex)) {
            refuse_late_body(ex);
            break;
        }
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
    if (ex->is_apart && ex->state != EX_DONE) {
        if (ex->front && conn_out_bytes(ex->front->conn) > 0) {
            ex_wait_apart(ex);
            return;
        }
        ex->is_apart = false;
        ex_break_stream(ex, &ex->failure->fault);
        return;
    }
    if (ex->has_ended || ex->state == EX_DONE || ex->state == EX_LAST || ex->call.is_paused)
        return;
    if (!ex_begin_encoder(ex) || ex->client->encode(ex->encoder, &alive, ex_out(ex)) != R2A_OK)
        return;
    if (ex_out_bytes(ex) > 0)
        ex->head_forced = true;
    ex_flush(ex);
    ex_arm_quiet(ex);
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

#define APART_MS 20u /* for the client to have read what came before */

void ex_wait_apart(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;

    loop_timer_arm(loop, &ex->quiet, loop_now_ms(loop) + APART_MS);
}

void ex_arm_timers(struct exchange *ex)
{
    struct loop *loop = &ex->worker->loop;

    ex_arm_quiet(ex);
    if (ex->timeouts.total_ms > 0)
        loop_timer_arm(loop, &ex->total, ex->started_ms + (uint64_t)ex->timeouts.total_ms);
}

char ex_phase_letter(const struct exchange *ex)
{
    return ex_rows[ex->state].letter;
}
