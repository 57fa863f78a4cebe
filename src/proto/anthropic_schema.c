#include "anthropic.h"
#include "member.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"

/* JSON Schemas as Anthropic takes them. A tool's schema is left as it is but for its root, which
 * must be an object without alternatives (conversion.md 2.5); a schema for structured output is
 * rewritten the way the vendor's own SDK does it (2.8). */

static const struct slice no_arguments = S_INIT("{\"type\":\"object\",\"properties\":{}}");

/* --- a tool's schema --- */

enum root_key {
    ROOT_TYPE,
    ROOT_PROPERTIES,
    ROOT_REQUIRED,
    ROOT_ONE,
    ROOT_ANY,
    ROOT_ALL,
    ROOT_REF,
    ROOTS
};

static const struct slice root_names[ROOTS] = {
    [ROOT_TYPE] = S_INIT("type"),         [ROOT_PROPERTIES] = S_INIT("properties"),
    [ROOT_REQUIRED] = S_INIT("required"), [ROOT_ONE] = S_INIT("oneOf"),
    [ROOT_ANY] = S_INIT("anyOf"),         [ROOT_ALL] = S_INIT("allOf"),
    [ROOT_REF] = S_INIT("$ref"),
};

#define UNION_SLOTS    1024u /* of names that are compared while roots are merged */
#define UNION_REFS_MAX 64u   /* references looked up, each a scan of the definitions */

/* Names already written to an object or array, so that the first one wins. Beyond half the slots
 * names are no longer remembered, and a repeated one is written twice. */
struct names_seen {
    struct text *slots;
    uint32_t count;
    uint32_t refs_left;
    uint64_t seed;
    struct slice defs[2]; /* $defs, definitions */
    size_t end;           /* of the rope: beyond it the schema is too large */
    bool has_written;
};

static bool is_new(struct names_seen *seen, struct text name)
{
    uint32_t slot = (uint32_t)text_hash_seeded(name, seen->seed) % UNION_SLOTS;

    for (; seen->slots[slot].ptr != NULL; slot = (slot + 1) % UNION_SLOTS)
        if (text_eq(seen->slots[slot], name))
            return false;
    if (seen->count < UNION_SLOTS / 2) {
        seen->slots[slot] = name;
        seen->count++;
    }
    return true;
}

static void write_comma(struct rope *out, struct names_seen *seen)
{
    if (seen->has_written)
        rope_put_char(out, ',');
    seen->has_written = true;
}

static void write_key(struct rope *out, struct slice key)
{
    rope_put_char(out, '"');
    rope_put(out, key);
    rope_put(out, S("\":"));
}

static void add_properties(struct rope *out, struct slice object, struct names_seen *seen)
{
    struct json_scan scan;

    json_open(&scan, object);
    if (json_next(&scan) != JSON_OBJECT)
        return;
    while (json_next(&scan) == JSON_KEY) {
        struct slice key = scan.text, value;

        if (!json_skip(&scan, &value) || out->bytes > seen->end)
            return;
        if (!is_new(seen, text_escaped(key)))
            continue;
        write_comma(out, seen);
        write_key(out, key);
        rope_borrow(out, value);
    }
}

static void add_required(struct rope *out, struct slice array, struct names_seen *seen)
{
    struct json_scan scan;

    json_open(&scan, array);
    if (json_next(&scan) != JSON_ARRAY)
        return;
    while (json_next(&scan) == JSON_STRING && out->bytes <= seen->end) {
        if (!is_new(seen, text_escaped(scan.text)))
            continue;
        rope_put(out, seen->has_written ? S(",") : S(",\"required\":["));
        seen->has_written = true;
        text_write_string(out, text_escaped(scan.text));
    }
}

static const struct slice places[] = {S_INIT("$defs"), S_INIT("definitions")};

/* `#/$defs/NAME` and `#/definitions/NAME` of the same schema; anything else is left unresolved. */
static struct slice resolve(struct names_seen *seen, struct slice schema)
{
    struct member found[ROOTS];
    struct text ref;

