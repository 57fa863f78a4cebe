#include "common.h"
#include "r2a/json/text.h"

/* Parts as text: what a target reads that has no form of its own for them, and the results of tools
 * where only a string is allowed (conversion.md 2.4, 2.6). */

static bool is_media(const struct part_view *view, struct arena *arena)
{
    struct media media;

    switch (view->open->what) {
    case IR_PART_IMAGE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        return true;
    case IR_PART_FILE:
        return view->nested_count == 0 && media_read(view, arena, &media) && !media.is_text;
    default:
        return false;
    }
}

static void write_document(const struct part_view *view, struct arena *arena, struct rope *out)
{
    struct media media;
    struct text text;

    if (!media_read(view, arena, &media) || !media.is_text || !media_text(&media, arena, &text))
        return;
    rope_put(out, S("<document"));
    if (media.title.len > 0) {
        rope_put(out, S(" title=\\\""));
        text_write_escaped(out, media.title);
        rope_put(out, S("\\\""));
    }
    rope_put_char(out, '>');
    text_write_escaped(out, text);
    rope_put(out, S("</document>"));
}

static void write_nested(const struct ir_tape *tape, const struct part_view *view,
                         struct arena *arena, struct rope *out)
{
    bool is_first = true;

    for (uint32_t i = view->nested_first; i > 0 && i < view->end; i++) {
        if (tape->events[i].kind != IR_PART)
            continue;
        if (!is_first)
            rope_put(out, S("\\n"));
        is_first = false;
        part_write_text(tape, i, arena, out);
        i = tape_end_of(tape, i);
    }
}

void part_write_text(const struct ir_tape *tape, uint32_t part, struct arena *arena,
                     struct rope *out)
{
    struct part_view view;

    if (!part_read(tape, part, arena, &view)) {
        out->err = out->err == R2A_OK ? R2A_ERR_NO_MEMORY : out->err;
        return;
    }
    switch (view.open->what) {
    case IR_PART_SEARCH:
        text_write_escaped(out, part_field(&view, IR_FIELD_TITLE));
        rope_put(out, S("\\n"));
        text_write_escaped(out, part_field(&view, IR_FIELD_URL));
        rope_put(out, S("\\n\\n"));
        write_nested(tape, &view, arena, out);
        break;
    case IR_PART_FILE:
        if (view.nested_count > 0)
            write_nested(tape, &view, arena, out);
        else
            write_document(&view, arena, out);
        break;
    case IR_PART_OPAQUE:
        text_write_json_compact_escaped(out, view.text);
        break;
    case IR_PART_IMAGE:
    case IR_PART_AUDIO:
    case IR_PART_VIDEO:
        break;
    default:
        text_write_escaped(out, view.text);
        break;
    }
}

void result_sum(const struct ir_tape *tape, uint32_t part, struct arena *arena,
                struct result_sum *sum)
{
    uint32_t end = tape_end_of(tape, part);
    struct part_view view;

    *sum = (struct result_sum){0};
    for (uint32_t i = part + 1; i < end; i++) {
        if (tape->events[i].kind != IR_PART)
            continue;
        if (part_read(tape, i, arena, &view) && is_media(&view, arena)) {
            sum->media_count++;
            sum->images_count += view.open->what == IR_PART_IMAGE;
        } else {
            sum->texts_count++;
        }
        i = tape_end_of(tape, i);
    }
}

/* "Error: " tells a model of a protocol without a flag; a text that says so itself needs none. */
static bool needs_prefix(const struct ir_tape *tape, uint32_t part)
{
    uint32_t end = tape_end_of(tape, part);

    if (!(tape->events[part].flags & IR_IS_ERROR))
        return false;
    for (uint32_t i = part + 1; i < end; i++)
        if (tape->events[i].kind == IR_TEXT)
            return !text_starts_nocase(tape->events[i].u.text, S("error"));
    return true;
}

void result_write_text(const struct ir_tape *tape, uint32_t part, bool error_prefix,
                       struct arena *arena, struct rope *out)
{
    uint32_t end = tape_end_of(tape, part);
    struct part_view view;
    bool is_first = true;

    if (error_prefix && needs_prefix(tape, part))
        rope_put(out, S("Error: "));
    for (uint32_t i = part + 1; i < end; i++) {
        if (tape->events[i].kind != IR_PART)
            continue;
        if (!part_read(tape, i, arena, &view) || !is_media(&view, arena)) {
            if (!is_first)
                rope_put(out, S("\\n"));
            is_first = false;
            part_write_text(tape, i, arena, out);
        }
        i = tape_end_of(tape, i);
    }
}
