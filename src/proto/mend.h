#ifndef R2A_PROTO_MEND_H
#define R2A_PROTO_MEND_H

#include "common.h"

/* Turn assembly (conversion.md 2.2, 2.3, unsealing of 2.9): an index over a tape in the order a
 * target wants it. It never copies text: parts are numbers of events, with a little text around
 * them where a rule adds some. Encoders walk
 *
 *   mend.system                     the hoisted system text, as one turn (count 0: none)
 *   mend.turns[i]                   role, parts
 *   mend_part_at(mend, turn, k)     its parts; in a user turn the first `results` are RESULTs
 *
 * What is guaranteed afterwards: results stand in the user turn right after their calls, first and
 * in the order of the calls, one for each call; no RESULT without its CALL; a REASON or REDACTED
 * part is there only with a secret this target minted (or, by rules.reason_echo, as text); OPAQUE
 * parts are the target's own. */

#define MEND_NONE UINT32_MAX

enum mend_empty {
    MEND_EMPTY_KEEP,   /* OC, OR: empty text is legal; only empty *system* text goes */
    MEND_EMPTY_DROP,   /* GG: empty text parts and empty turns go */
    MEND_EMPTY_STRICT, /* AM: 2.3.6; an empty user turn is a 400 */
};
enum mend_prefill {
    MEND_PREFILL_KEEP,   /* a last assistant turn is sent as it is */
    MEND_PREFILL_TRIM,   /* …without white space at its end (AM) */
    MEND_PREFILL_REFUSE, /* a user turn "Continue." follows it */
};
enum mend_mid {
    MEND_MID_TURN, /* system text between turns stays a turn of its role (OC, OR, AM mid_system) */
    MEND_MID_USER, /* …becomes user text <system>\n…\n</system> in place */
};

struct mend_rules {
    bool hoists_system;  /* leading system turns leave the conversation for mend.system (AM, GG; OR
                            where they become `instructions`) */
    bool merges_turns;   /* neighbours of a role become one turn (AM, GG). Otherwise only an
                            assistant turn with calls is joined with the assistant turns after it */
    bool is_foreign;     /* any but Anthropic: its clients' billing line goes, and what only its
                            documents have */
    bool shows_media;    /* an assistant turn has no place for media: the user shows them again */
    bool user_first;     /* "(continued)" is put before an assistant turn at the start (AM, GG) */
    bool needs_user;     /* a conversation of system text only: the last one becomes a user turn */
    uint8_t mid;         /* enum mend_mid */
    uint8_t empty;       /* enum mend_empty */
    uint8_t prefill;     /* enum mend_prefill */
    uint8_t reason_echo; /* enum oc_reason_echo: reasoning without a secret stays, as text */
    const char *seals;   /* letters of the families the target accepts: "ad", "r", "g", "o" */
    bool seals_on_calls; /* Google's secret of a call stands there (GG, OC): mend_seal_of. Any other
                            moves to the last REASON before it without one, or to a new one with
                            empty text */
};

/* Text around a part, and what unsealing found. */
struct mend_extra {
    struct slice before,
        after;           /* plain; around the body. A part without an event is all `before` */
    struct text seal;    /* the secret as its vendor wrote it, or empty */
    struct text item_id; /* with family 'r' */
    struct text call_id; /* of a CALL whose own id an earlier one has, or empty */
    uint8_t seal_family;
    bool trims_end; /* the body is written without white space at its end */
    bool text_only; /* a RESULT that became text (nobody called for it) */
};

struct mend_part {
    uint32_t event; /* its PART on the tape, or MEND_NONE: synthesized */
    uint32_t pair;  /* of a CALL: number of its RESULT; of a RESULT: of its CALL; else MEND_NONE.
                       Numbers index mend.parts */
    uint32_t next;  /* private */
    uint8_t kind;   /* enum ir_part, after mending */
    uint8_t flags;  /* IR_CACHE_MARK, IR_IS_ERROR, IR_CUSTOM, IR_LEGACY */
    struct mend_extra *extra; /* or NULL */
};

struct mend_turn {
    uint8_t role;   /* enum ir_role */
    uint32_t event; /* its (first) TURN on the tape, or MEND_NONE */
    uint32_t first; /* into mend.order */
    uint32_t count;
    uint32_t results; /* of a user turn: so many RESULT parts come first */
};

struct mend {
    const struct ir_tape *tape;
    struct arena *arena;
    struct mend_turn system;
    struct mend_turn *turns;
    uint32_t turns_count;
    struct mend_part *parts;
    uint32_t *order; /* part numbers, turn by turn */
    uint32_t parts_count;
    uint32_t dangling, orphans, duplicates; /* repairs, for the log */
    struct text dialect;                    /* of the client */
};

/* Builds the index in brief->scratch and sets brief->minter. Honours target->system_text and
 * target->recall. OPAQUE parts that are left out are noted in `loss` by their type. Fails with a
 * fault (an empty user message towards AM, too many calls, no conversation at all) or NO_MEMORY. */
enum r2a_err mend_build(struct mend *mend, const struct ir_tape *tape,
                        const struct mend_rules *rules, const struct target *target,
                        struct brief *brief, struct loss *loss, struct fault *fault);

static inline const struct mend_part *mend_part_at(const struct mend *mend,
                                                   const struct mend_turn *turn, uint32_t k)
{
    return &mend->parts[mend->order[turn->first + k]];
}

/* The secret that part `k` is written with where rules.seals_on_calls, or empty. A call without one
 * of its own takes that of the REASON right before it, which goes without; one that had no words
 * either is not there. */
struct text mend_seal_of(const struct mend *mend, const struct mend_turn *turn, uint32_t k);

/* The text of a TEXT, REFUSAL, SEARCH, text FILE or REASON part with what stands around it, as the
 * inside of a JSON string. */
void mend_write_text(const struct mend *mend, const struct mend_part *part, struct rope *out);
/* True when that would write nothing. */
bool mend_is_empty(const struct mend *mend, const struct mend_part *part);
/* The call id (as the client has it, but unique) and the tool name of a CALL, or of the call that a
 * RESULT answers. */
struct text mend_call_id(const struct mend *mend, const struct mend_part *part);
struct text mend_call_name(const struct mend *mend, const struct mend_part *part,
                           struct text *space);
/* The text of a RESULT without an event (its call had none). */
#define MEND_NO_RESULT "No result was recorded for this call."

#endif
