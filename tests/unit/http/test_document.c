#include <criterion/criterion.h>

#include "http/outcome.h"
#include "r2a/core/mem.h"
#include "r2a/http/document.h"
#include "r2a/http/framing.h"

static void stream_is(struct slice text, const char *expected)
{
    for (uint64_t cut = 0; cut < 12; cut++) {
        struct outcome outcome = outcome_of_stream(&framing_document, text, 4096, cut);

        cr_assert_str_eq(outcome.text, expected, "cut %d", (int)cut);
        outcome_free(&outcome);
    }
}

Test(document, gives_out_the_whole_body)
{
    stream_is(S("{\"a\": [1, 2]}\n\ndata: x\n\n"),
              "DOCUMENT |{\"a\": [1, 2]}\\x0a\\x0adata: x\\x0a\\x0a\nend\n");
    stream_is(S(""), "DOCUMENT |\nend\n");
}

Test(document, refuses_a_body_over_the_limit)
{
    static char text[4097];

    memset(text, 'x', sizeof(text));
    stream_is(slice_of(text, sizeof(text)), "error FRAME_LIMIT\n");
}

Test(document, takes_what_is_expected_at_once)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 1 << 20);
    struct document document;
    struct frame frame;
    const char *ptr;

    document_init(&document, mem, 1 << 20);
    cr_assert_eq(document_expect(&document, 100000), R2A_OK);
    ptr = document.gather.ptr;
    for (int i = 0; i < 10000; i++)
        cr_assert_eq(document_feed(&document, S("0123456789"), &frame), 0);
    cr_assert_eq(document.gather.ptr, ptr);
    cr_assert_eq(document_finish(&document, &frame), 1);
    cr_assert_eq(frame.data.len, 100000);
    cr_assert_eq(document_finish(&document, &frame), 0);
    cr_assert_eq(budget.used, 0);
    document_init(&document, mem, 100);
    cr_assert_eq(document_expect(&document, 101), R2A_ERR_FRAME_LIMIT);
    document_free(&document);
    mem_close(mem);
}

Test(document, lends_what_came_whole)
{
    struct mem_budget budget = {0};
    struct mem *mem = mem_open(&budget, 1 << 20);
    struct document document;
    struct frame frame;
    struct slice whole = S("{\"a\": 1}");

    document_init(&document, mem, 100);
    cr_assert(document_lend(&document, whole));
    cr_assert_eq(document_finish(&document, &frame), 1);
    cr_assert_eq(frame.kind, FRAME_DOCUMENT);
    cr_assert_eq(frame.data.ptr, whole.ptr);
    cr_assert_eq(frame.data.len, whole.len);
    cr_assert_eq(document_bytes(&document).ptr, whole.ptr);
    document_recall(&document);
    cr_assert_eq(document_bytes(&document).len, 0);
    cr_assert_eq(budget.used, 0);

    document_init(&document, mem, 100);
    cr_assert(document_lend(&document, whole));
    document_free(&document); /* what was lent is not given back as ours */
    cr_assert(document_lend(&document, whole));
    cr_assert_eq(document_feed(&document, S("!"), &frame), 0); /* and is copied when more comes */
    document_recall(&document);
    cr_assert(slice_eq(document_bytes(&document), S("{\"a\": 1}!")));
    document_free(&document);
    cr_assert_eq(budget.used, 0);

    document_init(&document, mem, 4);
    cr_assert_not(document_lend(&document, whole)); /* feeding it says what is wrong */
    cr_assert_eq(document_feed(&document, whole, &frame), R2A_ERR_FRAME_LIMIT);

    document_init(&document, mem, 100);
    cr_assert_eq(document_feed(&document, whole, &frame), 0);
    cr_assert_not(document_lend(&document, whole));
    document_free(&document);
    mem_close(mem);
}
