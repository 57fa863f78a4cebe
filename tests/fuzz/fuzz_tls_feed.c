/* Bytes from a socket into the TLS layer. Two kinds of input, by the first byte:
 *
 *   even  bytes straight into a handshake, cut two ways: both come to the same error and phase
 *   odd   an open connection: a small program of records from a server in memory, some damaged;
 *         fed whole and cut into pieces, the same plaintext must come out in the same order, as
 * much as was sent before the first damage, and every buffer must come back
 *
 * One handshake is done for good at the start; each run copies its two ends. */
#include <bearssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "r2a/core/mem.h"
#include "src/net/tls_state.h"

#define require(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

#define WALL_MS 1893456000000 /* 2030-01-01: within the certificate's time, whenever this runs */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For localhost, self-signed, with the key whose bytes count from 1 to 32. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBgTCCASigAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv\n"
    "c3QwIBcNMjYxMTIxMTgwNTU3WhgPMjEyNjEwMjgxODA1NTdaMBQxEjAQBgNVBAMM\n"
    "CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFFcPW6545a5BNP+\n"
    "yn9U/c0MwemXvzddylFa0KbDtANfRTa+OlDzGPv5pUdZAqIhUCvvDVfgjFOyzApW\n"
    "8X2fk1SjaTBnMB0GA1UdDgQWBBS7pzy+iS57Od9cWb5KY4cGOKJAuDAfBgNVHSME\n"
    "GDAWgBS7pzy+iS57Od9cWb5KY4cGOKJAuDAPBgNVHRMBAf8EBTADAQH/MBQGA1Ud\n"
    "EQQNMAuCCWxvY2FsaG9zdDAKBggqhkjOPQQDAgNHADBEAiBFwroWl5KPJIu4tm3u\n"
    "7N0b8/ODOBZ0rQTvTR96I/iwzAIgVaPbebFaG9SepYtp9gNzjcsamu2x8IR4nv30\n"
    "k4YjEuE=\n"
    "-----END CERTIFICATE-----\n";

static struct mem_budget budget;
static struct mem *mem;
static struct tls_env *env;
static br_x509_certificate chain;
static unsigned char key_bytes[32];
static br_ec_private_key key;
static br_ssl_server_context server_open; /* the two ends after the handshake */
static br_ssl_client_context client_open;
static unsigned char server_in[BR_SSL_BUFSIZE_INPUT];
static unsigned char server_out[BR_SSL_BUFSIZE_OUTPUT];

static void gather(void *ctx, const void *bytes, size_t len)
{
    br_x509_certificate *to = ctx;

    require(to->data_len + len <= 4096);
    memcpy(to->data + to->data_len, bytes, len);
    to->data_len += len;
}

static void read_certificate(void)
{
    static unsigned char der[4096];
    br_pem_decoder_context decoder;
    size_t at = 0;

    chain.data = der;
    br_pem_decoder_init(&decoder);
    br_pem_decoder_setdest(&decoder, gather, &chain);
    while (at < sizeof(certificate) - 1) {
        at += br_pem_decoder_push(&decoder, certificate + at, sizeof(certificate) - 1 - at);
        if (br_pem_decoder_event(&decoder) == BR_PEM_BEGIN_OBJ)
            br_pem_decoder_setdest(&decoder, gather, &chain);
    }
    for (size_t i = 0; i < sizeof(key_bytes); i++)
        key_bytes[i] = (unsigned char)(i + 1);
    key = (br_ec_private_key){.curve = BR_EC_secp256r1, .x = key_bytes, .xlen = sizeof(key_bytes)};
}

static struct tls *open_tls(struct rope *out)
{
    struct tls_peer peer = {.name = S("localhost"), .host = S("localhost"), .port = 443};
    enum r2a_err err;
    struct tls *tls = tls_open(env, &peer, out, NULL, NULL, &err);

    require(tls != NULL);
    return tls;
}

static void shake(void)
{
    struct rope out = {.mem = mem};
    struct tls *tls = open_tls(&out);
    br_ssl_engine_context *server = &server_open.eng;

    br_ssl_server_init_full_ec(&server_open, &chain, 1, BR_KEYTYPE_EC, &key);
    br_ssl_engine_set_buffers_bidi(server, server_in, sizeof(server_in), server_out,
                                   sizeof(server_out));
    require(br_ssl_server_reset(&server_open));
    tls_start(tls, WALL_MS);
    while (tls_phase(tls) == TLS_HANDSHAKE || out.bytes > 0) {
        struct iovec vec;
        struct slice plain;
        size_t len;
        unsigned char *bytes = br_ssl_engine_sendrec_buf(server, &len);

        if (bytes != NULL) {
            require(tls_feed(tls, slice_of((char *)bytes, len), &plain) > 0);
            br_ssl_engine_sendrec_ack(server, len);
        }
        bytes = br_ssl_engine_recvrec_buf(server, &len);
        if (bytes != NULL && rope_peek(&out, &vec, 1) == 1) {
            len = len < vec.iov_len ? len : vec.iov_len;
            memcpy(bytes, vec.iov_base, len);
            rope_consume(&out, len);
            br_ssl_engine_recvrec_ack(server, len);
        }
        require(tls_error(tls) == R2A_OK);
    }
    require(tls_phase(tls) == TLS_OPEN && tls->pair == NULL);
    client_open = tls->u.client;
    tls_free(tls);
    rope_clear(&out);
}