    if (!members_of(schema, root_names, ROOTS, found) ||
        !member_is(&found[ROOT_REF], JSON_STRING) || seen->refs_left == 0)
        return schema;
    seen->refs_left--;
    ref = member_text(&found[ROOT_REF]);
    for (uint32_t i = 0; i < 2; i++) {
        size_t skip = 2 + places[i].len + 1;
        struct member target[1];
        struct slice name;

        if (ref.len <= skip || memcmp(ref.ptr, "#/", 2) != 0 ||
            memcmp(ref.ptr + 2, places[i].ptr, places[i].len) != 0 || ref.ptr[skip - 1] != '/')
            continue;
        name = slice_of(ref.ptr + skip, ref.len - skip);
        if (seen->defs[i].len > 0 && members_of(seen->defs[i], &name, 1, target) &&
            member_is(&target[0], JSON_OBJECT))
            return target[0].raw;
    }
    return schema;
}

/* Calls `add` for the member `key` of each alternative. */
static void add_alternatives(struct rope *out, const struct member *list, enum root_key key,
                             struct names_seen *seen,
                             void (*add)(struct rope *, struct slice, struct names_seen *))
{
    struct json_scan scan;
    enum json_token token;

    if (!member_is(list, JSON_ARRAY))
        return;
    json_open(&scan, list->raw);
    json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        struct member found[ROOTS];
        struct slice one;

        if (!json_skip_after(&scan, token, &one))
            return;
        if (members_of(resolve(seen, one), root_names, ROOTS, found) &&
            found[key].kind != JSON_ERROR)
            add(out, found[key].raw, seen);
    }
}

static bool write_merged(struct rope *out, struct slice schema, const struct member *found,
                         struct arena *arena, uint64_t seed)
{
    struct names_seen seen = {.slots = arena_take_zero(arena, UNION_SLOTS * sizeof(struct text)),
                              .refs_left = UNION_REFS_MAX,
                              .seed = seed};
    struct json_scan scan;
    struct member defs[2];

    if (seen.slots == NULL || !members_of(schema, places, 2, defs)) {
        out->err = R2A_ERR_NO_MEMORY;
        return false;
    }
    seen.end = out->bytes + SCHEMA_BYTES_MAX;
    for (uint32_t i = 0; i < 2; i++)
        if (member_is(&defs[i], JSON_OBJECT))
            seen.defs[i] = defs[i].raw;
    rope_put(out, S("{\"type\":\"object\""));
    json_open(&scan, schema);
    json_next(&scan);
    while (json_next(&scan) == JSON_KEY) {
        int index = json_key_index(&scan, root_names, ROOTS - 1);
        struct slice key = scan.text, value;

        if (!json_skip(&scan, &value))
            return false;
        if (index >= 0)
            continue;
        rope_put_char(out, ',');
        write_key(out, key);
        rope_borrow(out, value);
    }
    rope_put(out, S(",\"properties\":{"));
    if (member_is(&found[ROOT_PROPERTIES], JSON_OBJECT))
        add_properties(out, found[ROOT_PROPERTIES].raw, &seen);
    for (uint32_t key = ROOT_ONE; key <= ROOT_ALL; key++)
        add_alternatives(out, &found[key], ROOT_PROPERTIES, &seen, add_properties);
    rope_put_char(out, '}');
    memset(seen.slots, 0, UNION_SLOTS * sizeof(*seen.slots));
    seen.count = 0;
    seen.has_written = false;
    if (member_is(&found[ROOT_REQUIRED], JSON_ARRAY))
        add_required(out, found[ROOT_REQUIRED].raw, &seen);
    add_alternatives(out, &found[ROOT_ALL], ROOT_REQUIRED, &seen, add_required);
    rope_put(out, seen.has_written ? S("]}") : S("}"));
    return out->bytes <= seen.end;
}

bool anthropic_write_tool_schema(struct rope *out, struct text schema, struct arena *arena,
                                 uint64_t seed, size_t *left)
{
    struct member found[ROOTS];
    size_t begin = out->bytes;
    bool is_plain;

    if (schema.len == 0 || !members_of(text_bytes(schema), root_names, ROOTS, found)) {
        rope_put(out, no_arguments);
        return true;
    }
    is_plain = found[ROOT_ONE].kind == JSON_ERROR && found[ROOT_ANY].kind == JSON_ERROR &&
               found[ROOT_ALL].kind == JSON_ERROR;
    if (is_plain && text_is(member_text(&found[ROOT_TYPE]), S("object"))) {
        rope_borrow(out, text_bytes(schema));
    } else if (is_plain && found[ROOT_TYPE].raw.len == 0) {
        /* Only the type is missing: it goes in front, the rest stays as it stands. */
        struct json_scan scan;

        rope_put(out, S("{\"type\":\"object\""));
        json_open(&scan, text_bytes(schema));
        json_next(&scan);
        if (json_next(&scan) == JSON_KEY) {
            rope_put_char(out, ',');
            rope_borrow(out, slice_between(scan.text.ptr - 1, schema.ptr + schema.len));
        } else {
            rope_put(out, S(",\"properties\":{}}"));
        }
    } else {
        if (!write_merged(out, text_bytes(schema), found, arena, seed) ||
            out->bytes - begin > *left)
            return false;
        *left -= out->bytes - begin;
    }
    return true;
}

