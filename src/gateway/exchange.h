#ifndef R2A_GATEWAY_EXCHANGE_H
#define R2A_GATEWAY_EXCHANGE_H

#include "back.h"
#include "keep.h"
#include "pass.h"
#include "r2a/core/arena.h"
#include "r2a/core/wheel.h"
#include "r2a/http/body.h"
#include "r2a/http/h1_head.h"
#include "r2a/ir/tape.h"
#include "r2a/proto/embed.h"
#include "relay.h"
#include "route.h"

struct worker;
struct front;

/* One request and its answer. The table in exchange.c is the state machine; ex_enter is the only
 * writer of `state`.
 *
 *   HEAD -> BODY -> QUEUE -> CONNECT -> SEND -> WAIT -> STREAM -> LAST -> DONE
 *                     ^--------+---------+-------+   (another attempt; never from STREAM) */
enum ex_state {
    EX_HEAD,
    EX_BODY,
    EX_QUEUE,
    EX_CONNECT,
    EX_SEND,
    EX_WAIT,
    EX_STREAM,
    EX_LAST,
    EX_DONE,
    EX_STATES,
};

/* What the vault answers to an encoder. */
struct ex_recall {
    struct recall recall;
    struct exchange *ex;
};

/* What goes with the request until no other attempt can need it: given back with the first content.
 */
struct ex_request {
    struct arena arena;          /* the head's bytes, decoded texts, this struct */
    struct http_header *headers; /* of the client's head */
    uint32_t headers_count;
    uint64_t headers_known[(HEADER_ID_COUNT + 63) / 64]; /* a bit for each id that is among them */
    struct route_match match;
    char *body; /* contiguous; NULL: none */
    size_t body_len, body_size;
    size_t
        body_charged; /* a reserved range's bytes so far; taken whole when is_reserved is false */
    bool is_reserved;
    struct http_body body_wire;
    struct ir_tape tape;
    bool is_decoded;     /* the tape is filled */
    struct pass *pass;   /* ROUTE_PASS: the body flows; else NULL */
    struct rope retired; /* encoded for earlier targets, perhaps still being sent */
    struct rope encoded; /* for the current target; serves retries to it */
    const struct provider_instance *encoded_for;
    struct slice encoded_model;
    struct echo echo;
    struct timer echo_timer; /* no upstream: when the next word is due */
    struct ex_recall recall;

    /* Lists with their counts. Zeroing their rooms at each request would cost more than filling
     * them: only what stands above is zero at first, and these are empty. */
    struct json_memo memo;
    struct relay_peek peek;
    struct route_plan plan;
    struct loss loss;
};

/* What the client's head says; empty when it has no such field. Most of what is asked for is
 * absent, and the list is long. */
static inline struct slice ex_header(const struct ex_request *request, enum http_header_id id)
{
    if (!(request->headers_known[id / 64] >> (id % 64) & 1))
        return (struct slice){0};
    return http_header_value(request->headers, request->headers_count, id);
}

/* Why the last attempt failed, and what its answer said with it. Most exchanges never need one. */
struct ex_failure {
    struct fault fault;      /* texts in the exchange's arena, as all that follows */
    struct slice error_body; /* a relayed upstream's own error answer */
    struct slice error_type; /* and its content type */
    struct slice retry_after, retry_after_ms, should_retry; /* headers of that answer */
};

struct exchange {
    /* every chunk, down to the dialect: call_fetch */
    struct ir_sink sink; /* where decoders put events; first */
    struct worker *worker;
    struct front *front; /* NULL when the client is gone */
    void *encoder;
    const struct proto *client;
    struct rope out; /* what came of this read; ex_flush frames it and moves it to the connection */
    char *chunk_at;  /* where the chunk's size goes, inside `out` */
    struct keep *keep;       /* in `arena`; NULL: nothing is to be kept */
    uint64_t out_text_bytes; /* generated text, for an estimate */
    uint8_t state;           /* enum ex_state */
    uint8_t operation;       /* enum route_op */
    bool is_chore;           /* our own request: no client, no log line */
    bool is_head_sent;
    bool is_chunked; /* our answer's framing */
    bool is_stream;  /* the client asked for a stream */
    bool is_relay;
    bool has_content; /* the upstream produced something a client can see */
    bool has_ended;   /* END or ERROR went to the client */
    bool has_failed;  /* the attempt failed before content: `failure` says why */
    bool is_apart;    /* an error waits until what came before it has left: `failure` */
    bool is_broken;   /* the stream ended in an error */
    bool is_flowing;  /* a plain answer too large to keep passes through */
    bool in_callback;
    bool head_forced;      /* hold is over: the head went out before content */
    struct timer deadline; /* of the state */
    struct timer quiet;    /* hold, then keep-alive */
    struct timer total;
    struct loop_defer defer;
    struct call call;
    struct timeouts timeouts;
    struct target target; /* of the attempt; its dialect first */

