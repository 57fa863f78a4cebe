#include "audit.h"
#include "exchange.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/core/str.h"
#include "r2a/http/h1_write.h"
#include "worker.h"

/* How an answer is worded: its head, its error body, its framing. Every answer goes out through
 * here. */

#define HEAD_ROOM_BYTES   512u  /* of an answer, usually */
#define ANSWER_JOIN_BYTES 3072u /* a body this short is copied behind its head */

static void write_cors(const struct exchange *ex, struct rope *out)
{
    if (ex->origin.len == 0)
        return;
    h1_write_field(out, S("access-control-allow-origin"), ex->origin);
    h1_write_raw(out, S("vary: origin\r\n"
                        "access-control-expose-headers: x-request-id, request-id, retry-after, "
                        "x-ring2api-dropped, x-ring2api-estimate, x-ring2api-upstream-id\r\n"));
}

/* What every answer carries (interface.md "Served routes"). */
static void write_common(struct exchange *ex, struct rope *out)
{
    rope_put(out, S("date: "));
    rope_put(out, worker_date(ex->worker));
    rope_put(out, S("\r\nx-request-id: "));
    rope_put(out, ex->id);
    rope_put(out, S("\r\n"));
    if (ex->client && slice_eq(ex->client->name, S("anthropic"))) {
        rope_put(out, S("request-id: "));
        rope_put(out, ex->id);
        rope_put(out, S("\r\n"));
    }
    if (ex->upstream_id.len > 0)
        h1_write_id(out, HEADER_X_RING2API_UPSTREAM_ID, ex->upstream_id);
    if (ex->dropped_names.len > 0)
        h1_write_id(out, HEADER_X_RING2API_DROPPED, ex->dropped_names);
    if (ex->is_estimate && (ex->operation == ROUTE_COUNT || ex->operation == ROUTE_EMBED))
        h1_write_raw(out, S("x-ring2api-estimate: 1\r\n"));
    write_cors(ex, out);
}

/* Whether the connection can carry another request after this answer. */
static void settle_keep_alive(struct exchange *ex)
{
    if (ex->worker->is_draining || (ex->request && !ex->request->body_wire.is_complete))
        ex->keep_alive = false; /* a body nobody will read cannot be stepped over */
}

static void write_connection(struct exchange *ex, struct rope *out)
{
    if (!ex->keep_alive)
        h1_write_raw(out, S("connection: close\r\n"));
    else if (ex->is_http10)
        h1_write_raw(out, S("connection: keep-alive\r\n"));
}

void ex_send_stream_head(struct exchange *ex)
{
    struct rope *out;
    bool has_length, has_body;

    if (ex->front == NULL || ex->is_head_sent)
        return;
    out = conn_out(ex->front->conn);
    settle_keep_alive(ex);
    ex->status = ex->is_flowing && !ex->is_stream ? ex->call.status : 200;
    has_body = ex->status != 204; /* RFC 9110 8.6: then no length either */
    has_length = has_body && ex->is_flowing && ex->call.has_length;
    ex->is_chunked = !ex->is_http10 && !has_length && has_body;
    if (!ex->is_chunked && !has_length && has_body)
        ex->keep_alive = false;
    h1_write_status(out, ex->status);
    if (ex->is_stream && ex->brief->shape == BRIEF_SSE)
        h1_write_raw(out, S("content-type: text/event-stream\r\ncache-control: no-cache\r\n"
                            "x-accel-buffering: no\r\n"));
    else if (ex->is_stream)
        h1_write_raw(out, S("content-type: application/json\r\ncache-control: no-cache\r\n"
                            "x-accel-buffering: no\r\n"));
    else if (ex->call.content_type.len > 0)
        h1_write_id(out, HEADER_CONTENT_TYPE, ex->call.content_type);
    if (ex->is_flowing && ex->call.coding != NULL)
        h1_write_id(out, HEADER_CONTENT_ENCODING, *ex->call.coding);
    if (has_length)
        h1_write_id_u64(out, HEADER_CONTENT_LENGTH, ex->call.length);
    if (ex->is_chunked)
        h1_write_raw(out, S("transfer-encoding: chunked\r\n"));
    write_common(ex, out);
    write_connection(ex, out);
    h1_write_end(out);
    ex->is_head_sent = true;
    conn_flush(ex->front->conn);
}

