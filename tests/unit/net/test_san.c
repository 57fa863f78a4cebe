/* The strict reader of certificates. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_server.h"
#include "r2a/core/base64.h"
#include "src/net/san.h"
#include "support/guard.h"
#include "support/vectors.h"

/* The first certificate of a PEM file, ending at a guard page. */
static struct slice der_of(const char *name)
{
    size_t len;
    char *pem = file_read(cert_path(name), &len);
    char *text;
    char *end;
    size_t count = 0;
    unsigned char der[4096];
    size_t der_len;

    cr_assert_not_null(pem);
    text = strstr(pem, "-----BEGIN CERTIFICATE-----") + 27;
    end = strstr(text, "-----END");
    for (char *at = text; at < end; at++) {
        if (*at != '\n')
            text[count++] = *at;
    }
    cr_assert(base64_decode(der, slice_of(text, count), BASE64_PADDED, &der_len));
    free(pem);
    return slice_of(guard_copy((char *)der, der_len), der_len);
}

Test(san, views_real_certificates)
{
    certs_or_skip();
    struct san_view view;

    cr_assert(san_view(der_of("good.pem"), &view));
    cr_assert(view.has_names);
    cr_assert_not(slice_eq(view.issuer, view.subject));
    cr_assert_lt(view.not_before_ms, test_wall_ms() + 1000);
    cr_assert_gt(view.not_after_ms, test_wall_ms() + 300ll * 86400 * 1000);
    cr_assert(san_view(der_of("good-rsa.pem"), &view));
    cr_assert(san_view(der_of("ed25519-key.pem"), &view));
    cr_assert(san_view(der_of("self-signed.pem"), &view));
    cr_assert(slice_eq(view.issuer, view.subject));
    cr_assert(san_view(der_of("name-in-cn.pem"), &view));
    cr_assert_not(view.has_names);
    cr_assert(san_view(der_of("expired.pem"), &view));
    cr_assert_eq(view.not_before_ms, 1577836800000); /* 2020-01-01 */
    cr_assert_eq(view.not_after_ms, 1609459200000);
    cr_assert(san_view(der_of("future.pem"), &view));
    cr_assert_eq(view.not_after_ms, 3818448000000); /* 2091-01-01, as GeneralizedTime */
}

Test(san, finds_addresses)
{
    certs_or_skip();
    struct san_view view;
    uint8_t v6[16] = {[15] = 1};

    cr_assert(san_view(der_of("good-ip.pem"), &view));
    cr_assert(san_has_ip(view.names, (const uint8_t *)"\x7f\0\0\1", 4));
    cr_assert(san_has_ip(view.names, (const uint8_t *)"\xc0\0\2\7", 4));
    cr_assert(san_has_ip(view.names, v6, 16));
    cr_assert_not(san_has_ip(view.names, (const uint8_t *)"\x7f\0\0\2", 4));
    v6[15] = 2;
    cr_assert_not(san_has_ip(view.names, v6, 16));
    cr_assert(san_view(der_of("good.pem"), &view));
    cr_assert_not(san_has_ip(view.names, v6, 16));
}

Test(san, every_truncation_and_every_lengthening_is_malformed)
{
    certs_or_skip();
    struct slice der = der_of("good-ip.pem");
    struct san_view view;
    char more[4096];

    for (size_t len = 0; len < der.len; len++) {
        const char *copy = guard_copy(der.ptr, len);

        cr_assert_not(san_view(slice_of(copy, len), &view), "%zu", len);
        guard_free(copy, len);
    }
    memcpy(more, der.ptr, der.len);
    more[der.len] = 0;
    cr_assert_not(san_view(slice_of(more, der.len + 1), &view));
}

Test(san, changed_bytes_never_harm)
{
    certs_or_skip();
    struct slice der = der_of("good-ip.pem");
    char *copy = guard_take(der.len);

    memcpy(copy, der.ptr, der.len);
    for (size_t i = 0; i < der.len; i++) {
        for (unsigned value = 0; value < 256; value += 3) {
            struct san_view view;
            char before = copy[i];

            copy[i] = (char)value;
            if (san_view(slice_of(copy, der.len), &view))
                (void)san_has_ip(view.names, (const uint8_t *)"\x7f\0\0\1", 4);
            copy[i] = before;
        }
    }
}

static bool has(const char *names, size_t len, const char *ip, size_t ip_len)
{
    const char *copy = guard_copy(names, len);
    bool found = san_has_ip(slice_of(copy, len), (const uint8_t *)ip, ip_len);

    guard_free(copy, len);
    return found;
}

#define NAMES(bytes) (bytes), sizeof(bytes) - 1

