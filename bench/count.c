/* The main of every instruction count. */
#include "count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline, noclone, used)) void count_run(const struct count_fixture *fixture)
{
    fixture->run();
    __asm__ volatile("" ::: "memory"); /* no tail call: the count ends with this function */
}

void count_failed(const char *what)
{
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < count_fixtures_count; i++) {
        const struct count_fixture *fixture = &count_fixtures[i];

        if (argc == 2 && strcmp(argv[1], "--list") == 0) {
            puts(fixture->name);
        } else if (argc == 2 && strcmp(argv[1], fixture->name) == 0) {
            if (fixture->prepare)
                fixture->prepare();
            count_run(fixture);
            return 0;
        }
    }
    return argc == 2 && strcmp(argv[1], "--list") == 0 ? 0 : 2;
}
