/* The handshake thread's side of a job's journey. All of its state is the cache of validated chains
 * and where it lives; the queue is the loop's. */
#include "r2a/net/tls_thread.h"

#include <sys/mman.h>

#include "r2a/core/check.h"
#include "tls_state.h"

struct tls_thread {
    struct loop *loop;
    struct tls_runner runner;
};

struct tls_thread *tls_thread_open(struct loop *loop)
{
    struct tls_thread *thread =
        mmap(NULL, sizeof(*thread), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (thread == MAP_FAILED)
        return NULL;
    thread->loop = loop;
    return thread;
}

void tls_thread_close(struct tls_thread *thread)
{
    if (thread != NULL)
        check(munmap(thread, sizeof(*thread)) == 0);
}

/* On the worker again. */
static void come_home(struct op *op, struct op_result result)
{
    struct tls_job *job = container_of(op, struct tls_job, op);

    (void)result;
    tls_job_done(job);
}

/* On the handshake thread. */
static void compute(struct op *op, struct op_result result)
{
    struct tls_job *job = container_of(op, struct tls_job, op);
    struct tls_thread *thread = job->thread;

    (void)result;
    tls_job_run(job, &thread->runner);
    job->op = (struct op){.fn = come_home};
    loop_post(job->home, &job->op);
}

void tls_thread_submit(void *ctx, struct tls_job *job)
{
    struct tls_thread *thread = ctx;

    job->home = loop_current();
    check(job->home != NULL);
    job->thread = thread;
    job->op = (struct op){.fn = compute};
    loop_post(thread->loop, &job->op);
}
