#ifndef R2A_NET_TLS_STATE_H
#define R2A_NET_TLS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bearssl.h>

#include "r2a/core/err.h"
#include "r2a/core/list.h"
#include "r2a/core/rope.h"
#include "r2a/core/slab.h"
#include "r2a/core/slice.h"
#include "r2a/limits.h"
#include "r2a/net/engine.h"
#include "r2a/net/resolve.h"
#include "r2a/net/tls.h"

struct loop;
struct tls_thread;

/* What the files of the TLS layer share. Who does what:
 *
 *   tls.c        one connection: phases, feeding, writing, the line for buffers
 *   tls_env.c    one worker: prepared contexts, sessions, the tick
 *   tls_shake.c  the part of a handshake that computes, on whichever thread
 *   tls_chain.c  the X.509 class: chain store, validated-chain cache, IP addresses
 *   tls_trust.c  trust anchors
 *   tls_idle.c   taking the record buffers away between records
 *   tls_pool.c   the two pools
 *   tls_error.c  the engine's numbers as errors
 */

/* --- pools (tls_pool.c): slots of one size, handed out last in first out and not zeroed, so that
 * only as much memory is touched as is needed at once; after a burst all but a few slots give their
 * pages back to the system --- */

struct tls_pool {
    char *base;
    uint16_t *warm; /* free slots that keep their pages, the last one on top */
    uint16_t *cold; /* free slots without */
    size_t slot_size;
    size_t map_size;
    uint32_t max;
    uint32_t count; /* taken now */
    uint32_t touched;
    uint32_t warm_count;
    uint32_t cold_count;
};

bool tls_pool_open(struct tls_pool *pool, size_t slot_size, uint32_t max);
void tls_pool_close(struct tls_pool *pool);
void *tls_pool_take(struct tls_pool *pool); /* NULL when all are taken */
void tls_pool_give(struct tls_pool *pool, void *slot);

static inline uint32_t tls_pool_free(const struct tls_pool *pool)
{
    return pool->max - pool->count;
}

/* The engine's two record buffers: the input one must hold the largest record any server may send,
 * and a shorter output one would ask the server for shorter records. */
struct tls_pair {
    unsigned char in[BR_SSL_BUFSIZE_INPUT];
    unsigned char out[BR_SSL_BUFSIZE_OUTPUT];
};
_Static_assert(sizeof(struct tls_pair) == 33178, "the pair the memory budget speaks of");

/* --- buffers and engine (tls_idle.c) --- */

/* Whether the next byte in is the first of a record's header. */
bool tls_idle_at_header(const br_ssl_engine_context *engine);
/* Whether nothing the engine must remember lies in its buffers. */
bool tls_idle_is(const br_ssl_engine_context *engine);
void tls_idle_detach(br_ssl_engine_context *engine);
void tls_idle_attach(br_ssl_engine_context *engine, struct tls_pair *pair);

/* --- certificate chains (tls_chain.c) --- */

/* The engine's X.509 class: collects what the server sends, decides at its end. */
struct tls_chain {
    const br_x509_class *vtable; /* first: the engine sees only this */
    br_x509_minimal_context minimal;
    struct tls_trust *trust;
    struct tls_runner *runner; /* of the thread that runs the job now */
    int64_t wall_ms;
    int64_t not_after_ms; /* of the leaf, once validated */
    struct ip_addr ip;    /* len 0: `name` is a DNS name */
    uint16_t bytes;
    uint8_t certs;
    uint8_t usages;
    bool is_over; /* more than TLS_CHAIN_*_MAX came */
    bool was_hit;
    int16_t err; /* our own verdict, before the engine's number: enum r2a_err */
    uint16_t cert_bytes[TLS_CHAIN_CERTS_MAX];
    br_x509_pkey pkey;
    unsigned char pkey_data[BR_X509_BUFSIZE_KEY];
    char name[RESOLVE_NAME_BYTES_MAX + 1];
    unsigned char store[TLS_CHAIN_BYTES_MAX];
};

extern const br_x509_class tls_chain_vtable;

/* Chains one thread has validated. */
struct tls_runner {
    struct tls_chain_entry {
        unsigned char digest[32]; /* of anchors, name and chain */
        int64_t until_ms;         /* wall clock; 0: empty */
        int64_t since_ms;
        int64_t not_after_ms;
        br_x509_pkey pkey; /* pointers unset: the lengths count */
        uint8_t usages;
        unsigned char pkey_data[BR_X509_BUFSIZE_KEY];
    } entries[TLS_CHAIN_CACHE_MAX];
};

/* --- the handshake's workspace --- */

#define TLS_STAGE_IN_BYTES  4096u /* of the server's flight a job takes along */
#define TLS_STAGE_OUT_BYTES 1536u /* our longest flight is below 1 KiB */
#define TLS_KEY_BYTES       16u   /* of the digest that names a session */

struct tls_job {
    struct op op; /* tls_thread.c: travels there and back */
    struct loop *home;
    struct tls_thread *thread;
    struct tls *tls;
};

