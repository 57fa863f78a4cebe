#ifndef R2A_PROTO_GEMINI_ANSWER_H
#define R2A_PROTO_GEMINI_ANSWER_H

#include "gemini.h"

/* One candidate of an upstream's answer under way. gemini_decode.c reads chunks, gemini_parts.c
 * what they hold, gemini_cites.c where it came from. */

/* A stretch of text whose characters are equally long: byte offsets become code points by it. */
struct gemini_run {
    uint32_t byte, character; /* where it begins */
    uint8_t width;            /* bytes a character */
};
#define GEMINI_RUNS_MAX 4096u /* beyond it offsets are unknown */
struct gemini_runs {
    struct gemini_runs *before;
    uint32_t count;
    struct gemini_run at[20]; /* most texts are one run */
};

struct gemini_choice {
    const struct brief *brief;
    struct arena *arena;
    uint8_t index;
    bool is_open; /* a part of text or reasoning */
    uint8_t kind; /* of it, enum ir_part */
    bool has_calls, has_stop, has_product /* text, a call, an image */;
    bool has_text;          /* the open text part said something */
    bool is_broken;         /* a call had no name */
    uint8_t stop;           /* enum ir_stop */
    uint32_t part;          /* number of the open part, or of the next */
    uint32_t text_part;     /* the last text part, 1-based; 0: none */
    struct text stop_words; /* arena */
    struct slice signature; /* of the open reasoning; arena */
    struct slice citations, grounding;
    uint8_t hold_len;
    char hold[TEXT_HOLD_BYTES_MAX];
    /* the last text part, measured */
    struct gemini_runs *runs; /* newest first */
    uint32_t runs_count;
    uint32_t bytes, characters;
};

/* gemini_parts.c */
enum r2a_err gemini_read_answer_part(struct gemini_choice *choice, struct slice raw,
                                     struct ir_sink *sink);
/* A piece of text or reasoning (kind: enum ir_part), never empty. */
enum r2a_err gemini_put_piece(struct gemini_choice *choice, struct ir_sink *sink, uint8_t kind,
                              struct text piece);
/* Sources, the end of the open part, STOP. */
enum r2a_err gemini_end_choice(struct gemini_choice *choice, struct ir_sink *sink);

/* gemini_cites.c */
/* Measures a piece of the text part under way. */
void gemini_measure(struct gemini_choice *choice, struct text piece);
enum r2a_err gemini_put_cites(struct gemini_choice *choice, struct ir_sink *sink);
/* A logprobsResult in Chat Completions' form. */
enum r2a_err gemini_put_logprobs(struct gemini_choice *choice, struct slice raw,
                                 struct ir_sink *sink);

static inline bool member_is_there(const struct member *member)
{
    return member->kind != JSON_ERROR;
}

#endif
