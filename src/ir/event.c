#include "r2a/ir/event.h"

#include "r2a/core/check.h"
#include "r2a/core/rope.h"
#include "r2a/ir/fault.h"

/* Names of everything in the vocabulary, and the one-line form of an event that transcripts, logs
 * and dumps share. The form is meant to be read back (tests/unit/support/lines.c does): a text is
 * its form, then its bytes between quotes; the body of a TEXT event runs to the end of the line. */

static const char *const kind_names[IR_KINDS] = {
    [IR_NONE] = "NONE",         [IR_BEGIN] = "BEGIN",       [IR_END] = "END",
    [IR_PARAM] = "PARAM",       [IR_TOOL] = "TOOL",         [IR_TOOL_END] = "TOOL_END",
    [IR_TURN] = "TURN",         [IR_TURN_END] = "TURN_END", [IR_PART] = "PART",
    [IR_PART_END] = "PART_END", [IR_FIELD] = "FIELD",       [IR_TEXT] = "TEXT",
    [IR_CITE] = "CITE",         [IR_LOGPROBS] = "LOGPROBS", [IR_USAGE] = "USAGE",
    [IR_STOP] = "STOP",         [IR_ERROR] = "ERROR",       [IR_ALIVE] = "ALIVE",
    [IR_EXT] = "EXT",
};

static const char *const param_names[IR_PARAMS] = {
    [IR_PARAM_MAX_OUT] = "max_out",
    [IR_PARAM_TEMPERATURE] = "temperature",
    [IR_PARAM_TOP_P] = "top_p",
    [IR_PARAM_TOP_K] = "top_k",
    [IR_PARAM_STOP] = "stop",
    [IR_PARAM_N] = "n",
    [IR_PARAM_SEED] = "seed",
    [IR_PARAM_FREQUENCY_PENALTY] = "frequency_penalty",
    [IR_PARAM_PRESENCE_PENALTY] = "presence_penalty",
    [IR_PARAM_LOGIT_BIAS] = "logit_bias",
    [IR_PARAM_LOGPROBS] = "logprobs",
    [IR_PARAM_TOP_LOGPROBS] = "top_logprobs",
    [IR_PARAM_FORMAT] = "format",
    [IR_PARAM_FORMAT_NAME] = "format_name",
    [IR_PARAM_FORMAT_SCHEMA] = "format_schema",
    [IR_PARAM_FORMAT_STRICT] = "format_strict",
    [IR_PARAM_FORMAT_DESCRIPTION] = "format_description",
    [IR_PARAM_TOOL_CHOICE] = "tool_choice",
    [IR_PARAM_TOOL_CHOICE_NAME] = "tool_choice_name",
    [IR_PARAM_TOOL_CHOICE_NAMESPACE] = "tool_choice_namespace",
    [IR_PARAM_PARALLEL] = "parallel",
    [IR_PARAM_EFFORT] = "effort",
    [IR_PARAM_BUDGET] = "budget",
    [IR_PARAM_THINK_MODE] = "think_mode",
    [IR_PARAM_THINK_SHOW] = "think_show",
    [IR_PARAM_VERBOSITY] = "verbosity",
    [IR_PARAM_USER] = "user",
    [IR_PARAM_META] = "meta",
    [IR_PARAM_TIER] = "tier",
    [IR_PARAM_CACHE_KEY] = "cache_key",
    [IR_PARAM_STORE] = "store",
    [IR_PARAM_MODALITIES] = "modalities",
    [IR_PARAM_AUDIO] = "audio",
    [IR_PARAM_SAFETY] = "safety",
    [IR_PARAM_INCLUDE_USAGE] = "include_usage",
    [IR_PARAM_STREAM] = "stream",
    [IR_PARAM_OPAQUE] = "opaque",
};

static const char *const tool_names[] = {
    [IR_TOOL_JSON] = "json",
    [IR_TOOL_CUSTOM] = "custom",
    [IR_TOOL_SERVER] = "server",
};

static const char *const role_names[] = {
    [IR_ROLE_SYSTEM] = "system",
    [IR_ROLE_DEVELOPER] = "developer",
    [IR_ROLE_USER] = "user",
    [IR_ROLE_ASSISTANT] = "assistant",
};

static const char *const part_names[] = {
    [IR_PART_TEXT] = "text",   [IR_PART_REASON] = "reason", [IR_PART_REDACTED] = "redacted",
    [IR_PART_CALL] = "call",   [IR_PART_RESULT] = "result", [IR_PART_REFUSAL] = "refusal",
    [IR_PART_IMAGE] = "image", [IR_PART_FILE] = "file",     [IR_PART_AUDIO] = "audio",
    [IR_PART_VIDEO] = "video", [IR_PART_SEARCH] = "search", [IR_PART_OPAQUE] = "opaque",
};

