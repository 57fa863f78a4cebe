#include "pass.h"

#include "exchange.h"
#include "front.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/http/body.h"
#include "r2a/http/url.h"
#include "r2a/json/text.h"
#include "worker.h"

/* The request flows client -> prefix -> (routed, connected) -> prefix and all that follows ->
 * upstream; the answer flows back as it comes. The client is held back by not reading it while
 * there is nowhere to put its bytes. */

/* --- where is the model? --- */

static bool find_in_json(struct slice prefix, bool is_whole, struct slice *raw, struct slice *text)
{
    struct json_scan scan;
    enum json_token token;
    bool is_model = false;

    json_open_pieces(&scan);
    json_feed(&scan, prefix, is_whole);
    while ((token = json_next(&scan)) != JSON_ERROR && token != JSON_MORE && token != JSON_END) {
        if (token == JSON_KEY && scan.depth == 1) {
            is_model = !scan.is_partial && json_key_is(&scan, S("model"));
        } else if (is_model) {
            if (token != JSON_STRING || scan.is_partial)
                return false;
            *text = scan.text;
            *raw = slice_of(scan.text.ptr - 1, scan.text.len + 2);
            return true;
        }
    }
    return false;
}

/* RFC 7578: a part named "model", its value up to the line end. */
static bool find_in_form(struct slice prefix, struct slice *raw, struct slice *text)
{
    const struct slice mark = S("name=\"model\"");
    size_t name = str_find(prefix, mark);
    struct slice rest;
    size_t begin;

    /* a file of that name is something else */
    while (name < prefix.len && name > 0 && char_is_alnum(prefix.ptr[name - 1]))
        name += mark.len + str_find(slice_skip(prefix, name + mark.len), mark);
    if (name >= prefix.len)
        return false;
    rest = slice_skip(prefix, name);
    begin = str_find(rest, S("\r\n\r\n"));
    if (begin == rest.len)
        return false;
    rest = slice_skip(rest, begin + 4);
    begin = str_find(rest, S("\r\n"));
    if (begin == rest.len)
        return false;
    *text = slice_head(rest, begin);
    *raw = *text;
    return true;
}

bool pass_find_model(struct slice content_type, struct slice prefix, bool is_whole,
                     struct slice *raw, struct slice *text)
{
    if (http_media_type_is(content_type, S("multipart/form-data")))
        return find_in_form(prefix, raw, text);
    return find_in_json(prefix, is_whole, raw, text);
}

/* --- routing --- */

static struct pass *pass_of(struct exchange *ex)
{
    return ex->request->pass;
}

/* Looks for the model in what is there. True when routing need not wait for more. */
static bool look_for_model(struct exchange *ex)
{
    struct pass *pass = pass_of(ex);
    struct slice type = ex_header(ex->request, HEADER_CONTENT_TYPE);
    struct slice prefix = slice_of(pass->prefix, pass->len);
    bool is_whole = ex->request->body_wire.is_complete;
    struct slice raw, text;

    if (pass->model.len > 0)
        return true; /* of the query */
    if (pass_find_model(type, prefix, is_whole, &raw, &text)) {
        pass->is_form = raw.len == text.len; /* not quoted */
        if (!text_to_plain(pass->is_form ? text_plain(text) : text_escaped(text), &ex->arena,
                           &pass->model))
            return true;
        pass->model = arena_copy(&ex->arena, pass->model);
        pass->model_at = raw.ptr;
        pass->model_size = raw.len;
        return true;
    }
    return is_whole || pass->len == PASS_PREFIX_BYTES;
}

static void route(struct exchange *ex)
{
    struct pass *pass = pass_of(ex);

    pass->is_held = true;
    ex_route(ex, pass->model);
}

void pass_begin(struct exchange *ex, const struct h1_request *head)
{
    struct ex_request *request = ex->request;
    struct pass *pass = arena_take_zero(&request->arena, sizeof(*pass));
    struct slice raw;

    if (pass == NULL || (pass->prefix = mem_take(ex->worker->mem, PASS_PREFIX_BYTES)) == NULL ||
        !ex_make_brief(ex)) {
        ex_refuse(ex, FAULT_OVERLOAD, 0, S("out of memory"));
        return;
    }
    request->pass = pass;
    if (url_query_find(request->match.query, S("model"), &raw) && raw.len > 0) {
        char *plain = arena_take(&ex->arena, raw.len);
        int32_t len = plain ? url_decode(raw, plain) : -1;

        if (len > 0)
            pass->model = slice_of(plain, (size_t)len);
    }
    ex_enter(ex, EX_BODY);
    if (request->body_wire.is_complete) {
        route(ex);
        return;
    }
    if (head->expect == HTTP_EXPECT_CONTINUE) {
        rope_put(conn_out(ex->front->conn), S("HTTP/1.1 100 Continue\r\n\r\n"));
        conn_flush(ex->front->conn);
    }
}

/* --- the body on its way up --- */

static bool is_chunked_up(const struct exchange *ex)
{
    return ex->request->body_wire.kind == HTTP_BODY_CHUNKED;
}

static void put_up(struct exchange *ex, struct rope *out, struct slice data)
{
    if (is_chunked_up(ex))
        http_chunk_put(out, data);
    else
        rope_put(out, data);
}

