#include "r2a/ir/fault.h"

/* The tables behind fault.h. */

const struct fault_row fault_rows[FAULT_KINDS] = {
#define X(name, openai_status, openai_type, openai_code, anthropic_status, anthropic_type,       \
          gemini_status, gemini_name)                                                            \
    [FAULT_##name] = {#name,          openai_status, openai_type, openai_code, anthropic_status, \
                      anthropic_type, gemini_status, gemini_name},
    FAULT_LIST(X)
#undef X
};

const char *fault_phase_name(uint8_t phase)
{
    static const char *const names[FAULT_PHASES] = {
#define X(name, text) [FAULT_PHASE_##name] = text,
        FAULT_PHASE_LIST(X)
#undef X
    };

    return phase < FAULT_PHASES ? names[phase] : "?";
}
