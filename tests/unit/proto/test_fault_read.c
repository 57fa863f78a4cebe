#include "codec.h"
#include "r2a/proto/fault_read.h"

/* Errors of any shape become one kind and one message that may be shown. */

static struct kit kit;
static struct fault fault;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(fault_read, .init = open_kit, .fini = close_kit);

static void read_body(uint16_t status, const char *body)
{
    struct fault_source source = {.status = status, .body = quoted(&kit, body)};

    fault_read(&source, &kit.arena, &fault);
}

Test(fault_read, every_row_of_the_table)
{
    static const struct {
        uint16_t status;
        const char *body;
        uint8_t kind;
        const char *message;
    } rows[] = {
        {400, "{'error':{'message':'bad','type':'invalid_request_error','param':'x','code':null}}",
         FAULT_INVALID, "bad"},
        {422, "{'detail':[{'msg':'field required'}]}", FAULT_INVALID,
         "[{\"msg\":\"field required\"}]"},
        {409, "{'message':'conflict'}", FAULT_INVALID, "conflict"},
        {400, "{'error':{'message':'too much','code':'context_length_exceeded'}}", FAULT_CONTEXT,
         "too much"},
        {400,
         "{'type':'error','error':{'type':'invalid_request_error','message':"
         "'prompt is too long: 5 tokens > 4 maximum'}}",
         FAULT_CONTEXT, "prompt is too long: 5 tokens > 4 maximum"},
        {400,
         "{'error':{'code':400,'message':'The input token count (9) exceeds the maximum number"
         " of tokens allowed (8).','status':'INVALID_ARGUMENT'}}",
         FAULT_CONTEXT,
         "The input token count (9) exceeds the maximum number of tokens allowed (8)."},
        {401, "{'error':{'message':'no','type':'invalid_request_error','code':'invalid_api_key'}}",
         FAULT_UP_AUTH, "no"},
        {400,
         "{'error':{'code':400,'message':'API key not valid.','status':'INVALID_ARGUMENT',"
         "'details':[{'@type':'type.googleapis.com/google.rpc.ErrorInfo','reason':"
         "'API_KEY_INVALID'}]}}",
         FAULT_UP_AUTH, "API key not valid."},
        {403, "{'error':{'message':'Your API key has no access'}}", FAULT_UP_AUTH,
         "Your API key has no access"},
        {403, "{'type':'error','error':{'type':'authentication_error','message':'x'}}",
         FAULT_UP_AUTH, "x"},
        {403, "{'error':{'message':'region'}}", FAULT_PERMISSION, "region"},
        {402, "{'error':{'message':'pay'}}", FAULT_BILLING, "pay"},
        {429,
         "{'error':{'message':'quota','type':'insufficient_quota','code':'insufficient_quota'}}",
         FAULT_BILLING, "quota"},
        {404, "{'error':{'message':'no model','code':'model_not_found'}}", FAULT_NOT_FOUND,
         "no model"},
        {405, "", FAULT_METHOD, NULL},
        {413, "<html><body><h1>413 Request Entity Too Large</h1></body></html>", FAULT_TOO_LARGE,
         "413 Request Entity Too Large"},
        {429, "{'error':'slow'}", FAULT_RATE, "slow"},
        {529, "{'type':'error','error':{'type':'overloaded_error','message':'Overloaded'}}",
         FAULT_OVERLOAD, "Overloaded"},
        {503, "[{'error':{'code':503,'message':'busy','status':'UNAVAILABLE'}}]", FAULT_OVERLOAD,
         "busy"},
        {500, "{'error':{'message':'x','type':'overloaded_error'}}", FAULT_OVERLOAD, "x"},
        {504, "gateway", FAULT_TIMEOUT, "gateway"},
        {408, "", FAULT_TIMEOUT, NULL},
        {500, "{'error':{'message':'oops','type':'api_error'}}", FAULT_SERVER, "oops"},
        {502, "<p>Bad</p>", FAULT_SERVER, "Bad"},
        {400, "{'error':{'message':'no','code':'content_policy_violation'}}", FAULT_POLICY, "no"},
        {499, "{'error':{'status':'CANCELLED','message':'gone'}}", FAULT_CANCELLED, "gone"},
        /* within a stream there is no status: the words decide */
        {0, "{'type':'error','error':{'type':'overloaded_error','message':'o'}}", FAULT_OVERLOAD,
         "o"},
        {0, "{'error':{'message':'r','code':429}}", FAULT_RATE, "r"},
        {0, "{'error':{'message':'r','type':'rate_limit_error'}}", FAULT_RATE, "r"},
        {0, "{'error':{'message':'i','type':'invalid_request_error'}}", FAULT_INVALID, "i"},
        {0,
         "{'type':'response.failed','response':{'error':{'code':'rate_limit_exceeded',"
         "'message':'f'}}}",
         FAULT_RATE, "f"},
        {0, "{'type':'error','code':'server_error','message':'flat','param':null}", FAULT_SERVER,
         "flat"},
        {200, "{'error':{'code':503,'message':'busy','status':'UNAVAILABLE'}}", FAULT_OVERLOAD,
         "busy"},
        {0, "{'error':{'message':'p','status':'PERMISSION_DENIED'}}", FAULT_PERMISSION, "p"},
        {0, "{'error':{'message':'t','status':'DEADLINE_EXCEEDED'}}", FAULT_TIMEOUT, "t"},
        {404, "{'detail':{'error':'no such thing'}}", FAULT_NOT_FOUND, "no such thing"},
        {401,
         "{'success':false,'errors':[{'code':10000,'message':'Authentication error'}],"
         "'messages':[],'result':null}",
         FAULT_UP_AUTH, "Authentication error"},
        {0, "nonsense", FAULT_SERVER, "nonsense"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        read_body(rows[i].status, rows[i].body);
        cr_expect_eq(fault.kind, rows[i].kind, "%u %s: %s", rows[i].status, rows[i].body,
                     fault_rows[fault.kind].name);
        cr_expect(fault.is_upstream);
        if (rows[i].message != NULL)
            cr_expect(text_is(fault.message, slice_from_z(rows[i].message)), "%s: %.*s",
                      rows[i].body, (int)fault.message.len, fault.message.ptr);
        cr_expect_gt(fault.message.len, 0u);
    }
}

Test(fault_read, the_clients_own_key_is_told_so)
{
    struct fault_source source = {.status = 401, .is_clients_key = true};

    fault_read(&source, &kit.arena, &fault);
    cr_expect_eq(fault.kind, FAULT_AUTH);
}

Test(fault_read, words_of_the_upstream_are_kept)
{
    read_body(400, "{'error':{'message':'m','type':'t_1','param':'messages[0]','code':'c_1'}}");
    cr_expect(text_is(fault.type, S("t_1")));
    cr_expect(text_is(fault.param, S("messages[0]")));
    cr_expect(text_is(fault.code, S("c_1")));
    cr_expect_eq(fault.upstream_status, 400u);
}

Test(fault_read, secrets_and_places_are_masked)
{
    static const struct slice secrets[] = {S_INIT("s3cr3t-value"), S_INIT("")};
    struct fault_source source = {
        .status = 400,
        .secrets = secrets,
        .secrets_count = 2,
        .body = S("{\"error\":{\"message\":\"key sk-proj-abcdefgh12345678 of org-ABCDEFGH1234, "
                  "s3cr3t-value, see https://host.example/a?b=c. AIzaSyA0123456789abcdefghijk "
                  "is not a task-list\"}}")};

    fault_read(&source, &kit.arena, &fault);
    cr_expect(text_is(fault.message, S("key *** of ***, ***, see ***. *** is not a task-list")),
              "%.*s", (int)fault.message.len, fault.message.ptr);
}

Test(fault_read, a_secret_at_the_cut_is_masked)
{
    static const struct slice secrets[] = {S_INIT("s3cr3t-value")};
    struct fault_source source = {.status = 500, .secrets = secrets, .secrets_count = 1};
    char page[400];

    memset(page, 'x', sizeof(page));
    memcpy(page + 295, "s3cr3t-value", 12);
    source.body = slice_of(page, sizeof(page));
    fault_read(&source, &kit.arena, &fault);
    cr_expect_eq(fault.message.len, 300u);
    cr_expect_eq(str_find(text_bytes(fault.message), S("s3")), 300u);
}

Test(fault_read, pages_are_stripped_and_bounded)
{
    char page[2000];

    memset(page, 'x', sizeof(page));
    memcpy(page, "<html><style>p{}</style><p>", 27);
    page[sizeof(page) - 1] = '\0';
    read_body(502, page);
    cr_expect_eq(fault.message.len, 300u);
    cr_expect_eq(fault.message.ptr[0], 'x');
    read_body(502, "a\xff\xfe b");
    cr_expect(text_is(fault.message, S("a?? b")));
    read_body(500, "");
    cr_expect_gt(fault.message.len, 0u);
}

Test(fault_read, when_to_come_back)
{
    struct fault_source source = {.status = 429, .retry_after = S("7"), .should_retry = S("false")};

    fault_read(&source, &kit.arena, &fault);
    cr_expect_eq(fault.retry_after_ms, 7000);
    cr_expect_eq(fault.should_retry, 0);
    source.retry_after_ms = S("1500");
    source.should_retry = S("true");
    fault_read(&source, &kit.arena, &fault);
    cr_expect_eq(fault.retry_after_ms, 1500);
    cr_expect_eq(fault.should_retry, 1);
    source =
        (struct fault_source){.status = 429, .retry_after = S("Sun, 06 Nov 1994 08:49:37 GMT")};
    fault_read(&source, &kit.arena, &fault);
    cr_expect_eq(fault.retry_after_ms, -1);
    cr_expect_eq(fault.retry_after_text.len, 29u);
    cr_expect_eq(fault.should_retry, -1);
    read_body(429,
              "{'error':{'code':429,'status':'RESOURCE_EXHAUSTED','message':'m','details':["
              "{'@type':'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'34.0741s'}]}}");
    cr_expect_eq(fault.retry_after_ms, 34075);
    read_body(429, "{'type':'error','error':{'type':'rate_limit_error','message':'m','details':"
                   "{'error_code':'enforced_spend_limit_reached'}}}");
    cr_expect_eq(fault.kind, FAULT_RATE);
    cr_expect_eq(fault.should_retry, 0);
}

Test(fault_read, a_secret_is_seen_in_any_spelling)
{
    static const struct {
        const char *body, *secret;
        bool is_shown;
    } rows[] = {
        {"key sk-a/b here", "sk-a/b", true},
        {"key sk-a\\/b here", "sk-a/b", true},
        {"key \\u0073k\\u002Da/b", "sk-a/b", true},
        {"sk-a\\\\b", "sk-a\\b", true},
        {"sk-a\\b", "sk-a\\b", true},
        {"sk-a\\\"b", "sk-a\"b", true},
        {"sk-ssk-a", "sk-a", true},
        {"sk-a/", "sk-a/b", false},
        {"sk-a\\", "sk-a/", false},
        {"sk-a\\u00", "sk-a/", false},
        {"sk-a\\u012f", "sk-a/", false},
        {"", "s", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(fault_shows(slice_from_z(rows[i].body), slice_from_z(rows[i].secret)),
                     rows[i].is_shown, "%s", rows[i].body);
}
