#include "common.h"
#include "r2a/core/base64.h"
#include "r2a/json/text.h"

/* Vendor secrets in a foreign protocol (conversion.md 2.9): gw1.<v>.<base64url(payload)>, where
 * payload = minter NUL [item id NUL] secret. No vendor's own secret holds a dot. */

#define SEAL_PREFIX "gw1."

/* Base64 of what arrives in pieces: whole groups of three leave, up to two bytes wait. */
struct encoder {
    struct rope *out;
    uint32_t len;
    char bytes[768];
};

static void flush(struct encoder *encoder)
{
    char *to = rope_reserve(encoder->out, 1024);

    if (to == NULL)
        return;
    rope_commit(encoder->out,
                base64_encode(to, slice_of(encoder->bytes, encoder->len), BASE64URL_UNPADDED));
    encoder->len = 0;
}

static void add(struct encoder *encoder, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t part = sizeof(encoder->bytes) - encoder->len;

        if (part > bytes.len)
            part = bytes.len;
        memcpy(encoder->bytes + encoder->len, bytes.ptr, part);
        encoder->len += (uint32_t)part;
        bytes = slice_skip(bytes, part);
        if (encoder->len == sizeof(encoder->bytes)) {
            flush(encoder);
            encoder->len = 0;
        }
    }
}

static void add_text(struct encoder *encoder, struct text text)
{
    char plain[512];

    while (text.len > 0) {
        struct text chunk = text;
        int64_t len;

        if (chunk.len > sizeof(plain)) {
            chunk.len = sizeof(plain);
            chunk.len = (uint32_t)text_safe_len(chunk);
        }
        len = chunk.len > 0 ? text_decode(chunk, plain, sizeof(plain)) : -1;
        if (len < 0)
            return;
        add(encoder, slice_of(plain, (size_t)len));
        text.ptr += chunk.len;
        text.len -= chunk.len;
    }
}

void seal_write(struct rope *out, uint8_t family, struct slice minter, struct text item_id,
                struct text secret)
{
    struct encoder encoder;

    encoder.out = out;
    encoder.len = 0;
    rope_put(out, S(SEAL_PREFIX));
    rope_put_char(out, (char)family);
    rope_put_char(out, '.');
    add(&encoder, minter);
    add(&encoder, slice_of("", 1));
    if (family == IR_SEAL_ENCRYPTED) {
        add_text(&encoder, item_id);
        add(&encoder, slice_of("", 1));
    }
    add_text(&encoder, secret);
    if (encoder.len > 0)
        flush(&encoder);
}

bool seal_is_sealed(struct text value)
{
    return text_starts(value, S(SEAL_PREFIX));
}

static struct text take_until_nul(struct slice *rest)
{
    const char *nul = rest->len > 0 ? memchr(rest->ptr, 0, rest->len) : NULL;
    struct slice part;

    if (nul == NULL)
        return (struct text){0};
    part = slice_between(rest->ptr, nul);
    *rest = slice_skip(*rest, part.len + 1);
    return text_plain(part);
}

/* Every vendor's secret is printable ASCII. What is not was never sealed by us, and would break the
 * JSON it is written to. */
static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
            return false;
    return true;
}

bool seal_read(struct text value, uint8_t native_family, struct text item_id, struct arena *arena,
               struct seal *seal)
{
    struct slice plain, rest;
    char *to;
    size_t size;

    *seal = (struct seal){.family = native_family, .item_id = item_id, .secret = value};
    if (value.len == 0)
        seal->family = IR_SEAL_NONE;
    if (!seal_is_sealed(value))
        return true;
    *seal = (struct seal){0};
    if (!text_to_plain(value, arena, &plain))
        return false;
    if (plain.len < 7 || plain.ptr[5] != '.' || memchr("adrgo", plain.ptr[4], 5) == NULL)
        return true;
    rest = slice_skip(plain, 6);
    to = arena_take(arena, base64_decoded_max(rest.len));
    if (to == NULL)
        return false;
    if (!base64_decode(to, rest, BASE64URL_UNPADDED, &size))
        return true;
    rest = slice_of(to, size);
    seal->minter = take_until_nul(&rest);
    if (seal->minter.len == 0)
        return true;
    if (plain.ptr[4] == IR_SEAL_ENCRYPTED)
        seal->item_id = take_until_nul(&rest);
    if (rest.len == 0 || !is_printable(rest) || !is_printable(text_bytes(seal->item_id)))
        return true;
    seal->family = (uint8_t)plain.ptr[4];
    seal->is_sealed = true;
    seal->secret = text_plain(rest);
    return true;
}
