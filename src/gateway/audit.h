#ifndef R2A_GATEWAY_AUDIT_H
#define R2A_GATEWAY_AUDIT_H

#include "r2a/core/slice.h"
#include "r2a/ir/event.h"

/* The access log: one line an exchange, `key=value`, never a secret, never a prompt. The end code
 * is two letters after HAProxy: who ended it (C client, S server, P proxy: us, L limit or policy, R
 * resource, I internal, c client timeout, s server timeout, - nobody: complete) and in which phase
 * (R request, Q queue, C connect, H head, D data, L last bytes, - none). */
struct audit_record {
    struct slice id;             /* x-request-id */
    struct slice key;            /* name of the client key, or empty */
    struct slice method, path;   /* path without query */
    const char *client_protocol; /* or NULL */
    struct slice model;          /* as asked */
    struct slice provider, credential, upstream_model, upstream_id;
    const char *upstream_protocol;
    bool is_stream;
    uint16_t status;
    uint16_t upstream_status;
    char ended_by, ended_in;
    uint32_t attempts; /* upstream requests sent */
    uint64_t duration_ms;
    int64_t first_token_ms; /* -1: none came */
    uint64_t bytes_in, bytes_out;
    struct ir_usage usage;
    bool is_estimated;
    uint32_t dropped;  /* names in x-ring2api-dropped */
    const char *error; /* name of an r2a_err or fault kind, or NULL */
};

/* Formats the line with its newline into `to` (size bytes, at least 1024; longer fields are cut);
 * `time` (RFC 3339) begins it; json: the same as one JSON object. */
size_t audit_format(const struct audit_record *record, struct slice time, bool as_json, char *to,
                    size_t size);

#define AUDIT_BUFFER_BYTES 65536u

/* Per worker: two buffers of whole lines, filled by the worker and written by its loop (one append
 * in flight, at most every 100 ms or at 32 KiB; into a pipe at most 4 KiB a write so that workers'
 * lines do not mix). Pure: the worker asks for the next run to write and says what was written.
 * When both are full lines are lost and counted. */
struct audit_buffer {
    char *bytes[2];
    uint32_t len[2];
    uint8_t filling; /* which one takes lines */
    bool is_in_flight;
    uint32_t flight_at; /* written so far of the other one */
    uint64_t lost;
};
bool audit_buffer_put(struct audit_buffer *buffer, struct slice line);
/* The next run of whole lines to write, at most `max` bytes (unless one line is longer); empty:
 * nothing. Marks it in flight. */
struct slice audit_buffer_take(struct audit_buffer *buffer, size_t max);
void audit_buffer_done(struct audit_buffer *buffer, size_t written);
bool audit_buffer_is_urgent(const struct audit_buffer *buffer); /* half full */

#endif
