/* The scanner: the line of events is the same whole, byte by byte and split anywhere, with SIMD and
 * without; a pass that recalls a memo sees what the pass that wrote it saw; what is accepted is
 * accepted again compacted, and json_pick agrees with the scanner about what is valid. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/json/path.h"
#include "json/events.h"
#include "json/scalar.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_memo memo;

static void open_memo(struct json_scan *scan, struct slice text)
{
    json_open_memo(scan, text, &memo);
}

static void open_recall(struct json_scan *scan, struct slice text)
{
    json_open_recall(scan, text, &memo);
}

static void require_same(const struct events *whole, struct events other)
{
    require(events_eq(whole, &other));
    events_free(&other);
}

static void number(struct slice text)
{
    int64_t value;
    const bool is_int = json_number_int(text, &value);
    const double approximate = json_number_double(text);
    const double gap = is_int ? approximate - (double)value : 0;

    require(gap <= 4096 && gap >= -4096);
}

static void skip_and_take(struct slice text, bool is_valid)
{
    static const struct json_pick picks[] = {
        {.key = S_INIT("model"), .is_unique = true},
        {.key = S_INIT("a")},
        {.key = S_INIT("a"), .subkey = S_INIT("b")},
    };
    struct json_found found[3];
    struct json_scan scan, taken;
    struct slice raw;
    uint64_t offset = UINT64_MAX;
    enum r2a_err err;
    enum json_token token, kind;

    json_open(&scan, text);
    require((json_skip(&scan, &raw) && json_next(&scan) == JSON_END) == is_valid);
    json_open(&taken, text);
    while ((token = json_next(&taken)) != JSON_ERROR && token != JSON_END)
        ;
    require(scan.err == taken.err && scan.offset == taken.offset);
    json_open(&scan, text);
    if (json_next(&scan) == JSON_OBJECT) {
        while ((token = json_member(&scan, &kind, &raw)) == JSON_KEY)
            ;
        if (token == JSON_OBJECT_END)
            token = json_next(&scan);
        require((token == JSON_END) == is_valid);
        require(scan.err == taken.err && scan.offset == taken.offset);
    }
    json_open(&scan, text);
    (void)json_skip(&scan, &raw);
    if (is_valid)
        require(raw.ptr >= text.ptr && raw.ptr + raw.len <= text.ptr + text.len);
    err = json_pick(text, picks, 3, found, NULL, &offset);
    if (err == R2A_OK)
        require(is_valid);
    else
        require(!is_valid || err == R2A_ERR_JSON_TYPE || err == R2A_ERR_JSON_DUPLICATE);
    require(err == R2A_OK || offset <= text.len);
    for (uint32_t i = 0; i < 3 && err == R2A_OK; i++) {
        if (found[i].kind == JSON_ERROR)
            continue;
        json_open(&scan, found[i].raw);
        token = json_next(&scan);
        require(token == found[i].kind && json_skip_after(&scan, token, &raw));
        require(json_next(&scan) == JSON_END && raw.len == found[i].raw.len);
    }
    json_open(&scan, text);
    while ((token = json_next(&scan)) != JSON_END && token != JSON_ERROR) {
        if (token == JSON_KEY)
            (void)json_key_is(&scan, S("model"));
        if (token == JSON_NUMBER)
            number(scan.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of((const char *)data, size);
    struct events whole = events_whole(text);
    uint64_t seed = size + 1;

    require_same(&whole, events_whole_with(text, scalar_open, scalar_next));
    require_same(&whole, events_whole_with(text, open_memo, json_next));
    require_same(&whole, events_whole_with(text, open_recall, json_next));
    require_same(&whole, events_pieces(text, 0, NULL));
    for (size_t i = 0; i < size; i++)
        seed = seed * 31 + data[i];
    require_same(&whole, events_pieces(text, seed | 1, NULL));
    skip_and_take(text, whole.len >= 3 && memcmp(whole.line + whole.len - 3, "end", 3) == 0);
    events_free(&whole);
    return 0;
}
