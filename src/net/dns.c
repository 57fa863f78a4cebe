/* The message codec of the stub resolver. Input comes from whoever can reach our port: nothing is
 * believed before id and question match, and no length or pointer is followed unchecked. */
#include "dns.h"

#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"

#define HEADER_BYTES   12u
#define LABEL_MAX      63u
#define WIRE_NAME_MAX  255u /* with the root's zero byte: RFC 1035 3.1 */
#define CLASS_IN       1u
#define TYPE_CNAME     5u
#define TYPE_SOA       6u
#define TYPE_OPT       41u
#define EDNS_UDP_BYTES 1232u /* fits every path's packet: the value of DNS flag day 2020 */

#define FLAG_ANSWER    0x8000u
#define MASK_OPCODE    0x7800u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSE   0x0100u
#define MASK_RCODE     0x000fu
#define RCODE_NO_NAME  3u

/* --- writing --- */

static unsigned char *put16(unsigned char *to, unsigned value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
    return to + 2;
}

size_t dns_write_query(unsigned char to[DNS_QUERY_BYTES_MAX], uint16_t id, struct slice name,
                       uint16_t type, bool has_edns)
{
    unsigned char *at = to;

    check(resolve_name_is_valid(name));
    if (name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > WIRE_NAME_MAX - 2)
        return 0;
    at = put16(at, id);
    at = put16(at, FLAG_RECURSE);
    at = put16(at, 1);
    at = put16(at, 0);
    at = put16(at, 0);
    at = put16(at, has_edns ? 1 : 0);
    while (name.ptr != NULL) {
        struct slice label;

        check(str_split(&name, '.', &label));
        check(label.len > 0 && label.len <= LABEL_MAX);
        *at++ = (unsigned char)label.len;
        memcpy(at, label.ptr, label.len);
        at += label.len;
    }
    *at++ = 0;
    at = put16(at, type);
    at = put16(at, CLASS_IN);
    if (has_edns) {
        *at++ = 0;
        at = put16(at, TYPE_OPT);
        at = put16(at, EDNS_UDP_BYTES);
        at = put16(at, 0);
        at = put16(at, 0);
        at = put16(at, 0);
    }
    return (size_t)(at - to);
}

/* --- reading --- */

struct reader {
    const unsigned char *bytes;
    size_t len;
    size_t at;
};

/* A name as text, lower case, labels joined by dots; labels may hold any byte on the wire, and ones
 * that hold a dot or are not letters, digits, '-' or '_' make the name equal to nothing. */
struct wire_name {
    uint8_t len;
    bool is_odd;
    char text[WIRE_NAME_MAX];
};

static bool read16(struct reader *reader, uint16_t *value)
{
    if (reader->len - reader->at < 2)
        return false;
    *value = (uint16_t)(reader->bytes[reader->at] << 8 | reader->bytes[reader->at + 1]);
    reader->at += 2;
    return true;
}

static bool read32(struct reader *reader, uint32_t *value)
{
    uint16_t high;
    uint16_t low;

    if (!read16(reader, &high) || !read16(reader, &low))
        return false;
    *value = (uint32_t)high << 16 | low;
    return true;
}

static void add_label(struct wire_name *name, const unsigned char *label, size_t len)
{
    if (name->len > 0)
        name->text[name->len++] = '.';
    for (size_t i = 0; i < len; i++) {
        char c = (char)label[i];

        if (!char_is_alnum(c) && c != '-' && c != '_')
            name->is_odd = true;
        name->text[name->len++] = char_to_lower(c);
    }
}

/* Reads a name at the reader's place and moves behind it. Each pointer must lead to before the
 * place where the labels it ends began (RFC 1035 4.1.4: "a prior occurrence"), so that every chain
 * of them is finite. */
static bool read_name(struct reader *reader, struct wire_name *name)
{
    size_t at = reader->at;
    size_t begin = at; /* of the run of labels being read */
    size_t end = 0;    /* where the reader goes on, once a pointer was met */
    size_t wire_len = 1;

    name->len = 0;
    name->is_odd = false;
    for (;;) {
        unsigned octet;

        if (at >= reader->len)
            return false;
        octet = reader->bytes[at++];
        if (octet == 0)
            break;
        if ((octet & 0xc0u) == 0xc0u) {
            size_t target;

            if (at >= reader->len)
                return false;
            target = (octet & 0x3fu) << 8 | reader->bytes[at++];
            if (end == 0)
                end = at;
            if (target >= begin || target < HEADER_BYTES)
                return false;
            at = target;
            begin = target;
            continue;
        }
        if (octet > LABEL_MAX) /* 01 and 10: never came into use */
            return false;
        if (reader->len - at < octet)
            return false;
        wire_len += 1 + octet;
        if (wire_len > WIRE_NAME_MAX)
            return false;
        add_label(name, reader->bytes + at, octet);
        at += octet;
    }
    reader->at = end != 0 ? end : at;
    return true;
}

