/* Server-sent events, read.
 *
 * The reader works on blocks: the lines up to and including a blank one. A block that lies in one
 * piece of input is read where it lies; else its bytes are gathered line by line, and what is known
 * of it is kept as offsets, which mean the same in either place. Each byte is looked at once.
 *
 * A CR that is the last byte of the input ends its line at once, since waiting to see whether an LF
 * follows would hold an event back for as long as the next one takes. The LF, if it comes, is the
 * first byte of the next block's raw bytes. */
#include "r2a/http/sse.h"

#include "bytes.h"
#include "json_scan.h"
#include "r2a/core/check.h"
#include "r2a/http/framing.h"

static const char bom[3] = {'\xef', '\xbb', '\xbf'};

void sse_init(struct sse *sse, struct mem *mem, uint32_t frame_bytes_max)
{
    *sse = (struct sse){.mem = mem, .frame_bytes_max = frame_bytes_max, .is_first_line = true};
}

void sse_free(struct sse *sse)
{
    gather_free(&sse->gather, sse->mem);
    gather_free(&sse->join, sse->mem);
}

/* Forgets the block, not what carries over from one to the next (skip_lf). */
static void start_block(struct sse *sse)
{
    sse->line_at = 0;
    sse->scan_at = 0;
    sse->name_at = 0;
    sse->name_len = 0;
    sse->data_count = 0;
    sse->has_fields = false;
    sse->in_stray = false;
}

/* The value after "name:" without its one optional space; as an offset and a length. */
static void cut_value(const char *base, uint32_t value_at, uint32_t line_end, uint32_t *at,
                      uint32_t *len)
{
    if (value_at < line_end && base[value_at] == ' ')
        value_at++;
    *at = value_at;
    *len = line_end - value_at;
}

/* Whether the line at `at` is this field, and if so where its value begins. A line without a colon
 * is a field with an empty value. Inlined for the sake of its constant names: it runs on each line.
 */
static inline bool is_field(const char *base, uint32_t at, uint32_t end, struct slice name,
                            uint32_t *value_at)
{
    uint32_t name_end = at + (uint32_t)name.len;

    if (end - at < name.len || memcmp(base + at, name.ptr, name.len) != 0)
        return false;
    if (name_end < end && base[name_end] != ':')
        return false;
    *value_at = name_end < end ? name_end + 1 : end;
    return true;
}

/* Takes in one line that is neither empty nor a comment. */
static void read_field(struct sse *sse, const char *base, uint32_t at, uint32_t end)
{
    uint32_t value_at;

    sse->has_fields = true;
    if (is_field(base, at, end, S("data"), &value_at)) {
        if (sse->data_count == 0)
            cut_value(base, value_at, end, &sse->data_at, &sse->data_len);
        sse->data_count++;
    } else if (is_field(base, at, end, S("event"), &value_at)) {
        cut_value(base, value_at, end, &sse->name_at, &sse->name_len);
    }
}

/* At the first line of a block: 1 when a JSON text begins here, 0 when not, -1 when one more byte
 * is needed to tell. Field names may hold any byte, but none in use begins with these. */
static int begins_stray(const char *base, uint32_t at, uint32_t len)
{
    if (base[at] == '{')
        return 1;
    if (base[at] != '[')
        return 0;
    if (at + 1 == len)
        return -1;
    return base[at + 1] == '{' ? 1 : 0;
}

/* Where the line end at `at` ends: one byte later, or two for CRLF. */
static uint32_t skip_line_end(struct sse *sse, const char *base, uint32_t at, uint32_t len)
{
    bool is_cr = base[at] == '\r';

    at++;
    if (is_cr && at < len && base[at] == '\n')
        return at + 1;
    sse->skip_lf = is_cr && at == len;
    return at;
}

static void set_frame(struct frame *frame, enum frame_kind kind, const char *base, uint32_t at,
                      uint32_t len)
{
    frame->kind = (uint8_t)kind;
    frame->data = slice_of(base + at, len);
}

/* Joins the data lines of a block by LF (their first one's place is known). */
static enum r2a_err join_data(struct sse *sse, const char *base, uint32_t block_len,
                              struct frame *frame)
{
    uint32_t at = sse->data_at + sse->data_len;
    enum r2a_err err = gather_put(
        &sse->join, sse->mem, slice_of(base + sse->data_at, sse->data_len), sse->frame_bytes_max);

