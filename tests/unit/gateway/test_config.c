#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "r2a/core/hash.h"
#include "r2a/core/log.h"
#include "r2a/gateway/config.h"
#include "r2a/provider/list.h"
#include "support/proto_kit.h"

/* Each test runs in a process and a directory of its own, with an empty environment. */
static char folder[64];
static char lines[65536];
static struct config_report report;
static struct config_flags flags;
static const char *pairs[64];

static void take_line(void *context, bool is_error, struct slice text)
{
    size_t len = strlen(lines);

    (void)context;
    snprintf(lines + len, sizeof(lines) - len, "%s%.*s\n", is_error ? "" : "W ", (int)text.len,
             text.ptr);
}

static void setup(void)
{
    clearenv();
    strcpy(folder, "/tmp/r2a-config-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    report = (struct config_report){.line = take_line};
}

static void put_file(const char *name, const char *content)
{
    FILE *file = fopen(name, "w");

    cr_assert_not_null(file);
    fputs(content, file);
    fclose(file);
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "/bin/rm -rf %s", folder);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
}

TestSuite(config, .init = setup, .fini = teardown);

/* Reads ring2api.json of this content (NULL: none) under the flags given so far. */
static struct config *load(const char *content)
{
    if (content)
        put_file("ring2api.json", content);
    return config_load(&flags, &report);
}

static void flag(const char *name, const char *value)
{
    flags.pairs = pairs;
    pairs[2 * flags.pairs_count] = name;
    pairs[2 * flags.pairs_count + 1] = value;
    flags.pairs_count++;
}

static struct config *good(const char *content)
{
    struct config *config = load(content);

    cr_assert_not_null(config, "%s", lines);
    return config;
}

static void has_line(const char *wanted)
{
    cr_assert(strstr(lines, wanted) != NULL, "no '%s' in:\n%s", wanted, lines);
}

static void bad(const char *content, const char *wanted)
{
    lines[0] = 0;
    report.errors = 0;
    cr_assert_null(load(content), "took: %s", content);
    cr_assert_gt(report.errors, 0);
    has_line(wanted);
}

static bool is(struct slice slice, const char *wanted)
{
    return slice_eq(slice, slice_from_z(wanted));
}

#define ECHO "\"providers\": {\"echo\": {\"kind\": \"echo\"}}"
#define UP(more)                                                                                   \
    "{\"providers\": {\"up\": {\"kind\": \"openai\", \"base_url\": \"http://127.0.0.1:1/v1\"" more \
    "}}}"

/* --- the text --- */

Test(config, takes_comments_and_trailing_commas)
{
    struct config *config = good("\xef\xbb\xbf// line\n{ /* block\n */ \"workers\": 3, // \"x\n"
                                 "  \"listen\": [\"127.0.0.1:3001\" /*,*/ , ],\n"
                                 "  " ECHO ",\n}\n");

    cr_assert_eq(config->workers, 3);
    cr_assert(is(config->listens[0].text, "127.0.0.1:3001"));
    config_unref(config);
}

Test(config, leaves_comment_marks_in_strings_alone)
{
    struct config *config = good("{\"providers\": {\"e\": {\"kind\": \"openai\", \"base_url\": "
                                 "\"http://127.0.0.1/a\", \"headers\": {\"x\": \"/* , } // \\\" "
                                 ",]\"}}}}");

    cr_assert(is(config->providers[0].headers[0].value, "/* , } // \" ,]"));
    config_unref(config);
}

Test(config, names_the_place_of_every_error)
{
    bad("{\n  \"workers\": -1,\n  \"strict\": 1,\n  \"lisen\": [],\n  \"cors\": [5]\n}\n",
        "ring2api.json:2:14: workers must be a whole number from 0 to 256");
    has_line("ring2api.json:3:13: strict must be true or false, not a number");
    has_line("ring2api.json:4:3: unknown key \"lisen\"; did you mean \"listen\"?");
    has_line("ring2api.json:5:12: an entry of cors must be a string, not a number");
    cr_assert_eq(report.errors, 4);
}

Test(config, says_errors_in_the_files_order)
{
    char many[8192];

    bad("{\"cors\": 1, \"lisen\": 1, \"listen\": 1, \"providers\": 1}", "1:10: ");
    cr_assert_lt(strstr(lines, "1:10: "), strstr(lines, "1:13: "));
    cr_assert_lt(strstr(lines, "1:13: "), strstr(lines, "1:35: "));
    cr_assert_lt(strstr(lines, "1:35: "), strstr(lines, "1:51: "));
    strcpy(many, "{\"cors\": [");
    for (int i = 0; i < 999; i++)
        strcat(many, "1, ");
    strcat(many, "]}");
    bad(many, "and 799 more\n");
    cr_assert_eq(report.errors, 999);
}

Test(config, explains_broken_syntax)
{
    bad("{\"workers\": 1 \"strict\": true}",
        "ring2api.json:1:15: unexpected \"; is a comma missing");
    bad("{workers: 1}", "ring2api.json:1:2: unexpected w; names and words are written in double");
    bad("{'workers': 1}", "1:2: strings are written in double quotes");
    bad("{\"workers\": 1", "the file ends too early");
    bad("{\"a\": \"b\nc\"}", "a string holds a line end");
    bad("{ /* }", "1:3: this comment never ends");
    bad("[1]", "a configuration is an object");
    bad("{\"workers\": 1,, \"strict\": true}", "1:15: ");
    bad("{,}", "1:2: ");
    bad("", "the file ends too early");
}

