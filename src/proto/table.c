#include "r2a/proto/list.h"

/* All dialects by number and by name. */

const struct proto *const proto_table[PROTO_COUNT] = {
#define X(name) [PROTO_##name] = &proto_##name,
    PROTO_LIST(X)
#undef X
};

const struct proto *proto_find(struct slice name)
{
    for (uint32_t i = 0; i < PROTO_COUNT; i++)
        if (slice_eq(proto_table[i]->name, name))
            return proto_table[i];
    return NULL;
}

/* A dialect may have one half only, but not half of one. */
const char *proto_table_check(void)
{
    for (uint32_t i = 0; i < PROTO_COUNT; i++) {
        const struct proto *row = proto_table[i];
        bool has_client = row->request_decode != NULL || row->encode != NULL;
        bool has_upstream = row->request_encode != NULL || row->decode != NULL;

        if (row->name.len == 0)
            return "a dialect has no name";
        if (proto_find(row->name) != row)
            return "two dialects share a name";
        if (!has_client && !has_upstream)
            return "a dialect has neither half";
        if (has_client &&
            (row->request_decode == NULL || row->encoder_init == NULL || row->encode == NULL ||
             row->error_body == NULL || row->encoder_size == 0 || row->edits == NULL))
            return "a dialect's client half is incomplete";
        if (has_upstream && (row->request_encode == NULL || row->decoder_init == NULL ||
                             row->decode == NULL || row->finish == NULL || row->decoder_size == 0))
            return "a dialect's upstream half is incomplete";
        if ((row->models_write == NULL) != (row->model_write == NULL))
            return "a dialect writes lists of models but no model, or the reverse";
    }
    return NULL;
}
