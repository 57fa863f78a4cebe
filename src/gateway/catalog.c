#include "catalog.h"

#include <pthread.h>
#include <sys/mman.h>

#include "r2a/core/hash.h"
#include "r2a/limits.h"

/* A cold path: one list a few minutes. So one mutex and fixed places; a place is found by the hash
 * of the provider's name and belongs to it until another provider needs the oldest one. */

struct place {
    uint64_t name;   /* hash; 0: free */
    uint64_t set_ms; /* 0: never */
    uint64_t ask_ms; /* not asked again before this */
    bool is_asked;
    uint32_t len;
    char ids[CATALOG_BYTES];
};

struct catalog {
    pthread_mutex_t lock;
    struct place places[CATALOG_PROVIDERS_MAX];
};

struct catalog *catalog_open(void)
{
    struct catalog *catalog = mmap(NULL, sizeof(*catalog), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (catalog == MAP_FAILED)
        return NULL;
    pthread_mutex_init(&catalog->lock, NULL);
    return catalog;
}

void catalog_close(struct catalog *catalog)
{
    munmap(catalog, sizeof(*catalog));
}

static struct place *find(struct catalog *catalog, struct slice provider)
{
    uint64_t name = fnv1a_64(provider) | 1;
    struct place *oldest = &catalog->places[0];

    for (uint32_t i = 0; i < CATALOG_PROVIDERS_MAX; i++) {
        struct place *place = &catalog->places[i];

        if (place->name == name)
            return place;
        if (place->name == 0) {
            place->name = name;
            return place;
        }
        if (place->set_ms < oldest->set_ms)
            oldest = place;
    }
    oldest->name = name;
    oldest->set_ms = oldest->ask_ms = 0;
    oldest->len = 0;
    oldest->is_asked = false;
    return oldest;
}

struct catalog_state catalog_look(struct catalog *catalog, struct slice provider, uint64_t now_ms)
{
    struct catalog_state state = {0};
    struct place *place;

    pthread_mutex_lock(&catalog->lock);
    place = find(catalog, provider);
    state.is_known = place->set_ms != 0;
    if (now_ms >= place->ask_ms && (place->set_ms == 0 || now_ms - place->set_ms > CATALOG_MS)) {
        state.must_ask = true;
        place->is_asked = true;
        place->ask_ms = now_ms + CATALOG_ASK_MS;
    }
    state.is_asked = place->is_asked;
    pthread_mutex_unlock(&catalog->lock);
    return state;
}

size_t catalog_get(struct catalog *catalog, struct slice provider, char *to, size_t size)
{
    struct place *place;
    size_t len;

    pthread_mutex_lock(&catalog->lock);
    place = find(catalog, provider);
    len = place->len < size ? place->len : size;
    memcpy(to, place->ids, len);
    pthread_mutex_unlock(&catalog->lock);
    return len;
}

void catalog_set(struct catalog *catalog, struct slice provider, struct slice ids, uint64_t now_ms)
{
    struct place *place;

    while (ids.len > CATALOG_BYTES || (ids.len > 0 && ids.ptr[ids.len - 1] != '\n'))
        ids.len--;
    pthread_mutex_lock(&catalog->lock);
    place = find(catalog, provider);
    if (ids.len > 0)
        memcpy(place->ids, ids.ptr, ids.len);
    place->len = (uint32_t)ids.len;
    place->set_ms = now_ms ? now_ms : 1;
    place->is_asked = false;
    place->ask_ms = 0;
    pthread_mutex_unlock(&catalog->lock);
}

void catalog_failed(struct catalog *catalog, struct slice provider, uint64_t now_ms)
{
    struct place *place;

    pthread_mutex_lock(&catalog->lock);
    place = find(catalog, provider);
    place->is_asked = false;
    place->ask_ms = now_ms + CATALOG_RETRY_MS;
    pthread_mutex_unlock(&catalog->lock);
}
