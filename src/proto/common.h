#ifndef R2A_PROTO_COMMON_H
#define R2A_PROTO_COMMON_H

#include "r2a/core/arena.h"
#include "r2a/core/rope.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/event.h"
#include "r2a/ir/fault.h"
#include "r2a/ir/loss.h"
#include "r2a/ir/tape.h"
#include "r2a/proto/proto.h"

/* What all dialects need and none should write twice. Conventions of a request's tape, on which
 * everything here relies:
 *
 *  - BEGIN: open.id = the client's dialect ("openai" "openai-responses" "anthropic" "gemini", its
 *    proto.name), open.name = the model asked for. It decides by which member names losses are
 *    named and which OPAQUE parts and native secrets are at home.
 *  - A string content, or the string output of a result, is one TEXT part. The body of an IMAGE,
 *    FILE, AUDIO or VIDEO is what FIELD_SOURCE says: base64 characters, URL, file id or text.
 *  - FIELD_SEAL of a request is what the client sent, sealed ("gw1.…") or native; mend unseals it.
 *  - On the way down, decoders map wire names back (call_put_open) and unwrap custom calls
 *    (struct unwrap): encoders only ever see the client's names. */

/* ---- sinks: one line an event ---- */

static inline enum r2a_err put_plain(struct ir_sink *sink, uint8_t kind, uint8_t what)
{
    return ir_put(sink, &(struct ir_event){.kind = kind, .what = what});
}

enum r2a_err put_param(struct ir_sink *sink, uint8_t param, struct text value, int64_t number);
enum r2a_err put_open(struct ir_sink *sink, uint8_t kind, uint8_t what, uint8_t flags,
                      uint32_t part, struct text id, struct text name);
enum r2a_err put_field(struct ir_sink *sink, uint8_t field, uint32_t part, struct text value,
                       int64_t number);
enum r2a_err put_text(struct ir_sink *sink, uint8_t flags, uint32_t part, struct text text);
enum r2a_err put_part_end(struct ir_sink *sink, uint8_t what, uint32_t part);
enum r2a_err put_ext(struct ir_sink *sink, struct text path);

/* Fills `fault` (INVALID) for a member of the request: `param` is its path. Slices must be static
 * or of the arena. Returns R2A_ERR_INVALID. */
enum r2a_err fault_param(struct fault *fault, struct slice param, struct slice message);

/* The same for the member that holds the conversation, as the client's dialect calls it. */
enum r2a_err fault_turns(struct fault *fault, struct text dialect, struct slice message);

/* ---- views: one thing of a tape, gathered ---- */

/* A PART or TOOL with its fields. Slices borrow from the tape. */
struct part_view {
    const struct ir_event *open;
    uint32_t end;          /* index of its PART_END or TOOL_END */
    uint32_t nested_first; /* index of the first nested PART, 0: none */
    uint32_t nested_count;
    uint32_t texts_first; /* index of the first own TEXT event, 0: none */
    uint32_t texts_count;
    struct text text; /* the own body; pieces are joined (decoded) in the arena when several */
    uint32_t has;     /* bit per ir_field */
    struct text fields[IR_FIELDS]; /* valid where `has` says so; the last one wins */
    int64_t numbers[IR_FIELDS];
};

/* `index` is a PART or a TOOL. False: out of memory (only when pieces had to be joined). */
bool part_read(const struct ir_tape *tape, uint32_t index, struct arena *arena,
               struct part_view *view);
/* The index of the matching PART_END, TOOL_END or TURN_END. */
uint32_t tape_end_of(const struct ir_tape *tape, uint32_t index);

static inline bool part_has(const struct part_view *view, uint8_t field)
{
    return (view->has >> field & 1u) != 0;
}

static inline struct text part_field(const struct part_view *view, uint8_t field)
{
    return part_has(view, field) ? view->fields[field] : (struct text){0};
}

static inline int64_t part_number(const struct part_view *view, uint8_t field, int64_t otherwise)
{
    return part_has(view, field) ? view->numbers[field] : otherwise;
}

/* ---- registers ---- */

struct param_name {
    struct text name, space;
};

/* All PARAMs of a tape. Lists are arrays of the arena; of a register that came twice the last one
 * counts. */
struct params {
    uint64_t has; /* bit per ir_param */
    struct {
        struct text value;
        int64_t number;
    } at[IR_PARAMS];
    struct text dialect; /* of the client */
    struct text *stops;
    struct param_name *choices; /* the forced tool, or the allowed ones */
    struct text *modalities;
    struct param_name *opaques; /* name: the member, space: its raw value */
    uint32_t stops_count, choices_count, modalities_count, opaques_count;
    uint32_t tools_count; /* TOOL events on the tape */
};
_Static_assert(IR_PARAMS <= 64, "a bit each");

bool params_read(const struct ir_tape *tape, struct arena *arena, struct params *params);

static inline bool params_has(const struct params *params, uint8_t param)
{
    return (params->has >> param & 1u) != 0;
}