Test(config, refuses_duplicates)
{
    bad("{\"workers\": 1,\n \"workers\": 2}",
        "ring2api.json:2:2: \"workers\" stands here a second time");
    bad("{\"providers\": {\"a\": {\"kind\": \"echo\"}, \"\\u0061\": {\"kind\": \"echo\"}}}",
        "\"a\" stands here a second time");
}

Test(config, says_what_comes_later)
{
    bad("{\"pool\": {}}", "1:2: \"pool\" is not available yet");
    bad("{\"prompt_log\": {\"mode\": \"file\"}}", "the prompt log is not available yet");
    bad("{\"proxy\": \"http://p:1\"}", "a proxy is not available yet");
    bad(UP(", \"accounts\": []"), "\"accounts\" is not available yet");
    bad("{\"providers\": {\"a\": {\"kind\": \"kiro\"}}}",
        "the kind \"kiro\" is not available yet in this version; there are: openai");
    bad("{\"providers\": {\"a\": {\"kind\": \"antropic\"}}}", "did you mean \"anthropic\"?");
    bad("{\"providers\": {\"a\": {\"kind\": \"zzzz\"}}}", "unknown kind \"zzzz\"; there are:");
    config_unref(good("{\"prompt_log\": {\"mode\": \"none\"}, \"proxy\": \"none\"}"));
}

Test(config, says_which_file_is_missing)
{
    flags.file = "other.json";
    bad(NULL, "other.json: there is no such file");
    flags.file = "/";
    bad(NULL, "/: it is a directory");
}

/* --- strings that live elsewhere --- */

Test(config, follows_env_and_file)
{
    struct config *config;
    uint8_t digest[32];

    setenv("GATEWAY_KEY", "k-env", 1);
    setenv("HOME", folder, 1);
    mkdir("sub", 0700);
    put_file("sub/key", "k-file\n");
    put_file("home-key", "k-home\r\n\n");
    put_file("sub/c.json",
             "{\"api_keys\": [\"env:GATEWAY_KEY\", \"file:key\", \"file:~/home-key\"], " ECHO "}");
    flags.file = "sub/c.json";
    config = good(NULL);
    sha256_of(S("k-env"), digest);
    cr_assert_arr_eq(config->keys[0].digest, digest, 32);
    sha256_of(S("k-file"), digest);
    cr_assert_arr_eq(config->keys[1].digest, digest, 32);
    sha256_of(S("k-home"), digest);
    cr_assert_arr_eq(config->keys[2].digest, digest, 32);
    cr_assert(is(config->keys[0].name, "key1"));
    cr_assert(is(config->keys[2].name, "key3"));
    config_unref(config);
}

Test(config, misses_what_is_not_there)
{
    setenv("EMPTY", "", 1);
    put_file("empty", "\n");
    bad("{\"api_keys\": [\"env:NOPE\"]}", "1:15: the environment variable NOPE is not set; set it");
    bad("{\"api_keys\": [\"env:EMPTY\"]}", "the environment variable EMPTY is empty");
    bad("{\"api_keys\": [\"file:nope\"]}", "the file nope: there is no such file");
    bad("{\"api_keys\": [\"file:/dev/zero\"]}", "the file /dev/zero: it is no regular file");
    cr_assert_eq(mkfifo("waits", 0600), 0); /* nobody writes to it: opening must not wait either */
    bad("{\"api_keys\": [\"file:waits\"]}", "the file waits: it is no regular file");
    cr_assert_eq(unlink("waits"), 0);
    bad("{\"api_keys\": [\"file:empty\"]}", "the file empty is empty");
}

Test(config, turns_optional_providers_off)
{
    struct config *config = good(
        "{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [\"env:NOPE\"], \"optional\": "
        "true}, \"b\": {\"kind\": \"echo\"}}, \"routes\": [{\"model\": \"x\", \"to\": [\"a\"]}]}");

    cr_assert(config->providers[0].is_off);
    cr_assert(
        str_starts(config->providers[0].off_reason, S("the environment variable NOPE is not set")));
    cr_assert_not(config->providers[1].is_off);
    has_line("W ring2api.json:1:16: warning: the provider \"a\" is off: the environment variable");
    config_unref(config);
    bad("{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [5], \"optional\": true}}}",
        "must be a string");
}

Test(config, never_shows_a_secret)
{
    setenv("SECRET", "sk-very secret", 1);
    bad("{\"api_keys\": [\"sk-a b-secret\"], \"providers\": {\"a\": {\"kind\": \"openai\", "
        "\"keys\": [\"env:SECRET\"], \"base_url\": \"https://u:secret@h.example/\"}}}",
        "a key holds visible ASCII characters only");
    has_line("credentials do not belong into base_url");
    cr_assert_null(strstr(lines, "secret"), "%s", lines);
}

