/* CA bundles, good and bad. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls_server.h"
#include "src/net/tls_state.h"
#include "support/vectors.h"

static struct tls_trust *parse(const char *text, struct tls_trust_report *report)
{
    memset(report, 0, sizeof(*report));
    return tls_trust_parse(slice_from_z(text), report);
}

Test(tls_trust, loads_a_bundle_and_skips_what_cannot_be_an_anchor)
{
    certs_or_skip();
    struct tls_trust_report report;
    struct tls_trust *trust = tls_trust_load(cert_path("trust.pem"), &report);

    cr_assert_not_null(trust, "%s", report.reason);
    cr_assert_eq(tls_trust_count(trust), 3);
    cr_assert_eq(report.anchors, 3);
    cr_assert_eq(report.skipped, 1, "the key of 4608 bits");
    cr_assert_str_eq(report.reason, "");
    cr_assert_str_eq(report.path, cert_path("trust.pem"));
    for (size_t i = 0; i < 3; i++) {
        const br_x509_trust_anchor *anchor = &tls_trust_anchors(trust)[i];

        cr_assert_gt(anchor->dn.len, 10);
        cr_assert_eq(anchor->dn.data[0], 0x30);
        cr_assert_eq(anchor->flags, BR_X509_TA_CA);
    }
    tls_trust_ref(trust);
    tls_trust_unref(trust);
    cr_assert_eq(tls_trust_count(trust), 3);
    tls_trust_unref(trust);
    tls_trust_unref(NULL);
}

Test(tls_trust, loads_the_systems_bundle)
{
    struct tls_trust_report report;
    struct tls_trust *trust;

    unsetenv("SSL_CERT_FILE");
    trust = tls_trust_load(NULL, &report);
    if (trust == NULL)
        cr_skip_test("no CA bundle on this system");
    cr_assert_gt(tls_trust_count(trust), 20);
    tls_trust_unref(trust);
}

Test(tls_trust, ssl_cert_file_comes_before_the_usual_places)
{
    certs_or_skip();
    struct tls_trust_report report;
    struct tls_trust *trust;

    setenv("SSL_CERT_FILE", cert_path("ec.pem"), 1);
    trust = tls_trust_load("", &report);
    cr_assert_not_null(trust);
    cr_assert_eq(tls_trust_count(trust), 1);
    tls_trust_unref(trust);
    trust = tls_trust_load(cert_path("trust.pem"), &report);
    cr_assert_eq(tls_trust_count(trust), 3, "a named file comes before it");
    tls_trust_unref(trust);
    setenv("SSL_CERT_FILE", "/nowhere/at/all.pem", 1);
    cr_assert_null(tls_trust_load(NULL, &report), "and is not passed over when it is wrong");
    cr_assert_str_eq(report.path, "/nowhere/at/all.pem");
    cr_assert_str_eq(report.reason, "cannot open: No such file or directory");
}

Test(tls_trust, says_what_is_wrong_with_a_file)
{
    certs_or_skip();
    struct tls_trust_report report;
    char path[] = "/tmp/r2a-trust.XXXXXX";
    int fd = mkstemp(path);
    size_t len;
    char *pem = file_read(cert_path("ec.pem"), &len);

    cr_assert_null(tls_trust_load("/tmp", &report));
    cr_assert_str_eq(report.reason, "not a regular file");
    cr_assert_null(tls_trust_load(path, &report));
    cr_assert_str_eq(report.reason, "the file is empty");
    cr_assert_null(parse("no certificate here\n", &report));
    cr_assert_str_eq(report.reason, "no usable certificate in it");
    cr_assert_null(
        parse("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", &report));
    cr_assert_str_eq(report.reason, "malformed PEM");
    cr_assert_null(
        parse("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", &report));
    cr_assert_str_eq(report.reason, "no usable certificate in it");
    cr_assert_eq(report.skipped, 1);
    pem[len / 2] = '\0';
    cr_assert_null(parse(pem, &report));
    cr_assert_str_eq(report.reason, "the last certificate is cut off");
    free(pem);
    close(fd);
    unlink(path);
}

Test(tls_trust, an_empty_set_trusts_nobody)
{
    certs_or_skip();
    struct tls_trust_report report;
    struct tls_trust *trust = parse("", &report);
    struct tls_env_cfg cfg = {.trust = trust, .slots_max = 1};
    struct tls_env *env;
    struct pair *pair;

    cr_assert_not_null(trust, "%s", report.reason);
    env = tls_env_open(&cfg);
    tls_trust_unref(trust);
    pair = pair_new(env, server_new("good"), "localhost");
    cr_assert_eq(pair_shake(pair, SIZE_MAX), TLS_FAILED);
    cr_assert_eq(tls_error(pair->tls), R2A_ERR_TLS_UNKNOWN_ISSUER);
    pair_free(pair);
    tls_env_close(env);
}

Test(tls_trust, other_things_in_the_file_are_passed_over)
{
    certs_or_skip();
    struct tls_trust_report report;
    struct tls_trust *trust;
    size_t len;
    size_t key_len;
    char *pem = file_read(cert_path("ec.pem"), &len);
    char *key = file_read(cert_path("ec.key"), &key_len);
    char text[16384];

    snprintf(text, sizeof(text), "# EC\nsubject = x\n%s\ncomment\n%s%s", key, pem, pem);
    trust = parse(text, &report);
    cr_assert_not_null(trust, "%s", report.reason);
    cr_assert_eq(report.anchors, 2);
    tls_trust_unref(trust);
    free(pem);
    free(key);
}

Test(tls_trust, a_damaged_certificate_never_harms)
{
    certs_or_skip();
    size_t len;
    char *pem = file_read(cert_path("trust.pem"), &len);

    for (size_t i = 0; i < len; i += 13) {
        struct tls_trust_report report;
        char before = pem[i];
        struct tls_trust *trust;

        pem[i] = before == 'A' ? 'B' : 'A';
        trust = parse(pem, &report);
        if (trust != NULL)
            cr_assert_leq(tls_trust_count(trust), 4);
        tls_trust_unref(trust);
        pem[i] = before;
    }
    free(pem);
}
