#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/limits.h"
#include "rig.h"
#include "src/net/engine_refuse.h"

static struct rig rig;

struct note {
    struct op op;
    struct op_result results[64];
    uint32_t count;
};

static void take_note(struct op *op, struct op_result result)
{
    struct note *note = container_of(op, struct note, op);

    cr_assert(note->count < 64);
    note->results[note->count++] = result;
    cr_assert_eq(op->state, result.is_last ? OP_IDLE : OP_ARMED);
    if (result.buffer != ENGINE_NO_BUFFER)
        rig.loop.engine->table->give(rig.loop.engine, result.buffer);
}

static void arm(struct note *note, const struct op *op)
{
    note->op = *op;
    note->op.fn = take_note;
    note->count = 0;
    loop_arm(&rig.loop, &note->op);
}

static struct op_result last(const struct note *note)
{
    return note->results[note->count - 1];
}

static void close_handle(int32_t handle)
{
    rig.loop.engine->table->discard(rig.loop.engine, handle);
}

Test(engine, sends_and_receives_in_every_form)
{
    static struct note tx, rx;
    char one[] = "one ", two[] = "two", into[16] = {0};
    struct iovec vecs[2] = {{one, 4}, {two, 3}};
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    cr_assert(!engine_is_plain(handle));
    arm(&tx, &(struct op){.kind = OP_SEND, .handle = handle, .ptr = vecs, .len = 2});
    memset(vecs, 0, sizeof vecs); /* copied when armed */
    rig_until(&rig, tx.count == 1);
    cr_assert_eq(last(&tx).res, 7);
    cr_assert_eq(recv(fd, into, sizeof into, 0), 7);
    cr_assert_str_eq(into, "one two");

    vecs[0] = (struct iovec){one, 3};
    arm(&tx, &(struct op){.kind = OP_SEND, .handle = handle, .ptr = vecs, .len = 1});
    rig_until(&rig, tx.count == 1);
    cr_assert_eq(last(&tx).res, 3);
    cr_assert_eq(recv(fd, into, sizeof into, 0), 3);

    arm(&rx, &(struct op){.kind = OP_RECV_INTO, .handle = handle, .ptr = into, .len = 5});
    cr_assert_eq(write(fd, "abcdefg", 7), 7);
    rig_until(&rig, rx.count == 1);
    cr_assert_eq(last(&rx).res, 5);
    cr_assert_eq(memcmp(into, "abcde", 5), 0);
    cr_assert_eq(last(&rx).buffer, ENGINE_NO_BUFFER);

    arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle});
    rig_until(&rig, rx.count == 1);
    cr_assert_eq(last(&rx).res, 2);
    cr_assert_neq(last(&rx).buffer, ENGINE_NO_BUFFER);
    cr_assert(last(&rx).is_last);

    arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle, .flags = OP_EMPTY});
    rig_settle(&rig);
    cr_assert_eq(rx.count, 0);
    close(fd);
    rig_until(&rig, rx.count == 1);
    cr_assert_eq(last(&rx).res, 0);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, multishot_receive_reports_until_cancelled)
{
    static struct note rx;
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle, .flags = OP_MULTI});
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert_eq(write(fd, "x", 1), 1);
        rig_until(&rig, rx.count == i + 1);
        cr_assert(!last(&rx).is_last);
    }
    cr_assert_eq(rig.loop.engine->stats.rx_offered, RX_WINDOW);
    engine_cancel(rig.loop.engine, &rx.op);
    rig_until(&rig, last(&rx).is_last);
    cr_assert_eq(last(&rx).res, -ECANCELED);
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, cancel_of_what_ended_is_harmless)
{
    static struct note rx;
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    for (int i = 0; i < 300; i++) {
        arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle});
        if (i % 3 != 0)
            cr_assert_eq(write(fd, "x", 1), 1);
        if (i % 2 == 0)
            loop_tick(&rig.loop, 0);
        if (rx.op.state == OP_ARMED)
            engine_cancel(rig.loop.engine, &rx.op);
        rig_until(&rig, rx.count == 1);
        cr_assert(last(&rx).res == 1 || last(&rx).res == -ECANCELED || last(&rx).res > 0);
    }
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, no_byte_is_lost_when_cancels_race_arrivals)
{
    static struct note rx;
    int32_t handle;
    int64_t got = 0, sent = 0;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    for (int i = 0; i < 300; i++) {
        arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle, .flags = OP_MULTI});
        loop_tick(&rig.loop, 0);
        sent += write(fd, "0123456789", 10);
        engine_cancel(rig.loop.engine, &rx.op);
        rig_until(&rig, rx.op.state == OP_IDLE);
        for (uint32_t j = 0; j < rx.count; j++)
            got += rx.results[j].res > 0 ? rx.results[j].res : 0;
    }
    while (got < sent) {
        arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle});
        rig_until(&rig, rx.count == 1);
        cr_assert(last(&rx).res > 0);
        got += last(&rx).res;
    }
    cr_assert_eq(got, sent);
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, cancel_all_and_shutdown_end_what_is_armed)
{
    static struct note rx, ctl;
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle, .flags = OP_MULTI});
    loop_tick(&rig.loop, 0);
    arm(&ctl, &(struct op){.kind = OP_CANCEL_ALL, .handle = handle});
    rig_until(&rig, ctl.count == 1 && rx.count == 1);
    cr_assert_eq(last(&ctl).res, 1);
    cr_assert_eq(last(&rx).res, -ECANCELED);

    arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle, .flags = OP_MULTI});
    loop_tick(&rig.loop, 0);
    arm(&ctl, &(struct op){.kind = OP_SHUTDOWN, .handle = handle, .len = SHUT_RDWR});
    rig_until(&rig, ctl.count == 1 && rx.count == 1);
    cr_assert_eq(last(&rx).res, 0);
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, plain_descriptors_and_files_work_too)
{
    static struct note read_note, wait_note, append;
    char path[] = "/tmp/r2a-engine-XXXXXX", back[16] = {0};
    uint64_t value = 0, one = 1;
    int fd, event;

    rig_open(&rig, NULL);
    event = eventfd(0, EFD_CLOEXEC);
    cr_assert(engine_is_plain(event));
    arm(&wait_note, &(struct op){.kind = OP_WAIT, .handle = event});
    rig_settle(&rig);
    cr_assert_eq(wait_note.count, 0);
    cr_assert_eq(write(event, &one, sizeof one), 8);
    rig_until(&rig, wait_note.count == 1);
    cr_assert(last(&wait_note).res > 0);
    arm(&read_note, &(struct op){.kind = OP_READ, .handle = event, .ptr = &value, .len = 8});
    rig_until(&rig, read_note.count == 1);
    cr_assert_eq(value, 1);
    close(event);

    fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        arm(&append, &(struct op){.kind = OP_APPEND, .handle = fd, .ptr = "line\n", .len = 5});
        rig_until(&rig, append.count == 1);
        cr_assert_eq(last(&append).res, 5);
    }
    cr_assert_eq(pread(fd, back, sizeof back, 0), 15);
    cr_assert_eq(memcmp(back, "line\nline\nline\n", 15), 0);
    close(fd);
    unlink(path);
    rig_close(&rig);
}

