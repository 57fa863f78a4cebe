#include <criterion/criterion.h>

#include "../../../src/gateway/audit.h"

Test(audit, says_one_line_an_exchange)
{
    char line[4096];
    struct audit_record record = {
        .id = S("req_1"),
        .method = S("POST"),
        .path = S("/v1/messages"),
        .client_protocol = "anthropic",
        .model = S("claude-x"),
        .provider = S("up"),
        .status = 200,
        .ended_by = '-',
        .ended_in = '-',
        .attempts = 2,
        .duration_ms = 12,
        .first_token_ms = 5,
        .bytes_in = 10,
        .bytes_out = 20,
        .usage = {.has = IR_HAS_INPUT | IR_HAS_OUTPUT, .input = 3, .output = 4}};
    size_t len = audit_format(&record, S("1970-01-01T00:00:00.000Z"), false, line, sizeof(line));

    line[len] = 0;
    cr_assert_str_eq(line, "1970-01-01T00:00:00.000Z info access exchange id=req_1 method=POST "
                           "path=/v1/messages protocol=anthropic status=200 "
                           "end=-- duration_ms=12 first_token_ms=5 bytes_in=10 bytes_out=20 "
                           "model=claude-x provider=up retries=1 tokens_in=3 tokens_out=4\n");
}

Test(audit, lets_no_peer_end_a_line_or_a_value)
{
    char line[4096];
    struct audit_record record = {.id = S("a"),
                                  .path = S("/x\n2026 info access exchange id=fake \"q\" \x01\xff"),
                                  .first_token_ms = -1};

    for (int json = 0; json < 2; json++) {
        size_t len =
            audit_format(&record, S("1970-01-01T00:00:00.000Z"), json == 1, line, sizeof(line));

        cr_assert_eq(line[len - 1], '\n');
        cr_assert_null(memchr(line, '\n', len - 1));
        cr_assert_null(memchr(line, 1, len));
    }
}

/* A value stands without quotes exactly when each of its bytes may, wherever the odd one is. */
Test(audit, quotes_what_is_not_plain)
{
    char value[40], line[1024];
    struct audit_record record = {.first_token_ms = -1};

    for (size_t len = 1; len <= sizeof(value); len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                bool is_plain = c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
                size_t line_len;

                memset(value, 'x', len);
                value[at] = (char)c;
                record.id = slice_of(value, len);
                line_len = audit_format(&record, S("now"), false, line, sizeof(line) - 1);
                line[line_len] = 0;
                cr_assert_eq(strstr(line, " id=\"") == NULL, is_plain, "%d at %zu", c, at);
                if (is_plain)
                    cr_assert_eq(memcmp(strstr(line, " id=") + 4, value, len), 0);
            }
        }
    }
}

Test(audit, cuts_what_is_too_long_and_still_ends_the_line)
{
    static char long_text[5000];
    char line[1024];
    struct audit_record record = {.first_token_ms = -1};
    size_t len;

    memset(long_text, 'x', sizeof(long_text));
    record.id = record.key = record.path = record.model = record.provider =
        slice_of(long_text, sizeof(long_text));
    len = audit_format(&record, S("1970-01-01T00:00:00.000Z"), true, line, sizeof(line));
    cr_assert_leq(len, sizeof(line));
    cr_assert_eq(line[len - 1], '\n');
    cr_assert_eq(line[len - 2], '}');
}

static struct audit_buffer make(void)
{
    static char a[AUDIT_BUFFER_BYTES], b[AUDIT_BUFFER_BYTES];

    return (struct audit_buffer){.bytes = {a, b}};
}

Test(audit, writes_whole_lines_up_to_the_bound)
{
    struct audit_buffer buffer = make();
    struct slice run;

    for (int i = 0; i < 10; i++)
        cr_assert(audit_buffer_put(&buffer, S("123456789\n")));
    run = audit_buffer_take(&buffer, 25);
    cr_assert_eq(run.len, 20);
    cr_assert(audit_buffer_put(&buffer, S("later\n")));
    audit_buffer_done(&buffer, 20);
    run = audit_buffer_take(&buffer, 1000);
    cr_assert_eq(run.len, 80);
    audit_buffer_done(&buffer, 30); /* a short write: the rest comes again */
    run = audit_buffer_take(&buffer, 1000);
    cr_assert_eq(run.len, 50);
    audit_buffer_done(&buffer, 50);
    run = audit_buffer_take(&buffer, 1000);
    cr_assert(slice_eq(run, S("later\n")));
    audit_buffer_done(&buffer, 6);
    cr_assert_eq(audit_buffer_take(&buffer, 1000).len, 0);
}

Test(audit, counts_what_does_not_fit)
{
    struct audit_buffer buffer = make();
    uint32_t taken = 0;

    while (audit_buffer_put(&buffer, S("0123456789abcdef\n")))
        taken++;
    cr_assert_eq(taken, AUDIT_BUFFER_BYTES / 17);
    cr_assert_eq(buffer.lost, 1);
    cr_assert(audit_buffer_is_urgent(&buffer));
}
