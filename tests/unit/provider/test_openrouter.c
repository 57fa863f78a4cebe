#include "head.h"

Test(openrouter, says_on_whose_behalf)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_openrouter, S("/api/v1"), S("k"));
    head_is(head_path(&head), "/chat/completions");
    head_has_not(head_headers(&head), "referer");
    head.instance.referer = S("https://example.org");
    head.instance.title = S("demo");
    lines = head_headers(&head);
    head_has(lines, "HTTP-Referer: https://example.org\r\n");
    head_has(lines, "X-Title: demo\r\n");
    kit_close(&head.kit);
}

Test(openrouter, lets_a_request_speak_for_itself)
{
    struct head head;
    struct slice lines;

    head_open(&head, &provider_openrouter, S("/api/v1"), S("k"));
    head.instance.referer = S("https://example.org");
    head.instance.title = S("demo");
    head.request.referer = S("https://client.example");
    head.request.title = S("theirs");
    lines = head_headers(&head);
    head_has(lines, "HTTP-Referer: https://client.example\r\n");
    head_has(lines, "X-Title: theirs\r\n");
    head_has_not(lines, "example.org");
    kit_close(&head.kit);
}
