/* The DNS message codec. Messages are built by hand, byte for byte. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "src/net/dns.h"
#include "support/guard.h"
#include "support/random.h"

/* A message under construction. */
struct message {
    unsigned char bytes[4096];
    size_t len;
};

static void put(struct message *message, const void *bytes, size_t len)
{
    cr_assert_leq(message->len + len, sizeof(message->bytes));
    memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}

static void put_u16(struct message *message, unsigned value)
{
    unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)value};

    put(message, bytes, 2);
}

static void put_u32(struct message *message, uint32_t value)
{
    put_u16(message, value >> 16);
    put_u16(message, value & 0xffff);
}

/* Header of an answer with one question for api.example A at offset 12. */
static struct message begin(unsigned flags, unsigned answers, unsigned authorities)
{
    struct message message = {.len = 0};

    put_u16(&message, 0x1234);
    put_u16(&message, 0x8180 | flags);
    put_u16(&message, 1);
    put_u16(&message, answers);
    put_u16(&message, authorities);
    put_u16(&message, 0);
    put(&message, "\3api\7example\0", 13);
    put_u16(&message, DNS_A);
    put_u16(&message, 1);
    return message;
}

static void put_record(struct message *message, const void *owner, size_t owner_len, unsigned type,
                       uint32_t ttl, const void *data, size_t len)
{
    put(message, owner, owner_len);
    put_u16(message, type);
    put_u16(message, 1);
    put_u32(message, ttl);
    put_u16(message, (unsigned)len);
    put(message, data, len);
}

static struct dns_answer read_as(const struct message *message, const char *name, uint16_t type)
{
    struct dns_answer answer;
    const char *copy = guard_copy((const char *)message->bytes, message->len);

    dns_read_answer(slice_of(copy, message->len), 0x1234, slice_from_z(name), type, &answer);
    guard_free(copy, message->len);
    return answer;
}

static struct dns_answer read_it(const struct message *message)
{
    return read_as(message, "api.example", DNS_A);
}

#define OWNER "\xc0\x0c" /* the question's name */

