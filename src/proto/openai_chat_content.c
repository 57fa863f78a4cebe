#include "openai_chat_stream.h"

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* The rarer members of a delta or message: content as an array, reasoning details, images,
 * citations and log probabilities. */

/* --- images and citations --- */

static enum r2a_err put_image(struct decoder *d, struct ir_sink *sink, uint8_t index,
                              struct choice *choice, struct text url)
{
    struct ir_event event = {.choice = index, .what = IR_PART_IMAGE};
    struct data_url data;

    if (url.len == 0 || !data_url_read(url, d->brief->arena, &data))
        return R2A_OK;
    CHAT_TRY(openai_chat_close_run(d, sink, index, choice));
    event.part = choice->parts_count++;
    event.kind = IR_PART;
    CHAT_TRY(ir_put(sink, &event));
    event.kind = IR_FIELD;
    event.what = IR_FIELD_SOURCE;
    event.u.field.number = data.is_data ? IR_SOURCE_BASE64 : IR_SOURCE_URL;
    CHAT_TRY(ir_put(sink, &event));
    if (data.mime.len > 0) {
        event.what = IR_FIELD_MIME;
        event.u.field.value = text_plain(data.mime);
        event.u.field.number = 0;
        CHAT_TRY(ir_put(sink, &event));
    }
    event.kind = IR_TEXT;
    event.what = 0;
    event.flags = IR_WHOLE;
    event.u.text = data.data;
    CHAT_TRY(ir_put(sink, &event));
    return openai_chat_put_end_of(sink, IR_PART_IMAGE, index, event.part);
}

/* {"type":"image_url","image_url":{"url":…}} of `images`, or among content parts. */
static struct text image_url_of(const struct member *value)
{
    static const struct slice name = S_INIT("url");
    struct member url;

    if (member_is(value, JSON_OBJECT) && members_of(value->raw, &name, 1, &url))
        return member_text(&url);
    return member_text(value);
}

enum r2a_err openai_chat_put_images(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                    struct choice *choice, struct slice raw)
{
    static const struct slice name = S_INIT("image_url");
    struct member member;
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) == JSON_OBJECT) {
        if (!members_read(&scan, &name, 1, &member, NULL, NULL, NULL))
            break;
        CHAT_TRY(put_image(d, sink, index, choice, image_url_of(&member)));
    }
    return R2A_OK;
}

enum r2a_err openai_chat_put_annotations(struct ir_sink *sink, uint8_t index,
                                         const struct choice *choice, struct slice raw)
{
    enum { URL, TITLE, START, END, CONTENT };
    static const struct slice outer = S_INIT("url_citation");
    static const struct slice names[] = {S_INIT("url"), S_INIT("title"), S_INIT("start_index"),
                                         S_INIT("end_index"), S_INIT("content")};
    struct member citation, members[array_count(names)];
    struct json_scan scan;

    if (choice->text_part == CHOICE_NO_PART)
        return R2A_OK; /* nothing they could belong to */
    json_open(&scan, raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_OBJECT) {
        struct ir_cite cite = {.start = -1, .end = -1, .document = -1};

        if (!members_read(&scan, &outer, 1, &citation, NULL, NULL, NULL))
            break;
        if (!member_is(&citation, JSON_OBJECT) ||
            !members_of(citation.raw, names, array_count(names), members))
            continue;
        cite.url = member_text(&members[URL]);
        cite.title = member_text(&members[TITLE]);
        cite.quoted = member_text(&members[CONTENT]);
        /* Their offsets count in the whole message: they are a part's only if it has no other. */
        if (choice->texts_count == 1) {
            (void)member_int(&members[START], &cite.start);
            (void)member_int(&members[END], &cite.end);
        }
        CHAT_TRY(ir_put(sink, &(struct ir_event){.kind = IR_CITE,
                                                 .choice = index,
                                                 .part = choice->text_part,
                                                 .u.cite = &cite}));
    }
    return R2A_OK;
}

/* --- content and reasoning --- */