static const char *const field_names[IR_FIELDS] = {
    [IR_FIELD_DESCRIPTION] = "description",
    [IR_FIELD_SCHEMA] = "schema",
    [IR_FIELD_GRAMMAR] = "grammar",
    [IR_FIELD_NAMESPACE] = "namespace",
    [IR_FIELD_STRICT] = "strict",
    [IR_FIELD_RAW] = "raw",
    [IR_FIELD_MIME] = "mime",
    [IR_FIELD_SOURCE] = "source",
    [IR_FIELD_URL] = "url",
    [IR_FIELD_TITLE] = "title",
    [IR_FIELD_DETAIL] = "detail",
    [IR_FIELD_FORMAT] = "format",
    [IR_FIELD_CONTEXT] = "context",
    [IR_FIELD_CITATIONS] = "citations",
    [IR_FIELD_SEAL] = "seal",
    [IR_FIELD_ITEM_ID] = "item_id",
    [IR_FIELD_CREATED] = "created",
    [IR_FIELD_TIER] = "tier",
    [IR_FIELD_FINGERPRINT] = "fingerprint",
    [IR_FIELD_NAME] = "name",
    [IR_FIELD_PHASE] = "phase",
    [IR_FIELD_STATUS] = "status",
};

static const char *const stop_names[] = {
    [IR_STOP_END] = "end",
    [IR_STOP_SEQUENCE] = "sequence",
    [IR_STOP_TOOL] = "tool",
    [IR_STOP_LENGTH] = "length",
    [IR_STOP_CONTEXT] = "context",
    [IR_STOP_FILTER] = "filter",
    [IR_STOP_RECITATION] = "recitation",
    [IR_STOP_REFUSAL] = "refusal",
    [IR_STOP_PAUSE] = "pause",
    [IR_STOP_BAD_CALL] = "bad_call",
    [IR_STOP_OTHER] = "other",
};

static const struct {
    uint8_t flag;
    const char *name;
} flag_names[] = {
    {IR_CACHE_MARK, "cache"},    {IR_IS_ERROR, "error"}, {IR_CUSTOM, "custom"},
    {IR_ESTIMATED, "estimated"}, {IR_LEGACY, "legacy"},  {IR_WHOLE, "whole"},
};

static const char *name_of(const char *const *names, size_t count, uint8_t index)
{
    return index < count && names[index] != NULL ? names[index] : "?";
}

const char *ir_kind_name(uint8_t kind)
{
    return name_of(kind_names, array_count(kind_names), kind);
}

const char *ir_what_name(uint8_t kind, uint8_t what)
{
    switch (kind) {
    case IR_PARAM:
        return name_of(param_names, array_count(param_names), what);
    case IR_TOOL:
        return name_of(tool_names, array_count(tool_names), what);
    case IR_TURN:
        return name_of(role_names, array_count(role_names), what);
    case IR_PART:
        return name_of(part_names, array_count(part_names), what);
    case IR_FIELD:
        return name_of(field_names, array_count(field_names), what);
    case IR_STOP:
        return name_of(stop_names, array_count(stop_names), what);
    default:
        return "";
    }
}

/* --- printing --- */

static void put_z(struct rope *out, const char *z)
{
    rope_put(out, slice_from_z(z));
}

/* The bytes of a text on one line. Escaped text is shown as it is: it holds neither line ends nor
 * bare quotes. A line end in JSON is white space between tokens. */
static void put_bytes(struct rope *out, struct text text)
{
    static const char hex[] = "0123456789abcdef";

    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (text.form == TEXT_JSON && (unsigned char)c < 0x20) {
            rope_put_char(out, ' ');
        } else if (text.form == TEXT_PLAIN && (c == '"' || c == '\\')) {
            rope_put_char(out, '\\');
            rope_put_char(out, c);
        } else if (text.form == TEXT_PLAIN && c == '\n') {
            rope_put(out, S("\\n"));
        } else if (text.form == TEXT_PLAIN && (unsigned char)c < 0x20) {
            rope_put(out, S("\\u00"));
            rope_put_char(out, hex[(unsigned char)c >> 4]);
            rope_put_char(out, hex[c & 15]);
        } else {
            rope_put_char(out, c);
        }
    }
}

static const char *form_name(uint8_t form)
{
    return form == TEXT_PLAIN ? "plain" : form == TEXT_ESCAPED ? "escaped" : "json";
}

/* ` label=escaped"call_1"`, or ` json{"a":1}` without label; JSON brings its own ends. */
static void put_text(struct rope *out, const char *label, struct text text)
{
    if (text.len == 0)
        return;
    rope_put_char(out, ' ');
    if (label != NULL) {
        put_z(out, label);
        rope_put_char(out, '=');
    }
    put_z(out, form_name(text.form));
    rope_put_char(out, '"');
    put_bytes(out, text);
    rope_put_char(out, '"');
}

