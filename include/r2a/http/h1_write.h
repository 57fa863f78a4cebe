#ifndef R2A_HTTP_H1_WRITE_H
#define R2A_HTTP_H1_WRITE_H

#include <stdint.h>

#include "r2a/core/rope.h"
#include "r2a/core/slice.h"
#include "r2a/http/header.h"

/* Writing heads from fields, never by copying a peer's bytes wholesale:
 *
 *     h1_write_status(out, 200);
 *     h1_write_id(out, HEADER_CONTENT_TYPE, S("text/event-stream"));
 *     h1_write_field(out, S("x-team"), value);
 *     h1_write_end(out);
 *
 * Errors are sticky in the rope. What would break the head (CR, LF, NUL or another control byte, a
 * name that is no token) sets R2A_ERR_INVALID and writes nothing. */
void h1_write_status(struct rope *out, uint16_t status); /* HTTP/1.1, the usual reason */
/* `target` in origin-form (or absolute-form for a proxy, authority for CONNECT). */
void h1_write_request(struct rope *out, struct slice method, struct slice target);
void h1_write_field(struct rope *out, struct slice name, struct slice value);
/* `name` and `prefix`, which stands before the value, are texts of ours: only the value is checked.
 */
void h1_write_known(struct rope *out, struct slice name, struct slice prefix, struct slice value);
/* Known names go out in lower case. */
void h1_write_id(struct rope *out, enum http_header_id id, struct slice value);
void h1_write_id_u64(struct rope *out, enum http_header_id id, uint64_t value);
/* Bytes that are one or more whole field lines, prepared at start-up and checked then. */
void h1_write_raw(struct rope *out, struct slice lines);
void h1_write_end(struct rope *out);

/* The reason phrase of a status; empty when it has none. Static. */
struct slice http_status_reason(uint16_t status);

/* Field values and whole field lines that were checked: for configuration. */
bool h1_field_valid(struct slice name, struct slice value);

#endif
