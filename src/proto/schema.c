#include "schema.h"

#include "member.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"

/* JSON Schema -> Gemini's Schema (conversion.md 2.5.1; the numbers in brackets are its steps).
 *
 * A node is read as layers: the object itself, then what its $ref and allOf stand for, then a
 * single anyOf member that folds up. Of each keyword the first layer that has it counts, properties
 * and required are united [1, 2, 4]. Then the node is written once, its children by the same road.
 * There is no tree: a node's keywords are spans, kept in one record a level. */

enum key {
    KEY_REF,
    KEY_ALL_OF,
    KEY_ANY_OF,
    KEY_ONE_OF,
    KEY_TYPE,
    KEY_TITLE,
    KEY_DESCRIPTION,
    KEY_NULLABLE,
    KEY_ENUM,
    KEY_CONST,
    KEY_FORMAT,
    KEY_ITEMS,
    KEY_PREFIX_ITEMS,
    KEY_PROPERTIES,
    KEY_REQUIRED,
    KEY_ADDITIONAL,
    KEY_ORDERING,
    KEY_MINIMUM,
    KEY_MAXIMUM,
    KEY_EXCLUSIVE_MINIMUM,
    KEY_EXCLUSIVE_MAXIMUM,
    KEY_MULTIPLE_OF,
    KEY_DEFAULT,
    KEY_PATTERN,
    KEY_MIN_ITEMS,
    KEY_MAX_ITEMS,
    KEY_MIN_LENGTH,
    KEY_MAX_LENGTH,
    KEY_MIN_PROPERTIES,
    KEY_MAX_PROPERTIES,
    KEYS,
};

static const struct slice key_names[KEYS] = {
    [KEY_REF] = S_INIT("$ref"),
    [KEY_ALL_OF] = S_INIT("allOf"),
    [KEY_ANY_OF] = S_INIT("anyOf"),
    [KEY_ONE_OF] = S_INIT("oneOf"),
    [KEY_TYPE] = S_INIT("type"),
    [KEY_TITLE] = S_INIT("title"),
    [KEY_DESCRIPTION] = S_INIT("description"),
    [KEY_NULLABLE] = S_INIT("nullable"),
    [KEY_ENUM] = S_INIT("enum"),
    [KEY_CONST] = S_INIT("const"),
    [KEY_FORMAT] = S_INIT("format"),
    [KEY_ITEMS] = S_INIT("items"),
    [KEY_PREFIX_ITEMS] = S_INIT("prefixItems"),
    [KEY_PROPERTIES] = S_INIT("properties"),
    [KEY_REQUIRED] = S_INIT("required"),
    [KEY_ADDITIONAL] = S_INIT("additionalProperties"),
    [KEY_ORDERING] = S_INIT("propertyOrdering"),
    [KEY_MINIMUM] = S_INIT("minimum"),
    [KEY_MAXIMUM] = S_INIT("maximum"),
    [KEY_EXCLUSIVE_MINIMUM] = S_INIT("exclusiveMinimum"),
    [KEY_EXCLUSIVE_MAXIMUM] = S_INIT("exclusiveMaximum"),
    [KEY_MULTIPLE_OF] = S_INIT("multipleOf"),
    [KEY_DEFAULT] = S_INIT("default"),
    [KEY_PATTERN] = S_INIT("pattern"),
    [KEY_MIN_ITEMS] = S_INIT("minItems"),
    [KEY_MAX_ITEMS] = S_INIT("maxItems"),
    [KEY_MIN_LENGTH] = S_INIT("minLength"),
    [KEY_MAX_LENGTH] = S_INIT("maxLength"),
    [KEY_MIN_PROPERTIES] = S_INIT("minProperties"),
    [KEY_MAX_PROPERTIES] = S_INIT("maxProperties"),
};

enum type {
    TYPE_NONE,
    TYPE_STRING,
    TYPE_NUMBER,
    TYPE_INTEGER,
    TYPE_BOOLEAN,
    TYPE_ARRAY,
    TYPE_OBJECT,
    TYPE_NULL,
    TYPES
};

static const struct slice type_words[TYPES] = {
    [TYPE_STRING] = S_INIT("STRING"),   [TYPE_NUMBER] = S_INIT("NUMBER"),
    [TYPE_INTEGER] = S_INIT("INTEGER"), [TYPE_BOOLEAN] = S_INIT("BOOLEAN"),
    [TYPE_ARRAY] = S_INIT("ARRAY"),     [TYPE_OBJECT] = S_INIT("OBJECT"),
    [TYPE_NULL] = S_INIT("NULL"),
};