static void put_number(struct rope *out, const char *label, int64_t number)
{
    rope_put_char(out, ' ');
    put_z(out, label);
    rope_put_char(out, '=');
    rope_put_i64(out, number);
}

static void put_usage(struct rope *out, const struct ir_usage *usage)
{
    const struct {
        uint32_t bit;
        const char *name;
        uint64_t value;
    } counters[] = {
        {IR_HAS_INPUT, "input", usage->input},
        {IR_HAS_CACHE_READ, "cache_read", usage->cache_read},
        {IR_HAS_CACHE_WRITE, "cache_write", usage->cache_write},
        {IR_HAS_CACHE_WRITE_1H, "cache_write_1h", usage->cache_write_1h},
        {IR_HAS_OUTPUT, "output", usage->output},
        {IR_HAS_REASONING, "reasoning", usage->reasoning},
        {IR_HAS_TOOL_INPUT, "tool_input", usage->tool_input},
    };

    for (size_t i = 0; i < array_count(counters); i++)
        if (usage->has & counters[i].bit)
            put_number(out, counters[i].name, (int64_t)counters[i].value);
}

static void put_fault(struct rope *out, const struct fault *fault)
{
    rope_put_char(out, ' ');
    put_z(out, fault->kind < FAULT_KINDS ? fault_rows[fault->kind].name : "?");
    if (fault->status != 0)
        put_number(out, "status", fault->status);
    if (fault->upstream_status != 0)
        put_number(out, "upstream_status", fault->upstream_status);
    if (fault->err != R2A_OK) {
        put_z(out, " err=");
        put_z(out, r2a_err_name(fault->err));
    }
    put_text(out, "message", fault->message);
    put_text(out, "type", fault->type);
    put_text(out, "code", fault->code);
    put_text(out, "param", fault->param);
    if (fault->retry_after_ms > 0)
        put_number(out, "retry_after_ms", fault->retry_after_ms);
    if (fault->offset >= 0)
        put_number(out, "offset", fault->offset);
}

static void put_cite(struct rope *out, const struct ir_cite *cite)
{
    put_text(out, "url", cite->url);
    put_text(out, "title", cite->title);
    put_text(out, "quoted", cite->quoted);
    put_text(out, "raw", cite->raw);
    if (cite->start >= 0)
        put_number(out, "start", cite->start);
    if (cite->end >= 0)
        put_number(out, "end", cite->end);
    if (cite->document >= 0)
        put_number(out, "document", cite->document);
}

static void put_body(struct rope *out, const struct ir_event *event)
{
    switch ((enum ir_kind)event->kind) {
    case IR_BEGIN:
        put_text(out, "id", event->u.open.id);
        put_text(out, "model", event->u.open.name);
        break;
    case IR_STOP:
        put_text(out, "sequence", event->u.open.id);
        put_text(out, "detail", event->u.open.name);
        break;
    case IR_TOOL:
    case IR_PART:
        put_text(out, "id", event->u.open.id);
        put_text(out, "name", event->u.open.name);
        break;
    case IR_PARAM:
    case IR_FIELD:
        put_text(out, NULL, event->u.field.value);
        if (event->u.field.number != 0 || event->u.field.value.len == 0)
            put_number(out, "number", event->u.field.number);
        break;
    case IR_TEXT:
    case IR_LOGPROBS:
    case IR_EXT:
        rope_put_char(out, ' ');
        put_z(out, form_name(event->u.text.form));
        rope_put_char(out, ' ');
        put_bytes(out, event->u.text);
        break;
    case IR_CITE:
        put_cite(out, event->u.cite);
        break;
    case IR_USAGE:
        put_usage(out, event->u.usage);
        break;
    case IR_ERROR:
        put_fault(out, event->u.fault);
        break;
    case IR_NONE:
    case IR_END:
    case IR_TOOL_END:
    case IR_TURN:
    case IR_TURN_END:
    case IR_PART_END:
    case IR_ALIVE:
    case IR_KINDS:
        break;
    }
}

void ir_print(const struct ir_event *event, struct rope *out)
{
    const char *what = ir_what_name(event->kind, event->what);

    put_z(out, ir_kind_name(event->kind));
    if (*what != '\0') {
        rope_put_char(out, ' ');
        put_z(out, what);
    }
    if (event->choice != 0)
        put_number(out, "choice", event->choice);
    if (event->kind == IR_PART || event->kind == IR_PART_END || event->kind == IR_TEXT ||
        event->part != 0)
        put_number(out, "part", event->part);
    for (size_t i = 0; i < array_count(flag_names); i++) {
        if (event->flags & flag_names[i].flag) {
            rope_put_char(out, ' ');
            put_z(out, flag_names[i].name);
        }
    }
    put_body(out, event);
}