/* Content that is an array (Mistral): text, thinking, refusals, images. */
enum r2a_err openai_chat_put_parts(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                   struct choice *choice, struct slice raw, uint8_t kind)
{
    enum { TEXT, THINKING, REFUSAL, IMAGE };
    static const struct slice names[] = {S_INIT("text"), S_INIT("thinking"), S_INIT("refusal"),
                                         S_INIT("image_url")};
    struct member members[array_count(names)];
    struct json_scan scan;
    enum json_token token;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR) {
        if (token != JSON_OBJECT) {
            if (token == JSON_STRING)
                CHAT_TRY(
                    openai_chat_put_run(d, sink, index, choice, kind, text_escaped(scan.text)));
            else if (!json_skip_after(&scan, token, NULL))
                break;
            continue;
        }
        if (!members_read(&scan, names, array_count(names), members, NULL, NULL, NULL))
            break;
        CHAT_TRY(openai_chat_put_run(d, sink, index, choice, kind, member_text(&members[TEXT])));
        CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REFUSAL,
                                     member_text(&members[REFUSAL])));
        CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REASON,
                                     member_text(&members[THINKING])));
        if (member_is(&members[THINKING], JSON_ARRAY) && kind != IR_PART_REASON)
            CHAT_TRY(openai_chat_put_parts(d, sink, index, choice, members[THINKING].raw,
                                           IR_PART_REASON));
        CHAT_TRY(put_image(d, sink, index, choice, image_url_of(&members[IMAGE])));
    }
    return R2A_OK;
}

static const struct slice detail_names[DETAIL_MEMBERS] = {
    [DETAIL_TYPE] = S_INIT("type"),     [DETAIL_SIGNATURE] = S_INIT("signature"),
    [DETAIL_DATA] = S_INIT("data"),     [DETAIL_ID] = S_INIT("id"),
    [DETAIL_FORMAT] = S_INIT("format"), [DETAIL_INDEX] = S_INIT("index"),
    [DETAIL_TEXT] = S_INIT("text"),     [DETAIL_SUMMARY] = S_INIT("summary"),
};

/* Fragments of one element have its type and index; where there is no index, only the first one of
 * a chunk can go on with what the chunk before it began. What is encrypted comes whole. */
static bool continues_detail(const struct choice *choice, const struct member *members,
                             bool is_first)
{
    const struct detail *detail = choice->detail;

    return detail != NULL && detail->is_open && members[DETAIL_DATA].kind == JSON_ERROR &&
           slice_eq(detail->kept[DETAIL_TYPE], members[DETAIL_TYPE].raw) &&
           slice_eq(detail->kept[DETAIL_INDEX], members[DETAIL_INDEX].raw) &&
           (is_first || members[DETAIL_INDEX].raw.len > 0);
}

static bool keep_detail(struct arena *arena, struct detail *detail, const struct member *members)
{
    for (uint32_t i = 0; i < DETAIL_KEPT; i++) {
        if (members[i].kind == JSON_ERROR || slice_eq(detail->kept[i], members[i].raw))
            continue;
        detail->kept[i] = arena_copy(arena, members[i].raw);
        if (detail->kept[i].len == 0)
            return false;
    }
    return true;
}

static enum r2a_err put_detail(struct decoder *d, struct ir_sink *sink, uint8_t index,
                               struct choice *choice, const struct member *members, bool is_first)
{
    struct arena *arena = d->brief->arena;
    struct detail *detail = choice->detail;

    if (members[DETAIL_TYPE].kind != JSON_STRING)
        return R2A_OK; /* only text, of servers that have no elements to bring back */
    if (!continues_detail(choice, members, is_first)) {
        bool is_late = choice->has_calls && members[DETAIL_DATA].kind != JSON_ERROR;
        /* Reasoning that began without an element is this one's text. */
        bool is_apart = (detail != NULL && detail->is_open) ||
                        members[DETAIL_DATA].kind != JSON_ERROR || !choice->is_open ||
                        choice->kind != IR_PART_REASON;

        if (!is_late && is_apart)
            CHAT_TRY(openai_chat_open_run(d, sink, index, choice, IR_PART_REASON));
        detail = arena_take_zero(arena, sizeof(*detail));
        if (detail == NULL || !keep_detail(arena, detail, members))
            return R2A_ERR_NO_MEMORY;
        detail->is_open = true;
        if (!is_late) {
            choice->detail = detail;
            return R2A_OK;
        }
        /* Between the fragments of calls: it waits until these have ended. */
        if (choice->late_end == NULL)
            choice->late = detail;
        else
            choice->late_end->next = detail;
        choice->late_end = detail;
        return R2A_OK;
    }
    return keep_detail(arena, detail, members) ? R2A_OK : R2A_ERR_NO_MEMORY;
}

