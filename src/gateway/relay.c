#include "relay.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* Decides which bytes of a relayed request change, and changes only those. An edit is a replacement
 * of [at, at + len); the list is kept in order of position, so writing is one walk. Inserting right
 * after the root's brace collects all members that were absent. */

enum edit_kind {
    EDIT_STRING,       /* a JSON string of `text` */
    EDIT_INSIDE,       /* `text` inside a string that stands there already, after a blank line */
    EDIT_INSIDE_FIRST, /* the same in an empty string */
    EDIT_TRUE,
    EDIT_BLOCK, /* one more {"type":"text"} block */
    EDIT_BLOCK_FIRST,
    EDIT_PART, /* one more {"text"} part */
    EDIT_PART_FIRST,
    EDIT_MESSAGE,      /* a system message; comma after it */
    EDIT_MESSAGE_LAST, /* the same at the end of a list that is not empty: comma before it */
    EDIT_MESSAGE_ONLY,
    EDIT_MEMBER_FIRST, /* "include_usage":true at the start of an object; comma after it */
    EDIT_MEMBER_ONLY,
    EDIT_USAGE_OBJECT, /* the whole stream_options */
    EDIT_PARTS_OBJECT, /* the whole systemInstruction */
};

struct edit {
    const char *at;
    size_t len;
    uint8_t kind;
    struct slice text;
};

#define EDITS_MAX      8u
#define SPAN_BYTES_MIN 256u /* of a body, that are borrowed rather than copied */

struct edit_list {
    struct edit edits[EDITS_MAX];
    uint32_t count;
};

static void add_edit(struct edit_list *list, struct edit edit)
{
    uint32_t at = list->count;

    check(list->count < EDITS_MAX);
    while (at > 0 && list->edits[at - 1].at > edit.at) {
        list->edits[at] = list->edits[at - 1];
        at--;
    }
    list->edits[at] = edit;
    list->count++;
}

static struct text string_inside(struct slice raw)
{
    return text_escaped(slice_of(raw.ptr + 1, raw.len - 2));
}

static enum r2a_err fail(struct fault *fault, enum r2a_err err, struct slice message,
                         struct slice param)
{
    *fault = fault_of(FAULT_INVALID, message);
    fault->err = err;
    fault->phase = FAULT_PHASE_REQUEST;
    fault->param = text_plain(param);
    return err;
}

static struct slice pick_error_text(enum r2a_err err)
{
    if (err == R2A_ERR_JSON_TYPE)
        return S("the request body must be a JSON object");
    if (err == R2A_ERR_JSON_DUPLICATE)
        return S("a member occurs twice in the request body");
    return slice_from_z(r2a_err_text(err));
}

enum r2a_err relay_peek(const struct proto *proto, struct slice body, struct relay_peek *peek,
                        struct json_memo *memo, struct fault *fault)
{
    struct json_pick picks[RELAY_PICKS_MAX];
    uint32_t count = 0;
    uint64_t offset = 0;
    enum r2a_err err;

    relay_peek_empty(peek);
    while (proto->edits[peek->rows].key.len > 0) {
        check(peek->rows < RELAY_PICKS_MAX);
        picks[peek->rows] =
            (struct json_pick){.key = proto->edits[peek->rows].key, .is_unique = true};
        peek->rows++;
    }
    count = peek->rows;
    for (uint32_t i = 0; i < peek->rows; i++) {
        if (proto->edits[i].kind != PROTO_EDIT_USAGE)
            continue;
        check(count < RELAY_PICKS_MAX);
        picks[count++] =
            (struct json_pick){.key = proto->edits[i].key, .subkey = proto->edits[i].subkey};
    }
    err = json_pick(body, picks, count, peek->found, memo, &offset);
    if (err != R2A_OK) {
        fail(fault, err, pick_error_text(err), (struct slice){0});
        fault->offset = (int64_t)offset;
        return err;
    }
    for (uint32_t i = 0; i < peek->rows; i++) {
        const struct json_found *found = &peek->found[i];

        if (proto->edits[i].kind == PROTO_EDIT_MODEL && found->kind != JSON_ERROR &&
            found->kind != JSON_NULL) {
            if (found->kind != JSON_STRING)
                return fail(fault, R2A_ERR_JSON_TYPE, S("model must be a string"),
                            proto->edits[i].key);
            peek->model = string_inside(found->raw);
        }
        if (proto->edits[i].kind == PROTO_EDIT_STREAM && found->kind != JSON_ERROR &&
            found->kind != JSON_NULL) {
            if (found->kind != JSON_TRUE && found->kind != JSON_FALSE)
                return fail(fault, R2A_ERR_JSON_TYPE, S("stream must be true or false"),
                            proto->edits[i].key);
            peek->is_stream = found->kind == JSON_TRUE;
        }
    }
    for (uint32_t i = peek->rows; i < count; i++)
        peek->usage_asked = peek->usage_asked || peek->found[i].kind == JSON_TRUE;
    return R2A_OK;
}

