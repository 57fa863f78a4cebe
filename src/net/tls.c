/* One TLS connection: its phases, bytes in, bytes out, and who has the buffers.
 *
 *            tls_start          handshake over         close_notify
 *   IDLE ----------------> HANDSHAKE ----------> OPEN ---------------> CLOSED
 *                              |                   |
 *                              +----- an error ----+----> FAILED
 *
 * What computes for milliseconds is in tls_shake.c; certificates are judged in tls_chain.c. */
#include "r2a/net/tls.h"

#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "tls_state.h"

#define RECORD_HANDSHAKE 22 /* ContentType, RFC 5246 6.2.1 */

static br_ssl_engine_context *engine_of(struct tls *tls)
{
    return &tls->u.client.eng;
}

/* --- buffers --- */

bool tls_take_pair(struct tls *tls, uint32_t leave)
{
    struct tls_env *env = tls->env;

    check(tls->pair == NULL);
    if (tls_pool_free(&env->pairs) <= leave)
        return false;
    tls->pair = tls_pool_take(&env->pairs);
    check(tls->pair != NULL);
    if (tls->phase == TLS_OPEN || tls->work != NULL) /* else the engine is not set up yet */
        tls_idle_attach(engine_of(tls), tls->pair);
    return true;
}

static void drop_pair(struct tls *tls)
{
    if (tls->pair == NULL)
        return;
    check(tls->plain_len == 0);
    tls_idle_detach(engine_of(tls));
    tls_pool_give(&tls->env->pairs, tls->pair);
    tls->pair = NULL;
}

static void drop_pair_if_idle(struct tls *tls)
{
    if (tls->pair != NULL && tls->plain_len == 0 && tls_idle_is(engine_of(tls)))
        drop_pair(tls);
}

static void drop_work(struct tls *tls)
{
    struct tls_work *work = tls->work;

    if (work == NULL)
        return;
    check(tls->line != TLS_LINE_OUT);
    br_ssl_engine_set_x509(engine_of(tls), NULL);
    explicit_bzero(&work->offered, sizeof(work->offered));
    tls_trust_unref(work->chain.trust);
    tls_pool_give(&tls->env->works, work);
    tls->work = NULL;
}

static void leave_line(struct tls *tls)
{
    check(tls->line != TLS_LINE_OUT);
    list_remove(&tls->node);
    tls->line = TLS_LINE_NONE;
}

/* The plaintext lent to the caller is done with. */
static void settle_plain(struct tls *tls)
{
    br_ssl_engine_context *engine = engine_of(tls);
    unsigned char *bytes;
    size_t len;

    if (tls->plain_len == 0)
        return;
    bytes = br_ssl_engine_recvapp_buf(engine, &len);
    if (bytes != NULL) {
        check(len == tls->plain_len);
        memset(bytes, 0, len); /* the pair's next user must not find it */
        br_ssl_engine_recvapp_ack(engine, len);
    } else { /* the engine failed meanwhile and says no more where it was */
        memset(tls->pair->in, 0, sizeof(tls->pair->in));
    }
    tls->plain_len = 0;
}

/* Ends a connection's use of the engine; keys are wiped by tls_free. */
static void end(struct tls *tls, enum tls_phase phase)
{
    settle_plain(tls);
    leave_line(tls);
    drop_work(tls);
    drop_pair(tls);
    tls->phase = (uint8_t)phase;
}

static enum r2a_err fail(struct tls *tls, enum r2a_err err, int detail)
{
    check(err < 0);
    if (tls->phase == TLS_HANDSHAKE) {
        tls->env->stats.failed++;
        if (tls->work != NULL && tls->work->has_offered)
            tls_env_drop_session(tls->env, tls->work->session_key);
    }
    tls->err = (int16_t)err;
    tls->detail = (uint16_t)detail;
    end(tls, TLS_FAILED);
    return err;
}

/* The engine is closed: for good reason, or with an error. */
static enum r2a_err take_end(struct tls *tls)
{
    int code = br_ssl_engine_last_error(engine_of(tls));

    if (code == BR_ERR_OK) {
        end(tls, TLS_CLOSED);
        return R2A_OK;
    }

    enum r2a_err err = tls_err_from_engine(code, true);

