#include <criterion/criterion.h>

#include <stdio.h>

#include "src/proto/strict.h"

static bool strict(const char *schema)
{
    char text[1024];
    size_t len = strlen(schema);

    cr_assert_lt(len, sizeof(text));
    for (size_t i = 0; i < len; i++)
        text[i] = schema[i] == '\'' ? '"' : schema[i];
    return schema_is_strict(slice_of(text, len));
}

Test(strict, objects_must_be_closed_and_require_all)
{
    cr_assert(strict("{'type':'object','properties':{'a':{'type':'string'}},'required':['a'],"
                     "'additionalProperties':false}"));
    cr_assert(strict("{'type':'object','properties':{'\\u0061':{}},'required':['a'],"
                     "'additionalProperties':false}"));
    cr_assert(strict("{'type':'string'}"));
    cr_assert_not(strict("{'type':'object','properties':{'a':{}},'required':['a']}"));
    cr_assert_not(strict("{'type':'object','properties':{'a':{},'b':{}},'required':['a'],"
                         "'additionalProperties':false}"));
    cr_assert_not(strict("{'type':'object','properties':{'a':{}},'additionalProperties':false}"));
    cr_assert_not(strict("{'type':'object','additionalProperties':true}"));
    cr_assert_not(strict("[]"));
    cr_assert_not(strict("true"));
    cr_assert_not(strict("{"));
}

Test(strict, everything_below_counts_too)
{
    cr_assert_not(strict("{'type':'array','items':{'type':'object'}}"));
    cr_assert_not(strict("{'anyOf':[{'type':'string'},{'type':'object'}]}"));
    cr_assert_not(strict("{'$defs':{'x':{'type':'object'}}}"));
    cr_assert_not(strict("{'allOf':[{'type':'string'}]}"));
    cr_assert(strict("{'type':'object','properties':{'properties':{'type':'string'},'items':"
                     "{'type':'array','items':{'type':'null'}}},'required':['items','properties'],"
                     "'additionalProperties':false}"));
}

Test(strict, depth_is_bounded)
{
    char text[4096] = "";

    for (int i = 0; i < 100; i++)
        memcpy(text + strlen(text), "{\"items\":", 10);
    memcpy(text + strlen(text), "{}", 3);
    for (int i = 0; i < 100; i++)
        memcpy(text + strlen(text), "}", 2);
    cr_assert_not(schema_is_strict(slice_of(text, strlen(text))));
}
