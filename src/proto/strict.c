#include "strict.h"

#include "member.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"
#include "r2a/limits.h"

/* A walk over a schema by keyword, so that a property called "properties" is data. */

static bool is_strict(struct slice schema, uint32_t depth);

/* Every value of an object of schemas. */
static bool all_members(const struct member *object, uint32_t depth)
{
    struct json_scan scan;
    struct slice raw;

    json_open(&scan, object->raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_KEY) {
        if (!json_skip(&scan, &raw) || !is_strict(raw, depth))
            return false;
    }
    return scan.err == R2A_OK;
}

static bool all_items(const struct member *array, uint32_t depth)
{
    struct json_scan scan;
    enum json_token token;
    struct slice raw;

    json_open(&scan, array->raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END)
        if (token == JSON_ERROR || !json_skip_after(&scan, token, &raw) || !is_strict(raw, depth))
            return false;
    return true;
}

/* Whether `required` names every key of `properties`. Each is looked for among all: beyond so many
 * the schema counts as not strict, which is always right to say. */
#define PROPERTIES_MAX 512u
static bool requires_all(const struct member *properties, const struct member *required)
{
    struct json_scan keys, names;
    uint32_t count = 0;

    json_open(&keys, properties->raw);
    (void)json_next(&keys);
    while (json_next(&keys) == JSON_KEY) {
        struct text key = text_escaped(keys.text);
        bool is_found = false;

        if (!member_is(required, JSON_ARRAY) || ++count > PROPERTIES_MAX)
            return false;
        json_open(&names, required->raw);
        (void)json_next(&names);
        for (uint32_t i = 0; !is_found && i < PROPERTIES_MAX && json_next(&names) == JSON_STRING;
             i++)
            is_found = text_eq(key, text_escaped(names.text));
        if (!is_found || !json_skip(&keys, NULL))
            return false;
    }
    return keys.err == R2A_OK;
}

static bool is_strict(struct slice schema, uint32_t depth)
{
    enum { TYPE, PROPERTIES, REQUIRED, ADDITIONAL, ITEMS, ANY_OF, DEFS, DEFINITIONS, ALL_OF };
    static const struct slice names[] = {
        S_INIT("type"),  S_INIT("properties"), S_INIT("required"), S_INIT("additionalProperties"),
        S_INIT("items"), S_INIT("anyOf"),      S_INIT("$defs"),    S_INIT("definitions"),
        S_INIT("allOf"),
    };
    struct member members[array_count(names)];
    const struct member *properties = &members[PROPERTIES];

    if (depth == 0 || !members_of(schema, names, array_count(names), members))
        return false;
    if (member_is(&members[ALL_OF], JSON_ARRAY))
        return false;
    if (member_is(properties, JSON_OBJECT) || text_is(member_text(&members[TYPE]), S("object"))) {
        if (!member_is(&members[ADDITIONAL], JSON_FALSE))
            return false;
        if (member_is(properties, JSON_OBJECT) &&
            (!requires_all(properties, &members[REQUIRED]) || !all_members(properties, depth - 1)))
            return false;
    }
    for (uint32_t i = DEFS; i <= DEFINITIONS; i++)
        if (member_is(&members[i], JSON_OBJECT) && !all_members(&members[i], depth - 1))
            return false;
    if (member_is(&members[ITEMS], JSON_OBJECT) && !is_strict(members[ITEMS].raw, depth - 1))
        return false;
    return !member_is(&members[ANY_OF], JSON_ARRAY) || all_items(&members[ANY_OF], depth - 1);
}

bool schema_is_strict(struct slice schema)
{
    return schema.len <= SCHEMA_BYTES_MAX && is_strict(schema, SCHEMA_DEPTH_MAX);
}