/* The $refs that lead to here: meeting one of them again is a recursion. */
struct chain {
    const struct chain *up;
    const char *target; /* first byte of what it points to */
};

#define NODE_MAPS_MAX 16u /* property maps, and required lists, united in one node */
#define NODE_REFS_MAX 16u

struct node {
    struct member at[KEYS]; /* the first layer's word */
    struct slice maps[NODE_MAPS_MAX], requireds[NODE_MAPS_MAX];
    struct chain links[NODE_REFS_MAX];
    const struct chain *chain;
    uint32_t maps_count, requireds_count, links_count;
    struct text see; /* a $ref that cannot be followed: its name */
    bool is_nullable, is_any;
    uint8_t types; /* bit per enum type */
    uint8_t type;
    struct slice any_of; /* array of two or more members that stay */
};

struct work {
    struct slice root;
    struct rope *out;
    struct arena *arena;
    size_t start; /* out->bytes before the schema */
    size_t bytes_max;
    size_t seen; /* bytes of schema looked at: what $refs multiply */
    enum schema_result result;
    struct node *nodes[SCHEMA_DEPTH_MAX + 2];
};

/* Looking at more than this means that references multiply. */
#define SCHEMA_WORK_BYTES_MAX 67108864u

static bool charge(struct work *work, size_t bytes)
{
    work->seen += bytes + 16;
    if (work->result == SCHEMA_WRITTEN &&
        (work->seen > SCHEMA_WORK_BYTES_MAX || work->out->bytes - work->start > work->bytes_max))
        work->result = SCHEMA_TOO_LARGE;
    return work->result == SCHEMA_WRITTEN;
}

/* --- small readers --- */

static enum type type_of(struct text word)
{
    for (int i = TYPE_STRING; i < TYPES; i++)
        if (text_is_nocase(word, type_words[i]))
            return (enum type)i;
    return TYPE_NONE;
}

static enum type type_of_value(const struct member *value)
{
    int64_t number;

    switch (value->kind) {
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_NUMBER:
        return member_int(value, &number) ? TYPE_INTEGER : TYPE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    default:
        return TYPE_NONE;
    }
}

/* Elements of an array kept as a span. */
static bool open_array(struct json_scan *scan, struct slice raw)
{
    json_open(scan, raw);
    return json_next(scan) == JSON_ARRAY;
}

static bool next_item(struct json_scan *scan, struct member *item)
{
    enum json_token token = json_next(scan);

    *item = (struct member){.kind = (uint8_t)token};
    if (token == JSON_ARRAY_END || token == JSON_ERROR)
        return false;
    item->is_null = token == JSON_NULL;
    return json_skip_after(scan, token, &item->raw);
}

static bool open_object(struct json_scan *scan, struct slice raw)
{
    json_open(scan, raw);
    return json_next(scan) == JSON_OBJECT;
}

static bool next_property(struct json_scan *scan, struct text *key, struct slice *value)
{
    if (json_next(scan) != JSON_KEY)
        return false;
    *key = text_escaped(scan->text);
    return json_skip(scan, value);
}

/* --- references [1] --- */

/* The value of `key` in an object, or of that index in an array. */
static bool step_into(struct slice *at, struct slice key)
{
    struct json_scan scan;
    struct member item;
    struct text name;
    struct slice value;
    uint64_t index;

    if (open_object(&scan, *at)) {
        while (next_property(&scan, &name, &value)) {
            if (text_is(name, key)) {
                *at = value;
                return true;
            }
        }
        return false;
    }
    if (!open_array(&scan, *at) || !str_parse_u64(key, &index))
        return false;
    while (next_item(&scan, &item)) {
        if (index-- == 0) {
            *at = item.raw;
            return true;
        }
    }
    return false;
}

/* One segment of a JSON pointer in a URI fragment: %41, then ~1 and ~0. In place. */
static size_t unescape_segment(char *to, struct slice segment)
{
    size_t len = 0;

    for (size_t i = 0; i < segment.len; i++) {
        unsigned char byte = (unsigned char)segment.ptr[i];

        if (byte == '%' && i + 2 < segment.len &&
            str_unhex(&byte, slice_of(segment.ptr + i + 1, 2)))
            i += 2;
        to[len++] = (char)byte;
    }
    segment = slice_of(to, len);
    len = 0;
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.ptr[i];

        if (c == '~' && i + 1 < segment.len) {
            i++;
            c = segment.ptr[i] == '1' ? '/' : '~';
        }
        to[len++] = c;
    }
    return len;
}

