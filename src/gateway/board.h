#ifndef R2A_GATEWAY_BOARD_H
#define R2A_GATEWAY_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* What all threads must agree on, as records of atomics: a credential, a client key, a process-wide
 * bound. The control thread alone adds records, found again by a digest, so they outlive a reload.
 * Workers ask and settle; one atomic operation or two a request. Times are clock_mono_ms. */
#define BOARD_RECORDS_MAX 4096u
#define BOARD_NONE        UINT32_MAX
#define BOARD_RPM_SLOTS   60u

struct board;
struct board *board_open(void);
void board_close(struct board *board);

/* Control thread: the record of this digest, added when new. BOARD_NONE when the board is full. */
uint32_t board_record(struct board *board, const uint8_t digest[32]);

/* A client key asks to run one request: `rpm` in any 60 s (60 buckets of one) and `concurrency` at
 * once, 0: no limit. False: refused, and *retry_after_ms says when it may fit (1 s for
 * concurrency). True: board_key_release must follow. */
enum board_refusal { BOARD_ADMITTED, BOARD_RPM, BOARD_CONCURRENCY };
enum board_refusal board_key_admit(struct board *board, uint32_t record, uint64_t rpm,
                                   uint64_t concurrency, uint64_t now_ms, uint64_t *retry_after_ms);
void board_key_release(struct board *board, uint32_t record);

/* A credential's cool-down, never shortened: as a whole (model 0), or for one model only (its hash,
 * not 0), since health belongs to (credential, model). Beyond BOARD_MODELS_MAX models cooling at
 * once the one that returns first gives its place. */
#define BOARD_MODELS_MAX 16u
enum board_cause { BOARD_CAUSE_RATE, BOARD_CAUSE_QUOTA, BOARD_CAUSE_AUTH };
void board_cool(struct board *board, uint32_t record, uint64_t model, enum board_cause cause,
                uint64_t until_ms);
/* A success with this model ends its cool-down and the whole credential's, and clears failures in a
 * row. */
void board_warm(struct board *board, uint32_t record, uint64_t model);
/* When the credential may be used for this model; 0: now. */
uint64_t board_cool_until(struct board *board, uint32_t record, uint64_t model);
/* Why it cools: of the whole credential, else the model's (always RATE). */
enum board_cause board_cool_cause(struct board *board, uint32_t record);

/* A turn counter (round robin over keys, weighted choice over targets): returns 0, 1, 2 … */
uint64_t board_turn(struct board *board, uint32_t record);

/* limits.connections over all workers. */
bool board_connection_admit(struct board *board, uint64_t limit);
void board_connection_release(struct board *board);

#endif
