#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "r2a/limits.h"
#include "rig.h"

/* An owner that notes what it is told and does as it is set. */
struct owner {
    struct conn *conn;
    char bytes[1 << 16];
    size_t bytes_len;
    size_t take_at_least; /* uses nothing until so many bytes are offered */
    uint32_t offers;
    uint32_t connected, eofs, writables, closed, released, fills;
    size_t fill_left;
    enum r2a_err err;
    bool echoes;
    bool aborts_in_bytes;
    bool closes_in_bytes;
    bool pauses_in_bytes;
    char *into; /* conn_read_into from within on_bytes, after taking one byte */
    size_t into_len;
    bool closes_on_eof;
};

static struct rig rig;
static struct owner owners[4];

static struct owner *owner_of(struct conn *conn)
{
    return conn->owner;
}

static void on_connected(struct conn *conn)
{
    owner_of(conn)->connected++;
}

static size_t on_bytes(struct conn *conn, struct slice bytes)
{
    struct owner *owner = owner_of(conn);

    owner->offers++;
    cr_assert(bytes.len > 0);
    if (bytes.len < owner->take_at_least)
        return 0;
    if (owner->into != NULL) {
        char *into = owner->into;

        owner->into = NULL;
        owner->bytes[owner->bytes_len++] = bytes.ptr[0];
        conn_read_into(conn, into, owner->into_len);
        return 1;
    }
    cr_assert(owner->bytes_len + bytes.len <= sizeof owner->bytes);
    memcpy(owner->bytes + owner->bytes_len, bytes.ptr, bytes.len);
    owner->bytes_len += bytes.len;
    if (owner->echoes) {
        rope_put(conn_out(conn), bytes);
        conn_flush(conn);
    }
    if (owner->pauses_in_bytes)
        conn_read_pause(conn);
    if (owner->aborts_in_bytes)
        conn_abort(conn);
    if (owner->closes_in_bytes)
        conn_close(conn);
    return bytes.len;
}

static void on_filled(struct conn *conn, size_t added, size_t left)
{
    cr_assert(added > 0);
    owner_of(conn)->fills++;
    owner_of(conn)->fill_left = left;
}

static void on_eof(struct conn *conn)
{
    owner_of(conn)->eofs++;
    if (owner_of(conn)->closes_on_eof)
        conn_close(conn);
}

static void on_writable(struct conn *conn)
{
    owner_of(conn)->writables++;
}

static void on_closed(struct conn *conn, enum r2a_err err)
{
    owner_of(conn)->closed++;
    owner_of(conn)->err = err;
}

