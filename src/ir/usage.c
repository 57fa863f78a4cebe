#include "r2a/ir/event.h"

/* Counters arrive in pieces, and repeated: the last word on each counts, a silent later piece
 * clears nothing (conversion.md 3.4, lessons 9). */

void ir_usage_merge(struct ir_usage *usage, const struct ir_usage *more)
{
    if (more->has & IR_HAS_INPUT)
        usage->input = more->input;
    if (more->has & IR_HAS_CACHE_READ)
        usage->cache_read = more->cache_read;
    if (more->has & IR_HAS_CACHE_WRITE)
        usage->cache_write = more->cache_write;
    if (more->has & IR_HAS_CACHE_WRITE_1H)
        usage->cache_write_1h = more->cache_write_1h;
    if (more->has & IR_HAS_OUTPUT)
        usage->output = more->output;
    if (more->has & IR_HAS_REASONING)
        usage->reasoning = more->reasoning;
    if (more->has & IR_HAS_TOOL_INPUT)
        usage->tool_input = more->tool_input;
    usage->has |= more->has;
}
