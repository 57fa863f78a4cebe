#ifndef R2A_PROTO_ANTHROPIC_H
#define R2A_PROTO_ANTHROPIC_H

#include "common.h"
#include "r2a/proto/proto.h"

/* The Messages dialect in parts; anthropic.c puts them into one row. */

/* anthropic_read.c: a client's request onto the tape. */
enum r2a_err anthropic_request_decode(struct slice body, struct ir_sink *tape, struct brief *brief,
                                      struct fault *fault);

/* anthropic_write.c: a tape as a request for the upstream. */
enum r2a_err anthropic_request_encode(const struct ir_tape *tape, const struct target *target,
                                      struct brief *brief, struct rope *out, struct loss *loss,
                                      struct fault *fault);

/* anthropic_schema.c */
struct json_scan;
/* A tool's schema with a root that Anthropic accepts: type object, no oneOf, anyOf, allOf. `*left`:
 * bytes that may still be spent on schemas that must be rewritten; false when they are used up. */
bool anthropic_write_tool_schema(struct rope *out, struct text schema, struct arena *arena,
                                 uint64_t seed, size_t *left);
/* A schema for output_config.format, rewritten as the vendor's own SDK does. False: it is not one,
 * is too deep or too large. */
bool anthropic_write_format_schema(struct rope *out, struct text schema);

/* anthropic_decode.c: the upstream's answer into events. */
/* Room for the private states; checked where they are defined. */
#define ANTHROPIC_DECODER_SIZE 320u
void anthropic_decoder_init(void *decoder, const struct target *target, const struct brief *brief);
enum r2a_err anthropic_decode(void *decoder, const struct frame *frame, struct ir_sink *sink);
enum r2a_err anthropic_finish(void *decoder, struct ir_sink *sink);

/* anthropic_encode.c: events for the client. */
#define ANTHROPIC_ENCODER_SIZE 544u
void anthropic_encoder_init(void *encoder, const struct brief *brief);
enum r2a_err anthropic_encode(void *encoder, const struct ir_event *event, struct rope *out);
void anthropic_encoder_drop(void *encoder);
/* {"type":"error",…} */
void anthropic_write_error(struct rope *out, const struct fault *fault);

#endif
