#include "schema_node.h"

#include "r2a/core/check.h"
#include "r2a/json/text.h"

/* JSON Schema -> Gemini's Schema (conversion.md 2.5.1; the numbers in brackets are its steps): a
 * node that was read (schema_node.c) is written once, its children by the same road. What the
 * subset has no word for stays as a hint in the description. */

/* --- hints --- */

#define HINT_BYTES_MAX 200u

/* ASCII only on the wire, and cut between characters. */
struct hint {
    struct rope *out;
    uint32_t len;
    bool is_cut;
};

static void hint_put(struct hint *hint, struct slice plain)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    while (at < plain.len && !hint->is_cut) {
        uint8_t lead = (uint8_t)plain.ptr[at];
        uint32_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        uint32_t code = size == 1 ? lead : lead & (0x3fu >> (size - 1));
        uint32_t units[2] = {0, 0};

        if (at + size > plain.len || hint->len + size > HINT_BYTES_MAX) {
            hint->is_cut = true;
            return;
        }
        for (uint32_t i = 1; i < size; i++)
            code = code << 6 | ((uint8_t)plain.ptr[at + i] & 0x3fu);
        hint->len += size;
        at += size;
        if (size == 1 && code >= 0x20 && code < 0x7f) {
            if (code == '"' || code == '\\')
                rope_put_char(hint->out, '\\');
            rope_put_char(hint->out, (char)code);
            continue;
        }
        units[0] = code < 0x10000 ? code : 0xd800 + ((code - 0x10000) >> 10);
        units[1] = code < 0x10000 ? 0 : 0xdc00 + ((code - 0x10000) & 0x3ff);
        for (uint32_t i = 0; i < 2 && (i == 0 || units[i] != 0); i++) {
            char escape[6] = {'\\',
                              'u',
                              digits[units[i] >> 12 & 15],
                              digits[units[i] >> 8 & 15],
                              digits[units[i] >> 4 & 15],
                              digits[units[i] & 15]};

            rope_put(hint->out, slice_of(escape, sizeof(escape)));
        }
    }
}

/* A value as text: strings without their quotes. Long ones are cut before they are decoded. */
static void hint_put_value(struct hint *hint, struct slice raw)
{
    char plain[HINT_BYTES_MAX * 2];
    bool is_string = raw.len >= 2 && raw.ptr[0] == '"';
    struct text text =
        is_string ? text_escaped(slice_of(raw.ptr + 1, raw.len - 2)) : text_plain(raw);
    int64_t len;

    if (text.len > sizeof(plain)) {
        text.len = sizeof(plain);
        text.len = (uint32_t)text_safe_len(text);
    }
    len = text_decode(text, plain, sizeof(plain));
    if (len > 0)
        hint_put(hint, slice_of(plain, (size_t)len));
}

/* The description with its hints, `"description":"…"` */
struct describing {
    struct rope *out;
    bool has_key, has_text;
};

static void describe(struct describing *d)
{
    if (!d->has_key)
        rope_put(d->out, S(",\"description\":\""));
    d->has_key = true;
}

static struct hint begin_hint(struct describing *d, struct slice word)
{
    struct hint hint = {.out = d->out};

    describe(d);
    rope_put(d->out, d->has_text ? S(" (") : S("("));
    d->has_text = true;
    hint_put(&hint, word);
    return hint;
}

static void add_hint(struct describing *d, struct slice word, struct slice value)
{
    struct hint hint = begin_hint(d, word);

    hint_put_value(&hint, value);
    rope_put_char(d->out, ')');
}

static void add_enum_hint(struct describing *d, struct slice values)
{
    struct hint hint = begin_hint(d, S("one of: "));
    struct json_scan scan;
    struct member item;
    bool is_first = true;

    (void)schema_open_array(&scan, values);
    while (schema_next_item(&scan, &item) && !hint.is_cut) {
        if (!is_first)
            hint_put(&hint, S(", "));
        is_first = false;
        hint_put_value(&hint, item.raw);
    }
    rope_put_char(d->out, ')');
}

static bool keeps_format(const struct schema_node *node)
{
    struct text format = member_text(&node->at[KEY_FORMAT]);

    switch (node->type) {
    case TYPE_STRING:
        return text_is(format, S("date-time")) || text_is(format, S("enum"));
    case TYPE_NUMBER:
        return text_is(format, S("float")) || text_is(format, S("double"));
    case TYPE_INTEGER:
        return text_is(format, S("int32")) || text_is(format, S("int64"));
    default:
        return false;
    }
}

