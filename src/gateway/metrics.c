#include "metrics.h"

/* Counting is inline; here the pages are added up and worded (Prometheus text format 0.0.4). */

static const uint64_t bucket_ms[METRICS_BUCKETS] = {10,   25,   50,   100,   250,   500,
                                                    1000, 2500, 5000, 10000, 30000, 60000};

static void count_bucket(_Atomic uint64_t *buckets, _Atomic uint64_t *sum, _Atomic uint64_t *count,
                         uint64_t ms)
{
    uint32_t i = 0;

    while (i < METRICS_BUCKETS && ms > bucket_ms[i])
        i++;
    metric_add(&buckets[i], 1);
    metric_add(sum, ms);
    metric_add(count, 1);
}

void metrics_first_token(struct metrics_page *page, uint64_t ms)
{
    count_bucket(page->ttft, &page->ttft_sum_ms, &page->ttft_count, ms);
}

void metrics_duration(struct metrics_page *page, uint64_t ms)
{
    count_bucket(page->duration, &page->duration_sum_ms, &page->duration_count, ms);
}

/* The sum of one member over all pages, by its offset. */
static uint64_t sum_at(struct metrics_page *const *pages, uint32_t count, size_t offset)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *at = (const char *)pages[i] + offset;

        sum +=
            atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_relaxed);
    }
    return sum;
}
#define SUM(member) sum_at(pages, count, offsetof(struct metrics_page, member))

static void put_head(struct rope *out, const char *name, const char *help, const char *type)
{
    rope_put(out, S("# HELP "));
    rope_put(out, slice_from_z(name));
    rope_put_char(out, ' ');
    rope_put(out, slice_from_z(help));
    rope_put(out, S("\n# TYPE "));
    rope_put(out, slice_from_z(name));
    rope_put_char(out, ' ');
    rope_put(out, slice_from_z(type));
    rope_put_char(out, '\n');
}

static void put_value(struct rope *out, const char *name, const char *labels, uint64_t value)
{
    rope_put(out, slice_from_z(name));
    rope_put(out, slice_from_z(labels));
    rope_put_char(out, ' ');
    rope_put_u64(out, value);
    rope_put_char(out, '\n');
}

static void put_metric(struct rope *out, const char *name, const char *help, const char *type,
                       uint64_t value)
{
    put_head(out, name, help, type);
    put_value(out, name, "", value);
}

/* Milliseconds as seconds: 1250 is 1.250. */
static void put_seconds(struct rope *out, uint64_t ms)
{
    rope_put_u64(out, ms / 1000);
    rope_put_char(out, '.');
    rope_put_char(out, (char)('0' + ms / 100 % 10));
    rope_put_char(out, (char)('0' + ms / 10 % 10));
    rope_put_char(out, (char)('0' + ms % 10));
}

static void put_histogram(struct rope *out, const char *name, const char *help,
                          struct metrics_page *const *pages, uint32_t count, size_t buckets_at,
                          size_t sum_offset, size_t count_offset)
{
    uint64_t sum = 0;

    put_head(out, name, help, "histogram");
    for (uint32_t i = 0; i <= METRICS_BUCKETS; i++) {
        sum += sum_at(pages, count, buckets_at + i * sizeof(_Atomic uint64_t));
        rope_put(out, slice_from_z(name));
        rope_put(out, S("_bucket{le=\""));
        if (i < METRICS_BUCKETS)
            put_seconds(out, bucket_ms[i]);
        else
            rope_put(out, S("+Inf"));
        rope_put(out, S("\"} "));
        rope_put_u64(out, sum);
        rope_put_char(out, '\n');
    }
    rope_put(out, slice_from_z(name));
    rope_put(out, S("_sum "));
    put_seconds(out, sum_at(pages, count, sum_offset));
    rope_put_char(out, '\n');
    rope_put(out, slice_from_z(name));
    rope_put(out, S("_count "));
    rope_put_u64(out, sum_at(pages, count, count_offset));
    rope_put_char(out, '\n');
}

