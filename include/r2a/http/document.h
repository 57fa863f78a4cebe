#ifndef R2A_HTTP_DOCUMENT_H
#define R2A_HTTP_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/mem.h"
#include "r2a/core/slice.h"
#include "r2a/http/frame.h"
#include "r2a/http/gather.h"

/* A whole body as one FRAME_DOCUMENT, given out by finish. The contract is that of struct framing
 * (http/framing.h); feed always returns 0 or an error. */
struct document {
    struct mem *mem;
    struct gather gather;
    uint32_t bytes_max;
    int32_t err; /* sticky */
    bool is_done;
};

void document_init(struct document *document, struct mem *mem, uint32_t bytes_max);
/* The body's length is known: takes its memory at once, so that it is copied only once. */
enum r2a_err document_expect(struct document *document, uint64_t bytes);
int32_t document_feed(struct document *document, struct slice in, struct frame *frame);
/* All of the body in one run, which stays until document_recall: nothing is copied. Only while
 * nothing was fed; false when it is longer than the bound. */
bool document_lend(struct document *document, struct slice whole);
void document_recall(struct document *document);
/* What came so far. */
struct slice document_bytes(const struct document *document);
int32_t document_finish(struct document *document, struct frame *frame);
void document_free(struct document *document);

#endif
