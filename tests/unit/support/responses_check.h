#ifndef R2A_TESTS_SUPPORT_RESPONSES_CHECK_H
#define R2A_TESTS_SUPPORT_RESPONSES_CHECK_H

#include <stdio.h>
#include <string.h>

#include "../../../src/proto/member.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* A Responses stream as the official accumulators see it: what they throw at is wrong here. It is
 * as strict as the strictest of them, and stricter where they overlook what others need: every
 * event line agrees with its data, done events repeat what deltas said, the end comes once and has
 * everything. Fixed tables, no allocation: unit tests and fuzz targets share it. */

#define RC_ITEMS_MAX 256u
#define RC_TEXT_MAX  65536u

struct rc_item {
    struct slice id, type, call_id; /* as they stand in the stream */
    bool has_part, part_done, is_done;
    struct slice part_type;
    struct slice whole; /* the inside of the string in *.done */
    uint64_t text_hash; /* of all deltas */
    bool has_summary, summary_done;
    uint32_t annotations;
};

struct rc {
    struct rc_item items[RC_ITEMS_MAX];
    uint32_t items_count;
    int64_t sequence;
    bool is_created, has_ended, has_error;
    struct slice terminal; /* type of the last event */
    const char *wrong;     /* the first thing that is */
};

static inline void rc_fail(struct rc *rc, const char *wrong)
{
    if (rc->wrong == NULL)
        rc->wrong = wrong;
}

enum rc_member {
    RC_TYPE,
    RC_SEQUENCE,
    RC_INDEX,
    RC_ITEM_ID,
    RC_CONTENT,
    RC_SUMMARY,
    RC_DELTA,
    RC_ITEM,
    RC_PART,
    RC_RESPONSE,
    RC_TEXT,
    RC_ARGUMENTS,
    RC_INPUT,
    RC_REFUSAL,
    RC_LOGPROBS,
    RC_ANNOTATION,
    RC_ANNOTATION_INDEX,
    RC_NAME,
    RC_MEMBERS
};

static inline bool rc_is(struct slice type, const char *name)
{
    return slice_eq(type, slice_from_z(name));
}

static inline struct slice rc_string(const struct member *member)
{
    return text_bytes(member_text(member));
}

static inline uint64_t rc_hash(uint64_t hash, struct text text)
{
    char plain[RC_TEXT_MAX];
    int64_t len = text_decode(text, plain, sizeof(plain));

    for (int64_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)plain[i]) * 0x100000001b3u;
    return hash;
}

/* id, type, call_id of an item, and its body as the inside of a string. */
struct rc_seen {
    struct slice id, type, call_id, name;
    struct text body;
    bool has_body;
};

