#include "back.h"

#include "exchange.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/http/h1_head.h"
#include "r2a/http/h1_write.h"
#include "worker.h"

/* Carries one request up and one answer down: heads, framing of the body, cutting into frames. What
 * the frames mean, and what a failure leads to, is the exchange's. After every call into ex_on_*
 * the call may have been cancelled: `call->up` tells. */

#define ERROR_BODY_BYTES_MAX   65536u /* of an upstream's error answer that is read */
#define CONTENT_TYPE_BYTES_MAX 96u
#define COPY_BYTES_MAX         3072u /* a request up to this size is copied into the connection's rope */
#define HEAD_ROOM_BYTES        768u /* of a request, usually */
#define HOT_BYTES              192u /* of a state, that every chunk needs */

static struct exchange *exchange_of(struct call *call)
{
    return container_of(call, struct exchange, call);
}

static void fail(struct call *call, enum r2a_err err, enum fault_phase phase, struct slice message)
{
    struct exchange *ex = exchange_of(call);
    bool is_ours =
        err == R2A_ERR_NO_MEMORY ||
        (err == R2A_ERR_LIMIT && phase == FAULT_PHASE_CONNECT); /* no slot for one more */
    struct fault fault = fault_of(err == R2A_ERR_TIMEOUT ? FAULT_TIMEOUT
                                  : is_ours              ? FAULT_OVERLOAD
                                                         : FAULT_BAD_GATEWAY,
                                  message);

    fault.err = err;
    fault.phase = (uint8_t)phase;
    if (message.len == 0)
        fault.message = text_plain(slice_from_z(r2a_err_text(err)));
    ex_on_attempt_failed(ex, &fault);
}

static void free_answer(struct call *call)
{
    if (call->framing && call->framing_state)
        call->framing->free(call->framing_state);
    call->framing = NULL;
    call->framing_state = NULL;
    if (call->document.mem)
        document_free(&call->document);
}

void call_start(struct exchange *ex)
{
    struct call *call = &ex->call;
    bool is_fresh = call->is_fresh;

    check(call->state == CALL_NONE);
    call_free(ex);
    memset(call, 0, sizeof(*call));
    call->is_fresh = is_fresh;
    call->state = CALL_CONNECTING;
    pool_get(&ex->worker->pool, &ex->provider->endpoint, call, is_fresh);
}

void call_cancel(struct exchange *ex)
{
    struct call *call = &ex->call;

    if (call->state == CALL_NONE)
        return;
    if (call->state == CALL_CONNECTING)
        pool_cancel(&ex->worker->pool, call);
    else if (call->up)
        pool_drop(call->up);
    call->up = NULL;
    call->state = CALL_NONE;
}

void call_free(struct exchange *ex)
{
    struct call *call = &ex->call;

    free_answer(call);
    if (call->decoder && ex->target.proto->decoder_drop)
        ex->target.proto->decoder_drop(call->decoder);
    call->decoder = NULL;
}

void call_on_writable(struct call *call)
{
    ex_on_sent(exchange_of(call));
}

void call_resume(struct exchange *ex)
{
    struct call *call = &ex->call;

    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (call->up)
        conn_read_resume(call->up->conn);
}

/* The exchange has what it wanted: the connection goes back, even when some framing is still to
 * come. */
static void finish(struct call *call)
{
    struct upstream *up = call->up;

    call->up = NULL;
    call->state = CALL_NONE;
    if (up)
        pool_put(up);
}

void call_on_no_upstream(struct call *call, enum r2a_err err, enum fault_phase phase)
{
    call->up = NULL;
    call->state = CALL_NONE;
    fail(call, err, phase, (struct slice){0});
}

/* OpenRouter's own name for it: a browser's Referer is not meant for an upstream. */
static struct slice referer_of(const struct ex_request *request)
{
    const struct http_header *header =
        http_header_find_name(request->headers, request->headers_count, S("http-referer"));

    return header ? header->value : (struct slice){0};
}

