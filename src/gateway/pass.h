#ifndef R2A_GATEWAY_PASS_H
#define R2A_GATEWAY_PASS_H

#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* Routes without a dialect (embeddings, images, audio, moderations, rerank): bodies of any type
 * pumped both ways and never kept. Only the first PASS_PREFIX_BYTES of the request are looked at,
 * for the model's name: in the query, in a JSON body's root, in a multipart field. As long as the
 * whole body lies in them another attempt is possible. */
struct exchange;
struct h1_request;

struct pass {
    char *prefix; /* of mem, PASS_PREFIX_BYTES */
    uint32_t len;
    bool is_sent;         /* the prefix went upstream: bytes now flow straight through */
    bool is_held;         /* the client waits: no connection yet, or the upstream is slow */
    struct slice model;   /* as asked, plain; empty: none found */
    const char *model_at; /* where it stands in the prefix: a JSON string with its quotes, or a
                             form's bare value; NULL: nowhere to edit */
    size_t model_size;
    bool is_form;
};

/* The head is read and authorised: begins to take the body. */
void pass_begin(struct exchange *ex, const struct h1_request *head);
/* Bytes of the request's body; returns how many were used. */
size_t pass_on_body(struct exchange *ex, struct slice bytes);
/* The upstream connection is there: the request's head and what was kept of the body. */
void pass_write_request(struct exchange *ex, struct rope *out);
/* Whether the rest of the body is what is waited for: else it is the upstream. */
bool pass_awaits_client(const struct exchange *ex);
/* The upstream took what was waiting. */
void pass_on_upstream_writable(struct exchange *ex);
void pass_free(struct exchange *ex);

/* Finds the model in the first bytes of a body. Pure; false: not there (yet). `is_whole`: the body
 * ends with them. */
bool pass_find_model(struct slice content_type, struct slice prefix, bool is_whole,
                     struct slice *raw, struct slice *text);

#endif
