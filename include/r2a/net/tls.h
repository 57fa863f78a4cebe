#ifndef R2A_NET_TLS_H
#define R2A_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/rope.h"
#include "r2a/core/slice.h"

/* TLS 1.2 client: a layer between the bytes of a socket and the bytes of the application. It does
 * no I/O and asks no clock: who owns the socket feeds what it received and sends what it finds in
 * the `out` rope it gave.
 *
 *   socket -> tls_feed -> plaintext slices            (the answer)
 *   plaintext -> tls_write* -> ciphertext in `out`    (the request)
 *
 * Memory (limits.h): a waiting connection costs its slot only, about 3.8 KiB. The 33 KiB buffer
 * pair is taken from the worker's pool while a handshake computes and from a record's header to its
 * end; a handshake's own workspace of 26 KiB (certificate chain) comes from a second pool. When a
 * pool is empty the connection waits in line, which tls_wants_read shows.
 *
 * Public-key work costs milliseconds: the engine calls of a full handshake are a job that runs on
 * the handshake thread (tls_thread.h). While the job is out nobody else touches the slot:
 * tls_feed consumes nothing, tls_is_out is true, and tls_free must wait. A resumed handshake, and
 * everything when there is no thread, runs in the caller.
 *
 * Verification cannot be turned off: full chain, host name or IP address, SHA-1 refused. No CRL,
 * no OCSP, no certificate transparency. */

struct tls;       /* one connection */
struct tls_env;   /* one worker: prepared contexts, pools, sessions */
struct tls_trust; /* trust anchors; immutable, shared by all threads */
struct tls_job;   /* the part of a handshake that computes */

/* --- trust anchors (tls_trust.c) --- */

struct tls_trust_report {
    char path[256];   /* the file that was read, or that could not be */
    char reason[128]; /* empty on success */
    uint32_t anchors;
    uint32_t skipped; /* certificates of a kind that cannot be an anchor here */
};

/* Reads a PEM bundle: `ca_file`; when that is NULL or empty the file named by SSL_CERT_FILE, else
 * the first of the system's usual paths. NULL on failure with the reason in *report. 40-60 ms for
 * a system's bundle: start-up or the control thread only. The result has one reference. */
struct tls_trust *tls_trust_load(const char *ca_file, struct tls_trust_report *report);
/* The same from memory. `report->path` is left alone. An empty text makes an empty set, which
 * trusts nobody: for a gateway without TLS upstreams on a system without a bundle. */
struct tls_trust *tls_trust_parse(struct slice pem, struct tls_trust_report *report);
/* References are atomic: an environment holds one, a handshake under way another. */
struct tls_trust *tls_trust_ref(struct tls_trust *trust);
void tls_trust_unref(struct tls_trust *trust);
uint32_t tls_trust_count(const struct tls_trust *trust);

/* One line naming what the library found in this processor, for --version and the log: "AES-NI,
 * PCLMULQDQ, SSE2 ChaCha20, 64-bit P-256, 64-bit RSA". Without AES-NI, ChaCha20 is asked for first.
 */
void tls_describe(char *text, size_t size);

/* --- one worker --- */

/* Hands a job to the handshake thread. Called from tls_env_flush, on the worker. The thread calls
 * tls_job_run, then brings the job back to the worker's thread, which calls tls_job_done. */
typedef void (*tls_submit_fn)(void *ctx, struct tls_job *job);

struct tls_env_cfg {
    struct tls_trust *trust; /* a reference is taken */
    uint32_t slots_max;      /* connections at once */
    uint32_t pairs_max;      /* buffer pairs; 0: TLS_PAIRS_DEFAULT */
    tls_submit_fn submit;    /* NULL: handshakes run in the caller */
    void *submit_ctx;
};

/* Start-up, on any thread; used by one thread afterwards. NULL when the system refuses memory. */
struct tls_env *tls_env_open(const struct tls_env_cfg *cfg);
/* Every tls must have been freed. */
void tls_env_close(struct tls_env *env);
/* New anchors (reload): handshakes that begin from now on use them; cached sessions and chains are
 * forgotten. */
void tls_env_set_trust(struct tls_env *env, struct tls_trust *trust);
/* Once a tick, after the connections did their work: hands jobs out and wakes connections for which
 * a buffer became free. Returns true when it woke somebody (so that a loop looks at its dirty list
 * once more). */
bool tls_env_flush(struct tls_env *env);

struct tls_stats {
    uint64_t full;          /* handshakes completed */
    uint64_t resumed;       /* of these by session id */
    uint64_t chain_hits;    /* chains found in the cache of validated ones */
    uint64_t failed;        /* handshakes that ended in an error */
    uint64_t jobs;          /* handed to the thread */
    uint64_t pair_waits;    /* times a connection had to wait for buffers */
    uint32_t slots;         /* in use now */
    uint32_t pairs;         /* in use now */
    uint32_t pairs_touched; /* ever used: 33 KiB each of memory */
};
const struct tls_stats *tls_env_stats(const struct tls_env *env);

