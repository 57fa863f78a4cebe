/* JSON with comments and trailing commas, as people write it, into the tree. What JSON does not
 * know is blanked in a copy, so that offsets stay true and the strict scanner judges the rest. */
#include <string.h>

#include "config_priv.h"
#include "r2a/core/str.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void blank(char *text, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        if (text[i] != '\n' && text[i] != '\r')
            text[i] = ' ';
    }
}

static size_t string_end(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"' && text[at] != '\n'; at++) {
        if (text[at] == '\\')
            at++;
    }
    return at < len ? at + 1 : len;
}

/* Blanks comments and trailing commas. False: a comment without end, reported. */
static bool strip(struct cfg_reader *reader, char *text, size_t len)
{
    size_t comma = SIZE_MAX; /* the last significant byte, when it is a comma after a value */
    char last = 0;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        blank(text, 0, 3);
    for (size_t at = 0; at < len;) {
        char c = text[at];

        if (c == '/' && at + 1 < len && text[at + 1] == '/') {
            size_t begin = at;

            while (at < len && text[at] != '\n')
                at++;
            blank(text, begin, at);
            continue;
        }
        if (c == '/' && at + 1 < len && text[at + 1] == '*') {
            char *end = memmem(text + at + 2, len - at - 2, "*/", 2);
            size_t begin = at;

            if (end == NULL) {
                cfg_say_at(reader, at, CFG_PIECES(S("this comment never ends; close it with */")));
                return false;
            }
            at = (size_t)(end - text) + 2;
            blank(text, begin, at);
            continue;
        }
        if (c == '"') {
            at = string_end(text, len, at);
            last = '"';
            continue;
        }
        if (is_space(c)) {
            at++;
            continue;
        }
        if ((c == '}' || c == ']') && last == ',' && comma != SIZE_MAX)
            text[comma] = ' ';
        comma = c == ',' && last != ',' && last != '[' && last != '{' && last != 0 ? at : SIZE_MAX;
        last = c;
        at++;
    }
    return true;
}

static void syntax_error(struct cfg_reader *reader, const struct json_scan *scan)
{
    size_t at = scan->offset < reader->text.len ? (size_t)scan->offset : reader->text.len;
    struct slice rest = slice_skip(reader->text, at);
    char c = rest.len > 0 ? rest.ptr[0] : 0;
    struct slice what = slice_from_z(r2a_err_text(scan->err));
    struct slice shown = slice_head(rest, 1);

    if (scan->err == R2A_ERR_JSON_END)
        cfg_say_at(reader, at,
                   CFG_PIECES(S("the file ends too early; a bracket or quote is not closed")));
    else if (scan->err != R2A_ERR_JSON_SYNTAX || c == 0)
        cfg_say_at(reader, at, CFG_PIECES(what));
    else if (c == '\'')
        cfg_say_at(reader, at, CFG_PIECES(S("strings are written in double quotes")));
    else if (c == '"' || c == '{' || c == '[' || char_is_digit(c))
        cfg_say_at(reader, at,
                   CFG_PIECES(S("unexpected "), shown, S("; is a comma missing before it?")));
    else if (char_is_alpha(c))
        cfg_say_at(reader, at,
                   CFG_PIECES(S("unexpected "), shown,
                              S("; names and words are written in double quotes (but true, false "
                                "and null)")));
    else if (c == '\n' || c == '\r' || c == '\t')
        cfg_say_at(reader, at,
                   CFG_PIECES(S("a string holds a line end or tab; write \\n or \\t, or close the "
                                "quotes")));
    else
        cfg_say_at(reader, at, CFG_PIECES(S("unexpected "), shown, S(", this is no valid JSON")));
}

static struct slice decode(struct cfg_reader *reader, struct slice inside)
{
    char *to = cfg_take(reader->arena, inside.len + 1);
    int64_t len = text_decode(text_escaped(inside), to, inside.len + 1);

    return slice_of(to, len < 0 ? 0 : (size_t)len);
}

static enum cfg_kind kind_of(enum json_token token)
{
    switch ((int)token) {
    case JSON_OBJECT:
        return CFG_OBJECT;
    case JSON_ARRAY:
        return CFG_ARRAY;
    case JSON_STRING:
        return CFG_STRING;
    case JSON_NUMBER:
        return CFG_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return CFG_BOOL;
    default:
        return CFG_NULL;
    }
}

static struct cfg_node *value_node(struct cfg_reader *reader, const struct json_scan *scan,
                                   enum json_token token, const char *base)
{
    struct cfg_node *node = cfg_new(reader, kind_of(token), NULL);
    const char *begin = scan->pos - 1; /* the opening bracket */

    if (token == JSON_STRING) {
        node->text = decode(reader, scan->text);
        begin = scan->text.ptr - 1;
    } else if (token == JSON_NUMBER) {
        node->text = scan->text;
        begin = scan->text.ptr;
    } else if (token == JSON_TRUE || token == JSON_NULL) {
        begin = scan->pos - 4;
        node->truth = token == JSON_TRUE;
    } else if (token == JSON_FALSE) {
        begin = scan->pos - 5;
    }
    node->at = (size_t)(begin - base);
    node->raw = slice_between(begin, scan->pos);
    return node;
}

/* Values until the end of the text; nesting is bounded by the scanner. */
static struct cfg_node *build(struct cfg_reader *reader, struct json_scan *scan, const char *base)
{
    struct cfg_node *root = NULL;
    struct cfg_node *open = NULL;
    struct slice key = {0};
    size_t key_at = 0;

    for (;;) {
        enum json_token token = json_next(scan);
        struct cfg_node *node;

        if (token == JSON_ERROR || token == JSON_MORE) {
            syntax_error(reader, scan);
            return NULL;
        }
        if (token == JSON_END)
            return root;
        if (token == JSON_KEY) {
            key = decode(reader, scan->text);
            key_at = (size_t)(scan->text.ptr - 1 - base);
            if (cfg_get(open, key))
                cfg_say_at(
                    reader, key_at,
                    CFG_PIECES(S("\""), key, S("\" stands here a second time; keep one of them")));
            continue;
        }
        if (token == JSON_OBJECT_END || token == JSON_ARRAY_END) {
            open->raw.len = (size_t)(scan->pos - open->raw.ptr);
            open = open->parent;
            continue;
        }
        node = value_node(reader, scan, token, base);
        node->key = key;
        node->key_at = key_at;
        key = (struct slice){0};
        if (open)
            cfg_append(open, node);
        else
            root = node;
        if (token == JSON_OBJECT || token == JSON_ARRAY)
            open = node;
    }
}

struct cfg_node *cfg_parse(struct cfg_reader *reader, struct slice text)
{
    struct slice copy = cfg_copy(reader->arena, text);
    char *bytes = (char *)(uintptr_t)copy.ptr;
    struct json_scan scan;
    struct cfg_node *root;

    reader->text = text;
    if (!strip(reader, bytes, copy.len))
        return NULL;
    json_open(&scan, copy);
    root = build(reader, &scan, bytes);
    if (root && root->kind != CFG_OBJECT) {
        cfg_error(reader, root, S("a configuration is an object: { … }"));
        return NULL;
    }
    return root;
}
