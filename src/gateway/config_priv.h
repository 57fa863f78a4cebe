#ifndef R2A_GATEWAY_CONFIG_PRIV_H
#define R2A_GATEWAY_CONFIG_PRIV_H

#include "r2a/core/rope.h"
#include "r2a/gateway/config.h"

/* How a configuration is read, in three steps that share one tree:
 *
 *   file (JSONC) ---\
 *   flags           --> struct cfg_node tree in the configuration's own words --> struct config
 *   environment  ---/
 *
 * Whatever was said by a flag, a variable or another program's file becomes a node like those of
 * the file, with its own place for messages, so there is one set of rules and one reader. */

/* --- memory: one lifetime, wiped and freed with the generation --- */

#define CFG_BLOCK_BYTES 16384u

struct cfg_block {
    struct cfg_block *next;
    size_t size, used;
    _Alignas(16) char bytes[];
};
struct cfg_arena {
    struct cfg_block *block;
};
/* Zeroed, 16-aligned. Aborts when the system has no memory: control thread only. */
void *cfg_take(struct cfg_arena *arena, size_t size);
struct slice cfg_copy(struct cfg_arena *arena, struct slice bytes);
/* Both pieces as one. */
struct slice cfg_join(struct cfg_arena *arena, struct slice a, struct slice b);
void cfg_arena_free(struct cfg_arena *arena);

/* --- the tree --- */

enum cfg_kind { CFG_NULL, CFG_BOOL, CFG_NUMBER, CFG_STRING, CFG_ARRAY, CFG_OBJECT };

struct cfg_node {
    uint8_t kind;       /* enum cfg_kind */
    bool truth;         /* BOOL */
    bool is_mild;       /* what is missing behind it is a warning: another program's habits */
    uint32_t count;     /* ARRAY, OBJECT: children */
    struct slice text;  /* STRING decoded, NUMBER as written */
    struct slice raw;   /* the value's own JSON */
    struct slice key;   /* of a member, decoded */
    size_t at, key_at;  /* offsets in the file */
    const char *origin; /* the flag or variable instead of a place in the file; else NULL */
    struct cfg_node *parent, *first, *last, *next;
};

#define CFG_MESSAGES_MAX 200u /* beyond it they are only counted */

struct cfg_message {
    struct cfg_message *next;
    size_t at; /* SIZE_MAX: not of the file */
    bool is_error;
    struct slice text;
};

struct cfg_reader {
    struct cfg_arena *arena;
    struct config_report *report;
    struct slice file;      /* as messages name it */
    struct slice directory; /* what relative paths are relative to, with its '/'; or empty */
    struct slice text;      /* the file as it is, for line numbers */
    struct slice *missing;  /* not NULL: what is missing is noted here instead of reported */
    struct slice *secrets;
    uint32_t secrets_count, secrets_room;
    struct cfg_message *messages; /* in the file's order, whatever the order of reading */
    uint32_t messages_count;
    struct config *config;
};

/* Reads JSON with comments and trailing commas. NULL after a reported error. */
struct cfg_node *cfg_parse(struct cfg_reader *reader, struct slice text);

/* New nodes said by `origin` (static or the file's place of `like`). */
struct cfg_node *cfg_new(struct cfg_reader *reader, enum cfg_kind kind, const char *origin);
struct cfg_node *cfg_new_string(struct cfg_reader *reader, const char *origin, struct slice text);
struct cfg_node *cfg_new_raw(struct cfg_reader *reader, const char *origin, enum cfg_kind kind,
                             struct slice text);
/* Sets a member, replacing one of that name. */
void cfg_set(struct cfg_node *object, struct slice key, struct cfg_node *value);
void cfg_append(struct cfg_node *array, struct cfg_node *value);
void cfg_remove(struct cfg_node *object, struct slice key);
struct cfg_node *cfg_get(const struct cfg_node *object, struct slice key);
/* The member, an empty object made when absent. */
struct cfg_node *cfg_get_object(struct cfg_reader *reader, struct cfg_node *object,
                                struct slice key, const char *origin);

/* --- messages --- */

enum cfg_place { AT_VALUE, AT_KEY };
void cfg_say(struct cfg_reader *reader, bool is_error, const struct cfg_node *node,
             enum cfg_place place, const struct slice *pieces, size_t count);
/* For what is wrong before there is a node. */
void cfg_say_at(struct cfg_reader *reader, size_t offset, const struct slice *pieces, size_t count);
/* Hands what was said to the report. */
void cfg_flush(struct cfg_reader *reader);
/* cfg_error(reader, node, S("…"), text, …): where the value stands. */
#define CFG_PIECES(...)                  \
    (const struct slice[]){__VA_ARGS__}, \
        sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice)
#define cfg_error(reader, node, ...) cfg_say(reader, true, node, AT_VALUE, CFG_PIECES(__VA_ARGS__))
#define cfg_error_key(reader, node, ...) \
    cfg_say(reader, true, node, AT_KEY, CFG_PIECES(__VA_ARGS__))