static inline bool rc_read_item(struct rc *rc, struct slice raw, struct rc_seen *seen)
{
    enum { ID, TYPE, CALL_ID, NAME, STATUS, CONTENT, SUMMARY, ARGUMENTS, INPUT, ROLE, MEMBERS };
    static const struct slice names[MEMBERS] = {
        S_INIT("id"),     S_INIT("type"),    S_INIT("call_id"), S_INIT("name"),
        S_INIT("status"), S_INIT("content"), S_INIT("summary"), S_INIT("arguments"),
        S_INIT("input"),  S_INIT("role")};
    static const struct slice part_names[] = {S_INIT("text"), S_INIT("refusal"),
                                              S_INIT("annotations"), S_INIT("logprobs"),
                                              S_INIT("type")};
    struct member m[MEMBERS], part[5];
    struct json_scan scan;

    *seen = (struct rc_seen){0};
    if (!members_of(raw, names, MEMBERS, m)) {
        rc_fail(rc, "an item is no object");
        return false;
    }
    seen->id = rc_string(&m[ID]);
    seen->type = rc_string(&m[TYPE]);
    seen->call_id = rc_string(&m[CALL_ID]);
    seen->name = rc_string(&m[NAME]);
    if (seen->id.len == 0)
        rc_fail(rc, "an item without an id");
    if (rc_is(seen->type, "function_call") || rc_is(seen->type, "custom_tool_call")) {
        const struct member *body = &m[rc_is(seen->type, "function_call") ? ARGUMENTS : INPUT];

        if (seen->call_id.len == 0 || seen->name.len == 0)
            rc_fail(rc, "a call without call_id or name");
        if (!member_is(body, JSON_STRING) || !member_is(&m[STATUS], JSON_STRING))
            rc_fail(rc, "a call without arguments or status");
        seen->body = member_text(body);
        seen->has_body = true;
    } else if (rc_is(seen->type, "message")) {
        if (!member_is(&m[STATUS], JSON_STRING) || !rc_is(rc_string(&m[ROLE]), "assistant") ||
            !member_is(&m[CONTENT], JSON_ARRAY)) {
            rc_fail(rc, "a message without status, role or content");
            return false;
        }
        json_open(&scan, m[CONTENT].raw);
        (void)json_next(&scan);
        while (json_next(&scan) == JSON_OBJECT) {
            if (seen->has_body)
                rc_fail(rc, "a message of two parts");
            (void)members_read(&scan, part_names, 5, part, NULL, NULL, NULL);
            if (member_is(&part[1], JSON_STRING))
                seen->body = member_text(&part[1]);
            else if (!member_is(&part[2], JSON_ARRAY) || !member_is(&part[3], JSON_ARRAY) ||
                     !member_is(&part[0], JSON_STRING))
                rc_fail(rc, "output_text without text, annotations or logprobs");
            else
                seen->body = member_text(&part[0]);
            seen->has_body = true;
        }
    } else if (rc_is(seen->type, "reasoning")) {
        if (!member_is(&m[SUMMARY], JSON_ARRAY))
            rc_fail(rc, "reasoning without a summary");
    } else if (!rc_is(seen->type, "image_generation_call")) {
        rc_fail(rc, "an item of an unknown type");
    }
    return rc->wrong == NULL;
}

static inline void rc_response(struct rc *rc, struct slice type, const struct member *response)
{
    enum { ID, OBJECT, STATUS, OUTPUT, USAGE, ERROR, DETAILS, TOOLS, CHOICE, META, MODEL, CREATED };
    static const struct slice names[] = {S_INIT("id"),
                                         S_INIT("object"),
                                         S_INIT("status"),
                                         S_INIT("output"),
                                         S_INIT("usage"),
                                         S_INIT("error"),
                                         S_INIT("incomplete_details"),
                                         S_INIT("tools"),
                                         S_INIT("tool_choice"),
                                         S_INIT("metadata"),
                                         S_INIT("model"),
                                         S_INIT("created_at")};
    struct member m[12];
    struct slice status = slice_skip(type, sizeof("response.") - 1), raw;
    struct json_scan scan;
    enum json_token token;
    uint32_t count = 0;

    if (!member_is(response, JSON_OBJECT) || !members_of(response->raw, names, 12, m)) {
        rc_fail(rc, "a lifecycle event without a response");
        return;
    }
    if (rc_is(type, "response.created"))
        status = S("in_progress");
    if (rc_string(&m[ID]).len == 0 || !rc_is(rc_string(&m[OBJECT]), "response") ||
        !slice_eq(rc_string(&m[STATUS]), status) || !member_is(&m[OUTPUT], JSON_ARRAY) ||
        !member_is(&m[TOOLS], JSON_ARRAY) || !member_is(&m[META], JSON_OBJECT) ||
        m[CHOICE].kind == JSON_ERROR || !member_is(&m[MODEL], JSON_STRING) ||
        !member_is(&m[CREATED], JSON_NUMBER)) {
        rc_fail(rc, "a response that lacks members or has the wrong status");
        return;
    }
    if (rc_is(status, "completed") && !member_is(&m[USAGE], JSON_OBJECT))
        rc_fail(rc, "completed without usage");
    if (rc_is(status, "incomplete") && !member_is(&m[DETAILS], JSON_OBJECT))
        rc_fail(rc, "incomplete without details");
    if (rc_is(status, "failed") != member_is(&m[ERROR], JSON_OBJECT))
        rc_fail(rc, "an error and a status that disagree");
    json_open(&scan, m[OUTPUT].raw);
    (void)json_next(&scan);
    for (; (token = json_next(&scan)) == JSON_OBJECT; count++) {
        struct rc_seen seen;

        if (!json_skip_after(&scan, token, &raw) || !rc_read_item(rc, raw, &seen))
            return;
        if (count >= rc->items_count || !slice_eq(rc->items[count].id, seen.id) ||
            !slice_eq(rc->items[count].type, seen.type) ||
            !slice_eq(rc->items[count].call_id, seen.call_id))
            rc_fail(rc, "the output is not what was told");
        else if (seen.has_body &&
                 rc_hash(0, seen.body) !=
                     (rc_is(seen.type, "reasoning") ? 0 : rc->items[count].text_hash))
            rc_fail(rc, "the output's text is not what deltas said");
    }
    if (count != rc->items_count)
        rc_fail(rc, "the output lacks items");
}

