/* Trust anchors: a PEM bundle decoded once into one block that is read-only afterwards, so that all
 * threads use it without a lock. Its first page holds the count of references; the rest is
 *
 *   | head, anchors[count] | names and keys of the anchors ... |
 *
 * The block is as large as the bundle's text, an upper bound; only what is written is touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "tls_state.h"

#define PAGE 4096u

struct tls_trust {
    _Atomic uint32_t refs;
    uint32_t count;
    uint64_t serial;
    size_t map_size;
    br_x509_trust_anchor *anchors;
};

/* Where the usual systems keep their bundle. */
static const char *const usual_paths[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch, Gentoo */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL, Fedora */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* RHEL, older */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/var/lib/ca-certificates/ca-bundle.pem",            /* openSUSE, newer */
    "/etc/ssl/cert.pem",                                 /* Alpine without the package, BSDs */
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",  /* Arch */
};

static void say(struct tls_trust_report *report, const char *reason, const char *more)
{
    struct str_buf buf = {.ptr = report->reason, .size = sizeof(report->reason) - 1};

    str_buf_put(&buf, slice_from_z(reason));
    if (more != NULL) {
        str_buf_put(&buf, S(": "));
        str_buf_put(&buf, slice_from_z(more));
    }
    report->reason[buf.len] = '\0';
}

static void name_path(struct tls_trust_report *report, const char *path)
{
    struct str_buf buf = {.ptr = report->path, .size = sizeof(report->path) - 1};

    str_buf_put(&buf, slice_from_z(path));
    report->path[buf.len] = '\0';
}

/* --- decoding --- */

struct parser {
    char *at; /* where the next anchor's bytes go */
    char *end;
    unsigned char *dn; /* of the certificate being read */
    size_t dn_len;
    bool is_full;
    bool is_bad; /* the certificate being read has bytes behind its end or its first error */
    br_x509_decoder_context decoder;
};

static void on_dn(void *ctx, const void *bytes, size_t len)
{
    struct parser *parser = ctx;

    if ((size_t)(parser->end - parser->at) < parser->dn_len + len) {
        parser->is_full = true;
        return;
    }
    memcpy(parser->dn + parser->dn_len, bytes, len);
    parser->dn_len += len;
}

/* The library's decoder must not be given more once it failed: it would go on behind its own check
 * and write past its key buffer (any key over 4096 bits does it, BearSSL 0.6). "Truncated" is what
 * it says while all is well and the end has not come. */
static void on_der(void *ctx, const void *bytes, size_t len)
{
    struct parser *parser = ctx;

    if (br_x509_decoder_last_error(&parser->decoder) == BR_ERR_X509_TRUNCATED)
        br_x509_decoder_push(&parser->decoder, bytes, len);
    else
        parser->is_bad = true;
}

static unsigned char *keep(struct parser *parser, const unsigned char *bytes, size_t len)
{
    unsigned char *copy = (unsigned char *)parser->at;

    if ((size_t)(parser->end - parser->at) < len) {
        parser->is_full = true;
        return NULL;
    }
    memcpy(copy, bytes, len);
    parser->at += len;
    return copy;
}

/* Makes an anchor of the certificate just decoded. False when it cannot be one. */
static bool take_anchor(struct parser *parser, br_x509_trust_anchor *anchor)
{
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&parser->decoder);
    char *begin = parser->at;

    if (parser->is_bad || key == NULL || br_x509_decoder_last_error(&parser->decoder) != 0 ||
        parser->dn_len == 0)
        return false;
    memset(anchor, 0, sizeof(*anchor));
    anchor->dn.data = parser->dn;
    anchor->dn.len = parser->dn_len;
    parser->at += parser->dn_len;
    anchor->flags = br_x509_decoder_isCA(&parser->decoder) ? BR_X509_TA_CA : 0;
    anchor->pkey = *key;
    switch (key->key_type) {
    case BR_KEYTYPE_RSA:
        anchor->pkey.key.rsa.n = keep(parser, key->key.rsa.n, key->key.rsa.nlen);
        anchor->pkey.key.rsa.e = keep(parser, key->key.rsa.e, key->key.rsa.elen);
        break;
    case BR_KEYTYPE_EC:
        anchor->pkey.key.ec.q = keep(parser, key->key.ec.q, key->key.ec.qlen);
        break;
    default:
        parser->at = begin;
        return false;
    }
    return true;
}

static bool is_certificate(const char *name)
{
    return strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "X509 CERTIFICATE") == 0;
}

