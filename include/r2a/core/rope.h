#ifndef R2A_CORE_ROPE_H
#define R2A_CORE_ROPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "r2a/core/err.h"
#include "r2a/core/mem.h"
#include "r2a/core/slice.h"

/* Bytes on their way out, in order: runs copied into segments of `mem`, and long spans borrowed
 * from whoever promised to keep them until the rope is cleared. The first segment is small (1 KiB
 * class), later ones grow up to 16 KiB, so an idle or short rope costs little.
 *
 * Appending never moves bytes already in the rope, so a send may be in flight over the front
 * while the tail fills. Errors are sticky: after the first failed append `err` is set, later
 * appends do nothing, and the writer looks once, at its end.
 *
 * Zero-initialise, then set `mem`. */
struct rope {
    struct mem *mem;
    struct rope_seg *first;
    struct rope_seg *last;
    size_t bytes;     /* waiting: appended and not yet consumed */
    size_t bytes_max; /* append beyond it fails with R2A_ERR_LIMIT; 0: no bound but the budget */
    enum r2a_err err; /* sticky */
};

/* Spans at least this long are worth borrowing instead of copying. */
#define ROPE_BORROW_BYTES_MIN 2048u

void rope_put(struct rope *rope, struct slice bytes);
void rope_put_char(struct rope *rope, char c);
void rope_put_u64(struct rope *rope, uint64_t value); /* decimal */
void rope_put_i64(struct rope *rope, int64_t value);
/* Appends without copying when long (ROPE_BORROW_BYTES_MIN), else copies. The bytes must stay until
 * rope_clear or until consumed. */
void rope_borrow(struct rope *rope, struct slice bytes);
/* The same whatever the length: for a rope whose bytes are copied on anyway. */
void rope_borrow_any(struct rope *rope, struct slice bytes);
/* Room for exactly up to `size` contiguous bytes (at most 16,000) at the tail, NULL on failure;
 * rope_commit says how many of them were written. */
char *rope_reserve(struct rope *rope, size_t size);
void rope_commit(struct rope *rope, size_t size);
/* Moves all of `from` to the end of `rope`, leaving `from` empty. Both must share one mem. */
void rope_append(struct rope *rope, struct rope *from);

/* Fills up to `max` iovecs from the front; returns how many. The bytes stay in the rope. */
uint32_t rope_peek(const struct rope *rope, struct iovec *vecs, uint32_t max);
/* Drops `size` bytes from the front (size <= rope->bytes), freeing emptied segments. */
void rope_consume(struct rope *rope, size_t size);
/* Walks all bytes without consuming (a request kept for a retry): zero-initialise the cursor;
 * false at the end. */
struct rope_cursor {
    const struct rope_seg *seg;
    bool started;
};
bool rope_next(const struct rope *rope, struct rope_cursor *cursor, struct slice *run);
/* Copies the whole content to `to`, which has room for rope->bytes. */
void rope_copy_out(const struct rope *rope, char *to);
/* A second rope over the same bytes, borrowing them: `from` must outlive it unchanged. */
void rope_share(struct rope *rope, const struct rope *from);
/* Frees everything and clears `err`; mem and bytes_max stay. */
void rope_clear(struct rope *rope);

#endif