static inline void rc_delta(struct rc *rc, struct slice type, struct rc_item *item,
                            const struct member *m)
{
    static const struct {
        const char *type, *item, *part;
    } rows[] = {{"response.output_text.delta", "message", "output_text"},
                {"response.refusal.delta", "message", "refusal"},
                {"response.reasoning_summary_text.delta", "reasoning", NULL},
                {"response.function_call_arguments.delta", "function_call", NULL},
                {"response.custom_tool_call_input.delta", "custom_tool_call", NULL}};

    for (uint32_t i = 0; i < 5; i++) {
        if (!rc_is(type, rows[i].type))
            continue;
        if (!member_is(&m[RC_DELTA], JSON_STRING))
            rc_fail(rc, "a delta without a string");
        if (!rc_is(item->type, rows[i].item))
            rc_fail(rc, "a delta of another kind than its item");
        if (rows[i].part != NULL && (!item->has_part || !rc_is(item->part_type, rows[i].part)))
            rc_fail(rc, "a delta before or beside its part");
        if (i == 0 && !member_is(&m[RC_LOGPROBS], JSON_ARRAY))
            rc_fail(rc, "output_text.delta without logprobs");
        if (i == 2 && (!item->has_summary || item->summary_done))
            rc_fail(rc, "a summary delta outside its part");
        if (item->part_done || item->whole.ptr != NULL)
            rc_fail(rc, "a delta after done");
        item->text_hash = rc_hash(item->text_hash, member_text(&m[RC_DELTA]));
        return;
    }
    rc_fail(rc, "an unknown event type");
}

static inline void rc_done(struct rc *rc, struct rc_item *item, const struct member *whole)
{
    if (!member_is(whole, JSON_STRING)) {
        rc_fail(rc, "done without the whole");
        return;
    }
    item->whole = rc_string(whole);
    if (rc_hash(0, member_text(whole)) != item->text_hash)
        rc_fail(rc, "done says something else than the deltas");
}

