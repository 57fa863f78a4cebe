#ifndef R2A_NET_TLS_THREAD_H
#define R2A_NET_TLS_THREAD_H

#include "r2a/core/err.h"
#include "r2a/net/loop.h"
#include "r2a/net/tls.h"

/* Where full handshakes compute: one per process, on a loop that does nothing else (its own
 * thread's, or any loop in a simulation). Workers name it in their environment:
 *
 *     cfg.submit = tls_thread_submit; cfg.submit_ctx = thread;
 *
 * A job travels as the op inside its slot, there and back by loop_post, counted and joined like
 * any I/O. */
struct tls_thread;

/* Before the workers start; `loop` must be prepared (loop_prepare). NULL: out of memory. */
struct tls_thread *tls_thread_open(struct loop *loop);
/* After every worker has ended (no job is out then). */
void tls_thread_close(struct tls_thread *thread);

/* The tls_submit_fn: on a worker, whose loop_current is where the job returns to. */
void tls_thread_submit(void *thread, struct tls_job *job);

#endif
