/* Cuts a growing JSON array into its elements.
 *
 * A block is the separators before an element and the element; the separators that the input ends
 * with go out by themselves, as does the closing bracket, so that nothing waits for what comes
 * next. Elements are objects or arrays: those end by their own last byte, a number ends only when
 * something else begins. */
#include "r2a/http/json_array.h"

#include "json_scan.h"
#include "r2a/core/check.h"
#include "r2a/http/framing.h"

enum array_state {
    ARRAY_OUTSIDE,        /* before '[' */
    ARRAY_FIRST,          /* after '[': an element or ']' */
    ARRAY_AFTER_ELEMENT,  /* ',' or ']' */
    ARRAY_BEFORE_ELEMENT, /* after ',' */
    ARRAY_ELEMENT,        /* inside one */
    ARRAY_DONE,           /* white space alone may follow */
};

void json_array_init(struct json_array *array, struct mem *mem, uint32_t frame_bytes_max)
{
    *array = (struct json_array){.mem = mem, .frame_bytes_max = frame_bytes_max};
}

void json_array_free(struct json_array *array)
{
    gather_free(&array->gather, array->mem);
}

static void start_block(struct json_array *array)
{
    array->element_at = 0;
    array->scan_at = 0;
    array->is_stray = false;
}

/* Steps over separators: the offset where an element begins (state ARRAY_ELEMENT), or `len`, or an
 * error. */
static int32_t scan_separators(struct json_array *array, const char *base, uint32_t len)
{
    for (uint32_t at = array->scan_at; at < len; at++) {
        char byte = base[at];
        bool may_begin = array->state == ARRAY_FIRST || array->state == ARRAY_BEFORE_ELEMENT;

        if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
            continue;
        if (array->state == ARRAY_OUTSIDE && byte == '[') {
            array->state = ARRAY_FIRST;
        } else if (array->state == ARRAY_OUTSIDE && byte == '{') {
            array->is_stray = true;
            array->state = ARRAY_ELEMENT;
            return (int32_t)at;
        } else if (may_begin && (byte == '{' || byte == '[')) {
            array->state = ARRAY_ELEMENT;
            return (int32_t)at;
        } else if (array->state == ARRAY_AFTER_ELEMENT && byte == ',') {
            array->state = ARRAY_BEFORE_ELEMENT;
        } else if ((array->state == ARRAY_AFTER_ELEMENT || array->state == ARRAY_FIRST) &&
                   byte == ']') {
            array->state = ARRAY_DONE;
        } else {
            return R2A_ERR_FRAME_SYNTAX;
        }
    }
    return (int32_t)len;
}

static int32_t fail(struct json_array *array, enum r2a_err err, uint32_t kept, struct frame *frame)
{
    array->err = err;
    *frame = (struct frame){.raw = {array->gather.ptr, kept}};
    return err;
}

/* The element base[element_at..size) ends the block. */
static int32_t give(struct json_array *array, const char *base, uint32_t size, struct frame *frame)
{
    frame->kind = array->is_stray ? FRAME_STRAY : FRAME_DATA;
    frame->data = slice_between(base + array->element_at, base + size);
    frame->raw = slice_of(base, size);
    array->state = array->is_stray ? ARRAY_DONE : ARRAY_AFTER_ELEMENT;
    array->is_given = true;
    return (int32_t)size;
}

/* An element that began in an earlier piece of input. */
static int32_t feed_gathered(struct json_array *array, struct slice in, struct frame *frame)
{
    uint32_t kept = array->gather.len;
    size_t used = 0;

    while (used < in.len) {
        const char *end = in.ptr + in.len;
        const char *at = in.ptr + used;
        enum r2a_err err;
        uint32_t size;

        /* up to what may close it, so that nothing of the next element is copied */
        while (at < end && *at != '}' && *at != ']')
            at++;
        at += at < end;
        err = gather_put(&array->gather, array->mem, slice_between(in.ptr + used, at),
                         array->frame_bytes_max);
        if (err != R2A_OK)
            return fail(array, err, kept, frame);
        used = (size_t)(at - in.ptr);
        size = scan_json_balanced(&array->element, array->gather.ptr, array->gather.len,
                                  &array->scan_at);
        if (size > 0) {
            check(size == array->gather.len);
            (void)give(array, array->gather.ptr, size, frame);
            return (int32_t)used;
        }
    }
    return 0;
}

int32_t json_array_feed(struct json_array *array, struct slice in, struct frame *frame)
{
    enum r2a_err err;
    uint32_t len = (uint32_t)in.len;
    int32_t at;
    uint32_t size;

    *frame = (struct frame){0};
    if (array->err != R2A_OK)
        return array->err;
    if (array->is_given) {
        json_array_free(array);
        start_block(array);
        array->is_given = false;
    }
    if (in.len == 0)
        return 0;
    check(in.len <= INT32_MAX);
    if (array->gather.len > 0)
        return feed_gathered(array, in, frame);
    at = scan_separators(array, in.ptr, len);
    if (at < 0)
        return fail(array, (enum r2a_err)at, 0, frame);
    if (array->state != ARRAY_ELEMENT) {
        frame->kind = FRAME_COMMENT;
        frame->raw = in;
        array->is_given = true;
        return at;
    }
    array->element_at = (uint32_t)at;
    array->scan_at = (uint32_t)at;
    array->element = (struct json_balance){0};
    size = scan_json_balanced(&array->element, in.ptr, len, &array->scan_at);
    if (size > array->frame_bytes_max)
        return fail(array, R2A_ERR_FRAME_LIMIT, 0, frame);
    if (size > 0)
        return give(array, in.ptr, size, frame);
    err = gather_put(&array->gather, array->mem, in, array->frame_bytes_max);
    return err != R2A_OK ? fail(array, err, 0, frame) : 0;
}

int32_t json_array_finish(struct json_array *array, struct frame *frame)
{
    *frame = (struct frame){0};
    if (array->err != R2A_OK)
        return array->err;
    if (array->is_given) {
        json_array_free(array);
        start_block(array);
        array->is_given = false;
    }
    if (array->state == ARRAY_DONE)
        return 0;
    return fail(array, R2A_ERR_TRUNCATED, array->gather.len, frame);
}

static void init(void *state, struct mem *mem, uint32_t frame_bytes_max)
{
    json_array_init(state, mem, frame_bytes_max);
}

static int32_t feed(void *state, struct slice in, struct frame *frame)
{
    return json_array_feed(state, in, frame);
}

static int32_t finish(void *state, struct frame *frame)
{
    return json_array_finish(state, frame);
}

static void free_state(void *state)
{
    json_array_free(state);
}

const struct framing framing_json_array = {
    .name = S_INIT("json_array"),
    .size = sizeof(struct json_array),
    .init = init,
    .feed = feed,
    .finish = finish,
    .free = free_state,
};
