#ifndef R2A_PROTO_OPENAI_RESPONSES_ANSWER_H
#define R2A_PROTO_OPENAI_RESPONSES_ANSWER_H

#include "common.h"
#include "openai_responses.h"

/* The encoder of answers, for the three files that make it up. */

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

/* openai_responses_output.c: events, and the items they tell */

/* `event: …` with what every event has, up to its own members; and its end. */
void openai_responses_begin_event(struct encoder *e, struct slice type, struct rope *out);
void openai_responses_end_event(struct rope *out);
/* An event that is of an item: with its id and index, then `members`. */
void openai_responses_begin_item_event(struct encoder *e, const struct item *item,
                                       struct slice type, struct slice members, struct rope *out);
/* An event that holds the whole Response object. */
void openai_responses_write_lifecycle(struct encoder *e, struct slice type,
                                      enum response_status status, const struct fault *fault,
                                      struct rope *out);
/* What a stream begins with; nothing when it has begun. */
void openai_responses_begin_answer(struct encoder *e, struct rope *out);
/* The item of an open part; NULL: none. */
struct item *openai_responses_find_item(const struct encoder *e, uint32_t part);
void openai_responses_drop_item(struct item *item); /* what it keeps */
struct item_extra *openai_responses_extra_of(const struct encoder *e, struct item *item);
struct item *openai_responses_new_item(struct encoder *e, uint8_t kind, uint32_t part);
/* From ITEM_WAITING to ITEM_OPEN: its index is given, it is told. */
enum r2a_err openai_responses_open_item(struct encoder *e, struct item *item, struct rope *out);
enum r2a_err openai_responses_add_text(struct encoder *e, struct item *item, struct text text,
                                       struct rope *out);
enum r2a_err openai_responses_finish_item(struct encoder *e, struct item *item, bool is_cut,
                                          struct rope *out);
/* Finishes the items that waited for the next event, which belongs to `except`. */
enum r2a_err openai_responses_settle(struct encoder *e, const struct item *except, bool is_cut,
                                     struct rope *out);

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
