#ifndef R2A_GATEWAY_REFUSE_H
#define R2A_GATEWAY_REFUSE_H

#include "r2a/core/err.h"
#include "r2a/core/slice.h"

struct front;

/* Answers what cannot become an exchange, and ends the connection. `seen` is what came of the head:
 * as far as it tells the route, the error is worded in that route's protocol. */
void refuse_head(struct front *front, enum r2a_err err, struct slice seen);
void refuse_late(struct front *front, struct slice seen); /* it did not arrive in time */
void refuse_full(struct front *front, struct slice seen); /* no exchange or memory for it */

#endif
