#include "r2a/core/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "r2a/core/err.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"

#define TIME_MS 784111777123 /* 1994-11-06T08:49:37.123Z */

static char line[LOG_LINE_BYTES_MAX + 1];

static const char *format(enum log_format form, const struct log_field *fields, size_t count,
                          uint32_t suppressed)
{
    size_t len = log_format_line(line, form, TIME_MS, LOG_WARN, "net", "connect_failed", fields,
                                 count, suppressed);

    cr_assert_leq(len, LOG_LINE_BYTES_MAX);
    line[len] = '\0';
    return line;
}

Test(log, writes_one_line_of_text)
{
    const struct log_field fields[] = {
        log_kv_str("host", S("api.example")),
        log_kv_u64("port", 443),
        log_kv_i64("delta", -5),
        log_kv_bool("tls", true),
        log_kv_err(R2A_ERR_CONNECT),
        log_kv_errno(ECONNREFUSED),
        log_kv_z("z", "w"),
    };

    cr_assert_str_eq(format(LOG_TEXT, fields, 7, 0),
                     "1994-11-06T08:49:37.123Z warn net connect_failed host=api.example port=443 "
                     "delta=-5 tls=true err=CONNECT errno=ECONNREFUSED z=w\n");
    cr_assert_str_eq(format(LOG_TEXT, NULL, 0, 0),
                     "1994-11-06T08:49:37.123Z warn net connect_failed\n");
    cr_assert_str_eq(format(LOG_TEXT, NULL, 0, 12),
                     "1994-11-06T08:49:37.123Z warn net connect_failed suppressed=12\n");
}

Test(log, writes_one_object_of_json)
{
    const struct log_field fields[] = {
        log_kv_str("host", S("api.example")),
        log_kv_u64("port", 443),
        log_kv_bool("tls", false),
        log_kv_errno(12345),
    };

    cr_assert_str_eq(format(LOG_JSON, fields, 4, 3),
                     "{\"time\":\"1994-11-06T08:49:37.123Z\",\"level\":\"warn\",\"module\":\"net\","
                     "\"event\":\"connect_failed\",\"host\":\"api.example\",\"port\":443,"
                     "\"tls\":false,\"errno\":12345,\"suppressed\":3}\n");
}

Test(log, no_byte_of_a_value_can_end_a_line_or_fake_a_key)
{
    const struct log_field quoted[] = {log_kv_str("a", S("x y=1 \"q\" \\ \r\n\t\x7f")),
                                       log_kv_str("b", S(""))};

    cr_assert_str_eq(format(LOG_TEXT, quoted, 2, 0),
                     "1994-11-06T08:49:37.123Z warn net connect_failed "
                     "a=\"x y=1 \\\"q\\\" \\\\ \\x0d\\x0a\\x09\\x7f\" b=\"\"\n");
    for (int byte = 0; byte < 256; byte++) {
        char value[3] = {'a', (char)byte, 'b'};
        const struct log_field fields[] = {log_kv_str("v", slice_of(value, 3))};
        const char *text = format(LOG_TEXT, fields, 1, 0);

        cr_assert_eq(strcspn(text, "\n"), strlen(text) - 1);
        cr_assert(utf8_is_valid(slice_from_z(text)));
        for (size_t i = 0; text[i + 1] != '\0'; i++)
            cr_assert_geq((unsigned char)text[i], 0x20);
        text = format(LOG_JSON, fields, 1, 0);
        cr_assert_eq(strcspn(text, "\n"), strlen(text) - 1);
        cr_assert(utf8_is_valid(slice_from_z(text)));
        cr_assert_null(strstr(text, "\\x"), "JSON has no such escape");
    }
}

Test(log, keeps_utf8_and_escapes_what_is_not)
{
    const struct log_field fields[] = {log_kv_str("v", S("caf\xc3\xa9 \xff \xe2\x80\xa8"))};

    cr_assert_not_null(
        strstr(format(LOG_TEXT, fields, 1, 0), "v=\"caf\xc3\xa9 \\xff \\xe2\\x80\\xa8\""));
    cr_assert_not_null(strstr(format(LOG_JSON, fields, 1, 0),
                              "\"v\":\"caf\xc3\xa9 \\u00ff \\u00e2\\u0080\\u00a8\""));
}