    if (err == R2A_ERR_TLS_CLIENT_CERT) /* a guess that holds within the handshake only */
        err = R2A_ERR_TLS_PROTOCOL;
    return fail(tls, err, code);
}

/* --- open and free --- */

/* Lower case as BearSSL compares it anyway, and so that one spelling is one session. */
static bool take_name(struct tls_intent *intent, struct slice name)
{
    if (ip_addr_parse(name, &intent->ip))
        return true;
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > RESOLVE_NAME_BYTES_MAX || !resolve_name_is_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        intent->name[i] = char_to_lower(name.ptr[i]);
    intent->name[name.len] = '\0';
    return true;
}

static void hash_part(br_sha256_context *sha, const void *bytes, size_t len)
{
    unsigned char size[2] = {(unsigned char)(len >> 8), (unsigned char)len};

    br_sha256_update(sha, size, sizeof(size));
    br_sha256_update(sha, bytes, len);
}

static void name_session(struct tls_intent *intent, const struct tls_peer *peer)
{
    unsigned char digest[32];
    unsigned char port[2] = {(unsigned char)(peer->port >> 8), (unsigned char)peer->port};
    br_sha256_context sha;

    char host[RESOLVE_NAME_BYTES_MAX + 1];
    size_t host_len = peer->host.len < sizeof(host) ? peer->host.len : sizeof(host);

    for (size_t i = 0; i < host_len; i++)
        host[i] = char_to_lower(peer->host.ptr[i]);
    br_sha256_init(&sha);
    hash_part(&sha, host, host_len);
    hash_part(&sha, port, sizeof(port));
    hash_part(&sha, intent->name, strlen(intent->name));
    hash_part(&sha, intent->ip.bytes, intent->ip.len);
    br_sha256_out(&sha, digest);
    memcpy(intent->session_key, digest, TLS_KEY_BYTES);
}

struct tls *tls_open(struct tls_env *env, const struct tls_peer *peer, struct rope *out,
                     tls_wake_fn wake, void *owner, enum r2a_err *err)
{
    struct tls_intent intent = {0};
    struct tls *tls;

    /* An empty name would turn the library's check of it off: that is a mistake of ours. */
    check(peer->name.len > 0);
    *err = R2A_ERR_INVALID;
    if (!take_name(&intent, peer->name))
        return NULL;
    name_session(&intent, peer);
    *err = R2A_ERR_LIMIT;
    tls = slab_take(&env->slots);
    if (tls == NULL)
        return NULL;
    *err = R2A_OK;
    tls->env = env;
    tls->out = out;
    tls->wake = wake;
    tls->owner = owner;
    tls->phase = TLS_IDLE;
    tls->u.intent = intent;
    return tls;
}

void tls_free(struct tls *tls)
{
    struct tls_env *env = tls->env;

    check(tls->line != TLS_LINE_OUT);
    end(tls, TLS_CLOSED);
    explicit_bzero(tls, sizeof(*tls)); /* keys */
    slab_give(&env->slots, tls);
}

/* --- questions --- */

enum tls_phase tls_phase(const struct tls *tls)
{
    return (enum tls_phase)tls->phase;
}

bool tls_is_out(const struct tls *tls)
{
    return tls->line == TLS_LINE_OUT;
}

bool tls_wants_read(const struct tls *tls)
{
    switch ((enum tls_phase)tls->phase) {
    case TLS_HANDSHAKE:
        return tls->line == TLS_LINE_NONE && tls->work != NULL &&
               tls->work->in_len < sizeof(tls->work->in);
    case TLS_OPEN:
        return tls->line == TLS_LINE_NONE;
    case TLS_IDLE:
    case TLS_CLOSED:
    case TLS_FAILED:
        return false;
    }
    unreachable();
}

enum r2a_err tls_error(const struct tls *tls)
{
    return (enum r2a_err)tls->err;
}

uint32_t tls_error_detail(const struct tls *tls)
{
    return tls->detail;
}

bool tls_is_resumed(const struct tls *tls)
{
    return tls->is_resumed;
}

/* --- handshake --- */