    struct config *config;      /* one reference */
    struct brief *brief;        /* in `arena` */
    struct arena arena;         /* until the end */
    struct ex_request *request; /* NULL once given back */

    /* attempts */
    const struct provider_instance *provider;
    const struct credential *credential;
    const struct cfg_key *key;
    const struct cfg_route *route;
    uint64_t model_hash; /* of target.model, for the board */
    uint8_t candidate;   /* index in the plan */
    uint8_t attempts;    /* with the current key */
    uint8_t stop;        /* enum ir_stop + 1; 0: none */
    uint32_t keys_tried; /* bit per credential (first 32) of the current provider */
    uint32_t sent;       /* requests sent upstream in all */
    bool is_key_admitted;
    bool is_provider_set;
    struct ex_failure *failure; /* in `arena`; NULL: nothing has failed (ex_failure) */

    struct embed embed; /* ROUTE_EMBED */

    /* facts for the log */
    struct ir_usage usage;
    uint64_t started_ms;
    int32_t first_token_ms; /* since started, -1 */
    uint32_t lent;          /* upstream connections that may still borrow our memory */
    uint64_t bytes_in, bytes_out;
    uint16_t status, upstream_status;
    char ended_by, ended_in;
    uint16_t dropped;
    struct slice id;           /* x-request-id, in arena */
    struct slice path, method; /* for the log, in arena */
    struct slice upstream_id;
    struct slice dropped_names; /* the header's value, in arena */
    struct slice origin;        /* CORS: to be allowed, or empty */
    const char *error;
    bool keep_alive, is_head_request, is_http10;
    bool is_estimate;
    bool is_id_ours;   /* `id` is "req_" and 24 random characters */
    bool keeps_tape;   /* the answer is made of the request (echo) */
    bool is_kept_open; /* borrowed bytes are on their way to the client: EX_LAST waits */
};

/* --- front.c --- */

/* An exchange without a client, at its beginning. NULL: no slot, no memory. */
struct exchange *ex_new(struct worker *worker, struct config *config);
/* A complete request head; its bytes are copied. Returns NULL when there is no slot (answered 503
 * by the front). */
struct exchange *ex_open(struct front *front, const struct h1_request *head,
                         struct slice head_bytes);
/* Bytes of the request body; returns how many were used. */
size_t ex_on_body(struct exchange *ex, struct slice bytes);
void ex_on_body_filled(struct exchange *ex, size_t added, size_t left);
/* The client left (EOF, reset). */
void ex_on_client_gone(struct exchange *ex);
void ex_on_client_writable(struct exchange *ex);
/* The connection's memory is free again (front on_released). */
void ex_on_client_released(struct exchange *ex);

/* --- back.c --- */

void ex_on_connected(struct exchange *ex);
void ex_on_sent(struct exchange *ex);
/* A status head: decides framing, decoder, mode. */
void ex_on_answer(struct exchange *ex, const struct h1_response *head);
void ex_on_frame(struct exchange *ex, const struct frame *frame);
/* The answer's bytes ended properly (or, is_cut, did not). */
void ex_on_answer_end(struct exchange *ex, bool is_cut, enum r2a_err err);
/* The attempt failed before the client saw anything, or the stream broke. */
void ex_on_attempt_failed(struct exchange *ex, const struct fault *fault);
/* The head is out: the stream ends with an error in the client's protocol. */
void ex_break_stream(struct exchange *ex, const struct fault *fault);
/* The gateway ends: whatever runs is broken off with this fault. */
void ex_shut_down(struct exchange *ex, const struct fault *fault);
/* A reused connection ended before an answer: not an attempt. */
void ex_on_stale(struct exchange *ex);
/* A passed answer: its bytes flow from here on. */
void ex_begin_flow(struct exchange *ex);
/* A relayed plain answer outgrew limits.output_bytes: it flows from here on. */
void ex_on_overflow(struct exchange *ex, struct slice gathered, struct slice data);
/* After a batch of upstream bytes: sends what came of it, ends what has ended. */
void ex_after_bytes(struct exchange *ex);
/* An upstream connection no longer borrows our memory. */
void ex_on_returned(struct exchange *ex);

