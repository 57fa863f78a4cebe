/* Writing JSON member by member: one bit a level says whether a comma is due. */
#include "r2a/json/write.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

static void separate(struct json_write *w)
{
    const uint64_t bit = UINT64_C(1) << (w->depth % 64);
    uint64_t *const level = &w->has_member[w->depth / 64];

    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if ((*level & bit) != 0)
        rope_put_char(w->rope, ',');
    *level |= bit;
}

static void enter(struct json_write *w, char bracket)
{
    separate(w);
    rope_put_char(w->rope, bracket);
    check(w->depth < JSON_WRITE_DEPTH_MAX);
    w->depth++;
    w->has_member[w->depth / 64] &= ~(UINT64_C(1) << (w->depth % 64));
}

static void leave(struct json_write *w, char bracket)
{
    check(w->depth > 0);
    check(!w->after_key);
    w->depth--;
    rope_put_char(w->rope, bracket);
}

void jw_open(struct json_write *w, struct rope *rope)
{
    *w = (struct json_write){.rope = rope};
}

void jw_object(struct json_write *w)
{
    enter(w, '{');
}

void jw_object_end(struct json_write *w)
{
    leave(w, '}');
}

void jw_array(struct json_write *w)
{
    enter(w, '[');
}

void jw_array_end(struct json_write *w)
{
    leave(w, ']');
}

void jw_key(struct json_write *w, struct slice plain_ascii_name)
{
    separate(w);
    rope_put_char(w->rope, '"');
    rope_put(w->rope, plain_ascii_name);
    rope_put(w->rope, S("\":"));
    w->after_key = true;
}

void jw_key_text(struct json_write *w, struct text name)
{
    separate(w);
    text_write_string(w->rope, name);
    rope_put_char(w->rope, ':');
    w->after_key = true;
}

void jw_text(struct json_write *w, struct text value)
{
    separate(w);
    text_write_string(w->rope, value);
}

void jw_string(struct json_write *w, struct slice plain)
{
    jw_text(w, text_plain(plain));
}

void jw_raw(struct json_write *w, struct slice json)
{
    separate(w);
    rope_borrow(w->rope, json);
}

void jw_u64(struct json_write *w, uint64_t value)
{
    separate(w);
    rope_put_u64(w->rope, value);
}

void jw_i64(struct json_write *w, int64_t value)
{
    separate(w);
    rope_put_i64(w->rope, value);
}

void jw_bool(struct json_write *w, bool value)
{
    separate(w);
    rope_put(w->rope, value ? S("true") : S("false"));
}

void jw_null(struct json_write *w)
{
    separate(w);
    rope_put(w->rope, S("null"));
}

void jw_string_begin(struct json_write *w)
{
    separate(w);
    rope_put_char(w->rope, '"');
}

void jw_string_end(struct json_write *w)
{
    rope_put_char(w->rope, '"');
}

void jw_member_string(struct json_write *w, struct slice name, struct slice plain)
{
    jw_key(w, name);
    jw_string(w, plain);
}

void jw_member_text(struct json_write *w, struct slice name, struct text value)
{
    jw_key(w, name);
    jw_text(w, value);
}

void jw_member_raw(struct json_write *w, struct slice name, struct slice json)
{
    jw_key(w, name);
    jw_raw(w, json);
}

void jw_member_u64(struct json_write *w, struct slice name, uint64_t value)
{
    jw_key(w, name);
    jw_u64(w, value);
}

void jw_member_bool(struct json_write *w, struct slice name, bool value)
{
    jw_key(w, name);
    jw_bool(w, value);
}

void jw_member_null(struct json_write *w, struct slice name)
{
    jw_key(w, name);
    jw_null(w);
}