/* The role of the message object `raw`: true when it is system or developer. */
static bool is_system_message(struct slice raw)
{
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    if (json_next(&scan) != JSON_OBJECT)
        return false;
    while ((token = json_next(&scan)) == JSON_KEY) {
        struct text role;
        bool is_null = false;

        if (!json_key_is(&scan, S("role"))) {
            if (!json_skip(&scan, NULL))
                return false;
            continue;
        }
        if (!json_take_string(&scan, &role, &is_null) || is_null)
            return false;
        return text_is(role, S("system")) || text_is(role, S("developer"));
    }
    return false;
}

static void edit_messages(struct edit_list *list, const struct json_found *found,
                          const struct relay_edits *edits)
{
    struct json_scan scan;
    const char *open = found->raw.ptr + 1;
    const char *after = open; /* behind the leading system messages */
    const char *next = NULL;  /* the first other message */
    struct edit edit = {.text = edits->system_text};

    if (found->kind != JSON_ARRAY)
        return; /* the upstream says what it thinks of that */
    json_open(&scan, found->raw);
    json_next(&scan);
    for (;;) {
        enum json_token token = json_next(&scan);
        struct slice raw;

        if (token == JSON_ARRAY_END || token == JSON_ERROR || token == JSON_END)
            break;
        if (!json_skip_after(&scan, token, &raw))
            break;
        if (token != JSON_OBJECT || !is_system_message(raw)) {
            next = raw.ptr;
            break;
        }
        after = raw.ptr + raw.len;
    }
    if (edits->system_mode == SYSTEM_OVERRIDE) {
        edit.at = open;
        edit.len = (size_t)((next ? next : found->raw.ptr + found->raw.len - 1) - open);
        edit.kind = next ? EDIT_MESSAGE : EDIT_MESSAGE_ONLY;
    } else if (next) {
        edit.at = next;
        edit.kind = EDIT_MESSAGE;
    } else {
        edit.at = after;
        edit.kind = after == open ? EDIT_MESSAGE_ONLY : EDIT_MESSAGE_LAST;
    }
    add_edit(list, edit);
}

static bool is_container_empty(struct slice raw)
{
    for (size_t i = 1; i + 1 < raw.len; i++) {
        if (raw.ptr[i] != ' ' && raw.ptr[i] != '\t' && raw.ptr[i] != '\n' && raw.ptr[i] != '\r')
            return false;
    }
    return true;
}

static void edit_system_value(struct edit_list *list, const struct json_found *found,
                              bool blocks_allowed, const struct relay_edits *edits)
{
    struct slice raw = found->raw;
    struct edit edit = {.text = edits->system_text};

    if (edits->system_mode == SYSTEM_APPEND && found->kind == JSON_STRING) {
        edit.at = raw.ptr + raw.len - 1;
        edit.kind = raw.len == 2 ? EDIT_INSIDE_FIRST : EDIT_INSIDE;
    } else if (edits->system_mode == SYSTEM_APPEND && found->kind == JSON_ARRAY && blocks_allowed) {
        edit.at = raw.ptr + raw.len - 1;
        edit.kind = is_container_empty(raw) ? EDIT_BLOCK_FIRST : EDIT_BLOCK;
    } else {
        edit.at = raw.ptr;
        edit.len = raw.len;
        edit.kind = EDIT_STRING;
    }
    add_edit(list, edit);
}

/* The parts array of a Gemini systemInstruction object, or an empty slice. */
static struct slice find_parts(struct slice raw)
{
    static const struct json_pick pick = {.key = S_INIT("parts")};
    struct json_found found = {0};
    uint64_t offset = 0;

