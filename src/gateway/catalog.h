#ifndef R2A_GATEWAY_CATALOG_H
#define R2A_GATEWAY_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* The model ids that upstreams list, by provider: asked when a client wants the list, kept for
 * CATALOG_MS, refreshed in the background. Shared by all threads under one lock, held for a copy;
 * reserved at start, touched as used. */
struct catalog;

struct catalog *catalog_open(void);
void catalog_close(struct catalog *catalog);

/* What is known of a provider. `is_stale`: someone should ask now; saying so makes the caller that
 * someone, until catalog_set or catalog_failed, or CATALOG_ASK_MS later. */
struct catalog_state {
    bool is_known; /* there is a list, perhaps an old one */
    bool is_asked; /* somebody is asking */
    bool must_ask; /* you are to ask */
};
struct catalog_state catalog_look(struct catalog *catalog, struct slice provider, uint64_t now_ms);
/* The ids, one a line, copied to `to`; returns the bytes (0: none). */
size_t catalog_get(struct catalog *catalog, struct slice provider, char *to, size_t size);
/* The answer: ids one a line; cut at CATALOG_BYTES at a line's end. */
void catalog_set(struct catalog *catalog, struct slice provider, struct slice ids, uint64_t now_ms);
/* No answer: asked again after CATALOG_RETRY_MS. */
void catalog_failed(struct catalog *catalog, struct slice provider, uint64_t now_ms);

#endif
