/* Formats events and hands whole lines to the thread's writer. Everything is on the stack and ends
 * before the call returns; what a writer does with a line (a buffer and the thread's own ring) is
 * the owner's business. */
#include "r2a/core/log.h"

#include <errno.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/clock.h"
#include "r2a/core/date.h"
#include "r2a/core/err.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"

/* Room kept for what ends a line: the suppressed count, a brace, the newline. */
#define TAIL_BYTES_MAX 48u

struct writer {
    log_writer_fn fn;
    void *ctx;
};

static _Thread_local struct writer thread_writer;
static _Atomic int level_max = LOG_INFO;
static _Atomic int format_now = LOG_TEXT;
static _Atomic uint64_t lost;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

const char *log_level_name(enum log_level level)
{
    check((size_t)level < array_count(level_names));
    return level_names[level];
}

bool log_level_from_name(struct slice name, enum log_level *level)
{
    for (size_t i = 0; i < array_count(level_names); i++) {
        if (slice_eq(name, slice_from_z(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&format_now, (int)format, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void log_set_writer(log_writer_fn fn, void *ctx)
{
    thread_writer = (struct writer){fn, ctx};
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

struct log_field log_kv_err(int32_t err)
{
    return log_kv_z("err", r2a_err_name(err));
}

/* Names instead of strerror's texts: the same in every C library, and searchable. */
#define ERRNO_LIST(X)  \
    X(EPERM)           \
    X(ENOENT)          \
    X(EINTR)           \
    X(EIO)             \
    X(E2BIG)           \
    X(EBADF)           \
    X(EAGAIN)          \
    X(ENOMEM)          \
    X(EACCES)          \
    X(EFAULT)          \
    X(EBUSY)           \
    X(EEXIST)          \
    X(ENODEV)          \
    X(ENOTDIR)         \
    X(EISDIR)          \
    X(EINVAL)          \
    X(ENFILE)          \
    X(EMFILE)          \
    X(EFBIG)           \
    X(ENOSPC)          \
    X(EROFS)           \
    X(EPIPE)           \
    X(ENAMETOOLONG)    \
    X(ENOSYS)          \
    X(ELOOP)           \
    X(EPROTO)          \
    X(EMSGSIZE)        \
    X(EPROTONOSUPPORT) \
    X(EOPNOTSUPP)      \
    X(EAFNOSUPPORT)    \
    X(EADDRINUSE)      \
    X(EADDRNOTAVAIL)   \
    X(ENETDOWN)        \
    X(ENETUNREACH)     \
    X(ECONNABORTED)    \
    X(ECONNRESET)      \
    X(ENOBUFS)         \
    X(ENOTCONN)        \
    X(ETIME)           \
    X(ETIMEDOUT)       \
    X(ECONNREFUSED)    \
    X(EHOSTUNREACH)    \
    X(ECANCELED)

struct log_field log_kv_errno(int errnum)
{
    switch (errnum) {
#define X(name) \
    case name:  \
        return log_kv_z("errno", #name);
        ERRNO_LIST(X)
#undef X
    default:
        return log_kv_i64("errno", errnum);
    }
}

/* --- values --- */

static void put_hex_byte(struct str_buf *buf, unsigned char byte)
{
    char digits[2];

    str_hex(digits, slice_of((const char *)&byte, 1));
    str_buf_put(buf, slice_of(digits, 2));
}

/* The inside of a quoted value, for both formats: `"` and `\` escaped, control characters and what
 * is not UTF-8 shown as \xNN (text) or \u00NN (JSON, where they stand for the byte). */
static void put_escaped(struct str_buf *buf, struct slice value, bool is_json)
{
    while (value.len > 0) {
        uint32_t point;
        size_t len = utf8_decode(value, &point);

        if (len == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 ||
            point == 0x2029) {
            len = len == 0 ? 1 : len;
            for (size_t i = 0; i < len; i++) {
                str_buf_put(buf, is_json ? S("\\u00") : S("\\x"));
                put_hex_byte(buf, (unsigned char)value.ptr[i]);
            }
        } else {
            if (point == '"' || point == '\\')
                str_buf_put_char(buf, '\\');
            str_buf_put(buf, slice_head(value, len));
        }
        value = slice_skip(value, len);
    }
}

/* Whether a value of a text line needs no quotes. */
static bool is_bare(struct slice value)
{
    if (value.len == 0)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

static void put_str(struct str_buf *buf, struct slice value, bool is_json)
{
    bool is_cut = value.len > LOG_VALUE_BYTES_MAX;

    if (is_cut)
        value = slice_head(value, utf8_safe_len(slice_head(value, LOG_VALUE_BYTES_MAX)));
    if (!is_json && !is_cut && is_bare(value)) {
        str_buf_put(buf, value);
        return;
    }
    str_buf_put_char(buf, '"');
    put_escaped(buf, value, is_json);
    if (is_cut)
        str_buf_put(buf, S("..."));
    str_buf_put_char(buf, '"');
}

static void put_value(struct str_buf *buf, const struct log_field *field, bool is_json)
{
    switch (field->kind) {
    case LOG_KIND_STR:
        put_str(buf, field->u.str, is_json);
        break;
    case LOG_KIND_U64:
        str_buf_put_u64(buf, field->u.u64);
        break;
    case LOG_KIND_I64:
        str_buf_put_i64(buf, field->u.i64);
        break;
    case LOG_KIND_BOOL:
        str_buf_put(buf, field->u.u64 != 0 ? S("true") : S("false"));
        break;
    }
}

/* --- lines --- */

static void put_z(struct str_buf *buf, const char *z)
{
    str_buf_put(buf, slice_from_z(z));
}

static void put_json_name(struct str_buf *buf, const char *separator, const char *name)
{
    put_z(buf, separator);
    str_buf_put_char(buf, '"');
    put_z(buf, name);
    str_buf_put(buf, S("\":"));
}

static void put_start(struct str_buf *buf, bool is_json, int64_t wall_ms, enum log_level level,
                      const char *module, const char *event)
{
    char time[DATE_RFC3339_BYTES];

    date_write_rfc3339(time, wall_ms);
    if (is_json) {
        put_json_name(buf, "{", "time");
        put_str(buf, slice_of(time, sizeof(time)), true);
        put_json_name(buf, ",", "level");
        put_str(buf, slice_from_z(log_level_name(level)), true);
        put_json_name(buf, ",", "module");
        put_str(buf, slice_from_z(module), true);
        put_json_name(buf, ",", "event");
        put_str(buf, slice_from_z(event), true);
        return;
    }
    str_buf_put(buf, slice_of(time, sizeof(time)));
    str_buf_put_char(buf, ' ');
    put_z(buf, log_level_name(level));
    str_buf_put_char(buf, ' ');
    put_z(buf, module);
    str_buf_put_char(buf, ' ');
    put_z(buf, event);
}

static void put_field(struct str_buf *buf, bool is_json, const struct log_field *field)
{
    if (is_json) {
        put_json_name(buf, ",", field->key);
    } else {
        str_buf_put_char(buf, ' ');
        put_z(buf, field->key);
        str_buf_put_char(buf, '=');
    }
    put_value(buf, field, is_json);
}

size_t log_format_line(char *to, enum log_format format, int64_t wall_ms, enum log_level level,
                       const char *module, const char *event, const struct log_field *fields,
                       size_t count, uint32_t suppressed)
{
    struct str_buf buf = {.ptr = to, .size = LOG_LINE_BYTES_MAX - TAIL_BYTES_MAX};
    bool is_json = format == LOG_JSON;
    bool is_cut = false;

    put_start(&buf, is_json, wall_ms, level, module, event);
    for (size_t i = 0; i < count; i++) {
        size_t before = buf.len;

        put_field(&buf, is_json, &fields[i]);
        if (buf.is_full) { /* half a field would be no field: leave out the rest, and say so */
            buf.len = before;
            buf.is_full = false;
            is_cut = true;
            break;
        }
    }
    buf.size = LOG_LINE_BYTES_MAX;
    if (is_cut)
        put_field(&buf, is_json,
                  &(struct log_field){.key = "cut", .kind = LOG_KIND_BOOL, .u.u64 = 1});
    if (suppressed > 0)
        put_field(
            &buf, is_json,
            &(struct log_field){.key = "suppressed", .kind = LOG_KIND_U64, .u.u64 = suppressed});
    str_buf_put(&buf, is_json ? S("}\n") : S("\n"));
    check(!buf.is_full);
    return buf.len;
}

/* False when the site has said enough for now. Threads that race here may let a line more or less
 * through, which does no harm. */
static bool site_admits(struct log_site *site, uint64_t now_ms, uint32_t *suppressed)
{
    uint64_t window_ms = atomic_load_explicit(&site->window_ms, memory_order_relaxed);

    *suppressed = 0;
    if (window_ms == 0 || now_ms - window_ms >= LOG_SITE_WINDOW_MS) {
        atomic_store_explicit(&site->window_ms, now_ms, memory_order_relaxed);
        atomic_store_explicit(&site->lines, 1, memory_order_relaxed);
        *suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
        return true;
    }
    if (atomic_fetch_add_explicit(&site->lines, 1, memory_order_relaxed) < LOG_SITE_LINES_MAX)
        return true;
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    return false;
}

static bool write_stderr(struct slice line)
{
    ssize_t written = write(STDERR_FILENO, line.ptr, line.len);

    return written == (ssize_t)line.len;
}

void log_write(struct log_site *site, enum log_level level, const char *module, const char *event,
               const struct log_field *fields, size_t count)
{
    char line[LOG_LINE_BYTES_MAX];
    uint32_t suppressed = 0;
    enum log_format format;
    struct slice text;
    bool is_written;

    if (site != NULL && !site_admits(site, clock_mono_ms(), &suppressed))
        return;
    format = (enum log_format)atomic_load_explicit(&format_now, memory_order_relaxed);
    text = slice_of(line, log_format_line(line, format, clock_wall_ms(), level, module, event,
                                          fields, count, suppressed));
    is_written =
        thread_writer.fn != NULL ? thread_writer.fn(thread_writer.ctx, text) : write_stderr(text);
    if (!is_written)
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}
