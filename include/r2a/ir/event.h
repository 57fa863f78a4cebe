#ifndef R2A_IR_EVENT_H
#define R2A_IR_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "r2a/core/err.h"
#include "r2a/core/slice.h"

/* The one vocabulary of conversations. A request is a tape of events at rest, a response the same
 * parts still moving. An event is a step, not a record: what a part has beside its id, its name and
 * its body follows as FIELDs, so a new member of some API is a new field number, never a new
 * struct.
 *
 *   request   BEGIN PARAM* (TOOL FIELD* TOOL_END)* (TURN (PART FIELD* TEXT* PART* PART_END)*
 * TURN_END)* END response  BEGIN FIELD* { PART FIELD* TEXT* PART_END | CITE | LOGPROBS | USAGE |
 * ALIVE }* STOP USAGE? END
 *
 * (Legal order in full: ir/grammar.h.) Parts of a response may be open at once and interleave:
 * `part` tells them apart. Nested parts occur only inside RESULT and FILE parts of a request, one
 * level. */
enum ir_kind {
    IR_NONE,
    IR_BEGIN, /* open: upstream's id (or empty) and model */
    IR_END,   /* of a response only after its proper terminator */
    IR_PARAM, /* what: ir_param; field: value and number. One event a list element. Being there is
                 the presence */
    IR_TOOL,  /* what: ir_tool; open: id = type of a server tool, name */
    IR_TOOL_END,
    IR_TURN, /* what: ir_role */
    IR_TURN_END,
    IR_PART, /* what: ir_part; open: id, name */
    IR_PART_END,
    IR_FIELD,    /* what: ir_field; field. Belongs to the open BEGIN, TOOL, TURN or PART */
    IR_TEXT,     /* text: a piece of the open part's body */
    IR_CITE,     /* cite */
    IR_LOGPROBS, /* text (TEXT_JSON): an array in Chat Completions' form */
    IR_USAGE,    /* usage: partial counters, later ones win member by member */
    IR_STOP,  /* what: ir_stop; open: id = the matched stop sequence, name = explanation in words */
    IR_ERROR, /* fault */
    IR_ALIVE, /* from a decoder: a sign of life. To an encoder: say something harmless */
    IR_EXT, /* text: the path of a member the vocabulary cannot name; counted and named as a loss */
    IR_KINDS,
};

/* Registers of a request. `value` is the raw JSON value (TEXT_JSON) or a string's inside
 * (TEXT_ESCAPED); `number` as noted. Numbers: value = source text, number = its integer part when
 * it is one. Booleans: number 0 or 1. */
enum ir_param {
    IR_PARAM_MAX_OUT, /* number */
    IR_PARAM_TEMPERATURE,
    IR_PARAM_TOP_P,
    IR_PARAM_TOP_K,
    IR_PARAM_STOP, /* string, one event each */
    IR_PARAM_N,
    IR_PARAM_SEED,
    IR_PARAM_FREQUENCY_PENALTY,
    IR_PARAM_PRESENCE_PENALTY,
    IR_PARAM_LOGIT_BIAS, /* raw object */
    IR_PARAM_LOGPROBS,   /* bool */
    IR_PARAM_TOP_LOGPROBS,
    IR_PARAM_FORMAT, /* number: ir_format */
    IR_PARAM_FORMAT_NAME,
    IR_PARAM_FORMAT_SCHEMA, /* raw JSON */
    IR_PARAM_FORMAT_STRICT, /* bool */
    IR_PARAM_FORMAT_DESCRIPTION,
    IR_PARAM_TOOL_CHOICE,           /* number: ir_choice */
    IR_PARAM_TOOL_CHOICE_NAME,      /* string: the forced tool, or one event an allowed tool */
    IR_PARAM_TOOL_CHOICE_NAMESPACE, /* string: of the name before it */
    IR_PARAM_PARALLEL,              /* bool */
    IR_PARAM_EFFORT,                /* string; number: ir_effort, -1 for a word we do not know */
    IR_PARAM_BUDGET,                /* number: reasoning tokens */
    IR_PARAM_THINK_MODE,            /* number: ir_think */
    IR_PARAM_THINK_SHOW,            /* number: 1 show, 0 hide */
    IR_PARAM_VERBOSITY,             /* string */
    IR_PARAM_USER,                  /* string: end-user id */
    IR_PARAM_META,                  /* raw object */
    IR_PARAM_TIER,          /* string, as the client's protocol spells it; number: ir_tier */
    IR_PARAM_CACHE_KEY,     /* string */
    IR_PARAM_STORE,         /* bool */
    IR_PARAM_MODALITIES,    /* string, one event each, lower case */
    IR_PARAM_AUDIO,         /* raw object */
    IR_PARAM_SAFETY,        /* raw */
    IR_PARAM_INCLUDE_USAGE, /* bool */
    IR_PARAM_STREAM,        /* bool */
    IR_PARAM_OPAQUE, /* raw value of a member only its own protocol has; the event before it is
                        IR_EXT-free: field.value = raw, and the member's name follows as FIELD_TITLE
                      */
    IR_PARAMS,
};

