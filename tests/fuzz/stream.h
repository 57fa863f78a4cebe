#ifndef R2A_TESTS_FUZZ_STREAM_H
#define R2A_TESTS_FUZZ_STREAM_H

#include <stdint.h>

#include "support/proto_kit.h"

/* An upstream's stream or document of any dialect: events obey the grammar; the cut of the bytes
 * does not matter, nor whether an event was read in full or by its likeness to the one before;
 * every dialect's client gets well-formed JSON, and one of Responses a stream that its strict
 * accumulators take; nothing stays behind in memory. The first byte of the input chooses the form
 * (bit 0: a document; bit 1: a tool has another name at the client; the others are the dialect's),
 * the second the cuts. */
struct fuzz_stream {
    const struct proto *proto;
    struct brief_name name;
    /* Sets what else the first byte says, or NULL. */
    void (*prepare)(struct kit *kit, uint8_t form);
    /* Whether white space in front of this frame's first member changes nothing: then every second
     * one gets it, and none is like the one before. NULL: this decoder compares none. */
    bool (*may_differ)(const struct frame *frame);
};

int fuzz_stream(const struct fuzz_stream *of, const uint8_t *data, size_t size);

#endif
