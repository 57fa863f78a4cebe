/* One worker's share of TLS: the contexts that connections are copied from, sessions that may be
 * resumed, and the tick that hands jobs out and lets those in who wait for a buffer. */
#include <stdlib.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "tls_state.h"

/* --- prepared contexts --- */

/* AES-128 first where the processor has AES (0.5 us for a chunk of 250 bytes), else ChaCha20 (1.1).
 * Forward secrecy and an AEAD always; nothing with SHA-1, CBC or static keys. */
static const uint16_t suites_aes[] = {
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};
static const uint16_t suites_chacha[] = {
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static const char *alpn_names[] = {"http/1.1"};

/* Everything of br_ssl_client_init_full that we want; it also saves its price (CPU detection,
 * 100 us under a hypervisor) per connection. The pointers set in here are to constants, so a copy
 * of the two contexts is as good as the originals (test_tls: copied_context_*). */
void tls_env_prepare(struct tls_env *env)
{
    br_ssl_client_context *client = &env->client;
    br_ssl_engine_context *engine = &client->eng;
    br_x509_minimal_context *minimal = &env->minimal;
    bool has_aes = br_aes_x86ni_ctr_get_vtable() != NULL;

    br_ssl_client_zero(client);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, has_aes ? suites_aes : suites_chacha, array_count(suites_aes));
    br_ssl_engine_set_default_rsavrfy(engine);
    br_ssl_engine_set_default_ecdsa(engine);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_default_chapol(engine);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
    br_ssl_engine_set_protocol_names(engine, alpn_names, array_count(alpn_names));
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);

    br_x509_minimal_init(minimal, &br_sha256_vtable, tls_trust_anchors(env->trust),
                         tls_trust_count(env->trust));
    br_x509_minimal_set_rsa(minimal, br_ssl_engine_get_rsavrfy(engine));
    br_x509_minimal_set_ecdsa(minimal, br_ssl_engine_get_ec(engine),
                              br_ssl_engine_get_ecdsa(engine));

    /* No MD5 and no SHA-1, neither in certificates nor in the server's own signature. */
    static const struct {
        int id;
        const br_hash_class *hash;
    } hashes[] = {
        {br_sha224_ID, &br_sha224_vtable},
        {br_sha256_ID, &br_sha256_vtable},
        {br_sha384_ID, &br_sha384_vtable},
        {br_sha512_ID, &br_sha512_vtable},
    };

    for (size_t i = 0; i < array_count(hashes); i++) {
        br_ssl_engine_set_hash(engine, hashes[i].id, hashes[i].hash);
        br_x509_minimal_set_hash(minimal, hashes[i].id, hashes[i].hash);
    }
}

void tls_describe(char *text, size_t size)
{
    const struct {
        const char *name;
        bool is_there;
    } parts[] = {
        {"AES-NI", br_aes_x86ni_ctr_get_vtable() != NULL},
        {"PCLMULQDQ", br_ghash_pclmul_get() != 0},
        {"SSE2 ChaCha20", br_chacha20_sse2_get() != 0},
#ifdef R2A_BEARSSL_M64
        {"64-bit P-256", br_ec_p256_m64_get() != NULL},
#endif
        {"64-bit RSA", br_rsa_i62_pkcs1_vrfy_get() != 0},
    };
    struct str_buf buf = {.ptr = text, .size = size - 1};

    check(size > 0);
    for (size_t i = 0; i < array_count(parts); i++) {
        if (!parts[i].is_there)
            continue;
        if (buf.len > 0)
            str_buf_put(&buf, S(", "));
        str_buf_put(&buf, slice_from_z(parts[i].name));
    }
    if (buf.len == 0)
        str_buf_put(&buf, S("portable code only"));
    text[buf.len] = '\0';
}

/* --- sessions --- */

static struct tls_session *bucket_of(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES])
{
    return env->sessions[key[0] % (TLS_SESSIONS_MAX / TLS_SESSION_WAYS)];
}

static struct tls_session *find(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES])
{
    struct tls_session *bucket = bucket_of(env, key);

    for (size_t i = 0; i < TLS_SESSION_WAYS; i++) {
        if (bucket[i].until_ms != 0 && memcmp(bucket[i].key, key, TLS_KEY_BYTES) == 0)
            return &bucket[i];
    }
    return NULL;
}

const br_ssl_session_parameters *
tls_env_find_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES], int64_t wall_ms)
{
    struct tls_session *session = find(env, key);

    if (session == NULL)
        return NULL;
    if (wall_ms >= session->until_ms || wall_ms < session->used_ms) {
        memset(session, 0, sizeof(*session)); /* over, or the clock went back */
        return NULL;
    }
    return &session->parameters;
}

