#ifndef R2A_PROTO_OPENAI_CHAT_H
#define R2A_PROTO_OPENAI_CHAT_H

#include "r2a/proto/proto.h"

/* The four codecs of Chat Completions, a file each; openai_chat.c puts them into a row. */

/* openai_chat_request.c */
enum r2a_err openai_chat_request_decode(struct slice body, struct ir_sink *tape,
                                        struct brief *brief, struct fault *fault);

/* openai_chat_ask.c */
enum r2a_err openai_chat_request_encode(const struct ir_tape *tape, const struct target *target,
                                        struct brief *brief, struct rope *out, struct loss *loss,
                                        struct fault *fault);

/* openai_chat_answer.c */
/* Bytes of its state; private, and checked where it is defined. */
#define OPENAI_CHAT_ENCODER_SIZE 256u
void openai_chat_encoder_init(void *encoder, const struct brief *brief);
enum r2a_err openai_chat_encode(void *encoder, const struct ir_event *event, struct rope *out);
void openai_chat_encoder_drop(void *encoder);
/* `{"error":{…}}`, for bodies and for streams. Returns the status. */
uint16_t openai_chat_error_body(const struct fault *fault, struct rope *out);

/* openai_chat_stream.c */
#define OPENAI_CHAT_DECODER_SIZE 216u
void openai_chat_decoder_init(void *decoder, const struct target *target,
                              const struct brief *brief);
enum r2a_err openai_chat_decode(void *decoder, const struct frame *frame, struct ir_sink *sink);
enum r2a_err openai_chat_finish(void *decoder, struct ir_sink *sink);
void openai_chat_decoder_drop(void *decoder);

#endif