/* --- one connection --- */

/* The peer asked for something to happen again: a job came back or a buffer became free. Called
 * from tls_job_done and tls_env_flush only, never from within tls_feed or tls_write. May call
 * anything but tls_env_*. */
typedef void (*tls_wake_fn)(void *owner, struct tls *tls);

struct tls_peer {
    struct slice name; /* what the certificate must be for: a DNS name, or an IP address literal
                          (IPv6 with or without brackets). Never empty. A trailing dot is dropped.
                          DNS names go out as SNI, addresses do not (RFC 6066 3). */
    struct slice host; /* together with port and name the key of session resumption */
    uint16_t port;
};

/* A slot. `out` (the caller's, kept until tls_free) receives ciphertext from every call below and
 * from tls_job_done. NULL when all slots are taken or the name cannot be one (then *err says so:
 * R2A_ERR_LIMIT or R2A_ERR_INVALID). */
struct tls *tls_open(struct tls_env *env, const struct tls_peer *peer, struct rope *out,
                     tls_wake_fn wake, void *owner, enum r2a_err *err);
/* Gives the slot back. Not while tls_is_out: wait for wake, then free. */
void tls_free(struct tls *tls);

enum tls_phase {
    TLS_IDLE,      /* opened; tls_start comes next */
    TLS_HANDSHAKE, /* not before this is over may application data be written */
    TLS_OPEN,      /* both directions */
    TLS_CLOSED,    /* close_notify came or went: no more data, no error */
    TLS_FAILED,    /* tls_error says why; `out` may hold an alert worth sending */
};

enum tls_phase tls_phase(const struct tls *tls);
/* Its job is out: no call but the questions here is useful, tls_free is forbidden. */
bool tls_is_out(const struct tls *tls);
/* Whether bytes from the socket can be used now: arm a recv only then. */
bool tls_wants_read(const struct tls *tls);
/* R2A_OK until the first error, then that one for ever. */
enum r2a_err tls_error(const struct tls *tls);
/* The engine's own number behind tls_error, for logs: 1 .. 63, or 256 + alert received. */
uint32_t tls_error_detail(const struct tls *tls);
/* The handshake was a resumed one. */
bool tls_is_resumed(const struct tls *tls);

/* Begins the handshake; `wall_ms` since 1970 is what certificates and sessions are compared with.
 * The ClientHello may be in `out` at once or after a wake. */
void tls_start(struct tls *tls, int64_t wall_ms);

/* Takes bytes from the socket. Returns how many of `in` were consumed (>= 0), or the error (< 0,
 * sticky). When a record is complete, *plain is its plaintext (or a part of it), which is the
 * layer's memory and valid until the next call for this tls; else it is empty.
 *
 * Call it again with the rest until it returns 0 with an empty *plain: only then is a buffer given
 * back, so do not go back to the loop before. Bytes left over then wait for a job or a buffer: keep
 * them, do not receive more, feed them after wake.
 *
 * Look at tls_phase afterwards: TLS_OPEN means the handshake ended, TLS_CLOSED a clean end. */
int32_t tls_feed(struct tls *tls, struct slice in, struct slice *plain);

/* Encrypts all of `plain` into `out`: TLS_OPEN only. Never waits: one pair is kept for this.
 * Returns R2A_OK or the sticky error (R2A_ERR_NO_MEMORY when the rope is over its budget). */
enum r2a_err tls_write(struct tls *tls, struct slice plain);
/* Encrypts from the front of `plain`, consuming it, until it is empty or `out` holds at least
 * `out_bytes_max` bytes: call again when `out` was sent. */
enum r2a_err tls_write_rope(struct tls *tls, struct rope *plain, size_t out_bytes_max);

/* The socket ended. R2A_OK when close_notify came before; R2A_ERR_TLS_TRUNCATED when data may have
 * been cut off (only the framing above knows better); R2A_ERR_PEER_EOF within the handshake, or
 * the error that was there already. */
enum r2a_err tls_eof(struct tls *tls);
/* Puts close_notify into `out` (23 bytes more) when the state allows it; send it, do not wait for
 * theirs. TLS_CLOSED afterwards. */
void tls_close(struct tls *tls);

/* --- the handshake thread's half (tls_thread.c, tests) --- */

/* What one thread that runs jobs keeps: chains it validated. Zero-initialised memory of
 * tls_runner_size bytes. */
struct tls_runner;
size_t tls_runner_size(void);

/* Computes: on the thread that owns `runner`. Touches only the job's slot. */
void tls_job_run(struct tls_job *job, struct tls_runner *runner);
/* Takes the job back, on the worker's thread: moves output to `out`, calls wake. */
void tls_job_done(struct tls_job *job);

#endif