struct tls_work {
    struct tls_job job;
    unsigned char session_key[TLS_KEY_BYTES];
    br_ssl_session_parameters offered;
    bool has_offered;
    bool is_begun;   /* the engine was reset, the ClientHello made */
    bool is_checked; /* whether the server resumes is known (has_offered) */
    bool runs_here;  /* in the caller, not on the thread */
    uint16_t in_at;
    uint16_t in_len;
    uint16_t out_len;
    unsigned char in[TLS_STAGE_IN_BYTES];
    unsigned char out[TLS_STAGE_OUT_BYTES];
    struct tls_chain chain;
};

/* Runs the engine as far as the staged input goes. Touches nothing but the slot and its work. */
void tls_shake_run(struct tls *tls, struct tls_runner *runner);

/* --- one connection --- */

enum tls_line {
    TLS_LINE_NONE,
    TLS_LINE_JOB,   /* env->jobs: goes out at the next flush */
    TLS_LINE_OUT,   /* the job is on the thread */
    TLS_LINE_START, /* env->starts: waits for buffers to begin with */
    TLS_LINE_SHAKE, /* env->starts: waits for a pair to go on with its handshake */
    TLS_LINE_PAIR,  /* env->readers: waits for a pair for the record that comes */
};

/* What tls_open was told, until the handshake has a place for it. */
struct tls_intent {
    char name[RESOLVE_NAME_BYTES_MAX + 1];
    struct ip_addr ip; /* len 0: a DNS name */
    unsigned char session_key[TLS_KEY_BYTES];
    int64_t wall_ms;
};

struct tls {
    union {
        br_ssl_client_context client; /* engine state, keys */
        struct tls_intent intent;     /* before that: no tls_work yet and TLS_IDLE, TLS_HANDSHAKE */
    } u;
    struct tls_env *env;
    struct tls_pair *pair; /* NULL while nothing is under way */
    struct tls_work *work; /* handshake only */
    struct rope *out;
    struct list_node node; /* in the line that `line` names */
    tls_wake_fn wake;
    void *owner;
    uint16_t plain_len; /* lent to the caller */
    uint16_t detail;
    int16_t err;
    uint8_t phase; /* enum tls_phase */
    uint8_t line;  /* enum tls_line */
    uint8_t head_len;
    unsigned char head[5]; /* of a record's header, while it is incomplete or waits for a pair */
    bool is_resumed;
};
#if defined(__x86_64__)
_Static_assert(sizeof(br_ssl_client_context) == 3720, "another BearSSL: check tls_idle.c anew");
_Static_assert(sizeof(struct tls) <= 3840,
               "a waiting stream costs this (io budget: 3,776 + links)");
#endif

/* --- one worker (tls_env.c) --- */

#define TLS_SESSION_WAYS 4u /* places one key may be in */

struct tls_session {
    unsigned char key[TLS_KEY_BYTES];
    int64_t until_ms; /* 0: empty */
    int64_t used_ms;
    br_ssl_session_parameters parameters;
};

struct tls_env {
    br_ssl_client_context client; /* prepared, never used for a connection */
    br_x509_minimal_context minimal;
    struct tls_trust *trust;
    struct slab slots;
    struct tls_pool pairs;
    struct tls_pool works;
    uint32_t pairs_for_records; /* free pairs that a handshake leaves alone */
    struct list jobs;
    struct list starts;
    struct list readers;
    tls_submit_fn submit;
    void *submit_ctx;
    struct tls_stats stats;
    struct tls_runner *runner; /* for handshakes that run here */
    struct tls_session sessions[TLS_SESSIONS_MAX / TLS_SESSION_WAYS][TLS_SESSION_WAYS];
};

/* Prepares the two template contexts for `env->trust`. */
void tls_env_prepare(struct tls_env *env);
/* NULL when none is known that still holds. */
const br_ssl_session_parameters *
tls_env_find_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES], int64_t wall_ms);
void tls_env_keep_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES],
                          const br_ssl_session_parameters *parameters, int64_t wall_ms,
                          int64_t not_after_ms);
void tls_env_drop_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES]);

/* Free pairs that must remain after one was taken: a write may always take the last one, since it
 * gives it back before it returns; a record that is there as a whole leaves that one, a record that
 * is still arriving one more, handshakes (which last round trips) env->pairs_for_records. */
#define TLS_LEAVE_WRITE 0u
#define TLS_LEAVE_WHOLE 1u
#define TLS_LEAVE_PART  2u

/* Takes a pair for the engine; false when too few are free. */
bool tls_take_pair(struct tls *tls, uint32_t leave);
/* Takes what a handshake needs, to begin it or to go on; false when there is too little. */
bool tls_begin(struct tls *tls);
bool tls_go_on(struct tls *tls);

/* --- trust (tls_trust.c) --- */

const br_x509_trust_anchor *tls_trust_anchors(const struct tls_trust *trust);
/* Never the same twice in a process. */
uint64_t tls_trust_serial(const struct tls_trust *trust);

/* --- errors (tls_error.c) --- */

/* What an engine error means; `has_chain`: certificates had come before. */
enum r2a_err tls_err_from_engine(int code, bool has_chain);

#endif
