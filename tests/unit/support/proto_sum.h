#ifndef R2A_TESTS_SUPPORT_PROTO_SUM_H
#define R2A_TESTS_SUPPORT_PROTO_SUM_H

#include "r2a/json/scan.h"
#include "r2a/json/text.h"
#include "support/proto_kit.h"

/* What an answer said, however it was cut into events: one text to compare. Of one choice:
 *
 *   reason: …          texts decoded; parts of a kind run together
 *   text: …
 *   refusal: …
 *   call ID NAME ARGS  in order of opening; arguments with white space and escapes made equal
 *   stop tool
 *   error
 *   end */
struct sum_call {
    struct text id, name;
    struct rope args;
    uint32_t part;
    bool is_custom;
};

struct sum {
    struct ir_sink sink;
    struct ir_sink *next; /* or NULL */
    struct kit *kit;
    uint8_t choice;
    struct rope kinds[IR_PART_OPAQUE + 1];
    uint8_t kind_of[256]; /* by part number */
    struct sum_call calls[64];
    uint32_t calls_count;
    uint8_t stop;
    bool has_stopped, has_ended;
    struct ir_usage usage;
    struct text message; /* of the error */
    bool has_error;
};

/* The same JSON value in one spelling: compact, strings escaped as little as possible. */
static inline struct slice sum_json(struct kit *kit, struct slice json)
{
    struct rope out = kit_rope(kit);
    struct json_scan scan;
    enum json_token token, last = JSON_ERROR;

    json_open(&scan, json);
    while ((token = json_next(&scan)) != JSON_END) {
        struct slice plain;

        if (token == JSON_ERROR) {
            rope_put(&out, S("(not JSON) "));
            rope_put(&out, json);
            return kit_take(kit, &out);
        }
        if (last != JSON_ERROR && last != JSON_OBJECT && last != JSON_ARRAY && last != JSON_KEY &&
            token != JSON_OBJECT_END && token != JSON_ARRAY_END)
            rope_put_char(&out, ',');
        switch (token) {
        case JSON_OBJECT:
            rope_put_char(&out, '{');
            break;
        case JSON_ARRAY:
            rope_put_char(&out, '[');
            break;
        case JSON_OBJECT_END:
            rope_put_char(&out, '}');
            break;
        case JSON_ARRAY_END:
            rope_put_char(&out, ']');
            break;
        case JSON_KEY:
        case JSON_STRING:
            if (!text_to_plain(text_escaped(scan.text), &kit->arena, &plain))
                abort();
            text_write_string(&out, text_plain(plain));
            if (token == JSON_KEY)
                rope_put_char(&out, ':');
            break;
        case JSON_NUMBER:
            rope_put(&out, scan.text);
            break;
        case JSON_TRUE:
            rope_put(&out, S("true"));
            break;
        case JSON_FALSE:
            rope_put(&out, S("false"));
            break;
        case JSON_NULL:
        case JSON_ERROR:
        case JSON_MORE:
        case JSON_END:
            rope_put(&out, S("null"));
            break;
        }
        last = token == JSON_OBJECT_END || token == JSON_ARRAY_END ? JSON_NULL : token;
    }
    return kit_take(kit, &out);
}

static inline struct text sum_keep(struct kit *kit, struct text text)
{
    struct slice plain;

    if (!text_to_plain(text, &kit->arena, &plain))
        abort();
    return text_plain(arena_copy(&kit->arena, plain));
}

