/* Field names and values: which name it is, what a list, a media type or a Connection says. Where
 * lines begin and end is h1_head.c's business. */
#include "r2a/http/header.h"

#include "bytes.h"
#include "r2a/core/check.h"

static const struct slice header_names[HEADER_ID_COUNT] = {[HEADER_OTHER] = {NULL, 0},
#define X(name, text, slot) [HEADER_##name] = S_INIT(text),
                                                           HTTP_HEADER_LIST(X)
#undef X
};

/* A perfect hash over the names above: no two share a slot. */
#define SLOTS_COUNT 512u
static const uint8_t header_slots[SLOTS_COUNT] = {
#define X(name, text, slot) [slot] = HEADER_##name,
    HTTP_HEADER_LIST(X)
#undef X
};
_Static_assert(HEADER_ID_COUNT <= UINT8_MAX, "a slot holds any id");

static unsigned hash(struct slice name)
{
    unsigned before_last = (uint8_t)name.ptr[name.len - 2] | 0x20u;
    unsigned middle = (uint8_t)name.ptr[name.len / 2] | 0x20u;
    unsigned last = (uint8_t)name.ptr[name.len - 1] | 0x20u;

    return ((unsigned)name.len * 12 + before_last * 79 + middle * 181 + last * 218) % SLOTS_COUNT;
}

/* Whether `name`, folded by 0x20, is `lower`. Exact for tokens: the known names are letters, digits
 * and '-', which fold only from their own upper case or from control bytes. */
static bool folds_to(struct slice name, const char *lower)
{
    const uint64_t fold = UINT64_C(0x2020202020202020);
    size_t at = 0;

    if (name.len < 8) {
        for (; at < name.len; at++) {
            if ((name.ptr[at] | 0x20) != lower[at])
                return false;
        }
        return true;
    }
    for (;;) {
        uint64_t a, b;

        memcpy(&a, name.ptr + at, 8);
        memcpy(&b, lower + at, 8);
        if ((a | fold) != b)
            return false;
        if (at + 8 == name.len)
            return true;
        at += 8;
        if (at + 8 > name.len)
            at = name.len - 8; /* the last eight overlap */
    }
}

enum http_header_id http_header_id(struct slice name)
{
    enum http_header_id id;

    if (name.len < 2)
        return HEADER_OTHER;
    id = header_slots[hash(name)];
    if (header_names[id].len != name.len || !folds_to(name, header_names[id].ptr))
        return HEADER_OTHER;
    return id;
}

struct slice http_header_name(enum http_header_id id)
{
    check(id < HEADER_ID_COUNT);
    return header_names[id];
}

const struct http_header *http_header_find(const struct http_header *headers, uint32_t count,
                                           enum http_header_id id)
{
    check(id != HEADER_OTHER);
    for (uint32_t i = 0; i < count; i++) {
        if (headers[i].id == id)
            return &headers[i];
    }
    return NULL;
}

const struct http_header *http_header_find_name(const struct http_header *headers, uint32_t count,
                                                struct slice name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (http_token_eq(headers[i].name, name))
            return &headers[i];
    }
    return NULL;
}

struct slice http_header_value(const struct http_header *headers, uint32_t count,
                               enum http_header_id id)
{
    const struct http_header *header = http_header_find(headers, count, id);

    return header != NULL ? header->value : (struct slice){NULL, 0};
}

void http_headers_move(struct http_header *to, const struct http_header *headers, uint32_t count,
                       const char *bytes, const char *to_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct http_header header = headers[i];

        header.name.ptr = to_bytes + (header.name.ptr - bytes);
        header.value.ptr = to_bytes + (header.value.ptr - bytes);
        to[i] = header;
    }
}

bool http_token_eq(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (byte_lower(a.ptr[i]) != byte_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool http_token_valid(struct slice name)
{
    return name.len > 0 && scan_token(name.ptr, name.ptr + name.len) == name.ptr + name.len;
}

bool http_value_valid(struct slice value)
{
    return value.len == 0 || scan_value(value.ptr, value.ptr + value.len) == value.ptr + value.len;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct slice http_trim(struct slice value)
{
    while (value.len > 0 && is_blank(value.ptr[0]))
        value = slice_skip(value, 1);
    while (value.len > 0 && is_blank(value.ptr[value.len - 1]))
        value.len--;
    return value;
}

/* The index of `stop` outside quoted strings, or the whole length. */
static size_t find_unquoted(struct slice text, char stop)
{
    bool is_quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        if (is_quoted) {
            if (text.ptr[i] == '\\')
                i++;
            else if (text.ptr[i] == '"')
                is_quoted = false;
        } else if (text.ptr[i] == '"') {
            is_quoted = true;
        } else if (text.ptr[i] == stop) {
            return i;
        }
    }
    return text.len;
}

bool http_list_next(struct slice *list, struct slice *element)
{
    while (list->len > 0) {
        size_t size = find_unquoted(*list, ',');
        struct slice found = http_trim(slice_head(*list, size));

        *list = slice_skip(*list, size < list->len ? size + 1 : size);
        if (found.len > 0) {
            *element = found;
            return true;
        }
    }
    return false;
}

bool http_media_type_is(struct slice value, struct slice type)
{
    return http_token_eq(http_trim(slice_head(value, find_unquoted(value, ';'))), type);
}

bool http_u64_parse(struct slice digits, uint64_t *value)
{
    uint64_t sum = 0;

    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)(uint8_t)digits.ptr[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}
