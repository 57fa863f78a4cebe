/* Whatever a peer sent into a value, a line is one line of printable UTF-8, bounded, and its keys
 * are ours alone. */
#include <stdint.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t len, enum log_format format)
{
    bool is_quoted = false;
    size_t keys = 0;

    check(len > 0 && len <= LOG_LINE_BYTES_MAX);
    check(line[len - 1] == '\n');
    check(utf8_is_valid(slice_of(line, len)));
    for (size_t i = 0; i + 1 < len; i++) {
        check((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
        if (is_quoted && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && line[i] == (format == LOG_JSON ? ':' : '='))
            keys++;
    }
    check(!is_quoted);
    check(keys <= (format == LOG_JSON ? 8 : 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LOG_LINE_BYTES_MAX];
    size_t half = size / 2;
    const struct log_field fields[] = {
        log_kv_str("first", slice_of((const char *)data, half)),
        log_kv_u64("number", size),
        log_kv_str("second", slice_of((const char *)data + half, size - half)),
    };

    for (int format = LOG_TEXT; format <= LOG_JSON; format++)
        check_line(line,
                   log_format_line(line, (enum log_format)format, (int64_t)size * 1000, LOG_WARN,
                                   "core", "event", fields, array_count(fields),
                                   (uint32_t)(size % 2)),
                   (enum log_format)format);
    return 0;
}
