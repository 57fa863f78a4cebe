#ifndef R2A_TESTS_SUPPORT_VECTORS_H
#define R2A_TESTS_SUPPORT_VECTORS_H

#include <stddef.h>

/* The shared test vectors: files under $VECTORS_DIR (build.sh sets it; ../shared/vectors without).
 * They are not part of the repository; a test that needs them skips visibly when they are absent:
 *
 *     size_t len;
 *     char *bytes = vectors_read("sse/cases.json", &len);
 *     if (bytes == NULL)
 *         cr_skip_test("no vectors at VECTORS_DIR");
 */

/* The whole file, NUL-terminated past `*len`, from malloc (the test frees it); NULL if absent. */
char *vectors_read(const char *name, size_t *len);

/* Any file, by path from the repository's root or absolute; as above. */
char *file_read(const char *path, size_t *len);

#endif
