#include <criterion/criterion.h>

#include <ctype.h>

#include "r2a/ir/brief.h"
#include "r2a/ir/loss.h"

Test(brief, finds_names_however_the_wire_spells_them)
{
    struct brief_name names[] = {{.client = text_plain(S("a")), .wire = S("ns__a")},
                                 {.client = text_plain(S("b")), .wire = S("b_1")}};
    struct brief brief = {.names = names, .names_count = 2};

    cr_assert_eq(brief_name_of(&brief, text_plain(S("ns__a"))), &names[0]);
    cr_assert_eq(brief_name_of(&brief, text_escaped(S("b\\u005f1"))), &names[1]);
    cr_assert_eq(brief_name_of(&brief, text_escaped(S("b_1"))), &names[1]);
    cr_assert_null(brief_name_of(&brief, text_plain(S("b\\u005f1"))));
    cr_assert_null(brief_name_of(&brief, text_escaped(S("b\\n1"))));
    cr_assert_null(brief_name_of(&brief, text_escaped(S("b\\u00e91"))));
    cr_assert_null(brief_name_of(&brief, text_escaped(S("b_"))));
    cr_assert_null(brief_name_of(&brief, text_escaped(S("b_12"))));
    cr_assert_null(brief_name_of(&brief, text_escaped(S("b\\u00"))));
}

Test(brief, makes_ids_that_differ_by_index_and_repeat_for_it)
{
    struct brief brief = {.random = {7, 9}};
    char a[64], b[64];

    cr_assert_eq(brief_make_id(&brief, 0, S("call_"), a), 29);
    cr_assert_eq(brief_make_id(&brief, 0, S("call_"), b), 29);
    cr_assert_arr_eq(a, b, 29);
    cr_assert_arr_eq(a, "call_", 5);
    for (int i = 5; i < 29; i++)
        cr_assert(isalnum((unsigned char)a[i]));
    for (uint32_t i = 1; i < 1000; i++) {
        (void)brief_make_id(&brief, i, S("call_"), b);
        cr_assert(memcmp(a, b, 29) != 0);
    }
    brief.random[1] = 10;
    (void)brief_make_id(&brief, 0, S("call_"), b);
    cr_assert(memcmp(a, b, 29) != 0);
}

Test(brief, estimates_a_quarter_of_the_bytes_and_a_sum_an_image)
{
    struct brief brief = {.text_bytes = 401, .images_count = 2};

    cr_assert_eq(brief_estimate(&brief), 101 + 3200);
}

Test(loss, names_each_once_and_counts_the_rest)
{
    struct loss loss = {0};
    static char names[LOSS_NAMES_MAX + 3][4];

    loss_note(&loss, S("seed"));
    loss_note(&loss, S("seed"));
    loss_note(&loss, S("n"));
    cr_assert_eq(loss.count, 2);
    cr_assert_eq(loss.names_count, 2);
    cr_assert(slice_eq(loss.names[1], S("n")));
    for (uint32_t i = 0; i < LOSS_NAMES_MAX + 3; i++) {
        names[i][0] = 'x';
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        loss_note(&loss, slice_of(names[i], 3));
    }
    cr_assert_eq(loss.names_count, LOSS_NAMES_MAX);
    cr_assert_eq(loss.count, LOSS_NAMES_MAX + 5);
}
