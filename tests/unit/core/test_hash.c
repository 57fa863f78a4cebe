#include "r2a/core/hash.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "support/guard.h"

static void expect_hex(const unsigned char *bytes, const char *want)
{
    char hex[2 * SHA256_BYTES];

    str_hex(hex, slice_of((const char *)bytes, SHA256_BYTES));
    cr_assert(slice_eq(slice_of(hex, sizeof(hex)), slice_from_z(want)), "%.64s", hex);
}

Test(hash, sha256_of_known_texts)
{
    unsigned char digest[SHA256_BYTES];

    sha256_of(S(""), digest);
    expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of((struct slice){0}, digest);
    expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of(S("abc"), digest);
    expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of(S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
    expect_hex(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(hash, sha256_in_pieces_is_sha256_at_once)
{
    char bytes[300];
    unsigned char whole[SHA256_BYTES], pieces[SHA256_BYTES];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    sha256_of(slice_of(bytes, sizeof(bytes)), whole);
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        struct sha256 sha, fork;

        sha256_init(&sha);
        sha256_add(&sha, slice_of(bytes, cut));
        fork = sha;
        sha256_add(&sha, slice_of(bytes + cut, sizeof(bytes) - cut));
        sha256_end(&sha, pieces);
        cr_assert_eq(memcmp(whole, pieces, SHA256_BYTES), 0);
        sha256_add(&fork, slice_of(bytes + cut, sizeof(bytes) - cut));
        sha256_end(&fork, pieces);
        cr_assert_eq(memcmp(whole, pieces, SHA256_BYTES), 0);
    }
}

Test(hash, equal_compares_all_bytes)
{
    char a[64], b[64];

    memset(a, 1, sizeof(a));
    memset(b, 1, sizeof(b));
    cr_assert(hash_equal(slice_of(a, 64), slice_of(b, 64)));
    cr_assert(hash_equal((struct slice){0}, S("")));
    cr_assert_not(hash_equal(slice_of(a, 63), slice_of(b, 64)));
    for (size_t i = 0; i < 64; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b[i] ^= (char)(1 << bit);
            cr_assert_not(hash_equal(slice_of(a, 64), slice_of(b, 64)));
            b[i] ^= (char)(1 << bit);
        }
    }
}

/* Lines of the authors' table of 128-bit values. */
Test(hash, siphash_of_the_authors_cases)
{
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    static const struct {
        size_t len;
        const char *tag;
    } cases[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"},
        {1, "da87c1d86b99af44347659119b22fc45"},
        {8, "3b62a9ba6258f5610f83e264f31497b4"},
        {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
    };
    char bytes[15];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char expected[16];
        uint64_t tag[2];

        siphash(key, slice_of(bytes, cases[i].len), tag);
        cr_assert(str_unhex(expected, slice_from_z(cases[i].tag)));
        for (size_t k = 0; k < 16; k++) /* the table is of bytes, little end first */
            cr_assert_eq(tag[k / 8] >> k % 8 * 8 & 0xff, expected[k]);
    }
}

Test(hash, fnv1a_of_known_texts)
{
    cr_assert_eq(fnv1a_64(S("")), 0xcbf29ce484222325u);
    cr_assert_eq(fnv1a_64(S("a")), 0xaf63dc4c8601ec8cu);
    cr_assert_eq(fnv1a_64(S("foobar")), 0x85944171f73967e8u);
    cr_assert_eq(fnv1a_64_add(fnv1a_64(S("foo")), S("bar")), fnv1a_64(S("foobar")));
}

Test(random, a_seed_repeats_and_seeds_differ)
{
    unsigned char a[2000], b[2000], c[2000];

    random_seed(1);
    random_bytes(a, sizeof(a));
    random_seed(1);
    for (size_t i = 0; i < sizeof(b); i += 8) /* in pieces: the same stream */
        random_bytes(b + i, 8);
    random_seed(2);
    random_bytes(c, sizeof(c));
    cr_assert_eq(memcmp(a, b, sizeof(a)), 0);
    cr_assert_neq(memcmp(a, c, sizeof(a)), 0);
}

static void *draw(void *to)
{
    random_bytes(to, 32);
    return NULL;
}

Test(random, threads_and_calls_draw_differently)
{
    unsigned char drawn[4][32];
    pthread_t thread;

    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, draw, drawn[i]), 0);
        pthread_join(thread, NULL);
        for (int j = 0; j < i; j++)
            cr_assert_neq(memcmp(drawn[i], drawn[j], 32), 0);
    }
    cr_assert_neq(random_u64(), random_u64());
}

Test(random, every_byte_value_and_bit_is_about_as_likely)
{
    static unsigned char bytes[1 << 18];
    uint32_t counts[256] = {0};

    random_seed(3);
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        counts[bytes[i]]++;
    for (int i = 0; i < 256; i++)
        cr_assert(counts[i] > 850 && counts[i] < 1200, "%d: %u", i, counts[i]); /* 1024 each */
}

Test(random, below_stays_below_and_reaches_all)
{
    uint32_t counts[7] = {0};

    random_seed(4);
    for (int i = 0; i < 7000; i++) {
        uint64_t value = random_below(7);

        cr_assert_lt(value, 7);
        counts[value]++;
    }
    for (int i = 0; i < 7; i++)
        cr_assert(counts[i] > 800 && counts[i] < 1200);
    cr_assert_eq(random_below(1), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_lt(random_below(UINT64_MAX), UINT64_MAX);
}

Test(random, ids_use_all_of_base62_and_nothing_else)
{
    uint32_t counts[256] = {0};

    random_seed(5);
    for (size_t len = 0; len < 300; len++) {
        char *id = guard_take(len);

        random_base62(id, len);
        for (size_t i = 0; i < len; i++) {
            cr_assert(char_is_alnum(id[i]));
            counts[(unsigned char)id[i]]++;
        }
        guard_free(id, len);
    }
    for (int i = 0; i < 128; i++)
        cr_assert(char_is_alnum((char)i) ? counts[i] > 600 && counts[i] < 850 : counts[i] == 0,
                  "%c %u", i, counts[i]); /* 723 each */
}

Test(random, a_bound_of_nothing_is_a_bug, .signal = SIGABRT)
{
    (void)random_below(0);
}