static inline int64_t params_number(const struct params *params, uint8_t param, int64_t otherwise)
{
    return params_has(params, param) ? params->at[param].number : otherwise;
}

/* A state kept elsewhere (Gemini's cachedContent; Responses' own are refused where they are read),
 * n > 1, sound as output: what no other protocol can honour is a 400 that names the parameter.
 * `has_choices`: the target takes n. */
enum r2a_err params_refuse_foreign(const struct params *params, bool has_choices,
                                   struct fault *fault);

/* The member by which a dialect's client knows a register ("seed", "generationConfig.seed" is
 * "seed" too: the last name). Static. */
struct slice param_member(struct text dialect, uint8_t param);
/* Notes a register as lost, if it is present. */
void params_lose(const struct params *params, uint8_t param, struct loss *loss);
/* Notes every EXT of the tape; unless `keeps_own` (the target speaks the client's dialect) every
 * OPAQUE register and the names of speakers too. Names are plain. */
void tape_lose_ext(const struct ir_tape *tape, struct arena *arena, bool keeps_own,
                   struct loss *loss);

/* ---- reasoning: the ladder (conversion.md 2.9) ---- */

/* -1 for a word that is none. "off" and "none" are NONE. Letter case ignored. */
int effort_of(struct text word);
struct slice effort_name(int effort);
int effort_of_budget(int64_t budget);
/* `max`: what MAX stands for. */
int64_t effort_to_budget(int effort, int64_t max);
/* The nearest member of `set` (bit per ir_effort), ties downwards; -1 for the empty set. NONE is
 * only chosen for NONE. */
int effort_nearest(int effort, uint8_t set);

/* What the client wants of reasoning, from all registers of 1.3 together. */
struct think {
    uint8_t mode;   /* enum ir_think; effort or budget alone make it ADAPTIVE or MANUAL */
    int8_t effort;  /* enum ir_effort, -1: not said (nor implied by a budget) */
    int64_t budget; /* -1: not said */
    bool shows;     /* by the show defaults of 2.9 */
    bool is_asked;  /* anything at all was said */
};
void think_of(const struct params *params, struct think *think);

/* ---- service tier ---- */

enum tier_form { TIER_OPENAI, TIER_ANTHROPIC, TIER_GEMINI };
/* The target's word for the client's tier, or empty: omit. */
struct slice tier_word(const struct params *params, enum tier_form form);

/* ---- stop sequences ---- */

/* Copies the usable ones in order (empty ones removed; blank ones too when `drops_blank`), at most
 * `max`; returns how many. Notes "stop" as lost when some had to go because of `max`. */
uint32_t stops_pick(const struct params *params, bool drops_blank, struct text *picked,
                    uint32_t max, struct loss *loss);

/* ---- tool ids (2.6) ---- */

enum id_form {
    ID_OC_OPENAI, /* 40 bytes */
    ID_OC_COMPAT, /* 64 */
    ID_OR,        /* 64 */
    ID_AM,        /* [A-Za-z0-9_-], 64 */
    ID_GG,        /* free */
};
#define ID_FIT_BYTES_MAX 64u
/* A legal id unchanged, any other by a pure function of its decoded bytes. Plain; borrows from
 * `id` or the arena. False: out of memory. */
bool id_fit(struct text id, enum id_form form, struct arena *arena, struct slice *fitted);
/* `call_` + 24 base32 characters of SHA-256 over `seed`: ids for histories that have none. */
#define ID_DERIVED_BYTES 29u
void id_derive(struct slice seed, char id[ID_DERIVED_BYTES]);

/* Code points of a piece of text: what citations count in. */
uint32_t text_count_chars(struct text text);

/* Hash of the decoded text, for tables that a peer fills. */
uint64_t text_hash_seeded(struct text text, uint64_t seed);

/* ---- arguments (2.6) ---- */

/* Tool-call arguments of any form as a JSON object: TEXT_JSON or the content of a string. Empty:
 * {}; another JSON value: {"value":…}; not JSON: {"_raw":"…"}. Long ones are borrowed: the bytes
 * must outlive the rope. */
void args_write_object(struct rope *out, struct text args);
/* The same as the *inside* of a JSON string. An object (TEXT_JSON) loses its white space; what came
 * as a string stays as it is; empty becomes {}. */
void args_write_string(struct rope *out, struct text args);
/* Free text of a custom call as {"input":"…"}: as a value, or as the inside of a JSON string. */
void args_wrap_object(struct rope *out, struct text input);
void args_wrap_string(struct rope *out, struct text input);

/* Arguments of such a call back to its text: they come in pieces, text goes out in pieces. Zero-
 * initialise, one a call. What is not {"input":"…"} passes unchanged. */
