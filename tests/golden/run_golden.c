/* Replays transcripts: what a dialect reads, as events, and what it writes for events.
 *
 * A transcript is Markdown; each fenced block under a heading is a case, a line a step:
 *
 *   do   request-decode openai          in -> ir       a client's request body (lines joined by \n)
 *   do   request-encode openai          ir -> out      the body an upstream gets (lines joined)
 *   do   decode openai                  in -> ir       an upstream's stream (SSE lines)
 *   do   decode-document openai         in -> ir       an upstream's plain answer
 *   do   encode openai                  ir -> out      what a client gets, as a stream
 *   do   encode-document openai         ir -> out      the same as one document
 *   do   request anthropic openai       in -> out      from a client's body to an upstream's
 *   do   answer openai anthropic        in -> out      from an upstream's stream to a client's
 *   do   answer-document openai anthropic
 *   do   error openai                   ir -> out      the body of an ERROR event; `status` too
 *   set  KEY VALUE                      brief, target and profile; see settings()
 *   lost NAME,NAME                      losses of request-encode and request, when there are any
 *
 * A request that is refused gives the line `ir ERROR …` instead of `out`. Streams are decoded
 * whole, byte by byte and at random splits: all must agree (pieces of one text are joined first).
 *
 * GOLDEN_UPDATE=1 rewrites what is expected into what is; read the difference before committing. */

#include "support/proto_kit.h"

#include "r2a/core/check.h"
#include "r2a/http/sse.h"
#include "r2a/proto/list.h"

#define CASE_BYTES_MAX (1u << 20)

struct text_of {
    char *ptr;
    size_t len;
};

struct golden {
    struct kit kit;
    char verb[32];
    const struct proto *first, *second;
    struct text_of in, ir, want, got;
    bool is_skipped;
    const char *complaint;
};

static void append(struct text_of *to, struct slice bytes)
{
    if (to->len + bytes.len + 2 > CASE_BYTES_MAX)
        abort();
    memcpy(to->ptr + to->len, bytes.ptr, bytes.len);
    to->len += bytes.len;
    to->ptr[to->len] = '\0';
}

static struct slice text_slice(const struct text_of *text)
{
    return slice_of(text->ptr, text->len);
}

/* Each line of `lines` under a tag. */
static void got_lines(struct golden *g, const char *tag, struct slice lines)
{
    struct slice line;

    if (lines.len > 0 && lines.ptr[lines.len - 1] == '\n')
        lines.len--;
    while (lines.ptr != NULL && str_split(&lines, '\n', &line)) {
        append(&g->got, slice_from_z(tag));
        if (line.len > 0)
            append(&g->got, S("  "));
        append(&g->got, line);
        append(&g->got, S("\n"));
    }
}

static void got_fault(struct golden *g)
{
    struct rope rope = kit_rope(&g->kit);

    ir_print(&(struct ir_event){.kind = IR_ERROR, .u.fault = &g->kit.fault}, &rope);
    got_lines(g, "ir ", kit_take(&g->kit, &rope));
}

static void got_losses(struct golden *g)
{
    if (g->kit.loss.names_count == 0)
        return;
    append(&g->got, S("lost "));
    for (uint32_t i = 0; i < g->kit.loss.names_count; i++) {
        if (i > 0)
            append(&g->got, S(","));
        append(&g->got, g->kit.loss.names[i]);
    }
    append(&g->got, S("\n"));
}

/* --- settings --- */

static struct slice keep(struct golden *g, struct slice value)
{
    return arena_copy(&g->kit.arena, value);
}

/* `CLIENT WIRE [custom] [builtin=N] [space=NS]`, N of proto/builtin.h */
static void add_name(struct golden *g, struct slice value)
{
    struct brief *brief = &g->kit.brief;
    struct brief_name *names = arena_take_zero(&g->kit.arena, 16 * sizeof(*names));
    struct slice word;

    if (brief->names_count > 0)
        memcpy(names, brief->names, brief->names_count * sizeof(*names));
    brief->names = names;
    names += brief->names_count++;
    for (uint32_t i = 0; kit_word(&value, &word); i++) {
        if (i == 0)
            names->client = text_plain(keep(g, word));
        else if (i == 1)
            names->wire = keep(g, word);
        else if (slice_eq(word, S("custom")))
            names->is_custom = true;
        else if (str_starts(word, S("builtin=")))
            names->builtin = (uint8_t)(word.ptr[8] - '0');
        else
            names->space = text_plain(keep(g, slice_skip(word, 6)));
        value = slice_skip(value, word.len);
    }
}

