#include <stdlib.h>

#include <criterion/criterion.h>

#include "r2a/core/mem.h"
#include "r2a/json/scan.h"
#include "r2a/json/write.h"

static struct mem_budget budget;
static struct rope rope;
static struct json_write w;

static void begin(void)
{
    if (rope.mem == NULL)
        rope.mem = mem_open(&budget, 1 << 20);
    cr_assert_not_null(rope.mem);
    rope_clear(&rope);
    jw_open(&w, &rope);
}

static void expect(const char *z)
{
    char *const copy = malloc(rope.bytes + 1);
    struct json_scan scan;

    cr_assert_eq(rope.err, R2A_OK);
    cr_assert_not_null(copy);
    rope_copy_out(&rope, copy);
    copy[rope.bytes] = '\0';
    cr_assert_str_eq(copy, z);
    json_open(&scan, slice_of(copy, rope.bytes));
    cr_assert(json_skip(&scan, NULL));
    cr_assert_eq(json_next(&scan), JSON_END);
    free(copy);
}

Test(json_write, puts_commas_where_they_belong)
{
    begin();
    jw_object(&w);
    jw_member_string(&w, S("a"), S("x"));
    jw_key(&w, S("b"));
    jw_array(&w);
    jw_u64(&w, 1);
    jw_i64(&w, -2);
    jw_array(&w);
    jw_array_end(&w);
    jw_object(&w);
    jw_object_end(&w);
    jw_bool(&w, true);
    jw_null(&w);
    jw_array_end(&w);
    jw_member_bool(&w, S("c"), false);
    jw_object_end(&w);
    expect("{\"a\":\"x\",\"b\":[1,-2,[],{},true,null],\"c\":false}");
}

Test(json_write, writes_every_kind_of_member)
{
    begin();
    jw_object(&w);
    jw_member_text(&w, S("t"), text_escaped(S("a\\nb")));
    jw_member_raw(&w, S("r"), S("[1 ]"));
    jw_member_u64(&w, S("u"), UINT64_MAX);
    jw_member_null(&w, S("n"));
    jw_key_text(&w, text_plain(S("k\"")));
    jw_raw(&w, S("{}"));
    jw_key(&w, S("v"));
    jw_text(&w, text_plain(S("x\ny")));
    jw_key(&w, S("w"));
    jw_text(&w, text_escaped(S("x\\ny")));
    jw_key(&w, S("s"));
    jw_string_begin(&w);
    rope_put(&rope, S("in"));
    rope_put(&rope, S("side"));
    jw_string_end(&w);
    jw_key(&w, S("i"));
    jw_i64(&w, INT64_MIN);
    jw_object_end(&w);
    expect("{\"t\":\"a\\nb\",\"r\":[1 ],\"u\":18446744073709551615,\"n\":null,\"k\\\"\":{},"
           "\"v\":\"x\\ny\",\"w\":\"x\\ny\",\"s\":\"inside\",\"i\":-9223372036854775808}");
}

Test(json_write, escapes_strings)
{
    begin();
    jw_string(&w, S("\"\\/<>&\x01\x1f\x7f\b\f\n\r\t\xc3\xa9"));
    expect("\"\\\"\\\\/<>&\\u0001\\u001f\x7f\\b\\f\\n\\r\\t\xc3\xa9\"");
}

Test(json_write, nests_deeply)
{
    char want[2 * JSON_WRITE_DEPTH_MAX + 64];
    size_t len = 0;

    begin();
    for (uint32_t i = 0; i < JSON_WRITE_DEPTH_MAX; i++) {
        jw_array(&w);
        want[len++] = '[';
        if (i == 63 || i == 64) {
            jw_u64(&w, 7);
            want[len++] = '7';
            want[len++] = ',';
        }
    }
    for (uint32_t i = 0; i < JSON_WRITE_DEPTH_MAX; i++) {
        jw_array_end(&w);
        want[len++] = ']';
    }
    want[len] = '\0';
    expect(want);
}

Test(json_write, leaves_errors_in_the_rope)
{
    begin();
    rope.bytes_max = 10;
    jw_object(&w);
    jw_member_string(&w, S("key"), S("a value that is too long"));
    jw_object_end(&w);
    cr_assert_eq(rope.err, R2A_ERR_LIMIT);
    rope.bytes_max = 0;
}
