#include "../../../src/proto/schema.h"
#include "codec.h"
#include "r2a/limits.h"

/* JSON Schema -> Gemini's subset, each step of conversion.md 2.5.1 by its number, and the way back
 * of 2.5. */

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(schema, .init = open_kit, .fini = close_kit);

static enum schema_result result_of(struct slice schema, bool is_parameters, struct slice *out)
{
    struct rope rope = kit_rope(&kit);
    struct schema_budget budget = {0};
    enum schema_result result =
        schema_write_gemini(&rope, schema, is_parameters, &kit.arena, &budget);

    *out = (struct slice){0};
    if (result == SCHEMA_WRITTEN)
        *out = kit_take(&kit, &rope);
    rope_clear(&rope);
    return result;
}

static struct slice cut(const char *schema)
{
    struct slice out;

    cr_assert_eq(result_of(quoted(&kit, schema), false, &out), SCHEMA_WRITTEN);
    cr_assert(is_json(out), "not JSON: %.*s", (int)out.len, out.ptr);
    return out;
}

#define expect_cut(schema, wanted)                                                           \
    do {                                                                                     \
        struct slice cut_out = cut(schema);                                                  \
        cr_expect(slice_eq(cut_out, quoted(&kit, wanted)), "%s\n  became %.*s\n  not    %s", \
                  schema, (int)cut_out.len, cut_out.ptr, wanted);                            \
    } while (0)

/* --- 1: $ref --- */

Test(schema, step_01_a_reference_is_put_in_place_and_its_siblings_win)
{
    expect_cut(
        "{'$defs':{'A':{'type':'string','description':'a','minLength':2}},'$ref':'#/$defs/A',"
        "'description':'mine'}",
        "{'type':'STRING','description':'mine','minLength':2}");
    expect_cut("{'definitions':{'A/b~c':{'type':'integer'}},'type':'array',"
               "'items':{'$ref':'#/definitions/A~1b~0c'}}",
               "{'type':'ARRAY','items':{'type':'INTEGER'}}");
    expect_cut("{'properties':{'a':{'type':'boolean'},'b':{'$ref':'#/properties/a'}}}",
               "{'type':'OBJECT','properties':{'a':{'type':'BOOLEAN'},'b':{'type':'BOOLEAN'}}}");
}

Test(schema, step_01_a_recursion_ends_with_its_name)
{
    expect_cut("{'$ref':'#/$defs/Node','$defs':{'Node':{'type':'object','properties':{"
               "'next':{'$ref':'#/$defs/Node'},'v':{'type':'string'}}}}}",
               "{'type':'OBJECT','properties':{'next':{'type':'OBJECT','description':'see Node'},"
               "'v':{'type':'STRING'}}}");
    expect_cut("{'$ref':'https://example.com/s#/Foo'}",
               "{'type':'OBJECT','description':'see Foo'}");
    expect_cut("{'$ref':'#/$defs/nowhere'}", "{'type':'OBJECT','description':'see nowhere'}");
    expect_cut("{'type':'object','properties':{'me':{'$ref':'#'}}}",
               "{'type':'OBJECT','properties':{'me':{'type':'OBJECT','properties':{"
               "'me':{'type':'OBJECT','description':'see #'}}}}}");
}

Test(schema, step_01_references_that_multiply_are_refused)
{
    struct rope rope = kit_rope(&kit);
    struct slice out;

    rope_put(&rope, S("{\"$ref\":\"#/$defs/a0\",\"$defs\":{"));
    for (int i = 0; i < 24; i++) {
        char line[256];
        int len = snprintf(line, sizeof(line),
                           "\"a%d\":{\"properties\":{\"x\":{\"$ref\":\"#/$defs/a%d\"},"
                           "\"y\":{\"$ref\":\"#/$defs/a%d\"}}},",
                           i, i + 1, i + 1);

        rope_put(&rope, slice_of(line, (size_t)len));
    }
    rope_put(&rope, S("\"a24\":{\"type\":\"string\"}}}"));
    cr_expect_eq(result_of(kit_take(&kit, &rope), false, &out), SCHEMA_TOO_LARGE);
}

Test(schema, step_01_deep_nesting_ends)
{
    struct rope rope = kit_rope(&kit);
    struct slice out;

    for (uint32_t i = 0; i < 2 * SCHEMA_DEPTH_MAX; i++)
        rope_put(&rope, S("{\"type\":\"array\",\"items\":"));
    rope_put(&rope, S("{}"));
    for (uint32_t i = 0; i < 2 * SCHEMA_DEPTH_MAX; i++)
        rope_put_char(&rope, '}');
    cr_expect_eq(result_of(kit_take(&kit, &rope), false, &out), SCHEMA_WRITTEN);
    cr_expect(is_json(out));
    expect_count(&kit, out, "'ARRAY'", SCHEMA_DEPTH_MAX + 1);
}

