#ifndef R2A_CORE_LOG_H
#define R2A_CORE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"
#include "r2a/limits.h"

/* One event, one line, stable keys:
 *
 *   2026-11-21T17:12:27.123Z warn net connect_failed host=api.example port=443 err=CONNECT
 *   {"time":"…","level":"warn","module":"net","event":"connect_failed","host":"api.example",…}
 *
 * For cold paths: hot ones count. Never a credential, a prompt or a completion. Values are escaped:
 * no byte of a peer can end a line or look like another key. A value is cut at LOG_VALUE_BYTES_MAX,
 * a line at LOG_LINE_BYTES_MAX. Each call site may say LOG_SITE_LINES_MAX lines within
 * LOG_SITE_WINDOW_MS; the first one after that says how many were left out (suppressed=N).
 *
 * A line goes to the writer of the calling thread, whole and with its newline; without a writer it
 * goes to stderr by write(2), which is right for start-up and the control thread only. */

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_TRACE,
};

enum log_format {
    LOG_TEXT,
    LOG_JSON,
};

enum log_kind {
    LOG_KIND_STR,
    LOG_KIND_U64,
    LOG_KIND_I64,
    LOG_KIND_BOOL,
};

struct log_field {
    const char *key; /* a literal: lower-case letters and _ */
    enum log_kind kind;
    union {
        struct slice str;
        uint64_t u64;
        int64_t i64;
    } u;
};

static inline struct log_field log_kv_str(const char *key, struct slice value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STR, .u.str = value};
}

/* A NUL-terminated string of ours. */
static inline struct log_field log_kv_z(const char *key, const char *value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STR, .u.str = slice_from_z(value)};
}

static inline struct log_field log_kv_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .u.u64 = value};
}

static inline struct log_field log_kv_i64(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .u.i64 = value};
}

static inline struct log_field log_kv_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .u.u64 = value};
}

/* The name of an r2a_err: key "err". */
struct log_field log_kv_err(int32_t err);
/* The name of an errno value, its number when it is a rare one: key "errno". */
struct log_field log_kv_errno(int errnum);

/* One per call site, static. Counters only, so threads may share it without a lock. */
struct log_site {
    _Atomic uint64_t window_ms; /* start of the window being counted */
    _Atomic uint32_t lines;     /* said in it */
    _Atomic uint32_t suppressed;
};

/* log_event(LOG_WARN, "net", "connect_failed", log_kv_str("host", host), log_kv_u64("port", port));
 * The fields are evaluated only when the level is on. At least one field; log_note has none. */
#define log_event(level, module, event, ...)                                       \
    do {                                                                           \
        static struct log_site log_site_here;                                      \
        if (log_is_on(level)) {                                                    \
            const struct log_field log_fields_here[] = {__VA_ARGS__};              \
            log_write(&log_site_here, (level), (module), (event), log_fields_here, \
                      sizeof(log_fields_here) / sizeof(log_fields_here[0]));       \
        }                                                                          \
    } while (0)

#define log_note(level, module, event)                                      \
    do {                                                                    \
        static struct log_site log_site_here;                               \
        if (log_is_on(level))                                               \
            log_write(&log_site_here, (level), (module), (event), NULL, 0); \
    } while (0)

bool log_is_on(enum log_level level);
/* What the macros call. `site` NULL: not limited. */
void log_write(struct log_site *site, enum log_level level, const char *module, const char *event,
               const struct log_field *fields, size_t count);
/* Formats one line with its newline into `to` (at least LOG_LINE_BYTES_MAX); returns its bytes. */
size_t log_format_line(char *to, enum log_format format, int64_t wall_ms, enum log_level level,
                       const char *module, const char *event, const struct log_field *fields,
                       size_t count, uint32_t suppressed);

/* For all threads, at start-up (or reload). Defaults: LOG_INFO, LOG_TEXT. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* "error" "warn" "info" "debug" "trace". */
bool log_level_from_name(struct slice name, enum log_level *level);
const char *log_level_name(enum log_level level);

/* Takes one whole line, before it returns; false when there was no room, which counts as lost. */
typedef bool (*log_writer_fn)(void *ctx, struct slice line);
/* For the calling thread; NULL: stderr. */
void log_set_writer(log_writer_fn fn, void *ctx);
/* Lines lost by this process since its start. */
uint64_t log_lost(void);

#endif