static void write_request(struct exchange *ex, struct rope *out)
{
    const struct provider_instance *provider = ex->provider;
    struct ex_request *request = ex->request;
    struct provider_request facts = {
        .proto = ex->target.proto,
        .operation = ex->brief->operation,
        .is_stream = ex->target.is_stream,
        .model = ex->target.model,
        .credential = ex->credential,
        .is_relay = ex->is_relay,
        .request_id = ex->id,
    };

    facts.idempotency_key = ex_header(request, HEADER_IDEMPOTENCY_KEY);
    facts.traceparent = ex_header(request, HEADER_TRACEPARENT);
    facts.referer = referer_of(request);
    facts.title = ex_header(request, HEADER_X_TITLE);
    if (ex->is_relay) {
        facts.anthropic_version = ex_header(request, HEADER_ANTHROPIC_VERSION);
        facts.anthropic_beta = ex_header(request, HEADER_ANTHROPIC_BETA);
        facts.openai_beta = ex_header(request, HEADER_OPENAI_BETA);
        facts.user_agent = ex_header(request, HEADER_USER_AGENT);
        facts.client_query = request->match.query;
    }
    rope_put(out, ex->is_chore ? S("GET ") : S("POST "));
    rope_put(out, provider->endpoint.path);
    provider->kind->path(provider, &facts, out);
    rope_put(out, S(" HTTP/1.1\r\nhost: "));
    rope_put(out, provider->endpoint.authority);
    rope_put(out, S("\r\naccept-encoding: identity\r\n"));
    if (!ex->is_chore) {
        rope_put(out, S("content-type: application/json\r\ncontent-length: "));
        rope_put_u64(out, request->encoded.bytes);
        rope_put(out, S("\r\n"));
    }
    provider->kind->headers(provider, &facts, out);
    rope_put(out, S("\r\n"));
}

void call_on_upstream(struct call *call, struct upstream *upstream)
{
    struct exchange *ex = exchange_of(call);
    struct rope *out = conn_out(upstream->conn);
    struct rope *encoded = &ex->request->encoded;

    check(upstream->call == call && ex->request != NULL);
    call->state = CALL_HEAD;
    upstream->can_keep = false;
    upstream->body = (struct http_body){.is_complete = false};
    if (ex->request->pass) {
        pass_write_request(ex, out);
    } else {
        if (encoded->bytes <= COPY_BYTES_MAX) /* head and body go out in one piece */
            rope_reserve(out, HEAD_ROOM_BYTES + encoded->bytes);
        write_request(ex, out);
    }
    if (encoded->bytes <= COPY_BYTES_MAX) {
        struct rope_cursor cursor = {0};
        struct slice run;

        while (rope_next(encoded, &cursor, &run))
            rope_put(out, run);
    } else {
        rope_share(out, encoded);
        upstream->lender = ex;
        ex->lent++;
    }
    if (out->err != R2A_OK) {
        enum r2a_err err = out->err;

        call->up = NULL;
        call->state = CALL_NONE;
        pool_drop(upstream);
        fail(call, err, FAULT_PHASE_SEND, (struct slice){0});
        return;
    }
    ex->sent++;
    conn_flush(upstream->conn);
    ex_on_connected(ex);
}

/* How the events of a stream are cut out of it; NULL: the answer is one document. Gemini's clients
 * may have asked for an array, which only a relay gets: else the upstream was asked for events. */
static const struct framing *framing_of(const struct exchange *ex, struct slice type)
{
    if (ex->call.is_error || ex->operation == ROUTE_PASS)
        return NULL; /* what is passed on is not cut: its type goes with it */
    if (http_media_type_is(type, S("text/event-stream")))
        return &framing_sse;
    if (ex->is_relay && ex->is_stream && ex->brief->shape == BRIEF_JSON_ARRAY &&
        http_media_type_is(type, S("application/json")))
        return &framing_json_array;
    return NULL;
}

static const struct slice *keep_coding(struct exchange *ex, struct slice coding)
{
    struct slice *kept = coding.len > 0 ? arena_take(&ex->arena, sizeof(*kept)) : NULL;

    if (kept == NULL)
        return NULL;
    *kept = arena_copy(&ex->arena, coding);
    return kept->len > 0 ? kept : NULL;
}

/* Whether a body is answered in the very call that brings the last of it, by a copy: then one that
 * comes whole need not be gathered. */
static bool is_short(const struct exchange *ex, uint64_t length)
{
    return ex->is_relay && !ex->call.is_error && length < ROPE_BORROW_BYTES_MIN;
}

