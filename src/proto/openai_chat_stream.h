#ifndef R2A_PROTO_OPENAI_CHAT_STREAM_H
#define R2A_PROTO_OPENAI_CHAT_STREAM_H

#include "common.h"
#include "member.h"
#include "mould.h"
#include "openai_chat.h"
#include "piece.h"

/* The decoder of an upstream's answer, for the files that make it up. */

/* A tool call of the upstream. */
struct slot {
    int64_t index; /* as the upstream numbers it; -1 a legacy one, below where it does not */
    uint64_t id_hash;
    uint32_t part;
    uint8_t choice;
    bool has_id, is_open, is_closed;
    struct piece piece;
    struct unwrap *unwrap;   /* a free-form tool that went up as a function */
    struct pending *pending; /* while the name is missing */
};

/* The open element of reasoning_details (OpenRouter and its like): what it says beside its text
 * must come back unchanged, so it is the secret of the reasoning it goes with. */
enum detail_member {
    DETAIL_TYPE,
    DETAIL_SIGNATURE,
    DETAIL_DATA,
    DETAIL_ID,
    DETAIL_FORMAT,
    DETAIL_INDEX,
    DETAIL_KEPT,
    DETAIL_TEXT = DETAIL_KEPT,
    DETAIL_SUMMARY,
    DETAIL_MEMBERS,
};
struct detail {
    struct detail *next; /* of those that came between the fragments of calls */
    bool is_open;
    struct slice kept[DETAIL_KEPT]; /* raw values, in the arena; empty: absent */
};

struct choice {
    bool is_seen, has_finish, has_calls, is_open;
    uint8_t kind;        /* of the open part */
    uint8_t stop;        /* enum ir_stop */
    uint8_t texts_count; /* text parts so far, 2: more than one */
    struct piece piece;
    uint32_t part; /* of the open part */
    uint32_t parts_count;
    uint32_t text_part; /* last text part */
    struct slot *last;
    struct detail *detail; /* in the arena, once there was one */
    struct detail *late, *late_end;
    struct text sequence; /* the stop sequence that matched, in the arena */
};
#define CHOICE_NO_PART UINT32_MAX

/* What the string of a chunk is that says nothing else (mould.h). */
struct cast {
    struct slot *slot; /* of a CALL */
    uint8_t choice;
    uint8_t kind; /* enum ir_part */
};

/* Such a string, while its chunk is read in full. */
struct lesson {
    struct text value;
    struct slice padding; /* with its quotes, or empty (OpenAI's "obfuscation") */
    struct cast cast;
    uint32_t values_count;
    bool has_others;
};

struct decoder {
    const struct target *target;
    const struct brief *brief;
    bool has_begun, has_ended, is_document;
    uint32_t slots_count, slots_room, ids_made;
    struct slot **slots; /* in the arena */
    struct mould *mould; /* in the arena, or NULL */
    struct cast cast;    /* what comes out of it */
    struct lesson *lesson;
    struct choice first;
    struct choice *others;
};

#define CHAT_TRY(call)                 \
    do {                               \
        enum r2a_err try_err = (call); \
        if (try_err != R2A_OK)         \
            return try_err;            \
    } while (0)

/* openai_chat_run.c: text, and what goes wrong. */
enum r2a_err openai_chat_put_error(struct decoder *d, struct ir_sink *sink, enum r2a_err err,
                                   struct slice message);
/* What the upstream itself reports, anywhere in its answer. */
enum r2a_err openai_chat_put_reported(struct decoder *d, struct ir_sink *sink, struct slice body);
enum r2a_err openai_chat_put_piece(struct ir_sink *sink, uint8_t choice, uint32_t part,
                                   struct text text);
enum r2a_err openai_chat_put_end_of(struct ir_sink *sink, uint8_t what, uint8_t choice,
                                    uint32_t part);
/* A piece of text, reasoning or refusal: opens the part when it is not the open one. */
enum r2a_err openai_chat_put_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                 struct choice *choice, uint8_t kind, struct text text);
enum r2a_err openai_chat_open_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                  struct choice *choice, uint8_t kind);
enum r2a_err openai_chat_close_run(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                   struct choice *choice);

/* openai_chat_calls.c */
/* One fragment of a call, whatever the form it came in. */
enum r2a_err openai_chat_put_call(struct decoder *d, struct ir_sink *sink, struct choice *choice,
                                  struct slot *slot, struct text id, struct text name,
                                  struct text args, uint8_t flags);
/* The array `tool_calls`, the object `function_call`. */
enum r2a_err openai_chat_put_tool_calls(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                        struct choice *choice, struct slice raw);
enum r2a_err openai_chat_put_function_call(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                           struct choice *choice, struct slice raw);
enum r2a_err openai_chat_close_calls(struct decoder *d, struct ir_sink *sink, uint8_t index);
/* A call that never got its name has arguments. */
bool openai_chat_has_nameless_call(const struct decoder *d);
void openai_chat_drop_calls(struct decoder *d);

/* openai_chat_content.c: content that is no plain string. */
enum r2a_err openai_chat_put_parts(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                   struct choice *choice, struct slice raw, uint8_t kind);
/* `told`: the text of all of them, where another member says it too; or empty. */
enum r2a_err openai_chat_put_details(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                     struct choice *choice, struct slice raw, struct text told);
/* Elements that waited for the end of calls, which are closed now. */
enum r2a_err openai_chat_put_late(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                  struct choice *choice);
/* The open element is complete: its secret goes on the open part. */
enum r2a_err openai_chat_end_detail(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                    struct choice *choice);
enum r2a_err openai_chat_put_images(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                    struct choice *choice, struct slice raw);
enum r2a_err openai_chat_put_annotations(struct ir_sink *sink, uint8_t index,
                                         const struct choice *choice, struct slice raw);
enum r2a_err openai_chat_put_logprobs(struct ir_sink *sink, uint8_t index,
                                      const struct choice *choice, struct slice raw);

#endif