size_t pass_on_body(struct exchange *ex, struct slice bytes)
{
    struct ex_request *request = ex->request;
    struct pass *pass = pass_of(ex);
    struct upstream *up = ex->call.up;
    size_t used = 0;

    if (pass->is_held || (pass->is_sent && up == NULL))
        return 0;
    while (!request->body_wire.is_complete && used < bytes.len) {
        struct slice rest = slice_skip(bytes, used);
        struct slice data;
        int32_t n;

        if (!pass->is_sent) /* never more than fits */
            rest = slice_head(rest, PASS_PREFIX_BYTES - pass->len);
        if (rest.len == 0)
            break;
        n = http_body_feed(&request->body_wire, rest, &data);
        if (n < 0) {
            ex->keep_alive = false;
            call_cancel(ex);
            ex_refuse(ex, FAULT_INVALID, 0, S("the chunked request body is malformed"));
            return bytes.len;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        ex->bytes_in += (uint64_t)n;
        if (request->body_wire.bytes > ex->config->limits.body_bytes) {
            ex->keep_alive = false;
            ex->ended_by = 'L';
            call_cancel(ex);
            ex_refuse(ex, FAULT_TOO_LARGE, 0, S("the request body exceeds limits.body_bytes"));
            return bytes.len;
        }
        if (pass->is_sent) {
            put_up(ex, conn_out(up->conn), data);
        } else {
            memcpy(pass->prefix + pass->len, data.ptr, data.len);
            pass->len += (uint32_t)data.len;
        }
    }
    if (!pass->is_sent) {
        if (look_for_model(ex))
            route(ex);
        return used;
    }
    if (request->body_wire.is_complete) {
        if (is_chunked_up(ex))
            http_chunk_last(conn_out(up->conn));
        ex_on_sent(ex);
    } else if (conn_is_congested(up->conn)) {
        pass->is_held = true;
        conn_want_writable(up->conn, CONN_LOW_BYTES);
    }
    conn_flush(up->conn);
    ex_touch(ex);
    return used;
}

void pass_on_upstream_writable(struct exchange *ex)
{
    struct pass *pass = pass_of(ex);

    if (pass == NULL || !pass->is_held || ex->front == NULL)
        return;
    pass->is_held = false;
    conn_read_resume(ex->front->conn);
    ex_touch(ex);
}

bool pass_awaits_client(const struct exchange *ex)
{
    const struct ex_request *request = ex->request;

    return ex->state == EX_SEND && request && request->pass && request->pass->is_sent &&
           !request->pass->is_held && !request->body_wire.is_complete;
}

/* The prefix, with the model as the target calls it. Its difference in length is in *delta. */
static bool needs_edit(const struct exchange *ex, struct pass *pass)
{
    return pass->model_at != NULL && !slice_eq(pass->model, ex->target.model);
}

static void put_prefix(struct exchange *ex, struct pass *pass, struct rope *prefix)
{
    struct slice bytes = slice_of(pass->prefix, pass->len);

    if (!needs_edit(ex, pass)) {
        rope_put(prefix, bytes);
        return;
    }
    rope_put(prefix, slice_between(bytes.ptr, pass->model_at));
    if (pass->is_form)
        rope_put(prefix, ex->target.model);
    else
        text_write_string(prefix, text_plain(ex->target.model));
    rope_put(prefix, slice_between(pass->model_at + pass->model_size, bytes.ptr + bytes.len));
}

void pass_write_request(struct exchange *ex, struct rope *out)
{
    struct ex_request *request = ex->request;
    struct pass *pass = pass_of(ex);
    const struct provider_instance *provider = ex->provider;
    struct rope prefix = {.mem = out->mem};
    struct slice type = ex_header(ex->request, HEADER_CONTENT_TYPE);
    struct provider_request facts = {
        .proto = ex->target.proto,
        .model = ex->target.model,
        .credential = ex->credential,
        .is_relay = true,
        .request_id = ex->id,
        .idempotency_key = ex_header(ex->request, HEADER_IDEMPOTENCY_KEY),
        .traceparent = ex_header(ex->request, HEADER_TRACEPARENT),
        .openai_beta = ex_header(ex->request, HEADER_OPENAI_BETA),
        .user_agent = ex_header(ex->request, HEADER_USER_AGENT),
    };

    put_prefix(ex, pass, &prefix);
    rope_put(out, S("POST "));
    rope_put(out, provider->endpoint.path);
    rope_put(out, request->match.pass_path);
    if (request->match.query.len > 0) {
        rope_put_char(out, '?');
        rope_put(out, request->match.query);
    }
    rope_put(out, S(" HTTP/1.1\r\nhost: "));
    rope_put(out, provider->endpoint.authority);
    rope_put(out, S("\r\naccept-encoding: identity\r\n"));
    if (type.len > 0) {
        rope_put(out, S("content-type: "));
        rope_put(out, type);
        rope_put(out, S("\r\n"));
    }
    if (is_chunked_up(ex)) {
        rope_put(out, S("transfer-encoding: chunked\r\n"));
    } else {
        rope_put(out, S("content-length: "));
        rope_put_u64(out, prefix.bytes + request->body_wire.left);
        rope_put(out, S("\r\n"));
    }
    provider->kind->headers(provider, &facts, out);
    rope_put(out, S("\r\n"));
    if (is_chunked_up(ex) && prefix.bytes > 0)
        http_chunk_append(out, &prefix);
    else
        rope_append(out, &prefix);
    if (prefix.err != R2A_OK)
        out->err = prefix.err;
    if (request->body_wire.is_complete) {
        if (is_chunked_up(ex))
            http_chunk_last(out);
        return; /* kept: another attempt may need it */
    }
    pass->is_sent = true;
    pass->is_held = false;
    conn_read_resume(ex->front->conn);
}

void pass_free(struct exchange *ex)
{
    struct pass *pass = pass_of(ex);

    if (pass)
        mem_give(ex->worker->mem, pass->prefix, PASS_PREFIX_BYTES);
    ex->request->pass = NULL;
}
