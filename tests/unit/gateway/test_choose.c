#include "../../../src/gateway/route.h"
#include "kit.h"

static struct config *config;
static struct board *board;
static struct route_plan plan;

static void open_with(const char *json)
{
    config = kit_config(json);
    board = board_open();
    for (uint32_t i = 0; i < config->routes_count; i++) {
        uint8_t digest[32] = {1, (uint8_t)i};

        config->routes[i].counter = board_record(board, digest);
    }
}

static void close_all(void)
{
    config_unref(config);
    board_close(board);
}

#define OFF(name) \
    "\"" name "\": {\"kind\": \"openai\", \"keys\": [\"env:NOPE_X\"], \"optional\": true}"
#define ON(name) "\"" name "\": {\"kind\": \"echo\"}"

static bool goes_to(uint32_t index, const char *provider, const char *model)
{
    return index < plan.count &&
           slice_eq(plan.candidates[index].provider->name, slice_from_z(provider)) &&
           slice_eq(plan.candidates[index].model, slice_from_z(model));
}

static int ask_as(const struct cfg_key *key, const char *header, const char *model)
{
    route_choose(config, board, NULL, slice_from_z(header), slice_from_z(model), key, &plan);
    return (int)plan.verdict;
}

static int ask(const char *model)
{
    return ask_as(NULL, "", model);
}

Test(choose, in_the_order_of_the_interface)
{
    open_with("{\"providers\": {" ON("a") "," ON("b") "," ON("c") "," ON(
        "d") "}, \"routes\": ["
             "{\"model\": \"gpt-*\", \"to\": [\"b\"]}, {\"model\": \"gpt-5\", \"to\": [\"c\"]}],"
             "\"default_provider\": \"d\"}");
    route_choose(config, board, &config->providers[0], S("b"), S("c/gpt-5"), NULL, &plan);
    cr_assert(goes_to(0, "a", "c/gpt-5")); /* the path: nothing of the model is stripped */
    cr_assert_eq(ask_as(NULL, "b", "c/gpt-5"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "c/gpt-5"));
    cr_assert_eq(ask("c/gpt-5"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "c", "gpt-5"));
    cr_assert_eq(ask("gpt-5"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "gpt-5"));
    cr_assert_eq(plan.route, &config->routes[0]);
    cr_assert_eq(ask("other/x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "d", "other/x"));
    cr_assert_null(plan.route);
    close_all();
}

Test(choose, names_what_is_not_there)
{
    open_with("{\"providers\": {" ON("a") "," OFF("off") "}, \"routes\": [{\"model\": \"x\", "
                                                         "\"to\": [\"a\"]}]}");
    cr_assert_eq(ask_as(NULL, "nobody", "x"), ROUTE_PLAN_UNKNOWN_PROVIDER);
    cr_assert(slice_eq(plan.subject, S("nobody")));
    cr_assert_eq(ask("y"), ROUTE_PLAN_UNKNOWN_MODEL);
    cr_assert(slice_eq(plan.subject, S("y")));
    cr_assert_eq(ask(""), ROUTE_PLAN_NO_MODEL);
    cr_assert_eq(ask("off/x"), ROUTE_PLAN_OFF);
    cr_assert(slice_eq(plan.subject, S("off")));
    cr_assert_eq(ask_as(NULL, "a", ""), ROUTE_PLAN_NO_MODEL);
    cr_assert_eq(plan.count, 0);
    close_all();
}

Test(choose, follows_aliases_and_fallbacks)
{
    open_with("{\"providers\": {" ON("a") "," ON("b") "," OFF(
        "off") "}, \"routes\": ["
               "{\"model\": \"fast\", \"to\": [\"a/m/x:free\"], \"fallback\": [\"off\", \"b\", "
               "\"a/n\", \"b\"]}]}");
    cr_assert_eq(ask("fast"), ROUTE_PLAN_OK);
    cr_assert_eq(plan.count, 3);
    cr_assert(goes_to(0, "a", "m/x:free"));
    cr_assert(goes_to(1, "b", "fast"));
    cr_assert(goes_to(2, "a", "n"));
    close_all();
}

Test(choose, by_weight_and_in_turns)
{
    uint32_t hits[3] = {0}, in_a_row = 0, longest = 0;

    open_with("{\"providers\": {" ON("a") "," ON("b") "," ON("c") "," OFF(
        "off") "}, \"routes\": ["
               "{\"model\": \"*\", \"to\": [{\"provider\": \"a\", \"weight\": 7}, {\"provider\": "
               "\"off\", \"weight\": 50}, {\"provider\": \"b\", \"weight\": 3}, {\"provider\": "
               "\"c\", \"weight\": 0}]}]}");
    for (int i = 0; i < 100; i++) {
        uint32_t first;

        cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
        cr_assert_eq(plan.count, 3);
        cr_assert(goes_to(2, "c", "x"));
        first = plan.candidates[0].provider->index;
        hits[first]++;
        in_a_row = first == 0 ? in_a_row + 1 : 0;
        longest = in_a_row > longest ? in_a_row : longest;
    }
    cr_assert_eq(hits[0], 70);
    cr_assert_eq(hits[1], 30);
    cr_assert_leq(longest, 3); /* not seven in a row */
    close_all();
}

Test(choose, the_last_resort_serves_alone)
{
    open_with("{\"providers\": {" ON("c") "," OFF(
        "off") "}, \"routes\": [{\"model\": \"*\", "
               "\"to\": [\"off\", {\"provider\": \"c\", \"weight\": 0}]}]}");
    cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
    cr_assert_eq(plan.count, 1);
    cr_assert(goes_to(0, "c", "x"));
    close_all();
}

Test(choose, keeps_to_the_models_a_provider_lists)
{
    open_with("{\"providers\": {\"a\": {\"kind\": \"echo\", \"models\": [\"m-*\", \"!m-9\"]}},"
              "\"default_provider\": \"a\"}");
    cr_assert_eq(ask("m-1"), ROUTE_PLAN_OK);
    cr_assert_eq(ask("a/m-1"), ROUTE_PLAN_OK);
    cr_assert_eq(ask("m-9"), ROUTE_PLAN_UNKNOWN_MODEL);
    cr_assert_eq(ask("a/zz"), ROUTE_PLAN_UNKNOWN_MODEL);
    cr_assert(slice_eq(plan.subject, S("a/zz")));
    cr_assert_eq(ask_as(NULL, "a", "zz"), ROUTE_PLAN_UNKNOWN_MODEL);
    close_all();
}

Test(choose, who_lists_an_id_serves_it)
{
    open_with("{\"providers\": {" ON(
        "any") ", \"a\": {\"kind\": \"echo\", \"models\": [\"m\", "
               "\"g*\"]}, \"b\": {\"kind\": \"echo\", \"models\": [\"m\", \"n\"]}}, "
               "\"default_provider\": \"any\"}");
    cr_assert_eq(ask("m"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "a", "m"));
    cr_assert_eq(ask("n"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "n"));
    cr_assert_eq(ask("g1"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "any", "g1"));
    close_all();
    open_with("{\"providers\": {\"a\": {\"kind\": \"echo\", \"models\": [\"m\"]}, \"b\": "
              "{\"kind\": \"echo\", \"models\": [\"m\", \"n\"]}}, \"default_provider\": \"b\"}");
    cr_assert_eq(ask("m"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "m"));
    close_all();
}

/* --- default models --- */

Test(choose, default_model_falls_in)
{
    open_with("{\"providers\": {" ON("a") "," ON(
        "b") "}, \"default_provider\": \"a\", "
             "\"default_model\": {\"id\": \"b/m\", \"mode\": \"fallback\"}}");
    cr_assert_eq(ask(""), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "m"));
    cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "a", "x"));
    cr_assert_eq(ask_as(NULL, "b", ""), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "m"));
    close_all();
}