static void keep_session(struct tls *tls)
{
    struct tls_work *work = tls->work;
    br_ssl_session_parameters parameters;

    br_ssl_engine_get_session_parameters(engine_of(tls), &parameters);
    if (work->has_offered && parameters.session_id_len == work->offered.session_id_len &&
        memcmp(parameters.session_id, work->offered.session_id, parameters.session_id_len) == 0) {
        tls->is_resumed = true; /* kept already, with the end of its first certificate */
    } else if (parameters.session_id_len != 0) {
        tls_env_keep_session(tls->env, work->session_key, &parameters, work->chain.wall_ms,
                             work->chain.not_after_ms);
    } else if (work->has_offered) {
        tls_env_drop_session(tls->env, work->session_key);
    }
    explicit_bzero(&parameters, sizeof(parameters));
}

static void finish_handshake(struct tls *tls)
{
    struct tls_work *work = tls->work;

    keep_session(tls);
    tls->env->stats.full += tls->is_resumed ? 0 : 1;
    tls->env->stats.resumed += tls->is_resumed ? 1 : 0;
    tls->env->stats.chain_hits += work->chain.was_hit ? 1 : 0;
    tls->phase = TLS_OPEN;
    if (work->in_at == work->in_len) /* else tls_feed goes on there first */
        drop_work(tls);
    drop_pair_if_idle(tls);
}

static void run(struct tls *tls);

/* Looks at what a run of the engine came to; on the worker. */
static void settle_run(struct tls *tls)
{
    struct tls_work *work = tls->work;
    unsigned state = br_ssl_engine_current_state(engine_of(tls));
    int code = br_ssl_engine_last_error(engine_of(tls));

    rope_put(tls->out, slice_of((const char *)work->out, work->out_len));
    work->out_len = 0;
    if ((state & BR_SSL_CLOSED) != 0) {
        enum r2a_err err = (enum r2a_err)work->chain.err;

        if (code == BR_ERR_OK) /* close_notify instead of a handshake */
            err = R2A_ERR_PEER_EOF;
        else if (err == R2A_OK || code < BR_ERR_X509_OK || code > BR_ERR_X509_NOT_TRUSTED)
            err = tls_err_from_engine(code, work->chain.certs > 0);
        (void)fail(tls, err, code);
        return;
    }
    if (tls->out->err != R2A_OK) {
        (void)fail(tls, tls->out->err, 0);
        return;
    }
    if ((state & BR_SSL_SENDAPP) != 0) {
        finish_handshake(tls);
        return;
    }
    memmove(work->in, work->in + work->in_at, (size_t)(work->in_len - work->in_at));
    work->in_len = (uint16_t)(work->in_len - work->in_at);
    work->in_at = 0;
    if (work->in_len > 0 || (state & BR_SSL_SENDREC) != 0)
        run(tls); /* the stage for output was full */
    else
        drop_pair_if_idle(tls); /* a server that takes its time keeps nobody else waiting */
}

/* Runs the engine over the staged bytes: here and now, or as a job of the next flush. */
static void run(struct tls *tls)
{
    if (tls->work->runs_here) {
        tls_shake_run(tls, tls->env->runner);
        settle_run(tls);
        return;
    }
    check(tls->line == TLS_LINE_NONE);
    tls->line = TLS_LINE_JOB;
    list_push_back(&tls->env->jobs, &tls->node);
}

bool tls_begin(struct tls *tls)
{
    struct tls_env *env = tls->env;
    struct tls_intent intent = tls->u.intent;
    const br_ssl_session_parameters *session;
    struct tls_work *work;

    check(tls->work == NULL && tls->phase == TLS_HANDSHAKE);
    if (tls_pool_free(&env->works) == 0 || !tls_take_pair(tls, env->pairs_for_records))
        return false;
    leave_line(tls);
    work = tls_pool_take(&env->works);
    tls->work = work;
    work->job = (struct tls_job){.tls = tls};
    memcpy(work->session_key, intent.session_key, TLS_KEY_BYTES);
    work->is_begun = false;
    work->is_checked = false;
    work->in_at = 0;
    work->in_len = 0;
    work->out_len = 0;

    struct tls_chain *chain = &work->chain;

    chain->vtable = &tls_chain_vtable;
    chain->minimal = env->minimal;
    chain->trust = tls_trust_ref(env->trust);
    chain->runner = NULL;
    chain->wall_ms = intent.wall_ms;
    chain->not_after_ms = 0;
    chain->ip = intent.ip;
    chain->certs = 0;
    chain->was_hit = false;
    chain->err = R2A_OK;
    chain->pkey = (br_x509_pkey){0};
    memcpy(chain->name, intent.name, sizeof(chain->name));

    session = tls_env_find_session(env, work->session_key, intent.wall_ms);
    work->has_offered = session != NULL;
    if (session != NULL)
        work->offered = *session;
    /* A resumed handshake is 0.1 ms: not worth two hops. Whether the server agrees, which decides
     * what comes next, is looked at before its answer is fed. */
    work->runs_here = env->submit == NULL || work->has_offered;

    tls->u.client = env->client;
    br_ssl_engine_set_x509(engine_of(tls), &chain->vtable);
    br_ssl_engine_set_buffers_bidi(engine_of(tls), tls->pair->in, sizeof(tls->pair->in),
                                   tls->pair->out, sizeof(tls->pair->out));
    run(tls);
    return true;
}