__attribute__((noinline, cold)) enum r2a_err
openai_chat_put_late(struct decoder *d, struct ir_sink *sink, uint8_t index, struct choice *choice)
{
    for (struct detail *detail = choice->late; detail != NULL; detail = detail->next) {
        CHAT_TRY(openai_chat_open_run(d, sink, index, choice, IR_PART_REASON));
        choice->detail = detail;
    }
    choice->late = NULL;
    return openai_chat_close_run(d, sink, index, choice);
}

static struct text detail_text(const struct member *members)
{
    return member_text(
        &members[member_is(&members[DETAIL_TEXT], JSON_STRING) ? DETAIL_TEXT : DETAIL_SUMMARY]);
}

__attribute__((noinline, cold)) enum r2a_err
openai_chat_put_details(struct decoder *d, struct ir_sink *sink, uint8_t index,
                        struct choice *choice, struct slice raw, struct text told)
{
    struct member members[DETAIL_MEMBERS];
    struct json_scan scan;
    uint32_t texts_count = 0;

    /* Several texts are several elements: only they know where one ends. */
    for (uint32_t pass = 0; pass < 2; pass++) {
        bool is_first = true;

        if (pass == 1 && texts_count == 0)
            CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REASON, told));
        json_open(&scan, raw);
        (void)json_next(&scan);
        while (json_next(&scan) == JSON_OBJECT) {
            struct text text;

            if (!members_read(&scan, detail_names, DETAIL_MEMBERS, members, NULL, NULL, NULL))
                break;
            text = detail_text(members);
            if (pass == 0) {
                texts_count += text.len > 0;
                continue;
            }
            if (!d->brief->is_relay)
                CHAT_TRY(put_detail(d, sink, index, choice, members, is_first));
            is_first = false;
            if (text.len > 0 && texts_count == 1 && told.len > 0)
                text = told;
            CHAT_TRY(openai_chat_put_run(d, sink, index, choice, IR_PART_REASON, text));
        }
    }
    return R2A_OK;
}

__attribute__((noinline, cold)) enum r2a_err openai_chat_end_detail(struct decoder *d,
                                                                    struct ir_sink *sink,
                                                                    uint8_t index,
                                                                    struct choice *choice)
{
    struct detail *detail = choice->detail;
    size_t size = 2;
    struct str_buf buf;
    char *to;

    detail->is_open = false;
    for (uint32_t i = 0; i < DETAIL_KEPT; i++)
        size += detail_names[i].len + detail->kept[i].len + 4;
    to = arena_take(d->brief->arena, size);
    if (to == NULL)
        return R2A_ERR_NO_MEMORY;
    buf = (struct str_buf){.ptr = to, .size = size};
    for (uint32_t i = 0; i < DETAIL_KEPT; i++) {
        if (detail->kept[i].len == 0)
            continue;
        str_buf_put(&buf, i == 0 ? S("{\"") : S(",\""));
        str_buf_put(&buf, detail_names[i]);
        str_buf_put(&buf, S("\":"));
        str_buf_put(&buf, detail->kept[i]);
    }
    str_buf_put_char(&buf, '}');
    return ir_put(sink, &(struct ir_event){.kind = IR_FIELD,
                                           .what = IR_FIELD_SEAL,
                                           .choice = index,
                                           .part = choice->part,
                                           .u.field = {.value = text_plain(str_buf_slice(&buf)),
                                                       .number = IR_SEAL_DETAILS}});
}

enum r2a_err openai_chat_put_logprobs(struct ir_sink *sink, uint8_t index,
                                      const struct choice *choice, struct slice raw)
{
    static const struct slice names[] = {S_INIT("content"), S_INIT("refusal")};
    struct member members[array_count(names)];

    if (!members_of(raw, names, array_count(names), members))
        return R2A_OK;
    for (uint32_t i = 0; i < array_count(names); i++)
        if (member_is(&members[i], JSON_ARRAY) && members[i].raw.len > 2)
            CHAT_TRY(ir_put(sink, &(struct ir_event){.kind = IR_LOGPROBS,
                                                     .choice = index,
                                                     .part = choice->is_open ? choice->part : 0,
                                                     .u.text = member_json(&members[i])}));
    return R2A_OK;
}
