/* The tree a configuration is read from: its memory, its nodes, and messages that name a place in
 * it. Only the control thread comes here, so plain malloc will do. */
#include <stdlib.h>
#include <string.h>

#include "config_priv.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"

/* --- memory --- */

void *cfg_take(struct cfg_arena *arena, size_t size)
{
    struct cfg_block *block = arena->block;
    void *taken;

    size = (size + 15u) & ~(size_t)15u;
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > CFG_BLOCK_BYTES ? size : CFG_BLOCK_BYTES;

        block = calloc(1, sizeof(*block) + room);
        check(block != NULL);
        block->size = room;
        block->next = arena->block;
        arena->block = block;
    }
    taken = block->bytes + block->used;
    block->used += size;
    return taken;
}

struct slice cfg_copy(struct cfg_arena *arena, struct slice bytes)
{
    return cfg_join(arena, bytes, (struct slice){0});
}

struct slice cfg_join(struct cfg_arena *arena, struct slice a, struct slice b)
{
    char *to = cfg_take(arena, a.len + b.len + 1); /* a NUL behind it, for the system's calls */

    if (a.len > 0)
        memcpy(to, a.ptr, a.len);
    if (b.len > 0)
        memcpy(to + a.len, b.ptr, b.len);
    return slice_of(to, a.len + b.len);
}

void cfg_arena_free(struct cfg_arena *arena)
{
    while (arena->block != NULL) {
        struct cfg_block *block = arena->block;

        arena->block = block->next;
        explicit_bzero(block->bytes, block->used); /* keys of upstreams lay here */
        free(block);
    }
}

/* --- nodes --- */

struct cfg_node *cfg_new(struct cfg_reader *reader, enum cfg_kind kind, const char *origin)
{
    struct cfg_node *node = cfg_take(reader->arena, sizeof(*node));

    node->kind = (uint8_t)kind;
    node->origin = origin;
    return node;
}

struct cfg_node *cfg_new_raw(struct cfg_reader *reader, const char *origin, enum cfg_kind kind,
                             struct slice text)
{
    struct cfg_node *node = cfg_new(reader, kind, origin);

    node->text = cfg_copy(reader->arena, text);
    node->raw = node->text;
    node->truth = kind == CFG_BOOL && slice_eq(text, S("true"));
    return node;
}

struct cfg_node *cfg_new_string(struct cfg_reader *reader, const char *origin, struct slice text)
{
    return cfg_new_raw(reader, origin, CFG_STRING, text);
}

void cfg_append(struct cfg_node *array, struct cfg_node *value)
{
    value->parent = array;
    value->next = NULL;
    if (array->last)
        array->last->next = value;
    else
        array->first = value;
    array->last = value;
    array->count++;
}

void cfg_remove(struct cfg_node *object, struct slice key)
{
    struct cfg_node *before = NULL;

    for (struct cfg_node *node = object->first; node; before = node, node = node->next) {
        if (!slice_eq(node->key, key))
            continue;
        if (before)
            before->next = node->next;
        else
            object->first = node->next;
        if (object->last == node)
            object->last = before;
        object->count--;
        return;
    }
}

void cfg_set(struct cfg_node *object, struct slice key, struct cfg_node *value)
{
    cfg_remove(object, key);
    value->key = key;
    cfg_append(object, value);
}

struct cfg_node *cfg_get(const struct cfg_node *object, struct slice key)
{
    if (object == NULL || object->kind != CFG_OBJECT)
        return NULL;
    for (struct cfg_node *node = object->first; node; node = node->next) {
        if (slice_eq(node->key, key))
            return node;
    }
    return NULL;
}

struct cfg_node *cfg_get_object(struct cfg_reader *reader, struct cfg_node *object,
                                struct slice key, const char *origin)
{
    struct cfg_node *node = cfg_get(object, key);

    if (node == NULL || node->kind != CFG_OBJECT) {
        node = cfg_new(reader, CFG_OBJECT, origin);
        cfg_set(object, key, node);
    }
    return node;
}

/* --- messages --- */

static void put_place(struct cfg_reader *reader, struct str_buf *line, size_t offset)
{
    uint64_t row = 1;
    uint64_t column = 1;

    for (size_t i = 0; i < offset && i < reader->text.len; i++) {
        column++;
        if (reader->text.ptr[i] == '\n') {
            row++;
            column = 1;
        }
    }
    str_buf_put(line, reader->file);
    str_buf_put_char(line, ':');
    str_buf_put_u64(line, row);
    str_buf_put_char(line, ':');
    str_buf_put_u64(line, column);
}

