#include "r2a/ir/brief.h"

#include <string.h>

#include "r2a/core/str.h"

/* Ids made up for one exchange, and tool names on their way back. */

/* Whether `text` reads as `plain`. This module knows no JSON: it undoes only what a wire name can
 * hold, escapes of ASCII characters (a server may write `\u005f` for `_`). */
static bool reads_as(struct text text, struct slice plain)
{
    size_t at = 0;

    for (uint32_t i = 0; i < text.len; at++) {
        char c = text.ptr[i];
        uint32_t used = 1;

        if (c == '\\' && text.form == TEXT_ESCAPED && i + 1 < text.len) {
            uint64_t code = 0;

            c = text.ptr[i + 1];
            used = 2;
            if (c == 'u') {
                if (i + 6 > text.len || !str_parse_hex_u64(slice_of(text.ptr + i + 2, 4), &code) ||
                    code > 0x7f)
                    return false;
                c = (char)code;
                used = 6;
            } else if (c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't') {
                return false;
            }
        }
        if (at >= plain.len || plain.ptr[at] != c)
            return false;
        i += used;
    }
    return at == plain.len;
}

bool brief_keep_repeats(struct brief *brief)
{
    size_t bytes = 0;
    char *to;

    for (uint32_t i = 0; i < brief->repeats_count; i++)
        bytes += brief->repeats[i].len;
    if (bytes == 0)
        return true;
    to = arena_take(brief->arena, bytes);
    if (to == NULL)
        return false;
    for (uint32_t i = 0; i < brief->repeats_count; i++) {
        struct slice *repeat = &brief->repeats[i];

        if (repeat->len > 0)
            memcpy(to, repeat->ptr, repeat->len);
        repeat->ptr = to;
        to += repeat->len;
    }
    return true;
}

const struct brief_name *brief_name_of(const struct brief *brief, struct text wire)
{
    for (uint32_t i = 0; i < brief->names_count; i++)
        if (reads_as(wire, brief->names[i].wire))
            return &brief->names[i];
    return NULL;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t brief_make_id(const struct brief *brief, uint32_t index, struct slice prefix, char *out)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char *at = out + prefix.len;

    if (prefix.len > 0)
        memcpy(out, prefix.ptr, prefix.len);
    /* Three independent words, eight digits from each: 143 bits of 128 random ones and the index.
     */
    for (uint64_t word = 0; word < 3; word++) {
        uint64_t value = mix(brief->random[0] + word * 0x9e3779b97f4a7c15u) ^
                         mix(brief->random[1] + ((uint64_t)index * 3 + word) * 0xd1342543de82ef95u);

        value = mix(value);
        for (uint32_t i = 0; i < 8; i++) {
            *at++ = digits[value % 62];
            value /= 62;
        }
    }
    return prefix.len + 24;
}
