#ifndef R2A_TESTS_FUZZ_REQUEST_H
#define R2A_TESTS_FUZZ_REQUEST_H

#include <stdint.h>

#include "support/proto_kit.h"

/* A client's request of any dialect: what is read obeys the grammar, what is written for every
 * dialect is JSON, what is written for its own is read again, and nothing stays behind in memory.
 * The first byte of the input says what the request meets: bits 0 and 1 the model, bit 3 whose
 * reasoning comes back, bits 4 and 5 the gateway's own system text; the others are the dialect's.
 */
struct fuzz_request {
    const struct proto *proto;
    const char *models[4];
    struct slice minter;
    /* Sets the profile, and what else the first byte says. */
    void (*prepare)(struct kit *kit, struct slice model, uint8_t form);
    /* How often a request is written for its own dialect until that changes nothing any more. 0:
     * that is not looked at, since mended calls and results are mended again. */
    uint32_t settled_after;
};

int fuzz_request(const struct fuzz_request *of, const uint8_t *data, size_t size);

#endif
