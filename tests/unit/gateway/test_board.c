#include <criterion/criterion.h>

#include "../../../src/gateway/board.h"

static uint32_t record(struct board *board, uint8_t tag)
{
    uint8_t digest[32] = {tag};

    return board_record(board, digest);
}

Test(board, finds_a_record_again)
{
    struct board *board = board_open();
    uint32_t a = record(board, 1), b = record(board, 2);

    cr_assert_neq(a, b);
    cr_assert_eq(record(board, 1), a);
    board_close(board);
}

Test(board, is_bounded)
{
    struct board *board = board_open();

    for (uint32_t i = 0; i < BOARD_RECORDS_MAX; i++) {
        uint8_t digest[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};

        cr_assert_eq(board_record(board, digest), i);
    }
    cr_assert_eq(record(board, 0xff), BOARD_NONE);
    board_close(board);
}

Test(board, counts_requests_of_the_last_minute)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);
    uint64_t wait = 0;

    for (uint64_t i = 0; i < 5; i++)
        cr_assert_eq(board_key_admit(board, key, 5, 0, 1000 * i, &wait), BOARD_ADMITTED);
    cr_assert_eq(board_key_admit(board, key, 5, 0, 30000, &wait), BOARD_RPM);
    cr_assert_eq(wait, 30000); /* the first of them leaves the window at 60 s */
    cr_assert_eq(board_key_admit(board, key, 5, 0, 59999, &wait), BOARD_RPM);
    cr_assert_eq(board_key_admit(board, key, 5, 0, 60000, &wait), BOARD_ADMITTED);
    cr_assert_eq(board_key_admit(board, key, 5, 0, 60001, &wait), BOARD_RPM);
    board_close(board);
}

Test(board, bounds_what_runs_at_once)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);
    uint64_t wait = 0;

    cr_assert_eq(board_key_admit(board, key, 0, 2, 0, &wait), BOARD_ADMITTED);
    cr_assert_eq(board_key_admit(board, key, 0, 2, 0, &wait), BOARD_ADMITTED);
    cr_assert_eq(board_key_admit(board, key, 0, 2, 0, &wait), BOARD_CONCURRENCY);
    cr_assert_eq(wait, 1000);
    board_key_release(board, key);
    cr_assert_eq(board_key_admit(board, key, 0, 2, 0, &wait), BOARD_ADMITTED);
    board_close(board);
}

Test(board, a_refused_request_does_not_count_as_running)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);
    uint64_t wait = 0;

    cr_assert_eq(board_key_admit(board, key, 1, 1, 0, &wait), BOARD_ADMITTED);
    board_key_release(board, key);
    cr_assert_eq(board_key_admit(board, key, 1, 1, 0, &wait), BOARD_RPM);
    cr_assert_eq(board_key_admit(board, key, 0, 1, 0, &wait), BOARD_ADMITTED);
    board_close(board);
}

Test(board, never_shortens_a_cool_down)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);

    board_cool(board, key, 0, BOARD_CAUSE_RATE, 500);
    board_cool(board, key, 0, BOARD_CAUSE_RATE, 300);
    cr_assert_eq(board_cool_until(board, key, 7), 500);
    board_warm(board, key, 7);
    cr_assert_eq(board_cool_until(board, key, 7), 0);
    board_close(board);
}

Test(board, cools_one_model_and_not_its_neighbours)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);

    board_cool(board, key, 7, BOARD_CAUSE_RATE, 500);
    board_cool(board, key, 7, BOARD_CAUSE_RATE, 300);
    cr_assert_eq(board_cool_until(board, key, 7), 500);
    cr_assert_eq(board_cool_until(board, key, 8), 0);
    board_warm(board, key, 8);
    cr_assert_eq(board_cool_until(board, key, 7), 500);
    board_warm(board, key, 7);
    cr_assert_eq(board_cool_until(board, key, 7), 0);
    board_close(board);
}

Test(board, gives_the_place_of_the_model_that_returns_first)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);

    for (uint64_t model = 1; model <= BOARD_MODELS_MAX; model++)
        board_cool(board, key, model, BOARD_CAUSE_RATE, 1000 + model);
    board_cool(board, key, 99, BOARD_CAUSE_RATE, 5000);
    cr_assert_eq(board_cool_until(board, key, 99), 5000);
    cr_assert_eq(board_cool_until(board, key, 1), 0);
    cr_assert_eq(board_cool_until(board, key, 2), 1002);
    board_close(board);
}

Test(board, bounds_connections_of_all_workers)
{
    struct board *board = board_open();

    cr_assert(board_connection_admit(board, 2));
    cr_assert(board_connection_admit(board, 2));
    cr_assert(!board_connection_admit(board, 2));
    board_connection_release(board);
    cr_assert(board_connection_admit(board, 2));
    cr_assert(board_connection_admit(board, 0));
    board_close(board);
}

Test(board, takes_turns)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);

    cr_assert_eq(board_turn(board, key), 0);
    cr_assert_eq(board_turn(board, key), 1);
    board_close(board);
}

Test(board, says_why_a_credential_cools)
{
    struct board *board = board_open();
    uint32_t key = record(board, 1);

    cr_assert_eq(board_cool_cause(board, key), BOARD_CAUSE_RATE);
    board_cool(board, key, 0, BOARD_CAUSE_AUTH, 500);
    cr_assert_eq(board_cool_cause(board, key), BOARD_CAUSE_AUTH);
    board_warm(board, key, 7);
    cr_assert_eq(board_cool_cause(board, key), BOARD_CAUSE_RATE);
    board_close(board);
}