    if (json_pick(raw, &pick, 1, &found, NULL, &offset) != R2A_OK || found.kind != JSON_ARRAY)
        return (struct slice){0};
    return found.raw;
}

static void put_system_parts(struct rope *out, struct slice text)
{
    rope_put(out, S("{\"parts\":[{\"text\":"));
    text_write_string(out, text_plain(text));
    rope_put(out, S("}]}"));
}

static void write_edit(const struct edit *edit, struct rope *out)
{
    struct text text = text_plain(edit->text);

    switch ((enum edit_kind)edit->kind) {
    case EDIT_STRING:
        text_write_string(out, text);
        break;
    case EDIT_INSIDE:
        rope_put(out, S("\\n\\n"));
        text_write_escaped(out, text);
        break;
    case EDIT_INSIDE_FIRST:
        text_write_escaped(out, text);
        break;
    case EDIT_TRUE:
        rope_put(out, S("true"));
        break;
    case EDIT_BLOCK:
        rope_put_char(out, ',');
        rope_put(out, S("{\"type\":\"text\",\"text\":"));
        text_write_string(out, text);
        rope_put_char(out, '}');
        break;
    case EDIT_BLOCK_FIRST:
        rope_put(out, S("{\"type\":\"text\",\"text\":"));
        text_write_string(out, text);
        rope_put_char(out, '}');
        break;
    case EDIT_PART:
        rope_put(out, S(",{\"text\":"));
        text_write_string(out, text);
        rope_put_char(out, '}');
        break;
    case EDIT_PART_FIRST:
        rope_put(out, S("{\"text\":"));
        text_write_string(out, text);
        rope_put_char(out, '}');
        break;
    case EDIT_MESSAGE:
    case EDIT_MESSAGE_LAST:
    case EDIT_MESSAGE_ONLY:
        if (edit->kind == EDIT_MESSAGE_LAST)
            rope_put_char(out, ',');
        rope_put(out, S("{\"role\":\"system\",\"content\":"));
        text_write_string(out, text);
        rope_put_char(out, '}');
        if (edit->kind == EDIT_MESSAGE)
            rope_put_char(out, ',');
        break;
    case EDIT_MEMBER_FIRST:
        rope_put(out, S("\"include_usage\":true,"));
        break;
    case EDIT_MEMBER_ONLY:
        rope_put(out, S("\"include_usage\":true"));
        break;
    case EDIT_USAGE_OBJECT:
        rope_put(out, S("{\"include_usage\":true}"));
        break;
    case EDIT_PARTS_OBJECT:
        put_system_parts(out, edit->text);
        break;
    }
}

static void edit_usage(struct edit_list *list, const struct json_found *options,
                       const struct json_found *member)
{
    if (options->kind != JSON_OBJECT) {
        add_edit(list,
                 (struct edit){.at = options->raw.ptr, .len = options->raw.len, .kind = EDIT_TRUE});
        return;
    }
    if (member->kind != JSON_ERROR)
        add_edit(list,
                 (struct edit){.at = member->raw.ptr, .len = member->raw.len, .kind = EDIT_TRUE});
    else
        add_edit(list, (struct edit){.at = options->raw.ptr + 1,
                                     .kind = (uint8_t)(is_container_empty(options->raw)
                                                           ? EDIT_MEMBER_ONLY
                                                           : EDIT_MEMBER_FIRST)});
}

/* Behind the root's closing brace. */
static const char *body_end(struct slice body)
{
    const char *end = body.ptr + body.len;

    while (end[-1] != '}')
        end--;
    return end;
}

/* Starts one more member of those that the root lacked. */
static void begin_member(struct rope *members, struct slice key)
{
    if (members->bytes > 0)
        rope_put_char(members, ',');
    rope_put_char(members, '"');
    rope_put(members, key);
    rope_put(members, S("\":"));
}

/* Bytes of the body, which outlives `out`. */
static void put_span(struct rope *out, struct slice span)
{
    if (span.len < SPAN_BYTES_MIN)
        rope_put(out, span);
    else
        rope_borrow_any(out, span);
}

