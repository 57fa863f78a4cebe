/* Searching, comparing and numbers as text. Plain loops where the input is a header value or a
 * setting; anything long goes through memchr. */
#include "r2a/core/str.h"

#include <string.h>

#include "r2a/core/check.h"

int32_t char_hex_value(char c)
{
    if (char_is_digit(c))
        return c - '0';
    c = char_to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* --- compare and find --- */

static bool eq_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (char_to_lower(a[i]) != char_to_lower(b[i]))
            return false;
    }
    return true;
}

bool str_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && eq_nocase(a.ptr, b.ptr, a.len);
}

bool str_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_head(s, prefix.len), prefix);
}

bool str_starts_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && eq_nocase(s.ptr, prefix.ptr, prefix.len);
}

bool str_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

bool str_ends_nocase(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && str_eq_nocase(slice_skip(s, s.len - suffix.len), suffix);
}

size_t str_find_char(struct slice s, char c)
{
    const char *found = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    return found != NULL ? (size_t)(found - s.ptr) : s.len;
}

size_t str_find_last_char(struct slice s, char c)
{
    for (size_t i = s.len; i > 0; i--) {
        if (s.ptr[i - 1] == c)
            return i - 1;
    }
    return s.len;
}

size_t str_find(struct slice s, struct slice needle)
{
    size_t at = 0;

    if (needle.len == 0)
        return 0;
    while (s.len - at >= needle.len) {
        /* A match can only start where the needle still fits. */
        struct slice rest = {s.ptr + at, s.len - at - needle.len + 1};
        size_t skip = str_find_char(rest, needle.ptr[0]);

        if (skip == rest.len)
            break;
        at += skip;
        if (memcmp(s.ptr + at, needle.ptr, needle.len) == 0)
            return at;
        at++;
    }
    return s.len;
}

size_t str_find_nocase(struct slice s, struct slice needle)
{
    for (size_t at = 0; s.len - at >= needle.len; at++) {
        if (eq_nocase(s.ptr + at, needle.ptr, needle.len))
            return at;
    }
    return s.len;
}

static bool same_char(char a, char b, bool is_nocase)
{
    return a == b || (is_nocase && char_to_lower(a) == char_to_lower(b));
}

/* One star is remembered: when the rest fails, the star takes one byte more. Going back to an
 * earlier star can never help, since the later one matches whatever that would have skipped. */
