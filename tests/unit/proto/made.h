#ifndef R2A_TESTS_PROTO_MADE_H
#define R2A_TESTS_PROTO_MADE_H

#include "r2a/ir/event.h"
#include "support/random.h"

/* Conversations nobody wrote: requests and answers in the vocabulary of events, from a seed. They
 * obey the grammar and are what a well-behaved client or upstream could say; which of it a dialect
 * loses is for the test to declare. Everything put is static or lives for the call. */

#define MADE_IMAGE "iVBORw0KGgo=" /* what every image is: eight bytes */

/* An answer: reasoning with and without secrets, text with citations, refusals, images, calls side
 * by side in pieces of every form, all stops, usage in one piece or two; now and then an error.
 * `has_customs`: some calls are of free-form tools. */
void made_answer(struct random *random, struct ir_sink *sink, bool has_customs);

/* What a request may hold beside what every dialect can say: system text, output limit, sampling,
 * function tools with a schema, choices of them, turns of text, images and PDFs as base64, calls
 * side by side, results of one text each. */
enum made_feature {
    MADE_TOP_K,
    MADE_STOP,
    MADE_SEED,
    MADE_PENALTIES,
    MADE_LOGIT_BIAS,
    MADE_LOGPROBS,
    MADE_FORMAT_JSON,
    MADE_FORMAT_SCHEMA,
    MADE_FORMAT_NAME, /* and strict, and a description */
    MADE_CHOICE_ALLOWED,
    MADE_PARALLEL,
    MADE_EFFORT,
    MADE_BUDGET,
    MADE_VERBOSITY,
    MADE_USER,
    MADE_META,
    MADE_TIER,
    MADE_CACHE_KEY,
    MADE_STRICT,
    MADE_CUSTOM, /* free-form tools, their calls and results */
    MADE_DEVELOPER,
    MADE_MARKS,      /* cache marks on texts and results */
    MADE_TOOL_MARKS, /* … on tools */
    MADE_IMAGE_URL,
    MADE_DETAIL,
    MADE_FILE_TITLE,
    MADE_FILE_URL,
    MADE_FILE_TEXT,
    MADE_AUDIO,
    MADE_VIDEO,
    MADE_REFUSAL,
    MADE_REASON, /* with the vendor's own secret */
    MADE_RESULT_ERROR,
    MADE_RESULT_IMAGE,
    MADE_RESULT_PARTS,
    MADE_FEATURES,
};

/* A request of a client of `dialect`, as its decoder would put it: turns alternate, results follow
 * their calls in order. `features`: bit per made_feature; `family`: enum ir_seal of that vendor. */
void made_request(struct random *random, struct ir_sink *sink, struct slice dialect,
                  uint64_t features, uint8_t family);

#endif
