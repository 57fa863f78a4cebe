#ifndef R2A_PROTO_ANTHROPIC_READ_H
#define R2A_PROTO_ANTHROPIC_READ_H

#include "common.h"
#include "reading.h"

/* The two halves of reading a Messages request: anthropic_read.c has the root, anthropic_blocks.c
 * what people and models said. */

enum r2a_err anthropic_read_system(struct reading *r, const struct member *system);
enum r2a_err anthropic_read_messages(struct reading *r, const struct member *messages);
/* IR_CACHE_MARK for a cache_control that is one. */
uint8_t anthropic_mark(const struct member *cache_control);

#endif
