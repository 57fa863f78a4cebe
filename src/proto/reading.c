#include "reading.h"

#include "common.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"

/* Where a request decoder is in its body, and its words for what is wrong there. */

/* --- faults --- */

void read_enter(struct reading *r, struct slice name)
{
    check(r->depth < READ_PATH_MAX);
    r->path[r->depth].name = name;
    r->path[r->depth++].index = 0;
}

void read_enter_index(struct reading *r, uint32_t index)
{
    read_enter(r, (struct slice){0});
    r->path[r->depth - 1].index = index;
}

void read_leave(struct reading *r)
{
    r->depth--;
}

/* messages[2].content[0].image_url */
static void write_path(const struct reading *r, struct str_buf *buf)
{
    for (uint32_t i = 0; i < r->depth; i++) {
        if (r->path[i].name.len > 0) {
            if (i > 0)
                str_buf_put_char(buf, '.');
            str_buf_put(buf, r->path[i].name);
        } else {
            str_buf_put_char(buf, '[');
            str_buf_put_u64(buf, r->path[i].index);
            str_buf_put_char(buf, ']');
        }
    }
}

enum r2a_err read_refuse_as(struct reading *r, enum r2a_err err, struct slice what,
                            struct slice detail)
{
    char path[256], message[512];
    struct str_buf path_buf = STR_BUF(path), buf = STR_BUF(message);
    struct arena *arena = r->brief->arena;

    write_path(r, &path_buf);
    str_buf_put(&buf, what);
    if (path_buf.len > 0) {
        str_buf_put(&buf, S(" '"));
        str_buf_put(&buf, str_buf_slice(&path_buf));
        str_buf_put(&buf, S("'"));
    }
    str_buf_put(&buf, detail);
    *r->fault = fault_of(FAULT_INVALID, arena_copy(arena, str_buf_slice(&buf)));
    r->fault->param = text_plain(arena_copy(arena, str_buf_slice(&path_buf)));
    r->fault->err = err;
    return err;
}

enum r2a_err read_refuse(struct reading *r, struct slice what, struct slice detail)
{
    return read_refuse_as(r, R2A_ERR_INVALID, what, detail);
}

