/* The engine's X.509 class. It collects the chain a server sends and decides at its end:
 *
 *   - a chain validated for this very name within the last ten minutes gives its key at once, which
 *     spares all signature checks (the server still proves that it has the key);
 *   - else the library's "minimal" validator gets it, with the name to compare;
 *   - for an address instead of a name the library knows no comparison, so the leaf's iPAddress
 *     names are compared here, and the validator is then run without a name.
 *
 * Also tells a self-signed certificate from one of an unknown issuer. */
#include <string.h>

#include "r2a/core/check.h"
#include "san.h"
#include "tls_state.h"

#define DAYS_1970   719528 /* from 0000-01-01, the library's day 0, to 1970-01-01 */
#define SECONDS_DAY 86400

static struct tls_chain *chain_of(const br_x509_class **ctx)
{
    return (struct tls_chain *)(void *)ctx;
}

static struct slice cert_at(const struct tls_chain *chain, size_t index)
{
    size_t offset = 0;

    for (size_t i = 0; i < index; i++)
        offset += chain->cert_bytes[i];
    return slice_of((const char *)chain->store + offset, chain->cert_bytes[index]);
}

/* --- collecting --- */

/* `server_name` is what went out as SNI: empty for addresses. What counts is chain->name, ip. */
static void start_chain(const br_x509_class **ctx, const char *server_name)
{
    struct tls_chain *chain = chain_of(ctx);

    (void)server_name;
    check(chain->ip.len != 0 || chain->name[0] != '\0'); /* no name would mean no check */
    chain->bytes = 0;
    chain->certs = 0;
    chain->is_over = false;
    chain->was_hit = false;
    chain->err = R2A_OK;
    chain->pkey = (br_x509_pkey){0};
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
    struct tls_chain *chain = chain_of(ctx);

    if (chain->is_over || chain->certs == TLS_CHAIN_CERTS_MAX ||
        length > TLS_CHAIN_BYTES_MAX - chain->bytes) {
        chain->is_over = true;
        return;
    }
    chain->cert_bytes[chain->certs] = 0;
    chain->certs++;
}

static void append(const br_x509_class **ctx, const unsigned char *bytes, size_t len)
{
    struct tls_chain *chain = chain_of(ctx);

    if (chain->is_over)
        return;
    check(chain->certs > 0);
    if (len > TLS_CHAIN_BYTES_MAX - chain->bytes) {
        chain->is_over = true;
        return;
    }
    memcpy(chain->store + chain->bytes, bytes, len);
    chain->bytes = (uint16_t)(chain->bytes + len);
    chain->cert_bytes[chain->certs - 1] = (uint16_t)(chain->cert_bytes[chain->certs - 1] + len);
}

static void end_cert(const br_x509_class **ctx)
{
    (void)ctx;
}

/* --- the cache --- */

static void add(br_sha256_context *sha, const void *bytes, size_t len)
{
    unsigned char size[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
                             (unsigned char)(len >> 8), (unsigned char)len};

    br_sha256_update(sha, size, sizeof(size));
    br_sha256_update(sha, bytes, len);
}

static void digest_of(const struct tls_chain *chain, unsigned char digest[32])
{
    uint64_t serial = tls_trust_serial(chain->trust);
    br_sha256_context sha;

    br_sha256_init(&sha);
    add(&sha, &serial, sizeof(serial));
    add(&sha, chain->ip.bytes, chain->ip.len);
    add(&sha, chain->name, strlen(chain->name));
    for (size_t i = 0; i < chain->certs; i++) {
        struct slice cert = cert_at(chain, i);

        add(&sha, cert.ptr, cert.len);
    }
    br_sha256_out(&sha, digest);
}

/* Copies a public key whose numbers lie anywhere into `to` and its `data`. */
static void copy_key(br_x509_pkey *to, unsigned char data[BR_X509_BUFSIZE_KEY],
                     const br_x509_pkey *from)
{
    *to = *from;
    switch (from->key_type) {
    case BR_KEYTYPE_RSA:
        check(from->key.rsa.nlen + from->key.rsa.elen <= BR_X509_BUFSIZE_KEY);
        memcpy(data, from->key.rsa.n, from->key.rsa.nlen);
        memcpy(data + from->key.rsa.nlen, from->key.rsa.e, from->key.rsa.elen);
        to->key.rsa.n = data;
        to->key.rsa.e = data + from->key.rsa.nlen;
        break;
    case BR_KEYTYPE_EC:
        check(from->key.ec.qlen <= BR_X509_BUFSIZE_KEY);
        memcpy(data, from->key.ec.q, from->key.ec.qlen);
        to->key.ec.q = data;
        break;
    default:
        unreachable();
    }
}

