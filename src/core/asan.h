#ifndef R2A_CORE_ASAN_H
#define R2A_CORE_ASAN_H

/* Whether this build is watched by AddressSanitizer: pools then hand out allocations of their own,
 * so that it sees where each block ends and when it was given back. */
#if defined(__SANITIZE_ADDRESS__)
#define R2A_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define R2A_ASAN 1
#endif
#endif
#ifndef R2A_ASAN
#define R2A_ASAN 0
#endif

#endif