Test(dns, writes_a_query)
{
    unsigned char query[DNS_QUERY_BYTES_MAX];
    static const char expected[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                                   "\3api\7example\0\x00\x1c\x00\x01";

    cr_assert_eq(dns_write_query(query, 0x1234, S("api.example"), DNS_AAAA, false),
                 sizeof(expected) - 1);
    cr_assert_arr_eq(query, expected, sizeof(expected) - 1);
    cr_assert_eq(dns_write_query(query, 0x1234, S("api.example."), DNS_AAAA, false),
                 sizeof(expected) - 1);
    cr_assert_arr_eq(query, expected, sizeof(expected) - 1);
    cr_assert_eq(dns_write_query(query, 1, S("api.example"), DNS_A, true),
                 sizeof(expected) - 1 + 11);
    cr_assert_eq(query[11], 1);
}

Test(dns, writes_the_longest_name)
{
    unsigned char query[DNS_QUERY_BYTES_MAX];
    char name[253];

    memset(name, 'a', sizeof(name));
    for (size_t i = 63; i < sizeof(name); i += 64)
        name[i] = '.';
    cr_assert_eq(dns_write_query(query, 1, slice_of(name, sizeof(name)), DNS_A, true),
                 DNS_QUERY_BYTES_MAX);
}

Test(dns, reads_addresses)
{
    struct message message = begin(0, 3, 0);
    struct dns_answer answer;

    put_record(&message, OWNER, 2, 1, 300, "\xc0\x00\x02\x01", 4);
    put_record(&message, "\3API\7eXample\0", 13, 1, 60, "\xc0\x00\x02\x02", 4);
    put_record(&message, OWNER, 2, 1, 300, "\xc0\x00\x02\x01", 4);
    answer = read_it(&message);
    cr_assert_eq(answer.verdict, DNS_ADDRESSES);
    cr_assert_eq(answer.count, 2, "the same address twice is one");
    cr_assert_eq(answer.ttl_s, 60, "the least");
    cr_assert_arr_eq(answer.addrs[1].bytes, "\xc0\x00\x02\x02", 4);
    cr_assert_eq(read_as(&message, "API.example.", DNS_A).verdict, DNS_ADDRESSES);
}

Test(dns, follows_aliases_in_any_order)
{
    struct message message = begin(0, 3, 0);
    size_t cdn;

    /* address first, then cdn.api.example -> edge.api.example, then the name itself */
    put_record(&message, "\4edge\xc0\x0c", 7, 1, 50, "\x01\x02\x03\x04", 4);
    cdn = message.len;
    put_record(&message, "\3cdn\xc0\x0c", 6, 5, 40, "\4edge\xc0\x0c", 7);
    char target[2] = {(char)(0xc0 | cdn >> 8), (char)cdn};

    put_record(&message, OWNER, 2, 5, 900, target, 2);

    struct dns_answer answer = read_it(&message);

    cr_assert_eq(answer.verdict, DNS_ADDRESSES);
    cr_assert_eq(answer.count, 1);
    cr_assert_eq(answer.ttl_s, 40);
}

Test(dns, does_not_follow_aliases_in_circles)
{
    struct message message = begin(0, 2, 0);

    put_record(&message, OWNER, 2, 5, 1, "\1b\xc0\x0c", 4);
    put_record(&message, "\1b\xc0\x0c", 4, 5, 1, OWNER, 2);
    cr_assert_eq(read_it(&message).verdict, DNS_FAILURE);
}

Test(dns, an_alias_without_an_address_is_no_data)
{
    struct message message = begin(0, 1, 0);

    put_record(&message, OWNER, 2, 5, 1, "\1b\xc0\x0c", 4);
    cr_assert_eq(read_it(&message).verdict, DNS_NO_DATA);
}

Test(dns, ignores_records_of_others)
{
    struct message message = begin(0, 3, 0);

    put_record(&message, "\4evil\7example\0", 14, 1, 300, "\x06\x06\x06\x06", 4);
    put_record(&message, OWNER, 2, 28, 300, "0123456789abcdef", 16);
    put(&message, OWNER, 2); /* of another class */
    put_u16(&message, 1);
    put_u16(&message, 3);
    put_u32(&message, 1);
    put_u16(&message, 4);
    put(&message, "\x06\x06\x06\x06", 4);
    cr_assert_eq(read_it(&message).verdict, DNS_NO_DATA);
}

Test(dns, believes_only_the_answer_to_its_question)
{
    struct message good = begin(0, 1, 0);
    struct message bad;
    struct dns_answer answer;

    put_record(&good, OWNER, 2, 1, 300, "\xc0\x00\x02\x01", 4);
    cr_assert_eq(read_it(&good).verdict, DNS_ADDRESSES);

    bad = good;
    bad.bytes[1] ^= 1; /* id */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[2] &= 0x7f; /* a question */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[2] |= 0x28; /* opcode */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[5] = 2; /* two questions */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[14] = 'q'; /* name */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[26] = 2; /* type */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    bad = good;
    bad.bytes[28] = 3; /* class */
    cr_expect_eq(read_it(&bad).verdict, DNS_FOREIGN);
    cr_expect_eq(read_as(&good, "api.example.org", DNS_A).verdict, DNS_FOREIGN);
    cr_expect_eq(read_as(&good, "api.example", DNS_AAAA).verdict, DNS_FOREIGN);
    dns_read_answer((struct slice){0}, 0, S("a"), DNS_A, &answer);
    cr_expect_eq(answer.verdict, DNS_FOREIGN);
}

Test(dns, tells_denials_from_failures)
{
    struct message message = begin(3, 0, 1);
    struct dns_answer answer;

    put_record(&message, "\7example\0", 9, 6, 900,
               "\1m\0\0"
               "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\115",
               24);
    answer = read_it(&message);
    cr_assert_eq(answer.verdict, DNS_NO_NAME);
    cr_assert_eq(answer.ttl_s, 77);

    message = begin(0, 0, 1);
    put_record(&message, "\7example\0", 9, 6, 33,
               "\1m\0\0"
               "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\115",
               24);
    answer = read_it(&message);
    cr_assert_eq(answer.verdict, DNS_NO_DATA);
    cr_assert_eq(answer.ttl_s, 33);

    message = begin(2, 0, 0);
    cr_assert_eq(read_it(&message).verdict, DNS_FAILURE, "SERVFAIL");
    message = begin(5, 0, 0);
    cr_assert_eq(read_it(&message).verdict, DNS_FAILURE, "REFUSED");
    message = begin(5, 0, 0);
    message.bytes[5] = 0;
    message.len = 12;
    cr_assert_eq(read_it(&message).verdict, DNS_FAILURE, "REFUSED without the question");
    message = begin(0x200, 0, 0);
    cr_assert_eq(read_it(&message).verdict, DNS_IS_TRUNCATED);
}

static void fails(const struct message *message)
{
    cr_expect_eq(read_it(message).verdict, DNS_FAILURE);
}

Test(dns, refuses_malformed_records)
{
    struct message message = begin(0, 1, 0);

    fails(&message); /* none there */
    put_record(&message, OWNER, 2, 1, 1, "\1\2\3", 3);
    fails(&message); /* an address of three bytes */
    message = begin(0, 1, 0);
    put_record(&message, OWNER, 2, 1, 1, "\1\2\3\4\5", 5);
    fails(&message);
    message = begin(0, 1, 0);
    put_record(&message, OWNER, 2, 5, 1, "\1b\xc0\x0c\0", 5);
    fails(&message); /* bytes behind an alias */
    message = begin(0, 1, 0);
    put_record(&message, OWNER, 2, 5, 1, "\1b", 2);
    fails(&message); /* an alias that runs out of its record */
    message = begin(0, 1, 0);
    put_record(&message, OWNER, 2, 1, 1, "\1\2\3\4", 4);
    message.bytes[message.len - 5] = 5;
    fails(&message); /* data beyond the end */
}

Test(dns, refuses_bad_names)
{
    static const struct {
        const char *name;
        size_t len;
    } names[] = {
        {"\xc0\x1d", 2},    /* a pointer to itself (offset 29) */
        {"\xc0\x1f", 2},    /* forwards */
        {"\xc0\xff", 2},    /* beyond the end */
        {"\xc0\x00", 2},    /* into the header */
        {"\1a\xc0\x1d", 4}, /* to its own beginning */
        {"\x40"
         "aaaa",
         5}, /* reserved label kinds */
        {"\x80"
         "aaaa",
         5},
        {"\x3f"
         "short",
         6}, /* longer than the message */
        {"\xc0", 1},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct message message = begin(0, 1, 0);

        put(&message, names[i].name, names[i].len);
        if (names[i].len > 1 && (unsigned char)names[i].name[0] == 0xc0) {
            put_u16(&message, 1);
            put_u16(&message, 1);
            put_u32(&message, 1);
            put_u16(&message, 4);
            put(&message, "\1\2\3\4", 4);
        }
        cr_expect_eq(read_it(&message).verdict, DNS_FAILURE, "%zu", i);
    }

    /* 256 bytes of name through pointers: each label points to the one before. */
    struct message message = begin(0, 1, 0);
    size_t before = 12;

    for (int i = 0; i < 5; i++) {
        size_t at = message.len;
        char label[64];

        memset(label, 'x', sizeof(label));
        label[0] = 63;
        put(&message, label, 64);
        put_u16(&message, 0xc000 | (unsigned)before);
        before = at;
    }
    fails(&message);
}

Test(dns, names_with_odd_bytes_equal_nothing)
{
    struct message message = begin(0, 1, 0);

    /* "api.example" as one label looks the same as text */
    put_record(&message, "\13api.example\0", 13, 1, 1, "\1\2\3\4", 4);
    cr_assert_eq(read_it(&message).verdict, DNS_NO_DATA);
    message = begin(0, 1, 0);
    put_record(&message, "\3a\0i\7example\0", 13, 1, 1, "\1\2\3\4", 4);
    cr_assert_eq(read_it(&message).verdict, DNS_NO_DATA);
}

Test(dns, a_ttl_with_the_top_bit_is_zero)
{
    struct message message = begin(0, 1, 0);

    put_record(&message, OWNER, 2, 1, 0x80000001u, "\1\2\3\4", 4);
    cr_assert_eq(read_it(&message).ttl_s, 0);
}

Test(dns, survives_every_truncation_and_any_changed_byte)
{
    struct message message = begin(0, 4, 0);
    struct random random = {20261121};

    put_record(&message, OWNER, 2, 5, 1, "\1b\xc0\x0c", 4);
    put_record(&message, "\1b\xc0\x0c", 4, 5, 1, "\1c\xc0\x0c", 4);
    put_record(&message, "\1c\xc0\x0c", 4, 1, 1, "\1\2\3\4", 4);
    put_record(&message, "\1c\xc0\x0c", 4, 1, 1, "\1\2\3\5", 4);
    cr_assert_eq(read_it(&message).count, 2);
    for (size_t len = 0; len < message.len; len++) {
        struct message cut = message;

        cut.len = len;
        cr_assert_neq(read_it(&cut).verdict, DNS_ADDRESSES);
    }
    for (int i = 0; i < 20000; i++) {
        struct message changed = message;

        for (size_t n = random_between(&random, 1, 4); n > 0; n--)
            changed.bytes[random_between(&random, 12, message.len - 1)] =
                (unsigned char)random_next(&random);
        if (i % 100 == 0) /* mapping a page each is slow */
            (void)read_it(&changed);
        else {
            struct dns_answer answer;

            dns_read_answer(slice_of((const char *)changed.bytes, changed.len), 0x1234,
                            S("api.example"), DNS_A, &answer);
        }
    }
}

Test(dns, takes_sixteen_addresses_at_most)
{
    struct message message = begin(0, 40, 0);

    for (unsigned i = 0; i < 40; i++) {
        char addr[4] = {10, 0, 0, (char)i};

        put_record(&message, OWNER, 2, 1, 1, addr, 4);
    }
    cr_assert_eq(read_it(&message).count, RESOLVE_ADDRS_MAX);
}