Test(engine, a_stuck_pipe_does_not_stop_the_loop)
{
    static struct note append, rx;
    static char block[1 << 17];
    int32_t handle;
    int ends[2], fd;

    rig_open(&rig, NULL);
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], block, sizeof block) > 0)
        continue; /* until it is full */
    fcntl(ends[1], F_SETFL, 0);
    arm(&append,
        &(struct op){.kind = OP_APPEND, .handle = ends[1], .ptr = block, .len = sizeof block});
    rig_pair(&rig, &handle, &fd);
    for (int i = 0; i < 20; i++) {
        arm(&rx, &(struct op){.kind = OP_RECV, .handle = handle});
        cr_assert_eq(write(fd, "x", 1), 1);
        rig_until(&rig, rx.count == 1);
    }
    cr_assert_eq(append.count, 0);
    engine_cancel(rig.loop.engine, &append.op); /* as at the end of the process */
    rig_until(&rig, append.count == 1);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, takes_more_operations_than_its_queue_holds)
{
    enum { MANY = 500 };
    const struct engine_cfg cfg = {.submissions = 16, .completions = 64, .sockets_max = 64};
    static struct note notes[MANY];
    char piece[2][4] = {"ab", "cd"};
    struct iovec vecs[2] = {{piece[0], 2}, {piece[1], 2}};
    int32_t handle;
    uint32_t done = 0;
    int fd, event;

    rig_open(&rig, &cfg);
    rig_pair(&rig, &handle, &fd);
    event = eventfd(1, EFD_CLOEXEC);
    for (int i = 0; i < MANY; i++)
        arm(&notes[i], &(struct op){.kind = OP_WAIT, .handle = event});
    rig_until(&rig, notes[MANY - 1].count == 1);
    rig_settle(&rig);
    for (int i = 0; i < MANY; i++)
        done += notes[i].count;
    cr_assert_eq(done, MANY);
    /* arguments that are copied until submission run out, too (one socket, so one at a time is the
     * rule; here the order does not matter) */
    for (int i = 0; i < MANY; i++)
        arm(&notes[i], &(struct op){.kind = OP_SEND, .handle = handle, .ptr = vecs, .len = 2});
    for (int i = 0; i < MANY; i++) {
        rig_until(&rig, recv(fd, piece, 4, MSG_DONTWAIT) == 4);
        rig_until(&rig, notes[i].count == 1);
        cr_assert_eq(last(&notes[i]).res, 4);
    }
    close(event);
    close(fd);
    close_handle(handle);
    rig_close(&rig);
}

