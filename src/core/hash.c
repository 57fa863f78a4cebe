/* Digests and random bytes; the one file of this module that knows BearSSL. */
#include "r2a/core/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <bearssl.h>

#include "r2a/core/check.h"

/* --- SHA-256 --- */

_Static_assert(sizeof(br_sha256_context) <= sizeof(struct sha256), "the header's room suffices");
_Static_assert(_Alignof(br_sha256_context) <= _Alignof(struct sha256), "and is aligned");
_Static_assert(SHA256_BYTES == br_sha256_SIZE, "one digest");

static br_sha256_context *context(struct sha256 *sha)
{
    return (br_sha256_context *)(void *)sha->opaque;
}

void sha256_init(struct sha256 *sha)
{
    br_sha256_init(context(sha));
}

void sha256_add(struct sha256 *sha, struct slice bytes)
{
    if (bytes.len > 0)
        br_sha256_update(context(sha), bytes.ptr, bytes.len);
}

void sha256_end(const struct sha256 *sha, unsigned char digest[SHA256_BYTES])
{
    br_sha256_out((const br_sha256_context *)(const void *)sha->opaque, digest);
}

void sha256_of(struct slice bytes, unsigned char digest[SHA256_BYTES])
{
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, bytes);
    sha256_end(&sha, digest);
}

/* Little-endian. */
static uint64_t load8(const char *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint64_t rotate(uint64_t word, unsigned by)
{
    return word << by | word >> (64 - by);
}

bool hash_equal(struct slice a, struct slice b)
{
    uint64_t differs = 0;
    size_t at = 0;

    if (a.len != b.len)
        return false;
    for (; at + 8 <= a.len; at += 8) {
        differs |= load8(a.ptr + at) ^ load8(b.ptr + at);
        /* Else the compiler may see that nothing can change any more and stop early. */
        __asm__ volatile("" : "+r"(differs));
    }
    for (; at < a.len; at++) {
        differs |= (unsigned char)(a.ptr[at] ^ b.ptr[at]);
        __asm__ volatile("" : "+r"(differs));
    }
    return differs == 0;
}

/* --- SipHash --- */

static void sip_rounds(uint64_t v[4], unsigned count)
{
    while (count-- > 0) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

void siphash(const uint64_t key[2], struct slice bytes, uint64_t tag[2])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du ^ 0xee,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)bytes.len << 56;
    size_t at = 0;

    for (; at + 8 <= bytes.len; at += 8)
        sip_word(v, load8(bytes.ptr + at));
    for (unsigned shift = 0; at < bytes.len; at++, shift += 8)
        last |= (uint64_t)(unsigned char)bytes.ptr[at] << shift;
    sip_word(v, last);
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    tag[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    tag[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- FNV-1a --- */

uint64_t fnv1a_64_add(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3ull;
    return hash;
}

uint64_t fnv1a_64(struct slice bytes)
{
    return fnv1a_64_add(FNV1A_64_START, bytes);
}

/* --- random bytes --- */

#define KEY_BYTES  32u
#define POOL_BYTES 512u

/* Key stream made ahead. Its first bytes become the next key at once and bytes handed out are
 * wiped, so that what lies here tells nothing about what was handed out before. */
struct generator {
    unsigned char key[KEY_BYTES];
    unsigned char pool[POOL_BYTES];
    const br_block_ctr_class *ctr;
    uint32_t left; /* unused bytes at the pool's end */
    bool is_seeded;
};

static _Thread_local struct generator generator;

static void seed_from_system(struct generator *gen)
{
    size_t have = 0;

    while (have < KEY_BYTES) {
        ssize_t got = getrandom(gen->key + have, KEY_BYTES - have, 0);

        if (got < 0 && errno == EINTR)
            continue;
        check(got > 0);
        have += (size_t)got;
    }
    gen->is_seeded = true;
}

static void refill(struct generator *gen)
{
    static const unsigned char nonce[12];
    br_aes_gen_ctr_keys stream;

    if (!gen->is_seeded)
        seed_from_system(gen);
    memset(gen->pool, 0, POOL_BYTES);
    if (gen->ctr == NULL) {
        gen->ctr = br_aes_x86ni_ctr_get_vtable(); /* asks the processor: slow in virtual ones */
        if (gen->ctr == NULL)
            gen->ctr = &br_aes_ct64_ctr_vtable; /* the same bytes */
    }
    gen->ctr->init(&stream.vtable, gen->key, KEY_BYTES);
    (void)gen->ctr->run(&stream.vtable, nonce, 0, gen->pool, POOL_BYTES);
    memset(&stream, 0, sizeof(stream));
    __asm__ volatile("" : : "r"(&stream) : "memory"); /* the schedule is wiped indeed */
    memcpy(gen->key, gen->pool, KEY_BYTES);
    memset(gen->pool, 0, KEY_BYTES);
    gen->left = POOL_BYTES - KEY_BYTES;
}

void random_bytes(void *to, size_t size)
{
    struct generator *gen = &generator;
    unsigned char *out = to;

    while (size > 0) {
        unsigned char *from;
        size_t part;

        if (gen->left == 0)
            refill(gen);
        part = size < gen->left ? size : gen->left;
        from = gen->pool + POOL_BYTES - gen->left;
        memcpy(out, from, part);
        memset(from, 0, part);
        gen->left -= (uint32_t)part;
        out += part;
        size -= part;
    }
}

uint64_t random_u64(void)
{
    uint64_t value;

    random_bytes(&value, sizeof(value));
    return value;
}

uint64_t random_below(uint64_t bound)
{
    uint64_t skip, value;

    check(bound > 0);
    skip = (0 - bound) % bound; /* 2^64 mod bound: values below it would come once too often */
    do
        value = random_u64();
    while (value < skip);
    return value % bound;
}

void random_base62(char *to, size_t count)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = 0;

    while (at < count) {
        uint32_t draws[8];

        random_bytes(draws, sizeof(draws));
        /* Read as a fraction, a draw gives digits of base 62 by multiplication; after three no
         * character is likelier than another by more than one part in 10,000. */
        for (size_t i = 0; i < array_count(draws) && at < count; i++) {
            const uint64_t first = (uint64_t)draws[i] * 62;
            const uint64_t second = (first & UINT32_MAX) * 62;
            const uint64_t third = (second & UINT32_MAX) * 62;
            const char chars[3] = {alphabet[first >> 32], alphabet[second >> 32],
                                   alphabet[third >> 32]};
            const size_t part = count - at < 3 ? count - at : 3;

            memcpy(to + at, chars, part);
            at += part;
        }
    }
}

void random_seed(uint64_t seed)
{
    struct generator *gen = &generator;

    memset(gen, 0, sizeof(*gen));
    memcpy(gen->key, &seed, sizeof(seed));
    gen->is_seeded = true;
}
