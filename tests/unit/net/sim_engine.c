#include "sim_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "r2a/core/check.h"
#include "r2a/limits.h"

#define SOCKETS      64u
#define OPS          256u
#define BUFFERS      8u
#define PIPE_BYTES   20000u
#define FIRST_HANDLE 100

/* One direction. */
struct pipe {
    char bytes[PIPE_BYTES];
    uint32_t at, len;
    bool has_end;   /* the writer finished */
    bool has_reset; /* the writer's end was reset */
};

struct sim_socket {
    struct pipe in, out; /* to us, from us */
    bool is_used, is_connected, is_closed, wants_reset;
    uint32_t armed;
    bool is_sending;
};

struct pending {
    struct op *op;
    bool is_cancelled;
};

static struct sim {
    struct engine engine;
    uint64_t random;
    struct sim_socket sockets[SOCKETS];
    struct pending pending[OPS];
    uint32_t pending_count;
    struct iovec vecs[OPS][ENGINE_VECS_MAX]; /* of sends, by the place of their op */
    uint32_t vecs_count[OPS];
    bool buffer_out[BUFFERS];
    int32_t connects;
    char rx[BUFFERS][RX_SEGMENT_BYTES];
} sim;

void sim_seed(uint64_t seed)
{
    sim.random = seed * 2654435761u + 1;
}

static uint32_t draw(uint32_t below)
{
    sim.random ^= sim.random << 13;
    sim.random ^= sim.random >> 7;
    sim.random ^= sim.random << 17;
    return below == 0 ? 0 : (uint32_t)((sim.random >> 11) % below);
}

static struct sim_socket *socket_of(int32_t handle)
{
    check(handle >= FIRST_HANDLE && handle < FIRST_HANDLE + (int32_t)SOCKETS);
    return &sim.sockets[handle - FIRST_HANDLE];
}

static size_t pipe_write(struct pipe *pipe, const char *bytes, size_t len)
{
    size_t room = PIPE_BYTES - pipe->len;

    len = len < room ? len : room;
    for (size_t i = 0; i < len; i++)
        pipe->bytes[(pipe->at + pipe->len + i) % PIPE_BYTES] = bytes[i];
    pipe->len += (uint32_t)len;
    return len;
}

static size_t pipe_read(struct pipe *pipe, char *to, size_t size)
{
    size = size < pipe->len ? size : pipe->len;
    for (size_t i = 0; i < size; i++)
        to[i] = pipe->bytes[(pipe->at + i) % PIPE_BYTES];
    pipe->at = (uint32_t)((pipe->at + size) % PIPE_BYTES);
    pipe->len -= (uint32_t)size;
    return size;
}

static int32_t new_socket(bool is_connected)
{
    for (uint32_t i = 0; i < SOCKETS; i++) {
        struct sim_socket *sock = &sim.sockets[i];

        if (sock->is_used)
            continue;
        memset(sock, 0, sizeof *sock);
        sock->is_used = true;
        sock->is_connected = is_connected;
        sim.engine.stats.sockets++;
        return FIRST_HANDLE + (int32_t)i;
    }
    return -EMFILE;
}

int32_t sim_connected(void)
{
    return new_socket(true);
}

void sim_connects(int32_t res)
{
    sim.connects = res;
}

size_t sim_peer_write(int32_t handle, const void *bytes, size_t len)
{
    struct sim_socket *sock = socket_of(handle);

    return sock->is_closed || sock->in.has_end ? 0 : pipe_write(&sock->in, bytes, len);
}

size_t sim_peer_read(int32_t handle, void *to, size_t size)
{
    struct sim_socket *sock = socket_of(handle);

    return sock->out.has_reset ? 0 : pipe_read(&sock->out, to, size);
}

bool sim_peer_sees_end(int32_t handle)
{
    struct sim_socket *sock = socket_of(handle);

    return sock->out.has_end && sock->out.len == 0 && !sock->out.has_reset;
}

bool sim_peer_sees_reset(int32_t handle)
{
    return socket_of(handle)->out.has_reset;
}

void sim_peer_finish(int32_t handle)
{
    socket_of(handle)->in.has_end = true;
}

void sim_peer_reset(int32_t handle)
{
    socket_of(handle)->in.has_reset = true;
}

/* --- the table --- */

static enum r2a_err sim_start(struct engine **engine, const struct engine_cfg *cfg)
{
    uint64_t random = sim.random;

    (void)cfg;
    memset(&sim, 0, sizeof sim);
    sim.random = random;
    sim.engine.table = &engine_sim;
    sim.engine.now_ms = 1000000;
    sim.engine.wall_ms = 1790000000000;
    sim.engine.rx_memory = sim.rx[0];
    sim.engine.stats.sockets_max = SOCKETS;
    sim.engine.stats.accepts_free = SOCKETS;
    sim.engine.stats.rx_offered = BUFFERS;
    *engine = &sim.engine;
    return R2A_OK;
}