/* A final status head. */
static void on_head(struct call *call, const struct h1_response *head)
{
    struct exchange *ex = exchange_of(call);
    struct upstream *up = call->up;
    struct slice type = http_header_value(head->headers, head->headers_count, HEADER_CONTENT_TYPE);
    struct slice coding =
        http_header_value(head->headers, head->headers_count, HEADER_CONTENT_ENCODING);
    const struct framing *framing;

    http_body_init(&up->body, (enum http_body_kind)head->body, head->content_length);
    up->can_keep = head->keep_alive && head->body != HTTP_BODY_UNTIL_CLOSE;
    call->state = CALL_BODY;
    call->status = head->status < 600 ? head->status : 500; /* RFC 9110 15: as a 5xx */
    call->is_error = head->status < 200 || head->status > 299;
    framing = framing_of(ex, type);
    call->is_event_stream = framing != NULL;
    call->is_otherwise_cut =
        framing == &framing_sse && ex->is_stream && ex->brief->shape == BRIEF_JSON_ARRAY;
    if (!call->is_event_stream || call->is_error)
        call->content_type = arena_copy(&ex->arena, slice_head(type, CONTENT_TYPE_BYTES_MAX));
    if ((call->coding = keep_coding(ex, coding)) == NULL && coding.len > 0) {
        fail(call, R2A_ERR_NO_MEMORY, FAULT_PHASE_HEAD, (struct slice){0});
        return;
    }
    call->has_length = head->body == HTTP_BODY_LENGTH || head->body == HTTP_BODY_NONE;
    call->length = head->body == HTTP_BODY_LENGTH ? head->content_length : 0;
    if (coding.len > 0 && !http_token_eq(coding, S("identity")) &&
        !(ex->is_relay && !call->is_error)) {
        fail(call, R2A_ERR_HTTP_CODING, FAULT_PHASE_HEAD,
             S("the upstream sent a content coding that was not asked for"));
        return;
    }
    ex_on_answer(ex, head);
    if (call->up != up)
        return;
    if (ex->is_flowing)
        return;
    if (framing != NULL) {
        call->framing = framing;
        call->framing_state = arena_take_zero(&ex->arena, call->framing->size);
        if (call->framing_state == NULL) {
            fail(call, R2A_ERR_NO_MEMORY, FAULT_PHASE_BODY, (struct slice){0});
            return;
        }
        call->framing->init(call->framing_state, ex->worker->mem, FRAME_BYTES_MAX);
        return;
    }
    document_init(&call->document, ex->worker->mem,
                  call->is_error ? ERROR_BODY_BYTES_MAX
                                 : (uint32_t)ex->config->limits.output_bytes);
    if (head->body == HTTP_BODY_LENGTH && !call->is_error && !is_short(ex, head->content_length))
        document_expect(&call->document,
                        head->content_length); /* too long is found while it flows */
}

/* A run of the answer's body. */
static void on_data(struct call *call, struct slice data)
{
    struct exchange *ex = exchange_of(call);
    struct upstream *up = call->up;
    struct frame frame;

    if (ex->is_flowing) {
        rope_put(ex_out(ex), data);
        return;
    }
    if (call->framing == NULL) {
        int32_t n;

        if (up->body.is_complete && is_short(ex, data.len) && document_lend(&call->document, data))
            return;
        n = document_feed(&call->document, data, &frame);
        if (n >= 0 || call->is_error) /* the rest of a long error text is not needed */
            return;
        if (n == R2A_ERR_FRAME_LIMIT && ex->is_relay && !ex->is_stream) {
            ex_on_overflow(ex, frame.raw, data);
            return;
        }
        fail(call, (enum r2a_err)n, FAULT_PHASE_BODY,
             n == R2A_ERR_FRAME_LIMIT ? S("the upstream's answer exceeds limits.output_bytes")
                                      : (struct slice){0});
        return;
    }
    for (;;) { /* also with nothing left: that is when a gathered frame's memory goes back */
        int32_t n = call->framing->feed(call->framing_state, data, &frame);

        if (n == 0)
            return;
        if (n < 0) {
            if (ex->is_relay && ex->is_head_sent) {
                /* Too large to observe: the bytes still belong to the client. */
                rope_put(ex_out(ex), frame.raw);
                rope_put(ex_out(ex), data);
                ex->is_flowing = true;
                return;
            }
            fail(call, (enum r2a_err)n, FAULT_PHASE_STREAM, (struct slice){0});
            return;
        }
        data = slice_skip(data, (size_t)n);
        ex_on_frame(ex, &frame);
        if (call->up != up)
            return;
    }
}

/* An error's text is complete, or as complete as it gets. The connection goes back first: what
 * follows may want one. */
static void on_error_complete(struct call *call)
{
    struct exchange *ex = exchange_of(call);
    struct frame frame;

    finish(call);
    if (document_finish(&call->document, &frame) <= 0)
        frame = (struct frame){.kind = FRAME_DOCUMENT};
    ex_on_frame(ex, &frame);
}

/* The answer's body is complete. */
static void on_complete(struct call *call)
{
    struct exchange *ex = exchange_of(call);
    struct upstream *up = call->up;
    struct frame frame;

    if (call->is_error) {
        on_error_complete(call);
        return;
    }
    if (call->framing) {
        int32_t n;

        while (!ex->is_flowing && (n = call->framing->finish(call->framing_state, &frame)) > 0) {
            ex_on_frame(ex, &frame);
            if (call->up != up)
                return;
        }
    } else if (!ex->is_flowing && document_finish(&call->document, &frame) > 0) {
        ex_on_frame(ex, &frame);
        if (call->up != up)
            return;
    }
    ex_on_answer_end(ex, false, R2A_OK);
}