Test(config, keeps_every_secret_for_masking)
{
    char text[32768] = "{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [";
    struct config *config;

    for (int i = 0; i < 1000; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "\"key-%d\",", i);
    strcat(text, "]}}}");
    config = good(text);
    cr_assert_eq(config->secrets_count, 1000);
    cr_assert(is(config->secrets[0], "key-0") && is(config->secrets[999], "key-999"));
    config_unref(config);
}

/* --- addresses --- */

Test(config, reads_addresses)
{
    struct config *config =
        good("{\"allow_unauthenticated\": true, \"listen\": [\"127.0.0.1:3000\", \"[::1]:3001\", "
             "\"unix:/run/x.sock\", \"*:3002\", \"localhost:3003\", \"10.0.0.1:0\"]}");

    cr_assert_eq(config->listens_count, 6);
    cr_assert(config->listens[0].is_loopback && config->listens[1].is_loopback);
    cr_assert(config->listens[2].is_unix && config->listens[2].is_loopback);
    cr_assert(is(config->listens[2].path, "/run/x.sock"));
    cr_assert_not(config->listens[3].is_loopback);
    cr_assert(config->listens[4].is_loopback);
    cr_assert_not(config->listens[5].is_loopback);
    config_unref(config);
    bad("{\"listen\": [\"example.org:1\"]}", "\"example.org\" is no address");
    bad("{\"listen\": [\"3000\"]}", "an address is host:port");
    bad("{\"listen\": [\"127.0.0.1:70000\"]}", "an address is host:port");
    bad("{\"listen\": [\"127.0.0.1:1\", \"127.0.0.1:1\"]}", "1:28: this address stands here twice");
    bad("{\"listen\": []}", "listen names one to 16 addresses");
}

Test(config, refuses_to_be_open_to_others)
{
    bad("{\"listen\": [\"0.0.0.0:3000\"]}",
        "1:13: \"0.0.0.0:3000\" can be reached by others, and there are no api_keys");
    config_unref(good("{\"listen\": [\"0.0.0.0:3000\"], \"api_keys\": [\"k\"]}"));
    config_unref(good("{\"listen\": [\"unix:/x\"]}"));
}

Test(config, reads_base_urls)
{
    struct config *config = good(
        "{\"providers\": {"
        "\"a\": {\"kind\": \"openai\", \"keys\": [\"k\"]},"
        "\"b\": {\"kind\": \"openai\", \"base_url\": \"http://h.example:8000/v1//\"},"
        "\"c\": {\"kind\": \"openai\", \"base_url\": \"http://unix:/run/x.sock:/v1\"},"
        "\"d\": {\"kind\": \"openai\", \"base_url\": \"https://h.example:443/v1/v1/\", \"keys\": "
        "[\"k\"]},"
        "\"e\": {\"kind\": \"openai\", \"base_url\": \"http://[::1]:80/v1/chat/completions\"},"
        "\"f\": {\"kind\": \"anthropic\", \"base_url\": \"https://h.example:8443\", \"keys\": "
        "[\"k\"]},"
        "\"g\": {\"kind\": \"openai\", \"base_url\": \"https://API.openai.com/\", \"keys\": "
        "[\"k\"]}}}");
    const struct provider_instance *p = config->providers;

    cr_assert(is(p[0].endpoint.host, "api.openai.com") && p[0].endpoint.is_tls);
    cr_assert_eq(p[0].endpoint.port, 443);
    cr_assert(is(p[0].endpoint.path, "/v1"));
    cr_assert(is(p[1].endpoint.authority, "h.example:8000") && is(p[1].endpoint.path, "/v1"));
    cr_assert(p[2].endpoint.is_unix && is(p[2].endpoint.host, "/run/x.sock"));
    cr_assert(is(p[2].endpoint.authority, "localhost") && is(p[2].endpoint.path, "/v1"));
    cr_assert(is(p[3].endpoint.authority, "h.example") && is(p[3].endpoint.path, "/v1"));
    cr_assert(is(p[4].endpoint.host, "::1") && is(p[4].endpoint.authority, "[::1]"));
    cr_assert(is(p[4].endpoint.path, "/v1"));
    cr_assert(is(p[5].endpoint.authority, "h.example:8443") && is(p[5].endpoint.path, ""));
    cr_assert(is(p[6].endpoint.path, "/v1")); /* the service's own host says what is missing */
    config_unref(config);
    bad("{\"providers\": {\"a\": {\"kind\": \"openai\", \"base_url\": \"h.example\"}}}",
        "h.example is no base_url; one is https://");
    bad("{\"providers\": {\"a\": {\"kind\": \"openai\", \"base_url\": \"http://h/?x=1\"}}}",
        "a base_url has no query");
}

/* --- providers --- */

Test(config, checks_provider_names)
{
    bad("{\"providers\": {\"v1\": {\"kind\": \"echo\"}}}",
        "1:16: \"v1\" is the beginning of a route");
    bad("{\"providers\": {\"auto\": {\"kind\": \"echo\"}}}", "\"auto\" is the beginning");
    bad("{\"providers\": {\"-a\": {\"kind\": \"echo\"}}}", "a provider's name has 1 to 64");
    bad("{\"providers\": {\"a/b\": {\"kind\": \"echo\"}}}", "a provider's name has 1 to 64");
    bad("{\"providers\": {\"\": {\"kind\": \"echo\"}}}", "a provider's name has 1 to 64");
    bad("{\"providers\": {\"a\": {}}}", "1:16: the provider \"a\" needs a \"kind\"");
    config_unref(good("{\"providers\": {\"0a._-Z\": {\"kind\": \"echo\"}}}"));
}

