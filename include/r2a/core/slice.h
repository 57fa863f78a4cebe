#ifndef R2A_CORE_SLICE_H
#define R2A_CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes somebody else owns: two words, passed by value. Never NUL-terminated by contract; a
 * zero slice is the empty one, and `ptr` may be NULL only when `len` is 0. */
struct slice {
    const char *ptr;
    size_t len;
};

/* How the bytes of a `struct text` stand for characters. */
enum text_form {
    TEXT_PLAIN,   /* decoded UTF-8 */
    TEXT_ESCAPED, /* the inside of a JSON string, validated: escapes still in place */
    TEXT_JSON,    /* one whole, validated JSON value */
};

/* Text in the form it came in. Converting is the reader's business (json/text.h), so that text
 * which goes from one JSON string into another is copied once and never decoded. 16 bytes. */
struct text {
    const char *ptr;
    uint32_t len;
    uint8_t form; /* enum text_form */
};
_Static_assert(sizeof(struct text) == 16, "two of them fit into one event");

/* A slice of a string literal, known at compile time: S("data: "). */
#define S(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* The same where a constant expression is needed (static tables). */
#define S_INIT(literal)                 \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline struct slice slice_between(const char *begin, const char *end)
{
    return (struct slice){begin, (size_t)(end - begin)};
}

/* The slice of a NUL-terminated string, for the OS boundary only. */
static inline struct slice slice_from_z(const char *z)
{
    return (struct slice){z, z ? strlen(z) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    return (struct slice){s.ptr + n, s.len - n};
}

static inline struct slice slice_head(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n < s.len ? n : s.len};
}

static inline struct text text_plain(struct slice s)
{
    return (struct text){s.ptr, (uint32_t)s.len, TEXT_PLAIN};
}

static inline struct text text_escaped(struct slice s)
{
    return (struct text){s.ptr, (uint32_t)s.len, TEXT_ESCAPED};
}

static inline struct text text_json(struct slice s)
{
    return (struct text){s.ptr, (uint32_t)s.len, TEXT_JSON};
}

static inline struct slice text_bytes(struct text t)
{
    return (struct slice){t.ptr, t.len};
}

#endif
