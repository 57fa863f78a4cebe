#ifndef R2A_NET_ENGINE_REFUSE_H
#define R2A_NET_ENGINE_REFUSE_H

#include <stddef.h>

/* What tells the causes of a refusal apart. */
struct engine_refusal {
    int errnum;        /* of setting a ring up */
    int disabled;      /* kernel.io_uring_disabled; -1: no such file */
    int seccomp;       /* prctl(PR_GET_SECCOMP): 2 when some filter is in force */
    size_t lock_bytes; /* RLIMIT_MEMLOCK */
    int kernel_major;  /* 0: unknown */
    int kernel_minor;
};

/* Fills in all but errnum from this system. */
void engine_refusal_gather(struct engine_refusal *refusal);
/* Cause and remedy as one line, NUL-terminated. */
void engine_refusal_text(const struct engine_refusal *refusal, char *text, size_t size);

#define ENGINE_KERNEL_MAJOR 6 /* floor: 6.1, IORING_SETUP_DEFER_TASKRUN */
#define ENGINE_KERNEL_MINOR 1

#endif
