#include <stdio.h>

#include <criterion/criterion.h>

#include "r2a/core/check.h"
#include "r2a/http/header.h"

#include "../../../src/http/header.c" /* its hash */

struct row {
    struct slice name;
    unsigned slot;
    enum http_header_id id;
};

static const struct row rows[] = {
#define X(name, text, slot) {S_INIT(text), slot, HEADER_##name},
    HTTP_HEADER_LIST(X)
#undef X
};

Test(header, has_every_name_in_its_slot)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        unsigned slot = hash(rows[i].name);

        cr_assert_eq(slot, rows[i].slot, "%s belongs into slot %u", rows[i].name.ptr, slot);
    }
}

Test(header, finds_names_in_any_case)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        char upper[64];
        struct slice name = rows[i].name;

        cr_assert_eq(http_header_id(name), rows[i].id);
        cr_assert(slice_eq(http_header_name(rows[i].id), name));
        for (size_t j = 0; j < name.len; j++)
            upper[j] = (char)(name.ptr[j] >= 'a' ? name.ptr[j] & 0xdf : name.ptr[j]);
        cr_assert_eq(http_header_id(slice_of(upper, name.len)), rows[i].id);
        for (size_t j = 0; j < name.len; j++) {
            char saved = upper[j];

            upper[j] = '_';
            cr_assert_eq(http_header_id(slice_of(upper, name.len)), HEADER_OTHER);
            upper[j] = saved;
        }
        if (name.len > 2)
            cr_assert_neq(http_header_id(slice_head(name, name.len - 1)), rows[i].id);
    }
}

Test(header, does_not_know_other_names)
{
    cr_assert_eq(http_header_id(S("")), HEADER_OTHER);
    cr_assert_eq(http_header_id(S("x")), HEADER_OTHER);
    cr_assert_eq(http_header_id(S("x-team")), HEADER_OTHER);
    cr_assert_eq(http_header_id(S("content_length")), HEADER_OTHER);
    cr_assert_eq(http_header_id(S("hostt")), HEADER_OTHER);
}

Test(header, finds_fields)
{
    const struct http_header headers[] = {
        {.name = S("X-Team"), .value = S("a")},
        {.name = S("Accept"), .value = S("b"), .id = HEADER_ACCEPT},
        {.name = S("Accept"), .value = S("c"), .id = HEADER_ACCEPT},
    };

    cr_assert(slice_eq(http_header_value(headers, 3, HEADER_ACCEPT), S("b")));
    cr_assert_null(http_header_find(headers, 3, HEADER_HOST));
    cr_assert_eq(http_header_value(headers, 3, HEADER_HOST).len, 0);
    cr_assert_eq(http_header_find_name(headers, 3, S("x-tEAM")), &headers[0]);
    cr_assert_null(http_header_find_name(headers, 3, S("x-tea")));
}

Test(header, walks_lists)
{
    struct slice list = S(" a, ,b\t,\"c,\\\",d\" ;q=1,,");
    struct slice element;

    cr_assert(http_list_next(&list, &element) && slice_eq(element, S("a")));
    cr_assert(http_list_next(&list, &element) && slice_eq(element, S("b")));
    cr_assert(http_list_next(&list, &element) && slice_eq(element, S("\"c,\\\",d\" ;q=1")));
    cr_assert_not(http_list_next(&list, &element));
}

Test(header, compares_media_types)
{
    cr_assert(http_media_type_is(S("application/json"), S("application/json")));
    cr_assert(http_media_type_is(S("Application/JSON; charset=utf-8"), S("application/json")));
    cr_assert(http_media_type_is(S(" text/event-stream ;x"), S("text/event-stream")));
    cr_assert_not(http_media_type_is(S("application/jsonl"), S("application/json")));
    cr_assert_not(http_media_type_is(S("application/jso"), S("application/json")));
    cr_assert_not(http_media_type_is(S(""), S("application/json")));
}

Test(header, parses_numbers_strictly)
{
    uint64_t value;

    cr_assert(http_u64_parse(S("18446744073709551615"), &value) && value == UINT64_MAX);
    cr_assert_not(http_u64_parse(S("18446744073709551616"), &value));
    cr_assert_not(http_u64_parse(S(""), &value));
    cr_assert_not(http_u64_parse(S(" 1"), &value));
    cr_assert_not(http_u64_parse(S("+1"), &value));
}

Test(header, validates_names_and_values)
{
    cr_assert(http_token_valid(S("x-team_1")));
    cr_assert_not(http_token_valid(S("")));
    cr_assert_not(http_token_valid(S("a b")));
    cr_assert(http_value_valid(S("")));
    cr_assert(http_value_valid(S("a\tb \xff")));
    cr_assert_not(http_value_valid(S("a\nb")));
    cr_assert_not(http_value_valid(S("0123456789abcdef0123456789\0")));
}