/* Decodes all of `pem` into `trust`. False with a reason when the text is not PEM or too much. */
static bool parse(struct tls_trust *trust, struct slice pem, struct tls_trust_report *report)
{
    struct parser parser = {0};
    br_pem_decoder_context decoder;
    bool is_reading = false;
    bool is_empty = pem.len == 0;

    parser.at = (char *)(trust->anchors + TLS_ANCHORS_MAX);
    parser.end = (char *)trust + trust->map_size;
    br_pem_decoder_init(&decoder);
    while (pem.len > 0) {
        size_t taken = br_pem_decoder_push(&decoder, pem.ptr, pem.len);

        pem = slice_skip(pem, taken);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            is_reading = is_certificate(br_pem_decoder_name(&decoder));
            parser.dn = (unsigned char *)parser.at;
            parser.dn_len = 0;
            parser.is_bad = false;
            br_x509_decoder_init(&parser.decoder, on_dn, &parser);
            br_pem_decoder_setdest(&decoder, is_reading ? on_der : NULL, &parser);
            break;
        case BR_PEM_END_OBJ:
            if (is_reading) {
                if (trust->count == TLS_ANCHORS_MAX) {
                    say(report, "too many certificates", NULL);
                    return false;
                }
                if (take_anchor(&parser, &trust->anchors[trust->count]))
                    trust->count++;
                else
                    report->skipped++;
            }
            is_reading = false;
            break;
        case BR_PEM_ERROR:
            say(report, "malformed PEM", NULL);
            return false;
        default:
            break;
        }
    }
    if (is_reading) {
        say(report, "the last certificate is cut off", NULL);
        return false;
    }
    check(!parser.is_full); /* what is kept of a certificate is less than its text */
    report->anchors = trust->count;
    if (trust->count == 0 && !is_empty) {
        say(report, "no usable certificate in it", NULL);
        return false;
    }
    return true;
}

struct tls_trust *tls_trust_parse(struct slice pem, struct tls_trust_report *report)
{
    static _Atomic uint64_t serials;
    size_t size = PAGE + TLS_ANCHORS_MAX * sizeof(br_x509_trust_anchor) + pem.len + PAGE;
    struct tls_trust *trust;

    report->reason[0] = '\0';
    report->anchors = 0;
    report->skipped = 0;
    size = (size + PAGE - 1) / PAGE * PAGE;
    trust = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    if (trust == MAP_FAILED) {
        say(report, "out of memory", NULL);
        return NULL;
    }
    trust->map_size = size;
    trust->anchors = (br_x509_trust_anchor *)(void *)((char *)trust + PAGE);
    atomic_init(&trust->refs, 1);
    trust->serial = atomic_fetch_add(&serials, 1) + 1;
    if (!parse(trust, pem, report)) {
        check(munmap(trust, size) == 0);
        return NULL;
    }
    check(mprotect((char *)trust + PAGE, size - PAGE, PROT_READ) == 0);
    return trust;
}

/* --- files --- */

static struct tls_trust *load(const char *path, struct tls_trust_report *report)
{
    struct tls_trust *trust = NULL;
    struct stat stat;
    char *text;
    int fd;

    name_path(report, path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        say(report, "cannot open", strerror(errno));
        return NULL;
    }
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        say(report, "not a regular file", NULL);
        goto done;
    }
    if (stat.st_size == 0) {
        say(report, "the file is empty", NULL);
        goto done;
    }
    if (stat.st_size > (off_t)TLS_CA_FILE_BYTES_MAX) {
        say(report, "larger than 16 MiB", NULL);
        goto done;
    }
    text = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    if (text == MAP_FAILED) {
        say(report, "out of memory", NULL);
        goto done;
    }
    /* Read, not mapped: a file cut short under a mapping would be a SIGBUS. */
    size_t len = 0;
    ssize_t got = 0;

    while (len < (size_t)stat.st_size &&
           (got = read(fd, text + len, (size_t)stat.st_size - len)) > 0)
        len += (size_t)got;
    if (got < 0)
        say(report, "cannot read", strerror(errno));
    else
        trust = tls_trust_parse(slice_of(text, len), report);
    check(munmap(text, (size_t)stat.st_size) == 0);
done:
    (void)close(fd);
    return trust;
}

struct tls_trust *tls_trust_load(const char *ca_file, struct tls_trust_report *report)
{
    *report = (struct tls_trust_report){0};
    if (ca_file != NULL && ca_file[0] != '\0')
        return load(ca_file, report);
    ca_file = getenv("SSL_CERT_FILE");
    if (ca_file != NULL && ca_file[0] != '\0')
        return load(ca_file, report);
    for (size_t i = 0; i < array_count(usual_paths); i++) {
        if (access(usual_paths[i], F_OK) == 0)
            return load(usual_paths[i], report);
    }
    name_path(report, usual_paths[0]);
    say(report,
        "no CA bundle in any of the usual places; install ca-certificates or set tls.ca_file",
        NULL);
    return NULL;
}

/* --- use --- */

struct tls_trust *tls_trust_ref(struct tls_trust *trust)
{
    check(atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed) > 0);
    return trust;
}

void tls_trust_unref(struct tls_trust *trust)
{
    uint32_t before;

    if (trust == NULL)
        return;
    before = atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel);
    check(before > 0);
    if (before == 1)
        check(munmap(trust, trust->map_size) == 0);
}

uint32_t tls_trust_count(const struct tls_trust *trust)
{
    return trust->count;
}

const br_x509_trust_anchor *tls_trust_anchors(const struct tls_trust *trust)
{
    return trust->anchors;
}

uint64_t tls_trust_serial(const struct tls_trust *trust)
{
    return trust->serial;
}
