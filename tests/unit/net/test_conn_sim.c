/* conn.c on the simulated engine: thousands of short lives at random, each repeatable by its seed.
 * What must hold whatever happens: bytes arrive in order and unchanged; none is missing where both
 * sides ended properly; the owner hears what the contract says and nothing after it; everything is
 * given back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "sim_engine.h"

#define LIVES      400u /* R2A_LIVES of the environment: more of them */
#define BODY_BYTES 200000u
#define BOTH       2u

static struct loop loop;
static struct conns conns;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return below == 0 ? 0 : (uint32_t)(random_state >> 33) % below;
}

/* One connection, seen from both ends. */
struct life {
    struct conn *conn;
    int32_t handle;
    uint64_t in_at;   /* bytes the owner got */
    uint64_t in_sent; /* bytes the peer wrote */
    uint64_t out_sent;
    uint64_t out_at; /* bytes the peer got */
    uint64_t seed;
    bool is_over; /* nothing but on_released may come */
    bool is_paused;
    bool has_eof;
    bool released;
    bool peer_finished, peer_reset;
    bool closed_gently, aborted;
    char *into;
    size_t into_left;
    enum r2a_err err;
    char body[4000];
};

static struct life lives[BOTH];

/* How they ended: each kind must have been seen. */
static struct {
    uint32_t whole, reset, aborted, refused;
} seen;