/* Where a local reference points to; `*name` is its last segment. False: external, or nowhere. */
static bool resolve(struct work *work, struct text ref, struct slice *target, struct text *name)
{
    struct slice plain, rest, segment;
    char *buf;

    *name = ref;
    if (!text_to_plain(ref, work->arena, &plain) ||
        (buf = arena_take(work->arena, plain.len + 1)) == NULL) {
        work->result = SCHEMA_NO_MEMORY;
        return false;
    }
    rest = plain;
    for (size_t i = 0; i < plain.len; i++)
        if (plain.ptr[i] == '/')
            *name = text_plain(slice_skip(plain, i + 1));
    if (!str_starts(plain, S("#")))
        return false;
    *target = work->root;
    rest = slice_skip(rest, 1);
    if (rest.len == 0)
        return true;
    if (rest.ptr[0] != '/')
        return false;
    rest = slice_skip(rest, 1);
    while (str_split(&rest, '/', &segment)) {
        if (!charge(work, target->len))
            return false;
        if (!step_into(target, slice_of(buf, unescape_segment(buf, segment))))
            return false;
    }
    return true;
}

/* --- reading a node --- */

static void collect(struct work *work, struct node *node, struct slice raw, uint32_t depth);

static void collect_ref(struct work *work, struct node *node, struct text ref, uint32_t depth)
{
    struct slice target;
    struct text name;
    bool is_good = resolve(work, ref, &target, &name);

    for (const struct chain *link = node->chain; is_good && link != NULL; link = link->up)
        is_good = link->target != target.ptr;
    if (!is_good || depth >= SCHEMA_DEPTH_MAX || node->links_count == NODE_REFS_MAX) {
        node->see = name;
        return;
    }
    node->links[node->links_count] = (struct chain){.up = node->chain, .target = target.ptr};
    node->chain = &node->links[node->links_count++];
    collect(work, node, target, depth + 1);
}

static void collect_all_of(struct work *work, struct node *node, struct slice raw, uint32_t depth)
{
    struct json_scan scan;
    struct member item;

    if (!open_array(&scan, raw))
        return;
    while (work->result == SCHEMA_WRITTEN && next_item(&scan, &item))
        if (member_is(&item, JSON_OBJECT))
            collect(work, node, item.raw, depth + 1);
}

/* Adds a layer: what the node has already wins. */
static void collect(struct work *work, struct node *node, struct slice raw, uint32_t depth)
{
    struct member found[KEYS];

    if (!charge(work, raw.len) || depth > SCHEMA_DEPTH_MAX ||
        !members_of(raw, key_names, KEYS, found))
        return;
    for (uint32_t i = KEY_ANY_OF; i < KEYS; i++)
        if (node->at[i].raw.len == 0)
            node->at[i] = found[i];
    if (member_is(&found[KEY_PROPERTIES], JSON_OBJECT) && node->maps_count < NODE_MAPS_MAX)
        node->maps[node->maps_count++] = found[KEY_PROPERTIES].raw;
    if (member_is(&found[KEY_REQUIRED], JSON_ARRAY) && node->requireds_count < NODE_MAPS_MAX)
        node->requireds[node->requireds_count++] = found[KEY_REQUIRED].raw;
    if (member_is(&found[KEY_REF], JSON_STRING))
        collect_ref(work, node, member_text(&found[KEY_REF]), depth);
    if (member_is(&found[KEY_ALL_OF], JSON_ARRAY))
        collect_all_of(work, node, found[KEY_ALL_OF].raw, depth);
}

/* What a member of anyOf is good for [4]. */
enum alternative { ALTERNATIVE_NOTHING, ALTERNATIVE_NULL, ALTERNATIVE_SCHEMA };

static enum alternative look_at(const struct member *item)
{
    enum { TYPE, PROPERTIES, ITEMS, ENUM, CONST, REF, ALL_OF, ANY_OF, ONE_OF, NAMES };
    static const struct slice names[NAMES] = {
        S_INIT("type"), S_INIT("properties"), S_INIT("items"), S_INIT("enum"), S_INIT("const"),
        S_INIT("$ref"), S_INIT("allOf"),      S_INIT("anyOf"), S_INIT("oneOf")};
    struct member found[NAMES];