const char *read_kind_word(uint8_t kind)
{
    switch (kind) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_NUMBER:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

/* `Invalid type for 'PATH.name': expected an array, but got a number instead.` */
enum r2a_err read_refuse_type(struct reading *r, struct slice name, uint8_t kind,
                              struct slice expected)
{
    char detail[128];
    struct str_buf buf = STR_BUF(detail);
    enum r2a_err err;

    str_buf_put(&buf, S(": expected "));
    str_buf_put(&buf, expected);
    str_buf_put(&buf, S(", but got "));
    str_buf_put(&buf, slice_from_z(read_kind_word(kind)));
    str_buf_put(&buf, S(" instead."));
    if (name.len > 0)
        read_enter(r, name);
    err = read_refuse_as(r, R2A_ERR_JSON_TYPE, S("Invalid type for"), str_buf_slice(&buf));
    if (name.len > 0)
        read_leave(r);
    return err;
}

enum r2a_err read_refuse_missing(struct reading *r, struct slice name)
{
    enum r2a_err err;

    read_enter(r, name);
    err = read_refuse(r, S("Missing required parameter:"), S("."));
    read_leave(r);
    return err;
}

enum r2a_err read_refuse_value(struct reading *r, struct slice name, struct slice detail)
{
    enum r2a_err err;

    if (name.len > 0)
        read_enter(r, name);
    err = read_refuse(r, S("Invalid value for"), detail);
    if (name.len > 0)
        read_leave(r);
    return err;
}

/* The body, or a part of it, is no JSON. */
enum r2a_err read_refuse_syntax(struct reading *r, const struct json_scan *scan, struct slice text)
{
    uint64_t offset = (uint64_t)(text.ptr - r->body.ptr) + scan->offset;
    enum r2a_err err = scan->err == R2A_OK ? R2A_ERR_JSON_SYNTAX : scan->err;
    char message[128];
    struct str_buf buf = STR_BUF(message);

    str_buf_put(&buf, S("The request body is not valid JSON: "));
    str_buf_put(&buf, slice_from_z(r2a_err_text(err)));
    str_buf_put(&buf, S(" at byte "));
    str_buf_put_u64(&buf, offset);
    str_buf_put(&buf, S("."));
    *r->fault = fault_of(FAULT_INVALID, arena_copy(r->brief->arena, str_buf_slice(&buf)));
    r->fault->offset = (int64_t)offset;
    r->fault->err = err;
    return err;
}

/* A failure of the sink, which knows no words. */
enum r2a_err read_fail_sink(struct reading *r, enum r2a_err err)
{
    if (err == R2A_ERR_LIMIT)
        *r->fault = fault_of(FAULT_TOO_LARGE, S("The request has too many parts."));
    else if (err != R2A_OK)
        *r->fault = fault_of(FAULT_OVERLOAD, S("The gateway is out of memory."));
    r->fault->err = err;
    return err;
}

/* --- spans --- */

/* An unknown member, to be named as a loss. */
struct unknowns {
    struct reading *reading;
    struct slice prefix; /* "messages." or empty */
    enum r2a_err err;
};

static void note_unknown(void *context, struct text key, const struct member *value)
{
    struct unknowns *unknowns = context;
    struct text path = key;

    if (value->is_null || unknowns->err != R2A_OK)
        return;
    if (unknowns->prefix.len > 0) {
        char *to =
            arena_take(brief_scratch(unknowns->reading->brief), unknowns->prefix.len + key.len);

        if (to == NULL) {
            unknowns->err = R2A_ERR_NO_MEMORY;
            return;
        }
        memcpy(to, unknowns->prefix.ptr, unknowns->prefix.len);
        memcpy(to + unknowns->prefix.len, key.ptr, key.len);
        path = text_escaped(slice_of(to, unknowns->prefix.len + key.len));
    }
    unknowns->err = put_ext(unknowns->reading->tape, path);
}

enum r2a_err read_entered(struct reading *r, struct json_scan *scan, const struct slice *names,
                          uint32_t count, struct member *members, const char *prefix,
                          struct slice *raw)
{
    struct unknowns unknowns = {.reading = r, .prefix = slice_from_z(prefix)};
    const char *begin = scan->pos - 1;

    if (!members_read(scan, names, count, members, NULL, prefix != NULL ? note_unknown : NULL,
                      &unknowns))
        return read_refuse_syntax(r, scan, slice_between(scan->begin, scan->end));
    if (raw != NULL)
        *raw = slice_between(begin, scan->pos);
    return unknowns.err == R2A_OK ? R2A_OK : read_fail_sink(r, unknowns.err);
}

enum r2a_err read_object(struct reading *r, struct slice raw, const struct slice *names,
                         uint32_t count, struct member *members, const char *prefix)
{
    struct json_scan scan;

    json_open_recall(&scan, raw, r->memo);
    if (json_next(&scan) != JSON_OBJECT)
        return read_refuse_type(r, (struct slice){0}, JSON_NULL, S("an object"));
    return read_entered(r, &scan, names, count, members, prefix, NULL);
}

/* The next element of an array; its span in `*item`. False at the end (`scan->err` stays R2A_OK).
 */
bool read_next(struct json_scan *scan, struct member *item)
{
    enum json_token token = json_next(scan);

    *item = (struct member){.kind = (uint8_t)token};
    if (token == JSON_ARRAY_END || token == JSON_ERROR)
        return false;
    return json_skip_after(scan, token, &item->raw);
}

bool read_next_enter(struct json_scan *scan, struct member *item)
{
    enum json_token token = json_next(scan);

    *item = (struct member){.kind = (uint8_t)token};
    if (token == JSON_OBJECT)
        return true;
    if (token == JSON_ARRAY_END || token == JSON_ERROR)
        return false;
    return json_skip_after(scan, token, &item->raw);
}

void read_open(struct reading *r, struct json_scan *scan, struct slice raw)
{
    json_open_recall(scan, raw, r->memo);
    (void)json_next(scan); /* the bracket: its kind was looked at */
}

bool read_mentions(const struct reading *r, struct slice raw, struct slice words)
{
    const char *const end = raw.ptr + raw.len;
    uint32_t count = r->memo != NULL ? r->memo->count : 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *begin = r->memo->spans[i].begin;
        struct slice stretch;

        if (begin < raw.ptr || begin >= end)
            continue;
        stretch = slice_between(raw.ptr, begin);
        if (str_find(stretch, words) < stretch.len)
            return true;
        raw = slice_between(r->memo->spans[i].end, end);
    }
    return str_find(raw, words) < raw.len;
}

