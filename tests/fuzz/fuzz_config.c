/* Configuration files: read, checked and printed. Whatever the bytes, there is either a message or
 * a configuration, and no secret in either. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/gateway/config.h"

static char said[65536];
static size_t said_len;

static void take_line(void *context, bool is_error, struct slice text)
{
    (void)context;
    (void)is_error;
    check(text.len > 0 && text.len <= 1024);
    if (said_len + text.len <= sizeof(said)) {
        memcpy(said + said_len, text.ptr, text.len);
        said_len += text.len;
    }
}

static void print(const struct config *config, struct mem *mem)
{
    struct rope rope = {.mem = mem};
    char *text;

    config_print(config, &rope);
    check(rope.err == R2A_OK);
    text = malloc(rope.bytes + 1);
    check(text != NULL);
    rope_copy_out(&rope, text);
    for (uint32_t i = 0; i < config->secrets_count; i++) {
        struct slice secret = config->secrets[i];

        /* shorter ones occur by chance */
        check(secret.len < 12 || str_find(slice_of(said, said_len), secret) == said_len);
    }
    free(text);
    rope_clear(&rope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mem_budget budget;
    static struct mem *mem;
    static int fd = -1;
    static char path[48] = "/proc/self/fd/";
    struct config_report report = {.line = take_line};
    struct config_flags flags = {.file = path};
    struct config *config;

    if (fd < 0) {
        clearenv();
        fd = memfd_create("config", MFD_CLOEXEC);
        check(fd >= 0);
        path[14 + str_from_u64(path + 14, (uint64_t)fd)] = 0;
        mem = mem_open(&budget, 65536);
    }
    if (size > 65536)
        return 0;
    said_len = 0;
    check(ftruncate(fd, 0) == 0);
    check(pwrite(fd, data, size, 0) == (ssize_t)size);
    config = config_load(&flags, &report);
    check((config == NULL) == (report.errors > 0));
    if (config == NULL)
        return 0;
    print(config, mem);
    config_unref(config);
    return 0;
}
