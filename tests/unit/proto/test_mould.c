#include "../../../src/proto/mould.h"

#include <criterion/criterion.h>

#include "r2a/core/str.h"
#include "support/proto_kit.h"

/* Events of a stream compared with the one before. */

static struct kit kit;
static struct mould *mould;
static struct slice values[MOULD_HOLES_MAX];

static void open_kit(void)
{
    kit_open(&kit);
    mould = NULL;
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(mould, .init = open_kit, .fini = close_kit);

static struct mould_hole hole(struct slice event, const char *text, enum mould_kind kind)
{
    size_t at = str_find(event, slice_from_z(text));

    cr_assert_lt(at, event.len);
    return (struct mould_hole){slice_of(event.ptr + at, strlen(text)), kind};
}

static void make(const char *text)
{
    struct slice event = slice_from_z(text);
    struct mould_hole holes[] = {hole(event, "word", MOULD_STRING), hole(event, "17", MOULD_NUMBER),
                                 hole(event, "pad", MOULD_STRING)};

    mould_make(&mould, &kit.arena, event, holes, 3);
}

static bool fits(const char *text)
{
    return mould_fit(mould, slice_from_z(text), values);
}

Test(mould, an_event_that_differs_in_its_holes_alone_fits)
{
    cr_expect_not(fits("{}"));
    make("{\"n\":17,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}");
    cr_assert(fits("{\"n\":1800,\"t\":\"caf\\u00e9 \xc3\xa9\",\"x\":1,\"p\":\"\"}"));
    cr_expect(slice_eq(values[0], S("caf\\u00e9 \xc3\xa9")));
    cr_expect(slice_eq(values[1], S("1800")));
    cr_expect_eq(values[2].len, 0);
    cr_assert(fits("{\"n\":0,\"t\":\"\",\"x\":1,\"p\":\"q\"}"));
    cr_expect(slice_eq(values[2], S("q")));
}

Test(mould, an_event_that_differs_elsewhere_does_not)
{
    static const char *const others[] = {
        "{\"n\":17,\"t\":\"word\",\"x\":2,\"p\":\"pad\"}",
        "{\"n\":17,\"t\":\"word\",\"x\":1,\"p\":\"pad\",\"y\":1}",
        "{\"n\":17,\"t\":\"word\",\"x\":1,\"p\":\"pad\"",
        "{\"n\":17,\"t\":\"word",
        "{\"n\":17",
        "",
        "{\"n\":,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}",
        "{\"n\":017,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}",
        "{\"n\":-7,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}",
        "{\"n\":17.0,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}",
        /* what is no JSON string is no value */
        "{\"n\":17,\"t\":\"wo\\qrd\",\"x\":1,\"p\":\"pad\"}",
        "{\"n\":17,\"t\":\"wo\nrd\",\"x\":1,\"p\":\"pad\"}",
        "{\"n\":17,\"t\":\"wo\xff\",\"x\":1,\"p\":\"pad\"}",
    };

    make("{\"n\":17,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect_not(fits(others[i]), "%s", others[i]);
    cr_expect(fits("{\"n\":18,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}"));
    mould_forget(mould);
    cr_expect_not(fits("{\"n\":18,\"t\":\"word\",\"x\":1,\"p\":\"pad\"}"));
}

Test(mould, holes_come_in_any_order)
{
    make("{\"p\":\"pad\",\"t\":\"word\",\"n\":17}");
    cr_assert(fits("{\"p\":\"a\",\"t\":\"b\",\"n\":3}"));
    cr_expect(slice_eq(values[0], S("b")));
    cr_expect(slice_eq(values[1], S("3")));
    cr_expect(slice_eq(values[2], S("a")));
}

Test(mould, a_server_whose_events_all_differ_is_let_be)
{
    char text[80];

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "{\"at\":\"%c\",\"t\":\"word\",\"n\":17,\"p\":\"pad\"}",
                 'a' + i);
        cr_expect_not(fits(text));
        make(text);
        cr_expect_eq(mould_is_useless(mould), i >= 8);
    }
    cr_expect_not(fits(text));
}

Test(mould, one_fit_makes_up_for_what_did_not)
{
    char text[80];

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "{\"at\":\"%c\",\"t\":\"word\",\"n\":17,\"p\":\"pad\"}",
                 'a' + i);
        make(text);
        cr_expect(i % 3 != 0 || fits(text));
        cr_expect_not(mould_is_useless(mould));
    }
}

Test(mould, what_is_too_long_has_none)
{
    static const char event[] = "{\"t\":\"word\",\"n\":17,\"p\":\"pad\"}";
    static char text[1000];

    memset(text, ' ', 900);
    memcpy(text + 900, event, sizeof(event));
    make(text);
    cr_expect_null(mould);
}
