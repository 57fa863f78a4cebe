#include "front.h"

#include "auth.h"
#include "embed.h"
#include "exchange.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/http/url.h"
#include "refuse.h"
#include "worker.h"

/* Reads requests: heads, who asks, bodies. Decides keep-alive and what a client's leaving means. */

#define GLITCHES_MAX      16u      /* oddities let pass before a connection is closed */
#define RESERVE_BYTES_MIN 1048576u /* an announced body this large is charged as it arrives */
#define BODY_BYTES_FIRST  1024u    /* memory for a body of unknown length, doubled as it grows */

static const struct conn_calls front_calls;

/* --- bodies --- */

static void refuse_large(struct exchange *ex)
{
    char text[96];
    struct str_buf message = STR_BUF(text);

    str_buf_put(&message, S("the request body exceeds limits.body_bytes ("));
    str_buf_put_u64(&message, ex->config->limits.body_bytes);
    str_buf_put(&message, S(" bytes)"));
    ex->ended_by = 'L';
    ex_refuse(ex, FAULT_TOO_LARGE, 0, str_buf_slice(&message));
}

static void refuse_memory(struct exchange *ex)
{
    struct fault fault =
        fault_of(FAULT_OVERLOAD, S("the gateway is at its memory limit; try again"));

    fault.retry_after_ms = 1000;
    ex->ended_by = 'R';
    metric_inc(ex->worker->metrics, refused_memory);
    ex_answer_fault(ex, &fault);
}

/* Memory for `more` further bytes. False: refused, answered. */
static bool grow_body(struct exchange *ex, size_t more)
{
    struct ex_request *request = ex->request;
    size_t size = request->body_size ? request->body_size : BODY_BYTES_FIRST;
    char *body;

    if (request->body_len + more <= request->body_size)
        return true;
    if (request->body_len + more > ex->config->limits.body_bytes) {
        refuse_large(ex);
        return false;
    }
    while (size < request->body_len + more)
        size *= 2;
    if (size > ex->config->limits.body_bytes)
        size = (size_t)ex->config->limits.body_bytes;
    body = mem_take(ex->worker->mem, size);
    if (body == NULL) {
        refuse_memory(ex);
        return false;
    }
    if (request->body_len > 0)
        memcpy(body, request->body, request->body_len);
    mem_give(ex->worker->mem, request->body, request->body_size);
    request->body = body;
    request->body_size = size;
    return true;
}

/* The body of known length gets its place. False: refused, answered. */
static bool place_body(struct exchange *ex)
{
    struct ex_request *request = ex->request;
    uint64_t length = request->body_wire.left;

    if (request->body_wire.kind != HTTP_BODY_LENGTH || request->body_wire.is_complete)
        return true;
    if (length > ex->config->limits.body_bytes) {
        refuse_large(ex);
        return false;
    }
    request->is_reserved = length >= RESERVE_BYTES_MIN;
    request->body = request->is_reserved ? mem_reserve(ex->worker->mem, (size_t)length)
                                         : mem_take(ex->worker->mem, (size_t)length);
    if (request->body == NULL) {
        request->is_reserved = false;
        refuse_memory(ex);
        return false;
    }
    request->body_size = (size_t)length;
    return true;
}

static void body_complete(struct exchange *ex)
{
    ex_on_request(ex);
}