/* There is no room for the answer: for a short error there still may be. */
static uint16_t word_lack_of_memory(struct exchange *ex, struct rope *body)
{
    struct fault fault =
        fault_of(FAULT_OVERLOAD, S("the gateway is at its memory limit; try again"));
    uint16_t status;

    fault.request_id = ex->id;
    ex->error = "NO_MEMORY";
    ex->ended_by = 'R';
    ex->ended_in = ex_phase_letter(ex);
    rope_clear(body);
    status = (ex->client ? ex->client : &proto_openai_chat)->error_body(&fault, body);
    if (body->err != R2A_OK)
        rope_clear(body);
    return status;
}

/* The body is what is in `body`, then a copy of `bytes`. */
static void answer(struct exchange *ex, uint16_t status, struct slice content_type,
                   struct rope *body, struct slice bytes, const struct fault *fault,
                   struct slice extra)
{
    struct rope *out;
    size_t before, size;

    if (ex->front == NULL) {
        rope_clear(body);
        return;
    }
    if (body->err != R2A_OK) {
        status = word_lack_of_memory(ex, body);
        content_type = S("application/json");
        bytes.len = 0;
    }
    out = conn_out(ex->front->conn);
    before = out->bytes;
    size = body->bytes + bytes.len;
    if (size <= ANSWER_JOIN_BYTES) /* head and body go out in one piece */
        rope_reserve(out, HEAD_ROOM_BYTES + size);
    settle_keep_alive(ex);
    ex->status = status;
    h1_write_status(out, status);
    if (content_type.len > 0)
        h1_write_id(out, HEADER_CONTENT_TYPE, content_type);
    if (status != 204 && status >= 200)
        h1_write_id_u64(out, HEADER_CONTENT_LENGTH, size);
    if (fault) {
        if (fault->retry_after_text.len > 0)
            h1_write_id(out, HEADER_RETRY_AFTER, fault->retry_after_text);
        else if (fault->retry_after_ms >= 0)
            h1_write_id_u64(out, HEADER_RETRY_AFTER,
                            (uint64_t)(fault->retry_after_ms + 999) / 1000);
        if (fault->retry_after_ms >= 0 && fault->is_upstream && ex->failure &&
            ex->failure->retry_after_ms.len > 0)
            h1_write_id_u64(out, HEADER_RETRY_AFTER_MS, (uint64_t)fault->retry_after_ms);
        if (fault->kind == FAULT_METHOD && ex->request)
            h1_write_field(out, S("allow"), slice_from_z(ex->request->match.allow));
        if (fault->should_retry >= 0)
            h1_write_id(out, HEADER_X_SHOULD_RETRY, fault->should_retry ? S("true") : S("false"));
    }
    if (extra.len > 0)
        h1_write_raw(out, extra);
    write_common(ex, out);
    write_connection(ex, out);
    h1_write_end(out);
    ex->is_head_sent = true;
    if (ex->is_head_request) {
        rope_clear(body);
    } else {
        rope_append(out, body);
        rope_put(out, bytes);
    }
    ex->bytes_out += out->bytes - before;
    conn_flush(ex->front->conn);
    ex_finish(ex);
}

void ex_answer(struct exchange *ex, uint16_t status, struct slice content_type, struct rope *body)
{
    answer(ex, status, content_type, body, (struct slice){0}, NULL, (struct slice){0});
}

void ex_answer_with(struct exchange *ex, uint16_t status, struct slice content_type,
                    struct slice body, struct slice extra_lines)
{
    struct rope none = {.mem = ex->worker->mem};

    answer(ex, status, content_type, &none, body, NULL, extra_lines);
}

void ex_answer_text(struct exchange *ex, uint16_t status, struct slice content_type,
                    struct slice body)
{
    ex_answer_with(ex, status, content_type, body, (struct slice){0});
}

/* Whether the upstream, or the way to it, is to blame. */
static bool is_beyond(const struct fault *fault)
{
    return fault->is_upstream || fault->phase > FAULT_PHASE_REQUEST;
}

