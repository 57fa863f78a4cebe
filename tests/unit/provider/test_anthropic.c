#include "head.h"

Test(anthropic, asks_messages_with_its_key)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_anthropic, S(""), S("sk-ant-1"));
    head_is(head_path(&head), "/v1/messages");
    lines = head_headers(&head);
    head_has(lines, "x-api-key: sk-ant-1\r\n");
    head_has(lines, "anthropic-version: 2023-06-01\r\n");
    head_has_not(lines, "authorization");
    head_has_not(lines, "anthropic-beta");
    kit_close(&head.kit);
}

Test(anthropic, does_not_double_the_version)
{
    struct head head;

    head_open(&head, &provider_anthropic, S("/proxy/v1"), S("k"));
    head_is(head_path(&head), "/messages");
    head.request.operation = BRIEF_COUNT;
    head_is(head_path(&head), "/messages/count_tokens");
    kit_close(&head.kit);
}

Test(anthropic, counts_tokens_at_its_own_path)
{
    struct head head;

    head_open(&head, &provider_anthropic, S(""), S("k"));
    head.request.operation = BRIEF_COUNT;
    head.request.is_relay = true;
    head.request.client_query = S("beta=true");
    head_is(head_path(&head), "/v1/messages/count_tokens?beta=true");
    kit_close(&head.kit);
}

Test(anthropic, knows_the_keys_of_oauth)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_anthropic, S(""), S("sk-ant-oat01-x"));
    lines = head_headers(&head);
    head_has(lines, "authorization: Bearer sk-ant-oat01-x\r\n");
    head_has(lines, "anthropic-beta: oauth-2025-04-20\r\n");
    head_has_not(lines, "x-api-key");
    head.request.is_relay = true;
    head.request.anthropic_beta = S("a-1,b-2");
    head_has(head_headers(&head), "anthropic-beta: oauth-2025-04-20,a-1,b-2\r\n");
    head.request.anthropic_beta = S("a-1, oauth-2025-04-20");
    head_has(head_headers(&head), "anthropic-beta: a-1, oauth-2025-04-20\r\n");
    kit_close(&head.kit);
}

Test(anthropic, forwards_version_and_betas_on_relay_only)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_anthropic, S(""), S("k"));
    head.request.anthropic_version = S("2024-01-01");
    head.request.anthropic_beta = S("a-1");
    lines = head_headers(&head);
    head_has(lines, "anthropic-version: 2023-06-01\r\n");
    head_has_not(lines, "a-1");
    head.request.is_relay = true;
    lines = head_headers(&head);
    head_has(lines, "anthropic-version: 2024-01-01\r\n");
    head_has(lines, "anthropic-beta: a-1\r\n");
    kit_close(&head.kit);
}
