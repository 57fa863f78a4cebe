#ifndef R2A_GATEWAY_RETRY_H
#define R2A_GATEWAY_RETRY_H

#include "r2a/provider/provider.h"

/* All retry policy, as a pure function of what happened. Nothing here runs after the first byte to
 * the client. */
enum retry_step {
    RETRY_GIVE_UP,   /* the error goes to the client */
    RETRY_SAME,      /* the same key again after `delay_ms` */
    RETRY_NEXT_KEY,  /* another key of the same provider, at once */
    RETRY_ELSEWHERE, /* the next candidate, at once */
};

struct retry_facts {
    enum verdict_class verdict;
    enum fault_phase phase;
    bool has_content;   /* tokens were spent */
    bool has_other_key; /* one that was not tried and does not cool down */
    bool has_elsewhere; /* a candidate is left */
    uint32_t attempts;  /* with this key, the failed one included */
    struct retry_rule rule;
    int64_t retry_after_ms; /* -1: not said */
    bool is_settled; /* asking again cannot help: the certificate is wrong, the server too old */
    int8_t should_retry; /* the upstream's x-should-retry: -1 not said */
    uint64_t random;     /* for jitter */
};

struct retry_decision {
    enum retry_step step;
    uint64_t delay_ms;
    uint64_t cool_ms; /* how long the key cools down; 0: not at all */
    bool cools_model; /* only for the model asked for */
};

struct retry_decision retry_decide(const struct retry_facts *facts);

#endif
