#include "common.h"
#include "r2a/core/base64.h"
#include "r2a/core/str.h"
#include "r2a/core/utf8.h"
#include "r2a/json/text.h"

/* Images, documents, sound (conversion.md 2.4): data URLs, media types, and text files. */

#define DATA_HEAD_BYTES_MAX 512u

struct slice mime_sniff(struct text base64)
{
    static const struct {
        struct slice magic, mime;
    } rows[] = {{S_INIT("iVBORw0KGgo"), S_INIT("image/png")},
                {S_INIT("/9j/"), S_INIT("image/jpeg")},
                {S_INIT("R0lGOD"), S_INIT("image/gif")},
                {S_INIT("UklGR"), S_INIT("image/webp")},
                {S_INIT("JVBERi"), S_INIT("application/pdf")}};

    for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (text_starts(base64, rows[i].magic))
            return rows[i].mime;
    return (struct slice){0};
}

struct slice mime_of_name(struct text file_name)
{
    static const struct {
        struct slice extension, mime;
    } rows[] = {
        {S_INIT(".png"), S_INIT("image/png")},         {S_INIT(".jpg"), S_INIT("image/jpeg")},
        {S_INIT(".jpeg"), S_INIT("image/jpeg")},       {S_INIT(".gif"), S_INIT("image/gif")},
        {S_INIT(".webp"), S_INIT("image/webp")},       {S_INIT(".pdf"), S_INIT("application/pdf")},
        {S_INIT(".txt"), S_INIT("text/plain")},        {S_INIT(".md"), S_INIT("text/markdown")},
        {S_INIT(".csv"), S_INIT("text/csv")},          {S_INIT(".html"), S_INIT("text/html")},
        {S_INIT(".json"), S_INIT("application/json")}, {S_INIT(".xml"), S_INIT("text/xml")},
        {S_INIT(".wav"), S_INIT("audio/wav")},         {S_INIT(".mp3"), S_INIT("audio/mpeg")},
        {S_INIT(".mp4"), S_INIT("video/mp4")},         {S_INIT(".mov"), S_INIT("video/quicktime")},
        {S_INIT(".webm"), S_INIT("video/webm")},       {S_INIT(".bmp"), S_INIT("image/bmp")},
        {S_INIT(".heic"), S_INIT("image/heic")}};
    char name[1024];
    int64_t len = text_decode(file_name, name, sizeof(name));
    struct slice plain;

    if (len < 0)
        return (struct slice){0};
    plain = slice_of(name, (size_t)len);
    plain.len = str_find_char(plain, '?');
    plain.len = str_find_char(plain, '#');
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (str_ends_nocase(plain, rows[i].extension))
            return rows[i].mime;
    return (struct slice){0};
}

bool mime_is_am_image(struct slice mime)
{
    return slice_eq(mime, S("image/jpeg")) || slice_eq(mime, S("image/png")) ||
           slice_eq(mime, S("image/gif")) || slice_eq(mime, S("image/webp"));
}

/* Lower case, without parameters, in its usual spelling. */
static bool mime_normal(struct slice mime, struct arena *arena, struct slice *normal)
{
    char *to;

    mime.len = str_find_char(mime, ';');
    mime = str_trim(mime);
    *normal = (struct slice){0};
    if (mime.len == 0)
        return true;
    to = arena_take(arena, mime.len);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < mime.len; i++)
        to[i] = char_to_lower(mime.ptr[i]);
    *normal = slice_of(to, mime.len);
    if (slice_eq(*normal, S("image/jpg")) || slice_eq(*normal, S("image/pjpeg")))
        *normal = S("image/jpeg");
    else if (slice_eq(*normal, S("audio/mp3")))
        *normal = S("audio/mpeg");
    else if (slice_eq(*normal, S("audio/x-wav")) || slice_eq(*normal, S("audio/wave")))
        *normal = S("audio/wav");
    return true;
}

/* Percent-encoded data, re-encoded as base64. */
static bool reencode(struct text data, struct arena *arena, struct text *base64)
{
    struct slice plain;
    size_t size = 0;
    char *bytes, *to;

    if (!text_to_plain(data, arena, &plain))
        return false;
    bytes = arena_take(arena, plain.len + 1);
    to = arena_take(arena, base64_encoded_len(plain.len, BASE64_PADDED) + 1);
    if (bytes == NULL || to == NULL)
        return false;
    for (size_t i = 0; i < plain.len; i++) {
        if (plain.ptr[i] == '%') {
            unsigned char byte;

            if (i + 2 >= plain.len || !str_unhex(&byte, slice_of(plain.ptr + i + 1, 2)))
                return false;
            bytes[size++] = (char)byte;
            i += 2;
        } else {
            bytes[size++] = plain.ptr[i];
        }
    }
    *base64 = text_plain(slice_of(to, base64_encode(to, slice_of(bytes, size), BASE64_PADDED)));
    return true;
}

