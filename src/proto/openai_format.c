#include "openai_format.h"

#include "common.h"
#include "r2a/json/text.h"

/* One reader for both places, so that they refuse alike; which they are is for the dialects. */

enum { NAME, DESCRIPTION, SCHEMA, STRICT, TYPE, JSON_SCHEMA, MEMBERS };
static const struct slice names[MEMBERS] = {
    S_INIT("name"),   S_INIT("description"), S_INIT("schema"),
    S_INIT("strict"), S_INIT("type"),        S_INIT("json_schema"),
};

/* `members` are those of the format itself. A schema in an object of its own may be left out. */
static enum r2a_err put_schema(struct reading *r, const struct openai_format_place *place,
                               struct member *members)
{
    bool is_nested = place->schema_prefix != NULL;

    if (is_nested) {
        const struct member *schema = &members[JSON_SCHEMA];

        if (!member_is(schema, JSON_OBJECT))
            return member_is_present(schema)
                       ? read_refuse_type(r, names[JSON_SCHEMA], schema->kind, S("an object"))
                       : read_refuse_missing(r, names[JSON_SCHEMA]);
        read_enter(r, names[JSON_SCHEMA]);
        READ_TRY(read_object(r, schema->raw, names, TYPE, members, place->schema_prefix));
    } else if (!member_is_present(&members[SCHEMA])) {
        return read_refuse_missing(r, names[SCHEMA]);
    }
    READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, (struct text){0}, IR_FORMAT_SCHEMA));
    READ_TRY(
        read_register(r, names[NAME], &members[NAME], IR_PARAM_FORMAT_NAME, JSON_STRING, false));
    READ_TRY(read_register(r, names[SCHEMA], &members[SCHEMA], IR_PARAM_FORMAT_SCHEMA, JSON_OBJECT,
                           false));
    READ_TRY(read_register(r, names[STRICT], &members[STRICT], IR_PARAM_FORMAT_STRICT, JSON_TRUE,
                           false));
    READ_TRY(read_register(r, names[DESCRIPTION], &members[DESCRIPTION],
                           IR_PARAM_FORMAT_DESCRIPTION, JSON_STRING, false));
    if (is_nested)
        read_leave(r);
    return R2A_OK;
}

enum r2a_err openai_format_read(struct reading *r, const struct openai_format_place *place,
                                const struct member *format)
{
    uint32_t first = place->schema_prefix != NULL ? TYPE : NAME;
    uint32_t end = place->schema_prefix != NULL ? MEMBERS : JSON_SCHEMA;
    struct member members[MEMBERS];
    struct text type;

    if (!member_is_present(format))
        return R2A_OK;
    read_enter(r, place->name);
    if (!member_is(format, JSON_OBJECT))
        return read_refuse_type(r, (struct slice){0}, format->kind, S("an object"));
    READ_TRY(
        read_object(r, format->raw, names + first, end - first, members + first, place->prefix));
    if (!member_is(&members[TYPE], JSON_STRING))
        return member_is_present(&members[TYPE])
                   ? read_refuse_type(r, names[TYPE], members[TYPE].kind, S("a string"))
                   : read_refuse_missing(r, names[TYPE]);
    type = member_text(&members[TYPE]);
    if (text_is(type, S("text")))
        READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, (struct text){0}, IR_FORMAT_TEXT));
    else if (text_is(type, S("json_object")))
        READ_PUT(put_param(r->tape, IR_PARAM_FORMAT, (struct text){0}, IR_FORMAT_JSON));
    else if (text_is(type, S("json_schema")))
        READ_TRY(put_schema(r, place, members));
    else
        return read_refuse_value(r, names[TYPE],
                                 S(": expected 'text', 'json_object' or 'json_schema'."));
    read_leave(r);
    return R2A_OK;
}