/* An enum that can stay: of a string, strings only [7]. */
static bool keeps_enum(const struct schema_node *node)
{
    struct json_scan scan;
    struct member item;

    if (!member_is(&node->at[KEY_ENUM], JSON_ARRAY) || node->type != TYPE_STRING)
        return false;
    (void)schema_open_array(&scan, node->at[KEY_ENUM].raw);
    while (schema_next_item(&scan, &item))
        if (!member_is(&item, JSON_STRING) && !item.is_null)
            return false;
    return true;
}

static bool has_null(struct slice values)
{
    struct json_scan scan;
    struct member item;

    (void)schema_open_array(&scan, values);
    while (schema_next_item(&scan, &item))
        if (item.is_null)
            return true;
    return false;
}

static struct slice additional_type(const struct member *additional)
{
    static const struct slice names[] = {S_INIT("type")};
    struct member found[1];
    enum schema_type type = TYPE_NONE;

    if (members_of(additional->raw, names, 1, found))
        type = schema_type_of(member_text(&found[0]));
    return type == TYPE_NONE ? S("any") : schema_type_words[type];
}

static void write_description(struct schema_work *work, const struct schema_node *node)
{
    struct describing d = {.out = work->out};
    struct text own = member_text(&node->at[KEY_DESCRIPTION]);

    if (own.len > 0) {
        describe(&d);
        d.has_text = true;
        text_write_escaped(work->out, own);
    }
    if (node->see.len > 0 && own.len == 0) {
        describe(&d);
        d.has_text = true;
        rope_put(work->out, S("see "));
        text_write_escaped_copy(work->out, node->see);
    }
    if (node->is_any && node->see.len == 0) {
        (void)begin_hint(&d, S("any JSON value"));
        rope_put_char(work->out, ')');
    }
    if (node->at[KEY_CONST].kind != JSON_ERROR && !member_is(&node->at[KEY_CONST], JSON_STRING))
        add_hint(&d, S("must be "), node->at[KEY_CONST].raw);
    if (member_is(&node->at[KEY_ENUM], JSON_ARRAY) && !keeps_enum(node))
        add_enum_hint(&d, node->at[KEY_ENUM].raw);
    if (member_is(&node->at[KEY_FORMAT], JSON_STRING) && !keeps_format(node))
        add_hint(&d, S("format: "), node->at[KEY_FORMAT].raw);
    if (member_is(&node->at[KEY_PATTERN], JSON_STRING))
        add_hint(&d, S("pattern: "), node->at[KEY_PATTERN].raw);
    if (node->at[KEY_DEFAULT].kind != JSON_ERROR)
        add_hint(&d, S("default: "), node->at[KEY_DEFAULT].raw);
    if (member_is(&node->at[KEY_MULTIPLE_OF], JSON_NUMBER))
        add_hint(&d, S("multiple of "), node->at[KEY_MULTIPLE_OF].raw);
    if (member_is(&node->at[KEY_ADDITIONAL], JSON_OBJECT)) {
        struct hint hint = begin_hint(&d, S("keys are free; values: "));

        hint_put(&hint, additional_type(&node->at[KEY_ADDITIONAL]));
        rope_put_char(work->out, ')');
    }
    if (d.has_key)
        rope_put_char(work->out, '"');
}

/* --- writing a node --- */

static void write_schema(struct schema_work *work, struct slice raw, uint32_t depth,
                         const struct schema_chain *chain);

static void write_enum(struct schema_work *work, const struct schema_node *node)
{
    struct json_scan scan;
    struct member item;
    bool is_first = true;

    if (member_is(&node->at[KEY_CONST], JSON_STRING) && node->type == TYPE_STRING) {
        rope_put(work->out, S(",\"enum\":["));
        rope_borrow(work->out, node->at[KEY_CONST].raw);
        rope_put_char(work->out, ']');
        return;
    }
    if (!keeps_enum(node))
        return;
    (void)schema_open_array(&scan, node->at[KEY_ENUM].raw);
    while (schema_next_item(&scan, &item)) {
        if (item.is_null || item.raw.len == 2)
            continue;
        rope_put(work->out, is_first ? S(",\"enum\":[") : S(","));
        is_first = false;
        rope_put(work->out, item.raw);
    }
    if (!is_first)
        rope_put_char(work->out, ']');
}

/* Whether an earlier element of the array is the same bytes. */
static bool is_repeat(struct slice array, const struct member *item)
{
    struct json_scan scan;
    struct member other;

    (void)schema_open_array(&scan, array);
    while (schema_next_item(&scan, &other) && other.raw.ptr != item->raw.ptr)
        if (slice_eq(other.raw, item->raw))
            return true;
    return false;
}