static bool glob(struct slice pattern, struct slice s, bool is_nocase)
{
    size_t p = 0, i = 0;
    size_t star = SIZE_MAX, star_i = 0;

    while (i < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_i = i;
        } else if (p < pattern.len &&
                   (pattern.ptr[p] == '?' || same_char(pattern.ptr[p], s.ptr[i], is_nocase))) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool str_glob(struct slice pattern, struct slice s)
{
    return glob(pattern, s, false);
}

bool str_glob_nocase(struct slice pattern, struct slice s)
{
    return glob(pattern, s, true);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice str_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_blank_or_line(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

struct slice str_trim_lines(struct slice s)
{
    while (s.len > 0 && is_blank_or_line(s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len > 0 && is_blank_or_line(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct slice *rest, char separator, struct slice *part)
{
    size_t at;

    if (rest->ptr == NULL)
        return false;
    at = str_find_char(*rest, separator);
    *part = slice_head(*rest, at);
    *rest = at < rest->len ? slice_skip(*rest, at + 1) : (struct slice){0};
    return true;
}

bool str_has_token(struct slice list, struct slice token)
{
    struct slice part;

    while (str_split(&list, ',', &part)) {
        if (str_eq_nocase(str_trim(part), token))
            return token.len > 0;
    }
    return false;
}

/* --- numbers --- */

bool str_parse_u64(struct slice s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!char_is_digit(s.ptr[i]))
            return false;
        if (__builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(s.ptr[i] - '0'), &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool str_parse_i64(struct slice s, int64_t *value)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t size;

    if (!str_parse_u64(is_negative ? slice_skip(s, 1) : s, &size))
        return false;
    if (size > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
        return false;
    *value = is_negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

bool str_parse_hex_u64(struct slice s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int32_t digit = char_hex_value(s.ptr[i]);

        if (digit < 0 || sum >> 60 != 0)
            return false;
        sum = sum << 4 | (uint64_t)digit;
    }
    *value = sum;
    return true;
}

static const char digit_pairs[200] = "0001020304050607080910111213141516171819202122232425262728293"
                                     "0313233343536373839404142434445464"
                                     "7484950515253545556575859606162636465666768697071727374757677"
                                     "7879808182838485868788899091929394"
                                     "9596979899";

static size_t digits_of(uint64_t value)
{
    size_t count = 1;

    for (uint64_t bound = 10; value >= bound; bound *= 10) {
        if (++count == STR_U64_BYTES_MAX) /* ten times more does not fit */
            break;
    }
    return count;
}

size_t str_from_u64(char to[STR_U64_BYTES_MAX], uint64_t value)
{
    size_t len, at;

    if (value < 10) {
        to[0] = (char)('0' + value);
        return 1;
    }
    len = digits_of(value);
    at = len;
    for (; at >= 2; value /= 100) {
        at -= 2;
        memcpy(to + at, digit_pairs + value % 100 * 2, 2);
    }
    if (at > 0)
        to[0] = (char)('0' + value % 10);
    return len;
}

size_t str_from_i64(char to[STR_U64_BYTES_MAX], int64_t value)
{
    char digits[STR_U64_BYTES_MAX];
    size_t len;

    if (value >= 0)
        return str_from_u64(to, (uint64_t)value);
    len = str_from_u64(digits, 0 - (uint64_t)value); /* 19 digits at most */
    to[0] = '-';
    memcpy(to + 1, digits, len);
    return len + 1;
}

static const char hex_digits[] = "0123456789abcdef";

size_t str_from_u64_hex(char to[16], uint64_t value)
{
    size_t len = value == 0 ? 1 : (67 - (size_t)__builtin_clzll(value)) / 4;

    for (size_t i = len; i > 0; i--) {
        to[i - 1] = hex_digits[value & 15];
        value >>= 4;
    }
    return len;
}

void str_hex(char *to, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];

        to[2 * i] = hex_digits[byte >> 4];
        to[2 * i + 1] = hex_digits[byte & 15];
    }
}

bool str_unhex(unsigned char *to, struct slice hex)
{
    if (hex.len % 2 != 0)
        return false;
    for (size_t i = 0; i < hex.len; i += 2) {
        int32_t high = char_hex_value(hex.ptr[i]);
        int32_t low = char_hex_value(hex.ptr[i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* --- a text of bounded length --- */

void str_buf_put(struct str_buf *buf, struct slice s)
{
    size_t room = buf->size - buf->len;

    if (s.len > room) {
        s.len = room;
        buf->is_full = true;
    }
    if (s.len > 0)
        memcpy(buf->ptr + buf->len, s.ptr, s.len);
    buf->len += s.len;
}

void str_buf_put_char(struct str_buf *buf, char c)
{
    if (buf->len < buf->size)
        buf->ptr[buf->len++] = c;
    else
        buf->is_full = true;
}

void str_buf_put_u64(struct str_buf *buf, uint64_t value)
{
    char digits[STR_U64_BYTES_MAX];

    if (buf->size - buf->len >= STR_U64_BYTES_MAX)
        buf->len += str_from_u64(buf->ptr + buf->len, value);
    else
        str_buf_put(buf, slice_of(digits, str_from_u64(digits, value)));
}

void str_buf_put_i64(struct str_buf *buf, int64_t value)
{
    char digits[STR_U64_BYTES_MAX];

    str_buf_put(buf, slice_of(digits, str_from_i64(digits, value)));
}
