#include "head.h"

Test(gemini, puts_model_and_verb_into_the_path)
{
    struct head head;

    head_open(&head, &provider_gemini, S(""), S("k"));
    head.request.model = S("gemini-2.5-pro");
    head_is(head_path(&head), "/v1beta/models/gemini-2.5-pro:generateContent");
    head.request.is_stream = true;
    head_is(head_path(&head), "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
    head.request.is_stream = false;
    head.request.operation = BRIEF_COUNT;
    head_is(head_path(&head), "/v1beta/models/gemini-2.5-pro:countTokens");
    head.request.operation = BRIEF_EMBED;
    head_is(head_path(&head), "/v1beta/models/gemini-2.5-pro:embedContent");
    head.request.operation = BRIEF_EMBED_BATCH;
    head_is(head_path(&head), "/v1beta/models/gemini-2.5-pro:batchEmbedContents");
    kit_close(&head.kit);
}

Test(gemini, encodes_a_name_and_keeps_its_kind)
{
    struct head head;

    head_open(&head, &provider_gemini, S("/v1beta"), S("k"));
    head.request.model = S("tunedModels/mine");
    head_is(head_path(&head), "/tunedModels/mine:generateContent");
    head.request.model = S("models/x");
    head_is(head_path(&head), "/models/x:generateContent");
    head.request.model = S("a/b?c");
    head_is(head_path(&head), "/models/a%2Fb%3Fc:generateContent");
    kit_close(&head.kit);
}

Test(gemini, has_a_key_header_or_a_token)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_gemini, S(""), S("AIza-1"));
    lines = head_headers(&head);
    head_has(lines, "x-goog-api-key: AIza-1\r\n");
    head_has_not(lines, "authorization");
    kit_close(&head.kit);
    head_open(&head, &provider_gemini, S(""), S("ya29.tok"));
    lines = head_headers(&head);
    head_has(lines, "authorization: Bearer ya29.tok\r\n");
    head_has_not(lines, "x-goog-api-key");
    kit_close(&head.kit);
}