#define cfg_warn(reader, node, ...) cfg_say(reader, false, node, AT_VALUE, CFG_PIECES(__VA_ARGS__))
#define cfg_warn_key(reader, node, ...) \
    cfg_say(reader, false, node, AT_KEY, CFG_PIECES(__VA_ARGS__))

/* The name in `names` that was probably meant; empty when none is near. */
struct slice cfg_nearest(struct slice word, const struct slice *names, size_t count);

/* --- values: false after a reported error (or a noted absence) --- */

/* Sorts an object's members to `members` by the index of their name; unknown names, and those of
 * `later` (known, but of a step to come), are errors. */
bool cfg_members(struct cfg_reader *reader, const struct cfg_node *object,
                 const struct slice *names, size_t count, const struct slice *later,
                 size_t later_count, struct cfg_node **members);
bool cfg_is(struct cfg_reader *reader, const struct cfg_node *node, enum cfg_kind kind);
/* How messages call a value: by its key, or as an entry of its array. */
struct slice cfg_name(struct cfg_reader *reader, const struct cfg_node *node);
/* A string; `env:NAME` and `file:PATH` are followed. Not empty unless `may_be_empty`. */
bool cfg_string(struct cfg_reader *reader, const struct cfg_node *node, struct slice *value);
bool cfg_string_or_empty(struct cfg_reader *reader, const struct cfg_node *node,
                         struct slice *value);
/* The same for what must never be shown. */
bool cfg_secret(struct cfg_reader *reader, const struct cfg_node *node, struct slice *value);
void cfg_note_secret(struct cfg_reader *reader, struct slice value);
/* Whether the value came from elsewhere: env: or file:. */
bool cfg_is_reference(const struct cfg_node *node);
/* A path made absolute. */
bool cfg_path(struct cfg_reader *reader, const struct cfg_node *node, struct slice *path);
bool cfg_bool(struct cfg_reader *reader, const struct cfg_node *node, bool *value);
bool cfg_int(struct cfg_reader *reader, const struct cfg_node *node, int64_t min, int64_t max,
             int64_t *value);
/* One of a few words; the index, or -1 after an error. */
int32_t cfg_word(struct cfg_reader *reader, const struct cfg_node *node, const struct slice *words,
                 size_t count);
/* An array of strings, or one string. */
bool cfg_strings(struct cfg_reader *reader, const struct cfg_node *node, struct slice **values,
                 uint32_t *count);
/* A whole file, at most `bytes_max`. False: *errnum says why (EFBIG when larger). What is no
 * regular file is refused (EINVAL): the end of a pipe or a terminal may never come, and a reload
 * would wait for it. cfg_read_input takes those, too. */
bool cfg_read_file(struct cfg_arena *arena, struct slice path, size_t bytes_max,
                   struct slice *content, int *errnum);
bool cfg_read_input(struct cfg_arena *arena, struct slice path, size_t bytes_max,
                    struct slice *content, int *errnum);
struct slice cfg_errno_text(int errnum);

/* --- parts shared by several levels (config_common.c) --- */

void cfg_timeouts(struct cfg_reader *reader, const struct cfg_node *node, bool is_top,
                  struct timeouts *timeouts);
void cfg_retry(struct cfg_reader *reader, const struct cfg_node *node, struct retry_rule *retry);
void cfg_default_model(struct cfg_reader *reader, const struct cfg_node *node,
                       struct default_model *model);
void cfg_strict(struct cfg_reader *reader, const struct cfg_node *node, int8_t *strict);
void cfg_proxy(struct cfg_reader *reader, const struct cfg_node *node);
/* One address, or two for localhost when `both`. */
void cfg_listen(struct cfg_reader *reader, const struct cfg_node *node,
                struct cfg_address **addresses, uint32_t *count);

/* --- the levels --- */

void cfg_providers(struct cfg_reader *reader, const struct cfg_node *node);
void cfg_routes(struct cfg_reader *reader, const struct cfg_node *node);
void cfg_keys(struct cfg_reader *reader, const struct cfg_node *node);
/* Index of a configured provider, or -1 after an error with a near miss. */
int32_t cfg_find_provider(struct cfg_reader *reader, const struct cfg_node *node,
                          struct slice name);

/* What flags and the environment say, laid over the tree. */
void cfg_apply_flags(struct cfg_reader *reader, const struct config_flags *flags,
                     struct cfg_node *root);
void cfg_apply_environment(struct cfg_reader *reader, struct cfg_node *root);
/* Another program's config.json. */
bool cfg_is_aiclient(const struct cfg_node *root);
struct cfg_node *cfg_from_aiclient(struct cfg_reader *reader, struct cfg_node *root);

/* One setting by the name AIClient-2-API has for it, into our tree; false: no such name. `value`
 * is a string for flags and variables, any node for a file. */
bool cfg_apply_setting(struct cfg_reader *reader, struct cfg_node *root, struct slice name,
                       struct cfg_node *value);

/* Drops what the settings left without an object: a mode of nothing. */
void cfg_finish_settings(struct cfg_reader *reader, struct cfg_node *root);

#endif
