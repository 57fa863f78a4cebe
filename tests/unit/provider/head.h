#ifndef R2A_TESTS_PROVIDER_HEAD_H
#define R2A_TESTS_PROVIDER_HEAD_H

#include <criterion/criterion.h>

#include "r2a/ir/brief.h"
#include "r2a/provider/list.h"
#include "support/proto_kit.h"

/* A provider's words for one request, as text. */
struct head {
    struct kit kit;
    struct provider_instance instance;
    struct credential credential;
    struct provider_request request;
};

static inline void head_open(struct head *head, const struct provider *kind, struct slice path,
                             struct slice key)
{
    memset(head, 0, sizeof(*head));
    kit_open(&head->kit);
    head->credential.key = key;
    head->instance.name = S("up");
    head->instance.kind = kind;
    head->instance.endpoint.path = path;
    head->request.credential = &head->credential;
    head->request.operation = BRIEF_GENERATE;
}

static inline struct slice head_path(struct head *head)
{
    struct rope out = kit_rope(&head->kit);

    head->instance.kind->path(&head->instance, &head->request, &out);
    return kit_take(&head->kit, &out);
}

static inline struct slice head_headers(struct head *head)
{
    struct rope out = kit_rope(&head->kit);

    head->instance.kind->headers(&head->instance, &head->request, &out);
    return kit_take(&head->kit, &out);
}

static inline void head_has(struct slice lines, const char *wanted)
{
    cr_assert(str_find(lines, slice_from_z(wanted)) < lines.len, "no '%s' in:\n%.*s", wanted,
              (int)lines.len, lines.ptr);
}

static inline void head_has_not(struct slice lines, const char *unwanted)
{
    cr_assert(str_find_nocase(lines, slice_from_z(unwanted)) == lines.len, "'%s' in:\n%.*s",
              unwanted, (int)lines.len, lines.ptr);
}

static inline void head_is(struct slice got, const char *wanted)
{
    cr_assert(slice_eq(got, slice_from_z(wanted)), "%.*s", (int)got.len, got.ptr);
}

#endif
