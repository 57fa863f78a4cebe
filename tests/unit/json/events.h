#ifndef R2A_TESTS_JSON_EVENTS_H
#define R2A_TESTS_JSON_EVENTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/slice.h"
#include "r2a/json/scan.h"

/* What a scan said, as one readable line: `{ key(a) [ num(1) str(x\n)* true ] } end`, or in place
 * of `end` `error(-101 at 7)`. A star marks an escape. Parts of a token are joined, and a token
 * that an error broke off is left out, so the line does not depend on how the text was cut. */
struct events {
    char *line;
    size_t len;
    size_t size;
};

typedef void (*events_open_fn)(struct json_scan *scan, struct slice text);
typedef enum json_token (*events_next_fn)(struct json_scan *scan);

static inline void events_put(struct events *events, const char *bytes, size_t len)
{
    if (events->len + len + 1 > events->size) {
        events->size = (events->len + len + 1) * 2;
        events->line = (char *)realloc(events->line, events->size);
        if (events->line == NULL)
            abort();
    }
    if (len > 0)
        memcpy(events->line + events->len, bytes, len);
    events->len += len;
    events->line[events->len] = '\0';
}

static inline void events_put_z(struct events *events, const char *z)
{
    events_put(events, z, strlen(z));
}

static inline void events_free(struct events *events)
{
    free(events->line);
    *events = (struct events){0};
}

static inline bool events_eq(const struct events *a, const struct events *b)
{
    return a->len == b->len && memcmp(a->line, b->line, a->len) == 0;
}

struct events_state {
    size_t mark; /* where the token under way began */
    bool is_open;
    bool has_escape;
};

/* Logs one token; false at the end, after JSON_ERROR or JSON_END. */
static inline bool events_token(struct events *events, struct events_state *state,
                                const struct json_scan *scan, enum json_token token)
{
    static const char *const names[] = {"",     "",     "{ ",    "} ",     "[ ",    "] ", "key(",
                                        "str(", "num(", "true ", "false ", "null ", "end"};
    char error[64];

    switch (token) {
    case JSON_MORE:
        return true;
    case JSON_ERROR:
        if (state->is_open)
            events->len = state->mark;
        (void)snprintf(error, sizeof error, "error(%d at %llu)", (int)scan->err,
                       (unsigned long long)scan->offset);
        events_put_z(events, error);
        return false;
    case JSON_KEY:
    case JSON_STRING:
    case JSON_NUMBER:
        if (!state->is_open) {
            state->mark = events->len;
            state->has_escape = false;
            events_put_z(events, names[token]);
        }
        events_put(events, scan->text.ptr, scan->text.len);
        state->has_escape |= token != JSON_NUMBER && scan->has_escape;
        state->is_open = scan->is_partial;
        if (!state->is_open)
            events_put_z(events, state->has_escape ? ")* " : ") ");
        return true;
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
    case JSON_END:
        break;
    }
    events_put_z(events, names[token]);
    return token != JSON_END;
}

static inline struct events events_whole_with(struct slice text, events_open_fn open,
                                              events_next_fn next)
{
    struct events events = {0};
    struct events_state state = {0};
    struct json_scan scan;

    open(&scan, text);
    while (events_token(&events, &state, &scan, next(&scan)))
        continue;
    return events;
}

static inline struct events events_whole(struct slice text)
{
    return events_whole_with(text, json_open, json_next);
}

/* Fed in pieces, each an allocation of its own: of one byte when `seed` is 0, else of random
 * lengths, some of them empty. Checks what is promised of every part by calling `check_part`,
 * which may be NULL. */
static inline struct events events_pieces(struct slice text, uint64_t seed,
                                          void (*check_part)(const struct json_scan *scan,
                                                             enum json_token token))
{
    struct events events = {0};
    struct events_state state = {0};
    struct json_scan scan;
    char *piece = NULL;
    bool is_open = true;
    size_t at = 0;

    json_open_pieces(&scan);
    while (is_open) {
        const enum json_token token = json_next(&scan);
        size_t len = 1;

        if (check_part != NULL)
            check_part(&scan, token);
        is_open = events_token(&events, &state, &scan, token);
        if (token != JSON_MORE)
            continue;
        if (seed != 0) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            len = (seed >> 33) % ((seed >> 60) < 8 ? 4 : 40);
        }
        if (len > text.len - at)
            len = text.len - at;
        free(piece);
        piece = (char *)malloc(len > 0 ? len : 1);
        if (piece == NULL)
            abort();
        if (len > 0)
            memcpy(piece, text.ptr + at, len);
        at += len;
        json_feed(&scan, slice_of(piece, len), at == text.len);
    }
    free(piece);
    return events;
}

#endif
