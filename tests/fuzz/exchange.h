#ifndef R2A_TESTS_FUZZ_EXCHANGE_H
#define R2A_TESTS_FUZZ_EXCHANGE_H

#include "support/proto_kit.h"

/* One exchange after the other in memory that a process opens once. */

/* The kit, opened by the first call. */
struct kit *fuzz_kit(void);
/* Gives back what the exchange took, and checks that nothing of it stays behind. */
void fuzz_kit_again(void);

#endif
