/* A strict reader of the outer shell of a certificate. Input is a peer's, before anything about it
 * was verified: every length is checked against what encloses it, nothing is copied. */
#include "san.h"

#include <string.h>

#include "r2a/core/date.h"
#include "r2a/core/str.h"

#define TAG_BOOLEAN      0x01u
#define TAG_INTEGER      0x02u
#define TAG_BIT_STRING   0x03u
#define TAG_OCTETS       0x04u
#define TAG_OID          0x06u
#define TAG_UTC_TIME     0x17u
#define TAG_GENERAL_TIME 0x18u
#define TAG_SEQUENCE     0x30u
#define TAG_VERSION      0xa0u /* [0] EXPLICIT */
#define TAG_ISSUER_ID    0x81u /* [1] IMPLICIT BIT STRING */
#define TAG_SUBJECT_ID   0x82u
#define TAG_EXTENSIONS   0xa3u /* [3] EXPLICIT */
#define TAG_IP_ADDRESS   0x87u /* [7] IMPLICIT OCTET STRING */

struct tlv {
    uint8_t tag;
    struct slice value;
};

/* Takes one element off the front. Lengths in DER are as short as can be (X.690 10.1). */
static bool take(struct slice *in, struct tlv *tlv)
{
    const unsigned char *bytes = (const unsigned char *)in->ptr;
    size_t head = 2;
    size_t len;

    if (in->len < 2)
        return false;
    tlv->tag = bytes[0];
    if ((tlv->tag & 0x1fu) == 0x1fu) /* tag numbers above 30 occur nowhere in here */
        return false;
    len = bytes[1];
    if (len >= 0x80) {
        size_t octets = len & 0x7fu;

        if (octets == 0 || octets > 3 || in->len < 2 + octets)
            return false; /* indefinite, or far beyond a certificate's size */
        len = 0;
        for (size_t i = 0; i < octets; i++)
            len = len << 8 | bytes[2 + i];
        if (len < 0x80 || len >> (8 * (octets - 1)) == 0)
            return false;
        head += octets;
    }
    if (in->len - head < len)
        return false;
    tlv->value = slice_of(in->ptr + head, len);
    *in = slice_skip(*in, head + len);
    return true;
}

static bool take_tag(struct slice *in, uint8_t tag, struct slice *value)
{
    struct tlv tlv;

    if (!take(in, &tlv) || tlv.tag != tag)
        return false;
    *value = tlv.value;
    return true;
}

static bool is_next(struct slice in, uint8_t tag)
{
    return in.len > 0 && (uint8_t)in.ptr[0] == tag;
}

static bool digits(const char *from, size_t count, int32_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        if (!char_is_digit(from[i]))
            return false;
        *value = *value * 10 + (from[i] - '0');
    }
    return true;
}

static bool is_leap(int32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* RFC 5280 4.1.2.5: YYMMDDHHMMSSZ until 2049, YYYYMMDDHHMMSSZ from then on. */
static bool take_time(struct slice *in, int64_t *unix_ms)
{
    static const int32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct date date = {0};
    struct tlv tlv;
    size_t year_len;
    const char *at;

    if (!take(in, &tlv))
        return false;
    if (tlv.tag == TAG_UTC_TIME)
        year_len = 2;
    else if (tlv.tag == TAG_GENERAL_TIME)
        year_len = 4;
    else
        return false;
    if (tlv.value.len != year_len + 11 || tlv.value.ptr[year_len + 10] != 'Z')
        return false;
    at = tlv.value.ptr;
    if (!digits(at, year_len, &date.year) || !digits(at + year_len, 2, &date.month) ||
        !digits(at + year_len + 2, 2, &date.day) || !digits(at + year_len + 4, 2, &date.hour) ||
        !digits(at + year_len + 6, 2, &date.minute) || !digits(at + year_len + 8, 2, &date.second))
        return false;
    if (year_len == 2)
        date.year += date.year < 50 ? 2000 : 1900;
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.hour > 23 || date.minute > 59 ||
        date.second > 59)
        return false;
    if (date.day > days[date.month - 1] + (date.month == 2 && is_leap(date.year) ? 1 : 0))
        return false;
    if (date.year < 1970)
        date = (struct date){.year = 1970, .month = 1, .day = 1}; /* long past either way */
    *unix_ms = date_to_ms(&date);
    return true;
}