    if (!member_is(item, JSON_OBJECT) || !members_of(item->raw, names, NAMES, found))
        return ALTERNATIVE_NOTHING;
    if (found[CONST].is_null || text_is_nocase(member_text(&found[TYPE]), S("null")))
        return ALTERNATIVE_NULL;
    for (uint32_t i = 0; i < NAMES; i++)
        if (found[i].raw.len > 0)
            return ALTERNATIVE_SCHEMA;
    return ALTERNATIVE_NOTHING;
}

/* Settles anyOf and oneOf: null becomes nullable, a single member folds up, two or more stay. */
static void settle_any_of(struct work *work, struct node *node, uint32_t depth)
{
    for (uint32_t round = 0; round < SCHEMA_DEPTH_MAX; round++) {
        enum key key = member_is(&node->at[KEY_ANY_OF], JSON_ARRAY) ? KEY_ANY_OF : KEY_ONE_OF;
        struct slice raw = node->at[key].raw, single = {0};
        struct json_scan scan;
        struct member item;
        uint32_t count = 0;

        if (!member_is(&node->at[key], JSON_ARRAY) || !charge(work, raw.len))
            return;
        (void)open_array(&scan, raw);
        while (next_item(&scan, &item)) {
            enum alternative alternative = look_at(&item);

            node->is_nullable |= alternative == ALTERNATIVE_NULL;
            if (alternative == ALTERNATIVE_SCHEMA) {
                single = item.raw;
                count++;
            }
        }
        node->at[KEY_ANY_OF] = node->at[KEY_ONE_OF] = (struct member){0};
        if (count > 1) {
            if (node->maps_count == 0)
                node->any_of = raw;
            return;
        }
        if (count == 0)
            return;
        collect(work, node, single, depth);
    }
}

/* [5, 14] */
static void settle_type(struct node *node)
{
    const struct member *type = &node->at[KEY_TYPE];
    struct json_scan scan;
    struct member item;

    if (member_is(type, JSON_STRING)) {
        node->types |= (uint8_t)(1u << type_of(member_text(type)));
    } else if (member_is(type, JSON_ARRAY)) {
        (void)open_array(&scan, type->raw);
        while (next_item(&scan, &item))
            node->types |= (uint8_t)(1u << type_of(member_text(&item)));
    }
    node->types &= (uint8_t)~1u;
    if (node->types & 1u << TYPE_NULL)
        node->is_nullable = true;
    node->types &= (uint8_t) ~(1u << TYPE_NULL);
    if (node->any_of.len > 0)
        node->types = 0;
    if (node->maps_count > 0 && (node->types & (1u << TYPE_OBJECT)))
        node->types = 1u << TYPE_OBJECT;
    for (int i = TYPE_STRING; i < TYPES && node->type == TYPE_NONE; i++)
        if (node->types == 1u << i)
            node->type = (uint8_t)i;
    if (node->types != 0 || node->any_of.len > 0)
        return;
    if (node->maps_count > 0)
        node->type = TYPE_OBJECT;
    else if (node->at[KEY_ITEMS].raw.len > 0 || member_is(&node->at[KEY_PREFIX_ITEMS], JSON_ARRAY))
        node->type = TYPE_ARRAY;
    else if (node->at[KEY_CONST].kind != JSON_ERROR)
        node->type = (uint8_t)type_of_value(&node->at[KEY_CONST]);
    else if (member_is(&node->at[KEY_ADDITIONAL], JSON_OBJECT))
        node->type = TYPE_OBJECT;
    if (node->type == TYPE_NONE) {
        node->type = TYPE_STRING;
        node->is_any = !member_is(&node->at[KEY_ENUM], JSON_ARRAY) && !node->is_nullable;
    }
}

static struct node *read_node(struct work *work, struct slice raw, uint32_t depth,
                              const struct chain *chain)
{
    struct node *node = work->nodes[depth];

    if (node == NULL)
        node = work->nodes[depth] = arena_take(work->arena, sizeof(*node));
    if (node == NULL) {
        work->result = SCHEMA_NO_MEMORY;
        return NULL;
    }
    memset(node, 0, sizeof(*node));
    node->chain = chain;
    collect(work, node, raw, depth);
    if (work->result != SCHEMA_WRITTEN)
        return NULL;
    settle_any_of(work, node, depth);
    node->is_nullable |=
        member_is(&node->at[KEY_NULLABLE], JSON_TRUE) || node->at[KEY_CONST].is_null;
    settle_type(node);
    return work->result == SCHEMA_WRITTEN ? node : NULL;
}

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

    (void)open_array(&scan, values);
    while (next_item(&scan, &item) && !hint.is_cut) {
        if (!is_first)
            hint_put(&hint, S(", "));
        is_first = false;
        hint_put_value(&hint, item.raw);
    }
    rope_put_char(d->out, ')');
}