/* --- the root --- */

/* A loss report names LOSS_NAMES_MAX; what a hostile body has beyond this is not worth memory. */
#define LATER_MAX 256u

struct keeping {
    struct arena *arena;
    struct read_later **end;
    uint32_t count;
    bool is_lost;
};

static void keep_key(void *context, struct text key, const struct member *value)
{
    struct keeping *keeping = context;
    struct read_later *entry;

    if (value->is_null || keeping->count++ >= LATER_MAX)
        return;
    entry = arena_take(keeping->arena, sizeof(*entry));
    if (entry == NULL) {
        keeping->is_lost = true;
        return;
    }
    *entry = (struct read_later){.key = key};
    *keeping->end = entry;
    keeping->end = &entry->next;
}

enum r2a_err read_root(struct reading *r, const struct slice *names, uint32_t count,
                       uint32_t unique, struct member *root, struct read_later **later)
{
    struct keeping keeping = {.arena = brief_scratch(r->brief), .end = later};
    struct json_scan scan;
    int twice = -1;

    *later = NULL;
    json_open_recall(&scan, r->body, r->memo);
    if (json_next(&scan) != JSON_OBJECT) {
        if (scan.err != R2A_OK)
            return read_refuse_syntax(r, &scan, r->body);
        return read_refuse_as(r, R2A_ERR_JSON_TYPE, S("The request body must be a JSON object."),
                              (struct slice){0});
    }
    if (!members_read(&scan, names, count, root, &twice, keep_key, &keeping) ||
        json_next(&scan) != JSON_END)
        return read_refuse_syntax(r, &scan, r->body);
    if (twice >= 0 && (uint32_t)twice <= unique) {
        read_enter(r, names[twice]);
        return read_refuse_as(r, R2A_ERR_JSON_DUPLICATE, S("Duplicate member"), S("."));
    }
    return keeping.is_lost ? read_fail_sink(r, R2A_ERR_NO_MEMORY) : R2A_OK;
}

enum r2a_err read_put_later(struct reading *r, const struct read_later *later)
{
    for (; later != NULL; later = later->next)
        READ_PUT(put_ext(r->tape, later->key));
    return R2A_OK;
}

/* --- registers --- */

/* Clamped: a temperature of 5e20 is for the upstream to refuse. */
static int64_t integer_part(struct slice number)
{
    double value = json_number_double(number);

    if (value >= 9.2e18)
        return INT64_MAX;
    return value <= -9.2e18 ? INT64_MIN : (int64_t)value;
}

enum r2a_err read_register(struct reading *r, struct slice name, const struct member *member,
                           uint8_t param, uint8_t kind, bool is_int)
{
    struct text value = member_json(member);
    int64_t number = 0;

    if (!member_is_present(member))
        return R2A_OK;
    if (kind == JSON_TRUE) {
        if (!member_is_bool(member))
            return read_refuse_type(r, name, member->kind, S("a boolean"));
        number = member->kind == JSON_TRUE;
    } else if (member->kind != kind) {
        return read_refuse_type(r, name, member->kind, slice_from_z(read_kind_word(kind)));
    } else if (kind == JSON_STRING) {
        value = member_text(member);
    } else if (kind == JSON_NUMBER) {
        if (!json_number_int(member->raw, &number)) {
            if (is_int)
                return read_refuse_type(r, name, member->kind, S("an integer"));
            number = integer_part(member->raw);
        }
    }
    READ_PUT(put_param(r->tape, param, value, number));
    return R2A_OK;
}