static void settings(struct golden *g, struct slice line)
{
    struct brief *brief = &g->kit.brief;
    struct target *target = &g->kit.target;
    struct slice key, value;
    const char *why = NULL;
    bool is_on;

    if (!kit_word(&line, &key))
        return;
    value = str_trim(slice_skip(line, key.len));
    is_on = !slice_eq(value, S("0")) && !slice_eq(value, S("no"));
    if (slice_eq(key, S("model")))
        brief->model = slice_eq(value, S("-")) ? S("") : keep(g, value);
    else if (slice_eq(key, S("usage")))
        brief->usage_asked = is_on;
    else if (slice_eq(key, S("legacy")))
        brief->is_legacy_functions = is_on;
    else if (slice_eq(key, S("thoughts")))
        brief->thoughts_shown = is_on;
    else if (slice_eq(key, S("strict")))
        brief->is_strict = is_on;
    else if (slice_eq(key, S("array")))
        brief->shape = BRIEF_JSON_ARRAY;
    else if (slice_eq(key, S("count")))
        brief->operation = BRIEF_COUNT;
    else if (slice_eq(key, S("text_bytes")))
        (void)str_parse_u64(value, &brief->text_bytes);
    else if (slice_eq(key, S("name")))
        add_name(g, value);
    else if (slice_eq(key, S("stream")))
        target->is_stream = is_on;
    else if (slice_eq(key, S("minter")))
        target->minter = brief->minter = keep(g, value);
    else if (slice_eq(key, S("target")))
        target->model = keep(g, value);
    else if (slice_eq(key, S("system")))
        target->system_text = keep(g, value);
    else if (slice_eq(key, S("override")))
        target->system_mode = SYSTEM_OVERRIDE;
    else if (slice_eq(key, S("profile")))
        profile_of(value, false, &target->profile);
    else if (slice_eq(key, S("profile-openai")))
        profile_of(value, true, &target->profile);
    else if (!profile_set(&target->profile, key, value, &why))
        g->complaint = why;
}

/* --- the verbs --- */

enum cut { CUT_NONE, CUT_BYTES, CUT_RANDOM, CUTS };

/* 1 … 40, the same in every run. */
static size_t next_len(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return 1 + (size_t)(*random >> 40) % 40;
}

/* A stream in pieces through the SSE framing. */
static struct slice decode_cut(struct golden *g, enum cut cut, struct slice bytes)
{
    uint64_t random = 7;
    struct kit_answer answer;
    struct frame frame = {0};
    struct sse sse;
    int32_t used;

    kit_answer_open(&g->kit, g->first, &answer);
    sse_init(&sse, g->kit.mem, 1u << 20);
    while (bytes.len > 0) {
        size_t len = cut == CUT_NONE ? bytes.len : cut == CUT_BYTES ? 1 : next_len(&random);
        struct slice piece = slice_head(bytes, len);

        bytes = slice_skip(bytes, piece.len);
        while ((used = sse_feed(&sse, piece, &frame)) > 0) {
            (void)answer.proto->decode(answer.decoder, &frame, &answer.grammar.sink);
            piece = slice_skip(piece, (size_t)used);
        }
    }
    while (sse_finish(&sse, &frame) > 0)
        (void)answer.proto->decode(answer.decoder, &frame, &answer.grammar.sink);
    sse_free(&sse);
    return kit_answer_finish(&answer);
}

static struct slice decode_stream(struct golden *g)
{
    struct slice lines[CUTS];

    for (int cut = 0; cut < CUTS; cut++) {
        g->kit.brief.ids_made = 0;
        lines[cut] = kit_join_texts(&g->kit, decode_cut(g, (enum cut)cut, text_slice(&g->in)));
        if (!slice_eq(lines[cut], lines[0]))
            g->complaint = cut == CUT_BYTES ? "differs when fed byte by byte"
                                            : "differs when fed in random pieces";
    }
    return lines[0];
}