enum ir_format { IR_FORMAT_TEXT, IR_FORMAT_JSON, IR_FORMAT_SCHEMA };
enum ir_choice {
    IR_CHOICE_AUTO,
    IR_CHOICE_NONE,
    IR_CHOICE_ANY,
    IR_CHOICE_ONE,
    IR_CHOICE_CUSTOM_ONE,
    IR_CHOICE_ALLOWED_AUTO,
    IR_CHOICE_ALLOWED_ANY,
    IR_CHOICE_SERVER, /* a server tool is forced; its type is the name */
};
/* The ladder of reasoning effort; order matters. */
enum ir_effort {
    IR_EFFORT_NONE,
    IR_EFFORT_MINIMAL,
    IR_EFFORT_LOW,
    IR_EFFORT_MEDIUM,
    IR_EFFORT_HIGH,
    IR_EFFORT_XHIGH,
    IR_EFFORT_MAX,
};
enum ir_think { IR_THINK_UNSET, IR_THINK_OFF, IR_THINK_MANUAL, IR_THINK_ADAPTIVE, IR_THINK_AUTO };
enum ir_tier { IR_TIER_AUTO, IR_TIER_DEFAULT, IR_TIER_FLEX, IR_TIER_PRIORITY, IR_TIER_OTHER };

enum ir_tool {
    IR_TOOL_JSON,   /* arguments are an object by a JSON Schema */
    IR_TOOL_CUSTOM, /* free-form text input */
    IR_TOOL_SERVER, /* runs at the vendor: web search and its like */
};

enum ir_role { IR_ROLE_SYSTEM, IR_ROLE_DEVELOPER, IR_ROLE_USER, IR_ROLE_ASSISTANT };

enum ir_part {
    IR_PART_TEXT,
    IR_PART_REASON,   /* thinking; secret as FIELD_SEAL */
    IR_PART_REDACTED, /* hidden thinking: only a FIELD_SEAL */
    IR_PART_CALL,     /* open: id, tool name; TEXT: arguments (a JSON object), or free text with
                         IR_CUSTOM */
    IR_PART_RESULT,   /* open: call id, tool name if known; holds parts; IR_IS_ERROR */
    IR_PART_REFUSAL,
    IR_PART_IMAGE, /* FIELD_SOURCE says what TEXT is */
    IR_PART_FILE,  /* a document; may hold parts instead of TEXT */
    IR_PART_AUDIO,
    IR_PART_VIDEO,
    IR_PART_SEARCH, /* a search result block: FIELD_TITLE, FIELD_URL; holds text parts */
    IR_PART_OPAQUE, /* open.id: dialect that made it, open.name: its type; TEXT: raw JSON. Only that
                       dialect writes it again */
};

enum ir_field {
    IR_FIELD_DESCRIPTION, /* TOOL */
    IR_FIELD_SCHEMA,      /* TOOL: raw JSON */
    IR_FIELD_GRAMMAR,     /* TOOL custom: definition; number: 0 text, 1 lark, 2 regex */
    IR_FIELD_NAMESPACE,   /* TOOL, CALL, RESULT */
    IR_FIELD_STRICT,      /* TOOL: number 0 or 1 */
    IR_FIELD_RAW,         /* TOOL, PART: the client's own object, raw JSON */
    IR_FIELD_MIME,        /* media type, lower case not guaranteed */
    IR_FIELD_SOURCE,      /* number: ir_source */
    IR_FIELD_URL,
    IR_FIELD_TITLE,     /* title or file name; the name of an OPAQUE param */
    IR_FIELD_DETAIL,    /* image detail */
    IR_FIELD_FORMAT,    /* audio format word */
    IR_FIELD_CONTEXT,   /* AM document context */
    IR_FIELD_CITATIONS, /* raw JSON of citations on a text part (history) */
    IR_FIELD_SEAL, /* a vendor's secret as it is; number: ir_seal family. Any time before PART_END
                    */
    IR_FIELD_ITEM_ID, /* the id of the item itself where it differs from the call id (Responses) */
    IR_FIELD_CREATED, /* BEGIN: number, seconds */
    IR_FIELD_TIER,    /* BEGIN: service tier used */
    IR_FIELD_FINGERPRINT, /* BEGIN: system_fingerprint */
    IR_FIELD_NAME,        /* TURN: the message's `name` */
    IR_FIELD_PHASE,       /* TURN, PART: Responses' message phase */
    IR_FIELD_STATUS,      /* PART */
    IR_FIELDS,
};

