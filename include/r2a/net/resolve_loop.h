#ifndef R2A_NET_RESOLVE_LOOP_H
#define R2A_NET_RESOLVE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/slice.h"
#include "r2a/limits.h"
#include "r2a/net/engine.h"
#include "r2a/net/loop.h"
#include "r2a/net/resolve.h"

/* The resolver on a loop (the control thread's): its sockets, its timer, the two files, which are
 * looked at again when a question comes, at most once a second. */
struct resolve_loop;

struct resolve_loop_cfg {
    const char *hosts_path; /* NULL: /etc/hosts */
    const char *conf_path;  /* NULL: /etc/resolv.conf */
};

/* On the loop's thread, after loop_open. NULL: out of memory. */
struct resolve_loop *resolve_loop_open(struct loop *loop, const struct resolve_loop_cfg *cfg);
/* Same thread. Waiting questions are answered R2A_ERR_CANCELLED at once; sockets end within the
 * next ticks, then `done` is called (loop_close must wait for it). */
void resolve_loop_close(struct resolve_loop *service, void (*done)(void *ctx), void *ctx);
struct resolver *resolve_loop_resolver(struct resolve_loop *service);

/* A question from any thread with a loop. Embedded in its owner, which must not release it before
 * `done` was called (it cannot be called back; the answer comes after RESOLVE_MS_MAX at most).
 * Zero-initialise. */
struct resolve_ask;
typedef void (*resolve_ask_fn)(struct resolve_ask *ask);

struct resolve_ask {
    struct op op; /* carries it there and back */
    resolve_ask_fn done;
    struct loop *home;
    struct resolve_loop *service;
    struct resolve_query query;
    struct resolve_result result;
    uint8_t name_len;
    bool is_out;                           /* between resolve_ask and done */
    char name[RESOLVE_NAME_BYTES_MAX + 1]; /* with a trailing dot, perhaps */
};

/* On the asker's loop (loop_current). `done` is called on that loop, never before this returns.
 * What needs no lookup (literal, localhost, invalid) is answered without leaving the loop. */
void resolve_ask(struct resolve_loop *service, struct resolve_ask *ask, struct slice name,
                 resolve_ask_fn done);

#endif