    while (err == R2A_OK && at < block_len) {
        uint32_t end, value_at, value_len;

        while (at < block_len && (base[at] == '\r' || base[at] == '\n'))
            at++; /* blank lines within a block there are none */
        end = (uint32_t)(scan_line_end(base + at, base + block_len) - base);
        if (end > at && is_field(base, at, end, S("data"), &value_at)) {
            cut_value(base, value_at, end, &value_at, &value_len);
            err = gather_put(&sse->join, sse->mem, S("\n"), sse->frame_bytes_max);
            if (err == R2A_OK)
                err = gather_put(&sse->join, sse->mem, slice_of(base + value_at, value_len),
                                 sse->frame_bytes_max);
        }
        at = end;
    }
    frame->data = slice_of(sse->join.ptr, sse->join.len);
    return err;
}

/* The block, `len` bytes, is complete: what it dispatches. */
static enum r2a_err dispatch(struct sse *sse, const char *base, uint32_t len, struct frame *frame)
{
    if (sse->data_count == 0) {
        frame->kind = FRAME_COMMENT; /* nothing is dispatched, but these bytes came */
        return R2A_OK;
    }
    frame->name = slice_of(base + sse->name_at, sse->name_len);
    set_frame(frame, FRAME_DATA, base, sse->data_at, sse->data_len);
    return sse->data_count > 1 ? join_data(sse, base, len, frame) : R2A_OK;
}

/* Reads on in the block base[0..len). Returns >0, the size of the block and its frame (raw aside);
 * 0 when it is not complete; an error. */
static int32_t scan_block(struct sse *sse, const char *base, uint32_t len, struct frame *frame)
{
    if (sse->skip_lf && sse->scan_at < len) {
        sse->skip_lf = false;
        if (base[sse->scan_at] == '\n') {
            sse->scan_at++;
            sse->line_at = sse->scan_at;
            if (len == 1) { /* all there is: nothing to keep it for */
                frame->kind = FRAME_COMMENT;
                return 1;
            }
        }
    }
    if (sse->is_first_line && sse->scan_at < len) {
        uint32_t size = len < sizeof(bom) ? len : (uint32_t)sizeof(bom);

        if (memcmp(base, bom, size) == 0) {
            if (size < sizeof(bom))
                return 0;
            sse->line_at = sse->scan_at = size;
        }
        sse->is_first_line = false;
    }
    for (;;) {
        uint32_t line = sse->line_at;
        uint32_t end;

        if (sse->in_stray) {
            uint32_t size = scan_json_balanced(&sse->stray, base, len, &sse->scan_at);

            if (size > 0)
                set_frame(frame, FRAME_STRAY, base, line, size - line);
            return (int32_t)size;
        }
        if (sse->scan_at >= len)
            return 0;
        if (sse->scan_at == line && !sse->has_fields) {
            int stray = begins_stray(base, line, len);

            if (stray < 0)
                return 0;
            if (stray > 0) {
                sse->in_stray = true;
                sse->stray = (struct json_balance){0};
                continue;
            }
        }
        end = (uint32_t)(scan_line_end(base + sse->scan_at, base + len) - base);
        if (end == len) {
            sse->scan_at = len;
            return 0;
        }
        sse->scan_at = skip_line_end(sse, base, end, len);
        sse->line_at = sse->scan_at;
        if (end == line) {
            enum r2a_err err = dispatch(sse, base, end, frame);

            return err != R2A_OK ? (int32_t)err : (int32_t)sse->scan_at;
        }
        if (base[line] != ':') {
            read_field(sse, base, line, end);
        } else if (!sse->has_fields) {
            cut_value(base, line + 1, end, &sse->data_at, &sse->data_len);
            set_frame(frame, FRAME_COMMENT, base, sse->data_at, sse->data_len);
            /* the blank line after a comment, if it is here already, saves a frame of its own */
            if (sse->scan_at < len && (base[sse->scan_at] == '\n' || base[sse->scan_at] == '\r'))
                sse->scan_at = skip_line_end(sse, base, sse->scan_at, len);
            return (int32_t)sse->scan_at;
        }
    }
}

/* How much of `in` to add to a gathered block at a time: a line with its end, so that nothing of
 * the next block is copied; in a stray text, up to what may close it. */
static size_t piece_size(const struct sse *sse, struct slice in)
{
    const char *end = in.ptr + in.len;
    const char *at;

    if (sse->in_stray) {
        for (at = in.ptr; at < end && *at != '}' && *at != ']';)
            at++;
        return (size_t)(at - in.ptr) + (at < end);
    }
    at = scan_line_end(in.ptr, end);
    if (at == end)
        return in.len;
    /* an LF at the very front may belong to a CR seen before: on its own it is a line end anyway */
    if (*at == '\r' && at + 1 < end && at[1] == '\n')
        at++;
    return (size_t)(at + 1 - in.ptr);
}

