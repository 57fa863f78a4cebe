#ifndef R2A_CORE_HASH_H
#define R2A_CORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "r2a/core/slice.h"

#define SHA256_BYTES 32u

/* SHA-256 in pieces. The content belongs to hash.c. Copying it forks the computation. */
struct sha256 {
    _Alignas(8) unsigned char opaque[112];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, struct slice bytes);
void sha256_end(const struct sha256 *sha, unsigned char digest[SHA256_BYTES]);
void sha256_of(struct slice bytes, unsigned char digest[SHA256_BYTES]);

/* Equal, in a time that depends on the lengths only. For secrets and their digests. */
bool hash_equal(struct slice a, struct slice b);

/* SipHash-2-4 with 128 bits (Aumasson, Bernstein 2012, and the authors' table) under a secret key:
 * for tables and tags of what a peer sends. Who does not know the key can neither predict a value
 * nor make two texts collide. */
void siphash(const uint64_t key[2], struct slice bytes, uint64_t tag[2]);

/* 64-bit FNV-1a. Never for tables that a peer fills: it has no seed. */
#define FNV1A_64_START 0xcbf29ce484222325ull
uint64_t fnv1a_64(struct slice bytes);
/* Continues from an earlier value (FNV1A_64_START at first). */
uint64_t fnv1a_64_add(uint64_t hash, struct slice bytes);

/* Random bytes that nobody can guess, for ids and nonces: AES-256-CTR per thread, keyed by
 * getrandom at its first use (which aborts when the system has none) and re-keyed from its own
 * output, so earlier values cannot be computed back. No system call after the first. */
void random_bytes(void *to, size_t size);
uint64_t random_u64(void);
/* Uniform in 0 … bound - 1; bound > 0. */
uint64_t random_below(uint64_t bound);
/* `count` characters of 0-9A-Za-z (5.95 bits each), not terminated. */
void random_base62(char *to, size_t count);
/* Makes this thread's generator a function of `seed`: tests and simulation only. */
void random_seed(uint64_t seed);

#endif
