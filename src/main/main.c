/* The command line: which command, what it prints and with which code it ends. Everything else is
 * the gateway's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/rope.h"
#include "r2a/core/str.h"
#include "r2a/gateway/config.h"
#include "r2a/gateway/gateway.h"
#include "r2a/gateway/models.h"
#include "r2a/net/engine.h"
#include "r2a/net/tls.h"
#include "r2a/proto/list.h"
#include "r2a/provider/list.h"
#include "r2a/version.h"

#ifndef R2A_BEARSSL_VERSION
#define R2A_BEARSSL_VERSION "unknown"
#endif
#ifndef R2A_LIBURING_VERSION
#define R2A_LIBURING_VERSION "unknown"
#endif

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *usage;
    const char *help;
    int (*run)(const struct config_flags *flags);
};

static int serve(const struct config_flags *flags);
static int check_config(const struct config_flags *flags);
static int list_models(const struct config_flags *flags);
static int ping(const struct config_flags *flags);

static const struct command commands[] = {
    {"serve", "[serve] [-c FILE] [flags]", "run the gateway", serve},
    {"check", "check [-c FILE] [flags]",
     "read the configuration as serve would; print it with secrets masked, or every error",
     check_config},
    {"models", "models [-c FILE] [flags]", "the model ids clients may name, one a line",
     list_models},
    {"ping", "ping [-c FILE] [PROVIDER]",
     "one minimal request per credential (not available yet in this version)", ping},
};

/* --- printing --- */

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static void put(int fd, struct slice text)
{
    (void)write_all(fd, text.ptr, text.len);
}

static void put_z(int fd, const char *text)
{
    put(fd, slice_from_z(text));
}

static void put_padded(int fd, const char *text, size_t width)
{
    put_z(fd, text);
    for (size_t len = strlen(text); len < width; len++)
        put_z(fd, " ");
}

static void on_line(void *context, bool is_error, struct slice text)
{
    (void)context;
    (void)is_error;
    put(STDERR_FILENO, text);
    put_z(STDERR_FILENO, "\n");
}

/* What was printed counts: a full disk behind a redirection is a failure. */
static bool put_rope(struct rope *rope)
{
    struct rope_cursor cursor = {0};
    struct slice run;

    while (rope_next(rope, &cursor, &run)) {
        if (!write_all(STDOUT_FILENO, run.ptr, run.len))
            return false;
    }
    return rope->err == R2A_OK;
}

/* --- help and version --- */

static void put_flag(void *context, const char *flag, const char *value, const char *help)
{
    char left[64];
    struct str_buf buf = STR_BUF(left);

    (void)context;
    str_buf_put(&buf, S("  --"));
    str_buf_put(&buf, slice_from_z(flag));
    str_buf_put_char(&buf, ' ');
    str_buf_put(&buf, slice_from_z(value));
    for (size_t i = 0; i < 2 || buf.len < 42; i++)
        str_buf_put_char(&buf, ' ');
    put(STDOUT_FILENO, str_buf_slice(&buf));
    put_z(STDOUT_FILENO, help);
    put_z(STDOUT_FILENO, "\n");
}

static void put_flags(void)
{
    put_z(STDOUT_FILENO, "\nflags (--flag VALUE or --flag=VALUE):\n"
                         "  -c FILE                                 configuration; without it "
                         "./ring2api.json if there\n");
    config_flags_list(put_flag, NULL);
}

static int help(void)
{
    put_z(STDOUT_FILENO, "ring2api " R2A_VERSION ": an LLM protocol gateway\n\nusage:\n");
    for (size_t i = 0; i < array_count(commands); i++) {
        put_z(STDOUT_FILENO, "  ring2api ");
        put_padded(STDOUT_FILENO, commands[i].usage, 31);
        put_z(STDOUT_FILENO, " ");
        put_z(STDOUT_FILENO, commands[i].help);
        put_z(STDOUT_FILENO, "\n");
    }
    put_z(STDOUT_FILENO, "  ring2api --version | --help | COMMAND --help\n");
    put_flags();
    put_z(STDOUT_FILENO,
          "\nWithout any provider it serves the built-in echo provider on 127.0.0.1:3000.\n"
          "Exit codes: 0 fine, 1 failed at run time, 2 bad usage or configuration.\n");
    return EXIT_FINE;
}

static int command_help(const struct command *command)
{
    put_z(STDOUT_FILENO, "usage: ring2api ");
    put_z(STDOUT_FILENO, command->usage);
    put_z(STDOUT_FILENO, "\n\n");
    put_z(STDOUT_FILENO, command->help);
    put_z(STDOUT_FILENO, "\n");
    if (command->run != ping)
        put_flags();
    return EXIT_FINE;
}

static int version(void)
{
    char text[512];
    char tls[128];

    engine_describe(text, sizeof(text));
    tls_describe(tls, sizeof(tls));
    put_z(STDOUT_FILENO, "ring2api " R2A_VERSION "\nBearSSL " R2A_BEARSSL_VERSION " (");
    put_z(STDOUT_FILENO, tls);
    put_z(STDOUT_FILENO, ")\nliburing " R2A_LIBURING_VERSION "\n");
    put_z(STDOUT_FILENO, text);
    put_z(STDOUT_FILENO, "\n");
    return EXIT_FINE;
}

