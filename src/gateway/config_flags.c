/* The command line, and the environment when there is no file. What users of AIClient-2-API type is
 * the setting of that name in their file (config_aiclient.c); three flags are our own. */
#include <stdlib.h>
#include <string.h>

#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/log.h"
#include "r2a/core/str.h"

struct flag_row {
    const char *name;
    const char *setting; /* the same thing in config.json; NULL: our own */
    const char *value;   /* for --help; NULL: a flag of later or never, not listed */
    const char *help;
};

/* clang-format off */
static const struct flag_row rows[] = {
    {"host", "HOST", "HOST", "address to listen on (127.0.0.1)"},
    {"port", "SERVER_PORT", "PORT", "port to listen on (3000)"},
    {"api-key", "REQUIRED_API_KEY", "KEY", "key that clients must present"},
    {"model-provider", "MODEL_PROVIDER", "NAME", "provider for what nothing else decides"},
    {"workers", NULL, "N", "worker threads (0: one per CPU)"},
    {"log-format", NULL, "text|json", "form of the log on stderr"},
    {"log-level", NULL, "LEVEL", "error, warn, info, debug or trace"},
    {"openai-api-key", "OPENAI_API_KEY", "KEY", "provider openai-custom: its key"},
    {"openai-base-url", "OPENAI_BASE_URL", "URL", "provider openai-custom: its address"},
    {"claude-api-key", "CLAUDE_API_KEY", "KEY", "provider claude-custom: its key"},
    {"claude-base-url", "CLAUDE_BASE_URL", "URL", "provider claude-custom: its address"},
    {"openrouter-api-key", "OPENROUTER_API_KEY", "KEY", "provider openai-openrouter: its key"},
    {"openrouter-base-url", "OPENROUTER_BASE_URL", "URL", "provider openai-openrouter: its address"},
    {"openrouter-referer", "OPENROUTER_REFERER", "URL", "HTTP-Referer towards OpenRouter"},
    {"openrouter-title", "OPENROUTER_TITLE", "TEXT", "X-Title towards OpenRouter"},
    {"default-model", "DEFAULT_MODEL", "ID", "model for requests that name none"},
    {"default-model-mode", "DEFAULT_MODEL_MODE", "fallback|force", "force: for all requests"},
    {"system-prompt-file", "SYSTEM_PROMPT_FILE_PATH", "FILE", "system prompt to add"},
    {"system-prompt-mode", "SYSTEM_PROMPT_MODE", "append|override", "override: in place of the client's"},
    {"log-prompts", "PROMPT_LOG_MODE", "none", "prompt log (only none in this version)"},
    {"prompt-log-base-name", "PROMPT_LOG_BASE_NAME", NULL, NULL},
    {"request-max-retries", "REQUEST_MAX_RETRIES", "N", "further tries with one key (2)"},
    {"request-base-delay", "REQUEST_BASE_DELAY", "MS", "pause before the first of them (500)"},
    {"gemini-oauth-creds-base64", "GEMINI_OAUTH_CREDS_BASE64", NULL, NULL},
    {"gemini-oauth-creds-file", "GEMINI_OAUTH_CREDS_FILE_PATH", NULL, NULL},
    {"kiro-oauth-creds-base64", "KIRO_OAUTH_CREDS_BASE64", NULL, NULL},
    {"kiro-oauth-creds-file", "KIRO_OAUTH_CREDS_FILE_PATH", NULL, NULL},
    {"qwen-oauth-creds-file", "QWEN_OAUTH_CREDS_FILE_PATH", NULL, NULL},
    {"project-id", "PROJECT_ID", NULL, NULL},
    {"cron-near-minutes", "CRON_NEAR_MINUTES", NULL, NULL},
    {"cron-refresh-token", "CRON_REFRESH_TOKEN", NULL, NULL},
    {"provider-pools-file", "PROVIDER_POOLS_FILE_PATH", NULL, NULL},
};
/* clang-format on */