static void on_released(struct conn *conn)
{
    owner_of(conn)->released++;
    owner_of(conn)->conn = NULL;
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

static const struct conn_peer nobody = {.family = AF_UNIX};

static struct conn *adopt(struct owner *owner, int32_t handle)
{
    owner->conn = conn_adopt(&rig.conns, handle, &nobody, &calls, owner);
    cr_assert_not_null(owner->conn);
    return owner->conn;
}

/* owners[0] on one end, a plain descriptor on the other. */
static int open_pair(void)
{
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_pair(&rig, &handle, &fd);
    adopt(&owners[0], handle);
    return fd;
}

static int open_tcp_pair(int sndbuf, int rcvbuf)
{
    int32_t handle;
    int fd;

    rig_open(&rig, NULL);
    rig_tcp_pair(&rig, &handle, &fd, sndbuf, rcvbuf);
    adopt(&owners[0], handle);
    return fd;
}

static struct conn *connect_to(struct owner *owner, const struct net_addr *addr)
{
    struct conn_target target = {.addr = &addr->u.sa, .addr_len = addr->len};
    enum r2a_err err;

    owner->conn = conn_connect(&rig.conns, &target, &calls, owner, &err);
    cr_assert_not_null(owner->conn);
    cr_assert_eq(err, R2A_OK);
    return owner->conn;
}

static void send_z(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool has_bytes(const struct owner *owner, const char *text)
{
    return owner->bytes_len == strlen(text) && memcmp(owner->bytes, text, owner->bytes_len) == 0;
}

Test(conn, echoes_what_a_client_sends)
{
    int fd = open_tcp_pair(0, 0);
    char back[16];

    owners[0].echoes = true;
    for (int i = 0; i < 3; i++) {
        send_z(fd, "ping");
        rig_until(&rig, owners[0].bytes_len == (size_t)(i + 1) * 4 &&
                            owners[0].conn->tx_bytes == owners[0].bytes_len);
        cr_assert_eq(recv(fd, back, sizeof back, 0), 4);
        cr_assert_eq(memcmp(back, "ping", 4), 0);
    }
    close(fd);
    rig_until(&rig, owners[0].eofs == 1);
    conn_close(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed, 0);
    rig_close(&rig);
}

Test(conn, keeps_what_is_not_used_and_offers_it_in_one_piece)
{
    int fd = open_pair();

    owners[0].take_at_least = 8;
    send_z(fd, "abc");
    rig_until(&rig, owners[0].offers == 1);
    cr_assert_eq(owners[0].bytes_len, 0);
    send_z(fd, "defgh");
    rig_until(&rig, has_bytes(&owners[0], "abcdefgh"));
    cr_assert_eq(owners[0].offers, 2);
    cr_assert_null(owners[0].conn->kept);
    close(fd);
    rig_close(&rig);
}

Test(conn, offers_kept_bytes_again_after_resume)
{
    int fd = open_pair();

    owners[0].take_at_least = 100;
    send_z(fd, "next request");
    rig_until(&rig, owners[0].offers == 1);
    rig_settle(&rig);
    cr_assert_eq(owners[0].offers, 1);
    owners[0].take_at_least = 0;
    conn_read_resume(owners[0].conn);
    cr_assert_eq(owners[0].offers, 1);
    rig_until(&rig, has_bytes(&owners[0], "next request"));
    close(fd);
    rig_close(&rig);
}

Test(conn, pause_holds_bytes_and_eof_until_resume)
{
    int fd = open_pair();

    conn_read_pause(owners[0].conn);
    send_z(fd, "held");
    close(fd);
    rig_settle(&rig);
    cr_assert_eq(owners[0].offers + owners[0].eofs, 0);
    conn_read_resume(owners[0].conn);
    rig_until(&rig, owners[0].eofs == 1);
    cr_assert(has_bytes(&owners[0], "held"));
    rig_close(&rig);
}

Test(conn, paused_client_is_held_back_by_the_socket)
{
    static char block[1 << 16];
    int fd = open_pair();
    size_t sent = 0;
    ssize_t count;

    conn_read_pause(owners[0].conn);
    for (int round = 0; round < 200; round++) {
        while ((count = send(fd, block, sizeof block, MSG_DONTWAIT)) > 0)
            sent += (size_t)count;
        loop_tick(&rig.loop, 1);
    }
    cr_assert(sent < (4u << 20), "took %zu bytes of a paused peer", sent);
    cr_assert_eq(owners[0].offers, 0);
    cr_assert_eq(owners[0].closed, 0);
    close(fd);
    rig_close(&rig);
}

Test(conn, peer_that_outruns_an_idle_owner_loses_nothing)
{
    static char back[1 << 20];
    int fd = open_pair();
    size_t sent = 0, total = sizeof back;

    /* the owner wants it all in one place, later */
    owners[0].take_at_least = SIZE_MAX;
    for (int round = 0; round < 300; round++) {
        char piece[8192];
        ssize_t count;

        for (size_t i = 0; i < sizeof piece; i++)
            piece[i] = (char)rig_byte(sent + i);
        while (sent < total && (count = send(fd, piece, sizeof piece, MSG_DONTWAIT)) > 0) {
            sent += (size_t)count;
            for (size_t i = 0; i < sizeof piece; i++)
                piece[i] = (char)rig_byte(sent + i);
        }
        loop_tick(&rig.loop, 1);
    }
    cr_assert(owners[0].conn->is_greedy || sent < total);
    conn_read_into(owners[0].conn, back, total);
    while (owners[0].fills == 0 || owners[0].fill_left > 0) {
        char piece[8192];
        size_t count = total - sent < sizeof piece ? total - sent : sizeof piece;

        for (size_t i = 0; i < count; i++)
            piece[i] = (char)rig_byte(sent + i);
        if (count > 0) {
            ssize_t got = send(fd, piece, count, MSG_DONTWAIT);
            sent += got > 0 ? (size_t)got : 0;
        }
        loop_tick(&rig.loop, 1);
    }
    for (size_t i = 0; i < total; i++)
        cr_assert_eq((uint8_t)back[i], rig_byte(i), "byte %zu", i);
    close(fd);
    rig_close(&rig);
}

Test(conn, reads_a_long_body_into_its_place)
{
    static char body[1 << 20];
    int fd = open_tcp_pair(0, 0);
    size_t sent = 0;
    char first[1 + 1000];

    /* a head of one byte, then the body, then something after it */
    owners[0].into = body;
    owners[0].into_len = sizeof body;
    first[0] = 'H';
    for (; sent < 1000; sent++)
        first[1 + sent] = (char)rig_byte(sent);
    cr_assert_eq(write(fd, first, sizeof first), (ssize_t)sizeof first);
    while (sent < sizeof body) {
        char piece[4096];
        size_t count = sizeof body - sent < sizeof piece ? sizeof body - sent : sizeof piece;
        ssize_t got;

        for (size_t i = 0; i < count; i++)
            piece[i] = (char)rig_byte(sent + i);
        got = send(fd, piece, count, MSG_DONTWAIT);
        sent += got > 0 ? (size_t)got : 0;
        loop_tick(&rig.loop, 0);
    }
    send_z(fd, "after");
    rig_until(&rig, owners[0].bytes_len == 6);
    cr_assert(has_bytes(&owners[0], "Hafter"));
    cr_assert_eq(owners[0].fill_left, 0);
    for (size_t i = 0; i < sizeof body; i++)
        cr_assert_eq((uint8_t)body[i], rig_byte(i), "byte %zu", i);
    close(fd);
    rig_close(&rig);
}

Test(conn, reads_a_short_body_from_what_is_at_hand)
{
    char body[4];
    int fd = open_pair();

    owners[0].into = body;
    owners[0].into_len = sizeof body;
    send_z(fd, "HbodyX");
    rig_until(&rig, owners[0].bytes_len == 2);
    cr_assert(has_bytes(&owners[0], "HX"));
    cr_assert_eq(memcmp(body, "body", 4), 0);
    close(fd);
    rig_close(&rig);
}

Test(conn, sends_a_mebibyte_through_small_buffers_to_a_peer_that_pauses)
{
    static char back[1 << 20];
    int fd = open_tcp_pair(4096, 4096);
    size_t got = 0;
    char piece[1000];

    for (size_t at = 0; at < sizeof back;) {
        size_t count = sizeof back - at < sizeof piece ? sizeof back - at : sizeof piece;

        for (size_t i = 0; i < count; i++)
            piece[i] = (char)rig_byte(at + i);
        rope_put(conn_out(owners[0].conn), slice_of(piece, count));
        at += count;
    }
    cr_assert(conn_is_congested(owners[0].conn));
    conn_flush(owners[0].conn);
    conn_want_writable(owners[0].conn, CONN_LOW_BYTES);
    for (int i = 0; i < 50; i++) /* the peer sleeps */
        loop_tick(&rig.loop, 2);
    cr_assert_eq(owners[0].writables, 0);
    while (got < sizeof back) {
        ssize_t count = recv(fd, back + got, sizeof back - got, MSG_DONTWAIT);

        cr_assert(count > 0 || errno == EAGAIN);
        got += count > 0 ? (size_t)count : 0;
        loop_tick(&rig.loop, 0);
        if (owners[0].writables == 0)
            cr_assert(got < sizeof back);
    }
    cr_assert_eq(owners[0].writables, 1);
    for (size_t i = 0; i < sizeof back; i++)
        cr_assert_eq((uint8_t)back[i], rig_byte(i), "byte %zu", i);
    conn_want_writable(owners[0].conn, 0);
    rig_until(&rig, owners[0].writables == 2);
    close(fd);
    rig_close(&rig);
}

Test(conn, one_send_carries_what_one_tick_produced)
{
    int fd = open_pair();
    char back[64];
    struct conn *conn = owners[0].conn;

    for (int i = 0; i < 10; i++) {
        rope_put(conn_out(conn), S("chunk"));
        conn_flush(conn);
    }
    rig_until(&rig, conn->tx_bytes == 50);
    cr_assert_eq(recv(fd, back, sizeof back, MSG_DONTWAIT), 50);
    close(fd);
    rig_close(&rig);
}

Test(conn, close_sends_the_rest_then_fin_and_waits_for_theirs)
{
    static char big[1 << 18];
    int fd = open_tcp_pair(8192, 8192);
    struct conn *conn = owners[0].conn;
    size_t got = 0;
    ssize_t count = 1;

    rope_put(conn_out(conn), slice_of(big, sizeof big));
    conn_flush(conn);
    conn_close(conn);
    send_z(fd, "still talking"); /* must not turn our FIN into a reset */
    while (count != 0) {
        count = recv(fd, big, sizeof big, MSG_DONTWAIT);
        cr_assert(count >= 0 || errno == EAGAIN, "%s", strerror(errno));
        got += count > 0 ? (size_t)count : 0;
        loop_tick(&rig.loop, 0);
    }
    cr_assert_eq(got, sizeof big);
    rig_settle(&rig);
    cr_assert_eq(owners[0].released, 0);
    cr_assert_eq(conn->state, CONN_LINGERING);
    close(fd);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed + owners[0].offers, 0);
    rig_close(&rig);
}

Test(conn, lingering_ends_by_itself)
{
    int fd = open_tcp_pair(0, 0);
    uint64_t begin = loop_now_ms(&rig.loop);

    conn_close(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    cr_assert(loop_now_ms(&rig.loop) - begin >= CONN_LINGER_MS);
    close(fd);
    rig_close(&rig);
}

Test(conn, closing_with_a_peer_that_never_reads_ends_by_itself)
{
    static char big[1 << 22];
    int fd = open_tcp_pair(4096, 4096);

    rig.conns.flush_ms = 500;
    rope_put(conn_out(owners[0].conn), slice_of(big, sizeof big));
    conn_close(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    close(fd);
    rig_close(&rig);
}

Test(conn, abort_resets_the_peer)
{
    int fd = open_tcp_pair(0, 0);
    char byte;

    rope_put(conn_out(owners[0].conn), S("never sent"));
    conn_abort(owners[0].conn);
    cr_assert_eq(owners[0].released, 0);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(recv(fd, &byte, 1, 0), -1);
    cr_assert_eq(errno, ECONNRESET);
    close(fd);
    rig_close(&rig);
}

Test(conn, may_be_aborted_from_within_on_bytes)
{
    int fd = open_pair();

    owners[0].aborts_in_bytes = true;
    send_z(fd, "x");
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed, 0);
    close(fd);
    rig_close(&rig);
}

Test(conn, may_be_closed_from_within_on_bytes_of_kept_bytes)
{
    int fd = open_pair();

    owners[0].take_at_least = 4;
    owners[0].closes_in_bytes = true;
    send_z(fd, "ab");
    rig_until(&rig, owners[0].offers == 1);
    send_z(fd, "cd");
    close(fd);
    rig_until(&rig, owners[0].released == 1);
    cr_assert(has_bytes(&owners[0], "abcd"));
    rig_close(&rig);
}

Test(conn, half_close_leaves_our_side_open)
{
    int fd = open_tcp_pair(0, 0);
    char back[16];

    shutdown(fd, SHUT_WR);
    rig_until(&rig, owners[0].eofs == 1);
    rope_put(conn_out(owners[0].conn), S("answer"));
    conn_flush(owners[0].conn);
    conn_close(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(recv(fd, back, sizeof back, 0), 6);
    cr_assert_eq(recv(fd, back, sizeof back, 0), 0);
    close(fd);
    rig_close(&rig);
}

Test(conn, end_of_the_peer_is_told_again_after_resume)
{
    int fd = open_pair();

    close(fd);
    rig_until(&rig, owners[0].eofs == 1);
    rig_settle(&rig);
    cr_assert_eq(owners[0].eofs, 1);
    conn_read_resume(owners[0].conn); /* the owner was busy then and is not now */
    rig_until(&rig, owners[0].eofs == 2);
    rig_close(&rig);
}

Test(conn, without_on_eof_the_end_is_an_end)
{
    static struct conn_calls without;
    int fd = open_pair();

    without = calls;
    without.on_eof = NULL;
    owners[0].conn->calls = &without;
    close(fd);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed, 1);
    cr_assert_eq(owners[0].err, R2A_ERR_PEER_EOF);
    rig_close(&rig);
}

static void reset(int fd)
{
    struct linger none = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

Test(conn, reset_of_an_idle_client_is_told)
{
    int fd = open_tcp_pair(0, 0);

    reset(fd);
    rig_until(&rig, owners[0].closed == 1);
    cr_assert_eq(owners[0].err, R2A_ERR_PEER_RESET);
    cr_assert_eq(conn_errno(owners[0].conn), ECONNRESET);
    rig_until(&rig, owners[0].released == 1);
    rig_close(&rig);
}

Test(conn, resets_in_every_state_leave_nothing_behind)
{
    static char big[1 << 20];

    rig_open(&rig, NULL);
    for (int round = 0; round < 4; round++) {
        for (int state = 0; state < 6; state++) {
            struct owner *owner = &owners[0];
            int32_t handle;
            int fd;

            memset(owner, 0, sizeof *owner);
            rig_tcp_pair(&rig, &handle, &fd, 4096, 4096);
            adopt(owner, handle);
            if (state == 1) /* a send is blocked */
                rope_put(conn_out(owner->conn), slice_of(big, sizeof big));
            if (state == 2)
                conn_read_pause(owner->conn);
            if (state == 3) { /* flushing */
                rope_put(conn_out(owner->conn), slice_of(big, sizeof big));
                conn_close(owner->conn);
            }
            if (state == 4) /* lingering */
                conn_close(owner->conn);
            if (state == 5) /* a direct receive is armed */
                conn_read_into(owner->conn, big, sizeof big);
            conn_flush(owner->conn);
            if (round % 2 == 0)
                rig_settle(&rig);
            reset(fd);
            if (state == 2) {
                rig_settle(&rig);
                if (owner->conn != NULL && owner->closed == 0)
                    conn_read_resume(owner->conn);
            }
            rig_until(&rig, owner->released == 1);
        }
    }
    rig_close(&rig);
}

Test(conn, connects_sends_and_receives)
{
    struct net_addr addr;
    char back[16];
    int server, fd;

    rig_open(&rig, NULL);
    server = rig_server(&addr);
    connect_to(&owners[0], &addr);
    rope_put(conn_out(owners[0].conn), S("early")); /* waits for the connection */
    conn_flush(owners[0].conn);
    fd = rig_accept(&rig, server);
    rig_until(&rig, owners[0].connected == 1);
    rig_until(&rig, owners[0].conn->tx_bytes == 5);
    cr_assert_eq(recv(fd, back, sizeof back, 0), 5);
    for (int i = 0; i < 20; i++)
        send_z(fd, "data");
    rig_until(&rig, owners[0].bytes_len == 80);
    cr_assert(owners[0].conn->peer.is_loopback);
    cr_assert_eq(owners[0].conn->peer.port, ntohs(addr.u.in.sin_port));
    conn_close(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(recv(fd, back, sizeof back, 0), 0);
    close(fd);
    close(server);
    rig_close(&rig);
}

Test(conn, an_answer_before_the_request_was_read_is_not_lost)
{
    static char big[1 << 22];
    struct net_addr addr;
    int server, fd;

    rig_open(&rig, NULL);
    server = rig_server(&addr);
    connect_to(&owners[0], &addr);
    fd = rig_accept(&rig, server);
    rope_put(conn_out(owners[0].conn), slice_of(big, sizeof big));
    conn_flush(owners[0].conn);
    rig_settle(&rig);
    send_z(fd, "HTTP/1.1 413 Content Too Large\r\n\r\n");
    close(fd); /* with the request unread: a reset */
    rig_until(&rig, owners[0].eofs + owners[0].closed == 1);
    cr_assert(has_bytes(&owners[0], "HTTP/1.1 413 Content Too Large\r\n\r\n"));
    cr_assert(conn_out_bytes(owners[0].conn) > 0);
    close(server);
    rig_close(&rig);
}

Test(conn, refused_connect_is_told)
{
    struct net_addr addr;
    int server;

    rig_open(&rig, NULL);
    server = rig_server(&addr);
    close(server);
    connect_to(&owners[0], &addr);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed, 1);
    cr_assert_eq(owners[0].err, R2A_ERR_CONNECT);
    rig_close(&rig);
}

Test(conn, connect_under_way_can_be_aborted)
{
    /* a full accept queue leaves further connects hanging */
    struct net_addr addr;
    int fillers[8];
    int server;

    rig_open(&rig, NULL);
    server = rig_server(&addr);
    cr_assert_eq(listen(server, 0), 0);
    for (size_t i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[i], &addr.u.sa, addr.len);
    }
    connect_to(&owners[0], &addr);
    rig_settle(&rig);
    cr_assert_eq(owners[0].connected, 0);
    conn_abort(owners[0].conn);
    rig_until(&rig, owners[0].released == 1);
    cr_assert_eq(owners[0].closed, 0);
    connect_to(&owners[1], &addr);
    conn_abort(owners[1].conn); /* in the tick it began */
    rig_until(&rig, owners[1].released == 1);
    for (size_t i = 0; i < 8; i++)
        close(fillers[i]);
    close(server);
    rig_close(&rig);
}

Test(conn, upstream_reads_only_as_fast_as_it_is_allowed)
{
    static char block[1 << 16];
    struct net_addr addr;
    size_t sent = 0;
    ssize_t count;
    int server, fd;

    rig_open(&rig, NULL);
    server = rig_server(&addr);
    connect_to(&owners[0], &addr);
    fd = rig_accept(&rig, server);
    rig_until(&rig, owners[0].connected == 1);
    owners[0].pauses_in_bytes = true;
    for (int i = 0; i < 100; i++) {
        while ((count = send(fd, block, sizeof block, MSG_DONTWAIT)) > 0)
            sent += (size_t)count;
        loop_tick(&rig.loop, 1);
    }
    cr_assert_eq(owners[0].offers, 1);
    cr_assert(owners[0].conn->rx_bytes <=
              RX_WINDOW * RX_SEGMENT_BYTES); /* the multishot's last breath */
    cr_assert(sent > owners[0].conn->rx_bytes);
    close(fd);
    close(server);
    rig_close(&rig);
}

Test(conn, a_thousand_clients_and_sixteen_buffers_lose_nothing)
{
    enum { CLIENTS = 1000 };
    const struct engine_cfg cfg = {.sockets_max = 4096, .rx_buffers = 16, .rx_window = 16};
    static int fds[CLIENTS];
    static struct owner many; /* shared: counts them all */
    uint64_t enters;

    rig_open(&rig, &cfg);
    for (int i = 0; i < CLIENTS; i++) {
        int32_t handle;

        rig_pair(&rig, &handle, &fds[i]);
        cr_assert_not_null(conn_adopt(&rig.conns, handle, &nobody, &calls, &many));
    }
    rig_settle(&rig);
    for (int round = 1; round <= 3; round++) {
        enters = rig.loop.engine->stats.enters;
        for (int i = 0; i < CLIENTS; i++)
            send_z(fds[i], "0123456789");
        rig_until(&rig, many.bytes_len == (size_t)round * CLIENTS * 10);
        cr_assert(rig.loop.engine->stats.enters - enters <= 3 * CLIENTS);
    }
    cr_assert(rig.loop.engine->stats.starved > 0);
    rig_settle(&rig);
    cr_assert_eq(rig.loop.engine->stats.rx_offered, 16);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    rig_until(&rig, many.eofs == CLIENTS);
    rig_close(&rig);
}

Test(conn, survives_overflow_of_the_completion_queue)
{
    enum { CLIENTS = 200 };
    const struct engine_cfg cfg = {.submissions = 32, .completions = 64, .sockets_max = 1024};
    static int fds[CLIENTS];
    static struct owner many;

    rig_open(&rig, &cfg);
    for (int i = 0; i < CLIENTS; i++) {
        int32_t handle;

        rig_pair(&rig, &handle, &fds[i]);
        cr_assert_not_null(conn_adopt(&rig.conns, handle, &nobody, &calls, &many));
    }
    rig_settle(&rig);
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < CLIENTS; i++)
            send_z(fds[i], "0123456789");
        rig_until(&rig, many.bytes_len == (size_t)round * CLIENTS * 10);
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    rig_until(&rig, many.eofs == CLIENTS);
    rig_close(&rig);
}

Test(conn, without_a_slot_the_handle_is_closed)
{
    int32_t handle;
    int fds[2];
    char byte;

    rig_open(&rig, NULL);
    conns_close(&rig.conns);
    cr_assert_eq(conns_open(&rig.conns, &rig.loop, 1), R2A_OK);
    rig_pair(&rig, &handle, &fds[0]);
    adopt(&owners[0], handle);
    rig_pair(&rig, &handle, &fds[1]);
    cr_assert_null(conn_adopt(&rig.conns, handle, &nobody, &calls, &owners[1]));
    rig_until(&rig, rig.loop.engine->stats.sockets == 1);
    cr_assert_eq(recv(fds[1], &byte, 1, 0), 0);
    close(fds[0]);
    close(fds[1]);
    rig_close(&rig);
}

Test(conn, abort_all_ends_everything)
{
    int fds[3];

    rig_open(&rig, NULL);
    for (size_t i = 0; i < 3; i++) {
        int32_t handle;

        rig_tcp_pair(&rig, &handle, &fds[i], 0, 0);
        adopt(&owners[i], handle);
    }
    conn_close(owners[1].conn);
    rig_settle(&rig);
    conns_abort_all(&rig.conns);
    rig_until(&rig, rig.conns.open_count == 0);
    cr_assert_eq(owners[0].closed, 1);
    cr_assert_eq(owners[0].err, R2A_ERR_CANCELLED);
    cr_assert_eq(owners[1].closed, 0);
    cr_assert_eq(owners[1].released, 1);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    rig_close(&rig);
}
