#include "support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

char *file_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t have = 0, room = 0, got;

    *len = 0;
    if (file == NULL)
        return NULL;
    do {
        if (have + 1 >= room) {
            room = room == 0 ? 65536 : room * 2;
            bytes = realloc(bytes, room);
            if (bytes == NULL)
                abort();
        }
        got = fread(bytes + have, 1, room - have - 1, file);
        have += got;
    } while (got > 0);
    if (ferror(file)) { /* a folder opens, but cannot be read */
        free(bytes);
        bytes = NULL;
        have = 0;
    } else {
        bytes[have] = '\0';
    }
    fclose(file);
    *len = have;
    return bytes;
}

char *vectors_read(const char *name, size_t *len)
{
    const char *folder = getenv("VECTORS_DIR");
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared/vectors", name);
    return file_read(path, len);
}