void tls_env_keep_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES],
                          const br_ssl_session_parameters *parameters, int64_t wall_ms,
                          int64_t not_after_ms)
{
    struct tls_session *session = find(env, key);
    int64_t until_ms = wall_ms + TLS_SESSION_MS;

    if (until_ms > not_after_ms)
        until_ms = not_after_ms;
    if (until_ms <= wall_ms)
        return;
    if (session == NULL) {
        struct tls_session *bucket = bucket_of(env, key);

        session = bucket;
        for (size_t i = 1; i < TLS_SESSION_WAYS; i++) {
            if (bucket[i].used_ms < session->used_ms)
                session = &bucket[i];
        }
    }
    memcpy(session->key, key, TLS_KEY_BYTES);
    session->parameters = *parameters;
    session->until_ms = until_ms;
    session->used_ms = wall_ms;
}

void tls_env_drop_session(struct tls_env *env, const unsigned char key[TLS_KEY_BYTES])
{
    struct tls_session *session = find(env, key);

    if (session != NULL)
        memset(session, 0, sizeof(*session));
}

/* --- life --- */

struct tls_env *tls_env_open(const struct tls_env_cfg *cfg)
{
    struct tls_env *env = calloc(1, sizeof(*env));
    uint32_t pairs = cfg->pairs_max != 0 ? cfg->pairs_max : TLS_PAIRS_DEFAULT;

    check(cfg->trust != NULL);
    check(cfg->slots_max > 0);
    if (env == NULL)
        return NULL;
    if (pairs < TLS_PAIRS_MIN)
        pairs = TLS_PAIRS_MIN;
    if (pairs > TLS_PAIRS_MAX)
        pairs = TLS_PAIRS_MAX;
    env->submit = cfg->submit;
    env->submit_ctx = cfg->submit_ctx;
    env->pairs_for_records = pairs / 8 + TLS_LEAVE_PART;
    env->runner = calloc(1, sizeof(*env->runner));
    if (env->runner == NULL || !slab_open(&env->slots, sizeof(struct tls), cfg->slots_max) ||
        !tls_pool_open(&env->pairs, sizeof(struct tls_pair), pairs) ||
        !tls_pool_open(&env->works, sizeof(struct tls_work), TLS_SHAKES_MAX))
        goto fail;
    env->trust = tls_trust_ref(cfg->trust);
    tls_env_prepare(env);
    return env;
fail:
    tls_pool_close(&env->works);
    tls_pool_close(&env->pairs);
    if (env->slots.base != NULL)
        slab_close(&env->slots);
    free(env->runner);
    free(env);
    return NULL;
}

void tls_env_close(struct tls_env *env)
{
    check(env->slots.count == 0);
    check(env->pairs.count == 0);
    check(env->works.count == 0);
    tls_pool_close(&env->works);
    tls_pool_close(&env->pairs);
    slab_close(&env->slots);
    tls_trust_unref(env->trust);
    free(env->runner);
    explicit_bzero(env->sessions, sizeof(env->sessions)); /* secrets, and free would keep them */
    free(env);
}

void tls_env_set_trust(struct tls_env *env, struct tls_trust *trust)
{
    struct tls_trust *old = env->trust;

    if (trust == old)
        return;
    env->trust = tls_trust_ref(trust);
    tls_env_prepare(env);
    /* What the old anchors vouched for must be proven anew. Cached chains name their anchors. */
    memset(env->sessions, 0, sizeof(env->sessions));
    tls_trust_unref(old);
}

const struct tls_stats *tls_env_stats(const struct tls_env *env)
{
    return &env->stats;
}

/* --- the tick --- */

static void wake(struct tls *tls)
{
    if (tls->wake != NULL)
        tls->wake(tls->owner, tls);
}

bool tls_env_flush(struct tls_env *env)
{
    bool has_woken = false;
    struct list_node *node;

    while (tls_pool_free(&env->pairs) > TLS_LEAVE_PART &&
           (node = list_pop_front(&env->readers)) != NULL) {
        struct tls *tls = list_owner(node, struct tls, node);

        tls->line = TLS_LINE_NONE;
        check(tls_take_pair(tls, TLS_LEAVE_PART));
        has_woken = true;
        wake(tls);
    }
    while ((node = list_first(&env->starts)) != NULL) {
        struct tls *tls = list_owner(node, struct tls, node);

        if (!(tls->line == TLS_LINE_START ? tls_begin(tls) : tls_go_on(tls)))
            break;
        has_woken = true;
        if (tls->line == TLS_LINE_NONE) /* computed in place: there is something to send */
            wake(tls);
    }
    while ((node = list_pop_front(&env->jobs)) != NULL) {
        struct tls *tls = list_owner(node, struct tls, node);

        check(tls->line == TLS_LINE_JOB);
        tls->line = TLS_LINE_OUT;
        env->stats.jobs++;
        env->submit(env->submit_ctx, &tls->work->job);
    }
    env->stats.slots = env->slots.count;
    env->stats.pairs = env->pairs.count;
    env->stats.pairs_touched = env->pairs.touched;
    return has_woken;
}
