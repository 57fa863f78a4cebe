/* What a failed assertion does: one line to stderr, then abort. No stdio: the state of the program
 * is not to be trusted any more, and a write is all that is needed. */
#include "r2a/core/check.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec piece(const char *z)
{
    struct iovec vec;

    /* writev never writes through it; iov_base lacks the const. */
    memcpy(&vec.iov_base, &z, sizeof(z));
    vec.iov_len = strlen(z);
    return vec;
}

_Noreturn void check_failed(const char *file, int line, const char *what)
{
    char digits[12];
    char *digit = digits + sizeof(digits) - 1;
    unsigned rest = line > 0 ? (unsigned)line : 0;

    *digit = '\0';
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);

    struct iovec vecs[] = {piece(file), piece(":"), piece(digit), piece(": check failed: "),
                           piece(what), piece("\n")};

    if (writev(STDERR_FILENO, vecs, (int)array_count(vecs)) < 0)
        abort();
    abort();
}
