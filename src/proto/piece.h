#ifndef R2A_PROTO_PIECE_H
#define R2A_PROTO_PIECE_H

#include "common.h"

/* Text of one part on its way from an upstream, in pieces as they come: none that goes on ends
 * inside a surrogate pair (vendors cut tokens inside emoji). Zero-initialise, one a part. */
struct piece {
    uint8_t hold_len;
    char hold[TEXT_HOLD_BYTES_MAX];
};

/* Puts `text` (TEXT_ESCAPED) but for half a pair at its end, which waits for the next piece. */
enum r2a_err piece_put(struct piece *piece, struct ir_sink *sink, uint8_t choice, uint32_t part,
                       struct text text);
/* What is still held when the part closes is half a pair for good. */
enum r2a_err piece_end(struct piece *piece, struct ir_sink *sink, uint8_t choice, uint32_t part);

/* UTF-16 units of an escaped text, and what is behind the first so many of them: the one measure
 * in which pieces and the whole they make up agree, wherever a pair was cut. */
uint64_t text_count_units(struct text text);
struct text text_skip_units(struct text text, uint64_t units);

#endif
