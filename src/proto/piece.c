#include "piece.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

static enum r2a_err put(struct ir_sink *sink, uint8_t choice, uint32_t part, struct text text)
{
    return ir_put(
        sink, &(struct ir_event){.kind = IR_TEXT, .choice = choice, .part = part, .u.text = text});
}

/* \udc00 … \udfff: the second half of a pair. */
static bool is_low_half(struct text text)
{
    return text.len >= 6 && text.ptr[0] == '\\' && text.ptr[1] == 'u' &&
           (text.ptr[2] | 0x20) == 'd' && (text.ptr[3] | 0x20) >= 'c';
}

enum r2a_err piece_put(struct piece *piece, struct ir_sink *sink, uint8_t choice, uint32_t part,
                       struct text text)
{
    size_t safe;

    if (piece->hold_len > 0 && text.len > 0) {
        char joined[TEXT_HOLD_BYTES_MAX + 6];
        uint32_t len = piece->hold_len, more = is_low_half(text) ? 6 : 0;
        enum r2a_err err;

        memcpy(joined, piece->hold, len);
        memcpy(joined + len, text.ptr, more);
        text.ptr += more;
        text.len -= more;
        piece->hold_len = 0;
        err = put(sink, choice, part, text_escaped(slice_of(joined, len + more)));
        if (err != R2A_OK)
            return err;
    }
    safe = text_safe_len(text);
    if (safe < text.len) {
        check(text.len - safe <= TEXT_HOLD_BYTES_MAX);
        memcpy(piece->hold, text.ptr + safe, text.len - safe);
        piece->hold_len = (uint8_t)(text.len - safe);
        text.len = (uint32_t)safe;
    }
    return text.len > 0 ? put(sink, choice, part, text) : R2A_OK;
}

enum r2a_err piece_end(struct piece *piece, struct ir_sink *sink, uint8_t choice, uint32_t part)
{
    struct text text = text_escaped(slice_of(piece->hold, piece->hold_len));

    piece->hold_len = 0;
    return text.len > 0 ? put(sink, choice, part, text) : R2A_OK;
}

/* --- units --- */

/* Bytes of the character at `at`, and the units it stands for. */
static uint32_t step(struct text text, uint32_t at, uint32_t *units)
{
    unsigned char c = (unsigned char)text.ptr[at];
    uint32_t size = 1;

    *units = 1;
    if (c == '\\' && text.form == TEXT_ESCAPED)
        size = at + 1 < text.len && text.ptr[at + 1] == 'u' ? 6 : 2;
    else if (c >= 0xf0) {
        size = 4;
        *units = 2;
    } else if (c >= 0xe0)
        size = 3;
    else if (c >= 0xc0)
        size = 2;
    return size < text.len - at ? size : text.len - at;
}

uint64_t text_count_units(struct text text)
{
    uint64_t sum = 0;

    for (uint32_t at = 0, units; at < text.len; sum += units)
        at += step(text, at, &units);
    return sum;
}

struct text text_skip_units(struct text text, uint64_t units)
{
    uint32_t at = 0, more;

    for (uint64_t sum = 0; at < text.len && sum < units; sum += more)
        at += step(text, at, &more);
    return (struct text){text.ptr + at, text.len - at, text.form};
}
