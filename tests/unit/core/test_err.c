#include "r2a/core/err.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "r2a/core/check.h"

static const struct {
    int32_t value;
    const char *name;
} rows[] = {
#define X(name, value, text) {(value), #name},
    R2A_ERR_LIST(X)
#undef X
};

Test(err, every_error_has_a_name_a_text_and_a_number_of_its_own)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        cr_assert_lt(rows[i].value, 0, "%s", rows[i].name);
        cr_assert_str_eq(r2a_err_name(rows[i].value), rows[i].name);
        cr_assert_gt(strlen(r2a_err_text(rows[i].value)), 2);
        cr_assert_str_neq(r2a_err_text(rows[i].value), "unknown error");
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(rows[i].value, rows[j].value, "%s %s", rows[i].name, rows[j].name);
    }
}

Test(err, values_outside_the_list_are_unknown)
{
    cr_assert_str_eq(r2a_err_text(R2A_OK), "ok");
    cr_assert_str_eq(r2a_err_name(R2A_OK), "OK");
    cr_assert_str_eq(r2a_err_text(1), "unknown error");
    cr_assert_str_eq(r2a_err_text(-99999), "unknown error");
    cr_assert_str_eq(r2a_err_name(-99999), "UNKNOWN");
}

Test(err, errno_values_become_the_nearest_error)
{
    cr_assert_eq(r2a_err_from_errno(0), R2A_OK);
    cr_assert_eq(r2a_err_from_errno(ECONNREFUSED), R2A_ERR_CONNECT);
    cr_assert_eq(r2a_err_from_errno(ECONNRESET), R2A_ERR_PEER_RESET);
    cr_assert_eq(r2a_err_from_errno(EPIPE), R2A_ERR_PEER_RESET);
    cr_assert_eq(r2a_err_from_errno(ETIMEDOUT), R2A_ERR_TIMEOUT);
    cr_assert_eq(r2a_err_from_errno(ECANCELED), R2A_ERR_CANCELLED);
    cr_assert_eq(r2a_err_from_errno(ENOMEM), R2A_ERR_NO_MEMORY);
    cr_assert_eq(r2a_err_from_errno(EMFILE), R2A_ERR_LIMIT);
    cr_assert_eq(r2a_err_from_errno(EIO), R2A_ERR_SYSTEM);
}