/* Alternatives written as an array: of anyOf the useful ones, of a tuple the distinct ones. */
static void write_members(struct schema_work *work, struct slice array, bool is_any_of,
                          uint32_t depth, const struct schema_chain *chain)
{
    struct json_scan scan;
    struct member item;
    bool is_first = true;

    rope_put(work->out, S("\"anyOf\":["));
    (void)schema_open_array(&scan, array);
    while (schema_next_item(&scan, &item) && schema_charge(work, 0)) {
        if (is_any_of ? schema_look_at(&item) != ALTERNATIVE_SCHEMA : is_repeat(array, &item))
            continue;
        if (!is_first)
            rope_put_char(work->out, ',');
        is_first = false;
        write_schema(work, item.raw, depth + 1, chain);
    }
    rope_put_char(work->out, ']');
}

/* [10] */
static void write_items(struct schema_work *work, const struct schema_node *node, uint32_t depth)
{
    const struct member *items = &node->at[KEY_ITEMS];
    struct slice tuple = {0};
    struct json_scan scan;
    struct member item, first = {0};
    uint32_t distinct = 0;

    rope_put(work->out, S(",\"items\":"));
    if (member_is(items, JSON_OBJECT)) {
        write_schema(work, items->raw, depth + 1, node->chain);
        return;
    }
    if (member_is(items, JSON_ARRAY))
        tuple = items->raw;
    else if (member_is(&node->at[KEY_PREFIX_ITEMS], JSON_ARRAY))
        tuple = node->at[KEY_PREFIX_ITEMS].raw;
    if (tuple.len > 0 && schema_open_array(&scan, tuple)) {
        while (schema_next_item(&scan, &item) && schema_charge(work, tuple.len)) {
            if (is_repeat(tuple, &item))
                continue;
            if (distinct++ == 0)
                first = item;
        }
    }
    if (distinct == 1) {
        write_schema(work, first.raw, depth + 1, node->chain);
    } else if (distinct > 1) {
        rope_put_char(work->out, '{');
        write_members(work, tuple, false, depth, node->chain);
        rope_put_char(work->out, '}');
    } else {
        rope_put(work->out, S("{\"type\":\"STRING\"}"));
    }
}

/* Whether an earlier map of the node has the key, or an earlier place in this one. */
static bool is_taken(const struct schema_node *node, uint32_t map, struct text key)
{
    struct json_scan scan;
    struct text other;
    struct slice value;

    for (uint32_t i = 0; i < map; i++) {
        (void)schema_open_object(&scan, node->maps[i]);
        while (schema_next_property(&scan, &other, &value))
            if (text_eq(other, key))
                return true;
    }
    return false;
}

static bool is_property(const struct schema_node *node, struct text name)
{
    struct json_scan scan;
    struct text key;
    struct slice value;

    for (uint32_t i = 0; i < node->maps_count; i++) {
        (void)schema_open_object(&scan, node->maps[i]);
        while (schema_next_property(&scan, &key, &value))
            if (text_eq(key, name))
                return !slice_eq(value, S("false"));
    }
    return false;
}

/* Whether a required name came before, in this list or an earlier one. */
static bool is_named_before(const struct schema_node *node, uint32_t list,
                            const struct member *name)
{
    struct json_scan scan;
    struct member other;

    for (uint32_t i = 0; i <= list; i++) {
        (void)schema_open_array(&scan, node->requireds[i]);
        while (schema_next_item(&scan, &other) && other.raw.ptr != name->raw.ptr)
            if (text_eq(member_text(&other), member_text(name)))
                return true;
    }
    return false;
}

/* [11] */
static void write_properties(struct schema_work *work, const struct schema_node *node,
                             uint32_t depth)
{
    struct json_scan scan;
    struct member item;
    struct text key;
    struct slice value;
    bool is_first = true;

    for (uint32_t i = 0; i < node->maps_count; i++) {
        (void)schema_open_object(&scan, node->maps[i]);
        while (schema_next_property(&scan, &key, &value) &&
               schema_charge(work, i > 0 ? node->maps[0].len : 0)) {
            if (slice_eq(value, S("false")) || is_taken(node, i, key))
                continue;
            rope_put(work->out, is_first ? S(",\"properties\":{") : S(","));
            is_first = false;
            text_write_string(work->out, key);
            rope_put_char(work->out, ':');
            write_schema(work, value, depth + 1, node->chain);
        }
    }
    if (is_first)
        return;
    rope_put_char(work->out, '}');
    is_first = true;
    for (uint32_t i = 0; i < node->requireds_count; i++) {
        (void)schema_open_array(&scan, node->requireds[i]);
        while (schema_next_item(&scan, &item) &&
               schema_charge(work, node->requireds[i].len + node->maps[0].len)) {
            if (!member_is(&item, JSON_STRING) || !is_property(node, member_text(&item)) ||
                is_named_before(node, i, &item))
                continue;
            rope_put(work->out, is_first ? S(",\"required\":[") : S(","));
            is_first = false;
            rope_put(work->out, item.raw);
        }
    }
    if (!is_first)
        rope_put_char(work->out, ']');
}

