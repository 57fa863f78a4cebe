/* Why io_uring is refused and what to do about it. Five errno values have ten causes; the sysctl
 * and the presence of a seccomp filter tell them apart. Asks the system, decides nothing. */
#include "engine_refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static int read_disabled(void)
{
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    char digit = '0';
    ssize_t got;

    if (fd < 0)
        return -1;
    got = read(fd, &digit, 1);
    close(fd);
    return got == 1 && digit >= '0' && digit <= '2' ? digit - '0' : -1;
}

void engine_refusal_gather(struct engine_refusal *refusal)
{
    struct utsname name;
    struct rlimit limit;
    char *end;

    refusal->disabled = read_disabled();
    refusal->seccomp = prctl(PR_GET_SECCOMP);
    refusal->lock_bytes = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? (size_t)limit.rlim_cur : 0;
    refusal->kernel_major = 0;
    refusal->kernel_minor = 0;
    if (uname(&name) != 0)
        return;
    refusal->kernel_major = (int)strtol(name.release, &end, 10);
    if (*end == '.')
        refusal->kernel_minor = (int)strtol(end + 1, NULL, 10);
}

static const char *errno_name(int errnum)
{
    switch (errnum) {
    case ENOSYS:
        return "ENOSYS";
    case EPERM:
        return "EPERM";
    case EACCES:
        return "EACCES";
    case ENOMEM:
        return "ENOMEM";
    case EINVAL:
        return "EINVAL";
    default:
        return strerror(errnum);
    }
}

static const char seccomp_remedy[] =
    "a seccomp profile blocks it (the default of container engines): run with a copy of the "
    "default profile that also allows io_uring_setup, io_uring_enter and io_uring_register "
    "(the shipped seccomp.json, --security-opt seccomp=seccomp.json; Kubernetes: the same file as "
    "a Localhost profile)";

static const char kernel_remedy[] = "this needs Linux 6.1 or newer with CONFIG_IO_URING";

void engine_refusal_text(const struct engine_refusal *refusal, char *text, size_t size)
{
    const char *cause;
    char longer[320];

    switch (refusal->errnum) {
    case ENOSYS:
        cause = refusal->seccomp == 2 ? seccomp_remedy : kernel_remedy;
        break;
    case EPERM:
        if (refusal->disabled == 2)
            cause = "it is switched off for everybody: sysctl kernel.io_uring_disabled=0";
        else if (refusal->disabled == 1)
            cause = "it is switched off for ordinary users: sysctl kernel.io_uring_disabled=0, or "
                    "add the user to the group in kernel.io_uring_group, or grant CAP_SYS_ADMIN";
        else if (refusal->seccomp == 2)
            cause = seccomp_remedy;
        else
            cause = "neither the sysctl kernel.io_uring_disabled nor a seccomp filter forbids it, "
                    "so it is a security module: see its log";
        break;
    case EACCES:
        cause = refusal->seccomp == 2 ? seccomp_remedy
                                      : "a security module forbids it: see its log (audit)";
        break;
    case ENOMEM:
        snprintf(
            longer, sizeof longer,
            "locked memory is used up: RLIMIT_MEMLOCK is %zu KiB for all processes of this "
            "user together and a worker needs about 130 KiB; raise it (systemd: LimitMEMLOCK=, "
            "containers: --ulimit memlock=), or grant CAP_IPC_LOCK",
            refusal->lock_bytes / 1024);
        cause = longer;
        break;
    case EINVAL:
        snprintf(longer, sizeof longer, "%s; this is %d.%d", kernel_remedy, refusal->kernel_major,
                 refusal->kernel_minor);
        cause = longer;
        break;
    default:
        cause = "unexpected; please report it";
        break;
    }
    snprintf(text, size, "io_uring is refused (%s): %s", errno_name(refusal->errnum), cause);
}
