#include "head.h"
#include "r2a/proto/list.h"

Test(openai_responses, asks_where_the_operation_lives)
{
    struct head head;

    head_open(&head, &provider_openai_responses, S("/v1"), S("k"));
    cr_assert(provider_openai_responses.speaks(&head.instance, S("m")) == &proto_openai_responses);
    head_is(head_path(&head), "/responses");
    head.request.operation = BRIEF_COUNT;
    head_is(head_path(&head), "/responses/input_tokens");
    head.request.operation = BRIEF_LIST;
    head_is(head_path(&head), "/models");
    kit_close(&head.kit);
}

Test(openai_responses, has_a_bearer_key)
{
    struct head head;

    head_open(&head, &provider_openai_responses, S("/v1"), S("k"));
    head_has(head_headers(&head), "authorization: Bearer k\r\n");
    kit_close(&head.kit);
}
