#ifndef R2A_GATEWAY_BACK_H
#define R2A_GATEWAY_BACK_H

#include "pool.h"
#include "r2a/core/list.h"
#include "r2a/http/document.h"
#include "r2a/http/framing.h"
#include "r2a/ir/fault.h"

/* One request to one target over one upstream connection. It knows its exchange only through
 * ex_on_* (exchange.h); whoever starts a call ends it: call_cancel is allowed at any time. */
struct exchange;

enum call_state {
    CALL_NONE,
    CALL_CONNECTING, /* name, address, TLS */
    CALL_HEAD,       /* request under way, no answer yet */
    CALL_BODY,
};

struct call {
    struct upstream *up;
    struct list_node node;  /* waiting for a name */
    struct pool_host *host; /* while it waits for name or connection */
    struct list racers;     /* connections under way, one an address */
    enum r2a_err said;      /* the most telling error of the addresses that failed */
    uint32_t addrs_tried;
    const struct framing *framing; /* NULL: a document */
    void *framing_state;
    void *decoder; /* NULL: nobody reads the meaning */
    struct document document;
    uint32_t head_seen; /* h1_response.seen */
    uint16_t status;
    uint8_t state; /* enum call_state */
    bool is_fresh; /* must not use a kept connection */
    bool was_reused;
    bool has_answer;       /* at least one byte of an answer came */
    bool is_error;         /* status is not 2xx: the document is an error */
    bool is_document_kept; /* the document's memory is lent to the client's connection */
    bool is_paused;        /* the client is slow: reading stopped */
    bool is_event_stream;
    bool is_otherwise_cut; /* events, where the client's own protocol was asked for an array */
    bool has_length;       /* of the answer's body */
    uint64_t length;
    struct slice content_type;  /* of an answer that is no event stream, cut; in the arena */
    const struct slice *coding; /* of an answer passed on as it is; in the arena; NULL: none */
};

/* Starts: the encoded request is ex->request->encoded. */
void call_start(struct exchange *ex);
/* Ends it now, whatever it does; the upstream connection is closed unless its answer is complete.
 */
void call_cancel(struct exchange *ex);
/* Gives back what an answer left behind. */
void call_free(struct exchange *ex);
/* The client took what was waiting. */
void call_resume(struct exchange *ex);

/* From the pool. */
void call_on_upstream(struct call *call, struct upstream *upstream);
void call_on_no_upstream(struct call *call, enum r2a_err err, enum fault_phase phase);
/* From the pool's connection callbacks, for a busy upstream. */
size_t call_on_bytes(struct call *call, struct slice bytes);
void call_fetch(const struct call *call, enum engine_fetch stage); /* bytes are about to come */
void call_on_writable(struct call *call);
void call_on_eof(struct call *call);
void call_on_closed(struct call *call, enum r2a_err err);

#endif
