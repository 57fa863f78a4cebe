/* A connection that waits for its peer needs no record buffers: between records the engine keeps
 * nothing in them, neither while it is open nor between the flights of a handshake (which is run by
 * a coroutine that fetches its windows anew each time it is entered). This file knows when that is
 * so, which takes four private fields of the engine (BearSSL 0.6 and later up to now:
 * inc/bearssl_ssl.h, src/ssl/ssl_engine.c, "Buffering management registers").
 * tests/unit/net/test_tls_idle.c swaps buffers at every such moment; tls_state.h asserts the size
 * of the context, so that another layout does not go unnoticed.
 *
 * The lengths must stay what they were, and both buffers together may be replaced or absent. */
#include "r2a/core/check.h"
#include "tls_state.h"

#define IO_BOTH 3 /* BR_IO_INOUT of the engine's inner.h */

bool tls_idle_at_header(const br_ssl_engine_context *engine)
{
    return engine->ixa == 0 && engine->ixb == 0 && engine->ixc == 5;
}

bool tls_idle_is(const br_ssl_engine_context *engine)
{
    unsigned state = br_ssl_engine_current_state(engine);

    if ((state & (BR_SSL_CLOSED | BR_SSL_SENDREC | BR_SSL_RECVAPP)) != 0)
        return false;
    return engine->iomode == IO_BOTH && tls_idle_at_header(engine) && engine->oxa == engine->oxc;
}

/* NULL, so that a mistake is a crash at once and not a mixed-up stream. */
void tls_idle_detach(br_ssl_engine_context *engine)
{
    engine->ibuf = NULL;
    engine->obuf = NULL;
}

void tls_idle_attach(br_ssl_engine_context *engine, struct tls_pair *pair)
{
    check(engine->ibuf == NULL && engine->obuf == NULL);
    check(engine->ibuf_len == sizeof(pair->in));
    check(engine->obuf_len == sizeof(pair->out));
    engine->ibuf = pair->in;
    engine->obuf = pair->out;
}