size_t ex_on_body(struct exchange *ex, struct slice bytes)
{
    struct ex_request *request = ex->request;
    struct front *front = ex->front;
    size_t used = 0;

    while (!request->body_wire.is_complete && used < bytes.len) {
        struct slice data;
        int32_t n = http_body_feed(&request->body_wire, slice_skip(bytes, used), &data);

        if (n < 0) {
            ex->keep_alive = false;
            ex_refuse(ex, FAULT_INVALID, 0, S("the chunked request body is malformed"));
            return bytes.len;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        ex->bytes_in += (uint64_t)n;
        if (data.len == 0)
            continue;
        if (!grow_body(ex, data.len))
            return bytes.len;
        memcpy(request->body + request->body_len, data.ptr, data.len);
        request->body_len += data.len;
    }
    if (request->body_wire.is_complete) {
        body_complete(ex);
        return used;
    }
    if (front->ex == ex)
        loop_timer_arm(&ex->worker->loop, &ex->deadline,
                       loop_now_ms(&ex->worker->loop) + (uint64_t)ex->timeouts.client_header_ms);
    return used;
}

void ex_on_body_filled(struct exchange *ex, size_t added, size_t left)
{
    struct ex_request *request = ex->request;

    ex->bytes_in += added;
    request->body_len += added;
    request->body_wire.left = left;
    if (request->is_reserved) {
        if (!mem_charge(ex->worker->mem, added)) {
            ex->keep_alive = false;
            refuse_memory(ex);
            return;
        }
        request->body_charged += added;
    }
    if (left > 0) {
        loop_timer_arm(&ex->worker->loop, &ex->deadline,
                       loop_now_ms(&ex->worker->loop) + (uint64_t)ex->timeouts.client_header_ms);
        return;
    }
    ex->front->lender = NULL;
    ex->lent--;
    request->body_wire.is_complete = true;
    body_complete(ex);
}

/* Begins to read the body; the bytes that came with the head follow by ex_on_body. */
static void begin_body(struct exchange *ex, const struct h1_request *head)
{
    struct front *front = ex->front;
    struct ex_request *request = ex->request;
    struct slice coding = ex_header(ex->request, HEADER_CONTENT_ENCODING);

    if (coding.len > 0 && !http_token_eq(coding, S("identity"))) {
        ex_refuse(ex, FAULT_INVALID, 415,
                  S("an encoded request body is not accepted; send it without content-encoding"));
        return;
    }
    if (head->expect == HTTP_EXPECT_OTHER) {
        ex_refuse(ex, FAULT_INVALID, 417, S("only expect: 100-continue is understood"));
        return;
    }
    if (embed_must_gather(ex))
        ex->operation = request->match.op = ROUTE_EMBED;
    if (request->match.op == ROUTE_PASS) {
        if (request->body_wire.kind == HTTP_BODY_LENGTH &&
            request->body_wire.left > ex->config->limits.body_bytes)
            refuse_large(ex);
        else
            pass_begin(ex, head);
        return;
    }
    if (!place_body(ex))
        return;
    if (request->body_wire.is_complete) {
        ex_enter(ex, EX_BODY);
        body_complete(ex);
        return;
    }
    ex_enter(ex, EX_BODY);
    if (head->expect == HTTP_EXPECT_CONTINUE) {
        rope_put(conn_out(front->conn), S("HTTP/1.1 100 Continue\r\n\r\n"));
        conn_flush(front->conn);
    }
    if (request->body_wire.kind == HTTP_BODY_LENGTH &&
        request->body_size >= CONN_DIRECT_BYTES_MIN) {
        front->lender = ex; /* until the last byte is in place */
        ex->lent++;
        conn_read_into(front->conn, request->body, request->body_size);
    }
}

/* --- heads --- */

static bool origin_allowed(const struct config *config, struct slice origin)
{
    for (uint32_t i = 0; i < config->cors_count; i++) {
        if (slice_eq(config->cors[i], S("*")) || slice_eq(config->cors[i], origin))
            return true;
    }
    return false;
}

/* The key of the query, percent-decoded into the request's arena; empty: none. */
static struct slice query_key(struct exchange *ex, struct slice query)
{
    struct slice raw;
    char *decoded;
    int32_t len;

    if (!url_query_find(query, S("key"), &raw) || raw.len == 0)
        return (struct slice){0};
    decoded = arena_take(&ex->request->arena, raw.len);
    if (decoded == NULL)
        return (struct slice){0};
    len = url_decode(raw, decoded);
    return len > 0 ? slice_of(decoded, (size_t)len) : (struct slice){0};
}

static bool needs_key(const struct route_match *match)
{
    switch (match->op) {
    case ROUTE_ROOT:
    case ROUTE_HELLO:
    case ROUTE_HEALTH:
    case ROUTE_READY:
    case ROUTE_METRICS:
    case ROUTE_OPTIONS:
    case ROUTE_NONE:
        return false;
    default:
        return true;
    }
}

static bool check_key(struct exchange *ex, const struct auth_offer *offer)
{
    switch (auth_check(ex->config, offer, &ex->worker->auth, &ex->key)) {
    case AUTH_OK:
        return true;
    case AUTH_MISSING:
        ex_refuse(
            ex, FAULT_AUTH, 0,
            S("no API key: send it as Authorization: Bearer, x-api-key, x-goog-api-key or ?key="));
        return false;
    case AUTH_WRONG:
    case AUTH_DISABLED:
        break;
    }
    ex_refuse(ex, FAULT_AUTH, 0, S("invalid API key"));
    return false;
}

/* Routes the head and starts what it asks for. May end the exchange. */
static void begin(struct exchange *ex, const struct h1_request *head)
{
    struct ex_request *request = ex->request;
    struct route_match *match = &request->match;
    struct route_request asked = {.method = ex->method};
    struct auth_offer offer;
    struct slice path, query;
    struct slice origin = ex_header(ex->request, HEADER_ORIGIN);
    char *buf;
    int32_t len;

    url_split(head->path, &path, &query);
    buf = arena_take(&request->arena, 2 * path.len + query.len + 1);
    if (buf == NULL) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    ex->path = arena_copy(&ex->arena, slice_head(path, 200));
    if (slice_eq(path, S("*"))) {
        buf[0] = '*';
        len = 1;
    } else {
        len = url_path_normalise(path, buf);
    }
    if (len < 0) {
        ex_refuse(ex, FAULT_INVALID, 0, S("malformed request path"));
        return;
    }
    if (query.len > 0) { /* it outlives the receive buffer */
        memcpy(buf + 2 * path.len, query.ptr, query.len);
        query.ptr = buf + 2 * path.len;
    }
    asked.path = slice_of(buf, (size_t)len);
    asked.query = query;
    asked.has_anthropic_version = ex_header(ex->request, HEADER_ANTHROPIC_VERSION).len > 0;
    asked.has_goog_key = ex_header(ex->request, HEADER_X_GOOG_API_KEY).len > 0;
    asked.has_upgrade = head->has_upgrade;
    asked.has_preflight = ex_header(ex->request, HEADER_ACCESS_CONTROL_REQUEST_METHOD).len > 0;
    route_match(ex->config, &asked, buf + len, match);
    ex->client = match->client ? match->client : &proto_openai_chat;
    ex->operation = match->op;
    if (origin.len > 0 && origin_allowed(ex->config, origin))
        ex->origin = arena_copy(&ex->arena, origin);
    if (match->method_wrong) {
        ex_refuse(ex, FAULT_METHOD, 0, S("method not allowed on this path"));
        return;
    }
    offer = (struct auth_offer){.authorization = ex_header(ex->request, HEADER_AUTHORIZATION),
                                .x_api_key = ex_header(ex->request, HEADER_X_API_KEY),
                                .x_goog_api_key = ex_header(ex->request, HEADER_X_GOOG_API_KEY),
                                .query_key = query_key(ex, query)};
    if (needs_key(match) && !check_key(ex, &offer))
        return;
    if (query.len > 0) /* a credential does not travel on */
        match->query = slice_of(query.ptr, url_query_remove(query, S("key"), buf + 2 * path.len));
    if (!ex_answer_static(ex, &offer))
        begin_body(ex, head);
}

static void arm_head_timer(struct front *front)
{
    struct worker *worker = front->worker;

    front->is_reading_head = true;
    loop_timer_arm(&worker->loop, &front->timer,
                   loop_now_ms(&worker->loop) +
                       (uint64_t)worker->config->timeouts.client_header_ms);
}

/* Bytes while an exchange runs: its body, or the next request, which waits. */
static size_t take_request_bytes(struct exchange *ex, struct slice bytes)
{
    if (ex->request && ex->request->pass && !ex->request->body_wire.is_complete)
        return pass_on_body(ex, bytes);
    return ex->state == EX_BODY ? ex_on_body(ex, bytes) : 0;
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    struct front *front = conn->owner;
    struct worker *worker = front->worker;
    struct exchange *ex = front->ex;
    struct h1_request head;
    int32_t n;
    size_t used;

    if (front->is_closing)
        return bytes.len;
    if (ex)
        return take_request_bytes(ex, bytes);
    if (conn_is_congested(conn)) { /* who asks on and on and reads nothing waits: see on_writable */
        conn_want_writable(conn, CONN_LOW_BYTES);
        return 0;
    }
    h1_request_init(&head, worker->headers, HEADERS_MAX,
                    (uint32_t)worker->config->limits.header_bytes);
    head.seen = front->head_seen;
    n = h1_request_parse(&head, bytes);
    if (n == 0) {
        front->head_seen = head.seen;
        if (!front->is_reading_head)
            arm_head_timer(front);
        return 0;
    }
    front->head_seen = 0;
    front->is_reading_head = false;
    if (n < 0) {
        refuse_head(front, (enum r2a_err)n, bytes);
        return bytes.len;
    }
    loop_timer_cancel(&worker->loop, &front->timer);
    if (head.glitches > 0) {
        metric_add(&worker->metrics->glitches, head.glitches);
        front->glitches = (uint16_t)(front->glitches + head.glitches);
    }
    front->requests++;
    ex = ex_open(front, &head, slice_of(bytes.ptr, (size_t)n));
    if (ex == NULL) {
        refuse_full(front, bytes);
        return bytes.len;
    }
    if (front->glitches > GLITCHES_MAX)
        ex->keep_alive = false;
    front->ex = ex;
    used = (size_t)n;
    begin(ex, &head);
    if (front->ex == ex && ex->lent == 0 && used < bytes.len)
        used += take_request_bytes(ex, slice_skip(bytes, used));
    return used;
}

static void on_filled(struct conn *conn, size_t added, size_t left)
{
    struct front *front = conn->owner;

    if (front->ex)
        ex_on_body_filled(front->ex, added, left);
}

static void on_writable(struct conn *conn)
{
    struct front *front = conn->owner;

    if (front->ex)
        ex_on_client_writable(front->ex);
    else
        conn_read_resume(conn); /* the requests that on_bytes would not begin */
}

void front_conn_gone(struct front *front)
{
    front->has_conn_gone = true;
    loop_timer_cancel(&front->worker->loop, &front->timer);
    if (front->ex)
        ex_on_client_gone(front->ex);
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    (void)err;
    front_conn_gone(conn->owner);
}

static void on_eof(struct conn *conn)
{
    struct front *front = conn->owner;
    struct exchange *ex = front->ex;

    if (ex && !ex->keep_alive && ex->state != EX_BODY &&
        ex->started_ms == loop_now_ms(&front->worker->loop))
        return; /* `Connection: close` and the end came with the request: it waits for its answer */
    if (ex && ex->state == EX_LAST)
        return; /* it may half-close while the last bytes are on their way */
    if (ex == NULL && conn_kept(conn).len > 0 && !front->is_reading_head) {
        if (!conn_is_congested(conn)) /* else on_writable does */
            conn_read_resume(conn);
        return; /* further requests came before the end, which is told again behind them */
    }
    conn_close(conn);
    front->is_closing = true;
    front_conn_gone(front);
}

static void on_released(struct conn *conn)
{
    struct front *front = conn->owner;
    struct worker *worker = front->worker;

    check(front->ex == NULL);
    if (front->lender)
        ex_on_client_released(front->lender);
    list_remove(&front->node);
    loop_timer_cancel(&worker->loop, &front->timer);
    board_connection_release(worker->board);
    slab_give(&worker->fronts, front);
    worker_check_drained(worker);
}

static const struct conn_calls front_calls = {
    .on_bytes = on_bytes,
    .on_filled = on_filled,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_released = on_released,
};

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    struct front *front = container_of(timer, struct front, timer);

    (void)now_ms;
    if (front->ex || front->is_closing)
        return;
    if (front->is_reading_head) {
        refuse_late(front, conn_kept(front->conn));
        return;
    }
    front->is_closing = true;
    conn_close(front->conn);
}

