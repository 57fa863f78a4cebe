#ifndef R2A_PROTO_SCHEMA_H
#define R2A_PROTO_SCHEMA_H

#include "r2a/core/arena.h"
#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* JSON Schema to and from Gemini's own form (conversion.md 2.5, 2.5.1). Schemas are rewritten one
 * at a time from their bytes, without a tree: keys of a `properties` map are data, never
 * keywords. */

/* What one rewriting may cost; zero-initialise once a request, so that all schemas of it share the
 * sum. */
struct schema_budget {
    size_t bytes_sum; /* written so far, SCHEMA_SUM_BYTES_MAX */
};

enum schema_result {
    SCHEMA_WRITTEN,
    SCHEMA_EMPTY,     /* no parameters at all: an object without properties. Nothing was written */
    SCHEMA_TOO_LARGE, /* beyond SCHEMA_BYTES_MAX or the sum, or its $refs multiply without end */
    SCHEMA_NO_MEMORY,
};

/* Writes `schema` (TEXT_JSON, valid) as Gemini's Schema, profile `openapi`. What the subset cannot
 * say stays as a hint in a description. `is_parameters`: a root that is an object without
 * properties is left out (SCHEMA_EMPTY). After an error the rope holds part of it. */
enum schema_result schema_write_gemini(struct rope *out, struct slice schema, bool is_parameters,
                                       struct arena *arena, struct schema_budget *budget);

/* Writes `schema` as it is, but for its root's `$schema` (profile `json`). */
void schema_write_bare(struct rope *out, struct slice schema);

/* Gemini's Schema as JSON Schema: types in lower case, nullable as a type, numbers as numbers,
 * propertyOrdering gone. Borrows `schema` when nothing changes, else of the arena; an empty slice:
 * out of memory. */
struct slice schema_from_gemini(struct slice schema, struct arena *arena, struct mem *mem);

#endif
