#include "names.h"

#include "builtin.h"
#include "r2a/core/hash.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* Tool names on the wire (conversion.md 2.5). A name that fits is left alone, so most requests end
 * here with a table that changes nothing; brief->names lists only what the answer must undo. */

static size_t limit_of(enum names_form form)
{
    return form == NAMES_OR || form == NAMES_AM ? 128 : 64;
}

static bool is_legal_char(char c, enum names_form form)
{
    if (char_is_alnum(c) || c == '_' || c == '-')
        return true;
    return form == NAMES_GG && (c == '.' || c == ':');
}

static bool is_legal_start(char c, enum names_form form)
{
    return form == NAMES_GG ? char_is_alpha(c) || c == '_' : is_legal_char(c, form);
}

static bool is_legal(struct slice name, enum names_form form)
{
    if (name.len == 0 || name.len > limit_of(form) || !is_legal_start(name.ptr[0], form))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!is_legal_char(name.ptr[i], form))
            return false;
    return true;
}

/* `NS__NAME`, or the name alone where there is no namespace or it is "functions". */
static bool flat_name(struct text name, struct text space, struct arena *arena, struct slice *flat)
{
    struct slice plain_name, plain_space;
    char *to;

    if (!text_to_plain(name, arena, &plain_name))
        return false;
    *flat = plain_name;
    if (space.len == 0 || text_is(space, S("functions")))
        return true;
    if (!text_to_plain(space, arena, &plain_space))
        return false;
    to = arena_take(arena, plain_space.len + 2 + plain_name.len);
    if (to == NULL)
        return false;
    memcpy(to, plain_space.ptr, plain_space.len);
    memcpy(to + plain_space.len, "__", 2);
    if (plain_name.len > 0)
        memcpy(to + plain_space.len + 2, plain_name.ptr, plain_name.len);
    *flat = slice_of(to, plain_space.len + 2 + plain_name.len);
    return true;
}

/* Illegal bytes become _, the rest is cut, and eight hex digits of the original tell it from its
 * like. `original` is what is hashed: it differs from `name` when a collision is resolved. */
static bool suffixed(struct slice name, uint64_t hash, enum names_form form, struct arena *arena,
                     struct slice *wire)
{
    size_t keep = limit_of(form) - 9, len = 0;
    char *to = arena_take(arena, NAME_BYTES_MAX + 1);
    unsigned char low[4];

    if (to == NULL)
        return false;
    if (name.len == 0 || (!is_legal_start(name.ptr[0], form) && is_legal_char(name.ptr[0], form)))
        to[len++] = '_';
    for (size_t i = 0; i < name.len && len < keep; i++)
        to[len++] = is_legal_char(name.ptr[i], form) ? name.ptr[i] : '_';
    to[len++] = '_';
    for (uint32_t i = 0; i < 4; i++)
        low[i] = (unsigned char)(hash >> (24 - 8 * i));
    str_hex(to + len, slice_of((const char *)low, 4));
    *wire = slice_of(to, len + 8);
    return true;
}

bool name_fit(struct text name, struct text space, enum names_form form, struct arena *arena,
              struct slice *wire)
{
    struct slice flat;

    if (!flat_name(name, space, arena, &flat))
        return false;
    *wire = flat;
    return is_legal(flat, form) || suffixed(flat, fnv1a_64(flat), form, arena, wire);
}

/* --- the table --- */

static uint64_t hash_of(const struct names *names, struct text client, struct text space)
{
    return text_hash_seeded(client, text_hash_seeded(space, names->seed));
}

static bool is_tool(const struct names_tool *tool, struct text client, struct text space)
{
    return text_eq(tool->client, client) && text_eq(tool->space, space);
}

static uint32_t slot_of(const struct names *names, struct text client, struct text space)
{
    uint32_t slot = (uint32_t)hash_of(names, client, space) & names->slots_mask;

    while (names->slots[slot] != 0 &&
           !is_tool(&names->tools[names->slots[slot] - 1], client, space))
        slot = (slot + 1) & names->slots_mask;
    return slot;
}

struct names_tool *names_find(const struct names *names, struct text client, struct text space)
{
    uint32_t found;

    if (names->tools_count == 0)
        return NULL;
    found = names->slots[slot_of(names, client, space)];
    return found == 0 ? NULL : &names->tools[found - 1];
}

struct slice names_wire(const struct names *names, struct text client, struct text space)
{
    const struct names_tool *tool = names_find(names, client, space);
    struct slice wire = {0};

    if (tool != NULL)
        return tool->wire;
    if (!name_fit(client, space, (enum names_form)names->rules.form, names->arena, &wire))
        return (struct slice){0};
    return wire;
}

uint32_t names_count_functions(const struct names *names)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < names->tools_count; i++)
        count += !names->tools[i].is_dropped && names->tools[i].kind != IR_TOOL_SERVER;
    return count;
}

static bool take_tables(struct names *names, uint32_t count)
{
    uint32_t slots = 16;

    while (slots < count * 2)
        slots *= 2;
    names->tools = arena_take_zero(names->arena, count * sizeof(*names->tools));
    names->slots = arena_take_zero(names->arena, slots * sizeof(*names->slots));
    names->slots_mask = slots - 1;
    return names->tools != NULL && names->slots != NULL;
}

