#ifndef R2A_GATEWAY_METRICS_H
#define R2A_GATEWAY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "r2a/core/rope.h"
#include "r2a/ir/fault.h"

/* Every thread counts on a page of its own with relaxed stores; whoever serves /metrics adds the
 * pages up. One row a counter: X(field, prometheus name, help). */
#define METRICS_COUNTERS(X)                                                                        \
    X(requests, "ring2api_requests_total", "Requests received, whatever their answer")             \
    X(streams, "ring2api_streams_total", "Exchanges answered as a stream")                         \
    X(relayed, "ring2api_exchanges_relayed_total",                                                 \
      "Exchanges passed on in the client's own protocol")                                          \
    X(translated, "ring2api_exchanges_translated_total", "Exchanges translated between protocols") \
    X(tokens_in, "ring2api_input_tokens_total", "Prompt tokens, cached ones included")             \
    X(tokens_cached, "ring2api_cached_tokens_total", "Prompt tokens read from a cache")            \
    X(tokens_out, "ring2api_output_tokens_total", "Generated tokens, reasoning included")          \
    X(tokens_reasoning, "ring2api_reasoning_tokens_total", "Reasoning tokens")                     \
    X(usage_estimated, "ring2api_usage_estimated_total", "Exchanges whose usage is an estimate")   \
    X(dropped_names, "ring2api_dropped_total", "Request members a target could not carry")         \
    X(answer_losses, "ring2api_answer_losses_total",                                               \
      "Parts of answers a client protocol could not carry")                                        \
    X(upstream_connects, "ring2api_upstream_connects_total", "Upstream connections opened")        \
    X(upstream_reuses, "ring2api_upstream_reuses_total",                                           \
      "Requests sent on a kept upstream connection")                                               \
    X(upstream_stale, "ring2api_upstream_stale_total", "Kept connections found closed when used")  \
    X(tls_full, "ring2api_tls_full_handshakes_total", "Full TLS handshakes")                       \
    X(tls_resumed, "ring2api_tls_resumed_handshakes_total", "Resumed TLS handshakes")              \
    X(retries, "ring2api_retries_total", "Attempts after the first, of one target")                \
    X(key_moves, "ring2api_key_moves_total", "Moves to another key of a provider")                 \
    X(fallbacks, "ring2api_fallbacks_total", "Moves to another provider")                          \
    X(cancelled, "ring2api_cancelled_total", "Exchanges whose client left")                        \
    X(streams_broken, "ring2api_streams_broken_total", "Streams that ended in an error")           \
    X(refused_memory, "ring2api_refused_memory_total", "Requests refused by the memory budget")    \
    X(glitches, "ring2api_client_glitches_total", "Oddities in clients' HTTP")                     \
    X(log_lost, "ring2api_log_lines_lost_total", "Log lines that could not be written")            \
    X(bytes_in, "ring2api_client_bytes_in_total", "Bytes received from clients")                   \
    X(bytes_out, "ring2api_client_bytes_out_total", "Bytes sent to clients")

#define METRICS_BUCKETS 12u /* of time to first token: METRICS_BUCKET_MS */

struct metrics_page {
#define X(field, name, help) _Atomic uint64_t field;
    METRICS_COUNTERS(X)
#undef X
    _Atomic uint64_t status[6];                 /* answers by class: [2] 2xx … */
    _Atomic uint64_t faults[FAULT_PHASES];      /* upstream errors by phase */
    _Atomic uint64_t ttft[METRICS_BUCKETS + 1]; /* first token histogram; last: +Inf */
    _Atomic uint64_t ttft_sum_ms, ttft_count;
    _Atomic uint64_t duration[METRICS_BUCKETS + 1];
    _Atomic uint64_t duration_sum_ms, duration_count;
    /* gauges */
    _Atomic uint64_t clients_open, exchanges_open, upstreams_open, upstreams_idle;
    _Atomic uint64_t exchanges_limit, clients_limit, upstreams_limit;
};

static inline void metric_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
#define metric_inc(page, field) metric_add(&(page)->field, 1)

void metrics_first_token(struct metrics_page *page, uint64_t ms);
void metrics_duration(struct metrics_page *page, uint64_t ms);

/* What only the process knows. */
struct metrics_process {
    uint64_t memory_used, memory_peak, memory_limit, memory_refused;
    uint64_t uptime_s;
    uint64_t generation; /* configuration */
    bool is_draining;
    const char *version;
};
/* Prometheus text exposition format 0.0.4 of the sum of `count` pages. */
void metrics_write(struct metrics_page *const *pages, uint32_t count,
                   const struct metrics_process *process, struct rope *out);

#endif
