#include <criterion/criterion.h>

#include "../../../src/gateway/relay.h"
#include "r2a/proto/list.h"

/* The edits of a relayed body (conversion.md 6.2): what must change changes, all else keeps its
 * bytes. */

static struct mem_budget budget;

static char *edit(const struct proto *proto, const char *body, const struct relay_edits *edits)
{
    static char out[8192];
    struct mem *mem = mem_open(&budget, 1u << 20);
    struct rope rope = {.mem = mem};
    struct relay_peek peek;
    struct json_memo memo = {0};
    struct fault fault;

    cr_assert_eq(relay_peek(proto, slice_from_z(body), &peek, &memo, &fault), R2A_OK);
    relay_write(proto, slice_from_z(body), &peek, edits, &rope);
    cr_assert_eq(rope.err, R2A_OK);
    cr_assert_lt(rope.bytes, sizeof(out));
    rope_copy_out(&rope, out);
    out[rope.bytes] = 0;
    rope_clear(&rope);
    mem_close(mem);
    return out;
}

static struct fault refused(const struct proto *proto, const char *body)
{
    struct relay_peek peek;
    struct json_memo memo = {0};
    struct fault fault = {0};

    cr_assert_neq(relay_peek(proto, slice_from_z(body), &peek, &memo, &fault), R2A_OK, "%s", body);
    cr_assert_eq(fault.kind, FAULT_INVALID);
    return fault;
}

#define OC &proto_openai_chat
#define AM &proto_anthropic

Test(relay, keeps_every_byte_without_edits)
{
    const char *body =
        " { \"zzz\" : [1.0, 1e400] ,\"model\":\"m\", \"messages\":[ ] , \"x\":\"\\u003c\" }\n";
    struct relay_edits none = {0};

    cr_assert_str_eq(edit(OC, body, &none), body);
    cr_assert_str_eq(edit(AM, body, &none), body);
}

Test(relay, replaces_the_model_where_it_stands)
{
    struct relay_edits edits = {.model = S("up\"x")};

    cr_assert_str_eq(edit(OC, "{\"a\":1, \"model\" : \"old\" ,\"messages\":[]}", &edits),
                     "{\"a\":1, \"model\" : \"up\\\"x\" ,\"messages\":[]}");
    cr_assert_str_eq(edit(OC, "{\"messages\":[],\"mod\\u0065l\":\"old\"}", &edits),
                     "{\"messages\":[],\"mod\\u0065l\":\"up\\\"x\"}");
    cr_assert_str_eq(edit(OC, "{\"model\":null,\"messages\":[]}", &edits),
                     "{\"model\":\"up\\\"x\",\"messages\":[]}");
    cr_assert_str_eq(edit(OC, "{\"messages\":[]}", &edits),
                     "{\"model\":\"up\\\"x\",\"messages\":[]}");
    cr_assert_str_eq(edit(OC, "{ }", &edits), "{\"model\":\"up\\\"x\" }");
}

Test(relay, leaves_a_model_that_is_right_already)
{
    struct relay_edits edits = {.model = S("m/x")};

    cr_assert_str_eq(edit(OC, "{\"model\":\"m\\/x\",\"messages\":[]}", &edits),
                     "{\"model\":\"m\\/x\",\"messages\":[]}");
}

