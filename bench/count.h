#ifndef R2A_BENCH_COUNT_H
#define R2A_BENCH_COUNT_H

#include <stddef.h>

/* One counted piece of work: `prepare` (may be NULL) sets it up outside the count, `run` is what is
 * counted, once. Counts are exactly repeatable, so one run is enough; make it long enough (some
 * thousand instructions) that one per cent is more than one instruction. */
struct count_fixture {
    const char *name; /* letters, digits, _ and - */
    void (*prepare)(void);
    void (*run)(void);
};

/* Each bench/count_<file>.c is a program of its own and defines these. */
extern const struct count_fixture count_fixtures[];
extern const size_t count_fixtures_count;

/* The main (count.c) calls it for the fixture named on the command line; --list prints the names.
 * The tool counts the instructions between its entry and its return. */
void count_run(const struct count_fixture *fixture);

/* Aborts with the expression: a fixture that did not do its work must not be counted. */
#define count_expect(condition) ((condition) ? (void)0 : count_failed(#condition))
void count_failed(const char *what);

#endif
