#include "schema.h"

#include "member.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"

/* Gemini's Schema -> JSON Schema (conversion.md 2.5): the little that differs. Everything that is
 * no keyword of a schema is copied; a schema that has nothing of Gemini's is not copied at all. */

enum key {
    KEY_TYPE,
    KEY_NULLABLE,
    KEY_ORDERING,
    KEY_MIN_ITEMS,
    KEY_MAX_ITEMS,
    KEY_MIN_LENGTH,
    KEY_MAX_LENGTH,
    KEY_MIN_PROPERTIES,
    KEY_MAX_PROPERTIES,
    KEY_ITEMS,
    KEY_ADDITIONAL,
    KEY_NOT,
    KEY_ANY_OF,
    KEY_ONE_OF,
    KEY_ALL_OF,
    KEY_PREFIX_ITEMS,
    KEY_PROPERTIES,
    KEY_DEFS,
    KEY_DEFINITIONS,
    KEYS,
};

/* REST clients spell members as the proto does. */
static const struct slice key_names[KEYS * 2] = {
    S_INIT("type"),
    S_INIT("type"),
    S_INIT("nullable"),
    S_INIT("nullable"),
    S_INIT("propertyOrdering"),
    S_INIT("property_ordering"),
    S_INIT("minItems"),
    S_INIT("min_items"),
    S_INIT("maxItems"),
    S_INIT("max_items"),
    S_INIT("minLength"),
    S_INIT("min_length"),
    S_INIT("maxLength"),
    S_INIT("max_length"),
    S_INIT("minProperties"),
    S_INIT("min_properties"),
    S_INIT("maxProperties"),
    S_INIT("max_properties"),
    S_INIT("items"),
    S_INIT("items"),
    S_INIT("additionalProperties"),
    S_INIT("additional_properties"),
    S_INIT("not"),
    S_INIT("not"),
    S_INIT("anyOf"),
    S_INIT("any_of"),
    S_INIT("oneOf"),
    S_INIT("one_of"),
    S_INIT("allOf"),
    S_INIT("all_of"),
    S_INIT("prefixItems"),
    S_INIT("prefix_items"),
    S_INIT("properties"),
    S_INIT("properties"),
    S_INIT("$defs"),
    S_INIT("$defs"),
    S_INIT("definitions"),
    S_INIT("definitions"),
};

struct lowering {
    struct rope out;
    bool is_changed;
};

/* google.type.Type by number. */
static const struct slice type_names[] = {S_INIT(""),        S_INIT("string"),  S_INIT("number"),
                                          S_INIT("integer"), S_INIT("boolean"), S_INIT("array"),
                                          S_INIT("object"),  S_INIT("null")};

static void lower_schema(struct lowering *l, struct slice raw, uint32_t depth);

static void write_lower(struct lowering *l, struct slice raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char)(c | 0x20);
            l->is_changed = true;
        }
        rope_put_char(&l->out, c);
    }
}

/* The type, with null beside it where the schema is nullable. */
static void write_type(struct lowering *l, const struct member *type, bool is_nullable)
{
    int64_t number;

    if (is_nullable && !member_is(type, JSON_ARRAY))
        rope_put_char(&l->out, '[');
    if (member_is(type, JSON_NUMBER) && member_int(type, &number) && number > 0 && number < 8) {
        l->is_changed = true;
        text_write_string(&l->out, text_plain(type_names[number]));
    } else if (member_is(type, JSON_ARRAY) && is_nullable && type->raw.len > 2) {
        write_lower(l, slice_head(type->raw, type->raw.len - 1));
        rope_put(&l->out, S(",\"null\"]"));
        return;
    } else {
        write_lower(l, type->raw);
    }
    if (is_nullable && !member_is(type, JSON_ARRAY))
        rope_put(&l->out, S(",\"null\"]"));
}

/* "5" is how proto JSON writes an int64. */
static void write_count(struct lowering *l, const struct member *value)
{
    struct text digits = member_text(value);

    if (!member_is(value, JSON_STRING) || digits.len == 0 || digits.len > 18) {
        rope_put(&l->out, value->raw);
        return;
    }
    for (uint32_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || (digits.ptr[0] == '0' && i > 0)) {
            rope_put(&l->out, value->raw);
            return;
        }
    }
    l->is_changed = true;
    rope_put(&l->out, text_bytes(digits));
}

static void lower_array(struct lowering *l, struct slice raw, struct slice extra, uint32_t depth)
{
    struct json_scan scan;
    enum json_token token;
    struct slice item;
    bool is_first = true;

    json_open(&scan, raw);
    (void)json_next(&scan);
    rope_put_char(&l->out, '[');
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR &&
           json_skip_after(&scan, token, &item)) {
        if (!is_first)
            rope_put_char(&l->out, ',');
        is_first = false;
        lower_schema(l, item, depth + 1);
    }
    if (extra.len > 0 && !is_first)
        rope_put_char(&l->out, ',');
    rope_put(&l->out, extra);
    rope_put_char(&l->out, ']');
}

