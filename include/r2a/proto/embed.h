#ifndef R2A_PROTO_EMBED_H
#define R2A_PROTO_EMBED_H

#include "r2a/core/rope.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/fault.h"
#include "r2a/ir/loss.h"

/* Embeddings: texts in, one vector each out. Two forms of one small question, so they are said in
 * each other's words directly, without events: OpenAI's POST /embeddings, and Gemini's
 * :embedContent and :batchEmbedContents. Pure. */
enum embed_form { EMBED_NONE, EMBED_OPENAI, EMBED_GEMINI };

/* What the answer must know of the request. */
struct embed {
    uint8_t form;      /* enum embed_form: the client's; set by the caller, as is_batch */
    bool is_batch;     /* Gemini: :batchEmbedContents */
    bool wants_base64; /* OpenAI: vectors as base64 of little-endian float32 */
    uint32_t count;    /* texts asked about: so many vectors must come back */
};

/* Writes the client's request for an upstream of the *other* form, `model` being its name there
 * (plain). Long runs are borrowed from `body`. Adds the texts to brief->text_bytes. `*loss` gets
 * what the target has no word for (taskType, title, user, members nobody knows). On failure
 * `*fault` is filled: a 400 for what is malformed or cannot be said (token arrays, media, different
 * dimensions in one batch). */
enum r2a_err embed_write_request(struct embed *embed, struct slice body, struct slice model,
                                 struct brief *brief, struct rope *out, struct loss *loss,
                                 struct fault *fault);

/* Writes the upstream's answer (of the other form) for the client. `*tokens` is what the upstream
 * counted; `*is_estimated` when it did not and the sum of the texts stands in. R2A_ERR_INVALID: not
 * such an answer, or not one vector for each text (a 502); `out` is then to be thrown away. */
enum r2a_err embed_write_answer(const struct embed *embed, struct slice answer,
                                const struct brief *brief, struct rope *out, uint64_t *tokens,
                                bool *is_estimated);

/* Writes a Gemini request for a Gemini upstream: byte for byte but for the `model` members (of the
 * root and of each request), which must name what the path names. Long runs are borrowed. */
void embed_write_renamed(struct slice body, struct slice model, struct rope *out);

#endif