bool tls_go_on(struct tls *tls)
{
    if (tls->pair == NULL && !tls_take_pair(tls, tls->env->pairs_for_records))
        return false;
    leave_line(tls);
    run(tls);
    return true;
}

static void wait_in_line(struct tls *tls, enum tls_line line)
{
    tls->env->stats.pair_waits++;
    tls->line = (uint8_t)line;
    list_push_back(line == TLS_LINE_PAIR ? &tls->env->readers : &tls->env->starts, &tls->node);
}

void tls_start(struct tls *tls, int64_t wall_ms)
{
    check(tls->phase == TLS_IDLE);
    tls->phase = TLS_HANDSHAKE;
    tls->u.intent.wall_ms = wall_ms;
    /* Those who came before come first. */
    if (!list_is_empty(&tls->env->starts) || !tls_begin(tls))
        wait_in_line(tls, TLS_LINE_START);
}

void tls_job_done(struct tls_job *job)
{
    struct tls *tls = job->tls;

    check(tls->line == TLS_LINE_OUT);
    tls->line = TLS_LINE_NONE;
    settle_run(tls);
    if (tls->wake != NULL)
        tls->wake(tls->owner, tls);
}

enum answer {
    ANSWER_UNKNOWN,
    ANSWER_RESUMES,
    ANSWER_FULL,
};

/* Whether the ServerHello staged so far repeats the session id that was offered (RFC 5246 7.4.1.3):
 * record header, message header, version, random, then the id. */
static enum answer look_at_answer(const struct tls_work *work)
{
    const size_t id_at = 5 + 4 + 2 + 32;
    size_t id_len = work->offered.session_id_len;
    const unsigned char *in = work->in;

    if (work->in_len > 0 && in[0] != RECORD_HANDSHAKE)
        return ANSWER_RESUMES; /* an alert: nothing to compute */
    if (work->in_len < 5)
        return ANSWER_UNKNOWN;
    if ((size_t)(in[3] << 8 | in[4]) < id_at - 5 + 1 + id_len)
        return ANSWER_FULL; /* cut into small records: be safe */
    if (work->in_len < id_at + 1 + id_len)
        return ANSWER_UNKNOWN;
    if (in[id_at] == id_len && memcmp(in + id_at + 1, work->offered.session_id, id_len) == 0)
        return ANSWER_RESUMES;
    return ANSWER_FULL;
}

static int32_t feed_handshake(struct tls *tls, struct slice in)
{
    struct tls_work *work = tls->work;
    size_t len;

    if (tls->line != TLS_LINE_NONE || in.len == 0)
        return 0;
    check(work != NULL);
    len = sizeof(work->in) - work->in_len;
    if (len > in.len)
        len = in.len;
    memcpy(work->in + work->in_len, in.ptr, len);
    work->in_len = (uint16_t)(work->in_len + len);
    if (work->has_offered && !work->is_checked) {
        enum answer answer = look_at_answer(work);

        if (answer == ANSWER_UNKNOWN)
            return (int32_t)len;
        work->is_checked = true;
        if (answer == ANSWER_FULL)
            work->runs_here = tls->env->submit == NULL;
    }
    if (!tls_go_on(tls))
        wait_in_line(tls, TLS_LINE_SHAKE);
    return tls->phase == TLS_FAILED ? tls->err : (int32_t)len;
}

/* --- application data, in --- */

