#ifndef R2A_IR_BRIEF_H
#define R2A_IR_BRIEF_H

#include "r2a/core/arena.h"
#include "r2a/core/slice.h"
#include "r2a/limits.h"

struct json_memo;

enum brief_operation {
    BRIEF_GENERATE,
    BRIEF_COUNT,
    BRIEF_LIST,
    BRIEF_EMBED,       /* one text: Gemini's embedContent */
    BRIEF_EMBED_BATCH, /* any number */
};
enum brief_shape { BRIEF_DOCUMENT, BRIEF_SSE, BRIEF_JSON_ARRAY };

/* Two-way table of tool names that changed on the way up, or whose calls need unwrapping. Only such
 * tools are listed: usually none. */
struct brief_name {
    struct text client; /* as the client declared it (without namespace) */
    struct slice wire;  /* as the upstream knows it; plain */
    struct text space;  /* namespace, or empty */
    bool is_custom; /* free-form at the client, a function with one string "input" on the wire */
    uint8_t
        builtin; /* a vendor's own tool at the client (proto/builtin.h), a function on the wire */
};

/* What the answer must know of the request and what is decided once for both halves. One an
 * exchange. The gateway sets the first group before request_decode; request_decode fills the
 * second; request_encode writes `names` anew for each attempt. Read-only on the way down, but for
 * `completed`. */
struct brief {
    /* gateway */
    uint8_t operation; /* enum brief_operation */
    uint8_t shape; /* enum brief_shape; request_decode sets SSE for `"stream": true`, Gemini's comes
                      with the route */
    bool is_strict;          /* losses are refused */
    bool is_relay;           /* same dialect on both sides: decoders only observe */
    struct arena *arena;     /* lives until the exchange ends */
    struct arena *scratch;   /* lives as long as the request, or NULL: use `arena` */
    struct mem *mem;         /* for ropes a codec keeps */
    struct json_memo *memo;  /* long strings of the body, or NULL */
    struct slice path_model; /* model of the URL (Gemini), or empty */
    struct slice id;    /* 24 base62 characters, unique to the exchange: "chatcmpl-" + id … */
    uint64_t random[2]; /* seed for further ids (brief_make_id) */
    int64_t created;    /* seconds since the epoch */
    int64_t completed;  /* the same, once the upstream has ended properly: set before END comes */
    size_t output_bytes_max; /* limits.output_bytes */

    /* request_decode */
    struct slice model;       /* as asked, plain; echoed to the client */
    bool usage_asked;         /* OC stream_options.include_usage */
    bool thoughts_shown;      /* GG includeThoughts; others always */
    bool is_legacy_functions; /* OC: declared `functions` */
    bool has_tools;
    struct slice
        *repeats; /* what the answer says again of the request, in an order of the
                     dialect's; spans of the body until brief_keep_repeats. NULL: nothing */
    uint32_t repeats_count;
    uint64_t text_bytes; /* sums for an estimate: text incl. tools */
    uint32_t images_count;
    int64_t max_out; /* output limit asked, -1: none */

    /* request_encode */
    struct brief_name *names;
    uint32_t names_count;
    uint32_t ids_made;   /* counter behind brief_make_id */
    struct slice minter; /* of the target: who signed what an encoder seals */
};

/* Copies `repeats` into the arena, so that the body need not be kept. False: no memory, and nothing
 * has changed. */
bool brief_keep_repeats(struct brief *brief);
/* Finds how a wire name is called at the client; NULL: unchanged. */
const struct brief_name *brief_name_of(const struct brief *brief, struct text wire);
/* Writes prefix + 24 base62 characters into `out` (at least prefix.len + 24 bytes); returns the
 * length. `index` tells ids of one exchange apart: the same index gives the same id. */
size_t brief_make_id(const struct brief *brief, uint32_t index, struct slice prefix, char *out);

/* For what is needed while a request is read and written, and not by its answer. */
static inline struct arena *brief_scratch(const struct brief *brief)
{
    return brief->scratch != NULL ? brief->scratch : brief->arena;
}

/* The local estimate of tokens: bytes / 4 of text, 1600 an image (conversion.md 4). */
static inline uint64_t brief_estimate(const struct brief *brief)
{
    return (brief->text_bytes + 3) / 4 + 1600u * (uint64_t)brief->images_count;
}

#endif
