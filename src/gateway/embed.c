#include "embed.h"

#include "exchange.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* An embedding call between routing and answering: nothing here is a conversation, so neither tape
 * nor events take part. */

enum embed_form embed_form_of(const struct provider_instance *provider, const struct proto *proto)
{
    if (proto == NULL)
        return EMBED_NONE;
    if (provider->kind->passes)
        return EMBED_OPENAI;
    return proto == proto_find(S("gemini")) ? EMBED_GEMINI : EMBED_NONE;
}

bool embed_must_gather(const struct exchange *ex)
{
    const struct config *config = ex->config;
    const struct route_match *match = &ex->request->match;

    if (match->op != ROUTE_PASS || !slice_eq(match->pass_path, S("/embeddings")))
        return false;
    for (uint32_t i = 0; i < config->providers_count; i++) {
        const struct provider_instance *provider = &config->providers[i];

        if (!provider->kind->is_embedded &&
            embed_form_of(provider, provider->kind->speaks(provider, (struct slice){0})) ==
                EMBED_GEMINI)
            return true;
    }
    return false;
}

void embed_open(struct exchange *ex)
{
    bool is_gemini = ex->client == proto_find(S("gemini"));
    bool is_one = is_gemini && slice_eq(ex->request->match.method_name, S("embedContent"));

    ex->embed.form = is_gemini ? EMBED_GEMINI : EMBED_OPENAI;
    ex->embed.is_batch = is_gemini && !is_one;
    ex->brief->operation = is_one ? BRIEF_EMBED : BRIEF_EMBED_BATCH;
}

enum r2a_err embed_encode(struct exchange *ex, struct fault *fault)
{
    struct ex_request *request = ex->request;
    struct slice body = slice_of(request->body, request->body_len);
    struct relay_edits edits = {.model = ex->target.model};

    if (!ex->is_relay)
        return embed_write_request(&ex->embed, body, ex->target.model, ex->brief, &request->encoded,
                                   &request->loss, fault);
    if (ex->embed.form == EMBED_OPENAI)
        relay_write(ex->client, body, &request->peek, &edits, &request->encoded);
    else if (slice_eq(request->match.id, ex->target.model))
        rope_borrow(&request->encoded, body);
    else
        embed_write_renamed(body, ex->target.model, &request->encoded);
    return R2A_OK;
}

void embed_on_answer(struct exchange *ex, struct slice answer)
{
    struct fault fault;
    uint64_t tokens = 0;
    bool is_estimated = false;
    enum r2a_err err =
        embed_write_answer(&ex->embed, answer, ex->brief, ex_out(ex), &tokens, &is_estimated);

    if (err == R2A_OK) {
        ex->usage.input = tokens;
        ex->usage.has |= IR_HAS_INPUT;
        ex->is_estimate = is_estimated;
        ex->has_content = true;
        ex->has_ended = true;
        return;
    }
    rope_clear(&ex->out);
    if (err == R2A_ERR_NO_MEMORY)
        fault = fault_of(FAULT_OVERLOAD, S("out of memory"));
    else
        fault = fault_of(FAULT_BAD_GATEWAY, S("the upstream's embeddings are not understood, or "
                                              "not one for each text"));
    fault.err = err;
    fault.phase = FAULT_PHASE_BODY;
    ex->has_content = true; /* its tokens are spent: not asked again */
    ex_on_attempt_failed(ex, &fault);
}
