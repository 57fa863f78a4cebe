#include "exchange.h"

#include "r2a/core/check.h"

static struct kit kit;
static uint64_t idle; /* bytes in use between exchanges */

struct kit *fuzz_kit(void)
{
    if (kit.mem == NULL) {
        kit_open(&kit);
        idle = kit.budget.used;
    }
    return &kit;
}

void fuzz_kit_again(void)
{
    kit_again(&kit);
    check(kit.budget.used == idle);
}