Test(config, wants_keys_where_they_are_needed)
{
    struct config *config;

    bad("{\"providers\": {\"a\": {\"kind\": \"openai\"}}}", "the provider \"a\" has no keys");
    bad("{\"providers\": {\"a\": {\"kind\": \"anthropic\", \"keys\": []}}}", "has no keys");
    bad("{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [\"k\", \"k\"]}}}",
        "this key stands here twice");
    config = good("{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [\"k1\", \"k2\"]}, "
                  "\"b\": {\"kind\": \"openai\", \"base_url\": \"http://127.0.0.1:1\"}}}");
    cr_assert_eq(config->providers[0].credentials_count, 2);
    cr_assert(is(config->providers[0].credentials[1].key, "k2"));
    cr_assert(is(config->providers[0].credentials[1].label, "2"));
    cr_assert_eq(config->providers[0].credentials[0].board, UINT32_MAX);
    cr_assert_eq(config->providers[1].credentials_count, 1);
    cr_assert_eq(config->providers[1].credentials[0].key.len, 0);
    config_unref(config);
}

Test(config, reads_headers)
{
    struct config *config =
        good(UP(", \"headers\": {\"X-Team\": \"a b\", \"x-request-id\": null}"));

    cr_assert_eq(config->providers[0].headers_count, 2);
    cr_assert(is(config->providers[0].headers[0].name, "X-Team"));
    cr_assert(config->providers[0].headers[1].is_removed);
    config_unref(config);
    bad(UP(", \"headers\": {\"a b\": \"x\"}"), "this is no header name");
    bad(UP(", \"headers\": {\"Host\": \"x\"}"), "the gateway writes \"Host\" itself");
    bad(UP(", \"headers\": {\"x\": \"a\\r\\nb: c\"}"), "holds no control characters");
    bad(UP(", \"headers\": {\"x\": \"1\", \"X\": \"2\"}"), "this header stands here twice");
    bad(UP(", \"referer\": \"x\""), "are for the kind openrouter");
}

Test(config, reads_openrouter)
{
    struct config *config =
        good("{\"providers\": {\"r\": {\"kind\": \"openrouter\", \"keys\": "
             "[\"k\"], \"referer\": \"https://e.org\", \"title\": \"de mo\"}}}");

    cr_assert(is(config->providers[0].endpoint.host, "openrouter.ai"));
    cr_assert(is(config->providers[0].title, "de mo"));
    config_unref(config);
    bad("{\"providers\": {\"r\": {\"kind\": \"openrouter\", \"keys\": [\"k\"], \"title\": "
        "\"\\u00e9\"}}}",
        "printable ASCII");
}

Test(config, levels_say_what_they_set_and_no_more)
{
    struct config *config =
        good("{\"timeouts\": {\"idle_ms\": 7}, \"retry\": {\"attempts\": 5}, \"providers\": "
             "{\"a\": {\"kind\": \"echo\", \"timeouts\": {\"connect_ms\": 9}, \"retry\": "
             "{\"base_delay_ms\": 1}, \"strict\": false}}, \"routes\": [{\"model\": \"*\", "
             "\"to\": \"a\", \"strict\": true, \"timeouts\": {\"total_ms\": 0}}]}");

    cr_assert_eq(config->timeouts.idle_ms, 7);
    cr_assert_eq(config->timeouts.connect_ms, 5000);
    cr_assert_eq(config->retry.attempts, 5);
    cr_assert_eq(config->retry.base_delay_ms, 500);
    cr_assert_eq(config->providers[0].timeouts.connect_ms, 9);
    cr_assert_eq(config->providers[0].timeouts.idle_ms, -1);
    cr_assert_eq(config->providers[0].retry.attempts, -1);
    cr_assert_eq(config->providers[0].retry.base_delay_ms, 1);
    cr_assert_eq(config->providers[0].strict, 0);
    cr_assert_eq(config->routes[0].strict, 1);
    cr_assert_eq(config->routes[0].timeouts.total_ms, 0);
    cr_assert_eq(config->routes[0].timeouts.idle_ms, -1);
    config_unref(config);
    bad("{\"timeouts\": {\"idle_ms\": 0}}", "a whole number from 1 to");
    bad("{\"timeouts\": {\"idel_ms\": 1}}", "did you mean \"idle_ms\"?");
    bad("{\"retry\": {\"attempts\": 0}}", "from 1 to 100");
}

/* --- routes --- */