static void log_fault(const struct exchange *ex, const struct fault *fault)
{
    if (!is_beyond(fault))
        return; /* the access log says enough about a client's mistake */
    log_event(LOG_WARN, "gateway", "upstream_failed", log_kv_str("id", ex->id),
              log_kv_str("provider", ex->provider ? ex->provider->name : (struct slice){0}),
              log_kv_z("kind", fault_rows[fault->kind].name),
              log_kv_z("phase", fault_phase_name(fault->phase)), log_kv_err(fault->err),
              log_kv_u64("status", fault->upstream_status));
}

/* Bad JSON says where: "invalid JSON at byte 17". */
static struct text name_offset(struct exchange *ex, const struct fault *fault)
{
    size_t size = fault->message.len + 40;
    char *text;
    struct str_buf buf;

    if (fault->offset < 0 || fault->message.form != TEXT_PLAIN ||
        (text = arena_take(&ex->arena, size)) == NULL)
        return fault->message;
    buf = (struct str_buf){.ptr = text, .size = size};
    str_buf_put(&buf, text_bytes(fault->message));
    str_buf_put(&buf, S(" at byte "));
    str_buf_put_u64(&buf, (uint64_t)fault->offset);
    return text_plain(str_buf_slice(&buf));
}

/* Transport failures say where they happened: "upstream NAME: connect: connection refused". */
static struct text name_phase(struct exchange *ex, const struct fault *fault)
{
    struct slice message = text_bytes(fault->message);
    size_t size = message.len + 96 + (ex->provider ? ex->provider->name.len : 0);
    char *text;
    struct str_buf buf;

    if (!is_beyond(fault) || fault->upstream_status != 0 || ex->provider == NULL ||
        fault->message.form != TEXT_PLAIN || (text = arena_take(&ex->arena, size)) == NULL)
        return fault->message;
    buf = (struct str_buf){.ptr = text, .size = size};
    str_buf_put(&buf, S("upstream "));
    str_buf_put(&buf, ex->provider->name);
    str_buf_put(&buf, S(": "));
    if (fault->phase != FAULT_PHASE_NONE) {
        str_buf_put(&buf, slice_from_z(fault_phase_name(fault->phase)));
        str_buf_put(&buf, S(": "));
    }
    str_buf_put(&buf, message);
    return text_plain(str_buf_slice(&buf));
}

void ex_answer_fault(struct exchange *ex, const struct fault *source)
{
    struct rope body = {.mem = ex->worker->mem};
    struct fault fault = *source;
    uint16_t status;

    if (ex->is_head_sent && !ex->has_ended) {
        ex_break_stream(ex, source);
        return;
    }
    if (ex->error == NULL)
        ex->error = fault.err != R2A_OK ? r2a_err_name(fault.err) : fault_rows[fault.kind].name;
    if (ex->ended_by == '-')
        ex->ended_by = fault.kind == FAULT_TIMEOUT && fault.err == R2A_ERR_TIMEOUT ? 's'
                       : is_beyond(&fault)                                         ? 'S'
                                                                                   : 'P';
    if (ex->ended_in == '-')
        ex->ended_in = ex_phase_letter(ex);
    log_fault(ex, &fault);
    if (ex->failure && ex->failure->error_body.len > 0 && fault.is_upstream &&
        fault.kind != FAULT_UP_AUTH) {
        rope_put(&body, ex->failure->error_body);
        answer(ex, fault.upstream_status,
               ex->failure->error_type.len ? ex->failure->error_type : S("application/json"), &body,
               (struct slice){0}, &fault, (struct slice){0});
        return;
    }
    fault.request_id = ex->id;
    fault.message = name_phase(ex, &fault);
    fault.message = name_offset(ex, &fault);
    status = (ex->client ? ex->client : &proto_openai_chat)->error_body(&fault, &body);
    answer(ex, fault.status ? fault.status : status, S("application/json"), &body,
           (struct slice){0}, &fault, (struct slice){0});
}

void ex_refuse(struct exchange *ex, enum fault_kind kind, uint16_t status, struct slice message)
{
    struct fault fault = fault_of(kind, message);

    fault.status = status;
    ex_answer_fault(ex, &fault);
}
