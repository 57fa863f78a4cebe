/* Values of the tree as what a reader wants: strings that may live elsewhere (env:, file:), paths,
 * numbers in their range, words of a list, and members sorted by name. Every refusal says where,
 * what is wrong and what would be right, and never shows a value that may be a secret. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"
#include "r2a/json/scan.h"

#define NAMED_FILE_BYTES_MAX 1048576u /* what file:PATH may hold */

static struct slice kind_name(uint8_t kind)
{
    switch ((enum cfg_kind)kind) {
    case CFG_NULL:
        return S("null");
    case CFG_BOOL:
        return S("true or false");
    case CFG_NUMBER:
        return S("a number");
    case CFG_STRING:
        return S("a string");
    case CFG_ARRAY:
        return S("an array");
    case CFG_OBJECT:
        return S("an object");
    }
    return S("something else");
}

struct slice cfg_name(struct cfg_reader *reader, const struct cfg_node *node)
{
    if (node->origin) /* the message begins with its name */
        return S("this");
    if (node->key.len > 0)
        return node->key;
    if (node->parent && node->parent->key.len > 0)
        return cfg_join(reader->arena, S("an entry of "), node->parent->key);
    return S("this");
}

bool cfg_is(struct cfg_reader *reader, const struct cfg_node *node, enum cfg_kind kind)
{
    if (node->kind == kind)
        return true;
    cfg_error(reader, node, cfg_name(reader, node), S(" must be "), kind_name((uint8_t)kind),
              S(", not "), kind_name(node->kind));
    return false;
}

/* --- members --- */

static int32_t index_of(struct slice key, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(key, names[i]))
            return (int32_t)i;
    }
    return -1;
}

bool cfg_members(struct cfg_reader *reader, const struct cfg_node *object,
                 const struct slice *names, size_t count, const struct slice *later,
                 size_t later_count, struct cfg_node **members)
{
    uint32_t errors = reader->report->errors;

    memset(members, 0, count * sizeof(*members));
    for (struct cfg_node *node = object->first; node; node = node->next) {
        int32_t index = index_of(node->key, names, count);
        struct slice near;

        if (index >= 0) {
            members[index] = node;
            continue;
        }
        if (index_of(node->key, later, later_count) >= 0) {
            cfg_error_key(reader, node, S("\""), node->key,
                          S("\" is not available yet in this version; remove it"));
            continue;
        }
        near = cfg_nearest(node->key, names, count);
        if (near.len > 0)
            cfg_error_key(reader, node, S("unknown key \""), node->key, S("\"; did you mean \""),
                          near, S("\"?"));
        else
            cfg_error_key(reader, node, S("unknown key \""), node->key, S("\"; remove it"));
    }
    return reader->report->errors == errors;
}

/* --- files --- */

/* Takes over `fd`, which may be an error: errno then says which. */
static bool read_all(struct cfg_arena *arena, int fd, bool is_file_wanted, size_t bytes_max,
                     struct slice *content, int *errnum)
{
    struct stat facts;
    size_t room = 4096;
    size_t len = 0;
    char *bytes;

