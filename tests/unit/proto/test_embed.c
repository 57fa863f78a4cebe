/* Embeddings in each API's words. Shapes: OpenAI's and Google's API references for embeddings;
 * content invented. */
#include "r2a/proto/embed.h"

#include <criterion/criterion.h>

#include "../support/proto_kit.h"
#include "r2a/core/check.h"
#include "r2a/json/text.h"

static struct kit kit;
static struct embed embed;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(embed, .init = open_kit, .fini = close_kit);

static const char *ask(uint8_t form, bool is_batch, const char *body, const char *model)
{
    struct rope out = kit_rope(&kit);
    enum r2a_err err;

    embed = (struct embed){.form = form, .is_batch = is_batch};
    memset(&kit.loss, 0, sizeof(kit.loss));
    err = embed_write_request(&embed, slice_from_z(body), slice_from_z(model), &kit.brief, &out,
                              &kit.loss, &kit.fault);
    if (err != R2A_OK) {
        rope_clear(&out);
        cr_assert_eq(kit.fault.kind, FAULT_INVALID);
        text_write_plain(&out, kit.fault.message);
    }
    return kit_take(&kit, &out).ptr;
}

static uint64_t tokens;
static bool is_estimated;

static const char *tell(const char *answer)
{
    struct rope out = kit_rope(&kit);

    if (embed_write_answer(&embed, slice_from_z(answer), &kit.brief, &out, &tokens,
                           &is_estimated) != R2A_OK) {
        rope_clear(&out);
        return NULL;
    }
    return kit_take(&kit, &out).ptr;
}

Test(embed, asks_gemini_for_one_string)
{
    cr_assert_str_eq(ask(EMBED_OPENAI, false, "{\"model\":\"x\",\"input\":\"caf\\u00e9\"}", "emb"),
                     "{\"requests\":[{\"model\":\"models/"
                     "emb\",\"content\":{\"parts\":[{\"text\":\"caf\\u00e9\"}]"
                     "}}]}");
    cr_assert_eq(embed.count, 1);
    cr_assert_eq(kit.brief.text_bytes, 5);
    cr_assert_eq(kit.loss.count, 0);
}

Test(embed, asks_gemini_for_many_with_dimensions_wherever_they_stand)
{
    cr_assert_str_eq(ask(EMBED_OPENAI, false,
                         "{\"input\":[\"a\",\"b\"],\"user\":\"u\",\"dimensions\":2.56e2,"
                         "\"encoding_format\":\"base64\",\"later\":1,\"n\":null}",
                         "tunedModels/emb"),
                     "{\"requests\":["
                     "{\"model\":\"tunedModels/emb\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
                     "\"outputDimensionality\":256},"
                     "{\"model\":\"tunedModels/emb\",\"content\":{\"parts\":[{\"text\":\"b\"}]},"
                     "\"outputDimensionality\":256}]}");
    cr_assert(embed.wants_base64);
    cr_assert_eq(kit.loss.names_count, 2);
    cr_assert(slice_eq(kit.loss.names[0], S("user")));
    cr_assert(slice_eq(kit.loss.names[1], S("later")));
}

Test(embed, refuses_what_gemini_cannot_be_told)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"{\"input\":[1,2,3]}", "Invalid value for 'input[0]': this model's upstream takes text, "
                                "not tokens; send strings."},
        {"{\"input\":[[1,2],[3]]}", "Invalid value for 'input[0]': this model's upstream takes "
                                    "text, not tokens; send strings."},
        {"{\"input\":[]}", "Invalid value for 'input': it is empty."},
        {"{\"input\":null}", "Missing required parameter: 'input'."},
        {"{}", "Missing required parameter: 'input'."},
        {"{\"input\":{}}",
         "Invalid type for 'input': expected a string, but got an object instead."},
        {"{\"input\":[\"a\",true]}",
         "Invalid type for 'input[1]': expected a string, but got a boolean instead."},
        {"{\"input\":\"a\",\"dimensions\":0}",
         "Invalid value for 'dimensions': expected an integer from 1."},
        {"{\"input\":\"a\",\"dimensions\":\"8\"}",
         "Invalid value for 'dimensions': expected an integer from 1."},
        {"{\"input\":\"a\",\"encoding_format\":\"int8\"}",
         "Invalid value for 'encoding_format': expected 'float' or 'base64'."},
        {"{\"input\":\"a\",\"encoding_format\":1}",
         "Invalid value for 'encoding_format': expected 'float' or 'base64'."},
    };

    for (size_t i = 0; i < array_count(cases); i++)
        cr_expect_str_eq(ask(EMBED_OPENAI, false, cases[i].body, "m"), cases[i].message);
}