static bool keeps_format(const struct node *node)
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
static bool keeps_enum(const struct node *node)
{
    struct json_scan scan;
    struct member item;

    if (!member_is(&node->at[KEY_ENUM], JSON_ARRAY) || node->type != TYPE_STRING)
        return false;
    (void)open_array(&scan, node->at[KEY_ENUM].raw);
    while (next_item(&scan, &item))
        if (!member_is(&item, JSON_STRING) && !item.is_null)
            return false;
    return true;
}

static bool has_null(struct slice values)
{
    struct json_scan scan;
    struct member item;

    (void)open_array(&scan, values);
    while (next_item(&scan, &item))
        if (item.is_null)
            return true;
    return false;
}

static struct slice additional_type(const struct member *additional)
{
    static const struct slice names[] = {S_INIT("type")};
    struct member found[1];
    enum type type = TYPE_NONE;

    if (members_of(additional->raw, names, 1, found))
        type = type_of(member_text(&found[0]));
    return type == TYPE_NONE ? S("any") : type_words[type];
}

static void write_description(struct work *work, const struct node *node)
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

static void write_schema(struct work *work, struct slice raw, uint32_t depth,
                         const struct chain *chain);

static void write_enum(struct work *work, const struct node *node)
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
    (void)open_array(&scan, node->at[KEY_ENUM].raw);
    while (next_item(&scan, &item)) {
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

    (void)open_array(&scan, array);
    while (next_item(&scan, &other) && other.raw.ptr != item->raw.ptr)
        if (slice_eq(other.raw, item->raw))
            return true;
    return false;
}

/* Alternatives written as an array: of anyOf the useful ones, of a tuple the distinct ones. */
static void write_members(struct work *work, struct slice array, bool is_any_of, uint32_t depth,
                          const struct chain *chain)
{
    struct json_scan scan;
    struct member item;
    bool is_first = true;

    rope_put(work->out, S("\"anyOf\":["));
    (void)open_array(&scan, array);
    while (next_item(&scan, &item) && charge(work, 0)) {
        if (is_any_of ? look_at(&item) != ALTERNATIVE_SCHEMA : is_repeat(array, &item))
            continue;
        if (!is_first)
            rope_put_char(work->out, ',');
        is_first = false;
        write_schema(work, item.raw, depth + 1, chain);
    }
    rope_put_char(work->out, ']');
}