void front_accept(void *ctx, int32_t handle, const struct conn_peer *peer)
{
    struct worker_listener *from = ctx;
    struct worker *worker = from->worker;
    struct front *front = slab_take(&worker->fronts);

    if (front == NULL ||
        !board_connection_admit(worker->board, worker->config->limits.connections)) {
        struct conn *conn = conn_adopt(&worker->conns, handle, peer, &front_calls, NULL);

        if (front)
            slab_give(&worker->fronts, front);
        if (conn) { /* no place: the peer sees a reset and may try another gateway */
            conn_abort(conn);
            conn_detach(conn);
        }
        return;
    }
    front->worker = worker;
    front->is_admin = from->is_admin;
    front->timer.fn = on_timer;
    front->conn = conn_adopt(&worker->conns, handle, peer, &front_calls, front);
    if (front->conn == NULL) {
        board_connection_release(worker->board);
        slab_give(&worker->fronts, front);
        return;
    }
    list_push_back(&worker->fronts_open, &front->node);
    arm_head_timer(front);
    front->is_reading_head =
        false; /* a connection that never says anything is closed without a word */
}

void front_exchange_done(struct front *front, bool keep_alive)
{
    struct worker *worker = front->worker;

    front->ex = NULL;
    if (front->has_conn_gone)
        return;
    if (!keep_alive || worker->is_draining) {
        front->is_closing = true;
        conn_close(front->conn);
        return;
    }
    loop_timer_arm(&worker->loop, &front->timer,
                   loop_now_ms(&worker->loop) + (uint64_t)worker->config->timeouts.idle_ms);
    conn_read_resume(front->conn); /* the next request may be here already */
}

void front_drain(struct front *front)
{
    if (front->ex == NULL && !front->is_closing) {
        front->is_closing = true;
        conn_close(front->conn);
    }
}