/* Parses status heads at the start of `bytes`, 1xx ones included. Returns the bytes used. */
static size_t read_head(struct call *call, struct slice bytes)
{
    struct exchange *ex = exchange_of(call);
    struct worker *worker = ex->worker;
    size_t used = 0;

    while (call->state == CALL_HEAD) {
        struct h1_response head;
        int32_t n;

        h1_response_init(&head, HTTP_METHOD_POST, worker->headers, HEADERS_MAX, HEAD_BYTES_MAX);
        head.seen = call->head_seen;
        n = h1_response_parse(&head, slice_skip(bytes, used));
        if (n == 0) {
            call->head_seen = head.seen;
            return used;
        }
        call->head_seen = 0;
        if (n < 0) {
            fail(call, (enum r2a_err)n, FAULT_PHASE_HEAD,
                 S("the upstream's answer is not valid HTTP"));
            return bytes.len;
        }
        used += (size_t)n;
        if (head.status >= 200 || head.status == 101) {
            on_head(call, &head);
            return used;
        }
    }
    return used;
}

void call_fetch(const struct call *call, enum engine_fetch stage)
{
    const struct exchange *ex = container_of(call, const struct exchange, call);

    if (stage == FETCH_STATE) {
        engine_prefetch(ex, offsetof(struct exchange, target.model));
        return;
    }
    if (stage == FETCH_LAST) {
        engine_prefetch(ex->front == NULL ? NULL : ex->front->conn, HOT_BYTES);
        return;
    }
    engine_prefetch(call->framing_state, HOT_BYTES);
    engine_prefetch(call->decoder, HOT_BYTES);
    engine_prefetch(ex->encoder, HOT_BYTES);
    engine_prefetch(ex->front, sizeof(void *));
}

size_t call_on_bytes(struct call *call, struct slice bytes)
{
    struct exchange *ex = exchange_of(call);
    struct upstream *up = call->up;
    size_t used = 0;

    call->has_answer = true;
    ex->in_callback = true;
    if (call->state == CALL_HEAD) {
        used = read_head(call, bytes);
        if (call->up != up) {
            ex->in_callback = false;
            ex_after_bytes(ex);
            return bytes.len;
        }
        if (call->state == CALL_HEAD) {
            ex->in_callback = false;
            return used;
        }
    }
    while (call->up == up && !up->body.is_complete && used < bytes.len) {
        struct slice data;
        int32_t n = http_body_feed(&up->body, slice_skip(bytes, used), &data);

        if (n < 0) {
            fail(call, (enum r2a_err)n, FAULT_PHASE_BODY,
                 S("the upstream's chunked body is malformed"));
            break;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        if (data.len > 0)
            on_data(call, data);
    }
    if (call->up == up && up->body.is_complete) {
        if (used < bytes.len)
            up->can_keep = false; /* bytes nobody asked for */
        on_complete(call);
    }
    if (call->up == up && ex->has_ended)
        finish(call);
    if (call->up != up)
        used = bytes.len;
    ex->in_callback = false;
    ex_after_bytes(ex);
    document_recall(&call->document);
    return used;
}

void call_on_eof(struct call *call)
{
    struct exchange *ex = exchange_of(call);
    struct upstream *up = call->up;

    if (call->state == CALL_HEAD) {
        bool is_stale = call->was_reused && !call->has_answer;

        call->up = NULL;
        call->state = CALL_NONE;
        pool_drop(up);
        if (is_stale)
            ex_on_stale(ex);
        else
            fail(call, R2A_ERR_PEER_EOF, FAULT_PHASE_WAIT,
                 S("the upstream closed the connection without an answer"));
        return;
    }
    up->can_keep = false;
    ex->in_callback = true;
    if (up->body.kind == HTTP_BODY_UNTIL_CLOSE) {
        up->body.is_complete = true;
        on_complete(call);
    } else if (call->is_error) {
        on_error_complete(call);
    } else {
        ex_on_answer_end(ex, true, R2A_ERR_TRUNCATED);
    }
    if (call->up == up)
        finish(call);
    ex->in_callback = false;
    ex_after_bytes(ex);
}

void call_on_closed(struct call *call, enum r2a_err err)
{
    struct exchange *ex = exchange_of(call);

    /* the pool took call->up away: the connection is gone */
    if (call->state == CALL_HEAD) {
        bool is_stale = call->was_reused && !call->has_answer;

        call->state = CALL_NONE;
        if (is_stale)
            ex_on_stale(ex);
        else
            fail(call, err, FAULT_PHASE_WAIT, (struct slice){0});
        return;
    }
    ex->in_callback = true;
    if (call->is_error) {
        on_error_complete(call);
    } else {
        ex_on_answer_end(ex, true, err);
        if (call->up == NULL)
            call->state = CALL_NONE;
    }
    ex->in_callback = false;
    ex_after_bytes(ex);
}
