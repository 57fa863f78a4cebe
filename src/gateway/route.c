/* What a request line asks for. The paths are one table; what is not in it (Gemini's verbs, ids
 * that hold slashes, prefixes) is read around it. Routes name their dialect, and are there when the
 * dialect is. Which upstream serves a request is choose.c. */
#include "route.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/http/url.h"

enum { GET = 1, POST = 2, DELETE = 4 }; /* HEAD comes with GET */

struct row {
    struct slice
        path; /* behind the version, without a leading slash; ends with '/': an id follows */
    uint8_t methods;
    uint8_t op;         /* enum route_op */
    struct slice proto; /* dialect; empty: by the headers */
};
#define ROW(path, methods, op, proto)            \
    {                                            \
        S_INIT(path), methods, op, S_INIT(proto) \
    }

static const struct row rows[] = {
    ROW("chat/completions", POST, ROUTE_GENERATE, "openai"),
    ROW("messages", POST, ROUTE_GENERATE, "anthropic"),
    ROW("messages/count_tokens", POST, ROUTE_COUNT, "anthropic"),
    ROW("responses", POST, ROUTE_GENERATE, "openai-responses"),
    ROW("responses/input_tokens", POST, ROUTE_COUNT, "openai-responses"),
    ROW("responses/", GET | DELETE, ROUTE_RESPONSE, "openai-responses"),
    ROW("models", GET, ROUTE_MODELS, ""),
    ROW("models/", GET, ROUTE_MODEL, ""),
    ROW("embeddings", POST, ROUTE_PASS, "openai"),
    ROW("completions", POST, ROUTE_PASS, "openai"),
    ROW("images/generations", POST, ROUTE_PASS, "openai"),
    ROW("images/edits", POST, ROUTE_PASS, "openai"),
    ROW("audio/speech", POST, ROUTE_PASS, "openai"),
    ROW("audio/transcriptions", POST, ROUTE_PASS, "openai"),
    ROW("moderations", POST, ROUTE_PASS, "openai"),
    ROW("rerank", POST, ROUTE_PASS, "openai"),
};

/* Paths of the gateway itself: no version, no prefix. */
static const struct row own_rows[] = {
    ROW("", GET, ROUTE_ROOT, ""),           ROW("api/hello", GET, ROUTE_HELLO, ""),
    ROW("health", GET, ROUTE_HEALTH, ""),   ROW("ready", GET, ROUTE_READY, ""),
    ROW("metrics", GET, ROUTE_METRICS, ""),
};

struct verb {
    struct slice name;
    uint8_t op;
    bool is_stream;
};
static const struct verb verbs[] = {
    {S_INIT("generateContent"), ROUTE_GENERATE, false},
    {S_INIT("streamGenerateContent"), ROUTE_GENERATE, true},
    {S_INIT("countTokens"), ROUTE_COUNT, false},
    {S_INIT("embedContent"), ROUTE_EMBED, false},
    {S_INIT("batchEmbedContents"), ROUTE_EMBED, false},
};

static uint8_t method_bit(struct slice method)
{
    if (slice_eq(method, S("GET")) || slice_eq(method, S("HEAD")))
        return GET;
    if (slice_eq(method, S("POST")))
        return POST;
    return slice_eq(method, S("DELETE")) ? DELETE : 0;
}

static const char *allow_of(uint8_t methods)
{
    switch (methods) {
    case GET:
        return "GET, HEAD";
    case POST:
        return "POST";
    case GET | DELETE:
        return "GET, HEAD, DELETE";
    default:
        return "GET, HEAD, POST";
    }
}

/* --- dialects --- */

static const struct proto *openai(void)
{
    return proto_find(S("openai"));
}

static bool has_query_key(struct slice query)
{
    struct slice value;

    return url_query_find(query, S("key"), &value);
}

/* GET /v1/models is three APIs at one path, told apart by credentials and version. */
static const struct proto *by_headers(const struct route_request *request, bool is_beta)
{
    const struct proto *gemini = proto_find(S("gemini"));
    const struct proto *anthropic = proto_find(S("anthropic"));

    if (gemini && (is_beta || request->has_goog_key || has_query_key(request->query)))
        return gemini;
    if (anthropic && request->has_anthropic_version && !is_beta)
        return anthropic;
    return openai();
}

/* --- paths --- */

/* The first segment of a path without its leading slash. */
static struct slice first_segment(struct slice rest)
{
    return slice_head(rest, str_find_char(rest, '/'));
}

static struct slice behind_segment(struct slice rest)
{
    size_t slash = str_find_char(rest, '/');

    return slash < rest.len ? slice_skip(rest, slash + 1) : slice_skip(rest, rest.len);
}

static const struct provider_instance *prefix_of(const struct config *config, struct slice rest,
                                                 char *buf)
{
    struct slice segment = first_segment(rest);
    int32_t len;

    if (segment.len == rest.len) /* a provider alone is no route */
        return NULL;
    len = url_decode(segment, buf);
    return len > 0 ? config_provider(config, slice_of(buf, (size_t)len)) : NULL;
}

static void apply_row(const struct row *row, const struct route_request *request, bool is_beta,
                      struct route_match *match)
{
    const struct proto *proto =
        row->proto.len > 0 ? proto_find(row->proto) : by_headers(request, is_beta);

