#ifndef R2A_GATEWAY_RELAY_H
#define R2A_GATEWAY_RELAY_H

#include "r2a/json/path.h"
#include "r2a/proto/proto.h"

/* Request bodies that keep their bytes: what must be known of one before anybody reads its meaning,
 * and the few edits a relay may make (conversion.md 6.2). Pure. */
#define RELAY_PICKS_MAX 12u

/* One pass over a body that validated all of it. Slices borrow from the body. */
struct relay_peek {
    uint32_t rows;
    struct text model; /* empty: absent, null or "" */
    bool is_stream;
    bool usage_asked;
    struct json_found
        found[RELAY_PICKS_MAX]; /* row i of proto->edits at i; sub-members behind them */
};

static inline void relay_peek_empty(struct relay_peek *peek)
{
    memset(peek, 0, offsetof(struct relay_peek, found));
}

/* R2A_OK, or an error with `*fault` filled (400 in words, with the byte offset for bad JSON).
 * `memo` notes long strings for the dialect's own pass. */
enum r2a_err relay_peek(const struct proto *proto, struct slice body, struct relay_peek *peek,
                        struct json_memo *memo, struct fault *fault);

struct relay_edits {
    struct slice model;       /* plain; empty: leave it */
    struct slice system_text; /* plain; empty: none */
    uint8_t system_mode;      /* enum system_mode */
    bool want_usage;          /* a stream whose usage chunk must be asked for */
};

/* Appends the edited body. Long runs are borrowed: `body` must outlive `out`. Everything an edit
 * does not name stays byte for byte. */
void relay_write(const struct proto *proto, struct slice body, const struct relay_peek *peek,
                 const struct relay_edits *edits, struct rope *out);

#endif