static void run_verb(struct golden *g)
{
    struct kit *kit = &g->kit;
    struct slice verb = slice_from_z(g->verb), out;
    bool is_document = str_ends(verb, S("-document"));

    if (g->first == NULL) {
        g->complaint = "no such dialect";
        return;
    }
    if (is_document)
        kit->brief.shape = BRIEF_DOCUMENT;
    if (slice_eq(verb, S("request-decode"))) {
        got_lines(g, "ir ", kit_request_decode(kit, g->first, text_slice(&g->in)));
    } else if (slice_eq(verb, S("request")) && g->second != NULL) {
        out = kit_translate(kit, g->first, g->second, text_slice(&g->in));
        if (out.len == 0)
            got_fault(g);
        else
            got_lines(g, "out", out);
        got_losses(g);
    } else if (slice_eq(verb, S("request-encode"))) {
        struct ir_grammar grammar;
        struct ir_tape tape;

        ir_tape_init(&tape, kit->mem);
        ir_grammar_request(&grammar, &tape.sink, false);
        if (!kit_put_lines(kit, text_slice(&g->ir), &grammar.sink))
            g->complaint = grammar.what_is_wrong != NULL ? grammar.what_is_wrong : "bad line";
        out = kit_request_encode(kit, g->first, &tape);
        if (out.len == 0)
            got_fault(g);
        else
            got_lines(g, "out", out);
        got_losses(g);
        ir_tape_clear(&tape);
    } else if (slice_eq(verb, S("decode"))) {
        got_lines(g, "ir ", decode_stream(g));
    } else if (slice_eq(verb, S("decode-document"))) {
        got_lines(g, "ir ", kit_decode_document(kit, g->first, text_slice(&g->in)));
    } else if (slice_eq(verb, S("encode")) || slice_eq(verb, S("encode-document"))) {
        got_lines(g, "out", kit_encode(kit, g->first, text_slice(&g->ir)));
    } else if (str_starts(verb, S("answer")) && g->second != NULL) {
        uint8_t shape = kit->brief.shape;

        out =
            is_document ? kit_decode_document(kit, g->first, text_slice(&g->in)) : decode_stream(g);
        kit->brief.shape = shape;
        got_lines(g, "out", kit_encode(kit, g->second, out));
    } else if (slice_eq(verb, S("error"))) {
        struct rope rope = kit_rope(kit);
        struct ir_event event;
        char status[32];

        if (!kit_read_line(kit, str_trim_lines(text_slice(&g->ir)), &event)) {
            g->complaint = "bad line";
            return;
        }
        snprintf(status, sizeof(status), "status %u\n", g->first->error_body(event.u.fault, &rope));
        got_lines(g, "out", kit_take(kit, &rope));
        append(&g->got, slice_from_z(status));
    } else {
        g->complaint = "no such verb";
    }
}

/* --- cases --- */

static void copy_word(char *to, size_t size, struct slice word)
{
    size_t len = word.len < size - 1 ? word.len : size - 1;

    memcpy(to, word.ptr, len);
    to[len] = '\0';
}

static bool expects(const struct golden *g, struct slice tag)
{
    bool is_to_ir = strstr(g->verb, "decode") != NULL;

    if (slice_eq(tag, S("out")) || slice_eq(tag, S("lost")) || slice_eq(tag, S("status")))
        return true;
    if (!slice_eq(tag, S("ir")))
        return false;
    /* Events are what is expected of a decoder, and the fault of a refused request. */
    return is_to_ir || strcmp(g->verb, "request") == 0 ||
           (strcmp(g->verb, "request-encode") == 0 && g->ir.len > 0 &&
            str_ends(str_trim_lines(text_slice(&g->ir)), S("\nEND")));
}

static void take_line(struct golden *g, struct slice line)
{
    struct slice rest = line, tag, value, word;

    if (!kit_word(&rest, &tag))
        return;
    value = slice_skip(rest, tag.len);
    if (tag.len == 2 && value.len >= 3)
        value = slice_skip(value, 3);
    else if (value.len >= 2 && tag.len == 3)
        value = slice_skip(value, 2);
    else
        value = str_trim(value);
    if (expects(g, tag)) {
        append(&g->want, line);
        append(&g->want, S("\n"));
    } else if (slice_eq(tag, S("do"))) {
        value = str_trim(value);
        (void)kit_word(&value, &word);
        copy_word(g->verb, sizeof(g->verb), word);
        value = slice_skip(value, word.len);
        if (kit_word(&value, &word)) {
            g->first = proto_find(word);
            value = slice_skip(value, word.len);
        }
        if (kit_word(&value, &word))
            g->second = proto_find(word);
    } else if (slice_eq(tag, S("set"))) {
        settings(g, value);
    } else if (slice_eq(tag, S("in"))) {
        append(&g->in, value);
        append(&g->in, S("\n"));
    } else if (slice_eq(tag, S("ir"))) {
        append(&g->ir, value);
        append(&g->ir, S("\n"));
    }
}