/* --- 2 … 5: combinations --- */

Test(schema, step_02_all_of_folds_into_the_node)
{
    expect_cut("{'type':'object','description':'own','properties':{'a':{'type':'string'}},"
               "'required':['a'],'allOf':[{'description':'x','properties':{'a':{'type':'integer'},"
               "'b':{'type':'number'}},'required':['b','a']},{'title':'T'}]}",
               "{'type':'OBJECT','title':'T','description':'own','properties':{"
               "'a':{'type':'STRING'},'b':{'type':'NUMBER'}},'required':['a','b']}");
}

Test(schema, step_03_04_alternatives)
{
    expect_cut("{'oneOf':[{'type':'string'},{'type':'integer'}],'type':'string'}",
               "{'anyOf':[{'type':'STRING'},{'type':'INTEGER'}]}");
    expect_cut("{'anyOf':[{'type':'integer'},{'type':'null'}],'description':'d'}",
               "{'type':'INTEGER','description':'d','nullable':true}");
    expect_cut("{'anyOf':[{'type':'integer'},{'type':'string'},{'type':'null'},{'title':'t'}]}",
               "{'anyOf':[{'type':'INTEGER'},{'type':'STRING'}],'nullable':true}");
    expect_cut("{'anyOf':[{'anyOf':[{'type':'array','items':{'type':'string'}},{'type':'null'}]}]}",
               "{'type':'ARRAY','nullable':true,'items':{'type':'STRING'}}");
    expect_cut("{'properties':{'a':{'type':'string'}},'anyOf':[{'required':['a']},"
               "{'type':'object'},{'type':'string'}]}",
               "{'type':'OBJECT','properties':{'a':{'type':'STRING'}}}");
    expect_cut("{'$defs':{'E':{'enum':['x','y']}},'anyOf':[{'$ref':'#/$defs/E'},{'type':'null'}]}",
               "{'type':'STRING','nullable':true,'enum':['x','y']}");
}

Test(schema, step_05_type_lists)
{
    expect_cut("{'type':['string','null']}", "{'type':'STRING','nullable':true}");
    expect_cut("{'type':['string','integer','null']}",
               "{'anyOf':[{'type':'STRING'},{'type':'INTEGER'}],'nullable':true}");
    expect_cut("{'type':['array','string']}",
               "{'anyOf':[{'type':'STRING'},{'type':'ARRAY','items':{'type':'STRING'}}]}");
    expect_cut("{'type':'null'}", "{'type':'STRING','nullable':true}");
}

/* --- 6 … 9: values --- */

Test(schema, step_06_regression_32_const)
{
    expect_cut("{'const':'on'}", "{'type':'STRING','enum':['on']}");
    expect_cut("{'const':5}", "{'type':'INTEGER','description':'(must be 5)'}");
    expect_cut("{'const':true,'description':'d'}",
               "{'type':'BOOLEAN','description':'d (must be true)'}");
}

Test(schema, step_07_regression_32_enum)
{
    expect_cut("{'type':'string','enum':['a','',null,'b']}",
               "{'type':'STRING','nullable':true,'enum':['a','b']}");
    expect_cut("{'enum':['a']}", "{'type':'STRING','enum':['a']}");
    expect_cut("{'type':'integer','enum':[1,2]}",
               "{'type':'INTEGER','description':'(one of: 1, 2)'}");
    expect_cut("{'type':'string','enum':['a',1]}",
               "{'type':'STRING','description':'(one of: a, 1)'}");
}

Test(schema, step_08_regression_31_bounds)
{
    expect_cut("{'type':'integer','exclusiveMinimum':0,'exclusiveMaximum':10}",
               "{'type':'INTEGER','minimum':1,'maximum':9}");
    expect_cut("{'type':'number','exclusiveMinimum':0.5,'exclusiveMaximum':10}",
               "{'type':'NUMBER','minimum':0.5,'maximum':10}");
    expect_cut("{'type':'integer','minimum':3,'exclusiveMinimum':true,'maximum':9}",
               "{'type':'INTEGER','minimum':4,'maximum':9}");
    expect_cut("{'type':'integer','minimum':3,'exclusiveMinimum':1}",
               "{'type':'INTEGER','minimum':3}");
    expect_cut("{'type':'integer','multipleOf':5}",
               "{'type':'INTEGER','description':'(multiple of 5)'}");
}