Test(config, reads_routes)
{
    struct config *config = good(
        "{\"providers\": {\"a\": {\"kind\": \"echo\"}, \"b\": {\"kind\": \"echo\"}}, \"routes\": ["
        "{\"model\": \"x-*\", \"to\": [\"a\", {\"provider\": \"b\", \"weight\": 9, \"model\": "
        "\"m/n\"}], \"fallback\": [\"b/q\"]}, {\"model\": \"fast\", \"to\": [\"b/v/w:free\"]}]}");
    const struct cfg_route *routes = config->routes;

    cr_assert_eq(config->routes_count, 2);
    cr_assert_eq(routes[0].to_count, 2);
    cr_assert_eq(routes[0].to[0].weight, 1);
    cr_assert_eq(routes[0].to[0].model.len, 0);
    cr_assert_eq(routes[0].to[1].provider, 1);
    cr_assert_eq(routes[0].to[1].weight, 9);
    cr_assert(is(routes[0].to[1].model, "m/n"));
    cr_assert(is(routes[0].fallback[0].model, "q"));
    cr_assert(is(routes[1].to[0].model, "v/w:free"));
    cr_assert_eq(routes[1].counter, UINT32_MAX);
    config_unref(config);
}

Test(config, checks_routes)
{
#define ROUTE(text) "{" ECHO ", \"routes\": [" text "]}"
    bad(ROUTE("{\"model\": \"x\", \"to\": [\"ecko\"]}"),
        "1:76: no provider is named \"ecko\"; did you mean \"echo\"?");
    bad(ROUTE("{\"model\": \"x\", \"to\": []}"), "this route leads nowhere");
    bad(ROUTE("{\"model\": \"x\"}"), "this route leads nowhere");
    bad(ROUTE("{\"to\": [\"echo\"]}"), "this route names no \"model\"");
    bad(ROUTE("{\"model\": \"x\", \"to\": [{\"weight\": 1}]}"), "names no \"provider\"");
    bad(ROUTE("{\"model\": \"x\", \"to\": [\"echo\"], \"fallbck\": []}"), "\"fallback\"?");
    bad("{" ECHO ", \"default_provider\": \"nobody\"}", "no provider is named \"nobody\"; add it");
}

Test(config, one_provider_alone_is_the_default)
{
    struct config *config = good("{" ECHO "}");

    cr_assert_eq(config->default_provider, 0);
    config_unref(config);
    config = good("{" ECHO ", \"routes\": [{\"model\": \"x\", \"to\": [\"echo\"]}]}");
    cr_assert_eq(config->default_provider, -1);
    config_unref(config);
}

/* --- the rest of the top level --- */

Test(config, reads_client_keys)
{
    struct config *config =
        good("{\"api_keys\": [{\"name\": \"alice\", \"key\": \"a\", \"models\": [\"claude-*\", "
             "\"!*-opus\"], \"rpm\": 60, \"concurrency\": 8, \"strict\": true}, "
             "{\"key\": \"b\", \"disabled\": true}]}");

    cr_assert(is(config->keys[0].name, "alice"));
    cr_assert_eq(config->keys[0].models_count, 2);
    cr_assert_eq(config->keys[0].rpm, 60);
    cr_assert_eq(config->keys[0].concurrency, 8);
    cr_assert_eq(config->keys[0].strict, 1);
    cr_assert(is(config->keys[1].name, "key2"));
    cr_assert_eq(config->keys[1].strict, -1);
    cr_assert(config->keys[1].is_disabled);
    config_unref(config);
    bad("{\"api_keys\": [\"a\", \"a\"]}", "the same key as of \"key1\"");
    bad("{\"api_keys\": [{\"key\": \"a\", \"name\": \"x\"}, {\"key\": \"b\", \"name\": \"x\"}]}",
        "the name \"x\" is taken");
    bad("{\"api_keys\": [{\"key\": \"a\", \"rpm\": 1}]}", "needs a \"name\"");
    bad("{\"api_keys\": [{\"name\": \"x\"}]}", "has no \"key\"");
    bad("{\"api_keys\": [{\"key\": \"a\", \"tpm\": 1}]}", "\"tpm\" is not available yet");
    bad("{\"api_keys\": [\"\"]}", "must not be empty");
}

Test(config, reads_limits)
{
    struct config *config = good("{\"limits\": {\"body_bytes\": 2e6, \"header_bytes\": 4096, "
                                 "\"connections\": 9, \"memory_bytes\": 99999999}}");

    cr_assert_eq(config->limits.body_bytes, 2000000);
    cr_assert_eq(config->limits.header_bytes, 4096);
    cr_assert_eq(config->limits.connections, 9);
    cr_assert_eq(config->limits.output_bytes, 33554432);
    cr_assert_eq(config->limits.memory_bytes, 99999999);
    config_unref(config);
    bad("{\"limits\": {\"header_bytes\": 32769}}", "from 1024 to 32768");
    bad("{\"limits\": {\"memory_bytes\": 1}}", "memory_bytes must be 0, or at least");
    bad("{\"limits\": {\"body_bytes\": 1.5}}", "a whole number");
}