/* --- commands --- */

static void put_demo(const struct config *config)
{
    struct slice address = config->listens[0].text;
    char text[400];
    struct str_buf line = STR_BUF(text);

    str_buf_put(&line, S("No provider is configured: the built-in echo provider answers on "));
    str_buf_put(&line, address);
    str_buf_put(&line, S(". Try:\n  curl "));
    if (config->listens[0].is_unix) {
        str_buf_put(&line, S("--unix-socket "));
        str_buf_put(&line, config->listens[0].path);
        address = S("localhost");
        str_buf_put(&line, S(" "));
    }
    str_buf_put(&line, S("http://"));
    str_buf_put(&line, address);
    str_buf_put(&line, S("/v1/chat/completions -d '{\"model\":\"echo\",\"messages\":[{\"role\":"
                         "\"user\",\"content\":\"hello\"}]}'\n"));
    put(STDERR_FILENO, str_buf_slice(&line));
}

static int serve(const struct config_flags *flags)
{
    struct config_report report = {.line = on_line};
    struct config *config = config_load(flags, &report);

    if (config == NULL)
        return EXIT_USAGE;
    if (config->is_demo)
        put_demo(config);
    return gateway_run(config, flags);
}

static void put_mib(struct str_buf *line, uint64_t bytes)
{
    str_buf_put_u64(line, (bytes + 1048575) / 1048576);
    str_buf_put(line, S(" MiB"));
}

/* What may be held at once, for whoever sizes the machine; scripts get the configuration alone. */
static void put_sums(const struct config *config)
{
    char text[512];
    struct str_buf line = STR_BUF(text);
    const struct cfg_limits *limits = &config->limits;

    str_buf_put(&line, S("memory: one request may hold "));
    put_mib(&line, limits->body_bytes + limits->header_bytes);
    str_buf_put(&line, S(" coming in and "));
    put_mib(&line, limits->output_bytes);
    str_buf_put(&line, S(" going out; all together "));
    if (limits->memory_bytes > 0)
        put_mib(&line, limits->memory_bytes);
    else
        str_buf_put(&line, S("half of what the process may have"));
    str_buf_put(&line, S(", beyond which requests are refused with 503\n"));
    put(STDERR_FILENO, str_buf_slice(&line));
}

static int check_config(const struct config_flags *flags)
{
    struct config_report report = {.line = on_line};
    struct config *config = config_load(flags, &report);
    struct mem_budget budget = {0};
    struct mem *mem;
    struct rope out = {0};
    bool is_good;

    if (config == NULL)
        return EXIT_USAGE;
    mem = mem_open(&budget, CONFIG_PRINT_BYTES_MAX);
    if (mem == NULL) {
        put_z(STDERR_FILENO, "out of memory\n");
        config_unref(config);
        return EXIT_FAILED;
    }
    out.mem = mem;
    config_print(config, &out);
    is_good = put_rope(&out);
    if (isatty(STDERR_FILENO))
        put_sums(config);
    rope_clear(&out);
    mem_close(mem);
    config_unref(config);
    return is_good ? EXIT_FINE : EXIT_FAILED;
}

static void put_model(void *context, const struct proto_model *model)
{
    (void)context;
    put(STDOUT_FILENO, model->id);
    put_z(STDOUT_FILENO, "\n");
}

static int list_models(const struct config_flags *flags)
{
    struct config_report report = {.line = on_line};
    struct config *config = config_load(flags, &report);

    if (config == NULL)
        return EXIT_USAGE;
    gateway_models(config, put_model, NULL);
    config_unref(config);
    return EXIT_FINE;
}

static int ping(const struct config_flags *flags)
{
    (void)flags;
    put_z(STDERR_FILENO, "ping is not available yet in this version\n");
    return EXIT_USAGE;
}

/* --- */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < array_count(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static bool wants_help(int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
            return true;
    }
    return false;
}

static int run(const struct command *command, int count, char **arguments)
{
    struct config_report report = {.line = on_line};
    const char **pairs = calloc(2 * (size_t)count + 2, sizeof(*pairs));
    struct config_flags flags;
    int code = EXIT_USAGE;

    check(pairs != NULL);
    if (command->run == ping || config_flags_read(count, arguments, pairs, &flags, &report))
        code = command->run(&flags);
    free(pairs);
    return code;
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    int first = command ? 2 : 1;
    const char *wrong = proto_table_check();

    if (wrong == NULL)
        wrong = provider_table_check();
    if (wrong != NULL) {
        put_z(STDERR_FILENO, wrong);
        put_z(STDERR_FILENO, "\n");
        return EXIT_FAILED;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 ||
                     strcmp(argv[1], "version") == 0))
        return version();
    if (argc > 1 && strcmp(argv[1], "help") == 0)
        return help();
    if (wants_help(argc - first, argv + first))
        return command ? command_help(command) : help();
    if (command == NULL && argc > 1 && argv[1][0] != '-') {
        put_z(STDERR_FILENO, "unknown command ");
        put_z(STDERR_FILENO, argv[1]);
        put_z(STDERR_FILENO, "; there are serve, check, models and ping; see ring2api --help\n");
        return EXIT_USAGE;
    }
    return run(command ? command : &commands[0], argc - first, argv + first);
}