static void write_number(struct schema_work *work, struct slice name, const struct member *value)
{
    if (!member_is(value, JSON_NUMBER) && !member_is(value, JSON_STRING))
        return;
    rope_put(work->out, S(",\""));
    rope_put(work->out, name);
    rope_put(work->out, S("\":"));
    rope_put(work->out, value->raw);
}

/* [8]: the exclusive form, a number or (draft 4) a flag on the other, becomes an inclusive one. */
static void write_bound(struct schema_work *work, const struct schema_node *node,
                        enum schema_key inclusive, enum schema_key exclusive, int64_t step)
{
    const struct member *limit = &node->at[inclusive], *open = &node->at[exclusive];
    bool is_open = member_is(open, JSON_TRUE) && member_is(limit, JSON_NUMBER);
    struct slice name = schema_key_names[inclusive];
    int64_t number;

    if (member_is(open, JSON_NUMBER)) {
        double a = json_number_double(open->raw);
        double b = member_is(limit, JSON_NUMBER) ? json_number_double(limit->raw) : a;

        if (!member_is(limit, JSON_NUMBER) || (step > 0 ? a >= b : a <= b)) {
            limit = open;
            is_open = true;
        }
    }
    if (is_open && node->type == TYPE_INTEGER && member_int(limit, &number) && number < INT64_MAX &&
        number > INT64_MIN) {
        rope_put(work->out, S(",\""));
        rope_put(work->out, name);
        rope_put(work->out, S("\":"));
        rope_put_i64(work->out, number + step);
        return;
    }
    write_number(work, name, limit);
}

static void write_bounds(struct schema_work *work, const struct schema_node *node)
{
    static const uint8_t lengths[] = {KEY_MIN_ITEMS,  KEY_MAX_ITEMS,      KEY_MIN_LENGTH,
                                      KEY_MAX_LENGTH, KEY_MIN_PROPERTIES, KEY_MAX_PROPERTIES};

    write_bound(work, node, KEY_MINIMUM, KEY_EXCLUSIVE_MINIMUM, 1);
    write_bound(work, node, KEY_MAXIMUM, KEY_EXCLUSIVE_MAXIMUM, -1);
    for (uint32_t i = 0; i < array_count(lengths); i++)
        write_number(work, schema_key_names[lengths[i]], &node->at[lengths[i]]);
}

/* Two or more types without a form of their own: alternatives of nothing but a type [5]. */
static void write_type_union(struct schema_work *work, const struct schema_node *node,
                             uint32_t depth)
{
    bool is_first = true;

    rope_put(work->out, S("\"anyOf\":["));
    for (int i = TYPE_STRING; i < TYPES; i++) {
        if (!(node->types & 1u << i))
            continue;
        rope_put(work->out, is_first ? S("{\"type\":\"") : S(",{\"type\":\""));
        is_first = false;
        rope_put(work->out, schema_type_words[i]);
        rope_put_char(work->out, '"');
        if (i == TYPE_ARRAY)
            write_items(work, node, depth);
        rope_put_char(work->out, '}');
    }
    rope_put_char(work->out, ']');
}

static void write_kept(struct schema_work *work, const struct schema_node *node,
                       enum schema_key key)
{
    rope_put(work->out, S(",\""));
    rope_put(work->out, schema_key_names[key]);
    rope_put(work->out, S("\":"));
    rope_borrow(work->out, node->at[key].raw);
}

