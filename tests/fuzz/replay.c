/* The main of a fuzz target built without libFuzzer: runs it over the files and folders named, one
 * level deep, each input ending at a guard page (or at the end of its own allocation under ASan),
 * so that a read past the end is seen by any compiler. Prints how many inputs ran. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned inputs_count;

static void run(const uint8_t *bytes, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (size + page - 1) / page * page;
    uint8_t *base =
        mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || mprotect(base + body, page, PROT_NONE) != 0)
        abort();
    if (size > 0)
        memcpy(base + body - size, bytes, size);
    LLVMFuzzerTestOneInput(base + body - size, size);
    munmap(base, body + page);
    inputs_count++;
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;
    uint8_t *bytes;

    if (file == NULL || fstat(fileno(file), &stat) != 0) {
        perror(path);
        exit(1);
    }
    bytes = malloc((size_t)stat.st_size + 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)stat.st_size, file) != (size_t)stat.st_size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path); /* the last line names the input that killed the run */
    run(bytes, (size_t)stat.st_size);
    free(bytes);
}

static void run_path(const char *path)
{
    struct dirent *entry;
    struct stat stat_buf;
    char inner[4096];
    DIR *dir;

    if (stat(path, &stat_buf) == 0 && !S_ISDIR(stat_buf.st_mode)) {
        run_file(path);
        return;
    }
    dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        exit(1);
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) {
            fprintf(stderr, "path too long: %s/%s\n", path, entry->d_name);
            exit(1);
        }
        run_file(inner);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs\n", inputs_count);
    return 0;
}