Test(config, reads_the_system_prompt)
{
    struct config *config;

    put_file("system.txt", "\xef\xbb\xbf"
                           "Be terse.\n");
    config = good("{\"system_prompt\": {\"file\": \"system.txt\", \"mode\": \"override\"}}");
    cr_assert(is(config->system_text, "Be terse."));
    cr_assert_eq(config->system_mode, SYSTEM_OVERRIDE);
    config_unref(config);
    put_file("system.txt", " \n\n");
    config = good("{\"system_prompt\": {\"file\": \"system.txt\"}}");
    cr_assert_eq(config->system_text.len, 0);
    config_unref(config);
    config = good("{\"system_prompt\": {\"text\": \"x\"}}");
    cr_assert(is(config->system_text, "x"));
    cr_assert_eq(config->system_mode, SYSTEM_APPEND);
    config_unref(config);
    bad("{\"system_prompt\": {\"file\": \"nope.txt\"}}", "the system prompt nope.txt: there is no");
    bad("{\"system_prompt\": {\"mode\": \"prepend\"}}", "must be \"append\", \"override\" or");
    put_file("system.txt", "\xff");
    bad("{\"system_prompt\": {\"file\": \"system.txt\"}}", "is not UTF-8");
}

Test(config, reads_default_models)
{
    struct config *config =
        good("{" ECHO ", \"default_model\": {\"id\": \"m\", \"mode\": \"force\"}}");

    cr_assert(is(config->default_model.id, "m") && config->default_model.is_forced);
    config_unref(config);
    bad("{\"default_model\": {\"mode\": \"force\"}}", "default_model needs an \"id\"");
    bad("{\"default_model\": {\"id\": \"m\", \"mode\": \"x\"}}",
        "mode must be \"fallback\" or \"force\"");
}

Test(config, reads_model_profiles)
{
    struct config *config =
        good("{\"model_profiles\": {\"claude-x*\": {\"am.thinking\": \"adaptive_only\", "
             "\"am.max_output\": 5}, \"g*\": {\"gg.levels\": [\"low\", /* c */ \"high\"]}}}");

    cr_assert_eq(config->profiles_count, 3);
    cr_assert(is(config->profiles[0].glob, "claude-x*"));
    cr_assert(is(config->profiles[0].flag, "am.thinking"));
    cr_assert(is(config->profiles[0].value, "\"adaptive_only\""));
    cr_assert(is(config->profiles[1].value, "5"));
    config_unref(config);
    bad("{\"model_profiles\": {\"x\": {\"am.thinkin\": \"manual\"}}}",
        "1:41: the flag \"am.thinkin\" must be ");
    bad("{\"model_profiles\": {\"x\": {\"am.thinking\": \"no\"}}}",
        "the flag \"am.thinking\" must be ");
}

Test(config, reads_cors_admin_and_tls)
{
    struct config *config;

    put_file("ca.pem", "x");
    config = good("{\"cors\": [\"https://chat.example.org\", \"*\"], \"admin\": {\"listen\": "
                  "[\"127.0.0.1:9090\"], \"key\": \"adm\"}, \"tls\": {\"ca_file\": \"ca.pem\"}}");
    cr_assert_eq(config->cors_count, 2);
    cr_assert(config->has_admin && config->has_admin_key);
    cr_assert_eq(config->admin_listens_count, 1);
    cr_assert(is(config->tls_ca_file, "ca.pem"));
    config_unref(config);
    config_unref(good("{\"tls\": {\"ca_file\": null}}"));
    bad("{\"cors\": [\"https://h.example/\"]}", "an origin is SCHEME://HOST");
    bad("{\"tls\": {\"ca_file\": \"no.pem\"}}", "the CA file no.pem: there is no such file");
    bad("{\"api_keys\": [\"k\"], \"admin\": {\"key\": \"k\"}}", "is also a client key");
}