static void write_node(struct schema_work *work, struct schema_node *node, uint32_t depth)
{
    struct rope *out = work->out;
    bool is_union = node->any_of.len == 0 && node->type == TYPE_NONE;

    if (node->at[KEY_TYPE].raw.len > 0 || node->maps_count > 0 || node->any_of.len > 0)
        node->see = (struct text){0}; /* what its own keywords or other layers say is enough */
    rope_put_char(out, '{');
    if (node->see.len > 0) {
        rope_put(out, S("\"type\":\"OBJECT\""));
        node->is_any = false;
        write_description(work, node);
        rope_put_char(out, '}');
        return;
    }
    if (node->any_of.len > 0) {
        write_members(work, node->any_of, true, depth, node->chain);
    } else if (is_union) {
        write_type_union(work, node, depth);
    } else {
        rope_put(out, S("\"type\":\""));
        rope_put(out, schema_type_words[node->type]);
        rope_put_char(out, '"');
    }
    if (keeps_format(node))
        write_kept(work, node, KEY_FORMAT);
    if (member_is(&node->at[KEY_TITLE], JSON_STRING))
        write_kept(work, node, KEY_TITLE);
    write_description(work, node);
    if (node->is_nullable ||
        (member_is(&node->at[KEY_ENUM], JSON_ARRAY) && has_null(node->at[KEY_ENUM].raw)))
        rope_put(out, S(",\"nullable\":true"));
    write_enum(work, node);
    if (node->type == TYPE_ARRAY)
        write_items(work, node, depth);
    if (node->type == TYPE_OBJECT) {
        write_properties(work, node, depth);
        if (member_is(&node->at[KEY_ORDERING], JSON_ARRAY) && node->maps_count > 0)
            write_kept(work, node, KEY_ORDERING);
    }
    write_bounds(work, node);
    rope_put_char(out, '}');
}

static void write_schema(struct schema_work *work, struct slice raw, uint32_t depth,
                         const struct schema_chain *chain)
{
    struct schema_node *node;

    if (depth > SCHEMA_DEPTH_MAX) {
        rope_put(work->out, S("{\"type\":\"OBJECT\",\"description\":\"see deeper\"}"));
        return;
    }
    node = schema_read_node(work, raw, depth, chain);
    if (node != NULL)
        write_node(work, node, depth);
    else
        rope_put(work->out, S("{}")); /* the result says why nobody will read it */
}

enum schema_result schema_write_gemini(struct rope *out, struct slice schema, bool is_parameters,
                                       struct arena *arena, struct schema_budget *budget)
{
    struct schema_work *work = arena_take_zero(arena, sizeof(*work));
    struct schema_node *node;

    if (work == NULL)
        return SCHEMA_NO_MEMORY;
    *work = (struct schema_work){.root = schema,
                                 .out = out,
                                 .arena = arena,
                                 .start = out->bytes,
                                 .bytes_max = SCHEMA_BYTES_MAX};
    if (budget->bytes_sum + SCHEMA_BYTES_MAX > SCHEMA_SUM_BYTES_MAX)
        work->bytes_max = SCHEMA_SUM_BYTES_MAX - budget->bytes_sum;
    node = schema_read_node(work, schema, 0, NULL);
    if (node == NULL)
        return work->result;
    if (is_parameters && node->maps_count == 0 && node->any_of.len == 0 &&
        (node->type == TYPE_OBJECT || node->is_any))
        return SCHEMA_EMPTY;
    if (is_parameters && node->maps_count > 0) {
        struct json_scan scan;
        struct text key;
        struct slice value;
        bool has_any = false;

        for (uint32_t i = 0; i < node->maps_count; i++) {
            (void)schema_open_object(&scan, node->maps[i]);
            while (schema_next_property(&scan, &key, &value))
                has_any |= !slice_eq(value, S("false"));
        }
        if (!has_any)
            return SCHEMA_EMPTY;
    }
    write_node(work, node, 0);
    (void)schema_charge(work, 0);
    budget->bytes_sum += out->bytes - work->start;
    if (budget->bytes_sum > SCHEMA_SUM_BYTES_MAX)
        budget->bytes_sum = SCHEMA_SUM_BYTES_MAX;
    if (out->err == R2A_ERR_NO_MEMORY)
        return SCHEMA_NO_MEMORY;
    return work->result;
}

void schema_write_bare(struct rope *out, struct slice schema)
{
    struct json_scan scan;
    struct text key;
    struct slice value;
    bool is_first = true;

    if (!schema_open_object(&scan, schema)) {
        rope_borrow(out, schema);
        return;
    }
    rope_put_char(out, '{');
    while (schema_next_property(&scan, &key, &value)) {
        if (text_is(key, S("$schema")))
            continue;
        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        text_write_string(out, key);
        rope_put_char(out, ':');
        rope_borrow(out, value);
    }
    rope_put_char(out, '}');
}