    if (row->op == ROUTE_GENERATE && request->has_upgrade &&
        slice_eq(row->proto, S("openai-responses")) && method_bit(request->method) == GET) {
        match->op = ROUTE_WEBSOCKET;
        match->client = proto ? proto : openai();
        return;
    }
    if (proto == NULL)
        return; /* the dialect is not built in: as if the path were unknown */
    match->client = proto;
    match->op = row->op;
    match->method_wrong = !(method_bit(request->method) & row->methods);
    match->allow = allow_of(row->methods);
}

/* `models/x:verb`, `vendor/x:verb`: the verb is what follows the last colon, ids hold colons too.
 */
static bool match_gemini(const struct route_request *request, struct slice rest, char *buf,
                         struct route_match *match)
{
    const struct proto *gemini;
    int32_t len;
    struct slice decoded, verb, id, alt;
    size_t colon;

    if (str_find_char(rest, ':') == rest.len && str_find_char(rest, '%') == rest.len)
        return false;
    gemini = proto_find(S("gemini"));
    len = url_decode(rest, buf);
    decoded = slice_of(buf, len > 0 ? (size_t)len : 0);
    colon = str_find_last_char(decoded, ':');
    if (gemini == NULL || colon >= decoded.len)
        return false;
    verb = slice_skip(decoded, colon + 1);
    id = slice_head(decoded, colon);
    if (str_starts(id, S("models/")))
        id = slice_skip(id, 7);
    if (id.len == 0)
        return false;
    for (size_t i = 0; i < array_count(verbs); i++) {
        if (!slice_eq(verbs[i].name, verb))
            continue;
        match->client = gemini;
        match->op = verbs[i].op;
        match->id = id;
        match->method_name = verb;
        match->is_stream_path = verbs[i].is_stream;
        match->is_json_array =
            verbs[i].is_stream &&
            !(url_query_find(request->query, S("alt"), &alt) && str_eq_nocase(alt, S("sse")));
        match->method_wrong = method_bit(request->method) != POST;
        match->allow = "POST";
        return true;
    }
    if (method_bit(request->method) != POST)
        return false;       /* GET /v1/models/x:free names a model */
    match->client = gemini; /* a verb nobody knows */
    match->op = ROUTE_NONE;
    return true;
}

static void match_table(const struct route_request *request, struct slice rest, bool is_beta,
                        char *buf, struct route_match *match)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        const struct row *row = &rows[i];
        bool takes_id = row->path.ptr[row->path.len - 1] == '/';
        int32_t len;

        if (takes_id ? !(str_starts(rest, row->path) && rest.len > row->path.len)
                     : !slice_eq(rest, row->path))
            continue;
        if (is_beta && row->op != ROUTE_MODELS && row->op != ROUTE_MODEL)
            return;
        if (takes_id) {
            struct slice id = slice_skip(rest, row->path.len);

            /* a model's id may hold slashes, a response's does not */
            if (row->op == ROUTE_RESPONSE && str_find_char(id, '/') < id.len)
                return;
            len = url_decode(id, buf);
            if (len <= 0)
                return;
            match->id = slice_of(buf, (size_t)len);
        }
        apply_row(row, request, is_beta, match);
        if (match->op == ROUTE_PASS)
            match->pass_path = slice_of(rest.ptr - 1, rest.len + 1);
        return;
    }
}

static bool match_own(const struct route_request *request, struct slice rest,
                      struct route_match *match)
{
    for (size_t i = 0; i < array_count(own_rows); i++) {
        if (slice_eq(rest, own_rows[i].path)) {
            apply_row(&own_rows[i], request, false, match);
            return true;
        }
    }
    return false;
}

/* `rest` is a path without its leading slash. Leaves `client` empty where the path names none;
 * returns whether it is of v1beta. */
static bool match_path(const struct config *config, const struct route_request *request,
                       struct slice rest, char *buf, struct route_match *match)
{
    bool is_beta = false;
    bool has_version = false;

    if (match_own(request, rest, match))
        return false;
    match->prefix = prefix_of(config, rest, buf);
    if (match->prefix)
        rest = behind_segment(rest);
    /* a base URL that ends with the version, and a client that adds it again */
    while (slice_eq(first_segment(rest), S("v1"))) {
        has_version = true;
        rest = behind_segment(rest);
    }
    if (slice_eq(first_segment(rest), S("v1beta"))) {
        is_beta = true;
        rest = behind_segment(rest);
    }
    if ((is_beta || has_version) && match_gemini(request, rest, buf, match))
        return is_beta;
    if (is_beta && proto_find(S("gemini")) == NULL)
        return is_beta; /* these paths are that dialect's */
    match_table(request, rest, is_beta, buf, match);
    return is_beta;
}

void route_match(const struct config *config, const struct route_request *request, char *buf,
                 struct route_match *match)
{
    struct slice rest = request->path;
    bool is_beta;

    *match = (struct route_match){.op = ROUTE_NONE, .query = request->query};
    if (slice_eq(request->method, S("OPTIONS"))) {
        match->op = ROUTE_OPTIONS;
        match->client = openai();
        return;
    }
    if (rest.len == 0 || rest.ptr[0] != '/') {
        match->client = openai();
        return;
    }
    rest = slice_skip(rest, 1);
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    is_beta = match_path(config, request, rest, buf, match);
    if (match->client == NULL)
        match->client = by_headers(request, is_beta);
    check(match->client != NULL);
}