/* Moves finished records to `out`; false when the rope is over its budget. */
static bool drain(struct tls *tls)
{
    br_ssl_engine_context *engine = engine_of(tls);
    size_t len;
    unsigned char *bytes;

    while ((bytes = br_ssl_engine_sendrec_buf(engine, &len)) != NULL) {
        rope_put(tls->out, slice_of((const char *)bytes, len));
        br_ssl_engine_sendrec_ack(engine, len);
    }
    return tls->out->err == R2A_OK;
}

static void push(struct tls *tls, const void *bytes, size_t len)
{
    br_ssl_engine_context *engine = engine_of(tls);
    size_t room;
    unsigned char *window = br_ssl_engine_recvrec_buf(engine, &room);

    check(window != NULL && room >= len);
    memcpy(window, bytes, len);
    br_ssl_engine_recvrec_ack(engine, len);
}

static size_t gather_head(struct tls *tls, struct slice in)
{
    size_t len = sizeof(tls->head) - tls->head_len;

    if (len > in.len)
        len = in.len;
    if (len > 0)
        memcpy(tls->head + tls->head_len, in.ptr, len);
    tls->head_len = (uint8_t)(tls->head_len + len);
    return len;
}

/* A record's header is complete: takes a pair for it. `rest` is what is there of its body. */
static bool take_pair_for_record(struct tls *tls, size_t rest)
{
    size_t body = (size_t)(tls->head[3] << 8 | tls->head[4]);

    if (tls_take_pair(tls, rest >= body ? TLS_LEAVE_WHOLE : TLS_LEAVE_PART))
        return true;
    wait_in_line(tls, TLS_LINE_PAIR);
    return false;
}

/* Feeds the engine until there is plaintext, an end, or no more input. */
static int32_t feed_open(struct tls *tls, struct slice in, struct slice *plain)
{
    br_ssl_engine_context *engine = engine_of(tls);
    size_t at = 0;

    if (tls->line != TLS_LINE_NONE)
        return 0;
    for (;;) {
        size_t len;
        unsigned char *bytes;

        if (tls->pair == NULL || tls_idle_at_header(engine)) {
            at += gather_head(tls, slice_skip(in, at));
            if (tls->head_len < sizeof(tls->head))
                break;
            if (tls->pair == NULL && !take_pair_for_record(tls, in.len - at))
                return (int32_t)at;
            push(tls, tls->head, sizeof(tls->head));
            tls->head_len = 0;
        } else {
            bytes = br_ssl_engine_recvrec_buf(engine, &len);
            check(bytes != NULL);
            if (len > in.len - at)
                len = in.len - at;
            if (len == 0)
                break;
            push(tls, in.ptr + at, len);
            at += len;
        }
        if (!drain(tls))
            return fail(tls, tls->out->err, 0);
        if ((br_ssl_engine_current_state(engine) & BR_SSL_CLOSED) != 0) {
            enum r2a_err err = take_end(tls);

            return err < 0 ? (int32_t)err : (int32_t)in.len;
        }
        bytes = br_ssl_engine_recvapp_buf(engine, &len);
        if (bytes != NULL) {
            *plain = slice_of((const char *)bytes, len);
            tls->plain_len = (uint16_t)len;
            return (int32_t)at;
        }
    }
    drop_pair_if_idle(tls);
    return (int32_t)at;
}

/* What the handshake left on its stage comes first. */
static int32_t feed_stage(struct tls *tls, struct slice *plain)
{
    struct tls_work *work = tls->work;
    struct slice rest =
        slice_of((const char *)work->in + work->in_at, (size_t)(work->in_len - work->in_at));
    int32_t taken = feed_open(tls, rest, plain);

    if (taken < 0)
        return taken;
    if (tls->work != NULL) { /* it is gone when that was the end */
        work->in_at = (uint16_t)(work->in_at + taken);
        if (work->in_at == work->in_len)
            drop_work(tls);
    }
    return 0;
}

int32_t tls_feed(struct tls *tls, struct slice in, struct slice *plain)
{
    *plain = (struct slice){0};
    if (in.len > TLS_FEED_BYTES_MAX)
        in.len = TLS_FEED_BYTES_MAX;
    if (tls->line == TLS_LINE_OUT)
        return 0;
    settle_plain(tls);
    switch ((enum tls_phase)tls->phase) {
    case TLS_IDLE:
        return 0;
    case TLS_HANDSHAKE:
        return feed_handshake(tls, in);
    case TLS_OPEN:
        if (tls->work != NULL) {
            int32_t err = feed_stage(tls, plain);

            if (err < 0 || plain->len > 0 || tls->work != NULL)
                return err;
        }
        if (tls->phase == TLS_OPEN)
            return feed_open(tls, in, plain);
        return (int32_t)in.len;
    case TLS_CLOSED:
        return (int32_t)in.len; /* nothing after close_notify counts */
    case TLS_FAILED:
        return tls->err;
    }
    unreachable();
}