static inline enum r2a_err sum_put(struct ir_sink *sink, const struct ir_event *event)
{
    struct sum *sum = (struct sum *)(void *)sink;

    if (event->kind == IR_USAGE)
        ir_usage_merge(&sum->usage, event->u.usage);
    if (event->kind == IR_END)
        sum->has_ended = true;
    if (event->kind == IR_ERROR) {
        sum->has_error = true;
        sum->message = sum_keep(sum->kit, event->u.fault->message);
    }
    if (event->choice == sum->choice && event->part < 256) {
        if (event->kind == IR_PART) {
            sum->kind_of[event->part] = event->what;
            if (event->what == IR_PART_CALL && sum->calls_count < 64)
                sum->calls[sum->calls_count++] = (struct sum_call){
                    .id = sum_keep(sum->kit, event->u.open.id),
                    .name = sum_keep(sum->kit, event->u.open.name),
                    .args = kit_rope(sum->kit),
                    .part = event->part,
                    .is_custom = (event->flags & IR_CUSTOM) != 0,
                };
        } else if (event->kind == IR_TEXT) {
            struct rope *to = &sum->kinds[sum->kind_of[event->part]];

            for (uint32_t i = 0; i < sum->calls_count; i++)
                if (sum->kind_of[event->part] == IR_PART_CALL && sum->calls[i].part == event->part)
                    to = &sum->calls[i].args;
            /* Kept escaped: halves of a pair may come in different pieces. */
            if (event->u.text.form == TEXT_JSON)
                text_write_json_compact_escaped(to, event->u.text);
            else
                text_write_escaped_copy(to, event->u.text);
        } else if (event->kind == IR_STOP) {
            sum->stop = event->what;
            sum->has_stopped = true;
        }
    }
    return sum->next != NULL ? ir_put(sum->next, event) : R2A_OK;
}

static inline void sum_open(struct kit *kit, struct sum *sum, uint8_t choice)
{
    memset(sum, 0, sizeof(*sum));
    sum->sink.put = sum_put;
    sum->kit = kit;
    sum->choice = choice;
    for (size_t i = 0; i <= IR_PART_OPAQUE; i++)
        sum->kinds[i] = kit_rope(kit);
}

/* The decoded text of one kind, plain. */
static inline struct slice sum_text(struct sum *sum, uint8_t kind)
{
    struct slice escaped = kit_take(sum->kit, &sum->kinds[kind]), plain;

    if (!text_to_plain(text_escaped(escaped), &sum->kit->arena, &plain))
        abort();
    return plain;
}

static inline struct slice sum_args(struct sum *sum, struct sum_call *call)
{
    struct slice escaped = kit_take(sum->kit, &call->args), plain;

    if (!text_to_plain(text_escaped(escaped), &sum->kit->arena, &plain))
        abort();
    if (call->is_custom)
        return plain;
    return str_trim_lines(plain).len == 0 ? S("{}") : sum_json(sum->kit, plain);
}

static inline struct slice sum_close(struct sum *sum)
{
    static const struct {
        uint8_t kind;
        const char *name;
    } rows[] = {{IR_PART_REASON, "reason"},
                {IR_PART_TEXT, "text"},
                {IR_PART_REFUSAL, "refusal"},
                {IR_PART_IMAGE, "image"}};
    struct rope out = kit_rope(sum->kit);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice text = sum_text(sum, rows[i].kind);

        if (text.len == 0)
            continue;
        rope_put(&out, slice_from_z(rows[i].name));
        rope_put(&out, S(": "));
        rope_put(&out, text);
        rope_put_char(&out, '\n');
    }
    for (uint32_t i = 0; i < sum->calls_count; i++) {
        rope_put(&out, sum->calls[i].is_custom ? S("custom ") : S("call "));
        rope_put(&out, text_bytes(sum->calls[i].id));
        rope_put_char(&out, ' ');
        rope_put(&out, text_bytes(sum->calls[i].name));
        rope_put_char(&out, ' ');
        rope_put(&out, sum_args(sum, &sum->calls[i]));
        rope_put_char(&out, '\n');
    }
    if (sum->has_stopped) {
        rope_put(&out, S("stop "));
        rope_put(&out, slice_from_z(ir_what_name(IR_STOP, sum->stop)));
        rope_put_char(&out, '\n');
    }
    if (sum->has_error)
        rope_put(&out, S("error\n"));
    if (sum->has_ended)
        rope_put(&out, S("end\n"));
    for (size_t i = 0; i < sizeof sum->kinds / sizeof sum->kinds[0]; i++)
        rope_clear(&sum->kinds[i]); /* of parts that have no line above: opaque ones */
    return kit_take(sum->kit, &out);
}

#endif