    *errnum = errno;
    if (fd < 0)
        return false;
    if (fstat(fd, &facts) == 0) {
        if (S_ISDIR(facts.st_mode) || (is_file_wanted && !S_ISREG(facts.st_mode))) {
            *errnum = S_ISDIR(facts.st_mode) ? EISDIR : EINVAL;
            close(fd);
            return false;
        }
        if (facts.st_size > 0 && (uint64_t)facts.st_size <= bytes_max)
            room = (size_t)facts.st_size + 1;
    }
    bytes = cfg_take(arena, room);
    for (;;) {
        ssize_t got;

        if (len == room) { /* a pipe, or a file that grows */
            char *more = cfg_take(arena, room * 2);

            memcpy(more, bytes, len);
            explicit_bzero(bytes, len);
            bytes = more;
            room *= 2;
        }
        got = read(fd, bytes + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || len + (size_t)got > bytes_max) {
            *errnum = got < 0 ? errno : EFBIG;
            close(fd);
            return false;
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    *content = slice_of(bytes, len);
    return true;
}

static int open_path(struct cfg_arena *arena, struct slice path, int flags)
{
    return open(cfg_copy(arena, path).ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
}

bool cfg_read_file(struct cfg_arena *arena, struct slice path, size_t bytes_max,
                   struct slice *content, int *errnum)
{
    int fd = open_path(arena, path, O_NONBLOCK); /* a pipe nobody writes to opens, too */

    return read_all(arena, fd, true, bytes_max, content, errnum);
}

bool cfg_read_input(struct cfg_arena *arena, struct slice path, size_t bytes_max,
                    struct slice *content, int *errnum)
{
    return read_all(arena, open_path(arena, path, 0), false, bytes_max, content, errnum);
}

struct slice cfg_errno_text(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return S("there is no such file");
    case EACCES:
    case EPERM:
        return S("it may not be read by this user");
    case EISDIR:
        return S("it is a directory");
    case EINVAL:
        return S("it is no regular file");
    case ENOTDIR:
        return S("a part of its path is no directory");
    case EFBIG:
        return S("it is too large");
    case ELOOP:
        return S("its symbolic links go in a circle");
    case EMFILE:
    case ENFILE:
        return S("too many files are open");
    default:
        return S("it cannot be read");
    }
}

/* `~` and relative paths made absolute. */
static struct slice resolve_path(struct cfg_reader *reader, const struct cfg_node *node,
                                 struct slice path)
{
    const char *home = getenv("HOME");

    if ((path.len == 1 || (path.len > 1 && path.ptr[1] == '/')) && path.ptr[0] == '~' && home)
        return cfg_join(reader->arena, slice_from_z(home), slice_skip(path, 1));
    if (path.len > 0 && path.ptr[0] != '/' && node->origin == NULL)
        return cfg_join(reader->arena, reader->directory, path);
    return cfg_copy(reader->arena, path);
}

/* --- strings --- */

/* What a string refers to is not there: an error, or for an optional provider a reason to be off.
 */
static void say_missing(struct cfg_reader *reader, const struct cfg_node *node, struct slice what,
                        struct slice name, struct slice why)
{
    if (reader->missing) {
        if (reader->missing->len == 0) {
            struct slice text = cfg_join(reader->arena, what, name);

            *reader->missing = cfg_join(reader->arena, text, why);
        }
        return;
    }
    cfg_error(reader, node, what, name, why);
}

bool cfg_is_reference(const struct cfg_node *node)
{
    return node->kind == CFG_STRING &&
           (str_starts(node->text, S("env:")) || str_starts(node->text, S("file:")));
}

static bool follow_env(struct cfg_reader *reader, const struct cfg_node *node, struct slice name,
                       struct slice *value)
{
    struct slice z = cfg_copy(reader->arena, name);
    const char *found = getenv(z.ptr);

    if (found == NULL || found[0] == 0) {
        say_missing(reader, node, S("the environment variable "), name,
                    found ? S(" is empty; set it, or change this")
                          : S(" is not set; set it, or change this"));
        return false;
    }
    *value = cfg_copy(reader->arena, slice_from_z(found));
    return true;
}

static bool follow_file(struct cfg_reader *reader, const struct cfg_node *node, struct slice name,
                        struct slice *value)
{
    struct slice path = resolve_path(reader, node, name);
    int errnum = 0;

    if (!cfg_read_file(reader->arena, path, NAMED_FILE_BYTES_MAX, value, &errnum)) {
        struct slice why = cfg_join(reader->arena, S(": "), cfg_errno_text(errnum));

        say_missing(reader, node, S("the file "), path, why);
        return false;
    }
    while (value->len > 0 &&
           (value->ptr[value->len - 1] == '\n' || value->ptr[value->len - 1] == '\r'))
        value->len--;
    if (value->len == 0) {
        say_missing(reader, node, S("the file "), path, S(" is empty"));
        return false;
    }
    return true;
}

bool cfg_string_or_empty(struct cfg_reader *reader, const struct cfg_node *node,
                         struct slice *value)
{
    bool is_found = true;

    if (!cfg_is(reader, node, CFG_STRING))
        return false;
    *value = node->text;
    if (str_starts(node->text, S("env:")))
        is_found = follow_env(reader, node, slice_skip(node->text, 4), value);
    else if (str_starts(node->text, S("file:")))
        is_found = follow_file(reader, node, slice_skip(node->text, 5), value);
    if (!is_found)
        return false;
    if (memchr(value->ptr, 0, value->len) != NULL || !utf8_is_valid(*value)) {
        cfg_error(reader, node, S("the text is not valid UTF-8, or holds a zero byte"));
        return false;
    }
    return true;
}

bool cfg_string(struct cfg_reader *reader, const struct cfg_node *node, struct slice *value)
{
    if (!cfg_string_or_empty(reader, node, value))
        return false;
    if (value->len > 0)
        return true;
    cfg_error(reader, node, cfg_name(reader, node), S(" must not be empty"));
    return false;
}

void cfg_note_secret(struct cfg_reader *reader, struct slice value)
{
    for (uint32_t i = 0; i < reader->secrets_count; i++) {
        if (slice_eq(reader->secrets[i], value))
            return;
    }
    if (value.len == 0)
        return;
    if (reader->secrets_count == reader->secrets_room) {
        uint32_t room = reader->secrets_room ? 2 * reader->secrets_room : 32;
        struct slice *more = cfg_take(reader->arena, room * sizeof(*more));

        if (reader->secrets_count > 0)
            memcpy(more, reader->secrets, reader->secrets_count * sizeof(*more));
        reader->secrets = more;
        reader->secrets_room = room;
    }
    reader->secrets[reader->secrets_count++] = value;
}

bool cfg_secret(struct cfg_reader *reader, const struct cfg_node *node, struct slice *value)
{
    if (!cfg_string(reader, node, value))
        return false;
    *value = str_trim_lines(*value);
    for (size_t i = 0; i < value->len; i++) {
        if (value->ptr[i] < 0x21 || value->ptr[i] > 0x7e) {
            cfg_error(reader, node,
                      S("a key holds visible ASCII characters only: no spaces, no line ends"));
            return false;
        }
    }
    if (value->len == 0) {
        cfg_error(reader, node, S("a key must not be empty"));
        return false;
    }
    cfg_note_secret(reader, *value);
    return true;
}

bool cfg_path(struct cfg_reader *reader, const struct cfg_node *node, struct slice *path)
{
    struct slice text;

    if (!cfg_string(reader, node, &text))
        return false;
    *path = resolve_path(reader, node, text);
    return true;
}

/* --- plain values --- */

bool cfg_bool(struct cfg_reader *reader, const struct cfg_node *node, bool *value)
{
    struct slice text;

    if (node->kind == CFG_STRING) { /* of a flag or a variable */
        if (!cfg_string(reader, node, &text))
            return false;
        if (cfg_is_reference(node) || node->origin) {
            if (str_eq_nocase(text, S("true")) || slice_eq(text, S("1"))) {
                *value = true;
                return true;
            }
            if (str_eq_nocase(text, S("false")) || slice_eq(text, S("0"))) {
                *value = false;
                return true;
            }
            cfg_error(reader, node, cfg_name(reader, node), S(" must be true or false"));
            return false;
        }
    }
    if (!cfg_is(reader, node, CFG_BOOL))
        return false;
    *value = node->truth;
    return true;
}

static void range_error(struct cfg_reader *reader, const struct cfg_node *node, int64_t min,
                        int64_t max)
{
    char low[STR_U64_BYTES_MAX], high[STR_U64_BYTES_MAX];
    struct slice from = slice_of(low, str_from_i64(low, min));
    struct slice to = slice_of(high, str_from_i64(high, max));

    if (max == INT64_MAX)
        cfg_error(reader, node, cfg_name(reader, node), S(" must be a whole number of at least "),
                  from);
    else
        cfg_error(reader, node, cfg_name(reader, node), S(" must be a whole number from "), from,
                  S(" to "), to);
}

bool cfg_int(struct cfg_reader *reader, const struct cfg_node *node, int64_t min, int64_t max,
             int64_t *value)
{
    struct slice text = node->text;
    bool is_number = node->kind == CFG_NUMBER && json_number_int(text, value);

    if (node->kind == CFG_STRING && (node->origin || cfg_is_reference(node))) {
        if (!cfg_string(reader, node, &text))
            return false;
        is_number = str_parse_i64(str_trim_lines(text), value);
    } else if (!cfg_is(reader, node, CFG_NUMBER)) {
        return false;
    }
    if (is_number && *value >= min && *value <= max)
        return true;
    range_error(reader, node, min, max);
    return false;
}

int32_t cfg_word(struct cfg_reader *reader, const struct cfg_node *node, const struct slice *words,
                 size_t count)
{
    char list[256];
    struct str_buf buf = STR_BUF(list);
    struct slice text;
    int32_t index;

    if (!cfg_string(reader, node, &text))
        return -1;
    index = index_of(text, words, count);
    if (index >= 0)
        return index;
    for (size_t i = 0; i < count; i++) {
        str_buf_put(&buf, i == 0 ? S("") : i + 1 == count ? S(" or ") : S(", "));
        str_buf_put_char(&buf, '"');
        str_buf_put(&buf, words[i]);
        str_buf_put_char(&buf, '"');
    }
    cfg_error(reader, node, cfg_name(reader, node), S(" must be "), str_buf_slice(&buf));
    return -1;
}

bool cfg_strings(struct cfg_reader *reader, const struct cfg_node *node, struct slice **values,
                 uint32_t *count)
{
    bool is_good = true;

    *count = 0;
    if (node->kind == CFG_STRING) {
        *values = cfg_take(reader->arena, sizeof(**values));
        *count = 1;
        return cfg_string(reader, node, *values);
    }
    if (!cfg_is(reader, node, CFG_ARRAY))
        return false;
    *values = cfg_take(reader->arena, (node->count + 1) * sizeof(**values));
    for (struct cfg_node *item = node->first; item; item = item->next) {
        if (cfg_string(reader, item, &(*values)[*count]))
            ++*count;
        else
            is_good = false;
    }
    return is_good;
}
