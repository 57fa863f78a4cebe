#include <criterion/criterion.h>

#include "r2a/provider/list.h"

static void count(void *context, struct slice name)
{
    cr_assert_not_null(provider_find(name));
    ++*(int *)context;
}

Test(table, holds_whole_rows)
{
    cr_assert_null(provider_table_check());
}

Test(table, finds_kinds_by_name)
{
    int kinds = 0;

    cr_assert_eq(provider_find(S("openai")), &provider_openai);
    cr_assert_eq(provider_find(S("echo")), &provider_echo);
    cr_assert_null(provider_find(S("nobody")));
    cr_assert_null(provider_find((struct slice){0}));
    provider_names(count, &kinds);
    cr_assert_geq(kinds, 4);
}