void relay_write(const struct proto *proto, struct slice body, const struct relay_peek *peek,
                 const struct relay_edits *edits, struct rope *out)
{
    struct edit_list list = {.count = 0};
    const char *at = body.ptr;
    const char *brace = body.ptr;
    uint32_t sub = peek->rows;
    bool is_parts_done = false;
    struct rope members = {.mem = out->mem}; /* of the root, absent in the body */

    for (uint32_t i = 0; i < peek->rows; i++) {
        const struct proto_edit *row = &proto->edits[i];
        const struct json_found *found = &peek->found[i];
        bool is_absent = found->kind == JSON_ERROR;

        switch ((enum proto_edit_kind)row->kind) {
        case PROTO_EDIT_MODEL:
            if (edits->model.len == 0 ||
                (found->kind == JSON_STRING && text_is(string_inside(found->raw), edits->model)))
                break;
            if (is_absent) {
                begin_member(&members, row->key);
                text_write_string(&members, text_plain(edits->model));
            } else {
                add_edit(&list, (struct edit){.at = found->raw.ptr,
                                              .len = found->raw.len,
                                              .kind = EDIT_STRING,
                                              .text = edits->model});
            }
            break;
        case PROTO_EDIT_SYSTEM_VALUE:
            if (edits->system_text.len == 0)
                break;
            if (is_absent) {
                begin_member(&members, row->key);
                text_write_string(&members, text_plain(edits->system_text));
            } else {
                edit_system_value(&list, found, row->blocks_allowed, edits);
            }
            break;
        case PROTO_EDIT_SYSTEM_MESSAGES:
            if (edits->system_text.len > 0 && !is_absent)
                edit_messages(&list, found, edits);
            break;
        case PROTO_EDIT_SYSTEM_PARTS: {
            struct slice parts;

            /* Two spellings, two rows: the one that is there is edited, else the first row is
             * inserted. */
            if (edits->system_text.len == 0 || is_parts_done || is_absent)
                break;
            is_parts_done = true;
            parts = found->kind == JSON_OBJECT ? find_parts(found->raw) : (struct slice){0};
            if (edits->system_mode == SYSTEM_APPEND && parts.len > 0)
                add_edit(&list,
                         (struct edit){.at = parts.ptr + parts.len - 1,
                                       .kind = (uint8_t)(is_container_empty(parts) ? EDIT_PART_FIRST
                                                                                   : EDIT_PART),
                                       .text = edits->system_text});
            else
                add_edit(&list, (struct edit){.at = found->raw.ptr,
                                              .len = found->raw.len,
                                              .kind = EDIT_PARTS_OBJECT,
                                              .text = edits->system_text});
            break;
        }
        case PROTO_EDIT_USAGE:
            if (edits->want_usage && !peek->usage_asked) {
                if (is_absent || found->kind == JSON_NULL) {
                    if (is_absent) {
                        begin_member(&members, row->key);
                        rope_put(&members, S("{\"include_usage\":true}"));
                    } else
                        add_edit(&list, (struct edit){.at = found->raw.ptr,
                                                      .len = found->raw.len,
                                                      .kind = EDIT_USAGE_OBJECT});
                } else if (found->kind == JSON_OBJECT) {
                    edit_usage(&list, found, &peek->found[sub]);
                }
            }
            sub++;
            break;
        case PROTO_EDIT_STREAM:
        case PROTO_EDIT_UNIQUE:
            break;
        }
    }
    if (edits->system_text.len > 0 && !is_parts_done) {
        for (uint32_t i = 0; i < peek->rows; i++) {
            if (proto->edits[i].kind != PROTO_EDIT_SYSTEM_PARTS)
                continue;
            begin_member(&members, proto->edits[i].key);
            put_system_parts(&members, edits->system_text);
            break;
        }
    }
    while (*brace != '{') /* the peek saw an object: only white space comes before */
        brace++;
    brace++;
    put_span(out, slice_between(at, brace));
    at = brace;
    if (members.bytes > 0 && !is_container_empty(slice_between(brace - 1, body_end(body))))
        rope_put_char(&members, ',');
    if (members.err != R2A_OK)
        out->err = members.err;
    rope_append(out, &members);
    for (uint32_t i = 0; i < list.count; i++) {
        put_span(out, slice_between(at, list.edits[i].at));
        write_edit(&list.edits[i], out);
        at = list.edits[i].at + list.edits[i].len;
    }
    put_span(out, slice_between(at, body.ptr + body.len));
}