static void prepare(void)
{
    struct tls_trust_report report;
    struct tls_trust *trust =
        tls_trust_parse(slice_of(certificate, sizeof(certificate) - 1), &report);
    struct tls_env_cfg cfg = {.trust = trust, .slots_max = 4, .pairs_max = 8};

    require(trust != NULL);
    mem = mem_open(&budget, 1 << 20);
    env = tls_env_open(&cfg);
    require(mem != NULL && env != NULL);
    tls_trust_unref(trust);
    read_certificate();
    shake();
}

/* What came of feeding some bytes. */
struct outcome {
    enum tls_phase phase;
    enum r2a_err err;
    size_t plain_len;
    char plain[65536];
};

static void feed(struct tls *tls, struct rope *out, const uint8_t *data, size_t size, size_t cut,
                 struct outcome *outcome)
{
    while (size > 0) {
        size_t len = size < cut ? size : cut;
        struct slice in = slice_of((const char *)data, len);

        for (;;) {
            struct slice plain;
            int32_t taken = tls_feed(tls, in, &plain);

            if (taken < 0 || (taken == 0 && plain.len == 0))
                break;
            require((size_t)taken <= in.len);
            in = slice_skip(in, (size_t)taken);
            require(plain.len <= sizeof(outcome->plain) - outcome->plain_len);
            if (plain.len > 0)
                memcpy(outcome->plain + outcome->plain_len, plain.ptr, plain.len);
            outcome->plain_len += plain.len;
        }
        if (tls_error(tls) != R2A_OK)
            break;
        require(in.len == 0); /* there are buffers enough: all is taken */
        data += len;
        size -= len;
    }
    outcome->phase = tls_phase(tls);
    outcome->err = tls_error(tls);
    tls_free(tls);
    rope_clear(out);
    require(env->pairs.count == 0 && env->works.count == 0);
}

static struct outcome outcomes[2];

static void feed_handshakes(const uint8_t *data, size_t size, size_t cut)
{
    for (size_t i = 0; i < 2; i++) {
        struct rope out = {.mem = mem};
        struct tls *tls = open_tls(&out);

        outcomes[i].plain_len = 0;
        tls_start(tls, WALL_MS);
        require(out.bytes > 0);
        feed(tls, &out, data, size, i == 0 ? SIZE_MAX : cut, &outcomes[i]);
    }
    /* Of two alerts in one record the library acts on the first when they come apart, on the second
     * when together: close_notify or whatever follows it. */
    require(outcomes[0].err == outcomes[1].err || outcomes[0].err == R2A_ERR_PEER_EOF ||
            outcomes[1].err == R2A_ERR_PEER_EOF);
    require(outcomes[0].phase == outcomes[1].phase);
    require(outcomes[0].phase != TLS_OPEN);
}

/* A program: (kind, amount) pairs. Fills `wire`, returns its length; *sound is how much plaintext
 * was sent before the first damage. */
static size_t make_wire(const uint8_t *data, size_t size, unsigned char *wire, size_t max,
                        size_t *sound)
{
    br_ssl_server_context server = server_open;
    size_t len = 0;
    size_t sent = 0;
    bool is_damaged = false;

    *sound = 0;
    for (size_t i = 0; i + 1 < size && br_ssl_engine_last_error(&server.eng) == 0; i += 2) {
        size_t amount = data[i + 1];
        size_t room;
        unsigned char *bytes;

        if (data[i] % 8 == 7) {
            br_ssl_engine_close(&server.eng);
        } else {
            bytes = br_ssl_engine_sendapp_buf(&server.eng, &room);
            if (bytes == NULL)
                break;
            amount = 1 + (data[i] % 8 == 6 ? amount * 64 : amount);
            amount = amount < room ? amount : room;
            for (size_t n = 0; n < amount; n++)
                bytes[n] = (unsigned char)(sent + n);
            br_ssl_engine_sendapp_ack(&server.eng, amount);
            br_ssl_engine_flush(&server.eng, 0);
            sent += amount;
        }
        bytes = br_ssl_engine_sendrec_buf(&server.eng, &room);
        if (bytes == NULL || room > max - len)
            break;
        memcpy(wire + len, bytes, room);
        if (data[i] % 16 == 5) {
            wire[len + data[i + 1] % room] ^= (unsigned char)(1 + data[i] / 16);
            is_damaged = true;
        }
        len += room;
        br_ssl_engine_sendrec_ack(&server.eng, room);
        if (!is_damaged)
            *sound = sent;
        if (data[i] % 8 == 7)
            break;
    }
    return len;
}

static void feed_records(const uint8_t *data, size_t size, size_t cut)
{
    static unsigned char wire[65536];
    size_t sound;
    size_t len = make_wire(data, size, wire, sizeof(wire), &sound);

    for (size_t i = 0; i < 2; i++) {
        struct rope out = {.mem = mem};
        struct tls *tls = open_tls(&out);

        outcomes[i].plain_len = 0;
        tls->u.client = client_open;
        tls->phase = TLS_OPEN;
        feed(tls, &out, wire, len, i == 0 ? SIZE_MAX : cut, &outcomes[i]);
        require(outcomes[i].plain_len >= sound);
        for (size_t n = 0; n < outcomes[i].plain_len; n++)
            require(outcomes[i].plain[n] == (char)n);
    }
    require(outcomes[0].plain_len == outcomes[1].plain_len);
    require(outcomes[0].err == outcomes[1].err);
    require(outcomes[0].phase == outcomes[1].phase);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut;

    if (env == NULL)
        prepare();
    if (size < 2)
        return 0;
    cut = 1 + data[1];
    if (data[0] % 2 == 0)
        feed_handshakes(data + 2, size - 2, cut);
    else
        feed_records(data + 2, size - 2, cut);
    return 0;
}