static void lower_map(struct lowering *l, struct slice raw, uint32_t depth)
{
    struct json_scan scan;
    struct slice value;
    bool is_first = true;

    json_open(&scan, raw);
    (void)json_next(&scan);
    rope_put_char(&l->out, '{');
    while (json_next(&scan) == JSON_KEY) {
        struct text key = text_escaped(scan.text);

        if (!json_skip(&scan, &value))
            break;
        if (!is_first)
            rope_put_char(&l->out, ',');
        is_first = false;
        text_write_string(&l->out, key);
        rope_put_char(&l->out, ':');
        lower_schema(l, value, depth + 1);
    }
    rope_put_char(&l->out, '}');
}

static void write_member(struct lowering *l, enum key key, const struct member *value,
                         const struct member *found, uint32_t depth)
{
    bool is_nullable = member_is(&found[KEY_NULLABLE], JSON_TRUE);
    bool is_typed = found[KEY_TYPE].kind != JSON_ERROR;

    switch (key) {
    case KEY_TYPE:
        write_type(l, value, is_nullable);
        return;
    case KEY_MIN_ITEMS:
    case KEY_MAX_ITEMS:
    case KEY_MIN_LENGTH:
    case KEY_MAX_LENGTH:
    case KEY_MIN_PROPERTIES:
    case KEY_MAX_PROPERTIES:
        write_count(l, value);
        return;
    case KEY_ITEMS:
    case KEY_ADDITIONAL:
    case KEY_NOT:
    case KEY_ANY_OF:
    case KEY_ONE_OF:
    case KEY_ALL_OF:
    case KEY_PREFIX_ITEMS:
        if (member_is(value, JSON_OBJECT))
            lower_schema(l, value->raw, depth + 1);
        else if (member_is(value, JSON_ARRAY))
            lower_array(l, value->raw,
                        key == KEY_ANY_OF && is_nullable && !is_typed ? S("{\"type\":\"null\"}")
                                                                      : (struct slice){0},
                        depth);
        else
            rope_put(&l->out, value->raw);
        return;
    case KEY_PROPERTIES:
    case KEY_DEFS:
    case KEY_DEFINITIONS:
        if (member_is(value, JSON_OBJECT)) {
            lower_map(l, value->raw, depth);
            return;
        }
        break;
    case KEY_NULLABLE:
    case KEY_ORDERING:
    case KEYS:
        break;
    }
    rope_put(&l->out, value->raw);
}

static void lower_schema(struct lowering *l, struct slice raw, uint32_t depth)
{
    struct member found[KEYS * 2];
    struct json_scan scan;
    bool is_first = true;

    if (depth > SCHEMA_DEPTH_MAX || !members_of(raw, key_names, KEYS * 2, found)) {
        rope_put(&l->out, raw);
        return;
    }
    for (uint32_t i = 0; i < KEYS; i++)
        found[i] = found[i * 2].raw.len > 0 ? found[i * 2] : found[i * 2 + 1];
    json_open(&scan, raw);
    (void)json_next(&scan);
    rope_put_char(&l->out, '{');
    while (json_next(&scan) == JSON_KEY) {
        struct text name = text_escaped(scan.text);
        int index = json_key_index(&scan, key_names, KEYS * 2);
        enum json_token token = json_next(&scan);
        struct member value = {.kind = (uint8_t)token};

        if (!json_skip_after(&scan, token, &value.raw))
            break;
        if (index / 2 == KEY_NULLABLE || index / 2 == KEY_ORDERING) {
            if (index >= 0) {
                l->is_changed = true;
                continue;
            }
        }
        if (!is_first)
            rope_put_char(&l->out, ',');
        is_first = false;
        if (index >= 0 && index % 2 == 1)
            text_write_string(&l->out, text_plain(key_names[index - 1]));
        else
            text_write_string(&l->out, name);
        l->is_changed |= index >= 0 && index % 2 == 1;
        rope_put_char(&l->out, ':');
        if (index >= 0)
            write_member(l, (enum key)(index / 2), &value, found, depth);
        else
            rope_put(&l->out, value.raw);
    }
    rope_put_char(&l->out, '}');
}

struct slice schema_from_gemini(struct slice schema, struct arena *arena, struct mem *mem)
{
    struct lowering l = {.out = {.mem = mem}};
    struct slice result = schema;

    lower_schema(&l, schema, 0);
    if (l.out.err != R2A_OK) {
        result = (struct slice){0};
    } else if (l.is_changed) {
        size_t len = l.out.bytes;
        char *to = arena_take(arena, len);

        result = (struct slice){to, to == NULL ? 0 : len};
        if (to != NULL)
            rope_copy_out(&l.out, to);
    }
    rope_clear(&l.out);
    return result;
}