Test(log, long_values_and_lines_are_cut_and_stay_lines)
{
    char value[4000];
    struct log_field fields[12];
    const char *text;

    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < 12; i++)
        fields[i] = log_kv_str("k", slice_of(value, sizeof(value)));
    text = format(LOG_TEXT, fields, 1, 0);
    cr_assert_not_null(strstr(text, "vvv...\"\n"));
    cr_assert_lt(strlen(text), LOG_VALUE_BYTES_MAX + 100);
    for (int form = LOG_TEXT; form <= LOG_JSON; form++) {
        text = format((enum log_format)form, fields, 12, UINT32_MAX);
        cr_assert_eq(text[strlen(text) - 1], '\n');
        cr_assert_not_null(strstr(text, form == LOG_TEXT
                                            ? " cut=true suppressed=4294967295\n"
                                            : ",\"cut\":true,\"suppressed\":4294967295}\n"));
    }
    memset(value, 1, sizeof(value)); /* six bytes for each in JSON */
    for (int form = LOG_TEXT; form <= LOG_JSON; form++)
        cr_assert_not_null(strstr(format((enum log_format)form, fields, 12, 0), "true"));
}

/* --- writers, levels, limits --- */

static char written[100000];
static size_t written_len;
static bool has_room = true;

static bool keep(void *ctx, struct slice text)
{
    cr_assert_eq(ctx, &written_len);
    cr_assert_leq(written_len + text.len, sizeof(written));
    if (!has_room)
        return false;
    memcpy(written + written_len, text.ptr, text.len);
    written_len += text.len;
    return true;
}

static size_t lines(void)
{
    size_t count = 0;

    for (size_t i = 0; i < written_len; i++)
        count += written[i] == '\n';
    return count;
}

static int evaluations;

static uint64_t evaluate(void)
{
    evaluations++;
    return 1;
}

Test(log, levels_decide_and_fields_are_not_evaluated_in_vain)
{
    log_set_writer(keep, &written_len);
    cr_assert(log_is_on(LOG_INFO));
    cr_assert_not(log_is_on(LOG_DEBUG));
    log_event(LOG_DEBUG, "core", "quiet", log_kv_u64("n", evaluate()));
    cr_assert_eq(evaluations, 0);
    cr_assert_eq(written_len, 0);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "core", "loud", log_kv_u64("n", evaluate()), log_kv_u64("m", 2));
    cr_assert_eq(evaluations, 1);
    written[written_len] = '\0';
    cr_assert_not_null(strstr(written, " debug core loud n=1 m=2\n"));
    log_set_level(LOG_ERROR);
    log_note(LOG_WARN, "core", "nothing");
    cr_assert_eq(lines(), 1);
    log_set_format(LOG_JSON);
    log_note(LOG_ERROR, "core", "bad");
    written[written_len] = '\0';
    cr_assert_not_null(strstr(written, "\"event\":\"bad\"}\n"));
}

static void say(void)
{
    log_event(LOG_INFO, "core", "again", log_kv_u64("n", 1));
}

Test(log, a_call_site_cannot_flood)
{
    log_set_writer(keep, &written_len);
    for (int i = 0; i < 1000; i++)
        say();
    cr_assert_eq(lines(), LOG_SITE_LINES_MAX);
    log_note(LOG_INFO, "core", "another site");
    cr_assert_eq(lines(), LOG_SITE_LINES_MAX + 1);
}

Test(log, the_next_window_says_what_was_left_out)
{
    struct log_site site = {0};

    log_set_writer(keep, &written_len);
    for (uint32_t i = 0; i < LOG_SITE_LINES_MAX + 7; i++)
        log_write(&site, LOG_INFO, "core", "x", NULL, 0);
    atomic_store(&site.window_ms, atomic_load(&site.window_ms) - LOG_SITE_WINDOW_MS);
    log_write(&site, LOG_INFO, "core", "x", NULL, 0);
    cr_assert_eq(lines(), LOG_SITE_LINES_MAX + 1);
    written[written_len] = '\0';
    cr_assert_not_null(strstr(written, "x suppressed=7\n"));
    log_write(&site, LOG_INFO, "core", "x", NULL, 0);
    written[written_len] = '\0';
    cr_assert_str_eq(written + written_len - 3, " x\n");
}

Test(log, lost_lines_are_counted)
{
    log_set_writer(keep, &written_len);
    has_room = false;
    log_note(LOG_ERROR, "core", "lost");
    log_note(LOG_ERROR, "core", "lost");
    cr_assert_eq(log_lost(), 2);
}

static void *speak(void *arg)
{
    (void)arg;
    log_set_writer(keep, &written_len);
    log_note(LOG_ERROR, "core", "from a thread");
    return NULL;
}

Test(log, each_thread_has_a_writer_of_its_own)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, speak, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(lines(), 1);
    log_note(LOG_ERROR, "core", "to stderr");
    cr_assert_eq(lines(), 1);
}

Test(log, level_names_go_both_ways)
{
    enum log_level level = LOG_INFO;

    for (int i = LOG_ERROR; i <= LOG_TRACE; i++) {
        cr_assert(log_level_from_name(slice_from_z(log_level_name((enum log_level)i)), &level));
        cr_assert_eq((int)level, i);
    }
    cr_assert_not(log_level_from_name(S("loud"), &level));
    cr_assert_not(log_level_from_name(S(""), &level));
}