/* --- application data, out --- */

/* Begins to write: with the pair a record being received has, or one for the length of this call.
 * There is always one left for that (TLS_LEAVE_WHOLE). */
static void prepare_write(struct tls *tls)
{
    check(tls->phase == TLS_OPEN);
    if (tls->pair != NULL)
        return;
    if (tls->line == TLS_LINE_PAIR) /* it may have it for good: the wait is over then */
        check(tls->head_len == sizeof(tls->head));
    check(tls_take_pair(tls, TLS_LEAVE_WRITE));
}

/* Room for plaintext in the record being filled. */
static unsigned char *window(struct tls *tls, size_t *len)
{
    unsigned char *room = br_ssl_engine_sendapp_buf(engine_of(tls), len);

    if (room == NULL && drain(tls))
        room = br_ssl_engine_sendapp_buf(engine_of(tls), len);
    return room;
}

static enum r2a_err end_write(struct tls *tls)
{
    br_ssl_engine_flush(engine_of(tls), 0);
    if (!drain(tls))
        return fail(tls, tls->out->err, 0);
    if ((br_ssl_engine_current_state(engine_of(tls)) & BR_SSL_CLOSED) != 0)
        return take_end(tls);
    drop_pair_if_idle(tls);
    return R2A_OK;
}

enum r2a_err tls_write(struct tls *tls, struct slice plain)
{
    if (tls->err != R2A_OK)
        return (enum r2a_err)tls->err;
    prepare_write(tls);
    while (plain.len > 0) {
        size_t len;
        unsigned char *room = window(tls, &len);

        if (room == NULL)
            break;
        if (len > plain.len)
            len = plain.len;
        memcpy(room, plain.ptr, len);
        br_ssl_engine_sendapp_ack(engine_of(tls), len);
        plain = slice_skip(plain, len);
    }
    return end_write(tls);
}

enum r2a_err tls_write_rope(struct tls *tls, struct rope *plain, size_t out_bytes_max)
{
    if (tls->err != R2A_OK)
        return (enum r2a_err)tls->err;
    prepare_write(tls);
    while (plain->bytes > 0 && tls->out->bytes < out_bytes_max) {
        struct iovec vec;
        size_t len;
        unsigned char *room = window(tls, &len);

        if (room == NULL)
            break;
        check(rope_peek(plain, &vec, 1) == 1);
        if (len > vec.iov_len)
            len = vec.iov_len;
        memcpy(room, vec.iov_base, len);
        br_ssl_engine_sendapp_ack(engine_of(tls), len);
        rope_consume(plain, len);
        if (br_ssl_engine_sendapp_buf(engine_of(tls), &len) == NULL && !drain(tls))
            break; /* a full record went out, so that `out` says how much there is */
    }
    return end_write(tls);
}

/* --- ends --- */

enum r2a_err tls_eof(struct tls *tls)
{
    switch ((enum tls_phase)tls->phase) {
    case TLS_IDLE:
    case TLS_HANDSHAKE:
        if (tls->line == TLS_LINE_OUT)
            return R2A_ERR_PEER_EOF; /* the slot is the job's; tls_free comes after it */
        return fail(tls, R2A_ERR_PEER_EOF, 0);
    case TLS_OPEN:
        return fail(tls, R2A_ERR_TLS_TRUNCATED, 0);
    case TLS_CLOSED:
        return R2A_OK;
    case TLS_FAILED:
        return (enum r2a_err)tls->err;
    }
    unreachable();
}

void tls_close(struct tls *tls)
{
    if (tls->line == TLS_LINE_OUT)
        return;
    if (tls->phase == TLS_OPEN) {
        settle_plain(tls);
        prepare_write(tls);
        br_ssl_engine_close(engine_of(tls));
        (void)drain(tls);
    }
    if (tls->phase != TLS_FAILED)
        end(tls, TLS_CLOSED);
}