/* --- a schema for structured output --- */

enum word {
    WORD_TYPE,
    WORD_TITLE,
    WORD_ENUM,
    WORD_CONST,
    WORD_REQUIRED,
    WORD_REF,
    WORD_PROPERTIES,
    WORD_DEFS,
    WORD_DEFINITIONS,
    WORD_ITEMS,
    WORD_ANY,
    WORD_ALL,
    WORD_ONE,
    WORD_DESCRIPTION,
    WORD_FORMAT,
    WORD_MIN_ITEMS,
    WORD_ADDITIONAL,
    WORD_SCHEMA,
    WORD_ID,
    WORDS,
};

static const struct slice words[WORDS] = {
    [WORD_TYPE] = S_INIT("type"),
    [WORD_TITLE] = S_INIT("title"),
    [WORD_ENUM] = S_INIT("enum"),
    [WORD_CONST] = S_INIT("const"),
    [WORD_REQUIRED] = S_INIT("required"),
    [WORD_REF] = S_INIT("$ref"),
    [WORD_PROPERTIES] = S_INIT("properties"),
    [WORD_DEFS] = S_INIT("$defs"),
    [WORD_DEFINITIONS] = S_INIT("definitions"),
    [WORD_ITEMS] = S_INIT("items"),
    [WORD_ANY] = S_INIT("anyOf"),
    [WORD_ALL] = S_INIT("allOf"),
    [WORD_ONE] = S_INIT("oneOf"),
    [WORD_DESCRIPTION] = S_INIT("description"),
    [WORD_FORMAT] = S_INIT("format"),
    [WORD_MIN_ITEMS] = S_INIT("minItems"),
    [WORD_ADDITIONAL] = S_INIT("additionalProperties"),
    [WORD_SCHEMA] = S_INIT("$schema"),
    [WORD_ID] = S_INIT("$id"),
};

static bool is_kept_format(struct text format)
{
    static const struct slice formats[] = {
        S_INIT("date-time"), S_INIT("time"), S_INIT("date"), S_INIT("duration"), S_INIT("email"),
        S_INIT("hostname"),  S_INIT("uri"),  S_INIT("ipv4"), S_INIT("ipv6"),     S_INIT("uuid")};

    for (uint32_t i = 0; i < array_count(formats); i++)
        if (text_is(format, formats[i]))
            return true;
    return false;
}

/* A constraint that may not stay where it is and so is told in words. */
static bool is_told(enum word word, const struct member *value)
{
    int64_t number;

    switch ((uint32_t)word) {
    case WORD_FORMAT:
        return !is_kept_format(member_text(value));
    case WORD_MIN_ITEMS:
        return !member_int(value, &number) || number < 0 || number > 1;
    default:
        return false;
    }
}

static bool write_schema(struct rope *out, struct slice schema, uint32_t depth);

/* A map of schemas (properties, $defs): the keys are data. */
static bool write_map(struct rope *out, struct slice map, uint32_t depth)
{
    struct json_scan scan;
    bool is_first = true;

    json_open(&scan, map);
    if (json_next(&scan) != JSON_OBJECT)
        return false;
    rope_put_char(out, '{');
    while (json_next(&scan) == JSON_KEY) {
        struct slice key = scan.text, value;

        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        write_key(out, key);
        if (!json_skip(&scan, &value) || !write_schema(out, value, depth + 1))
            return false;
    }
    rope_put_char(out, '}');
    return true;
}

static bool write_list(struct rope *out, struct slice list, uint32_t depth)
{
    struct json_scan scan;
    enum json_token token;
    bool is_first = true;

    json_open(&scan, list);
    if (json_next(&scan) != JSON_ARRAY)
        return write_schema(out, list, depth + 1);
    rope_put_char(out, '[');
    while ((token = json_next(&scan)) != JSON_ARRAY_END) {
        struct slice value;

        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        if (!json_skip_after(&scan, token, &value) || !write_schema(out, value, depth + 1))
            return false;
    }
    rope_put_char(out, ']');
    return true;
}

