#ifndef R2A_PROTO_OPENAI_CHAT_ANSWER_H
#define R2A_PROTO_OPENAI_CHAT_ANSWER_H

#include "openai_chat.h"

/* The encoder of answers, for the two files that make it up. */

/* A document's call, or an image that has not arrived whole. */
struct gathered {
    struct gathered *next;
    struct text id, name; /* of the arena; an image: name = media type */
    struct slice signature;
    struct rope body;
    bool is_custom, is_legacy;
};

struct open_part {
    uint32_t part;
    uint32_t call; /* number of the call within its choice */
    uint8_t choice;
    uint8_t kind; /* enum ir_part */
    bool is_custom, is_legacy;
    bool has_text, needs_break;
    uint32_t base; /* characters of the choice before this part */
    struct gathered *gathered;
};

/* What a document needs beside the counters. */
struct document {
    struct rope content, reasoning, refusal, logprobs, refusal_logprobs;
    struct gathered *calls, **calls_end;
    bool has_content;
};

struct choice {
    bool has_begun, has_stopped;
    uint8_t stop;
    uint32_t calls_count;
    uint32_t images_count;
    uint32_t chars;      /* code points of content */
    uint32_t chars_base; /* of these, before the last text part */
    uint64_t message;    /* hash of the id of the Responses message that spoke last, or 0 */
    struct rope *annotations;
    struct rope *images; /* document */
    struct document *document;
};

struct encoder {
    const struct brief *brief;
    struct slice head; /* `data: {… "choices":[{"index":` */
    struct slice tail; /* `,"finish_reason":null}]…}` and the blank line */
    struct open_part *parts;
    uint32_t parts_count, parts_room;
    uint32_t last; /* index of the part that had an event last */
    bool is_document, has_ended;
    uint64_t text_bytes; /* for an estimate */
    struct ir_usage usage;
    struct slice model, tier, fingerprint; /* of BEGIN, in the arena */
    struct choice first;
    struct choice *others; /* choices 1 … CHOICES_MAX - 1, in the arena */
};

/* openai_chat_document.c */
struct slice openai_chat_model_of(const struct encoder *e);
void openai_chat_write_id(const struct encoder *e, struct rope *out); /* `"id":"chatcmpl-…` */
struct slice openai_chat_finish_reason(const struct encoder *e, const struct choice *choice);
void openai_chat_write_usage(const struct encoder *e, struct rope *out);
/* Everything that was gathered, as one object. */
void openai_chat_write_document(struct encoder *e, struct rope *out);

#endif