Test(relay, asks_for_usage_once)
{
    struct relay_edits edits = {.want_usage = true};

    cr_assert_str_eq(edit(OC, "{\"stream\":true}", &edits),
                     "{\"stream_options\":{\"include_usage\":true},\"stream\":true}");
    cr_assert_str_eq(edit(OC, "{\"stream\":true,\"stream_options\":null}", &edits),
                     "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    cr_assert_str_eq(edit(OC, "{\"stream\":true,\"stream_options\":{}}", &edits),
                     "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    cr_assert_str_eq(edit(OC, "{\"stream\":true,\"stream_options\":{\"x\":1}}", &edits),
                     "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1}}");
    cr_assert_str_eq(
        edit(OC, "{\"stream\":true,\"stream_options\":{\"include_usage\":false}}", &edits),
        "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    cr_assert_str_eq(
        edit(OC, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", &edits),
        "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

Test(relay, appends_system_text_to_anthropic_system)
{
    struct relay_edits edits = {.system_text = S("BE\nNICE"), .system_mode = SYSTEM_APPEND};

    cr_assert_str_eq(edit(AM, "{\"messages\":[]}", &edits),
                     "{\"system\":\"BE\\nNICE\",\"messages\":[]}");
    cr_assert_str_eq(edit(AM, "{\"system\":\"a\",\"m\":1}", &edits),
                     "{\"system\":\"a\\n\\nBE\\nNICE\",\"m\":1}");
    cr_assert_str_eq(edit(AM, "{\"system\":\"\",\"m\":1}", &edits),
                     "{\"system\":\"BE\\nNICE\",\"m\":1}");
    cr_assert_str_eq(edit(AM, "{\"system\":null}", &edits), "{\"system\":\"BE\\nNICE\"}");
    cr_assert_str_eq(edit(AM, "{\"system\":[ ]}", &edits),
                     "{\"system\":[ {\"type\":\"text\",\"text\":\"BE\\nNICE\"}]}");
    cr_assert_str_eq(edit(AM, "{\"system\":[{\"type\":\"text\",\"text\":\"a\"}]}", &edits),
                     "{\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
                     "\"BE\\nNICE\"}]}");
}

Test(relay, overrides_anthropic_system)
{
    struct relay_edits edits = {.system_text = S("X"), .system_mode = SYSTEM_OVERRIDE};

    cr_assert_str_eq(edit(AM, "{\"system\":[{\"type\":\"text\",\"text\":\"a\"}],\"k\":1}", &edits),
                     "{\"system\":\"X\",\"k\":1}");
}

Test(relay, puts_a_system_message_behind_the_leading_ones)
{
    struct relay_edits edits = {.system_text = S("X"), .system_mode = SYSTEM_APPEND};

    cr_assert_str_eq(
        edit(OC, "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}, {\"role\":\"user\"}]}",
             &edits),
        "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}, "
        "{\"role\":\"system\",\"content\":\"X\"},{\"role\":\"user\"}]}");
    cr_assert_str_eq(
        edit(OC, "{\"messages\":[{\"content\":\"a\",\"role\":\"developer\"}]}", &edits),
        "{\"messages\":[{\"content\":\"a\",\"role\":\"developer\"},{\"role\":\"system\","
        "\"content\":\"X\"}]}");
    cr_assert_str_eq(edit(OC, "{\"messages\":[]}", &edits),
                     "{\"messages\":[{\"role\":\"system\",\"content\":\"X\"}]}");
    edits.system_mode = SYSTEM_OVERRIDE;
    cr_assert_str_eq(
        edit(OC, "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}, {\"role\":\"user\"}]}",
             &edits),
        "{\"messages\":[{\"role\":\"system\",\"content\":\"X\"},{\"role\":\"user\"}]}");
}

Test(relay, makes_several_edits_in_one_walk)
{
    struct relay_edits edits = {.model = S("n"), .system_text = S("X"), .want_usage = true};

    cr_assert_str_eq(
        edit(OC, "{\"stream\":true,\"messages\":[{\"role\":\"user\"}],\"model\":\"m\"}", &edits),
        "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"messages\":[{\"role\":"
        "\"system\","
        "\"content\":\"X\"},{\"role\":\"user\"}],\"model\":\"n\"}");
}

Test(relay, reads_model_and_stream)
{
    struct relay_peek peek;
    struct fault fault;
    struct json_memo memo = {0};

    cr_assert_eq(
        relay_peek(OC, S("{\"tools\":[{\"model\":\"inner\",\"stream\":true}],\"model\":\"m\"}"),
                   &peek, &memo, &fault),
        R2A_OK);
    cr_assert_eq(peek.model.len, 1);
    cr_assert(!peek.is_stream);
    cr_assert_eq(relay_peek(OC, S("{\"stream\":true,\"model\":null}"), &peek, &memo, &fault),
                 R2A_OK);
    cr_assert(peek.is_stream);
    cr_assert_eq(peek.model.len, 0);
}

Test(relay, refuses_what_routing_could_read_two_ways)
{
    refused(OC, "{\"model\":\"a\",\"model\":\"b\"}");
    refused(OC, "{\"model\":\"a\",\"\\u006dodel\":\"b\"}");
    refused(OC, "{\"stream\":true,\"stream\":false}");
    refused(OC, "{\"messages\":[],\"messages\":[]}");
    refused(AM, "{\"system\":\"a\",\"system\":\"b\"}");
}

Test(relay, says_where_json_breaks)
{
    cr_assert_eq(refused(OC, "{\"model\":\"a\",}").offset, 13);
    cr_assert_eq(refused(OC, "").offset, 0);
    refused(OC, "[]");
    refused(OC, "{\"model\":1}");
    refused(OC, "{\"model\":\"a\",\"stream\":\"yes\"}");
    refused(OC, "{\"model\":\"a\"} x");
    refused(OC, "{\"model\":\"\xff\"}");
}
