#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "r2a/json/path.h"
#include "support/guard.h"

static const struct json_pick picks[] = {
    {.key = S_INIT("model"), .is_unique = true},
    {.key = S_INIT("stream"), .is_unique = true},
    {.key = S_INIT("stream_options"), .subkey = S_INIT("include_usage"), .is_unique = true},
    {.key = S_INIT("stream_options"), .is_unique = true},
    {.key = S_INIT("metadata")},
    {.key = S_INIT("metadata"), .subkey = S_INIT("user_id")},
};
enum { MODEL, STREAM, INCLUDE_USAGE, STREAM_OPTIONS, METADATA, USER_ID, COUNT };

static struct json_found found[COUNT];
static uint64_t offset;

static enum r2a_err pick(struct slice body)
{
    const char *const copy = guard_copy(body.ptr, body.len);

    offset = 0;
    return json_pick(slice_of(copy, body.len), picks, COUNT, found, NULL, &offset);
}

static void expect(uint32_t which, enum json_token kind, const char *raw, const char *key)
{
    cr_assert_eq(found[which].kind, kind, "%u", which);
    if (kind == JSON_ERROR)
        return;
    cr_assert(slice_eq(found[which].raw, slice_from_z(raw)), "%.*s", (int)found[which].raw.len,
              found[which].raw.ptr);
    cr_assert(slice_eq(found[which].key_raw, slice_from_z(key)));
}

Test(json_path, picks_members_of_the_root_and_below_it)
{
    cr_assert_eq(pick(S("{\"messages\":[{\"model\":\"no\"}],\"model\" : \"gpt\\n\",\"stream\":true,"
                        "\"stream_options\": {\"x\":[{}],\"include_usage\": false , \"y\":{}} ,"
                        "\"metadata\":{\"user_id\":{\"a\":1}}}")),
                 R2A_OK);
    expect(MODEL, JSON_STRING, "\"gpt\\n\"", "\"model\"");
    expect(STREAM, JSON_TRUE, "true", "\"stream\"");
    expect(INCLUDE_USAGE, JSON_FALSE, "false", "\"include_usage\"");
    expect(STREAM_OPTIONS, JSON_OBJECT, "{\"x\":[{}],\"include_usage\": false , \"y\":{}}",
           "\"stream_options\"");
    expect(METADATA, JSON_OBJECT, "{\"user_id\":{\"a\":1}}", "\"metadata\"");
    expect(USER_ID, JSON_OBJECT, "{\"a\":1}", "\"user_id\"");
}

Test(json_path, says_what_is_absent)
{
    cr_assert_eq(pick(S("{}")), R2A_OK);
    for (uint32_t i = 0; i < COUNT; i++)
        expect(i, JSON_ERROR, "", "");
    cr_assert_eq(pick(S("{\"stream_options\":null,\"metadata\":\"user_id\",\"user_id\":1}")),
                 R2A_OK);
    expect(INCLUDE_USAGE, JSON_ERROR, "", "");
    expect(STREAM_OPTIONS, JSON_NULL, "null", "\"stream_options\"");
    expect(USER_ID, JSON_ERROR, "", "");
    expect(METADATA, JSON_STRING, "\"user_id\"", "\"metadata\"");
}

Test(json_path, compares_keys_unescaped)
{
    cr_assert_eq(pick(S("{\"mod\\u0065l\":1,\"metadata\":{\"user\\u005fid\":2}}")), R2A_OK);
    expect(MODEL, JSON_NUMBER, "1", "\"mod\\u0065l\"");
    expect(USER_ID, JSON_NUMBER, "2", "\"user\\u005fid\"");
}

Test(json_path, refuses_a_second_occurrence_where_asked)
{
    cr_assert_eq(pick(S("{\"model\":1,\"model\":2}")), R2A_ERR_JSON_DUPLICATE);
    cr_assert_eq(offset, 11);
    cr_assert_eq(pick(S("{\"model\":1,\"m\\u006fdel\":2}")), R2A_ERR_JSON_DUPLICATE);
    cr_assert_eq(offset, 11);
    cr_assert_eq(pick(S("{\"stream_options\":{},\"stream_options\":{}}")), R2A_ERR_JSON_DUPLICATE);
    cr_assert_eq(pick(S("{\"stream_options\":{\"include_usage\":1,\"include_usage\":1}}")),
                 R2A_ERR_JSON_DUPLICATE);
    cr_assert_eq(offset, 37);
}

Test(json_path, lets_the_last_count_elsewhere)
{
    cr_assert_eq(pick(S("{\"metadata\":{\"user_id\":1,\"user_id\":2}}")), R2A_OK);
    expect(USER_ID, JSON_NUMBER, "2", "\"user_id\"");
    cr_assert_eq(pick(S("{\"metadata\":{\"user_id\":1},\"metadata\":{}}")), R2A_OK);
    expect(USER_ID, JSON_ERROR, "", "");
    expect(METADATA, JSON_OBJECT, "{}", "\"metadata\"");
    cr_assert_eq(pick(S("{\"x\":1,\"x\":2}")), R2A_OK);
}

Test(json_path, checks_all_of_the_body)
{
    static const struct {
        struct slice body;
        enum r2a_err err;
        uint64_t offset;
    } cases[] = {
        {S_INIT(""), R2A_ERR_JSON_END, 0},
        {S_INIT(" []"), R2A_ERR_JSON_TYPE, 1},
        {S_INIT("\"model\""), R2A_ERR_JSON_TYPE, 0},
        {S_INIT("{\"model\":1"), R2A_ERR_JSON_END, 10},
        {S_INIT("{\"model\":1} x"), R2A_ERR_JSON_SYNTAX, 12},
        {S_INIT("{\"model\":1}{}"), R2A_ERR_JSON_SYNTAX, 11},
        {S_INIT("{\"model\":1,}"), R2A_ERR_JSON_SYNTAX, 11},
        {S_INIT("{\"a\":[1,2,{\"b\":tru}]}"), R2A_ERR_JSON_SYNTAX, 18},
        {S_INIT("{\"a\":\"\xff\"}"), R2A_ERR_JSON_UTF8, 6},
        {S_INIT("{\"metadata\":{\"a\":1,}}"), R2A_ERR_JSON_SYNTAX, 19},
        {S_INIT("{\"metadata\":{\"a\""), R2A_ERR_JSON_END, 16},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(pick(cases[i].body), cases[i].err, "%.*s", (int)cases[i].body.len,
                     cases[i].body.ptr);
        cr_assert_eq(offset, cases[i].offset, "%.*s: %d", (int)cases[i].body.len, cases[i].body.ptr,
                     (int)offset);
    }
}

Test(json_path, notes_long_strings)
{
    static char body[4096];
    struct json_memo memo;
    struct json_scan scan;
    size_t len = 12;

    memcpy(body, "{\"x\":[true,\"", len);
    memset(body + len, 'y', 2000);
    len += 2000;
    memcpy(body + len, "\"],\"model\":\"m\"}", 15);
    len += 15;
    cr_assert_eq(json_pick(slice_of(body, len), picks, COUNT, found, &memo, &offset), R2A_OK);
    cr_assert_eq(memo.count, 1);
    cr_assert_eq(memo.spans[0].begin, body + 12);
    expect(MODEL, JSON_STRING, "\"m\"", "\"model\"");
    json_open_recall(&scan, slice_of(body, len), &memo);
    cr_assert(json_skip(&scan, NULL));
}
