/* Picking members: a loop over those of the root, each taken whole, which validates it, and a
 * second one over those of an object among them that a subkey asks for. */
#include "r2a/json/path.h"

#include "r2a/core/check.h"

#include "lex.h"

struct picker {
    struct json_scan scan;
    const struct json_pick *picks;
    struct json_found *found;
    uint32_t count;
    uint64_t lengths; /* that keys have, a bit each, modulo 64: most members are none of them */
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

/* The members of `object`, which was scanned before, the value of `key`. */
static bool pick_below(struct picker *picker, struct slice object, struct slice key)
{
    struct json_scan scan;
    struct json_found value;

    json_open(&scan, object);
    (void)json_next(&scan);
    while (json_member(&scan, &value.kind, &value.raw) == JSON_KEY) {
        value.key_raw = key_raw(&scan);
        for (uint32_t i = 0; i < picker->count; i++) {
            const struct json_pick *const pick = &picker->picks[i];

            if (pick->subkey.len == 0 || !json_key_is(&scan, pick->subkey) ||
                !slice_eq(pick->key, key))
                continue;
            if (pick->is_unique && picker->found[i].kind != JSON_ERROR)
                return fail(picker, R2A_ERR_JSON_DUPLICATE, value.key_raw.ptr);
            picker->found[i] = value;
        }
    }
    return true;
}

/* One member of the root, which was just taken. */
static inline bool pick_member(struct picker *picker, struct json_found value, uint64_t *seen)
{
    const struct json_scan *const scan = &picker->scan;
    struct slice below = {0};

    for (uint32_t i = 0; i < picker->count; i++) {
        const struct json_pick *const pick = &picker->picks[i];

        if (lex_likely(!json_key_is(scan, pick->key)))
            continue;
        if (value.key_raw.ptr == NULL)
            value.key_raw = key_raw(scan);
        if (pick->is_unique && (*seen & UINT64_C(1) << i) != 0)
            return fail(picker, R2A_ERR_JSON_DUPLICATE, value.key_raw.ptr);
        *seen |= UINT64_C(1) << i;
        if (pick->subkey.len == 0) {
            picker->found[i] = value;
        } else {
            below = pick->key;
            picker->found[i] = (struct json_found){.kind = JSON_ERROR};
        }
    }
    return below.len == 0 || value.kind != JSON_OBJECT || pick_below(picker, value.raw, below);
}

static bool pick_root(struct picker *picker)
{
    struct json_scan *const scan = &picker->scan;
    struct json_found value = {0};
    uint64_t seen = 0;
    enum json_token token = json_next(scan);

    if (token == JSON_ERROR)
        return false;
    if (token != JSON_OBJECT)
        return fail(picker, R2A_ERR_JSON_TYPE, lex_skip_space(scan->begin, scan->end));
    while ((token = json_member(scan, &value.kind, &value.raw)) == JSON_KEY) {
        if (lex_likely(!scan->has_escape && (picker->lengths >> scan->text.len % 64 & 1) == 0))
            continue;
        if (!pick_member(picker, value, &seen))
            return false;
    }
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
    picker.lengths = 0;
    for (uint32_t i = 0; i < count; i++) {
        found[i] = (struct json_found){.kind = JSON_ERROR};
        picker.lengths |= UINT64_C(1) << picks[i].key.len % 64;
    }
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