Test(schema, step_09_formats)
{
    expect_cut("{'type':'string','format':'date-time'}", "{'type':'STRING','format':'date-time'}");
    expect_cut("{'type':'string','format':'uuid','description':'id'}",
               "{'type':'STRING','description':'id (format: uuid)'}");
    expect_cut("{'type':'number','format':'float'}", "{'type':'NUMBER','format':'float'}");
    expect_cut("{'type':'integer','format':'int64'}", "{'type':'INTEGER','format':'int64'}");
    expect_cut("{'type':'integer','format':'uint8'}",
               "{'type':'INTEGER','description':'(format: uint8)'}");
}

/* --- 10, 11: containers --- */

Test(schema, step_10_arrays)
{
    expect_cut("{'type':'array'}", "{'type':'ARRAY','items':{'type':'STRING'}}");
    expect_cut("{'type':'array','items':true}", "{'type':'ARRAY','items':{'type':'STRING'}}");
    expect_cut("{'type':'array','prefixItems':[{'type':'number'},{'type':'number'}]}",
               "{'type':'ARRAY','items':{'type':'NUMBER'}}");
    expect_cut("{'items':[{'type':'number'},{'type':'string'}],'maxItems':2,'uniqueItems':true}",
               "{'type':'ARRAY','items':{'anyOf':[{'type':'NUMBER'},{'type':'STRING'}]},"
               "'maxItems':2}");
}

Test(schema, step_11_objects)
{
    expect_cut("{'type':'object','properties':{'a':{'type':'string'},'no':false},"
               "'required':['a','a','b','no']}",
               "{'type':'OBJECT','properties':{'a':{'type':'STRING'}},'required':['a']}");
    expect_cut("{'type':'object','properties':{'a':{'type':'string'}},'required':['b']}",
               "{'type':'OBJECT','properties':{'a':{'type':'STRING'}}}");
    expect_cut("{'type':'object','additionalProperties':{'type':'integer'}}",
               "{'type':'OBJECT','description':'(keys are free; values: INTEGER)'}");
}

/* --- 12 … 16 --- */

Test(schema, step_12_13_what_stays_and_what_goes)
{
    expect_cut("{'$schema':'s','$id':'i','$comment':'c','type':'object','title':'T',"
               "'description':'D','minProperties':1,'maxProperties':2,'additionalProperties':false,"
               "'patternProperties':{},'propertyNames':{},'if':{},'then':{},'else':{},'not':{},"
               "'unevaluatedProperties':false,'dependentRequired':{},'examples':[1],"
               "'deprecated':true,'readOnly':true,'x-a':1,'propertyOrdering':['a'],"
               "'properties':{'a':{'type':'string','minLength':1,'maxLength':'2',"
               "'pattern':'^a$','default':'b','contentEncoding':'x','nullable':true}}}",
               "{'type':'OBJECT','title':'T','description':'D','properties':{'a':{"
               "'type':'STRING','description':'(pattern: ^a$) (default: b)','nullable':true,"
               "'minLength':1,'maxLength':'2'}},'propertyOrdering':['a'],'minProperties':1,"
               "'maxProperties':2}");
}

Test(schema, step_13_regression_33_properties_named_like_keywords_are_data)
{
    expect_cut(
        "{'type':'object','properties':{'format':{'type':'string'},'const':{'type':"
        "'integer'},'$ref':{'type':'string'},'type':{'type':'string'},'default':{'type':"
        "'boolean'},'$defs':{'type':'number'},'allOf':{'type':'string'}},'required':['$ref']}",
        "{'type':'OBJECT','properties':{'format':{'type':'STRING'},'const':{'type':"
        "'INTEGER'},'$ref':{'type':'STRING'},'type':{'type':'STRING'},'default':{'type':"
        "'BOOLEAN'},'$defs':{'type':'NUMBER'},'allOf':{'type':'STRING'}},"
        "'required':['$ref']}");
}

Test(schema, step_14_15_missing_types)
{
    expect_cut("{'properties':{'a':{}}}", "{'type':'OBJECT','properties':{'a':{'type':'STRING',"
                                          "'description':'(any JSON value)'}}}");
    expect_cut("{'properties':{'a':true}}", "{'type':'OBJECT','properties':{'a':{'type':'STRING',"
                                            "'description':'(any JSON value)'}}}");
    expect_cut("{'items':{'type':'Integer'}}", "{'type':'ARRAY','items':{'type':'INTEGER'}}");
    expect_cut("{'type':'wrong'}", "{'type':'STRING','description':'(any JSON value)'}");
}