Test(engine, window_widens_when_starved_and_narrows_again)
{
    enum { SOCKETS = 60 };
    const struct engine_cfg cfg = {.sockets_max = 256, .rx_window = 4, .rx_buffers = 64};
    static struct note notes[SOCKETS];
    int32_t handles[SOCKETS];
    int fds[SOCKETS];
    const struct engine_stats *stats;

    rig_open(&rig, &cfg);
    stats = &rig.loop.engine->stats;
    cr_assert_eq(stats->rx_offered, 4);
    for (int i = 0; i < SOCKETS; i++) {
        rig_pair(&rig, &handles[i], &fds[i]);
        arm(&notes[i], &(struct op){.kind = OP_RECV, .handle = handles[i]});
    }
    loop_tick(&rig.loop, 0);
    for (int i = 0; i < SOCKETS; i++)
        cr_assert_eq(write(fds[i], "x", 1), 1);
    for (int i = 0; i < SOCKETS; i++) {
        rig_until(&rig, notes[i].count > 0);
        while (last(&notes[i]).res == -ENOBUFS) {
            arm(&notes[i], &(struct op){.kind = OP_RECV, .handle = handles[i]});
            rig_until(&rig, notes[i].count > 0);
        }
        cr_assert_eq(last(&notes[i]).res, 1);
    }
    cr_assert(stats->starved > 0);
    cr_assert(stats->rx_window > 4);
    cr_assert(stats->rx_window <= 64);
    for (int i = 0; i < 100000 && stats->rx_window > 4; i++)
        loop_tick(&rig.loop, 0);
    cr_assert_eq(stats->rx_window, 4);
    for (int i = 0; i < SOCKETS; i++) {
        close(fds[i]);
        close_handle(handles[i]);
    }
    rig_close(&rig);
}

