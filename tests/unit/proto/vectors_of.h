#ifndef R2A_TESTS_PROTO_VECTORS_OF_H
#define R2A_TESTS_PROTO_VECTORS_OF_H

#include "codec.h"

/* The shared vectors of a dialect, and what its decoder and encoder must make of each kind of them.
 * A test without its vectors is skipped. */

/* What consuming events gives, in the words of the expectations. */
struct outcome {
    struct ir_sink sink;
    struct kit *kit;
    struct rope text, reasoning;
    struct {
        struct text id, name;
        struct rope args;
    } calls[8];
    uint32_t calls_count;
    uint32_t parts[64]; /* number + 1 of a call, or 0x100 text, 0x101 reasoning */
    uint8_t stop;
    bool has_stop, is_complete;
    struct ir_usage usage;
    struct text message;
};

struct vectors_of {
    struct kit *kit;
    const struct proto *proto;
    const char *folder;
    struct slice model; /* whose profile requests are written for */
    bool makes_ids;     /* calls may come without one, which is then made up */
    /* A stream whose text we read otherwise than its expectation says, and how. */
    const char *own_name;
    struct slice own_text;
    /* The words of the protocol for how it ended (empty: nothing was said) and its counters (an
     * object, or empty) agree with what was decoded. */
    void (*check_end)(const char *name, const struct outcome *outcome, struct text finish,
                      struct slice usage);
};

struct vectors_row {
    const char *name, *wanted;
};

/* A file of the folder, in the kit. */
struct slice vectors_of_read(const struct vectors_of *of, const char *name);
/* Streams NAME.sse or NAME.jsonarr beside NAME.expect.json, whole, byte by byte and cut anyhow. */
void vectors_of_streams(const struct vectors_of *of, const char *const *names, size_t count);
/* Streams nobody should send: they end, by an error where they `may_fail`, and say something. */
void vectors_of_bad_streams(const struct vectors_of *of, const char *const *names, size_t count,
                            bool may_fail);
/* Plain answers: read, written again with the stop they came with. */
void vectors_of_documents(const struct vectors_of *of, const struct vectors_row *rows, size_t count,
                          bool is_same);
/* Error bodies: wanted is the kind. */
void vectors_of_errors(const struct vectors_of *of, const struct vectors_row *rows, size_t count);
/* Requests: taken, written for everybody, and the same when written twice; the last one counts. */
void vectors_of_requests(const struct vectors_of *of, const char *const *names, size_t count);

#endif
