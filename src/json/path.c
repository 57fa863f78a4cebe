/* Picking members: a loop over the keys of the root, a second one over those of an object below it
 * that a subkey asks for. Everything else is skipped, which validates it. */
#include "r2a/json/path.h"

#include "r2a/core/check.h"

#include "lex.h"

struct picker {
    struct json_scan scan;
    const struct json_pick *picks;
    struct json_found *found;
    uint32_t count;
    enum r2a_err err; /* ours, beside the scanner's: TYPE or DUPLICATE */
    const char *at;
};

static bool fail(struct picker *picker, enum r2a_err err, const char *at)
{
    picker->err = err;
    picker->at = at;
    return false;
}

static struct slice key_raw(const struct json_scan *scan)
{
    return slice_of(scan->text.ptr - 1, scan->text.len + 2);
}

/* The members of the object whose brace was just taken, the value of `key`. */
static bool pick_below(struct picker *picker, struct slice key)
{
    struct json_scan *const scan = &picker->scan;
    enum json_token token;

    while ((token = json_next(scan)) == JSON_KEY) {
        const struct slice subkey_raw = key_raw(scan);
        struct json_found value = {.key_raw = subkey_raw};
        uint64_t hits = 0;

        for (uint32_t i = 0; i < picker->count; i++) {
            const struct json_pick *const pick = &picker->picks[i];

            if (pick->subkey.len == 0 || !json_key_is(scan, pick->subkey) ||
                !slice_eq(pick->key, key))
                continue;
            if (pick->is_unique && picker->found[i].kind != JSON_ERROR)
                return fail(picker, R2A_ERR_JSON_DUPLICATE, subkey_raw.ptr);
            hits |= UINT64_C(1) << i;
        }
        value.kind = json_next(scan);
        if (!json_skip_after(scan, value.kind, &value.raw))
            return false;
        for (; hits != 0; hits &= hits - 1)
            picker->found[__builtin_ctzll(hits)] = value;
    }
    return token == JSON_OBJECT_END;
}

/* One member of the root, whose key was just taken. */
static bool pick_member(struct picker *picker, uint64_t *seen)
{
    struct json_scan *const scan = &picker->scan;
    struct json_found value = {.key_raw = key_raw(scan)};
    const struct json_pick *pick = picker->picks;
    const struct json_pick *const end = pick + picker->count;
    struct slice below = {0};
    uint64_t hits = 0;
    uint64_t bit = 1;

    for (; pick != end; pick++, bit <<= 1) {
        if (lex_likely(!json_key_is(scan, pick->key)))
            continue;
        if (pick->is_unique && (*seen & bit) != 0)
            return fail(picker, R2A_ERR_JSON_DUPLICATE, value.key_raw.ptr);
        *seen |= bit;
        if (pick->subkey.len == 0) {
            hits |= bit;
        } else {
            below = pick->key;
            picker->found[pick - picker->picks] = (struct json_found){.kind = JSON_ERROR};
        }
    }
    value.kind = json_next(scan);
    if (value.kind == JSON_OBJECT && below.len > 0) {
        const char *const begin = scan->pos - 1;

        if (!pick_below(picker, below))
            return false;
        value.raw = slice_between(begin, scan->pos);
    } else if (!json_skip_after(scan, value.kind, &value.raw)) {
        return false;
    }
    for (; hits != 0; hits &= hits - 1)
        picker->found[__builtin_ctzll(hits)] = value;
    return true;
}

static bool pick_root(struct picker *picker)
{
    struct json_scan *const scan = &picker->scan;
    uint64_t seen = 0;
    enum json_token token = json_next(scan);

    if (token == JSON_ERROR)
        return false;
    if (token != JSON_OBJECT)
        return fail(picker, R2A_ERR_JSON_TYPE, lex_skip_space(scan->begin, scan->end));
    while ((token = json_next(scan)) == JSON_KEY)
        if (!pick_member(picker, &seen))
            return false;
    return token == JSON_OBJECT_END && json_next(scan) == JSON_END;
}

enum r2a_err json_pick(struct slice body, const struct json_pick *picks, uint32_t count,
                       struct json_found *found, struct json_memo *memo, uint64_t *offset)
{
    struct picker picker;

    check(count <= JSON_PICKS_MAX);
    picker.picks = picks;
    picker.found = found;
    picker.count = count;
    for (uint32_t i = 0; i < count; i++)
        found[i] = (struct json_found){.kind = JSON_ERROR};
    if (memo != NULL)
        json_open_memo(&picker.scan, body, memo);
    else
        json_open(&picker.scan, body);
    if (pick_root(&picker))
        return R2A_OK;
    if (picker.scan.err != R2A_OK) {
        *offset = picker.scan.offset;
        return picker.scan.err;
    }
    *offset = (uint64_t)(picker.at - body.ptr);
    return picker.err;
}
