#ifndef R2A_PROTO_GEMINI_H
#define R2A_PROTO_GEMINI_H

#include "common.h"
#include "member.h"
#include "r2a/proto/proto.h"

/* The generateContent dialect in parts; gemini.c puts them into one row. */

/* gemini_read.c: a client's request onto the tape. */
enum r2a_err gemini_request_decode(struct slice body, struct ir_sink *tape, struct brief *brief,
                                   struct fault *fault);

/* gemini_write.c: a tape as a request for the upstream. */
enum r2a_err gemini_request_encode(const struct ir_tape *tape, const struct target *target,
                                   struct brief *brief, struct rope *out, struct loss *loss,
                                   struct fault *fault);

/* gemini_decode.c: the upstream's answer into events. Room for the private states; checked where
 * they are defined. */
#define GEMINI_DECODER_SIZE 512u
void gemini_decoder_init(void *decoder, const struct target *target, const struct brief *brief);
enum r2a_err gemini_decode(void *decoder, const struct frame *frame, struct ir_sink *sink);
enum r2a_err gemini_finish(void *decoder, struct ir_sink *sink);

/* gemini_encode.c: events for the client. */
#define GEMINI_ENCODER_SIZE 512u
void gemini_encoder_init(void *encoder, const struct brief *brief);
enum r2a_err gemini_encode(void *encoder, const struct ir_event *event, struct rope *out);
void gemini_encoder_drop(void *encoder);
/* {"error":{"code","message","status"}} */
void gemini_write_error(struct rope *out, const struct fault *fault);

/* The inside of a JSON string, with U+2028 and U+2029 escaped: an older SDK splits lines there. */
void gemini_write_text(struct rope *out, struct text text);
/* The same for a JSON value, which may hold such characters only inside its strings. */
void gemini_write_json(struct rope *out, struct slice json);

/* Proto JSON is read in two spellings: tables of names hold camelCase and snake_case in turn, and
 * gemini_fold makes one member of each pair. */
#define GEMINI_NAME(camel, snake) S_INIT(camel), S_INIT(snake)
static inline void gemini_fold(struct member *members, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        members[i] = members[i * 2].kind != JSON_ERROR ? members[i * 2] : members[i * 2 + 1];
}

/* How tools that run at Google are called on the tape: their member of a tools entry. */
#define GEMINI_SEARCH "googleSearch"

#endif
