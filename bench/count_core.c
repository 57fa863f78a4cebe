/* What the lowest layer costs: a token's way through a rope, an idle deadline for every chunk. */
#include "count.h"

#include "r2a/core/arena.h"
#include "r2a/core/base64.h"
#include "r2a/core/rope.h"
#include "r2a/core/utf8.h"
#include "r2a/core/wheel.h"

#define CHUNKS 100u

static struct mem_budget budget;
static struct mem *mem;
static struct rope rope;
static void *kept; /* an idle thread's memory is a case of its own */

static void prepare_mem(void)
{
    mem = mem_open(&budget, 1 << 20);
    count_expect(mem != NULL);
    kept = mem_take(mem, 100);
    rope = (struct rope){.mem = mem};
    rope_put(&rope, S("touch the first segment"));
    rope_clear(&rope);
}

/* An event of a stream as an encoder writes it, sent by itself. */
static void run_rope_chunks(void)
{
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct iovec vecs[16];

        rope_put(&rope, S("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","));
        rope_put(&rope, S("\"index\":"));
        rope_put_u64(&rope, i);
        rope_put(&rope, S(",\"delta\":{\"type\":\"text_delta\",\"text\":\""));
        rope_put(&rope, S(" a token"));
        rope_put(&rope, S("\"}}\n\n"));
        count_expect(rope_peek(&rope, vecs, 16) == 1);
        rope_consume(&rope, rope.bytes);
    }
    count_expect(rope.err == R2A_OK && rope.bytes == 0);
}

static void run_rope_fill(void)
{
    for (uint32_t i = 0; i < CHUNKS * 10; i++)
        rope_put(&rope, S("some sixty bytes of text, as they come from a model, a token.."));
    rope_clear(&rope);
}

static void run_mem_classes(void)
{
    static const size_t sizes[] = {100, 1000, 4000, 16000, 100000};

    for (uint32_t i = 0; i < CHUNKS; i++) {
        void *blocks[5];

        for (size_t j = 0; j < 5; j++)
            count_expect((blocks[j] = mem_take(mem, sizes[j])) != NULL);
        for (size_t j = 0; j < 5; j++)
            mem_give(mem, blocks[j], sizes[j]);
    }
}

static void run_arena(void)
{
    struct arena arena = {.mem = mem};

    for (uint32_t i = 0; i < CHUNKS; i++)
        count_expect(arena_take(&arena, 40) != NULL);
    arena_reset(&arena);
}

static struct wheel wheel;
static struct timer timers[CHUNKS];

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    (void)timer;
    (void)now_ms;
}

static void prepare_wheel(void)
{
    wheel_open(&wheel, 1000000);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        timers[i].fn = on_timer;
        wheel_arm(&wheel, &timers[i], wheel.now_ms + 60000);
    }
}

/* A chunk each millisecond for each of a hundred streams. */
static void run_wheel_rearm(void)
{
    for (uint64_t tick = 1; tick <= 20; tick++) {
        (void)wheel_advance(&wheel, 1000000 + tick);
        for (uint32_t i = 0; i < CHUNKS; i++)
            wheel_arm(&wheel, &timers[i], 1000000 + tick + 60000);
        count_expect(wheel_next_ms(&wheel) > wheel.now_ms);
    }
}

static void run_wheel_fire(void)
{
    count_expect(wheel_advance(&wheel, 2000000) == CHUNKS);
    for (uint32_t i = 0; i < CHUNKS; i++)
        wheel_arm(&wheel, &timers[i], 2000000 + i * 977);
    for (uint32_t i = 0; i < CHUNKS; i += 2)
        wheel_cancel(&wheel, &timers[i]);
    count_expect(wheel_advance(&wheel, 3000000) == CHUNKS / 2);
}

static char text[16384];
static char bytes[16384];

static void prepare_text(void)
{
    static const char words[] =
        "Plain words of a prompt, na\xc3\xafve caf\xc3\xa9s \xe2\x82\xac 5. ";

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = words[i % (sizeof(words) - 1)];
}

static void run_utf8(void)
{
    count_expect(utf8_valid_len(slice_of(text, sizeof(text))) > sizeof(text) - 4);
}

static void prepare_base64(void)
{
    for (size_t i = 0; i < sizeof(bytes) / 4 * 3; i++)
        bytes[i] = (char)(i * 7);
    count_expect(base64_encode(text, slice_of(bytes, sizeof(bytes) / 4 * 3), BASE64_PADDED) ==
                 sizeof(text));
}

static void run_base64(void)
{
    size_t size;

    count_expect(base64_decode(bytes, slice_of(text, sizeof(text)), BASE64_PADDED, &size));
}

const struct count_fixture count_fixtures[] = {
    {"rope_chunks", prepare_mem, run_rope_chunks},
    {"rope_fill", prepare_mem, run_rope_fill},
    {"mem_classes", prepare_mem, run_mem_classes},
    {"arena", prepare_mem, run_arena},
    {"wheel_rearm", prepare_wheel, run_wheel_rearm},
    {"wheel_fire", prepare_wheel, run_wheel_fire},
    {"utf8_16k", prepare_text, run_utf8},
    {"base64_16k", prepare_base64, run_base64},
};
const size_t count_fixtures_count = sizeof(count_fixtures) / sizeof(count_fixtures[0]);