/* `{minLength: 5, pattern: "…"}`, as text within the description's string. */
static void write_told(struct rope *out, struct slice schema)
{
    struct json_scan scan;
    bool is_first = true;

    json_open(&scan, schema);
    json_next(&scan);
    while (json_next(&scan) == JSON_KEY) {
        int word = json_key_index(&scan, words, WORDS);
        struct slice key = scan.text;
        struct member value = {0};
        enum json_token token = json_next(&scan);

        value.kind = (uint8_t)token;
        if (!json_skip_after(&scan, token, &value.raw))
            return;
        if (word >= 0 && !is_told((enum word)word, &value))
            continue;
        rope_put(out, is_first ? S("{") : S(", "));
        is_first = false;
        text_write_escaped(out, text_escaped(key));
        rope_put(out, S(": "));
        text_write_json_compact_escaped(out, text_json(value.raw));
    }
    if (!is_first)
        rope_put_char(out, '}');
}

static bool write_word(struct rope *out, enum word word, const struct member *value, uint32_t depth)
{
    write_key(out, words[word == WORD_ONE ? WORD_ANY : word]);
    switch ((uint32_t)word) {
    case WORD_PROPERTIES:
    case WORD_DEFS:
    case WORD_DEFINITIONS:
        return write_map(out, value->raw, depth);
    case WORD_ITEMS:
    case WORD_ANY:
    case WORD_ALL:
    case WORD_ONE:
        return write_list(out, value->raw, depth);
    default:
        rope_borrow(out, value->raw);
        return true;
    }
}

static bool has_object_type(const struct member *type)
{
    return text_is(member_text(type), S("object")) ||
           (member_is(type, JSON_ARRAY) &&
            text_contains_nocase(member_json(type), S("\"object\"")));
}

static bool write_schema(struct rope *out, struct slice schema, uint32_t depth)
{
    struct member found[WORDS];
    struct json_scan scan;
    bool tells = false, is_first = true;

    if (depth > SCHEMA_DEPTH_MAX)
        return false;
    json_open(&scan, schema);
    if (json_next(&scan) != JSON_OBJECT) { /* true, false */
        rope_borrow(out, schema);
        return true;
    }
    if (!members_of(schema, words, WORDS, found))
        return false;
    rope_put_char(out, '{');
    if (has_object_type(&found[WORD_TYPE]) || member_is(&found[WORD_PROPERTIES], JSON_OBJECT)) {
        rope_put(out, S("\"additionalProperties\":false"));
        is_first = false;
    } else if (found[WORD_TYPE].kind != JSON_ERROR) {
        rope_put(out, S("\"type\":"));
        rope_borrow(out, found[WORD_TYPE].raw);
        found[WORD_TYPE].kind = JSON_ERROR;
        is_first = false;
    }
    while (json_next(&scan) == JSON_KEY) {
        int word = json_key_index(&scan, words, WORDS);
        enum json_token token = json_next(&scan);
        struct member value = {.kind = (uint8_t)token};

        if (!json_skip_after(&scan, token, &value.raw))
            return false;
        tells |= word < 0 || is_told((enum word)word, &value);
    }
    if (tells || found[WORD_DESCRIPTION].kind != JSON_ERROR) {
        struct rope told = {.mem = out->mem};

        rope_put(out, is_first ? S("\"description\":\"") : S(",\"description\":\""));
        is_first = false;
        text_write_escaped(out, member_text(&found[WORD_DESCRIPTION]));
        write_told(&told, schema);
        if (told.bytes > 0 && member_text(&found[WORD_DESCRIPTION]).len > 0)
            rope_put(out, S("\\n\\n"));
        rope_append(out, &told);
        rope_put_char(out, '"');
    }
    for (uint32_t word = 0; word < WORD_ADDITIONAL; word++) {
        if (word == WORD_DESCRIPTION || found[word].kind == JSON_ERROR ||
            is_told((enum word)word, &found[word]))
            continue;
        if (word == WORD_ONE && found[WORD_ANY].kind != JSON_ERROR)
            continue;
        if (!is_first)
            rope_put_char(out, ',');
        is_first = false;
        if (!write_word(out, (enum word)word, &found[word], depth))
            return false;
    }
    rope_put_char(out, '}');
    return true;
}

bool anthropic_write_format_schema(struct rope *out, struct text schema)
{
    return schema.len <= SCHEMA_BYTES_MAX && write_schema(out, text_bytes(schema), 0);
}