static bool find(struct tls_chain *chain, const unsigned char digest[32])
{
    for (size_t i = 0; i < TLS_CHAIN_CACHE_MAX; i++) {
        struct tls_chain_entry *entry = &chain->runner->entries[i];

        if (entry->until_ms == 0 || memcmp(entry->digest, digest, 32) != 0)
            continue;
        /* A clock that went back makes the entry's age unknown, and the leaf may not be valid yet:
         * ask the validator. */
        if (chain->wall_ms >= entry->until_ms || chain->wall_ms < entry->since_ms) {
            entry->until_ms = 0;
            return false;
        }
        copy_key(&chain->pkey, chain->pkey_data, &entry->pkey);
        chain->usages = entry->usages;
        chain->not_after_ms = entry->not_after_ms;
        chain->was_hit = true;
        return true;
    }
    return false;
}

static void keep(const struct tls_chain *chain, const unsigned char digest[32])
{
    struct tls_chain_entry *entry = &chain->runner->entries[0];
    int64_t until_ms = chain->wall_ms + TLS_CHAIN_CACHE_MS;

    if (until_ms > chain->not_after_ms)
        until_ms = chain->not_after_ms;
    if (until_ms <= chain->wall_ms)
        return;
    for (size_t i = 1; i < TLS_CHAIN_CACHE_MAX && entry->until_ms != 0; i++) {
        if (chain->runner->entries[i].until_ms < entry->until_ms)
            entry = &chain->runner->entries[i]; /* empty, or the one that ends first */
    }
    memcpy(entry->digest, digest, 32);
    entry->until_ms = until_ms;
    entry->since_ms = chain->wall_ms;
    entry->not_after_ms = chain->not_after_ms;
    entry->usages = chain->usages;
    copy_key(&entry->pkey, entry->pkey_data, &chain->pkey);
}

/* --- validating --- */

static unsigned run_minimal(struct tls_chain *chain)
{
    const br_x509_class **minimal = &chain->minimal.vtable;
    const br_x509_pkey *key;
    unsigned usages = 0;
    unsigned err;
    int64_t seconds = chain->wall_ms / 1000;

    br_x509_minimal_set_time(&chain->minimal, (uint32_t)(seconds / SECONDS_DAY + DAYS_1970),
                             (uint32_t)(seconds % SECONDS_DAY));
    /* No name for an address: its match against the iPAddress names was checked above. */
    (*minimal)->start_chain(minimal, chain->ip.len != 0 ? NULL : chain->name);
    for (size_t i = 0; i < chain->certs; i++) {
        struct slice cert = cert_at(chain, i);

        (*minimal)->start_cert(minimal, (uint32_t)cert.len);
        (*minimal)->append(minimal, (const unsigned char *)cert.ptr, cert.len);
        (*minimal)->end_cert(minimal);
    }
    err = (*minimal)->end_chain(minimal);
    if (err != 0)
        return err;
    key = (*minimal)->get_pkey(minimal, &usages);
    if (key == NULL)
        return BR_ERR_X509_NOT_TRUSTED;
    copy_key(&chain->pkey, chain->pkey_data, key);
    chain->usages = (uint8_t)usages;
    return 0;
}

static unsigned validate(struct tls_chain *chain)
{
    struct san_view view;
    unsigned err;

    if (!san_view(cert_at(chain, 0), &view)) {
        chain->err = R2A_ERR_TLS_PROTOCOL;
        return BR_ERR_X509_UNEXPECTED;
    }
    if (chain->ip.len != 0 && !san_has_ip(view.names, chain->ip.bytes, chain->ip.len))
        return BR_ERR_X509_BAD_SERVER_NAME;
    err = run_minimal(chain);
    if (err == BR_ERR_X509_NOT_TRUSTED && slice_eq(view.issuer, view.subject))
        chain->err = R2A_ERR_TLS_SELF_SIGNED;
    chain->not_after_ms = view.not_after_ms;
    return err;
}

static unsigned end_chain(const br_x509_class **ctx)
{
    struct tls_chain *chain = chain_of(ctx);
    unsigned char digest[32];
    unsigned err;

    check(chain->runner != NULL);
    if (chain->is_over) {
        chain->err = R2A_ERR_TLS_CHAIN_LIMIT;
        return BR_ERR_X509_LIMIT_EXCEEDED;
    }
    if (chain->certs == 0)
        return BR_ERR_X509_EMPTY_CHAIN;
    digest_of(chain, digest);
    if (find(chain, digest))
        return 0;
    err = validate(chain);
    if (err == 0)
        keep(chain, digest);
    return err;
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
    const struct tls_chain *chain = (const struct tls_chain *)(const void *)ctx;

    if (chain->pkey.key_type == 0)
        return NULL;
    if (usages != NULL)
        *usages = chain->usages;
    return &chain->pkey;
}

const br_x509_class tls_chain_vtable = {
    sizeof(struct tls_chain), start_chain, start_cert, append, end_cert, end_chain, get_pkey,
};

size_t tls_runner_size(void)
{
    return sizeof(struct tls_runner);
}
