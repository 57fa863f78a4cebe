#ifndef R2A_PROTO_FAULT_READ_H
#define R2A_PROTO_FAULT_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/arena.h"
#include "r2a/core/slice.h"
#include "r2a/ir/fault.h"

/* What an upstream said went wrong, whatever its protocol and shape (conversion.md 4). */
struct fault_source {
    uint16_t status;           /* HTTP status; 0 for an error object inside a stream */
    struct slice body;         /* any bytes; what lies beyond 64 KiB is not looked at */
    struct slice content_type; /* or empty */
    struct slice retry_after;  /* headers as they came, or empty */
    struct slice retry_after_ms;
    struct slice should_retry;
    const struct slice *secrets; /* to be masked wherever they occur */
    uint32_t secrets_count;
    bool is_clients_key; /* the client's own upstream key was forwarded: UP_AUTH becomes AUTH */
};

/* Fills `fault` (kind, statuses, message, code, type, param, retry hints; is_upstream). Texts are
 * plain, of `arena` or static. Secrets, other keys, URLs and organisation ids are masked with ***.
 * Never fails: without memory the message is a static one. */
void fault_read(const struct fault_source *source, struct arena *arena, struct fault *fault);

/* Whether `body` shows `secret` (not empty), as it is or with some of it in JSON's escapes. */
bool fault_shows(struct slice body, struct slice secret);

#endif