/* [10] */
static void write_items(struct work *work, const struct node *node, uint32_t depth)
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
    if (tuple.len > 0 && open_array(&scan, tuple)) {
        while (next_item(&scan, &item) && charge(work, tuple.len)) {
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
static bool is_taken(const struct node *node, uint32_t map, struct text key)
{
    struct json_scan scan;
    struct text other;
    struct slice value;

    for (uint32_t i = 0; i < map; i++) {
        (void)open_object(&scan, node->maps[i]);
        while (next_property(&scan, &other, &value))
            if (text_eq(other, key))
                return true;
    }
    return false;
}

static bool is_property(const struct node *node, struct text name)
{
    struct json_scan scan;
    struct text key;
    struct slice value;

    for (uint32_t i = 0; i < node->maps_count; i++) {
        (void)open_object(&scan, node->maps[i]);
        while (next_property(&scan, &key, &value))
            if (text_eq(key, name))
                return !slice_eq(value, S("false"));
    }
    return false;
}

/* Whether a required name came before, in this list or an earlier one. */
static bool is_named_before(const struct node *node, uint32_t list, const struct member *name)
{
    struct json_scan scan;
    struct member other;

    for (uint32_t i = 0; i <= list; i++) {
        (void)open_array(&scan, node->requireds[i]);
        while (next_item(&scan, &other) && other.raw.ptr != name->raw.ptr)
            if (text_eq(member_text(&other), member_text(name)))
                return true;
    }
    return false;
}

/* [11] */
static void write_properties(struct work *work, const struct node *node, uint32_t depth)
{
    struct json_scan scan;
    struct member item;
    struct text key;
    struct slice value;
    bool is_first = true;

    for (uint32_t i = 0; i < node->maps_count; i++) {
        (void)open_object(&scan, node->maps[i]);
        while (next_property(&scan, &key, &value) && charge(work, i > 0 ? node->maps[0].len : 0)) {
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
        (void)open_array(&scan, node->requireds[i]);
        while (next_item(&scan, &item) &&
               charge(work, node->requireds[i].len + node->maps[0].len)) {
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

static void write_number(struct work *work, struct slice name, const struct member *value)
{
    if (!member_is(value, JSON_NUMBER) && !member_is(value, JSON_STRING))
        return;
    rope_put(work->out, S(",\""));
    rope_put(work->out, name);
    rope_put(work->out, S("\":"));
    rope_put(work->out, value->raw);
}

/* [8]: the exclusive form, a number or (draft 4) a flag on the other, becomes an inclusive one. */
static void write_bound(struct work *work, const struct node *node, enum key inclusive,
                        enum key exclusive, int64_t step)
{
    const struct member *limit = &node->at[inclusive], *open = &node->at[exclusive];
    bool is_open = member_is(open, JSON_TRUE) && member_is(limit, JSON_NUMBER);
    struct slice name = key_names[inclusive];
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

static void write_bounds(struct work *work, const struct node *node)
{
    static const uint8_t lengths[] = {KEY_MIN_ITEMS,  KEY_MAX_ITEMS,      KEY_MIN_LENGTH,
                                      KEY_MAX_LENGTH, KEY_MIN_PROPERTIES, KEY_MAX_PROPERTIES};

    write_bound(work, node, KEY_MINIMUM, KEY_EXCLUSIVE_MINIMUM, 1);
    write_bound(work, node, KEY_MAXIMUM, KEY_EXCLUSIVE_MAXIMUM, -1);
    for (uint32_t i = 0; i < array_count(lengths); i++)
        write_number(work, key_names[lengths[i]], &node->at[lengths[i]]);
}

/* Two or more types without a form of their own: alternatives of nothing but a type [5]. */
static void write_type_union(struct work *work, const struct node *node, uint32_t depth)
{
    bool is_first = true;

    rope_put(work->out, S("\"anyOf\":["));
    for (int i = TYPE_STRING; i < TYPES; i++) {
        if (!(node->types & 1u << i))
            continue;
        rope_put(work->out, is_first ? S("{\"type\":\"") : S(",{\"type\":\""));
        is_first = false;
        rope_put(work->out, type_words[i]);
        rope_put_char(work->out, '"');
        if (i == TYPE_ARRAY)
            write_items(work, node, depth);
        rope_put_char(work->out, '}');
    }
    rope_put_char(work->out, ']');
}

static void write_kept(struct work *work, const struct node *node, enum key key)
{
    rope_put(work->out, S(",\""));
    rope_put(work->out, key_names[key]);
    rope_put(work->out, S("\":"));
    rope_borrow(work->out, node->at[key].raw);
}

static void write_node(struct work *work, struct node *node, uint32_t depth)
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
        rope_put(out, type_words[node->type]);
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

static void write_schema(struct work *work, struct slice raw, uint32_t depth,
                         const struct chain *chain)
{
    struct node *node;

    if (depth > SCHEMA_DEPTH_MAX) {
        rope_put(work->out, S("{\"type\":\"OBJECT\",\"description\":\"see deeper\"}"));
        return;
    }
    node = read_node(work, raw, depth, chain);
    if (node != NULL)
        write_node(work, node, depth);
    else
        rope_put(work->out, S("{}")); /* the result says why nobody will read it */
}

enum schema_result schema_write_gemini(struct rope *out, struct slice schema, bool is_parameters,
                                       struct arena *arena, struct schema_budget *budget)
{
    struct work *work = arena_take_zero(arena, sizeof(*work));
    struct node *node;

    if (work == NULL)
        return SCHEMA_NO_MEMORY;
    *work = (struct work){.root = schema,
                          .out = out,
                          .arena = arena,
                          .start = out->bytes,
                          .bytes_max = SCHEMA_BYTES_MAX};
    if (budget->bytes_sum + SCHEMA_BYTES_MAX > SCHEMA_SUM_BYTES_MAX)
        work->bytes_max = SCHEMA_SUM_BYTES_MAX - budget->bytes_sum;
    node = read_node(work, schema, 0, NULL);
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
            (void)open_object(&scan, node->maps[i]);
            while (next_property(&scan, &key, &value))
                has_any |= !slice_eq(value, S("false"));
        }
        if (!has_any)
            return SCHEMA_EMPTY;
    }
    write_node(work, node, 0);
    (void)charge(work, 0);
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

    if (!open_object(&scan, schema)) {
        rope_borrow(out, schema);
        return;
    }
    rope_put_char(out, '{');
    while (next_property(&scan, &key, &value)) {
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