static bool take_extension(struct slice *in, struct san_view *view)
{
    struct slice extension;
    struct slice oid;
    struct slice value;
    struct slice flag;

    if (!take_tag(in, TAG_SEQUENCE, &extension) || !take_tag(&extension, TAG_OID, &oid))
        return false;
    if (is_next(extension, TAG_BOOLEAN) &&
        (!take_tag(&extension, TAG_BOOLEAN, &flag) || flag.len != 1))
        return false;
    if (!take_tag(&extension, TAG_OCTETS, &value) || extension.len != 0)
        return false;
    if (slice_eq(oid, S("\x55\x1d\x11"))) { /* id-ce-subjectAltName, 2.5.29.17 */
        if (view->has_names)
            return false; /* RFC 5280 4.2: no extension twice */
        if (!take_tag(&value, TAG_SEQUENCE, &view->names) || value.len != 0)
            return false;
        view->has_names = true;
    }
    return true;
}

bool san_view(struct slice der, struct san_view *view)
{
    struct slice certificate;
    struct slice tbs;
    struct slice part;
    struct slice validity;

    *view = (struct san_view){0};
    if (!take_tag(&der, TAG_SEQUENCE, &certificate) || der.len != 0)
        return false;
    if (!take_tag(&certificate, TAG_SEQUENCE, &tbs) ||
        !take_tag(&certificate, TAG_SEQUENCE, &part) ||
        !take_tag(&certificate, TAG_BIT_STRING, &part) || certificate.len != 0)
        return false;
    if (is_next(tbs, TAG_VERSION) && !take_tag(&tbs, TAG_VERSION, &part))
        return false;
    if (!take_tag(&tbs, TAG_INTEGER, &part) ||          /* serial number */
        !take_tag(&tbs, TAG_SEQUENCE, &part) ||         /* signature algorithm */
        !take_tag(&tbs, TAG_SEQUENCE, &view->issuer) || /* Name */
        !take_tag(&tbs, TAG_SEQUENCE, &validity) || !take_tag(&tbs, TAG_SEQUENCE, &view->subject) ||
        !take_tag(&tbs, TAG_SEQUENCE, &part)) /* public key */
        return false;
    if (!take_time(&validity, &view->not_before_ms) || !take_time(&validity, &view->not_after_ms) ||
        validity.len != 0)
        return false;
    if (is_next(tbs, TAG_ISSUER_ID) && !take_tag(&tbs, TAG_ISSUER_ID, &part))
        return false;
    if (is_next(tbs, TAG_SUBJECT_ID) && !take_tag(&tbs, TAG_SUBJECT_ID, &part))
        return false;
    if (tbs.len == 0)
        return true;
    if (!take_tag(&tbs, TAG_EXTENSIONS, &part) || tbs.len != 0)
        return false;

    struct slice extensions;

    if (!take_tag(&part, TAG_SEQUENCE, &extensions) || part.len != 0)
        return false;
    while (extensions.len > 0) {
        if (!take_extension(&extensions, view))
            return false;
    }
    return true;
}

bool san_has_ip(struct slice names, const uint8_t *ip, size_t len)
{
    bool is_found = false;

    while (names.len > 0) {
        struct tlv tlv;

        if (!take(&names, &tlv))
            return false;
        if ((tlv.tag & 0xc0u) != 0x80u || (tlv.tag & 0x1fu) > 8u)
            return false; /* GeneralName is a choice of [0] to [8] */
        if (tlv.tag != TAG_IP_ADDRESS)
            continue;
        if (tlv.value.len != 4 && tlv.value.len != 16)
            return false;
        if (tlv.value.len == len && memcmp(tlv.value.ptr, ip, len) == 0)
            is_found = true;
    }
    return is_found;
}
