#ifndef R2A_PROTO_STRICT_H
#define R2A_PROTO_STRICT_H

#include <stdbool.h>

#include "r2a/core/slice.h"

/* Whether a JSON Schema already lies in the subset that OpenAI's `strict: true` demands: every
 * object has additionalProperties false and requires all of its properties (conversion.md 2.8).
 * False also for what is no schema, is longer than SCHEMA_BYTES_MAX or nests deeper than
 * SCHEMA_DEPTH_MAX: each level is read once more. */
bool schema_is_strict(struct slice schema);

#endif