static const struct flag_row *find_row(struct slice name)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        if (slice_eq(slice_from_z(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

void config_flags_list(void (*put)(void *context, const char *flag, const char *value,
                                   const char *help),
                       void *context)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        if (rows[i].value)
            put(context, rows[i].name, rows[i].value, rows[i].help);
    }
}

/* --- reading --- */

static void complain(struct config_report *report, const struct slice *pieces, size_t count)
{
    char text[512];
    struct str_buf line = STR_BUF(text);

    for (size_t i = 0; i < count; i++)
        str_buf_put(&line, pieces[i]);
    report->errors++;
    report->line(report->context, true, str_buf_slice(&line));
}

static void complain_unknown(struct config_report *report, struct slice argument)
{
    struct slice names[array_count(rows)];
    struct slice name = str_starts(argument, S("--")) ? slice_skip(argument, 2) : argument;
    struct slice near;

    for (size_t i = 0; i < array_count(rows); i++)
        names[i] = slice_from_z(rows[i].name);
    name = slice_head(name, str_find_char(name, '='));
    near = cfg_nearest(name, names, array_count(names));
    if (!str_starts(argument, S("-")))
        complain(report,
                 CFG_PIECES(S("unexpected argument: "), argument, S("; see ring2api --help")));
    else if (near.len > 0)
        complain(report,
                 CFG_PIECES(S("unknown flag --"), name, S("; did you mean --"), near, S("?")));
    else
        complain(report,
                 CFG_PIECES(S("unknown flag "), slice_head(argument, str_find_char(argument, '=')),
                            S("; see ring2api --help")));
}

bool config_flags_read(int count, char **arguments, const char **pairs, struct config_flags *flags,
                       struct config_report *report)
{
    uint32_t errors = report->errors;

    *flags = (struct config_flags){.pairs = pairs};
    for (int i = 0; i < count; i++) {
        struct slice argument = slice_from_z(arguments[i]);
        bool is_file = slice_eq(argument, S("-c")) || slice_eq(argument, S("--config")) ||
                       str_starts(argument, S("--config="));
        size_t equals = str_find_char(argument, '=');
        const struct flag_row *row = NULL;
        const char *value;

        if (!is_file && str_starts(argument, S("--")))
            row = find_row(slice_skip(slice_head(argument, equals), 2));
        if (!is_file && row == NULL) {
            complain_unknown(report, argument);
            if (str_starts(argument, S("-")) && equals == argument.len && i + 1 < count &&
                arguments[i + 1][0] != '-')
                i++; /* probably its value */
            continue;
        }
        if (equals < argument.len && str_starts(argument, S("--"))) {
            value = arguments[i] + equals + 1;
        } else if (i + 1 < count) {
            value = arguments[++i];
        } else {
            complain(report, CFG_PIECES(argument, S(" needs a value behind it")));
            break;
        }
        if (is_file) {
            flags->file = value;
        } else {
            pairs[2 * flags->pairs_count] = row->name;
            pairs[2 * flags->pairs_count + 1] = value;
            flags->pairs_count++;
        }
    }
    return report->errors == errors;
}

/* --- what they say --- */

static void apply_log_format(struct cfg_reader *reader, const struct cfg_node *node)
{
    static const struct slice words[] = {S_INIT("text"), S_INIT("json")};

    reader->config->log_json = cfg_word(reader, node, words, 2) == 1;
}

static const char *origin_of(struct cfg_reader *reader, const char *prefix, const char *name,
                             const char *suffix)
{
    struct slice text = cfg_join(reader->arena, slice_from_z(prefix), slice_from_z(name));

    return cfg_join(reader->arena, text, slice_from_z(suffix)).ptr; /* ends with a zero byte */
}

void cfg_apply_flags(struct cfg_reader *reader, const struct config_flags *flags,
                     struct cfg_node *root)
{
    for (uint32_t i = 0; i < flags->pairs_count; i++) {
        const char *name = flags->pairs[2 * i];
        const struct flag_row *row = find_row(slice_from_z(name));
        const char *origin = origin_of(reader, "--", name, "");
        struct cfg_node *node =
            cfg_new_string(reader, origin, slice_from_z(flags->pairs[2 * i + 1]));

        check(row != NULL);
        if (row->setting)
            cfg_apply_setting(reader, root, slice_from_z(row->setting), node);
        else if (strcmp(name, "workers") == 0)
            cfg_set(root, S("workers"), node);
        else if (strcmp(name, "log-format") == 0)
            apply_log_format(reader, node);
        else
            cfg_apply_setting(reader, root, S("LOG_LEVEL"), node);
    }
}

/* Variables whose names are common enough to stand there for other reasons count only beside one
 * that is surely meant for a gateway. */
static bool is_common(const char *setting)
{
    return strcmp(setting, "HOST") == 0 || strcmp(setting, "PROJECT_ID") == 0;
}

void cfg_apply_environment(struct cfg_reader *reader, struct cfg_node *root)
{
    bool is_meant = getenv("SERVER_PORT") || getenv("REQUIRED_API_KEY") || getenv("MODEL_PROVIDER");

    for (size_t i = 0; i < array_count(rows); i++) {
        const char *setting = rows[i].setting;
        const char *value = setting ? getenv(setting) : NULL;

        if (value == NULL || value[0] == 0 || (is_common(setting) && !is_meant))
            continue;
        cfg_apply_setting(reader, root, slice_from_z(setting),
                          cfg_new_string(reader,
                                         origin_of(reader, "", setting, " in the environment"),
                                         slice_from_z(value)));
    }
}
