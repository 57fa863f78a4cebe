#include "schema_node.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Reading a JSON Schema node by node: references, combinations, types.
 *
 * A node is read as layers: the object itself, then what its $ref and allOf stand for, then a
 * single anyOf member that folds up. Of each keyword the first layer that has it counts, properties
 * and required are united [1, 2, 4]. There is no tree: a node's keywords are spans, kept in one
 * record a level. */

const struct slice schema_key_names[KEYS] = {
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

const struct slice schema_type_words[TYPES] = {
    [TYPE_STRING] = S_INIT("STRING"),   [TYPE_NUMBER] = S_INIT("NUMBER"),
    [TYPE_INTEGER] = S_INIT("INTEGER"), [TYPE_BOOLEAN] = S_INIT("BOOLEAN"),
    [TYPE_ARRAY] = S_INIT("ARRAY"),     [TYPE_OBJECT] = S_INIT("OBJECT"),
    [TYPE_NULL] = S_INIT("NULL"),
};

/* Looking at more than this means that references multiply. */
#define SCHEMA_WORK_BYTES_MAX 67108864u

bool schema_charge(struct schema_work *work, size_t bytes)
{
    work->seen += bytes + 16;
    if (work->result == SCHEMA_WRITTEN &&
        (work->seen > SCHEMA_WORK_BYTES_MAX || work->out->bytes - work->start > work->bytes_max))
        work->result = SCHEMA_TOO_LARGE;
    return work->result == SCHEMA_WRITTEN;
}

/* --- small readers --- */

enum schema_type schema_type_of(struct text word)
{
    for (int i = TYPE_STRING; i < TYPES; i++)
        if (text_is_nocase(word, schema_type_words[i]))
            return (enum schema_type)i;
    return TYPE_NONE;
}

static enum schema_type type_of_value(const struct member *value)
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
bool schema_open_array(struct json_scan *scan, struct slice raw)
{
    json_open(scan, raw);
    return json_next(scan) == JSON_ARRAY;
}

bool schema_next_item(struct json_scan *scan, struct member *item)
{
    enum json_token token = json_next(scan);

    *item = (struct member){.kind = (uint8_t)token};
    if (token == JSON_ARRAY_END || token == JSON_ERROR)
        return false;
    item->is_null = token == JSON_NULL;
    return json_skip_after(scan, token, &item->raw);
}

bool schema_open_object(struct json_scan *scan, struct slice raw)
{
    json_open(scan, raw);
    return json_next(scan) == JSON_OBJECT;
}

bool schema_next_property(struct json_scan *scan, struct text *key, struct slice *value)
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

    if (schema_open_object(&scan, *at)) {
        while (schema_next_property(&scan, &name, &value)) {
            if (text_is(name, key)) {
                *at = value;
                return true;
            }
        }
        return false;
    }
    if (!schema_open_array(&scan, *at) || !str_parse_u64(key, &index))
        return false;
    while (schema_next_item(&scan, &item)) {
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
static bool resolve(struct schema_work *work, struct text ref, struct slice *target,
                    struct text *name)
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
        if (!schema_charge(work, target->len))
            return false;
        if (!step_into(target, slice_of(buf, unescape_segment(buf, segment))))
            return false;
    }
    return true;
}

/* --- reading a node --- */

static void collect(struct schema_work *work, struct schema_node *node, struct slice raw,
                    uint32_t depth);

static void collect_ref(struct schema_work *work, struct schema_node *node, struct text ref,
                        uint32_t depth)
{
    struct slice target;
    struct text name;
    bool is_good = resolve(work, ref, &target, &name);

    for (const struct schema_chain *link = node->chain; is_good && link != NULL; link = link->up)
        is_good = link->target != target.ptr;
    if (!is_good || depth >= SCHEMA_DEPTH_MAX || node->links_count == NODE_REFS_MAX) {
        node->see = name;
        return;
    }
    node->links[node->links_count] = (struct schema_chain){.up = node->chain, .target = target.ptr};
    node->chain = &node->links[node->links_count++];
    collect(work, node, target, depth + 1);
}

static void collect_all_of(struct schema_work *work, struct schema_node *node, struct slice raw,
                           uint32_t depth)
{
    struct json_scan scan;
    struct member item;

    if (!schema_open_array(&scan, raw))
        return;
    while (work->result == SCHEMA_WRITTEN && schema_next_item(&scan, &item))
        if (member_is(&item, JSON_OBJECT))
            collect(work, node, item.raw, depth + 1);
}

/* Adds a layer: what the node has already wins. */
static void collect(struct schema_work *work, struct schema_node *node, struct slice raw,
                    uint32_t depth)
{
    struct member found[KEYS];

    if (!schema_charge(work, raw.len) || depth > SCHEMA_DEPTH_MAX ||
        !members_of(raw, schema_key_names, KEYS, found))
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

enum schema_alternative schema_look_at(const struct member *item)
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
static void settle_any_of(struct schema_work *work, struct schema_node *node, uint32_t depth)
{
    for (uint32_t round = 0; round < SCHEMA_DEPTH_MAX; round++) {
        enum schema_key key =
            member_is(&node->at[KEY_ANY_OF], JSON_ARRAY) ? KEY_ANY_OF : KEY_ONE_OF;
        struct slice raw = node->at[key].raw, single = {0};
        struct json_scan scan;
        struct member item;
        uint32_t count = 0;

        if (!member_is(&node->at[key], JSON_ARRAY) || !schema_charge(work, raw.len))
            return;
        (void)schema_open_array(&scan, raw);
        while (schema_next_item(&scan, &item)) {
            enum schema_alternative alternative = schema_look_at(&item);

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
static void settle_type(struct schema_node *node)
{
    const struct member *type = &node->at[KEY_TYPE];
    struct json_scan scan;
    struct member item;

    if (member_is(type, JSON_STRING)) {
        node->types |= (uint8_t)(1u << schema_type_of(member_text(type)));
    } else if (member_is(type, JSON_ARRAY)) {
        (void)schema_open_array(&scan, type->raw);
        while (schema_next_item(&scan, &item))
            node->types |= (uint8_t)(1u << schema_type_of(member_text(&item)));
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

struct schema_node *schema_read_node(struct schema_work *work, struct slice raw, uint32_t depth,
                                     const struct schema_chain *chain)
{
    struct schema_node *node = work->nodes[depth];

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
