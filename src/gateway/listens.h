#ifndef R2A_GATEWAY_LISTENS_H
#define R2A_GATEWAY_LISTENS_H

#include "gateway_state.h"

/* The control thread's half of listening: binds addresses, hands sockets to workers, takes
 * addresses back at a reload. An address has the same slot in every worker. */

/* Start-up: binds all addresses of the configuration before the workers run. False after a message
 * in the log. */
bool listens_open(struct gateway *gateway);
/* Reload: binds what is new, marks what is gone; the workers act when they take the new generation
 * over. An address that cannot be bound is said in the log and left out. */
void listens_reload(struct gateway *gateway, const struct config *config);
void listens_close(struct gateway *gateway);

#endif