static void sim_stop(struct engine *engine)
{
    check(engine->stats.ops_armed == 0);
    for (uint32_t i = 0; i < BUFFERS; i++)
        check(!sim.buffer_out[i]);
}

static bool is_on_socket(const struct op *op)
{
    return op->handle >= FIRST_HANDLE;
}

static void sim_arm(struct engine *engine, struct op *op)
{
    uint32_t place = sim.pending_count++;

    check(op->state == OP_IDLE && op->fn != NULL);
    check(place < OPS);
    sim.pending[place] = (struct pending){.op = op};
    op->state = OP_ARMED;
    engine->stats.ops_armed++;
    if (is_on_socket(op)) {
        struct sim_socket *sock = socket_of(op->handle);

        check(sock->is_used && !sock->is_closed);
        if (op->kind == OP_CLOSE)
            check(sock->armed == 0); /* their sockets would live on */
        sock->armed++;
        if (op->kind == OP_SEND) {
            check(!sock->is_sending);
            sock->is_sending = true;
            memcpy(sim.vecs[place], op->ptr, op->len * sizeof(struct iovec));
            sim.vecs_count[place] = op->len;
            op->ptr = NULL; /* the array is the caller's no longer */
        }
        if (op->kind == OP_CONNECT)
            op->ptr = NULL;
    }
}

static void sim_cancel(struct engine *engine, struct op *op)
{
    (void)engine;
    check(op->state == OP_ARMED);
    for (uint32_t i = 0; i < sim.pending_count; i++)
        if (sim.pending[i].op == op)
            sim.pending[i].is_cancelled = true;
}

static bool sim_post(struct engine *from, struct engine *to, struct op *op)
{
    (void)from;
    (void)to;
    (void)op;
    return false;
}

static int32_t sim_adopt(struct engine *engine, int fd)
{
    (void)engine;
    return fd;
}

static int32_t sim_open(struct engine *engine, const struct sockaddr *addr)
{
    (void)engine;
    (void)addr;
    return new_socket(false);
}

static void end_socket(struct sim_socket *sock)
{
    sock->is_closed = true;
    if (sock->wants_reset || sock->in.len > 0)
        sock->out.has_reset = true;
    else
        sock->out.has_end = true;
    sim.engine.stats.sockets--;
}

static uint32_t eased; /* of all engines */

static void sim_ease(struct engine *engine, int32_t handle)
{
    struct sim_socket *sock = socket_of(handle);

    (void)engine;
    check(sock->is_used && !sock->is_closed);
    eased++;
}

uint32_t sim_eased(void)
{
    return eased;
}

static void sim_discard(struct engine *engine, int32_t handle)
{
    (void)engine;
    check(socket_of(handle)->armed == 0);
    end_socket(socket_of(handle));
}

static void sim_give(struct engine *engine, uint16_t buffer)
{
    check(buffer < BUFFERS && sim.buffer_out[buffer]);
    memset(sim.rx[buffer], 0xEE, RX_SEGMENT_BYTES); /* who still looks will see */
    sim.buffer_out[buffer] = false;
    engine->stats.rx_offered++;
}

static void finish(uint32_t place, struct op_result result)
{
    struct op *op = sim.pending[place].op;

    if (result.is_last) {
        op->state = OP_IDLE;
        sim.engine.stats.ops_armed--;
        if (is_on_socket(op)) {
            struct sim_socket *sock = socket_of(op->handle);

            sock->armed--;
            if (op->kind == OP_SEND)
                sock->is_sending = false;
        }
        sim.pending_count--;
        sim.pending[place] = sim.pending[sim.pending_count];
        memcpy(sim.vecs[place], sim.vecs[sim.pending_count], sizeof sim.vecs[0]);
        sim.vecs_count[place] = sim.vecs_count[sim.pending_count];
    }
    op->fn(op, result);
}

static bool end_with(uint32_t place, int32_t res)
{
    finish(place, (struct op_result){.res = res, .buffer = ENGINE_NO_BUFFER, .is_last = true});
    return true;
}