Test(engine, sockets_stay_plain_when_the_table_is_full)
{
    const struct engine_cfg cfg = {.sockets_max = 8}; /* 4 of them ours */
    int32_t handles[6];
    int fds[6];

    rig_open(&rig, &cfg);
    for (int i = 0; i < 6; i++) {
        rig_pair(&rig, &handles[i], &fds[i]);
        cr_assert_eq(engine_is_plain(handles[i]), i >= 4);
    }
    for (int i = 0; i < 6; i++) {
        char byte;

        close_handle(handles[i]);
        rig_settle(&rig);
        cr_assert_eq(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    rig_pair(&rig, &handles[0], &fds[0]); /* slots come back */
    cr_assert(!engine_is_plain(handles[0]));
    close_handle(handles[0]);
    close(fds[0]);
    rig_close(&rig);
}

static int quick_acks(int fd)
{
    int value = -1;
    socklen_t size = sizeof value;

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &size), 0);
    return value;
}

/* Looked at where the table is full, for a socket in it has no descriptor to ask. */
Test(engine, eases_a_steady_stream)
{
    const struct engine_cfg cfg = {.sockets_max = 2}; /* one of them ours */
    char found[256];
    int32_t handles[2];
    int fds[2];

    rig_open(&rig, &cfg);
    engine_describe(found, sizeof found);
    for (int i = 0; i < 2; i++)
        rig_tcp_pair(&rig, &handles[i], &fds[i], 0, 0);
    cr_assert_not(engine_is_plain(handles[0]));
    cr_assert(engine_is_plain(handles[1]));
    cr_assert_eq(quick_acks(handles[1]), 1);
    for (int i = 0; i < 2; i++)
        rig.loop.engine->table->ease(rig.loop.engine, handles[i]);
    rig_settle(&rig);
    cr_assert_eq(quick_acks(handles[1]), strstr(found, "by command") == NULL);
    for (int i = 0; i < 2; i++) {
        close_handle(handles[i]);
        close(fds[i]);
    }
    rig_close(&rig);
}

Test(engine, holds_sockets_without_descriptors)
{
    enum { SOCKETS = 100 };
    uint32_t before;
    int32_t handles[SOCKETS];

    rig_open(&rig, NULL);
    before = rig_descriptors();
    for (int i = 0; i < SOCKETS; i++) {
        int fd;

        rig_pair(&rig, &handles[i], &fd);
        close(fd);
    }
    cr_assert_eq(rig_descriptors(), before);
    for (int i = 0; i < SOCKETS; i++)
        close_handle(handles[i]);
    rig_close(&rig);
}

Test(engine, describes_itself)
{
    char text[256];

    rig_open(&rig, NULL);
    engine_describe(text, sizeof text);
    cr_assert(strncmp(text, "io_uring: linux ", 16) == 0, "%s", text);
    rig_close(&rig);
}

/* In a child, so that the parent keeps its limits and its user. Exit code 0: as expected. */
static int status_of(pid_t child)
{
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

Test(engine, names_locked_memory_when_that_is_the_cause)
{
    pid_t child;

    rig_open(&rig, NULL);
    rig_close(&rig);
    if (geteuid() != 0)
        cr_skip_test("needs root to become somebody else");
    child = fork();
    if (child == 0) {
        struct rlimit limit = {16384, 16384};
        const struct engine_cfg cfg = {.sockets_max = 64};
        struct engine *engine = NULL;
        char text[512];
        enum r2a_err err;

        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(65534) != 0)
            _exit(2);
        err = engine_ring.start(&engine, &cfg);
        engine_refusal(text, sizeof text);
        _exit(err == R2A_ERR_URING_REFUSED && strstr(text, "RLIMIT_MEMLOCK is 16 KiB") ? 0 : 1);
    }
    cr_assert_eq(status_of(child), 0);
}

