#ifndef R2A_PROTO_ANTHROPIC_BLOCK_H
#define R2A_PROTO_ANTHROPIC_BLOCK_H

#include "anthropic.h"

/* A client's answer in two halves: anthropic_encode.c decides whose turn it is to speak,
 * anthropic_block.c writes the blocks, as events of a stream or into one document. */

enum anthropic_block {
    BLOCK_NONE,
    BLOCK_TEXT,
    BLOCK_THINKING,
    BLOCK_REDACTED,
    BLOCK_CALL,
    BLOCK_OPAQUE
};

/* A part of the answer, from its PART to its end. */
struct anthropic_part {
    struct anthropic_part *next;
    uint32_t number;
    uint8_t kind;  /* enum ir_part */
    uint8_t flags; /* IR_CUSTOM */
    bool has_ended, has_started /* its block was opened once */, has_text;
    struct text id, name; /* arena */
    struct text mime;
    uint8_t seal_family;
    struct text seal, item_id; /* arena */
    uint64_t media_chars, media_pads;
    struct rope kept; /* what it said while it waited, escaped */
    /* balance of the arguments so far: a complete object may be stopped early */
    uint32_t depth;
    bool in_string, in_escape, is_complete;
};

struct anthropic_encoder {
    const struct brief *brief;
    bool is_document, has_begun, has_ended, has_calls, has_refusal, has_seal;
    uint8_t block; /* enum anthropic_block that is open on the wire */
    uint8_t stop;
    uint32_t index;               /* of the next block */
    struct anthropic_part *open;  /* the part that owns the block, or the one that owned it last */
    struct anthropic_part *parts; /* all that have not ended and been written, in order */
    struct anthropic_part *parts_last;
    uint32_t parts_count;
    uint64_t kept_bytes;
    struct text model, stop_sequence, stop_words;
    struct ir_usage usage;
    /* stream: how each piece of the open block begins */
    uint8_t head_len;
    char head[160];
    /* document */
    struct rope content, args, cites, signature;
};

/* --- the message --- */

/* message_start, once; nothing in a document. */
void anthropic_begin(struct anthropic_encoder *e, struct rope *out);
/* `{"id":…,"content":[` */
void anthropic_write_message_head(const struct anthropic_encoder *e, struct rope *out);
/* stop_reason, stop_sequence, stop_details: members without braces. */
void anthropic_write_stop(const struct anthropic_encoder *e, struct rope *out);
void anthropic_write_usage(struct rope *out, const struct ir_usage *usage);

/* --- blocks: strictly one after another --- */

/* No block may be open. `part` owns it from now on. */
void anthropic_start_block(struct anthropic_encoder *e, struct anthropic_part *part,
                           enum anthropic_block block, struct rope *out);
/* A piece of the open block: text, thinking, or arguments (JSON text in whatever form). */
void anthropic_write_piece(struct anthropic_encoder *e, struct text piece, struct rope *out);
/* The secret of `part` on the open thinking block. */
void anthropic_write_signature(struct anthropic_encoder *e, const struct anthropic_part *part,
                               struct rope *out);
/* The head of any other delta of the open block, up to its type's value. */
void anthropic_begin_delta(const struct anthropic_encoder *e, struct rope *out, struct slice delta);
void anthropic_stop_block(struct anthropic_encoder *e, struct rope *out);

#endif