enum ir_source { IR_SOURCE_BASE64, IR_SOURCE_URL, IR_SOURCE_FILE_ID, IR_SOURCE_TEXT };

/* Families of secrets, and their letter in a sealed form (conversion.md 2.9). */
enum ir_seal {
    IR_SEAL_NONE = 0,
    IR_SEAL_SIGNATURE = 'a', /* Anthropic thinking signature */
    IR_SEAL_REDACTED = 'd',  /* Anthropic redacted thinking data */
    IR_SEAL_ENCRYPTED = 'r', /* Responses encrypted_content; IR_FIELD_ITEM_ID goes with it */
    IR_SEAL_THOUGHT = 'g',   /* Gemini thoughtSignature */
    IR_SEAL_DETAILS = 'o', /* an element of Chat Completions' reasoning_details without its text */
};

enum ir_stop {
    IR_STOP_END,
    IR_STOP_SEQUENCE,
    IR_STOP_TOOL,
    IR_STOP_LENGTH,
    IR_STOP_CONTEXT,
    IR_STOP_FILTER,
    IR_STOP_RECITATION,
    IR_STOP_REFUSAL,
    IR_STOP_PAUSE,
    IR_STOP_BAD_CALL,
    IR_STOP_OTHER,
};

/* ir_event.flags */
#define IR_CACHE_MARK 0x01u /* TOOL, PART: a prompt-cache breakpoint sits here */
#define IR_IS_ERROR   0x02u /* PART result: the tool failed */
#define IR_CUSTOM     0x04u /* PART call/result: of a free-form tool; TEXT is free text */
#define IR_ESTIMATED  0x08u /* USAGE: counters are estimates */
#define IR_LEGACY     0x10u /* PART call/result: came as function_call / role function */
#define IR_WHOLE      0x20u /* TEXT: this piece is the whole body of its part */

/* Counters of one answer; `has` tells which are known. `input` is the whole prompt, cached parts
 * included; `output` includes reasoning. */
struct ir_usage {
    uint32_t has; /* IR_HAS_* */
    uint64_t input, cache_read, cache_write, cache_write_1h, output, reasoning, tool_input;
};
#define IR_HAS_INPUT          0x01u
#define IR_HAS_CACHE_READ     0x02u
#define IR_HAS_CACHE_WRITE    0x04u
#define IR_HAS_OUTPUT         0x08u
#define IR_HAS_REASONING      0x10u
#define IR_HAS_TOOL_INPUT     0x20u
#define IR_HAS_CACHE_WRITE_1H 0x40u

/* Merges field by field: what `more` knows wins. */
void ir_usage_merge(struct ir_usage *usage, const struct ir_usage *more);

struct ir_cite {
    struct text url, title, quoted,
        raw;            /* raw: the record as its vendor wrote it (TEXT_JSON), or empty */
    int64_t start, end; /* code points in the part, -1 unknown */
    int64_t document;   /* document index, -1 unknown */
};

struct fault; /* ir/fault.h */

/* One step. Slices are borrowed: on a tape from the request body or the exchange arena, else for
 * one call. */
struct ir_event {
    uint8_t kind;   /* enum ir_kind */
    uint8_t what;   /* its sub-kind */
    uint8_t choice; /* 0 unless n > 1 */
    uint8_t flags;  /* IR_CACHE_MARK … */
    uint32_t part;  /* number of the block within its turn or choice, by first appearance */
    union {
        struct text text;
        struct {
            struct text id, name;
        } open;
        struct {
            struct text value;
            int64_t number;
        } field;
        const struct ir_usage *usage;
        const struct ir_cite *cite;
        const struct fault *fault;
    } u;
};
_Static_assert(sizeof(struct ir_event) == 40, "a delta costs one small struct");

/* Who takes events. Returns R2A_OK or the error that stops the source. */
struct ir_sink {
    enum r2a_err (*put)(struct ir_sink *sink, const struct ir_event *event);
};

static inline enum r2a_err ir_put(struct ir_sink *sink, const struct ir_event *event)
{
    return sink->put(sink, event);
}

/* Names for logs, transcripts and dumps; static. */
const char *ir_kind_name(uint8_t kind);
const char *ir_what_name(uint8_t kind, uint8_t what);

struct rope;
/* One line in the transcript form of tests/golden, without the line end: "TEXT part=0 escaped
 * caf\u00e9". */
void ir_print(const struct ir_event *event, struct rope *out);

#endif
