#ifndef R2A_PROTO_OPENAI_RESPONSES_STREAM_H
#define R2A_PROTO_OPENAI_RESPONSES_STREAM_H

#include "common.h"
#include "member.h"
#include "mould.h"
#include "openai_responses.h"
#include "piece.h"

/* The decoder of an upstream's answer, for the files that make it up. */

enum item_kind { ITEM_MESSAGE, ITEM_REASONING, ITEM_CALL, ITEM_IMAGE, ITEM_OPAQUE };
enum reason_source { REASON_UNKNOWN, REASON_SUMMARY, REASON_RAW };

/* An output item of the upstream, by its number and by its id. A message is a part for each of its
 * contents; everything else is one. */
struct item {
    struct item *next;
    int64_t index;    /* output_index, -1: not said */
    uint64_t id_hash; /* 0: none */
    struct text id;   /* of a message, in the arena */
    int64_t at;       /* content_index or summary_index of the (last) part, -1: none yet */
    uint64_t units;   /* said of it, in UTF-16 units */
    uint32_t part;    /* of the open part */
    uint32_t cites;   /* citations told of it */
    uint8_t kind;     /* enum item_kind */
    uint8_t part_kind;
    uint8_t source; /* enum reason_source */
    bool is_open, is_done, is_custom, has_text;
    struct piece piece;
};

/* Where a delta belongs that says nothing but its text (mould.h). */
struct cast {
    struct item *item;
    int64_t at;
    uint8_t part_kind;
};

struct decoder {
    const struct target *target;
    const struct brief *brief;
    struct item *items;  /* newest first, in the arena */
    struct item *last;   /* the one that had an event last */
    struct mould *mould; /* in the arena, or NULL */
    struct cast cast;    /* what comes out of it */
    uint32_t items_count, parts_count, ids_made;
    bool has_begun, has_ended, has_calls, has_refusal;
    bool is_full; /* no room for one more item */
};

#define OR_TRY(call)                   \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)

/* openai_responses_parts.c */
/* BEGIN, once; `response` is the object that tells about the answer, or empty. */
enum r2a_err openai_responses_begin(struct decoder *d, struct ir_sink *sink, struct slice response);
/* The item of an event, by number, else by id, else the open one of its kind; a new one where there
 * is none and `may_be_new`. NULL: none, or (d->is_full) too many. */
struct item *openai_responses_item(struct decoder *d, const struct member *index, struct text id,
                                   enum item_kind kind, bool may_be_new);
/* A piece of a part, or what is missing of it when it is whole. */
enum r2a_err openai_responses_put_run(struct decoder *d, struct ir_sink *sink, struct item *item,
                                      uint8_t part_kind, int64_t at, struct text text);
enum r2a_err openai_responses_put_whole(struct decoder *d, struct ir_sink *sink, struct item *item,
                                        uint8_t part_kind, int64_t at, struct text text);
enum r2a_err openai_responses_close_part(struct decoder *d, struct ir_sink *sink,
                                         struct item *item);
/* A citation of the item's last text; citations that its part repeats, those not yet told. */
enum r2a_err openai_responses_put_cite(struct ir_sink *sink, struct item *item, struct slice raw);
/* A content part as it is when whole. */
enum r2a_err openai_responses_put_part(struct decoder *d, struct ir_sink *sink, struct item *item,
                                       int64_t at, struct slice raw);
/* An item as it is when added, and when done. */
enum r2a_err openai_responses_add_item(struct decoder *d, struct ir_sink *sink,
                                       const struct member *index, struct slice raw);
enum r2a_err openai_responses_end_item(struct decoder *d, struct ir_sink *sink,
                                       const struct member *index, struct slice raw);
/* Items that were never done. */
enum r2a_err openai_responses_close_all(struct decoder *d, struct ir_sink *sink);

#endif