Test(san, one_malformed_name_spoils_the_list)
{
    cr_assert(has(NAMES("\x87\4\1\2\3\4"), "\1\2\3\4", 4));
    cr_assert(has(NAMES("\x82\1a\x87\4\1\2\3\4\xa4\0\x86\2ab"), "\1\2\3\4", 4));
    cr_assert_not(has(NAMES("\x82\4\1\2\3\4"), "\1\2\3\4", 4), "a DNS name of these bytes");
    cr_assert_not(has(NAMES("\x87\4\1\2\3\4\x87\3\1\2\3"), "\1\2\3\4", 4), "three bytes");
    cr_assert_not(has(NAMES("\x87\4\1\2\3\4\x87\x08\1\2\3\4\xff\xff\xff\xff"), "\1\2\3\4", 4),
                  "a range, as name constraints have it");
    cr_assert_not(has(NAMES("\x87\4\1\2\3\4\x82\5abc"), "\1\2\3\4", 4), "runs out");
    cr_assert_not(has(NAMES("\x87\x81\4\1\2\3\4"), "\1\2\3\4", 4), "a length too long for DER");
    cr_assert_not(has(NAMES("\x87\x80\1\2\3\4\0\0"), "\1\2\3\4", 4), "indefinite");
    cr_assert_not(has(NAMES("\x04\4\1\2\3\4\x87\4\1\2\3\4"), "\1\2\3\4", 4), "not a GeneralName");
    cr_assert_not(has(NAMES("\x89\0\x87\4\1\2\3\4"), "\1\2\3\4", 4), "[9] does not exist");
    cr_assert_not(has(NAMES("\x9f\x07\4\1\2\3\4"), "\1\2\3\4", 4), "a long tag");
    cr_assert_not(has(NAMES("\x87"), "\1\2\3\4", 4));
    cr_assert_not(has("", 0, "\1\2\3\4", 4));
}

/* The smallest certificate: made of parts, one of which may be replaced. */
static bool views(const char *times, size_t times_len, const char *extensions,
                  size_t extensions_len, struct san_view *view)
{
    char tbs[512];
    char all[600];
    size_t len = 0;
    size_t at = 0;

#define ADD(bytes, n) (memcpy(tbs + len, (bytes), (n)), len += (n))
    ADD("\xa0\3\2\1\2\2\1\1\x30\0\x30\0", 12); /* version, serial, algorithm, issuer */
    tbs[len++] = 0x30;
    tbs[len++] = (char)times_len;
    ADD(times, times_len);
    ADD("\x30\0\x30\0", 4); /* subject, key */
    ADD(extensions, extensions_len);
#undef ADD
    cr_assert_lt(len, 120);
    all[at++] = 0x30;
    all[at++] = (char)(len + 2 + 2 + 3);
    all[at++] = 0x30;
    all[at++] = (char)len;
    memcpy(all + at, tbs, len);
    at += len;
    memcpy(all + at, "\x30\0\3\1\0", 5);
    at += 5;
    return san_view(slice_of(guard_copy(all, at), at), view);
}

#define TIMES       \
    "\x17\x0d"      \
    "260101000000Z" \
    "\x17\x0d"      \
    "270101000000Z"
#define SAN_EXTENSION "\x30\x0f\6\3\x55\x1d\x11\4\x08\x30\6\x87\4\1\2\3\4"

Test(san, extensions)
{
    struct san_view view;

    cr_assert(views(NAMES(TIMES), "", 0, &view));
    cr_assert_not(view.has_names);
    cr_assert_eq(view.not_before_ms, 1767225600000);
    cr_assert(views(NAMES(TIMES), NAMES("\xa3\x13\x30\x11" SAN_EXTENSION), &view));
    cr_assert(view.has_names);
    cr_assert(san_has_ip(view.names, (const uint8_t *)"\1\2\3\4", 4));
    cr_assert_not(views(NAMES(TIMES), NAMES("\xa3\x24\x30\x22" SAN_EXTENSION SAN_EXTENSION), &view),
                  "twice");
    cr_assert_not(views(NAMES(TIMES), NAMES("\xa3\x14\x30\x11" SAN_EXTENSION "\0"), &view));
    cr_assert_not(views(NAMES(TIMES), NAMES("\xa3\x13\x30\x11" SAN_EXTENSION "\5\0"), &view),
                  "something behind the extensions");
}

Test(san, times)
{
    struct san_view view;

    cr_assert(views(NAMES("\x17\x0d"
                          "491231235959Z"
                          "\x18\x0f"
                          "20500101000000Z"),
                    "", 0, &view));
    cr_assert_eq(view.not_before_ms, 2524607999000);
    cr_assert_eq(view.not_after_ms, 2524608000000);
    cr_assert(views(NAMES("\x17\x0d"
                          "500101000000Z"
                          "\x18\x0f"
                          "99991231235959Z"),
                    "", 0, &view));
    cr_assert_eq(view.not_before_ms, 0, "1950");
    cr_assert(views(NAMES("\x17\x0d"
                          "240229000000Z"
                          "\x17\x0d"
                          "270101000000Z"),
                    "", 0, &view));
    cr_assert_not(views(NAMES("\x17\x0d"
                              "250229000000Z"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
    cr_assert_not(views(NAMES("\x17\x0d"
                              "251301000000Z"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
    cr_assert_not(views(NAMES("\x17\x0d"
                              "2501010000000"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
    cr_assert_not(views(NAMES("\x17\x0b"
                              "2501010000Z"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
    cr_assert_not(views(NAMES("\x16\x0d"
                              "250101000000Z"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
    cr_assert_not(views(NAMES("\x17\x0d"
                              "25-101000000Z"
                              "\x17\x0d"
                              "270101000000Z"),
                        "", 0, &view));
}