Test(choose, default_model_is_forced)
{
    open_with("{\"providers\": {" ON("a") "," ON(
        "b") "}, \"routes\": [{\"model\": \"m\", \"to\": "
             "[\"b\"]}], \"default_provider\": \"a\", \"default_model\": {\"id\": \"m\", "
             "\"mode\": \"force\"}}");
    cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "b", "m"));
    cr_assert_eq(ask_as(NULL, "a", "x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "a", "m"));
    close_all();
}

Test(choose, a_providers_default_model_is_nearer)
{
    open_with("{\"providers\": {\"a\": {\"kind\": \"echo\", \"default_model\": {\"id\": \"own\"}},"
              "\"f\": {\"kind\": \"echo\", \"default_model\": {\"id\": \"only\", \"mode\": "
              "\"force\"}}}, \"default_provider\": \"a\"}");
    cr_assert_eq(ask(""), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "a", "own"));
    cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "a", "x"));
    cr_assert_eq(ask("f/x"), ROUTE_PLAN_OK);
    cr_assert(goes_to(0, "f", "only"));
    close_all();
}

/* --- what a key may --- */

Test(choose, keeps_keys_to_their_models)
{
    const struct cfg_key *key;

    open_with("{\"api_keys\": [{\"name\": \"k\", \"key\": \"k\", \"models\": [\"claude-*\", "
              "\"fast\", \"!*-opus\"]}, {\"name\": \"n\", \"key\": \"n\", \"models\": [\"!x\"]}], "
              "\"providers\": {" ON("a") "," ON(
                  "b") "}, \"routes\": [{\"model\": \"fast\", "
                       "\"to\": [\"a/gem\"]}], \"default_provider\": \"a\"}");
    key = &config->keys[0];
    cr_assert_eq(ask_as(key, "", "claude-1"), ROUTE_PLAN_OK);
    cr_assert_eq(ask_as(key, "", "b/claude-1"), ROUTE_PLAN_OK);
    cr_assert_eq(ask_as(key, "", "fast"), ROUTE_PLAN_OK);
    cr_assert_eq(ask_as(key, "", "gem"), ROUTE_PLAN_FORBIDDEN);
    cr_assert(slice_eq(plan.subject, S("gem")));
    cr_assert_eq(plan.count, 0);
    cr_assert_eq(ask_as(key, "", "claude-opus"), ROUTE_PLAN_FORBIDDEN);
    cr_assert_eq(ask_as(key, "", "a/claude-opus"), ROUTE_PLAN_FORBIDDEN);
    key = &config->keys[1];
    cr_assert_eq(ask_as(key, "", "y"), ROUTE_PLAN_OK);
    cr_assert_eq(ask_as(key, "", "x"), ROUTE_PLAN_FORBIDDEN);
    cr_assert_eq(ask_as(key, "", "b/x"), ROUTE_PLAN_FORBIDDEN);
    close_all();
}

