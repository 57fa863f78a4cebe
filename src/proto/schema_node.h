#ifndef R2A_PROTO_SCHEMA_NODE_H
#define R2A_PROTO_SCHEMA_NODE_H

#include "member.h"
#include "r2a/limits.h"
#include "schema.h"

/* One node of a JSON Schema, read as layers (schema_node.c), to be written as Gemini's Schema
 * (schema.c). The numbers in brackets are the steps of conversion.md 2.5.1. */

enum schema_key {
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

extern const struct slice schema_key_names[KEYS];

enum schema_type {
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

extern const struct slice schema_type_words[TYPES];

/* The $refs that lead to here: meeting one of them again is a recursion. */
struct schema_chain {
    const struct schema_chain *up;
    const char *target; /* first byte of what it points to */
};

#define NODE_MAPS_MAX 16u /* property maps, and required lists, united in one node */
#define NODE_REFS_MAX 16u

struct schema_node {
    struct member at[KEYS]; /* the first layer's word */
    struct slice maps[NODE_MAPS_MAX], requireds[NODE_MAPS_MAX];
    struct schema_chain links[NODE_REFS_MAX];
    const struct schema_chain *chain;
    uint32_t maps_count, requireds_count, links_count;
    struct text see; /* a $ref that cannot be followed: its name */
    bool is_nullable, is_any;
    uint8_t types; /* bit per enum schema_type */
    uint8_t type;
    struct slice any_of; /* array of two or more members that stay */
};

struct schema_work {
    struct slice root;
    struct rope *out;
    struct arena *arena;
    size_t start; /* out->bytes before the schema */
    size_t bytes_max;
    size_t seen; /* bytes of schema looked at: what $refs multiply */
    enum schema_result result;
    struct schema_node *nodes[SCHEMA_DEPTH_MAX + 2];
};

/* What a member of anyOf is good for [4]. */
enum schema_alternative { ALTERNATIVE_NOTHING, ALTERNATIVE_NULL, ALTERNATIVE_SCHEMA };

enum schema_alternative schema_look_at(const struct member *item);

/* Adds to what was looked at; false once a bound was passed (work->result says so). */
bool schema_charge(struct schema_work *work, size_t bytes);
/* The node at `raw`, in the record of its depth: valid until the next of that depth. NULL: no
 * memory, or too large. */
struct schema_node *schema_read_node(struct schema_work *work, struct slice raw, uint32_t depth,
                                     const struct schema_chain *chain);

/* Elements of an array, members of an object, kept as spans. */
bool schema_open_array(struct json_scan *scan, struct slice raw);
bool schema_next_item(struct json_scan *scan, struct member *item);
bool schema_open_object(struct json_scan *scan, struct slice raw);
bool schema_next_property(struct json_scan *scan, struct text *key, struct slice *value);

enum schema_type schema_type_of(struct text word);

#endif
