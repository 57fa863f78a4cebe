#ifndef R2A_BENCH_MOCK_ANSWERS_H
#define R2A_BENCH_MOCK_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the mock upstream says in each of the four protocols: whole answers and events of a wanted
 * size, as the services write them, prepared once and sent many times. */

enum dialect { CHAT, RESPONSES, MESSAGES, GEMINI, DIALECTS };

/* Grows by realloc; zero is empty. */
struct bytes {
    char *ptr;
    size_t len;
};

void bytes_add(struct bytes *bytes, const void *ptr, size_t len);
void bytes_add_z(struct bytes *bytes, const char *text);

/* A prepared answer or event with its HTTP framing. Owned by answers_shape's table. */
struct shape {
    enum dialect dialect;
    bool is_stream;
    size_t size;
    struct bytes whole;
    size_t stamp;  /* offset of the stamp's 16 digits */
    size_t number; /* offset of the six digits that differ from event to event, 0: none */
};

/* The protocol whose route the request line names. */
enum dialect answers_dialect(const char *head, size_t len);

/* An answer, or an event, of `size` bytes without framing, or of the least size it can have. */
const struct shape *answers_shape(enum dialect dialect, bool is_stream, size_t size);

/* The head of a stream and the events before its first text, framed. */
const struct bytes *answers_opening(enum dialect dialect);

/* Writes what tells one event from another: when it was due (as `@` and 16 hexadecimal digits in
 * its text) and, where the protocol numbers its events or counts tokens in each, the number. */
void answers_stamp(const struct shape *shape, uint64_t due_ns, uint32_t number);

#endif