Test(embed, asks_openai_for_one_content)
{
    cr_assert_str_eq(
        ask(EMBED_GEMINI, false,
            "{\"model\":\"models/x\",\"content\":{\"role\":\"user\",\"parts\":[{\"text\":\"a\\n\"},"
            "{\"text\":\"b\"}]},\"taskType\":\"RETRIEVAL_DOCUMENT\",\"title\":\"T\","
            "\"outputDimensionality\":64,\"autoTruncate\":true}",
            "text-embedding"),
        "{\"model\":\"text-embedding\",\"input\":[\"a\\n\\nb\"],\"encoding_format\":\"float\","
        "\"dimensions\":64}");
    cr_assert_eq(embed.count, 1);
    cr_assert_eq(kit.loss.names_count, 3);
    cr_assert(slice_eq(kit.loss.names[0], S("autoTruncate")));
    cr_assert(slice_eq(kit.loss.names[1], S("taskType")));
    cr_assert(slice_eq(kit.loss.names[2], S("title")));
}

Test(embed, asks_openai_for_a_batch_in_either_spelling)
{
    cr_assert_str_eq(ask(EMBED_GEMINI, true,
                         "{\"requests\":[{\"model\":\"models/x\",\"content\":{\"parts\":[{\"text\":"
                         "\"a\"}]},\"output_dimensionality\":8},{\"content\":{\"parts\":[{\"text\":"
                         "\"b\"}]},\"outputDimensionality\":8,\"task_type\":\"CLUSTERING\"}]}",
                         "te"),
                     "{\"model\":\"te\",\"input\":[\"a\",\"b\"],\"encoding_format\":\"float\","
                     "\"dimensions\":8}");
    cr_assert_eq(embed.count, 2);
    cr_assert_eq(kit.loss.names_count, 1);
}

Test(embed, refuses_what_openai_cannot_be_told)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":8},"
         "{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}",
         "Invalid value for 'requests[1].outputDimensionality': this model's upstream gives all "
         "vectors of one call the same size."},
        {"{\"requests\":[{\"content\":{\"parts\":[{\"inlineData\":{\"data\":\"AA==\"}}]}}]}",
         "Invalid value for 'requests[0].content.parts[0]': this model's upstream embeds text "
         "only."},
        {"{\"requests\":[{\"content\":{\"parts\":[]}}]}",
         "Invalid value for 'requests[0].content.parts': it has no text."},
        {"{\"requests\":[{}]}", "Missing required parameter: 'requests[0].content'."},
        {"{\"requests\":[7]}", "Invalid type for 'requests[0]': expected an object."},
        {"{\"requests\":[]}", "Invalid value for 'requests': it is empty."},
        {"{}", "Missing required parameter: 'requests'."},
    };

    for (size_t i = 0; i < array_count(cases); i++)
        cr_expect_str_eq(ask(EMBED_GEMINI, true, cases[i].body, "m"), cases[i].message);
    cr_expect_str_eq(ask(EMBED_GEMINI, false, "{\"content\":{\"parts\":\"a\"}}", "m"),
                     "Missing required parameter: 'content.parts'.");
}

Test(embed, bounds_the_texts_of_one_call)
{
    struct rope body = kit_rope(&kit);

    rope_put(&body, S("{\"input\":[\"\""));
    for (uint32_t i = 1; i < EMBED_INPUTS_MAX; i++)
        rope_put(&body, S(",\"\""));
    rope_put(&body, S("]}"));
    cr_assert(str_starts(slice_from_z(ask(EMBED_OPENAI, false, kit_take(&kit, &body).ptr, "m")),
                         S("{\"requests\"")));
    rope_put(&body, S("{\"input\":[\"\""));
    for (uint32_t i = 0; i < EMBED_INPUTS_MAX; i++)
        rope_put(&body, S(",\"\""));
    rope_put(&body, S("]}"));
    cr_assert(str_starts(slice_from_z(ask(EMBED_OPENAI, false, kit_take(&kit, &body).ptr, "m")),
                         S("Too many inputs")));
}

Test(embed, tells_an_openai_client_floats_as_they_came)
{
    ask(EMBED_OPENAI, false, "{\"input\":[\"abcd\",\"efg\"]}", "m");
    cr_assert_str_eq(
        tell("{\"embeddings\":[{\"values\":[0.1, -2e-3]},{\"values\":[\n1\n]}]}"),
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.1,"
        "-2e-3]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[1]}],\"model\":\"m-client\","
        "\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}");
    cr_assert(is_estimated);
    cr_assert_eq(tokens, 2);
}

Test(embed, tells_what_the_upstream_counted)
{
    ask(EMBED_OPENAI, false, "{\"input\":\"abcd\"}", "m");
    cr_assert_not_null(strstr(tell("{\"usageMetadata\":{\"promptTokenCount\":9},"
                                   "\"embeddings\":[{\"values\":[1]}]}"),
                              "\"prompt_tokens\":9,\"total_tokens\":9"));
    cr_assert(!is_estimated);
}

