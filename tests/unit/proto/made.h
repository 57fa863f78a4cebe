#ifndef R2A_TESTS_PROTO_MADE_H
#define R2A_TESTS_PROTO_MADE_H

#include "r2a/ir/event.h"
#include "support/random.h"

/* Conversations nobody wrote: requests and answers in the vocabulary of events, from a seed. They
 * obey the grammar and are what a well-behaved client or upstream could say; which of it a dialect
 * loses is for the test to declare. Everything put is static or lives for the call. */

#define MADE_IMAGE "iVBORw0KGgo=" /* what every image is: eight bytes */

/* An answer: reasoning with and without secrets, text with citations, refusals, images, calls side
 * by side in pieces of every form, all stops, usage in one piece or two; now and then an error.
 * `has_customs`: some calls are of free-form tools. */
void made_answer(struct random *random, struct ir_sink *sink, bool has_customs);

#endif