static bool name_eq(const struct wire_name *a, const struct wire_name *b)
{
    return !a->is_odd && !b->is_odd && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

struct record {
    struct wire_name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl_s;
    size_t data_at;
    size_t data_len;
};

static bool read_record(struct reader *reader, struct record *record)
{
    uint16_t len;

    if (!read_name(reader, &record->owner) || !read16(reader, &record->type) ||
        !read16(reader, &record->class) || !read32(reader, &record->ttl_s) || !read16(reader, &len))
        return false;
    if (reader->len - reader->at < len)
        return false;
    if (record->ttl_s > INT32_MAX) /* RFC 2181 8 */
        record->ttl_s = 0;
    record->data_at = reader->at;
    record->data_len = len;
    reader->at += len;
    return true;
}

static void lower_ttl(uint32_t *ttl_s, uint32_t value)
{
    if (value < *ttl_s)
        *ttl_s = value;
}

static void take_address(struct dns_answer *answer, const struct reader *reader,
                         const struct record *record)
{
    struct ip_addr addr = {.len = (uint8_t)record->data_len};

    memcpy(addr.bytes, reader->bytes + record->data_at, record->data_len);
    for (size_t i = 0; i < answer->count; i++) {
        if (ip_addr_eq(&answer->addrs[i], &addr))
            return;
    }
    if (answer->count < RESOLVE_ADDRS_MAX)
        answer->addrs[answer->count++] = addr;
}

/* One pass over the answers for what `current` owns: addresses are taken, an alias is noted. False
 * when a record is malformed. */
static bool scan_answers(struct reader reader, uint16_t records, uint16_t type,
                         const struct wire_name *current, struct wire_name *alias, bool *has_alias,
                         struct dns_answer *answer)
{
    *has_alias = false;
    for (uint16_t i = 0; i < records; i++) {
        struct record record;

        if (!read_record(&reader, &record))
            return false;
        if (record.class != CLASS_IN || !name_eq(&record.owner, current))
            continue;
        if (record.type == type) {
            if (record.data_len != (type == DNS_A ? 4u : 16u))
                return false;
            lower_ttl(&answer->ttl_s, record.ttl_s);
            take_address(answer, &reader, &record);
        } else if (record.type == TYPE_CNAME && !*has_alias) {
            struct reader inner = reader;

            inner.at = record.data_at;
            if (!read_name(&inner, alias) || inner.at != record.data_at + record.data_len)
                return false;
            lower_ttl(&answer->ttl_s, record.ttl_s);
            *has_alias = true;
        }
    }
    return true;
}

/* How long a denial holds: the lesser of the SOA's own TTL and its last field (RFC 2308 5). */
static uint32_t denial_ttl(struct reader reader, uint16_t answers, uint16_t authorities)
{
    struct record record;

    for (uint32_t i = 0; i < (uint32_t)answers + authorities; i++) {
        if (!read_record(&reader, &record))
            return 0;
        if (i >= answers && record.type == TYPE_SOA && record.class == CLASS_IN) {
            struct reader inner = reader;
            struct wire_name name;
            uint32_t value = 0;

            inner.at = record.data_at;
            if (!read_name(&inner, &name) || !read_name(&inner, &name))
                return 0;
            for (int field = 0; field < 5; field++) {
                if (!read32(&inner, &value))
                    return 0;
            }
            if (inner.at != record.data_at + record.data_len)
                return 0;
            return value < record.ttl_s ? value : record.ttl_s;
        }
    }
    return 0;
}

static void text_name(struct wire_name *name, struct slice text)
{
    name->len = 0;
    name->is_odd = false;
    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    check(text.len <= RESOLVE_NAME_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++)
        name->text[name->len++] = char_to_lower(text.ptr[i]);
}

void dns_read_answer(struct slice message, uint16_t id, struct slice name, uint16_t type,
                     struct dns_answer *answer)
{
    struct reader reader = {(const unsigned char *)message.ptr, message.len, 0};
    struct wire_name current;
    struct wire_name asked;
    uint16_t words[6] = {0};
    uint16_t asked_type;
    uint16_t asked_class;

    check(type == DNS_A || type == DNS_AAAA);
    *answer = (struct dns_answer){.verdict = DNS_FOREIGN, .ttl_s = UINT32_MAX};
    for (size_t i = 0; i < 6; i++) {
        if (!read16(&reader, &words[i]))
            return;
    }
    if (words[0] != id || (words[1] & FLAG_ANSWER) == 0 || (words[1] & MASK_OPCODE) != 0)
        return;
    answer->rcode = words[1] & MASK_RCODE;
    if (words[2] == 0 && answer->rcode != 0 && answer->rcode != RCODE_NO_NAME) {
        /* Some servers refuse without repeating the question: the id must do. */
        answer->verdict = DNS_FAILURE;
        return;
    }
    if (words[2] != 1 || !read_name(&reader, &asked) || !read16(&reader, &asked_type) ||
        !read16(&reader, &asked_class))
        return;
    text_name(&current, name);
    if (!name_eq(&asked, &current) || asked_type != type || asked_class != CLASS_IN)
        return;

    /* From here on it is the answer, good or bad. */
    answer->verdict = DNS_FAILURE;
    if ((words[1] & FLAG_TRUNCATED) != 0) {
        answer->verdict = DNS_IS_TRUNCATED;
        return;
    }
    if (answer->rcode != 0 && answer->rcode != RCODE_NO_NAME)
        return;
    for (unsigned aliases = 0;; aliases++) {
        struct wire_name alias;
        bool has_alias;

        if (!scan_answers(reader, words[3], type, &current, &alias, &has_alias, answer)) {
            answer->count = 0;
            return;
        }
        if (answer->count > 0) {
            answer->verdict = DNS_ADDRESSES;
            return;
        }
        if (!has_alias)
            break;
        if (aliases == DNS_CNAMES_MAX)
            return;
        current = alias;
    }
    answer->verdict = answer->rcode == RCODE_NO_NAME ? DNS_NO_NAME : DNS_NO_DATA;
    answer->ttl_s = denial_ttl(reader, words[3], words[4]);
}