static bool read_tool(struct names *names, const struct ir_tape *tape, uint32_t index,
                      struct names_tool *tool)
{
    const struct ir_event *event = &tape->events[index];

    *tool = (struct names_tool){.event = index, .kind = event->what, .client = event->u.open.name};
    for (index++; index < tape->count && tape->events[index].kind != IR_TOOL_END; index++) {
        event = &tape->events[index];
        if (event->kind == IR_FIELD && event->what == IR_FIELD_NAMESPACE)
            tool->space = event->u.field.value;
    }
    if (tool->kind == IR_TOOL_SERVER)
        return text_to_plain(tape->events[tool->event].u.open.id, names->arena, &tool->wire);
    if (tape->events[tool->event].u.open.id.len > 0)
        tool->builtin = (uint8_t)builtin_of_responses(tape->events[tool->event].u.open.id);
    tool->is_wrapped = tool->kind == IR_TOOL_CUSTOM && names->rules.wraps_custom;
    if (!names->rules.flattens_spaces)
        return name_fit(tool->client, (struct text){0}, (enum names_form)names->rules.form,
                        names->arena, &tool->wire);
    return name_fit(tool->client, tool->space, (enum names_form)names->rules.form, names->arena,
                    &tool->wire);
}

/* Two tools whose wire names met (a namespace flattened into another tool's name, two names cut
 * alike): the later one gets a suffix of its namespace and name. */
static bool part_equals(struct names *names)
{
    for (uint32_t i = 1; i < names->tools_count; i++) {
        struct names_tool *tool = &names->tools[i];

        if (tool->kind == IR_TOOL_SERVER || tool->is_dropped)
            continue;
        for (uint32_t j = 0; j < i; j++) {
            const struct names_tool *other = &names->tools[j];
            uint64_t hash;

            if (other->kind == IR_TOOL_SERVER || other->is_dropped ||
                !slice_eq(other->wire, tool->wire))
                continue;
            if (!names->rules.flattens_spaces && !text_eq(other->space, tool->space))
                continue; /* told apart by their namespaces */
            hash = text_hash(tool->client) ^ text_hash(tool->space) * 3 ^ 0x5bd1e995u;
            if (!suffixed(tool->wire, hash, (enum names_form)names->rules.form, names->arena,
                          &tool->wire))
                return false;
        }
    }
    return true;
}

static bool differs(const struct names *names, const struct names_tool *tool)
{
    return tool->is_wrapped || tool->builtin != BUILTIN_NONE ||
           (tool->space.len > 0 && names->rules.flattens_spaces) ||
           !text_is(tool->client, tool->wire);
}

static bool write_brief(struct names *names, struct brief *brief)
{
    uint32_t count = 0;

    brief->names = NULL;
    brief->names_count = 0;
    for (uint32_t i = 0; i < names->tools_count; i++)
        if (names->tools[i].kind != IR_TOOL_SERVER && !names->tools[i].is_dropped)
            count += differs(names, &names->tools[i]);
    if (count == 0)
        return true;
    brief->names = arena_take_zero(brief->arena, count * sizeof(*brief->names));
    if (brief->names == NULL)
        return false;
    for (uint32_t i = 0; i < names->tools_count; i++) {
        const struct names_tool *tool = &names->tools[i];

        if (tool->kind != IR_TOOL_SERVER && !tool->is_dropped && differs(names, tool))
            brief->names[brief->names_count++] = (struct brief_name){.client = tool->client,
                                                                     .wire = tool->wire,
                                                                     .space = tool->space,
                                                                     .is_custom = tool->is_wrapped,
                                                                     .builtin = tool->builtin};
    }
    return true;
}

enum r2a_err names_build(struct names *names, const struct ir_tape *tape, struct names_rules rules,
                         struct brief *brief, struct fault *fault)
{
    uint32_t count = 0;

    *names =
        (struct names){.rules = rules, .arena = brief_scratch(brief), .seed = brief->random[0]};
    for (uint32_t i = 0; i < tape->count && tape->events[i].kind != IR_TURN; i++)
        count += tape->events[i].kind == IR_TOOL;
    brief->names = NULL;
    brief->names_count = 0;
    if (count == 0)
        return R2A_OK;
    if (count > TOOLS_MAX)
        return fault_param(fault, S("tools"), S("too many tools (1024 at most)"));
    if (!take_tables(names, count))
        return R2A_ERR_NO_MEMORY;
    for (uint32_t i = 0; i < tape->count && tape->events[i].kind != IR_TURN; i++) {
        struct names_tool *tool = &names->tools[names->tools_count];
        uint32_t slot;

        if (tape->events[i].kind != IR_TOOL)
            continue;
        if (!read_tool(names, tape, i, tool))
            return R2A_ERR_NO_MEMORY;
        names->tools_count++;
        if (tool->kind == IR_TOOL_SERVER)
            continue;
        if (tool->client.len == 0)
            return fault_param(fault, S("tools"), S("a tool has no name"));
        slot = slot_of(names, tool->client, tool->space);
        if (names->slots[slot] != 0)
            names->tools[names->slots[slot] - 1].is_dropped = true;
        names->slots[slot] = names->tools_count;
    }
    if (!part_equals(names) || !write_brief(names, brief))
        return R2A_ERR_NO_MEMORY;
    return R2A_OK;
}