/* The official SDKs ask for base64 and read float32, little-endian (openai-chat.md 7). */
Test(embed, tells_an_openai_client_base64)
{
    ask(EMBED_OPENAI, false, "{\"input\":\"a\",\"encoding_format\":\"base64\"}", "m");
    /* 1.0f 00 00 80 3f, -2.5f 00 00 20 c0 */
    cr_assert_not_null(
        strstr(tell("{\"embeddings\":[{\"values\":[1,-2.5]}]}"), "\"embedding\":\"AACAPwAAIMA=\""));
    cr_assert_not_null(strstr(tell("{\"embeddings\":[{\"values\":[]}]}"), "\"embedding\":\"\""));
    cr_assert_null(tell("{\"embeddings\":[{\"values\":[1e39]}]}"), "not a float32");
    cr_assert_null(tell("{\"embeddings\":[{\"values\":[\"1\"]}]}"));
}

Test(embed, joins_base64_across_pieces)
{
    struct rope answer = kit_rope(&kit);
    const char *told, *at;

    ask(EMBED_OPENAI, false, "{\"input\":\"a\",\"encoding_format\":\"base64\"}", "m");
    rope_put(&answer, S("{\"embeddings\":[{\"values\":[1"));
    for (uint32_t i = 1; i < 1536; i++)
        rope_put(&answer, S(",1"));
    rope_put(&answer, S("]}]}"));
    told = tell(kit_take(&kit, &answer).ptr);
    at = strstr(told, "\"embedding\":\"") + 13;
    cr_assert_eq(strchr(at, '"') - at, 1536 * 4 / 3 * 4 / 4 * 4);
    cr_assert_null(memchr(at, '=', 8192));
}

Test(embed, tells_a_gemini_client_in_the_order_of_the_texts)
{
    ask(EMBED_GEMINI, true,
        "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},"
        "{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}",
        "m");
    cr_assert_str_eq(tell("{\"object\":\"list\",\"data\":[{\"index\":1,\"embedding\":[2]},"
                          "{\"index\":0,\"embedding\":[1]}],\"usage\":{\"prompt_tokens\":4}}"),
                     "{\"embeddings\":[{\"values\":[1]},{\"values\":[2]}]}");
    cr_assert_eq(tokens, 4);
    cr_assert(!is_estimated);
    ask(EMBED_GEMINI, false, "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}", "m");
    cr_assert_str_eq(tell("{\"data\":[{\"embedding\":[0.5]}]}"),
                     "{\"embedding\":{\"values\":[0.5]}}");
}

/* A vector too few, too many, twice or of another kind would be told to the wrong text. */
Test(embed, refuses_answers_that_do_not_fit_the_question)
{
    static const char *const openai_answers[] = {
        "{}",
        "[]",
        "{\"data\":[]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":2,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":-1,\"embedding\":[1]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]},{\"embedding\":[1]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":\"AACAPw==\"}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[[1]]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]}",
    };
    static const char *const gemini_answers[] = {
        "{\"embeddings\":[]}",
        "{\"embedding\":{\"values\":[1]}}",
        "{\"embeddings\":[{\"values\":[1]},{\"values\":[1]}]}",
        "{\"embeddings\":[{}]}",
        "{\"embeddings\":[{\"values\":{}}]}",
    };

    ask(EMBED_GEMINI, true,
        "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},"
        "{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}",
        "m");
    for (size_t i = 0; i < array_count(openai_answers); i++)
        cr_expect_null(tell(openai_answers[i]), "%s", openai_answers[i]);
    ask(EMBED_OPENAI, false, "{\"input\":\"a\"}", "m");
    for (size_t i = 0; i < array_count(gemini_answers); i++)
        cr_expect_null(tell(gemini_answers[i]), "%s", gemini_answers[i]);
}

static const char *rename_model(const char *body)
{
    struct rope out = kit_rope(&kit);

    embed_write_renamed(slice_from_z(body), S("up"), &out);
    return kit_take(&kit, &out).ptr;
}

Test(embed, renames_the_model_and_nothing_else)
{
    cr_assert_str_eq(
        rename_model(" {\"requests\" : [{\"model\":\"models/x\", \"content\":{\"parts\":[{\"text\":"
                     "\"model\"}],\"model\":\"mine\"}}, {\"model\" :\"models/x\"}],\"a\":{\"b\":"
                     "{\"model\":\"c\"}},\"model\":null}\n"),
        " {\"requests\" : [{\"model\":\"models/up\", \"content\":{\"parts\":[{\"text\":"
        "\"model\"}],\"model\":\"mine\"}}, {\"model\" :\"models/up\"}],\"a\":{\"b\":"
        "{\"model\":\"c\"}},\"model\":null}\n");
    cr_assert_str_eq(rename_model("{\"model\":\"\",\"content\":{\"model\":\"k\"}}"),
                     "{\"model\":\"models/up\",\"content\":{\"model\":\"k\"}}");
    cr_assert_str_eq(rename_model("{\"content\":{}}"), "{\"content\":{}}");
}
