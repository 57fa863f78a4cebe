/* What a failure says about the key, the model and the service: the one reading of a fault that
 * decides who is asked next (interface-services.md 2). How long what cools down is the gateway's
 * business. */
#include "r2a/provider/provider.h"

static enum verdict_class of_our_own(const struct fault *fault)
{
    switch ((int)fault->err) {
    case R2A_ERR_NO_MEMORY:
    case R2A_ERR_LIMIT:
    case R2A_ERR_INVALID:
    case R2A_ERR_UNSUPPORTED:
    case R2A_ERR_CANCELLED:
        return VERDICT_CLIENT; /* asking somebody else would not help */
    case R2A_OK:
        return VERDICT_SERVER;
    default:
        return VERDICT_NETWORK;
    }
}

static enum verdict_class of_kind(const struct fault *fault)
{
    switch ((enum fault_kind)fault->kind) {
    case FAULT_INVALID:
    case FAULT_CONTEXT:
    case FAULT_METHOD:
    case FAULT_TOO_LARGE:
    case FAULT_POLICY:
    case FAULT_CANCELLED:
        return VERDICT_CLIENT;
    case FAULT_AUTH:
    case FAULT_UP_AUTH:
        return VERDICT_AUTH;
    case FAULT_PERMISSION:
        /* a 403 that does not speak of the key: still another key may be allowed what this is not
         */
        return fault->is_upstream ? VERDICT_AUTH : VERDICT_CLIENT;
    case FAULT_BILLING:
        return VERDICT_QUOTA;
    case FAULT_NOT_FOUND:
        return VERDICT_NOT_FOUND;
    case FAULT_RATE:
        return VERDICT_RATE;
    case FAULT_OVERLOAD:
        return VERDICT_OVERLOAD;
    case FAULT_TIMEOUT:
        return fault->is_upstream ? VERDICT_SERVER : VERDICT_NETWORK;
    case FAULT_BAD_GATEWAY:
        return fault->is_upstream ? VERDICT_SERVER : of_our_own(fault);
    case FAULT_SERVER:
        return VERDICT_SERVER;
    case FAULT_KINDS:
        break;
    }
    return VERDICT_SERVER;
}

enum verdict_class provider_classify(const struct fault *fault)
{
    enum verdict_class verdict = of_kind(fault);

    /* x-should-retry: true speaks of a passing conflict (409) rather than of the request */
    if (verdict == VERDICT_CLIENT && fault->is_upstream && fault->should_retry == 1)
        return VERDICT_SERVER;
    return verdict;
}
