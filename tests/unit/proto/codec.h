#ifndef R2A_TESTS_PROTO_CODEC_H
#define R2A_TESTS_PROTO_CODEC_H

#include <criterion/criterion.h>

#include "r2a/json/text.h"
#include "r2a/proto/list.h"
#include "support/is_json.h"
#include "support/proto_kit.h"

/* Short forms for tests that push JSON through dialects. Bodies are written with ' for ". */

static inline struct slice quoted(struct kit *kit, const char *json)
{
    size_t len = strlen(json);
    char *to = arena_take(&kit->arena, len + 1);

    for (size_t i = 0; i <= len; i++)
        to[i] = json[i] == '\'' ? '"' : json[i];
    return slice_of(to, len);
}

/* A request from one dialect into another; an empty slice when it is refused (kit->fault). */
static inline struct slice translate(struct kit *kit, const struct proto *from,
                                     const struct proto *to, const char *body)
{
    struct slice out = kit_translate(kit, from, to, quoted(kit, body));

    cr_assert(out.len == 0 || is_json(out), "not JSON: %.*s", (int)out.len, out.ptr);
    return out;
}

static inline bool has(struct kit *kit, struct slice text, const char *part)
{
    return str_find(text, quoted(kit, part)) < text.len;
}

static inline uint32_t count(struct kit *kit, struct slice text, const char *part)
{
    struct slice needle = quoted(kit, part);
    uint32_t found = 0;

    for (size_t at; (at = str_find(text, needle)) < text.len; found++)
        text = slice_skip(text, at + needle.len);
    return found;
}

#define expect_has(kit, text, part) \
    cr_expect(has(kit, text, part), "no %s in %.*s", part, (int)(text).len, (text).ptr)
#define expect_no(kit, text, part) \
    cr_expect(!has(kit, text, part), "%s in %.*s", part, (int)(text).len, (text).ptr)
#define expect_count(kit, text, part, number)                                           \
    cr_expect_eq(count(kit, text, part), (uint32_t)(number), "not %d times %s in %.*s", \
                 (int)(number), part, (int)(text).len, (text).ptr)
#define expect_refused(kit, text, words)                                                \
    do {                                                                                \
        cr_expect_eq((text).len, 0u, "not refused: %.*s", (int)(text).len, (text).ptr); \
        cr_expect(str_find(text_bytes((kit)->fault.message), slice_from_z(words)) <     \
                      (kit)->fault.message.len,                                         \
                  "not '%s': %.*s", words, (int)(kit)->fault.message.len,               \
                  (kit)->fault.message.ptr);                                            \
    } while (0)

static inline bool is_lost(const struct kit *kit, const char *name)
{
    for (uint32_t i = 0; i < kit->loss.names_count; i++)
        if (slice_eq(kit->loss.names[i], slice_from_z(name)))
            return true;
    return false;
}

/* An upstream's stream (one JSON an event) to what a client of another dialect reads. */
static inline struct slice stream(struct kit *kit, const struct proto *from, const struct proto *to,
                                  const char *const *events)
{
    struct kit_answer answer;

    kit_answer_open(kit, from, &answer);
    for (; *events != NULL; events++)
        kit_answer_frame(&answer, FRAME_DATA, (struct slice){0}, quoted(kit, *events));
    return kit_encode(kit, to, kit_answer_finish(&answer));
}

#define STREAM(kit, from, to, ...) stream(kit, from, to, (const char *const[]){__VA_ARGS__, NULL})

/* A document from one dialect into another. */
static inline struct slice document(struct kit *kit, const struct proto *from,
                                    const struct proto *to, const char *body)
{
    struct slice lines = kit_decode_document(kit, from, quoted(kit, body));

    kit->brief.shape = BRIEF_DOCUMENT;
    return kit_encode(kit, to, lines);
}

#endif