Test(schema, step_16_no_parameters_at_all)
{
    struct slice out;

    cr_expect_eq(result_of(quoted(&kit, "{'type':'object','properties':{}}"), true, &out),
                 SCHEMA_EMPTY);
    cr_expect_eq(result_of(S("{}"), true, &out), SCHEMA_EMPTY);
    cr_expect_eq(result_of(quoted(&kit, "{'type':'object','properties':{'a':false}}"), true, &out),
                 SCHEMA_EMPTY);
    cr_expect_eq(result_of(quoted(&kit, "{'type':'object','properties':{'a':{'type':'string'}}}"),
                           true, &out),
                 SCHEMA_WRITTEN);
}

Test(schema, hints_are_short_and_ascii)
{
    struct rope rope = kit_rope(&kit);
    struct slice out;

    expect_cut("{'type':'integer','default':'Z\xc3\xbcrich \xf0\x9f\x98\x80 \\'q\\''}",
               "{'type':'INTEGER','description':'(default: Z\\u00fcrich \\ud83d\\ude00 \\'q\\')'}");
    rope_put(&rope, S("{\"type\":\"string\",\"pattern\":\""));
    for (int i = 0; i < 1000; i++)
        rope_put(&rope, S("\xc3\xbc"));
    rope_put(&rope, S("\"}"));
    cr_assert_eq(result_of(kit_take(&kit, &rope), false, &out), SCHEMA_WRITTEN);
    cr_expect(is_json(out));
    cr_expect_lt(out.len, 700u, "%zu", out.len);
}

Test(schema, the_sum_of_a_request_is_bounded)
{
    struct schema_budget budget = {.bytes_sum = SCHEMA_SUM_BYTES_MAX - 10};
    struct rope rope = kit_rope(&kit);

    cr_expect_eq(schema_write_gemini(&rope,
                                     quoted(&kit, "{'properties':{'abc':{'type':'string'}}}"),
                                     false, &kit.arena, &budget),
                 SCHEMA_TOO_LARGE);
    rope_clear(&rope);
}

/* --- the way back (2.5) --- */

static struct slice lowered(const char *schema)
{
    return schema_from_gemini(quoted(&kit, schema), &kit.arena, kit.mem);
}

#define expect_lowered(schema, wanted)                                              \
    do {                                                                            \
        struct slice lower_out = lowered(schema);                                   \
        cr_expect(slice_eq(lower_out, quoted(&kit, wanted)), "became %.*s, not %s", \
                  (int)lower_out.len, lower_out.ptr, wanted);                       \
    } while (0)

Test(schema, geminis_own_form_becomes_json_schema)
{
    expect_lowered("{'type':'OBJECT','properties':{'type':{'type':'STRING','nullable':true},"
                   "'n':{'type':'ARRAY','minItems':'1','items':{'type':'INTEGER'}},"
                   "'propertyOrdering':{'type':'BOOLEAN'}},'propertyOrdering':['n']}",
                   "{'type':'object','properties':{'type':{'type':['string','null']},"
                   "'n':{'type':'array','minItems':1,'items':{'type':'integer'}},"
                   "'propertyOrdering':{'type':'boolean'}}}");
    expect_lowered("{'any_of':[{'type':1},{'type':'NUMBER'}],'nullable':true}",
                   "{'anyOf':[{'type':'string'},{'type':'number'},{'type':'null'}]}");
    expect_lowered("{'type':['STRING','NULL'],'nullable':false}", "{'type':['string','null']}");
}

Test(schema, a_plain_json_schema_is_not_copied)
{
    struct slice schema = quoted(&kit, "{'type': 'object', 'properties': {'A': {'enum': ['X']}},"
                                       " 'default': {'type': 'OBJECT'}}");
    struct slice out = schema_from_gemini(schema, &kit.arena, kit.mem);

    cr_expect_eq(out.ptr, schema.ptr);
    cr_expect_eq(out.len, schema.len);
}

Test(schema, a_root_can_lose_its_schema_member)
{
    struct rope rope = kit_rope(&kit);
    struct slice out;

    schema_write_bare(&rope, quoted(&kit, "{'$schema':'s','type':'object','properties':{"
                                          "'$schema':{'type':'string'}}}"));
    out = kit_take(&kit, &rope);
    cr_expect(slice_eq(out, quoted(&kit, "{'type':'object','properties':{'$schema':{'type':"
                                         "'string'}}}")),
              "%.*s", (int)out.len, out.ptr);
}
