#ifndef R2A_CORE_HEAP_H
#define R2A_CORE_HEAP_H

#include <stdbool.h>

/* After start-up nothing calls malloc. In debug builds (R2A_HEAP_CHECK, glibc, dynamic, no
 * sanitizer) heap_freeze makes malloc, calloc, realloc and aligned allocation abort from then on;
 * in all others it does nothing. free is always allowed. */
void heap_freeze(void);
/* Allows everything again (tests). */
void heap_thaw(void);
/* The calling thread may allocate although frozen: the control thread, which reads configuration.
 */
void heap_exempt_thread(bool is_exempt);
/* Whether a freeze is enforced in this build. */
bool heap_is_checked(void);

#endif