Test(engine, restarts_at_once_within_the_usual_memory_limit)
{
    rig_open(&rig, NULL);
    rig_close(&rig);
    if (geteuid() != 0)
        cr_skip_test("needs root to become somebody else");
    for (int round = 0; round < 50; round++) {
        pid_t child = fork();

        if (child == 0) {
            struct rlimit limit = {8u << 20, 8u << 20};
            const struct engine_cfg cfg = {.sockets_max = 64};
            struct engine *engines[16];

            if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(65534) != 0)
                _exit(2);
            for (int i = 0; i < 16; i++)
                if (engine_ring.start(&engines[i], &cfg) != R2A_OK)
                    _exit(1);
            _exit(0); /* without a goodbye */
        }
        cr_assert_eq(status_of(child), 0, "round %d", round);
    }
}

/* As a container's profile does: io_uring_setup answers with `errnum`. */
static bool forbid_setup(int errnum)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number of the call */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = array_count(code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

Test(engine, names_the_seccomp_profile_when_that_is_the_cause)
{
    static const int answers[] = {EPERM, ENOSYS, EACCES};

    for (size_t i = 0; i < array_count(answers); i++) {
        pid_t child = fork();

        if (child == 0) {
            const struct engine_cfg cfg = {.sockets_max = 64};
            struct engine *engine = NULL;
            char text[512];
            enum r2a_err err;

            if (!forbid_setup(answers[i]))
                _exit(77);
            err = engine_ring.start(&engine, &cfg);
            engine_refusal(text, sizeof text);
            _exit(err == R2A_ERR_URING_REFUSED && strstr(text, "seccomp") ? 0 : 1);
        }
        int status = status_of(child);

        if (status == 77)
            cr_skip_test("seccomp filters are not to be had here");
        cr_assert_eq(status, 0, "errno %d", answers[i]);
    }
}

static void *tick_elsewhere(void *unused)
{
    (void)unused;
    rig.loop.engine->table->tick(rig.loop.engine, 0);
    return NULL;
}

Test(engine, a_foreign_thread_is_caught, .signal = SIGABRT)
{
    static struct note note;
    pthread_t thread;
    int event;

    rig_open(&rig, NULL);
    event = eventfd(0, EFD_CLOEXEC);
    arm(&note, &(struct op){.kind = OP_WAIT, .handle = event});
    pthread_create(&thread, NULL, tick_elsewhere, NULL);
    pthread_join(thread, NULL);
}

Test(engine, tells_the_causes_of_a_refusal_apart)
{
    static const struct {
        int errnum, disabled, seccomp;
        const char *says;
    } cases[] = {
        {ENOSYS, -1, 0, "needs Linux 6.1"},
        {ENOSYS, 0, 2, "seccomp"},
        {EPERM, 0, 2, "seccomp.json"},
        {EPERM, -1, 2, "seccomp.json"},
        {EPERM, 1, 0, "kernel.io_uring_group"},
        {EPERM, 1, 2, "kernel.io_uring_group"},
        {EPERM, 2, 0, "switched off for everybody"},
        {EPERM, 0, 0, "security module"},
        {EACCES, 0, 0, "security module"},
        {EACCES, 0, 2, "seccomp"},
        {ENOMEM, 0, 0, "RLIMIT_MEMLOCK is 64 KiB"},
        {EINVAL, 0, 0, "this is 5.15"},
        {EIO, 0, 0, "unexpected"},
    };
    char text[512];

    for (size_t i = 0; i < array_count(cases); i++) {
        const struct engine_refusal refusal = {
            .errnum = cases[i].errnum,
            .disabled = cases[i].disabled,
            .seccomp = cases[i].seccomp,
            .lock_bytes = 65536,
            .kernel_major = 5,
            .kernel_minor = 15,
        };

        engine_refusal_text(&refusal, text, sizeof text);
        cr_assert_not_null(strstr(text, cases[i].says), "%s", text);
        cr_assert(strlen(text) < sizeof text - 1);
    }
}
