#ifndef R2A_PROVIDER_PROVIDER_H
#define R2A_PROVIDER_PROVIDER_H

#include "r2a/core/rope.h"
#include "r2a/core/slice.h"
#include "r2a/ir/fault.h"
#include "r2a/proto/list.h"

/* Where an upstream lives and how it wants to be asked. Pure: never does I/O. A kind of provider is
 * a row of provider/list.h; what the operator configured is a `struct provider_instance`, immutable
 * within its configuration generation. */

/* An upstream address taken apart. Slices live as long as the configuration. */
struct endpoint {
    bool is_tls;
    bool is_unix;
    struct slice host; /* name or address without brackets; the socket path when is_unix */
    uint16_t port;
    struct slice authority; /* what Host says: host[:port] when the port is not the scheme's own;
                               "localhost" for unix */
    struct slice path;      /* prefix without a trailing slash: "/v1" or "" */
};

struct credential {
    struct slice label; /* its name in logs: its number from 1 until accounts have labels */
    struct slice key;   /* secret; empty: none is sent */
    uint32_t board;     /* index of its record on the board */
    uint32_t weight;
};

struct provider_header {
    struct slice name;
    struct slice value;
    bool is_removed; /* configured as null: one of ours is not sent */
};

struct default_model {
    struct slice id; /* empty: none */
    bool is_forced;  /* always, not only when the request names none */
};

/* Milliseconds; -1: not set here, the next wider scope decides. Each exchange
 * holds a merged set. */
struct timeouts {
    int32_t connect_ms, first_byte_ms, idle_ms, client_header_ms, drain_ms, total_ms, hold_ms,
        keepalive_ms;
};

struct retry_rule {
    int32_t attempts;      /* tries with one key, the first included; -1: not set */
    int32_t base_delay_ms; /* -1: not set */
};

/* One entry of model_profiles: raw JSON values by flag. */
struct profile_rule {
    struct slice glob;
    struct slice flag;
    struct slice value; /* raw JSON */
};

struct provider_instance {
    struct slice name;
    uint32_t index; /* in the configuration */
    const struct provider *kind;
    struct endpoint endpoint;
    struct credential *credentials; /* at least one (perhaps with an empty key) unless is_off */
    uint32_t credentials_count;
    struct slice referer, title;     /* openrouter */
    struct provider_header *headers; /* configured, beside our own */
    uint32_t headers_count;
    struct slice *models; /* configured ids or globs served; none: any */
    uint32_t models_count;
    struct default_model default_model;
    struct timeouts timeouts;
    struct retry_rule retry;
    int8_t strict; /* 1, 0, -1 not set */
    bool is_off;   /* optional and something is missing */
    struct slice off_reason;
};

/* What one request is, for the provider that words its head. */
struct provider_request {
    const struct proto *proto; /* dialect towards the upstream */
    uint8_t operation;         /* enum brief_operation */
    bool is_stream;
    struct slice model; /* as sent upstream */
    const struct credential *credential;
    bool is_relay; /* same dialect on both sides: the client's own headers of that dialect go along
                    */
    /* Client headers that may cross, empty when absent. */
    struct slice anthropic_version, anthropic_beta, openai_beta, idempotency_key, traceparent,
        user_agent, referer, title;
    struct slice request_id;
    struct slice
        client_query; /* relay: the client's query string without credentials, without '?' */
};

/* What an upstream's refusal means for the next attempt. */
enum verdict_class {
    VERDICT_OK,
    VERDICT_CLIENT,    /* the request is wrong: no retry anywhere */
    VERDICT_AUTH,      /* this key is refused: cool it down, next key */
    VERDICT_QUOTA,     /* this key has no money: cool it down, next key */
    VERDICT_RATE,      /* this key (and model) must pause: next key */
    VERDICT_OVERLOAD,  /* upstream busy: retry with back-off, then fallback */
    VERDICT_SERVER,    /* upstream error: retry with back-off, then fallback */
    VERDICT_NETWORK,   /* not reached, or broke off before an answer */
    VERDICT_NOT_FOUND, /* no such model there: fallback */
};

struct provider {
    struct slice name;             /* the configuration's "kind" */
    struct slice default_base_url; /* empty: base_url is required */
    bool is_embedded;              /* no wire: echo */
    bool has_attribution;          /* takes referer and title */
    bool passes;    /* serves the routes without a dialect (embeddings, images, audio …) */
    bool needs_key; /* a configuration without keys is an error unless the address is loopback */
    struct slice minter; /* who mints secrets there; empty: the instance's name */
    /* Dialect towards this instance and model. */
    const struct proto *(*speaks)(const struct provider_instance *instance, struct slice model);
    /* Appends path and query after endpoint.path: "/chat/completions". Called once an attempt. */
    void (*path)(const struct provider_instance *instance, const struct provider_request *request,
                 struct rope *out);
    /* Appends complete header lines ("name: value\r\n") but Host, Content-Length, Connection. */
    void (*headers)(const struct provider_instance *instance,
                    const struct provider_request *request, struct rope *out);
    /* What a fault of this upstream means for the next attempt. NULL: provider_classify. */
    enum verdict_class (*classify)(const struct fault *fault);
};

/* The common reading of a fault (kind, upstream status). */
enum verdict_class provider_classify(const struct fault *fault);
/* Rows of provider/list.h by name; NULL when unknown. */
const struct provider *provider_find(struct slice kind);
/* All kinds, for messages: calls put once a name. */
void provider_names(void (*put)(void *context, struct slice name), void *context);
/* Refuses rows with half a provider: what is wrong, or NULL. Called at start. */
const char *provider_table_check(void);

/* --- echo: a provider without a wire --- */

/* Answers any prompt with the prompt's own words, one a call, so that demos and tests need no
 * account. echo_open initialises it; the gateway's timer asks for the next event. Borrows the
 * tape until closed. */
struct echo {
    const struct ir_tape *tape;
    const struct brief *brief;
    uint32_t event;     /* tape event whose text is under way */
    uint32_t at;        /* next byte of it */
    uint32_t turn_end;  /* the event behind the last one to look at */
    uint8_t depth;      /* parts open at `event` … */
    uint8_t parts[2];   /* … and what they are: enum ir_part */
    bool is_results;    /* the words are those of tool results */
    bool is_spoken;     /* of the part under way something was said */
    bool needs_break;   /* the next word is of another part: put a line end before it */
    uint8_t state;      /* enum in echo.c */
    uint8_t choices;    /* as many equal answers */
    uint8_t stop;       /* enum ir_stop */
    uint64_t words_out; /* words said */
    uint64_t words_max; /* UINT64_MAX: no limit */
    struct text call_name, call_args, call_space; /* `call TOOL {json}` */
    bool call_is_custom;
};
void echo_open(struct echo *echo, const struct ir_tape *tape, const struct brief *brief);
/* Puts the events of the next step (one word, or the end) into `sink`. Returns 1 while there is
 * more, 0 after END was put, <0 an error of the sink. */
int32_t echo_next(struct echo *echo, struct ir_sink *sink);

#endif