static void put_status(struct rope *out, struct metrics_page *const *pages, uint32_t count)
{
    static const char *const labels[6] = {NULL,
                                          "{class=\"1xx\"}",
                                          "{class=\"2xx\"}",
                                          "{class=\"3xx\"}",
                                          "{class=\"4xx\"}",
                                          "{class=\"5xx\"}"};

    put_head(out, "ring2api_answers_total", "Answers by class of status", "counter");
    for (uint32_t i = 2; i < 6; i++)
        put_value(out, "ring2api_answers_total", labels[i],
                  sum_at(pages, count,
                         offsetof(struct metrics_page, status) + i * sizeof(_Atomic uint64_t)));
}

static void put_faults(struct rope *out, struct metrics_page *const *pages, uint32_t count)
{
    put_head(out, "ring2api_upstream_errors_total", "Upstream errors by phase", "counter");
    for (uint32_t i = 0; i < FAULT_PHASES; i++) {
        const char *name = fault_phase_name((uint8_t)i);

        rope_put(out, S("ring2api_upstream_errors_total{phase=\""));
        rope_put(out, slice_from_z(*name ? name : "none"));
        rope_put(out, S("\"} "));
        rope_put_u64(out,
                     sum_at(pages, count,
                            offsetof(struct metrics_page, faults) + i * sizeof(_Atomic uint64_t)));
        rope_put_char(out, '\n');
    }
}

static void put_slots(struct rope *out, const char *what, uint64_t used, uint64_t limit)
{
    rope_put(out, S("ring2api_slots_used{kind=\""));
    rope_put(out, slice_from_z(what));
    rope_put(out, S("\"} "));
    rope_put_u64(out, used);
    rope_put(out, S("\nring2api_slots_limit{kind=\""));
    rope_put(out, slice_from_z(what));
    rope_put(out, S("\"} "));
    rope_put_u64(out, limit);
    rope_put_char(out, '\n');
}

void metrics_write(struct metrics_page *const *pages, uint32_t count,
                   const struct metrics_process *process, struct rope *out)
{
#define X(field, name, help) put_metric(out, name, help, "counter", SUM(field));
    METRICS_COUNTERS(X)
#undef X
    put_status(out, pages, count);
    put_faults(out, pages, count);
    put_histogram(out, "ring2api_first_token_seconds", "Time from request to first content", pages,
                  count, offsetof(struct metrics_page, ttft),
                  offsetof(struct metrics_page, ttft_sum_ms),
                  offsetof(struct metrics_page, ttft_count));
    put_histogram(out, "ring2api_exchange_seconds", "Time from request to the end of the answer",
                  pages, count, offsetof(struct metrics_page, duration),
                  offsetof(struct metrics_page, duration_sum_ms),
                  offsetof(struct metrics_page, duration_count));
    put_head(out, "ring2api_slots_used", "Slots in use", "gauge");
    put_slots(out, "client", SUM(clients_open), SUM(clients_limit));
    put_slots(out, "exchange", SUM(exchanges_open), SUM(exchanges_limit));
    put_slots(out, "upstream", SUM(upstreams_open), SUM(upstreams_limit));
    put_metric(out, "ring2api_upstream_idle", "Kept upstream connections without a request",
               "gauge", SUM(upstreams_idle));
    put_metric(out, "ring2api_memory_used_bytes", "Bytes of bodies, frames and answers held now",
               "gauge", process->memory_used);
    put_metric(out, "ring2api_memory_peak_bytes", "The most ever held", "gauge",
               process->memory_peak);
    put_metric(out, "ring2api_memory_limit_bytes", "limits.memory_bytes", "gauge",
               process->memory_limit);
    put_metric(out, "ring2api_memory_refused_total", "Times the memory budget refused", "counter",
               process->memory_refused);
    put_metric(out, "ring2api_uptime_seconds", "Since the start", "gauge", process->uptime_s);
    put_metric(out, "ring2api_config_generation", "Successful reloads", "gauge",
               process->generation);
    put_metric(out, "ring2api_draining", "1 while the process ends", "gauge", process->is_draining);
    put_head(out, "ring2api_build_info", "Version", "gauge");
    rope_put(out, S("ring2api_build_info{version=\""));
    rope_put(out, slice_from_z(process->version));
    rope_put(out, S("\"} 1\n"));
}
