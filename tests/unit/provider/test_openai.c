#include "head.h"

Test(openai, asks_chat_completions_with_a_bearer_key)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_openai, S("/v1"), S("sk-1"));
    head_is(head_path(&head), "/chat/completions");
    lines = head_headers(&head);
    head_has(lines, "authorization: Bearer sk-1\r\n");
    head_has(lines, "accept: application/json\r\n");
    head_has(lines, "user-agent: ring2api/");
    head_has_not(lines, "x-api-key");
    head.request.is_stream = true;
    head_has(head_headers(&head), "accept: text/event-stream\r\n");
    kit_close(&head.kit);
}

Test(openai, sends_no_key_when_there_is_none)
{
    struct head head;

    head_open(&head, &provider_openai, S("/v1"), (struct slice){0});
    head_has_not(head_headers(&head), "authorization");
    kit_close(&head.kit);
}

Test(openai, forwards_what_may_cross)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_openai, S("/v1"), S("k"));
    head.request.traceparent = S("00-1-2-01");
    head.request.idempotency_key = S("i-1");
    head.request.request_id = S("req_1");
    head.request.openai_beta = S("x=v1");
    head.request.user_agent = S("sdk/1");
    lines = head_headers(&head);
    head_has(lines, "traceparent: 00-1-2-01\r\n");
    head_has(lines, "idempotency-key: i-1\r\n");
    head_has(lines, "x-request-id: req_1\r\n");
    head_has_not(lines, "openai-beta");
    head_has_not(lines, "sdk/1");
    head.request.is_relay = true;
    lines = head_headers(&head);
    head_has(lines, "openai-beta: x=v1\r\n");
    head_has(lines, "user-agent: sdk/1\r\n");
    kit_close(&head.kit);
}

Test(openai, forwards_a_relayed_query_without_credentials)
{
    struct head head;

    head_open(&head, &provider_openai, S("/v1"), S("k"));
    head.request.client_query = S("beta=true&k%65y=secret&x&KEY=s&api_key=t&y=1");
    head_is(head_path(&head), "/chat/completions");
    head.request.is_relay = true;
    head_is(head_path(&head), "/chat/completions?beta=true&x&y=1");
    head.request.client_query = S("key=secret");
    head_is(head_path(&head), "/chat/completions");
    kit_close(&head.kit);
}

Test(openai, configured_headers_win)
{
    struct head head;
    struct slice lines;
    struct provider_header headers[] = {
        {S("X-Team"), S("a"), false},
        {S("User-Agent"), S("mine/2"), false},
        {S("Authorization"), S("Basic eA=="), false},
        {S("X-Request-Id"), {0}, true},
    };

    head_open(&head, &provider_openai, S("/v1"), S("sk-1"));
    head.instance.headers = headers;
    head.instance.headers_count = 4;
    head.request.request_id = S("req_1");
    lines = head_headers(&head);
    head_has(lines, "X-Team: a\r\n");
    head_has(lines, "User-Agent: mine/2\r\n");
    head_has(lines, "Authorization: Basic eA==\r\n");
    head_has_not(lines, "x-request-id");
    head_has_not(lines, "sk-1");
    head_has_not(lines, "ring2api/");
    kit_close(&head.kit);
}

Test(openai, refuses_what_would_break_the_head)
{
    struct head head;
    struct rope out;

    head_open(&head, &provider_openai, S("/v1"), S("k\r\nx: y"));
    out = kit_rope(&head.kit);
    provider_openai.headers(&head.instance, &head.request, &out);
    cr_assert_eq(out.err, R2A_ERR_INVALID);
    rope_clear(&out);
    kit_close(&head.kit);
}

Test(openai, asks_for_embeddings)
{
    struct head head;

    head_open(&head, &provider_openai, S("/v1"), S("k"));
    head.request.operation = BRIEF_EMBED;
    head_is(head_path(&head), "/embeddings");
    head.request.operation = BRIEF_EMBED_BATCH;
    head_is(head_path(&head), "/embeddings");
    kit_close(&head.kit);
}