/* --- flow.c, for exchange.c --- */

enum r2a_err ex_take_event(struct ir_sink *sink, const struct ir_event *event);
/* Bytes in `out` beside the room for a chunk's size. */
size_t ex_out_bytes(const struct exchange *ex);

/* --- exchange.c, for the others --- */

void ex_enter(struct exchange *ex, enum ex_state next);
/* Something moved: the state's deadline begins anew. */
void ex_touch(struct exchange *ex);
/* All of the answer was handed to the connection: log, count, next request. */
void ex_finish(struct exchange *ex);
/* The request is complete and valid HTTP: route it (attempt.c). */
void ex_on_request(struct exchange *ex);
/* What the answer must know; made once. False: out of memory. */
bool ex_make_brief(struct exchange *ex);
/* Chooses the upstream for this model (empty: none was named) and starts the first attempt. */
void ex_route(struct exchange *ex, struct slice model);
/* Starts an attempt at the chosen target, or the next one's turn (attempt.c). */
void ex_attempt(struct exchange *ex);
/* The last attempt failed and nothing was sent to the client: again, elsewhere, or the error. */
void ex_next_attempt(struct exchange *ex);
/* A token count of our own, marked as an estimate. */
void ex_answer_estimate(struct exchange *ex);
/* The upstream refused with this body (attempt.c). */
void ex_on_error_answer(struct exchange *ex, struct slice body);
/* The upstream's answer to a count (attempt.c). */
void ex_on_count(struct exchange *ex, struct slice body);
/* Gives the request's memory back; no further attempt is possible. */
void ex_release_request(struct exchange *ex);
/* Where the last failure is kept; never NULL. */
struct ex_failure *ex_failure(struct exchange *ex);
/* Copies a fault's texts into the exchange. */
void ex_set_fault(struct exchange *ex, const struct fault *fault);
void ex_flush(struct exchange *ex);
struct rope *ex_out(struct exchange *ex);
/* The client's encoder, made when it is first needed. False: out of memory. */
bool ex_begin_encoder(struct exchange *ex);
/* The client heard something: silence is counted anew (hold before the head, keep-alive after it).
 */
void ex_arm_quiet(struct exchange *ex);
/* An error that must come apart: looked at again a little later. */
void ex_wait_apart(struct exchange *ex);
/* Hold, keep-alive and total time, once the client's wishes are known. */
void ex_arm_timers(struct exchange *ex);
/* The phase letter of the access log. */
char ex_phase_letter(const struct exchange *ex);

/* --- answer.c --- */

/* Writes the head of a stream (SSE or JSON array) and marks it sent. */
void ex_send_stream_head(struct exchange *ex);
/* A whole answer whose body is in `body` (moved). content_type may be empty for none. */
void ex_answer(struct exchange *ex, uint16_t status, struct slice content_type, struct rope *body);
void ex_answer_text(struct exchange *ex, uint16_t status, struct slice content_type,
                    struct slice body);
/* An error in the client's protocol. Before the head only. */
void ex_answer_fault(struct exchange *ex, const struct fault *fault);
/* The same with a message and kind. */
void ex_refuse(struct exchange *ex, enum fault_kind kind, uint16_t status, struct slice message);
/* With whole header lines of its own. */
void ex_answer_with(struct exchange *ex, uint16_t status, struct slice content_type,
                    struct slice body, struct slice extra_lines);
/* What needs no upstream: probes, health, metrics, lists, CORS (admin.c). False: not its business.
 */
/* The model list; waits in EX_QUEUE for upstreams that were never asked. */
void ex_answer_models(struct exchange *ex);
struct auth_offer;
bool ex_answer_static(struct exchange *ex, const struct auth_offer *offer);

#endif