static bool do_recv(uint32_t place, bool is_cancelled)
{
    struct op *op = sim.pending[place].op;
    struct pipe *in = &socket_of(op->handle)->in;
    struct op_result result = {.buffer = ENGINE_NO_BUFFER};
    uint32_t buffer = 0;
    char *to = op->ptr;
    size_t size = op->len;

    if (in->len == 0 || (in->has_reset && draw(2) == 0)) {
        if (in->has_reset)
            return end_with(place, -ECONNRESET);
        if (in->has_end)
            return end_with(place, 0);
        return is_cancelled && end_with(place, -ECANCELED);
    }
    if (is_cancelled && draw(2) == 0)
        return end_with(place, -ECANCELED);
    if (op->kind == OP_RECV) {
        while (buffer < BUFFERS && sim.buffer_out[buffer])
            buffer++;
        if (buffer == BUFFERS || draw(10) == 0)
            return end_with(place, -ENOBUFS);
        to = sim.rx[buffer];
        size = RX_SEGMENT_BYTES;
        sim.buffer_out[buffer] = true;
        sim.engine.stats.rx_offered--;
        result.buffer = (uint16_t)buffer;
    }
    size = draw(3) == 0 ? 1 + draw((uint32_t)size) : draw(2) == 0 ? 1 + draw(20) % size : size;
    result.res = (int32_t)pipe_read(in, to, size);
    result.has_more = in->len > 0;
    result.is_last = !(op->flags & OP_MULTI) || draw(20) == 0 || (is_cancelled && draw(2) == 0);
    finish(place, result);
    return true;
}

static bool do_send(uint32_t place, bool is_cancelled)
{
    struct op *op = sim.pending[place].op;
    struct sim_socket *sock = socket_of(op->handle);
    size_t sent = 0, most = draw(2) == 0 ? SIZE_MAX : 1 + draw(3000);

    if (sock->in.has_reset)
        return end_with(place, draw(2) == 0 ? -EPIPE : -ECONNRESET);
    for (uint32_t i = 0; i < sim.vecs_count[place] && most > 0; i++) {
        size_t len = sim.vecs[place][i].iov_len < most ? sim.vecs[place][i].iov_len : most;
        size_t count = pipe_write(&sock->out, sim.vecs[place][i].iov_base, len);

        sent += count;
        most -= count;
        if (count < len)
            break;
    }
    if (sent == 0)
        return is_cancelled && end_with(place, -ECANCELED);
    return end_with(place, (int32_t)sent);
}

/* True when something happened. */
static bool perform(uint32_t place)
{
    struct op *op = sim.pending[place].op;
    bool is_cancelled = sim.pending[place].is_cancelled;

    switch ((enum op_kind)op->kind) {
    case OP_RECV:
    case OP_RECV_INTO:
        return do_recv(place, is_cancelled);
    case OP_SEND:
        return do_send(place, is_cancelled);
    case OP_CONNECT:
        if (is_cancelled && draw(2) == 0)
            return end_with(place, -ECANCELED);
        if (sim.connects == 1)
            return is_cancelled && end_with(place, -ECANCELED);
        socket_of(op->handle)->is_connected = sim.connects == 0;
        return end_with(place, sim.connects);
    case OP_SHUTDOWN:
        if (socket_of(op->handle)->in.has_reset)
            return end_with(place, -ENOTCONN);
        socket_of(op->handle)->out.has_end = true;
        if (op->len == SHUT_RDWR)
            socket_of(op->handle)->in.has_end = true;
        return end_with(place, 0);
    case OP_RESET:
        if (draw(4) == 0)
            return end_with(place, -EOPNOTSUPP);
        socket_of(op->handle)->wants_reset = true;
        return end_with(place, 0);
    case OP_CLOSE:
        end_socket(socket_of(op->handle));
        return end_with(place, 0);
    case OP_CANCEL_ALL:
    case OP_ACCEPT:
    case OP_READ:
    case OP_WAIT:
    case OP_APPEND:
        return is_cancelled && end_with(place, -ECANCELED);
    case OP_NONE:
    case OP_POST:
    default:
        unreachable();
    }
}

static uint32_t sim_tick(struct engine *engine, uint64_t until_ms)
{
    uint32_t present = sim.pending_count, done = 0;

    engine->stats.enters++;
    for (uint32_t i = 0; i < 2 * present && sim.pending_count > 0; i++)
        if (draw(3) > 0 && perform(draw(sim.pending_count)))
            done++;
    if (until_ms != 0 && done == 0 && until_ms != UINT64_MAX && until_ms > engine->now_ms)
        engine->now_ms += 1 + draw((uint32_t)(until_ms - engine->now_ms));
    engine->wall_ms = 1790000000000 + (int64_t)engine->now_ms;
    return done;
}

const struct engine_table engine_sim = {
    .name = "sim",
    .start = sim_start,
    .arm = sim_arm,
    .cancel = sim_cancel,
    .post = sim_post,
    .tick = sim_tick,
    .stop = sim_stop,
    .adopt = sim_adopt,
    .socket = sim_open,
    .ease = sim_ease,
    .discard = sim_discard,
    .give = sim_give,
};
