#ifndef R2A_PROTO_OPENAI_RESPONSES_H
#define R2A_PROTO_OPENAI_RESPONSES_H

#include "r2a/proto/proto.h"

/* The four codecs of Responses, a file or two each; openai_responses.c puts them into a row. */

/* Members of the request that an answer repeats: the order of brief->repeats. */
enum echo {
    ECHO_INSTRUCTIONS,
    ECHO_MAX_OUTPUT_TOKENS,
    ECHO_MAX_TOOL_CALLS,
    ECHO_PARALLEL,
    ECHO_CACHE_KEY,
    ECHO_REASONING,
    ECHO_SAFETY_IDENTIFIER,
    ECHO_TEMPERATURE,
    ECHO_TEXT,
    ECHO_TOOL_CHOICE,
    ECHO_TOOLS,
    ECHO_TOP_LOGPROBS,
    ECHO_TOP_P,
    ECHO_TRUNCATION,
    ECHO_META,
    ECHO_TIER,
    ECHOES,
};

/* openai_responses_request.c */
enum r2a_err openai_responses_request_decode(struct slice body, struct ir_sink *tape,
                                             struct brief *brief, struct fault *fault);

/* openai_responses_ask.c */
enum r2a_err openai_responses_request_encode(const struct ir_tape *tape,
                                             const struct target *target, struct brief *brief,
                                             struct rope *out, struct loss *loss,
                                             struct fault *fault);

/* openai_responses_answer.c */
/* Bytes of its state; private, and checked where it is defined. */
#define OPENAI_RESPONSES_ENCODER_SIZE 320u
void openai_responses_encoder_init(void *encoder, const struct brief *brief);
enum r2a_err openai_responses_encode(void *encoder, const struct ir_event *event, struct rope *out);
void openai_responses_encoder_drop(void *encoder);

/* openai_responses_stream.c */
#define OPENAI_RESPONSES_DECODER_SIZE 128u
void openai_responses_decoder_init(void *decoder, const struct target *target,
                                   const struct brief *brief);
enum r2a_err openai_responses_decode(void *decoder, const struct frame *frame,
                                     struct ir_sink *sink);
enum r2a_err openai_responses_finish(void *decoder, struct ir_sink *sink);

#endif