static inline void rc_item_event(struct rc *rc, struct slice type, const struct member *m)
{
    static const struct slice part_name = S_INIT("type");
    int64_t index = -1, place = 0;
    struct rc_item *item;
    struct member part;

    if (!member_int(&m[RC_INDEX], &index) || index < 0 || index >= (int64_t)rc->items_count) {
        rc_fail(rc, "an event of an item that was not added");
        return;
    }
    item = &rc->items[index];
    if (!slice_eq(rc_string(&m[RC_ITEM_ID]), item->id))
        rc_fail(rc, "item_id is not the item's");
    if (item->is_done)
        rc_fail(rc, "an event of an item that is done");
    if ((member_int(&m[RC_CONTENT], &place) || member_int(&m[RC_SUMMARY], &place)) && place != 0)
        rc_fail(rc, "an index that is not the next");
    if (rc_is(type, "response.content_part.added")) {
        if (item->has_part || !rc_is(item->type, "message") ||
            !member_is(&m[RC_PART], JSON_OBJECT) || m[RC_CONTENT].kind == JSON_ERROR)
            rc_fail(rc, "content_part.added where none may be");
        (void)members_of(m[RC_PART].raw, &part_name, 1, &part);
        item->part_type = rc_string(&part);
        item->has_part = true;
    } else if (rc_is(type, "response.content_part.done")) {
        if (!item->has_part || item->whole.ptr == NULL)
            rc_fail(rc, "content_part.done before its text");
        item->part_done = true;
    } else if (rc_is(type, "response.reasoning_summary_part.added")) {
        if (item->has_summary || !rc_is(item->type, "reasoning"))
            rc_fail(rc, "a second summary");
        item->has_summary = true;
    } else if (rc_is(type, "response.reasoning_summary_part.done")) {
        item->summary_done = true;
    } else if (rc_is(type, "response.output_text.done") ||
               rc_is(type, "response.reasoning_summary_text.done")) {
        rc_done(rc, item, &m[RC_TEXT]);
    } else if (rc_is(type, "response.refusal.done")) {
        rc_done(rc, item, &m[RC_REFUSAL]);
    } else if (rc_is(type, "response.function_call_arguments.done")) {
        rc_done(rc, item, &m[RC_ARGUMENTS]);
        if (!member_is(&m[RC_NAME], JSON_STRING))
            rc_fail(rc, "function_call_arguments.done without a name");
    } else if (rc_is(type, "response.custom_tool_call_input.done")) {
        rc_done(rc, item, &m[RC_INPUT]);
    } else if (rc_is(type, "response.output_text.annotation.added")) {
        if (!member_int(&m[RC_ANNOTATION_INDEX], &place) || place != (int64_t)item->annotations++ ||
            !member_is(&m[RC_ANNOTATION], JSON_OBJECT) || !item->has_part)
            rc_fail(rc, "an annotation out of order");
    } else if (!rc_is(type, "response.image_generation_call.completed")) {
        rc_delta(rc, type, item, m);
    }
}

static inline void rc_added(struct rc *rc, const struct member *m)
{
    struct rc_seen seen;
    int64_t index;

    if (!member_int(&m[RC_INDEX], &index) || index != (int64_t)rc->items_count ||
        rc->items_count == RC_ITEMS_MAX) {
        rc_fail(rc, "output_index is not the next");
        return;
    }
    if (!rc_read_item(rc, m[RC_ITEM].raw, &seen))
        return;
    for (uint32_t i = 0; i < rc->items_count; i++)
        if (slice_eq(rc->items[i].id, seen.id) ||
            (seen.call_id.len > 0 && slice_eq(rc->items[i].call_id, seen.call_id)))
            rc_fail(rc, "an id twice");
    if (seen.has_body && seen.body.len > 0)
        rc_fail(rc, "an item is added with a body");
    rc->items[rc->items_count++] =
        (struct rc_item){.id = seen.id, .type = seen.type, .call_id = seen.call_id};
}

static inline void rc_item_done(struct rc *rc, const struct member *m)
{
    struct rc_item *item;
    struct rc_seen seen;
    int64_t index;

    if (!member_int(&m[RC_INDEX], &index) || index < 0 || index >= (int64_t)rc->items_count) {
        rc_fail(rc, "output_item.done of no item");
        return;
    }
    item = &rc->items[index];
    if (!rc_read_item(rc, m[RC_ITEM].raw, &seen))
        return;
    if (item->is_done || !slice_eq(seen.id, item->id) || !slice_eq(seen.type, item->type) ||
        !slice_eq(seen.call_id, item->call_id))
        rc_fail(rc, "output_item.done is not the item that was added");
    if ((item->has_part && !item->part_done) || (item->has_summary && !item->summary_done))
        rc_fail(rc, "an item is done before its part");
    if (rc_is(item->type, "message") && !item->has_part)
        rc_fail(rc, "a message without a part");
    if (seen.has_body && rc_hash(0, seen.body) != item->text_hash)
        rc_fail(rc, "output_item.done says something else than the deltas");
    item->is_done = true;
}