Test(choose, allows_by_globs)
{
    struct slice globs[] = {S("a*"), S("!ab*")};

    cr_assert(route_allows(globs, 2, S("ac")));
    cr_assert_not(route_allows(globs, 2, S("abc")));
    cr_assert_not(route_allows(globs, 2, S("b")));
    cr_assert(route_allows(&globs[1], 1, S("b")));
    cr_assert(route_allows(NULL, 0, S("b")));
}

/* --- levels --- */

Test(choose, the_nearest_setting_wins)
{
    struct timeouts t;
    struct retry_rule retry;

    open_with(
        "{\"timeouts\": {\"connect_ms\": 1, \"idle_ms\": 2, \"total_ms\": 3}, \"strict\": "
        "true, \"retry\": {\"attempts\": 4}, \"api_keys\": [{\"key\": \"k\", \"strict\": "
        "true}, \"l\"], \"providers\": {\"a\": {\"kind\": \"echo\", \"timeouts\": "
        "{\"idle_ms\": 20, \"total_ms\": 30}, \"strict\": false, \"retry\": "
        "{\"base_delay_ms\": 0}}," ON(
            "b") "}, \"routes\": [{\"model\": \"x\", \"to\": "
                 "[\"a\"], \"timeouts\": {\"total_ms\": 0}}, {\"model\": \"s\", \"to\": [\"a\"], "
                 "\"strict\": true}]}");
    cr_assert_eq(ask("x"), ROUTE_PLAN_OK);
    cr_assert_eq(plan.timeouts.connect_ms, 1);
    cr_assert_eq(plan.timeouts.idle_ms, 20);
    cr_assert_eq(plan.timeouts.total_ms, 0);
    cr_assert_eq(plan.timeouts.hold_ms, 15000);
    cr_assert_eq(plan.strict, 0);
    cr_assert_eq(ask_as(&config->keys[0], "", "x"), ROUTE_PLAN_OK);
    cr_assert_eq(plan.strict, 1);
    cr_assert_eq(ask_as(&config->keys[1], "", "s"), ROUTE_PLAN_OK);
    cr_assert_eq(plan.strict, 1);
    cr_assert(route_strict(config, NULL, NULL, &config->providers[1]));
    route_timeouts(config, NULL, &config->providers[1], &t);
    cr_assert_eq(t.idle_ms, 2);
    retry = route_retry(config, &config->providers[0]);
    cr_assert_eq(retry.attempts, 4);
    cr_assert_eq(retry.base_delay_ms, 0);
    close_all();
}

/* --- lists --- */

static char listed[1024];

static void take(void *context, const struct proto_model *model)
{
    (void)context;
    snprintf(listed + strlen(listed), sizeof(listed) - strlen(listed), "%.*s(%.*s) ",
             (int)model->id.len, model->id.ptr, (int)model->owner.len, model->owner.ptr);
}

static const char *list(const struct cfg_key *key, const struct provider_instance *only)
{
    listed[0] = 0;
    route_models(config, key, only, take, NULL);
    return listed;
}

Test(choose, lists_what_clients_may_name)
{
    open_with("{\"api_keys\": [{\"key\": \"k\", \"models\": [\"m*\", \"b/*\"]}], \"providers\": {"
              "\"a\": {\"kind\": \"echo\", \"models\": [\"m1\", \"m2\", \"g*\", \"!m3\", \"m3\"]}, "
              "\"b\": {\"kind\": \"echo\", \"models\": [\"m1\", \"q\"]}," OFF(
                  "off") "}, \"routes\": ["
                         "{\"model\": \"fast\", \"to\": [\"b/q\"]}, {\"model\": \"gone\", \"to\": "
                         "[\"off\"]}, "
                         "{\"model\": \"x*\", \"to\": [\"a\"]}], \"default_provider\": \"a\"}");
    cr_assert_str_eq(list(NULL, NULL), "fast(b) m1(a) m2(a) b/m1(b) q(b) ");
    cr_assert_str_eq(list(&config->keys[0], NULL), "m1(a) m2(a) b/m1(b) ");
    cr_assert_str_eq(list(NULL, &config->providers[1]), "m1(b) q(b) ");
    close_all();
}

Test(choose, lists_echo_in_the_demo)
{
    open_with("{}");
    cr_assert_str_eq(list(NULL, NULL), "echo(echo) ");
    cr_assert_eq(ask("anything"), ROUTE_PLAN_OK);
    close_all();
}
