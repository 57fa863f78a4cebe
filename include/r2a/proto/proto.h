#ifndef R2A_PROTO_PROTO_H
#define R2A_PROTO_PROTO_H

#include "r2a/core/rope.h"
#include "r2a/http/frame.h"
#include "r2a/ir/brief.h"
#include "r2a/ir/event.h"
#include "r2a/ir/fault.h"
#include "r2a/ir/loss.h"
#include "r2a/ir/tape.h"
#include "r2a/proto/profile.h"

/* The vault behind a function pointer: the reasoning kept for a tool call of this tenant. `index`
 * counts its blocks back from the call: 0 is the last one before it, below RECALL_BLOCKS_MAX; the
 * first miss ends them. The seal may be empty; `reasoning` gets the text that went with it. */
struct recall {
    bool (*find)(struct recall *recall, struct text call_id, uint32_t index, struct slice minter,
                 uint8_t *family, struct slice *seal, struct slice *item_id,
                 struct slice *reasoning);
};

enum system_mode { SYSTEM_APPEND, SYSTEM_OVERRIDE };

/* The addressee of one attempt. Borrowed for the call, but `decoder_init` may keep pointers: it
 * lives until the exchange ends. */
struct target {
    const struct proto *proto;
    struct slice model;  /* the id sent upstream, plain */
    struct slice minter; /* who mints secrets there: "anthropic" "openai" "google", else the
                            provider's name */
    struct model_profile profile;
    bool is_stream;           /* ask for a stream */
    struct slice system_text; /* configured system prompt, plain; empty: none */
    uint8_t system_mode;      /* enum system_mode */
    struct recall *recall;    /* NULL: none */
    const void *definition;   /* compiled definition of a declarative service */
};

/* What a relay may change in a request body of this dialect (conversion.md 6.2), and what it must
 * look at. */
enum proto_edit_kind {
    PROTO_EDIT_MODEL,           /* string */
    PROTO_EDIT_STREAM,          /* looked at, never edited */
    PROTO_EDIT_SYSTEM_VALUE,    /* AM system, OR instructions: string, array of text blocks, null or
                                   absent */
    PROTO_EDIT_SYSTEM_MESSAGES, /* OC messages */
    PROTO_EDIT_SYSTEM_PARTS,    /* GG systemInstruction / system_instruction */
    PROTO_EDIT_USAGE,           /* OC stream_options.include_usage */
    PROTO_EDIT_UNIQUE,          /* only: a second occurrence at depth 1 is a 400 */
};
struct proto_edit {
    uint8_t kind;
    bool blocks_allowed; /* SYSTEM_VALUE may be an array of text blocks */
    struct slice key;    /* member of the root */
    struct slice subkey; /* EDIT_USAGE: include_usage */
};

/* One model of a list, in the union of what the three shapes want. */
struct proto_model {
    struct slice id;
    struct slice owner; /* provider's name */
    int64_t created;
};

/* One dialect. A row of proto/list.h; start-up refuses half a half. Everything is pure: no I/O, no
 * clock, no allocation but brief->arena and ropes. */
struct proto {
    struct slice name;                 /* "openai" "openai-responses" "anthropic" "gemini" */
    const struct proto_edit *edits;    /* ends with a zero key */
    size_t decoder_size, encoder_size; /* caller allocates both (zeroed) from the exchange arena */

    /* Clients of this dialect take an error inside a stream for one only when it comes in a read of
     * its own: the gateway lets what was written before it leave first. */
    bool error_apart;

    /* --- client half --- */
    /* Reads a complete request body onto the tape (the tape borrows from the body). On failure
     * `*fault` is filled (kind INVALID, message, param, offset) and an error returned. brief->model
     * is what was asked ("" when absent or null: the gateway applies default_model). */
    enum r2a_err (*request_decode)(struct slice body, struct ir_sink *tape, struct brief *brief,
                                   struct fault *fault);
    void (*encoder_init)(void *encoder, const struct brief *brief);
    /* Writes what `event` becomes for the client. Writes nothing for BEGIN, USAGE; its prologue
     * goes with the first event that has content (PART of call/opaque, non-empty TEXT, STOP,
     * ALIVE). brief->shape DOCUMENT: everything at END. An ERROR event: the in-stream error form,
     * then the proper end (DOCUMENT: never given one). After END or ERROR nothing more is written.
     */
    enum r2a_err (*encode)(void *encoder, const struct ir_event *event, struct rope *out);
    void (*encoder_drop)(void *encoder); /* frees kept ropes; may be NULL */
    /* The body of an error before the head went out; returns the HTTP status. */
    uint16_t (*error_body)(const struct fault *fault, struct rope *out);

    /* --- upstream half --- */
    /* Writes the request for `target`. May fail with a fault (something that cannot be carried and
     * changes the meaning: 400). */
    enum r2a_err (*request_encode)(const struct ir_tape *tape, const struct target *target,
                                   struct brief *brief, struct rope *out, struct loss *loss,
                                   struct fault *fault);
    void (*decoder_init)(void *decoder, const struct target *target, const struct brief *brief);
    /* One frame of the answer (FRAME_DOCUMENT for a plain one) into events. An upstream's error
     * object becomes an ERROR event (return R2A_OK); undecodable JSON too (kind BAD_GATEWAY). Once
     * END or ERROR was put, further frames are ignored. */
    enum r2a_err (*decode)(void *decoder, const struct frame *frame, struct ir_sink *sink);
    /* The upstream's bytes ended: END if that is a proper end for this dialect, else an ERROR event
     * (BAD_GATEWAY, err TRUNCATED). Nothing when END was put already. */
    enum r2a_err (*finish)(void *decoder, struct ir_sink *sink);
    void (*decoder_drop)(void *decoder); /* may be NULL */
    /* Relay only, may be NULL: this frame must not reach a client who did not ask for it (OC's
     * usage-only chunk). */
    bool (*relay_hides)(const struct brief *brief, const struct frame *frame);
    /* Relay only: the terminal event of a stream, for an upstream that finished and forgot it. */
    struct slice relay_end;

    /* --- counting, lists; each may be NULL --- */
    void (*count_write)(const struct brief *brief, uint64_t tokens, struct rope *out);
    bool (*count_read)(struct slice body, uint64_t *tokens); /* the upstream's answer */
    void (*models_write)(const struct proto_model *models, uint32_t count, struct rope *out);
    void (*model_write)(const struct proto_model *model, struct rope *out);
    /* Puts each model id of an upstream's list; false when it is not such a list. */
    bool (*models_read)(struct slice body, void (*put)(void *context, struct slice id),
                        void *context);
};

#endif