Test(config, warns_of_a_proxy_it_does_not_use)
{
    setenv("HTTPS_PROXY", "http://p:1", 1);
    config_unref(good("{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [\"k\"]}}}"));
    has_line("W ring2api.json:1:1: warning: the environment names a proxy");
    lines[0] = 0;
    config_unref(good("{\"proxy\": \"none\", \"providers\": {\"a\": {\"kind\": \"openai\", "
                      "\"keys\": [\"k\"]}}}"));
    config_unref(good(UP("")));
    setenv("NO_PROXY", "x.example, .openai.com", 1);
    config_unref(good("{\"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": [\"k\"]}}}"));
    cr_assert_str_eq(lines, "");
}

/* --- without a file --- */

Test(config, serves_echo_when_nothing_is_configured)
{
    struct config *config = good(NULL);

    cr_assert(config->is_demo);
    cr_assert_eq(config->providers_count, 1);
    cr_assert_eq(config->providers[0].kind, &provider_echo);
    cr_assert_eq(config->default_provider, 0);
    cr_assert(is(config->listens[0].text, "127.0.0.1:3000"));
    cr_assert_eq(config->limits.header_bytes, 32768);
    cr_assert_eq(config->timeouts.hold_ms, 15000);
    config_unref(config);
}

Test(config, takes_flags)
{
    struct config *config;

    flag("host", "127.0.0.2");
    flag("port", "4000");
    flag("api-key", "k");
    flag("workers", "2");
    flag("log-format", "json");
    flag("log-level", "debug");
    flag("openai-api-key", "sk-1");
    flag("openai-base-url", "http://127.0.0.1:9/v1");
    flag("claude-api-key", "sk-2");
    flag("default-model", "m");
    flag("default-model-mode", "force");
    flag("request-max-retries", "0");
    flag("request-base-delay", "7");
    flag("log-prompts", "none");
    config = good(NULL);
    cr_assert(is(config->listens[0].text, "127.0.0.2:4000"));
    cr_assert_eq(config->keys_count, 1);
    cr_assert_eq(config->workers, 2);
    cr_assert(config->log_json);
    cr_assert_eq(config->log_level, LOG_DEBUG);
    cr_assert_eq(config->providers_count, 2);
    cr_assert(is(config->providers[0].name, "openai-custom"));
    cr_assert_eq(config->providers[0].endpoint.port, 9);
    cr_assert(is(config->providers[1].name, "claude-custom"));
    cr_assert_eq(config->default_provider, 0);
    cr_assert(config->default_model.is_forced);
    cr_assert_eq(config->retry.attempts, 1);
    cr_assert_eq(config->retry.base_delay_ms, 7);
    cr_assert_not(config->is_demo);
    config_unref(config);
}

Test(config, flags_win_over_the_file)
{
    struct config *config;

    flag("port", "4000");
    flag("model-provider", "b");
    flag("default-model-mode", "force");
    config = good("{\"listen\": [\"[::1]:1\", \"unix:/x\"], \"providers\": {\"a\": {\"kind\": "
                  "\"echo\"}, \"b\": {\"kind\": \"echo\"}}, \"default_provider\": \"a\"}");
    cr_assert_eq(config->listens_count, 1);
    cr_assert(is(config->listens[0].text, "[::1]:4000"));
    cr_assert_eq(config->default_provider, 1);
    config_unref(config);
}

Test(config, names_the_flag_at_fault)
{
    flag("port", "x");
    flag("workers", "9999");
    flag("gemini-oauth-creds-file", "x");
    flag("model-provider", "openai-custm");
    flag("default-model-mode", "never");
    bad(NULL, "--port: this must be a whole number from 0 to 65535");
    has_line("--workers: this must be a whole number from 0 to 256");
    has_line("--gemini-oauth-creds-file: the provider gemini-cli-oauth is not available yet");
    has_line("--default-model-mode: this must be \"fallback\" or \"force\"");
    has_line("--model-provider: no provider is named \"openai-custm\"");
}

Test(config, reads_arguments)
{
    char *good_ones[] = {"-c", "f.json", "--port=1", "--host", "::1", "--api-key="};
    char *bad_ones[] = {"--prot", "1", "x", "--workers"};

    cr_assert(config_flags_read(6, good_ones, pairs, &flags, &report));
    cr_assert_str_eq(flags.file, "f.json");
    cr_assert_eq(flags.pairs_count, 3);
    cr_assert_str_eq(flags.pairs[3], "::1");
    cr_assert_str_eq(flags.pairs[5], "");
    cr_assert_not(config_flags_read(4, bad_ones, pairs, &flags, &report));
    has_line("unknown flag --prot; did you mean --port?\n");
    has_line("unexpected argument: x");
    has_line("--workers needs a value behind it");
    cr_assert_eq(report.errors, 3);
}

Test(config, takes_the_environment_without_a_file)
{
    struct config *config;

    setenv("CLAUDE_API_KEY", "k", 1);
    setenv("CLAUDE_BASE_URL", "http://127.0.0.1:5/v1", 1);
    setenv("HOST", "somebody", 1); /* some shells set it to the machine's name */
    setenv("ECHO_DELAY_MS", "25", 1);
    config = good(NULL);
    cr_assert(is(config->providers[0].name, "claude-custom"));
    cr_assert_eq(config->default_provider, 0);
    cr_assert_eq(config->echo_delay_ms, 25);
    config_unref(config);
    config = good("{" ECHO "}");
    cr_assert_eq(config->providers_count, 1);
    cr_assert(is(config->providers[0].name, "echo"));
    config_unref(config);
    unlink("ring2api.json");
    setenv("SERVER_PORT", "x", 1);
    setenv("ECHO_DELAY_MS", "-1", 1);
    bad(NULL, "SERVER_PORT in the environment: this must be a whole number");
    has_line("HOST in the environment: \"somebody\" is no address");
}

/* --- AIClient-2-API --- */

Test(config, reads_the_config_of_aiclient)
{
    struct config *config;

    put_file("system.txt", "Be kind.");
    put_file("config.json",
             "{\n  \"REQUIRED_API_KEY\": \"123456\",\n  \"SERVER_PORT\": 3100,\n"
             "  \"HOST\": \"0.0.0.0\",\n  \"MODEL_PROVIDER\": \"claude-custom, openai-custom\",\n"
             "  \"OPENAI_API_KEY\": \"sk-1\",\n  \"OPENAI_BASE_URL\": null,\n"
             "  \"CLAUDE_API_KEY\": \"sk-2\",\n  \"CLAUDE_BASE_URL\": \"https://h.example/v1\",\n"
             "  \"SYSTEM_PROMPT_FILE_PATH\": \"system.txt\",\n"
             "  \"SYSTEM_PROMPT_MODE\": \"overwrite\",\n  \"PROMPT_LOG_MODE\": \"none\",\n"
             "  \"REQUEST_MAX_RETRIES\": 3,\n  \"REQUEST_BASE_DELAY\": 1000,\n"
             "  \"CRON_NEAR_MINUTES\": 15,\n  \"PROJECT_ID\": null,\n"
             "  \"GEMINI_OAUTH_CREDS_FILE_PATH\": \"x\",\n  \"UI_ENABLED\": true\n}\n");
    flags.file = "config.json";
    config = good(NULL);
    cr_assert_eq(config->listens_count, 1);
    cr_assert(is(config->listens[0].text, "0.0.0.0:3100"));
    cr_assert_eq(config->keys_count, 1);
    cr_assert_eq(config->providers_count, 2);
    cr_assert(is(config->providers[config->default_provider].name, "claude-custom"));
    cr_assert(is(config_provider(config, S("openai-custom"))->endpoint.host, "api.openai.com"));
    cr_assert(is(config->system_text, "Be kind."));
    cr_assert_eq(config->system_mode, SYSTEM_OVERRIDE);
    cr_assert_eq(config->retry.attempts, 4);
    cr_assert_eq(config->retry.base_delay_ms, 1000);
    has_line("W config.json:15:3: warning: CRON_NEAR_MINUTES: refreshing tokens is not available");
    has_line("config.json:17:3: warning: GEMINI_OAUTH_CREDS_FILE_PATH: the provider gemini-cli");
    has_line("config.json:18:3: warning: UI_ENABLED: has no counterpart here");
    cr_assert_null(strstr(lines, "PROJECT_ID"));
    config_unref(config);
}

Test(config, only_warns_of_a_system_prompt_aiclient_lost)
{
    struct config *config;

    put_file("config.json", "{\"SYSTEM_PROMPT_FILE_PATH\": \"no.txt\", \"SYSTEM_PROMPT_MODE\": "
                            "\"append\"}");
    flags.file = "config.json";
    config = good(NULL);
    has_line("W config.json:1:29: warning: the system prompt no.txt: there is no such file");
    cr_assert(config->is_demo);
    cr_assert(is(config->listens[0].text, "127.0.0.1:3000"));
    config_unref(config);
}

Test(config, refuses_wrong_types_of_aiclient)
{
    put_file("config.json", "{\"SERVER_PORT\": \"x\",\n\"MODEL_PROVIDER\": 5}");
    flags.file = "config.json";
    bad(NULL, "config.json:1:17: SERVER_PORT must be a number, not a string");
    has_line("config.json:2:19: MODEL_PROVIDER must be a string, not a number");
}

/* --- what is printed --- */

Test(config, prints_itself_without_secrets)
{
    struct config *config;
    struct kit kit;
    struct rope rope;
    struct slice text, again;
    static char saved[8192];

    kit_open(&kit);
    rope = kit_rope(&kit);
    setenv("TEAM", "t-secret", 1);
    put_file("c.json",
             "{\"listen\": [\"127.0.0.1:3000\"], \"api_keys\": [{\"name\": \"alice\", \"key\": "
             "\"c-secret\", \"rpm\": 5}], \"providers\": {\"a\": {\"kind\": \"openai\", \"keys\": "
             "[\"u-secret\"], \"headers\": {\"X-Team\": \"env:TEAM\", \"x-auth\": \"h-secret\", "
             "\"x-n\": null, \"x-plain\": \"p\"}, \"models\": [\"m\"]}, \"e\": {\"kind\": "
             "\"echo\"}}, \"routes\": [{\"model\": \"q\\\"*\", \"to\": [\"a/b\", \"e\"], "
             "\"fallback\": [\"e\"]}], \"default_provider\": \"a\", \"admin\": {\"key\": "
             "\"a-secret\"}, \"model_profiles\": {\"x\": {\"am.max_output\": 5}}}");
    flags.file = "c.json";
    config = good(NULL);
    config_print(config, &rope);
    text = kit_take(&kit, &rope);
    cr_assert(str_find(text, S("secret")) == text.len, "%.*s", (int)text.len, text.ptr);
    cr_assert(str_find(text, S("\"X-Team\": \"***\"")) < text.len);
    cr_assert(str_find(text, S("\"x-plain\": \"p\"")) < text.len);
    cr_assert(str_find(text, S("\"x-n\": null")) < text.len);
    cr_assert(str_find(text, S("\"base_url\": \"https://api.openai.com/v1\"")) < text.len);
    cr_assert_eq(config->secrets_count, 5);
    cr_assert_lt(text.len, sizeof(saved));
    config_unref(config);
    /* it is a configuration itself */
    memcpy(saved, text.ptr, text.len + 1);
    memcpy(strstr(strstr(saved, "\"admin\""), "***"), "adm", 3); /* not the key of alice */
    put_file("d.json", saved);
    flags.file = "d.json";
    config = good(NULL);
    config_print(config, &rope);
    again = kit_take(&kit, &rope);
    cr_assert(slice_eq(text, again), "%.*s", (int)again.len, again.ptr);
    config_unref(config);
    kit_close(&kit);
}

Test(config, counts_generations_and_references)
{
    struct config *a = good("{}");
    struct config *b = good("{}");

    cr_assert_lt(a->generation, b->generation);
    config_ref(a, 1);
    config_unref(a);
    cr_assert(is(a->listens[0].text, "127.0.0.1:3000"));
    config_unref(a);
    config_unref(b);
}