struct unwrap {
    uint8_t state;
    uint8_t kept_len, hold_len, escape_len;
    bool has_input;
    char escape[6]; /* an escape so far */
    char hold[16];  /* put out, but not yet safe to pass on */
    char kept[48];  /* what was swallowed while it still looked like the wrapping */
};
/* `put` gets each piece of free text: ESCAPED, or PLAIN where nothing was wrapped; safe to pass on,
 * valid for the call. */
typedef enum r2a_err (*unwrap_fn)(void *context, struct text text);
enum r2a_err unwrap_feed(struct unwrap *unwrap, struct text piece, unwrap_fn put, void *context);
enum r2a_err unwrap_end(struct unwrap *unwrap, unwrap_fn put, void *context);

/* Opens a call in a response: PART with the client's name, IR_CUSTOM where it is to be unwrapped
 * (`*is_custom`), FIELD_NAMESPACE where it has one. `wire` is what the upstream called it. */
enum r2a_err call_put_open(struct ir_sink *sink, const struct brief *brief, uint8_t choice,
                           uint32_t part, uint8_t flags, struct text id, struct text wire,
                           bool *is_custom);

/* ---- results (2.6) ---- */

struct result_sum {
    uint32_t texts_count; /* TEXT, SEARCH, text FILE, OPAQUE: what result_write_text writes */
    uint32_t media_count; /* IMAGE, AUDIO, VIDEO and binary FILE parts */
    uint32_t images_count;
};
void result_sum(const struct ir_tape *tape, uint32_t part, struct arena *arena,
                struct result_sum *sum);
/* All text of a RESULT part, joined by \n, as the inside of a JSON string. `error_prefix`: put
 * "Error: " before it when IR_IS_ERROR is set and the text does not start with "error". Media are
 * left out. */
void result_write_text(const struct ir_tape *tape, uint32_t part, bool error_prefix,
                       struct arena *arena, struct rope *out);
/* The text of one text-like part (TEXT, REFUSAL, SEARCH, FILE of text, OPAQUE) as the inside of a
 * JSON string. */
void part_write_text(const struct ir_tape *tape, uint32_t part, struct arena *arena,
                     struct rope *out);

/* ---- media (2.4) ---- */

/* The value of an image_url, file_data or the like: a data URL or another URL. */
struct data_url {
    bool is_data;      /* false: `data` is the URL as it came */
    struct slice mime; /* lower case, jpg made jpeg; sniffed where absent; empty: unknown */
    struct text data;  /* base64 characters; borrows from the text, or of the arena */
};
/* False: malformed, or out of memory. */
bool data_url_read(struct text url, struct arena *arena, struct data_url *result);
/* Puts the fields and the body of an open part for such a value: SOURCE, MIME, TEXT. */
enum r2a_err media_put_url(struct ir_sink *sink, struct arena *arena, uint32_t part,
                           struct text url, struct slice mime_hint);

struct media {
    uint8_t kind;      /* enum ir_part: IMAGE, FILE, AUDIO, VIDEO */
    uint8_t source;    /* enum ir_source */
    struct slice mime; /* lower case, normal; by sniffing or by file name where absent or (images)
                          wrong; empty: unknown */
    struct text data;  /* base64 characters, URL, id or text */
    struct text title; /* file name or title, or empty */
    struct text detail;
    bool is_text; /* a FILE of a text type (text/…, application/json …) */
};
/* False: out of memory. */
bool media_read(const struct part_view *view, struct arena *arena, struct media *media);
/* Whether a part of the tape is one of its own at OpenAI, and not text: no file that is text. */
bool media_is_apart(const struct ir_tape *tape, uint32_t event, struct arena *arena);
/* Plain text of a text file: decodes base64. False: not valid base64 or UTF-8, or no memory. */
bool media_text(const struct media *media, struct arena *arena, struct text *text);
struct slice mime_sniff(struct text base64);
struct slice mime_of_name(struct text file_name);
/* Writes `data:MIME;base64,…` as the inside of a JSON string, or the URL. Not for FILE_ID, TEXT. */
void media_write_url(const struct media *media, struct rope *out);
bool mime_is_am_image(struct slice mime); /* jpeg png gif webp */

/* ---- secrets (2.9) ---- */

struct seal {
    uint8_t family; /* enum ir_seal; NONE: no seal at all */
    bool is_sealed; /* came as gw1.…; then minter, item_id and secret are decoded, plain */
    struct text minter, item_id, secret;
};
/* Reads what a client sent as a secret: sealed, or native of `native_family`. False: no memory. A
 * broken seal is family NONE. */
bool seal_read(struct text value, uint8_t native_family, struct text item_id, struct arena *arena,
               struct seal *seal);
/* Writes gw1.<v>.<base64url(minter NUL [item_id NUL] secret)>: ASCII, needs no escaping. */
void seal_write(struct rope *out, uint8_t family, struct slice minter, struct text item_id,
                struct text secret);
bool seal_is_sealed(struct text value);

/* ---- usage (3.4) ---- */

/* Anthropic's input_tokens: max(0, input - read - write). */
uint64_t usage_uncached(const struct ir_usage *usage);

#endif