static void keep(struct cfg_reader *reader, bool is_error, size_t at, struct slice text)
{
    struct cfg_message **link = &reader->messages;
    struct cfg_message *message;

    reader->messages_count++;
    if (reader->messages_count > CFG_MESSAGES_MAX)
        return;
    message = cfg_take(reader->arena, sizeof(*message));
    *message =
        (struct cfg_message){.at = at, .is_error = is_error, .text = cfg_copy(reader->arena, text)};
    while (*link && (*link)->at <= at)
        link = &(*link)->next;
    message->next = *link;
    *link = message;
}

void cfg_flush(struct cfg_reader *reader)
{
    struct config_report *report = reader->report;
    char text[64];
    struct str_buf more = STR_BUF(text);

    for (struct cfg_message *message = reader->messages; message; message = message->next)
        report->line(report->context, message->is_error, message->text);
    if (reader->messages_count > CFG_MESSAGES_MAX) {
        str_buf_put(&more, S("and "));
        str_buf_put_u64(&more, reader->messages_count - CFG_MESSAGES_MAX);
        str_buf_put(&more, S(" more"));
        report->line(report->context, true, str_buf_slice(&more));
    }
    reader->messages = NULL;
    reader->messages_count = 0;
}

static void say(struct cfg_reader *reader, bool is_error, const char *origin, size_t offset,
                const struct slice *pieces, size_t count)
{
    char text[1024];
    struct str_buf line = STR_BUF(text);

    if (origin)
        str_buf_put(&line, slice_from_z(origin));
    else if (reader->file.len > 0)
        put_place(reader, &line, offset);
    else
        str_buf_put(&line, S("configuration"));
    str_buf_put(&line, is_error ? S(": ") : S(": warning: "));
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < pieces[i].len; at++) {
            char c = pieces[i].ptr[at];

            str_buf_put_char(&line, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c);
        }
    }
    if (is_error)
        reader->report->errors++;
    else
        reader->report->warnings++;
    keep(reader, is_error, origin ? SIZE_MAX : offset, str_buf_slice(&line));
}

void cfg_say(struct cfg_reader *reader, bool is_error, const struct cfg_node *node,
             enum cfg_place place, const struct slice *pieces, size_t count)
{
    say(reader, is_error, node->origin,
        place == AT_KEY && node->key.len > 0 ? node->key_at : node->at, pieces, count);
}

void cfg_say_at(struct cfg_reader *reader, size_t offset, const struct slice *pieces, size_t count)
{
    say(reader, true, NULL, offset, pieces, count);
}

/* --- what was meant --- */

#define WORD_BYTES_MAX 48u

/* Edits that turn one word into the other: Levenshtein's, with neighbours swapped as one. */
static uint32_t distance(struct slice a, struct slice b)
{
    uint32_t rows[3][WORD_BYTES_MAX + 1];
    uint32_t *before = rows[0], *above = rows[1], *row = rows[2];

    if (a.len > WORD_BYTES_MAX || b.len > WORD_BYTES_MAX)
        return UINT32_MAX;
    for (uint32_t i = 0; i <= b.len; i++) {
        above[i] = i;
        before[i] = 0;
    }
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t *spare = before;

        row[0] = i;
        for (uint32_t k = 1; k <= b.len; k++) {
            char x = char_to_lower(a.ptr[i - 1]);
            char y = char_to_lower(b.ptr[k - 1]);
            uint32_t best = above[k - 1] + (x != y);

            if (above[k] + 1 < best)
                best = above[k] + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            if (i > 1 && k > 1 && x == char_to_lower(b.ptr[k - 2]) &&
                y == char_to_lower(a.ptr[i - 2]) && before[k - 2] + 1 < best)
                best = before[k - 2] + 1;
            row[k] = best;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[b.len];
}

struct slice cfg_nearest(struct slice word, const struct slice *names, size_t count)
{
    struct slice nearest = {0};
    uint32_t best = word.len <= 4 ? 2 : word.len <= 8 ? 3 : 4; /* not as far as this */

    for (size_t i = 0; i < count; i++) {
        uint32_t far = distance(word, names[i]);

        if (far < best) {
            best = far;
            nearest = names[i];
        }
    }
    return nearest;
}
