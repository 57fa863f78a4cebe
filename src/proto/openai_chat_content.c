#include "openai_chat_stream.h"

#include "r2a/core/check.h"
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
    CHAT_TRY(openai_chat_close_run(sink, index, choice));
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

enum r2a_err openai_chat_put_details(struct decoder *d, struct ir_sink *sink, uint8_t index,
                                     struct choice *choice, struct slice raw)
{
    enum { TEXT, SUMMARY };
    static const struct slice names[] = {S_INIT("text"), S_INIT("summary")};
    struct member members[array_count(names)];
    struct json_scan scan;

    json_open(&scan, raw);
    (void)json_next(&scan);
    while (json_next(&scan) == JSON_OBJECT) {
        if (!members_read(&scan, names, array_count(names), members, NULL, NULL, NULL))
            break;
        CHAT_TRY(openai_chat_put_run(
            d, sink, index, choice, IR_PART_REASON,
            member_text(&members[member_is(&members[TEXT], JSON_STRING) ? TEXT : SUMMARY])));
    }
    return R2A_OK;
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