static int32_t fail(struct sse *sse, enum r2a_err err, uint32_t kept, struct frame *frame)
{
    sse->err = err;
    *frame = (struct frame){.raw = {sse->gather.ptr, kept}};
    return err;
}

static int32_t feed_gathered(struct sse *sse, struct slice in, struct frame *frame)
{
    uint32_t kept = sse->gather.len;
    size_t used = 0;

    while (used < in.len) {
        struct slice rest = slice_skip(in, used);
        struct slice piece = slice_head(rest, piece_size(sse, rest));
        enum r2a_err err = gather_put(&sse->gather, sse->mem, piece, sse->frame_bytes_max);
        int32_t size;

        if (err != R2A_OK)
            return fail(sse, err, kept, frame);
        used += piece.len;
        size = scan_block(sse, sse->gather.ptr, sse->gather.len, frame);
        if (size < 0)
            return fail(sse, (enum r2a_err)size, kept, frame);
        if (size > 0) {
            /* a line may end before its piece when a stray text began in it */
            check((uint32_t)size > kept && (uint32_t)size <= sse->gather.len);
            used -= sse->gather.len - (uint32_t)size;
            frame->raw = slice_of(sse->gather.ptr, (size_t)size);
            sse->is_given = true;
            return (int32_t)used;
        }
    }
    return 0;
}

int32_t sse_feed(struct sse *sse, struct slice in, struct frame *frame)
{
    enum r2a_err err;
    int32_t size;

    *frame = (struct frame){0};
    if (sse->err != R2A_OK)
        return sse->err;
    if (sse->is_given) {
        sse_free(sse);
        start_block(sse);
        sse->is_given = false;
    }
    if (in.len == 0)
        return 0;
    check(in.len <= INT32_MAX);
    if (sse->gather.len > 0)
        return feed_gathered(sse, in, frame);
    size = scan_block(sse, in.ptr, (uint32_t)in.len, frame);
    if (size < 0)
        return fail(sse, (enum r2a_err)size, 0, frame);
    if (size > 0) {
        if ((uint32_t)size > sse->frame_bytes_max)
            return fail(sse, R2A_ERR_FRAME_LIMIT, 0, frame);
        frame->raw = slice_of(in.ptr, (size_t)size);
        sse->is_given = true;
        return size;
    }
    err = gather_put(&sse->gather, sse->mem, in, sse->frame_bytes_max);
    return err != R2A_OK ? fail(sse, err, 0, frame) : 0;
}

int32_t sse_finish(struct sse *sse, struct frame *frame)
{
    const char *base = sse->gather.ptr;
    uint32_t len = sse->gather.len;
    uint32_t line = sse->line_at;
    enum r2a_err err = R2A_OK;

    *frame = (struct frame){0};
    if (sse->err != R2A_OK)
        return sse->err;
    if (sse->is_given || len == 0) {
        sse_free(sse);
        start_block(sse);
        sse->is_given = false;
        return 0;
    }
    if (sse->in_stray) {
        set_frame(frame, FRAME_STRAY, base, line, len - line);
    } else if (line < len && base[line] == ':' && !sse->has_fields) {
        cut_value(base, line + 1, len, &sse->data_at, &sse->data_len);
        set_frame(frame, FRAME_COMMENT, base, sse->data_at, sse->data_len);
    } else {
        if (line < len && base[line] != ':')
            read_field(sse, base, line, len);
        err = dispatch(sse, base, len, frame);
        frame->is_open = frame->kind == FRAME_DATA;
    }
    if (err != R2A_OK)
        return fail(sse, err, len, frame);
    frame->raw = slice_of(base, len);
    sse->is_given = true;
    return 1;
}

static void init(void *state, struct mem *mem, uint32_t frame_bytes_max)
{
    sse_init(state, mem, frame_bytes_max);
}

static int32_t feed(void *state, struct slice in, struct frame *frame)
{
    return sse_feed(state, in, frame);
}

static int32_t finish(void *state, struct frame *frame)
{
    return sse_finish(state, frame);
}

static void free_state(void *state)
{
    sse_free(state);
}

const struct framing framing_sse = {
    .name = S_INIT("sse"),
    .size = sizeof(struct sse),
    .init = init,
    .feed = feed,
    .finish = finish,
    .free = free_state,
};