bool data_url_read(struct text url, struct arena *arena, struct data_url *result)
{
    const char *comma;
    char head_bytes[DATA_HEAD_BYTES_MAX];
    struct text head, data;
    struct slice rest, part;
    int64_t len;
    bool is_base64 = false;

    *result = (struct data_url){.data = url};
    if (!text_starts_nocase(url, S("data:")))
        return true;
    comma = memchr(url.ptr, ',', url.len);
    if (comma == NULL || comma - url.ptr > (ptrdiff_t)sizeof(head_bytes))
        return false;
    head = (struct text){url.ptr, (uint32_t)(comma - url.ptr), url.form};
    data = (struct text){comma + 1, url.len - head.len - 1, url.form};
    len = text_decode(head, head_bytes, sizeof(head_bytes));
    if (len < 5)
        return false;
    rest = slice_of(head_bytes + 5, (size_t)len - 5);
    if (!str_split(&rest, ';', &part) || !mime_normal(part, arena, &result->mime))
        return false;
    while (str_split(&rest, ';', &part))
        is_base64 |= str_eq_nocase(str_trim(part), S("base64"));
    result->is_data = true;
    result->data = text_trim(data);
    if (!is_base64 && !reencode(data, arena, &result->data))
        return false;
    if (result->mime.len == 0)
        result->mime = mime_sniff(result->data);
    return true;
}

enum r2a_err media_put_url(struct ir_sink *sink, struct arena *arena, uint32_t part,
                           struct text url, struct slice mime_hint)
{
    struct data_url read;
    enum r2a_err err;

    if (!data_url_read(url, arena, &read))
        return R2A_ERR_INVALID;
    if (read.mime.len == 0)
        read.mime = mime_hint;
    err = put_field(sink, IR_FIELD_SOURCE, part, (struct text){0},
                    read.is_data ? IR_SOURCE_BASE64 : IR_SOURCE_URL);
    if (err == R2A_OK && read.mime.len > 0)
        err = put_field(sink, IR_FIELD_MIME, part, text_plain(read.mime), 0);
    if (err == R2A_OK)
        err = put_text(sink, IR_WHOLE, part, read.data);
    return err;
}

static bool is_text_mime(struct slice mime)
{
    return str_starts(mime, S("text/")) || slice_eq(mime, S("application/json")) ||
           slice_eq(mime, S("application/xml")) || slice_eq(mime, S("application/yaml")) ||
           slice_eq(mime, S("application/x-yaml")) || slice_eq(mime, S("application/javascript")) ||
           slice_eq(mime, S("application/x-javascript")) || slice_eq(mime, S("application/csv"));
}

bool media_read(const struct part_view *view, struct arena *arena, struct media *media)
{
    char mime_bytes[128];
    int64_t len = text_decode(part_field(view, IR_FIELD_MIME), mime_bytes, sizeof(mime_bytes));
    struct slice sniffed;

    *media = (struct media){.kind = view->open->what,
                            .source = (uint8_t)part_number(view, IR_FIELD_SOURCE, IR_SOURCE_TEXT),
                            .data = view->text,
                            .title = part_field(view, IR_FIELD_TITLE),
                            .detail = part_field(view, IR_FIELD_DETAIL)};
    if (media->data.len == 0 && part_has(view, IR_FIELD_URL)) {
        media->data = part_field(view, IR_FIELD_URL);
        media->source = IR_SOURCE_URL;
    }
    if (!mime_normal(slice_of(mime_bytes, len < 0 ? 0 : (size_t)len), arena, &media->mime))
        return false;
    if (media->source == IR_SOURCE_BASE64) {
        sniffed = mime_sniff(media->data);
        /* Anthropic answers 400 to an image that is not what it says it is. */
        if (sniffed.len > 0 && (media->mime.len == 0 ||
                                (media->kind == IR_PART_IMAGE && str_starts(sniffed, S("image/")))))
            media->mime = sniffed;
        if (media->mime.len == 0)
            media->mime = mime_of_name(media->title);
        if (media->mime.len == 0 && media->kind == IR_PART_FILE)
            media->mime = S("application/pdf");
    } else if (media->source == IR_SOURCE_URL && media->mime.len == 0) {
        media->mime = mime_of_name(media->data);
    }
    media->is_text = media->kind == IR_PART_FILE &&
                     (media->source == IR_SOURCE_TEXT ||
                      (media->source == IR_SOURCE_BASE64 && is_text_mime(media->mime)));
    return true;
}

bool media_is_apart(const struct ir_tape *tape, uint32_t event, struct arena *arena)
{
    struct part_view view;
    struct media media;

    switch (tape->events[event].what) {
    case IR_PART_IMAGE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        return true;
    case IR_PART_FILE:
        return part_read(tape, event, arena, &view) && view.nested_count == 0 &&
               media_read(&view, arena, &media) && !media.is_text;
    default:
        return false;
    }
}

bool media_text(const struct media *media, struct arena *arena, struct text *text)
{
    struct slice plain;
    size_t size;
    char *to;

    *text = media->data;
    if (media->source != IR_SOURCE_BASE64)
        return true;
    if (!text_to_plain(media->data, arena, &plain))
        return false;
    to = arena_take(arena, base64_decoded_max(plain.len));
    if (to == NULL || (!base64_decode(to, plain, BASE64_PADDED, &size) &&
                       !base64_decode(to, plain, BASE64_UNPADDED, &size)))
        return false;
    *text = text_plain(slice_of(to, size));
    return utf8_is_valid(text_bytes(*text));
}

void media_write_url(const struct media *media, struct rope *out)
{
    if (media->source == IR_SOURCE_BASE64) {
        rope_put(out, S("data:"));
        text_write_escaped(out, text_plain(media->mime));
        rope_put(out, S(";base64,"));
    }
    text_write_escaped(out, media->data);
}
