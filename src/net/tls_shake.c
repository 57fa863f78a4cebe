/* The part of a handshake that computes: runs the engine over staged bytes, on the handshake thread
 * or in place. It touches the slot, its pair and its workspace, which nobody else does meanwhile,
 * and neither rope nor pool nor environment, which belong to the worker. */
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/hash.h"
#include "tls_state.h"

static void begin(struct tls *tls)
{
    br_ssl_engine_context *engine = &tls->u.client.eng;
    struct tls_work *work = tls->work;
    unsigned char seed[32];

    /* The engine adds what the processor or the system gives. */
    random_bytes(seed, sizeof(seed));
    br_ssl_engine_inject_entropy(engine, seed, sizeof(seed));
    explicit_bzero(seed, sizeof(seed));
    if (work->has_offered)
        br_ssl_engine_set_session_parameters(engine, &work->offered);
    /* No SNI for an address: RFC 6066 3. What it returns is also the engine's last error. */
    (void)br_ssl_client_reset(&tls->u.client, work->chain.ip.len != 0 ? NULL : work->chain.name,
                              work->has_offered);
    work->is_begun = true;
}

/* Moves what the engine wants sent to the stage; false when that is full. */
static bool drain(br_ssl_engine_context *engine, struct tls_work *work)
{
    for (;;) {
        size_t len;
        unsigned char *bytes = br_ssl_engine_sendrec_buf(engine, &len);
        size_t room = sizeof(work->out) - work->out_len;

        if (bytes == NULL)
            return true;
        if (room == 0)
            return false;
        if (len > room)
            len = room;
        memcpy(work->out + work->out_len, bytes, len);
        work->out_len = (uint16_t)(work->out_len + len);
        br_ssl_engine_sendrec_ack(engine, len);
    }
}

void tls_shake_run(struct tls *tls, struct tls_runner *runner)
{
    br_ssl_engine_context *engine = &tls->u.client.eng;
    struct tls_work *work = tls->work;

    check(tls->pair != NULL);
    work->chain.runner = runner;
    if (!work->is_begun)
        begin(tls);
    while (drain(engine, work)) {
        unsigned state = br_ssl_engine_current_state(engine);
        size_t left = (size_t)(work->in_len - work->in_at);
        unsigned char *window;
        size_t len;

        if ((state & (BR_SSL_CLOSED | BR_SSL_SENDAPP)) != 0 || left == 0)
            break;
        if ((state & BR_SSL_SENDREC) != 0)
            continue;
        window = br_ssl_engine_recvrec_buf(engine, &len);
        if (window == NULL)
            break;
        if (len > left)
            len = left;
        memcpy(window, work->in + work->in_at, len);
        work->in_at = (uint16_t)(work->in_at + len);
        br_ssl_engine_recvrec_ack(engine, len); /* the whole of the mathematics is in here */
    }
    work->chain.runner = NULL;
}

void tls_job_run(struct tls_job *job, struct tls_runner *runner)
{
    check(job->tls->line == TLS_LINE_OUT);
    tls_shake_run(job->tls, runner);
}
