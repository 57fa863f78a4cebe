#ifndef R2A_CORE_STR_H
#define R2A_CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

/* Small things about bytes that are text. Letters are ASCII here, whatever the locale: other bytes
 * never match a class and never change case. */

static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool char_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool char_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline bool char_is_alpha(char c)
{
    return char_is_upper(c) || char_is_lower(c);
}

static inline bool char_is_alnum(char c)
{
    return char_is_alpha(c) || char_is_digit(c);
}

static inline char char_to_lower(char c)
{
    return char_is_upper(c) ? (char)(c + ('a' - 'A')) : c;
}

static inline char char_to_upper(char c)
{
    return char_is_lower(c) ? (char)(c - ('a' - 'A')) : c;
}

/* 0 … 15, or -1. */
int32_t char_hex_value(char c);

/* --- compare and find --- */

bool str_eq_nocase(struct slice a, struct slice b);
bool str_starts(struct slice s, struct slice prefix);
bool str_starts_nocase(struct slice s, struct slice prefix);
bool str_ends(struct slice s, struct slice suffix);
bool str_ends_nocase(struct slice s, struct slice suffix);
/* The index of the first one; s.len when there is none. */
size_t str_find_char(struct slice s, char c);
size_t str_find_last_char(struct slice s, char c);
size_t str_find(struct slice s, struct slice needle);
size_t str_find_nocase(struct slice s, struct slice needle);
/* `*` stands for any bytes, `?` for one; nothing else is special. Linear in |pattern| * |s|. */
bool str_glob(struct slice pattern, struct slice s);
bool str_glob_nocase(struct slice pattern, struct slice s);

/* Without spaces and tabs at both ends (HTTP's OWS). */
struct slice str_trim(struct slice s);
/* Without spaces, tabs, CR and LF at both ends. */
struct slice str_trim_lines(struct slice s);
/* The part of *rest before `separator`; *rest moves behind it. False when *rest was NULL, which it
 * is after the last part. An empty slice with a pointer has one part, an empty one. */
bool str_split(struct slice *rest, char separator, struct slice *part);
/* Whether a comma-separated list has this token (RFC 9110 5.6.1), letter case ignored. */
bool str_has_token(struct slice list, struct slice token);

/* --- numbers --- */

/* Decimal digits only: no sign, no space, no overflow, at least one digit. Leading zeros pass. */
bool str_parse_u64(struct slice s, uint64_t *value);
/* The same with an optional leading minus sign. */
bool str_parse_i64(struct slice s, int64_t *value);
/* Hexadecimal digits only, either case. */
bool str_parse_hex_u64(struct slice s, uint64_t *value);

#define STR_U64_BYTES_MAX 20u
/* Write a number, not terminated; return the bytes used. */
size_t str_from_u64(char to[STR_U64_BYTES_MAX], uint64_t value);
size_t str_from_i64(char to[STR_U64_BYTES_MAX], int64_t value);
/* Lower-case digits without leading zeros. */
size_t str_from_u64_hex(char to[16], uint64_t value);

/* Bytes as 2 * bytes.len lower-case hex digits. */
void str_hex(char *to, struct slice bytes);
/* The bytes that hex digits (either case) stand for: hex.len / 2 of them. False when odd or not
 * hex. */
bool str_unhex(unsigned char *to, struct slice hex);

/* --- a text of bounded length --- */

/* Collects text in a buffer of the caller's. What does not fit is cut off and `is_full` set. */
struct str_buf {
    char *ptr;
    size_t len;
    size_t size;
    bool is_full;
};

#define STR_BUF(array) ((struct str_buf){.ptr = (array), .size = sizeof(array)})

void str_buf_put(struct str_buf *buf, struct slice s);
void str_buf_put_char(struct str_buf *buf, char c);
void str_buf_put_u64(struct str_buf *buf, uint64_t value);
void str_buf_put_i64(struct str_buf *buf, int64_t value);

static inline struct slice str_buf_slice(const struct str_buf *buf)
{
    return (struct slice){buf->ptr, buf->len};
}

#endif
