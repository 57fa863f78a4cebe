/* The rows of provider/list.h. */
#include "r2a/provider/list.h"

static const struct provider *const table[] = {
#define X(name) &provider_##name,
    PROVIDER_LIST(X)
#undef X
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

const struct provider *provider_find(struct slice kind)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (slice_eq(table[i]->name, kind))
            return table[i];
    }
    return NULL;
}

void provider_names(void (*put)(void *context, struct slice name), void *context)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        put(context, table[i]->name);
}

const char *provider_table_check(void)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        const struct provider *row = table[i];

        if (row->name.len == 0)
            return "a provider without a name";
        if (provider_find(row->name) != row)
            return "two providers of one name";
        if (!row->is_embedded && (!row->speaks || !row->path || !row->headers))
            return "a provider without speaks, path or headers";
    }
    return NULL;
}
