#include "r2a/core/check.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Test(check, true_claims_do_nothing)
{
    int evaluated = 0;

    check(++evaluated == 1);
    cr_assert_eq(evaluated, 1);
}

Test(check, failed_claims_abort, .signal = SIGABRT)
{
    check(1 == 2);
}

Test(check, unreachable_aborts, .signal = SIGABRT)
{
    unreachable();
}

Test(check, says_where_and_what)
{
    int pipe_fds[2];
    char said[256] = {0};
    size_t len = 0;
    ssize_t got;
    pid_t child;

    cr_assert_eq(pipe(pipe_fds), 0);
    child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(pipe_fds[1], STDERR_FILENO);
        check_failed("file.c", 12345, "sky == blue");
    }
    close(pipe_fds[1]);
    while ((got = read(pipe_fds[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)got;
    waitpid(child, NULL, 0);
    cr_assert_str_eq(said, "file.c:12345: check failed: sky == blue\n");
}

Test(check, container_of_finds_the_owner)
{
    struct owner {
        char before[3];
        int member;
    } owner;

    cr_assert_eq(container_of(&owner.member, struct owner, member), &owner);
}
