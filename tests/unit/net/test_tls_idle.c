/* The swap test: at every moment the engine is idle both record buffers are replaced by others full
 * of noise, and nothing may be lost. What src/net/tls_idle.c claims stands or falls with it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_server.h"
#include "r2a/core/check.h"
#include "src/net/tls_state.h"
#include "support/random.h"

struct swap {
    struct tls_pair *pairs[2];
    struct random random;
    unsigned which;
    unsigned count;
    unsigned shaking; /* of these within the handshake */
};

static void noise(struct swap *swap, void *to, size_t len)
{
    unsigned char *bytes = to;

    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t value = random_next(&swap->random);

        memcpy(bytes + i, &value, 8);
    }
}

static void swap_if_idle(struct swap *swap, br_ssl_engine_context *engine)
{
    struct tls_pair *next = swap->pairs[swap->which ^ 1];

    if (!tls_idle_is(engine))
        return;
    noise(swap, swap->pairs[swap->which], sizeof(struct tls_pair));
    noise(swap, next, sizeof(struct tls_pair));
    swap->which ^= 1;
    tls_idle_detach(engine);
    tls_idle_attach(engine, next);
    swap->count++;
    swap->shaking += (br_ssl_engine_current_state(engine) & BR_SSL_SENDAPP) == 0;
}

/* Engine against engine, in random pieces. */
static bool move(struct random *random, br_ssl_engine_context *from, br_ssl_engine_context *to)
{
    size_t len;
    size_t room;
    unsigned char *bytes = br_ssl_engine_sendrec_buf(from, &len);
    unsigned char *window = br_ssl_engine_recvrec_buf(to, &room);

    if (bytes == NULL || window == NULL)
        return false;
    len = len < room ? len : room;
    len = random_between(random, 1, len);
    memcpy(window, bytes, len);
    br_ssl_engine_sendrec_ack(from, len);
    br_ssl_engine_recvrec_ack(to, len);
    return true;
}