static void show(const char *title, struct slice lines)
{
    struct slice line;

    printf("  %s\n", title);
    while (lines.ptr != NULL && str_split(&lines, '\n', &line))
        if (line.len > 0)
            printf("    %.*s\n", (int)line.len, line.ptr);
}

static void show_first_difference(struct slice want, struct slice got)
{
    struct slice a, b;
    int number = 1;

    for (;; number++) {
        bool has_a = want.ptr != NULL && str_split(&want, '\n', &a);
        bool has_b = got.ptr != NULL && str_split(&got, '\n', &b);

        if (!has_a && !has_b)
            return;
        if (has_a && has_b && slice_eq(a, b))
            continue;
        printf("  first difference, line %d\n    want %.*s\n    got  %.*s\n", number,
               has_a ? (int)a.len : 0, has_a ? a.ptr : "", has_b ? (int)b.len : 0,
               has_b ? b.ptr : "");
        return;
    }
}

struct runner {
    struct golden golden;
    unsigned passed, failed;
    bool updates;
    FILE *rewrite;
};

static void begin_case(struct golden *g)
{
    g->in.len = g->ir.len = g->want.len = g->got.len = 0;
    g->verb[0] = '\0';
    g->first = g->second = NULL;
    g->complaint = NULL;
    kit_open(&g->kit);
}

static void end_case(struct runner *r, const char *path, const char *title)
{
    struct golden *g = &r->golden;
    struct slice want, got;

    if (g->verb[0] != '\0') {
        /* The last line of a request, which is not a stream, brought a line end with it. */
        if (strncmp(g->verb, "request", 7) == 0 && g->in.len > 0)
            g->in.len--;
        run_verb(g);
        want = text_slice(&g->want);
        got = text_slice(&g->got);
        if (r->rewrite != NULL)
            fwrite(got.ptr, 1, got.len, r->rewrite);
        if (g->complaint != NULL || (!slice_eq(want, got) && !r->updates)) {
            r->failed++;
            printf("FAILED %s: %s%s%s\n", path, title, g->complaint ? ": " : "",
                   g->complaint ? g->complaint : "");
            if (!slice_eq(want, got)) {
                show_first_difference(want, got);
                show("got", got);
            }
        } else {
            r->passed++;
        }
    }
    kit_close(&g->kit);
}

static void run_file(struct runner *r, const char *path)
{
    char line[65536], title[256] = "", temporary[4096];
    bool in_case = false;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        printf("FAILED %s: cannot be read\n", path);
        r->failed++;
        return;
    }
    if (r->updates) {
        snprintf(temporary, sizeof(temporary), "%s.new", path);
        r->rewrite = fopen(temporary, "w");
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        struct slice text = slice_from_z(line), tag, rest;

        if (text.len > 0 && text.ptr[text.len - 1] == '\n')
            text.len--;
        if (str_starts(text, S("```"))) {
            if (in_case)
                end_case(r, path, title);
            else
                begin_case(&r->golden);
            in_case = !in_case;
        } else if (in_case) {
            take_line(&r->golden, text);
            rest = text;
            if (kit_word(&rest, &tag) && expects(&r->golden, tag) && !slice_eq(tag, S("do")))
                continue; /* written anew by end_case */
        } else if (str_starts(text, S("#"))) {
            copy_word(title, sizeof(title), text);
        }
        if (r->rewrite != NULL)
            fprintf(r->rewrite, "%.*s\n", (int)text.len, text.ptr);
    }
    fclose(file);
    if (r->rewrite != NULL) {
        fclose(r->rewrite);
        r->rewrite = NULL;
        if (rename(temporary, path) != 0)
            perror(path);
    }
}

int main(int argc, char **argv)
{
    static struct runner runner;
    struct golden *g = &runner.golden;
    struct text_of *texts[] = {&g->in, &g->ir, &g->want, &g->got};

    for (size_t i = 0; i < array_count(texts); i++) {
        texts[i]->ptr = malloc(CASE_BYTES_MAX);
        if (texts[i]->ptr == NULL)
            return 1;
    }
    runner.updates = getenv("GOLDEN_UPDATE") != NULL;
    for (int i = 1; i < argc; i++)
        run_file(&runner, argv[i]);
    for (size_t i = 0; i < array_count(texts); i++)
        free(texts[i]->ptr);
    printf("%u passed, %u failed\n", runner.passed, runner.failed);
    return runner.failed == 0 ? 0 : 1;
}