#define must(life, condition) \
    cr_assert(condition, "seed %llu: %s", (unsigned long long)(life)->seed, #condition)

static void verify(struct life *life, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        must(life, (uint8_t)bytes[i] == rig_byte(life->in_at + i));
    life->in_at += len;
}

static void act(struct life *life);

static void on_connected(struct conn *conn)
{
    struct life *life = conn->owner;

    must(life, !life->is_over);
    act(life);
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    struct life *life = conn->owner;
    size_t used;

    must(life, !life->is_over && !life->is_paused && life->into_left == 0 && bytes.len > 0);
    must(life, life->in_at + bytes.len <= life->in_sent);
    switch (draw(4)) {
    case 0:
        used = 0;
        break;
    case 1:
        used = draw((uint32_t)bytes.len + 1);
        break;
    default:
        used = bytes.len;
        break;
    }
    verify(life, bytes.ptr, used);
    act(life);
    return life->is_over ? bytes.len : used;
}

static void on_filled(struct conn *conn, size_t added, size_t left)
{
    struct life *life = conn->owner;

    must(life, !life->is_over && life->into_left == added + left && added > 0);
    verify(life, life->into, added);
    life->into += added;
    life->into_left = left;
    act(life);
}

static void on_eof(struct conn *conn)
{
    struct life *life = conn->owner;

    must(life, !life->is_over && !life->is_paused && life->peer_finished);
    life->has_eof = true;
    act(life);
}

static void on_writable(struct conn *conn)
{
    struct life *life = conn->owner;

    must(life, !life->is_over);
    act(life);
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    struct life *life = conn->owner;

    must(life, !life->is_over);
    must(life, err != R2A_OK);
    life->is_over = true;
    life->err = err;
}

static void on_released(struct conn *conn)
{
    struct life *life = conn->owner;

    must(life, life->is_over && !life->released);
    life->released = true;
    life->conn = NULL;
}

static const struct conn_calls calls = {
    .on_connected = on_connected,
    .on_bytes = on_bytes,
    .on_filled = on_filled,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_released = on_released,
};

static void put(struct life *life, uint32_t len)
{
    char piece[5000];

    for (uint32_t i = 0; i < len; i++)
        piece[i] = (char)rig_byte(life->out_sent + i);
    rope_put(conn_out(life->conn), slice_of(piece, len));
    life->out_sent += len;
    conn_flush(life->conn);
}

/* Something an owner may do at any time, within callbacks too. */
static void act(struct life *life)
{
    struct conn *conn = life->conn;

    if (life->is_over || conn == NULL)
        return;
    switch (draw(16)) {
    case 0:
    case 1:
    case 2:
        if (life->out_sent < BODY_BYTES)
            put(life, 1 + draw(5000));
        break;
    case 3:
        life->is_paused = true;
        conn_read_pause(conn);
        break;
    case 4:
    case 5:
        life->is_paused = false;
        conn_read_resume(conn);
        break;
    case 6:
        if (life->into_left == 0) {
            life->into = life->body;
            life->into_left = 1 + draw(sizeof life->body);
            conn_read_into(conn, life->into, life->into_left);
        }
        break;
    case 7:
        conn_want_writable(conn, draw(2) == 0 ? 0 : draw(10000));
        break;
    case 8:
        if (draw(40) == 0) {
            conn_close(conn);
            life->closed_gently = life->is_over = true;
        }
        break;
    case 9:
        if (draw(80) == 0) {
            conn_abort(conn);
            life->aborted = life->is_over = true;
        }
        break;
    default:
        break;
    }
}

static void read_as_peer(struct life *life, size_t most)
{
    char piece[3000];
    size_t count;

    while (most > 0 &&
           (count = sim_peer_read(life->handle, piece, most < 3000 ? most : 3000)) > 0) {
        for (size_t i = 0; i < count; i++)
            must(life, (uint8_t)piece[i] == rig_byte(life->out_at + i));
        life->out_at += count;
        most -= count;
    }
}

/* Something its peer may do at any time. */
static void act_as_peer(struct life *life)
{
    char piece[3000];

    if (life->peer_reset)
        return;
    if (draw(3) == 0)
        read_as_peer(life, draw(3000));
    if (!life->peer_finished && draw(2) == 0 && life->in_sent < BODY_BYTES) {
        size_t len = 1 + draw(sizeof piece - 1);

        for (size_t i = 0; i < len; i++)
            piece[i] = (char)rig_byte(life->in_sent + i);
        life->in_sent += sim_peer_write(life->handle, piece, len);
    }
    if (draw(400) == 0) {
        life->peer_finished = true;
        sim_peer_finish(life->handle);
    }
    if (draw(3000) == 0) {
        life->peer_reset = true;
        sim_peer_reset(life->handle);
    }
}

static void begin(struct life *life, uint64_t seed, bool is_client)
{
    static const struct conn_peer nobody = {.family = AF_UNIX};
    const struct sockaddr_in addr = {.sin_family = AF_INET};
    struct conn_target target = {
        .addr = (const struct sockaddr *)(const void *)&addr,
        .addr_len = sizeof addr,
    };
    enum r2a_err err;

    memset(life, 0, sizeof *life);
    life->seed = seed;
    if (is_client) {
        life->handle = sim_connected();
        life->conn = conn_adopt(&conns, life->handle, &nobody, &calls, life);
    } else {
        sim_connects(draw(8) == 0 ? -ECONNREFUSED : 0);
        life->conn = conn_connect(&conns, &target, &calls, life, &err);
        life->handle = life->conn->handle;
    }
    must(life, life->conn != NULL);
}

/* Lets what goes on come to its end, by decent behaviour of both sides. */
static void settle(struct life *life)
{
    if (!life->is_over) {
        if (life->is_paused || draw(4) == 0) {
            life->is_paused = false;
            conn_read_resume(life->conn);
        }
        if (life->has_eof || life->conn->state < CONN_OPEN) {
            conn_close(life->conn);
            life->closed_gently = life->is_over = true;
        }
    }
    if (life->peer_reset)
        return;
    if (!life->peer_finished) {
        life->peer_finished = true;
        sim_peer_finish(life->handle);
    }
    read_as_peer(life, SIZE_MAX);
}

static void judge(struct life *life)
{
    bool was_decent = !life->peer_reset && !life->aborted && life->err == R2A_OK;

    must(life, life->released);
    if (!life->peer_reset)
        read_as_peer(life, SIZE_MAX);
    if (was_decent && life->closed_gently && life->has_eof) {
        /* nobody broke anything: nothing may be missing in either direction */
        must(life, sim_peer_sees_end(life->handle));
        must(life, life->out_at == life->out_sent);
        seen.whole += life->out_at > 0 && life->in_at > 0;
    }
    seen.reset += life->err == R2A_ERR_PEER_RESET;
    seen.aborted += life->aborted;
    seen.refused += life->err == R2A_ERR_CONNECT;
    if (life->err == R2A_ERR_CONNECT)
        must(life, life->in_at == 0);
}

static void live(uint64_t seed)
{
    struct loop_cfg cfg = {.engine = &engine_sim};
    struct mem_budget budget = {0};

    random_state = seed;
    sim_seed(seed);
    cfg.mem = mem_open(&budget, 16u << 20);
    cr_assert_eq(loop_prepare(&loop), R2A_OK);
    cr_assert_eq(loop_open(&loop, &cfg), R2A_OK);
    cr_assert_eq(conns_open(&conns, &loop, 8), R2A_OK);
    for (uint32_t i = 0; i < BOTH; i++)
        begin(&lives[i], seed, (seed + i) % 2 == 0);
    for (uint32_t step = 0; step < 300; step++) {
        for (uint32_t i = 0; i < BOTH; i++) {
            act(&lives[i]);
            act_as_peer(&lives[i]);
        }
        loop_tick(&loop, draw(3));
    }
    for (uint32_t step = 0; conns.open_count > 0; step++) {
        must(&lives[0], step < 20000);
        for (uint32_t i = 0; i < BOTH; i++)
            settle(&lives[i]);
        loop_tick(&loop, 50);
    }
    for (uint32_t i = 0; i < BOTH; i++)
        judge(&lives[i]);
    cr_assert_eq(loop.engine->stats.sockets, 0);
    conns_close(&conns);
    loop_close(&loop);
    cr_assert_eq(atomic_load(&budget.used), 0, "seed %llu leaks", (unsigned long long)seed);
    mem_close(cfg.mem);
}

Test(conn_sim, survives_random_lives)
{
    const char *only = getenv("R2A_SEED"), *many = getenv("R2A_LIVES");
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : LIVES;

    if (only != NULL) {
        live(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++)
        live(seed);
    cr_assert(seen.whole > 20 && seen.reset > 20 && seen.aborted > 20 && seen.refused > 20,
              "%u whole, %u reset, %u aborted, %u refused", seen.whole, seen.reset, seen.aborted,
              seen.refused);
}

static size_t take_all(struct conn *conn, struct slice bytes)
{
    (void)conn;
    return bytes.len;
}

static void take_eof(struct conn *conn)
{
    (void)conn;
}

/* 40 pieces to an upstream connection, `apart_ms` between them. */
static void stream_to(struct conn *conn, uint64_t apart_ms)
{
    for (uint32_t i = 0; i < 40; i++) {
        const uint64_t arrived = conn->rx_bytes + 3;
        const uint64_t next_ms = loop_now_ms(&loop) + apart_ms;

        cr_assert_eq(sim_peer_write(conn->handle, "abc", 3), 3);
        for (uint32_t tick = 0; conn->rx_bytes < arrived; tick++) {
            cr_assert_lt(tick, 1000);
            loop_tick(&loop, 0);
        }
        while (loop_now_ms(&loop) < next_ms)
            loop_tick(&loop, 1);
    }
}

Test(conn_sim, eases_a_fast_stream_once_an_answer)
{
    static const struct conn_calls plain = {.on_bytes = take_all, .on_eof = take_eof};
    const struct sockaddr_in addr = {.sin_family = AF_INET};
    struct conn_target target = {
        .addr = (const struct sockaddr *)(const void *)&addr,
        .addr_len = sizeof addr,
    };
    struct loop_cfg cfg = {.engine = &engine_sim};
    struct mem_budget budget = {0};
    uint32_t before = sim_eased();
    struct conn *conn;
    enum r2a_err err;

    sim_seed(7);
    cfg.mem = mem_open(&budget, 16u << 20);
    cr_assert_eq(loop_prepare(&loop), R2A_OK);
    cr_assert_eq(loop_open(&loop, &cfg), R2A_OK);
    cr_assert_eq(conns_open(&conns, &loop, 8), R2A_OK);
    sim_connects(0);
    conn = conn_connect(&conns, &target, &plain, NULL, &err);
    cr_assert_not_null(conn);
    while (conn->state != CONN_OPEN)
        loop_tick(&loop, 0);
    stream_to(conn, 100);
    cr_assert_eq(sim_eased(), before, "a slow one is left alone");
    for (uint32_t answer = 1; answer <= 2; answer++) {
        rope_put(conn_out(conn), S("ask"));
        conn_flush(conn);
        while (conn_out(conn)->bytes > 0)
            loop_tick(&loop, 0);
        stream_to(conn, 0);
        cr_assert_eq(sim_eased(), before + answer);
    }
    conn_abort(conn);
    while (conns.open_count > 0)
        loop_tick(&loop, 0);
    conns_close(&conns);
    loop_close(&loop);
    mem_close(cfg.mem);
}
