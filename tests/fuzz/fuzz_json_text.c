/* Text: decoding undoes escaping, forms compare equal, cutting a stream anywhere loses nothing, and
 * text_json_kind agrees with the scanner. The input is taken as plain text where it is valid UTF-8,
 * and as the inside of a JSON string where it is one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/mem.h"
#include "r2a/core/rope.h"
#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"
#include "src/json/lex.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem *mem;

/* What `write` makes of the text, from malloc. */
static struct slice written(void (*write)(struct rope *, struct text), struct text text)
{
    struct rope rope = {.mem = mem};
    size_t len;
    char *copy;

    write(&rope, text);
    require(rope.err == R2A_OK);
    len = rope.bytes;
    copy = (char *)malloc(len + 1);
    require(copy != NULL);
    rope_copy_out(&rope, copy);
    rope_clear(&rope);
    return slice_of(copy, len);
}

static void drop(struct slice bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

/* A whole value that is one string, or a broken text. */
static bool is_string_inside(struct slice inside)
{
    char *const quoted = (char *)malloc(inside.len + 2);
    struct json_scan scan;
    bool result;

    require(quoted != NULL);
    quoted[0] = quoted[inside.len + 1] = '"';
    if (inside.len > 0)
        memcpy(quoted + 1, inside.ptr, inside.len);
    json_open(&scan, slice_of(quoted, inside.len + 2));
    result = json_next(&scan) == JSON_STRING && scan.text.len == inside.len &&
             json_next(&scan) == JSON_END;
    free(quoted);
    return result;
}

static bool is_utf8(struct slice text)
{
    const char *p = text.ptr;
    const char *const end = text.ptr + text.len;

    while (p != end) {
        const int32_t len = (uint8_t)*p < 0x80 ? 1 : lex_utf8_step(p, end);

        if (len <= 0)
            return false;
        p += len;
    }
    return true;
}

static bool is_json(struct slice text)
{
    struct json_scan scan;

    json_open(&scan, text);
    return json_skip(&scan, NULL) && json_next(&scan) == JSON_END;
}

static void same_text(struct text a, struct text b)
{
    const struct text trimmed_a = text_trim(a);
    const struct text trimmed_b = text_trim(b);

    require(text_eq(a, b) && text_eq(b, a) && text_eq(a, a));
    require(text_hash(a) == text_hash(b));
    require(text_plain_len(a) == text_plain_len(b));
    require(text_is_blank(a) == text_is_blank(b));
    require(text_is_blank(a) == (trimmed_a.len == 0));
    require(text_eq(trimmed_a, trimmed_b));
    require(text_eq(text_trim_end(a), text_trim_end(b)));
    require(text_json_kind(a) == text_json_kind(b));
}

/* Plain text that is valid UTF-8. */
static void plain(struct slice bytes)
{
    const struct text text = text_plain(bytes);
    const struct slice once = written(text_write_escaped, text);
    const struct slice twice = written(text_write_escaped_twice, text);
    const struct slice again = written(text_write_escaped_twice, text_escaped(once));
    const struct slice back = written(text_write_plain, text_escaped(once));
    const struct slice value = written(text_write_value, text_escaped(once));
    const enum text_json_kind kind = text_json_kind(text);

    require(is_string_inside(once));
    require(is_string_inside(twice));
    require(slice_eq(twice, again));
    require(slice_eq(back, bytes));
    require(slice_eq(value, bytes));
    same_text(text, text_escaped(once));
    require((kind != TEXT_NOT_JSON && kind != TEXT_IS_EMPTY) == is_json(bytes));
    if (is_json(bytes)) {
        const struct slice compact = written(text_write_json_compact, text_json(bytes));
        const struct slice compact_escaped =
            written(text_write_json_compact_escaped, text_json(bytes));
        const struct slice compact_again = written(text_write_json_compact, text_json(compact));

        require(is_json(compact));
        require(slice_eq(compact, compact_again));
        require(text_is(text_escaped(compact_escaped), compact));
        drop(compact);
        drop(compact_escaped);
        drop(compact_again);
    }
    if (bytes.len > 0) {
        const struct slice head = slice_head(bytes, bytes.len / 2);

        require(text_starts(text_escaped(once), head));
        require(text_starts_nocase(text_escaped(once), head));
        require(text_is(text_escaped(once), bytes));
        require(text_is_nocase(text_escaped(once), bytes));
    }
    drop(once);
    drop(twice);
    drop(again);
    drop(back);
    drop(value);
}

/* The inside of a JSON string. */
static void escaped(struct slice bytes)
{
    const struct text text = text_escaped(bytes);
    const struct slice decoded = written(text_write_plain, text);
    const struct slice once_more = written(text_write_escaped_twice, text);
    char *const buf = (char *)malloc(decoded.len + 1);
    size_t done = 0;
    size_t have = 0;
    uint64_t seed = bytes.len;

    require(buf != NULL);
    require(is_utf8(decoded));
    require(text_decode(text, buf, decoded.len) == (int64_t)decoded.len);
    require(slice_eq(slice_of(buf, decoded.len), decoded));
    require(decoded.len == 0 || text_decode(text, buf, decoded.len - 1) == -1);
    require(text_is(text_escaped(once_more), bytes));
    same_text(text, text_plain(decoded));
    if (text_json_kind(text) != TEXT_NOT_JSON && text_json_kind(text) != TEXT_IS_EMPTY) {
        const struct slice value = written(text_write_value, text);

        require(is_json(value));
        drop(value);
    }
    /* Cut as a stream would be: decoding the parts gives the whole's decoding. */
    free(buf);
    {
        struct rope rope = {.mem = mem};
        char *out;

        while (have < bytes.len) {
            size_t safe;

            seed = seed * UINT64_C(6364136223846793005) + (uint8_t)bytes.ptr[have];
            have += 1 + (seed >> 61);
            if (have > bytes.len)
                have = bytes.len;
            safe = text_safe_len(text_escaped(slice_of(bytes.ptr + done, have - done)));
            text_write_plain(&rope, text_escaped(slice_of(bytes.ptr + done, safe)));
            done += safe;
            require(have - done <= TEXT_HOLD_BYTES_MAX);
        }
        text_write_plain(&rope, text_escaped(slice_of(bytes.ptr + done, have - done)));
        require(rope.err == R2A_OK && rope.bytes == decoded.len);
        out = (char *)malloc(rope.bytes + 1);
        require(out != NULL);
        rope_copy_out(&rope, out);
        require(memcmp(out, decoded.ptr, decoded.len) == 0);
        free(out);
        rope_clear(&rope);
    }
    drop(decoded);
    drop(once_more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mem_budget budget;
    const struct slice bytes = slice_of((const char *)data, size);

    if (mem == NULL)
        mem = mem_open(&budget, 1u << 20);
    require(mem != NULL);
    if (is_utf8(bytes))
        plain(bytes);
    if (is_string_inside(bytes))
        escaped(bytes);
    require(atomic_load(&budget.used) == 0);
    return 0;
}
