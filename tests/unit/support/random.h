#ifndef R2A_TESTS_SUPPORT_RANDOM_H
#define R2A_TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Repeatable numbers for random splits and generated cases (splitmix64). Seed with any number and
 * say it in the assertion's message. */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
/* A number in [low, high]; low <= high. */
size_t random_between(struct random *random, size_t low, size_t high);

#endif
