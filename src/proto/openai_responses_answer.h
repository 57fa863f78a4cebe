#ifndef R2A_PROTO_OPENAI_RESPONSES_ANSWER_H
#define R2A_PROTO_OPENAI_RESPONSES_ANSWER_H

#include "common.h"
#include "openai_responses.h"

/* The encoder of answers, for the two files that make it up. */

enum stage {
    ITEM_WAITING, /* known, not yet told */
    ITEM_OPEN,    /* added, its body is growing */
    ITEM_CLOSING, /* its part has ended; what follows tells whether it was cut off */
    ITEM_DONE,
    ITEM_CUT, /* done, incomplete */
};

/* What few items have. */
struct item_extra {
    struct rope annotations, logprobs; /* elements, commas between */
    struct rope seal;                  /* as the client gets it */
    struct text secret, secret_id;     /* until it is sealed, in the arena */
    uint8_t family;                    /* enum ir_seal */
    uint32_t annotations_count;
};

/* An output item: one part of the answer. Its text is kept, escaped, because the protocol says it
 * again when the part, the item and the answer are done. */
struct item {
    struct item *next;      /* in the order of output_index */
    struct item *next_open; /* of those that are not done */
    uint32_t part;
    uint32_t index; /* output_index */
    uint32_t chars; /* code points of the body */
    uint8_t kind;   /* enum ir_part */
    uint8_t stage;
    bool is_custom, has_text;
    uint8_t builtin;    /* enum builtin_id: the call is of a kind of its own */
    struct slice args;  /* of such a call, once they are whole: plain, in the arena */
    struct slice id;    /* in the arena */
    struct slice where; /* `,"item_id":"…","output_index":n` */
    struct text call_id, name, space;
    struct rope body; /* form ESCAPED */
    struct item_extra *extra;
};

struct encoder {
    const struct brief *brief;
    struct item *first, *last; /* output so far */
    struct item *open;
    struct item *closing; /* waits for the next event */
    struct item *waiting; /* a call that waits for what belongs before or beside its name */
    uint32_t items_count, ids_made, sequence;
    uint8_t stop; /* enum ir_stop */
    bool is_document, has_begun, has_ended, has_refusal, has_stopped;
    uint64_t kept_bytes; /* of all bodies */
    uint64_t text_bytes; /* for an estimate */
    struct ir_usage usage;
    struct slice model, tier; /* of BEGIN, in the arena */
};

enum response_status {
    RESPONSE_IN_PROGRESS,
    RESPONSE_COMPLETED,
    RESPONSE_INCOMPLETE,
    RESPONSE_FAILED
};

/* openai_responses_object.c */
/* The bytes of a rope, again. */
void openai_responses_replay(const struct rope *from, struct rope *out);
/* `{"type":"output_text",…}` of a message, or its refusal. */
void openai_responses_write_part(const struct item *item, struct rope *out);
/* An item as it stands; `is_added`: as it begins, without a body. */
void openai_responses_write_item(const struct item *item, bool is_added, struct rope *out);
/* The Response object. `fault` when it failed. */
void openai_responses_write_response(struct encoder *e, enum response_status status,
                                     const struct fault *fault, struct rope *out);

#endif
