#ifndef R2A_CORE_CLOCK_H
#define R2A_CORE_CLOCK_H

#include <stdint.h>

/* The only places that ask what time it is: loops, start-up, tools and tests. Pure modules get
 * times passed in. */

/* Since some fixed point in the past; never goes back. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
/* Milliseconds since 1970-01-01 UTC; may jump. */
int64_t clock_wall_ms(void);

#endif