static inline void rc_event(struct rc *rc, struct slice name, struct slice data)
{
    static const struct slice names[RC_MEMBERS] = {S_INIT("type"),
                                                   S_INIT("sequence_number"),
                                                   S_INIT("output_index"),
                                                   S_INIT("item_id"),
                                                   S_INIT("content_index"),
                                                   S_INIT("summary_index"),
                                                   S_INIT("delta"),
                                                   S_INIT("item"),
                                                   S_INIT("part"),
                                                   S_INIT("response"),
                                                   S_INIT("text"),
                                                   S_INIT("arguments"),
                                                   S_INIT("input"),
                                                   S_INIT("refusal"),
                                                   S_INIT("logprobs"),
                                                   S_INIT("annotation"),
                                                   S_INIT("annotation_index"),
                                                   S_INIT("name")};
    struct member m[RC_MEMBERS];
    struct slice type;
    int64_t sequence;

    if (rc->has_ended)
        rc_fail(rc, "something follows the end");
    if (!members_of(data, names, RC_MEMBERS, m)) {
        rc_fail(rc, "an event is no object");
        return;
    }
    type = rc_string(&m[RC_TYPE]);
    if (!slice_eq(type, name))
        rc_fail(rc, "event line and type disagree");
    if (!member_int(&m[RC_SEQUENCE], &sequence) || sequence != rc->sequence++)
        rc_fail(rc, "sequence_number is not the next");
    rc->terminal = type;
    if (rc_is(type, "response.created")) {
        if (rc->is_created)
            rc_fail(rc, "created twice");
        rc->is_created = true;
        rc_response(rc, type, &m[RC_RESPONSE]);
        return;
    }
    if (!rc->is_created)
        rc_fail(rc, "the first event is not response.created");
    if (rc->has_error && !rc_is(type, "response.failed"))
        rc_fail(rc, "an error is followed by something else than response.failed");
    if (rc_is(type, "response.in_progress")) {
        if (rc->items_count > 0)
            rc_fail(rc, "in_progress after items");
        rc_response(rc, type, &m[RC_RESPONSE]);
    } else if (rc_is(type, "response.completed") || rc_is(type, "response.incomplete") ||
               rc_is(type, "response.failed")) {
        rc->has_ended = true;
        rc_response(rc, type, &m[RC_RESPONSE]);
        for (uint32_t i = 0; i < rc->items_count && !rc_is(type, "response.failed"); i++)
            if (!rc->items[i].is_done)
                rc_fail(rc, "the end comes before an item is done");
    } else if (rc_is(type, "error")) {
        rc->has_error = true;
    } else if (rc_is(type, "response.output_item.added")) {
        rc_added(rc, m);
    } else if (rc_is(type, "response.output_item.done")) {
        rc_item_done(rc, m);
    } else if (!rc_is(type, "keepalive")) {
        rc_item_event(rc, type, m);
    }
}

/* What is wrong with a whole stream, or NULL. `needs_end`: it has to have one. */
static inline const char *rc_check(struct rc *rc, struct slice bytes, bool needs_end)
{
    struct slice name = {0}, line;

    memset(rc, 0, sizeof(*rc));
    while (bytes.len > 0 && str_split(&bytes, '\n', &line)) {
        if (line.len == 0) {
            name = (struct slice){0};
        } else if (line.ptr[0] == ':') {
            if (rc->is_created)
                rc_fail(rc, "a comment where an event is due");
        } else if (str_starts(line, S("event: "))) {
            name = slice_skip(line, 7);
        } else if (str_starts(line, S("data: "))) {
            rc_event(rc, name, slice_skip(line, 6));
        } else {
            rc_fail(rc, "a line that is none of the framing's");
        }
    }
    if (needs_end && !rc->has_ended)
        rc_fail(rc, "the stream has no end");
    return rc->wrong;
}

#endif
