#include "refuse.h"

#include "front.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/http/h1_write.h"
#include "r2a/http/url.h"
#include "route.h"
#include "worker.h"

#define PATH_BYTES_MAX   1024u /* a longer path is no route of ours */
#define METHOD_BYTES_MAX 16u

/* What a broken or unfinished head still says. */
struct glimpse {
    const struct proto *client;
    struct slice method, path;
    char buf[3 * PATH_BYTES_MAX];
};

/* The next word of a request line, with the space behind it left out of both. */
static struct slice take_word(struct slice *line)
{
    struct slice word = slice_head(*line, str_find_char(*line, ' '));

    *line = slice_skip(*line, word.len < line->len ? word.len + 1 : word.len);
    return word;
}

static void look(struct glimpse *glimpse, const struct config *config, struct slice seen)
{
    struct slice line = slice_head(seen, str_find_char(seen, '\n'));
    struct route_request asked = {
        .has_anthropic_version = str_find_nocase(seen, S("\nanthropic-version:")) < seen.len,
        .has_goog_key = str_find_nocase(seen, S("\nx-goog-api-key:")) < seen.len};
    struct route_match match;
    struct slice path;
    int32_t len;

    line = slice_head(line, str_find_char(line, '\r'));
    asked.method = take_word(&line);
    url_split(take_word(&line), &path, &asked.query);
    if (asked.method.len <= METHOD_BYTES_MAX)
        glimpse->method = asked.method;
    if (path.len > 0 && path.len <= PATH_BYTES_MAX &&
        (len = url_path_normalise(path, glimpse->buf)) > 0) {
        asked.path = slice_of(glimpse->buf, (size_t)len);
        glimpse->path = asked.path;
    }
    route_match(config, &asked, glimpse->buf + PATH_BYTES_MAX, &match);
    glimpse->client = match.client;
}

static void refuse(struct front *front, uint16_t status, enum fault_kind kind, struct slice message,
                   struct slice seen)
{
    struct worker *worker = front->worker;
    struct rope *out = conn_out(front->conn);
    struct rope body = {.mem = worker->mem};
    struct fault fault = fault_of(kind, message);
    struct glimpse glimpse = {0};
    char id[28] = "req_";
    size_t before = out->bytes;

    random_base62(id + 4, sizeof(id) - 4);
    look(&glimpse, worker->config, seen);
    fault.status = status;
    fault.request_id = slice_of(id, sizeof(id));
    glimpse.client->error_body(&fault, &body);
    h1_write_status(out, status);
    h1_write_raw(out, S("content-type: application/json\r\nconnection: close\r\n"));
    h1_write_id_u64(out, HEADER_CONTENT_LENGTH, body.bytes);
    h1_write_id(out, HEADER_X_REQUEST_ID, fault.request_id);
    if (slice_eq(glimpse.client->name, S("anthropic")))
        h1_write_field(out, S("request-id"), fault.request_id);
    rope_put(out, S("date: "));
    rope_put(out, worker_date(worker));
    rope_put(out, S("\r\n"));
    h1_write_end(out);
    rope_append(out, &body);
    metric_inc(worker->metrics, requests);
    metric_add(&worker->metrics->status[status / 100], 1);
    metric_add(&worker->metrics->bytes_in, seen.len);
    metric_add(&worker->metrics->bytes_out, out->bytes - before);
    {
        struct audit_record record = {.id = fault.request_id,
                                      .method = glimpse.method,
                                      .path = slice_head(glimpse.path, 200),
                                      .client_protocol = glimpse.client->name.ptr,
                                      .status = status,
                                      .ended_by = status == 408   ? 'c'
                                                  : status == 503 ? 'R'
                                                                  : 'P',
                                      .ended_in = 'R',
                                      .bytes_in = seen.len,
                                      .bytes_out = out->bytes - before,
                                      .first_token_ms = -1,
                                      .error = "HTTP"};

        worker_audit(worker, &record);
    }
    front->is_closing = true;
    conn_flush(front->conn);
    conn_close(front->conn);
}

void refuse_head(struct front *front, enum r2a_err err, struct slice seen)
{
    uint16_t status = err == R2A_ERR_HTTP_HEAD_LIMIT ? 431
                      : err == R2A_ERR_HTTP_VERSION  ? 505
                      : err == R2A_ERR_HTTP_CODING   ? 501
                                                     : 400;

    refuse(front, status, FAULT_INVALID, slice_from_z(r2a_err_text(err)), seen);
}

void refuse_late(struct front *front, struct slice seen)
{
    refuse(front, 408, FAULT_INVALID, S("the request head did not arrive in time"), seen);
}

void refuse_full(struct front *front, struct slice seen)
{
    refuse(front, 503, FAULT_OVERLOAD, S("the gateway is at its limit of exchanges or memory"),
           seen);
}