static void run(uint16_t suite, uint64_t seed)
{
    static const uint8_t start[] = "abc";
    struct tls_trust *trust = trust_load("trust.pem");
    struct tls_env_cfg cfg = {.trust = trust, .slots_max = 1};
    struct tls_env *env = tls_env_open(&cfg);
    struct server *server = server_new("good");
    struct tls_chain *chain = calloc(1, sizeof(*chain));
    struct tls_runner *runner = calloc(1, sizeof(*runner));
    struct swap swap = {.random = {seed}};
    br_ssl_client_context client = env->client;
    br_ssl_engine_context *here = &client.eng;
    br_ssl_engine_context *there = &server->ctx.eng;
    size_t sent = 0;
    size_t received = 0;
    size_t answered = 0;
    size_t heard = 0;
    const size_t total = 60000;

    swap.pairs[0] = calloc(1, sizeof(struct tls_pair));
    swap.pairs[1] = calloc(1, sizeof(struct tls_pair));
    chain->vtable = &tls_chain_vtable;
    chain->minimal = env->minimal;
    chain->trust = trust;
    chain->runner = runner;
    chain->wall_ms = test_wall_ms();
    memcpy(chain->name, "localhost", 10);
    br_ssl_engine_set_suites(here, &suite, 1);
    br_ssl_engine_set_x509(here, &chain->vtable);
    br_ssl_engine_set_buffers_bidi(here, swap.pairs[0]->in, sizeof(swap.pairs[0]->in),
                                   swap.pairs[0]->out, sizeof(swap.pairs[0]->out));
    br_ssl_engine_inject_entropy(here, start, sizeof(start));
    cr_assert(br_ssl_client_reset(&client, "localhost", 0));

    bool is_open = false;

    for (unsigned step = 0; received < total || heard < total; step++) {
        size_t len;
        unsigned char *bytes;

        cr_assert_lt(step, 3000000, "seed %lu: stuck", (unsigned long)seed);
        cr_assert_eq(br_ssl_engine_last_error(here), 0, "seed %lu: %d", (unsigned long)seed,
                     br_ssl_engine_last_error(here));
        cr_assert_eq(br_ssl_engine_last_error(there), 0);
        switch (random_next(&swap.random) % 6) {
        case 0:
            (void)move(&swap.random, here, there);
            break;
        case 1:
            (void)move(&swap.random, there, here);
            break;
        case 2: /* our request */
            bytes = br_ssl_engine_sendapp_buf(here, &len);
            if (bytes == NULL || sent == total)
                break;
            if (!is_open) {
                is_open = true;
                memset(chain, 0x5a, sizeof(*chain)); /* nobody looks at it any more */
            }
            len = len < total - sent ? len : total - sent;
            len = random_between(&swap.random, 1, len < 700 ? len : 700);
            for (size_t i = 0; i < len; i++)
                bytes[i] = (unsigned char)((sent + i) * 13);
            br_ssl_engine_sendapp_ack(here, len);
            br_ssl_engine_flush(here, 0);
            sent += len;
            break;
        case 3: /* its answer */
            bytes = br_ssl_engine_sendapp_buf(there, &len);
            if (bytes == NULL || answered == total)
                break;
            len = len < total - answered ? len : total - answered;
            len = random_between(&swap.random, 1, len);
            for (size_t i = 0; i < len; i++)
                bytes[i] = (unsigned char)((answered + i) * 7);
            br_ssl_engine_sendapp_ack(there, len);
            br_ssl_engine_flush(there, 0);
            answered += len;
            break;
        case 4:
            bytes = br_ssl_engine_recvapp_buf(here, &len);
            if (bytes == NULL)
                break;
            for (size_t i = 0; i < len; i++)
                cr_assert_eq(bytes[i], (unsigned char)((heard + i) * 7));
            br_ssl_engine_recvapp_ack(here, len);
            heard += len;
            break;
        default:
            bytes = br_ssl_engine_recvapp_buf(there, &len);
            if (bytes == NULL)
                break;
            for (size_t i = 0; i < len; i++)
                cr_assert_eq(bytes[i], (unsigned char)((received + i) * 13));
            br_ssl_engine_recvapp_ack(there, len);
            received += len;
            break;
        }
        swap_if_idle(&swap, here);
    }
    cr_assert_gt(swap.shaking, 3, "within the handshake only %u times", swap.shaking);
    cr_assert_gt(swap.count, 300, "it was idle only %u times", swap.count);
    free(swap.pairs[0]);
    free(swap.pairs[1]);
    free(chain);
    free(runner);
    tls_trust_unref(trust);
    tls_env_close(env);
}

Test(tls_idle, buffers_may_be_replaced_whenever_idle_says_so)
{
    certs_or_skip();
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    };

    for (uint64_t seed = 1; seed <= 6; seed++)
        run(suites[seed % 3], seed * 7919);
}

/* The hello waits to be sent: that is not idle. Once it is, it is. */
Test(tls_idle, an_engine_with_something_to_send_is_not_idle)
{
    certs_or_skip();
    struct tls_env *env = env_open("trust.pem", NULL, NULL);
    br_ssl_client_context client = env->client;
    struct tls_pair *pair = calloc(1, sizeof(*pair));
    size_t len;

    br_ssl_engine_set_buffers_bidi(&client.eng, pair->in, sizeof(pair->in), pair->out,
                                   sizeof(pair->out));
    cr_assert(br_ssl_client_reset(&client, "localhost", 0));
    cr_assert(tls_idle_at_header(&client.eng));
    cr_assert_not(tls_idle_is(&client.eng));
    while (br_ssl_engine_sendrec_buf(&client.eng, &len) != NULL)
        br_ssl_engine_sendrec_ack(&client.eng, len);
    cr_assert(tls_idle_is(&client.eng));
    free(pair);
    tls_env_close(env);
}
