#include "r2a/core/list.h"

#include <criterion/criterion.h>

struct item {
    int value;
    struct list_node node;
};

static int take(struct list *list)
{
    struct item *item = list_owner(list_pop_front(list), struct item, node);

    return item == NULL ? -1 : item->value;
}

Test(list, a_zero_head_is_an_empty_list)
{
    struct list list = {0};

    cr_assert(list_is_empty(&list));
    cr_assert_null(list_first(&list));
    cr_assert_null(list_last(&list));
    cr_assert_null(list_pop_front(&list));
}

Test(list, keeps_the_order_of_both_ends)
{
    struct list list = {0};
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

    list_push_back(&list, &items[1].node);
    list_push_back(&list, &items[2].node);
    list_push_front(&list, &items[0].node);
    list_push_back(&list, &items[3].node);
    cr_assert_eq(list_first(&list), &items[0].node);
    cr_assert_eq(list_last(&list), &items[3].node);
    cr_assert_eq(list_next(&list, &items[0].node), &items[1].node);
    cr_assert_null(list_next(&list, &items[3].node));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(take(&list), i);
    cr_assert_eq(take(&list), -1);
    cr_assert(list_is_empty(&list));
}

Test(list, removing_unlinks_and_may_be_repeated)
{
    struct list list = {0};
    struct item items[3] = {{.value = 0}, {.value = 1}, {.value = 2}};

    for (int i = 0; i < 3; i++)
        list_push_back(&list, &items[i].node);
    list_remove(&items[1].node);
    cr_assert_not(list_is_linked(&items[1].node));
    list_remove(&items[1].node);
    cr_assert_eq(take(&list), 0);
    cr_assert_eq(take(&list), 2);
    list_push_front(&list, &items[1].node);
    cr_assert_eq(take(&list), 1);
}

Test(list, appending_moves_everything)
{
    struct list a = {0}, b = {0};
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

    list_append(&a, &b);
    cr_assert(list_is_empty(&a));
    list_push_back(&b, &items[0].node);
    list_push_back(&b, &items[1].node);
    list_append(&a, &b);
    cr_assert(list_is_empty(&b));
    list_push_back(&b, &items[2].node);
    list_push_back(&b, &items[3].node);
    list_append(&a, &b);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(take(&a), i);
    cr_assert(list_is_empty(&a));
}
